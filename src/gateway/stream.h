#pragma once
/*
 * Server-sent events: a bounded buffer between a source of events and a connection, and what all sources share.
 */

#include "gateway/request.h"

#define STREAMS_MAX         1024         /* open at a time */
#define STREAMS_OF_USER_MAX 128          /* of these, one user of one tenant\'s */
#define STREAM_BUFFER_LOW   (128u << 10) /* bytes that wait for the reader; above it the source waits too */
#define STREAM_HEARTBEAT_MS 15000
#define STREAM_STALL_MS     20000 /* a reader that takes nothing for so long is dropped */
#define STREAM_RETRY_MS     1000  /* what clients are told to wait before they come back */

typedef struct StreamKind {
        /** The buffer has room, or time has passed: go on. Any thread, no lock held, at times twice at once. */
        void (*pump)(Stream *s, int64_t now_ms);
        /** Events may have been missed: NATS was away. */
        void (*gap)(Stream *s);
        /** Nobody reads any more: let go of everything that holds a reference. Once. */
        void (*close)(Stream *s);
        /** The last reference is gone. */
        void (*free)(Stream *s);
} StreamKind;

/** The first member of every source's struct. */
struct Stream {
        List node; /* in the gateway's list, which holds a reference */
        const StreamKind *kind;
        Gateway *gateway;
        Identity identity;
        atomic_int n_refs;
        pthread_mutex_t lock; /* what follows, and the source's own state */
        Buf out;
        size_t at; /* of `out` that is read */
        void *connection;
        bool is_waiting; /* the connection is suspended */
        bool is_ending;  /* nothing more is put; the connection ends when all is read */
        bool is_closed;
        bool is_away; /* the reader was told that NATS is */
        int64_t put_ms, read_ms;
};

/** One reference, the caller's. False: too many streams; the response is set then. */
bool stream_init(Stream *s, const StreamKind *kind, Request *r);
Stream *stream_ref(Stream *s);
void stream_unref(Stream *s);

/** With the lock held: append an event. @id SLICE_NULL: none. @data is one line. */
void stream_put_locked(Stream *s, Slice id, const char *event, Slice data);
/** With the lock held: no event, but where the reader goes on when he comes back before the first. */
void stream_put_id_locked(Stream *s, Slice id);
bool stream_has_room_locked(const Stream *s);
/** With the lock held: a last event that says why, then the end. */
void stream_end_locked(Stream *s, const char *event, const char *code, const char *reason);
/** With the lock held, at the end of what was put: let the connection take it. */
void stream_wake_locked(Stream *s);
/** Make @s the response of @r. Takes a reference of its own. */
void stream_respond(Stream *s, Request *r);

/** Close a stream that has not become a response. The caller's reference stays. */
void stream_abandon(Stream *s);

/* http_server.c's side */

/** Up to @max bytes; 0: the connection was suspended; -1: the end. */
ssize_t stream_read(Stream *s, char *buf, size_t max);
/** The connection is gone, and with it its reference. */
void stream_close(Stream *s);

/* gateway.c's side */

/** Heartbeats, stalled readers. */
void streams_tick(Gateway *g, int64_t now_ms);
/** NATS was away. */
void streams_gap(Gateway *g);
/** Tell all why they end. */
void streams_end(Gateway *g, const char *code, const char *reason);
size_t streams_count(Gateway *g);
