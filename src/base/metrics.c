/*
 * The Prometheus text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/)
 *
 * There is no registry. Each part keeps its own numbers under its own lock, and a page is made of them when
 * somebody asks: nothing is counted twice, and what nobody scrapes costs an addition.
 */
#include "base/metrics.h"

const HistogramBounds histogram_seconds_short = {
        .le = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
               10},
        .n = 16,
};

const HistogramBounds histogram_seconds_long = {
        .le = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600,
               86400},
        .n = 20,
};

const HistogramBounds histogram_counts = {
        .le = {1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000},
        .n = 15,
};

void histogram_add(Histogram *h, const HistogramBounds *bounds, double value) {
        size_t i = 0;
        while (i < bounds->n && value > bounds->le[i])
                i++;
        h->buckets[i]++;
        h->n++;
        h->sum += value;
}

void metrics_family(MetricsWriter *w, MetricKind kind, const char *name, const char *help) {
        static const char *const kinds[] = {
                [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
        w->name = name;
        buf_printf(w->b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

static void put_value(Buf *b, double value) {
        const double exact = 9007199254740992.0; /* 2^53: up to it integers are what they say */
        if (value > -exact && value < exact && value == (double)(int64_t)value)
                buf_put_decimal(b, (int64_t)value);
        else
                buf_printf(b, "%.9g", value);
}

static void put_label_value(Buf *b, Slice value) {
        Slice cut = slice_cut_utf8(value, METRICS_LABEL_MAX);
        for (size_t i = 0; i < cut.n; i++) {
                char c = cut.data[i];
                if (c == '\\' || c == '"')
                        buf_put_char(b, '\\');
                if (c == '\n')
                        buf_put_str(b, "\\n");
                else
                        buf_put_char(b, c);
        }
}

/** `name_suffix{labels,le="…"} `: @le NULL for none. */
static void put_head(MetricsWriter *w, const char *suffix, const MetricLabel *labels, size_t n, const char *le) {
        Buf *b = w->b;
        buf_put_str(b, w->name);
        buf_put_str(b, suffix);
        for (size_t i = 0; i < n; i++) {
                buf_printf(b, "%s%s=\"", i ? "," : "{", labels[i].name);
                put_label_value(b, labels[i].value);
                buf_put_char(b, '"');
        }
        if (le)
                buf_printf(b, "%sle=\"%s\"", n ? "," : "{", le);
        if (n || le)
                buf_put_char(b, '}');
        buf_put_char(b, ' ');
}

static void put_sample(MetricsWriter *w, const char *suffix, const MetricLabel *labels, size_t n, const char *le,
                       double value) {
        put_head(w, suffix, labels, n, le);
        put_value(w->b, value);
        buf_put_char(w->b, '\n');
}

void metrics_sample(MetricsWriter *w, const MetricLabel *labels, size_t n_labels, double value) {
        put_sample(w, "", labels, n_labels, NULL, value);
}

void metrics_histogram(MetricsWriter *w, const MetricLabel *labels, size_t n_labels, const Histogram *h,
                       const HistogramBounds *bounds) {
        uint64_t cumulative = 0;
        for (size_t i = 0; i < bounds->n; i++) {
                char le[32];
                Buf text = {.data = le, .cap = sizeof(le), .limit = sizeof(le) - 1};
                put_value(&text, bounds->le[i]);
                le[text.n] = '\0';
                cumulative += h->buckets[i];
                put_sample(w, "_bucket", labels, n_labels, le, (double)cumulative);
        }
        put_sample(w, "_bucket", labels, n_labels, "+Inf", (double)h->n);
        put_sample(w, "_sum", labels, n_labels, NULL, h->sum);
        put_sample(w, "_count", labels, n_labels, NULL, (double)h->n);
}

void metrics_single(MetricsWriter *w, MetricKind kind, const char *name, const char *help, double value) {
        metrics_family(w, kind, name, help);
        metrics_sample(w, NULL, 0, value);
}
