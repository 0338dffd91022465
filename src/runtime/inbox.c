/*
 * Inbox
 *
 * A mutex, two queues and a condition variable: handing over a request costs some 50 ns, of which a lock-free
 * queue would save a few, while the batch behind it costs a disk's flush. The writer takes everything it may
 * at once, so the lock is fought for once per batch, not once per request.
 *
 * Tenants take turns, and none may have more waiting than three times what is free: one alone stops at three
 * quarters, the next at three quarters of the rest. So a tenant that floods the engine is refused, and whoever
 * comes then is not, and waits for one request of the other's at a time.
 */
#include <errno.h>
#include <time.h>

#include "runtime/inbox.h"

int inbox_init(Inbox *i, const InboxLimits *limits, const uint64_t seeds[2]) {
        pthread_condattr_t attr;

        *i = (Inbox){.limits = *limits};
        turns_init(&i->requests, seeds[0], seeds[1]);
        list_init(&i->results);
        if (pthread_mutex_init(&i->lock, NULL))
                return -ENOMEM;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        int rc = pthread_cond_init(&i->wake, &attr);
        pthread_condattr_destroy(&attr);
        if (rc)
                pthread_mutex_destroy(&i->lock);
        return rc ? -ENOMEM : 0;
}

void inbox_deinit(Inbox *i) {
        turns_deinit(&i->requests);
        pthread_cond_destroy(&i->wake);
        pthread_mutex_destroy(&i->lock);
}

static void unlock_and_wake(Inbox *i) {
        bool asleep = i->sleeping;
        i->sleeping = false;
        pthread_mutex_unlock(&i->lock);
        if (asleep)
                pthread_cond_signal(&i->wake);
}

/** Is there room for @r, of the whole and of what its tenant may have? */
static int check_room(Inbox *i, const Request *r) {
        const InboxLimits *l = &i->limits;
        TurnQueue *q = &i->requests;

        if (q->n == 0)
                return 0;
        if (q->n >= l->max || q->weight + r->n_bytes > l->bytes_max)
                return -EAGAIN;
        TurnShare share = turns_share(q, r->input.tenant);
        if (share.n == 0)
                return 0;
        bool is_over = share.n > INBOX_TENANT_SHARE * (l->max - q->n) ||
                       share.weight > INBOX_TENANT_SHARE * (l->bytes_max - q->weight) ||
                       (l->tenant_max > 0 && share.n >= l->tenant_max);
        return is_over ? -EDQUOT : 0;
}

int inbox_put(Inbox *i, Request *r) {
        pthread_mutex_lock(&i->lock);
        int rc = i->stopping ? -ESHUTDOWN : check_room(i, r);
        if (!rc) {
                r->turn.weight = r->n_bytes;
                rc = turns_add(&i->requests, r->input.tenant, &r->turn);
        }
        if (rc) {
                pthread_mutex_unlock(&i->lock);
                return rc;
        }
        unlock_and_wake(i);
        return 0;
}

void inbox_put_result(Inbox *i, Request *r) {
        pthread_mutex_lock(&i->lock);
        if (i->closed) {
                pthread_mutex_unlock(&i->lock);
                request_free(r);
                return;
        }
        list_push_back(&i->results, &r->node);
        i->n_results++;
        unlock_and_wake(i);
}

size_t inbox_take(Inbox *i, size_t max, List *to) {
        size_t n = 0;

        pthread_mutex_lock(&i->lock);
        /* Results free memory and slots, so they go first; a quarter of the batch is left to requests if
         * there are any. */
        size_t quarter = max / 4, kept = i->requests.n < quarter ? i->requests.n : quarter;
        for (; n < max - kept && !list_is_empty(&i->results); n++, i->n_results--) {
                List *node = i->results.next;
                list_remove(node);
                list_push_back(to, node);
        }
        for (Turn *t; n < max && (t = turns_take(&i->requests)); n++)
                list_push_back(to, &LIST_ENTRY(t, Request, turn)->node);
        i->poked = false;
        pthread_mutex_unlock(&i->lock);
        return n;
}

void inbox_poke(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        i->poked = true;
        unlock_and_wake(i);
}

void inbox_stop(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        i->stopping = i->poked = true;
        unlock_and_wake(i);
}

void inbox_close(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        i->closed = true;
        pthread_mutex_unlock(&i->lock);
}

static struct timespec deadline_after(int64_t ms) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += ms / 1000;
        t.tv_nsec += ms % 1000 * 1000000;
        if (t.tv_nsec >= 1000000000) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000;
        }
        return t;
}

void inbox_wait(Inbox *i, int64_t timeout_ms) {
        struct timespec deadline = deadline_after(timeout_ms < 0 ? 0 : timeout_ms);
        int rc = 0;

        pthread_mutex_lock(&i->lock);
        while (rc == 0 && i->requests.n == 0 && i->n_results == 0 && !i->poked) {
                i->sleeping = true;
                rc = timeout_ms < 0 ? pthread_cond_wait(&i->wake, &i->lock)
                                    : pthread_cond_timedwait(&i->wake, &i->lock, &deadline);
        }
        i->sleeping = false;
        pthread_mutex_unlock(&i->lock);
}

size_t inbox_depth(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        size_t n = i->requests.n + i->n_results;
        pthread_mutex_unlock(&i->lock);
        return n;
}

bool inbox_is_stopping(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        bool stopping = i->stopping;
        pthread_mutex_unlock(&i->lock);
        return stopping;
}
