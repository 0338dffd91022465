#pragma once
/* Where to connect, and as whom: what the caller gave, the environment, a NATS context, defaults — in this
 * order. */

#include <runbook/client.h>

#define SETTINGS_FILE_BYTES_MAX (256 * 1024) /* context, credentials and seed files */

/** Owned strings; NULL: not given. */
typedef struct ClientSettings {
        char *servers;
        char *credentials, *nats_user, *nats_password, *nats_token, *nkey;
        char *tls_ca, *tls_certificate, *tls_key;
        char *inbox_prefix;
        char *tenant, *user, *prefix, *name;
        int64_t connect_timeout_ms, timeout_ms;
        int attempts;
} ClientSettings;

void client_settings_deinit(ClientSettings *s);
/** 0, E_INVALID, E_CONFIG or E_MEMORY with @e. Zero-initialised @ret; to be deinited in any case. */
int client_settings_load(const RunbookClientOptions *options, ClientSettings *ret, RunbookClientError *e);

/* credentials.c: what a .creds file, or a file with a lone seed, says. */

/** The user JWT in credentials file @path, owned. 0, E_CONFIG or E_MEMORY with @e. */
int credentials_jwt(const char *path, char **ret, RunbookClientError *e);
/** The JWT's `name` claim: owned, NULL if there is none or it can't be read. */
char *credentials_user_name(const char *path);
/** The public key ("U…") of the user seed in @path, owned. 0, E_CONFIG or E_MEMORY with @e. */
int credentials_public_key(const char *path, char **ret, RunbookClientError *e);
/** The file's bytes, NUL-terminated and owned; NULL with errno set (EFBIG: over SETTINGS_FILE_BYTES_MAX). */
char *settings_read_file(const char *path);
