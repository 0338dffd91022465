/* The bus over a real nats-server, with a foreign client: answers, streams, the durable queue, outages. */
#include <criterion/criterion.h>
#include <errno.h>
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "bus_world.h"
#include "subjects/bus_probe.h"

static void clean_up(void) {
        all_down();
        check_leaks();
}

TestSuite(bus, .fini = clean_up, .timeout = 60);

/* ---- requests ---------------------------------------------------------------------- */

Test(bus, commands_and_queries_are_answered) {
        all_up();
        cr_assert_eq(e.n_ready, 1);
        natsMsg *m = request("runbook.v1.acme.cmd.alice.resume." ID, "", "id-1");
        cr_assert_str_eq(natsMsg_GetData(m), "{\"version\":\"v1\",\"status\":\"done\"}");
        cr_assert_str_eq(header(m, "Nats-Service-Error-Code"), "");
        cr_assert_str_eq(e.last_command_id, "id-1");
        natsMsg_Destroy(m);
        m = request("runbook.v1.acme.event.alice.a.b", "{}", NULL);
        natsMsg_Destroy(m);
        cr_assert_eq(e.n_requests, 2);
        m = request("runbook.v1.acme.query.alice.stats", "", NULL);
        cr_assert_not_null(strstr(natsMsg_GetData(m), "\"executions\""));
        natsMsg_Destroy(m);
        cr_assert(subjects_is_connected(e.subjects));
}

Test(bus, errors_carry_the_service_headers) {
        all_up();
        static const struct {
                const char *subject, *body, *status;
        } bad[] = {
                        {"runbook.v1.acme.cmd.alice.start", "{", "400"},
                        {"runbook.v1.acme.cmd.alice", "", "400"},
                        {"runbook.v1.acme.cmd", "", "400"},
                        {"runbook.v1.acme.event.alice", "", "400"},
                        {"runbook.v1.acme.query", "", "400"},
                        {"runbook.v1.acme.query.alice.nothing", "", "400"},
                        {"runbook.v1.acme.query.alice.execution." ID, "", "404"},
                        {"runbook.v1.acme.cmd.alice.resume." ID, "{\"userId\":\"bob\"}", "403"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                natsMsg *m = request(bad[i].subject, bad[i].body, NULL);
                cr_assert_str_eq(header(m, "Nats-Service-Error-Code"), bad[i].status, "%s", bad[i].subject);
                json_t *json = json_parse_own((Slice){natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)});
                cr_assert_str_eq(header(m, "Nats-Service-Error"),
                                 json_string_value(json_object_get(json, "message")));
                json_decref(json);
                natsMsg_Destroy(m);
        }
        cr_assert_eq(e.n_requests, 0);
}

Test(bus, a_line_break_in_a_sentence_breaks_no_header) {
        all_up();
        natsMsg *m = request("runbook.v1.acme.cmd.alice.x%0D%0AEvil:yes", "", NULL);
        cr_assert_str_eq(header(m, "Nats-Service-Error-Code"), "400");
        natsMsg_Destroy(m);
        m = request("runbook.v1.acme.query.alice.executions", "{\"cursor\":\"a\\r\\nEvil: yes\"}", NULL);
        cr_assert_str_eq(header(m, "Evil"), "");
        natsMsg_Destroy(m);
}

Test(bus, many_at_once_get_one_answer_each) {
        natsSubscription *sub = NULL;
        natsMsg *m = NULL;
        int n = 0;
        all_up();
        natsConnection_SubscribeSync(&sub, e.client, "_INBOX.many");
        for (int i = 0; i < 5000; i++)
                natsConnection_PublishRequestString(e.client, "runbook.v1.acme.cmd.alice.resume." ID,
                                                    "_INBOX.many", i % 2 ? "{}" : "{");
        for (; n < 5000 && natsSubscription_NextMsg(&m, sub, 3000) == NATS_OK; n++)
                natsMsg_Destroy(m);
        cr_assert_eq(n, 5000);
        cr_assert_neq(natsSubscription_NextMsg(&m, sub, 100), NATS_OK, "not one too many");
        natsSubscription_Destroy(sub);
        cr_assert_eq(e.n_requests, 2500);
}

/** Large definitions are read beside the others; who waits for an answer gets one, in whatever order. */
Test(bus, large_definitions_hold_up_nobody) {
        all_up();
        size_t n = 900 << 10;
        char *large = malloc(n + 64);
        strcpy(large, "{\"id\":\"x\",\"description\":\"");
        size_t at = strlen(large);
        memset(large + at, 'a', n);
        strcpy(large + at + n, "\"}");
        for (int i = 0; i < 3; i++) {
                natsMsg *reply = request("runbook.v1.acme.cmd.alice.register", large, NULL);
                cr_assert_str_eq(header(reply, "Nats-Service-Error-Code"), "400");
                natsMsg_Destroy(reply);
        }
        free(large);
}

Test(bus, no_answer_goes_into_our_own_output) {
        natsSubscription *sub = NULL;
        natsMsg *m = NULL;
        all_up();
        natsConnection_SubscribeSync(&sub, e.client, "runbook.v1.acme.lifecycle.>");
        natsConnection_PublishRequestString(e.client, "runbook.v1.acme.cmd.alice.start",
                                            "runbook.v1.acme.lifecycle.x.execution.started", "{");
        natsConnection_PublishRequestString(e.client, "runbook.v1.acme.query.alice.stats",
                                            "runbook.v1.acme.lifecycle.x.execution.started", "");
        natsMsg_Destroy(request("runbook.v1.acme.cmd.alice.resume." ID, "", NULL));
        cr_assert_neq(natsSubscription_NextMsg(&m, sub, 200), NATS_OK);
        natsSubscription_Destroy(sub);
}

Test(bus, stopping_answers_what_was_delivered) {
        all_up();
        natsMsg_Destroy(request("runbook.v1.acme.cmd.alice.resume." ID, "", NULL));
        subjects_stop(e.subjects, 2000);
        natsMsg *m = NULL;
        natsStatus s = natsConnection_RequestString(&m, e.client, "runbook.v1.acme.cmd.alice.resume." ID, "",
                                                    1000);
        cr_assert_eq(s, NATS_NO_RESPONDERS, "nobody is subscribed any more");
        natsMsg_Destroy(m);
}

/* ---- streams ----------------------------------------------------------------------- */

Test(bus, streams_are_made_as_needed) {
        all_up();
        static const struct {
                const char *name;
                jsRetentionPolicy retention;
        } streams[] = {{STREAM_AUDIT, js_LimitsPolicy},
                       {STREAM_QUEUE, js_WorkQueuePolicy},
                       {STREAM_TASKS, js_WorkQueuePolicy}};
        for (size_t i = 0; i < 3; i++) {
                jsStreamInfo *info = NULL;
                cr_assert_eq(js_GetStreamInfo(&info, e.js, streams[i].name, NULL, NULL), NATS_OK);
                cr_assert_eq(info->Config->Retention, streams[i].retention);
                cr_assert_eq(info->Config->Storage, js_FileStorage);
                cr_assert_eq(info->Config->Discard, js_DiscardNew);
                cr_assert_eq(info->Config->DenyDelete, i == 0);
                cr_assert_eq(info->Config->DenyPurge, i == 0);
                jsStreamInfo_Destroy(info);
        }
}

Test(bus, a_stream_of_the_operator_is_left_alone) {
        test_server_start(&e.server, NULL);
        client_start();
        const char *subjects[] = {"runbook.v1.*.lifecycle.>", "runbook.v1.*.log.>",
                                  "runbook.v1.checkpoint.*"};
        jsStreamConfig c;
        jsStreamConfig_Init(&c);
        c.Name = STREAM_AUDIT;
        c.Subjects = subjects;
        c.SubjectsLen = 3;
        c.MaxAge = 3600LL * 1000000000;
        c.Discard = js_DiscardOld;
        cr_assert_eq(js_AddStream(NULL, e.js, &c, NULL, NULL), NATS_OK);
        engine_start();
        UNTIL(queue_is_served());
        jsStreamInfo *info = NULL;
        cr_assert_eq(js_GetStreamInfo(&info, e.js, STREAM_AUDIT, NULL, NULL), NATS_OK);
        cr_assert_eq(info->Config->MaxAge, 3600LL * 1000000000);
        cr_assert_eq(info->Config->Discard, js_DiscardOld);
        jsStreamInfo_Destroy(info);
}

/** Publish into the durable queue, with the result wanted at @reply. */
static void enqueue(const char *subject, const char *body, const char *reply, const char *command_id) {
        natsMsg *msg = NULL;
        jsPubAck *ack = NULL;
        natsMsg_Create(&msg, subject, NULL, body, (int)strlen(body));
        if (reply)
                natsMsgHeader_Set(msg, "Runbook-Reply-To", reply);
        if (command_id)
                natsMsgHeader_Set(msg, "Nats-Msg-Id", command_id);
        cr_assert_eq(js_PublishMsg(&ack, e.js, msg, NULL, NULL), NATS_OK, "%s", nats_GetLastError(NULL));
        cr_assert_str_eq(ack->Stream, STREAM_QUEUE);
        jsPubAck_Destroy(ack);
        natsMsg_Destroy(msg);
}

static uint64_t queue_length(void) {
        jsStreamInfo *info = NULL;
        uint64_t n = 0;
        if (js_GetStreamInfo(&info, e.js, STREAM_QUEUE, NULL, NULL) == NATS_OK)
                n = info->State.Msgs;
        jsStreamInfo_Destroy(info);
        return n;
}

Test(bus, queued_commands_are_carried_out_and_gone) {
        natsSubscription *sub = NULL;
        natsMsg *m = NULL;
        all_up();
        natsConnection_SubscribeSync(&sub, e.client, "_INBOX.results");
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", "_INBOX.results", NULL);
        cr_assert_eq(natsSubscription_NextMsg(&m, sub, 5000), NATS_OK);
        cr_assert_not_null(strstr(natsMsg_GetData(m), "done"));
        natsMsg_Destroy(m);
        cr_assert_eq(strncmp(e.last_command_id, "queue/", 6), 0, "%s", e.last_command_id);
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "{", "_INBOX.results", NULL);
        cr_assert_eq(natsSubscription_NextMsg(&m, sub, 5000), NATS_OK);
        cr_assert_str_eq(header(m, "Nats-Service-Error-Code"), "400");
        natsMsg_Destroy(m);
        UNTIL(queue_length() == 0);
        natsSubscription_Destroy(sub);
}

Test(bus, what_was_not_recorded_is_delivered_again) {
        all_up();
        e.n_not_durable = 1;
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, "again");
        UNTIL(e.n_requests == 2);
        cr_assert_str_eq(e.last_command_id, "again");
        UNTIL(queue_length() == 0);
}

static int64_t queue_window(void) {
        jsConsumerInfo *info = NULL;
        int64_t n = -1;
        if (js_GetConsumerInfo(&info, e.js, STREAM_QUEUE, QUEUE_CONSUMER, NULL, NULL) == NATS_OK)
                n = info->Config->MaxAckPending;
        jsConsumerInfo_Destroy(info);
        return n;
}

static void hold_back(RunbookCode refusal) {
        natsSubscription *sub = NULL;
        natsMsg *m = NULL;
        e.settings.queue_ack_pending_max = 16;
        e.is_loud_refused = true;
        e.refusal = refusal;
        all_up();
        natsConnection_SubscribeSync(&sub, e.client, "_INBOX.results");
        for (int i = 0; i < 200; i++)
                enqueue("runbook.v1.loud.queue.alice.resume." ID, "", NULL, NULL);
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", "_INBOX.results", NULL);
        cr_assert_eq(natsSubscription_NextMsg(&m, sub, WAIT_MS), NATS_OK, "it waits behind what is held back");
        natsMsg_Destroy(m);
        cr_assert_geq(queue_window(), 16 + 180);
        cr_assert_eq(queue_length(), 200, "none of it is lost");
        natsSubscription_Destroy(sub);
}

Test(bus, what_a_tenant_has_no_room_for_is_in_nobodys_way) {
        hold_back(RUNBOOK_OVERLOADED);
        e.is_loud_refused = false;
        UNTIL(queue_length() == 0);
}

Test(bus, what_a_full_store_refuses_is_in_nobodys_way) { hold_back(RUNBOOK_STORE_FULL); }

Test(bus, what_was_held_back_and_is_purged_is_forgotten, .timeout = 60) {
        hold_back(RUNBOOK_OVERLOADED);
        cr_assert_eq(js_PurgeStream(e.js, STREAM_QUEUE, NULL, NULL), NATS_OK);
        for (int i = 0; i < 400 && queue_window() != 16; i++)
                test_sleep_ms(100);
        cr_assert_eq(queue_window(), 16, "the window is what it was");
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        UNTIL(queue_length() == 0);
}

Test(bus, a_restart_finds_what_is_held_back_again) {
        hold_back(RUNBOOK_OVERLOADED);
        engine_stop();
        engine_start();
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        UNTIL(queue_length() == 200);
}

Test(bus, queued_while_no_engine_was_up) {
        all_up();
        engine_stop();
        for (int i = 0; i < 20; i++)
                enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        cr_assert_eq(queue_length(), 20);
        engine_start();
        UNTIL(queue_length() == 0);
        cr_assert_eq(e.n_requests, 20);
}

/**
 * As after a server has lost power: the stream has forgotten messages that the consumer remembers. The
 * consumer would skip every new one, until the stream has come so far again.
 */
Test(bus, a_consumer_beyond_the_end_of_its_stream_is_made_anew) {
        char command[256];
        all_up();
        for (int i = 0; i < 10; i++)
                enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        UNTIL(e.n_requests == 10 && queue_length() == 0);
        test_sleep_ms(500); /* the server writes a consumer's position with some delay */
        kill(e.server.pid, SIGKILL);
        snprintf(command, sizeof(command), "rm -rf %s/js/jetstream/\\$G/streams/" STREAM_QUEUE "/msgs/*",
                 e.server.dir);
        cr_assert_eq(system(command), 0);
        test_server_restart(&e.server, 0);
        UNTIL(natsConnection_Status(e.client) == NATS_CONN_STATUS_CONNECTED &&
              subjects_is_connected(e.subjects));
        UNTIL(queue_is_served());
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        UNTIL(e.n_requests == 11);
}

Test(bus, a_consumer_with_other_settings_is_made_ours) {
        all_up();
        engine_stop();
        jsConsumerConfig c;
        jsConsumerConfig_Init(&c);
        c.Durable = QUEUE_CONSUMER;
        c.AckPolicy = js_AckExplicit;
        cr_assert_eq(js_DeleteConsumer(e.js, STREAM_QUEUE, QUEUE_CONSUMER, NULL, NULL), NATS_OK);
        cr_assert_eq(js_AddConsumer(NULL, e.js, STREAM_QUEUE, &c, NULL, NULL), NATS_OK, "%s",
                     nats_GetLastError(NULL));
        enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
        engine_start();
        UNTIL(e.n_requests == 1);
}

/* ---- outages ----------------------------------------------------------------------- */

Test(bus, it_waits_for_a_server_that_is_not_there_yet) {
        test_server_start(&e.server, NULL);
        int port = e.server.port;
        kill(e.server.pid, SIGKILL);
        engine_start();
        test_sleep_ms(300);
        cr_assert_eq(e.n_ready, 0);
        cr_assert_not(subjects_is_connected(e.subjects));
        AuditTail tail;
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        cr_assert_eq(audit->tail(audit->userdata, &tail), -EAGAIN);
        test_server_restart(&e.server, 0);
        cr_assert_eq(e.server.port, port);
        UNTIL(e.n_ready == 1);
        client_start();
        natsMsg_Destroy(request("runbook.v1.acme.cmd.alice.resume." ID, "", NULL));
}

Test(bus, it_comes_back_after_a_restart_of_the_server) {
        all_up();
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        uint64_t epoch = audit->epoch(audit->userdata);
        for (int round = 0; round < 3; round++) {
                test_server_restart(&e.server, 100);
                UNTIL(audit->epoch(audit->userdata) > epoch && subjects_is_connected(e.subjects) &&
                      natsConnection_Status(e.client) == NATS_CONN_STATUS_CONNECTED);
                natsMsg_Destroy(request("runbook.v1.acme.cmd.alice.resume." ID, "", NULL));
                natsMsg_Destroy(request("runbook.v1.acme.query.alice.stats", "", NULL));
                enqueue("runbook.v1.acme.queue.alice.resume." ID, "", NULL, NULL);
                UNTIL(queue_length() == 0);
                epoch = audit->epoch(audit->userdata);
        }
        cr_assert_eq(e.n_requests, 6);
        cr_assert_eq(e.n_ready, 1);
}

Test(bus, a_stop_without_a_server_is_quick) {
        all_up();
        kill(e.server.pid, SIGSTOP); /* there, but silent: worse than gone */
        int64_t before = nats_Now();
        engine_stop();
        kill(e.server.pid, SIGCONT);
        cr_assert_lt(nats_Now() - before, 9000);
}

Test(bus, streams_that_were_deleted_are_made_again) {
        all_up();
        cr_assert_eq(js_DeleteStream(e.js, STREAM_AUDIT, NULL, NULL), NATS_OK);
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        AuditTail tail;
        UNTIL(audit->tail(audit->userdata, &tail) == 0);
        cr_assert(stream_exists(STREAM_AUDIT));
}

Test(bus, without_jetstream_commands_are_served) {
        test_server_start(&e.server,
                          "no_auth_user: plain\naccounts { PLAIN: { users: [{user: plain, password: p}] } }");
        client_start();
        engine_start();
        UNTIL(e.n_ready == 1);
        natsMsg_Destroy(request("runbook.v1.acme.cmd.alice.resume." ID, "", NULL));
        AuditTail tail;
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        cr_assert_eq(audit->tail(audit->userdata, &tail), -EAGAIN);
}

Test(bus, refused_credentials_are_tried_again) {
        test_server_start(&e.server, "authorization { user: engine, password: right }");
        e.settings.user = "engine";
        e.settings.password = "wrong";
        engine_start();
        test_sleep_ms(700);
        cr_assert_not(subjects_is_connected(e.subjects));
        engine_stop();
        e.settings.password = "right";
        engine_start();
        UNTIL(subjects_is_connected(e.subjects));
}

/** The server's configuration, from its next start on. */
static void reconfigure(const char *config) {
        char path[128];
        snprintf(path, sizeof(path), "%s/nats.conf", e.server.dir);
        FILE *f = fopen(path, "we");
        cr_assert_not_null(f);
        fprintf(f, "listen: 127.0.0.1:%d\njetstream { store_dir: \"%s/js\" }\n%s\n", e.server.port,
                e.server.dir, config);
        fclose(f);
}

/** nats.c closes a connection for good when its credentials are refused twice. We don't give up. */
Test(bus, credentials_refused_for_a_while) {
        static const char right[] = "authorization { user: engine, password: right }";
        test_server_start(&e.server, right);
        e.settings.user = "engine";
        e.settings.password = "right";
        engine_start();
        UNTIL(subjects_is_connected(e.subjects));
        reconfigure("authorization { user: engine, password: changed }");
        test_server_restart(&e.server, 0);
        test_sleep_ms(1500);
        cr_assert_not(subjects_is_connected(e.subjects));
        reconfigure(right);
        test_server_restart(&e.server, 0);
        UNTIL(subjects_is_connected(e.subjects));
        cr_assert_eq(e.n_ready, 1);
}

/* ---- what needs no connection ------------------------------------------------------ */

Test(bus, an_open_server_is_noticed) {
        test_server_start(&e.server, NULL);
        cr_assert_eq(probe_auth_required(e.server.url), 0);
        test_server_stop(&e.server);
        test_server_start(&e.server, "authorization { user: a, password: b }");
        cr_assert_eq(probe_auth_required(e.server.url), 1);
        test_server_stop(&e.server);
        cr_assert_lt(probe_auth_required(e.server.url), 0);
        cr_assert_lt(probe_auth_required("nonsense"), 0);
}

Test(bus, wrong_settings_are_refused_with_a_sentence) {
        static const char *const ours[] = {"runbook", NULL}, *const system[] = {"$JS.", NULL};
        const struct {
                SubjectsSettings settings;
                const char *word;
        } bad[] = {
                        {{.url = "http://x:1", .prefix = "runbook.v1"}, "NATS_URL"},
                        {{.url = "", .prefix = "runbook.v1"}, "NATS_URL"},
                        {{.url = "nats://x:1", .prefix = "runbook..v1"}, "prefix"},
                        {{.url = "nats://x:1", .prefix = "runbook.*"}, "prefix"},
                        {{.url = "nats://x:1", .prefix = ""}, "prefix"},
                        {{.url = "nats://x:1", .prefix = "runbook.v1", .creds = "/nowhere/at.all"},
                         "NATS_CREDS"},
                        {{.url = "nats://x:1", .prefix = "runbook.v1", .tls_ca = "/nowhere/at.all"},
                         "NATS_CA"},
                        {{.url = "nats://x:1", .prefix = "runbook.v1", .reply_prefixes = ours},
                         "reply prefix"},
                        {{.url = "nats://x:1", .prefix = "runbook.v1", .reply_prefixes = system},
                         "reply prefix"},
        };
        SubjectsHost host = {.clock = {now_ms, NULL}, .ids = {random_words, NULL}};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Report report = {0};
                Subjects *s = NULL;
                SubjectsSettings settings = bad[i].settings;
                settings.engine_id = settings.version = "1";
                cr_assert_eq(subjects_new(&settings, &host, &report, &s), -EINVAL, "%zu", i);
                cr_assert_not_null(strstr(report.message, bad[i].word), "%s", report.message);
                report_deinit(&report);
        }
}
