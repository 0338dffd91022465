/* Talking to the engine: connections, answers, and what they mean for the exit status. */

#include <stdarg.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/config.h"
#include "cli/output.h"
#include "cli/session.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define REPLY_BYTES_MAX     (64 * 1024 * 1024)
#define PART_TIMEOUT_MS_MIN 200 /* of one attempt, when --timeout is divided among them */
#define PART_TIMEOUT_MS_MAX 5000

/** The client's own failures: name in JSON output, exit status. By RunbookClientStatus. */
static const struct {
        int status;
        const char *code;
        CliExit exit;
} failures[] = {
                {RUNBOOK_CLIENT_E_AUTH, "UNAUTHENTICATED", EXIT_UNREACHABLE},
                {RUNBOOK_CLIENT_E_CLOSED, "NO_SERVER", EXIT_UNREACHABLE},
                {RUNBOOK_CLIENT_E_CONFIG, "BAD_CONFIGURATION", EXIT_USAGE},
                {RUNBOOK_CLIENT_E_INVALID, "INVALID_REQUEST", EXIT_USAGE},
                {RUNBOOK_CLIENT_E_MEMORY, "OUT_OF_MEMORY", EXIT_REFUSED},
                {RUNBOOK_CLIENT_E_NO_ENGINE, "NO_ENGINE", EXIT_UNREACHABLE},
                {RUNBOOK_CLIENT_E_NO_SERVER, "NO_SERVER", EXIT_UNREACHABLE},
                {RUNBOOK_CLIENT_E_PERMISSION, "FORBIDDEN", EXIT_REFUSED},
                {RUNBOOK_CLIENT_E_PROTOCOL, "BAD_ANSWER", EXIT_UNREACHABLE},
                {RUNBOOK_CLIENT_E_TIMEOUT, "TIMEOUT", EXIT_TIMEOUT},
                {RUNBOOK_CLIENT_E_TOO_LARGE, "TOO_LARGE", EXIT_REFUSED},
};

/** What to do about a refusal, where that isn't plain from the engine's sentence. */
static const struct {
        RunbookCode code;
        const char *hint;
} hints[] = {
                {RUNBOOK_EXECUTION_NOT_FOUND, "`runbook list` shows the executions of this tenant"},
                {RUNBOOK_IDENTITY_MISMATCH, "--user says as whom to speak; NATS decides as whom you may"},
                {RUNBOOK_INVALID_INPUT, "`runbook show RUNBOOK` shows the input that it wants"},
                {RUNBOOK_NOT_AN_APPROVER, "`runbook approvals` shows the approvals that wait for you"},
                {RUNBOOK_OVERLOADED, "the engine has more work than it may queue: try again in a moment"},
                {RUNBOOK_RUNBOOK_NOT_FOUND, "`runbook runbooks` shows what is registered"},
                {RUNBOOK_STEP_NOT_FOUND, "`runbook status EXECUTION` shows its steps"},
                {RUNBOOK_STORE_FULL,
                 "the engine's disk is full: running executions go on, new ones must wait"},
};

/** The same by where in the request the fault is. */
static const struct {
        const char *path, *hint;
} path_hints[] = {
                {"/context/legalBasis", "--authority, --classification, --authorized-user and --case-id say "
                                        "it, or ~/.config/runbook/config.yaml"},
                {"/executionId", "an execution is named by its whole id, as `runbook list` shows it"},
                {"/input", "`runbook show RUNBOOK` shows the input that it wants"},
};

/* ── Connecting ────────────────────────────────────────────────────────────────────────────────── */

/** Option, else config file, else NULL (the client then looks at the environment). The environment goes
 * before the file. */
static const char *choose(const Cli *cli, const char *option, const char *variable, const char *key) {
        const char *value = getenv(variable);

        if (option)
                return option;
        if (value && *value)
                return NULL; /* the client reads it */
        return config_text(&cli->config, key);
}

void cli_client_options(const Cli *cli, RunbookClientOptions *ret) {
        *ret = (RunbookClientOptions)RUNBOOK_CLIENT_OPTIONS_INIT;
        ret->use_environment = true;
        ret->name = "runbook";
        ret->servers = choose(cli, cli->server, "NATS_URL", "server");
        ret->nats_context = choose(cli, cli->nats_context, "NATS_CONTEXT", "natsContext");
        ret->credentials = choose(cli, cli->credentials, "NATS_CREDS", "credentials");
        ret->tenant = choose(cli, cli->tenant, "RUNBOOK_TENANT", "tenant");
        ret->user = choose(cli, cli->user, "RUNBOOK_USER", "user");
        ret->prefix = choose(cli, cli->prefix, "RUNBOOK_PREFIX", "prefix");
        /* A server said on the command line beats the context that the config file names. */
        if (cli->server && !cli->nats_context)
                ret->nats_context = NULL;
}

/** --timeout is for the whole request: several short attempts under one command id find a restarted engine
 * sooner than a long one. */
static void divide_timeout(Cli *cli) {
        int64_t attempts = cli->timeout_ms / PART_TIMEOUT_MS_MAX;

        attempts = attempts < 3 ? 3 : attempts > 10 ? 10 : attempts;
        if (cli->timeout_ms < attempts * PART_TIMEOUT_MS_MIN)
                attempts = 1;
        cli->call.attempts = (int)attempts;
        cli->call.timeout_ms = cli->timeout_ms / attempts < PART_TIMEOUT_MS_MAX ? cli->timeout_ms / attempts
                                                                                : PART_TIMEOUT_MS_MAX;
}

int cli_connect(Cli *cli) {
        RunbookClientOptions o;
        int r;

        if (cli->client)
                return 0;
        cli_client_options(cli, &o);
        r = runbook_client_connect(&o, &cli->client, &cli->error);
        if (r < 0)
                return cli_explain(cli, r, NULL);
        if (cli->timeout_ms > 0)
                divide_timeout(cli);
        return 0;
}

/* ── Answers ───────────────────────────────────────────────────────────────────────────────────── */

/** Every detail that the sentence does not tell already, and a hint for the first one that has one. */
static void print_details(const Cli *cli, const char *sentence, const json_t *json) {
        const char *hint = NULL;
        const json_t *detail;
        size_t i;

        json_array_foreach(json_object_get(json, "details"), i, detail) {
                const char *path = json_text(detail, "path"), *message = json_text(detail, "message");

                if (!strstr(sentence, message))
                        output_error(cli, "  %s%s%s", path, *path ? ": " : "", message);
                for (size_t k = 0; !hint && k < N_ELEMENTS(path_hints); k++)
                        if (!strncmp(path, path_hints[k].path, strlen(path_hints[k].path)))
                                hint = path_hints[k].hint;
        }
        if (hint)
                output_error(cli, "  %s", hint);
}

static int explain_refusal(Cli *cli, const RunbookReply *reply) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json;

        if (cli->json) {
                cli_print("%s\n", reply->body);
                return EXIT_REFUSED;
        }
        json = json_parse((Slice){reply->body, reply->body_size}, REPLY_BYTES_MAX, &report);
        output_error(cli, "runbook: %s (%s)", reply->message, runbook_code_name(reply->code));
        print_details(cli, reply->message, json);
        json_decref(json);
        for (size_t i = 0; i < N_ELEMENTS(hints); i++)
                if (hints[i].code == reply->code)
                        output_error(cli, "  %s", hints[i].hint);
        return EXIT_REFUSED;
}

int cli_explain(Cli *cli, int r, const RunbookReply *reply) {
        if (r == 0 && reply)
                return explain_refusal(cli, reply);
        for (size_t i = 0; i < N_ELEMENTS(failures); i++)
                if (failures[i].status == r)
                        return cli_fail(cli, failures[i].exit, failures[i].code, "%s", cli->error.message);
        return cli_fail(cli, EXIT_REFUSED, "INTERNAL", "%s", cli->error.message);
}

int cli_outcome(Cli *cli, int r, RunbookReply **reply) {
        int exit;

        if (r == 0 && !(*reply)->is_error)
                return 0;
        exit = cli_explain(cli, r, *reply);
        runbook_reply_free(*reply);
        *reply = NULL;
        return exit;
}

json_t *cli_parse(Cli *cli, const RunbookReply *reply) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = json_parse((Slice){reply->body, reply->body_size}, REPLY_BYTES_MAX, &report);

        if (!json || !json_is_object(json)) {
                json_decref(json);
                cli_fail(cli, EXIT_UNREACHABLE, "BAD_ANSWER", "the engine's answer is not understood: %s",
                         report.message ? report.message : "a JSON object was expected");
                return NULL;
        }
        return json;
}

bool cli_print_json_reply(const Cli *cli, const RunbookReply *reply) {
        if (cli->json)
                cli_print("%s\n", reply->body);
        return cli->json;
}

int cli_show(Cli *cli, int r, RunbookReply *reply, CliShow show) {
        r = cli_outcome(cli, r, &reply);
        if (r)
                return r;
        if (!cli_print_json_reply(cli, reply)) {
                json_t *json = cli_parse(cli, reply);

                if (json)
                        show(cli, json);
                else
                        r = EXIT_UNREACHABLE;
                json_decref(json);
        }
        runbook_reply_free(reply);
        return r;
}

void cli_put_more(const Cli *cli, const json_t *page, Buf *b) {
        if (*json_text(page, "nextCursor") && !cli->quiet)
                buf_printf(b, "more: --cursor %s\n", json_text(page, "nextCursor"));
}

void cli_print_json(const json_t *json) {
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

        if (text)
                cli_print("%s\n", text);
        free(text);
}
