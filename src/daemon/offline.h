#pragma once
/* What the program does with a store instead of running on it: check it, copy it. */

#include "daemon/config.h"
#include "runtime/runtime.h"

/** What a check runs with: executions are replayed under the settings of the engine. */
typedef struct OfflineSettings {
        RuntimeSettings runtime;
        Clock clock;
        Ids ids;
} OfflineSettings;

/**
 * `--check`: print what was looked at and every fault to stdout. 0: all is well; 1: there are faults; 2: the store
 * could not be looked at, a sentence is on stderr.
 */
int offline_check(const Config *config, const OfflineSettings *settings);
/** `--backup`: copy the store of DATA_DIR, also while an engine runs on it. 0, or 1 with a sentence on stderr. */
int offline_backup(const Config *config);
