/* Leave to run: steps with requiredPermissions, and everything that can come between the question and its answer. */

#include <criterion/criterion.h>
#include <stdio.h>

#include "driver.h"
#include "base/cleanup.h"
#include "../leaks.h"

#define STEP(id, rest) "{\"id\":\"" id "\"," rest "}"
#define MAY            "\"requiredPermissions\":[\"hosts:isolate\",\"hosts:read\"],"
#define CALL           "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/\"}"
#define TWICE          ",\"retryPolicy\":{\"maxAttempts\":2,\"initialDelayMs\":100}"
#define RUNBOOK(steps) "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"steps\":[" steps "]}"
#define CONTEXT                                                                                              \
        "{\"legalBasis\":{\"authority\":\"COURT\",\"caseId\":\"C-1\",\"classification\":\"SENSITIVE\"}}"

#define cr_step(d, path, status)                                                                             \
        cr_assert_str_eq(driver_step(d, path), status, "%s is %s", path, driver_step(d, path))
#define cr_status(d, status) cr_assert_str_eq(driver_status(d), status, "execution is %s", driver_status(d))

TestSuite(authz, .fini = check_leaks, .timeout = 60);

static void finish(Driver *d) {
        driver_replay(d);
        driver_free(d);
}

static bool history_has(Driver *d, const char *text) {
        buf_put_char(&d->history, 0);
        d->history.n--;
        for (size_t i = 0; i + strlen(text) <= d->history.n; i++)
                if (!memcmp(d->history.data + i, text, strlen(text)))
                        return true;
        return false;
}

Test(authz, the_question_says_who_wants_what_and_why) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, CONTEXT);
        char wanted[1024], id[UUID_TEXT_SIZE + 1], digest[DIGEST_TEXT_SIZE + 1];
        Digest config = {0};
        cr_step(d, "a", "ready");
        cr_assert(driver_is_asking(d, "a"));
        uuid_format(d->x->id, id);
        _cleanup_free_ char *asked = strdup(driver_task_config(d, "a"));
        driver_authz(d, "a", "allow");
        /* the digest is that of what is sent then */
        cr_assert_eq(digest_slice(slice_from_str(driver_task_config(d, "a")), &config), 0);
        digest_format(&config, digest);
        snprintf(wanted, sizeof(wanted),
                 "{\"input\":{\"attempt\":1,\"authority\":\"COURT\",\"caseId\":\"C-1\",\"classification\":"
                 "\"SENSITIVE\",\"configSha256\":\"%s\",\"executionId\":\"%s\",\"initiatedBy\":\"alice\","
                 "\"permissions\":[\"hosts:isolate\",\"hosts:read\"],\"runbookId\":\"r\",\"runbookVersion\":"
                 "\"1\",\"stepId\":\"a\",\"stepPath\":\"a\",\"stepType\":\"call-service\",\"tenantId\":"
                 "\"acme\"}}",
                 digest, id);
        cr_assert_str_eq(asked, wanted);
        finish(d);
}

Test(authz, allowed_it_starts_with_the_attempt_that_was_asked_for) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
        cr_assert_eq(driver_count(d, "step.started", "a"), 0);
        driver_authz(d, "a", "allow");
        cr_step(d, "a", "running");
        cr_assert(driver_has_task(d, "a") && !driver_is_asking(d, "a"));
        cr_assert_eq(d->x->steps[0].attempt, 1);
        cr_assert(history_has(d, "\"decision\":\"allow\"") &&
                  history_has(d, "\"evidenceType\":\"authorization\"") &&
                  history_has(d, "\"permissions\":[\"hosts:isolate\",\"hosts:read\"]"));
        cr_assert_eq(driver_count(d, "evidence.recorded", "a"), 1);
        driver_ok(d, "a", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(authz, denied_it_fails_for_good_with_the_reason) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL TWICE)), NULL, NULL);
        driver_authz(d, "a", "deny");
        cr_step(d, "a", "failed");
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, "a"), "AUTHZ_DENIED");
        cr_assert(history_has(d, "the authorization service denied it: not today"));
        cr_assert(history_has(d, "\"decision\":\"deny\"") && history_has(d, "\"reason\":\"not today\""));
        cr_assert_eq(driver_count(d, "step.started", NULL), 0, "nothing was done");
        /* A person may try again; then it is asked again. */
        driver_command(d, INPUT_RETRY, "a");
        cr_assert(driver_is_asking(d, "a"));
        driver_authz(d, "a", "allow");
        driver_ok(d, "a", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(authz, anything_but_true_is_no) {
        static const char *const decisions[] = {
                        "{\"allow\":\"true\"}", "{\"allow\":1}", "{}", "true", "[]", "null"};
        for (size_t i = 0; i < sizeof(decisions) / sizeof(*decisions); i++) {
                Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
                driver_authz(d, "a", decisions[i]);
                cr_assert_str_eq(driver_error(d, "a"), "AUTHZ_DENIED", "%s", decisions[i]);
                finish(d);
        }
}

Test(authz, no_answer_is_retried_by_the_policy_and_every_attempt_asks) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL TWICE)), NULL, NULL);
        driver_authz(d, "a", "AUTHZ_UNAVAILABLE");
        cr_step(d, "a", "retrying");
        driver_advance(d, 100);
        cr_step(d, "a", "ready");
        cr_assert(driver_is_asking(d, "a"));
        driver_authz(d, "a", "allow");
        driver_fail(d, "a", "HTTP_503", true);
        cr_step(d, "a", "failed"); /* two attempts: one without an answer, one without success */
        finish(d);

        d = driver_start(RUNBOOK(STEP("a", MAY CALL TWICE)), NULL, NULL);
        driver_authz(d, "a", "allow");
        driver_fail(d, "a", "HTTP_503", true);
        driver_advance(d, 100);
        cr_assert(driver_is_asking(d, "a"), "the second attempt asks, too");
        driver_authz(d, "a", "deny");
        cr_assert_str_eq(driver_error(d, "a"), "AUTHZ_DENIED");
        finish(d);

        d = driver_start(RUNBOOK(STEP("a", MAY CALL TWICE)), NULL, NULL);
        driver_authz(d, "a", "AUTHZ_UNAVAILABLE");
        driver_advance(d, 100);
        driver_authz(d, "a", "AUTHZ_UNAVAILABLE");
        cr_assert_str_eq(driver_error(d, "a"), "AUTHZ_UNAVAILABLE");
        cr_status(d, "failed");
        finish(d);
}

Test(authz, every_type_of_step_asks) {
        static const struct {
                const char *type, *then;
        } kinds[] = {
                        {"\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":[\"bob\"],"
                         "\"minApprovals\":1,"
                         "\"timeoutMs\":1000,\"timeoutAction\":\"fail\"}",
                         "awaiting_approval"},
                        {"\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"e\",\"timeoutMs\":400}",
                         "awaiting_event"},
                        {"\"type\":\"wait\",\"config\":{\"durationMs\":70}", "waiting"},
                        {"\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"other\"}", "running"},
                        {"\"type\":\"transform\",\"config\":{\"jq\":\".\"}", "running"},
                        {"\"type\":\"publish-event\",\"config\":{\"subject\":\"s\"}", "running"},
                        {"\"type\":\"custom:x\"", "running"},
                        {"\"type\":\"conditional\",\"config\":{\"condition\":{\"field\":\"input\","
                         "\"operator\":"
                         "\"exists\"}}",
                         "completed"},
        };
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                char definition[512];
                snprintf(definition, sizeof(definition), RUNBOOK("{\"id\":\"a\"," MAY "%s}"), kinds[i].type);
                Driver *d = driver_start(definition, "{}", NULL);
                cr_assert(driver_is_asking(d, "a"), "%s", kinds[i].type);
                driver_authz(d, "a", "allow");
                cr_step(d, "a", kinds[i].then);
                finish(d);
        }
}

Test(authz, loops_and_their_bodies_ask_each_time) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("l",
                                     MAY "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"b\"},\"loopConfig\":"
                                         "{\"iterateOver\":\"input.items\"}") "," STEP("b", MAY CALL)),
                        "{\"items\":[1,2]}", NULL);
        driver_authz(d, "l", "allow");
        cr_step(d, "l", "running");
        driver_authz(d, "b[0]", "allow");
        driver_ok(d, "b[0]", "1");
        driver_authz(d, "b[1]", "allow");
        driver_ok(d, "b[1]", "2");
        cr_status(d, "completed");
        finish(d);
}

Test(authz, a_compensation_asks_and_is_retried) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("a", CALL ",\"compensateWith\":\"undo\"") "," STEP(
                                        "b", "\"dependsOn\":[\"a\"]," CALL) "," STEP("undo", MAY CALL TWICE)),
                        NULL, NULL);
        driver_ok(d, "a", "1");
        driver_fail(d, "b", "X", false);
        cr_status(d, "compensating");
        cr_assert(driver_is_asking(d, "undo~a"), "%s", driver_step(d, "undo~a"));
        driver_authz(d, "undo~a", "AUTHZ_UNAVAILABLE");
        driver_advance(d, 100);
        driver_authz(d, "undo~a", "allow");
        driver_ok(d, "undo~a", "1");
        cr_status(d, "failed");
        cr_assert_eq(driver_count(d, "step.compensated", "a"), 1);
        finish(d);
}

Test(authz, questions_hold_slots) {
        Driver *d = driver_start(
                        "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"maxConcurrentSteps\":2,\"steps\":"
                        "[" STEP("a", MAY CALL) "," STEP("b", MAY CALL) "," STEP("c", MAY CALL) "]}",
                        NULL, NULL);
        cr_assert(driver_is_asking(d, "a") && driver_is_asking(d, "b") && !driver_is_asking(d, "c"));
        driver_authz(d, "a", "allow");
        cr_assert(!driver_is_asking(d, "c"), "its attempt has the slot now");
        driver_ok(d, "a", "1");
        cr_assert(driver_is_asking(d, "c"));
        finish(d);
}

Test(authz, a_pause_waits_for_the_answer_and_the_step_for_the_resume) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
        driver_command(d, INPUT_PAUSE, "");
        cr_status(d, "pausing");
        driver_authz(d, "a", "allow");
        cr_status(d, "paused");
        cr_step(d, "a", "ready");
        cr_assert(!driver_has_task(d, "a"));
        driver_advance(d, 3600000);
        driver_command(d, INPUT_RESUME, "");
        cr_assert(driver_is_asking(d, "a"), "the leave of before the pause is an old one");
        driver_authz(d, "a", "allow");
        driver_ok(d, "a", "1");
        cr_status(d, "completed");
        cr_assert_eq(d->x->steps[0].attempt, 1);
        finish(d);
}

Test(authz, denied_while_pausing_fails) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
        driver_command(d, INPUT_PAUSE, "");
        driver_authz(d, "a", "deny");
        cr_status(d, "failed");
        finish(d);
}

Test(authz, a_cancel_withdraws_the_question) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
        driver_command(d, INPUT_CANCEL, "");
        cr_status(d, "cancelled");
        cr_step(d, "a", "pending");
        cr_assert_eq(d->n_tasks, 0);
        finish(d);
}

Test(authz, a_failure_elsewhere_withdraws_it_and_a_retry_asks_under_another_number) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL TWICE) "," STEP("b", CALL)), NULL, NULL);
        driver_fail(d, "b", "X", false);
        cr_status(d, "failed");
        cr_step(d, "a", "pending");
        /* the answer that was under way */
        driver_apply(d, &(Input){.kind = INPUT_AUTHZ, .instance = 0, .attempt = 1, .ok = true});
        cr_status(d, "failed");
        driver_command(d, INPUT_RETRY, "b");
        cr_assert(driver_is_asking(d, "a"));
        cr_assert_eq(d->x->steps[0].attempt, 2);
        Value *yes = value_new(json_pack("{s:b}", "allow", 1));
        driver_apply(d, &(Input){.kind = INPUT_AUTHZ, .instance = 0, .attempt = 1, .ok = true, .value = yes});
        value_unref(yes);
        cr_step(d, "a", "ready");
        driver_authz(d, "a", "AUTHZ_UNAVAILABLE");
        cr_step(d, "a", "retrying"); /* the question that was withdrawn was no try */
        finish(d);
}

Test(authz, a_global_timeout_ends_the_waiting) {
        Driver *d = driver_start("{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"globalTimeoutMs\":500,"
                                 "\"steps\":[" STEP("a", MAY CALL) "]}",
                                 NULL, NULL);
        driver_advance(d, 500);
        cr_status(d, "failed");
        cr_assert_str_eq(driver_error(d, ""), "EXECUTION_TIMEOUT");
        cr_assert_eq(d->n_tasks, 0);
        finish(d);
}

Test(authz, after_a_restart_it_is_asked_again) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL)), NULL, NULL);
        Update out = {0};
        cr_assert_eq(engine_reopen_tasks(d->x, &d->settings, &out), 0);
        cr_assert_eq(out.n_effects, 1);
        cr_assert(out.effects[0].kind == EFFECT_AUTHZ && out.effects[0].attempt == 1);
        cr_assert(slice_eq_str(value_bytes(out.effects[0].value), driver_task_config(d, "a")),
                  "the same question, byte for byte");
        update_deinit(&out);
        finish(d);
}

Test(authz, on_failure_continue_goes_on_without_it) {
        Driver *d = driver_start(RUNBOOK(STEP("a", MAY CALL ",\"onFailure\":\"continue\"") "," STEP(
                                                 "b", "\"dependsOn\":[\"a\"]," CALL)),
                                 NULL, NULL);
        driver_authz(d, "a", "deny");
        cr_step(d, "a", "failed");
        driver_ok(d, "b", "1");
        cr_status(d, "completed");
        finish(d);
}
