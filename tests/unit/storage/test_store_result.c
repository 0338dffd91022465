/* Command results, idempotency, event ids, and how they expire. */
#include "store_fixture.h"

TestSuite(store_result, .init = store_set_up, .fini = store_tear_down);

static void put_result(StoreTxn *t, unsigned n, int64_t at_ms) {
        char id[32], body[64];
        snprintf(id, sizeof(id), "command-%06u", n);
        snprintf(body, sizeof(body), "{\"n\":%u}", n);
        StoreResult result = {.at_ms = at_ms, .code = (uint16_t)n, .body = str(body)};
        memset(result.request.bytes, (int)n, DIGEST_SIZE);
        cr_assert_eq(store_result_put(t, str("acme"), str("ann"), str(id), &result), 0);
}

static bool has_result(StoreTxn *t, unsigned n, StoreResult *ret) {
        char id[32];
        snprintf(id, sizeof(id), "command-%06u", n);
        int r = store_result_get(t, str("acme"), str("ann"), str(id), ret);
        cr_assert(r == 0 || r == STORE_E_NOT_FOUND);
        return r == 0;
}

Test(store_result, results_are_told_again) {
        StoreTxn *t = begin_write();
        StoreResult result;
        cr_assert_not(has_result(t, 1, &result));
        put_result(t, 1, 1790000000000);
        t = next_write(t);
        cr_assert(has_result(t, 1, &result));
        cr_assert(result.at_ms == 1790000000000 && result.code == 1 &&
                  slice_eq_str(result.body, "{\"n\":1}"));
        cr_assert(result.request.bytes[0] == 1 && result.request.bytes[31] == 1);
        cr_assert_eq(store_result_get(t, str("acme"), str("bob"), str("command-000001"), &result),
                     STORE_E_NOT_FOUND);
        cr_assert_eq(store_result_get(t, str("other"), str("ann"), str("command-000001"), &result),
                     STORE_E_NOT_FOUND);
        store_abort(t);
}

/** Thousands in one transaction share a few rows of the expiry table, and still go one by one. */
Test(store_result, results_expire_by_age_and_no_more_than_asked) {
        StoreTxn *t = begin_write();
        StoreResult result;
        uint32_t n, total = 0;
        for (unsigned i = 0; i < 3000; i++)
                put_result(t, i, 1000 + i / 1000);
        for (unsigned batch = 0; batch < 10; batch++) {
                t = next_write(t);
                for (unsigned i = 0; i < 10; i++)
                        put_result(t, 3000 + batch * 10 + i, 2000 + batch);
        }
        t = next_write(t);
        cr_assert_eq(store_result_expire(t, 1000, 100000, &n), 0);
        cr_assert_eq(n, 0, "1000 is not before 1000");
        do {
                cr_assert_eq(store_result_expire(t, 2005, 700, &n), 0);
                cr_assert_leq(n, 700);
                total += n;
                t = next_write(t);
        } while (n > 0);
        cr_assert_eq(total, 3050);
        for (unsigned i = 0; i < 3100; i++)
                cr_assert_eq(has_result(t, i, &result), i >= 3050, "%u", i);
        store_abort(t);
}

Test(store_result, a_result_put_again_lives_anew) {
        StoreTxn *t = begin_write();
        StoreResult result;
        uint32_t n;
        put_result(t, 1, 1000);
        put_result(t, 2, 1000);
        t = next_write(t);
        put_result(t, 1, 5000);
        t = next_write(t);
        cr_assert_eq(store_result_expire(t, 2000, 100, &n), 0);
        cr_assert_eq(n, 1);
        cr_assert(has_result(t, 1, &result) && !has_result(t, 2, &result));
        t = next_write(t);
        cr_assert_eq(store_result_expire(t, 6000, 100, &n), 0);
        cr_assert_eq(n, 1);
        cr_assert_not(has_result(t, 1, &result));
        store_abort(t);
}

Test(store_result, what_the_same_transaction_put_can_expire) {
        StoreTxn *t = begin_write();
        StoreResult result;
        uint32_t n;
        put_result(t, 1, 1000);
        cr_assert_eq(store_result_expire(t, 2000, 100, &n), 0);
        cr_assert_eq(n, 1);
        cr_assert_not(has_result(t, 1, &result));
        commit(t);
}

Test(store_result, aborted_results_leave_no_expiry) {
        StoreTxn *t = begin_write();
        uint32_t n;
        put_result(t, 1, 1000);
        store_abort(t);
        t = begin_write();
        put_result(t, 2, 1000);
        t = next_write(t);
        cr_assert_eq(store_result_expire(t, 2000, 100, &n), 0);
        cr_assert_eq(n, 1);
        store_abort(t);
}

Test(store_result, longest_names_fit_a_key) {
        char tenant[255], user[255], command[256];
        memset(tenant, 't', sizeof(tenant));
        memset(user, 'u', sizeof(user));
        memset(command, 0, sizeof(command)); /* every byte of it needs two */
        StoreTxn *t = begin_write();
        StoreResult in = {.at_ms = 1, .code = 3, .body = str("x")}, out;
        Slice a = {tenant, 255}, b = {user, 255};
        for (size_t n = 1; n <= 256; n++) {
                in.code = (uint16_t)n;
                cr_assert_eq(store_result_put(t, a, b, (Slice){command, n}, &in), 0);
        }
        t = next_write(t);
        for (size_t n = 1; n <= 256; n++)
                cr_assert(store_result_get(t, a, b, (Slice){command, n}, &out) == 0 && out.code == n);
        uint32_t n;
        cr_assert_eq(store_result_expire(t, 2, 1000, &n), 0);
        cr_assert_eq(n, 256);
        store_abort(t);
}

Test(store_result, idempotency_names_one_holder) {
        Digest d = {{1, 2, 3}}, other = {{1, 2, 4}};
        Uuid id;
        StoreTxn *t = begin_write();
        cr_assert_eq(store_idempotency_get(t, &d, &id), STORE_E_NOT_FOUND);
        cr_assert_eq(store_idempotency_put(t, &d, fixture_uuid(1)), 0);
        t = next_write(t);
        cr_assert(store_idempotency_get(t, &d, &id) == 0 && uuid_eq(id, fixture_uuid(1)));
        cr_assert_eq(store_idempotency_get(t, &other, &id), STORE_E_NOT_FOUND);
        cr_assert_eq(store_idempotency_delete(t, &d, fixture_uuid(2)), 0);
        cr_assert_eq(store_idempotency_get(t, &d, &id), 0, "only its holder lets it go");
        cr_assert_eq(store_idempotency_delete(t, &d, fixture_uuid(1)), 0);
        cr_assert_eq(store_idempotency_get(t, &d, &id), STORE_E_NOT_FOUND);
        cr_assert_eq(store_idempotency_delete(t, &d, fixture_uuid(1)), 0, "absent is fine");
        store_abort(t);
}

Test(store_result, a_retried_execution_takes_the_place_again_when_its_successor_fails) {
        Digest d = {{7}};
        Uuid id;
        StoreTxn *t = begin_write();
        cr_assert_eq(store_idempotency_put(t, &d, fixture_uuid(2)), 0); /* 1 had failed */
        cr_assert_eq(store_idempotency_put(t, &d, fixture_uuid(1)), 0); /* and runs again */
        cr_assert_eq(store_idempotency_put(t, &d, fixture_uuid(1)), 0);
        t = next_write(t);
        cr_assert(store_idempotency_get(t, &d, &id) == 0 && uuid_eq(id, fixture_uuid(2)));
        cr_assert_eq(store_idempotency_delete(t, &d, fixture_uuid(2)), 0);
        cr_assert(store_idempotency_get(t, &d, &id) == 0 && uuid_eq(id, fixture_uuid(1)));
        cr_assert_eq(store_idempotency_delete(t, &d, fixture_uuid(1)), 0);
        cr_assert_eq(store_idempotency_get(t, &d, &id), STORE_E_NOT_FOUND);
        store_abort(t);
}

Test(store_result, events_are_seen_until_they_expire) {
        StoreTxn *t = begin_write();
        char text[32];
        bool seen;
        uint32_t n;
        for (unsigned i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "e%u", i);
                cr_assert(store_event_seen(t, str("acme"), str(text), &seen) == 0 && !seen);
                cr_assert_eq(store_event_note(t, str("acme"), str(text), 1000 + i), 0);
                cr_assert(store_event_seen(t, str("acme"), str(text), &seen) == 0 && seen);
                if (i % 10 == 9)
                        t = next_write(t);
        }
        cr_assert(store_event_seen(t, str("other"), str("e1"), &seen) == 0 && !seen);
        /* a batch expires with its youngest: e0…e39 */
        cr_assert_eq(store_event_expire(t, 1040, 1000, &n), 0);
        cr_assert_eq(n, 40);
        for (unsigned i = 0; i < 100; i++) {
                snprintf(text, sizeof(text), "e%u", i);
                cr_assert_eq(store_event_seen(t, str("acme"), str(text), &seen), 0);
                cr_assert_eq(seen, i >= 40);
        }
        store_abort(t);
}
