/* Every kind of request on its way through inbox, engine, store and out again. Compiled once for each
 * backend. */

#include "../leaks.h"
#include "world.h"

#include "storage/store.h"

#ifndef BACKEND
#define BACKEND "memory"
#endif

TestSuite(runtime, .fini = check_leaks, .timeout = 60);

static World *fresh(void) {
        World *w = world_new(BACKEND);
        world_open(w);
        return w;
}

/* ---- register --------------------------------------------------------------------------------------- */

Test(runtime, a_version_is_registered_once_and_never_changes) {
        World *w = fresh();
        Reply *r = world_ask(w, request_register(RUNBOOK("deploy", "1", CALL("a", "")), "alice"));
        cr_assert_eq(r->code, RUNBOOK_OK);
        cr_assert(r->durable);
        cr_assert_str_eq(r->body, "{\"runbook\":{\"description\":\"\",\"id\":\"deploy\",\"name\":\"R\","
                                  "\"stepCount\":1,\"version\":\"1\"},"
                                  "\"status\":\"registered\",\"version\":\"v1\"}");
        r = world_ask(w, request_register(RUNBOOK("deploy", "1", CALL("a", "")), "bob"));
        cr_assert_str_eq(reply_text(r, "status"), "unchanged");
        r = world_ask(w, request_register(RUNBOOK("deploy", "1", CALL("b", "")), "alice"));
        cr_assert_eq(r->code, RUNBOOK_VERSION_CONFLICT);
        r = world_ask(w, request_register(RUNBOOK("deploy", "2", CALL("b", "")), "alice"));
        cr_assert_eq(r->code, RUNBOOK_OK);
        /* Two registrations, two events in the tenant's catalog, chained and published. */
        Uuid id;
        char text[UUID_TEXT_SIZE + 1];
        cr_assert_eq(engine_catalog_id(SLICE("acme"), &id), 0);
        uuid_format(id, text);
        cr_assert_eq(audit_check(w, text), 2);
        cr_assert_eq(w->audit.n, 2);
        cr_assert(strstr(w->audit.messages[0].subject, "runbook.v1.acme.lifecycle.") &&
                  strstr(w->audit.messages[0].subject, ".runbook.registered"));
        cr_assert(strstr(w->audit.messages[1].payload, "prevhash"));
        /* The newest one is what a start without version gets. */
        world_start(w, "deploy", NULL);
        cr_assert_not_null(world_task(w, NULL, "b"));
        world_free(w);
}

/* ---- start ------------------------------------------------------------------------------------------ */

Test(runtime, a_start_runs_to_its_first_task_and_a_result_to_its_end) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        const char *id = world_start(w, "r", "{\"k\":1}");
        Task *task = world_task(w, id, "a");
        cr_assert_not_null(task);
        cr_assert_str_eq(value_bytes(task->config).data,
                         "{\"method\":\"POST\",\"url\":\"https://x.example/a\"}");
        cr_assert_str_eq(value_bytes(task->input).data, "{\"k\":1}");
        cr_assert_eq(strlen(task->idempotency_key), DIGEST_TEXT_SIZE);
        cr_assert(slice_eq_str(task->tenant, "acme") && slice_eq_str(task->initiated_by, "alice"));
        cr_assert_str_eq(world_step(w, id, "a"), "running");
        world_answer(w, task, true, "{\"n\":1}");
        world_run(w);
        cr_assert_str_eq(world_step(w, id, "a"), "completed");
        world_answer(w, world_task(w, id, "b"), true, "{\"n\":2}");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        cr_assert_eq(world_events(w, id, "step.completed"), 2);
        cr_assert_eq(world_events(w, id, NULL) , audit_check(w, id) - 0u);
        world_free(w);
}

Test(runtime, unknown_runbooks_are_refused_with_the_nearest_name) {
        World *w = fresh();
        world_register(w, RUNBOOK("contain-host", "1", CALL("a", "")));
        Reply *r = world_ask(w, request_start_of("contain-hots", NULL, "alice"));
        cr_assert_eq(r->code, RUNBOOK_RUNBOOK_NOT_FOUND);
        cr_assert(strstr(r->body, "did you mean \\\"contain-host\\\"?"), "%s", r->body);
        Request *q = request_start_of("contain-host", NULL, "alice");
        q->version = SLICE("7");
        r = world_ask(w, q);
        cr_assert_eq(r->code, RUNBOOK_RUNBOOK_NOT_FOUND);
        cr_assert(strstr(r->body, "the newest is \\\"1\\\""), "%s", r->body);
        /* Runbooks are per tenant. */
        q = request_start_of("contain-host", NULL, "alice");
        q->input.tenant = SLICE("umbrella");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_RUNBOOK_NOT_FOUND);
        world_free(w);
}

Test(runtime, only_authorized_users_start) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        Request *q = request_start_of("r", NULL, "mallory");
        value_unref(q->input.context);
        q->input.context = value_of("{\"legalBasis\":{\"authorizedUsers\":[\"alice\",\"bob\"]}}");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_FORBIDDEN);
        q = request_start_of("r", NULL, "bob");
        value_unref(q->input.context);
        q->input.context = value_of("{\"legalBasis\":{\"authorizedUsers\":[\"alice\",\"bob\"]}}");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
        world_free(w);
}

Test(runtime, a_given_id_is_taken_once) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        Uuid id = uuid_v7(w->now_ms, 1, 2);
        Request *q = request_start_of("r", NULL, "alice");
        q->input.execution_id = id;
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
        q = request_start_of("r", NULL, "alice");
        q->input.execution_id = id;
        Reply *r = world_ask(w, q);
        cr_assert_eq(r->code, RUNBOOK_WRONG_STATE, "%s", r->body);
        /* The catalog's id must not be had for an execution. */
        q = request_start_of("r", NULL, "alice");
        cr_assert_eq(engine_catalog_id(SLICE("acme"), &q->input.execution_id), 0);
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_INVALID_REQUEST);
        world_free(w);
}

Test(runtime, the_same_input_is_a_duplicate_until_it_failed) {
        World *w = fresh();
        world_register(w, RUNBOOK_WITH("r", "\"idempotency\":\"input\"",
                                       STEP("a", "\"type\":\"call-service\",\"config\":{\"url\":\"https://"
                                                 "x.example/\"},\"retryPolicy\":{\"maxAttempts\":1}")));
        const char *id = world_start(w, "r", "{\"a\":1,\"b\":2}");
        Reply *r = world_ask(w, request_start_of("r", "{\"b\":2,\"a\":1}", "bob"));
        cr_assert_str_eq(reply_text(r, "executionId"), id);
        cr_assert(strstr(r->body, "\"duplicate\":true"));
        cr_assert_str_neq(world_start(w, "r", "{\"a\":1,\"b\":3}"), id);
        Request *q = request_start_of("r", "{\"a\":1,\"b\":2}", "alice");
        q->skip_idempotency_check = true;
        cr_assert_str_neq(reply_text(world_ask(w, q), "executionId"), id);
        q = request_start_of("r", "{\"a\":1,\"b\":2}", "alice");
        q->input.idempotency_key = SLICE("k1");
        const char *keyed = reply_text(world_ask(w, q), "executionId");
        cr_assert_str_neq(keyed, id);
        q = request_start_of("r", "{\"other\":true}", "alice");
        q->input.idempotency_key = SLICE("k1");
        cr_assert_str_eq(reply_text(world_ask(w, q), "executionId"), keyed);
        /* A failed execution makes room for the same input again… */
        world_answer(w, world_task(w, id, "a"), false,
                     "{\"code\":\"HTTP_500\",\"message\":\"no\",\"retryable\":false}");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "failed");
        const char *second = world_start(w, "r", "{\"a\":1,\"b\":2}");
        cr_assert_str_neq(second, id);
        /* …and when it is retried then, the later one stays what duplicates are told. */
        q = request_command(INPUT_RETRY, id, "alice");
        q->input.path = SLICE("a");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
        cr_assert_str_eq(
                reply_text(world_ask(w, request_start_of("r", "{\"a\":1,\"b\":2}", "alice")), "executionId"),
                second);
        world_free(w);
}

Test(runtime, duplicates_within_one_batch_are_seen) {
        World *w = fresh();
        world_register(w, RUNBOOK_WITH("r", "\"idempotency\":\"input\"", CALL("a", "")));
        Reply *r[10];
        for (int i = 0; i < 10; i++)
                r[i] = world_send(w, request_start_of("r", "{\"x\":1}", "alice"));
        world_run(w);
        for (int i = 0; i < 10; i++) {
                cr_assert_eq(r[i]->code, RUNBOOK_OK);
                cr_assert_eq(strstr(r[i]->body, "duplicate") != NULL, i > 0);
                cr_assert_str_eq(reply_text(r[i], "executionId"), reply_text(r[0], "executionId"));
                cr_assert_eq(r[i]->order, r[0]->order + (unsigned)i, "answers come in order");
        }
        cr_assert_eq(w->executor.n_submitted, 1);
        world_free(w);
}

/* ---- command ids ------------------------------------------------------------------------------------ */

Test(runtime, a_command_id_gives_the_recorded_answer_again) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        Request *q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start r");
        Reply *first = world_ask(w, q);
        q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start r");
        Reply *again = world_ask(w, q);
        cr_assert_str_eq(first->body, again->body);
        cr_assert_eq(w->executor.n_submitted, 1);
        /* The same id for something else is an error, somebody else's same id is not. */
        q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start other");
        Reply *other = world_ask(w, q);
        cr_assert_eq(other->code, RUNBOOK_INVALID_REQUEST);
        cr_assert(strstr(other->body, "was used for another command"));
        q = request_start_of("r", NULL, "bob");
        request_name(q, "cmd-1", "start r");
        cr_assert_str_neq(world_ask(w, q)->body, first->body);
        /* Refusals are recorded as well. */
        q = request_start_of("nope", NULL, "alice");
        request_name(q, "cmd-2", "start nope");
        Reply *refused = world_ask(w, q);
        cr_assert_eq(refused->code, RUNBOOK_RUNBOOK_NOT_FOUND);
        world_register(w, RUNBOOK("nope", "1", CALL("a", "")));
        q = request_start_of("nope", NULL, "alice");
        request_name(q, "cmd-2", "start nope");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_RUNBOOK_NOT_FOUND);
        world_free(w);
}

Test(runtime, command_ids_work_within_one_batch_and_expire) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        Reply *r[3];
        for (int i = 0; i < 3; i++) {
                Request *q = request_start_of("r", NULL, "alice");
                request_name(q, "cmd-1", "start r");
                r[i] = world_send(w, q);
        }
        world_run(w);
        cr_assert_str_eq(r[0]->body, r[1]->body);
        cr_assert_str_eq(r[0]->body, r[2]->body);
        world_pass(w, RUNTIME_RESULTS_TTL_MS + 120000);
        world_pass(w, 120000);
        Request *q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start r");
        cr_assert_str_neq(world_ask(w, q)->body, r[0]->body);
        world_free(w);
}

/* ---- commands --------------------------------------------------------------------------------------- */

Test(runtime, commands_find_only_their_tenants_executions) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *id = world_start(w, "r", NULL);
        Request *q = request_command(INPUT_CANCEL, id, "alice");
        q->input.tenant = SLICE("umbrella");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_EXECUTION_NOT_FOUND);
        Reply *r =
                world_ask(w, request_command(INPUT_CANCEL, "01890a5d-ac96-774b-bcce-b302099a8057", "alice"));
        cr_assert_eq(r->code, RUNBOOK_EXECUTION_NOT_FOUND);
        cr_assert(strstr(r->body, "01890a5d-ac96-774b-bcce-b302099a8057"));
        world_free(w);
}

Test(runtime, cancel_aborts_what_is_out_and_late_results_change_nothing) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *id = world_start(w, "r", NULL);
        const Task *task = world_task(w, id, "a");
        TaskResult late = {.execution_id = task->execution_id,
                           .instance = task->instance,
                           .attempt = task->attempt,
                           .ok = true};
        Reply *r = world_ask(w, request_command(INPUT_CANCEL, id, "alice"));
        cr_assert_str_eq(reply_text(r, "status"), "cancelled");
        cr_assert_eq(w->executor.n_cancelled, 1);
        cr_assert_str_eq(world_status(w, id), "cancelled");
        unsigned n = world_events(w, id, NULL);
        late.output = value_of("{\"x\":1}");
        ExecutorHost host = runtime_executor_host(w->rt, NULL, NULL);
        host.post_result(host.userdata, &late);
        world_run(w);
        cr_assert_eq(world_events(w, id, NULL), n);
        world_free(w);
}

Test(runtime, a_second_result_of_one_attempt_is_dropped) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        const char *id = world_start(w, "r", NULL);
        const Task *task = world_task(w, id, "a");
        TaskResult twice = {.execution_id = task->execution_id,
                            .instance = task->instance,
                            .attempt = task->attempt,
                            .ok = true};
        world_answer(w, world_task(w, id, "a"), true, "1");
        twice.output = value_of("2");
        ExecutorHost host = runtime_executor_host(w->rt, NULL, NULL);
        host.post_result(host.userdata, &twice);
        world_run(w);
        cr_assert_eq(world_events(w, id, "step.completed"), 1);
        cr_assert_eq(w->executor.n_submitted, 2);
        world_free(w);
}

Test(runtime, started_and_cancelled_in_one_batch_nothing_leaves) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        Request *q = request_start_of("r", NULL, "alice");
        q->input.execution_id = uuid_v7(w->now_ms, 5, 6);
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(q->input.execution_id, id);
        world_send(w, q);
        Reply *r = world_send(w, request_command(INPUT_CANCEL, id, "alice"));
        world_run(w);
        cr_assert_eq(r->code, RUNBOOK_OK);
        cr_assert_eq(w->executor.n_submitted, 0);
        cr_assert_str_eq(world_status(w, id), "cancelled");
        world_free(w);
}

Test(runtime, pause_holds_and_resume_goes_on) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        const char *id = world_start(w, "r", NULL);
        cr_assert_str_eq(reply_text(world_ask(w, request_command(INPUT_PAUSE, id, "alice")), "status"),
                         "pausing");
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "paused");
        cr_assert_null(world_task(w, id, "b"));
        cr_assert_str_eq(reply_text(world_ask(w, request_command(INPUT_RESUME, id, "alice")), "status"),
                         "resumed");
        cr_assert_not_null(world_task(w, id, "b"));
        world_free(w);
}

Test(runtime, approvals_are_pending_for_those_who_may_decide) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", APPROVE("ok", "")));
        const char *id = world_start(w, "r", NULL);
        Reply *r = world_ask(w, request_approve(id, "ok", "mallory"));
        cr_assert_eq(r->code, RUNBOOK_NOT_AN_APPROVER, "%s", r->body);
        cr_assert_eq(world_events(w, id, "approval.refused"), 1);
        r = world_ask(w, request_approve(id, "ok", "bob"));
        cr_assert_eq(r->code, RUNBOOK_OK, "%s", r->body);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

Test(runtime, a_step_without_executor_fails_retryably) {
        World *w = fresh();
        runtime_set_executor(w->rt, STEP_TYPE_CALL_SERVICE, NULL);
        world_register(w, RUNBOOK("r", "1",
                                  STEP("a", "\"type\":\"call-service\",\"config\":{\"url\":\"https://"
                                            "x.example/\"},\"retryPolicy\":{\"maxAttempts\":2}")));
        const char *id = world_start(w, "r", NULL);
        cr_assert_str_eq(world_step(w, id, "a"), "retrying");
        runtime_set_executor(w->rt, STEP_TYPE_CALL_SERVICE, &w->executor.base);
        world_pass(w, 60000);
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

/* ---- timers ----------------------------------------------------------------------------------------- */

Test(runtime, timers_fire_when_due_and_not_before) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT("w", 5000)));
        const char *id = world_start(w, "r", NULL);
        int64_t next_ms;
        cr_assert_eq(runtime_turn(w->rt, &next_ms), 1);
        cr_assert_eq(next_ms, w->now_ms + 5000);
        world_pass(w, 4999);
        cr_assert_str_eq(world_status(w, id), "running");
        world_pass(w, 1);
        cr_assert_str_eq(world_status(w, id), "completed");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_timers_fired, 1);
        cr_assert_eq(stats.n_timers_late, 0);
        world_free(w);
}

Test(runtime, many_timers_fire_in_batches) {
        World *w = world_new(BACKEND);
        w->settings.batch_max = 16;
        world_open(w);
        world_register(w, RUNBOOK("r", "1", WAIT("w", 1000)));
        for (int i = 0; i < 100; i++)
                world_send(w, request_start_of("r", NULL, "alice"));
        world_run(w);
        world_pass(w, 3000);
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_timers_fired, 100);
        cr_assert_eq(stats.n_timers_late, 100);
        cr_assert_eq(stats.n_ended, 100);
        cr_assert_eq(stats.cache_executions, 0);
        world_free(w);
}

Test(runtime, a_pause_freezes_waits) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT("w", 5000)));
        const char *id = world_start(w, "r", NULL);
        world_pass(w, 1000);
        world_ask(w, request_command(INPUT_PAUSE, id, "alice"));
        world_pass(w, 60000);
        cr_assert_str_eq(world_status(w, id), "paused");
        world_ask(w, request_command(INPUT_RESUME, id, "alice"));
        world_pass(w, 3999);
        cr_assert_str_eq(world_status(w, id), "running");
        world_pass(w, 1);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

/* ---- limits ----------------------------------------------------------------------------------------- */

Test(runtime, a_full_inbox_refuses_requests_but_never_results) {
        World *w = world_new(BACKEND);
        w->settings.inbox_max = 4;
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *id = world_start(w, "r", NULL);
        Reply *r[6];
        for (int i = 0; i < 6; i++)
                r[i] = world_send(w, request_start_of("r", NULL, "alice"));
        cr_assert_eq(r[3]->n_done, 0);
        cr_assert_eq(r[4]->code, RUNBOOK_OVERLOADED);
        cr_assert_eq(r[5]->code, RUNBOOK_OVERLOADED);
        world_answer(w, world_task(w, id, "a"), true, "1");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        cr_assert_eq(r[0]->code, RUNBOOK_OK);
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_refused[RUNBOOK_OVERLOADED], 2);
        world_free(w);
}

Test(runtime, too_many_open_tasks_refuse_new_work_only) {
        World *w = world_new(BACKEND);
        w->settings.tasks_max = 3;
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *id[3];
        for (int i = 0; i < 3; i++)
                id[i] = world_start(w, "r", NULL);
        Request *q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd", "start");
        Reply *r = world_ask(w, q);
        cr_assert_eq(r->code, RUNBOOK_OVERLOADED);
        cr_assert_not(r->durable);
        cr_assert_eq(world_ask(w, request_command(INPUT_CANCEL, id[0], "alice"))->code, RUNBOOK_OK);
        /* It was not recorded under its command id: the same command can be sent again. */
        q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd", "start");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
        world_free(w);
}

static Reply *start_as(World *w, const char *tenant) {
        Request *q = request_start_of("r", NULL, "alice");
        q->input.tenant = arena_dup(&q->arena, slice_from_str(tenant));
        return world_ask(w, q);
}

static void register_as(World *w, const char *tenant) {
        Request *q = request_register(RUNBOOK("r", "1", CALL("a", "")), "alice");
        q->input.tenant = arena_dup(&q->arena, slice_from_str(tenant));
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
}

Test(runtime, one_tenants_tasks_are_its_own) {
        World *w = world_new(BACKEND);
        w->settings.tenant_tasks_max = 2;
        world_open(w);
        register_as(w, "acme");
        register_as(w, "other");
        for (int i = 0; i < 2; i++)
                cr_assert_eq(start_as(w, "acme")->code, RUNBOOK_OK);
        Reply *r = start_as(w, "acme");
        cr_assert_eq(r->code, RUNBOOK_OVERLOADED);
        cr_assert_not(r->durable);
        cr_assert_not_null(strstr(r->body, "TENANT_TASKS_MAX=2"), "%s", r->body);
        cr_assert_eq(start_as(w, "other")->code, RUNBOOK_OK);
        world_free(w);
}

Test(runtime, one_tenants_executions_can_be_limited) {
        World *w = world_new(BACKEND);
        w->settings.tenant_executions_max = 3;
        world_open(w);
        register_as(w, "acme");
        register_as(w, "other");
        /* In one batch and over several: none too many, none too few. */
        Reply *r[5];
        for (int i = 0; i < 5; i++)
                r[i] = world_send(w, request_start_of("r", NULL, "alice"));
        world_run(w);
        for (int i = 0; i < 5; i++)
                cr_assert_eq(r[i]->code, i < 3 ? RUNBOOK_OK : RUNBOOK_OVERLOADED, "%d: %s", i, r[i]->body);
        cr_assert_not_null(strstr(r[3]->body, "TENANT_EXECUTIONS_MAX=3"), "%s", r[3]->body);
        cr_assert_eq(start_as(w, "acme")->code, RUNBOOK_OVERLOADED);
        cr_assert_eq(start_as(w, "other")->code, RUNBOOK_OK);
        /* One ends in the very batch that starts the next. */
        char id[UUID_TEXT_SIZE + 1];
        const char *at = strstr(r[0]->body, "executionId\":\"") + strlen("executionId\":\"");
        snprintf(id, sizeof(id), "%.36s", at);
        Reply *cancel = world_send(w, request_command(INPUT_CANCEL, id, "alice"));
        Reply *next = world_send(w, request_start_of("r", NULL, "alice"));
        Reply *more = world_send(w, request_start_of("r", NULL, "alice"));
        world_run(w);
        cr_assert_eq(cancel->code, RUNBOOK_OK);
        cr_assert_eq(next->code, RUNBOOK_OK, "%s", next->body);
        cr_assert_eq(more->code, RUNBOOK_OVERLOADED);
        world_free(w);
}

Test(runtime, a_small_cache_changes_nothing_but_speed) {
        World *w = world_new(BACKEND);
        w->settings.cache_bytes_max = 1;
        world_open(w);
        const char *id = world_eventful(w);
        world_pass(w, 1000);
        cr_assert_str_eq(world_status(w, id), "completed");
        Reply *r = world_ask(w, request_replay(id, "verify"));
        cr_assert_str_eq(r->body, "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.cache_executions, 0);
        world_free(w);
}

Test(runtime, the_clock_going_back_moves_nothing_back) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", WAIT("w", 5000)));
        const char *id = world_start(w, "r", NULL);
        w->now_ms -= 3600000;
        int64_t next_ms;
        cr_assert_eq(runtime_turn(w->rt, &next_ms), 1);
        Reply *r = world_send(w, request_start_of("r", NULL, "alice"));
        while (runtime_turn(w->rt, &next_ms) == 0)
                ;
        Execution *x = world_load(w, id), *y = world_load(w, reply_text(r, "executionId"));
        cr_assert_geq(y->created_ms, x->created_ms);
        execution_free(x);
        execution_free(y);
        world_free(w);
}

/* ---- those who watch ----------------------------------------------------------------------------------- */

static void expect_metric(World *w, const char *line) {
        Buf page = {0};
        MetricsWriter writer = metrics_writer(&page);
        runtime_put_metrics(w->rt, &writer);
        char *text = buf_steal_str(&page);
        cr_assert(strstr(text, line), "no \"%s\" in\n%s", line, text);
        free(text);
}

Test(runtime, what_happened_is_counted_once) {
        World *w = fresh();
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        const char *id = world_start(w, "r", NULL), *other = world_start(w, "r", NULL);
        expect_metric(w, "runbook_executions{tenant=\"acme\",runbook=\"r\",status=\"running\"} 2\n");
        world_answer(w, world_task(w, id, "a"), true, "{}");
        world_pass(w, 2000);
        world_answer(w, world_task(w, id, "b"), true, "{}");
        world_answer(w, world_task(w, other, "a"), false,
                     "{\"code\":\"X\",\"message\":\"no\",\"retryable\":false}");
        world_run(w);
        expect_metric(w, "runbook_executions{tenant=\"acme\",runbook=\"r\",status=\"running\"} 0\n");
        expect_metric(w, "runbook_executions_started_total{tenant=\"acme\",runbook=\"r\"} 2\n");
        expect_metric(w, "runbook_executions_ended_total{tenant=\"acme\",runbook=\"r\",status=\"completed\"} 1\n");
        expect_metric(w, "runbook_executions_ended_total{tenant=\"acme\",runbook=\"r\",status=\"failed\"} 1\n");
        expect_metric(w, "runbook_step_duration_seconds_count{type=\"call-service\",outcome=\"completed\"} 2\n");
        expect_metric(w, "runbook_step_duration_seconds_sum{type=\"call-service\",outcome=\"completed\"} 2\n");
        expect_metric(w, "runbook_step_duration_seconds_count{type=\"call-service\",outcome=\"failed\"} 1\n");
        expect_metric(w, "runbook_step_attempts_bucket{type=\"call-service\",le=\"1\"} 3\n");
        /* Retried by a person: it runs again, and ends a second time. */
        Request *retry = request_command(INPUT_RETRY, other, "alice");
        retry->input.path = SLICE("a");
        cr_assert_eq(world_ask(w, retry)->code, RUNBOOK_OK);
        expect_metric(w, "runbook_executions{tenant=\"acme\",runbook=\"r\",status=\"running\"} 1\n");
        world_free(w);
}

typedef struct Spans { char names[8][64]; TraceSpan all[8]; unsigned n; } Spans;

static void take_span(void *userdata, const TraceSpan *span) {
        Spans *s = userdata;
        cr_assert_lt(s->n, 8);
        snprintf(s->names[s->n], sizeof(s->names[0]), "%.*s %s", SLICE_ARG(span->path), span->outcome);
        s->all[s->n++] = *span;
}

Test(runtime, spans_of_steps_hang_below_the_executions_own) {
        World *w = fresh();
        Spans spans = {0};
        runtime_set_span_sink(w->rt, (SpanSink){take_span, &spans});
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        const char *id = world_start(w, "r", NULL);
        Task *task = world_task(w, id, "a");
        TraceContext sent;
        cr_assert(trace_parse(task->traceparent, &sent));
        world_pass(w, 300);
        world_answer(w, task, true, "{}");
        world_run(w);
        cr_assert_eq(spans.n, 2);
        cr_assert_str_eq(spans.names[0], "a completed");
        cr_assert_str_eq(spans.names[1], " completed");
        cr_assert_eq(spans.all[0].end_ms - spans.all[0].start_ms, 300);
        cr_assert_eq(memcmp(spans.all[0].context.parent_id, spans.all[1].span_id, 8), 0);
        cr_assert_eq(memcmp(spans.all[0].span_id, sent.parent_id, 8), 0, "the receiver's parent is the step's span");
        cr_assert_eq(memcmp(spans.all[0].context.trace_id, sent.trace_id, 16), 0);
        world_free(w);
}
