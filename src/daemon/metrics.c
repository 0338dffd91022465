/*
 * The metrics page: what the parts say of themselves, and the process by its standard names
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), read from /proc.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/metrics.h"

#define DESCRIPTORS_MAX 1000000 /* entries of /proc/self/fd that are counted */

static double resident_bytes(void) {
        unsigned long size, resident = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        if (!f)
                return 0;
        if (fscanf(f, "%lu %lu", &size, &resident) != 2)
                resident = 0;
        fclose(f);
        return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned n = 0;

        if (!dir)
                return 0;
        while (n < DESCRIPTORS_MAX && readdir(dir))
                n++;
        closedir(dir);
        return n > 3 ? n - 3 : 0; /* ".", ".." and the directory itself */
}

static void put_process(MetricsWriter *w) {
        struct rusage usage = {0};
        struct rlimit files = {0};

        getrusage(RUSAGE_SELF, &usage);
        getrlimit(RLIMIT_NOFILE, &files);
        double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
        metrics_single(w, METRIC_COUNTER, "process_cpu_seconds_total", "CPU time used, user and system.", cpu);
        metrics_single(w, METRIC_GAUGE, "process_resident_memory_bytes", "Resident memory.", resident_bytes());
        metrics_single(w, METRIC_GAUGE, "process_open_fds", "Open file descriptors.", open_descriptors());
        metrics_single(w, METRIC_GAUGE, "process_max_fds", "File descriptors that may be open.",
                       (double)files.rlim_cur);
}

static void put_executors(const MetricsSources *s, MetricsWriter *w) {
        metrics_family(w, METRIC_GAUGE, "runbook_executor_tasks",
                       "Attempts that an executor has, waiting ones included.");
        for (size_t i = 0; i < s->n_executors; i++) {
                Executor *e = s->executors[i].executor;
                if (e)
                        metrics_sample(w, (MetricLabel[]){{"executor", slice_from_str(s->executors[i].name)}}, 1,
                                       (double)e->vtable->n_open(e));
        }
}

#define TARGET_LABELS(row) {"target", slice_from_str((row).target)}, {"tenant", slice_from_str((row).tenant)}

/** Where steps call: those with open breakers and queues come first, if there are more than fit. */
static void put_targets(const MetricsSources *s, MetricsWriter *w) {
        HttpTargetStats *rows = calloc(METRICS_TARGETS_MAX, sizeof(*rows));
        HttpTotals totals = {0};
        size_t n = rows ? http_executor_targets(s->http, SLICE_NULL, rows, METRICS_TARGETS_MAX, &totals) : 0;

        metrics_family(w, METRIC_GAUGE, "runbook_http_target_breaker_open",
                       "1 while the target's circuit breaker is open, 0.5 half open, 0 closed.");
        for (size_t i = 0; i < n; i++)
                metrics_sample(w, (MetricLabel[]){TARGET_LABELS(rows[i])}, 2,
                               rows[i].state == BREAKER_OPEN        ? 1
                               : rows[i].state == BREAKER_HALF_OPEN ? 0.5
                                                                    : 0);
        metrics_family(w, METRIC_GAUGE, "runbook_http_target_calls", "Calls of a target, by what they are doing.");
        for (size_t i = 0; i < n; i++) {
                metrics_sample(w, (MetricLabel[]){TARGET_LABELS(rows[i]), {"state", SLICE("running")}}, 3,
                               rows[i].n_running);
                metrics_sample(w, (MetricLabel[]){TARGET_LABELS(rows[i]), {"state", SLICE("queued")}}, 3,
                               (double)rows[i].n_queued);
        }
        metrics_single(w, METRIC_COUNTER, "runbook_http_breaker_opened_total",
                       "How often a circuit breaker opened.",
                       (double)totals.n_opened);
        metrics_single(w, METRIC_COUNTER, "runbook_http_breaker_refused_total",
                       "Calls that open circuit breakers refused.",
                       (double)totals.n_refused);
        metrics_single(w, METRIC_COUNTER, "runbook_http_rate_waits_total", "Calls that had to wait for a rate limit.",
                       (double)totals.n_rate_waits);
        free(rows);
}

void metrics_page_put(const MetricsSources *s, Buf *b) {
        MetricsWriter w = metrics_writer(b);

        metrics_family(&w, METRIC_GAUGE, "runbook_build_info", "1, with the program's version.");
        metrics_sample(&w, (MetricLabel[]){{"version", slice_from_str(s->version)}}, 1, 1);
        subjects_put_metrics(s->subjects, &w);
        put_executors(s, &w);
        if (s->http)
                put_targets(s, &w);
        runtime_put_metrics(s->runtime, &w);
        if (s->otlp)
                otlp_put_metrics(s->otlp, &w);
        put_process(&w);
}
