/* cancel, pause, replay, resume, retry: commands to one execution. */

#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/text.h"

/** Send nothing more: tell how it went. @sentence is for people, "%s" is the execution id. */
static int tell(Cli *cli, int r, RunbookReply *reply, const char *execution_id, const char *sentence) {
        r = cli_outcome(cli, r, &reply);
        if (r)
                return r;
        if (!cli_print_json_reply(cli, reply)) {
                _cleanup_(buf_deinit) Buf b = {0};
                json_t *json = cli_parse(cli, reply);
                const char *id = *json_text(json, "executionId") ? json_text(json, "executionId")
                                                                 : execution_id;

                if (cli->quiet) {
                        text_put_str(&b, &cli->term, id, TEXT_ANY_WIDTH);
                } else {
                        text_put_str(&b, &cli->term, id, TEXT_ANY_WIDTH);
                        buf_put_str(&b, ": ");
                        text_put_str(&b, &cli->term,
                                     *json_text(json, "status") ? json_text(json, "status") : sentence,
                                     TEXT_ANY_WIDTH);
                }
                buf_put_char(&b, '\n');
                if (json)
                        cli_write(&b);
                else
                        r = EXIT_UNREACHABLE;
                json_decref(json);
        }
        runbook_reply_free(reply);
        return r;
}

static int run_pause(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0);
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_pause(cli->client, id, args_has(args, "keep-clocks"), &cli->call, &reply,
                                 &cli->error);
        return tell(cli, r, reply, id, "paused");
}

static int run_resume(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0);
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_resume(cli->client, id, &cli->call, &reply, &cli->error);
        return tell(cli, r, reply, id, "resumed");
}

static int run_cancel(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0);
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_cancel(cli->client, id, args_get(args, "reason"), &cli->call, &reply, &cli->error);
        return tell(cli, r, reply, id, "cancelled");
}

static int run_retry(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0);
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_retry(cli->client, id, args_at(args, 1), &cli->call, &reply, &cli->error);
        r = tell(cli, r, reply, id, "retried");
        return r == 0 && args_has(args, "wait") ? follow_execution(cli, id, FOLLOW_DEFAULT) : r;
}

/** `replay --mode verify`: its answer is a verdict. */
static int tell_verdict(Cli *cli, const json_t *json) {
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *divergence;
        size_t i;

        if (json_is_true(json_object_get(json, "identical"))) {
                cli_print("identical: driven through the engine again, the history gives the same state\n");
                return EXIT_FINE;
        }
        buf_put_str(&b, "NOT identical:\n");
        json_array_foreach(json_object_get(json, "divergences"), i, divergence) {
                char *text = json_dumps(divergence, JSON_COMPACT | JSON_ENCODE_ANY);

                buf_put_str(&b, "  ");
                text_put_str(&b, &cli->term, text, TEXT_ANY_WIDTH);
                buf_put_char(&b, '\n');
                free(text);
        }
        cli_write(&b);
        return EXIT_REFUSED;
}

static int run_replay(Cli *cli, const CliArgs *args) {
        const char *id = args_at(args, 0), *mode = args_get(args, "mode");
        RunbookReply *reply = NULL;
        json_t *json;
        int r;

        r = cli_connect(cli);
        if (r)
                return r;
        r = runbook_client_replay(cli->client, id, mode, &cli->call, &reply, &cli->error);
        if (r < 0 || reply->is_error || !mode || strcmp(mode, "verify") != 0)
                return tell(cli, r, reply, id, "replaying");
        json = cli_parse(cli, reply);
        if (cli_print_json_reply(cli, reply))
                r = json_is_true(json_object_get(json, "identical")) ? EXIT_FINE : EXIT_REFUSED;
        else
                r = json ? tell_verdict(cli, json) : EXIT_UNREACHABLE;
        json_decref(json);
        runbook_reply_free(reply);
        return r;
}

static const CliOption pause_options[] = {
                {"keep-clocks", 0, NULL, "let the deadlines of waits run on", KIND_NONE, NULL},
};
const CliCommand command_pause = {
                .name = "pause",
                .usage = "EXECUTION",
                .summary = "start no new steps",
                .details = "Steps in flight finish; deadlines of waits stand still until it is resumed.",
                .examples = "  runbook pause 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11",
                .options = pause_options,
                .n_options = N_ELEMENTS(pause_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_pause,
};

const CliCommand command_resume = {
                .name = "resume",
                .usage = "EXECUTION",
                .summary = "go on with a paused execution",
                .examples = "  runbook resume 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11",
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_resume,
};

static const CliOption cancel_options[] = {
                {"reason", 'r', "TEXT", "why; kept with the execution", KIND_NONE, NULL},
};
const CliCommand command_cancel = {
                .name = "cancel",
                .usage = "EXECUTION",
                .summary = "stop an execution for good",
                .details = "Attempts in flight are aborted, compensations run.",
                .examples = "  runbook cancel 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 --reason 'false alarm'",
                .options = cancel_options,
                .n_options = N_ELEMENTS(cancel_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_cancel,
};

static const CliOption retry_options[] = {
                {"wait", 'w', NULL, "follow the execution to its end", KIND_NONE, NULL},
};
const CliCommand command_retry = {
                .name = "retry",
                .usage = "EXECUTION STEP",
                .summary = "run a failed step again",
                .details = "The failed execution goes on from there.",
                .examples = "  runbook retry 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 isolate-host --wait",
                .options = retry_options,
                .n_options = N_ELEMENTS(retry_options),
                .n_min = 2,
                .n_max = 2,
                .kinds = {KIND_EXECUTION, KIND_STEP},
                .run = run_retry,
};

static const CliOption replay_options[] = {
                {"mode", 'm', "MODE",
                 "rerun: a new execution with the same input; verify: check the recorded history", KIND_WORDS,
                 "rerun verify"},
};
const CliCommand command_replay = {
                .name = "replay",
                .usage = "EXECUTION",
                .summary = "run an execution again, or verify how it ran",
                .details = "--mode verify drives the recorded history through the engine once more, without "
                           "touching the outside, "
                           "and tells whether the state is the same; exit status 1 if it isn't.",
                .examples = "  runbook replay 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11\n"
                            "  runbook replay --mode verify 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11",
                .options = replay_options,
                .n_options = N_ELEMENTS(replay_options),
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_replay,
};
