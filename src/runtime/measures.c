/*
 * Measures
 *
 * The writer adds to them once per batch, after the commit, under one lock that a scrape takes for the time of
 * writing a page. A batch that failed was never counted. Series are bounded: per runbook up to
 * MEASURES_RUNBOOKS_MAX, everything else by tables of fixed size.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "runtime/measures.h"

static const char *const outcomes[N_OUTCOMES] = {
        [OUTCOME_COMPLETED] = "completed",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_SKIPPED] = "skipped",
        [OUTCOME_CANCELLED] = "cancelled",
};

void measures_init(Measures *m, uint64_t seed0, uint64_t seed1) {
        *m = (Measures){0};
        pthread_mutex_init(&m->lock, NULL);
        map_init(&m->runbooks, seed0, seed1);
}

void measures_deinit(Measures *m) {
        size_t it = 0;
        Slice key;
        void *value;

        while (map_next(&m->runbooks, &it, &key, &value))
                free(value);
        map_deinit(&m->runbooks);
        free(m->other);
        pthread_mutex_destroy(&m->lock);
}

void measures_begin(Measures *m) { pthread_mutex_lock(&m->lock); }
void measures_end(Measures *m) { pthread_mutex_unlock(&m->lock); }

/* ---- counting --------------------------------------------------------------------------------------- */

/** Key, then its two parts again as strings. */
static MeasuredRunbook *runbook_new(Slice tenant, Slice id, Slice *ret_key) {
        size_t n_key = tenant.n + 1 + id.n;
        MeasuredRunbook *rb = calloc(1, sizeof(*rb) + n_key + tenant.n + id.n + 2);
        if (!rb)
                return NULL;
        char *key = (char *)(rb + 1);
        memcpy(key, tenant.data, tenant.n);
        key[tenant.n] = '/'; /* no tenant has one: two pairs never make the same key */
        memcpy(key + tenant.n + 1, id.data, id.n);
        rb->tenant = key + n_key;
        memcpy(rb->tenant, tenant.data, tenant.n);
        rb->runbook = rb->tenant + tenant.n + 1;
        memcpy(rb->runbook, id.data, id.n);
        *ret_key = (Slice){key, n_key};
        return rb;
}

/** NULL when there is no memory: then it is not counted. */
static MeasuredRunbook *runbook_of(Measures *m, const Execution *x) {
        char text[512];
        Slice tenant = x->tenant, id = x->runbook->id, key;

        if (tenant.n + id.n + 1 <= sizeof(text)) {
                memcpy(text, tenant.data, tenant.n);
                text[tenant.n] = '/';
                memcpy(text + tenant.n + 1, id.data, id.n);
                MeasuredRunbook *known = map_get(&m->runbooks, (Slice){text, tenant.n + 1 + id.n});
                if (known)
                        return known;
                if (m->runbooks.n < MEASURES_RUNBOOKS_MAX) {
                        known = runbook_new(tenant, id, &key);
                        if (known && map_put(&m->runbooks, key, known) < 0) {
                                free(known);
                                known = NULL;
                        }
                        return known;
                }
        }
        if (!m->other)
                m->other = runbook_new(SLICE("other"), SLICE("other"), &key);
        return m->other;
}

void measures_add(Measures *m, const Execution *x, bool started) {
        MeasuredRunbook *rb = runbook_of(m, x);
        if (!rb)
                return;
        rb->n_started += started;
        if (!runbook_execution_status_is_final(x->status))
                rb->n_now[x->status]++;
        else if (started)
                rb->n_ended[x->status]++;
}

void measures_move(Measures *m, const Execution *x, RunbookExecutionStatus before) {
        MeasuredRunbook *rb = runbook_of(m, x);
        if (!rb)
                return;
        if (!runbook_execution_status_is_final(before))
                rb->n_now[before]--;
        if (!runbook_execution_status_is_final(x->status))
                rb->n_now[x->status]++;
        else
                rb->n_ended[x->status]++;
}

static bool outcome_of(const char *type, StepOutcome *ret) {
        for (size_t i = 0; i < N_OUTCOMES; i++)
                if (!strcmp(type, outcomes[i])) {
                        *ret = (StepOutcome)i;
                        return true;
                }
        return false;
}

static double seconds(const UpdateFact *f) { return (double)(f->end_ms - f->start_ms) / 1000; }

void measures_fact(Measures *m, const Execution *x, const UpdateFact *f) {
        static const char prefix[] = "step.";
        StepOutcome outcome;

        if (f->instance == INSTANCE_NONE) {
                MeasuredRunbook *rb = f->start_ms ? runbook_of(m, x) : NULL;
                if (rb)
                        histogram_add(&rb->duration, &histogram_seconds_long, seconds(f));
                return;
        }
        if (strncmp(f->type, prefix, sizeof(prefix) - 1) != 0)
                return;
        const char *what = f->type + sizeof(prefix) - 1;
        if (!strcmp(what, "retrying")) {
                m->step_retries[f->step_type]++;
        } else if (outcome_of(what, &outcome)) {
                histogram_add(&m->step_seconds[f->step_type][outcome], &histogram_seconds_long, seconds(f));
                if (outcome != OUTCOME_SKIPPED)
                        histogram_add(&m->step_attempts[f->step_type], &histogram_counts, f->attempt);
        }
}

void measures_commit(Measures *m, int64_t us, size_t n_inputs) {
        histogram_add(&m->commit_seconds, &histogram_seconds_short, (double)us / 1e6);
        histogram_add(&m->commit_inputs, &histogram_counts, (double)n_inputs);
}

/* ---- telling ---------------------------------------------------------------------------------------- */

typedef void PutRunbook(MetricsWriter *w, const MeasuredRunbook *rb);

static void each_runbook(Measures *m, MetricsWriter *w, PutRunbook *put) {
        size_t it = 0;
        Slice key;
        void *value;

        while (map_next(&m->runbooks, &it, &key, &value))
                put(w, value);
        if (m->other)
                put(w, m->other);
}

#define RUNBOOK_LABELS(rb) {"tenant", slice_from_str((rb)->tenant)}, {"runbook", slice_from_str((rb)->runbook)}

static void put_started(MetricsWriter *w, const MeasuredRunbook *rb) {
        metrics_sample(w, (MetricLabel[]){RUNBOOK_LABELS(rb)}, 2, (double)rb->n_started);
}

static void put_by_status(MetricsWriter *w, const MeasuredRunbook *rb, bool final) {
        for (unsigned s = 0; s < RUNBOOK_N_EXECUTION_STATUSES; s++) {
                double n = final ? (double)rb->n_ended[s] : (double)rb->n_now[s];
                const char *name = runbook_execution_status_name((RunbookExecutionStatus)s);
                if (runbook_execution_status_is_final((RunbookExecutionStatus)s) == final)
                        metrics_sample(w,
                                       (MetricLabel[]){RUNBOOK_LABELS(rb), {"status", slice_from_str(name)}}, 3, n);
        }
}

static void put_now(MetricsWriter *w, const MeasuredRunbook *rb) { put_by_status(w, rb, false); }
static void put_ended(MetricsWriter *w, const MeasuredRunbook *rb) { put_by_status(w, rb, true); }

static void put_duration(MetricsWriter *w, const MeasuredRunbook *rb) {
        if (rb->duration.n > 0)
                metrics_histogram(w, (MetricLabel[]){RUNBOOK_LABELS(rb)}, 2, &rb->duration, &histogram_seconds_long);
}

static Slice type_label(unsigned type) { return slice_from_str(step_type_name((StepType)type)); }

static void put_steps(Measures *m, MetricsWriter *w) {
        metrics_family(w, METRIC_HISTOGRAM, "runbook_step_duration_seconds",
                       "Time from a step's first attempt to its end, by type and outcome.");
        for (unsigned t = 0; t < N_STEP_TYPES; t++)
                for (unsigned o = 0; o < N_OUTCOMES; o++)
                        if (m->step_seconds[t][o].n > 0)
                                metrics_histogram(w,
                                                  (MetricLabel[]){{"type", type_label(t)},
                                                                  {"outcome", slice_from_str(outcomes[o])}},
                                                  2, &m->step_seconds[t][o], &histogram_seconds_long);
        metrics_family(w, METRIC_HISTOGRAM, "runbook_step_attempts", "Attempts that ended steps took, by type.");
        for (unsigned t = 0; t < N_STEP_TYPES; t++)
                if (m->step_attempts[t].n > 0)
                        metrics_histogram(w, (MetricLabel[]){{"type", type_label(t)}}, 1,
                                          &m->step_attempts[t], &histogram_counts);
        metrics_family(w, METRIC_COUNTER, "runbook_step_retries_total",
                       "Attempts that failed and are to be repeated, by type.");
        for (unsigned t = 0; t < N_STEP_TYPES; t++)
                metrics_sample(w, (MetricLabel[]){{"type", type_label(t)}}, 1,
                               (double)m->step_retries[t]);
}

void measures_put(Measures *m, MetricsWriter *w) {
        pthread_mutex_lock(&m->lock);
        metrics_family(w, METRIC_GAUGE, "runbook_executions",
                       "Executions that have not ended, by tenant, runbook and status.");
        each_runbook(m, w, put_now);
        metrics_family(w, METRIC_COUNTER, "runbook_executions_started_total",
                       "Executions started, by tenant and runbook.");
        each_runbook(m, w, put_started);
        metrics_family(w, METRIC_COUNTER, "runbook_executions_ended_total",
                       "Executions ended, by tenant, runbook and status; one that is retried may end again.");
        each_runbook(m, w, put_ended);
        metrics_family(w, METRIC_HISTOGRAM, "runbook_execution_duration_seconds",
                       "Time from an execution's start to its end, by tenant and runbook.");
        each_runbook(m, w, put_duration);
        put_steps(m, w);
        metrics_family(w, METRIC_HISTOGRAM, "runbook_commit_seconds", "Time that commits of the store took.");
        metrics_histogram(w, NULL, 0, &m->commit_seconds, &histogram_seconds_short);
        metrics_family(w, METRIC_HISTOGRAM, "runbook_commit_inputs", "Requests, results and timers of one commit.");
        metrics_histogram(w, NULL, 0, &m->commit_inputs, &histogram_counts);
        pthread_mutex_unlock(&m->lock);
}
