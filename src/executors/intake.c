/* The meeting place of submitting threads and an executor's own. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "executors/intake.h"

static Slice key_slice(const uint8_t key[ATTEMPT_KEY_SIZE]) { return slice_from_bytes(key, ATTEMPT_KEY_SIZE); }

void intake_init(Intake *i) {
        *i = (Intake){.wakeup = -1};
        pthread_mutex_init(&i->lock, NULL);
        list_init(&i->fresh);
        list_init(&i->cancelled);
}

int intake_open(Intake *i, uint64_t seed0, uint64_t seed1, uint64_t open_max) {
        map_init(&i->items, seed0, seed1);
        i->open_max = open_max;
        i->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return i->wakeup < 0 ? -errno : 0;
}

void intake_deinit(Intake *i) {
        map_deinit(&i->items);
        if (i->wakeup >= 0)
                close(i->wakeup);
        i->wakeup = -1;
        pthread_mutex_destroy(&i->lock);
}

/* ---- for any thread -------------------------------------------------------------------------------------- */

/** Was it asleep? Then the caller must ring, best after the lock. */
static bool rouse(Intake *i) {
        bool slept = i->sleeping;
        i->sleeping = false;
        return slept;
}

static void ring(Intake *i) {
        uint64_t one = 1;
        ssize_t n = write(i->wakeup, &one, sizeof(one));
        (void)n; /* fails only when it is readable already */
}

int intake_put(Intake *i, IntakeItem *item, const Task *task) {
        list_init(&item->node);
        list_init(&item->cancel_node);
        item->cancelled = false;
        attempt_key(item->key, task->execution_id, task->instance, task->attempt);
        pthread_mutex_lock(&i->lock);
        int r = i->n_open >= i->open_max ? -ENOBUFS : map_put(&i->items, key_slice(item->key), item);
        bool must_ring = r >= 0 && rouse(i);
        if (r >= 0) {
                list_push_back(&i->fresh, &item->node);
                i->n_open++;
        }
        pthread_mutex_unlock(&i->lock);
        if (must_ring)
                ring(i);
        return r < 0 ? r : 0;
}

void intake_cancel(Intake *i, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        uint8_t key[ATTEMPT_KEY_SIZE];
        attempt_key(key, execution_id, instance, attempt);
        pthread_mutex_lock(&i->lock);
        IntakeItem *item = map_remove(&i->items, key_slice(key));
        bool must_ring = item && rouse(i);
        if (item) {
                item->cancelled = true;
                list_push_back(&i->cancelled, &item->cancel_node);
        }
        pthread_mutex_unlock(&i->lock);
        if (must_ring)
                ring(i);
}

uint64_t intake_n_open(Intake *i) {
        pthread_mutex_lock(&i->lock);
        uint64_t n = i->n_open;
        pthread_mutex_unlock(&i->lock);
        return n;
}

void intake_wake(Intake *i) {
        if (rouse(i))
                ring(i);
}

void intake_stop(Intake *i) {
        pthread_mutex_lock(&i->lock);
        i->stopping = true;
        pthread_mutex_unlock(&i->lock);
        ring(i);
}

/* ---- for the executor's thread --------------------------------------------------------------------------- */

bool intake_take(Intake *i, List *ret_fresh, List *ret_cancelled) {
        list_init(ret_fresh);
        list_init(ret_cancelled);
        pthread_mutex_lock(&i->lock);
        bool stopping = i->stopping;
        if (!stopping) {
                list_splice_back(ret_fresh, &i->fresh);
                list_splice_back(ret_cancelled, &i->cancelled);
        }
        pthread_mutex_unlock(&i->lock);
        return !stopping;
}

bool intake_rest(Intake *i) {
        i->sleeping = list_is_empty(&i->fresh) && list_is_empty(&i->cancelled) && !i->stopping;
        return i->sleeping;
}

void intake_awake(Intake *i, bool readable) {
        uint64_t count;
        pthread_mutex_lock(&i->lock);
        i->sleeping = false;
        pthread_mutex_unlock(&i->lock);
        ssize_t n = readable ? read(i->wakeup, &count, sizeof(count)) : 0;
        (void)n; /* fails only when somebody else's ring was read with it */
}

bool intake_end(Intake *i, IntakeItem *item) {
        pthread_mutex_lock(&i->lock);
        bool wanted = !item->cancelled;
        if (!wanted)
                list_remove(&item->cancel_node);
        else if (map_get(&i->items, key_slice(item->key)) == item)
                map_remove(&i->items, key_slice(item->key));
        i->n_open--;
        pthread_mutex_unlock(&i->lock);
        return wanted;
}
