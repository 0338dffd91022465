/* Any bytes as a runbook definition, JSON or YAML: a runbook or errors. A runbook's own definition compiles
 * to the same again. */

#include "fuzz.h"
#include "model/runbook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Report report = {0};
        Runbook *runbook = NULL;
        int r = runbook_def_parse((Slice){(const char *)data, size}, &runbook_defaults_builtin, &report,
                                  &runbook);

        PROMISE((r == 0) == (runbook != NULL), "0 and a runbook, or neither");
        PROMISE((r == 0) != report_is_error(&report), "an error has a report");
        if (runbook) {
                Report again_report = {0};
                Runbook *again = NULL;

                PROMISE(runbook_def_parse(value_bytes(runbook->definition), &runbook_defaults_builtin,
                                          &again_report, &again) == 0,
                        "the stored form of a definition is a definition");
                PROMISE(memcmp(&again->digest, &runbook->digest, sizeof again->digest) == 0,
                        "it has the same digest");
                PROMISE(again->n_steps == runbook->n_steps, "it has the same steps");
                for (uint32_t i = 0; i < runbook->n_steps; i++)
                        PROMISE(runbook_find_step(runbook, runbook->steps[i].id) == i,
                                "each step is found by its id");
                runbook_unref(again);
                report_deinit(&again_report);
        } else {
                Buf text = {0};

                report_write_json(&report, &text);
                buf_deinit(&text);
        }
        runbook_unref(runbook);
        report_deinit(&report);
        return 0;
}
