/* Tasks for remote workers: what is sent, who gets it, how it ends when nobody answers. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/json_read.h"
#include "worker_world.h"

TestSuite(worker, .fini = check_leaks, .timeout = 60);

/* ---- the task ---------------------------------------------------------------------------------------------- */

Test(worker, a_task_says_all_that_a_worker_needs) {
        static const char *const keys[] = {"attempt",        "config",      "context",
                                           "deadline",       "executionId", "heartbeatTimeoutMs",
                                           "idempotencyKey", "input",       "stepId",
                                           "stepPath",       "taskToken",   "tenantId",
                                           "type",           "version"};
        world_open(0);
        uint32_t instance = world_task("{'lat':1.5}");
        const SentLetter *l = &world.mail.letters[0];
        Slice token = world_token("acme", instance, 1);
        cr_assert_str_eq(l->subject, "p.v1.acme.task.custom:geo%2Ev2");
        cr_assert_str_eq(l->id, token.data, "the stream knows an attempt again by its token");
        cr_assert_str_eq(l->headers,
                         "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n");
        cr_assert(l->needs_stream);
        Value *task = value_new(json_parse_own((Slice){l->payload, l->n_payload}));
        cr_assert_eq(json_object_size(value_json(task)), N_ELEMENTS(keys));
        for (size_t i = 0; i < N_ELEMENTS(keys); i++)
                cr_assert_not_null(harness_at(task, keys[i]), "%s", keys[i]);
        cr_assert_eq(harness_integer(task, "attempt"), 1);
        cr_assert_eq(json_real_value(harness_at(task, "config.lat")), 1.5);
        cr_assert(json_is_null(harness_at(task, "context")));
        cr_assert_str_eq(harness_string(task, "executionId"), "07000000-0000-0000-0000-000000000000");
        cr_assert_eq(harness_integer(task, "heartbeatTimeoutMs"), WORKER_HEARTBEAT_DEFAULT_MS);
        cr_assert_str_eq(harness_string(task, "idempotencyKey"), "key-0");
        cr_assert_eq(harness_integer(task, "input.x"), 1);
        cr_assert_str_eq(harness_string(task, "stepId"), "geo-step");
        cr_assert_str_eq(harness_string(task, "stepPath"), "call");
        cr_assert_str_eq(harness_string(task, "taskToken"), token.data);
        cr_assert_str_eq(harness_string(task, "tenantId"), "acme");
        cr_assert_str_eq(harness_string(task, "type"), "custom:geo.v2");
        cr_assert_str_eq(harness_string(task, "version"), "v1");
        value_unref(task);
        world_close();
}

static long long heartbeat_of(const char *config) {
        world_task(config);
        const SentLetter *l = &world.mail.letters[world.mail.n_letters - 1];
        Value *task = value_new(json_parse_own((Slice){l->payload, l->n_payload}));
        long long ms = harness_integer(task, "heartbeatTimeoutMs");
        value_unref(task);
        return ms;
}

Test(worker, a_step_can_have_a_heartbeat_of_its_own) {
        world_open(7000);
        cr_assert_eq(heartbeat_of("{}"), 7000);
        cr_assert_eq(heartbeat_of("{'heartbeatTimeoutMs':null}"), 7000);
        cr_assert_eq(heartbeat_of("{'heartbeatTimeoutMs':100}"), 100);
        cr_assert_eq(heartbeat_of("{'heartbeatTimeoutMs':0}"), -1, "none is told");
        world_close();
        world_open(-1);
        cr_assert_eq(heartbeat_of("{}"), -1);
        cr_assert_eq(heartbeat_of("{'heartbeatTimeoutMs':500}"), 500);
        world_close();
}

Test(worker, a_heartbeat_that_is_none_is_refused_before_anything_is_sent) {
        static const char *const bad[] = {"{'heartbeatTimeoutMs':99}", "{'heartbeatTimeoutMs':-1}",
                                          "{'heartbeatTimeoutMs':'1000'}", "{'heartbeatTimeoutMs':150.5}",
                                          "{'heartbeatTimeoutMs':316224000001}"};
        world_open(0);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                harness_submit(&world.mail.h, bad[i], NULL);
                world_expect_error(i + 1, "CONFIG_INVALID", "heartbeatTimeoutMs must be");
        }
        cr_assert_eq(world.mail.n_letters, 0);
        world_close();
}

Test(worker, settings_are_checked) {
        static const WorkerSettings bad[] = {{.prefix = "p", .timeout_default_ms = -1},
                                             {.prefix = "p", .timeout_default_ms = LIMIT_DURATION_MS + 1},
                                             {.prefix = "p", .heartbeat_ms = WORKER_HEARTBEAT_MIN_MS - 1},
                                             {.prefix = "p", .heartbeat_ms = LIMIT_DURATION_MS + 1}};
        static const char *const names[] = {"WORKER_TIMEOUT_MS", "WORKER_TIMEOUT_MS", "WORKER_HEARTBEAT_MS",
                                            "WORKER_HEARTBEAT_MS"};
        Mailbox m = {0};
        Executor *executor = NULL;
        mailbox_init(&m);
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                Report report = {0};
                cr_assert_eq(worker_executor_new(&bad[i], &m.host, &m.outlet, &report, &executor), -EINVAL);
                cr_assert_not_null(strstr(report.message, names[i]), "%s", report.message);
                report_deinit(&report);
        }
        mailbox_deinit(&m);
}

/* ---- who gets it ------------------------------------------------------------------------------------------- */

Test(worker, a_task_is_given_to_one) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", false));
        cr_assert_not(world_offer(instance, "w2", false), "somebody has it");
        cr_assert_not(world_offer(instance, "w1", false), "he, too");
        cr_assert_not(world_offer(instance + 1, "w1", false), "there is none such");
        cr_assert_str_eq(world_look(instance).worker, "w1");
        world_close();
}

Test(worker, what_did_not_arrive_is_offered_again) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", true));
        cr_assert_gt(world_look(instance).heard_ns, 0);
        world_decline(instance);
        cr_assert_eq(world_look(instance).heard_ns, 0, "nobody's silence counts");
        cr_assert_str_eq(world_look(instance).worker, "");
        cr_assert(world_offer(instance, "w2", false));
        world_beat(instance); /* it did arrive, whatever the bus thinks */
        world_decline(instance);
        cr_assert_str_eq(world_look(instance).worker, "w1");
        cr_assert_not(world_offer(instance, "w3", false));
        world_close();
}

Test(worker, offers_need_a_token_of_this_engine_and_tenant) {
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        char forged[TASK_TOKEN_SIZE + 1];
        memcpy(forged, world_token("acme", instance, 1).data, sizeof(forged));
        forged[TASK_TOKEN_SIZE - 5] ^= 1;
        const Slice tokens[] = {{forged, TASK_TOKEN_SIZE},
                                world_token("evil", instance, 1),
                                world_token("acme", instance, 2),
                                SLICE("x"),
                                SLICE_NULL};
        for (size_t i = 0; i < N_ELEMENTS(tokens); i++) {
                const WorkerOffer offer = {SLICE("acme"), SLICE("w1"), tokens[i], false};
                cr_assert_not(world.desk.offer(world.desk.userdata, &offer));
                world.desk.decline(world.desk.userdata, SLICE("acme"), tokens[i]);
        }
        const WorkerOffer stolen = {SLICE("evil"), SLICE("w1"), world_token("acme", instance, 1), false};
        cr_assert_not(world.desk.offer(world.desk.userdata, &stolen));
        cr_assert_str_eq(world_look(instance).worker, "");
        cr_assert(world_offer(instance, "w1", false));
        world_close();
}

Test(worker, nothing_is_offered_whose_result_is_on_its_way) {
        world_open(0);
        world.mail.holds = true;
        uint32_t instance = world_stored_task("{}");
        world_complete(instance);
        cr_assert_not(world_offer(instance, "w2", false));
        mailbox_settle(&world.mail, true);
        cr_assert_not(world_offer(instance, "w2", false));
        world_close();
}

Test(worker, long_names_are_cut_between_characters) {
        char name[WORKER_NAME_MAX + 8];
        world_open(0);
        uint32_t instance = world_stored_task("{}");
        memset(name, 'w', sizeof(name));
        memcpy(name + WORKER_NAME_MAX - 1, "\xc3\xa4", 3);
        cr_assert(world_offer(instance, name, false));
        cr_assert_eq(strlen(world_look(instance).worker), WORKER_NAME_MAX - 1);
        world_close();
}

/* ---- time -------------------------------------------------------------------------------------------------- */

Test(worker, the_error_says_how_far_it_came) {
        static const char *const parts[] = {
                        "could not be handed to the workers' queue within 500 ms: NATS is away",
                        "could not be handed to the workers' queue within 500 ms: the NATS server has not",
                        "no worker took the task within 500 ms: none has said that it did. Is one running "
                        "for "
                        "p.v1.acme.task.custom:geo%2Ev2?",
                        "worker \"w1\" has the task and gave no result within the step's 500 ms"};
        world_open(0);
        world.mail.h.timeout_ms = 500;
        world_task("{}");
        mailbox_say(&world.mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("NATS is away")});
        world_task("{}"); /* never confirmed */
        uint32_t waits = world_stored_task("{}"), taken = world_stored_task("{}");
        cr_assert(world_offer(taken, "w1", false));
        cr_assert(harness_wait(&world.mail.h, 4));
        cr_assert_eq(waits, 2);
        for (size_t i = 0; i < 4; i++) {
                const TaskResult *r = &world.mail.h.results[i];
                cr_assert_str_eq(harness_string(r->error, "code"), "TIMEOUT");
                cr_assert(json_is_true(harness_at(r->error, "retryable")));
                cr_assert_not_null(strstr(harness_string(r->error, "message"), parts[r->instance]), "%s",
                                   harness_string(r->error, "message"));
        }
        cr_assert_eq(world.mail.n_retracted, 1, "only what waits in the queue is taken back");
        cr_assert_eq(world.mail.retracted_seq, waits + 100);
        cr_assert_eq(world.mail.retracted_epoch, 3);
        world_close();
}

Test(worker, a_cancelled_task_is_taken_back_from_the_queue) {
        world_open(0);
        uint32_t waits = world_stored_task("{}"), taken = world_stored_task("{}"), sent = world_task("{}");
        cr_assert(world_offer(taken, "w1", false));
        world_cancel(taken);
        cr_assert_eq(world.mail.n_retracted, 0, "the queue has it no more");
        world_cancel(sent);
        cr_assert_eq(world.mail.n_retracted, 0, "where it is, is not known");
        world_cancel(waits);
        cr_assert_eq(world.mail.n_retracted, 1);
        cr_assert_eq(world.mail.retracted_seq, waits + 100);
        cr_assert_eq(world.mail.h.n_results, 0);
        world_close();
}

/* ---- silence ----------------------------------------------------------------------------------------------- */

Test(worker, one_that_promised_heartbeats_is_lost_without_them) {
        world_open(150);
        uint32_t instance = world_stored_task("{}");
        int64_t before_ns = attempt_now_ns();
        cr_assert(world_offer(instance, "w1", true));
        world_expect_error(1, "WORKER_LOST", "worker \"w1\" was not heard of for 150 ms");
        cr_assert_geq(attempt_now_ns() - before_ns, 150 * NS_PER_MS);
        cr_assert_leq(attempt_now_ns() - before_ns, 5000 * NS_PER_MS);
        cr_assert(json_is_true(harness_at(world.mail.h.results[0].error, "retryable")));
        cr_assert_eq(world.mail.h.executor->vtable->n_open(world.mail.h.executor), 0);
        world_close();
}

Test(worker, one_that_promised_nothing_may_be_silent) {
        world_open(100);
        uint32_t instance = world_stored_task("{}"), unknown = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", false));
        usleep(250000);
        cr_assert_eq(world.mail.h.n_results, 0);
        cr_assert_eq(world_look(unknown).heard_ns, 0);
        world_beat(instance); /* from here on its silence counts */
        world_expect_error(1, "WORKER_LOST", "100 ms");
        world_close();
}

Test(worker, a_step_that_asks_for_heartbeats_gets_them_or_is_over) {
        world_open(-1);
        uint32_t instance = world_stored_task("{'heartbeatTimeoutMs':120}");
        usleep(200000);
        cr_assert_eq(world.mail.h.n_results, 0, "nobody has it yet");
        cr_assert(world_offer(instance, "w1", false));
        world_expect_error(1, "WORKER_LOST", "120 ms");
        world_close();
}

Test(worker, a_step_that_wants_none_is_never_lost) {
        world_open(100);
        uint32_t instance = world_stored_task("{'heartbeatTimeoutMs':0}");
        cr_assert(world_offer(instance, "w1", true));
        world_beat(instance);
        usleep(250000);
        cr_assert_eq(world.mail.h.n_results, 0);
        world_close();
}

Test(worker, heartbeats_keep_it) {
        world_open(1000);
        uint32_t instance = world_stored_task("{}");
        cr_assert(world_offer(instance, "w1", true));
        for (int i = 0; i < 12; i++) {
                usleep(110000);
                world_beat(instance);
        }
        cr_assert_eq(world.mail.h.n_results, 0, "1.3 s with a heartbeat each 110 ms");
        world_expect(12, RUNBOOK_OK, false, false, NULL);
        world_expect_error(1, "WORKER_LOST", "1000 ms");
        world_close();
}
