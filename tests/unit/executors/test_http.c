/* What a call sends, and what becomes of the answer. */
#include <stdlib.h>
#include <time.h>

#include "../leaks.h"
#include "harness.h"

static Harness h;

static void set_up(void) { harness_start(&h, NULL); }
static void tear_down(void) {
        harness_stop(&h);
        check_leaks();
}

TestSuite(http, .init = set_up, .fini = tear_down, .timeout = 60);

static Slice bytes(Value *v) { return value_bytes(v); }

#define assert_output(r, text) \
        cr_assert(slice_eq_str(bytes((r).output), text), "%.*s", SLICE_ARG(bytes((r).output)))

static void assert_failed(TaskResult *r, const char *code, bool retryable) {
        cr_assert_not(r->ok, "%s was expected, not %.*s", code, SLICE_ARG(bytes(r->output)));
        cr_assert_str_eq(harness_string(r->error, "code"), code, "%.*s", SLICE_ARG(bytes(r->error)));
        cr_assert_eq(json_is_true(harness_at(r->error, "retryable")), retryable, "%.*s",
                     SLICE_ARG(bytes(r->error)));
}

static void expect_failure(const char *config, const char *code, bool retryable) {
        TaskResult r = harness_call(&h, config, NULL);
        assert_failed(&r, code, retryable);
        harness_result_free(&r);
}

/* ---- what is sent -------------------------------------------------------------------------------------- */

Test(http, a_plain_get) {
        TaskResult r = harness_call(&h, "{'url':'@/echo?x=1#there'}", "{'not':'sent'}");
        cr_assert(r.ok);
        cr_assert_str_eq(harness_string(r.output, "method"), "GET");
        cr_assert_str_eq(harness_string(r.output, "path"), "/echo");
        cr_assert_str_eq(harness_string(r.output, "query"), "x=1");
        cr_assert_str_eq(harness_string(r.output, "received"), "");
        cr_assert_str_eq(harness_string(r.output, "sent.idempotency-key"), "key-0");
        cr_assert_str_eq(harness_string(r.output, "sent.x-tenant-id"), "acme");
        cr_assert_str_eq(harness_string(r.output, "sent.x-initiated-by"), "al%0D%0Aice");
        cr_assert_str_eq(harness_string(r.output, "sent.traceparent"),
                         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        cr_assert_str_eq(harness_string(r.output, "sent.user-agent"), "runbookd/0.1.0");
        cr_assert_str_eq(harness_string(r.output, "sent.accept-encoding"), "gzip");
        cr_assert_null(harness_at(r.output, "sent.content-type"));
        cr_assert_null(harness_at(r.output, "sent.content-length"));
        cr_assert_null(harness_at(r.output, "sent.expect"));
        harness_result_free(&r);
}

Test(http, the_input_is_the_default_body) {
        static const char *const methods[] = {"POST", "put", "Patch"};
        for (size_t i = 0; i < 3; i++) {
                char config[128];
                snprintf(config, sizeof(config), "{'url':'@/echo','method':'%s'}", methods[i]);
                TaskResult r = harness_call(&h, config, "{'b':[1,2.50],'a':null}");
                cr_assert(r.ok);
                cr_assert_str_eq(harness_string(r.output, "method"), i == 0   ? "POST"
                                                                     : i == 1 ? "PUT"
                                                                              : "PATCH");
                cr_assert_str_eq(harness_string(r.output, "received"), "{\"a\":null,\"b\":[1,2.5]}");
                cr_assert_str_eq(harness_string(r.output, "sent.content-type"), "application/json");
                harness_result_free(&r);
        }
        TaskResult r = harness_call(&h, "{'url':'@/echo','method':'POST'}", NULL);
        cr_assert_str_eq(harness_string(r.output, "sent.content-length"), "0");
        cr_assert_null(harness_at(r.output, "sent.content-type"));
        harness_result_free(&r);
        r = harness_call(&h, "{'url':'@/echo','method':'POST','body':null}", "{'not':'sent'}");
        cr_assert_str_eq(harness_string(r.output, "sent.content-length"), "0");
        harness_result_free(&r);
}

Test(http, a_body_of_its_own) {
        static const struct {
                const char *config, *method, *received, *type;
        } cases[] = {
                        {"{'url':'@/echo','body':{'b':1,'a':'\\u00e9'}}", "POST",
                         "{\"a\":\"\xc3\xa9\",\"b\":1}", "application/json"},
                        {"{'url':'@/echo','body':'as it is'}", "POST", "as it is",
                         "text/plain; charset=utf-8"},
                        {"{'url':'@/echo','body':'<a/>','headers':{'content-type':'text/xml'}}", "POST",
                         "<a/>", "text/xml"},
                        {"{'url':'@/echo','body':0}", "POST", "0", "application/json"},
                        {"{'url':'@/echo','body':false,'method':'PUT'}", "PUT", "false", "application/json"},
                        {"{'url':'@/echo','body':[],'method':'DELETE'}", "DELETE", "[]", "application/json"},
                        {"{'url':'@/echo','body':{},'method':'GET'}", "GET", "{}", "application/json"},
                        {"{'url':'@/echo','body':{'a "
                         "b':'c&d','n':[1,true],'x':null},'headers':{'Content-Type':'application/"
                         "x-www-form-urlencoded'}}",
                         "POST", "a%20b=c%26d&n=1&n=true", "application/x-www-form-urlencoded"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                TaskResult r = harness_call(&h, cases[i].config, "{'not':'sent'}");
                cr_assert(r.ok, "%s", cases[i].config);
                cr_expect_str_eq(harness_string(r.output, "method"), cases[i].method);
                cr_expect_str_eq(harness_string(r.output, "received"), cases[i].received);
                cr_expect_str_eq(harness_string(r.output, "sent.content-type"), cases[i].type);
                harness_result_free(&r);
        }
}

Test(http, handles_are_clean_between_calls) {
        /* One handle serves all of these in turn. */
        for (int i = 0; i < 3; i++) {
                TaskResult r = harness_call(
                                &h, "{'url':'@/echo','method':'POST','body':'12345','headers':{'X-A':'1'}}",
                                NULL);
                cr_assert_str_eq(harness_string(r.output, "received"), "12345");
                harness_result_free(&r);
                r = harness_call(&h, "{'url':'@/echo','method':'HEAD'}", NULL);
                cr_assert(r.ok);
                cr_assert(json_is_null(harness_at(r.output, "body")));
                harness_result_free(&r);
                r = harness_call(&h, "{'url':'@/echo'}", NULL);
                cr_assert_str_eq(harness_string(r.output, "method"), "GET");
                cr_assert_str_eq(harness_string(r.output, "received"), "");
                cr_assert_null(harness_at(r.output, "sent.x-a"));
                cr_assert_null(harness_at(r.output, "sent.content-length"));
                harness_result_free(&r);
                r = harness_call(&h, "{'url':'@/echo','method':'DELETE'}", NULL);
                cr_assert_str_eq(harness_string(r.output, "method"), "DELETE");
                harness_result_free(&r);
        }
        TaskResult r = harness_page(&h, "/stats");
        cr_assert_eq(harness_integer(r.output, "connections"), 1);
        harness_result_free(&r);
}

Test(http, query_and_headers) {
        TaskResult r = harness_call(&h,
                                    "{'url':'@/echo?a=1','query':{'q':'x "
                                    "y/\\u00e9','n':2.5,'l':['1',2,null,true],'none':null,'e':''},"
                                    "'headers':{'X-Number':7,'X-Bool':true,'X-Empty':'','X-Null':null,'User-"
                                    "Agent':'mine','traceparent':'forged',"
                                    "'X-Tenant-Id':'forged','x-initiated-by':'forged'}}",
                                    NULL);
        cr_assert(r.ok);
        cr_assert_str_eq(harness_string(r.output, "query"), "a=1&q=x%20y%2F%C3%A9&n=2.5&l=1&l=2&l=true&e=");
        cr_assert_str_eq(harness_string(r.output, "sent.x-number"), "7");
        cr_assert_str_eq(harness_string(r.output, "sent.x-bool"), "true");
        cr_assert_str_eq(harness_string(r.output, "sent.x-empty"), "");
        cr_assert_null(harness_at(r.output, "sent.x-null"));
        cr_assert_str_eq(harness_string(r.output, "sent.user-agent"), "mine");
        cr_assert_str_eq(harness_string(r.output, "sent.x-tenant-id"), "acme");
        cr_assert_str_eq(harness_string(r.output, "sent.x-initiated-by"), "al%0D%0Aice");
        cr_assert_str_neq(harness_string(r.output, "sent.traceparent"), "forged");
        harness_result_free(&r);
}

Test(http, idempotency_key) {
        TaskResult r = harness_call(&h, "{'url':'@/echo','headers':{'idempotency-key':'from header'}}", NULL);
        cr_assert_str_eq(harness_string(r.output, "sent.idempotency-key"), "from header");
        harness_result_free(&r);
        r = harness_call(&h,
                         "{'url':'@/echo','idempotencyKey':'given\\nkey','headers':{'Idempotency-Key':'from "
                         "header'}}",
                         NULL);
        cr_assert_str_eq(harness_string(r.output, "sent.idempotency-key"), "given%0Akey");
        harness_result_free(&r);
        /* The same for every attempt. */
        Task *first = harness_task(&h, "{'url':'@/ok','method':'POST'}", NULL),
             *second = harness_task(&h, "{'url':'@/ok','method':'POST'}", NULL);
        second->instance = first->instance;
        second->attempt = 2;
        memcpy(second->idempotency_key, first->idempotency_key, sizeof(first->idempotency_key));
        h.executor->vtable->submit(h.executor, first);
        h.executor->vtable->submit(h.executor, second);
        cr_assert(harness_wait(&h, 2));
        harness_forget_results(&h);
        r = harness_page(&h, "/keys?key=key-2");
        cr_assert_eq(harness_integer(r.output, "keys.key-2"), 2, "%.*s", SLICE_ARG(bytes(r.output)));
        harness_result_free(&r);
}

Test(http, secrets) {
        static const struct {
                const char *config, *header, *value;
        } cases[] = {
                        {"{'url':'@/echo','auth':{'bearerSecret':'token'}}", "sent.authorization",
                         "Bearer s3cr3t"},
                        {"{'url':'@/echo','auth':{'basicUser':'al','basicSecret':'token'}}",
                         "sent.authorization", "Basic YWw6czNjcjN0"},
                        {"{'url':'@/echo','auth':{'headerName':'X-Token','headerSecret':'token'}}",
                         "sent.x-token", "s3cr3t"},
                        {"{'url':'@/echo','headers':{'x':'SECRET-HEADER'}}", "sent.x-api-key", "key s3cr3t!"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                TaskResult r = harness_call(&h, cases[i].config, NULL);
                cr_assert(r.ok, "%.*s", SLICE_ARG(bytes(r.error)));
                cr_expect_str_eq(harness_string(r.output, cases[i].header), cases[i].value);
                cr_expect_null(memmem(bytes(r.evidence).data, bytes(r.evidence).n, "s3cr3t", 6));
                cr_expect_null(memmem(bytes(r.logs).data, bytes(r.logs).n, "s3cr3t", 6));
                harness_result_free(&r);
        }
        expect_failure("{'url':'@/echo','auth':{'bearerSecret':'absent'}}", "SECRET_MISSING", false);
        expect_failure("{'url':'@/echo','auth':{'bearerSecret':'broken'}}", "SECRET_INVALID", false);
        TaskResult r = harness_page(&h, "/stats");
        cr_assert_eq(harness_integer(r.output, "requests"), 5, "nothing is sent without its secret");
        harness_result_free(&r);
}

Test(http, wrong_configs) {
        static const char *const wrong[] = {
                        "[]",
                        "{}",
                        "{'url':7}",
                        "{'url':'@/','method':7}",
                        "{'url':'@/','method':''}",
                        "{'url':'@/','method':'G E T'}",
                        "{'url':'@/','method':'CONNECT'}",
                        "{'url':'@/','method':'TRACE'}",
                        "{'url':'@/','query':'a=1'}",
                        "{'url':'@/','query':{'a':{}}}",
                        "{'url':'@/','query':{'a':[[]]}}",
                        "{'url':'@/','headers':[]}",
                        "{'url':'@/','headers':{'a b':'c'}}",
                        "{'url':'@/','headers':{'a':'b\\r\\nc: d'}}",
                        "{'url':'@/','headers':{'a':[]}}",
                        "{'url':'@/','headers':{'':'x'}}",
                        "{'url':'@/','headers':{'Content-Length':'5'}}",
                        "{'url':'@/','headers':{'transfer-encoding':'chunked'}}",
                        "{'url':'@/','headers':{'Connection':'close'}}",
                        "{'url':'@/','idempotencyKey':''}",
                        "{'url':'@/','idempotencyKey':{}}",
                        "{'url':'@/','expectStatus':99}",
                        "{'url':'@/','expectStatus':'6xx'}",
                        "{'url':'@/','expectStatus':[]}",
                        "{'url':'@/','expectStatus':{}}",
                        "{'url':'@/','auth':'x'}",
                        "{'url':'@/','auth':{}}",
                        "{'url':'@/','auth':{'basicUser':'x'}}",
                        "{'url':'@/','auth':{'bearerSecret':'token','x':1}}",
                        "{'url':'@/','auth':{'headerName':'Host:','headerSecret':'token'}}",
                        "{'url':'@/','auth':{'headerName':'X-Tenant-Id','headerSecret':'token'}}"};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                TaskResult r = harness_call(&h, wrong[i], NULL);
                cr_expect(!r.ok, "%s", wrong[i]);
                cr_expect_str_eq(harness_string(r.error, "code"), "CONFIG_INVALID", "%s", wrong[i]);
                cr_expect(json_is_false(harness_at(r.error, "retryable")));
                cr_expect(strstr(harness_string(r.error, "message"), "config"), "%s",
                          harness_string(r.error, "message"));
                cr_expect_null(r.evidence);
                cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
                harness_result_free(&r);
        }
        expect_failure("{'protocol':'gopher','target':'localhost:1'}", "UNSUPPORTED_PROTOCOL", false);
        expect_failure("{'protocol':'carrier pigeon'}", "UNSUPPORTED_PROTOCOL", false);
}

Test(http, wrong_urls) {
        static const char *const wrong[] = {"",
                                            "/path",
                                            "example.com/x",
                                            "ftp://example.com/",
                                            "file:///etc/passwd",
                                            "gopher://x/",
                                            "http://",
                                            "http://a b/",
                                            "http://h/a b",
                                            "http://h:99999/",
                                            "http://h:x/",
                                            "http://[::1",
                                            "http://h/\\n",
                                            "javascript:alert",
                                            "http://%00/",
                                            "telnet://127.0.0.1/"};
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                char config[128];
                snprintf(config, sizeof(config), "{'url':'%s'}", wrong[i]);
                TaskResult r = harness_call(&h, config, NULL);
                assert_failed(&r, "URL_INVALID", false);
                harness_result_free(&r);
        }
        TaskResult r = harness_call(&h, "{'url':'nope://user:hunter2\\u0040host/?token=hunter2'}", NULL);
        cr_assert_null(strstr(harness_string(r.error, "message"), "hunter2"), "%s",
                       harness_string(r.error, "message"));
        harness_result_free(&r);
}

/* ---- what comes back ----------------------------------------------------------------------------------- */

Test(http, json_objects_are_spread_out) {
        TaskResult r = harness_call(
                        &h,
                        "{'url':'@/typed?type=application/"
                        "json&body=%7B%22z%22:1,%22a%22:%7B%22y%22:2,%22x%22:1.50%7D,%22c%22:null%7D'}",
                        NULL);
        assert_output(r, "{\"a\":{\"x\":1.5,\"y\":2},\"body\":{\"a\":{\"x\":1.5,\"y\":2},\"c\":null,\"z\":1},"
                         "\"c\":null,"
                         "\"headers\":{\"content-length\":\"37\",\"content-type\":\"application/"
                         "json\"},\"status\":200,\"z\":1}");
        harness_result_free(&r);
        /* The names that are ours stay ours. */
        r = harness_call(&h,
                         "{'url':'@/typed?type=application/"
                         "json&body=%7B%22status%22:%22up%22,%22body%22:1,%22headers%22:2,%22body!%22:3,%"
                         "22bodx%22:4%7D'}",
                         NULL);
        cr_assert(r.ok);
        cr_assert_eq(harness_integer(r.output, "status"), 200);
        cr_assert_eq(harness_integer(r.output, "body.body"), 1);
        cr_assert_str_eq(harness_string(r.output, "body.status"), "up");
        cr_assert(json_is_object(harness_at(r.output, "headers")));
        cr_assert_eq(harness_integer(r.output, "body!"), 3);
        /* Canonical: what the tree would be written as. */
        Value *again = value_new(json_incref((json_t *)value_json(r.output)));
        cr_assert(slice_eq(bytes(again), bytes(r.output)), "%.*s", SLICE_ARG(bytes(r.output)));
        value_unref(again);
        harness_result_free(&r);
}

Test(http, bodies_of_all_kinds) {
        static const struct {
                const char *query, *body;
        } cases[] = {
                {"type=application/json&body=[1,%202]", "[1,2]"},
                {"type=application/json&body=%22x%22", "\"x\""},
                {"type=application/json&body=null", "null"},
                {"type=application/json;charset=utf-8&body=true", "true"},
                {"type=APPLICATION/JSON&body=1.0", "1"},
                {"type=application/problem%2Bjson&body=%7B%7D", "{}"},
                {"type=text/json&body=[]", "[]"},
                {"type=application/json&body=%EF%BB%BF[]", "[]"},
                {"type=text/plain&body=[1]", "\"[1]\""},
                {"type=text/plain&body=caf%C3%A9", "\"caf\xc3\xa9\""},
                {"type=text/plain&body=caf%E9", "{\"base64\":\"Y2Fm6Q==\"}"},
                {"type=image/png&body=%00%01%02", "{\"base64\":\"AAEC\"}"},
                {"body=[1]", "[1]"},
                {"body=%7B%22a%22:1%7D", "{\"a\":1}"},
                {"body=hello", "\"hello\""},
                {"body=[1", "\"[1\""},
                {"type=text/plain&body=", "null"},
                {"type=application/json&body=", "null"},
                {"status=204&body=x", "null"},
                {"status=201&type=application/json&body=1", "1"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char config[256];
                snprintf(config, sizeof(config), "{'url':'@/typed?%s'}", cases[i].query);
                TaskResult r = harness_call(&h, config, NULL);
                cr_assert(r.ok, "%s", cases[i].query);
                Value *body = value_new(json_incref((json_t *)harness_at(r.output, "body")));
                cr_expect(slice_eq_str(bytes(body), cases[i].body), "%s: %.*s", cases[i].query,
                          SLICE_ARG(bytes(r.output)));
                cr_expect_eq(json_array_size(value_json(r.logs)), 1, "%.*s", SLICE_ARG(bytes(r.logs)));
                value_unref(body);
                harness_result_free(&r);
        }
}

Test(http, json_that_is_none_is_kept_as_text) {
        static const char *const paths[] = {"/typed?type=application/json&body=%7Boops", "/deep?n=100"};
        for (size_t i = 0; i < 2; i++) {
                TaskResult r = harness_page(&h, paths[i]);
                cr_assert(json_is_string(harness_at(r.output, "body")));
                cr_assert_eq(json_array_size(value_json(r.logs)), 2);
                cr_assert_str_eq(harness_string(r.logs, "1.level"), "warn");
                cr_assert(strstr(harness_string(r.logs, "1.message"), "JSON"));
                harness_result_free(&r);
        }
        TaskResult r = harness_page(&h, "/deep?n=64");
        cr_assert(json_is_array(harness_at(r.output, "body")));
        harness_result_free(&r);
}

Test(http, headers_are_lowered_and_joined) {
        TaskResult r = harness_page(&h, "/headers?n=3");
        cr_assert_str_eq(harness_string(r.output, "headers.content-type"), "text/plain");
        cr_assert(json_is_string(harness_at(r.output, "headers.x-flood-3")));
        harness_result_free(&r);
        r = harness_page(&h, "/typed?type=a%0D%0ASet-Cookie:%20b%0D%0AX-Other:%0D%0ASet-Cookie:c%0D%0AX-"
                             "Latin:caf%E9");
        cr_assert_str_eq(harness_string(r.output, "headers.set-cookie"), "b, c");
        cr_assert_str_eq(harness_string(r.output, "headers.x-other"), "");
        cr_assert_str_eq(harness_string(r.output, "headers.x-latin"), "caf\xef\xbf\xbd");
        harness_result_free(&r);
}

Test(http, gzip_is_unpacked) {
        TaskResult r = harness_page(&h, "/gzip");
        cr_assert(json_is_true(harness_at(r.output, "packed")));
        cr_assert_str_eq(harness_string(r.output, "headers.content-encoding"), "gzip");
        harness_result_free(&r);
}

/* ---- statuses ------------------------------------------------------------------------------------------ */

Test(http, statuses) {
        static const struct {
                int status;
                bool retryable;
        } cases[] = {{300, false}, {301, false}, {302, false}, {304, false}, {400, false}, {401, false},
                     {403, false}, {404, false}, {408, true},  {409, false}, {410, false}, {422, false},
                     {425, true},  {429, true},  {499, false}, {500, true},  {501, true},  {502, true},
                     {503, true},  {504, true},  {599, true}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char config[128], code[16];
                snprintf(config, sizeof(config), "{'url':'@/status/%d'}", cases[i].status);
                snprintf(code, sizeof(code), "HTTP_%d", cases[i].status);
                TaskResult r = harness_call(&h, config, NULL);
                assert_failed(&r, code, cases[i].retryable);
                cr_expect_eq(harness_integer(r.error, "details.status"), cases[i].status);
                if (cases[i].status != 304)
                        cr_expect(strstr(harness_string(r.error, "details.body"), "code"), "%.*s",
                                  SLICE_ARG(bytes(r.error)));
                cr_expect_eq(r.retry_after_ms, 0);
                cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
                cr_expect_eq(harness_integer(r.evidence, "0.value.status"), cases[i].status);
                harness_result_free(&r);
        }
        for (int status = 200; status < 207; status++) {
                char config[128];
                snprintf(config, sizeof(config), "{'url':'@/status/%d'}", status);
                TaskResult r = harness_call(&h, config, NULL);
                cr_assert(r.ok);
                harness_result_free(&r);
        }
}

Test(http, expected_statuses) {
        static const struct {
                int status;
                const char *expect;
                bool ok;
        } cases[] = {{404, "404", true},         {404, "'404'", true},      {404, "'4xx'", true},
                     {404, "[200,'4XX']", true}, {404, "[200,201]", false}, {200, "404", false},
                     {302, "'3xx'", true},       {200, "'2xx'", true},      {500, "[500]", true},
                     {503, "500", false},        {204, "204", true}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char config[128];
                snprintf(config, sizeof(config), "{'url':'@/status/%d','expectStatus':%s}", cases[i].status,
                         cases[i].expect);
                TaskResult r = harness_call(&h, config, NULL);
                cr_expect_eq(r.ok, cases[i].ok, "%s", config);
                if (r.ok)
                        cr_expect_eq(harness_integer(r.output, "status"), cases[i].status);
                harness_result_free(&r);
        }
        TaskResult r = harness_call(&h, "{'url':'@/status/200','expectStatus':[201,'3xx']}", NULL);
        assert_failed(&r, "HTTP_200", false);
        cr_assert(strstr(harness_string(r.error, "message"), "expected was 201, 3xx"), "%s",
                  harness_string(r.error, "message"));
        harness_result_free(&r);
}

static int64_t retry_after(const char *after) {
        char config[160];
        snprintf(config, sizeof(config), "{'url':'@/status/503?after=%s'}", after);
        TaskResult r = harness_call(&h, config, NULL);
        int64_t ms = r.retry_after_ms;
        harness_result_free(&r);
        return ms;
}

Test(http, retry_after) {
        cr_assert_eq(retry_after("2"), 2000);
        cr_assert_eq(retry_after("0"), 0);
        cr_assert_eq(retry_after("-5"), 0);
        cr_assert_eq(retry_after("soon"), 0);
        cr_assert_eq(retry_after("99999999999999999999999"), 0);
        cr_assert_eq(retry_after("18446744073709551615"), 3600 * 1000);
        cr_assert_eq(retry_after("1000000"), 3600 * 1000);
        cr_assert_eq(retry_after("Wed,%2021%20Oct%202015%2007:28:00%20GMT"), 0, "the past");
        cr_assert_eq(retry_after("Fri,%2031%20Dec%209999%2023:59:59%20GMT"), 3600 * 1000);
        time_t at = time(NULL) + 100;
        char date[64];
        strftime(date, sizeof(date), "%a,%%20%d%%20%b%%20%Y%%20%H:%M:%S%%20GMT", gmtime(&at));
        int64_t ms = retry_after(date);
        cr_assert(ms > 95000 && ms <= 100000, "%lld", (long long)ms);
        /* Only where trying again makes sense. */
        TaskResult r = harness_call(&h, "{'url':'@/status/404?after=5'}", NULL);
        cr_assert_eq(r.retry_after_ms, 0);
        harness_result_free(&r);
}

Test(http, redirects_are_not_followed) {
        TaskResult r = harness_call(&h, "{'url':'@/redirect'}", NULL);
        assert_failed(&r, "HTTP_302", false);
        cr_assert(strstr(harness_string(r.error, "message"), "redirects are not followed"));
        harness_result_free(&r);
        r = harness_call(&h, "{'url':'@/redirect?to=http://169.254.169.254/','expectStatus':302}", NULL);
        cr_assert_str_eq(harness_string(r.output, "headers.location"), "http://169.254.169.254/");
        harness_result_free(&r);
        r = harness_page(&h, "/stats");
        cr_assert_eq(harness_integer(r.output, "requests"), 3);
        harness_result_free(&r);
}

/* ---- records ------------------------------------------------------------------------------------------- */

Test(http, evidence_and_log) {
        char url[64];
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", h.port);
        TaskResult r = harness_call(&h,
                                    "{'url':'@/ok?token=hunter2','method':'POST','query':{'more':'hunter2'}}",
                                    "{'a':1}");
        cr_assert(r.ok);
        char source[80], request[160];
        snprintf(source, sizeof(source), "POST %s", url);
        cr_assert_eq(json_array_size(value_json(r.evidence)), 1);
        cr_assert_str_eq(harness_string(r.evidence, "0.type"), "http-exchange");
        cr_assert_str_eq(harness_string(r.evidence, "0.sourceRef"), source);
        cr_assert_eq(harness_integer(r.evidence, "0.confidence"), 1);
        cr_assert_eq(harness_integer(r.evidence, "0.value.status"), 200);
        cr_assert_eq(harness_integer(r.evidence, "0.value.attempt"), 1);
        cr_assert_eq(harness_integer(r.evidence, "0.value.responseBytes"), 11);
        cr_assert_geq(harness_integer(r.evidence, "0.value.durationMs"), 0);
        Digest d;
        char text[DIGEST_TEXT_SIZE + 1];
        digest_slice(SLICE("{\"ok\":true}"), &d);
        digest_format(&d, text);
        cr_assert_str_eq(harness_string(r.evidence, "0.sha256"), text);
        cr_assert_str_eq(harness_string(r.evidence, "0.value.responseSha256"), text);
        snprintf(request, sizeof(request), "%s?token=hunter2&more=hunter2\n{\"a\":1}", source);
        digest_slice(slice_from_str(request), &d);
        digest_format(&d, text);
        cr_assert_str_eq(harness_string(r.evidence, "0.value.requestSha256"), text);
        cr_assert_eq(json_array_size(value_json(r.logs)), 1);
        cr_assert_str_eq(harness_string(r.logs, "0.level"), "info");
        cr_assert(strstr(harness_string(r.logs, "0.message"), url));
        cr_assert(strstr(harness_string(r.logs, "0.message"), " → 200 in "));
        cr_assert_eq(harness_integer(r.logs, "0.metadata.requestBytes"), 7);
        cr_assert_null(memmem(bytes(r.logs).data, bytes(r.logs).n, "hunter2", 7));
        cr_assert_null(memmem(bytes(r.evidence).data, bytes(r.evidence).n, "hunter2", 7));
        /* All of it is canonical. */
        Value *values[] = {r.logs, r.evidence};
        for (size_t i = 0; i < 2; i++) {
                Value *again = value_new(json_incref((json_t *)value_json(values[i])));
                cr_assert(slice_eq(bytes(again), bytes(values[i])), "%.*s", SLICE_ARG(bytes(values[i])));
                value_unref(again);
        }
        harness_result_free(&r);
}

Test(http, userinfo_is_sent_but_not_shown) {
        char config[160];
        snprintf(config, sizeof(config), "{'url':'http://al:hunter2\\u0040127.0.0.1:%u/echo'}", h.port);
        TaskResult r = harness_call(&h, config, NULL);
        cr_assert(r.ok);
        cr_assert_str_eq(harness_string(r.output, "sent.authorization"), "Basic YWw6aHVudGVyMg==");
        cr_assert_null(memmem(bytes(r.logs).data, bytes(r.logs).n, "hunter2", 7));
        cr_assert_null(memmem(bytes(r.evidence).data, bytes(r.evidence).n, "hunter2", 7));
        harness_result_free(&r);
}

Test(http, errors_carry_an_excerpt) {
        TaskResult r = harness_call(&h, "{'url':'@/json?n=5000&status=500'}", NULL);
        assert_failed(&r, "HTTP_500", true);
        cr_assert_eq(strlen(harness_string(r.error, "details.body")), 2048);
        Value *again = value_new(json_incref((json_t *)value_json(r.error)));
        cr_assert(slice_eq(bytes(again), bytes(r.error)));
        value_unref(again);
        harness_result_free(&r);
}
