/*
 * What was answered before: command results, idempotency digests, ids of external events; and how they
 * expire.
 *
 * Results and event ids are put thousands a second and deleted in order of time much later. Which keys those
 * are is noted once a batch, not once a key: a row of TABLE_EXPIRY lists the keys of one transaction under
 * the time of its youngest.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"

/* ---- expiry
 * ---------------------------------------------------------------------------------------------------------
 */

static int flush_batch(StoreTxn *t, ExpiryKind kind) {
        ExpiryBatch *batch = &t->expiry[kind];
        Key key;

        if (batch->keys.n == 0 && !batch->keys.error)
                return 0;
        store_key_begin(&key);
        store_key_u8(&key, (uint8_t)kind);
        store_key_time(&key, batch->at_ms);
        store_key_u64(&key, store_next_order(t->store));
        int r = store_put(t, TABLE_EXPIRY, &key, &batch->keys);
        buf_reset(&batch->keys);
        return r;
}

int store_expiry_flush(StoreTxn *t) {
        int r = 0;
        for (unsigned kind = 1; kind < N_EXPIRY_KINDS && r == 0; kind++)
                r = flush_batch(t, kind);
        return r;
}

int store_expiry_note(StoreTxn *t, ExpiryKind kind, int64_t at_ms, const Key *key) {
        ExpiryBatch *batch = &t->expiry[kind];

        if (batch->keys.n == 0) {
                buf_put_u8(&batch->keys, RECORD_VERSION);
                batch->at_ms = at_ms;
        }
        if (at_ms > batch->at_ms)
                batch->at_ms = at_ms;
        buf_put_bytes(&batch->keys, store_key_slice(key));
        return batch->keys.n < EXPIRY_ROW_BYTES ? 0 : flush_batch(t, kind);
}

/** Delete @key unless it was written again since. *ret counts. */
static int expire_one(StoreTxn *t, StoreTable table, const Key *key, int64_t before_ms, uint32_t *ret) {
        Slice found;

        int r = store_get(t, table, key, &found);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        if (codec_signed(&reader) >= before_ms && !reader.failed)
                return 0;
        r = reader.failed ? store_fail(t, -EBADMSG) : store_delete(t, table, key);
        *ret += r == 0;
        return r;
}

/** One row of @keys (version, then length-prefixed keys), up to @max of them. The rest is put back into
 * t->value, if any. */
static int expire_row(StoreTxn *t, StoreTable table, Slice keys, int64_t before_ms, uint32_t *max,
                      uint32_t *ret) {
        _cleanup_(buf_deinit) Buf copy = {0}; /* deleting ends the loan of @keys */
        int r = 0;

        buf_put_slice(&copy, keys);
        if (copy.error)
                return store_fail(t, copy.error);
        Reader reader = reader_from_slice(buf_slice(&copy));
        store_take_version(&reader);
        for (; *max > 0 && reader_left(&reader) > 0 && r == 0; (*max)--) {
                Slice bytes = reader_bytes(&reader);
                Key key;
                if (reader.failed || bytes.n == 0 || bytes.n > KV_KEY_MAX)
                        break;
                store_key_begin(&key);
                store_key_put(&key, bytes.data, bytes.n);
                r = expire_one(t, table, &key, before_ms, ret);
        }
        if (r)
                return r;
        if (reader.failed)
                return store_fail(t, -EBADMSG);
        Buf *rest = store_value(t);
        buf_put_slice(rest, reader_take(&reader, reader_left(&reader)));
        return store_fail(t, rest->error);
}

int store_expiry_run(StoreTxn *t, ExpiryKind kind, StoreTable table, int64_t before_ms, uint32_t max,
                     uint32_t *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix, row;
        Slice k, v;

        *ret = 0;
        store_key_begin(&prefix);
        store_key_u8(&prefix, (uint8_t)kind);
        int r = flush_batch(t, kind);
        if (r == 0)
                r = store_cursor(t, TABLE_EXPIRY, &c);
        if (r == 0)
                r = store_seek(t, c, &prefix, &prefix, &k, &v);
        for (; r == 0 && max > 0; r = store_seek_next(t, c, &prefix, &k, &v)) {
                Reader key = store_key_tail(k, 16);
                if (key.failed || k.n > KV_KEY_MAX)
                        return store_fail(t, -EBADMSG);
                if (store_key_take_time(&key) >= before_ms)
                        return 0;
                store_key_begin(&row);
                store_key_put(&row, k.data, k.n);
                r = expire_row(t, table, v, before_ms, &max, ret);
                if (r == 0 && t->value.n > 1)
                        return store_put(t, TABLE_EXPIRY, &row,
                                         &t->value); /* so @max was reached within it */
                if (r == 0)
                        r = store_fail(t, kv_cursor_delete(c));
                if (r)
                        return r;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

/* ---- command results
 * ---------------------------------------------------------------------------------------------------- */

static Key result_key(Slice tenant, Slice user, Slice command_id) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        store_key_text(&k, user);
        store_key_text(&k, command_id);
        return k;
}

int store_result_get(StoreTxn *t, Slice tenant, Slice user, Slice command_id, StoreResult *ret) {
        Key key = result_key(tenant, user, command_id);
        Slice found;

        int r = store_get(t, TABLE_RESULTS, &key, &found);
        if (r)
                return r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        ret->at_ms = codec_signed(&reader);
        ret->code = reader_u16(&reader);
        ret->request = codec_digest(&reader);
        ret->body = reader_take(&reader, reader_left(&reader));
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

int store_result_put(StoreTxn *t, Slice tenant, Slice user, Slice command_id, const StoreResult *result) {
        Key key = result_key(tenant, user, command_id);

        Buf *b = store_value(t);
        codec_put_signed(b, result->at_ms);
        buf_put_u16(b, result->code);
        buf_put(b, result->request.bytes, DIGEST_SIZE);
        buf_put_slice(b, result->body);
        int r = store_put(t, TABLE_RESULTS, &key, b);
        return r ? r : store_expiry_note(t, EXPIRY_RESULTS, result->at_ms, &key);
}

int store_result_expire(StoreTxn *t, int64_t before_ms, uint32_t max, uint32_t *ret) {
        return store_expiry_run(t, EXPIRY_RESULTS, TABLE_RESULTS, before_ms, max, ret);
}

/* ---- idempotency
 * ------------------------------------------------------------------------------------------------------------
 */

static Key idempotency_key(const Digest *digest) {
        Key k;
        store_key_begin(&k);
        store_key_put(&k, digest->bytes, DIGEST_SIZE);
        return k;
}

int store_idempotency_get(StoreTxn *t, const Digest *digest, Uuid *ret) {
        Key key = idempotency_key(digest);
        Slice found;

        int r = store_get(t, TABLE_IDEMPOTENCY, &key, &found);
        if (r)
                return r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        *ret = codec_uuid(&reader);
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

/** Begin a row with the holders that it has, but for @id. *ret_n: how many; *ret_had: was @id one? */
static int rewrite_holders(StoreTxn *t, const Key *key, Uuid id, size_t *ret_n, bool *ret_had) {
        Slice found = SLICE_NULL;

        *ret_n = 0;
        *ret_had = false;
        int r = store_get(t, TABLE_IDEMPOTENCY, key, &found);
        if (r < 0)
                return r;
        Reader reader = reader_from_slice(found);
        Buf *b = store_value(t);
        if (r == 0)
                store_take_version(&reader);
        while (r == 0 && reader_left(&reader) > 0) {
                Uuid holder = codec_uuid(&reader);
                if (reader.failed)
                        break;
                *ret_had |= uuid_eq(holder, id);
                if (uuid_eq(holder, id))
                        continue;
                codec_put_uuid(b, &holder);
                ++*ret_n;
        }
        return reader.failed ? store_fail(t, -EBADMSG) : 0;
}

int store_idempotency_put(StoreTxn *t, const Digest *digest, Uuid id) {
        Key key = idempotency_key(digest);
        size_t n;
        bool had;

        int r = rewrite_holders(t, &key, id, &n, &had);
        if (r || had || n >= STORE_HOLDERS_MAX)
                return r;
        codec_put_uuid(&t->value, &id);
        return store_put(t, TABLE_IDEMPOTENCY, &key, &t->value);
}

int store_idempotency_delete(StoreTxn *t, const Digest *digest, Uuid id) {
        Key key = idempotency_key(digest);
        size_t n;
        bool had;

        int r = rewrite_holders(t, &key, id, &n, &had);
        if (r || !had)
                return r;
        return n > 0 ? store_put(t, TABLE_IDEMPOTENCY, &key, &t->value)
                     : store_delete(t, TABLE_IDEMPOTENCY, &key);
}

/* ---- ids of external events
 * --------------------------------------------------------------------------------------------------- */

static Key event_key(Slice tenant, Slice event_id) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        store_key_text(&k, event_id);
        return k;
}

int store_event_seen(StoreTxn *t, Slice tenant, Slice event_id, bool *ret) {
        Key key = event_key(tenant, event_id);
        Slice found;
        int r = store_get(t, TABLE_EVENTS, &key, &found);
        *ret = r == 0;
        return r == STORE_E_NOT_FOUND ? 0 : r;
}

int store_event_note(StoreTxn *t, Slice tenant, Slice event_id, int64_t at_ms) {
        Key key = event_key(tenant, event_id);
        Buf *b = store_value(t);
        codec_put_signed(b, at_ms);
        int r = store_put(t, TABLE_EVENTS, &key, b);
        return r ? r : store_expiry_note(t, EXPIRY_EVENTS, at_ms, &key);
}

int store_event_expire(StoreTxn *t, int64_t before_ms, uint32_t max, uint32_t *ret) {
        return store_expiry_run(t, EXPIRY_EVENTS, TABLE_EVENTS, before_ms, max, ret);
}
