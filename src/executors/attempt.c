/* Attempts: their names, errors and logs. */
#include <time.h>

#include "base/quote.h"
#include "executors/attempt.h"

void attempt_key(uint8_t ret[ATTEMPT_KEY_SIZE], Uuid execution_id, uint32_t instance, uint32_t attempt) {
        memcpy(ret, execution_id.bytes, 16);
        memcpy(ret + 16, &instance, 4);
        memcpy(ret + 20, &attempt, 4);
}

int64_t attempt_now_ns(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void put_lossy(JsonWriter *w, Slice text) {
        quote_json_lossy(w->buf, text); /* always after a key */
        w->need_comma = true;
}

Value *attempt_take_value(Buf *b) {
        Value *v = b->error ? NULL : value_new_bytes(buf_slice(b));
        buf_reset(b);
        return v;
}

Value *attempt_error(const char *code, bool retryable, Slice message, Slice details) {
        Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_str(&w, code);
        if (details.n > 0) {
                json_key(&w, "details");
                json_put_raw(&w, details);
        }
        json_key(&w, "message");
        put_lossy(&w, message);
        json_key(&w, "retryable");
        json_put_bool(&w, retryable);
        json_end_object(&w);
        Value *v = attempt_take_value(&b);
        buf_deinit(&b);
        return v;
}

Value *attempt_overloaded(const char *what, uint64_t n, const char *setting) {
        Buf b = {0};
        buf_printf(&b, "%llu %s are open already, as many as are allowed (%s)", (unsigned long long)n, what,
                   setting);
        Value *v = b.error ? NULL : attempt_error("OVERLOADED", true, buf_slice(&b), SLICE_NULL);
        buf_deinit(&b);
        return v;
}

void attempt_put_log(JsonWriter *w, const char *level, Slice message, Slice metadata) {
        json_begin_object(w);
        json_key(w, "level");
        json_put_str(w, level);
        json_key(w, "message");
        put_lossy(w, message);
        if (metadata.n > 0) {
                json_key(w, "metadata");
                json_put_raw(w, metadata);
        }
        json_end_object(w);
}

void attempt_refuse(const ExecutorHost *host, Task *task, Value *error, Value *otherwise) {
        TaskResult result = attempt_result(task);
        result.error = error ? error : value_ref(otherwise);
        task_free(task);
        host->post_result(host->userdata, &result);
}

bool attempt_touch(const Task *task) {
        bool ok = !task->config || (value_json(task->config) && value_bytes(task->config).data);
        ok = ok && (!task->input || value_bytes(task->input).data);
        return ok && (!task->context || value_bytes(task->context).data);
}
