/*
 * Turns
 *
 * Tenants take turns, each of their jobs is one turn: whoever submits a thousand jobs that run for seconds
 * keeps the others waiting for one of them, not for all.
 *
 * A queue is often empty and filled again by the same tenant, so the last one that went is kept, and the last
 * one that came is looked at before the map is: with one tenant this is a list with a comparison of names.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/turns.h"

struct TurnTenant {
        List node;  /* in TurnQueue.turns while it waits */
        List queue; /* its turns */
        size_t n, weight;
        size_t n_name;
        char name[];
};

static Slice name_of(const TurnTenant *t) { return (Slice){t->name, t->n_name}; }

void turns_init(TurnQueue *q, uint64_t seed0, uint64_t seed1) {
        *q = (TurnQueue){0};
        map_init(&q->tenants, seed0, seed1);
        list_init(&q->turns);
}

static void tenant_free(TurnQueue *q, TurnTenant *t) {
        if (!t)
                return;
        if (q->last == t)
                q->last = NULL;
        map_remove(&q->tenants, name_of(t));
        free(t);
}

void turns_deinit(TurnQueue *q) {
        assert(q->n == 0);
        tenant_free(q, q->spare);
        map_deinit(&q->tenants);
        *q = (TurnQueue){0};
}

/** NULL: it has nothing here. */
static TurnTenant *tenant_find(TurnQueue *q, Slice name) {
        if (q->last && slice_eq(name_of(q->last), name))
                return q->last;
        return q->tenants.n > 0 ? map_get(&q->tenants, name) : NULL;
}

static TurnTenant *tenant_get(TurnQueue *q, Slice name) {
        TurnTenant *t = tenant_find(q, name);
        if (t)
                return t;
        t = malloc(sizeof(*t) + name.n);
        if (!t)
                return NULL;
        *t = (TurnTenant){.n_name = name.n};
        if (name.n > 0)
                memcpy(t->name, name.data, name.n);
        list_init(&t->node);
        list_init(&t->queue);
        if (map_put(&q->tenants, name_of(t), t) < 0) {
                free(t);
                return NULL;
        }
        return t;
}

int turns_add(TurnQueue *q, Slice tenant, Turn *t) {
        assert(!t->tenant);
        TurnTenant *to = tenant_get(q, tenant);
        if (!to)
                return -ENOMEM;
        if (to->n++ == 0)
                list_push_back(&q->turns, &to->node);
        if (q->spare == to)
                q->spare = NULL;
        to->weight += t->weight;
        list_push_back(&to->queue, &t->node);
        t->tenant = q->last = to;
        q->n++;
        q->weight += t->weight;
        return 0;
}

void turns_remove(TurnQueue *q, Turn *t) {
        TurnTenant *tenant = t->tenant;
        if (!tenant)
                return;
        list_remove(&t->node);
        t->tenant = NULL;
        q->n--;
        q->weight -= t->weight;
        tenant->weight -= t->weight;
        if (--tenant->n > 0)
                return;
        list_remove(&tenant->node);
        tenant_free(q, q->spare);
        q->spare = tenant;
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

TurnShare turns_share(TurnQueue *q, Slice tenant) {
        const TurnTenant *t = tenant_find(q, tenant);
        return t ? (TurnShare){t->n, t->weight} : (TurnShare){0};
}
