/*
 * Descriptors and messages, both any bytes: two bytes of length, a descriptor set, a message. Whatever the set's
 * methods take and give is decoded and, if that gives JSON, encoded: nothing crashes, limits hold, faults have
 * sentences.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "executors/grpc_codec.h"
#include "fuzz.h"
#include "json/json_read.h"

#define JSON_MAX 100000

static void put(void *buf, const char *data, size_t n) { buf_put(buf, data, n); }

static void check(int r, const char *fault) {
        PROMISE(r == 0 || r == -EINVAL || r == -ENOMEM || r == -EFBIG, "an error is one of a few");
        PROMISE(r != -EINVAL || *fault, "a fault has a sentence");
}

/** The seeds call it t.S/Do. */
static void try_method(GrpcCodec *codec, Slice message) {
        char fault[GRPC_FAULT_MAX];
        GrpcMissing missing;
        const GrpcMethod *method = NULL;
        _cleanup_(buf_deinit) Buf json = {0}, again = {0};
        int r = grpc_codec_find(codec, "t.S", "Do", fault, &missing, &method);
        check(r, fault);
        if (r < 0)
                return;
        PROMISE(method, "a method that is found is there");
        r = grpc_codec_decode(codec, method, message.data, message.n, JSON_MAX, put, &json, fault);
        check(r, fault);
        PROMISE(r == 0 ? json.n > 0 && json.n <= JSON_MAX : json.n == 0, "text comes on success only");
        if (r == 0)
                check(grpc_codec_encode(codec, method, json.data, json.n, put, &again, fault), fault);
        check(grpc_codec_encode(codec, method, message.data, message.n, put, &again, fault), fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char fault[GRPC_FAULT_MAX];
        GrpcCodec *codec = NULL;
        size_t n = size < 2 ? 0 : (size_t)data[0] << 8 | data[1];
        if (size < 2 || n > size - 2)
                return 0;
        int r = grpc_codec_new((const char *)data + 2, n, fault, &codec);
        check(r, fault);
        if (r == 0)
                try_method(codec, slice_from_bytes(data + 2 + n, size - 2 - n));
        grpc_codec_free(codec);
        return 0;
}
