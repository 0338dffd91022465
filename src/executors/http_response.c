/*
 * What came back, as a step's output
 *
 *     {"body": …, "headers": {…}, "status": 200}   and, if the body is an object, its members beside them
 *
 * Written straight in canonical order: `body`, `headers` and `status` are merged into the body's own sorted
 * members, of which those of the same names give way.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/quote.h"
#include "executors/http_internal.h"
#include "json/json_write.h"

/* ---- headers ------------------------------------------------------------------------------------------- */

static int header_cmp(const void *a, const void *b) {
        const HttpHeader *x = a, *y = b;
        int order = slice_cmp(x->name, y->name);
        return order ? order : (x->order > y->order) - (x->order < y->order);
}

static Slice trim(Slice s) {
        while (s.n > 0 && (*s.data == ' ' || *s.data == '\t'))
                s = (Slice){s.data + 1, s.n - 1};
        while (s.n > 0 && strchr(" \t\r\n", s.data[s.n - 1]) && s.data[s.n - 1])
                s.n--;
        return s;
}

/** Lower the name's letters in place; false if it is no header name. */
static bool name_lower(char *name, size_t n) {
        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)name[i];
                if (c <= 0x20 || c >= 0x7f || c == '"')
                        return false;
                name[i] = (char)tolower(c);
        }
        return n > 0;
}

int http_response_headers(HttpEngine *e, Buf *lines, size_t *ret_n) {
        size_t n = 0;
        for (char *p = lines->data, *end = p ? p + lines->n : p; p < end;) {
                char *eol = memchr(p, '\n', (size_t)(end - p)), *colon = memchr(p, ':', (size_t)(end - p));
                if (!eol)
                        eol = end;
                /* A zero byte is no part of a header, and JSON strings of ours hold none. */
                if (colon && colon < eol && !memchr(colon, 0, (size_t)(eol - colon)) &&
                    name_lower(p, (size_t)(colon - p))) {
                        if (n == e->headers_cap) {
                                size_t cap = n ? n * 2 : 32;
                                HttpHeader *headers = reallocarray(e->headers, cap, sizeof(*headers));
                                if (!headers)
                                        return -ENOMEM;
                                e->headers = headers;
                                e->headers_cap = cap;
                        }
                        Slice value = {colon + 1, (size_t)(eol - colon - 1)};
                        e->headers[n] = (HttpHeader){{p, (size_t)(colon - p)}, trim(value), (uint32_t)n};
                        n++;
                }
                p = eol + 1;
        }
        if (n > 1)
                qsort(e->headers, n, sizeof(*e->headers), header_cmp);
        *ret_n = n;
        return 0;
}

Slice http_response_header(const HttpEngine *e, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (slice_eq_str(e->headers[i].name, name))
                        return e->headers[i].value;
        return SLICE_NULL;
}

int64_t http_retry_after_ms(Slice value, int64_t now_ms) {
        uint64_t seconds;
        int64_t ms = 0;
        if (slice_to_u64(value, &seconds)) {
                ms = seconds > HTTP_RETRY_AFTER_MAX_MS / 1000 ? HTTP_RETRY_AFTER_MAX_MS
                                                              : (int64_t)seconds * 1000;
        } else if (value.n > 0 && value.n < 64) {
                char text[64];
                memcpy(text, value.data, value.n);
                text[value.n] = 0;
                time_t at = curl_getdate(text, NULL);
                ms = at < 0 ? 0 : (int64_t)at * 1000 - now_ms;
        }
        return ms < 0 ? 0 : ms > HTTP_RETRY_AFTER_MAX_MS ? HTTP_RETRY_AFTER_MAX_MS : ms;
}

void http_response_put_headers(HttpEngine *e, JsonWriter *w, size_t n) {
        json_begin_object(w);
        for (size_t i = 0, next; i < n; i = next) {
                const HttpHeader *h = &e->headers[i];
                Slice value = h->value;
                for (next = i + 1; next < n && slice_eq(e->headers[next].name, h->name); next++) {
                        if (next == i + 1) {
                                buf_reset(&e->aside);
                                buf_put_slice(&e->aside, h->value);
                        }
                        buf_put_slice(&e->aside, SLICE(", "));
                        buf_put_slice(&e->aside, e->headers[next].value);
                        value = buf_slice(&e->aside);
                }
                json_key_slice(w, h->name);
                w->need_comma = true;
                quote_json_lossy(w->buf, value);
        }
        json_end_object(w);
        if (e->aside.error && !w->buf->error)
                w->buf->error = e->aside.error;
}

/* ---- the body ------------------------------------------------------------------------------------------ */

/** Is @type (a Content-Type) JSON? Without a type the body's first character tells. */
static bool may_be_json(Slice type, Slice body) {
        size_t n = 0;
        while (n < type.n && type.data[n] != ';' && type.data[n] != ' ')
                n++;
        if (n == 0)
                return body.data[0] == '{' || body.data[0] == '[';
        if ((n == 16 && !strncasecmp(type.data, "application/json", n)) ||
            (n == 9 && !strncasecmp(type.data, "text/json", n)))
                return true;
        return n > 5 && !strncasecmp(type.data + n - 5, "+json", 5);
}

static void put_text(Buf *b, Slice body) {
        if (!memchr(body.data, 0, body.n) && slice_is_utf8(body)) {
                quote_json(b, body);
                return;
        }
        buf_put_str(b, "{\"base64\":\"");
        base64_put(b, body);
        buf_put_str(b, "\"}");
}

/** Bring the body into e->json.text; 0 or -ENOMEM. */
static int body_canonical(HttpEngine *e, HttpTransfer *t, size_t n_headers, const char **ret_warning) {
        HttpJson *j = &e->json;
        Slice body = buf_slice(&t->body);
        if (body.n > 0 && may_be_json(http_response_header(e, n_headers, "content-type"), body)) {
                if (slice_starts_with(body, SLICE("\xef\xbb\xbf"))) /* a byte order mark */
                        body = (Slice){body.data + 3, body.n - 3};
                int r = http_json_canonical(j, body);
                if (r != -EBADMSG)
                        return r;
                if (http_response_header(e, n_headers, "content-type").n > 0)
                        *ret_warning = "the body calls itself JSON but can't be read as JSON: it is kept as text";
        }
        buf_reset(&j->text);
        j->is_object = false;
        j->n_members = 0;
        if (body.n == 0)
                buf_put_str(&j->text, "null");
        else
                put_text(&j->text, buf_slice(&t->body));
        return j->text.error;
}

/** The answer of an HTTP call, for the fields of its output. */
typedef struct Answer {
        const HttpTransfer *transfer;
        size_t n_headers;
} Answer;

static void put_body(HttpEngine *e, JsonWriter *w, const void *answer) {
        json_put_raw(w, buf_slice(&e->json.text));
}

static void put_answer_headers(HttpEngine *e, JsonWriter *w, const void *answer) {
        http_response_put_headers(e, w, ((const Answer *)answer)->n_headers);
}

static void put_status(HttpEngine *e, JsonWriter *w, const void *answer) {
        json_put_i64(w, ((const Answer *)answer)->transfer->status);
}

int http_response_merge(HttpEngine *e, const HttpField *fields, size_t n_fields, const void *userdata) {
        const HttpJson *j = &e->json;
        size_t field = 0;
        buf_reset(&e->output);
        buf_reset(&e->aside);
        e->output.limit = LIMIT_VALUE_BYTES;
        JsonWriter w = json_writer(&e->output);
        json_begin_object(&w);
        for (size_t i = 0; i <= j->n_members; i++) {
                const HttpJsonMember *m = i < j->n_members ? &j->members[i] : NULL;
                /* Keys are compared as they are escaped: letters, of which the names of fields consist, sort after
                 * every escape either way. */
                Slice key = m ? (Slice){j->text.data + m->key + 1, m->n_key - 2} : SLICE_NULL;
                int order = 1;
                while (field < n_fields && (!m || (order = slice_cmp(fields[field].name, key)) < 0)) {
                        json_key_slice(&w, fields[field].name);
                        fields[field++].put(e, &w, userdata);
                }
                if (!m || (field < n_fields && order == 0))
                        continue;
                json_put_raw(&w, (Slice){j->text.data + m->key, m->n_key});
                buf_put_char(w.buf, ':');
                buf_put(w.buf, j->text.data + m->value, m->n_value);
        }
        json_end_object(&w);
        return e->output.error;
}

int http_response_output(HttpEngine *e, HttpTransfer *t, size_t n_headers, const char **ret_warning) {
        static const HttpField fields[] = {{{"body", 4}, put_body},
                                           {{"headers", 7}, put_answer_headers},
                                           {{"status", 6}, put_status}};
        *ret_warning = NULL;
        int r = body_canonical(e, t, n_headers, ret_warning);
        return r < 0 ? r : http_response_merge(e, fields, N_ELEMENTS(fields), &(Answer){t, n_headers});
}
