/*
 * Watching one execution until it ends.
 *
 * On a terminal the progress is one block of lines, redrawn in place at most five times a second and only
 * when it changed; each frame is one write. Elsewhere every event is a line. Ctrl-C leaves: the execution
 * goes on without us.
 */

#include <stdlib.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "cli/feed.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/view.h"

#define FRAME_MS           200
#define RESULT_TIMEOUT_MS  5000
#define OUTPUT_LINES_SHOWN 40 /* on a terminal */
#define FAILED_STEPS_SHOWN 10

/** What is on the screen now. */
typedef struct Screen {
        Buf shown; /* the last frame */
        int64_t drawn_ms;
        bool is_drawn;
} Screen;

typedef struct Follow {
        Cli *cli;
        Feed *feed;
        Progress progress;
        Screen screen;
        Buf flags;
        bool seeded;    /* the definition was asked for */
        int64_t end_ms; /* when we give up; 0: never */
} Follow;

/* ── Drawing ───────────────────────────────────────────────────────────────────────────────────── */

static ViewSettings settings_of(const Follow *f, int64_t now_ms) {
        const Cli *cli = f->cli;

        return (ViewSettings){
                        .term = &cli->term,
                        .width = cli_width(cli),
                        .rows = cli_height(cli) - 1,
                        .now_ms = now_ms,
                        .flags = f->flags.data ? f->flags.data : "",
                        .away = f->feed && feed_is_away(f->feed),
        };
}

/** Replace the block on the screen. The rows that it takes are counted anew, as the window may have changed
 * its width. */
static void draw(Follow *f, bool is_last) {
        int64_t now_ms = cli_now_ms();
        ViewSettings v = settings_of(f, now_ms);
        _cleanup_(buf_deinit) Buf frame = {0}, out = {0};

        if (!is_last && f->screen.is_drawn && now_ms - f->screen.drawn_ms < FRAME_MS)
                return;
        view_render(&f->progress, &v, &frame);
        if (f->screen.is_drawn && slice_eq(buf_slice(&frame), buf_slice(&f->screen.shown)))
                return;
        if (f->screen.is_drawn) {
                int rows = view_rows(v.term, buf_slice(&f->screen.shown), v.width);

                buf_printf(&out, "\033[%dA\r\033[J", rows);
        }
        buf_put_slice(&out, buf_slice(&frame));
        cli_write(&out);
        buf_reset(&f->screen.shown);
        buf_put_slice(&f->screen.shown, buf_slice(&frame));
        f->screen.is_drawn = true;
        f->screen.drawn_ms = now_ms;
}

/** Show one event (or nothing, when only time has passed). */
static void show(Follow *f, const json_t *event) {
        const Cli *cli = f->cli;

        if (cli->json) {
                if (event)
                        cli_print_json(event);
        } else if (cli->quiet) {
                return;
        } else if (cli->term.is_tty) {
                if (feed_is_caught_up(f->feed))
                        draw(f, false);
        } else if (event) {
                _cleanup_(buf_deinit) Buf line = {0};
                ViewSettings v = settings_of(f, cli_now_ms());

                view_event(&f->progress, event, &v, &line);
                if (line.n > 0)
                        cli_write(&line);
        }
}

/* ── Following ─────────────────────────────────────────────────────────────────────────────────── */

json_t *follow_definition(Cli *cli, const char *runbook_id, const char *version) {
        RunbookQuery query = {.version = *version ? version : NULL};
        RunbookCall call = {.timeout_ms = RESULT_TIMEOUT_MS, .attempts = 1};
        RunbookReply *reply = NULL;
        json_t *json, *definition = NULL;

        if (!*runbook_id || runbook_client_runbook(cli->client, runbook_id, &query, &call, &reply, NULL) != 0)
                return NULL;
        json = reply->is_error ? NULL : cli_parse(cli, reply);
        definition = json_incref(json_object_get(json, "runbook"));
        json_decref(json);
        runbook_reply_free(reply);
        return definition;
}

/** Steps that have not begun are known from the definition only; without it (no permission…) they show up as
 * they begin. */
static void seed(Follow *f) {
        Progress *p = &f->progress;
        json_t *definition;

        if (f->seeded || !*p->runbook_id || f->cli->json || f->cli->quiet || !f->cli->term.is_tty)
                return;
        f->seeded = true;
        definition = follow_definition(f->cli, p->runbook_id, p->version);
        progress_seed(p, definition);
        json_decref(definition);
}

static bool has_ended(const Follow *f) {
        return progress_is_final(&f->progress) && feed_is_caught_up(f->feed);
}

/** 0 at the execution's end, else a CliExit. */
static int follow(Follow *f) {
        while (!has_ended(f)) {
                json_t *event = NULL;
                int r = feed_next(f->feed, FRAME_MS, &event);

                if (r)
                        return r;
                if (event) {
                        progress_apply(&f->progress, event);
                        seed(f);
                }
                if (f->progress.oom)
                        r = cli_no_memory(f->cli);
                else
                        show(f, event);
                json_decref(event);
                if (r)
                        return r;
                if (cli_interrupted())
                        return EXIT_INTERRUPTED;
                if (f->end_ms > 0 && cli_now_ms() >= f->end_ms && !has_ended(f))
                        return EXIT_TIMEOUT;
        }
        return 0;
}

/** We leave before the end: say that it goes on, and how to come back. */
static void say_goodbye(Follow *f, int exit) {
        const char *id = f->progress.id, *flags = f->flags.data ? f->flags.data : "";

        output_error(f->cli, "%s; the execution goes on. Look further:",
                     exit == EXIT_TIMEOUT ? "it has not ended in time" : "detached");
        output_error(f->cli, "  runbook watch %s%s", id, flags);
        output_error(f->cli, "  runbook status %s%s", id, flags);
        output_error(f->cli, "To stop it:");
        output_error(f->cli, "  runbook cancel %s%s", id, flags);
}

static int exit_for(RunbookExecutionStatus status) {
        return status == RUNBOOK_EXECUTION_COMPLETED   ? EXIT_FINE
               : status == RUNBOOK_EXECUTION_CANCELLED ? EXIT_CANCELLED
                                                       : EXIT_REFUSED;
}

/** The execution's own words at the end. */
static void print_result(Follow *f) {
        RunbookCall call = {.timeout_ms = RESULT_TIMEOUT_MS, .attempts = 2};
        RunbookReply *reply = NULL;
        json_t *json;

        if (runbook_client_execution(f->cli->client, f->progress.id, NULL, &call, &reply, &f->cli->error) !=
                            0 ||
            reply->is_error) {
                runbook_reply_free(reply);
                return;
        }
        if (!cli_print_json_reply(f->cli, reply)) {
                json = cli_parse(f->cli, reply);
                follow_print_result(f->cli, json_object_get(json, "execution"));
                json_decref(json);
        }
        runbook_reply_free(reply);
}

int follow_execution(Cli *cli, const char *execution_id, int flags) {
        Follow f = {.cli = cli, .end_ms = cli->timeout_ms > 0 ? cli_now_ms() + cli->timeout_ms : 0};
        int r;

        cli_catch_interrupt();
        follow_put_flags(cli, &f.flags);
        buf_put_char(&f.flags, 0);
        progress_init(&f.progress, execution_id);
        r = feed_open(cli, execution_id, &f.feed);
        if (r == 0) {
                r = follow(&f);
                if (!cli->json && !cli->quiet && cli->term.is_tty && (r == 0 || f.screen.is_drawn))
                        draw(&f, true);
                if (r == EXIT_INTERRUPTED ||
                    (r == EXIT_TIMEOUT && f.end_ms > 0 && cli_now_ms() >= f.end_ms)) {
                        if (!cli->json)
                                say_goodbye(&f, r);
                } else if (r == 0) {
                        if (!(flags & FOLLOW_NO_RESULT) && !cli->quiet)
                                print_result(&f);
                        r = exit_for(f.progress.status);
                }
        }
        feed_close(f.feed);
        progress_deinit(&f.progress);
        buf_deinit(&f.screen.shown);
        buf_deinit(&f.flags);
        return r;
}

/* ── The result ────────────────────────────────────────────────────────────────────────────────── */

void follow_put_flags(const Cli *cli, Buf *b) {
        const struct {
                const char *flag, *value;
        } flags[] = {{"--nats-context", cli->nats_context},
                     {"--prefix", cli->prefix},
                     {"--server", cli->server},
                     {"--tenant", cli->tenant}};

        for (size_t i = 0; i < N_ELEMENTS(flags); i++) {
                if (!flags[i].value)
                        continue;
                buf_printf(b, " %s ", flags[i].flag);
                text_put_shell(b, slice_from_str(flags[i].value));
        }
}

/** On a terminal the beginning of @text, elsewhere all of it. */
static void put_some_lines(const Cli *cli, const char *text, Buf *b) {
        size_t n = 0;
        int lines = 0;

        while (text[n] && !(cli->term.is_tty && lines == OUTPUT_LINES_SHOWN))
                lines += text[n++] == '\n';
        text_put_lines(b, &cli->term, (Slice){text, n}, 2);
        if (text[n])
                buf_put_str(b, "  (more: runbook status EXECUTION --json)\n");
}

static void put_output(const Cli *cli, const json_t *output, Buf *b) {
        char *text = output && !json_is_null(output) ? json_dumps(output, JSON_INDENT(2) | JSON_ENCODE_ANY)
                                                     : NULL;

        if (text) {
                text_color(b, &cli->term, COLOR_DIM);
                buf_put_str(b, "output\n");
                text_plain(b, &cli->term);
                put_some_lines(cli, text, b);
        }
        free(text);
}

static void put_command(const Cli *cli, const char *verb, const char *id, const char *rest, const char *flags,
                        Buf *b) {
        _cleanup_(buf_deinit) Buf command = {0};

        buf_printf(&command, "runbook %s ", verb);
        text_put_shell(&command, slice_from_str(id));
        if (*rest) {
                buf_put_char(&command, ' ');
                text_put_shell(&command, slice_from_str(rest));
        }
        buf_put_str(b, "  ");
        text_color(b, &cli->term, COLOR_CYAN);
        text_put(b, &cli->term, buf_slice(&command), TEXT_ANY_WIDTH);
        text_put_str(b, &cli->term, flags, TEXT_ANY_WIDTH);
        text_plain(b, &cli->term);
        buf_put_char(b, '\n');
}

static void put_error(const Cli *cli, const json_t *error, Buf *b) {
        text_put_str(b, &cli->term, json_text(error, "message"), TEXT_ANY_WIDTH);
        if (*json_text(error, "code")) {
                buf_put_str(b, " (");
                text_put_str(b, &cli->term, json_text(error, "code"), TEXT_ANY_WIDTH);
                buf_put_char(b, ')');
        }
        buf_put_char(b, '\n');
}

/** What failed, and how to go on. */
static void put_failure(const Cli *cli, const json_t *x, const char *flags, Buf *b) {
        const json_t *result;
        json_t *results = json_object_get(x, "stepResults");
        const char *path, *id = json_text(x, "id");
        int n = 0;

        json_object_foreach(results, path, result) {
                const json_t *error = json_object_get(result, "error");

                if (strcmp(json_text(result, "status"), "failed") != 0 || n++ >= FAILED_STEPS_SHOWN)
                        continue;
                text_color(b, &cli->term, COLOR_RED);
                text_put_str(b, &cli->term, path, TEXT_ANY_WIDTH);
                text_plain(b, &cli->term);
                buf_put_str(b, ": ");
                put_error(cli, error, b);
                put_command(cli, "retry", id, path, flags, b);
        }
        if (n == 0)
                put_error(cli, json_object_get(x, "error"), b);
        put_command(cli, "logs", id, "", flags, b);
        put_command(cli, "history", id, "", flags, b);
}

void follow_print_result(Cli *cli, const json_t *x) {
        _cleanup_(buf_deinit) Buf b = {0}, flags = {0};
        const char *status = json_text(x, "status");

        follow_put_flags(cli, &flags);
        buf_put_char(&flags, 0);
        if (!strcmp(status, "completed"))
                put_output(cli, json_object_get(x, "output"), &b);
        else if (!strcmp(status, "failed"))
                put_failure(cli, x, flags.data ? flags.data : "", &b);
        if (b.n > 0)
                cli_write(&b);
}
