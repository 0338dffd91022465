/* The core driven by hand: each test is a story of inputs and what came of them. */

#include "story.h"

TestSuite(engine, .fini = check_leaks, .timeout = 60);

Test(engine, a_chain_runs_in_order_and_gives_the_sinks_output) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "") "," CALL("b", "\"a\"")), "{\"k\":1}", NULL);
        cr_status(d, "running");
        cr_assert(driver_has_task(d, "a") && !driver_has_task(d, "b"));
        driver_ok(d, "a", "{\"status\":200,\"n\":7}");
        cr_assert(driver_has_task(d, "b"));
        driver_ok(d, "b", "{\"status\":200}");
        cr_status(d, "completed");
        cr_assert_str_eq(driver_output(d, ""), "{\"status\":200}");
        cr_assert_eq(driver_count(d, "execution.completed", ""), 1);
        cr_assert_eq(driver_count(d, "step.completed", NULL), 2);
        finish(d);
}

Test(engine, internal_steps_run_on_in_one_input) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"conditional\",\"config\":{\"condition\":{\"field\":"
                                          "\"input.x\",\"operator\":\"eq\",\"value\":1}}") "," STEP(
                                        "b", "\"type\":\"conditional\",\"dependsOn\":[\"a\"],\"config\":{"
                                             "\"condition\":{\"field\":\"a.result\",\"operator\":\"eq\","
                                             "\"value\":true}}")),
                        "{\"x\":1}", NULL);
        cr_status(d, "completed");
        cr_assert_eq(d->n_events, 6);
        finish(d);
}

Test(engine, the_branch_not_taken_is_skipped_and_a_join_runs) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("c", "\"type\":\"conditional\",\"config\":{\"condition\":{\"field\":"
                                          "\"input.x\",\"operator\":\"gt\",\"value\":5},\"trueBranch\":\"t\","
                                          "\"falseBranch\":[\"f\"]}") "," CALL("t", "\"c\"") "," CALL(
                                        "f", "") "," CALL("f2", "\"f\"") "," CALL("join", "\"t\",\"f2\"")),
                        "{\"x\":6}", NULL);
        cr_step(d, "f", "skipped");
        cr_step(d, "f2", "skipped");
        cr_step(d, "t", "running");
        driver_ok(d, "t", "1");
        cr_step(d, "join", "running");
        driver_ok(d, "join", "2");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, a_target_is_skipped_though_its_other_dependency_completed) {
        Driver *d = driver_start(RUNBOOK(CALL("x", "") "," STEP(
                                                 "c", "\"type\":\"conditional\",\"config\":{\"condition\":{"
                                                      "\"field\":\"input.no\",\"operator\":\"exists\"},"
                                                      "\"trueBranch\":\"t\"}") "," CALL("t", "\"x\",\"c\"")),
                                 "{}", NULL);
        cr_step(d, "t", "skipped");
        driver_ok(d, "x", "1");
        cr_step(d, "t", "skipped");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, a_false_step_condition_skips_the_step) {
        Driver *d = driver_start(RUNBOOK(STEP("a", "\"type\":\"wait\",\"config\":{\"durationMs\":1},"
                                                   "\"condition\":{\"field\":\"input.go\",\"operator\":"
                                                   "\"eq\",\"value\":true}") "," CALL("b", "\"a\"")),
                                 "{\"go\":false}", NULL);
        cr_step(d, "a", "skipped");
        cr_step(d, "b", "skipped");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, join_any_starts_with_the_first) {
        Driver *d = driver_start(
                        RUNBOOK(CALL("a", "") "," CALL("b", "") "," STEP(
                                        "j", "\"type\":\"call-service\",\"joinPolicy\":\"any\",\"dependsOn\":"
                                             "[\"a\",\"b\"],\"config\":{\"url\":\"https://x.example/\"}")),
                        NULL, NULL);
        driver_ok(d, "b", "1");
        cr_step(d, "j", "running");
        driver_ok(d, "j", "1");
        cr_status(d, "running");
        driver_ok(d, "a", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, retries_back_off_then_fail) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/"
                                          "\"},\"retryPolicy\":{\"maxAttempts\":3,\"initialDelayMs\":1000,"
                                          "\"maxDelayMs\":1500,\"backoffMultiplier\":2}")),
                        NULL, NULL);
        driver_fail(d, "a", "HTTP_503", true);
        cr_step(d, "a", "retrying");
        driver_advance(d, 999);
        cr_assert(!driver_has_task(d, "a"));
        driver_advance(d, 1);
        cr_assert(driver_has_task(d, "a"));
        driver_fail(d, "a", "HTTP_503", true);
        driver_advance(d, 1499);
        cr_assert(!driver_has_task(d, "a"), "the delay is capped at maxDelayMs, not below");
        driver_advance(d, 1);
        driver_fail(d, "a", "HTTP_503", true);
        cr_step(d, "a", "failed");
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, ""), "HTTP_503");
        cr_assert_eq(driver_count(d, "step.retrying", "a"), 2);
        finish(d);
}

Test(engine, errors_that_are_not_retryable_fail_at_once) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "")), NULL, NULL);
        driver_fail(d, "a", "HTTP_400", false);
        cr_status(d, "failed");
        finish(d);
}

Test(engine, error_filters_decide_over_the_executor) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/"
                                          "\"},\"retryPolicy\":{\"maxAttempts\":5,\"initialDelayMs\":1,"
                                          "\"nonRetryableErrors\":[\"http_503\"],\"retryableErrors\":[\"HTTP_"
                                          "5*\"]}")),
                        NULL, NULL);
        driver_fail(d, "a", "HTTP_502", false);
        cr_step(d, "a", "retrying");
        driver_advance(d, 10);
        driver_fail(d, "a", "HTTP_503", true);
        cr_status(d, "failed");
        finish(d);
}

Test(engine, concurrency_is_limited_and_waiting_steps_are_announced) {
        Driver *d = driver_start(RUNBOOK_WITH("\"maxConcurrentSteps\":2",
                                              CALL("a", "") "," CALL("b", "") "," CALL("c", "")),
                                 NULL, NULL);
        cr_step(d, "c", "ready");
        cr_assert_eq(driver_count(d, "step.ready", NULL), 1);
        driver_ok(d, "b", "1");
        cr_step(d, "c", "running");
        driver_ok(d, "a", "1");
        driver_ok(d, "c", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, a_failure_ends_waits_lets_attempts_finish_and_keeps_the_rest_pending) {
        Driver *d = driver_start(
                        RUNBOOK(CALL("a", "") "," CALL("b", "") "," CALL("c", "\"a\",\"b\"") "," STEP(
                                        "w", "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"e\"}")),
                        NULL, NULL);
        driver_fail(d, "a", "X", false);
        cr_status(d, "running");
        cr_step(d, "w", "cancelled");
        driver_ok(d, "b", "1");
        cr_status(d, "failed");
        cr_step(d, "c", "pending");
        finish(d);
}

Test(engine, a_failed_step_can_be_retried_and_the_execution_runs_on) {
        Driver *d = driver_start(
                        RUNBOOK(CALL("a", "") "," CALL("b", "\"a\"") "," STEP(
                                        "w", "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"e\"}")),
                        NULL, NULL);
        driver_fail(d, "a", "X", false);
        cr_status(d, "failed");
        driver_command(d, INPUT_RETRY, "b");
        cr_assert(strstr(d->last_error, "WRONG_STATE"), "%s", d->last_error);
        driver_command(d, INPUT_RETRY, "a");
        cr_assert_str_eq(d->last_error, "");
        cr_status(d, "running");
        cr_step(d, "w", "awaiting_event");
        driver_ok(d, "a", "1");
        driver_ok(d, "b", "2");
        driver_event(d, "w", "{\"n\":1}");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, on_failure_continue_lets_dependents_run) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"call-service\",\"onFailure\":\"continue\",\"config\":{"
                                          "\"url\":\"https://x.example/\"}") "," CALL("b", "\"a\"")),
                        NULL, NULL);
        driver_fail(d, "a", "X", false);
        cr_step(d, "a", "failed");
        driver_ok(d, "b", "1");
        cr_status(d, "completed");
        finish(d);
}

#define APPROVAL(rest)                                                                                       \
        RUNBOOK(STEP("ok",                                                                                   \
                     "\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":[\"bob\",\"carol\","     \
                     "\"alice\"],\"minApprovals\":2,\"timeoutMs\":1000," rest "}") "," CALL("go", "\"ok\""))

Test(engine, two_people_approve_and_nobody_else) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\""), NULL, NULL);
        cr_step(d, "ok", "awaiting_approval");
        driver_vote(d, "mallory", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "NOT_AN_APPROVER"));
        driver_vote(d, "alice", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "SELF_APPROVAL"));
        driver_vote(d, "bob", "ok", VOTE_APPROVED);
        driver_vote(d, "bob", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "DUPLICATE_VOTE"));
        driver_vote(d, "carol", "nope", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "STEP_NOT_FOUND"));
        cr_step(d, "ok", "awaiting_approval");
        driver_vote(d, "carol", "ok", VOTE_APPROVED);
        cr_step(d, "ok", "completed");
        cr_step(d, "go", "running");
        driver_vote(d, "carol", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "DUPLICATE_VOTE"));
        cr_assert_eq(driver_count(d, "approval.refused", "ok"), 4);
        cr_assert_eq(driver_count(d, "command.refused", ""), 1);
        cr_assert_eq(driver_count(d, "approval.recorded", "ok"), 2);
        finish(d);
}

Test(engine, an_approval_fails_as_soon_as_the_quorum_is_out_of_reach) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\""), NULL, NULL);
        driver_vote(d, "carol", "ok", VOTE_REJECTED);
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, "ok"), "APPROVAL_REJECTED");
        finish(d);
}

Test(engine, approval_timeouts_do_what_is_configured) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\""), NULL, NULL);
        driver_advance(d, 1000);
        cr_assert_str_eq(driver_error(d, "ok"), "APPROVAL_TIMEOUT");
        finish(d);
        d = driver_start(APPROVAL("\"timeoutAction\":\"approve\""), NULL, NULL);
        driver_advance(d, 1000);
        cr_step(d, "ok", "completed");
        finish(d);
        d = driver_start(APPROVAL("\"timeoutAction\":\"reject\""), NULL, NULL);
        driver_advance(d, 1000);
        cr_assert_str_eq(driver_error(d, "ok"), "APPROVAL_REJECTED");
        finish(d);
}

Test(engine, escalation_brings_further_people) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\",\"escalateTo\":[\"dave\"],"
                                          "\"escalateAfterMs\":500"),
                                 NULL, NULL);
        driver_vote(d, "dave", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "NOT_AN_APPROVER"));
        driver_advance(d, 500);
        driver_vote(d, "dave", "ok", VOTE_APPROVED);
        cr_assert_str_eq(d->last_error, "");
        driver_vote(d, "bob", "ok", VOTE_APPROVED);
        cr_step(d, "ok", "completed");
        finish(d);
}

Test(engine, authorized_users_rule_over_votes_and_control) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\",\"allowSelfApproval\":true"), NULL,
                                 "{\"legalBasis\":{\"authorizedUsers\":[\"alice\",\"bob\"]}}");
        driver_vote(d, "carol", "ok", VOTE_APPROVED);
        cr_assert(strstr(d->last_error, "FORBIDDEN"));
        driver_vote(d, "bob", "ok", VOTE_APPROVED);
        driver_vote(d, "alice", "ok", VOTE_APPROVED);
        cr_step(d, "ok", "completed");
        finish(d);
}

Test(engine, waits_and_events_end_by_time_or_event) {
        Driver *d = driver_start(RUNBOOK(STEP("w", "\"type\":\"wait\",\"config\":{\"durationMs\":\"${input."
                                                   "ms}\"}") "," STEP(
                                                 "e",
                                                 "\"type\":\"wait-for-event\",\"dependsOn\":[\"w\"],"
                                                 "\"config\":{\"eventType\":\"edr.done\",\"correlationId\":"
                                                 "\"${input.host}\",\"timeoutMs\":100}")),
                                 "{\"ms\":50,\"host\":\"h1\"}", NULL);
        driver_advance(d, 49);
        cr_step(d, "w", "waiting");
        driver_advance(d, 1);
        cr_step(d, "e", "awaiting_event");
        driver_event(d, "e", "{\"ok\":true}");
        cr_status(d, "completed");
        cr_assert_str_eq(driver_output(d, "e"), "{\"ok\":true}");
        finish(d);

        d = driver_start(RUNBOOK(STEP("e", "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"edr."
                                           "done\",\"timeoutMs\":100}")),
                         NULL, NULL);
        driver_advance(d, 100);
        cr_assert_str_eq(driver_error(d, ""), "EVENT_TIMEOUT");
        finish(d);
}

Test(engine, pause_stops_starts_and_freezes_clocks) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "") "," CALL("b", "\"a\"") "," STEP(
                                                 "w", "\"type\":\"wait\",\"config\":{\"durationMs\":1000}")),
                                 NULL, NULL);
        driver_advance(d, 400);
        driver_command(d, INPUT_PAUSE, "");
        cr_status(d, "pausing");
        driver_ok(d, "a", "1");
        cr_status(d, "paused");
        cr_step(d, "b", "ready");
        driver_advance(d, 100000);
        cr_step(d, "w", "waiting");
        driver_command(d, INPUT_RESUME, "");
        cr_step(d, "b", "running");
        driver_advance(d, 599);
        cr_step(d, "w", "waiting");
        driver_advance(d, 1);
        cr_step(d, "w", "completed");
        driver_ok(d, "b", "1");
        cr_status(d, "completed");
        driver_command(d, INPUT_PAUSE, "");
        cr_assert(strstr(d->last_error, "WRONG_STATE"));
        finish(d);
}

Test(engine, a_paused_execution_takes_votes_and_results) {
        Driver *d = driver_start(APPROVAL("\"timeoutAction\":\"fail\""), NULL, NULL);
        driver_command(d, INPUT_PAUSE, "");
        cr_status(d, "paused");
        driver_vote(d, "bob", "ok", VOTE_APPROVED);
        driver_vote(d, "carol", "ok", VOTE_APPROVED);
        cr_step(d, "go", "ready");
        driver_command(d, INPUT_RESUME, "");
        cr_step(d, "go", "running");
        finish(d);
}

Test(engine, cancel_aborts_and_says_who_and_why) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "") "," STEP(
                                                 "w", "\"type\":\"wait\",\"config\":{\"durationMs\":1000}")),
                                 NULL, NULL);
        driver_command(d, INPUT_CANCEL, "");
        cr_status(d, "cancelled");
        cr_step(d, "a", "cancelled");
        cr_step(d, "w", "cancelled");
        cr_assert_str_eq(d->x->cancelled_by, "alice");
        cr_assert_str_eq(d->x->cancel_reason, "no longer needed");
        cr_assert_eq(d->n_tasks, 0);
        cr_assert_eq(d->n_timers, 0);
        driver_command(d, INPUT_CANCEL, "");
        cr_assert(strstr(d->last_error, "WRONG_STATE"));
        finish(d);
}

Test(engine, the_global_timeout_aborts_what_is_in_flight) {
        Driver *d = driver_start(RUNBOOK_WITH("\"globalTimeoutMs\":500", CALL("a", "")), NULL, NULL);
        driver_advance(d, 500);
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, ""), "EXECUTION_TIMEOUT");
        finish(d);
}

Test(engine, late_and_foreign_results_are_ignored) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "")), NULL, NULL);
        uint64_t n = d->n_events;
        driver_apply(d, &(Input){.kind = INPUT_TASK_RESULT, .instance = 0, .attempt = 2, .ok = true});
        driver_apply(d, &(Input){.kind = INPUT_TASK_RESULT, .instance = 99, .attempt = 1, .ok = true});
        driver_apply(d, &(Input){.kind = INPUT_TIMER, .instance = 0, .slot = TIMER_STEP, .at_ms = 5});
        cr_assert_eq(d->n_events, n);
        driver_ok(d, "a", "1");
        driver_apply(d, &(Input){.kind = INPUT_TASK_RESULT, .instance = 0, .attempt = 1, .ok = true});
        cr_status(d, "completed");
        finish(d);
}

#define CUSTOM(id, deps) STEP(id, "\"type\":\"custom:geo\",\"dependsOn\":[" deps "]")

static double progress_of(Driver *d, const char *path) {
        const StepState *s = &d->x->steps[execution_find_path(d->x, slice_from_str(path))];
        return s->extra ? s->extra->progress : 0;
}

Test(engine, progress_is_kept_and_its_records_are_recorded) {
        Driver *d = driver_start(RUNBOOK(CUSTOM("a", "") "," CUSTOM("b", "\"a\"")), NULL, NULL);
        uint64_t n_logs = d->x->n_logs, n_journal = d->x->n_journal;
        driver_progress(d, "a", 0.25, "[{\"level\":\"info\",\"message\":\"a quarter\"}]", NULL);
        cr_assert_float_eq(progress_of(d, "a"), 0.25, 0);
        cr_assert_eq(d->x->n_logs, n_logs + 1);
        driver_progress(d, "a", 0.25, NULL, NULL); /* nothing new */
        cr_assert_eq(d->x->n_journal, n_journal + 1);
        driver_progress(d, "a", -1, NULL, "[{\"type\":\"scan\",\"sourceRef\":\"x\",\"confidence\":1,\"value\":1}]");
        cr_assert_eq(driver_count(d, "evidence.recorded", "a"), 1);
        cr_assert_float_eq(progress_of(d, "a"), 0.25, 0);
        driver_fail(d, "a", "X", true);
        cr_step(d, "a", "retrying");
        driver_advance(d, 60000);
        cr_step(d, "a", "running");
        cr_assert_float_eq(progress_of(d, "a"), 0, 0, "a new attempt begins at 0");
        driver_apply(d, &(Input){.kind = INPUT_TASK_PROGRESS, .attempt = 1, .flag = true, .number = 0.5});
        cr_assert_float_eq(progress_of(d, "a"), 0, 0, "the attempt before has nothing to say any more");
        driver_apply(d, &(Input){.kind = INPUT_TASK_PROGRESS, .attempt = 2, .flag = true, .number = 7});
        driver_apply(d, &(Input){.kind = INPUT_TASK_PROGRESS, .instance = 9, .attempt = 1, .flag = true});
        cr_assert_float_eq(progress_of(d, "a"), 0, 0);
        driver_progress(d, "a", 1, NULL, NULL);
        driver_ok(d, "a", "1");
        driver_ok(d, "b", "2");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, an_attempt_under_way_cannot_fill_the_disk) {
        Driver *d = driver_start(RUNBOOK(CUSTOM("a", "")), NULL, NULL);
        _cleanup_(buf_deinit) Buf logs = {0};
        buf_put_char(&logs, '[');
        for (int i = 0; i < LIMIT_LOGS_PER_RESULT; i++)
                buf_printf(&logs, "%s{\"level\":\"info\",\"message\":\"m\"}", i > 0 ? "," : "");
        buf_put(&logs, "]", 2);
        for (int i = 0; i < LIMIT_PROGRESS_RECORDS / LIMIT_LOGS_PER_RESULT; i++)
                driver_progress(d, "a", -1, logs.data, NULL);
        uint64_t n = d->x->n_logs, n_journal = d->x->n_journal;
        cr_assert_geq(n, LIMIT_PROGRESS_RECORDS);
        driver_progress(d, "a", -1, logs.data, NULL);
        cr_assert_eq(d->x->n_logs, n);
        cr_assert_eq(d->x->n_journal, n_journal);
        driver_progress(d, "a", 0.5, logs.data, NULL);
        cr_assert_eq(d->x->n_journal, n_journal + 1);
        driver_ok(d, "a", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(engine, templates_reach_dependencies_and_a_missing_path_fails_the_step) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "") "," STEP(
                                                 "b", "\"type\":\"call-service\",\"dependsOn\":[\"a\"],"
                                                      "\"config\":{\"url\":\"https://x.example/"
                                                      "${a.id}\",\"method\":\"POST\",\"body\":{\"all\":\"${a}"
                                                      "\",\"n\":\"${input.n}\",\"id\":\"${id}\"}}")),
                                 "{\"n\":3}", NULL);
        driver_ok(d, "a", "{\"id\":\"q7\"}");
        cr_assert_str_eq(driver_task_config(d, "b"),
                         "{\"body\":{\"all\":{\"id\":\"q7\"},\"id\":\"q7\",\"n\":3},\"method\":\"POST\","
                         "\"url\":\"https://x.example/q7\"}");
        driver_ok(d, "b", "1");
        finish(d);
        d = driver_start(RUNBOOK(CALL("a", "") "," STEP(
                                         "b", "\"type\":\"call-service\",\"dependsOn\":[\"a\"],\"config\":{"
                                              "\"url\":\"https://x.example/${a.id}\"}")),
                         NULL, NULL);
        driver_ok(d, "a", "{}");
        cr_status(d, "failed");
        finish(d);
}

Test(engine, compensations_run_in_reverse_order_of_completion) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"call-service\",\"compensateWith\":\"undo\",\"config\":{"
                                          "\"url\":\"https://x.example/\"}") "," STEP(
                                        "b", "\"type\":\"call-service\",\"compensateWith\":\"undo\","
                                             "\"dependsOn\":[\"a\"],\"config\":{\"url\":\"https://x.example/"
                                             "\"}") "," CALL("c", "\"b\"") "," CALL("undo", "")),
                        NULL, NULL);
        cr_assert(!driver_has_task(d, "undo"));
        driver_ok(d, "a", "1");
        driver_ok(d, "b", "2");
        driver_fail(d, "c", "X", false);
        cr_status(d, "compensating");
        cr_assert(driver_has_task(d, "undo~b"));
        driver_ok(d, "undo~b", "null");
        cr_assert(driver_has_task(d, "undo~a"));
        driver_fail(d, "undo~a", "X", false);
        cr_status(d, "failed");
        cr_assert_eq(driver_count(d, "step.compensated", "b"), 1);
        cr_assert_eq(driver_count(d, "step.compensated", "a"), 0);
        finish(d);
}

Test(engine, a_child_execution_is_started_waited_for_and_cancelled) {
        Driver *d = driver_start(RUNBOOK(STEP("r", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":"
                                                   "\"other\",\"input\":{\"a\":\"${input.a}\"}}")),
                                 "{\"a\":1}", NULL);
        char text[UUID_TEXT_SIZE + 1];
        cr_assert_eq(d->n_children, 1);
        uuid_format(d->child, text);
        _Alignas(8) char nil[] = "00000000-0000-0000-0000-000000000000";
        driver_apply(d, &(Input){.kind = INPUT_CHILD_DONE,
                                 .instance = 0,
                                 .text = slice_from_str(nil),
                                 .ok = true});
        cr_status(d, "running");
        Value *v = value_new_bytes(SLICE("{\"z\":1}"));
        driver_apply(d, &(Input){.kind = INPUT_CHILD_DONE,
                                 .instance = 0,
                                 .text = slice_from_str(text),
                                 .ok = true,
                                 .value = v});
        value_unref(v);
        cr_status(d, "completed");
        cr_assert_str_eq(driver_output(d, ""), "{\"z\":1}");
        finish(d);
}

/* What fails in the same move as pauseAt is reached: the failure goes on, nothing pauses. */
Test(engine, pause_at_does_not_stop_a_compensation) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", "\"type\":\"call-service\",\"compensateWith\":\"undo\",\"config\":{"
                                          "\"url\":\"https://x.example/\"}") ","
                                STEP("b", "\"type\":\"call-service\",\"dependsOn\":[\"a\"],\"config\":{\"url\":"
                                          "\"https://x.example/\"}") ","
                                STEP("l", "\"type\":\"loop\",\"dependsOn\":[\"a\"],\"config\":{\"bodyStepId\":"
                                          "\"body\"},\"loopConfig\":{\"maxIterations\":1,\"iterateOver\":"
                                          "\"input.missing\"}") ","
                                STEP("body", "\"type\":\"call-service\",\"config\":{\"url\":"
                                             "\"https://x.example/\"}") ","
                                STEP("undo", "\"type\":\"call-service\",\"config\":{\"url\":"
                                             "\"https://x.example/\"}")),
                        NULL, NULL);
        d->x->pause_at = strdup("b");
        driver_ok(d, "a", "{}");
        cr_status(d, "compensating");
        driver_ok(d, "undo~a", "{}");
        cr_status(d, "failed");
        driver_free(d);
}

Test(engine, pause_at_stops_before_the_step) {
        Driver *d = driver_start(RUNBOOK(CALL("a", "") "," CALL("b", "\"a\"")), NULL, NULL);
        d->x->pause_at = strdup("b"); /* as a start with options.pauseAt has it */
        driver_ok(d, "a", "1");
        cr_status(d, "paused");
        cr_step(d, "b", "ready");
        driver_command(d, INPUT_RESUME, "");
        cr_step(d, "b", "running");
        driver_free(d);
}

#define TYPED(step, root)                                                                                    \
        "{\"id\":\"r\",\"version\":\"1\"," root "\"steps\":[{\"id\":\"a\",\"type\":\"call-service\","        \
                                                "\"config\":{\"url\":\"https://x.example/\"}" step "}]}"

Test(engine, schemas_are_held_against_inputs_and_outputs) {
        Driver *d = driver_start(TYPED(",\"inputSchema\":{\"required\":[\"k\"]}", ""), "{\"z\":1}", NULL);
        cr_assert_str_eq(driver_error(d, "a"), "INPUT_SCHEMA");
        cr_assert(!driver_has_task(d, "a"));
        finish(d);
        d = driver_start(TYPED(",\"outputSchema\":{\"type\":\"object\"}", ""), NULL, NULL);
        driver_ok(d, "a", "7");
        cr_assert_str_eq(driver_error(d, "a"), "OUTPUT_SCHEMA");
        finish(d);
        d = driver_start(TYPED(",\"outputSchema\":{\"type\":\"object\"},\"retryPolicy\":{\"maxAttempts\":2,"
                               "\"initialDelayMs\":10,\"retryableErrors\":[\"OUTPUT_SCHEMA\"]}",
                               ""),
                         NULL, NULL);
        driver_ok(d, "a", "7");
        cr_step(d, "a", "retrying");
        driver_advance(d, 10);
        driver_ok(d, "a", "{}");
        cr_status(d, "completed");
        finish(d);
        d = driver_start(TYPED("", "\"outputSchema\":{\"type\":\"object\"},"), NULL, NULL);
        driver_ok(d, "a", "7");
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, ""), "OUTPUT_SCHEMA");
        finish(d);
}
