/*
 * Access to executions in lists
 *
 * A list's rows don't hold legalBasis.authorizedUsers, the execution does, and to load it for every row of
 * every page would be dear. But a context never changes once the execution is started, so a verdict holds
 * forever: it is kept in a table of fixed size, where a new one simply takes the place of an old one.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/map.h"
#include "subjects/access.h"
#include "subjects/handler.h"

typedef struct Verdict {
        Uuid execution_id;
        uint64_t user_hash;
        bool known, allowed;
} Verdict;

struct AccessCache {
        pthread_mutex_t lock;
        Verdict verdicts[ACCESS_CACHE_ENTRIES];
};

AccessCache *access_cache_new(void) {
        AccessCache *c = calloc(1, sizeof(*c));
        if (c)
                pthread_mutex_init(&c->lock, NULL);
        return c;
}

void access_cache_free(AccessCache *c) {
        if (!c)
                return;
        pthread_mutex_destroy(&c->lock);
        free(c);
}

int access_to_summary(Subjects *s, StoreTxn *t, const StoreSummary *summary, Slice user) {
        if (slice_eq(summary->initiated_by, user))
                return 1;
        AccessCache *c = s->access;
        uint64_t user_hash = map_hash(s->hash_seed, user);
        Verdict *v = &c->verdicts[(map_hash(s->hash_seed, uuid_slice(&summary->id)) ^ user_hash) %
                                  ACCESS_CACHE_ENTRIES];
        pthread_mutex_lock(&c->lock);
        Verdict found = *v;
        pthread_mutex_unlock(&c->lock);
        if (found.known && found.user_hash == user_hash && uuid_eq(found.execution_id, summary->id))
                return found.allowed;
        Execution *x = NULL;
        int r = store_execution_load(t, summary->id, s->host.lookup, s->host.userdata, &x);
        if (r < 0)
                return r;
        if (r > 0)
                return 0; /* an index row without its execution: nobody's */
        bool allowed = execution_user_allowed(x, user);
        execution_free(x);
        pthread_mutex_lock(&c->lock);
        *v = (Verdict){summary->id, user_hash, true, allowed};
        pthread_mutex_unlock(&c->lock);
        return allowed;
}
