/* Queries over executions that the real runtime has carried out: shapes, paging, who may read. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "house.h"

static House *h;
static void open_house(void) { h = house_new(true); }
static void close_house(void) {
        house_free(h);
        check_leaks();
}
TestSuite(query, .init = open_house, .fini = close_house);

#define LEGAL "\"legalBasis\":{\"authority\":\"INVESTIGATION\",\"classification\":\"SENSITIVE\"%s}"

static const char *str(const json_t *json, const char *key) {
        const char *s = json_string_value(json_object_get(json, key));
        return s ? s : "(none)";
}

static json_int_t num(const json_t *json, const char *key) {
        cr_assert(json_is_integer(json_object_get(json, key)), "%s is no number", key);
        return json_integer_value(json_object_get(json, key));
}

static void register_text(const char *text) { json_decref(house_get(h, "acme.cmd.alice.register", text)); }

/** A runbook of one step that waits a minute. */
static void register_wait(const char *id, const char *version) {
        char text[512];
        snprintf(text, sizeof(text),
                 "{\"id\":\"%s\",\"name\":\"N\",\"version\":\"%s\",\"idempotency\":\"none\",\"steps\":[{"
                 "\"id\":\"w\",\"name\":\"W\","
                 "\"type\":\"wait\",\"config\":{\"durationMs\":60000}}]}",
                 id, version);
        register_text(text);
}

/** Start as @user with @legal's further members; the execution's id (static). */
static const char *start(const char *user, const char *runbook, const char *legal, const char *input) {
        static char id[UUID_TEXT_SIZE + 1];
        char tail[64], body[1024];
        snprintf(tail, sizeof(tail), "acme.cmd.%s.start", user);
        snprintf(body, sizeof(body), "{\"runbookId\":\"%s\",\"context\":{" LEGAL "},\"input\":%s}", runbook,
                 legal, input);
        json_t *json = house_get(h, tail, body);
        snprintf(id, sizeof(id), "%s", str(json, "executionId"));
        json_decref(json);
        h->now_ms += 10;
        return id;
}

static json_t *query(const char *user, const char *what, const char *arg, const char *body) {
        char tail[256];
        snprintf(tail, sizeof(tail), "acme.query.%s.%s%s%s", user, what, arg[0] ? "." : "", arg);
        json_t *json = house_get(h, tail, body);
        cr_assert_str_eq(str(json, "version"), "v1");
        return json;
}

static void refused(const char *user, const char *what, const char *arg, const char *body, RunbookCode code) {
        char tail[256];
        snprintf(tail, sizeof(tail), "acme.query.%s.%s%s%s", user, what, arg[0] ? "." : "", arg);
        house_check_error(house_ask(h, tail, body), code);
}

static const char everything[] =
                "{\"id\":\"all\",\"name\":\"All\",\"version\":\"1\",\"description\":\"what it "
                "does\",\"steps\":["
                "{\"id\":\"c\",\"name\":\"C\",\"type\":\"conditional\",\"config\":{\"condition\":{\"field\":"
                "\"input.go\",\"operator\":\"eq\","
                "\"value\":true},\"trueBranch\":\"ask\",\"falseBranch\":\"no\"}},"
                "{\"id\":\"no\",\"name\":\"No\",\"type\":\"wait\",\"config\":{\"durationMs\":1}},"
                "{\"id\":\"ask\",\"name\":\"Ask\",\"type\":\"human-approval\",\"approvalConfig\":{"
                "\"approvers\":[\"bob\",\"carol\",\"dave\"],\"minApprovals\":2,"
                "\"timeoutMs\":60000,\"timeoutAction\":\"fail\",\"prompt\":\"Go ahead?\"}},"
                "{\"id\":\"ev\",\"name\":\"Ev\",\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"a."
                "b\",\"correlationId\":\"k\",\"timeoutMs\":60000}},"
                "{\"id\":\"w\",\"name\":\"W\",\"type\":\"wait\",\"config\":{\"durationMs\":60000}},"
                "{\"id\":\"call\",\"name\":\"Call\",\"type\":\"call-service\",\"config\":{\"url\":\"http://"
                "127.0.0.1:1/\"},"
                "\"retryPolicy\":{\"maxAttempts\":3,\"initialDelayMs\":5000,\"maxDelayMs\":5000,"
                "\"backoffMultiplier\":1}}]}";

Test(query, execution_shows_everything) {
        register_text(everything);
        const char *id = start("alice", "all", "", "{\"go\":true}");
        json_t *reply = query("alice", "execution", id, ""), *x = json_object_get(reply, "execution");
        static const char *const members[] = {"id",
                                              "runbookId",
                                              "runbookVersion",
                                              "status",
                                              "context",
                                              "input",
                                              "output",
                                              "startTime",
                                              "endTime",
                                              "durationMs",
                                              "isReplay",
                                              "originalExecutionId",
                                              "parentExecutionId",
                                              "cancelledBy",
                                              "cancellationReason",
                                              "error",
                                              "progress",
                                              "stepResults"};
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
                cr_assert_not_null(json_object_get(x, members[i]), "%s is missing", members[i]);
        cr_assert_str_eq(str(x, "id"), id);
        cr_assert_str_eq(str(x, "status"), "running");
        cr_assert(json_is_null(json_object_get(x, "endTime")));
        cr_assert_str_eq(str(json_object_get(x, "context"), "tenantId"), "acme");
        const json_t *progress = json_object_get(x, "progress"), *steps = json_object_get(x, "stepResults");
        cr_assert_eq(num(progress, "total"), 6);
        cr_assert_eq(num(progress, "completed"), 1);
        cr_assert_eq(num(progress, "skipped"), 1);
        cr_assert_eq(num(progress, "percent"), 33);
        cr_assert_eq(json_object_size(steps), 6);
        cr_assert_str_eq(str(json_object_get(steps, "no"), "skipReason"), "branch_not_taken");
        const json_t *ask = json_object_get(steps, "ask"), *wait = json_object_get(ask, "waitingFor");
        cr_assert_str_eq(str(ask, "status"), "awaiting_approval");
        cr_assert_str_eq(str(wait, "type"), "approval");
        cr_assert_eq(json_array_size(json_object_get(wait, "approvers")), 3);
        cr_assert_eq(num(wait, "minApprovals"), 2);
        cr_assert_str_eq(str(wait, "deadline"), "2026-01-01T00:01:00.000Z");
        wait = json_object_get(json_object_get(steps, "ev"), "waitingFor");
        cr_assert_str_eq(str(wait, "type"), "event");
        cr_assert_str_eq(str(wait, "eventType"), "a.b");
        cr_assert_str_eq(str(wait, "correlationId"), "k");
        wait = json_object_get(json_object_get(steps, "w"), "waitingFor");
        cr_assert_str_eq(str(wait, "type"), "time");
        cr_assert_str_eq(str(wait, "until"), "2026-01-01T00:01:00.000Z");
        const json_t *call = json_object_get(steps, "call");
        cr_assert_str_eq(str(call, "status"), "retrying"); /* there is no executor in this house */
        cr_assert_str_eq(str(json_object_get(call, "waitingFor"), "type"), "retry");
        cr_assert_not_null(json_object_get(call, "error"));
        cr_assert_eq(num(call, "attemptNumber"), 1);
        json_decref(reply);
}

Test(query, execution_after_votes_and_cancel) {
        register_text(everything);
        char id[64], tail[160];
        snprintf(id, sizeof(id), "%s", start("alice", "all", "", "{\"go\":true}"));
        snprintf(tail, sizeof(tail), "acme.cmd.bob.approve.%s.ask", id);
        json_decref(house_get(h, tail, "{\"decision\":\"approved\",\"comments\":\"fine\"}"));
        json_t *reply = query("alice", "execution", id, "");
        const json_t *votes = json_object_get(
                        json_object_get(json_object_get(json_object_get(reply, "execution"), "stepResults"),
                                        "ask"),
                        "approvals");
        cr_assert_eq(json_array_size(votes), 1);
        cr_assert_str_eq(str(json_array_get(votes, 0), "user"), "bob");
        cr_assert_str_eq(str(json_array_get(votes, 0), "decision"), "approved");
        cr_assert_str_eq(str(json_array_get(votes, 0), "comments"), "fine");
        json_decref(reply);
        snprintf(tail, sizeof(tail), "acme.cmd.alice.cancel.%s", id);
        json_decref(house_get(h, tail, "{\"reason\":\"enough\"}"));
        reply = query("alice", "execution", id, "");
        const json_t *x = json_object_get(reply, "execution");
        cr_assert_str_eq(str(x, "status"), "cancelled");
        cr_assert_str_eq(str(x, "cancelledBy"), "alice");
        cr_assert_str_eq(str(x, "cancellationReason"), "enough");
        cr_assert_gt(num(x, "durationMs"), 0);
        cr_assert_eq(num(json_object_get(x, "progress"), "percent"), 100);
        json_decref(reply);
}

Test(query, execution_steps_in_pages) {
        register_text(everything);
        const char *id = start("alice", "all", "", "{\"go\":true}");
        char body[128];
        int n_steps = 0, n_pages = 0;
        json_t *page = query("alice", "execution", id, "{\"limit\":4}");
        for (;;) {
                const json_t *x = json_object_get(page, "execution");
                cr_assert_eq(json_object_get(x, "context") != NULL, n_pages == 0,
                             "the large members are on the first page only");
                n_steps += (int)json_object_size(json_object_get(x, "stepResults"));
                n_pages++;
                const char *cursor = json_string_value(json_object_get(page, "nextCursor"));
                if (!cursor)
                        break;
                snprintf(body, sizeof(body), "{\"limit\":4,\"cursor\":\"%s\"}", cursor);
                json_decref(page);
                page = query("alice", "execution", id, body);
        }
        json_decref(page);
        cr_assert_eq(n_pages, 2);
        cr_assert_eq(n_steps, 6);
        page = query("alice", "execution", id, "{\"steps\":false}");
        cr_assert_null(json_object_get(json_object_get(page, "execution"), "stepResults"));
        json_decref(page);
        page = query("alice", "execution", id, "{\"only\":\"input\"}");
        cr_assert_eq(json_object_size(json_object_get(page, "execution")), 2);
        json_decref(page);
        refused("alice", "execution", id, "{\"only\":\"secrets\"}", RUNBOOK_INVALID_REQUEST);
        refused("alice", "execution", id, "{\"stepsAfter\":\"nope\"}", RUNBOOK_INVALID_REQUEST);
        refused("alice", "execution", id, "{\"cursor\":\"x1\"}", RUNBOOK_INVALID_REQUEST);
        refused("alice", "execution", id, "{\"cursor\":\"s99\"}", RUNBOOK_INVALID_REQUEST);
}

Test(query, what_does_not_fit_a_message_is_named) {
        register_wait("big", "1");
        Buf input = {0};
        buf_put_char(&input, '"');
        for (int i = 0; i < 600; i++)
                buf_put_char(&input, 'x');
        buf_put_char(&input, '"');
        buf_put_char(&input, 0);
        const char *id = start("alice", "big", "", input.data);
        buf_deinit(&input);
        h->payload_max = 6 * 1024;
        json_t *reply = query("alice", "execution", id, "");
        const json_t *omitted = json_object_get(json_object_get(reply, "execution"), "omitted");
        cr_assert_eq(json_array_size(omitted), 3);
        json_decref(reply);
        reply = query("alice", "execution", id, "{\"only\":\"input\"}");
        cr_assert_eq(json_string_length(json_object_get(json_object_get(reply, "execution"), "input")), 600);
        json_decref(reply);
        h->payload_max = 500;
        refused("alice", "execution", id, "{\"only\":\"input\"}", RUNBOOK_TOO_LARGE);
}

Test(query, executions_newest_first_in_pages) {
        char ids[5][64], body[128] = "{\"limit\":2}";
        register_wait("a", "1");
        for (int i = 0; i < 5; i++)
                snprintf(ids[i], sizeof(ids[i]), "%s", start("alice", "a", "", "{}"));
        int next = 4, n_pages = 0;
        for (bool more = true; more; n_pages++) {
                json_t *page = query("alice", "executions", "", body);
                const json_t *list = json_object_get(page, "executions"), *x;
                size_t i;
                cr_assert_eq(num(page, "count"), (json_int_t)json_array_size(list));
                json_array_foreach((json_t *)list, i, x) {
                        cr_assert_str_eq(str(x, "id"), ids[next--]);
                        cr_assert_str_eq(str(x, "runbookId"), "a");
                        cr_assert_str_eq(str(x, "status"), "running");
                        cr_assert_eq(num(json_object_get(x, "progress"), "total"), 1);
                }
                more = json_object_get(page, "nextCursor") != NULL;
                snprintf(body, sizeof(body), "{\"limit\":2,\"cursor\":\"%s\"}", str(page, "nextCursor"));
                json_decref(page);
        }
        cr_assert_eq(next, -1);
        cr_assert_leq(n_pages, 4);
}

static size_t count_executions(const char *user, const char *body) {
        json_t *reply = query(user, "executions", "", body);
        size_t n = json_array_size(json_object_get(reply, "executions"));
        json_decref(reply);
        return n;
}

Test(query, executions_filtered) {
        register_wait("a", "1");
        register_wait("b", "1");
        start("alice", "a", "", "{}");
        start("bob", "a", "", "{}");
        start("alice", "b", "", "{}");
        cr_assert_eq(count_executions("alice", ""), 3);
        cr_assert_eq(count_executions("alice", "{\"runbookId\":\"a\"}"), 2);
        cr_assert_eq(count_executions("alice", "{\"initiatedBy\":\"bob\"}"), 1);
        cr_assert_eq(count_executions("alice", "{\"status\":\"running\"}"), 3);
        cr_assert_eq(count_executions("alice", "{\"status\":\"failed\"}"), 0);
        cr_assert_eq(count_executions("alice", "{\"until\":\"2026-01-01T00:00:00.005Z\"}"), 1);
        cr_assert_eq(count_executions("alice", "{\"since\":\"2026-01-01T00:00:00.005Z\"}"), 2);
        static const char *const bad[] = {"{\"limit\":0}",
                                          "{\"limit\":1001}",
                                          "{\"limit\":\"x\"}",
                                          "{\"cursor\":\"???\"}",
                                          "{\"cursor\":7}",
                                          "{\"cursor\":\"x0\"}",
                                          "{\"status\":\"sleeping\"}",
                                          "{\"since\":\"yesterday\"}",
                                          "{\"runbookId\":[]}",
                                          "[]"};
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                refused("alice", "executions", "", bad[i], RUNBOOK_INVALID_REQUEST);
        refused("alice", "executions", "", "{", RUNBOOK_INVALID_JSON);
}

Test(query, authorized_users_decide_who_reads) {
        register_wait("a", "1");
        char id[64];
        snprintf(id, sizeof(id), "%s", start("alice", "a", ",\"authorizedUsers\":[\"alice\",\"bob\"]", "{}"));
        static const char *const whats[] = {"execution", "history", "logs", "evidence", "audit"};
        for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
                json_decref(query("alice", whats[i], id, ""));
                json_decref(query("bob", whats[i], id, ""));
                refused("mallory", whats[i], id, "", RUNBOOK_FORBIDDEN);
                char tail[160];
                snprintf(tail, sizeof(tail), "umbrella.query.alice.%s.%s", whats[i], id);
                house_check_error(house_ask(h, tail, ""), RUNBOOK_EXECUTION_NOT_FOUND);
                refused("alice", whats[i], "0190a0b0-1234-7abc-8def-0123456789ab", "",
                        RUNBOOK_EXECUTION_NOT_FOUND);
                refused("alice", whats[i], "nonsense", "", RUNBOOK_EXECUTION_NOT_FOUND);
        }
        for (int i = 0; i < 2; i++) { /* the second time out of the cache */
                cr_assert_eq(count_executions("alice", ""), 1);
                cr_assert_eq(count_executions("bob", ""), 1);
                cr_assert_eq(count_executions("mallory", ""), 0);
        }
}

Test(query, history_logs_evidence) {
        register_text(everything);
        char id[64], body[160] = "{\"limit\":3}";
        snprintf(id, sizeof(id), "%s", start("alice", "all", "", "{\"go\":true}"));
        json_int_t sequence = 0;
        for (bool more = true; more;) {
                json_t *page = query("alice", "history", id, body);
                const json_t *events = json_object_get(page, "events"), *event;
                size_t i;
                cr_assert_str_eq(str(page, "executionId"), id);
                cr_assert_leq(json_array_size(events), 3);
                json_array_foreach((json_t *)events, i, event)
                                cr_assert_eq(num(event, "sequence"), ++sequence);
                more = json_object_get(page, "nextCursor") != NULL;
                snprintf(body, sizeof(body), "{\"limit\":3,\"cursor\":\"%s\"}", str(page, "nextCursor"));
                json_decref(page);
        }
        cr_assert_gt(sequence, 8);
        json_t *all = query("alice", "logs", id, ""),
               *others = query("alice", "logs", id, "{\"level\":\"debug\"}"),
               *later = query("alice", "logs", id, "{\"startTime\":\"2030-01-01T00:00:00Z\"}"),
               *step = query("alice", "logs", id, "{\"stepId\":\"call\"}"),
               *none = query("alice", "logs", id, "{\"stepId\":\"w\"}");
        size_t n_all = json_array_size(json_object_get(all, "logs")),
               n_step = json_array_size(json_object_get(step, "logs"));
        cr_assert_gt(n_all, 0);
        cr_assert_lt(json_array_size(json_object_get(others, "logs")), n_all);
        cr_assert_eq(json_array_size(json_object_get(later, "logs")), 0);
        cr_assert(n_step > 0 && n_step <= n_all);
        cr_assert_eq(json_array_size(json_object_get(none, "logs")), 0);
        json_decref(none);
        json_decref(all);
        json_decref(others);
        json_decref(later);
        json_decref(step);
        json_t *evidence = query("alice", "evidence", id, "");
        cr_assert(json_is_array(json_object_get(evidence, "evidence")));
        json_decref(evidence);
        refused("alice", "history", id, "{\"cursor\":\"l1\"}", RUNBOOK_INVALID_REQUEST);
        refused("alice", "logs", id, "{\"endTime\":7}", RUNBOOK_INVALID_REQUEST);
}

Test(query, audit_verifies_the_chain) {
        register_text(everything);
        char id[64], body[160];
        snprintf(id, sizeof(id), "%s", start("alice", "all", "", "{\"go\":true}"));
        json_t *reply = query("alice", "audit", id, "");
        const json_t *v = json_object_get(reply, "verification");
        size_t n = json_array_size(json_object_get(reply, "events"));
        cr_assert(json_is_true(json_object_get(v, "verified")));
        cr_assert(json_is_true(json_object_get(v, "complete")));
        cr_assert_eq(num(v, "events"), (json_int_t)n);
        cr_assert_str_eq(str(v, "lastHash"), str(json_object_get(v, "head"), "hash"));
        cr_assert_eq(num(json_object_get(v, "head"), "sequence"), (json_int_t)n);
        cr_assert_eq(strspn(str(v, "firstPrevhash"), "0"), 64);
        json_decref(reply);
        reply = query("alice", "audit", id, "{\"events\":false}");
        cr_assert_null(json_object_get(reply, "events"));
        cr_assert_eq(num(json_object_get(reply, "verification"), "events"), (json_int_t)n);
        json_decref(reply);
        reply = query("alice", "audit", id, "{\"limit\":4}");
        cr_assert(json_is_false(json_object_get(json_object_get(reply, "verification"), "complete")));
        snprintf(body, sizeof(body), "{\"cursor\":\"%s\"}", str(reply, "nextCursor"));
        json_decref(reply);
        reply = query("alice", "audit", id, body);
        v = json_object_get(reply, "verification");
        cr_assert(json_is_true(json_object_get(v, "verified")), "the second page hangs on the first");
        cr_assert_eq(num(v, "firstSequence"), 5);
        json_decref(reply);
}

/** Put a false event over the stored history of @id from sequence @at on. */
static void tamper(const char *id_text, uint64_t at, const char *find, const char *put) {
        StoreTxn *t = NULL;
        Uuid id;
        Slice frames, type, json;
        uint64_t first;
        uint32_t n;
        Buf changed = {0};
        size_t offset = 0;
        cr_assert(uuid_parse(slice_from_str(id_text), &id));
        cr_assert_eq(store_begin_write(h->store, &t), 0);
        cr_assert_eq(store_series_segment(t, STORE_HISTORY, id, at, &first, &n, &frames), 0);
        for (uint64_t number = first; number < first + n; number++) {
                cr_assert(frame_next(frames, &offset, &type, &json));
                size_t frame = frame_begin(&changed, type);
                const char *hit = number == at ? memmem(json.data, json.n, find, strlen(find)) : NULL;
                cr_assert(hit || number != at, "nothing to change");
                if (hit) {
                        buf_put(&changed, json.data, (size_t)(hit - json.data));
                        buf_put_str(&changed, put);
                        buf_put(&changed, hit + strlen(find),
                                json.n - (size_t)(hit - json.data) - strlen(find));
                } else {
                        buf_put_slice(&changed, json);
                }
                frame_end(&changed, frame);
        }
        cr_assert_eq(store_series_replace(t, STORE_HISTORY, id, first, buf_slice(&changed)), 0);
        cr_assert_eq(store_commit(t), 0);
        buf_deinit(&changed);
}

Test(query, audit_finds_what_was_altered) {
        register_text(everything);
        char id[64];
        snprintf(id, sizeof(id), "%s", start("alice", "all", "", "{\"go\":true}"));
        tamper(id, 1, "\"acme\"", "\"evil\"");
        json_t *reply = query("alice", "audit", id, "");
        const json_t *v = json_object_get(reply, "verification"), *faults = json_object_get(v, "faults");
        cr_assert(json_is_false(json_object_get(v, "verified")));
        cr_assert_eq(json_array_size(faults), 1);
        cr_assert_str_eq(str(json_array_get(faults, 0), "fault"), "hash");
        cr_assert_eq(num(json_array_get(faults, 0), "sequence"), 1);
        json_decref(reply);
}

Test(query, runbooks) {
        register_wait("a", "1");
        register_wait("a", "2");
        register_wait("b", "1");
        register_text(everything);
        json_t *reply = query("zoe", "runbooks", "", "");
        cr_assert_eq(num(reply, "count"), 3);
        const json_t *first = json_array_get(json_object_get(reply, "runbooks"), 0);
        cr_assert_str_eq(str(first, "id"), "a");
        cr_assert_str_eq(str(first, "version"), "2");
        cr_assert_eq(num(first, "stepCount"), 1);
        cr_assert_str_eq(str(json_array_get(json_object_get(reply, "runbooks"), 1), "description"),
                         "what it does");
        json_decref(reply);
        reply = query("zoe", "runbooks", "", "{\"limit\":2}");
        char body[64];
        snprintf(body, sizeof(body), "{\"cursor\":\"%s\"}", str(reply, "nextCursor"));
        json_decref(reply);
        reply = query("zoe", "runbooks", "", body);
        cr_assert_eq(num(reply, "count"), 1);
        cr_assert_str_eq(str(json_array_get(json_object_get(reply, "runbooks"), 0), "id"), "b");
        json_decref(reply);
        reply = query("zoe", "runbook", "a", "");
        cr_assert_str_eq(str(json_object_get(reply, "runbook"), "version"), "2");
        cr_assert_eq(json_array_size(json_object_get(reply, "versions")), 2);
        json_decref(reply);
        reply = query("zoe", "runbook", "a", "{\"version\":\"1\"}");
        cr_assert_str_eq(str(json_object_get(reply, "runbook"), "version"), "1");
        json_decref(reply);
        refused("zoe", "runbook", "a", "{\"version\":\"3\"}", RUNBOOK_RUNBOOK_NOT_FOUND);
        refused("zoe", "runbook", "nope", "", RUNBOOK_RUNBOOK_NOT_FOUND);
        refused("zoe", "runbooks", "", "{\"cursor\":\"e1\"}", RUNBOOK_INVALID_REQUEST);
        house_check_error(house_ask(h, "umbrella.query.zoe.runbook.a", ""), RUNBOOK_RUNBOOK_NOT_FOUND);
}

static size_t count_approvals(const char *user) {
        json_t *reply = query(user, "approvals", "", "");
        size_t n = json_array_size(json_object_get(reply, "approvals"));
        json_decref(reply);
        return n;
}

Test(query, approvals_of_those_who_may_decide) {
        register_text(everything);
        char id[64], tail[160];
        snprintf(id, sizeof(id), "%s",
                 start("alice", "all", ",\"authorizedUsers\":[\"alice\",\"bob\",\"dave\"]", "{\"go\":true}"));
        start("bob", "all", "", "{\"go\":true,\"by\":\"bob\"}");
        cr_assert_eq(count_approvals("bob"), 1, "not those that he asked for himself");
        cr_assert_eq(count_approvals("carol"), 1, "not those that are not hers to see");
        cr_assert_eq(count_approvals("alice"), 0);
        json_t *reply = query("bob", "approvals", "", "");
        const json_t *a = json_array_get(json_object_get(reply, "approvals"), 0);
        cr_assert_str_eq(str(a, "executionId"), id);
        cr_assert_str_eq(str(a, "stepId"), "ask");
        cr_assert_str_eq(str(a, "stepPath"), "ask");
        cr_assert_str_eq(str(a, "runbookId"), "all");
        cr_assert_str_eq(str(a, "prompt"), "Go ahead?");
        cr_assert_str_eq(str(a, "initiatedBy"), "alice");
        cr_assert_str_eq(str(a, "requestedAt"), "2026-01-01T00:00:00.000Z");
        cr_assert_str_eq(str(a, "deadline"), "2026-01-01T00:01:00.000Z");
        cr_assert_eq(num(a, "minApprovals"), 2);
        cr_assert_eq(strlen(str(a, "hash")), 64);
        cr_assert(json_is_true(json_object_get(json_object_get(a, "input"), "go")));
        /* the hash that is shown is the one that a vote may name */
        char body[256];
        snprintf(body, sizeof(body), "{\"decision\":\"approved\",\"hash\":\"%s\"}", str(a, "hash"));
        json_decref(reply);
        snprintf(tail, sizeof(tail), "acme.cmd.bob.approve.%s.ask", id);
        json_decref(house_get(h, tail, body));
        cr_assert_eq(count_approvals("bob"), 0, "he has voted");
        refused("bob", "approvals", "", "{\"cursor\":\"x\"}", RUNBOOK_INVALID_REQUEST);
}

Test(query, approvals_in_pages) {
        register_text(everything);
        for (int i = 0; i < 5; i++) {
                char input[64];
                snprintf(input, sizeof(input), "{\"go\":true,\"n\":%d}", i);
                start("alice", "all", "", input);
        }
        size_t n = 0;
        char body[128] = "{\"limit\":2}";
        for (bool more = true; more;) {
                json_t *page = query("carol", "approvals", "", body);
                n += json_array_size(json_object_get(page, "approvals"));
                cr_assert_leq(json_array_size(json_object_get(page, "approvals")), 2);
                more = json_object_get(page, "nextCursor") != NULL;
                snprintf(body, sizeof(body), "{\"limit\":2,\"cursor\":\"%s\"}", str(page, "nextCursor"));
                json_decref(page);
        }
        cr_assert_eq(n, 5);
}

Test(query, stats) {
        register_wait("a", "1");
        start("alice", "a", "", "{}");
        json_t *reply = query("bob", "stats", "", "");
        cr_assert_eq(num(json_object_get(reply, "executions"), "running"), 1);
        cr_assert_eq(num(json_object_get(reply, "executions"), "total"), 1);
        cr_assert_str_eq(str(json_object_get(reply, "engine"), "id"), h->settings.engine_id);
        json_decref(reply);
}

Test(query, tenants_that_have_nothing) {
        register_wait("a", "1");
        start("alice", "a", "", "{}");
        static const struct {
                const char *what, *member;
        } lists[] = {{"executions", "executions"}, {"runbooks", "runbooks"}, {"approvals", "approvals"}};
        for (size_t i = 0; i < 3; i++) {
                char tail[64];
                snprintf(tail, sizeof(tail), "umbrella.query.alice.%s", lists[i].what);
                json_t *reply = house_get(h, tail, "");
                cr_assert_eq(json_array_size(json_object_get(reply, lists[i].member)), 0);
                json_decref(reply);
        }
}

/* ---- validate ---------------------------------------------------------------------------------------------- */

#define VALID                                                                                                \
        "{\"id\":\"%s\",\"name\":\"V\",\"version\":\"1\",\"steps\":[{\"id\":\"w\",\"name\":\"%s\","          \
        "\"type\":\"wait\",\"config\":{\"durationMs\":1}}]}"

Test(query, validate_says_what_registering_would) {
        char text[512];
        snprintf(text, sizeof(text), VALID, "v", "W");
        json_t *reply = query("alice", "validate", "", text);
        cr_assert_str_eq(str(reply, "status"), "new");
        cr_assert_eq(num(json_object_get(reply, "runbook"), "stepCount"), 1);
        cr_assert_str_eq(str(json_object_get(reply, "definition"), "id"), "v");
        json_decref(reply);
        refused("alice", "runbook", "v", "", RUNBOOK_RUNBOOK_NOT_FOUND);

        register_text(text);
        reply = query("alice", "validate", "", text);
        cr_assert_str_eq(str(reply, "status"), "unchanged");
        json_decref(reply);
        snprintf(text, sizeof(text), VALID, "v", "other");
        refused("alice", "validate", "", text, RUNBOOK_VERSION_CONFLICT);
}

Test(query, validate_takes_yaml) {
        json_t *reply = query("alice", "validate", "",
                              "id: y\nname: Y\nversion: '1'\nsteps:\n"
                              "  - {id: w, name: W, type: wait, config: {durationMs: 1}}\n");
        cr_assert_str_eq(str(json_object_get(reply, "runbook"), "id"), "y");
        cr_assert_eq(json_array_size(json_object_get(json_object_get(reply, "definition"), "steps")), 1);
        json_decref(reply);
}

Test(query, validate_gives_all_errors_with_their_places) {
        Sent *sent = house_ask(
                        h, "acme.query.alice.validate",
                        "{\"id\":\"v\",\"name\":\"V\",\"version\":\"1\",\"steps\":[{\"id\":\"w\",\"name\":"
                        "\"W\",\"type\":\"wiat\",\"dependsOn\":[\"nobody\"]}]}");
        json_t *reply = json_parse_own((Slice){sent->body, sent->n_body});
        const json_t *details = json_object_get(reply, "details");
        cr_assert_str_eq(str(reply, "error"), "INVALID_RUNBOOK");
        cr_assert_eq(json_array_size(details), 2);
        cr_assert_str_eq(str(json_array_get(details, 0), "path"), "/steps/0/type");
        json_decref(reply);
        refused("alice", "validate", "", "", RUNBOOK_INVALID_REQUEST);
        refused("alice", "validate", "", "{", RUNBOOK_INVALID_JSON);
        refused("alice", "validate", "", "- just\n- a list\n", RUNBOOK_INVALID_RUNBOOK);
}
