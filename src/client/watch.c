/*
 * Live events: NATS subscriptions turned into one ordered queue (or one handler) per subscription.
 *
 * Core NATS delivers at most once, so a lost connection or a reader that is too slow leaves a hole. Holes are
 * never silent: they become an event of kind GAP at the place where they happened, and who must have
 * everything reads history there.
 */

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include "base/cleanup.h"
#include "client/client.h"
#include "client/subject.h"

#define QUEUE_EVENTS_MAX 8192
#define QUEUE_BYTES_MAX  (64 * 1024 * 1024)

typedef struct EventBox {
        RunbookEvent event;
        List node;
        char *execution_id, *type;
        char body[];
} EventBox;

struct RunbookSubscription {
        List node; /* in the client's list */
        RunbookClient *client;
        LinkSubscription *links[3]; /* as in `families` */
        RunbookEventHandler handler;
        void *userdata;
        pthread_mutex_t delivering; /* the handler runs on several NATS threads, one call at a time */
        pthread_mutex_t lock;
        pthread_cond_t arrived;
        List queue; /* EventBox.node */
        size_t n_queued, n_bytes;
        bool gap_at_end; /* the queue's last event is a gap: one is enough */
};

static void on_message(void *userdata, const char *subject, const char *body, size_t body_size);
static void on_checkpoint(void *userdata, const char *subject, const char *body, size_t body_size);

static const struct {
        RunbookEventKind kind;
        const char *family;
        LinkHandler handler;
} families[3] = {{RUNBOOK_EVENT_LIFECYCLE, "lifecycle", on_message},
                 {RUNBOOK_EVENT_LOG, "log", on_message},
                 {RUNBOOK_EVENT_CHECKPOINT, "checkpoint", on_checkpoint}};

static void box_free(EventBox *box) {
        if (!box)
                return;
        free(box->execution_id);
        free(box->type);
        free(box);
}

void runbook_event_free(RunbookEvent *event) { box_free((EventBox *)event); }

/** Make an event of a message. NULL when out of memory, or when the subject is not one of ours. */
static EventBox *box_new(RunbookClient *c, bool is_checkpoint, const char *subject, const char *body,
                         size_t size) {
        _cleanup_(buf_deinit) Buf id = {0};
        Slice rest = slice_from_str(subject), family;
        EventBox *box = calloc(1, sizeof *box + size + 1);
        size_t n_prefix = strlen(c->settings.prefix) + 1;

        if (!box)
                return NULL;
        list_init(&box->node);
        rest = rest.n > n_prefix ? (Slice){rest.data + n_prefix, rest.n - n_prefix} : SLICE_NULL;
        if (!is_checkpoint)
                subject_next(&rest); /* tenant */
        family = subject_next(&rest);
        box->event.kind = is_checkpoint                 ? RUNBOOK_EVENT_CHECKPOINT
                          : slice_eq_str(family, "log") ? RUNBOOK_EVENT_LOG
                                                        : RUNBOOK_EVENT_LIFECYCLE;
        if (subject_get_token(&id, subject_next(&rest)))
                box->execution_id = buf_steal_str(&id);
        box->type = slice_dup(rest);
        if (!box->execution_id || !box->type) {
                box_free(box);
                return NULL;
        }
        memcpy(box->body, body, size);
        box->event.execution_id = box->execution_id;
        box->event.type = box->type;
        box->event.body = box->body;
        box->event.body_size = size;
        return box;
}

static EventBox *gap_new(void) {
        EventBox *box = calloc(1, sizeof *box + 1);

        if (!box)
                return NULL;
        list_init(&box->node);
        box->event = (RunbookEvent){
                        .kind = RUNBOOK_EVENT_GAP, .execution_id = "", .type = "", .body = box->body};
        return box;
}

/* ── Arriving ──────────────────────────────────────────────────────────────────────────────────── */

/** Queue @box (taken); a full queue keeps what it has and ends in a gap. */
static void enqueue(RunbookSubscription *s, EventBox *box) {
        bool is_gap = box->event.kind == RUNBOOK_EVENT_GAP;

        pthread_mutex_lock(&s->lock);
        if (!is_gap &&
            (s->n_queued >= QUEUE_EVENTS_MAX || s->n_bytes + box->event.body_size > QUEUE_BYTES_MAX)) {
                box_free(box);
                box = gap_new();
                is_gap = true;
        }
        if (!box || (is_gap && s->gap_at_end)) {
                box_free(box);
        } else {
                list_push_back(&s->queue, &box->node);
                s->n_queued++;
                s->n_bytes += box->event.body_size;
                s->gap_at_end = is_gap;
                pthread_cond_signal(&s->arrived);
        }
        pthread_mutex_unlock(&s->lock);
}

static void deliver(RunbookSubscription *s, EventBox *box) {
        if (!s->handler) {
                enqueue(s, box);
                return;
        }
        pthread_mutex_lock(&s->delivering);
        s->handler(s->userdata, &box->event);
        pthread_mutex_unlock(&s->delivering);
        box_free(box);
}

static void deliver_gap(RunbookSubscription *s) {
        EventBox *gap = gap_new();

        if (gap)
                deliver(s, gap);
}

static void take_message(RunbookSubscription *s, bool is_checkpoint, const char *subject, const char *body,
                         size_t body_size) {
        EventBox *box = box_new(s->client, is_checkpoint, subject, body, body_size);

        if (box)
                deliver(s, box);
        else
                deliver_gap(s);
}

static void on_message(void *userdata, const char *subject, const char *body, size_t body_size) {
        take_message(userdata, false, subject, body, body_size);
}

static void on_checkpoint(void *userdata, const char *subject, const char *body, size_t body_size) {
        take_message(userdata, true, subject, body, body_size);
}

/*
 * The client's lock is held while gaps are delivered, so that no subscription goes away meanwhile: that is
 * why a handler must not free its subscription.
 */
void client_note_gap(RunbookClient *c) {
        pthread_mutex_lock(&c->lock);
        LIST_FOREACH(node, &c->subscriptions)
        deliver_gap(LIST_ENTRY(node, RunbookSubscription, node));
        pthread_mutex_unlock(&c->lock);
}

/* ── Subscribing ───────────────────────────────────────────────────────────────────────────────── */

static int subscribe_family(RunbookSubscription *s, size_t i, const char *execution_id,
                            RunbookClientError *e) {
        _cleanup_(buf_deinit) Buf subject = {0};

        if (families[i].kind == RUNBOOK_EVENT_CHECKPOINT) {
                buf_put_str(&subject, s->client->settings.prefix);
                buf_put_str(&subject, ".checkpoint.*");
        } else {
                client_put_subject(s->client, families[i].family, false, &subject);
                buf_put_char(&subject, '.');
                if (execution_id)
                        subject_put_token(&subject, slice_from_str(execution_id));
                else
                        buf_put_char(&subject, '*');
                buf_put_str(&subject, ".>");
        }
        buf_put_char(&subject, 0);
        if (subject.error)
                return client_error_memory(e);
        return link_subscribe(s->client->link, subject.data, families[i].handler, s, &s->links[i], e);
}

static RunbookSubscription *subscription_new(RunbookClient *c, RunbookEventHandler handler, void *userdata) {
        RunbookSubscription *s = calloc(1, sizeof *s);
        pthread_condattr_t attributes;

        if (!s)
                return NULL;
        if (pthread_condattr_init(&attributes) != 0) {
                free(s);
                return NULL;
        }
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (pthread_cond_init(&s->arrived, &attributes) != 0) {
                pthread_condattr_destroy(&attributes);
                free(s);
                return NULL;
        }
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&s->lock, NULL);
        pthread_mutex_init(&s->delivering, NULL);
        list_init(&s->queue);
        s->client = c;
        s->handler = handler;
        s->userdata = userdata;
        pthread_mutex_lock(&c->lock);
        list_push_back(&c->subscriptions, &s->node);
        pthread_mutex_unlock(&c->lock);
        return s;
}

int runbook_client_subscribe(RunbookClient *c, unsigned kinds, const char *execution_id,
                             RunbookEventHandler handler, void *userdata, RunbookSubscription **ret,
                             RunbookClientError *e) {
        RunbookSubscription *s;
        int r = 0;

        if (!(kinds & (RUNBOOK_EVENT_LIFECYCLE | RUNBOOK_EVENT_LOG | RUNBOOK_EVENT_CHECKPOINT)))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "subscribe to lifecycle, log or checkpoint events");
        if (execution_id && !*execution_id)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "the execution id is empty");
        s = subscription_new(c, handler, userdata);
        if (!s)
                return client_error_memory(e);
        for (size_t i = 0; r == 0 && i < N_ELEMENTS(families); i++)
                if (kinds & families[i].kind)
                        r = subscribe_family(s, i, execution_id, e);
        if (r < 0) {
                runbook_subscription_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

int runbook_subscription_next(RunbookSubscription *s, int64_t timeout_ms, RunbookEvent **ret) {
        int64_t deadline_ms = link_now_ms() +
                              (timeout_ms < CLIENT_TIMEOUT_MS_MAX ? timeout_ms : CLIENT_TIMEOUT_MS_MAX);
        struct timespec deadline = {.tv_sec = deadline_ms / 1000, .tv_nsec = (deadline_ms % 1000) * 1000000};
        EventBox *box = NULL;
        int r = 0;

        pthread_mutex_lock(&s->lock);
        while (list_is_empty(&s->queue) && timeout_ms > 0 && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&s->arrived, &s->lock, &deadline);
        if (!list_is_empty(&s->queue)) {
                box = LIST_ENTRY(s->queue.next, EventBox, node);
                list_remove(&box->node);
                s->n_queued--;
                s->n_bytes -= box->event.body_size;
                if (list_is_empty(&s->queue))
                        s->gap_at_end = false;
        }
        pthread_mutex_unlock(&s->lock);
        if (!box)
                return RUNBOOK_CLIENT_E_TIMEOUT;
        *ret = &box->event;
        return 0;
}

void runbook_subscription_free(RunbookSubscription *s) {
        if (!s)
                return;
        for (size_t i = 0; i < N_ELEMENTS(s->links); i++)
                link_unsubscribe(s->links[i]);
        pthread_mutex_lock(&s->client->lock);
        list_remove(&s->node);
        pthread_mutex_unlock(&s->client->lock);
        LIST_FOREACH_SAFE(node, tmp, &s->queue)
        box_free(LIST_ENTRY(node, EventBox, node));
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->delivering);
        pthread_cond_destroy(&s->arrived);
        free(s);
}
