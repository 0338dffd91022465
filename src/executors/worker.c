/*
 * Remote workers
 *
 * A task is a message on <prefix>.<tenant>.task.<type>, kept by a work queue until a worker takes it; its id is the
 * attempt's token, so that a task that is sent out again after a restart is not there twice. Results come to
 * worker_report.c.
 *
 * Three clocks end an attempt that nobody answers: the step's time, which runs from submit, and whose error says
 * whether a worker ever had the task; and the silence of a worker that has sent a heartbeat, or promised to (or must,
 * by config.heartbeatTimeoutMs): then it is lost, and the attempt is over at once, so that the next one can go to
 * another worker.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/quote.h"
#include "executors/worker_internal.h"
#include "json/json_read.h"
#include "model/limits.h"

static WorkerErrand *worker_errand(Errand *e) { return (WorkerErrand *)e; }

/* ---- the task --------------------------------------------------------------------------------------------- */

/** config.heartbeatTimeoutMs, else the setting. */
static void init(const ErrandOffice *o, Errand *base) {
        WorkerErrand *e = worker_errand(base);
        const json_t *given = json_object_get(value_json(base->task->config), "heartbeatTimeoutMs");
        e->heartbeat_ms = ((const WorkerExecutor *)o)->heartbeat_ms;
        if (!given || json_is_null(given))
                return;
        json_int_t ms = json_is_integer(given) ? json_integer_value(given) : -1;
        e->is_malformed = ms != 0 && (ms < WORKER_HEARTBEAT_MIN_MS || ms > LIMIT_DURATION_MS);
        e->is_explicit = ms > 0;
        e->heartbeat_ms = ms;
}

static void put_member(JsonWriter *w, const char *key, Value *value) {
        json_key(w, key);
        if (value)
                json_put_raw(w, value_bytes(value));
        else
                json_put_null(w);
}

static void put_text(JsonWriter *w, const char *key, Slice text) {
        json_key(w, key);
        json_put_string(w, text);
}

static void write_task(const WorkerExecutor *w, WorkerErrand *e, Slice token, Buf *b) {
        const Task *t = e->base.task;
        int64_t left_ms = (e->base.deadline_ns - attempt_now_ns()) / NS_PER_MS;
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(t->execution_id, id);
        JsonWriter out = json_writer(b);
        json_begin_object(&out);
        json_key(&out, "attempt");
        json_put_i64(&out, t->attempt);
        put_member(&out, "config", t->config);
        put_member(&out, "context", t->context);
        json_key(&out, "deadline");
        json_put_time_ms(&out, w->office.host.clock.now_ms(w->office.host.clock.userdata) + left_ms);
        put_text(&out, "executionId", slice_from_str(id));
        if (e->heartbeat_ms > 0) {
                json_key(&out, "heartbeatTimeoutMs");
                json_put_i64(&out, e->heartbeat_ms);
        }
        put_text(&out, "idempotencyKey", slice_from_str(t->idempotency_key));
        put_member(&out, "input", t->input);
        put_text(&out, "stepId", t->step->id);
        put_text(&out, "stepPath", t->step_path);
        put_text(&out, "taskToken", token);
        put_text(&out, "tenantId", t->tenant);
        put_text(&out, "type", t->step->type_name);
        put_text(&out, "version", SLICE("v1"));
        json_end_object(&out);
}

static Value *write(ErrandOffice *o, Errand *base, Letter *l) {
        WorkerExecutor *w = (WorkerExecutor *)o;
        WorkerErrand *e = worker_errand(base);
        const Task *t = base->task;
        const TaskName name = {t->execution_id, t->instance, t->attempt};
        char token[TASK_TOKEN_SIZE + 1];
        if (e->is_malformed) {
                static const char text[] = "config.heartbeatTimeoutMs must be 0 (no limit) or an integer of "
                                           "at least 100 "
                                           "milliseconds";
                return attempt_error("CONFIG_INVALID", false, SLICE(text), SLICE_NULL);
        }
        if (task_token_write(w->key, t->tenant, &name, token) < 0)
                return value_ref(o->out_of_memory);
        buf_printf(&l->subject, "%s.", o->prefix);
        quote_token(&l->subject, t->tenant);
        buf_put_str(&l->subject, ".task.");
        quote_type_token(&l->subject, t->step->type_name);
        buf_put_str(&l->id, token);
        if (t->traceparent.n > 0)
                l->headers[l->n_headers++] = (OutHeader){SLICE("traceparent"), t->traceparent};
        write_task(w, e, slice_from_str(token), &l->payload);
        return NULL;
}

/** Sent out again after a restart, and its result came before the stream's word: spare workers the way. */
static bool confirmed(ErrandOffice *o, Errand *e, const OutReceipt *receipt, TaskResult *ret) {
        if (e->is_ending && !worker_errand(e)->was_offered)
                o->outlet->retract(o->outlet->userdata, receipt->stream_seq, receipt->epoch);
        return false;
}

/* ---- ends ------------------------------------------------------------------------------------------------- */

void worker_note_end(WorkerExecutor *w, const Errand *e, WorkerEnd end) {
        WorkerEnded *slot = &w->ended[w->next_ended++ % WORKER_ENDED_KEPT];
        Slice key = slice_from_bytes(slot->key, ATTEMPT_KEY_SIZE);
        if (slot->is_used && map_get(&w->ended_by_key, key) == slot)
                map_remove(&w->ended_by_key, key);
        memcpy(slot->key, e->key, ATTEMPT_KEY_SIZE);
        slot->end = end;
        slot->is_used = map_put(&w->ended_by_key, key, slot) >= 0; /* without memory: late ones hear less */
}

/** The task may still wait for a worker: spare it the way. */
static void gone(ErrandOffice *o, Errand *e, bool cancelled) {
        const WorkerErrand *we = worker_errand(e);
        worker_note_end((WorkerExecutor *)o, e, cancelled ? WORKER_END_CANCELLED : WORKER_END_TIME);
        if (e->state == ERRAND_CONFIRMED && !we->worker[0])
                o->outlet->retract(o->outlet->userdata, e->stream_seq, e->epoch);
}

static Value *time_out(ErrandOffice *o, Errand *base) {
        const WorkerErrand *e = worker_errand(base);
        _cleanup_(buf_deinit) Buf text = {0}, subject = {0};
        long long ms = base->timeout_ms;
        buf_printf(&subject, "%s.", o->prefix);
        quote_token(&subject, base->task->tenant);
        buf_put_str(&subject, ".task.");
        quote_type_token(&subject, base->task->step->type_name);
        if (e->worker[0])
                buf_printf(&text, "worker \"%s\" has the task and gave no result within the step's %lld ms",
                           e->worker, ms);
        else if (base->state == ERRAND_CONFIRMED)
                buf_printf(&text,
                           "no worker took the task within %lld ms: none has said that it did. Is one "
                           "running for "
                           "%.*s?",
                           ms, SLICE_ARG(buf_slice(&subject)));
        else
                buf_printf(&text, "the task could not be handed to the workers' queue within %lld ms: %s", ms,
                           base->reason[0] ? base->reason : "the NATS server has not confirmed it");
        return attempt_error("TIMEOUT", true, buf_slice(&text), SLICE_NULL);
}

static Value *lost_error(const WorkerErrand *e) {
        _cleanup_(buf_deinit) Buf text = {0};
        buf_printf(&text, "worker \"%s\" was not heard of for %lld ms", e->worker,
                   (long long)e->heartbeat_ms);
        return attempt_error("WORKER_LOST", true, buf_slice(&text), SLICE_NULL);
}

/* ---- its own clocks --------------------------------------------------------------------------------------- */

static int64_t lost_ns(const WorkerErrand *e) {
        return e->heard_ns > 0 && e->heartbeat_ms > 0 ? e->heard_ns + e->heartbeat_ms * NS_PER_MS : INT64_MAX;
}

static int64_t record_ns(const WorkerErrand *e) {
        bool waits = e->wanted != e->progress && e->n_unsettled == 0;
        return waits ? e->recorded_ns + WORKER_PROGRESS_MS * NS_PER_MS : INT64_MAX;
}

static int64_t next_ns(const ErrandOffice *o, const Errand *base) {
        const WorkerErrand *e = (const WorkerErrand *)base;
        int64_t lost = lost_ns(e), record = record_ns(e);
        return lost < record ? lost : record;
}

static bool tend(ErrandOffice *o, Errand *base, int64_t now_ns, TaskResult *ret) {
        WorkerErrand *e = worker_errand(base);
        if (now_ns >= lost_ns(e)) {
                worker_note_end((WorkerExecutor *)o, base, WORKER_END_LOST);
                ret->error = lost_error(e);
                return true;
        }
        if (now_ns >= record_ns(e))
                worker_record_progress((WorkerExecutor *)o, e);
        else
                errand_schedule(o, base);
        return false;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static const ErrandKind worker_kind = {.name = "worker",
                                       .size = sizeof(WorkerErrand),
                                       .needs_stream = true,
                                       .init = init,
                                       .write = write,
                                       .confirmed = confirmed,
                                       .time_out = time_out,
                                       .next_ns = next_ns,
                                       .tend = tend,
                                       .gone = gone};

static void stop(Executor *executor) {
        WorkerExecutor *w = (WorkerExecutor *)executor;
        errand_office_deinit(&w->office);
        map_deinit(&w->ended_by_key);
        free(w->ended);
        free(w);
}

static const ExecutorVtable vtable = {.name = "worker",
                                      .submit = errand_submit,
                                      .cancel = errand_cancel,
                                      .n_open = errand_n_open,
                                      .stop = stop};

static int check(Report *report, const char *name, int64_t ms, int64_t min) {
        return ms >= min && ms <= LIMIT_DURATION_MS
                               ? 0
                               : report_set(report, RUNBOOK_INVALID_REQUEST,
                                            "%s is %lld; it must be from %lld to %lld", name, (long long)ms,
                                            (long long)min, LIMIT_DURATION_MS);
}

int worker_executor_new(const WorkerSettings *settings, const ExecutorHost *host, const Outlet *outlet,
                        Report *report, Executor **ret) {
        int64_t timeout_ms = settings->timeout_default_ms ? settings->timeout_default_ms
                                                          : WORKER_TIMEOUT_DEFAULT_MS;
        int64_t heartbeat_ms = settings->heartbeat_ms == 0  ? WORKER_HEARTBEAT_DEFAULT_MS
                               : settings->heartbeat_ms < 0 ? 0
                                                            : settings->heartbeat_ms;
        uint64_t seeds[2];
        int r = check(report, "WORKER_TIMEOUT_MS", timeout_ms, 1);
        if (r == 0 && heartbeat_ms > 0)
                r = check(report, "WORKER_HEARTBEAT_MS", heartbeat_ms, WORKER_HEARTBEAT_MIN_MS);
        if (r < 0)
                return r;
        WorkerExecutor *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->office.executor.vtable = &vtable;
        w->heartbeat_ms = heartbeat_ms;
        memcpy(w->key, settings->key, sizeof(w->key));
        w->ended = calloc(WORKER_ENDED_KEPT, sizeof(*w->ended));
        host->ids.random(host->ids.userdata, seeds, N_ELEMENTS(seeds));
        map_init(&w->ended_by_key, seeds[0], seeds[1]);
        r = errand_office_init(&w->office, &worker_kind, host, outlet, settings->prefix, timeout_ms);
        if (r == 0 && !w->ended)
                r = -ENOMEM;
        if (r < 0) {
                stop(&w->office.executor);
                return r;
        }
        *ret = &w->office.executor;
        return 0;
}

WorkerDesk worker_executor_desk(Executor *executor) {
        return (WorkerDesk){.report = worker_report,
                            .offer = worker_offer,
                            .decline = worker_decline,
                            .userdata = executor};
}
