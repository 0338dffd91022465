#pragma once
/*
 * Do the tables agree with each other? Everything that one transaction writes together must still be together:
 * an execution with its rows in listings, timers, waits, approvals and idempotency, its series with the counts
 * and the hash that its state names, the outbox with the segments that it announces, and so on. Reading only.
 */

#include "storage/store.h"

#define STORE_CHECK_COUNTS_MAX 32

typedef struct StoreCheck StoreCheck;
struct StoreCheck {
        /* given */
        StoreRunbookLookup lookup;
        void *lookup_userdata;
        /** What the core says of an execution: NULL, or the sentence that names the broken invariant. May be NULL. */
        const char *(*judge)(const Execution *x);
        /** What else is to be asked of each execution; 0 or negative. May be NULL. */
        int (*each)(void *userdata, StoreCheck *c, const Execution *x);
        /** The id under which a tenant's registrations are recorded (engine_catalog_id). */
        int (*catalog_id)(Slice tenant, Uuid *ret);
        /** Called for each fault; the texts are borrowed. May be NULL. */
        void (*fault)(void *userdata, const char *table, const char *key, const char *sentence);
        void *userdata;
        /* told */
        uint64_t n_faults;
        struct {
                const char *name;
                uint64_t n;
        } counts[STORE_CHECK_COUNTS_MAX];
        size_t n_counts;
        bool oom; /* a fault's text could not be made */
};

/**
 * Check everything as @t sees it. Faults are told and counted, they are no error: 0 when all of it could be
 * looked at; -EIO, -ENOMEM.
 */
int store_check(StoreTxn *t, StoreCheck *c);
/** Tell a fault: for @judge's and @each's makers. */
void store_check_fault(StoreCheck *c, const char *table, const char *key, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
/** SHA-256 over every key and value of every table: two stores with the same are the same. 0 or negative. */
int store_digest(StoreTxn *t, Digest *ret);
