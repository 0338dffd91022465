/*
 * What a gRPC server says, any bytes: the first byte chooses what they pose as. A frame that is read is the one that
 * would be written; details stay within the bytes; a decoded message is never longer than it was.
 */

#include "base/cleanup.h"
#include "executors/grpc_wire.h"
#include "fuzz.h"

#define MAX_MS 3600000

static bool is_within(Slice inner, Slice outer) {
        return inner.n == 0 || (inner.data >= outer.data && inner.data + inner.n <= outer.data + outer.n);
}

static void frame(Slice bytes) {
        _cleanup_(buf_deinit) Buf again = {0};
        Slice message = SLICE_NULL;
        const char *wrong = grpc_frame_read(bytes, &message);
        if (wrong) {
                PROMISE(*wrong, "what is no frame has a sentence");
                return;
        }
        grpc_frame_put(&again, message);
        PROMISE(slice_eq(buf_slice(&again), bytes), "what was read is what would be written");
}

static void details(Slice bytes) {
        GrpcDetail list[GRPC_DETAILS_MAX];
        size_t n = 0;
        if (!grpc_details_read(bytes, list, &n))
                return;
        PROMISE(n <= GRPC_DETAILS_MAX, "not more than there is room for");
        for (size_t i = 0; i < n; i++) {
                int64_t ms = grpc_retry_info_ms(&list[i], MAX_MS);
                PROMISE(ms >= 0 && ms <= MAX_MS, "a delay keeps to its limit");
                PROMISE(is_within(list[i].type_url, bytes) && is_within(list[i].value, bytes),
                        "details are parts of the status");
        }
}

static void message(Slice bytes) {
        _cleanup_(buf_deinit) Buf b = {0};
        grpc_message_put(&b, bytes);
        PROMISE(b.n <= bytes.n && b.n * 3 >= bytes.n, "three bytes become one, or all stays");
}

static void numbers(Slice bytes) {
        GrpcStatus status;
        int64_t ms = grpc_pushback_ms(bytes, MAX_MS);
        PROMISE(ms >= -1 && ms <= MAX_MS, "a pushback keeps to its limit");
        if (grpc_status_parse(bytes, &status))
                PROMISE(status < GRPC_N_STATUSES && grpc_status_name(status), "a status has a name");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const kinds[])(Slice) = {frame, details, message, numbers};
        if (size == 0)
                return 0;
        kinds[data[0] % N_ELEMENTS(kinds)](slice_from_bytes(data + 1, size - 1));
        return 0;
}
