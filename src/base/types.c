/* Statuses of executions and steps: names both ways, and which of them are final. */
#include <stddef.h>
#include <string.h>

#include <runbook/types.h>

#include "base/export.h"

typedef struct Status {
        const char *name;
        bool is_final;
} Status;

static const Status execution_statuses[RUNBOOK_N_EXECUTION_STATUSES] = {
        [RUNBOOK_EXECUTION_PENDING] = {"pending", false},
        [RUNBOOK_EXECUTION_RUNNING] = {"running", false},
        [RUNBOOK_EXECUTION_PAUSING] = {"pausing", false},
        [RUNBOOK_EXECUTION_PAUSED] = {"paused", false},
        [RUNBOOK_EXECUTION_COMPENSATING] = {"compensating", false},
        [RUNBOOK_EXECUTION_COMPLETED] = {"completed", true},
        [RUNBOOK_EXECUTION_FAILED] = {"failed", true},
        [RUNBOOK_EXECUTION_CANCELLED] = {"cancelled", true},
};

static const Status step_statuses[RUNBOOK_N_STEP_STATUSES] = {
        [RUNBOOK_STEP_PENDING] = {"pending", false},
        [RUNBOOK_STEP_READY] = {"ready", false},
        [RUNBOOK_STEP_RUNNING] = {"running", false},
        [RUNBOOK_STEP_RETRYING] = {"retrying", false},
        [RUNBOOK_STEP_AWAITING_APPROVAL] = {"awaiting_approval", false},
        [RUNBOOK_STEP_AWAITING_EVENT] = {"awaiting_event", false},
        [RUNBOOK_STEP_WAITING] = {"waiting", false},
        [RUNBOOK_STEP_COMPLETED] = {"completed", true},
        [RUNBOOK_STEP_FAILED] = {"failed", true},
        [RUNBOOK_STEP_SKIPPED] = {"skipped", true},
        [RUNBOOK_STEP_CANCELLED] = {"cancelled", true},
};

static const Status *status_at(const Status *table, unsigned n, unsigned i) {
        return i < n ? &table[i] : NULL;
}

static int status_from_name(const Status *table, int n, const char *name) {
        for (int i = 0; name && i < n; i++)
                if (!strcmp(table[i].name, name))
                        return i;
        return -1;
}

RUNBOOK_EXPORT const char *runbook_execution_status_name(RunbookExecutionStatus status) {
        const Status *s = status_at(execution_statuses, RUNBOOK_N_EXECUTION_STATUSES, (unsigned)status);
        return s ? s->name : NULL;
}

RUNBOOK_EXPORT const char *runbook_step_status_name(RunbookStepStatus status) {
        const Status *s = status_at(step_statuses, RUNBOOK_N_STEP_STATUSES, (unsigned)status);
        return s ? s->name : NULL;
}

RUNBOOK_EXPORT int runbook_execution_status_from_name(const char *name) {
        return status_from_name(execution_statuses, RUNBOOK_N_EXECUTION_STATUSES, name);
}

RUNBOOK_EXPORT int runbook_step_status_from_name(const char *name) {
        return status_from_name(step_statuses, RUNBOOK_N_STEP_STATUSES, name);
}

RUNBOOK_EXPORT bool runbook_execution_status_is_final(RunbookExecutionStatus status) {
        const Status *s = status_at(execution_statuses, RUNBOOK_N_EXECUTION_STATUSES, (unsigned)status);
        return s && s->is_final;
}

RUNBOOK_EXPORT bool runbook_step_status_is_final(RunbookStepStatus status) {
        const Status *s = status_at(step_statuses, RUNBOOK_N_STEP_STATUSES, (unsigned)status);
        return s && s->is_final;
}
