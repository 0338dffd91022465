/* The check of an audit trail: what is whole passes, every kind of damage is found and named. */

#include <criterion/criterion.h>
#include <jansson.h>
#include <runbook/client.h>
#include <stdio.h>
#include "../leaks.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "json/digest.h"
#include "json/json_write.h"

#define N_EVENTS 5

static json_t *events[N_EVENTS];

/** Put @event's hash right. */
static void seal(json_t *event) {
        char hash[DIGEST_TEXT_SIZE + 1];
        Buf b = {0};
        Digest d;

        json_object_del(event, "hash");
        json_canonical(event, &b);
        digest_slice(buf_slice(&b), &d);
        digest_format(&d, hash);
        buf_deinit(&b);
        json_object_set_new(event, "hash", json_string(hash));
}

static void setup(void) {
        char zeros[65], subject[64];

        memset(zeros, '0', 64);
        zeros[64] = 0;
        for (int i = 0; i < N_EVENTS; i++) {
                snprintf(subject, sizeof subject, "0190aaaa-0000-7000-8000-000000000001%s",
                         i % 2 ? "/schritt-ä" : "");
                events[i] = json_pack("{ss ss si s{ss si sf} ss}", "type", "runbook.step.completed",
                                      "subject", subject, "sequence", i + 1, "data", "status", "completed",
                                      "durationMs", 12, "ratio", 0.1, "prevhash",
                                      i ? json_string_value(json_object_get(events[i - 1], "hash")) : zeros);
                seal(events[i]);
        }
}

static void teardown(void) {
        for (int i = 0; i < N_EVENTS; i++)
                json_decref(events[i]);
        check_leaks();
}

static int add(RunbookEventChain *chain, const json_t *event, RunbookClientError *e) {
        char *text = json_dumps(event,
                                JSON_INDENT(3)); /* other blanks, other order: the canonical form counts */
        int r = runbook_event_chain_add(chain, text, strlen(text), e);

        free(text);
        return r;
}

TestSuite(chain, .init = setup, .fini = teardown);

Test(chain, whole_history_passes) {
        RunbookEventChain *chain = runbook_event_chain_new();

        for (int i = 0; i < N_EVENTS; i++)
                cr_assert_eq(add(chain, events[i], NULL), RUNBOOK_CHAIN_FINE);
        cr_expect_eq(runbook_event_chain_events(chain), N_EVENTS);
        cr_expect_eq(runbook_event_chain_faults(chain), 0);
        cr_expect_eq(runbook_event_chain_sequence(chain), N_EVENTS);
        cr_expect_str_eq(runbook_event_chain_hash(chain),
                         json_string_value(json_object_get(events[N_EVENTS - 1], "hash")));
        runbook_event_chain_free(chain);
}

/** The hash of a fixed event, so that a change of the canonical form or of the rule itself shows. */
Test(chain, known_hash) {
        static const char event[] =
                        "{\"prevhash\":\"0000000000000000000000000000000000000000000000000000000000000000\","
                        "\"sequence\":1,\"subject\":\"x\","
                        "\"hash\":\"28c044bc770eb0935d81f41ff41b3e91ad5b192a6aefc1e8367b56cbc17a4876\"}";
        RunbookEventChain *chain = runbook_event_chain_new();
        RunbookClientError e = {0};

        cr_expect_eq(runbook_event_chain_add(chain, event, sizeof event - 1, &e), RUNBOOK_CHAIN_FINE, "%s",
                     e.message);
        runbook_event_chain_free(chain);
}

Test(chain, altered_content_is_found_and_only_there) {
        RunbookEventChain *chain = runbook_event_chain_new();
        RunbookClientError e = {0};

        json_object_set_new(json_object_get(events[2], "data"), "status", json_string("skipped"));
        cr_expect_eq(add(chain, events[0], &e), 0);
        cr_expect_eq(add(chain, events[1], &e), 0);
        cr_expect_eq(add(chain, events[2], &e), RUNBOOK_CHAIN_HASH);
        cr_expect_not_null(strstr(e.message, "event 3 was altered"));
        cr_expect_eq(add(chain, events[3], &e), 0);
        cr_expect_eq(runbook_event_chain_faults(chain), 1);
        runbook_event_chain_free(chain);
}

Test(chain, altered_and_sealed_again_breaks_the_link) {
        RunbookEventChain *chain = runbook_event_chain_new();
        RunbookClientError e = {0};

        json_object_set_new(json_object_get(events[2], "data"), "status", json_string("skipped"));
        seal(events[2]);
        for (int i = 0; i < 3; i++)
                cr_expect_eq(add(chain, events[i], &e), 0);
        cr_expect_eq(add(chain, events[3], &e), RUNBOOK_CHAIN_LINK);
        cr_expect_not_null(strstr(e.message, "event 4 does not follow"));
        runbook_event_chain_free(chain);
}

Test(chain, missing_events_are_named) {
        RunbookEventChain *chain = runbook_event_chain_new();
        RunbookClientError e = {0};

        cr_expect_eq(add(chain, events[0], &e), 0);
        cr_expect_eq(add(chain, events[3], &e), RUNBOOK_CHAIN_GAP);
        cr_expect_str_eq(e.message, "events 2 to 3 are missing");
        cr_expect_eq(add(chain, events[4], &e), 0);
        runbook_event_chain_free(chain);
}

Test(chain, swapped_and_doubled) {
        RunbookEventChain *chain = runbook_event_chain_new();
        RunbookClientError e = {0};

        cr_expect_eq(add(chain, events[0], &e), 0);
        cr_expect_eq(add(chain, events[1], &e), 0);
        cr_expect_eq(add(chain, events[1], &e), RUNBOOK_CHAIN_ORDER);
        cr_expect_eq(add(chain, events[2], &e), 0);
        runbook_event_chain_free(chain);
}

Test(chain, first_event_must_be_the_first) {
        RunbookEventChain *chain = runbook_event_chain_new();

        json_object_set_new(events[0], "prevhash",
                            json_string(json_string_value(json_object_get(events[1], "hash"))));
        seal(events[0]);
        cr_expect_eq(add(chain, events[0], NULL), RUNBOOK_CHAIN_LINK);
        runbook_event_chain_free(chain);
}

Test(chain, other_execution) {
        RunbookEventChain *chain = runbook_event_chain_new();

        json_object_set_new(events[1], "subject", json_string("0190aaaa-0000-7000-8000-000000000002"));
        seal(events[1]);
        cr_expect_eq(add(chain, events[0], NULL), 0);
        cr_expect_eq(add(chain, events[1], NULL), RUNBOOK_CHAIN_EXECUTION);
        runbook_event_chain_free(chain);
}

Test(chain, malformed) {
        static const char *const bad[] = {
                        "",
                        "x",
                        "[]",
                        "{}",
                        "{\"sequence\":1}",
                        "{\"sequence\":\"1\",\"prevhash\":\"\",\"hash\":\"\"}",
                        "{\"sequence\":0,\"prevhash\":"
                        "\"0000000000000000000000000000000000000000000000000000000000000000\","
                        "\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
                        "{\"sequence\":1,\"prevhash\":\"zz\",\"hash\":7}",
                        "{\"sequence\":9223372036854775807,\"prevhash\":"
                        "\"0000000000000000000000000000000000000000000000000000000000000000\","
                        "\"hash\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
        };
        RunbookEventChain *chain = runbook_event_chain_new();

        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_expect_eq(runbook_event_chain_add(chain, bad[i], strlen(bad[i]), NULL),
                             RUNBOOK_CHAIN_MALFORMED, "%s", bad[i]);
        cr_expect_eq(runbook_event_chain_faults(chain), N_ELEMENTS(bad));
        cr_expect_eq(runbook_event_chain_sequence(chain), 0);
        runbook_event_chain_free(chain);
}

Test(chain, resumes_from_a_checkpoint) {
        RunbookEventChain *chain = runbook_event_chain_new();

        cr_expect_lt(runbook_event_chain_resume(chain, 2, "no hash"), 0);
        cr_expect_eq(runbook_event_chain_resume(chain, 2,
                                                json_string_value(json_object_get(events[1], "hash"))),
                     0);
        cr_expect_eq(add(chain, events[2], NULL), 0);
        cr_expect_eq(add(chain, events[3], NULL), 0);
        runbook_event_chain_free(chain);
}
