/*
 * Values as text
 *
 * Not jv_dump_string: that recurses as deep as the value goes, and makes the whole text before anybody can
 * see that it is too long.
 */
#include <math.h>

#include "base/quote.h"
#include "executors/jq_child/protocol.h"
#include "executors/jq_child/text.h"

#define INTEGER_MAX    9007199254740992.0 /* 2^53: up to here every integer is a double */
#define INTEGER_DIGITS 16                 /* shorter ones need no look */

static const char *put(Buf *b, jv v, unsigned depth);

static const char *put_string(Buf *b, jv string) {
        Slice s = {jv_string_value(string), (size_t)jv_string_length_bytes(jv_copy(string))};
        if (s.n > 0 && memchr(s.data, 0, s.n))
                return "has the character U+0000 in a string, which values can't hold";
        quote_json_lossy(b, s);
        return NULL;
}

static void put_number(Buf *b, jv number) {
        double d = jv_number_value(number);
        if (fabs(d) <= INTEGER_MAX && d == (double)(int64_t)d) {
                buf_put_decimal(b, (int64_t)d);
                return;
        }
        jv text = jv_dump_string(jv_copy(number),
                                 0); /* the shortest that reads back the same; null for NaN */
        buf_put_str(b, jv_string_value(text));
        jv_free(text);
}

static const char *put_array(Buf *b, jv array, unsigned depth) {
        int n = jv_array_length(jv_copy(array));
        const char *why = NULL;
        buf_put_char(b, '[');
        for (int i = 0; i < n && !why && !b->error; i++) {
                if (i > 0)
                        buf_put_char(b, ',');
                jv item = jv_array_get(jv_copy(array), i);
                why = put(b, item, depth + 1);
                jv_free(item);
        }
        buf_put_char(b, ']');
        return why;
}

static const char *put_object(Buf *b, jv object, unsigned depth) {
        const char *why = NULL;
        bool first = true;
        buf_put_char(b, '{');
        for (int i = jv_object_iter(object); jv_object_iter_valid(object, i) && !why && !b->error;
             i = jv_object_iter_next(object, i)) {
                jv key = jv_object_iter_key(object, i), value = jv_object_iter_value(object, i);
                if (!first)
                        buf_put_char(b, ',');
                first = false;
                why = put_string(b, key);
                buf_put_char(b, ':');
                if (!why)
                        why = put(b, value, depth + 1);
                jv_free(key);
                jv_free(value);
        }
        buf_put_char(b, '}');
        return why;
}

/** Recursion: JQ_DEPTH_MAX. */
static const char *put(Buf *b, jv v, unsigned depth) {
        jv_kind kind = jv_get_kind(v);
        if ((kind == JV_KIND_ARRAY || kind == JV_KIND_OBJECT) && depth > JQ_DEPTH_MAX)
                return "is nested deeper than the 64 levels allowed (JSON_DEPTH_MAX)";
        switch (kind) {
        case JV_KIND_ARRAY:
                return put_array(b, v, depth);
        case JV_KIND_FALSE:
                buf_put_str(b, "false");
                return NULL;
        case JV_KIND_NUMBER:
                put_number(b, v);
                return NULL;
        case JV_KIND_OBJECT:
                return put_object(b, v, depth);
        case JV_KIND_STRING:
                return put_string(b, v);
        case JV_KIND_TRUE:
                buf_put_str(b, "true");
                return NULL;
        case JV_KIND_INVALID:
        case JV_KIND_NULL:
                break;
        }
        buf_put_str(b, "null");
        return NULL;
}

const char *text_put(Buf *b, jv v) { return put(b, v, 1); }

bool text_keeps_integers(void) {
        jv text = jv_dump_string(jv_parse("9007199254740993"), 0);
        bool keeps = !strcmp(jv_string_value(text), "9007199254740993");
        jv_free(text);
        return keeps;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/** Past the string that begins at @p. */
static const char *skip_string(const char *p, const char *end) {
        for (p++; p < end && *p != '"'; p++)
                if (*p == '\\')
                        p++;
        return p < end ? p + 1 : end;
}

Slice text_inexact_integer(Slice text) {
        const char *p = text.data, *end = p + text.n;
        while (p < end) {
                if (*p == '"') {
                        p = skip_string(p, end);
                        continue;
                }
                const char *digits = p;
                while (p < end && is_digit(*p))
                        p++;
                Slice number = {digits, (size_t)(p - digits)};
                bool is_integer = p == end || !strchr(".eE", *p);
                uint64_t n;
                /* Integers beyond 64 bits are doubles in the input already. */
                if (number.n >= INTEGER_DIGITS && is_integer && slice_to_u64(number, &n) && n <= INT64_MAX &&
                    (uint64_t)(double)n != n)
                        return number;
                if (number.n == 0)
                        p++;
                else if (!is_integer)
                        while (p < end && (is_digit(*p) || strchr("+-.eE", *p)))
                                p++;
        }
        return SLICE_NULL;
}
