/* checkpoints: keep what engines sign, and verify what was kept. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/checkpoint_file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define NAME_WIDTH 12
#define WAIT_MS    200

typedef struct Checkpoints {
        Cli *cli;
        RunbookCheckpoints *verifier;
        FaultList faults;
        bool has_keys;
        bool is_open; /* a file ends within a line */
} Checkpoints;

/* ── What files hold ───────────────────────────────────────────────────────────────────────────── */

static void put_time(Buf *b, int64_t unix_ms) {
        char text[TIME_TEXT_SIZE + 1];

        time_format_ms(unix_ms, text);
        buf_put_str(b, text);
}

static void show_engine(Checkpoints *c, const RunbookCheckpointEngine *engine) {
        const CliTerm *term = &c->cli->term;
        _cleanup_(buf_deinit) Buf b = {0}, numbers = {0}, times = {0}, key = {0}, faults = {0};

        if (c->cli->quiet) {
                cli_print("%s\n", engine->engine);
                return;
        }
        text_color(&b, term, COLOR_BOLD);
        buf_printf(&b, "engine %s", engine->engine);
        text_plain(&b, term);
        buf_put_char(&b, '\n');
        if (engine->n_checkpoints > 0) {
                buf_printf(&numbers, "%llu, %lld to %lld, attesting %llu events",
                           (unsigned long long)engine->n_checkpoints, (long long)engine->first_sequence,
                           (long long)engine->last_sequence, (unsigned long long)engine->n_heads);
                put_time(&times, engine->first_time_ms);
                buf_put_str(&times, " to ");
                put_time(&times, engine->last_time_ms);
                buf_printf(&key, "%s %s", engine->public_key,
                           c->has_keys ? "(given)"
                                       : "(of its first one here: compare it with the engine's log)");
        }
        buf_printf(&faults, "%llu", (unsigned long long)engine->n_faults);
        buf_put_char(&numbers, 0);
        buf_put_char(&times, 0);
        buf_put_char(&key, 0);
        buf_put_char(&faults, 0);
        if (numbers.error || times.error || key.error || faults.error)
                return;
        text_put_property(&b, term, NAME_WIDTH, "checkpoints",
                          *numbers.data ? numbers.data : "none that counts");
        text_put_property(&b, term, NAME_WIDTH, "time", times.data);
        text_put_property(&b, term, NAME_WIDTH, "public key", key.data);
        text_put_property(&b, term, NAME_WIDTH, "last hash", engine->last_hash);
        text_put_property(&b, term, NAME_WIDTH, "faults", engine->n_faults ? faults.data : "none");
        cli_write(&b);
}

static json_t *engine_json(const RunbookCheckpointEngine *engine) {
        char first[TIME_TEXT_SIZE + 1], last[TIME_TEXT_SIZE + 1];

        if (engine->n_checkpoints == 0)
                return json_pack("{ss si sI}", "engine", engine->engine, "checkpoints", 0, "faultCount",
                                 (json_int_t)engine->n_faults);
        time_format_ms(engine->first_time_ms, first);
        time_format_ms(engine->last_time_ms, last);
        return json_pack("{ss ss sI sI sI sI ss ss ss sI}", "engine", engine->engine, "publicKey",
                         engine->public_key, "checkpoints", (json_int_t)engine->n_checkpoints, "heads",
                         (json_int_t)engine->n_heads, "firstSequence", (json_int_t)engine->first_sequence,
                         "lastSequence", (json_int_t)engine->last_sequence, "firstTime", first, "lastTime",
                         last, "lastHash", engine->last_hash, "faultCount", (json_int_t)engine->n_faults);
}

/** What was found. EXIT_FINE when there is something and nothing is wrong with it. */
static int tell_verdict(Checkpoints *c) {
        uint64_t n = runbook_checkpoints_events(c->verifier),
                 n_faults = runbook_checkpoints_faults(c->verifier);
        const RunbookCheckpointEngine *engine;
        json_t *engines = json_array(), *json;
        bool fine = n > 0 && n_faults == 0;

        for (size_t i = 0; (engine = runbook_checkpoints_engine(c->verifier, i)); i++) {
                if (c->cli->json)
                        json_array_append_new(engines, engine_json(engine));
                else
                        show_engine(c, engine);
        }
        if (c->cli->json) {
                json = json_pack("{ss sb sI sI so so}", "version", "v1", "verified", fine, "events",
                                 (json_int_t)n, "faultCount", (json_int_t)n_faults, "faults",
                                 fault_list_steal(&c->faults), "engines", engines);
                cli_print_json(json);
                json_decref(json);
                return fine ? EXIT_FINE : EXIT_REFUSED;
        }
        json_decref(engines);
        if (n == 0)
                output_error(c->cli, "runbook: there are no checkpoints to verify");
        else if (n_faults > 0)
                output_error(c->cli, "NOT verified: %llu fault%s in %llu checkpoint%s",
                             (unsigned long long)n_faults, n_faults == 1 ? "" : "s", (unsigned long long)n,
                             n == 1 ? "" : "s");
        else if (!c->cli->quiet)
                cli_print("verified: %llu checkpoint%s, none missing, none altered\n", (unsigned long long)n,
                          n == 1 ? "" : "s");
        return fine ? EXIT_FINE : EXIT_REFUSED;
}

/* ── Keeping them ──────────────────────────────────────────────────────────────────────────────── */

/** As one line, whatever it was sent as; nothing if it is no JSON. */
static void print_line(const RunbookEvent *event) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf line = {0};
        json_t *json = json_parse((Slice){event->body, event->body_size}, RUNBOOK_CHECKPOINT_BYTES_MAX,
                                  &report);

        if (!json)
                return;
        json_canonical(json, &line);
        json_decref(json);
        buf_put_char(&line, '\n');
        cli_write(&line);
}

/** Checked and printed; what is wrong with it goes to stderr, as stdout is what is kept. 0 or a CliExit. */
static int take(Checkpoints *c, const RunbookEvent *event) {
        int r;

        if (event->kind == RUNBOOK_EVENT_GAP) {
                output_error(c->cli,
                             "(checkpoints may be missing here: the connection was lost, or they came too "
                             "fast)");
                return 0;
        }
        r = runbook_checkpoints_add(c->verifier, event->body, event->body_size, &c->cli->error);
        if (r < 0) {
                output_error(c->cli, "runbook: %s", c->cli->error.message);
                return EXIT_REFUSED;
        }
        if (r == RUNBOOK_CHECKPOINT_REPEATED)
                return 0;
        if (r != RUNBOOK_CHECKPOINT_FINE)
                output_error(c->cli, "runbook: %s", c->cli->error.message);
        print_line(event);
        return 0;
}

static int follow(Checkpoints *c, RunbookSubscription *s) {
        int64_t deadline_ms = c->cli->timeout_ms ? cli_now_ms() + c->cli->timeout_ms : 0;
        int r = 0;

        if (c->cli->term.is_tty && !c->cli->json && !c->cli->quiet)
                output_error(c->cli, "waiting for the checkpoints of all engines; Ctrl-C ends it");
        while (r == 0 && !cli_interrupted() && !(deadline_ms && cli_now_ms() >= deadline_ms)) {
                RunbookEvent *event = NULL;

                if (runbook_subscription_next(s, WAIT_MS, &event) == 0)
                        r = take(c, event);
                runbook_event_free(event);
        }
        if (r || runbook_checkpoints_faults(c->verifier) > 0)
                return EXIT_REFUSED;
        return cli_interrupted() ? EXIT_INTERRUPTED : EXIT_TIMEOUT;
}

static int read_files(Checkpoints *c, const CliArgs *args) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < args_count(args); i++)
                r = checkpoint_file_read(c->cli, c->verifier, args_at(args, i), &c->faults, &c->is_open);
        return r;
}

/** Listen first, then read the files: so nothing is lost between the two, and what is in both is known again.
 * */
static int run_follow(Checkpoints *c, const CliArgs *args) {
        bool wanted_json = c->cli->json;
        RunbookSubscription *s = NULL;
        int r = cli_connect(c->cli);

        if (r)
                return r;
        r = runbook_client_subscribe(c->cli->client, RUNBOOK_EVENT_CHECKPOINT, NULL, NULL, NULL, &s,
                                     &c->cli->error);
        if (r < 0)
                return cli_explain(c->cli, r, NULL);
        cli_catch_interrupt();
        c->cli->json = false; /* stdout is for checkpoints alone: all else is said on stderr */
        r = read_files(c, args);
        c->cli->json = wanted_json;
        if (r == 0 && c->is_open)
                cli_print("\n"); /* what is appended to it begins a line of its own */
        if (r == 0)
                r = follow(c, s);
        runbook_subscription_free(s);
        return r;
}

static int run_checkpoints(Cli *cli, const CliArgs *args) {
        Checkpoints c = {.cli = cli, .faults = {.cli = cli}, .has_keys = args_has(args, "key")};
        bool follows = args_has(args, "follow");
        int r;

        if (args_count(args) == 0 && !follows)
                return cli_usage(cli, "give files of checkpoints to verify, or --follow to hear them live");
        r = checkpoint_verifier_new(cli, args, RUNBOOK_CHECKPOINTS_NEWEST, &c.verifier);
        if (r)
                return r;
        if (follows)
                r = run_follow(&c, args);
        else if ((r = read_files(&c, args)) == 0)
                r = tell_verdict(&c);
        fault_list_deinit(&c.faults);
        runbook_checkpoints_free(c.verifier);
        return r;
}

static const CliOption checkpoints_options[] = {
                {"follow", 'f', NULL, "print checkpoints as engines publish them, one JSON line each",
                 KIND_NONE, NULL},
                {"key", 0, "KEY",
                 "trust only this public key (base64, as the engine logs it at its start); may be repeated",
                 KIND_NONE, NULL},
};

const CliCommand command_checkpoints = {
                .name = "checkpoints",
                .usage = "[FILE...]",
                .summary = "keep the checkpoints that engines sign, and verify kept ones",
                .details = "A checkpoint is an engine's signed word on where its executions' histories "
                           "stood. Keep "
                           "them where the engine's people cannot change them, and `runbook history --verify "
                           "--checkpoints` holds any history against them. With --follow each one is "
                           "checked, and "
                           "printed, until Ctrl-C (or --timeout); with files too, it goes on from where they "
                           "end. "
                           "Without --follow the files (\"-\": stdin) are verified: signatures, keys, "
                           "hashes, and "
                           "that none is missing. Faults go to stderr; exit status 1 if there are any. "
                           "Without "
                           "--key each engine is held to the key of its first checkpoint.",
                .examples = "  runbook checkpoints --follow >> checkpoints.jsonl\n"
                            "  runbook checkpoints checkpoints.jsonl --follow >> checkpoints.jsonl\n"
                            "  runbook checkpoints checkpoints.jsonl --key "
                            "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
                .options = checkpoints_options,
                .n_options = N_ELEMENTS(checkpoints_options),
                .n_min = 0,
                .n_max = -1,
                .kinds = {KIND_FILE},
                .run = run_checkpoints,
};
