/* Loops, driven by hand: iterations, what they tolerate, and what a retry runs again. */

#include "story.h"

TestSuite(loop, .fini = check_leaks, .timeout = 60);

#define LOOP(config, loop)                                                                                   \
        RUNBOOK(STEP("l",                                                                                    \
                     "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"x\"},\"loopConfig\":{" loop             \
                     "}") "," STEP("x", "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/" \
                                        "${loop.item}\"}" config) "," CALL("y", "\"x\"") "," CALL("after",   \
                                                                                                  "\"l\""))

Test(loop, a_loop_runs_its_body_for_each_item) {
        Driver *d = driver_start(
                        LOOP("", "\"iterateOver\":\"input.items\",\"maxIterations\":10,\"concurrency\":2"),
                        "{\"items\":[\"p\",\"q\",\"r\"]}", NULL);
        cr_assert(driver_has_task(d, "x[0]") && driver_has_task(d, "x[1]") && !driver_has_task(d, "x[2]"));
        driver_ok(d, "x[1]", "1");
        driver_ok(d, "y[1]", "\"one\"");
        cr_assert(driver_has_task(d, "x[2]"));
        driver_ok(d, "x[0]", "1");
        driver_ok(d, "x[2]", "1");
        driver_ok(d, "y[2]", "\"two\"");
        driver_ok(d, "y[0]", "\"zero\"");
        cr_assert_str_eq(driver_output(d, "l"), "{\"items\":[\"zero\",\"one\",\"two\"],\"iterations\":3}");
        driver_ok(d, "after", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(loop, a_loop_over_its_cap_fails_clearly_and_failures_are_tolerated_as_told) {
        Driver *d = driver_start(LOOP("", "\"iterateOver\":\"input.items\",\"maxIterations\":2"),
                                 "{\"items\":[1,2,3]}", NULL);
        cr_assert_str_eq(driver_error(d, "l"), "LOOP_LIMIT");
        finish(d);
        d = driver_start(LOOP("", "\"iterateOver\":\"input.items\",\"failureTolerance\":1"),
                         "{\"items\":[1,2,3]}", NULL);
        driver_fail(d, "x[0]", "X", false);
        cr_step(d, "l", "running");
        driver_ok(d, "x[1]", "1");
        driver_ok(d, "y[1]", "1");
        driver_fail(d, "x[2]", "X", false);
        cr_step(d, "l", "failed");
        cr_status(d, "failed");
        driver_command(d, INPUT_RETRY, "x[2]");
        cr_assert_str_eq(d->last_error, "");
        driver_ok(d, "x[2]", "1");
        driver_ok(d, "y[2]", "3");
        cr_step(d, "l", "completed");
        cr_assert_str_eq(driver_output(d, "l"), "{\"items\":[null,1,3],\"iterations\":3}");
        finish(d);
}

/** Three iterations, all of which fail: one more than are tolerated, and one that was under way. */
static Driver *loop_failed(void) {
        Driver *d = driver_start(
                        LOOP(NO_RETRY, "\"iterateOver\":\"input.items\",\"failureTolerance\":1,\"concurrency\":3"),
                        "{\"items\":[1,2,3]}", NULL);
        driver_fail(d, "x[0]", "X", false);
        driver_fail(d, "x[1]", "X", false);
        cr_step(d, "l", "running");
        driver_fail(d, "x[2]", "X", false);
        cr_step(d, "l", "failed");
        cr_status(d, "failed");
        return d;
}

Test(loop, iterations_run_again_until_no_more_fail_than_are_tolerated) {
        static const char *const retried[] = {"x[0]", "l"};
        for (size_t i = 0; i < N_ELEMENTS(retried); i++) {
                Driver *d = loop_failed();
                driver_command(d, INPUT_RETRY, retried[i]);
                cr_assert_str_eq(d->last_error, "");
                cr_status(d, "running");
                cr_assert(driver_has_task(d, "x[0]") && driver_has_task(d, "x[1]") && driver_has_task(d, "x[2]"));
                driver_ok(d, "x[1]", "1");
                driver_ok(d, "y[1]", "1");
                driver_fail(d, "x[2]", "X", false);
                driver_ok(d, "x[0]", "1");
                driver_ok(d, "y[0]", "0");
                cr_assert_str_eq(driver_output(d, "l"), "{\"items\":[0,1,null],\"iterations\":3}");
                driver_ok(d, "after", "1");
                cr_status(d, "completed");
                finish(d);
        }
}

#define OVER_ITEMS(id, body)                                                                                 \
        STEP(id, "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"" body "\"},\"loopConfig\":{"               \
                 "\"iterateOver\":\"input.items\",\"concurrency\":2}")

Test(loop, a_loop_in_an_iteration_goes_on_with_what_failed_in_it) {
        static const char *const retried[] = {"x[1][0]", "in[1]", "out"};
        for (size_t i = 0; i < N_ELEMENTS(retried); i++) {
                Driver *d = driver_start(
                                RUNBOOK(OVER_ITEMS("out", "in") "," OVER_ITEMS("in", "x") ","
                                        STEP("x", "\"type\":\"call-service\",\"config\":{\"url\":"
                                                  "\"https://x.example/\"}" NO_RETRY)),
                                "{\"items\":[1,2]}", NULL);
                driver_ok(d, "x[0][0]", "1");
                driver_fail(d, "x[1][0]", "X", false);
                driver_fail(d, "x[1][1]", "X", false);
                driver_fail(d, "x[0][1]", "X", false);
                cr_status(d, "failed");
                driver_command(d, INPUT_RETRY, retried[i]);
                cr_assert_str_eq(d->last_error, "");
                driver_ok(d, "x[0][1]", "2");
                driver_ok(d, "x[1][0]", "3");
                driver_ok(d, "x[1][1]", "4");
                cr_status(d, "completed");
                cr_assert_eq(driver_count(d, "step.started", "x[0][0]"), 1);
                finish(d);
        }
}

/* A failure that a loop tolerated did not fail the execution, whatever failed it later. */
Test(loop, a_failure_that_was_borne_is_not_retried) {
        Driver *d = driver_start(LOOP(NO_RETRY, "\"iterateOver\":\"input.items\",\"failureTolerance\":1"),
                                 "{\"items\":[1,2]}", NULL);
        driver_fail(d, "x[0]", "X", false);
        driver_ok(d, "x[1]", "1");
        driver_ok(d, "y[1]", "1");
        cr_step(d, "l", "completed");
        driver_fail(d, "after", "X", false);
        cr_status(d, "failed");
        driver_command(d, INPUT_RETRY, "x[0]");
        cr_assert_str_eq(d->last_error,
                         "WRONG_STATE: step \"x[0]\" failed in an iteration of \"l\", which is completed; only a step "
                         "that failed the execution can be retried");
        cr_status(d, "failed");
        driver_command(d, INPUT_RETRY, "after");
        driver_ok(d, "after", "1");
        cr_status(d, "completed");
        finish(d);
}

Test(loop, continue_while_sees_fresh_data_and_empty_loops_complete) {
        Driver *d = driver_start(
                        RUNBOOK(STEP("l", "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"x\"},"
                                          "\"loopConfig\":{\"maxIterations\":5,\"continueWhile\":{\"field\":"
                                          "\"x.done\",\"operator\":\"ne\",\"value\":true}}") "," CALL("x",
                                                                                                      "")),
                        NULL, NULL);
        driver_ok(d, "x[0]", "{\"done\":false}");
        driver_ok(d, "x[1]", "{\"done\":true}");
        cr_status(d, "completed");
        finish(d);
        d = driver_start(LOOP("", "\"iterateOver\":\"input.items\""), "{\"items\":[]}", NULL);
        cr_assert_str_eq(driver_output(d, "l"), "{\"items\":[],\"iterations\":0}");
        finish(d);
}
