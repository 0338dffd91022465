/* Checkpoints: whole ones are remembered; every way of forging, losing or taking back one is found. */

#include <criterion/criterion.h>
#include <jansson.h>
#include <runbook/client.h>
#include <stdio.h>
#include "../leaks.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "client/checkpoint_heads.h"
#include "signer.h"

static Signer one, two;
static RunbookCheckpoints *all;
static RunbookClientError error;

static void setup(void) {
        signer_init(&one, SIGNER_E1);
        signer_init(&two, SIGNER_E2);
        all = runbook_checkpoints_new(RUNBOOK_CHECKPOINTS_ALL);
        cr_assert_not_null(all);
        error = (RunbookClientError){0};
}

static void teardown(void) {
        runbook_checkpoints_free(all);
        signer_deinit(&one);
        signer_deinit(&two);
        check_leaks();
}

TestSuite(checkpoint, .init = setup, .fini = teardown);

/** Feed @event (kept) with other blanks and another order than it was made with. */
static int add(const json_t *event) {
        char *text = json_dumps(event, JSON_INDENT(3));
        int r = runbook_checkpoints_add(all, text, strlen(text), &error);

        free(text);
        return r;
}

/** The same for one that is not needed any more. */
static int add_new(json_t *event) {
        int r = add(event);

        json_decref(event);
        return r;
}

static int add_text(const char *text) { return runbook_checkpoints_add(all, text, strlen(text), &error); }

static void expect_message(const char *part) {
        cr_expect_not_null(strstr(error.message, part), "\"%s\" lacks \"%s\"", error.message, part);
}

/* ── What is right ─────────────────────────────────────────────────────────────────────────────── */

Test(checkpoint, a_chain_is_fine_and_remembered) {
        const RunbookCheckpointEngine *told;
        RunbookAttested newest;

        cr_assert_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), signer_head(SIGNER_B, 2, 'b'),
                                         NULL)),
                     0, "%s", error.message);
        cr_assert_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 9, 'c'), NULL, NULL)), 0, "%s",
                     error.message);
        cr_assert_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0, "%s", error.message);
        cr_expect_eq(runbook_checkpoints_events(all), 3);
        cr_expect_eq(runbook_checkpoints_faults(all), 0);
        told = runbook_checkpoints_engine(all, 0);
        cr_assert_not_null(told);
        cr_expect_null(runbook_checkpoints_engine(all, 1));
        cr_expect_str_eq(told->engine, SIGNER_E1);
        cr_expect_str_eq(told->public_key, one.public_key);
        cr_expect_str_eq(told->last_hash, one.hash);
        cr_expect_eq(told->n_checkpoints, 3);
        cr_expect_eq(told->n_heads, 3);
        cr_expect_eq(told->first_sequence, 1);
        cr_expect_eq(told->last_sequence, 3);
        cr_expect_eq(told->last_time_ms - told->first_time_ms, 120000);

        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, signer_hash('a'), NULL), RUNBOOK_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 9, signer_hash('c'), NULL), RUNBOOK_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 5, signer_hash('c'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, signer_hash('c'), &error),
                     RUNBOOK_CONTRADICTED);
        expect_message("event 4 was altered: checkpoint 1 of engine " SIGNER_E1 " attests hash aaaa");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_E1, 1, signer_hash('c'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, "no uuid", 1, signer_hash('c'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, "xyz", NULL), RUNBOOK_CLIENT_E_INVALID);
        cr_assert(runbook_checkpoints_newest(all, SIGNER_A, &newest));
        cr_expect_eq(newest.sequence, 9);
        cr_expect_eq(newest.checkpoint, 2);
        cr_expect_str_eq(newest.engine, SIGNER_E1);
        cr_expect_str_eq(newest.hash, signer_hash('c'));
        cr_expect_not(runbook_checkpoints_newest(all, SIGNER_E1, &newest));
}

/** RFC 8785, Ed25519 and the shape of the event, fixed: a change of any of them shows. */
Test(checkpoint, a_known_one) {
        static const char event[] =
#include "known_checkpoint.h"
                        ;
        cr_expect_eq(runbook_checkpoints_trust(all, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", &error),
                     0);
        cr_expect_eq(add_text(event), 0, "%s", error.message);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 12, signer_hash('d'), NULL), RUNBOOK_ATTESTED);
}

Test(checkpoint, several_engines_in_one_file) {
        RunbookAttested newest;

        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL)), 0);
        cr_expect_eq(add_new(signer_make(&two, signer_head(SIGNER_B, 1, 'b'), NULL, NULL)), 0);
        cr_expect_eq(add_new(signer_make(&two, signer_head(SIGNER_A, 2, 'c'), NULL, NULL)), 0, "%s",
                     error.message);
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        cr_expect_str_eq(runbook_checkpoints_engine(all, 1)->public_key, two.public_key);
        cr_assert(runbook_checkpoints_newest(all, SIGNER_A, &newest));
        cr_expect_eq(newest.sequence, 4);
        cr_expect_str_eq(newest.engine, SIGNER_E1);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 2, signer_hash('c'), NULL), RUNBOOK_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 2, signer_hash('a'), &error),
                     RUNBOOK_CONTRADICTED);
        expect_message("of engine " SIGNER_E2);
}

Test(checkpoint, what_comes_again_is_no_fault) {
        json_t *first = signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL);
        json_t *second = signer_make(&one, NULL, NULL, NULL);

        cr_expect_eq(add(first), 0);
        cr_expect_eq(add(second), 0);
        cr_expect_eq(add(first), RUNBOOK_CHECKPOINT_REPEATED);
        cr_expect_eq(add(second), RUNBOOK_CHECKPOINT_REPEATED);
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        cr_expect_eq(runbook_checkpoints_faults(all), 0);
        cr_expect_eq(runbook_checkpoints_events(all), 5);
        cr_expect_eq(runbook_checkpoints_engine(all, 0)->n_checkpoints, 3);
        json_decref(first);
        json_decref(second);
}

Test(checkpoint, it_may_begin_in_the_middle) {
        json_decref(signer_make(&one, NULL, NULL, NULL));
        json_decref(signer_make(&one, NULL, NULL, NULL));
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0, "%s", error.message);
        cr_expect_eq(runbook_checkpoints_engine(all, 0)->first_sequence, 3);
}

/* ── Keys and signatures ───────────────────────────────────────────────────────────────────────── */

Test(checkpoint, only_trusted_keys) {
        cr_expect_eq(runbook_checkpoints_trust(all, "AAAA", &error), RUNBOOK_CLIENT_E_INVALID);
        expect_message("32 bytes in base64");
        cr_expect_eq(runbook_checkpoints_trust(all, NULL, NULL), RUNBOOK_CLIENT_E_INVALID);
        cr_assert_eq(runbook_checkpoints_trust(all, one.public_key, &error), 0);
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0, "%s", error.message);
        cr_expect_eq(add_new(signer_make(&two, signer_head(SIGNER_A, 2, 'c'), NULL, NULL)),
                     RUNBOOK_CHECKPOINT_KEY);
        expect_message("which is not trusted");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 2, signer_hash('c'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_str_eq(runbook_checkpoints_engine(all, 1)->public_key, "");
        cr_assert_eq(runbook_checkpoints_trust(all, two.public_key, &error), 0);
        cr_expect_eq(add_new(signer_make(&two, NULL, NULL, NULL)), 0, "%s", error.message);
        for (int i = 2; i < RUNBOOK_CHECKPOINT_KEYS_MAX; i++)
                cr_assert_eq(runbook_checkpoints_trust(all, two.public_key, NULL), 0);
        cr_expect_eq(runbook_checkpoints_trust(all, two.public_key, NULL), RUNBOOK_CLIENT_E_TOO_LARGE);
}

Test(checkpoint, each_engine_is_held_to_its_first_key) {
        json_t *event = signer_make(&one, NULL, NULL, NULL);

        cr_expect_eq(add(event), 0);
        json_decref(event);
        event = signer_make(&one, signer_head(SIGNER_A, 2, 'c'), NULL, NULL);
        signer_sign(&two, event); /* all is right but for whose key it is */
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_KEY);
        expect_message("checkpoint 2 of engine " SIGNER_E1 " is signed by key");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 2, signer_hash('c'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        signer_sign(&one, event);
        cr_expect_eq(add(event), 0, "the forged one has not moved the chain: %s", error.message);
        cr_expect_eq(runbook_checkpoints_engine(all, 0)->n_faults, 1);
        json_decref(event);
}

Test(checkpoint, forged_signature) {
        json_t *event = signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL);
        json_t *head = json_array_get(json_object_get(signer_statement(event), "heads"), 0);

        json_object_set_new(head, "sequence", json_integer(3));
        signer_seal(event);
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_SIGNATURE);
        expect_message("was not signed by key");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 3, signer_hash('a'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_str_eq(runbook_checkpoints_engine(all, 0)->public_key, "", "what is forged pins no key");
        json_decref(event);
}

/* ── The event around the statement ────────────────────────────────────────────────────────────── */

Test(checkpoint, the_event_must_say_what_the_statement_says) {
        static const struct {
                const char *member, *value;
        } cases[] = {{"subject", SIGNER_E2},
                     {"source", "runbookd/" SIGNER_E2},
                     {"id", SIGNER_E1 "/2"},
                     {"time", "2026-01-02T03:04:05.678Z"},
                     {"prevhash", "1111111111111111111111111111111111111111111111111111111111111111"}};

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                json_t *event = signer_make(&one, NULL, NULL, NULL);

                json_object_set_new(event, cases[i].member, json_string(cases[i].value));
                signer_seal(event);
                cr_expect_eq(add_new(event), RUNBOOK_CHECKPOINT_STATEMENT, "%s", cases[i].member);
        }
        json_t *event = signer_make(&one, NULL, NULL, NULL);
        json_object_set_new(event, "sequence", json_integer(77));
        signer_seal(event);
        cr_expect_eq(add_new(event), RUNBOOK_CHECKPOINT_STATEMENT);
        expect_message("something else than the signed statement");
        cr_expect_eq(runbook_checkpoints_engine(all, 0)->n_checkpoints, 0);
}

Test(checkpoint, the_seal_must_be_right) {
        json_t *event = signer_make(&one, NULL, NULL, NULL);

        json_object_set_new(event, "extra", json_string("x"));
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_HASH);
        expect_message("was altered: its content gives hash");
        signer_seal(event);
        cr_expect_eq(add_new(event), 0, "a member that we do not know is none of our business: %s",
                     error.message);
}

/* ── Its place in the chain ────────────────────────────────────────────────────────────────────── */

Test(checkpoint, gaps_are_named_and_the_chain_goes_on) {
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        json_decref(signer_make(&one, NULL, NULL, NULL));
        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL)),
                     RUNBOOK_CHECKPOINT_GAP);
        cr_expect_str_eq(error.message, "checkpoint 2 of engine " SIGNER_E1 " is missing");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, signer_hash('a'), NULL), RUNBOOK_ATTESTED,
                     "it is the engine's word all the same");
        for (int i = 0; i < 3; i++)
                json_decref(signer_make(&one, NULL, NULL, NULL));
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), RUNBOOK_CHECKPOINT_GAP);
        cr_expect_str_eq(error.message, "checkpoints 4 to 6 of engine " SIGNER_E1 " are missing");
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        cr_expect_eq(runbook_checkpoints_faults(all), 2);
}

Test(checkpoint, links) {
        json_t *event = signer_make(&one, NULL, NULL, NULL);

        cr_expect_eq(add_new(event), 0);
        snprintf(one.hash, sizeof one.hash, "%s", signer_hash('7'));
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), RUNBOOK_CHECKPOINT_LINK);
        expect_message("checkpoint 2 of engine " SIGNER_E1 " does not follow the one before it");
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        snprintf(two.hash, sizeof two.hash, "%s", signer_hash('7'));
        cr_expect_eq(add_new(signer_make(&two, NULL, NULL, NULL)), RUNBOOK_CHECKPOINT_LINK);
        expect_message("64 zeros");
}

Test(checkpoint, a_second_branch) {
        Signer back = one;
        json_t *event;

        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        event = signer_make(&one, NULL, NULL, NULL);
        cr_expect_eq(add_new(event), 0);
        json_decref(signer_make(&back, NULL, NULL, NULL));
        event = signer_make(&back, signer_head(SIGNER_B, 2, 'b'), NULL, NULL);
        cr_expect_eq(add_new(event), RUNBOOK_CHECKPOINT_FORK, "%s", error.message);
        expect_message("checkpoint 2 of engine " SIGNER_E1 " was signed twice, with different content");
        cr_expect_eq(add_new(signer_make(&back, NULL, NULL, NULL)), 0, "the chain goes on there: %s",
                     error.message);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_B, 2, signer_hash('b'), NULL), RUNBOOK_ATTESTED);
}

Test(checkpoint, what_was_passed_long_ago) {
        json_t *first = signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL);

        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        cr_expect_eq(add(first), RUNBOOK_CHECKPOINT_ORDER);
        expect_message("checkpoint 1 of engine " SIGNER_E1 " stands behind checkpoint 2");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, signer_hash('a'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_eq(add_new(signer_make(&one, NULL, NULL, NULL)), 0);
        json_decref(first);
}

Test(checkpoint, heads_never_go_back) {
        RunbookAttested newest;

        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL)), 0);
        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), NULL, NULL)), 0,
                     "the same again");
        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 3, 'b'), signer_head(SIGNER_B, 3, 'b'),
                                         NULL)),
                     RUNBOOK_CHECKPOINT_HEAD);
        expect_message("checkpoint 3 of engine " SIGNER_E1 " takes chain " SIGNER_A
                       " back to event 3: checkpoint 1 attests event 4");
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_B, 3, signer_hash('b'), NULL), RUNBOOK_ATTESTED,
                     "the other heads count");
        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'b'), NULL, NULL)),
                     RUNBOOK_CHECKPOINT_HEAD);
        expect_message("attests another hash of chain " SIGNER_A ", event 4, than checkpoint 1");
        cr_assert(runbook_checkpoints_newest(all, SIGNER_A, &newest));
        cr_expect_str_eq(newest.hash, signer_hash('a'), "the first word counts");
        cr_expect_eq(runbook_checkpoints_faults(all), 2);
}

/* ── Hostile input ─────────────────────────────────────────────────────────────────────────────── */

Test(checkpoint, no_checkpoints_at_all) {
        static const char *const bad[] = {
                        "",
                        "x",
                        "[]",
                        "{}",
                        "null",
                        "7",
                        "\"\\ud800\"",
                        "{\"type\":\"runbook.checkpoint\"}",
                        "{\"a\":1,\"a\":2}",
                        "{\"type\":\"runbook.checkpoint\"",
                        "\xff\xfe",
                        "{\"\xc0\x80\":1}",
        };
        char deep[4096];

        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                cr_expect_eq(add_text(bad[i]), RUNBOOK_CHECKPOINT_MALFORMED, "%s", bad[i]);
                expect_message("not a checkpoint: ");
        }
        cr_expect_eq(add_text("{\"type\":\"runbook.step.completed\"}"), RUNBOOK_CHECKPOINT_MALFORMED);
        expect_message("/type: must be \"runbook.checkpoint\"");
        memset(deep, '[', sizeof deep - 1);
        deep[sizeof deep - 1] = 0;
        cr_expect_eq(add_text(deep), RUNBOOK_CHECKPOINT_MALFORMED);
        cr_expect_eq(runbook_checkpoints_events(all), N_ELEMENTS(bad) + 2);
        cr_expect_eq(runbook_checkpoints_faults(all), N_ELEMENTS(bad) + 2);
        cr_expect_null(runbook_checkpoints_engine(all, 0));
}

Test(checkpoint, huge) {
        size_t n = RUNBOOK_CHECKPOINT_BYTES_MAX + 1;
        char *text = malloc(n);

        memset(text, ' ', n);
        cr_expect_eq(runbook_checkpoints_add(all, text, n, &error), RUNBOOK_CHECKPOINT_MALFORMED);
        expect_message("bytes");
        free(text);
}

typedef enum Where { IN_EVENT, IN_DATA, IN_STATEMENT, IN_HEAD } Where;

static json_t *part(json_t *event, Where where) {
        json_t *statement = signer_statement(event);

        return where == IN_EVENT       ? event
               : where == IN_DATA      ? json_object_get(event, "data")
               : where == IN_STATEMENT ? statement
                                       : json_array_get(json_object_get(statement, "heads"), 0);
}

#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/** Each member with a value that it must not have; NULL: absent. Signed and sealed by the engine itself. */
Test(checkpoint, every_member_is_checked) {
        static const struct {
                Where where;
                const char *member, *json, *message;
        } cases[] = {
                        {IN_EVENT, "type", NULL, "/type: is required"},
                        {IN_EVENT, "specversion", "\"2.0\"", "/specversion: must be \"1.0\""},
                        {IN_EVENT, "datacontenttype", "1", "/datacontenttype: must be a string, is a number"},
                        {IN_EVENT, "sequence", "\"1\"", "/sequence: must be a whole number, is a string"},
                        {IN_EVENT, "sequence", "0",
                         "/sequence: must be between 1 and 9007199254740992, is 0"},
                        {IN_EVENT, "sequence", "1.5", "/sequence: must be a whole number"},
                        {IN_EVENT, "sequence", "1e300", "/sequence"},
                        {IN_STATEMENT, "sequence", "9223372036854775807",
                         "/data/statement/sequence: must be"},
                        {IN_EVENT, "time", "\"yesterday\"", "/time: must be a time"},
                        {IN_EVENT, "prevhash", "\"abc\"", "/prevhash: must be 64 hex digits"},
                        {IN_EVENT, "hash", "{}", "/hash: must be a string, is an object"},
                        {IN_EVENT, "data", "[]", "/data: must be an object, is an array"},
                        {IN_EVENT, "data", NULL, "/data: is required"},
                        {IN_DATA, "algorithm", "\"RS256\"", "/data/algorithm: must be \"Ed25519\""},
                        {IN_DATA, "publicKey", "\"AAAA\"", "/data/publicKey: must be 32 bytes in base64"},
                        {IN_DATA, "publicKey", "null", "/data/publicKey: is required"},
                        {IN_DATA, "signature", "\"%%%%\"", "/data/signature: must be 64 bytes in base64"},
                        {IN_DATA, "signature", "\"\"", "/data/signature"},
                        {IN_DATA, "statement", "\"{}\"", "/data/statement: must be an object, is a string"},
                        {IN_STATEMENT, "engine", "\"\"", "/data/statement/engine: must be an engine's id"},
                        {IN_STATEMENT, "engine", "\"a b\"", "/data/statement/engine"},
                        {IN_STATEMENT, "engine", "\"" A64 "a\"", "/data/statement/engine"},
                        {IN_STATEMENT, "sequence", "-1", "/data/statement/sequence"},
                        {IN_STATEMENT, "time", "5", "/data/statement/time"},
                        {IN_STATEMENT, "prevhash", "\"" A64 "a\"", "/data/statement/prevhash"},
                        {IN_STATEMENT, "heads", "{}",
                         "/data/statement/heads: must be an array, is an object"},
                        {IN_STATEMENT, "heads", NULL, "/data/statement/heads: is required"},
                        {IN_STATEMENT, "heads", "[7]",
                         "/data/statement/heads/0: must be an object, is a number"},
                        {IN_HEAD, "id", "\"x\"", "/data/statement/heads/0/id: must be a UUID"},
                        {IN_HEAD, "id", "\"" SIGNER_B "\"",
                         "/data/statement/heads/1: this chain is there already"},
                        {IN_HEAD, "tenant", NULL, "/data/statement/heads/0/tenant: is required"},
                        {IN_HEAD, "sequence", "null", "/data/statement/heads/0/sequence: is required"},
                        {IN_HEAD, "hash", "\"" A64 "\\u0000\"", "not a checkpoint"},
                        {IN_HEAD, "hash", "\"A" A64 "\"", "/data/statement/heads/0/hash"},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                json_t *event = signer_make(&one, signer_head(SIGNER_A, 4, 'a'),
                                            signer_head(SIGNER_B, 4, 'a'), NULL);
                const char *value = cases[i].json;

                if (value)
                        json_object_set_new(part(event, cases[i].where), cases[i].member,
                                            json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
                else
                        json_object_del(part(event, cases[i].where), cases[i].member);
                if (cases[i].where >= IN_STATEMENT)
                        signer_sign(&one, event);
                else if (strcmp(cases[i].member, "hash") != 0)
                        signer_seal(event);
                cr_expect_eq(add_new(event), RUNBOOK_CHECKPOINT_MALFORMED, "%s %s", cases[i].member, value);
                expect_message(cases[i].message);
        }
        cr_expect_null(runbook_checkpoints_engine(all, 0));
}

/** Base64 and hex have one right form each: else the same checkpoint could be had in many. */
Test(checkpoint, other_spellings) {
        json_t *event = signer_make(&one, NULL, NULL, NULL);
        const char *hash = json_string_value(json_object_get(event, "hash"));
        char upper[DIGEST_TEXT_SIZE + 1], spaced[64];

        for (size_t i = 0; i <= DIGEST_TEXT_SIZE; i++)
                upper[i] = hash[i] >= 'a' && hash[i] <= 'f' ? (char)(hash[i] - 32) : hash[i];
        json_object_set_new(event, "hash", json_string(upper));
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_MALFORMED);
        snprintf(spaced, sizeof spaced, "%.43s", one.public_key); /* without its padding */
        json_object_set_new(json_object_get(event, "data"), "publicKey", json_string(spaced));
        signer_seal(event);
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_MALFORMED);
        expect_message("/data/publicKey");
        json_decref(event);
}

Test(checkpoint, too_many_heads) {
        json_t *event = signer_make(&one, NULL, NULL, NULL);
        json_t *heads = json_object_get(signer_statement(event), "heads");
        char id[37];

        for (int i = 0; i <= CHECKPOINT_HEADS_MAX; i++) {
                snprintf(id, sizeof id, "01900000-0000-7000-8000-%012d", i);
                json_array_append_new(heads, signer_head(id, 1, 'a'));
        }
        signer_sign(&one, event);
        cr_expect_eq(add(event), RUNBOOK_CHECKPOINT_MALFORMED);
        expect_message("has 501 heads, at most 500");
        json_array_remove(heads, 0);
        signer_sign(&one, event);
        cr_expect_eq(add_new(event), 0, "%s", error.message);
}

Test(checkpoint, too_many_engines) {
        char name[32];
        int r = 0;

        for (int i = 0; i <= RUNBOOK_CHECKPOINT_ENGINES_MAX && r == 0; i++) {
                Signer s = one;

                snprintf(name, sizeof name, "engine-%d", i);
                s.engine = name;
                r = add_new(signer_make(&s, NULL, NULL, NULL));
        }
        cr_expect_eq(r, RUNBOOK_CLIENT_E_TOO_LARGE);
        expect_message("more than 256 engines");
}

/* ── Memory ────────────────────────────────────────────────────────────────────────────────────── */

Test(checkpoint, only_one_chain_is_remembered) {
        cr_expect_eq(runbook_checkpoints_only(all, "x", &error), RUNBOOK_CLIENT_E_INVALID);
        cr_assert_eq(runbook_checkpoints_only(all, SIGNER_B, &error), 0);
        cr_expect_eq(add_new(signer_make(&one, signer_head(SIGNER_A, 4, 'a'), signer_head(SIGNER_B, 2, 'b'),
                                         NULL)),
                     0);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_A, 4, signer_hash('a'), NULL),
                     RUNBOOK_NOT_ATTESTED);
        cr_expect_eq(runbook_checkpoints_check(all, SIGNER_B, 2, signer_hash('b'), NULL), RUNBOOK_ATTESTED);
}

static CheckpointHead head_of(uint8_t id, int64_t sequence) {
        return (CheckpointHead){.id = {{id}}, .sequence = sequence, .hash = {{(uint8_t)sequence}}};
}

Test(checkpoint, all_heads_up_to_the_limit) {
        CheckpointHeads h;
        AttestedHead known;

        checkpoint_heads_init(&h, RUNBOOK_CHECKPOINTS_ALL, 1, 2);
        h.n_heads_max = 10;
        for (int i = 1; i <= 10; i++)
                cr_expect_eq(checkpoint_heads_note(&h, 0, i, &(CheckpointHead[]){head_of(1, 10 * i)}[0],
                                                   &known),
                             0);
        for (int i = 1; i <= 10; i++)
                cr_expect_eq(checkpoint_heads_find(&h, 0, (Uuid){{1}}, 10 * i)->checkpoint, i);
        cr_expect_null(checkpoint_heads_find(&h, 0, (Uuid){{1}}, 11));
        cr_expect_null(checkpoint_heads_find(&h, 1, (Uuid){{1}}, 10));
        cr_expect_eq(checkpoint_heads_note(&h, 0, 11, &(CheckpointHead[]){head_of(2, 1)}[0], &known),
                     RUNBOOK_CLIENT_E_TOO_LARGE);
        checkpoint_heads_deinit(&h);
}

Test(checkpoint, the_newest_heads_of_the_chains_attested_last) {
        CheckpointHeads h;
        AttestedHead known;

        checkpoint_heads_init(&h, RUNBOOK_CHECKPOINTS_NEWEST, 1, 2);
        h.n_chains_max = 3;
        for (int i = 1; i <= 3; i++)
                cr_expect_eq(checkpoint_heads_note(&h, 0, i, &(CheckpointHead[]){head_of((uint8_t)i, 1)}[0],
                                                   &known),
                             0);
        cr_expect_eq(checkpoint_heads_note(&h, 0, 4, &(CheckpointHead[]){head_of(1, 5)}[0], &known), 0);
        cr_expect_eq(checkpoint_heads_note(&h, 0, 5, &(CheckpointHead[]){head_of(4, 1)}[0], &known), 0);
        cr_expect_null(checkpoint_heads_newest(&h, 0, (Uuid){{2}}), "attested longest ago");
        cr_expect_eq(checkpoint_heads_newest(&h, 0, (Uuid){{1}})->sequence, 5);
        cr_expect_null(checkpoint_heads_find(&h, 0, (Uuid){{1}}, 1));
        cr_expect_eq(h.n_chains, 3);
        cr_expect_eq(h.n_heads, 3);
        checkpoint_heads_deinit(&h);
}
