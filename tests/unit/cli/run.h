#pragma once
/* Run the program as a person or a script would. */

#include <stddef.h>
#include <sys/types.h>

#define RUN_OUTPUT_MAX (256 * 1024)

typedef struct Run {
        char out[RUN_OUTPUT_MAX], err[RUN_OUTPUT_MAX]; /* with a terminal all is in `out` */
        int exit;                                      /* 128 + signal if it was killed */
} Run;

/** Run `runbook @line` (a shell's words) and wait; bounded by 30 s. Borrowed until the next run. */
const Run *run(const char *line, ...) __attribute__((format(printf, 1, 2)));

/** The same on a terminal of @columns × @rows, not waited for. */
typedef struct Terminal {
        pid_t pid;
        int fd;
        char out[RUN_OUTPUT_MAX];
        size_t n;
} Terminal;
void terminal_start(Terminal *t, int columns, int rows, const char *line, ...)
                __attribute__((format(printf, 4, 5)));
/** Read until @text has been written (true) or 10 s are over. */
int terminal_expect(Terminal *t, const char *text);
/** Press Ctrl-C. */
void terminal_interrupt(Terminal *t);
/** Read to the end; the exit status. */
int terminal_finish(Terminal *t);
