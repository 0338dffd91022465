/*
 * What runs next. A step's open in-edges are counted down as the steps it waits for become final; at the
 * decisive edge it is unblocked or skipped. Nothing recurses: final steps queue in x->resolved until their
 * out-edges are followed, unblocked ones in x->ready until there is a slot. O(1) an edge.
 *
 * When a step may run (join):
 *   - targets of conditionals: one of the branches that lead to it must be taken, else it is skipped;
 *   - "all": every dependency is completed or skipped, and one at least completed (or a branch was taken);
 *   - "any": one dependency completed (and, for a target, a branch was taken).
 */

#include <assert.h>

#include "engine/internal.h"

/* Append to a work list of the execution. */
static void push(Move *m, uint32_t **list, uint32_t *n, uint32_t *cap, uint32_t instance) {
        if (*n == *cap) {
                uint32_t cap_new = *cap ? *cap * 2 : 32;
                uint32_t *bigger = realloc(*list, cap_new * sizeof(*bigger));
                if (!bigger) {
                        move_oom(m);
                        return;
                }
                *list = bigger;
                *cap = cap_new;
        }
        (*list)[(*n)++] = instance;
}

void schedule_resolved(Move *m, uint32_t instance) {
        push(m, &m->x->resolved, &m->x->n_resolved, &m->x->cap_resolved, instance);
}

bool schedule_is_stopped(const Execution *x, uint32_t instance) {
        uint32_t scope = x->steps[instance].scope;
        if (x->scopes[scope].region == REGION_COMPENSATION)
                return false;
        if (x->goal != GOAL_COMPLETE)
                return true;
        for (; x->scopes[scope].owner != INSTANCE_NONE; scope = x->steps[x->scopes[scope].owner].scope)
                if (x->scopes[scope].n_failed > 0 || loop_is_failing(x, x->scopes[scope].owner))
                        return true;
        return false;
}

static void enqueue(Move *m, uint32_t instance) {
        Execution *x = m->x;
        if (heap_push(&x->ready, execution_ready_key(x, instance)) < 0)
                move_oom(m);
        push(m, &x->fresh, &x->n_fresh, &x->cap_fresh, instance);
}

void schedule_unblock(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        if (schedule_is_stopped(m->x, instance))
                return; /* stays pending; a retry looks at it again */
        if (step->condition) {
                EnvCtx ctx = {.m = m, .instance = instance};
                ExprEnv env = env_for(&ctx);
                ExprError error;
                bool holds = false;
                int r = expr_condition_eval(step->condition, &env, &holds, &error);
                if (r == -ENOMEM) {
                        move_oom(m);
                        return;
                }
                if (r < 0) {
                        step_fail(m, instance, expr_error_value(m, &error));
                        return;
                }
                if (!holds) {
                        step_skip(m, instance, SKIP_CONDITION);
                        return;
                }
        }
        enqueue(m, instance);
}

void schedule_requeue(Move *m, uint32_t instance) {
        step_set_status(m, instance, RUNBOOK_STEP_READY);
        if (heap_push(&m->x->ready, execution_ready_key(m->x, instance)) < 0)
                move_oom(m);
}

/* Decide about a pending step after one of its in-edges was resolved. @because_skipped: that edge's source
 * was skipped. */
static void decide(Move *m, uint32_t instance, bool because_skipped) {
        const RunbookStep *step = move_step(m, instance);
        const StepState *s = move_state(m, instance);
        bool is_target = step->n_branch_edges > 0;
        bool one_done = s->n_done > 0 || s->n_taken > 0;

        if (is_target && s->n_branches_open == 0 && s->n_taken == 0)
                step_skip(m, instance, because_skipped ? SKIP_DEPENDENCIES_SKIPPED : SKIP_BRANCH_NOT_TAKEN);
        else if (s->n_open == 0 && !one_done && step->n_deps > 0)
                step_skip(m, instance, SKIP_DEPENDENCIES_SKIPPED);
        else if (s->n_open == 0 || (step->join_any && one_done && (!is_target || s->n_taken > 0)))
                schedule_unblock(m, instance);
}

void schedule_resolve_again(Move *m, uint32_t instance) {
        if (move_state(m, instance)->status == RUNBOOK_STEP_PENDING)
                decide(m, instance, false);
}

static bool branch_taken(Move *m, const StepState *conditional, EdgeKind kind) {
        /* Canonical bytes of our own making: {"branch":…,"result":true} */
        bool result = slice_ends_with(move_bytes(m, conditional->output), SLICE("\"result\":true}"));
        return conditional->status == RUNBOOK_STEP_COMPLETED && result == (kind == EDGE_TRUE);
}

static void follow_edge(Move *m, uint32_t source, const Edge *edge) {
        Execution *x = m->x;
        const StepState *from = move_state(m, source);
        uint32_t target = x->scopes[from->scope].first + x->runbook->steps[edge->to].local;
        StepState *s = move_state(m, target);

        assert(s->n_open > 0);
        s->n_open--;
        if (edge->kind == EDGE_DEPENDENCY) {
                if (from->status != RUNBOOK_STEP_SKIPPED)
                        s->n_done++;
        } else {
                s->n_branches_open--;
                if (branch_taken(m, from, edge->kind))
                        s->n_taken++;
        }
        execution_touch(x, target);
        if (s->status == RUNBOOK_STEP_PENDING)
                decide(m, target, from->status == RUNBOOK_STEP_SKIPPED);
}

static void follow(Move *m, uint32_t instance) {
        Execution *x = m->x;
        const StepState *s = move_state(m, instance);
        uint32_t scope = s->scope;

        if (x->scopes[scope].region == REGION_COMPENSATION) {
                finish_compensated(m, instance);
                return;
        }
        if (s->status == RUNBOOK_STEP_COMPLETED || s->status == RUNBOOK_STEP_SKIPPED || s->continued) {
                const RunbookStep *step = move_step(m, instance);
                for (uint32_t i = 0; i < step->n_out && !x->broken; i++)
                        follow_edge(m, instance, &step->out[i]);
        }
        if (x->scopes[scope].owner != INSTANCE_NONE)
                loop_scope_changed(m, scope);
}

/* Start the first step in line, if anything may start now. False: nothing to do. */
static bool start_next(Move *m) {
        Execution *x = m->x;
        uint32_t max = x->runbook->max_concurrent_steps ? x->runbook->max_concurrent_steps
                                                        : m->settings->max_concurrent_steps;
        uint64_t key;

        if (x->status != RUNBOOK_EXECUTION_RUNNING && x->status != RUNBOOK_EXECUTION_COMPENSATING)
                return false;
        if (!heap_peek(&x->ready, &key) || (key >> 32 && x->n_running >= max))
                return false;
        uint32_t instance = (uint32_t)key;
        uint8_t status = x->steps[instance].status;
        if (x->pause_at && !schedule_is_stopped(x, instance) &&
            (status == RUNBOOK_STEP_PENDING || status == RUNBOOK_STEP_READY) &&
            slice_eq_str(move_step(m, instance)->id, x->pause_at)) {
                control_pause_at(m);
                return false;
        }
        heap_pop(&x->ready, &key);
        if ((status != RUNBOOK_STEP_PENDING && status != RUNBOOK_STEP_READY) || x->steps[instance].asking)
                return true; /* it left the line by another way */
        if (schedule_is_stopped(x, instance)) {
                if (status == RUNBOOK_STEP_READY)
                        step_set_status(m, instance, RUNBOOK_STEP_PENDING);
                return true;
        }
        step_start(m, instance);
        return true;
}

/* Steps that became startable by this input but found no slot: say so, once. */
static void announce_ready(Move *m) {
        Execution *x = m->x;
        for (uint32_t i = 0; i < x->n_fresh; i++) {
                uint32_t instance = x->fresh[i];
                if (x->steps[instance].status != RUNBOOK_STEP_PENDING || schedule_is_stopped(x, instance))
                        continue;
                move_state(m, instance)->ready_ms = m->in->now_ms;
                step_set_status(m, instance, RUNBOOK_STEP_READY);
                record_step(m, "step.ready", instance, &(EventData){0});
        }
        x->n_fresh = 0;
}

void schedule_run(Move *m) {
        Execution *x = m->x;
        do {
                /* The list grows while it is followed; every instance becomes final at most once a move. */
                for (uint32_t i = 0; i < x->n_resolved && !x->broken; i++)
                        follow(m, x->resolved[i]);
                x->n_resolved = 0;
        } while (!x->broken && start_next(m));
        if (!x->broken)
                announce_ready(m);
}

/* ---- stopping -------------------------------------------------------------------------------------------- */

static void stop_instance(Move *m, uint32_t instance, bool abort) {
        switch (move_state(m, instance)->status) {
        case RUNBOOK_STEP_READY:
                if (move_state(m, instance)->asking)
                        authz_withdraw(m, instance);
                step_set_status(m, instance, RUNBOOK_STEP_PENDING);
                break;
        case RUNBOOK_STEP_RUNNING:
                if (move_step(m, instance)->type == STEP_TYPE_LOOP)
                        loop_stop(m, instance, abort);
                else if (move_step(m, instance)->type == STEP_TYPE_RUN_RUNBOOK)
                        child_signal(m, instance, INPUT_CANCEL); /* and wait for it */
                else if (abort)
                        step_cancel(m, instance);
                break; /* an attempt in flight may end: its effect has happened, its result is wanted */
        case RUNBOOK_STEP_RETRYING:
        case RUNBOOK_STEP_AWAITING_APPROVAL:
        case RUNBOOK_STEP_AWAITING_EVENT:
        case RUNBOOK_STEP_WAITING:
                step_cancel(m, instance);
                break;
        default:
                break;
        }
}

void schedule_stop_scope(Move *m, uint32_t scope, bool abort) {
        Execution *x = m->x;
        uint32_t n = x->scopes[scope].region == REGION_COMPENSATION
                                     ? 1
                                     : x->runbook->regions[x->scopes[scope].region].n_steps;
        /* loop_stop comes back here for inner scopes: at most LIMIT_LOOP_NESTING deep. */
        for (uint32_t i = 0; i < n && x->scopes[scope].n_active > 0; i++)
                stop_instance(m, x->scopes[scope].first + i, abort);
}

/* ---- outputs of scopes ----------------------------------------------------------------------------------- */

Value *schedule_collect(Move *m, uint32_t scope) {
        Execution *x = m->x;
        const Region *region = &x->runbook->regions[x->scopes[scope].region];
        if (region->n_sinks == 1) {
                const StepState *s = move_state(m, x->scopes[scope].first +
                                                                   x->runbook->steps[region->sinks[0]].local);
                return s->output ? value_ref(s->output) : value_new_bytes(SLICE("null"));
        }
        return collect_outputs(m, region->sinks, region->n_sinks, x->scopes[scope].first);
}
