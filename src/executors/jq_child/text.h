#pragma once
/* jq's values as JSON text. */

#include <stdbool.h>
#include <jv.h>

#include "base/buf.h"

/**
 * Append @v (borrowed) as JSON: not a number is null, infinite numbers the largest finite ones, as jq has it.
 * NULL, or why it is no value for us: the end of a sentence that begins with the value. The buffer's sticky
 * error is the caller's to look at.
 */
const char *text_put(Buf *b, jv v);
/** Does jq keep all digits of 64-bit integers? (1.6 doesn't: its numbers are doubles.) */
bool text_keeps_integers(void);
/** The first integer in the JSON @text that a double can't hold; SLICE_NULL if there is none. */
Slice text_inexact_integer(Slice text);
