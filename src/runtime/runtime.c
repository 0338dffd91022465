/*
 * The runtime as a whole: made, started, stopped, freed; and the doors through which other threads come in.
 *
 *     writer      runtime_turn for ever, asleep while there is nothing to do
 *     publisher   outbox_run
 *     checker     verifier_run
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "runtime/runtime_private.h"

/* ---- making ----------------------------------------------------------------------------------------- */

static void settle(RuntimeSettings *s) {
        if (s->inbox_max == 0)
                s->inbox_max = RUNTIME_INBOX_MAX;
        if (s->batch_max == 0)
                s->batch_max = RUNTIME_BATCH_MAX;
        if (s->inbox_bytes_max == 0)
                s->inbox_bytes_max = RUNTIME_INBOX_BYTES;
        if (s->runbooks_bytes_max == 0)
                s->runbooks_bytes_max = RUNBOOK_CACHE_BYTES;
        if (s->tasks_bytes_max == 0)
                s->tasks_bytes_max = RUNTIME_TASKS_BYTES;
        if (s->cache_bytes_max == 0)
                s->cache_bytes_max = RUNTIME_CACHE_BYTES;
        if (s->tasks_max == 0)
                s->tasks_max = RUNTIME_TASKS_MAX;
        if (s->results_ttl_ms == 0)
                s->results_ttl_ms = RUNTIME_RESULTS_TTL_MS;
        if (s->early_events_max == 0)
                s->early_events_max = LIMIT_EARLY_EVENTS_PER_TENANT;
        if (s->early_event_ttl_ms == 0)
                s->early_event_ttl_ms = LIMIT_EARLY_EVENT_TTL_MS;
        if (s->outbox_ttl_ms == 0)
                s->outbox_ttl_ms = RUNTIME_OUTBOX_TTL_MS;
        if (s->store_high_percent == 0)
                s->store_high_percent = RUNTIME_STORE_HIGH_PERCENT;
}

static int make_parts(Runtime *r, const AuditStream *audit) {
        uint64_t seeds[12];

        r->source = slice_dup(r->settings.engine.source);
        r->prefix = slice_dup(r->settings.subject_prefix);
        r->cap_items = 2 * (size_t)r->settings.batch_max; /* as many timers as requests */
        r->items = calloc(r->cap_items, sizeof(*r->items));
        if (!r->source || !r->prefix || !r->items)
                return -ENOMEM;
        r->settings.engine.source = slice_from_str(r->source);
        r->settings.subject_prefix = slice_from_str(r->prefix);
        r->ids.random(r->ids.userdata, seeds, N_ELEMENTS(seeds));
        const InboxLimits limits = {.max = r->settings.inbox_max,
                                    .tenant_max = r->settings.inbox_tenant_max,
                                    .bytes_max = r->settings.inbox_bytes_max};
        int rc = inbox_init(&r->inbox, &limits, &seeds[8]);
        if (rc < 0)
                return rc;
        rc = outbox_init(&r->outbox, r->store, audit, r->prefix, &r->inbox);
        if (rc < 0) {
                inbox_deinit(&r->inbox);
                return rc;
        }
        runbook_cache_init(&r->runbooks, &r->settings.definitions, r->settings.runbooks_bytes_max, seeds[0],
                           seeds[1]);
        open_tasks_init(&r->tasks, &seeds[2], &seeds[10]);
        cache_init(&r->cache, r->settings.cache_bytes_max, seeds[4], seeds[5]);
        verifier_init(&r->verifier);
        batch_init(&r->batch, r);
        measures_init(&r->measures, seeds[6], seeds[7]);
        pthread_mutex_init(&r->stats_lock, NULL);
        return 0;
}

int runtime_new(const RuntimeSettings *settings, Store *store, Clock clock, Ids ids, const AuditStream *audit,
                Runtime **ret) {
        Runtime *r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->settings = *settings;
        settle(&r->settings);
        r->store = store;
        r->clock = clock;
        r->ids = ids;
        r->next_timer_ms = INT64_MAX;
        r->stats.writable = true;
        list_init(&r->held);
        int rc = make_parts(r, audit);
        if (rc < 0) {
                free(r->source);
                free(r->prefix);
                free(r->items);
                free(r);
                return rc;
        }
        *ret = r;
        return 0;
}

static void refuse(Runtime *r, Request *q) {
        if (q->kind == REQUEST_TASK_RESULT)
                request_free(q); /* recovery sends the task out again */
        else
                runtime_fail_request(r, q, RUNBOOK_UNAVAILABLE, "The engine is stopping. Send this again.",
                                     false);
}

static void refuse_list(Runtime *r, List *list) {
        LIST_FOREACH_SAFE(node, next, list) {
                list_remove(node);
                refuse(r, LIST_ENTRY(node, Request, node));
        }
}

static void refuse_waiting(Runtime *r) {
        for (Turn *t; (t = turns_take(&r->inbox.requests));)
                refuse(r, LIST_ENTRY(t, Request, turn));
        refuse_list(r, &r->verifier.queue);
        r->verifier.n = 0;
}

void runtime_free(Runtime *r) {
        if (!r)
                return;
        refuse_waiting(r);
        refuse_list(r, &r->inbox.results);
        refuse_list(r, &r->held);
        verifier_deinit(&r->verifier);
        measures_deinit(&r->measures);
        batch_deinit(&r->batch);
        cache_deinit(&r->cache);
        open_tasks_deinit(&r->tasks);
        runbook_cache_deinit(&r->runbooks);
        outbox_deinit(&r->outbox);
        inbox_deinit(&r->inbox);
        pthread_mutex_destroy(&r->stats_lock);
        free(r->items);
        free(r->source);
        free(r->prefix);
        free(r);
}

/* ---- doors ------------------------------------------------------------------------------------------ */

/** The caller's thread measures, so that the writer needn't. */
static size_t request_size(const Request *q) {
        size_t n = sizeof(*q) + q->arena.n_bytes + value_size(q->input.value) + value_size(q->input.context);
        return q->runbook ? n + q->runbook->arena.n_bytes + value_size(q->runbook->definition) : n;
}

int runtime_submit(Runtime *r, Request *request) {
        request->n_bytes = request_size(request);
        int rc = inbox_put(&r->inbox, request);

        if (rc < 0)
                runtime_note_refusal(r, rc == -EAGAIN || rc == -EDQUOT ? RUNBOOK_OVERLOADED : RUNBOOK_UNAVAILABLE);
        return rc;
}

static void post_result(void *userdata, const TaskResult *result) {
        Runtime *r = userdata;
        OpenTask *t = open_tasks_take(&r->tasks, result->execution_id, result->instance, result->attempt);

        if (!t) {
                task_result_drop(result); /* repeated, or of an attempt that was cancelled */
                return;
        }
        open_task_fill(t, result);
        inbox_put_result(&r->inbox, &t->result);
}

static void post_progress(void *userdata, const TaskProgress *progress) {
        Runtime *r = userdata;
        Request *q = task_progress_new(progress);

        if (q)
                inbox_put_result(&r->inbox, q); /* among the results: so none overtakes it */
}

static char *find_secret(void *userdata, Slice tenant, Slice name) {
        Runtime *r = userdata;
        return r->secret ? r->secret(r->secret_userdata, tenant, name) : NULL;
}

ExecutorHost runtime_executor_host(Runtime *r, char *(*secret)(void *userdata, Slice tenant, Slice name),
                                   void *userdata) {
        r->secret = secret;
        r->secret_userdata = userdata;
        return (ExecutorHost){.post_result = post_result,
                              .post_progress = post_progress,
                              .secret = find_secret,
                              .clock = r->clock,
                              .ids = r->ids,
                              .userdata = r};
}

void runtime_set_executor(Runtime *r, StepType type, Executor *executor) { r->executors[type] = executor; }

void runtime_set_authz(Runtime *r, Executor *authz) { r->authz = authz; }

int runtime_runbook_lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version,
                           Runbook **ret) {
        Runtime *r = userdata;
        return runbook_cache_get(&r->runbooks, t, tenant, id, version, ret);
}

int runtime_outbox_turn(Runtime *r) { return outbox_turn(&r->outbox); }

void runtime_stats(Runtime *r, RuntimeStats *ret) {
        int64_t now_ms = r->clock.now_ms(r->clock.userdata);

        pthread_mutex_lock(&r->stats_lock);
        *ret = r->stats;
        pthread_mutex_unlock(&r->stats_lock);
        ret->inbox_depth = inbox_depth(&r->inbox);
        pthread_mutex_lock(&r->outbox.lock);
        ret->outbox_row = r->outbox.last_row;
        ret->outbox_published_row = r->outbox.published_row;
        ret->outbox_n_published = r->outbox.n_published;
        ret->outbox_n_rewinds = r->outbox.n_resent;
        int64_t oldest_ms = r->outbox.oldest_ms;
        pthread_mutex_unlock(&r->outbox.lock);
        ret->outbox_age_ms = oldest_ms && now_ms > oldest_ms ? now_ms - oldest_ms : 0;
}

void runtime_put_metrics(Runtime *r, MetricsWriter *w) {
        RuntimeStats s;
        KvStats kv = {0};

        runtime_stats(r, &s);
        (void)store_stats(r->store, &kv); /* zeros where it can't be told */
        measures_put(&r->measures, w);
        const struct {
                MetricKind kind;
                const char *name, *help;
                double value;
        } singles[] = {
                {METRIC_COUNTER, "runbook_commits_failed_total", "Transactions that failed and were undone.",
                 (double)s.n_commits_failed},
                {METRIC_GAUGE, "runbook_inbox_requests", "Requests and results waiting for the writer.",
                 (double)s.inbox_depth},
                {METRIC_GAUGE, "runbook_tasks_open", "Attempts that are out with executors.", (double)s.n_tasks},
                {METRIC_COUNTER, "runbook_timers_fired_total", "Timers that fired.", (double)s.n_timers_fired},
                {METRIC_COUNTER, "runbook_timers_late_total", "Timers that fired more than a second late.",
                 (double)s.n_timers_late},
                {METRIC_GAUGE, "runbook_outbox_rows", "Committed rows that the audit stream does not hold yet.",
                 (double)(s.outbox_row - s.outbox_published_row)},
                {METRIC_GAUGE, "runbook_outbox_age_seconds", "Age of the oldest such row.",
                 (double)s.outbox_age_ms / 1000},
                {METRIC_COUNTER, "runbook_outbox_published_total", "Messages that the audit stream has confirmed.",
                 (double)s.outbox_n_published},
                {METRIC_COUNTER, "runbook_outbox_rewinds_total",
                 "Times that the outbox stepped back because the stream had lost messages.",
                 (double)s.outbox_n_rewinds},
                {METRIC_GAUGE, "runbook_cache_executions", "Executions kept in memory.", (double)s.cache_executions},
                {METRIC_GAUGE, "runbook_cache_bytes", "Memory that they take.", (double)s.cache_bytes},
                {METRIC_GAUGE, "runbook_store_used_bytes", "Bytes of the store in use.", (double)kv.used_bytes},
                {METRIC_GAUGE, "runbook_store_map_bytes", "Bytes of the store's file.", (double)kv.map_bytes},
                {METRIC_GAUGE, "runbook_store_map_max_bytes", "Bytes that the store's file can grow to.",
                 (double)kv.map_max_bytes},
                {METRIC_GAUGE, "runbook_store_writable", "1 if the last commit went through.", s.writable},
        };
        for (size_t i = 0; i < N_ELEMENTS(singles); i++)
                metrics_single(w, singles[i].kind, singles[i].name, singles[i].help, singles[i].value);
}

void runtime_set_span_sink(Runtime *r, SpanSink sink) { r->spans = sink; }

/* ---- threads ---------------------------------------------------------------------------------------- */

static void die(Runtime *r, int error) {
        pthread_mutex_lock(&r->stats_lock);
        r->stats.writable = false;
        pthread_mutex_unlock(&r->stats_lock);
        log_event(LOG_ERROR,
                  "the store failed and what is on disk is unknown: the engine has to restart and recover",
                  "reason", strerror(-error), NULL);
        inbox_stop(&r->inbox); /* nobody will take anything any more */
        if (!r->settings.on_fatal)
                _exit(RUNTIME_EXIT_FATAL);
        r->settings.on_fatal(r->settings.fatal_userdata, error);
}

/** How long the writer may sleep. Engine time can jump forward while it does, so with timers armed it looks
 * up now and then. */
static int64_t sleep_ms(Runtime *r, int64_t next_ms) {
        int64_t now_ms = runtime_now(r), upkeep_ms = upkeep_due_ms(r);

        if (upkeep_ms < r->blocked_until_ms)
                upkeep_ms = r->blocked_until_ms;
        int64_t until = next_ms < upkeep_ms ? next_ms : upkeep_ms, ms = until > now_ms ? until - now_ms : 0;
        return next_ms != INT64_MAX && ms > RUNTIME_SLEEP_MAX_MS ? RUNTIME_SLEEP_MAX_MS : ms;
}

static void *writer_main(void *userdata) {
        Runtime *r = userdata;
        int64_t next_ms;

        for (;;) {
                int rc = runtime_turn(r, &next_ms);
                if (rc < 0) {
                        die(r, rc);
                        return NULL;
                }
                if (rc == 0)
                        continue;
                if (inbox_is_stopping(&r->inbox) && inbox_depth(&r->inbox) == 0)
                        return NULL;
                inbox_wait(&r->inbox, sleep_ms(r, next_ms));
        }
}

static void *publisher_main(void *userdata) {
        outbox_run(&((Runtime *)userdata)->outbox);
        return NULL;
}

static void *checker_main(void *userdata) {
        verifier_run(userdata);
        return NULL;
}

int runtime_recover(Runtime *r, Report *report) {
        int rc = r->recovered ? 0 : recovery_run(r, report);
        r->recovered = rc == 0;
        return rc;
}

int runtime_start(Runtime *r, Report *report) {
        static void *(*const bodies[])(void *) = {writer_main, publisher_main, checker_main};
        pthread_t *threads[] = {&r->writer, &r->publisher, &r->checker};

        int rc = runtime_recover(r, report);
        if (rc < 0)
                return rc;
        r->running = true;
        for (size_t i = 0; i < N_ELEMENTS(bodies); i++) {
                rc = pthread_create(threads[i], NULL, bodies[i], r);
                if (rc == 0)
                        continue;
                report_set(report, RUNBOOK_UNAVAILABLE, "A thread could not be started: %s.", strerror(rc));
                r->n_threads = i;
                runtime_stop(r, 0);
                return -rc;
        }
        r->n_threads = N_ELEMENTS(bodies);
        return 0;
}

/** The last mark, which would otherwise have waited for company. */
static void write_last_mark(Runtime *r) {
        OutboxMark mark;
        bool urgent;
        size_t n;

        if (r->failed || !outbox_mark_wanted(&r->outbox, &mark, &urgent))
                return;
        r->mark_wanted_ms = INT64_MIN / 2;
        (void)batch_run(&r->batch, NULL, 0, runtime_now(r),
                        &n); /* without it the next start publishes some rows twice */
}

void runtime_stop(Runtime *r, int64_t timeout_ms) {
        inbox_stop(&r->inbox);
        if (!r->running)
                return;
        if (r->n_threads > 0)
                pthread_join(r->writer, NULL);
        outbox_stop(&r->outbox, timeout_ms);
        if (r->n_threads > 1)
                pthread_join(r->publisher, NULL);
        verifier_stop(&r->verifier);
        if (r->n_threads > 2)
                pthread_join(r->checker, NULL);
        r->running = false;
        write_last_mark(r);
        refuse_waiting(r); /* after a fatal error, or what was still to be verified */
        inbox_close(&r->inbox);
        refuse_list(r, &r->inbox.results); /* who waits for its commit is told that there will be none */
        refuse_list(r, &r->held);
        r->inbox.n_results = r->n_held = 0;
}
