#pragma once
/* Files of kept checkpoints, one a line, and what is wrong with them. */

#include "cli/session.h"

/** Faults on their way to the person: sentences on stderr, or with --json a list. Zero-initialised with `cli`
 * set. */
typedef struct FaultList {
        Cli *cli;
        json_t *list; /* owned; NULL: none so far, or not --json */
        uint64_t n;
} FaultList;

void fault_list_deinit(FaultList *f);
/** Tell one, up to FAULTS_TOLD of them; all are counted. */
void fault_list_tell(FaultList *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The list, empty if there are none; owned, NULL when out of memory. */
json_t *fault_list_steal(FaultList *f);

/** A verifier that trusts what --key says. 0 and an owned one, or a CliExit after having said why. */
int checkpoint_verifier_new(Cli *cli, const CliArgs *args, RunbookCheckpointMemory memory,
                            RunbookCheckpoints **ret);
/**
 * Feed it @path ("-": stdin), one checkpoint a line; faults are told with file and line. @ret_is_open (may be NULL)
 * becomes true when the last line has no end, as after a crash in the midst of writing it. 0 or a CliExit.
 */
int checkpoint_file_read(Cli *cli, RunbookCheckpoints *checkpoints, const char *path, FaultList *faults,
                         bool *ret_is_open);
