/* list, stats, status: executions as they are now. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/view.h"

#define LIST_SHOWN         20 /* on a terminal, unless --limit says otherwise */
#define STATUS_PAGE        1000
#define STATUS_STEPS_SHOWN 200 /* unless --all */
#define ORIGIN_NAME_WIDTH  12

/* ── list ──────────────────────────────────────────────────────────────────────────────────────── */

static int limit_option(Cli *cli, const CliArgs *args, int *ret) {
        const char *value = args_get(args, "limit");
        uint64_t n = 0;

        if (!value)
                return 0;
        if (!slice_to_u64(slice_from_str(value), &n) || n < 1 || n > 1000)
                return cli_usage(cli, "--limit is 1 to 1000, not %s", value);
        *ret = (int)n;
        return 0;
}

static void put_execution(Cli *cli, Table *t, const json_t *x) {
        const json_t *progress = json_object_get(x, "progress");
        int64_t start = json_time(x, "startTime"), end = json_time(x, "endTime"), now = cli_now_ms(), done;
        const char *status = json_text(x, "status"), *by = json_text(x, "initiatedBy");
        _cleanup_(buf_deinit) Buf b = {0};

        if (!*by)
                by = json_text(json_object_get(x, "context"), "initiatedBy");
        table_put(t, COLOR_NONE, json_text(x, "id"));
        table_printf(t, COLOR_BOLD, "%s %s", json_text(x, "runbookId"), json_text(x, "runbookVersion"));
        table_put(t,
                  !strcmp(status, "completed") ? COLOR_GREEN
                  : !strcmp(status, "failed")  ? COLOR_RED
                                               : view_status_color(status),
                  status);
        done = json_number(progress, "completed") + json_number(progress, "failed") +
               json_number(progress, "skipped");
        table_printf(t, COLOR_NONE, "%lld/%lld", (long long)done, (long long)json_number(progress, "total"));
        if (start)
                text_put_time(&b, start, now);
        table_put_buf(t, COLOR_NONE, &b);
        if (start)
                text_put_duration(&b, (end ? end : now) - start);
        table_put_buf(t, COLOR_NONE, &b);
        table_put(t, COLOR_NONE, by);
}

static void show_list(Cli *cli, const json_t *json) {
        static const char *const headers[] = {"EXECUTION", "RUNBOOK", "STATUS", "STEPS",
                                              "STARTED",   "TOOK",    "BY"};
        _cleanup_(table_deinit) Table t = {.headers = headers,
                                           .n_columns = 7,
                                           .flexible = 1 << 1 | 1 << 6,
                                           .droppable = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6};
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *x;
        size_t i;

        json_array_foreach(json_object_get(json, "executions"), i, x) {
                if (cli->quiet)
                        buf_printf(&b, "%s\n", json_text(x, "id"));
                else
                        put_execution(cli, &t, x);
        }
        if (!cli->quiet) {
                if (t.n_cells == 0)
                        buf_printf(&b, "no executions found in tenant %s\n",
                                   runbook_client_tenant(cli->client));
                else
                        table_render(&t, &cli->term, cli_width(cli), &b);
                cli_put_more(cli, json, &b);
        }
        cli_write(&b);
}

static int run_list(Cli *cli, const CliArgs *args) {
        char since[TIME_TEXT_SIZE + 1], until[TIME_TEXT_SIZE + 1];
        RunbookQuery query = {
                        .runbook_id = args_get(args, "runbook"),
                        .status = args_get(args, "status"),
                        .initiated_by = args_get(args, "initiated-by"),
                        .cursor = args_get(args, "cursor"),
        };
        RunbookReply *reply = NULL;
        int r = cli_time_option(cli, args, "since", since, &query.since);

        if (r == 0)
                r = cli_time_option(cli, args, "until", until, &query.until);
        if (r == 0)
                r = limit_option(cli, args, &query.limit);
        if (query.limit == 0 && cli->term.is_tty && !cli->json && !cli->quiet)
                query.limit = LIST_SHOWN;
        if (r == 0)
                r = cli_connect(cli);
        if (r)
                return r;
        r = runbook_client_executions(cli->client, &query, &cli->call, &reply, &cli->error);
        return cli_show(cli, r, reply, show_list);
}

static const CliOption list_options[] = {
                {"cursor", 0, "CURSOR", "go on where the page before ended", KIND_NONE, NULL},
                {"initiated-by", 0, "USER", "only those started by this user", KIND_NONE, NULL},
                {"limit", 'n', "N", "at most so many, 1 to 1000", KIND_NONE, NULL},
                {"runbook", 'r', "RUNBOOK", "only those of this runbook", KIND_RUNBOOK, NULL},
                {"since", 0, "TIME",
                 "started at this time or later: 2h (ago), 2026-01-31, 2026-01-31T12:00:00Z", KIND_NONE,
                 NULL},
                {"status", 0, "STATUS", "only those in this status", KIND_WORDS,
                 "pending running pausing paused compensating completed failed cancelled"},
                {"until", 0, "TIME", "started before this time", KIND_NONE, NULL},
};

const CliCommand command_list = {
                .name = "list",
                .usage = "",
                .summary = "list executions, newest first",
                .examples = "  runbook list --status failed --since 24h\n  runbook list --runbook incident "
                            "-n 5 --json | jq '.executions[].id'",
                .options = list_options,
                .n_options = N_ELEMENTS(list_options),
                .run = run_list,
};

/* ── status ────────────────────────────────────────────────────────────────────────────────────── */

/** Fetch the execution; further pages of its steps are laid into the first. 0 with an owned object, or a
 * CliExit. */
static int fetch_execution(Cli *cli, const char *id, json_t **ret) {
        RunbookQuery query = {.limit = STATUS_PAGE};
        json_t *whole = NULL, *json = NULL;

        do {
                RunbookReply *reply = NULL;
                int r = cli_outcome(cli,
                                    runbook_client_execution(cli->client, id, &query, &cli->call, &reply,
                                                             &cli->error),
                                    &reply);
                json_t *page = r ? NULL : cli_parse(cli, reply);

                runbook_reply_free(reply);
                if (page && !whole)
                        whole = json_incref(json_object_get(page, "execution"));
                else if (page)
                        json_object_update(
                                        json_object_get(whole, "stepResults"),
                                        json_object_get(json_object_get(page, "execution"), "stepResults"));
                json_decref(json); /* the page before; the cursor points into it no more */
                json = page;
                if (!page) {
                        json_decref(whole);
                        return r ? r : EXIT_UNREACHABLE;
                }
                query.cursor = json_string_value(json_object_get(json, "nextCursor"));
        } while (query.cursor);
        json_decref(json);
        *ret = whole;
        return whole ? 0
                     : cli_fail(cli, EXIT_UNREACHABLE, "BAD_ANSWER",
                                "the engine's answer holds no execution");
}

static void put_origin(Cli *cli, const json_t *x, Buf *b) {
        const json_t *basis = json_object_get(json_object_get(x, "context"), "legalBasis");
        const char *by = json_text(x, "initiatedBy");
        _cleanup_(buf_deinit) Buf when = {0};

        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "started by",
                        *by ? by : json_text(json_object_get(x, "context"), "initiatedBy"));
        if (json_time(x, "startTime")) {
                text_put_time(&when, json_time(x, "startTime"), cli_now_ms());
                buf_put_char(&when, 0);
                text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "at", when.data ? when.data : "");
        }
        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "authority", json_text(basis, "authority"));
        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "case", json_text(basis, "caseId"));
        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "class", json_text(basis, "classification"));
        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "replay of", json_text(x, "originalExecutionId"));
        text_put_property(b, &cli->term, ORIGIN_NAME_WIDTH, "child of", json_text(x, "parentExecutionId"));
}

static void show_status(Cli *cli, const json_t *x, bool all) {
        Progress p;
        _cleanup_(buf_deinit) Buf b = {0}, flags = {0};
        json_t *definition =
                        follow_definition(cli, json_text(x, "runbookId"), json_text(x, "runbookVersion"));
        ViewSettings v = {.term = &cli->term, .width = cli_width(cli), .now_ms = cli_now_ms()};

        follow_put_flags(cli, &flags);
        buf_put_char(&flags, 0);
        v.flags = flags.data ? flags.data : "";
        progress_init(&p, json_text(x, "id"));
        progress_seed(&p, definition);
        progress_load(&p, x);
        v.rows = !all && p.n_steps > STATUS_STEPS_SHOWN ? STATUS_STEPS_SHOWN : 0;
        put_origin(cli, x, &b);
        view_render(&p, &v, &b);
        cli_write(&b);
        follow_print_result(cli, x);
        progress_deinit(&p);
        json_decref(definition);
}

static int run_status(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0);
        RunbookReply *reply = NULL;
        json_t *x = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        if (cli->json) { /* verbatim, and so page by page */
                RunbookQuery query = {.cursor = args_get(args, "cursor")};

                r = cli_outcome(cli,
                                runbook_client_execution(cli->client, id, &query, &cli->call, &reply,
                                                         &cli->error),
                                &reply);
                if (r == 0)
                        cli_print_json_reply(cli, reply);
                runbook_reply_free(reply);
                return r;
        }
        r = fetch_execution(cli, id, &x);
        if (r)
                return r;
        if (cli->quiet)
                cli_print("%s\n", json_text(x, "status"));
        else
                show_status(cli, x, args_has(args, "all"));
        json_decref(x);
        return 0;
}

static const CliOption status_options[] = {
                {"all", 'a', NULL, "every step, also when there are very many", KIND_NONE, NULL},
                {"cursor", 0, "CURSOR", "with --json: the next page of steps", KIND_NONE, NULL},
};

const CliCommand command_status = {
                .name = "status",
                .usage = "EXECUTION",
                .summary = "show an execution and its steps",
                .details = "What it waits for is shown with the command to type. -q prints the status alone.",
                .examples = "  runbook status 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11\n"
                            "  runbook status 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --json | jq "
                            ".execution.output",
                .options = status_options,
                .n_options = N_ELEMENTS(status_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_status,
};

/* ── stats ─────────────────────────────────────────────────────────────────────────────────────── */

static void put_stats_line(Cli *cli, const char *prefix, const char *key, const char *text, Buf *b) {
        _cleanup_(buf_deinit) Buf name = {0};

        buf_printf(&name, "%s%s%s", prefix, *prefix ? "." : "", key);
        text_pad(b, 32 - text_put(b, &cli->term, buf_slice(&name), TEXT_ANY_WIDTH));
        buf_put_char(b, ' ');
        text_put_str(b, &cli->term, text, TEXT_ANY_WIDTH);
        buf_put_char(b, '\n');
}

/** A line for each item of a list. */
static void put_stats_list(Cli *cli, const char *prefix, const char *key, const json_t *list, Buf *b) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                char *text = json_dumps(json_array_get(list, i), JSON_COMPACT | JSON_ENCODE_ANY);
                if (text)
                        put_stats_line(cli, prefix, key, text, b);
                free(text);
        }
}

/** One line per number, named by its path: whatever the engine counts is shown. One level of nesting. */
static void put_stats(Cli *cli, const json_t *json, const char *prefix, Buf *b) {
        const json_t *value;
        const char *key;

        json_object_foreach((json_t *)json, key, value) {
                char *text;

                if (json_is_object(value) && !*prefix) {
                        put_stats(cli, value, key, b);
                        continue;
                }
                if (json_is_array(value)) {
                        put_stats_list(cli, prefix, key, value, b);
                        continue;
                }
                text = json_is_string(value) ? strdup(json_string_value(value))
                                             : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
                if (text && !(!*prefix && !strcmp(key, "version")))
                        put_stats_line(cli, prefix, key, text, b);
                free(text);
        }
}

static void show_stats(Cli *cli, const json_t *json) {
        _cleanup_(buf_deinit) Buf b = {0};

        put_stats(cli, json, "", &b);
        cli_write(&b);
}

static int run_stats(Cli *cli, const CliArgs *args) {
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_stats(cli->client, &cli->call, &reply, &cli->error);
        return cli_show(cli, r, reply, show_stats);
}

const CliCommand command_stats = {
                .name = "stats",
                .usage = "",
                .summary = "show the engine's counts",
                .examples = "  runbook stats\n  runbook stats --json | jq",
                .run = run_stats,
};
