/*
 * The outbox against the series that it announces, its marks, and the registered runbooks.
 */
#include "storage/store_check_impl.h"

#include <stdio.h>
#include "base/cleanup.h"
#include "model/codec.h"

/* ---- runbooks --------------------------------------------------------------------------------- */

#define ROW_VERSION 1 /* as in store_runbook.c: the first byte of a key */
#define ROW_NEWEST  2

/** The "newest" row of a version's id has the same key but for its kind and the version. */
static int check_has_newest(Check *c, Slice key, Slice version) {
        Key tail, k;

        store_key_begin(&tail);
        store_key_text(&tail, version);
        if (tail.failed)
                return -ENOMEM;
        int r = 0;
        if (key.n > tail.n && slice_ends_with(key, store_key_slice(&tail))) {
                store_key_begin(&k);
                store_key_put(&k, key.data, key.n - tail.n);
                k.bytes[0] = ROW_NEWEST;
                r = check_has(c, TABLE_RUNBOOKS, &k);
        }
        if (r == 0)
                check_row_fault(c, TABLE_RUNBOOKS, key, "nothing names the newest version of this runbook");
        return r < 0 ? r : 0;
}

static int check_runbook_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);
        Digest digest, is;

        if (key.n < 2 || key.data[0] != ROW_VERSION)
                return 0; /* "newest" rows are followed from there */
        store_take_version(&reader);
        uint64_t order = reader_varint(&reader);
        (void)codec_signed(&reader);
        (void)codec_u32(&reader);
        digest = codec_digest(&reader);
        (void)reader_bytes(&reader); /* id */
        Slice version = reader_bytes(&reader);
        for (unsigned i = 0; i < 3; i++)
                (void)reader_bytes(&reader); /* name, description, who */
        Slice definition = reader_take(&reader, reader_left(&reader));
        if (reader.failed || definition.n == 0) {
                check_row_fault(c, TABLE_RUNBOOKS, key, "the registration is damaged");
                return 0;
        }
        check_see_order(c, order);
        c->tally.versions++;
        int r = check_has_newest(c, key, version);
        if (r == 0)
                r = digest_slice(definition, &is);
        if (r == 0 && !digest_eq(&is, &digest))
                check_row_fault(c, TABLE_RUNBOOKS, key,
                                "the definition is not what was registered: its SHA-256 differs");
        return r;
}

/** A "newest" row, by a listing's road: its version must be there, and none of its id may be newer. */
static int check_newest_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);
        Slice found;
        Key k;

        if (key.n < 2 || key.data[0] == ROW_VERSION)
                return 0;
        store_take_version(&reader);
        uint64_t order = reader_varint(&reader);
        Slice version = reader_bytes(&reader);
        if (reader.failed || key.n > KV_KEY_MAX / 2) {
                check_row_fault(c, TABLE_RUNBOOKS, key, "the row that names the newest version is damaged");
                return 0;
        }
        store_key_begin(&k);
        store_key_put(&k, key.data, key.n);
        k.bytes[0] = ROW_VERSION;
        store_key_text(&k, version);
        int r = store_get(c->t, TABLE_RUNBOOKS, &k, &found);
        if (r < 0)
                return r;
        reader = reader_from_slice(r == 0 ? found : SLICE_NULL);
        store_take_version(&reader);
        if (r || reader_varint(&reader) != order || reader.failed)
                check_row_fault(c, TABLE_RUNBOOKS, key, "the newest version that it names is not there");
        return 0;
}

int check_runbooks(Check *c) {
        int r = check_walk(c, TABLE_RUNBOOKS, check_runbook_row, NULL);
        c->told->n_counts -= r == 0; /* the second walk counts the same rows */
        return r ? r : check_walk(c, TABLE_RUNBOOKS, check_newest_row, NULL);
}

/* ---- outbox ----------------------------------------------------------------------------------- */

typedef struct OutboxWalk {
        Check *c;
        uint64_t row, n_announced;
        int error;
} OutboxWalk;

/** The segment that an entry names must be there and be as long as it says. */
static bool check_entry(void *userdata, const StoreOutboxEntry *e) {
        OutboxWalk *w = userdata;
        Check *c = w->c;
        char key[UUID_TEXT_SIZE + 1];
        uint64_t first = 0;
        uint32_t n = 0;
        Slice frames;

        uuid_format(e->id, key);
        w->n_announced += e->n;
        int r = store_series_segment(c->t, e->series, e->id, e->first, &first, &n, &frames);
        if (r < 0 && r != -EBADMSG) {
                w->error = r;
                return false;
        }
        if (e->series > STORE_LOGS || e->series == STORE_JOURNAL)
                store_check_fault(c->told, check_table(TABLE_OUTBOX), key,
                                  "the row after %llu announces what is not published",
                                  (unsigned long long)w->row);
        else if (r || first != e->first || n != e->n)
                store_check_fault(c->told, check_table(TABLE_OUTBOX), key,
                                  "the row after %llu announces %u record(s) from %llu on that are not there",
                                  (unsigned long long)w->row, e->n, (unsigned long long)e->first);
        return true;
}

static int check_rows(Check *c, uint64_t *ret_last) {
        OutboxWalk w = {.c = c};
        uint64_t row = 0, first = 0, last = 0, n = 0;
        int64_t at_ms, before_ms = INT64_MIN;
        int r;

        while ((r = store_outbox_read(c->t, last + 1, &row, &at_ms, check_entry, &w)) == 0 && w.error == 0) {
                if (last > 0 && row != last + 1)
                        store_check_fault(c->told, check_table(TABLE_OUTBOX), "",
                                          "rows %llu to %llu are missing", (unsigned long long)last + 1,
                                          (unsigned long long)row - 1);
                if (at_ms < before_ms)
                        store_check_fault(c->told, check_table(TABLE_OUTBOX), "",
                                          "row %llu is older than the one before", (unsigned long long)row);
                if (first == 0)
                        first = row;
                before_ms = at_ms;
                last = row;
                w.row = row;
                n++;
        }
        if (r == -EBADMSG)
                store_check_fault(c->told, check_table(TABLE_OUTBOX), "", "the row after %llu is damaged",
                                  (unsigned long long)last);
        else if (r < 0 || w.error)
                return r < 0 ? r : w.error;
        check_count(c, check_table(TABLE_OUTBOX), n);
        if (first == 1 && w.n_announced != c->tally.announced)
                store_check_fault(c->told, check_table(TABLE_OUTBOX), "",
                                  "%llu event(s) and log entries are announced, the executions have %llu",
                                  (unsigned long long)w.n_announced, (unsigned long long)c->tally.announced);
        *ret_last = last;
        return 0;
}

static int check_mark_row(Check *c, Slice key, Slice value) {
        Reader k = reader_from_slice(key), v = reader_from_slice(value);
        uint64_t row = reader_u64(&k);

        store_take_version(&v);
        uint64_t seq = reader_varint(&v);
        if (k.failed || v.failed)
                check_row_fault(c, TABLE_MARKS, key, "the mark is damaged");
        else if (c->tally.last_row > 0 && row > c->tally.last_row)
                check_row_fault(c, TABLE_MARKS, key, "a mark speaks of row %llu, the last one is %llu",
                                (unsigned long long)row, (unsigned long long)c->tally.last_row);
        else if (seq < c->tally.last_seq)
                check_row_fault(c, TABLE_MARKS, key, "a later mark names an earlier place in the stream");
        c->tally.last_seq = seq;
        return 0;
}

int check_outbox(Check *c) {
        int r = check_rows(c, &c->tally.last_row);
        return r ? r : check_walk(c, TABLE_MARKS, check_mark_row, NULL);
}
