#pragma once
/* Schemas and values written as JSON in the tests. */

#include "../leaks.h"
#include "base/cleanup.h"
#include "schema/schema.h"

typedef struct Case {
        const char *schema, *value;
        bool valid;
} Case;

static inline json_t *parse(const char *text) {
        json_t *json = json_parse_own(slice_from_str(text));
        cr_assert(json, "not JSON: %s", text);
        return json;
}

/** The schema in @text; faults go to @report. NULL if it has any. */
static inline Schema *compile(const char *text, Report *report) {
        json_t *json = parse(text);
        JsonAt at = json_at_root(json, report);
        Schema *s = schema_compile(&at);
        cr_assert_eq(!s, report_is_error(report), "a schema or a report: %s", text);
        json_decref(json); /* nothing may point into it any more */
        return s;
}

/** A schema that must have no fault. */
static inline Schema *compile_good(const char *text) {
        Report report = {0};
        Schema *s = compile(text, &report);
        cr_assert(s, "%s: %s: %s", text, report.n_details ? report.details[0].path : "",
                  report.n_details ? report.details[0].message : "");
        report_deinit(&report);
        return s;
}

static inline void run_case(const Case *c) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(schema_unref_p) Schema *s = compile_good(c->schema);
        json_t *value = parse(c->value);
        int r = schema_validate(s, value, &report);
        cr_expect_eq(r, !c->valid, "%s with %s gives %d: %s", c->schema, c->value, r,
                     report.n_details ? report.details[0].message : "no fault");
        cr_expect_eq(report.n_details > 0, r == 1, "a fault is told, and only then: %s with %s", c->schema,
                     c->value);
        cr_expect_eq(schema_validate(s, value, NULL), r, "the same without a report: %s with %s", c->schema,
                     c->value);
        json_decref(value);
}

#define RUN_CASES(cases)                                                                                     \
        for (size_t case_ = 0; case_ < N_ELEMENTS(cases); case_++)                                           \
        run_case(&(cases)[case_])

/** The fault at @path whose sentence holds @part; fails if there is none. */
static inline void expect_fault(const Report *report, const char *path, const char *part) {
        for (size_t i = 0; i < report->n_details; i++)
                if (!strcmp(report->details[i].path, path) && strstr(report->details[i].message, part))
                        return;
        cr_expect(false, "no fault at \"%s\" says \"%s\"; first of %zu: \"%s\" %s", path, part,
                  report->n_details, report->n_details ? report->details[0].path : "",
                  report->n_details ? report->details[0].message : "");
}
