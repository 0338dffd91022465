#pragma once
/*
 * Remote workers in C: take tasks of one step type, say how far they are, give results.
 *
 * A worker speaks through a client (client.h), whose user is its name: its NATS permissions must allow
 * `<prefix>.<tenant>.result.<user>.>`. Each of its lanes works on one task at a time, on a thread of its own; a second
 * one sends heartbeats while the handler is busy. Results are sent again until the engine has stored them.
 *
 * C99. Link with -lrunbook-client.
 */

#include <runbook/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RUNBOOK_WORKER_LANES_MAX 256

typedef struct RunbookWorker RunbookWorker;
typedef struct RunbookTask RunbookTask;

/**
 * Work on @task and end it with runbook_task_complete or runbook_task_fail; one that does neither fails with
 * WORKER_FAILED. Called on the lane's thread; @task is valid until it returns.
 */
typedef void (*RunbookTaskHandler)(void *userdata, RunbookTask *task);

typedef struct RunbookWorkerOptions {
        size_t size;                /* sizeof(RunbookWorkerOptions): lets the struct grow */
        const char *type;           /* required: "custom:<name>"; copied */
        RunbookTaskHandler handler; /* required */
        void *userdata;
        unsigned lanes; /* tasks at a time, at most RUNBOOK_WORKER_LANES_MAX; default 1 */
        int64_t wait_ms; /* how long one request for a task waits, 100–60000; a stop takes as long; default 5000 */
} RunbookWorkerOptions;

#define RUNBOOK_WORKER_OPTIONS_INIT                                                                          \
        { sizeof(RunbookWorkerOptions) }

/** Begin to take tasks. @client is borrowed until runbook_worker_stop. 0 and an owned worker, or a status. */
RUNBOOK_API int runbook_worker_start(RunbookClient *client, const RunbookWorkerOptions *options,
                                     RunbookWorker **ret, RunbookClientError *ret_error);
/** Take no more tasks, wait until those at hand have ended and their results are stored, free. NULL-safe. */
RUNBOOK_API void runbook_worker_stop(RunbookWorker *worker);

/* Borrowed, valid as long as the task. */
RUNBOOK_API const char *runbook_task_execution_id(const RunbookTask *task);
RUNBOOK_API const char *runbook_task_step_path(const RunbookTask *task);
/** The same for all attempts of the step: whoever did half of it before used it, too. */
RUNBOOK_API const char *runbook_task_idempotency_key(const RunbookTask *task);
RUNBOOK_API unsigned runbook_task_attempt(const RunbookTask *task);
RUNBOOK_API const char *runbook_task_deadline(const RunbookTask *task); /* RFC 3339 */
/** JSON texts. */
RUNBOOK_API const char *runbook_task_input(const RunbookTask *task);
RUNBOOK_API const char *runbook_task_config(const RunbookTask *task);
RUNBOOK_API const char *runbook_task_context(const RunbookTask *task);

/** Does nobody wait for this attempt any more (cancelled, timed out)? As of the last heartbeat. */
RUNBOOK_API bool runbook_task_is_cancelled(const RunbookTask *task);
/** A log entry, sent with the next heartbeat or result. @level "debug", "info", "warn" or "error". */
RUNBOOK_API int runbook_task_log(RunbookTask *task, const char *level, const char *message);
/** Tell how far it is (0–1) now. 0, or a status: the engine has not heard it. */
RUNBOOK_API int runbook_task_progress(RunbookTask *task, double progress);
/** End the task with @output, JSON text (NULL: null). 0 or RUNBOOK_CLIENT_E_MEMORY, _E_INVALID: it was ended before. */
RUNBOOK_API int runbook_task_complete(RunbookTask *task, const char *output);
/** End it with an error; @retryable: the step's retry policy may try again. */
RUNBOOK_API int runbook_task_fail(RunbookTask *task, const char *code, const char *message, bool retryable);

#ifdef __cplusplus
}
#endif
