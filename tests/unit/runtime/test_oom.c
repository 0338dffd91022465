/*
 * Memory runs out: at the n-th allocation, for every n that a batch gets to. Allocations of the project's own
 * code are counted (the program is linked with --wrap); each failure must leave one answer for every request
 * and a store in which nothing is half done.
 */

#include "../failing.h"
#include "../leaks.h"
#include "world.h"

TestSuite(oom, .fini = check_leaks, .timeout = 300);

static void turn_with_failures(World *w, long after, long run) {
        int64_t next_ms;
        int rc;
        failing_begin(after, run);
        for (int i = 0; (rc = runtime_turn(w->rt, &next_ms)) == 0 && i < 100; i++)
                ;
        failing_end();
        cr_assert_geq(rc, 0);
}

/** One scenario: a start, a result, a vote and an event in one batch. True: the failures were not reached any
 * more. */
static bool scenario(World *w, long after, long run) {
        const char *busy = world_start(w, "calls", "{\"k\":1}"), *vote = world_start(w, "votes", NULL);
        const char *wait = world_start(w, "waits", "{\"k\":1}");
        Reply *r[4];
        world_answer(w, world_task(w, busy, "a"), true, "{\"n\":1}");
        r[0] = world_send(w, request_start_of("calls", "{\"k\":2}", "alice"));
        r[1] = world_send(w, request_approve(vote, "ok", "bob"));
        r[2] = world_send(w, request_event("k", "{\"n\":2}", ""));
        Request *q = request_start_of("parent", "{\"k\":3}", "alice");
        request_name(q, "cmd", "start");
        q->input.tenant = SLICE("acme");
        r[3] = world_send(w, q);
        turn_with_failures(w, after, run);
        bool reached = failing_reached();
        for (int i = 0; i < 4; i++) {
                cr_assert_eq(r[i]->n_done, 1, "request %d has %d answers", i, r[i]->n_done);
                cr_assert(r[i]->code == RUNBOOK_OK || (r[i]->code == RUNBOOK_UNAVAILABLE && !r[i]->durable),
                          "%s", r[i]->body);
        }
        world_pass(w, 10000); /* what was held is tried again */
        cr_assert_str_eq(world_step(w, busy, "a"), "completed");
        cr_assert_str_eq(world_status(w, vote), r[1]->code == RUNBOOK_OK ? "completed" : "running");
        if (r[1]->code != RUNBOOK_OK)
                cr_assert_eq(world_ask(w, request_approve(vote, "ok", "bob"))->code, RUNBOOK_OK);
        if (r[2]->code != RUNBOOK_OK)
                cr_assert_str_eq(reply_text(world_ask(w, request_event("k", "{\"n\":2}", "")), "status"),
                                 "delivered");
        cr_assert_str_eq(world_status(w, wait), "completed");
        const char *all[] = {busy, vote, wait};
        for (int i = 0; i < 3; i++) {
                unsigned n = world_events(w, all[i], NULL); /* checks invariants and gaps, too */
                cr_assert_geq(audit_check(w, all[i]), n);
                cr_assert_str_eq(world_ask(w, request_replay(all[i], "verify"))->body,
                                 "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        }
        while (w->executor.n > 0) {
                world_answer(w, w->executor.tasks[0], true, "1");
                world_run(w);
        }
        world_check(w, false);
        return !reached;
}

static void every_failure(long run) {
        for (long after = 0, step = 1;; after += step) {
                World *w = world_new("memory");
                world_open(w);
                world_register(w, RUNBOOK("calls", "1", CALL("a", "")));
                world_register(w, RUNBOOK("votes", "1", APPROVE("ok", "")));
                world_register(w, RUNBOOK("waits", "1", WAIT_EVENT("e", "", "k")));
                world_register(w, RUNBOOK("parent", "1",
                                          STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":"
                                                    "\"calls\",\"input\":{\"k\":9}}")));
                bool over = scenario(w, after, run);
                world_free(w);
                if (over) {
                        cr_assert_gt(after, 50, "the scenario allocates more than that");
                        return;
                }
        }
}

Test(oom, one_failure_at_every_allocation) { every_failure(1); }
Test(oom, a_run_of_failures_at_every_allocation) { every_failure(40); }

/** Nothing can be had any more for a while: every request is answered, and results survive. */
Test(oom, no_memory_at_all) {
        World *w = world_new("memory");
        world_open(w);
        world_register(w, RUNBOOK("calls", "1", CALL("a", "")));
        const char *id = world_start(w, "calls", "{\"k\":1}");
        world_answer(w, world_task(w, id, "a"), true, "{\"n\":1}");
        Reply *r = world_send(w, request_start_of("calls", NULL, "alice"));
        turn_with_failures(w, 0, 1000000);
        cr_assert_eq(r->n_done, 1);
        cr_assert_eq(r->code, RUNBOOK_UNAVAILABLE);
        cr_assert_not(r->durable);
        world_pass(w, 10000);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}
