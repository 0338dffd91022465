#pragma once
/* Watching one execution until it ends: a screen on a terminal, lines elsewhere. */

#include "cli/session.h"

typedef enum FollowFlags {
        FOLLOW_DEFAULT = 0,
        FOLLOW_NO_RESULT = 1 /* leave out the result at the end */
} FollowFlags;

/** Gives the CliExit that the execution's end means; EXIT_INTERRUPTED and EXIT_TIMEOUT leave it running. */
int follow_execution(Cli *cli, const char *execution_id, int flags);
/** Print output, error, failed steps and how to look further, of an execution's JSON. */
void follow_print_result(Cli *cli, const json_t *execution);
/** Options given on this command line that a further command needs too: " --tenant acme". */
void follow_put_flags(const Cli *cli, Buf *b);
/** The definition of an execution's runbook version, for step order and types; NULL when it can't be had.
 * Owned. */
json_t *follow_definition(Cli *cli, const char *runbook_id, const char *version);
