/* Engine time against clocks that are slewed, set and suspended. */

#include <criterion/criterion.h>

#include "../leaks.h"
#include "runtime/clock_system.h"
#include "runtime/ids_system.h"

TestSuite(clock_system, .fini = check_leaks);
TestSuite(ids_system, .fini = check_leaks);

typedef struct Clocks {
        int64_t wall_ms, elapsed_ms;
        ClockSystem system;
        Clock clock;
} Clocks;

static int64_t fake_wall(void *userdata) { return ((Clocks *)userdata)->wall_ms; }
static int64_t fake_elapsed(void *userdata) { return ((Clocks *)userdata)->elapsed_ms; }

static Clocks *fresh(void) {
        Clocks *c = calloc(1, sizeof(*c));
        *c = (Clocks){.wall_ms = 1000000, .elapsed_ms = 50};
        clock_system_init(&c->system, &(ClockSource){fake_wall, fake_elapsed, c});
        c->clock = clock_system(&c->system);
        return c;
}

static void drop(Clocks *c) {
        clock_system_deinit(&c->system);
        free(c);
}

static int64_t now(Clocks *c) { return c->clock.now_ms(c->clock.userdata); }

static int64_t pass(Clocks *c, int64_t ms) {
        c->wall_ms += ms;
        c->elapsed_ms += ms;
        return now(c);
}

Test(clock_system, begins_at_the_wall_clock_and_goes_with_it) {
        Clocks *c = fresh();
        cr_assert_eq(now(c), 1000000);
        cr_assert_eq(pass(c, 1), 1000001);
        cr_assert_eq(pass(c, 100000), 1100001);
        cr_assert_eq(now(c), 1100001);
        drop(c);
}

Test(clock_system, small_differences_are_made_up_for_gradually) {
        Clocks *c = fresh();
        c->wall_ms += 500;
        cr_assert_eq(now(c), 1000000, "no time has passed");
        cr_assert_eq(pass(c, 800), 1000900, "800 and an eighth");
        cr_assert_eq(pass(c, 80000), c->wall_ms);
        c->wall_ms -= 500;
        cr_assert_eq(pass(c, 800), c->wall_ms + 400);
        cr_assert_eq(pass(c, 80000), c->wall_ms);
        /* One millisecond at a time it is the same. */
        c->wall_ms += 100;
        for (int i = 0; i < 799; i++)
                pass(c, 1);
        cr_assert_lt(now(c), c->wall_ms);
        cr_assert_eq(pass(c, 1), c->wall_ms);
        drop(c);
}

Test(clock_system, a_jump_forward_is_believed_when_it_holds) {
        Clocks *c = fresh();
        c->wall_ms += 3600000;
        int64_t t = pass(c, 100);
        cr_assert_eq(t, 1000100);
        cr_assert_eq(pass(c, CLOCK_HOLD_MS - 1), 1000100 + CLOCK_HOLD_MS - 1);
        cr_assert_eq(pass(c, 1), c->wall_ms);
        drop(c);
}

Test(clock_system, a_jump_that_is_taken_back_moves_nothing) {
        Clocks *c = fresh();
        for (int i = 0; i < 10; i++) {
                c->wall_ms += 3600000;
                pass(c, CLOCK_HOLD_MS / 2);
                c->wall_ms -= 3600000;
                pass(c, CLOCK_HOLD_MS / 2);
        }
        cr_assert_eq(now(c), c->wall_ms);
        cr_assert_eq(now(c), 1000000 + 10 * CLOCK_HOLD_MS);
        drop(c);
}

Test(clock_system, a_jump_backward_slows_time_but_never_turns_it) {
        Clocks *c = fresh();
        c->wall_ms -= 3600000;
        int64_t last = now(c);
        for (int i = 0; i < 1000000 && now(c) > c->wall_ms; i++) {
                int64_t t = pass(c, 100);
                cr_assert_geq(t, last + 87, "at most an eighth slower");
                cr_assert_leq(t, last + 100);
                last = t;
        }
        cr_assert_eq(now(c), c->wall_ms, "it meets the wall clock in the end");
        drop(c);
}

Test(clock_system, suspended_time_has_passed) {
        Clocks *c = fresh();
        cr_assert_eq(pass(c, 8LL * 3600000), 1000000 + 8LL * 3600000); /* CLOCK_BOOTTIME counts it */
        drop(c);
}

Test(clock_system, the_real_clocks_work) {
        ClockSystem system;
        clock_system_init(&system, NULL);
        Clock clock = clock_system(&system);
        int64_t a = clock.now_ms(clock.userdata), b = clock.now_ms(clock.userdata);
        cr_assert_gt(a, 1700000000000);
        cr_assert_geq(b, a);
        clock_system_deinit(&system);
}

Test(ids_system, bits_differ_and_are_wiped) {
        static IdsSystem system;
        uint64_t words[3 * IDS_BUFFER_WORDS];
        size_t n = sizeof(words) / sizeof(words[0]);
        ids_system_init(&system);
        Ids ids = ids_system(&system);
        ids.random(ids.userdata, words, n);
        for (size_t i = 1; i < n; i++)
                cr_assert_neq(words[i], words[i - 1]);
        uint64_t bits = 0, all = UINT64_MAX;
        for (size_t i = 0; i < n; i++) {
                bits |= words[i];
                all &= words[i];
        }
        cr_assert_eq(bits, UINT64_MAX);
        cr_assert_eq(all, 0);
        for (size_t i = system.n_left; i < IDS_BUFFER_WORDS; i++)
                cr_assert_eq(system.words[i], 0, "what was handed out is not kept");
        ids_system_deinit(&system);
}
