#pragma once
/* A command or event while it is being decoded: from message to Request. */

#include "subjects/handler.h"

typedef struct Call {
        Subjects *subjects;
        const Message *message;
        const SubjectParts *parts;
        Request *request; /* owned; everything decoded lives in its arena */
        json_t *body;     /* owned; an empty object where the message has no body */
        JsonAt at;        /* the body's root */
        Report report;
        int error; /* -ENOMEM: sticky */
} Call;

/**
 * Begin: make the request, take tenant and user from the subject, command id and traceparent from the
 * headers. Faults go into the report.
 */
void call_begin(Call *c, Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                RequestKind kind);
/**
 * Parse the body (an object, at most @size_max bytes; nothing at all counts as {}), take command id from
 * it, and check that whoever it names is who the subject names.
 */
void call_parse_body(Call *c, size_t size_max);
/** The name in token @token (0…) behind the verb. */
void call_get_token(Call *c, size_t token, const char *what, Slice *ret);
/** The execution id in token @token. */
void call_get_execution(Call *c, size_t token);
/** Copy the body's string member into the arena; false when absent or faulty. @limit: the name of @n_max. */
bool call_get_string(Call *c, const JsonAt *object, const char *key, size_t n_max, const char *limit,
                     Slice *ret);
/**
 * The member as a Value (owned by the request through *ret), at most @n_max canonical bytes; absent:
 * untouched.
 */
void call_get_value(Call *c, const JsonAt *object, const char *key, size_t n_max, const char *limit,
                    Value **ret);
/**
 * Compute the digest that tells one command id on two commands: of @family ("cmd", "event"), subject tail
 * and body.
 */
void call_digest(Call *c, const char *family);
/** Give a report that holds details alone its code and a sentence made of the first one; @what begins it. */
void report_conclude(Report *report, const char *what);
/** Hand the request to the writer, or refuse; gives @answer in the end. Releases everything. */
void call_finish(Call *c, Answer *answer);
/** cmd_start.c: the body of `start`. */
void cmd_decode_start(Call *c);
static inline bool call_failed(const Call *c) { return c->error || report_is_error(&c->report); }
