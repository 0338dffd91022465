/*
 * What a seed draws once. Swarm testing: not everything at once, but another choice of faults, rates and
 * limits in every seed, so that each fault also meets calm weather in which its consequences can grow.
 */
#include "sim.h"

const char *const fault_names[N_FAULTS] = {
                [FAULT_AUDIT_FORGETS] = "audit-forgets", [FAULT_AUDIT_FULL] = "audit-full",
                [FAULT_AUDIT_LOSES] = "audit-loses",     [FAULT_AUDIT_NEW] = "audit-new",
                [FAULT_AUDIT_UNSURE] = "audit-unsure",   [FAULT_BUS_AWAY] = "bus-away",
                [FAULT_CLOCK_BACK] = "clock-back",       [FAULT_CLOCK_JUMP] = "clock-jump",
                [FAULT_COMMIT_KEPT] = "commit-kept",     [FAULT_COMMIT_LOST] = "commit-lost",
                [FAULT_COMMIT_UNSURE] = "commit-unsure", [FAULT_CRASH] = "crash",
                [FAULT_DISK_FULL] = "disk-full",         [FAULT_DISK_READ] = "disk-read",
                [FAULT_MAP_FULL] = "map-full",           [FAULT_MESSAGE_LOST] = "message-lost",
                [FAULT_MESSAGE_TWICE] = "message-twice", [FAULT_MESSAGE_LATE] = "message-late",
                [FAULT_NO_MEMORY] = "no-memory",         [FAULT_PAUSE] = "pause",
                [FAULT_QUEUE_AGAIN] = "queue-again",     [FAULT_QUEUE_LOSES] = "queue-loses",
                [FAULT_RESULT_ERROR] = "result-error",   [FAULT_RESULT_LATE] = "result-late",
                [FAULT_RESULT_NONE] = "result-none",     [FAULT_RESULT_TWICE] = "result-twice",
};

const char *const op_names[N_OPS] = {
                [OP_ASK] = "ask",         [OP_ASK_AGAIN] = "ask-again", [OP_CLOCK] = "clock",
                [OP_DELIVER] = "deliver", [OP_FAULT] = "fault",         [OP_OUTBOX] = "outbox",
                [OP_QUEUE] = "queue",     [OP_RESULT] = "result",       [OP_RUN] = "run",
                [OP_TURN] = "turn",       [OP_VERIFY] = "verify",
};

/* The rate of a fault, where a seed has it: permille from…to of its occasions. */
static const struct {
        uint16_t in, from, to;
} fault_rates[N_FAULTS] = {
                /* seeds with it (percent), rate */
                [FAULT_AUDIT_FORGETS] = {30, 100, 600}, [FAULT_AUDIT_FULL] = {20, 50, 300},
                [FAULT_AUDIT_LOSES] = {40, 200, 1000},  [FAULT_AUDIT_NEW] = {20, 100, 500},
                [FAULT_AUDIT_UNSURE] = {30, 50, 400},   [FAULT_BUS_AWAY] = {30, 200, 1000},
                [FAULT_CLOCK_BACK] = {30, 200, 800},    [FAULT_CLOCK_JUMP] = {40, 200, 1000},
                [FAULT_COMMIT_KEPT] = {25, 5, 40},      [FAULT_COMMIT_LOST] = {25, 5, 40},
                [FAULT_COMMIT_UNSURE] = {20, 5, 40},    [FAULT_CRASH] = {40, 2, 30},
                [FAULT_DISK_FULL] = {20, 100, 600},     [FAULT_DISK_READ] = {10, 1, 3},
                [FAULT_MAP_FULL] = {20, 1, 20},         [FAULT_MESSAGE_LOST] = {30, 20, 300},
                [FAULT_MESSAGE_TWICE] = {40, 50, 400},  [FAULT_MESSAGE_LATE] = {50, 200, 900},
                [FAULT_NO_MEMORY] = {40, 50, 300},      [FAULT_PAUSE] = {20, 200, 1000},
                [FAULT_QUEUE_AGAIN] = {30, 50, 400},    [FAULT_QUEUE_LOSES] = {20, 200, 800},
                [FAULT_RESULT_ERROR] = {80, 50, 600},   [FAULT_RESULT_LATE] = {30, 100, 500},
                [FAULT_RESULT_NONE] = {30, 50, 300},    [FAULT_RESULT_TWICE] = {30, 50, 500},
};

static const struct {
        uint16_t from, to;
} op_weights[N_OPS] = {
                [OP_ASK] = {10, 40},  [OP_ASK_AGAIN] = {2, 10}, [OP_CLOCK] = {5, 40}, [OP_DELIVER] = {20, 50},
                [OP_FAULT] = {2, 12}, [OP_OUTBOX] = {2, 20},    [OP_QUEUE] = {5, 20}, [OP_RESULT] = {10, 40},
                [OP_RUN] = {0, 20},   [OP_TURN] = {20, 50},     [OP_VERIFY] = {0, 3},
};

static void draw_limits(Plan *p, Rng *r) {
        RuntimeSettings *s = &p->runtime;

        s->batch_max = rng_chance(r, 400) ? 1 + rng_below(r, 4) : 0;
        s->inbox_max = rng_chance(r, 250) ? 1 + rng_below(r, 6) : 0;
        s->cache_bytes_max = rng_chance(r, 400) ? 1 + rng_below(r, 30000) : 0;
        s->tasks_max = rng_chance(r, 200) ? 1 + rng_below(r, 5) : 0;
        s->engine.max_concurrent_steps = 1 + rng_below(r, 5);
        s->engine.detailed_logging = rng_chance(r, 100);
        s->definitions.allow_timeout_approve = rng_chance(r, 500);
        if (rng_chance(r, 100)) {
                p->short_memory = true;
                s->results_ttl_ms = 1000 + rng_below(r, 60000);
        }
        if (rng_chance(r, 100)) {
                p->short_outbox = p->rate[FAULT_AUDIT_LOSES] || p->rate[FAULT_AUDIT_NEW];
                s->outbox_ttl_ms = 1000 + rng_below(r, 60000);
        } else {
                s->outbox_ttl_ms = 1000LL * 86400 * 1000;
        }
        if (!p->short_memory)
                s->results_ttl_ms = 1000LL * 86400 * 1000;
        if (rng_chance(r, 150))
                p->map_max = 200000 + rng_below(r, 400000);
}

void plan_draw(Plan *p, uint64_t seed) {
        Rng r = rng_of(seed, UINT64_MAX);

        *p = (Plan){.n_steps = SIM_STEPS,
                    .runtime = {.engine = {.source = SLICE("runbookd/simulation")},
                                .definitions = runbook_defaults_builtin,
                                .subject_prefix = SLICE(SIM_PREFIX)}};
        for (Fault f = 0; f < N_FAULTS; f++)
                if (rng_below(&r, 100) < fault_rates[f].in)
                        p->rate[f] = (uint16_t)rng_range(&r, fault_rates[f].from, fault_rates[f].to);
        if (rng_chance(&r, 150))
                for (Fault f = 0; f < N_FAULTS; f++)
                        p->rate[f] = f == FAULT_RESULT_ERROR ? p->rate[f] : 0; /* a calm world */
        for (Op o = 0; o < N_OPS; o++)
                p->weight[o] = (uint16_t)rng_range(&r, op_weights[o].from, op_weights[o].to);
        p->clock_ms = rng_chance(&r, 500) ? 200 : rng_chance(&r, 500) ? 3000 : 30000;
        p->n_runbooks = 1 + rng_below(&r, 4);
        draw_limits(p, &r);
        Rng c = rng_of(seed, UINT64_MAX - 5);
        p->runtime.checkpoint_ms = rng_chance(&c, 333) ? 1 + rng_below(&c, 20000) : 0;
        signing_key_from_seed((const uint8_t *)"a seed of thirty-two bytes, here", &p->runtime.checkpoint_key);
}
