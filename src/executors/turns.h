#pragma once
/* Whose turn it is: a queue in which tenants take turns. */

#include "base/list.h"
#include "base/map.h"

typedef struct TurnTenant TurnTenant;

/** Part of what waits. Zero-initialised is "waits nowhere". */
typedef struct Turn {
        List node;
        TurnTenant *tenant; /* NULL: in no queue */
} Turn;

typedef struct TurnQueue {
        Map tenants; /* those that wait */
        List turns;  /* the same, next one first */
        size_t n;    /* turns in all */
} TurnQueue;

void turns_init(TurnQueue *q, uint64_t seed0, uint64_t seed1);
/** Its turns must have been removed. */
void turns_deinit(TurnQueue *q);
/** Put @t, which waits nowhere, at the end of @tenant's queue. 0 or -ENOMEM. */
int turns_add(TurnQueue *q, Slice tenant, Turn *t);
void turns_remove(TurnQueue *q, Turn *t); /* fine if it waits nowhere */
/** Take the next one out; NULL: none waits. Its tenant goes to the end. */
Turn *turns_take(TurnQueue *q);
