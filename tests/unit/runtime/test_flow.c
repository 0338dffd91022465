/* How executions meet the world and each other: events, children, replay. Compiled once for each backend. */

#include "../leaks.h"
#include "world.h"

#include "storage/store.h"

#ifndef BACKEND
#define BACKEND "memory"
#endif

TestSuite(flow, .fini = check_leaks, .timeout = 60);

static World *fresh(void) {
        World *w = world_new(BACKEND);
        world_open(w);
        return w;
}

/* ---- events ----------------------------------------------------------------------------------------- */

Test(flow, an_event_goes_to_the_first_that_waits_and_each_is_consumed_once) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT_EVENT("e", "", "${input.host}")));
        const char *a = world_start(w, "r", "{\"host\":\"h1\"}"),
                   *b = world_start(w, "r", "{\"host\":\"h1\"}");
        const char *other = world_start(w, "r", "{\"host\":\"h2\"}");
        Reply *r = world_ask(w, request_event("h1", "{\"n\":1}", "ev-1"));
        cr_assert_str_eq(reply_text(r, "status"), "delivered");
        cr_assert_str_eq(reply_text(r, "executionId"), a);
        cr_assert_str_eq(world_status(w, a), "completed");
        cr_assert_str_eq(world_status(w, b), "running");
        r = world_ask(w, request_event("h1", "{\"n\":1}", "ev-1"));
        cr_assert_str_eq(reply_text(r, "status"), "duplicate");
        cr_assert_str_eq(world_status(w, b), "running");
        r = world_ask(w, request_event("h1", "{\"n\":2}", "ev-2"));
        cr_assert_str_eq(reply_text(r, "executionId"), b);
        cr_assert_str_eq(world_status(w, other), "running");
        cr_assert_eq(world_events(w, a, "event.received"), 1);
        world_free(w);
}

Test(flow, an_early_event_waits_for_its_step_first_in_first_out) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT_EVENT("e", "", "k")));
        cr_assert_str_eq(reply_text(world_ask(w, request_event("k", "{\"n\":1}", "")), "status"), "stored");
        cr_assert_str_eq(reply_text(world_ask(w, request_event("k", "{\"n\":2}", "")), "status"), "stored");
        const char *a = world_start(w, "r", NULL);
        cr_assert_str_eq(world_status(w, a), "completed");
        Execution *x = world_load(w, a);
        cr_assert_str_eq(value_bytes(x->output).data, "{\"n\":1}");
        execution_free(x);
        const char *b = world_start(w, "r", NULL);
        x = world_load(w, b);
        cr_assert_str_eq(value_bytes(x->output).data, "{\"n\":2}");
        execution_free(x);
        const char *c = world_start(w, "r", NULL);
        cr_assert_str_eq(world_status(w, c), "running");
        world_free(w);
}

Test(flow, early_events_expire_and_are_capped) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT_EVENT("e", "", "k")));
        world_ask(w, request_event("k", "1", ""));
        world_pass(w, LIMIT_EARLY_EVENT_TTL_MS + 1);
        const char *a = world_start(w, "r", NULL);
        cr_assert_str_eq(world_status(w, a), "running");
        world_pass(w, 120000);
        world_ask(w, request_command(INPUT_CANCEL, a, "alice"));
        Reply *r = NULL;
        for (int i = 0; i < LIMIT_EARLY_EVENTS_PER_TENANT; i++) {
                Request *q = request_event("other", "1", "");
                q->done = NULL;
                cr_assert_eq(runtime_submit(w->rt, q), 0);
                if (i % 1000 == 999)
                        world_run(w);
        }
        r = world_ask(w, request_event("other", "1", ""));
        cr_assert_eq(r->code, RUNBOOK_LIMIT_EXCEEDED);
        cr_assert(strstr(r->body, "10000") && strstr(r->body, "EARLY_EVENTS_MAX"));
        cr_assert(r->durable);
        world_free(w);
}

/* ---- children --------------------------------------------------------------------------------------- */

#define PARENT(id, child)                                                                                    \
        RUNBOOK(id, "1",                                                                                     \
                STEP("c",                                                                                    \
                     "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"" child                           \
                     "\",\"input\":{\"from\":\"${input.go ?? 0}\"}},\"retryPolicy\":{\"maxAttempts\":1}"))

Test(flow, children_run_and_report_in_one_transaction) {
        World *w = fresh();
        world_register(w, RUNBOOK("child", "1", CONDITION("x", "")));
        world_register(w, PARENT("parent", "child"));
        RuntimeStats before, after;
        runtime_stats(w->rt, &before);
        const char *id = world_start(w, "parent", "{\"go\":7}");
        runtime_stats(w->rt, &after);
        cr_assert_str_eq(world_status(w, id), "completed");
        cr_assert_eq(after.n_started - before.n_started, 2);
        cr_assert_eq(after.n_ended - before.n_ended, 2);
        world_free(w);
}

Test(flow, a_childs_failure_and_absence_reach_the_parent) {
        World *w = fresh();
        world_register(w, PARENT("parent", "nothing"));
        const char *id = world_start(w, "parent", "{\"go\":7}");
        cr_assert_str_eq(world_status(w, id), "failed");
        Execution *x = world_load(w, id);
        cr_assert(strstr(value_bytes(x->error).data, "RUNBOOK_NOT_FOUND"));
        execution_free(x);
        /* A runbook that runs itself ends at maxDepth. */
        world_register(w, PARENT("self", "self"));
        id = world_start(w, "self", "{\"go\":7}");
        cr_assert_str_eq(world_status(w, id), "failed");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_started, 1 + 1 + LIMIT_DEPTH_DEFAULT, "%llu",
                     (unsigned long long)stats.n_started);
        world_free(w);
}

Test(flow, cancel_and_pause_reach_the_child) {
        World *w = fresh();
        world_register(w, RUNBOOK("child", "1", CALL("x", "") "," CALL("y", "\"x\"")));
        world_register(w, PARENT("parent", "child"));
        const char *id = world_start(w, "parent", "{\"go\":7}");
        Task *task = world_task(w, NULL, "x");
        char child[UUID_TEXT_SIZE + 1];
        uuid_format(task->execution_id, child);
        world_ask(w, request_command(INPUT_PAUSE, id, "alice"));
        cr_assert_str_eq(world_status(w, child), "pausing");
        world_answer(w, task, true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, child), "paused");
        cr_assert_str_eq(world_status(w, id), "paused");
        world_ask(w, request_command(INPUT_RESUME, id, "alice"));
        cr_assert_not_null(world_task(w, NULL, "y"));
        world_ask(w, request_command(INPUT_CANCEL, id, "alice"));
        cr_assert_str_eq(world_status(w, child), "cancelled");
        cr_assert_str_eq(world_status(w, id), "cancelled");
        cr_assert_eq(w->executor.n, 0);
        world_free(w);
}

Test(flow, a_timer_that_a_pause_clears_in_the_same_batch_does_not_fire) {
        World *w = fresh();
        world_register(w, RUNBOOK("child", "1", WAIT("w", 5000)));
        world_register(
                w,
                RUNBOOK("parent", "1",
                        STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"child\"}") "," CALL(
                                "a", "") "," CALL("b", "\"a\"")));
        Request *q = request_start_of("parent", NULL, "alice");
        q->input.pause_at = SLICE("b");
        Reply *r = world_ask(w, q);
        const char *id = reply_text(r, "executionId");
        /* The result that makes the parent pause, and with it the child, comes in the batch in which the
         * child's timer is due. */
        w->now_ms += 5000;
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "paused");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_timers_fired, 0);
        world_ask(w, request_command(INPUT_RESUME, id, "alice"));
        world_pass(w, 1);
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_timers_fired, 1);
        world_answer(w, world_task(w, id, "b"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

/* ---- replay ----------------------------------------------------------------------------------------- */

Test(flow, rerun_is_a_new_execution_of_the_same_content) {
        World *w = fresh();
        world_register(w, RUNBOOK_WITH("r", "\"idempotency\":\"input\"", CALL("a", "")));
        const char *id = world_start(w, "r", "{\"k\":1}");
        world_register(w, RUNBOOK("r", "2", CALL("b", "")));
        Reply *r = world_ask(w, request_replay(id, "rerun"));
        cr_assert_eq(r->code, RUNBOOK_OK, "%s", r->body);
        cr_assert_str_eq(reply_text(r, "status"), "replaying");
        const char *rerun = reply_text(r, "executionId");
        Execution *x = world_load(w, rerun), *original = world_load(w, id);
        cr_assert(uuid_eq(x->original, original->id));
        cr_assert(slice_eq_str(x->runbook_version, "1"));
        cr_assert_str_eq(value_bytes(x->input).data, "{\"k\":1}");
        execution_free(x);
        execution_free(original);
        cr_assert_eq(world_ask(w, request_replay(id, "sideways"))->code, RUNBOOK_INVALID_REQUEST);
        world_free(w);
}

Test(flow, verify_finds_a_life_identical_at_any_time) {
        World *w = fresh();
        const char *id = world_eventful(w);
        Reply *r = world_ask(w, request_replay(id, "verify"));
        cr_assert_str_eq(r->body, "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        world_pass(w, 1000);
        cr_assert_str_eq(world_status(w, id), "completed");
        r = world_ask(w, request_replay(id, "verify"));
        cr_assert_str_eq(r->body, "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        unsigned n = world_events(w, id, NULL);
        cr_assert_gt(n, 15);
        cr_assert_eq(w->executor.n, 0, "nothing outside is touched");
        world_free(w);
}

Test(flow, verify_finds_what_was_tampered_with) {
        World *w = fresh();
        const char *id = world_eventful(w);
        Execution *x = world_load(w, id);
        uint64_t first;
        uint32_t n;
        Slice frames;
        StoreTxn *t;
        cr_assert_eq(store_begin_write(w->store, &t), 0);
        cr_assert_eq(store_series_segment(t, STORE_HISTORY, x->id, 1, &first, &n, &frames), 0);
        char *forged = slice_dup(frames);
        char *who = memmem(forged, frames.n, "alice", 5);
        cr_assert_not_null(who);
        memcpy(who, "mallo", 5);
        cr_assert_eq(store_series_replace(t, STORE_HISTORY, x->id, first, (Slice){forged, frames.n}), 0);
        cr_assert_eq(store_commit(t), 0);
        free(forged);
        execution_free(x);
        Reply *r = world_ask(w, request_replay(id, "verify"));
        cr_assert_eq(r->code, RUNBOOK_OK);
        cr_assert(strstr(r->body, "\"part\":\"event\""), "%s", r->body);
        cr_assert(strstr(r->body, "mallo"));
        world_free(w);
}

Test(flow, verify_knows_where_a_start_was_to_pause) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        Request *q = request_start_of("r", NULL, "alice");
        q->input.pause_at = SLICE("b");
        Reply *r = world_ask(w, q);
        const char *id = reply_text(r, "executionId");
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "paused");
        r = world_ask(w, request_replay(id, "verify"));
        cr_assert_str_eq(r->body, "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        world_free(w);
}
