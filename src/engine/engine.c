/* The door of the core: one input in, one update out. */

#include <assert.h>

#include "engine/internal.h"
#include "json/json_read.h"

static Move move_begin(Execution *x, const EngineSettings *settings, const Input *in, Update *out) {
        Move m = {.x = x, .settings = settings, .in = in, .out = out};
        uuid_format(x->id, m.id_text);
        return m;
}

static void move_deinit(Move *m) {
        json_decref(m->info);
        json_decref(m->number);
        buf_deinit(&m->path);
}

/* Run on until nothing moves inside any more: internal steps chain within one input. */
static int run_to_rest(Move *m) {
        Execution *x = m->x;
        do
                schedule_run(m);
        while (finish_settle(m) && !x->broken);
        bool broken = x->broken || m->out->oom || m->out->events.error || m->out->logs.error ||
                      m->out->evidence.error || m->out->reply.error;
        move_deinit(m);
        if (broken) {
                x->broken = m->out->oom = true;
                return -ENOMEM;
        }
        assert(x->n_completed + x->n_failed + x->n_skipped + x->n_cancelled + x->n_active <= x->n_instances);
        assert(!runbook_execution_status_is_final((RunbookExecutionStatus)x->status) || x->n_active == 0);
        return 0;
}

/* ---- start -------------------------------------------------------------------------------------------------- */

static int fill_statics(Execution *x, const Input *in) {
        const struct {
                Slice *to, from;
        } strings[] = {
                        {&x->tenant, in->tenant},
                        {&x->initiated_by, in->user},
                        {&x->runbook_id, x->runbook->id},
                        {&x->runbook_version, x->runbook->version},
                        {&x->command_id, in->command_id},
                        {&x->traceparent, in->traceparent},
                        {&x->idempotency_key, in->idempotency_key},
        };
        for (size_t i = 0; i < N_ELEMENTS(strings); i++) {
                if (strings[i].from.n == 0)
                        continue;
                *strings[i].to = arena_dup(&x->statics, strings[i].from);
                if (!strings[i].to->data)
                        return -ENOMEM;
        }
        x->id = in->execution_id;
        x->idempotency_digest = in->idempotency_digest;
        x->context = in->context ? value_ref(in->context) : NULL;
        x->input = in->value ? value_ref(in->value) : NULL;
        x->created_ms = x->start_ms = in->now_ms;
        x->parent = in->parent;
        x->parent_instance = in->parent_instance;
        x->depth = in->depth;
        x->original = in->original;
        x->is_dry_run = in->dry_run;
        x->pause_at = in->pause_at.n > 0 ? slice_dup(in->pause_at) : NULL;
        return in->pause_at.n > 0 && !x->pause_at ? -ENOMEM : 0;
}

static int check_start(const Runbook *runbook, const Input *in, Report *refusal) {
        if (in->pause_at.n > 0 && runbook_find_step(runbook, in->pause_at) == STEP_NONE) {
                const char *near = runbook_nearest_step(runbook, in->pause_at);
                return report_set(refusal, RUNBOOK_STEP_NOT_FOUND,
                                  "options.pauseAt names step \"%.*s\", which the runbook doesn't have%s%s%s",
                                  SLICE_ARG(in->pause_at), near ? "; did you mean \"" : "", near ? near : "",
                                  near ? "\"?" : "");
        }
        if (runbook->input_schema && !schema_admits_input(runbook->input_schema, in->value, refusal))
                return -EINVAL;
        if (in->value && value_bytes(in->value).n > LIMIT_VALUE_BYTES)
                return report_set(refusal, RUNBOOK_TOO_LARGE,
                                  "the input has %zu bytes, more than the %d allowed (LIMIT_VALUE_BYTES)",
                                  value_bytes(in->value).n, LIMIT_VALUE_BYTES);
        if (in->context && value_bytes(in->context).n > LIMIT_CONTEXT_BYTES)
                return report_set(refusal, RUNBOOK_TOO_LARGE,
                                  "the context has %zu bytes, more than the %d allowed (LIMIT_CONTEXT_BYTES)",
                                  value_bytes(in->context).n, LIMIT_CONTEXT_BYTES);
        return 0;
}

static void open_root(Move *m) {
        Execution *x = m->x;
        const Runbook *runbook = x->runbook;

        execution_set_status(m, RUNBOOK_EXECUTION_RUNNING);
        record_execution(m, "execution.started",
                         &(EventData){.command_id = m->in->command_id,
                                      .context = x->context,
                                      .initiated_by = x->initiated_by,
                                      .input_sha = x->input,
                                      .original_execution_id = x->original,
                                      .parent_execution_id = x->parent,
                                      .runbook = runbook,
                                      .tenant_id = x->tenant});
        if (execution_open_scope(x, REGION_ROOT, INSTANCE_NONE, 0) == SCOPE_NONE) {
                move_oom(m);
                return;
        }
        if (runbook->global_timeout_ms > 0) {
                x->global_deadline_ms = m->in->now_ms + runbook->global_timeout_ms;
                Effect *e = update_effect(m->out, EFFECT_TIMER_SET, INSTANCE_NONE);
                e->slot = TIMER_GLOBAL;
                e->at_ms = x->global_deadline_ms;
        }
        const Region *root = &runbook->regions[REGION_ROOT];
        for (uint32_t i = 0; i < root->n_steps && !x->broken; i++)
                if (runbook->steps[root->steps[i]].n_deps == 0)
                        schedule_unblock(m, i);
}

int engine_start(Runbook *runbook, const EngineSettings *settings, const Input *in, Update *out,
                 Execution **ret) {
        *ret = NULL;
        if (check_start(runbook, in, &out->refusal) < 0)
                return out->refusal.oom ? -ENOMEM : -EINVAL;
        _cleanup_(execution_free_p) Execution *x = execution_new(runbook);
        if (!x || fill_statics(x, in) < 0) {
                out->oom = true;
                return -ENOMEM;
        }
        Move m = move_begin(x, settings, in, out);
        open_root(&m);
        reply_status(&m, "started");
        int r = run_to_rest(&m);
        if (r < 0)
                return r;
        *ret = STEAL(x);
        return 0;
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

static void global_due(Move *m) {
        Execution *x = m->x;
        if (x->global_deadline_ms != m->in->at_ms || x->goal != GOAL_COMPLETE)
                return;
        x->global_deadline_ms = 0;
        x->dirty |= DIRTY_STATE;
        Value *error = move_error(m, "EXECUTION_TIMEOUT", false,
                                  "the execution took longer than globalTimeoutMs, which is %lld",
                                  (long long)x->runbook->global_timeout_ms);
        if (error)
                record_log(m, "error", INSTANCE_NONE,
                           "the execution took longer than globalTimeoutMs, which is %lld",
                           (long long)x->runbook->global_timeout_ms);
        finish_begin_fail(m, error, true);
        value_unref(error);
}

static void timer_due(Move *m) {
        const Input *in = m->in;
        if (in->slot == TIMER_GLOBAL) {
                global_due(m);
                return;
        }
        StepState *s = in->instance < m->x->n_instances && in->slot <= TIMER_ESCALATE
                                       ? move_state(m, in->instance)
                                       : NULL;
        if (!s || s->timer_ms[in->slot] != in->at_ms)
                return; /* cleared or moved since */
        switch (s->status) {
        case RUNBOOK_STEP_RETRYING:
                step_retry_due(m, in->instance);
                break;
        case RUNBOOK_STEP_AWAITING_APPROVAL:
                approval_due(m, in->instance, (TimerSlot)in->slot);
                break;
        case RUNBOOK_STEP_AWAITING_EVENT:
        case RUNBOOK_STEP_WAITING:
                wait_due(m, in->instance);
                break;
        default:
                break;
        }
}

static void (*const handlers[N_INPUT_KINDS])(Move *m) = {
                [INPUT_PAUSE] = control_pause,          [INPUT_RESUME] = control_resume,
                [INPUT_CANCEL] = control_cancel,        [INPUT_APPROVE] = approval_vote,
                [INPUT_RETRY] = control_retry,          [INPUT_EVENT] = wait_event,
                [INPUT_TASK_RESULT] = step_task_result, [INPUT_TIMER] = timer_due,
                [INPUT_CHILD_DONE] = child_done,        [INPUT_CHILD_STATE] = child_state,
                [INPUT_AUTHZ] = authz_answer,
                [INPUT_TASK_PROGRESS] = step_task_progress,
};

int engine_step(Execution *x, const EngineSettings *settings, const Input *in, Update *out) {
        Move m = move_begin(x, settings, in, out);
        assert(!x->broken);
        (void)move_json(&m, x->context); /* who may do what is read from it: it is there, or nothing is done */
        if (!x->broken && in->kind < N_INPUT_KINDS && handlers[in->kind])
                handlers[in->kind](&m);
        int r = run_to_rest(&m);
        if (r == 0 && out->applied) {
                x->n_journal++;
                x->dirty |= DIRTY_STATE;
        }
        return r;
}

int engine_reopen_tasks(Execution *x, const EngineSettings *settings, Update *out) {
        const Input none = {.now_ms = x->start_ms};
        Move m = move_begin(x, settings, &none, out);
        for (uint32_t i = 0; i < x->n_instances && !out->oom; i++) {
                StepType type = execution_step(x, i)->type;
                if (x->steps[i].asking)
                        authz_submit(&m, i);
                if (x->steps[i].status == RUNBOOK_STEP_RUNNING && step_type_holds_slot(type) &&
                    type != STEP_TYPE_RUN_RUNBOOK)
                        step_submit(&m, i, false);
        }
        move_deinit(&m);
        return out->oom || x->broken ? -ENOMEM : 0;
}
