/*
 * Executors: HTTP, transforms, publishing and remote workers, as far as the engine can tell them apart, which
 * is not at all. An effect happens or not, once or more often, and its answer comes, or doesn't, or comes
 * late, twice, or from a process that died meanwhile.
 */
#include "sim.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_read.h"

typedef struct Job {
        Uuid id;
        uint32_t instance, attempt;
        uint64_t life; /* of the process that sent it */
        uint32_t serial;
        bool cancelled; /* an answer may still be under way */
        bool given_up;  /* the process that sent it is gone */
} Job;

struct Workers {
        Executor base;
        Sim *sim;
        Job *jobs;
        size_t n, cap;
        uint32_t serial;
        ExecutorHost host;
};

static Workers *workers_of(Executor *e) { return (Workers *)e; }

static void remove_job(Workers *w, size_t i) {
        memmove(&w->jobs[i], &w->jobs[i + 1], (w->n - i - 1) * sizeof(w->jobs[i]));
        w->n--;
}

static void on_submit(Executor *e, Task *task) {
        Workers *w = workers_of(e);
        Sim *s = w->sim;
        char id[UUID_TEXT_SIZE + 1];

        if (s->dead || sim_may_die(s, "before a task leaves")) {
                task_free(task);
                return;
        }
        int was = memory_suspend();
        uuid_format(task->execution_id, id);
        sim_tell(s, "task %s %.*s attempt %u key %.12s", id, SLICE_ARG(task->step_path), task->attempt,
                 task->idempotency_key);
        books_task(s, task);
        for (size_t i = 0; i < w->n; i++)
                if (w->jobs[i].life == s->life && !w->jobs[i].cancelled &&
                    uuid_eq(w->jobs[i].id, task->execution_id) && w->jobs[i].instance == task->instance &&
                    w->jobs[i].attempt == task->attempt)
                        sim_fail(s, "task twice", "attempt %u of %.*s left twice", task->attempt,
                                 SLICE_ARG(task->step_path));
        SIM_GROW(w->jobs, w->n, w->cap);
        w->jobs[w->n++] = (Job){.id = task->execution_id,
                                .instance = task->instance,
                                .attempt = task->attempt,
                                .life = s->life,
                                .serial = ++w->serial};
        memory_resume(was);
        task_free(task);
}

static void on_cancel(Executor *e, Uuid id, uint32_t instance, uint32_t attempt) {
        Workers *w = workers_of(e);
        Sim *s = w->sim;
        if (s->dead || sim_may_die(s, "before a task is cancelled"))
                return;
        for (size_t i = 0; i < w->n; i++)
                if (w->jobs[i].life == s->life && uuid_eq(w->jobs[i].id, id) &&
                    w->jobs[i].instance == instance && w->jobs[i].attempt == attempt) {
                        int was = memory_suspend();
                        sim_tell(s, "cancel of task %u", w->jobs[i].serial);
                        memory_resume(was);
                        if (sim_fault(s, FAULT_RESULT_LATE))
                                w->jobs[i].cancelled = true;
                        else
                                remove_job(w, i);
                        return;
                }
}

static uint64_t on_n_open(Executor *e) { return workers_of(e)->n; }
static void on_stop(Executor *e) {}

static const ExecutorVtable vtable = {"simulated", on_submit, on_cancel, on_n_open, on_stop};

Workers *workers_new(Sim *s) {
        Workers *w = sim_realloc(NULL, sizeof(*w));
        *w = (Workers){.base.vtable = &vtable, .sim = s};
        return w;
}

void workers_free(Workers *w) {
        free(w->jobs);
        free(w);
}

void workers_attach(Sim *s) {
        static const StepType types[] = {STEP_TYPE_CALL_SERVICE, STEP_TYPE_CUSTOM, STEP_TYPE_PUBLISH_EVENT,
                                         STEP_TYPE_TRANSFORM};
        s->workers->host = runtime_executor_host(s->rt, NULL, NULL);
        for (size_t i = 0; i < N_ELEMENTS(types); i++)
                runtime_set_executor(s->rt, types[i], &s->workers->base);
}

/** Executors inside the process end with it; remote workers go on, and answer whoever is there then. */
void workers_process_ended(Sim *s) {
        Workers *w = s->workers;
        for (size_t i = w->n; i-- > 0;) {
                if (sim_fault(s, FAULT_RESULT_LATE))
                        w->jobs[i].given_up = true;
                else
                        remove_job(w, i);
        }
}

size_t workers_open(const Workers *w) { return w->n; }

/* ---- answers -------------------------------------------------------------------------------------------- */

static Value *value_of(const char *json) {
        json_t *tree = json_loads(json, JSON_DECODE_ANY, NULL);
        return value_new(tree);
}

static void fill(Sim *s, TaskResult *r) {
        static const char *const errors[] = {
                        "{\"code\":\"HTTP_503\",\"message\":\"busy\",\"retryable\":true}",
                        "{\"code\":\"TIMEOUT\",\"message\":\"no answer in time\",\"retryable\":true}",
                        "{\"code\":\"HTTP_404\",\"message\":\"gone\",\"retryable\":false}",
                        "{\"code\":\"WORKER_GONE\",\"message\":\"it went away\",\"retryable\":true}",
        };
        char text[128];
        r->ok = !sim_fault(s, FAULT_RESULT_ERROR);
        if (r->ok) {
                snprintf(text, sizeof(text), "{\"go\":%s,\"n\":%u,\"status\":200}",
                         rng_chance(&s->rng, 500) ? "true" : "false", rng_below(&s->rng, 10));
                r->output = value_of(text);
        } else if (rng_chance(&s->rng, 950)) {
                r->error = value_of(errors[rng_below(&s->rng, N_ELEMENTS(errors))]);
                r->retry_after_ms = rng_chance(&s->rng, 200) ? rng_below(&s->rng, 20000) : 0;
        }
        if (rng_chance(&s->rng, 200))
                r->logs = value_of("[{\"level\":\"info\",\"message\":\"did it\"}]");
        if (rng_chance(&s->rng, 200))
                r->evidence = value_of("[{\"type\":\"http\",\"sourceRef\":\"x\",\"confidence\":1,"
                                       "\"sha256\":\"00\"}]");
}

static void post(Sim *s, const Job *j, TaskResult *r) {
        ExecutorHost *host = &s->workers->host;
        sim_tell(s, "result of task %u: %s", j->serial, r->ok ? "ok" : "error");
        host->post_result(host->userdata, r);
}

bool workers_answer(Sim *s) {
        Workers *w = s->workers;
        if (w->n == 0 || !process_is_up(s))
                return false;
        size_t i = rng_below(&s->rng, (uint32_t)w->n);
        Job j = w->jobs[i];
        if (!j.given_up && !j.cancelled && sim_fault(s, FAULT_RESULT_NONE)) {
                /* The effect has happened; what the engine hears is that time ran out. */
                sim_tell(s, "effect of task %u without an answer", j.serial);
                TaskResult r = {.execution_id = j.id, .instance = j.instance, .attempt = j.attempt};
                r.error = value_of("{\"code\":\"TIMEOUT\",\"message\":\"no answer in "
                                   "time\",\"retryable\":true}");
                remove_job(w, i);
                post(s, &j, &r);
                return true;
        }
        TaskResult r = {.execution_id = j.id, .instance = j.instance, .attempt = j.attempt};
        fill(s, &r);
        bool twice = sim_fault(s, FAULT_RESULT_TWICE);
        TaskResult again = r;
        if (twice) {
                value_ref(r.output);
                value_ref(r.error);
                value_ref(r.logs);
                value_ref(r.evidence);
                again.ok = r.ok;
        }
        remove_job(w, i);
        post(s, &j, &r);
        if (twice)
                post(s, &j, &again);
        return true;
}
