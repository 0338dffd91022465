/* The configs of gRPC calls against their descriptors, when a definition is registered. */
#include <errno.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "executors/grpc.h"
#include "executors/grpc_codec.h"
#include "expr/expr.h"
#include "json/json_write.h"

static void codec_free(GrpcCodec **codec) { grpc_codec_free(*codec); }

/** Only that it can be encoded counts. */
static void forget(void *userdata, const char *data, size_t n) {}

static int fault_at(const JsonAt *config, const char *key, const char *fault) {
        JsonAt at = json_at_key(config, key);
        return json_at_error(&at, "%s", fault);
}

/** The text of member @key; NULL where it is none, or known only when the step runs. */
static const char *constant(const JsonAt *config, const char *key) {
        const json_t *v = json_object_get(config->value, key);
        return json_is_string(v) && expr_text_is_constant(json_string_slice(v)) ? json_string_value(v) : NULL;
}

static int check_body(const RunbookStep *step, const JsonAt *config, GrpcCodec *codec,
                      const GrpcMethod *method) {
        char fault[GRPC_FAULT_MAX];
        const json_t *body =
                        step->config_value ? json_object_get(value_json(step->config_value), "body") : NULL;
        if (!body || json_is_null(body))
                return 0;
        _cleanup_(buf_deinit) Buf json = {0};
        int r = json_canonical(body, &json);
        if (r == 0)
                r = grpc_codec_encode(codec, method, json.data, json.n, forget, NULL, fault);
        return r == -EINVAL ? fault_at(config, "body", fault) : r == -ENOMEM ? r : 0;
}

int grpc_config_check(const RunbookStep *step, const JsonAt *config) {
        static const char *const places[] = {[GRPC_MISSING_SERVICE] = "service",
                                             [GRPC_MISSING_METHOD] = "method",
                                             [GRPC_NOT_UNARY] = "method"};
        _cleanup_(codec_free) GrpcCodec *codec = NULL;
        _cleanup_(buf_deinit) Buf bytes = {0};
        char fault[GRPC_FAULT_MAX];
        const GrpcMethod *method = NULL;
        GrpcMissing missing = GRPC_MISSING_SERVICE;
        if (!step->descriptor_set)
                return 0;
        if (!base64_decode(step->descriptor_set->base64,
                           &bytes)) /* it was checked: only memory can be short */
                return -ENOMEM;
        int r = grpc_codec_new(bytes.data, bytes.n, fault, &codec);
        if (r < 0)
                return r == -EINVAL ? fault_at(config, "descriptorSet", fault) : r;
        const char *service = constant(config, "service"), *name = constant(config, "method");
        if (!service)
                return 0;
        r = grpc_codec_find(codec, service, name, fault, &missing, &method);
        if (r < 0)
                return r == -EINVAL ? fault_at(config, places[missing], fault) : r;
        return method ? check_body(step, config, codec, method) : 0;
}
