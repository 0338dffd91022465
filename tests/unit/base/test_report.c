#include <errno.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/report.h"

TestSuite(report, .fini = check_leaks);

static char *json_of(const Report *r) {
        Buf b = {0};
        report_write_json(r, &b);
        return buf_steal_str(&b);
}

Test(report, nothing_wrong) {
        Report r = {0};
        cr_assert_not(report_is_error(&r));
        report_deinit(&r);
        report_deinit(&r);
}

Test(report, code_and_sentence) {
        _cleanup_(report_deinit) Report r = {0};
        cr_assert_eq(report_set(&r, RUNBOOK_STEP_NOT_FOUND, "there is no step \"%s\"", "a\nb"), -EINVAL);
        cr_assert(report_is_error(&r));
        _cleanup_free_ char *json = json_of(&r);
        cr_assert_str_eq(json, "{\"version\":\"v1\",\"error\":\"STEP_NOT_FOUND\",\"message\":\"there is no "
                               "step \\\"a\\nb\\\"\"}");
}

Test(report, set_replaces_and_may_use_what_it_replaces) {
        _cleanup_(report_deinit) Report r = {0};
        report_set(&r, RUNBOOK_FORBIDDEN, "inner");
        report_set(&r, RUNBOOK_INTERNAL, "outer: %s", r.message);
        cr_assert_eq(r.code, RUNBOOK_INTERNAL);
        cr_assert_str_eq(r.message, "outer: inner");
}

Test(report, details) {
        _cleanup_(report_deinit) Report r = {0};
        cr_assert_eq(report_detail(&r, "/steps/0/id", "must be %s", "a string"), -EINVAL);
        cr_assert(report_is_error(&r), "details alone are an error");
        report_detail(&r, "", "bytes \xff from outside");
        report_set(&r, RUNBOOK_INVALID_RUNBOOK, "2 errors");
        _cleanup_free_ char *json = json_of(&r);
        cr_assert_str_eq(
                json,
                "{\"version\":\"v1\",\"error\":\"INVALID_RUNBOOK\",\"message\":\"2 errors\",\"details\":["
                "{\"path\":\"/steps/0/id\",\"message\":\"must be a string\"},"
                "{\"path\":\"\",\"message\":\"bytes \xef\xbf\xbd from outside\"}]}");
}

Test(report, details_without_a_code_are_an_invalid_request) {
        _cleanup_(report_deinit) Report r = {0};
        report_detail(&r, "/a", "x");
        _cleanup_free_ char *json = json_of(&r);
        cr_assert_not_null(strstr(json, "\"error\":\"INVALID_REQUEST\""));
}

Test(report, counts_what_it_drops) {
        _cleanup_(report_deinit) Report r = {0};
        for (int i = 0; i < REPORT_DETAILS_MAX + 23; i++)
                report_detail(&r, "/x", "%d", i);
        cr_assert_eq(r.n_details, REPORT_DETAILS_MAX);
        cr_assert_eq(r.n_dropped, 23);
        cr_assert_str_eq(r.details[REPORT_DETAILS_MAX - 1].message, "99");
        _cleanup_free_ char *json = json_of(&r);
        cr_assert_not_null(strstr(json, "{\"path\":\"\",\"message\":\"and 23 more that are not listed\"}]}"));
}

Test(report, lack_of_memory_is_an_internal_error) {
        Report r = {.oom = true};
        cr_assert(report_is_error(&r));
        _cleanup_free_ char *json = json_of(&r);
        cr_assert_not_null(strstr(json, "\"error\":\"INTERNAL\""));
        cr_assert_not_null(strstr(json, "memory"));
}
