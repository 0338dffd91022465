#pragma once
/* What tests of executors share: a host that collects results, tasks made of JSON, and a misbehaving HTTP
 * server. */

#include <pthread.h>

#include "executors/http.h"

#define HARNESS_WAIT_MS 10000

typedef struct Harness {
        Executor *executor;
        uint16_t port;       /* the server's */
        int server_pid;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        TaskResult *results; /* in order of arrival; owned */
        size_t n_results, cap;
        uint32_t next_instance;
        int64_t timeout_ms;  /* of tasks made from here on; 0: none */
} Harness;

/** Start the server and an executor; @settings NULL: defaults with HTTP_ALLOW=127.0.0.1,localhost. */
void harness_start(Harness *h, const HttpSettings *settings);
/** Start only the server / only the executor. */
void harness_start_server(Harness *h);
void harness_start_executor(Harness *h, const HttpSettings *settings);
void harness_stop(Harness *h);
/** Stop the executor alone. */
void harness_stop_executor(Harness *h);

/**
 * A task whose config is JSON in which single quotes stand for double ones and `@` for the server's address
 * ("http://127.0.0.1:port"). @input likewise, NULL: none.
 */
Task *harness_task(Harness *h, const char *config, const char *input);
/** Submit it; returns its instance. */
uint32_t harness_submit(Harness *h, const char *config, const char *input);
/** Wait until @n results have come in all; false after HARNESS_WAIT_MS. */
bool harness_wait(Harness *h, size_t n);
/** Submit one, wait for its result, and take it out of the list. */
TaskResult harness_call(Harness *h, const char *config, const char *input);
void harness_result_free(TaskResult *r);
void harness_forget_results(Harness *h);

/* For other executors than HTTP: set h->executor to one made with this host. */
/** A host whose results go to @h; makes @h's lock. Zero-initialise @h before, harness_stop it after. */
ExecutorHost harness_host(Harness *h);
/** A task of @step (borrowed) for tenant "acme" with these values (taken; NULL: none). */
Task *harness_task_of(Harness *h, const RunbookStep *step, json_t *config, json_t *input);
/** Submit @task, wait for its result, and take it out of the list, where it is the only new one. */
TaskResult harness_run(Harness *h, Task *task);

/** Member by dotted path ("headers.content-type"; dots only), NULL if absent. */
const json_t *harness_at(Value *v, const char *path);
const char *harness_string(Value *v, const char *path); /* "(nothing)" if it is none */
long long harness_integer(Value *v, const char *path);  /* -1 if it is none */
/** The server's own page (/stats, /keys…) as JSON, fetched through the executor. */
TaskResult harness_page(Harness *h, const char *path);
