/* Executions: saved and loaded, listed, counted; their series and children. */
#include "../model/sample.h"
#include "model/update.h"
#include "storage/store_impl.h"
#include "store_fixture.h"

static Runbook *runbook;

static void set_up(void) {
        store_set_up();
        runbook = sample_runbook();
}
static void tear_down(void) {
        runbook_unref(runbook);
        store_tear_down();
}
TestSuite(store_execution, .init = set_up, .fini = tear_down);

static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        cr_assert(slice_eq_str(id, "sample") && slice_eq_str(version, "1.0.0"));
        if (userdata)
                return *(int *)userdata;
        *ret = runbook_ref(runbook);
        return 0;
}

static Execution *load(StoreTxn *t, Uuid id) {
        Execution *x = NULL;
        int r = store_execution_load(t, id, lookup, NULL, &x);
        cr_assert_eq(r, 0, "%d", r);
        return x;
}

static void check_same(const Execution *a, const Execution *b) {
        _cleanup_(buf_deinit) Buf p = {0}, q = {0};
        cr_assert(execution_encode_static(a, &p) == 0 && execution_encode_static(b, &q) == 0);
        cr_assert(execution_encode_state(a, &p) == 0 && execution_encode_state(b, &q) == 0);
        for (uint32_t i = 0; i * STEP_PAGE < a->n_instances; i++)
                cr_assert(execution_encode_page(a, i, &p) == 0 && execution_encode_page(b, i, &q) == 0);
        for (uint32_t i = 0; i < a->n_scopes; i++)
                cr_assert(execution_encode_scope(a, i, &p) == 0 && execution_encode_scope(b, i, &q) == 0);
        cr_assert(slice_eq(buf_slice(&p), buf_slice(&q)));
}

Test(store_execution, random_ones_come_back_whole) {
        for (uint64_t seed = 1; seed <= 60; seed++) {
                Sample random = {seed * 0x9e3779b97f4a7c15ULL};
                Execution *x = sample_random_execution(&random, runbook);
                StoreTxn *t = begin_write();
                cr_assert_not(store_execution_exists(t, x->id));
                cr_assert_eq(store_execution_save(t, x), 0);
                cr_assert_eq(x->dirty, 0);
                cr_assert_eq(x->stored_status, x->status);
                cr_assert(store_execution_exists(t, x->id));
                t = next_write(t);
                Execution *y = load(t, x->id);
                check_same(x, y);
                store_abort(t);

                /* move some of it, save only that, and compare again */
                for (unsigned i = 0; i < 5; i++)
                        sample_set_status(y, sample_below(&random, y->n_instances), RUNBOOK_STEP_COMPLETED);
                y->n_quiet = y->n_quiet < y->n_running ? y->n_quiet : y->n_running;
                y->status = (uint8_t)sample_below(&random, RUNBOOK_N_EXECUTION_STATUSES);
                t = begin_write();
                cr_assert_eq(store_execution_save(t, y), 0);
                commit(t);
                t = begin_read();
                Execution *z = load(t, x->id);
                check_same(y, z);
                store_abort(t);
                execution_free(x);
                execution_free(y);
                execution_free(z);
        }
}

Test(store_execution, unknown_id_and_failing_lookup) {
        Execution *x = sample_execution(runbook, fixture_uuid(1), "acme", 1, 1000), *y = NULL;
        StoreTxn *t = begin_write();
        int gone = STORE_E_NOT_FOUND;
        cr_assert_eq(store_execution_load(t, fixture_uuid(9), lookup, NULL, &y), STORE_E_NOT_FOUND);
        cr_assert_eq(store_execution_save(t, x), 0);
        t = next_write(t);
        cr_assert_eq(store_execution_load(t, x->id, lookup, &gone, &y), -EBADMSG,
                     "an execution whose runbook is gone is damage");
        cr_assert_null(y);
        store_abort(t);
        execution_free(x);
}

Test(store_execution, aborted_save_leaves_nothing) {
        Execution *x = sample_execution(runbook, fixture_uuid(1), "acme", 1, 1000);
        uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES];
        StoreTxn *t = begin_write();
        cr_assert_eq(store_execution_save(t, x), 0);
        store_abort(t);
        t = begin_read();
        cr_assert_not(store_execution_exists(t, x->id));
        cr_assert_eq(store_execution_counts(t, str("acme"), counts), 0);
        cr_assert_eq(counts[RUNBOOK_EXECUTION_PENDING], 0);
        store_abort(t);
        execution_free(x);
}

/** A page is rewritten with every move of a neighbour; a long output on it is not. */
Test(store_execution, long_values_are_written_once) {
        Execution *x = sample_execution(runbook, fixture_uuid(1), "acme", 1, 1000);
        KvStats before, after;
        StoreTxn *t = begin_write();
        for (uint32_t i = 0; i < STEP_PAGE; i++)
                x->steps[i].output = sample_value_of(100000);
        cr_assert_eq(store_execution_save(t, x), 0);
        t = next_write(t);
        cr_assert_eq(store_stats(store, &before), 0);
        for (uint32_t i = 0; i < STEP_PAGE; i++) {
                sample_set_status(x, i, RUNBOOK_STEP_COMPLETED);
                cr_assert_eq(store_execution_save(t, x), 0);
                t = next_write(t);
        }
        cr_assert_eq(store_stats(store, &after), 0);
        cr_assert_lt(after.used_bytes, before.used_bytes + 400000, "%zu more",
                     after.used_bytes - before.used_bytes);
        /* a replaced one is, once the core has cleared the note */
        value_unref(x->steps[3].output);
        x->steps[3].output = sample_value_of(70000);
        x->steps[3].stored_values = 0;
        execution_touch(x, 3);
        cr_assert_eq(store_execution_save(t, x), 0);
        t = next_write(t);
        Execution *y = load(t, x->id);
        check_same(x, y);
        cr_assert(slice_eq(value_bytes(x->steps[3].output), value_bytes(y->steps[3].output)));
        store_abort(t);
        execution_free(x);
        execution_free(y);
}

/* ---- listing
 * ------------------------------------------------------------------------------------------------ */

#define LISTED_MAX 400
typedef struct Listed {
        uint64_t orders[LISTED_MAX];
        unsigned n, stop_after;
} Listed;

static bool note(void *userdata, const StoreSummary *s) {
        Listed *l = userdata;
        cr_assert(slice_eq_str(s->runbook_id, "sample") && slice_eq_str(s->runbook_version, "1.0.0"));
        l->orders[l->n++] = s->order;
        return l->n != l->stop_after;
}

static Listed list(StoreTxn *t, StoreListFilter filter, unsigned limit, uint64_t *ret_more) {
        Listed l = {.stop_after = limit};
        uint64_t more;
        filter.tenant = filter.tenant.n ? filter.tenant : str("acme");
        cr_assert_eq(store_execution_list(t, &filter, note, &l, ret_more ? ret_more : &more), 0);
        return l;
}

static Execution *save_new(StoreTxn *t, unsigned n, const char *tenant, const char *by, uint8_t status,
                           int64_t created_ms) {
        Execution *x = sample_execution(runbook, fixture_uuid(n), tenant, n, created_ms);
        x->initiated_by = sample_dup(x, by);
        x->status = status;
        cr_assert_eq(store_execution_save(t, x), 0);
        return x;
}

Test(store_execution, lists_newest_first_with_every_filter) {
        static const char *const users[] = {"ann", "bob", "cy"};
        static const uint8_t statuses[] = {RUNBOOK_EXECUTION_RUNNING, RUNBOOK_EXECUTION_COMPLETED,
                                           RUNBOOK_EXECUTION_FAILED};
        StoreTxn *t = begin_write();
        for (unsigned i = 1; i <= 90; i++)
                execution_free(save_new(t, i, i % 10 ? "acme" : "other", users[i % 3], statuses[i % 2],
                                        1000 + i));
        t = next_write(t);

        Listed all = list(t, (StoreListFilter){.status = -1}, 0, NULL);
        cr_assert_eq(all.n, 81);
        for (unsigned i = 1; i < all.n; i++)
                cr_assert_lt(all.orders[i], all.orders[i - 1]);
        cr_assert_eq(list(t, (StoreListFilter){.status = -1, .tenant = str("other")}, 0, NULL).n, 9);
        cr_assert_eq(list(t, (StoreListFilter){.status = -1, .tenant = str("acm")}, 0, NULL).n, 0);

        for (unsigned by_runbook = 0; by_runbook < 2; by_runbook++) {
                for (int status = -1; status < 2; status++) {
                        for (int user = -1; user < 3; user++) {
                                StoreListFilter f = {.status = status < 0 ? -1 : statuses[status],
                                                     .since_ms = 1010,
                                                     .until_ms = 1080,
                                                     .initiated_by = user < 0 ? SLICE_NULL : str(users[user]),
                                                     .runbook_id = by_runbook ? str("sample") : SLICE_NULL};
                                Listed l = list(t, f, 0, NULL);
                                unsigned n = 0;
                                for (unsigned i = 90; i >= 1; i--)
                                        if (i % 10 && i >= 10 && i < 80 &&
                                            (status < 0 || (int)(i % 2) == status) &&
                                            (user < 0 || (int)(i % 3) == user))
                                                cr_assert(n < l.n && l.orders[n++] == i);
                                cr_assert_eq(l.n, n);
                        }
                }
        }
        cr_assert_eq(list(t, (StoreListFilter){.status = -1, .runbook_id = str("nope")}, 0, NULL).n, 0);
        store_abort(t);
}

Test(store_execution, pages_through_a_listing) {
        StoreTxn *t = begin_write();
        for (unsigned i = 1; i <= 25; i++)
                execution_free(save_new(t, i, "acme", "ann", RUNBOOK_EXECUTION_RUNNING, 1000 + i));
        t = next_write(t);
        uint64_t more = 0;
        unsigned expected = 25, n_pages = 0;
        do {
                Listed l = list(t, (StoreListFilter){.status = -1, .before_order = more}, 5, &more);
                cr_assert_eq(l.n, 5);
                for (unsigned i = 0; i < l.n; i++)
                        cr_assert_eq(l.orders[i], expected--);
                n_pages++;
        } while (more);
        cr_assert_eq(n_pages, 5, "and the last page knows that it is the last");
        store_abort(t);
}

Test(store_execution, status_moves_between_listings_and_counters) {
        uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES];
        StoreTxn *t = begin_write();
        Execution *x = save_new(t, 1, "acme", "ann", RUNBOOK_EXECUTION_RUNNING, 1000);
        Execution *y = save_new(t, 2, "acme", "ann", RUNBOOK_EXECUTION_RUNNING, 1000);
        cr_assert_eq(store_execution_counts(t, str("acme"), counts), 0);
        cr_assert_eq(counts[RUNBOOK_EXECUTION_RUNNING], 2, "seen before the commit");
        t = next_write(t);
        x->status = RUNBOOK_EXECUTION_COMPLETED;
        x->dirty |= DIRTY_STATE;
        cr_assert_eq(store_execution_save(t, x), 0);
        t = next_write(t);
        Listed running = list(t, (StoreListFilter){.status = RUNBOOK_EXECUTION_RUNNING}, 0, NULL);
        Listed completed = list(t, (StoreListFilter){.status = RUNBOOK_EXECUTION_COMPLETED}, 0, NULL);
        cr_assert(running.n == 1 && running.orders[0] == 2);
        cr_assert(completed.n == 1 && completed.orders[0] == 1);
        cr_assert_eq(list(t, (StoreListFilter){.status = -1}, 0, NULL).n, 2);
        cr_assert_eq(store_execution_counts(t, str("acme"), counts), 0);
        cr_assert(counts[RUNBOOK_EXECUTION_RUNNING] == 1 && counts[RUNBOOK_EXECUTION_COMPLETED] == 1);

        /* a failed one that a person retries is open again */
        Uuid open;
        y->status = RUNBOOK_EXECUTION_FAILED;
        y->dirty |= DIRTY_STATE;
        cr_assert_eq(store_execution_save(t, y), 0);
        cr_assert_eq(store_execution_open_next(t, UUID_NIL, &open), STORE_E_NOT_FOUND);
        y->status = RUNBOOK_EXECUTION_RUNNING;
        y->dirty |= DIRTY_STATE;
        cr_assert_eq(store_execution_save(t, y), 0);
        cr_assert_eq(store_execution_open_next(t, UUID_NIL, &open), 0);
        cr_assert(uuid_eq(open, y->id));
        cr_assert_eq(store_execution_open_next(t, open, &open), STORE_E_NOT_FOUND);
        commit(t);
        execution_free(x);
        execution_free(y);
}

Test(store_execution, counters_of_more_tenants_than_a_transaction_saves_up) {
        uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES];
        StoreTxn *t = begin_write();
        char tenant[16];
        for (unsigned i = 0; i < 300; i++) {
                snprintf(tenant, sizeof(tenant), "t%u", i % 150);
                execution_free(save_new(t, i + 1, tenant, "ann", RUNBOOK_EXECUTION_COMPLETED, 1000));
        }
        for (int committed = 0; committed < 2; committed++) {
                for (unsigned i = 0; i < 150; i++) {
                        snprintf(tenant, sizeof(tenant), "t%u", i);
                        cr_assert_eq(store_execution_counts(t, str(tenant), counts), 0);
                        cr_assert_eq(counts[RUNBOOK_EXECUTION_COMPLETED], 2);
                }
                t = next_write(t);
        }
        store_abort(t);
}

/** The row that ends a scan is told by the latest creation time so far, so a clock set back hides nothing. */
Test(store_execution, time_filters_survive_a_clock_set_back) {
        StoreTxn *t = begin_write();
        static const int64_t created[] = {100, 200, 300, 50, 60, 310, 40, 320};
        for (unsigned i = 0; i < N_ELEMENTS(created); i++)
                execution_free(save_new(t, i + 1, "acme", "ann", RUNBOOK_EXECUTION_RUNNING, created[i]));
        t = next_write(t);
        for (int64_t since = 10; since < 340; since += 10) {
                Listed l = list(t, (StoreListFilter){.status = -1, .since_ms = since}, 0, NULL);
                unsigned n = 0;
                for (unsigned i = 0; i < N_ELEMENTS(created); i++)
                        n += created[i] >= since;
                cr_assert_eq(l.n, n, "since %d: %u", (int)since, l.n);
        }
        store_abort(t);
}

Test(store_execution, open_ones_in_id_order) {
        StoreTxn *t = begin_write();
        for (unsigned i = 1; i <= 20; i++)
                execution_free(save_new(t, i, i % 2 ? "acme" : "other", "ann",
                                        i % 3 ? RUNBOOK_EXECUTION_RUNNING : RUNBOOK_EXECUTION_CANCELLED,
                                        1000));
        t = next_write(t);
        Uuid id = UUID_NIL;
        for (unsigned i = 1; i <= 20; i++)
                if (i % 3) {
                        cr_assert_eq(store_execution_open_next(t, id, &id), 0);
                        cr_assert(uuid_eq(id, fixture_uuid(i)));
                }
        cr_assert_eq(store_execution_open_next(t, id, &id), STORE_E_NOT_FOUND);
        store_abort(t);
}

Test(store_execution, tenants_with_awkward_names_stay_apart) {
        static const char zeros[] = "a\0b";
        char long_a[300], long_b[300];
        memset(long_a, 'x', sizeof(long_a));
        memcpy(long_b, long_a, sizeof(long_b));
        long_b[299] = 'y';
        Slice tenants[] = {str("a"),      {zeros, 2},    {zeros, 3},    str("ab"),     str("a\xff"),
                           {long_a, 160}, {long_a, 161}, {long_a, 300}, {long_b, 300}, str("")};
        StoreTxn *t = begin_write();
        unsigned order = 0;
        for (unsigned i = 0; i < N_ELEMENTS(tenants); i++)
                for (unsigned n = 0; n <= i; n++) {
                        order++;
                        Execution *x = sample_execution(runbook, fixture_uuid(order), "", order, 1000);
                        x->tenant = arena_dup(&x->statics, tenants[i]);
                        cr_assert_eq(store_execution_save(t, x), 0);
                        execution_free(x);
                }
        t = next_write(t);
        for (unsigned i = 0; i < N_ELEMENTS(tenants); i++) {
                StoreListFilter f = {.tenant = tenants[i], .status = -1};
                uint64_t more, counts[RUNBOOK_N_EXECUTION_STATUSES];
                Listed l = {0};
                cr_assert_eq(store_execution_list(t, &f, note, &l, &more), 0);
                cr_assert_eq(l.n, i + 1, "tenant %u", i);
                cr_assert_eq(store_execution_counts(t, tenants[i], counts), 0);
                cr_assert_eq(counts[RUNBOOK_EXECUTION_PENDING], i + 1);
        }
        store_abort(t);
}

/* ---- series and children
 * ---------------------------------------------------------------------------------------- */

/* Bundle @number of execution @id brings `number` records of series 0, one of series 1 to every second bundle, of
 * series 2 only to the seventh, of series 3 none. */
static uint32_t records_of(unsigned series, uint64_t number) {
        return series == 0 ? (uint32_t)number : series == 1 ? number % 2 == 0 : series == 2 ? number == 7 : 0;
}

static Slice frames_of(char text[static 600], unsigned series, unsigned id, uint64_t number) {
        int n = snprintf(text, 600, "%u/%u/%u", series, id, (unsigned)number);
        if (number % 3 == 0) /* some are long enough to be packed */
                for (; n < 590; n++)
                        text[n] = (char)('a' + n % 7);
        return (Slice){text, (size_t)n};
}

#define BUNDLES 40

static void append_bundles(StoreTxn *t, unsigned id, uint64_t gap) {
        uint64_t next[N_STORE_SERIES] = {1, 1, 1, 1};
        char text[N_STORE_SERIES][600];
        for (uint64_t number = 1; number <= BUNDLES; number++) {
                StorePart parts[N_STORE_SERIES];
                for (unsigned s = 0; s < N_STORE_SERIES; s++) {
                        parts[s] = (StorePart){next[s], records_of(s, number), frames_of(text[s], s, id, number)};
                        next[s] += parts[s].n;
                }
                cr_assert_eq(store_bundle_append(t, fixture_uuid(id), number * gap, parts), 0);
        }
}

/** Every record of every series, found by its number, and nothing beyond. */
static void expect_bundles(StoreTxn *t, unsigned id) {
        char text[600];
        uint64_t first;
        uint32_t n;
        Slice frames;
        for (unsigned s = 0; s < N_STORE_SERIES; s++) {
                uint64_t next = 1;
                for (uint64_t number = 1; number <= BUNDLES; number++) {
                        uint32_t size = records_of(s, number);
                        for (uint64_t from = next == 1 ? 0 : next; size > 0 && from < next + size; from++) {
                                cr_assert_eq(store_series_segment(t, (StoreSeries)s, fixture_uuid(id), from, &first,
                                                                  &n, &frames),
                                             0, "series %u, from %u", s, (unsigned)from);
                                cr_assert(first == next && n == size, "series %u, from %u: %u+%u", s,
                                          (unsigned)from, (unsigned)first, n);
                                cr_assert(slice_eq(frames, frames_of(text, s, id, number)));
                        }
                        next += size;
                }
                cr_assert_eq(store_series_segment(t, (StoreSeries)s, fixture_uuid(id), next, &first, &n, &frames),
                             STORE_E_NOT_FOUND);
                cr_assert_eq(store_series_segment(t, (StoreSeries)s, fixture_uuid(id), UINT64_MAX, &first, &n,
                                                  &frames),
                             STORE_E_NOT_FOUND);
        }
        cr_assert_eq(store_series_segment(t, STORE_LOGS, fixture_uuid(99), 0, &first, &n, &frames),
                     STORE_E_NOT_FOUND);
}

Test(store_execution, records_are_found_in_bundles_by_their_number) {
        StoreTxn *t = begin_write();
        append_bundles(t, 1, 1);
        append_bundles(t, 2, 1000);
        append_bundles(t, 3, 1);
        expect_bundles(t, 2);
        t = next_write(t);
        for (unsigned id = 1; id <= 3; id++)
                expect_bundles(t, id);
        cr_assert_eq(store_commit(t), 0);
        cr_assert_eq(store_begin_read(store, &t), 0);
        for (unsigned id = 1; id <= 3; id++)
                expect_bundles(t, id);
        store_abort(t);
}

Test(store_execution, a_segment_can_be_replaced_and_its_neighbours_stay) {
        char text[600];
        uint64_t first;
        uint32_t n;
        Slice frames;
        StoreTxn *t = begin_write();
        append_bundles(t, 1, 3);
        cr_assert_eq(store_series_replace(t, STORE_HISTORY, fixture_uuid(1), 3, SLICE("forged")), 0);
        cr_assert_eq(store_series_replace(t, STORE_EVIDENCE, fixture_uuid(1), 1, SLICE("x")), STORE_E_NOT_FOUND);
        t = next_write(t);
        cr_assert_eq(store_series_segment(t, STORE_HISTORY, fixture_uuid(1), 3, &first, &n, &frames), 0);
        cr_assert(first == 3 && n == 1 && slice_eq_str(frames, "forged"));
        cr_assert_eq(store_series_segment(t, STORE_JOURNAL, fixture_uuid(1), 16, &first, &n, &frames), 0);
        cr_assert(first == 16 && n == 6 && slice_eq(frames, frames_of(text, 0, 1, 6)));
        store_abort(t);
}

/** A segment as format 1 had it: a row of its own. */
static void put_old_segment(StoreTxn *t, unsigned id, StoreSeries series, uint64_t first, uint32_t n, Slice frames) {
        Key key = execution_key(fixture_uuid(id), (uint8_t)(ROW_SERIES + series));
        store_key_u64(&key, first);
        Buf *b = store_value(t);
        buf_put_varint(b, n);
        buf_put_varint(b, 0);
        buf_put_slice(b, frames);
        cr_assert_eq(store_put(t, TABLE_EXECUTIONS, &key, b), 0);
}

Test(store_execution, segments_of_format_1_go_on_in_bundles) {
        uint64_t first;
        uint32_t n;
        Slice frames, type, record;
        StoreTxn *t = begin_write();
        put_old_segment(t, 1, STORE_JOURNAL, 1, 1, SLICE("one"));
        put_old_segment(t, 1, STORE_JOURNAL, 2, 1, SLICE("two"));
        put_old_segment(t, 1, STORE_HISTORY, 1, 5, SLICE("events"));
        put_old_segment(t, 1, STORE_HISTORY, 6, 2, SLICE("more"));
        const StorePart parts[N_STORE_SERIES] = {
                {3, 1, SLICE("three")}, {8, 1, SLICE("new")}, {1, 0, {0}}, {1, 0, {0}}};
        cr_assert_eq(store_bundle_append(t, fixture_uuid(1), 3, parts), 0);
        t = next_write(t);
        for (uint64_t from = 0; from <= 8; from++) {
                cr_assert_eq(store_series_segment(t, STORE_HISTORY, fixture_uuid(1), from, &first, &n, &frames), 0);
                cr_assert_eq(first, from <= 5 ? 1 : from <= 7 ? 6 : 8, "%u", (unsigned)from);
                cr_assert(slice_eq_str(frames, from <= 5 ? "events" : from <= 7 ? "more" : "new"));
        }
        size_t offset = 0;
        cr_assert_eq(store_series_segment(t, STORE_JOURNAL, fixture_uuid(1), 2, &first, &n, &frames), 0);
        cr_assert(first == 2 && n == 1 && frame_next(frames, &offset, &type, &record) && slice_eq_str(record, "two"));
        cr_assert_eq(store_series_segment(t, STORE_JOURNAL, fixture_uuid(1), 3, &first, &n, &frames), 0);
        cr_assert(first == 3 && slice_eq_str(frames, "three"));
        cr_assert_eq(store_series_segment(t, STORE_HISTORY, fixture_uuid(1), 9, &first, &n, &frames),
                     STORE_E_NOT_FOUND);
        cr_assert_eq(store_series_segment(t, STORE_LOGS, fixture_uuid(1), 1, &first, &n, &frames),
                     STORE_E_NOT_FOUND);
        store_abort(t);
}

Test(store_execution, children_in_order_of_their_instance) {
        StoreTxn *t = begin_write();
        for (unsigned i = 0; i < 300; i += 3)
                cr_assert_eq(store_child_add(t, fixture_uuid(1), i, fixture_uuid(1000 + i)), 0);
        cr_assert_eq(store_child_add(t, fixture_uuid(2), 7, fixture_uuid(7)), 0);
        t = next_write(t);
        uint32_t instance = INSTANCE_NONE;
        Uuid child;
        for (unsigned i = 0; i < 300; i += 3) {
                cr_assert_eq(store_child_next(t, fixture_uuid(1), instance, &instance, &child), 0);
                cr_assert(instance == i && uuid_eq(child, fixture_uuid(1000 + i)));
        }
        cr_assert_eq(store_child_next(t, fixture_uuid(1), instance, &instance, &child), STORE_E_NOT_FOUND);
        cr_assert_eq(store_child_next(t, fixture_uuid(3), INSTANCE_NONE, &instance, &child),
                     STORE_E_NOT_FOUND);
        store_abort(t);
}
