/*
 * Values
 *
 * Data flows through an execution mostly untouched: stored, hashed, sent on. A value read from the store
 * is bytes and stays so until an expression looks inside; one that a parser made is a tree and stays so
 * until it is stored. Each face is made at most once.
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "json/json_read.h"
#include "json/json_write.h"
#include "json/value.h"

#define NODE_BYTES 64 /* rough cost of a jansson node with its share of table or array */

struct Value {
        atomic_size_t weight; /* value_size when it was first asked for; 0: not yet */
        atomic_uint refs;
        json_t *json; /* either or both of json and bytes */
        char *bytes;
        size_t n_bytes;
};

Value *value_new(json_t *json) {
        if (!json)
                return NULL;
        Value *v = calloc(1, sizeof(*v));
        if (!v) {
                json_decref(json);
                return NULL;
        }
        atomic_init(&v->refs, 1);
        v->json = json;
        return v;
}

Value *value_new_bytes(Slice canonical) {
        Value *v = calloc(1, sizeof(*v));
        if (!v)
                return NULL;
        atomic_init(&v->refs, 1);
        v->bytes = slice_dup(canonical);
        v->n_bytes = canonical.n;
        if (!v->bytes) {
                free(v);
                return NULL;
        }
        return v;
}

Value *value_ref(Value *v) {
        if (v) {
                unsigned before = atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
                assert(before > 0 && before < UINT32_MAX);
        }
        return v;
}

void value_unref(Value *v) {
        if (!v)
                return;
        /* Release what this thread did to the value; acquire what the others did before it is freed. */
        unsigned before = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);
        assert(before > 0);
        if (before > 1)
                return;
        json_decref(v->json);
        free(v->bytes);
        free(v);
}

const json_t *value_json(Value *v) {
        if (!v)
                return NULL;
        if (!v->json)
                v->json = json_parse_own((Slice){v->bytes, v->n_bytes});
        return v->json;
}

bool value_is_damaged(const Value *v) { return v && !v->json && json_is_damaged((Slice){v->bytes, v->n_bytes}); }

Slice value_bytes(Value *v) {
        if (!v)
                return SLICE_NULL;
        if (!v->bytes) {
                Buf b = {0};
                if (json_canonical(v->json, &b) == 0) {
                        v->n_bytes = b.n;
                        v->bytes = buf_steal_str(&b);
                }
                buf_deinit(&b);
                if (!v->bytes)
                        return SLICE_NULL;
        }
        return (Slice){v->bytes, v->n_bytes};
}

/** Recursion over a tree, at most JSON_WRITE_DEPTH_MAX deep: what is deeper can't be written either. */
static size_t tree_size(const json_t *json, unsigned depth) {
        size_t size = NODE_BYTES;
        if (depth > JSON_WRITE_DEPTH_MAX)
                return size;
        if (json_is_string(json)) {
                size += json_string_length(json);
        } else if (json_is_array(json)) {
                for (size_t i = 0; i < json_array_size(json); i++)
                        size += tree_size(json_array_get(json, i), depth + 1);
        } else if (json_is_object(json)) {
                json_t *o = (json_t *)json; /* the iterators are not const; nothing is changed */
                for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
                        size += strlen(json_object_iter_key(it)) +
                                tree_size(json_object_iter_value(it), depth + 1);
        }
        return size;
}

size_t value_size(const Value *v) {
        if (!v)
                return 0;
        size_t size = sizeof(*v) + (v->bytes ? v->n_bytes + 1 : 0);
        return v->json ? size + tree_size(v->json, 0) : size;
}

size_t value_weight(Value *v) {
        if (!v)
                return 0;
        size_t size = atomic_load_explicit(&v->weight, memory_order_relaxed);
        if (size == 0) {
                size = value_size(v);
                atomic_store_explicit(&v->weight, size, memory_order_relaxed);
        }
        return size;
}
