#pragma once
/* What link_nats.c and link_nats_connect.c share. These three files alone include <nats.h>. */

#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "base/list.h"
#include "base/map.h"
#include "client/link.h"

#define FLUSH_TIMEOUT_MS   2000 /* before closing, and to hear whether a subscription was accepted */
#define CLOSE_TIMEOUT_MS   5000 /* for nats.c's last callback */
#define REFUSAL_TIMEOUT_MS 500  /* for nats.c's callback about an error that it has seen */

struct Link {
        natsConnection *nc;
        natsSubscription *inbox_subscription;
        char *inbox; /* "_INBOX.<id>" */
        pthread_mutex_t lock;
        pthread_cond_t changed; /* closed, released */
        List calls;             /* LinkCall.node */
        List subscriptions;     /* LinkSubscription.node */
        size_t n_subscriptions;
        Map asks;        /* LinkAsk by its token's bytes */
        List asks_queue; /* LinkAsk.node, in the order of their deadlines */
        bool asks_ended; /* no new ones */
        uint64_t last_token;
        bool inbox_refused;
        bool closed; /* nats.c has made its last callback */
        void (*on_gap)(void *userdata);
        void *userdata;
};

struct LinkCall {
        List node;
        Link *link;
        uint64_t token;
        char *subject;
        char *inbox;
        pthread_cond_t changed;
        natsMsg *msg;
        bool refused; /* the server does not let us publish */
};

struct LinkSubscription {
        List node;
        Link *link;
        natsSubscription *nats;
        char *subject;
        LinkHandler handler;   /* either this */
        LinkListener listener; /* or this, then it frees itself when nats.c has left it */
        void (*on_released)(void *userdata);
        void *userdata;
        bool refused, released; /* released: nats.c's delivery thread has left it */
};

static inline int cond_init_monotonic(pthread_cond_t *c) {
        pthread_condattr_t attributes;
        int r;

        if (pthread_condattr_init(&attributes) != 0)
                return -ENOMEM;
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        r = pthread_cond_init(c, &attributes);
        pthread_condattr_destroy(&attributes);
        return r ? -ENOMEM : 0;
}

/** Wait for @c until @deadline_ms; false once it has passed. */
static inline bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, int64_t deadline_ms) {
        struct timespec t = {.tv_sec = deadline_ms / 1000, .tv_nsec = (deadline_ms % 1000) * 1000000};

        return pthread_cond_timedwait(c, lock, &t) != ETIMEDOUT;
}

/**
 * After a flush: was the subscription to @subject refused? The refusal is noted in *@refused by nats.c's
 * thread for errors, which may run a little behind the thread that has just seen the flush's answer; the
 * connection's last error tells whether to wait for it.
 */
bool link_was_refused(Link *link, const char *subject, const bool *refused);

/** Turn @msg (taken), the answer to what was sent to @subject, into an answer or a status. */
int link_take_answer(const char *subject, natsMsg *msg, LinkAnswer *ret, RunbookClientError *e);
/** link_nats_ask.c: the answer for an ask? Then @msg is taken. */
bool link_ask_answered(Link *link, uint64_t token, natsMsg *msg);
/** link_nats_ask.c: the server does not let us publish to @subject. */
void link_asks_refused(Link *link, const char *subject, size_t n_subject);

/* nats.c's callbacks, on its threads. */
void link_on_error(natsConnection *nc, natsSubscription *subscription, natsStatus status, void *closure);
void link_on_reconnected(natsConnection *nc, void *closure);
void link_on_closed(natsConnection *nc, void *closure);
void link_on_answer(natsConnection *nc, natsSubscription *subscription, natsMsg *msg, void *closure);
