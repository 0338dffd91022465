#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "stress.h"

typedef struct Worker {
        Harness *h;
        const Stress *stress;
        pthread_t thread;
        unsigned seed;
        uint32_t number;
        unsigned n_cancelled;
} Worker;

static void *work(void *worker) {
        Worker *w = worker;
        Executor *e = w->h->executor;
        for (uint32_t i = 0; i < w->stress->n_tasks; i++) {
                unsigned kind = (unsigned)rand_r(&w->seed) % w->stress->n_kinds;
                Harness own = {.next_instance = w->number * w->stress->n_tasks + i,
                               .timeout_ms = w->h->timeout_ms};
                Task *t = w->stress->make(&own, kind);
                uint32_t instance = t->instance;
                Uuid id = t->execution_id;
                e->vtable->submit(e, t);
                if ((w->stress->endless >> kind & 1) || rand_r(&w->seed) % 4 == 0) {
                        if (rand_r(&w->seed) % 2)
                                nanosleep(&(struct timespec){0, 200000}, NULL);
                        e->vtable->cancel(e, id, instance, 1);
                        w->n_cancelled++;
                }
                if (i % 64 == 0)
                        (void)e->vtable->n_open(e);
        }
        return NULL;
}

static bool wait_until_closed(Executor *e) {
        for (int i = 0; e->vtable->n_open(e) > 0; i++) {
                if (i > 6000) {
                        fprintf(stderr, "%llu tasks never ended\n", (unsigned long long)e->vtable->n_open(e));
                        return false;
                }
                nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
        return true;
}

static bool check_results(const Harness *h, size_t n_tasks, unsigned n_cancelled) {
        bool *seen = calloc(n_tasks, sizeof(*seen));
        bool ok = seen != NULL;
        for (size_t i = 0; ok && i < h->n_results; i++) {
                ok = !seen[h->results[i].instance];
                if (!ok)
                        fprintf(stderr, "task %u has two results\n", h->results[i].instance);
                seen[h->results[i].instance] = true;
        }
        free(seen);
        if (h->n_results + n_cancelled < n_tasks) {
                fprintf(stderr, "%zu results and %u cancels for %zu tasks\n", h->n_results, n_cancelled,
                        n_tasks);
                return false;
        }
        printf("%zu tasks, %zu results, %u cancels\n", n_tasks, h->n_results, n_cancelled);
        return ok;
}

int stress_run(Harness *h, const Stress *s) {
        size_t n_tasks = (size_t)STRESS_THREADS * s->n_tasks;
        Worker workers[STRESS_THREADS];
        unsigned n_cancelled = 0;
        h->cap = n_tasks;
        h->results = calloc(h->cap,
                            sizeof(*h->results)); /* so that the executor's thread allocates none of it */
        if (!h->results)
                return 1;
        for (uint32_t i = 0; i < STRESS_THREADS; i++) {
                workers[i] = (Worker){.h = h, .stress = s, .seed = i + 1, .number = i};
                if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
                        return 1;
        }
        for (int i = 0; i < STRESS_THREADS; i++) {
                pthread_join(workers[i].thread, NULL);
                n_cancelled += workers[i].n_cancelled;
        }
        if (!wait_until_closed(h->executor))
                return 1;
        harness_stop_executor(h);
        return check_results(h, n_tasks, n_cancelled) ? 0 : 1;
}
