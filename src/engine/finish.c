/*
 * How an execution comes to rest: paused when nothing is in flight, ended when nothing is left. On failure and
 * cancellation completed steps are compensated first, last completed first, one after the other.
 */

#include "engine/internal.h"
#include "json/json_read.h"

void finish_clear_deadline(Move *m) {
        Execution *x = m->x;
        if (x->global_deadline_ms == 0)
                return;
        Effect *e = update_effect(m->out, EFFECT_TIMER_CLEAR, INSTANCE_NONE);
        e->slot = TIMER_GLOBAL;
        e->at_ms = x->global_deadline_ms;
        x->global_deadline_ms = 0;
}

void finish_begin_fail(Move *m, Value *error, bool abort) {
        Execution *x = m->x;
        if (x->goal != GOAL_COMPLETE)
                return; /* the first reason stands */
        x->goal = GOAL_FAIL;
        value_unref(x->error);
        x->error = value_ref(error);
        finish_clear_deadline(m); /* it is failing already: what is in flight has deadlines of its own */
        x->dirty |= DIRTY_STATE;
        m->out->applied = true;
        if (x->n_scopes > 0)
                schedule_stop_scope(m, 0, abort);
}

/* ---- compensation ------------------------------------------------------------------------------------------ */

/* Known from the state alone, so a restart in the midst of compensating goes on where it was. */
static void know_compensations(Move *m) {
        Execution *x = m->x;
        heap_clear(&x->compensations);
        for (uint32_t i = 0; i < x->n_instances && x->runbook->n_compensation_steps > 0; i++) {
                const StepState *s = &x->steps[i];
                if (s->status != RUNBOOK_STEP_COMPLETED || s->compensated ||
                    execution_step(x, i)->compensate_with == STEP_NONE ||
                    x->scopes[s->scope].region == REGION_COMPENSATION)
                        continue;
                if (heap_push(&x->compensations, (uint64_t)(UINT32_MAX - s->done_order) << 32 | i) < 0)
                        move_oom(m);
        }
        x->compensations_known = true;
}

/* Begin the next compensation; false when there is none (left). */
static bool compensate_next(Move *m) {
        Execution *x = m->x;
        uint64_t key;
        if (!x->compensations_known)
                know_compensations(m);
        if (x->broken || !heap_pop(&x->compensations, &key))
                return false;
        uint32_t owner = (uint32_t)key;
        if (x->status != RUNBOOK_EXECUTION_COMPENSATING) {
                execution_set_status(m, RUNBOOK_EXECUTION_COMPENSATING);
                record_execution(m, "execution.compensating", &(EventData){.error = x->error});
        }
        uint32_t scope = execution_open_scope(x, REGION_COMPENSATION, owner, 0);
        if (scope == SCOPE_NONE) {
                record_log(m, "error", owner,
                           "can't be compensated: an execution can have at most %d step instances "
                           "(LIMIT_INSTANCES)",
                           LIMIT_INSTANCES);
                return !x->broken;
        }
        x->compensating = x->scopes[scope].first;
        schedule_unblock(m, x->scopes[scope].first);
        return true;
}

void finish_compensated(Move *m, uint32_t instance) {
        Execution *x = m->x;
        uint32_t owner = x->scopes[x->steps[instance].scope].owner;
        if (x->compensating != instance)
                return;
        x->compensating = INSTANCE_NONE;
        x->dirty |= DIRTY_STATE;
        /* A compensation that failed for good is not tried again on restart; history and log say that it failed. */
        x->steps[owner].compensated = true;
        execution_touch(x, owner);
        if (x->steps[instance].status == RUNBOOK_STEP_COMPLETED)
                record_step(m, "step.compensated", owner,
                            &(EventData){.by = execution_step(x, instance)->id});
        else
                record_log(m, "error", owner,
                           "compensation by \"%.*s\" did not succeed: what the step did stands",
                           SLICE_ARG(execution_step(x, instance)->id));
}

/* ---- ends ---------------------------------------------------------------------------------------------------- */

static void end(Move *m, RunbookExecutionStatus status) {
        Execution *x = m->x;
        finish_clear_deadline(m);
        x->end_ms = m->in->now_ms;
        x->paused_ms = 0;
        execution_set_status(m, status);
        EventData data = {.has_duration = true, .duration_ms = x->end_ms - x->start_ms};
        const char *type = "execution.completed";
        if (status == RUNBOOK_EXECUTION_COMPLETED) {
                data.output_sha = x->output;
        } else if (status == RUNBOOK_EXECUTION_FAILED) {
                type = "execution.failed";
                data.error = x->error;
        } else {
                type = "execution.cancelled";
                data.by = slice_from_str(x->cancelled_by);
                data.reason = slice_from_str(x->cancel_reason);
        }
        record_execution(m, type, &data);
        if (status != RUNBOOK_EXECUTION_COMPLETED)
                update_effect(m->out, EFFECT_IDEMPOTENCY_RELEASE, INSTANCE_NONE);
        child_tell_parent(m, INPUT_CHILD_DONE, false);
}

/* The final output; NULL with *ret_error or OOM. */
static Value *final_output(Move *m, Value **ret_error) {
        Execution *x = m->x;
        Value *v = x->runbook->output ? template_value(m, INSTANCE_NONE, x->runbook->output, ret_error)
                                      : schedule_collect(m, 0);
        if (v && move_bytes(m, v).n > LIMIT_VALUE_BYTES) {
                *ret_error = move_error(m, "OUTPUT_TOO_LARGE", false,
                                        "the execution's output has %zu bytes, more than the %d allowed "
                                        "(LIMIT_VALUE_BYTES)",
                                        value_bytes(v).n, LIMIT_VALUE_BYTES);
                value_unref(v);
                return NULL;
        }
        if (v && x->runbook->output_schema && !x->is_dry_run &&
            !schema_admits(m, x->runbook->output_schema, v, "output", ret_error)) {
                value_unref(v);
                return NULL;
        }
        return v;
}

static bool complete(Move *m) {
        Execution *x = m->x;
        Value *error = NULL;
        Value *output = final_output(m, &error);
        if (error) {
                finish_begin_fail(m, error, false);
                value_unref(error);
                return true;
        }
        if (!output) {
                move_oom(m);
                return false;
        }
        value_unref(x->output);
        x->output = output;
        end(m, RUNBOOK_EXECUTION_COMPLETED);
        return false;
}

/* After a retry beside which another step had failed before: the execution fails with that one's error. */
static bool fail_by_what_stayed(Move *m) {
        Execution *x = m->x;
        for (uint32_t i = 0; i < x->runbook->regions[REGION_ROOT].n_steps; i++)
                if (x->steps[i].status == RUNBOOK_STEP_FAILED && !x->steps[i].continued) {
                        finish_begin_fail(m, x->steps[i].error, false);
                        return true;
                }
        Value *error = move_error(m, "INTERNAL", false,
                                  "nothing is left to run, yet not every step has ended");
        finish_begin_fail(m, error, false);
        value_unref(error);
        return true;
}

bool finish_settle(Move *m) {
        Execution *x = m->x;
        if (x->broken || x->status == RUNBOOK_EXECUTION_PENDING ||
            runbook_execution_status_is_final((RunbookExecutionStatus)x->status))
                return false;
        if (x->goal != GOAL_COMPLETE) {
                if (x->n_active > 0 || x->n_resolved > 0 || x->compensating != INSTANCE_NONE)
                        return false;
                if (compensate_next(m))
                        return true;
                if (!x->broken)
                        end(m,
                            x->goal == GOAL_CANCEL ? RUNBOOK_EXECUTION_CANCELLED : RUNBOOK_EXECUTION_FAILED);
                return false;
        }
        if (x->status == RUNBOOK_EXECUTION_PAUSING && x->n_running == x->n_quiet) {
                execution_set_status(m, RUNBOOK_EXECUTION_PAUSED);
                record_execution(m, "execution.paused", &(EventData){.by = m->in->user});
                child_tell_parent(m, INPUT_CHILD_STATE, true);
                return false;
        }
        if (x->status != RUNBOOK_EXECUTION_RUNNING || x->n_resolved > 0)
                return false;
        if (x->scopes[0].n_open == 0 && x->scopes[0].n_failed == 0)
                return complete(m);
        if (x->n_active == 0 && x->ready.n == 0)
                return fail_by_what_stayed(m);
        return false;
}
