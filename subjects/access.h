#pragma once
/* Who may see an execution in a list, without loading each execution each time. */

#include "storage/store.h"
#include "subjects/subjects.h"

#define ACCESS_CACHE_ENTRIES 65536 /* a power of two */

typedef struct AccessCache AccessCache;

AccessCache *access_cache_new(void);    /* NULL when out of memory */
void access_cache_free(AccessCache *c); /* NULL-safe */
/** May @user see the execution of @summary? 1 yes, 0 no, negative: the store failed. Any thread. */
int access_to_summary(Subjects *s, StoreTxn *t, const StoreSummary *summary, Slice user);
