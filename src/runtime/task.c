/*
 * Tasks
 *
 * An attempt leaves the house as one block of memory that any thread may keep and free. What it shares with
 * its execution are values; their reference counts are atomic, but their two faces are made on first use and
 * not locked. So values that the execution keeps get both faces here, on the writer's thread, before another
 * can see them.
 *
 * The register knows every attempt that is out. It makes results exactly-once for the core without a look
 * into the store (a second result, or one of a cancelled attempt, finds no entry), and its entries are the
 * room for results: taking one never needs memory and never meets a full queue.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "runtime/task.h"

/** Is the task's input a value that the execution keeps, too? */
static bool input_is_kept(const Execution *x, const Effect *e) {
        return e->input == x->input || x->scopes[x->steps[e->instance].scope].region == REGION_COMPENSATION;
}

static bool value_share(Value *v) { return !v || (value_json(v) && value_bytes(v).data); }

static Slice put_string(char **p, Slice s) {
        Slice copy = {*p, s.n};
        if (s.n)
                memcpy(*p, s.data, s.n);
        (*p)[s.n] = '\0';
        *p += s.n + 1;
        return copy;
}

/** 24 bytes that name an attempt. */
static void attempt_key(Uuid id, uint32_t instance, uint32_t attempt, uint8_t ret[24]) {
        memcpy(ret, id.bytes, 16);
        memcpy(ret + 16, &instance, 4);
        memcpy(ret + 20, &attempt, 4);
}

Task *task_new(const Execution *x, const Effect *e) {
        const RunbookStep *step = execution_step(x, e->instance);
        bool is_question = e->kind == EFFECT_AUTHZ;
        char trace[TRACEPARENT_SIZE + 1];
        Buf path = {0};
        Task *t = NULL;

        execution_put_path(x, e->instance, &path);
        if (path.error || (!is_question && (!value_share(x->context) ||
                                            (input_is_kept(x, e) && !value_share(e->input)))))
                goto out;
        t = calloc(1, sizeof(*t) + x->tenant.n + x->initiated_by.n + path.n + TRACEPARENT_SIZE + 4);
        if (!t)
                goto out;
        char *p = (char *)(t + 1);
        list_init(&t->node);
        t->execution_id = x->id;
        t->instance = e->instance;
        t->attempt = e->attempt;
        t->runbook = runbook_ref(x->runbook);
        t->step = step;
        t->tenant = put_string(&p, x->tenant);
        t->initiated_by = put_string(&p, x->initiated_by);
        t->step_path = put_string(&p, buf_slice(&path));
        trace_put_step(x->id, x->traceparent, e->instance, trace);
        t->traceparent = put_string(&p, (Slice){trace, TRACEPARENT_SIZE});
        t->is_question = is_question;
        if (is_question) {
                t->input = value_ref(e->value);
        } else {
                t->timeout_ms = step->timeout_ms;
                t->config = value_ref(e->value);
                t->input = value_ref(e->input);
                t->context = value_ref(x->context);
        }
        if (engine_idempotency_key(x, e->instance, t->idempotency_key) < 0) {
                task_free(t);
                t = NULL;
        }
out:
        buf_deinit(&path);
        return t;
}

void task_free(Task *task) {
        if (!task)
                return;
        value_unref(task->config);
        value_unref(task->input);
        value_unref(task->context);
        runbook_unref(task->runbook);
        free(task);
}

void open_tasks_init(OpenTasks *o, const uint64_t seeds[2], const uint64_t tenant_seeds[2]) {
        pthread_mutex_init(&o->lock, NULL);
        map_init(&o->map, seeds[0], seeds[1]);
        turns_init(&o->tenants, tenant_seeds[0], tenant_seeds[1]);
}

void open_tasks_deinit(OpenTasks *o) {
        size_t it = 0;
        Slice key;
        void *value;

        while (map_next(&o->map, &it, &key, &value)) {
                turns_remove(&o->tenants, &((OpenTask *)value)->turn);
                open_task_free(value);
        }
        turns_deinit(&o->tenants);
        map_deinit(&o->map);
        pthread_mutex_destroy(&o->lock);
}

void open_task_free(OpenTask *t) {
        if (!t)
                return;
        task_free(t->task);
        request_free(&t->result);
}

int open_tasks_add(OpenTasks *o, Task *task, OpenTask **ret) {
        static_assert(offsetof(OpenTask, result) == 0, "request_free frees the whole entry");
        OpenTask *t = calloc(1, sizeof(*t));
        int r = 0;

        if (!t) {
                task_free(task);
                return -ENOMEM;
        }
        list_init(&t->node);
        list_init(&t->result.node);
        t->task = task;
        t->turn.weight = sizeof(*t) + sizeof(*task) + value_weight(task->config) + value_weight(task->input);
        t->type = task->step->type;
        t->is_question = task->is_question;
        t->result.kind = REQUEST_TASK_RESULT;
        t->result.input.kind = task->is_question ? INPUT_AUTHZ : INPUT_TASK_RESULT;
        t->result.input.execution_id = task->execution_id;
        t->result.input.instance = task->instance;
        t->result.input.attempt = task->attempt;
        attempt_key(task->execution_id, task->instance, task->attempt, t->key);
        Slice key = slice_from_bytes(t->key, sizeof(t->key));

        pthread_mutex_lock(&o->lock);
        r = map_get(&o->map, key) ? -EEXIST : turns_add(&o->tenants, task->tenant, &t->turn);
        if (r == 0)
                r = map_put(&o->map, key, t);
        if (r < 0)
                turns_remove(&o->tenants, &t->turn);
        pthread_mutex_unlock(&o->lock);
        if (r < 0) {
                open_task_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

OpenTask *open_tasks_take(OpenTasks *o, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        uint8_t key[24];

        attempt_key(execution_id, instance, attempt, key);
        pthread_mutex_lock(&o->lock);
        OpenTask *t = map_remove(&o->map, slice_from_bytes(key, sizeof(key)));
        if (t)
                turns_remove(&o->tenants, &t->turn);
        pthread_mutex_unlock(&o->lock);
        return t;
}

OpenTask *open_tasks_find(OpenTasks *o, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        uint8_t key[24];

        attempt_key(execution_id, instance, attempt, key);
        pthread_mutex_lock(&o->lock);
        OpenTask *t = map_get(&o->map, slice_from_bytes(key, sizeof(key)));
        pthread_mutex_unlock(&o->lock);
        return t;
}

size_t open_tasks_count(OpenTasks *o) {
        pthread_mutex_lock(&o->lock);
        size_t n = o->map.n;
        pthread_mutex_unlock(&o->lock);
        return n;
}

size_t open_tasks_bytes(OpenTasks *o) {
        pthread_mutex_lock(&o->lock);
        size_t n = o->tenants.weight;
        pthread_mutex_unlock(&o->lock);
        return n;
}

size_t open_tasks_count_of(OpenTasks *o, Slice tenant) {
        pthread_mutex_lock(&o->lock);
        size_t n = turns_share(&o->tenants, tenant).n;
        pthread_mutex_unlock(&o->lock);
        return n;
}

/* ---- who wants to know what became of it ---------------------------------------------------------- */

static void settle(OpenTask *t, bool committed) {
        void (*settled)(void *userdata, bool committed) = t->settled;
        t->settled = NULL;
        if (settled)
                settled(t->settled_userdata, committed);
}

/** Request.done: only what was committed gets here. */
static void on_done(Request *q, RunbookCode code, Slice body, bool durable) {
        settle((OpenTask *)q, code == RUNBOOK_OK);
}

/** Request.release: the last word, unless there was one. */
static void on_release(void *userdata) { settle(userdata, false); }

static void ask(OpenTask *t, void (*settled)(void *userdata, bool committed), void *userdata) {
        if (!settled)
                return;
        t->settled = settled;
        t->settled_userdata = userdata;
        t->result.done = on_done;
        t->result.release = on_release;
        t->result.userdata = t;
}

Request *task_progress_new(const TaskProgress *p) {
        OpenTask *t = calloc(1, sizeof(*t));
        if (!t) {
                value_unref(p->logs);
                value_unref(p->evidence);
                if (p->settled)
                        p->settled(p->settled_userdata, false);
                return NULL;
        }
        list_init(&t->node);
        list_init(&t->result.node);
        t->result.kind = REQUEST_TASK_RESULT;
        t->result.input = (Input){.kind = INPUT_TASK_PROGRESS,
                                  .execution_id = p->execution_id,
                                  .instance = p->instance,
                                  .attempt = p->attempt,
                                  .flag = p->has_number,
                                  .number = p->has_number ? p->number : 0,
                                  .logs = p->logs,
                                  .evidence = p->evidence};
        ask(t, p->settled, p->settled_userdata);
        return &t->result;
}

void open_task_fill(OpenTask *t, const TaskResult *result) {
        Input *in = &t->result.input;

        in->ok = result->ok;
        in->value = result->output;
        in->error = result->error;
        in->logs = result->logs;
        in->evidence = result->evidence;
        in->retry_after_ms = result->retry_after_ms;
        ask(t, result->settled, result->settled_userdata);
}

void task_result_drop(const TaskResult *result) {
        value_unref(result->output);
        value_unref(result->error);
        value_unref(result->logs);
        value_unref(result->evidence);
        if (result->settled)
                result->settled(result->settled_userdata, false);
}
