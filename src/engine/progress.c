/*
 * Word from an attempt that is still under way: how far it is, log entries, evidence
 *
 * Nothing is decided by it: the step stays running, its deadline and its retries know nothing of it. It is
 * journaled like every input, so a long attempt must not be able to fill the disk: past
 * LIMIT_PROGRESS_RECORDS log entries and evidence records of one step, further ones are dropped.
 */
#include <math.h>

#include "engine/internal.h"

static uint64_t n_records(Move *m, uint32_t instance) {
        const StepState *s = move_state(m, instance);
        return (uint64_t)s->n_logs + s->n_evidence;
}

static void set_progress(Move *m, uint32_t instance, double number) {
        const StepState *s = move_state(m, instance);
        if (number == (s->extra ? s->extra->progress : 0))
                return; /* nothing is journaled then, so nothing may change */
        StepExtra *extra = execution_extra(m->x, instance);
        if (!extra) {
                move_oom(m);
                return;
        }
        extra->progress = number;
        execution_touch(m->x, instance);
        m->out->applied = true;
}

void step_task_progress(Move *m) {
        const Input *in = m->in;
        StepState *s = in->instance < m->x->n_instances ? move_state(m, in->instance) : NULL;
        if (!s || s->status != RUNBOOK_STEP_RUNNING || s->attempt != in->attempt ||
            move_step(m, in->instance)->type != STEP_TYPE_CUSTOM)
                return; /* late */
        if (in->flag && in->number >= 0 && in->number <= 1)
                set_progress(m, in->instance, fabs(in->number)); /* there is no negative zero */
        if (n_records(m, in->instance) >= LIMIT_PROGRESS_RECORDS)
                return;
        record_result_logs(m, in->instance, in->logs);
        record_result_evidence(m, in->instance, in->evidence);
        if (n_records(m, in->instance) >= LIMIT_PROGRESS_RECORDS)
                record_log(m, "warn", in->instance,
                           "the step has brought %llu log entries and evidence records; until its result "
                           "further "
                           "ones are dropped (LIMIT_PROGRESS_RECORDS, %d)",
                           (unsigned long long)n_records(m, in->instance), LIMIT_PROGRESS_RECORDS);
}

void step_progress_reset(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        if (!s->extra || s->extra->progress == 0)
                return;
        s->extra->progress = 0;
        execution_touch(m->x, instance);
}
