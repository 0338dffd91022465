#pragma once
/* Executions that are hot: loaded once, moved many times. The writer's alone. */

#include "base/list.h"
#include "base/map.h"
#include "model/execution.h"

#define CACHE_MEASURE_EVERY 16 /* moves between two exact measurements of a big execution */
#define CACHE_SMALL 64         /* instances up to which it is a small one */
#define CACHE_MEASURE_SMALL_EVERY 4 /* and of a small one */

typedef struct CacheEntry {
        Execution *x;           /* owned */
        List lru;
        size_t size;            /* bytes, as last measured */
        uint32_t n_unmeasured;  /* moves since */
        struct Touched *touched; /* what the running batch does to it; NULL: nothing. Such entries stay */
} CacheEntry;

typedef struct Cache {
        Map map;     /* execution id → CacheEntry */
        List lru;    /* least recently used first */
        size_t bytes, bytes_max;
} Cache;

void cache_init(Cache *c, size_t bytes_max, uint64_t seed0, uint64_t seed1);
void cache_deinit(Cache *c);
/** NULL when absent; else it is the most recently used now. */
CacheEntry *cache_get(Cache *c, Uuid id);
/** Takes @x (also on failure), whose id must be absent. NULL when out of memory. */
CacheEntry *cache_put(Cache *c, Execution *x);
/** Forget @e and free its execution. */
void cache_drop(Cache *c, CacheEntry *e);
/** @e was moved: account for its size again. */
void cache_measure(Cache *c, CacheEntry *e);
/** Drop the least recently used ones, except those that a batch has touched, until the bytes fit. */
void cache_trim(Cache *c);
