#include "runbook_fixture.h"

TestSuite(runbook_call, .fini = check_leaks);

static Runbook *call(const char *config) {
        _cleanup_free_ char *text = NULL;
        cr_assert_gt(asprintf(&text, RUNBOOK("{'id': 's', 'type': 'call-service', 'config': {%s}}"), config),
                     0);
        return good(text);
}

static void expect_good_call(const char *config) {
        _cleanup_runbook_ Runbook *r = call(config);
        cr_assert_eq(r->n_steps, 1);
}

static void expect_config(const char *config, const char *canonical) {
        _cleanup_runbook_ Runbook *r = call(config);
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *tree = expr_template_constant(step_of(r, "s")->config);
        cr_assert_not_null(tree);
        json_canonical(tree, &b);
        cr_assert(slice_eq_str(buf_slice(&b), canonical), "%.*s, not %s", (int)b.n, b.data, canonical);
}

static void expect_call_fault(const char *config, const char *path, const char *part) {
        _cleanup_free_ char *text = NULL, *whole = NULL;
        cr_assert_gt(asprintf(&text, RUNBOOK("{'id': 's', 'type': 'call-service', 'config': {%s}}"), config),
                     0);
        cr_assert_gt(asprintf(&whole, "/steps/0/config%s", path), 0);
        expect_fault(text, whole, part);
}

#define URL "'url': 'https://x'"

Test(runbook_call, the_method_is_decided_here) {
        expect_config(URL, "{\"method\":\"GET\",\"url\":\"https://x\"}");
        expect_config(URL ", 'body': {}", "{\"body\":{},\"method\":\"POST\",\"url\":\"https://x\"}");
        expect_config(URL ", 'method': null, 'body': 'x'",
                      "{\"body\":\"x\",\"method\":\"POST\",\"url\":\"https://x\"}");
        expect_config(URL ", 'method': 'PUT', 'body': null",
                      "{\"body\":null,\"method\":\"PUT\",\"url\":\"https://x\"}");
}

Test(runbook_call, methods) {
        static const char *const methods[] = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"};
        for (size_t i = 0; i < N_ELEMENTS(methods); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'method': '%s'", methods[i]), 0);
                expect_good_call(config);
        }
        expect_call_fault(URL ", 'method': 'post'", "/method", "must be \"DELETE\", \"GET\", ");
        expect_call_fault(URL ", 'method': 'POTS'", "/method", "did you mean \"POST\"?");
        expect_call_fault(URL ", 'method': '${input.m}'", "/method", "must be");
        expect_call_fault(URL ", 'method': 5", "/method", "must be a string");
}

Test(runbook_call, urls_that_are_fine) {
        static const char *const urls[] = {
                        "http://a",
                        "https://a.b.c/d?e=f#g",
                        "HTTPS://a",
                        "https://a:8443/x",
                        "http://127.0.0.1:1/",
                        "http://[::1]",
                        "http://[::1]:80/",
                        "https://a/x@y",
                        "https://a?x@y",
                        "${input.url}",
                        "https://${input.host}",
                        "https://${input.host}/a@b",
                        "https://a${input.b}",
                        "${input.base}/path",
                        "http${input.s}://a",
                        "https://a/${input.id}",
                        "https://a/$${x}",
                        "https://a/\xc3\xa9",
        };
        for (size_t i = 0; i < N_ELEMENTS(urls); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, "'url': '%s'", urls[i]), 0);
                expect_good_call(config);
        }
}

Test(runbook_call, urls_that_are_not) {
        static const struct {
                const char *url, *part;
        } cases[] = {
                        {"", "must not be empty"},
                        {"ftp://a", "must be a URL that begins with http:// or https://"},
                        {"file:///etc/passwd", "must be a URL"},
                        {"a.b/c", "must be a URL"},
                        {"https:/a", "must be a URL"},
                        {"https", "must be a URL"},
                        {"javascript:${input.x}", "must be a URL"},
                        {"/path/${input.x}", "must be a URL"},
                        {"https://", "no host"},
                        {"https:///x", "no host"},
                        {"https://:80", "no host"},
                        {"https://?x", "no host"},
                        {"https://[::1", "no host"},
                        {"https://[::1]x/", "port"},
                        {"https://a:b", "port is not a number"},
                        {"https://a:0", "port is not a number"},
                        {"https://a:65536", "port is not a number"},
                        {"https://a:/", "port is not a number"},
                        {"https://u:p@a", "must not hold a user"},
                        {"https://u@a/x", "must not hold a user"},
                        {"https://u@${input.host}", "must not hold a user"},
                        {"https://u:p@a/${input.x}", "must not hold a user"},
                        {"https://a b", "blanks"},
                        {"https://a/\\n", "blanks"},
                        {"https://a\\\\b", "backslashes"},
                        {" https://a", "must be a URL"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, "'url': '%s'", cases[i].url), 0);
                expect_call_fault(config, "/url", cases[i].part);
        }
        expect_call_fault("", "/url", "is required");
        expect_call_fault("'url': 5", "/url", "must be a string");
}

Test(runbook_call, secrets_leave_the_config) {
        _cleanup_runbook_ Runbook *r = call(URL ", 'headers': {'Accept': 'a/b', 'X-Data': '${input.d}', "
                                                "'Authorization': 'Bearer ${secrets.API_TOKEN}',"
                                                " 'X-Key': '${secrets[\\u0022k.1-x\\u0022]};v=$${1}'}");
        const RunbookStep *s = step_of(r, "s");
        cr_assert_eq(s->n_secret_headers, 2);
        const SecretHeader *a = &s->secret_headers[0], *k = &s->secret_headers[1];
        if (!slice_eq_str(a->header, "Authorization")) {
                const SecretHeader *other = a;
                a = k;
                k = other;
        }
        expect_text(a->header, "Authorization");
        expect_text(a->prefix, "Bearer ");
        expect_text(a->secret, "API_TOKEN");
        expect_text(a->suffix, "");
        expect_text(k->header, "X-Key");
        expect_text(k->prefix, "");
        expect_text(k->secret, "k.1-x");
        expect_text(k->suffix, ";v=${1}");
        cr_assert_not(expr_template_is_constant(s->config));
        cr_assert_not_null(memmem(value_bytes(r->definition).data, value_bytes(r->definition).n, "API_TOKEN",
                                  9));
        expect_config(URL ", 'headers': {'A': 'b', 'S': '${secrets.S}'}",
                      "{\"headers\":{\"A\":\"b\"},\"method\":\"GET\",\"url\":\"https://x\"}");
}

Test(runbook_call, faults_of_headers) {
        static const struct {
                const char *headers, *path, *part;
        } cases[] = {
                        {"[]", "", "must be an object"},
                        {"'${input.headers}'", "", "must be an object, is a string"},
                        {"{'A': 5}", "/A", "must be a string, is a number"},
                        {"{'A': null}", "/A", "must be a string, is null"},
                        {"{'': 'x'}", "/", "is not a header name"},
                        {"{'a b': 'x'}", "/a b", "is not a header name"},
                        {"{'a:b': 'x'}", "/a:b", "is not a header name"},
                        {"{'${input.x}': 'x'}", "/${input.x}", "is not a header name"},
                        {"{'A': 'x\\r\\nB: y'}", "/A", "must not hold line breaks"},
                        {"{'A': 'a\\u007f'}", "/A", "control characters"},
                        {"{'Host': 'x'}", "/Host", "the engine sets this header itself"},
                        {"{'content-LENGTH': '5'}", "/content-LENGTH", "the engine sets this header itself"},
                        {"{'Transfer-Encoding': 'x'}", "/Transfer-Encoding", "the engine sets"},
                        {"{'Connection': 'x'}", "/Connection", "the engine sets"},
                        {"{'X-Tenant-Id': 'x'}", "/X-Tenant-Id", "the engine sets"},
                        {"{'Idempotency-Key': 'x'}", "/Idempotency-Key", "use config.idempotencyKey"},
                        {"{'A': 'x', 'a': 'y'}", NULL, "case does not count in header names"},
                        {"{'A': '${secrets.X}${secrets.Y}'}", "/A", "a secret stands alone"},
                        {"{'A': '${secrets.X ?? none}'}", "/A", "a secret stands alone"},
                        {"{'A': '${input.x} ${secrets.X}'}", "/A", "a secret stands alone"},
                        {"{'A': '${secrets.X'}", "/A", "the closing }"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *config = NULL, *path = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'headers': %s", cases[i].headers), 0);
                /* Which of two equal names is told depends on the object's order. */
                cr_assert_gt(asprintf(&path, "/headers%s", cases[i].path ? cases[i].path : ""), 0);
                if (cases[i].path) {
                        expect_call_fault(config, path, cases[i].part);
                        continue;
                }
                _cleanup_report_ Report report = {0};
                _cleanup_free_ char *text = NULL;
                Runbook *r = NULL;
                cr_assert_gt(asprintf(&text, RUNBOOK("{'id': 's', 'type': 'call-service', 'config': {%s}}"),
                                      config),
                             0);
                cr_assert_eq(compile_text(text, &runbook_defaults_builtin, &report, &r), -EINVAL);
                cr_assert_eq(report.n_details, 1);
                cr_assert(strstr(report.details[0].message, cases[i].part));
        }
}

Test(runbook_call, headers_have_a_cap) {
        for (int n = LIMIT_HEADERS; n <= LIMIT_HEADERS + 1; n++) {
                _cleanup_(buf_deinit) Buf b = {0};
                buf_put_str(&b, URL ", 'headers': {");
                for (int i = 0; i < n; i++)
                        buf_printf(&b, "%s'H%d': '%s'", i ? "," : "", i, i % 2 ? "x" : "${secrets.S}");
                buf_put(&b, "}", 2);
                if (n > LIMIT_HEADERS) {
                        expect_call_fault(b.data, "/headers", "LIMIT_HEADERS");
                        continue;
                }
                _cleanup_runbook_ Runbook *r = call(b.data);
                cr_assert_eq(step_of(r, "s")->n_secret_headers, LIMIT_HEADERS / 2);
        }
}

Test(runbook_call, queries) {
        static const char *const fine[] = {
                        "{}",
                        "{'a': 1, 'b': 'x', 'c': true, 'd': null, 'e': ['x', 2], 'f': [], 'g': '${input.g}'}",
                        "'${input.q}'"};
        for (size_t i = 0; i < N_ELEMENTS(fine); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'query': %s", fine[i]), 0);
                expect_good_call(config);
        }
        expect_call_fault(URL ", 'query': 'a=b'", "/query", "must be an object");
        expect_call_fault(URL ", 'query': []", "/query", "must be an object");
        expect_call_fault(URL ", 'query': {'a': {}}", "/query/a",
                          "must be a string, a number, a boolean or an array of them");
        expect_call_fault(URL ", 'query': {'a': ['x', []]}", "/query/a", "must be a string");
}

Test(runbook_call, expected_statuses) {
        static const char *const fine[] = {"200", "'2xx'", "[200, 404, '5xx']", "100", "599"};
        for (size_t i = 0; i < N_ELEMENTS(fine); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'expectStatus': %s", fine[i]), 0);
                expect_good_call(config);
        }
        static const struct {
                const char *status, *path, *part;
        } cases[] = {
                        {"99", "", "must be a status from 100 to 599"},
                        {"600", "", "must be a status"},
                        {"200.5", "", "must be a status"},
                        {"'200'", "", "a class like \"2xx\""},
                        {"'6xx'", "", "must be a status"},
                        {"'2XX'", "", "must be a status"},
                        {"{}", "", "must be a status"},
                        {"[]", "", "at least one"},
                        {"[200, 'x']", "/1", "must be a status"},
                        {"[null]", "/0", "must be a status"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *config = NULL, *path = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'expectStatus': %s", cases[i].status), 0);
                cr_assert_gt(asprintf(&path, "/expectStatus%s", cases[i].path), 0);
                expect_call_fault(config, path, cases[i].part);
        }
}

Test(runbook_call, auth) {
        static const char *const fine[] = {"{'bearerSecret': 'TOKEN'}",
                                           "{'basicUser': 'u', 'basicSecret': 'p.w-1'}",
                                           "{'headerName': 'X-Key', 'headerSecret': 'K'}"};
        for (size_t i = 0; i < N_ELEMENTS(fine); i++) {
                _cleanup_free_ char *config = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'auth': %s", fine[i]), 0);
                expect_good_call(config);
        }
        static const struct {
                const char *auth, *path, *part;
        } cases[] = {
                        {"'x'", "", "must be an object"},
                        {"{}", "", "must be one of {bearerSecret}"},
                        {"{'bearerSecret': 'a', 'basicUser': 'b', 'basicSecret': 'c'}", "", "must be one of"},
                        {"{'bearerSecret': ''}", "/bearerSecret", "must be the name of a secret"},
                        {"{'bearerSecret': 'a b'}", "/bearerSecret", "must be the name of a secret"},
                        {"{'basicUser': 'u'}", "/basicSecret", "is required"},
                        {"{'basicSecret': 's'}", "/basicUser", "is required"},
                        {"{'headerSecret': 's'}", "/headerName", "is required"},
                        {"{'headerName': 'X'}", "/headerSecret", "is required"},
                        {"{'headerName': 'Host', 'headerSecret': 's'}", "/headerName", "the engine sets"},
                        {"{'bearerSecret': 'a', 'bearer': 'b'}", "/bearer", "unknown field"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *config = NULL, *path = NULL;
                cr_assert_gt(asprintf(&config, URL ", 'auth': %s", cases[i].auth), 0);
                cr_assert_gt(asprintf(&path, "/auth%s", cases[i].path), 0);
                expect_call_fault(config, path, cases[i].part);
        }
        /* A reference in place of a name is both no name and a secret where none may stand. */
        expect_faults(RUNBOOK("{'id': 's', 'type': 'call-service', 'config': {" URL
                              ", 'auth': {'bearerSecret': '${secrets.A}'}}}"),
                      2, "/steps/0/config/auth/bearerSecret", "must be the name of a secret");
}

Test(runbook_call, other_fields) {
        expect_good_call(URL ", 'idempotencyKey': 'order-${input.id}', 'protocol': 'http'");
        expect_call_fault(URL ", 'idempotencyKey': ''", "/idempotencyKey", "must not be empty");
        expect_call_fault(URL ", 'idempotencyKey': 'a\\nb'", "/idempotencyKey", "no control characters");
        expect_call_fault(URL ", 'idempotencyKey': 5", "/idempotencyKey", "must be a string");
        expect_call_fault(URL ", 'timeoutMs': 5", "/timeoutMs", "unknown field");
        expect_call_fault(URL ", 'header': {}", "/header", "did you mean \"headers\"?");
        expect_call_fault(URL ", 'protocol': 'https'", "/protocol",
                          "must be \"http\" or \"grpc\", is \"https\"; did you mean \"http\"?");
}

#define GRPC                                                                                                 \
        "'protocol': 'grpc', 'target': 'h:50051', 'service': 'a.B', 'method': 'C', 'descriptorSet': 'Cg=='"

Test(runbook_call, grpc) {
        _cleanup_runbook_ Runbook *r = call(
                        GRPC
                        ", 'tls': true, 'metadata': {'x-a': 'b', 'x-t': '${secrets.T}'}, 'body': {'a': 1},"
                        " 'auth': {'bearerSecret': 'A'}, 'idempotencyKey': 'k'");
        cr_assert_eq(step_of(r, "s")->n_secret_headers, 1);
        expect_text(step_of(r, "s")->secret_headers[0].header, "x-t");
        expect_config(GRPC, "{\"method\":\"C\",\"protocol\":\"grpc\",\"service\":\"a."
                            "B\",\"target\":\"h:50051\"}");
        static const struct {
                const char *config, *path, *part;
        } cases[] = {
                        {"'protocol': 'grpc', 'service': 'a', 'method': 'C', 'descriptorSet': 'Cg=='",
                         "/target", "is required"},
                        {"'protocol': 'grpc', 'target': 'h:1', 'method': 'C', 'descriptorSet': 'Cg=='",
                         "/service", "is required"},
                        {"'protocol': 'grpc', 'target': 'h:1', 'service': 'a', 'descriptorSet': 'Cg=='",
                         "/method", "is required"},
                        {"'protocol': 'grpc', 'target': 'h:1', 'service': 'a', 'method': 'C'",
                         "/descriptorSet", "is required"},
                        {"'protocol': 'grpc', 'target': 'h', 'service': 'a', 'method': 'C', 'descriptorSet': "
                         "'Cg=='",
                         "/target", "must be host:port"},
                        {"'protocol': 'grpc', 'target': 'http://h:1', 'service': 'a', 'method': 'C', "
                         "'descriptorSet': 'Cg=='",
                         "/target", "host:port"},
                        {"'protocol': 'grpc', 'target': 'u@h:1', 'service': 'a', 'method': 'C', "
                         "'descriptorSet': 'Cg=='",
                         "/target", "host:port"},
                        {"'protocol': 'grpc', 'target': '[::1]', 'service': 'a', 'method': 'C', "
                         "'descriptorSet': 'Cg=='",
                         "/target", "host:port"},
                        {"'protocol': 'grpc', 'target': 'h:1', 'service': 'a', 'method': 'C', "
                         "'descriptorSet': 'd'",
                         "/descriptorSet", "FileDescriptorSet in base64"},
                        {"'protocol': 'grpc', 'target': 'h:1', 'service': 'a', 'method': 'C', "
                         "'descriptorSet': '${input.d}'",
                         "/descriptorSet", "FileDescriptorSet in base64"},
                        {GRPC ", 'tls': 'yes'", "/tls", "must be true or false"},
                        {GRPC ", 'url': 'https://x'", "/url", "unknown field"},
                        {GRPC ", 'metadata': {'grpc-timeout': '1S'}", "/metadata/grpc-timeout", "reserved"},
                        {GRPC ", 'headers': {}", "/headers", "unknown field"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_call_fault(cases[i].config, cases[i].path, cases[i].part);
        expect_good_call("'protocol': 'grpc', 'target': '[::1]:50051', 'service': 'a', "
                         "'method': 'C', 'descriptorSet': 'Cg=='");
        expect_good_call("'protocol': 'grpc', 'target': '${input.t}', 'service': 'a', "
                         "'method': 'C', 'descriptorSet': 'Cg=='");
}

Test(runbook_call, the_descriptor_set_is_kept_aside) {
        _cleanup_runbook_ Runbook *r = call(GRPC), *http = call(URL);
        const DescriptorSet *set = step_of(r, "s")->descriptor_set;
        Digest digest;
        cr_assert_not_null(set);
        expect_text(set->base64, "Cg==");
        cr_assert_eq(digest_slice(SLICE("Cg=="), &digest), 0);
        cr_assert(digest_eq(&set->digest, &digest));
        cr_assert_null(step_of(http, "s")->descriptor_set);
}

Test(runbook_call, a_descriptor_set_has_a_limit) {
        size_t n = (LIMIT_DESCRIPTOR_SET_BYTES / 3 + 1) * 4;
        _cleanup_free_ char *letters = malloc(n + 1), *config = NULL;
        memset(letters, 'A', n);
        letters[n] = 0;
        cr_assert_gt(asprintf(&config,
                              "'protocol': 'grpc', 'target': 'h:1', 'service': 'a', 'method': 'C', "
                              "'descriptorSet': '%s'",
                              letters),
                     0);
        expect_call_fault(config, "/descriptorSet", "LIMIT_DESCRIPTOR_SET_BYTES");
}

static int refuse(void *userdata, const RunbookStep *step, const JsonAt *config) {
        ++*(int *)userdata;
        JsonAt at = json_at_key(config, "url");
        return step->type == STEP_TYPE_CALL_SERVICE ? json_at_error(&at, "is not liked") : 0;
}

Test(runbook_call, those_who_run_steps_are_asked) {
        int n_asked = 0;
        RunbookDefaults defaults = runbook_defaults_builtin;
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        defaults.check_config = refuse;
        defaults.check_userdata = &n_asked;
        cr_assert_eq(compile_text(RUNBOOK("{'id': 's', 'type': 'call-service', 'config': {" URL "}}"),
                                  &defaults, &report, &r),
                     -EINVAL);
        cr_assert_eq(n_asked, 1);
        cr_assert_eq(report.n_details, 1);
        cr_assert_str_eq(report.details[0].path, "/steps/0/config/url");
        cr_assert_str_eq(report.details[0].message, "is not liked");
}
