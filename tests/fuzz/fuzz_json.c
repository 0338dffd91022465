/* Any bytes through the JSON reader; what it takes is written canonically, and that reads back as the same.
 */

#include <string.h>
#include "base/cleanup.h"
#include "fuzz.h"
#include "json/json_read.h"
#include "json/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Report report = {0};
        json_t *tree = json_parse((Slice){(const char *)data, size}, 1 << 20, &report);

        PROMISE((tree == NULL) == report_is_error(&report), "a tree or a report, never both or neither");
        if (tree) {
                Buf once = {0}, twice = {0};
                json_t *again;

                PROMISE(json_canonical(tree, &once) == 0, "what was read can be written");
                again = json_parse_own(buf_slice(&once));
                PROMISE(again && json_canonical(again, &twice) == 0, "what was written can be read");
                PROMISE(slice_eq(buf_slice(&once), buf_slice(&twice)), "the canonical form is canonical");
                json_decref(again);
                buf_deinit(&once);
                buf_deinit(&twice);
        } else {
                Buf text = {0};
                json_t *error;

                report_write_json(&report, &text);
                error = json_parse_own(buf_slice(&text));
                PROMISE(error, "an error report is JSON, whatever it quotes");
                json_decref(error);
                buf_deinit(&text);
        }
        report_deinit(&report);
        json_decref(tree);
        return 0;
}
