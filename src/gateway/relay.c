/*
 * From HTTP to NATS and back
 *
 * A request becomes a message on `<prefix>.<tenant>.<family>.<user>.<verb>.<names of the path…>`: tenant and user are
 * the authenticated ones, each one token, so no request can speak for anybody else. The engine decides, also
 * about what the body claims; its answer goes back as it is. The connection sleeps meanwhile, no thread waits.
 */

#include "base/cleanup.h"
#include "client/subject.h"
#include "gateway/relay.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define COMMAND_ID_MAX 256 /* bytes of an Idempotency-Key, as of a Nats-Msg-Id */

/* ---- the message -------------------------------------------------------------------- */

typedef enum ParamKind { PARAM_BOOL, PARAM_NUMBER } ParamKind;

/* Parameters whose members in the query are no strings. */
static const struct {
        const char *name;
        ParamKind kind;
} typed_params[] = {{"after", PARAM_NUMBER},
                    {"events", PARAM_BOOL},
                    {"limit", PARAM_NUMBER},
                    {"steps", PARAM_BOOL}};

static void put_param(JsonWriter *w, const UriParam *p) {
        uint64_t n;

        json_key_slice(w, p->name);
        for (size_t i = 0; i < N_ELEMENTS(typed_params); i++) {
                if (!slice_eq_str(p->name, typed_params[i].name))
                        continue;
                if (typed_params[i].kind == PARAM_NUMBER && slice_to_u64(p->value, &n) && n <= INT64_MAX) {
                        json_put_i64(w, (int64_t)n);
                        return;
                }
                if (typed_params[i].kind == PARAM_BOOL &&
                    (slice_eq_str(p->value, "true") || slice_eq_str(p->value, "false"))) {
                        json_put_bool(w, p->value.n == 4);
                        return;
                }
        }
        json_put_string(w, p->value); /* of the wrong type perhaps: the engine says so at its place */
}

/** The query's body: the parameters as members. */
static void put_params(Request *r, Buf *body) {
        JsonWriter w = json_writer(body);

        json_begin_object(&w);
        if (r->route->finish == finish_stats) { /* only what it shows */
                json_key(&w, "steps");
                json_put_bool(&w, false);
        }
        for (size_t i = 0; i < r->uri.n_params; i++)
                put_param(&w, &r->uri.params[i]);
        json_end_object(&w);
}

static void put_subject(const Request *r, Buf *b) {
        const Identity *who = &r->identity;

        buf_put_str(b, r->gateway->settings.subject_prefix);
        buf_put_char(b, '.');
        subject_put_token(b, slice_from_str(who->tenant));
        buf_put_char(b, '.');
        buf_put_str(b, r->route->family);
        buf_put_char(b, '.');
        subject_put_token(b, slice_from_str(who->user));
        buf_put_char(b, '.');
}

/** The request's headers that travel on. False: one of them is refused. */
static bool take_headers(Request *r, RunbookHeader headers[2], size_t *ret_n,
                         char id[RUNBOOK_CLIENT_ID_SIZE]) {
        const char *trace = request_header(r, "traceparent"), *key = request_header(r, "Idempotency-Key");

        *ret_n = 0;
        if (trace && strlen(trace) <= 128)
                headers[(*ret_n)++] = (RunbookHeader){"traceparent", trace};
        if (!strcmp(r->route->family, "query"))
                return true;
        if (key) {
                size_t n = strlen(key);

                for (size_t i = 0; i < n; i++)
                        if (key[i] < 0x20 || key[i] == 0x7f)
                                n = 0;
                if (n == 0 || n > COMMAND_ID_MAX) {
                        reply_error(r, RUNBOOK_INVALID_REQUEST, 0,
                                    "the header Idempotency-Key must have 1 to %d printable ASCII characters",
                                    COMMAND_ID_MAX);
                        return false;
                }
        } else if (r->body.n > 0 && memmem(r->body.data, r->body.n, "\"commandId\"", 11)) {
                return true; /* the body may hold an id of its own, which a header would override */
        } else {
                runbook_new_id(id);
                key = id;
        }
        headers[(*ret_n)++] = (RunbookHeader){"Nats-Msg-Id", key};
        return true;
}

/* ---- the answer --------------------------------------------------------------------- */

/** No answer could be had: @status says why. */
static void reply_failure(Request *r, int status, const RunbookClientError *e) {
        switch (status) {
        case RUNBOOK_CLIENT_E_TIMEOUT:
                if (!strcmp(r->route->family, "query"))
                        reply_error(r, RUNBOOK_UNAVAILABLE, 0, "the engine did not answer in time");
                else
                        reply_error(r, RUNBOOK_UNAVAILABLE, 0,
                                    "the engine did not answer in time; the command may have been carried "
                                    "out: "
                                    "sent again with the same Idempotency-Key it is not done twice");
                break;
        case RUNBOOK_CLIENT_E_NO_ENGINE:
                reply_error(r, RUNBOOK_UNAVAILABLE, 0, "no engine is answering: is runbookd running?");
                break;
        case RUNBOOK_CLIENT_E_TOO_LARGE:
                reply_error(r, RUNBOOK_TOO_LARGE, 0, "%s", e->message);
                break;
        case RUNBOOK_CLIENT_E_MEMORY:
                reply_memory(r);
                break;
        case RUNBOOK_CLIENT_E_PERMISSION:
                reply_error(r, RUNBOOK_INTERNAL, 0, "%s", e->message);
                break;
        default:
                reply_error(r, RUNBOOK_UNAVAILABLE, 0, "%s", e->message);
        }
}

void relay_pass(Request *r, int status, LinkAnswer *answer) {
        Buf body = {.data = STEAL(answer->body), .n = answer->body_size, .cap = answer->body_size + 1};

        reply_json(r, status, &body);
        if (r->route->method == METHOD_GET)
                reply_etag(r);
}

/** The HTTP status of a refusal; 0: it is none. */
static int refusal_status(const LinkAnswer *answer) {
        uint64_t status;

        if (!answer->error_code && !answer->error_text)
                return 0;
        if (!answer->error_code || !slice_to_u64(slice_from_str(answer->error_code), &status) ||
            status < 400 || status > 599)
                return 500;
        return (int)status;
}

void relay_answer(Request *r, int status, LinkAnswer *answer, const RunbookClientError *e) {
        int refusal = status == 0 ? refusal_status(answer) : 0;

        if (status != 0) {
                reply_failure(r, status, e);
        } else if (refusal) {
                if (refusal == 429 || refusal == 503)
                        reply_header(r, "Retry-After", "1");
                relay_pass(r, refusal, answer);
        } else if (r->route->finish) {
                r->route->finish(r, answer);
        } else {
                relay_pass(r, r->route->status, answer);
        }
}

static void on_answer(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Request *r = userdata;

        relay_answer(r, status, answer, e);
        atomic_fetch_sub(&r->gateway->n_pending, 1);
        request_resume(r);
}

/* ---- sending ------------------------------------------------------------------------ */

/** Send @body to @subject (NUL-terminated) and leave the rest to the answer. */
static void send_on(Request *r, const char *subject, Slice body) {
        Link *link = gateway_link(r->gateway);
        RunbookHeader headers[2];
        char id[RUNBOOK_CLIENT_ID_SIZE];
        LinkMessage message = {
                        .subject = subject, .body = body.data, .body_size = body.n, .headers = headers};
        RunbookClientError e;
        int status;

        if (!take_headers(r, headers, &message.n_headers, id))
                return;
        if (!link) {
                reply_error(r, RUNBOOK_UNAVAILABLE, 0, "the gateway is not connected to NATS");
                return;
        }
        if ((int64_t)body.n + MESSAGE_MARGIN > link_max_payload(link)) {
                reply_error(r, RUNBOOK_TOO_LARGE, 0,
                            "the body has %zu bytes, the NATS server takes %lld in one message", body.n,
                            (long long)link_max_payload(link) - MESSAGE_MARGIN);
                return;
        }
        request_pause(r);
        atomic_fetch_add(&r->gateway->n_pending, 1);
        status = link_ask(link, &message, r->route->is_large ? CALL_LARGE_TIMEOUT_MS : CALL_TIMEOUT_MS,
                          on_answer, r, &e);
        if (status < 0)
                on_answer(r, status, NULL, &e);
}

void relay_handle(Request *r) {
        _cleanup_(buf_deinit) Buf subject = {0}, params = {0};
        bool is_get = r->route->method == METHOD_GET;

        put_subject(r, &subject);
        buf_put_str(&subject, r->route->verb);
        for (size_t i = 0; i < r->n_captures; i++) {
                buf_put_char(&subject, '.');
                subject_put_token(&subject, r->captures[i]);
        }
        if (!subject_is_valid(buf_slice(&subject))) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "a name in the path is too long");
                return;
        }
        buf_put_char(&subject, 0);
        if (is_get)
                put_params(r, &params);
        if (subject.error || params.error)
                reply_memory(r);
        else
                send_on(r, subject.data, buf_slice(is_get ? &params : &r->body));
}

/** The subject of an event ends with its type, which the body names. False: refused. */
static bool put_event_type(Request *r, Buf *subject) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *body = json_parse(buf_slice(&r->body), r->route->body_max, &report);
        Slice type = SLICE_NULL;

        if (body) {
                JsonAt at = json_at_root(body, &report);

                json_get_string_required(&at, "eventType", &type);
                subject_put_tokens(subject, type);
                if (!report_is_error(&report) && !subject_is_valid(buf_slice(subject))) {
                        JsonAt member = json_at_key(&at, "eventType");

                        json_at_error(&member, "must be words with dots between, as in \"order.shipped\"");
                }
        }
        json_decref(body);
        if (!report_is_error(&report))
                return true;
        if (report.code == RUNBOOK_OK)
                report_set(&report, RUNBOOK_INVALID_REQUEST, "the body is not an event");
        reply_report(r, &report, 0);
        return false;
}

void relay_event(Request *r) {
        _cleanup_(buf_deinit) Buf subject = {0};

        put_subject(r, &subject);
        if (!put_event_type(r, &subject))
                return;
        buf_put_char(&subject, 0);
        if (subject.error)
                reply_memory(r);
        else
                send_on(r, subject.data, buf_slice(&r->body));
}
