#pragma once
/* Lifecycle events, log entries and evidence, rendered straight into an update. */

#include "engine/engine.h"
#include "json/json_write.h"

/**
 * The members of an event's `data`. What is zero or empty is left out; members are written in the order
 * of this struct, which is the canonical one.
 */
typedef struct EventData {
        const Slice *approvers;
        size_t n_approvers;
        uint32_t attempt;
        Slice by;
        Uuid child_execution_id;
        Slice code;
        Slice command_id;
        Slice comments;
        Value *context;
        Slice correlation_id;
        int64_t deadline_ms;
        Slice decision;
        bool has_duration;
        int64_t duration_ms;
        Value *error;
        Slice event_id;
        Slice event_type;
        Uuid evidence_id;
        Slice evidence_type_raw; /* raw JSON */
        Slice idempotency_key;
        Slice initiated_by;
        Value *input_sha; /* the value; its digest is written */
        Slice message;
        uint32_t min_approvals;
        Uuid original_execution_id;
        Value *output_sha; /* likewise */
        Uuid parent_execution_id;
        const Slice *permissions;
        size_t n_permissions;
        Value *prompt;
        Slice reason;
        const Runbook *runbook; /* runbookDigest, runbookId, runbookVersion */
        Slice sha256;
        Slice shown_sha256;
        const char *skip_reason;
        Slice source_ref_raw; /* raw JSON */
        const char *status;
        Slice step_id;
        Slice step_type;
        Slice tenant_id;
        int64_t until_ms;
        Slice whole; /* canonical JSON of an object: the data as it stands; then nothing above counts */
} EventData;

/** Member @key with raw JSON as its value; nothing when @raw is empty. */
void event_put_raw(JsonWriter *w, const char *key, Slice raw);

/**
 * Append event @type ("step.completed") of @subject (step path; empty: the execution itself) to @out and
 * hang it on @chain.
 * Memory trouble makes out->oom.
 */
void event_render(EventChain *chain, const char *id_text, const EngineSettings *settings, int64_t now_ms,
                  Slice traceparent, const char *type, Slice subject, const EventData *data, Update *out);
