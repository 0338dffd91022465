/*
 * Finding executions: newest first by tenant, by tenant and runbook, by tenant and status; those that are not
 * final; and how many there are of each status.
 *
 * A listing row is its key (kind, tenant, …, start order) and a few bytes that filters need; what is shown is
 * read from the execution's own records, so nothing of it can be stale. Each row also tells the latest
 * creation time of any execution up to its own order: with a lower time bound a listing stops where that
 * falls below it, and clocks that were set back can't fool it.
 */
#include "storage/store_impl.h"

#include <stdlib.h>
#include "base/cleanup.h"
#include "base/map.h"
#include "model/codec.h"
#include "model/execution_codec.h"

/* ---- counters
 * ------------------------------------------------------------------------------------------------- */

static Key counter_key(Slice tenant) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        return k;
}

/** The stored counts of a tenant: one for each status, then early events. A tenant without a row has zeros.
 */
static int counter_read(StoreTxn *t, Slice tenant, uint64_t executions[RUNBOOK_N_EXECUTION_STATUSES],
                        uint64_t *early) {
        Key key = counter_key(tenant);
        Slice found;

        memset(executions, 0, RUNBOOK_N_EXECUTION_STATUSES * sizeof(*executions));
        *early = 0;
        int r = store_get(t, TABLE_COUNTERS, &key, &found);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        for (unsigned i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                executions[i] = reader_varint(&reader);
        *early = reader_varint(&reader);
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

int store_counters_flush(StoreTxn *t) {
        int r = 0;

        for (size_t n = 0; n < t->n_counters && r == 0; n++) {
                Counter *c = &t->counters[n];
                uint64_t executions[RUNBOOK_N_EXECUTION_STATUSES], early;
                Key key = counter_key(c->tenant);

                r = counter_read(t, c->tenant, executions, &early);
                if (r)
                        break;
                Buf *b = store_value(t);
                for (unsigned i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                        buf_put_varint(b, executions[i] + (uint64_t)c->executions[i]);
                buf_put_varint(b, early + (uint64_t)c->early);
                r = store_put(t, TABLE_COUNTERS, &key, b);
        }
        t->n_counters = 0;
        return r;
}

int store_counter(StoreTxn *t, Slice tenant, Counter **ret) {
        for (size_t i = t->n_counters; i-- > 0;)
                if (slice_eq(t->counters[i].tenant, tenant)) {
                        *ret = &t->counters[i];
                        return 0;
                }
        if (!t->counters)
                t->counters = calloc(COUNTERS_MAX, sizeof(*t->counters));
        if (!t->counters)
                return store_fail(t, -ENOMEM);
        Slice copy = arena_dup(&t->arena,
                               tenant); /* before anything is put: @tenant may be borrowed from a row */
        if (tenant.n > 0 && !copy.data)
                return store_fail(t, -ENOMEM);
        int r = t->n_counters == COUNTERS_MAX ? store_counters_flush(t) : 0;
        if (r)
                return r;
        *ret = &t->counters[t->n_counters++];
        **ret = (Counter){.tenant = copy};
        return 0;
}

/** What this transaction has counted but not written yet. */
static const Counter *counter_pending(const StoreTxn *t, Slice tenant) {
        for (size_t i = 0; i < t->n_counters; i++)
                if (slice_eq(t->counters[i].tenant, tenant))
                        return &t->counters[i];
        return NULL;
}

int store_execution_counts(StoreTxn *t, Slice tenant, uint64_t ret[RUNBOOK_N_EXECUTION_STATUSES]) {
        const Counter *pending = counter_pending(t, tenant);
        uint64_t early;

        int r = counter_read(t, tenant, ret, &early);
        for (unsigned i = 0; r == 0 && pending && i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                ret[i] += (uint64_t)pending->executions[i];
        return r;
}

uint64_t store_early_count(StoreTxn *t, Slice tenant) {
        uint64_t executions[RUNBOOK_N_EXECUTION_STATUSES], early;
        const Counter *pending = counter_pending(t, tenant);

        if (counter_read(t, tenant, executions, &early) != 0)
                return 0;
        return early + (pending ? (uint64_t)pending->early : 0);
}

/* ---- keeping the rows
 * --------------------------------------------------------------------------------------------- */

static Key list_prefix(ListKind kind, Slice tenant, Slice runbook_id, uint8_t status) {
        Key k;
        store_key_begin(&k);
        store_key_u8(&k, (uint8_t)kind);
        store_key_text(&k, tenant);
        if (kind == LIST_RUNBOOK)
                store_key_text(&k, runbook_id);
        if (kind == LIST_STATUS)
                store_key_u8(&k, status);
        return k;
}

/** A few bytes that tell most other initiators apart, so that their records are not looked at. */
static uint16_t initiator_mark(Slice user) {
        static const uint64_t seed[2] = {0x72756e626f6f6b, 0x6c697374};
        return (uint16_t)map_hash(seed, user);
}

static int list_put(StoreTxn *t, const Execution *x, ListKind kind, uint8_t status) {
        Key key = list_prefix(kind, x->tenant, x->runbook_id, status);
        store_key_u64(&key, x->order);

        Buf *b = store_value(t);
        codec_put_uuid(b, &x->id);
        codec_put_signed(b, x->created_ms);
        buf_put_varint(b, (uint64_t)t->store->max_created_ms - (uint64_t)x->created_ms);
        buf_put_u16(b, initiator_mark(x->initiated_by));
        return store_put(t, TABLE_LISTING, &key, b);
}

static int list_remove(StoreTxn *t, const Execution *x, uint8_t status) {
        Key key = list_prefix(LIST_STATUS, x->tenant, x->runbook_id, status);
        store_key_u64(&key, x->order);
        int r = store_delete(t, TABLE_LISTING, &key);
        return r == KV_E_NOT_FOUND ? 0 : r;
}

static int open_update(StoreTxn *t, const Execution *x, bool was_open) {
        bool is_open = !runbook_execution_status_is_final(x->status);
        Key key;
        store_key_begin(&key);

        if (was_open == is_open)
                return 0;
        store_key_uuid(&key, x->id);
        if (is_open)
                return store_put_slice(t, TABLE_OPEN, &key, SLICE_NULL);
        int r = store_delete(t, TABLE_OPEN, &key);
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_listing_update(StoreTxn *t, const Execution *x, bool is_new) {
        Counter *counter;

        int r = store_counter(t, x->tenant, &counter);
        if (r)
                return r;
        counter->executions[x->status]++;
        if (is_new) {
                if (x->created_ms > t->store->max_created_ms)
                        t->store->max_created_ms = x->created_ms;
                r = list_put(t, x, LIST_TENANT, 0);
                if (r == 0)
                        r = list_put(t, x, LIST_RUNBOOK, 0);
        } else {
                counter->executions[x->stored_status]--;
                r = list_remove(t, x, x->stored_status);
        }
        if (r == 0)
                r = list_put(t, x, LIST_STATUS, x->status);
        return r ? r : open_update(t, x, !is_new && !runbook_execution_status_is_final(x->stored_status));
}

/* ---- reading them
 * --------------------------------------------------------------------------------------------------- */

typedef struct ListRow {
        uint64_t order;
        Uuid id;
        int64_t created_ms, max_created_ms;
        uint16_t initiator;
} ListRow;

static int take_row(Slice key, Slice value, ListRow *ret) {
        Reader k = store_key_tail(key, 8), v = reader_from_slice(value);

        ret->order = reader_u64(&k);
        store_take_version(&v);
        ret->id = store_key_take_uuid(&v);
        ret->created_ms = codec_signed(&v);
        ret->max_created_ms = (int64_t)((uint64_t)ret->created_ms + reader_varint(&v));
        ret->initiator = reader_u16(&v);
        return k.failed || v.failed ? -EBADMSG : 0;
}

/** What a listing shows of execution @id. */
static int read_summary(StoreTxn *t, const ListRow *row, StoreSummary *ret) {
        Key static_key = execution_key(row->id, ROW_STATIC), state_key = execution_key(row->id, ROW_STATE);
        Slice static_record, state_record;
        ExecutionSummary s;

        int r = store_get(t, TABLE_EXECUTIONS, &static_key, &static_record);
        if (r == 0)
                r = store_get(t, TABLE_EXECUTIONS, &state_key, &state_record);
        if (r == 0)
                r = execution_peek_summary(static_record, state_record, &s);
        if (r)
                return store_fail(t, r == KV_E_NOT_FOUND ? -EBADMSG : r);
        *ret = (StoreSummary){.id = row->id,
                              .runbook_id = s.runbook_id,
                              .runbook_version = s.runbook_version,
                              .initiated_by = s.initiated_by,
                              .status = s.status,
                              .created_ms = s.created_ms,
                              .start_ms = s.start_ms,
                              .end_ms = s.end_ms,
                              .order = s.order,
                              .n_total = s.n_instances,
                              .n_completed = s.n_completed,
                              .n_failed = s.n_failed,
                              .n_skipped = s.n_skipped,
                              .n_cancelled = s.n_cancelled,
                              .parent = s.parent,
                              .original = s.original};
        return 0;
}

static bool row_may_match(const StoreListFilter *f, const ListRow *row) {
        return (!f->since_ms || row->created_ms >= f->since_ms) &&
               (!f->until_ms || row->created_ms < f->until_ms) &&
               (!f->initiated_by.n || row->initiator == initiator_mark(f->initiated_by));
}

static bool summary_matches(const StoreListFilter *f, const StoreSummary *s) {
        return (f->status < 0 || s->status == f->status) &&
               (!f->initiated_by.n || slice_eq(s->initiated_by, f->initiated_by));
}

int store_execution_list(StoreTxn *t, const StoreListFilter *f,
                         bool (*each)(void *userdata, const StoreSummary *s), void *userdata,
                         uint64_t *ret_more_before) {
        ListKind kind = f->runbook_id.n ? LIST_RUNBOOK : f->status >= 0 ? LIST_STATUS : LIST_TENANT;
        Key prefix = list_prefix(kind, f->tenant, f->runbook_id, (uint8_t)f->status), bound = prefix;
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        bool stopped = false;
        StoreSummary s;
        ListRow row = {0};
        Slice k, v;

        *ret_more_before = 0;
        store_key_u64(&bound, f->before_order ? f->before_order : UINT64_MAX);
        int r = bound.failed ? store_fail(t, -ENOMEM) : store_cursor(t, TABLE_LISTING, &c);
        if (r)
                return r;
        r = store_fail(t, kv_cursor_seek_last(c, store_key_slice(&bound), &k, &v));
        for (uint32_t n = 0; r == 0; n++, r = store_fail(t, kv_cursor_prev(c, &k, &v))) {
                if (!slice_starts_with(k, store_key_slice(&prefix)))
                        return 0;
                if (stopped || n == STORE_LIST_SCAN_MAX) {
                        *ret_more_before = row.order; /* of the row before: this one is still to come */
                        return 0;
                }
                if (take_row(k, v, &row) < 0)
                        return store_fail(t, -EBADMSG);
                if (f->since_ms && row.max_created_ms < f->since_ms)
                        return 0;
                if (!row_may_match(f, &row))
                        continue;
                r = read_summary(t, &row, &s);
                if (r)
                        return r;
                if (summary_matches(f, &s))
                        stopped = !each(userdata, &s);
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_execution_open_next(StoreTxn *t, Uuid after, Uuid *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key from;
        store_key_begin(&from);
        Slice k, v;

        store_key_uuid(&from, after);
        store_key_u8(&from, 0); /* the least key behind @after itself */
        int r = store_cursor(t, TABLE_OPEN, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, store_key_slice(&from), &k, &v));
        if (r)
                return r;
        Reader key = reader_from_slice(k);
        *ret = store_key_take_uuid(&key);
        return key.failed ? store_fail(t, -EBADMSG) : 0;
}
