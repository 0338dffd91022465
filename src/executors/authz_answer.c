/*
 * Answers of the authorization service
 *
 * `{"result": true}` or `{"result": {"allow": true, "reason": "…"}}`, and false likewise. Everything else is no answer:
 * a policy that is undefined for a question gives `{}`, and a typo in the policy must not read as a decision.
 */
#include <string.h>

#include "executors/authz_internal.h"
#include "json/json_read.h"

typedef struct Decision {
        bool allow;
        Slice reason, decision_id; /* borrowed; may be empty */
} Decision;

/** NULL, or why it is no decision. */
static const char *read_decision(const json_t *answer, Decision *ret) {
        const json_t *result = json_object_get(answer, "result"), *allow = result;

        *ret = (Decision){0};
        if (!json_is_object(answer))
                return "its answer is not a JSON object";
        if (!result)
                return "its answer has no \"result\" (is the policy defined for this question, and is the "
                       "URL that "
                       "of a rule?)";
        if (json_is_object(result))
                allow = json_object_get(result, "allow");
        if (!json_is_boolean(allow))
                return json_is_object(result)
                                       ? "\"result\" has no \"allow\" that is true or false"
                                       : "\"result\" is neither true, false nor an object with \"allow\"";
        ret->allow = json_is_true(allow);
        ret->reason = slice_cut_utf8(json_string_slice(json_object_get(result, "reason")),
                                     AUTHZ_REASON_BYTES_MAX);
        ret->decision_id = slice_cut_utf8(json_string_slice(json_object_get(answer, "decision_id")),
                                          AUTHZ_REASON_BYTES_MAX);
        return NULL;
}

static void put_text(JsonWriter *w, const char *key, Slice text) {
        if (text.n == 0)
                return;
        json_key(w, key);
        json_put_string(w, text);
}

static Value *make_output(const Decision *d) {
        Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "allow");
        json_put_bool(&w, d->allow);
        put_text(&w, "reason", d->reason);
        json_end_object(&w);
        Value *v = attempt_take_value(&b);
        buf_deinit(&b);
        return v;
}

/* What an auditor needs: who said what about which question. Members in canonical order. */
static void put_value(JsonWriter *w, const Question *q, const Decision *d, Slice question_sha256) {
        const RunbookStep *step = q->task->step;
        json_begin_object(w);
        json_key(w, "allow");
        json_put_bool(w, d->allow);
        json_key(w, "attempt");
        json_put_i64(w, q->task->attempt);
        put_text(w, "decisionId", d->decision_id);
        json_key(w, "permissions");
        json_begin_array(w);
        for (size_t i = 0; step && i < step->n_required_permissions; i++)
                json_put_string(w, step->required_permissions[i]);
        json_end_array(w);
        put_text(w, "questionSha256", question_sha256);
        put_text(w, "reason", d->reason);
        json_end_object(w);
}

static Value *make_evidence(const Question *q, const Decision *d, Slice sha256, Slice source) {
        char text[DIGEST_TEXT_SIZE + 1];
        Digest asked;
        Buf b = {0};
        JsonWriter w = json_writer(&b);

        if (digest_slice(value_bytes(q->task->input), &asked) < 0)
                return NULL;
        digest_format(&asked, text);
        json_begin_array(&w);
        json_begin_object(&w);
        json_key(&w, "confidence");
        json_put_i64(&w, 1);
        put_text(&w, "sha256", sha256);
        put_text(&w, "sourceRef", source);
        json_key(&w, "type");
        json_put_string(&w, SLICE("authorization"));
        json_key(&w, "value");
        put_value(&w, q, d, (Slice){text, DIGEST_TEXT_SIZE});
        json_end_object(&w);
        json_end_array(&w);
        Value *v = attempt_take_value(&b);
        buf_deinit(&b);
        return v;
}

TaskResult authz_unavailable(const AuthzEngine *e, const Question *q, const char *cause, Slice why,
                             int64_t retry_after_ms) {
        TaskResult result = attempt_result(q->task);
        Buf message = {0}, details = {0};
        JsonWriter w = json_writer(&details);

        buf_put_str(&message, "the authorization service gave no decision: ");
        buf_put_slice(&message, why);
        buf_put_str(&message, "; no answer means denied");
        json_begin_object(&w);
        put_text(&w, "cause", slice_from_str(cause));
        json_end_object(&w);
        if (!message.error && !details.error)
                result.error = attempt_error("AUTHZ_UNAVAILABLE", true, buf_slice(&message),
                                             buf_slice(&details));
        if (!result.error)
                result.error = value_ref(e->no_memory);
        result.retry_after_ms = retry_after_ms;
        buf_deinit(&message);
        buf_deinit(&details);
        return result;
}

TaskResult authz_decide(const AuthzEngine *e, const Question *q, const json_t *answer, Slice sha256,
                        Slice source) {
        TaskResult result = attempt_result(q->task);
        Decision decision;
        const char *fault = read_decision(answer, &decision);
        if (fault)
                return authz_unavailable(e, q, "ANSWER_INVALID", slice_from_str(fault), 0);
        result.output = make_output(&decision);
        result.evidence = make_evidence(q, &decision, sha256, source);
        if (result.output && result.evidence) {
                result.ok = true;
                return result;
        }
        /* An allowance that can't be put on record is none. */
        value_unref(result.output);
        value_unref(result.evidence);
        return authz_unavailable(e, q, "OUT_OF_MEMORY", SLICE("there was not enough memory for its answer"),
                                 0);
}
