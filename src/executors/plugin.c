/*
 * custom:<name> by plugins
 *
 * The writer submits and cancels; a few threads call plugins and one keeps time (plugin_pool.c). They meet
 * under one lock, which nobody holds while a plugin, the host or an executor below is called.
 *
 * A call is answered exactly once, by whoever takes it out of `calls` under the lock: the thread that ran it
 * with its result, the keeper with a timeout, a cancel or stop with nothing.
 *
 * Plugins share our memory, so nothing protects the engine from one that crashes, corrupts memory or never
 * comes back; what has to be kept apart belongs into a remote worker. Plugins that don't come back when the
 * engine stops are left behind: their threads run until the process ends, and what they use is not freed.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executors/plugin_internal.h"
#include "executors/thread.h"

static PluginEngine *engine_of(Executor *executor) { return (PluginEngine *)executor; }

/* ---- for the writer ------------------------------------------------------------------------------------ */

/** Nobody runs such steps. */
static Value *missing_error(const PluginEngine *e, Slice type_name) {
        _cleanup_(buf_deinit) Buf text = {.limit = PLUGIN_TEXT_MAX};
        Slice shown = slice_cut_utf8(type_name, LIMIT_ID_BYTES + 8);
        buf_printf(&text, "nothing here runs steps of type \"%.*s\": ", SLICE_ARG(shown));
        if (e->set.n_plugins > 0)
                buf_printf(&text, "none of the %zu plugins in %.1024s offers it", e->set.n_plugins,
                           e->set.dir);
        else if (*e->set.dir)
                buf_printf(&text, "there is no plugin in %.1024s", e->set.dir);
        else
                buf_put_str(&text, "no folder of plugins is set");
        buf_put_str(&text, ", and there are no remote workers; put a plugin that offers it into PLUGIN_DIR "
                           "and start "
                           "the engine again");
        return attempt_error("EXECUTOR_MISSING", false, buf_slice(&text), SLICE_NULL);
}

/** Under the lock. 0, -ENOMEM or -ENOBUFS. */
static int enter(PluginEngine *e, PluginCall *c) {
        if (e->n_calls >= e->settings.open_max)
                return -ENOBUFS;
        if (due_set(&e->due, &c->due, c->submit_ns + c->timeout_ms * NS_PER_MS) < 0)
                return -ENOMEM;
        if (turns_add(&e->queue, c->task->tenant, &c->turn) < 0 ||
            map_put(&e->calls, slice_from_bytes(c->key, ATTEMPT_KEY_SIZE), c) < 0) {
                due_remove(&e->due, &c->due);
                turns_remove(&e->queue, &c->turn);
                return -ENOMEM;
        }
        e->n_calls++;
        return 0;
}

static void submit(Executor *executor, Task *task) {
        PluginEngine *e = engine_of(executor);
        PluginType *type = plugin_set_find(&e->set, task->step->type_name);
        if (!type) {
                if (e->fallback)
                        e->fallback->vtable->submit(e->fallback, task);
                else
                        attempt_refuse(&e->host, task, missing_error(e, task->step->type_name),
                                       e->out_of_memory);
                return;
        }
        PluginCall *c = attempt_touch(task) ? plugin_call_new(e, type, task) : NULL;
        if (!c) {
                attempt_refuse(&e->host, task, NULL, e->out_of_memory);
                return;
        }
        pthread_mutex_lock(&e->lock);
        int r = enter(e, c);
        if (r == 0)
                pthread_cond_signal(&e->work);
        if (r == 0 && due_first(&e->due) == &c->due)
                pthread_cond_broadcast(&e->change);
        pthread_mutex_unlock(&e->lock);
        if (r < 0) {
                c->task = NULL;
                plugin_call_free(c);
                attempt_refuse(&e->host, task, NULL, r == -ENOBUFS ? e->overloaded : e->out_of_memory);
        }
}

static void cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        PluginEngine *e = engine_of(executor);
        uint8_t key[ATTEMPT_KEY_SIZE];
        attempt_key(key, execution_id, instance, attempt);
        pthread_mutex_lock(&e->lock);
        PluginCall *c = map_get(&e->calls, slice_from_bytes(key, sizeof(key)));
        bool is_waiting = c && !c->start_ns, is_absent = !c;
        if (c) {
                plugin_call_answer(e, c);
                plugin_call_abort(e, c);
        }
        e->n_calls -= is_waiting;
        pthread_mutex_unlock(&e->lock);
        if (is_waiting)
                plugin_call_free(c);
        if (is_absent && e->fallback)
                e->fallback->vtable->cancel(e->fallback, execution_id, instance, attempt);
}

static uint64_t n_open(Executor *executor) {
        PluginEngine *e = engine_of(executor);
        pthread_mutex_lock(&e->lock);
        uint64_t n = e->calls.n;
        pthread_mutex_unlock(&e->lock);
        return e->fallback ? n + e->fallback->vtable->n_open(e->fallback) : n;
}

int plugin_config_check(Executor *executor, Slice type_name, const JsonAt *config) {
        return plugin_config_check_type(plugin_set_find(&engine_of(executor)->set, type_name), config);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static void engine_free(PluginEngine *e) {
        plugin_set_unload(&e->set);
        turns_deinit(&e->queue);
        due_deinit(&e->due);
        map_deinit(&e->calls);
        value_unref(e->out_of_memory);
        value_unref(e->overloaded);
        free(e->threads);
        pthread_cond_destroy(&e->work);
        pthread_cond_destroy(&e->change);
        pthread_mutex_destroy(&e->lock);
        pthread_mutex_destroy(&e->host_lock);
        free(e);
}

/** Answer everything, with nothing: what waits is freed, what runs is told. Under the lock. */
static void answer_all(PluginEngine *e) {
        for (Turn *t; (t = turns_take(&e->queue));) {
                PluginCall *c = LIST_ENTRY(t, PluginCall, turn);
                plugin_call_answer(e, c);
                e->n_calls--;
                plugin_call_free(c);
        }
        LIST_FOREACH(node, &e->running) {
                PluginCall *c = LIST_ENTRY(node, PluginCall, node);
                if (!c->is_answered) {
                        plugin_call_answer(e, c);
                        plugin_call_abort(e, c);
                }
        }
}

/** Let the threads end. False: some plugin does not come back. */
static bool threads_stop(PluginEngine *e) {
        int64_t until_ns = attempt_now_ns() + e->settings.stop_ms * NS_PER_MS;
        struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
        int r = 0;
        pthread_mutex_lock(&e->lock);
        e->stopping = true;
        answer_all(e);
        pthread_cond_broadcast(&e->work);
        pthread_cond_broadcast(&e->change);
        while (r == 0 && (e->n_running > 0 || (e->has_keeper && !e->keeper_over)))
                r = pthread_cond_timedwait(&e->change, &e->lock, &until);
        bool all_back = e->n_running == 0 && (!e->has_keeper || e->keeper_over);
        LIST_FOREACH(node, &e->running)
        log_event(LOG_WARN, "a plugin does not come back; its thread is left behind", "type",
                  LIST_ENTRY(node, PluginCall, node)->type->abi.type, "plugin",
                  LIST_ENTRY(node, PluginCall, node)->type->plugin->file, NULL);
        pthread_mutex_unlock(&e->lock);
        for (uint32_t i = 0; i < e->n_threads; i++)
                all_back ? pthread_join(e->threads[i], NULL) : pthread_detach(e->threads[i]);
        if (e->has_keeper)
                all_back ? pthread_join(e->keeper, NULL) : pthread_detach(e->keeper);
        return all_back;
}

static void stop(Executor *executor) {
        PluginEngine *e = engine_of(executor);
        if (threads_stop(e)) {
                engine_free(e);
                return;
        }
        pthread_mutex_lock(&e->host_lock);
        e->is_gone = true;
        pthread_mutex_unlock(&e->host_lock);
}

static const ExecutorVtable vtable = {
                .name = "plugin", .submit = submit, .cancel = cancel, .n_open = n_open, .stop = stop};

/* ---- the beginning ------------------------------------------------------------------------------------- */

static int check_range(Report *report, const char *name, long long value, long long min, long long max) {
        if (value >= min && value <= max)
                return 0;
        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s is %lld; it must be from %lld to %lld", name,
                          value, min, max);
}

static int settings_take(PluginEngine *e, const PluginSettings *given, Report *report) {
        PluginSettings *s = &e->settings;
        *s = *given;
        s->dir = NULL; /* e->set has it */
        s->threads = s->threads ? s->threads : PLUGIN_THREADS;
        s->timeout_default_ms = s->timeout_default_ms ? s->timeout_default_ms : PLUGIN_TIMEOUT_DEFAULT_MS;
        s->open_max = s->open_max ? s->open_max : PLUGIN_OPEN_MAX;
        s->stop_ms = s->stop_ms ? s->stop_ms : PLUGIN_STOP_MS;
        int r = check_range(report, "PLUGIN_THREADS", s->threads, 1, PLUGIN_THREADS_MAX);
        return r < 0 ? r
                     : check_range(report, "PLUGIN_TIMEOUT_DEFAULT_MS", s->timeout_default_ms, 1,
                                   LIMIT_DURATION_MS);
}

static int parts_make(PluginEngine *e, const char *dir, Report *report) {
        uint64_t seeds[2];
        e->host.ids.random(e->host.ids.userdata, seeds, N_ELEMENTS(seeds));
        e->out_of_memory = attempt_error("OUT_OF_MEMORY", true,
                                         SLICE("there was not enough memory to run the step"), SLICE_NULL);
        e->overloaded = attempt_overloaded("steps of plugins", e->settings.open_max, "PLUGIN_OPEN_MAX");
        e->threads = calloc(e->settings.threads, sizeof(*e->threads));
        /* Shared by all threads, so it gets both its faces now. */
        if (!value_json(e->out_of_memory) || !e->overloaded || !e->threads)
                return -ENOMEM;
        return plugin_set_load(&e->set, dir, seeds[0], seeds[1], report);
}

/** None are needed without plugins. */
static int threads_start(PluginEngine *e) {
        if (e->set.n_plugins == 0)
                return 0;
        int r = executor_thread_start(&e->keeper, "plugin-keeper", plugin_keeper, e);
        e->has_keeper = r == 0;
        for (; r == 0 && e->n_threads < e->settings.threads; e->n_threads += r == 0)
                r = executor_thread_start(&e->threads[e->n_threads], "plugin", plugin_worker, e);
        return r;
}

/** What can't fail. */
static void engine_init(PluginEngine *e) {
        uint64_t seeds[4];
        pthread_condattr_t monotonic;
        e->host.ids.random(e->host.ids.userdata, seeds, N_ELEMENTS(seeds));
        map_init(&e->calls, seeds[0], seeds[1]);
        turns_init(&e->queue, seeds[2], seeds[3]);
        list_init(&e->running);
        list_init(&e->hooks);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&e->lock, NULL);
        pthread_mutex_init(&e->host_lock, NULL);
        pthread_cond_init(&e->work, NULL);
        pthread_cond_init(&e->change, &monotonic);
        pthread_condattr_destroy(&monotonic);
}

static void log_plugins(const PluginSet *set) {
        for (size_t i = 0; i < set->n_plugins; i++) {
                const Plugin *p = &set->plugins[i];
                for (size_t k = 0; k < p->n_types; k++)
                        log_event(LOG_INFO, "plugin loaded", "file", p->file, "plugin", p->abi.name,
                                  "version", p->abi.version, "type", p->types[k].abi.type, NULL);
        }
}

int plugin_executor_new(const PluginSettings *settings, const ExecutorHost *host, Executor *fallback,
                        Report *report, Executor **ret) {
        PluginEngine *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->executor.vtable = &vtable;
        e->host = *host;
        e->fallback = fallback;
        engine_init(e);
        int r = settings_take(e, settings, report);
        if (r == 0)
                r = parts_make(e, settings->dir, report);
        if (r == 0)
                r = threads_start(e);
        if (r < 0) {
                if (!report_is_error(report))
                        report_set(report, RUNBOOK_INTERNAL, "plugins can't be run: %s", strerror(-r));
                threads_stop(e);
                engine_free(e);
                return r;
        }
        log_plugins(&e->set);
        *ret = &e->executor;
        return 0;
}
