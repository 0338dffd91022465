/* The program against a real NATS server with a small engine behind it. */

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fake_engine.h"
#include "run.h"
#include "test_server.h"

static TestServer server;
static FakeEngine *engine;
static Terminal terminal;

static const char incident[] =
                "id: incident\nname: Incident\nversion: \"1.0\"\nsteps:\n"
                "  - {id: call, name: C, type: call-service, dependsOn: [], config: {url: \"http://h/\"}}\n"
                "  - id: ok\n    name: O\n    type: human-approval\n    dependsOn: [call]\n"
                "    approvalConfig: {approvers: [bob, carol], minApprovals: 1, timeoutMs: 60000, "
                "timeoutAction: fail, prompt: Sure?}\n"
                "  - id: hook\n    name: H\n    type: wait-for-event\n    dependsOn: [ok]\n"
                "    config: {eventType: order.paid, correlationId: o-7, timeoutMs: 60000}\n";

static void write_file(const char *name, const char *text) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", server.dir, name);
        f = fopen(path, "w");
        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
}

static void setup(void) {
        test_server_start(&server, NULL);
        engine = fake_engine_start(server.url);
        cr_assert_eq(chdir(server.dir), 0);
        setenv("HOME", server.dir, 1);
        setenv("NATS_URL", server.url, 1);
        setenv("LANG", "C.UTF-8", 1);
        setenv("RUNBOOK_USER", "alice", 1);
        setenv("RUNBOOK_TENANT", "acme", 1);
        unsetenv("NATS_CONTEXT");
        unsetenv("XDG_CONFIG_HOME");
        write_file("incident.yaml", incident);
}

static void teardown(void) {
        fake_engine_stop(engine);
        test_server_stop(&server);
}

TestSuite(program, .init = setup, .fini = teardown, .timeout = 100);

/** Start the example; its id. */
static const char *start_incident(void) {
        static char id[64];
        const Run *r = run("start incident.yaml --input '{\"host\":\"h\"}' -q");

        cr_assert_eq(r->exit, 0, "%s", r->err);
        snprintf(id, sizeof id, "%.40s", r->out);
        id[strcspn(id, "\n")] = 0;
        cr_assert_eq(strlen(id), 36, "%s", r->out);
        return id;
}

Test(program, from_registration_to_the_end) {
        const Run *r = run("register incident.yaml");
        const char *id;

        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_str_eq(r->out, "registered incident 1.0 (3 steps)\n");
        r = run("runbooks");
        cr_expect_not_null(strstr(r->out, "incident  1.0      3      Incident"), "%s", r->out);
        cr_expect_str_eq(run("runbooks -q")->out, "incident\n");
        id = start_incident();
        r = run("status %s", id);
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "? ok"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "may approve: bob, carol"), "%s", r->out);
        r = run("approvals -u bob");
        cr_expect_not_null(strstr(r->out, "Sure?"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "runbook approve"), "%s", r->out);
        r = run("approve %s ok --comment yes", id);
        cr_expect_eq(r->exit, 1, "alice may not");
        cr_expect_not_null(strstr(r->err, "NOT_AN_APPROVER"), "%s", r->err);
        r = run("approve %s ok --user bob --comment yes", id);
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "as bob"), "%s", r->out);
        r = run("event order.paid --correlation o-7 --payload '{\"sum\":3}'");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_str_eq(run("status %s -q", id)->out, "completed\n");
        r = run("history %s --verify", id);
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "verified: 10 events"), "%s", r->out);
        r = run("logs %s", id);
        cr_expect_not_null(strstr(r->out, "info  call called the service"), "%s", r->out);
        r = run("list --status completed");
        cr_expect_not_null(strstr(r->out, "completed"), "%s", r->out);
        cr_expect_not_null(strstr(run("list --status failed")->out, "no executions found in tenant acme\n"));
        r = run("evidence %s", id);
        cr_expect_not_null(strstr(r->out, "http://localhost/"), "%s", r->out);
}

Test(program, machine_output_is_the_reply) {
        const char *id = start_incident();
        const Run *r = run("status %s --json", id);
        json_t *json = json_loads(r->out, 0, NULL);

        cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "execution"), "status")),
                         "running");
        json_decref(json);
        r = run("status 0190aaaa-0000-7000-8000-00000000dead --json");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->out, "\"error\":\"EXECUTION_NOT_FOUND\""), "%s", r->out);
        cr_expect_str_eq(r->err, "");
        r = run("history %s --json | wc -l", id);
        cr_expect_eq(atoi(r->out), 4, "one line an event: %s", r->out);
        r = run("history %s --json > h.jsonl", id);
        cr_expect_eq(run("history --verify --file h.jsonl")->exit, 0);
}

Test(program, waiting_without_a_terminal_prints_lines) {
        const Run *r = run("start incident.yaml --wait --timeout 2s");

        cr_expect_eq(r->exit, 4);
        cr_expect_not_null(strstr(r->out, "step call completed"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "step ok awaiting approval: by bob, carol: runbook approve"), "%s",
                           r->out);
        cr_expect_null(strchr(r->out, '\033'), "no colours in a file");
        cr_expect_not_null(strstr(r->err, "the execution goes on"), "%s", r->err);
        write_file("fail.json", "{\"id\":\"f\",\"name\":\"F\",\"version\":\"1\",\"steps\":[{\"id\":\"a\","
                                "\"name\":\"A\",\"type\":\"call-service\","
                                "\"config\":{\"url\":\"http://h/\",\"fail\":true}}]}");
        r = run("register --no-check fail.json");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        r = run("start f --wait");
        cr_expect_eq(r->exit, 1, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "step a failed"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "a: the service answered 500 (HTTP_500)"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "runbook retry"), "%s", r->out);
        r = run("start f --wait --json | tail -1");
        cr_expect_eq(strncmp(r->out, "{\"version\": \"v1\"", 10), 0, "%s", r->out);
        cr_expect_not_null(strstr(r->out, "\"execution\""), "%s", r->out);
}

Test(program, retry_goes_on_to_the_end) {
        char id[64];
        const Run *r;

        write_file("fail.json", "{\"id\":\"f\",\"name\":\"F\",\"version\":\"1\",\"steps\":[{\"id\":\"a\","
                                "\"name\":\"A\",\"type\":\"call-service\","
                                "\"config\":{\"url\":\"http://h/\",\"fail\":true}}]}");
        cr_assert_eq(run("register --no-check fail.json")->exit, 0);
        r = run("start f -q");
        snprintf(id, sizeof id, "%.36s", r->out);
        r = run("retry %s a --wait", id);
        cr_expect_eq(r->exit, 0, "%s%s", r->out, r->err);
        cr_expect_not_null(strstr(r->out, "execution resumed"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "execution completed"), "%s", r->out);
}

Test(program, control) {
        const char *id = start_incident();
        const Run *r = run("pause %s", id);

        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, ": paused"), "%s", r->out);
        r = run("pause %s", id);
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "WRONG_STATE"), "%s", r->err);
        r = run("resume %s", id);
        cr_expect_not_null(strstr(r->out, ": resumed"), "%s%s", r->out, r->err);
        cr_expect_not_null(strstr(run("replay %s --mode verify", id)->out, "identical"));
        cr_expect_not_null(strstr(run("replay %s", id)->out, "replaying"));
        cr_expect_not_null(strstr(run("cancel %s -r 'false alarm'", id)->out, ": cancelled"));
        r = run("watch %s", id);
        cr_expect_eq(r->exit, 5);
        cr_expect_not_null(strstr(r->out, "false alarm"), "%s", r->out);
}

Test(program, a_terminal_shows_progress_in_place) {
        char id[64] = "";
        const char *p;
        int exit;

        terminal_start(&terminal, 80, 24, "start incident.yaml --wait");
        cr_assert(terminal_expect(&terminal, "may approve: bob, carol"), "%s", terminal.out);
        p = strstr(terminal.out, "runbook approve ");
        cr_assert_not_null(p);
        snprintf(id, sizeof id, "%.36s", p + 16);
        cr_expect_eq(run("approve %s ok -u bob", id)->exit, 0);
        cr_assert(terminal_expect(&terminal, "runbook event order.paid --correlation o-7"), "%s",
                  terminal.out);
        cr_expect_not_null(strstr(terminal.out, "A\r\033[J"), "it goes back up and draws again");
        cr_expect_eq(run("event order.paid -c o-7")->exit, 0);
        exit = terminal_finish(&terminal);
        cr_expect_eq(exit, 0, "%s", terminal.out);
        cr_expect_not_null(strstr(terminal.out, "3 of 3 done"), "%s", terminal.out);
}

Test(program, interrupt_detaches) {
        terminal_start(&terminal, 80, 24, "start incident.yaml --wait");
        cr_assert(terminal_expect(&terminal, "may approve"), "%s", terminal.out);
        terminal_interrupt(&terminal);
        cr_expect_eq(terminal_finish(&terminal), 130, "%s", terminal.out);
        cr_expect_not_null(strstr(terminal.out, "detached; the execution goes on"), "%s", terminal.out);
        cr_expect_not_null(strstr(terminal.out, "runbook watch "), "%s", terminal.out);
        cr_expect_not_null(strstr(terminal.out, "To stop it:"), "%s", terminal.out);
        cr_expect_not_null(strstr(run("list")->out, "running"), "it does");
}

Test(program, no_color_is_respected) {
        setenv("NO_COLOR", "1", 1);
        start_incident();
        terminal_start(&terminal, 80, 24, "list");
        terminal_finish(&terminal);
        cr_expect_null(strstr(terminal.out, "\033["), "%s", terminal.out);
        unsetenv("NO_COLOR");
        terminal_start(&terminal, 80, 24, "list");
        terminal_finish(&terminal);
        cr_expect_not_null(strstr(terminal.out, "\033["));
        cr_expect_not_null(strstr(run("list --color always")->out, "\033["));
}

Test(program, the_engine_may_go_away_meanwhile) {
        const char *p;
        char id[64];

        terminal_start(&terminal, 90, 24, "start incident.yaml --wait");
        cr_assert(terminal_expect(&terminal, "may approve"), "%s", terminal.out);
        p = strstr(terminal.out, "runbook approve ");
        snprintf(id, sizeof id, "%.36s", p + 16);
        test_server_restart(&server, 500);
        cr_assert(terminal_expect(&terminal, "may approve"), "%s", terminal.out);
        for (int i = 0; i < 20 && run("approve %s ok -u bob", id)->exit != 0; i++)
                test_sleep_ms(300);
        cr_assert(terminal_expect(&terminal, "runbook event order.paid"),
                  "what was missed is read from the history: %s", terminal.out);
        terminal_interrupt(&terminal);
        terminal_finish(&terminal);
}

Test(program, on_a_terminal_empty_logs_are_not_silent) {
        char id[64];

        write_file("quiet.json", "{\"id\":\"quiet\",\"name\":\"Q\",\"version\":\"1\",\"steps\":[{\"id\":\"w\","
                                 "\"name\":\"W\",\"type\":\"wait\",\"config\":{\"durationMs\":60000}}]}");
        cr_assert_eq(run("register quiet.json")->exit, 0);
        snprintf(id, sizeof id, "%.36s", run("start quiet -q")->out);
        terminal_start(&terminal, 80, 24, "logs -f %s", id);
        cr_assert(terminal_expect(&terminal, "following the log of"), "%s", terminal.out);
        terminal_interrupt(&terminal);
        cr_expect_eq(terminal_finish(&terminal), 130, "%s", terminal.out);
        terminal_start(&terminal, 80, 24, "logs %s --level error", id);
        cr_expect_eq(terminal_finish(&terminal), 0);
        cr_expect_not_null(strstr(terminal.out, "no log entries that fit"), "%s", terminal.out);
        const Run *r = run("logs %s --level error", id);
        cr_expect_str_eq(r->out, "", "pipes get entries only");
        cr_expect_str_eq(r->err, "");
}

Test(program, following_logs_ends_with_the_execution) {
        char id[64];
        const Run *r;

        write_file("slow.json", "{\"id\":\"slow\",\"name\":\"S\",\"version\":\"1\",\"steps\":[{\"id\":\"w\","
                                "\"name\":\"W\",\"type\":\"wait\",\"config\":{\"durationMs\":700}},"
                                "{\"id\":\"late\",\"name\":\"L\",\"type\":\"call-service\",\"dependsOn\":["
                                "\"w\"],\"config\":{\"url\":\"http://h/\"}}]}");
        cr_assert_eq(run("register slow.json")->exit, 0);
        snprintf(id, sizeof id, "%.36s", run("start slow -q")->out);
        r = run("logs -f %s", id);
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "late called the service"), "%s", r->out);
        cr_expect_null(strstr(strstr(r->out, "late") + 4, "late"), "once, although it came both ways: %s",
                       r->out);
}

Test(program, watching_the_tenant) {
        const Run *r = run("watch --timeout 2s --logs | cat & sleep 0.7; \"$RUNBOOK_PROGRAM\" start "
                           "incident.yaml -q; wait");

        cr_expect_not_null(strstr(r->out, "execution started"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "called the service"), "%s", r->out);
}

Test(program, context_from_options_environment_and_file) {
        char subject[256], body[4096];
        json_t *json, *basis;

        cr_assert_eq(system("mkdir -p .config/runbook"), 0);
        write_file(".config/runbook/config.yaml",
                   "context:\n  legalBasis: {authority: FILE, classification: LOW}\n  dataScope: logs\n");
        setenv("RUNBOOK_CLASSIFICATION", "HIGH", 1);
        cr_assert_eq(run("register incident.yaml")->exit, 0);
        cr_assert_eq(run("start incident --authorized-user alice --authorized-user bob --assumption 'clock "
                         "is right' --case-id C-1 --again")
                                     ->exit,
                     0);
        unsetenv("RUNBOOK_CLASSIFICATION");
        fake_engine_last(engine, subject, sizeof subject, body, sizeof body);
        json = json_loads(body, 0, NULL);
        basis = json_object_get(json_object_get(json, "context"), "legalBasis");
        cr_expect_str_eq(json_string_value(json_object_get(basis, "authority")), "FILE");
        cr_expect_str_eq(json_string_value(json_object_get(basis, "classification")), "HIGH");
        cr_expect_str_eq(json_string_value(json_object_get(basis, "caseId")), "C-1");
        cr_expect_eq(json_array_size(json_object_get(basis, "authorizedUsers")), 2);
        cr_expect_eq(json_array_size(json_object_get(json_object_get(json, "context"), "assumptions")), 1);
        cr_expect_str_eq(json_string_value(json_object_get(json_object_get(json, "context"), "dataScope")),
                         "logs");
        cr_expect(json_is_true(json_object_get(json_object_get(json, "options"), "skipIdempotencyCheck")));
        json_decref(json);
}

Test(program, nats_context_is_read) {
        char text[256];

        unsetenv("NATS_URL");
        unsetenv("RUNBOOK_USER");
        cr_assert_eq(system("mkdir -p .config/nats/context"), 0);
        snprintf(text, sizeof text, "{\"url\":\"%s\",\"user\":\"dora\",\"password\":\"x\"}", server.url);
        write_file(".config/nats/context/lab.json", text);
        cr_expect_eq(run("stats --nats-context lab")->exit, 0);
        write_file(".config/nats/context.txt", "lab");
        cr_expect_eq(run("stats")->exit, 0);
        cr_expect_str_eq(run("approvals")->out, "nothing waits for dora in tenant acme\n");
        cr_expect_eq(run("stats --nats-context nowhere")->exit, 2);
}

Test(program, no_engine) {
        const Run *r;

        fake_engine_stop(engine);
        engine = NULL;
        r = run("stats");
        cr_expect_eq(r->exit, 3);
        cr_expect_not_null(strstr(r->err, "is runbookd running"), "%s", r->err);
}

Test(program, silence_is_a_timeout) {
        const Run *r;

        fake_engine_swallow(engine, 10);
        r = run("cancel 0190aaaa-0000-7000-8000-000000000001 --timeout 1s");
        cr_expect_eq(r->exit, 4, "%s", r->err);
        cr_expect_not_null(strstr(r->err, "will not be done twice"), "%s", r->err);
}
