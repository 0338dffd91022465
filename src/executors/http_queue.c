/*
 * Who may start
 *
 * Tenants take turns, and so do the lanes of a tenant; each turn is one call. A call may start while
 *   - the gates of its lane and its host let it through (http_lane.c, gate.h),
 *   - its host has fewer than per_host_max running,
 *   - its host has fewer running than there are free places in all: as a host takes more, less is free, so
 *     that one alone stops at half, two at a third each, and a newcomer finds room however many servers hang,
 *   - its tenant has fewer than tenant_max running, and less than three times the free places, for the same
 *     reason: one alone stops at three quarters, however many hosts it calls,
 *   - not too many of its host's connections are being set up, and not too many names (each costs a thread)
 *     being resolved.
 * A lane that may not start is passed over, so it never holds up those behind it. A lane before an open
 * breaker is emptied: its calls fail at once, and are told when to come again.
 *
 * The lower half is a heap of calls by the time when they must be looked at: a deadline, or a look at the
 * speed.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "executors/http_internal.h"

#define NS_PER_MS 1000000LL

typedef enum Place { PLACE_FREE, PLACE_HOST_FULL, PLACE_TENANT_FULL, PLACE_NONE_FREE, PLACE_NO_ROOM } Place;

static Place find_place(const HttpEngine *e, const HttpLane *l) {
        const HttpHost *h = l->host;
        uint32_t free = e->settings.in_flight_max - e->n_running, n_tenant = l->tenant->n_running;
        uint32_t limit = e->settings.per_host_max < free ? e->settings.per_host_max : free;
        if (free == 0)
                return PLACE_NONE_FREE;
        if (__atomic_load_n(&e->answers_bytes, __ATOMIC_RELAXED) > e->settings.answers_bytes_max)
                return PLACE_NO_ROOM;
        if (n_tenant / HTTP_TENANT_SHARE >= free ||
            (e->settings.tenant_max > 0 && n_tenant >= e->settings.tenant_max))
                return PLACE_TENANT_FULL;
        if (h->n_running >= limit || h->n_connecting >= HTTP_CONNECTING_PER_HOST_MAX)
                return PLACE_HOST_FULL;
        return h->resolved ||
                               (h->n_resolving < HTTP_RESOLVING_PER_HOST_MAX &&
                                e->n_resolving < HTTP_RESOLVING_MAX)
                       ? PLACE_FREE
                       : PLACE_HOST_FULL;
}

int http_queue_add(HttpEngine *e, HttpCall *c) {
        HttpLane *l = http_lane_get(e, c->request.url->host, c->task->tenant);
        if (!l)
                return -ENOMEM;
        c->lane = l;
        c->state = HTTP_CALL_QUEUED;
        list_push_back(&l->queue, &c->node);
        if (l->n_queued++ == 0) {
                if (list_is_empty(&l->tenant->lanes))
                        list_push_back(&e->waiting, &l->tenant->node);
                list_push_back(&l->tenant->lanes, &l->node);
                l->waits_for = GATE_GO;
        }
        e->queue_dirty = true;
        return 0;
}

void http_queue_remove(HttpEngine *e, HttpCall *c) {
        HttpLane *l = c->lane;
        list_remove(&c->node);
        c->state = HTTP_CALL_SUBMITTED;
        if (--l->n_queued > 0)
                return;
        list_remove(&l->node);
        if (list_is_empty(&l->tenant->lanes))
                list_remove(&l->tenant->node);
}

static void start_first(HttpEngine *e, HttpLane *l) {
        HttpCall *c = LIST_ENTRY(l->queue.next, HttpCall, node);
        http_queue_remove(e, c);
        HttpFault fault = {0};
        if (http_transfer_start(e, c, &fault) < 0)
                http_call_finish(e, c, &fault);
}

static void refuse_first(HttpEngine *e, HttpLane *l, int64_t until_ns) {
        HttpCall *c = LIST_ENTRY(l->queue.next, HttpCall, node);
        HttpFault fault = {0};
        int64_t left_ms = (until_ns - e->now_ns + NS_PER_MS - 1) / NS_PER_MS;
        http_fault_set(&fault, "CIRCUIT_OPEN", true,
                       "%.280s is not called: too many calls to it failed; the next trial is in %lld ms",
                       l->host->key, (long long)left_ms);
        fault.retry_after_ms = left_ms;
        l->n_refused++;
        e->totals.n_refused++;
        http_queue_remove(e, c);
        http_call_finish(e, c, &fault);
}

static void wake_at(HttpEngine *e, int64_t ns) {
        if (e->pump_ns < 0 || ns < e->pump_ns)
                e->pump_ns = ns;
}

/** Start the lane's first call if it may. @left: refusals that this pump may still make. */
static bool lane_start_one(HttpEngine *e, HttpLane *l, size_t *left) {
        l->n_calls++; /* the last call that goes would take the lane with it */
        bool started = false, more = true;
        while (more && l->n_queued > 0) {
                HttpCall *c = LIST_ENTRY(l->queue.next, HttpCall, node);
                int64_t until_ns;
                GateAnswer answer = http_lane_ask(e, c, &until_ns);
                more = answer == GATE_REFUSED && *left > 0;
                if (answer == GATE_WAIT_RATE && l->waits_for != GATE_WAIT_RATE)
                        e->totals.n_rate_waits++;
                l->waits_for = answer;
                if (answer == GATE_WAIT_RATE) {
                        wake_at(e, until_ns);
                } else if (more) {
                        refuse_first(e, l, until_ns);
                        (*left)--;
                } else if (answer == GATE_REFUSED) {
                        e->queue_dirty = true; /* the rest in the next turn */
                } else if (answer == GATE_GO) {
                        Place place = find_place(e, l);
                        started = place == PLACE_FREE;
                        if (started)
                                start_first(e, l);
                        else if (place == PLACE_NO_ROOM)
                                wake_at(e, e->now_ns + HTTP_ROOM_LOOK_MS * NS_PER_MS);
                }
        }
        http_lane_unref(e, l);
        return started;
}

/** One turn of a tenant: its first lane that may start does, and goes to the end of its lanes. */
static bool tenant_start_one(HttpEngine *e, HttpTenant *t, size_t *left) {
        for (List *node = t->lanes.next, *next; node != &t->lanes; node = next) {
                HttpLane *l = LIST_ENTRY(node, HttpLane, node);
                next = node->next;
                if (!lane_start_one(e, l, left))
                        continue;
                if (l->n_queued > 0) {
                        list_remove(&l->node);
                        list_push_back(&t->lanes, &l->node);
                }
                return true;
        }
        return false;
}

void http_queue_pump(HttpEngine *e) {
        size_t left = HTTP_REFUSALS_PER_TURN;
        e->queue_dirty = false;
        e->pump_ns = -1;
        for (bool progress = true; progress;) {
                List had = LIST_INIT(had); /* those who had their turn go behind those who had not */
                progress = false;
                for (List *node = e->waiting.next, *next; node != &e->waiting; node = next) {
                        HttpTenant *t = LIST_ENTRY(node, HttpTenant, node);
                        next = node->next;
                        t->refs++; /* as with lanes */
                        if (tenant_start_one(e, t, &left)) {
                                progress = true;
                                if (!list_is_empty(&t->lanes)) {
                                        list_remove(&t->node);
                                        list_push_back(&had, &t->node);
                                }
                        }
                        http_tenant_unref(e, t);
                }
                while (!list_is_empty(&had)) {
                        List *node = had.next;
                        list_remove(node);
                        list_push_back(&e->waiting, node);
                }
        }
}

void http_queue_why(HttpEngine *e, HttpCall *c, char *ret) {
        static const char *const gates[N_GATE_ANSWERS] = {
                        [GATE_WAIT_PLACE] = "as many calls to this target are under way as its concurrency limit "
                                            "allows",
                        [GATE_WAIT_RATE] = "the rate limit of this target leaves no room",
                        [GATE_WAIT_TRIAL] = "the trial calls of its circuit breaker have not ended",
                        [GATE_REFUSED] = "its circuit breaker is open"};
        static const char *const places[] = {
                        [PLACE_FREE] = "others were before it",
                        [PLACE_HOST_FULL] = "too many calls to this host are under way",
                        [PLACE_TENANT_FULL] = "too many calls of this tenant are under way (HTTP_TENANT_CONCURRENCY)",
                        [PLACE_NONE_FREE] = "too many calls are under way",
                        [PLACE_NO_ROOM] = ("the answers of other calls take all the memory there is for them "
                                          "(MEMORY_MAX_MB)")};
        const char *why = "it has only just come";
        if (c->lane) {
                int64_t until_ns;
                GateAnswer answer = http_lane_ask(e, c, &until_ns);
                why = answer != GATE_GO ? gates[answer] : places[find_place(e, c->lane)];
        }
        snprintf(ret, HTTP_MESSAGE_MAX / 2, "it was still waiting for its turn, %s", why);
}

void http_queue_started(HttpEngine *e, HttpTransfer *t) {
        HttpHost *h = t->call->request.url->host;
        http_lane_begin(e, t->call);
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
        http_lane_end(e, t->call);
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
