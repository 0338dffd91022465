/* Transforms from several threads at once; see stress.h. */
#include <stdio.h>

#include "executors/transform.h"
#include "stress.h"

static Task *make(Harness *own, unsigned kind) {
        static const RunbookStep step = {.type = STEP_TYPE_TRANSFORM};
        static const char *const programs[] = {".a + 1",   "{x: .}, .a", "error(\"no\")", "not a program",
                                               "[inputs]", "range(20)",  "def f: f; f"};
        return harness_task_of(own, &step, json_pack("{s:s}", "jq", programs[kind]),
                               json_pack("{s:i}", "a", 1));
}

int main(void) {
        Harness h = {0};
        Report report = {0};
        ExecutorHost host = harness_host(&h);
        TransformSettings settings = {.pool = 3, .helper = RUNBOOK_JQ};
        h.timeout_ms = 30000;
        if (transform_executor_new(&settings, &host, &report, &h.executor) < 0) {
                fprintf(stderr, "%s\n", report.message);
                return 1;
        }
        /* The last kind never ends: it is cancelled, and its process killed for it; so they are few. */
        int status = stress_run(&h, &(Stress){.n_tasks = 250, .make = make, .n_kinds = 7, .endless = 1 << 6});
        harness_stop(&h);
        return status;
}
