/* Commands and events, decoded: what the writer gets, and what is refused before it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "house.h"

#define ID    "0190a0b0-1234-7abc-8def-0123456789ab"
#define LEGAL "\"legalBasis\":{\"authority\":\"INVESTIGATION\",\"classification\":\"SENSITIVE\"}"
#define START "{\"runbookId\":\"r\",\"context\":{" LEGAL "}}"

static House *h;
static void open_house(void) { h = house_new(false); }
static void close_house(void) {
        house_free(h);
        check_leaks();
}
TestSuite(cmd, .init = open_house, .fini = close_house);

/** Send, and give the request that reached the writer. */
static Request *decoded(const char *tail, const char *body, const Header *headers) {
        house_send(h, tail, INBOX, body, strlen(body), headers);
        cr_assert_eq(h->n_sent, 0, "%s %s: %s", tail, body, h->n_sent ? h->sent[0].body : "");
        cr_assert_not_null(h->kept);
        return h->kept;
}

static void check_id(const Request *r) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(r->input.execution_id, text);
        cr_assert_str_eq(text, ID);
        cr_assert(slice_eq_str(r->input.tenant, "acme"));
        cr_assert(slice_eq_str(r->input.user, "alice"));
}

Test(cmd, approve) {
        char hash[65];
        memset(hash, 'a', 64);
        hash[64] = 0;
        char *body = NULL;
        cr_assert_gt(asprintf(&body,
                              "{\"decision\":\"rejected\",\"comments\":\"no\",\"hash\":\"%s\",\"approverId\":"
                              "\"alice\"}",
                              hash),
                     0);
        Request *r = decoded("acme.cmd.alice.approve." ID ".step%2E1", body, NULL);
        free(body);
        cr_assert_eq(r->kind, REQUEST_COMMAND);
        cr_assert_eq(r->input.kind, INPUT_APPROVE);
        check_id(r);
        cr_assert(slice_eq_str(r->input.path, "step.1"));
        cr_assert_eq(r->input.decision, VOTE_REJECTED);
        cr_assert(slice_eq_str(r->input.text, "no"));
        cr_assert(slice_eq_str(r->input.hash, hash));
        r = decoded("acme.cmd.alice.approve." ID ".body%5B3%5D", "{\"decision\":\"approved\"}", NULL);
        cr_assert_eq(r->input.decision, VOTE_APPROVED);
        cr_assert(slice_eq_str(r->input.path, "body[3]"));
}

Test(cmd, cancel_pause_resume_retry) {
        Request *r = decoded("acme.cmd.alice.cancel." ID, "{\"reason\":\"enough\",\"userId\":\"alice\"}",
                             NULL);
        cr_assert_eq(r->input.kind, INPUT_CANCEL);
        cr_assert(slice_eq_str(r->input.text, "enough"));
        check_id(r);
        r = decoded("acme.cmd.alice.cancel." ID, "", NULL);
        cr_assert_eq(r->input.text.n, 0);
        r = decoded("acme.cmd.alice.pause." ID, "{}", NULL);
        cr_assert_eq(r->input.kind, INPUT_PAUSE);
        cr_assert(r->input.flag);
        r = decoded("acme.cmd.alice.pause." ID, "{\"freezeClocks\":false}", NULL);
        cr_assert_not(r->input.flag);
        r = decoded("acme.cmd.alice.resume." ID, "", NULL);
        cr_assert_eq(r->input.kind, INPUT_RESUME);
        check_id(r);
        r = decoded("acme.cmd.alice.retry." ID ".a", "", NULL);
        cr_assert_eq(r->input.kind, INPUT_RETRY);
        cr_assert(slice_eq_str(r->input.path, "a"));
}

Test(cmd, replay) {
        Request *r = decoded("acme.cmd.alice.replay." ID, "", NULL);
        cr_assert_eq(r->kind, REQUEST_REPLAY);
        cr_assert(slice_eq_str(r->input.text, "rerun"));
        check_id(r);
        r = decoded("acme.cmd.alice.replay." ID, "{\"mode\":\"verify\"}", NULL);
        cr_assert(slice_eq_str(r->input.text, "verify"));
}

static const char definition[] = "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"steps\":[{\"id\":\"a\","
                                 "\"name\":\"A\",\"type\":\"wait\","
                                 "\"config\":{\"durationMs\":1}}]}";

Test(cmd, register_takes_json_and_yaml) {
        Request *r = decoded("acme.cmd.alice.register", definition, NULL);
        cr_assert_eq(r->kind, REQUEST_REGISTER);
        cr_assert(slice_eq_str(r->runbook->id, "r"));
        r = decoded("acme.cmd.alice.register",
                    "id: r\nname: R\nversion: \"1\"\nsteps:\n- id: a\n  name: A\n  type: wait\n  config: "
                    "{durationMs: 1}\n",
                    NULL);
        cr_assert_eq(r->runbook->n_steps, 1);
}

Test(cmd, start) {
        Request *r = decoded("acme.cmd.alice.start",
                             "{\"runbookId\":\"r\",\"version\":\"2\",\"executionId\":\"" ID
                             "\",\"input\":{\"b\":1,\"a\":[2]},"
                             "\"context\":{" LEGAL ",\"assumptions\":[\"x\"],\"initiatedBy\":\"alice\","
                             "\"tenantId\":\"acme\"},\"unknown\":{},"
                             "\"options\":{\"idempotencyKey\":\"k\",\"skipIdempotencyCheck\":true,\"dryRun\":"
                             "true,\"pauseAt\":\"s\"}}",
                             NULL);
        cr_assert_eq(r->kind, REQUEST_START);
        cr_assert_eq(r->input.kind, INPUT_START);
        check_id(r);
        cr_assert(slice_eq_str(r->runbook_id, "r"));
        cr_assert(slice_eq_str(r->version, "2"));
        cr_assert(slice_eq_str(value_bytes(r->input.value), "{\"a\":[2],\"b\":1}"));
        cr_assert(slice_eq_str(value_bytes(r->input.context),
                               "{\"assumptions\":[\"x\"],\"initiatedBy\":\"alice\"," LEGAL
                               ",\"tenantId\":\"acme\"}"));
        cr_assert(slice_eq_str(r->input.idempotency_key, "k"));
        cr_assert(slice_eq_str(r->input.pause_at, "s"));
        cr_assert(r->skip_idempotency_check);
        cr_assert(r->input.dry_run);
}

Test(cmd, the_stored_context_says_who_and_where) {
        Request *r = decoded("acme.cmd.alice.start", START, NULL);
        cr_assert(slice_eq_str(value_bytes(r->input.context),
                               "{\"initiatedBy\":\"alice\"," LEGAL ",\"tenantId\":\"acme\"}"));
        cr_assert_null(r->input.value);
        cr_assert(uuid_is_nil(r->input.execution_id));
}

Test(cmd, event) {
        Request *r = decoded("acme.event.alice.webhook.received%2Fnow",
                             "{\"correlationId\":\"order-1\",\"eventId\":\"e1\",\"payload\":{\"x\":[1,2]}}",
                             NULL);
        cr_assert_eq(r->kind, REQUEST_EVENT);
        cr_assert(slice_eq_str(r->event_type, "webhook.received/now"));
        cr_assert(slice_eq_str(r->correlation, "order-1"));
        cr_assert(slice_eq_str(r->event_id, "e1"));
        cr_assert(slice_eq_str(value_bytes(r->input.value), "{\"x\":[1,2]}"));
        r = decoded("acme.event.alice.a.b", "", NULL);
        cr_assert(slice_eq_str(r->event_type, "a.b"));
        cr_assert_null(r->input.value);
}

Test(cmd, command_ids) {
        static const Header with_id[] = {{"Nats-Msg-Id", "id-1"}, {NULL}};
        static const Header other_id[] = {{"Nats-Msg-Id", "id-2"}, {NULL}};
        static const Digest zeros;
        Request *r = decoded("acme.cmd.alice.cancel." ID, "{\"commandId\":\"body\"}", with_id);
        cr_assert(slice_eq_str(r->input.command_id, "id-1"), "the header goes before the body");
        Digest first = r->digest;
        cr_assert_not(digest_eq(&first, &zeros));
        r = decoded("acme.cmd.alice.cancel." ID, " { \"commandId\" : \"other\" } ", other_id);
        cr_assert(digest_eq(&first, &r->digest), "the same command, written otherwise");
        r = decoded("acme.cmd.alice.cancel." ID, "{\"reason\":\"x\"}", with_id);
        cr_assert_not(digest_eq(&first, &r->digest), "another body");
        r = decoded("acme.cmd.alice.pause." ID, "{}", with_id);
        cr_assert_not(digest_eq(&first, &r->digest), "another verb");
        r = decoded("acme.cmd.alice.cancel." ID, "{\"commandId\":\"body\"}", NULL);
        cr_assert(slice_eq_str(r->input.command_id, "body"));
        r = decoded("acme.cmd.alice.cancel." ID, "{}", NULL);
        cr_assert_eq(r->input.command_id.n, 0);
        cr_assert(digest_eq(&r->digest, &zeros));
}

Test(cmd, an_event_is_not_a_command_of_the_same_words) {
        static const Header id[] = {{"Nats-Msg-Id", "id-1"}, {NULL}};
        Digest cmd = decoded("acme.cmd.alice.cancel." ID, "", id)->digest;
        Digest event = decoded("acme.event.alice.cancel." ID, "", id)->digest;
        cr_assert_not(digest_eq(&cmd, &event));
}

Test(cmd, traceparent_is_kept_when_well_formed) {
        static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        static const char *const bad[] = {"",
                                          "00-xyz",
                                          "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                                          "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                                          "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"};
        const Header headers[] = {{"traceparent", good}, {NULL}};
        cr_assert(slice_eq_str(decoded("acme.cmd.alice.resume." ID, "", headers)->input.traceparent, good));
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                const Header wrong[] = {{"traceparent", bad[i]}, {NULL}};
                cr_assert_eq(decoded("acme.cmd.alice.resume." ID, "", wrong)->input.traceparent.n, 0, "%s",
                             bad[i]);
        }
}

/* ---- refusals ---------------------------------------------------------------------- */

/** Exactly one error, of @code, and nothing reaches the writer. */
static void refused(const char *tail, const char *body, RunbookCode code) {
        Sent *s = house_ask(h, tail, body);
        cr_assert_eq(h->n_submitted, 0, "%s %s reached the writer", tail, body);
        house_check_error(s, code);
}

static void refused_at(const char *tail, const char *body, const char *path) {
        char wanted[256];
        refused(tail, body, RUNBOOK_INVALID_REQUEST);
        snprintf(wanted, sizeof(wanted), "\"path\":\"%s\"", path);
        cr_assert_not_null(strstr(h->sent[0].body, wanted), "%s: no %s in %s", body, wanted, h->sent[0].body);
}

Test(cmd, subjects_of_the_wrong_shape) {
        static const char *const tails[] = {
                        "acme.cmd",
                        "acme.cmd.alice",
                        "acme.cmd.alice.aprove." ID ".s",
                        "acme.cmd.alice.pause",
                        "acme.cmd.alice.pause." ID ".more",
                        "acme.cmd.alice.approve." ID,
                        "acme.cmd.alice.retry." ID,
                        "acme.cmd.alice.start.more",
                        "acme.cmd.alice.register.x",
                        "acme.cmd.al@ce.start",
                        "acme.cmd.%61lice.start",
                        "acme.cmd.al%zzice.start",
                        "%00.cmd.alice.start",
                        "acme.event.alice",
                        "acme.event",
                        "acme.event.alice.%zz",
                        "acme.query",
                        "acme.query.alice",
                        "acme.query.alice.exection",
                        "acme.query.alice.execution",
                        "acme.query.alice.runbooks.more",
                        "acme.query.al@ce.stats",
                        "acme.query.alice.runbook.%zz",
        };
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
                refused(tails[i], START, RUNBOOK_INVALID_REQUEST);
        refused("acme.cmd.alice.aprove." ID ".s", "", RUNBOOK_INVALID_REQUEST);
        cr_assert_not_null(strstr(h->sent[0].body, "did you mean \\\"approve\\\"?"));
        refused("acme.query.alice.exection", "", RUNBOOK_INVALID_REQUEST);
        cr_assert_not_null(strstr(h->sent[0].body, "did you mean \\\"execution"));
        refused("acme.cmd.alice.pause.not-a-uuid", "", RUNBOOK_EXECUTION_NOT_FOUND);
}

/** Every verb, with every body that is none. */
Test(cmd, bodies_that_are_no_json_objects) {
        static const char *const tails[] = {
                        "acme.cmd.alice.approve." ID ".s",
                        "acme.cmd.alice.cancel." ID,
                        "acme.cmd.alice.pause." ID,
                        "acme.cmd.alice.replay." ID,
                        "acme.cmd.alice.resume." ID,
                        "acme.cmd.alice.retry." ID ".s",
                        "acme.cmd.alice.start",
                        "acme.event.alice.x",
        };
        static const struct {
                const char *body;
                RunbookCode code;
        } bodies[] = {
                        {"{", RUNBOOK_INVALID_JSON},
                        {"{\"a\":1}x", RUNBOOK_INVALID_JSON},
                        {"nul", RUNBOOK_INVALID_JSON},
                        {"[1,2", RUNBOOK_INVALID_JSON},
                        {"{\"a\":1,\"a\":2}", RUNBOOK_INVALID_JSON},
                        {"{\"\xff\xfe\":1}", RUNBOOK_INVALID_JSON},
                        {"\xEF\xBB\xBF{}x", RUNBOOK_INVALID_JSON},
                        {"[]", RUNBOOK_INVALID_REQUEST},
                        {"\"text\"", RUNBOOK_INVALID_REQUEST},
                        {"7", RUNBOOK_INVALID_REQUEST},
                        {"null", RUNBOOK_INVALID_REQUEST},
                        {"true", RUNBOOK_INVALID_REQUEST},
                        {"{\"commandId\":7}", RUNBOOK_INVALID_REQUEST},
                        {"{\"commandId\":\"\"}", RUNBOOK_INVALID_REQUEST},
                        {"{\"userId\":7}", RUNBOOK_INVALID_REQUEST},
                        {"{\"stream\":\"RUNBOOK_QUEUE\",\"seq\":7}", RUNBOOK_INVALID_REQUEST},
                        {"{\"userId\":\"bob\"}", RUNBOOK_IDENTITY_MISMATCH},
                        {"{\"initiatedBy\":\"bob\"}", RUNBOOK_IDENTITY_MISMATCH},
                        {"{\"approverId\":\"bob\"}", RUNBOOK_IDENTITY_MISMATCH},
                        {"{\"tenantId\":\"umbrella\"}", RUNBOOK_IDENTITY_MISMATCH},
                        {"{\"context\":{\"tenantId\":\"umbrella\"}}", RUNBOOK_IDENTITY_MISMATCH},
                        {"{\"context\":{\"initiatedBy\":\"bob\"}}", RUNBOOK_IDENTITY_MISMATCH},
        };
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
                for (size_t k = 0; k < sizeof(bodies) / sizeof(bodies[0]); k++)
                        refused(tails[i], bodies[k].body, bodies[k].code);
}

Test(cmd, absurd_sizes_and_depths) {
        static const char *const tails[] = {("acme.cmd.alice.cancel." ID), "acme.cmd.alice.start",
                                            "acme.event.alice.x", "acme.cmd.alice.register",
                                            "acme.query.alice.executions"};
        Buf deep = {0}, large = {0};
        buf_put_str(&deep, "{\"a\":");
        for (int i = 0; i < 100000; i++)
                buf_put_char(&deep, '[');
        buf_put_char(&deep, 0);
        buf_put_str(&large, "{\"input\":\"");
        for (int i = 0; i < 3 * 1024 * 1024; i++)
                buf_put_char(&large, 'x');
        buf_put_str(&large, "\"}");
        buf_put_char(&large, 0);
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
                RunbookCode code = strstr(tails[i], "cancel") || strstr(tails[i], "query") ? RUNBOOK_TOO_LARGE
                                                                                           : RUNBOOK_TOO_DEEP;
                refused(tails[i], deep.data, code);
        }
        for (size_t i = 0; i < 3; i++)
                refused(tails[i], large.data, RUNBOOK_TOO_LARGE);
        buf_deinit(&deep);
        buf_deinit(&large);
}

Test(cmd, values_have_caps_of_their_own) {
        Buf b = {0};
        buf_put_str(&b, "{\"runbookId\":\"r\",\"context\":{" LEGAL "},\"input\":\"");
        for (int i = 0; i < LIMIT_VALUE_BYTES; i++)
                buf_put_char(&b, 'x');
        buf_put_str(&b, "\"}");
        buf_put_char(&b, 0);
        refused("acme.cmd.alice.start", b.data, RUNBOOK_TOO_LARGE);
        buf_reset(&b);
        buf_put_str(&b, "{\"runbookId\":\"r\",\"context\":{" LEGAL ",\"dataScope\":\"");
        for (int i = 0; i < LIMIT_CONTEXT_BYTES; i++)
                buf_put_char(&b, 'x');
        buf_put_str(&b, "\"}}");
        buf_put_char(&b, 0);
        refused("acme.cmd.alice.start", b.data, RUNBOOK_TOO_LARGE);
        buf_deinit(&b);
}

Test(cmd, start_names_every_fault) {
        static const struct {
                const char *body, *path;
        } faults[] = {
                        {"{}", "/runbookId"},
                        {"{}", "/context"},
                        {"{\"runbookId\":7,\"context\":{" LEGAL "}}", "/runbookId"},
                        {"{\"runbookId\":\"\",\"context\":{" LEGAL "}}", "/runbookId"},
                        {"{\"runbookId\":\"r\",\"context\":\"x\"}", "/context"},
                        {"{\"runbookId\":\"r\",\"context\":{}}", "/context/legalBasis"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":[]}}", "/context/legalBasis"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"classification\":\"c\"}}}",
                         "/context/legalBasis/authority"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"authority\":\"\","
                         "\"classification\":\"c\"}}}",
                         "/context/legalBasis/authority"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"authority\":\"a\","
                         "\"classification\":1}}}",
                         "/context/legalBasis/classification"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"authority\":\"a\","
                         "\"classification\":\"c\",\"authorizedUsers\":\"alice\"}}}",
                         "/context/legalBasis/authorizedUsers"},
                        {"{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"authority\":\"a\","
                         "\"classification\":\"c\",\"authorizedUsers\":[\"a\",7]}}}",
                         "/context/legalBasis/authorizedUsers/1"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL ",\"assumptions\":[\"\"]}}",
                         "/context/assumptions/0"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL ",\"tenantId\":5}}", "/context/tenantId"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL "},\"executionId\":\"nope\"}",
                         "/executionId"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL "},\"options\":7}", "/options"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL "},\"options\":{\"dryRun\":\"yes\"}}",
                         "/options/dryRun"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL
                         "},\"options\":{\"skipIdempotencyCheck\":1}}",
                         "/options/skipIdempotencyCheck"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL "},\"options\":{\"pauseAt\":[]}}",
                         "/options/pauseAt"},
                        {"{\"runbookId\":\"r\",\"context\":{" LEGAL
                         "},\"options\":{\"idempotencyKey\":\"\"}}",
                         "/options/idempotencyKey"},
                        {"{\"runbookId\":\"r\",\"version\":2,\"context\":{" LEGAL "}}", "/version"},
        };
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
                refused_at("acme.cmd.alice.start", faults[i].body, faults[i].path);
}

Test(cmd, other_bodies_with_faults) {
        refused_at("acme.cmd.alice.approve." ID ".s", "", "/decision");
        refused_at("acme.cmd.alice.approve." ID ".s", "{\"decision\":\"maybe\"}", "/decision");
        refused_at("acme.cmd.alice.approve." ID ".s", "{\"decision\":true}", "/decision");
        refused_at("acme.cmd.alice.approve." ID ".s", "{\"decision\":\"approved\",\"comments\":[]}",
                   "/comments");
        refused_at("acme.cmd.alice.approve." ID ".s", "{\"decision\":\"approved\",\"hash\":\"zz\"}", "/hash");
        refused_at("acme.cmd.alice.cancel." ID, "{\"reason\":5}", "/reason");
        refused("acme.cmd.alice.cancel." ID, "{\"reason\":\"a\\u0000b\"}", RUNBOOK_INVALID_JSON);
        refused_at("acme.cmd.alice.pause." ID, "{\"freezeClocks\":\"no\"}", "/freezeClocks");
        refused_at("acme.cmd.alice.replay." ID, "{\"mode\":\"again\"}", "/mode");
        refused_at("acme.event.alice.x", "{\"correlationId\":5}", "/correlationId");
        refused_at("acme.event.alice.x", "{\"eventId\":\"\"}", "/eventId");
}

Test(cmd, definitions_with_faults) {
        refused("acme.cmd.alice.register", "", RUNBOOK_INVALID_REQUEST);
        refused("acme.cmd.alice.register", "{", RUNBOOK_INVALID_JSON);
        refused("acme.cmd.alice.register", "{\"id\":7}", RUNBOOK_INVALID_RUNBOOK);
        cr_assert_not_null(strstr(h->sent[0].body, "\"path\":\"/id\""));
        cr_assert_not_null(strstr(h->sent[0].body, "\"path\":\"/steps\""), "all of them, not the first");
        refused("acme.cmd.alice.register", "id: x\nsteps:\n  - id: [unclosed\n", RUNBOOK_INVALID_RUNBOOK);
}

Test(cmd, long_texts) {
        Buf b = {0};
        static const Header empty[] = {{"Nats-Msg-Id", ""}, {NULL}};
        buf_put_str(&b, "{\"reason\":\"");
        for (int i = 0; i <= LIMIT_TEXT_ARG_BYTES; i++)
                buf_put_char(&b, 'r');
        buf_put_str(&b, "\"}");
        buf_put_char(&b, 0);
        refused_at("acme.cmd.alice.cancel." ID, b.data, "/reason");
        buf_reset(&b);
        for (int i = 0; i <= LIMIT_COMMAND_ID_BYTES; i++)
                buf_put_char(&b, 'i');
        buf_put_char(&b, 0);
        const Header headers[] = {{"Nats-Msg-Id", b.data}, {NULL}};
        house_send(h, "acme.cmd.alice.resume." ID, INBOX, "", 0, headers);
        cr_assert_eq(h->n_sent, 1);
        house_check_error(&h->sent[0], RUNBOOK_INVALID_REQUEST);
        house_send(h, "acme.cmd.alice.resume." ID, INBOX, "", 0, empty);
        cr_assert_eq(h->n_sent, 0, "an empty header is none");
        buf_deinit(&b);
}

/* ---- whatever comes, one outcome --------------------------------------------------- */

static uint64_t draw(uint64_t *state, uint64_t n) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        return (*state >> 33) % n;
}

/** Damage @b a little: bytes changed, cut out, doubled. */
static void damage(Buf *b, uint64_t *state) {
        static const char spice[] = "{}[]\",:\\0e-.%\xff\xc3\x00n";
        for (uint64_t i = draw(state, 4); i > 0 && b->n > 1; i--) {
                size_t at = draw(state, b->n);
                switch (draw(state, 3)) {
                case 0:
                        b->data[at] = spice[draw(state, sizeof(spice) - 1)];
                        break;
                case 1:
                        memmove(b->data + at, b->data + at + 1, b->n - at - 1);
                        b->n--;
                        break;
                default: {
                        char copy[40];
                        size_t n = b->n - at < sizeof(copy) ? b->n - at : sizeof(copy);
                        memcpy(copy, b->data + at, n);
                        buf_put(b, copy, n);
                }
                }
        }
}

Test(cmd, damaged_messages_have_one_outcome_each) {
        static const char *const tails[] = {
                        "acme.cmd.alice.start",        ("acme.cmd.alice.approve." ID ".s"),
                        ("acme.cmd.alice.cancel." ID), ("acme.cmd.alice.replay." ID),
                        "acme.cmd.alice.register",     "acme.event.alice.a.b",
                        "acme.query.alice.nothing",
        };
        static const char *const bodies[] = {
                        START,
                        "{\"decision\":\"approved\",\"comments\":\"\\u00e9\",\"hash\":null}",
                        "{\"reason\":\"x\",\"userId\":\"alice\",\"commandId\":\"c\"}",
                        "{\"mode\":\"verify\"}",
                        definition,
                        "{\"correlationId\":\"k\",\"payload\":{\"a\":[1,2.5,null,true]}}",
                        "",
        };
        uint64_t state = 1;
        for (int i = 0; i < 20000; i++) {
                Buf body = {0}, tail = {0};
                size_t which = draw(&state, 7);
                buf_put_str(&tail, tails[which]);
                buf_put_str(&body, bodies[draw(&state, 8) == 0 ? draw(&state, 7) : which]);
                if (draw(&state, 4) == 0)
                        damage(&tail, &state);
                else
                        damage(&body, &state);
                buf_put_char(&tail, 0);
                house_send(h, tail.data, INBOX, body.data, body.n, NULL);
                cr_assert_eq(h->n_sent + (h->kept != NULL), 1, "%s: %d answers", tail.data, h->n_sent);
                if (h->n_sent == 1)
                        house_check_error(&h->sent[0], h->sent[0].code);
                buf_deinit(&body);
                buf_deinit(&tail);
        }
}

Test(cmd, a_full_or_stopping_engine_says_so) {
        h->submit_result = -EAGAIN;
        house_check_error(house_ask(h, "acme.cmd.alice.start", START), RUNBOOK_OVERLOADED);
        h->submit_result = -ESHUTDOWN;
        house_check_error(house_ask(h, "acme.cmd.alice.start", START), RUNBOOK_UNAVAILABLE);
}

Test(cmd, shed_messages_are_answered_unread) {
        Message m = {SLICE("runbook.v1.acme.cmd.alice.start"), SLICE("{"), SLICE(INBOX)};
        family_handle(&h->subjects, ENDPOINT_CMD, &m, true);
        cr_assert_eq(h->n_sent, 1);
        house_check_error(&h->sent[0], RUNBOOK_OVERLOADED);
}

Test(cmd, no_answer_goes_elsewhere_than_to_inboxes) {
        static const char *const replies[] = {"runbook.v1.acme.lifecycle.x.execution.started",
                                              "$JS.API.STREAM.DELETE.RUNBOOK_AUDIT",
                                              "runbook.v1.acme.cmd.bob.start", "foo"};
        for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
                house_send(h, "acme.cmd.alice.start", replies[i], "{", 1, NULL);
                cr_assert_eq(h->n_sent, 0, "%s", replies[i]);
                house_send(h, "acme.query.alice.nothing", replies[i], "", 0, NULL);
                cr_assert_eq(h->n_sent, 0, "%s", replies[i]);
                house_send(h, "acme.cmd.alice.start", replies[i], START, strlen(START), NULL);
                cr_assert_not_null(h->kept, "the command itself is carried out");
        }
        house_send(h, "acme.cmd.alice.start", NULL, "{", 1, NULL);
        cr_assert_eq(h->n_sent, 0);
}

/* ---- the durable queue ------------------------------------------------------------- */

Test(cmd, queue_deliveries_are_counted) {
        cr_assert_eq(queue_deliveries(SLICE("$JS.ACK.RUNBOOK_QUEUE.runbookd.1.17.3.1767225600123456789.0")), 1);
        cr_assert_eq(queue_deliveries(SLICE("$JS.ACK.hub.ACC.RUNBOOK_QUEUE.runbookd.12.17.3.1767225600123456789.0")),
                     12);
        cr_assert_eq(queue_deliveries(SLICE("$JS.ACK.RUNBOOK_QUEUE.runbookd.x.17.3.1.0")), 0);
        cr_assert_eq(queue_deliveries(SLICE("_INBOX.x")), 0);
}

Test(cmd, queue_identity_comes_from_time_and_sequence) {
        char id[64];
        cr_assert(queue_identity(SLICE("$JS.ACK.RUNBOOK_QUEUE.runbookd.1.17.3.1767225600123456789.0"), id,
                                 sizeof(id)));
        cr_assert_str_eq(id, "queue/1767225600123456789/17");
        cr_assert(queue_identity(
                        SLICE("$JS.ACK.hub.ACCHASH.RUNBOOK_QUEUE.runbookd.1.17.3.1767225600123456789.0.rnd"),
                        id, sizeof(id)));
        cr_assert_str_eq(id, "queue/1767225600123456789/17");
        static const char *const bad[] = {"",
                                          "_INBOX.x",
                                          "$JS.ACK",
                                          "$JS.ACK.a.b.c.d",
                                          "$JS.ACK.s.c.1.x.3.4.5",
                                          "$JS.ACK.s.c.1.17.3.y.0"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                cr_assert_not(queue_identity(slice_from_str(bad[i]), id, sizeof(id)), "%s", bad[i]);
}

Test(cmd, queued_commands_have_an_identity) {
        static const Header with_id[] = {{"Nats-Msg-Id", "mine"}, {NULL}};
        house_queue(h, "acme.queue.alice.cancel." ID, "", NULL, NULL);
        cr_assert(slice_eq_str(h->kept->input.command_id, "queue/1767225600123456789/17"));
        cr_assert_eq(h->kept->input.kind, INPUT_CANCEL);
        house_queue(h, "acme.queue.alice.cancel." ID, "", NULL, with_id);
        cr_assert(slice_eq_str(h->kept->input.command_id, "mine"));
        Digest queued = h->kept->digest;
        house_send(h, "acme.cmd.alice.cancel." ID, INBOX, "", 0, with_id);
        cr_assert(digest_eq(&queued, &h->kept->digest), "one command id over both roads is one command");
        house_queue(h, "acme.queue.alice.event.a.b", "{\"payload\":1}", NULL, with_id);
        cr_assert_eq(h->kept->kind, REQUEST_EVENT);
        cr_assert(slice_eq_str(h->kept->event_type, "a.b"));
}

/** The writer's word, for the request that was kept. */
static void finish(RunbookCode code, const char *body, bool durable) {
        h->kept->done(h->kept, code, slice_from_str(body), durable);
}

Test(cmd, queued_commands_are_acknowledged_when_recorded) {
        static const Header reply[] = {{"Runbook-Reply-To", "_INBOX.me"}, {NULL}};
        house_queue(h, "acme.queue.alice.resume." ID, "", NULL, reply);
        cr_assert_eq(h->n_acks, 0, "not before the commit");
        finish(RUNBOOK_OK, "{\"ok\":1}", true);
        cr_assert_eq(h->n_acks, 1);
        cr_assert_eq(h->acks[0].code, RUNBOOK_OK);
        cr_assert_eq(h->n_sent, 1);
        cr_assert_str_eq(h->sent[0].subject, "_INBOX.me");
        cr_assert_str_eq(h->sent[0].body, "{\"ok\":1}");
        house_queue(h, "acme.queue.alice.resume." ID, "", NULL, reply);
        finish(RUNBOOK_STORE_FULL, "{}", false);
        cr_assert_eq(h->acks[0].code, RUNBOOK_UNAVAILABLE, "asked for again");
        cr_assert_eq(h->n_sent, 0, "the result is still to come");
        house_queue(h, "acme.queue.alice.resume." ID, "", NULL, NULL);
        finish(RUNBOOK_WRONG_STATE, "{}", true);
        cr_assert_eq(h->acks[0].code, RUNBOOK_OK, "it would be refused again and again");
        cr_assert_eq(h->n_sent, 0);
}

Test(cmd, broken_messages_of_the_queue_are_answered_and_gone) {
        static const Header reply[] = {{"Runbook-Reply-To", "_INBOX.me"}, {NULL}};
        static const struct {
                const char *tail, *body;
                RunbookCode code;
        } bad[] = {
                        {"acme.queue.alice.start", "{broken", RUNBOOK_INVALID_JSON},
                        {"acme.queue.alice.no-such-verb", "{}", RUNBOOK_INVALID_REQUEST},
                        {"acme.queue.alice.event", "{}", RUNBOOK_INVALID_REQUEST},
                        {"acme.queue.alice.pause.nope", "{}", RUNBOOK_EXECUTION_NOT_FOUND},
                        {"acme.queue.%61lice.start", START, RUNBOOK_INVALID_REQUEST},
                        {"acme.cmd.alice.start", START, RUNBOOK_INVALID_REQUEST},
                        {"acme.queue.alice.cancel." ID, "{\"stream\":\"RUNBOOK_QUEUE\",\"seq\":3}",
                         RUNBOOK_INVALID_REQUEST},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                house_queue(h, bad[i].tail, bad[i].body, NULL, reply);
                cr_assert_eq(h->n_submitted, 0);
                cr_assert_eq(h->n_acks, 1);
                cr_assert_eq(h->acks[0].code, RUNBOOK_OK);
                cr_assert_eq(h->n_sent, 1);
                house_check_error(&h->sent[0], bad[i].code);
        }
}

Test(cmd, results_of_the_queue_go_to_inboxes_only) {
        static const Header reply[] = {{"Runbook-Reply-To", "runbook.v1.acme.lifecycle.x.execution.started"},
                                       {NULL}};
        house_queue(h, "acme.queue.alice.start", "{broken", NULL, reply);
        cr_assert_eq(h->n_acks, 1);
        cr_assert_eq(h->n_sent, 0);
}

Test(cmd, strays_on_the_consumers_subject_are_ignored) {
        house_queue(h, "acme.queue.alice.start", START, "_INBOX.mallory", NULL);
        cr_assert_eq(h->n_acks + h->n_sent + h->n_submitted, 0);
}

Test(cmd, a_queued_message_waits_for_room) {
        h->submit_result = -ESHUTDOWN;
        house_queue(h, "acme.queue.alice.start", START, NULL, NULL);
        cr_assert_eq(h->acks[0].code, RUNBOOK_UNAVAILABLE, "delivered again when the engine is back");
}

/* ---- the service protocol ---------------------------------------------------------- */

static json_t *service(const char *subject) {
        Message m = {slice_from_str(subject), SLICE_NULL, SLICE(INBOX)};
        house_forget(h);
        service_handle(&h->subjects, &m);
        return h->n_sent == 1 ? json_parse_own((Slice){h->sent[0].body, h->sent[0].n_body}) : NULL;
}

Test(cmd, service_protocol) {
        static const char *const verbs[][2] = {{"PING", "ping"}, {"INFO", "info"}, {"STATS", "stats"}};
        char subject[128], type[64];
        house_ask(h, "acme.cmd.alice.nothing", "");
        for (size_t i = 0; i < 3; i++) {
                static const char *const tails[] = {"", ".runbook",
                                                    ".runbook.0190a0b0-0000-7000-8000-000000000001"};
                for (size_t k = 0; k < 3; k++) {
                        snprintf(subject, sizeof(subject), "$SRV.%s%s", verbs[i][0], tails[k]);
                        snprintf(type, sizeof(type), "io.nats.micro.v1.%s_response", verbs[i][1]);
                        json_t *json = service(subject);
                        cr_assert_not_null(json, "%s", subject);
                        cr_assert_str_eq(json_string_value(json_object_get(json, "type")), type);
                        cr_assert_str_eq(json_string_value(json_object_get(json, "name")), "runbook");
                        cr_assert_str_eq(json_string_value(json_object_get(json, "id")),
                                         h->settings.engine_id);
                        if (i > 0)
                                cr_assert_eq(json_array_size(json_object_get(json, "endpoints")), 4);
                        if (i == 2) {
                                const json_t *cmd = json_array_get(json_object_get(json, "endpoints"), 0);
                                cr_assert_str_eq(json_string_value(json_object_get(cmd, "name")), "cmd");
                                cr_assert_str_eq(json_string_value(json_object_get(cmd, "subject")),
                                                 "runbook.v1.*.cmd.*.>");
                                cr_assert_eq(json_integer_value(json_object_get(cmd, "num_requests")), 1);
                                cr_assert_eq(json_integer_value(json_object_get(cmd, "num_errors")), 1);
                                cr_assert_not_null(
                                                strstr(json_string_value(json_object_get(cmd, "last_error")),
                                                       "nothing"));
                        }
                        json_decref(json);
                }
        }
        static const char *const others[] = {"$SRV.PING.other", "$SRV.PING.runbook.other", "$SRV.PINGS",
                                             "$SRV.SCHEMA", "$SRV.PING.runbookx"};
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                cr_assert_null(service(others[i]), "%s", others[i]);
}
