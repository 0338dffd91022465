/*
 * Reading one checkpoint: a CloudEvent around a statement that the engine signed.
 *
 * The form is checked to the letter, since whoever forges one chooses every byte: base64 in its one right
 * form, hashes in lower case, ids that are ids, a chain at most once. Members that we don't know are let
 * through, as the signature and the seal cover them too.
 *
 * What is signed is the canonical form of the statement (RFC 8785), made anew from the tree, so that a
 * checkpoint may be kept with other blanks than it was sent with.
 */

#include <errno.h>
#include <stdlib.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/map.h"
#include "client/checkpoint_event.h"
#include "client/client_error.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define TIME_TEXT_MAX 40

static const char engine_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void checkpoint_event_deinit(CheckpointEvent *c) {
        json_decref(c->json);
        free(c->heads);
        *c = (CheckpointEvent){0};
}

/* ── Members ───────────────────────────────────────────────────────────────────────────────────── */

/** Member @key is exactly @n_bytes in base64, padded, without blanks or stray bits. */
static bool get_base64(const JsonAt *object, const char *key, void *ret, size_t n_bytes) {
        _cleanup_(buf_deinit) Buf bytes = {0}, again = {0};
        JsonAt at = json_at_key(object, key);
        Slice text;

        if (!json_get_string_required(object, key, &text))
                return false;
        if (text.n <= (n_bytes + 2) / 3 * 4 && base64_decode(text, &bytes) && bytes.n == n_bytes) {
                base64_put(&again, buf_slice(&bytes));
                if (slice_eq(buf_slice(&again), text)) {
                        memcpy(ret, bytes.data, n_bytes);
                        return true;
                }
        }
        object->report->oom |= bytes.error || again.error;
        json_at_error(&at, "must be %zu bytes in base64", n_bytes);
        return false;
}

static bool get_digest(const JsonAt *object, const char *key, Digest *ret) {
        char again[DIGEST_TEXT_SIZE + 1];
        JsonAt at = json_at_key(object, key);
        Slice text;

        if (!json_get_string_required(object, key, &text))
                return false;
        if (digest_parse(text, ret)) {
                digest_format(ret, again);
                if (slice_eq_str(text, again))
                        return true;
        }
        json_at_error(&at, "must be 64 hex digits in lower case");
        return false;
}

static bool get_sequence(const JsonAt *object, const char *key, int64_t *ret) {
        JsonAt at = json_at_key(object, key);

        if (!at.value)
                json_at_error(&at, "is required, and must be a whole number");
        return json_get_i64(object, key, 1, EVENT_SEQUENCE_MAX, ret) && at.value;
}

static bool get_time(const JsonAt *object, const char *key, Slice *ret_text, int64_t *ret_ms) {
        JsonAt at = json_at_key(object, key);

        if (!json_get_string_required(object, key, ret_text))
                return false;
        if (ret_text->n <= TIME_TEXT_MAX && time_parse_ms(*ret_text, ret_ms))
                return true;
        json_at_error(&at, "must be a time (RFC 3339)");
        return false;
}

static bool get_engine(const JsonAt *object, const char *key, Slice *ret) {
        JsonAt at = json_at_key(object, key);

        if (!json_get_string_required(object, key, ret))
                return false;
        if (ret->n > 0 && ret->n <= CHECKPOINT_ENGINE_MAX && strspn(ret->data, engine_bytes) >= ret->n)
                return true;
        json_at_error(&at, "must be an engine's id");
        return false;
}

/** A required object or array; the typed getters take what is absent for optional. */
static bool get_required(const JsonAt *object, const char *key, bool is_array, JsonAt *ret) {
        *ret = json_at_key(object, key);
        if (!ret->value) {
                json_at_error(ret, "is required, and must be an %s", is_array ? "array" : "object");
                return false;
        }
        return is_array ? json_get_array(object, key, ret) : json_get_object(object, key, ret);
}

/** Member @key is exactly @wanted. */
static bool check_text(const JsonAt *object, const char *key, const char *wanted) {
        JsonAt at = json_at_key(object, key);
        Slice text;

        if (!json_get_string_required(object, key, &text))
                return false;
        if (slice_eq_str(text, wanted))
                return true;
        json_at_error(&at, "must be \"%s\"", wanted);
        return false;
}

/* ── Heads ─────────────────────────────────────────────────────────────────────────────────────── */

static bool read_head(const JsonAt *at, CheckpointHead *ret) {
        JsonAt id_at = json_at_key(at, "id");
        Slice id, tenant;

        if (!json_is_object(at->value)) {
                json_at_error(at, "must be an object, is %s", json_type_text(at->value));
                return false;
        }
        if (!json_get_string_required(at, "id", &id) || !json_get_string_required(at, "tenant", &tenant) ||
            !get_sequence(at, "sequence", &ret->sequence) || !get_digest(at, "hash", &ret->hash))
                return false;
        if (uuid_parse(id, &ret->id))
                return true;
        json_at_error(&id_at, "must be a UUID");
        return false;
}

/** 0, RUNBOOK_CHECKPOINT_MALFORMED (reported), or RUNBOOK_CLIENT_E_MEMORY. */
static int read_heads(const JsonAt *array, CheckpointEvent *c) {
        size_t n = json_array_size(array->value);
        Map seen = {0};
        int r = 0;

        if (n > CHECKPOINT_HEADS_MAX) {
                json_at_error(array, "has %zu heads, at most %d are allowed", n, CHECKPOINT_HEADS_MAX);
                return RUNBOOK_CHECKPOINT_MALFORMED;
        }
        c->heads = calloc(n + 1, sizeof *c->heads);
        if (!c->heads)
                return RUNBOOK_CLIENT_E_MEMORY;
        for (size_t i = 0; r == 0 && i < n; i++) {
                JsonAt at = json_at_index(array, i);
                CheckpointHead *head = &c->heads[i];

                if (!read_head(&at, head)) {
                        r = RUNBOOK_CHECKPOINT_MALFORMED;
                        break;
                }
                r = map_put(&seen, uuid_slice(&head->id), head);
                if (r == 1) {
                        json_at_error(&at, "this chain is there already");
                        r = RUNBOOK_CHECKPOINT_MALFORMED;
                } else if (r < 0) {
                        r = RUNBOOK_CLIENT_E_MEMORY;
                }
                c->n_heads = i + 1;
        }
        map_deinit(&seen);
        return r;
}

/* ── The whole ─────────────────────────────────────────────────────────────────────────────────── */

/** Does the event around the statement say the same? Its id, subject and source name the engine and the
 * number. */
static bool event_agrees(const JsonAt *root, const CheckpointEvent *c, Slice time, const JsonAt *statement) {
        static const char *const named[] = {"subject", "id", "source"};
        char wanted[3][CHECKPOINT_ENGINE_MAX + 32];
        Slice signed_time = SLICE_NULL;
        int64_t sequence = 0, ignored_ms;
        Digest prevhash;

        snprintf(wanted[0], sizeof wanted[0], "%.*s", SLICE_ARG(c->engine));
        snprintf(wanted[1], sizeof wanted[1], "%.*s/%lld", SLICE_ARG(c->engine), (long long)c->sequence);
        snprintf(wanted[2], sizeof wanted[2], "runbookd/%.*s", SLICE_ARG(c->engine));
        for (size_t i = 0; i < N_ELEMENTS(named); i++) {
                const json_t *value = json_object_get(root->value, named[i]);

                if (!json_is_string(value) || !slice_eq_str(json_string_slice(value), wanted[i]))
                        return false;
        }
        return get_sequence(root, "sequence", &sequence) && sequence == c->sequence &&
               get_digest(root, "prevhash", &prevhash) && digest_eq(&prevhash, &c->prevhash) &&
               get_time(statement, "time", &signed_time, &ignored_ms) && slice_eq(time, signed_time);
}

/** Where things are; each points to the one it is in. */
typedef struct Places {
        JsonAt root, data, statement, heads;
} Places;

/** Everything but the heads. The engine, its number and the link are the statement's: that is what is signed.
 * */
static bool read_members(Places *at, CheckpointEvent *c) {
        const JsonAt *root = &at->root, *data = &at->data, *statement = &at->statement;
        Slice time, signed_time;
        int64_t sequence, ignored_ms;
        Digest prevhash;
        bool good = check_text(root, "type", "runbook.checkpoint") &&
                    check_text(root, "specversion", "1.0") &&
                    check_text(root, "datacontenttype", "application/json") &&
                    get_sequence(root, "sequence", &sequence) && get_time(root, "time", &time, &ignored_ms) &&
                    get_digest(root, "prevhash", &prevhash) && get_digest(root, "hash", &c->claimed) &&
                    get_required(root, "data", false, &at->data) &&
                    check_text(data, "algorithm", "Ed25519") &&
                    get_base64(data, "publicKey", c->key, sizeof c->key) &&
                    get_base64(data, "signature", c->signature, sizeof c->signature) &&
                    get_required(data, "statement", false, &at->statement) &&
                    get_engine(statement, "engine", &c->engine) &&
                    get_sequence(statement, "sequence", &c->sequence) &&
                    get_time(statement, "time", &signed_time, &c->time_ms) &&
                    get_digest(statement, "prevhash", &c->prevhash) &&
                    get_required(statement, "heads", true, &at->heads);

        if (!good)
                return false;
        c->statement = statement->value;
        c->agrees = event_agrees(root, c, time, statement);
        return true;
}

int checkpoint_event_read(Slice text, CheckpointEvent *c, RunbookClientError *e) {
        _cleanup_(report_deinit) Report report = {0};
        Places at = {0};
        int r = RUNBOOK_CHECKPOINT_MALFORMED;

        c->json = json_parse(text, RUNBOOK_CHECKPOINT_BYTES_MAX, &report);
        if (!c->json && !report.message)
                return client_error_memory(e);
        at.root = json_at_root(c->json, &report);
        if (c->json && !json_is_object(c->json))
                json_at_error(&at.root, "must be an object, is %s", json_type_text(c->json));
        else if (c->json && read_members(&at, c))
                r = read_heads(&at.heads, c);
        if (report.oom)
                r = RUNBOOK_CLIENT_E_MEMORY;
        if (r == 0 && event_digest(c->json, &c->content) < 0)
                r = RUNBOOK_CLIENT_E_MEMORY;
        if (r == RUNBOOK_CHECKPOINT_MALFORMED)
                return client_error_set(e, r, "not a checkpoint: %s%s%s",
                                        report.n_details ? report.details[0].path : "",
                                        report.n_details && *report.details[0].path ? ": " : "",
                                        report.n_details ? report.details[0].message : report.message);
        return r < 0 ? client_error_memory(e) : 0;
}

/* ── The signature ─────────────────────────────────────────────────────────────────────────────── */

int checkpoint_event_is_signed(const CheckpointEvent *c) {
        _cleanup_(buf_deinit) Buf statement = {0};
        int r = json_canonical(c->statement, &statement);

        if (r == 0)
                r = signature_check(c->key, buf_slice(&statement), c->signature);
        return r == 0 ? 1 : r == -EBADMSG ? 0 : RUNBOOK_CLIENT_E_MEMORY;
}

bool checkpoint_key_parse(Slice text, uint8_t ret[SIGNATURE_KEY_SIZE]) {
        _cleanup_(buf_deinit) Buf bytes = {.limit = 2 * SIGNATURE_KEY_SIZE};

        if (!base64_decode(text, &bytes) || bytes.n != SIGNATURE_KEY_SIZE)
                return false;
        memcpy(ret, bytes.data, SIGNATURE_KEY_SIZE);
        return true;
}

void checkpoint_key_format(const uint8_t key[SIGNATURE_KEY_SIZE], char ret[CHECKPOINT_KEY_TEXT_SIZE + 1]) {
        _cleanup_(buf_deinit) Buf text = {0};

        base64_put(&text, slice_from_bytes(key, SIGNATURE_KEY_SIZE));
        ret[0] = 0;
        if (text.n == CHECKPOINT_KEY_TEXT_SIZE) {
                memcpy(ret, text.data, text.n);
                ret[text.n] = 0;
        }
}
