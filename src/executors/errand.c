/*
 * Errands
 *
 * The writer submits and cancels; one thread writes messages and hands them to the bus, which tells on a thread of
 * its own what became of them. They meet under one lock, which nobody holds while a message is written or while
 * the host is called.
 *
 * Tenants take turns at being sent, and none has more than three quarters of what may be open: who begins a hundred
 * thousand attempts keeps the others waiting for one message, not for all.
 *
 * While NATS is away messages are sent again and again, under the same id, until the attempt's time is up: a
 * stream drops what it has already. An errand ends by leaving the register, under the lock; who took it out
 * posts its result.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "executors/errand.h"

static ErrandOffice *office_of(Executor *executor) { return (ErrandOffice *)executor; }

static Slice key_slice(const Errand *e) { return slice_from_bytes(e->key, ATTEMPT_KEY_SIZE); }

/* ---- the register ---------------------------------------------------------------------------------------- */

Errand *errand_find(ErrandOffice *o, const uint8_t key[ATTEMPT_KEY_SIZE]) {
        return map_get(&o->errands, slice_from_bytes(key, ATTEMPT_KEY_SIZE));
}

void errand_schedule(ErrandOffice *o, Errand *e) {
        int64_t ns = e->is_ending ? INT64_MAX : e->deadline_ns;
        if (!e->is_ending && e->state == ERRAND_TO_SEND && !e->turn.tenant && e->send_ns < ns)
                ns = e->send_ns;
        if (!e->is_ending && o->kind->next_ns) {
                int64_t own_ns = o->kind->next_ns(o, e);
                ns = own_ns < ns ? own_ns : ns;
        }
        (void)due_set(&o->due, &e->due, ns); /* it is in already, so this can't fail */
        if (due_first(&o->due) == &e->due)
                pthread_cond_signal(&o->change);
}

void errand_begin_end(ErrandOffice *o, Errand *e) {
        e->is_ending = true;
        turns_remove(&o->ready, &e->turn);
        errand_schedule(o, e);
}

void errand_take(ErrandOffice *o, Errand *e) {
        map_remove(&o->errands, key_slice(e));
        turns_remove(&o->tenants, &e->share);
        turns_remove(&o->ready, &e->turn);
        due_remove(&o->due, &e->due);
}

static void errand_free(const ErrandOffice *o, Errand *e) {
        if (o->kind->deinit)
                o->kind->deinit(e);
        task_free(e->task);
        free(e);
}

void errand_release(ErrandOffice *o, Errand *e) {
        e->is_dropped = true;
        if (!e->is_busy)
                errand_free(o, e);
}

static Errand *errand_new(ErrandOffice *o, Task *task) {
        Errand *e = calloc(1, o->kind->size);
        if (!e)
                return NULL;
        attempt_key(e->key, task->execution_id, task->instance, task->attempt);
        e->task = task;
        e->timeout_ms = task->timeout_ms > 0 ? task->timeout_ms : o->timeout_default_ms;
        e->send_ns = attempt_now_ns();
        e->deadline_ns = e->send_ns + e->timeout_ms * NS_PER_MS;
        if (o->kind->init)
                o->kind->init(o, e);
        return e;
}

/** Under the lock. 0, -ENOMEM, -ENOBUFS or -EDQUOT. */
static int enter(ErrandOffice *o, Errand *e) {
        Slice tenant = e->task->tenant;
        size_t n = o->errands.n;
        if (n >= ERRAND_OPEN_MAX)
                return -ENOBUFS;
        if (turns_share(&o->tenants, tenant).n >= ERRAND_TENANT_SHARE * (ERRAND_OPEN_MAX - n))
                return -EDQUOT;
        int r = turns_add(&o->tenants, tenant, &e->share);
        r = r < 0 ? r : due_set(&o->due, &e->due, e->send_ns);
        r = r < 0 ? r : map_put(&o->errands, key_slice(e), e);
        if (r < 0) {
                due_remove(&o->due, &e->due);
                turns_remove(&o->tenants, &e->share);
        }
        return r < 0 ? r : 0;
}

void errand_submit(Executor *executor, Task *task) {
        ErrandOffice *o = office_of(executor);
        Errand *e = attempt_touch(task) ? errand_new(o, task) : NULL;
        if (!e) {
                attempt_refuse(&o->host, task, NULL, o->out_of_memory);
                return;
        }
        pthread_mutex_lock(&o->lock);
        int r = enter(o, e);
        if (r == 0 && due_first(&o->due) == &e->due)
                pthread_cond_signal(&o->change);
        pthread_mutex_unlock(&o->lock);
        if (r == 0)
                return;
        e->task = NULL;
        errand_free(o, e);
        attempt_refuse(&o->host, task, NULL,
                       r == -ENOBUFS  ? o->overloaded
                       : r == -EDQUOT ? o->tenant_overloaded
                                      : o->out_of_memory);
}

void errand_cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        ErrandOffice *o = office_of(executor);
        uint8_t key[ATTEMPT_KEY_SIZE];
        attempt_key(key, execution_id, instance, attempt);
        pthread_mutex_lock(&o->lock);
        Errand *e = errand_find(o, key);
        if (e) {
                errand_take(o, e);
                if (o->kind->gone)
                        o->kind->gone(o, e, true);
                errand_release(o, e);
        }
        pthread_mutex_unlock(&o->lock);
}

uint64_t errand_n_open(Executor *executor) {
        ErrandOffice *o = office_of(executor);
        pthread_mutex_lock(&o->lock);
        uint64_t n = o->errands.n;
        pthread_mutex_unlock(&o->lock);
        return n;
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

/** Under the lock, which is left for a moment; @e is gone then. The values in @result are taken. */
static void finish(ErrandOffice *o, Errand *e, TaskResult *result) {
        errand_take(o, e);
        errand_release(o, e);
        pthread_mutex_unlock(&o->lock);
        if (!result->ok && !result->error)
                result->error = value_ref(o->out_of_memory);
        o->host.post_result(o->host.userdata, result);
        pthread_mutex_lock(&o->lock);
}

static void fail(ErrandOffice *o, Errand *e, Value *error) {
        TaskResult result = attempt_result(e->task);
        result.error = error;
        finish(o, e, &result);
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

static void send_again(ErrandOffice *o, Errand *e, Slice reason) {
        Slice cut = slice_cut_utf8(reason, ERRAND_REASON_MAX);
        if (cut.n > 0)
                memcpy(e->reason, cut.data, cut.n);
        e->reason[cut.n] = 0;
        e->pause_ms = e->pause_ms ? e->pause_ms * 2 : ERRAND_RETRY_MIN_MS;
        if (e->pause_ms > ERRAND_RETRY_MAX_MS)
                e->pause_ms = ERRAND_RETRY_MAX_MS;
        e->state = ERRAND_TO_SEND;
        e->send_ns = attempt_now_ns() + e->pause_ms * NS_PER_MS;
        errand_schedule(o, e);
}

/** Under the lock. */
static void fail_too_large(ErrandOffice *o, Errand *e) {
        _cleanup_(buf_deinit) Buf text = {0};
        buf_printf(&text,
                   "the message is larger than the %zu bytes that the NATS server takes in one "
                   "(max_payload); "
                   "let the step send less, or raise the server's limit",
                   o->outlet->payload_max(o->outlet->userdata));
        fail(o, e, attempt_error("MESSAGE_TOO_LARGE", false, buf_slice(&text), SLICE_NULL));
}

static void on_receipt(void *owner, const uint8_t key[OUT_COOKIE_SIZE], const OutReceipt *receipt) {
        ErrandOffice *o = owner;
        TaskResult result;
        pthread_mutex_lock(&o->lock);
        Errand *e = errand_find(o, key);
        if (!e || e->state != ERRAND_SENT) {
                pthread_mutex_unlock(&o->lock);
                return;
        }
        if (receipt->error == -EMSGSIZE && !e->is_ending) {
                fail_too_large(o, e);
        } else if (receipt->error) {
                send_again(o, e, receipt->reason);
        } else {
                e->state = ERRAND_CONFIRMED;
                e->stream_seq = receipt->stream_seq;
                e->epoch = receipt->epoch;
                result = attempt_result(e->task);
                if (o->kind->confirmed(o, e, receipt, &result))
                        finish(o, e, &result);
                else
                        errand_schedule(o, e);
        }
        pthread_mutex_unlock(&o->lock);
}

static void letter_reset(Letter *l) {
        Buf *const parts[] = {&l->subject, &l->id, &l->payload, &l->text};
        for (size_t i = 0; i < N_ELEMENTS(parts); i++)
                buf_reset(parts[i]);
        l->n_headers = 0;
}

static void letter_deinit(Letter *l) {
        buf_deinit(&l->subject);
        buf_deinit(&l->id);
        buf_deinit(&l->payload);
        buf_deinit(&l->text);
}

/** Without the lock. The error that ends the attempt, or NULL. */
static Value *write_letter(ErrandOffice *o, Errand *e) {
        Letter *l = &o->letter;
        letter_reset(l);
        Value *error = o->kind->write(o, e, l);
        buf_put_char(&l->subject, 0);
        buf_put_char(&l->id, 0);
        return error;
}

/** Under the lock: the bus copies it and calls nobody before it returns. */
static int post_letter(ErrandOffice *o, Errand *e) {
        const Letter *l = &o->letter;
        if (l->subject.error || l->id.error || l->payload.error || l->text.error)
                return -ENOMEM;
        OutMessage m = {.subject = {l->subject.data, l->subject.n - 1},
                        .id = {l->id.data, l->id.n - 1},
                        .payload = buf_slice(&l->payload),
                        .headers = l->headers,
                        .n_headers = l->n_headers,
                        .needs_stream = o->kind->needs_stream,
                        .done = on_receipt,
                        .owner = o};
        memcpy(m.cookie, e->key, sizeof(m.cookie));
        return o->outlet->send(o->outlet->userdata, &m);
}

/** Under the lock, which is left while the message is written. */
static void send(ErrandOffice *o, Errand *e) {
        e->is_busy = true;
        pthread_mutex_unlock(&o->lock);
        Value *error = write_letter(o, e);
        pthread_mutex_lock(&o->lock);
        e->is_busy = false;
        if (e->is_dropped || error) {
                if (e->is_dropped)
                        errand_free(o, e);
                else
                        fail(o, e, STEAL(error));
                value_unref(error);
                return;
        }
        if (e->is_ending) {
                errand_schedule(o, e);
                return;
        }
        int r = post_letter(o, e);
        if (r < 0) {
                send_again(o, e,
                           r == -ENOMEM ? SLICE("out of memory")
                                        : SLICE("too many messages wait to be sent"));
        } else {
                e->state = ERRAND_SENT;
                errand_schedule(o, e);
        }
}

/* ---- the thread ------------------------------------------------------------------------------------------- */

/** Under the lock. */
static void tend(ErrandOffice *o, Errand *e, int64_t now_ns) {
        TaskResult result = attempt_result(e->task);
        if (now_ns >= e->deadline_ns) {
                result.error = o->kind->time_out(o, e);
                if (o->kind->gone)
                        o->kind->gone(o, e, false);
                finish(o, e, &result);
        } else if (e->state == ERRAND_TO_SEND && !e->turn.tenant && now_ns >= e->send_ns) {
                if (turns_add(&o->ready, e->task->tenant, &e->turn) < 0)
                        send_again(o, e, SLICE("out of memory"));
                else
                        errand_schedule(o, e);
        } else if (!o->kind->tend) {
                errand_schedule(o, e);
        } else if (o->kind->tend(o, e, now_ns, &result)) {
                finish(o, e, &result);
        }
}

static void *thread_main(void *userdata) {
        ErrandOffice *o = userdata;
        pthread_setname_np(pthread_self(), o->kind->name);
        pthread_mutex_lock(&o->lock);
        while (!o->stopping) {
                Turn *turn;
                Due *first = due_first(&o->due);
                int64_t now_ns = attempt_now_ns();
                if (first && first->ns <= now_ns) {
                        tend(o, LIST_ENTRY(first, Errand, due), now_ns);
                } else if ((turn = turns_take(&o->ready))) {
                        send(o, LIST_ENTRY(turn, Errand, turn));
                } else if (first) {
                        struct timespec t = {.tv_sec = first->ns / 1000000000,
                                             .tv_nsec = first->ns % 1000000000};
                        pthread_cond_timedwait(&o->change, &o->lock, &t);
                } else {
                        pthread_cond_wait(&o->change, &o->lock);
                }
        }
        pthread_mutex_unlock(&o->lock);
        return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static int start_thread(ErrandOffice *o) {
        sigset_t all, before;
        sigfillset(&all); /* signals are the daemon's */
        pthread_sigmask(SIG_BLOCK, &all, &before);
        int r = -pthread_create(&o->thread, NULL, thread_main, o);
        o->has_thread = r == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

int errand_office_init(ErrandOffice *o, const ErrandKind *kind, const ExecutorHost *host,
                       const Outlet *outlet, const char *prefix, int64_t timeout_default_ms) {
        uint64_t seeds[6];
        pthread_condattr_t monotonic;
        o->kind = kind;
        o->host = *host;
        o->outlet = outlet;
        o->timeout_default_ms = timeout_default_ms;
        host->ids.random(host->ids.userdata, seeds, N_ELEMENTS(seeds));
        map_init(&o->errands, seeds[0], seeds[1]);
        turns_init(&o->tenants, seeds[2], seeds[3]);
        turns_init(&o->ready, seeds[4], seeds[5]);
        pthread_mutex_init(&o->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&o->change, &monotonic);
        pthread_condattr_destroy(&monotonic);
        o->prefix = slice_dup(slice_from_str(prefix));
        o->out_of_memory = attempt_error("OUT_OF_MEMORY", true,
                                         SLICE("there was not enough memory to run the step"), SLICE_NULL);
        o->overloaded = attempt_error("OVERLOADED", true,
                                      SLICE("too many steps of this kind are open already"), SLICE_NULL);
        o->tenant_overloaded = attempt_error(
                        "OVERLOADED", true,
                        SLICE("too many steps of this kind and of this tenant are open already"), SLICE_NULL);
        /* Shared by all threads, so they get both their faces now. */
        if (!o->prefix || !value_json(o->out_of_memory) || !value_json(o->overloaded) ||
            !value_json(o->tenant_overloaded))
                return -ENOMEM;
        return start_thread(o);
}

void errand_office_deinit(ErrandOffice *o) {
        size_t it = 0;
        Slice key;
        void *e;
        pthread_mutex_lock(&o->lock);
        o->stopping = true;
        pthread_cond_broadcast(&o->change);
        pthread_mutex_unlock(&o->lock);
        if (o->has_thread)
                pthread_join(o->thread, NULL);
        o->outlet->forget(o->outlet->userdata, o);
        while (map_next(&o->errands, &it, &key, &e)) {
                turns_remove(&o->tenants, &((Errand *)e)->share);
                turns_remove(&o->ready, &((Errand *)e)->turn);
                errand_free(o, e);
        }
        map_deinit(&o->errands);
        turns_deinit(&o->tenants);
        turns_deinit(&o->ready);
        due_deinit(&o->due);
        letter_deinit(&o->letter);
        value_unref(o->out_of_memory);
        value_unref(o->overloaded);
        value_unref(o->tenant_overloaded);
        free(o->prefix);
        pthread_cond_destroy(&o->change);
        pthread_mutex_destroy(&o->lock);
}
