/*
 * The batch: one transaction from begin to commit
 *
 *     begin ─► item ─► its chain ─► item ─► its chain … ─► flush ─► upkeep ─► commit
 *                │                                                                │
 *                │                                            answers (turn.c) ◄──┘──► dispatch
 *                │
 *                └ a request: command id known? ─► the recorded answer
 *                             handler (start, command, event, …) ─► engine ─► absorb: journal, events,
 *                             effects ─► record the answer
 *
 * Executions are moved in memory and written once, at the flush, however many inputs they took. Until the
 * commit nobody outside has heard of anything, so a batch that fails is undone by dropping what it touched;
 * the items are still there, with their time and random bits, and the same batch (or a part of it) can be run
 * again with the same outcome.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "json/json_write.h"
#include "runtime/runtime_private.h"

#define FACTS_MIN 256
#define SPARE_MAX 1024              /* Touched kept for the next batch */
#define SPARE_BUFFER_BYTES (16 << 10) /* bigger buffers are given back */

void batch_init(Batch *b, Runtime *r) {
        *b = (Batch){.r = r};
        list_init(&b->touched);
        list_init(&b->spare);
        list_init(&b->chain);
        list_init(&b->tasks);
}

static void touched_free(Touched *t) {
        list_remove(&t->node);
        buf_deinit(&t->journal);
        buf_deinit(&t->events);
        buf_deinit(&t->logs);
        buf_deinit(&t->evidence);
        free(t);
}

void batch_deinit(Batch *b) {
        assert(list_is_empty(&b->touched) && list_is_empty(&b->chain) && list_is_empty(&b->tasks));
        LIST_FOREACH_SAFE(node, next, &b->spare)
                touched_free(LIST_ENTRY(node, Touched, node));
        free(b->cancels);
        free(b->entries);
        free(b->facts);
        update_deinit(&b->update);
        buf_deinit(&b->scratch);
        buf_deinit(&b->reply);
        arena_deinit(&b->arena);
}

/** splitmix64: the bits only have to differ from input to input, what they start from is random. */
uint64_t batch_seed(Batch *b) {
        uint64_t z = b->random += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

/* ---- executions ------------------------------------------------------------------------------------- */

int batch_execution(Batch *b, Uuid id, CacheEntry **ret) {
        Runtime *r = b->r;
        Execution *x;

        *ret = cache_get(&r->cache, id);
        if (*ret)
                return 0;
        int rc = store_execution_load(b->txn, id, runtime_runbook_lookup, r, &x);
        if (rc)
                return rc;
        *ret = cache_put(&r->cache, x);
        return *ret ? 0 : -ENOMEM;
}

int batch_execution_of(Batch *b, Item *it, CacheEntry **ret) {
        const Input *in = &it->request->input;
        int rc = batch_execution(b, in->execution_id, ret);

        if (rc == 0 && slice_eq((*ret)->x->tenant, in->tenant))
                return 0;
        if (rc != 0 && rc != STORE_E_NOT_FOUND)
                return rc;
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(in->execution_id, text);
        *ret = NULL;
        return batch_refuse(b, it, RUNBOOK_EXECUTION_NOT_FOUND, "There is no execution %s.", text);
}

static void touched_clear(Batch *b, Touched *t) {
        Buf *bufs[] = {&t->journal, &t->events, &t->logs, &t->evidence};

        list_remove(&t->node);
        for (size_t i = 0; i < N_ELEMENTS(bufs); i++) {
                if (bufs[i]->cap > SPARE_BUFFER_BYTES)
                        buf_deinit(bufs[i]);
                buf_reset(bufs[i]);
        }
        t->entry = NULL;
        t->n_journal = t->n_events = t->n_logs = t->n_evidence = 0;
        if (b->n_spare >= SPARE_MAX) {
                touched_free(t);
                return;
        }
        b->n_spare++;
        list_push_back(&b->spare, &t->node);
}

Touched *batch_touch(Batch *b, CacheEntry *e) {
        if (e->touched)
                return e->touched;
        Touched *t;
        if (!list_is_empty(&b->spare)) {
                t = LIST_ENTRY(b->spare.next, Touched, node);
                list_remove(&t->node);
                b->n_spare--;
        } else {
                t = calloc(1, sizeof(*t));
                if (!t)
                        return NULL;
                list_init(&t->node);
        }
        t->entry = e;
        t->is_new = false;
        t->status_before = e->x->status;
        e->touched = t;
        list_push_back(&b->touched, &t->node);
        return t;
}

/* ---- moving ------------------------------------------------------------------------------------------- */

static int journal(Batch *b, Touched *t, const Input *in) {
        size_t before = t->journal.n, frame = frame_begin(&t->journal, SLICE_NULL);
        int r = input_encode(in, &t->journal);
        frame_end(&t->journal, frame);
        t->n_journal++;
        b->n_bytes += t->journal.n - before;
        return r;
}

static int collect(Buf *to, uint32_t *n_to, const Buf *from, uint32_t n) {
        if (n == 0)
                return 0;
        buf_put_slice(to, buf_slice(from));
        *n_to += n;
        return to->error;
}

static int keep_facts(Batch *b, CacheEntry *e) {
        const Update *u = &b->update;

        if (b->n_facts + u->n_facts > b->cap_facts) {
                size_t cap = b->cap_facts ? b->cap_facts : FACTS_MIN;
                while (cap < b->n_facts + u->n_facts)
                        cap *= 2;
                BatchFact *bigger = realloc(b->facts, cap * sizeof(*bigger));
                if (!bigger)
                        return -ENOMEM;
                b->facts = bigger;
                b->cap_facts = cap;
        }
        for (size_t i = 0; i < u->n_facts; i++)
                b->facts[b->n_facts++] = (BatchFact){.entry = e, .fact = u->facts[i]};
        return 0;
}

int batch_absorb(Batch *b, CacheEntry *e, const Input *in, bool keep_input) {
        Update *u = &b->update;
        Touched *t = e->touched;
        int r = 0;

        if (u->oom || u->events.error || u->logs.error || u->evidence.error)
                return -ENOMEM;
        if (keep_input && u->applied)
                r = journal(b, t, in);
        if (r == 0)
                r = collect(&t->events, &t->n_events, &u->events, u->n_events);
        if (r == 0)
                r = collect(&t->logs, &t->n_logs, &u->logs, u->n_logs);
        if (r == 0)
                r = collect(&t->evidence, &t->n_evidence, &u->evidence, u->n_evidence);
        b->n_bytes += u->events.n + u->logs.n + u->evidence.n;
        if (r == 0)
                r = keep_facts(b, e);
        return r ? r : effects_apply(b, e);
}

int batch_step(Batch *b, CacheEntry *e, Input *in) {
        bool was_final = runbook_execution_status_is_final(e->x->status);

        if (!batch_touch(b, e))
                return -ENOMEM;
        in->now_ms = b->now_ms;
        update_reset(&b->update);
        int r = engine_step(e->x, &b->r->settings.engine, in, &b->update);
        if (r < 0)
                return r;
        b->n_inputs++;
        if (!was_final && runbook_execution_status_is_final(e->x->status))
                b->n_ended++;
        return batch_absorb(b, e, in, true);
}

/* ---- items --------------------------------------------------------------------------------------------- */

static int (*const handlers[N_REQUEST_KINDS])(Batch *b, Item *it) = {
        [REQUEST_COMMAND] = handle_command,
        [REQUEST_EVENT] = handle_event,
        [REQUEST_REGISTER] = handle_register,
        [REQUEST_REPLAY] = handle_replay,
        [REQUEST_START] = handle_start,
        [REQUEST_TASK_RESULT] = handle_result,
};

/** The same command again? Then its recorded answer is given: *ret_known. */
static int find_result(Batch *b, Item *it, bool *ret_known) {
        const Request *q = it->request;
        StoreResult result;

        *ret_known = false;
        int r = store_result_get(b->txn, q->input.tenant, q->input.user, q->input.command_id, &result);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        *ret_known = true;
        if (!digest_eq(&result.request, &q->digest))
                return batch_refuse(b, it, RUNBOOK_INVALID_REQUEST,
                                    "Command id \"%.*s\" was used for another command. Use a fresh id for "
                                    "every command, and the same "
                                    "id only to send the same command again.",
                                    SLICE_ARG(q->input.command_id));
        it->code = (RunbookCode)result.code;
        it->durable = true;
        it->body = arena_dup(&b->arena, result.body);
        return it->body.data ? 0 : -ENOMEM;
}

static int record_result(Batch *b, const Item *it) {
        const Request *q = it->request;
        StoreResult result = {
                .at_ms = b->now_ms, .code = (uint16_t)it->code, .body = it->body, .request = q->digest};

        b->n_bytes += it->body.n;
        return store_result_put(b->txn, q->input.tenant, q->input.user, q->input.command_id, &result);
}

static int run_request(Batch *b, Item *it) {
        Request *q = it->request;
        bool named = q->input.command_id.n > 0 && q->kind != REQUEST_TASK_RESULT, known = false;
        int r = 0;

        it->code = RUNBOOK_OK;
        it->body = SLICE_NULL;
        it->durable = true;
        it->later = false;
        q->input.seed = it->random[0];
        q->input.now_ms = b->now_ms;
        if (named)
                r = find_result(b, it, &known);
        if (r == 0 && !known)
                r = handlers[q->kind](b, it);
        if (r == 0 && named && !known && it->durable && !it->later && it->code != RUNBOOK_INTERNAL)
                r = record_result(b, it);
        return r;
}

/* ---- the whole ------------------------------------------------------------------------------------------
 */

static void chained_release(Chained *c) {
        list_remove(&c->node);
        value_unref(c->input.value);
        value_unref(c->input.error);
        value_unref(c->input.context);
}

static void batch_begin(Batch *b, const Item *items, size_t n, int64_t now_ms) {
        arena_reset(&b->arena);
        b->now_ms = now_ms;
        b->random = n ? items[0].random[2] : 0;
        b->n_chained = 0;
        b->n_bytes = b->n_cancels = b->n_entries = b->n_facts = 0;
        b->outbox_row = 0;
        b->upkeep = (Upkeep){0};
        b->n_inputs = b->n_started = b->n_ended = b->n_timers = b->n_late = 0;
}

/* ---- those who watch ---------------------------------------------------------------------------------- */

static bool is_bad_end(const char *outcome) { return !strcmp(outcome, "failed") || !strcmp(outcome, "cancelled"); }

static void put_span(Batch *b, const Execution *x, const UpdateFact *f) {
        TraceSpan span = {.context = trace_of_execution(x->id, x->traceparent),
                          .execution = x,
                          .outcome = strchr(f->type, '.') + 1,
                          .attempt = f->attempt,
                          .start_ms = f->start_ms,
                          .end_ms = f->end_ms};

        if (!(span.context.flags & 1) || (strcmp(span.outcome, "completed") != 0 && !is_bad_end(span.outcome)))
                return;
        trace_span_id(x->id, f->instance, span.span_id);
        if (f->instance != INSTANCE_NONE) {
                trace_span_id(x->id, INSTANCE_NONE, span.context.parent_id);
                span.step = execution_step(x, f->instance);
                buf_reset(&b->scratch);
                execution_put_path(x, f->instance, &b->scratch);
                span.path = buf_slice(&b->scratch);
        }
        b->r->spans.span(b->r->spans.userdata, &span);
}

/** The transaction is committed: count it, and tell who wants to know what has ended. */
static void tell_watchers(Batch *b, int64_t us, size_t n_items) {
        Runtime *r = b->r;

        measures_begin(&r->measures);
        if (n_items > 0)
                measures_commit(&r->measures, us, n_items);
        LIST_FOREACH(node, &b->touched) {
                const Touched *t = LIST_ENTRY(node, Touched, node);
                const Execution *x = t->entry->x;
                if (t->is_new)
                        measures_add(&r->measures, x, true);
                else if (x->status != t->status_before)
                        measures_move(&r->measures, x, t->status_before);
        }
        for (size_t i = 0; i < b->n_facts; i++)
                measures_fact(&r->measures, b->facts[i].entry->x, &b->facts[i].fact);
        measures_end(&r->measures);
        for (size_t i = 0; r->spans.span && i < b->n_facts; i++)
                if (b->facts[i].fact.start_ms > 0)
                        put_span(b, b->facts[i].entry->x, &b->facts[i].fact);
}

/** Nothing of this batch ever happened. */
static void batch_undo(Batch *b) {
        LIST_FOREACH_SAFE(node, next, &b->touched) {
                Touched *t = LIST_ENTRY(node, Touched, node);
                CacheEntry *e = t->entry;
                touched_clear(b, t);
                cache_drop(&b->r->cache, e);
        }
        LIST_FOREACH_SAFE(node, next, &b->chain)
                chained_release(LIST_ENTRY(node, Chained, node));
        LIST_FOREACH_SAFE(node, next, &b->tasks) {
                OpenTask *t = LIST_ENTRY(node, OpenTask, node);
                list_remove(&t->node);
                open_tasks_take(&b->r->tasks, t->task->execution_id, t->task->instance, t->task->attempt);
                open_task_free(t);
        }
        b->n_cancels = 0;
        update_reset(&b->update);
}

static void batch_done(Batch *b) {
        LIST_FOREACH_SAFE(node, next, &b->touched) {
                Touched *t = LIST_ENTRY(node, Touched, node);
                CacheEntry *e = t->entry;
                touched_clear(b, t);
                e->touched = NULL;
                if (runbook_execution_status_is_final(e->x->status))
                        cache_drop(&b->r->cache, e);
                else
                        cache_measure(&b->r->cache, e);
        }
        cache_trim(&b->r->cache);
        update_reset(&b->update);
}

int batch_run_chain(Batch *b) {
        while (!list_is_empty(&b->chain)) {
                Chained *c = LIST_ENTRY(b->chain.next, Chained, node);
                list_remove(&c->node);
                int r = chain_run_one(b, c);
                chained_release(c);
                if (r)
                        return r;
        }
        return 0;
}

void batch_chain(Batch *b, Chained *c) {
        list_push_back(&b->chain, &c->node);
        b->n_chained++;
}

static int run_items(Batch *b, Item *items, size_t n, size_t *ret_n) {
        size_t i = 0;

        while (i < n && b->n_chained < RUNTIME_CHAIN_SOFT && b->n_bytes < RUNTIME_BATCH_BYTES) {
                int r = items[i].request ? run_request(b, &items[i]) : handle_timer(b, &items[i]);
                if (r == 0)
                        r = batch_run_chain(b);
                if (r)
                        return r;
                i++;
        }
        *ret_n = i;
        return 0;
}

static int next_timer(Batch *b, int64_t *ret_ms) {
        StoreTimer timer;

        int r = store_timer_next(b->txn, NULL, &timer);
        if (r && r != STORE_E_NOT_FOUND)
                return r;
        *ret_ms = r == 0 ? timer.at_ms : INT64_MAX;
        return 0;
}

static int64_t monotonic_us(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void count_batch(Batch *b, bool committed, int64_t us, size_t n_items) {
        Runtime *r = b->r;
        RuntimeStats *s = &r->stats;

        pthread_mutex_lock(&r->stats_lock);
        s->writable = committed;
        if (committed) {
                s->n_batches++;
                s->n_inputs += b->n_inputs;
                s->n_started += b->n_started;
                s->n_ended += b->n_ended;
                s->n_timers_fired += b->n_timers;
                s->n_timers_late += b->n_late;
                s->commit_us_total += (uint64_t)us;
                if ((uint64_t)us > s->commit_us_max)
                        s->commit_us_max = (uint64_t)us;
                if (n_items > s->batch_inputs_max)
                        s->batch_inputs_max = n_items;
                s->cache_executions = r->cache.map.n;
                s->cache_bytes = r->cache.bytes;
        } else {
                s->n_commits_failed++;
        }
        pthread_mutex_unlock(&r->stats_lock);
}

static int run_once(Batch *b, Item *items, size_t n, int64_t now_ms, size_t *ret_n) {
        Runtime *r = b->r;
        int64_t timer_ms = INT64_MAX, us = 0;
        bool upkept = false;

        int rc = store_begin_write(r->store, &b->txn);
        if (rc)
                return rc;
        batch_begin(b, items, n, now_ms);
        rc = run_items(b, items, n, ret_n);
        if (rc == 0)
                rc = batch_flush(b);
        if (rc == 0)
                rc = upkeep_run(b, &upkept);
        upkept = upkept || b->outbox_row; /* a checkpoint */
        if (rc == 0)
                rc = next_timer(b, &timer_ms);
        if (rc || (n == 0 && !upkept)) {
                store_abort(b->txn);
        } else {
                us = -monotonic_us();
                rc = store_commit(b->txn);
                us += monotonic_us();
        }
        b->txn = NULL;
        if (rc) {
                batch_undo(b);
        } else {
                r->next_timer_ms = timer_ms;
                upkeep_committed(b);
                tell_watchers(b, us, *ret_n);
                batch_done(b);
        }
        if (n || upkept || rc)
                count_batch(b, rc == 0, us, *ret_n);
        return rc;
}

int batch_run(Batch *b, Item *items, size_t n, int64_t now_ms, size_t *ret_n) {
        int rc = KV_E_MAP_FULL;

        for (unsigned i = 0; rc == KV_E_MAP_FULL && i < RUNTIME_GROW_TRIES; i++) {
                *ret_n = 0;
                rc = run_once(b, items, n, now_ms, ret_n);
                if (rc == KV_E_MAP_FULL) {
                        int grown = store_grow(b->r->store);
                        if (grown)
                                return grown;
                }
        }
        return rc == KV_E_MAP_FULL ? -ENOSPC : rc;
}

void batch_dispatch(Batch *b) {
        Runtime *r = b->r;
        uint64_t n = 0;

        for (size_t i = 0; i < b->n_cancels; i++) {
                const TaskCancel *c = &b->cancels[i];
                Executor *executor = runtime_executor(r, c->type, c->is_question);
                if (executor)
                        executor->vtable->cancel(executor, c->execution_id, c->instance, c->attempt);
                open_task_free(open_tasks_take(&r->tasks, c->execution_id, c->instance, c->attempt));
        }
        b->n_cancels = 0;
        LIST_FOREACH_SAFE(node, next, &b->tasks) {
                OpenTask *t = LIST_ENTRY(node, OpenTask, node);
                Task *task = STEAL(t->task);
                Executor *executor = runtime_executor(r, t->type, t->is_question);

                list_remove(&t->node);
                n++;
                if (executor) {
                        executor->vtable->submit(executor, task); /* from here on @t may be gone */
                        continue;
                }
                open_tasks_take(&r->tasks, task->execution_id, task->instance, task->attempt);
                task_free(task);
                inbox_put_result(&r->inbox,
                                 &t->result); /* effects.c has filled in that there is no executor */
        }
        if (n) {
                pthread_mutex_lock(&r->stats_lock);
                r->stats.n_tasks += n;
                pthread_mutex_unlock(&r->stats_lock);
        }
        if (b->outbox_row)
                outbox_committed(&r->outbox, b->outbox_row, b->now_ms);
}
