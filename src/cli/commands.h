#pragma once
/* Every command, by the file that holds it. */

#include "cli/cli.h"

extern const CliCommand command_approvals, command_approve, command_reject; /* cmd_approve.c */
extern const CliCommand command_backup;                                     /* cmd_backup.c */
extern const CliCommand command_checkpoints;                                /* cmd_checkpoints.c */
extern const CliCommand command_completion;                                 /* cmd_completion.c */
extern const CliCommand command_cancel, command_pause, command_replay, command_resume,
                command_retry;                                       /* cmd_control.c */
extern const CliCommand command_event;                               /* cmd_event.c */
extern const CliCommand command_evidence, command_logs;              /* cmd_logs.c */
extern const CliCommand command_graph;                               /* cmd_graph.c */
extern const CliCommand command_help, command_version;               /* cmd_help.c */
extern const CliCommand command_history;                             /* cmd_history.c */
extern const CliCommand command_list, command_stats, command_status; /* cmd_status.c */
extern const CliCommand command_register, command_runbooks, command_show,
                command_validate;      /* cmd_runbook.c */
extern const CliCommand command_start; /* cmd_start.c */
extern const CliCommand command_watch; /* cmd_watch.c */
