/*
 * Tasks for those who wait for one
 *
 * The stream of tasks has one pull consumer for each kind of task that somebody has asked for. For each who waits we
 * ask it for one message, and give that on; nobody but the engine needs to touch JetStream, and what nobody needs any
 * more (a cancelled attempt, a task that was stored twice) is acknowledged and never seen by a worker.
 *
 * A task comes under its own subject, not that of our request: it goes to who has waited longest for this kind. "No
 * message" comes under the request's subject. The thread of bus_outlet.c sends the requests.
 *
 * Who waits may have died: the server tells at once when nobody listens where a task is sent to. So it is acknowledged
 * a moment later, and given back to the stream if it has not arrived.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "json/digest.h"
#include "subjects/bus_nats.h"
#include "subjects/handler.h"

#define CONSUMER_TEXT_MAX (TASK_CONSUMER_NAME_MAX + 1)

typedef struct PullQueue {
        Slice subject; /* the key; its bytes follow the struct */
        char consumer[CONSUMER_TEXT_MAX];
        List waiting;          /* Pull, longest first; those in `pulls` (to be sent) are not here */
        size_t n_pulls;        /* all of them */
        int64_t good_until_ns; /* the consumer was there, on this connection */
        uint64_t epoch;
        char text[];
} PullQueue;

typedef struct Pull {
        List node; /* of BusOutlet.pulls, or of its queue */
        uint64_t number;
        PullQueue *queue;
        int64_t until_ns;
        bool is_held; /* a task is being given to it */
        bool (*take)(void *userdata, const Message *task);
        void (*end)(void *userdata, bool has_task, RunbookCode code, const char *sentence);
        void *userdata;
        Slice reply, tenant; /* in `text` */
        char text[];
} Pull;

/** A task that was sent to somebody. */
typedef struct Handout {
        List node;
        uint64_t number;
        int64_t until_ns;
        Slice ack, tenant, token; /* in `text` */
        char text[];
} Handout;

static Slice number_key(const uint64_t *number) { return slice_from_bytes(number, sizeof(*number)); }

/* ---- who waits --------------------------------------------------------------------- */

/** A consumer's name: as it is, or its hash where that is too long. */
static void put_consumer(char ret[CONSUMER_TEXT_MAX], Slice name) {
        Digest d;
        if (name.n <= TASK_CONSUMER_NAME_MAX) {
                memcpy(ret, name.data, name.n);
                ret[name.n] = 0;
        } else if (digest_slice(name, &d) == 0) {
                digest_format(&d, ret);
        }
}

static Slice put_text(char *to, Slice s) {
        if (s.n > 0)
                memcpy(to, s.data, s.n);
        to[s.n] = 0;
        return (Slice){to, s.n};
}

static PullQueue *queue_of(BusOutlet *o, const BusPull *pull) {
        PullQueue *q = map_get(&o->queues, pull->subject);
        if (q)
                return q;
        q = calloc(1, sizeof(*q) + pull->subject.n + 1);
        if (!q)
                return NULL;
        memcpy(q->text, pull->subject.data, pull->subject.n);
        q->subject = (Slice){q->text, pull->subject.n};
        list_init(&q->waiting);
        put_consumer(q->consumer, pull->consumer);
        if (!q->consumer[0] || map_put(&o->queues, q->subject, q) < 0) {
                free(q);
                return NULL;
        }
        return q;
}

static void queue_drop(BusOutlet *o, PullQueue *q) {
        if (q->n_pulls > 0)
                return;
        map_remove(&o->queues, q->subject);
        free(q);
}

int bus_pull(Bus *b, const BusPull *pull) {
        BusOutlet *o = &b->outlet;
        Pull *p = calloc(1, sizeof(*p) + pull->reply.n + pull->tenant.n + 2);
        if (!p)
                return -ENOMEM;
        list_init(&p->node);
        p->reply = put_text(p->text, pull->reply);
        p->tenant = put_text(p->text + pull->reply.n + 1, pull->tenant);
        p->take = pull->take;
        p->end = pull->end;
        p->userdata = pull->userdata;
        p->until_ns = monotonic_ns() + pull->expires_ms * 1000000LL;
        pthread_mutex_lock(&o->lock);
        int r = o->ending || o->pulls_by_number.n >= BUS_PULLS_MAX ? -EAGAIN : 0;
        if (r == 0) {
                p->number = ++o->last_number;
                p->queue = queue_of(o, pull);
                r = p->queue && map_put(&o->pulls_by_number, number_key(&p->number), p) >= 0 ? 0 : -ENOMEM;
        }
        if (r == 0) {
                p->queue->n_pulls++;
                list_push_back(&o->pulls, &p->node);
                pthread_cond_broadcast(&o->changed);
        } else if (p->queue) {
                queue_drop(o, p->queue);
        }
        pthread_mutex_unlock(&o->lock);
        if (r < 0)
                free(p);
        return r;
}

/** Under the lock, left for a moment. */
static void pull_end(BusOutlet *o, Pull *p, bool has_task, RunbookCode code, const char *sentence) {
        list_remove(&p->node);
        map_remove(&o->pulls_by_number, number_key(&p->number));
        p->queue->n_pulls--;
        o->n_calling++;
        pthread_mutex_unlock(&o->lock);
        p->end(p->userdata, has_task, code, sentence);
        pthread_mutex_lock(&o->lock);
        o->n_calling--;
        pthread_cond_broadcast(&o->changed);
        free(p);
}

/* ---- the consumer ------------------------------------------------------------------ */

static void api_options(jsOptions *o) {
        jsOptions_Init(o);
        o->Wait = BUS_API_TIMEOUT_MS;
}

static natsStatus consumer_make(jsCtx *js, const PullQueue *q, jsErrCode *ret_code) {
        jsConsumerConfig c;
        jsOptions o;
        api_options(&o);
        jsConsumerConfig_Init(&c);
        c.Durable = q->consumer;
        c.Description = "tasks of one kind, for workers that ask runbookd";
        c.FilterSubject = q->subject.data;
        c.DeliverPolicy = js_DeliverAll;
        c.AckPolicy = js_AckExplicit;
        c.AckWait = TASK_ACK_WAIT_MS * 1000000LL;
        c.MaxAckPending = TASK_ACK_PENDING;
        c.MaxWaiting = BUS_PULLS_MAX;
        c.MaxDeliver = -1;
        natsStatus s = js_AddConsumer(NULL, js, STREAM_TASKS, &c, &o, ret_code);
        if (s == NATS_OK)
                log_event(LOG_INFO, "a consumer of tasks was made", "consumer", q->consumer, NULL);
        return s;
}

/** A consumer that stands beyond the end of its stream would skip new tasks in silence. */
static natsStatus consumer_check(jsCtx *js, const PullQueue *q, const jsConsumerInfo *info,
                                 const jsStreamInfo *stream, jsErrCode *ret_code) {
        jsOptions o;
        api_options(&o);
        if (info->AckFloor.Stream <= stream->State.LastSeq && info->Delivered.Stream <= stream->State.LastSeq)
                return NATS_OK;
        log_event(LOG_WARN, "a consumer of tasks is made anew: the server has lost messages", "consumer",
                  q->consumer, NULL);
        natsStatus s = js_DeleteConsumer(js, STREAM_TASKS, q->consumer, &o, ret_code);
        return s == NATS_OK || s == NATS_NOT_FOUND ? consumer_make(js, q, ret_code) : s;
}

/** Without the lock. 0, or a sentence in @fault. */
static int consumer_ensure(jsCtx *js, const PullQueue *q, char *fault, size_t n_fault) {
        jsConsumerInfo *info = NULL;
        jsStreamInfo *stream = NULL;
        jsErrCode code = 0;
        jsOptions o;
        api_options(&o);
        natsStatus s = js_GetConsumerInfo(&info, js, STREAM_TASKS, q->consumer, &o, &code);
        bool is_absent = s == NATS_NOT_FOUND || code == JSConsumerNotFoundErr;
        if (s == NATS_OK || is_absent) {
                code = 0;
                s = js_GetStreamInfo(&stream, js, STREAM_TASKS, &o, &code);
        }
        if (s == NATS_OK && is_absent && stream->State.Consumers >= TASK_CONSUMERS_MAX) {
                snprintf(fault, n_fault,
                         "the stream " STREAM_TASKS " has %d consumers already, as many as may be "
                         "(TASK_CONSUMERS_MAX)",
                         TASK_CONSUMERS_MAX);
                s = NATS_ERR;
        } else if (s == NATS_OK) {
                s = is_absent ? consumer_make(js, q, &code) : consumer_check(js, q, info, stream, &code);
                if (s != NATS_OK)
                        snprintf(fault, n_fault, "the tasks' consumer %s can't be made: %s", q->consumer,
                                 nats_error_text(s));
        } else {
                snprintf(fault, n_fault, "the stream of tasks can't be looked at: %s", nats_error_text(s));
        }
        jsConsumerInfo_Destroy(info);
        jsStreamInfo_Destroy(stream);
        return s == NATS_OK ? 0 : -EAGAIN;
}

/* ---- asking ------------------------------------------------------------------------ */

static natsStatus request_task(Bus *b, natsConnection *nc, const Pull *p, int64_t left_ns) {
        char subject[sizeof("$JS.API.CONSUMER.MSG.NEXT." STREAM_TASKS ".") + CONSUMER_TEXT_MAX], reply[128],
                        body[96];
        snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT." STREAM_TASKS ".%s",
                 p->queue->consumer);
        snprintf(reply, sizeof(reply), "%s.n.%llu", b->outlet.inbox, (unsigned long long)p->number);
        int n = snprintf(body, sizeof(body), "{\"batch\":1,\"expires\":%lld}", (long long)left_ns);
        return outlet_publish(nc, subject, reply, (Slice){body, (size_t)n});
}

/** Under the lock, left meanwhile. Only the thread ends pulls that are in no list, so @p stays. */
static void pull_send(Bus *b, Pull *p) {
        BusOutlet *o = &b->outlet;
        Link *l = &b->links[BUS_LINK_TASK];
        PullQueue *q = p->queue;
        char fault[256] = "there is no connection to NATS";
        uint64_t epoch = link_epoch(l);
        int64_t now_ns = monotonic_ns();
        bool is_good = q->epoch == epoch && q->good_until_ns > now_ns;
        pthread_mutex_unlock(&o->lock);
        natsConnection *nc = link_borrow(l);
        int r = nats_is_connected(nc) && l->js ? 0 : -EAGAIN;
        if (r == 0 && !is_good)
                r = consumer_ensure(l->js, q, fault, sizeof(fault));
        pthread_mutex_lock(&o->lock);
        if (r == 0 && !is_good) {
                q->epoch = epoch;
                q->good_until_ns = monotonic_ns() + TASK_CONSUMER_TTL_MS * 1000000LL;
        }
        int64_t left_ns = p->until_ns - monotonic_ns();
        if (r == 0 && left_ns > 0) {
                list_push_back(&q->waiting, &p->node); /* before it is sent: its task may come at once */
                natsStatus s = request_task(b, nc, p, left_ns);
                if (s != NATS_OK) {
                        snprintf(fault, sizeof(fault), "%s", nats_error_text(s));
                        r = -EAGAIN;
                }
        }
        if (r < 0)
                pull_end(o, p, false, RUNBOOK_UNAVAILABLE, fault);
        else if (left_ns <= 0)
                pull_end(o, p, false, RUNBOOK_OK, NULL);
        link_release(l);
}

void pulls_send(Bus *b) {
        BusOutlet *o = &b->outlet;
        Link *l = &b->links[BUS_LINK_TASK];
        while (!list_is_empty(&o->pulls) && !o->ending && list_is_empty(&o->parcels)) {
                Pull *p = LIST_ENTRY(o->pulls.next, Pull, node);
                list_remove(&p->node);
                pull_send(b, p);
        }
        pthread_mutex_unlock(&o->lock);
        natsConnection *nc = link_borrow(l);
        if (nats_is_connected(nc))
                natsConnection_Flush(nc);
        link_release(l);
        pthread_mutex_lock(&o->lock);
}

static void handout_done(Bus *b, Handout *h) {
        list_remove(&h->node);
        bus_queue_ack(b, h->ack, true);
        free(h);
}

void pulls_sweep(Bus *b, int64_t now_ns) {
        BusOutlet *o = &b->outlet;
        size_t it = 0;
        Slice key;
        void *value;
        while (map_next(&o->pulls_by_number, &it, &key, &value)) {
                Pull *p = value;
                if (p->is_held || p->until_ns + BUS_PULL_GRACE_MS * 1000000LL > now_ns)
                        continue;
                pull_end(o, p, false, RUNBOOK_OK, NULL);
                it = 0; /* the map has changed */
        }
        while (!list_is_empty(&o->handouts)) {
                Handout *h = LIST_ENTRY(o->handouts.next, Handout, node);
                if (h->until_ns > now_ns)
                        break;
                handout_done(b, h);
        }
        for (it = 0; map_next(&o->queues, &it, &key, &value);) {
                PullQueue *q = value;
                if (q->n_pulls > 0 || q->good_until_ns > now_ns)
                        continue;
                queue_drop(o, q);
                it = 0;
        }
}

/* ---- what comes -------------------------------------------------------------------- */

static void take_status(BusOutlet *o, const Message *m, uint64_t number) {
        const char *status = message_header(m, "Status");
        Pull *p = map_get(&o->pulls_by_number, number_key(&number));
        if (!p || !status)
                return;
        bool is_gone = !strcmp(status, "503") || !strcmp(status, "409"); /* the consumer, as a rule */
        if (is_gone)
                p->queue->good_until_ns = 0;
        pull_end(o, p, false, is_gone ? RUNBOOK_UNAVAILABLE : RUNBOOK_OK,
                 is_gone ? "the tasks' consumer is gone; ask again" : NULL);
}

static Handout *handout_new(const Pull *p, const Message *m) {
        Slice token = slice_from_str(message_header(m, "Nats-Msg-Id"));
        Handout *h = calloc(1, sizeof(*h) + m->reply.n + p->tenant.n + token.n + 3);
        if (!h)
                return NULL;
        list_init(&h->node);
        h->ack = put_text(h->text, m->reply);
        h->tenant = put_text(h->text + m->reply.n + 1, p->tenant);
        h->token = put_text(h->text + m->reply.n + p->tenant.n + 2, token);
        return h;
}

/** Under the lock, left for a moment: it did not arrive. */
static void handout_return(Bus *b, Handout *h) {
        BusOutlet *o = &b->outlet;
        list_remove(&h->node);
        o->n_calling++;
        pthread_mutex_unlock(&o->lock);
        b->options.on_returned(b->options.userdata, h->tenant, h->token);
        bus_reply(b, h->ack, RUNBOOK_OK, SLICE("-NAK"));
        pthread_mutex_lock(&o->lock);
        o->n_calling--;
        pthread_cond_broadcast(&o->changed);
        free(h);
}

/** Without the lock: the task goes to who waits. */
static natsStatus send_task(Bus *b, const Pull *p, uint64_t number, const Message *m) {
        Link *l = &b->links[BUS_LINK_TASK];
        char reply[128];
        snprintf(reply, sizeof(reply), "%s.h.%llu", b->outlet.inbox, (unsigned long long)number);
        natsConnection *nc = link_borrow(l);
        natsStatus s = nats_is_connected(nc) ? outlet_publish(nc, p->reply.data, reply, m->body)
                                             : NATS_CONNECTION_DISCONNECTED;
        link_release(l);
        return s;
}

/** Under the lock, left meanwhile. True: it was sent. False: nobody needs it, and it was acknowledged. */
static bool give(Bus *b, Pull *p, const Message *m) {
        BusOutlet *o = &b->outlet;
        natsStatus s = NATS_NO_MEMORY;
        pthread_mutex_unlock(&o->lock);
        bool is_needed = p->take(p->userdata, m);
        Handout *h = is_needed ? handout_new(p, m) : NULL;
        pthread_mutex_lock(&o->lock);
        if (!is_needed) {
                bus_queue_ack(b, m->reply, true);
                return false;
        }
        if (h) {
                uint64_t number = h->number = ++o->last_number;
                h->until_ns = monotonic_ns() + TASK_SENT_MS * 1000000LL;
                list_push_back(&o->handouts,
                               &h->node);       /* before it is sent: the server may say at once that */
                pthread_mutex_unlock(&o->lock); /* nobody is there, on this very thread, later */
                s = send_task(b, p, number, m);
                pthread_mutex_lock(&o->lock);
        }
        if (s != NATS_OK && h)
                handout_return(b, h);
        else if (!h)
                bus_queue_ack(b, m->reply, false); /* no memory: its attempt has time to wait for another */
        return true;
}

static void take_task(Bus *b, const Message *m) {
        BusOutlet *o = &b->outlet;
        PullQueue *q = map_get(&o->queues, m->subject);
        if (!q || list_is_empty(&q->waiting)) {
                bus_reply(b, m->reply, RUNBOOK_OK, SLICE("-NAK")); /* nobody waits any more */
                return;
        }
        Pull *p = LIST_ENTRY(q->waiting.next, Pull, node);
        list_remove(&p->node);
        p->is_held = true;
        o->n_calling++;
        bool given = give(b, p, m);
        p->is_held = false;
        o->n_calling--;
        pthread_cond_broadcast(&o->changed);
        if (given || o->ending) {
                pull_end(o, p, given, RUNBOOK_OK, NULL);
        } else {
                list_push_front(&o->pulls, &p->node); /* it still waits: another one */
                pthread_cond_broadcast(&o->changed);
        }
}

/** The server says that nobody listens, or the worker that it has the task. */
static void take_receipt(Bus *b, const Message *m, uint64_t number) {
        const char *status = message_header(m, "Status");
        LIST_FOREACH(node, &b->outlet.handouts) {
                Handout *h = LIST_ENTRY(node, Handout, node);
                if (h->number != number)
                        continue;
                if (m->body.n == 0 && status && !strcmp(status, "503"))
                        handout_return(b, h);
                else
                        handout_done(b, h);
                return;
        }
}

void pulls_take(Bus *b, const Message *m, char kind, uint64_t number) {
        if (kind == 'n')
                take_status(&b->outlet, m, number);
        else if (kind == 'h')
                take_receipt(b, m, number);
        else if (slice_starts_with(m->reply, SLICE("$JS.ACK." STREAM_TASKS ".")))
                take_task(b, m);
}

void pulls_end(Bus *b) {
        BusOutlet *o = &b->outlet;
        size_t it = 0;
        Slice key;
        void *p;
        while (o->n_calling > 0) /* whoever holds one ends it, since the outlet is ending */
                pthread_cond_wait(&o->changed, &o->lock);
        while (map_next(&o->pulls_by_number, &it, &key, &p)) {
                pull_end(o, p, false, RUNBOOK_UNAVAILABLE, "the engine is stopping");
                it = 0;
        }
        while (!list_is_empty(&o->handouts))
                handout_done(b, LIST_ENTRY(o->handouts.next, Handout, node));
}

void pulls_deinit(Bus *b) {
        BusOutlet *o = &b->outlet;
        size_t it = 0;
        Slice key;
        void *value;
        while (map_next(&o->pulls_by_number, &it, &key, &value))
                free(value);
        for (it = 0; map_next(&o->queues, &it, &key, &value);)
                free(value);
        LIST_FOREACH_SAFE(node, next, &o->handouts)
        free(LIST_ENTRY(node, Handout, node));
        map_deinit(&o->pulls_by_number);
        map_deinit(&o->queues);
}
