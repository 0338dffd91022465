/*
 * The wire under the client, over nats.c: answers and subscriptions.
 *
 * Answers are multiplexed by hand rather than with natsConnection_Request: every waiting call has its own
 * token under one private inbox, because only then can a refusal by the server ("Permissions Violation for
 * Publish to …", which arrives as an asynchronous error) end the wait at once with a sentence that names the
 * subject, and an answer that comes late, to an earlier attempt of the same command, still be taken.
 *
 * Threads: callers block in link_call_wait on their call's own condition; nats.c's threads only lock, mark
 * and signal. The link outlives every callback: link_close waits for nats.c's "closed" callback, which is the
 * last one that it makes.
 */

#include <stdio.h>
#include "base/cleanup.h"
#include "client/client_error.h"
#include "client/link_nats.h"

int64_t link_now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ── What nats.c tells us, on its threads ──────────────────────────────────────────────────────── */

/** Cut the subject out of `Permissions Violation for Publish to "a.b.c"`. */
static Slice quoted_subject(const char *text) {
        const char *start = strchr(text, '"');
        const char *end = start ? strchr(start + 1, '"') : NULL;

        return end ? (Slice){start + 1, (size_t)(end - start - 1)} : SLICE_NULL;
}

static void on_refusal(Link *link, const char *text) {
        Slice subject = quoted_subject(text);
        bool is_publish = strcasestr(text, "for publish") != NULL;
        size_t n_inbox = strlen(link->inbox);

        pthread_mutex_lock(&link->lock);
        if (is_publish) {
                LIST_FOREACH(node, &link->calls) {
                        LinkCall *call = LIST_ENTRY(node, LinkCall, node);

                        if (slice_eq_str(subject, call->subject)) {
                                call->refused = true;
                                pthread_cond_signal(&call->changed);
                        }
                }
        } else if (subject.n > n_inbox && !memcmp(subject.data, link->inbox, n_inbox)) {
                link->inbox_refused = true;
        } else {
                LIST_FOREACH(node, &link->subscriptions) {
                        LinkSubscription *s = LIST_ENTRY(node, LinkSubscription, node);

                        if (slice_eq_str(subject, s->subject))
                                s->refused = true;
                }
        }
        pthread_cond_broadcast(&link->changed);
        pthread_mutex_unlock(&link->lock);
        if (is_publish)
                link_asks_refused(link, subject.data, subject.n);
}

void link_on_error(natsConnection *nc, natsSubscription *subscription, natsStatus status, void *closure) {
        Link *link = closure;
        const char *text = NULL;

        if (status == NATS_SLOW_CONSUMER) {
                link->on_gap(link->userdata);
        } else if (status == NATS_NOT_PERMITTED) {
                text = nats_GetLastError(NULL);
                if (!text || !strchr(text, '"'))
                        natsConnection_GetLastError(nc, &text);
                if (text)
                        on_refusal(link, text);
        }
}

bool link_was_refused(Link *link, const char *subject, const bool *refused) {
        int64_t deadline_ms = link_now_ms() + REFUSAL_TIMEOUT_MS;
        const char *text = NULL;
        bool expected, result;

        expected = natsConnection_GetLastError(link->nc, &text) == NATS_NOT_PERMITTED && text &&
                   slice_eq_str(quoted_subject(text), subject);
        pthread_mutex_lock(&link->lock);
        while (expected && !*refused)
                if (!cond_wait_until(&link->changed, &link->lock, deadline_ms))
                        break;
        result = *refused;
        pthread_mutex_unlock(&link->lock);
        return result;
}

void link_on_reconnected(natsConnection *nc, void *closure) {
        Link *link = closure;

        link->on_gap(link->userdata);
}

void link_on_closed(natsConnection *nc, void *closure) {
        Link *link = closure;

        pthread_mutex_lock(&link->lock);
        link->closed = true;
        LIST_FOREACH(node, &link->calls)
        pthread_cond_signal(&LIST_ENTRY(node, LinkCall, node)->changed);
        pthread_cond_broadcast(&link->changed);
        pthread_mutex_unlock(&link->lock);
}

void link_on_answer(natsConnection *nc, natsSubscription *subscription, natsMsg *msg, void *closure) {
        Link *link = closure;
        const char *dot = strrchr(natsMsg_GetSubject(msg), '.');
        uint64_t token = 0;

        if (dot && slice_to_u64(slice_from_str(dot + 1), &token)) {
                if (link_ask_answered(link, token, msg))
                        return;
                pthread_mutex_lock(&link->lock);
                LIST_FOREACH(node, &link->calls) {
                        LinkCall *call = LIST_ENTRY(node, LinkCall, node);

                        if (call->token == token && !call->msg) {
                                call->msg = STEAL(msg);
                                pthread_cond_signal(&call->changed);
                                break;
                        }
                }
                pthread_mutex_unlock(&link->lock);
        }
        natsMsg_Destroy(msg); /* nobody waits for it any more */
}

static void on_message(natsConnection *nc, natsSubscription *subscription, natsMsg *msg, void *closure) {
        LinkSubscription *s = closure;
        const char *data = natsMsg_GetData(msg);

        /* nats.c keeps a NUL behind the data. */
        s->handler(s->userdata, natsMsg_GetSubject(msg), data ? data : "",
                   (size_t)natsMsg_GetDataLength(msg));
        natsMsg_Destroy(msg);
}

static void on_released(void *closure) {
        LinkSubscription *s = closure;

        pthread_mutex_lock(&s->link->lock);
        s->released = true;
        pthread_cond_broadcast(&s->link->changed);
        pthread_mutex_unlock(&s->link->lock);
}

/* ── Publishing and waiting for answers ────────────────────────────────────────────────────────── */

int link_publish(Link *link, const LinkMessage *m, RunbookClientError *e) {
        natsMsg *msg = NULL;
        natsStatus s;

        s = natsMsg_Create(&msg, m->subject, m->reply, m->body, (int)m->body_size);
        for (size_t i = 0; s == NATS_OK && i < m->n_headers; i++)
                s = natsMsgHeader_Set(msg, m->headers[i].name, m->headers[i].value);
        if (s == NATS_OK)
                s = natsConnection_PublishMsg(link->nc, msg);
        natsMsg_Destroy(msg);
        switch (s) {
        case NATS_OK:
                return 0;
        case NATS_NO_MEMORY:
                return client_error_memory(e);
        case NATS_CONNECTION_CLOSED:
                return client_error_set(e, RUNBOOK_CLIENT_E_CLOSED, "the connection to NATS is closed");
        case NATS_MAX_PAYLOAD:
                return client_error_set(e, RUNBOOK_CLIENT_E_TOO_LARGE,
                                        "the message is larger than NATS takes");
        case NATS_NO_SERVER_SUPPORT:
                return client_error_set(
                                e, RUNBOOK_CLIENT_E_CONFIG,
                                "this NATS server does not know message headers: it must be 2.2 or newer");
        case NATS_INSUFFICIENT_BUFFER:
                return client_error_set(e, RUNBOOK_CLIENT_E_NO_SERVER,
                                        "NATS is away and the buffer of unsent messages is full");
        default:
                return client_error_set(e, RUNBOOK_CLIENT_E_NO_SERVER, "cannot send to NATS: %s",
                                        natsStatus_GetText(s));
        }
}

int link_call_new(Link *link, const char *subject, LinkCall **ret, RunbookClientError *e) {
        LinkCall *call = calloc(1, sizeof *call);

        if (!call || cond_init_monotonic(&call->changed) < 0) {
                free(call);
                return client_error_memory(e);
        }
        call->link = link;
        list_init(&call->node);
        pthread_mutex_lock(&link->lock);
        call->token = ++link->last_token;
        call->subject = strdup(subject);
        if (call->subject &&
            asprintf(&call->inbox, "%s.%llu", link->inbox, (unsigned long long)call->token) < 0)
                call->inbox = NULL;
        if (call->inbox)
                list_push_back(&link->calls, &call->node);
        pthread_mutex_unlock(&link->lock);
        if (!call->inbox) {
                link_call_free(call);
                return client_error_memory(e);
        }
        *ret = call;
        return 0;
}

void link_call_free(LinkCall *call) {
        if (!call)
                return;
        pthread_mutex_lock(&call->link->lock);
        list_remove(&call->node);
        pthread_mutex_unlock(&call->link->lock);
        natsMsg_Destroy(call->msg);
        pthread_cond_destroy(&call->changed);
        free(call->subject);
        free(call->inbox);
        free(call);
}

const char *link_call_inbox(const LinkCall *call) { return call->inbox; }

void link_answer_deinit(LinkAnswer *a) {
        free(a->body);
        free(a->error_code);
        free(a->error_text);
        *a = (LinkAnswer){0};
}

static char *dup_header(natsMsg *msg, const char *name) {
        const char *value = NULL;

        if (natsMsgHeader_Get(msg, name, &value) != NATS_OK || !value)
                return NULL;
        return strdup(value);
}

int link_take_answer(const char *subject, natsMsg *msg, LinkAnswer *ret, RunbookClientError *e) {
        const char *data = natsMsg_GetData(msg);
        int n = natsMsg_GetDataLength(msg);

        if (natsMsg_IsNoResponders(msg)) {
                natsMsg_Destroy(msg);
                return client_error_set(e, RUNBOOK_CLIENT_E_NO_ENGINE,
                                        "no engine is answering on %s: is runbookd running and connected to "
                                        "this NATS?",
                                        subject);
        }
        *ret = (LinkAnswer){
                        .body = slice_dup((Slice){data ? data : "", n > 0 ? (size_t)n : 0}),
                        .body_size = n > 0 ? (size_t)n : 0,
                        .error_code = dup_header(msg, "Nats-Service-Error-Code"),
                        .error_text = dup_header(msg, "Nats-Service-Error"),
        };
        natsMsg_Destroy(msg);
        if (!ret->body) {
                link_answer_deinit(ret);
                return client_error_memory(e);
        }
        return 0;
}

int link_call_wait(LinkCall *call, int64_t timeout_ms, LinkAnswer *ret, RunbookClientError *e) {
        Link *link = call->link;
        int64_t deadline_ms = link_now_ms() + timeout_ms;
        bool in_time = true;
        natsMsg *msg;

        pthread_mutex_lock(&link->lock);
        while (!call->msg && !call->refused && !link->closed && in_time)
                in_time = cond_wait_until(&call->changed, &link->lock, deadline_ms);
        msg = STEAL(call->msg);
        pthread_mutex_unlock(&link->lock);
        if (msg)
                return link_take_answer(call->subject, msg, ret, e);
        if (call->refused)
                return client_error_set(e, RUNBOOK_CLIENT_E_PERMISSION,
                                        "NATS does not let this user publish to %s: check tenant and user, "
                                        "or ask for the permission",
                                        call->subject);
        if (in_time)
                return client_error_set(e, RUNBOOK_CLIENT_E_CLOSED,
                                        "the connection to NATS was closed while waiting");
        return client_error_set(e, RUNBOOK_CLIENT_E_TIMEOUT, "no answer on %s within %lld ms%s",
                                call->subject, (long long)timeout_ms,
                                link_is_connected(link) ? "" : ": NATS is away");
}

/* ── Subscriptions ─────────────────────────────────────────────────────────────────────────────── */

void link_unsubscribe(LinkSubscription *s) {
        Link *link;

        if (!s)
                return;
        link = s->link;
        if (s->nats) {
                /* On a closed connection nats.c has let go by itself; the wait below covers both. */
                natsSubscription_Unsubscribe(s->nats);
                natsSubscription_Destroy(s->nats);
        }
        pthread_mutex_lock(&link->lock);
        while (s->nats && !s->released)
                pthread_cond_wait(&link->changed, &link->lock);
        list_remove(&s->node);
        link->n_subscriptions--;
        pthread_mutex_unlock(&link->lock);
        free(s->subject);
        free(s);
}

int link_subscribe(Link *link, const char *subject, LinkHandler handler, void *userdata,
                   LinkSubscription **ret, RunbookClientError *e) {
        LinkSubscription *s = calloc(1, sizeof *s);
        natsStatus status;
        bool refused, full;

        if (!s || !(s->subject = strdup(subject))) {
                free(s);
                return client_error_memory(e);
        }
        s->link = link;
        s->handler = handler;
        s->userdata = userdata;
        pthread_mutex_lock(&link->lock);
        full = link->n_subscriptions >= LINK_SUBSCRIPTIONS_MAX;
        list_push_back(&link->subscriptions, &s->node);
        link->n_subscriptions++;
        pthread_mutex_unlock(&link->lock);
        if (full) {
                link_unsubscribe(s);
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "one client can have at most %d subscriptions",
                                        LINK_SUBSCRIPTIONS_MAX);
        }
        status = natsConnection_Subscribe(&s->nats, link->nc, subject, on_message, s);
        if (status == NATS_OK) {
                status = natsSubscription_SetOnCompleteCB(s->nats, on_released, s);
                s->released = status != NATS_OK; /* nobody will tell */
        }
        if (status == NATS_OK)
                status = natsConnection_FlushTimeout(link->nc, FLUSH_TIMEOUT_MS);
        refused = link_was_refused(link, subject, &s->refused);
        if (status != NATS_OK || refused) {
                link_unsubscribe(s);
                if (refused)
                        return client_error_set(e, RUNBOOK_CLIENT_E_PERMISSION,
                                                "NATS does not let this user subscribe to %s", subject);
                return client_error_set(e,
                                        status == NATS_NO_MEMORY ? RUNBOOK_CLIENT_E_MEMORY
                                                                 : RUNBOOK_CLIENT_E_NO_SERVER,
                                        "cannot subscribe to %s: %s", subject, natsStatus_GetText(status));
        }
        *ret = s;
        return 0;
}
