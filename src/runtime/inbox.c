/*
 * Inbox
 *
 * A mutex, two lists and a condition variable: handing over a request costs some 50 ns, of which a lock-free
 * queue would save a few, while the batch behind it costs a disk's flush. The writer takes everything it may
 * at once, so the lock is fought for once per batch, not once per request.
 */
#include <errno.h>
#include <time.h>

#include "runtime/inbox.h"

int inbox_init(Inbox *i, size_t max, size_t bytes_max) {
        pthread_condattr_t attr;

        *i = (Inbox){.max = max, .bytes_max = bytes_max};
        list_init(&i->requests);
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

int inbox_put(Inbox *i, Request *r) {
        int rc = 0;

        pthread_mutex_lock(&i->lock);
        if (i->stopping)
                rc = -ESHUTDOWN;
        else if (i->n_requests >= i->max || (i->n_requests > 0 && i->n_bytes + r->n_bytes > i->bytes_max))
                rc = -EAGAIN;
        if (rc) {
                pthread_mutex_unlock(&i->lock);
                return rc;
        }
        list_push_back(&i->requests, &r->node);
        i->n_requests++;
        i->n_bytes += r->n_bytes;
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

static size_t take(Inbox *i, List *from, size_t *n_from, size_t max, List *to) {
        size_t n = 0;

        for (; n < max && !list_is_empty(from); n++) {
                List *node = from->next;
                list_remove(node);
                list_push_back(to, node);
                if (from == &i->requests)
                        i->n_bytes -= LIST_ENTRY(node, Request, node)->n_bytes;
        }
        *n_from -= n;
        return n;
}

size_t inbox_take(Inbox *i, size_t max, List *to) {
        pthread_mutex_lock(&i->lock);
        /* Results free memory and slots, so they go first; a quarter of the batch is left to requests if
         * there are any. */
        size_t quarter = max / 4, kept = i->n_requests < quarter ? i->n_requests : quarter;
        size_t n = take(i, &i->results, &i->n_results, max - kept, to);
        n += take(i, &i->requests, &i->n_requests, max - n, to);
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
        while (rc == 0 && i->n_requests == 0 && i->n_results == 0 && !i->poked) {
                i->sleeping = true;
                rc = timeout_ms < 0 ? pthread_cond_wait(&i->wake, &i->lock)
                                    : pthread_cond_timedwait(&i->wake, &i->lock, &deadline);
        }
        i->sleeping = false;
        pthread_mutex_unlock(&i->lock);
}

size_t inbox_depth(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        size_t n = i->n_requests + i->n_results;
        pthread_mutex_unlock(&i->lock);
        return n;
}

bool inbox_is_stopping(Inbox *i) {
        pthread_mutex_lock(&i->lock);
        bool stopping = i->stopping;
        pthread_mutex_unlock(&i->lock);
        return stopping;
}
