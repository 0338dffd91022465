#pragma once
/*
 * May a step run? Asks the authorization service (AUTHZ_URL): over HTTP in the shape of Open Policy Agent's
 * data API, or whoever answers on a NATS subject. Takes questions (Task.is_question), gives decisions.
 */

#include "runtime/ports.h"

typedef struct AuthzSettings {
        const char *url;        /* http://…, https://…, or nats:<subject> */
        int64_t timeout_ms;     /* for one answer; 0: AUTHZ_TIMEOUT_DEFAULT_MS */
        const char *token_file; /* bearer token of HTTP; read for each question. NULL: none */
        const char *ca_file;    /* NULL: the system's */
        const char *user_agent; /* NULL: the HTTP executor's default */
} AuthzSettings;

#define AUTHZ_TIMEOUT_DEFAULT_MS 5000
#define AUTHZ_TIMEOUT_MAX_MS     600000
#define AUTHZ_OPEN_MAX           100000 /* questions open at once; more are answered with "unavailable" */
#define AUTHZ_IN_FLIGHT_MAX      512 /* HTTP calls; one service gets half of them at a time, the rest wait */
#define AUTHZ_ANSWER_BYTES_MAX   (64 * 1024) /* a longer answer is none */
#define AUTHZ_REASON_BYTES_MAX   1024        /* longer ones are cut */
#define AUTHZ_TOKEN_BYTES_MAX    8192        /* of the token's file */
#define AUTHZ_SUBJECT_BYTES_MAX  256         /* of a NATS subject */

/** Is @url one that is asked over the bus? */
bool authz_is_bus(const char *url);
/**
 * Check the settings and start. @bus (copied) is used by `nats:` alone, and may be NULL for HTTP. 0, -EINVAL with a
 * sentence in @report, or negative.
 */
int authz_executor_new(const AuthzSettings *settings, const AskBus *bus, const ExecutorHost *host,
                       Report *report, Executor **ret);
