/*
 * Leave to run
 *
 * A step with requiredPermissions asks the authorization service before each of its attempts. While the question is
 * out the step is ready and holds a slot, so a fan-out can't ask more at once than it may run. The attempt
 * gets its number with the question: an answer is known by it, and where no answer comes it counts as the
 * attempt that failed.
 *
 *     ready ── ask ──► ready, asking ──► allowed: it starts      (back in line if the execution is pausing)
 *                            │  │  └────► denied: failed, AUTHZ_DENIED
 *                            │  └───────► no answer: a failed attempt, AUTHZ_UNAVAILABLE
 *                            └──────────► withdrawn: pending
 *
 * The core trusts one thing only: a decision whose `allow` is true. What else may be in it, it denies.
 */

#include "engine/internal.h"
#include "json/json_read.h"

/* What the step is about to do, as a digest: a policy may pin it, and the audit can hold it against what was
 * sent. A config that can't be resolved has none; the start will say why. */
static void put_config_digest(Move *m, uint32_t instance, JsonWriter *w) {
        Value *error = NULL;
        char text[DIGEST_TEXT_SIZE + 1];
        Digest d;
        _cleanup_(value_unref_p) Value *config = step_config(m, instance, &error);
        value_unref(error);
        if (!config)
                return;
        if (digest_slice(value_bytes(config), &d) < 0) {
                move_oom(m);
                return;
        }
        digest_format(&d, text);
        json_key(w, "configSha256");
        json_put_string(w, (Slice){text, DIGEST_TEXT_SIZE});
}

static void put_member(JsonWriter *w, const char *key, Slice text) {
        if (text.n == 0)
                return;
        json_key(w, key);
        json_put_string(w, text);
}

static void put_basis(JsonWriter *w, const json_t *basis, const char *key) {
        put_member(w, key, json_string_slice(json_object_get(basis, key)));
}

/* In canonical order. */
static Value *question(Move *m, uint32_t instance) {
        const Execution *x = m->x;
        const RunbookStep *step = move_step(m, instance);
        const json_t *basis = x->context ? json_object_get(move_json(m, x->context), "legalBasis") : NULL;
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);

        json_begin_object(&w);
        json_key(&w, "input");
        json_begin_object(&w);
        json_key(&w, "attempt");
        json_put_i64(&w, move_state(m, instance)->attempt);
        put_basis(&w, basis, "authority");
        put_basis(&w, basis, "caseId");
        put_basis(&w, basis, "classification");
        put_config_digest(m, instance, &w);
        put_member(&w, "executionId", slice_from_str(m->id_text));
        put_member(&w, "initiatedBy", x->initiated_by);
        json_key(&w, "permissions");
        json_begin_array(&w);
        for (size_t i = 0; i < step->n_required_permissions; i++)
                json_put_string(&w, step->required_permissions[i]);
        json_end_array(&w);
        put_member(&w, "runbookId", x->runbook_id);
        put_member(&w, "runbookVersion", x->runbook_version);
        put_member(&w, "stepId", step->id);
        put_member(&w, "stepPath", move_path(m, instance));
        put_member(&w, "stepType", step->type_name);
        put_member(&w, "tenantId", x->tenant);
        json_end_object(&w);
        json_end_object(&w);
        return b.error ? NULL : value_new_bytes(buf_slice(&b));
}

void authz_submit(Move *m, uint32_t instance) {
        Value *asked = question(m, instance);
        if (!asked) {
                move_oom(m);
                return;
        }
        Effect *e = update_effect(m->out, EFFECT_AUTHZ, instance);
        e->attempt = move_state(m, instance)->attempt;
        e->value = asked;
}

void authz_ask(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        const RunbookStep *step = move_step(m, instance);

        if (s->status != RUNBOOK_STEP_READY)
                step_set_status(m, instance, RUNBOOK_STEP_READY);
        if (s->ready_ms == 0)
                s->ready_ms = m->in->now_ms;
        s->attempt++;
        s->attempt_ms = m->in->now_ms;
        step_set_asking(m, instance, true);
        record_step(m, "step.ready", instance,
                    &(EventData){.permissions = step->required_permissions,
                                 .n_permissions = step->n_required_permissions});
        authz_submit(m, instance);
}

/* The number was not used: the next question has it again. */
static void unbegin(Move *m, uint32_t instance) { move_state(m, instance)->attempt--; }

static void allowed(Move *m, uint32_t instance) {
        Execution *x = m->x;
        unbegin(m, instance);
        if (x->status == RUNBOOK_EXECUTION_RUNNING || x->status == RUNBOOK_EXECUTION_COMPENSATING) {
                step_run(m, instance);
                return;
        }
        /* Pausing: nothing starts any more, and by the time it goes on the leave may be gone. */
        if (heap_push(&x->ready, execution_ready_key(x, instance)) < 0)
                move_oom(m);
}

void authz_answer(Move *m) {
        const Input *in = m->in;
        StepState *s = in->instance < m->x->n_instances ? move_state(m, in->instance) : NULL;
        if (!s || !s->asking || s->attempt != in->attempt)
                return; /* late, or the answer to a question that was withdrawn */
        step_set_asking(m, in->instance, false);
        if (!in->ok) {
                Value *error = in->error ? value_ref(in->error)
                                         : move_error(m, "AUTHZ_UNAVAILABLE", true,
                                                      "the authorization service gave no answer; no answer "
                                                      "means denied");
                step_fail_attempt(m, in->instance, error, in->retry_after_ms);
                return;
        }
        const json_t *decision = move_json(m, in->value);
        bool allow = json_is_true(json_object_get(decision, "allow"));
        Slice reason = json_string_slice(json_object_get(decision, "reason"));
        record_authorization(m, in->instance, allow, reason, in->evidence);
        if (allow)
                allowed(m, in->instance);
        else
                step_fail(m, in->instance,
                          move_error(m, "AUTHZ_DENIED", false, "the authorization service denied it%s%.*s",
                                     reason.n > 0 ? ": " : "", SLICE_ARG(reason)));
}

void authz_withdraw(Move *m, uint32_t instance) {
        StepState *s = move_state(m, instance);
        update_effect(m->out, EFFECT_AUTHZ_CANCEL, instance)->attempt = s->attempt;
        step_set_asking(m, instance, false);
        s->retries_from++; /* its number is used up, since an answer may be under way; its try is not */
}
