#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_write.h"

TestSuite(json_write, .fini = check_leaks);

static char *canonical(const char *text) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = json_parse(slice_from_str(text), SIZE_MAX, &report);
        cr_assert_not_null(json, "%s", report.message);
        Buf b = {0};
        cr_assert_eq(json_canonical(json, &b), 0);
        json_decref(json);
        return buf_steal_str(&b);
}

static void expect(const char *text, const char *want) {
        _cleanup_free_ char *got = canonical(text);
        cr_assert_str_eq(got, want);
        _cleanup_free_ char *again = canonical(got);
        cr_assert_str_eq(again, want, "the canonical form is its own canonical form");
}

Test(json_write, direct_writer) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "a");
        json_put_i64(&w, -7);
        json_key(&w, "b");
        json_begin_array(&w);
        json_put_bool(&w, true);
        json_put_bool(&w, false);
        json_put_null(&w);
        json_put_str(&w, NULL);
        json_put_str(&w, "x\ny");
        json_begin_object(&w);
        json_end_object(&w);
        json_begin_array(&w);
        json_end_array(&w);
        json_put_double(&w, 2.5);
        json_end_array(&w);
        json_key_slice(&w, SLICE("k\"\x01"));
        json_put_raw(&w, SLICE("[1]"));
        json_key(&w, "t");
        json_put_time_ms(&w, 1767323045678);
        json_key(&w, "tree");
        json_put_tree(&w, NULL);
        json_end_object(&w);
        cr_assert(slice_eq_str(
                          buf_slice(&b),
                          "{\"a\":-7,\"b\":[true,false,null,null,\"x\\ny\",{},[],2.5],\"k\\\"\\u0001\":[1],"
                          "\"t\":\"2026-01-02T03:04:05.678Z\",\"tree\":null}"),
                  "%.*s", SLICE_ARG(buf_slice(&b)));
}

Test(json_write, several_values_at_the_top_are_separated) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_put_i64(&w, 1);
        json_put_tree(&w, NULL);
        cr_assert(slice_eq_str(buf_slice(&b), "1,null"));
}

/* RFC 8785, 3.2.2 and 3.2.3. */
Test(json_write, examples_of_rfc_8785) {
        expect("{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],"
               "\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\", \"literals\": "
               "[null, true, false]}",
               "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
               "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
        expect("{\"\\u20ac\": \"Euro Sign\", \"\\r\": \"Carriage Return\", \"\\ufb33\": \"Hebrew Letter "
               "Dalet With Dagesh\","
               "\"1\": \"One\", \"\\ud83d\\ude00\": \"Emoji: Grinning Face\", \"\\u0080\": \"Control\","
               "\"\\u00f6\": \"Latin Small Letter O With Diaeresis\"}",
               "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"ö\":\"Latin Small "
               "Letter O With Diaeresis\","
               "\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet "
               "With Dagesh\"}");
}

Test(json_write, members_are_sorted_at_every_level) {
        expect("{\"b\":{\"z\":1,\"a\":{\"y\":[],\"x\":{}}},\"a\":[{\"d\":1,\"c\":2}],\"\":0,\"ab\":1,\"aa\":"
               "2}",
               "{\"\":0,\"a\":[{\"c\":2,\"d\":1}],\"aa\":2,\"ab\":1,\"b\":{\"a\":{\"x\":{},\"y\":[]},\"z\":1}"
               "}");
}

Test(json_write, numbers) {
        expect("[1.0, 1e2, -0, -0.0, 0.1, 1e-7, 9223372036854775807, -9223372036854775808, 9007199254740993]",
               "[1,100,0,0,0.1,1e-7,9223372036854775807,-9223372036854775808,9007199254740993]");
        expect("[100000000000000000000, 9223372036854775808, -9223372036854775809, 1e20]",
               "[100000000000000000000,9223372036854776000,-9223372036854776000,100000000000000000000]");
}

/* Objects of more members than the sorter keeps on the stack, inside each other. */
Test(json_write, large_objects) {
        json_t *outer = json_object();
        for (int i = 299; i >= 0; i--) {
                char key[16];
                json_t *inner = json_object();
                for (int j = 39; j >= 0; j--) {
                        snprintf(key, sizeof(key), "%02d", j);
                        json_object_set_new(inner, key, json_integer(j));
                }
                snprintf(key, sizeof(key), "%03d", i);
                json_object_set_new(outer, key, inner);
        }
        _cleanup_(buf_deinit) Buf b = {0};
        cr_assert_eq(json_canonical(outer, &b), 0);
        json_decref(outer);
        const char *p = b.data + 1;
        for (int i = 0; i < 300; i++) {
                char want[16];
                int n = snprintf(want, sizeof(want), "\"%03d\":{", i);
                cr_assert(!strncmp(p, want, (size_t)n));
                p += n;
                for (int j = 0; j < 40; j++) {
                        n = snprintf(want, sizeof(want), "%s\"%02d\":%d", j ? "," : "", j, j);
                        cr_assert(!strncmp(p, want, (size_t)n));
                        p += n;
                }
                p += 2; /* "}," */
        }
        cr_assert_eq(p, b.data + b.n);
}

static json_t *nested(int depth) {
        json_t *json = json_array();
        for (int i = 1; i < depth; i++) {
                json_t *outer = json_array();
                json_array_append_new(outer, json);
                json = outer;
        }
        return json;
}

Test(json_write, depth_is_bounded) {
        _cleanup_(buf_deinit) Buf b = {0};
        json_t *deepest = nested(JSON_WRITE_DEPTH_MAX), *deeper = nested(JSON_WRITE_DEPTH_MAX + 1);
        cr_assert_eq(json_canonical(deepest, &b), 0);
        cr_assert_eq(b.n, 2 * JSON_WRITE_DEPTH_MAX);
        cr_assert_eq(json_canonical(deeper, &b), -EFBIG);
        json_decref(deepest);
        json_decref(deeper);
}

Test(json_write, the_buffers_limit_holds) {
        _cleanup_(buf_deinit) Buf b = {.limit = 10};
        json_t *json = json_pack("{s:s}", "key", "a long value that does not fit");
        cr_assert_eq(json_canonical(json, &b), -EFBIG);
        json_decref(json);
}
