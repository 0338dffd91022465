/* The parts by themselves: inbox, execution cache, runbook cache, register of open tasks. */

#include "../leaks.h"
#include "world.h"

#include <errno.h>

#include "runtime/cache.h"
#include "runtime/inbox.h"
#include "runtime/runbook_cache.h"
#include "runtime/task.h"

TestSuite(inbox, .fini = check_leaks);
TestSuite(cache, .fini = check_leaks);
TestSuite(runbook_cache, .fini = check_leaks);
TestSuite(open_tasks, .fini = check_leaks);

/* ---- inbox ------------------------------------------------------------------------------------------ */

static int make(Inbox *i, size_t max, size_t tenant_max) {
        const uint64_t seeds[2] = {1, 2};
        return inbox_init(i, &(InboxLimits){.max = max, .tenant_max = tenant_max, .bytes_max = 1000}, seeds);
}

static void put(Inbox *i, RequestKind kind, const char *user) {
        Request *q = request_new(kind);
        q->input.user = slice_from_str(user);
        if (kind == REQUEST_TASK_RESULT)
                inbox_put_result(i, q);
        else
                cr_assert_eq(inbox_put(i, q), 0);
}

static void expect(List *taken, const char *users) {
        for (const char *u = users; *u; u++) {
                cr_assert_not(list_is_empty(taken));
                Request *q = LIST_ENTRY(taken->next, Request, node);
                cr_assert_eq(q->input.user.data[0], *u, "%c instead of %c", q->input.user.data[0], *u);
                list_remove(&q->node);
                request_free(q);
        }
        cr_assert(list_is_empty(taken));
}

Test(inbox, is_first_in_first_out_and_bounded) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 3, 0), 0);
        put(&i, REQUEST_START, "a");
        put(&i, REQUEST_START, "b");
        put(&i, REQUEST_START, "c");
        Request *q = request_new(REQUEST_START);
        cr_assert_eq(inbox_put(&i, q), -EAGAIN);
        put(&i, REQUEST_TASK_RESULT, "r");
        cr_assert_eq(inbox_depth(&i), 4);
        cr_assert_eq(inbox_take(&i, 2, &taken), 2);
        expect(&taken, "ra");
        cr_assert_eq(inbox_put(&i, q), 0);
        q->input.user = SLICE("d");
        cr_assert_eq(inbox_take(&i, 100, &taken), 3);
        expect(&taken, "bcd");
        inbox_stop(&i);
        q = request_new(REQUEST_START);
        cr_assert_eq(inbox_put(&i, q), -ESHUTDOWN);
        request_free(q);
        inbox_deinit(&i);
}

Test(inbox, is_bounded_by_memory_too) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0);
        Request *big = request_new(REQUEST_START), *more = request_new(REQUEST_START);
        big->n_bytes = 5000;
        more->n_bytes = 1;
        big->input.user = SLICE("b");
        more->input.user = SLICE("m");
        cr_assert_eq(inbox_put(&i, big), 0, "one fits always");
        cr_assert_eq(inbox_put(&i, more), -EAGAIN);
        cr_assert_eq(inbox_take(&i, 1, &taken), 1);
        cr_assert_eq(inbox_put(&i, more), 0);
        cr_assert_eq(inbox_take(&i, 1, &taken), 1);
        cr_assert_eq(i.requests.weight, 0);
        expect(&taken, "bm");
        inbox_deinit(&i);
}

Test(inbox, neither_results_nor_requests_starve) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0);
        for (int n = 0; n < 10; n++) {
                put(&i, REQUEST_TASK_RESULT, "r");
                put(&i, REQUEST_START, "s");
        }
        cr_assert_eq(inbox_take(&i, 8, &taken), 8);
        expect(&taken, "rrrrrrss");
        cr_assert_eq(inbox_take(&i, 8, &taken), 8);
        expect(&taken, "rrrrssss");
        cr_assert_eq(inbox_take(&i, 8, &taken), 4);
        expect(&taken, "ssss");
        inbox_deinit(&i);
}

/** @tenant's request, named by its user. What inbox_put said; refused ones are freed. */
static int put_of(Inbox *i, const char *tenant, const char *user, size_t n_bytes) {
        Request *q = request_new(REQUEST_START);
        q->input.tenant = slice_from_str(tenant);
        q->input.user = slice_from_str(user);
        q->n_bytes = n_bytes;
        int r = inbox_put(i, q);
        if (r)
                request_free(q);
        return r;
}

Test(inbox, tenants_take_turns) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0);
        for (int n = 0; n < 6; n++)
                cr_assert_eq(put_of(&i, "noisy", "n", 1), 0);
        for (int n = 0; n < 2; n++) {
                cr_assert_eq(put_of(&i, "quiet", "q", 1), 0);
                cr_assert_eq(put_of(&i, "other", "o", 1), 0);
        }
        cr_assert_eq(inbox_take(&i, 4, &taken), 4);
        expect(&taken, "nqon");
        cr_assert_eq(inbox_take(&i, 100, &taken), 6);
        expect(&taken, "qonnnn");
        inbox_deinit(&i);
}

Test(inbox, one_tenant_leaves_room_to_others) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0);
        int n = 0, m = 0;
        while (put_of(&i, "noisy", "n", 0) == 0)
                n++;
        cr_assert_eq(n, 76, "it has 76, and three times the free 24 are less");
        cr_assert_eq(put_of(&i, "noisy", "n", 0), -EDQUOT);
        while (put_of(&i, "second", "s", 0) == 0)
                m++;
        cr_assert_eq(m, 19);
        cr_assert_eq(put_of(&i, "third", "t", 0), 0);
        inbox_take(&i, 100, &taken);
        while (!list_is_empty(&taken)) {
                Request *q = LIST_ENTRY(taken.next, Request, node);
                list_remove(&q->node);
                request_free(q);
        }
        inbox_deinit(&i);
}

Test(inbox, one_tenants_memory_leaves_room_to_others) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0); /* 1000 bytes */
        for (int n = 0; n < 8; n++)
                cr_assert_eq(put_of(&i, "noisy", "n", 100), 0);
        cr_assert_eq(put_of(&i, "noisy", "n", 100), -EDQUOT);
        cr_assert_eq(put_of(&i, "quiet", "q", 100), 0);
        cr_assert_eq(put_of(&i, "third", "t", 200), -EAGAIN);
        inbox_take(&i, 100, &taken);
        expect(&taken, "nqnnnnnnn");
        inbox_deinit(&i);
}

Test(inbox, a_tenants_number_can_be_set) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 2), 0);
        cr_assert_eq(put_of(&i, "noisy", "n", 0), 0);
        cr_assert_eq(put_of(&i, "noisy", "n", 0), 0);
        cr_assert_eq(put_of(&i, "noisy", "n", 0), -EDQUOT);
        cr_assert_eq(put_of(&i, "quiet", "q", 0), 0);
        inbox_take(&i, 100, &taken);
        expect(&taken, "nqn");
        inbox_deinit(&i);
}

Test(inbox, waiting_ends_by_time_poke_or_request) {
        Inbox i;
        List taken = LIST_INIT(taken);
        cr_assert_eq(make(&i, 100, 0), 0);
        inbox_wait(&i, 5);
        inbox_poke(&i);
        inbox_wait(&i, -1);
        cr_assert_eq(inbox_take(&i, 8, &taken), 0);
        inbox_wait(&i, 5); /* taking forgets the poke */
        put(&i, REQUEST_START, "a");
        inbox_wait(&i, -1);
        inbox_take(&i, 8, &taken);
        expect(&taken, "a");
        inbox_deinit(&i);
}

/* ---- executions ------------------------------------------------------------------------------------- */

static Runbook *runbook_of(const char *json, bool consent) {
        RunbookDefaults defaults = runbook_defaults_builtin;
        Runbook *r = NULL;
        Report report = {0};
        defaults.allow_timeout_approve = consent;
        cr_assert_eq(runbook_def_parse(slice_from_str(json), &defaults, &report, &r), 0, "%s",
                     report.message);
        report_deinit(&report);
        return r;
}

static Execution *execution_numbered(Runbook *runbook, uint64_t n) {
        Execution *x = execution_new(runbook);
        cr_assert_not_null(x);
        x->id = uuid_v7(1000, n, n);
        cr_assert_eq(execution_open_scope(x, REGION_ROOT, INSTANCE_NONE, 0), 0);
        return x;
}

Test(cache, drops_the_least_recently_used_but_never_what_a_batch_touched) {
        Runbook *runbook = runbook_of(RUNBOOK("r", "1", CALL("a", "")), false);
        Cache c;
        CacheEntry *e[4];
        cache_init(&c, 0, 1, 2);
        for (uint64_t i = 0; i < 4; i++)
                cr_assert_not_null(e[i] = cache_put(&c, execution_numbered(runbook, i)));
        size_t one = c.bytes / 4;
        c.bytes_max = 2 * one + one / 2;
        e[1]->touched = (struct Touched *)&c;
        cr_assert_eq(cache_get(&c, e[0]->x->id), e[0]); /* now the most recently used */
        cache_trim(&c);
        cr_assert_eq(c.map.n, 2);
        cr_assert_eq(cache_get(&c, uuid_v7(1000, 0, 0)), e[0]);
        cr_assert_eq(cache_get(&c, uuid_v7(1000, 1, 1)), e[1]);
        cr_assert_null(cache_get(&c, uuid_v7(1000, 2, 2)));
        cr_assert_null(cache_get(&c, uuid_v7(1000, 3, 3)));
        e[1]->touched = NULL;
        c.bytes_max = 0;
        cache_trim(&c);
        cr_assert_eq(c.bytes, 0);
        cache_deinit(&c);
        runbook_unref(runbook);
}

/* ---- runbooks --------------------------------------------------------------------------------------- */

static void store_runbook(World *w, Runbook *r) {
        StoreTxn *t;
        StoreRunbook row = {.id = r->id,
                            .version = r->version,
                            .name = r->name,
                            .description = r->description,
                            .n_steps = r->n_steps,
                            .registered_ms = 1,
                            .registered_by = SLICE("alice"),
                            .order = store_next_order(w->store),
                            .digest = r->digest,
                            .definition = value_bytes(r->definition)};
        cr_assert_eq(store_begin_write(w->store, &t), 0);
        cr_assert_eq(store_runbook_put(t, SLICE("acme"), &row), 0);
        cr_assert_eq(store_commit(t), 0);
}

static Runbook *lookup(World *w, RunbookCache *c, const char *version) {
        Runbook *r = NULL;
        StoreTxn *t;
        cr_assert_eq(store_begin_read(w->store, &t), 0);
        int rc = runbook_cache_get(c, t, SLICE("acme"), SLICE("r"), slice_from_str(version), &r);
        store_abort(t);
        cr_assert(rc == 0 || rc == STORE_E_NOT_FOUND);
        return r;
}

Test(runbook_cache, gives_what_the_store_says_and_shares_it) {
        World *w = world_new("memory");
        RunbookCache c;
        world_open(w);
        runbook_cache_init(&c, &runbook_defaults_builtin, RUNBOOK_CACHE_BYTES, 1, 2);
        cr_assert_null(lookup(w, &c, ""));
        Runbook *one = runbook_of(RUNBOOK("r", "1", CALL("a", "")), false),
                *two = runbook_of(RUNBOOK("r", "2", CALL("b", "")), false);
        store_runbook(w, one);
        Runbook *a = lookup(w, &c, ""), *b = lookup(w, &c, "1");
        cr_assert(a && a == b);
        cr_assert_neq(a, one);
        store_runbook(w, two);
        Runbook *d = lookup(w, &c, "");
        cr_assert(slice_eq_str(d->version, "2"));
        /* Other content under a known version can only come from a batch that failed and another that did
         * not. */
        Runbook *forged = runbook_of(RUNBOOK("r", "1", CALL("z", "")), false);
        store_runbook(w, forged);
        Runbook *z = lookup(w, &c, "1");
        cr_assert(digest_eq(&z->digest, &forged->digest));
        cr_assert_neq(z, a);
        Runbook *all[] = {one, two, a, b, d, forged, z};
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                runbook_unref(all[i]);
        runbook_cache_deinit(&c);
        world_free(w);
}

Test(runbook_cache, is_bounded) {
        World *w = world_new("memory");
        RunbookCache c;
        world_open(w);
        runbook_cache_init(&c, &runbook_defaults_builtin, 1, 1, 2);
        Runbook *one = runbook_of(RUNBOOK("r", "1", CALL("a", "")), false),
                *two = runbook_of(RUNBOOK("r", "2", CALL("b", "")), false);
        store_runbook(w, one);
        store_runbook(w, two);
        Runbook *a = lookup(w, &c, "1"), *b = lookup(w, &c, "2"), *again = lookup(w, &c, "2");
        cr_assert_eq(c.map.n, 1);
        cr_assert_eq(b, again, "the last one stays, however big");
        Runbook *all[] = {one, two, a, b, again};
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
                runbook_unref(all[i]);
        runbook_cache_deinit(&c);
        world_free(w);
}

#define CONSENT                                                                                              \
        RUNBOOK("r", "1",                                                                                    \
                STEP("ok", "\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":[\"bob\"],"        \
                           "\"minApprovals\":1,\"timeoutMs\":1000,\"timeoutAction\":\"approve\"}"))

Test(runbook_cache, without_the_operators_consent_no_timeout_approves) {
        for (int consent = 0; consent < 2; consent++) {
                World *w = world_new("memory");
                w->settings.definitions.allow_timeout_approve = consent;
                world_open(w);
                Runbook *r = runbook_of(CONSENT, true);
                store_runbook(w, r);
                runbook_unref(r);
                const char *id = world_start(w, "r", NULL);
                world_pass(w, 2000);
                cr_assert_str_eq(world_status(w, id), consent ? "completed" : "failed");
                world_free(w);
        }
}

/* ---- tasks ------------------------------------------------------------------------------------------ */

static Task *task_numbered(const RunbookStep *step, uint32_t attempt) {
        Task *t = calloc(1, sizeof(*t));
        t->execution_id = uuid_v7(1000, 1, 1);
        t->instance = 3;
        t->attempt = attempt;
        t->step = step;
        return t;
}

Test(open_tasks, each_attempt_is_out_once_and_comes_back_once) {
        static const RunbookStep step = {.type = STEP_TYPE_CALL_SERVICE};
        Uuid id = uuid_v7(1000, 1, 1);
        OpenTasks o;
        OpenTask *t, *same;
        const uint64_t seeds[4] = {1, 2, 3, 4};
        open_tasks_init(&o, seeds, seeds + 2);
        cr_assert_eq(open_tasks_add(&o, task_numbered(&step, 1), &t), 0);
        cr_assert_eq(open_tasks_add(&o, task_numbered(&step, 1), &same), -EEXIST);
        cr_assert_eq(open_tasks_add(&o, task_numbered(&step, 2), &same), 0);
        cr_assert_eq(open_tasks_count(&o), 2);
        cr_assert_eq(open_tasks_find(&o, id, 3, 1), t);
        cr_assert_null(open_tasks_find(&o, id, 4, 1));
        cr_assert_eq(open_tasks_take(&o, id, 3, 1), t);
        cr_assert_null(open_tasks_take(&o, id, 3, 1));
        open_task_fill(t, &(TaskResult){.ok = true, .output = value_of("{\"x\":1}"), .retry_after_ms = 7});
        cr_assert(t->result.kind == REQUEST_TASK_RESULT && t->result.input.kind == INPUT_TASK_RESULT &&
                  t->result.input.ok);
        cr_assert_eq(t->result.input.retry_after_ms, 7);
        open_task_free(t);
        open_tasks_deinit(&o); /* frees the other one */
}
