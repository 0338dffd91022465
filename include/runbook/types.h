#pragma once
/* Statuses of executions and steps as the outside sees them. C99, stands alone. */

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum RunbookExecutionStatus {
        RUNBOOK_EXECUTION_PENDING = 0,
        RUNBOOK_EXECUTION_RUNNING = 1,
        RUNBOOK_EXECUTION_PAUSING = 2,
        RUNBOOK_EXECUTION_PAUSED = 3,
        RUNBOOK_EXECUTION_COMPENSATING = 4,
        RUNBOOK_EXECUTION_COMPLETED = 5,
        RUNBOOK_EXECUTION_FAILED = 6,
        RUNBOOK_EXECUTION_CANCELLED = 7,
        RUNBOOK_N_EXECUTION_STATUSES = 8
} RunbookExecutionStatus;

typedef enum RunbookStepStatus {
        RUNBOOK_STEP_PENDING = 0,
        RUNBOOK_STEP_READY = 1,
        RUNBOOK_STEP_RUNNING = 2,
        RUNBOOK_STEP_RETRYING = 3,
        RUNBOOK_STEP_AWAITING_APPROVAL = 4,
        RUNBOOK_STEP_AWAITING_EVENT = 5,
        RUNBOOK_STEP_WAITING = 6,
        RUNBOOK_STEP_COMPLETED = 7,
        RUNBOOK_STEP_FAILED = 8,
        RUNBOOK_STEP_SKIPPED = 9,
        RUNBOOK_STEP_CANCELLED = 10,
        RUNBOOK_N_STEP_STATUSES = 11
} RunbookStepStatus;

/** "running" for RUNBOOK_EXECUTION_RUNNING; NULL outside the enum. Static string. */
const char *runbook_execution_status_name(RunbookExecutionStatus status);
/** "awaiting_approval" for RUNBOOK_STEP_AWAITING_APPROVAL; NULL outside the enum. Static string. */
const char *runbook_step_status_name(RunbookStepStatus status);
/** The status named @name, -1 if there is none. */
int runbook_execution_status_from_name(const char *name);
int runbook_step_status_from_name(const char *name);
/** Has the execution (step) ended for good? A failed execution may still be retried by a person. */
bool runbook_execution_status_is_final(RunbookExecutionStatus status);
bool runbook_step_status_is_final(RunbookStepStatus status);

#ifdef __cplusplus
}
#endif
