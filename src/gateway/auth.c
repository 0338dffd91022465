/* Who is asking, by the configured mode. */

#include <errno.h>
#include "base/cleanup.h"
#include "gateway/auth.h"
#include "json/json_read.h"

#define DEFAULT_USER   "anonymous"
#define DEFAULT_TENANT "default"

struct Auth {
        AuthMode mode;
};

bool auth_take_name(Slice name, char ret[IDENTITY_BYTES_MAX + 1]) {
        if (name.n == 0 || name.n > IDENTITY_BYTES_MAX || !slice_is_utf8(name))
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
                        return false;
        memcpy(ret, name.data, name.n);
        ret[name.n] = 0;
        return true;
}

/* ---- nobody proves anything: AUTH_MODE=none ------------------------------------------ */

static int take(const char *name, const char *what, char ret[IDENTITY_BYTES_MAX + 1], Report *report) {
        if (auth_take_name(slice_from_str(name), ret))
                return 0;
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "%s must be 1 to %d bytes of UTF-8 without control characters", what,
                          IDENTITY_BYTES_MAX);
}

static int none_from_headers(const Request *r, Identity *ret, Report *report) {
        const char *user = request_header(r, "X-User"), *tenant = request_header(r, "X-Tenant");
        int result = 0;

        if (user)
                result = take(user, "the header X-User", ret->user, report);
        if (!result && tenant)
                result = take(tenant, "the header X-Tenant", ret->tenant, report);
        return result ? result : user && tenant ? 0 : AUTH_NEEDS_BODY;
}

/** The first of these members that is a string. */
static const char *first_string(const json_t *object, const char *const *keys, size_t n_keys) {
        const char *found = NULL;

        for (size_t i = 0; !found && i < n_keys; i++)
                found = json_string_value(json_object_get(object, keys[i]));
        return found;
}

int auth_from_body(const Request *r, Identity *ret, Report *report) {
        static const char *const users[] = {"userId", "initiatedBy", "approverId"};
        static const char *const tenants[] = {"tenantId"};
        _cleanup_(report_deinit) Report ignored = {0}; /* a body that is no JSON is the engine's to refuse */
        json_t *body = r->body.n > 0 ? json_parse(buf_slice(&r->body), r->body_max, &ignored) : NULL;
        const json_t *context = json_object_get(body, "context");
        const char *user = first_string(body, users, N_ELEMENTS(users));
        const char *tenant = first_string(body, tenants, N_ELEMENTS(tenants));
        int result = 0;

        if (!user)
                user = first_string(context, users, N_ELEMENTS(users));
        if (!tenant)
                tenant = first_string(context, tenants, N_ELEMENTS(tenants));
        if (!ret->user[0])
                result = take(user ? user : DEFAULT_USER, "the user that the body names", ret->user, report);
        if (!result && !ret->tenant[0])
                result = take(tenant ? tenant : DEFAULT_TENANT, "the tenant that the body names", ret->tenant,
                              report);
        json_decref(body);
        return result;
}

/* ---- by mode ------------------------------------------------------------------------- */

int auth_new(const GatewaySettings *settings, Report *report, Auth **ret) {
        Auth *a = calloc(1, sizeof *a);

        if (!a)
                return -ENOMEM;
        a->mode = settings->auth_mode;
        *ret = a;
        return 0;
}

void auth_free(Auth *a) { free(a); }

void auth_refresh(Auth *a) {}

int auth_from_headers(Auth *a, const Request *r, Identity *ret, Report *report) {
        return none_from_headers(r, ret, report);
}
