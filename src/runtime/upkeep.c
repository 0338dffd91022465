/*
 * Upkeep: small writes that nobody waits for. They ride with a batch that is committed anyway; only when
 * there is none for a while do they cost a commit of their own.
 *
 *   time    The last time told, so that it never goes back, not even across a restart with the wall clock set
 *           back. The outbox's rows carry it; it is written by itself only by batches that moved something
 *           and published nothing.
 *   mark    How far the audit stream has come.
 *   expiry  Command results, event ids, early events and outbox rows that are too old: a bounded slice at a
 *           time.
 */
#include <errno.h>

#include "base/buf.h"
#include "runtime/runtime_private.h"

static int put_time(Batch *b) {
        if (b->outbox_row || b->n_inputs == 0 || b->now_ms <= b->r->stored_now_ms)
                return 0;
        b->upkeep.time = true;
        return store_meta_put_u64(b->txn, META_TIME, (uint64_t)b->now_ms);
}

/** When the mark is to be written: with a batch that is written anyway, or (@alone) by itself, a while after
 * it was first wanted. */
static int64_t mark_due_ms(Runtime *r, bool alone, OutboxMark *ret) {
        bool urgent;

        if (!outbox_mark_wanted(&r->outbox, ret, &urgent))
                return INT64_MAX;
        if (urgent)
                return INT64_MIN;
        if (r->mark_wanted_ms == 0)
                r->mark_wanted_ms = r->last_now_ms;
        return alone ? r->mark_wanted_ms + RUNTIME_MARK_ALONE_MS : r->mark_ms + RUNTIME_MARK_JOIN_MS;
}

static int put_mark(Batch *b) {
        OutboxMark mark;

        if (mark_due_ms(b->r, b->n_inputs == 0, &mark) > b->now_ms)
                return 0;
        b->upkeep.mark = true;
        b->upkeep.wanted = mark;
        int r = store_outbox_mark(b->txn, mark.row, mark.stream_seq);
        return r ? r : store_meta_put_u64(b->txn, META_STREAM, (uint64_t)mark.created_ms);
}

static int64_t expiry_due_ms(const Runtime *r, bool idle) {
        return r->upkeep_ms + (idle && !r->upkeep_more ? RUNTIME_UPKEEP_IDLE_MS : RUNTIME_UPKEEP_MS);
}

static int expire(Batch *b, bool *ret_wrote) {
        const RuntimeSettings *s = &b->r->settings;
        uint32_t n_results = 0, n_events = 0, n_early = 0, n_rows = 0;

        if (expiry_due_ms(b->r, b->n_inputs == 0) > b->now_ms)
                return 0;
        b->upkeep.looked = true;
        int r = store_result_expire(b->txn, b->now_ms - s->results_ttl_ms, RUNTIME_UPKEEP_ROWS, &n_results);
        if (r == 0)
                r = store_event_expire(b->txn, b->now_ms - s->results_ttl_ms, RUNTIME_UPKEEP_ROWS, &n_events);
        if (r == 0)
                r = store_early_expire(b->txn, b->now_ms, RUNTIME_UPKEEP_ROWS, &n_early);
        if (r == 0)
                r = store_outbox_trim(b->txn, checkpoint_row_kept(b->r, outbox_published_row(&b->r->outbox)),
                                      b->now_ms - s->outbox_ttl_ms, RUNTIME_UPKEEP_ROWS, &n_rows);
        b->upkeep.more = n_results == RUNTIME_UPKEEP_ROWS || n_events == RUNTIME_UPKEEP_ROWS ||
                         n_early == RUNTIME_UPKEEP_ROWS || n_rows == RUNTIME_UPKEEP_ROWS;
        *ret_wrote |= n_results || n_events || n_early || n_rows;
        if (r == 0 && n_rows) {
                b->upkeep.time = true; /* the row that carried it may be gone */
                r = store_meta_put_u64(b->txn, META_TIME, (uint64_t)b->now_ms);
                if (r == 0) /* and the one that says which number comes next */
                        r = store_meta_put_u64(b->txn, META_ROW, b->outbox_row ? b->outbox_row : b->r->outbox_row);
        }
        return r;
}

int upkeep_run(Batch *b, bool *ret_wrote) {
        int r = put_time(b);
        if (r == 0)
                r = put_mark(b);
        *ret_wrote = b->upkeep.time || b->upkeep.mark;
        return r ? r : expire(b, ret_wrote);
}

void upkeep_committed(Batch *b) {
        Runtime *r = b->r;

        if (b->upkeep.time || b->outbox_row)
                r->stored_now_ms = b->now_ms;
        if (b->outbox_row)
                r->outbox_row = b->outbox_row;
        checkpoint_committed(b);
        if (b->upkeep.mark) {
                r->mark_ms = b->now_ms;
                r->mark_wanted_ms = 0;
                outbox_mark_written(&r->outbox, &b->upkeep.wanted);
        }
        if (b->upkeep.looked) {
                r->upkeep_ms = b->now_ms;
                r->upkeep_more = b->upkeep.more;
        }
}

bool upkeep_is_due(Runtime *r, int64_t now_ms) {
        OutboxMark mark;
        return mark_due_ms(r, true, &mark) <= now_ms || expiry_due_ms(r, true) <= now_ms ||
               checkpoint_due_ms(r) <= now_ms;
}

int64_t upkeep_due_ms(Runtime *r) {
        OutboxMark mark;
        int64_t mark_due = mark_due_ms(r, true, &mark), expiry_due = expiry_due_ms(r, true);
        int64_t due = mark_due < expiry_due ? mark_due : expiry_due, checkpoint_due = checkpoint_due_ms(r);
        return checkpoint_due < due ? checkpoint_due : due;
}
