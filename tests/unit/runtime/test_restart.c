/* What is there after a restart: everything. Each restart here is a crash: nothing is flushed or stopped
 * first. */

#include "../leaks.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>

TestSuite(restart, .fini = check_leaks, .timeout = 120);

static World *fresh(void) {
        World *w = world_new("lmdb");
        world_open(w);
        return w;
}

Test(restart, open_tasks_are_sent_out_again_with_the_same_key) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "")));
        const char *id = world_start(w, "r", "{\"k\":1}");
        world_answer(w, world_task(w, id, "b"), false,
                     "{\"code\":\"HTTP_503\",\"message\":\"busy\",\"retryable\":true}");
        world_run(w);
        world_pass(w, 10000); /* b is in its second attempt */
        const Task *a = world_task(w, id, "a"), *b = world_task(w, id, "b");
        char key_a[DIGEST_TEXT_SIZE + 1], key_b[DIGEST_TEXT_SIZE + 1];
        strcpy(key_a, a->idempotency_key);
        strcpy(key_b, b->idempotency_key);
        cr_assert_eq(b->attempt, 2);
        unsigned n = world_events(w, id, NULL);
        world_restart(w);
        world_run(w);
        cr_assert_eq(w->executor.n, 2);
        a = world_task(w, id, "a");
        b = world_task(w, id, "b");
        cr_assert_str_eq(a->idempotency_key, key_a);
        cr_assert_str_eq(b->idempotency_key, key_b);
        cr_assert_eq(b->attempt, 2);
        cr_assert_str_eq(value_bytes(a->input).data, "{\"k\":1}");
        cr_assert_eq(world_events(w, id, NULL), n, "a restart is not a transition");
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_answer(w, world_task(w, id, "b"), true, "2");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        cr_assert_str_eq(world_ask(w, request_replay(id, "verify"))->body,
                         "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        world_free(w);
}

Test(restart, overdue_timers_fire_once) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT("w", 5000)));
        const char *id = world_start(w, "r", NULL);
        world_close(w);
        w->now_ms += 60000;
        world_open(w);
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_timers_fired, 1);
        cr_assert_eq(stats.n_timers_late, 1);
        unsigned n = world_events(w, id, NULL);
        world_restart(w);
        world_run(w);
        cr_assert_eq(world_events(w, id, NULL), n);
        world_free(w);
}

Test(restart, waits_approvals_early_events_and_answers_are_still_there) {
        World *w = fresh();
        world_register(w, RUNBOOK("e", "1", WAIT_EVENT("e", "", "${input.host}")));
        world_register(w, RUNBOOK("a", "1", APPROVE("ok", "")));
        const char *waiting = world_start(w, "e", "{\"host\":\"h1\"}"), *approval = world_start(w, "a", NULL);
        world_ask(w, request_event("early", "{\"n\":1}", "ev-1"));
        Request *q = request_start_of("e", "{\"host\":\"h9\"}", "alice");
        request_name(q, "cmd-1", "start e");
        const char *first = reply_text(world_ask(w, q), "executionId");

        world_restart(w);
        world_run(w);
        q = request_start_of("e", "{\"host\":\"h9\"}", "alice");
        request_name(q, "cmd-1", "start e");
        cr_assert_str_eq(reply_text(world_ask(w, q), "executionId"), first);
        cr_assert_str_eq(reply_text(world_ask(w, request_event("early", "{\"n\":1}", "ev-1")), "status"),
                         "duplicate");
        cr_assert_str_eq(reply_text(world_ask(w, request_event("h1", "{}", "ev-2")), "executionId"), waiting);
        cr_assert_str_eq(world_status(w, waiting), "completed");
        cr_assert_eq(world_ask(w, request_approve(approval, "ok", "carol"))->code, RUNBOOK_OK);
        cr_assert_str_eq(world_status(w, approval), "completed");
        const char *late = world_start(w, "e", "{\"host\":\"early\"}");
        cr_assert_str_eq(world_status(w, late), "completed");
        world_free(w);
}

Test(restart, the_catalogs_chain_goes_on) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        world_restart(w);
        world_register(w, RUNBOOK("r", "2", CALL("a", "")));
        Uuid id;
        char text[UUID_TEXT_SIZE + 1];
        cr_assert_eq(engine_catalog_id(SLICE("acme"), &id), 0);
        uuid_format(id, text);
        audit_check(w, text);
        const char *hash = strstr(w->audit.messages[0].payload, "\"hash\":\""), *prev = NULL;
        for (size_t i = 0; i < w->audit.n; i++)
                if (strstr(w->audit.messages[i].id, "/2"))
                        prev = strstr(w->audit.messages[i].payload, "\"prevhash\":\"");
        cr_assert(hash && prev);
        cr_assert_eq(strncmp(hash + strlen("\"hash\":\""), prev + strlen("\"prevhash\":\""), 64), 0);
        world_free(w);
}

Test(restart, time_does_not_go_back_though_the_clock_does) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT("w", 5000)));
        world_pass(w, 100000);
        const char *id = world_start(w, "r", NULL);
        int64_t then = w->now_ms;
        w->now_ms -= 50000;
        world_restart(w);
        world_turn(w);
        cr_assert_str_eq(world_status(w, id), "running");
        Reply *r = world_send(w, request_start_of("r", NULL, "alice"));
        int64_t next_ms;
        while (runtime_turn(w->rt, &next_ms) == 0)
                ;
        Execution *x = world_load(w, reply_text(r, "executionId"));
        cr_assert_geq(x->created_ms, then);
        execution_free(x);
        cr_assert_eq(next_ms, then + 5000);
        world_free(w);
}

Test(restart, children_and_paused_executions_go_on) {
        World *w = fresh();
        world_register(w, RUNBOOK("child", "1", CALL("x", "")));
        world_register(
                w,
                RUNBOOK("parent", "1",
                        STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"child\"}") "," CALL(
                                "after", "\"c\"")));
        const char *id = world_start(w, "parent", NULL);
        world_ask(w, request_command(INPUT_PAUSE, id, "alice"));
        world_restart(w);
        world_run(w);
        world_answer(w, world_task(w, NULL, "x"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "paused");
        world_restart(w);
        world_run(w);
        cr_assert_eq(w->executor.n, 0);
        world_ask(w, request_command(INPUT_RESUME, id, "alice"));
        world_answer(w, world_task(w, id, "after"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

Test(restart, memory_stays_bounded_while_recovering_many) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        for (int i = 0; i < 600; i++)
                world_send(w, request_start_of("r", NULL, "alice"));
        world_run(w);
        w->settings.cache_bytes_max = 64 * 1024;
        world_restart(w);
        cr_assert_eq(w->executor.n, 600);
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        world_run(w);
        while (w->executor.n > 0)
                world_answer(w, w->executor.tasks[0], true, "1");
        world_run(w);
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_ended, 600);
        cr_assert_leq(stats.cache_bytes, 64 * 1024);
        world_free(w);
}
