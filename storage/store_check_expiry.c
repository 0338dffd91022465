/*
 * What was answered before, ids of events that were seen, events that came early; and that all of it will expire:
 * whatever is not noted in TABLE_EXPIRY would stay for ever.
 */
#include "storage/store_check_impl.h"

#include "model/codec.h"

static int check_result_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);

        store_take_version(&reader);
        (void)codec_signed(&reader);
        uint16_t code = reader_u16(&reader);
        (void)codec_digest(&reader);
        Slice body = reader_take(&reader, reader_left(&reader));
        if (reader.failed || code >= RUNBOOK_N_CODES || body.n == 0 || body.data[0] != '{')
                check_row_fault(c, TABLE_RESULTS, key, "the recorded answer is damaged");
        return 0;
}

static int check_event_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);

        store_take_version(&reader);
        (void)codec_signed(&reader);
        if (reader.failed || reader_left(&reader) > 0)
                check_row_fault(c, TABLE_EVENTS, key, "the row is damaged");
        return 0;
}

static int check_early_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value), tail = store_key_tail(key, 8);
        Key expiry;

        store_take_version(&reader);
        int64_t expires_ms = codec_signed(&reader);
        (void)reader_bytes(&reader);
        (void)reader_bytes(&reader);
        Slice payload = reader_bytes(&reader);
        uint64_t order = reader_u64(&tail);
        if (reader.failed || tail.failed || payload.n == 0) {
                check_row_fault(c, TABLE_EARLY, key, "the event that came early is damaged");
                return 0;
        }
        check_see_order(c, order);
        store_key_begin(&expiry);
        store_key_u8(&expiry, EXPIRY_EARLY);
        store_key_time(&expiry, expires_ms);
        store_key_u64(&expiry, order);
        int r = check_has(c, TABLE_EXPIRY, &expiry);
        if (r == 0)
                check_row_fault(c, TABLE_EARLY, key, "the event that came early would never expire");
        return r < 0 ? r : 0;
}

static int check_early_expiry(Check *c, Slice key, Reader *value) {
        Slice tenant = reader_bytes(value), row = reader_take(value, reader_left(value));
        CheckTenant *counts;
        Key early;

        if (value->failed || row.n == 0 || row.n > KV_KEY_MAX) {
                check_row_fault(c, TABLE_EXPIRY, key, "the row is damaged");
                return 0;
        }
        store_key_begin(&early);
        store_key_put(&early, row.data, row.n);
        int r = check_has(c, TABLE_EARLY, &early);
        if (r < 0)
                return r;
        if (r == 0) {
                check_row_fault(c, TABLE_EXPIRY, key, "it is to delete an early event that is not there");
                return 0;
        }
        counts = check_tenant(c, tenant);
        if (!counts)
                return -ENOMEM;
        counts->early++;
        return 0;
}

/** Keys that one transaction put: those that are still there, are no younger than the row says. */
static int check_expiry_keys(Check *c, Slice key, Reader *value, StoreTable table, int64_t at_ms) {
        while (reader_left(value) > 0) {
                Slice bytes = reader_bytes(value), found;
                Key k;
                if (value->failed || bytes.n == 0 || bytes.n > KV_KEY_MAX) {
                        check_row_fault(c, TABLE_EXPIRY, key, "the row is damaged");
                        return 0;
                }
                store_key_begin(&k);
                store_key_put(&k, bytes.data, bytes.n);
                int r = store_get(c->t, table, &k, &found);
                if (r < 0)
                        return r;
                if (r) {
                        check_row_fault(c, table, store_key_slice(&k), "a row is gone before its time");
                        continue;
                }
                Reader record = reader_from_slice(found);
                store_take_version(&record);
                if (codec_signed(&record) > at_ms || record.failed)
                        check_row_fault(c, TABLE_EXPIRY, key, "a key in it is younger than the row");
                c->tally.expiring[table == TABLE_EVENTS]++;
        }
        return 0;
}

static int check_expiry_row(Check *c, Slice key, Slice value) {
        Reader k = reader_from_slice(key), v = reader_from_slice(value);
        uint8_t kind = reader_u8(&k);
        int64_t at_ms = store_key_take_time(&k);

        check_see_order(c, reader_u64(&k));
        store_take_version(&v);
        if (k.failed || v.failed || kind < EXPIRY_RESULTS || kind >= N_EXPIRY_KINDS) {
                check_row_fault(c, TABLE_EXPIRY, key, "the row is damaged");
                return 0;
        }
        if (kind == EXPIRY_EARLY)
                return check_early_expiry(c, key, &v);
        return check_expiry_keys(c, key, &v, kind == EXPIRY_RESULTS ? TABLE_RESULTS : TABLE_EVENTS, at_ms);
}

/** As many keys must be noted as there are rows. (A key may be noted twice, if it was put twice.) */
static void check_noted(Check *c, StoreTable table, uint64_t n, uint64_t n_noted) {
        if (n > n_noted)
                store_check_fault(c->told, check_table(table), "", "%llu of %llu row(s) would never expire",
                                  (unsigned long long)(n - n_noted), (unsigned long long)n);
}

int check_expiring(Check *c) {
        uint64_t n_results, n_events;

        int r = check_walk(c, TABLE_RESULTS, check_result_row, &n_results);
        if (r == 0)
                r = check_walk(c, TABLE_EVENTS, check_event_row, &n_events);
        if (r == 0)
                r = check_walk(c, TABLE_EARLY, check_early_row, NULL);
        if (r == 0)
                r = check_walk(c, TABLE_EXPIRY, check_expiry_row, NULL);
        if (r)
                return r;
        check_noted(c, TABLE_RESULTS, n_results, c->tally.expiring[0]);
        check_noted(c, TABLE_EVENTS, n_events, c->tally.expiring[1]);
        return 0;
}
