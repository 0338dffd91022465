/* How a call of a plugin ended, as a task result. */
#include "executors/plugin_internal.h"

static Slice metadata(Buf *b, const PluginCall *c, const char *code) {
        int64_t now_ns = attempt_now_ns(), begin_ns = c->start_ns ? c->start_ns : now_ns;
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        json_key(&w, "attempt");
        json_put_i64(&w, c->task->attempt);
        if (code) {
                json_key(&w, "code");
                json_put_str(&w, code);
        }
        json_key(&w, "durationMs");
        json_put_i64(&w, (now_ns - begin_ns) / NS_PER_MS);
        json_key(&w, "plugin");
        json_put_str(&w, c->type->plugin->abi.name);
        json_key(&w, "pluginVersion");
        json_put_str(&w, c->type->plugin->abi.version);
        json_key(&w, "waitedMs");
        json_put_i64(&w, (begin_ns - c->submit_ns) / NS_PER_MS);
        json_end_object(&w);
        return buf_slice(b);
}

/** What the plugin has logged, then our own entry. Under the call's lock. */
static Value *make_logs(const PluginCall *c, Value *error) {
        Buf logs = {0}, message = {0}, figures = {0};
        const json_t *e = value_json(error);
        const char *code = json_string_value(json_object_get(e, "code"));
        buf_put_str(&message, c->type->abi.type);
        if (error) {
                buf_put_str(&message, " failed: ");
                const char *why = json_string_value(json_object_get(e, "message"));
                buf_put_str(&message, why ? why : "out of memory");
        } else {
                buf_put_str(&message, " completed");
        }
        JsonWriter w = json_writer(&logs);
        json_begin_array(&w);
        if (c->logs.n > 0)
                json_put_raw(&w, buf_slice(&c->logs));
        attempt_put_log(&w, error ? "warn" : "info", buf_slice(&message), metadata(&figures, c, code));
        json_end_array(&w);
        Value *v = message.error || figures.error ? NULL : attempt_take_value(&logs);
        buf_deinit(&logs);
        buf_deinit(&message);
        buf_deinit(&figures);
        return v;
}

static Value *make_evidence(const PluginCall *c) {
        if (c->n_evidence == 0)
                return NULL;
        Buf b = {0};
        buf_put_char(&b, '[');
        buf_put_slice(&b, buf_slice(&c->evidence));
        buf_put_char(&b, ']');
        Value *v = attempt_take_value(&b);
        buf_deinit(&b);
        return v;
}

/** Why the attempt failed, NULL if it did not. Under the call's lock. */
static Value *take_error(const PluginCall *c, int status) {
        if (status == 0)
                return value_ref(c->output_fault);
        if (c->has_error)
                return attempt_error(c->code.data, c->retryable, buf_slice(&c->message),
                                     buf_slice(&c->details));
        Buf message = {0};
        buf_printf(&message, "the plugin %s returned %d for %s without saying why", c->type->plugin->abi.name,
                   status, c->type->abi.type);
        Value *v = attempt_error("PLUGIN_ERROR", false, buf_slice(&message), SLICE_NULL);
        buf_deinit(&message);
        return v;
}

/** @error is taken; NULL: it completed. */
static void post(PluginCall *c, Value *error) {
        PluginEngine *e = c->engine;
        TaskResult result = attempt_result(c->task);
        pthread_mutex_lock(&c->lock);
        if (!error)
                result.output = c->output ? value_ref(c->output) : value_new_bytes(SLICE("null"));
        result.ok = result.output != NULL;
        result.error = result.ok ? NULL : error ? error : value_ref(e->out_of_memory);
        if (!result.ok && c->has_error && c->retryable)
                result.retry_after_ms = c->retry_after_ms;
        result.logs = make_logs(c, result.error);
        result.evidence = make_evidence(c);
        pthread_mutex_unlock(&c->lock);
        e->host.post_result(e->host.userdata, &result);
}

void plugin_result_post(PluginCall *c, int status) {
        pthread_mutex_lock(&c->lock);
        bool failed = status != 0 || c->output_fault;
        Value *error = take_error(c, status);
        pthread_mutex_unlock(&c->lock);
        post(c, failed && !error ? value_ref(c->engine->out_of_memory) : error);
}

void plugin_error_post(PluginCall *c, Value *error) {
        post(c, error ? error : value_ref(c->engine->out_of_memory));
}
