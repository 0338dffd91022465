/*
 * run-runbook: the child is an execution of its own; parent and child speak through inputs that the runtime
 * carries within one transaction. A retry starts a new child.
 */

#include "engine/internal.h"

void child_start(Move *m, uint32_t instance) {
        StepExtra *extra = execution_extra(m->x, instance);
        Value *error = NULL;
        if (!extra)
                return;
        extra->child = move_uuid(m);
        extra->child_quiet = false;
        record_step(m, "step.started", instance, &(EventData){.child_execution_id = extra->child});
        Value *config = template_value(m, instance, move_step(m, instance)->config, &error);
        if (error) {
                step_fail(m, instance, error);
                return;
        }
        Effect *e = update_effect(m->out, EFFECT_START_CHILD, instance);
        e->attempt = move_state(m, instance)->attempt;
        e->value = config;
}

void child_signal(Move *m, uint32_t instance, InputKind signal) {
        update_effect(m->out, EFFECT_SIGNAL_CHILD, instance)->slot = (uint8_t)signal;
        m->out->applied = true;
}

void child_signal_all(Move *m, InputKind signal) {
        for (uint32_t i = 0; i < m->x->n_instances; i++)
                if (m->x->steps[i].status == RUNBOOK_STEP_RUNNING &&
                    execution_step(m->x, i)->type == STEP_TYPE_RUN_RUNBOOK)
                        child_signal(m, i, signal);
}

/* The step that waits for the child which @in speaks of; NULL if it doesn't wait (for that child) any more. */
static StepState *waiting_parent(Move *m) {
        const Input *in = m->in;
        StepState *s = in->instance < m->x->n_instances ? move_state(m, in->instance) : NULL;
        Uuid child;
        if (!s || s->status != RUNBOOK_STEP_RUNNING || !s->extra ||
            move_step(m, in->instance)->type != STEP_TYPE_RUN_RUNBOOK)
                return NULL;
        return uuid_parse(in->text, &child) && uuid_eq(child, s->extra->child) ? s : NULL;
}

void child_tell_parent(Move *m, InputKind kind, bool flag) {
        if (uuid_is_nil(m->x->parent))
                return;
        Effect *e = update_effect(m->out, EFFECT_SIGNAL_PARENT, INSTANCE_NONE);
        e->slot = (uint8_t)kind;
        e->attempt = flag;
}

static void set_quiet(Move *m, StepState *s, bool quiet) {
        if (s->extra->child_quiet == quiet)
                return;
        s->extra->child_quiet = quiet;
        m->x->n_quiet += quiet ? 1u : (uint32_t)-1;
        execution_touch(m->x, m->in->instance);
        m->out->applied = true;
}

void child_done(Move *m) {
        const Input *in = m->in;
        StepState *s = waiting_parent(m);
        if (!s)
                return;
        m->out->applied = true;
        set_quiet(m, s, false);
        if (in->ok)
                step_complete(m, in->instance,
                              in->value ? value_ref(in->value) : value_new_bytes(SLICE("null")));
        else if (m->x->goal != GOAL_COMPLETE)
                step_cancel(m, in->instance);
        else
                step_fail_attempt(m, in->instance,
                                  in->error ? value_ref(in->error)
                                            : move_error(m, "CHILD_FAILED", false,
                                                         "the child execution failed without saying why"),
                                  0);
}

void child_state(Move *m) {
        StepState *s = waiting_parent(m);
        if (s)
                set_quiet(m, s, m->in->flag);
}
