#pragma once
/* What the bus_*.c files share. With this header they alone include <nats/nats.h>. */

#include <nats/nats.h>
#include <pthread.h>
#include "base/list.h"
#include "base/map.h"
#include "subjects/bus.h"

#define BUS_FREE_WAIT_MS 3000 /* for threads of subscriptions, and last callbacks, to leave our code */

/** One NATS connection with what hangs on it. The manager thread makes and replaces it, others borrow it. */
typedef struct Link {
        Bus *bus;
        BusLink id;
        pthread_rwlock_t lock; /* held shared while `nc` is used, alone while it is replaced */
        natsConnection *nc;    /* NULL: not made yet, or being made anew */
        jsCtx *js;
        uint32_t generation; /* connections made so far; atomic */
        /* under bus->lock */
        bool is_closed; /* nats.c gave the connection up, or we closed it: its last callback has been */
        bool is_away;   /* connection lost, nats.c tries to get it back */
        /* manager thread only */
        bool was_told; /* the failure to connect was logged */
        int64_t retry_at_ns, backoff_ms;
} Link;

/** A subscription at work. */
typedef struct Delivery {
        Bus *bus;
        const BusSubscription *spec; /* NULL: the durable queue's */
        natsSubscription *sub;
} Delivery;

typedef struct Outgoing Outgoing;

/** What executors send and workers wait for (bus_outlet.c, bus_pull.c). */
typedef struct BusOutlet {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        pthread_t thread;
        bool has_thread, ending;
        char inbox[64]; /* where answers come to */
        uint64_t last_number;
        unsigned n_calling;  /* calls of other people's functions under way */
        List parcels;        /* to be sent */
        List flushing, sent; /* sent, settled by a ping; by an answer, earliest first */
        Map by_number;       /* of `sent` */
        size_t n, n_bytes;
        Map guesses;         /* subjects: does a stream take them? */
        List pulls;          /* Pull, to be sent */
        Map pulls_by_number; /* all that are not over */
        Map queues;          /* task subject → PullQueue */
        List handouts;       /* tasks sent to workers, earliest first: not acknowledged yet */
        int64_t swept_ns;
} BusOutlet;

/** How many of the durable queue's messages may be out (bus_queue.c). */
typedef struct QueueWindow {
        uint32_t n_held;  /* held back: refused, to come again; atomic */
        uint32_t n_came;  /* of them, in this period; atomic */
        int64_t pause_ms; /* until then; atomic */
        bool is_wanted;   /* look at it; under Bus.lock */
        /* manager thread only */
        uint32_t size; /* 0: the consumer was not looked at yet */
        uint32_t peak; /* of n_held, in this period */
        int64_t period_ends_ns; /* 0: none has begun */
} QueueWindow;

struct Bus {
        BusOptions options;
        const SubjectsSettings *settings;
        Link links[N_BUS_LINKS];
        Delivery deliveries[BUS_SUBSCRIPTIONS_MAX + 1]; /* the last one is the durable queue's */
        size_t payload_max;                             /* atomic */
        uint64_t n_reconnects;                          /* atomic */

        pthread_t manager;
        bool has_manager;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool stopping;     /* take nothing more */
        bool ending;       /* the manager must go */
        bool is_owed;      /* a closed connection has not called back: it may yet */
        bool setup_wanted; /* streams and consumer must be looked at (again) */
        int n_delivering;  /* subscriptions whose threads may still call us */
        /* manager thread only */
        bool was_ready;
        int64_t setup_at_ns, setup_backoff_ms;
        bool streams_told;
        char setup_fault[256]; /* what was wrong with the streams last time, as logged; "": nothing */

        QueueWindow window;

        /* the sender */
        pthread_t sender;
        bool has_sender;
        pthread_mutex_t out_lock;
        pthread_cond_t out_changed;
        Outgoing *out_head, **out_tail;
        size_t n_out, out_bytes;
        bool out_ending;
        LogGate out_gate;

        BusOutlet outlet;

        /* the audit stream; outbox thread only */
        AuditTail tail; /* as far as the stream's answers tell */
        bool tail_known;
        bool is_shared; /* others publish to the stream too */
        natsSubscription *acks;
        char acks_inbox[64];
        uint64_t acks_epoch, n_windows;
        LogGate audit_gate;
};

/** Wait on @c, made by the bus, until it is signalled or monotonic time @at_ns (INT64_MAX: for ever). */
void cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t at_ns);
/** Borrow the connection; NULL when there is none. link_release in any case. */
natsConnection *link_borrow(Link *l);
void link_release(Link *l);
/** A connection made, or made again by nats.c: grows with each. */
uint64_t link_epoch(Link *l);
const char *nats_error_text(natsStatus s);
bool nats_is_connected(natsConnection *nc);

/* bus_options.c */
/** Owned options for link @l. 0, -EINVAL with @report, -ENOMEM. */
int bus_options_new(Link *l, natsOptions **ret, Report *report);

/* bus_link.c: connections and core subscriptions; manager thread. */
/**
 * Connect if there is no connection and it is time; returns when to look again (monotonic ns; INT64_MAX:
 * when told).
 */
int64_t link_tend(Link *l, int64_t now_ns);
/** Connect once, now. 0 or negative. */
int bus_link_connect(Link *l);
void bus_link_close(Link *l);
int delivery_start(Bus *b, Delivery *d, natsConnection *nc, const char *subject, const char *group);
void bus_link_on_disconnected(natsConnection *nc, void *closure);
void bus_link_on_reconnected(natsConnection *nc, void *closure);
void bus_link_on_closed(natsConnection *nc, void *closure);
void bus_link_on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure);
int64_t link_reconnect_delay(natsConnection *nc, int attempts, void *closure);

/* bus_fence.c */
/** Claim the engine's identity, if it is not claimed by this start already. 0, -EAGAIN, -EKEYREJECTED. */
int fence_claim(Bus *b, jsCtx *js, bool adopt);

/* bus_streams.c */
/** Make the stream @name if it is missing. 0, or negative with a sentence in @fault. */
int streams_ensure(Bus *b, jsCtx *js, const char *name, char *fault, size_t n_fault);
/** Make or check streams and consumer, subscribe to it. 0, or negative with a sentence in @fault. */
int streams_setup(Bus *b, natsConnection *nc, jsCtx *js, char *fault, size_t n_fault);
/** Tell the consumer how much may be out now (Bus.window.size). 0 or -EAGAIN. */
int streams_resize(Bus *b, jsCtx *js);

/* bus_queue.c */
/** A message is held back: milliseconds until it shall come again. Any thread. */
int64_t queue_held(Bus *b);
/** A message of the durable queue has come; @ack names its delivery. */
void queue_came(Bus *b, Slice ack);
/** Let the window follow what is held back; returns when to look again. Manager thread. */
int64_t queue_tend(Bus *b, int64_t now_ns);
/** Before the consumer is made or changed; so many messages of an earlier process wait to come again. */
void queue_window_init(Bus *b, uint32_t n_pending);

/* bus_outlet.c */
int outlet_init(Bus *b);
int outlet_start(Bus *b);
/** Ends the thread; what waits is answered. */
void outlet_end(Bus *b);
void outlet_deinit(Bus *b);
/** An answer to what we sent, or a task. */
void outlet_take(void *userdata, const Message *m, bool shed);
/** Publish @body with @reply, NULL: none. */
natsStatus outlet_publish(natsConnection *nc, const char *subject, const char *reply, Slice body);

/* bus_pull.c; under the outlet's lock, which they leave for a moment */
void pulls_send(Bus *b);
void pulls_sweep(Bus *b, int64_t now_ns);
/** @m is a task; or what became of pull, or of the handout of a task, @number (@kind 'n' or 'h'). */
void pulls_take(Bus *b, const Message *m, char kind, uint64_t number);
/** End all of them. */
void pulls_end(Bus *b);
void pulls_deinit(Bus *b);

/* bus_replies.c */
int replies_start(Bus *b);
void replies_end(Bus *b); /* sends what waits */
