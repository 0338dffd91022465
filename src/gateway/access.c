/*
 * Who may read which execution
 *
 * An execution's authorized users never change once it has started, so what the engine said about one holds for ever.
 * A table of fixed size: a new verdict takes the place of an old one.
 */

#include <stdlib.h>
#include <sys/random.h>
#include "base/map.h"
#include "gateway/access.h"

#define ENTRIES 16384

typedef struct Verdict {
        Uuid execution;
        uint64_t who;
        Access access;
} Verdict;

struct AccessTable {
        pthread_mutex_t lock;
        uint64_t seed[2]; /* nobody can choose names that meet */
        Verdict verdicts[ENTRIES];
};

AccessTable *access_table_new(void) {
        AccessTable *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        if (getrandom(t->seed, sizeof t->seed, 0) != (ssize_t)sizeof t->seed) {
                free(t);
                return NULL;
        }
        pthread_mutex_init(&t->lock, NULL);
        return t;
}

void access_table_free(AccessTable *t) {
        if (!t)
                return;
        pthread_mutex_destroy(&t->lock);
        free(t);
}

static uint64_t hash_of(const AccessTable *t, const Identity *who) {
        char both[sizeof who->tenant + sizeof who->user];
        size_t n_tenant = strlen(who->tenant) + 1, n_user = strlen(who->user);

        memcpy(both, who->tenant, n_tenant); /* with its NUL, which neither name can hold */
        memcpy(both + n_tenant, who->user, n_user);
        return map_hash(t->seed, (Slice){both, n_tenant + n_user});
}

static Verdict *place(AccessTable *t, uint64_t who, const Uuid *execution) {
        return &t->verdicts[(map_hash(t->seed, uuid_slice(execution)) ^ who) % ENTRIES];
}

Access access_look_up(AccessTable *t, const Identity *who, Uuid execution) {
        uint64_t hash = hash_of(t, who);
        Verdict *v = place(t, hash, &execution);
        Access access = ACCESS_UNKNOWN;

        pthread_mutex_lock(&t->lock);
        if (v->who == hash && uuid_eq(v->execution, execution))
                access = v->access;
        pthread_mutex_unlock(&t->lock);
        return access;
}

void access_remember(AccessTable *t, const Identity *who, Uuid execution, bool allowed) {
        uint64_t hash = hash_of(t, who);
        Verdict *v = place(t, hash, &execution);

        pthread_mutex_lock(&t->lock);
        *v = (Verdict){execution, hash, allowed ? ACCESS_ALLOWED : ACCESS_DENIED};
        pthread_mutex_unlock(&t->lock);
}
