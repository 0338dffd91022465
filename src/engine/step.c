/* The life of one step: start, attempts and their ends, retries. What a type does of its own is in its own file. */

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "engine/internal.h"
#include "json/json_read.h"

/* ---- timers ---------------------------------------------------------------------------------------------- */

void timer_set(Move *m, uint32_t instance, TimerSlot slot, int64_t at_ms) {
        timer_clear(m, instance, slot);
        move_state(m, instance)->timer_ms[slot] = at_ms;
        execution_touch(m->x, instance);
        Effect *e = update_effect(m->out, EFFECT_TIMER_SET, instance);
        e->slot = (uint8_t)slot;
        e->at_ms = at_ms;
}

void timer_clear(Move *m, uint32_t instance, TimerSlot slot) {
        StepState *s = move_state(m, instance);
        if (s->timer_ms[slot] == 0)
                return;
        Effect *e = update_effect(m->out, EFFECT_TIMER_CLEAR, instance);
        e->slot = (uint8_t)slot;
        e->at_ms = s->timer_ms[slot];
        s->timer_ms[slot] = 0;
        execution_touch(m->x, instance);
}

/* ---- becoming final -------------------------------------------------------------------------------------- */

static void set_output(StepState *s, Value *output) {
        value_unref(s->output);
        s->output = output;
        s->stored_values &= (uint8_t)~1u;
}

static void set_error(StepState *s, Value *error) {
        value_unref(s->error);
        s->error = error;
        s->stored_values &= (uint8_t)~2u;
}

static void end(Move *m, uint32_t instance, RunbookStepStatus status) {
        timer_clear(m, instance, TIMER_STEP);
        timer_clear(m, instance, TIMER_ESCALATE);
        move_state(m, instance)->end_ms = m->in->now_ms;
        step_set_status(m, instance, status);
}

static EventData end_data(Move *m, uint32_t instance) {
        const StepState *s = move_state(m, instance);
        return (EventData){.has_duration = s->start_ms > 0,
                           .duration_ms = s->start_ms > 0 ? s->end_ms - s->start_ms : 0};
}

void step_complete(Move *m, uint32_t instance, Value *output) {
        StepState *s = move_state(m, instance);
        if (!output) {
                move_oom(m);
                return;
        }
        if (move_bytes(m, output).n > LIMIT_VALUE_BYTES) {
                size_t n = value_bytes(output).n;
                value_unref(output);
                step_fail(m, instance,
                          move_error(m, "OUTPUT_TOO_LARGE", false,
                                     "the output has %zu bytes, more than the %d that a step may give "
                                     "(LIMIT_VALUE_BYTES)",
                                     n, LIMIT_VALUE_BYTES));
                return;
        }
        const Schema *schema = move_step(m, instance)->output_schema;
        Value *error = NULL;
        if (schema && !m->x->is_dry_run && !schema_admits(m, schema, output, "output", &error)) {
                value_unref(output);
                step_fail_attempt(m, instance, error, 0);
                return;
        }
        set_output(s, output);
        set_error(s, NULL);
        s->done_order = ++m->x->n_done_order;
        end(m, instance, RUNBOOK_STEP_COMPLETED);
        EventData data = end_data(m, instance);
        data.output_sha = s->output;
        record_step(m, "step.completed", instance, &data);
        if (move_step(m, instance)->n_evidence > 0)
                record_spec_evidence(m, instance);
        schedule_resolved(m, instance);
}

void step_skip(Move *m, uint32_t instance, SkipReason reason) {
        StepState *s = move_state(m, instance);
        s->skip_reason = (uint8_t)reason;
        end(m, instance, RUNBOOK_STEP_SKIPPED);
        record_step(m, "step.skipped", instance, &(EventData){.skip_reason = skip_reason_name(reason)});
        schedule_resolved(m, instance);
}

void step_cancel(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        const RunbookStep *step = move_step(m, instance);
        if (s->status == RUNBOOK_STEP_RUNNING && step_type_holds_slot(step->type) &&
            step->type != STEP_TYPE_RUN_RUNBOOK)
                update_effect(m->out, EFFECT_TASK_CANCEL, instance)->attempt = s->attempt;
        if (s->status == RUNBOOK_STEP_AWAITING_APPROVAL)
                approval_end(m, instance);
        if (s->status == RUNBOOK_STEP_AWAITING_EVENT)
                wait_event_end(m, instance);
        end(m, instance, RUNBOOK_STEP_CANCELLED);
        EventData data = end_data(m, instance);
        record_step(m, "step.cancelled", instance, &data);
        schedule_resolved(m, instance);
}

static Slice error_member(Move *m, Value *error, const char *key) {
        return json_string_slice(json_object_get(move_json(m, error), key));
}

void step_fail(Move *m, uint32_t instance, Value *error) {
        StepState *s = move_state(m, instance);
        const RunbookStep *step = move_step(m, instance);
        Scope *scope = &m->x->scopes[s->scope];
        if (!error) {
                move_oom(m);
                return;
        }
        set_error(s, error);
        s->continued = step->on_failure_continue;
        end(m, instance, RUNBOOK_STEP_FAILED);
        EventData data = end_data(m, instance);
        data.error = error;
        record_step(m, "step.failed", instance, &data);
        Slice code = error_member(m, error, "code"), message = error_member(m, error, "message");
        record_log(m, s->continued ? "warn" : "error", instance, "step failed%s: %.*s: %.*s",
                   s->continued ? " and the runbook goes on" : "", SLICE_ARG(code), SLICE_ARG(message));
        schedule_resolved(m, instance);
        if (s->continued || scope->region == REGION_COMPENSATION)
                return;
        scope->n_failed++;
        execution_touch_scope(m->x, s->scope);
        if (scope->owner == INSTANCE_NONE)
                finish_begin_fail(m, error, false);
        else
                schedule_stop_scope(m, s->scope, false);
}

/* ---- starting -------------------------------------------------------------------------------------------- */

static void begin_attempt(Move *m, uint32_t instance, RunbookStepStatus status) {
        StepState *s = move_state(m, instance);
        s->attempt++;
        s->attempt_ms = m->in->now_ms;
        if (s->start_ms == 0)
                s->start_ms = m->in->now_ms;
        s->timed_out = false;
        step_progress_reset(m, instance);
        step_set_status(m, instance, status);
}

/* Nothing is sent: what would run, with its configuration as far as it can be resolved, is the output. */
static void start_dry(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        Value *error = NULL;
        _cleanup_(value_unref_p) Value *config =
                        step->config ? template_value(m, instance, step->config, &error) : NULL;
        _cleanup_(value_unref_p) Value *unresolved = error;
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);

        begin_attempt(m, instance, RUNBOOK_STEP_RUNNING);
        record_step(m, "step.started", instance, &(EventData){0});
        json_begin_object(&w);
        if (config) {
                json_key(&w, "config");
                json_put_raw(&w, move_bytes(m, config));
        }
        json_key(&w, "dryRun");
        json_put_bool(&w, true);
        if (step->n_required_permissions > 0) {
                json_key(&w, "requiredPermissions");
                json_begin_array(&w);
                for (size_t i = 0; i < step->n_required_permissions; i++)
                        json_put_string(&w, step->required_permissions[i]);
                json_end_array(&w);
        }
        json_key(&w, "type");
        json_put_string(&w, step->type_name);
        if (unresolved) {
                json_key(&w, "unresolved");
                json_put_raw(&w, move_bytes(m, unresolved));
        }
        json_end_object(&w);
        step_complete(m, instance, b.error ? NULL : value_new_bytes(buf_slice(&b)));
}

/* False: the step has failed (or memory is out). */
static bool check_input(Move *m, uint32_t instance) {
        Value *error = NULL;
        _cleanup_(value_unref_p) Value *input = step_input(m, instance, &error);
        if (input && schema_admits(m, move_step(m, instance)->input_schema, input, "input", &error))
                return true;
        if (error)
                step_fail(m, instance, error);
        return false;
}

void step_start(Move *m, uint32_t instance) {
        if (move_step(m, instance)->n_required_permissions > 0 && !m->x->is_dry_run)
                authz_ask(m, instance);
        else
                step_run(m, instance);
}

void step_run(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        bool inside = step->type == STEP_TYPE_CONDITIONAL || step->type == STEP_TYPE_LOOP;

        if (m->x->is_dry_run && !inside) {
                start_dry(m, instance);
                return;
        }
        if (step->input_schema && !check_input(m, instance))
                return;
        switch (step->type) {
        case STEP_TYPE_CONDITIONAL:
                begin_attempt(m, instance, RUNBOOK_STEP_RUNNING);
                record_step(m, "step.started", instance, &(EventData){0});
                conditional_start(m, instance);
                break;
        case STEP_TYPE_HUMAN_APPROVAL:
                begin_attempt(m, instance, RUNBOOK_STEP_AWAITING_APPROVAL);
                approval_start(m, instance);
                break;
        case STEP_TYPE_LOOP:
                begin_attempt(m, instance, RUNBOOK_STEP_RUNNING);
                record_step(m, "step.started", instance, &(EventData){0});
                loop_start(m, instance);
                break;
        case STEP_TYPE_WAIT:
                begin_attempt(m, instance, RUNBOOK_STEP_WAITING);
                wait_start(m, instance);
                break;
        case STEP_TYPE_WAIT_FOR_EVENT:
                begin_attempt(m, instance, RUNBOOK_STEP_AWAITING_EVENT);
                wait_event_start(m, instance);
                break;
        case STEP_TYPE_RUN_RUNBOOK:
                begin_attempt(m, instance, RUNBOOK_STEP_RUNNING);
                child_start(m, instance);
                break;
        case STEP_TYPE_CALL_SERVICE:
        case STEP_TYPE_CUSTOM:
        case STEP_TYPE_PUBLISH_EVENT:
        case STEP_TYPE_TRANSFORM:
                begin_attempt(m, instance, RUNBOOK_STEP_RUNNING);
                step_submit(m, instance, true);
                break;
        case N_STEP_TYPES:
                break;
        }
}

int engine_idempotency_key(const Execution *x, uint32_t instance, char ret[DIGEST_TEXT_SIZE + 1]) {
        _cleanup_(buf_deinit) Buf path = {0};
        Digest d;
        execution_put_path(x, instance, &path);
        const Slice parts[] = {uuid_slice(&x->id), buf_slice(&path)};
        if (path.error || digest_slices(parts, 2, &d) < 0)
                return -ENOMEM;
        digest_format(&d, ret);
        return 0;
}

Value *step_config(Move *m, uint32_t instance, Value **ret_error) {
        const RunbookStep *step = move_step(m, instance);
        if (step->config_value)
                return value_ref(step->config_value);
        return step->config ? template_value(m, instance, step->config, ret_error)
                            : value_new_bytes(SLICE("{}"));
}

void step_submit(Move *m, uint32_t instance, bool announce) {
        char key[DIGEST_TEXT_SIZE + 1];
        Value *error = NULL;

        if (engine_idempotency_key(m->x, instance, key) < 0) {
                move_oom(m);
                return;
        }
        if (announce)
                record_step(m, "step.started", instance,
                            &(EventData){.idempotency_key = slice_from_str(key)});
        _cleanup_(value_unref_p) Value *config = step_config(m, instance, &error);
        _cleanup_(value_unref_p) Value *input = config ? step_input(m, instance, &error) : NULL;
        if (!config || !input) {
                if (error && announce)
                        step_fail(m, instance, error);
                else
                        value_unref(error);
                return;
        }
        Effect *e = update_effect(m->out, EFFECT_TASK, instance);
        e->attempt = move_state(m, instance)->attempt;
        e->value = STEAL(config);
        e->input = STEAL(input);
}

/* ---- attempts' ends ---------------------------------------------------------------------------------------- */

/* Does @code match @pattern: equal but for case, or a prefix ending in '*'? */
static bool code_matches(Slice code, Slice pattern) {
        bool prefix = pattern.n > 0 && pattern.data[pattern.n - 1] == '*';
        size_t n = prefix ? pattern.n - 1 : pattern.n;
        if (code.n < n || (!prefix && code.n != n))
                return false;
        for (size_t i = 0; i < n; i++)
                if (tolower((unsigned char)code.data[i]) != tolower((unsigned char)pattern.data[i]))
                        return false;
        return true;
}

static bool code_in(Slice code, const Slice *patterns, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (code_matches(code, patterns[i]))
                        return true;
        return false;
}

static bool is_retryable(Move *m, const RetryPolicy *policy, Value *error) {
        Slice code = error_member(m, error, "code");
        if (code_in(code, policy->non_retryable, policy->n_non_retryable))
                return false;
        if (policy->n_retryable > 0)
                return code_in(code, policy->retryable, policy->n_retryable);
        return json_is_true(json_object_get(move_json(m, error), "retryable"));
}

/* Exponential from the initial delay, capped, then jittered downwards; never under what the receiver asked for. */
static int64_t retry_delay(Move *m, const RetryPolicy *policy, uint32_t n_failed, int64_t retry_after_ms) {
        double delay = (double)policy->initial_delay_ms *
                       pow(policy->backoff_multiplier, (double)(n_failed - 1));
        if (!(delay < (double)policy->max_delay_ms))
                delay = (double)policy->max_delay_ms;
        if (policy->jitter > 0)
                delay -= delay * policy->jitter * ((double)(move_random(m) >> 11) * 0x1p-53);
        int64_t ms = (int64_t)delay;
        return ms > retry_after_ms ? ms : retry_after_ms;
}

void step_fail_attempt(Move *m, uint32_t instance, Value *error, int64_t retry_after_ms) {
        StepState *s = move_state(m, instance);
        const RetryPolicy *policy = &move_step(m, instance)->retry;
        uint32_t n_failed = s->attempt - s->retries_from;

        if (!error) {
                move_oom(m);
                return;
        }
        if (schedule_is_stopped(m->x, instance) || n_failed >= policy->max_attempts ||
            !is_retryable(m, policy, error)) {
                step_fail(m, instance, error);
                return;
        }
        set_error(s, error);
        int64_t at = m->in->now_ms + retry_delay(m, policy, n_failed, retry_after_ms);
        step_set_status(m, instance, RUNBOOK_STEP_RETRYING);
        timer_set(m, instance, TIMER_STEP, at);
        record_step(m, "step.retrying", instance, &(EventData){.error = error, .until_ms = at});
        Slice code = error_member(m, error, "code"), message = error_member(m, error, "message");
        record_log(m, "warn", instance, "attempt %u of %u failed, next in %lld ms: %.*s: %.*s", n_failed,
                   policy->max_attempts, (long long)(at - m->in->now_ms), SLICE_ARG(code),
                   SLICE_ARG(message));
}

void step_retry_due(Move *m, uint32_t instance) {
        move_state(m, instance)->timer_ms[TIMER_STEP] = 0; /* the runtime deleted the timer that fired */
        schedule_requeue(m, instance);
}

void step_task_result(Move *m) {
        const Input *in = m->in;
        StepState *s = in->instance < m->x->n_instances ? move_state(m, in->instance) : NULL;
        if (!s || s->status != RUNBOOK_STEP_RUNNING || s->attempt != in->attempt ||
            !step_type_holds_slot(move_step(m, in->instance)->type))
                return; /* late, or the answer to an attempt that was given up */
        m->out->applied = true;
        record_result_logs(m, in->instance, in->logs);
        record_result_evidence(m, in->instance, in->evidence);
        if (in->ok) {
                step_complete(m, in->instance,
                              in->value ? value_ref(in->value) : value_new_bytes(SLICE("null")));
                return;
        }
        Value *error = in->error ? value_ref(in->error)
                                 : move_error(m, "EXECUTOR_FAILED", true,
                                              "the executor gave neither an output nor an error");
        step_fail_attempt(m, in->instance, error, in->retry_after_ms);
}
