#pragma once
/* The inside of the authorization executor: open questions, and the two ways to put them. */

#include <pthread.h>

#include "base/map.h"
#include "executors/attempt.h"
#include "executors/authz.h"
#include "executors/due.h"
#include "json/digest.h"

/** From submit until whoever takes it out of AuthzEngine.open: the answer, the clock, or a cancel. */
typedef struct Question {
        uint8_t key[ATTEMPT_KEY_SIZE];
        Task *task; /* owned */
        /* bus only */
        uint64_t token; /* in the answer's subject */
        List node;      /* in AuthzEngine.outgoing until it was put */
        Due due;
} Question;

typedef struct AuthzEngine AuthzEngine;

struct AuthzEngine {
        Executor executor;
        ExecutorHost host;
        AuthzSettings settings; /* strings owned */
        Value *no_memory;       /* an error that there may be no memory to make */

        pthread_mutex_t lock;
        Map open; /* key → Question */

        Executor *http; /* HTTP: an executor of our own; see README.md */

        /* bus */
        AskBus bus;
        const char *subject; /* behind "nats:" */
        pthread_t thread;
        pthread_cond_t changed;
        bool has_thread, stopping;
        uint64_t last_token;
        Map tokens; /* token → Question */
        List outgoing;
        DueHeap due;
};

/* authz.c */
/** Take the question out of `open`; the caller owns it then. NULL: answered, cancelled. Under the lock. */
Question *authz_take(AuthzEngine *e, const uint8_t key[ATTEMPT_KEY_SIZE]);
void authz_question_free(Question *q);
/** Post @result as the answer to @q and free it. Not under the lock. */
void authz_post(AuthzEngine *e, Question *q, const TaskResult *result);

/* authz_http.c */
int authz_http_start(AuthzEngine *e, Report *report);
void authz_http_submit(AuthzEngine *e, Question *q);

/* authz_bus.c */
int authz_bus_start(AuthzEngine *e, Report *report);
int authz_bus_submit(AuthzEngine *e, Question *q);  /* under the lock; 0 or -ENOMEM */
void authz_bus_forget(AuthzEngine *e, Question *q); /* under the lock */
void authz_bus_stop(AuthzEngine *e);

/* authz_answer.c */
/**
 * The result that @answer (borrowed; NULL: it was not JSON) makes. @sha256: hex digest of the bytes received;
 * @source: who answered.
 */
TaskResult authz_decide(const AuthzEngine *e, const Question *q, const json_t *answer, Slice sha256,
                        Slice source);
/** The result that says that there was no answer. @cause: a code; @why: a sentence's middle. */
TaskResult authz_unavailable(const AuthzEngine *e, const Question *q, const char *cause, Slice why,
                             int64_t retry_after_ms);
