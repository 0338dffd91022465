#include "../leaks.h"
#include "base/cleanup.h"
#include "base/metrics.h"

TestSuite(metrics, .fini = check_leaks);

static bool has(const Buf *b, const char *line) {
        char *text = slice_dup(buf_slice(b));
        bool found = strstr(text, line) != NULL;
        free(text);
        return found;
}

Test(metrics, a_page_in_the_text_format) {
        _cleanup_(buf_deinit) Buf b = {0};
        MetricsWriter w = metrics_writer(&b);
        metrics_single(&w, METRIC_COUNTER, "a_total", "How many.", 3);
        metrics_family(&w, METRIC_GAUGE, "b", "By kind.");
        metrics_sample(&w, (MetricLabel[]){{"kind", SLICE("x")}, {"of", SLICE("y")}}, 2, 0.25);
        cr_assert(slice_eq_str(buf_slice(&b), "# HELP a_total How many.\n# TYPE a_total counter\na_total 3\n"
                                              "# HELP b By kind.\n# TYPE b gauge\nb{kind=\"x\",of=\"y\"} 0.25\n"),
                  "%.*s", SLICE_ARG(buf_slice(&b)));
}

Test(metrics, labels_are_escaped_and_cut_between_characters) {
        _cleanup_(buf_deinit) Buf b = {0};
        MetricsWriter w = metrics_writer(&b);
        metrics_family(&w, METRIC_GAUGE, "g", "G.");
        metrics_sample(&w, (MetricLabel[]){{"l", SLICE("a\"b\\c\nd")}}, 1, 1);
        cr_assert(has(&b, "g{l=\"a\\\"b\\\\c\\nd\"} 1\n"));
        char longer[METRICS_LABEL_MAX + 2];
        memset(longer, 'x', METRICS_LABEL_MAX - 1);
        memcpy(longer + METRICS_LABEL_MAX - 1, "ü", 3);
        buf_reset(&b);
        metrics_sample(&w, (MetricLabel[]){{"l", slice_from_str(longer)}}, 1, 1);
        cr_assert(has(&b, "xx\"} 1\n"));
        cr_assert_eq(b.n, strlen("g{l=\"\"} 1\n") + METRICS_LABEL_MAX - 1);
}

Test(metrics, buckets_are_cumulative_and_a_value_on_the_bound_is_inside) {
        static const HistogramBounds bounds = {.le = {1, 2.5, 10}, .n = 3};
        static const double values[] = {0.5, 1, 2, 2.5, 9, 10.5};
        _cleanup_(buf_deinit) Buf b = {0};
        MetricsWriter w = metrics_writer(&b);
        Histogram h = {0};
        for (size_t i = 0; i < N_ELEMENTS(values); i++)
                histogram_add(&h, &bounds, values[i]);
        metrics_family(&w, METRIC_HISTOGRAM, "h", "H.");
        metrics_histogram(&w, (MetricLabel[]){{"k", SLICE("v")}}, 1, &h, &bounds);
        cr_assert(has(&b, "h_bucket{k=\"v\",le=\"1\"} 2\nh_bucket{k=\"v\",le=\"2.5\"} 4\n"
                          "h_bucket{k=\"v\",le=\"10\"} 5\nh_bucket{k=\"v\",le=\"+Inf\"} 6\n"
                          "h_sum{k=\"v\"} 25.5\nh_count{k=\"v\"} 6\n"));
}

Test(metrics, bounds_ascend) {
        const HistogramBounds *all[] = {&histogram_seconds_short, &histogram_seconds_long, &histogram_counts};
        for (size_t i = 0; i < N_ELEMENTS(all); i++)
                for (size_t j = 1; j < all[i]->n; j++)
                        cr_assert_lt(all[i]->le[j - 1], all[i]->le[j]);
}
