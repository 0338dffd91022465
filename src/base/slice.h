#pragma once
/* A borrowed run of bytes. NUL strings live only at library borders. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Slice {
        const char *data; /* may be NULL when n is 0 */
        size_t n;
} Slice;

/** A slice over a string literal. */
#define SLICE(literal) ((Slice){(literal), sizeof(literal) - 1})
#define SLICE_NULL ((Slice){NULL, 0})
/** For printf's "%.*s". */
#define SLICE_ARG(s) ((int)(s).n), ((s).data ? (s).data : "")

static inline Slice slice_from_str(const char *s) { return (Slice){s, s ? strlen(s) : 0}; }
static inline Slice slice_from_bytes(const void *p, size_t n) { return (Slice){(const char *)p, n}; }
static inline bool slice_eq(Slice a, Slice b) {
        return a.n == b.n && (a.n == 0 || !memcmp(a.data, b.data, a.n));
}
static inline bool slice_eq_str(Slice a, const char *s) { return slice_eq(a, slice_from_str(s)); }
static inline bool slice_starts_with(Slice a, Slice prefix) {
        return a.n >= prefix.n && (prefix.n == 0 || !memcmp(a.data, prefix.data, prefix.n));
}
static inline bool slice_ends_with(Slice a, Slice suffix) {
        return a.n >= suffix.n && (suffix.n == 0 || !memcmp(a.data + a.n - suffix.n, suffix.data, suffix.n));
}
/** memcmp order, the shorter first when one is the other's prefix. */
int slice_cmp(Slice a, Slice b);
/** A malloc'ed NUL-terminated copy, owned by the caller; NULL when out of memory. */
char *slice_dup(Slice s);
/** Is @s well-formed UTF-8 (no overlongs, no surrogates, at most U+10FFFF)? */
bool slice_is_utf8(Slice s);
/** Length of the longest prefix of @s that is well-formed UTF-8. */
size_t slice_utf8_prefix(Slice s);
/** @s cut to at most @n_max bytes, never inside a UTF-8 character. */
Slice slice_cut_utf8(Slice s, size_t n_max);
/** What @c is worth as a hexadecimal digit of either case, -1 if nothing. */
int slice_hex_digit(char c);
/** The byte that "%XX" at the beginning of @s stands for; -1: @s does not begin so. */
int slice_percent_byte(Slice s);
/** Parse a decimal number without sign, blanks or overflow; false if @s is anything else. */
bool slice_to_u64(Slice s, uint64_t *ret);
/**
 * The candidate nearest to @name by edit distance, for "did you mean …": NULL when none is within
 * a third of the name's length (at least 1, at most 3 edits). Names over 64 bytes have none.
 */
const char *slice_nearest(Slice name, const char *const *candidates, size_t n_candidates);
