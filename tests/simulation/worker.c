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
        bool cancelled;   /* an answer may still be under way */
        bool given_up;    /* the process that sent it is gone */
        bool is_question; /* may this attempt start? */
        char path[72];
} Job;

/** An attempt that was allowed, or whose receiver asked for patience. */
typedef struct Grant {
        Uuid id;
        uint32_t attempt;
        bool allowed;
        int64_t retry_after_ms;
        char path[72];
} Grant;

struct Workers {
        Executor base;
        Sim *sim;
        Job *jobs;
        size_t n, cap;
        uint32_t serial;
        ExecutorHost host;
        Grant *grants;
        size_t n_grants, cap_grants;
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
        if (!task->is_question)
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
        w->jobs[w->n - 1].is_question = task->is_question;
        snprintf(w->jobs[w->n - 1].path, sizeof(w->jobs[0].path), "%.*s", SLICE_ARG(task->step_path));
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
        free(w->grants);
        free(w);
}

void workers_attach(Sim *s) {
        static const StepType types[] = {STEP_TYPE_CALL_SERVICE, STEP_TYPE_CUSTOM, STEP_TYPE_PUBLISH_EVENT,
                                         STEP_TYPE_TRANSFORM};
        s->workers->host = runtime_executor_host(s->rt, NULL, NULL);
        for (size_t i = 0; i < N_ELEMENTS(types); i++)
                runtime_set_executor(s->rt, types[i], &s->workers->base);
        runtime_set_authz(s->rt, &s->workers->base);
}

/** Executors inside the process end with it; remote workers go on, and answer whoever is there then. */
void workers_process_ended(Sim *s) {
        Workers *w = s->workers;
        for (size_t i = w->n; i-- > 0;) {
                if (!w->jobs[i].is_question && sim_fault(s, FAULT_RESULT_LATE))
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
        if (rng_chance(&s->rng, 600))
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

bool workers_granted(const Sim *s, Uuid id, const char *path, uint32_t attempt) {
        const Workers *w = s->workers;
        for (size_t i = 0; i < w->n_grants; i++)
                if (w->grants[i].allowed && w->grants[i].attempt == attempt && uuid_eq(w->grants[i].id, id) &&
                    strcmp(w->grants[i].path, path) == 0)
                        return true;
        return false;
}

static Grant *grant_new(Workers *w, const Job *j) {
        SIM_GROW(w->grants, w->n_grants, w->cap_grants);
        Grant *g = &w->grants[w->n_grants++];
        *g = (Grant){.id = j->id, .attempt = j->attempt};
        memcpy(g->path, j->path, sizeof(g->path));
        return g;
}

int64_t workers_retry_after(const Sim *s, Uuid id, const char *path, uint32_t attempt) {
        const Workers *w = s->workers;
        int64_t most = 0;
        for (size_t i = 0; i < w->n_grants; i++)
                if (w->grants[i].attempt == attempt && uuid_eq(w->grants[i].id, id) &&
                    strcmp(w->grants[i].path, path) == 0 && w->grants[i].retry_after_ms > most)
                        most = w->grants[i].retry_after_ms;
        return most;
}

/** The authorization service decides, or is not there. */
static void decide(Sim *s, const Job *j, TaskResult *r) {
        Workers *w = s->workers;
        static const char *const denials[] = {"{\"allow\":false,\"reason\":\"no\"}", "{\"allow\":\"true\"}",
                                              "[true]"};
        r->ok = !sim_fault(s, FAULT_RESULT_ERROR);
        if (!r->ok) {
                r->error = value_of(
                                "{\"code\":\"AUTHZ_UNAVAILABLE\",\"message\":\"away\",\"retryable\":true}");
                return;
        }
        if (rng_chance(&s->rng, 150)) {
                r->output = value_of(denials[rng_below(&s->rng, N_ELEMENTS(denials))]);
                return;
        }
        r->output = value_of("{\"allow\":true}");
        grant_new(w, j)->allowed = true;
}

/** Word from an attempt under way; it stays open. */
static void report_progress(Sim *s, const Job *j) {
        TaskProgress p = {.execution_id = j->id, .instance = j->instance, .attempt = j->attempt};
        p.has_number = rng_chance(&s->rng, 700);
        p.number = (double)rng_below(&s->rng, 101) / 100;
        if (rng_chance(&s->rng, 400))
                p.logs = value_of("[{\"level\":\"info\",\"message\":\"half way\"}]");
        if (rng_chance(&s->rng, 200))
                p.evidence = value_of("[{\"type\":\"note\",\"sourceRef\":\"y\",\"confidence\":1,\"sha256\":"
                                      "\"11\"}]");
        sim_tell(s, "progress of task %u", j->serial);
        s->workers->host.post_progress(s->workers->host.userdata, &p);
}

bool workers_answer(Sim *s) {
        Workers *w = s->workers;
        if (w->n == 0 || !process_is_up(s))
                return false;
        size_t i = rng_below(&s->rng, (uint32_t)w->n);
        Job j = w->jobs[i];
        if (!j.is_question && !s->healing && rng_chance(&s->rng, 60)) {
                report_progress(s, &j);
                return true;
        }
        if (!j.is_question && !j.given_up && !j.cancelled && sim_fault(s, FAULT_RESULT_NONE)) {
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
        if (j.is_question)
                decide(s, &j, &r);
        else
                fill(s, &r);
        if (r.retry_after_ms > 0)
                grant_new(w, &j)->retry_after_ms = r.retry_after_ms;
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
