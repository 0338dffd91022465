#pragma once
/* Values as bytes that are equal when, and only when, the values are: for enum, const and uniqueItems. */

#include <jansson.h>
#include "base/buf.h"

/**
 * Append the key of @value. @work grows by the members met; past @work_max the result is -EOVERFLOW, as it is
 * when the value is nested more than JSON_DEPTH_MAX deep. -ENOMEM; -EFBIG past the buffer's limit; else 0.
 * Not the canonical form of json/: that one prints doubles beyond 2^53 rounded, so that different numbers may
 * look alike.
 */
int key_put(Buf *b, const json_t *value, size_t *work, size_t work_max);
