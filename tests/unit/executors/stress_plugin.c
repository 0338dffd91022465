/* Calls of plugins from several threads at once; see stress.h. */
#include <stdio.h>

#include "executors/plugin.h"
#include "plugin_folder.h"
#include "stress.h"

static Task *make(Harness *own, unsigned kind) {
        static const RunbookStep steps[] = {
                        {.type_name = {"custom:echo", 11}},    {.type_name = {"custom:fail", 11}},
                        {.type_name = {"custom:threads", 14}}, {.type_name = {"custom:unknown", 14}},
                        {.type_name = {"custom:strict", 13}},  {.type_name = {"custom:flood", 12}},
                        {.type_name = {"custom:poll", 11}},    {.type_name = {"custom:wait", 11}}};
        return harness_task_of(own, &steps[kind], json_object(), json_pack("{s:i}", "a", 1));
}

int main(void) {
        Harness h = {0};
        PluginFolder folder;
        Report report = {0};
        ExecutorHost host = harness_host(&h);
        if (!plugin_folder_make(&folder) || !plugin_folder_add(&folder, PLUGINS "/plugin_good.so", "good.so"))
                return 1;
        PluginSettings settings = {.dir = folder.path, .threads = 6};
        h.timeout_ms = 30000;
        if (plugin_executor_new(&settings, &host, NULL, &report, &h.executor) < 0) {
                fprintf(stderr, "%s\n", report.message);
                return 1;
        }
        int status = stress_run(
                        &h,
                        &(Stress){.n_tasks = 400, .make = make, .n_kinds = 8, .endless = 1 << 6 | 1 << 7});
        harness_stop(&h);
        if (status != 0)
                return status;
        /* Again with times that are up while calls wait, begin and end. */
        host = harness_host(&h);
        h.timeout_ms = 2;
        if (plugin_executor_new(&settings, &host, NULL, &report, &h.executor) < 0)
                return 1;
        status = stress_run(&h, &(Stress){.n_tasks = 400, .make = make, .n_kinds = 8});
        harness_stop(&h);
        plugin_folder_remove(&folder);
        return status;
}
