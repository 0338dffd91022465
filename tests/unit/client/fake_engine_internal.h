#pragma once
/* What the small engine's files share. */

#include <jansson.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "fake_engine.h"

#define TOKENS_MAX 16

struct FakeEngine {
        natsConnection *nc;
        natsSubscription *subscriptions[4];
        pthread_mutex_t lock;
        pthread_t ticker;
        bool stopping;
        json_t *runbooks;   /* "id" → definition */
        json_t *executions; /* list of objects, see start() */
        json_t *results;    /* command id → {body, status} */
        int n_swallow, n_applied, n_received;
        char *answer_next;
        char last_subject[512], last_body[4096];
};

/** One request taken apart. */
typedef struct Call {
        FakeEngine *f;
        char *tokens[TOKENS_MAX];
        int n_tokens;
        const char *tenant, *user;
        json_t *body;
        json_t *reply;
        int status;
} Call;

json_t *fake_time(void);
/** "" when it is not there. */
const char *fake_text(const json_t *object, const char *key);
/** Answer with an error of the protocol. */
void fake_refuse(Call *c, const char *code, int status, const char *message);
/** Execution @id of the caller's tenant; NULL after having refused. */
json_t *fake_find(Call *c, const char *id);
/** The definition's step that @x is at; NULL at the end. */
json_t *fake_current_step(FakeEngine *f, json_t *x);
/** Answer a query. */
void fake_query(Call *c);
