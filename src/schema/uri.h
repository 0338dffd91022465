#pragma once
/* URI references resolved by RFC 3986, section 5.2, for $id and $ref. Nothing is ever fetched. */

#include "base/buf.h"

/**
 * Append the target of @reference seen from @base: RFC 3986, 5.2.2, without its fragment. @base may itself be
 * relative or empty. The fragment goes to *ret_fragment, borrowed from @reference, as written (SLICE_NULL:
 * there is none).
 */
void uri_resolve(Buf *b, Slice base, Slice reference, Slice *ret_fragment);
/** Append @s with its percent-escapes decoded; false when one is malformed or stands for NUL. */
bool uri_decode(Buf *b, Slice s);
