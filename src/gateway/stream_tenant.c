/*
 * The events and log entries of a whole tenant, as far as the user may read their executions
 *
 * They come from the audit stream, which gives them an order and a place to come back to. A consumer can only have one
 * filter, so there are two, for events and for logs, merged by their sequences; an event's id holds the places that
 * both have reached, sequence and time ("1234.1767225600123.1236.1767225600124").
 *
 * Whether the user may read an execution is the engine's to say; it is asked once for each, and what it said is
 * remembered. Until it has answered, the event waits, and all behind it with it.
 */

#include <stdio.h>
#include "base/cleanup.h"
#include "client/subject.h"
#include "gateway/access.h"
#include "gateway/puller.h"
#include "gateway/relay.h"
#include "gateway/stream.h"

#define AUDIT_STREAM  "RUNBOOK_AUDIT"
#define EVENTS_LOW    16 /* waiting; below it the next batch is asked for */
#define EVENT_ID_SIZE 96
#define ASK_RETRY_MS  1000

typedef struct Event {
        List node;
        PullerPlace place;
        Uuid execution;
        Access access;
        bool is_asked;
        size_t n;
        char text[];
} Event;

typedef struct TenantStream TenantStream;

typedef struct Lane {
        TenantStream *t;
        Puller *puller;
        List events; /* not told yet */
        size_t n_events;
        PullerPlace place; /* of the last event told */
        bool is_behind;    /* there is more in the stream than has come */
} Lane;

struct TenantStream {
        Stream stream;
        Lane lanes[2];
        Request *opening;
        unsigned n_open;  /* lanes that have their consumer */
        int64_t retry_ms; /* asking for access again, not before */
};

static const struct { const char *family, *event; } kinds[2] = {{"lifecycle", "lifecycle"}, {"log", "log"}};

/** Who is told about an answer. */
typedef struct Question {
        TenantStream *t;
        Uuid execution;
} Question;

static void pump(Stream *s, int64_t now_ms);

/* ---- what waits -------------------------------------------------------------------------- */

static void remove_event(Lane *lane, Event *event) {
        list_remove(&event->node);
        lane->n_events--;
        free(event);
}

static Event *head(const Lane *lane) {
        return list_is_empty(&lane->events) ? NULL : LIST_ENTRY(lane->events.next, Event, node);
}

/** Which lane has the next event; -1: it is not known, or there is none. */
static int choose(const TenantStream *t) {
        const Event *a = head(&t->lanes[0]), *b = head(&t->lanes[1]);

        if (a && b)
                return b->place.seq < a->place.seq;
        if (a)
                return t->lanes[1].is_behind ? -1 : 0;
        if (b)
                return t->lanes[0].is_behind ? -1 : 1;
        return -1;
}

/** The places that both lanes have reached, as an id. */
static Slice id_of(const TenantStream *t, char buf[EVENT_ID_SIZE]) {
        const PullerPlace *a = &t->lanes[0].place, *b = &t->lanes[1].place;

        snprintf(buf, EVENT_ID_SIZE, "%llu.%lld.%llu.%lld", (unsigned long long)a->seq, (long long)a->at_ms,
                 (unsigned long long)b->seq, (long long)b->at_ms);
        return slice_from_str(buf);
}

static void put(TenantStream *t, int i, const Event *event) {
        char id[EVENT_ID_SIZE];

        stream_put_locked(&t->stream, id_of(t, id), kinds[i].event, (Slice){event->text, event->n});
}

static void flush_locked(TenantStream *t) {
        int i;

        while (stream_has_room_locked(&t->stream) && (i = choose(t)) >= 0) {
                Lane *lane = &t->lanes[i];
                Event *event = head(lane);

                if (event->access == ACCESS_UNKNOWN)
                        break;
                lane->place = event->place;
                if (event->access == ACCESS_ALLOWED)
                        put(t, i, event);
                remove_event(lane, event);
        }
        if (t->stream.out.n > t->stream.at)
                stream_wake_locked(&t->stream);
}

/** The engine has spoken about @execution, or (@access unknown) has not. */
static void settle_locked(TenantStream *t, Uuid execution, Access access) {
        for (size_t i = 0; i < 2; i++)
                LIST_FOREACH(node, &t->lanes[i].events) {
                        Event *event = LIST_ENTRY(node, Event, node);

                        if (event->access != ACCESS_UNKNOWN || !uuid_eq(event->execution, execution))
                                continue;
                        event->access = access;
                        event->is_asked = false;
                }
}

/* ---- asking ------------------------------------------------------------------------------ */

static void on_answer(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Question *q = userdata;
        TenantStream *t = q->t;
        bool is_refused = status == 0 && answer->error_code;
        Access access = status != 0 ? ACCESS_UNKNOWN : is_refused ? ACCESS_DENIED : ACCESS_ALLOWED;

        /* 403 and "yes" hold for ever. 404 is nobody's execution; everything else is the engine's trouble. */
        if (is_refused && strcmp(answer->error_code, "403") != 0 && strcmp(answer->error_code, "404") != 0)
                access = ACCESS_UNKNOWN;
        if (access == ACCESS_ALLOWED || (is_refused && !strcmp(answer->error_code, "403")))
                access_remember(t->stream.gateway->access, &t->stream.identity, q->execution,
                                access == ACCESS_ALLOWED);
        pthread_mutex_lock(&t->stream.lock);
        if (access == ACCESS_UNKNOWN)
                t->retry_ms = link_now_ms() + ASK_RETRY_MS;
        settle_locked(t, q->execution, access);
        pthread_mutex_unlock(&t->stream.lock);
        pump(&t->stream, link_now_ms());
        stream_unref(&t->stream);
        free(q);
}

/** A query that is refused exactly where the execution may not be read, and has a short answer else. */
static bool ask(TenantStream *t, Uuid execution) {
        _cleanup_(buf_deinit) Buf subject = {0};
        Link *link = gateway_link(t->stream.gateway);
        Question *q = malloc(sizeof *q);
        LinkMessage message = {.body = "{\"limit\":1}", .body_size = 11};
        char id[UUID_TEXT_SIZE + 1];

        uuid_format(execution, id);
        buf_put_str(&subject, t->stream.gateway->settings.subject_prefix);
        buf_put_char(&subject, '.');
        subject_put_token(&subject, slice_from_str(t->stream.identity.tenant));
        buf_put_str(&subject, ".query.");
        subject_put_token(&subject, slice_from_str(t->stream.identity.user));
        buf_printf(&subject, ".history.%s", id);
        buf_put_char(&subject, 0);
        if (!q || !link || subject.error) {
                free(q);
                return false;
        }
        *q = (Question){(TenantStream *)stream_ref(&t->stream), execution};
        message.subject = subject.data;
        if (link_ask(link, &message, CALL_TIMEOUT_MS, on_answer, q, NULL) == 0)
                return true;
        stream_unref(&t->stream);
        free(q);
        return false;
}

/** The next execution that has to be asked about; all its events count as asked. */
static bool next_question_locked(TenantStream *t, Uuid *ret) {
        bool found = false;

        for (size_t i = 0; i < 2; i++)
                LIST_FOREACH(node, &t->lanes[i].events) {
                        Event *event = LIST_ENTRY(node, Event, node);

                        if (event->access != ACCESS_UNKNOWN || event->is_asked ||
                            (found && !uuid_eq(event->execution, *ret)))
                                continue;
                        *ret = event->execution;
                        event->is_asked = found = true;
                }
        return found;
}

static void ask_all(TenantStream *t, int64_t now_ms) {
        Uuid execution;

        for (;;) {
                pthread_mutex_lock(&t->stream.lock);
                bool asks = !t->stream.is_ending && now_ms >= t->retry_ms &&
                            next_question_locked(t, &execution);
                pthread_mutex_unlock(&t->stream.lock);
                if (!asks)
                        return;
                if (ask(t, execution))
                        continue;
                pthread_mutex_lock(&t->stream.lock);
                t->retry_ms = now_ms + ASK_RETRY_MS;
                settle_locked(t, execution, ACCESS_UNKNOWN);
                pthread_mutex_unlock(&t->stream.lock);
        }
}

/* ---- events ------------------------------------------------------------------------------ */

/** Of `<prefix>.<tenant>.<family>.<execution>.<type>`. False: no event of ours. */
static bool parse_subject(const TenantStream *t, const char *subject, Event *ret) {
        size_t n_prefix = strlen(t->stream.gateway->settings.subject_prefix) + 1;
        Slice rest = slice_from_str(subject), id;

        if (rest.n <= n_prefix)
                return false;
        rest = (Slice){rest.data + n_prefix, rest.n - n_prefix};
        subject_next(&rest); /* the tenant: the filter is his */
        subject_next(&rest); /* the family: likewise */
        id = subject_next(&rest);
        /* Runbooks are read by the whole tenant. */
        ret->access = slice_eq_str(rest, "runbook.registered") ? ACCESS_ALLOWED : ACCESS_UNKNOWN;
        return ret->access == ACCESS_ALLOWED || uuid_parse(id, &ret->execution);
}

static void on_message(void *userdata, const PullerMessage *m) {
        Lane *lane = userdata;
        TenantStream *t = lane->t;
        Slice text = {m->delivery->body, m->delivery->body_size};
        Event *event = calloc(1, sizeof *event + text.n);

        if (!event) {
                pthread_mutex_lock(&t->stream.lock);
                if (!t->stream.is_ending)
                        stream_end_locked(&t->stream, "end", "failed", "the gateway is out of memory");
                pthread_mutex_unlock(&t->stream.lock);
                return;
        }
        event->place = m->place;
        event->n = text.n;
        memcpy(event->text, text.data, text.n);
        if (memchr(text.data, '\n', text.n) || !parse_subject(t, m->delivery->subject, event)) {
                free(event);
                return;
        }
        if (event->access == ACCESS_UNKNOWN)
                event->access = access_look_up(t->stream.gateway->access, &t->stream.identity,
                                               event->execution);
        pthread_mutex_lock(&t->stream.lock);
        list_push_back(&lane->events, &event->node);
        lane->n_events++;
        lane->is_behind = !m->is_last;
        pthread_mutex_unlock(&t->stream.lock);
        pump(&t->stream, link_now_ms());
}

static void on_position(void *userdata, bool is_behind) {
        Lane *lane = userdata;

        pthread_mutex_lock(&lane->t->stream.lock);
        lane->is_behind = is_behind;
        pthread_mutex_unlock(&lane->t->stream.lock);
        pump(&lane->t->stream, link_now_ms());
}

static void pump(Stream *s, int64_t now_ms) {
        TenantStream *t = (TenantStream *)s;
        bool has_room[2], is_open;

        pthread_mutex_lock(&s->lock);
        flush_locked(t);
        for (size_t i = 0; i < 2; i++)
                has_room[i] = t->lanes[i].n_events < EVENTS_LOW && stream_has_room_locked(s);
        is_open = !s->is_ending && !t->opening;
        pthread_mutex_unlock(&s->lock);
        ask_all(t, now_ms);
        for (size_t i = 0; i < 2 && is_open; i++)
                puller_pump(t->lanes[i].puller, now_ms, has_room[i]);
}

static void on_gap(Stream *s) {
        TenantStream *t = (TenantStream *)s;

        pthread_mutex_lock(&s->lock);
        bool is_open = !t->opening && !s->is_closed;
        pthread_mutex_unlock(&s->lock);
        for (size_t i = 0; i < 2 && is_open; i++)
                puller_distrust(t->lanes[i].puller);
        pump(s, link_now_ms());
}

/* ---- opening and closing ------------------------------------------------------------------ */

/** The response begins when both lanes are there; one that can't be had refuses it. */
static void conclude_opening(TenantStream *t, bool is_open, const char *sentence) {
        char id[EVENT_ID_SIZE];
        Request *r = NULL;

        pthread_mutex_lock(&t->stream.lock);
        t->n_open += is_open;
        if (!is_open || t->n_open == 2)
                r = STEAL(t->opening);
        if (is_open && r && t->lanes[0].place.at_ms != PULLER_NEW && t->lanes[1].place.at_ms != PULLER_NEW)
                stream_put_id_locked(&t->stream, id_of(t, id));
        pthread_mutex_unlock(&t->stream.lock);
        if (!r)
                return;
        if (is_open) {
                stream_respond(&t->stream, r);
        } else {
                stream_abandon(&t->stream);
                reply_error(r, RUNBOOK_UNAVAILABLE, 0, "the tenant's events can't be had: %s", sentence);
        }
        atomic_fetch_sub(&r->gateway->n_pending, 1);
        request_resume(r);
}

static void on_opened(void *userdata, bool is_open, const char *sentence) {
        Lane *lane = userdata;

        if (is_open) {
                pthread_mutex_lock(&lane->t->stream.lock);
                lane->place = puller_place(lane->puller);
                pthread_mutex_unlock(&lane->t->stream.lock);
        }
        conclude_opening(lane->t, is_open, sentence);
}

static void on_expired(void *userdata) {
        TenantStream *t = ((Lane *)userdata)->t;
        static const char data[] =
                        "{\"version\":\"v1\",\"reason\":\"expired\",\"message\":\"events behind your last "
                        "id have been deleted from the audit stream; read the histories\"}";

        pthread_mutex_lock(&t->stream.lock);
        stream_put_locked(&t->stream, SLICE_NULL, "gap", SLICE(data));
        stream_wake_locked(&t->stream);
        pthread_mutex_unlock(&t->stream.lock);
}

static void on_released(void *userdata) { stream_unref(&((Lane *)userdata)->t->stream); }

static void on_close(Stream *s) {
        TenantStream *t = (TenantStream *)s;

        for (size_t i = 0; i < 2; i++)
                if (t->lanes[i].puller)
                        puller_close(t->lanes[i].puller);
}

static void on_free(Stream *s) {
        TenantStream *t = (TenantStream *)s;

        for (size_t i = 0; i < 2; i++)
                LIST_FOREACH_SAFE(node, next, &t->lanes[i].events)
        remove_event(&t->lanes[i], LIST_ENTRY(node, Event, node));
        free(t);
}

static const StreamKind tenant_kind = {pump, on_gap, on_close, on_free};

/** "<sequence>.<ms>.<sequence>.<ms>", as the ids of events are. */
static bool parse_event_id(const char *text, PullerPlace ret[2]) {
        Slice rest = slice_from_str(text);

        for (size_t i = 0; i < 2; i++) {
                uint64_t seq, at_ms = 0;
                Slice first = subject_next(&rest), second = subject_next(&rest);

                if (!slice_to_u64(first, &seq) || seq > INT64_MAX || !slice_to_u64(second, &at_ms) ||
                    at_ms > INT64_MAX / 1000000)
                        return false;
                ret[i] = (PullerPlace){seq, (int64_t)at_ms};
        }
        return rest.n == 0;
}

/** Where to begin. False: refused. */
static bool parse_places(Request *r, PullerPlace ret[2]) {
        const char *last = request_header(r, "Last-Event-ID");
        Slice from = uri_param(&r->uri, "from");
        bool is_from_start = slice_eq_str(from, "start");

        if (from.data && !is_from_start && !slice_eq_str(from, "now")) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "from must be \"start\" or \"now\"");
                return false;
        }
        for (size_t i = 0; i < 2; i++)
                ret[i] = (PullerPlace){0, is_from_start ? 0 : PULLER_NEW};
        if (!last || !*last || parse_event_id(last, ret))
                return true;
        reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "Last-Event-ID is not an id that this stream has given");
        return false;
}

static bool make_lane(TenantStream *t, size_t i, Link *link, PullerPlace place) {
        static const PullerHandler handler = {on_opened, on_position, on_message, on_expired, on_released};
        _cleanup_(buf_deinit) Buf filter = {0};
        Puller *puller;

        buf_put_str(&filter, t->stream.gateway->settings.subject_prefix);
        buf_put_char(&filter, '.');
        subject_put_token(&filter, slice_from_str(t->stream.identity.tenant));
        buf_printf(&filter, ".%s.>", kinds[i].family);
        buf_put_char(&filter, 0);
        if (filter.error)
                return false;
        stream_ref(&t->stream); /* the puller's, until it is released */
        puller = puller_new(link, AUDIT_STREAM, filter.data, place, &handler, &t->lanes[i]);
        if (!puller)
                stream_unref(&t->stream);
        pthread_mutex_lock(&t->stream.lock);
        t->lanes[i].puller = puller;
        t->lanes[i].place = place;
        pthread_mutex_unlock(&t->stream.lock);
        return puller != NULL;
}

static void open_stream(TenantStream *t, Link *link, const PullerPlace places[2]) {
        int64_t now_ms = link_now_ms();

        if (!make_lane(t, 0, link, places[0]) || !make_lane(t, 1, link, places[1])) {
                conclude_opening(t, false, "out of memory");
                return;
        }
        for (size_t i = 0; i < 2; i++)
                puller_pump(t->lanes[i].puller, now_ms, false);
}

void stream_tenant(Request *r) {
        Link *link = gateway_link(r->gateway);
        PullerPlace places[2];
        TenantStream *t;

        if (!parse_places(r, places))
                return;
        if (!link) {
                reply_error(r, RUNBOOK_UNAVAILABLE, 0, "the gateway is not connected to NATS");
                return;
        }
        t = calloc(1, sizeof *t);
        if (!t) {
                reply_memory(r);
                return;
        }
        t->opening = r;
        for (size_t i = 0; i < 2; i++) {
                t->lanes[i].t = t;
                list_init(&t->lanes[i].events);
        }
        if (!stream_init(&t->stream, &tenant_kind, r)) {
                free(t);
                return;
        }
        request_pause(r);
        atomic_fetch_add(&r->gateway->n_pending, 1);
        open_stream(t, link, places);
        stream_unref(&t->stream); /* the opener's */
}
