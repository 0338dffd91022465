/*
 * stdout and stderr, and the small things around them: files, interrupts, reading answers.
 *
 * nats.c ignores SIGPIPE for the whole process, so a reader that went away shows up as EPIPE: the program
 * then ends without a word and with the status that the signal would have given.
 */

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/output.h"
#include "cli/text.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "json/yaml.h"
#include "model/limits.h"

#define WIDTH_DEFAULT  80
#define HEIGHT_DEFAULT 24
#define WIDTH_UNCUT    100000

static volatile sig_atomic_t interrupted;

int64_t cli_now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ── Writing ───────────────────────────────────────────────────────────────────────────────────── */

static void write_failed(void) {
        if (errno == EPIPE)
                _exit(EXIT_PIPE);
        fprintf(stderr, "runbook: cannot write the output: %s\n", strerror(errno));
        _exit(EXIT_REFUSED);
}

void cli_write(const Buf *b) {
        if (b->error) {
                fputs("runbook: out of memory\n", stderr);
                return;
        }
        if (fwrite(b->data, 1, b->n, stdout) != b->n || fflush(stdout) != 0)
                write_failed();
}

void cli_print(const char *format, ...) {
        va_list ap;
        int n;

        va_start(ap, format);
        n = vfprintf(stdout, format, ap);
        va_end(ap);
        if (n < 0 || fflush(stdout) != 0)
                write_failed();
}

int output_finish(int exit) {
        if (fflush(stdout) == 0)
                return exit;
        return errno == EPIPE ? EXIT_PIPE : EXIT_REFUSED;
}

__attribute__((format(printf, 3, 0))) static void put_error(const Cli *cli, const char *prefix,
                                                            const char *format, va_list ap) {
        _cleanup_(buf_deinit) Buf text = {0}, line = {0};

        buf_put_str(&text, prefix);
        buf_vprintf(&text, format, ap);
        text_put(&line, &cli->term, buf_slice(&text), TEXT_ANY_WIDTH);
        buf_put_char(&line, '\n');
        if (!line.error)
                fwrite(line.data, 1, line.n, stderr);
}

void output_error(const Cli *cli, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        put_error(cli, "", format, ap);
        va_end(ap);
}

int cli_usage(Cli *cli, const char *format, ...) {
        _cleanup_(buf_deinit) Buf text = {0};
        va_list ap;

        va_start(ap, format);
        buf_vprintf(&text, format, ap);
        va_end(ap);
        cli->json |= cli->wants_json;
        cli_fail(cli, EXIT_USAGE, "INVALID_REQUEST", "%.*s", SLICE_ARG(buf_slice(&text)));
        if (cli->json)
                return EXIT_USAGE;
        if (cli->command)
                fprintf(stderr, "`runbook %s --help` shows how it is used\n", cli->command->name);
        else
                fputs("`runbook --help` shows all commands\n", stderr);
        return EXIT_USAGE;
}

int cli_fail(Cli *cli, CliExit exit, const char *code, const char *format, ...) {
        _cleanup_(buf_deinit) Buf text = {0}, out = {0};
        JsonWriter w = json_writer(&out);
        va_list ap;

        va_start(ap, format);
        if (!cli->json) {
                put_error(cli, "runbook: ", format, ap);
                va_end(ap);
                return exit;
        }
        buf_vprintf(&text, format, ap);
        va_end(ap);
        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "error");
        json_put_str(&w, code);
        json_key(&w, "message");
        json_put_string(&w, slice_is_utf8(buf_slice(&text)) ? buf_slice(&text) : SLICE("?"));
        json_end_object(&w);
        buf_put_char(&out, '\n');
        cli_write(&out);
        return exit;
}

int cli_no_memory(Cli *cli) { return cli_fail(cli, EXIT_REFUSED, "OUT_OF_MEMORY", "out of memory"); }

int cli_fail_report(Cli *cli, const Report *report, const char *name) {
        if (cli->json) {
                _cleanup_(buf_deinit) Buf out = {0};

                report_write_json(report, &out);
                buf_put_char(&out, '\n');
                cli_write(&out);
                return EXIT_REFUSED;
        }
        output_error(cli, "runbook: %s%s%s", name ? name : "", name ? ": " : "",
                     report->message ? report->message : "out of memory");
        for (size_t i = 0; i < report->n_details; i++)
                output_error(cli, "  %s%s%s", report->details[i].path, *report->details[i].path ? ": " : "",
                             report->details[i].message);
        return EXIT_REFUSED;
}

/* ── The terminal ──────────────────────────────────────────────────────────────────────────────── */

static int positive_number(const char *text) {
        uint64_t n = 0;

        return text && slice_to_u64(slice_from_str(text), &n) && n > 0 && n < 10000 ? (int)n : 0;
}

int cli_width(const Cli *cli) {
        struct winsize size = {0};

        if (!isatty(STDOUT_FILENO))
                return WIDTH_UNCUT;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                return size.ws_col;
        return positive_number(getenv("COLUMNS")) ? positive_number(getenv("COLUMNS")) : WIDTH_DEFAULT;
}

int cli_height(const Cli *cli) {
        struct winsize size = {0};

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0)
                return size.ws_row;
        return positive_number(getenv("LINES")) ? positive_number(getenv("LINES")) : HEIGHT_DEFAULT;
}

static bool is_set(const char *variable) {
        const char *value = getenv(variable);

        return value && *value;
}

void output_init(Cli *cli, const char *color) {
        const char *term = getenv("TERM");
        bool dumb = !term || !*term || !strcmp(term, "dumb");

        setlocale(LC_ALL, "");
        /* No locale at all (containers, cron) says nothing against UTF-8. */
        if (!is_set("LC_ALL") && !is_set("LC_CTYPE") && !is_set("LANG"))
                setlocale(LC_CTYPE, "C.UTF-8");
        setlocale(LC_NUMERIC, "C");
        cli->term.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
        cli->term.is_tty = isatty(STDOUT_FILENO) && !dumb;
        if (color && !strcmp(color, "always"))
                cli->term.color = true;
        else
                cli->term.color = cli->term.is_tty && !is_set("NO_COLOR") &&
                                  !(color && !strcmp(color, "never"));
}

static void on_interrupt(int signal) {
        (void)signal;
        interrupted = 1;
}

void cli_catch_interrupt(void) {
        struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: waits end */

        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void) { return interrupted; }

/* ── Reading ───────────────────────────────────────────────────────────────────────────────────── */

const char *json_text(const json_t *object, const char *key) {
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}

int64_t json_number(const json_t *object, const char *key) {
        const json_t *v = json_object_get(object, key);

        return json_is_integer(v) ? json_integer_value(v) : json_is_real(v) ? (int64_t)json_real_value(v) : 0;
}

int64_t json_time(const json_t *object, const char *key) {
        int64_t ms = 0;

        return time_parse_ms(slice_from_str(json_text(object, key)), &ms) ? ms : 0;
}

int cli_read_file(Cli *cli, const char *path, size_t size_max, Buf *ret) {
        bool is_stdin = !strcmp(path, "-");
        FILE *f = is_stdin ? stdin : fopen(path, "re");
        char chunk[65536];
        size_t n;
        int r;

        if (!f)
                return cli_fail(cli, EXIT_REFUSED, "NO_FILE", "cannot read %s: %s", path, strerror(errno));
        ret->limit = size_max;
        while (!ret->error && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
                buf_put(ret, chunk, n);
        r = ferror(f) ? errno : 0;
        if (!is_stdin)
                fclose(f);
        if (r)
                return cli_fail(cli, EXIT_REFUSED, "NO_FILE", "cannot read %s: %s", path, strerror(r));
        if (ret->error == -EFBIG)
                return cli_fail(cli, EXIT_REFUSED, "TOO_LARGE", "%s has more than %zu bytes", path, size_max);
        return ret->error ? cli_no_memory(cli) : 0;
}

static json_t *parse_text(const char *path, Slice text, Report *report) {
        Slice name = slice_from_str(path);

        if (slice_ends_with(name, SLICE(".yaml")) || slice_ends_with(name, SLICE(".yml")))
                return yaml_parse(text, LIMIT_VALUE_BYTES, report);
        return json_parse(text, LIMIT_VALUE_BYTES, report);
}

int cli_time_option(Cli *cli, const CliArgs *args, const char *name, char room[TIME_TEXT_SIZE + 1],
                    const char **ret) {
        const char *value = args_get(args, name);
        int64_t ms;

        if (!value)
                return 0;
        if (!text_parse_time(slice_from_str(value), cli_now_ms(), &ms))
                return cli_usage(cli,
                                 "--%s wants a time (2026-01-31, 2026-01-31T12:00:00Z) or how long ago (2h), "
                                 "not %s",
                                 name, value);
        time_format_ms(ms, room);
        *ret = room;
        return 0;
}

int cli_json_argument(Cli *cli, const char *option, const char *value, json_t **ret) {
        _cleanup_(buf_deinit) Buf file = {0};
        _cleanup_(report_deinit) Report report = {0};
        bool is_file = value[0] == '@';

        if (is_file) {
                int r = cli_read_file(cli, value + 1, LIMIT_VALUE_BYTES, &file);

                if (r)
                        return r;
        }
        *ret = is_file ? parse_text(value + 1, buf_slice(&file), &report)
                       : parse_text("", slice_from_str(value), &report);
        if (*ret)
                return 0;
        if (is_file)
                return cli_fail(cli, EXIT_REFUSED, "INVALID_JSON", "%s: %s", value + 1,
                                report.message ? report.message : "out of memory");
        return cli_fail(cli, EXIT_USAGE, "INVALID_JSON", "--%s is not JSON: %s (a file is given as @FILE)",
                        option, report.message ? report.message : "out of memory");
}
