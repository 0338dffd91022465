/*
 * NATS micro services protocol (ADR-32): `$SRV.PING|INFO|STATS[.runbook[.<id>]]`
 *
 * The NATS library has no such API at our floor, and the answers are few. The instance's id is the
 * engine's.
 */
#include "base/cleanup.h"
#include "json/json_write.h"
#include "subjects/handler.h"

#define SERVICE_NAME "runbook"

static void put_head(Subjects *s, JsonWriter *w, const char *type) {
        json_key(w, "type");
        json_put_str(w, type);
        json_key(w, "name");
        json_put_str(w, SERVICE_NAME);
        json_key(w, "id");
        json_put_str(w, s->settings->engine_id);
        json_key(w, "version");
        json_put_str(w, s->settings->version);
        json_key(w, "metadata");
        json_begin_object(w);
        json_key(w, "prefix");
        json_put_string(w, s->prefix);
        json_end_object(w);
}

static void put_endpoint_head(Subjects *s, JsonWriter *w, EndpointId id) {
        _cleanup_(buf_deinit) Buf subject = {0};
        buf_printf(&subject, "%.*s.*.%s.*.>", SLICE_ARG(s->prefix), endpoint_name(id));
        json_key(w, "name");
        json_put_str(w, endpoint_name(id));
        json_key(w, "subject");
        json_put_string(w, buf_slice(&subject));
        json_key(w, "queue_group");
        json_put_str(w, QUEUE_GROUP);
}

static void put_ping(Subjects *s, JsonWriter *w) { put_head(s, w, "io.nats.micro.v1.ping_response"); }

static void put_info(Subjects *s, JsonWriter *w) {
        put_head(s, w, "io.nats.micro.v1.info_response");
        json_key(w, "description");
        json_put_str(w, "Durable runbook engine");
        json_key(w, "endpoints");
        json_begin_array(w);
        for (EndpointId id = 0; id < N_SERVICE_ENDPOINTS; id++) {
                json_begin_object(w);
                put_endpoint_head(s, w, id);
                json_key(w, "metadata");
                json_begin_object(w);
                json_end_object(w);
                json_end_object(w);
        }
        json_end_array(w);
}

static void put_endpoint_stats(Subjects *s, JsonWriter *w, EndpointId id) {
        Endpoint *e = &s->endpoints[id];
        uint64_t n = __atomic_load_n(&e->n_requests, __ATOMIC_RELAXED);
        uint64_t ns = __atomic_load_n(&e->processing_ns, __ATOMIC_RELAXED);
        char last_error[LAST_ERROR_MAX];
        pthread_mutex_lock(&e->lock);
        memcpy(last_error, e->last_error, sizeof(last_error));
        pthread_mutex_unlock(&e->lock);
        json_begin_object(w);
        put_endpoint_head(s, w, id);
        json_key(w, "num_requests");
        json_put_i64(w, (int64_t)n);
        json_key(w, "num_errors");
        json_put_i64(w, (int64_t)__atomic_load_n(&e->n_errors, __ATOMIC_RELAXED));
        json_key(w, "last_error");
        json_put_str(w, last_error);
        json_key(w, "processing_time");
        json_put_i64(w, (int64_t)ns);
        json_key(w, "average_processing_time");
        json_put_i64(w, n > 0 ? (int64_t)(ns / n) : 0);
        json_end_object(w);
}

static void put_stats(Subjects *s, JsonWriter *w) {
        put_head(s, w, "io.nats.micro.v1.stats_response");
        json_key(w, "started");
        json_put_time_ms(w, s->started_ms);
        json_key(w, "endpoints");
        json_begin_array(w);
        for (EndpointId id = 0; id < N_SERVICE_ENDPOINTS; id++)
                put_endpoint_stats(s, w, id);
        json_end_array(w);
}

/* Alphabetical. */
static const struct {
        const char *name;
        void (*put)(Subjects *s, JsonWriter *w);
} verbs[] = {{"INFO", put_info}, {"PING", put_ping}, {"STATS", put_stats}};

/** The verb that @subject asks of this service, -1: none, or of another service. */
static int find_verb(Subjects *s, Slice subject) {
        if (!slice_starts_with(subject, SLICE("$SRV.")))
                return -1;
        Slice rest = {subject.data + 5, subject.n - 5};
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                Slice name = slice_from_str(verbs[i].name);
                if (!slice_starts_with(rest, name))
                        continue;
                Slice tail = {rest.data + name.n, rest.n - name.n};
                Slice service = SLICE("." SERVICE_NAME);
                if (tail.n == 0 || slice_eq(tail, service))
                        return (int)i;
                if (!slice_starts_with(tail, service) || tail.data[service.n] != '.')
                        return -1;
                tail = (Slice){tail.data + service.n + 1, tail.n - service.n - 1};
                return slice_eq_str(tail, s->settings->engine_id) ? (int)i : -1;
        }
        return -1;
}

void service_handle(Subjects *s, const Message *m) {
        int verb = find_verb(s, m->subject);
        if (verb < 0 || !subject_is_inbox(m->reply, s->settings->reply_prefixes))
                return;
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        json_begin_object(&w);
        verbs[verb].put(s, &w);
        json_end_object(&w);
        if (!body.error)
                bus_reply(s->bus, m->reply, RUNBOOK_OK, buf_slice(&body));
}
