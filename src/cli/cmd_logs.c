/*
 * logs and evidence: what an execution has left behind, page after page.
 *
 * `logs -f` subscribes before it reads the pages, so nothing falls between; entries that come both ways are
 * told by their ids.
 */

#include <stdlib.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/view.h"
#include "json/json_read.h"

#define PAGE_ENTRIES    500
#define SEEN_MAX        20000 /* ids remembered by -f; two pages would do */
#define STATUS_POLL_MS  5000  /* -f: has the execution ended? */
#define ENTRY_BYTES_MAX (4 * 1024 * 1024)

typedef struct Logs {
        Cli *cli;
        const char *id;
        RunbookQuery query;
        char *cursor; /* of the page read last; NULL: the first */
        Map seen;     /* ids of the entries shown, keys in the arena; emptied when full */
        Arena arena;
        bool follow;
        bool has_shown;
} Logs;

/* ── Pages ─────────────────────────────────────────────────────────────────────────────────────── */

/** Was this entry shown already? Remembers it. */
static bool is_repeated(Logs *l, const json_t *entry) {
        Slice id = slice_from_str(json_text(entry, "id")), copy;

        if (!l->follow || id.n == 0)
                return false;
        if (map_get(&l->seen, id))
                return true;
        if (l->seen.n >= SEEN_MAX) {
                map_deinit(&l->seen);
                l->seen = (Map){0};
                arena_reset(&l->arena);
        }
        copy = arena_dup(&l->arena, id);
        if (copy.data)
                map_put(&l->seen, copy, l);
        return false;
}

static void show_entry(Logs *l, const json_t *entry) {
        if (is_repeated(l, entry))
                return;
        l->has_shown = true;
        if (l->cli->json) {
                cli_print_json(entry);
        } else {
                ViewSettings v = {.term = &l->cli->term, .now_ms = cli_now_ms(), .flags = ""};
                _cleanup_(buf_deinit) Buf b = {0};

                view_log(entry, &v, &b);
                cli_write(&b);
        }
}

/** Read pages from the cursor to the end; the last page's cursor is kept, to go on from there. 0 or a
 * CliExit. */
static int read_pages(Logs *l) {
        for (;;) {
                RunbookReply *reply = NULL;
                const json_t *entry;
                const char *next;
                json_t *json;
                size_t i;
                int r;

                l->query.cursor = l->cursor;
                r = cli_outcome(l->cli,
                                runbook_client_logs(l->cli->client, l->id, &l->query, &l->cli->call, &reply,
                                                    &l->cli->error),
                                &reply);
                if (r)
                        return r;
                json = cli_parse(l->cli, reply);
                runbook_reply_free(reply);
                if (!json)
                        return EXIT_UNREACHABLE;
                json_array_foreach(json_object_get(json, "logs"), i, entry) show_entry(l, entry);
                next = json_string_value(json_object_get(json, "nextCursor"));
                if (!next || (l->cursor && !strcmp(next, l->cursor))) {
                        json_decref(json);
                        return 0;
                }
                free(l->cursor);
                l->cursor = strdup(next);
                json_decref(json);
                if (!l->cursor)
                        return cli_no_memory(l->cli);
        }
}

/* ── Following ─────────────────────────────────────────────────────────────────────────────────── */

static bool matches(const Logs *l, const json_t *entry) {
        return (!l->query.level || !strcmp(l->query.level, json_text(entry, "level"))) &&
               (!l->query.step_id || !strcmp(l->query.step_id, json_text(entry, "stepId")));
}

/** Has the execution ended? Unknown counts as no. */
static bool has_ended(Logs *l) {
        RunbookReply *reply = NULL;
        json_t *json;
        int status = -1;

        if (runbook_client_execution(l->cli->client, l->id, &(RunbookQuery){.limit = 1}, &l->cli->call,
                                     &reply, NULL) == 0 &&
            !reply->is_error) {
                json = cli_parse(l->cli, reply);
                status = runbook_execution_status_from_name(
                                json_text(json_object_get(json, "execution"), "status"));
                json_decref(json);
        }
        runbook_reply_free(reply);
        return status >= 0 && runbook_execution_status_is_final((RunbookExecutionStatus)status);
}

/** One live message. 0, or a CliExit. */
static int take(Logs *l, const RunbookEvent *event, bool *ended) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *entry;

        if (event->kind == RUNBOOK_EVENT_GAP)
                return read_pages(l);
        if (event->kind == RUNBOOK_EVENT_LIFECYCLE) {
                *ended |= !strcmp(event->type, "execution.completed") ||
                          !strcmp(event->type, "execution.failed") ||
                          !strcmp(event->type, "execution.cancelled");
                return 0;
        }
        entry = json_parse((Slice){event->body, event->body_size}, ENTRY_BYTES_MAX, &report);
        if (entry && matches(l, entry))
                show_entry(l, entry);
        json_decref(entry);
        return 0;
}

/** Until the execution has ended; then what is left is read from the pages. */
static int follow(Logs *l, RunbookSubscription *s, int64_t deadline_ms) {
        int64_t asked_ms = 0;
        bool ended = false;
        int r = read_pages(l);

        while (r == 0 && !ended && !cli_interrupted()) {
                RunbookEvent *event = NULL;

                if (cli_now_ms() - asked_ms >= STATUS_POLL_MS) {
                        asked_ms = cli_now_ms();
                        ended = has_ended(l);
                        if (!s && !ended)
                                r = read_pages(l);
                        continue;
                }
                if (deadline_ms && cli_now_ms() >= deadline_ms)
                        return EXIT_TIMEOUT;
                if (s && runbook_subscription_next(s, 200, &event) == 0)
                        r = take(l, event, &ended);
                else if (!s)
                        nanosleep(&(struct timespec){0, 200 * 1000000L}, NULL);
                runbook_event_free(event);
        }
        return r ? r : cli_interrupted() ? EXIT_INTERRUPTED : read_pages(l);
}

static int run_follow(Logs *l) {
        Cli *cli = l->cli;
        RunbookSubscription *s = NULL;
        int64_t deadline_ms = cli->timeout_ms ? cli_now_ms() + cli->timeout_ms : 0;
        int r = runbook_client_subscribe(cli->client, RUNBOOK_EVENT_LIFECYCLE | RUNBOOK_EVENT_LOG, l->id,
                                         NULL, NULL, &s, &cli->error);

        if (r < 0 && r != RUNBOOK_CLIENT_E_PERMISSION) /* without permission to subscribe we poll */
                return cli_explain(cli, r, NULL);
        if (cli->term.is_tty && !cli->json && !cli->quiet)
                output_error(cli, "following the log of %s; Ctrl-C ends it", l->id);
        cli_catch_interrupt();
        r = follow(l, s, deadline_ms);
        runbook_subscription_free(s);
        return r;
}

/* ── logs ──────────────────────────────────────────────────────────────────────────────────────── */

static int run_logs(Cli *cli, const CliArgs *args) {
        char since[TIME_TEXT_SIZE + 1], until[TIME_TEXT_SIZE + 1];
        Logs l = {
                        .cli = cli,
                        .id = args_at(args, 0),
                        .follow = args_has(args, "follow"),
                        .query = {.limit = PAGE_ENTRIES,
                                  .step_id = args_get(args, "step"),
                                  .level = args_get(args, "level")},
        };
        int r = cli_time_option(cli, args, "since", since, &l.query.start_time);

        if (r == 0)
                r = cli_time_option(cli, args, "until", until, &l.query.end_time);
        if (r == 0)
                r = cli_connect(cli);
        if (r == 0)
                r = l.follow ? run_follow(&l) : read_pages(&l);
        if (r == 0 && !l.has_shown && cli->term.is_tty && !cli->json) /* to people: pipes get entries only */
                output_error(cli, "no log entries%s",
                             l.query.step_id || l.query.level || l.query.start_time || l.query.end_time
                                             ? " that fit"
                                             : "");
        free(l.cursor);
        map_deinit(&l.seen);
        arena_deinit(&l.arena);
        return r;
}

static const CliOption logs_options[] = {
                {"follow", 'f', NULL, "go on until the execution ends", KIND_NONE, NULL},
                {"level", 'l', "LEVEL", "only entries of this level", KIND_WORDS, "debug info warn error"},
                {"since", 0, "TIME", "from this time on, e.g. 10m (ago)", KIND_NONE, NULL},
                {"step", 0, "STEP", "only entries of this step", KIND_STEP, NULL},
                {"until", 0, "TIME", "up to this time", KIND_NONE, NULL},
};

const CliCommand command_logs = {
                .name = "logs",
                .usage = "EXECUTION",
                .summary = "show an execution's log",
                .details = "With --json one line per entry.",
                .examples = "  runbook logs 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 -f\n"
                            "  runbook logs 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --level error --json | jq "
                            "-r .message",
                .options = logs_options,
                .n_options = N_ELEMENTS(logs_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_logs,
};

/* ── evidence ──────────────────────────────────────────────────────────────────────────────────── */

static void put_evidence(Cli *cli, Table *t, const json_t *e) {
        const json_t *confidence = json_object_get(e, "confidence");
        _cleanup_(buf_deinit) Buf b = {0};

        if (json_time(e, "timestamp"))
                text_put_time(&b, json_time(e, "timestamp"), cli_now_ms());
        table_put_buf(t, COLOR_NONE, &b);
        table_put(t, COLOR_BOLD,
                  *json_text(e, "stepPath") ? json_text(e, "stepPath") : json_text(e, "stepId"));
        table_put(t, COLOR_NONE, json_text(e, "type"));
        table_printf(t, COLOR_NONE, "%.2f", json_is_number(confidence) ? json_number_value(confidence) : 0.0);
        table_put(t, COLOR_NONE, json_text(e, "sourceRef"));
        table_printf(t, COLOR_DIM, "%.16s", json_text(e, "sha256"));
}

static int run_evidence(Cli *cli, const CliArgs *args) {
        static const char *const headers[] = {"TIME", "STEP", "TYPE", "CONFIDENCE", "SOURCE", "SHA-256"};
        _cleanup_(table_deinit) Table t = {.headers = headers,
                                           .n_columns = 6,
                                           .flexible = 1 << 1 | 1 << 4,
                                           .droppable = 1 << 3 | 1 << 5};
        _cleanup_(buf_deinit) Buf b = {0};
        RunbookQuery query = {.limit = PAGE_ENTRIES};
        json_t *json = NULL, *page;
        int r = cli_connect(cli);

        do {
                RunbookReply *reply = NULL;
                const json_t *e;
                size_t i;

                if (r == 0)
                        r = cli_outcome(cli,
                                        runbook_client_evidence(cli->client, args_at(args, 0), &query,
                                                                &cli->call, &reply, &cli->error),
                                        &reply);
                page = r ? NULL : cli_parse(cli, reply);
                runbook_reply_free(reply);
                json_decref(json);
                json = page;
                if (!json)
                        return r ? r : EXIT_UNREACHABLE;
                json_array_foreach(json_object_get(json, "evidence"), i, e) {
                        if (cli->json)
                                cli_print_json(e);
                        else
                                put_evidence(cli, &t, e);
                }
                query.cursor = json_string_value(json_object_get(json, "nextCursor"));
        } while (query.cursor);
        json_decref(json);
        if (!cli->json) {
                if (t.n_cells == 0)
                        buf_put_str(&b, "no evidence\n");
                else
                        table_render(&t, &cli->term, cli_width(cli), &b);
                cli_write(&b);
        }
        return 0;
}

const CliCommand command_evidence = {
                .name = "evidence",
                .usage = "EXECUTION",
                .summary = "list the evidence that an execution has gathered",
                .details = "With --json one line per record, values included.",
                .examples = "  runbook evidence 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11",
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_evidence,
};
