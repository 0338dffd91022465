#pragma once
/* A circuit breaker: whether a target that keeps failing is called at all. No clock inside. */

#include <stdbool.h>
#include <stdint.h>

#define BREAKER_SLICES 10 /* the window slides by a tenth of itself */

/** Zero-initialised is "no breaker". */
typedef struct BreakerSettings {
        uint32_t failure_threshold; /* failures within the window that open it; 0: never */
        uint32_t half_open_calls;   /* trials that must all succeed; 0 counts as 1 */
        int64_t window_ns, open_ns;
} BreakerSettings;

typedef enum BreakerState { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, N_BREAKER_STATES } BreakerState;
const char *breaker_state_name(BreakerState state); /* "closed" "open" "halfOpen" */

/** How a call ended, as far as it speaks of the target. */
typedef enum BreakerOutcome {
        BREAKER_NEITHER, /* it says nothing: cancelled, refused here, out of memory */
        BREAKER_SUCCESS, /* the target answered, be it with a refusal of this one request */
        BREAKER_FAILURE  /* the target is away, broken or too slow */
} BreakerOutcome;

typedef enum BreakerAnswer {
        BREAKER_GO,
        BREAKER_WAIT,  /* the trials are under way: their end decides */
        BREAKER_REFUSE /* until Breaker.until_ns */
} BreakerAnswer;

/** Zero-initialised is closed, with nothing counted. */
typedef struct Breaker {
        BreakerState state;
        uint32_t term;       /* grows with each change of state: calls of earlier terms don't count */
        uint32_t n_trying, n_succeeded; /* HALF_OPEN: trials under way, and over */
        uint32_t ok[BREAKER_SLICES], failed[BREAKER_SLICES]; /* CLOSED: calls that ended, by slice */
        int64_t slice, slice_ns; /* number of the newest slice, and how long one is */
        int64_t until_ns;    /* OPEN: when trials begin */
        uint64_t n_opened;   /* how often it has opened */
} Breaker;

/** May a call begin at @now_ns? An open breaker whose time is over becomes half open. */
BreakerAnswer breaker_ask(Breaker *b, const BreakerSettings *s, int64_t now_ns);
/** A call begins, after BREAKER_GO. Returns what breaker_end wants to know. */
uint32_t breaker_begin(Breaker *b);
/** The call that began in @term is over. */
void breaker_end(Breaker *b, const BreakerSettings *s, uint32_t term, BreakerOutcome outcome, int64_t now_ns);
/** Failures and calls that ended within the window. */
uint32_t breaker_failures(Breaker *b, const BreakerSettings *s, int64_t now_ns, uint32_t *ret_calls);
/** Nothing that counts would be lost if it were forgotten. */
bool breaker_is_idle(const Breaker *b, int64_t now_ns);
