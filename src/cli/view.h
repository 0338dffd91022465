#pragma once
/* How progress looks: a screen that is redrawn, or one line per event. Pure: text out of data. */

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/text.h"

typedef struct ViewSettings {
        const CliTerm *term;
        int width; /* columns */
        int rows;  /* 0: as many as it takes */
        int64_t now_ms;
        const char *flags; /* appended to commands shown, e.g. " --tenant acme"; "" */
        bool away;         /* the engine cannot be asked at the moment */
} ViewSettings;

/** The execution and its steps, each line ended. With `rows`, what matters least is summed up in one line. */
void view_render(const Progress *p, const ViewSettings *v, Buf *out);
/** Rows that @text takes on a terminal of @width columns (lines wrap; colours take none). */
int view_rows(const CliTerm *term, Slice text, int width);
/** One event as one line with its time; nothing for events that people need not see. @p has the event applied
 * already. */
void view_event(const Progress *p, const json_t *event, const ViewSettings *v, Buf *out);
/** The same without knowing what came before; @with_execution names the execution. */
void view_plain_event(const json_t *event, bool with_execution, const ViewSettings *v, Buf *out);
/** A log entry: time, level, step, message. */
void view_log(const json_t *entry, const ViewSettings *v, Buf *out);
/** The colour of a status. */
TextColor view_status_color(const char *status);
