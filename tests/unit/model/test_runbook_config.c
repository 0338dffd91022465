#include "runbook_fixture.h"

TestSuite(runbook_config, .fini = check_leaks);

Test(runbook_config, faults_of_the_head) {
#define STEPS "'steps': [" STEP("s") "]"
        static const struct {
                const char *text, *path, *part;
        } cases[] = {
                        {"{'version': '1', " STEPS "}", "/id", "is required"},
                        {"{'id': 'r', " STEPS "}", "/version", "is required"},
                        {"{'id': 'r', 'version': 1, " STEPS "}", "/version", "must be a string, is a number"},
                        {"{'id': 'a b', 'version': '1', " STEPS "}", "/id",
                         "must be 1 to 128 (LIMIT_ID_BYTES) characters"},
                        {"{'id': '', 'version': '1', " STEPS "}", "/id",
                         "must be 1 to 128 (LIMIT_ID_BYTES) characters"},
                        {"{'id': '-r', 'version': '1', " STEPS "}", "/id", "begin with a letter"},
                        {"{'id': 'r/s', 'version': '1', " STEPS "}", "/id", "must be 1 to 128"},
                        {"{'id': 'r', 'version': '1 2', " STEPS "}", "/version", "_ - . : +~"},
                        {"{'id': 'r', 'version': '1'}", "/steps", "is required, and must be an array"},
                        {"{'id': 'r', 'version': '1', 'steps': {}}", "/steps", "must be an array"},
                        {"{'id': 'r', 'version': '1', 'steps': []}", "/steps", "at least one step"},
                        {"{'id': 'r', 'version': '1', 'steps': [3]}", "/steps/0",
                         "must be a step, an object; is a number"},
                        {"{'id': 'r', 'version': '1', 'steps': [null]}", "/steps/0",
                         "must be a step, an object; is nothing"},
                        {"{'id': 'r', 'version': '1', 'step': [], " STEPS "}", "/step",
                         "unknown field \"step\"; did you mean \"steps\"?"},
                        {"{'id': 'r', 'version': '1', 'name': 5, " STEPS "}", "/name", "must be a string"},
                        {"{'id': 'r', 'version': '1', 'description': [], " STEPS "}", "/description",
                         "must be a string"},
                        {"{'id': 'r', 'version': '1', 'createdBy': {}, " STEPS "}", "/createdBy",
                         "must be a string"},
                        {"{'id': 'r', 'version': '1', 'metadata': [], " STEPS "}", "/metadata",
                         "must be an object"},
                        {"{'id': 'r', 'version': '1', 'idempotency': 'inputs', " STEPS "}", "/idempotency",
                         "must be \"input\", \"key\" or \"none\", is \"inputs\"; did you mean \"input\"?"},
                        {"{'id': 'r', 'version': '1', 'maxDepth': 0, " STEPS "}", "/maxDepth",
                         "between 1 and 100, is 0"},
                        {"{'id': 'r', 'version': '1', 'maxDepth': 101, " STEPS "}", "/maxDepth",
                         "between 1 and 100, is 101"},
                        {"{'id': 'r', 'version': '1', 'maxConcurrentSteps': 10001, " STEPS "}",
                         "/maxConcurrentSteps", "between 1 and 10000"},
                        {"{'id': 'r', 'version': '1', 'maxConcurrentSteps': 1.5, " STEPS "}",
                         "/maxConcurrentSteps", "whole number"},
                        {"{'id': 'r', 'version': '1', 'globalTimeoutMs': 0, " STEPS "}", "/globalTimeoutMs",
                         "is 0"},
                        {"{'id': 'r', 'version': '1', 'globalTimeoutMs': 9e15, " STEPS "}",
                         "/globalTimeoutMs", "between 1 and 316224000000"},
                        {"{'id': 'r', 'version': '1', 'inputSchema': 'x', " STEPS "}", "/inputSchema",
                         "must be a JSON Schema"},
                        {"{'id': 'r', 'version': '1', 'outputSchema': [], " STEPS "}", "/outputSchema",
                         "must be a JSON Schema"},
                        {"{'id': 'r', 'version': '1', 'output': '${', " STEPS "}", "/output",
                         "the closing }"},
                        {"{'id': 'r', 'version': '1', 'defaultRetryPolicy': 3, " STEPS "}",
                         "/defaultRetryPolicy", "must be an object"},
                        {"{'id': 'r', 'version': '1', 'defaultRetryPolicy': {'maxAttempts': 0}, " STEPS "}",
                         "/defaultRetryPolicy/maxAttempts", "between 1 and 1000, is 0"},
                        {"3", "", "a runbook must be an object, is a number"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_fault(cases[i].text, cases[i].path, cases[i].part);
}

/** @fields of a step s of custom type, faulty in one place below /steps/0. */
static void expect_step(const char *fields, const char *path, const char *part) {
        _cleanup_free_ char *text = NULL, *whole = NULL;
        cr_assert_gt(asprintf(&text, RUNBOOK("{'id': 's', %s}," STEP("b")), fields), 0);
        cr_assert_gt(asprintf(&whole, "/steps/0%s", path), 0);
        expect_fault(text, whole, part);
}

Test(runbook_config, faults_of_steps) {
#define X "'type': 'custom:x', "
        static const struct {
                const char *fields, *path, *part;
        } cases[] = {
                        {"'name': 'n'", "/type", "is required"},
                        {"'type': 5", "/type", "must be a string"},
                        {"'type': 'call-servce'", "/type",
                         "unknown type \"call-servce\"; did you mean \"call-service\"?"},
                        {"'type': 'nothing-like-it'", "/type",
                         "unknown type \"nothing-like-it\"; there are call-service, conditional, "
                         "custom:<name>"},
                        {"'type': 'custom'", "/type", "did you mean \"custom:\"?"},
                        {"'type': 'custom:'", "/type", "must be 1 to 128 (LIMIT_ID_BYTES) characters"},
                        {"'type': 'custom:a b'", "/type", "must be 1 to 128 (LIMIT_ID_BYTES) characters"},
                        {X "'dependson': []", "/dependson", "did you mean \"dependsOn\"?"},
                        {X "'name': []", "/name", "must be a string"},
                        {X "'description': 1", "/description", "must be a string"},
                        {X "'timeoutMs': 0", "/timeoutMs", "between 1 and 316224000000, is 0"},
                        {X "'timeoutMs': -5", "/timeoutMs", "is -5"},
                        {X "'timeoutMs': '5s'", "/timeoutMs", "must be a whole number, is a string"},
                        {X "'timeoutMs': 1.5", "/timeoutMs", "is 1.5"},
                        {X "'joinPolicy': 'some'", "/joinPolicy", "must be \"all\" or \"any\", is \"some\""},
                        {X "'onFailure': 'continues'", "/onFailure", "did you mean \"continue\"?"},
                        {X "'inputSchema': 3", "/inputSchema",
                         "must be a JSON Schema: an object, true or false; is a number"},
                        {X "'outputSchema': 'x'", "/outputSchema", "must be a JSON Schema"},
                        {X "'input': {'a': ['${b']}", "/input/a/0", "the closing }"},
                        {X "'condition': {}", "/condition", "must be one of"},
                        {X "'condition': {'field': 'a', 'operator': 'eqq', 'value': 1}",
                         "/condition/operator", "did you mean \"eq\"?"},
                        {X "'requiredPermissions': 'p'", "/requiredPermissions", "must be an array"},
                        {X "'requiredPermissions': ['p', 5]", "/requiredPermissions/1",
                         "must be a string, is a number"},
                        {X "'requiredPermissions': ['p', '']", "/requiredPermissions/1",
                         "must have 1 to 1024 bytes"},
                        {X "'requiredPermissions': ['p', 'p']", "/requiredPermissions/1",
                         "\"p\" is in the list already"},
                        {X "'retryPolicy': 3", "/retryPolicy", "must be an object"},
                        {X "'retryPolicy': {'maxAttempts': 1001}", "/retryPolicy/maxAttempts",
                         "between 1 and 1000, is 1001"},
                        {X "'retryPolicy': {'initialDelayMs': -1}", "/retryPolicy/initialDelayMs",
                         "between 0 and"},
                        {X "'retryPolicy': {'maxDelayMs': 'x'}", "/retryPolicy/maxDelayMs",
                         "must be a whole number"},
                        {X "'retryPolicy': {'backoffMultiplier': 0.5}", "/retryPolicy/backoffMultiplier",
                         "between 1 and 1000"},
                        {X "'retryPolicy': {'jitter': 1.1}", "/retryPolicy/jitter", "between 0 and 1"},
                        {X "'retryPolicy': {'retryableErrors': ['A*B']}", "/retryPolicy/retryableErrors/0",
                         "* may stand only at the end"},
                        {X "'retryPolicy': {'nonRetryableErrors': ['A', 'A']}",
                         "/retryPolicy/nonRetryableErrors/1", "in the list already"},
                        {X "'retryPolicy': {'attempts': 3}", "/retryPolicy/attempts",
                         "unknown field \"attempts\""},
                        {X "'evidence': {}", "/evidence", "must be an array"},
                        {X "'evidence': [3]", "/evidence/0", "must be an object with type and sourceRef"},
                        {X "'evidence': [{'sourceRef': 's'}]", "/evidence/0/type", "is required"},
                        {X "'evidence': [{'type': 't'}]", "/evidence/0/sourceRef", "is required"},
                        {X "'evidence': [{'type': 5, 'sourceRef': 's'}]", "/evidence/0/type",
                         "must be a string"},
                        {X "'evidence': [{'type': 't', 'sourceRef': 's', 'confidence': 2}]",
                         "/evidence/0/confidence", "between 0 and 1"},
                        {X "'evidence': [{'type': 't', 'sourceRef': 's', 'confidence': 'high'}]",
                         "/evidence/0/confidence", "must be a number"},
                        {X "'evidence': [{'type': 't', 'sourceRef': 's', 'values': 2}]", "/evidence/0/values",
                         "did you mean \"value\""},
                        {X "'config': 3", "/config", "must be an object, is a number"},
                        {X "'config': '${input}'", "/config", "must be an object, is a string"},
                        {X "'approvalConfig': {'approvers': ['a']}", "/approvalConfig",
                         "only steps of type human-approval have this"},
                        {X "'loopConfig': {}", "/loopConfig", "only steps of type loop have this"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_step(cases[i].fields, cases[i].path, cases[i].part);
        expect_fault(RUNBOOK("{'type': 'custom:x'}"), "/steps/0/id", "is required");
        expect_fault(RUNBOOK("{'id': 'a[0]', 'type': 'custom:x'}"), "/steps/0/id", "must be 1 to 128");
        expect_fault(RUNBOOK("{'id': 'a~b', 'type': 'custom:x'}"), "/steps/0/id", "must be 1 to 128");
}

Test(runbook_config, faults_of_types) {
#define APPROVAL(more) "'type': 'human-approval', 'approvalConfig': {" more "}"
#define LOOPS(more)    "'type': 'loop', 'config': {'bodyStepId': 'b'}, 'loopConfig': {" more "}"
        static const struct {
                const char *fields, *path, *part;
        } cases[] = {
                        {"'type': 'conditional'", "/config/condition", "is required"},
                        {"'type': 'conditional', 'config': {'condition': 5}", "/config/condition",
                         "must be one of"},
                        {"'type': 'conditional', 'config': {'condition': {'field': 'a', 'operator': "
                         "'exists'}, 'trueBranches': []}",
                         "/config/trueBranches", "did you mean \"trueBranch\"?"},
                        {"'type': 'human-approval'", "/approvalConfig", "is required: who approves"},
                        {"'type': 'human-approval', 'approvalConfig': []", "/approvalConfig",
                         "must be an object"},
                        {"'type': 'human-approval', 'config': {'approvers': []}, 'approvalConfig': "
                         "{'approvers': ['a']}",
                         "/config/approvers", "unknown field"},
                        {APPROVAL(""), "/approvalConfig/approvers",
                         "is required: the people who may approve"},
                        {APPROVAL("'approvers': []"), "/approvalConfig/approvers", "at least one person"},
                        {APPROVAL("'approvers': 'a'"), "/approvalConfig/approvers", "must be an array"},
                        {APPROVAL("'approvers': ['a', 'b', 'a']"), "/approvalConfig/approvers/2",
                         "\"a\" is in the list already"},
                        {APPROVAL("'approvers': ['a', '${input.boss}']"), "/approvalConfig/approvers/1",
                         "people are named"},
                        {APPROVAL("'approvers': ['a', 'b'], 'minApprovals': 3"),
                         "/approvalConfig/minApprovals", "is 3, but only 2 approvers are named"},
                        {APPROVAL("'approvers': ['a'], 'minApprovals': 2"), "/approvalConfig/minApprovals",
                         "is 2, but only 1 approver is named"},
                        {APPROVAL("'approvers': ['a'], 'minApprovals': 0"), "/approvalConfig/minApprovals",
                         "between 1 and 1000, is 0"},
                        {APPROVAL("'approvers': ['a'], 'timeoutMs': 0"), "/approvalConfig/timeoutMs", "is 0"},
                        {APPROVAL("'approvers': ['a'], 'timeoutAction': 'approve'"),
                         "/approvalConfig/timeoutAction", "ALLOW_TIMEOUT_APPROVE"},
                        {APPROVAL("'approvers': ['a'], 'timeoutAction': 'rejct'"),
                         "/approvalConfig/timeoutAction", "did you mean \"reject\"?"},
                        {APPROVAL("'approvers': ['a'], 'prompt': 5"), "/approvalConfig/prompt",
                         "must be a string"},
                        {APPROVAL("'approvers': ['a'], 'prompt': '${x'"), "/approvalConfig/prompt",
                         "the closing }"},
                        {APPROVAL("'approvers': ['a'], 'allowSelfApproval': 'yes'"),
                         "/approvalConfig/allowSelfApproval", "must be true or false"},
                        {APPROVAL("'approvers': ['a'], 'escalateTo': ['b']"), "/approvalConfig/escalateTo",
                         "needs escalateAfterMs"},
                        {APPROVAL("'approvers': ['a'], 'escalateAfterMs': 5"),
                         "/approvalConfig/escalateAfterMs", "needs escalateTo"},
                        {APPROVAL("'approvers': ['a'], 'minApproval': 1"), "/approvalConfig/minApproval",
                         "did you mean \"minApprovals\"?"},
                        {"'type': 'loop', 'config': {'bodyStepId': 'b'}", "/loopConfig", "is required"},
                        {LOOPS(""), "/loopConfig", "either iterateOver or continueWhile"},
                        {LOOPS("'iterateOver': 'x', 'continueWhile': {'field': 'x', 'operator': 'exists'}"),
                         "/loopConfig", "not both"},
                        {LOOPS("'iterateOver': '${x}'"), "/loopConfig/iterateOver", "no ${…}"},
                        {LOOPS("'iterateOver': [1]"), "/loopConfig/iterateOver", "must be a string"},
                        {LOOPS("'iterateOver': 'x', 'maxIterations': 0"), "/loopConfig/maxIterations",
                         "between 1 and 1000, is 0"},
                        {LOOPS("'iterateOver': 'x', 'maxIterations': 1001"), "/loopConfig/maxIterations",
                         "between 1 and 1000, is 1001"},
                        {LOOPS("'iterateOver': 'x', 'concurrency': 0"), "/loopConfig/concurrency", "is 0"},
                        {LOOPS("'continueWhile': {'field': 'x', 'operator': 'exists'}, 'concurrency': 2"),
                         "/loopConfig/concurrency", "must be 1 with continueWhile"},
                        {LOOPS("'iterateOver': 'x', 'failureTolerance': -1"), "/loopConfig/failureTolerance",
                         "is -1"},
                        {LOOPS("'iterateOver': 'x', 'maxIteration': 5"), "/loopConfig/maxIteration",
                         "did you mean \"maxIterations\"?"},
                        {"'type': 'publish-event'", "/config/subject", "is required"},
                        {"'type': 'publish-event', 'config': {'subject': 'a.*'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': 'a.>'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': 'a..b'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': '.a'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': 'a.'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': 'a b'}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': '${input.x}. '}", "/config/subject",
                         "must be a subject"},
                        {"'type': 'publish-event', 'config': {'subject': ''}", "/config/subject",
                         "must not be empty"},
                        {"'type': 'publish-event', 'config': {'subject': 'a', 'body': 1}", "/config/body",
                         "unknown field"},
                        {"'type': 'run-runbook', 'config': {}", "/config/runbookId", "is required"},
                        {"'type': 'run-runbook', 'config': {'runbookId': 'a b'}", "/config/runbookId",
                         "must be 1 to 128"},
                        {"'type': 'run-runbook', 'config': {'runbookId': 'a', 'version': 2}",
                         "/config/version", "must be a string"},
                        {"'type': 'run-runbook', 'config': {'runbookId': 'a', 'inputs': 2}", "/config/inputs",
                         "did you mean \"input\"?"},
                        {"'type': 'transform', 'config': {}", "/config/jq", "is required"},
                        {"'type': 'transform', 'config': {'jq': ''}", "/config/jq", "must not be empty"},
                        {"'type': 'transform', 'config': {'jq': '${input.program}'}", "/config/jq",
                         "a program is fixed text"},
                        {"'type': 'transform', 'config': {'jq': '.', 'timeout': 1}", "/config/timeout",
                         "unknown field"},
                        {"'type': 'wait'", "/config", "either durationMs or until"},
                        {"'type': 'wait', 'config': {'durationMs': 1, 'until': '2030-01-01T00:00:00Z'}",
                         "/config", "not both"},
                        {"'type': 'wait', 'config': {'durationMs': -1}", "/config/durationMs", "is -1"},
                        {"'type': 'wait', 'config': {'durationMs': '5s'}", "/config/durationMs",
                         "must be a whole number, is a string"},
                        {"'type': 'wait', 'config': {'until': 'tomorrow'}", "/config/until",
                         "must be a time like"},
                        {"'type': 'wait', 'config': {'until': 5}", "/config/until", "must be a string"},
                        {"'type': 'wait', 'config': {'duration': 5, 'durationMs': 1}", "/config/duration",
                         "did you mean \"durationMs\"?"},
                        {"'type': 'wait-for-event'", "/config/eventType", "is required"},
                        {"'type': 'wait-for-event', 'config': {'eventType': 'a.*'}", "/config/eventType",
                         "must be a subject"},
                        {"'type': 'wait-for-event', 'config': {'eventType': '${input.t}'}",
                         "/config/eventType", "an event type is fixed text"},
                        {"'type': 'wait-for-event', 'config': {'eventType': 'a', 'correlationId': 5}",
                         "/config/correlationId", "must be a string"},
                        {"'type': 'wait-for-event', 'config': {'eventType': 'a', 'timeoutMs': 0}",
                         "/config/timeoutMs", "is 0"},
                        {"'type': 'wait-for-event', 'config': {'eventType': 'a', 'correlationid': 'x'}",
                         "/config/correlationid", "did you mean \"correlationId\"?"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_step(cases[i].fields, cases[i].path, cases[i].part);
}

static void put_repeated(Buf *b, const char *before, const char *text, size_t n, const char *after) {
        buf_put_str(b, before);
        for (size_t i = 0; i < n; i++)
                buf_put_str(b, text);
        buf_put(b, after, strlen(after) + 1);
}

Test(runbook_config, sizes_have_caps) {
        static const struct {
                const char *before, *text;
                size_t fits;
                const char *after, *path, *part;
        } cases[] = {
                        {"{'id': '", "x", LIMIT_ID_BYTES, "', 'version': '1', " STEPS "}", "/id",
                         "must be 1 to 128"},
                        {"{'id': 'r', 'version': '1', 'name': '", "x", LIMIT_NAME_BYTES, "', " STEPS "}",
                         "/name", "has 1025 bytes"},
                        {"{'id': 'r', 'version': '1', 'description': '", "x", LIMIT_TEXT_BYTES,
                         "', " STEPS "}", "/description", "has 65537 bytes"},
                        {"{'id': 'r', 'version': '1', 'steps': [{'id': 's', 'type': 'transform', 'config': "
                         "{'jq': '",
                         ".", LIMIT_PROGRAM_BYTES, "'}}]}", "/steps/0/config/jq", "LIMIT_PROGRAM_BYTES"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(buf_deinit) Buf fits = {0}, over = {0};
                put_repeated(&fits, cases[i].before, cases[i].text, cases[i].fits, cases[i].after);
                put_repeated(&over, cases[i].before, cases[i].text, cases[i].fits + 1, cases[i].after);
                expect_good(fits.data);
                expect_fault(over.data, cases[i].path, cases[i].part);
        }
}

/** n approvers p1… of one approval. */
static void put_approvers(Buf *b, int n, bool twice) {
        buf_put_str(b, "{'id': 'r', 'version': '1', 'steps': [{'id': 's', 'type': 'human-approval', "
                       "'approvalConfig': {'approvers': [");
        for (int i = 0; i < n; i++)
                buf_printf(b, "%s'p%d'", i ? "," : "", twice && i == n - 1 ? 3 : i);
        buf_put(b, "]}}]}", 6);
}

Test(runbook_config, lists_have_caps) {
        _cleanup_(buf_deinit) Buf fits = {0}, over = {0}, twice = {0};
        put_approvers(&fits, LIMIT_APPROVERS, false);
        put_approvers(&over, LIMIT_APPROVERS + 1, false);
        put_approvers(&twice, LIMIT_APPROVERS, true);
        _cleanup_runbook_ Runbook *r = good(fits.data);
        cr_assert_eq(step_of(r, "s")->approval->n_approvers, LIMIT_APPROVERS);
        expect_fault(over.data, "/steps/0/approvalConfig/approvers",
                     "has 1001 entries, more than the 1000 allowed (LIMIT_APPROVERS)");
        expect_fault(twice.data, "/steps/0/approvalConfig/approvers/999", "\"p3\" is in the list already");
}

Test(runbook_config, all_faults_are_told_at_once_and_counted) {
        _cleanup_report_ Report report = {0};
        Runbook *r = NULL;
        cr_assert_eq(compile_text("{'id': '?', 'vresion': '1', 'steps': [{'id': 'a', 'type': 'wat', "
                                  "'dependsOn': ['b', 'c']},"
                                  " {'id': 'b', 'type': 'wait', 'config': {}, 'dependsOn': ['a'], "
                                  "'timeoutMs': 0},"
                                  " {'id': 'd', 'type': 'custom:x', 'input': '${'}]}",
                                  &runbook_defaults_builtin, &report, &r),
                     -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_INVALID_RUNBOOK);
        cr_assert_str_eq(report.message, "the runbook has 9 errors");
        cr_assert_eq(report.n_details, 9);
        cr_assert(has_fault(&report, "/vresion", "did you mean \"version\"?"));
        cr_assert(has_fault(&report, "/version", "is required"));
        cr_assert(has_fault(&report, "/id", "must be 1 to 128"));
        cr_assert(has_fault(&report, "/steps/0/type", "did you mean \"wait\"?"));
        cr_assert(has_fault(&report, "/steps/0/dependsOn/1", "there is no step \"c\""));
        cr_assert(has_fault(&report, "/steps/0/dependsOn/0", "a → b → a"));
        cr_assert(has_fault(&report, "/steps/1/config", "either durationMs or until"));
        cr_assert(has_fault(&report, "/steps/1/timeoutMs", "is 0"));
        cr_assert(has_fault(&report, "/steps/2/input", "the closing }"));
}

Test(runbook_config, one_error_is_one) {
        _cleanup_report_ Report report = {0};
        Runbook *r = NULL;
        cr_assert_eq(compile_text(RUNBOOK("{'id': 'a', 'type': 'custom:x', 'timeoutMs': 0}"),
                                  &runbook_defaults_builtin, &report, &r),
                     -EINVAL);
        cr_assert_str_eq(report.message, "the runbook has 1 error");
}

Test(runbook_config, faults_beyond_the_reports_cap_are_counted) {
        _cleanup_report_ Report report = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        Runbook *r = NULL;
        buf_put_str(&b, "{'id': 'r', 'version': '1', 'steps': [");
        for (int i = 0; i < 250; i++)
                buf_printf(&b, "{'id': 's%d', 'type': 'transform'},", i);
        buf_put_str(&b, STEP("last") "]}");
        buf_put_char(&b, '\0');
        cr_assert_eq(compile_text(b.data, &runbook_defaults_builtin, &report, &r), -EINVAL);
        cr_assert_eq(report.n_details, REPORT_DETAILS_MAX);
        cr_assert_eq(report.n_dropped, 150);
        cr_assert_str_eq(report.message, "the runbook has 250 errors");
}
