#pragma once
/* Subjects of the protocol: tokens, percent-encoding, and how a subject is put together and taken apart. */

#include "base/buf.h"

#define SUBJECT_BYTES_MAX 2048 /* of a whole subject; nats-server's own line limit is 4096 */

/** Append @text as one token: bytes outside [A-Za-z0-9_-] become %XX (upper case). */
void subject_put_token(Buf *b, Slice text);
/** Append @text as several tokens: its dots separate them, the rest is encoded as above. */
void subject_put_tokens(Buf *b, Slice text);
/** Append the bytes that @token stands for; false if it is malformed (or has an encoded NUL). */
bool subject_get_token(Buf *b, Slice token);
/** Is @s a publishable subject: tokens that are not empty, no blanks, no wildcards, at most
 * SUBJECT_BYTES_MAX? */
bool subject_is_valid(Slice s);
/** Cut the first token off @rest; an empty slice when there is none left. */
Slice subject_next(Slice *rest);
