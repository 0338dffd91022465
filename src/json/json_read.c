/*
 * Reading JSON
 *
 * jansson parses; this file bounds what reaches it and says what was wrong in terms of the sender's text.
 * Depth is counted in a pass of its own before anything is allocated. The getters walk a parsed document
 * with a cursor that knows its way back to the root, so that every fault is reported at its JSON pointer
 * and checking goes on: the sender sees all faults at once.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>

#include "base/cleanup.h"
#include "json/json_read.h"

#define PARSE_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)
#define INTEGER_EXACT_MAX 9007199254740992.0 /* 2^53 */
#define I64_DIGITS 19                        /* integers of fewer digits always fit */
#define PATH_LINKS_MAX 256                   /* cursors between a place and the root */
#define KEY_SHOWN_MAX 64                     /* bytes of an unknown key that are repeated to the sender */

/** The offset just after the string whose opening quote is before @i; text.n when it has no end. */
static size_t skip_string(Slice text, size_t i) {
        for (;;) {
                const char *quote = i < text.n ? memchr(text.data + i, '"', text.n - i) : NULL;
                if (!quote)
                        return text.n;
                size_t at = (size_t)(quote - text.data), backslashes = 0;
                while (at - backslashes > i && text.data[at - backslashes - 1] == '\\')
                        backslashes++;
                i = at + 1;
                if (backslashes % 2 == 0)
                        return i;
        }
}

/** The offset of the first bracket that is nested too deeply, text.n if there is none. */
static size_t find_too_deep(Slice text) {
        size_t depth = 0;
        for (size_t i = 0; i < text.n;) {
                switch (text.data[i++]) {
                case '"': i = skip_string(text, i); break;
                case '[':
                case '{':
                        if (++depth > JSON_DEPTH_MAX)
                                return i - 1;
                        break;
                case ']':
                case '}':
                        if (depth > 0) /* the parser will complain */
                                depth--;
                        break;
                default: break;
                }
        }
        return text.n;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- how much memory ----------------------------------------------------------------------------------- */

/* What jansson 2.14 takes from malloc on 64 bits for each of these, the neighbour's share included. */
#define OBJECT_BYTES 240 /* with its eight buckets */
#define ARRAY_BYTES 128  /* with room for eight */
#define MEMBER_BYTES 96  /* beside its key's bytes */
#define STRING_BYTES 80  /* beside its bytes */
#define NUMBER_BYTES 32
#define ITEM_BYTES 16    /* its place in the array */
#define BYTES_PER_BYTE_MAX 96 /* of tree per byte of text: "{}," is the densest */

size_t json_tree_estimate(Slice text) {
        size_t n_bytes = text.n, n_members = 0, n_strings = 0;
        bool in_number = false;
        for (size_t i = 0; i < text.n;) {
                char c = text.data[i++];
                bool number = is_digit(c) || c == '-';
                n_bytes += number && !in_number ? NUMBER_BYTES : 0;
                in_number = number || (in_number && (c == '.' || c == 'e' || c == 'E' || c == '+'));
                switch (c) {
                case '"':
                        i = skip_string(text, i);
                        n_strings++;
                        break;
                case '[': n_bytes += ARRAY_BYTES; break;
                case '{': n_bytes += OBJECT_BYTES; break;
                case ',': n_bytes += ITEM_BYTES; break;
                case ':': n_members++; break;
                default: break;
                }
        }
        size_t n_values = n_strings > n_members ? n_strings - n_members : 0;
        return n_bytes + n_members * MEMBER_BYTES + n_values * STRING_BYTES;
}

static bool tree_fits(Slice text, size_t max, const char *limit, Report *report) {
        size_t n = text.n > max / BYTES_PER_BYTE_MAX ? json_tree_estimate(text) : 0;
        if (n <= max)
                return true;
        report_set(report, RUNBOOK_TOO_LARGE,
                   "the JSON has %zu bytes and so many values that it would take %zu MiB of memory; %zu MiB are "
                   "allowed (%s)",
                   text.n, n >> 20, max >> 20, limit);
        return false;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

/** Copy @text, writing integers that don't fit 64 bits as reals. */
static void widen_integers(Slice text, Buf *b) {
        for (size_t i = 0; i < text.n;) {
                size_t start = i;
                if (text.data[i] == '"') {
                        i = skip_string(text, i + 1);
                        buf_put(b, text.data + start, i - start);
                        continue;
                }
                bool number = is_digit(text.data[i]);
                while (number && i < text.n && is_digit(text.data[i]))
                        i++;
                i += !number;
                buf_put(b, text.data + start, i - start);
                bool after_number =
                        start > 0 && (text.data[start - 1] == '.' || text.data[start - 1] == '+' ||
                                      text.data[start - 1] == 'e' || text.data[start - 1] == 'E');
                bool has_more =
                        i < text.n && (text.data[i] == '.' || text.data[i] == 'e' || text.data[i] == 'E');
                bool is_exponent = start > 1 && text.data[start - 1] == '-' &&
                                   (text.data[start - 2] == 'e' || text.data[start - 2] == 'E');
                if (!number || i - start < I64_DIGITS || after_number || has_more || is_exponent)
                        continue;
                uint64_t v, max = (uint64_t)INT64_MAX + (start > 0 && text.data[start - 1] == '-');
                if (!slice_to_u64((Slice){text.data + start, i - start}, &v) || v > max)
                        buf_put_str(b, ".0");
        }
}

static json_t *load_once(Slice text, json_error_t *error) {
        /* jansson says nothing when memory runs out, so that is what silence means. */
        *error = (json_error_t){0};
        error->text[JSON_ERROR_TEXT_LENGTH - 1] = (char)json_error_out_of_memory;
        return json_loadb(text.data ? text.data : "", text.n, PARSE_FLAGS, error);
}

/** jansson, and once more with wide integers made real if it met one. */
static json_t *load(Slice text, json_error_t *error) {
        json_t *json = load_once(text, error);
        if (json || json_error_code(error) != json_error_numeric_overflow)
                return json;
        _cleanup_(buf_deinit) Buf b = {0};
        widen_integers(text, &b);
        if (!b.error)
                return load_once(buf_slice(&b), error);
        error->text[JSON_ERROR_TEXT_LENGTH - 1] = (char)json_error_out_of_memory;
        return NULL;
}

json_t *json_parse_own(Slice text) {
        json_error_t error;
        return load(text, &error);
}

bool json_is_damaged(Slice text) {
        json_error_t error;
        json_t *json = load(text, &error);
        json_decref(json);
        return !json && json_error_code(&error) != json_error_out_of_memory;
}

/** Our words for what jansson finds; NULL: its own are good. */
static const char *error_sentence(enum json_error_code code) {
        switch (code) {
        case json_error_invalid_utf8: return "the text is not UTF-8";
        case json_error_null_character:
        case json_error_null_byte_in_key: return "strings must not hold \\u0000";
        case json_error_numeric_overflow: return "a number is too large";
        case json_error_end_of_input_expected: return "there is more text after the value";
        case json_error_premature_end_of_input: return "the text ends before the value does";
        default: return NULL;
        }
}

static void report_load_error(Report *report, const json_error_t *error) {
        enum json_error_code code = json_error_code(error);
        if (code == json_error_out_of_memory) {
                report->oom = true;
                report_set(report, RUNBOOK_INTERNAL, "out of memory while reading JSON");
                return;
        }
        const char *sentence = error_sentence(code);
        report_set(report, RUNBOOK_INVALID_JSON, "invalid JSON at line %d, column %d: %s", error->line,
                   error->column, sentence ? sentence : error->text);
}

static void report_too_deep(Report *report, Slice text, size_t at) {
        size_t line = 1, column = 1;
        for (size_t i = 0; i < at; i++) {
                column++;
                if (text.data[i] == '\n') {
                        line++;
                        column = 1;
                }
        }
        report_set(report, RUNBOOK_TOO_DEEP,
                   "the JSON is nested more than %d levels deep (JSON_DEPTH_MAX) at line %zu, column %zu",
                   JSON_DEPTH_MAX, line, column);
}

json_t *json_parse(Slice text, size_t size_max, Report *report) {
        return json_parse_within(text, size_max, JSON_TREE_BYTES_MAX, "JSON_TREE_BYTES_MAX", report);
}

json_t *json_parse_within(Slice text, size_t size_max, size_t tree_max, const char *limit, Report *report) {
        if (text.n > size_max) {
                report_set(report, RUNBOOK_TOO_LARGE, "the JSON has %zu bytes, more than the %zu allowed",
                           text.n, size_max);
                return NULL;
        }
        if (text.n == 0) {
                report_set(report, RUNBOOK_INVALID_JSON,
                           "invalid JSON at line 1, column 1: there is no text at all");
                return NULL;
        }
        size_t too_deep = find_too_deep(text);
        if (too_deep < text.n) {
                report_too_deep(report, text, too_deep);
                return NULL;
        }
        if (!tree_fits(text, tree_max, limit, report))
                return NULL;
        json_error_t error;
        json_t *json = load(text, &error);
        if (!json)
                report_load_error(report, &error);
        return json;
}

JsonAt json_at_root(const json_t *value, Report *report) {
        return (JsonAt){.value = value, .report = report};
}

JsonAt json_at_key(const JsonAt *parent, const char *key) {
        const json_t *value = json_object_get(parent->value, key);
        return (JsonAt){.value = json_is_null(value) ? NULL : value,
                        .parent = parent,
                        .key = key,
                        .report = parent->report};
}

JsonAt json_at_index(const JsonAt *parent, size_t index) {
        const json_t *value = json_array_get(parent->value, index);
        return (JsonAt){.value = json_is_null(value) ? NULL : value,
                        .parent = parent,
                        .index = index,
                        .report = parent->report};
}

/** A path being written; what would not fit is cut off once and for all. */
typedef struct Path {
        char *p;
        size_t n;
        bool cut;
} Path;

static void path_put(Path *path, const char *data, size_t n) {
        if (path->cut || n > JSON_POINTER_MAX - path->n) {
                path->cut = true;
                return;
        }
        memcpy(path->p + path->n, data, n);
        path->n += n;
}

/** A key with RFC 6901's two escapes, cut at whole characters. */
static void path_put_key(Path *path, const char *key) {
        while (*key && !path->cut) {
                size_t plain = strcspn(key, "~/");
                Slice fits = slice_cut_utf8((Slice){key, plain}, JSON_POINTER_MAX - path->n);
                path_put(path, fits.data, fits.n);
                if (fits.n < plain)
                        path->cut = true;
                key += plain;
                if (*key) {
                        path_put(path, *key == '~' ? "~0" : "~1", 2);
                        key++;
                }
        }
}

const char *json_at_path(const JsonAt *at, char buf[JSON_POINTER_MAX + 8]) {
        const JsonAt *links[PATH_LINKS_MAX];
        size_t n = 0;
        for (; at->parent && n < PATH_LINKS_MAX; at = at->parent)
                links[n++] = at;
        Path path = {.p = buf};
        while (n > 0) {
                const JsonAt *link = links[--n];
                char index[24];
                path_put(&path, "/", 1);
                if (link->key)
                        path_put_key(&path, link->key);
                else
                        path_put(&path, index, (size_t)snprintf(index, sizeof(index), "%zu", link->index));
        }
        memcpy(buf + path.n, path.cut ? "…" : "", path.cut ? sizeof("…") : 1);
        return buf;
}

int json_at_error(const JsonAt *at, const char *format, ...) {
        char path[JSON_POINTER_MAX + 8];
        va_list ap;
        va_start(ap, format);
        report_vdetail(at->report, json_at_path(at, path), format, ap);
        va_end(ap);
        return -EINVAL;
}

const char *json_type_text(const json_t *value) {
        static const char *const texts[] = {
                [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
                [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
                [JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
        };
        return value ? texts[json_typeof(value)] : "nothing";
}

/** Report at @at that it should be @wanted. */
static bool wrong_type(const JsonAt *at, const char *wanted) {
        json_at_error(at, "must be %s, is %s", wanted, json_type_text(at->value));
        return false;
}

bool json_get_string(const JsonAt *object, const char *key, Slice *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return false;
        if (!json_is_string(at.value))
                return wrong_type(&at, "a string");
        Slice s = json_string_slice(at.value);
        if (memchr(s.data, '\0', s.n)) {
                json_at_error(&at, "must not hold the character U+0000");
                return false;
        }
        *ret = s;
        return true;
}

bool json_get_string_required(const JsonAt *object, const char *key, Slice *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value) {
                json_at_error(&at, "is required, and must be a string");
                return false;
        }
        return json_get_string(object, key, ret);
}

bool json_get_bool(const JsonAt *object, const char *key, bool *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return false;
        if (!json_is_boolean(at.value))
                return wrong_type(&at, "true or false");
        *ret = json_is_true(at.value);
        return true;
}

/** The whole number that @value is, spelled as an integer or not (1e3, 2.0). */
static bool as_i64(const json_t *value, int64_t *ret) {
        if (json_is_integer(value)) {
                *ret = json_integer_value(value);
                return true;
        }
        double d = json_real_value(value);
        if (!json_is_real(value) || fabs(d) > INTEGER_EXACT_MAX || d != trunc(d))
                return false;
        *ret = (int64_t)d;
        return true;
}

bool json_get_i64(const JsonAt *object, const char *key, int64_t min, int64_t max, int64_t *ret) {
        JsonAt at = json_at_key(object, key);
        int64_t v;
        if (!at.value)
                return false;
        if (!json_is_number(at.value))
                return wrong_type(&at, "a whole number");
        bool whole = as_i64(at.value, &v);
        if (whole && v >= min && v <= max) {
                *ret = v;
                return true;
        }
        if (!whole && json_real_value(at.value) != trunc(json_real_value(at.value)))
                json_at_error(&at, "must be a whole number, is %.17g", json_real_value(at.value));
        else if (max == INT64_MAX && whole && v < min)
                json_at_error(&at, "must be at least %lld, is %lld", (long long)min, (long long)v);
        else if (whole)
                json_at_error(&at, "must be between %lld and %lld, is %lld", (long long)min, (long long)max,
                              (long long)v);
        else
                json_at_error(&at, "must be between %lld and %lld, is %.17g", (long long)min, (long long)max,
                              json_real_value(at.value));
        return false;
}

bool json_get_number(const JsonAt *object, const char *key, double min, double max, double *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return false;
        if (!json_is_number(at.value))
                return wrong_type(&at, "a number");
        double v = json_number_value(at.value);
        if (!(v >= min && v <= max)) {
                json_at_error(&at, "must be between %.15g and %.15g, is %.15g", min, max, v);
                return false;
        }
        *ret = v;
        return true;
}

bool json_get_object(const JsonAt *object, const char *key, JsonAt *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return false;
        if (!json_is_object(at.value))
                return wrong_type(&at, "an object");
        *ret = at;
        return true;
}

bool json_get_array(const JsonAt *object, const char *key, JsonAt *ret) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return false;
        if (!json_is_array(at.value))
                return wrong_type(&at, "an array");
        *ret = at;
        return true;
}

static bool is_known(const char *key, const char *const *known, size_t n_known) {
        for (size_t i = 0; i < n_known; i++)
                if (!strcmp(key, known[i]))
                        return true;
        return false;
}

static void report_unknown(const JsonAt *object, const char *key, const char *const *known, size_t n_known) {
        if (object->report->n_details >=
            REPORT_DETAILS_MAX) { /* don't search names for a million unknown keys */
                object->report->n_dropped++;
                return;
        }
        JsonAt at = {.parent = object, .key = key, .report = object->report};
        Slice whole = slice_from_str(key), shown = slice_cut_utf8(whole, KEY_SHOWN_MAX);
        const char *nearest = slice_nearest(whole, known, n_known);
        const char *mark = shown.n < whole.n ? "…" : "";
        if (nearest)
                json_at_error(&at, "unknown field \"%.*s%s\"; did you mean \"%s\"?", SLICE_ARG(shown), mark,
                              nearest);
        else
                json_at_error(&at, "unknown field \"%.*s%s\"", SLICE_ARG(shown), mark);
}

void json_check_keys(const JsonAt *object, const char *const *known, size_t n_known) {
        json_t *o = (json_t *)object->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
                const char *key = json_object_iter_key(it);
                if (!is_known(key, known, n_known))
                        report_unknown(object, key, known, n_known);
        }
}
