/* What an execution leaves behind for people: events, log entries, evidence. Ids come from the input's own
 * randomness. */

#include <stdarg.h>
#include <stdio.h>

#include "engine/internal.h"
#include "json/json_read.h"

#define LOG_MESSAGE_MAX 4096 /* bytes of one log message; longer ones are cut */

Slice move_path(Move *m, uint32_t instance) {
        buf_reset(&m->path);
        execution_put_path(m->x, instance, &m->path);
        if (m->path.error)
                move_oom(m);
        return buf_slice(&m->path);
}

uint64_t move_random(Move *m) {
        /* SplitMix64 over the input's seed: replaying the input draws the same numbers. */
        uint64_t z = m->in->seed + ++m->n_drawn * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

Uuid move_uuid(Move *m) {
        uint64_t a = move_random(m), b = move_random(m);
        return uuid_v7(m->in->now_ms, a, b);
}

static void render(Move *m, const char *type, Slice subject, const EventData *data) {
        Execution *x = m->x;
        EventChain chain = {.id = x->id, .seq = x->seq, .hash = x->chain};
        event_render(&chain, m->id_text, m->settings, m->in->now_ms, x->traceparent, type, subject, data,
                     m->out);
        x->seq = chain.seq;
        x->chain = chain.hash;
        x->dirty |= DIRTY_STATE;
        m->out->applied = true;
        if (m->out->oom)
                x->broken = true;
}

void record_step(Move *m, const char *type, uint32_t instance, EventData *data) {
        const RunbookStep *step = move_step(m, instance);
        const StepState *s = move_state(m, instance);
        data->step_id = step->id;
        data->step_type = step->type_name;
        data->status = runbook_step_status_name((RunbookStepStatus)s->status);
        data->attempt = s->attempt;
        render(m, type, move_path(m, instance), data);
}

void record_execution(Move *m, const char *type, EventData *data) {
        data->status = runbook_execution_status_name((RunbookExecutionStatus)m->x->status);
        render(m, type, SLICE_NULL, data);
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static void put_id(JsonWriter *w, const char *key, Uuid id) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(id, text);
        json_key(w, key);
        json_put_string(w, (Slice){text, UUID_TEXT_SIZE});
}

static void put_member(JsonWriter *w, const json_t *object, const char *key) {
        const json_t *v = json_object_get(object, key);
        if (!v)
                return;
        json_key(w, key);
        json_put_tree(w, v);
}

/* One entry; @instance may be INSTANCE_NONE, @metadata NULL. */
static void put_log(Move *m, Slice level, uint32_t instance, Slice message, const json_t *metadata,
                    const json_t *evidence_ids) {
        Execution *x = m->x;
        Buf *b = &m->out->logs;
        const json_t *context = value_json(x->context);

        size_t frame = frame_begin(b, level);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        put_member(&w, context, "assumptions");
        put_member(&w, context, "dataScope");
        if (evidence_ids) {
                json_key(&w, "evidenceIds");
                json_put_tree(&w, evidence_ids);
        }
        json_key(&w, "executionId");
        json_put_string(&w, (Slice){m->id_text, UUID_TEXT_SIZE});
        put_id(&w, "id", move_uuid(m));
        put_member(&w, context, "legalBasis");
        json_key(&w, "level");
        json_put_string(&w, level);
        json_key(&w, "message");
        json_put_string(&w, message);
        if (metadata) {
                json_key(&w, "metadata");
                json_put_tree(&w, metadata);
        }
        json_key(&w, "stepId");
        if (instance == INSTANCE_NONE)
                json_put_null(&w);
        else
                json_put_string(&w, move_step(m, instance)->id);
        if (instance != INSTANCE_NONE) {
                json_key(&w, "stepPath");
                json_put_string(&w, move_path(m, instance));
        }
        json_key(&w, "tenantId");
        json_put_string(&w, x->tenant);
        json_key(&w, "timestamp");
        json_put_time_ms(&w, m->in->now_ms);
        json_end_object(&w);
        frame_end(b, frame);
        if (b->error)
                move_oom(m);
        m->out->n_logs++;
        x->n_logs++;
        x->dirty |= DIRTY_STATE;
        m->out->applied = true;
        if (instance != INSTANCE_NONE) {
                move_state(m, instance)->n_logs++;
                execution_touch(x, instance);
        }
}

void record_log(Move *m, const char *level, uint32_t instance, const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (n < 0)
                return;
        size_t n_message = (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;
        /* A cut may have split a character. */
        while (n_message > 0 && !slice_is_utf8((Slice){message, n_message}))
                n_message--;
        put_log(m, slice_from_str(level), instance, (Slice){message, n_message}, NULL, NULL);
}

static bool is_level(Slice s) {
        return slice_eq(s, SLICE("debug")) || slice_eq(s, SLICE("info")) || slice_eq(s, SLICE("warn")) ||
               slice_eq(s, SLICE("error"));
}

void record_result_logs(Move *m, uint32_t instance, Value *logs) {
        const json_t *list = value_json(logs);
        size_t n = json_array_size(list);
        for (size_t i = 0; i < n && i < LIMIT_LOGS_PER_RESULT; i++) {
                const json_t *entry = json_array_get(list, i);
                Slice level = json_string_slice(json_object_get(entry, "level"));
                const json_t *message = json_object_get(entry, "message");
                const json_t *metadata = json_object_get(entry, "metadata");
                if (!json_is_string(message))
                        continue;
                put_log(m, is_level(level) ? level : SLICE("info"), instance, json_string_slice(message),
                        json_is_object(metadata) ? metadata : NULL, json_object_get(entry, "evidenceIds"));
        }
        if (n > LIMIT_LOGS_PER_RESULT)
                record_log(m, "warn", instance,
                           "%zu further log entries of this attempt were dropped (at most %d are kept)",
                           n - LIMIT_LOGS_PER_RESULT, LIMIT_LOGS_PER_RESULT);
}

/* ---- evidence -------------------------------------------------------------------------------------------- */

static void put_evidence(Move *m, uint32_t instance, Slice type, Slice source, double confidence,
                         Slice sha256, const json_t *value) {
        Execution *x = m->x;
        Buf *b = &m->out->evidence;
        Uuid id = move_uuid(m);

        size_t frame = frame_begin(b, SLICE_NULL);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        json_key(&w, "confidence");
        json_put_double(&w, confidence);
        put_id(&w, "id", id);
        json_key(&w, "sha256");
        json_put_string(&w, sha256);
        json_key(&w, "sourceRef");
        json_put_string(&w, source);
        json_key(&w, "stepId");
        json_put_string(&w, move_step(m, instance)->id);
        json_key(&w, "stepPath");
        json_put_string(&w, move_path(m, instance));
        json_key(&w, "timestamp");
        json_put_time_ms(&w, m->in->now_ms);
        json_key(&w, "type");
        json_put_string(&w, type);
        if (value) {
                json_key(&w, "value");
                json_put_tree(&w, value);
        }
        json_end_object(&w);
        frame_end(b, frame);
        if (b->error)
                move_oom(m);
        m->out->n_evidence++;
        x->n_evidence++;
        move_state(m, instance)->n_evidence++;
        execution_touch(x, instance);
        record_step(m, "evidence.recorded", instance,
                    &(EventData){.evidence_id = id,
                                 .evidence_type = type,
                                 .sha256 = sha256,
                                 .source_ref = source});
}

/* Digest of a value's canonical form, as hex into @text. */
static Slice value_sha(Move *m, const json_t *value, char text[DIGEST_TEXT_SIZE + 1]) {
        _cleanup_(buf_deinit) Buf b = {0};
        Digest d;
        if (json_canonical(value, &b) < 0 || digest_slice(buf_slice(&b), &d) < 0) {
                move_oom(m);
                return SLICE_NULL;
        }
        digest_format(&d, text);
        return (Slice){text, DIGEST_TEXT_SIZE};
}

void record_result_evidence(Move *m, uint32_t instance, Value *evidence) {
        const json_t *list = value_json(evidence);
        size_t n = json_array_size(list);
        for (size_t i = 0; i < n && i < LIMIT_EVIDENCE_PER_RESULT; i++) {
                const json_t *e = json_array_get(list, i);
                const json_t *type = json_object_get(e, "type"), *source = json_object_get(e, "sourceRef");
                const json_t *confidence = json_object_get(e, "confidence"),
                             *value = json_object_get(e, "value");
                Slice sha = json_string_slice(json_object_get(e, "sha256"));
                char text[DIGEST_TEXT_SIZE + 1];
                Digest given;
                if (!json_is_string(type))
                        continue;
                if (!digest_parse(sha, &given))
                        sha = value_sha(m, value, text);
                double c = json_is_number(confidence) ? json_number_value(confidence) : 1;
                put_evidence(m, instance, json_string_slice(type), json_string_slice(source),
                             c < 0   ? 0
                             : c > 1 ? 1
                                     : c,
                             sha, value);
        }
        if (n > LIMIT_EVIDENCE_PER_RESULT)
                record_log(m, "warn", instance,
                           "%zu further evidence records of this attempt were dropped (at most %d are kept)",
                           n - LIMIT_EVIDENCE_PER_RESULT, LIMIT_EVIDENCE_PER_RESULT);
}

/* A template that should give a string (or a number); its text lives in *keep. */
static Slice spec_text(Move *m, uint32_t instance, const ExprTemplate *t, json_t **keep) {
        EnvCtx ctx = {.m = m, .instance = instance};
        ExprEnv env = env_for(&ctx);
        ExprError error;
        int r = t ? expr_template_eval(t, &env, keep, &error) : -EINVAL;
        if (r == -ENOMEM)
                move_oom(m);
        return r == 0 && json_is_string(*keep) ? json_string_slice(*keep) : SLICE("unresolved");
}

static inline void json_decref_p(json_t **j) { json_decref(*j); }

void record_spec_evidence(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        for (uint32_t i = 0; i < step->n_evidence; i++) {
                const EvidenceSpec *spec = &step->evidence[i];
                _cleanup_(json_decref_p) json_t *type = NULL, *source = NULL, *confidence = NULL,
                                                *value = NULL;
                EnvCtx ctx = {.m = m, .instance = instance};
                ExprEnv env = env_for(&ctx);
                ExprError error;
                char text[DIGEST_TEXT_SIZE + 1];
                Slice type_text = spec_text(m, instance, spec->type, &type);
                Slice source_text = spec_text(m, instance, spec->source_ref, &source);
                if (spec->value && expr_template_eval(spec->value, &env, &value, &error) < 0)
                        record_log(m, "warn", instance, "evidence value can't be resolved: %s",
                                   error.message);
                if (spec->confidence && expr_template_eval(spec->confidence, &env, &confidence, &error) < 0)
                        record_log(m, "warn", instance, "evidence confidence can't be resolved: %s",
                                   error.message);
                double c = json_is_number(confidence) ? json_number_value(confidence) : 1;
                put_evidence(m, instance, type_text, source_text,
                             c < 0   ? 0
                             : c > 1 ? 1
                                     : c,
                             value_sha(m, value, text), value);
        }
}

Value *move_error(Move *m, const char *code, bool retryable, const char *format, ...) {
        _cleanup_(buf_deinit) Buf b = {0};
        char message[LOG_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        int n = vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        size_t n_message = n < 0 ? 0 : (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;
        while (n_message > 0 && !slice_is_utf8((Slice){message, n_message}))
                n_message--;

        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_str(&w, code);
        json_key(&w, "message");
        json_put_string(&w, (Slice){message, n_message});
        json_key(&w, "retryable");
        json_put_bool(&w, retryable);
        json_end_object(&w);
        Value *v = b.error ? NULL : value_new_bytes(buf_slice(&b));
        if (!v)
                move_oom(m);
        return v;
}
