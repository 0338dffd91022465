/*
 * The streams of the protocol, as a table
 *
 * Only what the guarantees stand on is named here; ages, sizes and replicas are the operator's. All keep
 * their messages in files and refuse new ones when full: an audit stream that silently forgot its oldest
 * events, or a queue that forgot commands, would be worse than one that says no.
 */
#include "subjects/bus.h"

const StreamSpec stream_specs[N_STREAMS] = {
                {
                                .name = STREAM_AUDIT,
                                .description = "Lifecycle events, logs and checkpoints of the runbook engine",
                                .subjects = {"*.lifecycle.>", "*.log.>", "checkpoint.*"},
                                .retention = STREAM_LIMITS,
                                .duplicates_ms = 120000,
                                .deny_delete = true,
                                .deny_purge = true,
                },
                {
                                .name = STREAM_QUEUE,
                                .description = "Commands and events for the runbook engine, kept until it "
                                               "has committed them",
                                .subjects = {"*.queue.*.>"},
                                .retention = STREAM_WORK_QUEUE,
                                .duplicates_ms = 120000,
                },
                {
                                .name = STREAM_TASKS,
                                .description = "Work for remote workers of the runbook engine",
                                .subjects = {"*.task.>"},
                                .retention = STREAM_WORK_QUEUE,
                                .duplicates_ms = 120000,
                },
                {
                                .name = STREAM_FENCE,
                                .description = "Which start of each runbook engine was the last",
                                .subjects = {"fence.*"},
                                .retention = STREAM_LIMITS,
                                .duplicates_ms = 120000,
                                .deny_delete = true,
                },
};
