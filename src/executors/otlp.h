#pragma once
/* Spans to an OpenTelemetry collector: OTLP over HTTP, JSON encoded. */

#include "base/metrics.h"
#include "runtime/ports.h"

#define OTLP_QUEUE_BYTES (4UL << 20) /* of spans that wait; beyond, further ones are dropped and counted */
#define OTLP_BATCH_MS 1000           /* how long spans wait for company */
#define OTLP_BATCH_BYTES (512UL << 10) /* of spans, beyond which nobody waits */
#define OTLP_TIMEOUT_MS 10000        /* of one export */
#define OTLP_TRIES 5                 /* of one export, before its spans are dropped and counted */
#define OTLP_BACKOFF_MIN_MS 500
#define OTLP_BACKOFF_MAX_MS 10000
#define OTLP_HEADERS_MAX 16

typedef struct OtlpSettings {
        const char *endpoint; /* "http://127.0.0.1:4318": `/v1/traces` is appended */
        const char *headers;  /* "name=value,…", values percent-encoded; NULL: none. Kept out of all logs */
        const char *service;  /* `service.name` */
        const char *version, *instance; /* `service.version`, `service.instance.id` */
        const char *ca_file;  /* NULL: the system's */
} OtlpSettings;

typedef struct Otlp Otlp;

/** Check @settings (copied) and start the thread. 0, or negative with a sentence in @report. */
int otlp_new(const OtlpSettings *settings, Report *report, Otlp **ret);
/** Where the runtime puts spans; valid until otlp_free. */
SpanSink otlp_sink(Otlp *o);
/** Write the exporter's counters. Any thread. */
void otlp_put_metrics(Otlp *o, MetricsWriter *w);
/** Export what waits, once, then stop. The sink may not be called any more. NULL-safe. */
void otlp_free(Otlp *o);
