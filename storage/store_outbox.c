/*
 * The outbox: one row a batch, naming the history and log segments that it wrote, in order; and marks, which
 * say how far a stream had acknowledged rows when its last sequence was so and so. Rows stay past their
 * publication: a stream that lost its tail is given it again, from the newest mark that it still reaches.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"

#define ENTRY_NEW_TENANT                                                                                     \
        (1 << 7) /* in an entry's first byte, beside the series; else the tenant of the entry before */

static Key row_key(uint64_t row) {
        Key k;
        store_key_begin(&k);
        store_key_u64(&k, row);
        return k;
}

int store_outbox_append(StoreTxn *t, uint64_t row, int64_t at_ms, const StoreOutboxEntry *entries,
                        size_t n_entries) {
        Key key = row_key(row);

        Buf *b = store_value(t);
        codec_put_signed(b, at_ms);
        for (size_t i = 0; i < n_entries; i++) {
                const StoreOutboxEntry *e = &entries[i];
                bool is_new = i == 0 || !slice_eq(e->tenant, entries[i - 1].tenant);
                buf_put_u8(b, (uint8_t)((unsigned)e->series | (is_new ? ENTRY_NEW_TENANT : 0)));
                if (is_new)
                        buf_put_bytes(b, e->tenant);
                codec_put_uuid(b, &e->id);
                buf_put_varint(b, e->first);
                buf_put_varint(b, e->n);
        }
        return store_put(t, TABLE_OUTBOX, &key, b);
}

static int take_entry(Reader *r, StoreOutboxEntry *e) {
        uint8_t head = reader_u8(r);

        e->series = head & ~ENTRY_NEW_TENANT;
        if (head & ENTRY_NEW_TENANT)
                e->tenant = reader_bytes(r);
        e->id = codec_uuid(r);
        e->first = reader_varint(r);
        e->n = codec_u32(r);
        return r->failed || e->series > STORE_EVIDENCE ? -EBADMSG : 0;
}

int store_outbox_read(StoreTxn *t, uint64_t row, uint64_t *ret_row, int64_t *ret_at_ms,
                      bool (*each)(void *userdata, const StoreOutboxEntry *e), void *userdata) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        StoreOutboxEntry entry = {0};
        Key from = row_key(row);
        Slice k, v;

        int r = store_cursor(t, TABLE_OUTBOX, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, store_key_slice(&from), &k, &v));
        if (r)
                return r;
        Reader key = reader_from_slice(k), value = reader_from_slice(v);
        *ret_row = reader_u64(&key);
        store_take_version(&value);
        *ret_at_ms = codec_signed(&value);
        if (key.failed || value.failed)
                return store_fail(t, -EBADMSG);
        while (reader_left(&value) > 0) {
                if (take_entry(&value, &entry) < 0)
                        return store_fail(t, -EBADMSG);
                if (!each(userdata, &entry))
                        return 0;
        }
        return 0;
}

int store_outbox_last(StoreTxn *t, uint64_t *ret_row) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Slice k, v;

        *ret_row = 0;
        int r = store_cursor(t, TABLE_OUTBOX, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek_last(c, SLICE_NULL, &k, &v));
        if (r)
                return r == KV_E_NOT_FOUND ? 0 : r;
        Reader key = reader_from_slice(k);
        *ret_row = reader_u64(&key);
        return key.failed ? store_fail(t, -EBADMSG) : 0;
}

/* ---- marks
 * ---------------------------------------------------------------------------------------------------------
 */

/** Marks of rows behind @row speak of what a stream has lost since. */
static int forget_marks_after(StoreTxn *t, uint64_t row) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key from = row_key(row + 1);
        Slice k, v;

        int r = store_cursor(t, TABLE_MARKS, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, store_key_slice(&from), &k, &v));
        for (; r == 0; r = store_fail(t, kv_cursor_next(c, &k, &v))) {
                r = store_fail(t, kv_cursor_delete(c));
                if (r)
                        return r;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_outbox_mark(StoreTxn *t, uint64_t row, uint64_t stream_seq) {
        int r = forget_marks_after(t, row);
        if (r)
                return r;
        Key key = row_key(row);
        Buf *b = store_value(t);
        buf_put_varint(b, stream_seq);
        return store_put(t, TABLE_MARKS, &key, b);
}

static int take_mark(Slice k, Slice v, uint64_t *ret_row, uint64_t *ret_stream_seq) {
        Reader key = reader_from_slice(k), value = reader_from_slice(v);

        *ret_row = reader_u64(&key);
        store_take_version(&value);
        *ret_stream_seq = reader_varint(&value);
        return key.failed || value.failed ? -EBADMSG : 0;
}

/** The newest mark whose stream sequence is at most @stream_seq. */
static int newest_mark(StoreTxn *t, uint64_t stream_seq, uint64_t *ret_row, uint64_t *ret_stream_seq) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        uint64_t row, seq;
        Slice k, v;

        *ret_row = *ret_stream_seq = 0;
        int r = store_cursor(t, TABLE_MARKS, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek_last(c, SLICE_NULL, &k, &v));
        for (; r == 0; r = store_fail(t, kv_cursor_prev(c, &k, &v))) {
                if (take_mark(k, v, &row, &seq) < 0)
                        return store_fail(t, -EBADMSG);
                if (seq <= stream_seq) {
                        *ret_row = row;
                        *ret_stream_seq = seq;
                        return 0;
                }
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_outbox_last_mark(StoreTxn *t, uint64_t *ret_row, uint64_t *ret_stream_seq) {
        return newest_mark(t, UINT64_MAX, ret_row, ret_stream_seq);
}

int store_outbox_mark_at(StoreTxn *t, uint64_t stream_seq, uint64_t *ret_row) {
        uint64_t seq;
        return newest_mark(t, stream_seq, ret_row, &seq);
}

/* ---- forgetting
 * ------------------------------------------------------------------------------------------------------ */

/** Marks up to @row say nothing that the missing rows don't say; the newest of all stays. */
static int trim_marks(StoreTxn *t, uint64_t row) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        uint64_t last, seq, at, at_seq;
        Slice k, v;

        int r = store_outbox_last_mark(t, &last, &seq);
        if (r == 0)
                r = store_cursor(t, TABLE_MARKS, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, SLICE_NULL, &k, &v));
        for (; r == 0; r = store_fail(t, kv_cursor_next(c, &k, &v))) {
                if (take_mark(k, v, &at, &at_seq) < 0)
                        return store_fail(t, -EBADMSG);
                if (at > row || at == last)
                        return 0;
                r = store_fail(t, kv_cursor_delete(c));
                if (r)
                        return r;
        }
        return r == KV_E_NOT_FOUND ? 0 : r;
}

int store_outbox_trim(StoreTxn *t, uint64_t row, int64_t before_ms, uint32_t max, uint32_t *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        uint64_t trimmed = 0;
        Slice k, v;

        *ret = 0;
        int r = store_cursor(t, TABLE_OUTBOX, &c);
        if (r == 0)
                r = store_fail(t, kv_cursor_seek(c, SLICE_NULL, &k, &v));
        for (; r == 0 && *ret < max; r = store_fail(t, kv_cursor_next(c, &k, &v))) {
                Reader key = reader_from_slice(k), value = reader_from_slice(v);
                uint64_t at = reader_u64(&key);
                store_take_version(&value);
                int64_t at_ms = codec_signed(&value);
                if (key.failed || value.failed)
                        return store_fail(t, -EBADMSG);
                if (at > row || at_ms >= before_ms)
                        break;
                r = store_fail(t, kv_cursor_delete(c));
                if (r)
                        return r;
                trimmed = at;
                (*ret)++;
        }
        if (r && r != KV_E_NOT_FOUND)
                return r;
        return *ret > 0 ? trim_marks(t, trimmed) : 0;
}
