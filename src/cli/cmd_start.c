/* start: begin an execution, and follow it if asked to. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/definition.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/text.h"
#include "json/json_write.h"

/** Options that stand for members of context.legalBasis. */
static const struct {
        const char *option, *key;
} basis_options[] = {{"authority", "authority"}, {"case-id", "caseId"}, {"classification", "classification"}};

/** Values of a repeated option as an array; NULL when out of memory. */
static json_t *collect(const CliArgs *args, const char *option) {
        json_t *array = json_array();
        const char *value;
        size_t it = 0;

        while (array && (value = args_each(args, option, &it))) {
                if (json_array_append_new(array, json_string(value)) != 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

/** Lay the shortcut options over @context. 0 or -1. */
static int apply_shortcuts(const CliArgs *args, json_t *context) {
        json_t *basis = json_object_get(context, "legalBasis");
        int r = 0;

        if (!json_is_object(basis)) {
                basis = json_object();
                r |= json_object_set_new(context, "legalBasis", basis);
        }
        for (size_t i = 0; r == 0 && i < N_ELEMENTS(basis_options); i++)
                if (args_has(args, basis_options[i].option))
                        r |= json_object_set_new(basis, basis_options[i].key,
                                                 json_string(args_get(args, basis_options[i].option)));
        if (r == 0 && args_has(args, "authorized-user"))
                r |= json_object_set_new(basis, "authorizedUsers", collect(args, "authorized-user"));
        if (r == 0 && args_has(args, "assumption"))
                r |= json_object_set_new(context, "assumptions", collect(args, "assumption"));
        if (r == 0 && json_object_size(basis) == 0)
                r |= json_object_del(context, "legalBasis");
        return r;
}

/** --context, else what the config says; then the shortcuts. 0 and an owned text, or a CliExit. */
static int make_context(Cli *cli, const CliArgs *args, char **ret) {
        json_t *context = NULL;
        int r;

        if (args_has(args, "context")) {
                r = cli_json_argument(cli, "context", args_get(args, "context"), &context);
                if (r)
                        return r;
                if (!json_is_object(context)) {
                        json_decref(context);
                        return cli_usage(cli, "--context must be a JSON object");
                }
        } else {
                context = config_context(&cli->config);
        }
        r = context ? apply_shortcuts(args, context) : -1;
        *ret = r == 0 ? json_dumps(context, JSON_COMPACT) : NULL;
        json_decref(context);
        return *ret ? 0 : cli_no_memory(cli);
}

static int make_input(Cli *cli, const CliArgs *args, char **ret) {
        json_t *input = NULL;
        int r;

        if (!args_has(args, "input"))
                return 0;
        r = cli_json_argument(cli, "input", args_get(args, "input"), &input);
        if (r)
                return r;
        *ret = json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
        json_decref(input);
        return *ret ? 0 : cli_no_memory(cli);
}

/** Register the definition in @path and start exactly that version. 0 or a CliExit. */
static int register_file(Cli *cli, Arena *arena, const char *path, RunbookStart *start) {
        _cleanup_(buf_deinit) Buf body = {0};
        RunbookReply *reply = NULL;
        json_t *definition = NULL;
        int r = definition_load(cli, path, true, &definition);

        if (r)
                return r;
        start->runbook_id = arena_dup_str(arena, json_text(definition, "id"));
        start->version = arena_dup_str(arena, json_text(definition, "version"));
        r = json_canonical(definition, &body);
        json_decref(definition);
        if (r < 0 || !start->runbook_id || !start->version)
                return cli_no_memory(cli);
        r = cli_connect(cli);
        if (r == 0)
                r = cli_outcome(cli,
                                runbook_client_register(cli->client, body.data, body.n, &cli->call, &reply,
                                                        &cli->error),
                                &reply);
        runbook_reply_free(reply);
        return r;
}

/** Say what was started. 0 with the id in @arena, or a CliExit. */
static int tell_started(Cli *cli, Arena *arena, const RunbookStart *start, const RunbookReply *reply,
                        const char **ret_id) {
        json_t *json = cli_parse(cli, reply);
        _cleanup_(buf_deinit) Buf b = {0};

        if (!json)
                return EXIT_UNREACHABLE;
        *ret_id = arena_dup_str(arena, json_text(json, "executionId"));
        if (cli->json)
                cli_print("%s\n", reply->body);
        else if (cli->quiet)
                cli_print("%s\n", json_text(json, "executionId"));
        else {
                buf_put_str(&b, json_is_true(json_object_get(json, "duplicate"))
                                                ? "already there, with the same input: "
                                : start->dry_run ? "dry run: "
                                                 : "started ");
                text_put_str(&b, &cli->term, json_text(json, "executionId"), TEXT_ANY_WIDTH);
                buf_put_char(&b, '\n');
                cli_write(&b);
        }
        json_decref(json);
        return *ret_id && **ret_id ? 0
                                   : cli_fail(cli, EXIT_UNREACHABLE, "BAD_ANSWER",
                                              "the engine's answer names no execution");
}

static int start(Cli *cli, const CliArgs *args, Arena *arena, RunbookStart *s) {
        const char *what = args_at(args, 0), *id = NULL;
        RunbookReply *reply = NULL;
        int r;

        if (definition_is_file(what))
                r = register_file(cli, arena, what, s);
        else
                r = definition_split_name(arena, what, &s->runbook_id, &s->version) ? cli_connect(cli)
                                                                                    : cli_no_memory(cli);
        if (r == 0)
                r = cli_outcome(cli, runbook_client_start(cli->client, s, &cli->call, &reply, &cli->error),
                                &reply);
        if (r == 0)
                r = tell_started(cli, arena, s, reply, &id);
        runbook_reply_free(reply);
        if (r == 0 && args_has(args, "wait"))
                r = follow_execution(cli, id, FOLLOW_DEFAULT);
        return r;
}

static int run_start(Cli *cli, const CliArgs *args) {
        _cleanup_(arena_deinit) Arena arena = {0};
        _cleanup_free_ char *context = NULL, *input = NULL;
        RunbookStart s = {
                        .execution_id = args_get(args, "id"),
                        .idempotency_key = args_get(args, "key"),
                        .pause_at = args_get(args, "pause-at"),
                        .skip_idempotency_check = args_has(args, "again"),
                        .dry_run = args_has(args, "dry-run"),
        };
        int r = make_context(cli, args, &context);

        if (r == 0)
                r = make_input(cli, args, &input);
        if (r)
                return r;
        s.context = context;
        s.input = input;
        return start(cli, args, &arena, &s);
}

static const CliOption start_options[] = {
                {"again", 0, NULL, "start even if one with the same input is there", KIND_NONE, NULL},
                {"assumption", 0, "TEXT", "an assumption to be kept with every log entry; repeatable",
                 KIND_NONE, NULL},
                {"authority", 0, "TEXT", "legal basis: on what authority", KIND_NONE, NULL},
                {"authorized-user", 0, "USER", "legal basis: who may see and control it; repeatable",
                 KIND_NONE, NULL},
                {"case-id", 0, "ID", "legal basis: the case", KIND_NONE, NULL},
                {"classification", 0, "TEXT", "legal basis: the classification", KIND_NONE, NULL},
                {"context", 0, "JSON", "the whole context: JSON, @FILE or @-", KIND_FILE, NULL},
                {"dry-run", 0, NULL, "go through the steps without touching the outside", KIND_NONE, NULL},
                {"id", 0, "UUID", "the new execution's id", KIND_NONE, NULL},
                {"input", 'i', "JSON", "the input: JSON, @FILE (JSON or YAML) or @- (stdin)", KIND_FILE,
                 NULL},
                {"key", 0, "KEY", "tell duplicates by this key", KIND_NONE, NULL},
                {"pause-at", 0, "STEP", "pause before this step", KIND_STEP, NULL},
                {"wait", 'w', NULL, "follow it to its end", KIND_NONE, NULL},
};

const CliCommand command_start = {
                .name = "start",
                .usage = "RUNBOOK[@VERSION]|FILE",
                .summary = "start a runbook, and follow it with --wait",
                .details = "A file is registered first. Without a version: the newest. With --wait the exit "
                           "status tells how it ended: "
                           "0 completed, 1 failed, 5 cancelled, 4 not in time (--timeout), 130 interrupted; "
                           "in the last two cases it goes on. "
                           "With --json: the reply, then (--wait) one line per event, then the execution. "
                           "The context's defaults come from ~/.config/runbook/config.yaml and "
                           "RUNBOOK_AUTHORITY, RUNBOOK_CLASSIFICATION, "
                           "RUNBOOK_AUTHORIZED_USERS (with commas), RUNBOOK_CASE_ID.",
                .examples = "  runbook start incident --input '{\"host\":\"host-7\"}' --authority "
                            "INVESTIGATION --classification SENSITIVE \\\n"
                            "      --authorized-user alice --authorized-user bob --wait\n"
                            "  runbook start incident.yaml -i @alert.json --wait --timeout 10m\n"
                            "  id=$(runbook start incident@1.2.0 -i @alert.json -q)",
                .options = start_options,
                .n_options = N_ELEMENTS(start_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_RUNBOOK_OR_FILE},
                .run = run_start,
};
