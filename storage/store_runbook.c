/*
 * Definitions by tenant, id and version, and which version of each id is the newest registered.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"

typedef enum RunbookRow { RUNBOOK_VERSION = 1, RUNBOOK_NEWEST = 2 } RunbookRow;

static Key runbook_prefix(RunbookRow row, Slice tenant) {
        Key k;
        store_key_begin(&k);
        store_key_u8(&k, (uint8_t)row);
        store_key_text(&k, tenant);
        return k;
}

static Key version_key(Slice tenant, Slice id, Slice version) {
        Key k = runbook_prefix(RUNBOOK_VERSION, tenant);
        store_key_text(&k, id);
        store_key_text(&k, version);
        return k;
}

static Key newest_key(Slice tenant, Slice id) {
        Key k = runbook_prefix(RUNBOOK_NEWEST, tenant);
        store_key_text(&k, id);
        return k;
}

static int take_runbook(StoreTxn *t, Slice value, StoreRunbook *ret) {
        Reader r = reader_from_slice(value);

        store_take_version(&r);
        ret->order = reader_varint(&r);
        ret->registered_ms = codec_signed(&r);
        ret->n_steps = codec_u32(&r);
        ret->digest = codec_digest(&r);
        ret->id = reader_bytes(&r);
        ret->version = reader_bytes(&r);
        ret->name = reader_bytes(&r);
        ret->description = reader_bytes(&r);
        ret->registered_by = reader_bytes(&r);
        ret->definition = reader_take(&r, reader_left(&r));
        return r.failed ? store_fail(t, -EBADMSG) : 0;
}

/** The newest version's number and order; STORE_E_NOT_FOUND. */
static int get_newest(StoreTxn *t, const Key *key, Slice *ret_version, uint64_t *ret_order) {
        Slice found;

        int r = store_get(t, TABLE_RUNBOOKS, key, &found);
        if (r)
                return r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        *ret_order = reader_varint(&reader);
        *ret_version = reader_bytes(&reader);
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

int store_runbook_put(StoreTxn *t, Slice tenant, const StoreRunbook *r) {
        Key key = version_key(tenant, r->id, r->version), newest = newest_key(tenant, r->id);
        uint64_t order = 0;
        Slice version;

        Buf *b = store_value(t);
        buf_put_varint(b, r->order);
        codec_put_signed(b, r->registered_ms);
        buf_put_varint(b, r->n_steps);
        buf_put(b, r->digest.bytes, DIGEST_SIZE);
        buf_put_bytes(b, r->id);
        buf_put_bytes(b, r->version);
        buf_put_bytes(b, r->name);
        buf_put_bytes(b, r->description);
        buf_put_bytes(b, r->registered_by);
        buf_put_slice(b, r->definition);
        int e = store_put(t, TABLE_RUNBOOKS, &key, b);
        if (e == 0)
                e = get_newest(t, &newest, &version, &order);
        if ((e && e != STORE_E_NOT_FOUND) || (e == 0 && order > r->order))
                return e;
        b = store_value(t);
        buf_put_varint(b, r->order);
        buf_put_bytes(b, r->version);
        return store_put(t, TABLE_RUNBOOKS, &newest, b);
}

int store_runbook_get(StoreTxn *t, Slice tenant, Slice id, Slice version, StoreRunbook *ret) {
        Slice found;

        if (version.n == 0) {
                Key newest = newest_key(tenant, id);
                uint64_t order;
                int r = get_newest(t, &newest, &version, &order);
                if (r)
                        return r;
        }
        Key key = version_key(tenant, id, version);
        int r = store_get(t, TABLE_RUNBOOKS, &key, &found);
        return r ? r : take_runbook(t, found, ret);
}

/** The record of the version that a "newest" row names. */
static int get_named(StoreTxn *t, Slice newest_row_key, Slice tenant_prefix, Slice newest_row,
                     StoreRunbook *ret) {
        Reader reader = reader_from_slice(newest_row);
        Slice found;
        Key key;

        store_take_version(&reader);
        (void)reader_varint(&reader);
        Slice version = reader_bytes(&reader);
        if (reader.failed || newest_row_key.n > KV_KEY_MAX || newest_row_key.n < tenant_prefix.n)
                return store_fail(t, -EBADMSG);
        /* The same key but for the row kind, with the version behind it. */
        store_key_begin(&key);
        store_key_put(&key, newest_row_key.data, newest_row_key.n);
        key.bytes[0] = RUNBOOK_VERSION;
        store_key_text(&key, version);
        int r = store_get(t, TABLE_RUNBOOKS, &key, &found);
        if (r)
                return store_fail(t, r == STORE_E_NOT_FOUND ? -EBADMSG : r);
        return take_runbook(t, found, ret);
}

int store_runbook_list(StoreTxn *t, Slice tenant, Slice after,
                       bool (*each)(void *userdata, const StoreRunbook *r), void *userdata) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = runbook_prefix(RUNBOOK_NEWEST, tenant), from = prefix;
        StoreRunbook runbook;
        Slice k, v;

        if (after.n > 0) {
                store_key_text(&from, after);
                store_key_u8(&from, 0); /* the least key behind it */
        }
        int r = store_cursor(t, TABLE_RUNBOOKS, &c);
        if (r)
                return r;
        for (r = store_seek(t, c, &from, &prefix, &k, &v); r == 0;
             r = store_seek_next(t, c, &prefix, &k, &v)) {
                r = get_named(t, k, store_key_slice(&prefix), v, &runbook);
                if (r)
                        return r;
                if (!each(userdata, &runbook))
                        return 0;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_runbook_versions(StoreTxn *t, Slice tenant, Slice id,
                           bool (*each)(void *userdata, const StoreRunbook *r), void *userdata) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = runbook_prefix(RUNBOOK_VERSION, tenant);
        StoreRunbook runbook;
        Slice k, v;

        store_key_text(&prefix, id);
        int r = store_cursor(t, TABLE_RUNBOOKS, &c);
        if (r)
                return r;
        for (r = store_seek(t, c, &prefix, &prefix, &k, &v); r == 0;
             r = store_seek_next(t, c, &prefix, &k, &v)) {
                r = take_runbook(t, v, &runbook);
                if (r)
                        return r;
                if (!each(userdata, &runbook))
                        return 0;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}
