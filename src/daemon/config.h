#pragma once
/* What runbookd is told: environment variables, and options of the same names. */

#include "base/settings.h"

typedef struct Config {
        /* NATS */
        const char *nats_url, *nats_creds, *nats_user, *nats_password, *nats_token, *nats_nkey,
                        *nats_nkey_public;
        const char *nats_ca, *nats_cert, *nats_key;
        const char *subject_prefix;
        SettingList reply_prefixes;
        int64_t queue_ack_pending;
        /* store */
        const char *storage_backend, *data_dir;
        int64_t store_max_mb, store_high_percent, cache_mb, command_id_ttl_ms, outbox_ttl_ms;
        int64_t checkpoint_interval_ms;
        const char *checkpoint_key_file;
        /* engine */
        int64_t memory_max_mb;
        int64_t inbox_max, inbox_tenant_max, tasks_max, tenant_tasks_max, tenant_executions_max;
        int64_t max_concurrent_steps, max_retries, initial_delay_ms, max_delay_ms;
        double backoff_multiplier;
        bool allow_timeout_approve, detailed_logging;
        int64_t early_events_max, early_event_ttl_ms;
        /* HTTP steps */
        int64_t http_in_flight_max, http_open_max, http_response_bytes_max, http_timeout_ms;
        const char *http_allow, *http_ca_file, *http_target_limits, *secrets_dir;
        int64_t http_target_concurrency, http_tenant_concurrency;
        /* who may run what */
        const char *authz_url, *authz_token_file;
        int64_t authz_timeout_ms;
        /* other steps */
        const char *jq_path, *plugin_dir;
        int64_t transform_pool, transform_memory_mb, transform_cpu_ms, transform_open_max,
                        transform_timeout_ms;
        int64_t plugin_threads, plugin_open_max, plugin_timeout_ms;
        int64_t worker_timeout_ms, worker_heartbeat_ms;
        /* traces */
        const char *otlp_endpoint, *otlp_headers, *otlp_service;
        /* HTTP */
        int64_t port, http_connections;
        const char *bind_address, *auth_mode, *auth_tokens_file, *auth_jwks_file, *auth_issuer, *auth_audience,
                        *auth_user_claim, *auth_tenant_claim;
        bool enable_cors;
        SettingList cors_origins;
        /* the process */
        const char *log_level;
        int64_t drain_timeout_ms;
        /* what the command line asks for */
        bool show_help, show_version, check_only;
        bool check_store, backup; /* the other things that the program does instead of running: offline.c */
        bool deep, json;
        bool adopt_restored; /* run on a copy: fence.c */
        const char *backup_to;
        const char *unused; /* names of settings that were given but do nothing in this program; "" for none
                             */
        char unused_text[256];
} Config;

/**
 * Defaults, then the environment, then the command line. 0, or -EINVAL with a sentence in @report that
 * names the wrong value.
 */
int config_load(int argc, char *const *argv, Report *report, Config *ret);
void config_deinit(Config *c);
/** The help text: every setting with its default. */
void config_put_help(Buf *b);
/** One "NAME=value" a line, secrets masked, for --check-config. */
void config_put_values(const Config *c, Buf *b);
