/*
 * Events that came before anybody waited for them: queued by (tenant, type, correlation) in order of arrival,
 * until somebody does or their time is over. A second row per event, in order of expiry, finds those; the
 * tenant's counter bounds them.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"

static Key early_prefix(Slice tenant, Slice type, Slice correlation) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        store_key_text(&k, type);
        store_key_text(&k, correlation);
        return k;
}

static Key early_key(Slice tenant, Slice type, Slice correlation, uint64_t order) {
        Key k = early_prefix(tenant, type, correlation);
        store_key_u64(&k, order);
        return k;
}

static Key expiry_key(int64_t expires_ms, uint64_t order) {
        Key k;
        store_key_begin(&k);
        store_key_u8(&k, EXPIRY_EARLY);
        store_key_time(&k, expires_ms);
        store_key_u64(&k, order);
        return k;
}

static int count_early(StoreTxn *t, Slice tenant, int by) {
        Counter *counter;
        int r = store_counter(t, tenant, &counter);
        if (r == 0)
                counter->early += by;
        return r;
}

int store_early_add(StoreTxn *t, Slice tenant, Slice type, Slice correlation, const StoreEarlyEvent *e) {
        Key key = early_key(tenant, type, correlation, e->order),
            expiry = expiry_key(e->expires_ms, e->order);

        Buf *b = store_value(t);
        codec_put_signed(b, e->expires_ms);
        buf_put_bytes(b, e->event_id);
        buf_put_bytes(b, e->user);
        buf_put_bytes(b, e->payload);
        int r = store_put(t, TABLE_EARLY, &key, b);
        if (r)
                return r;
        b = store_value(t);
        buf_put_bytes(b, tenant);
        buf_put_slice(b, store_key_slice(&key));
        r = store_put(t, TABLE_EXPIRY, &expiry, b);
        return r ? r : count_early(t, tenant, 1);
}

int store_early_first(StoreTxn *t, Slice tenant, Slice type, Slice correlation, int64_t now_ms,
                      StoreEarlyEvent *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = early_prefix(tenant, type, correlation);
        Slice k, v;

        int r = store_cursor(t, TABLE_EARLY, &c);
        if (r)
                return r;
        for (r = store_seek(t, c, &prefix, &prefix, &k, &v); r == 0;
             r = store_seek_next(t, c, &prefix, &k, &v)) {
                Reader key = store_key_tail(k, 8), value = reader_from_slice(v);
                ret->order = reader_u64(&key);
                store_take_version(&value);
                ret->expires_ms = codec_signed(&value);
                ret->event_id = reader_bytes(&value);
                ret->user = reader_bytes(&value);
                ret->payload = reader_bytes(&value);
                if (key.failed || value.failed)
                        return store_fail(t, -EBADMSG);
                if (ret->expires_ms > now_ms)
                        return 0;
        }
        return r;
}

int store_early_delete(StoreTxn *t, Slice tenant, Slice type, Slice correlation, const StoreEarlyEvent *e) {
        Key key = early_key(tenant, type, correlation, e->order),
            expiry = expiry_key(e->expires_ms, e->order);

        int r = store_delete(t, TABLE_EARLY, &key);
        if (r)
                return r;
        r = store_delete(t, TABLE_EXPIRY, &expiry);
        return r && r != KV_E_NOT_FOUND ? r : count_early(t, tenant, -1);
}

int store_early_expire(StoreTxn *t, int64_t now_ms, uint32_t max, uint32_t *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Slice k, v;
        Key prefix;

        *ret = 0;
        store_key_begin(&prefix);
        store_key_u8(&prefix, EXPIRY_EARLY);
        int r = store_cursor(t, TABLE_EXPIRY, &c);
        if (r)
                return r;
        for (r = store_seek(t, c, &prefix, &prefix, &k, &v); r == 0 && *ret < max;
             r = store_seek_next(t, c, &prefix, &k, &v)) {
                Reader key = store_key_tail(k, 16), value = reader_from_slice(v);
                if (store_key_take_time(&key) > now_ms)
                        return 0;
                store_take_version(&value);
                Slice tenant = reader_bytes(&value), row = reader_take(&value, reader_left(&value));
                if (key.failed || value.failed || row.n > KV_KEY_MAX)
                        return store_fail(t, -EBADMSG);
                /* The counter may be flushed and rows move: @row and @tenant must not be borrowed any longer
                 * then. */
                Key early;
                store_key_begin(&early);
                store_key_put(&early, row.data, row.n);
                r = count_early(t, tenant, -1);
                if (r == 0)
                        r = store_fail(t, kv_cursor_delete(c));
                if (r == 0)
                        r = store_delete(t, TABLE_EARLY, &early);
                if (r)
                        return store_fail(t, r == KV_E_NOT_FOUND ? -EBADMSG : r);
                (*ret)++;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}
