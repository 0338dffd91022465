/*
 * The metrics page: what the parts say of themselves, and the process by its standard names
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics), read from /proc.
 */
#include <dirent.h>
#include <stdio.h>
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

void metrics_page_put(const MetricsSources *s, Buf *b) {
        MetricsWriter w = metrics_writer(b);

        metrics_family(&w, METRIC_GAUGE, "runbook_build_info", "1, with the program's version.");
        metrics_sample(&w, (MetricLabel[]){{"version", slice_from_str(s->version)}}, 1, 1);
        metrics_single(&w, METRIC_GAUGE, "runbook_nats_connected", "1 while there is a connection to NATS.",
                       subjects_is_connected(s->subjects));
        metrics_single(&w, METRIC_COUNTER, "runbook_nats_reconnects_total",
                       "Lost connections to NATS that were won back.",
                       (double)subjects_n_reconnects(s->subjects));
        put_executors(s, &w);
        runtime_put_metrics(s->runtime, &w);
        if (s->otlp)
                otlp_put_metrics(s->otlp, &w);
        put_process(&w);
}
