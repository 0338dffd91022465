#pragma once
/*
 * Cutting members and items out of canonical JSON without building a tree: for the hot path, where most of a
 * value is only passed on. What is given must be canonical bytes of our own (json_write.h, value_bytes).
 */

#include "base/slice.h"

/** The item at *at (0 to begin) of array @array as raw JSON; false at the end, or when it is no array. */
bool json_scan_next(Slice array, size_t *at, Slice *ret_item);
/** Member @key (plain ASCII) of object @object as raw JSON; false when it is absent, or @object no object. */
bool json_scan_member(Slice object, const char *key, Slice *ret_value);
/**
 * Members @keys of object @object in one pass, as raw JSON; what is absent becomes empty. Returns how many there
 * are.
 */
size_t json_scan_members(Slice object, const char *const *keys, size_t n_keys, Slice *ret_values);
/** The text of a raw string without escapes, "" included; false for other values and strings with escapes. */
bool json_scan_plain_string(Slice raw, Slice *ret_text);

/* The steps of it, for JSON with blanks too. @i is where a string or value begins; what is no JSON ends somewhere. */
/** Behind the string; @s.n when it does not end. */
size_t json_scan_skip_string(Slice s, size_t i);
/** Behind the value. */
size_t json_scan_skip_value(Slice s, size_t i);
