/*
 * Secrets in headers
 *
 * Fetched when a call starts, held only while it runs, wiped after: by name from config.auth, and for
 * headers whose template was `…${secrets.name}…` (RunbookStep.secret_headers). Our copies live in one
 * buffer whose growth wipes what it leaves behind.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "executors/http_internal.h"
#include "json/json_read.h"

static void secret_free(char *s) {
        if (!s)
                return;
        explicit_bzero(s, strlen(s));
        free(s);
}

static bool secret_reserve(Buf *b, size_t n) {
        if (n < b->cap - b->n)
                return true;
        size_t cap = (b->n + n + 1) * 2;
        char *data = malloc(cap);
        if (!data)
                return false;
        if (b->n > 0)
                memcpy(data, b->data, b->n);
        if (b->data)
                explicit_bzero(b->data, b->cap);
        free(b->data);
        b->data = data;
        b->cap = cap;
        return true;
}

static bool secret_put(Buf *b, Slice s) {
        if (!secret_reserve(b, s.n))
                return false;
        buf_put_slice(b, s);
        return true;
}

static bool secret_put_base64(Buf *b, Slice s) {
        if (!secret_reserve(b, s.n / 3 * 4 + 8))
                return false;
        base64_put(b, s);
        return true;
}

/** The secret @name as an owned string, or NULL with @fault set. */
static char *secret_fetch(HttpEngine *e, const Task *task, Slice name, HttpFault *fault) {
        char *secret = e->host.secret ? e->host.secret(e->host.userdata, task->tenant, name) : NULL;
        if (!secret) {
                http_fault_set(fault, "SECRET_MISSING", false,
                               "there is no secret \"%.*s\" for tenant \"%.*s\"",
                               SLICE_ARG(slice_cut_utf8(name, 100)),
                               SLICE_ARG(slice_cut_utf8(task->tenant, 100)));
                return NULL;
        }
        for (const char *p = secret; *p; p++) {
                if (!iscntrl((unsigned char)*p) || *p == '\t')
                        continue;
                http_fault_set(fault, "SECRET_INVALID", false,
                               "the secret \"%.*s\" holds a line break or another control character, so it "
                               "can't go into a header",
                               SLICE_ARG(slice_cut_utf8(name, 100)));
                secret_free(secret);
                return NULL;
        }
        return secret;
}

static int no_memory(HttpFault *fault) {
        http_fault_set(fault, "OUT_OF_MEMORY", true, "there was not enough memory to call the service");
        return -EINVAL;
}

/** One line `header: prefix secret suffix`. */
static int put_line(HttpEngine *e, HttpTransfer *t, const SecretHeader *h, HttpFault *fault) {
        Buf *b = &t->secret;
        char *secret = secret_fetch(e, t->call->task, h->secret, fault);
        if (!secret)
                return -EINVAL;
        bool ok = secret_put(b, h->header) && secret_put(b, SLICE(": ")) && secret_put(b, h->prefix) &&
                  secret_put(b, slice_from_str(secret)) && secret_put(b, h->suffix) &&
                  secret_put(b, (Slice){"", 1});
        secret_free(secret);
        return ok ? 0 : no_memory(fault);
}

static int put_basic(HttpEngine *e, HttpTransfer *t, const json_t *auth, HttpFault *fault) {
        char *secret = secret_fetch(e, t->call->task, json_string_slice(json_object_get(auth, "basicSecret")),
                                    fault);
        if (!secret)
                return -EINVAL;
        Buf plain = {0};
        bool ok = secret_put(&plain, json_string_slice(json_object_get(auth, "basicUser"))) &&
                  secret_put(&plain, SLICE(":")) && secret_put(&plain, slice_from_str(secret)) &&
                  secret_put(&t->secret, SLICE("Authorization: Basic ")) &&
                  secret_put_base64(&t->secret, buf_slice(&plain)) && secret_put(&t->secret, (Slice){"", 1});
        secret_free(secret);
        if (plain.data)
                explicit_bzero(plain.data, plain.cap);
        buf_deinit(&plain);
        return ok ? 0 : no_memory(fault);
}

static int put_auth(HttpEngine *e, HttpTransfer *t, const json_t *auth, HttpFault *fault) {
        const json_t *bearer = json_object_get(auth, "bearerSecret"),
                     *name = json_object_get(auth, "headerName");
        if (bearer)
                return put_line(e, t,
                                &(SecretHeader){SLICE("Authorization"), SLICE("Bearer "),
                                                json_string_slice(bearer), SLICE_NULL},
                                fault);
        if (name)
                return put_line(e, t,
                                &(SecretHeader){json_string_slice(name), SLICE_NULL,
                                                json_string_slice(json_object_get(auth, "headerSecret")),
                                                SLICE_NULL},
                                fault);
        return put_basic(e, t, auth, fault);
}

int http_auth_make(HttpEngine *e, HttpTransfer *t, uint32_t *ret_n_lines, HttpFault *fault) {
        const RunbookStep *step = t->call->task->step;
        const json_t *auth = t->call->request.auth;
        *ret_n_lines = 0;
        for (uint32_t i = 0; step && i < step->n_secret_headers; i++, ++*ret_n_lines)
                if (put_line(e, t, &step->secret_headers[i], fault) < 0)
                        return -EINVAL;
        if (!auth)
                return 0;
        ++*ret_n_lines;
        return put_auth(e, t, auth, fault);
}
