#pragma once
/* Expressions over a small world: roots and names are members of one JSON object. */

#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "expr/expr.h"
#include "json/json_write.h"

static inline void unref_json(json_t **json) { json_decref(*json); }
#define _cleanup_json_ _cleanup_(unref_json)

/** JSON from text in which ' stands for ". */
static inline json_t *json_of(const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        for (char *p = copy; *p; p++)
                *p = *p == '\'' ? '"' : *p;
        json_error_t error;
        json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);
        cr_assert_not_null(json, "%s: %s", text, error.text);
        return json;
}

static const json_t *world_head(void *userdata, const ExprPath *path, uint32_t *ret_used) {
        static const char *const roots[] = {
                        [EXPR_ROOT_CONTEXT] = "context", [EXPR_ROOT_EXECUTION] = "execution",
                        [EXPR_ROOT_INPUT] = "input",     [EXPR_ROOT_LOOP] = "loop",
                        [EXPR_ROOT_SECRETS] = "secrets", [EXPR_ROOT_STEPS] = "steps"};
        const json_t *world = userdata;
        *ret_used = path->root == EXPR_ROOT_NAME;
        return json_object_get(world, *ret_used ? path->segments[0].key.data : roots[path->root]);
}

static inline ExprEnv world_env(const json_t *world) {
        return (ExprEnv){.head = world_head, .userdata = (void *)world};
}

static inline void expect_json(const json_t *json, const char *canonical) {
        _cleanup_(buf_deinit) Buf b = {0};
        cr_assert_not_null(json, "nothing, not %s", canonical);
        cr_assert_eq(json_canonical(json, &b), 0);
        cr_assert(slice_eq_str(buf_slice(&b), canonical), "%.*s, not %s", (int)b.n, b.data, canonical);
}

/** There is exactly one fault, at @path, with @part in its sentence. */
static inline void expect_fault(const Report *report, const char *path, const char *part) {
        cr_assert_eq(report->n_details, 1, "%zu faults, the first: %s", report->n_details,
                     report->n_details ? report->details[0].message : "");
        cr_assert_str_eq(report->details[0].path, path);
        cr_assert(strstr(report->details[0].message, part), "%s", report->details[0].message);
}
