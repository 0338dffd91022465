#pragma once
/* Whose turn it is: a queue in which tenants take turns. */

#include "base/list.h"
#include "base/map.h"

typedef struct TurnTenant TurnTenant;

/** Part of what waits. Zero-initialised is "waits nowhere". */
typedef struct Turn {
        List node;
        TurnTenant *tenant; /* NULL: in no queue */
        size_t weight;      /* as its owner likes, set before turns_add: summed up by tenant */
} Turn;

typedef struct TurnQueue {
        Map tenants;       /* those that wait, and `spare` */
        List turns;        /* those that wait, next one first */
        size_t n, weight;  /* turns in all, and what they weigh */
        TurnTenant *spare; /* waits for nothing any more, but may be back at once; NULL: none */
        TurnTenant *last;  /* of the last turns_add; NULL: not known */
} TurnQueue;

/** What one tenant has in the queue. */
typedef struct TurnShare {
        size_t n, weight;
} TurnShare;

void turns_init(TurnQueue *q, uint64_t seed0, uint64_t seed1);
/** Its turns must have been removed. */
void turns_deinit(TurnQueue *q);
/** Put @t, which waits nowhere, at the end of @tenant's queue. 0 or -ENOMEM. */
int turns_add(TurnQueue *q, Slice tenant, Turn *t);
void turns_remove(TurnQueue *q, Turn *t); /* fine if it waits nowhere */
/** Take the next one out; NULL: none waits. Its tenant goes to the end. */
Turn *turns_take(TurnQueue *q);
TurnShare turns_share(TurnQueue *q, Slice tenant);
