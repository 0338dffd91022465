/*
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 *
 * A source puts events into a buffer, libmicrohttpd's thread takes them out. When the buffer is empty the connection is
 * suspended, and resumed by the next event; a comment now and then keeps proxies awake, and shows whether anybody is
 * still there, which a suspended connection does not notice by itself. One that looks closed gets it at once: whoever
 * goes from page to page leaves a stream behind on each, and may have only so many. When the buffer is full the source
 * waits; a reader that takes nothing for a while is dropped, with a last event that says so.
 */

#include <stdio.h>
#include <time.h>
#include "base/cleanup.h"
#include "gateway/http.h"
#include "gateway/stream.h"
#include "json/json_write.h"

/** Has @who, or have all together, as many as they may? */
static bool is_full_locked(Gateway *g, const Identity *who) {
        size_t n = 0;

        LIST_FOREACH(node, &g->streams) {
                const Identity *other = &LIST_ENTRY(node, Stream, node)->identity;

                n += !strcmp(who->user, other->user) && !strcmp(who->tenant, other->tenant);
        }
        return g->n_streams >= STREAMS_MAX || n >= STREAMS_OF_USER_MAX;
}

bool stream_init(Stream *s, const StreamKind *kind, Request *r) {
        Gateway *g = r->gateway;
        bool is_full;

        pthread_mutex_lock(&g->streams_lock);
        is_full = is_full_locked(g, &r->identity);
        if (!is_full) {
                g->n_streams++;
                s->kind = kind;
                s->gateway = g;
                s->identity = r->identity;
                s->put_ms = s->read_ms = link_now_ms();
                atomic_init(&s->n_refs, 2);
                pthread_mutex_init(&s->lock, NULL);
                list_push_back(&g->streams, &s->node);
        }
        pthread_mutex_unlock(&g->streams_lock);
        if (is_full)
                reply_error(r, RUNBOOK_OVERLOADED, 0,
                            "too many streams of events are open (%d at most, %d of one user)", STREAMS_MAX,
                            STREAMS_OF_USER_MAX);
        return !is_full;
}

Stream *stream_ref(Stream *s) {
        atomic_fetch_add(&s->n_refs, 1);
        return s;
}

void stream_unref(Stream *s) {
        if (atomic_fetch_sub(&s->n_refs, 1) != 1)
                return;
        buf_deinit(&s->out);
        pthread_mutex_destroy(&s->lock);
        s->kind->free(s);
}

/* ---- putting ------------------------------------------------------------------------- */

bool stream_has_room_locked(const Stream *s) { return s->out.n - s->at < STREAM_BUFFER_LOW; }

void stream_wake_locked(Stream *s) {
        if (!s->is_waiting)
                return;
        s->is_waiting = false;
        connection_resume(s->connection);
}

void stream_put_locked(Stream *s, Slice id, const char *event, Slice data) {
        size_t n = s->out.n;

        if (s->is_ending || s->is_closed)
                return;
        if (id.n > 0)
                buf_printf(&s->out, "id: %.*s\n", SLICE_ARG(id));
        buf_printf(&s->out, "event: %s\ndata: ", event);
        buf_put_slice(&s->out, data);
        buf_put_str(&s->out, "\n\n");
        if (s->out.error) { /* half an event must not go out */
                s->out.n = n;
                s->is_ending = true;
        }
        s->put_ms = link_now_ms();
}

void stream_put_id_locked(Stream *s, Slice id) {
        size_t n = s->out.n;

        buf_printf(&s->out, "id: %.*s\n\n", SLICE_ARG(id));
        if (s->out.error) {
                s->out.n = n;
                s->is_ending = true;
        }
}

/** Keep what is under way of an event that was begun, drop the events behind it. */
static void cut_unread(Stream *s) {
        size_t i = s->at;

        while (i > 0 && i < s->out.n && !(i >= 2 && s->out.data[i - 1] == '\n' && s->out.data[i - 2] == '\n'))
                i++;
        s->out.n = i;
}

void stream_end_locked(Stream *s, const char *event, const char *code, const char *reason) {
        _cleanup_(buf_deinit) Buf data = {0};
        JsonWriter w = json_writer(&data);

        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "reason");
        json_put_str(&w, code);
        json_key(&w, "message");
        json_put_str(&w, reason);
        json_end_object(&w);
        if (!data.error)
                stream_put_locked(s, SLICE_NULL, event, buf_slice(&data));
        s->is_ending = true;
        stream_wake_locked(s);
}

void stream_respond(Stream *s, Request *r) {
        pthread_mutex_lock(&s->lock);
        s->connection = r->connection;
        buf_printf(&s->out, "retry: %d\n\n", STREAM_RETRY_MS);
        pthread_mutex_unlock(&s->lock);
        reply_fixed(r, 200, "text/event-stream; charset=utf-8", SLICE(""));
        reply_header(r, "X-Accel-Buffering", "no"); /* nginx would hold events back */
        r->response.stream = stream_ref(s);
}

/* ---- taking -------------------------------------------------------------------------- */

/** Forget what was read, when it is all, or much. */
static void drop_read(Stream *s) {
        if (s->at < s->out.n && s->at < STREAM_BUFFER_LOW)
                return;
        memmove(s->out.data, s->out.data + s->at, s->out.n - s->at);
        s->out.n -= s->at;
        s->at = 0;
}

ssize_t stream_read(Stream *s, char *buf, size_t max) {
        bool wants_more = false;
        size_t n;

        pthread_mutex_lock(&s->lock);
        n = s->out.n - s->at < max ? s->out.n - s->at : max;
        s->read_ms = link_now_ms();
        if (n > 0) {
                memcpy(buf, s->out.data + s->at, n);
                s->at += n;
                wants_more = !s->is_ending && stream_has_room_locked(s);
                drop_read(s);
        } else if (!s->is_ending) {
                s->is_waiting = true;
                connection_suspend(s->connection);
        }
        bool is_end = n == 0 && s->is_ending;
        pthread_mutex_unlock(&s->lock);
        if (wants_more)
                s->kind->pump(s, link_now_ms());
        return is_end ? -1 : (ssize_t)n;
}

void stream_close(Stream *s) {
        Gateway *g = s->gateway;

        pthread_mutex_lock(&s->lock);
        s->is_closed = s->is_ending = true;
        s->is_waiting = false;
        pthread_mutex_unlock(&s->lock);
        s->kind->close(s);
        pthread_mutex_lock(&g->streams_lock);
        list_remove(&s->node);
        g->n_streams--;
        pthread_mutex_unlock(&g->streams_lock);
        stream_unref(s); /* the list's */
        stream_unref(s); /* the response's */
}

void stream_abandon(Stream *s) { stream_close(stream_ref(s)); }

/* ---- all of them --------------------------------------------------------------------- */

/** The open streams, a reference to each; owned array, NULL when there are none. */
static Stream **snapshot(Gateway *g, size_t *ret_n) {
        Stream **all;
        size_t n = 0;

        pthread_mutex_lock(&g->streams_lock);
        all = g->n_streams ? calloc(g->n_streams, sizeof *all) : NULL;
        if (all)
                LIST_FOREACH(node, &g->streams)
        all[n++] = stream_ref(LIST_ENTRY(node, Stream, node));
        pthread_mutex_unlock(&g->streams_lock);
        *ret_n = n;
        return all;
}

/** Silence looks like peace: tell when nothing can come, and when it can again. */
static void tell_away(Stream *s, bool is_away) {
        if (s->is_ending || is_away == s->is_away)
                return;
        s->is_away = is_away;
        if (is_away)
                stream_put_locked(s, SLICE_NULL, "away",
                                  SLICE("{\"version\":\"v1\",\"reason\":\"nats\",\"message\":\"the gateway "
                                        "is not "
                                        "connected to NATS; what happens meanwhile comes later\"}"));
        else
                stream_put_locked(s, SLICE_NULL, "back", SLICE("{\"version\":\"v1\"}"));
        stream_wake_locked(s);
}

static void tick(Stream *s, int64_t now_ms, int64_t unix_s, bool is_away) {
        pthread_mutex_lock(&s->lock);
        tell_away(s, is_away);
        if (!s->is_ending && s->identity.expires_s > 0 && unix_s >= s->identity.expires_s)
                stream_end_locked(s, "end", "token_expired",
                                  "the token has expired; come back with a new one and the last id");
        else if (!s->is_ending && s->out.n > s->at && now_ms - s->read_ms > STREAM_STALL_MS) {
                cut_unread(s);
                stream_end_locked(s, "dropped", "slow_reader",
                                  "nothing was read for 20 seconds; come back with the last id");
        } else if (!s->is_ending && s->is_waiting &&
                   (now_ms - s->put_ms >= STREAM_HEARTBEAT_MS || connection_is_closing(s->connection))) {
                buf_put_str(&s->out, ": heartbeat\n\n");
                s->put_ms = now_ms;
                stream_wake_locked(s);
        }
        pthread_mutex_unlock(&s->lock);
        s->kind->pump(s, now_ms);
}

void streams_tick(Gateway *g, int64_t now_ms) {
        size_t n;
        Stream **all = snapshot(g, &n);
        struct timespec now;
        bool is_away = atomic_load(&g->link) && !gateway_link(g);

        clock_gettime(CLOCK_REALTIME, &now);
        for (size_t i = 0; i < n; i++) {
                tick(all[i], now_ms, now.tv_sec, is_away);
                stream_unref(all[i]);
        }
        free(all);
}

void streams_gap(Gateway *g) {
        size_t n;
        Stream **all = snapshot(g, &n);

        for (size_t i = 0; i < n; i++) {
                all[i]->kind->gap(all[i]);
                stream_unref(all[i]);
        }
        free(all);
}

void streams_end(Gateway *g, const char *code, const char *reason) {
        size_t n;
        Stream **all = snapshot(g, &n);

        for (size_t i = 0; i < n; i++) {
                pthread_mutex_lock(&all[i]->lock);
                if (!all[i]->is_ending)
                        stream_end_locked(all[i], "end", code, reason);
                pthread_mutex_unlock(&all[i]->lock);
                stream_unref(all[i]);
        }
        free(all);
}

size_t streams_count(Gateway *g) {
        size_t n;

        pthread_mutex_lock(&g->streams_lock);
        n = g->n_streams;
        pthread_mutex_unlock(&g->streams_lock);
        return n;
}
