/* Rate limits, over a time of our own. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../leaks.h"
#include "executors/rate.h"

#define S 1000000000LL

TestSuite(rate, .fini = check_leaks);

static bool take(Rate *r, const RateSettings *s, int64_t now_ns) {
        if (rate_next_ns(r, s, now_ns) > now_ns)
                return false;
        rate_take(r, s, now_ns);
        return true;
}

Test(rate, a_burst_and_then_one_by_one) {
        const RateSettings s = {.per_second = 10, .burst = 5};
        Rate r = {0};
        for (int i = 0; i < 5; i++)
                cr_assert(take(&r, &s, S));
        cr_assert_not(take(&r, &s, S));
        cr_assert_eq(rate_next_ns(&r, &s, S), S + S / 10);
        cr_assert_not(take(&r, &s, S + S / 10 - 1));
        cr_assert(take(&r, &s, S + S / 10));
        cr_assert_not(take(&r, &s, S + S / 10));
        cr_assert_not(rate_is_idle(&r, S + S / 2));
        cr_assert(rate_is_idle(&r, S + S * 6 / 10));
}

Test(rate, without_settings_there_is_none) {
        const RateSettings s = {0};
        Rate r = {0};
        for (int i = 0; i < 1000; i++)
                cr_assert(take(&r, &s, 7));
        cr_assert(rate_is_idle(&r, 7));
}

Test(rate, a_looser_limit_counts_at_once) {
        Rate r = {0};
        cr_assert(take(&r, &(RateSettings){.per_second = 0.001}, S));
        cr_assert_not(take(&r, &(RateSettings){.per_second = 0.001}, 900 * S));
        const RateSettings loose = {.per_second = 100, .burst = 2};
        cr_assert_leq(rate_next_ns(&r, &loose, 2 * S), 2 * S + S / 100, "an empty bucket of the new kind at worst");
        cr_assert(take(&r, &loose, 2 * S + S / 100));
}

/** However it is asked: never more than burst + rate × time within any span. */
Test(rate, never_more_than_promised_within_any_span) {
        enum { N = 2000 };
        static int64_t taken[N];
        const RateSettings s = {.per_second = 3, .burst = 4};
        unsigned seed = 5;
        int64_t now = 0;
        Rate r = {0};
        for (size_t n = 0; n < N;) {
                now += rand_r(&seed) % 4 == 0 ? rand_r(&seed) % (2 * S) : rand_r(&seed) % (S / 50);
                if (take(&r, &s, now))
                        taken[n++] = now;
        }
        for (size_t from = 0; from < N; from++)
                for (size_t to = from; to < N && to < from + 100; to++) {
                        double span_s = (double)(taken[to] - taken[from]) / S;
                        cr_assert_leq((double)(to - from + 1), 4 + 3 * span_s + 1e-6);
                }
}

Test(rate, the_extremes_do_not_overflow) {
        const RateSettings s = {.per_second = RATE_PER_SECOND_MIN, .burst = RATE_BURST_MAX};
        Rate r = {0};
        int64_t now = 1000000 * S;
        for (int i = 0; i < RATE_BURST_MAX; i++)
                cr_assert(take(&r, &s, now));
        cr_assert_not(take(&r, &s, now));
        cr_assert_gt(rate_next_ns(&r, &s, now), now);
}
