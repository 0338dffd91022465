#pragma once
/* Steps of type custom:<name>, run by shared objects (include/runbook/executor.h). */

#include "json/json_read.h"
#include "runtime/ports.h"

/** Zeros and NULLs mean the defaults below. */
typedef struct PluginSettings {
        const char *dir;            /* whose *.so are loaded; NULL or "": no plugins */
        uint32_t threads;           /* calls of plugins at once */
        int64_t timeout_default_ms; /* where the step has none; waiting for a turn counts */
        uint64_t open_max; /* tasks taken and not finished, waiting ones included; beyond: OVERLOADED */
        int64_t stop_ms;   /* how long stop waits for calls that do not come back */
} PluginSettings;

#define PLUGIN_THREADS            4
#define PLUGIN_THREADS_MAX        1024
#define PLUGIN_TIMEOUT_DEFAULT_MS 30000
#define PLUGIN_OPEN_MAX           100000
#define PLUGIN_STOP_MS            5000

/**
 * Load the plugins and start their threads. Types that no plugin offers go to @fallback (borrowed: it
 * outlives this one and is stopped by its owner; NULL: such a step fails with EXECUTOR_MISSING). If any
 * plugin can't be used none is, and @report has a sentence that names each with its fault and the mend
 * (details: path and sentence).
 */
int plugin_executor_new(const PluginSettings *settings, const ExecutorHost *host, Executor *fallback,
                        Report *report, Executor **ret);

/**
 * Check the config of a step of type @type_name as it stands in a definition, with templates in it: every
 * fault that no value of the templates could mend is reported at @config. 0: fine, or the type is not a
 * plugin's; -EINVAL; -ENOMEM. Any thread.
 */
int plugin_config_check(Executor *executor, Slice type_name, const JsonAt *config);
