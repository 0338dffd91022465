#pragma once
/* custom:<name> steps that no plugin runs: tasks for remote workers. */

#include "executors/task_token.h"
#include "runtime/ports.h"

/** Zeros mean the defaults below. */
typedef struct WorkerSettings {
        const char *prefix;         /* of subjects, "runbook.v1" */
        uint8_t key[TASK_KEY_SIZE]; /* of task tokens; the store's, so that tokens outlive the process */
        int64_t timeout_default_ms; /* where the step has none; waiting for a worker counts */
        int64_t heartbeat_ms; /* a worker that sends heartbeats is lost after so long without one; -1: never */
} WorkerSettings;

#define WORKER_TIMEOUT_DEFAULT_MS   600000
#define WORKER_HEARTBEAT_DEFAULT_MS 30000
#define WORKER_HEARTBEAT_MIN_MS     100  /* of config.heartbeatTimeoutMs and the setting */
#define WORKER_PROGRESS_MS          1000 /* a progress that brings nothing else is recorded at most so often */
#define WORKER_UNSETTLED_MAX        4 /* records of an attempt on their way to the store; more: OVERLOADED */
#define WORKER_NAME_MAX             128
#define WORKER_ENDED_KEPT           8192 /* ended attempts whose end is remembered, to tell late workers */

/** @outlet is borrowed, as long as the executor lives. 0, -EINVAL with @report, -ENOMEM. */
int worker_executor_new(const WorkerSettings *settings, const ExecutorHost *host, const Outlet *outlet,
                        Report *report, Executor **ret);
/** Where words from workers go; valid as long as the executor. */
WorkerDesk worker_executor_desk(Executor *executor);
