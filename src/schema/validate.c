/*
 * Validation
 *
 * A schema is applied to a value by making its checks in order. Those that apply subschemas come back here,
 * either with a part of the value (eval_child) or with the same one (eval_in_place); a frame on the C stack
 * stands for each application. Both kinds of nesting have limits, and everything that takes time takes it
 * from one budget of steps.
 *
 * What unevaluatedItems and unevaluatedProperties ask for is kept as one bit for each item or member. A frame
 * has such a set only where somebody will ask: when its schema does, or a schema around it that applied it in
 * place. A subschema that passes hands its bits on; one that fails takes them with it.
 *
 * A value that may be tried against several schemas (anyOf, not, if) is tried quietly: no text is made and
 * the first fault ends it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/eval.h"
#include "schema/key.h"

#define MESSAGE_BYTES 1024 /* of a fault; names and values in it are cut long before */
#define BYTES_A_STEP  16   /* when bytes are compared or copied */

/* --- limits --- */

static __attribute__((noinline)) int limit_hit(Eval *e, const JsonAt *at, int error, RunbookCode code,
                                               const char *sentence, unsigned long long limit,
                                               const char *name) {
        char path[JSON_POINTER_MAX + 8];
        if (e->report) {
                json_at_path(at, path);
                report_set(e->report, code, "%s more than the %llu allowed (%s), at \"%s\"", sentence, limit,
                           name, path);
        }
        return error;
}

static int out_of_steps(Eval *e, const JsonAt *at) {
        e->steps_left = 0;
        return limit_hit(e, at, -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED,
                         "checking the value against its schema takes steps:", SCHEMA_STEPS_MAX,
                         "SCHEMA_STEPS_MAX");
}

int eval_charge(Eval *e, const JsonAt *at, size_t n) {
        if (n > e->steps_left)
                return out_of_steps(e, at);
        e->steps_left -= n;
        return 0;
}

int eval_too_deep(Eval *e, const JsonAt *at) {
        return limit_hit(e, at, -EOVERFLOW, RUNBOOK_TOO_DEEP,
                         "the value is nested in levels:", JSON_DEPTH_MAX, "JSON_DEPTH_MAX");
}

static int frame_limits(Eval *e, const Frame *f, const JsonAt *at) {
        if (f->level > JSON_DEPTH_MAX)
                return eval_too_deep(e, at);
        if (f->in_place > SCHEMA_IN_PLACE_MAX)
                return limit_hit(e, at, -ELOOP, RUNBOOK_LIMIT_EXCEEDED,
                                 "the schema refers to itself without going deeper into the value, in "
                                 "schemas:",
                                 SCHEMA_IN_PLACE_MAX, "SCHEMA_IN_PLACE_MAX");
        if (f->depth > SCHEMA_FRAMES_MAX)
                return limit_hit(e, at, -ELOOP, RUNBOOK_LIMIT_EXCEEDED,
                                 "the schema applies schemas inside each other:", SCHEMA_FRAMES_MAX,
                                 "SCHEMA_FRAMES_MAX");
        return eval_charge(e, at, 1);
}

int eval_match(Eval *e, const JsonAt *at, const Pattern *p, Slice text) {
        int r = pattern_match(p, &e->scratch, text, &e->steps_left);
        if (r == -EOVERFLOW)
                return out_of_steps(e, at);
        return r == -EINVAL ? 0 : r; /* no pattern matches what is no text */
}

int eval_key(Eval *e, const JsonAt *at, const json_t *value, size_t n_max) {
        size_t work = 0;
        buf_reset(&e->key);
        e->key.limit = n_max;
        int r = key_put(&e->key, value, &work, e->steps_left);
        if (r == -ENOMEM)
                return r;
        if (eval_charge(e, at, work + e->key.n / BYTES_A_STEP) < 0)
                return -EOVERFLOW;
        if (r == -EOVERFLOW)
                return eval_too_deep(e, at);
        return r < 0 ? 1 : 0;
}

/* --- faults --- */

static __attribute__((noinline, format(printf, 5, 0))) void
tell(Eval *e, const Frame *f, const char *keyword, const JsonAt *at, const char *format, va_list ap) {
        char message[MESSAGE_BYTES], path[JSON_POINTER_MAX + 8], place[JSON_POINTER_MAX + 8];
        JsonAt links[PLACE_LINKS_MAX], root = {0}, below = {.key = keyword};
        vsnprintf(message, sizeof(message), format, ap);
        below.parent = place_link(&f->node->place, &root, links);
        json_at_path(keyword ? &below : below.parent, place);
        report_detail(e->report, json_at_path(at, path), "%s (keyword: %s)", message, place);
}

int eval_fault(Eval *e, const Frame *f, const char *keyword, const JsonAt *at, const char *format, ...) {
        /* Deep inside is nearer to fitting than outside, and having the right type nearer than not. */
        bool identity = keyword &&
                        (!strcmp(keyword, "type") || !strcmp(keyword, "const") || !strcmp(keyword, "enum"));
        unsigned nearness = 2 * f->level + !identity;
        if (nearness > e->nearness)
                e->nearness = nearness;
        if (!eval_is_loud(e, f))
                return 1;
        e->n_faults++;
        va_list ap;
        va_start(ap, format);
        tell(e, f, keyword, at, format, ap);
        va_end(ap);
        return 1;
}

/* --- marks --- */

static int marks_push(Eval *e, const JsonAt *at, size_t *ret) {
        size_t n = (json_is_object(at->value) ? json_object_size(at->value) : json_array_size(at->value)) /
                                   64 +
                   1;
        if (eval_charge(e, at, n / BYTES_A_STEP) < 0)
                return -EOVERFLOW;
        if (n > e->cap_marks - e->n_marks) {
                size_t cap = e->cap_marks * 2 > e->n_marks + n ? e->cap_marks * 2 : e->n_marks + n + 64;
                uint64_t *grown = reallocarray(e->marks, cap, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                e->marks = grown;
                e->cap_marks = cap;
        }
        *ret = e->n_marks;
        memset(e->marks + e->n_marks, 0, n * sizeof(*e->marks));
        e->n_marks += n;
        return 0;
}

/** Drop the set of a frame, after handing it on to the one at @outer unless that is NO_MARKS. */
static void marks_pop(Eval *e, size_t marks, size_t outer) {
        for (size_t i = 0; outer != NO_MARKS && i < e->n_marks - marks; i++)
                e->marks[outer + i] |= e->marks[marks + i];
        e->n_marks = marks;
}

/* --- applying --- */

static int make_checks(Eval *e, const Frame *f, const JsonAt *at) {
        const Node *node = f->node;
        unsigned type = TYPE_BIT(json_typeof(at->value));
        int verdict = 0;
        for (uint32_t i = 0; i < node->n_checks; i++) {
                const Check *check = &node->checks[i];
                if (!(check->kind->types & type))
                        continue;
                if (verdict && check->kind->rank == RANK_UNEVALUATED)
                        break; /* what failed has marked nothing, and would be told of twice */
                int r = check->kind->evaluate(e, f, check, at);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

/** @outer: marks of the schema that applies this one in place, if it wants them. */
static int apply(Eval *e, Frame *f, const JsonAt *at, const Scope *scope, size_t outer) {
        const Node *node = f->node;
        Scope own = {node->resource, scope};
        int r = frame_limits(e, f, at);
        if (r < 0 || node->kind == NODE_ANYTHING)
                return r;
        if (node->kind == NODE_NOTHING)
                return eval_fault(e, f, NULL, at, "is not allowed");
        f->scope = scope && scope->resource == node->resource ? scope : &own;
        f->marks = NO_MARKS;
        if ((outer != NO_MARKS || node->unevaluated) &&
            (json_is_object(at->value) || json_is_array(at->value)) && (r = marks_push(e, at, &f->marks)) < 0)
                return r;
        r = make_checks(e, f, at);
        if (f->marks != NO_MARKS)
                marks_pop(e, f->marks, r == 0 ? outer : NO_MARKS);
        return r;
}

int eval_in_place(Eval *e, const Frame *f, const Node *node, const JsonAt *at, unsigned mode) {
        Frame inner = {.node = node,
                       .depth = f->depth + 1,
                       .in_place = f->in_place + 1,
                       .level = f->level,
                       .loud = f->loud && !(mode & EVAL_QUIET)};
        return apply(e, &inner, at, f->scope, mode & EVAL_MARK ? f->marks : NO_MARKS);
}

int eval_child(Eval *e, const Frame *f, const Node *node, const JsonAt *child, unsigned mode) {
        Frame inner = {.node = node,
                       .depth = f->depth + 1,
                       .level = f->level + 1,
                       .loud = f->loud && !(mode & EVAL_QUIET)};
        return apply(e, &inner, child, f->scope, NO_MARKS);
}

int schema_validate(const Schema *s, const json_t *instance, Report *report) {
        Eval e = {.schema = s, .report = report, .steps_left = SCHEMA_STEPS_MAX};
        Frame f = {.node = s->root, .loud = report != NULL};
        JsonAt at = json_at_root(instance, report);
        int r = apply(&e, &f, &at, NULL, NO_MARKS);
        if (r == -ENOMEM && report)
                report->oom = true;
        free(e.marks);
        buf_deinit(&e.key);
        pattern_scratch_deinit(&e.scratch);
        return r;
}
