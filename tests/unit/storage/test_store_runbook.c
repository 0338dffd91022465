#include "store_fixture.h"

TestSuite(store_runbook, .init = store_set_up, .fini = store_tear_down);

static void put(StoreTxn *t, const char *tenant, const char *id, const char *version, uint64_t order) {
        StoreRunbook r = {.id = str(id),
                          .version = str(version),
                          .name = str("A name"),
                          .description = str("What it is for"),
                          .n_steps = 12,
                          .registered_ms = 1790000000000,
                          .registered_by = str("ann"),
                          .order = order,
                          .definition = str("{\"id\":…}")};
        memset(r.digest.bytes, (int)order, DIGEST_SIZE);
        cr_assert_eq(store_runbook_put(t, str(tenant), &r), 0);
}

static void check_version(StoreTxn *t, const char *tenant, const char *id, const char *version,
                          const char *expected) {
        StoreRunbook r;
        int e = store_runbook_get(t, str(tenant), str(id), str(version), &r);
        if (!expected)
                cr_assert_eq(e, STORE_E_NOT_FOUND, "%d", e);
        else
                cr_assert(e == 0 && slice_eq_str(r.id, id) && slice_eq_str(r.version, expected), "%d", e);
}

typedef struct Names {
        char text[4096];
        unsigned n, stop_after;
} Names;
static bool name(void *userdata, const StoreRunbook *r) {
        Names *names = userdata;
        size_t n = strlen(names->text);
        snprintf(names->text + n, sizeof(names->text) - n, "%.*s@%.*s ", SLICE_ARG(r->id),
                 SLICE_ARG(r->version));
        return ++names->n != names->stop_after;
}

Test(store_runbook, every_field_comes_back) {
        StoreTxn *t = begin_write();
        StoreRunbook r;
        put(t, "acme", "deploy", "1.0.0", 5);
        t = next_write(t);
        cr_assert_eq(store_runbook_get(t, str("acme"), str("deploy"), str("1.0.0"), &r), 0);
        cr_assert(slice_eq_str(r.name, "A name") && slice_eq_str(r.description, "What it is for") &&
                  r.n_steps == 12);
        cr_assert(r.registered_ms == 1790000000000 && slice_eq_str(r.registered_by, "ann") && r.order == 5);
        cr_assert(r.digest.bytes[0] == 5 && r.digest.bytes[31] == 5 &&
                  slice_eq_str(r.definition, "{\"id\":…}"));
        store_abort(t);
}

Test(store_runbook, the_newest_registered_is_the_default) {
        StoreTxn *t = begin_write();
        check_version(t, "acme", "deploy", "", NULL);
        put(t, "acme", "deploy", "2.0.0", 1);
        put(t, "acme", "deploy", "1.0.0", 2);
        put(t, "other", "deploy", "9.0.0", 3);
        t = next_write(t);
        check_version(t, "acme", "deploy", "", "1.0.0");
        check_version(t, "acme", "deploy", "2.0.0", "2.0.0");
        check_version(t, "acme", "deploy", "9.0.0", NULL);
        check_version(t, "acme", "deplo", "", NULL);
        check_version(t, "other", "deploy", "", "9.0.0");
        put(t, "acme", "deploy", "2.0.0", 1); /* the same again changes nothing */
        check_version(t, "acme", "deploy", "", "1.0.0");
        store_abort(t);
}

Test(store_runbook, listings_are_in_id_order) {
        static const char *const ids[] = {"b", "a-longer-one", "c", "a", "b-2", "ba"};
        StoreTxn *t = begin_write();
        Names names = {0};
        for (unsigned i = 0; i < N_ELEMENTS(ids); i++) {
                put(t, "acme", ids[i], "1", 1 + i * 2);
                put(t, "acme", ids[i], "0", 2 + i * 2);
        }
        put(t, "acmf", "x", "1", 100);
        put(t, "acm", "y", "1", 101);
        t = next_write(t);
        cr_assert_eq(store_runbook_list(t, str("acme"), SLICE_NULL, name, &names), 0);
        cr_assert_str_eq(names.text, "a@0 a-longer-one@0 b@0 b-2@0 ba@0 c@0 ");
        names = (Names){.stop_after = 2};
        cr_assert_eq(store_runbook_list(t, str("acme"), str("a-longer-one"), name, &names), 0);
        cr_assert_str_eq(names.text, "b@0 b-2@0 ");
        names = (Names){0};
        cr_assert_eq(store_runbook_list(t, str("acme"), str("bb"), name, &names), 0);
        cr_assert_str_eq(names.text, "c@0 ");
        names = (Names){0};
        cr_assert_eq(store_runbook_versions(t, str("acme"), str("b"), name, &names), 0);
        cr_assert_str_eq(names.text, "b@0 b@1 ");
        names = (Names){0};
        cr_assert_eq(store_runbook_list(t, str("nobody"), SLICE_NULL, name, &names), 0);
        cr_assert_eq(names.n, 0);
        store_abort(t);
}

Test(store_runbook, a_definition_of_many_megabytes) {
        size_t n = 40 << 20;
        char *text = malloc(n);
        memset(text, 'd', n);
        StoreRunbook r = {.id = str("huge"), .version = str("1"), .definition = {text, n}}, found;
        int e;
        do {
                StoreTxn *t = begin_write();
                (void)store_runbook_put(t, str("acme"), &r);
                e = store_commit(t);
        } while (e == STORE_E_MAP_FULL && store_grow(store) == 0);
        cr_assert_eq(e, 0);
        StoreTxn *t = begin_read();
        cr_assert_eq(store_runbook_get(t, str("acme"), str("huge"), SLICE_NULL, &found), 0);
        cr_assert(slice_eq(found.definition, r.definition));
        store_abort(t);
        free(text);
}
