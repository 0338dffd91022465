/*
 * Subscriptions that nobody waits for: neither for the server's consent nor, at the end, for nats.c.
 *
 * NATS works off a connection's lines in order, so a request that is sent after the subscription is answered after
 * it counts: whoever reads a state and then wants what follows misses nothing. A listener owns itself from the
 * moment that it is told to stop until nats.c's last callback for it.
 */

#include <stdio.h>
#include "base/cleanup.h"
#include "client/client_error.h"
#include "client/link_nats.h"

static void on_delivery(natsConnection *nc, natsSubscription *subscription, natsMsg *msg, void *closure) {
        LinkSubscription *s = closure;
        const char *data = natsMsg_GetData(msg), *id = NULL, *status = NULL;
        LinkDelivery d = {
                        .subject = natsMsg_GetSubject(msg),
                        .reply = natsMsg_GetReply(msg),
                        .body = data ? data : "",
                        .body_size = (size_t)natsMsg_GetDataLength(msg),
        };

        if (natsMsgHeader_Get(msg, "Nats-Msg-Id", &id) == NATS_OK)
                d.message_id = id;
        if (natsMsgHeader_Get(msg, "Status", &status) == NATS_OK)
                d.status = status;
        s->listener(s->userdata, &d);
        natsMsg_Destroy(msg);
}

static void subscription_free(LinkSubscription *s) {
        pthread_mutex_lock(&s->link->lock);
        list_remove(&s->node);
        s->link->n_subscriptions--;
        pthread_cond_broadcast(&s->link->changed);
        pthread_mutex_unlock(&s->link->lock);
        free(s->subject);
        free(s);
}

/** Freed when both sides have let go: nats.c (released) and the listener's owner (nats is NULL). */
static void let_go(LinkSubscription *s, bool by_nats) {
        bool is_last;

        pthread_mutex_lock(&s->link->lock);
        if (by_nats)
                s->released = true;
        else
                s->nats = NULL;
        is_last = s->released && !s->nats;
        pthread_mutex_unlock(&s->link->lock);
        if (is_last)
                subscription_free(s);
}

static void on_listener_released(void *closure) {
        LinkSubscription *s = closure;

        s->on_released(s->userdata);
        let_go(s, true);
}

void link_unlisten(LinkSubscription *s) {
        natsSubscription *nats;

        if (!s)
                return;
        nats = s->nats;
        natsSubscription_Unsubscribe(nats);
        let_go(s, false);
        natsSubscription_Destroy(nats);
}

int link_listen(Link *link, const char *subject, LinkListener listener, void (*released)(void *userdata),
                void *userdata, LinkSubscription **ret, RunbookClientError *e) {
        LinkSubscription *s = calloc(1, sizeof *s);
        natsStatus status;
        bool full;

        if (!s || !(s->subject = strdup(subject))) {
                free(s);
                return client_error_memory(e);
        }
        s->link = link;
        s->listener = listener;
        s->on_released = released;
        s->userdata = userdata;
        pthread_mutex_lock(&link->lock);
        full = link->n_subscriptions >= LINK_SUBSCRIPTIONS_MAX;
        list_push_back(&link->subscriptions, &s->node);
        link->n_subscriptions++;
        pthread_mutex_unlock(&link->lock);
        if (full) {
                subscription_free(s);
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "there are %d subscriptions already",
                                        LINK_SUBSCRIPTIONS_MAX);
        }
        status = natsConnection_Subscribe(&s->nats, link->nc, subject, on_delivery, s);
        if (status == NATS_OK) {
                status = natsSubscription_SetOnCompleteCB(s->nats, on_listener_released, s);
                if (status != NATS_OK) { /* nobody will tell when it has ended: end it while it is ours */
                        natsSubscription_Unsubscribe(s->nats);
                        natsSubscription_Destroy(STEAL(s->nats));
                }
        }
        if (status != NATS_OK) {
                subscription_free(s);
                return client_error_set(e,
                                        status == NATS_NO_MEMORY ? RUNBOOK_CLIENT_E_MEMORY
                                                                 : RUNBOOK_CLIENT_E_NO_SERVER,
                                        "cannot subscribe to %s: %s", subject, natsStatus_GetText(status));
        }
        *ret = s;
        return 0;
}

char *link_inbox_new(Link *link) {
        char *subject = NULL;
        uint64_t token;

        pthread_mutex_lock(&link->lock);
        token = ++link->last_token;
        pthread_mutex_unlock(&link->lock);
        /* One token more than answers have: the inbox's own subscription does not see it. */
        if (asprintf(&subject, "%s.in.%llu", link->inbox, (unsigned long long)token) < 0)
                return NULL;
        return subject;
}
