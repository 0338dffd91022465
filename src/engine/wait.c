/*
 * wait and wait-for-event. Which event belongs to which waiter is the runtime's to match (by tenant, type and
 * correlation); here an event only ends the wait that it was matched to.
 */

#include "engine/internal.h"
#include "json/json_read.h"

/* ---- wait ------------------------------------------------------------------------------------------------ */

/* The time at which the wait ends; 0 with *ret_error. */
static int64_t wait_end(Move *m, uint32_t instance, Value *setting, Value **ret_error) {
        const json_t *v = move_json(m, setting);
        bool until = move_step(m, instance)->wait_until;
        int64_t at;
        if (until && json_is_string(v) && time_parse_ms(json_string_slice(v), &at))
                return at;
        if (!until && json_is_number(v) && json_number_value(v) >= 0 &&
            json_number_value(v) <= (double)LIMIT_DURATION_MS)
                return m->in->now_ms + (int64_t)json_number_value(v);
        *ret_error = move_error(
                        m, "WAIT_INVALID", false,
                        until ? "`until` must be an RFC 3339 time such as \"2026-01-31T12:00:00Z\", is %.200s"
                              : "`durationMs` must be a number of milliseconds from 0 to ten years, is "
                                "%.200s",
                        setting ? value_bytes(setting).data : "nothing");
        return 0;
}

void wait_start(Move *m, uint32_t instance) {
        Value *error = NULL;
        _cleanup_(value_unref_p) Value *setting =
                        template_value(m, instance, move_step(m, instance)->wait, &error);
        int64_t at = setting ? wait_end(m, instance, setting, &error) : 0;
        if (error) {
                step_fail(m, instance, error);
                return;
        }
        if (m->x->broken)
                return;
        /* A time that is past is a timer that is due at once: one way for all. */
        timer_set(m, instance, TIMER_STEP, at > m->in->now_ms ? at : m->in->now_ms);
        record_step(m, "step.waiting", instance,
                    &(EventData){.until_ms = move_state(m, instance)->timer_ms[TIMER_STEP]});
}

static void wait_over(Move *m, uint32_t instance) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "waitedMs");
        json_put_i64(&w, m->in->now_ms - move_state(m, instance)->start_ms);
        json_end_object(&w);
        step_complete(m, instance, b.error ? NULL : value_new_bytes(buf_slice(&b)));
}

/* ---- wait-for-event ---------------------------------------------------------------------------------------- */

/* The correlation id as text: strings as they are, numbers and booleans as JSON. NULL with *ret_error or OOM. */
static char *correlation_text(Move *m, uint32_t instance, Value **ret_error) {
        const ExprTemplate *t = move_step(m, instance)->event_correlation;
        if (!t)
                return slice_dup(SLICE(""));
        _cleanup_(value_unref_p) Value *v = template_value(m, instance, t, ret_error);
        const json_t *tree = move_json(m, v);
        if (!v)
                return NULL;
        Slice text = json_is_string(tree) ? json_string_slice(tree) : move_bytes(m, v);
        if (json_is_object(tree) || json_is_array(tree) || json_is_null(tree) ||
            text.n > LIMIT_CORRELATION_BYTES) {
                *ret_error = move_error(m, "CORRELATION_INVALID", false,
                                        "the correlation id must be a string, number or boolean of at most "
                                        "%d bytes (LIMIT_CORRELATION_BYTES), is %.*s",
                                        LIMIT_CORRELATION_BYTES, (int)(text.n > 200 ? 200 : text.n),
                                        text.data);
                return NULL;
        }
        return slice_dup(text);
}

void wait_event_start(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        StepExtra *extra = execution_extra(m->x, instance);
        Value *error = NULL;
        if (!extra)
                return;
        free(extra->correlation);
        free(extra->event_type);
        extra->correlation = NULL;
        extra->event_type = slice_dup(step->event_type);
        if (!extra->event_type) {
                move_oom(m);
                return;
        }
        extra->correlation = correlation_text(m, instance, &error);
        if (error) {
                step_fail(m, instance, error);
                return;
        }
        if (!extra->correlation) {
                move_oom(m);
                return;
        }
        if (step->timeout_ms > 0)
                timer_set(m, instance, TIMER_STEP, m->in->now_ms + step->timeout_ms);
        record_step(m, "step.awaiting_event", instance,
                    &(EventData){.correlation_id = slice_from_str(extra->correlation),
                                 .event_type = step->event_type,
                                 .deadline_ms = move_state(m, instance)->timer_ms[TIMER_STEP]});
        update_effect(m->out, EFFECT_WAIT_ADD, instance)->attempt = move_state(m, instance)->attempt;
}

void wait_event_end(Move *m, uint32_t instance) { update_effect(m->out, EFFECT_WAIT_REMOVE, instance); }

void wait_event(Move *m) {
        const Input *in = m->in;
        StepState *s = in->instance < m->x->n_instances ? move_state(m, in->instance) : NULL;
        if (!s || s->status != RUNBOOK_STEP_AWAITING_EVENT || s->attempt != in->attempt)
                return;
        m->out->applied = true;
        wait_event_end(m, in->instance);
        record_step(m, "event.received", in->instance,
                    &(EventData){.by = in->user,
                                 .correlation_id = slice_from_str(s->extra->correlation),
                                 .event_id = in->text,
                                 .event_type = slice_from_str(s->extra->event_type)});
        record_log(m, "info", in->instance, "event %s received", s->extra->event_type);
        step_complete(m, in->instance, in->value ? value_ref(in->value) : value_new_bytes(SLICE("null")));
}

void wait_due(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        const RunbookStep *step = move_step(m, instance);
        s->timer_ms[TIMER_STEP] = 0; /* the runtime deleted the timer that fired */
        if (s->status == RUNBOOK_STEP_WAITING) {
                wait_over(m, instance);
                return;
        }
        s->timed_out = true;
        wait_event_end(m, instance);
        step_fail(m, instance,
                  move_error(m, "EVENT_TIMEOUT", false,
                             "no event %s with correlation id \"%s\" came within %lld ms",
                             s->extra->event_type, s->extra->correlation, (long long)step->timeout_ms));
}
