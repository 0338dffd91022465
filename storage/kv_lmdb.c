/*
 * The backend on disk: one LMDB environment in the data directory, one named database a table.
 *
 * Commits are synchronous (fdatasync, then the meta page written through), so 0 from kv_commit means durable.
 * Read transactions are taken from a pool of reset ones, because a renewal costs a tenth of a new one. LMDB
 * may move its map only while no transaction of the process is open, hence the gate: readers pass through it
 * one by one, kv_grow shuts it and waits for those inside. A thread must therefore not begin a second read
 * inside its first.
 *
 * This is the only file that knows <lmdb.h>. No DUPSORT anywhere (ITS#9376, ITS#10396), no fork with an open
 * environment, no second open of the same directory (kv_dir.c's lock).
 */
#include "storage/kv_backend.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/cleanup.h"

#define DATA_FILE            "data.mdb"
#define FRESH_FILE           "fresh.mdb" /* a data file until it is whole */
#define MAP_SIZE_DEFAULT     ((size_t)1 << 30)
#define MAP_SIZE_MAX_DEFAULT ((size_t)1 << 40)
#define READ_TRIES 1000 /* of beginning to read, each held up for two commits: never seen twice in a row */
#define READERS_IDLE_MAX     64                /* kept for reuse */
#define FULL_PROBE_SLACK     ((size_t)4 << 20) /* bytes a commit may need beyond twice what was put */

typedef struct LmdbTxn {
        KvTxn base;
        MDB_txn *txn;
        struct LmdbTxn *next_idle;
} LmdbTxn;

typedef struct LmdbCursor {
        KvCursor base;
        MDB_cursor *cursor;
        size_t n_gap; /* the deleted key that a KV_CURSOR_GAP cursor stands at */
        char gap[KV_KEY_MAX];
} LmdbCursor;

typedef struct Lmdb {
        Kv base;
        MDB_env *env;
        KvDir dir;
        size_t map_size, map_size_max;
        bool is_reading;    /* opened for reading only */
        atomic_bool broken; /* an I/O error: what is on disk is unknown until opened anew */
        LmdbTxn writer;
        MDB_dbi tables[KV_TABLES_MAX];
        pthread_mutex_t lock; /* of all below */
        pthread_cond_t changed;
        bool growing;
        uint32_t n_inside; /* readers (and backups) past the gate */
        LmdbTxn *idle;
        uint32_t n_idle;
} Lmdb;

static Lmdb *lmdb_of(Kv *kv) { return (Lmdb *)kv; }
static LmdbTxn *txn_of(KvTxn *t) { return (LmdbTxn *)t; }
static LmdbCursor *cursor_of(KvCursor *c) { return (LmdbCursor *)c; }
static MDB_val val_from_slice(Slice s) { return (MDB_val){s.n, (void *)(s.data ? s.data : "")}; }
static Slice slice_from_val(MDB_val v) { return slice_from_bytes(v.mv_data, v.mv_size); }

/* ---- errors ----------------------------------------------------------------------------------- */

static const struct {
        int theirs, ours;
} errors[] = {
                {MDB_NOTFOUND, KV_E_NOT_FOUND},
                {MDB_MAP_FULL, KV_E_MAP_FULL},
                {MDB_TXN_FULL, -EFBIG},
                {MDB_READERS_FULL, -EAGAIN},
                {MDB_PAGE_NOTFOUND, -EIO},
                {MDB_CORRUPTED, -EIO},
                {MDB_PANIC, -EIO},
                {MDB_CURSOR_FULL, -EIO},
                {MDB_PAGE_FULL, -EIO},
                {MDB_MAP_RESIZED, -EIO},
                {MDB_VERSION_MISMATCH, -EBADMSG},
                {MDB_INVALID, -EBADMSG},
                {MDB_INCOMPATIBLE, -EBADMSG},
                {MDB_BAD_RSLOT, -EINVAL},
                {MDB_BAD_TXN, -EINVAL},
                {MDB_BAD_VALSIZE, -EINVAL},
                {MDB_BAD_DBI, -EINVAL},
                {MDB_DBS_FULL, -EINVAL},
                {EDQUOT, -ENOSPC},
                {EFBIG, -ENOSPC},
};

/** One place where LMDB's codes (its own are negative, the system's positive) become ours. */
static int error_from_lmdb(int rc) {
        if (rc == 0)
                return 0;
        for (size_t i = 0; i < N_ELEMENTS(errors); i++)
                if (errors[i].theirs == rc)
                        return errors[i].ours;
        return rc > 0 ? -rc : -EIO;
}

/**
 * The same where pages are written. LMDB calls a short write EIO; but a short write is how a disk that fills
 * up announces itself, and nothing is lost then: the meta page still names the old state. So room is tried
 * before a disk is called broken.
 */
static int write_error(LmdbTxn *t, int rc) {
        Lmdb *l = lmdb_of(t->base.kv);
        int r = error_from_lmdb(rc);

        if (rc == EIO && kv_dir_is_full(l->dir.path, t->base.n_bytes * 2 + FULL_PROBE_SLACK))
                return -ENOSPC;
        if (r == -EIO)
                atomic_store(&l->broken, true);
        return r;
}

/* ---- the gate --------------------------------------------------------------------------------- */

static void gate_enter(Lmdb *l) {
        pthread_mutex_lock(&l->lock);
        while (l->growing)
                pthread_cond_wait(&l->changed, &l->lock);
        l->n_inside++;
        pthread_mutex_unlock(&l->lock);
}

static void gate_leave(Lmdb *l) {
        pthread_mutex_lock(&l->lock);
        if (--l->n_inside == 0 && l->growing)
                pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
}

/* ---- transactions ----------------------------------------------------------------------------- */

/**
 * LMDB picks a snapshot's number first and copies its roots afterwards, from one of two pages that commits overwrite
 * in turn. A reader that is held up in between for two commits has the roots of a later snapshot under an earlier
 * number, and the next read could go back behind this one. The last number tells: then it is begun again.
 */
static bool is_mislabelled(Lmdb *l, MDB_txn *txn) {
        MDB_envinfo info;
        return mdb_env_info(l->env, &info) == 0 && info.me_last_txnid > mdb_txn_id(txn) + 1;
}

static int begin_read(Lmdb *l, KvTxn **ret) {
        pthread_mutex_lock(&l->lock);
        while (l->growing)
                pthread_cond_wait(&l->changed, &l->lock);
        l->n_inside++;
        LmdbTxn *t = l->idle;
        if (t) {
                l->idle = t->next_idle;
                l->n_idle--;
        }
        pthread_mutex_unlock(&l->lock);

        int r = 0;
        if (t) {
                r = error_from_lmdb(mdb_txn_renew(t->txn));
        } else {
                t = calloc(1, sizeof(*t));
                r = t ? error_from_lmdb(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &t->txn)) : -ENOMEM;
        }
        for (unsigned i = 0; r == 0 && i < READ_TRIES && is_mislabelled(l, t->txn); i++) {
                mdb_txn_reset(t->txn);
                r = error_from_lmdb(mdb_txn_renew(t->txn));
        }
        if (r) {
                if (t && t->txn)
                        mdb_txn_abort(t->txn);
                free(t);
                gate_leave(l);
                return r;
        }
        t->base = (KvTxn){.kv = &l->base};
        *ret = &t->base;
        return 0;
}

static void end_read(Lmdb *l, LmdbTxn *t) {
        mdb_txn_reset(t->txn);
        pthread_mutex_lock(&l->lock);
        if (l->n_idle < READERS_IDLE_MAX) {
                t->next_idle = l->idle;
                l->idle = t;
                l->n_idle++;
                t = NULL;
        }
        if (--l->n_inside == 0 && l->growing)
                pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        if (t) {
                mdb_txn_abort(t->txn);
                free(t);
        }
}

static int lmdb_begin(Kv *kv, bool write, KvTxn **ret) {
        Lmdb *l = lmdb_of(kv);

        if (atomic_load(&l->broken))
                return -EIO;
        if (!write)
                return begin_read(l, ret);
        if (l->is_reading)
                return -EROFS;
        l->writer = (LmdbTxn){.base = {.kv = kv, .write = true}};
        int r = error_from_lmdb(mdb_txn_begin(l->env, NULL, 0, &l->writer.txn));
        if (r == 0)
                *ret = &l->writer.base;
        return r;
}

static int lmdb_commit(KvTxn *t) {
        return write_error(txn_of(t), mdb_txn_commit(txn_of(t)->txn)); /* frees it, whatever it returns */
}

static void lmdb_abort(KvTxn *t) {
        if (t->write)
                mdb_txn_abort(txn_of(t)->txn);
        else
                end_read(lmdb_of(t->kv), txn_of(t));
}

/* ---- records ---------------------------------------------------------------------------------- */

static int lmdb_get(KvTxn *t, unsigned table, Slice key, Slice *ret) {
        MDB_val k = val_from_slice(key), v;
        int rc = mdb_get(txn_of(t)->txn, lmdb_of(t->kv)->tables[table], &k, &v);
        if (rc == 0)
                *ret = slice_from_val(v);
        return error_from_lmdb(rc);
}

static int lmdb_put(KvTxn *t, unsigned table, Slice key, Slice value) {
        MDB_val k = val_from_slice(key), v = val_from_slice(value);
        return write_error(txn_of(t), mdb_put(txn_of(t)->txn, lmdb_of(t->kv)->tables[table], &k, &v, 0));
}

static int lmdb_remove(KvTxn *t, unsigned table, Slice key) {
        MDB_val k = val_from_slice(key);
        return write_error(txn_of(t), mdb_del(txn_of(t)->txn, lmdb_of(t->kv)->tables[table], &k, NULL));
}

static uint64_t lmdb_count(KvTxn *t, unsigned table) {
        MDB_stat st;
        return mdb_stat(txn_of(t)->txn, lmdb_of(t->kv)->tables[table], &st) ? 0 : st.ms_entries;
}

/* ---- cursors ---------------------------------------------------------------------------------- */

static int lmdb_cursor_open(KvTxn *t, unsigned table, KvCursor **ret) {
        LmdbCursor *c = malloc(sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->base = (KvCursor){.txn = t, .table = table};
        int r = error_from_lmdb(mdb_cursor_open(txn_of(t)->txn, lmdb_of(t->kv)->tables[table], &c->cursor));
        if (r)
                free(c);
        else
                *ret = &c->base;
        return r;
}

static void lmdb_cursor_close(KvCursor *c) {
        mdb_cursor_close(cursor_of(c)->cursor);
        free(c);
}

static int cursor_move(KvCursor *c, MDB_cursor_op op, Slice key, Slice *ret_key, Slice *ret_value) {
        MDB_val k = val_from_slice(key), v;
        int rc = mdb_cursor_get(cursor_of(c)->cursor, &k, &v, op);
        if (rc == 0) {
                *ret_key = slice_from_val(k);
                *ret_value = slice_from_val(v);
        }
        return error_from_lmdb(rc);
}

static int lmdb_cursor_seek(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value) {
        return cursor_move(c, key.n ? MDB_SET_RANGE : MDB_FIRST, key, ret_key, ret_value);
}

static int lmdb_cursor_seek_last(KvCursor *c, Slice bound, Slice *ret_key, Slice *ret_value) {
        int r = bound.n ? cursor_move(c, MDB_SET_RANGE, bound, ret_key, ret_value) : KV_E_NOT_FOUND;
        if (r < 0)
                return r;
        return cursor_move(c, r == 0 ? MDB_PREV : MDB_LAST, SLICE_NULL, ret_key, ret_value);
}

static Slice cursor_gap(KvCursor *c) { return (Slice){cursor_of(c)->gap, cursor_of(c)->n_gap}; }

static int lmdb_cursor_next(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        if (c->place == KV_CURSOR_GAP)
                return lmdb_cursor_seek(c, cursor_gap(c), ret_key, ret_value);
        return cursor_move(c, MDB_NEXT, SLICE_NULL, ret_key, ret_value);
}

static int lmdb_cursor_prev(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        if (c->place == KV_CURSOR_GAP)
                return lmdb_cursor_seek_last(c, cursor_gap(c), ret_key, ret_value);
        return cursor_move(c, MDB_PREV, SLICE_NULL, ret_key, ret_value);
}

/** The key is kept and sought again: where LMDB's own cursor stands after a deletion depends on how pages
 * merged. */
static int lmdb_cursor_remove(KvCursor *c) {
        LmdbCursor *lc = cursor_of(c);
        Slice key = SLICE_NULL, value;

        int r = cursor_move(c, MDB_GET_CURRENT, SLICE_NULL, &key, &value);
        if (r)
                return r;
        memcpy(lc->gap, key.data, key.n);
        lc->n_gap = key.n;
        return write_error(txn_of(c->txn), mdb_cursor_del(lc->cursor, 0));
}

/* ---- the environment -------------------------------------------------------------------------- */

static int map_resize(Lmdb *l, size_t size) {
        int rc = mdb_env_set_mapsize(l->env, size);
        if (rc == 0) {
                l->map_size = size;
                return 0;
        }
        /* The old map is gone by now. If it can't be had back either, nothing may touch the environment any
         * more. */
        if (mdb_env_set_mapsize(l->env, l->map_size) != 0)
                atomic_store(&l->broken, true);
        return error_from_lmdb(rc);
}

static size_t map_doubled(const Lmdb *l) {
        return l->map_size > l->map_size_max / 2 ? l->map_size_max : l->map_size * 2;
}

static int lmdb_grow(Kv *kv) {
        Lmdb *l = lmdb_of(kv);
        int r, n_dead;

        if (atomic_load(&l->broken))
                return -EIO;
        if (l->map_size >= l->map_size_max)
                return -ENOSPC;
        pthread_mutex_lock(&l->lock);
        l->growing = true;
        while (l->n_inside > 0)
                pthread_cond_wait(&l->changed, &l->lock);
        r = map_resize(l, map_doubled(l));
        /* A dead reader of a foreign tool may be what keeps pages from reuse. */
        (void)mdb_reader_check(l->env, &n_dead);
        l->growing = false;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        return r;
}

/** Pages that commits have freed and may use again; they are listed in LMDB's database 0 as runs of [count,
 * page…]. */
static int count_free_pages(MDB_txn *txn, size_t *ret) {
        MDB_cursor *cursor;
        MDB_val k, v;
        size_t n = 0, n_run;

        int rc = mdb_cursor_open(txn, 0, &cursor);
        if (rc)
                return error_from_lmdb(rc);
        while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
                if (v.mv_size >= sizeof(n_run)) {
                        memcpy(&n_run, v.mv_data, sizeof(n_run));
                        n += n_run;
                }
        }
        mdb_cursor_close(cursor);
        *ret = n;
        return rc == MDB_NOTFOUND ? 0 : error_from_lmdb(rc);
}

/** How large the store can become: its largest map, or what the disk has room for beyond the @n_bytes it
 * takes now. */
static size_t growth_limit(const Lmdb *l, size_t n_bytes) {
        struct statvfs fs;

        if (statvfs(l->dir.path, &fs) < 0)
                return l->map_size_max;
        uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
        return room < l->map_size_max && n_bytes < l->map_size_max - room ? n_bytes + (size_t)room
                                                                          : l->map_size_max;
}

static int lmdb_stats(Kv *kv, KvStats *ret) {
        Lmdb *l = lmdb_of(kv);
        size_t n_free = 0;
        MDB_envinfo info;
        MDB_stat st;
        KvTxn *t;

        int r = kv_begin_read(kv, &t);
        if (r)
                return r;
        r = error_from_lmdb(mdb_env_info(l->env, &info));
        if (r == 0)
                r = error_from_lmdb(mdb_env_stat(l->env, &st));
        if (r == 0)
                r = count_free_pages(txn_of(t)->txn, &n_free);
        if (r == 0) {
                size_t n_pages = info.me_last_pgno + 1;
                pthread_mutex_lock(&l->lock);
                *ret = (KvStats){.used_bytes = (n_pages > n_free ? n_pages - n_free : 0) * st.ms_psize,
                                 .map_bytes = info.me_mapsize,
                                 .map_max_bytes = growth_limit(l, n_pages * st.ms_psize),
                                 .last_txn = info.me_last_txnid,
                                 .n_readers = l->n_inside - 1};
                pthread_mutex_unlock(&l->lock);
        }
        kv_abort(t);
        return r;
}

static int copy_sync(const char *path) {
        _cleanup_free_ char *name = NULL;

        if (asprintf(&name, "%s/" DATA_FILE, path) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        int fd = open(name, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        int r = fsync(fd) < 0 ? -errno : 0;
        close(fd);
        return r < 0 ? r : kv_dir_sync(path);
}

static int lmdb_backup(Kv *kv, const char *path, Report *report) {
        Lmdb *l = lmdb_of(kv);

        int r = kv_dir_prepare_backup(path, report);
        if (r < 0)
                return r;
        if (atomic_load(&l->broken))
                r = -EIO;
        if (r == 0) {
                gate_enter(l);
                r = error_from_lmdb(mdb_env_copy2(l->env, path, MDB_CP_COMPACT));
                gate_leave(l);
        }
        if (r == 0)
                r = copy_sync(path); /* LMDB's copy is not synced by itself */
        if (r == -EIO && kv_dir_is_full(path, FULL_PROBE_SLACK))
                r = -ENOSPC;
        if (r < 0)
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The backup into %s failed: %s. What is there so far is of no use.", path,
                           strerror(-r));
        return r;
}

static int lmdb_place(Kv *kv, KvPlace *ret) {
        _cleanup_free_ char *name = NULL;
        struct statx st;

        if (asprintf(&name, "%s/" DATA_FILE, lmdb_of(kv)->dir.path) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        if (statx(AT_FDCWD, name, 0, STATX_INO | STATX_BTIME, &st) < 0)
                return -errno;
        ret->inode = st.stx_ino;
        if (st.stx_mask & STATX_BTIME)
                ret->born_ns = (int64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
        return 0;
}

static void lmdb_close(Kv *kv) {
        Lmdb *l = lmdb_of(kv);

        assert(l->n_inside == 0);
        while (l->idle) {
                LmdbTxn *t = l->idle;
                l->idle = t->next_idle;
                mdb_txn_abort(t->txn);
                free(t);
        }
        if (l->env)
                mdb_env_close(l->env);
        kv_dir_close(&l->dir);
        pthread_mutex_destroy(&l->lock);
        pthread_cond_destroy(&l->changed);
        free(l);
}

static const KvBackend lmdb_backend = {
                .close = lmdb_close,
                .begin = lmdb_begin,
                .commit = lmdb_commit,
                .abort = lmdb_abort,
                .grow = lmdb_grow,
                .stats = lmdb_stats,
                .backup = lmdb_backup,
                .place = lmdb_place,
                .get = lmdb_get,
                .put = lmdb_put,
                .remove = lmdb_remove,
                .count = lmdb_count,
                .cursor_open = lmdb_cursor_open,
                .cursor_close = lmdb_cursor_close,
                .cursor_seek = lmdb_cursor_seek,
                .cursor_seek_last = lmdb_cursor_seek_last,
                .cursor_next = lmdb_cursor_next,
                .cursor_prev = lmdb_cursor_prev,
                .cursor_remove = lmdb_cursor_remove,
};

/* ---- opening ---------------------------------------------------------------------------------- */

static int fill_fresh(Lmdb *l, MDB_env *env, const char *path, const char *const *tables, size_t n_tables) {
        MDB_txn *txn = NULL;
        MDB_dbi dbi;

        int rc = mdb_env_set_maxdbs(env, KV_TABLES_MAX);
        if (rc == 0)
                rc = mdb_env_set_mapsize(env, l->map_size);
        if (rc == 0)
                rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
        if (rc == 0)
                rc = mdb_txn_begin(env, NULL, 0, &txn);
        for (size_t i = 0; i < n_tables && rc == 0; i++)
                rc = mdb_dbi_open(txn, tables[i], MDB_CREATE, &dbi);
        if (rc == 0)
                return error_from_lmdb(mdb_txn_commit(txn));
        if (txn)
                mdb_txn_abort(txn);
        return error_from_lmdb(rc);
}

/**
 * A data file that was never committed to is no store and can't be opened, if a power failure tears LMDB's very
 * first write. So a new one is made under another name, with its tables committed and synced, and takes its name
 * only then.
 */
static int make_fresh(Lmdb *l, const char *const *tables, size_t n_tables) {
        _cleanup_free_ char *fresh = NULL, *path = NULL;
        MDB_env *env = NULL;
        struct stat st;

        if (asprintf(&path, "%s/" DATA_FILE, l->dir.path) < 0)
                path = NULL;
        if (asprintf(&fresh, "%s/" FRESH_FILE, l->dir.path) < 0)
                fresh = NULL;
        if (!path || !fresh)
                return -ENOMEM;
        if (stat(path, &st) == 0 && st.st_size > 0)
                return 0;
        if (unlink(fresh) < 0 && errno != ENOENT)
                return -errno;
        int r = error_from_lmdb(mdb_env_create(&env));
        if (r == 0) {
                r = fill_fresh(l, env, fresh, tables, n_tables);
                mdb_env_close(env);
        }
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r)
                (void)unlink(fresh);
        return r ? r : kv_dir_sync(l->dir.path);
}

/** Tables that are there already are opened without writing; only new ones need a commit. */
static int open_tables(Lmdb *l, const char *const *tables, size_t n_tables) {
        for (int create = 0; create <= !l->is_reading; create++) {
                MDB_txn *txn;
                int rc = mdb_txn_begin(l->env, NULL, create ? 0 : MDB_RDONLY, &txn);
                if (rc)
                        return error_from_lmdb(rc);
                for (size_t i = 0; i < n_tables && rc == 0; i++)
                        rc = mdb_dbi_open(txn, tables[i], create ? MDB_CREATE : 0, &l->tables[i]);
                if (rc == 0)
                        return error_from_lmdb(mdb_txn_commit(txn));
                mdb_txn_abort(txn);
                if (rc != MDB_NOTFOUND)
                        return error_from_lmdb(rc);
        }
        return l->is_reading ? -ENOENT : -EIO;
}

/** A map nearly filled by what is there is doubled now, rather than by the first batch. */
static int leave_room(Lmdb *l) {
        MDB_envinfo info;
        MDB_stat st;

        int r = error_from_lmdb(mdb_env_info(l->env, &info));
        if (r == 0)
                r = error_from_lmdb(mdb_env_stat(l->env, &st));
        if (r)
                return r;
        l->map_size = info.me_mapsize;
        size_t used = (info.me_last_pgno + 1) * st.ms_psize, wanted = l->map_size;
        while (used > wanted / 4 * 3 && wanted < l->map_size_max)
                wanted = wanted > l->map_size_max / 2 ? l->map_size_max : wanted * 2;
        return wanted > l->map_size ? map_resize(l, wanted) : 0;
}

static int open_env(Lmdb *l, const KvOptions *options, const char *const *tables, size_t n_tables,
                    Report *report) {
        /* Alone (engine.lock is ours) LMDB's own locks need not be touched; beside an engine they are what keeps
         * the pages that we read. */
        static const unsigned access_flags[] = {[KV_READ] = MDB_RDONLY | MDB_NOLOCK, [KV_BESIDE] = MDB_RDONLY};
        unsigned flags = MDB_NOTLS | (options->no_sync ? MDB_NOSYNC : 0) | access_flags[options->access];
        int n_dead;

        int fresh = l->is_reading ? 0 : make_fresh(l, tables, n_tables);
        if (fresh) {
                report_set(report, RUNBOOK_UNAVAILABLE, "A new store can't be made in %s: %s.", l->dir.path,
                           strerror(fresh < 0 ? -fresh : ENOSPC));
                return fresh < 0 ? fresh : -ENOSPC;
        }
        int rc = mdb_env_create(&l->env);
        if (rc == 0)
                rc = mdb_env_set_maxdbs(l->env, KV_TABLES_MAX);
        if (rc == 0)
                rc = mdb_env_set_maxreaders(l->env, KV_READERS_MAX);
        if (rc == 0 && !l->is_reading)
                rc = mdb_env_set_mapsize(l->env, l->map_size);
        if (rc == 0)
                rc = mdb_env_open(l->env, l->dir.path, flags, 0600);
        if (rc) {
                int r = error_from_lmdb(rc);
                if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
                        report_set(report, RUNBOOK_UNAVAILABLE,
                                   "%s/data.mdb is not a store that this program can read: %s.", l->dir.path,
                                   mdb_strerror(rc));
                else
                        report_set(report, RUNBOOK_UNAVAILABLE,
                                   "The store in %s can't be opened (map of %zu MiB): %s.", l->dir.path,
                                   l->map_size >> 20, mdb_strerror(rc));
                return r;
        }
        (void)mdb_reader_check(l->env, &n_dead);
        int r = l->is_reading ? 0 : leave_room(l);
        if (r == 0)
                r = open_tables(l, tables, n_tables);
        if (r == 0 && !l->is_reading)
                r = kv_dir_sync(l->dir.path);
        if (r > 0)
                r = -ENOSPC; /* a map too small for the bare tables */
        if (r < 0)
                report_set(report, RUNBOOK_UNAVAILABLE, "The tables of the store in %s can't be opened: %s.",
                           l->dir.path,
                           r == -ENOENT ? "some are not there yet; start the engine on it once" : strerror(-r));
        return r;
}

int kv_open_lmdb(const KvOptions *options, const char *const *tables, size_t n_tables, Report *report,
                 Kv **ret) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        assert(n_tables <= KV_TABLES_MAX);
        Lmdb *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->base = (Kv){.backend = &lmdb_backend, .n_tables = (unsigned)n_tables};
        l->dir.lock_fd = -1;
        l->map_size = options->map_size ? options->map_size : MAP_SIZE_DEFAULT;
        l->map_size = (l->map_size + page - 1) / page * page;
        l->map_size_max = options->map_size_max ? options->map_size_max / page * page : MAP_SIZE_MAX_DEFAULT;
        if (l->map_size_max < l->map_size)
                l->map_size_max = l->map_size;
        pthread_mutex_init(&l->lock, NULL);
        pthread_cond_init(&l->changed, NULL);

        l->is_reading = options->access != KV_OWN;
        bool locked = options->access == KV_READ;
        int r = l->is_reading ? kv_dir_open_reading(options->path, DATA_FILE, locked, report, &l->dir)
                              : kv_dir_open(options->path, report, &l->dir);
        if (r == 0)
                r = open_env(l, options, tables, n_tables, report);
        if (r < 0) {
                if (r == -ENOMEM && !report_is_error(report))
                        report_set(report, RUNBOOK_UNAVAILABLE, "Out of memory while opening the store.");
                lmdb_close(&l->base);
                return r;
        }
        *ret = &l->base;
        return 0;
}
