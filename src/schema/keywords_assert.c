/*
 * Keywords that assert: limits of numbers and sizes, types, values, patterns
 *
 * What they compare with is brought into the form that is compared: numbers in numeric.h's, values as keys
 * (key.h).
 */
#include <errno.h>
#include <stdlib.h>

#include "json/json_write.h"
#include "schema/key.h"
#include "schema/keyword.h"

#define SHOWN_LIMIT 4096                   /* bytes of a value's text that are made at all */
#define COUNT_EDGE  18446744073709551616.0 /* 2^64 */

/** "text", cut, in the schema's memory. */
static const char *shown_copy(Compiler *c, Slice text) {
        Slice cut = slice_cut_utf8(text, SHOWN_BYTES);
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_slice(&b, cut);
        if (cut.n < text.n)
                buf_put_str(&b, "…");
        if (b.error) {
                compiler_oom(c);
                return NULL;
        }
        return compiler_dup(c, buf_slice(&b)).data;
}

static const char *shown_value(Compiler *c, const json_t *value) {
        _cleanup_(buf_deinit) Buf b = {.limit = SHOWN_LIMIT};
        if (json_canonical(value, &b) == -ENOMEM) {
                compiler_oom(c);
                return NULL;
        }
        return shown_copy(c, buf_slice(&b));
}

void keyword_limit_number(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!keyword_expect(c, at, TYPES_NUMBER, "a number"))
                return;
        Number n = number_of(at->value);
        if (k->kind == &check_multiple_of && number_cmp(n, (Number){.is_i64 = true}) <= 0)
                compiler_fault(c, at, "must be greater than 0");
        else
                draft_check(d, k->kind)->number = n;
}

bool keyword_count(Compiler *c, const JsonAt *at, uint64_t *ret) {
        if (!keyword_expect(c, at, TYPES_NUMBER, "a whole number"))
                return false;
        Number n = number_of(at->value);
        if (!number_is_whole(n) || number_cmp(n, (Number){.is_i64 = true}) < 0) {
                compiler_fault(c, at, "must be a whole number that is not negative");
                return false;
        }
        *ret = n.is_i64 ? (uint64_t)n.i : n.d < COUNT_EDGE ? (uint64_t)n.d : UINT64_MAX;
        return true;
}

void keyword_limit_count(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        uint64_t count;
        if (keyword_count(c, at, &count))
                draft_check(d, k->kind)->count = count;
}

static const struct TypeName {
        const char *name, *shown;
        unsigned mask;
} type_names[] = {
                {"array", "an array", TYPES_ARRAY},
                {"boolean", "a boolean", TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE)},
                {"integer", "an integer", TYPES_NUMBER | TYPE_WHOLE},
                {"null", "null", TYPE_BIT(JSON_NULL)},
                {"number", "a number", TYPES_NUMBER},
                {"object", "an object", TYPES_OBJECT},
                {"string", "a string", TYPES_STRING},
};

static const struct TypeName *take_type_name(Compiler *c, const JsonAt *at) {
        if (!keyword_expect(c, at, TYPES_STRING, "the name of a type"))
                return NULL;
        const char *candidates[N_ELEMENTS(type_names)];
        Slice text = json_string_slice(at->value);
        for (size_t i = 0; i < N_ELEMENTS(type_names); i++) {
                candidates[i] = type_names[i].name;
                if (slice_eq_str(text, candidates[i]))
                        return &type_names[i];
        }
        Slice shown = slice_cut_utf8(text, SHOWN_BYTES);
        const char *nearest = slice_nearest(text, candidates, N_ELEMENTS(candidates));
        if (nearest)
                compiler_fault(c, at, "there is no type \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown),
                               nearest);
        else
                compiler_fault(c, at, "there is no type \"%.*s\"", SLICE_ARG(shown));
        return NULL;
}

void keyword_type(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        unsigned mask = 0, seen = 0;
        _cleanup_(buf_deinit) Buf shown = {0};
        bool list = json_is_array(at->value), fractions = false;
        if (!keyword_expect(c, at, TYPES_ARRAY | TYPES_STRING, "the name of a type, or an array of them"))
                return;
        size_t n = list ? json_array_size(at->value) : 1;
        if (n == 0)
                compiler_fault(c, at, "must name at least one type");
        for (size_t i = 0; i < n; i++) {
                JsonAt item = list ? at_item(at, i) : *at;
                const struct TypeName *t = take_type_name(c, &item);
                if (!t)
                        return;
                unsigned bit = 1u << (t - type_names);
                if (seen & bit) {
                        compiler_fault(c, &item, "\"%s\" is there more than once", t->name);
                        return;
                }
                seen |= bit;
                buf_put_str(&shown, i == 0 ? "" : i + 1 == n ? " or " : ", ");
                buf_put_str(&shown, t->shown);
                mask |= t->mask;
                fractions |= t->mask == TYPES_NUMBER;
        }
        if (fractions) /* "integer" beside "number" says nothing more */
                mask &= ~TYPE_WHOLE;
        Slice copy = shown.error ? SLICE_NULL : compiler_dup(c, buf_slice(&shown));
        if (shown.error)
                compiler_oom(c);
        if (copy.data)
                draft_check(d, k->kind)->types = (Types){mask, copy.data};
}

static int key_cmp(const void *a, const void *b) { return slice_cmp(*(const Slice *)a, *(const Slice *)b); }

/** The keys of @n values; several may be equal. */
static void take_values(Compiler *c, Draft *d, const JsonAt *at, const CheckKind *kind, size_t n) {
        Values values = {.n = n, .keys = COMPILER_NEW(c, Slice, n + 1)};
        _cleanup_(buf_deinit) Buf b = {0};
        for (size_t i = 0; values.keys && i < n; i++) {
                size_t work = 0;
                buf_reset(&b);
                int r = key_put(&b, kind == &check_enum ? json_array_get(at->value, i) : at->value, &work,
                                SIZE_MAX);
                if (r == -EOVERFLOW)
                        compiler_fault(c, at, "is nested more than %d levels deep (JSON_DEPTH_MAX)",
                                       JSON_DEPTH_MAX);
                else if (r < 0)
                        compiler_oom(c);
                values.keys[i] = r < 0 ? SLICE_NULL : compiler_dup(c, buf_slice(&b));
                if (!values.keys[i].data)
                        return;
                values.longest = values.keys[i].n > values.longest ? values.keys[i].n : values.longest;
        }
        if (!values.keys)
                return;
        if (n > 1)
                qsort(values.keys, n, sizeof(*values.keys), key_cmp);
        values.shown = shown_value(c, at->value);
        draft_check(d, kind)->values = values;
}

void keyword_enum(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (keyword_expect(c, at, TYPES_ARRAY, "an array"))
                take_values(c, d, at, k->kind, json_array_size(at->value));
}

void keyword_const(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        take_values(c, d, at, k->kind, 1);
}

Pattern *keyword_pattern(Compiler *c, const JsonAt *at, Slice text) {
        Schema *s = c->schema;
        size_t bytes = 0;
        if (++c->n_patterns > SCHEMA_PATTERNS_MAX || s->pattern_bytes > SCHEMA_BYTES_MAX) {
                compiler_fault(c, at,
                               "the schema has more than %d patterns, or they take more than %d bytes of "
                               "memory "
                               "(SCHEMA_PATTERNS_MAX, SCHEMA_BYTES_MAX)",
                               SCHEMA_PATTERNS_MAX, SCHEMA_BYTES_MAX);
                return NULL;
        }
        if (COMPILER_GROW(c, s->patterns, s->n_patterns, s->cap_patterns) < 0)
                return NULL;
        Pattern *p = pattern_compile(at, text, &bytes);
        c->failed |= !p;
        if (p) {
                s->patterns[s->n_patterns++] = p;
                s->pattern_bytes += bytes;
        }
        return p;
}

void keyword_pattern_text(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!keyword_expect(c, at, TYPES_STRING, "a string"))
                return;
        Pattern *p = keyword_pattern(c, at, json_string_slice(at->value));
        if (p)
                draft_check(d, k->kind)->pattern =
                                (TextPattern){p, shown_copy(c, json_string_slice(at->value))};
}

void keyword_unique(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (keyword_expect(c, at, TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE), "true or false") &&
            json_is_true(at->value))
                draft_check(d, k->kind);
}

void keyword_required(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Names names = {0};
        if (keyword_names(c, at, &names) && names.n > 0)
                draft_check(d, k->kind)->names = names;
}
