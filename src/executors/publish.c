/*
 * publish-event
 *
 * One message to <prefix>.<tenant>.out.<subject>, whose Nats-Msg-Id is the step's idempotency key: a stream that
 * takes it takes it once, however often it is sent. The step completes when the server has said that it has the
 * message, and the stream too if one listens there. Who may read `out.` is for the server's permissions to say;
 * that nothing lands outside of the tenant's `out.` is for us.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/quote.h"
#include "executors/errand.h"
#include "executors/publish.h"
#include "json/json_read.h"

#define SHOWN_MAX 120

static Value *config_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

static Value *config_error(const char *format, ...) {
        _cleanup_(buf_deinit) Buf text = {0};
        va_list ap;
        va_start(ap, format);
        buf_vprintf(&text, format, ap);
        va_end(ap);
        return attempt_error("CONFIG_INVALID", false, buf_slice(&text), SLICE_NULL);
}

/* ---- the message ------------------------------------------------------------------------------------------ */

/** Tokens between single dots, without wildcards, blanks and control characters: so it stays below `out.`. */
static bool subject_is_good(Slice s) {
        bool token_is_empty = true;
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                if (c == '.' ? token_is_empty : c <= ' ' || c == 0x7f || c == '*' || c == '>')
                        return false;
                token_is_empty = c == '.';
        }
        return !token_is_empty && s.n <= PUBLISH_SUBJECT_MAX;
}

static Value *write_subject(const ErrandOffice *o, const Task *t, Letter *l) {
        const json_t *subject = json_object_get(value_json(t->config), "subject");
        if (!json_is_string(subject))
                return config_error("config.subject must be a string, is %s", json_type_text(subject));
        Slice s = json_string_slice(subject), shown = slice_cut_utf8(s, SHOWN_MAX);
        if (!subject_is_good(s))
                return config_error("config.subject is \"%.*s\": it must be at most %d bytes, names between "
                                    "single "
                                    "dots, no blanks and no wildcards (* and >)",
                                    SLICE_ARG(shown), PUBLISH_SUBJECT_MAX);
        buf_printf(&l->subject, "%s.", o->prefix);
        quote_token(&l->subject, t->tenant);
        buf_put_str(&l->subject, ".out.");
        buf_put_slice(&l->subject, s);
        return NULL;
}

static void put_header(Letter *l, const char *name, Slice value) {
        l->headers[l->n_headers++] = (OutHeader){slice_from_str(name), value};
}

/** Nats-… headers tell the server what to do with a stream, and the others are ours. */
static bool header_is_reserved(const char *name) {
        return !strncasecmp(name, "nats-", 5) || !strncasecmp(name, "runbook-", 8) ||
               !strcasecmp(name, "traceparent") || !strcasecmp(name, "content-type");
}

static bool header_name_is_good(const char *name) {
        size_t n = strlen(name);
        for (size_t i = 0; i < n; i++)
                if (name[i] <= ' ' || name[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
                        return false;
        return n > 0 && n <= PUBLISH_SUBJECT_MAX;
}

static bool header_value_is_good(Slice v) {
        for (size_t i = 0; i < v.n; i++)
                if ((unsigned char)v.data[i] < ' ' || v.data[i] == 0x7f)
                        return false;
        return v.n <= PUBLISH_HEADER_BYTES_MAX;
}

static Value *write_own_headers(const Task *t, Letter *l) {
        json_t *headers = json_object_get(value_json(t->config), "headers"), *value;
        const char *name;
        if (!headers || json_is_null(headers))
                return NULL;
        if (!json_is_object(headers))
                return config_error("config.headers must be an object, is %s", json_type_text(headers));
        if (json_object_size(headers) > PUBLISH_HEADERS_MAX)
                return config_error("config.headers has %zu headers, more than %d", json_object_size(headers),
                                    PUBLISH_HEADERS_MAX);
        json_object_foreach(headers, name, value) {
                Slice shown = slice_cut_utf8(slice_from_str(name), SHOWN_MAX);
                if (header_is_reserved(name) || !header_name_is_good(name))
                        return config_error(
                                        "config.headers: \"%.*s\" can't be set: names are plain ASCII, and "
                                        "Nats-…, Runbook-…, traceparent and Content-Type are the engine's",
                                        SLICE_ARG(shown));
                if (!json_is_string(value) || !header_value_is_good(json_string_slice(value)))
                        return config_error("config.headers: the value of \"%.*s\" must be a string of at "
                                            "most %d "
                                            "bytes without control characters",
                                            SLICE_ARG(shown), PUBLISH_HEADER_BYTES_MAX);
                put_header(l, name, json_string_slice(value));
        }
        return NULL;
}

static Value *write(ErrandOffice *o, Errand *e, Letter *l) {
        const Task *t = e->task;
        const json_t *payload = json_object_get(value_json(t->config), "payload");
        char id[UUID_TEXT_SIZE + 1];
        Value *error = write_subject(o, t, l);
        if (!error)
                error = write_own_headers(t, l);
        if (error)
                return error;
        uuid_format(t->execution_id, id);
        buf_put(&l->text, id, sizeof(id));
        put_header(l, "Content-Type", SLICE("application/json"));
        if (t->traceparent.n > 0)
                put_header(l, "traceparent", t->traceparent);
        if (!l->text.error) /* else the letter is not sent */
                put_header(l, "Runbook-Execution-Id", (Slice){l->text.data, UUID_TEXT_SIZE});
        put_header(l, "Runbook-Step-Path", t->step_path);
        buf_put_str(&l->id, t->idempotency_key);
        if (payload) {
                JsonWriter w = json_writer(&l->payload);
                json_put_tree(&w, payload);
        } else {
                buf_put_slice(&l->payload, t->input ? value_bytes(t->input) : SLICE("null"));
        }
        return NULL;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static bool confirmed(ErrandOffice *o, Errand *e, const OutReceipt *receipt, TaskResult *ret) {
        const json_t *subject = json_object_get(value_json(e->task->config), "subject");
        _cleanup_(buf_deinit) Buf b = {0}, full = {0};
        buf_printf(&full, "%s.", o->prefix);
        quote_token(&full, e->task->tenant);
        buf_put_str(&full, ".out.");
        buf_put_slice(&full, json_string_slice(subject));
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        if (receipt->stream.n > 0) {
                json_key(&w, "duplicate");
                json_put_bool(&w, receipt->is_duplicate);
        }
        json_key(&w, "messageId");
        json_put_str(&w, e->task->idempotency_key);
        if (receipt->stream.n > 0) {
                json_key(&w, "sequence");
                json_put_i64(&w, (int64_t)receipt->stream_seq);
                json_key(&w, "stream");
                json_put_string(&w, receipt->stream);
        }
        json_key(&w, "subject");
        json_put_string(&w, buf_slice(&full));
        json_end_object(&w);
        ret->output = full.error ? NULL : attempt_take_value(&b);
        ret->ok = ret->output != NULL;
        return true;
}

static Value *time_out(ErrandOffice *o, Errand *e) {
        _cleanup_(buf_deinit) Buf text = {0};
        buf_printf(&text, "the message could not be published within %lld ms: %s", (long long)e->timeout_ms,
                   e->reason[0] ? e->reason : "the NATS server has not confirmed it");
        return attempt_error("TIMEOUT", true, buf_slice(&text), SLICE_NULL);
}

static const ErrandKind publish_kind = {.name = "publish",
                                        .size = sizeof(Errand),
                                        .write = write,
                                        .confirmed = confirmed,
                                        .time_out = time_out};

static void stop(Executor *executor) {
        ErrandOffice *o = (ErrandOffice *)executor;
        errand_office_deinit(o);
        free(o);
}

static const ExecutorVtable vtable = {.name = "publish",
                                      .submit = errand_submit,
                                      .cancel = errand_cancel,
                                      .n_open = errand_n_open,
                                      .stop = stop};

int publish_executor_new(const char *prefix, const ExecutorHost *host, const Outlet *outlet, Executor **ret) {
        ErrandOffice *o = calloc(1, sizeof(*o));
        if (!o)
                return -ENOMEM;
        o->executor.vtable = &vtable;
        int r = errand_office_init(o, &publish_kind, host, outlet, prefix, PUBLISH_TIMEOUT_DEFAULT_MS);
        if (r < 0) {
                stop(&o->executor);
                return r;
        }
        *ret = &o->executor;
        return 0;
}
