/* event: send an external event. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"

static int run_event(Cli *cli, const CliArgs *args) {
        RunbookExternalEvent event = {
                        .type = args_at(args, 0),
                        .correlation_id = args_get(args, "correlation"),
                        .event_id = args_get(args, "id"),
        };
        _cleanup_free_ char *payload = NULL;
        RunbookReply *reply = NULL;
        json_t *json = NULL;
        int r = 0;

        if (args_has(args, "payload")) {
                r = cli_json_argument(cli, "payload", args_get(args, "payload"), &json);
                if (r)
                        return r;
                event.payload = payload = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
                json_decref(json);
                if (!payload)
                        return cli_no_memory(cli);
        }
        r = cli_connect(cli);
        if (r == 0)
                r = cli_outcome(cli,
                                runbook_client_event(cli->client, &event, &cli->call, &reply, &cli->error),
                                &reply);
        if (r)
                return r;
        if (!cli_print_json_reply(cli, reply) && !cli->quiet) {
                _cleanup_(buf_deinit) Buf b = {0};

                buf_put_str(&b, "sent ");
                text_put_str(&b, &cli->term, event.type, TEXT_ANY_WIDTH);
                if (event.correlation_id) {
                        buf_put_str(&b, " for ");
                        text_put_str(&b, &cli->term, event.correlation_id, TEXT_ANY_WIDTH);
                }
                buf_put_char(&b, '\n');
                cli_write(&b);
        }
        runbook_reply_free(reply);
        return 0;
}

static const CliOption event_options[] = {
                {"correlation", 'c', "ID", "which waiting step it is for", KIND_NONE, NULL},
                {"id", 0, "ID", "the event's own id: the same id again is not taken twice", KIND_NONE, NULL},
                {"payload", 'p', "JSON", "JSON, @FILE or @- (stdin); becomes the step's output", KIND_FILE,
                 NULL},
};

const CliCommand command_event = {
                .name = "event",
                .usage = "TYPE",
                .summary = "send an event that a runbook waits for",
                .details = "An event that comes before a step waits for it is kept for a while. Each event "
                           "is taken once.",
                .examples = "  runbook event edr.isolated --correlation host-7 --payload '{\"ok\":true}'\n"
                            "  curl -s https://example.com/order/7 | runbook event order.paid -c 7 -p @-",
                .options = event_options,
                .n_options = N_ELEMENTS(event_options),
                .n_min = 1,
                .n_max = 1,
                .run = run_event,
};
