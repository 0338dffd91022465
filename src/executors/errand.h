#pragma once
/*
 * Errands: attempts that begin with a message to NATS. What publish-event and remote workers share: a thread
 * that writes and sends, sending again while NATS is away, deadlines, cancels.
 */

#include <pthread.h>

#include "base/map.h"
#include "base/turns.h"
#include "executors/attempt.h"
#include "executors/due.h"

#define ERRAND_RETRY_MIN_MS 50 /* before a message is sent again */
#define ERRAND_RETRY_MAX_MS 2000
#define ERRAND_OPEN_MAX     100000 /* of one office; beyond: OVERLOADED */
#define ERRAND_TENANT_SHARE 3      /* a tenant has no more open than so many times what is free */
#define ERRAND_REASON_MAX   200    /* bytes kept of why a message was not taken */
#define ERRAND_HEADERS_MAX  128
#define NS_PER_MS           1000000LL

typedef struct ErrandOffice ErrandOffice;

/**
 *   to be sent ──▶ sent ──▶ confirmed ──▶ over
 *       ▲           │
 *       └───────────┘ not taken: again, after a pause
 */
typedef enum ErrandState { ERRAND_TO_SEND, ERRAND_SENT, ERRAND_CONFIRMED } ErrandState;

typedef struct Errand {
        uint8_t key[ATTEMPT_KEY_SIZE];
        Task *task; /* owned */
        int64_t timeout_ms, deadline_ns;
        Due due;          /* the earliest of what may happen next */
        Turn share, turn; /* in ErrandOffice.tenants while it is open, in .ready while it waits to be sent now */
        ErrandState state;
        int64_t send_ns, pause_ms;          /* TO_SEND: when */
        bool is_busy;                       /* the thread works on it without the lock */
        bool is_ending;                     /* its result is under way: not sent again, no clock runs */
        bool is_dropped;                    /* cancelled meanwhile: whoever works on it frees it */
        char reason[ERRAND_REASON_MAX + 1]; /* why the message was not taken last time; "": not tried yet */
        uint64_t stream_seq, epoch;         /* CONFIRMED: where the stream has it */
} Errand;

/** What a message is made of; the buffers are the thread's, used again and again. */
typedef struct Letter {
        Buf subject, id, payload; /* NULs are put behind subject and id by the office */
        OutHeader headers[ERRAND_HEADERS_MAX];
        size_t n_headers;
        Buf text; /* where headers' strings may live; reserve before pointing into it */
} Letter;

typedef struct ErrandKind {
        const char *name;
        size_t size; /* of its errands; an Errand comes first */
        bool needs_stream;
        void (*init)(const ErrandOffice *o, Errand *e); /* may be NULL; before anybody else knows it */
        /** Without the lock. NULL: written; else the error (owned) that ends the attempt. */
        Value *(*write)(ErrandOffice *o, Errand *e, Letter *letter);
        /** Under the lock. True: this is the end, *ret is how (never while it is ending). */
        bool (*confirmed)(ErrandOffice *o, Errand *e, const OutReceipt *receipt, TaskResult *ret);
        /** Under the lock: the error of an attempt whose time is up. NULL: out of memory. */
        Value *(*time_out)(ErrandOffice *o, Errand *e);
        /** Under the lock, may be NULL: when there is something of its own to do; INT64_MAX: never. */
        int64_t (*next_ns)(const ErrandOffice *o, const Errand *e);
        /** Under the lock: do it. True: this is the end, *ret is how. False: it has been scheduled again, and if the
         * lock was left meanwhile, may be gone. */
        bool (*tend)(ErrandOffice *o, Errand *e, int64_t now_ns, TaskResult *ret);
        /** Under the lock, may be NULL: it leaves the register without having ended by itself. */
        void (*gone)(ErrandOffice *o, Errand *e, bool cancelled);
        void (*deinit)(Errand *e); /* may be NULL */
} ErrandKind;

struct ErrandOffice {
        Executor executor;
        const ErrandKind *kind;
        ExecutorHost host;
        const Outlet *outlet;
        char *prefix; /* of subjects; owned */
        int64_t timeout_default_ms;
        Value *out_of_memory, *overloaded, *tenant_overloaded;

        pthread_mutex_t lock;
        pthread_cond_t change;
        Map errands; /* by key */
        DueHeap due;
        TurnQueue tenants, ready;
        pthread_t thread;
        bool has_thread, stopping;
        Letter letter; /* the thread's */
};

/** Make what can't be made by zeroing, start the thread. @o is zeroed or the first member of something that is;
 * on failure errand_office_deinit must follow. 0 or -ENOMEM. */
int errand_office_init(ErrandOffice *o, const ErrandKind *kind, const ExecutorHost *host,
                       const Outlet *outlet, const char *prefix, int64_t timeout_default_ms);
/** Stop the thread, forget what is open. */
void errand_office_deinit(ErrandOffice *o);

/* ExecutorVtable's */
void errand_submit(Executor *executor, Task *task);
void errand_cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt);
uint64_t errand_n_open(Executor *executor);

/* For kinds; all under the lock. */
Errand *errand_find(ErrandOffice *o, const uint8_t key[ATTEMPT_KEY_SIZE]);
/** Look again at when its time is. */
void errand_schedule(ErrandOffice *o, Errand *e);
/** Its result is under way: nothing happens by itself any more. */
void errand_begin_end(ErrandOffice *o, Errand *e);
/** Take it out of the register: the caller's. */
void errand_take(ErrandOffice *o, Errand *e);
/** Free it, now or when the thread is done with it. It must have been taken. */
void errand_release(ErrandOffice *o, Errand *e);
