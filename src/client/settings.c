/*
 * Where to connect, and as whom.
 *
 * Layers: what the caller gave, then (where asked for) the environment, then a NATS context as the `nats`
 * tool keeps them
 * (~/.config/nats/context/<name>.json, the selected one's name in context.txt), then defaults. Two rules keep
 * layers from mixing badly: whoever names an identity (credentials, user, token, seed) names all of it; and a
 * context that was merely selected some time ago, not named now, has no say once a server is given — else its
 * credentials would go to a server it was not made for.
 */

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "client/client_error.h"
#include "client/settings.h"
#include "json/json_read.h"

#define NAME_BYTES_MAX 256 /* of a context's name */

typedef enum FieldGroup { GROUP_IDENTITY, GROUP_OTHER, GROUP_SERVER, GROUP_TLS } FieldGroup;

/** One setting in its three sources. */
typedef struct Field {
        size_t option;  /* offset in RunbookClientOptions */
        size_t setting; /* offset in ClientSettings */
        const char *variable;
        const char *context_key; /* NULL: contexts don't know it */
        FieldGroup group;
        bool is_path; /* "~/" is expanded */
} Field;

#define FIELD(option_, setting_, variable_, key_, group_, is_path_)                                          \
        {                                                                                                    \
                offsetof(RunbookClientOptions, option_), offsetof(ClientSettings, setting_), variable_,      \
                                key_, group_, is_path_                                                       \
        }

static const Field fields[] = {
                FIELD(credentials, credentials, "NATS_CREDS", "creds", GROUP_IDENTITY, true),
                FIELD(inbox_prefix, inbox_prefix, "NATS_INBOX_PREFIX", "inbox_prefix", GROUP_OTHER, false),
                FIELD(name, name, NULL, NULL, GROUP_OTHER, false),
                FIELD(nats_password, nats_password, "NATS_PASSWORD", "password", GROUP_IDENTITY, false),
                FIELD(nats_token, nats_token, "NATS_TOKEN", "token", GROUP_IDENTITY, false),
                FIELD(nats_user, nats_user, "NATS_USER", "user", GROUP_IDENTITY, false),
                FIELD(nkey, nkey, "NATS_NKEY", "nkey", GROUP_IDENTITY, true),
                FIELD(prefix, prefix, "RUNBOOK_PREFIX", NULL, GROUP_OTHER, false),
                FIELD(servers, servers, "NATS_URL", "url", GROUP_SERVER, false),
                FIELD(tenant, tenant, "RUNBOOK_TENANT", NULL, GROUP_OTHER, false),
                FIELD(tls_ca, tls_ca, "NATS_CA", "ca", GROUP_TLS, true),
                FIELD(tls_certificate, tls_certificate, "NATS_CERT", "cert", GROUP_TLS, true),
                FIELD(tls_key, tls_key, "NATS_KEY", "key", GROUP_TLS, true),
                FIELD(user, user, "RUNBOOK_USER", NULL, GROUP_OTHER, false),
};

static char **setting_of(ClientSettings *s, const Field *f) { return (char **)((char *)s + f->setting); }

void client_settings_deinit(ClientSettings *s) {
        for (size_t i = 0; i < N_ELEMENTS(fields); i++)
                free(*setting_of(s, &fields[i]));
        *s = (ClientSettings){0};
}

char *settings_read_file(const char *path) {
        _cleanup_(buf_deinit) Buf b = {.limit = SETTINGS_FILE_BYTES_MAX};
        char chunk[4096];
        FILE *f = fopen(path, "re");
        size_t n;

        if (!f)
                return NULL;
        while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
                buf_put(&b, chunk, n);
        if (ferror(f)) {
                int r = errno;

                fclose(f);
                errno = r;
                return NULL;
        }
        fclose(f);
        if (b.error) {
                errno = -b.error;
                return NULL;
        }
        return buf_steal_str(&b);
}

static char *expand_home(const char *path) {
        const char *home = getenv("HOME");
        char *expanded;

        if (strncmp(path, "~/", 2) != 0 || !home)
                return strdup(path);
        return asprintf(&expanded, "%s%s", home, path + 1) < 0 ? NULL : expanded;
}

/** The value of one field in one source: NULL when it isn't there. */
typedef const char *(*Source)(const void *source, const Field *f);

static const char *from_options(const void *source, const Field *f) {
        return *(const char *const *)((const char *)source + f->option);
}

static const char *from_environment(const void *source, const Field *f) {
        return f->variable ? getenv(f->variable) : NULL;
}

static const char *from_context(const void *source, const Field *f) {
        return f->context_key ? json_string_value(json_object_get(source, f->context_key)) : NULL;
}

static bool is_given(const char *value) { return value && *value; }

/** Fill what is still open from one more source. */
static int apply(ClientSettings *s, Source get, const void *source, RunbookClientError *e) {
        bool has_identity = s->credentials || s->nats_user || s->nats_token || s->nkey;

        for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
                const Field *f = &fields[i];
                const char *value = get(source, f);

                if (!is_given(value) || *setting_of(s, f) || (f->group == GROUP_IDENTITY && has_identity))
                        continue;
                *setting_of(s, f) = f->is_path ? expand_home(value) : strdup(value);
                if (!*setting_of(s, f))
                        return client_error_memory(e);
        }
        return 0;
}

/* ── NATS contexts ─────────────────────────────────────────────────────────────────────────────── */

/** `$XDG_CONFIG_HOME/nats/@rest`, `~/.config/nats/@rest`; NULL when there is no home (or no memory). */
static char *nats_config_path(const char *rest) {
        const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
        char *path;
        int n;

        if (is_given(xdg))
                n = asprintf(&path, "%s/nats/%s", xdg, rest);
        else if (is_given(home))
                n = asprintf(&path, "%s/.config/nats/%s", home, rest);
        else
                return NULL;
        return n < 0 ? NULL : path;
}

/** The name in context.txt; NULL when none is selected. */
static char *selected_context(void) {
        _cleanup_free_ char *path = nats_config_path("context.txt");
        char *name = path ? settings_read_file(path) : NULL;

        if (!name)
                return NULL;
        name[strcspn(name, " \t\r\n")] = 0;
        if (!*name) {
                free(name);
                return NULL;
        }
        return name;
}

static int context_path(const char *name, char **ret, RunbookClientError *e) {
        _cleanup_free_ char *file = NULL;

        if (strlen(name) > NAME_BYTES_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "the name of the NATS context is too long");
        if (strchr(name, '/')) {
                *ret = expand_home(name);
                return *ret ? 0 : client_error_memory(e);
        }
        if (asprintf(&file, "context/%s.json", name) < 0) {
                file = NULL;
                return client_error_memory(e);
        }
        *ret = nats_config_path(file);
        if (!*ret)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "NATS context %s cannot be looked for: neither HOME nor "
                                        "XDG_CONFIG_HOME is set",
                                        name);
        return 0;
}

static int apply_context(ClientSettings *s, const char *name, RunbookClientError *e) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_(report_deinit) Report report = {0};
        json_t *json;
        int r;

        r = context_path(name, &path, e);
        if (r < 0)
                return r;
        text = settings_read_file(path);
        if (!text)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "NATS context %s cannot be read: %s: %s",
                                        name, path, strerror(errno));
        json = json_parse(slice_from_str(text), SETTINGS_FILE_BYTES_MAX, &report);
        if (!json)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "NATS context %s is not JSON: %s: %s",
                                        name, path, report.message ? report.message : "out of memory");
        r = json_is_object(json) ? apply(s, from_context, json, e)
                                 : client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                                    "NATS context %s is not a JSON object: %s", name, path);
        json_decref(json);
        return r;
}

/** The context that has a say: named by the caller or by NATS_CONTEXT; or the selected one if no server is
 * given. */
static int load_context(ClientSettings *s, const RunbookClientOptions *o, RunbookClientError *e) {
        _cleanup_free_ char *selected = NULL;
        const char *name = o->nats_context;

        if (!is_given(name) && o->use_environment) {
                name = getenv("NATS_CONTEXT");
                if (!is_given(name) && !s->servers)
                        name = selected = selected_context();
        }
        return is_given(name) ? apply_context(s, name, e) : 0;
}

/* ── Who we are ────────────────────────────────────────────────────────────────────────────────── */

/** The user in nats://user:password@host, owned; NULL: none (a lone `token@` is no name). */
static char *url_user(const char *url) {
        const char *start = strstr(url, "://"), *at, *colon;

        start = start ? start + 3 : url;
        at = strpbrk(start, "@/,");
        colon = at && *at == '@' ? memchr(start, ':', (size_t)(at - start)) : NULL;
        return colon && colon > start ? strndup(start, (size_t)(colon - start)) : NULL;
}

static char *system_user(void) {
        const char *user = getenv("USER");
        struct passwd entry, *found = NULL;
        char room[4096];

        if (!is_given(user))
                user = getenv("LOGNAME");
        if (!is_given(user) && getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
                user = found->pw_name;
        return is_given(user) ? strdup(user) : NULL;
}

static int find_user(ClientSettings *s, bool use_environment, RunbookClientError *e) {
        if (!s->user && s->nats_user)
                s->user = strdup(s->nats_user);
        if (!s->user && s->credentials)
                s->user = credentials_user_name(s->credentials);
        if (!s->user)
                s->user = url_user(s->servers);
        if (!s->user && use_environment)
                s->user = system_user();
        if (!s->user)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "no user: say as whom to speak to the engine");
        return 0;
}

static int set_default(char **setting, const char *value, RunbookClientError *e) {
        if (!*setting)
                *setting = strdup(value);
        return *setting ? 0 : client_error_memory(e);
}

int client_settings_load(const RunbookClientOptions *options, ClientSettings *ret, RunbookClientError *e) {
        RunbookClientOptions o = {0};
        int r;

        if (options) {
                if (options->size < sizeof(size_t) || options->size > sizeof o * 4)
                        return client_error_set(
                                        e, RUNBOOK_CLIENT_E_INVALID,
                                        "RunbookClientOptions must start from RUNBOOK_CLIENT_OPTIONS_INIT");
                memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
        }
        r = apply(ret, from_options, &o, e);
        if (r == 0 && o.use_environment)
                r = apply(ret, from_environment, NULL, e);
        if (r == 0)
                r = load_context(ret, &o, e);
        if (r == 0)
                r = set_default(&ret->servers, "nats://127.0.0.1:4222", e);
        if (r == 0)
                r = set_default(&ret->inbox_prefix, "_INBOX", e);
        if (r == 0)
                r = set_default(&ret->name, "runbook-client", e);
        if (r == 0)
                r = set_default(&ret->prefix, RUNBOOK_CLIENT_PREFIX_DEFAULT, e);
        if (r == 0)
                r = set_default(&ret->tenant, "default", e);
        if (r == 0)
                r = find_user(ret, o.use_environment, e);
        ret->connect_timeout_ms = o.connect_timeout_ms > 0 ? o.connect_timeout_ms : 2000;
        ret->timeout_ms = o.timeout_ms > 0 ? o.timeout_ms : 5000;
        ret->attempts = o.attempts > 0 ? o.attempts : 3;
        return r;
}
