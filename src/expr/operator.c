/*
 * The operators of conditions, as a table
 *
 * A row says what the constant `value` must be and whether the test's answer is turned round: a new operator
 * is a new row and, if need be, a new test.
 */
#include "base/cleanup.h"
#include "expr/expr_internal.h"

#define EQUAL_DEPTH_MAX 512 /* values nested deeper are taken for different */

static int number_cmp(const json_t *a, const json_t *b) {
        if (json_is_integer(a) && json_is_integer(b)) {
                json_int_t x = json_integer_value(a), y = json_integer_value(b);
                return (x > y) - (x < y);
        }
        if (json_is_real(a) && json_is_real(b)) {
                double x = json_real_value(a), y = json_real_value(b);
                return (x > y) - (x < y);
        }
        if (json_is_real(a))
                return -number_cmp(b, a);
        /* An integer against a real: exact, although not every 64-bit integer is a double. */
        json_int_t i = json_integer_value(a);
        double d = json_real_value(b);
        if (d >= 0x1p63)
                return -1;
        if (d < -0x1p63)
                return 1;
        json_int_t whole = (json_int_t)d;
        double rest = d - (double)whole;
        return i != whole ? (i > whole) - (i < whole) : (rest < 0) - (rest > 0);
}

static bool equal(const json_t *a, const json_t *b, unsigned depth_left) {
        size_t i;
        const char *key;
        json_t *child;
        if (a == b)
                return true;
        if (json_is_number(a) && json_is_number(b))
                return number_cmp(a, b) == 0;
        if (json_typeof(a) != json_typeof(b) || depth_left == 0)
                return false;
        switch (json_typeof(a)) {
        case JSON_STRING:
                return slice_eq(json_string_slice(a), json_string_slice(b));
        case JSON_ARRAY:
                if (json_array_size(a) != json_array_size(b))
                        return false;
                json_array_foreach(a, i, child) {
                        if (!equal(child, json_array_get(b, i), depth_left - 1))
                                return false;
                }
                return true;
        case JSON_OBJECT:
                if (json_object_size(a) != json_object_size(b))
                        return false;
                json_object_foreach((json_t *)a, key, child) {
                        const json_t *other = json_object_get(b, key);
                        if (!other || !equal(child, other, depth_left - 1))
                                return false;
                }
                return true;
        default:
                return true; /* null, true, false: the type is all */
        }
}

static bool test_equal(const json_t *field, const json_t *value) {
        return equal(field, value, EQUAL_DEPTH_MAX);
}

static bool is_among(const json_t *value, const json_t *array) {
        size_t i;
        json_t *member;
        json_array_foreach(array, i, member) {
                if (equal(value, member, EQUAL_DEPTH_MAX))
                        return true;
        }
        return false;
}

static bool is_within(const json_t *part, const json_t *whole) {
        Slice p = json_string_slice(part), w = json_string_slice(whole);
        return p.n == 0 || memmem(w.data, w.n, p.data, p.n);
}

static bool both_strings(const json_t *a, const json_t *b) { return json_is_string(a) && json_is_string(b); }

static bool test_contains(const json_t *field, const json_t *value) {
        if (json_is_array(field))
                return is_among(value, field);
        if (json_is_object(field))
                return json_is_string(value) && json_object_get(field, json_string_value(value));
        return both_strings(field, value) && is_within(value, field);
}

static bool test_in(const json_t *field, const json_t *value) {
        return json_is_array(value) ? is_among(field, value)
                                    : both_strings(field, value) && is_within(field, value);
}

static bool test_exists(const json_t *field, const json_t *value) { return true; }

static bool test_starts(const json_t *field, const json_t *value) {
        return both_strings(field, value) &&
               slice_starts_with(json_string_slice(field), json_string_slice(value));
}

static bool test_ends(const json_t *field, const json_t *value) {
        return both_strings(field, value) &&
               slice_ends_with(json_string_slice(field), json_string_slice(value));
}

/** Do @a and @b have an order (two numbers, two strings)? */
static bool order(const json_t *a, const json_t *b, int *ret) {
        if (json_is_number(a) && json_is_number(b))
                *ret = number_cmp(a, b);
        else if (both_strings(a, b))
                *ret = slice_cmp(json_string_slice(a), json_string_slice(b));
        else
                return false;
        return true;
}

static bool test_gt(const json_t *field, const json_t *value) {
        int o;
        return order(field, value, &o) && o > 0;
}
static bool test_gte(const json_t *field, const json_t *value) {
        int o;
        return order(field, value, &o) && o >= 0;
}
static bool test_lt(const json_t *field, const json_t *value) {
        int o;
        return order(field, value, &o) && o < 0;
}
static bool test_lte(const json_t *field, const json_t *value) {
        int o;
        return order(field, value, &o) && o <= 0;
}

static const ExprOperator operators[] = {
                {"contains", WANT_ANY, false, test_contains},
                {"endsWith", WANT_STRING, false, test_ends},
                {"eq", WANT_ANY, false, test_equal},
                {"exists", WANT_NOTHING, false, test_exists},
                {"gt", WANT_ORDERED, false, test_gt},
                {"gte", WANT_ORDERED, false, test_gte},
                {"in", WANT_LIST, false, test_in},
                {"lt", WANT_ORDERED, false, test_lt},
                {"lte", WANT_ORDERED, false, test_lte},
                {"matches", WANT_PATTERN, false, NULL},
                {"ne", WANT_ANY, true, test_equal},
                {"notExists", WANT_NOTHING, true, test_exists},
                {"notIn", WANT_LIST, true, test_in},
                {"startsWith", WANT_STRING, false, test_starts},
};

static const char *const want_texts[] = {
                [WANT_LIST] = "an array or a string",
                [WANT_ORDERED] = "a number or a string",
                [WANT_STRING] = "a string",
                [WANT_PATTERN] = "a string",
};

bool expr_is_wanted(ExprWant want, const json_t *value) {
        switch (want) {
        case WANT_NOTHING:
        case WANT_ANY:
                return true;
        case WANT_LIST:
                return json_is_array(value) || json_is_string(value);
        case WANT_ORDERED:
                return json_is_number(value) || json_is_string(value);
        case WANT_PATTERN:
        case WANT_STRING:
                return json_is_string(value);
        }
        __builtin_unreachable();
}

const char *expr_want_text(ExprWant want) { return want_texts[want]; }

const ExprOperator *expr_operator_find(const JsonAt *test) {
        JsonAt at = json_at_key(test, "operator");
        const char *names[N_ELEMENTS(operators)];
        Slice name;
        if (!json_get_string_required(test, "operator", &name))
                return NULL;
        for (size_t i = 0; i < N_ELEMENTS(operators); i++) {
                if (slice_eq_str(name, operators[i].name))
                        return &operators[i];
                names[i] = operators[i].name;
        }
        Slice shown = expr_shown(name);
        const char *nearest = slice_nearest(name, names, N_ELEMENTS(operators));
        if (nearest)
                json_at_error(&at, "unknown operator \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown),
                              nearest);
        else
                json_at_error(&at,
                              "unknown operator \"%.*s\"; there are contains, endsWith, eq, exists, gt, gte, "
                              "in, lt, lte, "
                              "matches, ne, notExists, notIn and startsWith",
                              SLICE_ARG(shown));
        return NULL;
}
