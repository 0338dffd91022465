/*
 * The disk: kv_mem, whose committed image outlives the process, behind a backend that fails. A commit is kept
 * or it is lost, whole: what a torn one leaves behind is LMDB's to prove (tests/crash), not the engine's.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

#include "base/report.h"
#include "storage/kv_backend.h"
#include "storage/store_impl.h"

#define MAP_START  65536 /* bytes that the map has at first, where it has an end */
#define FULL_SLACK 4096  /* bytes that a full disk still takes in one transaction */

struct Disk {
        Kv *kv; /* NULL before the first start */
        const KvBackend *mem;
        size_t map; /* bytes of the map now */
        bool full, open, refused_read;
        Uuid *touched, *pending; /* by commits; by the open transaction */
        size_t n_touched, cap_touched, n_pending, cap_pending;
        size_t n_taken;
};

int __real_kv_open_mem(const char *const *tables, size_t n_tables, Report *report, Kv **ret);
int __wrap_kv_open_mem(const char *const *tables, size_t n_tables, Report *report, Kv **ret);

static void note(Uuid **list, size_t *n, size_t *cap, Uuid id) {
        for (size_t i = *n; i > 0; i--)
                if (uuid_eq((*list)[i - 1], id))
                        return;
        SIM_GROW(*list, *n, *cap);
        (*list)[(*n)++] = id;
}

/* ---- transactions ------------------------------------------------------------------------------------ */

static int disk_begin(Kv *kv, bool write, KvTxn **ret) {
        Sim *s = the_sim;
        Disk *d = s->disk;
        if (s->dead)
                return -EIO;
        if (!write && s->rt && sim_fault(s, FAULT_DISK_READ)) {
                sim_tell(s, "disk: a read gives EIO");
                d->refused_read = true;
                return -EIO;
        }
        if (write)
                d->n_pending = 0;
        return d->mem->begin(kv, write, ret);
}

static int failed_commit(Sim *s, KvTxn *t, int error) {
        s->disk->mem->abort(t);
        s->disk->n_pending = 0;
        return error;
}

static int kept_commit(Sim *s, KvTxn *t) {
        Disk *d = s->disk;
        int r = d->mem->commit(t);
        for (size_t i = 0; r == 0 && i < d->n_pending; i++)
                note(&d->touched, &d->n_touched, &d->cap_touched, d->pending[i]);
        d->n_pending = 0;
        return r;
}

static int disk_commit(KvTxn *t) {
        Sim *s = the_sim;
        Disk *d = s->disk;

        if (s->dead || sim_may_die(s, "before a commit"))
                return failed_commit(s, t, -EIO);
        if (sim_fault(s, FAULT_COMMIT_LOST)) {
                sim_tell(s, "crash: in a commit that is lost");
                s->dead = true;
                return failed_commit(s, t, -EIO);
        }
        if (sim_fault(s, FAULT_COMMIT_KEPT)) {
                sim_tell(s, "crash: in a commit that is kept");
                s->dead = true;
                (void)kept_commit(s, t);
                return -EIO;
        }
        if (sim_fault(s, FAULT_COMMIT_UNSURE)) {
                bool kept = rng_chance(&s->rng, 500);
                sim_tell(s, "disk: a commit gives EIO and is %s", kept ? "kept" : "lost");
                if (!kept)
                        return failed_commit(s, t, -EIO);
                (void)kept_commit(s, t);
                return -EIO;
        }
        if (d->full && t->n_bytes > FULL_SLACK && rng_chance(&s->rng, 500)) {
                sim_tell(s, "disk: full at a commit");
                return failed_commit(s, t, -ENOSPC);
        }
        int r = kept_commit(s, t);
        if (r == 0)
                (void)sim_may_die(s, "after a commit");
        return r;
}

static void disk_abort(KvTxn *t) {
        if (t->write)
                the_sim->disk->n_pending = 0;
        the_sim->disk->mem->abort(t);
}

static void disk_close(Kv *kv) { the_sim->disk->open = false; }

static int disk_grow(Kv *kv) {
        Sim *s = the_sim;
        Disk *d = s->disk;
        if (s->plan.map_max && d->map * 2 > s->plan.map_max)
                return -ENOSPC;
        if (s->plan.map_max)
                d->map *= 2;
        sim_tell(s, "disk: the map grows");
        return 0;
}

static int disk_stats(Kv *kv, KvStats *ret) {
        Sim *s = the_sim;
        int r = s->disk->mem->stats(kv, ret);
        if (s->plan.map_max) {
                ret->map_bytes = s->disk->map;
                ret->map_max_bytes = s->plan.map_max;
        }
        return r;
}

static int disk_backup(Kv *kv, const char *path, Report *report) {
        return the_sim->disk->mem->backup(kv, path, report);
}

/* ---- records ------------------------------------------------------------------------------------------ */

static int disk_get(KvTxn *t, unsigned table, Slice key, Slice *ret) {
        return the_sim->disk->mem->get(t, table, key, ret);
}

static int disk_put(KvTxn *t, unsigned table, Slice key, Slice value) {
        Sim *s = the_sim;
        Disk *d = s->disk;
        KvStats stats;

        if (s->dead)
                return -EIO;
        if (sim_fault(s, FAULT_MAP_FULL)) {
                sim_tell(s, "disk: the map is full");
                return KV_E_MAP_FULL;
        }
        if (s->plan.map_max && d->mem->stats(t->kv, &stats) == 0 && stats.used_bytes + t->n_bytes > d->map)
                return KV_E_MAP_FULL;
        if (d->full && t->n_bytes > FULL_SLACK && rng_chance(&s->rng, 100)) {
                sim_tell(s, "disk: full at a put");
                return -ENOSPC;
        }
        if (table == TABLE_EXECUTIONS && key.n >= 16) {
                Uuid id;
                memcpy(id.bytes, key.data, 16);
                note(&d->pending, &d->n_pending, &d->cap_pending, id);
        }
        return d->mem->put(t, table, key, value);
}

static int disk_remove(KvTxn *t, unsigned table, Slice key) {
        return the_sim->dead ? -EIO : the_sim->disk->mem->remove(t, table, key);
}

static uint64_t disk_count(KvTxn *t, unsigned table) { return the_sim->disk->mem->count(t, table); }

static int disk_cursor_open(KvTxn *t, unsigned table, KvCursor **ret) {
        return the_sim->disk->mem->cursor_open(t, table, ret);
}
static void disk_cursor_close(KvCursor *c) { the_sim->disk->mem->cursor_close(c); }
static int disk_cursor_seek(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value) {
        return the_sim->disk->mem->cursor_seek(c, key, ret_key, ret_value);
}
static int disk_cursor_seek_last(KvCursor *c, Slice bound, Slice *ret_key, Slice *ret_value) {
        return the_sim->disk->mem->cursor_seek_last(c, bound, ret_key, ret_value);
}
static int disk_cursor_next(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        return the_sim->disk->mem->cursor_next(c, ret_key, ret_value);
}
static int disk_cursor_prev(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        return the_sim->disk->mem->cursor_prev(c, ret_key, ret_value);
}
static int disk_cursor_remove(KvCursor *c) { return the_sim->disk->mem->cursor_remove(c); }

static const KvBackend disk_backend = {
                .close = disk_close,
                .begin = disk_begin,
                .commit = disk_commit,
                .abort = disk_abort,
                .grow = disk_grow,
                .stats = disk_stats,
                .backup = disk_backup,
                .get = disk_get,
                .put = disk_put,
                .remove = disk_remove,
                .count = disk_count,
                .cursor_open = disk_cursor_open,
                .cursor_close = disk_cursor_close,
                .cursor_seek = disk_cursor_seek,
                .cursor_seek_last = disk_cursor_seek_last,
                .cursor_next = disk_cursor_next,
                .cursor_prev = disk_cursor_prev,
                .cursor_remove = disk_cursor_remove,
};

/* ---- life ------------------------------------------------------------------------------------------------ */

int __wrap_kv_open_mem(const char *const *tables, size_t n_tables, Report *report, Kv **ret) {
        Disk *d = the_sim->disk;
        int r = 0;

        if (d->open)
                sim_fail(the_sim, "two engines", "the store was opened twice");
        if (!d->kv) {
                r = __real_kv_open_mem(tables, n_tables, report, &d->kv);
                if (r)
                        return r;
                d->mem = d->kv->backend;
                d->kv->backend = &disk_backend;
        }
        d->open = true;
        *ret = d->kv;
        return 0;
}

Disk *disk_new(void) {
        Disk *d = calloc(1, sizeof(*d));
        if (!d)
                abort();
        d->map = MAP_START;
        return d;
}

void disk_free(Disk *d) {
        if (d->kv)
                d->mem->close(d->kv);
        free(d->touched);
        free(d->pending);
        free(d);
}

size_t disk_take_touched(Disk *d, const Uuid **ret) {
        size_t n = d->n_touched;
        *ret = d->touched;
        d->n_touched = 0;
        return n;
}

void disk_set_full(Disk *d, bool full) { d->full = full; }
bool disk_is_full(const Disk *d) { return d->full; }

void disk_heal(Disk *d) { d->full = false; }
