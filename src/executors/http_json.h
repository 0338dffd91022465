#pragma once
/* JSON text of a stranger, straight to canonical form (RFC 8785), without a tree in between. */

#include "base/buf.h"

/** A member of the top-level object; offsets into the canonical text. */
typedef struct HttpJsonMember {
        size_t key, n_key;     /* the quoted key */
        size_t value, n_value;
} HttpJsonMember;

/**
 * What is kept from one text to the next, so that the usual case allocates nothing. Zero-initialised is
 * valid.
 */
typedef struct HttpJson {
        Buf text;     /* the canonical text */
        Buf scratch;  /* strings being unescaped, members being sorted */
        struct HttpJsonEntry *entries; /* members of all open objects, innermost last */
        size_t n_entries, cap;
        HttpJsonMember *members; /* of the top-level object, in canonical order */
        size_t n_members, members_cap;
        bool is_object;
} HttpJson;

void http_json_deinit(HttpJson *j);
/**
 * Bring @text into canonical form in j->text, replacing what was there. What json_parse_own and
 * json_canonical would make of it, but for repeated keys, of which the last one wins. 0; -EBADMSG: not
 * JSON, not UTF-8, deeper than JSON_DEPTH_MAX, \u0000 or a number too large; -ENOMEM. Linear in the text
 * (times its depth, for sorting members).
 */
int http_json_canonical(HttpJson *j, Slice text);
