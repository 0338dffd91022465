/* A build without gRPC: whoever asks for it hears why not. Linked with http_grpc_absent.c in every build. */
#include <errno.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "executors/grpc.h"
#include "harness.h"
#include "model/runbook.h"

TestSuite(grpc_absent, .fini = check_leaks);

static int check(void *userdata, const RunbookStep *step, const JsonAt *config) {
        return grpc_config_check(step, config);
}

static int compile(const char *config, Report *report) {
        _cleanup_(buf_deinit) Buf text = {0};
        RunbookDefaults defaults = runbook_defaults_builtin;
        Runbook *r = NULL;
        defaults.check_config = check;
        buf_printf(&text,
                   "{\"id\":\"r\",\"version\":\"1\",\"steps\":[{\"id\":\"s\",\"type\":\"call-service\","
                   "\"config\":%s}]}",
                   config);
        int code = runbook_def_parse(buf_slice(&text), &defaults, report, &r);
        runbook_unref(r);
        return code;
}

Test(grpc_absent, registering_says_so) {
        _cleanup_(report_deinit) Report report = {0}, none = {0};
        cr_assert_eq(compile("{\"protocol\":\"grpc\",\"target\":\"h:1\",\"service\":\"a.B\",\"method\":\"C\","
                             "\"descriptorSet\":\"Cg==\"}",
                             &report),
                     -EINVAL);
        cr_assert_eq(report.n_details, 1);
        cr_assert_str_eq(report.details[0].path, "/steps/0/config/protocol");
        cr_assert(strstr(report.details[0].message, "Meson option grpc"), "%s", report.details[0].message);
        cr_assert_eq(compile("{\"url\":\"http://h\"}", &none), 0);
}

Test(grpc_absent, so_does_a_step_that_was_registered_before) {
        Harness h = {0};
        harness_start(&h, NULL);
        TaskResult r = harness_call(&h, "{'protocol':'grpc','target':'h:1','service':'a.B','method':'C'}",
                                    NULL);
        cr_assert_not(r.ok);
        cr_assert_str_eq(harness_string(r.error, "code"), "UNSUPPORTED_PROTOCOL");
        cr_assert(strstr(harness_string(r.error, "message"), "Meson option grpc"));
        harness_result_free(&r);
        harness_stop(&h);
}
