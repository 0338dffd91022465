#pragma once
/*
 * The typed tables, written once above kv.h. Keys are big-endian so that byte order is number order; values
 * carry a version. Calls give 0, STORE_E_NOT_FOUND, or a negative error that poisons the transaction.
 */

#include "base/report.h"
#include "model/execution.h"
#include "model/input.h"
#include "storage/kv.h"

#define STORE_FORMAT_VERSION 2
#define STORE_E_NOT_FOUND    KV_E_NOT_FOUND
#define STORE_E_MAP_FULL     KV_E_MAP_FULL

typedef struct Store Store;
typedef struct StoreTxn StoreTxn;

typedef struct StoreOptions {
        const char *backend;           /* "lmdb" or "memory" */
        const char *path;              /* DATA_DIR; made if missing (0700) */
        size_t map_size, map_size_max; /* 0: defaults */
        KvAccess access;               /* other than KV_OWN: nothing is made, migrated or written */
} StoreOptions;

/** Open, check the format version (newer: refused with a sentence; older: migrated), make the engine id from
 * @fresh_id on first open. */
int store_open(const StoreOptions *options, Uuid fresh_id, Report *report, Store **ret);
void store_close(Store *s);
/** The id of this store, made once; names the engine in events. */
Uuid store_engine_id(const Store *s);
int store_stats(Store *s, KvStats *ret);
int store_grow(Store *s);
int store_backup(Store *s, const char *path, Report *report);

/*
 * The fence: which starts of an engine this store has seen, and where it lay. A copy of a store lies elsewhere, and
 * does not know of starts that came after it was taken.
 */
#define STORE_FENCE_KEPT 256 /* starts in a row that the bus may not hear of */
typedef struct StoreFence {
        uint64_t incarnation;          /* starts so far */
        Uuid nonces[STORE_FENCE_KEPT]; /* one for each start, the newest first */
        size_t n;
} StoreFence;
/**
 * Note a start, with @nonce in front of those that came before; *ret is what stands then. 0; -EKEYREJECTED: the store
 * is a copy (it lies elsewhere than at its last start), nothing was noted, and a sentence is in @report; other
 * negative errors. @adopt: a copy is taken as it is.
 */
int store_fence_note(Store *s, Uuid nonce, bool adopt, Report *report, StoreFence *ret);

int store_begin_read(Store *s, StoreTxn **ret);
int store_begin_write(Store *s, StoreTxn **ret);
int store_commit(StoreTxn *t);
void store_abort(StoreTxn *t); /* NULL-safe; ends reads too */

/* ---- executions ------------------------------------------------------------------------------- */

/** Resolves a runbook for decoding; an owned reference in *ret. 0, STORE_E_NOT_FOUND, negative. */
typedef int (*StoreRunbookLookup)(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version,
                                  Runbook **ret);

/** Load whole. */
int store_execution_load(StoreTxn *t, Uuid id, StoreRunbookLookup lookup, void *userdata, Execution **ret);
bool store_execution_exists(StoreTxn *t, Uuid id);
/** Write what is dirty, keep the listing indexes (tenant; tenant+runbook; tenant+status; all not-final ones)
 * in step, clear the marks. On a later failed commit the execution in memory must be dropped. */
int store_execution_save(StoreTxn *t, Execution *x);

typedef struct StoreListFilter {
        Slice tenant;
        Slice runbook_id;           /* empty: any */
        int status;                 /* RunbookExecutionStatus; -1: any */
        Slice initiated_by;         /* empty: any */
        int64_t since_ms, until_ms; /* created_ms within [since, until); 0: open */
        uint64_t before_order;      /* cursor: executions older than this order; 0: from the newest */
} StoreListFilter;
typedef struct StoreSummary {
        Uuid id;
        Slice runbook_id, runbook_version, initiated_by;
        uint8_t status;
        int64_t created_ms, start_ms, end_ms;
        uint64_t order;
        uint32_t n_total, n_completed, n_failed, n_skipped, n_cancelled;
        Uuid parent, original;
} StoreSummary;
/** Newest first; @each returns false to stop after the one it was given. Looks at no more than
 * STORE_LIST_SCAN_MAX rows. *ret_more_before is then the cursor to go on with (0: all seen). */
#define STORE_LIST_SCAN_MAX 100000
int store_execution_list(StoreTxn *t, const StoreListFilter *filter,
                         bool (*each)(void *userdata, const StoreSummary *s), void *userdata,
                         uint64_t *ret_more_before);
/** All executions that are not final, in id order, after @after (nil: from the start). For recovery. */
int store_execution_open_next(StoreTxn *t, Uuid after, Uuid *ret);
/** Executions per status of a tenant (counters kept in step by save). */
int store_execution_counts(StoreTxn *t, Slice tenant, uint64_t ret[RUNBOOK_N_EXECUTION_STATUSES]);
/** The next start order (1…), kept in the store's memory from the last one stored. */
uint64_t store_next_order(Store *s);

/* ---- journal, history, logs, evidence: append-only, per execution ----------------------------- */

typedef enum StoreSeries { STORE_JOURNAL, STORE_HISTORY, STORE_LOGS, STORE_EVIDENCE, N_STORE_SERIES } StoreSeries;
/** Records of one series: @n of them, framed (update.h), numbered from @first, which with n 0 is the number that
 * the next record will get. */
typedef struct StorePart {
        uint64_t first;
        uint32_t n;
        Slice frames;
} StorePart;
/** Append to all series of @id at once. @number is greater than those of all bundles that @id has. */
int store_bundle_append(StoreTxn *t, Uuid id, uint64_t number, const StorePart parts[N_STORE_SERIES]);
/** Put @frames (as many records) in the place of the segment that holds record @at: for repairs, and for tests
 * that tamper. 0, STORE_E_NOT_FOUND, negative. */
int store_series_replace(StoreTxn *t, StoreSeries series, Uuid id, uint64_t at, Slice frames);
/** The segment that holds record @from or, if there is none, the first after it. Slices are valid until
 * the next call of this function in the same transaction, or a put. */
int store_series_segment(StoreTxn *t, StoreSeries series, Uuid id, uint64_t from, uint64_t *ret_first,
                         uint32_t *ret_n, Slice *ret_frames);

/* ---- timers ----------------------------------------------------------------------------------- */

typedef struct StoreTimer {
        int64_t at_ms;
        Uuid execution_id;
        uint32_t instance;
        uint8_t slot;
} StoreTimer;
int store_timer_set(StoreTxn *t, const StoreTimer *timer);
int store_timer_clear(StoreTxn *t, const StoreTimer *timer); /* absent is fine */
/** The earliest timer; STORE_E_NOT_FOUND when there is none. @after NULL: the very first, else the first
 * after it. */
int store_timer_next(StoreTxn *t, const StoreTimer *after, StoreTimer *ret);

/* ---- event waits and early events ------------------------------------------------------------- */

typedef struct StoreWait {
        uint64_t order;
        Uuid execution_id;
        uint32_t instance, attempt;
} StoreWait;
/** FIFO per (tenant, type, correlation). @order grows with every wait (store_next_order). */
int store_wait_add(StoreTxn *t, Slice tenant, Slice type, Slice correlation, const StoreWait *wait);
/** Remove the wait of (execution, instance); absent is fine. */
int store_wait_remove(StoreTxn *t, Slice tenant, Slice type, Slice correlation, Uuid execution_id,
                      uint32_t instance);
int store_wait_first(StoreTxn *t, Slice tenant, Slice type, Slice correlation, StoreWait *ret);

typedef struct StoreEarlyEvent {
        uint64_t order;
        int64_t expires_ms;
        Slice event_id, user;
        Slice payload;
} StoreEarlyEvent;
int store_early_add(StoreTxn *t, Slice tenant, Slice type, Slice correlation, const StoreEarlyEvent *event);
/** The oldest unexpired one; it is deleted by store_early_delete. Slices borrow. */
int store_early_first(StoreTxn *t, Slice tenant, Slice type, Slice correlation, int64_t now_ms,
                      StoreEarlyEvent *ret);
int store_early_delete(StoreTxn *t, Slice tenant, Slice type, Slice correlation,
                       const StoreEarlyEvent *event);
uint64_t store_early_count(StoreTxn *t, Slice tenant);
/** Delete up to @max expired ones. *ret: how many. */
int store_early_expire(StoreTxn *t, int64_t now_ms, uint32_t max, uint32_t *ret);

/* ---- what was answered before ----------------------------------------------------------------- */

/** Command results: (tenant, user, command id) → reply. Keys keep the order of time-ordered ids. */
typedef struct StoreResult {
        int64_t at_ms;
        uint16_t code;
        Slice body;
        Digest request;
} StoreResult;
/* `request`: digest of subject tail and body, so that one id on two different commands is noticed */
int store_result_get(StoreTxn *t, Slice tenant, Slice user, Slice command_id, StoreResult *ret);
int store_result_put(StoreTxn *t, Slice tenant, Slice user, Slice command_id, const StoreResult *result);
int store_result_expire(StoreTxn *t, int64_t before_ms, uint32_t max, uint32_t *ret);

/**
 * Idempotency: digest → the execution that is not failed or cancelled. A failed one that is retried may find
 * another in its place: it is noted behind it, and takes the place when that one fails in its turn.
 */
#define STORE_HOLDERS_MAX 4096 /* executions noted under one digest; further ones are not */
int store_idempotency_get(StoreTxn *t, const Digest *digest, Uuid *ret);
int store_idempotency_put(StoreTxn *t, const Digest *digest, Uuid id);
int store_idempotency_delete(StoreTxn *t, const Digest *digest, Uuid id); /* others stay */

/** Event ids seen, for dedupe of external events: (tenant, event id). */
int store_event_seen(StoreTxn *t, Slice tenant, Slice event_id, bool *ret);
int store_event_note(StoreTxn *t, Slice tenant, Slice event_id, int64_t at_ms);
int store_event_expire(StoreTxn *t, int64_t before_ms, uint32_t max, uint32_t *ret);

/* ---- pending approvals ------------------------------------------------------------------------ */

int store_approval_add(StoreTxn *t, Slice tenant, Slice user, Uuid execution_id, uint32_t instance);
int store_approval_remove(StoreTxn *t, Slice tenant, Slice user, Uuid execution_id, uint32_t instance);
/** Oldest execution first; @each returns false to stop. Starts after (after_id, after_instance); nil: from
 * the first. */
int store_approval_list(StoreTxn *t, Slice tenant, Slice user, Uuid after_id, uint32_t after_instance,
                        bool (*each)(void *userdata, Uuid execution_id, uint32_t instance), void *userdata);

/* ---- children --------------------------------------------------------------------------------- */

int store_child_add(StoreTxn *t, Uuid parent, uint32_t instance, Uuid child);
/** The first child of an instance after @after_instance (INSTANCE_NONE: from the first). */
int store_child_next(StoreTxn *t, Uuid parent, uint32_t after_instance, uint32_t *ret_instance, Uuid *ret);

/* ---- runbooks --------------------------------------------------------------------------------- */

typedef struct StoreRunbook {
        Slice id, version, name, description;
        uint32_t n_steps;
        int64_t registered_ms;
        Slice registered_by;
        uint64_t order; /* registration order: the newest is the default */
        Digest digest;
        Slice definition; /* canonical JSON */
} StoreRunbook;
int store_runbook_put(StoreTxn *t, Slice tenant, const StoreRunbook *r);
/** @version empty: the newest registered. Slices borrow. */
int store_runbook_get(StoreTxn *t, Slice tenant, Slice id, Slice version, StoreRunbook *ret);
/** Newest version of each id, in id order, after @after (empty: from the first); @each returns false to stop.
 */
int store_runbook_list(StoreTxn *t, Slice tenant, Slice after,
                       bool (*each)(void *userdata, const StoreRunbook *r), void *userdata);
/** All versions of an id, in order of their version text. */
int store_runbook_versions(StoreTxn *t, Slice tenant, Slice id,
                           bool (*each)(void *userdata, const StoreRunbook *r), void *userdata);

/* ---- outbox ----------------------------------------------------------------------------------- */

/*
 * One row a batch: which history and log segments it wrote, in order. The text itself stays where it is. Rows
 * are kept past their publication, so that what a stream has lost can be sent again.
 */
typedef struct StoreOutboxEntry {
        StoreSeries series; /* STORE_HISTORY or STORE_LOGS */
        Slice tenant;
        Uuid id;
        uint64_t first;
        uint32_t n;
} StoreOutboxEntry;
int store_outbox_append(StoreTxn *t, uint64_t row, int64_t at_ms, const StoreOutboxEntry *entries,
                        size_t n_entries);
/** The first row ≥ @row. @each is called for its entries in order. */
int store_outbox_read(StoreTxn *t, uint64_t row, uint64_t *ret_row, int64_t *ret_at_ms,
                      bool (*each)(void *userdata, const StoreOutboxEntry *e), void *userdata);
int store_outbox_last(StoreTxn *t, uint64_t *ret_row); /* 0 with row 0 when empty */
/** Marks: up to row `row` everything was acknowledged by the stream, whose last sequence was `stream_seq`
 * then. Marks of later rows are forgotten: they spoke of what the stream has lost since. */
int store_outbox_mark(StoreTxn *t, uint64_t row, uint64_t stream_seq);
int store_outbox_last_mark(StoreTxn *t, uint64_t *ret_row, uint64_t *ret_stream_seq); /* zeros: none */
/** The newest mark with stream_seq ≤ @stream_seq (zeros: none): from its row on everything must be sent
 * again. */
int store_outbox_mark_at(StoreTxn *t, uint64_t stream_seq, uint64_t *ret_row);
/** Forget rows (and marks) up to @row that are older than @before_ms, at most @max. */
int store_outbox_trim(StoreTxn *t, uint64_t row, int64_t before_ms, uint32_t max, uint32_t *ret);

/* ---- small named values (cursors, the last time told, audit key) ------------------------------ */

/** u64 sequence and 32 bytes hash of the engine's own series, then its place in the outbox. */
#define STORE_META_CHECKPOINT "checkpoint"
/** + tenant: u64 sequence and 32 bytes hash of its registrations. */
#define STORE_META_CATALOG "catalog."
int store_meta_get(StoreTxn *t, const char *name, Slice *ret);
int store_meta_put(StoreTxn *t, const char *name, Slice value);
/** The same for one number. *ret is 0 when there is none; -EBADMSG: it is something else. */
int store_meta_get_u64(StoreTxn *t, const char *name, uint64_t *ret);
int store_meta_put_u64(StoreTxn *t, const char *name, uint64_t value);
