#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "json/json_read.h"

#define CHECK(what) check((what), __LINE__, #what)

static void check(bool ok, int line, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "harness.c:%d: %s\n", line, what);
        abort();
}

/* ---- the host ------------------------------------------------------------------------------------------ */

static void on_result(void *harness, const TaskResult *result) {
        Harness *h = harness;
        if (result->settled) /* here a result is done with as soon as it has come */
                result->settled(result->settled_userdata, true);
        pthread_mutex_lock(&h->lock);
        if (h->n_results == h->cap) {
                h->cap = h->cap ? h->cap * 2 : 64;
                h->results = reallocarray(h->results, h->cap, sizeof(*h->results));
                CHECK(h->results);
        }
        h->results[h->n_results++] = *result;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
}

static char *on_secret(void *harness, Slice tenant, Slice name) {
        if (slice_eq_str(name, "token") && slice_eq_str(tenant, "acme"))
                return strdup("s3cr3t");
        return slice_eq_str(name, "broken") ? strdup("two\nlines") : NULL;
}

static int64_t on_now(void *harness) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_random(void *harness, uint64_t *words, size_t n) {
        CHECK(getrandom(words, n * sizeof(*words), 0) == (ssize_t)(n * sizeof(*words)));
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

/** What the runtime's does, for tasks whose step is not part of a runbook. */
void task_free(Task *task) {
        if (!task)
                return;
        value_unref(task->config);
        value_unref(task->input);
        value_unref(task->context);
        free(task);
}

static const SecretHeader secret_headers[] = {
                {SLICE("X-Api-Key"), SLICE("key "), SLICE("token"), SLICE("!")}};
static const RunbookStep plain_step = {.type = STEP_TYPE_CALL_SERVICE};
static const RunbookStep secret_step = {
        .type = STEP_TYPE_CALL_SERVICE, .secret_headers = secret_headers, .n_secret_headers = 1};

static json_t *make_json(const Harness *h, const char *text) {
        Buf b = {0};
        for (; *text; text++) {
                if (*text == '@')
                        buf_printf(&b, "http://127.0.0.1:%u", h->port);
                else
                        buf_put_char(&b, *text == '\'' ? '"' : *text);
        }
        json_t *json = json_parse_own(buf_slice(&b));
        if (!json)
                fprintf(stderr, "not JSON: %.*s\n", SLICE_ARG(buf_slice(&b)));
        CHECK(json);
        buf_deinit(&b);
        return json;
}

Task *harness_task_of(Harness *h, const RunbookStep *step, json_t *config, json_t *input) {
        Task *t = calloc(1, sizeof(*t));
        CHECK(t);
        list_init(&t->node);
        t->execution_id.bytes[0] = 7;
        t->instance = h->next_instance++;
        t->attempt = 1;
        t->step = step;
        t->tenant = SLICE("acme");
        t->initiated_by = SLICE("al\r\nice");
        t->step_path = SLICE("call");
        t->traceparent = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        snprintf(t->idempotency_key, sizeof(t->idempotency_key), "key-%u", t->instance);
        t->timeout_ms = h->timeout_ms;
        t->config = value_new(config);
        t->input = value_new(input);
        return t;
}

Task *harness_task(Harness *h, const char *config, const char *input) {
        const RunbookStep *step = strstr(config, "SECRET-HEADER") ? &secret_step : &plain_step;
        return harness_task_of(h, step, make_json(h, config), input ? make_json(h, input) : NULL);
}

uint32_t harness_submit(Harness *h, const char *config, const char *input) {
        Task *t = harness_task(h, config, input);
        uint32_t instance = t->instance;
        h->executor->vtable->submit(h->executor, t);
        return instance;
}

bool harness_wait(Harness *h, size_t n) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HARNESS_WAIT_MS / 1000;
        pthread_mutex_lock(&h->lock);
        int r = 0;
        while (h->n_results < n && r == 0)
                r = pthread_cond_timedwait(&h->changed, &h->lock, &until);
        bool ok = h->n_results >= n;
        pthread_mutex_unlock(&h->lock);
        return ok;
}

TaskResult harness_run(Harness *h, Task *task) {
        size_t n = h->n_results;
        uint32_t instance = task->instance;
        h->executor->vtable->submit(h->executor, task);
        CHECK(harness_wait(h, n + 1));
        pthread_mutex_lock(&h->lock);
        TaskResult r = h->results[--h->n_results];
        pthread_mutex_unlock(&h->lock);
        CHECK(r.instance == instance && r.attempt == 1 && r.execution_id.bytes[0] == 7);
        CHECK(r.ok ? r.output && !r.error : r.error && !r.output);
        return r;
}

TaskResult harness_call(Harness *h, const char *config, const char *input) {
        return harness_run(h, harness_task(h, config, input));
}

void harness_result_free(TaskResult *r) {
        value_unref(r->output);
        value_unref(r->error);
        value_unref(r->logs);
        value_unref(r->evidence);
        *r = (TaskResult){0};
}

void harness_forget_results(Harness *h) {
        for (; h->n_results > 0; h->n_results--)
                harness_result_free(&h->results[h->n_results - 1]);
}

/* ---- looking into values ------------------------------------------------------------------------------- */

const json_t *harness_at(Value *v, const char *path) {
        const json_t *at = value_json(v);
        while (at && *path) {
                char name[64];
                size_t n = strcspn(path, ".");
                CHECK(n < sizeof(name));
                memcpy(name, path, n);
                name[n] = 0;
                at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name)) : json_object_get(at, name);
                path += n + (path[n] == '.');
        }
        return at;
}

const char *harness_string(Value *v, const char *path) {
        const json_t *at = harness_at(v, path);
        return json_is_string(at) ? json_string_value(at) : "(nothing)";
}

long long harness_integer(Value *v, const char *path) {
        const json_t *at = harness_at(v, path);
        return json_is_integer(at) ? json_integer_value(at) : -1;
}

TaskResult harness_page(Harness *h, const char *path) {
        char config[256];
        snprintf(config, sizeof(config), "{'url':'@%s'}", path);
        TaskResult r = harness_call(h, config, NULL);
        CHECK(r.ok);
        return r;
}

/* ---- server and executor ------------------------------------------------------------------------------- */

void harness_start_server(Harness *h) {
        int out[2];
        CHECK(pipe(out) == 0);
        h->server_pid = fork();
        CHECK(h->server_pid >= 0);
        if (h->server_pid == 0) {
                dup2(out[1], 1);
                close(out[0]);
                close(out[1]);
                execl(HTTP_SERVER, HTTP_SERVER, "--port", "0", "--die-with-parent", (char *)NULL);
                _exit(127);
        }
        close(out[1]);
        char text[16] = {0};
        CHECK(read(out[0], text, sizeof(text) - 1) > 0);
        close(out[0]);
        h->port = (uint16_t)atoi(text);
        CHECK(h->port != 0);
}

ExecutorHost harness_host(Harness *h) {
        pthread_mutex_init(&h->lock, NULL);
        pthread_cond_init(&h->changed, NULL);
        return (ExecutorHost){.post_result = on_result,
                              .secret = on_secret,
                              .clock = {.now_ms = on_now},
                              .ids = {.random = on_random},
                              .userdata = h};
}

void harness_start_executor(Harness *h, const HttpSettings *settings) {
        HttpSettings usual = {.allow = "127.0.0.1, localhost"};
        ExecutorHost host = harness_host(h);
        Report report = {0};
        int r = http_executor_new(settings ? settings : &usual, &host, &report, &h->executor);
        if (r < 0)
                fprintf(stderr, "%s\n", report.message ? report.message : "?");
        CHECK(r == 0);
        report_deinit(&report);
}

void harness_start(Harness *h, const HttpSettings *settings) {
        *h = (Harness){0};
        harness_start_server(h);
        harness_start_executor(h, settings);
}

void harness_stop_executor(Harness *h) {
        if (h->executor)
                h->executor->vtable->stop(h->executor);
        h->executor = NULL;
}

void harness_stop(Harness *h) {
        harness_stop_executor(h);
        if (h->server_pid > 0) {
                kill(h->server_pid, SIGKILL);
                waitpid(h->server_pid, NULL, 0);
        }
        harness_forget_results(h);
        free(h->results);
        pthread_mutex_destroy(&h->lock);
        pthread_cond_destroy(&h->changed);
        *h = (Harness){0};
}
