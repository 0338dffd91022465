/*
 * Settings of runbook-gateway
 *
 * The same names, defaults and meaning as runbookd has for them; an option (--nats-url) beats the environment
 * (NATS_URL), an empty value counts as not given.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "gateway/settings.h"

typedef enum Name {
        AUTH_AUDIENCE,
        AUTH_ISSUER,
        AUTH_JWKS_FILE,
        AUTH_MODE,
        AUTH_TENANT_CLAIM,
        AUTH_TOKENS_FILE,
        AUTH_USER_CLAIM,
        BIND_ADDRESS,
        CORS_ORIGINS,
        DRAIN_TIMEOUT_MS,
        ENABLE_CORS,
        HTTP_CONNECTIONS,
        LOG_LEVEL,
        NATS_CA,
        NATS_CERT,
        NATS_CREDS,
        NATS_INBOX_PREFIX,
        NATS_KEY,
        NATS_NKEY,
        NATS_PASSWORD,
        NATS_TOKEN,
        NATS_URL,
        NATS_USER,
        PORT,
        SUBJECT_PREFIX,
        N_NAMES
} Name;

static const struct {
        const char *name, *fallback, *help;
        bool is_secret;
} table[N_NAMES] = {
                [AUTH_AUDIENCE] = {"AUTH_AUDIENCE", NULL, "for jwt: what the claim aud must name"},
                [AUTH_ISSUER] = {"AUTH_ISSUER", NULL, "for jwt: what the claim iss must say"},
                [AUTH_JWKS_FILE] = {"AUTH_JWKS_FILE", NULL,
                                    "for jwt: the keys that tokens are signed with, a JSON Web Key Set"},
                [AUTH_MODE] = {"AUTH_MODE", "none",
                               "how clients prove who they are: none (only on loopback), token, jwt"},
                [AUTH_TENANT_CLAIM] = {"AUTH_TENANT_CLAIM", "tenant",
                                       "for jwt: the claim with the tenant's name"},
                [AUTH_TOKENS_FILE] = {"AUTH_TOKENS_FILE", NULL,
                                      "for token: lines of SHA-256 of a token, user, tenant"},
                [AUTH_USER_CLAIM] = {"AUTH_USER_CLAIM", "sub", "for jwt: the claim with the user's name"},
                [BIND_ADDRESS] = {"BIND_ADDRESS", "127.0.0.1", "the address that PORT is opened on"},
                [CORS_ORIGINS] = {"CORS_ORIGINS", NULL,
                                  "origins like https://ops.example.com, comma separated; * is every one"},
                [DRAIN_TIMEOUT_MS] = {"DRAIN_TIMEOUT_MS", "10000", "how long a stop may take"},
                [ENABLE_CORS] = {"ENABLE_CORS", "false", "let pages of CORS_ORIGINS use the REST API"},
                [HTTP_CONNECTIONS] = {"HTTP_CONNECTIONS", "2048", "HTTP connections at a time"},
                [LOG_LEVEL] = {"LOG_LEVEL", "info", "error, warn, info or debug"},
                [NATS_CA] = {"NATS_CA", NULL, "PEM file: who may sign the server's certificate"},
                [NATS_CERT] = {"NATS_CERT", NULL, "PEM file: our certificate"},
                [NATS_CREDS] = {"NATS_CREDS", NULL, "credentials file (user JWT and seed)"},
                [NATS_INBOX_PREFIX] = {"NATS_INBOX_PREFIX", "_INBOX.gateway", "where answers come to"},
                [NATS_KEY] = {"NATS_KEY", NULL, "PEM file: its key"},
                [NATS_NKEY] = {"NATS_NKEY", NULL, "file with a user seed"},
                [NATS_PASSWORD] = {"NATS_PASSWORD", NULL, "its password", true},
                [NATS_TOKEN] = {"NATS_TOKEN", NULL, "NATS token", true},
                [NATS_URL] = {"NATS_URL", "nats://127.0.0.1:4222", "NATS servers, comma separated"},
                [NATS_USER] = {"NATS_USER", NULL, "NATS user"},
                [PORT] = {"PORT", "3000", "of REST, metrics and console"},
                [SUBJECT_PREFIX] = {"SUBJECT_PREFIX", "runbook.v1", "what all subjects begin with"},
};

/* ---- reading -------------------------------------------------------------------------- */

static void option_name(const char *name, char ret[64]) {
        size_t n = strlen(name);

        for (size_t i = 0; i <= n && i < 64; i++)
                ret[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
}

static int unknown_option(const char *argument, Report *report) {
        char names[N_NAMES][64];
        const char *candidates[N_NAMES];
        bool is_option = !strncmp(argument, "--", 2);
        Slice given = is_option ? (Slice){argument + 2, strcspn(argument + 2, "=")} : SLICE_NULL;

        for (size_t i = 0; i < N_NAMES; i++) {
                option_name(table[i].name, names[i]);
                candidates[i] = names[i];
        }
        const char *near = is_option ? slice_nearest(given, candidates, N_NAMES) : NULL;
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "there is no option \"%s\"%s%s%s (--help lists them)", argument,
                          near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static int read_argument(Settings *s, int argc, char *const *argv, int *i, Report *report) {
        const char *argument = argv[*i], *value;
        char name[64];

        if (strncmp(argument, "--", 2) != 0)
                return unknown_option(argument, report);
        for (size_t k = 0; k < N_NAMES; k++) {
                size_t n;

                option_name(table[k].name, name);
                n = strlen(name);
                if (strncmp(argument + 2, name, n) != 0 || (argument[2 + n] != 0 && argument[2 + n] != '='))
                        continue;
                value = argument[2 + n] == '=' ? argument + 3 + n : ++*i < argc ? argv[*i] : NULL;
                if (!value)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s needs a value", argument);
                s->values[k] = value;
                return 0;
        }
        return unknown_option(argument, report);
}

static int get_number(const Settings *s, Name name, int64_t min, int64_t max, int64_t *ret, Report *report) {
        uint64_t n;

        if (!slice_to_u64(slice_from_str(s->values[name]), &n) || n > (uint64_t)max || n < (uint64_t)min)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "%s must be a whole number from %lld to %lld, is \"%s\"", table[name].name,
                                  (long long)min, (long long)max, s->values[name]);
        *ret = (int64_t)n;
        return 0;
}

/** The value's place among @words. */
static int get_choice(const Settings *s, Name name, const char *const *words, size_t n_words, size_t *ret,
                      Report *report) {
        for (size_t i = 0; i < n_words; i++)
                if (!strcmp(words[i], s->values[name])) {
                        *ret = i;
                        return 0;
                }
        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s can't be \"%s\" (--help says what it can be)",
                          table[name].name, s->values[name]);
}

static int split_origins(Settings *s, Report *report) {
        char *save = NULL;
        size_t n = 0;

        if (!s->values[CORS_ORIGINS])
                return 0;
        s->origins_text = strdup(s->values[CORS_ORIGINS]);
        if (!s->origins_text)
                return -ENOMEM;
        for (char *word = strtok_r(s->origins_text, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
                if (n == GATEWAY_ORIGINS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "CORS_ORIGINS has more than %d entries", GATEWAY_ORIGINS_MAX);
                s->origins[n++] = word;
        }
        return 0;
}

static int fill_in(Settings *s, GatewaySettings *g, Report *report) {
        static const char *const modes[] = {"none", "token", "jwt"};
        static const char *const booleans[] = {"false", "true"};
        static const char *const levels[] = {"error", "warn", "info", "debug"};
        size_t mode = 0, cors = 0, level = 0;
        int64_t port = 0;
        const char *const *v = s->values;
        int r = get_choice(s, AUTH_MODE, modes, N_ELEMENTS(modes), &mode, report);

        if (!r)
                r = get_choice(s, ENABLE_CORS, booleans, N_ELEMENTS(booleans), &cors, report);
        if (!r)
                r = get_choice(s, LOG_LEVEL, levels, N_ELEMENTS(levels), &level, report);
        if (!r)
                r = get_number(s, PORT, 0, 65535, &port, report);
        if (!r)
                r = get_number(s, HTTP_CONNECTIONS, 16, 65536, &g->connections_max, report);
        if (!r)
                r = get_number(s, DRAIN_TIMEOUT_MS, 0, 3600000, &s->drain_timeout_ms, report);
        if (!r)
                r = split_origins(s, report);
        if (r)
                return r;
        s->log_level = (int)level;
        g->auth_mode = gateway_auth_mode(v[AUTH_MODE]);
        g->enable_cors = cors;
        g->port = (uint16_t)port;
        g->bind_address = v[BIND_ADDRESS];
        g->token_file = v[AUTH_TOKENS_FILE];
        g->jwks_file = v[AUTH_JWKS_FILE];
        g->issuer = v[AUTH_ISSUER];
        g->audience = v[AUTH_AUDIENCE];
        g->user_claim = v[AUTH_USER_CLAIM];
        g->tenant_claim = v[AUTH_TENANT_CLAIM];
        g->cors_origins = s->origins;
        g->nats_url = v[NATS_URL];
        g->nats_creds = v[NATS_CREDS];
        g->nats_user = v[NATS_USER];
        g->nats_password = v[NATS_PASSWORD];
        g->nats_token = v[NATS_TOKEN];
        g->nats_nkey = v[NATS_NKEY];
        g->nats_ca = v[NATS_CA];
        g->nats_cert = v[NATS_CERT];
        g->nats_key = v[NATS_KEY];
        g->inbox_prefix = v[NATS_INBOX_PREFIX];
        g->subject_prefix = v[SUBJECT_PREFIX];
        return 0;
}

int settings_load(Settings *s, int argc, char *const *argv, GatewaySettings *ret_gateway, Report *report) {
        int r = 0;

        _Static_assert(N_NAMES == SETTINGS_COUNT, "settings.h counts them");
        *s = (Settings){0};
        *ret_gateway = (GatewaySettings){0};
        for (size_t i = 0; i < N_NAMES; i++) {
                const char *value = getenv(table[i].name);

                s->values[i] = value && *value ? value : table[i].fallback;
        }
        for (int i = 1; i < argc && !r; i++) {
                if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
                        s->show_help = true;
                else if (!strcmp(argv[i], "--version"))
                        s->show_version = true;
                else if (!strcmp(argv[i], "--check-config"))
                        s->check_only = true;
                else
                        r = read_argument(s, argc, argv, &i, report);
        }
        return r || s->show_help || s->show_version ? r : fill_in(s, ret_gateway, report);
}

void settings_deinit(Settings *s) { free(s->origins_text); }

/* ---- showing -------------------------------------------------------------------------- */

void settings_put_help(Buf *b) {
        buf_put_str(b,
                    "runbook-gateway: REST, events and console over HTTP, in front of runbook engines.\n\n"
                    "Usage: runbook-gateway [--<setting> <value>]… [--check-config] [--version] [--help]\n\n"
                    "Settings come from the environment (NATS_URL) or as options (--nats-url), which "
                    "win:\n\n");
        for (size_t i = 0; i < N_NAMES; i++)
                buf_printf(b, "  %-20s %s%s%s%s\n", table[i].name, table[i].help,
                           table[i].fallback ? " (" : "", table[i].fallback ? table[i].fallback : "",
                           table[i].fallback ? ")" : "");
        buf_put_str(b, "\nExit status: 0 stopped as asked · 1 could not start · 2 a setting is wrong\n");
}

void settings_put_values(const Settings *s, Buf *b) {
        for (size_t i = 0; i < N_NAMES; i++)
                buf_printf(b, "%s=%s\n", table[i].name,
                           !s->values[i]        ? ""
                           : table[i].is_secret ? "(given)"
                                                : s->values[i]);
}
