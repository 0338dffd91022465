#pragma once
/*
 * The HTTP gateway: REST and server-sent events as a thin client of the NATS subjects.
 *
 * Every request becomes one message on the subject of the authenticated user, and the engine's answer becomes
 * the response; nothing is decided here but who is asking. `runbookd` runs it inside, `runbook-gateway` alone.
 */

#include "base/buf.h"
#include "base/report.h"

typedef struct Gateway Gateway;

typedef enum AuthMode { AUTH_NONE, AUTH_TOKEN, AUTH_JWT } AuthMode;

/** The mode that AUTH_MODE's @name means ("none", "token", "jwt"). */
AuthMode gateway_auth_mode(const char *name);

/** All strings are borrowed and must outlive the gateway; NULL: not given. */
typedef struct GatewaySettings {
        const char *bind_address; /* an IPv4 or IPv6 address */
        uint16_t port;            /* 0: any free one, see gateway_port */
        int64_t connections_max;
        /* who is asking */
        AuthMode auth_mode;
        const char *token_file;                /* AUTH_TOKEN: lines of digest, user, tenant */
        const char *jwks_file;                 /* AUTH_JWT: a JSON Web Key Set */
        const char *issuer, *audience;         /* AUTH_JWT: what `iss` and `aud` must say */
        const char *user_claim, *tenant_claim; /* AUTH_JWT */
        /* other origins' pages */
        bool enable_cors;
        const char *const *cors_origins; /* NULL-terminated; "*": every one */
        /* NATS */
        const char *nats_url; /* comma separated */
        const char *nats_creds, *nats_user, *nats_password, *nats_token, *nats_nkey;
        const char *nats_ca, *nats_cert, *nats_key;
        const char *inbox_prefix;
        const char *subject_prefix;
} GatewaySettings;

/** What the program around it knows. Members may be NULL: then the engine is asked. */
typedef struct GatewayHost {
        bool (*is_writable)(void *userdata);
        /** Prometheus text, appended. */
        void (*put_metrics)(void *userdata, Buf *out);
        void *userdata;
} GatewayHost;

/** Check the settings, read the key files. 0, or -EINVAL/-ENOMEM with a sentence in @report. */
int gateway_new(const GatewaySettings *settings, const GatewayHost *host, Report *report, Gateway **ret);
/** Listen and serve, on threads of its own; NATS may come later. 0, or negative with a sentence in @report. */
int gateway_start(Gateway *g, Report *report);
/** The port that it listens on. */
uint16_t gateway_port(const Gateway *g);
/** Not ready any more: refuse what is new, tell streams why they end, let the rest finish within @timeout_ms. */
void gateway_drain(Gateway *g, int64_t timeout_ms);
/** Stop and free. NULL-safe, also without start and drain. */
void gateway_free(Gateway *g);
