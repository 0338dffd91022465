/*
 * A finished attempt as a task result
 *
 * Judges the status, and writes output or error, evidence and log, each straight as canonical JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/quote.h"
#include "executors/http_internal.h"
#include "json/json_write.h"

#define NS_PER_MS 1000000LL

typedef struct Outcome {
        const HttpCall *call;
        HttpFault *fault;  /* code "": none so far */
        int64_t duration_ms;
        uint16_t status;   /* 0: no response */
        Slice body;        /* as received */
        const char *grpc_status; /* a gRPC call's; NULL: none came, or plain HTTP */
        bool is_targets_fault;   /* gRPC: the status says so */
        const char *warning;
} Outcome;

/* ---- the status ---------------------------------------------------------------------------------------- */

static bool is_expected(const HttpRequest *r, uint16_t status) {
        for (uint32_t i = 0; i < r->n_expect; i++)
                if (status >= r->expect[i].from && status <= r->expect[i].to)
                        return true;
        return false;
}

static bool is_retryable_status(uint16_t status) {
        return status == 408 || status == 425 || status == 429 || status >= 500;
}

static void put_expected(const HttpRequest *r, char *text, size_t size) {
        size_t n = 0;
        text[0] = 0;
        for (uint32_t i = 0; i < r->n_expect && n < size; i++) {
                const HttpStatusRange *range = &r->expect[i];
                const char *comma = i > 0 ? ", " : "";
                int written = range->from == range->to
                                              ? snprintf(text + n, size - n, "%s%u", comma, range->from)
                                              : snprintf(text + n, size - n, "%s%uxx", comma,
                                                         range->from / 100);
                n += written > 0 ? (size_t)written : 0;
        }
}

static void judge_status(const HttpCall *c, uint16_t status, HttpFault *fault) {
        const HttpRequest *r = &c->request;
        char code[16], expected[128];
        snprintf(code, sizeof(code), "HTTP_%u", status);
        put_expected(r, expected, sizeof(expected));
        http_fault_set(fault, code, is_retryable_status(status), "%s %.300s answered %u, expected was %s%s",
                       r->method, r->url->source, status, expected,
                       status >= 300 && status < 400 ? "; redirects are not followed" : "");
}

/* ---- parts of the result ------------------------------------------------------------------------------- */

static void put_lossy(JsonWriter *w, Slice text) {
        quote_json_lossy(w->buf, text); /* always after a key */
        w->need_comma = true;
}

static Value *take(Buf *b) {
        Value *v = b->error ? NULL : value_new_bytes(buf_slice(b));
        buf_reset(b);
        return v;
}

static Buf *fresh(HttpEngine *e) {
        buf_reset(&e->output);
        e->output.limit = 0;
        return &e->output;
}

static Value *make_error(HttpEngine *e, const Outcome *o) {
        Buf *b = fresh(e);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_str(&w, o->fault->code);
        if (o->call->request.grpc && e->details.n > 0) {
                json_key(&w, "details");
                json_put_raw(&w, buf_slice(&e->details));
        } else if (o->status != 0 && !o->call->request.grpc) {
                json_key(&w, "details");
                json_begin_object(&w);
                json_key(&w, "body");
                put_lossy(&w, slice_cut_utf8(o->body, HTTP_EXCERPT_BYTES_MAX));
                json_key(&w, "status");
                json_put_i64(&w, o->status);
                json_end_object(&w);
        }
        json_key(&w, "message");
        put_lossy(&w, slice_from_str(o->fault->message));
        json_key(&w, "retryable");
        json_put_bool(&w, o->fault->retryable);
        json_end_object(&w);
        Value *v = take(b);
        return v ? v : value_ref(e->out_of_memory);
}

/** "POST https://host/path" at the start of e->aside. */
static void begin_source(HttpEngine *e, const HttpRequest *r) {
        buf_reset(&e->aside);
        buf_put_str(&e->aside, r->method);
        buf_put_char(&e->aside, ' ');
        buf_put_str(&e->aside, r->url->source);
}

static void put_status(JsonWriter *w, const Outcome *o) {
        if (o->status == 0)
                return;
        json_key(w, "status");
        if (o->grpc_status)
                json_put_str(w, o->grpc_status);
        else
                json_put_i64(w, o->status);
}

static void put_exchange(JsonWriter *w, const Outcome *o, Slice response_digest) {
        char request_digest[DIGEST_TEXT_SIZE + 1];
        digest_format(&o->call->request.digest, request_digest);
        json_begin_object(w);
        json_key(w, "attempt");
        json_put_i64(w, o->call->task->attempt);
        json_key(w, "durationMs");
        json_put_i64(w, o->duration_ms);
        if (o->fault->code[0]) {
                json_key(w, "error");
                json_put_str(w, o->fault->code);
        }
        json_key(w, "requestSha256");
        json_put_string(w, (Slice){request_digest, DIGEST_TEXT_SIZE});
        json_key(w, "responseBytes");
        json_put_i64(w, (int64_t)o->body.n);
        json_key(w, "responseSha256");
        json_put_string(w, response_digest);
        put_status(w, o);
        json_end_object(w);
}

static Value *make_evidence(HttpEngine *e, const Outcome *o) {
        Digest digest;
        char text[DIGEST_TEXT_SIZE + 1];
        if (digest_slice(o->body, &digest) < 0)
                return NULL;
        digest_format(&digest, text);
        Slice digest_text = {text, DIGEST_TEXT_SIZE};
        Buf *b = fresh(e);
        JsonWriter w = json_writer(b);
        begin_source(e, &o->call->request);
        json_begin_array(&w);
        json_begin_object(&w);
        json_key(&w, "confidence");
        json_put_i64(&w, 1);
        json_key(&w, "sha256");
        json_put_string(&w, digest_text);
        json_key(&w, "sourceRef");
        put_lossy(&w, buf_slice(&e->aside));
        json_key(&w, "type");
        json_put_str(&w, o->call->request.grpc ? "grpc-exchange" : "http-exchange");
        json_key(&w, "value");
        put_exchange(&w, o, digest_text);
        json_end_object(&w);
        json_end_array(&w);
        return take(b);
}

static void put_log(JsonWriter *w, const Outcome *o, bool warn, Slice message) {
        json_begin_object(w);
        json_key(w, "level");
        json_put_string(w, warn ? SLICE("warn") : SLICE("info"));
        json_key(w, "message");
        put_lossy(w, message);
        json_key(w, "metadata");
        json_begin_object(w);
        json_key(w, "attempt");
        json_put_i64(w, o->call->task->attempt);
        if (o->fault->code[0]) {
                json_key(w, "code");
                json_put_str(w, o->fault->code);
        }
        json_key(w, "durationMs");
        json_put_i64(w, o->duration_ms);
        json_key(w, "requestBytes");
        json_put_i64(w, (int64_t)o->call->request.body.n);
        json_key(w, "responseBytes");
        json_put_i64(w, (int64_t)o->body.n);
        put_status(w, o);
        json_end_object(w);
        json_end_object(w);
}

static Value *make_logs(HttpEngine *e, const Outcome *o) {
        bool failed = o->fault->code[0] != 0;
        Buf *b = fresh(e), *message = &e->aside;
        buf_reset(message);
        if (o->call->request.url) {
                begin_source(e, &o->call->request);
                buf_put_str(message, o->status ? " → " : " ");
        }
        if (o->grpc_status)
                buf_put_str(message, o->grpc_status);
        else if (o->status != 0)
                buf_put_decimal(message, o->status);
        else
                buf_put_str(message, "failed");
        buf_put_str(message, failed && o->status == 0 ? " after " : " in ");
        buf_put_decimal(message, o->duration_ms);
        buf_put_str(message, " ms");
        if (failed && strncmp(o->fault->code, "HTTP_", 5) != 0) {
                buf_put_str(message, ": ");
                buf_put_str(message, o->fault->message);
        }
        JsonWriter w = json_writer(b);
        json_begin_array(&w);
        put_log(&w, o, failed, buf_slice(message));
        if (o->warning)
                put_log(&w, o, true, slice_from_str(o->warning));
        json_end_array(&w);
        return message->error ? NULL : take(b);
}

/* ---- what it says of the target ------------------------------------------------------------------------ */

/** For circuit breakers: is it the target that failed? A refusal of this one request (4xx) is an answer. */
static BreakerOutcome outcome_of(const HttpCall *c, const Outcome *o) {
        static const char *const of_target[] = {"CONNECT",   "DNS",     "PROTOCOL", "RESET",
                                                "TIMEOUT",   "TLS",     "TOO_SLOW", "TRANSPORT"};
        if (!c->transfer)
                return BREAKER_NEITHER;
        if (!o->fault->code[0] || !strcmp(o->fault->code, "RESPONSE_TOO_LARGE"))
                return BREAKER_SUCCESS;
        if (!strncmp(o->fault->code, "GRPC_", 5))
                return o->is_targets_fault ? BREAKER_FAILURE : BREAKER_SUCCESS;
        if (!strncmp(o->fault->code, "HTTP_", 5))
                return o->status >= 500 ? BREAKER_FAILURE : BREAKER_SUCCESS;
        for (size_t i = 0; i < sizeof(of_target) / sizeof(of_target[0]); i++)
                if (!strcmp(o->fault->code, of_target[i]))
                        return BREAKER_FAILURE;
        return BREAKER_NEITHER;
}

/* ---- the result ---------------------------------------------------------------------------------------- */

/** There was a response: is it what was wanted? The output if so, else NULL with the fault set. */
static Value *judge(HttpEngine *e, Outcome *o, int64_t *ret_retry_after_ms) {
        HttpTransfer *t = o->call->transfer;
        size_t n_headers;
        int r = http_response_headers(e, &t->head, &n_headers);
        if (r == 0 && !is_expected(&o->call->request, o->status)) {
                judge_status(o->call, o->status, o->fault);
                if (o->fault->retryable)
                        *ret_retry_after_ms =
                                        http_retry_after_ms(http_response_header(e, n_headers, "retry-after"),
                                                            e->host.clock.now_ms(e->host.clock.userdata));
                return NULL;
        }
        if (r == 0)
                r = http_response_output(e, t, n_headers, &o->warning);
        if (r == -EFBIG)
                http_fault_set(o->fault, "RESPONSE_TOO_LARGE", false,
                               "the answer has %zu bytes; the output made of it would pass %d "
                               "(LIMIT_VALUE_BYTES)",
                               t->body.n, LIMIT_VALUE_BYTES);
        Value *output = r == 0 ? take(&e->output) : NULL;
        if (!output && r != -EFBIG)
                http_fault_set(o->fault, "OUT_OF_MEMORY", true, "there was not enough memory for the answer");
        return output;
}

static Value *judge_grpc(HttpEngine *e, Outcome *o, int64_t *ret_retry_after_ms) {
        HttpGrpcVerdict verdict;
        http_grpc_judge(e, o->call->transfer, o->fault, &verdict);
        o->status = o->call->transfer->status;
        o->body = verdict.message;
        o->grpc_status = verdict.status;
        o->is_targets_fault = verdict.is_targets_fault;
        *ret_retry_after_ms = verdict.retry_after_ms;
        Value *output = o->fault->code[0] ? NULL : take(&e->output);
        if (!output && !o->fault->code[0])
                http_request_no_memory(o->fault);
        return output;
}

/* ---- large results, until they are committed -------------------------------------------------------------- */

typedef struct Unsettled {
        HttpEngine *engine;
        uint64_t n_bytes;
} Unsettled;

static void on_settled(void *userdata, bool committed) {
        Unsettled *u = userdata;
        __atomic_sub_fetch(&u->engine->answers_bytes, u->n_bytes, __ATOMIC_RELAXED);
        free(u);
}

/** Without memory for it, it is not counted: nothing depends on it but a limit. */
static void count_result(HttpEngine *e, TaskResult *r) {
        size_t n = value_weight(r->output);
        Unsettled *u = n > HTTP_SETTLED_FROM ? malloc(sizeof(*u)) : NULL;
        if (!u)
                return;
        *u = (Unsettled){e, n};
        __atomic_add_fetch(&e->answers_bytes, n, __ATOMIC_RELAXED);
        r->settled = on_settled;
        r->settled_userdata = u;
}

void http_result_post(HttpEngine *e, HttpCall *c, HttpFault *fault) {
        const HttpTransfer *t = c->transfer;
        Outcome o = {.call = c,
                     .fault = fault,
                     .duration_ms = (e->now_ns - (t ? c->start_ns : c->submit_ns)) / NS_PER_MS};
        TaskResult result = {.execution_id = c->task->execution_id,
                             .instance = c->task->instance,
                             .attempt = c->task->attempt,
                             .retry_after_ms = fault->retry_after_ms};
        buf_reset(&e->details);
        if (t && c->request.grpc) {
                result.output = judge_grpc(e, &o, &result.retry_after_ms);
        } else if (t) {
                o.status = t->status;
                o.body = buf_slice(&t->body);
                /* What the status says weighs more than how the rest of its body went. */
                bool has_verdict = t->in_body && !is_expected(&c->request, t->status);
                if (!fault->code[0] || has_verdict)
                        result.output = judge(e, &o, &result.retry_after_ms);
        }
        result.ok = result.output != NULL;
        c->outcome = outcome_of(c, &o);
        if (!result.ok)
                result.error = make_error(e, &o);
        result.logs = make_logs(e, &o);
        if (t)
                result.evidence = make_evidence(e, &o);
        count_result(e, &result);
        e->host.post_result(e->host.userdata, &result);
}
