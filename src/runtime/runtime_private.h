#pragma once
/* What the files of the runtime share. */

#include <pthread.h>

#include "base/cleanup.h"

#include "runtime/batch.h"
#include "runtime/cache.h"
#include "runtime/checkpoint.h"
#include "runtime/inbox.h"
#include "runtime/measures.h"
#include "runtime/outbox.h"
#include "runtime/runbook_cache.h"
#include "runtime/runtime.h"
#include "runtime/task.h"
#include "runtime/verify.h"

#define RUNTIME_BATCH_BYTES (32UL << 20) /* put by one transaction: beyond, no further item joins it */
#define RUNTIME_CHAIN_SOFT 10000      /* chained inputs beyond which no further item joins the batch */
#define RUNTIME_GROW_TRIES 40         /* doublings of the map for one batch: from a page to its maximum */
#define RUNTIME_SLEEP_MAX_MS 1000     /* with timers armed: the wall clock may jump while the writer sleeps */
#define RUNTIME_UPKEEP_MS 1000        /* between two looks for what has expired, while there is work */
#define RUNTIME_UPKEEP_IDLE_MS 60000  /* the same when idle */
#define RUNTIME_UPKEEP_ROWS 256       /* rows of each table deleted at most by one look */
#define RUNTIME_MARK_JOIN_MS 200      /* the outbox's mark joins a batch at most so often… */
#define RUNTIME_MARK_ALONE_MS 1000    /* …and has a commit of its own when none came along for so long */
#define RUNTIME_HIGH_CHECK_MS 1000    /* between two looks at how full the store is */
#define RUNTIME_HIGH_BATCH (128UL << 10) /* bytes that any batch may take of the store, whatever is in it… */
#define RUNTIME_HIGH_FACTOR 4         /* …and for each byte put: pages are copied, and not filled */
#define RUNTIME_BACKOFF_MIN_MS 100    /* when the store is full: before results and timers are tried again */
#define RUNTIME_BACKOFF_MAX_MS 5000
#define RUNTIME_LATE_MS 1000          /* a timer that fires later than this is counted as late */
#define RUNTIME_NEAREST_SCAN 1000     /* runbook ids looked at for "did you mean" */
#define RUNTIME_WAITS_SKIPPED 100     /* stale waits that one event clears away */
#define RUNTIME_EXIT_FATAL 70         /* EX_SOFTWARE: the writer can't go on; a restart recovers from disk */

/** The names of small values in the store. */
#define META_TIME "runtime.time"      /* u64: the last time told */
#define META_ROW "outbox.row"         /* u64: the last row when rows were deleted last */
#define META_STREAM "outbox.stream"   /* u64: created_ms of the audit stream that the marks speak of */

struct Runtime {
        RuntimeSettings settings;
        char *source, *prefix; /* owned; what settings point to */
        Store *store;
        Clock clock;
        Ids ids;
        Executor *executors[N_STEP_TYPES];
        Executor *authz; /* who may start a step with requiredPermissions; NULL: nobody to ask */
        char *(*secret)(void *userdata, Slice tenant, Slice name);
        void *secret_userdata;

        Inbox inbox;
        RunbookCache runbooks;
        OpenTasks tasks;
        Outbox outbox;
        Verifier verifier;

        /* The writer's own. */
        Cache cache;
        Batch batch;
        Item *items;
        size_t cap_items;
        List held;               /* results that could not be written; tried again at blocked_until_ms */
        size_t n_held;
        int64_t last_now_ms;     /* the last time told: never less again, not even after a restart */
        uint64_t outbox_row;     /* the last one committed */
        int64_t stored_now_ms;   /* what META_TIME and the outbox's rows say */
        int64_t next_timer_ms;   /* the earliest timer; INT64_MAX: none */
        int64_t blocked_until_ms, backoff_ms; /* the store is full, or memory is short */
        int64_t upkeep_ms;       /* last look for what expired */
        int64_t mark_ms;         /* last time the outbox's mark was written */
        int64_t mark_wanted_ms;  /* since when there is one to be written; 0: none */
        bool upkeep_more;        /* the last look did not find everything */
        Checkpointer checkpointer;
        int64_t high_check_ms;
        size_t high_left;        /* bytes to the high-water mark at the last look */
        size_t high_spent;       /* of them perhaps taken since */
        size_t high_reserve;     /* bytes behind the mark */
        bool is_high;            /* the store is beyond its high-water mark */
        bool recovered;
        int failed;              /* sticky: what made the writer stop */

        pthread_t writer, publisher, checker;
        size_t n_threads;
        bool running;

        SpanSink spans; /* span NULL: nobody wants them */
        Measures measures;
        pthread_mutex_t stats_lock;
        RuntimeStats stats;
};

/** Who takes a task of this kind; NULL: nobody. */
static inline Executor *runtime_executor(const Runtime *r, StepType type, bool is_question) {
        return is_question ? r->authz : r->executors[type];
}

/* batch_upkeep.c: what a batch does beside its items */
/** Write what is due: marks, expiries, the time. *ret_wrote: was there anything? */
int upkeep_run(Batch *b, bool *ret_wrote);
/** The transaction that upkeep wrote into is committed. */
void upkeep_committed(Batch *b);
/** When upkeep is due next with nothing else to do. */
int64_t upkeep_due_ms(Runtime *r);
bool upkeep_is_due(Runtime *r, int64_t now_ms);

/* turn.c */
void runtime_note_refusal(Runtime *r, RunbookCode code);
/** The time for the next batch. */
int64_t runtime_now(Runtime *r);
void runtime_finish_request(Runtime *r, Request *q, RunbookCode code, Slice body, bool durable);
/** The same with an error body made from the arguments. */
void runtime_fail_request(Runtime *r, Request *q, RunbookCode code, const char *sentence, bool durable);

/* recovery.c */
int recovery_run(Runtime *r, Report *report);
