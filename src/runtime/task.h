#pragma once
/* Tasks made from effects, and the register of those that an executor has and has not answered yet. */

#include <pthread.h>

#include "base/map.h"
#include "base/turns.h"
#include "model/update.h"
#include "runtime/ports.h"

/** The task of EFFECT_TASK (or the question of EFFECT_AUTHZ) @e of @x, owned by the caller; NULL when out of memory. */
Task *task_new(const Execution *x, const Effect *e);

/**
 * An attempt that is out. The room for its result is kept from before it is sent out, so a result can always
 * be taken. `result` comes first: request_free of it frees the whole.
 */
typedef struct OpenTask {
        Request result;
        List node;       /* the batch's, until it is dispatched */
        Turn turn;       /* in OpenTasks.tenants */
        Task *task;      /* owned until it is dispatched */
        StepType type;
        bool is_question; /* to the authorization service */
        uint8_t key[24]; /* execution, instance, attempt */
        void (*settled)(void *userdata, bool committed); /* the result's; NULL: nobody asks, or was told */
        void *settled_userdata;
} OpenTask;

typedef struct OpenTasks {
        pthread_mutex_t lock;
        Map map;
        TurnQueue tenants; /* how many each has out; nobody takes turns here */
} OpenTasks;

void open_tasks_init(OpenTasks *o, const uint64_t seeds[2], const uint64_t tenant_seeds[2]);
/** Frees what is still open. */
void open_tasks_deinit(OpenTasks *o);
/** Register @task (taken, also on failure). 0 with the entry borrowed in *ret, -ENOMEM, -EEXIST when that
 * attempt is out already. */
int open_tasks_add(OpenTasks *o, Task *task, OpenTask **ret);
/** Take the entry out of the register: owned by the caller, who calls open_task_free or sends `result` on.
 * NULL: not out. */
OpenTask *open_tasks_take(OpenTasks *o, Uuid execution_id, uint32_t instance, uint32_t attempt);
/** The entry, left where it is; NULL: not out. Valid for the writer until it takes results from its inbox
 * again. */
OpenTask *open_tasks_find(OpenTasks *o, Uuid execution_id, uint32_t instance, uint32_t attempt);
size_t open_tasks_count(OpenTasks *o);
size_t open_tasks_bytes(OpenTasks *o); /* of configs and inputs, roughly */
size_t open_tasks_count_of(OpenTasks *o, Slice tenant);
void open_task_free(OpenTask *t); /* NULL-safe */
/** Move the values of @result into the room kept for it. */
void open_task_fill(OpenTask *t, const TaskResult *result);
/** Release the values of a result that nobody waits for, and say so. */
void task_result_drop(const TaskResult *result);
/** @p as a request for the writer; NULL when out of memory (dropped then, as if nobody had waited for it). */
Request *task_progress_new(const TaskProgress *p);
