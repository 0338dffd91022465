/*
 * Settings of runbook-gateway: the same names, defaults and meaning as runbookd has for them.
 * base/settings.c reads the table.
 */

#include <stddef.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "gateway/config.h"

#define AT(member) offsetof(GatewayConfig, member)

/* In the order of the help text. */
static const Setting settings[] = {
                {"AUTH_AUDIENCE", SETTING_STRING, AT(auth_audience), NULL,
                 "for jwt: what the claim aud must name"},
                {"AUTH_ISSUER", SETTING_STRING, AT(auth_issuer), NULL,
                 "for jwt: what the claim iss must say"},
                {"AUTH_JWKS_FILE", SETTING_STRING, AT(auth_jwks_file), NULL,
                 "for jwt: the keys that tokens are signed with, a JSON Web Key Set"},
                {"AUTH_MODE", SETTING_CHOICE, AT(auth_mode), "none",
                 "how clients prove who they are: none (only on loopback), token, jwt", 0, 0,
                 "none token jwt"},
                {"AUTH_TENANT_CLAIM", SETTING_STRING, AT(auth_tenant_claim), "tenant",
                 "for jwt: the claim with the tenant's name"},
                {"AUTH_TOKENS_FILE", SETTING_STRING, AT(auth_tokens_file), NULL,
                 "for token: lines of SHA-256 of a token, user, tenant"},
                {"AUTH_USER_CLAIM", SETTING_STRING, AT(auth_user_claim), "sub",
                 "for jwt: the claim with the user's name"},
                {"BIND_ADDRESS", SETTING_STRING, AT(bind_address), "127.0.0.1",
                 "the address that PORT is opened on"},
                {"CORS_ORIGINS", SETTING_LIST, AT(cors_origins), NULL,
                 "origins like https://ops.example.com, comma separated; * is every one"},
                {"DRAIN_TIMEOUT_MS", SETTING_NUMBER, AT(drain_timeout_ms), "10000",
                 "how long a stop may take", 0, 3600000},
                {"ENABLE_CORS", SETTING_BOOL, AT(enable_cors), "false",
                 "let pages of CORS_ORIGINS use the REST API"},
                {"HTTP_CONNECTIONS", SETTING_NUMBER, AT(http_connections), "2048",
                 "HTTP connections at a time", 16, 65536},
                {"LOG_LEVEL", SETTING_CHOICE, AT(log_level), "info", "error, warn, info or debug", 0, 0,
                 "error warn info debug"},
                {"NATS_CA", SETTING_STRING, AT(nats_ca), NULL,
                 "PEM file: who may sign the server's certificate"},
                {"NATS_CERT", SETTING_STRING, AT(nats_cert), NULL, "PEM file: our certificate"},
                {"NATS_CREDS", SETTING_STRING, AT(nats_creds), NULL, "credentials file (user JWT and seed)"},
                {"NATS_INBOX_PREFIX", SETTING_STRING, AT(nats_inbox_prefix), "_INBOX.gateway",
                 "where answers come to"},
                {"NATS_KEY", SETTING_STRING, AT(nats_key), NULL, "PEM file: its key"},
                {"NATS_NKEY", SETTING_STRING, AT(nats_nkey), NULL, "file with a user seed"},
                {"NATS_PASSWORD", SETTING_SECRET, AT(nats_password), NULL, "its password"},
                {"NATS_TOKEN", SETTING_SECRET, AT(nats_token), NULL, "NATS token"},
                {"NATS_URL", SETTING_URL, AT(nats_url), "nats://127.0.0.1:4222",
                 "NATS servers, comma separated"},
                {"NATS_USER", SETTING_STRING, AT(nats_user), NULL, "NATS user"},
                {"PORT", SETTING_NUMBER, AT(port), "3000", "of REST, metrics and console", 0, 65535},
                {"SUBJECT_PREFIX", SETTING_STRING, AT(subject_prefix), "runbook.v1",
                 "what all subjects begin with"},
};

static const SettingAction actions[] = {
                {"--check-config", AT(check_only), {0}, 0, false, "check the settings, print them, end"},
                {"--help", AT(show_help), {0}, 0, true, "this text"},
                {"--version", AT(show_version), {0}, 0, true, "the version"},
};

static const SettingTable table = {.program = "runbook-gateway",
                                   .settings = settings,
                                   .n_settings = N_ELEMENTS(settings),
                                   .actions = actions,
                                   .n_actions = N_ELEMENTS(actions),
                                   .name_width = 20};

int gateway_config_load(int argc, char *const *argv, Report *report, GatewayConfig *ret) {
        *ret = (GatewayConfig){0};
        return settings_read(&table, argc, argv, getenv, report, ret);
}

void gateway_config_deinit(GatewayConfig *c) { settings_deinit(&table, c); }

GatewaySettings gateway_config_settings(const GatewayConfig *c) {
        return (GatewaySettings){.bind_address = c->bind_address,
                                 .port = (uint16_t)c->port,
                                 .connections_max = c->http_connections,
                                 .auth_mode = gateway_auth_mode(c->auth_mode),
                                 .token_file = c->auth_tokens_file,
                                 .jwks_file = c->auth_jwks_file,
                                 .issuer = c->auth_issuer,
                                 .audience = c->auth_audience,
                                 .user_claim = c->auth_user_claim,
                                 .tenant_claim = c->auth_tenant_claim,
                                 .enable_cors = c->enable_cors,
                                 .cors_origins = c->cors_origins.items,
                                 .nats_url = c->nats_url,
                                 .nats_creds = c->nats_creds,
                                 .nats_user = c->nats_user,
                                 .nats_password = c->nats_password,
                                 .nats_token = c->nats_token,
                                 .nats_nkey = c->nats_nkey,
                                 .nats_ca = c->nats_ca,
                                 .nats_cert = c->nats_cert,
                                 .nats_key = c->nats_key,
                                 .inbox_prefix = c->nats_inbox_prefix,
                                 .subject_prefix = c->subject_prefix};
}

void gateway_config_put_help(Buf *b) {
        buf_put_str(b,
                    "runbook-gateway: REST, events and console over HTTP, in front of runbook engines.\n\n"
                    "Usage: runbook-gateway [--<setting> <value>]… [--check-config] [--version] [--help]\n\n"
                    "Settings come from the environment (NATS_URL) or as options (--nats-url), which "
                    "win:\n\n");
        settings_put_help(&table, b);
        buf_put_str(b, "\nExit status: 0 stopped as asked · 1 could not start · 2 a setting is wrong\n");
}

void gateway_config_put_values(const GatewayConfig *c, Buf *b) { settings_put_values(&table, c, b); }
