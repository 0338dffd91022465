/*
 * How long a connection may take
 *
 * libmicrohttpd ends connections that are silent, but a byte now and then keeps one alive for ever, and a thousand of
 * them keep everybody else out. So each phase has a deadline that grows with the bytes that are really moved, and the
 * patience shrinks when connections run short. A late one is shut down, which libmicrohttpd then notices; its own
 * thread alone closes descriptors, after conn_free, so the number can't be somebody else's by then.
 */

#include <stdlib.h>
#include <sys/socket.h>
#include "client/link.h"
#include "gateway/http_conn.h"

#define READ_MS         20000 /* for a request; also how long an idle connection is kept */
#define READ_HURRIED_MS 3000  /* the same when most connections are in use */
#define READ_CROWDED_MS 1000  /* and when all are, and others wait at the door */
#define WRITE_MS        30000
#define BYTES_PER_MS    16 /* the slowest that bodies may move */
#define HURRY_PERCENT   75

void conns_init(Conns *c, size_t n_max) {
        pthread_mutex_init(&c->lock, NULL);
        list_init(&c->all);
        c->n_max = n_max;
}

void conns_deinit(Conns *c) { pthread_mutex_destroy(&c->lock); }

Conn *conn_new(Conns *c, int fd) {
        Conn *conn = calloc(1, sizeof *conn);

        if (!conn)
                return NULL;
        conn->fd = fd;
        conn->since_ms = link_now_ms();
        pthread_mutex_lock(&c->lock);
        list_push_back(&c->all, &conn->node);
        c->n++;
        pthread_mutex_unlock(&c->lock);
        return conn;
}

void conn_free(Conns *c, Conn *conn) {
        if (!conn)
                return;
        pthread_mutex_lock(&c->lock);
        list_remove(&conn->node);
        c->n--;
        pthread_mutex_unlock(&c->lock);
        free(conn);
}

void conn_enter(Conns *c, Conn *conn, ConnPhase phase, size_t n_bytes) {
        if (!conn)
                return;
        pthread_mutex_lock(&c->lock);
        conn->phase = phase;
        conn->since_ms = link_now_ms();
        conn->n_bytes = n_bytes;
        pthread_mutex_unlock(&c->lock);
}

void conn_progress(Conns *c, Conn *conn, size_t n_bytes) {
        if (!conn)
                return;
        pthread_mutex_lock(&c->lock);
        conn->n_bytes += n_bytes;
        pthread_mutex_unlock(&c->lock);
}

static int64_t patience_ms(const Conns *c, const Conn *conn) {
        int64_t read_ms = c->n >= c->n_max                         ? READ_CROWDED_MS
                          : c->n * 100 >= c->n_max * HURRY_PERCENT ? READ_HURRIED_MS
                                                                   : READ_MS;
        int64_t bytes_ms = (int64_t)(conn->n_bytes / BYTES_PER_MS);

        switch (conn->phase) {
        case CONN_READING:
                return read_ms + bytes_ms;
        case CONN_WRITING:
                return WRITE_MS + bytes_ms;
        case CONN_WORKING:
        case CONN_STREAMING:
                break;
        }
        return INT64_MAX / 2;
}

void conns_reap(Conns *c, int64_t now_ms) {
        pthread_mutex_lock(&c->lock);
        LIST_FOREACH(node, &c->all) {
                Conn *conn = LIST_ENTRY(node, Conn, node);

                if (now_ms - conn->since_ms < patience_ms(c, conn))
                        continue;
                shutdown(conn->fd, SHUT_RDWR);
                conn->since_ms = now_ms; /* told; libmicrohttpd closes it soon */
                atomic_fetch_add(&c->n_late, 1);
        }
        pthread_mutex_unlock(&c->lock);
}

size_t conns_count(Conns *c) {
        size_t n;

        pthread_mutex_lock(&c->lock);
        n = c->n;
        pthread_mutex_unlock(&c->lock);
        return n;
}
