/* publish-event: what is sent where, what is refused before, and how the step ends. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "executors/publish.h"
#include "mailbox.h"

TestSuite(publish, .fini = check_leaks, .timeout = 60);

static Mailbox mail;

static void open_publisher(void) {
        mailbox_init(&mail);
        mail.h.timeout_ms = 60000;
        cr_assert_eq(publish_executor_new("p.v1", &mail.host, &mail.outlet, &mail.h.executor), 0);
}

static const SentLetter *sent(const char *config, const char *input) {
        size_t n = mail.n_letters;
        harness_submit(&mail.h, config, input);
        cr_assert(mailbox_wait(&mail, n + 1));
        return &mail.letters[n];
}

static void expect_refusal(json_t *config, const char *part) {
        static const RunbookStep step = {.type = STEP_TYPE_PUBLISH_EVENT};
        TaskResult r = harness_run(&mail.h, harness_task_of(&mail.h, &step, config, NULL));
        cr_assert(!r.ok);
        cr_assert_str_eq(harness_string(r.error, "code"), "CONFIG_INVALID");
        cr_assert(json_is_false(harness_at(r.error, "retryable")));
        cr_assert_not_null(strstr(harness_string(r.error, "message"), part), "%s",
                           harness_string(r.error, "message"));
        harness_result_free(&r);
        cr_assert_eq(mail.n_letters, 0);
}

static json_t *subject_config(const char *subject) { return json_pack("{s:s}", "subject", subject); }

/* ---- the message ------------------------------------------------------------------------------------------- */

Test(publish, goes_below_out_with_the_engines_headers) {
        open_publisher();
        const SentLetter *l = sent("{'subject':'orders.done','payload':{'b':1,'a':[2]}}", "{'x':1}");
        cr_assert_str_eq(l->subject, "p.v1.acme.out.orders.done");
        cr_assert_str_eq(l->id, "key-0", "the idempotency key");
        cr_assert_str_eq(l->payload, "{\"a\":[2],\"b\":1}");
        cr_assert_not(l->needs_stream, "a stream may take it");
        cr_assert_str_eq(l->headers, "Content-Type: application/json\n"
                                     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n"
                                     "Runbook-Execution-Id: 07000000-0000-0000-0000-000000000000\n"
                                     "Runbook-Step-Path: call\n");
        mailbox_deinit(&mail);
}

Test(publish, without_a_payload_the_input_goes_out) {
        open_publisher();
        cr_assert_str_eq(sent("{'subject':'a'}", "{'b':1,'a':2}")->payload, "{\"a\":2,\"b\":1}");
        cr_assert_str_eq(sent("{'subject':'a'}", NULL)->payload, "null");
        cr_assert_str_eq(sent("{'subject':'a','payload':null}", "{'b':1}")->payload, "null");
        cr_assert_str_eq(sent("{'subject':'a','payload':'text'}", NULL)->payload, "\"text\"");
        mailbox_deinit(&mail);
}

Test(publish, a_tenants_name_stays_one_token) {
        static const RunbookStep step = {.type = STEP_TYPE_PUBLISH_EVENT};
        open_publisher();
        Task *t = harness_task_of(&mail.h, &step, subject_config("x"), NULL);
        t->tenant = SLICE("a.b>");
        mail.h.executor->vtable->submit(mail.h.executor, t);
        cr_assert(mailbox_wait(&mail, 1));
        cr_assert_str_eq(mail.letters[0].subject, "p.v1.a%2Eb%3E.out.x");
        mailbox_deinit(&mail);
}

Test(publish, own_headers_go_first) {
        open_publisher();
        const SentLetter *l = sent("{'subject':'a','headers':{'X-One':'1','X-Empty':''}}", NULL);
        cr_assert_eq(strncmp(l->headers, "X-One: 1\nX-Empty: \nContent-Type", 31), 0, "%s", l->headers);
        mailbox_deinit(&mail);
}

Test(publish, as_many_headers_as_are_allowed_fit) {
        static const RunbookStep step = {.type = STEP_TYPE_PUBLISH_EVENT};
        json_t *headers = json_object();
        char name[16];
        open_publisher();
        for (int i = 0; i < PUBLISH_HEADERS_MAX; i++) {
                snprintf(name, sizeof(name), "X-%d", i);
                json_object_set_new(headers, name, json_string("v"));
        }
        json_t *config = json_pack("{s:s,s:o}", "subject", "a", "headers", headers);
        Task *t = harness_task_of(&mail.h, &step, json_deep_copy(config), NULL);
        mail.h.executor->vtable->submit(mail.h.executor, t);
        cr_assert(mailbox_wait(&mail, 1));
        size_t n = 0;
        for (const char *p = mail.letters[0].headers; (p = strchr(p, '\n')); p++)
                n++;
        cr_assert_eq(n, PUBLISH_HEADERS_MAX + 4);
        mailbox_deinit(&mail);

        open_publisher();
        json_object_set_new(headers, "X-more", json_string("v"));
        expect_refusal(config, "101 headers, more than 100");
        mailbox_deinit(&mail);
}

/* ---- what is refused --------------------------------------------------------------------------------------- */

Test(publish, subjects_that_would_leave_the_tenants_out_are_refused) {
        static const char *const bad[] = {"",  ".",   ".a",   "a.",   "a..b",      "a.*", "*",   "a.>",
                                          ">", "a b", "a\tb", "a\nb", "a.b\x7f.c", "a*b", "a>b", "a.\r.b"};
        open_publisher();
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                expect_refusal(subject_config(bad[i]), "config.subject is");
        expect_refusal(json_pack("{s:i}", "subject", 5), "must be a string");
        expect_refusal(json_object(), "must be a string");
        expect_refusal(NULL, "must be a string");
        mailbox_deinit(&mail);
}

Test(publish, subjects_have_a_longest) {
        char subject[PUBLISH_SUBJECT_MAX + 2];
        open_publisher();
        memset(subject, 'a', sizeof(subject));
        subject[PUBLISH_SUBJECT_MAX + 1] = 0;
        expect_refusal(subject_config(subject), "at most 256 bytes");
        subject[PUBLISH_SUBJECT_MAX] = 0;
        static const RunbookStep step = {.type = STEP_TYPE_PUBLISH_EVENT};
        Task *t = harness_task_of(&mail.h, &step, subject_config(subject), NULL);
        mail.h.executor->vtable->submit(mail.h.executor, t);
        cr_assert(mailbox_wait(&mail, 1));
        cr_assert_eq(strlen(mail.letters[0].subject), strlen("p.v1.acme.out.") + PUBLISH_SUBJECT_MAX);
        mailbox_deinit(&mail);
}

static json_t *header_config(const char *name, json_t *value) {
        return json_pack("{s:s,s:{s:o}}", "subject", "a", "headers", name, value);
}

Test(publish, headers_that_are_the_servers_or_the_engines_are_refused) {
        static const char *const bad[] = {"Nats-Msg-Id",
                                          "nats-expected-stream",
                                          "RUNBOOK-Execution-Id",
                                          "TraceParent",
                                          "content-type",
                                          "",
                                          "X Y",
                                          "X:Y",
                                          "X\nY",
                                          "X\xc3\xa4"};
        char text[PUBLISH_HEADER_BYTES_MAX + 2];
        open_publisher();
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                expect_refusal(header_config(bad[i], json_string("v")), "can't be set");
        expect_refusal(header_config("X", json_string("a\r\nNats-Rollup: all")), "control characters");
        expect_refusal(header_config("X", json_string("a\x7f")), "control characters");
        expect_refusal(header_config("X", json_integer(1)), "must be a string");
        memset(text, 'a', sizeof(text));
        text[PUBLISH_HEADER_BYTES_MAX + 1] = 0;
        expect_refusal(header_config("X", json_string(text)), "at most 4096");
        memset(text, 'X', PUBLISH_SUBJECT_MAX + 1);
        text[PUBLISH_SUBJECT_MAX + 1] = 0;
        expect_refusal(header_config(text, json_string("v")), "can't be set");
        expect_refusal(json_pack("{s:s,s:[]}", "subject", "a", "headers"), "must be an object");
        mailbox_deinit(&mail);
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

static TaskResult *ended(const OutReceipt *receipt) {
        sent("{'subject':'orders.done'}", NULL);
        mailbox_say(&mail, 0, receipt);
        cr_assert(harness_wait(&mail.h, 1));
        return &mail.h.results[0];
}

Test(publish, completes_with_the_streams_acknowledgement) {
        open_publisher();
        const TaskResult *r = ended(
                        &(OutReceipt){.stream = SLICE("ORDERS"), .stream_seq = 77, .is_duplicate = true});
        cr_assert(r->ok);
        cr_assert_str_eq(value_bytes(r->output).data,
                         "{\"duplicate\":true,\"messageId\":\"key-0\",\"sequence\":77,\"stream\":\"ORDERS\","
                         "\"subject\":\"p.v1.acme.out.orders.done\"}");
        mailbox_deinit(&mail);
}

Test(publish, completes_without_a_stream) {
        open_publisher();
        const TaskResult *r = ended(&(OutReceipt){0});
        cr_assert(r->ok);
        cr_assert_str_eq(value_bytes(r->output).data,
                         "{\"messageId\":\"key-0\",\"subject\":\"p.v1.acme.out.orders.done\"}");
        mailbox_deinit(&mail);
}

Test(publish, a_message_over_the_servers_limit_is_final) {
        open_publisher();
        const TaskResult *r = ended(&(OutReceipt){.error = -EMSGSIZE});
        cr_assert_str_eq(harness_string(r->error, "code"), "MESSAGE_TOO_LARGE");
        cr_assert(json_is_false(harness_at(r->error, "retryable")));
        mailbox_deinit(&mail);
}

Test(publish, when_its_time_is_up_it_says_what_was_in_the_way) {
        open_publisher();
        mail.h.timeout_ms = 400;
        sent("{'subject':'a'}", NULL);
        sent("{'subject':'a'}", NULL);
        mailbox_say(&mail, 1, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("NATS is away")});
        cr_assert(harness_wait(&mail.h, 2));
        for (size_t i = 0; i < 2; i++) {
                const TaskResult *r = &mail.h.results[i];
                const char *why = r->instance == 0 ? "has not confirmed it" : "NATS is away";
                cr_assert_str_eq(harness_string(r->error, "code"), "TIMEOUT");
                cr_assert(json_is_true(harness_at(r->error, "retryable")));
                cr_assert_not_null(strstr(harness_string(r->error, "message"), "within 400 ms"));
                cr_assert_not_null(strstr(harness_string(r->error, "message"), why));
        }
        mailbox_deinit(&mail);
}
