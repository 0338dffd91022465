#pragma once
/*
 * The writer's inbox: a bounded queue of requests in which tenants take turns, an unrefusable one of results,
 * and the writer's bed.
 */

#include <pthread.h>

#include "runtime/ports.h"

#define INBOX_TENANT_SHARE 3 /* a tenant has no more waiting than so many times what is free */

typedef struct InboxLimits {
        size_t max;        /* requests waiting; results are bounded by the tasks that are out */
        size_t tenant_max; /* of them, of one tenant; 0: its share alone decides */
        size_t bytes_max;  /* memory of the requests, by their n_bytes */
} InboxLimits;

typedef struct Inbox {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        TurnQueue requests;
        List results;
        size_t n_results;
        InboxLimits limits;
        bool stopping;  /* no more requests */
        bool closed;    /* no more results either */
        bool poked;     /* somebody wants a turn although nothing is queued */
        bool sleeping;  /* the writer waits: only then a put pays for a wake-up */
} Inbox;

int inbox_init(Inbox *i, const InboxLimits *limits, const uint64_t seeds[2]);
/** Everything queued must have been taken. */
void inbox_deinit(Inbox *i);
/**
 * Any thread. 0: taken; -EAGAIN: full, -EDQUOT: its tenant has too many waiting, -ENOMEM, -ESHUTDOWN: stopping (the
 * caller keeps @r). One request fits always, and one tenant never fills more than three quarters.
 */
int inbox_put(Inbox *i, Request *r);
/** Any thread. Takes @r always; what comes after inbox_close is freed. */
void inbox_put_result(Inbox *i, Request *r);
/** Nobody will take anything any more. */
void inbox_close(Inbox *i);
/** Move up to @max of what is queued to the end of @to: results first, but neither sort starves the other; of
 * requests one of each tenant in turn. Returns how many. */
size_t inbox_take(Inbox *i, size_t max, List *to);
/** Wake the writer for a turn. Any thread. */
void inbox_poke(Inbox *i);
void inbox_stop(Inbox *i);
/** Sleep until something is queued, poked or stopped, at most @timeout_ms (negative: no limit). */
void inbox_wait(Inbox *i, int64_t timeout_ms);
size_t inbox_depth(Inbox *i);
bool inbox_is_stopping(Inbox *i);
