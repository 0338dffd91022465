#pragma once
/* From committed rows to the audit stream: in order, at least once, and again from where a stream has lost
 * something. */

#include <pthread.h>

#include "runtime/inbox.h"
#include "storage/store.h"

#define OUTBOX_WINDOW 512                    /* messages published at once */
#define OUTBOX_WINDOW_BYTES (4UL << 20)      /* of them, beyond which the window is closed */
#define OUTBOX_IDLE_MS         1000 /* how often an idle outbox looks whether the bus has reconnected */
#define OUTBOX_BACKOFF_MIN_MS 20
#define OUTBOX_BACKOFF_MAX_MS 5000
#define OUTBOX_FULL_BACKOFF_MS 2000          /* the stream refuses */
#define OUTBOX_SUBJECT_MAX 1024              /* bytes of a subject that is rendered */

/** Up to row `row` the stream created at `created_ms` has everything; its last sequence was `stream_seq`
 * then. */
typedef struct OutboxMark { uint64_t row, stream_seq; int64_t created_ms; } OutboxMark;

/** Where the next message comes from: a row, an entry in it, a record of that entry. */
typedef struct OutboxAt { uint64_t row; uint32_t entry, record; } OutboxAt;

typedef struct Outbox {
        Store *store;
        AuditStream stream;
        bool has_stream;     /* else nothing is ever published, and rows count as published */
        const char *prefix;  /* of subjects; borrowed */
        Inbox *writer;       /* to be poked for marks */

        pthread_mutex_t lock; /* of all below up to the thread's own */
        pthread_cond_t wake;
        uint64_t last_row;   /* committed */
        uint64_t published_row; /* rows wholly in the stream */
        int64_t oldest_ms;   /* when the first unpublished row was written; 0: none */
        OutboxMark mark;     /* to be written down by the writer… */
        bool mark_wanted;    /* …at leisure */
        bool mark_urgent;    /* …now: nothing is published before that */
        bool stopping;
        int64_t stop_at_ms;  /* monotonic: by then the thread ends, whatever is left */
        uint64_t n_published, n_resent;

        /* The publishing thread's own. */
        bool synced;         /* compared with the stream since `epoch` */
        uint64_t epoch;
        uint64_t stream_seq; /* the last one known */
        int64_t created_ms;  /* of the stream; 0: not known */
        OutboxAt at, after;  /* where the window begins and what follows it */
        int64_t window_ms;   /* when the row of `at` was written */
        Arena arena;         /* the window's texts */
        AuditMessage messages[OUTBOX_WINDOW];
        size_t n_messages;
        int64_t backoff_ms;
        bool complained;     /* about the present trouble */
} Outbox;

int outbox_init(Outbox *o, Store *store, const AuditStream *stream, const char *prefix, Inbox *writer);
void outbox_deinit(Outbox *o);
/** Begin where the store's marks say; before the first turn. 0 or negative. */
int outbox_recover(Outbox *o);
/** The writer: row @row, written at @at_ms, is committed. */
void outbox_committed(Outbox *o, uint64_t row, int64_t at_ms);
/** Publish one window. 0: did something, 1: nothing to do, negative: try later. */
int outbox_turn(Outbox *o);
/** The thread's body: turns until it is stopped and everything is published, or @deadline passed. */
void outbox_run(Outbox *o);
/** End the thread: once all is published, or after @timeout_ms. */
void outbox_stop(Outbox *o, int64_t timeout_ms);
/** The mark that should be written, if any; *ret_urgent: do it now. */
bool outbox_mark_wanted(Outbox *o, OutboxMark *ret, bool *ret_urgent);
/** @mark is committed. */
void outbox_mark_written(Outbox *o, const OutboxMark *mark);
/** Rows up to this one need not be kept for publishing. */
uint64_t outbox_published_row(Outbox *o);

/* outbox_render.c */
/** Fill the window from o->at on. 0 with o->n_messages (0: there is nothing) and o->after, or negative. */
int outbox_fill(Outbox *o);
