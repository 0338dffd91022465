/*
 * Engine time
 *
 * Timers hold absolute times, people read wall time, and operators, NTP and hypervisors set the wall clock.
 * The rules:
 *
 *   1. Time starts at the wall clock and advances with CLOCK_BOOTTIME, which nobody can set and which counts
 *      suspends.
 *   2. It never goes back and never stands still while real time passes.
 *   3. A small difference to the wall clock (up to CLOCK_STEP_MS: NTP at work) is made up for gradually, at
 *      an eighth of real time: a timer is at most an eighth of its duration off while that lasts.
 *   4. A jump of the wall clock is ignored until it has held for CLOCK_HOLD_MS. Then, forward: it is adopted
 *      at once, and timers that it made overdue fire. Backward: time runs an eighth slower until the wall
 *      clock has caught up.
 *
 * So a clock set wrong and put right again within ten seconds moves nothing at all.
 */
#include <stdlib.h>
#include <time.h>

#include "runtime/clock_system.h"

static int64_t read_clock(clockid_t id) {
        struct timespec t;
        clock_gettime(id, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_wall(void *userdata) { return read_clock(CLOCK_REALTIME); }
static int64_t system_elapsed(void *userdata) { return read_clock(CLOCK_BOOTTIME); }

static const ClockSource system_source = {system_wall, system_elapsed, NULL};

/** How much of @difference may be made up for in @passed ms. */
static int64_t slew(ClockSystem *c, int64_t difference, int64_t passed) {
        c->slew_rest += passed;
        int64_t step = c->slew_rest / CLOCK_SLEW_DIVISOR;

        c->slew_rest %= CLOCK_SLEW_DIVISOR;
        if (difference >= 0)
                return step < difference ? step : difference;
        return -step > difference ? -step : difference;
}

/** Has a difference as big as @difference held long enough? Another jump on top starts the wait anew. */
static bool jump_holds(ClockSystem *c, int64_t difference, int64_t elapsed) {
        if (c->jump_ms == 0 || llabs(difference - c->jump_ms) > CLOCK_STEP_MS) {
                c->jump_ms = difference;
                c->jump_since = elapsed;
        }
        return elapsed - c->jump_since >= CLOCK_HOLD_MS;
}

static int64_t clock_now(void *userdata) {
        ClockSystem *c = userdata;

        pthread_mutex_lock(&c->lock);
        int64_t elapsed = c->source.elapsed_ms(c->source.userdata);
        int64_t passed = elapsed - c->elapsed_ms;
        if (passed > 0) {
                int64_t difference = c->source.wall_ms(c->source.userdata) - (c->now_ms + passed);
                int64_t adjust = 0;

                if (llabs(difference) <= CLOCK_STEP_MS) {
                        c->jump_ms = 0;
                        adjust = slew(c, difference, passed);
                } else if (jump_holds(c, difference, elapsed)) {
                        adjust = difference > 0 ? difference : slew(c, difference, passed);
                        c->jump_ms = difference - adjust; /* what is left of it has held already */
                }
                c->now_ms += passed + adjust;
                c->elapsed_ms = elapsed;
        }
        int64_t now = c->now_ms;
        pthread_mutex_unlock(&c->lock);
        return now;
}

void clock_system_init(ClockSystem *c, const ClockSource *source) {
        *c = (ClockSystem){.source = source ? *source : system_source};
        pthread_mutex_init(&c->lock, NULL);
        c->now_ms = c->source.wall_ms(c->source.userdata);
        c->elapsed_ms = c->source.elapsed_ms(c->source.userdata);
}

void clock_system_deinit(ClockSystem *c) { pthread_mutex_destroy(&c->lock); }

Clock clock_system(ClockSystem *c) { return (Clock){clock_now, c}; }
