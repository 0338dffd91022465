/*
 * What a step says of its target: how many calls at once, how many a second, when to leave it alone
 *
 * Numbers only, no templates: limits that depend on data would differ from call to call, and the strictest
 * of them counts for all. The executor reads them from the config (src/executors/gate.c).
 */
#include "base/cleanup.h"
#include "model/runbook_draft.h"

static const char *const breaker_fields[] = {"failureThreshold", "halfOpenCalls", "openMs", "windowMs"};
static const char *const rate_fields[] = {"burst", "perSecond"};

static bool check_required(const JsonAt *object, const char *key, const char *what) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                json_at_error(&at, "is required: %s", what);
        return at.value;
}

static void check_breaker(Draft *d, const JsonAt *config) {
        JsonAt at;
        int64_t n;
        if (!json_get_object(config, "circuitBreaker", &at))
                return;
        json_check_keys(&at, breaker_fields, N_ELEMENTS(breaker_fields));
        if (check_required(&at, "failureThreshold", "how many failures open the breaker"))
                json_get_i64(&at, "failureThreshold", 1, LIMIT_TARGET_COUNT, &n);
        json_get_i64(&at, "halfOpenCalls", 1, LIMIT_TARGET_COUNT, &n);
        draft_duration(&at, "openMs", 1, &n);
        draft_duration(&at, "windowMs", 1, &n);
}

static void check_rate(const JsonAt *config) {
        JsonAt at;
        int64_t n;
        double per_second;
        if (!json_get_object(config, "rateLimit", &at))
                return;
        json_check_keys(&at, rate_fields, N_ELEMENTS(rate_fields));
        if (check_required(&at, "perSecond", "how many calls may start a second"))
                json_get_number(&at, "perSecond", LIMIT_TARGET_RATE_MIN, LIMIT_TARGET_RATE_MAX, &per_second);
        json_get_i64(&at, "burst", 1, LIMIT_TARGET_COUNT, &n);
}

void draft_target_limits(Draft *d, const JsonAt *config) {
        int64_t n;
        json_get_i64(config, "concurrency", 1, LIMIT_TARGET_COUNT, &n);
        check_breaker(d, config);
        check_rate(config);
}
