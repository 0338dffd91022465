#pragma once
/* What went wrong, for people: a code, one sentence, and every place that needs mending. */

#include <stdarg.h>
#include <runbook/error.h>
#include "base/buf.h"

#define REPORT_DETAILS_MAX 100 /* further details are counted, not kept */

typedef struct ReportDetail {
        char *path;    /* JSON pointer into what was sent, "" for the whole */
        char *message; /* one sentence */
} ReportDetail;

/** Zero-initialised is "no error" and valid. */
typedef struct Report {
        RunbookCode code;      /* RUNBOOK_OK: nothing wrong so far */
        char *message;         /* one sentence a person can act on; may be NULL only with RUNBOOK_OK */
        ReportDetail *details;
        size_t n_details;
        size_t n_dropped;      /* details beyond REPORT_DETAILS_MAX */
        bool oom;              /* something could not be noted for want of memory */
} Report;

void report_deinit(Report *r);
/**
 * Set code and sentence, replacing what was there; details stay. Returns -EINVAL always, so that a caller can
 * `return report_set(…)`.
 */
int report_set(Report *r, RunbookCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** Add a detail at JSON pointer @path (copied); code and message are left to report_set. Returns -EINVAL. */
int report_detail(Report *r, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
int report_vdetail(Report *r, const char *path, const char *format, va_list ap)
        __attribute__((format(printf, 3, 0)));
static inline bool report_is_error(const Report *r) {
        return r->code != RUNBOOK_OK || r->n_details > 0 || r->oom;
}
/** Append the protocol's error body: {"version":"v1","error":…,"message":…,"details":[…]}, details if any. */
void report_write_json(const Report *r, Buf *b);
