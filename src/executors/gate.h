#pragma once
/*
 * A gate before a target: how many calls at once, how many a second, and whether it is called at all. Pure
 * data; whoever keeps targets (HTTP and gRPC hosts, types of workers) keeps a gate for each.
 */

#include <jansson.h>

#include "executors/breaker.h"
#include "executors/rate.h"

#define GATE_NAMED_NS (60LL * 1000000000) /* how long limits count that no call names any more */

/** Zero-initialised is "no limits". */
typedef struct GateLimits {
        uint32_t concurrency; /* calls at once; 0: any */
        RateSettings rate;
        BreakerSettings breaker;
} GateLimits;

typedef enum GateAnswer {
        GATE_GO,
        GATE_WAIT_PLACE, /* until a call ends */
        GATE_WAIT_RATE,  /* until a time */
        GATE_WAIT_TRIAL, /* until the breaker's trials end */
        GATE_REFUSED,    /* the breaker is open until a time */
        N_GATE_ANSWERS
} GateAnswer;

typedef struct Gate {
        Breaker breaker;
        Rate rate;
        uint32_t n_running;
} Gate;

/** What a step's config says; what it does not say, or says wrongly, is no limit. */
void gate_limits_read(const json_t *config, GateLimits *ret);

/** May a call begin? @ret_until_ns: for WAIT_RATE and REFUSED. */
GateAnswer gate_ask(Gate *g, const GateLimits *l, int64_t now_ns, int64_t *ret_until_ns);
/** A call begins, after GATE_GO. Returns what gate_end wants. */
uint32_t gate_begin(Gate *g, const GateLimits *l, int64_t now_ns);
void gate_end(Gate *g, const GateLimits *l, uint32_t term, BreakerOutcome outcome, int64_t now_ns);
/** Nothing would be lost if it were forgotten. */
bool gate_is_idle(const Gate *g, int64_t now_ns);

/** The strictest of the limits that different definitions name for one target. Zero-initialised is none. */
typedef struct GateNamed {
        GateLimits limits;
        int64_t concurrency_ns, rate_ns, breaker_ns; /* when a call last named them */
} GateNamed;

/** A call names @l. */
void gate_name(GateNamed *n, const GateLimits *l, int64_t now_ns);
/** Those in force: what was not named for GATE_NAMED_NS is dropped. */
const GateLimits *gate_named(GateNamed *n, int64_t now_ns);
