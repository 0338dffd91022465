#include <pthread.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/value.h"

TestSuite(value, .fini = check_leaks);

Test(value, from_a_tree) {
        json_t *json = json_pack("{s:i,s:[b,n]}", "b", 1, "a", 1);
        _cleanup_(value_unref_p) Value *v = value_new(json);
        cr_assert_eq(value_json(v), json);
        Slice bytes = value_bytes(v);
        cr_assert(slice_eq_str(bytes, "{\"a\":[true,null],\"b\":1}"));
        cr_assert_eq(value_bytes(v).data, bytes.data, "made once");
        cr_assert_eq(value_json(v), json);
}

Test(value, from_bytes) {
        char text[] = "{\"a\":1,\"b\":100000000000000000000}";
        _cleanup_(value_unref_p) Value *v = value_new_bytes(slice_from_str(text));
        memset(text, 'x', sizeof(text) - 1); /* copied, not borrowed */
        const json_t *json = value_json(v);
        cr_assert_eq(json_integer_value(json_object_get(json, "a")), 1);
        cr_assert_eq(json_real_value(json_object_get(json, "b")), 1e20);
        cr_assert_eq(value_json(v), json, "parsed once");
        cr_assert(slice_eq_str(value_bytes(v), "{\"a\":1,\"b\":100000000000000000000}"));
}

Test(value, null_and_nonsense) {
        cr_assert_null(value_new(NULL));
        cr_assert_null(value_ref(NULL));
        value_unref(NULL);
        cr_assert_null(value_json(NULL));
        cr_assert_null(value_bytes(NULL).data);
        cr_assert_eq(value_size(NULL), 0);
        _cleanup_(value_unref_p) Value *broken = value_new_bytes(SLICE("{oops"));
        cr_assert_null(value_json(broken));
        _cleanup_(value_unref_p) Value *empty = value_new_bytes(SLICE_NULL);
        cr_assert_null(value_json(empty));
        _cleanup_(value_unref_p) Value *null = value_new(json_null());
        cr_assert(slice_eq_str(value_bytes(null), "null"));
}

Test(value, size_grows_with_what_is_held) {
        _cleanup_(value_unref_p) Value *small = value_new_bytes(SLICE("1"));
        json_t *json = json_array();
        for (int i = 0; i < 1000; i++)
                json_array_append_new(json, json_string("ten bytes!"));
        _cleanup_(value_unref_p) Value *large = value_new(json);
        size_t tree_only = value_size(large);
        cr_assert_gt(tree_only, 10000);
        cr_assert_lt(value_size(small), 200);
        value_bytes(large);
        cr_assert_geq(value_size(large), tree_only + 13001);
}

static void *ref_and_unref(void *v) {
        for (int i = 0; i < 10000; i++) {
                value_ref(v);
                value_unref(v);
        }
        value_unref(v);
        return NULL;
}

Test(value, counts_atomically) {
        Value *v = value_new_bytes(SLICE("[1]"));
        pthread_t threads[4];
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, ref_and_unref, value_ref(v)), 0);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                pthread_join(threads[i], NULL);
        cr_assert(slice_eq_str(value_bytes(v), "[1]"), "still alive by the first reference");
        value_unref(v);
}
