#pragma once
/* The operator's limits for targets: HTTP_TARGET_LIMITS. */

#include "base/report.h"
#include "base/slice.h"
#include "executors/gate.h"

#define TARGET_RULES_MAX 256 /* entries of one list */

typedef struct TargetRule {
        char *name;    /* lower-case host; ".suffix" for "*.suffix"; "" for "*" */
        uint16_t port; /* 0: any */
        GateLimits limits;
} TargetRule;

/** Zero-initialised is "no limits". */
typedef struct TargetRules {
        TargetRule *rules;
        size_t n;
} TargetRules;

/**
 * Parse "api.example.com:443 perSecond=10 burst=20; *.internal failureThreshold=5 openMs=10000; * concurrency=64":
 * entries between semicolons, each a host and numbers by the names that definitions have for them. NULL or empty:
 * none. 0, -ENOMEM, or -EINVAL with a sentence for the first wrong entry in @report.
 */
int target_rules_parse(const char *list, Report *report, TargetRules *ret);
void target_rules_deinit(TargetRules *r);
/** The limits of the first entry that fits; none: no limits. @host: lower-case, no brackets. */
GateLimits target_rules_find(const TargetRules *r, const char *host, uint16_t port);
