/*
 * Reports
 *
 * A report must be able to say that memory ran out, so that one sentence is static: `message` may point
 * to it, and report_deinit knows it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/quote.h"
#include "base/report.h"

static const char no_memory[] = "there was not enough memory to describe the error";

static void message_free(char *message) {
        if (message != no_memory)
                free(message);
}

void report_deinit(Report *r) {
        message_free(r->message);
        for (size_t i = 0; i < r->n_details; i++) {
                free(r->details[i].path);
                free(r->details[i].message);
        }
        free(r->details);
        *r = (Report){0};
}

static __attribute__((format(printf, 1, 0))) char *print(const char *format, va_list ap) {
        char *text;
        return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

int report_set(Report *r, RunbookCode code, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        char *message = print(format, ap); /* before the old one is freed: it may be an argument */
        va_end(ap);
        if (!message) {
                r->oom = true;
                message = (char *)no_memory;
        }
        message_free(r->message);
        r->message = message;
        r->code = code;
        return -EINVAL;
}

int report_vdetail(Report *r, const char *path, const char *format, va_list ap) {
        if (r->n_details >= REPORT_DETAILS_MAX) {
                r->n_dropped++;
                return -EINVAL;
        }
        if (!r->details) /* all at once: most reports never get a detail */
                r->details = calloc(REPORT_DETAILS_MAX, sizeof(*r->details));
        ReportDetail detail = {.path = strdup(path), .message = print(format, ap)};
        if (!r->details || !detail.path || !detail.message) {
                free(detail.path);
                free(detail.message);
                r->oom = true;
                return -EINVAL;
        }
        r->details[r->n_details++] = detail;
        return -EINVAL;
}

int report_detail(Report *r, const char *path, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        report_vdetail(r, path, format, ap);
        va_end(ap);
        return -EINVAL;
}

static void write_detail(Buf *b, bool first, const char *path, const char *message) {
        buf_put_str(b, first ? "{\"path\":" : ",{\"path\":");
        quote_json_lossy(b, slice_from_str(path));
        buf_put_str(b, ",\"message\":");
        quote_json_lossy(b, slice_from_str(message));
        buf_put_char(b, '}');
}

void report_write_json(const Report *r, Buf *b) {
        RunbookCode code = r->code;
        const char *message = r->message;
        if (code == RUNBOOK_OK) { /* details alone were noted, or not even they could be */
                code = r->n_details > 0 ? RUNBOOK_INVALID_REQUEST : RUNBOOK_INTERNAL;
                message = r->n_details > 0 ? "the request has errors, see details"
                          : r->oom         ? no_memory
                                           : NULL;
        }
        buf_put_str(b, "{\"version\":\"v1\",\"error\":\"");
        buf_put_str(b, runbook_code_name(code));
        buf_put_str(b, "\",\"message\":");
        quote_json_lossy(b, slice_from_str(message ? message : "the request failed for an unknown reason"));
        if (r->n_details > 0) {
                buf_put_str(b, ",\"details\":[");
                for (size_t i = 0; i < r->n_details; i++)
                        write_detail(b, i == 0, r->details[i].path, r->details[i].message);
                if (r->n_dropped > 0) {
                        char more[80];
                        snprintf(more, sizeof(more), "and %zu more that are not listed", r->n_dropped);
                        write_detail(b, false, "", more);
                }
                buf_put_char(b, ']');
        }
        buf_put_char(b, '}');
}
