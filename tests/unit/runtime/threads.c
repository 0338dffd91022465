/*
 * All threads at once: submitters, an executor with its own thread, readers, the writer, the publisher and
 * the checker, on a real clock. A plain program, because ThreadSanitizer and Criterion don't go together.
 * Ends with 0 if every request was answered once, every execution ended, and the stream holds every event
 * once or more, in order.
 */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/clock_system.h"
#include "runtime/ids_system.h"
#include "runtime/runtime.h"

#define N_SUBMITTERS 4
#define N_STARTS 250 /* each */
#define N_STEPS_PER_EXECUTION 2

#define CHECK(condition, ...)                                             \
        do {                                                              \
                if (!(condition)) {                                       \
                        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);   \
                        fprintf(stderr, __VA_ARGS__);                     \
                        fputc('\n', stderr);                              \
                        abort();                                          \
                }                                                         \
        } while (0)

/*
 * jansson's reference counts are atomic, but json_decref first looks with a plain read whether the value is
 * one of its constants. That read races with another thread's count by the letter only: it is one aligned
 * word, and no count is ever the constants' -1.
 */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:json_decref\nrace:json_incref\n"; }

static const char definition[] =
        "{\"id\":\"r\",\"name\":\"R\",\"version\":\"1\",\"idempotency\":\"none\",\"steps\":["
        "{\"id\":\"a\",\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/\"}},"
        "{\"id\":\"w\",\"type\":\"wait\",\"dependsOn\":[\"a\"],\"config\":{\"durationMs\":5}},"
        "{\"id\":\"b\",\"type\":\"call-service\",\"dependsOn\":[\"w\",\"a\"],\"config\":{\"url\":\"https://"
        "x.example/${a.n ?? 0}\"}}]}";

/* ---- an executor with a thread of its own ----------------------------------------------------------- */

typedef struct Worker {
        Executor base;
        ExecutorHost host;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        List queue;
        bool stopping;
        pthread_t thread;
        atomic_ulong n_done;
} Worker;

static void worker_submit(Executor *e, Task *task) {
        Worker *w = (Worker *)e;
        pthread_mutex_lock(&w->lock);
        list_push_back(&w->queue, &task->node);
        pthread_mutex_unlock(&w->lock);
        pthread_cond_signal(&w->wake);
}

static void worker_cancel(Executor *e, Uuid execution_id, uint32_t instance, uint32_t attempt) {}
static uint64_t worker_n_open(Executor *e) { return 0; }
static void worker_stop(Executor *e) {}

static const ExecutorVtable worker_vtable = {"worker", worker_submit, worker_cancel, worker_n_open,
                                             worker_stop};

static void *worker_main(void *userdata) {
        Worker *w = userdata;
        for (;;) {
                pthread_mutex_lock(&w->lock);
                while (list_is_empty(&w->queue) && !w->stopping)
                        pthread_cond_wait(&w->wake, &w->lock);
                if (list_is_empty(&w->queue)) {
                        pthread_mutex_unlock(&w->lock);
                        return NULL;
                }
                Task *task = LIST_ENTRY(w->queue.next, Task, node);
                list_remove(&task->node);
                pthread_mutex_unlock(&w->lock);
                /* Look at everything shared, from this thread. */
                CHECK(value_json(task->config) && value_json(task->input) && value_bytes(task->context).n > 0,
                      "a task's values");
                CHECK(json_object_get(value_json(task->context), "legalBasis"), "its context");
                TaskResult result = {.execution_id = task->execution_id,
                                     .instance = task->instance,
                                     .attempt = task->attempt,
                                     .ok = true};
                result.output = value_new(json_pack("{s:i}", "n", 7));
                task_free(task);
                w->host.post_result(w->host.userdata, &result);
                if (atomic_fetch_add(&w->n_done, 1) % 16 == 0) {
                        /* Now and then the same result twice. */
                        result.output = value_new(json_integer(1));
                        w->host.post_result(w->host.userdata, &result);
                }
        }
}

/* ---- the stream ------------------------------------------------------------------------------------- */

typedef struct Stream {
        atomic_ulong n, epoch;
        atomic_ulong n_ended;
        unsigned n_publishes;
} Stream;

static int stream_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq) {
        Stream *s = userdata;
        if (++s->n_publishes % 7 == 3) {
                atomic_fetch_add(&s->epoch, 1);
                return -EAGAIN;
        }
        for (size_t i = 0; i < n; i++)
                if (slice_ends_with(messages[i].subject, SLICE(".execution.completed")))
                        atomic_fetch_add(&s->n_ended, 1);
        *ret_stream_seq = atomic_fetch_add(&s->n, n) + n;
        return 0;
}

static int stream_tail(void *userdata, AuditTail *ret) {
        Stream *s = userdata;
        *ret = (AuditTail){.last_seq = atomic_load(&s->n), .created_ms = 1, .epoch = atomic_load(&s->epoch)};
        return 0;
}

static uint64_t stream_epoch(void *userdata) { return atomic_load(&((Stream *)userdata)->epoch); }

/* ---- submitters and readers ------------------------------------------------------------------------- */

typedef struct House {
        Store *store;
        Runtime *rt;
        atomic_ulong n_answered, n_ok;
        atomic_bool over;
        int which; /* of the submitter */
} House;

static void on_done(Request *q, RunbookCode code, Slice body, bool durable) {
        House *h = q->userdata;
        CHECK(body.n > 0, "an empty answer");
        atomic_fetch_add(&h->n_ok, code == RUNBOOK_OK);
        atomic_fetch_add(&h->n_answered, 1);
}

static Request *start_request(House *h, int submitter, int i) {
        Request *q = request_new(REQUEST_START);
        CHECK(q, "memory");
        q->input.kind = INPUT_START;
        q->input.tenant = SLICE("acme");
        q->input.user = SLICE("alice");
        q->runbook_id = SLICE("r");
        q->input.context = value_new(json_pack("{s:{s:s}}", "legalBasis", "authority", "policy"));
        char *id = arena_printf(&q->arena, "cmd-%d-%d", submitter, i / 2); /* every command is sent twice */
        q->input.command_id = slice_from_str(id);
        CHECK(id && digest_slice(q->input.command_id, &q->digest) == 0, "memory");
        q->done = on_done;
        q->userdata = h;
        return q;
}

typedef struct Submitter { House *h; int number; } Submitter;

static void *submitter_main(void *userdata) {
        Submitter *s = userdata;
        struct timespec nap = {.tv_nsec = 200000};
        for (int i = 0; i < 2 * N_STARTS;) {
                Request *q = start_request(s->h, s->number, i);
                int rc = runtime_submit(s->h->rt, q);
                if (rc == 0) {
                        i++;
                        continue;
                }
                CHECK(rc == -EAGAIN || rc == -EDQUOT, "submit: %d", rc);
                request_free(q);
                nanosleep(&nap, NULL);
        }
        return NULL;
}

static bool look(void *userdata, const StoreSummary *s) {
        Uuid *ids = userdata;
        ids[0] = s->id;
        return false;
}

static void *reader_main(void *userdata) {
        House *h = userdata;
        while (!atomic_load(&h->over)) {
                RuntimeStats stats;
                StoreTxn *t;
                Uuid id = UUID_NIL;
                uint64_t more;
                StoreListFilter filter = {.tenant = SLICE("acme"), .status = -1};
                Execution *x;
                runtime_stats(h->rt, &stats);
                CHECK(store_begin_read(h->store, &t) == 0, "read");
                CHECK(store_execution_list(t, &filter, look, &id, &more) == 0, "list");
                if (!uuid_is_nil(id)) {
                        CHECK(store_execution_load(t, id, runtime_runbook_lookup, h->rt, &x) == 0, "load");
                        CHECK(slice_eq(x->tenant, SLICE("acme")), "tenant");
                        execution_free(x);
                }
                store_abort(t);
        }
        return NULL;
}

static void wait_until(atomic_ulong *counter, unsigned long n, const char *what) {
        struct timespec nap = {.tv_nsec = 2000000};
        for (int i = 0; atomic_load(counter) < n; i++) {
                CHECK(i < 60000, "%s: %lu of %lu", what, atomic_load(counter), n);
                nanosleep(&nap, NULL);
        }
}

static void make_runtime(House *h, Worker *worker, Stream *stream, ClockSystem *clock, IdsSystem *ids) {
        RuntimeSettings settings = {
                .engine = {.max_concurrent_steps = 5, .source = SLICE("runbookd/test")},
                .definitions = runbook_defaults_builtin,
                .subject_prefix = SLICE("runbook.v1"),
                .inbox_max = 256,
                .cache_bytes_max = 200000,
        };
        StoreOptions options = {.backend = "memory"};
        AuditStream audit = {stream_publish, stream_tail, stream_epoch, stream};
        Report report = {0};

        CHECK(store_open(&options, uuid_v7(1, 2, 3), &report, &h->store) == 0, "store: %s", report.message);
        CHECK(runtime_new(&settings, h->store, clock_system(clock), ids_system(ids), &audit, &h->rt) == 0,
              "runtime");
        worker->host = runtime_executor_host(h->rt, NULL, NULL);
        runtime_set_executor(h->rt, STEP_TYPE_CALL_SERVICE, &worker->base);
        CHECK(runtime_start(h->rt, &report) == 0, "start: %s", report.message);
        report_deinit(&report);
}

static void register_runbook(House *h) {
        Request *q = request_new(REQUEST_REGISTER);
        Report report = {0};
        CHECK(q, "memory");
        CHECK(runbook_def_parse(SLICE(definition), &runbook_defaults_builtin, &report, &q->runbook) == 0,
              "%s", report.message);
        q->input.tenant = SLICE("acme");
        q->input.user = SLICE("alice");
        q->done = on_done;
        q->userdata = h;
        CHECK(runtime_submit(h->rt, q) == 0, "submit");
        wait_until(&h->n_answered, 1, "registered");
        CHECK(atomic_load(&h->n_ok) == 1, "refused");
}

int main(void) {
        static House house;
        static Worker worker = {.base.vtable = &worker_vtable};
        static Stream stream;
        ClockSystem clock;
        IdsSystem ids;
        pthread_t threads[N_SUBMITTERS + 2];
        Submitter submitters[N_SUBMITTERS];

        clock_system_init(&clock, NULL);
        ids_system_init(&ids);
        pthread_mutex_init(&worker.lock, NULL);
        pthread_cond_init(&worker.wake, NULL);
        list_init(&worker.queue);
        make_runtime(&house, &worker, &stream, &clock, &ids);
        CHECK(pthread_create(&worker.thread, NULL, worker_main, &worker) == 0, "thread");
        register_runbook(&house);
        for (int i = 0; i < N_SUBMITTERS; i++) {
                submitters[i] = (Submitter){&house, i};
                CHECK(pthread_create(&threads[i], NULL, submitter_main, &submitters[i]) == 0, "thread");
        }
        for (int i = 0; i < 2; i++)
                CHECK(pthread_create(&threads[N_SUBMITTERS + i], NULL, reader_main, &house) == 0, "thread");
        for (int i = 0; i < N_SUBMITTERS; i++)
                pthread_join(threads[i], NULL);
        wait_until(&house.n_answered, 1 + 2 * N_SUBMITTERS * N_STARTS, "answers");
        wait_until(&stream.n_ended, N_SUBMITTERS * N_STARTS, "ends published");
        atomic_store(&house.over, true);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[N_SUBMITTERS + i], NULL);

        runtime_stop(house.rt, 5000);
        RuntimeStats stats;
        runtime_stats(house.rt, &stats);
        CHECK(stats.n_started == N_SUBMITTERS * N_STARTS, "%llu started",
              (unsigned long long)stats.n_started);
        CHECK(stats.n_ended == stats.n_started, "%llu ended", (unsigned long long)stats.n_ended);
        CHECK(atomic_load(&worker.n_done) == N_STEPS_PER_EXECUTION * N_SUBMITTERS * N_STARTS, "%lu tasks",
              atomic_load(&worker.n_done));
        CHECK(stats.outbox_published_row == stats.outbox_row, "everything was published");
        CHECK(atomic_load(&house.n_ok) == 1 + 2 * N_SUBMITTERS * N_STARTS, "refusals");
        Request *late = start_request(&house, 9, 9);
        CHECK(runtime_submit(house.rt, late) == -ESHUTDOWN, "a stopped runtime takes nothing");
        request_free(late);

        pthread_mutex_lock(&worker.lock);
        worker.stopping = true;
        pthread_mutex_unlock(&worker.lock);
        pthread_cond_signal(&worker.wake);
        pthread_join(worker.thread, NULL);
        runtime_free(house.rt);
        store_close(house.store);
        ids_system_deinit(&ids);
        clock_system_deinit(&clock);
        return 0;
}
