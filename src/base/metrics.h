#pragma once
/* Numbers for the Prometheus text format: histograms, and the writer of a page. */

#include "base/buf.h"

#define HISTOGRAM_BOUNDS_MAX 24
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** Upper bounds of buckets, ascending; what is above the last one falls into +Inf. */
typedef struct HistogramBounds {
        double le[HISTOGRAM_BOUNDS_MAX];
        size_t n;
} HistogramBounds;
extern const HistogramBounds histogram_seconds_short; /* 50 µs – 10 s: commits, queries */
extern const HistogramBounds histogram_seconds_long;  /* 1 ms – 1 day: steps, executions */
extern const HistogramBounds histogram_counts;        /* 1 – 10,000 */

/** Zero-initialised is empty. Not locked: one writer, or the caller's lock. */
typedef struct Histogram {
        uint64_t buckets[HISTOGRAM_BOUNDS_MAX + 1]; /* not cumulative */
        uint64_t n;
        double sum;
} Histogram;
void histogram_add(Histogram *h, const HistogramBounds *bounds, double value);

typedef struct MetricLabel { const char *name; Slice value; } MetricLabel;

/** Writes a page into a Buf (whose error is sticky). A family's samples follow its head. */
typedef struct MetricsWriter {
        Buf *b;
        const char *name; /* of the family */
} MetricsWriter;

typedef enum MetricKind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM } MetricKind;

static inline MetricsWriter metrics_writer(Buf *b) { return (MetricsWriter){.b = b}; }
/** Begin family @name (a literal that ends in its unit, counters in `_total`); @help one sentence. */
void metrics_family(MetricsWriter *w, MetricKind kind, const char *name, const char *help);
/** One sample of the family begun last. Label values are cut to METRICS_LABEL_MAX bytes and escaped. */
void metrics_sample(MetricsWriter *w, const MetricLabel *labels, size_t n_labels, double value);
void metrics_histogram(MetricsWriter *w, const MetricLabel *labels, size_t n_labels, const Histogram *h,
                       const HistogramBounds *bounds);
/** A family of one sample without labels. */
void metrics_single(MetricsWriter *w, MetricKind kind, const char *name, const char *help, double value);

#define METRICS_LABEL_MAX 128
