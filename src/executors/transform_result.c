/* A finished run as a task result: output or error, and its log. */
#include "executors/transform_internal.h"

static Slice metadata(TransformEngine *e, const TransformJob *job, const TransformOutcome *o, int64_t run_ms,
                      int64_t wait_ms) {
        buf_reset(&e->aside);
        JsonWriter w = json_writer(&e->aside);
        json_begin_object(&w);
        json_key(&w, "attempt");
        json_put_i64(&w, job->task->attempt);
        if (o->code) {
                json_key(&w, "code");
                json_put_str(&w, o->code);
        }
        json_key(&w, "durationMs");
        json_put_i64(&w, run_ms);
        json_key(&w, "inputBytes");
        json_put_i64(&w, (int64_t)job->input.n);
        if (!o->code) {
                json_key(&w, "outputBytes");
                json_put_i64(&w, (int64_t)o->output.n);
        }
        json_key(&w, "waitedMs");
        json_put_i64(&w, wait_ms);
        json_end_object(&w);
        return buf_slice(&e->aside);
}

static Value *make_logs(TransformEngine *e, const TransformJob *job, const TransformOutcome *o) {
        int64_t begin_ns = job->start_ns ? job->start_ns : e->now_ns;
        int64_t run_ms = (e->now_ns - begin_ns) / NS_PER_MS,
                wait_ms = (begin_ns - job->submit_ns) / NS_PER_MS;
        Buf message = {0};
        if (o->code) {
                buf_printf(&message, "transform failed after %lld ms: ", (long long)(run_ms + wait_ms));
                buf_put_slice(&message, o->message);
        } else {
                buf_printf(&message, "transform in %lld ms", (long long)run_ms);
        }
        buf_reset(&e->output);
        JsonWriter w = json_writer(&e->output);
        json_begin_array(&w);
        if (job->child && job->child->logs.n > 0 && !job->child->logs.error)
                json_put_raw(&w, buf_slice(&job->child->logs));
        attempt_put_log(&w, o->code ? "warn" : "info", buf_slice(&message),
                        metadata(e, job, o, run_ms, wait_ms));
        json_end_array(&w);
        bool ok = !message.error && !e->aside.error;
        buf_deinit(&message);
        return ok ? attempt_take_value(&e->output) : NULL;
}

void transform_result_post(TransformEngine *e, TransformJob *job, const TransformOutcome *o) {
        TaskResult result = attempt_result(job->task);
        result.output = o->code ? NULL : value_new_bytes(o->output);
        result.ok = result.output != NULL;
        if (o->code)
                result.error = attempt_error(o->code, o->retryable, o->message, o->details);
        if (!result.ok && !result.error)
                result.error = value_ref(e->out_of_memory);
        result.logs = make_logs(e, job, o);
        e->host.post_result(e->host.userdata, &result);
}
