/* Circuit breakers, rates, concurrency and turns in the HTTP executor. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../leaks.h"
#include "harness.h"

#define BREAKER "'circuitBreaker':{'failureThreshold':3,'windowMs':10000,'openMs':300}"

static Harness h;

static void tear_down(void) {
        harness_stop(&h);
        check_leaks();
}

static void start(const char *target_limits, uint32_t in_flight_max, uint32_t tenant_max) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1",
                                          .target_limits = target_limits,
                                          .in_flight_max = in_flight_max,
                                          .tenant_max = tenant_max});
}

static void start_plain(void) { start(NULL, 0, 0); }

TestSuite(http_limits, .init = start_plain, .fini = tear_down, .timeout = 60);
TestSuite(http_limits_set, .fini = tear_down, .timeout = 60);

static int64_t now_ms(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(long ms) {
        struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
        nanosleep(&ts, NULL);
}

static Task *task_of(const char *tenant, const char *config) {
        Task *t = harness_task(&h, config, NULL);
        t->tenant = slice_from_str(tenant);
        return t;
}

/** One call of @tenant; its error's code, "" if it went well. @ret_retry_ms may be NULL. */
static char *call(const char *tenant, const char *config, int64_t *ret_retry_ms) {
        static char code[64];
        TaskResult r = harness_run(&h, task_of(tenant, config));
        snprintf(code, sizeof(code), "%s", r.ok ? "" : harness_string(r.error, "code"));
        if (ret_retry_ms)
                *ret_retry_ms = r.retry_after_ms;
        harness_result_free(&r);
        return code;
}

static HttpTargetStats target(const char *tenant) {
        HttpTargetStats row = {0};
        HttpTotals totals;
        cr_assert_eq(http_executor_targets(h.executor, slice_from_str(tenant), &row, 1, &totals), 1);
        cr_assert_str_eq(row.tenant, tenant);
        return row;
}

Test(http_limits, breaker_opens_refuses_and_closes) {
        int64_t retry_ms;
        for (int i = 0; i < 3; i++)
                cr_assert_str_eq(call("acme", "{'url':'@/status/503'," BREAKER "}", NULL), "HTTP_503");
        cr_assert_str_eq(call("acme", "{'url':'@/ok'," BREAKER "}", &retry_ms), "CIRCUIT_OPEN");
        cr_assert(retry_ms > 0 && retry_ms <= 300, "%lld", (long long)retry_ms);
        HttpTargetStats row = target("acme");
        cr_assert_eq(row.state, BREAKER_OPEN);
        cr_assert_eq(row.n_refused, 1);
        cr_assert_eq(row.n_failed, 3);
        cr_assert_str_eq(call("other", "{'url':'@/ok'," BREAKER "}", NULL), "", "a breaker of its own");
        sleep_ms(retry_ms);
        cr_assert_str_eq(call("acme", "{'url':'@/ok'," BREAKER "}", NULL), "");
        cr_assert_eq(target("acme").state, BREAKER_CLOSED);
}

Test(http_limits, refusals_of_a_request_do_not_open_a_breaker) {
        for (int i = 0; i < 10; i++)
                cr_assert_str_eq(call("acme", "{'url':'@/status/404'," BREAKER "}", NULL), "HTTP_404");
        cr_assert_eq(target("acme").state, BREAKER_CLOSED);
        for (int i = 0; i < 10; i++) /* an answer that is too long is one, too */
                cr_assert_str_eq(call("acme", "{'url':'@/bytes?n=2000000'," BREAKER "}", NULL),
                                 "RESPONSE_TOO_LARGE");
        cr_assert_eq(target("acme").state, BREAKER_CLOSED);
}

Test(http_limits, timeouts_and_broken_connections_open_it) {
        cr_assert_str_eq(call("acme", "{'url':'@/reset'," BREAKER "}", NULL), "RESET");
        cr_assert_str_eq(call("acme", "{'url':'@/garbage'," BREAKER "}", NULL), "PROTOCOL");
        h.timeout_ms = 100;
        cr_assert_str_eq(call("acme", "{'url':'@/hang'," BREAKER "}", NULL), "TIMEOUT");
        cr_assert_str_eq(call("acme", "{'url':'@/ok'," BREAKER "}", NULL), "CIRCUIT_OPEN");
}

/** What waits when the breaker opens is refused; what comes at the trial waits for its end. */
Test(http_limits, those_who_wait_share_the_fate_of_the_trial) {
        for (int i = 0; i < 3; i++)
                call("acme", "{'url':'@/status/500'," BREAKER "}", NULL);
        sleep_ms(320);
        int64_t start = now_ms();
        for (int i = 0; i < 10; i++)
                harness_submit(&h, "{'url':'@/slow?ms=300'," BREAKER "}", NULL);
        cr_assert(harness_wait(&h, 10));
        cr_assert_geq(now_ms() - start, 600, "nine waited for the first");
        for (size_t i = 0; i < h.n_results; i++)
                cr_assert(h.results[i].ok);
        harness_forget_results(&h);
        for (int i = 0; i < 10; i++) /* at least half of all that ended in the window */
                call("acme", "{'url':'@/status/500'," BREAKER "}", NULL);
        cr_assert_eq(target("acme").state, BREAKER_OPEN);
        sleep_ms(320);
        h.timeout_ms = 200;
        harness_submit(&h, "{'url':'@/hang'," BREAKER "}", NULL); /* the trial */
        h.timeout_ms = 5000;
        for (int i = 0; i < 9; i++)
                harness_submit(&h, "{'url':'@/ok'," BREAKER "}", NULL);
        cr_assert(harness_wait(&h, 10));
        cr_assert_str_eq(harness_string(h.results[0].error, "code"), "TIMEOUT");
        for (size_t i = 1; i < h.n_results; i++)
                cr_assert_str_eq(harness_string(h.results[i].error, "code"), "CIRCUIT_OPEN");
}

Test(http_limits, a_rate_is_waited_for) {
        int64_t start = now_ms();
        for (int i = 0; i < 12; i++)
                harness_submit(&h, "{'url':'@/ok','rateLimit':{'perSecond':20,'burst':2}}", NULL);
        for (int i = 0; i < 5; i++) {
                Task *t = task_of("other", "{'url':'@/ok'}");
                h.executor->vtable->submit(h.executor, t);
        }
        cr_assert(harness_wait(&h, 7));
        cr_assert_lt(now_ms() - start, 400, "another tenant does not wait");
        cr_assert(target("acme").waits_for_rate);
        cr_assert(harness_wait(&h, 17));
        cr_assert_geq(now_ms() - start, 495, "ten of them had to wait for 50 ms each");
        for (size_t i = 0; i < h.n_results; i++)
                cr_assert(h.results[i].ok);
        harness_forget_results(&h);
        cr_assert_str_eq(call("acme", "{'url':'@/ok','rateLimit':{'perSecond':0.1}}", NULL), "");
        h.timeout_ms = 100;
        TaskResult r = harness_call(&h, "{'url':'@/ok'}", NULL); /* the strictest counts for all */
        cr_assert_str_eq(harness_string(r.error, "code"), "TIMEOUT");
        cr_assert_not_null(strstr(harness_string(r.error, "message"), "rate limit"));
        harness_result_free(&r);
}

Test(http_limits, concurrency_of_a_definition) {
        int64_t start = now_ms();
        for (int i = 0; i < 6; i++)
                harness_submit(&h, "{'url':'@/slow?ms=100','concurrency':2}", NULL);
        cr_assert_eq(target("acme").n_running, 2);
        cr_assert_eq(target("acme").n_queued, 4);
        cr_assert(harness_wait(&h, 6));
        cr_assert_geq(now_ms() - start, 300);
        harness_forget_results(&h);
        h.timeout_ms = 5000;
        harness_submit(&h, "{'url':'@/slow?ms=400','concurrency':1}", NULL);
        h.timeout_ms = 100;
        TaskResult r = harness_call(&h, "{'url':'@/ok','concurrency':1}", NULL);
        cr_assert_str_eq(harness_string(r.error, "code"), "TIMEOUT");
        cr_assert_not_null(strstr(harness_string(r.error, "message"), "concurrency limit"));
        harness_result_free(&r);
        cr_assert(harness_wait(&h, 1));
}

Test(http_limits_set, the_operators_limits_are_for_all) {
        start("127.0.0.1 failureThreshold=4 openMs=60000", 0, 0);
        call("a", "{'url':'@/status/500'}", NULL);
        call("a", "{'url':'@/status/500'}", NULL);
        call("b", "{'url':'@/status/500'}", NULL);
        cr_assert_str_eq(call("b", "{'url':'@/status/500'}", NULL), "HTTP_500");
        cr_assert_str_eq(call("c", "{'url':'@/ok'}", NULL), "CIRCUIT_OPEN");
        cr_assert_eq(target("c").state, BREAKER_OPEN);
        cr_assert_eq(target("c").n_failed, 4);
}

Test(http_limits_set, wrong_limits_stop_the_start) {
        harness_start_server(&h);
        Harness other = {0};
        ExecutorHost host = harness_host(&other);
        Report report = {0};
        Executor *e;
        HttpSettings settings = {.target_limits = "a.b perSecond=fast"};
        cr_assert_lt(http_executor_new(&settings, &host, &report, &e), 0);
        cr_assert_not_null(strstr(report.message, "perSecond=fast"), "%s", report.message);
        report_deinit(&report);
        harness_start_executor(&h, NULL);
}

/** One tenant has a thousand calls waiting; another one's are hardly held up. */
Test(http_limits_set, tenants_take_turns) {
        start(NULL, 8, 0);
        for (int i = 0; i < 400; i++)
                h.executor->vtable->submit(h.executor, task_of("noisy", "{'url':'@/slow?ms=20'}"));
        int64_t begin = now_ms();
        for (int i = 0; i < 8; i++)
                h.executor->vtable->submit(h.executor, task_of("quiet", "{'url':'@/slow?ms=21'}"));
        uint64_t left;
        do {
                sleep_ms(2);
                left = target("quiet").n_queued + target("quiet").n_running;
        } while (left > 0);
        int64_t took = now_ms() - begin;
        cr_assert_gt(target("noisy").n_queued, 200, "took %lld ms", (long long)took);
        cr_assert(harness_wait(&h, 408));
}

Test(http_limits_set, a_tenant_has_no_more_than_its_share) {
        start(NULL, 0, 3);
        for (int i = 0; i < 9; i++)
                h.executor->vtable->submit(h.executor, task_of("a", "{'url':'@/slow?ms=100'}"));
        for (int i = 0; i < 9; i++)
                h.executor->vtable->submit(h.executor, task_of("b", "{'url':'@/slow?ms=100'}"));
        sleep_ms(50);
        cr_assert_eq(target("a").n_running, 3);
        cr_assert_eq(target("b").n_running, 3);
        cr_assert(harness_wait(&h, 18));
}

/** However many hosts it calls, a tenant leaves room to another. */
Test(http_limits_set, many_hosts_of_one_tenant_leave_room) {
        start(NULL, 16, 0);
        char config[64];
        for (int i = 0; i < 200; i++) {
                snprintf(config, sizeof(config), "{'url':'http://127.0.0.%d:%u/hang'}", 1 + i % 50, h.port);
                h.executor->vtable->submit(h.executor, task_of("noisy", config));
        }
        sleep_ms(50);
        cr_assert_str_eq(call("quiet", "{'url':'@/ok'}", NULL), "");
}
