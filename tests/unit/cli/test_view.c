/* Progress out of events, and how it looks. */

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <time.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/view.h"

#define ID "0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11"
#define T0 1767323045000 /* 2026-01-02T03:04:05Z */

static const CliTerm utf8 = {.utf8 = true}, colored = {.utf8 = true, .color = true};
static Progress p;
static json_int_t sequence;

static const char definition[] = "{\"id\":\"incident\",\"version\":\"1.0\",\"steps\":[{\"id\":\"fetch\","
                                 "\"type\":\"call-service\",\"compensateWith\":\"undo\"},"
                                 "{\"id\":\"ok\",\"type\":\"human-approval\",\"approvalConfig\":{"
                                 "\"approvers\":[\"alice\",\"bob\"],\"minApprovals\":2}},"
                                 "{\"id\":\"hook\",\"type\":\"wait-for-event\",\"config\":{\"eventType\":"
                                 "\"paid\",\"correlationId\":\"${input.order}\"}},"
                                 "{\"id\":\"each\",\"type\":\"loop\",\"config\":{\"bodyStepId\":\"one\"}},{"
                                 "\"id\":\"one\",\"type\":\"wait\"},"
                                 "{\"id\":\"undo\",\"type\":\"call-service\"}]}";

static void setup(void) {
        json_t *d = json_loads(definition, 0, NULL);

        setlocale(LC_CTYPE, "C.UTF-8");
        setenv("TZ", "UTC", 1);
        tzset();
        sequence = 0;
        progress_init(&p, ID);
        progress_seed(&p, d);
        json_decref(d);
}

static void teardown(void) {
        progress_deinit(&p);
        check_leaks();
}

TestSuite(view, .init = setup, .fini = teardown);

/** One event @at_ms after T0; @path "" is the execution itself; @data JSON. Owned by the caller. */
static json_t *event(int64_t at_ms, const char *type, const char *path, const char *data) {
        char time[TIME_TEXT_SIZE + 1], full[64], subject[128];

        time_format_ms(T0 + at_ms, time);
        snprintf(full, sizeof full, "runbook.%s", type);
        snprintf(subject, sizeof subject, ID "%s%s", *path ? "/" : "", path);
        return json_pack("{ss ss ss sI so}", "type", full, "subject", subject, "time", time, "sequence",
                         ++sequence, "data", json_loads(data, 0, NULL));
}

static void apply(int64_t at_ms, const char *type, const char *path, const char *data) {
        json_t *e = event(at_ms, type, path, data);

        cr_assert_not_null(e, "%s", data);
        progress_apply(&p, e);
        json_decref(e);
}

static void expect_screen(int width, int rows, int64_t at_ms, const char *want) {
        ViewSettings v = {.term = &utf8, .width = width, .rows = rows, .now_ms = T0 + at_ms, .flags = ""};
        Buf b = {0};

        view_render(&p, &v, &b);
        cr_expect(slice_eq_str(buf_slice(&b), want), "got:\n%.*s\nwant:\n%s", SLICE_ARG(buf_slice(&b)), want);
        buf_deinit(&b);
}

Test(view, waits_say_for_what) {
        apply(0, "execution.started", "", "{\"status\":\"running\"}");
        apply(100, "step.started", "fetch", "{\"status\":\"running\",\"attempt\":1}");
        apply(600, "step.completed", "fetch", "{\"status\":\"completed\",\"attempt\":1,\"durationMs\":500}");
        apply(700, "step.awaiting_approval", "ok",
              "{\"status\":\"awaiting_approval\",\"prompt\":\"Sure?\",\"deadline\":\"2026-01-02T04:04:05."
              "700Z\",\"approvers\":[\"alice\",\"bob\"],\"minApprovals\":2}");
        apply(800, "approval.recorded", "ok", "{\"by\":\"alice\",\"decision\":\"approved\"}");
        apply(900, "step.awaiting_event", "hook",
              "{\"status\":\"awaiting_event\",\"eventType\":\"paid\",\"correlationId\":\"o 7\"}");
        expect_screen(90, 0, 10700,
                      "incident 1.0  " ID "  running  10.7s\n"
                      "  ✓ fetch  call-service       0.5s\n"
                      "  ? ok     human-approval    10.0s  1 of 2 approvals, 59:50 left\n"
                      "      Sure?\n"
                      "      may approve: alice, bob\n"
                      "      runbook approve " ID " ok\n"
                      "  … hook   wait-for-event     9.8s\n"
                      "      runbook event paid --correlation 'o 7'\n"
                      "  · each   loop\n"
                      "  · one    wait\n"
                      "1 of 5 done\n");
}

Test(view, a_name_that_fits_is_whole) {
        apply(0, "execution.started", "", "{\"status\":\"running\"}");
        expect_screen(65, 3, 1100,
                      "incident 1.0  " ID "  running  1.1s\n"
                      "  · fetch  call-service\n"
                      "0 of 5 done, 4 not shown\n");
        expect_screen(64, 3, 1100,
                      "incident 1…  " ID "  running  1.1s\n"
                      "  · fetch  call-service\n"
                      "0 of 5 done, 4 not shown\n");
}

Test(view, a_step_that_asks_for_leave_says_so) {
        apply(0, "execution.started", "", "{\"status\":\"running\"}");
        apply(100, "step.ready", "fetch",
              "{\"status\":\"ready\",\"attempt\":1,\"permissions\":[\"hosts:isolate\",\"hosts:read\"]}");
        expect_screen(90, 3, 1100,
                      "incident 1.0  " ID "  running  1.1s\n"
                      "  · fetch  call-service             ready: asks whether it may: hosts:isolate, "
                      "hosts:read\n"
                      "0 of 5 done, 4 not shown\n");
        apply(1200, "step.started", "fetch", "{\"status\":\"running\",\"attempt\":1}");
        cr_expect_str_eq(p.steps[0].note, "");
}

Test(view, failures_retries_and_ends) {
        apply(0, "execution.started", "", "{\"status\":\"running\"}");
        apply(0, "step.started", "fetch", "{\"status\":\"running\",\"attempt\":1}");
        apply(100, "step.retrying", "fetch",
              "{\"status\":\"retrying\",\"attempt\":1,\"until\":\"2026-01-02T03:04:07.100Z\",\"error\":{"
              "\"code\":\"HTTP_503\",\"message\":\"busy\"}}");
        cr_expect_eq(p.steps[0].status, RUNBOOK_STEP_RETRYING);
        expect_screen(90, 3, 1100,
                      "incident 1.0  " ID "  running  1.1s\n"
                      "  ↻ fetch  call-service       1.1s  again in 1.0s: busy (HTTP_503)\n"
                      "0 of 5 done, 4 not shown\n");
        apply(3000, "step.started", "fetch", "{\"status\":\"running\",\"attempt\":2}");
        apply(4000, "step.failed", "fetch",
              "{\"status\":\"failed\",\"attempt\":2,\"error\":{\"code\":\"HTTP_500\",\"message\":\"broken\"}"
              "}");
        cr_expect_not(progress_is_final(&p));
        apply(4000, "execution.failed", "",
              "{\"status\":\"failed\",\"error\":{\"code\":\"HTTP_500\",\"message\":\"broken\"}}");
        cr_expect(progress_is_final(&p));
        expect_screen(90, 3, 99000,
                      "incident 1.0  " ID "  failed  4.0s\n"
                      "  ✗ fetch  call-service       4.0s  attempt 2: broken (HTTP_500)\n"
                      "1 of 5 done, 4 not shown\n");
        apply(9000, "execution.resumed", "", "{\"status\":\"running\"}");
        cr_expect_not(progress_is_final(&p), "a person has it retried");
        apply(9500, "execution.cancelled", "",
              "{\"status\":\"cancelled\",\"by\":\"bob\",\"reason\":\"enough\"}");
        cr_expect_str_eq(p.note, "by bob: enough");
        cr_expect_eq(p.end_ms, T0 + 9500);
}

Test(view, loops_and_compensation) {
        size_t done, total;

        progress_count(&p, &done, &total);
        cr_expect_eq(total, 5, "the compensation does not count before it begins");
        apply(0, "step.started", "one[0]", "{\"status\":\"running\"}");
        apply(0, "step.completed", "one[0]", "{\"status\":\"completed\"}");
        apply(0, "step.started", "one[1]", "{\"status\":\"running\"}");
        progress_count(&p, &done, &total);
        cr_expect_eq(total, 6, "the body runs as its iterations");
        cr_expect_eq(done, 1);
        apply(0, "step.started", "undo", "{\"status\":\"running\"}");
        apply(1, "step.compensated", "fetch", "{\"status\":\"completed\"}");
        progress_count(&p, &done, &total);
        cr_expect_eq(total, 7);
        cr_expect(p.steps[0].compensated);
}

Test(view, what_matters_stays_when_rows_are_few) {
        Progress big;
        ViewSettings v = {.term = &utf8, .width = 80, .rows = 6, .now_ms = T0, .flags = ""};
        json_t *steps = json_array(), *d = json_pack("{so}", "steps", steps), *e;
        Buf b = {0};

        for (int i = 0; i < 1000; i++) {
                char id[16];

                snprintf(id, sizeof id, "s%03d", i);
                json_array_append_new(steps, json_pack("{ss}", "id", id));
        }
        progress_init(&big, ID);
        progress_seed(&big, d);
        json_decref(d);
        e = event(0, "step.completed", "s010", "{\"status\":\"completed\"}");
        progress_apply(&big, e);
        json_decref(e);
        e = event(0, "step.failed", "s500", "{\"status\":\"failed\"}");
        progress_apply(&big, e);
        json_decref(e);
        e = event(0, "step.started", "s900", "{\"status\":\"running\"}");
        progress_apply(&big, e);
        json_decref(e);
        view_render(&big, &v, &b);
        cr_expect_eq(view_rows(&utf8, buf_slice(&b), 80), 6);
        cr_expect_not_null(memmem(b.data, b.n, "s010", 4), "%.*s", SLICE_ARG(buf_slice(&b)));
        cr_expect_not_null(memmem(b.data, b.n, "s500", 4));
        cr_expect_not_null(memmem(b.data, b.n, "s900", 4));
        cr_expect_not_null(memmem(b.data, b.n, "s000", 4), "and the next one to come");
        cr_expect_not_null(memmem(b.data, b.n, "2 of 1000 done, 996 not shown", 29));
        buf_deinit(&b);
        progress_deinit(&big);
}

Test(view, wrapped_commands_count_as_rows) {
        ViewSettings v = {.term = &colored, .width = 40, .rows = 8, .now_ms = T0, .flags = " --tenant acme"};
        Buf b = {0};

        apply(0, "step.awaiting_approval", "ok", "{\"status\":\"awaiting_approval\"}");
        view_render(&p, &v, &b);
        cr_expect_leq(view_rows(&colored, buf_slice(&b), 40), 8, "%.*s", SLICE_ARG(buf_slice(&b)));
        cr_expect_not_null(memmem(b.data, b.n, "runbook approve " ID " ok --tenant acme", 70 - 2), "%.*s",
                           SLICE_ARG(buf_slice(&b)));
        cr_expect_eq(view_rows(&colored, SLICE("\033[1mabcd\033[0m\n"), 4), 1, "colours take no room");
        cr_expect_eq(view_rows(&colored, SLICE("abcde\n"), 4), 2);
        cr_expect_eq(view_rows(&colored, SLICE("\n\n"), 4), 2);
        buf_deinit(&b);
}

Test(view, lines) {
        ViewSettings v = {.term = &utf8, .now_ms = T0, .flags = " -t x"};
        json_t *e = event(0, "step.awaiting_approval", "ok",
                          "{\"status\":\"awaiting_approval\",\"approvers\":[\"al\\u001bice\"],"
                          "\"minApprovals\":2}");
        Buf b = {0};

        progress_apply(&p, e);
        view_event(&p, e, &v, &b);
        json_decref(e);
        e = event(1000, "step.ready", "ok", "{}");
        view_event(&p, e, &v, &b);
        json_decref(e);
        e = event(1000, "step.failed", "fetch",
                  "{\"attempt\":3,\"durationMs\":1500,\"error\":{\"message\":\"bro\\nken\"}}");
        view_event(&p, e, &v, &b);
        view_plain_event(e, true, &v, &b);
        json_decref(e);
        e = json_pack("{ss}", "type", "nonsense");
        view_event(&p, e, &v, &b);
        json_decref(e);
        cr_expect(slice_eq_str(buf_slice(&b),
                               "03:04:05 step ok awaiting approval: by al?ice (2 of them): runbook "
                               "approve " ID " ok -t x\n"
                               "03:04:06 step fetch failed: attempt 3, 1.5s, bro ken\n"
                               "03:04:06 " ID " step fetch failed: attempt 3, 1.5s, bro ken\n"),
                  "%.*s", SLICE_ARG(buf_slice(&b)));
        buf_deinit(&b);
}

Test(view, loads_the_query_answer) {
        json_t *x = json_loads(
                        "{\"id\":\"" ID
                        "\",\"runbookId\":\"incident\",\"runbookVersion\":\"1.0\",\"status\":\"running\","
                        "\"startTime\":\"2026-01-02T03:04:05.000Z\",\"stepResults\":{"
                        "\"fetch\":{\"status\":\"completed\",\"attemptNumber\":1,\"startTime\":\"2026-01-"
                        "02T03:04:05.000Z\",\"endTime\":\"2026-01-02T03:04:06.000Z\"},"
                        "\"ok\":{\"status\":\"awaiting_approval\",\"attemptNumber\":1,\"startTime\":\"2026-"
                        "01-02T03:04:06.000Z\","
                        "\"approvals\":[{\"user\":\"alice\",\"decision\":\"approved\"}],\"waitingFor\":{"
                        "\"approvers\":[\"bob\"],\"minApprovals\":3}}}}",
                        0, NULL);

        cr_assert_not_null(x);
        progress_load(&p, x);
        json_decref(x);
        cr_expect_eq(p.steps[0].status, RUNBOOK_STEP_COMPLETED);
        cr_expect_eq(p.steps[0].end_ms - p.steps[0].start_ms, 1000);
        cr_expect_eq(p.steps[1].n_approved, 1);
        cr_expect_eq(p.steps[1].n_needed, 3);
        cr_expect_str_eq(p.steps[1].approvers, "bob");
        cr_expect_eq(p.status, RUNBOOK_EXECUTION_RUNNING);
}
