#pragma once
/* Writing JSON straight into a buffer; and the canonical form (RFC 8785) that hashes are taken of. */

#include <jansson.h>
#include "base/buf.h"

#define JSON_WRITE_DEPTH_MAX 512 /* nesting of a tree we write: documents we took, put into each other */

/**
 * A direct writer: commas are put by itself, nothing is checked but by assertion.
 *     JsonWriter w = json_writer(&buf);
 *     json_begin_object(&w); json_key(&w, "id"); json_put_string(&w, id); json_end_object(&w);
 * Canonical output is the caller's duty: give keys in order of their UTF-16 code units.
 */
typedef struct JsonWriter { Buf *buf; bool need_comma; } JsonWriter;

static inline JsonWriter json_writer(Buf *b) { return (JsonWriter){b, false}; }
void json_begin_object(JsonWriter *w);
void json_end_object(JsonWriter *w);
void json_begin_array(JsonWriter *w);
void json_end_array(JsonWriter *w);
/** @key is plain ASCII that needs no escape. */
void json_key(JsonWriter *w, const char *key);
/** Any key. */
void json_key_slice(JsonWriter *w, Slice key);
void json_put_string(JsonWriter *w, Slice s);      /* RFC 8785 escapes; @s must be UTF-8 */
void json_put_str(JsonWriter *w, const char *s);   /* NULL: null */
void json_put_i64(JsonWriter *w, int64_t v);
void json_put_double(JsonWriter *w, double v);     /* ECMAScript Number::toString; must be finite */
void json_put_bool(JsonWriter *w, bool v);
void json_put_null(JsonWriter *w);
/** Already-rendered JSON, verbatim. */
void json_put_raw(JsonWriter *w, Slice json);
void json_put_time_ms(JsonWriter *w, int64_t unix_ms);  /* "2026-…Z" */
/** A tree in canonical form. NULL: null. Deeper than JSON_WRITE_DEPTH_MAX: error -EFBIG. */
void json_put_tree(JsonWriter *w, const json_t *value);

/** Append @value in canonical form (RFC 8785); integers keep all digits. 0 or the buffer's sticky error. */
int json_canonical(const json_t *value, Buf *b);
/**
 * The order of its keys: UTF-16 code units, seen through UTF-8. Both orders agree but for one thing: characters past
 * U+FFFF (lead bytes F0…F4) are surrogates in UTF-16 and so come before U+E000…U+FFFF (EE, EF). As memcmp.
 */
int json_key_cmp(Slice a, Slice b);
