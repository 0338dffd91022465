#pragma once
/*
 * The writer's road: inbox → one write transaction per batch → commit → replies, tasks, outbox. One thread
 * owns all executions of a partition; everyone else hands it requests and reads committed state.
 */

#include "base/metrics.h"
#include "engine/engine.h"
#include "json/signature.h"
#include "runtime/ports.h"
#include "storage/store.h"

typedef struct Runtime Runtime;

typedef struct RuntimeSettings {
        EngineSettings engine;
        RunbookDefaults definitions;
        Slice subject_prefix;         /* "runbook.v1" */
        uint32_t inbox_max;           /* requests waiting; default RUNTIME_INBOX_MAX */
        uint32_t inbox_tenant_max;    /* of them, of one tenant; 0: three quarters of what is free */
        uint32_t batch_max;           /* inputs of one transaction; default RUNTIME_BATCH_MAX */
        size_t inbox_bytes_max;       /* memory of requests waiting; default RUNTIME_INBOX_BYTES */
        size_t cache_bytes_max;       /* hot executions kept in memory; default RUNTIME_CACHE_BYTES */
        size_t runbooks_bytes_max;    /* compiled runbooks kept in memory; default RUNBOOK_CACHE_BYTES */
        size_t tasks_bytes_max;       /* configs, inputs and results of open tasks, beyond which starts are refused;
                                         default RUNTIME_TASKS_BYTES */
        uint64_t tasks_max;     /* open tasks beyond which starts are refused; default RUNTIME_TASKS_MAX */
        uint64_t tenant_tasks_max;      /* the same of one tenant; 0: any number */
        uint64_t tenant_executions_max; /* executions of one tenant that have not ended, beyond which its
                                           starts are refused; 0: any number */
        int64_t results_ttl_ms; /* how long command ids are remembered; default RUNTIME_RESULTS_TTL_MS */
        uint32_t early_events_max; /* of one tenant; default LIMIT_EARLY_EVENTS_PER_TENANT */
        int64_t early_event_ttl_ms; /* how long an event waits for its step; default LIMIT_EARLY_EVENT_TTL_MS */
        int64_t outbox_ttl_ms;  /* how long published outbox rows are kept; default RUNTIME_OUTBOX_TTL_MS */
        int64_t checkpoint_ms;  /* a change is attested this much later at most; 0: there are no checkpoints */
        SigningKey checkpoint_key;
        unsigned store_high_percent; /* of the map's maximum: starts are refused beyond; default
                                        RUNTIME_STORE_HIGH_PERCENT */
        /** The store failed (-EIO) and nothing more can be recorded: the process must end and recover from
         * disk. Called once by the writer's thread. NULL: it logs and ends the process with status 70. */
        void (*on_fatal)(void *userdata, int error);
        void *fatal_userdata;
} RuntimeSettings;

#define RUNTIME_INBOX_MAX 16384
#define RUNTIME_INBOX_BYTES        (256UL << 20) /* of memory that waiting requests hold; beyond: OVERLOADED */
#define RUNTIME_BATCH_MAX 1024
#define RUNTIME_INBOX_BYTES (256UL << 20)
#define RUNTIME_CACHE_BYTES (512UL * 1024 * 1024)
#define RUNTIME_TASKS_BYTES (512UL << 20)
#define RUNTIME_TASKS_MAX 100000
#define RUNTIME_RESULTS_TTL_MS (7LL * 86400 * 1000)
#define RUNTIME_OUTBOX_TTL_MS (24LL * 3600 * 1000)
#define RUNTIME_STORE_HIGH_PERCENT 90
#define RUNTIME_CHAIN_MAX 100000 /* inputs that one batch's inputs may cause (children, early events) */

/**
 * Make a runtime over @store (borrowed). Executors are chosen by step type: executors[type] may be NULL (then
 * such a step fails with EXECUTOR_MISSING, retryable). @audit NULL: no outbox publishing (tests). No thread
 * runs yet.
 */
int runtime_new(const RuntimeSettings *settings, Store *store, Clock clock, Ids ids, const AuditStream *audit,
                Runtime **ret);
/** What executors are made with: bind before runtime_start. */
ExecutorHost runtime_executor_host(Runtime *r, char *(*secret)(void *userdata, Slice tenant, Slice name),
                                   void *userdata);
/** Where spans of sampled traces go; before runtime_start. */
void runtime_set_span_sink(Runtime *r, SpanSink sink);
void runtime_set_executor(Runtime *r, StepType type, Executor *executor);
/**
 * Who is asked before an attempt of a step with requiredPermissions starts. Without one such steps fail
 * with AUTHZ_UNAVAILABLE, not retryable.
 */
void runtime_set_authz(Runtime *r, Executor *authz);
/** Recover (open tasks again, overdue timers) and start the writer and outbox threads. */
int runtime_start(Runtime *r, Report *report);
/** Refuse new requests, finish what is in the inbox, publish what the outbox can within @timeout_ms, stop the
 * threads. Every request has its answer when this returns. */
void runtime_stop(Runtime *r, int64_t timeout_ms);
/** NULL-safe; after runtime_stop, and after the executors were stopped: none may post a result any more. */
void runtime_free(Runtime *r);

/** Any thread; takes @request when 0. -EAGAIN: the inbox is full, -EDQUOT: its tenant has too many in it (both:
 * reply OVERLOADED), -ESHUTDOWN: stopping (UNAVAILABLE). The caller keeps it then. */
int runtime_submit(Runtime *r, Request *request);

/** StoreRunbookLookup over the shared cache of compiled runbooks; @userdata is the Runtime. Any thread. */
int runtime_runbook_lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret);

/**
 * For tests and the simulator, instead of runtime_start: recover without threads, then run one batch of what
 * is queued and due (0: something was done, 1: nothing to do, negative: fatal). *ret_next_ms: when the next
 * timer is due (INT64_MAX: none).
 */
int runtime_recover(Runtime *r, Report *report);
int runtime_turn(Runtime *r, int64_t *ret_next_ms);
/** The same for the outbox: publish one window. 0 did something, 1 nothing to do, negative: try later. */
int runtime_outbox_turn(Runtime *r);

typedef struct RuntimeStats {
        uint64_t n_batches, n_inputs, n_commits_failed, n_refused[RUNBOOK_N_CODES];
        uint64_t n_started, n_ended, n_tasks, n_timers_fired, n_timers_late;
        uint64_t inbox_depth, outbox_row, outbox_published_row, cache_executions, cache_bytes;
        uint64_t commit_us_total, commit_us_max, batch_inputs_max;
        uint64_t outbox_n_published, outbox_n_rewinds;
        int64_t outbox_age_ms;
        bool writable; /* last commit went through */
} RuntimeStats;
/** A consistent-enough snapshot; any thread. */
void runtime_stats(Runtime *r, RuntimeStats *ret);
/** Write the metrics of executions, steps, commits, queues and the store. Any thread. */
void runtime_put_metrics(Runtime *r, MetricsWriter *w);
