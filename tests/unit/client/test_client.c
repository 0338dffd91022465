/* The client against a real NATS server: requests, retries, refusals, and every way in which there is no
 * answer. */

#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <runbook/client.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "../leaks.h"
#include "fake_engine.h"
#include "test_server.h"

static TestServer server;
static FakeEngine *engine;
static RunbookClient *client;
static RunbookClientError error;

static const char definition[] =
                "{\"id\":\"incident\",\"version\":\"1.0.0\",\"name\":\"Incident\",\"steps\":["
                "{\"id\":\"call\",\"type\":\"call-service\",\"config\":{}},"
                "{\"id\":\"ok\",\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":[\"alice\","
                "\"bob\"],\"minApprovals\":1,"
                "\"prompt\":\"sure?\"}}]}";

static RunbookClient *connect_as(const char *user) {
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookClient *c = NULL;

        o.servers = server.url;
        o.tenant = "acme";
        o.user = user;
        cr_assert_eq(runbook_client_connect(&o, &c, &error), 0, "%s", error.message);
        return c;
}

static void setup(void) {
        test_server_start(&server, NULL);
        engine = fake_engine_start(server.url);
        client = connect_as("alice");
}

static void teardown(void) {
        runbook_client_close(client);
        fake_engine_stop(engine);
        test_server_stop(&server);
        check_leaks();
}

TestSuite(client, .init = setup, .fini = teardown, .timeout = 60);

/** Start the example; its execution id into @id. */
static void start_example(char id[RUNBOOK_CLIENT_ID_SIZE]) {
        RunbookStart start = {.runbook_id = "incident", .input = "{\"host\":\"h1\"}"};
        RunbookReply *reply = NULL;
        json_t *json;

        cr_assert_eq(runbook_client_register(client, definition, strlen(definition), NULL, &reply, &error), 0,
                     "%s", error.message);
        cr_assert_not(reply->is_error, "%s", reply->body);
        runbook_reply_free(reply);
        cr_assert_eq(runbook_client_start(client, &start, NULL, &reply, &error), 0, "%s", error.message);
        cr_assert_not(reply->is_error, "%s", reply->body);
        json = json_loads(reply->body, 0, NULL);
        snprintf(id, RUNBOOK_CLIENT_ID_SIZE, "%s", json_string_value(json_object_get(json, "executionId")));
        json_decref(json);
        runbook_reply_free(reply);
}

Test(client, start_approve_and_read) {
        char id[RUNBOOK_CLIENT_ID_SIZE], subject[512], body[4096], want[512];
        RunbookReply *reply = NULL;
        json_t *json;

        start_example(id);
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        cr_expect_str_eq(subject, "runbook.v1.acme.cmd.alice.start");
        json = json_loads(body, 0, NULL);
        cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "context"), "tenantId")),
                         "acme");
        cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "context"), "initiatedBy")),
                         "alice");
        cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "input"), "host")), "h1");
        json_decref(json);

        cr_assert_eq(runbook_client_approve(client, id, "ok", "fine", NULL, NULL, &reply, &error), 0, "%s",
                     error.message);
        cr_expect_not(reply->is_error);
        cr_expect_eq(reply->attempts, 1);
        cr_expect_eq(strlen(reply->command_id), 36);
        runbook_reply_free(reply);
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        snprintf(want, sizeof want, "runbook.v1.acme.cmd.alice.approve.%s.ok", id);
        cr_expect_str_eq(subject, want);

        cr_assert_eq(runbook_client_execution(client, id, NULL, NULL, &reply, &error), 0);
        cr_expect_not_null(strstr(reply->body, "\"status\":\"completed\""));
        cr_expect_str_eq(reply->command_id, "", "queries carry no command id");
        runbook_reply_free(reply);
}

Test(client, history_verifies) {
        char id[RUNBOOK_CLIENT_ID_SIZE];
        RunbookReply *reply = NULL;
        RunbookEventChain *chain = runbook_event_chain_new();
        json_t *json, *event;
        size_t i;

        start_example(id);
        cr_assert_eq(runbook_client_history(client, id, &(RunbookQuery){.limit = 1000}, NULL, &reply, &error),
                     0);
        json = json_loads(reply->body, 0, NULL);
        json_array_foreach(json_object_get(json, "events"), i, event) {
                char *text = json_dumps(event, 0);

                cr_expect_eq(runbook_event_chain_add(chain, text, strlen(text), &error), 0, "%s",
                             error.message);
                free(text);
        }
        cr_expect_eq(runbook_event_chain_events(chain), 4);
        runbook_event_chain_free(chain);
        json_decref(json);
        runbook_reply_free(reply);
}

Test(client, refusal) {
        RunbookReply *reply = NULL;

        cr_assert_eq(runbook_client_execution(client, "0190aaaa-0000-7000-8000-00000000dead", NULL, NULL,
                                              &reply, &error),
                     0);
        cr_expect(reply->is_error);
        cr_expect_eq(reply->code, RUNBOOK_EXECUTION_NOT_FOUND);
        cr_expect_eq(reply->status, 404);
        cr_expect_str_eq(reply->message, "there is no such execution");
        runbook_reply_free(reply);
        /* A refusal whose headers got lost on the way is one all the same. */
        fake_engine_answer_next(engine,
                                "{\"version\":\"v1\",\"error\":\"OVERLOADED\",\"message\":\"later\"}");
        cr_assert_eq(runbook_client_stats(client, NULL, &reply, &error), 0);
        cr_expect(reply->is_error);
        cr_expect_eq(reply->code, RUNBOOK_OVERLOADED);
        cr_expect_eq(reply->status, 429);
        runbook_reply_free(reply);
        /* And a field of that name inside a good answer is none. */
        fake_engine_answer_next(engine, "{\"version\":\"v1\",\"execution\":{\"error\":\"x\"}}");
        cr_assert_eq(runbook_client_stats(client, NULL, &reply, &error), 0);
        cr_expect_not(reply->is_error);
        runbook_reply_free(reply);
}

Test(client, lost_answers_are_asked_for_again_and_nothing_doubles) {
        RunbookCall call = {.timeout_ms = 200, .attempts = 3};
        RunbookReply *reply = NULL;
        char id[RUNBOOK_CLIENT_ID_SIZE];
        int applied, received;

        start_example(id);
        applied = fake_engine_applied(engine);
        received = fake_engine_received(engine);
        fake_engine_swallow(engine, 2);
        cr_assert_eq(runbook_client_approve(client, id, "ok", NULL, NULL, &call, &reply, &error), 0, "%s",
                     error.message);
        cr_expect_not(reply->is_error, "%s", reply->body);
        cr_expect_eq(reply->attempts, 3);
        cr_expect_eq(fake_engine_applied(engine) - applied, 1);
        cr_expect_eq(fake_engine_received(engine) - received, 3);
        runbook_reply_free(reply);
}

Test(client, answers_that_stay_away) {
        RunbookCall call = {.timeout_ms = 100, .attempts = 2, .command_id = "my-own-id"};
        RunbookReply *reply = NULL;

        fake_engine_swallow(engine, 2);
        cr_assert_eq(runbook_client_register(client, definition, strlen(definition), &call, &reply, &error),
                     RUNBOOK_CLIENT_E_TIMEOUT);
        cr_expect_not_null(strstr(error.message, "asked 2 times"), "%s", error.message);
        cr_expect_not_null(strstr(error.message, "my-own-id"), "%s", error.message);
        cr_expect_eq(fake_engine_applied(engine), 1);
        /* The caller repeats it under the same id: it is not done twice. */
        cr_assert_eq(runbook_client_register(client, definition, strlen(definition), &call, &reply, &error),
                     0);
        cr_expect_eq(fake_engine_applied(engine), 1);
        runbook_reply_free(reply);
}

Test(client, no_engine) {
        RunbookReply *reply = NULL;

        fake_engine_stop(engine);
        engine = NULL;
        cr_assert_eq(runbook_client_stats(client, NULL, &reply, &error), RUNBOOK_CLIENT_E_NO_ENGINE);
        cr_expect_str_eq(error.message, "no engine is answering on runbook.v1.acme.query.alice.stats: is "
                                        "runbookd running and connected "
                                        "to this NATS?");
}

Test(client, wrong_arguments) {
        RunbookReply *reply = NULL;
        RunbookStart bad_input = {.runbook_id = "incident", .input = "{oops"},
                     bad_context = {.runbook_id = "incident", .context = "[]"}, no_id = {0};

        cr_expect_eq(runbook_client_start(client, &bad_input, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_not_null(strstr(error.message, "the input is not JSON"), "%s", error.message);
        cr_expect_eq(runbook_client_start(client, &bad_context, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_start(client, &no_id, NULL, &reply, &error), RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_cancel(client, "", NULL, NULL, &reply, &error), RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_request(client, "cmd.a b", "", 0, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_request(client, "lifecycle.x", "", 0, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_request(client, "cmd", "", 0, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(runbook_client_runbooks(client, &(RunbookQuery){.limit = 1001}, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_INVALID);
        cr_expect_eq(fake_engine_received(engine), 0);
}

Test(client, too_large) {
        size_t n = 2 * 1024 * 1024;
        char *big = malloc(n);
        RunbookReply *reply = NULL;

        memset(big, ' ', n);
        cr_expect_eq(runbook_client_register(client, big, n, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_TOO_LARGE);
        cr_expect_not_null(strstr(error.message, "2097152 bytes"), "%s", error.message);
        free(big);
}

Test(client, names_are_encoded) {
        RunbookClient *odd;
        RunbookReply *reply = NULL;
        RunbookExternalEvent event = {
                        .type = "order.paid/eu", .correlation_id = "o-1", .payload = "{\"a\":1}"};
        char subject[512], body[4096];

        odd = connect_as("alice@example.com");
        cr_assert_eq(runbook_client_event(odd, &event, NULL, &reply, &error), 0, "%s", error.message);
        runbook_reply_free(reply);
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        cr_expect_str_eq(subject, "runbook.v1.acme.event.alice%40example%2Ecom.order.paid%2Feu");
        cr_expect_str_eq(body, "{\"correlationId\":\"o-1\",\"payload\":{\"a\":1}}");
        cr_assert_eq(runbook_client_runbook(odd, "a.b", NULL, NULL, &reply, &error), 0);
        runbook_reply_free(reply);
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        cr_expect_str_eq(subject, "runbook.v1.acme.query.alice%40example%2Ecom.runbook.a%2Eb");
        runbook_client_close(odd);
}

Test(client, query_body) {
        RunbookReply *reply = NULL;
        RunbookQuery query = {.limit = 7, .cursor = "c", .status = "failed", .initiated_by = "bob"};
        char subject[512], body[4096];

        cr_assert_eq(runbook_client_executions(client, &query, NULL, &reply, &error), 0);
        runbook_reply_free(reply);
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        cr_expect_str_eq(body,
                         "{\"cursor\":\"c\",\"initiatedBy\":\"bob\",\"status\":\"failed\",\"limit\":7}");
}

Test(client, queue_without_a_stream) {
        RunbookReply *reply = NULL;

        fake_engine_stop(engine);
        engine = NULL;
        cr_expect_eq(runbook_client_enqueue(client, "start", "{}", 2, 0, NULL, &reply, &error),
                     RUNBOOK_CLIENT_E_NO_ENGINE);
        cr_expect_not_null(strstr(error.message, "RUNBOOK_QUEUE"), "%s", error.message);
}

/** Many threads on one client: every answer finds its own question. */
static void *ask_many(void *userdata) {
        long wrong = 0;
        char id[64];

        (void)userdata;
        for (int i = 0; i < 100; i++) {
                RunbookReply *reply = NULL;

                snprintf(id, sizeof id, "r-%lu-%d", (unsigned long)pthread_self(), i);
                fflush(stdout);
                if (runbook_client_history(client, id, NULL, NULL, &reply, NULL) != 0 || !reply->is_error)
                        wrong++;
                runbook_reply_free(reply);
        }
        return (void *)wrong;
}

Test(client, many_threads) {
        pthread_t threads[8];
        void *wrong;

        for (int i = 0; i < 8; i++)
                pthread_create(&threads[i], NULL, ask_many, NULL);
        for (int i = 0; i < 8; i++) {
                pthread_join(threads[i], &wrong);
                cr_expect_eq((long)wrong, 0);
        }
        cr_expect_eq(fake_engine_received(engine), 800);
}

Test(client, server_restarts_under_it) {
        RunbookReply *reply = NULL;
        RunbookCall call = {.timeout_ms = 3000, .attempts = 4};
        int r;

        cr_assert_eq(runbook_client_stats(client, NULL, &reply, &error), 0);
        runbook_reply_free(reply);
        test_server_restart(&server, 300);
        /* The engine reconnects too; as long as it is away, "no responders" is the honest answer. */
        for (int i = 0; i < 20; i++) {
                r = runbook_client_stats(client, &call, &reply, &error);
                if (r != RUNBOOK_CLIENT_E_NO_ENGINE)
                        break;
                test_sleep_ms(300);
        }
        cr_assert_eq(r, 0, "%s", error.message);
        runbook_reply_free(reply);
        cr_expect(runbook_client_is_connected(client));
}

TestSuite(permissions, .fini = check_leaks, .timeout = 60);

/* ── Permissions ───────────────────────────────────────────────────────────────────────────────── */

static const char accounts[] = "authorization { users: [\n"
                               "  {user: engine, password: e},\n"
                               "  {user: bob, password: b, permissions: {publish: "
                               "[\"runbook.v1.acme.*.bob.>\"], subscribe: [\"_INBOX.>\"]}},\n"
                               "  {user: shut, password: s, permissions: {publish: [\">\"], subscribe: "
                               "[\"_INBOX_shut.>\"]}},\n"
                               "  {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4}\n"
                               "]}\n";

static int connect_with(const char *nats_user, const char *password, const char *user, RunbookClient **ret) {
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;

        o.servers = server.url;
        o.tenant = "acme";
        o.nats_user = nats_user;
        o.nats_password = password;
        o.user = user;
        return runbook_client_connect(&o, ret, &error);
}

Test(permissions, publishing_as_somebody_else_is_told_at_once) {
        RunbookClient *c = NULL;
        RunbookReply *reply = NULL;
        RunbookSubscription *s = NULL;

        test_server_start(&server, accounts);
        cr_assert_eq(connect_with("bob", "b", "alice", &c), 0, "%s", error.message);
        cr_expect_eq(runbook_client_stats(c, NULL, &reply, &error), RUNBOOK_CLIENT_E_PERMISSION);
        cr_expect_not_null(strstr(error.message, "publish to runbook.v1.acme.query.alice.stats"), "%s",
                           error.message);
        cr_expect_eq(runbook_client_subscribe(c, RUNBOOK_EVENT_LIFECYCLE, NULL, NULL, NULL, &s, &error),
                     RUNBOOK_CLIENT_E_PERMISSION);
        cr_expect_str_eq(error.message,
                         "NATS does not let this user subscribe to runbook.v1.acme.lifecycle.*.>");
        runbook_client_close(c);
        /* As himself he gets through (to nobody: there is no engine). */
        cr_assert_eq(connect_with("bob", "b", NULL, &c), 0, "%s", error.message);
        cr_expect_str_eq(runbook_client_user(c), "bob");
        cr_expect_eq(runbook_client_stats(c, NULL, &reply, &error), RUNBOOK_CLIENT_E_NO_ENGINE);
        runbook_client_close(c);
        test_server_stop(&server);
}

Test(permissions, wrong_password_and_closed_inbox) {
        RunbookClient *c = NULL;

        test_server_start(&server, accounts);
        cr_expect_eq(connect_with("bob", "wrong", NULL, &c), RUNBOOK_CLIENT_E_AUTH);
        cr_expect_not_null(strstr(error.message, "does not accept these credentials of user bob"), "%s",
                           error.message);
        cr_expect_eq(connect_with(NULL, NULL, "x", &c), RUNBOOK_CLIENT_E_AUTH);
        cr_expect_not_null(strstr(error.message, "without credentials"), "%s", error.message);
        cr_expect_eq(connect_with("shut", "s", NULL, &c), RUNBOOK_CLIENT_E_PERMISSION);
        cr_expect_not_null(strstr(error.message, "inbox prefix"), "%s", error.message);
        test_server_stop(&server);
}

Test(permissions, nkey_and_inbox_prefix) {
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookClient *c = NULL;
        char path[128];
        FILE *f;

        test_server_start(&server, accounts);
        snprintf(path, sizeof path, "%s/seed.nk", server.dir);
        f = fopen(path, "w");
        fputs("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n", f);
        fclose(f);
        o.servers = server.url;
        o.user = "dana";
        o.nkey = path;
        for (int i = 0; i < 200; i++) { /* every signature must be a good one */
                cr_assert_eq(runbook_client_connect(&o, &c, &error), 0, "%d: %s", i, error.message);
                runbook_client_close(c);
        }
        o.nkey = NULL;
        o.nats_user = "shut";
        o.nats_password = "s";
        o.inbox_prefix = "_INBOX_shut";
        cr_assert_eq(runbook_client_connect(&o, &c, &error), 0, "%s", error.message);
        runbook_client_close(c);
        test_server_stop(&server);
}

Test(permissions, no_server_and_no_secrets_in_the_sentence) {
        RunbookClientOptions o = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookClient *c = NULL;

        o.servers = "nats://u:secret@127.0.0.1:1,nats://127.0.0.1:2";
        o.connect_timeout_ms = 300;
        cr_assert_eq(runbook_client_connect(&o, &c, &error), RUNBOOK_CLIENT_E_NO_SERVER);
        cr_expect_not_null(strstr(error.message, "nats://127.0.0.1:1, nats://127.0.0.1:2"), "%s",
                           error.message);
        cr_expect_null(strstr(error.message, "secret"));
}
