#pragma once
/*
 * What the files of the typed tables share: the tables, keys, and the transaction with what it saves up until
 * its commit. Keys and values of every table are laid down in README.md; change both together.
 */

#include <errno.h>
#include "base/arena.h"
#include "storage/store.h"

/* Names are part of the stored form (store.c); the order is not. */
typedef enum StoreTable {
        TABLE_META,
        TABLE_EXECUTIONS,
        TABLE_OPEN,
        TABLE_LISTING,
        TABLE_COUNTERS,
        TABLE_TIMERS,
        TABLE_WAITS,
        TABLE_EARLY,
        TABLE_RESULTS,
        TABLE_IDEMPOTENCY,
        TABLE_EVENTS,
        TABLE_EXPIRY,
        TABLE_APPROVALS,
        TABLE_RUNBOOKS,
        TABLE_OUTBOX,
        TABLE_MARKS,
        N_STORE_TABLES
} StoreTable;

/* The store's own rows of TABLE_META begin with a dot; store_meta_put's names must not. */
#define META_FORMAT ".format" /* u32; the one record whose form never changes */
#define META_ENGINE ".engine" /* the engine id, 16 bytes */
#define META_ORDER  ".order"  /* u64 last order given, i64 latest created_ms */

#define RECORD_VERSION 1 /* first byte of every value that is not empty or fixed for ever */

/* Rows of TABLE_EXECUTIONS, all of one execution side by side: id, one of these, and what the README says. */
typedef enum ExecutionRow {
        ROW_STATIC = 1,
        ROW_STATE = 2,
        ROW_PAGE = 3,
        ROW_SCOPE = 4,
        ROW_VALUE = 5,
        ROW_SERIES = 6, /* + StoreSeries, up to format 1: 6 journal, 7 history, 8 logs, 9 evidence */
        ROW_CHILD = 10,
        ROW_WAIT = 11,
        ROW_BUNDLE = 12
} ExecutionRow;

/* Kinds of rows of TABLE_LISTING: the first byte of their keys. */
typedef enum ListKind { LIST_TENANT = 1, LIST_RUNBOOK = 2, LIST_STATUS = 3 } ListKind;

/* ---- keys (store_key.c) ----------------------------------------------------------------------- */

#define KEY_TEXT_MAX                                                                                         \
        160 /* bytes a text takes in a key; longer ones end in a digest. Three of them and the rest fit      \
               KV_KEY_MAX */

typedef struct Key {
        size_t n;
        bool failed; /* out of memory */
        uint8_t bytes[KV_KEY_MAX];
} Key;

/** Empty it. (An initialiser would also clear all bytes, on the hottest road there is.) */
static inline void store_key_begin(Key *k) {
        k->n = 0;
        k->failed = false;
}
static inline Slice store_key_slice(const Key *k) { return slice_from_bytes(k->bytes, k->n); }
void store_key_put(Key *k, const void *data, size_t n);
void store_key_u8(Key *k, uint8_t v);
void store_key_u32(Key *k, uint32_t v);
void store_key_u64(Key *k, uint64_t v);
void store_key_time(Key *k, int64_t ms); /* signed: earlier times sort first */
void store_key_uuid(Key *k, Uuid id);
/** Self-delimiting and in byte order; no two texts share a form, nor is one's a prefix of another's. */
void store_key_text(Key *k, Slice text);

/** The last @n bytes of a stored key, as a reader (failed if it is shorter). */
Reader store_key_tail(Slice key, size_t n);
int64_t store_key_take_time(Reader *r);
Uuid store_key_take_uuid(Reader *r);

/* ---- the transaction
 * ----------------------------------------------------------------------------------------- */

#define COUNTERS_MAX 64 /* tenants whose counts one transaction saves up before it writes them */
#define EXPIRY_ROW_BYTES                                                                                     \
        (16 << 10) /* keys of one batch are put down together, up to this many bytes a row  \ */

typedef struct Counter {
        Slice tenant;
        int64_t executions[RUNBOOK_N_EXECUTION_STATUSES];
        int64_t early;
} Counter;

typedef enum ExpiryKind {
        EXPIRY_RESULTS = 1,
        EXPIRY_EVENTS = 2,
        EXPIRY_EARLY = 3,
        N_EXPIRY_KINDS
} ExpiryKind;

/** Keys that this transaction put and that expire together. */
typedef struct ExpiryBatch {
        Buf keys;
        int64_t at_ms; /* the youngest */
} ExpiryBatch;

struct StoreTxn {
        Store *store;
        KvTxn *kv;
        bool write;
        int error;  /* sticky, beside kv's own */
        Buf value;  /* scratch for what is put */
        Buf frames; /* scratch of store_series.c: the bundle unpacked last… */
        uint64_t unpacked_n, unpacked_number; /* …its length (0: none is kept) and number… */
        Uuid unpacked_id;                     /* …and whose it is */
        Arena arena;
        Counter *counters; /* COUNTERS_MAX, made on first use */
        size_t n_counters;
        ExpiryBatch expiry[N_EXPIRY_KINDS];
        uint64_t order_before;
        int64_t max_created_before;
};

struct Store {
        Kv *kv;
        Uuid engine_id;
        uint64_t order;         /* the last one given */
        int64_t max_created_ms; /* of all executions so far: listings stop by it */
        StoreTxn writer;        /* its buffers outlive its transactions */
};

extern const char *const store_table_names[N_STORE_TABLES];

/** Note a failure: it spoils the commit. Returns @e. */
static inline int store_fail(StoreTxn *t, int e) {
        if (e < 0 && !t->error)
                t->error = e;
        return e;
}
/** An emptied scratch buffer that begins with the record version. */
static inline Buf *store_value(StoreTxn *t) {
        buf_reset(&t->value);
        buf_put_u8(&t->value, RECORD_VERSION);
        return &t->value;
}
/** Read a value's version; false (and r->failed) if it is not ours. */
static inline bool store_take_version(Reader *r) {
        if (reader_u8(r) != RECORD_VERSION)
                r->failed = true;
        return !r->failed;
}
int store_get(StoreTxn *t, StoreTable table, const Key *key, Slice *ret);
int store_put(StoreTxn *t, StoreTable table, const Key *key, const Buf *value); /* @value may have failed */
int store_put_slice(StoreTxn *t, StoreTable table, const Key *key, Slice value);
/** KV_E_NOT_FOUND when absent. */
int store_delete(StoreTxn *t, StoreTable table, const Key *key);
int store_cursor(StoreTxn *t, StoreTable table, KvCursor **ret);
static inline void kv_cursor_close_p(KvCursor **c) { kv_cursor_close(*c); }
/** Seek the first key ≥ @from; KV_E_NOT_FOUND when it does not begin with @prefix. */
int store_seek(StoreTxn *t, KvCursor *c, const Key *from, const Key *prefix, Slice *ret_key,
               Slice *ret_value);
int store_seek_next(StoreTxn *t, KvCursor *c, const Key *prefix, Slice *ret_key, Slice *ret_value);

/* ---- between the tables
 * ------------------------------------------------------------------------------------------ */

/** The key of an execution's row. */
static inline Key execution_key(Uuid id, uint8_t row) {
        Key k;
        store_key_begin(&k);
        store_key_uuid(&k, id);
        store_key_u8(&k, row);
        return k;
}
/** The counter of @tenant in this transaction; valid until the next call. */
int store_counter(StoreTxn *t, Slice tenant, Counter **ret);
int store_counters_flush(StoreTxn *t);
/** Keep the listing, open and counter tables in step; @is_new: first save. */
int store_listing_update(StoreTxn *t, const Execution *x, bool is_new);
int store_expiry_note(StoreTxn *t, ExpiryKind kind, int64_t at_ms, const Key *key);
int store_expiry_flush(StoreTxn *t);
/**
 * Go through keys of @kind noted before @before_ms, oldest first, at most @max: each is deleted from @table
 * if its record's own time (a signed varint behind the version) is that old too. *ret: how many were deleted.
 */
int store_expiry_run(StoreTxn *t, ExpiryKind kind, StoreTable table, int64_t before_ms, uint32_t max,
                     uint32_t *ret);
/** Bring a store of format @from to STORE_FORMAT_VERSION, within @t. */
int store_migrate(StoreTxn *t, uint32_t from, Uuid fresh_id);
