/* Live events and the durable queue, against a real NATS server. */

#include <criterion/criterion.h>
#include <nats/nats.h>
#include <pthread.h>
#include <runbook/client.h>
#include <stdio.h>
#include <string.h>
#include "../leaks.h"
#include "fake_engine.h"
#include "test_server.h"

static TestServer server;
static FakeEngine *engine;
static RunbookClient *client;
static RunbookClientError error;

static const char definition[] = "{\"id\":\"incident\",\"version\":\"1.0.0\",\"steps\":[{\"id\":\"call\","
                                 "\"type\":\"call-service\",\"config\":{}}]}";
static const char id[] = "0190aaaa-0000-7000-8000-000000000077";

static void setup(void) {
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookReply *reply = NULL;

        test_server_start(&server, NULL);
        engine = fake_engine_start(server.url);
        o.servers = server.url;
        o.user = "alice";
        cr_assert_eq(runbook_client_connect(&o, &client, &error), 0, "%s", error.message);
        cr_assert_eq(runbook_client_register(client, definition, strlen(definition), NULL, &reply, &error),
                     0);
        runbook_reply_free(reply);
}

static void teardown(void) {
        runbook_client_close(client);
        fake_engine_stop(engine);
        test_server_stop(&server);
        check_leaks();
}

TestSuite(live, .init = setup, .fini = teardown, .timeout = 60);

static void start(const char *execution_id) {
        RunbookStart s = {.runbook_id = "incident", .execution_id = execution_id};
        RunbookReply *reply = NULL;

        cr_assert_eq(runbook_client_start(client, &s, NULL, &reply, &error), 0, "%s", error.message);
        runbook_reply_free(reply);
}

Test(live, events_of_one_execution_in_order) {
        static const char *const want[] = {"execution.started", "step.started", "step.completed",
                                           "execution.completed"};
        RunbookSubscription *s = NULL;
        RunbookEvent *event = NULL;

        cr_assert_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_LIFECYCLE, id, NULL, NULL, &s, &error), 0,
                     "%s", error.message);
        cr_expect_eq(runbook_subscription_next(s, 0, &event), RUNBOOK_CLIENT_E_TIMEOUT);
        start("0190aaaa-0000-7000-8000-000000000078"); /* another one: not for us */
        start(id);
        for (size_t i = 0; i < 4; i++) {
                cr_assert_eq(runbook_subscription_next(s, 2000, &event), 0);
                cr_expect_eq(event->kind, RUNBOOK_EVENT_LIFECYCLE);
                cr_expect_str_eq(event->type, want[i]);
                cr_expect_str_eq(event->execution_id, id);
                cr_expect_eq(strlen(event->body), event->body_size);
                cr_expect_not_null(strstr(event->body, "prevhash"));
                runbook_event_free(event);
        }
        cr_expect_eq(runbook_subscription_next(s, 50, &event), RUNBOOK_CLIENT_E_TIMEOUT);
        runbook_subscription_free(s);
}

static void count(void *userdata, const RunbookEvent *event) {
        int *n = userdata;

        n[event->kind]++;
}

Test(live, handler_gets_the_whole_tenant) {
        RunbookSubscription *s = NULL;
        int n[8] = {0};

        cr_assert_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_LIFECYCLE | RUNBOOK_EVENT_LOG, NULL,
                                              count, n, &s, &error),
                     0);
        for (int i = 0; i < 10; i++)
                start(NULL);
        for (int i = 0; i < 100 && __atomic_load_n(&n[RUNBOOK_EVENT_LIFECYCLE], __ATOMIC_ACQUIRE) < 40; i++)
                test_sleep_ms(20);
        test_sleep_ms(50);
        runbook_subscription_free(s);
        cr_expect_eq(n[RUNBOOK_EVENT_LIFECYCLE], 40);
        cr_expect_eq(n[RUNBOOK_EVENT_LOG], 10);
        cr_expect_eq(n[RUNBOOK_EVENT_GAP], 0);
}

/** Checkpoints have no tenant: a tenant of that name makes none. */
Test(live, checkpoints_of_all_engines) {
        static const char *const subjects[] = {"runbook.v1.checkpoint.lifecycle.x.y",
                                               "runbook.v1.acme.lifecycle.x.y", "runbook.v1.checkpoint.e-1",
                                               "runbook.v1.checkpoint.e-2"};
        RunbookSubscription *s = NULL;
        RunbookEvent *event = NULL;
        natsConnection *nc = NULL;

        cr_assert_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_CHECKPOINT, NULL, NULL, NULL, &s, &error),
                     0, "%s", error.message);
        cr_assert_eq(natsConnection_ConnectTo(&nc, server.url), NATS_OK);
        for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
                natsConnection_PublishString(nc, subjects[i], "{}");
        natsConnection_Flush(nc);
        for (int i = 1; i <= 2; i++) {
                cr_assert_eq(runbook_subscription_next(s, 2000, &event), 0);
                cr_expect_eq(event->kind, RUNBOOK_EVENT_CHECKPOINT);
                cr_expect_str_eq(event->execution_id, i == 1 ? "e-1" : "e-2");
                cr_expect_str_eq(event->type, "");
                cr_expect_str_eq(event->body, "{}");
                runbook_event_free(event);
        }
        cr_expect_eq(runbook_subscription_next(s, 50, &event), RUNBOOK_CLIENT_E_TIMEOUT);
        runbook_subscription_free(s);
        natsConnection_Destroy(nc);
}

Test(live, reconnect_is_told_as_a_gap) {
        RunbookSubscription *s = NULL;
        RunbookEvent *event = NULL;

        cr_assert_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_LIFECYCLE, id, NULL, NULL, &s, &error),
                     0);
        test_server_restart(&server, 200);
        cr_assert_eq(runbook_subscription_next(s, 8000, &event), 0);
        cr_expect_eq(event->kind, RUNBOOK_EVENT_GAP);
        cr_expect_eq(event->body_size, 0);
        runbook_event_free(event);
        runbook_subscription_free(s);
}

Test(live, queue_overflow_is_told_as_a_gap) {
        RunbookSubscription *s = NULL;
        RunbookEvent *event = NULL;
        natsConnection *nc = NULL;
        char subject[128];
        int n = 0;

        cr_assert_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_LOG, id, NULL, NULL, &s, &error), 0);
        cr_assert_eq(natsConnection_ConnectTo(&nc, server.url), NATS_OK);
        snprintf(subject, sizeof subject, "runbook.v1.default.log.%s.info", id);
        for (int i = 0; i < 9000; i++)
                natsConnection_PublishString(nc, subject, "{}");
        natsConnection_Flush(nc);
        test_sleep_ms(300);
        while (runbook_subscription_next(s, 300, &event) == 0 && event->kind == RUNBOOK_EVENT_LOG) {
                n++;
                runbook_event_free(event);
        }
        cr_expect_eq(n, 8192);
        cr_expect_eq(event->kind, RUNBOOK_EVENT_GAP);
        runbook_event_free(event);
        cr_expect_eq(runbook_subscription_next(s, 50, &event), RUNBOOK_CLIENT_E_TIMEOUT,
                     "one gap, not eight hundred");
        runbook_subscription_free(s);
        natsConnection_Destroy(nc);
}

Test(live, nothing_to_subscribe_to) {
        RunbookSubscription *s = NULL;

        cr_expect_eq(runbook_client_subscribe(client, 0, NULL, NULL, NULL, &s, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_subscribe(client, RUNBOOK_EVENT_LOG, "", NULL, NULL, &s, &error),
                     RUNBOOK_CLIENT_E_INVALID);
}

/* ── The durable queue ─────────────────────────────────────────────────────────────────────────── */

static void make_stream(void) {
        static const char *subjects[] = {"runbook.v1.*.queue.>"};
        natsConnection *nc = NULL;
        jsCtx *js = NULL;
        jsStreamConfig config;
        jsStreamInfo *info = NULL;

        cr_assert_eq(natsConnection_ConnectTo(&nc, server.url), NATS_OK);
        cr_assert_eq(natsConnection_JetStream(&js, nc, NULL), NATS_OK);
        jsStreamConfig_Init(&config);
        config.Name = "RUNBOOK_QUEUE";
        config.Subjects = subjects;
        config.SubjectsLen = 1;
        cr_assert_eq(js_AddStream(&info, js, &config, NULL, NULL), NATS_OK);
        jsStreamInfo_Destroy(info);
        jsCtx_Destroy(js);
        natsConnection_Destroy(nc);
}

Test(live, queue_acknowledges_then_answers) {
        RunbookCall call = {.command_id = "queued-1"};
        RunbookReply *reply = NULL;
        static const char body[] = "{\"runbookId\":\"incident\",\"context\":{}}";

        make_stream();
        cr_assert_eq(runbook_client_enqueue(client, "start", body, strlen(body), 0, &call, &reply, &error), 0,
                     "%s", error.message);
        cr_expect_not_null(strstr(reply->body, "\"stream\":\"RUNBOOK_QUEUE\""), "%s", reply->body);
        runbook_reply_free(reply);
        /* The same id again: the stream knows it. */
        cr_assert_eq(runbook_client_enqueue(client, "start", body, strlen(body), 0, &call, &reply, &error),
                     0);
        cr_expect_not_null(strstr(reply->body, "\"duplicate\""), "%s", reply->body);
        runbook_reply_free(reply);
        cr_assert_eq(runbook_client_enqueue(client, "start", body, strlen(body), 2000, NULL, &reply, &error),
                     0, "%s", error.message);
        cr_expect_not_null(strstr(reply->body, "\"executionId\""), "%s", reply->body);
        runbook_reply_free(reply);
}

Test(live, queued_while_no_engine_is_up) {
        RunbookReply *reply = NULL;

        make_stream();
        fake_engine_stop(engine);
        engine = NULL;
        cr_assert_eq(runbook_client_enqueue(client, "start", "{}", 2, 0, NULL, &reply, &error), 0, "%s",
                     error.message);
        cr_expect_eq(strlen(reply->command_id), 36);
        runbook_reply_free(reply);
        cr_expect_eq(runbook_client_enqueue(client, "start", "{}", 2, 200, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_TIMEOUT);
        cr_expect_not_null(strstr(error.message, "queued as"), "%s", error.message);
}
