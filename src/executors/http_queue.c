/*
 * Who may start
 *
 * Every host has its own queue; hosts with waiting calls take turns. A host may start one more call while
 *   - it has fewer than per_host_max running,
 *   - it has fewer running than there are free places in all: as a host takes more, less is free, so that
 *     one alone stops at half, two at a third each, and a newcomer finds room however many servers hang,
 *   - not too many of its connections are being set up, and not too many names (each costs a thread) being
 *     resolved.
 * A host that may not start is passed over, so it never holds up those behind it.
 *
 * The lower half is a heap of calls by the time when they must be looked at: a deadline, or a look at the
 * speed.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "executors/http_internal.h"

static bool host_may_start(const HttpEngine *e, const HttpHost *h) {
        uint32_t free = e->settings.in_flight_max - e->n_running;
        uint32_t limit = e->settings.per_host_max < free ? e->settings.per_host_max : free;
        if (h->n_running >= limit || h->n_connecting >= HTTP_CONNECTING_PER_HOST_MAX)
                return false;
        return h->resolved ||
               (h->n_resolving < HTTP_RESOLVING_PER_HOST_MAX && e->n_resolving < HTTP_RESOLVING_MAX);
}

void http_queue_add(HttpEngine *e, HttpCall *c) {
        HttpHost *h = c->request.url->host;
        c->state = HTTP_CALL_QUEUED;
        list_push_back(&h->queue, &c->node);
        if (h->n_queued++ == 0)
                list_push_back(&e->waiting, &h->node);
        e->queue_dirty = true;
}

void http_queue_remove(HttpEngine *e, HttpCall *c) {
        HttpHost *h = c->request.url->host;
        list_remove(&c->node);
        c->state = HTTP_CALL_SUBMITTED;
        if (--h->n_queued == 0)
                list_remove(&h->node);
}

static void start_first(HttpEngine *e, HttpHost *h) {
        HttpCall *c = LIST_ENTRY(h->queue.next, HttpCall, node);
        http_queue_remove(e, c);
        HttpFault fault = {0};
        if (http_transfer_start(e, c, &fault) < 0)
                http_call_finish(e, c, &fault);
}

void http_queue_pump(HttpEngine *e) {
        e->queue_dirty = false;
        for (bool progress = true; progress;) {
                progress = false;
                for (List *node = e->waiting.next, *next; node != &e->waiting; node = next) {
                        next = node->next;
                        HttpHost *h = LIST_ENTRY(node, HttpHost, node);
                        if (!host_may_start(e, h))
                                continue;
                        /* This may free the host, but not the next one: that one has calls waiting. */
                        start_first(e, h);
                        progress = true;
                }
        }
}

void http_queue_started(HttpEngine *e, HttpTransfer *t) {
        HttpHost *h = t->call->request.url->host;
        e->n_running++;
        h->n_running++;
        h->n_connecting++;
        t->connected = false;
        t->resolving = !h->resolved;
        e->n_resolving += t->resolving;
        h->n_resolving += t->resolving;
}

static void resolving_over(HttpEngine *e, HttpHost *h) {
        assert(e->n_resolving > 0 && h->n_resolving > 0);
        e->n_resolving--;
        h->n_resolving--;
        e->queue_dirty = true;
}

void http_queue_resolved(HttpEngine *e, HttpTransfer *t, bool found) {
        HttpHost *h = t->call->request.url->host;
        if (found)
                h->resolved = true;
        if (t->resolving)
                resolving_over(e, h);
        t->resolving = false;
}

void http_queue_connected(HttpEngine *e, HttpTransfer *t) {
        http_queue_resolved(e, t, true);
        if (t->connected)
                return;
        t->connected = true;
        t->call->request.url->host->n_connecting--;
        e->queue_dirty = true;
}

/**
 * Nobody waits for the name any more, but a thread still works on it; it can't be stopped, so it goes on
 * counting for a while.
 */
static void hold_resolver(HttpEngine *e, HttpTransfer *t) {
        assert(e->n_holds < HTTP_RESOLVING_MAX);
        HttpHost *h = t->call->request.url->host;
        e->holds[(e->hold_first + e->n_holds++) % HTTP_RESOLVING_MAX] =
                        (HttpHold){e->now_ns + HTTP_RESOLVER_HOLD_MS * 1000000LL, h};
        h->refs++;
        t->resolving = false;
}

void http_queue_release_holds(HttpEngine *e) {
        while (e->n_holds > 0 && e->holds[e->hold_first].until_ns <= e->now_ns) {
                HttpHost *h = e->holds[e->hold_first].host;
                e->hold_first = (e->hold_first + 1) % HTTP_RESOLVING_MAX;
                e->n_holds--;
                resolving_over(e, h);
                http_host_unref(e, h);
        }
}

void http_queue_ended(HttpEngine *e, HttpTransfer *t) {
        HttpHost *h = t->call->request.url->host;
        if (t->resolving)
                hold_resolver(e, t);
        assert(e->n_running > 0 && h->n_running > 0);
        e->n_running--;
        h->n_running--;
        h->n_connecting -= !t->connected;
        e->queue_dirty = true;
}

/* ---- what is due --------------------------------------------------------------------------------------- */

static void due_place(HttpEngine *e, size_t at, HttpCall *c) {
        e->due[at] = c;
        c->due_at = at;
}

static void due_up(HttpEngine *e, size_t at, HttpCall *c) {
        while (at > 1 && e->due[at / 2]->due_ns > c->due_ns) {
                due_place(e, at, e->due[at / 2]);
                at /= 2;
        }
        due_place(e, at, c);
}

static void due_down(HttpEngine *e, size_t at, HttpCall *c) {
        for (size_t child; (child = at * 2) <= e->n_due; at = child) {
                if (child < e->n_due && e->due[child + 1]->due_ns < e->due[child]->due_ns)
                        child++;
                if (e->due[child]->due_ns >= c->due_ns)
                        break;
                due_place(e, at, e->due[child]);
        }
        due_place(e, at, c);
}

int http_due_set(HttpEngine *e, HttpCall *c, int64_t due_ns) {
        if (c->due_at == 0) {
                if (e->n_due + 2 > e->due_cap) {
                        size_t cap = e->due_cap ? e->due_cap * 2 : 256;
                        HttpCall **due = reallocarray(e->due, cap, sizeof(*due));
                        if (!due)
                                return -ENOMEM;
                        e->due = due;
                        e->due_cap = cap;
                }
                c->due_ns = due_ns;
                due_up(e, ++e->n_due, c);
                return 0;
        }
        int64_t before = c->due_ns;
        c->due_ns = due_ns;
        if (due_ns < before)
                due_up(e, c->due_at, c);
        else
                due_down(e, c->due_at, c);
        return 0;
}

void http_due_remove(HttpEngine *e, HttpCall *c) {
        size_t at = c->due_at;
        if (at == 0)
                return;
        HttpCall *last = e->due[e->n_due--];
        c->due_at = 0;
        if (last == c)
                return;
        if (at > 1 && e->due[at / 2]->due_ns > last->due_ns)
                due_up(e, at, last);
        else
                due_down(e, at, last);
}
