/*
 * Outbox
 *
 *     writer: rows ──commit──► [store] ──window──► publish ──ack──► `at` moves on
 *        ▲                                                                │
 *        └──────────────────── mark (row, stream_seq) ◄───────────────────┘
 *
 * The store is the truth and the stream its copy, which can lose what it has acknowledged: nats-server syncs
 * every two minutes. So rows stay past their ack (for outbox_ttl_ms), and marks say how far the stream had
 * come at which row. After each (re)connect the stream's end is compared with the last sequence known:
 *
 *     another creation time   another stream: everything that is kept is sent again
 *     a smaller sequence      it has lost its tail: sent again from the newest mark that it still covers
 *     else                    nothing happened; a window of unknown fate is sent again, and the stream drops
 *                             what it has by Nats-Msg-Id
 *
 * Marks of what was lost must not be believed after a restart. So when the outbox steps back, the mark that
 * says so is committed before the first message is sent again. Other marks are written at leisure by the
 * writer, with batches that are written anyway.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "runtime/outbox.h"
#include "runtime/runtime_private.h"

int outbox_init(Outbox *o, Store *store, const AuditStream *stream, const char *prefix, Inbox *writer) {
        pthread_condattr_t attr;

        *o = (Outbox){.store = store, .prefix = prefix, .writer = writer, .at.row = 1};
        if (stream) {
                o->stream = *stream;
                o->has_stream = true;
        }
        if (pthread_mutex_init(&o->lock, NULL))
                return -ENOMEM;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        int rc = pthread_cond_init(&o->wake, &attr);
        pthread_condattr_destroy(&attr);
        if (rc)
                pthread_mutex_destroy(&o->lock);
        return rc ? -ENOMEM : 0;
}

void outbox_deinit(Outbox *o) {
        arena_deinit(&o->arena);
        pthread_cond_destroy(&o->wake);
        pthread_mutex_destroy(&o->lock);
}

int outbox_recover(Outbox *o) {
        uint64_t row = 0, noted = 0, created_ms = 0;
        StoreTxn *t;

        int r = store_begin_read(o->store, &t);
        if (r)
                return r;
        r = store_outbox_last(t, &o->last_row);
        if (r == 0)
                r = store_meta_get_u64(t, META_ROW, &noted);
        if (r == 0)
                r = store_outbox_last_mark(t, &row, &o->stream_seq);
        if (r == 0)
                r = store_meta_get_u64(t, META_STREAM, &created_ms);
        store_abort(t);
        if (r)
                return r;
        o->created_ms = (int64_t)created_ms;
        if (row > o->last_row)
                o->last_row = row;
        if (noted > o->last_row)
                o->last_row = row = noted; /* all rows have expired: numbers go on from where they were */
        o->published_row = row;
        o->at = o->after = (OutboxAt){.row = row + 1};
        return 0;
}

void outbox_committed(Outbox *o, uint64_t row, int64_t at_ms) {
        pthread_mutex_lock(&o->lock);
        o->last_row = row;
        if (o->oldest_ms == 0)
                o->oldest_ms = at_ms;
        if (!o->has_stream) {
                o->published_row = row;
                o->oldest_ms = 0;
        }
        pthread_mutex_unlock(&o->lock);
        pthread_cond_signal(&o->wake);
}

/* ---- marks ------------------------------------------------------------------------------------------------
 */

bool outbox_mark_wanted(Outbox *o, OutboxMark *ret, bool *ret_urgent) {
        pthread_mutex_lock(&o->lock);
        bool wanted = o->mark_wanted || o->mark_urgent;
        *ret_urgent = o->mark_urgent;
        *ret = o->mark;
        pthread_mutex_unlock(&o->lock);
        return wanted;
}

void outbox_mark_written(Outbox *o, const OutboxMark *mark) {
        pthread_mutex_lock(&o->lock);
        if (o->mark.row == mark->row && o->mark.stream_seq == mark->stream_seq &&
            o->mark.created_ms == mark->created_ms)
                o->mark_wanted = o->mark_urgent = false;
        pthread_mutex_unlock(&o->lock);
        pthread_cond_signal(&o->wake);
}

static void want_mark(Outbox *o, OutboxMark mark, bool urgent) {
        pthread_mutex_lock(&o->lock);
        bool poke = urgent || !o->mark_wanted;
        o->mark = mark;
        o->mark_wanted = true;
        o->mark_urgent = urgent;
        pthread_mutex_unlock(&o->lock);
        /* The first of a series tells the writer to set its alarm; it writes the latest one then. */
        if (poke)
                inbox_poke(o->writer);
}

uint64_t outbox_published_row(Outbox *o) {
        pthread_mutex_lock(&o->lock);
        uint64_t row = o->published_row;
        pthread_mutex_unlock(&o->lock);
        return row;
}

/* ---- the stream's end ------------------------------------------------------------------------------- */

/** Go on after @row: what follows is (no longer) in the stream. */
static void step_back(Outbox *o, uint64_t row, const AuditTail *tail, const char *why) {
        char rows[32], seq[32];

        snprintf(rows, sizeof(rows), "%llu", (unsigned long long)row);
        snprintf(seq, sizeof(seq), "%llu", (unsigned long long)tail->last_seq);
        log_event(LOG_WARN, why, "after_row", rows, "stream_last_seq", seq, NULL);
        o->at = o->after = (OutboxAt){.row = row + 1};
        o->n_messages = 0;
        pthread_mutex_lock(&o->lock);
        if (row < o->published_row) {
                o->n_resent++;
                o->published_row = row;
        }
        pthread_mutex_unlock(&o->lock);
        want_mark(o, (OutboxMark){row, tail->last_seq, tail->created_ms}, true);
}

static int mark_at(Outbox *o, uint64_t stream_seq, uint64_t *ret_row) {
        StoreTxn *t;

        int r = store_begin_read(o->store, &t);
        if (r)
                return r;
        r = store_outbox_mark_at(t, stream_seq, ret_row);
        store_abort(t);
        return r;
}

/** Compare with the stream. 0: in step (perhaps after stepping back); negative: no answer. */
static int sync_with_stream(Outbox *o, uint64_t epoch) {
        AuditTail tail = {0};
        uint64_t row = 0;

        int r = o->stream.tail(o->stream.userdata, &tail);
        if (r < 0)
                return r;
        bool had = o->created_ms != 0;
        if (had && tail.created_ms != o->created_ms) {
                step_back(o, 0, &tail,
                          "the audit stream is another one than before: all that is kept is sent again");
        } else if (had && tail.last_seq < o->stream_seq) {
                r = mark_at(o, tail.last_seq, &row);
                if (r)
                        return r;
                step_back(o, row, &tail,
                          "the audit stream has lost its latest messages: they are sent again");
        }
        o->created_ms = tail.created_ms;
        o->stream_seq = tail.last_seq;
        o->epoch = epoch;
        o->synced = true;
        return 0;
}

/* ---- turns ------------------------------------------------------------------------------------------ */

static bool is_waiting_for_mark(Outbox *o) {
        pthread_mutex_lock(&o->lock);
        bool urgent = o->mark_urgent;
        pthread_mutex_unlock(&o->lock);
        return urgent;
}

static void window_sent(Outbox *o, uint64_t stream_seq) {
        uint64_t row = o->after.row - 1; /* the last row that is wholly out */

        o->stream_seq = stream_seq;
        pthread_mutex_lock(&o->lock);
        o->n_published += o->n_messages;
        if (row > o->published_row)
                o->published_row = row;
        o->oldest_ms = o->published_row >= o->last_row ? 0 : o->window_ms;
        pthread_mutex_unlock(&o->lock);
        if (o->after.row > o->at.row)
                want_mark(o, (OutboxMark){row, stream_seq, o->created_ms}, false);
        o->at = o->after;
        o->n_messages = 0;
        o->complained = false;
}

int outbox_turn(Outbox *o) {
        uint64_t stream_seq = 0;

        if (!o->has_stream)
                return 1;
        uint64_t epoch = o->stream.epoch(o->stream.userdata);
        if (!o->synced || epoch != o->epoch) {
                int r = sync_with_stream(o, epoch);
                if (r < 0)
                        return r;
        }
        if (is_waiting_for_mark(o))
                return 1; /* outbox_mark_written wakes this thread */
        if (o->n_messages == 0) {
                int r = outbox_fill(o);
                if (r < 0)
                        return r;
        }
        if (o->n_messages == 0) {
                /* Nothing, or rows whose records are all unreadable: those count as sent. */
                if (o->after.row == o->at.row)
                        return 1;
                window_sent(o, o->stream_seq);
                return 0;
        }
        int r = o->stream.publish(o->stream.userdata, o->messages, o->n_messages, &stream_seq);
        if (r < 0) {
                o->synced = false; /* who knows what happened in between: ask before sending again */
                return r;
        }
        window_sent(o, stream_seq);
        return 0;
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static int64_t monotonic_ms(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct timespec timespec_of(int64_t ms) {
        return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

/** Doubling, from the least to the most; a stream that refuses is left alone for longer. One failure may be a
 * reconnect: two are said. */
static int64_t backoff_after(Outbox *o, int r) {
        if (!o->complained && o->backoff_ms)
                log_event(LOG_WARN,
                          r == -ENOSPC ? "the audit stream takes no more messages: they wait in the store"
                                       : "messages can't be published: they wait in the store",
                          "reason", strerror(-r), NULL);
        o->complained = o->backoff_ms > 0;
        o->backoff_ms = o->backoff_ms ? o->backoff_ms * 2 : OUTBOX_BACKOFF_MIN_MS;
        if (o->backoff_ms > OUTBOX_BACKOFF_MAX_MS)
                o->backoff_ms = OUTBOX_BACKOFF_MAX_MS;
        return r == -ENOSPC && o->backoff_ms < OUTBOX_FULL_BACKOFF_MS ? OUTBOX_FULL_BACKOFF_MS
                                                                      : o->backoff_ms;
}

/** Sleep until there is something to publish or @ms passed; after a failure (@backing_off) only time helps.
 */
static void doze(Outbox *o, int64_t ms, bool backing_off) {
        struct timespec until = timespec_of(monotonic_ms() + ms);
        int rc = 0;

        pthread_mutex_lock(&o->lock);
        while (rc == 0 && !o->stopping && (backing_off || o->mark_urgent || o->last_row < o->at.row))
                rc = pthread_cond_timedwait(&o->wake, &o->lock, &until);
        pthread_mutex_unlock(&o->lock);
}

/** While stopping: true when the thread should end. Failures are tried again soon: there may not be much
 * time. */
static bool stop_now(Outbox *o, int r) {
        pthread_mutex_lock(&o->lock);
        bool stopping = o->stopping;
        int64_t left = o->stop_at_ms - monotonic_ms();
        pthread_mutex_unlock(&o->lock);
        if (!stopping)
                return false;
        if (r == 1 || left <= 0)
                return true;
        if (r < 0) {
                struct timespec nap = timespec_of(OUTBOX_BACKOFF_MIN_MS);
                clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        }
        return false;
}

void outbox_run(Outbox *o) {
        int r;

        do {
                r = outbox_turn(o);
                if (r == 0)
                        o->backoff_ms = 0;
                else
                        doze(o, r < 0 ? backoff_after(o, r) : OUTBOX_IDLE_MS, r < 0);
        } while (!stop_now(o, r));
}

void outbox_stop(Outbox *o, int64_t timeout_ms) {
        pthread_mutex_lock(&o->lock);
        o->stopping = true;
        o->stop_at_ms = monotonic_ms() + timeout_ms;
        pthread_mutex_unlock(&o->lock);
        pthread_cond_signal(&o->wake);
}
