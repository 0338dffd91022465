/*
 * Columns of text for lists. Every column is as wide as its widest cell; when that is too much for the
 * terminal, the flexible columns give way, widest first.
 */

#include <stdarg.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/table.h"

#define GAP          2 /* blanks between columns */
#define FLEXIBLE_MIN 8 /* columns that a cut column keeps */

void table_deinit(Table *t) {
        arena_deinit(&t->arena);
        free(t->cells);
        t->cells = NULL;
}

static void put(Table *t, TextColor color, Slice text) {
        Slice copy = arena_dup(&t->arena, text);

        if (t->n_cells == t->cap) {
                size_t cap = t->cap ? t->cap * 2 : 64;
                TableCell *cells = reallocarray(t->cells, cap, sizeof *cells);

                if (!cells) {
                        t->oom = true;
                        return;
                }
                t->cells = cells;
                t->cap = cap;
        }
        t->oom |= !copy.data;
        t->cells[t->n_cells++] = (TableCell){copy, color};
}

void table_put(Table *t, TextColor color, const char *text) { put(t, color, slice_from_str(text)); }

void table_printf(Table *t, TextColor color, const char *format, ...) {
        _cleanup_(buf_deinit) Buf b = {0};
        va_list ap;

        va_start(ap, format);
        buf_vprintf(&b, format, ap);
        va_end(ap);
        t->oom |= b.error != 0;
        put(t, color, buf_slice(&b));
}

void table_put_buf(Table *t, TextColor color, Buf *b) {
        t->oom |= b->error != 0;
        put(t, color, buf_slice(b));
        buf_reset(b);
}

/** Columns of the whole line; dropped columns have width -1. */
static int line_width(const Table *t, const int widths[TABLE_COLUMNS_MAX]) {
        int total = -GAP;

        for (int c = 0; c < t->n_columns; c++)
                total += widths[c] < 0 ? 0 : widths[c] + GAP;
        return total;
}

/** Take one column off the widest flexible one; false when none has any to give. */
static bool shrink(const Table *t, int widths[TABLE_COLUMNS_MAX]) {
        int widest = -1;

        for (int c = 0; c < t->n_columns; c++)
                if ((t->flexible >> c & 1) && widths[c] > FLEXIBLE_MIN &&
                    (widest < 0 || widths[c] > widths[widest]))
                        widest = c;
        if (widest >= 0)
                widths[widest]--;
        return widest >= 0;
}

static bool drop(const Table *t, int widths[TABLE_COLUMNS_MAX]) {
        for (int c = t->n_columns - 1; c > 0; c--) {
                if ((t->droppable >> c & 1) && widths[c] >= 0) {
                        widths[c] = -1;
                        return true;
                }
        }
        return false;
}

/** First leave out what may be left out, as long as the rest cannot shrink enough; then shrink. */
static void fit(const Table *t, int width, int widths[TABLE_COLUMNS_MAX]) {
        for (;;) {
                int least[TABLE_COLUMNS_MAX];

                memcpy(least, widths, sizeof least);
                while (line_width(t, least) > width && shrink(t, least))
                        continue;
                if (line_width(t, least) <= width || !drop(t, widths)) {
                        memcpy(widths, least, sizeof least);
                        return;
                }
        }
}

static void put_row(const Table *t, const CliTerm *term, const TableCell *row, const int *widths, Buf *out) {
        int pad = 0;

        for (int c = 0; c < t->n_columns; c++) {
                if (widths[c] < 0)
                        continue;
                text_pad(out, pad);
                text_color(out, term, row[c].color);
                pad = widths[c] - text_put(out, term, row[c].text, widths[c]) + GAP;
                if (row[c].color != COLOR_NONE)
                        text_plain(out, term);
        }
        while (out->n > 0 && out->data[out->n - 1] == ' ')
                out->n--;
        buf_put_char(out, '\n');
}

bool table_render(const Table *t, const CliTerm *term, int width, Buf *out) {
        TableCell headers[TABLE_COLUMNS_MAX];
        int widths[TABLE_COLUMNS_MAX] = {0};

        for (int c = 0; c < t->n_columns; c++) {
                headers[c] = (TableCell){slice_from_str(t->headers[c]), COLOR_DIM};
                widths[c] = text_width(term, headers[c].text);
        }
        for (size_t i = 0; i < t->n_cells; i++) {
                int w = text_width(term, t->cells[i].text);
                int *column = &widths[i % (size_t)t->n_columns];

                if (w > *column)
                        *column = w;
        }
        fit(t, width, widths);
        put_row(t, term, headers, widths, out);
        for (size_t i = 0; i + (size_t)t->n_columns <= t->n_cells; i += (size_t)t->n_columns)
                put_row(t, term, &t->cells[i], widths, out);
        return !t->oom && !out->error;
}
