/*
 * Memory that runs out: every allocation of a message's road fails once, one after the other. Nothing
 * crashes or leaks, and there is one outcome: the request, or an error.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../failing.h"
#include "../leaks.h"
#include "house.h"

#define ID              "0190a0b0-1234-7abc-8def-0123456789ab"
#define ALLOCATIONS_MAX 5000 /* of one message */

static House *h;

static void open_house(bool with_runtime) {
        house_in_bus = failing_aside;
        h = house_new(with_runtime);
}

TestSuite(memory, .fini = check_leaks);

/** Send, with the allocation after @n others failing. False: it did not come to so many. */
static bool send_failing(long n, const char *tail, const char *body) {
        failing_begin(n, 1);
        house_send(h, tail, INBOX, body, strlen(body), NULL);
        failing_end();
        return failing_reached();
}

static void check_one_outcome(long n, const char *tail) {
        int outcomes = h->n_sent + (h->kept != NULL);
        cr_assert_leq(outcomes, 1, "%s, allocation %ld: %d outcomes", tail, n, outcomes);
        /* Without memory for the very answer nobody can be told; that is the first one. */
        cr_assert(outcomes == 1 || n == 0, "%s, allocation %ld: no outcome", tail, n);
        if (h->n_sent == 1 && h->sent[0].code != RUNBOOK_OK)
                house_check_error(&h->sent[0], h->sent[0].code);
}

Test(memory, commands) {
        static const char *const messages[][2] = {
                        {"acme.cmd.alice.start", "{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{"
                                                 "\"authority\":\"a\",\"classification\":\"c\"}},"
                                                 "\"input\":{\"a\":[1,2]},\"commandId\":\"c\",\"options\":{"
                                                 "\"idempotencyKey\":\"k\"}}"},
                        {"acme.cmd.alice.start", "{\"runbookId\":7}"},
                        {"acme.cmd.alice.start", "{"},
                        {"acme.cmd.alice.cancel." ID, "{\"reason\":\"x\",\"commandId\":\"c\"}"},
                        {"acme.cmd.alice.approve." ID ".s", "{\"decision\":\"approved\",\"comments\":\"x\"}"},
                        {"acme.cmd.alice.nothing", ""},
                        {"acme.event.alice.a.b", "{\"correlationId\":\"k\",\"payload\":{}}"},
                        {"acme.cmd.al@ce.start", ""},
                        {"acme.cmd.alice", ""},
        };
        open_house(false);
        for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
                long n = 0;
                while (n < ALLOCATIONS_MAX && send_failing(n, messages[i][0], messages[i][1]))
                        check_one_outcome(n++, messages[i][0]);
                cr_assert(n > 0 && n < ALLOCATIONS_MAX, "%s: %ld", messages[i][0], n);
        }
        house_free(h);
}

Test(memory, queries) {
        static const char *const tails[] = {"runbooks",     "runbook.r", "executions",    "execution.<id>",
                                            "history.<id>", "logs.<id>", "evidence.<id>", "audit.<id>",
                                            "approvals",    "stats",     "nothing"};
        char tail[128], id[64];
        open_house(true);
        json_decref(house_get(h, "acme.cmd.alice.register",
                              "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"steps\":[{\"id\":\"a\","
                              "\"name\":\"A\",\"type\":\"human-approval\","
                              "\"approvalConfig\":{\"approvers\":[\"bob\"],\"minApprovals\":1,\"timeoutMs\":"
                              "1000,\"timeoutAction\":\"fail\"}}]}"));
        json_t *started = house_get(h, "acme.cmd.alice.start",
                                    "{\"runbookId\":\"r\",\"context\":{\"legalBasis\":{\"authority\":\"a\","
                                    "\"classification\":\"c\"}}}");
        snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(started, "executionId")));
        json_decref(started);
        for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
                long n = 0;
                size_t n_name = strcspn(tails[i], ".");
                bool takes_id = !strcmp(tails[i] + n_name, ".<id>");
                snprintf(tail, sizeof(tail), "acme.query.bob.%.*s%s%s", (int)n_name, tails[i],
                         takes_id ? "." : tails[i] + n_name, takes_id ? id : "");
                while (n < ALLOCATIONS_MAX && send_failing(n, tail, "{\"limit\":5}"))
                        check_one_outcome(n++, tail);
                cr_assert(n > 0 && n < ALLOCATIONS_MAX, "%s: %ld", tail, n);
        }
        house_free(h);
}
