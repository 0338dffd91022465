/*
 * How progress looks on a terminal.
 *
 *     incident 1.2.0  0190b7a2-…  running  0:42
 *       ✓ fetch-alert        call-service      0.4s
 *       ? approve-isolation  human-approval   12.0s  1 of 2 approvals
 *           "Isolate host-7?"
 *           may approve: alice, bob
 *           runbook approve 0190b7a2-… approve-isolation
 *       · notify             call-service
 *     1 of 3 done
 *
 * When there are more steps than rows, those that run, wait or failed stay, then what changed last, then what
 * comes next.
 */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/session.h"
#include "cli/view.h"

#define PATH_WIDTH_MAX  36
#define TYPE_WIDTH_MAX  16
#define DURATION_WIDTH  8
#define TYPE_FROM_WIDTH 64  /* columns from which step types are shown */
#define PICK_MAX        512 /* steps shown at once when rows are limited */

/** Symbols by step status: with UTF-8 and without. */
static const struct {
        const char *utf8, *ascii;
        TextColor color;
} marks[RUNBOOK_N_STEP_STATUSES] = {
                [RUNBOOK_STEP_PENDING] = {"·", ".", COLOR_DIM},
                [RUNBOOK_STEP_READY] = {"·", ".", COLOR_CYAN},
                [RUNBOOK_STEP_RUNNING] = {"▸", ">", COLOR_CYAN},
                [RUNBOOK_STEP_RETRYING] = {"↻", "~", COLOR_YELLOW},
                [RUNBOOK_STEP_AWAITING_APPROVAL] = {"?", "?", COLOR_YELLOW},
                [RUNBOOK_STEP_AWAITING_EVENT] = {"…", ":", COLOR_YELLOW},
                [RUNBOOK_STEP_WAITING] = {"…", ":", COLOR_YELLOW},
                [RUNBOOK_STEP_COMPLETED] = {"✓", "+", COLOR_GREEN},
                [RUNBOOK_STEP_FAILED] = {"✗", "x", COLOR_RED},
                [RUNBOOK_STEP_SKIPPED] = {"-", "-", COLOR_DIM},
                [RUNBOOK_STEP_CANCELLED] = {"✗", "x", COLOR_DIM},
};

TextColor view_status_color(const char *status) {
        int step = runbook_step_status_from_name(status),
            execution = runbook_execution_status_from_name(status);

        if (step >= 0)
                return marks[step].color;
        return execution == RUNBOOK_EXECUTION_PAUSED || execution == RUNBOOK_EXECUTION_PAUSING ||
                                               execution == RUNBOOK_EXECUTION_COMPENSATING
                               ? COLOR_YELLOW
                               : COLOR_NONE;
}

static bool is_waiting(const ProgressStep *s) {
        return s->status == RUNBOOK_STEP_AWAITING_APPROVAL || s->status == RUNBOOK_STEP_AWAITING_EVENT;
}

static int min_int(int a, int b) { return a < b ? a : b; }

/* ── One step ──────────────────────────────────────────────────────────────────────────────────── */

/** Widths of the columns, the same for all lines of one screen. */
typedef struct Columns {
        int path, type, note;
} Columns;

static void put_note(const ProgressStep *s, const ViewSettings *v, Buf *note) {
        bool active = !runbook_step_status_is_final(s->status) && s->status != RUNBOOK_STEP_PENDING;

        if (s->status == RUNBOOK_STEP_AWAITING_APPROVAL && s->n_needed > 0)
                buf_printf(note, "%d of %d approval%s", s->n_approved, s->n_needed,
                           s->n_needed == 1 ? "" : "s");
        else if (s->status == RUNBOOK_STEP_READY)
                buf_put_str(note, "ready");
        if (s->attempt > 1 && (active || s->status == RUNBOOK_STEP_FAILED))
                buf_printf(note, "%sattempt %d", note->n ? ", " : "", s->attempt);
        if (active && s->until_ms > v->now_ms &&
            (s->status == RUNBOOK_STEP_WAITING || s->status == RUNBOOK_STEP_RETRYING)) {
                buf_put_str(note, note->n ? ", " : "");
                buf_put_str(note, s->status == RUNBOOK_STEP_RETRYING ? "again in " : "");
                text_put_duration(note, s->until_ms - v->now_ms);
                buf_put_str(note, s->status == RUNBOOK_STEP_RETRYING ? "" : " to go");
        } else if (is_waiting(s) && s->deadline_ms > v->now_ms) {
                buf_put_str(note, note->n ? ", " : "");
                text_put_duration(note, s->deadline_ms - v->now_ms);
                buf_put_str(note, " left");
        }
        if (*s->note) {
                size_t start = note->n;

                buf_printf(note, "%s%s", note->n ? ": " : "", s->note);
                for (size_t i = start; s->status == RUNBOOK_STEP_SKIPPED && i < note->n; i++)
                        if (note->data[i] == '_') /* reasons are names: "branch_not_taken" */
                                note->data[i] = ' ';
        }
        if (s->compensated)
                buf_printf(note, "%scompensated", note->n ? ", " : "");
}

static void put_duration(const ProgressStep *s, const ViewSettings *v, Buf *out) {
        _cleanup_(buf_deinit) Buf b = {0};

        if (s->start_ms > 0 && s->status != RUNBOOK_STEP_SKIPPED)
                text_put_duration(&b, (s->end_ms ? s->end_ms : v->now_ms) - s->start_ms);
        text_pad(out, DURATION_WIDTH - (int)b.n);
        buf_put_slice(out, buf_slice(&b));
}

/** A line of its own under a step, in a colour, cut to the width. */
static void put_below(const ViewSettings *v, TextColor color, const char *label, const char *text, Buf *out) {
        _cleanup_(buf_deinit) Buf line = {0};

        buf_printf(&line, "%s%s", label, text);
        text_pad(out, 6);
        text_color(out, v->term, color);
        text_put(out, v->term, buf_slice(&line), v->width > 20 ? v->width - 7 : TEXT_ANY_WIDTH);
        if (color != COLOR_NONE)
                text_plain(out, v->term);
        buf_put_char(out, '\n');
}

/** A command to be copied: never cut, it may wrap. */
static void put_command(const ViewSettings *v, const Buf *command, Buf *out) {
        text_pad(out, 6);
        text_color(out, v->term, COLOR_CYAN);
        text_put(out, v->term, buf_slice(command), TEXT_ANY_WIDTH);
        text_put_str(out, v->term, v->flags, TEXT_ANY_WIDTH);
        text_plain(out, v->term);
        buf_put_char(out, '\n');
}

static void put_approve_command(const Progress *p, const ProgressStep *s, Buf *b) {
        buf_put_str(b, "runbook approve ");
        text_put_shell(b, slice_from_str(p->id));
        buf_put_char(b, ' ');
        text_put_shell(b, slice_from_str(s->path));
}

static void put_event_command(const ProgressStep *s, Buf *b) {
        buf_put_str(b, "runbook event ");
        text_put_shell(b, slice_from_str(s->event_type));
        if (*s->correlation) {
                buf_put_str(b, " --correlation ");
                text_put_shell(b, slice_from_str(s->correlation));
        }
}

/** For what, and from whom, and what to type. */
static void put_wait(const Progress *p, const ProgressStep *s, const ViewSettings *v, Buf *out) {
        _cleanup_(buf_deinit) Buf command = {0};

        if (s->status == RUNBOOK_STEP_AWAITING_APPROVAL) {
                if (*s->prompt)
                        put_below(v, COLOR_BOLD, "", s->prompt, out);
                if (*s->approvers)
                        put_below(v, COLOR_NONE, "may approve: ", s->approvers, out);
                put_approve_command(p, s, &command);
                put_command(v, &command, out);
        } else if (s->status == RUNBOOK_STEP_AWAITING_EVENT && *s->event_type) {
                put_event_command(s, &command);
                put_command(v, &command, out);
        }
}

static void put_step(const Progress *p, const ProgressStep *s, const ViewSettings *v, const Columns *c,
                     Buf *out) {
        _cleanup_(buf_deinit) Buf note = {0};
        int used;

        buf_put_str(out, "  ");
        text_color(out, v->term, marks[s->status].color);
        buf_put_str(out, v->term->utf8 ? marks[s->status].utf8 : marks[s->status].ascii);
        text_plain(out, v->term);
        buf_put_char(out, ' ');
        used = text_put_str(out, v->term, s->path, c->path);
        text_pad(out, c->path - used);
        if (c->type > 0) {
                buf_put_str(out, "  ");
                text_color(out, v->term, COLOR_DIM);
                used = text_put_str(out, v->term, s->type, c->type);
                text_plain(out, v->term);
                text_pad(out, c->type - used);
        }
        buf_put_char(out, ' ');
        put_duration(s, v, out);
        put_note(s, v, &note);
        if (note.n > 0 && c->note > 3) {
                buf_put_str(out, "  ");
                text_color(out, v->term, s->status == RUNBOOK_STEP_FAILED ? COLOR_RED : COLOR_DIM);
                text_put(out, v->term, buf_slice(&note), c->note);
                text_plain(out, v->term);
        }
        while (out->n > 0 && out->data[out->n - 1] == ' ')
                out->n--;
        buf_put_char(out, '\n');
        put_wait(p, s, v, out);
}

/* ── The whole screen ──────────────────────────────────────────────────────────────────────────── */

/** How much a step matters when not all can be shown. */
static int64_t weight(const ProgressStep *s, size_t i) {
        if (!progress_step_counts(s))
                return -1;
        if (s->status == RUNBOOK_STEP_PENDING)
                return INT32_MAX - (int64_t)i; /* the next ones first, all behind those that changed */
        if (runbook_step_status_is_final(s->status) && s->status != RUNBOOK_STEP_FAILED)
                return (1LL << 40) + s->changed;
        return INT64_MAX - (int64_t)i;
}

/** One step that was picked: its weight and its place. */
typedef struct Pick {
        int64_t weight;
        size_t index;
} Pick;

static int by_index(const void *a, const void *b) {
        size_t x = ((const Pick *)a)->index, y = ((const Pick *)b)->index;

        return x < y ? -1 : x > y;
}

/** The @max weightiest steps, in the order of the definition. */
static size_t pick(const Progress *p, size_t max, Pick ret[PICK_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < p->n_steps && max > 0; i++) {
                int64_t w = weight(&p->steps[i], i);
                size_t at = n;

                if (w < 0 || (n == max && w <= ret[n - 1].weight))
                        continue;
                if (n < max)
                        n++;
                else
                        at--;
                for (; at > 0 && ret[at - 1].weight < w; at--)
                        ret[at] = ret[at - 1];
                ret[at] = (Pick){w, i};
        }
        qsort(ret, n, sizeof *ret, by_index);
        return n;
}

static Columns measure(const Progress *p, const ViewSettings *v) {
        Columns c = {0};
        int fixed;

        for (size_t i = 0; i < p->n_steps && c.path < PATH_WIDTH_MAX; i++) {
                int w = text_width(v->term, slice_from_str(p->steps[i].path));

                c.path = w > c.path ? w : c.path;
        }
        for (size_t i = 0; i < p->n_steps && v->width >= TYPE_FROM_WIDTH && c.type < TYPE_WIDTH_MAX; i++) {
                int w = text_width(v->term, slice_from_str(p->steps[i].type));

                c.type = w > c.type ? w : c.type;
        }
        c.path = min_int(c.path, PATH_WIDTH_MAX);
        c.path = min_int(c.path, v->width > 40 ? v->width / 2 : v->width - DURATION_WIDTH - 6);
        c.path = c.path < 4 ? 4 : c.path;
        c.type = min_int(c.type, TYPE_WIDTH_MAX);
        fixed = 4 + c.path + (c.type ? 2 + c.type : 0) + 1 + DURATION_WIDTH;
        c.note = v->width - fixed - 2;
        return c;
}

/** A failed execution's error is mostly that of a failed step. */
static bool is_told_by_step(const Progress *p) {
        for (size_t i = 0; i < p->n_steps && p->status == RUNBOOK_EXECUTION_FAILED; i++)
                if (p->steps[i].status == RUNBOOK_STEP_FAILED && !strcmp(p->steps[i].note, p->note))
                        return true;
        return false;
}

static void put_header(const Progress *p, const ViewSettings *v, Buf *out) {
        const char *status = runbook_execution_status_name(p->status);
        _cleanup_(buf_deinit) Buf name = {0}, took = {0};
        int room;

        if (p->start_ms > 0) {
                buf_put_str(&took, "  ");
                text_put_duration(&took, (p->end_ms ? p->end_ms : v->now_ms) - p->start_ms);
        }
        room = v->width - 2 - (int)strlen(p->id) - 2 - (int)strlen(status) - (int)took.n;
        buf_printf(&name, "%s %s", p->runbook_id, p->version);
        if (*p->runbook_id && room > 8) {
                text_color(out, v->term, COLOR_BOLD);
                text_put(out, v->term, buf_slice(&name), room);
                text_plain(out, v->term);
                buf_put_str(out, "  ");
        }
        text_put_str(out, v->term, p->id, TEXT_ANY_WIDTH);
        buf_put_str(out, "  ");
        text_color(out, v->term, view_status_color(status));
        buf_put_str(out, status);
        text_plain(out, v->term);
        buf_put_slice(out, buf_slice(&took));
        buf_put_char(out, '\n');
        if (*p->note && !is_told_by_step(p))
                put_below(v, p->status == RUNBOOK_EXECUTION_FAILED ? COLOR_RED : COLOR_NONE, "", p->note,
                          out);
}

static void put_footer(const Progress *p, const ViewSettings *v, size_t n_shown, Buf *out) {
        size_t done, total;

        progress_count(p, &done, &total);
        text_color(out, v->term, COLOR_DIM);
        buf_printf(out, "%zu of %zu done", done, total);
        if (n_shown < total)
                buf_printf(out, ", %zu not shown", total - n_shown);
        if (v->away)
                buf_put_str(out, "; the engine cannot be reached, still trying");
        text_plain(out, v->term);
        buf_put_char(out, '\n');
        if (p->status == RUNBOOK_EXECUTION_PAUSED) {
                _cleanup_(buf_deinit) Buf command = {0};

                buf_put_str(&command, "runbook resume ");
                text_put_shell(&command, slice_from_str(p->id));
                put_command(v, &command, out);
        }
}

static void render(const Progress *p, const ViewSettings *v, size_t max, Buf *out) {
        Columns c = measure(p, v);
        Pick picked[PICK_MAX];
        size_t n = 0;

        put_header(p, v, out);
        if (v->rows == 0) {
                for (size_t i = 0; i < p->n_steps; i++) {
                        if (!progress_step_counts(&p->steps[i]))
                                continue;
                        put_step(p, &p->steps[i], v, &c, out);
                        n++;
                }
        } else {
                n = pick(p, max, picked);
                for (size_t i = 0; i < n; i++)
                        put_step(p, &p->steps[picked[i].index], v, &c, out);
        }
        put_footer(p, v, n, out);
}

void view_render(const Progress *p, const ViewSettings *v, Buf *out) {
        size_t max = v->rows > 3 ? (size_t)min_int(v->rows - 2, PICK_MAX) : 1, start = out->n;

        render(p, v, max, out);
        /* Commands and prompts under steps take rows too: show fewer steps until all fits. */
        while (v->rows > 0 && max > 1 && !out->error &&
               view_rows(v->term, (Slice){out->data + start, out->n - start}, v->width) > v->rows) {
                max--;
                out->n = start;
                render(p, v, max, out);
        }
}

/** Columns of one line, colours not counted. */
static int line_width(const CliTerm *term, Slice line) {
        int width = 0;

        while (line.n > 0) {
                const char *escape = memchr(line.data, '\033', line.n);
                size_t n = escape ? (size_t)(escape - line.data) : line.n;

                width += text_width(term, (Slice){line.data, n});
                line = (Slice){line.data + n, line.n - n};
                if (escape) {
                        const char *m = memchr(line.data, 'm', line.n);

                        n = m ? (size_t)(m - line.data) + 1 : line.n;
                        line = (Slice){line.data + n, line.n - n};
                }
        }
        return width;
}

int view_rows(const CliTerm *term, Slice text, int width) {
        int rows = 0;

        while (text.n > 0) {
                const char *newline = memchr(text.data, '\n', text.n);
                size_t n = newline ? (size_t)(newline - text.data) : text.n;
                int columns = line_width(term, (Slice){text.data, n});

                rows += columns <= width || width <= 0 ? 1 : (columns + width - 1) / width;
                n += newline != NULL;
                text = (Slice){text.data + n, text.n - n};
        }
        return rows;
}
