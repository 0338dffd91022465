/*
 * CloudEvents 1.0, structured JSON, in canonical form (RFC 8785) as they are written: members in order, no
 * blanks. So a reader in any language gets the bytes that were hashed by canonicalising what it received.
 *
 *     hash(n) = SHA-256(event n without its member "hash"), which holds prevhash = hash(n−1), zeros for the first.
 *
 * Everything before `hash` and everything after it is laid down first, the hash is filled into the gap.
 */

#include <errno.h>

#include "engine/event.h"

#define HASH_MEMBER      "\"hash\":\"" /* + 64 hex digits + "\"," */
#define HASH_MEMBER_SIZE (sizeof(HASH_MEMBER) - 1 + DIGEST_TEXT_SIZE + 2)

static void put_slice(JsonWriter *w, const char *key, Slice s) {
        if (s.n == 0)
                return;
        json_key(w, key);
        json_put_string(w, s);
}

static void put_text(JsonWriter *w, const char *key, const char *s) { put_slice(w, key, slice_from_str(s)); }

static void put_uuid(JsonWriter *w, const char *key, Uuid id) {
        if (uuid_is_nil(id))
                return;
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(id, text);
        put_slice(w, key, (Slice){text, UUID_TEXT_SIZE});
}

static void put_number(JsonWriter *w, const char *key, bool present, int64_t v) {
        if (!present)
                return;
        json_key(w, key);
        json_put_i64(w, v);
}

static void put_time(JsonWriter *w, const char *key, int64_t ms) {
        if (ms == 0)
                return;
        json_key(w, key);
        json_put_time_ms(w, ms);
}

void event_put_raw(JsonWriter *w, const char *key, Slice raw) {
        if (raw.n == 0)
                return;
        json_key(w, key);
        json_put_raw(w, raw);
}

static bool put_value(JsonWriter *w, const char *key, Value *v) {
        if (!v)
                return true;
        Slice bytes = value_bytes(v);
        json_key(w, key);
        json_put_raw(w, bytes);
        return bytes.n > 0; /* else memory ran out */
}

static bool put_value_digest(JsonWriter *w, const char *key, Value *v) {
        Digest d;
        char text[DIGEST_TEXT_SIZE + 1];
        if (!v)
                return true;
        if (value_bytes(v).n == 0 || digest_slice(value_bytes(v), &d) < 0)
                return false;
        digest_format(&d, text);
        put_slice(w, key, (Slice){text, DIGEST_TEXT_SIZE});
        return true;
}

static void put_strings(JsonWriter *w, const char *key, const Slice *texts, size_t n) {
        if (n == 0)
                return;
        json_key(w, key);
        json_begin_array(w);
        for (size_t i = 0; i < n; i++)
                json_put_string(w, texts[i]);
        json_end_array(w);
}

static bool put_data(JsonWriter *w, const EventData *d) {
        bool ok = true;
        if (d->whole.n > 0) {
                json_put_raw(w, d->whole);
                return true;
        }
        json_begin_object(w);
        put_strings(w, "approvers", d->approvers, d->n_approvers);
        put_number(w, "attempt", d->attempt > 0, d->attempt);
        put_slice(w, "by", d->by);
        put_uuid(w, "childExecutionId", d->child_execution_id);
        put_slice(w, "code", d->code);
        put_slice(w, "commandId", d->command_id);
        put_slice(w, "comments", d->comments);
        ok &= put_value(w, "context", d->context);
        put_slice(w, "correlationId", d->correlation_id);
        put_time(w, "deadline", d->deadline_ms);
        put_slice(w, "decision", d->decision);
        put_number(w, "durationMs", d->has_duration, d->duration_ms);
        ok &= put_value(w, "error", d->error);
        put_slice(w, "eventId", d->event_id);
        put_slice(w, "eventType", d->event_type);
        put_uuid(w, "evidenceId", d->evidence_id);
        event_put_raw(w, "evidenceType", d->evidence_type_raw);
        put_slice(w, "idempotencyKey", d->idempotency_key);
        put_slice(w, "initiatedBy", d->initiated_by);
        ok &= put_value_digest(w, "inputSha256", d->input_sha);
        put_slice(w, "message", d->message);
        put_number(w, "minApprovals", d->min_approvals > 0, d->min_approvals);
        put_uuid(w, "originalExecutionId", d->original_execution_id);
        ok &= put_value_digest(w, "outputSha256", d->output_sha);
        put_uuid(w, "parentExecutionId", d->parent_execution_id);
        put_strings(w, "permissions", d->permissions, d->n_permissions);
        ok &= put_value(w, "prompt", d->prompt);
        put_slice(w, "reason", d->reason);
        if (d->runbook) {
                char digest[DIGEST_TEXT_SIZE + 1];
                digest_format(&d->runbook->digest, digest);
                put_slice(w, "runbookDigest", (Slice){digest, DIGEST_TEXT_SIZE});
                put_slice(w, "runbookId", d->runbook->id);
                put_slice(w, "runbookVersion", d->runbook->version);
        }
        put_slice(w, "sha256", d->sha256);
        put_slice(w, "shownSha256", d->shown_sha256);
        put_text(w, "skipReason", d->skip_reason);
        event_put_raw(w, "sourceRef", d->source_ref_raw);
        put_text(w, "status", d->status);
        put_slice(w, "stepId", d->step_id);
        put_slice(w, "stepType", d->step_type);
        put_slice(w, "tenantId", d->tenant_id);
        put_time(w, "until", d->until_ms);
        json_end_object(w);
        return ok;
}

static void put_digest(JsonWriter *w, const char *key, const Digest *d) {
        char text[DIGEST_TEXT_SIZE + 1];
        digest_format(d, text);
        put_slice(w, key, (Slice){text, DIGEST_TEXT_SIZE});
}

/* Members from "id" on. */
static void put_attributes(Buf *b, const EventChain *chain, const char *id_text,
                           const EngineSettings *settings, int64_t now_ms, Slice traceparent,
                           const char *type, Slice subject) {
        JsonWriter w = json_writer(b);
        buf_put_str(b, "\"id\":\"");
        buf_put(b, id_text, UUID_TEXT_SIZE);
        buf_put_char(b, '/');
        buf_put_decimal(b, (int64_t)chain->seq);
        buf_put_char(b, '"');
        w.need_comma = true;
        put_digest(&w, "prevhash", &chain->hash);
        put_number(&w, "sequence", true, (int64_t)chain->seq);
        put_slice(&w, "source", settings->source);
        put_slice(&w, "specversion", SLICE("1.0"));
        json_key(&w, "subject");
        if (subject.n == 0) {
                json_put_string(&w, (Slice){id_text, UUID_TEXT_SIZE});
        } else {
                /* "<id>/<path>" without a copy: the id needs no escapes, so the quote is written in front
                 * of it by hand */
                buf_put_char(b, '"');
                buf_put(b, id_text, UUID_TEXT_SIZE);
                size_t at = b->n;
                w.need_comma = false;
                json_put_string(&w, subject);
                if (!b->error)
                        b->data[at] = '/'; /* over the path's opening quote */
        }
        put_time(&w, "time", now_ms);
        put_slice(&w, "traceparent", traceparent);
        json_key(&w, "type");
        buf_put_str(b, "\"runbook.");
        buf_put_str(b, type);
        buf_put_str(b, "\"}");
}

void event_render(EventChain *chain, const char *id_text, const EngineSettings *settings, int64_t now_ms,
                  Slice traceparent, const char *type, Slice subject, const EventData *data, Update *out) {
        Buf *b = &out->events;
        Digest hash;

        chain->seq++;
        size_t frame = frame_begin(b, slice_from_str(type));
        size_t start = b->n;
        JsonWriter w = json_writer(b);
        buf_put_str(b, "{\"data\":");
        bool ok = put_data(&w, data);
        buf_put_str(b, ",\"datacontenttype\":\"application/json\",");
        size_t gap = b->n;
        char *member = buf_extend(b, HASH_MEMBER_SIZE);
        if (member) {
                memcpy(member, HASH_MEMBER, sizeof(HASH_MEMBER) - 1);
                memcpy(member + HASH_MEMBER_SIZE - 2, "\",", 2);
        }
        put_attributes(b, chain, id_text, settings, now_ms, traceparent, type, subject);
        frame_end(b, frame);
        if (b->error || !ok) {
                out->oom = true;
                return;
        }
        size_t rest = gap + HASH_MEMBER_SIZE;
        const Slice hashed[] = {{b->data + start, gap - start}, {b->data + rest, b->n - rest}};
        if (digest_slices(hashed, 2, &hash) < 0) {
                out->oom = true;
                return;
        }
        char text[DIGEST_TEXT_SIZE + 1];
        digest_format(&hash, text);
        memcpy(b->data + gap + sizeof(HASH_MEMBER) - 1, text, DIGEST_TEXT_SIZE);
        chain->hash = hash;
        if (out->n_events++ == 0)
                out->first_seq = chain->seq;
}

int engine_catalog_id(Slice tenant, Uuid *ret) {
        Digest d;
        const Slice parts[] = {SLICE("catalog:"), tenant};
        if (digest_slices(parts, 2, &d) < 0)
                return -ENOMEM;
        *ret = uuid_v8_from_digest(d.bytes);
        return 0;
}

int engine_catalog_event(EventChain *chain, const EngineSettings *settings, const Input *in,
                         const Runbook *runbook, Update *out) {
        char id_text[UUID_TEXT_SIZE + 1];
        uuid_format(chain->id, id_text);
        const EventData data = {.by = in->user,
                                .command_id = in->command_id,
                                .runbook = runbook,
                                .tenant_id = in->tenant};
        event_render(chain, id_text, settings, in->now_ms, in->traceparent, "runbook.registered", SLICE_NULL,
                     &data, out);
        return out->oom ? -ENOMEM : 0;
}

int engine_checkpoint_event(EventChain *chain, const EngineSettings *settings, int64_t now_ms, Slice data,
                            Update *out) {
        char id_text[UUID_TEXT_SIZE + 1];
        uuid_format(chain->id, id_text);
        event_render(chain, id_text, settings, now_ms, SLICE_NULL, "checkpoint", SLICE_NULL,
                     &(EventData){.whole = data}, out);
        return out->oom ? -ENOMEM : 0;
}
