/*
 * Publishing into the audit stream
 *
 * A window of messages goes out plain, and only its last one asks for an acknowledgement: a quarter of what
 * acknowledging each costs. That the stream then holds all of them follows from two things: there was one
 * connection all the way (a connection keeps order), and the stream's sequence has moved by exactly as many
 * messages as were sent. Where it has not — some were duplicates, some were refused, somebody else
 * publishes there too — the window is sent again, each message with an acknowledgement of its own; the
 * stream drops by Nats-Msg-Id what it has already.
 *
 * Once somebody else was seen to publish, every message is acknowledged from the start, until the next
 * connect: only among others could a foreign message make up for a lost one of ours in the count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "json/json_read.h"
#include "subjects/bus_nats.h"
#include "subjects/handler.h"

#define HEADERS_RESERVE 1024 /* bytes of a message that are not its payload */
#define CHUNK_MAX       1024 /* acknowledgements waited for at a time */
#define ERR_STORAGE_EXCEEDED 10047 /* "insufficient storage resources": not named by nats.c */

static void log_held(Bus *b, const char *message, const char *error) {
        uint64_t held;
        char count[24];
        if (!log_gate_pass(&b->audit_gate, &held))
                return;
        snprintf(count, sizeof(count), "%llu", (unsigned long long)held);
        log_event(LOG_ERROR, message, "error", error, "heldBack", count, NULL);
}

/** The streams must be looked at: there is none to take our messages. */
static void want_setup(Bus *b) {
        pthread_mutex_lock(&b->lock);
        if (!b->setup_wanted) {
                b->setup_wanted = true;
                b->setup_at_ns = monotonic_ns() + BUS_BACKOFF_MIN_MS * 1000000LL;
                pthread_cond_broadcast(&b->changed);
        }
        pthread_mutex_unlock(&b->lock);
}

static int refusal(Bus *b, int64_t code, const char *text) {
        bool full = code == JSStreamStoreFailedErr || code == JSInsufficientResourcesErr ||
                    code == ERR_STORAGE_EXCEEDED;
        log_held(b,
                 full ? "the audit stream takes no more events; they wait in the outbox"
                      : "the audit stream refuses events",
                 text);
        return full ? -ENOSPC : -EAGAIN;
}

static int failure(Bus *b, natsStatus s, jsErrCode code) {
        if (s == NATS_OK)
                return 0;
        if (s == NATS_NO_MEMORY)
                return -ENOMEM;
        if (code != 0)
                return refusal(b, code, nats_error_text(s));
        if (s == NATS_NO_RESPONDERS)
                want_setup(b);
        return -EAGAIN;
}

/** May it be published at all? What no NATS message can hold must not stop all that comes after it. */
static bool fits(Bus *b, const AuditMessage *m) {
        if (m->payload.n + m->subject.n + m->id.n + HEADERS_RESERVE <= bus_payload_max(b))
                return true;
        log_event(LOG_ERROR,
                  "an event is larger than the NATS server takes in one message; it is in the history only",
                  "id", m->id.data, NULL);
        return false;
}

static natsStatus make_message(const AuditMessage *m, const char *reply, natsMsg **ret) {
        natsStatus s = natsMsg_Create(ret, m->subject.data, reply, m->payload.data, (int)m->payload.n);
        if (s == NATS_OK)
                s = natsMsgHeader_Set(*ret, "Nats-Msg-Id", m->id.data);
        return s;
}

static natsStatus publish_plain(natsConnection *nc, const AuditMessage *m, const char *reply) {
        natsMsg *msg = NULL;
        natsStatus s = make_message(m, reply, &msg);
        if (s == NATS_OK)
                s = natsConnection_PublishMsg(nc, msg);
        natsMsg_Destroy(msg);
        return s;
}

/* ---- the fast road ----------------------------------------------------------------- */

static int publish_last(Bus *b, jsCtx *js, const AuditMessage *m, jsPubAck **ret) {
        natsMsg *msg = NULL;
        jsPubOptions o;
        jsErrCode code = 0;
        jsPubOptions_Init(&o);
        o.MaxWait = BUS_API_TIMEOUT_MS;
        natsStatus s = make_message(m, NULL, &msg);
        if (s == NATS_OK)
                s = js_PublishMsg(ret, js, msg, &o, &code);
        natsMsg_Destroy(msg);
        return failure(b, s, code);
}

/** 0: all stored; 1: in doubt, send again with acknowledgements; negative. */
static int publish_counted(Bus *b, Link *l, const AuditMessage *messages, size_t n) {
        const AuditMessage *last = NULL;
        jsPubAck *ack = NULL;
        uint64_t n_sent = 0;
        for (size_t i = 0; i < n; i++) {
                if (!fits(b, &messages[i]))
                        continue;
                if (last) {
                        natsStatus s = publish_plain(l->nc, last, NULL);
                        if (s != NATS_OK)
                                return failure(b, s, 0);
                }
                last = &messages[i];
                n_sent++;
        }
        if (!last)
                return 0;
        int r = publish_last(b, l->js, last, &ack);
        if (r < 0)
                return r;
        uint64_t moved = ack->Sequence - b->tail.last_seq;
        bool sure = !ack->Duplicate && ack->Sequence > b->tail.last_seq && moved == n_sent;
        b->is_shared |= !ack->Duplicate && ack->Sequence > b->tail.last_seq && moved > n_sent;
        if (sure)
                b->tail.last_seq = ack->Sequence;
        jsPubAck_Destroy(ack);
        return sure ? 0 : 1;
}

/* ---- the sure road ----------------------------------------------------------------- */

static int ensure_acks(Bus *b, Link *l, uint64_t epoch) {
        char subject[sizeof(b->acks_inbox) + 4];
        if (b->acks &&
            b->acks_epoch >> 32 == epoch >> 32) /* the same connection, perhaps made again by nats.c */
                return 0;
        natsSubscription_Destroy(b->acks);
        b->acks = NULL;
        natsInbox *inbox = NULL;
        if (natsInbox_Create(&inbox) != NATS_OK)
                return -ENOMEM;
        snprintf(b->acks_inbox, sizeof(b->acks_inbox), "%s", (const char *)inbox);
        natsInbox_Destroy(inbox);
        snprintf(subject, sizeof(subject), "%s.>", b->acks_inbox);
        if (natsConnection_SubscribeSync(&b->acks, l->nc, subject) != NATS_OK)
                return -EAGAIN;
        b->acks_epoch = epoch;
        return 0;
}

typedef struct Acks {
        uint64_t window;
        size_t n, n_missing;
        bool arrived[CHUNK_MAX];
} Acks;

/** The message number that an acknowledgement's subject ends with; false: it belongs to an earlier window. */
static bool ack_number(const Bus *b, const Acks *acks, const char *subject, size_t *ret) {
        unsigned long long window, number;
        if (sscanf(subject + strlen(b->acks_inbox), ".%llu.%llu", &window, &number) != 2 ||
            window != acks->window || number >= acks->n)
                return false;
        *ret = (size_t)number;
        return true;
}

static int take_ack(Bus *b, Acks *acks, natsMsg *msg) {
        size_t number;
        int r = 0;
        if (!ack_number(b, acks, natsMsg_GetSubject(msg), &number) || acks->arrived[number])
                return 0;
        if (natsMsg_IsNoResponders(msg)) {
                want_setup(b);
                return -EAGAIN;
        }
        json_t *json = json_parse_own((Slice){natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)});
        const json_t *error = json_object_get(json, "error");
        json_int_t seq = json_integer_value(json_object_get(json, "seq"));
        if (error) {
                const char *text = json_string_value(json_object_get(error, "description"));
                r = refusal(b, json_integer_value(json_object_get(error, "err_code")),
                            text ? text : "no reason given");
        } else if (seq <= 0) {
                r = -EAGAIN; /* not the answer of a stream */
        } else {
                acks->arrived[number] = true;
                acks->n_missing--;
                if ((uint64_t)seq > b->tail.last_seq)
                        b->tail.last_seq = (uint64_t)seq;
        }
        json_decref(json);
        return r;
}

static int publish_chunk(Bus *b, Link *l, const AuditMessage *messages, size_t n) {
        Acks acks = {.window = ++b->n_windows, .n = n};
        char reply[sizeof(b->acks_inbox) + 48];
        for (size_t i = 0; i < n; i++) {
                acks.arrived[i] = !fits(b, &messages[i]);
                if (acks.arrived[i])
                        continue;
                acks.n_missing++;
                snprintf(reply, sizeof(reply), "%s.%llu.%zu", b->acks_inbox, (unsigned long long)acks.window,
                         i);
                natsStatus s = publish_plain(l->nc, &messages[i], reply);
                if (s != NATS_OK)
                        return failure(b, s, 0);
        }
        int64_t deadline_ns = monotonic_ns() + BUS_API_TIMEOUT_MS * 1000000LL;
        while (acks.n_missing > 0) {
                natsMsg *msg = NULL;
                int64_t left_ms = (deadline_ns - monotonic_ns()) / 1000000;
                if (left_ms <= 0 || natsSubscription_NextMsg(&msg, b->acks, left_ms) != NATS_OK)
                        return -EAGAIN;
                int r = take_ack(b, &acks, msg);
                natsMsg_Destroy(msg);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- what the outbox calls --------------------------------------------------------- */

uint64_t bus_audit_epoch(void *userdata) { return link_epoch(&((Bus *)userdata)->links[BUS_LINK_AUDIT]); }

static int read_tail(Bus *b, Link *l, AuditTail *ret) {
        jsStreamInfo *info = NULL;
        jsErrCode code = 0;
        jsOptions o;
        jsOptions_Init(&o);
        o.Wait = BUS_API_TIMEOUT_MS;
        natsStatus s = js_GetStreamInfo(&info, l->js, STREAM_AUDIT, &o, &code);
        if (s == NATS_OK) {
                ret->last_seq = info->State.LastSeq;
                ret->created_ms = info->Created / 1000000;
                jsStreamInfo_Destroy(info);
                return 0;
        }
        want_setup(b);
        return s == NATS_NO_MEMORY ? -ENOMEM : -EAGAIN;
}

int bus_audit_tail(void *userdata, AuditTail *ret) {
        Bus *b = userdata;
        Link *l = &b->links[BUS_LINK_AUDIT];
        uint64_t epoch = link_epoch(l);
        natsConnection *nc = link_borrow(l);
        int r = nats_is_connected(nc) && l->js ? read_tail(b, l, ret) : -EAGAIN;
        link_release(l);
        if (r < 0)
                return r;
        if (epoch != link_epoch(l))
                return -EAGAIN;
        ret->epoch = epoch;
        b->tail = *ret;
        b->tail_known = true;
        b->is_shared = false;
        return 0;
}

static int publish_window(Bus *b, Link *l, uint64_t epoch, const AuditMessage *messages, size_t n) {
        if (!b->is_shared) {
                int r = publish_counted(b, l, messages, n);
                if (r <= 0)
                        return r;
        }
        int r = ensure_acks(b, l, epoch);
        for (size_t i = 0; i < n && !r; i += CHUNK_MAX)
                r = publish_chunk(b, l, messages + i, n - i < CHUNK_MAX ? n - i : CHUNK_MAX);
        return r;
}

int bus_audit_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq) {
        Bus *b = userdata;
        Link *l = &b->links[BUS_LINK_AUDIT];
        AuditTail tail;
        uint64_t epoch = link_epoch(l);
        if (!b->tail_known || b->tail.epoch != epoch) {
                int r = bus_audit_tail(b, &tail);
                if (r < 0)
                        return r;
                epoch = tail.epoch;
        }
        natsConnection *nc = link_borrow(l);
        int r = nats_is_connected(nc) && l->js ? publish_window(b, l, epoch, messages, n) : -EAGAIN;
        link_release(l);
        if (!r && epoch != link_epoch(l))
                r = -EAGAIN; /* on two connections: order and count prove nothing */
        if (r < 0) {
                b->tail_known = false; /* how many arrived is not known */
                return r;
        }
        *ret_stream_seq = b->tail.last_seq;
        return 0;
}
