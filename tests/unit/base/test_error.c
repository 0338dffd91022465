#include <runbook/error.h>

#include "../leaks.h"

TestSuite(error, .fini = check_leaks);

Test(error, names_and_statuses) {
        cr_assert_str_eq(runbook_code_name(RUNBOOK_STEP_NOT_FOUND), "STEP_NOT_FOUND");
        cr_assert_eq(runbook_code_http_status(RUNBOOK_OK), 200);
        cr_assert_eq(runbook_code_http_status(RUNBOOK_TOO_LARGE), 413);
        cr_assert_eq(runbook_code_http_status(RUNBOOK_OVERLOADED), 429);
        cr_assert_eq(runbook_code_http_status(RUNBOOK_STORE_FULL), 507);
}

Test(error, every_code_has_a_name_that_leads_back) {
        for (int code = 0; code < RUNBOOK_N_CODES; code++) {
                const char *name = runbook_code_name((RunbookCode)code);
                cr_assert_not_null(name);
                cr_assert_eq((int)runbook_code_from_name(name), code, "%s", name);
                int status = runbook_code_http_status((RunbookCode)code);
                cr_assert(code == 0 ? status == 200 : status >= 400 && status < 600, "%s", name);
        }
}

Test(error, values_from_outside_are_internal_errors) {
        cr_assert_str_eq(runbook_code_name((RunbookCode)RUNBOOK_N_CODES), "INTERNAL");
        cr_assert_str_eq(runbook_code_name((RunbookCode)-1), "INTERNAL");
        cr_assert_eq(runbook_code_http_status((RunbookCode)9999), 500);
        cr_assert_eq(runbook_code_from_name("NO_SUCH_CODE"), RUNBOOK_INTERNAL);
        cr_assert_eq(runbook_code_from_name(""), RUNBOOK_INTERNAL);
        cr_assert_eq(runbook_code_from_name(NULL), RUNBOOK_INTERNAL);
}
