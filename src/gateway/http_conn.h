#pragma once
/* The open connections and how long each may take over what it is doing. */

#include <pthread.h>
#include <stdatomic.h>
#include "base/list.h"

typedef enum ConnPhase {
        CONN_READING, /* a request, or waiting for one */
        CONN_WORKING, /* the request is ours */
        CONN_WRITING, /* its response */
        CONN_STREAMING
} ConnPhase;

typedef struct Conn {
        List node;
        int fd;
        ConnPhase phase;
        int64_t since_ms;
        size_t n_bytes; /* read or to be written in this phase */
} Conn;

typedef struct Conns {
        pthread_mutex_t lock;
        List all;
        size_t n, n_max;
        atomic_ullong n_late; /* closed for taking too long */
} Conns;

void conns_init(Conns *c, size_t n_max);
void conns_deinit(Conns *c);
/** NULL: out of memory; such a connection is not watched. */
Conn *conn_new(Conns *c, int fd);
/** Before the socket is closed. NULL-safe. */
void conn_free(Conns *c, Conn *conn);
/** NULL-safe. */
void conn_enter(Conns *c, Conn *conn, ConnPhase phase, size_t n_bytes);
/** @n_bytes of a request have come. NULL-safe. */
void conn_progress(Conns *c, Conn *conn, size_t n_bytes);
/** Shut the sockets of those that are late. */
void conns_reap(Conns *c, int64_t now_ms);
size_t conns_count(Conns *c);
