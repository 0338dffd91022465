#pragma once
/* An immutable JSON value with two faces, canonical bytes and tree, each made once, when asked for. */

#include <jansson.h>
#include "base/buf.h"

typedef struct Value Value;

/** Takes the reference @json (also on failure, NULL in → NULL out). NULL when out of memory. Refcount 1. */
Value *value_new(json_t *json);
/** Copies canonical bytes; they are not parsed until value_json. */
Value *value_new_bytes(Slice canonical);
/** Reference counts are atomic; the lazily made faces are not: one thread at a time may read a value. */
Value *value_ref(Value *v);
void value_unref(Value *v); /* NULL-safe */
/** Borrowed, valid as long as the value; NULL when @v is NULL, memory ran out, or the bytes are not JSON. */
const json_t *value_json(Value *v);
/** value_json gave NULL: do the bytes say nothing (a damaged record), or had it no memory (false)? */
bool value_is_damaged(const Value *v);
/** Canonical bytes, borrowed, with a NUL after them; SLICE_NULL when @v is NULL or out of memory. */
Slice value_bytes(Value *v);
/** Bytes of memory held, roughly, for cache accounting. */
size_t value_size(const Value *v);
/** The same as it was when it was first asked for: for values that are asked about again and again. */
size_t value_weight(Value *v);
static inline void value_unref_p(Value **v) { value_unref(*v); }
