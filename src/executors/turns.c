/*
 * Turns
 *
 * Tenants take turns, each of their jobs is one turn: whoever submits a thousand jobs that run for seconds
 * keeps the others waiting for one of them, not for all.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "executors/turns.h"

struct TurnTenant {
        List node;  /* in TurnQueue.turns */
        List queue; /* its turns */
        size_t n_name;
        char name[];
};

static Slice name_of(const TurnTenant *t) { return (Slice){t->name, t->n_name}; }

void turns_init(TurnQueue *q, uint64_t seed0, uint64_t seed1) {
        *q = (TurnQueue){0};
        map_init(&q->tenants, seed0, seed1);
        list_init(&q->turns);
}

void turns_deinit(TurnQueue *q) {
        assert(q->n == 0);
        map_deinit(&q->tenants);
}

static TurnTenant *tenant_get(TurnQueue *q, Slice name) {
        TurnTenant *t = map_get(&q->tenants, name);
        if (t)
                return t;
        t = malloc(sizeof(*t) + name.n);
        if (!t)
                return NULL;
        *t = (TurnTenant){.n_name = name.n};
        if (name.n > 0)
                memcpy(t->name, name.data, name.n);
        list_init(&t->queue);
        if (map_put(&q->tenants, name_of(t), t) < 0) {
                free(t);
                return NULL;
        }
        list_push_back(&q->turns, &t->node);
        return t;
}

int turns_add(TurnQueue *q, Slice tenant, Turn *t) {
        assert(!t->tenant);
        t->tenant = tenant_get(q, tenant);
        if (!t->tenant)
                return -ENOMEM;
        list_push_back(&t->tenant->queue, &t->node);
        q->n++;
        return 0;
}

void turns_remove(TurnQueue *q, Turn *t) {
        TurnTenant *tenant = t->tenant;
        if (!tenant)
                return;
        list_remove(&t->node);
        t->tenant = NULL;
        q->n--;
        if (list_is_empty(&tenant->queue)) {
                map_remove(&q->tenants, name_of(tenant));
                list_remove(&tenant->node);
                free(tenant);
        }
}

Turn *turns_take(TurnQueue *q) {
        if (list_is_empty(&q->turns))
                return NULL;
        TurnTenant *tenant = LIST_ENTRY(q->turns.next, TurnTenant, node);
        list_remove(&tenant->node);
        list_push_back(&q->turns, &tenant->node);
        Turn *t = LIST_ENTRY(tenant->queue.next, Turn, node);
        turns_remove(q, t);
        return t;
}
