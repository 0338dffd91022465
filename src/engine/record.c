/* What an execution leaves behind for people: events, log entries, evidence. Ids come from the input's own
 * randomness. */

#include <stdarg.h>
#include <stdio.h>

#include "engine/internal.h"
#include "json/json_scan.h"

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
        update_fact(m->out, &(UpdateFact){.type = type,
                                          .instance = instance,
                                          .attempt = s->attempt,
                                          .step_type = (uint8_t)step->type,
                                          .start_ms = data->has_duration ? s->start_ms : 0,
                                          .end_ms = data->has_duration ? s->end_ms : 0});
        render(m, type, move_path(m, instance), data);
}

void record_execution(Move *m, const char *type, EventData *data) {
        Execution *x = m->x;
        data->status = runbook_execution_status_name((RunbookExecutionStatus)x->status);
        update_fact(m->out, &(UpdateFact){.type = type,
                                          .instance = INSTANCE_NONE,
                                          .start_ms = data->has_duration ? x->start_ms : 0,
                                          .end_ms = data->has_duration ? x->end_ms : 0});
        render(m, type, SLICE_NULL, data);
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

static void put_id(JsonWriter *w, const char *key, Uuid id) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(id, text);
        json_key(w, key);
        json_put_string(w, (Slice){text, UUID_TEXT_SIZE});
}

/* @text as a raw JSON string, in @b. */
static Slice quoted(Move *m, Buf *b, Slice text) {
        JsonWriter w = json_writer(b);
        json_put_string(&w, text);
        if (b->error)
                move_oom(m);
        return buf_slice(b);
}

static void put_member(JsonWriter *w, const json_t *object, const char *key) {
        const json_t *v = json_object_get(object, key);
        if (!v)
                return;
        json_key(w, key);
        json_put_tree(w, v);
}

/* One entry. @message is a raw JSON string, @metadata and @evidence_ids raw JSON or empty; @instance may
 * be INSTANCE_NONE. */
static void put_log(Move *m, Slice level, uint32_t instance, Slice message, Slice metadata,
                    Slice evidence_ids) {
        Execution *x = m->x;
        Buf *b = &m->out->logs;
        const json_t *context = move_json(m, x->context);

        size_t frame = frame_begin(b, level);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        put_member(&w, context, "assumptions");
        put_member(&w, context, "dataScope");
        event_put_raw(&w, "evidenceIds", evidence_ids);
        json_key(&w, "executionId");
        json_put_string(&w, (Slice){m->id_text, UUID_TEXT_SIZE});
        put_id(&w, "id", move_uuid(m));
        put_member(&w, context, "legalBasis");
        json_key(&w, "level");
        json_put_string(&w, level);
        event_put_raw(&w, "message", message);
        event_put_raw(&w, "metadata", metadata);
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
        _cleanup_(buf_deinit) Buf raw = {0};
        put_log(m, slice_from_str(level), instance, quoted(m, &raw, (Slice){message, n_message}), SLICE_NULL,
                SLICE_NULL);
}

static bool is_level(Slice s) {
        return slice_eq(s, SLICE("debug")) || slice_eq(s, SLICE("info")) || slice_eq(s, SLICE("warn")) ||
               slice_eq(s, SLICE("error"));
}

/* What executors report is passed on, not looked into: it is cut out of its bytes and never becomes a tree. */
static Slice of_kind(Slice raw, char kind) { return raw.n > 0 && raw.data[0] == kind ? raw : SLICE_NULL; }

void record_result_logs(Move *m, uint32_t instance, Value *logs) {
        enum { EVIDENCE_IDS, LEVEL, MESSAGE, METADATA, N_MEMBERS };
        static const char *const keys[N_MEMBERS] = {"evidenceIds", "level", "message", "metadata"};
        Slice list = move_bytes(m, logs), entry, level, members[N_MEMBERS];
        size_t at = 0, n = 0;
        while (json_scan_next(list, &at, &entry)) {
                json_scan_members(entry, keys, N_MEMBERS, members);
                Slice message = of_kind(members[MESSAGE], '"');
                if (++n > LIMIT_LOGS_PER_RESULT || message.n == 0)
                        continue;
                bool known = json_scan_plain_string(members[LEVEL], &level) &&
                             is_level(level);
                put_log(m, known ? level : SLICE("info"), instance, message,
                        of_kind(members[METADATA], '{'), of_kind(members[EVIDENCE_IDS], '['));
        }
        if (n > LIMIT_LOGS_PER_RESULT)
                record_log(m, "warn", instance,
                           "%zu further log entries of this attempt were dropped (at most %d are kept, "
                           "LIMIT_LOGS_PER_RESULT)",
                           n - LIMIT_LOGS_PER_RESULT, LIMIT_LOGS_PER_RESULT);
}

/* ---- evidence ---------------------------------------------------------------------------------------- */

/* One record as raw JSON; an empty sha256 is computed from the value. */
typedef struct EvidenceRaw {
        Slice type, source, sha256, value;
        double confidence; /* 0–1 */
        EventData event;   /* what else its event tells */
} EvidenceRaw;

static Slice sha_of(Move *m, Slice value, char text[DIGEST_TEXT_SIZE + 1]) {
        Digest d;
        if (digest_slice(value.n > 0 ? value : SLICE("null"), &d) < 0) {
                move_oom(m);
                return SLICE_NULL;
        }
        digest_format(&d, text);
        return (Slice){text, DIGEST_TEXT_SIZE};
}

static void put_evidence(Move *m, uint32_t instance, const EvidenceRaw *e) {
        Execution *x = m->x;
        Buf *b = &m->out->evidence;
        Uuid id = move_uuid(m);
        char text[DIGEST_TEXT_SIZE + 1];
        Digest given;
        Slice sha;
        if (!json_scan_plain_string(e->sha256, &sha) || !digest_parse(sha, &given))
                sha = sha_of(m, e->value, text);

        size_t frame = frame_begin(b, SLICE_NULL);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        json_key(&w, "confidence");
        json_put_double(&w, e->confidence);
        put_id(&w, "id", id);
        json_key(&w, "sha256");
        json_put_string(&w, sha);
        event_put_raw(&w, "sourceRef", e->source);
        json_key(&w, "stepId");
        json_put_string(&w, move_step(m, instance)->id);
        json_key(&w, "stepPath");
        json_put_string(&w, move_path(m, instance));
        json_key(&w, "timestamp");
        json_put_time_ms(&w, m->in->now_ms);
        event_put_raw(&w, "type", e->type);
        event_put_raw(&w, "value", e->value);
        json_end_object(&w);
        frame_end(b, frame);
        if (b->error)
                move_oom(m);
        m->out->n_evidence++;
        x->n_evidence++;
        move_state(m, instance)->n_evidence++;
        execution_touch(x, instance);
        EventData event = e->event;
        event.evidence_id = id;
        event.evidence_type_raw = e->type;
        event.sha256 = sha;
        event.source_ref_raw = e->source;
        record_step(m, "evidence.recorded", instance, &event);
}

static double clamp(double v) { return v < 0 ? 0 : v > 1 ? 1 : v; }

/* 1 where nothing (or no number) is given. */
static double confidence_of(Slice raw) {
        if (raw.n == 0 || slice_eq(raw, SLICE("1")))
                return 1;
        json_t *v = json_loadb(raw.data, raw.n, JSON_DECODE_ANY, NULL);
        double c = json_is_number(v) ? json_number_value(v) : 1;
        json_decref(v);
        return clamp(c);
}

static void put_result_evidence(Move *m, uint32_t instance, Value *evidence, const EventData *event) {
        enum { CONFIDENCE, SHA256, SOURCE_REF, TYPE, VALUE, N_MEMBERS };
        static const char *const keys[N_MEMBERS] = {"confidence", "sha256", "sourceRef", "type", "value"};
        Slice list = move_bytes(m, evidence), entry, members[N_MEMBERS];
        size_t at = 0, n = 0;
        while (json_scan_next(list, &at, &entry)) {
                json_scan_members(entry, keys, N_MEMBERS, members);
                EvidenceRaw e = {.type = of_kind(members[TYPE], '"'),
                                 .source = of_kind(members[SOURCE_REF], '"'),
                                 .sha256 = of_kind(members[SHA256], '"'),
                                 .value = members[VALUE],
                                 .event = *event};
                if (++n > LIMIT_EVIDENCE_PER_RESULT || e.type.n == 0)
                        continue;
                e.confidence = confidence_of(members[CONFIDENCE]);
                put_evidence(m, instance, &e);
        }
        if (n > LIMIT_EVIDENCE_PER_RESULT)
                record_log(m, "warn", instance,
                           "%zu further evidence records of this attempt were dropped (at most %d are kept, "
                           "LIMIT_EVIDENCE_PER_RESULT)",
                           n - LIMIT_EVIDENCE_PER_RESULT, LIMIT_EVIDENCE_PER_RESULT);
}

void record_result_evidence(Move *m, uint32_t instance, Value *evidence) {
        put_result_evidence(m, instance, evidence, &(EventData){0});
}

void record_authorization(Move *m, uint32_t instance, bool allow, Slice reason, Value *evidence) {
        const RunbookStep *step = move_step(m, instance);
        put_result_evidence(m, instance, evidence,
                            &(EventData){.decision = allow ? SLICE("allow") : SLICE("deny"),
                                         .permissions = step->required_permissions,
                                         .n_permissions = step->n_required_permissions,
                                         .reason = reason});
}

/* @t's value in canonical bytes, in @keep; empty (and a warning in the log) where it can't be resolved. */
static Slice spec_value(Move *m, uint32_t instance, const ExprTemplate *t, const char *what, Value **keep) {
        Value *error = NULL;
        *keep = t ? template_value(m, instance, t, &error) : NULL;
        if (error)
                record_log(m, "warn", instance, "the evidence's %s can't be resolved", what);
        value_unref(error);
        return move_bytes(m, *keep);
}

static Slice spec_text(Move *m, uint32_t instance, const ExprTemplate *t, const char *what, Value **keep) {
        Slice raw = spec_value(m, instance, t, what, keep);
        return raw.n > 0 && raw.data[0] == '"' ? raw : SLICE("\"unresolved\"");
}

void record_spec_evidence(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        for (uint32_t i = 0; i < step->n_evidence; i++) {
                const EvidenceSpec *spec = &step->evidence[i];
                _cleanup_(value_unref_p) Value *type = NULL, *source = NULL, *confidence = NULL,
                                               *value = NULL;
                EvidenceRaw e = {.type = spec_text(m, instance, spec->type, "type", &type),
                                 .source = spec_text(m, instance, spec->source_ref, "sourceRef", &source),
                                 .value = spec_value(m, instance, spec->value, "value", &value)};
                e.confidence = confidence_of(
                                spec_value(m, instance, spec->confidence, "confidence", &confidence));
                put_evidence(m, instance, &e);
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
