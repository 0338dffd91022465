#pragma once
/* JSON string literals. Here and not in json/, because reports and the log write JSON too. */

#include "base/buf.h"

/** Append @s, which must be UTF-8, in quotes with RFC 8785's escapes. */
void quote_json(Buf *b, Slice s);
/** The same for bytes of any origin: whatever is not UTF-8 becomes U+FFFD. */
void quote_json_lossy(Buf *b, Slice s);
