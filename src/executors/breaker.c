/*
 * Circuit breaker
 *
 *              ┌──────── enough failures ────────┐
 *              │                                 ▼
 *        ┌──────────┐                       ┌────────┐   refuses all
 *        │  closed  │                       │  open  │◄──────────────┐
 *        └──────────┘                       └────────┘               │
 *              ▲                                 │ openMs is over    │ a trial failed
 *              │                                 ▼                   │
 *              │                           ┌───────────┐             │
 *              └── all trials succeeded ───│ half open │─────────────┘
 *                                          └───────────┘  lets trials through, the others wait
 *
 * "Enough" are failure_threshold failures within the window that are at least half of all calls which ended
 * within it: so a few failures open a target that is hardly called, and don't open one that answers
 * thousands. The window is a ring of slices, each a tenth of it, so it takes the same memory however much
 * is called.
 *
 * A call counts only if it ends in the term in which it began: what comes back late from before the
 * breaker opened says nothing about the target of now.
 */
#include <assert.h>
#include <string.h>

#include "executors/breaker.h"

typedef enum Event { ENOUGH_FAILURES, OPEN_IS_OVER, TRIAL_FAILED, TRIALS_SUCCEEDED, N_EVENTS } Event;

/* From state (row) by event (column); -1: can't happen. */
static const int8_t transitions[N_BREAKER_STATES][N_EVENTS] = {
                [BREAKER_CLOSED] = {BREAKER_OPEN, -1, -1, -1},
                [BREAKER_OPEN] = {-1, BREAKER_HALF_OPEN, -1, -1},
                [BREAKER_HALF_OPEN] = {-1, -1, BREAKER_OPEN, BREAKER_CLOSED},
};

const char *breaker_state_name(BreakerState state) {
        static const char *const names[N_BREAKER_STATES] = {"closed", "open", "halfOpen"};
        return names[state];
}

static void clear(Breaker *b) {
        memset(b->ok, 0, sizeof(b->ok));
        memset(b->failed, 0, sizeof(b->failed));
}

static void move(Breaker *b, const BreakerSettings *s, Event event, int64_t now_ns) {
        int to = transitions[b->state][event];
        assert(to >= 0);
        b->state = (BreakerState)to;
        b->term++;
        b->n_trying = b->n_succeeded = 0;
        if (b->state == BREAKER_OPEN) {
                b->until_ns = now_ns + s->open_ns;
                b->n_opened++;
        } else if (b->state == BREAKER_CLOSED) {
                clear(b);
        }
}

static uint32_t trials(const BreakerSettings *s) { return s->half_open_calls > 0 ? s->half_open_calls : 1; }

/** Let go of slices that have left the window. A window of another length begins anew. */
static void slide(Breaker *b, const BreakerSettings *s, int64_t now_ns) {
        int64_t slice_ns = s->window_ns / BREAKER_SLICES > 0 ? s->window_ns / BREAKER_SLICES : 1;
        int64_t slice = now_ns / slice_ns, passed = slice - b->slice;
        if (slice_ns != b->slice_ns || passed >= BREAKER_SLICES) {
                clear(b);
        } else {
                for (int64_t i = 1; i <= passed; i++) {
                        size_t at = (size_t)((b->slice + i) % BREAKER_SLICES);
                        b->ok[at] = b->failed[at] = 0;
                }
        }
        if (slice_ns != b->slice_ns || passed > 0)
                b->slice = slice;
        b->slice_ns = slice_ns;
}

static uint32_t sum(const uint32_t *slices) {
        uint32_t n = 0;
        for (size_t i = 0; i < BREAKER_SLICES; i++)
                n += slices[i];
        return n;
}

uint32_t breaker_failures(Breaker *b, const BreakerSettings *s, int64_t now_ns, uint32_t *ret_calls) {
        slide(b, s, now_ns);
        uint32_t n_failed = sum(b->failed);
        *ret_calls = n_failed + sum(b->ok);
        return n_failed;
}

BreakerAnswer breaker_ask(Breaker *b, const BreakerSettings *s, int64_t now_ns) {
        if (s->failure_threshold == 0)
                return BREAKER_GO;
        if (b->state == BREAKER_OPEN && now_ns >= b->until_ns)
                move(b, s, OPEN_IS_OVER, now_ns);
        switch (b->state) {
        case BREAKER_OPEN:
                return BREAKER_REFUSE;
        case BREAKER_HALF_OPEN:
                return b->n_trying + b->n_succeeded < trials(s) ? BREAKER_GO : BREAKER_WAIT;
        default:
                return BREAKER_GO;
        }
}

uint32_t breaker_begin(Breaker *b) {
        if (b->state == BREAKER_HALF_OPEN)
                b->n_trying++;
        return b->term;
}

static void count(Breaker *b, const BreakerSettings *s, BreakerOutcome outcome, int64_t now_ns) {
        uint32_t n_calls;
        slide(b, s, now_ns);
        uint32_t *slices = outcome == BREAKER_FAILURE ? b->failed : b->ok;
        slices[b->slice % BREAKER_SLICES]++;
        if (outcome != BREAKER_FAILURE)
                return;
        uint32_t n_failed = breaker_failures(b, s, now_ns, &n_calls);
        if (n_failed >= s->failure_threshold && n_failed >= n_calls - n_failed)
                move(b, s, ENOUGH_FAILURES, now_ns);
}

void breaker_end(Breaker *b, const BreakerSettings *s, uint32_t term, BreakerOutcome outcome,
                 int64_t now_ns) {
        if (s->failure_threshold == 0 || term != b->term || b->state == BREAKER_OPEN)
                return;
        if (b->state == BREAKER_CLOSED) {
                if (outcome != BREAKER_NEITHER)
                        count(b, s, outcome, now_ns);
                return;
        }
        if (b->n_trying > 0) /* else it began while there was no breaker */
                b->n_trying--;
        b->n_succeeded += outcome == BREAKER_SUCCESS;
        if (outcome == BREAKER_FAILURE)
                move(b, s, TRIAL_FAILED, now_ns);
        else if (b->n_succeeded >= trials(s))
                move(b, s, TRIALS_SUCCEEDED, now_ns);
}

bool breaker_is_idle(const Breaker *b, int64_t now_ns) {
        switch (b->state) {
        case BREAKER_OPEN:
                return now_ns >= b->until_ns;
        case BREAKER_HALF_OPEN:
                return b->n_trying == 0;
        default:
                return b->slice_ns == 0 || now_ns / b->slice_ns - b->slice >= BREAKER_SLICES;
        }
}
