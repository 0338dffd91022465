/* What people can do to a running execution: pause, resume, cancel, retry. */

#include "engine/internal.h"

static const char *status_text(const Execution *x) {
        if (x->goal == GOAL_CANCEL && !runbook_execution_status_is_final((RunbookExecutionStatus)x->status))
                return "being cancelled";
        if (x->goal == GOAL_FAIL && x->status == RUNBOOK_EXECUTION_RUNNING)
                return "failing";
        return runbook_execution_status_name((RunbookExecutionStatus)x->status);
}

static EventData by_whom(Move *m) { return (EventData){.by = m->in->user, .command_id = m->in->command_id}; }

/* ---- pause and resume -------------------------------------------------------------------------------------- */

static void timer_effect(Move *m, EffectKind kind, uint32_t instance, TimerSlot slot, int64_t at_ms) {
        Effect *e = update_effect(m->out, kind, instance);
        e->slot = (uint8_t)slot;
        e->at_ms = at_ms;
}

static void freeze_clocks(Move *m) {
        Execution *x = m->x;
        x->paused_ms = m->in->now_ms;
        for (uint32_t i = 0; i < x->n_instances; i++)
                for (int slot = TIMER_STEP; execution_clock_freezes(x, i) && slot <= TIMER_ESCALATE; slot++)
                        if (x->steps[i].timer_ms[slot] > 0)
                                timer_effect(m, EFFECT_TIMER_CLEAR, i, (TimerSlot)slot,
                                             x->steps[i].timer_ms[slot]);
        if (x->global_deadline_ms > 0)
                timer_effect(m, EFFECT_TIMER_CLEAR, INSTANCE_NONE, TIMER_GLOBAL, x->global_deadline_ms);
}

static void thaw_clocks(Move *m) {
        Execution *x = m->x;
        int64_t delta = x->paused_ms > 0 ? m->in->now_ms - x->paused_ms : 0;
        if (x->paused_ms == 0)
                return;
        x->paused_ms = 0;
        for (uint32_t i = 0; i < x->n_instances; i++)
                for (int slot = TIMER_STEP; execution_clock_freezes(x, i) && slot <= TIMER_ESCALATE; slot++) {
                        int64_t *at = &x->steps[i].timer_ms[slot];
                        if (*at == 0)
                                continue;
                        *at += delta;
                        timer_effect(m, EFFECT_TIMER_SET, i, (TimerSlot)slot, *at);
                        execution_touch(x, i);
                }
        if (x->global_deadline_ms > 0) {
                x->global_deadline_ms += delta;
                timer_effect(m, EFFECT_TIMER_SET, INSTANCE_NONE, TIMER_GLOBAL, x->global_deadline_ms);
        }
}

static void begin_pause(Move *m, bool freeze, EventData data) {
        if (freeze)
                freeze_clocks(m);
        execution_set_status(m, RUNBOOK_EXECUTION_PAUSING);
        record_execution(m, "execution.pausing", &data);
        child_signal_all(m, INPUT_PAUSE);
        finish_settle(m);
}

void control_pause(Move *m) {
        Execution *x = m->x;
        if (!may_control(m))
                return;
        if (x->status != RUNBOOK_EXECUTION_RUNNING || x->goal != GOAL_COMPLETE) {
                refuse(m, RUNBOOK_WRONG_STATE, "the execution is %s; only a running one can be paused",
                       status_text(x));
                return;
        }
        x->freeze_clocks = m->in->flag;
        begin_pause(m, m->in->flag, by_whom(m));
        reply_status(m, x->status == RUNBOOK_EXECUTION_PAUSED ? "paused" : "pausing");
}

void control_pause_at(Move *m) {
        Execution *x = m->x;
        char *step = STEAL(x->pause_at);
        record_log(m, "info", INSTANCE_NONE, "pausing before step \"%s\", as the start asked", step);
        free(step);
        begin_pause(m, true, (EventData){.reason = SLICE("pauseAt")});
}

void control_resume(Move *m) {
        Execution *x = m->x;
        if (!may_control(m))
                return;
        if (x->status != RUNBOOK_EXECUTION_PAUSED && x->status != RUNBOOK_EXECUTION_PAUSING) {
                refuse(m, RUNBOOK_WRONG_STATE, "the execution is %s; only a paused one can be resumed",
                       status_text(x));
                return;
        }
        thaw_clocks(m);
        execution_set_status(m, RUNBOOK_EXECUTION_RUNNING);
        EventData data = by_whom(m);
        record_execution(m, "execution.resumed", &data);
        child_tell_parent(m, INPUT_CHILD_STATE, false);
        child_signal_all(m, INPUT_RESUME);
        reply_status(m, "resumed");
}

/* ---- cancel -------------------------------------------------------------------------------------------------- */

void control_cancel(Move *m) {
        Execution *x = m->x;
        if (!may_control(m))
                return;
        if (runbook_execution_status_is_final((RunbookExecutionStatus)x->status) ||
            x->goal != GOAL_COMPLETE) {
                refuse(m, RUNBOOK_WRONG_STATE, "the execution is %s and can't be cancelled", status_text(x));
                return;
        }
        x->goal = GOAL_CANCEL;
        x->cancelled_by = slice_dup(m->in->user.n > 0 ? m->in->user : SLICE("engine"));
        x->cancel_reason = m->in->text.n > 0 ? slice_dup(m->in->text) : NULL;
        if (!x->cancelled_by || (m->in->text.n > 0 && !x->cancel_reason)) {
                move_oom(m);
                return;
        }
        x->paused_ms = 0; /* its clocks stand still for good */
        finish_clear_deadline(m);
        m->out->applied = true;
        record_log(m, "warn", INSTANCE_NONE, "cancelled by %s%s%s", x->cancelled_by,
                   x->cancel_reason ? ": " : "", x->cancel_reason ? x->cancel_reason : "");
        schedule_stop_scope(m, 0, true);
        reply_status(m, "cancelled");
}

/* ---- retry ------------------------------------------------------------------------------------------------- */

static void revive(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        step_set_status(m, instance, RUNBOOK_STEP_PENDING);
        s->retries_from = s->attempt;
        s->end_ms = 0;
        s->timed_out = false;
}

/* @scope is as if nothing in it had failed, and open. What did fail in it, revive_stopped finds. */
static void reopen(Move *m, uint32_t scope) {
        Scope *s = &m->x->scopes[scope];
        StepExtra *extra = m->x->steps[s->owner].extra;
        if (s->closed) {
                s->closed = false;
                extra->n_closed--;
                extra->n_iterations_failed -= s->n_failed > 0;
        }
        s->n_failed = 0;
        execution_touch_scope(m->x, scope);
        execution_touch(m->x, s->owner);
}

/* A loop can't end well while more of its iterations stay failed than it tolerates: they all run again. */
static void reopen_failed(Move *m, uint32_t loop) {
        const Execution *x = m->x;
        if (!x->steps[loop].extra || !loop_is_failing(x, loop))
                return;
        for (uint32_t c = x->steps[loop].extra->first_scope; c != SCOPE_NONE; c = x->scopes[c].next_scope)
                if (x->scopes[c].n_failed > 0)
                        reopen(m, c);
}

/* A loop that ended because of its iterations goes on with those; all else begins anew. */
static void revive_failed(Move *m, uint32_t instance) {
        const Execution *x = m->x;
        if (execution_step(x, instance)->type != STEP_TYPE_LOOP || !x->steps[instance].extra ||
            !loop_is_failing(x, instance)) {
                revive(m, instance);
                return;
        }
        step_set_status(m, instance, RUNBOOK_STEP_RUNNING);
        move_state(m, instance)->end_ms = 0;
        move_state(m, instance)->timed_out = false;
        reopen_failed(m, instance);
}

/* Open the iteration that @scope is, and all around it, again: the loops, which all have failed, run again. */
static void reopen_around(Move *m, uint32_t scope) {
        Execution *x = m->x;
        while (x->scopes[scope].owner != INSTANCE_NONE) {
                uint32_t owner = x->scopes[scope].owner;
                reopen(m, scope);
                reopen_failed(m, owner);
                step_set_status(m, owner, RUNBOOK_STEP_RUNNING);
                x->steps[owner].end_ms = 0;
                scope = x->steps[owner].scope;
        }
        x->scopes[scope].n_failed--;
        execution_touch_scope(x, scope);
}

/* May steps of @scope run: is the root's, or does every loop around it run, with its iteration open? */
static bool scope_is_live(const Execution *x, uint32_t scope) {
        for (; x->scopes[scope].owner != INSTANCE_NONE; scope = x->steps[x->scopes[scope].owner].scope)
                if (x->scopes[scope].region == REGION_COMPENSATION || x->scopes[scope].closed ||
                    x->steps[x->scopes[scope].owner].status != RUNBOOK_STEP_RUNNING)
                        return false;
        return true;
}

/* Iterations that closed unfinished, because all was being stopped, go on. */
static void reopen_iterations(Move *m, uint32_t loop) {
        Execution *x = m->x;
        StepExtra *extra = x->steps[loop].extra;
        for (uint32_t c = extra ? extra->first_scope : SCOPE_NONE; c != SCOPE_NONE; c = x->scopes[c].next_scope)
                if (x->scopes[c].closed && x->scopes[c].n_open > 0 && x->scopes[c].n_failed == 0) {
                        x->scopes[c].closed = false;
                        extra->n_closed--;
                        execution_touch_scope(x, c);
                        execution_touch(x, loop);
                }
}

/* What the failure had stopped goes on, and what had failed in iterations that are open again: within one all that
 * failed runs again, since it can't end well while something stays failed. Owners have smaller numbers than what is
 * in them, so one pass does. */
static void revive_stopped(Move *m) {
        Execution *x = m->x;
        for (uint32_t i = 0; i < x->n_instances && !x->broken; i++) {
                StepState *s = &x->steps[i];
                bool is_loop = execution_step(x, i)->type == STEP_TYPE_LOOP;
                if (!scope_is_live(x, s->scope))
                        continue;
                if (s->status == RUNBOOK_STEP_FAILED && !s->continued && x->scopes[s->scope].n_failed == 0 &&
                    x->scopes[s->scope].owner != INSTANCE_NONE)
                        revive_failed(m, i);
                if (s->status == RUNBOOK_STEP_CANCELLED && is_loop && s->extra &&
                    s->extra->first_scope != SCOPE_NONE) {
                        step_set_status(m, i, RUNBOOK_STEP_RUNNING);
                        s->end_ms = 0;
                } else if (s->status == RUNBOOK_STEP_CANCELLED) {
                        revive(m, i);
                }
                if (is_loop && s->status == RUNBOOK_STEP_RUNNING)
                        reopen_iterations(m, i); /* of one that failed, too: the retry has reopened that one */
                schedule_resolve_again(m, i);
        }
}

/* Loops that run again may have nothing open: let each look. */
static void advance_loops(Move *m) {
        Execution *x = m->x;
        for (uint32_t i = 0; i < x->n_instances && !x->broken; i++)
                if (x->steps[i].status == RUNBOOK_STEP_RUNNING &&
                    execution_step(x, i)->type == STEP_TYPE_LOOP && scope_is_live(x, x->steps[i].scope))
                        loop_advance(m, i);
}

static bool was_compensated(const Execution *x) {
        for (uint32_t i = 0; i < x->n_scopes; i++)
                if (x->scopes[i].region == REGION_COMPENSATION)
                        return true;
        return false;
}

static void run_again(Move *m, uint32_t instance) {
        Execution *x = m->x;
        uint32_t scope = x->steps[instance].scope;

        x->goal = GOAL_COMPLETE;
        x->end_ms = 0;
        x->compensations_known = false;
        value_unref(x->error);
        x->error = NULL;
        if (x->runbook->global_timeout_ms > 0) {
                x->global_deadline_ms = m->in->now_ms + x->runbook->global_timeout_ms;
                timer_effect(m, EFFECT_TIMER_SET, INSTANCE_NONE, TIMER_GLOBAL, x->global_deadline_ms);
        }
        execution_set_status(m, RUNBOOK_EXECUTION_RUNNING);
        EventData data = by_whom(m);
        data.reason = SLICE("retry");
        record_execution(m, "execution.resumed", &data);
        update_effect(m->out, EFFECT_IDEMPOTENCY_CLAIM, INSTANCE_NONE);

        if (x->scopes[scope].owner == INSTANCE_NONE) {
                x->scopes[scope].n_failed--;
                execution_touch_scope(x, scope);
                revive_failed(m, instance);
        } else {
                reopen_around(m, scope);
        }
        revive_stopped(m);
        advance_loops(m);
}

/* The loop around @instance that did not fail because of what failed in it: it tolerated that, was let pass, or was
 * stopped. INSTANCE_NONE: there is none, so the execution failed because of it. */
static uint32_t bearing_loop(const Execution *x, uint32_t instance) {
        for (uint32_t owner; (owner = x->scopes[x->steps[instance].scope].owner) != INSTANCE_NONE; instance = owner)
                if (x->steps[owner].status != RUNBOOK_STEP_FAILED || x->steps[owner].continued)
                        return owner;
        return INSTANCE_NONE;
}

static void refuse_borne(Move *m, uint32_t loop) {
        const StepState *s = move_state(m, loop);
        _cleanup_(buf_deinit) Buf path = {0};
        execution_put_path(m->x, loop, &path);
        refuse(m, RUNBOOK_WRONG_STATE,
               "step \"%.*s\" failed in an iteration of \"%.*s\", which is %s%s; only a step that failed the "
               "execution can be retried",
               SLICE_ARG(m->in->path), SLICE_ARG(buf_slice(&path)),
               runbook_step_status_name((RunbookStepStatus)s->status), s->continued ? " and was let pass" : "");
}

void control_retry(Move *m) {
        const Input *in = m->in;
        Execution *x = m->x;
        if (!may_control(m))
                return;
        uint32_t instance = execution_find_path(x, in->path);
        if (instance == INSTANCE_NONE) {
                const char *near = runbook_nearest_step(x->runbook, in->path);
                refuse(m, RUNBOOK_STEP_NOT_FOUND, "this execution has no step \"%.*s\"%s%s%s",
                       SLICE_ARG(in->path), near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
                return;
        }
        const StepState *s = move_state(m, instance);
        if (x->status != RUNBOOK_EXECUTION_FAILED) {
                refuse(m, RUNBOOK_WRONG_STATE,
                       "the execution is %s; a step can be retried once the execution has failed",
                       status_text(x));
                return;
        }
        if (s->status != RUNBOOK_STEP_FAILED || s->continued ||
            x->scopes[s->scope].region == REGION_COMPENSATION) {
                refuse(m, RUNBOOK_WRONG_STATE,
                       "step \"%.*s\" is %s%s; only a step that failed the execution can be retried",
                       SLICE_ARG(in->path), runbook_step_status_name((RunbookStepStatus)s->status),
                       s->continued ? " and was let pass" : "");
                return;
        }
        uint32_t loop = bearing_loop(x, instance);
        if (loop != INSTANCE_NONE) {
                refuse_borne(m, loop);
                return;
        }
        if (was_compensated(x)) {
                refuse(m, RUNBOOK_WRONG_STATE,
                       "the execution has been compensated: what came before the failure is undone. Replay "
                       "it instead");
                return;
        }
        run_again(m, instance);
        reply_status(m, "retried");
}
