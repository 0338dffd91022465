#pragma once
/* What the runtime counts for people who watch it: executions, steps, commits. */

#include <pthread.h>

#include "base/map.h"
#include "base/metrics.h"
#include "model/update.h"
#include "runtime/ports.h"

#define MEASURES_RUNBOOKS_MAX 1000 /* runbooks with series of their own; further ones share "other" */

typedef enum StepOutcome {
        OUTCOME_COMPLETED,
        OUTCOME_FAILED,
        OUTCOME_SKIPPED,
        OUTCOME_CANCELLED,
        N_OUTCOMES
} StepOutcome;

typedef struct MeasuredRunbook {
        char *tenant, *runbook; /* in the same allocation */
        uint64_t n_started;
        int64_t n_now[RUNBOOK_N_EXECUTION_STATUSES]; /* final ones are not counted here… */
        uint64_t n_ended[RUNBOOK_N_EXECUTION_STATUSES]; /* …but here, since the start of the process */
        Histogram duration;
} MeasuredRunbook;

typedef struct Measures {
        pthread_mutex_t lock;
        Map runbooks; /* "tenant/runbook" → MeasuredRunbook */
        MeasuredRunbook *other; /* NULL until it is needed */
        Histogram step_seconds[N_STEP_TYPES][N_OUTCOMES];
        Histogram step_attempts[N_STEP_TYPES];
        uint64_t step_retries[N_STEP_TYPES];
        Histogram commit_seconds, commit_inputs;
} Measures;

void measures_init(Measures *m, uint64_t seed0, uint64_t seed1);
void measures_deinit(Measures *m);
/** The writer's; between measures_begin and _end only. */
void measures_begin(Measures *m);
void measures_end(Measures *m);
/** @x is new to us (started, recovered): @started counts it as started. */
void measures_add(Measures *m, const Execution *x, bool started);
/** @x has another status than @before. */
void measures_move(Measures *m, const Execution *x, RunbookExecutionStatus before);
void measures_fact(Measures *m, const Execution *x, const UpdateFact *fact);
void measures_commit(Measures *m, int64_t us, size_t n_inputs);
/** Write the families of executions, steps and commits. Any thread. */
void measures_put(Measures *m, MetricsWriter *w);
