/*
 * Random runbooks of all step types: any graph, joins of both kinds, branches, loops in two forms, children,
 * compensations, retries, limits small enough to be met. Most are valid; the few that aren't must be refused.
 */
#include "sim.h"

#include <stdlib.h>

#include "base/cleanup.h"

#define STEPS_MAX 8

typedef struct Draft {
        Rng *r;
        Buf b;
        const char *const *others;
        size_t n_others;
        int n;
        int branch_from[STEPS_MAX]; /* the conditional that leads to a step; -1: none */
        bool branch_side[STEPS_MAX];
        bool needs_undo;
} Draft;

static void put_retry(Draft *d) {
        Rng *r = d->r;
        if (rng_chance(r, 400))
                return;
        buf_printf(&d->b,
                   ",\"retryPolicy\":{\"maxAttempts\":%u,\"initialDelayMs\":%u,\"maxDelayMs\":%u,"
                   "\"backoffMultiplier\":%u%s%s}",
                   1 + rng_below(r, 4), 10 + rng_below(r, 1500), 1500 + rng_below(r, 4000),
                   1 + rng_below(r, 3), rng_chance(r, 300) ? ",\"jitter\":0.5" : "",
                   rng_chance(r, 200)   ? ",\"nonRetryableErrors\":[\"http_503\"]"
                   : rng_chance(r, 200) ? ",\"retryableErrors\":[\"HTTP_*\"]"
                                        : "");
}

static void put_task(Draft *d) {
        static const char *const tasks[] = {
                        "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/\",\"method\":\"POST\"}",
                        "\"type\":\"custom:geo\",\"config\":{\"depth\":3}",
                        "\"type\":\"transform\",\"config\":{\"jq\":\".\"}",
                        "\"type\":\"publish-event\",\"config\":{\"subject\":\"done\",\"payload\":{\"k\":1}}",
        };
        Rng *r = d->r;
        buf_put_str(&d->b, tasks[rng_chance(r, 600) ? 0 : rng_below(r, N_ELEMENTS(tasks))]);
        put_retry(d);
        if (rng_chance(r, 100))
                buf_put_str(&d->b, ",\"requiredPermissions\":[\"deploy\"]");
        if (rng_chance(r, 300)) {
                buf_put_str(&d->b, ",\"compensateWith\":\"undo\"");
                d->needs_undo = true;
        }
        if (rng_chance(r, 150))
                buf_put_str(&d->b,
                            ",\"evidence\":[{\"type\":\"note\",\"sourceRef\":\"s\",\"confidence\":0.5}]");
}

static void put_approval(Draft *d) {
        static const char *const approvers[] = {"[\"bob\"]", "[\"bob\",\"carol\"]",
                                                "[\"alice\",\"bob\",\"carol\"]"};
        static const char *const actions[] = {"fail", "reject", "approve"};
        Rng *r = d->r;
        uint32_t n = rng_below(r, N_ELEMENTS(approvers));
        buf_printf(&d->b,
                   "\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":%s,\"minApprovals\":%u,"
                   "\"timeoutMs\":%u,\"timeoutAction\":\"%s\"",
                   approvers[n], 1 + rng_below(r, n + 1),
                   rng_chance(r, 500) ? 1000 + rng_below(r, 5000) : 600000,
                   actions[rng_chance(r, 100) ? 2 : rng_below(r, 2)]);
        if (rng_chance(r, 300))
                buf_printf(&d->b, ",\"escalateTo\":[\"dave\"],\"escalateAfterMs\":%u",
                           100 + rng_below(r, 2000));
        if (rng_chance(r, 300))
                buf_put_str(&d->b, ",\"allowSelfApproval\":true");
        if (rng_chance(r, 300))
                buf_put_str(&d->b, ",\"prompt\":\"may ${input.k} go?\"");
        buf_put_char(&d->b, '}');
}

static void put_targets(Draft *d, int conditional, bool side, const char *member) {
        bool any = false;
        for (int i = 0; i < d->n; i++) {
                if (d->branch_from[i] != conditional || d->branch_side[i] != side)
                        continue;
                if (any)
                        buf_put_char(&d->b, ',');
                else
                        buf_printf(&d->b, ",\"%s\":[", member);
                buf_printf(&d->b, "\"s%d\"", i);
                any = true;
        }
        if (any)
                buf_put_char(&d->b, ']');
}

static void put_condition(Draft *d) {
        static const char *const conditions[] = {
                        "{\"field\":\"input.go\",\"operator\":\"eq\",\"value\":true}",
                        "{\"field\":\"input.go\",\"operator\":\"ne\",\"value\":true}",
                        "{\"not\":{\"field\":\"input.k\",\"operator\":\"exists\"}}",
        };
        buf_put_str(&d->b, conditions[rng_below(d->r, N_ELEMENTS(conditions))]);
}

static void put_conditional(Draft *d, int i) {
        Rng *r = d->r;
        for (int k = i + 1; k < d->n; k++)
                if (d->branch_from[k] < 0 && rng_chance(r, 500)) {
                        d->branch_from[k] = i;
                        d->branch_side[k] = rng_chance(r, 500);
                }
        buf_put_str(&d->b, "\"type\":\"conditional\",\"config\":{\"condition\":");
        put_condition(d);
        put_targets(d, i, true, "trueBranch");
        put_targets(d, i, false, "falseBranch");
        buf_put_char(&d->b, '}');
}

static void put_wait(Draft *d) {
        Rng *r = d->r;
        if (rng_chance(r, 150))
                buf_printf(&d->b, "\"type\":\"wait\",\"config\":{\"until\":\"2026-01-01T00:%02u:00.000Z\"}",
                           rng_below(r, 10));
        else
                buf_printf(&d->b, "\"type\":\"wait\",\"config\":{\"durationMs\":%u}",
                           rng_chance(r, 200) ? 0 : rng_below(r, 4000));
}

static void put_event_wait(Draft *d) {
        Rng *r = d->r;
        buf_printf(&d->b, "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"%s\"%s%s",
                   rng_chance(r, 500) ? "alarm" : "door.open",
                   rng_chance(r, 700) ? ",\"correlationId\":\"${input.k}\"" : "",
                   rng_chance(r, 600) ? "" : ",\"timeoutMs\":3000");
        buf_put_char(&d->b, '}');
}

static void put_child(Draft *d) {
        Rng *r = d->r;
        if (d->n_others == 0) {
                put_task(d);
                return;
        }
        buf_printf(&d->b, "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"%s\"%s}",
                   d->others[rng_below(r, (uint32_t)d->n_others)],
                   rng_chance(r, 700) ? ",\"input\":{\"go\":true,\"items\":[1],\"k\":\"a\"}" : "");
        put_retry(d);
}

static void put_body(Draft *d, int i) {
        Rng *r = d->r;
        switch (rng_below(r, i < 0 ? 6 : 8)) {
        case 0:
        case 1:
        case 2:
                put_task(d);
                break;
        case 3:
                put_wait(d);
                break;
        case 4:
                put_event_wait(d);
                break;
        case 5:
                put_approval(d);
                break;
        case 6:
                put_conditional(d, i);
                break;
        case 7:
                put_child(d);
                break;
        }
        if (rng_chance(r, 150))
                buf_put_str(&d->b, ",\"onFailure\":\"continue\"");
        if (rng_chance(r, 100)) {
                buf_put_str(&d->b, ",\"condition\":");
                put_condition(d);
        }
}

static void put_dependencies(Draft *d, int i) {
        Rng *r = d->r;
        bool any = false;
        buf_put_str(&d->b, ",\"dependsOn\":[");
        for (int k = 0; k < i; k++)
                if (rng_below(r, (uint32_t)i + 1) < 2) {
                        buf_printf(&d->b, "%s\"s%d\"", any ? "," : "", k);
                        any = true;
                }
        buf_put_char(&d->b, ']');
        if (rng_chance(r, 200))
                buf_put_str(&d->b, ",\"joinPolicy\":\"any\"");
}

static void put_loop(Draft *d) {
        Rng *r = d->r;
        bool over_items = rng_chance(r, 700);
        buf_printf(&d->b,
                   ",{\"id\":\"l\",\"type\":\"loop\",\"config\":{\"bodyStepId\":\"b\"},\"loopConfig\":{"
                   "\"maxIterations\":%u,%s,\"concurrency\":%u,\"failureTolerance\":%u}",
                   1 + rng_below(r, 4),
                   over_items ? "\"iterateOver\":\"input.items\""
                              : "\"continueWhile\":{\"field\":\"loop.index\",\"operator\":\"lt\",\"value\":"
                                "2}",
                   over_items ? 1 + rng_below(r, 3) : 1, rng_below(r, 2));
        buf_put_str(&d->b, ",\"dependsOn\":[\"s0\"]},{\"id\":\"b\",");
        put_body(d, -1);
        buf_put_char(&d->b, '}');
        if (rng_chance(r, 500)) {
                buf_put_str(&d->b, ",{\"id\":\"c\",");
                put_body(d, -1);
                buf_put_str(&d->b, ",\"dependsOn\":[\"b\"]}");
        }
}

char *definition_draw(Rng *r, const char *id, const char *version, const char *const *others,
                      size_t n_others) {
        Draft d = {.r = r, .others = others, .n_others = n_others, .n = 1 + (int)rng_below(r, STEPS_MAX)};
        static const char *const modes[] = {"input", "key", "none", "none"};

        for (int i = 0; i < STEPS_MAX; i++)
                d.branch_from[i] = -1;
        buf_printf(&d.b, "{\"id\":\"%s\",\"name\":\"R\",\"version\":\"%s\",\"idempotency\":\"%s\",", id,
                   version, modes[rng_below(r, 4)]);
        if (rng_chance(r, 500))
                buf_printf(&d.b, "\"maxConcurrentSteps\":%u,", 1 + rng_below(r, 3));
        if (rng_chance(r, 200))
                buf_printf(&d.b, "\"globalTimeoutMs\":%u,", 2000 + rng_below(r, 30000));
        buf_put_str(&d.b, "\"steps\":[");
        for (int i = 0; i < d.n; i++) {
                buf_printf(&d.b, "%s{\"id\":\"s%d\",", i ? "," : "", i);
                put_body(&d, i);
                put_dependencies(&d, i);
                buf_put_char(&d.b, '}');
        }
        if (rng_chance(r, 350))
                put_loop(&d);
        if (d.needs_undo)
                buf_put_str(&d.b, ",{\"id\":\"undo\",\"type\":\"call-service\",\"config\":{\"url\":"
                                  "\"https://x.example/undo\"},\"retryPolicy\":{\"maxAttempts\":2}}");
        buf_put_str(&d.b, rng_chance(r, 20) ? ",{}]}" : "]}"); /* a few are broken */
        return buf_steal_str(&d.b);
}
