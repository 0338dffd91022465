/*
 * HTTP steps alone: submit → result through the HTTP executor's one thread, against the project's own
 * HTTP server.
 *
 *     bench_http SERVER [--seconds S] [--runs N]
 *
 * One JSON line a case: results per second (median of the runs, and its spread), the executor thread's
 * CPU per request, and for one request at a time the latency. `hanging` is the number of calls that hang
 * at another host meanwhile.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "executors/http.h"
#include "json/json_read.h"

#define RUNS_MAX 25
#define SAMPLES_MAX 200000
#define RESULTS_MAX 16384

typedef struct Case {
        const char *name, *path, *method;
        size_t input_bytes;
        uint32_t concurrency, hanging;
} Case;

static const Case cases[] = {
        {"get, one at a time", "/fast", "GET", 0, 1, 0},
        {"post, one at a time", "/fast", "POST", 200, 1, 0},
        {"get, 64 at once", "/fast", "GET", 0, 64, 0},
        {"post, 64 at once", "/fast", "POST", 200, 64, 0},
        {"post, 512 at once", "/fast", "POST", 200, 512, 0},
        {"post 1 KiB, answer 1 KiB, 64 at once", "/json?n=1024", "POST", 1024, 64, 0},
        {"post, 64 at once, 1000 hanging", "/fast", "POST", 200, 64, 1000},
};

typedef struct Bench {
        Executor *executor;
        uint16_t port;
        Value *config, *hanging_config, *input;
        uint32_t next_instance, next_hanging;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        TaskResult results[RESULTS_MAX];
        size_t n_results;
        int64_t samples[SAMPLES_MAX];
        size_t n_samples;
} Bench;

static const RunbookStep step = {.type = STEP_TYPE_CALL_SERVICE};

static int64_t now_ns(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "bench_http: %s\n", what);
        exit(1);
}

/* ---- the executor's host ------------------------------------------------------------------------------- */

static void on_result(void *bench, const TaskResult *result) {
        Bench *b = bench;
        pthread_mutex_lock(&b->lock);
        must(b->n_results < RESULTS_MAX, "too many results");
        b->results[b->n_results++] = *result;
        if (b->n_results == 1)
                pthread_cond_signal(&b->changed);
        pthread_mutex_unlock(&b->lock);
}

static int64_t on_now(void *bench) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_random(void *bench, uint64_t *words, size_t n) {
        must(getrandom(words, n * sizeof(*words), 0) == (ssize_t)(n * sizeof(*words)), "no randomness");
}

void task_free(Task *task) {
        if (!task)
                return;
        value_unref(task->config);
        value_unref(task->input);
        free(task);
}

static void submit(Bench *b, Value *config, uint32_t instance, int64_t timeout_ms) {
        Task *t = calloc(1, sizeof(*t));
        must(t, "out of memory");
        list_init(&t->node);
        t->execution_id.bytes[15] = 1;
        t->instance = instance;
        t->attempt = 1;
        t->step = &step;
        t->tenant = SLICE("default");
        t->initiated_by = SLICE("alice");
        t->step_path = SLICE("call");
        t->timeout_ms = timeout_ms;
        snprintf(t->idempotency_key, sizeof(t->idempotency_key), "%064u", instance);
        t->config = value_ref(config);
        t->input = value_ref(b->input);
        b->executor->vtable->submit(b->executor, t);
}

/* ---- one run ------------------------------------------------------------------------------------------- */

static double cpu_seconds(int who) {
        struct rusage u;
        getrusage(who, &u);
        return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/** Wait for results, release them, submit as many anew while @more. Returns how many came. */
static size_t turn(Bench *b, bool more) {
        static TaskResult taken[RESULTS_MAX];
        pthread_mutex_lock(&b->lock);
        while (b->n_results == 0)
                pthread_cond_wait(&b->changed, &b->lock);
        size_t n = b->n_results;
        memcpy(taken, b->results, n * sizeof(*taken));
        b->n_results = 0;
        pthread_mutex_unlock(&b->lock);
        for (size_t i = 0; i < n; i++) {
                must(taken[i].ok, taken[i].ok ? "" : value_bytes(taken[i].error).data);
                value_unref(taken[i].output);
                value_unref(taken[i].logs);
                value_unref(taken[i].evidence);
                if (more)
                        submit(b, b->config, b->next_instance++, 0);
        }
        return n;
}

typedef struct Figures { double per_second, cpu_us, p50_ms, p99_ms; } Figures;

static int compare_i64(const void *a, const void *b) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static int compare_figures(const void *a, const void *b) {
        double x = ((const Figures *)a)->per_second, y = ((const Figures *)b)->per_second;
        return (x > y) - (x < y);
}

static Figures run(Bench *b, const Case *c, double seconds) {
        b->n_samples = 0;
        for (uint32_t i = 0; i < c->concurrency; i++)
                submit(b, b->config, b->next_instance++, 0);
        size_t n = 0;
        int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9), sent = start;
        double cpu = cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD);
        while (now_ns() < end) {
                n += turn(b, true);
                int64_t now = now_ns();
                if (c->concurrency == 1 && b->n_samples < SAMPLES_MAX)
                        b->samples[b->n_samples++] = now - sent;
                sent = now;
        }
        double took = (double)(now_ns() - start) / 1e9;
        cpu = cpu_seconds(RUSAGE_SELF) - cpu_seconds(RUSAGE_THREAD) - cpu;
        for (size_t left = c->concurrency; left > 0;)
                left -= turn(b, false);
        Figures f = {.per_second = (double)n / took, .cpu_us = cpu / (double)n * 1e6};
        if (b->n_samples > 0) {
                qsort(b->samples, b->n_samples, sizeof(*b->samples), compare_i64);
                f.p50_ms = (double)b->samples[b->n_samples / 2] / 1e6;
                f.p99_ms = (double)b->samples[b->n_samples * 99 / 100] / 1e6;
        }
        return f;
}

static Value *make_config(const char *host, uint16_t port, const char *path, const char *method) {
        Buf text = {0};
        buf_printf(&text, "{\"method\":\"%s\",\"url\":\"http://%s:%u%s\"}", method, host, port, path);
        json_t *json = json_parse_own(buf_slice(&text));
        must(json, "out of memory");
        buf_deinit(&text);
        return value_new(json);
}

static void run_case(Bench *b, const Case *c, double seconds, int n_runs) {
        Buf input = {0};
        buf_put_str(&input, "{\"pad\":\"");
        while (input.n + 2 < c->input_bytes)
                buf_put_char(&input, 'x');
        buf_put_str(&input, "\"}");
        b->input = value_new_bytes(buf_slice(&input));
        buf_deinit(&input);
        b->config = make_config("127.0.0.1", b->port, c->path, c->method);
        b->hanging_config = make_config("localhost", b->port, "/hang", "GET");
        for (uint32_t i = 0; i < c->hanging; i++)
                submit(b, b->hanging_config, 1u << 31 | b->next_hanging++, 3600 * 1000);
        (void)run(b, c, seconds / 4);
        Figures figures[RUNS_MAX];
        for (int i = 0; i < n_runs; i++)
                figures[i] = run(b, c, seconds);
        qsort(figures, (size_t)n_runs, sizeof(figures[0]), compare_figures);
        Figures m = figures[n_runs / 2];
        printf("{\"bench\":\"http\",\"case\":\"%s\",\"perSecond\":%.0f,\"min\":%.0f,\"max\":%.0f,"
               "\"threadCpuUs\":%.1f",
               c->name, m.per_second, figures[0].per_second, figures[n_runs - 1].per_second, m.cpu_us);
        if (m.p50_ms > 0)
                printf(",\"p50Ms\":%.3f,\"p99Ms\":%.3f", m.p50_ms, m.p99_ms);
        printf(",\"hanging\":%u,\"runs\":%d}\n", c->hanging, n_runs);
        fflush(stdout);
        Uuid id = {{[15] = 1}};
        for (uint32_t i = b->next_hanging - c->hanging; i < b->next_hanging; i++)
                b->executor->vtable->cancel(b->executor, id, 1u << 31 | i, 1);
        value_unref(b->config);
        value_unref(b->hanging_config);
        value_unref(b->input);
}

static pid_t start_server(const char *path, uint16_t *ret_port) {
        int out[2];
        must(pipe(out) == 0, "no pipe");
        pid_t pid = fork();
        must(pid >= 0, "no process");
        if (pid == 0) {
                dup2(out[1], 1);
                close(out[0]);
                close(out[1]);
                execl(path, path, "--port", "0", "--die-with-parent", (char *)NULL);
                _exit(127);
        }
        close(out[1]);
        char text[16] = {0};
        must(read(out[0], text, sizeof(text) - 1) > 0, "the server does not start");
        close(out[0]);
        *ret_port = (uint16_t)atoi(text);
        return pid;
}

int main(int argc, char **argv) {
        double seconds = 1;
        int n_runs = 5;
        const char *server = NULL;
        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
                        seconds = atof(argv[++i]);
                else if (!strcmp(argv[i], "--runs") && i + 1 < argc)
                        n_runs = atoi(argv[++i]);
                else
                        server = argv[i];
        }
        must(server && seconds > 0 && n_runs > 0 && n_runs <= RUNS_MAX,
             "usage: bench_http SERVER [--seconds S] [--runs 1…25]");
        static Bench b = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        pid_t pid = start_server(server, &b.port);
        ExecutorHost host = {.post_result = on_result,
                             .clock = {.now_ms = on_now},
                             .ids = {.random = on_random},
                             .userdata = &b};
        Report report = {0};
        HttpSettings settings = {.allow = "127.0.0.1,localhost"};
        must(http_executor_new(&settings, &host, &report, &b.executor) == 0, "the executor does not start");
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                run_case(&b, &cases[i], seconds, n_runs);
        b.executor->vtable->stop(b.executor);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
        return 0;
}
