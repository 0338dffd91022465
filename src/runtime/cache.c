/*
 * Execution cache
 *
 * Everything in it is committed or belongs to the running batch. A batch that fails drops what it touched,
 * and the store tells the truth when it is asked next. Executions that ended are dropped at once: most are
 * never asked for again.
 */
#include <assert.h>
#include <stdlib.h>

#include "runtime/cache.h"

void cache_init(Cache *c, size_t bytes_max, uint64_t seed0, uint64_t seed1) {
        *c = (Cache){.bytes_max = bytes_max};
        map_init(&c->map, seed0, seed1);
        list_init(&c->lru);
}

void cache_deinit(Cache *c) {
        LIST_FOREACH_SAFE(node, next, &c->lru)
                cache_drop(c, LIST_ENTRY(node, CacheEntry, lru));
        assert(c->map.n == 0 && c->bytes == 0);
        map_deinit(&c->map);
}

CacheEntry *cache_get(Cache *c, Uuid id) {
        CacheEntry *e = map_get(&c->map, uuid_slice(&id));
        if (e) {
                list_remove(&e->lru);
                list_push_back(&c->lru, &e->lru);
        }
        return e;
}

CacheEntry *cache_put(Cache *c, Execution *x) {
        CacheEntry *e = calloc(1, sizeof(*e));
        if (!e) {
                execution_free(x);
                return NULL;
        }
        e->x = x;
        list_init(&e->lru);
        int r = map_put(&c->map, uuid_slice(&x->id), e);
        assert(r <= 0);
        if (r < 0) {
                execution_free(x);
                free(e);
                return NULL;
        }
        list_push_back(&c->lru, &e->lru);
        e->n_unmeasured = CACHE_MEASURE_EVERY;
        cache_measure(c, e);
        return e;
}

void cache_drop(Cache *c, CacheEntry *e) {
        void *gone = map_remove(&c->map, uuid_slice(&e->x->id));
        assert(gone == e);
        list_remove(&e->lru);
        c->bytes -= e->size;
        execution_free(e->x);
        free(e);
}

void cache_measure(Cache *c, CacheEntry *e) {
        /* Measuring walks all instances: for big ones every time would make an execution's cost quadratic. */
        unsigned every = e->x->n_instances > CACHE_SMALL ? CACHE_MEASURE_EVERY : CACHE_MEASURE_SMALL_EVERY;
        if (++e->n_unmeasured < every)
                return;
        e->n_unmeasured = 0;
        c->bytes -= e->size;
        e->size = sizeof(*e) + execution_size(e->x);
        c->bytes += e->size;
}

void cache_trim(Cache *c) {
        LIST_FOREACH_SAFE(node, next, &c->lru) {
                if (c->bytes <= c->bytes_max)
                        break;
                CacheEntry *e = LIST_ENTRY(node, CacheEntry, lru);
                if (!e->touched)
                        cache_drop(c, e);
        }
}
