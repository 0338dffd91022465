#pragma once
/* Small, fast compression of text that repeats itself: segments of events and logs take a third of their
 * size. */

#include "base/buf.h"

#define PACK_MIN 768 /* bytes; shorter texts are not worth the trouble */
#define PACK_MAX                                                                                             \
        ((size_t)256 << 20) /* bytes of a text; unpacking never makes more than the length it is told */

/**
 * Append the packed form of @text to @b. Returns false, with @b as it was, when that would not save an eighth
 * (or @b ran out of memory: see its error).
 */
bool pack_text(Slice text, Buf *b);
/** Unpack @packed, which holds a text of exactly @n bytes, into @ret; false on damage. Never writes beyond
 * @ret + @n. */
bool unpack_text(Slice packed, char *ret, size_t n);
