/*
 * Rate limit
 *
 * A bucket need not be filled drop by drop: when it will be full says how much is in it now. Taking a token
 * puts that moment off by the time that one token takes to come (the generic cell rate algorithm of ATM
 * Forum's traffic management 4.0). One number is all the state, and nothing has to be done while time passes.
 */
#include "executors/rate.h"

#define NS_PER_S 1e9

static int64_t token_ns(const RateSettings *s) { return (int64_t)(NS_PER_S / s->per_second); }

static int64_t burst(const RateSettings *s) { return s->burst > 0 ? s->burst : 1; }

/** When the bucket is full: not in the past, and never further off than an empty one's (settings may have become
 * looser since: what is too much is let go, once). */
static int64_t full_at(Rate *r, const RateSettings *s, int64_t now_ns) {
        int64_t latest_ns = now_ns + burst(s) * token_ns(s);
        if (r->full_ns > latest_ns)
                r->full_ns = latest_ns;
        return r->full_ns > now_ns ? r->full_ns : now_ns;
}

int64_t rate_next_ns(Rate *r, const RateSettings *s, int64_t now_ns) {
        if (s->per_second <= 0)
                return now_ns;
        return full_at(r, s, now_ns) - (burst(s) - 1) * token_ns(s);
}

void rate_take(Rate *r, const RateSettings *s, int64_t now_ns) {
        if (s->per_second > 0)
                r->full_ns = full_at(r, s, now_ns) + token_ns(s);
}
