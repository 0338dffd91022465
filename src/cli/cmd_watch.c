/* watch: what happens now, in one execution or in the whole tenant. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/view.h"
#include "json/json_read.h"

#define EVENT_BYTES_MAX (16 * 1024 * 1024)

static void show(Cli *cli, const RunbookEvent *event) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        ViewSettings v = {.term = &cli->term, .now_ms = cli_now_ms(), .flags = ""};
        json_t *json;

        if (event->kind == RUNBOOK_EVENT_GAP) {
                output_error(cli,
                             "(events may be missing here: the connection was lost, or they came too fast)");
                return;
        }
        if (cli->json) {
                cli_print("%s\n", event->body);
                return;
        }
        json = json_parse((Slice){event->body, event->body_size}, EVENT_BYTES_MAX, &report);
        if (event->kind == RUNBOOK_EVENT_LOG) {
                text_color(&b, &cli->term, COLOR_BLUE);
                text_put_str(&b, &cli->term, event->execution_id, TEXT_ANY_WIDTH);
                text_plain(&b, &cli->term);
                buf_put_char(&b, ' ');
                view_log(json, &v, &b);
        } else {
                view_plain_event(json, true, &v, &b);
        }
        json_decref(json);
        cli_write(&b);
}

static int watch_tenant(Cli *cli, const CliArgs *args) {
        unsigned kinds = RUNBOOK_EVENT_LIFECYCLE | (args_has(args, "logs") ? RUNBOOK_EVENT_LOG : 0);
        int64_t deadline_ms = cli->timeout_ms ? cli_now_ms() + cli->timeout_ms : 0;
        RunbookSubscription *s = NULL;
        int r = runbook_client_subscribe(cli->client, kinds, NULL, NULL, NULL, &s, &cli->error);

        if (r < 0)
                return cli_explain(cli, r, NULL);
        if (cli->term.is_tty && !cli->json)
                output_error(cli, "watching tenant %s; Ctrl-C ends it", runbook_client_tenant(cli->client));
        cli_catch_interrupt();
        while (!cli_interrupted() && !(deadline_ms && cli_now_ms() >= deadline_ms)) {
                RunbookEvent *event = NULL;

                if (runbook_subscription_next(s, 200, &event) == 0)
                        show(cli, event);
                runbook_event_free(event);
        }
        runbook_subscription_free(s);
        return cli_interrupted() ? EXIT_INTERRUPTED : EXIT_TIMEOUT;
}

static int run_watch(Cli *cli, const CliArgs *args) {
        int r;

        if (args_count(args) > 0 && args_has(args, "logs"))
                return cli_usage(cli,
                                 "--logs is for the whole tenant; `runbook logs -f %s` shows the log of one "
                                 "execution",
                                 args_at(args, 0));
        r = cli_connect(cli);
        if (r)
                return r;
        return args_count(args) > 0 ? follow_execution(cli, args_at(args, 0), FOLLOW_DEFAULT)
                                    : watch_tenant(cli, args);
}

static const CliOption watch_options[] = {
                {"logs", 'l', NULL, "log entries too", KIND_NONE, NULL},
};

const CliCommand command_watch = {
                .name = "watch",
                .usage = "[EXECUTION]",
                .summary = "watch one execution, or all that happens in the tenant",
                .details = "With an execution: its progress until it ends; the exit status tells how, as for "
                           "`start --wait`. "
                           "Without: a line per event, until Ctrl-C (or --timeout). With --json the events "
                           "as they are, one a line.",
                .examples = "  runbook watch\n  runbook watch --json | jq -r 'select(.type == "
                            "\"runbook.execution.failed\").subject'\n"
                            "  runbook watch 0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11",
                .options = watch_options,
                .n_options = N_ELEMENTS(watch_options),
                .n_min = 0,
                .n_max = 1,
                .kinds = {KIND_EXECUTION},
                .run = run_watch,
};
