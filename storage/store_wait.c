/*
 * What executions wait for: times, events, people. Rows say who waits; what then happens is decided from the
 * execution itself.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"

/* ---- timers
 * ------------------------------------------------------------------------------------------------------- */

static Key timer_key(const StoreTimer *timer) {
        Key k;
        store_key_begin(&k);
        store_key_time(&k, timer->at_ms);
        store_key_uuid(&k, timer->execution_id);
        store_key_u32(&k, timer->instance);
        store_key_u8(&k, timer->slot);
        return k;
}

int store_timer_set(StoreTxn *t, const StoreTimer *timer) {
        Key key = timer_key(timer);
        return store_put_slice(t, TABLE_TIMERS, &key, SLICE_NULL);
}

int store_timer_clear(StoreTxn *t, const StoreTimer *timer) {
        Key key = timer_key(timer);
        int r = store_delete(t, TABLE_TIMERS, &key);
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_timer_next(StoreTxn *t, const StoreTimer *after, StoreTimer *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Slice k, v;
        Key from;

        if (after)
                from = timer_key(after);
        else
                store_key_begin(&from);
        if (after)
                store_key_u8(&from, 0); /* the least key behind it */
        int r = store_cursor(t, TABLE_TIMERS, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, store_key_slice(&from), &k, &v));
        if (r)
                return r;
        Reader key = reader_from_slice(k);
        ret->at_ms = store_key_take_time(&key);
        ret->execution_id = store_key_take_uuid(&key);
        ret->instance = reader_u32(&key);
        ret->slot = reader_u8(&key);
        return key.failed ? store_fail(t, -EBADMSG) : 0;
}

/* ---- waits for events
 * ------------------------------------------------------------------------------------------------- */

static Key queue_prefix(Slice tenant, Slice type, Slice correlation) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        store_key_text(&k, type);
        store_key_text(&k, correlation);
        return k;
}

/** Beside the execution: which row of the queue is its instance's, so that a withdrawal need not search the
 * queue. */
static Key wait_owner_key(Uuid execution_id, uint32_t instance) {
        Key k = execution_key(execution_id, ROW_WAIT);
        store_key_u32(&k, instance);
        return k;
}

int store_wait_add(StoreTxn *t, Slice tenant, Slice type, Slice correlation, const StoreWait *wait) {
        Key key = queue_prefix(tenant, type, correlation),
            owner = wait_owner_key(wait->execution_id, wait->instance);

        store_key_u64(&key, wait->order);
        Buf *b = store_value(t);
        buf_put(b, wait->execution_id.bytes, sizeof(wait->execution_id.bytes));
        buf_put_varint(b, wait->instance);
        buf_put_varint(b, wait->attempt);
        int r = store_put(t, TABLE_WAITS, &key, b);
        if (r)
                return r;
        b = store_value(t);
        buf_put_u64(b, wait->order);
        return store_put(t, TABLE_EXECUTIONS, &owner, b);
}

int store_wait_remove(StoreTxn *t, Slice tenant, Slice type, Slice correlation, Uuid execution_id,
                      uint32_t instance) {
        Key key = queue_prefix(tenant, type, correlation), owner = wait_owner_key(execution_id, instance);
        Slice found;

        int r = store_get(t, TABLE_EXECUTIONS, &owner, &found);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        store_key_u64(&key, reader_u64(&reader));
        if (reader.failed)
                return store_fail(t, -EBADMSG);
        r = store_delete(t, TABLE_EXECUTIONS, &owner);
        if (r == 0)
                r = store_delete(t, TABLE_WAITS, &key);
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_wait_first(StoreTxn *t, Slice tenant, Slice type, Slice correlation, StoreWait *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = queue_prefix(tenant, type, correlation);
        Slice k, v;

        int r = store_cursor(t, TABLE_WAITS, &c);
        if (r == 0)
                r = store_seek(t, c, &prefix, &prefix, &k, &v);
        if (r)
                return r;
        Reader key = store_key_tail(k, 8), value = reader_from_slice(v);
        ret->order = reader_u64(&key);
        store_take_version(&value);
        ret->execution_id = store_key_take_uuid(&value);
        ret->instance = (uint32_t)reader_varint(&value);
        ret->attempt = (uint32_t)reader_varint(&value);
        return key.failed || value.failed ? store_fail(t, -EBADMSG) : 0;
}

/* ---- pending approvals
 * -------------------------------------------------------------------------------------------------- */

static Key approval_prefix(Slice tenant, Slice user) {
        Key k;
        store_key_begin(&k);
        store_key_text(&k, tenant);
        store_key_text(&k, user);
        return k;
}

static Key approval_key(Slice tenant, Slice user, Uuid execution_id, uint32_t instance) {
        Key k = approval_prefix(tenant, user);
        store_key_uuid(&k, execution_id);
        store_key_u32(&k, instance);
        return k;
}

int store_approval_add(StoreTxn *t, Slice tenant, Slice user, Uuid execution_id, uint32_t instance) {
        Key key = approval_key(tenant, user, execution_id, instance);
        return store_put_slice(t, TABLE_APPROVALS, &key, SLICE_NULL);
}

int store_approval_remove(StoreTxn *t, Slice tenant, Slice user, Uuid execution_id, uint32_t instance) {
        Key key = approval_key(tenant, user, execution_id, instance);
        int r = store_delete(t, TABLE_APPROVALS, &key);
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_approval_list(StoreTxn *t, Slice tenant, Slice user, Uuid after_id, uint32_t after_instance,
                        bool (*each)(void *userdata, Uuid execution_id, uint32_t instance), void *userdata) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = approval_prefix(tenant, user), from = prefix;
        Slice k, v;

        if (!uuid_is_nil(after_id)) {
                from = approval_key(tenant, user, after_id, after_instance);
                store_key_u8(&from, 0); /* the least key behind it */
        }
        int r = store_cursor(t, TABLE_APPROVALS, &c);
        if (r)
                return r;
        for (r = store_seek(t, c, &from, &prefix, &k, &v); r == 0;
             r = store_seek_next(t, c, &prefix, &k, &v)) {
                Reader key = store_key_tail(k, 20);
                Uuid id = store_key_take_uuid(&key);
                uint32_t instance = reader_u32(&key);
                if (key.failed)
                        return store_fail(t, -EBADMSG);
                if (!each(userdata, id, instance))
                        return 0;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}
