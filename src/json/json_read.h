#pragma once
/* Reading JSON: bounded parsing, and typed getters that report every fault at its JSON pointer. */

#include <jansson.h>
#include "base/report.h"

#define JSON_DEPTH_MAX 64            /* nesting of any document we take */
#define JSON_POINTER_MAX 1024        /* bytes of a path shown to people; longer ones are cut with "…" */
#define JSON_TREE_BYTES_MAX (512UL << 20) /* memory of the tree of any document we take, estimated before it is made */

/**
 * Parse @text: UTF-8, at most @size_max bytes and JSON_DEPTH_MAX deep, no duplicate keys, any value at the top.
 * Depth and size are checked before the parser runs. On failure @report has INVALID_JSON, TOO_DEEP or
 * TOO_LARGE with line and column, and NULL is returned. Else an owned reference.
 */
json_t *json_parse(Slice text, size_t size_max, Report *report);
/** The same with another limit for the tree's memory (TOO_LARGE), which @limit names for people. */
json_t *json_parse_within(Slice text, size_t size_max, size_t tree_max, const char *limit, Report *report);
/** What the tree of @text will take in memory, within some tens of percent, and rather too much. */
size_t json_tree_estimate(Slice text);

/**
 * Parse bytes that this program wrote: no limits but the parser's own, no report. NULL when they are not JSON
 * or memory ran out. Integers beyond 64 bits become reals, here and in json_parse.
 */
json_t *json_parse_own(Slice text);
/** After json_parse_own gave NULL: because of what stands there (true), or because memory ran out? */
bool json_is_damaged(Slice text);

/** A cursor: a value and where it stands. Children link to their parents, so a path costs nothing. */
typedef struct JsonAt {
        const json_t *value;          /* borrowed; NULL: absent */
        const struct JsonAt *parent;
        const char *key;              /* when the parent is an object */
        size_t index;                 /* when the parent is an array */
        Report *report;               /* where faults go */
} JsonAt;

JsonAt json_at_root(const json_t *value, Report *report);
JsonAt json_at_key(const JsonAt *parent, const char *key);   /* value NULL when absent or JSON null */
JsonAt json_at_index(const JsonAt *parent, size_t index);
/** Write the RFC 6901 pointer of @at into @buf; returns @buf. */
const char *json_at_path(const JsonAt *at, char buf[JSON_POINTER_MAX + 8]);
/** report_detail at this place. Returns -EINVAL always. */
int json_at_error(const JsonAt *at, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Getters. Absent optional members leave *ret untouched and give false; a wrong type or range is
 * reported ("must be a string, is a number") and gives false. The `_required` ones report absence too.
 * Slices borrow from the tree; strings holding NUL are refused.
 */
bool json_get_string(const JsonAt *object, const char *key, Slice *ret);
bool json_get_string_required(const JsonAt *object, const char *key, Slice *ret);
bool json_get_bool(const JsonAt *object, const char *key, bool *ret);
bool json_get_i64(const JsonAt *object, const char *key, int64_t min, int64_t max, int64_t *ret);
bool json_get_number(const JsonAt *object, const char *key, double min, double max, double *ret);
/** The member as a cursor of the wanted type; false if absent or (reported) of another type. */
bool json_get_object(const JsonAt *object, const char *key, JsonAt *ret);
bool json_get_array(const JsonAt *object, const char *key, JsonAt *ret);
/**
 * Report every member whose key is not in @known (sorted or not), with the nearest known name:
 * `unknown field "dependson"; did you mean "dependsOn"?`
 */
void json_check_keys(const JsonAt *object, const char *const *known, size_t n_known);
/** "a string", "an object", … for messages; "nothing" for NULL. */
const char *json_type_text(const json_t *value);
static inline Slice json_string_slice(const json_t *string) {
        return (Slice){json_string_value(string), json_string_length(string)};
}
