/*
 * What executors send
 *
 *     queued ──▶ [asking whether a stream takes the subject] ──▶ published ──▶ settled
 *
 * A message that a stream takes is settled by the stream's acknowledgement; one that none takes, by the server's
 * answer to a ping behind it. Which it is must be known before it is published: only for a stream does it carry a
 * reply subject, else every subscriber would be asked for an answer. So the server is asked once per subject, and
 * the answer is kept for a while.
 *
 * One thread publishes; answers come on the thread of one subscription. Nothing is buffered while the connection
 * is away: who sends hears of it and sends again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_read.h"
#include "subjects/bus_nats.h"
#include "subjects/handler.h"

#define FLUSH_TIMEOUT_MS 2000
#define GUESS_TTL_NS     (5 * 1000000000LL)
#define GUESSES_MAX      4096
#define SWEEP_NS         1000000000LL
#define HEADERS_RESERVE  256 /* bytes of a message that are not its payload, subject, id and headers */

typedef enum ParcelState { PARCEL_QUEUED, PARCEL_ASKING, PARCEL_FLUSHING, PARCEL_ACKING } ParcelState;
typedef enum HasStream { STREAM_UNKNOWN, STREAM_YES, STREAM_NO } HasStream;

typedef struct Parcel {
        List node;
        uint64_t number;
        ParcelState state;
        HasStream has_stream;
        bool needs_stream;
        int64_t until_ns;
        uint64_t epoch;
        void (*done)(void *owner, const uint8_t cookie[OUT_COOKIE_SIZE], const OutReceipt *receipt);
        void *owner; /* NULL: nobody asks */
        uint8_t cookie[OUT_COOKIE_SIZE];
        size_t n_bytes, n_payload, n_headers;
        const char *subject, *id, *payload, *headers; /* in `data`; headers: name, NUL, value, NUL… */
        char data[];
} Parcel;

typedef struct Guess {
        bool has_stream;
        int64_t until_ns;
        size_t n;
        char subject[];
} Guess;

static Slice number_key(const uint64_t *number) { return slice_from_bytes(number, sizeof(*number)); }

/* ---- parcels ----------------------------------------------------------------------- */

static char *put(char **p, Slice s) {
        char *at = *p;
        if (s.n > 0)
                memcpy(at, s.data, s.n);
        at[s.n] = 0;
        *p += s.n + 1;
        return at;
}

static Parcel *parcel_new(const OutMessage *m) {
        size_t n = m->subject.n + m->id.n + m->payload.n + 3;
        for (size_t i = 0; i < m->n_headers; i++)
                n += m->headers[i].name.n + m->headers[i].value.n + 2;
        Parcel *p = malloc(sizeof(*p) + n);
        if (!p)
                return NULL;
        *p = (Parcel){.needs_stream = m->needs_stream,
                      .has_stream = m->needs_stream ? STREAM_YES : STREAM_UNKNOWN,
                      .done = m->done,
                      .owner = m->owner,
                      .n_bytes = n,
                      .n_payload = m->payload.n,
                      .n_headers = m->n_headers};
        memcpy(p->cookie, m->cookie, sizeof(p->cookie));
        list_init(&p->node);
        char *at = p->data;
        p->subject = put(&at, m->subject);
        p->id = put(&at, m->id);
        p->payload = put(&at, m->payload);
        p->headers = at;
        for (size_t i = 0; i < m->n_headers; i++) {
                put(&at, m->headers[i].name);
                put(&at, m->headers[i].value);
        }
        return p;
}

/** Under the lock, left for a moment: say what became of it, and free it. */
static void settle(BusOutlet *o, Parcel *p, const OutReceipt *receipt) {
        list_remove(&p->node);
        map_remove(&o->by_number, number_key(&p->number));
        o->n--;
        o->n_bytes -= p->n_bytes;
        if (p->owner) {
                o->n_calling++;
                pthread_mutex_unlock(&o->lock);
                p->done(p->owner, p->cookie, receipt);
                pthread_mutex_lock(&o->lock);
                o->n_calling--;
                pthread_cond_broadcast(&o->changed);
        }
        free(p);
}

static void settle_error(BusOutlet *o, Parcel *p, int error, const char *reason) {
        settle(o, p, &(OutReceipt){.error = error, .reason = slice_from_str(reason)});
}

static int enqueue(BusOutlet *o, Parcel *p) {
        pthread_mutex_lock(&o->lock);
        bool is_full = o->ending || o->n >= BUS_OUTLET_MESSAGES ||
                       (o->n > 0 && o->n_bytes + p->n_bytes > BUS_OUTLET_BYTES);
        if (!is_full) {
                p->number = ++o->last_number;
                list_push_back(&o->parcels, &p->node);
                o->n++;
                o->n_bytes += p->n_bytes;
                pthread_cond_broadcast(&o->changed);
        }
        pthread_mutex_unlock(&o->lock);
        if (is_full)
                free(p);
        return is_full ? -EAGAIN : 0;
}

int bus_outlet_send(void *userdata, const OutMessage *m) {
        Parcel *p = parcel_new(m);
        return p ? enqueue(&((Bus *)userdata)->outlet, p) : -ENOMEM;
}

void bus_outlet_retract(void *userdata, uint64_t stream_seq, uint64_t epoch) {
        Bus *b = userdata;
        char body[64];
        /* A server that was restarted may have given the number to another message. */
        if (epoch != link_epoch(&b->links[BUS_LINK_TASK]))
                return;
        int n = snprintf(body, sizeof(body), "{\"seq\":%llu,\"no_erase\":true}",
                         (unsigned long long)stream_seq);
        (void)bus_outlet_send(b, &(OutMessage){.subject = SLICE("$JS.API.STREAM.MSG.DELETE." STREAM_TASKS),
                                               .payload = {body, (size_t)n},
                                               .needs_stream = true}); /* it is answered like by one */
}

void bus_outlet_acknowledge(void *userdata, Slice ack) { bus_queue_ack(userdata, ack, true); }

size_t bus_outlet_payload_max(void *userdata) { return bus_payload_max(userdata); }

void bus_outlet_forget(void *userdata, void *owner) {
        BusOutlet *o = &((Bus *)userdata)->outlet;
        List *const lists[] = {&o->parcels, &o->flushing, &o->sent};
        pthread_mutex_lock(&o->lock);
        for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
                LIST_FOREACH(node, lists[i]) {
                        Parcel *p = LIST_ENTRY(node, Parcel, node);
                        if (p->owner == owner)
                                p->owner = NULL;
                }
        }
        while (o->n_calling > 0)
                pthread_cond_wait(&o->changed, &o->lock);
        pthread_mutex_unlock(&o->lock);
}

/* ---- does a stream take a subject? ------------------------------------------------- */

static HasStream guess(BusOutlet *o, const char *subject, int64_t now_ns) {
        const Guess *g = map_get(&o->guesses, slice_from_str(subject));
        if (!g || g->until_ns < now_ns)
                return STREAM_UNKNOWN;
        return g->has_stream ? STREAM_YES : STREAM_NO;
}

static void guesses_clear(BusOutlet *o) {
        size_t it = 0;
        Slice key;
        void *g;
        while (map_next(&o->guesses, &it, &key, &g))
                free(g);
        uint64_t seeds[2] = {o->guesses.seed[0], o->guesses.seed[1]};
        map_deinit(&o->guesses);
        map_init(&o->guesses, seeds[0], seeds[1]);
}

/** Without memory it is asked again the next time. */
static void guess_keep(BusOutlet *o, const char *subject, bool has_stream) {
        Guess *g = map_get(&o->guesses, slice_from_str(subject));
        if (!g) {
                size_t n = strlen(subject);
                if (o->guesses.n >= GUESSES_MAX)
                        guesses_clear(o);
                g = malloc(sizeof(*g) + n + 1);
                if (!g)
                        return;
                memcpy(g->subject, subject, n + 1);
                g->n = n;
                if (map_put(&o->guesses, (Slice){g->subject, n}, g) < 0) {
                        free(g);
                        return;
                }
        }
        g->has_stream = has_stream;
        g->until_ns = monotonic_ns() + GUESS_TTL_NS;
}

/* ---- sending ----------------------------------------------------------------------- */

natsStatus outlet_publish(natsConnection *nc, const char *subject, const char *reply, Slice body) {
        return reply ? natsConnection_PublishRequest(nc, subject, reply, body.data, (int)body.n)
                     : natsConnection_Publish(nc, subject, body.data, (int)body.n);
}

static natsStatus message_new(const Parcel *p, const char *reply, natsMsg **ret) {
        const char *at = p->headers;
        natsStatus s = natsMsg_Create(ret, p->subject, reply, p->payload, (int)p->n_payload);
        if (s == NATS_OK && p->id[0])
                s = natsMsgHeader_Set(*ret, "Nats-Msg-Id", p->id);
        for (size_t i = 0; i < p->n_headers && s == NATS_OK; i++) {
                const char *value = at + strlen(at) + 1;
                s = natsMsgHeader_Set(*ret, at, value);
                at = value + strlen(value) + 1;
        }
        return s;
}

/** The question whether a stream takes its subject. */
static natsStatus question_new(const Parcel *p, const char *reply, natsMsg **ret) {
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        json_begin_object(&w);
        json_key(&w, "subject");
        json_put_str(&w, p->subject);
        json_end_object(&w);
        return body.error ? NATS_NO_MEMORY
                          : natsMsg_Create(ret, "$JS.API.STREAM.NAMES", reply, body.data, (int)body.n);
}

/** Under the lock, left while it is published: its answer may come, and settle it, before we are back. */
static void send_parcel(Bus *b, natsConnection *nc, Parcel *p, uint64_t epoch) {
        BusOutlet *o = &b->outlet;
        int64_t now_ns = monotonic_ns();
        uint64_t number = p->number;
        char reply[sizeof(o->inbox) + 32];
        natsMsg *msg = NULL;
        if (p->n_bytes + HEADERS_RESERVE > bus_payload_max(b)) {
                settle_error(o, p, -EMSGSIZE, "the message is larger than the NATS server takes in one");
                return;
        }
        if (p->has_stream == STREAM_UNKNOWN)
                p->has_stream = guess(o, p->subject, now_ns);
        snprintf(reply, sizeof(reply), "%s.%llu", o->inbox, (unsigned long long)number);
        p->epoch = epoch;
        p->until_ns = now_ns + BUS_API_TIMEOUT_MS * 1000000LL;
        p->state = p->has_stream == STREAM_UNKNOWN ? PARCEL_ASKING
                   : p->has_stream == STREAM_YES   ? PARCEL_ACKING
                                                   : PARCEL_FLUSHING;
        list_remove(&p->node);
        list_push_back(p->state == PARCEL_FLUSHING ? &o->flushing : &o->sent, &p->node);
        natsStatus s = map_put(&o->by_number, number_key(&p->number), p) < 0 ? NATS_NO_MEMORY
                       : p->state == PARCEL_ASKING
                                       ? question_new(p, reply, &msg)
                                       : message_new(p, p->state == PARCEL_ACKING ? reply : NULL, &msg);
        if (s == NATS_OK) {
                pthread_mutex_unlock(&o->lock);
                s = natsConnection_PublishMsg(nc, msg);
                pthread_mutex_lock(&o->lock);
                p = map_get(&o->by_number, number_key(&number));
        }
        natsMsg_Destroy(msg);
        if (s != NATS_OK && p)
                settle_error(o, p, -EAGAIN, nats_error_text(s));
}

/** Under the lock, left meanwhile. */
static void send_all(Bus *b) {
        BusOutlet *o = &b->outlet;
        Link *l = &b->links[BUS_LINK_TASK];
        uint64_t epoch = link_epoch(l);
        natsConnection *nc = link_borrow(l);
        bool is_there = nats_is_connected(nc);
        while (!list_is_empty(&o->parcels) && !o->ending) {
                Parcel *p = LIST_ENTRY(o->parcels.next, Parcel, node);
                if (is_there)
                        send_parcel(b, nc, p, epoch);
                else
                        settle_error(o, p, -EAGAIN, "there is no connection to NATS");
        }
        pthread_mutex_unlock(&o->lock);
        bool flushed = is_there && natsConnection_FlushTimeout(nc, FLUSH_TIMEOUT_MS) == NATS_OK;
        link_release(l);
        flushed = flushed && link_epoch(l) == epoch;
        pthread_mutex_lock(&o->lock);
        while (!list_is_empty(&o->flushing)) {
                Parcel *p = LIST_ENTRY(o->flushing.next, Parcel, node);
                if (flushed)
                        settle(o, p, &(OutReceipt){.epoch = epoch});
                else
                        settle_error(o, p, -EAGAIN,
                                     "the connection to NATS was lost before the message was confirmed");
        }
}

/* ---- answers ----------------------------------------------------------------------- */

static void take_guess(BusOutlet *o, Parcel *p, const json_t *body) {
        const json_t *streams = json_object_get(body, "streams");
        p->has_stream = json_array_size(streams) > 0 ? STREAM_YES : STREAM_NO;
        guess_keep(o, p->subject, p->has_stream == STREAM_YES);
        map_remove(&o->by_number, number_key(&p->number));
        list_remove(&p->node);
        list_push_back(&o->parcels, &p->node);
        pthread_cond_broadcast(&o->changed);
}

static void take_ack(BusOutlet *o, Parcel *p, const json_t *body, bool nobody) {
        const json_t *error = json_object_get(body, "error"), *stream = json_object_get(body, "stream");
        const char *text = json_string_value(json_object_get(error, "description"));
        json_int_t seq = json_integer_value(json_object_get(body, "seq"));
        if (nobody)
                settle_error(o, p, -ENOENT,
                             "no stream takes it: is JetStream on, and the stream " STREAM_TASKS " there?");
        else if (error)
                settle_error(o, p, -ENOSPC, text ? text : "the stream refuses it");
        else if (json_is_string(stream) && seq > 0)
                settle(o, p,
                       &(OutReceipt){.stream = json_string_slice(stream),
                                     .stream_seq = (uint64_t)seq,
                                     .is_duplicate = json_is_true(json_object_get(body, "duplicate")),
                                     .epoch = p->epoch});
        else if (!p->owner)
                settle_error(o, p, 0, "");
        /* else not a stream's word: some subscriber has answered */
}

static void take_answer(Bus *b, const Message *m, uint64_t number) {
        BusOutlet *o = &b->outlet;
        const char *status = message_header(m, "Status");
        bool nobody = m->body.n == 0 && status && !strcmp(status, "503");
        json_t *body = json_parse_own(m->body);
        Parcel *p = map_get(&o->by_number, number_key(&number));
        if (p && p->state == PARCEL_ASKING && (nobody || json_is_object(body)))
                take_guess(o, p, body);
        else if (p && p->state == PARCEL_ACKING)
                take_ack(o, p, body, nobody);
        json_decref(body);
}

void outlet_take(void *userdata, const Message *m, bool shed) {
        Bus *b = userdata;
        BusOutlet *o = &b->outlet;
        Slice inbox = slice_from_str(o->inbox);
        uint64_t number = 0;
        char kind = 0; /* a task comes under its own subject */
        if (slice_starts_with(m->subject, inbox) && m->subject.n > inbox.n + 1) {
                const char *at = m->subject.data + inbox.n + 1;
                kind = *at == 'n' || *at == 'h' ? *at : 'a';
                number = strtoull(kind == 'a' ? at : at + 2, NULL, 10);
        }
        pthread_mutex_lock(&o->lock);
        if (kind == 'a')
                take_answer(b, m, number);
        else
                pulls_take(b, m, kind, number);
        pthread_mutex_unlock(&o->lock);
}

/* ---- the thread -------------------------------------------------------------------- */

static void sweep(Bus *b, int64_t now_ns) {
        BusOutlet *o = &b->outlet;
        o->swept_ns = now_ns;
        while (!list_is_empty(&o->sent)) {
                Parcel *p = LIST_ENTRY(o->sent.next, Parcel, node);
                if (p->until_ns > now_ns)
                        break;
                settle_error(o, p, -EAGAIN, "the NATS server does not answer");
        }
        pulls_sweep(b, now_ns);
}

static void *outlet_main(void *userdata) {
        Bus *b = userdata;
        BusOutlet *o = &b->outlet;
        pthread_setname_np(pthread_self(), "outlet");
        pthread_mutex_lock(&o->lock);
        while (!o->ending) {
                int64_t now_ns = monotonic_ns();
                if (!list_is_empty(&o->parcels)) {
                        send_all(b);
                } else if (!list_is_empty(&o->pulls)) {
                        pulls_send(b);
                } else if (now_ns - o->swept_ns >= SWEEP_NS) {
                        sweep(b, now_ns);
                } else {
                        int64_t at_ns = o->swept_ns + SWEEP_NS;
                        bool is_idle = list_is_empty(&o->sent) && list_is_empty(&o->handouts) &&
                                       o->pulls_by_number.n == 0;
                        struct timespec t = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
                        if (is_idle)
                                pthread_cond_wait(&o->changed, &o->lock);
                        else
                                pthread_cond_timedwait(&o->changed, &o->lock, &t);
                }
        }
        while (!list_is_empty(&o->parcels))
                settle_error(o, LIST_ENTRY(o->parcels.next, Parcel, node), -EAGAIN, "the engine is stopping");
        while (!list_is_empty(&o->sent))
                settle_error(o, LIST_ENTRY(o->sent.next, Parcel, node), -EAGAIN, "the engine is stopping");
        pulls_end(b);
        pthread_mutex_unlock(&o->lock);
        nats_ReleaseThreadMemory();
        return NULL;
}

int outlet_init(Bus *b) {
        BusOutlet *o = &b->outlet;
        pthread_condattr_t monotonic;
        natsInbox *inbox = NULL;
        pthread_mutex_init(&o->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&o->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        List *const lists[] = {&o->parcels, &o->flushing, &o->sent, &o->pulls, &o->handouts};
        for (size_t i = 0; i < N_ELEMENTS(lists); i++)
                list_init(lists[i]);
        if (natsInbox_Create(&inbox) != NATS_OK)
                return -ENOMEM;
        snprintf(o->inbox, sizeof(o->inbox), "%s", (const char *)inbox);
        natsInbox_Destroy(inbox);
        BusSubscription *sub = &b->options.subscriptions[b->options.n_subscriptions++];
        *sub = (BusSubscription){.link = BUS_LINK_TASK, .handle = outlet_take, .userdata = b};
        snprintf(sub->subject, sizeof(sub->subject), "%s.>", o->inbox);
        return 0;
}

int outlet_start(Bus *b) {
        int r = -pthread_create(&b->outlet.thread, NULL, outlet_main, b);
        b->outlet.has_thread = r == 0;
        return r;
}

void outlet_end(Bus *b) {
        BusOutlet *o = &b->outlet;
        pthread_mutex_lock(&o->lock);
        o->ending = true;
        pthread_cond_broadcast(&o->changed);
        pthread_mutex_unlock(&o->lock);
        if (o->has_thread)
                pthread_join(o->thread, NULL);
        o->has_thread = false;
}

void outlet_deinit(Bus *b) {
        BusOutlet *o = &b->outlet;
        LIST_FOREACH_SAFE(node, next, &o->parcels)
        free(LIST_ENTRY(node, Parcel, node)); /* of a bus that was never started */
        pulls_deinit(b);
        guesses_clear(o);
        map_deinit(&o->guesses);
        map_deinit(&o->by_number);
        pthread_cond_destroy(&o->changed);
        pthread_mutex_destroy(&o->lock);
}
