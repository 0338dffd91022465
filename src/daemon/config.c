/*
 * Settings of runbookd: one table of names, kinds, places, defaults and help texts. base/settings.c reads it.
 */
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

#define TASKS_MAX 1000000 /* what executors can hold at most */

#define AT(member) offsetof(Config, member)
#define DELAY_MAX  ((double)LIMIT_DURATION_MS)

/* In the order of the help text. */
static const Setting settings[] = {
                {"NATS_URL", SETTING_URL, AT(nats_url), "nats://127.0.0.1:4222",
                 "NATS servers, comma separated"},
                {"NATS_CREDS", SETTING_STRING, AT(nats_creds), NULL, "credentials file (user JWT and seed)"},
                {"NATS_USER", SETTING_STRING, AT(nats_user), NULL, "NATS user"},
                {"NATS_PASSWORD", SETTING_SECRET, AT(nats_password), NULL, "its password"},
                {"NATS_TOKEN", SETTING_SECRET, AT(nats_token), NULL, "NATS token"},
                {"NATS_NKEY", SETTING_STRING, AT(nats_nkey), NULL, "file with a user seed"},
                {"NATS_NKEY_PUBLIC", SETTING_STRING, AT(nats_nkey_public), NULL,
                 "the seed's public key (U…)"},
                {"NATS_CA", SETTING_STRING, AT(nats_ca), NULL,
                 "PEM file: who may sign the server's certificate"},
                {"NATS_CERT", SETTING_STRING, AT(nats_cert), NULL, "PEM file: our certificate"},
                {"NATS_KEY", SETTING_STRING, AT(nats_key), NULL, "PEM file: its key"},
                {"SUBJECT_PREFIX", SETTING_STRING, AT(subject_prefix), "runbook.v1",
                 "what all our subjects begin with"},
                {"REPLY_PREFIXES", SETTING_LIST, AT(reply_prefixes), NULL,
                 "inbox prefixes answered besides _INBOX. and _R_., comma separated"},
                {"QUEUE_ACK_PENDING", SETTING_NUMBER, AT(queue_ack_pending), "4096",
                 "queued commands taken at a time", 1, 65536},
                {"STORAGE_BACKEND", SETTING_CHOICE, AT(storage_backend), "lmdb",
                 "lmdb, or memory (lost at the end)", 0, 0, "lmdb memory"},
                {"DATA_DIR", SETTING_STRING, AT(data_dir), "/var/lib/runbook",
                 "where executions are kept; made if missing"},
                {"STORE_MAX_MB", SETTING_NUMBER, AT(store_max_mb), "1048576",
                 "the most that the store may grow to, MiB", 64, 64 * 1024 * 1024},
                {"STORE_HIGH_PERCENT", SETTING_NUMBER, AT(store_high_percent), "90",
                 "how full of that it may be before nothing new is taken", 1, 99},
                {"CACHE_MB", SETTING_NUMBER, AT(cache_mb), "0",
                 "executions kept in memory, MiB; 0: an eighth of MEMORY_MAX_MB", 0,
                 1024 * 1024},
                {"COMMAND_ID_TTL_MS", SETTING_NUMBER, AT(command_id_ttl_ms), "604800000",
                 "how long the answer to a command id is remembered", 1000, DELAY_MAX},
                {"OUTBOX_TTL_MS", SETTING_NUMBER, AT(outbox_ttl_ms), "86400000",
                 "how long published events can be published again, should the stream lose them", 1000,
                 DELAY_MAX},
                {"CHECKPOINT_INTERVAL_MS", SETTING_NUMBER, AT(checkpoint_interval_ms), "60000",
                 "how long a change may wait for the signed checkpoint that attests it; 0: no checkpoints", 0,
                 DELAY_MAX},
                {"CHECKPOINT_KEY_FILE", SETTING_STRING, AT(checkpoint_key_file), NULL,
                 "PEM file with the Ed25519 key that signs them; default one of the engine's own, in the store"},
                {"MAX_CONCURRENT_STEPS", SETTING_NUMBER, AT(max_concurrent_steps), "5",
                 "steps of one execution at a time, where the runbook says nothing", 1,
                 LIMIT_CONCURRENT_STEPS},
                {"MEMORY_MAX_MB", SETTING_NUMBER, AT(memory_max_mb), "4096",
                 "memory that queues and caches may take together, MiB; what does not fit is OVERLOADED", 256, 1048576},
                {"INBOX_MAX", SETTING_NUMBER, AT(inbox_max), "16384",
                 "commands and events waiting for the writer; more are OVERLOADED", 16, 1048576},
                {"INBOX_TENANT_MAX", SETTING_NUMBER, AT(inbox_tenant_max), "0",
                 "of them, of one tenant; 0: three quarters of what is free", 0, 1048576},
                {"TASKS_MAX", SETTING_NUMBER, AT(tasks_max), "100000",
                 "attempts of steps under way; beyond, starts are OVERLOADED", 1, TASKS_MAX},
                {"TENANT_TASKS_MAX", SETTING_NUMBER, AT(tenant_tasks_max), "0",
                 "the same of one tenant; 0: any number", 0, TASKS_MAX},
                {"TENANT_EXECUTIONS_MAX", SETTING_NUMBER, AT(tenant_executions_max), "0",
                 "executions of one tenant that have not ended; beyond, its starts are OVERLOADED; 0: any "
                 "number",
                 0, 1e12},
                {"EARLY_EVENTS_MAX", SETTING_NUMBER, AT(early_events_max), "10000",
                 "events of one tenant that are kept for steps to come", 1, 10000000},
                {"EARLY_EVENT_TTL_MS", SETTING_NUMBER, AT(early_event_ttl_ms), "86400000",
                 "how long they are kept", 1, DELAY_MAX},
                {"DEFAULT_MAX_RETRIES", SETTING_NUMBER, AT(max_retries), "3",
                 "attempts of a step, the first included, where nothing is said", 1, LIMIT_RETRY_ATTEMPTS},
                {"DEFAULT_INITIAL_DELAY_MS", SETTING_NUMBER, AT(initial_delay_ms), "1000",
                 "pause before the second attempt", 0, DELAY_MAX},
                {"DEFAULT_MAX_DELAY_MS", SETTING_NUMBER, AT(max_delay_ms), "10000",
                 "the longest pause between attempts", 0, DELAY_MAX},
                {"DEFAULT_BACKOFF_MULTIPLIER", SETTING_REAL, AT(backoff_multiplier), "2",
                 "each pause is so many times the one before", 1, 1000},
                {"ALLOW_TIMEOUT_APPROVE", SETTING_BOOL, AT(allow_timeout_approve), "false",
                 "consent to approvals that a timeout gives"},
                {"DETAILED_LOGGING", SETTING_BOOL, AT(detailed_logging), "false",
                 "debug entries in the logs of executions"},
                {"HTTP_ALLOW", SETTING_STRING, AT(http_allow), NULL,
                 "hosts and CIDRs that steps may call although private, comma separated"},
                {"HTTP_CA_FILE", SETTING_STRING, AT(http_ca_file), NULL,
                 "PEM file: who may sign certificates of called services; default the system's"},
                {"HTTP_IN_FLIGHT_MAX", SETTING_NUMBER, AT(http_in_flight_max), "4096",
                 "HTTP calls of steps at a time; more wait", 1, 1000000},
                {"HTTP_OPEN_MAX", SETTING_NUMBER, AT(http_open_max), "1000000",
                 "the same with those that wait; more fail, retryably", 1, 10000000},
                {"HTTP_RESPONSE_BYTES_MAX", SETTING_NUMBER, AT(http_response_bytes_max), "786432",
                 "of a body that a called service answers", 1024, LIMIT_VALUE_BYTES},
                {"HTTP_TIMEOUT_DEFAULT_MS", SETTING_NUMBER, AT(http_timeout_ms), "30000",
                 "of a call, where its step has no timeoutMs", 1, DELAY_MAX},
                {"HTTP_TARGET_CONCURRENCY", SETTING_NUMBER, AT(http_target_concurrency), "1024",
                 "HTTP calls at a time to one host", 1, HTTP_IN_FLIGHT_MAX},
                {"HTTP_TARGET_LIMITS", SETTING_STRING, AT(http_target_limits), NULL,
                 "limits by host: \"api.example.com perSecond=10; *.internal failureThreshold=5 "
                 "openMs=10000\""},
                {"HTTP_TENANT_CONCURRENCY", SETTING_NUMBER, AT(http_tenant_concurrency), "0",
                 "HTTP calls at a time of one tenant; 0: three quarters of all places", 0,
                 HTTP_IN_FLIGHT_MAX},
                {"SECRETS_DIR", SETTING_STRING, AT(secrets_dir), NULL,
                 "secrets of steps: <dir>/<tenant>/<name>, else <dir>/<name>"},
                {"AUTHZ_URL", SETTING_URL, AT(authz_url), NULL,
                 "who is asked for steps with requiredPermissions: http(s)://… or nats:<subject>"},
                {"AUTHZ_TIMEOUT_MS", SETTING_NUMBER, AT(authz_timeout_ms), "5000",
                 "how long an answer may take; none means denied", 1, AUTHZ_TIMEOUT_MAX_MS},
                {"AUTHZ_TOKEN_FILE", SETTING_STRING, AT(authz_token_file), NULL,
                 "file with the bearer token to show there, read for each question"},
                {"TRANSFORM_POOL", SETTING_NUMBER, AT(transform_pool), "2",
                 "processes that run the jq programs of transform steps", 1, TRANSFORM_POOL_MAX},
                {"TRANSFORM_MEMORY_MB", SETTING_NUMBER, AT(transform_memory_mb), "256",
                 "address space of each of them, MiB", TRANSFORM_MEMORY_MB_MIN, TRANSFORM_MEMORY_MB_MAX},
                {"TRANSFORM_CPU_MS", SETTING_NUMBER, AT(transform_cpu_ms), "10000", "CPU time of one run", 1,
                 TRANSFORM_CPU_MS_MAX},
                {"TRANSFORM_OPEN_MAX", SETTING_NUMBER, AT(transform_open_max), "100000",
                 "transforms at work or waiting; more fail, retryably", 1, 10000000},
                {"TRANSFORM_TIMEOUT_DEFAULT_MS", SETTING_NUMBER, AT(transform_timeout_ms), "30000",
                 "of a transform, where its step has no timeoutMs", 1, DELAY_MAX},
                {"RUNBOOK_JQ_PATH", SETTING_STRING, AT(jq_path), NULL,
                 "the program runbook-jq; default beside runbookd, else where it was installed"},
                {"PLUGIN_DIR", SETTING_STRING, AT(plugin_dir), NULL,
                 "whose *.so are loaded for steps of type custom:*"},
                {"PLUGIN_THREADS", SETTING_NUMBER, AT(plugin_threads), "4", "calls of plugins at a time", 1,
                 PLUGIN_THREADS_MAX},
                {"PLUGIN_OPEN_MAX", SETTING_NUMBER, AT(plugin_open_max), "100000",
                 "calls of plugins at work or waiting; more fail, retryably", 1, 10000000},
                {"PLUGIN_TIMEOUT_DEFAULT_MS", SETTING_NUMBER, AT(plugin_timeout_ms), "30000",
                 "of a call, where its step has no timeoutMs", 1, DELAY_MAX},
                {"WORKER_TIMEOUT_MS", SETTING_NUMBER, AT(worker_timeout_ms), "600000",
                 "of a task for remote workers, where its step has no timeoutMs", 1, DELAY_MAX},
                {"WORKER_HEARTBEAT_MS", SETTING_NUMBER, AT(worker_heartbeat_ms), "30000",
                 "a worker that sends heartbeats is lost after so long without one; 0: never", 0, DELAY_MAX},
                {"OTEL_EXPORTER_OTLP_ENDPOINT", SETTING_URL, AT(otlp_endpoint), NULL,
                 "collector of traces, as http://127.0.0.1:4318; default none"},
                {"OTEL_EXPORTER_OTLP_HEADERS", SETTING_SECRET, AT(otlp_headers), NULL,
                 "headers for it, name=value, comma separated"},
                {"OTEL_SERVICE_NAME", SETTING_STRING, AT(otlp_service), "runbookd",
                 "service.name of the traces"},
                {"PORT", SETTING_NUMBER, AT(port), "3000",
                 "of REST, metrics and console; 0: no HTTP at all", 0,
                 65535},
                {"BIND_ADDRESS", SETTING_STRING, AT(bind_address), "127.0.0.1",
                 "the address that PORT is opened on"},
                {"AUTH_MODE", SETTING_CHOICE, AT(auth_mode), "none",
                 "how HTTP clients prove who they are: none (only on loopback), token, jwt", 0, 0, "none token jwt"},
                {"AUTH_TOKENS_FILE", SETTING_STRING, AT(auth_tokens_file), NULL,
                 "for token: lines of SHA-256 of a token, user, tenant"},
                {"AUTH_JWKS_FILE", SETTING_STRING, AT(auth_jwks_file), NULL,
                 "for jwt: the keys that tokens are signed with, a JSON Web Key Set"},
                {"AUTH_ISSUER", SETTING_STRING, AT(auth_issuer), NULL,
                 "for jwt: what the claim iss must say"},
                {"AUTH_AUDIENCE", SETTING_STRING, AT(auth_audience), NULL,
                 "for jwt: what the claim aud must name"},
                {"AUTH_USER_CLAIM", SETTING_STRING, AT(auth_user_claim), "sub",
                 "for jwt: the claim with the user's name"},
                {"AUTH_TENANT_CLAIM", SETTING_STRING, AT(auth_tenant_claim), "tenant",
                 "for jwt: the claim with the tenant's name"},
                {"ENABLE_CORS", SETTING_BOOL, AT(enable_cors), "false",
                 "let pages of CORS_ORIGINS use the REST API"},
                {"CORS_ORIGINS", SETTING_LIST, AT(cors_origins), NULL,
                 "origins like https://ops.example.com, comma separated; * is every one"},
                {"HTTP_CONNECTIONS", SETTING_NUMBER, AT(http_connections), "2048",
                 "HTTP connections at a time",
                 16, 65536},
                {"LOG_LEVEL", SETTING_CHOICE, AT(log_level), "info", "error, warn, info or debug", 0, 0,
                 "error warn info debug"},
                {"DRAIN_TIMEOUT_MS", SETTING_NUMBER, AT(drain_timeout_ms), "10000",
                 "how long a stop may take",
                 0, 3600000},
};

/*
 * Settings that other engines have and this one has no use for; whoever sets them should hear that they do
 * nothing here.
 */
static const char *const elsewhere[] = {"DATABASE_URL"};

/* What the program is asked to do instead of running, and how. */
static const SettingAction actions[] = {
                {"--adopt-restored", AT(adopt_restored), {0}, 0, false,
                 "run on a store that was restored or moved from another place"},
                {"--backup", AT(backup), {AT(data_dir), AT(backup_to)}, 2, false,
                 "copy a store, also while its engine runs: --backup DATA_DIR TARGET"},
                {"--check", AT(check_store), {AT(data_dir)}, 0, false,
                 "check the store that no engine has open: --check [DATA_DIR]"},
                {"--check-config", AT(check_only), {0}, 0, false, "check the settings, print them, end"},
                {"--deep", AT(deep), {0}, 0, false, "with --check: replay every journal, too"},
                {"--help", AT(show_help), {0}, 0, true, "this text"},
                {"--json", AT(json), {0}, 0, false, "with --check: the outcome as JSON"},
                {"--version", AT(show_version), {0}, 0, true, "the version"},
};

static const SettingTable table = {.program = "runbookd",
                                   .settings = settings,
                                   .n_settings = N_ELEMENTS(settings),
                                   .actions = actions,
                                   .n_actions = N_ELEMENTS(actions),
                                   .name_width = 27};

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
        *ret = (Config){0};
        int r = settings_read(&table, argc, argv, getenv, report, ret);
        if (!r && !ret->show_help && !ret->show_version)
                r = check_together(ret, report);
        note_unused(ret);
        return r;
}

void config_deinit(Config *c) {
        settings_deinit(&table, c);
        *c = (Config){0};
}

void config_put_help(Buf *b) {
        buf_put_str(b, "runbookd: the durable runbook engine. Takes commands and events from NATS, keeps "
                       "executions in DATA_DIR.\n\n"
                       "Usage: runbookd [--<setting> <value>]… [--<action> …]\n\n"
                       "Settings come from the environment (NATS_URL) or as options (--nats-url), which "
                       "win:\n\n");
        settings_put_help(&table, b);
        buf_put_str(b, "\nInstead of running, or with it:\n\n");
        settings_put_actions(&table, b);
        buf_put_str(b, "\nExit status: 0 stopped as asked · 1 could not start (the reason is the last line "
                       "of the log), or what\n"
                       "was to be checked has faults · 2 a setting is wrong · 3 fenced off · 70 the store failed while "
                       "running · 128+n\nended by a second signal n\n");
}

void config_put_values(const Config *c, Buf *b) { settings_put_values(&table, c, b); }
