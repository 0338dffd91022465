#pragma once
/* The consistency check of a whole store: storage's tables, the core's invariants, and (deep) every journal
 * replayed. */

#include "runtime/runtime.h"
#include "storage/store_check.h"

typedef struct RuntimeCheck {
        bool deep; /* replay every execution's journal, too; takes as long as it took to run them */
        /** Called for each fault; the texts are borrowed. */
        void (*fault)(void *userdata, const char *table, const char *key, const char *sentence);
        void *userdata;
        StoreCheck told;     /* counts, and how many faults */
        uint64_t n_replayed; /* executions */
} RuntimeCheck;

/**
 * Check @store (borrowed), which may be open for reading only. @settings are those that the executions ran under: a
 * replay under others may differ. 0 when all of it could be looked at, faults or not; -EIO, -ENOMEM.
 */
int runtime_check(const RuntimeSettings *settings, Store *store, Clock clock, Ids ids, RuntimeCheck *check);
