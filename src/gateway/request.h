#pragma once
/* One HTTP request on its way, and the response that it gets. Free of libmicrohttpd. */

#include <stdatomic.h>
#include "gateway/internal.h"
#include "gateway/uri.h"

typedef struct Route Route;
typedef struct Stream Stream;

typedef enum Method { METHOD_GET = 1, METHOD_POST = 2, METHOD_OPTIONS = 4, METHOD_OTHER = 8 } Method;

/** Who is asking. */
typedef struct Identity {
        char user[IDENTITY_BYTES_MAX + 1], tenant[IDENTITY_BYTES_MAX + 1];
        int64_t expires_s; /* until when that counts, Unix time; 0: no end is known */
} Identity;

typedef struct Response {
        int status; /* 0: there is none yet */
        Buf body;
        Slice fixed; /* instead of body: bytes that outlive the gateway */
        const char *content_type;
        Buf headers;    /* name NUL value NUL, again and again */
        Stream *stream; /* instead of a body: a reference, taken by the server */
        bool closes;    /* the connection ends with it */
} Response;

typedef struct Request {
        Gateway *gateway;
        void *connection; /* libmicrohttpd's; http_server.c alone looks into it */
        void *conn;       /* http_conn.c's */
        char *target;     /* owned, as it came */
        Method method;
        bool is_head;
        bool is_begun;  /* the headers were looked at */
        bool is_paused; /* has been: who resumes it sets the response */
        bool is_handed; /* the handler has it, or has had it */
        Arena arena;    /* for what lives as long as the request */
        Uri uri;
        const Route *route;
        Slice captures[4]; /* what the path's places in braces hold */
        size_t n_captures;
        Buf body;
        size_t body_max, n_discarded;
        Identity identity;
        char id[REQUEST_ID_MAX + 1];
        int64_t begun_ms;
        Response response;
} Request;

/* http_server.c */

/** A header's value, NULL: not given. Borrowed. Any case of @name. */
const char *request_header(const Request *r, const char *name);
/** The handler will give the response later: from here on, until request_resume, the request belongs to it. */
void request_pause(Request *r);
/** The response is there. From any thread; the request must not be touched after it. */
void request_resume(Request *r);

/* reply.c: each sets the response; the first one counts. */

/** Take @body (left empty) as JSON. */
void reply_json(Request *r, int status, Buf *body);
void reply_fixed(Request *r, int status, const char *content_type, Slice bytes);
void reply_empty(Request *r, int status);
void reply_header(Request *r, const char *name, const char *value);
/** The protocol's error body. @status 0: the code's own. */
void reply_error(Request *r, RunbookCode code, int status, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
void reply_report(Request *r, const Report *report, int status);
/** Out of memory, said without needing any. */
void reply_memory(Request *r);
/** Add an ETag to a 200; make it a 304 where the client has that. */
void reply_etag(Request *r);
