/* What goes straight to one execution: a timer that is due, a task's result, a command. */
#include <errno.h>

#include "runtime/runtime_private.h"

/** The greatest timer that is less than @timer. */
static StoreTimer timer_before(const StoreTimer *timer) {
        StoreTimer before = *timer;

        if (before.slot-- > 0)
                return before;
        if (before.instance-- > 0)
                return before;
        for (size_t i = sizeof(before.execution_id.bytes); i-- > 0 && before.execution_id.bytes[i]-- == 0;)
                ;
        return before;
}

/** An item before this one may have cleared it, by a pause say, which the execution itself would not notice.
 */
static int timer_is_set(Batch *b, const StoreTimer *timer) {
        StoreTimer before = timer_before(timer), found;

        int r = store_timer_next(b->txn, &before, &found);
        if (r)
                return r;
        bool same = found.at_ms == timer->at_ms && uuid_eq(found.execution_id, timer->execution_id) &&
                    found.instance == timer->instance && found.slot == timer->slot;
        return same ? 0 : STORE_E_NOT_FOUND;
}

int handle_timer(Batch *b, Item *it) {
        const StoreTimer *timer = &it->timer;
        CacheEntry *e;

        int r = timer_is_set(b, timer);
        if (r == 0)
                r = store_timer_clear(b->txn, timer);
        if (r == 0)
                r = batch_execution(b, timer->execution_id, &e);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Input in = {
                .kind = INPUT_TIMER,
                .execution_id = timer->execution_id,
                .tenant = e->x->tenant,
                .seed = it->random[0],
                .instance = timer->instance,
                .slot = timer->slot,
                .at_ms = timer->at_ms,
        };
        r = batch_step(b, e, &in);
        if (r == 0 && b->update.applied) {
                b->n_timers++;
                b->n_late += b->now_ms - timer->at_ms > RUNTIME_LATE_MS;
        }
        return r;
}

int handle_result(Batch *b, Item *it) {
        Input *in = &it->request->input;
        CacheEntry *e;

        int r = batch_execution(b, in->execution_id, &e);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        in->tenant = e->x->tenant;
        r = batch_step(b, e, in);
        in->tenant = SLICE_NULL; /* borrowed from an execution that may go before the request does */
        return r;
}

int handle_command(Batch *b, Item *it) {
        CacheEntry *e;

        int r = batch_execution_of(b, it, &e);
        if (r || !e)
                return r;
        r = batch_step(b, e, &it->request->input);
        return r ? r : batch_reply_update(b, it);
}
