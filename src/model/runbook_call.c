/*
 * call-service: HTTP and gRPC
 *
 * Headers whose value holds a secret are taken out of the config before it becomes a template, so that a text
 * which comes from data can never pose as a reference to a secret; the default method is written into it, so
 * that it is decided in one place. The descriptors of a gRPC call are taken out too: every attempt would carry a copy
 * of them. Header names are fixed; what a request says about itself (its length, its
 * host, who started it) is the engine's to say.
 */
#include <errno.h>
#include <strings.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "json/digest.h"
#include "model/runbook_draft.h"

#define STATUS_MIN 100
#define STATUS_MAX 599

static const char *const http_fields[] = {
                "auth",    "body",           "circuitBreaker", "concurrency", "expectStatus",
                "headers", "idempotencyKey", "method",         "protocol",    "query",
                "rateLimit", "url",
};
static const char *const grpc_fields[] = {
                "auth",     "body",   "circuitBreaker", "concurrency", "descriptorSet", "idempotencyKey",
                "metadata", "method", "protocol",       "rateLimit",   "service",       "target",
                "tls",
};
static const char *const auth_fields[] = {"basicSecret", "basicUser", "bearerSecret", "headerName",
                                          "headerSecret"};
static const char *const methods[] = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"};
static const char *const engine_headers[] = {
                "connection",        "content-length",   "host",    "idempotency-key",
                "keep-alive",        "proxy-connection", "te",      "trailer",
                "transfer-encoding", "traceparent",      "upgrade", "x-initiated-by",
                "x-tenant-id",
};

static bool has_control(Slice text) {
        for (size_t i = 0; i < text.n; i++) {
                unsigned char c = (unsigned char)text.data[i];
                if ((c < ' ' && c != '\t') || c == 0x7f)
                        return true;
        }
        return false;
}

/** RFC 9110's token, and none of the headers that are the engine's. */
static bool check_header_name(const JsonAt *at, Slice name) {
        bool good = name.n > 0 && name.n <= LIMIT_NAME_BYTES;
        for (size_t i = 0; good && i < name.n; i++) {
                char c = name.data[i];
                good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
        }
        if (!good) {
                json_at_error(at, "is not a header name");
                return false;
        }
        for (size_t i = 0; i < N_ELEMENTS(engine_headers); i++) {
                if (name.n == strlen(engine_headers[i]) &&
                    !strncasecmp(name.data, engine_headers[i], name.n)) {
                        json_at_error(at, "the engine sets this header itself%s",
                                      !strcmp(engine_headers[i], "idempotency-key")
                                                      ? "; use config.idempotencyKey"
                                                      : "");
                        return false;
                }
        }
        return true;
}

/** A header that passed; secrets have theirs among the step's secret headers. */
typedef struct Headers {
        json_t *kept; /* without secrets */
        SecretHeader *secrets;
        uint32_t n_secrets;
        bool grpc;
} Headers;

static void compile_header(Draft *d, const JsonAt *at, Headers *h) {
        Slice name = slice_from_str(at->key),
              value = json_is_string(at->value) ? json_string_slice(at->value) : SLICE_NULL;
        ExprSecret secret;
        if (!check_header_name(at, name))
                return;
        if (h->grpc && slice_starts_with(name, SLICE("grpc-"))) {
                json_at_error(at, "names that begin with grpc- are reserved");
                return;
        }
        if (!json_is_string(at->value)) {
                json_at_error(at, "must be a string, is %s", json_type_text(at->value));
                return;
        }
        if (has_control(value)) {
                json_at_error(at, "must not hold line breaks or other control characters");
                return;
        }
        int r = expr_secret_split(value, at, d->arena, &secret);
        if (r > 0)
                h->secrets[h->n_secrets++] = (SecretHeader){name, secret.prefix, secret.name, secret.suffix};
        else if (r == 0 && json_object_set_nocheck(h->kept, at->key, (json_t *)at->value) < 0)
                draft_oom(d);
}

static void check_same_header(const JsonAt *headers, const char *key, void *it) {
        while ((it = json_object_iter_next((json_t *)headers->value, it))) {
                const char *other = json_object_iter_key(it);
                if (strcasecmp(key, other))
                        continue;
                JsonAt at = {.parent = headers, .key = other, .report = headers->report};
                json_at_error(&at, "is there already, as \"%s\": case does not count in header names", key);
                return;
        }
}

/** Check the member @key; what is left of it without secrets goes into @config, a copy. */
static void compile_headers(Draft *d, RunbookStep *step, const JsonAt *config_at, bool grpc, json_t *config) {
        const char *key = grpc ? "metadata" : "headers";
        JsonAt at;
        if (!json_get_object(config_at, key, &at)) {
                json_object_del(config, key); /* absent, or not an object: then reported */
                return;
        }
        size_t n = json_object_size(at.value);
        if (n > LIMIT_HEADERS) {
                json_object_del(config, key);
                draft_limit(d, json_at_error(&at, "has %zu entries, more than the %d allowed (LIMIT_HEADERS)",
                                             n, LIMIT_HEADERS));
                return;
        }
        Headers h = {.kept = json_object(),
                     .secrets = ARENA_NEW_ARRAY(d->arena, SecretHeader, n),
                     .grpc = grpc};
        if (!h.kept || !h.secrets)
                draft_oom(d);
        void *it = json_object_iter((json_t *)at.value);
        for (; it && !d->oom; it = json_object_iter_next((json_t *)at.value, it)) {
                JsonAt header = {.value = json_object_iter_value(it),
                                 .parent = &at,
                                 .key = json_object_iter_key(it),
                                 .report = at.report};
                compile_header(d, &header, &h);
                check_same_header(&at, header.key, it);
        }
        step->secret_headers = h.secrets;
        step->n_secret_headers = h.n_secrets;
        if (h.kept && json_object_set_new_nocheck(config, key, h.kept) < 0)
                draft_oom(d);
}

static bool check_secret_name(const JsonAt *auth, const char *key) {
        Slice name;
        if (!json_get_string_required(auth, key, &name))
                return false;
        bool good = name.n > 0 && name.n <= LIMIT_ID_BYTES;
        for (size_t i = 0; good && i < name.n; i++) {
                char c = name.data[i];
                good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.';
        }
        JsonAt at = json_at_key(auth, key);
        if (!good)
                json_at_error(&at, "must be the name of a secret: A–Z a–z 0–9 _ - .");
        return good;
}

static void check_auth(const JsonAt *config) {
        JsonAt auth;
        if (!json_get_object(config, "auth", &auth))
                return;
        json_check_keys(&auth, auth_fields, N_ELEMENTS(auth_fields));
        bool bearer = json_object_get(auth.value, "bearerSecret");
        bool basic = json_object_get(auth.value, "basicUser") || json_object_get(auth.value, "basicSecret");
        bool header = json_object_get(auth.value, "headerName") ||
                      json_object_get(auth.value, "headerSecret");
        Slice text;
        if (bearer + basic + header != 1) {
                json_at_error(&auth, "must be one of {bearerSecret}, {basicUser, basicSecret} and "
                                     "{headerName, headerSecret}");
                return;
        }
        if (bearer)
                check_secret_name(&auth, "bearerSecret");
        if (basic) {
                check_secret_name(&auth, "basicSecret");
                json_get_string_required(&auth, "basicUser", &text);
        }
        if (header) {
                check_secret_name(&auth, "headerSecret");
                JsonAt name_at = json_at_key(&auth, "headerName");
                if (json_get_string_required(&auth, "headerName", &text))
                        check_header_name(&name_at, text);
        }
}

/** host, host:port, [v6] or [v6]:port; no user. */
static const char *authority_fault(Slice authority) {
        if (memchr(authority.data, '@', authority.n))
                return "a URL must not hold a user or password; use auth";
        size_t host = authority.n;
        if (authority.n > 0 && authority.data[0] == '[') {
                const char *end = memchr(authority.data, ']', authority.n);
                host = end ? (size_t)(end - authority.data) + 1 : 0;
        } else {
                const char *colon = memchr(authority.data, ':', authority.n);
                host = colon ? (size_t)(colon - authority.data) : authority.n;
        }
        if (host == 0)
                return "the URL has no host";
        uint64_t port;
        if (host < authority.n &&
            (authority.data[host] != ':' ||
             !slice_to_u64((Slice){authority.data + host + 1, authority.n - host - 1}, &port) || port == 0 ||
             port > UINT16_MAX))
                return "the URL's port is not a number from 1 to 65535";
        return NULL;
}

/** What is wrong with @text, of which only the first @n_known bytes are no template; NULL: nothing that can
 * be seen. */
static const char *url_fault(Slice text, size_t n_known) {
        static const char *const schemes[] = {"http://", "https://"};
        bool whole = n_known == text.n;
        size_t n_scheme = 0;
        bool possible = false;
        for (size_t i = 0; i < N_ELEMENTS(schemes); i++) {
                size_t n = strlen(schemes[i]), n_common = n < n_known ? n : n_known;
                if (strncasecmp(text.data, schemes[i], n_common) || (whole && n_known < n))
                        continue;
                possible = true;
                n_scheme = n_known >= n ? n : 0;
        }
        if (!possible)
                return "must be a URL that begins with http:// or https://";
        for (size_t i = 0; i < n_known; i++)
                if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f || text.data[i] == '\\')
                        return "a URL must not hold blanks, control characters or backslashes";
        if (n_scheme == 0)
                return NULL;
        size_t end = n_scheme;
        while (end < n_known && !memchr("/?#", text.data[end], 3))
                end++;
        Slice authority = {text.data + n_scheme, end - n_scheme};
        if (whole || end < n_known)
                return authority_fault(authority);
        return memchr(authority.data, '@', authority.n) ? authority_fault(authority) : NULL;
}

static void check_url(const JsonAt *config) {
        Slice url;
        bool constant;
        if (!draft_config_text(config, "url", true, &url, &constant))
                return;
        const char *marker = constant ? NULL : memmem(url.data, url.n, "${", 2);
        const char *fault = url_fault(url, marker ? (size_t)(marker - url.data) : url.n);
        JsonAt at = json_at_key(config, "url");
        if (fault)
                json_at_error(&at, "%s", fault);
}

static bool is_scalar(const json_t *value) {
        return value && !json_is_object(value) && !json_is_array(value);
}

static void check_query(const JsonAt *config) {
        JsonAt at = json_at_key(config, "query");
        if (!at.value || (json_is_string(at.value) && !expr_text_is_constant(json_string_slice(at.value))))
                return;
        if (!json_is_object(at.value)) {
                json_at_error(&at, "must be an object, is %s", json_type_text(at.value));
                return;
        }
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)at.value, key, value) {
                bool good = is_scalar(value);
                for (size_t i = 0; json_is_array(value) && i < json_array_size(value); i++) {
                        good = is_scalar(json_array_get(value, i));
                        if (!good)
                                break;
                }
                JsonAt entry = {.value = value, .parent = &at, .key = key, .report = at.report};
                if (!good && !(json_is_array(value) && json_array_size(value) == 0))
                        json_at_error(&entry, "must be a string, a number, a boolean or an array of them");
        }
}

static void check_status(const JsonAt *at) {
        if (json_is_integer(at->value)) {
                json_int_t status = json_integer_value(at->value);
                if (status >= STATUS_MIN && status <= STATUS_MAX)
                        return;
        } else if (json_is_string(at->value)) {
                Slice text = json_string_slice(at->value);
                if (text.n == 3 && text.data[0] >= '1' && text.data[0] <= '5' &&
                    !memcmp(text.data + 1, "xx", 2))
                        return;
        }
        json_at_error(at, "must be a status from %d to %d, or a class like \"2xx\"", STATUS_MIN, STATUS_MAX);
}

static void check_expect_status(const JsonAt *config) {
        JsonAt at = json_at_key(config, "expectStatus");
        if (!at.value)
                return;
        if (!json_is_array(at.value)) {
                check_status(&at);
                return;
        }
        if (json_array_size(at.value) == 0)
                json_at_error(&at, "must hold at least one status");
        for (size_t i = 0; i < json_array_size(at.value); i++) {
                JsonAt entry = json_at_index(&at, i);
                check_status(&entry);
        }
}

static void check_idempotency_key(const JsonAt *config) {
        Slice key;
        bool constant;
        JsonAt at = json_at_key(config, "idempotencyKey");
        if (!draft_config_text(config, "idempotencyKey", false, &key, &constant))
                return;
        if (has_control(key) || key.n > LIMIT_NAME_BYTES)
                json_at_error(&at, "must have at most %d bytes (LIMIT_NAME_BYTES) and no control characters",
                              LIMIT_NAME_BYTES);
}

static void check_http(const JsonAt *config, json_t *copy) {
        unsigned method = 0;
        check_url(config);
        check_query(config);
        check_expect_status(config);
        draft_enum(config, "method", methods, N_ELEMENTS(methods), &method);
        JsonAt body = json_at_key(config, "body"), method_at = json_at_key(config, "method");
        if (!method_at.value &&
            json_object_set_new(copy, "method", json_string(body.value ? "POST" : "GET")) < 0)
                config->report->oom = true;
}

static void check_grpc(const JsonAt *config) {
        Slice target, text;
        bool constant, tls;
        if (draft_config_text(config, "target", true, &target, &constant) && constant) {
                JsonAt at = json_at_key(config, "target");
                const char *fault = authority_fault(target);
                bool has_port = target.data[target.n - 1] != ']' && memrchr(target.data, ':', target.n);
                if (fault || !has_port || memchr(target.data, '/', target.n) || has_control(target))
                        json_at_error(&at, "must be host:port");
        }
        draft_config_text(config, "service", true, &text, &constant);
        draft_config_text(config, "method", true, &text, &constant);
        json_get_bool(config, "tls", &tls);
}

/** Moved from @copy of the config to the step. What the descriptors say is for those to judge who use them. */
static void compile_descriptor_set(Draft *d, RunbookStep *step, const JsonAt *config, json_t *copy) {
        JsonAt at = json_at_key(config, "descriptorSet");
        _cleanup_(buf_deinit) Buf bytes = {.limit = LIMIT_DESCRIPTOR_SET_BYTES};
        DescriptorSet set;
        bool constant;
        if (!draft_config_text(config, "descriptorSet", true, &set.base64, &constant))
                return;
        bool good = base64_decode(set.base64, &bytes);
        if (bytes.error == -EFBIG) {
                draft_limit(d,
                            json_at_error(&at,
                                          "has more than the %d bytes allowed (LIMIT_DESCRIPTOR_SET_BYTES); "
                                          "leave out files that the service does not need",
                                          LIMIT_DESCRIPTOR_SET_BYTES));
                return;
        }
        if (!good && !bytes.error) {
                json_at_error(&at, "must be a FileDescriptorSet in base64: what `protoc --include_imports "
                                   "--descriptor_set_out=FILE` writes, and `base64 FILE` prints");
                return;
        }
        DescriptorSet *kept = ARENA_NEW(d->arena, DescriptorSet);
        if (bytes.error || !kept || digest_slice(set.base64, &set.digest) < 0) {
                draft_oom(d);
                return;
        }
        *kept = set;
        step->descriptor_set = kept;
        json_object_del(copy, "descriptorSet");
}

static void release_json(void *p) { json_decref(p); }

/** A copy whose members are shared; NULL when out of memory, of which json_copy may say nothing. */
static json_t *copy_config(const json_t *config) {
        json_t *copy = config ? json_copy((json_t *)config) : json_object();
        if (copy && config && json_object_size(copy) != json_object_size(config)) {
                json_decref(copy);
                return NULL;
        }
        return copy;
}

void draft_call_service(Draft *d, RunbookStep *step, const JsonAt *step_at, const JsonAt *config) {
        static const char *const protocols[] = {"http", "grpc"};
        unsigned grpc = 0;
        draft_enum(config, "protocol", protocols, N_ELEMENTS(protocols), &grpc);
        if (config->value)
                json_check_keys(config, grpc ? grpc_fields : http_fields,
                                grpc ? N_ELEMENTS(grpc_fields) : N_ELEMENTS(http_fields));
        json_t *copy = copy_config(config->value);
        if (!copy || !draft_own(d, release_json, copy)) {
                draft_oom(d);
                return;
        }
        draft_target_limits(d, config);
        if (grpc) {
                check_grpc(config);
                compile_descriptor_set(d, step, config, copy);
        } else {
                check_http(config, copy);
        }
        check_idempotency_key(config);
        check_auth(config);
        compile_headers(d, step, config, grpc, copy);
        JsonAt whole = *config;
        whole.value = copy;
        step->config = draft_template(d, &whole, step->index, PLACE_STEP);
}
