#pragma once
/* Compiling runbooks from text in which ' stands for ", and looking at what came out. */

#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "expr/expr.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "model/runbook.h"

#define _cleanup_runbook_ _cleanup_(runbook_unref_p)
#define _cleanup_report_  _cleanup_(report_deinit)

#define STEP(id)       "{'id': '" id "', 'type': 'custom:x'}"
#define RUNBOOK(steps) "{'id': 'r', 'version': '1', 'steps': [" steps "]}"

static inline int compile_text(const char *text, const RunbookDefaults *defaults, Report *report,
                               Runbook **ret) {
        _cleanup_free_ char *copy = strdup(text);
        for (char *p = copy; *p; p++)
                *p = *p == '\'' ? '"' : *p;
        return runbook_def_parse(slice_from_str(copy), defaults, report, ret);
}

static inline void show_report(const Report *report) {
        _cleanup_(buf_deinit) Buf b = {0};
        report_write_json(report, &b);
        fprintf(stderr, "%.*s\n", (int)b.n, b.data);
}

/** The runbook that @text must be. */
static inline Runbook *good(const char *text) {
        _cleanup_report_ Report report = {0};
        Runbook *runbook = NULL;
        int r = compile_text(text, &runbook_defaults_builtin, &report, &runbook);
        if (r < 0)
                show_report(&report);
        cr_assert_eq(r, 0);
        cr_assert_not(report_is_error(&report));
        return runbook;
}

static inline void expect_good(const char *text) {
        _cleanup_runbook_ Runbook *r = good(text);
        cr_assert_gt(r->n_steps, 0);
}

static inline const RunbookStep *step_of(const Runbook *runbook, const char *id) {
        uint32_t i = runbook_find_step(runbook, slice_from_str(id));
        cr_assert_neq(i, STEP_NONE, "%s", id);
        return &runbook->steps[i];
}

static inline bool has_fault(const Report *report, const char *path, const char *part) {
        for (size_t i = 0; i < report->n_details; i++)
                if (!strcmp(report->details[i].path, path) && strstr(report->details[i].message, part))
                        return true;
        return false;
}

/** @text has @n faults, among them one at @path whose sentence holds @part. */
static inline void expect_faults(const char *text, size_t n, const char *path, const char *part) {
        _cleanup_report_ Report report = {0};
        _cleanup_runbook_ Runbook *runbook = NULL;
        int r = compile_text(text, &runbook_defaults_builtin, &report, &runbook);
        bool as_wanted = r == -EINVAL && report.n_details == n && has_fault(&report, path, part);
        if (!as_wanted) {
                fprintf(stderr, "%s\nmust have %zu faults, one at %s: …%s…\n", text, n, path, part);
                show_report(&report);
        }
        cr_assert(as_wanted);
        cr_assert_null(runbook);
}
static inline void expect_fault(const char *text, const char *path, const char *part) {
        expect_faults(text, 1, path, part);
}

/** Ids of steps, in order, between blanks. */
static inline void expect_ids(const Runbook *runbook, const uint32_t *steps, uint32_t n, const char *ids) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint32_t i = 0; i < n; i++)
                buf_printf(&b, "%s%s", i ? " " : "", runbook->steps[steps[i]].id.data);
        cr_assert(slice_eq_str(buf_slice(&b), ids), "%.*s, not %s", (int)b.n, b.data, ids);
}

static inline void expect_text(Slice text, const char *wanted) {
        cr_assert(slice_eq_str(text, wanted), "%.*s, not %s", SLICE_ARG(text), wanted);
}

/*
 * Graphs in short: steps between semicolons, each an id and parts that begin with a sign between blanks:
 *     a < b c        a waits for b and c
 *     a ? b c : d    a conditional with its branches; a single target is written as a string
 *     a @ b          a loop over input.items with the body b
 *     a ! b          a is compensated with b
 *     a = path       a reads ${path} as input.v (and is of a custom type, others are transforms)
 */
typedef struct ShortStep {
        Slice id;
        Buf parts[128]; /* by sign */
} ShortStep;

static inline void put_list(Buf *b, const char *key, const Buf *words, bool string_if_one) {
        bool one = string_if_one && !memchr(words->data, ' ', words->n);
        buf_printf(b, ",\"%s\":%s\"", key, one ? "" : "[");
        for (size_t i = 0; i < words->n; i++)
                buf_put_str(b, words->data[i] == ' ' ? "\",\"" : (char[]){words->data[i], '\0'});
        buf_put_str(b, one ? "\"" : "\"]");
}

static inline void put_short_step(Buf *b, const ShortStep *s) {
        const Buf *p = s->parts;
        bool cond = p['?'].n || p[':'].n;
        buf_printf(b, "{\"id\":\"%.*s\",\"type\":\"%s\",\"config\":{", SLICE_ARG(s->id),
                   cond       ? "conditional"
                   : p['@'].n ? "loop"
                   : p['='].n ? "custom:x"
                              : "transform");
        if (cond)
                buf_put_str(b, "\"condition\":{\"field\":\"input.x\",\"operator\":\"exists\"}");
        else if (p['@'].n)
                buf_printf(b, "\"bodyStepId\":\"%.*s\"", (int)p['@'].n, p['@'].data);
        else if (!p['='].n)
                buf_put_str(b, "\"jq\":\".\"");
        if (p['?'].n)
                put_list(b, "trueBranch", &p['?'], true);
        if (p[':'].n)
                put_list(b, "falseBranch", &p[':'], true);
        buf_put_char(b, '}');
        if (p['@'].n)
                buf_put_str(b, ",\"loopConfig\":{\"iterateOver\":\"input.items\"}");
        if (p['<'].n)
                put_list(b, "dependsOn", &p['<'], false);
        if (p['!'].n)
                buf_printf(b, ",\"compensateWith\":\"%.*s\"", (int)p['!'].n, p['!'].data);
        if (p['='].n)
                buf_printf(b, ",\"input\":{\"v\":\"${%.*s}\"}", (int)p['='].n, p['='].data);
        buf_put_char(b, '}');
}

/** The definition of a graph; to be freed. */
static inline char *graph(const char *text) {
        Buf b = {0};
        buf_put_str(&b, "{\"id\":\"r\",\"version\":\"1\",\"steps\":[");
        for (const char *step = text, *end; *step; step = *end ? end + 1 : end) {
                ShortStep s = {0};
                int sign = 0;
                end = step + strcspn(step, ";");
                for (const char *word = step; word < end;) {
                        size_t n = strcspn(word, " ;");
                        if (n == 1 && strchr("<?:@!=", *word)) {
                                sign = *word;
                        } else if (n > 0 && sign == 0) {
                                s.id = (Slice){word, n};
                        } else if (n > 0) {
                                buf_put_str(&s.parts[sign], s.parts[sign].n ? " " : "");
                                buf_put(&s.parts[sign], word, n);
                        }
                        word += n + (word + n < end);
                }
                buf_put_str(&b, step == text ? "" : ",");
                put_short_step(&b, &s);
                for (size_t i = 0; i < N_ELEMENTS(s.parts); i++)
                        buf_deinit(&s.parts[i]);
        }
        buf_put_str(&b, "]}");
        return buf_steal_str(&b);
}

static inline Runbook *good_graph(const char *text) {
        _cleanup_free_ char *definition = graph(text);
        return good(definition);
}

static inline void expect_graph_faults(const char *text, size_t n, const char *path, const char *part) {
        _cleanup_free_ char *definition = graph(text);
        expect_faults(definition, n, path, part);
}
static inline void expect_graph_fault(const char *text, const char *path, const char *part) {
        expect_graph_faults(text, 1, path, part);
}
