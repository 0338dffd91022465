/*
 * call-service over HTTP, and gRPC, which is HTTP/2 with frames and trailers (http_grpc.c)
 *
 * Any thread submits and cancels; one thread does everything else. The two meet in an Intake. The thread
 * turns: take what was submitted, start what may start (http_queue.c), let curl work (http_loop.c),
 * post what is finished (http_result.c), end what is overdue.
 *
 * A call's life: submitted → queued → running → over.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "executors/attempt.h"
#include "executors/http_internal.h"
#include "executors/thread.h"

#define NS_PER_MS 1000000LL
#define USER_AGENT_DEFAULT "runbookd/0.1.0"
#define IN_FLIGHT_LIMIT 1000000

void http_fault_set(HttpFault *f, const char *code, bool retryable, const char *format, ...) {
        snprintf(f->code, sizeof(f->code), "%s", code);
        f->retryable = retryable;
        va_list ap;
        va_start(ap, format);
        vsnprintf(f->message, sizeof(f->message), format, ap);
        va_end(ap);
}

/* ---- calls --------------------------------------------------------------------------------------------- */

/** Take it off wherever it is and free it. */
static void call_free(HttpEngine *e, HttpCall *c) {
        if (c->state == HTTP_CALL_QUEUED)
                http_queue_remove(e, c);
        if (c->transfer)
                http_transfer_end(e, c->transfer);
        http_due_remove(e, c);
        http_lane_unref(e, c->lane);
        http_request_deinit(e, &c->request);
        task_free(c->task);
        free(c);
}

void http_call_finish(HttpEngine *e, HttpCall *c, HttpFault *fault) {
        if (intake_end(&e->intake, &c->item))
                http_result_post(e, c, fault);
        call_free(e, c);
}

static void begin(HttpEngine *e, HttpCall *c) {
        HttpFault fault = {0};
        int64_t look_ns = c->submit_ns + e->settings.slow_window_ms * NS_PER_MS;
        if (http_due_set(e, c, look_ns < c->deadline_ns ? look_ns : c->deadline_ns) < 0)
                http_fault_set(&fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
        else if (http_request_make(e, c, &fault) == 0 && http_queue_add(e, c) < 0)
                http_fault_set(&fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
        if (fault.code[0])
                http_call_finish(e, c, &fault);
}

/* ---- what is due --------------------------------------------------------------------------------------- */

static void set_timed_out(HttpEngine *e, HttpCall *c, HttpFault *fault) {
        const HttpTransfer *t = c->transfer;
        const HttpRequest *r = &c->request;
        char waiting[HTTP_MESSAGE_MAX / 2];
        if (!t)
                http_queue_why(e, c, waiting);
        const char *phase =
                        !t ? waiting
                        : t->resolving   ? "the host's name was not resolved"
                        : !t->connected  ? "there was no connection"
                        : t->status == 0 ? "no answer came"
                                         : "the answer was not complete";
        http_fault_set(fault, "TIMEOUT", true, "%s %.300s: %s within %lld ms", r->method, r->url->source,
                       phase, (long long)c->timeout_ms);
}

/** Time is up, or one more look at how fast the answer comes. */
static void look_at(HttpEngine *e, HttpCall *c) {
        HttpTransfer *t = c->transfer;
        HttpFault fault = {0};
        if (e->now_ns >= c->deadline_ns) {
                set_timed_out(e, c, &fault);
                http_call_finish(e, c, &fault);
                return;
        }
        int64_t window_ms = e->settings.slow_window_ms;
        uint64_t wanted = (uint64_t)window_ms * e->settings.slow_bytes_per_s / 1000;
        /* An answer that has not begun is not slow: the service may be working. The timeout ends that. */
        if (t && t->n_received_then > 0 && t->n_received - t->n_received_then < wanted) {
                http_fault_set(&fault, "TOO_SLOW", true,
                               "the answer came slower than %u bytes/s over %lld ms",
                               e->settings.slow_bytes_per_s, (long long)window_ms);
                http_call_finish(e, c, &fault);
                return;
        }
        if (t)
                t->n_received_then = t->n_received;
        int64_t look_ns = e->now_ns + window_ms * NS_PER_MS;
        /* It is in the heap already, so this can't fail. */
        (void)http_due_set(e, c, look_ns < c->deadline_ns ? look_ns : c->deadline_ns);
}

static void run_due(HttpEngine *e) {
        while (e->n_due > 0 && e->due[1]->due_ns <= e->now_ns)
                look_at(e, e->due[1]);
}

static int64_t next_due_ns(const HttpEngine *e) {
        int64_t next = e->n_due > 0 ? e->due[1]->due_ns : -1;
        if (e->n_holds > 0 && (next < 0 || e->holds[e->hold_first].until_ns < next))
                next = e->holds[e->hold_first].until_ns;
        if (e->pump_ns >= 0 && (next < 0 || e->pump_ns < next))
                next = e->pump_ns;
        return next;
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/** False: stop. */
static bool take_inbox(HttpEngine *e) {
        List fresh, cancelled;
        if (!intake_take(&e->intake, &fresh, &cancelled))
                return false;
        while (!list_is_empty(&fresh)) {
                HttpCall *c = LIST_ENTRY(fresh.next, HttpCall, item.node);
                list_remove(&c->item.node);
                begin(e, c);
        }
        while (!list_is_empty(&cancelled)) {
                HttpCall *c = LIST_ENTRY(cancelled.next, HttpCall, item.cancel_node);
                intake_end(&e->intake, &c->item);
                call_free(e, c);
        }
        return true;
}

static void take_finished(HttpEngine *e) {
        int n_left;
        for (CURLMsg *m; (m = curl_multi_info_read(e->loop.multi, &n_left));) {
                if (m->msg != CURLMSG_DONE)
                        continue;
                CURLcode code = m->data.result;
                HttpTransfer *t = NULL;
                curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
                if (code == CURLE_COULDNT_RESOLVE_HOST)
                        http_queue_resolved(e, t, false);
                if (http_transfer_again(e, t, code))
                        continue;
                t->is_over = true;
                if (code == CURLE_OK && t->status == 0)
                        code = CURLE_WEIRD_SERVER_REPLY;
                HttpFault fault = {0};
                http_transfer_fault(e, t, code, &fault);
                http_call_finish(e, t->call, &fault);
        }
}

static void *run(void *engine) {
        HttpEngine *e = engine;
        e->now_ns = http_now_ns();
        while (take_inbox(e)) {
                http_queue_release_holds(e);
                http_lanes_tidy(e);
                if (e->queue_dirty || (e->pump_ns >= 0 && e->pump_ns <= e->now_ns))
                        http_queue_pump(e);
                pthread_mutex_lock(&e->intake.lock);
                bool idle = !http_snapshots_give(e) && !e->queue_dirty && intake_rest(&e->intake);
                pthread_mutex_unlock(&e->intake.lock);
                http_loop_turn(e, idle ? next_due_ns(e) : e->now_ns);
                take_finished(e);
                run_due(e);
        }
        return NULL;
}

/* ---- for other threads --------------------------------------------------------------------------------- */

static HttpEngine *engine_of(Executor *executor) { return (HttpEngine *)executor; }

static void submit(Executor *executor, Task *task) {
        HttpEngine *e = engine_of(executor);
        HttpCall *c = calloc(1, sizeof(*c));
        if (!c) {
                attempt_refuse(&e->host, task, NULL, e->out_of_memory);
                return;
        }
        c->task = task;
        c->submit_ns = http_now_ns();
        c->timeout_ms = task->timeout_ms > 0 ? task->timeout_ms : e->settings.timeout_default_ms;
        c->deadline_ns = c->submit_ns + c->timeout_ms * NS_PER_MS;
        list_init(&c->node);
        http_request_touch(task);
        int r = intake_put(&e->intake, &c->item, task);
        if (r < 0) {
                free(c);
                attempt_refuse(&e->host, task, NULL, r == -ENOBUFS ? e->overloaded : e->out_of_memory);
        }
}

static void cancel(Executor *executor, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        intake_cancel(&engine_of(executor)->intake, execution_id, instance, attempt);
}

static uint64_t n_open(Executor *executor) { return intake_n_open(&engine_of(executor)->intake); }

static void engine_free(HttpEngine *e) {
        while (e->n_due > 0)
                call_free(e, e->due[1]);
        while (!list_is_empty(&e->intake.fresh)) {
                HttpCall *c = LIST_ENTRY(e->intake.fresh.next, HttpCall, item.node);
                list_remove(&c->item.node);
                call_free(e, c);
        }
        http_transfers_free(e);
        for (; e->n_holds > 0; e->n_holds--, e->hold_first = (e->hold_first + 1) % HTTP_RESOLVING_MAX)
                http_host_unref(e, e->holds[e->hold_first].host);
        http_lanes_free(e);
        http_urls_forget(e);
        target_rules_deinit(&e->rules);
        http_grpc_forget(e);
        map_deinit(&e->grpc_types);
        map_deinit(&e->urls);
        map_deinit(&e->hosts);
        http_loop_deinit(&e->loop);
        if (e->has_curl)
                curl_global_cleanup();
        http_json_deinit(&e->json);
        buf_deinit(&e->output);
        buf_deinit(&e->aside);
        buf_deinit(&e->details);
        free(e->headers);
        free(e->holds);
        free(e->due);
        address_policy_deinit(&e->policy);
        value_unref(e->out_of_memory);
        value_unref(e->overloaded);
        free((char *)e->settings.allow);
        free((char *)e->settings.ca_file);
        free((char *)e->settings.user_agent);
        intake_deinit(&e->intake);
        free(e);
}

static void stop(Executor *executor) {
        HttpEngine *e = engine_of(executor);
        intake_stop(&e->intake);
        pthread_join(e->thread, NULL);
        engine_free(e);
}

static const ExecutorVtable vtable = {
                .name = "http", .submit = submit, .cancel = cancel, .n_open = n_open, .stop = stop};

/* ---- making one ---------------------------------------------------------------------------------------- */

static char *text_or(const char *given, const char *otherwise) {
        const char *text = given && *given ? given : otherwise;
        return text ? strdup(text) : NULL;
}

static int settings_take(HttpEngine *e, const HttpSettings *given, Report *report) {
        HttpSettings *s = &e->settings;
        *s = *given;
        s->in_flight_max = s->in_flight_max ? s->in_flight_max : HTTP_IN_FLIGHT_MAX;
        s->per_host_max = s->per_host_max ? s->per_host_max : HTTP_PER_HOST_MAX;
        s->timeout_default_ms = s->timeout_default_ms > 0 ? s->timeout_default_ms : HTTP_TIMEOUT_DEFAULT_MS;
        s->response_bytes_max = s->response_bytes_max ? s->response_bytes_max : HTTP_RESPONSE_BYTES_MAX;
        s->slow_bytes_per_s = s->slow_bytes_per_s ? s->slow_bytes_per_s : HTTP_SLOW_BYTES_PER_S;
        s->slow_window_ms = s->slow_window_ms > 0 ? s->slow_window_ms : HTTP_SLOW_WINDOW_MS;
        s->answers_bytes_max = s->answers_bytes_max ? s->answers_bytes_max : HTTP_ANSWERS_BYTES_MAX;
        s->open_max = s->open_max ? s->open_max : HTTP_OPEN_MAX;
        s->allow = NULL;
        s->target_limits = NULL;
        s->ca_file = text_or(given->ca_file, NULL);
        s->user_agent = text_or(given->user_agent, USER_AGENT_DEFAULT);
        if (!s->user_agent || (given->ca_file && *given->ca_file && !s->ca_file))
                return -ENOMEM;
        if (s->in_flight_max > IN_FLIGHT_LIMIT)
                return report_set(report, RUNBOOK_LIMIT_EXCEEDED, "HTTP_IN_FLIGHT_MAX: %u is more than %d",
                                  s->in_flight_max, IN_FLIGHT_LIMIT);
        FILE *f = s->ca_file ? fopen(s->ca_file, "re") : NULL;
        if (s->ca_file && !f)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the file of certificate authorities %s can't be read: %s", s->ca_file,
                                  strerror(errno));
        if (f)
                fclose(f);
        int r = target_rules_parse(given->target_limits, report, &e->rules);
        return r < 0 ? r : address_policy_parse(given->allow, report, &e->policy);
}

static int parts_make(HttpEngine *e) {
        e->out_of_memory = attempt_error("OUT_OF_MEMORY", true,
                                         SLICE("there was not enough memory to call the service"), SLICE_NULL);
        e->overloaded = attempt_overloaded("HTTP calls", e->settings.open_max, "HTTP_OPEN_MAX");
        e->holds = calloc(HTTP_RESOLVING_MAX, sizeof(*e->holds));
        if (!e->out_of_memory || !e->overloaded || !e->holds)
                return -ENOMEM;
        uint64_t seeds[10];
        e->host.ids.random(e->host.ids.userdata, seeds, N_ELEMENTS(seeds));
        map_init(&e->hosts, seeds[2], seeds[3]);
        map_init(&e->urls, seeds[4], seeds[5]);
        map_init(&e->tenants, seeds[6], seeds[7]);
        map_init(&e->lanes, seeds[8], seeds[9]);
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        e->has_curl = true;
        int r = intake_open(&e->intake, seeds[0], seeds[1], e->settings.open_max);
        return r < 0 ? r : http_loop_init(e);
}

int http_executor_new(const HttpSettings *settings, const ExecutorHost *host, Report *report,
                      Executor **ret) {
        HttpEngine *e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->executor.vtable = &vtable;
        e->host = *host;
        e->loop = (HttpLoop){.epoll = -1};
        intake_init(&e->intake);
        list_init(&e->snapshots);
        list_init(&e->snapshots_next);
        list_init(&e->waiting);
        list_init(&e->resting);
        e->pump_ns = -1;
        list_init(&e->idle);
        list_init(&e->grpc_recent);
        int r = settings_take(e, settings, report);
        if (r == 0)
                r = parts_make(e);
        if (r == 0)
                r = executor_thread_start(&e->thread, "http", run, e);
        if (r < 0) {
                if (!report_is_error(report))
                        report_set(report, RUNBOOK_INTERNAL, "HTTP calls can't be made: %s", strerror(-r));
                engine_free(e);
                return r;
        }
        *ret = &e->executor;
        return 0;
}
