/*
 * history: an execution's lifecycle events, and the check that none is missing or altered.
 *
 * The events alone do not show that their end was cut off, or that all of them were made anew. Signed
 * checkpoints that were kept elsewhere do: the event that one attests must be there, with that hash.
 */

#include <stdlib.h>
#include <strings.h>
#include "base/cleanup.h"
#include "cli/checkpoint_file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/view.h"
#include "json/json_read.h"

#define PAGE_EVENTS     500
#define FILE_BYTES_MAX  (1024UL * 1024 * 1024)
#define EVENT_BYTES_MAX (16UL * 1024 * 1024)

typedef struct History {
        Cli *cli;
        const CliArgs *args;
        RunbookEventChain *chain;        /* NULL: only showing */
        RunbookCheckpoints *checkpoints; /* NULL: not asked for, or not read so far */
        FaultList faults;
} History;

/* ── Held against checkpoints ──────────────────────────────────────────────────────────────────── */

/** Read the files of --checkpoints, for the execution @id. 0 or a CliExit. */
static int load_checkpoints(History *h, const char *id) {
        const char *path;
        size_t it = 0;
        int r = checkpoint_verifier_new(h->cli, h->args, RUNBOOK_CHECKPOINTS_ALL, &h->checkpoints);

        if (r)
                return r;
        if (runbook_checkpoints_only(h->checkpoints, id, NULL) < 0)
                return cli_fail(h->cli, EXIT_REFUSED, "INVALID_REQUEST",
                                "checkpoints attest executions by their whole id, which is a UUID; this is "
                                "%s",
                                id);
        while (r == 0 && (path = args_each(h->args, "checkpoints", &it)))
                r = checkpoint_file_read(h->cli, h->checkpoints, path, &h->faults, NULL);
        return r;
}

/** Hold the event that the chain stands at now against what is attested. 0 or a CliExit. */
static int hold(History *h) {
        const char *id = runbook_event_chain_execution(h->chain);
        RunbookClientError e = {0};
        int r = 0;

        if (!*id || !args_has(h->args, "checkpoints"))
                return 0;
        if (!h->checkpoints)
                r = load_checkpoints(h, id);
        if (r == 0 &&
            runbook_checkpoints_check(h->checkpoints, id, runbook_event_chain_sequence(h->chain),
                                      runbook_event_chain_hash(h->chain), &e) == RUNBOOK_CONTRADICTED)
                fault_list_tell(&h->faults, "%s", e.message);
        return r;
}

/** After the last event: is what was attested all there? *ret is the newest attested event, sequence 0: none.
 * 0 or a CliExit. */
static int hold_end(History *h, RunbookAttested *ret) {
        long long last = (long long)runbook_event_chain_sequence(h->chain);
        const char *asked = args_at(h->args, 0), *id = runbook_event_chain_execution(h->chain);
        int r = 0;

        *ret = (RunbookAttested){0};
        if (asked && *id && strcasecmp(asked, id) != 0)
                fault_list_tell(&h->faults, "these are the events of execution %s, not of %s", id, asked);
        id = asked ? asked : id;
        if (!args_has(h->args, "checkpoints") || !*id)
                return 0;
        if (!h->checkpoints)
                r = load_checkpoints(h, id);
        if (r)
                return r;
        if (!runbook_checkpoints_newest(h->checkpoints, id, ret))
                fault_list_tell(&h->faults, "no checkpoint that was given attests any event of execution %s",
                                id);
        else if (ret->sequence > last)
                fault_list_tell(&h->faults,
                                "the history is cut off: it ends at event %lld, but checkpoint %lld of "
                                "engine %s "
                                "attests event %lld",
                                last, (long long)ret->checkpoint, ret->engine, (long long)ret->sequence);
        return 0;
}

/* ── One event ─────────────────────────────────────────────────────────────────────────────────── */

static int verify(History *h, const char *event, size_t size) {
        RunbookClientError e = {0};
        int fault = runbook_event_chain_add(h->chain, event, size, &e);

        if (fault < 0)
                return cli_no_memory(h->cli);
        if (fault != RUNBOOK_CHAIN_FINE)
                fault_list_tell(&h->faults, "%s", e.message);
        /* After the others the chain stands where it stood, or at a hash that is not this event's. */
        return fault == RUNBOOK_CHAIN_FINE || fault == RUNBOOK_CHAIN_GAP || fault == RUNBOOK_CHAIN_LINK
                               ? hold(h)
                               : 0;
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

/** "events 3 to 7", "event 7". */
static void put_range(Buf *b, int64_t first, int64_t last) {
        if (first == last)
                buf_printf(b, "event %lld is", (long long)last);
        else
                buf_printf(b, "events %lld to %lld are", (long long)first, (long long)last);
}

static const char *key_of(const History *h, const char *engine) {
        const RunbookCheckpointEngine *told;

        for (size_t i = 0; (told = runbook_checkpoints_engine(h->checkpoints, i)); i++)
                if (!strcmp(told->engine, engine))
                        return told->public_key;
        return "";
}

/** What is attested, and what is not, of a history that is whole. */
static void tell_attested(const History *h, const RunbookAttested *attested, int64_t last) {
        _cleanup_(buf_deinit) Buf b = {0};

        put_range(&b, 1, attested->sequence);
        buf_printf(&b, " attested by checkpoint %lld of engine %s, signed with %s\n",
                   (long long)attested->checkpoint, attested->engine, key_of(h, attested->engine));
        if (attested->sequence < last) {
                put_range(&b, attested->sequence + 1, last);
                buf_put_str(&b, " not covered: newer than what these checkpoints attest\n");
        }
        cli_write(&b);
}

static json_t *attested_json(const History *h, const RunbookAttested *attested) {
        if (attested->sequence == 0)
                return json_null();
        return json_pack("{sI ss ss sI ss}", "sequence", (json_int_t)attested->sequence, "hash",
                         attested->hash, "engine", attested->engine, "checkpoint",
                         (json_int_t)attested->checkpoint, "publicKey", key_of(h, attested->engine));
}

static void print_verdict(History *h, const RunbookAttested *attested, bool verified) {
        int64_t last = runbook_event_chain_sequence(h->chain);
        json_t *json = json_pack("{ss sb sI sI so sI ss}", "version", "v1", "verified", verified, "events",
                                 (json_int_t)runbook_event_chain_events(h->chain), "faultCount",
                                 (json_int_t)h->faults.n, "faults", fault_list_steal(&h->faults),
                                 "lastSequence", (json_int_t)last, "lastHash",
                                 runbook_event_chain_hash(h->chain));

        if (h->checkpoints) {
                json_object_set_new(json, "attested", attested_json(h, attested));
                json_object_set_new(json, "notCovered",
                                    json_integer(last > attested->sequence ? last - attested->sequence : 0));
        }
        cli_print_json(json);
        json_decref(json);
}

static int tell_verdict(History *h) {
        uint64_t n = runbook_event_chain_events(h->chain);
        long long sequence = (long long)runbook_event_chain_sequence(h->chain);
        RunbookAttested attested;
        bool verified;
        int r = hold_end(h, &attested);

        if (r)
                return r;
        verified = n > 0 && h->faults.n == 0;
        if (h->cli->json) {
                print_verdict(h, &attested, verified);
        } else if (n == 0) {
                output_error(h->cli, "runbook: there are no events to verify");
        } else if (verified) {
                cli_print("verified: %llu events, none missing, none altered\nlast: %lld %s\n",
                          (unsigned long long)n, sequence, runbook_event_chain_hash(h->chain));
                if (h->checkpoints)
                        tell_attested(h, &attested, sequence);
        } else {
                output_error(h->cli, "NOT verified: %llu fault%s in %llu events",
                             (unsigned long long)h->faults.n, h->faults.n == 1 ? "" : "s",
                             (unsigned long long)n);
        }
        return verified ? EXIT_FINE : EXIT_REFUSED;
}

/** Options that do not go together. 0 or EXIT_USAGE. */
static int check_options(Cli *cli, const CliArgs *args) {
        const char *file = args_get(args, "file"), *path;
        int n_stdin = file && !strcmp(file, "-");
        size_t it = 0;

        if (args_count(args) + (file != NULL) != 1)
                return cli_usage(cli, "give an execution, or --file");
        if (args_has(args, "checkpoints") && !args_has(args, "verify"))
                return cli_usage(cli, "--checkpoints goes with --verify");
        if (args_has(args, "key") && !args_has(args, "checkpoints"))
                return cli_usage(cli, "--key goes with --checkpoints");
        while ((path = args_each(args, "checkpoints", &it)))
                n_stdin += !strcmp(path, "-");
        return n_stdin > 1 ? cli_usage(cli, "only one of the files can be stdin (\"-\")") : 0;
}

static int run_history(Cli *cli, const CliArgs *args) {
        const char *file = args_get(args, "file");
        History h = {.cli = cli, .args = args, .faults = {.cli = cli}};
        RunbookAttested ignored;
        int r = check_options(cli, args);

        if (r)
                return r;
        if (args_has(args, "verify")) {
                h.chain = runbook_event_chain_new();
                if (!h.chain)
                        return cli_no_memory(cli);
        }
        r = file ? from_file(&h, file) : from_engine(&h, args_at(args, 0), args);
        if (r == 0 && h.chain)
                r = tell_verdict(&h);
        else if (r == EXIT_REFUSED && h.chain && !file && !cli->json && !h.checkpoints)
                hold_end(&h, &ignored); /* an execution that the engine denies, and once attested */
        runbook_event_chain_free(h.chain);
        runbook_checkpoints_free(h.checkpoints);
        fault_list_deinit(&h.faults);
        return r;
}

static const CliOption history_options[] = {
                {"checkpoints", 0, "FILE",
                 "with --verify: hold the events against kept checkpoints, see `runbook checkpoints`; may be "
                 "repeated",
                 KIND_FILE, NULL},
                {"file", 'f', "FILE",
                 "events from a file (JSON lines, or the query's answer) instead of the engine", KIND_FILE,
                 NULL},
                {"key", 0, "KEY", "with --checkpoints: trust only this public key (base64); may be repeated",
                 KIND_NONE, NULL},
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
                           "there are any. That events are cut off at the end, or that all were made anew, "
                           "shows "
                           "only beside what was kept elsewhere: with --checkpoints each event that an "
                           "engine has "
                           "attested must be there, with that hash. It then says what is attested, and which "
                           "newer events are not.",
                .examples = "  runbook history 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --verify\n"
                            "  runbook history 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --verify --checkpoints "
                            "checkpoints.jsonl\n"
                            "  runbook history 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --json > audit.jsonl\n"
                            "  runbook history --verify --file audit.jsonl",
                .options = history_options,
                .n_options = N_ELEMENTS(history_options),
                .n_min = 0,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_history,
};
