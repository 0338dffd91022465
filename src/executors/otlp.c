/*
 * The exporter of traces (https://opentelemetry.io/docs/specs/otlp/, OTLP/HTTP in JSON)
 *
 *     writer ──span──► pending ──thread: a second's worth──► POST <endpoint>/v1/traces
 *
 * The writer renders a span where it stands, into a buffer under a lock: nothing it points to has to outlive the
 * call. Traces are for looking at, not for proof: what a collector doesn't take after a few tries, or what doesn't
 * fit into the queue meanwhile, is dropped and counted. The audit trail does not depend on it.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executors/otlp.h"
#include "executors/thread.h"
#include "json/json_write.h"

#define SPAN_KIND_INTERNAL 1
#define SPAN_KIND_CLIENT 3
#define STATUS_OK 1
#define STATUS_ERROR 2
#define ANSWER_BYTES_MAX (64 * 1024) /* of a collector's answer that are read */

struct Otlp {
        char *url;
        char *head; /* of every export, up to the spans */
        struct curl_slist *headers;
        CURL *curl;
        pthread_t thread;
        bool has_thread;

        pthread_mutex_t lock; /* of all below */
        pthread_cond_t wake;
        Buf pending; /* spans, comma separated */
        uint64_t n_pending, n_exported, n_dropped;
        bool stopping;
};

/* ---- a span ----------------------------------------------------------------------------------------- */

static void put_attribute(JsonWriter *w, const char *key, Slice value) {
        if (value.n == 0)
                return;
        json_begin_object(w);
        json_key(w, "key");
        json_put_str(w, key);
        json_key(w, "value");
        json_begin_object(w);
        json_key(w, "stringValue");
        json_put_string(w, value);
        json_end_object(w);
        json_end_object(w);
}

static void put_count(JsonWriter *w, const char *key, int64_t value) {
        char text[24];
        snprintf(text, sizeof(text), "%lld", (long long)value);
        json_begin_object(w);
        json_key(w, "key");
        json_put_str(w, key);
        json_key(w, "value");
        json_begin_object(w);
        json_key(w, "intValue"); /* 64-bit integers are strings in OTLP's JSON */
        json_put_str(w, text);
        json_end_object(w);
        json_end_object(w);
}

static void put_hex(JsonWriter *w, const char *key, const uint8_t *bytes, size_t n) {
        char text[33];
        trace_put_hex(bytes, n, text);
        json_key(w, key);
        json_put_str(w, text);
}

static void put_time(JsonWriter *w, const char *key, int64_t ms) {
        char text[32];
        snprintf(text, sizeof(text), "%lld000000", (long long)ms);
        json_key(w, key);
        json_put_str(w, text);
}

static void put_attributes(JsonWriter *w, const TraceSpan *s) {
        const Execution *x = s->execution;
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(x->id, id);
        json_key(w, "attributes");
        json_begin_array(w);
        put_attribute(w, "runbook.execution.id", slice_from_str(id));
        put_attribute(w, "runbook.id", x->runbook->id);
        put_attribute(w, "runbook.version", x->runbook->version);
        put_attribute(w, "runbook.tenant", x->tenant);
        put_attribute(w, "runbook.outcome", slice_from_str(s->outcome));
        if (s->step) {
                put_attribute(w, "runbook.step.path", s->path);
                put_attribute(w, "runbook.step.type", s->step->type_name);
                put_count(w, "runbook.step.attempt", s->attempt);
        } else {
                put_attribute(w, "enduser.id", x->initiated_by);
        }
        json_end_array(w);
}

static void put_span(Buf *b, const TraceSpan *s) {
        static const uint8_t none[8];
        bool outside = s->step && step_type_holds_slot(s->step->type);
        JsonWriter w = json_writer(b);
        json_begin_object(&w);
        put_hex(&w, "traceId", s->context.trace_id, 16);
        put_hex(&w, "spanId", s->span_id, 8);
        if (memcmp(s->context.parent_id, none, 8) != 0)
                put_hex(&w, "parentSpanId", s->context.parent_id, 8);
        json_key(&w, "name");
        json_put_string(&w, s->step ? s->step->id : s->execution->runbook->id);
        json_key(&w, "kind");
        json_put_i64(&w, outside ? SPAN_KIND_CLIENT : SPAN_KIND_INTERNAL);
        put_time(&w, "startTimeUnixNano", s->start_ms);
        put_time(&w, "endTimeUnixNano", s->end_ms);
        put_attributes(&w, s);
        json_key(&w, "status");
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_i64(&w, !strcmp(s->outcome, "completed") ? STATUS_OK : STATUS_ERROR);
        json_end_object(&w);
        json_end_object(&w);
}

static void on_span(void *userdata, const TraceSpan *span) {
        Otlp *o = userdata;
        pthread_mutex_lock(&o->lock);
        size_t before = o->pending.n;
        if (before > 0)
                buf_put_char(&o->pending, ',');
        put_span(&o->pending, span);
        if (o->pending.error) {
                o->pending.n = before;
                o->pending.error = 0;
                o->n_dropped++;
        } else {
                o->n_pending++;
                if (before < OTLP_BATCH_BYTES && o->pending.n >= OTLP_BATCH_BYTES)
                        pthread_cond_signal(&o->wake);
        }
        pthread_mutex_unlock(&o->lock);
}

SpanSink otlp_sink(Otlp *o) { return (SpanSink){.span = on_span, .userdata = o}; }

/* ---- the thread ------------------------------------------------------------------------------------- */

/** Until @ms have passed, or there is a stop; @enough: or a batch is full. Locked. */
static void wait_ms(Otlp *o, int64_t ms, bool enough) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += ms / 1000;
        until.tv_nsec += ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        while (!o->stopping && !(enough && o->pending.n >= OTLP_BATCH_BYTES))
                if (pthread_cond_timedwait(&o->wake, &o->lock, &until) == ETIMEDOUT)
                        return;
}

static size_t ignore_body(char *data, size_t size, size_t n, void *userdata) {
        size_t *seen = userdata;
        *seen += size * n;
        return *seen > ANSWER_BYTES_MAX ? 0 : size * n;
}

typedef enum Export { EXPORT_DONE, EXPORT_RETRY, EXPORT_REFUSED } Export;

/** The specification says which statuses are worth another try. */
static Export export_once(Otlp *o, const Buf *body, int64_t *ret_after_ms, char *why, size_t n_why) {
        long status = 0;
        size_t seen = 0;
        curl_off_t after_s = 0;

        curl_easy_setopt(o->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n);
        curl_easy_setopt(o->curl, CURLOPT_POSTFIELDS, body->data);
        curl_easy_setopt(o->curl, CURLOPT_WRITEDATA, &seen);
        CURLcode c = curl_easy_perform(o->curl);
        curl_easy_getinfo(o->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(o->curl, CURLINFO_RETRY_AFTER, &after_s);
        *ret_after_ms = after_s > 0 ? (int64_t)after_s * 1000 : 0;
        if (c != CURLE_OK && !(c == CURLE_WRITE_ERROR && seen > ANSWER_BYTES_MAX)) {
                snprintf(why, n_why, "%s", curl_easy_strerror(c));
                return EXPORT_RETRY;
        }
        if (status >= 200 && status < 300)
                return EXPORT_DONE;
        snprintf(why, n_why, "HTTP status %ld", status);
        return status == 429 || status == 502 || status == 503 || status == 504 ? EXPORT_RETRY : EXPORT_REFUSED;
}

static bool export(Otlp *o, const Buf *body) {
        int64_t pause_ms = OTLP_BACKOFF_MIN_MS, after_ms;
        char why[256];

        for (unsigned try = 1;; try++) {
                Export e = export_once(o, body, &after_ms, why, sizeof(why));
                if (e == EXPORT_DONE)
                        return true;
                pthread_mutex_lock(&o->lock);
                if (e == EXPORT_RETRY && try < OTLP_TRIES && !o->stopping)
                        wait_ms(o, after_ms > 0 && after_ms < OTLP_BACKOFF_MAX_MS ? after_ms : pause_ms, false);
                bool give_up = e == EXPORT_REFUSED || try >= OTLP_TRIES || o->stopping;
                pthread_mutex_unlock(&o->lock);
                if (give_up)
                        break;
                pause_ms = pause_ms * 2 < OTLP_BACKOFF_MAX_MS ? pause_ms * 2 : OTLP_BACKOFF_MAX_MS;
        }
        log_event(LOG_WARN, "the collector of traces did not take spans; they are dropped", "endpoint", o->url, "error",
                  why, NULL);
        return false;
}

static void export_batch(Otlp *o, Buf *body, Slice spans, uint64_t n) {
        buf_reset(body);
        buf_put_str(body, o->head);
        buf_put_slice(body, spans);
        buf_put_str(body, "]}]}]}");
        bool done = !body->error && export(o, body);
        pthread_mutex_lock(&o->lock);
        *(done ? &o->n_exported : &o->n_dropped) += n;
        pthread_mutex_unlock(&o->lock);
}

static void *otlp_main(void *userdata) {
        Otlp *o = userdata;
        Buf spans = {.limit = OTLP_QUEUE_BYTES}, body = {0};
        bool stopping;

        do {
                pthread_mutex_lock(&o->lock);
                wait_ms(o, OTLP_BATCH_MS, true);
                stopping = o->stopping;
                Buf taken = o->pending;
                uint64_t n = o->n_pending;
                o->pending = spans;
                o->n_pending = 0;
                pthread_mutex_unlock(&o->lock);
                spans = taken;
                if (spans.n > 0)
                        export_batch(o, &body, buf_slice(&spans), n);
                buf_reset(&spans);
        } while (!stopping);
        buf_deinit(&spans);
        buf_deinit(&body);
        return NULL;
}

/* ---- made and ended ----------------------------------------------------------------------------------- */

/** "name=value,…" (as OTEL_EXPORTER_OTLP_HEADERS has it) into header lines. */
static int add_headers(Otlp *o, const char *text, Report *report) {
        size_t n = 0;
        for (const char *p = text; p && *p;) {
                size_t length = strcspn(p, ","), name = strcspn(p, "=,");
                if (name == 0 || name >= length || ++n > OTLP_HEADERS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "OTEL_EXPORTER_OTLP_HEADERS must be up to %d pairs name=value, comma "
                                          "separated",
                                          OTLP_HEADERS_MAX);
                int n_value = 0;
                char *value = curl_easy_unescape(NULL, p + name + 1, (int)(length - name - 1), &n_value);
                _cleanup_(buf_deinit) Buf line = {0};
                buf_put(&line, p, name);
                buf_put_str(&line, ": ");
                buf_put(&line, value, value ? (size_t)n_value : 0);
                buf_put_char(&line, '\0');
                curl_free(value);
                bool broken = !line.error && memchr(line.data, '\n', line.n);
                struct curl_slist *more = line.error || broken ? NULL : curl_slist_append(o->headers, line.data);
                if (broken)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "OTEL_EXPORTER_OTLP_HEADERS has a line break in a value");
                if (!more)
                        return -ENOMEM;
                o->headers = more;
                p += length + (p[length] == ',');
        }
        return 0;
}

static int make_head(Otlp *o, const OtlpSettings *s) {
        Buf b = {0};
        JsonWriter w = json_writer(&b);
        buf_put_str(&b, "{\"resourceSpans\":[{\"resource\":{\"attributes\":");
        json_begin_array(&w);
        put_attribute(&w, "service.name", slice_from_str(s->service));
        put_attribute(&w, "service.version", slice_from_str(s->version));
        put_attribute(&w, "service.instance.id", slice_from_str(s->instance));
        json_end_array(&w);
        buf_put_str(&b, "},\"scopeSpans\":[{\"scope\":{\"name\":\"runbook\"},\"spans\":[");
        o->head = buf_steal_str(&b);
        buf_deinit(&b);
        return o->head ? 0 : -ENOMEM;
}

static int make_curl(Otlp *o, const OtlpSettings *s, Report *report) {
        Slice endpoint = slice_from_str(s->endpoint);
        Buf url = {0};

        if (!slice_starts_with(endpoint, SLICE("http://")) && !slice_starts_with(endpoint, SLICE("https://")))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "OTEL_EXPORTER_OTLP_ENDPOINT must be an http:// or https:// URL, is \"%s\"",
                                  s->endpoint);
        while (endpoint.n > 0 && endpoint.data[endpoint.n - 1] == '/')
                endpoint.n--;
        buf_put_slice(&url, endpoint);
        buf_put_str(&url, "/v1/traces");
        o->url = buf_steal_str(&url);
        buf_deinit(&url);
        o->curl = curl_easy_init();
        o->headers = curl_slist_append(NULL, "Content-Type: application/json");
        if (!o->url || !o->curl || !o->headers)
                return -ENOMEM;
        int r = add_headers(o, s->headers, report);
        if (r < 0)
                return r;
        curl_easy_setopt(o->curl, CURLOPT_URL, o->url);
        curl_easy_setopt(o->curl, CURLOPT_HTTPHEADER, o->headers);
        curl_easy_setopt(o->curl, CURLOPT_TIMEOUT_MS, (long)OTLP_TIMEOUT_MS);
        curl_easy_setopt(o->curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(o->curl, CURLOPT_WRITEFUNCTION, ignore_body);
        if (s->ca_file)
                curl_easy_setopt(o->curl, CURLOPT_CAINFO, s->ca_file);
        return 0;
}

int otlp_new(const OtlpSettings *settings, Report *report, Otlp **ret) {
        pthread_condattr_t attr;
        Otlp *o = calloc(1, sizeof(*o));

        if (!o)
                return -ENOMEM;
        o->pending.limit = OTLP_QUEUE_BYTES;
        pthread_mutex_init(&o->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&o->wake, &attr);
        pthread_condattr_destroy(&attr);
        int r = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
        if (r == 0)
                r = make_curl(o, settings, report);
        if (r == 0)
                r = make_head(o, settings);
        if (r == 0)
                r = executor_thread_start(&o->thread, "otlp", otlp_main, o);
        o->has_thread = r == 0;
        if (r < 0) {
                otlp_free(o);
                return r;
        }
        *ret = o;
        return 0;
}

void otlp_put_metrics(Otlp *o, MetricsWriter *w) {
        pthread_mutex_lock(&o->lock);
        uint64_t exported = o->n_exported, dropped = o->n_dropped;
        pthread_mutex_unlock(&o->lock);
        metrics_single(w, METRIC_COUNTER, "runbook_spans_exported_total", "Spans that the collector took.",
                       (double)exported);
        metrics_single(w, METRIC_COUNTER, "runbook_spans_dropped_total",
                       "Spans dropped because the collector did not take them or the queue was full.", (double)dropped);
}

void otlp_free(Otlp *o) {
        if (!o)
                return;
        if (o->has_thread) {
                pthread_mutex_lock(&o->lock);
                o->stopping = true;
                pthread_cond_signal(&o->wake);
                pthread_mutex_unlock(&o->lock);
                pthread_join(o->thread, NULL);
        }
        curl_easy_cleanup(o->curl);
        curl_slist_free_all(o->headers);
        curl_global_cleanup();
        pthread_cond_destroy(&o->wake);
        pthread_mutex_destroy(&o->lock);
        buf_deinit(&o->pending);
        free(o->url);
        free(o->head);
        free(o);
}
