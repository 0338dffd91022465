/* Help, from the same tables that parsing uses. */

#include "base/cleanup.h"
#include "cli/session.h"
#include "cli/text.h"

#define OPTION_COLUMN  30 /* where the explanations begin */
#define HELP_WIDTH_MIN 50
#define HELP_WIDTH_MAX 80

/** Words of @text from column @at on, wrapped at @width, further lines indented by @indent. Line breaks in it
 * stay. */
static void put_wrapped(Buf *b, const char *text, int at, int indent, int width) {
        while (*text) {
                int n = (int)strcspn(text, " \n");

                if (at > indent && at + 1 + n > width) {
                        buf_put_char(b, '\n');
                        text_pad(b, indent);
                        at = indent;
                } else if (at > indent) {
                        buf_put_char(b, ' ');
                        at++;
                }
                buf_put(b, text, (size_t)n);
                at += n;
                text += n;
                if (*text == '\n') {
                        buf_put_char(b, '\n');
                        text_pad(b, indent);
                        at = indent;
                }
                text += *text != 0;
        }
        buf_put_char(b, '\n');
}

static int help_width(const Cli *cli) {
        int width = cli_width(cli);

        return width < HELP_WIDTH_MIN ? HELP_WIDTH_MIN : width > HELP_WIDTH_MAX ? HELP_WIDTH_MAX : width;
}

static void put_option(Buf *b, int width, const CliOption *o) {
        size_t start = b->n;

        if (o->letter)
                buf_printf(b, "  -%c, --%s", o->letter, o->name);
        else
                buf_printf(b, "      --%s", o->name);
        if (o->argument)
                buf_printf(b, " %s", o->argument);
        text_pad(b, OPTION_COLUMN - (int)(b->n - start));
        if (b->n - start > OPTION_COLUMN) {
                buf_put_char(b, '\n');
                text_pad(b, OPTION_COLUMN);
        }
        put_wrapped(b, o->help, OPTION_COLUMN, OPTION_COLUMN, width);
}

static void put_title(Buf *b, const CliTerm *term, const char *title) {
        buf_put_char(b, '\n');
        text_color(b, term, COLOR_BOLD);
        buf_put_str(b, title);
        text_plain(b, term);
        buf_put_char(b, '\n');
}

static void put_options(Buf *b, const Cli *cli, const char *title, const CliOption *options, size_t n) {
        if (n == 0)
                return;
        put_title(b, &cli->term, title);
        for (size_t i = 0; i < n; i++)
                put_option(b, help_width(cli), &options[i]);
}

static void show(Buf *b, FILE *to) {
        if (to == stdout)
                cli_write(b);
        else if (!b->error)
                fwrite(b->data, 1, b->n, to);
}

void help_program(Cli *cli, FILE *to) {
        _cleanup_(buf_deinit) Buf b = {0};

        buf_put_str(&b, "runbook: run and watch durable runbooks over NATS\n\nUsage: runbook COMMAND "
                        "[ARGUMENTS] [OPTIONS]\n");
        put_title(&b, &cli->term, "Commands");
        for (size_t i = 0; i < n_cli_commands; i++)
                buf_printf(&b, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
        put_options(&b, cli, "Options of every command", cli_global_options, n_cli_global_options);
        put_title(&b, &cli->term, "Where it connects");
        buf_put_str(&b, "  ");
        put_wrapped(&b,
                    "--server, else NATS_URL, else the NATS context (NATS_CONTEXT, or the one selected with "
                    "the nats tool), "
                    "else nats://127.0.0.1:4222. NATS_CREDS, NATS_USER, NATS_PASSWORD, NATS_TOKEN, "
                    "NATS_NKEY, NATS_CA, NATS_CERT and "
                    "NATS_KEY as for the nats tool; NATS_INBOX_PREFIX, where answers come to "
                    "(_INBOX.<user> where users have one each). Tenant and user: --tenant and --user, else "
                    "RUNBOOK_TENANT and RUNBOOK_USER, else "
                    "\"default\" and who NATS knows you as, else $USER. Defaults live in "
                    "~/.config/runbook/config.yaml (server, "
                    "natsContext, credentials, tenant, user, prefix, context).",
                    2, 2, help_width(cli));
        put_title(&b, &cli->term, "Exit status");
        buf_put_str(&b, "  0  fine\n"
                        "  1  refused, failed, or wrong\n"
                        "  2  the command line is wrong\n"
                        "  3  NATS or the engine cannot be reached\n"
                        "  4  no answer, or no end, in time\n"
                        "  5  the execution was cancelled\n"
                        "  130  interrupted (the execution goes on)\n"
                        "\n`runbook COMMAND --help` tells more, with examples.\n");
        show(&b, to);
}

void help_command(Cli *cli, const CliCommand *c, FILE *to) {
        _cleanup_(buf_deinit) Buf b = {0};

        buf_printf(&b, "runbook %s: %s\n\nUsage: runbook %s%s%s [OPTIONS]\n", c->name, c->summary, c->name,
                   *c->usage ? " " : "", c->usage);
        if (c->details) {
                buf_put_char(&b, '\n');
                put_wrapped(&b, c->details, 0, 0, help_width(cli));
        }
        put_options(&b, cli, "Options", c->options, c->n_options);
        put_options(&b, cli, "Options of every command", cli_global_options, n_cli_global_options);
        put_title(&b, &cli->term, "Examples");
        buf_printf(&b, "%s\n", c->examples);
        show(&b, to);
}
