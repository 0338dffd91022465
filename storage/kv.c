/*
 * The rules that hold for every backend, in one place: a failure poisons its transaction, keys have 1 to
 * KV_KEY_MAX bytes, a transaction has a largest size, and a cursor that found nothing stands nowhere until it
 * seeks again.
 */
#include "storage/kv_backend.h"

#include <assert.h>
#include <errno.h>

static int kv_poison(KvTxn *t, int error) {
        if (error && error != KV_E_NOT_FOUND && !t->error)
                t->error = error;
        return error;
}

void kv_close(Kv *kv) {
        if (!kv)
                return;
        assert(!atomic_load(&kv->writing));
        kv->backend->close(kv);
}

int kv_begin_read(Kv *kv, KvTxn **ret) { return kv->backend->begin(kv, false, ret); }

int kv_begin_write(Kv *kv, KvTxn **ret) {
        bool expected = false;

        /* A second writer would wait for ever if it is the same thread: refused instead, in either case. */
        if (!atomic_compare_exchange_strong(&kv->writing, &expected, true))
                return -EBUSY;
        int r = kv->backend->begin(kv, true, ret);
        if (r)
                atomic_store(&kv->writing, false);
        return r;
}

int kv_commit(KvTxn *t) {
        Kv *kv = t->kv;
        int r = t->error;

        assert(t->write);
        if (r)
                kv->backend->abort(t);
        else
                r = kv->backend->commit(t);
        atomic_store(&kv->writing, false);
        return r;
}

void kv_abort(KvTxn *t) {
        if (!t)
                return;
        Kv *kv = t->kv;
        bool write = t->write;
        kv->backend->abort(t);
        if (write)
                atomic_store(&kv->writing, false);
}

int kv_grow(Kv *kv) {
        assert(!atomic_load(&kv->writing));
        return kv->backend->grow(kv);
}

int kv_stats(Kv *kv, KvStats *ret) { return kv->backend->stats(kv, ret); }

int kv_backup(Kv *kv, const char *path, Report *report) { return kv->backend->backup(kv, path, report); }

int kv_place(Kv *kv, KvPlace *ret) {
        *ret = (KvPlace){0};
        return kv->backend->place ? kv->backend->place(kv, ret) : 0;
}

static bool kv_key_fits(Slice key) { return key.n > 0 && key.n <= KV_KEY_MAX; }

int kv_get(KvTxn *t, unsigned table, Slice key, Slice *ret) {
        assert(table < t->kv->n_tables);
        if (t->error)
                return t->error;
        if (!kv_key_fits(key))
                return kv_poison(t, -EINVAL);
        return kv_poison(t, t->kv->backend->get(t, table, key, ret));
}

int kv_put(KvTxn *t, unsigned table, Slice key, Slice value) {
        assert(t->write && table < t->kv->n_tables);
        if (t->error)
                return t->error;
        if (!kv_key_fits(key))
                return kv_poison(t, -EINVAL);
        if (value.n > KV_TXN_BYTES_MAX || t->n_bytes > KV_TXN_BYTES_MAX - value.n)
                return kv_poison(t, -EFBIG);
        t->n_bytes += key.n + value.n;
        return kv_poison(t, t->kv->backend->put(t, table, key, value));
}

int kv_delete(KvTxn *t, unsigned table, Slice key) {
        assert(t->write && table < t->kv->n_tables);
        if (t->error)
                return t->error;
        if (!kv_key_fits(key))
                return kv_poison(t, -EINVAL);
        return kv_poison(t, t->kv->backend->remove(t, table, key));
}

uint64_t kv_count(KvTxn *t, unsigned table) {
        assert(table < t->kv->n_tables);
        return t->error ? 0 : t->kv->backend->count(t, table);
}

int kv_cursor_open(KvTxn *t, unsigned table, KvCursor **ret) {
        assert(table < t->kv->n_tables);
        if (t->error)
                return t->error;
        return kv_poison(t, t->kv->backend->cursor_open(t, table, ret));
}

void kv_cursor_close(KvCursor *c) {
        if (c)
                c->txn->kv->backend->cursor_close(c);
}

static int kv_cursor_settle(KvCursor *c, int r) {
        c->place = r ? KV_CURSOR_NOWHERE : KV_CURSOR_AT;
        return kv_poison(c->txn, r);
}

int kv_cursor_seek(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value) {
        if (c->txn->error)
                return c->txn->error;
        if (key.n > KV_KEY_MAX)
                return kv_poison(c->txn, -EINVAL);
        return kv_cursor_settle(c, c->txn->kv->backend->cursor_seek(c, key, ret_key, ret_value));
}

int kv_cursor_seek_last(KvCursor *c, Slice bound, Slice *ret_key, Slice *ret_value) {
        if (c->txn->error)
                return c->txn->error;
        if (bound.n > KV_KEY_MAX)
                return kv_poison(c->txn, -EINVAL);
        return kv_cursor_settle(c, c->txn->kv->backend->cursor_seek_last(c, bound, ret_key, ret_value));
}

int kv_cursor_next(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        if (c->txn->error)
                return c->txn->error;
        if (c->place == KV_CURSOR_NOWHERE)
                return KV_E_NOT_FOUND;
        return kv_cursor_settle(c, c->txn->kv->backend->cursor_next(c, ret_key, ret_value));
}

int kv_cursor_prev(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        if (c->txn->error)
                return c->txn->error;
        if (c->place == KV_CURSOR_NOWHERE)
                return KV_E_NOT_FOUND;
        return kv_cursor_settle(c, c->txn->kv->backend->cursor_prev(c, ret_key, ret_value));
}

int kv_cursor_delete(KvCursor *c) {
        assert(c->txn->write);
        if (c->txn->error)
                return c->txn->error;
        if (c->place != KV_CURSOR_AT)
                return KV_E_NOT_FOUND;
        int r = c->txn->kv->backend->cursor_remove(c);
        c->place = r ? KV_CURSOR_NOWHERE : KV_CURSOR_GAP;
        return kv_poison(c->txn, r);
}
