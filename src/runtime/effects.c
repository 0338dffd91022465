/*
 * Effects
 *
 * What an update asks for beside the execution's own records. Those of the store are done here, inside the
 * transaction; tasks are built here and leave only after the commit; signals to other executions become
 * inputs of this batch's chain.
 */
#include <errno.h>
#include <stdlib.h>

#include "json/json_read.h"
#include "runtime/runtime_private.h"

static StoreTimer timer_of(const Execution *x, const Effect *e) {
        return (StoreTimer){
                .at_ms = e->at_ms, .execution_id = x->id, .instance = e->instance, .slot = e->slot};
}

static int timer_set(Batch *b, Execution *x, const Effect *e) {
        StoreTimer timer = timer_of(x, e);
        return store_timer_set(b->txn, &timer);
}

static int timer_clear(Batch *b, Execution *x, const Effect *e) {
        StoreTimer timer = timer_of(x, e);
        return store_timer_clear(b->txn, &timer);
}

/* ---- events ------------------------------------------------------------------------------------------- */

/** An event came before its wait: it is taken out of the store and delivered within this batch. */
static int deliver_early(Batch *b, Execution *x, const Effect *e, Slice type, Slice correlation) {
        StoreEarlyEvent found;

        int r = store_early_first(b->txn, x->tenant, type, correlation, b->now_ms, &found);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        Chained *c = chained_new(b, INPUT_EVENT, x->id);
        EarlyEvent *early = ARENA_NEW(&b->arena, EarlyEvent);
        if (!c || !early)
                return -ENOMEM;
        early->type = arena_dup(&b->arena, type);
        early->correlation = arena_dup(&b->arena, correlation);
        early->event = found;
        early->event.event_id = arena_dup(&b->arena, found.event_id);
        early->event.user = arena_dup(&b->arena, found.user);
        early->event.payload = arena_dup(&b->arena, found.payload);
        c->early = early;
        c->input.tenant = arena_dup(&b->arena, x->tenant);
        c->input.user = early->event.user;
        c->input.text = early->event.event_id;
        c->input.instance = e->instance;
        c->input.attempt = e->attempt;
        c->input.value = value_new_bytes(early->event.payload);
        if (!early->type.data || !early->correlation.data || !early->event.event_id.data ||
            !early->event.user.data || !early->event.payload.data || !c->input.tenant.data ||
            !c->input.value) {
                value_unref(c->input.value);
                return -ENOMEM;
        }
        batch_chain(b, c);
        return store_early_delete(b->txn, x->tenant, type, correlation, &early->event);
}

static int wait_add(Batch *b, Execution *x, const Effect *e) {
        const StepExtra *extra = x->steps[e->instance].extra;
        Slice type = slice_from_str(extra->event_type), correlation = slice_from_str(extra->correlation);
        StoreWait wait = {
                .order = store_next_order(b->r->store),
                .execution_id = x->id,
                .instance = e->instance,
                .attempt = e->attempt,
        };

        int r = store_wait_add(b->txn, x->tenant, type, correlation, &wait);
        return r ? r : deliver_early(b, x, e, type, correlation);
}

static int wait_remove(Batch *b, Execution *x, const Effect *e) {
        const StepExtra *extra = x->steps[e->instance].extra;
        return store_wait_remove(b->txn, x->tenant, slice_from_str(extra->event_type),
                                 slice_from_str(extra->correlation), x->id, e->instance);
}

/* ---- approvals and idempotency ---------------------------------------------------------------------- */

static int approval_add(Batch *b, Execution *x, const Effect *e) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < e->n_users; i++)
                r = store_approval_add(b->txn, x->tenant, e->users[i], x->id, e->instance);
        return r;
}

static int approval_remove(Batch *b, Execution *x, const Effect *e) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < e->n_users; i++)
                r = store_approval_remove(b->txn, x->tenant, e->users[i], x->id, e->instance);
        return r;
}

static bool has_digest(const Execution *x) {
        static const Digest none;
        return !digest_eq(&x->idempotency_digest, &none);
}

static int idempotency_release(Batch *b, Execution *x, const Effect *e) {
        if (!has_digest(x))
                return 0;
        int r = store_idempotency_delete(b->txn, &x->idempotency_digest, x->id);
        return r == STORE_E_NOT_FOUND ? 0 : r;
}

/** Where another has taken its place meanwhile, that one stays what duplicates are told; this one comes next. */
static int idempotency_claim(Batch *b, Execution *x, const Effect *e) {
        return has_digest(x) ? store_idempotency_put(b->txn, &x->idempotency_digest, x->id) : 0;
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

/** No executor for this type of step: the attempt fails at once, after the commit, by the road of all
 * results. */
static int fill_executor_missing(OpenTask *t, const Task *task) {
        Slice type = task->step->type_name;
        TaskResult result = {
                .error = value_new(
                        task->is_question
                                ? json_pack("{s:s, s:s, s:b}", "code", "AUTHZ_UNAVAILABLE", "message",
                                            "The step requires permissions and this engine has no "
                                            "authorization service to ask (AUTHZ_URL). No answer means denied",
                                            "retryable", 0)
                                : json_pack("{s:s, s:s+%, s:b}", "code", "EXECUTOR_MISSING", "message",
                                            "This engine has no executor for steps of type ", type.data,
                                            type.n, "retryable", 1)),
        };
        if (!result.error)
                return -ENOMEM;
        open_task_fill(t, &result);
        return 0;
}

static int task_send(Batch *b, Execution *x, const Effect *e) {
        OpenTask *t;
        Task *task = task_new(x, e);

        if (!task)
                return -ENOMEM;
        int r = open_tasks_add(&b->r->tasks, task, &t);
        if (r == -EEXIST)
                return 0; /* it is out already: one result will come */
        if (r < 0)
                return r;
        list_push_back(&b->tasks, &t->node);
        return runtime_executor(b->r, t->type, t->is_question) ? 0 : fill_executor_missing(t, t->task);
}

static int task_cancel(Batch *b, Execution *x, const Effect *e) {
        OpenTask *t = open_tasks_find(&b->r->tasks, x->id, e->instance, e->attempt);

        if (t && t->task) {
                /* Sent and cancelled within one batch: it never leaves. */
                open_tasks_take(&b->r->tasks, x->id, e->instance, e->attempt);
                list_remove(&t->node);
                open_task_free(t);
                return 0;
        }
        if (b->n_cancels == b->cap_cancels) {
                size_t cap = b->cap_cancels ? b->cap_cancels * 2 : 64;
                TaskCancel *bigger = realloc(b->cancels, cap * sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                b->cancels = bigger;
                b->cap_cancels = cap;
        }
        b->cancels[b->n_cancels++] = (TaskCancel){
                .type = execution_step(x, e->instance)->type,
                .is_question = e->kind == EFFECT_AUTHZ_CANCEL,
                .execution_id = x->id,
                .instance = e->instance,
                .attempt = e->attempt,
        };
        return 0;
}

/* ---- parents and children ------------------------------------------------------------------------------ */

static int start_child(Batch *b, Execution *x, const Effect *e) {
        const json_t *config = value_json(e->value);
        Chained *c = chained_new(b, INPUT_START, x->steps[e->instance].extra->child);
        char trace[TRACEPARENT_SIZE + 1];

        if (!config || !c)
                return -ENOMEM;
        Input *in = &c->input;
        in->tenant = arena_dup(&b->arena, x->tenant);
        in->user = arena_dup(&b->arena, x->initiated_by);
        trace_put_step(x->id, x->traceparent, e->instance, trace);
        in->traceparent = arena_dup(&b->arena, (Slice){trace, TRACEPARENT_SIZE});
        c->runbook_id = arena_dup(&b->arena, json_string_slice(json_object_get(config, "runbookId")));
        c->version = arena_dup(&b->arena, json_string_slice(json_object_get(config, "version")));
        in->parent = x->id;
        in->parent_instance = e->instance;
        in->depth = x->depth + 1;
        in->dry_run = x->is_dry_run;
        if (!in->tenant.data || !in->user.data || !in->traceparent.data || !c->runbook_id.data ||
            !c->version.data)
                return -ENOMEM;
        json_t *input = json_object_get(config, "input");
        in->value = input ? value_new(json_incref(input)) : NULL;
        in->context = value_ref(x->context);
        if (input && !in->value) {
                value_unref(in->context);
                return -ENOMEM;
        }
        batch_chain(b, c);
        return store_child_add(b->txn, x->id, e->instance, in->execution_id);
}

static int signal_child(Batch *b, Execution *x, const Effect *e) {
        const StepExtra *extra = x->steps[e->instance].extra;
        Chained *c = extra ? chained_new(b, (InputKind)e->slot, extra->child) : NULL;

        if (!c)
                return extra ? -ENOMEM : 0;
        c->input.tenant = arena_dup(&b->arena, x->tenant);
        c->input.flag = x->freeze_clocks;
        if (e->slot == INPUT_CANCEL)
                c->input.text = SLICE("the execution that started this one was cancelled");
        if (!c->input.tenant.data)
                return -ENOMEM;
        batch_chain(b, c);
        return 0;
}

static int signal_parent(Batch *b, Execution *x, const Effect *e) {
        Chained *c = chained_new(b, e->slot == INPUT_CHILD_STATE ? INPUT_CHILD_STATE : INPUT_CHILD_DONE,
                                 x->parent);

        if (!c)
                return -ENOMEM;
        c->input.tenant = arena_dup(&b->arena, x->tenant);
        c->input.text = chained_child(b, x->id);
        if (!c->input.tenant.data || !c->input.text.data)
                return -ENOMEM;
        c->input.instance = x->parent_instance;
        if (c->input.kind == INPUT_CHILD_STATE) {
                c->input.flag = e->attempt != 0;
        } else {
                c->input.ok = x->status == RUNBOOK_EXECUTION_COMPLETED;
                c->input.value = value_ref(x->output);
                c->input.error = value_ref(x->error);
        }
        batch_chain(b, c);
        return 0;
}

static int (*const appliers[])(Batch *b, Execution *x, const Effect *e) = {
        [EFFECT_TIMER_SET] = timer_set,
        [EFFECT_TIMER_CLEAR] = timer_clear,
        [EFFECT_WAIT_ADD] = wait_add,
        [EFFECT_WAIT_REMOVE] = wait_remove,
        [EFFECT_APPROVAL_ADD] = approval_add,
        [EFFECT_APPROVAL_REMOVE] = approval_remove,
        [EFFECT_IDEMPOTENCY_RELEASE] = idempotency_release,
        [EFFECT_IDEMPOTENCY_CLAIM] = idempotency_claim,
        [EFFECT_START_CHILD] = start_child,
        [EFFECT_SIGNAL_CHILD] = signal_child,
        [EFFECT_SIGNAL_PARENT] = signal_parent,
        [EFFECT_TASK] = task_send,
        [EFFECT_TASK_CANCEL] = task_cancel,
        [EFFECT_AUTHZ] = task_send,
        [EFFECT_AUTHZ_CANCEL] = task_cancel,
};

int effects_apply(Batch *b, CacheEntry *e) {
        int r = 0;
        for (size_t i = 0; r == 0 && i < b->update.n_effects; i++)
                r = appliers[b->update.effects[i].kind](b, e->x, &b->update.effects[i]);
        return r == STORE_E_NOT_FOUND ? 0 : r;
}
