/*
 * Opening a store, and its transactions. What repeats with every execution of a batch (a tenant's counters,
 * the last order given, which keys expire when) is saved up in the transaction and written once, at its
 * commit.
 */
#include "storage/store_impl.h"

#include <assert.h>
#include <stdlib.h>
#include "base/cleanup.h"

const char *const store_table_names[N_STORE_TABLES] = {
                [TABLE_META] = "meta",           [TABLE_EXECUTIONS] = "executions",
                [TABLE_OPEN] = "open",           [TABLE_LISTING] = "listing",
                [TABLE_COUNTERS] = "counters",   [TABLE_TIMERS] = "timers",
                [TABLE_WAITS] = "waits",         [TABLE_EARLY] = "early",
                [TABLE_RESULTS] = "results",     [TABLE_IDEMPOTENCY] = "idempotency",
                [TABLE_EVENTS] = "events",       [TABLE_EXPIRY] = "expiry",
                [TABLE_APPROVALS] = "approvals", [TABLE_RUNBOOKS] = "runbooks",
                [TABLE_OUTBOX] = "outbox",       [TABLE_MARKS] = "marks",
};

/* ---- rows
 * --------------------------------------------------------------------------------------------------- */

int store_get(StoreTxn *t, StoreTable table, const Key *key, Slice *ret) {
        if (key->failed)
                return store_fail(t, -ENOMEM);
        return store_fail(t, kv_get(t->kv, table, store_key_slice(key), ret));
}

int store_put_slice(StoreTxn *t, StoreTable table, const Key *key, Slice value) {
        if (key->failed)
                return store_fail(t, -ENOMEM);
        return store_fail(t, kv_put(t->kv, table, store_key_slice(key), value));
}

int store_put(StoreTxn *t, StoreTable table, const Key *key, const Buf *value) {
        if (value->error)
                return store_fail(t, value->error);
        return store_put_slice(t, table, key, buf_slice(value));
}

int store_delete(StoreTxn *t, StoreTable table, const Key *key) {
        if (key->failed)
                return store_fail(t, -ENOMEM);
        return store_fail(t, kv_delete(t->kv, table, store_key_slice(key)));
}

int store_cursor(StoreTxn *t, StoreTable table, KvCursor **ret) {
        return store_fail(t, kv_cursor_open(t->kv, table, ret));
}

static int within(StoreTxn *t, int r, Slice key, const Key *prefix) {
        if (r == 0 && !slice_starts_with(key, store_key_slice(prefix)))
                return KV_E_NOT_FOUND;
        return store_fail(t, r);
}

int store_seek(StoreTxn *t, KvCursor *c, const Key *from, const Key *prefix, Slice *ret_key,
               Slice *ret_value) {
        if (from->failed || prefix->failed)
                return store_fail(t, -ENOMEM);
        *ret_key = SLICE_NULL;
        int r = kv_cursor_seek(c, store_key_slice(from), ret_key, ret_value);
        return within(t, r, *ret_key, prefix);
}

int store_seek_next(StoreTxn *t, KvCursor *c, const Key *prefix, Slice *ret_key, Slice *ret_value) {
        *ret_key = SLICE_NULL;
        int r = kv_cursor_next(c, ret_key, ret_value);
        return within(t, r, *ret_key, prefix);
}

/* ---- transactions
 * --------------------------------------------------------------------------------------------- */

int store_begin_read(Store *s, StoreTxn **ret) {
        StoreTxn *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->store = s;
        int r = kv_begin_read(s->kv, &t->kv);
        if (r)
                free(t);
        else
                *ret = t;
        return r;
}

int store_begin_write(Store *s, StoreTxn **ret) {
        StoreTxn *t = &s->writer;
        KvTxn *kv;

        int r = kv_begin_write(s->kv, &kv);
        if (r)
                return r;
        t->store = s;
        t->kv = kv;
        t->write = true;
        t->error = 0;
        t->order_before = s->order;
        t->max_created_before = s->max_created_ms;
        *ret = t;
        return 0;
}

/** Ready for the next transaction: emptied, memory kept. */
static void writer_reset(StoreTxn *t) {
        t->kv = NULL;
        t->n_counters = 0;
        arena_reset(&t->arena);
        buf_reset(&t->value);
        for (size_t i = 0; i < N_EXPIRY_KINDS; i++)
                buf_reset(&t->expiry[i].keys);
}

static void txn_deinit(StoreTxn *t) {
        free(t->counters);
        arena_deinit(&t->arena);
        buf_deinit(&t->value);
        buf_deinit(&t->frames);
        for (size_t i = 0; i < N_EXPIRY_KINDS; i++)
                buf_deinit(&t->expiry[i].keys);
}

static Key meta_key(const char *name) {
        Key k;
        store_key_begin(&k);
        size_t n = strlen(name);
        if (n == 0 || n > KV_KEY_MAX)
                k.failed = true;
        else
                store_key_put(&k, name, n);
        return k;
}

static int flush_order(StoreTxn *t) {
        Store *s = t->store;
        Key key = meta_key(META_ORDER);

        if (s->order == t->order_before && s->max_created_ms == t->max_created_before)
                return 0;
        buf_reset(&t->value);
        buf_put_u64(&t->value, s->order);
        buf_put_u64(&t->value, (uint64_t)s->max_created_ms);
        return store_put(t, TABLE_META, &key, &t->value);
}

int store_commit(StoreTxn *t) {
        assert(t->write);
        int r = t->error;
        if (r == 0)
                r = store_counters_flush(t);
        if (r == 0)
                r = store_expiry_flush(t);
        if (r == 0)
                r = flush_order(t);
        if (r)
                kv_abort(t->kv);
        else
                r = kv_commit(t->kv);
        writer_reset(t);
        return r;
}

void store_abort(StoreTxn *t) {
        if (!t)
                return;
        kv_abort(t->kv);
        if (t == &t->store->writer) {
                writer_reset(t);
        } else {
                txn_deinit(t);
                free(t);
        }
}

/* ---- small named values
 * ------------------------------------------------------------------------------------------ */

int store_meta_get(StoreTxn *t, const char *name, Slice *ret) {
        Key key = meta_key(name);
        return store_get(t, TABLE_META, &key, ret);
}

int store_meta_put(StoreTxn *t, const char *name, Slice value) {
        Key key = meta_key(name);
        assert(name[0] != '.');
        return store_put_slice(t, TABLE_META, &key, value);
}

int store_meta_get_u64(StoreTxn *t, const char *name, uint64_t *ret) {
        Slice stored;

        *ret = 0;
        int r = store_meta_get(t, name, &stored);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Reader reader = reader_from_slice(stored);
        *ret = reader_u64(&reader);
        return reader.failed ? -EBADMSG : 0;
}

int store_meta_put_u64(StoreTxn *t, const char *name, uint64_t value) {
        buf_reset(&t->value);
        buf_put_u64(&t->value, value);
        return t->value.error ? t->value.error : store_meta_put(t, name, buf_slice(&t->value));
}

/* ---- opening
 * ---------------------------------------------------------------------------------------------------------
 */

static int put_format(StoreTxn *t) {
        Key key = meta_key(META_FORMAT);
        buf_reset(&t->value);
        buf_put_u32(&t->value, STORE_FORMAT_VERSION);
        return store_put(t, TABLE_META, &key, &t->value);
}

static int put_engine(StoreTxn *t, Uuid id) {
        Key key = meta_key(META_ENGINE);
        return store_put_slice(t, TABLE_META, &key, uuid_slice(&id));
}

/** Format 0 had no engine id. */
static int migrate_0(StoreTxn *t, Uuid fresh_id) {
        Slice found;
        int r = store_meta_get(t, META_ENGINE, &found);
        return r == STORE_E_NOT_FOUND ? put_engine(t, fresh_id) : r;
}

/** Segments stay in rows of their own; only what is new goes into bundles, which format 1 does not know. */
static int migrate_1(StoreTxn *t, Uuid fresh_id) { return 0; }

/** migrations[v] brings a store of format v to v + 1. */
static int (*const migrations[STORE_FORMAT_VERSION])(StoreTxn *t, Uuid fresh_id) = {
                [0] = migrate_0,
                [1] = migrate_1,
};

int store_migrate(StoreTxn *t, uint32_t from, Uuid fresh_id) {
        int r = 0;
        for (uint32_t v = from; v < STORE_FORMAT_VERSION && r == 0; v++)
                r = migrations[v](t, fresh_id);
        return r ? r : put_format(t);
}

static int make_fresh(StoreTxn *t, Uuid fresh_id, Report *report) {
        for (unsigned i = 0; i < N_STORE_TABLES; i++)
                if (kv_count(t->kv, i) > 0) {
                        report_set(report, RUNBOOK_UNAVAILABLE,
                                   "The store has records (in table \"%s\") but no format version, so it "
                                   "is not one of this program's; give it another data directory.",
                                   store_table_names[i]);
                        return store_fail(t, -EBADMSG);
                }
        int r = put_engine(t, fresh_id);
        return r ? r : put_format(t);
}

/** In one transaction: make, migrate or refuse. */
static int settle_format(StoreTxn *t, Uuid fresh_id, Report *report) {
        uint32_t format;
        Slice found;

        int r = store_meta_get(t, META_FORMAT, &found);
        if (r == STORE_E_NOT_FOUND)
                return make_fresh(t, fresh_id, report);
        if (r)
                return r;
        Reader reader = reader_from_slice(found);
        format = reader_u32(&reader);
        if (reader.failed || reader_left(&reader) > 0)
                return store_fail(t, -EBADMSG);
        if (format > STORE_FORMAT_VERSION) {
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The store was written by a newer version of this program (format %u; this one "
                           "knows up to format %u). Run the newer version, or restore a backup made before "
                           "it was installed.",
                           format, STORE_FORMAT_VERSION);
                return store_fail(t, -EPROTONOSUPPORT);
        }
        return format < STORE_FORMAT_VERSION ? store_migrate(t, format, fresh_id) : 0;
}

/** Nothing may be written: the format must be this program's. */
static int expect_format(Store *s, Report *report) {
        uint32_t format = 0;
        StoreTxn *t;
        Slice found;

        int r = store_begin_read(s, &t);
        if (r)
                return r;
        r = store_meta_get(t, META_FORMAT, &found);
        if (r == 0) {
                Reader reader = reader_from_slice(found);
                format = reader_u32(&reader);
                r = reader.failed ? -EBADMSG : format == STORE_FORMAT_VERSION ? 0 : -EPROTONOSUPPORT;
        } else if (r == STORE_E_NOT_FOUND) {
                r = -EBADMSG;
        }
        store_abort(t);
        if (r == -EPROTONOSUPPORT)
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The store has format %u, this program reads format %u%s.", format, STORE_FORMAT_VERSION,
                           format < STORE_FORMAT_VERSION ? "; start the engine on it once, which brings it up to date"
                                                         : "; use the newer version that wrote it");
        return r;
}

static int settle(Store *s, Uuid fresh_id, Report *report) {
        StoreTxn *t;
        int r;

        do {
                r = store_begin_write(s, &t);
                if (r)
                        return r;
                r = settle_format(t, fresh_id, report);
                if (r < 0) {
                        store_abort(t);
                        return r;
                }
                r = store_commit(t);
        } while (r == KV_E_MAP_FULL && (r = kv_grow(s->kv)) == 0);
        return r;
}

/** What is kept in the store's memory. */
static int load_memory(Store *s) {
        StoreTxn *t;
        Slice engine, order;

        int r = store_begin_read(s, &t);
        if (r)
                return r;
        r = store_meta_get(t, META_ENGINE, &engine);
        if (r == 0 && engine.n == sizeof(s->engine_id.bytes))
                memcpy(s->engine_id.bytes, engine.data, engine.n);
        else
                r = r < 0 ? r : -EBADMSG;
        if (r == 0) {
                r = store_meta_get(t, META_ORDER, &order);
                if (r == 0) {
                        Reader reader = reader_from_slice(order);
                        s->order = reader_u64(&reader);
                        s->max_created_ms = (int64_t)reader_u64(&reader);
                        r = reader.failed ? -EBADMSG : 0;
                } else if (r == STORE_E_NOT_FOUND) {
                        s->max_created_ms = INT64_MIN;
                        r = 0;
                }
        }
        store_abort(t);
        return r;
}

static int open_kv(const StoreOptions *options, Report *report, Kv **ret) {
        KvOptions kv = {.path = options->path,
                        .map_size = options->map_size,
                        .map_size_max = options->map_size_max,
                        .access = options->access};

        if (!strcmp(options->backend, "lmdb"))
                return kv_open_lmdb(&kv, store_table_names, N_STORE_TABLES, report, ret);
        if (!strcmp(options->backend, "memory"))
                return kv_open_mem(store_table_names, N_STORE_TABLES, report, ret);
        report_set(report, RUNBOOK_INVALID_REQUEST,
                   "STORAGE_BACKEND must be \"lmdb\" or \"memory\", not \"%s\".", options->backend);
        return -EINVAL;
}

int store_open(const StoreOptions *options, Uuid fresh_id, Report *report, Store **ret) {
        Store *s = calloc(1, sizeof(*s));
        if (!s) {
                report_set(report, RUNBOOK_UNAVAILABLE, "Out of memory while opening the store.");
                return -ENOMEM;
        }
        int r = open_kv(options, report, &s->kv);
        if (r == 0)
                r = options->access == KV_OWN ? settle(s, fresh_id, report) : expect_format(s, report);
        if (r == 0)
                r = load_memory(s);
        if (r) {
                if (!report_is_error(report))
                        report_set(report, RUNBOOK_UNAVAILABLE, "The store can't be read: %s.",
                                   r == -EBADMSG ? "its own records are damaged; restore a backup"
                                                 : strerror(r < 0 ? -r : ENOSPC));
                store_close(s);
                return r < 0 ? r : -ENOSPC;
        }
        *ret = s;
        return 0;
}

void store_close(Store *s) {
        if (!s)
                return;
        kv_close(s->kv);
        txn_deinit(&s->writer);
        free(s);
}

Uuid store_engine_id(const Store *s) { return s->engine_id; }
uint64_t store_next_order(Store *s) { return ++s->order; }
int store_stats(Store *s, KvStats *ret) { return kv_stats(s->kv, ret); }
int store_grow(Store *s) { return kv_grow(s->kv); }
int store_backup(Store *s, const char *path, Report *report) { return kv_backup(s->kv, path, report); }
