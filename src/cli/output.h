#pragma once
/* stdout and stderr. */

#include "cli/session.h"

/** One line on stderr, made safe for the terminal. */
void output_error(const Cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Find out what stdout can do; @color "always", "never" or "auto". */
void output_init(Cli *cli, const char *color);
/** Push out what is buffered; gives EXIT_PIPE or EXIT_REFUSED when that fails, else @exit. */
int output_finish(int exit);
