#pragma once
/*
 * What the subject families share: an incoming message, the answer it gets, and the request that is decoded
 * from it.
 */

#include <pthread.h>
#include "json/json_read.h"
#include "subjects/bus.h"
#include "subjects/crowd.h"
#include "subjects/names.h"
#include "subjects/subjects.h"

#define BODY_BYTES_MAX                                                                                       \
        (LIMIT_VALUE_BYTES + LIMIT_CONTEXT_BYTES + 65536) /* of a command that is not a definition */
#define BODY_SMALL_MAX (64 * 1024)                        /* of pause, cancel, approve…, and of queries */
#define LAST_ERROR_MAX 256                                /* bytes kept for $SRV.STATS */

/** json_parse with one of these two as @size_max, which a refusal names. */
json_t *body_parse(Slice body, size_t size_max, Report *report);

/* ---- the house --------------------------------------------------------------------- */

typedef enum EndpointId {
        ENDPOINT_CMD,
        ENDPOINT_EVENT,
        ENDPOINT_QUERY,
        ENDPOINT_RESULT,
        ENDPOINT_QUEUE,
        N_ENDPOINTS
} EndpointId;
#define N_SERVICE_ENDPOINTS ENDPOINT_QUEUE /* those before it are request-reply: what the service shows */
#define QUEUE_GROUP         "runbookd"

/** Counters of one family, for `$SRV.STATS` (ADR-32). */
typedef struct Endpoint {
        Subjects *subjects;
        EndpointId id;
        uint64_t n_requests, n_errors, processing_ns; /* atomic */
        uint64_t n_refused[RUNBOOK_N_CODES];          /* atomic; of them, by code */
        pthread_mutex_t lock;                         /* guards last_error */
        char last_error[LAST_ERROR_MAX];
        Crowd crowd; /* who sends how much */
} Endpoint;

typedef struct AccessCache AccessCache;
typedef struct Heavy Heavy; /* heavy.c */

/* What clients may cause again and again is logged once an interval, each kind by itself. */
typedef enum LogGateId { LOG_GATE_QUEUE, LOG_GATE_REPLY, LOG_GATE_STRAY, N_LOG_GATES } LogGateId;

#define ASK_INBOX_MAX 64

/** ask.c: our questions to others, and who hears the answers. */
typedef struct Asking {
        char inbox[ASK_INBOX_MAX];
        pthread_rwlock_t lock; /* held shared while an answer is told */
        void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody);
        void *asker;
} Asking;

struct Subjects {
        SubjectsHost host;
        const SubjectsSettings *settings; /* borrowed */
        Slice prefix;
        Bus *bus;
        Endpoint endpoints[N_ENDPOINTS];
        AccessCache *access;
        Heavy *heavy; /* reads large definitions; NULL: nobody but whoever got them */
        uint64_t hash_seed[2]; /* of the access cache: users choose their names */
        LogGate gates[N_LOG_GATES];
        int64_t started_ms;
        AuditStream audit;
        Asking asking;
        AskBus ask;
        Outlet outlet;
};

/* ask.c */
void ask_init(Asking *a, Ids ids);
void ask_deinit(Asking *a);
/** A message in the inbox of our questions; @userdata is the Subjects. */
void ask_answered(void *userdata, const Message *m, bool shed);

/** Log @message with @what (cut) as a warning, if gate @id lets it pass. */
void subjects_log_held(Subjects *s, LogGateId id, const char *message, Slice what);

const char *endpoint_name(EndpointId id);
/** Note an answer in the counters of @id. @body: the error's JSON, used when @code is not RUNBOOK_OK. */
void endpoint_count(Subjects *s, EndpointId id, int64_t since_ns, RunbookCode code, Slice body);
int64_t monotonic_ns(void);

/* ---- answers ----------------------------------------------------------------------- */

/** Where the result of one message goes. Made by whoever received it, ended by its one `give`. */
typedef struct Answer {
        /**
         * Called exactly once, on any thread; must not block; releases the answer. @durable as in
         * Request.done.
         */
        void (*give)(struct Answer *a, RunbookCode code, Slice body, bool durable);
        Subjects *subjects;
        EndpointId endpoint;
        int64_t since_ns;
        bool is_awaited; /* somebody waits for it, and so for no order of what he sends meanwhile */
        bool is_patient; /* a full inbox is waited for, a while: for messages that are kept elsewhere */
} Answer;

/** An answer that goes to a requester's inbox (@reply empty: nobody waits). NULL when out of memory. */
Answer *answer_new_inbox(Subjects *s, EndpointId endpoint, Slice reply);
/** Somebody else has sent the answer to the requester's inbox: it is only counted. */
void answer_sent(Answer *a);
/** Give @report's error. OVERLOADED, UNAVAILABLE, STORE_FULL and INTERNAL are not durable. */
void answer_refuse(Answer *a, const Report *report);
/** Give an error of one sentence, without needing memory for a report. */
void answer_refuse_code(Answer *a, RunbookCode code, const char *sentence);
bool code_is_durable(RunbookCode code);

/* ---- families: each gives @answer exactly once ------------------------------------- */

/** The second half of cmd_handle, also for messages that were put aside: decode and submit. */
void cmd_read(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id, Answer *answer);
/** @default_command_id: for messages that bring none (queue); may be empty. */
void cmd_handle(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                Answer *answer);
void event_handle(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                  Answer *answer);
void query_handle(Subjects *s, const SubjectParts *parts, const Message *m, Answer *answer);
/** What a worker says, or that it wants a task. */
void result_handle(Subjects *s, const SubjectParts *parts, const Message *m, Answer *answer);
/** A task that was sent to a worker has not reached him. */
void result_returned(Subjects *s, Slice tenant, Slice token);
/** A message of the durable stream: decoded, and acknowledged once its result is committed. */
void queue_handle(Subjects *s, const Message *m);
/** "queue/<stored at, ns>/<stream sequence>" out of an acknowledgement subject; false if it is none. */
bool queue_identity(Slice ack, char *ret, size_t n_ret);
/** How often a message of the durable queue was delivered, by its acknowledgement subject; 0: it is none. */
uint64_t queue_deliveries(Slice ack);
/** `$SRV.…`; answers by itself. */
void service_handle(Subjects *s, const Message *m);
/**
 * One of cmd, event, query, result: takes the subject apart and hands on. @shed: too many wait behind this one,
 * refuse it unread if its tenant is one of those who cause it.
 */
void family_handle(Subjects *s, EndpointId id, const Message *m, bool shed);
/** Endpoints and what else needs no bus; subjects_new's first half. */
int subjects_init(Subjects *s, const SubjectsSettings *settings, const SubjectsHost *host);
void subjects_deinit(Subjects *s);
