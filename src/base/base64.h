#pragma once
/* Base64 (RFC 4648, section 4), both ways, and base64url (section 5). */

#include "base/buf.h"

/** Append @bytes as base64, padded. */
void base64_put(Buf *b, Slice bytes);
/**
 * Append what @text stands for. Blanks and line breaks are passed over, padding may be missing. False: not base64
 * (then some of it may have been appended), or the buffer's sticky error.
 */
bool base64_decode(Slice text, Buf *b);
/** Decode base64url without padding into @out (room for @text.n bytes). False: malformed. */
bool base64url_decode(Slice text, unsigned char *out, size_t *ret_n);
