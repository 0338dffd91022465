#pragma once
/* What all executors need to name an attempt and to say how it ended. */

#include "json/json_write.h"
#include "runtime/ports.h"

#define ATTEMPT_KEY_SIZE 24

/** 24 bytes that name an attempt: execution id, instance, attempt. */
void attempt_key(uint8_t ret[ATTEMPT_KEY_SIZE], Uuid execution_id, uint32_t instance, uint32_t attempt);
/** Monotonic nanoseconds. */
int64_t attempt_now_ns(void);
/**
 * {"code","details"?,"message","retryable"}. @message may be bytes of any origin; @details is canonical JSON,
 * or SLICE_NULL. NULL when out of memory.
 */
Value *attempt_error(const char *code, bool retryable, Slice message, Slice details);
/** OVERLOADED: @n @what are open already, as many as @setting allows. NULL when out of memory. */
Value *attempt_overloaded(const char *what, uint64_t n, const char *setting);
/**
 * One entry of TaskResult.logs. @level "info"…; @message as above; @metadata canonical JSON or SLICE_NULL.
 */
void attempt_put_log(JsonWriter *w, const char *level, Slice message, Slice metadata);
/** The bytes as a value; NULL on the buffer's sticky error. Empties @b, keeps its memory. */
Value *attempt_take_value(Buf *b);
/** A result of @task with nothing in it yet. */
static inline TaskResult attempt_result(const Task *task) {
        return (TaskResult){.execution_id = task->execution_id,
                            .instance = task->instance,
                            .attempt = task->attempt};
}
/** Post @error (taken; NULL: @otherwise, borrowed) as the result of @task, and free the task. */
void attempt_refuse(const ExecutorHost *host, Task *task, Value *error, Value *otherwise);
/**
 * Make the faces of the task's values that other threads will read: canonical bytes of all, the tree of the
 * config. To be called in submit. False when out of memory.
 */
bool attempt_touch(const Task *task);
