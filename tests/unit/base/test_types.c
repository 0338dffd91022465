#include <runbook/types.h>

#include "../leaks.h"

TestSuite(types, .fini = check_leaks);

Test(types, execution_statuses) {
        for (int i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                cr_assert_eq(runbook_execution_status_from_name(
                                     runbook_execution_status_name((RunbookExecutionStatus)i)),
                             i);
        cr_assert_str_eq(runbook_execution_status_name(RUNBOOK_EXECUTION_COMPENSATING), "compensating");
        cr_assert_null(runbook_execution_status_name((RunbookExecutionStatus)RUNBOOK_N_EXECUTION_STATUSES));
        cr_assert_null(runbook_execution_status_name((RunbookExecutionStatus)-1));
        cr_assert_eq(runbook_execution_status_from_name("Running"), -1);
        cr_assert_eq(runbook_execution_status_from_name(NULL), -1);
        cr_assert(runbook_execution_status_is_final(RUNBOOK_EXECUTION_FAILED));
        cr_assert_not(runbook_execution_status_is_final(RUNBOOK_EXECUTION_PAUSED));
        cr_assert_not(runbook_execution_status_is_final(RUNBOOK_EXECUTION_COMPENSATING));
        cr_assert_not(runbook_execution_status_is_final((RunbookExecutionStatus)99));
}

Test(types, step_statuses) {
        int n_final = 0;
        for (int i = 0; i < RUNBOOK_N_STEP_STATUSES; i++) {
                cr_assert_eq(runbook_step_status_from_name(runbook_step_status_name((RunbookStepStatus)i)),
                             i);
                n_final += runbook_step_status_is_final((RunbookStepStatus)i);
        }
        cr_assert_eq(n_final, 4);
        cr_assert_str_eq(runbook_step_status_name(RUNBOOK_STEP_AWAITING_APPROVAL), "awaiting_approval");
        cr_assert_null(runbook_step_status_name((RunbookStepStatus)RUNBOOK_N_STEP_STATUSES));
        cr_assert_eq(runbook_step_status_from_name(""), -1);
        cr_assert(runbook_step_status_is_final(RUNBOOK_STEP_SKIPPED));
        cr_assert_not(runbook_step_status_is_final(RUNBOOK_STEP_RETRYING));
}
