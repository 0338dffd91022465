/*
 * config → gRPC request
 *
 * A unary gRPC call is a POST over HTTP/2 whose body is one frame, so it is made into the HttpRequest that all calls
 * are; queues, deadlines, address policy, secrets and cancelling then need not know. What it means is looked up in the
 * step's descriptor set. Compiled sets are kept, the latest used ones, because compiling takes longer than a call.
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "executors/http_internal.h"
#include "json/json_read.h"

#define CONFIG_INVALID "CONFIG_INVALID"

/* ---- descriptor sets ----------------------------------------------------------------------------------- */

void http_grpc_unref(HttpGrpcTypes *types) {
        if (!types || --types->refs > 0)
                return;
        grpc_codec_free(types->codec);
        free(types);
}

static Slice types_key(const HttpGrpcTypes *types) {
        return slice_from_bytes(types->digest.bytes, DIGEST_SIZE);
}

static void forget(HttpEngine *e, HttpGrpcTypes *types) {
        list_remove(&types->node);
        map_remove(&e->grpc_types, types_key(types));
        e->grpc_bytes -= types->n_bytes;
        http_grpc_unref(types);
}

static HttpGrpcTypes *oldest(const HttpEngine *e) {
        return LIST_ENTRY(e->grpc_recent.next, HttpGrpcTypes, node);
}

void http_grpc_forget(HttpEngine *e) {
        while (!list_is_empty(&e->grpc_recent))
                forget(e, oldest(e));
}

/** Keep @types among the recent ones if there is memory for that. */
static void remember(HttpEngine *e, HttpGrpcTypes *types) {
        while (e->grpc_types.n >= HTTP_GRPC_TYPES_MAX ||
               (e->grpc_types.n > 0 && e->grpc_bytes + types->n_bytes > HTTP_GRPC_TYPES_BYTES_MAX))
                forget(e, oldest(e));
        if (map_put(&e->grpc_types, types_key(types), types) < 0)
                return;
        types->refs++;
        e->grpc_bytes += types->n_bytes;
        list_push_back(&e->grpc_recent, &types->node);
}

static HttpGrpcTypes *compile(const DescriptorSet *set, HttpFault *fault) {
        _cleanup_(buf_deinit) Buf bytes = {0};
        char why[GRPC_FAULT_MAX];
        HttpGrpcTypes *types = calloc(1, sizeof(*types));
        int r = types && base64_decode(set->base64, &bytes)
                                ? grpc_codec_new(bytes.data, bytes.n, why, &types->codec)
                                : -ENOMEM;
        if (r < 0) {
                free(types);
                if (r == -EINVAL)
                        http_fault_set(fault, CONFIG_INVALID, false, "config.descriptorSet: %s", why);
                else
                        http_request_no_memory(fault);
                return NULL;
        }
        types->refs = 1;
        types->digest = set->digest;
        types->n_bytes = bytes.n;
        list_init(&types->node);
        return types;
}

/** A reference to the types of @set, remembered or new; NULL with @fault set. */
static HttpGrpcTypes *types_get(HttpEngine *e, const DescriptorSet *set, HttpFault *fault) {
        HttpGrpcTypes *types = map_get(&e->grpc_types, slice_from_bytes(set->digest.bytes, DIGEST_SIZE));
        if (types) {
                types->refs++;
                list_remove(&types->node);
                list_push_back(&e->grpc_recent, &types->node);
                return types;
        }
        types = compile(set, fault);
        if (types)
                remember(e, types);
        return types;
}

/* ---- the request --------------------------------------------------------------------------------------- */

static int invalid(HttpFault *fault, const char *member, const char *what) {
        http_fault_set(fault, CONFIG_INVALID, false, "config.%s %s", member, what);
        return -EINVAL;
}

/** The method that the config names, with a reference to its types. */
static int find_method(HttpEngine *e, HttpCall *c, const char *service, const char *method,
                       HttpFault *fault) {
        HttpRequest *r = &c->request;
        const RunbookStep *step = c->task->step;
        char why[GRPC_FAULT_MAX];
        GrpcMissing missing = GRPC_MISSING_SERVICE;
        if (!step || !step->descriptor_set)
                return invalid(fault, "descriptorSet", "is required");
        r->grpc = types_get(e, step->descriptor_set, fault);
        if (!r->grpc)
                return -EINVAL;
        int found = grpc_codec_find(r->grpc->codec, service, method, why, &missing, &r->grpc_method);
        if (found == -ENOMEM)
                return http_request_no_memory(fault);
        if (found < 0)
                http_fault_set(fault, CONFIG_INVALID, false, "config.%s \"%.100s\": %s",
                               missing == GRPC_MISSING_SERVICE ? "service" : "method",
                               missing == GRPC_MISSING_SERVICE ? service : method, why);
        return found < 0 ? -EINVAL : 0;
}

/** host:port, and nothing that could become another part of a URL. */
static bool is_target(const char *target) {
        for (const char *p = target; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("/?#@\\%", *p))
                        return false;
        return *target && target[strlen(target) - 1] != ']' && strrchr(target, ':');
}

static int make_url(HttpEngine *e, HttpRequest *r, const json_t *config, const char *service,
                    const char *method, HttpFault *fault) {
        const json_t *target = json_object_get(config, "target"), *tls = json_object_get(config, "tls");
        if (!json_is_string(target) || !is_target(json_string_value(target)))
                return invalid(fault, "target", "must be host:port");
        if (tls && !json_is_null(tls) && !json_is_boolean(tls))
                return invalid(fault, "tls", "must be true (the default) or false");
        _cleanup_(buf_deinit) Buf url = {0};
        buf_printf(&url, "%s://%s/%s/%s", json_is_false(tls) ? "http" : "https", json_string_value(target),
                   service, method);
        buf_put_char(&url, '\0');
        if (url.error)
                return http_request_no_memory(fault);
        r->url = http_url_get(e, (Slice){url.data, url.n - 1}, fault);
        return r->url ? 0 : -EINVAL;
}

static void put_bytes(void *buf, const char *data, size_t n) { buf_put(buf, data, n); }

/** The frame of the message: config.body, null: an empty one, absent: the step's input. */
static int make_body(HttpEngine *e, HttpCall *c, const json_t *config, HttpFault *fault) {
        HttpRequest *r = &c->request;
        const json_t *body = json_object_get(config, "body");
        char why[GRPC_FAULT_MAX];
        Slice json = body ? SLICE("{}") : value_bytes(c->task->input);
        if (body && !json_is_null(body)) {
                buf_reset(&e->aside);
                if (json_canonical(body, &e->aside) == -EFBIG)
                        return invalid(fault, "body", "is nested too deeply");
                json = buf_slice(&e->aside);
        }
        if (!json.data)
                return http_request_no_memory(fault);
        grpc_frame_put(&r->body_buf, SLICE_NULL);
        int encoded = grpc_codec_encode(r->grpc->codec, r->grpc_method, json.data, json.n, put_bytes,
                                        &r->body_buf, why);
        if (encoded == -EINVAL) {
                http_fault_set(fault, CONFIG_INVALID, false, "%s %s",
                               body ? "config.body" : "the step's input", why);
                return -EINVAL;
        }
        if (encoded < 0 || r->body_buf.error)
                return http_request_no_memory(fault);
        grpc_frame_set_size(r->body_buf.data, (uint32_t)(r->body_buf.n - GRPC_FRAME_HEAD_BYTES));
        r->has_body = true;
        r->body = buf_slice(&r->body_buf);
        return 0;
}

/** SHA-256 of `gRPC url LF message`. */
static int make_digest(HttpRequest *r) {
        Slice message = {r->body.data + GRPC_FRAME_HEAD_BYTES, r->body.n - GRPC_FRAME_HEAD_BYTES};
        Slice parts[] = {slice_from_str(r->method), SLICE(" "), slice_from_str(r->url->public), SLICE("\n"),
                         message};
        return digest_slices(parts, N_ELEMENTS(parts), &r->digest);
}

int http_grpc_make(HttpEngine *e, HttpCall *c, const json_t *config, HttpFault *fault) {
        HttpRequest *r = &c->request;
        const char *service = json_string_value(json_object_get(config, "service")),
                   *method = json_string_value(json_object_get(config, "method"));
        if (!service || !method)
                return invalid(fault, service ? "method" : "service", "must be a string");
        snprintf(r->method, sizeof(r->method), "gRPC");
        if (find_method(e, c, service, method, fault) < 0 ||
            make_url(e, r, config, service, method, fault) < 0)
                return -EINVAL;
        http_request_put_header(r, SLICE("Content-Type"), SLICE("application/grpc"));
        http_request_put_header(r, SLICE("TE"), SLICE("trailers"));
        http_request_put_header(r, SLICE("grpc-accept-encoding"), SLICE("identity"));
        /* Headers that curl would send of its own accord. */
        buf_put(&r->headers, "Accept:\0Expect:", sizeof("Accept:\0Expect:"));
        r->n_headers += 2;
        if (http_request_headers(e, c, config, "metadata", fault) < 0 || make_body(e, c, config, fault) < 0 ||
            http_request_auth(c, config, fault) < 0)
                return -EINVAL;
        if (r->headers.n > HTTP_REQUEST_HEADER_BYTES_MAX) {
                http_fault_set(fault, CONFIG_INVALID, false,
                               "the metadata has %zu bytes; at most %d are allowed", r->headers.n,
                               HTTP_REQUEST_HEADER_BYTES_MAX);
                return -EINVAL;
        }
        return r->headers.error || make_digest(r) < 0 ? http_request_no_memory(fault) : 0;
}
