#pragma once
/* Defaults that a person keeps: ~/.config/runbook/config.yaml and RUNBOOK_… variables. */

#include "cli/cli.h"

/** Read the file if there is one. 0, or a CliExit after having said what is wrong with it. */
int config_load(Cli *cli);
void config_deinit(CliConfig *config);
/** A top-level string of the file; NULL: not there. */
const char *config_text(const CliConfig *config, const char *key);
/** The file's `context` object with what RUNBOOK_AUTHORITY… say laid over it; an owned object, NULL when out
 * of memory. */
json_t *config_context(const CliConfig *config);
/** Split @list at commas into an owned array of strings; NULL when out of memory. */
json_t *config_split(const char *list);
