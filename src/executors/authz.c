/*
 * The authorization executor
 *
 * A question is open from submit until one of three takes it out of `open`, under the lock: its answer (or
 * what ends the wait for it), a cancel, the stop. Whoever does owns it and decides what is told, so each question has
 * one result at most, and none after its cancel. How questions are put and answers come is in authz_http.c and
 * authz_bus.c; what answers mean in authz_answer.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executors/authz_internal.h"

#define BUS_SCHEME "nats:"

bool authz_is_bus(const char *url) { return strncmp(url, BUS_SCHEME, strlen(BUS_SCHEME)) == 0; }

/* ---- questions ----------------------------------------------------------------------------------------- */

void authz_question_free(Question *q) {
        if (!q)
                return;
        task_free(q->task);
        free(q);
}

Question *authz_take(AuthzEngine *e, const uint8_t key[ATTEMPT_KEY_SIZE]) {
        Question *q = map_remove(&e->open, slice_from_bytes(key, ATTEMPT_KEY_SIZE));
        if (q && !e->http)
                authz_bus_forget(e, q);
        return q;
}

void authz_post(AuthzEngine *e, Question *q, const TaskResult *result) {
        authz_question_free(q);
        e->host.post_result(e->host.userdata, result);
}

static AuthzEngine *engine_of(Executor *executor) { return (AuthzEngine *)executor; }

static void submit(Executor *executor, Task *task) {
        AuthzEngine *e = engine_of(executor);
        Question *q = calloc(1, sizeof(*q));
        if (!q) {
                attempt_refuse(&e->host, task, NULL, e->no_memory);
                return;
        }
        q->task = task;
        list_init(&q->node);
        attempt_key(q->key, task->execution_id, task->instance, task->attempt);
        pthread_mutex_lock(&e->lock);
        bool room = e->open.n < AUTHZ_OPEN_MAX;
        int r = room ? map_put(&e->open, slice_from_bytes(q->key, sizeof(q->key)), q) : -EAGAIN;
        if (r >= 0 && !e->http && authz_bus_submit(e, q) < 0) {
                map_remove(&e->open, slice_from_bytes(q->key, sizeof(q->key)));
                r = -ENOMEM;
        }
        pthread_mutex_unlock(&e->lock);
        if (r >= 0) {
                if (e->http)
                        authz_http_submit(e, q);
                return;
        }
        char why[128];
        snprintf(why, sizeof(why),
                 room ? "there was not enough memory to ask it"
                      : "%d questions are open already (AUTHZ_OPEN_MAX)",
                 AUTHZ_OPEN_MAX);
        TaskResult result = authz_unavailable(e, q, room ? "OUT_OF_MEMORY" : "OVERLOADED",
                                              slice_from_str(why), 0);
        authz_post(e, q, &result);
}

static void cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        AuthzEngine *e = engine_of(executor);
        uint8_t key[ATTEMPT_KEY_SIZE];
        attempt_key(key, execution_id, instance, attempt);
        pthread_mutex_lock(&e->lock);
        Question *q = authz_take(e, key);
        pthread_mutex_unlock(&e->lock);
        if (e->http)
                e->http->vtable->cancel(e->http, execution_id, instance, attempt);
        authz_question_free(q);
}

static uint64_t n_open(Executor *executor) {
        AuthzEngine *e = engine_of(executor);
        pthread_mutex_lock(&e->lock);
        uint64_t n = e->open.n;
        pthread_mutex_unlock(&e->lock);
        return n;
}

static void engine_free(AuthzEngine *e) {
        size_t it = 0;
        Slice key;
        void *q;
        while (map_next(&e->open, &it, &key, &q))
                authz_question_free(q);
        map_deinit(&e->open);
        map_deinit(&e->tokens);
        due_deinit(&e->due);
        value_unref(e->no_memory);
        free((char *)e->settings.url);
        free((char *)e->settings.token_file);
        free((char *)e->settings.ca_file);
        free((char *)e->settings.user_agent);
        pthread_cond_destroy(&e->changed);
        pthread_mutex_destroy(&e->lock);
        free(e);
}

static void stop(Executor *executor) {
        AuthzEngine *e = engine_of(executor);
        if (e->http)
                e->http->vtable->stop(e->http);
        else
                authz_bus_stop(e);
        engine_free(e);
}

static const ExecutorVtable vtable = {
                .name = "authz", .submit = submit, .cancel = cancel, .n_open = n_open, .stop = stop};

/* ---- making one ---------------------------------------------------------------------------------------- */

static int copy(const char **ret, const char *text) {
        *ret = text && *text ? strdup(text) : NULL;
        return text && *text && !*ret ? -ENOMEM : 0;
}

static int settings_take(AuthzEngine *e, const AuthzSettings *given) {
        AuthzSettings *s = &e->settings;
        s->timeout_ms = given->timeout_ms > 0 ? given->timeout_ms : AUTHZ_TIMEOUT_DEFAULT_MS;
        return copy(&s->url, given->url) || copy(&s->token_file, given->token_file) ||
                                               copy(&s->ca_file, given->ca_file) ||
                                               copy(&s->user_agent, given->user_agent)
                               ? -ENOMEM
                               : 0;
}

static int parts_make(AuthzEngine *e, const AskBus *bus, Report *report) {
        uint64_t seeds[4];
        e->no_memory = attempt_error("AUTHZ_UNAVAILABLE", true,
                                     SLICE("there was not enough memory to ask the authorization service"),
                                     SLICE_NULL);
        if (!e->no_memory)
                return -ENOMEM;
        e->host.ids.random(e->host.ids.userdata, seeds, N_ELEMENTS(seeds));
        map_init(&e->open, seeds[0], seeds[1]);
        map_init(&e->tokens, seeds[2], seeds[3]);
        if (!authz_is_bus(e->settings.url))
                return authz_http_start(e, report);
        if (e->settings.token_file)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "AUTHZ_TOKEN_FILE is for an AUTHZ_URL that begins with http:// or "
                                  "https://; over "
                                  "NATS the engine is known by its connection");
        e->subject = e->settings.url + strlen(BUS_SCHEME);
        e->bus = *bus;
        return authz_bus_start(e, report);
}

int authz_executor_new(const AuthzSettings *settings, const AskBus *bus, const ExecutorHost *host,
                       Report *report, Executor **ret) {
        pthread_condattr_t monotonic;
        AuthzEngine *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->executor.vtable = &vtable;
        e->host = *host;
        list_init(&e->outgoing);
        pthread_mutex_init(&e->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&e->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        int r = settings_take(e, settings);
        if (r == 0)
                r = parts_make(e, bus, report);
        if (r < 0) {
                if (!report_is_error(report))
                        report_set(report, RUNBOOK_INTERNAL, "the authorization service can't be asked: %s",
                                   strerror(-r));
                engine_free(e);
                return r;
        }
        *ret = &e->executor;
        return 0;
}
