/*
 * The consistency check: clean on stores that the runtime has written, whatever happened in it; and not blind:
 * with any one row taken away or altered it finds a fault.
 */

#include "../leaks.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "runtime/check.h"
#include "storage/store_impl.h"

TestSuite(check, .fini = check_leaks, .timeout = 300);

typedef struct Told {
        char first[600]; /* table, key, sentence */
        unsigned n;
} Told;

static void note(void *userdata, const char *table, const char *key, const char *sentence) {
        Told *told = userdata;
        if (told->n++ == 0)
                snprintf(told->first, sizeof(told->first), "%s %.100s: %.400s", table, key, sentence);
}

static int64_t no_time(void *userdata) { return 0; }
static void no_bits(void *userdata, uint64_t *words, size_t n) { memset(words, 1, n * sizeof(*words)); }

static uint64_t faults(World *w, bool deep, Told *ret) {
        RuntimeCheck check = {.deep = deep, .fault = note, .userdata = ret};
        *ret = (Told){0};
        int r = runtime_check(&w->settings, w->store, (Clock){no_time, NULL}, (Ids){no_bits, NULL}, &check);
        cr_assert_eq(r, 0, "the check itself: %d", r);
        cr_assert_eq(ret->n, check.told.n_faults);
        cr_assert(!deep || check.n_replayed > 0);
        return check.told.n_faults;
}

static void assert_clean(World *w) { world_check(w, true); }

/** Something in every table: ended, waiting, paused and failed executions, children, loops, early events, results. */
static World *full_world(const char *backend) {
        World *w = world_new(backend);
        world_open(w);
        world_eventful(w);
        world_register(w, RUNBOOK("calls", "1", CALL("a", "")));
        world_register(w, RUNBOOK("calls", "2", CALL("a", "") "," CALL("b", "\"a\"")));
        world_register(w, RUNBOOK("parent", "1",
                                  STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"calls\","
                                            "\"input\":{}}")));
        world_register(w, RUNBOOK("votes", "1", APPROVE("ok", "")));
        world_register(w, RUNBOOK("waits", "1", WAIT_EVENT("e", "", "k")));
        world_register(w,
                       RUNBOOK("loop", "1",
                               STEP("l",
                                    "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"a\"},\"loopConfig\":"
                                    "{\"maxIterations\":5,\"iterateOver\":\"input.items\"}") "," CALL("a",
                                                                                                      "")));
        world_register(w, RUNBOOK_WITH("deadline", "\"globalTimeoutMs\":600000", CALL("a", "")));
        world_start(w, "parent", NULL);
        world_start(w, "votes", NULL);
        world_start(w, "waits", NULL);
        world_start(w, "loop", "{\"items\":[1,2,3]}");
        world_start(w, "deadline", "{\"n\":1}");
        const char *failed = world_start(w, "calls", "{}");
        world_answer(w, world_task(w, failed, "a"), false,
                     "{\"code\":\"X\",\"message\":\"no\",\"retryable\":false}");
        world_run(w);
        const char *paused = world_start(w, "votes", NULL);
        world_ask(w, request_command(INPUT_PAUSE, paused, "alice"));
        world_ask(w, request_event("nobody", "{\"n\":1}", "seen"));
        Request *q = request_start_of("calls", "{\"k\":1}", "alice");
        request_name(q, "cmd", "start");
        world_ask(w, q);
        world_pass(w, 5);
        return w;
}

Test(check, is_clean_on_what_the_runtime_wrote) {
        World *w = full_world(BACKEND);
        assert_clean(w);
        world_pass(w, 3 * LIMIT_EARLY_EVENT_TTL_MS);
        assert_clean(w);
        world_pass(w, 10LL * 86400 * 1000); /* results, ids of events and outbox rows expire */
        world_pass(w, 120000);
        assert_clean(w);
        world_free(w);
}

/* ---- damage ----------------------------------------------------------------------------------- */

typedef struct Row {
        unsigned table;
        Buf key, value;
} Row;

/** Row number @n of the store, in table order; false past the last. */
static bool find_row(World *w, size_t n, Row *ret) {
        StoreTxn *t;
        size_t at = 0;
        bool found = false;

        cr_assert_eq(store_begin_read(w->store, &t), 0);
        for (unsigned table = 0; table < N_STORE_TABLES && !found; table++) {
                KvCursor *c;
                Slice k, v;
                cr_assert_eq(kv_cursor_open(t->kv, table, &c), 0);
                for (int r = kv_cursor_seek(c, SLICE_NULL, &k, &v); r == 0 && !found;
                     r = kv_cursor_next(c, &k, &v)) {
                        if (at++ != n)
                                continue;
                        ret->table = table;
                        buf_reset(&ret->key);
                        buf_reset(&ret->value);
                        buf_put_slice(&ret->key, k);
                        buf_put_slice(&ret->value, v);
                        found = true;
                }
                kv_cursor_close(c);
        }
        store_abort(t);
        return found;
}

static void put_row(World *w, const Row *row, bool remove, Slice value) {
        StoreTxn *t;

        cr_assert_eq(store_begin_write(w->store, &t), 0);
        if (remove)
                cr_assert_eq(kv_delete(t->kv, row->table, buf_slice(&row->key)), 0);
        else
                cr_assert_eq(kv_put(t->kv, row->table, buf_slice(&row->key), value), 0);
        cr_assert_eq(store_commit(t), 0);
}

/** Rows whose loss contradicts nothing: the oldest of the outbox and its marks are forgotten on purpose, the
 * runtime's last time and stream are only hints, and the store's own values have their own guard at opening. */
static bool may_be_absent(const Row *row) {
        return row->table == TABLE_MARKS || row->table == TABLE_OUTBOX ||
               (row->table == TABLE_META && !slice_starts_with(buf_slice(&row->key), SLICE("catalog.")));
}

Test(check, finds_any_row_that_was_taken_away) {
        World *w = full_world(BACKEND);
        Row row = {0};
        Told told;
        size_t n = 0;

        for (; find_row(w, n, &row); n++) {
                put_row(w, &row, true, SLICE_NULL);
                if (faults(w, false, &told) == 0 && !may_be_absent(&row))
                        cr_assert_fail("row %zu of table %s is gone unnoticed", n,
                                       store_table_names[row.table]);
                put_row(w, &row, false, buf_slice(&row.value));
        }
        cr_assert_gt(n, 100);
        assert_clean(w);
        buf_deinit(&row.key);
        buf_deinit(&row.value);
        world_free(w);
}

/** A last byte that is another: records end in what matters (hashes, bodies), and empty values stay empty. */
Test(check, finds_records_of_executions_that_were_altered) {
        World *w = full_world(BACKEND);
        Row row = {0};
        Told told;
        unsigned n_altered = 0, n_found = 0;

        for (size_t n = 0; find_row(w, n, &row); n++) {
                if (row.table != TABLE_EXECUTIONS && row.table != TABLE_RUNBOOKS)
                        continue;
                for (size_t at = 0; at < row.value.n; at += 1 + row.value.n / 8) {
                        row.value.data[at] ^= 0x15;
                        put_row(w, &row, false, buf_slice(&row.value));
                        n_altered++;
                        n_found += faults(w, true, &told) > 0;
                        row.value.data[at] ^= 0x15;
                }
                put_row(w, &row, false, buf_slice(&row.value));
        }
        cr_assert_gt(n_altered, 300);
        /* What no invariant ties down (an attempt's start time, a log line's text) is only noticed by the replay of
         * the journal, and logs and evidence have no hash. */
        cr_assert_gt(n_found * 100, n_altered * 80, "%u of %u", n_found, n_altered);
        assert_clean(w);
        buf_deinit(&row.key);
        buf_deinit(&row.value);
        world_free(w);
}

Test(check, finds_rows_that_belong_to_nothing) {
        static const struct {
                unsigned table;
                Slice key, value;
        } strays[] = {
                        {TABLE_OPEN, SLICE("0123456789abcdef"), SLICE("")},
                        {TABLE_TIMERS, SLICE("01234567abcdefghijklmnop0123x"), SLICE("")},
                        {TABLE_LISTING, SLICE("\1acme\0\0012345678"), SLICE("\1")},
                        {TABLE_WAITS, SLICE("acme\0\0x\0\0k\0\00012345678"), SLICE("\1")},
                        {TABLE_APPROVALS, SLICE("acme\0\0bob\0\0000123456789abcdef0123"), SLICE("")},
                        {TABLE_IDEMPOTENCY, SLICE("0123456789abcdef0123456789abcdef"),
                         SLICE("\1"
                               "0123456789abcdef")},
                        {TABLE_RESULTS, SLICE("acme\0\0bob\0\0x\0\0"),
                         SLICE("\1"
                               "0")},
                        {TABLE_EVENTS, SLICE("acme\0\0x\0\0"), SLICE("\1\0")},
                        {TABLE_EARLY, SLICE("acme\0\0x\0\0y\0\00012345678"), SLICE("\1\0")},
                        {TABLE_EXPIRY, SLICE("\0030123456701234567"), SLICE("\1\4acmekey")},
                        {TABLE_COUNTERS, SLICE("other\0\0"), SLICE("\1\0\1\0\0\0\0\0\0\0")},
                        {TABLE_EXECUTIONS, SLICE("0123456789abcdef\7\0\0\0\0\0\0\0\1"), SLICE("\1\1\0")},
                        {TABLE_EXECUTIONS, SLICE("0123456789abcdef\2"), SLICE("\1")},
                        {TABLE_RUNBOOKS, SLICE("\2acme\0\0other\0\0"),
                         SLICE("\1\1\1"
                               "1")},
        };
        World *w = full_world(BACKEND);
        Row row = {0};
        Told told;

        for (size_t i = 0; i < N_ELEMENTS(strays); i++) {
                row.table = strays[i].table;
                buf_reset(&row.key);
                buf_put_slice(&row.key, strays[i].key);
                put_row(w, &row, false, strays[i].value);
                cr_assert_gt(faults(w, false, &told), 0, "stray %zu in %s", i, store_table_names[row.table]);
                put_row(w, &row, true, SLICE_NULL);
        }
        assert_clean(w);
        buf_deinit(&row.key);
        world_free(w);
}

#ifndef BACKEND_IS_MEMORY
/** For reading only: nothing is made or changed, and an engine and a reader keep each other out. */
Test(check, reads_a_store_that_nobody_has_open) {
        World *w = full_world("lmdb");
        StoreOptions options = {.backend = "lmdb", .path = w->dir, .access = KV_READ};
        Report report = {0};
        Store *s = NULL;
        StoreTxn *t;

        cr_assert_eq(store_open(&options, UUID_NIL, &report, &s), -EBUSY);
        cr_assert(strstr(report.message, "in this very process"), "%s", report.message);
        report_deinit(&report);
        report = (Report){0};
        world_close(w);
        cr_assert_eq(store_open(&options, UUID_NIL, &report, &s), 0, "%s", report.message);
        cr_assert_eq(store_begin_write(s, &t), -EROFS);
        Told told;
        RuntimeCheck check = {.fault = note, .userdata = &told};
        told = (Told){0};
        cr_assert_eq(runtime_check(&w->settings, s, (Clock){no_time, NULL}, (Ids){no_bits, NULL}, &check), 0);
        cr_assert_eq(told.n, 0, "%s", told.first);
        options.access = KV_OWN;
        Store *second = NULL;
        cr_assert_eq(store_open(&options, UUID_NIL, &report, &second), -EBUSY);
        report_deinit(&report);
        store_close(s);
        world_open(w);
        world_free(w);
}

Test(check, says_what_is_no_data_directory) {
        static const char *const paths[] = {"/nowhere/at/all", "/etc/passwd", "/"};
        for (size_t i = 0; i < N_ELEMENTS(paths); i++) {
                StoreOptions options = {.backend = "lmdb", .path = paths[i], .access = KV_READ};
                Report report = {0};
                Store *s = NULL;
                cr_assert_lt(store_open(&options, UUID_NIL, &report, &s), 0);
                cr_assert(report.message && strstr(report.message, paths[i]), "%s", report.message);
                report_deinit(&report);
        }
}
#endif
