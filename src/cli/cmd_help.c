/* help and version. */

#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"

static int run_help(Cli *cli, const CliArgs *args) {
        const char *name = args_at(args, 0);
        const CliCommand *c;

        if (!name) {
                help_program(cli, stdout);
                return EXIT_FINE;
        }
        c = cli_find_command(name);
        if (!c)
                return cli_unknown_command(cli, name);
        help_command(cli, c, stdout);
        return EXIT_FINE;
}

const CliCommand command_help = {
                .name = "help",
                .usage = "[COMMAND]",
                .summary = "show help",
                .examples = "  runbook help start",
                .n_max = 1,
                .kinds = {KIND_COMMAND},
                .run = run_help,
};

static int run_version(Cli *cli, const CliArgs *args) {
        cli_print(cli->json ? "{\"version\":\"v1\",\"runbook\":\"%s\"}\n" : "runbook %s\n", RUNBOOK_VERSION);
        return EXIT_FINE;
}

const CliCommand command_version = {
                .name = "version",
                .usage = "",
                .summary = "show the version",
                .examples = "  runbook version",
                .run = run_version,
};
