#pragma once
/* transform: jq programs, run in a few limited processes (jq_child). */

#include "runtime/ports.h"

/** Zeros and NULLs mean the defaults below. */
typedef struct TransformSettings {
        uint32_t pool;              /* helper processes, each of which runs one program at a time */
        int64_t timeout_default_ms; /* where the step has none; waiting for a turn counts */
        int64_t cpu_ms;             /* CPU time of one run */
        uint32_t memory_mb;         /* address space of a helper process */
        uint64_t open_max;  /* tasks taken and not finished, waiting ones included; beyond: OVERLOADED */
        const char *helper; /* path of runbook-jq; NULL: where the program is, else where it was installed */
} TransformSettings;

#define TRANSFORM_POOL               2
#define TRANSFORM_POOL_MAX           64
#define TRANSFORM_TIMEOUT_DEFAULT_MS 30000
#define TRANSFORM_CPU_MS             10000
#define TRANSFORM_CPU_MS_MAX         3600000
#define TRANSFORM_MEMORY_MB          256
#define TRANSFORM_MEMORY_MB_MIN      32
#define TRANSFORM_MEMORY_MB_MAX      65536
#define TRANSFORM_OPEN_MAX           100000

/**
 * Check settings, start the thread and, to see that it works, the first helper process. What is wrong, a
 * helper that can't be started above all, is a sentence in @report.
 */
int transform_executor_new(const TransformSettings *settings, const ExecutorHost *host, Report *report,
                           Executor **ret);
