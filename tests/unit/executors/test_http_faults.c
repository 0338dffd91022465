/* Servers that misbehave, addresses that are refused, calls that are cancelled, hosts that hang: nobody
 * else suffers. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../leaks.h"
#include "harness.h"

static Harness h;

static void set_up(void) { h = (Harness){0}; }
static void tear_down(void) {
        harness_stop(&h);
        check_leaks();
}

TestSuite(http_faults, .init = set_up, .fini = tear_down, .timeout = 60);

static int64_t now_ms(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL); }

/** The name service of these tests: names under .test are ours, all others the system's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **ret);
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
                        (__typeof__(real))dlsym(RTLD_NEXT, "getaddrinfo");
        if (name && !strcmp(name, "slow.test")) {
                sleep_ms(1500);
                return EAI_AGAIN;
        }
        if (name && !strcmp(name, "absent.test"))
                return EAI_NONAME;
        if (name && (!strcmp(name, "inside.test") || !strcmp(name, "a.inside.test")))
                name = "127.0.0.1";
        return real(name, service, hints, ret);
}

static void expect(const char *config, const char *code, bool retryable, const char *words) {
        TaskResult r = harness_call(&h, config, NULL);
        cr_expect(!r.ok, "%s was expected of %s", code, config);
        if (!r.ok) {
                cr_expect_str_eq(harness_string(r.error, "code"), code, "%s: %.*s", config,
                                 SLICE_ARG(value_bytes(r.error)));
                cr_expect_eq(json_is_true(harness_at(r.error, "retryable")), retryable, "%s", config);
                cr_expect(strstr(harness_string(r.error, "message"), words), "%s: %s", config,
                          harness_string(r.error, "message"));
                cr_expect_eq(json_array_size(value_json(r.evidence)), 1, "%s", config);
                cr_expect_eq(json_array_size(value_json(r.logs)), 1, "%s", config);
                cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
        }
        harness_result_free(&r);
}

/* ---- servers ------------------------------------------------------------------------------------------- */

Test(http_faults, broken_connections) {
        harness_start(&h, NULL);
        for (int i = 0; i < 2; i++) { /* on a new connection, and on one that is kept alive */
                expect("{'url':'@/reset','method':'POST'}", "RESET", true, "connection");
                expect("{'url':'@/close'}", "RESET", true, "closed before an answer");
                expect("{'url':'@/reset?after=10'}", "RESET", true, "connection");
                expect("{'url':'@/close?after=10'}", "RESET", true, "in the middle");
                expect("{'url':'@/garbage'}", "PROTOCOL", true, "not HTTP");
                TaskResult r = harness_page(&h, "/lie");
                cr_expect_str_eq(harness_string(r.output, "body"), "hello");
                harness_result_free(&r);
        }
        TaskResult r = harness_page(&h, "/ok");
        cr_assert(json_is_true(harness_at(r.output, "ok")));
        harness_result_free(&r);
}

Test(http_faults, too_much) {
        harness_start(&h, NULL);
        int64_t start = now_ms();
        expect("{'url':'@/endless'}", "RESPONSE_TOO_LARGE", false, "body has more than 786432 bytes");
        expect("{'url':'@/bomb'}", "RESPONSE_TOO_LARGE", false, "body has more than 786432 bytes");
        expect("{'url':'@/headers'}", "RESPONSE_TOO_LARGE", false, "bytes of headers");
        expect("{'url':'@/informational'}", "RESPONSE_TOO_LARGE", false, "bytes of headers");
        expect("{'url':'@/json?n=700000'}", "RESPONSE_TOO_LARGE", false,
               "the output made of it would pass 1048576");
        cr_assert_lt(now_ms() - start, 3000);
        /* The status says more. */
        expect("{'url':'@/endless?status=503'}", "HTTP_503", true, "answered 503");
        expect("{'url':'@/endless?status=404'}", "HTTP_404", false, "answered 404");
        TaskResult r = harness_page(&h, "/bytes?n=786432");
        cr_assert_eq(json_string_length(harness_at(r.output, "body")), 786432);
        harness_result_free(&r);
}

Test(http_faults, the_cap_is_exact) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1", .response_bytes_max = 1000});
        TaskResult r = harness_page(&h, "/bytes?n=1000");
        harness_result_free(&r);
        expect("{'url':'@/bytes?n=1001'}", "RESPONSE_TOO_LARGE", false, "more than 1000 bytes");
}

Test(http_faults, timeouts) {
        harness_start(&h, NULL);
        h.timeout_ms = 200;
        int64_t start = now_ms();
        expect("{'url':'@/hang','method':'POST'}", "TIMEOUT", true, "no answer came within 200 ms");
        int64_t took = now_ms() - start;
        cr_assert(took >= 200 && took < 1200, "%lld", (long long)took);
        expect("{'url':'@/trickle?ms=20'}", "TIMEOUT", true, "not complete within 200 ms");
        expect("{'url':'@/trickle-head?ms=20'}", "TIMEOUT", true, "within 200 ms");
        expect("{'url':'@/slow?ms=1000'}", "TIMEOUT", true, "no answer came");
        TaskResult r = harness_page(&h, "/slow?ms=100");
        harness_result_free(&r);
        harness_stop_executor(&h);
        harness_start_executor(&h, &(HttpSettings){.allow = "127.0.0.1", .timeout_default_ms = 150});
        h.timeout_ms = 0;
        expect("{'url':'@/hang'}", "TIMEOUT", true, "within 150 ms");
}

Test(http_faults, slow_answers) {
        harness_start(&h,
                      &(HttpSettings){.allow = "127.0.0.1", .slow_bytes_per_s = 100, .slow_window_ms = 200});
        expect("{'url':'@/trickle?ms=50'}", "TOO_SLOW", true, "slower than 100 bytes/s");
        expect("{'url':'@/trickle-head?ms=50'}", "TOO_SLOW", true, "slower than 100 bytes/s");
        TaskResult r = harness_page(&h, "/slow?ms=900"); /* nothing came yet: it works */
        harness_result_free(&r);
        r = harness_page(&h, "/trickle?ms=2&n=250");
        cr_assert_eq(json_string_length(harness_at(r.output, "body")), 250);
        harness_result_free(&r);
}

Test(http_faults, no_server) {
        harness_start(&h, NULL);
        uint16_t port = h.port;
        h.port = 1;
        expect("{'url':'@/ok'}", "CONNECT", true, "no connection");
        h.port = port;
        char config[80];
        snprintf(config, sizeof(config), "{'url':'https://127.0.0.1:%u/ok'}", port);
        expect(config, "TLS", true, "TLS");
        expect("{'url':'http://absent.test/'}", "DNS", true, "could not be resolved");
}

Test(http_faults, evidence_of_a_failure) {
        harness_start(&h, NULL);
        TaskResult r = harness_call(&h, "{'url':'@/reset?after=10'}", NULL);
        cr_assert_str_eq(harness_string(r.evidence, "0.value.error"), "RESET");
        cr_assert_eq(harness_integer(r.evidence, "0.value.status"), 200);
        cr_assert(strstr(harness_string(r.logs, "0.message"), "connection"), "%s",
                  harness_string(r.logs, "0.message"));
        harness_result_free(&r);
}

/* ---- addresses ----------------------------------------------------------------------------------------- */

Test(http_faults, addresses_are_refused_by_default) {
        harness_start(&h, &(HttpSettings){0});
        static const char *const hosts[] = {"127.0.0.1",
                                            "2130706433",
                                            "0x7f000001",
                                            "017700000001",
                                            "127.1",
                                            "[::1]",
                                            "[::ffff:127.0.0.1]",
                                            "[::ffff:7f00:1]",
                                            "localhost",
                                            "LOCALHOST",
                                            "inside.test",
                                            "0.0.0.0",
                                            "[::]",
                                            "10.0.0.1",
                                            "192.168.1.1",
                                            "169.254.169.254",
                                            "[fd00::1]",
                                            "[fe80::1]",
                                            "100.64.0.1",
                                            "user\\u0040127.0.0.1",
                                            "8.8.8.8\\u0040127.0.0.1"};
        for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
                char config[128];
                snprintf(config, sizeof(config), "{'url':'http://%s:%u/ok'}", hosts[i], h.port);
                expect(config, "ADDRESS_REFUSED", false, "in HTTP_ALLOW");
        }
        TaskResult r = harness_call(&h, "{'url':'http://inside.test/'}", NULL);
        cr_assert_str_eq(harness_string(r.error, "message"),
                         "127.0.0.1 is a loopback address, which steps may not call; if it is meant, list "
                         "inside.test or 127.0.0.1/32 in HTTP_ALLOW");
        harness_result_free(&r);
        r = harness_call(&h, "{'url':'http://[::1]/'}", NULL);
        cr_assert_str_eq(harness_string(r.error, "message"),
                         "::1 is a loopback address, which steps may not call; if it is meant, list ::1/128 "
                         "in HTTP_ALLOW");
        harness_result_free(&r);
}

Test(http_faults, addresses_are_allowed_by_name_and_port) {
        harness_start_server(&h);
        char allow[80], config[128];
        snprintf(allow, sizeof(allow), "*.inside.test,localhost:%u,127.0.0.1:1", h.port);
        harness_start_executor(&h, &(HttpSettings){.allow = allow});
        static const struct {
                const char *host;
                bool ok;
        } cases[] = {{"a.inside.test", true},
                     {"localhost", true},
                     {"inside.test", false},
                     {"127.0.0.1", false}};
        for (int round = 0; round < 2; round++) { /* the second time on kept connections */
                for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                        snprintf(config, sizeof(config), "{'url':'http://%s:%u/ok'}", cases[i].host, h.port);
                        TaskResult r = harness_call(&h, config, NULL);
                        cr_expect_eq(r.ok, cases[i].ok, "%s", config);
                        harness_result_free(&r);
                }
        }
}

Test(http_faults, settings_are_checked) {
        static const struct {
                HttpSettings settings;
                const char *words;
        } cases[] = {{{.allow = "127.0.0.1,nonsense/8"}, "nonsense/8"},
                     {{.ca_file = "/does/not/exist"}, "/does/not/exist"},
                     {{.in_flight_max = 1u << 30}, "1073741824"}};
        harness_start(&h, NULL);
        ExecutorHost host = {.ids = {.random = NULL}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Report report = {0};
                Executor *e = NULL;
                /* Settings are looked at before the host is used. */
                cr_assert_lt(http_executor_new(&cases[i].settings, &host, &report, &e), 0);
                cr_assert(report.message && strstr(report.message, cases[i].words), "%s", report.message);
                report_deinit(&report);
        }
}

/* ---- cancelling ---------------------------------------------------------------------------------------- */

static void cancel(uint32_t instance) {
        Uuid id = {{7}};
        h.executor->vtable->cancel(h.executor, id, instance, 1);
}

static void wait_open(uint64_t n) {
        for (int i = 0; h.executor->vtable->n_open(h.executor) != n; i++) {
                cr_assert_lt(i, 500, "%llu are open, not %llu",
                             (unsigned long long)h.executor->vtable->n_open(h.executor),
                             (unsigned long long)n);
                sleep_ms(10);
        }
}

static void wait_server_open(long long n) {
        for (int i = 0;; i++) {
                TaskResult r = harness_page(&h, "/stats");
                long long open = harness_integer(r.output, "open");
                harness_result_free(&r);
                if (open == n)
                        return;
                cr_assert_lt(i, 200, "the server has %lld connections, not %lld", open, n);
                sleep_ms(10);
        }
}

Test(http_faults, cancelled_calls_have_no_result) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1", .in_flight_max = 8});
        uint32_t running[3], queued[5];
        for (int i = 0; i < 3; i++)
                running[i] = harness_submit(&h, "{'url':'@/hang','method':'POST'}", NULL);
        wait_server_open(4); /* and the one that asks */
        /* slow enough that it is still open below on a machine that is busy with other things */
        uint32_t other = harness_submit(&h, "{'url':'@/slow?ms=2000'}", NULL);
        for (int i = 0; i < 5; i++)
                queued[i] = harness_submit(&h, "{'url':'@/hang'}", NULL);
        cr_assert_eq(h.executor->vtable->n_open(h.executor), 9);
        for (int i = 0; i < 3; i++)
                cancel(running[i]);
        for (int i = 0; i < 5; i++)
                cancel(queued[i]);
        cancel(queued[0]);
        cancel(12345);
        cr_assert(harness_wait(&h, 1));
        wait_open(0);
        cr_assert_eq(h.n_results, 1);
        cr_assert_eq(h.results[0].instance, other);
        cr_assert(h.results[0].ok);
        cancel(other);
        wait_server_open(1);
}

Test(http_faults, cancelling_at_once) {
        harness_start(&h, NULL);
        for (int i = 0; i < 500; i++)
                cancel(harness_submit(&h, i % 2 ? "{'url':'@/hang'}" : "{}", NULL));
        wait_open(0);
        for (size_t i = 0; i < h.n_results; i++)
                cr_assert(!h.results[i].ok); /* of those that were faster than their cancel */
}

Test(http_faults, stopping_leaves_no_results) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1", .in_flight_max = 20});
        for (int i = 0; i < 100; i++)
                harness_submit(&h,
                               i % 3 ? "{'url':'@/hang','method':'POST','body':'x'}"
                                     : "{'url':'http://slow.test/'}",
                               NULL);
        sleep_ms(50);
        int64_t start = now_ms();
        harness_stop_executor(&h);
        cr_assert_lt(now_ms() - start, 500, "not even slow name servers hold it up");
        cr_assert_eq(h.n_results, 0);
}

/* ---- fairness ------------------------------------------------------------------------------------------ */

Test(http_faults, a_host_that_hangs_does_not_stop_another) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1,localhost",
                                          .in_flight_max = 16,
                                          .per_host_max = 4});
        h.timeout_ms = 5000;
        for (int i = 0; i < 100; i++)
                harness_submit(&h, "{'url':'@/hang'}", NULL);
        int64_t start = now_ms();
        char config[80];
        snprintf(config, sizeof(config), "{'url':'http://localhost:%u/ok'}", h.port);
        for (int i = 0; i < 100; i++) {
                TaskResult r = harness_call(&h, config, NULL);
                cr_assert(r.ok);
                harness_result_free(&r);
        }
        cr_assert_lt(now_ms() - start, 2000);
        snprintf(config, sizeof(config), "{'url':'http://localhost:%u/stats'}", h.port);
        TaskResult r = harness_call(&h, config, NULL);
        cr_assert_eq(harness_integer(r.output, "open"), 5, "4 that hang and this one: %lld",
                     harness_integer(r.output, "open"));
        harness_result_free(&r);
}

Test(http_faults, there_is_always_room_for_a_newcomer) {
        /* No cap per host, but a host gets no more than is left free. */
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1,localhost,*.test",
                                          .in_flight_max = 12,
                                          .per_host_max = 1000});
        static const char *const hosts[] = {"127.0.0.1", "inside.test"};
        char config[80];
        for (int i = 0; i < 100; i++) {
                snprintf(config, sizeof(config), "{'url':'http://%s:%u/hang'}", hosts[i % 2], h.port);
                harness_submit(&h, config, NULL);
        }
        snprintf(config, sizeof(config), "{'url':'http://localhost:%u/stats'}", h.port);
        long long open = 0;
        for (int i = 0; i < 100 && open < 9; i++, sleep_ms(10)) {
                TaskResult r = harness_call(&h, config, NULL);
                open = harness_integer(r.output, "open");
                harness_result_free(&r);
        }
        cr_assert_eq(open, 9, "4 each for the two that hang, and this one: %lld", open);
}

Test(http_faults, waiting_counts) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1", .per_host_max = 1});
        h.timeout_ms = 10000;
        uint32_t first = harness_submit(&h, "{'url':'@/hang'}", NULL);
        h.timeout_ms = 200;
        int64_t start = now_ms();
        TaskResult r = harness_call(&h, "{'url':'@/ok'}", NULL);
        cr_assert_lt(now_ms() - start, 1000);
        cr_assert_str_eq(harness_string(r.error, "code"), "TIMEOUT");
        cr_assert(strstr(harness_string(r.error, "message"), "waiting for its turn"), "%s",
                  harness_string(r.error, "message"));
        cr_assert_null(r.evidence, "nothing was sent");
        harness_result_free(&r);
        h.timeout_ms = 2000;
        uint32_t order[10];
        for (int i = 0; i < 10; i++)
                order[i] = harness_submit(&h, "{'url':'@/ok'}", NULL);
        cancel(first);
        cr_assert(harness_wait(&h, 10));
        for (int i = 0; i < 10; i++)
                cr_assert(h.results[i].ok && h.results[i].instance == order[i], "first come, first served");
}

Test(http_faults, too_many_calls_are_refused) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1", .open_max = 10});
        uint32_t first = harness_submit(&h, "{'url':'@/hang'}", NULL);
        for (int i = 0; i < 9; i++)
                harness_submit(&h, "{'url':'@/hang'}", NULL);
        TaskResult r = harness_call(&h, "{'url':'@/ok'}", NULL);
        cr_assert_not(r.ok);
        cr_assert_str_eq(harness_string(r.error, "code"), "OVERLOADED");
        cr_assert(json_is_true(harness_at(r.error, "retryable")));
        harness_result_free(&r);
        cancel(first);
        wait_open(9);
        r = harness_call(&h, "{'url':'@/ok'}", NULL);
        cr_assert(r.ok);
        harness_result_free(&r);
}

static int n_threads(void) {
        char line[128];
        int n = 0;
        FILE *f = fopen("/proc/self/status", "re");
        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "Threads: %d", &n) == 1)
                        break;
        if (f)
                fclose(f);
        return n;
}

Test(http_faults, slow_names_hold_up_nobody) {
        harness_start(&h, NULL);
        int n_before = n_threads();
        h.timeout_ms = 300;
        int64_t start = now_ms();
        for (int i = 0; i < 100; i++)
                harness_submit(&h, "{'url':'http://slow.test/'}", NULL);
        sleep_ms(50);
        cr_assert_leq(n_threads() - n_before, 4, "threads for one name are few: %d", n_threads() - n_before);
        for (int i = 0; i < 20; i++) {
                int64_t asked = now_ms();
                size_t n = h.n_results;
                harness_submit(&h, "{'url':'@/ok'}", NULL);
                cr_assert(harness_wait(&h, n + 1));
                cr_assert_lt(now_ms() - asked, 250);
        }
        cr_assert(harness_wait(&h, 120));
        cr_assert_lt(now_ms() - start, 1400, "time is up before the name server answers");
        for (size_t i = 0; i < 120; i++)
                cr_assert(h.results[i].ok || !strcmp(harness_string(h.results[i].error, "code"), "TIMEOUT"));
}
