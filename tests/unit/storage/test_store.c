/* Opening, formats, named values, and what a failure in a transaction does. */
#include "store_fixture.h"

TestSuite(store, .init = store_set_up, .fini = store_tear_down);

Test(store, engine_id_is_made_once) {
        cr_assert(uuid_eq(store_engine_id(store), fixture_uuid(1)));
        if (!BACKEND_IS_LMDB)
                return;
        Report report = {0};
        store_close(store);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), 0);
        cr_assert(uuid_eq(store_engine_id(store), fixture_uuid(1)));
}

Test(store, unknown_backend_is_refused) {
        StoreOptions options = {.backend = "paper"};
        _cleanup_(report_deinit) Report report = {0};
        Store *s = NULL;
        cr_assert_eq(store_open(&options, fixture_uuid(1), &report, &s), -EINVAL);
        cr_assert_null(s);
        cr_assert_not_null(strstr(report_text(&report), "paper"));
}

Test(store, orders_go_on_after_the_last_one_stored) {
        StoreTxn *t = begin_write();
        uint64_t first = store_next_order(store), second = store_next_order(store);
        cr_assert_eq(first, 1);
        cr_assert_eq(second, 2);
        commit(t);
        if (!BACKEND_IS_LMDB)
                return;
        Report report = {0};
        store_close(store);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), 0);
        cr_assert_eq(store_next_order(store), 3);
}

Test(store, named_values) {
        StoreTxn *t = begin_write();
        Slice v;
        cr_assert_eq(store_meta_get(t, "cursor", &v), STORE_E_NOT_FOUND);
        cr_assert_eq(store_meta_put(t, "cursor", str("12")), 0);
        cr_assert_eq(store_meta_put(t, "cursor", str("13")), 0);
        cr_assert_eq(store_meta_put(t, "empty", SLICE_NULL), 0);
        t = next_write(t);
        cr_assert(store_meta_get(t, "cursor", &v) == 0 && slice_eq_str(v, "13"));
        cr_assert(store_meta_get(t, "empty", &v) == 0 && v.n == 0);
        store_abort(t);
}

Test(store, second_writer_leaves_the_first_alone) {
        StoreTxn *t = begin_write(), *second = NULL;
        cr_assert_eq(store_meta_put(t, "a", str("1")), 0);
        cr_assert_eq(store_begin_write(store, &second), -EBUSY);
        cr_assert_null(second);
        commit(t);
        t = begin_read();
        Slice v;
        cr_assert_eq(store_meta_get(t, "a", &v), 0);
        store_abort(t);
        store_abort(NULL);
}

/* ---- formats ---------------------------------------------------------------------------------- */

/** Change the closed store's bare rows. */
static void with_kv(void (*change)(KvTxn *t)) {
        static const char *const tables[] = {"meta", "timers"};
        KvOptions options = {.path = dir};
        _cleanup_(report_deinit) Report report = {0};
        Kv *kv;
        KvTxn *t;
        store_close(store);
        store = NULL;
        cr_assert_eq(kv_open_lmdb(&options, tables, 2, &report, &kv), 0, "%s", report_text(&report));
        cr_assert_eq(kv_begin_write(kv, &t), 0);
        change(t);
        cr_assert_eq(kv_commit(t), 0);
        kv_close(kv);
}

static void put_format(KvTxn *t, char format) {
        char bytes[4] = {0, 0, 0, format};
        cr_assert_eq(kv_put(t, 0, SLICE(".format"), (Slice){bytes, 4}), 0);
}
static void make_newer(KvTxn *t) { put_format(t, STORE_FORMAT_VERSION + 1); }
static void make_older(KvTxn *t) {
        put_format(t, 0);
        cr_assert_eq(kv_delete(t, 0, SLICE(".engine")), 0);
}
static void make_foreign(KvTxn *t) {
        cr_assert_eq(kv_delete(t, 0, SLICE(".format")), 0);
        cr_assert_eq(kv_delete(t, 0, SLICE(".engine")), 0);
        cr_assert_eq(kv_put(t, 1, SLICE("what"), SLICE("is this")), 0);
}
static void make_damaged(KvTxn *t) { cr_assert_eq(kv_put(t, 0, SLICE(".format"), SLICE("xy")), 0); }

Test(store, newer_format_is_refused_with_a_sentence) {
        if (!BACKEND_IS_LMDB)
                return; /* nothing of memory is ever older or newer */
        _cleanup_(report_deinit) Report report = {0};
        with_kv(make_newer);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), -EPROTONOSUPPORT);
        cr_assert_not_null(strstr(report_text(&report), "newer version"), "%s", report_text(&report));
        cr_assert_not_null(strstr(report_text(&report), "format 3"), "%s", report_text(&report));
}

Test(store, older_format_is_migrated_and_keeps_its_records) {
        if (!BACKEND_IS_LMDB)
                return;
        Report report = {0};
        StoreTxn *t = begin_write();
        Slice v;
        cr_assert_eq(store_meta_put(t, "kept", str("yes")), 0);
        (void)store_next_order(store);
        commit(t);
        with_kv(make_older);
        cr_assert_eq(fixture_open(fixture_uuid(7), &report), 0, "%s", report_text(&report));
        cr_assert(uuid_eq(store_engine_id(store), fixture_uuid(7)));
        cr_assert_eq(store_next_order(store), 2);
        t = begin_read();
        cr_assert(store_meta_get(t, "kept", &v) == 0 && slice_eq_str(v, "yes"));
        cr_assert(store_meta_get(t, ".format", &v) == 0 && slice_eq(v, SLICE("\0\0\0\2")),
                  "it is of this format now");
        store_abort(t);
        store_close(store);
        cr_assert_eq(fixture_open(fixture_uuid(8), &report), 0);
        cr_assert(uuid_eq(store_engine_id(store), fixture_uuid(7)), "and is not migrated again");
}

Test(store, what_is_not_ours_is_refused) {
        if (!BACKEND_IS_LMDB)
                return;
        _cleanup_(report_deinit) Report report = {0};
        with_kv(make_foreign);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), -EBADMSG);
        cr_assert_not_null(strstr(report_text(&report), "\"timers\""), "%s", report_text(&report));
}

Test(store, damaged_format_record_is_refused) {
        if (!BACKEND_IS_LMDB)
                return;
        _cleanup_(report_deinit) Report report = {0};
        with_kv(make_damaged);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), -EBADMSG);
        cr_assert_not_null(strstr(report_text(&report), "damaged"), "%s", report_text(&report));
}

Test(store, damaged_record_spoils_its_transaction_only) {
        if (!BACKEND_IS_LMDB)
                return;
        with_kv(make_damaged);
        static const char *const tables[] = {"meta", "results"};
        KvOptions options = {.path = dir};
        Report report = {0};
        Kv *kv;
        KvTxn *bare;
        cr_assert_eq(kv_open_lmdb(&options, tables, 2, &report, &kv), 0);
        cr_assert_eq(kv_begin_write(kv, &bare), 0);
        put_format(bare, STORE_FORMAT_VERSION);
        /* a command result of two bytes */
        cr_assert_eq(kv_put(bare, 1, (Slice){"t\0\0u\0\0c\0\0", 9}, (Slice){"\1\2", 2}), 0);
        cr_assert_eq(kv_commit(bare), 0);
        kv_close(kv);
        cr_assert_eq(fixture_open(fixture_uuid(2), &report), 0);

        StoreTxn *t = begin_write();
        StoreResult result;
        cr_assert_eq(store_meta_put(t, "lost", str("1")), 0);
        cr_assert_eq(store_result_get(t, str("t"), str("u"), str("c"), &result), -EBADMSG);
        cr_assert_eq(store_commit(t), -EBADMSG);
        t = begin_write();
        Slice v;
        cr_assert_eq(store_meta_get(t, "lost", &v), STORE_E_NOT_FOUND);
        cr_assert_eq(store_meta_put(t, "kept", str("1")), 0);
        commit(t);
}

Test(store, outgrown_map_shows_at_the_put_and_the_batch_runs_again) {
        if (!BACKEND_IS_LMDB)
                return;
        char *fill = malloc(1 << 20);
        uint64_t s = 1;
        for (size_t i = 0; i < 1 << 20; i++) /* nothing that could be packed */
                fill[i] = (char)((s = s * 6364136223846793005ULL + 1) >> 56);
        unsigned n_grown = 0;
        for (unsigned batch = 0; batch < 16; batch++) {
                int r;
                do {
                        StoreTxn *t = begin_write();
                        r = 0;
                        for (uint64_t i = 0; i < 4 && r == 0; i++)
                                r = store_bundle_append(
                                                t, fixture_uuid(batch), i,
                                                (StorePart[N_STORE_SERIES]){
                                                                [STORE_LOGS] = {i, 1, {fill, 1 << 20}}});
                        r = store_commit(t);
                        if (r == STORE_E_MAP_FULL) {
                                cr_assert_eq(store_grow(store), 0);
                                n_grown++;
                        }
                } while (r == STORE_E_MAP_FULL);
                cr_assert_eq(r, 0);
        }
        cr_assert_gt(n_grown, 0);
        free(fill);
}
