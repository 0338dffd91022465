#include <criterion/criterion.h>

#include "../leaks.h"
#include "base/buf.h"
#include "json/json_scan.h"
#include "json/json_write.h"

TestSuite(json_scan, .fini = check_leaks);

#define cr_slice(s, text) cr_assert(slice_eq_str(s, text), "%.*s is not %s", SLICE_ARG(s), text)

Test(json_scan, items_of_every_kind) {
        static const char *const items[] = {"1", "\"a,]\\\"\"", "{\"k\":[1,{}]}", "[]", "null", "-1.5e+21", "\"\""};
        Slice array = SLICE("[1,\"a,]\\\"\",{\"k\":[1,{}]},[],null,-1.5e+21,\"\"]"), item;
        size_t at = 0, n = 0;
        while (json_scan_next(array, &at, &item)) {
                cr_assert_lt(n, 7);
                cr_slice(item, items[n]);
                n++;
        }
        cr_assert_eq(n, 7);
        at = 0;
        cr_assert_not(json_scan_next(SLICE("[]"), &at, &item));
        cr_assert_not(json_scan_next(SLICE("{}"), &at, &item));
        cr_assert_not(json_scan_next(SLICE(""), &at, &item));
}

Test(json_scan, members_by_name) {
        Slice object = SLICE("{\"a\":1,\"b\\\"\":2,\"c\":{\"a\":3},\"d\":\"x\",\"e\":true}"), v;
        cr_assert(json_scan_member(object, "a", &v));
        cr_slice(v, "1");
        cr_assert(json_scan_member(object, "c", &v));
        cr_slice(v, "{\"a\":3}");
        cr_assert(json_scan_member(object, "e", &v));
        cr_slice(v, "true");
        cr_assert_not(json_scan_member(object, "b", &v));
        cr_assert_not(json_scan_member(object, "f", &v));
        cr_assert_not(json_scan_member(SLICE("{}"), "a", &v));
        cr_assert_not(json_scan_member(SLICE("[1]"), "a", &v));
        cr_assert(json_scan_member(object, "d", &v) && json_scan_plain_string(v, &v));
        cr_slice(v, "x");
        cr_assert_not(json_scan_plain_string(SLICE("\"\\n\""), &v));
        cr_assert_not(json_scan_plain_string(SLICE("7"), &v));
}

Test(json_scan, several_members_in_one_pass) {
        static const char *const keys[] = {"d", "x", "a"};
        Slice object = SLICE("{\"a\":1,\"b\":\"\\\\\\\"}\",\"c\":[{}],\"d\":{\"a\":2}}"), values[3];
        cr_assert_eq(json_scan_members(object, keys, 3, values), 2);
        cr_assert(slice_eq_str(values[0], "{\"a\":2}"));
        cr_assert_eq(values[1].n, 0);
        cr_assert(slice_eq_str(values[2], "1"));
        cr_assert_eq(json_scan_members(SLICE("[]"), keys, 3, values), 0);
        cr_assert_eq(values[0].n, 0);
}

/* Cut-off bytes (which canonical values never are) end the scan and are never read past. */
Test(json_scan, cut_off_anywhere) {
        Slice whole = SLICE("[{\"a\":[1,2,{\"b\":\"c\\\"d\"}],\"e\":null},\"f\"]");
        for (size_t n = 0; n < whole.n; n++) {
                char *copy = malloc(n ? n : 1);
                memcpy(copy, whole.data, n);
                Slice cut = {copy, n}, item, v;
                for (size_t at = 0; json_scan_next(cut, &at, &item);)
                        json_scan_member(item, "zz", &v);
                free(copy);
        }
}

Test(json_scan, agrees_with_the_tree) {
        json_t *tree = json_loads("{\"z\":[{\"m\":\"é\\u0001\",\"n\":[]},{\"m\":1e300}],"
                                  "\"y\":{\"x\":\"[{\"}}",
                                  0, NULL);
        Buf b = {0}, again = {0};
        Slice array, item, m;
        size_t at = 0;
        cr_assert_eq(json_canonical(tree, &b), 0);
        cr_assert(json_scan_member(buf_slice(&b), "z", &array));
        for (size_t i = 0; json_scan_next(array, &at, &item); i++) {
                const json_t *want = json_object_get(json_array_get(json_object_get(tree, "z"), i), "m");
                buf_reset(&again);
                cr_assert_eq(json_canonical(want, &again), 0);
                cr_assert(json_scan_member(item, "m", &m));
                cr_assert(slice_eq(m, buf_slice(&again)));
        }
        buf_deinit(&b);
        buf_deinit(&again);
        json_decref(tree);
}

Test(json_scan, steps_over_blanks_too) {
        static const struct {
                const char *text;
                size_t end;
        } values[] = {{"12 , 3", 2},         {"true\n}", 4},        {"{ \"a\" : [ 1, 2 ] } x", 18},
                      {"\"a \\\" b\" , c", 8}, {"[ \"]\", { } ]\t", 12}, {"\"open", 5}};
        for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
                cr_assert_eq(json_scan_skip_value(slice_from_str(values[i].text), 0), values[i].end, "%s: %zu",
                             values[i].text, json_scan_skip_value(slice_from_str(values[i].text), 0));
        cr_assert_eq(json_scan_skip_string(SLICE("x \"ab\" y"), 2), 6);
        cr_assert_eq(json_scan_skip_string(SLICE("\"\\"), 0), 2);
}

Test(json_scan, keys_are_in_the_order_of_utf16) {
        static const char *const keys[] = {"", "a", "aa", "b", "\xc3\xa4", "\xed\x9f\xbf",
                                           "\xf0\x9f\x98\x80", "\xef\xbf\xbd"};
        for (size_t i = 0; i < 8; i++)
                for (size_t k = 0; k < 8; k++) {
                        int order = json_key_cmp(slice_from_str(keys[i]), slice_from_str(keys[k]));
                        cr_assert_eq((order > 0) - (order < 0), (i > k) - (i < k), "%zu %zu", i, k);
                }
}
