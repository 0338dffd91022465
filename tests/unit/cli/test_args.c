/* Command lines against the tables of options. */

#include <criterion/criterion.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "cli/cli.h"

TestSuite(args, .fini = check_leaks);

static CliArgs args;
static char message[512];

/** Parse the words of @line (split at blanks) for @command (NULL: leading globals). */
static int parse(const char *command, const char *line, int *ret_rest) {
        static char room[1024];
        char *argv[64], *rest = NULL;
        Buf b = {0};
        int argc = 0, r;

        args_deinit(&args);
        snprintf(room, sizeof room, "%s", line);
        for (char *w = strtok_r(room, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
                argv[argc++] = w;
        r = args_parse(&args, command ? cli_find_command(command) : NULL, argc, argv, ret_rest, &b);
        snprintf(message, sizeof message, "%.*s", (int)b.n, b.data ? b.data : "");
        buf_deinit(&b);
        return r;
}

Test(args, options_anywhere_and_positionals_in_order) {
        cr_assert_eq(parse("approve", "ID --comment fine STEP --json", NULL), 0, "%s", message);
        cr_expect_eq(args_count(&args), 2);
        cr_expect_str_eq(args_at(&args, 0), "ID");
        cr_expect_str_eq(args_at(&args, 1), "STEP");
        cr_expect_null(args_at(&args, 2));
        cr_expect_str_eq(args_get(&args, "comment"), "fine");
        cr_expect(args_has(&args, "json"));
        cr_expect_not(args_has(&args, "quiet"));
        args_deinit(&args);
}

Test(args, spellings_of_values) {
        static const char *const lines[] = {"--input=x", "--input x", "-i x", "-ix", "-wi x", "-wix"};

        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                cr_assert_eq(parse("start", lines[i], NULL), 0, "%s: %s", lines[i], message);
                cr_expect_str_eq(args_get(&args, "input"), "x", "%s", lines[i]);
        }
        cr_assert_eq(parse("start", "--input=", NULL), 0);
        cr_expect_str_eq(args_get(&args, "input"), "");
        cr_assert_eq(parse("start", "-i -", NULL), 0);
        cr_expect_str_eq(args_get(&args, "input"), "-");
        args_deinit(&args);
}

Test(args, repeated_options_and_the_last_one_wins) {
        size_t it = 0;

        cr_assert_eq(parse("start", "--authorized-user a --case-id 1 --authorized-user b --case-id 2", NULL),
                     0);
        cr_expect_str_eq(args_each(&args, "authorized-user", &it), "a");
        cr_expect_str_eq(args_each(&args, "authorized-user", &it), "b");
        cr_expect_null(args_each(&args, "authorized-user", &it));
        cr_expect_str_eq(args_get(&args, "case-id"), "2");
        args_deinit(&args);
}

Test(args, double_dash_ends_options) {
        cr_assert_eq(parse("status", "-- --json", NULL), 0);
        cr_expect_str_eq(args_at(&args, 0), "--json");
        cr_expect_not(args_has(&args, "json"));
        cr_assert_eq(parse("validate", "-", NULL), 0);
        cr_expect_str_eq(args_at(&args, 0), "-", "a lone dash is stdin, not an option");
        args_deinit(&args);
}

Test(args, faults_are_told) {
        static const struct {
                const char *line, *message;
        } cases[] = {
                        {"--inptu x", "unknown option --inptu; did you mean --input?"},
                        {"--xyzzy", "unknown option --xyzzy"},
                        {"--input", "--input wants JSON"},
                        {"-i", "-i wants JSON"},
                        {"-z", "unknown option -z"},
                        {"--wait=yes", "--wait takes no value"},
                        {"--tenent a", "unknown option --tenent; did you mean --tenant?"},
        };

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                cr_expect_lt(parse("start", cases[i].line, NULL), 0);
                cr_expect_str_eq(message, cases[i].message);
        }
        args_deinit(&args);
}

Test(args, leading_globals_stop_at_the_command) {
        int rest = -1;

        cr_assert_eq(parse(NULL, "-s nats://x --json status ID", &rest), 0);
        cr_expect_eq(rest, 3);
        cr_expect_str_eq(args_get(&args, "server"), "nats://x");
        cr_expect_eq(args_count(&args), 0);
        args_deinit(&args);
}

/** What the tables promise to help, completion and the finding of commands. */
Test(args, tables_are_in_order) {
        for (size_t i = 0; i < n_cli_commands; i++) {
                const CliCommand *c = cli_commands[i];

                if (i > 0)
                        cr_expect_lt(strcmp(cli_commands[i - 1]->name, c->name), 0, "%s", c->name);
                cr_expect_eq(cli_find_command(c->name), c);
                cr_expect_not_null(c->examples, "%s", c->name);
                cr_expect_not_null(c->run, "%s", c->name);
                for (size_t k = 1; k < c->n_options; k++)
                        cr_expect_lt(strcmp(c->options[k - 1].name, c->options[k].name), 0, "%s %s", c->name,
                                     c->options[k].name);
                for (size_t k = 0; k < c->n_options; k++)
                        for (size_t g = 0; g < n_cli_global_options; g++) {
                                cr_expect_str_neq(c->options[k].name, cli_global_options[g].name, "%s",
                                                  c->name);
                                cr_expect(!c->options[k].letter ||
                                                          c->options[k].letter !=
                                                                          cli_global_options[g].letter,
                                          "%s -%c", c->name, c->options[k].letter);
                        }
        }
}
