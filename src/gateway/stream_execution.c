/*
 * The events and log entries of one execution, without gaps
 *
 * Both are numbered from 1 without holes, and are in the store before they are published. So live messages are only
 * taken when they bear the number that comes next; any other number means that something is missing, and the engine's
 * history is asked for it, from that number on. The history is asked too where no message could tell: at the start,
 * when NATS was away, and every now and then, because the last message of all may be the lost one. A reader that is
 * slow costs nothing but time: what it has no room for is left to the history. A stream that begins "now" begins behind
 * the last number that the engine names, before anything is said to have begun: else what happens before its first
 * message could be missed, and nobody would know.
 *
 * Two lanes, lifecycle and log, are merged by time. An event's id holds the numbers that both have reached
 * ("12.34"), so that Last-Event-ID says exactly what comes next.
 */

#include <errno.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/uuid.h"
#include "client/subject.h"
#include "gateway/relay.h"
#include "gateway/stream.h"
#include "json/json_scan.h"
#include "json/json_write.h"

#define PAGE_EVENTS    200
#define LANE_ITEMS_MAX 1000
#define LANE_BYTES_MAX (1u << 20)
#define RECHECK_MS     15000
#define RETRY_MS       1000
#define EVENT_ID_SIZE  48
#define NUMBER_MAX     ((uint64_t)INT64_MAX - 1) /* behind it is nothing, but the answer says which is last */

typedef struct Item {
        List node;
        uint64_t number;
        int64_t at_ms;
        size_t n;
        char text[];
} Item;

typedef struct Lane {
        uint64_t next; /* the number to go on with; 0: not known yet */
        uint64_t seen; /* the highest heard of */
        uint64_t sent;
        bool is_filling;  /* the history was asked */
        bool is_stale;    /* it has to be */
        int64_t retry_ms; /* not before */
        List items;
        size_t n_items, n_bytes;
        LinkSubscription *subscription;
} Lane;

typedef struct ExecutionStream {
        Stream stream;
        Lane lanes[2];
        int64_t rechecked_ms;
        Request *opening; /* until the first answer is there */
        bool is_from_now;
        char id[128]; /* the execution's, as a token */
} ExecutionStream;

static const struct {
        const char *family, *query, *member, *time, *event;
} kinds[2] = {{"lifecycle", "history", "events", "time", "lifecycle"},
              {"log", "logs", "logs", "timestamp", "log"}};

/** Who is told about an answer. */
typedef struct Fill {
        ExecutionStream *x;
        size_t lane;
} Fill;

/* ---- what is on its way to the reader ------------------------------------------------- */

static int64_t time_of(Slice json, const char *key) {
        Slice raw, text;
        int64_t ms = 0;

        if (json_scan_member(json, key, &raw) && json_scan_plain_string(raw, &text))
                time_parse_ms(text, &ms);
        return ms;
}

/** Append to @lane; false: out of memory. */
static bool append(Lane *lane, uint64_t number, int64_t at_ms, Slice text) {
        Item *item = malloc(sizeof *item + text.n);

        if (!item)
                return false;
        *item = (Item){.number = number, .at_ms = at_ms, .n = text.n};
        memcpy(item->text, text.data, text.n);
        list_push_back(&lane->items, &item->node);
        lane->n_items++;
        lane->n_bytes += text.n;
        lane->next = number + 1;
        return true;
}

static Item *head(Lane *lane) {
        return list_is_empty(&lane->items) ? NULL : LIST_ENTRY(lane->items.next, Item, node);
}

static bool is_behind(const Lane *lane) {
        return lane->is_filling || lane->is_stale || (lane->next > 0 && lane->seen >= lane->next);
}

/** Which lane has the next event; -1: it is not known, or there is none. */
static int choose(ExecutionStream *x) {
        Item *a = head(&x->lanes[0]), *b = head(&x->lanes[1]);

        if (a && b)
                return b->at_ms < a->at_ms;
        if (a)
                return is_behind(&x->lanes[1]) ? -1 : 0;
        if (b)
                return is_behind(&x->lanes[0]) ? -1 : 1;
        return -1;
}

/** What the next event's id is behind: the numbers that both lanes have reached. */
static Slice place_of(const ExecutionStream *x, char buf[EVENT_ID_SIZE]) {
        snprintf(buf, EVENT_ID_SIZE, "%llu.%llu", (unsigned long long)x->lanes[0].sent,
                 (unsigned long long)x->lanes[1].sent);
        return slice_from_str(buf);
}

static void flush_locked(ExecutionStream *x) {
        char id[EVENT_ID_SIZE];
        int i;

        while (stream_has_room_locked(&x->stream) && (i = choose(x)) >= 0) {
                Lane *lane = &x->lanes[i];
                Item *item = head(lane);

                lane->sent = item->number;
                stream_put_locked(&x->stream, place_of(x, id), kinds[i].event, (Slice){item->text, item->n});
                list_remove(&item->node);
                lane->n_items--;
                lane->n_bytes -= item->n;
                free(item);
        }
        if (x->stream.out.n > x->stream.at)
                stream_wake_locked(&x->stream);
}

/* ---- asking the history --------------------------------------------------------------- */

/** A lane that begins now goes on behind the last record. An engine that does not name it leaves it unknown: then the
 * first live message is where the lane begins. */
static void begin_behind_last(Lane *lane, Slice page) {
        Slice raw;
        uint64_t last;

        if (!json_scan_member(page, "lastSequence", &raw) || !slice_to_u64(raw, &last))
                return;
        lane->sent = last;
        lane->next = last + 1;
}

/** The records of a page go to the lane's end. Number by number: what is missing in their midst stays missing. */
static bool take_page(Lane *lane, size_t i, Slice page) {
        Slice list, item, raw;
        size_t at = 0;
        uint64_t number;

        if (!json_scan_member(page, kinds[i].member, &list))
                return false;
        if (lane->next == 0) {
                lane->is_stale = false;
                begin_behind_last(lane, page);
                return true;
        }
        while (json_scan_next(list, &at, &item)) {
                number = lane->next;
                if (json_scan_member(item, "sequence", &raw))
                        slice_to_u64(raw, &number);
                if (number < lane->next)
                        continue;
                if (!append(lane, number, time_of(item, kinds[i].time), item))
                        return false;
        }
        lane->is_stale = json_scan_member(page, "nextCursor", &raw);
        return true;
}

static void fail(ExecutionStream *x, const char *code, const char *reason) {
        if (!x->stream.is_ending)
                stream_end_locked(&x->stream, "end", code, reason);
}

static void pump(Stream *s, int64_t now_ms);

static void on_page(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Fill *fill = userdata;
        ExecutionStream *x = fill->x;
        Lane *lane = &x->lanes[fill->lane];

        pthread_mutex_lock(&x->stream.lock);
        lane->is_filling = false;
        if (status != 0) {
                lane->is_stale = true; /* the engine is away: later again */
                lane->retry_ms = link_now_ms() + RETRY_MS;
        } else if (answer->error_code) {
                fail(x, "refused",
                     answer->error_text ? answer->error_text : "the engine refuses to show more");
        } else if (!take_page(lane, fill->lane, (Slice){answer->body, answer->body_size})) {
                fail(x, "failed", "the gateway could not take the engine's answer");
        }
        pthread_mutex_unlock(&x->stream.lock);
        pump(&x->stream, link_now_ms());
        stream_unref(&x->stream);
        free(fill);
}

/** Ask for what @lane has next, and tell @handler (on_page or the opening's). 0 or a status with @e. */
static int ask(ExecutionStream *x, size_t i, uint64_t next, int limit, LinkAskHandler handler,
               RunbookClientError *e) {
        _cleanup_(buf_deinit) Buf subject = {0}, body = {0};
        Link *link = gateway_link(x->stream.gateway);
        Fill *fill = malloc(sizeof *fill);
        LinkMessage message = {0};
        int r = RUNBOOK_CLIENT_E_MEMORY;

        buf_put_str(&subject, x->stream.gateway->settings.subject_prefix);
        buf_put_char(&subject, '.');
        subject_put_token(&subject, slice_from_str(x->stream.identity.tenant));
        buf_put_str(&subject, ".query.");
        subject_put_token(&subject, slice_from_str(x->stream.identity.user));
        buf_printf(&subject, ".%s.%s", kinds[i].query, x->id);
        buf_put_char(&subject, 0);
        buf_printf(&body, "{\"after\":%llu,\"limit\":%d}",
                   (unsigned long long)(next > 0 ? next - 1 : NUMBER_MAX), limit);
        if (!link)
                r = RUNBOOK_CLIENT_E_NO_SERVER;
        if (fill && link && !subject.error && !body.error) {
                *fill = (Fill){(ExecutionStream *)stream_ref(&x->stream), i};
                message = (LinkMessage){.subject = subject.data, .body = body.data, .body_size = body.n};
                r = link_ask(link, &message, CALL_TIMEOUT_MS, handler, fill, e);
                if (r == 0)
                        return 0;
                stream_unref(&x->stream);
        }
        free(fill);
        return r;
}

/** Mark the lane as asked about, if it has to be. */
static bool begin_fill_locked(ExecutionStream *x, Lane *lane, int64_t now_ms, uint64_t *ret_next) {
        bool is_missing = lane->next > 0 && lane->seen >= lane->next;

        if (x->stream.is_ending || x->opening || lane->is_filling || lane->n_items > 0 ||
            now_ms < lane->retry_ms || !(lane->is_stale || is_missing))
                return false;
        lane->is_filling = true;
        lane->is_stale = false;
        *ret_next = lane->next;
        return true;
}

static void pump(Stream *s, int64_t now_ms) {
        ExecutionStream *x = (ExecutionStream *)s;
        bool wants[2] = {false, false};
        uint64_t next[2];
        RunbookClientError e;

        pthread_mutex_lock(&s->lock);
        if (now_ms - x->rechecked_ms >= RECHECK_MS) {
                x->rechecked_ms = now_ms;
                x->lanes[0].is_stale = x->lanes[1].is_stale = true;
        }
        flush_locked(x);
        for (size_t i = 0; i < 2 && stream_has_room_locked(s); i++)
                wants[i] = begin_fill_locked(x, &x->lanes[i], now_ms, &next[i]);
        pthread_mutex_unlock(&s->lock);
        for (size_t i = 0; i < 2; i++) {
                if (!wants[i] || ask(x, i, next[i], PAGE_EVENTS, on_page, &e) == 0)
                        continue;
                pthread_mutex_lock(&s->lock);
                x->lanes[i].is_filling = false;
                x->lanes[i].is_stale = true;
                x->lanes[i].retry_ms = now_ms + RETRY_MS;
                pthread_mutex_unlock(&s->lock);
        }
}

static void on_gap(Stream *s) {
        ExecutionStream *x = (ExecutionStream *)s;

        pthread_mutex_lock(&s->lock);
        x->lanes[0].is_stale = x->lanes[1].is_stale = true;
        pthread_mutex_unlock(&s->lock);
        pump(s, link_now_ms());
}

/* ---- live ------------------------------------------------------------------------------ */

/** The number behind the last slash of "<execution>/<n>" or "<execution>/log/<n>"; 0: there is none. */
static uint64_t number_of(const LinkDelivery *d) {
        const char *slash = d->message_id ? strrchr(d->message_id, '/') : NULL;
        uint64_t n = 0;

        if (!slash || !slice_to_u64(slice_from_str(slash + 1), &n))
                return 0;
        return n;
}

static void take_live(ExecutionStream *x, size_t i, const LinkDelivery *d) {
        Lane *lane = &x->lanes[i];
        Slice text = {d->body, d->body_size};
        uint64_t number = number_of(d);
        bool is_behind_now;

        if (number == 0 || memchr(text.data, '\n', text.n))
                return;
        pthread_mutex_lock(&x->stream.lock);
        if (lane->next == 0 && !x->opening && !lane->is_filling && !lane->is_stale)
                lane->next = number;
        if (number > lane->seen)
                lane->seen = number;
        if (number == lane->next && !lane->is_filling && !lane->is_stale && lane->n_items < LANE_ITEMS_MAX &&
            lane->n_bytes + text.n <= LANE_BYTES_MAX && !x->stream.is_ending)
                append(lane, number, time_of(text, kinds[i].time), text);
        flush_locked(x);
        is_behind_now = lane->seen >= lane->next;
        pthread_mutex_unlock(&x->stream.lock);
        if (is_behind_now)
                pump(&x->stream, link_now_ms());
}

static void on_lifecycle(void *userdata, const LinkDelivery *d) { take_live(userdata, 0, d); }

static void on_log(void *userdata, const LinkDelivery *d) { take_live(userdata, 1, d); }

static void on_released(void *userdata) { stream_unref(userdata); }

static int listen_to(ExecutionStream *x, size_t i, Link *link, RunbookClientError *e) {
        static const LinkListener listeners[2] = {on_lifecycle, on_log};
        _cleanup_(buf_deinit) Buf subject = {0};
        int r;

        buf_put_str(&subject, x->stream.gateway->settings.subject_prefix);
        buf_put_char(&subject, '.');
        subject_put_token(&subject, slice_from_str(x->stream.identity.tenant));
        buf_printf(&subject, ".%s.%s.>", kinds[i].family, x->id);
        buf_put_char(&subject, 0);
        if (subject.error)
                return RUNBOOK_CLIENT_E_MEMORY;
        stream_ref(&x->stream);
        r = link_listen(link, subject.data, listeners[i], on_released, x, &x->lanes[i].subscription, e);
        if (r < 0)
                stream_unref(&x->stream);
        return r;
}

/* ---- opening and closing ---------------------------------------------------------------- */

static void on_close(Stream *s) {
        ExecutionStream *x = (ExecutionStream *)s;

        for (size_t i = 0; i < 2; i++)
                link_unlisten(STEAL(x->lanes[i].subscription));
}

static void on_free(Stream *s) {
        ExecutionStream *x = (ExecutionStream *)s;

        for (size_t i = 0; i < 2; i++)
                LIST_FOREACH_SAFE(node, next, &x->lanes[i].items)
        free(LIST_ENTRY(node, Item, node));
        free(x);
}

static const StreamKind execution_kind = {pump, on_gap, on_close, on_free};

/** The response: the stream, or why there is none. */
static void conclude_opening(ExecutionStream *x, bool is_open, int status, LinkAnswer *answer,
                             const RunbookClientError *e) {
        char id[EVENT_ID_SIZE];

        pthread_mutex_lock(&x->stream.lock);
        Request *r = STEAL(x->opening);
        if (is_open && x->lanes[0].next > 0 && x->lanes[1].next > 0)
                stream_put_id_locked(&x->stream, place_of(x, id));
        pthread_mutex_unlock(&x->stream.lock);
        if (is_open) {
                stream_respond(&x->stream, r);
        } else {
                stream_abandon(&x->stream);
                relay_answer(r, status, answer, e);
        }
        atomic_fetch_sub(&r->gateway->n_pending, 1);
        request_resume(r);
        if (is_open)
                pump(&x->stream, link_now_ms());
}

/** What the response waits for: may this user read the execution at all, and where is "now"? The lanes are asked one
 * after the other, the logs first; where the beginning is known, the lifecycle alone. */
static void on_opened(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Fill *fill = userdata;
        ExecutionStream *x = fill->x;
        Lane *lane = &x->lanes[fill->lane];
        bool is_open = status == 0 && !answer->error_code, is_last = fill->lane == 0;
        RunbookClientError trouble = {0};

        pthread_mutex_lock(&x->stream.lock);
        lane->is_filling = false;
        if (is_open && !take_page(lane, fill->lane, (Slice){answer->body, answer->body_size}))
                fail(x, "failed", "the gateway could not take the engine's answer");
        pthread_mutex_unlock(&x->stream.lock);
        if (!is_open || is_last)
                conclude_opening(x, is_open, status, answer, e);
        else if ((status = ask(x, 0, 0, 1, on_opened, &trouble)) < 0)
                conclude_opening(x, false, status, NULL, &trouble);
        stream_unref(&x->stream);
        free(fill);
}

/** "<events>.<logs>", as the ids of events are. */
static bool parse_event_id(const char *text, uint64_t ret[2]) {
        const char *dot = strchr(text, '.');

        return dot && slice_to_u64((Slice){text, (size_t)(dot - text)}, &ret[0]) &&
               slice_to_u64(slice_from_str(dot + 1), &ret[1]) && ret[0] < INT64_MAX && ret[1] < INT64_MAX;
}

/** Where to begin. False: refused. */
static bool set_start(ExecutionStream *x, Request *r) {
        const char *last = request_header(r, "Last-Event-ID");
        Slice from = uri_param(&r->uri, "from");
        uint64_t reached[2] = {0, 0};

        if (from.data && !slice_eq_str(from, "start") && !slice_eq_str(from, "now")) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "from must be \"start\" or \"now\"");
                return false;
        }
        if (last && *last && !parse_event_id(last, reached)) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0,
                            "Last-Event-ID is not an id that this stream has given");
                return false;
        }
        x->is_from_now = slice_eq_str(from, "now") && !(last && *last);
        for (size_t i = 0; i < 2; i++) {
                Lane *lane = &x->lanes[i];

                list_init(&lane->items);
                lane->sent = reached[i];
                lane->next = x->is_from_now ? 0 : reached[i] + 1;
                lane->is_stale = true;
        }
        /* by the opening's questions */
        x->lanes[0].is_filling = true;
        x->lanes[1].is_filling = x->is_from_now;
        return true;
}

/** The execution's id as it stands in subjects. */
static bool set_id(ExecutionStream *x, Slice id) {
        _cleanup_(buf_deinit) Buf token = {0};
        Uuid uuid;

        if (uuid_parse(id, &uuid)) {
                uuid_format(uuid, x->id);
                return true;
        }
        subject_put_token(&token, id); /* the engine will say that there is none */
        if (token.error || token.n == 0 || token.n >= sizeof x->id)
                return false;
        memcpy(x->id, token.data, token.n);
        return true;
}

void stream_execution(Request *r) {
        Link *link = gateway_link(r->gateway);
        ExecutionStream *x = calloc(1, sizeof *x);
        RunbookClientError e = {0};
        int status;

        if (x) {
                x->rechecked_ms = link_now_ms();
                x->opening = r;
        }
        if (!x || !link || !set_id(x, r->captures[0]) || !set_start(x, r) ||
            !stream_init(&x->stream, &execution_kind, r)) {
                if (x && !link)
                        reply_error(r, RUNBOOK_UNAVAILABLE, 0, "the gateway is not connected to NATS");
                else if (x)
                        reply_error(r, RUNBOOK_EXECUTION_NOT_FOUND, 0, "there is no such execution");
                else
                        reply_memory(r);
                free(x);
                return;
        }
        request_pause(r);
        atomic_fetch_add(&r->gateway->n_pending, 1);
        status = listen_to(x, 0, link, &e);
        if (status == 0)
                status = listen_to(x, 1, link, &e);
        if (status == 0)
                status = x->is_from_now ? ask(x, 1, 0, 1, on_opened, &e)
                                        : ask(x, 0, x->lanes[0].next, PAGE_EVENTS, on_opened, &e);
        if (status < 0) {
                stream_abandon(&x->stream);
                relay_answer(r, status, NULL, &e);
                atomic_fetch_sub(&r->gateway->n_pending, 1);
                request_resume(r);
        }
        stream_unref(&x->stream); /* the opener's */
}
