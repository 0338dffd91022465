/* What workers say: results that are early, late, twice or forged; heartbeats, progress, and what is made of them. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../leaks.h"
#include "worker_world.h"

TestSuite(worker_report, .fini = check_leaks, .timeout = 60);

static const TaskResult *result(size_t i) {
        cr_assert(harness_wait(&world.mail.h, i + 1));
        return &world.mail.h.results[i];
}

static uint64_t n_open(void) { return world.mail.h.executor->vtable->n_open(world.mail.h.executor); }

/* ---- results ----------------------------------------------------------------------------------------------- */

Test(worker_report, a_result_is_answered_once_it_is_stored) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", false));
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_COMPLETED},
                  "{'n':5}", NULL, "[{'message':'x'}]");
        const TaskResult *r = result(0);
        cr_assert(r->ok);
        cr_assert_eq(harness_integer(r->output, "n"), 5);
        cr_assert_str_eq(harness_string(r->logs, "0.message"), "x");
        cr_assert_eq(r->instance, instance);
        cr_assert_eq(world.told.n, 0, "not before it is stored");
        cr_assert_eq(n_open(), 1);
        mailbox_settle(&world.mail, true);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(world.mail.n_retracted, 0);
        world_close();
}

Test(worker_report, a_failure_is_a_result) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_FAILED}, NULL,
                  "{'code':'BROKEN','message':'m','retryable':true}", NULL);
        cr_assert(!result(0)->ok);
        cr_assert_str_eq(harness_string(result(0)->error, "code"), "BROKEN");
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        world_close();
}

Test(worker_report, a_repeated_result_is_ignored) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        world_complete(instance);
        world_expect(2, RUNBOOK_OK, true, false, "has its result already");
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_FAILED}, NULL,
                  "{'code':'X','message':'m','retryable':false}", NULL);
        world_expect(3, RUNBOOK_OK, true, false, "has its result already");
        world_beat(instance);
        world_expect(4, RUNBOOK_OK, true, false, "has its result already");
        cr_assert_eq(world.mail.h.n_results, 1);
        world_close();
}

Test(worker_report, a_result_beside_another_that_is_on_its_way_must_come_again) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        world_complete(instance);
        world_expect(1, RUNBOOK_OVERLOADED, false, false, "is being recorded");
        cr_assert_eq(world.mail.h.n_results, 1);
        mailbox_settle(&world.mail, true);
        world_expect(2, RUNBOOK_OK, false, false, NULL);
        world_close();
}

Test(worker_report, a_result_that_was_not_stored_is_not_accepted) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        mailbox_settle(&world.mail, false);
        world_expect(1, RUNBOOK_UNAVAILABLE, false, false, "send it again");
        cr_assert_eq(n_open(), 0);
        world_close();
}

Test(worker_report, cancelled_while_its_result_was_on_the_way) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        world_cancel(instance);
        mailbox_settle(&world.mail, false);
        world_expect(1, RUNBOOK_OK, true, true, "was cancelled");
        cr_assert_eq(n_open(), 0);
        world_close();
}

Test(worker_report, while_a_result_is_on_its_way_no_clock_runs) {
        world_open(400);
        world.mail.holds = true;
        world.mail.h.timeout_ms = 500;
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", true));
        world_complete(instance);
        usleep(700000);
        cr_assert_eq(world.mail.h.n_results, 1, "neither lost nor out of time");
        world_beat(instance);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        mailbox_settle(&world.mail, true);
        world_expect(2, RUNBOOK_OK, false, false, NULL);
        world_close();
}

/* ---- results of tasks that are being sent ------------------------------------------------------------------ */

/** After a restart a task is sent out again, while the worker that has it may answer at any moment. */
Test(worker_report, what_was_sent_again_is_taken_back_when_its_result_comes) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        cr_assert_eq(world.mail.n_retracted, 1);
        cr_assert_eq(world.mail.retracted_seq, instance + 100);
        mailbox_settle(&world.mail, true);
        world_close();
}

Test(worker_report, the_result_comes_before_the_streams_word) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_task("{}");
        world_complete(instance);
        cr_assert_eq(world.mail.n_retracted, 0);
        mailbox_confirm(&world.mail, 0, 55);
        cr_assert_eq(world.mail.n_retracted, 1, "nobody needs it any more");
        cr_assert_eq(world.mail.retracted_seq, 55);
        mailbox_settle(&world.mail, true);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        world_close();
}

Test(worker_report, a_task_whose_result_is_there_is_not_sent_again) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_task("{}");
        world_complete(instance);
        mailbox_say(&world.mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        usleep(120000);
        cr_assert_eq(world.mail.n_letters, 1);
        mailbox_settle(&world.mail, true);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        world_close();
}

Test(worker_report, a_task_that_pauses_is_not_sent_again_either) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_task("{}");
        mailbox_say(&world.mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        world_complete(instance);
        size_t n_letters = world.mail.n_letters;
        usleep(120000);
        cr_assert_eq(world.mail.n_letters, n_letters);
        mailbox_settle(&world.mail, true);
        world_close();
}

Test(worker_report, a_result_that_comes_while_the_task_is_written_is_enough) {
        world_open(0);
        world.mail.holds = world.blocks = true;
        uint32_t instance = harness_submit(&world.mail.h, "{}", NULL);
        sem_wait(&world.writing);
        world_complete(instance);
        sem_post(&world.go_on);
        usleep(80000);
        cr_assert_eq(world.mail.n_letters, 0, "no worker needs to see it");
        mailbox_settle(&world.mail, true);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        cr_assert_eq(n_open(), 0);
        world_close();
}

Test(worker_report, one_result_even_if_the_task_turns_out_to_be_too_large) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_task("{}");
        world_complete(instance);
        mailbox_say(&world.mail, 0, &(OutReceipt){.error = -EMSGSIZE});
        usleep(20000);
        cr_assert_eq(world.mail.h.n_results, 1, "the worker's");
        mailbox_settle(&world.mail, true);
        world_expect(1, RUNBOOK_OK, false, false, NULL);
        world_close();
}

/* ---- late -------------------------------------------------------------------------------------------------- */

Test(worker_report, who_comes_late_hears_why) {
        world_open(100);
        world.mail.h.timeout_ms = 120;
        uint32_t timed_out = world_stored_task("{'heartbeatTimeoutMs':0}");
        world.mail.h.timeout_ms = 60000;
        uint32_t cancelled = world_stored_task("{}"), lost = world_stored_task("{}");
        world_cancel(cancelled);
        cr_assert(world_offer(lost, "w1", true));
        cr_assert(harness_wait(&world.mail.h, 2));
        world_complete(timed_out);
        world_expect(1, RUNBOOK_OK, true, false, "time was up");
        world_beat(cancelled);
        world_expect(2, RUNBOOK_OK, true, true, "was cancelled");
        world_complete(lost);
        world_expect(3, RUNBOOK_OK, true, false, "not heard of for too long");
        world_beat(99);
        world_expect(4, RUNBOOK_OK, true, false, "nobody waits for this attempt any more");
        cr_assert_eq(world.mail.h.n_results, 2);
        world_close();
}

Test(worker_report, a_task_that_never_went_out_has_ended_too) {
        world_open(0);
        uint32_t instance = world_task("{}");
        mailbox_say(&world.mail, 0, &(OutReceipt){.error = -EMSGSIZE});
        world_expect_error(1, "MESSAGE_TOO_LARGE", "max_payload");
        world_complete(instance);
        world_expect(1, RUNBOOK_OK, true, false, "nobody waits");
        world_close();
}

Test(worker_report, only_so_many_ends_are_remembered) {
        world_open(0);
        world.mail.is_counting_only = true;
        for (uint32_t i = 0; i <= WORKER_ENDED_KEPT; i++)
                world_cancel(harness_submit(&world.mail.h, "{}", NULL));
        cr_assert_eq(world.w->ended_by_key.n, WORKER_ENDED_KEPT);
        world_beat(0);
        world_expect(1, RUNBOOK_OK, true, false, "nobody waits");
        world_beat(1);
        world_expect(2, RUNBOOK_OK, true, true, "was cancelled");
        world_beat(WORKER_ENDED_KEPT);
        world_expect(3, RUNBOOK_OK, true, true, "was cancelled");
        world_close();
}

/* ---- forged ------------------------------------------------------------------------------------------------ */

Test(worker_report, made_up_tokens_are_refused) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        char forged[TASK_TOKEN_SIZE + 1];
        for (size_t i = 0; i < TASK_TOKEN_SIZE; i++) {
                memcpy(forged, world_token("acme", instance, 1).data, sizeof(forged));
                forged[i] = forged[i] == 'A' ? 'B' : 'A';
                world_say(&(WorkerReport){.token = {forged, TASK_TOKEN_SIZE}, .word = WORKER_COMPLETED}, "1",
                          NULL, "[]");
                world_expect(i + 1, RUNBOOK_FORBIDDEN, false, false, "no task token");
        }
        world_say(&(WorkerReport){.token = SLICE("short"), .word = WORKER_HEARTBEAT}, NULL, NULL, "[]");
        world_expect(TASK_TOKEN_SIZE + 1, RUNBOOK_FORBIDDEN, false, false, "no task token");
        cr_assert_eq(world.mail.h.n_results, 0);
        cr_assert_eq(world.mail.n_progress, 0);
        cr_assert_eq(n_open(), 1);
        world_close();
}

Test(worker_report, a_tenants_token_is_worth_nothing_to_another) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_say(&(WorkerReport){.tenant = SLICE("evil"),
                                  .token = world_token("acme", instance, 1),
                                  .word = WORKER_COMPLETED},
                  "1", NULL, NULL);
        world_expect(1, RUNBOOK_FORBIDDEN, false, false, "this tenant");
        world_say(&(WorkerReport){.token = world_token("evil", instance, 1), .word = WORKER_COMPLETED}, "1",
                  NULL, NULL);
        world_expect(2, RUNBOOK_FORBIDDEN, false, false, "this tenant");
        cr_assert_eq(world.mail.h.n_results, 0);
        world_close();
}

Test(worker_report, the_token_of_another_attempt_ends_nothing) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_say(&(WorkerReport){.token = world_token("acme", instance, 2), .word = WORKER_COMPLETED}, "1",
                  NULL, NULL);
        world_expect(1, RUNBOOK_OK, true, false, "nobody waits");
        cr_assert_eq(world.mail.h.n_results, 0);
        cr_assert_eq(n_open(), 1);
        world_close();
}

/* ---- progress ---------------------------------------------------------------------------------------------- */

Test(worker_report, a_bare_heartbeat_is_not_stored) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        for (int i = 0; i < 5; i++)
                world_beat(instance);
        world_expect(5, RUNBOOK_OK, false, false, NULL);
        cr_assert_eq(world.mail.n_progress, 0);
        world_close();
}

Test(worker_report, progress_is_stored_at_once_then_once_a_second) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_progress(instance, 0.1);
        cr_assert_eq(world.mail.n_progress, 1);
        cr_assert(world.mail.progress[0].has_number);
        cr_assert_eq(world.mail.progress[0].number, 0.1);
        cr_assert_eq(world.mail.progress[0].instance, instance);
        int64_t before_ns = attempt_now_ns();
        world_progress(instance, 0.2);
        world_progress(instance, 0.3);
        world_expect(3, RUNBOOK_OK, false, false, NULL);
        cr_assert_eq(world.mail.n_progress, 1, "too soon");
        for (int i = 0; i < 300 && world.mail.n_progress < 2; i++)
                usleep(10000);
        cr_assert_eq(world.mail.n_progress, 2, "nothing more has to come for it");
        cr_assert_eq(world.mail.progress[1].number, 0.3);
        cr_assert_geq(attempt_now_ns() - before_ns, (WORKER_PROGRESS_MS - 50) * NS_PER_MS);
        world_progress(instance, 0.3);
        usleep(20000);
        cr_assert_eq(world.mail.n_progress, 2, "it says nothing new");
        cr_assert_eq(world.told.n, 4, "only what was asked is answered");
        world_close();
}

Test(worker_report, logs_are_stored_at_once_and_bring_the_progress_that_waits) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        world_progress(instance, 0.1);
        world_progress(instance, 0.2);
        world.mail.holds = true;
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_HEARTBEAT}, NULL,
                  NULL, "[{'message':'half'}]");
        cr_assert_eq(world.told.n, 2, "answered when it is stored");
        cr_assert_eq(world.mail.n_progress, 2);
        cr_assert_eq(world.mail.progress[1].number, 0.2);
        cr_assert_str_eq(harness_string(world.mail.progress[1].logs, "0.message"), "half");
        mailbox_settle(&world.mail, true);
        world_expect(3, RUNBOOK_OK, false, false, NULL);
        world_close();
}

static void say_log(uint32_t instance) {
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_HEARTBEAT}, NULL,
                  NULL, "[{'message':'m'}]");
}

Test(worker_report, only_so_much_of_an_attempt_is_on_its_way) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        for (int i = 0; i < WORKER_UNSETTLED_MAX; i++)
                say_log(instance);
        cr_assert_eq(world.told.n, 0);
        say_log(instance);
        world_expect(1, RUNBOOK_OVERLOADED, false, false, "send it again later");
        world_beat(instance);
        world_expect(2, RUNBOOK_OK, false, false, NULL);
        world_progress(instance, 0.5); /* kept for later */
        world_expect(3, RUNBOOK_OK, false, false, NULL);
        cr_assert_eq(world.mail.n_progress, WORKER_UNSETTLED_MAX);
        mailbox_settle(&world.mail, true);
        world_expect(4, RUNBOOK_OK, false, false, NULL);
        say_log(instance);
        cr_assert_eq(world.mail.n_progress, WORKER_UNSETTLED_MAX + 1);
        cr_assert(world.mail.progress[WORKER_UNSETTLED_MAX].has_number);
        cr_assert_eq(world.mail.progress[WORKER_UNSETTLED_MAX].number, 0.5);
        cr_assert_not(world.mail.progress[0].has_number);
        for (int i = 0; i < WORKER_UNSETTLED_MAX; i++)
                mailbox_settle(&world.mail, i % 2);
        cr_assert_eq(world.told.n, 4 + WORKER_UNSETTLED_MAX);
        cr_assert_eq(world_look(instance).n_unsettled, 0);
        world_close();
}

Test(worker_report, what_could_not_be_stored_must_come_again) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        say_log(instance);
        mailbox_settle(&world.mail, false);
        world_expect(1, RUNBOOK_UNAVAILABLE, false, false, "send it again");
        cr_assert_eq(n_open(), 1);
        say_log(instance);
        world_cancel(instance);
        mailbox_settle(&world.mail, false);
        world_expect(2, RUNBOOK_OK, true, true, "was cancelled");
        world_close();
}

Test(worker_report, nothing_is_stored_behind_a_result) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        say_log(instance);
        world_expect(1, RUNBOOK_OVERLOADED, false, false, "send it again later");
        world_progress(instance, 0.5);
        world_expect(2, RUNBOOK_OK, false, false, NULL);
        usleep(50000);
        cr_assert_eq(world.mail.n_progress, 0);
        mailbox_settle(&world.mail, true);
        say_log(instance);
        world_expect(4, RUNBOOK_OK, true, false, "has its result already");
        world_close();
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

Test(worker_report, stop_leaves_nothing_behind) {
        world_open(100);
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", true));
        world_progress(instance, 0.1);
        world_progress(instance, 0.2);
        world_task("{}");
        cr_assert_eq(n_open(), 2);
        world_close();
        cr_assert_eq(world.mail.h.n_results, 0);
}
