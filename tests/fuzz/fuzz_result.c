/* Any bytes as a worker's report: what is taken keeps to the form that the engine stores, what is not says why. And as
 * a task token: none is taken that was not made. */

#include <string.h>
#include "base/cleanup.h"
#include "executors/task_token.h"
#include "fuzz.h"
#include "json/json_read.h"
#include "subjects/result.h"

static void check_values(const ResultBody *body) {
        if (body->word == WORKER_FAILED) {
                const json_t *error = value_json(body->error);
                PROMISE(json_string_length(json_object_get(error, "code")) > 0, "a failure has a code");
                PROMISE(json_is_string(json_object_get(error, "message")), "and a message");
                PROMISE(json_is_boolean(json_object_get(error, "retryable")),
                        "and says whether to try again");
        }
        if (body->word != WORKER_HEARTBEAT)
                PROMISE(json_array_size(value_json(body->logs)) > 0, "who gave the result is logged");
        if (body->has_progress)
                PROMISE(body->progress >= 0 && body->progress <= 1, "progress is a share");
        PROMISE(value_bytes(body->output).n <= LIMIT_VALUE_BYTES, "outputs have a cap");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint8_t key[TASK_KEY_SIZE] = {7};
        Slice text = {(const char *)data, size};
        Report report = {0};
        ResultBody body;
        TaskName name;
        int r = result_decode(text, SLICE("w"), &body, &report);
        PROMISE((r == 0) != report_is_error(&report), "a refusal has a reason");
        if (r == 0)
                check_values(&body);
        result_release(&body);
        report_deinit(&report);
        PROMISE(task_token_read(key, SLICE("acme"), text, &name) < 0, "nobody makes a token");
        return 0;
}
