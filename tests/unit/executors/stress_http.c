/*
 * Submit and cancel from several threads at once; a plain program, so that it can run under ThreadSanitizer.
 * Every call must end exactly once: by a result, or by its cancel.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"

#define N_THREADS 4
#define N_CALLS 1500 /* of each thread */

static Harness h;

typedef struct Worker {
        pthread_t thread;
        unsigned seed;
        uint32_t number;
        unsigned n_cancelled;
} Worker;

static void *work(void *worker) {
        static const char *const configs[] = {
                        "{'url':'@/ok','method':'POST'}", "{'url':'@/slow?ms=5'}", "{'url':'@/hang'}",
                        "{'url':'@/status/503'}",         "{'url':'@/reset'}",     "{}"};
        Worker *w = worker;
        for (uint32_t i = 0; i < N_CALLS; i++) {
                unsigned kind = (unsigned)rand_r(&w->seed) % 6;
                Harness own = {.port = h.port, .next_instance = w->number * N_CALLS + i};
                Task *t = harness_task(&own, configs[kind], "{'a':1}");
                uint32_t instance = t->instance;
                Uuid id = t->execution_id;
                h.executor->vtable->submit(h.executor, t);
                if (kind == 2 || rand_r(&w->seed) % 4 == 0) {
                        if (rand_r(&w->seed) % 2)
                                nanosleep(&(struct timespec){0, 200000}, NULL);
                        h.executor->vtable->cancel(h.executor, id, instance, 1);
                        w->n_cancelled++;
                }
                if (i % 64 == 0)
                        (void)h.executor->vtable->n_open(h.executor);
        }
        return NULL;
}

int main(void) {
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1",
                                          .in_flight_max = 64,
                                          .timeout_default_ms = 20000});
        h.cap = N_THREADS * N_CALLS;
        h.results = calloc(h.cap, sizeof(*h.results)); /* so that the executor's thread allocates none of it */
        if (!h.results)
                return 1;
        Worker workers[N_THREADS];
        for (uint32_t i = 0; i < N_THREADS; i++) {
                workers[i] = (Worker){.seed = i + 1, .number = i};
                if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
                        return 1;
        }
        unsigned n_cancelled = 0;
        for (int i = 0; i < N_THREADS; i++) {
                pthread_join(workers[i].thread, NULL);
                n_cancelled += workers[i].n_cancelled;
        }
        for (int i = 0; h.executor->vtable->n_open(h.executor) > 0; i++) {
                if (i > 3000) {
                        fprintf(stderr, "%llu calls never ended\n",
                                (unsigned long long)h.executor->vtable->n_open(h.executor));
                        return 1;
                }
                nanosleep(&(struct timespec){0, 10000000}, NULL);
        }
        harness_stop_executor(&h);
        bool *seen = calloc(N_THREADS * N_CALLS, sizeof(*seen));
        for (size_t i = 0; i < h.n_results; i++) {
                if (seen[h.results[i].instance]) {
                        fprintf(stderr, "call %u has two results\n", h.results[i].instance);
                        return 1;
                }
                seen[h.results[i].instance] = true;
        }
        if (h.n_results + n_cancelled < N_THREADS * N_CALLS) {
                fprintf(stderr, "%zu results and %u cancels for %d calls\n", h.n_results, n_cancelled,
                        N_THREADS * N_CALLS);
                return 1;
        }
        printf("%d calls, %zu results, %u cancels\n", N_THREADS * N_CALLS, h.n_results, n_cancelled);
        free(seen);
        harness_stop(&h);
        return 0;
}
