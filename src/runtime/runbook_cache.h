#pragma once
/* Compiled runbooks, shared by the writer and everyone who reads the store. */

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "storage/store.h"

/** Of compiled definitions that are kept; those in use live on by their references. */
#define RUNBOOK_CACHE_BYTES (256UL * 1024 * 1024)

typedef struct RunbookCache {
        pthread_mutex_t lock;
        Map map;
        List lru; /* least recently used first */
        size_t bytes, bytes_max;
        RunbookDefaults defaults;
} RunbookCache;

void runbook_cache_init(RunbookCache *c, const RunbookDefaults *defaults, size_t bytes_max, uint64_t seed0,
                        uint64_t seed1);
void runbook_cache_deinit(RunbookCache *c);
/**
 * The runbook @id of @tenant in @version (empty: the newest) as @t sees it. 0 with an owned reference;
 * STORE_E_NOT_FOUND; -EBADMSG: what is stored doesn't compile any more (logged); other negative errors. Any
 * thread, each with its own transaction.
 */
int runbook_cache_get(RunbookCache *c, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret);
