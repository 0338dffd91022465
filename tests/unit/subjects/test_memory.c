/*
 * Memory that runs out: every allocation of a message's road fails once, one after the other. Nothing
 * crashes or leaks, and there is one outcome: the request, or an error. (The linker puts our functions in
 * the place of malloc and its likes, in our own code. jansson's allocations don't fail here: its parser,
 * 2.14, crashes by itself when they do.)
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "house.h"

#define ID              "0190a0b0-1234-7abc-8def-0123456789ab"
#define ALLOCATIONS_MAX 5000 /* of one message */

static long countdown = -1; /* allocations until the one that fails; negative: none does */
static bool has_failed;

static bool fails(void) {
        if (countdown < 0 || countdown-- > 0)
                return false;
        has_failed = true;
        return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

static void in_bus(bool inside) {
        static long kept;
        if (inside) {
                kept = countdown;
                countdown = -1;
        } else {
                countdown = kept;
        }
}

static House *h;

static void open_house(bool with_runtime) {
        house_in_bus = in_bus;
        h = house_new(with_runtime);
}

TestSuite(memory, .fini = check_leaks);

/** Send, with the allocation after @n others failing. False: it did not come to so many. */
static bool send_failing(long n, const char *tail, const char *body) {
        has_failed = false;
        countdown = n;
        house_send(h, tail, INBOX, body, strlen(body), NULL);
        countdown = -1;
        return has_failed;
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
