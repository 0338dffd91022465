#pragma once
/* A runbook with every shape that instances come in, and executions of it with random but consistent state. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cleanup.h"
#include "model/execution.h"

typedef struct Sample {
        uint64_t s;
} Sample; /* a random stream */

static inline uint64_t sample_next(Sample *r) {
        r->s ^= r->s << 13, r->s ^= r->s >> 7, r->s ^= r->s << 17;
        return r->s;
}
static inline uint32_t sample_below(Sample *r, uint32_t n) { return (uint32_t)((sample_next(r) >> 11) % n); }
static inline bool sample_one_in(Sample *r, uint32_t n) { return sample_below(r, n) == 0; }

/** Mostly a small number, at times any. */
static inline uint32_t sample_count(Sample *r) {
        return sample_one_in(r, 8) ? (uint32_t)sample_next(r) : sample_below(r, 5);
}
static inline int64_t sample_time(Sample *r) {
        if (sample_one_in(r, 20))
                return (int64_t)sample_next(r);
        return sample_one_in(r, 3) ? 0 : 1790000000000 + sample_below(r, 1000000);
}
static inline Uuid sample_uuid(Sample *r) {
        return uuid_v7(1790000000000 + sample_below(r, 1000000), sample_next(r), sample_next(r));
}
static inline char *sample_string(Sample *r, uint32_t n_max) {
        uint32_t n = sample_below(r, n_max + 1);
        char *s = calloc(1, n + 1);
        for (uint32_t i = 0; s && i < n; i++)
                s[i] = (char)('a' + sample_below(r, 26));
        return s;
}
/** A JSON string of @n bytes with its quotes (at least 2), as canonical bytes. */
static inline Value *sample_value_of(uint32_t n) {
        char *s = malloc(n);
        memset(s, 'v', n);
        s[0] = s[n - 1] = '"';
        Value *v = value_new_bytes((Slice){s, n});
        free(s);
        return v;
}
static inline Value *sample_value(Sample *r) {
        static const uint32_t sizes[] = {
                        2, 17, 100, OUTPUT_INLINE_MAX - 1, OUTPUT_INLINE_MAX, OUTPUT_INLINE_MAX + 1, 5000};
        return sample_value_of(sizes[sample_below(r, 7)]);
}

/** Some 40 steps: a chain, a loop with three steps in its body, an approval, a wait, calls with a
 * compensation. */
static inline Runbook *sample_runbook(void) {
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_(report_deinit) Report report = {0};
        Runbook *runbook = NULL;

        buf_put_str(&b, "{\"id\":\"sample\",\"name\":\"Sample\",\"version\":\"1.0.0\",\"steps\":[");
        for (int i = 0; i < 30; i++)
                buf_printf(&b,
                           "{\"id\":\"c%d\",\"name\":\"C\",\"type\":\"call-service\",%s%s\"config\":{\"url\":"
                           "\"http://h/\",\"method\":\"GET\"},"
                           "\"dependsOn\":[%s%.*d%s]},",
                           i, i % 3 == 0 ? "\"compensateWith\":\"undo\"," : "", "", i ? "\"c" : "", i ? 1 : 0,
                           i ? i - 1 : 0, i ? "\"" : "");
        buf_put_str(&b, "{\"id\":\"undo\",\"name\":\"U\",\"type\":\"call-service\",\"dependsOn\":[],"
                        "\"config\":{\"url\":\"http://h/undo\",\"method\":\"POST\"}},"
                        "{\"id\":\"loop\",\"name\":\"L\",\"type\":\"loop\",\"dependsOn\":[],\"config\":{"
                        "\"bodyStepId\":\"body\"},"
                        "\"loopConfig\":{\"maxIterations\":10,\"iterateOver\":\"input.items\"}},"
                        "{\"id\":\"body\",\"name\":\"B\",\"type\":\"wait\",\"dependsOn\":[],\"config\":{"
                        "\"durationMs\":1}},"
                        "{\"id\":\"body2\",\"name\":\"B\",\"type\":\"wait\",\"dependsOn\":[\"body\"],"
                        "\"config\":{\"durationMs\":1}},"
                        "{\"id\":\"body3\",\"name\":\"B\",\"type\":\"wait\",\"dependsOn\":[\"body\"],"
                        "\"config\":{\"durationMs\":1}},"
                        "{\"id\":\"ask\",\"name\":\"A\",\"type\":\"human-approval\",\"dependsOn\":[\"loop\"],"
                        "\"approvalConfig\":"
                        "{\"approvers\":[\"ann\",\"bob\"],\"minApprovals\":1,\"timeoutMs\":1000,"
                        "\"timeoutAction\":\"fail\"}}]}");
        (void)runbook_def_parse(buf_slice(&b), &runbook_defaults_builtin, &report, &runbook);
        if (!runbook) {
                buf_reset(&b);
                report_write_json(&report, &b);
                fprintf(stderr, "%.*s\n", SLICE_ARG(buf_slice(&b)));
                abort();
        }
        return runbook;
}

static inline Slice sample_dup(Execution *x, const char *s) {
        return arena_dup(&x->statics, slice_from_str(s));
}

/** An execution as it is right after its start: static part filled, root scope open, nothing begun. */
static inline Execution *sample_execution(Runbook *runbook, Uuid id, const char *tenant, uint64_t order,
                                          int64_t now_ms) {
        Execution *x = execution_new(runbook);
        x->id = id;
        x->tenant = sample_dup(x, tenant);
        x->initiated_by = sample_dup(x, "ann");
        x->runbook_id = arena_dup(&x->statics, runbook->id);
        x->runbook_version = arena_dup(&x->statics, runbook->version);
        x->created_ms = now_ms;
        x->order = order;
        x->context = sample_value_of(300);
        x->input = sample_value_of(100);
        execution_open_scope(x, REGION_ROOT, INSTANCE_NONE, 0);
        return x;
}

/** Set the status of an instance and keep all counters true. */
static inline void sample_set_status(Execution *x, uint32_t instance, uint8_t status) {
        StepState *s = &x->steps[instance];
        Scope *scope = &x->scopes[s->scope];
        uint32_t *counters[RUNBOOK_N_STEP_STATUSES] = {[RUNBOOK_STEP_COMPLETED] = &x->n_completed,
                                                       [RUNBOOK_STEP_FAILED] = &x->n_failed,
                                                       [RUNBOOK_STEP_SKIPPED] = &x->n_skipped,
                                                       [RUNBOOK_STEP_CANCELLED] = &x->n_cancelled};
        for (int add = 0; add <= 1; add++) {
                uint32_t by = add ? 1 : UINT32_MAX;
                if (add)
                        s->status = status;
                if (counters[s->status])
                        *counters[s->status] += by;
                else
                        scope->n_open += by;
                if (step_status_is_active(s->status)) {
                        scope->n_active += by;
                        x->n_active += by;
                }
                if (s->status == RUNBOOK_STEP_RUNNING &&
                    step_type_holds_slot(execution_step(x, instance)->type))
                        x->n_running += by;
        }
        execution_touch(x, instance);
        execution_touch_scope(x, s->scope);
}

static inline void sample_fill_extra(Sample *r, Execution *x, uint32_t instance) {
        StepExtra *e = execution_extra(x, instance);
        if (sample_one_in(r, 2)) {
                uint32_t n = 1 + sample_below(r, 4);
                e->votes = calloc(n, sizeof(*e->votes));
                for (; e->n_votes < n; e->n_votes++)
                        e->votes[e->n_votes] =
                                        (Vote){.user = sample_string(r, 20),
                                               .comments = sample_one_in(r, 2) ? sample_string(r, 50) : NULL,
                                               .decision = sample_below(r, 2),
                                               .at_ms = sample_time(r)};
        }
        e->escalated = sample_one_in(r, 3);
        if (sample_one_in(r, 2))
                e->shown.bytes[sample_below(r, DIGEST_SIZE)] = (uint8_t)(1 + sample_below(r, 255));
        e->prompt = sample_one_in(r, 3) ? sample_value(r) : NULL;
        e->event_type = sample_one_in(r, 3) ? sample_string(r, 30) : NULL;
        e->correlation = e->event_type ? sample_string(r, 30) : NULL;
        if (sample_one_in(r, 3)) {
                e->n_planned = sample_count(r);
                e->n_opened = sample_count(r);
                e->n_closed = sample_count(r);
                e->n_iterations_failed = sample_count(r);
                e->first_scope = sample_one_in(r, 2) ? sample_below(r, x->n_scopes) : SCOPE_NONE;
                e->last_scope = sample_one_in(r, 2) ? sample_below(r, x->n_scopes) : SCOPE_NONE;
        }
        e->child = sample_one_in(r, 3) ? sample_uuid(r) : UUID_NIL;
        e->child_quiet = sample_one_in(r, 3);
        e->progress = sample_one_in(r, 3) ? sample_below(r, 100) / 100.0 : 0;
}

static inline void sample_fill_step(Sample *r, Execution *x, uint32_t instance) {
        StepState *s = &x->steps[instance];
        sample_set_status(x, instance, (uint8_t)sample_below(r, RUNBOOK_N_STEP_STATUSES));
        s->skip_reason = s->status == RUNBOOK_STEP_SKIPPED ? (uint8_t)sample_below(r, N_SKIP_REASONS) : 0;
        s->continued = sample_one_in(r, 4);
        s->compensated = sample_one_in(r, 4);
        s->timed_out = sample_one_in(r, 4);
        uint32_t *counts[] = {&s->n_open,          &s->n_done,     &s->n_taken,
                              &s->n_branches_open, &s->attempt,    &s->retries_from,
                              &s->done_order,      &s->n_evidence, &s->n_logs};
        for (size_t i = 0; i < N_ELEMENTS(counts); i++)
                *counts[i] = sample_count(r);
        int64_t *times[] = {&s->ready_ms,   &s->start_ms,    &s->end_ms,
                            &s->attempt_ms, &s->timer_ms[0], &s->timer_ms[1]};
        for (size_t i = 0; i < N_ELEMENTS(times); i++)
                *times[i] = sample_time(r);
        s->output = sample_one_in(r, 3) ? sample_value(r) : NULL;
        s->error = sample_one_in(r, 4) ? sample_value(r) : NULL;
        if (sample_one_in(r, 3))
                sample_fill_extra(r, x, instance);
}

/** Random state in every field, loop iterations and compensations opened. */
static inline Execution *sample_random_execution(Sample *r, Runbook *runbook) {
        Execution *x = sample_execution(runbook, sample_uuid(r), "acme", sample_next(r), sample_time(r));
        uint32_t loop = runbook_find_step(runbook, SLICE("loop"));
        uint32_t call = runbook_find_step(runbook, SLICE("c0"));

        if (sample_one_in(r, 2))
                x->command_id = sample_dup(x, "command-1");
        if (sample_one_in(r, 2))
                x->traceparent = sample_dup(x, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        if (sample_one_in(r, 2))
                x->idempotency_key = sample_dup(x, "key");
        if (sample_one_in(r, 2))
                memset(x->idempotency_digest.bytes, 7, DIGEST_SIZE);
        if (sample_one_in(r, 3)) {
                value_unref(x->input);
                x->input = NULL;
        }
        x->parent = sample_one_in(r, 3) ? sample_uuid(r) : UUID_NIL;
        x->parent_instance = sample_one_in(r, 3) ? sample_count(r) : INSTANCE_NONE;
        x->depth = sample_below(r, 3);
        x->original = sample_one_in(r, 3) ? sample_uuid(r) : UUID_NIL;
        x->is_dry_run = sample_one_in(r, 3);

        for (uint32_t n = sample_below(r, 12), i = 0; i < n; i++) {
                bool undo = sample_one_in(r, 4);
                uint32_t owner = execution_find_instance(x, INSTANCE_NONE, undo ? call : loop);
                uint32_t scope = execution_open_scope(
                                x, undo ? REGION_COMPENSATION : runbook->steps[loop].loop->region, owner, i);
                x->scopes[scope].item = sample_one_in(r, 2) ? sample_value(r) : NULL;
                x->scopes[scope].n_failed = sample_count(r);
                x->scopes[scope].closed = sample_one_in(r, 2);
                if (!undo && scope > 1 && x->scopes[scope - 1].owner == owner)
                        x->scopes[scope - 1].next_scope = scope;
        }
        for (uint32_t i = 0; i < x->n_instances; i++)
                if (sample_one_in(r, 2))
                        sample_fill_step(r, x, i);

        x->status = (uint8_t)sample_below(r, RUNBOOK_N_EXECUTION_STATUSES);
        x->goal = (uint8_t)sample_below(r, GOAL_CANCEL + 1);
        x->freeze_clocks = sample_one_in(r, 2);
        x->start_ms = sample_time(r);
        x->end_ms = sample_time(r);
        x->paused_ms = sample_time(r);
        x->global_deadline_ms = sample_time(r);
        x->n_refused = sample_count(r);
        x->n_done_order = sample_count(r);
        x->n_quiet = x->n_running ? sample_below(r, x->n_running + 1) : 0;
        x->compensating = sample_one_in(r, 2) ? sample_below(r, x->n_instances) : INSTANCE_NONE;
        x->seq = sample_next(r) >> sample_below(r, 64);
        x->n_journal = sample_count(r);
        x->n_logs = sample_count(r);
        x->n_evidence = sample_count(r);
        if (sample_one_in(r, 2))
                memset(x->chain.bytes, 9, DIGEST_SIZE);
        x->cancelled_by = sample_one_in(r, 3) ? sample_string(r, 20) : NULL;
        x->cancel_reason = sample_one_in(r, 3) ? sample_string(r, 100) : NULL;
        x->pause_at = sample_one_in(r, 3) ? sample_string(r, 20) : NULL;
        x->output = sample_one_in(r, 3) ? sample_value(r) : NULL;
        x->error = sample_one_in(r, 3) ? sample_value(r) : NULL;
        return x;
}
