/* What the program does without any server: help, validate, graph, history --file, completion, configuration.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "run.h"

static char dir[64];

static void setup(void) {
        strcpy(dir, "/tmp/runbook-cli-XXXXXX");
        cr_assert_not_null(mkdtemp(dir));
        cr_assert_eq(chdir(dir), 0);
        setenv("HOME", dir, 1);
        setenv("LANG", "C.UTF-8", 1);
        setenv("NATS_URL", "nats://127.0.0.1:1", 1);
        unsetenv("XDG_CONFIG_HOME");
        unsetenv("RUNBOOK_CONFIG");
        unsetenv("NATS_CONTEXT");
}

static void teardown(void) {
        char command[128];

        snprintf(command, sizeof command, "rm -r %s", dir);
        cr_expect_eq(system(command), 0);
}

TestSuite(offline, .init = setup, .fini = teardown, .timeout = 60);

static void write_file(const char *name, const char *text) {
        FILE *f = fopen(name, "w");

        cr_assert_not_null(f);
        fputs(text, f);
        fclose(f);
}

static const char good[] = "id: good\nname: Good\nversion: \"1\"\nsteps:\n  - id: a\n    name: A\n    type: "
                           "wait\n    dependsOn: []\n"
                           "    config: {durationMs: 10}\n";
static const char bad[] = "id: bad\nname: Bad\nversion: \"1\"\nsteps:\n  - id: a\n    name: A\n    type: "
                          "wiat\n  - id: b\n    name: B\n"
                          "    type: wait\n    dependsOn: [nobody]\n    config:\n      durationMs: -5\n";

Test(offline, help) {
        const Run *r = run("--help");

        cr_expect_eq(r->exit, 0);
        cr_expect_not_null(strstr(r->out, "Exit status"));
        r = run("help start");
        cr_expect_eq(r->exit, 0);
        cr_expect_not_null(strstr(r->out, "--authorized-user"));
        cr_expect_not_null(strstr(r->out, "Examples"));
        r = run("start -h");
        cr_expect_eq(r->exit, 0);
        r = run(" ");
        cr_expect_eq(r->exit, 2, "no command is a wrong command line");
        cr_expect_str_eq(r->out, "");
        r = run("version --json");
        cr_expect_not_null(strstr(r->out, "{\"version\":\"v1\",\"runbook\":"));
}

Test(offline, wrong_command_lines) {
        static const struct {
                const char *line, *message;
        } cases[] = {
                        {"strat x", "did you mean start?"},
                        {"xyzzy", "there is no command xyzzy"},
                        {"start", "too few arguments: runbook start RUNBOOK[@VERSION]|FILE"},
                        {"pause a b", "too many arguments"},
                        {"pause ''", "an argument is empty"},
                        {"list --limit 0", "--limit is 1 to 1000"},
                        {"list --since yesterday", "--since wants a time"},
                        {"list --timeout soon", "--timeout wants a time"},
                        {"replay x --mode sideways", "--mode is rerun or verify"},
                        {"graph x --format png", "--format is text, dot or mermaid"},
                        {"list --status lost", "--status is pending, running, pausing, paused, "
                                               "compensating, completed, failed or cancelled, not lost"},
                        {"logs x --level loud", "--level is debug, info, warn or error, not loud"},
                        {"help strat", "there is no command strat; did you mean start?"},
                        {"list --color sometimes", "--color is auto, always or never"},
                        {"history", "give an execution, or --file"},
                        {"history x --checkpoints y", "--checkpoints goes with --verify"},
                        {"history x --verify --key y", "--key goes with --checkpoints"},
                        {"history --verify -f - --checkpoints -", "only one of the files can be stdin"},
                        {"checkpoints", "give files of checkpoints to verify, or --follow"},
                        {"checkpoints x --key AAAA", "--key: a public key is 32 bytes in base64"},
                        {"completion csh", "bash, zsh and fish"},
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const Run *r = run("%s", cases[i].line);

                cr_expect_eq(r->exit, 2, "%s: %d", cases[i].line, r->exit);
                cr_expect_not_null(strstr(r->err, cases[i].message), "%s: %s", cases[i].line, r->err);
                cr_expect_str_eq(r->out, "");
        }
}

Test(offline, wrong_command_lines_as_json) {
        static const char *const lines[] = {"--json",           "--json strat",         "strat --json",
                                            "start --json",     "list --no-such --json", "list --limit 0 --json",
                                            "help nope --json", "list --color x --json"};

        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
                const Run *r = run("%s", lines[i]);

                cr_expect_eq(r->exit, 2, "%s: %d", lines[i], r->exit);
                cr_expect_eq(strstr(r->out, "{\"version\":\"v1\",\"error\":\"INVALID_REQUEST\",\"message\":\""),
                             r->out, "%s: %s", lines[i], r->out);
                cr_expect_str_eq(r->err, "", "%s: %s", lines[i], r->err);
        }
        const Run *r = run("list --limit 0 -- --json");
        cr_expect_str_eq(r->out, "", "what follows -- is no option: %s", r->out);
}

Test(offline, without_a_stdout_it_says_so) {
        const Run *r = run("version >&-");

        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "cannot write the output: Bad file descriptor"), "%s", r->err);
}

Test(offline, validate) {
        const Run *r;

        write_file("good.yaml", good);
        write_file("bad.yaml", bad);
        r = run("validate good.yaml");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_str_eq(r->out, "good.yaml: fine: good 1, 1 step\n");
        r = run("validate bad.yaml");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "bad.yaml:7:5: /steps/0/type: unknown type \"wiat\"; did you mean "
                                          "\"wait\"?\n"),
                           "%s", r->err);
        cr_expect_not_null(strstr(r->err, "bad.yaml:11:5: /steps/1/dependsOn/0: "), "%s", r->err);
        cr_expect_not_null(strstr(r->err, "bad.yaml:13:7: /steps/1/config/durationMs: "), "%s", r->err);
        r = run("validate --json good.yaml bad.yaml");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->out, "\"valid\":true"), "%s", r->out);
        cr_expect_not_null(strstr(r->out, "\"line\":13,\"column\":7"), "%s", r->out);
        cr_expect_str_eq(r->err, "");
        r = run("validate - < good.yaml");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        r = run("validate absent.yaml");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "cannot read absent.yaml: No such file"), "%s", r->err);
        write_file("syntax.json", "{\"id\": \"x\",\n \"steps\": [1,}");
        r = run("validate syntax.json");
        cr_expect_eq(r->exit, 1);
        cr_expect_eq(strncmp(r->err, "syntax.json:2:", 14), 0, "%s", r->err);
}

Test(offline, graph_of_a_file) {
        const Run *r;

        write_file("good.yaml", good);
        r = run("graph good.yaml");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_str_eq(r->out, "a  wait\n");
        r = run("graph ./good.yaml --format mermaid");
        cr_expect_str_eq(r->out, "flowchart TD\n  s0([\"a<br/>wait\"])\n");
        write_file("empty.json", "{}");
        r = run("graph empty.json");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "has no steps"));
}

Test(offline, history_of_a_file) {
        static const char event[] =
                        "{\"prevhash\":\"0000000000000000000000000000000000000000000000000000000000000000\","
                        "\"sequence\":1,\"subject\":\"x\","
                        "\"hash\":\"28c044bc770eb0935d81f41ff41b3e91ad5b192a6aefc1e8367b56cbc17a4876\"}";
        char text[2048];
        const Run *r;

        snprintf(text, sizeof text, "%s\n\n", event);
        write_file("lines.jsonl", text);
        snprintf(text, sizeof text, "{\"version\":\"v1\",\"events\":[%s]}", event);
        write_file("answer.json", text);
        snprintf(text, sizeof text, "[%s]", event);
        write_file("list.json", text);
        r = run("history --verify --file lines.jsonl");
        cr_expect_eq(r->exit, 0, "%s", r->err);
        cr_expect_not_null(strstr(r->out, "verified: 1 events"), "%s", r->out);
        cr_expect_eq(run("history --verify --file answer.json")->exit, 0);
        cr_expect_eq(run("history --verify --file list.json")->exit, 0);
        snprintf(text, sizeof text, "%s\n%s\nnonsense\n", event, event);
        write_file("lines.jsonl", text);
        r = run("history --verify --file lines.jsonl");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "event 1 stands behind event 1"), "%s", r->err);
        cr_expect_not_null(strstr(r->err, "NOT verified: 2 faults in 3 events"), "%s", r->err);
        r = run("history --verify --file lines.jsonl --json");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->out, "\"verified\":false"), "%s", r->out);
        write_file("empty", "");
        cr_expect_eq(run("history --verify --file empty")->exit, 1, "nothing is not proof of anything");
}

Test(offline, no_server) {
        const Run *r = run("list");

        cr_expect_eq(r->exit, 3);
        cr_expect_not_null(strstr(r->err, "no NATS server can be reached at nats://127.0.0.1:1"), "%s",
                           r->err);
        r = run("list --json");
        cr_expect_eq(r->exit, 3);
        cr_expect_eq(strncmp(r->out, "{\"version\":\"v1\",\"error\":\"NO_SERVER\"", 35), 0, "%s", r->out);
        cr_expect_str_eq(r->err, "");
}

Test(offline, configuration_file) {
        const Run *r;

        cr_assert_eq(system("mkdir -p .config/runbook"), 0);
        unsetenv("NATS_URL");
        write_file(".config/runbook/config.yaml", "server: nats://127.0.0.1:2\ntenant: acme\n");
        r = run("list");
        cr_expect_not_null(strstr(r->err, "127.0.0.1:2"), "%s", r->err);
        r = run("-s nats://127.0.0.1:3 list");
        cr_expect_not_null(strstr(r->err, "127.0.0.1:3"), "%s", r->err);
        setenv("NATS_URL", "nats://127.0.0.1:4", 1);
        r = run("list");
        cr_expect_not_null(strstr(r->err, "127.0.0.1:4"), "%s", r->err);
        write_file(".config/runbook/config.yaml", "tennant: acme\n");
        r = run("list");
        cr_expect_eq(r->exit, 2);
        cr_expect_not_null(strstr(r->err, "unknown field \"tennant\"; did you mean \"tenant\"?"), "%s",
                           r->err);
        write_file(".config/runbook/config.yaml", "- a\n");
        cr_expect_eq(run("list")->exit, 2);
        cr_expect_eq(run("--help")->exit, 0, "help is there in any case");
}

Test(offline, completion) {
        const Run *r = run("completion bash > c.bash");

        cr_expect_eq(r->exit, 0);
        cr_expect_eq(system("bash -n c.bash"), 0);
        cr_expect_eq(system("bash -c 'source ./c.bash; COMP_WORDS=(runbook -s x sta); COMP_CWORD=3; "
                            "_runbook; "
                            "[ \"${COMPREPLY[*]}\" = \"start stats status\" ]'"),
                     0);
        cr_expect_eq(system("bash -c 'source ./c.bash; COMP_WORDS=(runbook replay --mode \"\"); "
                            "COMP_CWORD=3; _runbook; "
                            "[ \"${COMPREPLY[*]}\" = \"rerun verify\" ]'"),
                     0);
        r = run("completion zsh");
        cr_expect_eq(strncmp(r->out, "#compdef runbook\n", 17), 0);
        r = run("completion fish");
        cr_expect_not_null(strstr(r->out, "complete -c runbook -n __fish_use_subcommand -a validate"));
}

Test(offline, a_reader_that_goes_away_ends_it_quietly) {
        const Run *r = run("--help | head -1");

        cr_expect_str_eq(r->err, "");
        r = run("completion bash | true; exit ${PIPESTATUS[0]}");
        cr_expect(r->exit == 141 || r->exit == 0, "%d", r->exit); /* 0: all fitted into the pipe in time */
        cr_expect_str_eq(r->err, "");
        r = run("--help > /dev/full");
        cr_expect_eq(r->exit, 1);
        cr_expect_not_null(strstr(r->err, "cannot write the output: No space left"), "%s", r->err);
}
