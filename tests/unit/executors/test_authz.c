/* The authorization service: what counts as a decision, and every way in which there is none. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "executors/authz.h"
#include "harness.h"
#include "../leaks.h"

TestSuite(authz, .fini = check_leaks, .timeout = 60);

static Slice permissions[] = {{"hosts:isolate", 13}};
static const RunbookStep step = {.required_permissions = permissions, .n_required_permissions = 1};

/* ---- the bus, faked ------------------------------------------------------------------------------------ */

typedef struct FakeBus {
        void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody);
        void *asker;
        int result;         /* of ask */
        const char *answer; /* NULL: none comes */
        bool nobody;
        char subject[64], body[512];
        uint64_t token;
        unsigned n;
} FakeBus;

static int fake_ask(void *userdata, const char *subject, uint64_t token, Slice body) {
        FakeBus *b = userdata;
        snprintf(b->subject, sizeof(b->subject), "%s", subject);
        snprintf(b->body, sizeof(b->body), "%.*s", (int)body.n, body.data);
        b->token = token;
        b->n++;
        if (b->result == 0 && (b->answer || b->nobody))
                b->on_answer(b->asker, token, slice_from_str(b->answer ? b->answer : ""), b->nobody);
        return b->result;
}

static void fake_listen(void *userdata,
                        void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody),
                        void *asker) {
        FakeBus *b = userdata;
        b->on_answer = on_answer;
        b->asker = asker;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static int open_with(Harness *h, const AuthzSettings *settings, FakeBus *bus, Report *report) {
        ExecutorHost host = harness_host(h);
        AskBus ask = {fake_ask, fake_listen, bus};
        return authz_executor_new(settings, &ask, &host, report, &h->executor);
}

/** The misbehaving server's @path is the policy. */
static void start_http(Harness *h, const char *path, AuthzSettings settings) {
        Report report = {0};
        char url[512];
        *h = (Harness){0};
        harness_start_server(h);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", h->port, path);
        settings.url = url;
        cr_assert_eq(open_with(h, &settings, NULL, &report), 0, "%s", report.message);
}

static Task *question(Harness *h) {
        Task *t = harness_task_of(h, &step, NULL, json_pack("{s:{s:s}}", "input", "stepId", "a"));
        t->is_question = true;
        return t;
}

static TaskResult ask_http(const char *path) {
        Harness h;
        start_http(&h, path, (AuthzSettings){.timeout_ms = 300});
        TaskResult r = harness_run(&h, question(&h));
        harness_stop(&h);
        return r;
}

#define JSON "/typed?type=application%2Fjson&body="

static void expect_unavailable(TaskResult r, const char *cause, const char *word) {
        cr_assert(!r.ok && !r.evidence);
        cr_assert_str_eq(harness_string(r.error, "code"), "AUTHZ_UNAVAILABLE");
        cr_assert(json_is_true(harness_at(r.error, "retryable")));
        cr_assert_str_eq(harness_string(r.error, "details.cause"), cause, "%s",
                         harness_string(r.error, "message"));
        cr_assert_not_null(strstr(harness_string(r.error, "message"), word), "%s",
                           harness_string(r.error, "message"));
        harness_result_free(&r);
}

Test(authz, yes_and_no_in_both_shapes) {
        static const struct {
                const char *path;
                bool allow;
                const char *reason;
        } cases[] = {
                        {JSON "%7B%22result%22%3Atrue%7D", true, "(nothing)"},
                        {JSON "%7B%22result%22%3Afalse%7D", false, "(nothing)"},
                        {JSON "%7B%22result%22%3A%7B%22allow%22%3Atrue%7D%7D", true, "(nothing)"},
                        {JSON "%7B%22result%22%3A%7B%22allow%22%3Afalse%2C%22reason%22%3A%22no%22%7D%7D",
                         false, "no"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                TaskResult r = ask_http(cases[i].path);
                cr_assert(r.ok, "%zu: %s", i, harness_string(r.error, "message"));
                cr_assert(json_is_boolean(harness_at(r.output, "allow")) &&
                          json_is_true(harness_at(r.output, "allow")) == cases[i].allow);
                cr_assert_str_eq(harness_string(r.output, "reason"), cases[i].reason);
                cr_assert_str_eq(harness_string(r.evidence, "0.type"), "authorization");
                cr_assert_str_eq(harness_string(r.evidence, "0.value.permissions.0"), "hosts:isolate");
                cr_assert_eq(json_is_true(harness_at(r.evidence, "0.value.allow")), cases[i].allow);
                cr_assert_eq(strlen(harness_string(r.evidence, "0.value.questionSha256")), DIGEST_TEXT_SIZE);
                cr_assert_eq(strlen(harness_string(r.evidence, "0.sha256")), DIGEST_TEXT_SIZE);
                cr_assert(!strncmp(harness_string(r.evidence, "0.sourceRef"), "POST http://127.0.0.1:", 22));
                harness_result_free(&r);
        }
}

Test(authz, whatever_is_no_decision_is_no_answer) {
        expect_unavailable(ask_http(JSON "%7B%7D"), "ANSWER_INVALID", "has no \"result\"");
        expect_unavailable(ask_http(JSON "%7B%22result%22%3A1%7D"), "ANSWER_INVALID", "neither true, false");
        expect_unavailable(ask_http(JSON "%7B%22result%22%3A%22true%22%7D"), "ANSWER_INVALID",
                           "neither true, false");
        expect_unavailable(ask_http(JSON "%7B%22result%22%3A%7B%22allow%22%3A%22yes%22%7D%7D"),
                           "ANSWER_INVALID", "no \"allow\"");
        expect_unavailable(ask_http(JSON "%5Btrue%5D"), "ANSWER_INVALID", "not a JSON object");
        expect_unavailable(ask_http("/typed?type=text%2Fplain&body=yes"), "ANSWER_INVALID",
                           "not a JSON object");
        expect_unavailable(ask_http("/status/204"), "ANSWER_INVALID", "not a JSON object");
        expect_unavailable(ask_http("/status/500"), "HTTP_500", "500");
        expect_unavailable(ask_http("/status/403"), "HTTP_403", "403");
        expect_unavailable(ask_http("/redirect"), "HTTP_302", "not followed");
        expect_unavailable(ask_http("/garbage"), "PROTOCOL", "HTTP");
        expect_unavailable(ask_http("/reset"), "RESET", "connection");
        expect_unavailable(ask_http("/hang"), "TIMEOUT", "300 ms");
        expect_unavailable(ask_http("/trickle"), "TIMEOUT", "not complete");
        expect_unavailable(ask_http("/bytes?n=70000"), "RESPONSE_TOO_LARGE", "65536");
}

Test(authz, nobody_there) {
        Harness h = {0};
        Report report = {0};
        AuthzSettings settings = {.url = "http://127.0.0.1:1/v1/data/runbook", .timeout_ms = 2000};
        cr_assert_eq(open_with(&h, &settings, NULL, &report), 0);
        expect_unavailable(harness_run(&h, question(&h)), "CONNECT", "no answer means denied");
        harness_stop(&h);
}

Test(authz, retry_after_is_passed_on) {
        TaskResult r = ask_http("/status/503?after=7");
        cr_assert_eq(r.retry_after_ms, 7000);
        harness_result_free(&r);
}

Test(authz, a_cancelled_question_gets_no_answer) {
        Harness h;
        start_http(&h, "/slow?ms=100", (AuthzSettings){0});
        Task *t = question(&h);
        Uuid id = t->execution_id;
        uint32_t instance = t->instance;
        h.executor->vtable->submit(h.executor, t);
        cr_assert_eq(h.executor->vtable->n_open(h.executor), 1);
        h.executor->vtable->cancel(h.executor, id, instance, 1);
        cr_assert_eq(h.executor->vtable->n_open(h.executor), 0);
        usleep(200000);
        cr_assert_eq(h.n_results, 0);
        harness_stop(&h);
}

Test(authz, stop_leaves_open_questions_unanswered) {
        Harness h;
        start_http(&h, "/hang", (AuthzSettings){0});
        for (int i = 0; i < 50; i++)
                h.executor->vtable->submit(h.executor, question(&h));
        harness_stop_executor(&h);
        cr_assert_eq(h.n_results, 0);
        harness_stop(&h);
}

Test(authz, the_token_is_read_anew) {
        char path[] = "/tmp/authz-token-XXXXXX";
        int fd = mkstemp(path);
        Harness h;
        cr_assert_eq(write(fd, "one\n", 4), 4);
        start_http(&h, JSON "%7B%22result%22%3Atrue%7D", (AuthzSettings){.token_file = path});
        TaskResult r = harness_run(&h, question(&h));
        cr_assert(r.ok);
        harness_result_free(&r);
        cr_assert_eq(ftruncate(fd, 0), 0);
        r = harness_run(&h, question(&h));
        cr_assert_str_eq(harness_string(r.error, "details.cause"), "SECRET_MISSING");
        harness_result_free(&r);
        harness_stop(&h);
        close(fd);
        unlink(path);
}

/* ---- over the bus -------------------------------------------------------------------------------------- */

static TaskResult ask_bus(FakeBus bus) {
        Harness h = {0};
        Report report = {0};
        AuthzSettings settings = {.url = "nats:policy.check", .timeout_ms = 100};
        cr_assert_eq(open_with(&h, &settings, &bus, &report), 0, "%s", report.message);
        TaskResult r = harness_run(&h, question(&h));
        cr_assert_str_eq(bus.subject, "policy.check");
        cr_assert_str_eq(bus.body, "{\"input\":{\"stepId\":\"a\"}}");
        cr_assert_eq(h.executor->vtable->n_open(h.executor), 0);
        harness_stop(&h);
        cr_assert_null(bus.on_answer);
        return r;
}

Test(authz, the_same_over_the_bus) {
        TaskResult r = ask_bus((FakeBus){.answer = "{\"result\":{\"allow\":true,\"reason\":\"fine\"},"
                                                   "\"decision_id\":\"d1\"}"});
        cr_assert(r.ok && json_is_true(harness_at(r.output, "allow")));
        cr_assert_str_eq(harness_string(r.evidence, "0.sourceRef"), "nats:policy.check");
        cr_assert_str_eq(harness_string(r.evidence, "0.value.decisionId"), "d1");
        harness_result_free(&r);
        expect_unavailable(ask_bus((FakeBus){.answer = "{}"}), "ANSWER_INVALID", "result");
        expect_unavailable(ask_bus((FakeBus){.answer = "{"}), "ANSWER_INVALID", "line 1");
        expect_unavailable(ask_bus((FakeBus){.answer = "{\"result\":true,\"result\":false}"}),
                           "ANSWER_INVALID", "result");
        expect_unavailable(ask_bus((FakeBus){.nobody = true}), "NO_RESPONDERS", "policy.check");
        expect_unavailable(ask_bus((FakeBus){.result = -EAGAIN}), "CONNECT", "no connection to NATS");
        expect_unavailable(ask_bus((FakeBus){.result = -EMSGSIZE}), "TOO_LARGE", "larger");
        expect_unavailable(ask_bus((FakeBus){0}), "TIMEOUT", "100 ms (AUTHZ_TIMEOUT_MS)");
}

Test(authz, a_late_answer_from_the_bus_is_nobodys) {
        Harness h = {0};
        Report report = {0};
        FakeBus bus = {0};
        AuthzSettings settings = {.url = "nats:p", .timeout_ms = 50};
        cr_assert_eq(open_with(&h, &settings, &bus, &report), 0);
        expect_unavailable(harness_run(&h, question(&h)), "TIMEOUT", "50 ms");
        bus.on_answer(bus.asker, bus.token, SLICE("{\"result\":true}"), false);
        bus.on_answer(bus.asker, 12345, SLICE("{\"result\":true}"), false);
        cr_assert_eq(h.n_results, 0);
        Task *t = question(&h);
        uint32_t instance = t->instance;
        Uuid id = t->execution_id;
        h.executor->vtable->submit(h.executor, t);
        h.executor->vtable->cancel(h.executor, id, instance, 1);
        usleep(80000);
        cr_assert_eq(h.n_results, 0);
        harness_stop(&h);
}

/* ---- settings ------------------------------------------------------------------------------------------ */

Test(authz, wrong_settings_are_sentences) {
        static const struct {
                AuthzSettings settings;
                const char *word;
        } bad[] = {
                        {{.url = "ftp://x/"}, "AUTHZ_URL"},
                        {{.url = "opa"}, "http://"},
                        {{.url = "nats:"}, "NATS subject"},
                        {{.url = "nats:a.>"}, "no wildcards"},
                        {{.url = "nats:a b"}, "NATS subject"},
                        {{.url = "nats:a", .token_file = "/x"}, "AUTHZ_TOKEN_FILE"},
                        {{.url = "http://localhost/", .token_file = "/does/not/exist"}, "/does/not/exist"},
                        {{.url = "http://localhost/", .token_file = "/dev/null"}, "1 to 8192 bytes"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                Harness h = {0};
                Report report = {0};
                FakeBus bus = {0};
                cr_assert_eq(open_with(&h, &bad[i].settings, &bus, &report), -EINVAL, "%s",
                             bad[i].settings.url);
                cr_assert_not_null(strstr(report.message, bad[i].word), "%s", report.message);
                report_deinit(&report);
        }
}
