#pragma once
/* Subjects: how they are put together, taken apart, and how names travel in their tokens. */

#include "base/arena.h"
#include "base/buf.h"
#include "base/report.h"

#define SUBJECT_BYTES_MAX  4096 /* a longer subject is refused */
#define SUBJECT_TOKENS_MAX 64   /* tokens after the user's */

/** `<prefix>.<tenant>.<family>.<user>.<rest…>`, every piece still encoded. Slices borrow the subject. */
typedef struct SubjectParts {
        Slice tenant, family, user;       /* user: empty where the subject ends before it */
        Slice tokens[SUBJECT_TOKENS_MAX]; /* the rest */
        size_t n_tokens;
        Slice rest; /* the rest, whole */
} SubjectParts;

/**
 * Take @subject apart. 0, or -EINVAL with a sentence in @report: another prefix, empty tokens, too long.
 * Too few tokens are no fault here: what is absent is empty.
 */
int subject_split(Slice subject, Slice prefix, SubjectParts *ret, Report *report);

/** Append @text as one token: bytes outside [A-Za-z0-9_-] as %XX, upper-case hex. */
void name_put_token(Buf *b, Slice text);
/**
 * The name that @token stands for, in @arena: percent escapes decoded, everything else as it is. 0; -EINVAL
 * when an escape is malformed, or the name is empty, longer than @n_max bytes, not UTF-8 or holds control
 * characters (@report has the sentence, @what names the token in it); -ENOMEM.
 */
int name_get_token(Slice token, const char *what, size_t n_max, Arena *arena, Slice *ret, Report *report);
/**
 * The same for a token that says who somebody is. Only the one canonical spelling is taken: with two
 * spellings of one name, two NATS permissions would vouch for the same person.
 */
int name_get_identity(Slice token, const char *what, Arena *arena, Slice *ret, Report *report);
/** No control characters, UTF-8, 1…@n_max bytes. */
bool name_is_valid(Slice name, size_t n_max);
/**
 * May an answer be sent to @subject? Only to `_INBOX.…`, `_R_.…` and what begins with the whole tokens of
 * one of @prefixes (NULL-terminated, may be NULL); never to wildcards.
 */
bool subject_is_inbox(Slice subject, const char *const *prefixes);
