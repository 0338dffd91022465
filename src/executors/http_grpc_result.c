/*
 * A gRPC answer, judged
 *
 *     {"body": …, "headers": {…}, "status": "OK", "trailers": {…}}   and the members of the message beside them
 *
 * The outcome is the grpc-status in the trailers, or, when there is nothing else to say, among the headers. Where none
 * came, the HTTP status stands for it (gRPC's http-grpc-status-mapping), and what HTTP retries is retried. A server
 * may say when to come again (grpc-retry-pushback-ms, a RetryInfo among the details, Retry-After).
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/quote.h"
#include "executors/http_internal.h"

#define TYPE_GRPC "application/grpc"

/** What is known of an answer. */
typedef struct Answer {
        HttpTransfer *transfer;
        size_t n_headers;
        bool has_status;
        GrpcStatus status;
        Slice text;             /* grpc-message, as it came */
        Buf decoded;            /* the same, decoded */
        Buf details_bin;        /* grpc-status-details-bin, decoded */
        int64_t retry_after_ms; /* -1: the server wants no other attempt */
} Answer;

static void answer_deinit(Answer *a) {
        buf_deinit(&a->decoded);
        buf_deinit(&a->details_bin);
}

/* ---- the status ---------------------------------------------------------------------------------------- */

/** The status that stands in @lines, with what belongs to it. False: none does. */
static bool read_status(HttpEngine *e, Answer *a, Buf *lines, size_t *ret_n) {
        if (http_response_headers(e, lines, ret_n) < 0)
                return false;
        Slice status = http_response_header(e, *ret_n, "grpc-status"),
              pushback = http_response_header(e, *ret_n, "grpc-retry-pushback-ms"),
              details = http_response_header(e, *ret_n, "grpc-status-details-bin");
        if (status.n == 0)
                return false;
        if (!grpc_status_parse(status, &a->status))
                a->status = GRPC_UNKNOWN;
        a->has_status = true;
        grpc_message_put(&a->decoded, http_response_header(e, *ret_n, "grpc-message"));
        if (pushback.data)
                a->retry_after_ms = grpc_pushback_ms(pushback, HTTP_RETRY_AFTER_MAX_MS);
        if (!base64_decode(details, &a->details_bin))
                buf_reset(&a->details_bin);
        return true;
}

static void read_answer(HttpEngine *e, Answer *a) {
        size_t n;
        HttpTransfer *t = a->transfer;
        if (!read_status(e, a, &t->tail, &n))
                read_status(e, a, &t->head, &n);
        if (t->status >= 400 && a->retry_after_ms == 0 && http_response_headers(e, &t->head, &n) == 0)
                a->retry_after_ms = http_retry_after_ms(http_response_header(e, n, "retry-after"),
                                                        e->host.clock.now_ms(e->host.clock.userdata));
}

/* ---- details of an error ------------------------------------------------------------------------------- */

static void put_text(void *buf, const char *data, size_t n) { buf_put(buf, data, n); }

/** {"@type": …, the message's members}; "value" in base64 where the descriptors don't know the type. */
static void put_detail(HttpEngine *e, JsonWriter *w, const Answer *a, const GrpcDetail *detail) {
        static const HttpField none[1];
        _cleanup_(buf_deinit) Buf type = {0}, json = {0};
        char why[GRPC_FAULT_MAX];
        const char *slash =
                        memrchr(detail->type_url.data ? detail->type_url.data : "", '/', detail->type_url.n);
        size_t skip = slash ? (size_t)(slash - detail->type_url.data) + 1 : 0;
        buf_put(&type, detail->type_url.data + skip, detail->type_url.n - skip);
        buf_put_char(&type, '\0');
        Slice value = detail->value.data ? detail->value : SLICE("");
        const HttpGrpcTypes *types = a->transfer->call->request.grpc;
        bool known = !type.error &&
                     grpc_codec_decode_type(types->codec, type.data, value.data, value.n,
                                            HTTP_EXCERPT_BYTES_MAX, put_text, &json, why) == 0 &&
                     http_json_canonical(&e->json, buf_slice(&json)) == 0 && e->json.is_object &&
                     http_response_merge(e, none, 0, NULL) == 0;
        json_begin_object(w);
        json_key_slice(w, SLICE("@type"));
        quote_json_lossy(w->buf, detail->type_url);
        w->need_comma = true;
        if (known && e->output.n > 2) { /* without its braces */
                buf_put_char(w->buf, ',');
                buf_put(w->buf, e->output.data + 1, e->output.n - 2);
        } else if (!known) {
                json_key(w, "value");
                buf_put_char(w->buf, '"');
                base64_put(w->buf,
                           (Slice){value.data,
                                   value.n < HTTP_EXCERPT_BYTES_MAX ? value.n : HTTP_EXCERPT_BYTES_MAX});
                buf_put_char(w->buf, '"');
        }
        json_end_object(w);
}

/** e->details: {"details"?: […], "httpStatus"?, "message", "status"}; and what RetryInfo says. */
static void put_details(HttpEngine *e, Answer *a) {
        GrpcDetail details[GRPC_DETAILS_MAX];
        size_t n = 0;
        if (!grpc_details_read(buf_slice(&a->details_bin), details, &n))
                n = 0;
        JsonWriter w = json_writer(&e->details);
        json_begin_object(&w);
        if (n > 0) {
                json_key(&w, "details");
                json_begin_array(&w);
                for (size_t i = 0; i < n; i++) {
                        int64_t ms = grpc_retry_info_ms(&details[i], HTTP_RETRY_AFTER_MAX_MS);
                        if (ms > 0 && a->retry_after_ms == 0)
                                a->retry_after_ms = ms;
                        put_detail(e, &w, a, &details[i]);
                }
                json_end_array(&w);
        }
        if (!a->has_status) {
                json_key(&w, "httpStatus");
                json_put_i64(&w, a->transfer->status);
        }
        json_key(&w, "message");
        quote_json_lossy(&e->details, slice_cut_utf8(buf_slice(&a->decoded), HTTP_EXCERPT_BYTES_MAX));
        w.need_comma = true;
        json_key(&w, "status");
        json_put_str(&w, grpc_status_name(a->status));
        json_end_object(&w);
        if (e->details.error)
                buf_reset(&e->details);
}

static void set_fault(const Answer *a, bool retryable, HttpFault *fault, const char *what) {
        const HttpRequest *r = &a->transfer->call->request;
        char code[32];
        snprintf(code, sizeof(code), "GRPC_%s", grpc_status_name(a->status));
        http_fault_set(fault, code, retryable, "%s %.300s %s", r->method, r->url->source, what);
}

static void fail_with_status(HttpEngine *e, Answer *a, HttpFault *fault) {
        char what[320];
        Slice text = slice_cut_utf8(buf_slice(&a->decoded), 256);
        snprintf(what, sizeof(what), "answered %s%s%.*s", grpc_status_name(a->status), text.n > 0 ? ": " : "",
                 SLICE_ARG(text));
        put_details(e, a);
        set_fault(a, grpc_status_is_retryable(a->status) && a->retry_after_ms >= 0, fault, what);
}

/** No grpc-status: whoever answered may not speak gRPC. */
static void fail_without_status(HttpEngine *e, Answer *a, HttpFault *fault) {
        const HttpTransfer *t = a->transfer;
        char what[128];
        size_t n = 0;
        (void)http_response_headers(e, &a->transfer->head, &n);
        Slice type = http_response_header(e, n, "content-type");
        bool is_grpc = type.n >= strlen(TYPE_GRPC) && !strncasecmp(type.data, TYPE_GRPC, strlen(TYPE_GRPC));
        a->status = t->status == 200 && is_grpc ? GRPC_INTERNAL : grpc_status_of_http(t->status);
        snprintf(what, sizeof(what),
                 t->status == 200 && is_grpc ? "ended its answer without a status"
                 : t->status == 200          ? "answered, but not with gRPC"
                                             : "answered with HTTP status %u",
                 t->status);
        put_details(e, a);
        bool retryable = grpc_status_is_retryable(a->status) || t->status == 408 || t->status == 425 ||
                         t->status >= 500;
        set_fault(a, retryable, fault, what);
}

/* ---- the message --------------------------------------------------------------------------------------- */

static void put_body(HttpEngine *e, JsonWriter *w, const void *answer) {
        json_put_raw(w, buf_slice(&e->json.text));
}

static void put_lines(HttpEngine *e, JsonWriter *w, Buf *lines) {
        size_t n = 0;
        if (http_response_headers(e, lines, &n) < 0 && !w->buf->error)
                w->buf->error = -ENOMEM;
        http_response_put_headers(e, w, n);
}

static void put_headers(HttpEngine *e, JsonWriter *w, const void *answer) {
        put_lines(e, w, &((const Answer *)answer)->transfer->head);
}

static void put_trailers(HttpEngine *e, JsonWriter *w, const void *answer) {
        put_lines(e, w, &((const Answer *)answer)->transfer->tail);
}

static void put_ok(HttpEngine *e, JsonWriter *w, const void *answer) {
        json_put_str(w, grpc_status_name(GRPC_OK));
}

static void make_output(HttpEngine *e, Answer *a, Slice message, HttpFault *fault) {
        static const HttpField fields[] = {{{"body", 4}, put_body},
                                           {{"headers", 7}, put_headers},
                                           {{"status", 6}, put_ok},
                                           {{"trailers", 8}, put_trailers}};
        const HttpRequest *request = &a->transfer->call->request;
        _cleanup_(buf_deinit) Buf json = {0};
        char why[GRPC_FAULT_MAX], what[GRPC_FAULT_MAX + 64];
        int r = grpc_codec_decode(request->grpc->codec, request->grpc_method, message.data, message.n,
                                  LIMIT_VALUE_BYTES, put_text, &json, why);
        if (r == -EINVAL) {
                a->status = GRPC_INTERNAL;
                snprintf(what, sizeof(what), "answered what can't be read: %s", why);
                set_fault(a, false, fault, what);
                return;
        }
        if (r == 0)
                r = json.error;
        if (r == 0)
                r = http_json_canonical(&e->json, buf_slice(&json));
        if (r == -EBADMSG) {
                a->status = GRPC_INTERNAL;
                set_fault(a, false, fault,
                          "answered text that is not UTF-8 or holds NUL, or messages nested too deeply");
                return;
        }
        if (r == 0)
                r = http_response_merge(e, fields, N_ELEMENTS(fields), a);
        if (r == -EFBIG)
                http_fault_set(fault, "RESPONSE_TOO_LARGE", false,
                               "the answer has %zu bytes; the output made of it would pass %d bytes or %d "
                               "fields",
                               message.n, LIMIT_VALUE_BYTES, GRPC_FIELDS_MAX);
        else if (r < 0)
                http_request_no_memory(fault);
}

/* ---- all together -------------------------------------------------------------------------------------- */

static void judge_ok(HttpEngine *e, Answer *a, HttpFault *fault, HttpGrpcVerdict *ret) {
        const char *wrong = grpc_frame_read(buf_slice(&a->transfer->body), &ret->message);
        if (!wrong) {
                make_output(e, a, ret->message, fault);
                return;
        }
        char what[128];
        a->status = GRPC_INTERNAL;
        snprintf(what, sizeof(what), "answered OK, but %s", wrong);
        set_fault(a, false, fault, what);
}

void http_grpc_judge(HttpEngine *e, HttpTransfer *t, HttpFault *fault, HttpGrpcVerdict *ret) {
        _cleanup_(answer_deinit) Answer a = {.transfer = t};
        *ret = (HttpGrpcVerdict){.message = buf_slice(&t->body)};
        if (t->status == 0)
                return;
        read_answer(e, &a);
        /* What the server says weighs more than how the rest of its answer went. */
        bool is_last_word = (a.has_status && a.status != GRPC_OK) || (t->status != 200 && t->in_body);
        if (a.has_status)
                ret->status = grpc_status_name(a.status);
        if (fault->code[0] && !is_last_word)
                return;
        *fault = (HttpFault){0};
        if (!t->is_http2)
                http_fault_set(fault, "PROTOCOL", true,
                               "the server at %.300s does not speak HTTP/2, so not gRPC",
                               t->call->request.url->source);
        else if (!a.has_status)
                fail_without_status(e, &a, fault);
        else if (a.status != GRPC_OK)
                fail_with_status(e, &a, fault);
        else
                judge_ok(e, &a, fault, ret);
        ret->is_targets_fault = fault->code[0] && grpc_status_is_servers(a.status);
        if (fault->retryable && a.retry_after_ms > 0)
                ret->retry_after_ms = a.retry_after_ms;
}
