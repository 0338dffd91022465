#pragma once
/* An open store for every case, and the few calls that all cases make. */

#include "fixture.h"
#include "storage/store.h"

static char dir[256];
static Store *store;

static inline Uuid fixture_uuid(unsigned n) { return uuid_v7(1790000000000 + n, n, n); }

static inline int fixture_open(Uuid fresh_id, Report *report) {
        StoreOptions options = {.backend = BACKEND, .path = dir, .map_size = 16 << 20};
        return store_open(&options, fresh_id, report, &store);
}

static inline void store_set_up(void) {
        _cleanup_(report_deinit) Report report = {0};
        fixture_make_dir(dir);
        int r = fixture_open(fixture_uuid(1), &report);
        cr_assert_eq(r, 0, "%d: %s", r, report_text(&report));
}

static inline void store_tear_down(void) {
        store_close(store);
        fixture_remove(dir);
        check_leaks();
}

static inline StoreTxn *begin_write(void) {
        StoreTxn *t = NULL;
        cr_assert_eq(store_begin_write(store, &t), 0);
        return t;
}

static inline StoreTxn *begin_read(void) {
        StoreTxn *t = NULL;
        cr_assert_eq(store_begin_read(store, &t), 0);
        return t;
}

static inline void commit(StoreTxn *t) { cr_assert_eq(store_commit(t), 0); }

/** Commit what was written and go on in a new transaction. */
static inline StoreTxn *next_write(StoreTxn *t) {
        commit(t);
        return begin_write();
}
static inline Slice str(const char *s) { return slice_from_str(s); }
