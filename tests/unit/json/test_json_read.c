#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/json_read.h"

TestSuite(json_read, .fini = check_leaks);

static void unref_json(json_t **json) { json_decref(*json); }
#define _cleanup_json_ _cleanup_(unref_json)

static json_t *parse(const char *text) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = json_parse(slice_from_str(text), 1 << 20, &report);
        cr_assert_not_null(json, "%s: %s", text, report.message);
        cr_assert_not(report_is_error(&report));
        return json;
}

static void expect_error(Slice text, size_t size_max, RunbookCode code, const char *message_part) {
        _cleanup_(report_deinit) Report report = {0};
        cr_assert_null(json_parse(text, size_max, &report), "%.*s", SLICE_ARG(text));
        cr_assert_eq(report.code, code, "%.*s: %s", SLICE_ARG(text), report.message);
        cr_assert_not_null(strstr(report.message, message_part), "%s", report.message);
}

/** @n times @open, then @middle, then @n times @close. */
static char *nested(int n, const char *open, const char *middle, const char *close) {
        Buf b = {0};
        for (int i = 0; i < n; i++)
                buf_put_str(&b, open);
        buf_put_str(&b, middle);
        for (int i = 0; i < n; i++)
                buf_put_str(&b, close);
        return buf_steal_str(&b);
}

Test(json_read, any_value_at_the_top) {
        const char *const texts[] = {"null",  "true", "1",  "-1.5e3",
                                     "\"x\"", "[]",   "{}", " \n[1, {\"a\": [2]}]\t"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                json_decref(parse(texts[i]));
}

Test(json_read, malformed) {
        const char *const texts[] = {"{",         "[1,]",     "{\"a\":}", "nul",         "'a'", "[1 2]",
                                     "{\"a\" 1}", "01",       "1.",       "+1",          "NaN", "Infinity",
                                     "\"\\x\"",   "\"a\nb\"", "[1]]",     "\"\\ud800\"", "}",   "]",
                                     "[\"a\\\"",  "// c\n1",  " ",        "{\"a\":1,}",  "\"",  "[\"\\\\\"",
                                     "{a:1}",     "0x10"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                expect_error(slice_from_str(texts[i]), 1000, RUNBOOK_INVALID_JSON, "line 1, column");
        expect_error(SLICE_NULL, 1000, RUNBOOK_INVALID_JSON, "no text");
        expect_error(SLICE("{\n \"a\": 1,\n \"b\": x\n}"), 1000, RUNBOOK_INVALID_JSON, "line 3, column");
        expect_error(SLICE("1 2"), 1000, RUNBOOK_INVALID_JSON, "more text after");
        expect_error(SLICE("{\"a\":1,\"a\":2}"), 1000, RUNBOOK_INVALID_JSON, "duplicate");
        expect_error(SLICE("[1e400]"), 1000, RUNBOOK_INVALID_JSON, "too large");
        expect_error(SLICE("[-1e400]"), 1000, RUNBOOK_INVALID_JSON, "too large");
}

Test(json_read, nul_in_every_disguise) {
        expect_error(SLICE("\"a\\u0000b\""), 1000, RUNBOOK_INVALID_JSON, "\\u0000");
        expect_error(SLICE("{\"a\\u0000b\": 1}"), 1000, RUNBOOK_INVALID_JSON, "\\u0000");
        expect_error(SLICE("\"a\0b\""), 1000, RUNBOOK_INVALID_JSON, "line 1");
        expect_error(SLICE("[1]\0"), 1000, RUNBOOK_INVALID_JSON, "line 1");
        expect_error(SLICE("\0"), 1000, RUNBOOK_INVALID_JSON, "line 1");
}

Test(json_read, what_is_not_utf8) {
        const Slice texts[] = {SLICE("\"\xff\""),         SLICE("\"\xc0\x80\""),
                               SLICE("\"\xed\xa0\x80\""), SLICE("\"\xe2\x82\""),
                               SLICE("{\"\xfe\":1}"),     SLICE("[1,\"ok\",\"\xf5\x80\x80\x80\"]")};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                expect_error(texts[i], 1000, RUNBOOK_INVALID_JSON, "not UTF-8");
}

Test(json_read, size) {
        expect_error(SLICE("[1,2,3]"), 6, RUNBOOK_TOO_LARGE, "7 bytes, more than the 6");
        json_t *json;
        _cleanup_(report_deinit) Report report = {0};
        cr_assert_not_null(json = json_parse(SLICE("[1,2,3]"), 7, &report));
        json_decref(json);
}

/** @n times @unit between @head and @tail, and the limit for its tree. */
static RunbookCode parse_many(const char *head, const char *unit, int n, const char *tail, size_t tree_max) {
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_(report_deinit) Report report = {0};
        buf_put_str(&b, head);
        for (int i = 0; i < n; i++)
                buf_put_str(&b, unit);
        buf_put_str(&b, tail);
        json_decref(json_parse_within(buf_slice(&b), 64 << 20, tree_max, "THE_LIMIT", &report));
        if (report.code == RUNBOOK_TOO_LARGE)
                cr_assert_not_null(strstr(report.message, "THE_LIMIT"));
        return report.code;
}

Test(json_read, documents_of_too_many_values_are_not_made) {
        cr_assert_eq(parse_many("[", "{},", 10000, "1]", 3 << 20), RUNBOOK_OK);
        cr_assert_eq(parse_many("[", "{},", 10000, "1]", 2 << 20), RUNBOOK_TOO_LARGE);
        cr_assert_eq(parse_many("[", "1,", 100000, "1]", 4 << 20), RUNBOOK_TOO_LARGE);
        cr_assert_eq(parse_many("[", "1,", 100000, "1]", 6 << 20), RUNBOOK_OK);
        cr_assert_eq(parse_many("[\"", "{[,:1", 100000, "\"]", 1 << 20), RUNBOOK_OK, "text is only text");
}

/** What the estimate says against what malloc says. */
Test(json_read, the_estimate_is_near) {
        static const char *const units[] = {"1,", "[],", "{},", "{\"a\":{}},", "\"\",", "1.5e3,", "[[[[[1]]]]],",
                                            "{\"id\":\"s100\",\"type\":\"wait\",\"dependsOn\":[\"a\"]},"};
        for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
                _cleanup_(buf_deinit) Buf b = {0};
                buf_put_char(&b, '[');
                for (int i = 0; i < 20000; i++)
                        buf_put_str(&b, units[u]);
                buf_put_str(&b, "1]");
                struct mallinfo2 before = mallinfo2();
                json_t *json = json_parse_own(buf_slice(&b));
                struct mallinfo2 after = mallinfo2();
                size_t real = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
                size_t estimate = json_tree_estimate(buf_slice(&b));
                json_decref(json);
                if (real == 0)
                        cr_skip("this malloc does not say what it holds");
                cr_assert(estimate >= real && estimate < real * 3 / 2, "%s: %zu for %zu", units[u], estimate, real);
        }
}

Test(json_read, depth) {
        static const struct {
                const char *open, *middle, *close;
        } shapes[] = {{"[", "", "]"}, {"{\"a\":", "1", "}"}, {"[\"]]]\\\"]\",", "0", "]"}};
        for (size_t i = 0; i < N_ELEMENTS(shapes); i++) {
                _cleanup_free_ char *deepest =
                        nested(JSON_DEPTH_MAX, shapes[i].open, shapes[i].middle, shapes[i].close);
                json_decref(parse(deepest));
                _cleanup_free_ char *deeper =
                        nested(JSON_DEPTH_MAX + 1, shapes[i].open, shapes[i].middle, shapes[i].close);
                expect_error(slice_from_str(deeper), SIZE_MAX, RUNBOOK_TOO_DEEP,
                             "more than 64 levels deep (JSON_DEPTH_MAX) at line 1, column");
                _cleanup_free_ char *absurd =
                        nested(100000, shapes[i].open, shapes[i].middle, shapes[i].close);
                expect_error(slice_from_str(absurd), SIZE_MAX, RUNBOOK_TOO_DEEP, "line 1");
        }
        _cleanup_free_ char *open_only = nested(100000, "[\n", "", "");
        expect_error(slice_from_str(open_only), SIZE_MAX, RUNBOOK_TOO_DEEP, "line 65, column 1");
        _cleanup_free_ char *brackets_in_text = nested(
                1, "\"", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "\"");
        json_decref(parse(brackets_in_text));
        _cleanup_free_ char *wide = nested(1000, "[],", "", "");
        expect_error(slice_from_str(wide), SIZE_MAX, RUNBOOK_INVALID_JSON, "more text after");
        _cleanup_free_ char *upside_down = nested(1000, "]", "", "");
        expect_error(slice_from_str(upside_down), SIZE_MAX, RUNBOOK_INVALID_JSON, "line 1");
}

Test(json_read, integers_beyond_64_bits_become_reals) {
        _cleanup_json_ json_t *json = parse(
                "{\"99999999999999999999\": [9223372036854775807, 9223372036854775808, -9223372036854775808,"
                " -9223372036854775809, 1e-10, 12345678901234567890123.5, 1E+0000000000000000000001,"
                " 0.1234567890123456789012, 1e-0000000000000000000002, \"\\\"99999999999999999999\"]}");
        const json_t *list = json_object_get(json, "99999999999999999999");
        cr_assert_eq(json_integer_value(json_array_get(list, 0)), INT64_MAX);
        cr_assert_eq(json_real_value(json_array_get(list, 1)), 9223372036854775808.0);
        cr_assert_eq(json_integer_value(json_array_get(list, 2)), INT64_MIN);
        cr_assert_eq(json_real_value(json_array_get(list, 3)), -9223372036854775808.0);
        cr_assert_eq(json_real_value(json_array_get(list, 4)), 1e-10);
        cr_assert_eq(json_real_value(json_array_get(list, 5)), 12345678901234567890123.5);
        cr_assert_eq(json_real_value(json_array_get(list, 6)), 10.0);
        cr_assert_eq(json_real_value(json_array_get(list, 7)), 0.1234567890123456789012);
        cr_assert_eq(json_real_value(json_array_get(list, 8)), 0.01);
        cr_assert_str_eq(json_string_value(json_array_get(list, 9)), "\"99999999999999999999");
        Buf b = {0};
        for (int i = 0; i < 400; i++)
                buf_put_char(&b, '9');
        expect_error(buf_slice(&b), 1000, RUNBOOK_INVALID_JSON, "a number is too large");
        buf_deinit(&b);
}

/* --- cursors and getters --- */

typedef struct Fixture {
        json_t *json;
        Report report;
        JsonAt root;
} Fixture;

static void fixture_init(Fixture *f, const char *text) {
        *f = (Fixture){.json = parse(text)};
        f->root = json_at_root(f->json, &f->report);
}

static void fixture_deinit(Fixture *f) {
        json_decref(f->json);
        report_deinit(&f->report);
}

#define FIXTURE(f, text) _cleanup_(fixture_deinit) Fixture f; fixture_init(&f, text)

static void expect_detail(const Fixture *f, size_t i, const char *path, const char *message) {
        cr_assert_lt(i, f->report.n_details, "there are only %zu details", f->report.n_details);
        cr_assert_str_eq(f->report.details[i].path, path);
        cr_assert_str_eq(f->report.details[i].message, message);
}

Test(json_read, paths) {
        FIXTURE(f, "{\"steps\":[{\"a/b~c\":{\"\":1}}]}");
        char path[JSON_POINTER_MAX + 8];
        cr_assert_str_eq(json_at_path(&f.root, path), "");
        JsonAt steps = json_at_key(&f.root, "steps"), first = json_at_index(&steps, 0);
        JsonAt slashed = json_at_key(&first, "a/b~c"), empty = json_at_key(&slashed, ""),
               absent = json_at_index(&steps, 7);
        cr_assert_str_eq(json_at_path(&first, path), "/steps/0");
        cr_assert_str_eq(json_at_path(&empty, path), "/steps/0/a~1b~0c/");
        cr_assert_not_null(empty.value);
        cr_assert_str_eq(json_at_path(&absent, path), "/steps/7");
        cr_assert_null(absent.value);
        JsonAt below = json_at_key(&absent, "x");
        cr_assert_null(below.value);
        cr_assert_str_eq(json_at_path(&below, path), "/steps/7/x");
}

Test(json_read, long_paths_are_cut_at_whole_characters) {
        Report report = {0};
        JsonAt root = json_at_root(NULL, &report);
        char key[1500], path[JSON_POINTER_MAX + 8];
        for (size_t i = 0; i + 2 < sizeof(key); i += 2)
                memcpy(key + i, "é", 3);
        for (int shift = 0; shift < 4; shift++) {
                const char *shifts[] = {"", "a", "a/", "aaa"};
                JsonAt above = {.parent = &root, .key = shifts[shift], .report = &report};
                JsonAt at = {.parent = &above, .key = key, .report = &report};
                JsonAt below = {.parent = &at, .key = "lost", .report = &report};
                json_at_path(&below, path);
                cr_assert_leq(strlen(path), JSON_POINTER_MAX + 3);
                cr_assert_geq(strlen(path), JSON_POINTER_MAX);
                cr_assert(slice_is_utf8(slice_from_str(path)));
                cr_assert(slice_ends_with(slice_from_str(path), SLICE("é…")));
        }
        JsonAt deep[1000];
        deep[0] = json_at_root(NULL, &report);
        for (size_t i = 1; i < N_ELEMENTS(deep); i++)
                deep[i] = json_at_index(&deep[i - 1], 3);
        json_at_path(&deep[999], path);
        cr_assert(slice_starts_with(slice_from_str(path), SLICE("/3/3/3")));
}

Test(json_read, strings) {
        FIXTURE(f, "{\"a\":\"x\",\"n\":null,\"i\":5,\"e\":\"\",\"o\":{},\"b\":true}");
        Slice s = SLICE("before");
        cr_assert(json_get_string(&f.root, "a", &s) && slice_eq_str(s, "x"));
        cr_assert(json_get_string(&f.root, "e", &s) && s.n == 0);
        s = SLICE("before");
        cr_assert_not(json_get_string(&f.root, "absent", &s));
        cr_assert_not(json_get_string(&f.root, "n", &s), "null is absent");
        cr_assert_eq(f.report.n_details, 0);
        cr_assert_not(json_get_string(&f.root, "i", &s));
        expect_detail(&f, 0, "/i", "must be a string, is a number");
        cr_assert_not(json_get_string_required(&f.root, "o", &s));
        expect_detail(&f, 1, "/o", "must be a string, is an object");
        cr_assert_not(json_get_string_required(&f.root, "absent", &s));
        expect_detail(&f, 2, "/absent", "is required, and must be a string");
        cr_assert_not(json_get_string(&f.root, "b", &s));
        expect_detail(&f, 3, "/b", "must be a string, is a boolean");
        cr_assert(slice_eq_str(s, "before"), "untouched by failures");
        json_object_set_new(f.json, "z", json_stringn("a\0b", 3));
        cr_assert_not(json_get_string(&f.root, "z", &s));
        expect_detail(&f, 4, "/z", "must not hold the character U+0000");
}

Test(json_read, booleans_objects_arrays) {
        FIXTURE(f, "{\"t\":true,\"f\":false,\"s\":\"true\",\"o\":{\"a\":[1]}}");
        bool b = false;
        cr_assert(json_get_bool(&f.root, "t", &b) && b);
        cr_assert(json_get_bool(&f.root, "f", &b) && !b);
        cr_assert_not(json_get_bool(&f.root, "s", &b));
        expect_detail(&f, 0, "/s", "must be true or false, is a string");
        JsonAt o, a;
        cr_assert(json_get_object(&f.root, "o", &o));
        cr_assert(json_get_array(&o, "a", &a));
        cr_assert_eq(json_array_size(a.value), 1);
        cr_assert_not(json_get_array(&f.root, "o", &a));
        expect_detail(&f, 1, "/o", "must be an array, is an object");
        cr_assert_not(json_get_object(&o, "a", &a));
        expect_detail(&f, 2, "/o/a", "must be an object, is an array");
        cr_assert_not(json_get_object(&o, "absent", &a));
        cr_assert_eq(f.report.n_details, 3);
}

Test(json_read, whole_numbers) {
        FIXTURE(f, "{\"a\":5,\"b\":1e3,\"c\":2.5,\"d\":\"5\",\"e\":1e300,\"max\":9223372036854775807,\"neg\":"
                   "-3,\"big\":9007199254740994.0}");
        int64_t v = 42;
        cr_assert(json_get_i64(&f.root, "a", 5, 5, &v) && v == 5);
        cr_assert(json_get_i64(&f.root, "b", 0, 1000, &v) && v == 1000);
        cr_assert(json_get_i64(&f.root, "max", INT64_MIN, INT64_MAX, &v) && v == INT64_MAX);
        v = 42;
        cr_assert_not(json_get_i64(&f.root, "absent", 0, 1, &v));
        cr_assert_eq(f.report.n_details, 0);
        cr_assert_not(json_get_i64(&f.root, "a", 6, 10, &v));
        expect_detail(&f, 0, "/a", "must be between 6 and 10, is 5");
        cr_assert_not(json_get_i64(&f.root, "neg", 0, INT64_MAX, &v));
        expect_detail(&f, 1, "/neg", "must be at least 0, is -3");
        cr_assert_not(json_get_i64(&f.root, "c", 0, 10, &v));
        expect_detail(&f, 2, "/c", "must be a whole number, is 2.5");
        cr_assert_not(json_get_i64(&f.root, "d", 0, 10, &v));
        expect_detail(&f, 3, "/d", "must be a whole number, is a string");
        cr_assert_not(json_get_i64(&f.root, "e", 0, INT64_MAX, &v));
        cr_assert_not(json_get_i64(&f.root, "big", 0, INT64_MAX, &v),
                      "a double that may have been another number");
        cr_assert_eq(f.report.n_details, 6);
        cr_assert_eq(v, 42, "untouched by failures");
}

Test(json_read, numbers) {
        FIXTURE(f, "{\"a\":0.25,\"b\":1,\"c\":[]}");
        double v = 42;
        cr_assert(json_get_number(&f.root, "a", 0, 1, &v) && v == 0.25);
        cr_assert(json_get_number(&f.root, "b", 0, 1, &v) && v == 1);
        cr_assert_not(json_get_number(&f.root, "a", 0.5, 1, &v));
        expect_detail(&f, 0, "/a", "must be between 0.5 and 1, is 0.25");
        cr_assert_not(json_get_number(&f.root, "c", 0, 1, &v));
        expect_detail(&f, 1, "/c", "must be a number, is an array");
        cr_assert_eq(v, 1);
}

Test(json_read, unknown_fields) {
        static const char *const known[] = {"dependsOn", "id", "type"};
        FIXTURE(f, "{\"steps\":[{\"id\":1,\"dependson\":2,\"colour\":3,\"type\":4}]}");
        JsonAt steps, step;
        cr_assert(json_get_array(&f.root, "steps", &steps));
        step = json_at_index(&steps, 0);
        json_check_keys(&step, known, N_ELEMENTS(known));
        cr_assert_eq(f.report.n_details, 2);
        expect_detail(&f, 0, "/steps/0/dependson",
                      "unknown field \"dependson\"; did you mean \"dependsOn\"?");
        expect_detail(&f, 1, "/steps/0/colour", "unknown field \"colour\"");
        json_check_keys(&steps, known, N_ELEMENTS(known)); /* not an object: nothing to say */
        cr_assert_eq(f.report.n_details, 2);
}

Test(json_read, a_flood_of_unknown_fields_is_counted) {
        static const char *const known[] = {"id"};
        FIXTURE(f, "{}");
        for (int i = 0; i < 10000; i++) {
                char key[80];
                snprintf(key, sizeof(key), "%070d", i);
                json_object_set_new(f.json, key, json_null());
        }
        json_check_keys(&f.root, known, 1);
        cr_assert_eq(f.report.n_details, REPORT_DETAILS_MAX);
        cr_assert_eq(f.report.n_dropped, 10000 - REPORT_DETAILS_MAX);
        cr_assert_not_null(strstr(f.report.details[0].message, "0000…\""), "long keys are cut");
}

Test(json_read, type_names) {
        static const struct {
                const char *text, *name;
        } cases[] = {{"{}", "an object"}, {"[]", "an array"},     {"\"\"", "a string"},   {"1", "a number"},
                     {"1.5", "a number"}, {"true", "a boolean"}, {"false", "a boolean"}, {"null", "null"}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_json_ json_t *json = parse(cases[i].text);
                cr_assert_str_eq(json_type_text(json), cases[i].name);
        }
        cr_assert_str_eq(json_type_text(NULL), "nothing");
}
