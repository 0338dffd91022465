#pragma once
/* replay: verify. Recorded inputs go through the engine again, and what it says is held against what was
 * recorded. */

#include <pthread.h>

#include "runtime/ports.h"
#include "storage/store.h"

#define VERIFY_QUEUE_MAX 64        /* requests waiting; more are told OVERLOADED */
#define VERIFY_DIVERGENCES_MAX 20  /* divergences told; further ones are counted */

typedef struct Runtime Runtime;

typedef struct Verifier {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        List queue;
        size_t n;
        bool stopping;
} Verifier;

void verifier_init(Verifier *v);
void verifier_deinit(Verifier *v);
/** Takes @q; false when the queue is full. */
bool verifier_put(Verifier *v, Request *q);
/** Verify one and answer it: false when there was none. */
bool verifier_turn(Runtime *r);
/** The thread's body. */
void verifier_run(Runtime *r);
/** The thread ends after the one at hand; requests still queued are answered UNAVAILABLE. */
void verifier_stop(Verifier *v);

/**
 * Verify execution @id as it is stored: append {"version":"v1","identical":…,"divergences":[…]} to @body. 0,
 * STORE_E_NOT_FOUND or negative.
 */
int verify_execution(Runtime *r, Uuid id, Buf *body, bool *ret_identical);
