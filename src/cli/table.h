#pragma once
/* Columns of text for lists. */

#include "base/arena.h"
#include "cli/text.h"

#define TABLE_COLUMNS_MAX 12

typedef struct TableCell {
        Slice text;
        TextColor color;
} TableCell;

/** Zero-initialised with `headers` and `n_columns` set is an empty table. */
typedef struct Table {
        const char *const *headers;
        int n_columns;
        int flexible;  /* bitmask of columns that may be cut; others keep their width */
        int droppable; /* bitmask of columns that are left out, from the right, when cutting is not enough */
        Arena arena;
        TableCell *cells;
        size_t n_cells, cap;
        bool oom;
} Table;

void table_deinit(Table *t);
/** Append the next cell (copied), row by row. */
void table_put(Table *t, TextColor color, const char *text);
void table_printf(Table *t, TextColor color, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** Cells that were rendered elsewhere (times, durations). */
void table_put_buf(Table *t, TextColor color, Buf *b);
/** Render to @out for @width columns. False when out of memory. */
bool table_render(const Table *t, const CliTerm *term, int width, Buf *out);
