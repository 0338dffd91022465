/*
 * The answer of an HTTP server, headers and body, into a step's output: canonical JSON with body, headers and status,
 * at most a value's size. First byte: the status; then header lines, an empty line, the body.
 */
#include <errno.h>
#include <string.h>

#include "executors/http_internal.h"
#include "fuzz.h"
#include "json/json_read.h"
#include "json/json_write.h"

static void check_output(Slice output, unsigned status) {
        Buf again = {0};
        json_t *tree = json_parse_own(output);

        PROMISE(tree && json_is_object(tree), "an output is a JSON object");
        PROMISE(json_is_object(json_object_get(tree, "headers")), "with headers");
        PROMISE(json_integer_value(json_object_get(tree, "status")) == (json_int_t)status, "with the status");
        PROMISE(json_object_get(tree, "body"), "with a body");
        PROMISE(json_canonical(tree, &again) == 0 && slice_eq(output, buf_slice(&again)), "and canonical");
        json_decref(tree);
        buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static HttpEngine engine; /* its buffers are kept, as the real one's are */
        static HttpTransfer transfer;
        const char *warning = NULL;
        size_t n_headers = 0;

        if (size < 1)
                return 0;
        Slice rest = {(const char *)data + 1, size - 1};
        const char *gap = rest.n ? memmem(rest.data, rest.n, "\n\n", 2) : NULL;
        size_t n_head = gap ? (size_t)(gap - rest.data) + 1 : 0, n_skip = gap ? n_head + 1 : 0;
        buf_reset(&transfer.head);
        buf_reset(&transfer.body);
        buf_put(&transfer.head, rest.data, n_head);
        buf_put(&transfer.body, rest.data + n_skip, rest.n - n_skip);
        transfer.status = 100 + data[0] * 2;
        PROMISE(http_response_headers(&engine, &transfer.head, &n_headers) == 0, "headers are taken or left");
        int64_t ms = http_retry_after_ms(http_response_header(&engine, n_headers, "retry-after"),
                                         1767225600000);
        PROMISE(ms >= 0 && ms <= HTTP_RETRY_AFTER_MAX_MS, "a Retry-After has a cap");
        int r = http_response_output(&engine, &transfer, n_headers, &warning);
        PROMISE(r == 0 || r == -EFBIG, "an answer gives an output, or is too large for one");
        if (r == 0)
                check_output(buf_slice(&engine.output), (unsigned)transfer.status);
        return 0;
}
