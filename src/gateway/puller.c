/*
 * A pull consumer of the audit stream, by JetStream's own subjects
 *
 * Nothing is acknowledged; what the consumer delivers bears its own sequence without holes, so a message that was lost
 * on the way shows, and then the consumer is made anew behind the last message that came. The same when it falls
 * silent: it may be gone with its server.
 *
 * A place is a sequence of the stream and the time that goes with it, since a server that loses power may give
 * sequences out again: only if the message at that sequence is still the same one, the next sequence is what comes
 * next; else reading begins at its time.
 */

#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/cleanup.h"
#include "gateway/puller.h"
#include "json/json_read.h"

#define API_TIMEOUT_MS  5000
#define PULL_EXPIRES_MS 20000
#define BEAT_MS         5000  /* the server's sign of life while a pull is open */
#define SILENCE_MS      12500 /* more than two of them missed */
#define RETRY_MS        1000
#define NAME_MAX_BYTES  128

typedef enum PullerState { PULLER_IDLE, PULLER_MAKING, PULLER_READY } PullerState;

struct Puller {
        Link *link;
        PullerHandler handler;
        void *userdata;
        char *stream, *filter, *inbox;
        LinkSubscription *subscription;
        pthread_mutex_t lock;
        int n_refs;
        PullerState state;
        bool is_open, is_closed, is_pulling;
        char consumer[NAME_MAX_BYTES];
        PullerPlace place;
        uint64_t delivered; /* the consumer's own sequence */
        unsigned n_left;    /* of the batch */
        int64_t heard_ms, retry_ms;
};

/* ---- references ------------------------------------------------------------------------ */

static Puller *ref(Puller *p) {
        pthread_mutex_lock(&p->lock);
        p->n_refs++;
        pthread_mutex_unlock(&p->lock);
        return p;
}

static void unref(Puller *p) {
        pthread_mutex_lock(&p->lock);
        bool is_last = --p->n_refs == 0;
        pthread_mutex_unlock(&p->lock);
        if (!is_last)
                return;
        p->handler.released(p->userdata);
        pthread_mutex_destroy(&p->lock);
        free(p->stream);
        free(p->filter);
        free(p->inbox);
        free(p);
}

static void on_released(void *userdata) { unref(userdata); }

/* ---- making a consumer ------------------------------------------------------------------ */

/** Ask the API; the handler gets a reference to @p. False: it could not be asked. */
static bool ask(Puller *p, const char *what, const char *body, LinkAskHandler handler) {
        char subject[256];
        LinkMessage message = {.subject = subject, .body = body, .body_size = strlen(body)};

        snprintf(subject, sizeof subject, "$JS.API.%s.%s", what, p->stream);
        if (link_ask(p->link, &message, API_TIMEOUT_MS, handler, ref(p), NULL) == 0)
                return true;
        unref(p);
        return false;
}

static void later(Puller *p, const char *sentence) {
        pthread_mutex_lock(&p->lock);
        p->state = PULLER_IDLE;
        p->retry_ms = link_now_ms() + RETRY_MS;
        bool is_first = !p->is_open && !p->is_closed;
        pthread_mutex_unlock(&p->lock);
        if (is_first)
                p->handler.opened(p->userdata, false, sentence);
}

static json_t *parse(int status, const LinkAnswer *answer) {
        return status == 0 ? json_parse_own((Slice){answer->body, answer->body_size}) : NULL;
}

static const char *error_text(const json_t *json) {
        return json_string_value(json_object_get(json_object_get(json, "error"), "description"));
}

static void on_created(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Puller *p = userdata;
        json_t *json = parse(status, answer);
        const char *name = json_string_value(json_object_get(json, "name")), *error = error_text(json);
        bool is_first = false, is_behind = json_integer_value(json_object_get(json, "num_pending")) > 0;

        if (!name || strlen(name) >= sizeof p->consumer) {
                later(p, status == RUNBOOK_CLIENT_E_NO_ENGINE
                                         ? "JetStream, which keeps the events, does not answer"
                         : error       ? error
                         : e && status ? e->message
                                       : "JetStream's answer is not understood");
        } else {
                pthread_mutex_lock(&p->lock);
                snprintf(p->consumer, sizeof p->consumer, "%s", name);
                p->state = PULLER_READY;
                p->delivered = 0;
                p->is_pulling = false;
                is_first = !p->is_open && !p->is_closed;
                p->is_open = true;
                pthread_mutex_unlock(&p->lock);
                p->handler.position(p->userdata, is_behind);
                if (is_first)
                        p->handler.opened(p->userdata, true, NULL);
                puller_pump(p, link_now_ms(), true);
        }
        json_decref(json);
        unref(p);
}

/** Make the consumer that begins as @start (members of its configuration) says. */
static void create(Puller *p, const char *start) {
        _cleanup_(buf_deinit) Buf body = {0};

        buf_printf(&body,
                   "{\"stream_name\":\"%s\",\"config\":{%s,\"ack_policy\":\"none\",\"replay_policy\":"
                   "\"instant\","
                   "\"filter_subject\":\"%s\",\"inactive_threshold\":60000000000,\"mem_storage\":true,"
                   "\"num_replicas\":1}}",
                   p->stream, start, p->filter);
        buf_put_char(&body, 0);
        if (body.error || !ask(p, "CONSUMER.CREATE", body.data, on_created))
                later(p, "the gateway could not ask JetStream");
}

static void create_after(Puller *p, uint64_t seq) {
        char start[128];

        snprintf(start, sizeof start, "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%llu",
                 (unsigned long long)seq + 1);
        create(p, start);
}

static void create_at(Puller *p, int64_t at_ms) {
        char start[128], time[TIME_TEXT_SIZE + 1];

        time_format_ms(at_ms, time);
        snprintf(start, sizeof start, "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"%s\"", time);
        create(p, start);
}

/** The message at our place is not there: has it expired, or were sequences given out again? */
static void on_info(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Puller *p = userdata;
        json_t *json = parse(status, answer);
        const json_t *state = json_object_get(json, "state");
        json_int_t first = json_integer_value(json_object_get(state, "first_seq"));

        if (!state) {
                later(p, status ? e->message : "JetStream's answer is not understood");
        } else if (first > 0 && (uint64_t)first > p->place.seq + 1) {
                p->handler.gap(p->userdata);
                create_after(p, (uint64_t)first - 1);
        } else {
                create_at(p, p->place.at_ms);
        }
        json_decref(json);
        unref(p);
}

static void on_message_at_place(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Puller *p = userdata;
        json_t *json = parse(status, answer);
        const json_t *time = json_object_get(json_object_get(json, "message"), "time");
        int64_t at_ms = -1;

        if (time)
                time_parse_ms(json_string_slice(time), &at_ms);
        if (at_ms == p->place.at_ms)
                create_after(p, p->place.seq);
        else if (!json || !ask(p, "STREAM.INFO", "", on_info))
                later(p, status == RUNBOOK_CLIENT_E_NO_ENGINE
                                         ? "JetStream, which keeps the events, does not answer"
                         : e && status ? e->message
                                       : "the gateway could not ask JetStream");
        json_decref(json);
        unref(p);
}

/** Where the stream ends now is where reading begins: a place like any other from then on. */
static void on_end(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Puller *p = userdata;
        json_t *json = parse(status, answer);
        const json_t *state = json_object_get(json, "state"), *time = json_object_get(state, "last_ts");
        PullerPlace end = {.seq = (uint64_t)json_integer_value(json_object_get(state, "last_seq"))};
        const char *error = error_text(json);

        if (!state) {
                later(p, status == RUNBOOK_CLIENT_E_NO_ENGINE
                                         ? "JetStream, which keeps the events, does not answer"
                         : error       ? error
                         : e && status ? e->message
                                       : "JetStream's answer is not understood");
        } else {
                if (end.seq > 0 && time)
                        time_parse_ms(json_string_slice(time), &end.at_ms);
                pthread_mutex_lock(&p->lock);
                p->place = end;
                pthread_mutex_unlock(&p->lock);
                create_after(p, end.seq);
        }
        json_decref(json);
        unref(p);
}

static void make(Puller *p) {
        char body[64];

        if (p->place.seq > 0) {
                snprintf(body, sizeof body, "{\"seq\":%llu}", (unsigned long long)p->place.seq);
                if (!ask(p, "STREAM.MSG.GET", body, on_message_at_place))
                        later(p, "the gateway could not ask JetStream");
        } else if (p->place.at_ms == PULLER_NEW) {
                if (!ask(p, "STREAM.INFO", "", on_end))
                        later(p, "the gateway could not ask JetStream");
        } else if (p->place.at_ms > 0) {
                create_at(p, p->place.at_ms);
        } else {
                create(p, "\"deliver_policy\":\"all\"");
        }
}

/* ---- messages --------------------------------------------------------------------------- */

/** What the reply subject of a delivery says:
 * $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<tries>.<stream seq>.<consumer seq>.<time>.<pending> */
static bool parse_reply(const char *reply, char *ret_consumer, PullerMessage *ret, uint64_t *ret_delivered) {
        Slice tokens[12], rest = slice_from_str(reply);
        size_t n = 0;
        uint64_t ns = 0;

        while (rest.n > 0 && n < N_ELEMENTS(tokens)) {
                const char *dot = memchr(rest.data, '.', rest.n);

                tokens[n++] = (Slice){rest.data, dot ? (size_t)(dot - rest.data) : rest.n};
                rest = dot ? (Slice){dot + 1, rest.n - tokens[n - 1].n - 1} : SLICE_NULL;
        }
        size_t at = n >= 11 ? 4 : 2;
        if (n < at + 7 || tokens[at + 1].n >= NAME_MAX_BYTES ||
            !slice_to_u64(tokens[at + 3], &ret->place.seq) || !slice_to_u64(tokens[at + 4], ret_delivered) ||
            !slice_to_u64(tokens[at + 5], &ns))
                return false;
        memcpy(ret_consumer, tokens[at + 1].data, tokens[at + 1].n);
        ret_consumer[tokens[at + 1].n] = 0;
        ret->place.at_ms = (int64_t)(ns / 1000000);
        ret->is_last = slice_eq_str(tokens[at + 6], "0");
        return true;
}

static void reset_locked(Puller *p) {
        if (p->state == PULLER_READY)
                p->state = PULLER_IDLE;
        p->is_pulling = false;
}

static void take_status(Puller *p, const char *status) {
        pthread_mutex_lock(&p->lock);
        p->heard_ms = link_now_ms();
        if (!strcmp(status, "404") || !strcmp(status, "408"))
                p->is_pulling = false;
        else if (strcmp(status, "100") != 0)
                reset_locked(p);
        bool is_at_end = !p->is_pulling && p->state == PULLER_READY && !p->is_closed;
        pthread_mutex_unlock(&p->lock);
        if (is_at_end)
                p->handler.position(p->userdata, false);
}

static void on_delivery(void *userdata, const LinkDelivery *d) {
        Puller *p = userdata;
        PullerMessage m = {.delivery = d};
        char consumer[NAME_MAX_BYTES];
        uint64_t delivered;
        bool is_wanted, is_again;

        if (d->status) {
                take_status(p, d->status);
                return;
        }
        if (!d->reply || !parse_reply(d->reply, consumer, &m, &delivered))
                return;
        pthread_mutex_lock(&p->lock);
        is_wanted = p->state == PULLER_READY && !p->is_closed && !strcmp(consumer, p->consumer);
        if (is_wanted && delivered != p->delivered + 1) {
                reset_locked(p); /* one is missing: again from the last that came */
                is_wanted = false;
        }
        if (is_wanted) {
                p->delivered = delivered;
                p->heard_ms = link_now_ms();
                if (p->n_left > 0 && --p->n_left == 0)
                        p->is_pulling = false;
        }
        /* By time the consumer begins with what was had already. */
        is_again = m.place.at_ms < p->place.at_ms ||
                   (m.place.at_ms == p->place.at_ms && p->place.seq > 0 && m.place.seq <= p->place.seq);
        if (is_wanted && !is_again)
                p->place = m.place;
        pthread_mutex_unlock(&p->lock);
        if (is_wanted && !is_again)
                p->handler.message(p->userdata, &m);
}

static bool pull(Puller *p) {
        char subject[256 + NAME_MAX_BYTES], body[128];
        LinkMessage message = {.subject = subject, .reply = p->inbox, .body = body};

        snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", p->stream, p->consumer);
        snprintf(body, sizeof body, "{\"batch\":%d,\"expires\":%lld,\"idle_heartbeat\":%lld}", PULLER_BATCH,
                 PULL_EXPIRES_MS * 1000000LL, BEAT_MS * 1000000LL);
        message.body_size = strlen(body);
        return link_publish(p->link, &message, NULL) == 0;
}

void puller_pump(Puller *p, int64_t now_ms, bool has_room) {
        bool makes = false, pulls = false;

        pthread_mutex_lock(&p->lock);
        if (p->is_pulling && now_ms - p->heard_ms > SILENCE_MS)
                reset_locked(p);
        if (!p->is_closed && p->state == PULLER_IDLE && now_ms >= p->retry_ms) {
                p->state = PULLER_MAKING;
                makes = true;
        } else if (!p->is_closed && p->state == PULLER_READY && !p->is_pulling && has_room) {
                p->is_pulling = pulls = true;
                p->n_left = PULLER_BATCH;
                p->heard_ms = now_ms;
        }
        pthread_mutex_unlock(&p->lock);
        if (makes)
                make(p);
        if (pulls && !pull(p)) {
                pthread_mutex_lock(&p->lock);
                reset_locked(p);
                p->retry_ms = now_ms + RETRY_MS;
                pthread_mutex_unlock(&p->lock);
        }
}

PullerPlace puller_place(Puller *p) {
        PullerPlace place;

        pthread_mutex_lock(&p->lock);
        place = p->place;
        pthread_mutex_unlock(&p->lock);
        return place;
}

void puller_distrust(Puller *p) {
        pthread_mutex_lock(&p->lock);
        reset_locked(p);
        pthread_mutex_unlock(&p->lock);
}

/* ---- beginning and end ------------------------------------------------------------------ */

Puller *puller_new(Link *link, const char *stream, const char *filter, PullerPlace place,
                   const PullerHandler *handler, void *userdata) {
        Puller *p = calloc(1, sizeof *p);

        if (!p)
                return NULL;
        p->link = link;
        p->handler = *handler;
        p->userdata = userdata;
        p->place = place;
        p->n_refs = 2; /* the caller's, the subscription's */
        p->stream = strdup(stream);
        p->filter = strdup(filter);
        p->inbox = link_inbox_new(link);
        pthread_mutex_init(&p->lock, NULL);
        if (p->stream && p->filter && p->inbox &&
            link_listen(link, p->inbox, on_delivery, on_released, p, &p->subscription, NULL) == 0)
                return p;
        pthread_mutex_destroy(&p->lock);
        free(p->stream);
        free(p->filter);
        free(p->inbox);
        free(p);
        return NULL;
}

void puller_close(Puller *p) {
        char subject[256 + NAME_MAX_BYTES];

        pthread_mutex_lock(&p->lock);
        p->is_closed = true;
        bool has_consumer = p->state == PULLER_READY;
        pthread_mutex_unlock(&p->lock);
        if (has_consumer) { /* the server would notice by itself, later */
                snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.%s.%s", p->stream, p->consumer);
                link_publish(p->link, &(LinkMessage){.subject = subject}, NULL);
        }
        link_unlisten(STEAL(p->subscription));
        unref(p);
}
