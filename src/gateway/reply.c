/* Responses: bodies as the protocol has them, and the headers that go with them. */

#include <stdarg.h>
#include <stdio.h>
#include "base/cleanup.h"
#include "gateway/request.h"
#include "json/digest.h"

#define ETAG_DIGITS                                                                                          \
        32 /* of the digest's 64: collisions only make a poller miss a change, and 128 bits have none */

static const char json_type[] = "application/json";

/** May this response be set? Else it has been. */
static bool begin(Request *r, int status) {
        if (r->response.status != 0)
                return false;
        r->response.status = status;
        return true;
}

void reply_json(Request *r, int status, Buf *body) {
        if (body->error) {
                reply_memory(r);
                return;
        }
        if (!begin(r, status))
                return;
        r->response.content_type = json_type;
        r->response.body = *body;
        *body = (Buf){0};
}

void reply_fixed(Request *r, int status, const char *content_type, Slice bytes) {
        if (!begin(r, status))
                return;
        r->response.content_type = content_type;
        r->response.fixed = bytes;
}

void reply_empty(Request *r, int status) { begin(r, status); }

void reply_memory(Request *r) {
        static const char text[] = "{\"version\":\"v1\",\"error\":\"INTERNAL\",\"message\":\"the gateway is "
                                   "out of memory\"}";

        reply_fixed(r, 500, json_type, SLICE(text));
}

void reply_header(Request *r, const char *name, const char *value) {
        Buf *b = &r->response.headers;

        buf_put(b, name, strlen(name) + 1);
        buf_put(b, value, strlen(value) + 1);
}

void reply_report(Request *r, const Report *report, int status) {
        _cleanup_(buf_deinit) Buf body = {0};

        report_write_json(report, &body);
        if (report->code == RUNBOOK_OVERLOADED || report->code == RUNBOOK_UNAVAILABLE)
                reply_header(r, "Retry-After", "1");
        if (report->code == RUNBOOK_UNAUTHENTICATED)
                reply_header(r, "WWW-Authenticate", "Bearer realm=\"runbook\"");
        reply_json(r, status ? status : runbook_code_http_status(report->code), &body);
}

void reply_error(Request *r, RunbookCode code, int status, const char *format, ...) {
        _cleanup_(report_deinit) Report report = {0};
        char message[1024];
        va_list ap;

        va_start(ap, format);
        vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        report_set(&report, code, "%.*s", SLICE_ARG(slice_cut_utf8(slice_from_str(message), sizeof message)));
        if (report.oom)
                reply_memory(r);
        else
                reply_report(r, &report, status);
}

/** Is @etag in the list that @header is ("*" or quoted tags, perhaps weak ones, with commas)? */
static bool names_etag(const char *header, const char *etag) {
        return !strcmp(header, "*") || strstr(header, etag) != NULL;
}

void reply_etag(Request *r) {
        char hex[DIGEST_TEXT_SIZE + 1], etag[ETAG_DIGITS + 3];
        const char *known = request_header(r, "If-None-Match");
        Response *s = &r->response;
        Digest digest;

        if (s->status != 200 || digest_slice(s->fixed.data ? s->fixed : buf_slice(&s->body), &digest) < 0)
                return;
        digest_format(&digest, hex);
        snprintf(etag, sizeof etag, "\"%.*s\"", ETAG_DIGITS, hex);
        reply_header(r, "ETag", etag);
        if (known && names_etag(known, etag)) {
                s->status = 304;
                s->fixed = SLICE_NULL;
                s->content_type = NULL;
                buf_deinit(&s->body);
        }
}
