#pragma once
/* What the two halves of the misbehaving HTTP server share: connections (http_server.c) and behaviours
 * (behaviours.c). */

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#define REQUEST_BYTES_MAX (4u << 20) /* head and body of one request */
#define KEYS_MAX 2000000             /* idempotency keys remembered; later ones are not */

typedef struct Server Server;
typedef struct Conn Conn;

typedef struct Request {
        Slice method, path, query, body;
        Slice head;            /* all header lines, CRLF between them */
        Slice idempotency_key; /* empty: none */
} Request;

struct Conn {
        Server *server;
        int fd;
        uint64_t id, n_requests;
        Buf in, out;
        size_t n_sent;     /* of `out` */
        size_t n_consumed; /* of `in`, by the request being answered */
        uint32_t events;   /* what epoll watches */
        bool busy;         /* a request is being answered: later ones wait */
        bool close_after;  /* when `out` is sent */
        bool reset_after;  /* likewise, with RST */
        /* A timer of one shot, and what it does. */
        List timer;
        int64_t due_ms; /* 0: not armed */
        int64_t period_ms;
        /**
         * Called when `out` has been sent, or the timer fires if one is armed; appends more, or sets `more`
         * to NULL when done.
         */
        void (*more)(Conn *c);
        uint64_t n_left; /* for `more` */
};

struct Server {
        int epoll, listener;
        List timers; /* of connections, soonest first */
        Map keys;    /* idempotency key → SeenKey */
        uint64_t n_requests, n_connections, n_open;
        bool stop;
};

typedef struct SeenKey {
        uint64_t count;
        size_t n;
        char text[];
} SeenKey;

/** Answer @r: fill c->out and the flags, or arm a timer. */
void behave(Conn *c, const Request *r);
/** How often the request's idempotency key was seen, this time included; 0 without a key. */
uint64_t key_seen(Server *s, Slice key);
void keys_forget(Server *s);

void conn_arm(Conn *c, int64_t delay_ms);
/** The header @name of the request, empty if there is none. */
Slice request_header(const Request *r, const char *name);
