/* Any bytes through the YAML reader; what it takes is a JSON tree that can be written and read. */

#include "fuzz.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "json/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Report report = {0};
        json_t *tree = yaml_parse((Slice){(const char *)data, size}, 1 << 20, &report);

        PROMISE((tree == NULL) == report_is_error(&report), "a tree or a report, never both or neither");
        if (tree) {
                Buf text = {0};
                json_t *again;

                PROMISE(json_canonical(tree, &text) == 0, "what was read can be written");
                again = json_parse_own(buf_slice(&text));
                PROMISE(again, "what was written can be read");
                json_decref(again);
                buf_deinit(&text);
        }
        json_decref(tree);
        report_deinit(&report);
        return 0;
}
