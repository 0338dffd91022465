/*
 * Recovery
 *
 * Everything that waits is in the store: timers in their table (overdue ones fire in the first turn), waits
 * for events and people in theirs. Only tasks live outside: of every execution that is not final, the
 * attempts that were in flight are sent out again, same attempt, same idempotency key.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "runtime/runtime_private.h"

#define RECOVERY_SLICE 256 /* executions looked at in one read transaction */

static bool stop_at_first(void *userdata, const StoreOutboxEntry *e) { return false; }

/** The last time told: a row of the outbox says when it was written, and batches without one wrote it down
 * themselves. */
static int recover_time(Runtime *r, StoreTxn *t) {
        uint64_t row, told_ms;
        int64_t at_ms;

        int rc = store_meta_get_u64(t, META_TIME, &told_ms);
        if (rc)
                return rc;
        r->last_now_ms = (int64_t)told_ms;
        rc = store_outbox_last(t, &row);
        if (rc == 0 && row > 0)
                rc = store_outbox_read(t, row, &row, &at_ms, stop_at_first, NULL);
        else if (rc == 0)
                return 0;
        if (rc == 0 && at_ms > r->last_now_ms)
                r->last_now_ms = at_ms;
        return rc == STORE_E_NOT_FOUND ? 0 : rc;
}

static int recover_clocks(Runtime *r) {
        StoreTimer timer;
        StoreTxn *t;

        int rc = store_begin_read(r->store, &t);
        if (rc)
                return rc;
        rc = recover_time(r, t);
        r->stored_now_ms = r->last_now_ms;
        if (rc == 0)
                rc = checkpoint_recover(r, t);
        if (rc == 0) {
                rc = store_timer_next(t, NULL, &timer);
                r->next_timer_ms = rc == 0 ? timer.at_ms : INT64_MAX;
                rc = rc == STORE_E_NOT_FOUND ? 0 : rc;
        }
        store_abort(t);
        return rc;
}

static void log_damaged(Uuid id, int error) {
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(id, text);
        log_event(LOG_ERROR, "an execution can't be loaded: it stays as it is and the others go on",
                  "execution", text, "reason",
                  error == -EBADMSG ? "a record in the store is damaged" : strerror(-error), NULL);
}

/** 0, or what stops the recovery. */
static int reopen_one(Batch *b, Uuid id) {
        CacheEntry *e;

        int rc = batch_execution(b, id, &e);
        if (rc == -ENOMEM || rc == -EIO)
                return rc;
        if (rc) {
                log_damaged(id, rc == STORE_E_NOT_FOUND ? -EBADMSG : rc);
                return 0;
        }
        measures_begin(&b->r->measures);
        measures_add(&b->r->measures, e->x, false);
        measures_end(&b->r->measures);
        update_reset(&b->update);
        rc = engine_reopen_tasks(e->x, &b->r->settings.engine, &b->update);
        return rc ? rc : effects_apply(b, e);
}

/** Up to RECOVERY_SLICE executions after *@id. 0: there may be more; STORE_E_NOT_FOUND: that was all;
 * negative. */
static int reopen_slice(Runtime *r, Uuid *id, uint64_t *n) {
        Batch *b = &r->batch;

        int rc = store_begin_read(r->store, &b->txn);
        if (rc)
                return rc;
        b->now_ms = r->last_now_ms;
        for (unsigned i = 0; rc == 0 && i < RECOVERY_SLICE; i++) {
                rc = store_execution_open_next(b->txn, *id, id);
                if (rc == 0)
                        rc = reopen_one(b, *id);
                *n += rc == 0;
        }
        store_abort(b->txn);
        b->txn = NULL;
        if (rc >= 0) {
                batch_dispatch(b);
                cache_trim(&r->cache);
        }
        return rc;
}

int recovery_run(Runtime *r, Report *report) {
        Uuid id = UUID_NIL;
        uint64_t n = 0;

        int rc = outbox_recover(&r->outbox);
        if (rc == 0)
                rc = recover_clocks(r);
        if (rc == 0) {
                r->outbox_row = r->outbox.last_row;
                runtime_now(r);
        }
        while (rc == 0)
                rc = reopen_slice(r, &id, &n);
        if (rc != STORE_E_NOT_FOUND) {
                report_set(report, RUNBOOK_UNAVAILABLE, "The store could not be recovered: %s.",
                           rc == -EBADMSG ? "its own records are damaged; restore a backup" : strerror(-rc));
                return rc;
        }
        if (n)
                log_printf(LOG_INFO, "recovered: %llu execution(s) under way, %zu task(s) sent out again",
                           (unsigned long long)n, open_tasks_count(&r->tasks));
        return 0;
}
