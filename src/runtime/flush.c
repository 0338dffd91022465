/*
 * The flush: what a batch has collected is written, each execution once. What the batch appends to it
 * is one bundle, and one row in the outbox names all segments of all executions.
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

/** The records that the batch has for one series, which counts @total with them. */
static StorePart part(uint64_t total, uint32_t n, const Buf *frames) {
        return (StorePart){.first = total - n + 1, .n = n, .frames = buf_slice(frames)};
}

static int flush_one(Batch *b, const Touched *t) {
        Execution *x = t->entry->x;
        const StorePart parts[N_STORE_SERIES] = {
                [STORE_JOURNAL] = part(x->n_journal, t->n_journal, &t->journal),
                [STORE_HISTORY] = part(x->seq, t->n_events, &t->events),
                [STORE_LOGS] = part(x->n_logs, t->n_logs, &t->logs),
                [STORE_EVIDENCE] = part(x->n_evidence, t->n_evidence, &t->evidence),
        };
        int r = x->dirty ? store_execution_save(b->txn, x) : 0;

        /* Every input that left something behind is in the journal, so its last number names the bundle. */
        if (r == 0 && (t->n_journal | t->n_events | t->n_logs | t->n_evidence) > 0)
                r = store_bundle_append(b->txn, x->id, x->n_journal, parts);
        /* Evidence is announced by the event that records it. */
        if (r == 0 && t->n_events > 0)
                r = batch_announce(b, STORE_HISTORY, x->tenant, x->id, parts[STORE_HISTORY].first, t->n_events);
        if (r == 0 && t->n_logs > 0)
                r = batch_announce(b, STORE_LOGS, x->tenant, x->id, parts[STORE_LOGS].first, t->n_logs);
        return r;
}

int batch_flush(Batch *b) {
        int r = 0;

        LIST_FOREACH(node, &b->touched) {
                r = flush_one(b, LIST_ENTRY(node, Touched, node));
                if (r)
                        return r;
        }
        r = checkpoint_run(b);
        if (r || b->n_entries == 0)
                return r;
        b->outbox_row = b->r->outbox_row + 1;
        return store_outbox_append(b->txn, b->outbox_row, b->now_ms, b->entries, b->n_entries);
}
