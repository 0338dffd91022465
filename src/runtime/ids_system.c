/*
 * Ids and seeds must not be guessable (an execution's id is a capability to nothing, but a seed makes retry
 * jitter and ids of children), so they come from getrandom(2). A call costs 0.3 µs and more under load, so
 * they are fetched in pages and wiped as they are handed out.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "runtime/ids_system.h"

static void fill(IdsSystem *s) {
        size_t n = 0;

        while (n < sizeof(s->words)) {
                ssize_t got = getrandom((char *)s->words + n, sizeof(s->words) - n, 0);
                if (got > 0)
                        n += (size_t)got;
                /* Only EINTR is possible for a valid buffer: the kernel blocks until its pool is ready. */
        }
        s->n_left = IDS_BUFFER_WORDS;
}

static void ids_random(void *userdata, uint64_t *words, size_t n) {
        IdsSystem *s = userdata;

        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < n; i++) {
                if (s->n_left == 0)
                        fill(s);
                words[i] = s->words[--s->n_left];
                s->words[s->n_left] = 0;
        }
        pthread_mutex_unlock(&s->lock);
}

void ids_system_init(IdsSystem *s) {
        *s = (IdsSystem){0};
        pthread_mutex_init(&s->lock, NULL);
}

void ids_system_deinit(IdsSystem *s) {
        explicit_bzero(s->words, sizeof(s->words));
        pthread_mutex_destroy(&s->lock);
}

Ids ids_system(IdsSystem *s) { return (Ids){ids_random, s}; }
