/* history: an execution's lifecycle events, and the check that none is missing or altered. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/view.h"
#include "json/json_read.h"

#define PAGE_EVENTS     500
#define FILE_BYTES_MAX  (1024UL * 1024 * 1024)
#define EVENT_BYTES_MAX (16UL * 1024 * 1024)
#define FAULTS_TOLD     50 /* all are counted */

typedef struct History {
        Cli *cli;
        RunbookEventChain *chain; /* NULL: only showing */
        json_t *faults;           /* sentences, with --json */
        uint64_t n_told;
} History;

/* ── One event ─────────────────────────────────────────────────────────────────────────────────── */

static int verify(History *h, const char *event, size_t size) {
        RunbookClientError e = {0};
        int fault = runbook_event_chain_add(h->chain, event, size, &e);

        if (fault < 0)
                return cli_no_memory(h->cli);
        if (fault == RUNBOOK_CHAIN_FINE || h->n_told++ >= FAULTS_TOLD)
                return 0;
        if (h->cli->json)
                json_array_append_new(h->faults, json_string(e.message));
        else
                output_error(h->cli, "%s", e.message);
        return 0;
}

static int show(History *h, const json_t *event) {
        ViewSettings v = {.term = &h->cli->term, .now_ms = cli_now_ms(), .flags = ""};
        _cleanup_(buf_deinit) Buf b = {0};

        if (h->cli->json) {
                cli_print_json(event);
                return 0;
        }
        buf_printf(&b, "%5lld ", (long long)json_number(event, "sequence"));
        view_plain_event(event, false, &v, &b);
        cli_write(&b);
        return 0;
}

static int take(History *h, const json_t *event) {
        _cleanup_free_ char *text = NULL;

        if (!h->chain)
                return show(h, event);
        text = json_dumps(event, JSON_COMPACT | JSON_ENCODE_ANY);
        return text ? verify(h, text, strlen(text)) : cli_no_memory(h->cli);
}

static int take_all(History *h, const json_t *events) {
        const json_t *event;
        size_t i;
        int r = 0;

        json_array_foreach(events, i, event) {
                r = take(h, event);
                if (r)
                        break;
        }
        return r;
}

/* ── Where events come from ────────────────────────────────────────────────────────────────────── */

static int from_engine(History *h, const char *id, const CliArgs *args) {
        RunbookQuery query = {.limit = PAGE_EVENTS, .step_id = args_get(args, "step")};
        json_t *json = NULL;
        int r = cli_connect(h->cli);

        do {
                RunbookReply *reply = NULL;
                json_t *page;

                if (r == 0)
                        r = cli_outcome(h->cli,
                                        runbook_client_history(h->cli->client, id, &query, &h->cli->call,
                                                               &reply, &h->cli->error),
                                        &reply);
                page = r ? NULL : cli_parse(h->cli, reply);
                runbook_reply_free(reply);
                json_decref(json);
                json = page;
                if (!json)
                        return r ? r : EXIT_UNREACHABLE;
                r = take_all(h, json_object_get(json, "events"));
                query.cursor = json_string_value(json_object_get(json, "nextCursor"));
        } while (r == 0 && query.cursor);
        json_decref(json);
        return r;
}

/** One event a line. A line that is no JSON is a fault of the trail, or the end of showing. */
static int from_lines(History *h, const char *path, Slice text) {
        int r = 0, number = 0;

        while (r == 0 && text.n > 0) {
                const char *newline = memchr(text.data, '\n', text.n);
                Slice line = {text.data, newline ? (size_t)(newline - text.data) : text.n};
                _cleanup_(report_deinit) Report report = {0};
                json_t *event;

                text = (Slice){text.data + line.n + (newline != NULL), text.n - line.n - (newline != NULL)};
                number++;
                while (line.n > 0 && memchr(" \t\r", line.data[line.n - 1], 3))
                        line.n--;
                if (line.n == 0)
                        continue;
                if (h->chain) {
                        r = verify(h, line.data, line.n);
                        continue;
                }
                event = json_parse(line, EVENT_BYTES_MAX, &report);
                r = event ? show(h, event)
                          : cli_fail(h->cli, EXIT_REFUSED, "INVALID_JSON", "%s:%d: %s", path, number,
                                     report.message ? report.message : "out of memory");
                json_decref(event);
        }
        return r;
}

/** A file: JSON lines, a list of events, or an answer of the history query. */
static int from_file(History *h, const char *path) {
        _cleanup_(buf_deinit) Buf text = {0};
        _cleanup_(report_deinit) Report report = {0};
        json_t *json;
        int r = cli_read_file(h->cli, path, FILE_BYTES_MAX, &text);

        if (r)
                return r;
        json = json_parse(buf_slice(&text), FILE_BYTES_MAX, &report);
        if (json_is_array(json))
                r = take_all(h, json);
        else if (json_is_array(json_object_get(json, "events")))
                r = take_all(h, json_object_get(json, "events"));
        else
                r = from_lines(h, path, buf_slice(&text));
        json_decref(json);
        return r;
}

/* ── The verdict ───────────────────────────────────────────────────────────────────────────────── */

static int tell_verdict(History *h) {
        uint64_t n = runbook_event_chain_events(h->chain), n_faults = runbook_event_chain_faults(h->chain);
        long long sequence = (long long)runbook_event_chain_sequence(h->chain);
        const char *hash = runbook_event_chain_hash(h->chain);

        if (h->cli->json) {
                json_t *json = json_pack("{ss sb sI sI sO sI ss}", "version", "v1", "verified",
                                         n_faults == 0 && n > 0, "events", (json_int_t)n, "faultCount",
                                         (json_int_t)n_faults, "faults", h->faults, "lastSequence",
                                         (json_int_t)sequence, "lastHash", hash);

                cli_print_json(json);
                json_decref(json);
        } else if (n == 0) {
                output_error(h->cli, "runbook: there are no events to verify");
        } else if (n_faults == 0) {
                cli_print("verified: %llu events, none missing, none altered\nlast: %lld %s\n",
                          (unsigned long long)n, sequence, hash);
        } else {
                output_error(h->cli, "NOT verified: %llu fault%s in %llu events",
                             (unsigned long long)n_faults, n_faults == 1 ? "" : "s", (unsigned long long)n);
        }
        return n > 0 && n_faults == 0 ? EXIT_FINE : EXIT_REFUSED;
}

static int run_history(Cli *cli, const CliArgs *args) {
        const char *file = args_get(args, "file");
        History h = {.cli = cli};
        int r;

        if (args_count(args) + (file != NULL) != 1)
                return cli_usage(cli, "give an execution, or --file");
        if (args_has(args, "verify")) {
                h.chain = runbook_event_chain_new();
                h.faults = json_array();
                if (!h.chain || !h.faults) {
                        runbook_event_chain_free(h.chain);
                        json_decref(h.faults);
                        return cli_no_memory(cli);
                }
        }
        r = file ? from_file(&h, file) : from_engine(&h, args_at(args, 0), args);
        if (r == 0 && h.chain)
                r = tell_verdict(&h);
        runbook_event_chain_free(h.chain);
        json_decref(h.faults);
        return r;
}

static const CliOption history_options[] = {
                {"file", 'f', "FILE",
                 "events from a file (JSON lines, or the query's answer) instead of the engine", KIND_FILE,
                 NULL},
                {"step", 0, "STEP", "only events of this step (not with --verify)", KIND_STEP, NULL},
                {"verify", 0, NULL, "check sequence numbers and the hash chain here, trusting nobody",
                 KIND_NONE, NULL},
};

const CliCommand command_history = {
                .name = "history",
                .usage = "EXECUTION",
                .summary = "show an execution's events, or verify them",
                .details = "With --json one line per event: to be kept, and verified later with --file. "
                           "--verify finds missing, added, reordered and altered events; exit status 1 if "
                           "there are any. That events are cut "
                           "off at the end shows only beside a copy kept elsewhere: compare the last hash.",
                .examples = "  runbook history 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --verify\n"
                            "  runbook history 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --json > audit.jsonl\n"
                            "  runbook history --verify --file audit.jsonl",
                .options = history_options,
                .n_options = N_ELEMENTS(history_options),
                .n_min = 0,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_history,
};
