/*
 * The threads
 *
 * Workers call plugins, one call each at a time. The keeper sees to time: it answers calls whose time is up
 * and tells plugins that nobody waits for them any more, because neither the writer, who cancels, nor a
 * worker, who is inside the plugin, can. A plugin that does not listen keeps its worker until it comes back;
 * no thread is ever killed.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "executors/plugin_internal.h"

static Slice key_slice(const PluginCall *c) { return slice_from_bytes(c->key, ATTEMPT_KEY_SIZE); }

void plugin_call_answer(PluginEngine *e, PluginCall *c) {
        assert(!c->is_answered);
        c->is_answered = true;
        if (map_get(&e->calls, key_slice(c)) == c)
                map_remove(&e->calls, key_slice(c));
        due_remove(&e->due, &c->due);
        turns_remove(&e->queue, &c->turn);
}

void plugin_call_abort(PluginEngine *e, PluginCall *c) {
        atomic_store(&c->is_cancelled, true);
        if (c->start_ns && c->type->abi.cancel) {
                list_push_back(&e->hooks, &c->hook_node);
                pthread_cond_broadcast(&e->change);
        }
}

/* ---- workers ------------------------------------------------------------------------------------------- */

static const char *text_of(Slice s) { return s.data ? s.data : ""; }

static Slice bytes_of(Value *v, Slice otherwise) { return v ? value_bytes(v) : otherwise; }

static int run(PluginCall *c) {
        const Task *t = c->task;
        char id[UUID_TEXT_SIZE + 1];
        const RunbookPluginType *type = &c->type->abi;
        Slice config = bytes_of(t->config, SLICE(PLUGIN_NO_CONFIG)),
              input = bytes_of(t->input, SLICE("null")), context = bytes_of(t->context, SLICE("null"));
        uuid_format(t->execution_id, id);
        RunbookPluginTask task = {.struct_size = sizeof(task),
                                  .type = type->type,
                                  .tenant = text_of(t->tenant),
                                  .execution_id = id,
                                  .step_path = text_of(t->step_path),
                                  .initiated_by = text_of(t->initiated_by),
                                  .traceparent = text_of(t->traceparent),
                                  .idempotency_key = t->idempotency_key,
                                  .attempt = t->attempt,
                                  .deadline_ms = c->deadline_ms,
                                  .config = config.data,
                                  .config_size = config.n,
                                  .input = input.data,
                                  .input_size = input.n,
                                  .context = context.data,
                                  .context_size = context.n};
        return type->execute(type->userdata, &plugin_host, c, &task);
}

/** What it is by the time the plugin has come back, under the lock: is the result wanted? */
static bool come_back(PluginEngine *e, PluginCall *c) {
        while (c->in_hook)
                pthread_cond_wait(&e->change, &e->lock);
        list_remove(&c->hook_node);
        list_remove(&c->node);
        bool is_wanted = !c->is_answered;
        if (is_wanted)
                plugin_call_answer(e, c);
        return is_wanted;
}

static void serve(PluginEngine *e, PluginCall *c) {
        Value *error = NULL;
        bool runs = plugin_config_fits(c->type, c->task, &error);
        int status = runs ? run(c) : 0;
        pthread_mutex_lock(&e->lock);
        bool is_wanted = come_back(e, c);
        pthread_mutex_unlock(&e->lock);
        if (is_wanted && runs)
                plugin_result_post(c, status);
        else if (is_wanted)
                plugin_error_post(c, error);
        else
                value_unref(error);
        plugin_call_free(c);
}

void *plugin_worker(void *engine) {
        PluginEngine *e = engine;
        pthread_mutex_lock(&e->lock);
        for (;;) {
                while (e->queue.n == 0 && !e->stopping)
                        pthread_cond_wait(&e->work, &e->lock);
                if (e->stopping)
                        break;
                PluginCall *c = LIST_ENTRY(turns_take(&e->queue), PluginCall, turn);
                c->start_ns = attempt_now_ns();
                list_push_back(&e->running, &c->node);
                e->n_running++;
                pthread_mutex_unlock(&e->lock);
                serve(e, c);
                pthread_mutex_lock(&e->lock);
                e->n_running--; /* not before its result is posted: stop waits for it */
                e->n_calls--;
                pthread_cond_broadcast(&e->change);
        }
        pthread_mutex_unlock(&e->lock);
        return NULL;
}

/* ---- the keeper ---------------------------------------------------------------------------------------- */

static Value *timeout_error(const PluginCall *c, uint32_t n_threads) {
        char text[320];
        if (c->start_ns)
                snprintf(text, sizeof(text), "%s did not come back within the step's %lld ms",
                         c->type->abi.type, (long long)c->timeout_ms);
        else
                snprintf(text, sizeof(text),
                         "within %lld ms the turn of %s did not come: %u calls of plugins run at once "
                         "(PLUGIN_THREADS)",
                         (long long)c->timeout_ms, c->type->abi.type, n_threads);
        return attempt_error("TIMEOUT", true, slice_from_str(text), SLICE_NULL);
}

/** Under the lock, which is let go in between. The call stays while it is in the hook, or is ours alone. */
static void time_out(PluginEngine *e, PluginCall *c) {
        bool is_running = c->start_ns != 0;
        plugin_call_answer(e, c);
        plugin_call_abort(e, c);
        c->in_hook = is_running; /* so that the worker waits until the result is made */
        pthread_mutex_unlock(&e->lock);
        plugin_error_post(c, timeout_error(c, e->settings.threads));
        if (!is_running)
                plugin_call_free(c);
        pthread_mutex_lock(&e->lock);
        if (is_running)
                c->in_hook = false;
        else
                e->n_calls--;
        pthread_cond_broadcast(&e->change);
}

/** Likewise. */
static void call_hook(PluginEngine *e, PluginCall *c) {
        list_remove(&c->hook_node);
        c->in_hook = true;
        pthread_mutex_unlock(&e->lock);
        c->type->abi.cancel(c->type->abi.userdata, c);
        pthread_mutex_lock(&e->lock);
        c->in_hook = false;
        pthread_cond_broadcast(&e->change);
}

static void sleep_until(PluginEngine *e, const Due *d) {
        if (!d) {
                pthread_cond_wait(&e->change, &e->lock);
                return;
        }
        struct timespec until = {.tv_sec = d->ns / 1000000000, .tv_nsec = d->ns % 1000000000};
        pthread_cond_timedwait(&e->change, &e->lock, &until); /* of the monotonic clock */
}

void *plugin_keeper(void *engine) {
        PluginEngine *e = engine;
        pthread_mutex_lock(&e->lock);
        for (;;) {
                const Due *d = due_first(&e->due);
                if (!list_is_empty(&e->hooks))
                        call_hook(e, LIST_ENTRY(e->hooks.next, PluginCall, hook_node));
                else if (e->stopping)
                        break;
                else if (d && d->ns <= attempt_now_ns())
                        time_out(e, LIST_ENTRY(d, PluginCall, due));
                else
                        sleep_until(e, d);
        }
        e->keeper_over = true;
        pthread_cond_broadcast(&e->change);
        pthread_mutex_unlock(&e->lock);
        return NULL;
}
