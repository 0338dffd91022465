/*
 * transform: jq programs in processes
 *
 * Any thread submits and cancels; one thread does everything else. The two meet in an Intake. The thread
 * turns: take what was submitted, give to idle helper processes what waits (turns.c), hear what they
 * say (transform_child.c, transform_frame.c), end what is overdue.
 *
 * A job's life: submitted → queued → running → over.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executors/thread.h"
#include "executors/transform_internal.h"
#include "json/json_read.h"

#define EVENTS_MAX 64 /* taken from epoll at once */

/* ---- jobs ---------------------------------------------------------------------------------------------- */

/** Take it off wherever it is and free it. */
static void job_free(TransformEngine *e, TransformJob *job) {
        turns_remove(&e->queue, &job->turn);
        if (job->child)
                job->child->job = NULL;
        due_remove(&e->due, &job->due);
        task_free(job->task);
        free(job);
}

void transform_job_finish(TransformEngine *e, TransformJob *job, const TransformOutcome *o) {
        if (intake_end(&e->intake, &job->item))
                transform_result_post(e, job, o);
        job_free(e, job);
}

void transform_job_fail(TransformEngine *e, TransformJob *job, const char *code, bool retryable,
                        const char *format, ...) {
        char text[TRANSFORM_MESSAGE_MAX];
        va_list ap;
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        TransformOutcome o = {.code = code, .retryable = retryable, .message = slice_from_str(text)};
        transform_job_finish(e, job, &o);
}

static void begin(TransformEngine *e, TransformJob *job) {
        const json_t *program = json_object_get(value_json(job->task->config), "jq");
        if (!json_is_string(program)) {
                transform_job_fail(e, job, "CONFIG_INVALID", false,
                                   "config.jq must be a string: the program");
                return;
        }
        job->program = json_string_slice(program);
        job->input = job->task->input ? value_bytes(job->task->input) : SLICE("null");
        if (job->program.n > JQ_PROGRAM_MAX)
                transform_job_fail(e, job, "CONFIG_INVALID", false,
                                   "config.jq has more than the %d bytes allowed (JQ_PROGRAM_MAX)",
                                   JQ_PROGRAM_MAX);
        else if (job->input.n > JQ_INPUT_MAX)
                transform_job_fail(e, job, "INPUT_TOO_LARGE", false,
                                   "the input has %zu bytes; %d are allowed (JQ_INPUT_MAX)", job->input.n,
                                   JQ_INPUT_MAX);
        else if (due_set(&e->due, &job->due, job->submit_ns + job->timeout_ms * NS_PER_MS) < 0 ||
                 turns_add(&e->queue, job->task->tenant, &job->turn) < 0)
                transform_job_fail(e, job, "OUT_OF_MEMORY", true,
                                   "there was not enough memory to run the program");
}

/**
 * Nobody waits for it any more. A run is let come to its end for a moment: a new process costs more than most
 * runs.
 */
static void drop(TransformEngine *e, TransformJob *job) {
        int64_t until_ns = e->now_ns + TRANSFORM_GRACE_MS * NS_PER_MS;
        if (!job->child) {
                intake_end(&e->intake, &job->item);
                job_free(e, job);
                return;
        }
        job->is_dropped = true;
        if (until_ns < job->due.ns)
                (void)due_set(&e->due, &job->due, until_ns); /* it is in already, so this can't fail */
}

/* ---- what is due --------------------------------------------------------------------------------------- */

static void time_out(TransformEngine *e, TransformJob *job) {
        TransformChild *c = job->child;
        long long all_ms = job->timeout_ms, run_ms = (e->now_ns - job->start_ns) / NS_PER_MS;
        bool forgiven = job->is_dropped;
        if (c)
                transform_job_fail(
                                e, job, "TRANSFORM_TIMEOUT", true,
                                "the program did not end within the step's %lld ms; it ran for %lld of them",
                                all_ms, run_ms);
        else if (e->start_fault[0])
                transform_job_fail(e, job, "TRANSFORM_TIMEOUT", true,
                                   "no process could be had within %lld ms: %s", all_ms, e->start_fault);
        else
                transform_job_fail(e, job, "TRANSFORM_TIMEOUT", true,
                                   "within %lld ms its turn did not come: %u programs run at once "
                                   "(TRANSFORM_POOL)",
                                   all_ms, e->settings.pool);
        if (c)
                transform_child_kill(e, c, forgiven);
}

static void run_due(TransformEngine *e) {
        for (Due *d; (d = due_first(&e->due)) && d->ns <= e->now_ns;)
                time_out(e, LIST_ENTRY(d, TransformJob, due));
        for (uint32_t i = 0; i < e->settings.pool; i++)
                if (e->children[i].act_ns <= e->now_ns)
                        transform_child_act(e, &e->children[i]);
}

/** Idle processes get what waits; where too few are idle, more are started. */
static void pump(TransformEngine *e) {
        size_t n_coming = 0;
        for (uint32_t i = 0; i < e->settings.pool && e->queue.n > 0; i++) {
                TransformChild *c = &e->children[i];
                if (c->state == CHILD_IDLE) {
                        transform_child_give(e, c, LIST_ENTRY(turns_take(&e->queue), TransformJob, turn));
                }
                n_coming += c->state == CHILD_STARTING && !c->job;
        }
        for (uint32_t i = 0; i < e->settings.pool && n_coming < e->queue.n; i++)
                if (e->children[i].state == CHILD_NONE && e->children[i].act_ns <= e->now_ns) {
                        transform_child_spawn(e, &e->children[i]);
                        n_coming++;
                }
}

static int64_t next_due_ns(const TransformEngine *e) {
        const Due *d = due_first(&e->due);
        int64_t next = d ? d->ns : NEVER;
        for (uint32_t i = 0; i < e->settings.pool; i++) {
                const TransformChild *c = &e->children[i];
                bool counts = c->state != CHILD_NONE || e->queue.n > 0;
                if (counts && c->act_ns < next)
                        next = c->act_ns;
        }
        return next;
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/** False: stop. */
static bool take_inbox(TransformEngine *e) {
        List fresh, cancelled;
        if (!intake_take(&e->intake, &fresh, &cancelled))
                return false;
        while (!list_is_empty(&fresh)) {
                TransformJob *job = LIST_ENTRY(fresh.next, TransformJob, item.node);
                list_remove(&job->item.node);
                begin(e, job);
        }
        while (!list_is_empty(&cancelled)) {
                TransformJob *job = LIST_ENTRY(cancelled.next, TransformJob, item.cancel_node);
                list_remove(&job->item.cancel_node);
                drop(e, job);
        }
        return true;
}

static void wait_for_events(TransformEngine *e, int64_t until_ns) {
        struct epoll_event events[EVENTS_MAX];
        int64_t left_ms = until_ns == NEVER ? -1 : (until_ns - e->now_ns + NS_PER_MS - 1) / NS_PER_MS;
        int timeout_ms = left_ms > INT32_MAX ? INT32_MAX : (int)(left_ms < -1 ? 0 : left_ms);
        int n = epoll_wait(e->epoll, events, EVENTS_MAX, timeout_ms);
        e->now_ns = attempt_now_ns();
        bool rung = false;
        for (int i = 0; i < n; i++)
                rung |= !events[i].data.ptr;
        intake_awake(&e->intake, rung);
        for (int i = 0; i < n; i++)
                if (events[i].data.ptr)
                        transform_child_ready(e, events[i].data.ptr, events[i].events);
}

static void *run(void *engine) {
        TransformEngine *e = engine;
        e->now_ns = attempt_now_ns();
        transform_child_spawn(e, &e->children[0]);
        while (take_inbox(e)) {
                pump(e);
                pthread_mutex_lock(&e->intake.lock);
                bool idle = intake_rest(&e->intake);
                pthread_mutex_unlock(&e->intake.lock);
                wait_for_events(e, idle ? next_due_ns(e) : e->now_ns);
                run_due(e);
        }
        return NULL;
}

void transform_report_start(TransformEngine *e, bool works) {
        pthread_mutex_lock(&e->intake.lock);
        e->start = works ? START_WORKS : START_FAILED;
        pthread_cond_signal(&e->started);
        pthread_mutex_unlock(&e->intake.lock);
}

/* ---- for other threads --------------------------------------------------------------------------------- */

static TransformEngine *engine_of(Executor *executor) { return (TransformEngine *)executor; }

static void submit(Executor *executor, Task *task) {
        TransformEngine *e = engine_of(executor);
        TransformJob *job = attempt_touch(task) ? calloc(1, sizeof(*job)) : NULL;
        if (!job) {
                attempt_refuse(&e->host, task, NULL, e->out_of_memory);
                return;
        }
        job->task = task;
        job->submit_ns = attempt_now_ns();
        job->timeout_ms = task->timeout_ms > 0 ? task->timeout_ms : e->settings.timeout_default_ms;
        int r = intake_put(&e->intake, &job->item, task);
        if (r < 0) {
                free(job);
                attempt_refuse(&e->host, task, NULL, r == -ENOBUFS ? e->overloaded : e->out_of_memory);
        }
}

static void cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        intake_cancel(&engine_of(executor)->intake, execution_id, instance, attempt);
}

static uint64_t n_open(Executor *executor) { return intake_n_open(&engine_of(executor)->intake); }

static void engine_free(TransformEngine *e) {
        for (uint32_t i = 0; e->children && i < e->settings.pool; i++) {
                if (e->children[i].job)
                        job_free(e, e->children[i].job);
                transform_child_deinit(e, &e->children[i]);
        }
        while (due_first(&e->due))
                job_free(e, LIST_ENTRY(due_first(&e->due), TransformJob, due));
        while (!list_is_empty(&e->intake.fresh)) {
                TransformJob *job = LIST_ENTRY(e->intake.fresh.next, TransformJob, item.node);
                list_remove(&job->item.node);
                job_free(e, job);
        }
        due_deinit(&e->due);
        turns_deinit(&e->queue);
        if (e->epoll >= 0)
                close(e->epoll);
        http_json_deinit(&e->json);
        buf_deinit(&e->output);
        buf_deinit(&e->aside);
        buf_deinit(&e->message);
        free(e->children);
        value_unref(e->out_of_memory);
        value_unref(e->overloaded);
        pthread_cond_destroy(&e->started);
        intake_deinit(&e->intake);
        free(e);
}

static void thread_stop(TransformEngine *e) {
        intake_stop(&e->intake);
        pthread_join(e->thread, NULL);
}

static void stop(Executor *executor) {
        TransformEngine *e = engine_of(executor);
        thread_stop(e);
        engine_free(e);
}

static const ExecutorVtable vtable = {
                .name = "transform", .submit = submit, .cancel = cancel, .n_open = n_open, .stop = stop};

/* ---- the beginning ------------------------------------------------------------------------------------- */

static int check_range(Report *report, const char *name, long long value, long long min, long long max) {
        if (value >= min && value <= max)
                return 0;
        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s is %lld; it must be from %lld to %lld", name,
                          value, min, max);
}

static int settings_take(TransformEngine *e, const TransformSettings *given, Report *report) {
        TransformSettings *s = &e->settings;
        *s = *given;
        s->pool = s->pool ? s->pool : TRANSFORM_POOL;
        s->timeout_default_ms = s->timeout_default_ms ? s->timeout_default_ms : TRANSFORM_TIMEOUT_DEFAULT_MS;
        s->cpu_ms = s->cpu_ms ? s->cpu_ms : TRANSFORM_CPU_MS;
        s->memory_mb = s->memory_mb ? s->memory_mb : TRANSFORM_MEMORY_MB;
        s->open_max = s->open_max ? s->open_max : TRANSFORM_OPEN_MAX;
        s->helper = NULL; /* e->helper has it */
        int r = check_range(report, "TRANSFORM_POOL", s->pool, 1, TRANSFORM_POOL_MAX);
        if (r == 0)
                r = check_range(report, "TRANSFORM_TIMEOUT_DEFAULT_MS", s->timeout_default_ms, 1,
                                LIMIT_DURATION_MS);
        if (r == 0)
                r = check_range(report, "TRANSFORM_CPU_MS", s->cpu_ms, 1, TRANSFORM_CPU_MS_MAX);
        if (r == 0)
                r = check_range(report, "TRANSFORM_MEMORY_MB", s->memory_mb, TRANSFORM_MEMORY_MB_MIN,
                                TRANSFORM_MEMORY_MB_MAX);
        return r < 0 ? r : transform_helper_find(e, given->helper, report);
}

static int parts_make(TransformEngine *e) {
        uint64_t seeds[4];
        e->out_of_memory = attempt_error("OUT_OF_MEMORY", true,
                                         SLICE("there was not enough memory to run the program"), SLICE_NULL);
        e->overloaded = attempt_overloaded("transform steps", e->settings.open_max, "TRANSFORM_OPEN_MAX");
        e->children = calloc(e->settings.pool, sizeof(*e->children));
        if (!e->out_of_memory || !e->overloaded || !e->children)
                return -ENOMEM;
        for (uint32_t i = 0; i < e->settings.pool; i++) {
                e->children[i].fd = -1;
                e->children[i].in.limit = TRANSFORM_FRAME_MAX * 2;
        }
        e->host.ids.random(e->host.ids.userdata, seeds, N_ELEMENTS(seeds));
        turns_init(&e->queue, seeds[2], seeds[3]);
        e->epoll = epoll_create1(EPOLL_CLOEXEC);
        int r = intake_open(&e->intake, seeds[0], seeds[1], e->settings.open_max);
        struct epoll_event event = {.events = EPOLLIN};
        if (r == 0 && (e->epoll < 0 || epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->intake.wakeup, &event) < 0))
                r = -errno;
        return r;
}

/** Start the thread and wait until its first helper works or doesn't. */
static int thread_start(TransformEngine *e, Report *report) {
        int r = executor_thread_start(&e->thread, "transform", run, e);
        if (r < 0)
                return r;
        pthread_mutex_lock(&e->intake.lock);
        while (e->start == START_PENDING)
                pthread_cond_wait(&e->started, &e->intake.lock);
        bool works = e->start == START_WORKS;
        pthread_mutex_unlock(&e->intake.lock);
        if (works)
                return 0;
        thread_stop(e);
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "the helper program of transform steps does not work: %s (RUNBOOK_JQ_PATH)",
                          e->start_fault);
}

int transform_executor_new(const TransformSettings *settings, const ExecutorHost *host, Report *report,
                           Executor **ret) {
        TransformEngine *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->executor.vtable = &vtable;
        e->host = *host;
        e->epoll = -1;
        intake_init(&e->intake);
        pthread_cond_init(&e->started, NULL);
        int r = settings_take(e, settings, report);
        if (r == 0)
                r = parts_make(e);
        if (r == 0)
                r = thread_start(e, report);
        if (r < 0) {
                if (!report_is_error(report))
                        report_set(report, RUNBOOK_INTERNAL, "jq programs can't be run: %s", strerror(-r));
                engine_free(e);
                return r;
        }
        *ret = &e->executor;
        return 0;
}
