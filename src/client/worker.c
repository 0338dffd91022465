/*
 * Remote workers
 *
 * A lane asks for a task, runs the handler, and gives the result, again and again until it is answered: an answer means
 * that the engine has stored it. Its pulse, a second thread, sends a heartbeat three times per heartbeat timeout
 * while a task is at hand, so that the engine sees the difference between a long task and a dead worker.
 */
#include <stdlib.h>
#include <time.h>

#include <runbook/worker.h>

#include "base/cleanup.h"
#include "client/client.h"
#include "client/subject.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define WAIT_DEFAULT_MS      5000
#define WAIT_MIN_MS          100
#define WAIT_MAX_MS          60000
#define ANSWER_GRACE_MS      3000  /* beyond its wait, for the answer to a request for a task */
#define HEARTBEAT_DEFAULT_MS 30000 /* of tasks that name no heartbeatTimeoutMs */
#define IDLE_MS              3600000
#define PAUSE_MIN_MS         100
#define PAUSE_MAX_MS         2000
#define RESULT_TRIES_MAX     1000         /* half an hour: the attempt is over by then, as a rule */
#define LOGS_BYTES_MAX       (256 * 1024) /* kept until the next heartbeat; further ones are dropped */

typedef struct Lane Lane;

struct RunbookTask {
        Lane *lane;
        json_t *json; /* owned */
        char *token, *input, *config, *context;
        int64_t beat_ms;
        /* under the lane's lock */
        bool is_gone;
        double progress; /* below 0: not said */
        Buf logs;        /* entries with commas between */
        char *result;    /* body of the report that ends it; NULL: not ended */
};

struct Lane {
        RunbookWorker *worker;
        pthread_t thread, pulse;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        RunbookTask *task;
        bool is_beating, is_over;
};

struct RunbookWorker {
        RunbookClient *client;
        RunbookTaskHandler handler;
        void *userdata;
        char *subject; /* "result.next.<type>" */
        int64_t wait_ms;
        bool stopping; /* atomic */
        unsigned n_lanes;
        Lane lanes[];
};

static bool is_stopping(RunbookWorker *w) { return __atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE); }

/** Under the lane's lock: until told, or @ms have passed. False: time. */
static bool lane_wait(Lane *l, int64_t ms) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += ms / 1000;
        t.tv_nsec += ms % 1000 * 1000000;
        if (t.tv_nsec >= 1000000000) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000;
        }
        return pthread_cond_timedwait(&l->changed, &l->lock, &t) == 0;
}

static void lane_pause(Lane *l, int64_t ms) {
        pthread_mutex_lock(&l->lock);
        if (!is_stopping(l->worker))
                lane_wait(l, ms);
        pthread_mutex_unlock(&l->lock);
}

/* ---- reports ---------------------------------------------------------------------------------------------- */

/** Say @body about @t once. 0 with the engine's word in *ret, or a status. */
static int say(RunbookTask *t, const char *body, RunbookReply **ret) {
        _cleanup_(buf_deinit) Buf subject = {0};
        const RunbookCall once = {.attempts = 1};
        buf_put_str(&subject, "result.");
        buf_put(&subject, t->token, strlen(t->token) + 1);
        return subject.error ? RUNBOOK_CLIENT_E_MEMORY
                             : runbook_client_request(t->lane->worker->client, subject.data, body,
                                                      strlen(body), &once, ret, NULL);
}

/** Does nobody wait any more? */
static void take_answer(RunbookTask *t, const RunbookReply *reply) {
        json_t *json = reply->is_error ? NULL : json_parse_own((Slice){reply->body, reply->body_size});
        if (json_is_true(json_object_get(json, "ignored")) ||
            json_is_true(json_object_get(json, "cancelled"))) {
                pthread_mutex_lock(&t->lane->lock);
                t->is_gone = true;
                pthread_mutex_unlock(&t->lane->lock);
        }
        json_decref(json);
}

/** Under the lane's lock: append the logs that wait, as a member, and forget them. */
static void put_logs(RunbookTask *t, JsonWriter *w) {
        json_key(w, "logs");
        json_begin_array(w);
        if (t->logs.n > 0)
                json_put_raw(w, buf_slice(&t->logs));
        json_end_array(w);
        buf_reset(&t->logs);
}

static int beat(RunbookTask *t) {
        _cleanup_(buf_deinit) Buf body = {0};
        RunbookReply *reply = NULL;
        JsonWriter w = json_writer(&body);
        pthread_mutex_lock(&t->lane->lock);
        json_begin_object(&w);
        json_key(&w, "status");
        json_put_str(&w, "heartbeat");
        if (t->progress >= 0) {
                json_key(&w, "progress");
                json_put_double(&w, t->progress);
        }
        put_logs(t, &w);
        json_end_object(&w);
        pthread_mutex_unlock(&t->lane->lock);
        buf_put_char(&body, 0);
        int r = body.error ? RUNBOOK_CLIENT_E_MEMORY : say(t, body.data, &reply);
        if (r == 0) {
                take_answer(t, reply);
                r = reply->is_error ? RUNBOOK_CLIENT_E_PROTOCOL : 0;
        }
        runbook_reply_free(reply);
        return r;
}

static char *failure(RunbookTask *t, const char *code, const char *message, bool retryable) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "status");
        json_put_str(&w, "failed");
        json_key(&w, "error");
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_str(&w, code);
        json_key(&w, "message");
        json_put_str(&w, message);
        json_key(&w, "retryable");
        json_put_bool(&w, retryable);
        json_end_object(&w);
        put_logs(t, &w);
        json_end_object(&w);
        return buf_steal_str(&b);
}

/** Until it is answered. True: that was it; false: it was refused, *ret_why (owned) says why. */
static bool deliver(RunbookTask *t, const char *body, char **ret_why) {
        int64_t pause_ms = PAUSE_MIN_MS;
        for (int i = 0; i < RESULT_TRIES_MAX; i++) {
                RunbookReply *reply = NULL;
                int r = say(t, body, &reply);
                bool again = r == 0 ? reply->is_error && (reply->code == RUNBOOK_OVERLOADED ||
                                                          reply->code == RUNBOOK_UNAVAILABLE ||
                                                          reply->code == RUNBOOK_STORE_FULL)
                                    : r != RUNBOOK_CLIENT_E_TOO_LARGE && r != RUNBOOK_CLIENT_E_CLOSED &&
                                                             r != RUNBOOK_CLIENT_E_PERMISSION;
                bool refused = r == RUNBOOK_CLIENT_E_TOO_LARGE || (r == 0 && reply->is_error);
                if (!again && refused)
                        *ret_why = slice_dup(
                                        slice_from_str(r == 0 ? reply->message
                                                              : "the result is larger than the NATS server "
                                                                "takes in one message"));
                runbook_reply_free(reply);
                if (!again)
                        return !refused;
                struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
                nanosleep(&pause, NULL);
                pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
        }
        return true;
}

/* ---- a task ----------------------------------------------------------------------------------------------- */

static char *member_text(const json_t *json, const char *key) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_put_tree(&w, json_object_get(json, key));
        return buf_steal_str(&b);
}

static void task_deinit(RunbookTask *t) {
        free(t->token);
        free(t->input);
        free(t->config);
        free(t->context);
        free(t->result);
        buf_deinit(&t->logs);
        json_decref(t->json);
}

/** False: @reply has no task (or memory is short: then the engine will find out that it is lost). */
static bool task_init(RunbookTask *t, Lane *l, const RunbookReply *reply) {
        json_t *json = json_parse_own((Slice){reply->body, reply->body_size});
        json_int_t beat_ms = json_integer_value(json_object_get(json, "heartbeatTimeoutMs"));
        *t = (RunbookTask){.lane = l, .json = json, .progress = -1, .logs = {.limit = LOGS_BYTES_MAX}};
        t->beat_ms = (beat_ms > 0 ? beat_ms : HEARTBEAT_DEFAULT_MS) / 3;
        if (!json_is_string(json_object_get(json, "taskToken")))
                return false;
        t->token = slice_dup(json_string_slice(json_object_get(json, "taskToken")));
        t->input = member_text(json, "input");
        t->config = member_text(json, "config");
        t->context = member_text(json, "context");
        return t->token && t->input && t->config && t->context;
}

static void set_task(Lane *l, RunbookTask *t) {
        pthread_mutex_lock(&l->lock);
        l->task = t;
        pthread_cond_broadcast(&l->changed);
        while (!t && l->is_beating)
                pthread_cond_wait(&l->changed, &l->lock);
        pthread_mutex_unlock(&l->lock);
}

static void run(Lane *l, RunbookTask *t) {
        _cleanup_free_ char *why = NULL, *refused = NULL;
        set_task(l, t);
        l->worker->handler(l->worker->userdata, t);
        if (!t->result)
                runbook_task_fail(t, "WORKER_FAILED", "the handler gave no result", false);
        if (t->result && !t->is_gone && !deliver(t, t->result, &why)) {
                refused = failure(t, "RESULT_REFUSED", why ? why : "the engine refused the result", false);
                if (refused)
                        deliver(t, refused, &why);
        }
        set_task(l, NULL);
}

static void *lane_main(void *userdata) {
        Lane *l = userdata;
        RunbookWorker *w = l->worker;
        const RunbookCall call = {.attempts = 1, .timeout_ms = w->wait_ms + ANSWER_GRACE_MS};
        char body[64];
        snprintf(body, sizeof(body), "{\"expiresMs\":%lld,\"heartbeats\":true}", (long long)w->wait_ms);
        while (!is_stopping(w)) {
                RunbookReply *reply = NULL;
                RunbookTask task;
                int r = runbook_client_request(w->client, w->subject, body, strlen(body), &call, &reply,
                                               NULL);
                if (r != 0 || reply->is_error) {
                        lane_pause(l, PAUSE_MAX_MS / 4);
                } else {
                        if (task_init(&task, l, reply))
                                run(l, &task);
                        task_deinit(&task);
                }
                runbook_reply_free(reply);
        }
        return NULL;
}

static void *pulse_main(void *userdata) {
        Lane *l = userdata;
        pthread_mutex_lock(&l->lock);
        while (!l->is_over) {
                RunbookTask *t = l->task;
                bool told = lane_wait(l, t ? t->beat_ms : IDLE_MS);
                if (told || !t || t != l->task || t->is_gone)
                        continue;
                l->is_beating = true;
                pthread_mutex_unlock(&l->lock);
                beat(t);
                pthread_mutex_lock(&l->lock);
                l->is_beating = false;
                pthread_cond_broadcast(&l->changed);
        }
        pthread_mutex_unlock(&l->lock);
        return NULL;
}

/* ---- for handlers ----------------------------------------------------------------------------------------- */

static const char *text(const RunbookTask *t, const char *key) {
        const char *s = json_string_value(json_object_get(t->json, key));
        return s ? s : "";
}

const char *runbook_task_execution_id(const RunbookTask *t) { return text(t, "executionId"); }
const char *runbook_task_step_path(const RunbookTask *t) { return text(t, "stepPath"); }
const char *runbook_task_idempotency_key(const RunbookTask *t) { return text(t, "idempotencyKey"); }
const char *runbook_task_deadline(const RunbookTask *t) { return text(t, "deadline"); }
const char *runbook_task_input(const RunbookTask *t) { return t->input; }
const char *runbook_task_config(const RunbookTask *t) { return t->config; }
const char *runbook_task_context(const RunbookTask *t) { return t->context; }

unsigned runbook_task_attempt(const RunbookTask *t) {
        return (unsigned)json_integer_value(json_object_get(t->json, "attempt"));
}

bool runbook_task_is_cancelled(const RunbookTask *t) {
        pthread_mutex_lock(&t->lane->lock);
        bool is_gone = t->is_gone;
        pthread_mutex_unlock(&t->lane->lock);
        return is_gone;
}

int runbook_task_log(RunbookTask *t, const char *level, const char *message) {
        pthread_mutex_lock(&t->lane->lock);
        size_t n = t->logs.n;
        JsonWriter w = {&t->logs, n > 0};
        json_begin_object(&w);
        json_key(&w, "level");
        json_put_str(&w, level ? level : "info");
        json_key(&w, "message");
        json_put_str(&w, message ? message : "");
        json_end_object(&w);
        int r = t->logs.error ? RUNBOOK_CLIENT_E_MEMORY : 0;
        if (t->logs.error) { /* what was there before stays */
                t->logs.error = 0;
                t->logs.n = n;
        }
        pthread_mutex_unlock(&t->lane->lock);
        return r;
}

int runbook_task_progress(RunbookTask *t, double progress) {
        if (!(progress >= 0 && progress <= 1))
                return RUNBOOK_CLIENT_E_INVALID;
        pthread_mutex_lock(&t->lane->lock);
        t->progress = progress;
        pthread_mutex_unlock(&t->lane->lock);
        return beat(t);
}

static int end(RunbookTask *t, char *body) {
        if (!body)
                return RUNBOOK_CLIENT_E_MEMORY;
        if (t->result) {
                free(body);
                return RUNBOOK_CLIENT_E_INVALID;
        }
        t->result = body;
        return 0;
}

int runbook_task_complete(RunbookTask *t, const char *output) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        pthread_mutex_lock(&t->lane->lock);
        json_begin_object(&w);
        json_key(&w, "status");
        json_put_str(&w, "completed");
        json_key(&w, "output");
        json_put_raw(&w, slice_from_str(output ? output : "null"));
        put_logs(t, &w);
        json_end_object(&w);
        int r = end(t, buf_steal_str(&b));
        pthread_mutex_unlock(&t->lane->lock);
        return r;
}

int runbook_task_fail(RunbookTask *t, const char *code, const char *message, bool retryable) {
        pthread_mutex_lock(&t->lane->lock);
        int r = end(t, failure(t, code ? code : "WORKER_FAILED", message ? message : "", retryable));
        pthread_mutex_unlock(&t->lane->lock);
        return r;
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void lane_end(Lane *l) {
        pthread_mutex_lock(&l->lock);
        l->is_over = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->lock);
        pthread_join(l->pulse, NULL);
        pthread_cond_destroy(&l->changed);
        pthread_mutex_destroy(&l->lock);
}

static int lane_start(RunbookWorker *w, Lane *l) {
        pthread_condattr_t monotonic;
        l->worker = w;
        pthread_mutex_init(&l->lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&l->changed, &monotonic);
        pthread_condattr_destroy(&monotonic);
        if (pthread_create(&l->pulse, NULL, pulse_main, l)) {
                pthread_cond_destroy(&l->changed);
                pthread_mutex_destroy(&l->lock);
                return RUNBOOK_CLIENT_E_MEMORY;
        }
        if (pthread_create(&l->thread, NULL, lane_main, l) == 0)
                return 0;
        lane_end(l);
        return RUNBOOK_CLIENT_E_MEMORY;
}

int runbook_worker_start(RunbookClient *client, const RunbookWorkerOptions *o, RunbookWorker **ret,
                         RunbookClientError *e) {
        unsigned n = o && o->lanes > 0 ? o->lanes : 1;
        int64_t wait_ms = o && o->wait_ms > 0 ? o->wait_ms : WAIT_DEFAULT_MS;
        if (!client || !o || o->size < sizeof(*o) || !o->type || !o->handler ||
            n > RUNBOOK_WORKER_LANES_MAX || wait_ms < WAIT_MIN_MS || wait_ms > WAIT_MAX_MS)
                return client_error_set(
                                e, RUNBOOK_CLIENT_E_INVALID,
                                "a worker needs a client, a type and a handler, at most %d lanes and a wait "
                                "of %d to %d ms",
                                RUNBOOK_WORKER_LANES_MAX, WAIT_MIN_MS, WAIT_MAX_MS);
        _cleanup_(buf_deinit) Buf subject = {0};
        buf_put_str(&subject, "result.next.");
        subject_put_token(&subject, slice_from_str(o->type));
        RunbookWorker *w = calloc(1, sizeof(*w) + n * sizeof(Lane));
        if (w)
                w->subject = buf_steal_str(&subject);
        if (!w || !w->subject) {
                free(w);
                return client_error_memory(e);
        }
        w->client = client;
        w->handler = o->handler;
        w->userdata = o->userdata;
        w->wait_ms = wait_ms;
        int r = 0;
        for (; r == 0 && w->n_lanes < n; w->n_lanes += r == 0)
                r = lane_start(w, &w->lanes[w->n_lanes]);
        if (r < 0) {
                runbook_worker_stop(w);
                return client_error_memory(e);
        }
        *ret = w;
        return 0;
}

void runbook_worker_stop(RunbookWorker *w) {
        if (!w)
                return;
        __atomic_store_n(&w->stopping, true, __ATOMIC_RELEASE);
        for (unsigned i = 0; i < w->n_lanes; i++) {
                pthread_join(w->lanes[i].thread, NULL);
                lane_end(&w->lanes[i]);
        }
        free(w->subject);
        free(w);
}
