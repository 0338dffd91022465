/*
 * Calls whose answers go to a handler instead of a waiting thread: many can be outstanding at once.
 *
 * They share the private inbox of link_nats.c; a map leads from the token in an answer's subject to the ask, a
 * queue in the order of deadlines tells whose time is over. Whoever takes an ask out of the map calls its
 * handler, outside the lock: so it is called exactly once, whatever comes first.
 */

#include <stdio.h>
#include "base/cleanup.h"
#include "client/client_error.h"
#include "client/link_nats.h"

typedef struct LinkAsk {
        List node;
        uint64_t token; /* the map's key */
        int64_t deadline_ms, timeout_ms;
        LinkAskHandler handler;
        void *userdata;
        char subject[];
} LinkAsk;

static Slice key_of(const uint64_t *token) { return slice_from_bytes(token, sizeof *token); }

static void detach_locked(Link *link, LinkAsk *ask) {
        map_remove(&link->asks, key_of(&ask->token));
        list_remove(&ask->node);
}

static void end(LinkAsk *ask, int status, LinkAnswer *answer, const RunbookClientError *e) {
        ask->handler(ask->userdata, status, answer, e);
        free(ask);
}

/** Deadlines mostly grow, so the place is near the queue's end. */
static void queue_locked(Link *link, LinkAsk *ask) {
        List *before = link->asks_queue.prev;

        while (before != &link->asks_queue &&
               LIST_ENTRY(before, LinkAsk, node)->deadline_ms > ask->deadline_ms)
                before = before->prev;
        list_push_front(before, &ask->node);
}

static int enter(Link *link, LinkAsk *ask, RunbookClientError *e) {
        int r = 0;

        pthread_mutex_lock(&link->lock);
        if (link->closed || link->asks_ended) {
                r = client_error_set(e, RUNBOOK_CLIENT_E_CLOSED, "the connection to NATS is closed");
        } else if (link->asks.n >= LINK_ASKS_MAX) {
                r = client_error_set(e, RUNBOOK_CLIENT_E_TOO_LARGE,
                                     "%d requests are waiting for their answers already", LINK_ASKS_MAX);
        } else {
                ask->token = ++link->last_token;
                if (map_put(&link->asks, key_of(&ask->token), ask) < 0)
                        r = client_error_memory(e);
                else
                        queue_locked(link, ask);
        }
        pthread_mutex_unlock(&link->lock);
        return r;
}

int link_ask(Link *link, const LinkMessage *message, int64_t timeout_ms, LinkAskHandler handler,
             void *userdata, RunbookClientError *e) {
        size_t n_subject = strlen(message->subject);
        LinkAsk *ask = calloc(1, sizeof *ask + n_subject + 1);
        LinkMessage sent = *message;
        uint64_t token;
        char reply[256];
        int r;

        if (!ask)
                return client_error_memory(e);
        list_init(&ask->node);
        memcpy(ask->subject, message->subject, n_subject);
        ask->timeout_ms = timeout_ms;
        ask->deadline_ms = link_now_ms() + timeout_ms;
        ask->handler = handler;
        ask->userdata = userdata;
        r = enter(link, ask, e);
        if (r < 0) {
                free(ask);
                return r;
        }
        token = ask->token; /* from here on an early end may free the ask */
        snprintf(reply, sizeof reply, "%s.%llu", link->inbox, (unsigned long long)token);
        sent.reply = reply;
        r = link_publish(link, &sent, e);
        if (r == 0)
                return 0;
        pthread_mutex_lock(&link->lock);
        ask = map_get(&link->asks, key_of(&token));
        if (ask)
                detach_locked(link, ask);
        pthread_mutex_unlock(&link->lock);
        if (!ask)
                return 0; /* it has ended meanwhile, and its handler was told */
        free(ask);
        return r;
}

bool link_ask_answered(Link *link, uint64_t token, natsMsg *msg) {
        _cleanup_(link_answer_deinit) LinkAnswer answer = {0};
        RunbookClientError e = {0};
        LinkAsk *ask;
        int status;

        pthread_mutex_lock(&link->lock);
        ask = map_get(&link->asks, key_of(&token));
        if (ask)
                detach_locked(link, ask);
        pthread_mutex_unlock(&link->lock);
        if (!ask)
                return false;
        status = link_take_answer(ask->subject, msg, &answer, &e);
        end(ask, status, &answer, &e);
        return true;
}

/** Move the asks that @is_over names out of the link, into @ret. */
static void take_out(Link *link, bool (*is_over)(const LinkAsk *ask, const void *what), const void *what,
                     List *ret) {
        list_init(ret);
        pthread_mutex_lock(&link->lock);
        LIST_FOREACH_SAFE(node, next, &link->asks_queue) {
                LinkAsk *ask = LIST_ENTRY(node, LinkAsk, node);

                if (!is_over(ask, what))
                        continue;
                detach_locked(link, ask);
                list_push_back(ret, &ask->node);
        }
        pthread_mutex_unlock(&link->lock);
}

static bool is_refused(const LinkAsk *ask, const void *subject) {
        return slice_eq_str(*(const Slice *)subject, ask->subject);
}

void link_asks_refused(Link *link, const char *subject, size_t n_subject) {
        Slice what = {subject, n_subject};
        RunbookClientError e;
        List over;

        take_out(link, is_refused, &what, &over);
        LIST_FOREACH_SAFE(node, next, &over) {
                LinkAsk *ask = LIST_ENTRY(node, LinkAsk, node);

                client_error_set(&e, RUNBOOK_CLIENT_E_PERMISSION,
                                 "NATS does not let this program publish to %s", ask->subject);
                end(ask, RUNBOOK_CLIENT_E_PERMISSION, NULL, &e);
        }
}

static bool is_late(const LinkAsk *ask, const void *now_ms) {
        return ask->deadline_ms <= *(const int64_t *)now_ms;
}

void link_expire(Link *link) {
        int64_t now_ms = link_now_ms();
        RunbookClientError e;
        List over;

        take_out(link, is_late, &now_ms, &over);
        LIST_FOREACH_SAFE(node, next, &over) {
                LinkAsk *ask = LIST_ENTRY(node, LinkAsk, node);

                client_error_set(&e, RUNBOOK_CLIENT_E_TIMEOUT, "no answer on %s within %lld ms%s",
                                 ask->subject, (long long)ask->timeout_ms,
                                 link_is_connected(link) ? "" : ": NATS is away");
                end(ask, RUNBOOK_CLIENT_E_TIMEOUT, NULL, &e);
        }
}

static bool is_any(const LinkAsk *ask, const void *what) { return true; }

void link_end_asks(Link *link) {
        RunbookClientError e;
        List over;

        pthread_mutex_lock(&link->lock);
        link->asks_ended = true;
        pthread_mutex_unlock(&link->lock);
        client_error_set(&e, RUNBOOK_CLIENT_E_CLOSED, "the connection to NATS is being closed");
        take_out(link, is_any, NULL, &over);
        LIST_FOREACH_SAFE(node, next, &over)
        end(LIST_ENTRY(node, LinkAsk, node), RUNBOOK_CLIENT_E_CLOSED, NULL, &e);
}
