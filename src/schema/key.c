/*
 * Keys of values
 *
 * A tag for the type, then what it is: numbers by value (numeric.h), strings and containers behind their
 * length. Members stand in the order of their names, shorter ones first: any order will do that depends on
 * nothing else.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_read.h"
#include "schema/key.h"
#include "schema/numeric.h"

typedef struct KeyWriter {
        Buf *buf;
        size_t *work;
        size_t work_max;
} KeyWriter;

typedef struct Member {
        Slice name;
        const json_t *value;
} Member;

static int put(KeyWriter *w, const json_t *value, unsigned depth);

static int member_cmp(const void *a, const void *b) {
        Slice x = ((const Member *)a)->name, y = ((const Member *)b)->name;
        if (x.n != y.n)
                return x.n < y.n ? -1 : 1;
        return memcmp(x.data, y.data, x.n);
}

static int put_object(KeyWriter *w, const json_t *object, unsigned depth) {
        size_t n = json_object_size(object), i = 0;
        buf_put_varint(w->buf, n);
        *w->work += n;
        if (*w->work > w->work_max)
                return -EOVERFLOW;
        if (n == 0 || w->buf->error)
                return 0;
        _cleanup_free_ Member *members = reallocarray(NULL, n, sizeof(*members));
        if (!members)
                return -ENOMEM;
        json_t *o = (json_t *)object; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(o); it && i < n; it = json_object_iter_next(o, it))
                members[i++] = (Member){slice_from_str(json_object_iter_key(it)), json_object_iter_value(it)};
        qsort(members, n, sizeof(*members), member_cmp);
        int r = 0;
        for (i = 0; i < n && r == 0 && !w->buf->error; i++) {
                buf_put_bytes(w->buf, members[i].name);
                r = put(w, members[i].value, depth);
        }
        return r;
}

static int put_array(KeyWriter *w, const json_t *array, unsigned depth) {
        size_t n = json_array_size(array);
        buf_put_varint(w->buf, n);
        int r = 0;
        for (size_t i = 0; i < n && r == 0 && !w->buf->error; i++)
                r = put(w, json_array_get(array, i), depth);
        return r;
}

static void put_number(KeyWriter *w, Number n) {
        uint64_t bits = (uint64_t)n.i;
        if (!n.is_i64)
                memcpy(&bits, &n.d, sizeof(bits));
        buf_put_char(w->buf, n.is_i64 ? 'i' : 'd');
        buf_put_u64(w->buf, bits);
}

/** Recursion, at most JSON_DEPTH_MAX deep. */
static int put(KeyWriter *w, const json_t *value, unsigned depth) {
        switch (json_typeof(value)) {
        case JSON_OBJECT:
        case JSON_ARRAY:
                if (depth >= JSON_DEPTH_MAX)
                        return -EOVERFLOW;
                buf_put_char(w->buf, json_is_object(value) ? 'o' : 'a');
                return json_is_object(value) ? put_object(w, value, depth + 1)
                                             : put_array(w, value, depth + 1);
        case JSON_STRING:
                buf_put_char(w->buf, 's');
                buf_put_bytes(w->buf, json_string_slice(value));
                return 0;
        case JSON_INTEGER:
        case JSON_REAL:
                put_number(w, number_of(value));
                return 0;
        case JSON_TRUE:
                buf_put_char(w->buf, 't');
                return 0;
        case JSON_FALSE:
                buf_put_char(w->buf, 'f');
                return 0;
        case JSON_NULL:
                buf_put_char(w->buf, 'n');
                return 0;
        }
        return 0;
}

int key_put(Buf *b, const json_t *value, size_t *work, size_t work_max) {
        KeyWriter w = {b, work, work_max};
        int r = put(&w, value, 0);
        return r < 0 ? r : b->error;
}
