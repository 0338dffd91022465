/*
 * The command `start`: which runbook, in which legal context, with which input
 *
 * The context that is stored is completed with what the subject says (tenantId, initiatedBy), so that it
 * stands for itself wherever it is shown later.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/call.h"

static void check_strings(const JsonAt *object, const char *key, size_t n_max) {
        JsonAt array;
        if (!json_get_array(object, key, &array))
                return;
        size_t n = json_array_size(array.value);
        if (n > n_max) {
                json_at_error(&array, "has %zu entries, the most is %zu", n, n_max);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                JsonAt item = json_at_index(&array, i);
                if (!json_is_string(item.value) || json_string_length(item.value) == 0)
                        json_at_error(&item, "must be a non-empty string, is %s", json_type_text(item.value));
        }
}

static void check_required(const JsonAt *object, const char *key) {
        Slice text;
        JsonAt member = json_at_key(object, key);
        if (json_get_string_required(object, key, &text) && text.n == 0)
                json_at_error(&member, "must not be empty");
}

static void check_context(const JsonAt *context) {
        Slice text;
        int64_t days;
        JsonAt legal;
        if (json_get_object(context, "legalBasis", &legal)) {
                check_required(&legal, "authority");
                check_required(&legal, "classification");
                check_strings(&legal, "authorizedUsers", LIMIT_AUTHORIZED_USERS);
                json_get_string(&legal, "caseId", &text);
                json_get_i64(&legal, "retentionDays", 0, INT32_MAX, &days);
        } else {
                legal = json_at_key(context, "legalBasis");
                if (!legal.value)
                        json_at_error(&legal, "is missing: on what authority does this run, at which "
                                              "classification?");
        }
        check_strings(context, "assumptions", LIMIT_AUTHORIZED_USERS);
}

/** The context as it is stored: a copy of the top level with the two names filled in. */
static void take_context(Call *c, const JsonAt *context) {
        Input *in = &c->request->input;
        json_t *copy = json_copy((json_t *)context->value);
        if (!copy || json_object_set_new(copy, "tenantId", json_stringn(in->tenant.data, in->tenant.n)) ||
            json_object_set_new(copy, "initiatedBy", json_stringn(in->user.data, in->user.n))) {
                json_decref(copy);
                c->error = -ENOMEM;
                return;
        }
        in->context = value_new(copy);
        size_t n = value_bytes(in->context).n;
        if (n == 0)
                c->error = -ENOMEM;
        else if (n > LIMIT_CONTEXT_BYTES)
                report_set(&c->report, RUNBOOK_TOO_LARGE,
                           "context is too large: %zu bytes of JSON, the most is %d (LIMIT_CONTEXT_BYTES)", n,
                           LIMIT_CONTEXT_BYTES);
}

static void take_options(Call *c) {
        Input *in = &c->request->input;
        JsonAt options;
        if (!json_get_object(&c->at, "options", &options))
                return;
        if (call_get_string(c, &options, "idempotencyKey", LIMIT_NAMED(LIMIT_COMMAND_ID_BYTES),
                            &in->idempotency_key) &&
            in->idempotency_key.n == 0) {
                JsonAt at = json_at_key(&options, "idempotencyKey");
                json_at_error(&at, "must not be empty");
        }
        json_get_bool(&options, "skipIdempotencyCheck", &c->request->skip_idempotency_check);
        json_get_bool(&options, "dryRun", &in->dry_run);
        call_get_string(c, &options, "pauseAt", LIMIT_NAMED(LIMIT_ID_BYTES), &in->pause_at);
}

void cmd_decode_start(Call *c) {
        Request *r = c->request;
        Slice id = SLICE_NULL;
        check_required(&c->at, "runbookId");
        call_get_string(c, &c->at, "runbookId", LIMIT_NAMED(LIMIT_ID_BYTES), &r->runbook_id);
        call_get_string(c, &c->at, "version", LIMIT_NAMED(LIMIT_ID_BYTES), &r->version);
        if (json_get_string(&c->at, "executionId", &id) &&
            (!uuid_parse(id, &r->input.execution_id) || uuid_is_nil(r->input.execution_id))) {
                JsonAt at = json_at_key(&c->at, "executionId");
                json_at_error(&at, "must be a UUID");
        }
        take_options(c);
        JsonAt context;
        if (json_get_object(&c->at, "context", &context)) {
                check_context(&context);
                if (!call_failed(c))
                        take_context(c, &context);
        } else {
                context = json_at_key(&c->at, "context");
                if (!context.value)
                        json_at_error(&context, "is missing: it says on what legal basis the runbook runs");
        }
        call_get_value(c, &c->at, "input", LIMIT_NAMED(LIMIT_VALUE_BYTES), &r->input.value);
}
