#pragma once
/* The gateway's inside: limits, and the struct that its files share. */

#include <pthread.h>
#include <stdatomic.h>
#include "base/list.h"
#include "client/link.h"
#include "gateway/gateway.h"

#define IDENTITY_BYTES_MAX    128 /* of a user's or tenant's name, as the engine has it */
#define REQUEST_ID_MAX        128
#define BODY_BYTES_MAX        (64u << 20)  /* of any request; routes and NATS say less */
#define BODY_SMALL_MAX        (64u << 10)  /* of commands that hold no values */
#define BODY_VALUES_MAX       (1363148u)   /* 1.3 MiB: starts, events, definitions to validate */
#define BODIES_BYTES_MAX      (256u << 20) /* of all requests at a time */
#define MESSAGE_MARGIN        4096         /* what a NATS message needs besides its body */
#define CALL_TIMEOUT_MS       10000
#define CALL_LARGE_TIMEOUT_MS 30000 /* registering a large definition */
#define TICK_MS               250
#define CONNECT_TIMEOUT_MS    2000
#define CONNECT_PAUSE_MS      1000
#define CONNECTIONS_MAX       4096

typedef struct Auth Auth;
typedef struct AccessTable AccessTable;
typedef struct Http Http;

struct Gateway {
        GatewaySettings settings;
        GatewayHost host;
        Auth *auth;
        AccessTable *access;
        Http *http;
        _Atomic(Link *) link; /* NULL until NATS was reached for the first time */
        pthread_t ticker, connector;
        bool has_ticker, has_connector;
        pthread_mutex_t lock;
        pthread_cond_t changed; /* is_stopping */
        bool is_stopping;
        atomic_bool is_draining;
        pthread_mutex_t streams_lock; /* the next two */
        List streams;                 /* Stream.node */
        size_t n_streams;
        atomic_size_t n_body_bytes;
        atomic_size_t n_pending; /* requests that wait for an answer */
};

/** The link when NATS is there, else NULL. */
static inline Link *gateway_link(Gateway *g) {
        Link *link = atomic_load(&g->link);

        return link && link_is_connected(link) ? link : NULL;
}
