/* The table of commands, and how one of them is found and run. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/output.h"
#include "cli/text.h"

const CliCommand *const cli_commands[] = {
                &command_approvals,   &command_approve,    &command_backup,   &command_cancel,
                &command_checkpoints, &command_completion, &command_event,    &command_evidence,
                &command_graph,       &command_help,       &command_history,  &command_list,
                &command_logs,        &command_pause,      &command_register, &command_reject,
                &command_replay,      &command_resume,     &command_retry,    &command_runbooks,
                &command_show,        &command_start,      &command_stats,    &command_status,
                &command_validate,    &command_version,    &command_watch,
};
const size_t n_cli_commands = N_ELEMENTS(cli_commands);

const CliOption cli_global_options[] = {
                {"color", 0, "WHEN", "auto, always or never (also NO_COLOR)", KIND_WORDS,
                 "auto always never"},
                {"creds", 0, "FILE", "NATS credentials", KIND_FILE, NULL},
                {"help", 'h', NULL, "show this", KIND_NONE, NULL},
                {"json", 0, NULL,
                 "machine output: the engine's replies, one JSON document (or line per event)", KIND_NONE,
                 NULL},
                {"nats-context", 0, "NAME", "NATS context (or the path of its file)", KIND_CONTEXT, NULL},
                {"prefix", 0, "SUBJECT", "subject prefix of the engine, default runbook.v1", KIND_NONE, NULL},
                {"quiet", 'q', NULL, "print ids only", KIND_NONE, NULL},
                {"server", 's', "URL", "NATS server, or several with commas", KIND_NONE, NULL},
                {"tenant", 't', "TENANT", "speak for this tenant", KIND_NONE, NULL},
                {"timeout", 0, "TIME", "give up after this long, e.g. 30s or 5m", KIND_NONE, NULL},
                {"user", 'u', "USER", "speak as this user", KIND_NONE, NULL},
};
const size_t n_cli_global_options = N_ELEMENTS(cli_global_options);

/** Words that people type for a command. */
static const struct {
        const char *word, *command;
} synonyms[] = {{"--version", "version"}, {"-V", "version"}, {"executions", "list"},
                {"ls", "list"},           {"ps", "list"},    {"run", "start"}};

const CliCommand *cli_find_command(const char *name) {
        for (size_t i = 0; i < N_ELEMENTS(synonyms); i++)
                if (!strcmp(synonyms[i].word, name))
                        name = synonyms[i].command;
        for (size_t i = 0; i < n_cli_commands; i++)
                if (!strcmp(cli_commands[i]->name, name))
                        return cli_commands[i];
        return NULL;
}

int cli_unknown_command(Cli *cli, const char *name) {
        const char *names[N_ELEMENTS(cli_commands)], *nearest;

        for (size_t i = 0; i < n_cli_commands; i++)
                names[i] = cli_commands[i]->name;
        nearest = slice_nearest(slice_from_str(name), names, n_cli_commands);
        if (nearest)
                return cli_usage(cli, "there is no command %s; did you mean %s?", name, nearest);
        return cli_usage(cli, "there is no command %s", name);
}

/** "a b c" as "a, b or c". */
static void put_choices(Buf *b, const char *words) {
        for (const char *p = words; *p;) {
                size_t n = strcspn(p, " ");
                bool is_last = p[n] == 0;

                buf_printf(b, "%s%.*s", p == words ? "" : is_last ? " or " : ", ", (int)n, p);
                p += n + !is_last;
        }
}

static bool has_word(const char *words, const char *word) {
        size_t n = strlen(word);

        for (const char *p = words; *p; p += strcspn(p, " "), p += *p == ' ')
                if (strcspn(p, " ") == n && !memcmp(p, word, n))
                        return true;
        return false;
}

/** Options that are one of several words are one of them. 0 or EXIT_USAGE. */
static int check_words(Cli *cli, const CliArgs *args) {
        for (size_t i = 0; i < args->n; i++) {
                const CliOption *o = args->items[i].option;
                _cleanup_(buf_deinit) Buf choices = {0};

                if (!o || o->kind != KIND_WORDS || has_word(o->words, args->items[i].value))
                        continue;
                put_choices(&choices, o->words);
                return cli_usage(cli, "--%s is %.*s, not %s", o->name, SLICE_ARG(buf_slice(&choices)),
                                 args->items[i].value);
        }
        return 0;
}

/** Take what the global options say. 0 or a CliExit. */
static int apply_globals(Cli *cli, const CliArgs *args) {
        const char *timeout = args_get(args, "timeout"), *color = args_get(args, "color");

        cli->json |= args_has(args, "json");
        cli->quiet |= args_has(args, "quiet");
        cli->server = args_has(args, "server") ? args_get(args, "server") : cli->server;
        cli->nats_context =
                        args_has(args, "nats-context") ? args_get(args, "nats-context") : cli->nats_context;
        cli->credentials = args_has(args, "creds") ? args_get(args, "creds") : cli->credentials;
        cli->tenant = args_has(args, "tenant") ? args_get(args, "tenant") : cli->tenant;
        cli->user = args_has(args, "user") ? args_get(args, "user") : cli->user;
        cli->prefix = args_has(args, "prefix") ? args_get(args, "prefix") : cli->prefix;
        if (check_words(cli, args))
                return EXIT_USAGE;
        if (color)
                output_init(cli, color);
        if (timeout &&
            (!text_parse_duration(slice_from_str(timeout), &cli->timeout_ms) || cli->timeout_ms == 0))
                return cli_usage(cli, "--timeout wants a time such as 30s, 5m or 1h30m, not %s", timeout);
        return 0;
}

static int check_count(Cli *cli, const CliArgs *args) {
        const CliCommand *c = cli->command;
        size_t n = args_count(args);

        if (n < (size_t)c->n_min)
                return cli_usage(cli, "too few arguments: runbook %s %s", c->name, c->usage);
        if (c->n_max >= 0 && n > (size_t)c->n_max)
                return cli_usage(cli, "too many arguments: runbook %s%s%s takes no %s", c->name,
                                 *c->usage ? " " : "", c->usage, args_at(args, (size_t)c->n_max));
        for (size_t i = 0; i < n; i++)
                if (!*args_at(args, i))
                        return cli_usage(cli, "an argument is empty: runbook %s %s", c->name, c->usage);
        return 0;
}

static int run_command(Cli *cli, int argc, char **argv) {
        _cleanup_(args_deinit) CliArgs args = {0};
        _cleanup_(buf_deinit) Buf message = {0};
        int r = args_parse(&args, cli->command, argc, argv, NULL, &message);

        if (r < 0)
                return message.n ? cli_usage(cli, "%.*s", SLICE_ARG(buf_slice(&message)))
                                 : cli_no_memory(cli);
        r = apply_globals(cli, &args);
        if (r)
                return r;
        if (args_has(&args, "help")) {
                help_command(cli, cli->command, stdout);
                return EXIT_FINE;
        }
        r = check_count(cli, &args);
        if (r == 0)
                r = config_load(cli);
        return r ? r : cli->command->run(cli, &args);
}

/** Options before the command's name, then the command. */
static int dispatch(Cli *cli, int argc, char **argv) {
        _cleanup_(args_deinit) CliArgs leading = {0};
        _cleanup_(buf_deinit) Buf message = {0};
        int at = 0, r;

        if (argc > 0 && cli_find_command(argv[0])) { /* also "--version" */
                cli->command = cli_find_command(argv[0]);
                return run_command(cli, argc - 1, argv + 1);
        }
        r = args_parse(&leading, NULL, argc, argv, &at, &message);
        if (r < 0)
                return message.n ? cli_usage(cli, "%.*s", SLICE_ARG(buf_slice(&message)))
                                 : cli_no_memory(cli);
        r = apply_globals(cli, &leading);
        if (r)
                return r;
        if (at >= argc && cli->json && !args_has(&leading, "help"))
                return cli_usage(cli, "a command is missing");
        if (at >= argc) {
                help_program(cli, args_has(&leading, "help") ? stdout : stderr);
                return args_has(&leading, "help") ? EXIT_FINE : EXIT_USAGE;
        }
        cli->command = cli_find_command(argv[at]);
        if (!cli->command)
                return cli_unknown_command(cli, argv[at]);
        return run_command(cli, argc - at - 1, argv + at + 1);
}

int cli_main(int argc, char **argv) {
        Cli cli = {0};
        int exit;

        if (log_claim_streams() < 0)
                return EXIT_REFUSED;
        output_init(&cli, NULL);
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                cli.wants_json |= !strcmp(argv[i], "--json");
        exit = dispatch(&cli, argc - 1, argv + 1);
        if (cli.client) {
                runbook_client_close(cli.client);
                runbook_client_shutdown();
        }
        config_deinit(&cli.config);
        return output_finish(exit);
}
