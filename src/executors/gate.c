/*
 * Gate
 *
 * Limits that definitions give belong to a tenant's calls to a target, all of them: the target does not care
 * which runbook calls it. Where definitions differ the strictest counts. How long? A definition has no end
 * that could be seen from here, so what counts is what calls say that wait or start; limits that none of them
 * has named for a minute are dropped.
 */
#include "executors/gate.h"

#define NS_PER_MS 1000000LL

/* Of what a definition leaves out; the model's documentation repeats them. */
#define WINDOW_DEFAULT_MS 10000
#define OPEN_DEFAULT_MS 30000
#define NUMBER_MAX 1000000

/* ---- what a config says -------------------------------------------------------------------------------- */

static int64_t read_number(const json_t *object, const char *key, int64_t max, int64_t otherwise) {
        const json_t *v = json_object_get(object, key);
        json_int_t n = json_is_integer(v) ? json_integer_value(v) : 0;
        return n > 0 && n <= max ? n : otherwise;
}

void gate_limits_read(const json_t *config, GateLimits *ret) {
        const json_t *rate = json_object_get(config, "rateLimit");
        const json_t *breaker = json_object_get(config, "circuitBreaker");
        const int64_t ms_max = INT64_MAX / NS_PER_MS / 4;
        *ret = (GateLimits){.concurrency = (uint32_t)read_number(config, "concurrency", NUMBER_MAX, 0)};
        double per_second = json_number_value(json_object_get(rate, "perSecond"));
        if (per_second >= RATE_PER_SECOND_MIN && per_second <= RATE_PER_SECOND_MAX)
                ret->rate = (RateSettings){per_second,
                                           (uint32_t)read_number(rate, "burst", RATE_BURST_MAX, 1)};
        uint32_t threshold = (uint32_t)read_number(breaker, "failureThreshold", NUMBER_MAX, 0);
        if (threshold == 0)
                return;
        ret->breaker = (BreakerSettings){
                        .failure_threshold = threshold,
                        .half_open_calls = (uint32_t)read_number(breaker, "halfOpenCalls", NUMBER_MAX, 1),
                        .window_ns = read_number(breaker, "windowMs", ms_max, WINDOW_DEFAULT_MS) * NS_PER_MS,
                        .open_ns = read_number(breaker, "openMs", ms_max, OPEN_DEFAULT_MS) * NS_PER_MS};
}

/* ---- the gate ------------------------------------------------------------------------------------------ */

GateAnswer gate_ask(Gate *g, const GateLimits *l, int64_t now_ns, int64_t *ret_until_ns) {
        switch (breaker_ask(&g->breaker, &l->breaker, now_ns)) {
        case BREAKER_REFUSE:
                *ret_until_ns = g->breaker.until_ns;
                return GATE_REFUSED;
        case BREAKER_WAIT:
                return GATE_WAIT_TRIAL;
        case BREAKER_GO:
                break;
        }
        if (l->concurrency > 0 && g->n_running >= l->concurrency)
                return GATE_WAIT_PLACE;
        *ret_until_ns = rate_next_ns(&g->rate, &l->rate, now_ns);
        return *ret_until_ns > now_ns ? GATE_WAIT_RATE : GATE_GO;
}

uint32_t gate_begin(Gate *g, const GateLimits *l, int64_t now_ns) {
        g->n_running++;
        rate_take(&g->rate, &l->rate, now_ns);
        return breaker_begin(&g->breaker);
}

void gate_end(Gate *g, const GateLimits *l, uint32_t term, BreakerOutcome outcome, int64_t now_ns) {
        g->n_running--;
        breaker_end(&g->breaker, &l->breaker, term, outcome, now_ns);
}

bool gate_is_idle(const Gate *g, int64_t now_ns) {
        return g->n_running == 0 && rate_is_idle(&g->rate, now_ns) && breaker_is_idle(&g->breaker, now_ns);
}

/* ---- the strictest ------------------------------------------------------------------------------------- */

/** Is @a at least as strict as @b? */
static bool rate_is_strict(const RateSettings *a, const RateSettings *b) {
        return a->per_second < b->per_second || (a->per_second == b->per_second && a->burst <= b->burst);
}

static bool breaker_is_strict(const BreakerSettings *a, const BreakerSettings *b) {
        return a->failure_threshold < b->failure_threshold ||
               (a->failure_threshold == b->failure_threshold && a->open_ns >= b->open_ns);
}

void gate_name(GateNamed *n, const GateLimits *l, int64_t now_ns) {
        GateLimits *is = &n->limits;
        if (l->concurrency > 0 && (is->concurrency == 0 || l->concurrency <= is->concurrency)) {
                is->concurrency = l->concurrency;
                n->concurrency_ns = now_ns;
        }
        if (l->rate.per_second > 0 && (is->rate.per_second <= 0 || rate_is_strict(&l->rate, &is->rate))) {
                is->rate = l->rate;
                n->rate_ns = now_ns;
        }
        if (l->breaker.failure_threshold > 0 &&
            (is->breaker.failure_threshold == 0 || breaker_is_strict(&l->breaker, &is->breaker))) {
                is->breaker = l->breaker;
                n->breaker_ns = now_ns;
        }
}

const GateLimits *gate_named(GateNamed *n, int64_t now_ns) {
        if (n->limits.concurrency > 0 && now_ns - n->concurrency_ns > GATE_NAMED_NS)
                n->limits.concurrency = 0;
        if (n->limits.rate.per_second > 0 && now_ns - n->rate_ns > GATE_NAMED_NS)
                n->limits.rate = (RateSettings){0};
        if (n->limits.breaker.failure_threshold > 0 && now_ns - n->breaker_ns > GATE_NAMED_NS)
                n->limits.breaker = (BreakerSettings){0};
        return &n->limits;
}
