/*
 * Series: what is appended to an execution and never changed: inputs, events, logs, evidence
 *
 * What one transaction appends, of all four series, is one row: a bundle. An execution that takes part in a batch
 * so dirties one page at the end of its rows, and not one for each series; what repeats between an event and its
 * log entry is packed once.
 *
 *     key     id, ROW_BUNDLE, u64 number      numbers grow, with gaps
 *     value   version, for each series (first, n, bytes), unpacked length (0: plain), frames of all four
 *
 * A series that got nothing still says where it stands: `first` is the number that its next record will get. So
 * every bundle can tell for every series whether a record is in it, before or after it, and any record is found
 * by halving, as many steps as the number of bundles has bits.
 *
 * Up to format 1 each segment was a row of its own (ROW_SERIES + series, u64 first). Such rows stay where they are
 * and are read first: an execution that has them has its older records in them.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"
#include "model/update.h"
#include "storage/pack.h"

typedef struct Bundle {
        uint64_t number;
        struct {
                uint64_t first, offset, n_bytes; /* in the frames of all */
                uint32_t n;
        } parts[N_STORE_SERIES];
        uint64_t n_unpacked; /* 0: plain */
        Slice frames;        /* as stored */
} Bundle;

static Key bundle_key(Uuid id, uint64_t number) {
        Key k = execution_key(id, ROW_BUNDLE);
        store_key_u64(&k, number);
        return k;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

int store_bundle_append(StoreTxn *t, Uuid id, uint64_t number, const StorePart parts[N_STORE_SERIES]) {
        Key key = bundle_key(id, number);
        Buf *b = store_value(t), *all = &t->frames;

        t->unpacked_n = 0; /* the scratch is used for something else */
        buf_reset(all);
        for (unsigned s = 0; s < N_STORE_SERIES; s++) {
                buf_put_varint(b, parts[s].first);
                buf_put_varint(b, parts[s].n);
                if (parts[s].n == 0)
                        continue;
                buf_put_varint(b, parts[s].frames.n);
                buf_put_slice(all, parts[s].frames);
        }
        if (all->error)
                return store_fail(t, all->error);
        size_t head = b->n;
        buf_put_varint(b, all->n);
        if (!pack_text(buf_slice(all), b)) {
                b->n = head;
                buf_put_varint(b, 0);
                buf_put_slice(b, buf_slice(all));
        }
        return store_put(t, TABLE_EXECUTIONS, &key, b);
}

/* ---- one bundle ------------------------------------------------------------------------------------- */

static int take_bundle(StoreTxn *t, Slice key, Slice value, Bundle *ret) {
        Reader k = store_key_tail(key, 8), v = reader_from_slice(value);
        uint64_t offset = 0;

        ret->number = reader_u64(&k);
        store_take_version(&v);
        for (unsigned s = 0; s < N_STORE_SERIES; s++) {
                ret->parts[s].first = reader_varint(&v);
                ret->parts[s].n = codec_u32(&v);
                ret->parts[s].offset = offset;
                ret->parts[s].n_bytes = ret->parts[s].n > 0 ? reader_varint(&v) : 0;
                if (ret->parts[s].n_bytes > PACK_MAX)
                        v.failed = true;
                offset += ret->parts[s].n_bytes;
        }
        ret->n_unpacked = reader_varint(&v);
        ret->frames = reader_take(&v, reader_left(&v));
        if (k.failed || v.failed || offset != (ret->n_unpacked ? ret->n_unpacked : ret->frames.n))
                return store_fail(t, -EBADMSG);
        return 0;
}

/** The frames of all series; kept until another bundle is unpacked: whoever reads one series often reads the next. */
static int unpack(StoreTxn *t, Uuid id, const Bundle *b, Slice *ret) {
        if (b->n_unpacked == 0) {
                *ret = b->frames;
                return 0;
        }
        if (t->unpacked_n != b->n_unpacked || t->unpacked_number != b->number || !uuid_eq(t->unpacked_id, id)) {
                t->unpacked_n = 0;
                if (b->n_unpacked > PACK_MAX)
                        return store_fail(t, -EBADMSG);
                buf_reset(&t->frames);
                char *text = buf_extend(&t->frames, b->n_unpacked);
                if (!text)
                        return store_fail(t, -ENOMEM);
                if (!unpack_text(b->frames, text, b->n_unpacked))
                        return store_fail(t, -EBADMSG);
                if (!t->write) { /* a writer could put another one over it */
                        t->unpacked_n = b->n_unpacked;
                        t->unpacked_number = b->number;
                        t->unpacked_id = id;
                }
        }
        *ret = (Slice){t->frames.data, b->n_unpacked};
        return 0;
}

/* ---- finding ---------------------------------------------------------------------------------------- */

/** The last bundle numbered up to @number. 0 or KV_E_NOT_FOUND. */
static int bundle_at(StoreTxn *t, KvCursor *c, Uuid id, uint64_t number, Bundle *ret) {
        Key prefix = execution_key(id, ROW_BUNDLE), after = execution_key(id, ROW_BUNDLE + 1);
        Slice k, v;

        if (number < UINT64_MAX)
                after = bundle_key(id, number + 1);
        int r = store_fail(t, kv_cursor_seek_last(c, store_key_slice(&after), &k, &v));
        if (r)
                return r;
        return slice_starts_with(k, store_key_slice(&prefix)) ? take_bundle(t, k, v, ret) : KV_E_NOT_FOUND;
}

static int first_bundle(StoreTxn *t, KvCursor *c, Uuid id, Bundle *ret) {
        Key prefix = execution_key(id, ROW_BUNDLE);
        Slice k, v;
        int r = store_seek(t, c, &prefix, &prefix, &k, &v);
        return r ? r : take_bundle(t, k, v, ret);
}

/** The last bundle in which @series does not begin beyond @from: between @low, of which that is true, and @high. */
static int bisect(StoreTxn *t, KvCursor *c, Uuid id, StoreSeries series, uint64_t from, Bundle *low,
                  uint64_t high) {
        uint64_t n = low->number;
        while (high - n > 1) {
                uint64_t middle = n + (high - n) / 2;
                Bundle b;
                int r = bundle_at(t, c, id, middle, &b);
                if (r)
                        return r == KV_E_NOT_FOUND ? store_fail(t, -EBADMSG) : r;
                if (b.parts[series].first <= from) {
                        *low = b;
                        n = middle;
                } else {
                        high = b.number;
                        if (high <= n)
                                return store_fail(t, -EBADMSG); /* series that run backwards */
                }
        }
        return 0;
}

static int find_bundle(StoreTxn *t, KvCursor *c, Uuid id, StoreSeries series, uint64_t from, Bundle *ret) {
        Bundle last;
        int r = bundle_at(t, c, id, UINT64_MAX, &last);
        if (r)
                return r;
        if (last.parts[series].first > from) {
                r = first_bundle(t, c, id, ret);
                if (r == 0 && from < ret->parts[series].first)
                        from = ret->parts[series].first; /* before all: the first record there is */
                if (r == 0 && last.parts[series].first > from)
                        r = bisect(t, c, id, series, from, ret, last.number);
                else
                        *ret = last;
                if (r)
                        return r;
        } else {
                *ret = last;
        }
        bool is_in = from - ret->parts[series].first < ret->parts[series].n;
        return is_in ? 0 : KV_E_NOT_FOUND;
}

/* ---- rows of format 1 ------------------------------------------------------------------------------- */

static Key segment_key(StoreSeries series, Uuid id, uint64_t first) {
        Key k = execution_key(id, (uint8_t)(ROW_SERIES + series));
        store_key_u64(&k, first);
        return k;
}

/** Journal records stood bare: give them the frame that they have in bundles. */
static int frame_record(StoreTxn *t, Slice *frames) {
        _cleanup_(buf_deinit) Buf framed = {0};
        size_t at = frame_begin(&framed, SLICE_NULL);
        buf_put_slice(&framed, *frames);
        frame_end(&framed, at);
        buf_reset(&t->frames);
        buf_put_slice(&t->frames, buf_slice(&framed));
        *frames = buf_slice(&t->frames);
        return framed.error ? framed.error : t->frames.error;
}

static int take_segment(StoreTxn *t, StoreSeries series, Slice key, Slice value, uint64_t *ret_first,
                        uint32_t *ret_n, Slice *ret_frames) {
        Reader k = store_key_tail(key, 8), v = reader_from_slice(value);
        Bundle b = {0};

        t->unpacked_n = 0;
        *ret_first = reader_u64(&k);
        store_take_version(&v);
        *ret_n = codec_u32(&v);
        b.n_unpacked = reader_varint(&v);
        b.frames = reader_take(&v, reader_left(&v));
        if (k.failed || v.failed)
                return store_fail(t, -EBADMSG);
        int r = unpack(t, UUID_NIL, &b, ret_frames);
        t->unpacked_n = 0;
        if (r == 0 && series == STORE_JOURNAL)
                r = frame_record(t, ret_frames);
        return store_fail(t, r);
}

static int find_segment(StoreTxn *t, KvCursor *c, Uuid id, StoreSeries series, uint64_t from, uint64_t *ret_first,
                        uint32_t *ret_n, Slice *ret_frames) {
        Key prefix = execution_key(id, (uint8_t)(ROW_SERIES + series)), after = segment_key(series, id, from + 1);
        Slice k, v;

        int r = store_fail(t, kv_cursor_seek_last(c, store_key_slice(&after), &k, &v));
        if (r == 0 && slice_starts_with(k, store_key_slice(&prefix))) {
                r = take_segment(t, series, k, v, ret_first, ret_n, ret_frames);
                if (r || from - *ret_first < *ret_n)
                        return r;
        } else if (r && r != KV_E_NOT_FOUND) {
                return r;
        }
        r = store_seek(t, c, &after, &prefix, &k, &v);
        return r ? r : take_segment(t, series, k, v, ret_first, ret_n, ret_frames);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

int store_series_segment(StoreTxn *t, StoreSeries series, Uuid id, uint64_t from, uint64_t *ret_first,
                         uint32_t *ret_n, Slice *ret_frames) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Bundle b;
        Slice all;

        if (from == UINT64_MAX)
                return STORE_E_NOT_FOUND;
        int r = store_cursor(t, TABLE_EXECUTIONS, &c);
        if (r == 0)
                r = find_bundle(t, c, id, series, from, &b);
        if (r && r != KV_E_NOT_FOUND)
                return r;
        if (r == KV_E_NOT_FOUND || b.parts[series].first > from) {
                /* Not in a bundle, or only a later record is: an older one may stand by itself. */
                int older = find_segment(t, c, id, series, from, ret_first, ret_n, ret_frames);
                if (older != KV_E_NOT_FOUND || r)
                        return older;
        }
        r = unpack(t, id, &b, &all);
        if (r)
                return r;
        *ret_first = b.parts[series].first;
        *ret_n = b.parts[series].n;
        *ret_frames = (Slice){all.data + b.parts[series].offset, b.parts[series].n_bytes};
        return 0;
}

int store_series_replace(StoreTxn *t, StoreSeries series, Uuid id, uint64_t at, Slice frames) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        _cleanup_(buf_deinit) Buf copy = {0};
        StorePart parts[N_STORE_SERIES];
        Bundle b;
        Slice all;

        int r = store_cursor(t, TABLE_EXECUTIONS, &c);
        if (r == 0)
                r = find_bundle(t, c, id, series, at, &b);
        if (r == 0)
                r = unpack(t, id, &b, &all);
        if (r)
                return r;
        buf_put_slice(&copy, all);
        if (copy.error)
                return store_fail(t, copy.error);
        for (unsigned s = 0; s < N_STORE_SERIES; s++)
                parts[s] = (StorePart){.first = b.parts[s].first,
                                       .n = b.parts[s].n,
                                       .frames = {copy.data + b.parts[s].offset, b.parts[s].n_bytes}};
        parts[series].frames = frames;
        return store_bundle_append(t, id, b.number, parts);
}
