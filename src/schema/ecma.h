#pragma once
/* ECMAScript's regular expressions written as PCRE2's. */

#include "base/buf.h"

/**
 * Append to @b a PCRE2 pattern (for PCRE2_UTF, PCRE2_DOLLAR_ENDONLY, PCRE2_MATCH_UNSET_BACKREF) that matches
 * what
 * @pattern, which is UTF-8, does by ECMA-262 with its `u` flag. NULL, or a sentence that says what is wrong
 * and, in *ret_at, at which byte. Out of memory is the buffer's sticky error.
 */
const char *ecma_translate(Buf *b, Slice pattern, size_t *ret_at);
