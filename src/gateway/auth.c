/* Who is asking, by the configured mode. */

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "gateway/auth.h"
#include "gateway/jwt.h"
#include "gateway/routes.h"
#include "gateway/token_file.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define DEFAULT_USER   "anonymous"
#define DEFAULT_TENANT "default"

struct Auth {
        const GatewaySettings *settings;
        pthread_rwlock_t lock; /* keys, tokens */
        Jwks *keys;
        TokenFile *tokens;
        struct stat seen; /* of the file that they came from */
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

/* ---- tokens: AUTH_MODE=token, jwt ----------------------------------------------------- */

static int refuse(Report *report, const char *sentence) {
        return report_set(report, RUNBOOK_UNAUTHENTICATED, "%s", sentence);
}

/** What stands behind "Bearer" in the header; SLICE_NULL: there is none. */
static Slice bearer(const Request *r) {
        const char *header = request_header(r, "Authorization");

        if (!header || strncasecmp(header, "Bearer ", 7) != 0)
                return SLICE_NULL;
        header += 7 + strspn(header + 7, " ");
        return (Slice){header, strcspn(header, " \t")};
}

static int check_jwt(Auth *a, Slice token, Identity *ret, Report *report) {
        struct timespec now;
        JwtRules rules = {.issuer = a->settings->issuer,
                          .audience = a->settings->audience,
                          .user_claim = a->settings->user_claim,
                          .tenant_claim = a->settings->tenant_claim};

        clock_gettime(CLOCK_REALTIME, &now);
        rules.now_s = now.tv_sec;
        return jwt_check(token, a->keys, &rules, ret, report);
}

static int check_token(Auth *a, Slice token, Identity *ret, Report *report) {
        return token_file_find(a->tokens, token, ret) ? 0 : refuse(report, "the token is not known");
}

static int tokens_from_headers(Auth *a, const Request *r, Identity *ret, Report *report) {
        Slice token = bearer(r);
        int result;

        if (token.n == 0)
                return refuse(report, "this needs the header Authorization: Bearer and a token");
        pthread_rwlock_rdlock(&a->lock);
        result = a->settings->auth_mode == AUTH_JWT ? check_jwt(a, token, ret, report)
                                                    : check_token(a, token, ret, report);
        pthread_rwlock_unlock(&a->lock);
        return result;
}

/* ---- key files -------------------------------------------------------------------------- */

static const char *file_of(const GatewaySettings *s) {
        return s->auth_mode == AUTH_JWT ? s->jwks_file : s->token_file;
}

/** Load what the mode needs; what is there stays when that fails. */
static int load(Auth *a, Report *report) {
        const char *path = file_of(a->settings);
        TokenFile *tokens = NULL;
        Jwks *keys = NULL;
        int r = a->settings->auth_mode == AUTH_JWT ? jwks_load(path, report, &keys)
                                                   : token_file_load(path, report, &tokens);

        if (r < 0)
                return r;
        pthread_rwlock_wrlock(&a->lock);
        Jwks *old_keys = a->keys;
        TokenFile *old_tokens = a->tokens;
        a->keys = keys;
        a->tokens = tokens;
        pthread_rwlock_unlock(&a->lock);
        jwks_free(old_keys);
        token_file_free(old_tokens);
        return 0;
}

/** Has the file changed since the last look? */
static bool has_changed(Auth *a) {
        struct stat now;

        if (stat(file_of(a->settings), &now) < 0)
                return false; /* it is being replaced, or gone: what was read goes on to count */
        if (now.st_mtim.tv_sec == a->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == a->seen.st_mtim.tv_nsec &&
            now.st_size == a->seen.st_size && now.st_ino == a->seen.st_ino)
                return false;
        a->seen = now;
        return true;
}

void auth_refresh(Auth *a) {
        _cleanup_(report_deinit) Report report = {0};
        const char *path = file_of(a->settings);

        if (a->settings->auth_mode == AUTH_NONE || !has_changed(a))
                return;
        if (load(a, &report) < 0)
                log_event(LOG_ERROR, "a changed key file is not taken; the keys from before go on to count",
                          "file", path, "error", report.message ? report.message : "out of memory", NULL);
        else
                log_event(LOG_INFO, "a changed key file was read", "file", path, NULL);
}

/* ---- by mode ----------------------------------------------------------------------------- */

int auth_new(const GatewaySettings *settings, Report *report, Auth **ret) {
        Auth *a = calloc(1, sizeof *a);
        int r = 0;

        if (!a)
                return -ENOMEM;
        a->settings = settings;
        pthread_rwlock_init(&a->lock, NULL);
        if (settings->auth_mode != AUTH_NONE && !file_of(settings))
                r = report_set(report, RUNBOOK_INVALID_REQUEST, "AUTH_MODE=%s needs %s",
                               settings->auth_mode == AUTH_JWT ? "jwt" : "token",
                               settings->auth_mode == AUTH_JWT ? "AUTH_JWKS_FILE" : "AUTH_TOKENS_FILE");
        if (!r && settings->auth_mode != AUTH_NONE) {
                has_changed(a);
                r = load(a, report);
        }
        if (r < 0)
                auth_free(a);
        else
                *ret = a;
        return r;
}

void auth_free(Auth *a) {
        if (!a)
                return;
        jwks_free(a->keys);
        token_file_free(a->tokens);
        pthread_rwlock_destroy(&a->lock);
        free(a);
}

int auth_from_headers(Auth *a, const Request *r, Identity *ret, Report *report) {
        return a->settings->auth_mode == AUTH_NONE ? none_from_headers(r, ret, report)
                                                   : tokens_from_headers(a, r, ret, report);
}

/* ---- GET /api/v1/identity ------------------------------------------------------------------ */

void auth_show(Request *r) {
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);

        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "user");
        json_put_str(&w, r->identity.user);
        json_key(&w, "tenant");
        json_put_str(&w, r->identity.tenant);
        json_key(&w, "expiresAt");
        if (r->identity.expires_s > 0)
                json_put_time_ms(&w, r->identity.expires_s * 1000);
        else
                json_put_null(&w);
        json_end_object(&w);
        reply_json(r, 200, &body);
}
