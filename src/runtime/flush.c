/*
 * The flush: what a batch has collected is written, each execution once. Its events of the batch are one
 * segment, and one row in the outbox names all segments of all executions.
 */
#include <errno.h>
#include <stdlib.h>

#include "runtime/runtime_private.h"

#define ENTRIES_MIN 64

int batch_announce(Batch *b, StoreSeries series, Slice tenant, Uuid id, uint64_t first, uint32_t n) {
        if (b->n_entries == b->cap_entries) {
                size_t cap = b->cap_entries ? b->cap_entries * 2 : ENTRIES_MIN;
                StoreOutboxEntry *bigger = realloc(b->entries, cap * sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                b->entries = bigger;
                b->cap_entries = cap;
        }
        b->entries[b->n_entries++] =
                (StoreOutboxEntry){.series = series, .tenant = tenant, .id = id, .first = first, .n = n};
        return 0;
}

static int append(Batch *b, const Execution *x, StoreSeries series, uint64_t first, uint32_t n,
                  const Buf *frames) {
        if (n == 0)
                return 0;
        int r = store_series_append(b->txn, series, x->id, first, n, buf_slice(frames));
        if (r == 0 && series != STORE_EVIDENCE) /* evidence is announced by the event that records it */
                r = batch_announce(b, series, x->tenant, x->id, first, n);
        return r;
}

static int flush_one(Batch *b, const Touched *t) {
        Execution *x = t->entry->x;
        int r = x->dirty ? store_execution_save(b->txn, x) : 0;

        if (r == 0)
                r = append(b, x, STORE_HISTORY, t->first_seq, t->n_events, &t->events);
        if (r == 0)
                r = append(b, x, STORE_LOGS, x->n_logs - t->n_logs + 1, t->n_logs, &t->logs);
        if (r == 0)
                r = append(b, x, STORE_EVIDENCE, x->n_evidence - t->n_evidence + 1, t->n_evidence,
                           &t->evidence);
        return r;
}

int batch_flush(Batch *b) {
        int r = 0;

        LIST_FOREACH(node, &b->touched) {
                r = flush_one(b, LIST_ENTRY(node, Touched, node));
                if (r)
                        return r;
        }
        if (b->n_entries == 0)
                return 0;
        b->outbox_row = b->r->outbox_row + 1;
        return store_outbox_append(b->txn, b->outbox_row, b->now_ms, b->entries, b->n_entries);
}
