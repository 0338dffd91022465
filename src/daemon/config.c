/*
 * Settings
 *
 * One table: name in the environment, kind, place, default, what it is. The option is the same name in
 * lower case with dashes: NATS_URL is --nats-url. An option beats the environment, the environment beats
 * the default. An empty value counts as not given. A wrong value stops the start with a sentence that names
 * it.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/config.h"
#include "executors/authz.h"
#include "executors/http.h"
#include "executors/plugin.h"
#include "executors/transform.h"
#include "model/limits.h"
#include "subjects/bus_probe.h"

#define TASKS_MAX  1000000 /* what executors can hold at most */
#define OPTION_MAX 64 /* bytes of an option's name */

typedef enum Kind {
        KIND_STRING,
        KIND_SECRET,
        KIND_URL,
        KIND_BOOL,
        KIND_NUMBER,
        KIND_REAL,
        KIND_CHOICE,
        KIND_LIST
} Kind;

typedef struct Setting {
        const char *name;
        Kind kind;
        size_t offset;
        const char *fallback; /* default as text; NULL: none */
        const char *help;
        double min, max;     /* numbers; of a list, min is its place in Config.strings */
        const char *choices; /* KIND_CHOICE: words with blanks between */
} Setting;

#define AT(member) offsetof(Config, member)
#define DELAY_MAX  ((double)LIMIT_DURATION_MS)

/* In the order of the help text. */
static const Setting settings[] = {
                {"NATS_URL", KIND_URL, AT(nats_url), "nats://127.0.0.1:4222",
                 "NATS servers, comma separated"},
                {"NATS_CREDS", KIND_STRING, AT(nats_creds), NULL, "credentials file (user JWT and seed)"},
                {"NATS_USER", KIND_STRING, AT(nats_user), NULL, "NATS user"},
                {"NATS_PASSWORD", KIND_SECRET, AT(nats_password), NULL, "its password"},
                {"NATS_TOKEN", KIND_SECRET, AT(nats_token), NULL, "NATS token"},
                {"NATS_NKEY", KIND_STRING, AT(nats_nkey), NULL, "file with a user seed"},
                {"NATS_NKEY_PUBLIC", KIND_STRING, AT(nats_nkey_public), NULL, "the seed's public key (U…)"},
                {"NATS_CA", KIND_STRING, AT(nats_ca), NULL,
                 "PEM file: who may sign the server's certificate"},
                {"NATS_CERT", KIND_STRING, AT(nats_cert), NULL, "PEM file: our certificate"},
                {"NATS_KEY", KIND_STRING, AT(nats_key), NULL, "PEM file: its key"},
                {"SUBJECT_PREFIX", KIND_STRING, AT(subject_prefix), "runbook.v1",
                 "what all our subjects begin with"},
                {"REPLY_PREFIXES", KIND_LIST, AT(reply_prefixes), NULL,
                 "inbox prefixes answered besides _INBOX. and _R_., comma separated"},
                {"QUEUE_ACK_PENDING", KIND_NUMBER, AT(queue_ack_pending), "4096",
                 "queued commands taken at a time", 1, 65536},
                {"STORAGE_BACKEND", KIND_CHOICE, AT(storage_backend), "lmdb",
                 "lmdb, or memory (lost at the end)", 0, 0, "lmdb memory"},
                {"DATA_DIR", KIND_STRING, AT(data_dir), "/var/lib/runbook",
                 "where executions are kept; made if missing"},
                {"STORE_MAX_MB", KIND_NUMBER, AT(store_max_mb), "1048576",
                 "the most that the store may grow to, MiB", 64, 64 * 1024 * 1024},
                {"STORE_HIGH_PERCENT", KIND_NUMBER, AT(store_high_percent), "90",
                 "how full of that it may be before nothing new is taken", 1, 99},
                {"CACHE_MB", KIND_NUMBER, AT(cache_mb), "0",
                 "executions kept in memory, MiB; 0: an eighth of MEMORY_MAX_MB", 0,
                 1024 * 1024},
                {"COMMAND_ID_TTL_MS", KIND_NUMBER, AT(command_id_ttl_ms), "604800000",
                 "how long the answer to a command id is remembered", 1000, DELAY_MAX},
                {"OUTBOX_TTL_MS", KIND_NUMBER, AT(outbox_ttl_ms), "86400000",
                 "how long published events can be published again, should the stream lose them", 1000,
                 DELAY_MAX},
                {"MAX_CONCURRENT_STEPS", KIND_NUMBER, AT(max_concurrent_steps), "5",
                 "steps of one execution at a time, where the runbook says nothing", 1,
                 LIMIT_CONCURRENT_STEPS},
                {"MEMORY_MAX_MB", KIND_NUMBER, AT(memory_max_mb), "4096",
                 "memory that queues and caches may take together, MiB; what does not fit is OVERLOADED", 256, 1048576},
                {"INBOX_MAX", KIND_NUMBER, AT(inbox_max), "16384",
                 "commands and events waiting for the writer; more are OVERLOADED", 16, 1048576},
                {"INBOX_TENANT_MAX", KIND_NUMBER, AT(inbox_tenant_max), "0",
                 "of them, of one tenant; 0: three quarters of what is free", 0, 1048576},
                {"TASKS_MAX", KIND_NUMBER, AT(tasks_max), "100000",
                 "attempts of steps under way; beyond, starts are OVERLOADED", 1, TASKS_MAX},
                {"TENANT_TASKS_MAX", KIND_NUMBER, AT(tenant_tasks_max), "0",
                 "the same of one tenant; 0: any number", 0, TASKS_MAX},
                {"TENANT_EXECUTIONS_MAX", KIND_NUMBER, AT(tenant_executions_max), "0",
                 "executions of one tenant that have not ended; beyond, its starts are OVERLOADED; 0: any "
                 "number",
                 0, 1e12},
                {"EARLY_EVENTS_MAX", KIND_NUMBER, AT(early_events_max), "10000",
                 "events of one tenant that are kept for steps to come", 1, 10000000},
                {"EARLY_EVENT_TTL_MS", KIND_NUMBER, AT(early_event_ttl_ms), "86400000",
                 "how long they are kept", 1, DELAY_MAX},
                {"DEFAULT_MAX_RETRIES", KIND_NUMBER, AT(max_retries), "3",
                 "attempts of a step, the first included, where nothing is said", 1, LIMIT_RETRY_ATTEMPTS},
                {"DEFAULT_INITIAL_DELAY_MS", KIND_NUMBER, AT(initial_delay_ms), "1000",
                 "pause before the second attempt", 0, DELAY_MAX},
                {"DEFAULT_MAX_DELAY_MS", KIND_NUMBER, AT(max_delay_ms), "10000",
                 "the longest pause between attempts", 0, DELAY_MAX},
                {"DEFAULT_BACKOFF_MULTIPLIER", KIND_REAL, AT(backoff_multiplier), "2",
                 "each pause is so many times the one before", 1, 1000},
                {"ALLOW_TIMEOUT_APPROVE", KIND_BOOL, AT(allow_timeout_approve), "false",
                 "consent to approvals that a timeout gives"},
                {"DETAILED_LOGGING", KIND_BOOL, AT(detailed_logging), "false",
                 "debug entries in the logs of executions"},
                {"HTTP_ALLOW", KIND_STRING, AT(http_allow), NULL,
                 "hosts and CIDRs that steps may call although private, comma separated"},
                {"HTTP_CA_FILE", KIND_STRING, AT(http_ca_file), NULL,
                 "PEM file: who may sign certificates of called services; default the system's"},
                {"HTTP_IN_FLIGHT_MAX", KIND_NUMBER, AT(http_in_flight_max), "4096",
                 "HTTP calls of steps at a time; more wait", 1, 1000000},
                {"HTTP_OPEN_MAX", KIND_NUMBER, AT(http_open_max), "1000000",
                 "the same with those that wait; more fail, retryably", 1, 10000000},
                {"HTTP_RESPONSE_BYTES_MAX", KIND_NUMBER, AT(http_response_bytes_max), "786432",
                 "of a body that a called service answers", 1024, LIMIT_VALUE_BYTES},
                {"HTTP_TIMEOUT_DEFAULT_MS", KIND_NUMBER, AT(http_timeout_ms), "30000",
                 "of a call, where its step has no timeoutMs", 1, DELAY_MAX},
                {"HTTP_TARGET_CONCURRENCY", KIND_NUMBER, AT(http_target_concurrency), "1024",
                 "HTTP calls at a time to one host", 1, HTTP_IN_FLIGHT_MAX},
                {"HTTP_TARGET_LIMITS", KIND_STRING, AT(http_target_limits), NULL,
                 "limits by host: \"api.example.com perSecond=10; *.internal failureThreshold=5 "
                 "openMs=10000\""},
                {"HTTP_TENANT_CONCURRENCY", KIND_NUMBER, AT(http_tenant_concurrency), "0",
                 "HTTP calls at a time of one tenant; 0: three quarters of all places", 0,
                 HTTP_IN_FLIGHT_MAX},
                {"SECRETS_DIR", KIND_STRING, AT(secrets_dir), NULL,
                 "secrets of steps: <dir>/<tenant>/<name>, else <dir>/<name>"},
                {"AUTHZ_URL", KIND_URL, AT(authz_url), NULL,
                 "who is asked for steps with requiredPermissions: http(s)://… or nats:<subject>"},
                {"AUTHZ_TIMEOUT_MS", KIND_NUMBER, AT(authz_timeout_ms), "5000",
                 "how long an answer may take; none means denied", 1, AUTHZ_TIMEOUT_MAX_MS},
                {"AUTHZ_TOKEN_FILE", KIND_STRING, AT(authz_token_file), NULL,
                 "file with the bearer token to show there, read for each question"},
                {"TRANSFORM_POOL", KIND_NUMBER, AT(transform_pool), "2",
                 "processes that run the jq programs of transform steps", 1, TRANSFORM_POOL_MAX},
                {"TRANSFORM_MEMORY_MB", KIND_NUMBER, AT(transform_memory_mb), "256",
                 "address space of each of them, MiB", TRANSFORM_MEMORY_MB_MIN, TRANSFORM_MEMORY_MB_MAX},
                {"TRANSFORM_CPU_MS", KIND_NUMBER, AT(transform_cpu_ms), "10000", "CPU time of one run", 1,
                 TRANSFORM_CPU_MS_MAX},
                {"TRANSFORM_OPEN_MAX", KIND_NUMBER, AT(transform_open_max), "100000",
                 "transforms at work or waiting; more fail, retryably", 1, 10000000},
                {"TRANSFORM_TIMEOUT_DEFAULT_MS", KIND_NUMBER, AT(transform_timeout_ms), "30000",
                 "of a transform, where its step has no timeoutMs", 1, DELAY_MAX},
                {"RUNBOOK_JQ_PATH", KIND_STRING, AT(jq_path), NULL,
                 "the program runbook-jq; default beside runbookd, else where it was installed"},
                {"PLUGIN_DIR", KIND_STRING, AT(plugin_dir), NULL,
                 "whose *.so are loaded for steps of type custom:*"},
                {"PLUGIN_THREADS", KIND_NUMBER, AT(plugin_threads), "4", "calls of plugins at a time", 1,
                 PLUGIN_THREADS_MAX},
                {"PLUGIN_OPEN_MAX", KIND_NUMBER, AT(plugin_open_max), "100000",
                 "calls of plugins at work or waiting; more fail, retryably", 1, 10000000},
                {"PLUGIN_TIMEOUT_DEFAULT_MS", KIND_NUMBER, AT(plugin_timeout_ms), "30000",
                 "of a call, where its step has no timeoutMs", 1, DELAY_MAX},
                {"WORKER_TIMEOUT_MS", KIND_NUMBER, AT(worker_timeout_ms), "600000",
                 "of a task for remote workers, where its step has no timeoutMs", 1, DELAY_MAX},
                {"WORKER_HEARTBEAT_MS", KIND_NUMBER, AT(worker_heartbeat_ms), "30000",
                 "a worker that sends heartbeats is lost after so long without one; 0: never", 0, DELAY_MAX},
                {"OTEL_EXPORTER_OTLP_ENDPOINT", KIND_STRING, AT(otlp_endpoint), NULL,
                 "collector of traces, as http://127.0.0.1:4318; default none"},
                {"OTEL_EXPORTER_OTLP_HEADERS", KIND_SECRET, AT(otlp_headers), NULL,
                 "headers for it, name=value, comma separated"},
                {"OTEL_SERVICE_NAME", KIND_STRING, AT(otlp_service), "runbookd",
                 "service.name of the traces"},
                {"PORT", KIND_NUMBER, AT(port), "3000", "of REST, metrics and console; 0: no HTTP at all", 0,
                 65535},
                {"BIND_ADDRESS", KIND_STRING, AT(bind_address), "127.0.0.1",
                 "the address that PORT is opened on"},
                {"AUTH_MODE", KIND_CHOICE, AT(auth_mode), "none",
                 "how HTTP clients prove who they are: none (only on loopback), token, jwt", 0, 0, "none token jwt"},
                {"AUTH_TOKENS_FILE", KIND_STRING, AT(auth_tokens_file), NULL,
                 "for token: lines of SHA-256 of a token, user, tenant"},
                {"AUTH_JWKS_FILE", KIND_STRING, AT(auth_jwks_file), NULL,
                 "for jwt: the keys that tokens are signed with, a JSON Web Key Set"},
                {"AUTH_ISSUER", KIND_STRING, AT(auth_issuer), NULL, "for jwt: what the claim iss must say"},
                {"AUTH_AUDIENCE", KIND_STRING, AT(auth_audience), NULL, "for jwt: what the claim aud must name"},
                {"AUTH_USER_CLAIM", KIND_STRING, AT(auth_user_claim), "sub", "for jwt: the claim with the user's name"},
                {"AUTH_TENANT_CLAIM", KIND_STRING, AT(auth_tenant_claim), "tenant",
                 "for jwt: the claim with the tenant's name"},
                {"ENABLE_CORS", KIND_BOOL, AT(enable_cors), "false", "let pages of CORS_ORIGINS use the REST API"},
                {"CORS_ORIGINS", KIND_LIST, AT(cors_origins), NULL,
                 "origins like https://ops.example.com, comma separated; * is every one", 1},
                {"HTTP_CONNECTIONS", KIND_NUMBER, AT(http_connections), "2048", "HTTP connections at a time",
                 16, 65536},
                {"LOG_LEVEL", KIND_CHOICE, AT(log_level), "info", "error, warn, info or debug", 0, 0,
                 "error warn info debug"},
                {"DRAIN_TIMEOUT_MS", KIND_NUMBER, AT(drain_timeout_ms), "10000", "how long a stop may take",
                 0, 3600000},
};

/*
 * Settings that other engines have and this one has no use for; whoever sets them should hear that they do
 * nothing here.
 */
static const char *const elsewhere[] = {"DATABASE_URL"};

static void *place(Config *c, const Setting *s) { return (char *)c + s->offset; }

static void option_name(const char *name, char ret[OPTION_MAX]) {
        size_t n = strlen(name);
        for (size_t i = 0; i <= n && i < OPTION_MAX; i++)
                ret[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
}

static bool has_word(const char *words, const char *word) {
        size_t n = strlen(word);
        for (const char *p = words; n > 0 && (p = strstr(p, word)); p += n)
                if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
                        return true;
        return false;
}

static int set_bool(bool *ret, const Setting *s, const char *value, Report *report) {
        if (has_word("true yes on 1", value))
                *ret = true;
        else if (has_word("false no off 0", value))
                *ret = false;
        else
                return report_set(report, RUNBOOK_INVALID_REQUEST, "%s must be true or false, is \"%s\"",
                                  s->name, value);
        return 0;
}

static int set_number(Config *c, const Setting *s, const char *value, Report *report) {
        char *end;
        errno = 0;
        double real = strtod(value, &end);
        bool whole = s->kind == KIND_REAL || strspn(value, "0123456789") == strlen(value);
        if (errno || *end || end == value || !isfinite(real) || !whole || real < s->min || real > s->max)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "%s must be a %snumber from %.15g to %.15g, is \"%s\"", s->name,
                                  s->kind == KIND_REAL ? "" : "whole ", s->min, s->max, value);
        if (s->kind == KIND_REAL)
                *(double *)place(c, s) = real;
        else
                *(int64_t *)place(c, s) = (int64_t)real;
        return 0;
}

static int set_list(Config *c, const Setting *s, const char *value, Report *report) {
        const char **list = place(c, s);
        char *save = NULL, **text = &c->strings[(int)s->min];
        size_t n = 0;
        free(*text);
        *text = strdup(value);
        if (!*text)
                return report_set(report, RUNBOOK_INTERNAL, "out of memory");
        for (char *word = strtok_r(*text, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
                if (n == CONFIG_LIST_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s has more than %d entries",
                                          s->name, CONFIG_LIST_MAX);
                list[n++] = word;
        }
        list[n] = NULL;
        return 0;
}

static int set(Config *c, const Setting *s, const char *value, Report *report) {
        switch (s->kind) {
        case KIND_BOOL:
                return set_bool(place(c, s), s, value, report);
        case KIND_NUMBER:
        case KIND_REAL:
                return set_number(c, s, value, report);
        case KIND_LIST:
                return set_list(c, s, value, report);
        case KIND_CHOICE:
                if (!has_word(s->choices, value))
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s must be one of: %s; is \"%s\"",
                                          s->name, s->choices, value);
                break;
        case KIND_STRING:
        case KIND_SECRET:
        case KIND_URL:
                break;
        }
        *(const char **)place(c, s) = value;
        return 0;
}

/* ---- the command line -------------------------------------------------------------- */

/* What the program is asked to do instead of running, and how. Up to two words stand behind it. */
static const struct {
        const char *name;
        size_t flag;
        size_t words[2]; /* where they go; 0: none (no word goes to the very first member) */
        unsigned n_needed;
        const char *help;
} actions[] = {
                {"--adopt-restored", AT(adopt_restored), {0}, 0,
                 "run on a store that was restored or moved from another place"},
                {"--backup", AT(backup), {AT(data_dir), AT(backup_to)}, 2,
                 "copy a store, also while its engine runs: --backup DATA_DIR TARGET"},
                {"--check", AT(check_store), {AT(data_dir)}, 0,
                 "check the store that no engine has open: --check [DATA_DIR]"},
                {"--check-config", AT(check_only), {0}, 0, "check the settings, print them, end"},
                {"--deep", AT(deep), {0}, 0, "with --check: replay every journal, too"},
                {"--help", AT(show_help), {0}, 0, "this text"},
                {"--json", AT(json), {0}, 0, "with --check: the outcome as JSON"},
                {"--version", AT(show_version), {0}, 0, "the version"},
};

static int unknown_option(const char *argument, Report *report) {
        char names[N_ELEMENTS(settings)][OPTION_MAX];
        const char *candidates[N_ELEMENTS(settings) + N_ELEMENTS(actions)];
        size_t n = N_ELEMENTS(settings);
        for (size_t i = 0; i < n; i++) {
                option_name(settings[i].name, names[i]);
                candidates[i] = names[i];
        }
        for (size_t i = 0; i < N_ELEMENTS(actions); i++)
                candidates[n++] = actions[i].name + 2;
        Slice name = {argument + 2, strcspn(argument + 2, "=")};
        const char *near = strncmp(argument, "--", 2) ? NULL : slice_nearest(name, candidates, n);
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "there is no option \"%s\"%s%s%s (runbookd --help lists them)", argument,
                          near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

/** Take the action that argument *i names, with its words. 0: it is one; 1: it is none; -EINVAL. */
static int take_action(Config *c, int argc, char *const *argv, int *i, Report *report) {
        for (size_t a = 0; a < N_ELEMENTS(actions); a++) {
                if (strcmp(argv[*i], actions[a].name) != 0 &&
                    (strcmp(argv[*i], "-h") != 0 || actions[a].flag != AT(show_help)))
                        continue;
                *(bool *)((char *)c + actions[a].flag) = true;
                for (unsigned w = 0; w < 2 && actions[a].words[w]; w++) {
                        bool given = *i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0;
                        if (!given && w < actions[a].n_needed)
                                return report_set(report, RUNBOOK_INVALID_REQUEST, "%s needs %u words: %s",
                                                  actions[a].name, actions[a].n_needed, actions[a].help);
                        if (given)
                                *(const char **)((char *)c + actions[a].words[w]) = argv[++*i];
                }
                return 0;
        }
        return 1;
}

/** The setting that @argument names, with *ret_value what stands behind "="; NULL: none. */
static const Setting *find_option(const char *argument, const char **ret_value) {
        if (strncmp(argument, "--", 2) != 0)
                return NULL;
        Slice given = {argument + 2, strcspn(argument + 2, "=")};
        *ret_value = argument[2 + given.n] == '=' ? argument + 3 + given.n : NULL;
        for (size_t i = 0; i < N_ELEMENTS(settings); i++) {
                char name[OPTION_MAX];
                option_name(settings[i].name, name);
                if (slice_eq_str(given, name))
                        return &settings[i];
        }
        return NULL;
}

static int read_arguments(Config *c, int argc, char *const *argv, Report *report) {
        for (int i = 1; i < argc; i++) {
                const char *value = NULL;
                int r = take_action(c, argc, argv, &i, report);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                const Setting *s = find_option(argv[i], &value);
                if (!s)
                        return unknown_option(argv[i], report);
                if (!value && s->kind == KIND_BOOL)
                        value = "true";
                else if (!value && i + 1 < argc)
                        value = argv[++i];
                if (!value)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s needs a value", argv[i]);
                r = set(c, s, value, report);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void note_unused(Config *c) {
        size_t n = 0;
        for (size_t i = 0; i < N_ELEMENTS(elsewhere); i++) {
                const char *value = getenv(elsewhere[i]);
                if (value && *value && n < sizeof(c->unused_text))
                        n += (size_t)snprintf(c->unused_text + n, sizeof(c->unused_text) - n, "%s%s",
                                              n > 0 ? ", " : "", elsewhere[i]);
        }
        c->unused = c->unused_text;
}

static int check_together(const Config *c, Report *report) {
        if (c->nats_nkey && !c->nats_nkey_public)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "NATS_NKEY needs NATS_NKEY_PUBLIC, the seed's public key");
        if (c->nats_password && !c->nats_user)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "NATS_PASSWORD is given without NATS_USER");
        if (c->nats_cert && !c->nats_key)
                return report_set(report, RUNBOOK_INVALID_REQUEST, "NATS_CERT is given without NATS_KEY");
        if (c->authz_token_file && !c->authz_url)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "AUTHZ_TOKEN_FILE is given without AUTHZ_URL");
        if (c->max_delay_ms < c->initial_delay_ms)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "DEFAULT_MAX_DELAY_MS (%lld) is less than DEFAULT_INITIAL_DELAY_MS (%lld)",
                                  (long long)c->max_delay_ms, (long long)c->initial_delay_ms);
        return 0;
}

int config_load(int argc, char *const *argv, Report *report, Config *ret) {
        int r = 0;
        *ret = (Config){0};
        for (size_t i = 0; i < N_ELEMENTS(settings) && !r; i++) {
                const char *value = getenv(settings[i].name);
                if (settings[i].fallback)
                        r = set(ret, &settings[i], settings[i].fallback, report);
                if (!r && value && *value)
                        r = set(ret, &settings[i], value, report);
        }
        if (!r)
                r = read_arguments(ret, argc, argv, report);
        if (!r && !ret->show_help && !ret->show_version)
                r = check_together(ret, report);
        note_unused(ret);
        return r;
}

void config_deinit(Config *c) {
        for (size_t i = 0; i < CONFIG_LISTS; i++)
                free(c->strings[i]);
        *c = (Config){0};
}

/* ---- showing ----------------------------------------------------------------------- */

void config_put_help(Buf *b) {
        buf_put_str(b, "runbookd: the durable runbook engine. Takes commands and events from NATS, keeps "
                       "executions in DATA_DIR.\n\n"
                       "Usage: runbookd [--<setting> <value>]… [--<action> …]\n\n"
                       "Settings come from the environment (NATS_URL) or as options (--nats-url), which "
                       "win:\n\n");
        for (size_t i = 0; i < N_ELEMENTS(settings); i++) {
                const Setting *s = &settings[i];
                buf_printf(b, "  %-27s %s%s%s%s\n", s->name, s->help, s->fallback ? " (" : "",
                           s->fallback ? s->fallback : "", s->fallback ? ")" : "");
        }
        buf_put_str(b, "\nInstead of running, or with it:\n\n");
        for (size_t i = 0; i < N_ELEMENTS(actions); i++)
                buf_printf(b, "  %-27s %s\n", actions[i].name, actions[i].help);
        buf_put_str(b, "\nExit status: 0 stopped as asked · 1 could not start (the reason is the last line "
                       "of the log), or what\n"
                       "was to be checked has faults · 2 a setting is wrong · 3 fenced off · 70 the store failed, or "
                       "memory ran\nout, while running · 128+n ended by a second signal n\n");
}

static void put_value(const Config *c, const Setting *s, Buf *b) {
        const void *at = (const char *)c + s->offset;
        char url[1024];
        switch (s->kind) {
        case KIND_BOOL:
                buf_put_str(b, *(const bool *)at ? "true" : "false");
                break;
        case KIND_NUMBER:
                buf_printf(b, "%lld", (long long)*(const int64_t *)at);
                break;
        case KIND_REAL:
                buf_printf(b, "%.15g", *(const double *)at);
                break;
        case KIND_URL:
                if (*(const char *const *)at)
                        url_without_secrets(*(const char *const *)at, url, sizeof(url));
                buf_put_str(b, *(const char *const *)at ? url : "");
                break;
        case KIND_SECRET:
                buf_put_str(b, *(const char *const *)at ? "(given)" : "");
                break;
        case KIND_LIST:
                for (const char *const *word = at; *word; word++)
                        buf_printf(b, "%s%s", word == at ? "" : ",", *word);
                break;
        case KIND_STRING:
        case KIND_CHOICE:
                buf_put_str(b, *(const char *const *)at ? *(const char *const *)at : "");
                break;
        }
}

void config_put_values(const Config *c, Buf *b) {
        for (size_t i = 0; i < N_ELEMENTS(settings); i++) {
                buf_printf(b, "%s=", settings[i].name);
                put_value(c, &settings[i], b);
                buf_put_char(b, '\n');
        }
}
