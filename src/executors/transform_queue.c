/*
 * The queue
 *
 * Tenants take turns, each of their jobs is one turn: whoever submits a thousand programs that run for seconds
 * keeps the others waiting for one of them, not for all.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "executors/transform_internal.h"

static Slice name_of(const TransformTenant *t) { return (Slice){t->name, t->n_name}; }

static TransformTenant *tenant_get(TransformEngine *e, Slice name) {
        TransformTenant *t = map_get(&e->tenants, name);
        if (t)
                return t;
        t = malloc(sizeof(*t) + name.n);
        if (!t)
                return NULL;
        *t = (TransformTenant){.n_name = name.n};
        if (name.n > 0)
                memcpy(t->name, name.data, name.n);
        list_init(&t->queue);
        if (map_put(&e->tenants, name_of(t), t) < 0) {
                free(t);
                return NULL;
        }
        list_push_back(&e->turns, &t->node);
        return t;
}

int transform_queue_add(TransformEngine *e, TransformJob *job) {
        assert(job->state == JOB_SUBMITTED);
        TransformTenant *t = tenant_get(e, job->task->tenant);
        if (!t)
                return -ENOMEM;
        job->tenant = t;
        job->state = JOB_QUEUED;
        e->n_queued++;
        list_push_back(&t->queue, &job->node);
        return 0;
}

void transform_queue_remove(TransformEngine *e, TransformJob *job) {
        TransformTenant *t = job->tenant;
        assert(job->state == JOB_QUEUED);
        list_remove(&job->node);
        job->state = JOB_SUBMITTED;
        job->tenant = NULL;
        e->n_queued--;
        if (list_is_empty(&t->queue)) {
                map_remove(&e->tenants, name_of(t));
                list_remove(&t->node);
                free(t);
        }
}

TransformJob *transform_queue_next(TransformEngine *e) {
        if (list_is_empty(&e->turns))
                return NULL;
        TransformTenant *t = LIST_ENTRY(e->turns.next, TransformTenant, node);
        list_remove(&t->node);
        list_push_back(&e->turns, &t->node);
        return LIST_ENTRY(t->queue.next, TransformJob, node);
}
