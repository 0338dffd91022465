/* Timers, waits for events, early events, pending approvals. */
#include "store_fixture.h"

TestSuite(store_wait, .init = store_set_up, .fini = store_tear_down);

Test(store_wait, timers_come_in_order_of_time) {
        static const int64_t times[] = {500, -7, 100, 100, INT64_MAX, 0, INT64_MIN, 1790000000000};
        static const int64_t sorted[] = {INT64_MIN, -7, 0, 100, 100, 500, 1790000000000, INT64_MAX};
        StoreTxn *t = begin_write();
        StoreTimer timer, first;
        cr_assert_eq(store_timer_next(t, NULL, &timer), STORE_E_NOT_FOUND);
        for (unsigned i = 0; i < N_ELEMENTS(times); i++) {
                timer = (StoreTimer){.at_ms = times[i],
                                     .execution_id = fixture_uuid(i),
                                     .instance = i,
                                     .slot = (uint8_t)(i % 3)};
                cr_assert_eq(store_timer_set(t, &timer), 0);
                cr_assert_eq(store_timer_set(t, &timer), 0, "twice is once");
        }
        t = next_write(t);
        const StoreTimer *after = NULL;
        for (unsigned i = 0; i < N_ELEMENTS(sorted); i++) {
                cr_assert_eq(store_timer_next(t, after, &timer), 0);
                cr_assert_eq(timer.at_ms, sorted[i]);
                cr_assert(uuid_eq(timer.execution_id, fixture_uuid(timer.instance)) &&
                          timer.slot == timer.instance % 3);
                if (i == 0)
                        first = timer;
                after = &timer;
        }
        cr_assert_eq(store_timer_next(t, after, &timer), STORE_E_NOT_FOUND);
        cr_assert_eq(store_timer_clear(t, &first), 0);
        cr_assert_eq(store_timer_clear(t, &first), 0, "absent is fine");
        cr_assert_eq(store_timer_next(t, NULL, &timer), 0);
        cr_assert_eq(timer.at_ms, -7);
        store_abort(t);
}

Test(store_wait, waits_are_served_first_come_first_served) {
        StoreTxn *t = begin_write();
        StoreWait w;
        for (unsigned i = 1; i <= 30; i++) {
                w = (StoreWait){.order = i,
                                .execution_id = fixture_uuid(100 - i),
                                .instance = i,
                                .attempt = i * 2};
                cr_assert_eq(store_wait_add(t, str("acme"), str("paid"), i % 2 ? str("a") : str("b"), &w), 0);
        }
        t = next_write(t);
        cr_assert_eq(store_wait_remove(t, str("acme"), str("paid"), str("a"), fixture_uuid(99), 1), 0);
        cr_assert_eq(store_wait_remove(t, str("acme"), str("paid"), str("a"), fixture_uuid(95), 5), 0);
        cr_assert_eq(store_wait_remove(t, str("acme"), str("paid"), str("a"), fixture_uuid(95), 5), 0,
                     "absent is fine");
        cr_assert_eq(store_wait_remove(t, str("acme"), str("paid"), str("a"), fixture_uuid(97), 4), 0,
                     "another instance is not it");
        for (unsigned i = 3; i <= 29; i += 2) {
                if (i == 5)
                        continue;
                cr_assert_eq(store_wait_first(t, str("acme"), str("paid"), str("a"), &w), 0);
                cr_assert(w.order == i && uuid_eq(w.execution_id, fixture_uuid(100 - i)) && w.instance == i &&
                          w.attempt == i * 2);
                cr_assert_eq(store_wait_remove(t, str("acme"), str("paid"), str("a"), w.execution_id,
                                               w.instance),
                             0);
        }
        cr_assert_eq(store_wait_first(t, str("acme"), str("paid"), str("a"), &w), STORE_E_NOT_FOUND);
        cr_assert(store_wait_first(t, str("acme"), str("paid"), str("b"), &w) == 0 && w.order == 2);
        cr_assert_eq(store_wait_first(t, str("acme"), str("pai"), str("db"), &w), STORE_E_NOT_FOUND,
                     "parts of a key don't run together");
        cr_assert_eq(store_wait_first(t, str("acm"), str("paid"), str("b"), &w), STORE_E_NOT_FOUND);
        store_abort(t);
}

Test(store_wait, long_types_and_correlations_have_their_own_queues) {
        char a[1024], b[1024];
        memset(a, 'c', sizeof(a));
        memcpy(b, a, sizeof(b));
        b[1023] = 'd';
        Slice texts[] = {{a, 1024}, {b, 1024}, {a, 1023}, {a, 200}};
        StoreTxn *t = begin_write();
        StoreWait w;
        for (unsigned i = 0; i < N_ELEMENTS(texts); i++)
                for (unsigned k = 0; k < N_ELEMENTS(texts); k++) {
                        w = (StoreWait){.order = 1 + i * 10 + k,
                                        .execution_id = fixture_uuid(i),
                                        .instance = k};
                        cr_assert_eq(store_wait_add(t, texts[3], texts[i], texts[k], &w), 0);
                }
        t = next_write(t);
        for (unsigned i = 0; i < N_ELEMENTS(texts); i++)
                for (unsigned k = 0; k < N_ELEMENTS(texts); k++) {
                        cr_assert_eq(store_wait_first(t, texts[3], texts[i], texts[k], &w), 0);
                        cr_assert_eq(w.order, 1 + i * 10 + k);
                        cr_assert_eq(store_wait_remove(t, texts[3], texts[i], texts[k], w.execution_id,
                                                       w.instance),
                                     0);
                        cr_assert_eq(store_wait_first(t, texts[3], texts[i], texts[k], &w),
                                     STORE_E_NOT_FOUND);
                }
        store_abort(t);
}

static void add_early(StoreTxn *t, const char *correlation, uint64_t order, int64_t expires_ms) {
        char text[20];
        snprintf(text, sizeof(text), "event-%u", (unsigned)order);
        StoreEarlyEvent e = {.order = order,
                             .expires_ms = expires_ms,
                             .event_id = str(text),
                             .user = str("ann"),
                             .payload = str("{\"a\":1}")};
        cr_assert_eq(store_early_add(t, str("acme"), str("paid"), str(correlation), &e), 0);
}

Test(store_wait, early_events_are_taken_oldest_first_unless_expired) {
        StoreTxn *t = begin_write();
        StoreEarlyEvent e;
        cr_assert_eq(store_early_first(t, str("acme"), str("paid"), str("a"), 0, &e), STORE_E_NOT_FOUND);
        add_early(t, "a", 1, 100);
        add_early(t, "a", 2, 300);
        add_early(t, "a", 3, 200);
        add_early(t, "b", 4, 1000);
        cr_assert_eq(store_early_count(t, str("acme")), 4, "seen before the commit");
        t = next_write(t);
        cr_assert(store_early_first(t, str("acme"), str("paid"), str("a"), 99, &e) == 0 && e.order == 1);
        cr_assert(store_early_first(t, str("acme"), str("paid"), str("a"), 100, &e) == 0 && e.order == 2);
        cr_assert(slice_eq_str(e.event_id, "event-2") && slice_eq_str(e.user, "ann") &&
                  slice_eq_str(e.payload, "{\"a\":1}"));
        cr_assert_eq(e.expires_ms, 300);
        cr_assert_eq(store_early_delete(t, str("acme"), str("paid"), str("a"), &e), 0);
        cr_assert(store_early_first(t, str("acme"), str("paid"), str("a"), 100, &e) == 0 && e.order == 3);
        cr_assert_eq(store_early_first(t, str("acme"), str("paid"), str("a"), 200, &e), STORE_E_NOT_FOUND);
        cr_assert_eq(store_early_count(t, str("acme")), 3);
        t = next_write(t);
        cr_assert_eq(store_early_count(t, str("acme")), 3);
        cr_assert_eq(store_early_count(t, str("other")), 0);
        store_abort(t);
}

Test(store_wait, early_events_expire_in_order_of_time) {
        StoreTxn *t = begin_write();
        StoreEarlyEvent e;
        uint32_t n;
        for (unsigned i = 0; i < 50; i++)
                add_early(t, i % 2 ? "a" : "b", 50 - i, 100 + i);
        t = next_write(t);
        cr_assert_eq(store_early_expire(t, 99, 1000, &n), 0);
        cr_assert_eq(n, 0);
        cr_assert_eq(store_early_expire(t, 109, 4, &n), 0);
        cr_assert_eq(n, 4);
        cr_assert_eq(store_early_expire(t, 109, 1000, &n), 0);
        cr_assert_eq(n, 6);
        t = next_write(t);
        cr_assert_eq(store_early_count(t, str("acme")), 40);
        /* one that was consumed is not expired as well */
        cr_assert_eq(store_early_first(t, str("acme"), str("paid"), str("a"), 0, &e), 0);
        cr_assert_eq(store_early_delete(t, str("acme"), str("paid"), str("a"), &e), 0);
        cr_assert_eq(store_early_expire(t, 1000, 1000, &n), 0);
        cr_assert_eq(n, 39);
        t = next_write(t);
        cr_assert_eq(store_early_count(t, str("acme")), 0);
        cr_assert_eq(store_early_first(t, str("acme"), str("paid"), str("a"), 0, &e), STORE_E_NOT_FOUND);
        store_abort(t);
}

typedef struct Seen {
        unsigned n, stop_after;
        Uuid ids[100];
        uint32_t instances[100];
} Seen;

static bool see(void *userdata, Uuid id, uint32_t instance) {
        Seen *s = userdata;
        s->ids[s->n] = id;
        s->instances[s->n++] = instance;
        return s->n != s->stop_after;
}

Test(store_wait, approvals_of_a_user_oldest_execution_first) {
        StoreTxn *t = begin_write();
        for (unsigned i = 30; i > 0; i--) {
                cr_assert_eq(store_approval_add(t, str("acme"), str("ann"), fixture_uuid(i), i % 3), 0);
                cr_assert_eq(store_approval_add(t, str("acme"), str("ann.b"), fixture_uuid(i), 0), 0);
                cr_assert_eq(store_approval_add(t, str("acmea"), str("nn"), fixture_uuid(i), 0), 0);
        }
        cr_assert_eq(store_approval_remove(t, str("acme"), str("ann"), fixture_uuid(7), 1), 0);
        cr_assert_eq(store_approval_remove(t, str("acme"), str("ann"), fixture_uuid(7), 1), 0,
                     "absent is fine");
        t = next_write(t);
        Seen all = {0};
        cr_assert_eq(store_approval_list(t, str("acme"), str("ann"), UUID_NIL, 0, see, &all), 0);
        cr_assert_eq(all.n, 29);
        for (unsigned i = 0, n = 1; i < all.n; i++, n++) {
                n += n == 7;
                cr_assert(uuid_eq(all.ids[i], fixture_uuid(n)) && all.instances[i] == n % 3);
        }
        Seen page = {.stop_after = 10};
        cr_assert_eq(store_approval_list(t, str("acme"), str("ann"), all.ids[9], all.instances[9], see,
                                         &page),
                     0);
        cr_assert_eq(page.n, 10);
        cr_assert(uuid_eq(page.ids[0], all.ids[10]));
        Seen none = {0};
        cr_assert_eq(store_approval_list(t, str("acme"), str("an"), UUID_NIL, 0, see, &none), 0);
        cr_assert_eq(none.n, 0);
        store_abort(t);
}
