/*
 * config → request
 *
 * Made when a call arrives, so that a wrong config fails at once and its host is known to the queue.
 * Secrets are left out: they are fetched when the call starts (http_auth.c).
 *
 * What the engine says about itself (tenant, initiator, trace) can't be overridden by a config, nor can
 * what curl must be right about (lengths, connection handling): those would let data of one execution speak
 * for another.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"
#include "executors/http_internal.h"
#include "json/json_read.h"
#include "json/json_write.h"

/* curl asks servers for leave to send large bodies; few answer, and it waits a second. */
#define EXPECT_100_FROM (64 << 10)
#define CONFIG_INVALID "CONFIG_INVALID"

void http_request_deinit(HttpEngine *e, HttpRequest *r) {
        http_grpc_unref(r->grpc);
        http_url_unref(e, r->url);
        free(r->full_url);
        buf_deinit(&r->body_buf);
        buf_deinit(&r->headers);
        *r = (HttpRequest){0};
}

static int invalid(HttpFault *fault, const char *what) {
        http_fault_set(fault, CONFIG_INVALID, false, "%s", what);
        return -EINVAL;
}

int http_request_no_memory(HttpFault *fault) {
        http_fault_set(fault, "OUT_OF_MEMORY", true, "there was not enough memory to call the service");
        return -EINVAL;
}

/* ---- words --------------------------------------------------------------------------------------------- */

static bool is_token(Slice s) {
        for (size_t i = 0; i < s.n; i++)
                if (!isalnum((unsigned char)s.data[i]) &&
                    (!s.data[i] || !strchr("!#$%&'*+-.^_`|~", s.data[i])))
                        return false;
        return s.n > 0;
}

/** A string, number or boolean as text; false for anything else. */
static bool put_scalar(Buf *b, const json_t *v) {
        if (json_is_string(v)) {
                buf_put_slice(b, json_string_slice(v));
                return true;
        }
        if (!json_is_number(v) && !json_is_boolean(v))
                return false;
        JsonWriter w = json_writer(b);
        json_put_tree(&w, v);
        return true;
}

static bool put_scalar_encoded(Buf *b, Buf *aside, const json_t *v) {
        if (json_is_string(v)) {
                http_percent_encode(b, json_string_slice(v));
                return true;
        }
        buf_reset(aside);
        bool ok = put_scalar(aside, v);
        http_percent_encode(b, buf_slice(aside));
        return ok;
}

/**
 * `a=1&b=2` of an object of scalars and arrays of scalars; nulls are left out. NULL, or the name of a member
 * that is neither.
 */
static const char *put_form(HttpEngine *e, Buf *b, const json_t *object) {
        const char *name;
        json_t *value;
        bool first = b->n == 0;
        json_object_foreach((json_t *)object, name, value) {
                size_t n = json_is_array(value) ? json_array_size(value) : 1;
                for (size_t i = 0; i < n; i++) {
                        const json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
                        if (json_is_null(one))
                                continue;
                        if (!first)
                                buf_put_char(b, '&');
                        first = false;
                        http_percent_encode(b, slice_from_str(name));
                        buf_put_char(b, '=');
                        if (!put_scalar_encoded(b, &e->aside, one))
                                return name;
                }
        }
        return NULL;
}

/* ---- method, URL, query -------------------------------------------------------------------------------- */

static bool method_has_body(const char *method) {
        return !strcasecmp(method, "POST") || !strcasecmp(method, "PUT") || !strcasecmp(method, "PATCH");
}

static int make_method(HttpRequest *r, const json_t *config, bool body_given, HttpFault *fault) {
        const json_t *v = json_object_get(config, "method");
        const char *method = json_is_string(v) ? json_string_value(v) : body_given ? "POST" : "GET";
        if ((v && !json_is_string(v) && !json_is_null(v)) || !is_token(slice_from_str(method)) ||
            strlen(method) >= sizeof(r->method))
                return invalid(fault, "config.method must be a word such as GET or POST");
        for (size_t i = 0; method[i]; i++)
                r->method[i] = (char)toupper((unsigned char)method[i]);
        if (!strcmp(r->method, "CONNECT") || !strcmp(r->method, "TRACE"))
                return invalid(fault, "config.method must not be CONNECT or TRACE");
        r->is_head = !strcmp(r->method, "HEAD");
        return 0;
}

static int make_query(HttpEngine *e, HttpRequest *r, const json_t *query, HttpFault *fault) {
        if (!query || json_is_null(query))
                return 0;
        if (!json_is_object(query))
                return invalid(fault, "config.query must be an object of names and values");
        _cleanup_(buf_deinit) Buf tail = {0};
        const char *wrong = put_form(e, &tail, query);
        if (wrong) {
                http_fault_set(fault, CONFIG_INVALID, false,
                               "config.query.%.100s must be a string, number, boolean, or a list of them",
                               wrong);
                return -EINVAL;
        }
        if (tail.n == 0 && !tail.error)
                return 0;
        _cleanup_(buf_deinit) Buf full = {0};
        buf_put_str(&full, r->url->text);
        buf_put_char(&full, r->url->has_query ? '&' : '?');
        buf_put_slice(&full, buf_slice(&tail));
        if (full.n > HTTP_URL_BYTES_MAX) {
                http_fault_set(fault, "URL_INVALID", false,
                               "the URL with config.query has %zu bytes; at most %d are allowed "
                               "(HTTP_URL_BYTES_MAX)",
                               full.n, HTTP_URL_BYTES_MAX);
                return -EINVAL;
        }
        r->full_url = tail.error ? NULL : buf_steal_str(&full);
        return r->full_url ? 0 : http_request_no_memory(fault);
}

static int make_url(HttpEngine *e, HttpRequest *r, const json_t *config, HttpFault *fault) {
        const json_t *url = json_object_get(config, "url");
        if (!json_is_string(url))
                return invalid(fault, "config.url must be a string");
        r->url = http_url_get(e, json_string_slice(url), fault);
        return r->url ? make_query(e, r, json_object_get(config, "query"), fault) : -EINVAL;
}

/* ---- headers ------------------------------------------------------------------------------------------- */

typedef enum HeaderRule {
        HEADER_FREE,
        HEADER_CONTENT_TYPE,
        HEADER_IDEMPOTENCY_KEY,
        HEADER_OURS,
        HEADER_REFUSED,
        HEADER_TRACE
} HeaderRule;

static const struct {
        const char *name;
        HeaderRule rule;
} header_rules[] = {
        {"connection", HEADER_REFUSED},     {"content-length", HEADER_REFUSED},
        {"content-type", HEADER_CONTENT_TYPE}, {"expect", HEADER_REFUSED},
        {"idempotency-key", HEADER_IDEMPOTENCY_KEY}, {"keep-alive", HEADER_REFUSED},
        {"proxy-authorization", HEADER_REFUSED}, {"proxy-connection", HEADER_REFUSED},
        {"te", HEADER_REFUSED},             {"traceparent", HEADER_TRACE},
        {"trailer", HEADER_REFUSED},        {"transfer-encoding", HEADER_REFUSED},
        {"upgrade", HEADER_REFUSED},        {"x-initiated-by", HEADER_OURS},
        {"x-tenant-id", HEADER_OURS},
};

static HeaderRule header_rule(Slice name) {
        for (size_t i = 0; i < N_ELEMENTS(header_rules); i++)
                if (strlen(header_rules[i].name) == name.n &&
                    !strncasecmp(header_rules[i].name, name.data, name.n))
                        return header_rules[i].rule;
        return HEADER_FREE;
}

void http_request_put_header(HttpRequest *r, Slice name, Slice value) {
        buf_put_slice(&r->headers, name);
        /* The semicolon is curl's way to say: present and empty. */
        buf_put_slice(&r->headers, value.n > 0 ? SLICE(": ") : SLICE(";"));
        buf_put_slice(&r->headers, value);
        buf_put_char(&r->headers, 0);
        r->n_headers++;
}

/** Values from outside: what would break a header line is percent-encoded. */
static void put_header_escaped(HttpEngine *e, HttpRequest *r, Slice name, Slice value) {
        Buf *b = &e->aside;
        buf_reset(b);
        for (size_t i = 0; i < value.n; i++) {
                unsigned char c = (unsigned char)value.data[i];
                if (c < 0x20 || c == 0x7f)
                        http_percent_encode(b, (Slice){value.data + i, 1});
                else
                        buf_put_char(b, (char)c);
        }
        http_request_put_header(r, name, buf_slice(b));
}

static bool value_is_line(Slice s) {
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        return false;
        }
        return true;
}

/** What was met among the headers of @member. */
typedef struct HeadersSeen {
        const char *member;
        bool content_type, form, idempotency_key;
} HeadersSeen;

static int make_one_header(HttpEngine *e, HttpCall *c, const char *name, const json_t *value,
                           HeadersSeen *seen, HttpFault *fault) {
        HttpRequest *r = &c->request;
        HeaderRule rule = header_rule(slice_from_str(name));
        if (json_is_null(value) || rule == HEADER_OURS ||
            (rule == HEADER_TRACE && c->task->traceparent.n > 0))
                return 0;
        if (rule == HEADER_REFUSED || !is_token(slice_from_str(name)) ||
            (r->grpc && (rule == HEADER_CONTENT_TYPE || !strncasecmp(name, "grpc-", 5)))) {
                http_fault_set(fault, CONFIG_INVALID, false, "config.%s must not name \"%.100s\"",
                               seen->member, name);
                return -EINVAL;
        }
        if (rule == HEADER_IDEMPOTENCY_KEY && seen->idempotency_key)
                return 0;
        buf_reset(&e->aside);
        if (!put_scalar(&e->aside, value) || !value_is_line(buf_slice(&e->aside))) {
                http_fault_set(fault, CONFIG_INVALID, false,
                               "config.%s[\"%.100s\"] must be a string of one line, a number or a "
                               "boolean",
                               seen->member, name);
                return -EINVAL;
        }
        Slice text = buf_slice(&e->aside);
        seen->content_type |= rule == HEADER_CONTENT_TYPE;
        seen->form |= rule == HEADER_CONTENT_TYPE &&
                      !strncasecmp(text.n ? text.data : "", "application/x-www-form-urlencoded", 33);
        seen->idempotency_key |= rule == HEADER_IDEMPOTENCY_KEY;
        http_request_put_header(r, slice_from_str(name), text);
        return 0;
}

static int make_headers(HttpEngine *e, HttpCall *c, const json_t *config, HeadersSeen *seen,
                        HttpFault *fault) {
        HttpRequest *r = &c->request;
        const json_t *key = json_object_get(config, "idempotencyKey"),
                     *headers = json_object_get(config, seen->member);
        if (key && !json_is_null(key)) {
                _cleanup_(buf_deinit) Buf text = {0};
                if (!put_scalar(&text, key) || text.n == 0)
                        return invalid(fault, "config.idempotencyKey must be a string that is not empty");
                put_header_escaped(e, r, SLICE("Idempotency-Key"), buf_slice(&text));
                seen->idempotency_key = true;
        }
        if (headers && !json_is_null(headers)) {
                const char *name;
                json_t *value;
                if (!json_is_object(headers) || json_object_size(headers) > HTTP_HEADERS_MAX) {
                        http_fault_set(fault, CONFIG_INVALID, false,
                                       "config.%s must be an object of names and values, at most %d "
                                       "(HTTP_HEADERS_MAX)",
                                       seen->member, HTTP_HEADERS_MAX);
                        return -EINVAL;
                }
                json_object_foreach((json_t *)headers, name, value)
                        if (make_one_header(e, c, name, value, seen, fault) < 0)
                                return -EINVAL;
        }
        const Task *t = c->task;
        if (!seen->idempotency_key)
                http_request_put_header(r, SLICE("Idempotency-Key"), slice_from_str(t->idempotency_key));
        put_header_escaped(e, r, SLICE("X-Tenant-Id"), t->tenant);
        put_header_escaped(e, r, SLICE("X-Initiated-By"), t->initiated_by);
        if (t->traceparent.n > 0)
                put_header_escaped(e, r, SLICE("traceparent"), t->traceparent);
        return 0;
}

int http_request_headers(HttpEngine *e, HttpCall *c, const json_t *config, const char *member,
                         HttpFault *fault) {
        return make_headers(e, c, config, &(HeadersSeen){.member = member}, fault);
}

/* ---- the body ------------------------------------------------------------------------------------------ */

static int make_given_body(HttpEngine *e, HttpRequest *r, const json_t *body, HeadersSeen *seen,
                           HttpFault *fault) {
        Slice type = SLICE("application/json");
        if (json_is_string(body)) {
                buf_put_slice(&r->body_buf, json_string_slice(body));
                type = SLICE("text/plain; charset=utf-8");
        } else if (seen->form && json_is_object(body)) {
                const char *wrong = put_form(e, &r->body_buf, body);
                if (wrong) {
                        http_fault_set(fault, CONFIG_INVALID, false,
                                       "config.body.%.100s must be a string, number, boolean, or a list of "
                                       "them to be sent as a form",
                                       wrong);
                        return -EINVAL;
                }
        } else if (json_canonical(body, &r->body_buf) == -EFBIG) {
                return invalid(fault, "config.body is nested too deeply");
        }
        if (!seen->content_type)
                http_request_put_header(r, SLICE("Content-Type"), type);
        r->has_body = true;
        r->body = buf_slice(&r->body_buf);
        return r->body_buf.error ? http_request_no_memory(fault) : 0;
}

static int make_body(HttpEngine *e, HttpCall *c, const json_t *body, HeadersSeen *seen, HttpFault *fault) {
        HttpRequest *r = &c->request;
        if (body && !json_is_null(body))
                return make_given_body(e, r, body, seen, fault);
        r->has_body = method_has_body(r->method); /* perhaps an empty one */
        if (!body && r->has_body)
                r->body = value_bytes(c->task->input);
        if (!seen->content_type && r->has_body)
                buf_put_str(&r->headers, r->body.n > 0 ? "Content-Type: application/json" : "Content-Type:");
        if (!seen->content_type && r->has_body) {
                buf_put_char(&r->headers, 0);
                r->n_headers++;
        }
        return 0;
}

/* ---- what is expected ---------------------------------------------------------------------------------- */

static bool expect_one(HttpRequest *r, const json_t *v) {
        HttpStatusRange range = {0};
        uint64_t n;
        if (json_is_integer(v) && json_integer_value(v) >= 100 && json_integer_value(v) <= 599) {
                range.from = range.to = (uint16_t)json_integer_value(v);
        } else if (json_is_string(v)) {
                Slice s = json_string_slice(v);
                if (s.n == 3 && s.data[0] >= '1' && s.data[0] <= '5' && !strcasecmp(s.data + 1, "xx")) {
                        range.from = (uint16_t)((s.data[0] - '0') * 100);
                        range.to = range.from + 99;
                } else if (slice_to_u64(s, &n) && n >= 100 && n <= 599) {
                        range.from = range.to = (uint16_t)n;
                }
        }
        if (range.from == 0 || r->n_expect >= HTTP_EXPECT_MAX)
                return false;
        r->expect[r->n_expect++] = range;
        return true;
}

static int make_expect(HttpRequest *r, const json_t *v, HttpFault *fault) {
        static const char wrong[] = "config.expectStatus must be a status such as 200, a class such as "
                                    "\"2xx\", or a list of at most 32 of them (HTTP_EXPECT_MAX)";
        if (!v || json_is_null(v)) {
                r->expect[r->n_expect++] = (HttpStatusRange){200, 299};
                return 0;
        }
        if (!json_is_array(v))
                return expect_one(r, v) ? 0 : invalid(fault, wrong);
        for (size_t i = 0; i < json_array_size(v); i++)
                if (!expect_one(r, json_array_get(v, i)))
                        return invalid(fault, wrong);
        return r->n_expect > 0 ? 0 : invalid(fault, wrong);
}

/* ---- auth ---------------------------------------------------------------------------------------------- */

/** May a header with a secret in it have this name? */
static bool may_hold_secret(Slice name) { return is_token(name) && header_rule(name) == HEADER_FREE; }

static int check_auth(HttpRequest *r, const json_t *auth, HttpFault *fault) {
        static const char *const forms[][2] = {
                        {"bearerSecret", NULL}, {"basicUser", "basicSecret"}, {"headerName", "headerSecret"}};
        if (!auth || json_is_null(auth))
                return 0;
        for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
                const json_t *first = json_object_get(auth, forms[i][0]);
                const json_t *second = forms[i][1] ? json_object_get(auth, forms[i][1]) : first;
                if (!json_is_string(first) || !json_is_string(second) ||
                    json_object_size(auth) != (forms[i][1] ? 2 : 1))
                        continue;
                const json_t *name = json_object_get(auth, "headerName");
                if (name && !may_hold_secret(json_string_slice(name)))
                        return invalid(fault, "config.auth.headerName must be the name of a header that "
                                              "steps may set");
                r->auth = auth;
                return 0;
        }
        return invalid(fault, "config.auth must be {bearerSecret}, {basicUser, basicSecret} or {headerName, "
                              "headerSecret}");
}

static int check_secret_headers(const RunbookStep *step, HttpFault *fault) {
        for (uint32_t i = 0; step && i < step->n_secret_headers; i++) {
                const SecretHeader *h = &step->secret_headers[i];
                if (may_hold_secret(h->header) && value_is_line(h->prefix) && value_is_line(h->suffix))
                        continue;
                http_fault_set(fault, CONFIG_INVALID, false, "config.headers[\"%.*s\"] can't hold a secret",
                               SLICE_ARG(slice_cut_utf8(h->header, 100)));
                return -EINVAL;
        }
        return 0;
}

int http_request_auth(HttpCall *c, const json_t *config, HttpFault *fault) {
        int r = check_auth(&c->request, json_object_get(config, "auth"), fault);
        return r < 0 ? r : check_secret_headers(c->task->step, fault);
}

/* ---- all together -------------------------------------------------------------------------------------- */

static bool is_grpc(const json_t *config) {
        const json_t *protocol = json_object_get(config, "protocol");
        return json_is_string(protocol) && !strcasecmp(json_string_value(protocol), "grpc");
}

static int check_protocol(const json_t *protocol, HttpFault *fault) {
        if (!protocol || json_is_null(protocol))
                return 0;
        const char *name = json_is_string(protocol) ? json_string_value(protocol) : "";
        if (!strcasecmp(name, "http") || !strcasecmp(name, "https"))
                return 0;
        http_fault_set(fault, "UNSUPPORTED_PROTOCOL", false,
                       "config.protocol must be \"http\" (the default) or \"grpc\"");
        return -EINVAL;
}

void http_request_touch(const Task *task) {
        const json_t *config = value_json(task->config), *method = json_object_get(config, "method");
        bool has_body = json_is_string(method) && method_has_body(json_string_value(method));
        if (!json_object_get(config, "body") && (has_body || is_grpc(config)))
                value_bytes(task->input);
}

/** SHA-256 of `METHOD url LF body`; the URL without userinfo. */
static int make_digest(HttpRequest *r) {
        const char *tail = r->full_url ? r->full_url + strlen(r->url->text) : "";
        Slice parts[] = {slice_from_str(r->method), SLICE(" "),  slice_from_str(r->url->public),
                         slice_from_str(tail),      SLICE("\n"), r->body};
        return digest_slices(parts, N_ELEMENTS(parts), &r->digest);
}

int http_request_make(HttpEngine *e, HttpCall *c, HttpFault *fault) {
        HttpRequest *r = &c->request;
        const json_t *config = value_json(c->task->config);
        if (!json_is_object(config))
                return invalid(fault, "config must be an object");
        gate_limits_read(config, &c->limits);
        if (is_grpc(config))
                return http_grpc_make(e, c, config, fault);
        const json_t *body = json_object_get(config, "body");
        HeadersSeen seen = {.member = "headers"};
        if (check_protocol(json_object_get(config, "protocol"), fault) < 0)
                return -EINVAL;
        if (make_method(r, config, body && !json_is_null(body), fault) < 0 ||
            make_url(e, r, config, fault) < 0 || make_headers(e, c, config, &seen, fault) < 0 ||
            make_body(e, c, body, &seen, fault) < 0 ||
            make_expect(r, json_object_get(config, "expectStatus"), fault) < 0 ||
            http_request_auth(c, config, fault) < 0)
                return -EINVAL;
        if (r->body.n >= EXPECT_100_FROM) {
                buf_put(&r->headers, "Expect:", sizeof("Expect:"));
                r->n_headers++;
        }
        if (r->headers.n > HTTP_REQUEST_HEADER_BYTES_MAX) {
                http_fault_set(fault, CONFIG_INVALID, false,
                               "the request's headers have %zu bytes; at most %d are allowed "
                               "(HTTP_REQUEST_HEADER_BYTES_MAX)",
                               r->headers.n, HTTP_REQUEST_HEADER_BYTES_MAX);
                return -EINVAL;
        }
        return r->headers.error || make_digest(r) < 0 ? http_request_no_memory(fault) : 0;
}
