/* URIs, numbers and keys on their own. */

#include <errno.h>

#include "cases.h"
#include "schema/key.h"
#include "schema/numeric.h"
#include "schema/uri.h"

TestSuite(parts, .fini = check_leaks);

Test(parts, uri_resolution) {
        /* RFC 3986, 5.4, and what schemas need besides: relative and empty bases, URNs */
        static const char rfc[] = "http://a/b/c/d;p?q";
        static const struct {
                const char *base, *reference, *target, *fragment;
        } cases[] = {
                        {rfc, "g:h", "g:h", NULL},
                        {rfc, "g", "http://a/b/c/g", NULL},
                        {rfc, "./g", "http://a/b/c/g", NULL},
                        {rfc, "g/", "http://a/b/c/g/", NULL},
                        {rfc, "/g", "http://a/g", NULL},
                        {rfc, "//g", "http://g", NULL},
                        {rfc, "?y", "http://a/b/c/d;p?y", NULL},
                        {rfc, "g?y", "http://a/b/c/g?y", NULL},
                        {rfc, "#s", "http://a/b/c/d;p?q", "s"},
                        {rfc, "g#s", "http://a/b/c/g", "s"},
                        {rfc, "g?y#s", "http://a/b/c/g?y", "s"},
                        {rfc, ";x", "http://a/b/c/;x", NULL},
                        {rfc, "", "http://a/b/c/d;p?q", NULL},
                        {rfc, ".", "http://a/b/c/", NULL},
                        {rfc, "./", "http://a/b/c/", NULL},
                        {rfc, "..", "http://a/b/", NULL},
                        {rfc, "../", "http://a/b/", NULL},
                        {rfc, "../g", "http://a/b/g", NULL},
                        {rfc, "../..", "http://a/", NULL},
                        {rfc, "../../g", "http://a/g", NULL},
                        {rfc, "../../../g", "http://a/g", NULL},
                        {rfc, "/./g", "http://a/g", NULL},
                        {rfc, "/../g", "http://a/g", NULL},
                        {rfc, "g.", "http://a/b/c/g.", NULL},
                        {rfc, "..g", "http://a/b/c/..g", NULL},
                        {rfc, "./../g", "http://a/b/g", NULL},
                        {rfc, "g/./h", "http://a/b/c/g/h", NULL},
                        {rfc, "g/../h", "http://a/b/c/h", NULL},
                        {rfc, "g;x=1/../y", "http://a/b/c/y", NULL},
                        {rfc, "g?y/../x", "http://a/b/c/g?y/../x", NULL},
                        {rfc, "g#s/../x", "http://a/b/c/g", "s/../x"},
                        {"", "", "", NULL},
                        {"", "#", "", ""},
                        {"", "a/b", "a/b", NULL},
                        {"", "/a", "/a", NULL},
                        {"/x/y", "z", "/x/z", NULL},
                        {"x/y", "z", "x/z", NULL},
                        {"x", "?q", "x?q", NULL},
                        {"http://a", "b", "http://a/b", NULL},
                        {"urn:x:y", "#f", "urn:x:y", "f"},
                        {"urn:x:y?=q", "#/a", "urn:x:y?=q", "/a"},
                        {"http://a/b", "urn:x:y#z", "urn:x:y", "z"},
                        {"file:///a/b", "c", "file:///a/c", NULL},
                        {"http://a/b", "1:x", "http://a/1:x", NULL},
                        {"", "../a", "a", NULL},
                        {"tag:a,b:c", "tag:d", "tag:d", NULL},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(buf_deinit) Buf b = {0};
                Slice fragment;
                uri_resolve(&b, slice_from_str(cases[i].base), slice_from_str(cases[i].reference), &fragment);
                cr_expect(slice_eq_str(buf_slice(&b), cases[i].target), "%s + %s = %.*s", cases[i].base,
                          cases[i].reference, SLICE_ARG(buf_slice(&b)));
                cr_expect_eq(fragment.data != NULL, cases[i].fragment != NULL, "%s", cases[i].reference);
                cr_expect(slice_eq_str(fragment, cases[i].fragment), "%s: %.*s", cases[i].reference,
                          SLICE_ARG(fragment));
        }
}

Test(parts, uri_escapes) {
        _cleanup_(buf_deinit) Buf b = {0};
        cr_expect(uri_decode(&b, SLICE("a%20b%C3%a4%25")));
        cr_expect(slice_eq_str(buf_slice(&b), "a b\xc3\xa4%"));
        cr_expect(uri_decode(&b, SLICE("")));
        cr_expect_not(uri_decode(&b, SLICE("%")));
        cr_expect_not(uri_decode(&b, SLICE("%4")));
        cr_expect_not(uri_decode(&b, SLICE("%4g")));
        cr_expect_not(uri_decode(&b, SLICE("%00")));
}

static Number number(const char *text) {
        json_t *json = parse(text);
        Number n = number_of(json);
        json_decref(json);
        return n;
}

Test(parts, numbers_in_order) {
        static const char *const ordered[] = {"-1.7e308",
                                              "-9223372036854777856",
                                              "-9223372036854775808",
                                              "-9223372036854775807",
                                              "-9007199254740993",
                                              "-9007199254740992.0",
                                              "-1.5",
                                              "-1",
                                              "-0.5",
                                              "-5e-324",
                                              "0",
                                              "5e-324",
                                              "0.5",
                                              "1.0",
                                              "1.5",
                                              "2",
                                              "9007199254740992.0",
                                              "9007199254740993",
                                              "9007199254740994.0",
                                              "9223372036854774784.0",
                                              "9223372036854775807",
                                              "9223372036854775808",
                                              "1e300"};
        for (size_t i = 0; i < N_ELEMENTS(ordered); i++)
                for (size_t j = 0; j < N_ELEMENTS(ordered); j++) {
                        int order = number_cmp(number(ordered[i]), number(ordered[j]));
                        cr_expect_eq((order > 0) - (order < 0), (i > j) - (i < j), "%s, %s", ordered[i],
                                     ordered[j]);
                }
        cr_expect_eq(number_cmp(number("-0.0"), number("0")), 0);
        cr_expect_eq(number_cmp(number("1e2"), number("100")), 0);
}

static Slice key_of(Buf *b, const char *text) {
        json_t *json = parse(text);
        size_t work = 0;
        buf_reset(b);
        cr_assert_eq(key_put(b, json, &work, SIZE_MAX), 0);
        json_decref(json);
        return buf_slice(b);
}

Test(parts, keys_are_equal_when_values_are) {
        static const char *const groups[][3] = {
                        /* equal within, different between */
                        {"null", "null"},
                        {"true"},
                        {"false"},
                        {"0", "-0.0", "0e5"},
                        {"1", "1.0", "10e-1"},
                        {"1.5", "15e-1"},
                        {"-1"},
                        {"9007199254740993"},
                        {"9007199254740992", "9007199254740992.0"},
                        {"1e30", "1000000000000000000000000000000"},
                        {"\"\""},
                        {"\"1\""},
                        {"\"a\"", "\"\\u0061\""},
                        {"[]"},
                        {"{}"},
                        {"[[]]"},
                        {"[{}]"},
                        {"[1,2]", "[1.0,2.0]"},
                        {"[2,1]"},
                        {"[12]"},
                        {"[\"a\",\"b\"]"},
                        {"[\"ab\"]"},
                        {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1.0}"},
                        {"{\"a\":2,\"b\":1}"},
                        {"{\"a\":{\"b\":1}}"},
                        {"{\"a\":[{\"y\":1,\"xx\":2}]}", "{\"a\":[{\"xx\":2,\"y\":1}]}"},
                        {"{\"ab\":1}"},
                        {"{\"a\":null}"}};
        for (size_t i = 0; i < N_ELEMENTS(groups); i++)
                for (size_t j = 0; j < N_ELEMENTS(groups); j++)
                        for (size_t k = 0; k < 3 && groups[j][k]; k++) {
                                _cleanup_(buf_deinit) Buf a = {0};
                                _cleanup_(buf_deinit) Buf b = {0};
                                bool equal = slice_eq(key_of(&a, groups[i][0]), key_of(&b, groups[j][k]));
                                cr_expect_eq(equal, i == j, "%s and %s", groups[i][0], groups[j][k]);
                        }
}

Test(parts, keys_have_limits) {
        json_t *object = parse("{\"a\":1,\"b\":{\"c\":1,\"d\":2}}");
        _cleanup_(buf_deinit) Buf b = {0};
        size_t work = 0;
        cr_expect_eq(key_put(&b, object, &work, 3), -EOVERFLOW);
        work = 0;
        buf_reset(&b);
        cr_expect_eq(key_put(&b, object, &work, 4), 0);
        cr_expect_eq(work, 4);
        buf_reset(&b);
        b.limit = 5;
        work = 0;
        cr_expect_eq(key_put(&b, object, &work, 4), -EFBIG);
        json_decref(object);
}
