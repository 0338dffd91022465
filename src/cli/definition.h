#pragma once
/* Runbook definitions from files: read, checked offline, errors shown as a compiler shows them. */

#include "cli/cli.h"
#include "model/runbook.h"

/** Does @argument name a file rather than a registered runbook? ("-", a path, a .json/.yaml/.yml name, or an
 * existing file) */
bool definition_is_file(const char *argument);

/**
 * Read @path ("-": stdin), JSON or YAML. With @check the definition is checked whole, and its errors are
 * shown as `file:line:column: /pointer: sentence`. 0 and an owned tree, or a CliExit.
 */
int definition_load(Cli *cli, const char *path, bool check, json_t **ret);

/** "id@version" taken apart; *ret_version NULL when there is none. Both owned by @arena. False when out of
 * memory. */
bool definition_split_name(Arena *arena, const char *argument, const char **ret_id, const char **ret_version);
