/*
 * The fence. Two stores with one past would both go on with the same executions, and do every effect that is still to
 * come twice. So each start leaves a random number here, which is also told to the bus (subjects/bus_fence.c), and the
 * place of the data file. A copied file has another inode or another time of birth: that shows without a bus.
 */
#include "storage/store_impl.h"

#include "model/codec.h"

#define META_FENCE ".fence" /* version, incarnation, place, nonces */

static Key fence_key(void) {
        Key k;
        store_key_begin(&k);
        store_key_put(&k, META_FENCE, strlen(META_FENCE));
        return k;
}

/** STORE_E_NOT_FOUND before the first start. */
static int get_fence(StoreTxn *t, StoreFence *ret, KvPlace *ret_place) {
        Key key = fence_key();
        Slice found;

        int r = store_get(t, TABLE_META, &key, &found);
        if (r)
                return r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        ret->incarnation = reader_varint(&reader);
        ret_place->inode = reader_u64(&reader);
        ret_place->born_ns = (int64_t)reader_u64(&reader);
        for (ret->n = 0; ret->n < STORE_FENCE_KEPT && reader_left(&reader) > 0; ret->n++)
                ret->nonces[ret->n] = codec_uuid(&reader);
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

static int put_fence(StoreTxn *t, const StoreFence *fence, const KvPlace *place) {
        Key key = fence_key();
        Buf *b = store_value(t);

        buf_put_varint(b, fence->incarnation);
        buf_put_u64(b, place->inode);
        buf_put_u64(b, (uint64_t)place->born_ns);
        for (size_t i = 0; i < fence->n; i++)
                codec_put_uuid(b, &fence->nonces[i]);
        return store_put(t, TABLE_META, &key, b);
}

static bool is_elsewhere(const KvPlace *was, const KvPlace *is) {
        return was->inode != is->inode || (was->born_ns && is->born_ns && was->born_ns != is->born_ns);
}

static int note(StoreTxn *t, const KvPlace *place, Uuid nonce, bool adopt, Report *report, StoreFence *ret) {
        KvPlace was;

        *ret = (StoreFence){0};
        int r = get_fence(t, ret, &was);
        if (r && r != STORE_E_NOT_FOUND)
                return r;
        if (r == 0 && !adopt && is_elsewhere(&was, place)) {
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "This store is a copy: its data file is not the one that the engine ran on last "
                           "(a restored "
                           "backup, a clone, another disk). If the engine that it was taken from can never "
                           "run again, "
                           "start once with --adopt-restored; else both would do the same work.");
                return -EKEYREJECTED;
        }
        memmove(ret->nonces + 1, ret->nonces, (STORE_FENCE_KEPT - 1) * sizeof(*ret->nonces));
        ret->nonces[0] = nonce;
        ret->n += ret->n < STORE_FENCE_KEPT;
        ret->incarnation++;
        return put_fence(t, ret, place);
}

int store_fence_note(Store *s, Uuid nonce, bool adopt, Report *report, StoreFence *ret) {
        KvPlace place;
        StoreTxn *t;

        int r = kv_place(s->kv, &place);
        if (r)
                return r;
        do {
                r = store_begin_write(s, &t);
                if (r)
                        return r;
                r = note(t, &place, nonce, adopt, report, ret);
                if (r < 0) {
                        store_abort(t);
                        return r;
                }
                r = store_commit(t);
        } while (r == KV_E_MAP_FULL && (r = kv_grow(s->kv)) == 0);
        return r;
}
