/* graph: draw a definition. */

#include <errno.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/definition.h"
#include "cli/graph.h"
#include "cli/output.h"

/** From the engine, where @argument is no file. 0 and an owned definition, or a CliExit. */
static int fetch(Cli *cli, const char *argument, json_t **ret) {
        _cleanup_(arena_deinit) Arena arena = {0};
        RunbookQuery query = {0};
        RunbookReply *reply = NULL;
        const char *id;
        json_t *json;
        int r;

        if (!definition_split_name(&arena, argument, &id, &query.version))
                return cli_no_memory(cli);
        r = cli_connect(cli);
        if (r == 0)
                r = cli_outcome(cli,
                                runbook_client_runbook(cli->client, id, &query, &cli->call, &reply,
                                                       &cli->error),
                                &reply);
        if (r)
                return r;
        json = cli_parse(cli, reply);
        *ret = json_incref(json_object_get(json, "runbook"));
        json_decref(json);
        runbook_reply_free(reply);
        return *ret ? 0 : EXIT_UNREACHABLE;
}

static int draw(Cli *cli, const json_t *definition, const char *format, Buf *b) {
        if (format && !strcmp(format, "dot"))
                return graph_dot(definition, b);
        if (format && !strcmp(format, "mermaid"))
                return graph_mermaid(definition, b);
        return graph_tree(definition, &cli->term, cli_width(cli), b);
}

static int run_graph(Cli *cli, const CliArgs *args) {
        const char *what = args_at(args, 0), *format = args_get(args, "format");
        _cleanup_(buf_deinit) Buf b = {0};
        json_t *definition = NULL;
        int r;

        /* A file is drawn even when it has errors: a picture helps to find them. */
        r = definition_is_file(what) ? definition_load(cli, what, false, &definition)
                                     : fetch(cli, what, &definition);
        if (r)
                return r;
        if (cli->json) {
                cli_print_json(definition);
                json_decref(definition);
                return 0;
        }
        r = draw(cli, definition, format, &b);
        json_decref(definition);
        if (r == -EINVAL)
                return cli_fail(cli, EXIT_REFUSED, "INVALID_RUNBOOK", "%s has no steps to draw", what);
        if (r < 0)
                return cli_no_memory(cli);
        cli_write(&b);
        return 0;
}

static const CliOption graph_options[] = {
                {"format", 0, "FORMAT", "text, dot or mermaid", KIND_WORDS, "text dot mermaid"},
};

const CliCommand command_graph = {
                .name = "graph",
                .usage = "RUNBOOK[@VERSION]|FILE",
                .summary = "draw a runbook's steps",
                .details = "On the terminal a tree; a step that several lead to is drawn once, and referred "
                           "to elsewhere.",
                .examples = "  runbook graph incident.yaml\n  runbook graph incident --format dot | dot "
                            "-Tsvg > incident.svg",
                .options = graph_options,
                .n_options = N_ELEMENTS(graph_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_RUNBOOK_OR_FILE},
                .run = run_graph,
};
