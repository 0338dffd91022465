#pragma once
/* JSON string literals, here and not in json/, because reports and the log write JSON too; and names in subjects. */

#include "base/buf.h"

/** Append @s, which must be UTF-8, in quotes with RFC 8785's escapes. */
void quote_json(Buf *b, Slice s);
/** The same for bytes of any origin: whatever is not UTF-8 becomes U+FFFD. */
void quote_json_lossy(Buf *b, Slice s);
/** Append @name as one token of a NATS subject: bytes outside [A-Za-z0-9_-] as %XX, upper-case hex. */
void quote_token(Buf *b, Slice name);
/** The same for several tokens: dots stay. */
void quote_tokens(Buf *b, Slice names);
/** The same for a step's type: the colon of custom:<name> stays. */
void quote_type_token(Buf *b, Slice type_name);
