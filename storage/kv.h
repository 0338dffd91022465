#pragma once
/*
 * An ordered, transactional key-value store of byte strings: what the typed tables stand on. Two backends,
 * LMDB (kv_lmdb.c, the only file that includes <lmdb.h>) and memory (kv_mem.c), held to one conformance
 * suite.
 *
 * One write transaction at a time, by one thread; any number of short read transactions, each used by
 * one thread. A failed put poisons its transaction: every later call gives the same error and commit fails.
 */

#include "base/report.h"
#include "base/slice.h"

#define KV_TABLES_MAX 32
#define KV_TXN_BYTES_MAX ((size_t)512 << 20) /* keys and values put by one transaction; past it -EFBIG */
#define KV_READERS_MAX   512                 /* read transactions at a time; more are told -EAGAIN */
#define KV_KEY_MAX    511 /* bytes: LMDB's own limit */

typedef struct Kv Kv;
typedef struct KvTxn KvTxn;
typedef struct KvCursor KvCursor;

/* Outcomes (positive, handled by the direct caller); failures are negative errno: -EIO, -ENOMEM, -ENOSPC,
 * -EBADMSG. */
#define KV_E_NOT_FOUND 1
#define KV_E_MAP_FULL  2 /* the write transaction outgrew the map: abort it, kv_grow, run it again */

typedef enum KvAccess {
        KV_OWN,    /* the engine's: reads and writes, alone */
        KV_READ,   /* reads a directory that must be there, and keeps engines out of it meanwhile */
        KV_BESIDE, /* reads beside an engine that may be running: for copies; short, or the store grows */
} KvAccess;

typedef struct KvOptions {
        KvAccess access;
        const char *path;    /* data directory; NULL for memory */
        size_t map_size;     /* initial bytes; 0: default 1 GiB (address space, not disk) */
        size_t map_size_max; /* kv_grow refuses past it; 0: 1 TiB */
        bool no_sync;        /* benchmarks only */
} KvOptions;

typedef struct KvStats {
        size_t used_bytes;    /* records and their trees; what was deleted is not counted */
        size_t map_bytes;     /* grows by kv_grow */
        size_t map_max_bytes; /* what it can grow to: map_size_max, or less if the disk has less room */
        uint64_t last_txn;    /* commits so far */
        uint32_t n_readers;   /* read transactions open now */
} KvStats;

/** Open tables numbered 0…n_tables-1 named @tables. A second process on the same directory gives -EBUSY with
 * a sentence in
 * @report naming its pid if known; other failures too have their sentence there. */
int kv_open_lmdb(const KvOptions *options, const char *const *tables, size_t n_tables, Report *report,
                 Kv **ret);
int kv_open_mem(const char *const *tables, size_t n_tables, Report *report, Kv **ret);
void kv_close(Kv *kv); /* NULL-safe; no transaction may be open */

/** Begin; -EAGAIN when too many readers. */
int kv_begin_read(Kv *kv, KvTxn **ret);
int kv_begin_write(Kv *kv, KvTxn **ret);
/** Durable when it returns 0 (fdatasync done). Else nothing was changed. The transaction is gone either way.
 * KV_E_MAP_FULL, -ENOSPC, -EIO (then exit: what is on disk is unknown until opened anew). */
int kv_commit(KvTxn *txn);
void kv_abort(KvTxn *txn); /* NULL-safe; also ends reads */
int kv_grow(Kv *kv);       /* double the map, between write transactions; -ENOSPC at map_size_max */
int kv_stats(Kv *kv, KvStats *ret);
/** A consistent copy of the whole store into the empty or missing directory @path, while running. */
int kv_backup(Kv *kv, const char *path, Report *report);

/** Where the store lies, as the file system tells: copying makes another place, moving a directory does not. */
typedef struct KvPlace {
        uint64_t inode;
        int64_t born_ns; /* 0: the file system does not say */
} KvPlace;
/** Zeros for a store in memory. 0 or negative errno. */
int kv_place(Kv *kv, KvPlace *ret);

/** *ret borrows the store's memory, valid until the transaction ends or (write) its next put or delete. */
int kv_get(KvTxn *txn, unsigned table, Slice key, Slice *ret);
int kv_put(KvTxn *txn, unsigned table, Slice key, Slice value);
/** KV_E_NOT_FOUND when absent (not a poison). */
int kv_delete(KvTxn *txn, unsigned table, Slice key);
uint64_t kv_count(KvTxn *txn, unsigned table);

/** Cursors: seek to the first key ≥ @key (or the last key < / ≤ it, backwards), then step. Slices valid as
 * for kv_get. A cursor may be kept while its own transaction puts and deletes elsewhere; after
 * kv_cursor_delete it stands before the next. */
int kv_cursor_open(KvTxn *txn, unsigned table, KvCursor **ret);
void kv_cursor_close(KvCursor *c); /* NULL-safe; before the transaction ends */
int kv_cursor_seek(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value); /* first ≥ key */
int kv_cursor_seek_last(KvCursor *c, Slice bound, Slice *ret_key,
                        Slice *ret_value); /* last < bound; empty bound: last of all */
int kv_cursor_next(KvCursor *c, Slice *ret_key, Slice *ret_value);
int kv_cursor_prev(KvCursor *c, Slice *ret_key, Slice *ret_value);
int kv_cursor_delete(KvCursor *c);
