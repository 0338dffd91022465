/*
 * How much of the durable queue is out
 *
 * The stream pushes no more than QUEUE_ACK_PENDING messages that nobody has acknowledged. What is refused counts
 * among them until it comes again: a tenant that queues more starts than it may have running would soon fill
 * the window with them, and everybody else's commands would wait in the stream until its executions end. So
 * would an approval behind starts that a full store refuses.
 *
 * So the window is QUEUE_ACK_PENDING and what is held back, up to QUEUE_HELD_MAX. It grows at once and shrinks
 * slowly, for all that is held comes and goes in waves. What comes again is known by its number of deliveries;
 * one that the server sent again because we were slow is taken for one of these, which makes the window a little
 * smaller than it could be. The more is held, the longer is the pause until it comes again, so that refusing
 * it does not become the engine's work.
 */
#include <stdio.h>

#include "base/log.h"
#include "subjects/bus_nats.h"
#include "subjects/handler.h"

#define TICK_NS   (250 * 1000000LL)
#define NS_PER_MS 1000000LL

static uint32_t base_of(const Bus *b) {
        uint32_t n = b->settings->queue_ack_pending_max;
        return n > 0 ? n : QUEUE_ACK_PENDING_DEFAULT;
}

/** So few held messages are in nobody's way. */
static uint32_t few(const Bus *b) { return (base_of(b) + 3) / 4; }

int64_t queue_held(Bus *b) {
        QueueWindow *w = &b->window;
        uint32_t n = __atomic_add_fetch(&w->n_held, 1, __ATOMIC_RELAXED);
        if (n == few(b)) {
                pthread_mutex_lock(&b->lock);
                w->is_wanted = true;
                pthread_cond_broadcast(&b->changed);
                pthread_mutex_unlock(&b->lock);
        }
        int64_t pause_ms = __atomic_load_n(&w->pause_ms, __ATOMIC_RELAXED);
        return pause_ms > QUEUE_NAK_DELAY_MS ? pause_ms : QUEUE_NAK_DELAY_MS;
}

uint64_t bus_queue_n_held(const Bus *b) { return __atomic_load_n(&b->window.n_held, __ATOMIC_RELAXED); }

void queue_came(Bus *b, Slice ack) {
        QueueWindow *w = &b->window;
        if (queue_deliveries(ack) < 2)
                return;
        __atomic_add_fetch(&w->n_came, 1, __ATOMIC_RELAXED);
        uint32_t n = __atomic_load_n(&w->n_held, __ATOMIC_RELAXED);
        while (n > 0 && !__atomic_compare_exchange_n(&w->n_held, &n, n - 1, true, __ATOMIC_RELAXED,
                                                     __ATOMIC_RELAXED)) {
        }
}

/** The window for so many held ones, in steps: not every one is worth a word with the server. */
static uint32_t size_for(const Bus *b, uint32_t n_held) {
        uint32_t step = few(b), n = n_held < QUEUE_HELD_MAX ? n_held : QUEUE_HELD_MAX;
        return base_of(b) + (n < step ? 0 : (n + step - 1) / step * step);
}

void queue_window_init(Bus *b, uint32_t n_pending) {
        QueueWindow *w = &b->window;
        if (w->size > 0)
                return;
        uint32_t n = n_pending < QUEUE_HELD_MAX ? n_pending : QUEUE_HELD_MAX;
        __atomic_store_n(&w->n_held, n, __ATOMIC_RELAXED);
        w->size = size_for(b, n);
}

/** Returns when to look again. */
static int64_t resize(Bus *b, jsCtx *js, uint32_t size, int64_t now_ns) {
        QueueWindow *w = &b->window;
        uint32_t before = w->size;
        char text[16];
        w->size = size;
        if (streams_resize(b, js) < 0) {
                w->size = before;
                return now_ns + QUEUE_NAK_DELAY_MS * NS_PER_MS;
        }
        snprintf(text, sizeof(text), "%u", size);
        if (before == base_of(b))
                log_event(LOG_INFO,
                          "many queued commands are refused and held back until there is room; others "
                          "pass them",
                          "window", text, NULL);
        else if (size == base_of(b))
                log_event(LOG_INFO, "few queued commands are held back any more", "window", text, NULL);
        return now_ns + TICK_NS;
}

/**
 * A period is over: longer than any held message waits. So if none has come again, none is there. Gives how many were
 * held at most.
 */
static uint32_t end_period(QueueWindow *w, int64_t now_ns, int64_t pause_ms) {
        bool is_first = w->period_ends_ns == 0;
        uint32_t peak = w->peak;
        if (__atomic_exchange_n(&w->n_came, 0, __ATOMIC_RELAXED) == 0 && !is_first) {
                __atomic_store_n(&w->n_held, 0, __ATOMIC_RELAXED);
                peak = 0;
        }
        w->peak = __atomic_load_n(&w->n_held, __ATOMIC_RELAXED);
        w->period_ends_ns = now_ns + (QUEUE_ACK_WAIT_MS + pause_ms) * NS_PER_MS;
        return peak;
}

int64_t queue_tend(Bus *b, int64_t now_ns) {
        QueueWindow *w = &b->window;
        const Link *l = &b->links[BUS_LINK_MAIN];
        pthread_mutex_lock(&b->lock);
        w->is_wanted = false;
        pthread_mutex_unlock(&b->lock);
        uint32_t n = __atomic_load_n(&w->n_held, __ATOMIC_RELAXED);
        w->peak = n > w->peak ? n : w->peak;
        if (w->size == 0 || (w->peak < few(b) && w->size == base_of(b))) {
                w->period_ends_ns = 0;
                return INT64_MAX;
        }
        int64_t pause_ms = (int64_t)w->peak * 1000 / QUEUE_HELD_PER_S;
        pause_ms = pause_ms > QUEUE_NAK_DELAY_MS ? pause_ms : QUEUE_NAK_DELAY_MS;
        __atomic_store_n(&w->pause_ms, pause_ms, __ATOMIC_RELAXED);
        uint32_t kept = w->size;
        if (now_ns >= w->period_ends_ns)
                kept = size_for(b, end_period(w, now_ns, pause_ms));
        uint32_t size = size_for(b, __atomic_load_n(&w->n_held, __ATOMIC_RELAXED));
        size = size > kept ? size : kept;
        if (size != w->size && l->js && nats_is_connected(l->nc))
                return resize(b, l->js, size, now_ns);
        return now_ns + TICK_NS;
}
