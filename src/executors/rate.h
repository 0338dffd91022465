#pragma once
/* A rate limit: a token bucket that holds `burst` and is filled `per_second`. No clock inside. */

#include <stdbool.h>
#include <stdint.h>

#define RATE_PER_SECOND_MIN 0.001
#define RATE_PER_SECOND_MAX 1e6
#define RATE_BURST_MAX 1000000

/** Zero-initialised is "no limit". */
typedef struct RateSettings {
        double per_second; /* RATE_PER_SECOND_MIN to RATE_PER_SECOND_MAX; 0: no limit */
        uint32_t burst;    /* up to RATE_BURST_MAX; 0 counts as 1 */
} RateSettings;

/** Zero-initialised is a full bucket. */
typedef struct Rate {
        int64_t full_ns; /* when the bucket will be full, if nothing more is taken */
} Rate;

/** When there is a token; not after @now_ns: there is one. */
int64_t rate_next_ns(Rate *r, const RateSettings *s, int64_t now_ns);
/** Take one, which must be there. */
void rate_take(Rate *r, const RateSettings *s, int64_t now_ns);
/** Nothing would be lost if it were forgotten. */
static inline bool rate_is_idle(const Rate *r, int64_t now_ns) { return r->full_ns <= now_ns; }
