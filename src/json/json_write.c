/*
 * Writing JSON
 *
 * The writer puts text straight into a buffer, without a tree. The canonical form (RFC 8785) fixes what
 * JSON leaves open, so that equal values have equal bytes and hashes: no blanks, members in order of
 * their keys' UTF-16 code units, strings with the fewest escapes, numbers as ECMAScript prints them
 * (number.c). One thing differs on purpose: integers that a double can't hold keep all their digits.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/quote.h"
#include "json/json_write.h"
#include "json/number.h"

#define MEMBERS_ON_STACK 64

static inline void comma(JsonWriter *w) {
        if (w->need_comma)
                buf_put_char(w->buf, ',');
        w->need_comma = true;
}

static inline void open_(JsonWriter *w, char bracket) {
        comma(w);
        buf_put_char(w->buf, bracket);
        w->need_comma = false;
}

static inline void close_(JsonWriter *w, char bracket) {
        buf_put_char(w->buf, bracket);
        w->need_comma = true;
}

void json_begin_object(JsonWriter *w) { open_(w, '{'); }
void json_end_object(JsonWriter *w) { close_(w, '}'); }
void json_begin_array(JsonWriter *w) { open_(w, '['); }
void json_end_array(JsonWriter *w) { close_(w, ']'); }

void json_key(JsonWriter *w, const char *key) {
        size_t n = strlen(key);
        char *p = buf_extend(w->buf, n + 3 + w->need_comma);
        if (!p)
                return;
        if (w->need_comma)
                *p++ = ',';
        *p++ = '"';
        memcpy(p, key, n);
        memcpy(p + n, "\":", 2);
        w->need_comma = false;
}

void json_key_slice(JsonWriter *w, Slice key) {
        json_put_string(w, key);
        buf_put_char(w->buf, ':');
        w->need_comma = false;
}

void json_put_string(JsonWriter *w, Slice s) {
        comma(w);
        quote_json(w->buf, s);
}

void json_put_str(JsonWriter *w, const char *s) {
        if (s)
                json_put_string(w, slice_from_str(s));
        else
                json_put_null(w);
}

void json_put_i64(JsonWriter *w, int64_t v) {
        comma(w);
        buf_put_decimal(w->buf, v);
}

void json_put_double(JsonWriter *w, double v) {
        assert(isfinite(v));
        comma(w);
        char text[NUMBER_TEXT_MAX];
        buf_put(w->buf, text, number_format(v, text));
}

void json_put_raw(JsonWriter *w, Slice json) {
        comma(w);
        buf_put_slice(w->buf, json);
}

void json_put_bool(JsonWriter *w, bool v) { json_put_raw(w, v ? SLICE("true") : SLICE("false")); }

void json_put_null(JsonWriter *w) { json_put_raw(w, SLICE("null")); }

void json_put_time_ms(JsonWriter *w, int64_t unix_ms) {
        char text[1 + TIME_TEXT_SIZE + 1];
        time_format_ms(unix_ms, text + 1);
        text[0] = text[1 + TIME_TEXT_SIZE] = '"';
        json_put_raw(w, (Slice){text, sizeof(text)});
}

/* --- canonical form of a tree --- */

typedef struct Member {
        Slice key;
        const json_t *value;
} Member;

/**
 * The members of all objects that are open, innermost last: each object sorts its own range and takes it
 * off when done. One array for the whole tree keeps the frames of the recursion small.
 */
typedef struct Sorter {
        Member *members;
        size_t n, cap;
        Member first[MEMBERS_ON_STACK];
} Sorter;

static int sorter_push(Sorter *s, Member m) {
        if (s->n == s->cap) {
                bool on_stack = s->members == s->first;
                Member *members = reallocarray(on_stack ? NULL : s->members, s->cap * 2, sizeof(*members));
                if (!members)
                        return -ENOMEM;
                if (on_stack)
                        memcpy(members, s->first, sizeof(s->first));
                s->members = members;
                s->cap *= 2;
        }
        s->members[s->n++] = m;
        return 0;
}

int json_key_cmp(Slice a, Slice b) {
        size_t n = a.n < b.n ? a.n : b.n, i = 0;
        while (i < n && a.data[i] == b.data[i])
                i++;
        if (i == n)
                return (a.n > b.n) - (a.n < b.n);
        unsigned char x = (unsigned char)a.data[i], y = (unsigned char)b.data[i];
        if (x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0))
                return x >= 0xf0 ? -1 : 1;
        return x < y ? -1 : 1;
}

static int member_cmp(const void *a, const void *b) {
        return json_key_cmp(((const Member *)a)->key, ((const Member *)b)->key);
}

static void sort_members(Member *m, size_t n) {
        if (n > 16) {
                qsort(m, n, sizeof(*m), member_cmp);
                return;
        }
        for (size_t i = 1; i < n; i++) {
                Member one = m[i];
                size_t at = i;
                for (; at > 0 && json_key_cmp(m[at - 1].key, one.key) > 0; at--)
                        m[at] = m[at - 1];
                m[at] = one;
        }
}

static void put_tree(JsonWriter *w, Sorter *sorter, const json_t *value, unsigned depth);

static void put_object(JsonWriter *w, Sorter *sorter, const json_t *object, unsigned depth) {
        size_t base = sorter->n, n = json_object_size(object);
        json_t *o = (json_t *)object; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
                Member m = {slice_from_str(json_object_iter_key(it)), json_object_iter_value(it)};
                if (sorter_push(sorter, m) < 0) {
                        w->buf->error = -ENOMEM;
                        return;
                }
        }
        sort_members(sorter->members + base, n);
        json_begin_object(w);
        for (size_t i = base; i < base + n; i++) {
                json_key_slice(w, sorter->members[i].key);
                put_tree(w, sorter, sorter->members[i].value, depth);
        }
        json_end_object(w);
        sorter->n = base;
}

static void put_array(JsonWriter *w, Sorter *sorter, const json_t *array, unsigned depth) {
        json_begin_array(w);
        size_t n = json_array_size(array);
        for (size_t i = 0; i < n; i++)
                put_tree(w, sorter, json_array_get(array, i), depth);
        json_end_array(w);
}

/** Recursion, at most JSON_WRITE_DEPTH_MAX deep. */
static void put_tree(JsonWriter *w, Sorter *sorter, const json_t *value, unsigned depth) {
        if (w->buf->error)
                return;
        switch (value ? json_typeof(value) : JSON_NULL) {
        case JSON_OBJECT:
        case JSON_ARRAY:
                if (depth >= JSON_WRITE_DEPTH_MAX)
                        w->buf->error = -EFBIG;
                else if (json_is_object(value))
                        put_object(w, sorter, value, depth + 1);
                else
                        put_array(w, sorter, value, depth + 1);
                break;
        case JSON_STRING:
                json_put_string(w, (Slice){json_string_value(value), json_string_length(value)});
                break;
        case JSON_INTEGER: json_put_i64(w, json_integer_value(value)); break;
        case JSON_REAL: json_put_double(w, json_real_value(value)); break;
        case JSON_TRUE: json_put_bool(w, true); break;
        case JSON_FALSE: json_put_bool(w, false); break;
        case JSON_NULL: json_put_null(w); break;
        }
}

void json_put_tree(JsonWriter *w, const json_t *value) {
        Sorter sorter;
        sorter.n = 0;
        sorter.cap = MEMBERS_ON_STACK;
        sorter.members = sorter.first;
        put_tree(w, &sorter, value, 0);
        if (sorter.members != sorter.first)
                free(sorter.members);
}

int json_canonical(const json_t *value, Buf *b) {
        JsonWriter w = json_writer(b);
        json_put_tree(&w, value);
        return b->error;
}
