#pragma once
/* What runbook-gateway is told: environment variables, and options of the same names. */

#include "base/settings.h"
#include "gateway/gateway.h"

typedef struct GatewayConfig {
        const char *auth_audience, *auth_issuer, *auth_jwks_file, *auth_mode, *auth_tenant_claim,
                        *auth_tokens_file, *auth_user_claim;
        const char *bind_address;
        int64_t port, http_connections;
        SettingList cors_origins;
        bool enable_cors;
        const char *nats_ca, *nats_cert, *nats_creds, *nats_inbox_prefix, *nats_key, *nats_nkey,
                        *nats_password, *nats_token, *nats_url, *nats_user;
        const char *subject_prefix;
        const char *log_level;
        int64_t drain_timeout_ms;
        bool show_help, show_version, check_only;
} GatewayConfig;

/** 0, or -EINVAL with a sentence that names the wrong value. gateway_config_deinit must follow either way. */
int gateway_config_load(int argc, char *const *argv, Report *report, GatewayConfig *ret);
void gateway_config_deinit(GatewayConfig *c);
/** What the gateway itself is told; its strings are @c's. */
GatewaySettings gateway_config_settings(const GatewayConfig *c);
void gateway_config_put_help(Buf *b);
/** One "NAME=value" a line, secrets masked. */
void gateway_config_put_values(const GatewayConfig *c, Buf *b);
