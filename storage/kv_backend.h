#pragma once
/*
 * What a backend provides, and what kv.c keeps for it. Rules that hold for both backends (poison, key sizes,
 * transaction size, cursor positions) live in kv.c alone; a backend is called only with arguments that were
 * checked.
 */

#include <stdatomic.h>
#include "storage/kv.h"


typedef struct KvBackend {
        void (*close)(Kv *kv);
        int (*begin)(Kv *kv, bool write, KvTxn **ret);
        int (*commit)(KvTxn *t); /* frees @t in any case */
        void (*abort)(KvTxn *t);
        int (*grow)(Kv *kv);
        int (*stats)(Kv *kv, KvStats *ret);
        int (*backup)(Kv *kv, const char *path, Report *report);
        int (*place)(Kv *kv, KvPlace *ret); /* NULL: it has none */
        int (*get)(KvTxn *t, unsigned table, Slice key, Slice *ret);
        int (*put)(KvTxn *t, unsigned table, Slice key, Slice value);
        int (*remove)(KvTxn *t, unsigned table, Slice key);
        uint64_t (*count)(KvTxn *t, unsigned table);
        int (*cursor_open)(KvTxn *t, unsigned table, KvCursor **ret);
        void (*cursor_close)(KvCursor *c);
        /* An empty key seeks the first record, an empty bound the last. */
        int (*cursor_seek)(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value);
        int (*cursor_seek_last)(KvCursor *c, Slice bound, Slice *ret_key, Slice *ret_value);
        int (*cursor_next)(KvCursor *c, Slice *ret_key, Slice *ret_value);
        int (*cursor_prev)(KvCursor *c, Slice *ret_key, Slice *ret_value);
        int (*cursor_remove)(KvCursor *c);
} KvBackend;

/* Each backend's own structures begin with these. */
struct Kv {
        const KvBackend *backend;
        unsigned n_tables;
        atomic_bool writing; /* a write transaction is open */
};
struct KvTxn {
        Kv *kv;
        bool write;
        int error;      /* poison: sticky, 0 fine */
        size_t n_bytes; /* put so far */
};
typedef enum KvCursorPlace {
        KV_CURSOR_NOWHERE, /* before the first seek and after KV_E_NOT_FOUND */
        KV_CURSOR_AT,
        KV_CURSOR_GAP /* where a record was deleted: next gives the one after it, prev the one before */
} KvCursorPlace;
struct KvCursor {
        KvTxn *txn;
        unsigned table;
        KvCursorPlace place;
};

/* ---- the data directory (kv_dir.c): what a store on disk needs from the file system, whatever the backend
 * ---- */

typedef struct KvDir {
        char *path; /* owned */
        int lock_fd;
} KvDir;

/**
 * Make @path (0700, with parents) if it is missing, refuse file systems whose locks or maps reach over a
 * network, and take DATA_DIR/engine.lock. 0; -EBUSY when another engine has it, other negative errnos; a
 * sentence in @report each time.
 */
int kv_dir_open(const char *path, Report *report, KvDir *ret);
/**
 * The same for reading: @path must be there and have @file in it; nothing is made but the lock file, where that is
 * possible (where it is not, nobody could write there). With @locked false the lock is left alone.
 */
int kv_dir_open_reading(const char *path, const char *file, bool locked, Report *report, KvDir *ret);
void kv_dir_close(KvDir *d);
/** Make the directory's entries themselves durable. 0 or negative errno. */
int kv_dir_sync(const char *path);
/** Is there less room in the directory than @n bytes (disk, quota, file size limit)? Tries it out. */
bool kv_dir_is_full(const char *path, size_t n);
/** Make @path, which must be missing or empty, for a backup. 0 or negative errno with a sentence. */
int kv_dir_prepare_backup(const char *path, Report *report);
