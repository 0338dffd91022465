#include "store_fixture.h"

TestSuite(store_outbox, .init = store_set_up, .fini = store_tear_down);

typedef struct Entries {
        unsigned n, stop_after;
        StoreOutboxEntry all[16];
} Entries;
static bool take(void *userdata, const StoreOutboxEntry *e) {
        Entries *entries = userdata;
        entries->all[entries->n++] = *e;
        return entries->n != entries->stop_after;
}

Test(store_outbox, rows_keep_their_entries_in_order) {
        StoreOutboxEntry in[] = {{STORE_HISTORY, str("acme"), fixture_uuid(1), 1, 12},
                                 {STORE_LOGS, str("acme"), fixture_uuid(1), 100, 1},
                                 {STORE_HISTORY, str("other"), fixture_uuid(2), UINT64_MAX, UINT32_MAX},
                                 {STORE_HISTORY, str(""), fixture_uuid(3), 0, 0},
                                 {STORE_LOGS, str("acme"), fixture_uuid(4), 7, 2}};
        StoreTxn *t = begin_write();
        uint64_t row;
        int64_t at_ms;
        Entries out = {0};
        cr_assert(store_outbox_last(t, &row) == 0 && row == 0);
        cr_assert_eq(store_outbox_read(t, 1, &row, &at_ms, take, &out), STORE_E_NOT_FOUND);
        cr_assert_eq(store_outbox_append(t, 5, 1790000000000, in, N_ELEMENTS(in)), 0);
        cr_assert_eq(store_outbox_append(t, 9, 1790000000001, in + 2, 1), 0);
        t = next_write(t);
        cr_assert(store_outbox_last(t, &row) == 0 && row == 9);
        cr_assert_eq(store_outbox_read(t, 1, &row, &at_ms, take, &out), 0);
        cr_assert(row == 5 && at_ms == 1790000000000 && out.n == N_ELEMENTS(in));
        for (unsigned i = 0; i < out.n; i++) {
                cr_assert(out.all[i].series == in[i].series && slice_eq(out.all[i].tenant, in[i].tenant));
                cr_assert(uuid_eq(out.all[i].id, in[i].id) && out.all[i].first == in[i].first &&
                          out.all[i].n == in[i].n);
        }
        out = (Entries){.stop_after = 2};
        cr_assert(store_outbox_read(t, 5, &row, &at_ms, take, &out) == 0 && out.n == 2);
        out = (Entries){0};
        cr_assert(store_outbox_read(t, 6, &row, &at_ms, take, &out) == 0 && row == 9 && out.n == 1);
        cr_assert_eq(store_outbox_read(t, 10, &row, &at_ms, take, &out), STORE_E_NOT_FOUND);
        store_abort(t);
}

Test(store_outbox, marks_tell_where_to_begin_again) {
        static const struct { uint64_t row, seq; } marks[] = {{10, 100}, {20, 250}, {30, 400}};
        StoreTxn *t = begin_write();
        uint64_t row, seq;
        cr_assert(store_outbox_last_mark(t, &row, &seq) == 0 && row == 0 && seq == 0);
        for (unsigned i = 0; i < N_ELEMENTS(marks); i++)
                cr_assert_eq(store_outbox_mark(t, marks[i].row, marks[i].seq), 0);
        t = next_write(t);
        cr_assert(store_outbox_last_mark(t, &row, &seq) == 0 && row == 30 && seq == 400);
        static const struct {
                uint64_t seq, row;
        } expected[] = {{0, 0}, {99, 0}, {100, 10}, {249, 10}, {250, 20}, {399, 20}, {400, 30}, {9999, 30}};
        for (unsigned i = 0; i < N_ELEMENTS(expected); i++)
                cr_assert(store_outbox_mark_at(t, expected[i].seq, &row) == 0 && row == expected[i].row,
                          "seq %u: row %u", (unsigned)expected[i].seq, (unsigned)row);
        /* the stream was made anew and counts from one again */
        cr_assert_eq(store_outbox_mark(t, 40, 50), 0);
        cr_assert(store_outbox_mark_at(t, 60, &row) == 0 && row == 40);
        cr_assert(store_outbox_mark_at(t, 300, &row) == 0 && row == 40, "the newest of those it reaches");
        cr_assert(store_outbox_mark_at(t, 49, &row) == 0 && row == 0);
        store_abort(t);
}

Test(store_outbox, trimming_forgets_old_rows_and_their_marks) {
        StoreOutboxEntry e = {STORE_HISTORY, str("acme"), fixture_uuid(1), 1, 1};
        StoreTxn *t = begin_write();
        uint64_t row, seq;
        int64_t at_ms;
        uint32_t n;
        Entries out = {0};
        for (uint64_t i = 1; i <= 100; i++) {
                cr_assert_eq(store_outbox_append(t, i, 1000 + (int64_t)i, &e, 1), 0);
                if (i % 10 == 0)
                        cr_assert_eq(store_outbox_mark(t, i, i * 10), 0);
        }
        t = next_write(t);
        cr_assert(store_outbox_trim(t, 50, 1000, 1000, &n) == 0 && n == 0, "none is old enough");
        cr_assert(store_outbox_trim(t, 0, 9999, 1000, &n) == 0 && n == 0, "none may go");
        cr_assert(store_outbox_trim(t, 50, 1031, 12, &n) == 0 && n == 12);
        cr_assert(store_outbox_trim(t, 50, 1031, 1000, &n) == 0 && n == 18);
        cr_assert(store_outbox_read(t, 0, &row, &at_ms, take, &out) == 0 && row == 31);
        cr_assert(store_outbox_mark_at(t, 300, &row) == 0 && row == 0, "its rows are gone");
        cr_assert(store_outbox_mark_at(t, 400, &row) == 0 && row == 40);
        t = next_write(t);
        cr_assert(store_outbox_trim(t, 100, 9999, 1000, &n) == 0 && n == 70);
        cr_assert(store_outbox_last(t, &row) == 0 && row == 0);
        cr_assert(store_outbox_last_mark(t, &row, &seq) == 0 && row == 100 && seq == 1000,
                  "the last mark stays");
        store_abort(t);
}
