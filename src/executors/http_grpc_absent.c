/* In the place of http_grpc.c and its like, in a build without gRPC: says so. */
#include <errno.h>

#include "executors/grpc.h"
#include "executors/http_internal.h"

#define SENTENCE                                                                                             \
        "protocol \"grpc\" needs an engine built with gRPC (Meson option grpc, which needs libprotobuf-dev " \
        "and a C++ compiler); this one was built without"

int grpc_config_check(const RunbookStep *step, const JsonAt *config) {
        JsonAt at = json_at_key(config, "protocol");
        return step->descriptor_set ? json_at_error(&at, SENTENCE) : 0;
}

int http_grpc_make(HttpEngine *e, HttpCall *c, const json_t *config, HttpFault *fault) {
        http_fault_set(fault, "UNSUPPORTED_PROTOCOL", false, "%s", SENTENCE);
        return -EINVAL;
}

/* No call has descriptors here. */
void http_grpc_unref(HttpGrpcTypes *types) {}
void http_grpc_forget(HttpEngine *e) {}

void http_grpc_judge(HttpEngine *e, HttpTransfer *t, HttpFault *fault, HttpGrpcVerdict *ret) {
        *ret = (HttpGrpcVerdict){0};
        http_fault_set(fault, "UNSUPPORTED_PROTOCOL", false, "%s", SENTENCE);
}
