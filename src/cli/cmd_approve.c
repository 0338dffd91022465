/* approvals, approve, reject: what waits for a person, and deciding it. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"

typedef int (*Decide)(RunbookClient *client, const char *execution_id, const char *step_id,
                      const char *comments, const char *shown_hash, const RunbookCall *call,
                      RunbookReply **ret, RunbookClientError *ret_error);

static int decide(Cli *cli, const CliArgs *args, Decide send, const char *done) {
        const char *id = args_at(args, 0), *step = args_at(args, 1);
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r == 0)
                r = cli_outcome(cli,
                                send(cli->client, id, step, args_get(args, "comment"), args_get(args, "hash"),
                                     &cli->call, &reply, &cli->error),
                                &reply);
        if (r)
                return r;
        if (!cli_print_json_reply(cli, reply)) {
                _cleanup_(buf_deinit) Buf b = {0};

                if (!cli->quiet) {
                        buf_printf(&b, "%s ", done);
                        text_put_str(&b, &cli->term, step, TEXT_ANY_WIDTH);
                        buf_put_str(&b, " of ");
                }
                text_put_str(&b, &cli->term, id, TEXT_ANY_WIDTH);
                if (!cli->quiet) {
                        buf_put_str(&b, " as ");
                        text_put_str(&b, &cli->term, runbook_client_user(cli->client), TEXT_ANY_WIDTH);
                }
                buf_put_char(&b, '\n');
                cli_write(&b);
        }
        runbook_reply_free(reply);
        return 0;
}

static int run_approve(Cli *cli, const CliArgs *args) {
        return decide(cli, args, runbook_client_approve, "approved");
}

static int run_reject(Cli *cli, const CliArgs *args) {
        return decide(cli, args, runbook_client_reject, "rejected");
}

static const CliOption decide_options[] = {
                {"comment", 'c', "TEXT", "kept with the decision", KIND_NONE, NULL},
                {"hash", 0, "HASH", "`hash` from `approvals --json`: decide only what was shown there",
                 KIND_NONE, NULL},
};

const CliCommand command_approve = {
                .name = "approve",
                .usage = "EXECUTION STEP",
                .summary = "approve a step that waits for you",
                .details = "You are who NATS lets you be: --user must be the user whose subjects you may "
                           "publish to.",
                .examples = "  runbook approvals\n  runbook approve 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 "
                            "approve-isolation --comment 'agreed with ops'",
                .options = decide_options,
                .n_options = N_ELEMENTS(decide_options),
                .n_min = 2,
                .n_max = 2,
                .kinds = {KIND_EXECUTION, KIND_STEP},
                .run = run_approve,
};

const CliCommand command_reject = {
                .name = "reject",
                .usage = "EXECUTION STEP",
                .summary = "reject a step that waits for you",
                .examples = "  runbook reject 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11 approve-isolation "
                            "--comment 'wrong host'",
                .options = decide_options,
                .n_options = N_ELEMENTS(decide_options),
                .n_min = 2,
                .n_max = 2,
                .kinds = {KIND_EXECUTION, KIND_STEP},
                .run = run_reject,
};

/* ── approvals ─────────────────────────────────────────────────────────────────────────────────── */

static const char *step_path(const json_t *approval) {
        return *json_text(approval, "stepPath") ? json_text(approval, "stepPath")
                                                : json_text(approval, "stepId");
}

static void put_votes(Buf *b, const CliTerm *term, const json_t *approval) {
        const json_t *votes = json_object_get(approval, "approvals"), *vote;
        size_t i;

        buf_printf(b, "  %zu of %lld approvals", json_array_size(votes),
                   (long long)json_number(approval, "minApprovals"));
        json_array_foreach(votes, i, vote) {
                buf_put_str(b, i ? ", " : ": ");
                text_put_str(b, term, json_text(vote, "user"), TEXT_ANY_WIDTH);
                if (*json_text(vote, "comments")) {
                        buf_put_str(b, " (");
                        text_put_str(b, term, json_text(vote, "comments"), TEXT_ANY_WIDTH);
                        buf_put_char(b, ')');
                }
        }
        buf_put_char(b, '\n');
}

static void put_input(Buf *b, const CliTerm *term, const json_t *input) {
        char *text = input && !json_is_null(input) ? json_dumps(input, JSON_INDENT(2) | JSON_ENCODE_ANY)
                                                   : NULL;

        if (text)
                text_put_lines(b, term, slice_from_str(text), 4);
        free(text);
}

static void put_approval(Buf *b, Cli *cli, const json_t *approval) {
        const CliTerm *term = &cli->term;
        int64_t now = cli_now_ms(), deadline = json_time(approval, "deadline");
        _cleanup_(buf_deinit) Buf command = {0};

        text_color(b, term, COLOR_BOLD);
        text_put_str(b, term,
                     *json_text(approval, "prompt") ? json_text(approval, "prompt") : step_path(approval),
                     TEXT_ANY_WIDTH);
        text_plain(b, term);
        buf_put_str(b, "\n  ");
        text_put_str(b, term, json_text(approval, "runbookId"), TEXT_ANY_WIDTH);
        buf_put_char(b, ' ');
        text_put_str(b, term, json_text(approval, "runbookVersion"), TEXT_ANY_WIDTH);
        buf_put_str(b, ", asked by ");
        text_put_str(b, term, json_text(approval, "initiatedBy"), TEXT_ANY_WIDTH);
        if (json_time(approval, "requestedAt")) {
                buf_put_str(b, " at ");
                text_put_time(b, json_time(approval, "requestedAt"), now);
        }
        if (deadline) {
                buf_put_str(b, deadline > now ? ", ends in " : ", overdue");
                if (deadline > now)
                        text_put_duration(b, deadline - now);
        }
        buf_put_char(b, '\n');
        put_votes(b, term, approval);
        put_input(b, term, json_object_get(approval, "input"));
        buf_put_str(&command, "runbook approve ");
        text_put_shell(&command, slice_from_str(json_text(approval, "executionId")));
        buf_put_char(&command, ' ');
        text_put_shell(&command, slice_from_str(step_path(approval)));
        buf_put_str(b, "  ");
        text_color(b, term, COLOR_CYAN);
        text_put(b, term, buf_slice(&command), TEXT_ANY_WIDTH);
        text_plain(b, term);
        buf_put_str(b, "\n\n");
}

static void show_approvals(Cli *cli, const json_t *json) {
        _cleanup_(buf_deinit) Buf b = {0};
        const json_t *approval;
        size_t i;

        json_array_foreach(json_object_get(json, "approvals"), i, approval) {
                if (cli->quiet)
                        buf_printf(&b, "%s %s\n", json_text(approval, "executionId"), step_path(approval));
                else
                        put_approval(&b, cli, approval);
        }
        if (json_array_size(json_object_get(json, "approvals")) == 0 && !cli->quiet)
                buf_printf(&b, "nothing waits for %s in tenant %s\n", runbook_client_user(cli->client),
                           runbook_client_tenant(cli->client));
        cli_put_more(cli, json, &b);
        cli_write(&b);
}

static int run_approvals(Cli *cli, const CliArgs *args) {
        RunbookQuery query = {.cursor = args_get(args, "cursor")};
        RunbookReply *reply = NULL;
        int r = cli_connect(cli);

        if (r)
                return r;
        r = runbook_client_approvals(cli->client, &query, &cli->call, &reply, &cli->error);
        return cli_show(cli, r, reply, show_approvals);
}

static const CliOption approvals_options[] = {
                {"cursor", 0, "CURSOR", "go on where the page before ended", KIND_NONE, NULL},
};

const CliCommand command_approvals = {
                .name = "approvals",
                .usage = "",
                .summary = "show what waits for your approval",
                .details = "With what you are asked, who asked, who has voted, and the command to type.",
                .examples = "  runbook approvals\n  runbook approvals --user bob --json | jq "
                            "'.approvals[].prompt'",
                .options = approvals_options,
                .n_options = N_ELEMENTS(approvals_options),
                .run = run_approvals,
};
