/*
 * The bus over nats.c
 *
 * Four connections, so that none waits behind another: commands and their answers, queries, the audit
 * stream, what executors send. One manager thread makes them, subscribes, looks after the streams, and
 * sleeps; nats.c's threads deliver, one per subscription. A sender thread publishes the answers (bus_replies.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "subjects/bus_nats.h"
#include "subjects/handler.h"

#define PAYLOAD_MAX_DEFAULT (1024 * 1024) /* nats-server's, until a server tells */

static void cond_init_monotonic(pthread_cond_t *c) {
        pthread_condattr_t a;
        pthread_condattr_init(&a);
        pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
        pthread_cond_init(c, &a);
        pthread_condattr_destroy(&a);
}

void cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t at_ns) {
        struct timespec t = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
        if (at_ns == INT64_MAX)
                pthread_cond_wait(c, m);
        else
                pthread_cond_timedwait(c, m, &t);
}

bool log_gate_pass(LogGate *g, uint64_t *ret_held) {
        int64_t now = monotonic_ns(), next = __atomic_load_n(&g->next_ns, __ATOMIC_RELAXED);
        if (now >= next &&
            __atomic_compare_exchange_n(&g->next_ns, &next, now + BUS_LOG_INTERVAL_MS * 1000000LL, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
                *ret_held = __atomic_exchange_n(&g->n_held, 0, __ATOMIC_RELAXED);
                return true;
        }
        __atomic_add_fetch(&g->n_held, 1, __ATOMIC_RELAXED);
        return false;
}

/* ---- the manager ------------------------------------------------------------------- */

/** Streams and consumer, when something says they may not be as we need them; returns when to try again. */
static int64_t setup_tend(Bus *b, int64_t now_ns) {
        char fault[sizeof(b->setup_fault)] = "";
        Link *l = &b->links[BUS_LINK_MAIN];
        pthread_mutex_lock(&b->lock);
        bool wanted = b->setup_wanted && !b->stopping;
        int64_t at_ns = b->setup_at_ns;
        b->setup_wanted &= !(wanted && now_ns >= at_ns);
        pthread_mutex_unlock(&b->lock);
        if (!wanted || !l->nc)
                return INT64_MAX;
        if (now_ns < at_ns)
                return at_ns;
        int r = nats_is_connected(l->nc) && l->js ? streams_setup(b, l->nc, l->js, fault, sizeof(fault))
                                                  : -EAGAIN;
        if (!r) {
                if (b->setup_fault[0])
                        log_event(LOG_INFO, "the streams are as they must be", NULL);
                b->setup_fault[0] = 0;
                b->setup_backoff_ms = 0;
                return INT64_MAX;
        }
        if (fault[0] && strcmp(fault, b->setup_fault) != 0) {
                log_event(LOG_ERROR, fault, NULL);
                memcpy(b->setup_fault, fault, sizeof(fault));
        }
        b->setup_backoff_ms = b->setup_backoff_ms == 0 ? BUS_BACKOFF_MIN_MS : b->setup_backoff_ms * 2;
        if (b->setup_backoff_ms > BUS_SETUP_RETRY_MAX_MS)
                b->setup_backoff_ms = BUS_SETUP_RETRY_MAX_MS;
        pthread_mutex_lock(&b->lock);
        b->setup_wanted = true;
        b->setup_at_ns = at_ns = monotonic_ns() + b->setup_backoff_ms * 1000000;
        pthread_mutex_unlock(&b->lock);
        return at_ns;
}

static void tell_ready(Bus *b) {
        if (b->was_ready || !b->links[BUS_LINK_MAIN].nc || !b->links[BUS_LINK_QUERY].nc)
                return;
        b->was_ready = true;
        b->options.on_ready(b->options.userdata);
}

static bool needs_tending(Bus *b) {
        for (int i = 0; i < N_BUS_LINKS; i++)
                if (b->links[i].is_closed && b->links[i].nc)
                        return true;
        return b->window.is_wanted || (b->setup_wanted && b->setup_at_ns == 0 && b->links[BUS_LINK_MAIN].nc);
}

static void *manager_main(void *userdata) {
        Bus *b = userdata;
        pthread_setname_np(pthread_self(), "bus");
        pthread_mutex_lock(&b->lock);
        while (!b->ending) {
                int64_t next_ns = INT64_MAX;
                pthread_mutex_unlock(&b->lock);
                for (int i = 0; i < N_BUS_LINKS; i++) {
                        int64_t at_ns = link_tend(&b->links[i], monotonic_ns());
                        next_ns = at_ns < next_ns ? at_ns : next_ns;
                }
                tell_ready(b);
                int64_t at_ns = setup_tend(b, monotonic_ns());
                next_ns = at_ns < next_ns ? at_ns : next_ns;
                at_ns = queue_tend(b, monotonic_ns());
                next_ns = at_ns < next_ns ? at_ns : next_ns;
                pthread_mutex_lock(&b->lock);
                if (!b->ending && !needs_tending(b))
                        cond_wait_until(&b->changed, &b->lock, next_ns);
        }
        pthread_mutex_unlock(&b->lock);
        nats_ReleaseThreadMemory();
        return NULL;
}

/* ---- life -------------------------------------------------------------------------- */

int bus_new(const BusOptions *options, Report *report, Bus **ret) {
        Bus *b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->options = *options;
        b->settings = options->settings;
        b->payload_max = PAYLOAD_MAX_DEFAULT;
        pthread_mutex_init(&b->lock, NULL);
        cond_init_monotonic(&b->changed);
        pthread_mutex_init(&b->out_lock, NULL);
        cond_init_monotonic(&b->out_changed);
        b->out_tail = &b->out_head;
        for (int i = 0; i < N_BUS_LINKS; i++) {
                b->links[i] = (Link){.bus = b, .id = i};
                pthread_rwlock_init(&b->links[i].lock, NULL);
        }
        int r = outlet_init(b);
        for (size_t i = 0; i < b->options.n_subscriptions; i++)
                b->deliveries[i] = (Delivery){.bus = b, .spec = &b->options.subscriptions[i]};
        b->deliveries[BUS_SUBSCRIPTIONS_MAX].bus = b;
        natsOptions *o = NULL;
        if (!r)
                r = bus_options_new(&b->links[0], &o,
                                    report); /* settings that can't work are told now, not by a retry */
        natsOptions_Destroy(o);
        if (r < 0) {
                bus_free(b);
                return r;
        }
        *ret = b;
        return 0;
}

int bus_start(Bus *b) {
        int r = replies_start(b);
        if (!r)
                r = outlet_start(b);
        if (r < 0)
                return r;
        r = -pthread_create(&b->manager, NULL, manager_main, b);
        b->has_manager = r == 0;
        return r;
}

static void manager_end(Bus *b) {
        pthread_mutex_lock(&b->lock);
        b->stopping = b->ending = true;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
        if (b->has_manager)
                pthread_join(b->manager, NULL);
        b->has_manager = false;
}

void bus_stop(Bus *b, int64_t timeout_ms) {
        int64_t deadline_ns = monotonic_ns() + timeout_ms * 1000000;
        manager_end(b); /* from here on we are the only one who touches links and deliveries */
        for (size_t i = 0; i <= BUS_SUBSCRIPTIONS_MAX; i++) {
                Delivery *d = &b->deliveries[i];
                Link *l = &b->links[d->spec ? d->spec->link : BUS_LINK_MAIN];
                if (d->sub && nats_is_connected(l->nc))
                        natsSubscription_Drain(d->sub);
                else if (d->sub)
                        natsSubscription_Unsubscribe(d->sub);
        }
        pthread_mutex_lock(&b->lock);
        while (b->n_delivering > 0 && monotonic_ns() < deadline_ns)
                cond_wait_until(&b->changed, &b->lock, deadline_ns);
        pthread_mutex_unlock(&b->lock);
}

void bus_free(Bus *b) {
        if (!b)
                return;
        manager_end(b);
        outlet_end(b);
        replies_end(b);
        natsSubscription_Destroy(b->acks);
        for (int i = 0; i < N_BUS_LINKS; i++)
                bus_link_close(&b->links[i]);
        int64_t deadline_ns = monotonic_ns() + BUS_FREE_WAIT_MS * 1000000LL;
        pthread_mutex_lock(&b->lock);
        while (b->n_delivering > 0 && monotonic_ns() < deadline_ns)
                cond_wait_until(&b->changed, &b->lock, deadline_ns);
        bool is_stuck = b->n_delivering > 0 || b->is_owed;
        pthread_mutex_unlock(&b->lock);
        if (is_stuck)
                return; /* a thread is still in a handler, or may come: better leaked than pulled from under it */
        outlet_deinit(b);
        for (int i = 0; i < N_BUS_LINKS; i++)
                pthread_rwlock_destroy(&b->links[i].lock);
        pthread_cond_destroy(&b->out_changed);
        pthread_mutex_destroy(&b->out_lock);
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        free(b);
}

uint64_t bus_n_reconnects(const Bus *b) { return __atomic_load_n(&b->n_reconnects, __ATOMIC_RELAXED); }

bool bus_is_connected(const Bus *b) {
        bool all = true;
        for (int i = 0; i < N_BUS_LINKS; i++) {
                Link *l = (Link *)&b->links[i]; /* the lock is not part of what is const */
                all &= nats_is_connected(link_borrow(l));
                link_release(l);
        }
        return all;
}

size_t bus_payload_max(const Bus *b) { return __atomic_load_n(&b->payload_max, __ATOMIC_RELAXED); }
