/* Gates: limits out of configs, the strictest of several, and their order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../leaks.h"
#include "executors/gate.h"
#include "executors/target_rules.h"

#define S 1000000000LL

TestSuite(gate, .fini = check_leaks);

static GateLimits limits_of(const char *config) {
        GateLimits l;
        json_t *v = json_loads(config, 0, NULL);
        cr_assert_not_null(v);
        gate_limits_read(v, &l);
        json_decref(v);
        return l;
}

Test(gate, reads_what_a_config_says) {
        GateLimits l = limits_of("{\"concurrency\":4,\"rateLimit\":{\"perSecond\":2.5,\"burst\":7},"
                                 "\"circuitBreaker\":{\"failureThreshold\":5,\"windowMs\":1000,"
                                 "\"openMs\":2000,\"halfOpenCalls\":3}}");
        cr_assert_eq(l.concurrency, 4);
        cr_assert_eq(l.rate.per_second, 2.5);
        cr_assert_eq(l.rate.burst, 7);
        cr_assert_eq(l.breaker.failure_threshold, 5);
        cr_assert_eq(l.breaker.window_ns, S);
        cr_assert_eq(l.breaker.open_ns, 2 * S);
        cr_assert_eq(l.breaker.half_open_calls, 3);
        l = limits_of("{\"rateLimit\":{\"perSecond\":1},\"circuitBreaker\":{\"failureThreshold\":1}}");
        cr_assert_eq(l.rate.burst, 1);
        cr_assert_eq(l.breaker.window_ns, 10 * S);
        cr_assert_eq(l.breaker.open_ns, 30 * S);
        l = limits_of("{\"concurrency\":\"x\",\"rateLimit\":{\"perSecond\":-1},\"circuitBreaker\":[]}");
        cr_assert_eq(l.concurrency, 0);
        cr_assert_eq(l.rate.per_second, 0);
        cr_assert_eq(l.breaker.failure_threshold, 0);
}

Test(gate, waits_for_places_then_for_the_rate) {
        const GateLimits l = {.concurrency = 2, .rate = {.per_second = 1, .burst = 3}};
        Gate g = {0};
        int64_t until;
        for (int i = 0; i < 2; i++) {
                cr_assert_eq(gate_ask(&g, &l, S, &until), GATE_GO);
                gate_begin(&g, &l, S);
        }
        cr_assert_eq(gate_ask(&g, &l, S, &until), GATE_WAIT_PLACE);
        gate_end(&g, &l, 0, BREAKER_SUCCESS, S);
        cr_assert_eq(gate_ask(&g, &l, S, &until), GATE_GO);
        gate_begin(&g, &l, S);
        gate_end(&g, &l, 0, BREAKER_SUCCESS, S);
        cr_assert_eq(gate_ask(&g, &l, S, &until), GATE_WAIT_RATE);
        cr_assert_eq(until, 2 * S);
        cr_assert_not(gate_is_idle(&g, S));
        gate_end(&g, &l, 0, BREAKER_SUCCESS, 2 * S);
        cr_assert(gate_is_idle(&g, 10 * S));
}

Test(gate, the_strictest_counts_as_long_as_it_is_named) {
        const GateLimits loose = {.concurrency = 10, .rate = {.per_second = 100, .burst = 10}};
        const GateLimits strict = {.concurrency = 2, .breaker = {.failure_threshold = 5, .open_ns = S}};
        const GateLimits none = {0};
        GateNamed n = {0};
        gate_name(&n, &loose, 0);
        cr_assert_eq(gate_named(&n, 0)->concurrency, 10);
        gate_name(&n, &strict, S);
        gate_name(&n, &none, 2 * S);
        const GateLimits *now = gate_named(&n, 2 * S);
        cr_assert_eq(now->concurrency, 2);
        cr_assert_eq(now->rate.per_second, 100);
        cr_assert_eq(now->breaker.failure_threshold, 5);
        gate_name(&n, &loose, 40 * S);
        now = gate_named(&n, 62 * S);
        cr_assert_eq(now->concurrency, 0, "nobody has named it for a minute");
        cr_assert_eq(now->rate.per_second, 100);
        gate_name(&n, &loose, 63 * S);
        cr_assert_eq(gate_named(&n, 63 * S)->concurrency, 10);
}

/* ---- HTTP_TARGET_LIMITS ---------------------------------------------------------------------------------- */

Test(gate, rules_of_the_operator) {
        TargetRules r;
        Report report = {0};
        cr_assert_eq(target_rules_parse(" API.example.com:8443  perSecond=0.5 burst=20;; *.internal "
                                        "failureThreshold=5 openMs=100 ; [::1]:80 concurrency=3; * concurrency=9 ",
                                        &report, &r),
                     0, "%s", report.message);
        GateLimits l = target_rules_find(&r, "api.example.com", 8443);
        cr_assert_eq(l.rate.per_second, 0.5);
        cr_assert_eq(l.rate.burst, 20);
        cr_assert_eq(l.concurrency, 0, "the first entry that fits is all");
        cr_assert_eq(target_rules_find(&r, "api.example.com", 443).concurrency, 9);
        l = target_rules_find(&r, "db.internal", 1);
        cr_assert_eq(l.breaker.failure_threshold, 5);
        cr_assert_eq(l.breaker.open_ns, S / 10);
        cr_assert_eq(l.breaker.window_ns, 10 * S);
        cr_assert_eq(target_rules_find(&r, ".internal", 1).concurrency, 9);
        cr_assert_eq(target_rules_find(&r, "::1", 80).concurrency, 3);
        target_rules_deinit(&r);
        cr_assert_eq(target_rules_parse(NULL, &report, &r), 0);
        cr_assert_eq(target_rules_find(&r, "a", 1).concurrency, 0);
        target_rules_deinit(&r);
}

Test(gate, wrong_rules_are_named) {
        static const struct {
                const char *list, *word;
        } cases[] = {
                        {"a.b perSecond=x", "perSecond=x"},
                        {"a.b perSecond=0", "perSecond=0"},
                        {"a.b perSecond=nan", "perSecond=nan"},
                        {"a.b burst=3", "a.b"},
                        {"a.b concurrency=1.5", "concurrency=1.5"},
                        {"a.b concurrency=99999999", "concurrency=99999999"},
                        {"a.b openMs=3", "a.b"},
                        {"a.b", "a.b"},
                        {"a.b speed=3", "speed=3"},
                        {"a.b concurrency", "concurrency"},
                        {"http://a concurrency=1", "http://a"},
                        {"a:0 concurrency=1", "a:0"},
                        {"a:70000 concurrency=1", "a:70000"},
                        {"concurrency=1", "concurrency=1"},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                TargetRules r;
                Report report = {0};
                int rc = target_rules_parse(cases[i].list, &report, &r);
                cr_assert_eq(rc, -EINVAL, "%s", cases[i].list);
                char quoted[128];
                snprintf(quoted, sizeof(quoted), "\"%s\"", cases[i].word);
                cr_assert_not_null(strstr(report.message, quoted), "%s: %s", cases[i].list, report.message);
                report_deinit(&report);
                target_rules_deinit(&r);
        }
}
