/* The circuit breaker, over a time of our own. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../leaks.h"
#include "executors/breaker.h"

#define S 1000000000LL

static const BreakerSettings settings = {
                .failure_threshold = 3, .half_open_calls = 2, .window_ns = 10 * S, .open_ns = 30 * S};

TestSuite(breaker, .fini = check_leaks);

static void call(Breaker *b, BreakerOutcome outcome, int64_t now_ns) {
        cr_assert_eq(breaker_ask(b, &settings, now_ns), BREAKER_GO);
        breaker_end(b, &settings, breaker_begin(b), outcome, now_ns);
}

static Breaker opened(int64_t now_ns) {
        Breaker b = {0};
        for (int i = 0; i < 3; i++)
                call(&b, BREAKER_FAILURE, now_ns);
        cr_assert_eq(b.state, BREAKER_OPEN);
        return b;
}

Test(breaker, opens_at_the_threshold_and_refuses) {
        Breaker b = opened(5 * S);
        cr_assert_eq(breaker_ask(&b, &settings, 5 * S), BREAKER_REFUSE);
        cr_assert_eq(b.until_ns, 35 * S);
        cr_assert_eq(breaker_ask(&b, &settings, 35 * S - 1), BREAKER_REFUSE);
        cr_assert_eq(b.n_opened, 1);
}

Test(breaker, failures_that_left_the_window_do_not_count) {
        Breaker b = {0};
        call(&b, BREAKER_FAILURE, 1 * S);
        call(&b, BREAKER_FAILURE, 2 * S);
        call(&b, BREAKER_FAILURE, 11 * S); /* the first is out */
        cr_assert_eq(b.state, BREAKER_CLOSED);
        uint32_t n_calls;
        cr_assert_eq(breaker_failures(&b, &settings, 11 * S, &n_calls), 2);
        cr_assert_eq(breaker_failures(&b, &settings, 100 * S, &n_calls), 0);
        cr_assert_eq(n_calls, 0);
}

Test(breaker, failures_among_many_successes_do_not_open_it) {
        Breaker b = {0};
        for (int i = 0; i < 100; i++)
                call(&b, i % 3 == 0 ? BREAKER_FAILURE : BREAKER_SUCCESS, S);
        /* a third failed: 1, 2, then 3 of 7, 4 of 10… never half */
        cr_assert_eq(b.state, BREAKER_CLOSED);
        for (int i = 0; i < 32; i++)
                call(&b, BREAKER_FAILURE, S);
        cr_assert_eq(b.state, BREAKER_OPEN);
}

Test(breaker, trials_close_it) {
        Breaker b = opened(0);
        cr_assert_eq(breaker_ask(&b, &settings, 30 * S), BREAKER_GO);
        cr_assert_eq(b.state, BREAKER_HALF_OPEN);
        uint32_t one = breaker_begin(&b);
        cr_assert_eq(breaker_ask(&b, &settings, 30 * S), BREAKER_GO);
        uint32_t two = breaker_begin(&b);
        cr_assert_eq(breaker_ask(&b, &settings, 30 * S), BREAKER_WAIT, "two trials, no third");
        breaker_end(&b, &settings, one, BREAKER_SUCCESS, 31 * S);
        cr_assert_eq(breaker_ask(&b, &settings, 31 * S), BREAKER_WAIT);
        breaker_end(&b, &settings, two, BREAKER_NEITHER, 31 * S);
        cr_assert_eq(b.state, BREAKER_HALF_OPEN);
        cr_assert_eq(breaker_ask(&b, &settings, 31 * S), BREAKER_GO, "a trial that says nothing is made again");
        breaker_end(&b, &settings, breaker_begin(&b), BREAKER_SUCCESS, 32 * S);
        cr_assert_eq(b.state, BREAKER_CLOSED);
        call(&b, BREAKER_FAILURE, 32 * S);
        cr_assert_eq(b.state, BREAKER_CLOSED, "it begins anew");
}

Test(breaker, a_failed_trial_opens_it_again) {
        Breaker b = opened(0);
        cr_assert_eq(breaker_ask(&b, &settings, 31 * S), BREAKER_GO);
        breaker_end(&b, &settings, breaker_begin(&b), BREAKER_FAILURE, 33 * S);
        cr_assert_eq(b.state, BREAKER_OPEN);
        cr_assert_eq(b.until_ns, 63 * S);
        cr_assert_eq(b.n_opened, 2);
}

Test(breaker, calls_of_earlier_terms_do_not_count) {
        Breaker b = {0};
        uint32_t late = breaker_begin(&b), later = breaker_begin(&b);
        for (int i = 0; i < 3; i++)
                call(&b, BREAKER_FAILURE, 0);
        breaker_end(&b, &settings, late, BREAKER_SUCCESS, S);
        cr_assert_eq(b.state, BREAKER_OPEN);
        cr_assert_eq(breaker_ask(&b, &settings, 30 * S), BREAKER_GO);
        uint32_t trial = breaker_begin(&b);
        breaker_end(&b, &settings, later, BREAKER_FAILURE, 30 * S);
        cr_assert_eq(b.state, BREAKER_HALF_OPEN);
        cr_assert_eq(b.n_trying, 1);
        breaker_end(&b, &settings, trial, BREAKER_SUCCESS, 30 * S);
        cr_assert_eq(b.n_succeeded, 1);
}

Test(breaker, without_settings_there_is_none) {
        static const BreakerSettings none = {0};
        Breaker b = {0};
        for (int i = 0; i < 100; i++) {
                cr_assert_eq(breaker_ask(&b, &none, S), BREAKER_GO);
                breaker_end(&b, &none, breaker_begin(&b), BREAKER_FAILURE, S);
        }
        cr_assert_eq(b.state, BREAKER_CLOSED);
        cr_assert(breaker_is_idle(&b, S));
}

Test(breaker, is_idle_when_nothing_would_be_forgotten) {
        Breaker b = {0};
        cr_assert(breaker_is_idle(&b, 0));
        call(&b, BREAKER_FAILURE, 5 * S);
        cr_assert_not(breaker_is_idle(&b, 6 * S));
        cr_assert(breaker_is_idle(&b, 16 * S));
        b = opened(20 * S);
        cr_assert_not(breaker_is_idle(&b, 49 * S));
        cr_assert(breaker_is_idle(&b, 50 * S));
}

/** Random calls against a model that keeps every call of the window by itself. */
Test(breaker, window_agrees_with_a_list_of_calls) {
        enum { N = 400 };
        unsigned seed = 11;
        for (int round = 0; round < 200; round++) {
                Breaker b = {0};
                int64_t now = rand_r(&seed) % (100 * 10) * S / 10;
                struct { int64_t slice; bool failed; } calls[N];
                for (int n = 0; n < N && b.state == BREAKER_CLOSED; n++) {
                        now += rand_r(&seed) % 3 * (rand_r(&seed) % (2 * S));
                        calls[n].slice = now / S;
                        calls[n].failed = rand_r(&seed) % 3 == 0;
                        uint32_t n_failed = 0, n_calls = 0, n_seen;
                        for (int i = 0; i <= n; i++) {
                                bool in = calls[n].slice - calls[i].slice < BREAKER_SLICES;
                                n_calls += in;
                                n_failed += in && calls[i].failed;
                        }
                        call(&b, calls[n].failed ? BREAKER_FAILURE : BREAKER_SUCCESS, now);
                        bool opens = calls[n].failed && n_failed >= 3 && 2 * n_failed >= n_calls;
                        cr_assert_eq(b.state == BREAKER_OPEN, opens);
                        cr_assert_eq(breaker_failures(&b, &settings, now, &n_seen), n_failed);
                        cr_assert_eq(n_seen, n_calls);
                }
        }
}
