/* validate, register, runbooks, show: definitions. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/definition.h"
#include "cli/output.h"
#include "cli/table.h"
#include "json/json_write.h"

/* ── validate ──────────────────────────────────────────────────────────────────────────────────── */

static void tell_valid(Cli *cli, const char *path, const json_t *definition) {
        size_t n = json_array_size(json_object_get(definition, "steps"));
        _cleanup_(buf_deinit) Buf b = {0};

        if (cli->json) {
                json_t *json = json_pack("{ss ss sb s{ss ss si}}", "version", "v1", "file", path, "valid", 1,
                                         "runbook", "id", json_text(definition, "id"), "version",
                                         json_text(definition, "version"), "stepCount", (int)n);

                cli_print_json(json);
                json_decref(json);
        } else if (!cli->quiet) {
                buf_printf(&b, "%s: fine: ", path);
                text_put_str(&b, &cli->term, json_text(definition, "id"), TEXT_ANY_WIDTH);
                buf_put_char(&b, ' ');
                text_put_str(&b, &cli->term, json_text(definition, "version"), TEXT_ANY_WIDTH);
                buf_printf(&b, ", %zu step%s\n", n, n == 1 ? "" : "s");
                cli_write(&b);
        }
}

static int run_validate(Cli *cli, const CliArgs *args) {
        int exit = EXIT_FINE;

        for (size_t i = 0; i < args_count(args); i++) {
                const char *path = args_at(args, i);
                json_t *definition = NULL;
                int r = definition_load(cli, path, true, &definition);

                if (r)
                        exit = r;
                else
                        tell_valid(cli, path, definition);
                json_decref(definition);
        }
        return exit;
}

const CliCommand command_validate = {
                .name = "validate",
                .usage = "FILE...",
                .summary = "check definitions without an engine",
                .details = "Every error is shown as FILE:LINE:COLUMN: /json/pointer: sentence. JSON or YAML; "
                           "- is stdin.",
                .examples = "  runbook validate incident.yaml\n  runbook validate --json *.json | jq "
                            "'select(.error).details'",
                .n_min = 1,
                .n_max = -1,
                .kinds = {KIND_FILE},
                .run = run_validate,
};

/* ── register ──────────────────────────────────────────────────────────────────────────────────── */

static int run_register(Cli *cli, const CliArgs *args) {
        _cleanup_(buf_deinit) Buf body = {0};
        json_t *definition = NULL, *json;
        RunbookReply *reply = NULL;
        int r = definition_load(cli, args_at(args, 0), !args_has(args, "no-check"), &definition);

        if (r)
                return r;
        r = json_canonical(definition, &body) < 0 ? cli_no_memory(cli) : cli_connect(cli);
        if (r == 0)
                r = cli_outcome(cli,
                                runbook_client_register(cli->client, body.data, body.n, &cli->call, &reply,
                                                        &cli->error),
                                &reply);
        if (r == 0 && !cli_print_json_reply(cli, reply)) {
                json = definition;
                if (cli->quiet)
                        cli_print("%s\n", json_text(json, "id"));
                else
                        cli_print("registered %s %s (%zu steps)\n", json_text(json, "id"),
                                  json_text(json, "version"),
                                  json_array_size(json_object_get(json, "steps")));
        }
        runbook_reply_free(reply);
        json_decref(definition);
        return r;
}

static const CliOption register_options[] = {
                {"no-check", 0, NULL, "leave the checking to the engine", KIND_NONE, NULL},
};

const CliCommand command_register = {
                .name = "register",
                .usage = "FILE",
                .summary = "give a definition to the engine",
                .details = "The definition (JSON or YAML; - is stdin) is checked here first, so that errors "
                           "come with lines. "
                           "A version never changes: the same content again is fine, other content is "
                           "refused.",
                .examples = "  runbook register incident.yaml\n  jq '.version = \"1.0.1\"' incident.json | "
                            "runbook register -",
                .options = register_options,
                .n_options = N_ELEMENTS(register_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_FILE},
                .run = run_register,
};

/* ── runbooks ──────────────────────────────────────────────────────────────────────────────────── */

static void show_runbooks(Cli *cli, const json_t *json) {
        static const char *const headers[] = {"RUNBOOK", "VERSION", "STEPS", "NAME"};
        _cleanup_(table_deinit) Table t = {.headers = headers, .n_columns = 4, .flexible = 1 << 3};
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *runbook;
        size_t i;

        json_array_foreach(json_object_get(json, "runbooks"), i, runbook) {
                if (cli->quiet) {
                        cli_print("%s\n", json_text(runbook, "id"));
                        continue;
                }
                table_put(&t, COLOR_BOLD, json_text(runbook, "id"));
                table_put(&t, COLOR_NONE, json_text(runbook, "version"));
                table_printf(&t, COLOR_NONE, "%lld", (long long)json_number(runbook, "stepCount"));
                table_put(&t, COLOR_NONE, json_text(runbook, "name"));
        }
        if (cli->quiet)
                return;
        if (json_array_size(json_object_get(json, "runbooks")) == 0)
                buf_printf(&b, "nothing is registered yet in tenant %s: runbook register FILE\n",
                           runbook_client_tenant(cli->client));
        else
                table_render(&t, &cli->term, cli_width(cli), &b);
        cli_put_more(cli, json, &b);
        cli_write(&b);
}

static int run_runbooks(Cli *cli, const CliArgs *args) {
        RunbookQuery query = {.cursor = args_get(args, "cursor")};
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_runbooks(cli->client, &query, &cli->call, &reply, &cli->error);
        return cli_show(cli, r, reply, show_runbooks);
}

static const CliOption runbooks_options[] = {
                {"cursor", 0, "CURSOR", "go on where the page before ended", KIND_NONE, NULL},
};

const CliCommand command_runbooks = {
                .name = "runbooks",
                .usage = "",
                .summary = "list the registered runbooks",
                .examples = "  runbook runbooks\n  runbook runbooks --json | jq -r '.runbooks[].id'",
                .options = runbooks_options,
                .n_options = N_ELEMENTS(runbooks_options),
                .run = run_runbooks,
};

/* ── show ──────────────────────────────────────────────────────────────────────────────────────── */

static void put_dependencies(Table *t, const json_t *step) {
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *id;
        size_t i;

        json_array_foreach(json_object_get(step, "dependsOn"), i, id) buf_printf(
                        &b, "%s%s", i ? ", " : "", json_string_value(id) ? json_string_value(id) : "?");
        table_put_buf(t, COLOR_NONE, &b);
}

static void put_schema(Buf *b, const CliTerm *term, const char *name, const json_t *schema) {
        char *text = json_object_size(schema) > 0 ? json_dumps(schema, JSON_INDENT(2)) : NULL;

        if (!text)
                return;
        text_color(b, term, COLOR_DIM);
        buf_printf(b, "%s\n", name);
        text_plain(b, term);
        text_put_lines(b, term, slice_from_str(text), 2);
        free(text);
}

static void show_runbook(Cli *cli, const json_t *json) {
        static const struct {
                const char *name, *key;
        } properties[] = {{"runbook", "id"},
                          {"version", "version"},
                          {"name", "name"},
                          {"description", "description"},
                          {"created by", "createdBy"}};
        static const char *const headers[] = {"STEP", "TYPE", "AFTER", "NAME"};
        _cleanup_(table_deinit) Table t = {.headers = headers, .n_columns = 4, .flexible = 1 << 2 | 1 << 3};
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *runbook = json_object_get(json, "runbook"), *step;
        size_t i;

        for (size_t k = 0; k < N_ELEMENTS(properties); k++)
                text_put_property(&b, &cli->term, 13, properties[k].name, json_text(runbook, properties[k].key));
        put_schema(&b, &cli->term, "input", json_object_get(runbook, "inputSchema"));
        put_schema(&b, &cli->term, "output", json_object_get(runbook, "outputSchema"));
        json_array_foreach(json_object_get(runbook, "steps"), i, step) {
                table_put(&t, COLOR_BOLD, json_text(step, "id"));
                table_put(&t, COLOR_NONE, json_text(step, "type"));
                put_dependencies(&t, step);
                table_put(&t, COLOR_NONE, json_text(step, "name"));
        }
        buf_put_char(&b, '\n');
        table_render(&t, &cli->term, cli_width(cli), &b);
        cli_write(&b);
}

static int run_show(Cli *cli, const CliArgs *args) {
        _cleanup_(arena_deinit) Arena arena = {0};
        RunbookQuery query = {0};
        RunbookReply *reply = NULL;
        const char *id;
        int r;

        if (!definition_split_name(&arena, args_at(args, 0), &id, &query.version))
                return cli_no_memory(cli);
        r = cli_connect(cli);
        if (r)
                return r;
        r = runbook_client_runbook(cli->client, id, &query, &cli->call, &reply, &cli->error);
        return cli_show(cli, r, reply, show_runbook);
}

const CliCommand command_show = {
                .name = "show",
                .usage = "RUNBOOK[@VERSION]",
                .summary = "show a registered definition",
                .details = "Without a version: the newest. --json gives the whole definition.",
                .examples = "  runbook show incident\n  runbook show incident@1.2.0 --json | jq .runbook > "
                            "incident.json",
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_RUNBOOK},
                .run = run_show,
};
