/*
 * The engine's face on NATS: settings, subscriptions, and the way from a subscription to its family
 *
 * A family is subscribed by `<prefix>.*.<family>.>` and `<prefix>.*.<family>`, not just by its well-formed
 * subjects: who leaves a token out gets our sentence about it instead of silence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "subjects/fence.h"
#include "subjects/heavy.h"
#include "subjects/access.h"
#include "subjects/handler.h"

#define LOGGED_MAX       200 /* bytes of a client's text in our log */
#define PREFIX_BYTES_MAX 128
#define N_QUERY_SUBSCRIPTIONS                                                                                \
        2 /* the group's members share the queries: a slow one does not hold up the next */

const char *endpoint_name(EndpointId id) {
        static const char *const names[N_ENDPOINTS] = {
                        [ENDPOINT_CMD] = "cmd",
                        [ENDPOINT_EVENT] = "event",
                        [ENDPOINT_QUERY] = "query",
                        [ENDPOINT_RESULT] = "result",
                        [ENDPOINT_QUEUE] = "queue",
        };
        return names[id];
}

void subjects_log_held(Subjects *s, LogGateId id, const char *message, Slice what) {
        uint64_t held;
        char shown[LOGGED_MAX + 1], count[24];
        if (!log_gate_pass(&s->gates[id], &held))
                return;
        Slice cut = slice_cut_utf8(what, LOGGED_MAX);
        snprintf(shown, sizeof(shown), "%.*s", SLICE_ARG(cut));
        snprintf(count, sizeof(count), "%llu", (unsigned long long)held);
        log_event(LOG_WARN, message, "what", shown, "heldBack", count, NULL);
}

/* ---- messages ---------------------------------------------------------------------- */

/**
 * Where the answer may go: nowhere, unless it is an inbox. A subject of ours would put our answer into the
 * audit stream.
 */
static Slice allowed_reply(Subjects *s, const Message *m) {
        if (m->reply.n == 0 || subject_is_inbox(m->reply, s->settings->reply_prefixes))
                return m->reply;
        subjects_log_held(s, LOG_GATE_REPLY, "no answer is sent to a reply subject that is not an inbox",
                          m->reply);
        return SLICE_NULL;
}

static void too_few_tokens(Report *report, EndpointId id) {
        static const char *const what[N_ENDPOINTS] = {
                        [ENDPOINT_CMD] = "<command>",
                        [ENDPOINT_EVENT] = "<eventType>",
                        [ENDPOINT_QUERY] = "<query>",
                        [ENDPOINT_RESULT] = "<taskToken>",
        };
        report_set(report, RUNBOOK_INVALID_REQUEST,
                   "the subject has too few tokens: it must be <prefix>.<tenant>.%s.<user>.%s",
                   endpoint_name(id), what[id]);
}

/** Not even an answer's few bytes are to be had: what can be said without them. */
static void refuse_without_memory(Subjects *s, EndpointId id, Slice reply) {
        const Slice body = SLICE("{\"version\":\"v1\",\"error\":\"INTERNAL\",\"message\":\"out of memory\"}");
        if (reply.n > 0)
                bus_reply(s->bus, reply, RUNBOOK_INTERNAL, body);
        endpoint_count(s, id, monotonic_ns(), RUNBOOK_INTERNAL, body);
}

/** The tenant's token, as it stands in the subject. */
static Slice tenant_token(const Subjects *s, Slice subject) {
        size_t n = s->prefix.n + 1;
        if (subject.n <= n)
                return SLICE_NULL;
        Slice rest = {subject.data + n, subject.n - n};
        const char *dot = memchr(rest.data, '.', rest.n);
        return (Slice){rest.data, dot ? (size_t)(dot - rest.data) : rest.n};
}

void family_handle(Subjects *s, EndpointId id, const Message *m, bool shed) {
        Crowd *crowd = &s->endpoints[id].crowd;
        size_t cell = crowd_note(crowd, s->hash_seed, tenant_token(s, m->subject), m->body.n);
        Slice reply = allowed_reply(s, m);
        Answer *answer = answer_new_inbox(s, id, reply);
        if (!answer) {
                refuse_without_memory(s, id, reply);
                return;
        }
        if (shed && crowd_is_loud(crowd, cell)) {
                _cleanup_(report_deinit) Report full = {0};
                report_set(&full, RUNBOOK_OVERLOADED,
                           "more than %d requests (BUS_SHED_MESSAGES) or %zu bytes of them (MEMORY_MAX_MB / 64) "
                           "wait to "
                           "be read, many of them of this tenant; try again later",
                           BUS_SHED_MESSAGES, bus_pending_max(s->settings));
                answer_refuse(answer, &full);
                return;
        }
        _cleanup_(report_deinit) Report report = {0};
        SubjectParts parts;
        subject_split(m->subject, s->prefix, &parts, &report);
        if (!report_is_error(&report) && parts.n_tokens == 0)
                too_few_tokens(&report, id);
        if (report_is_error(&report))
                answer_refuse(answer, &report);
        else if (id == ENDPOINT_CMD)
                cmd_handle(s, &parts, m, SLICE_NULL, answer);
        else if (id == ENDPOINT_EVENT)
                event_handle(s, &parts, m, SLICE_NULL, answer);
        else if (id == ENDPOINT_RESULT)
                result_handle(s, &parts, m, answer);
        else
                query_handle(s, &parts, m, answer);
}

static void on_family(void *userdata, const Message *m, bool shed) {
        Endpoint *e = userdata;
        family_handle(e->subjects, e->id, m, shed);
}

static void on_service(void *userdata, const Message *m, bool shed) {
        if (!shed)
                service_handle(userdata, m);
}

static void on_queue(void *userdata, const Message *m) { queue_handle(userdata, m); }

static void on_returned(void *userdata, Slice tenant, Slice token) { result_returned(userdata, tenant, token); }

static void on_ready(void *userdata) {
        Subjects *s = userdata;
        if (s->host.on_ready)
                s->host.on_ready(s->host.userdata);
}

/** A claim on some engine's identity, on ours as a rule: this subject is subscribed to for ours only. */
static void on_fence(void *userdata, const Message *m, bool shed) {
        Subjects *s = userdata;
        if (!fence_is_ours(&s->settings->fence, m->body))
                s->host.on_fenced(s->host.userdata, fence_sentence);
}

static void on_fenced(void *userdata, const char *sentence) {
        Subjects *s = userdata;
        s->host.on_fenced(s->host.userdata, sentence);
}

/* ---- life -------------------------------------------------------------------------- */

static bool is_prefix(Slice prefix) {
        if (prefix.n == 0 || prefix.n > PREFIX_BYTES_MAX || prefix.data[0] == '.' ||
            prefix.data[prefix.n - 1] == '.')
                return false;
        for (size_t i = 0; i < prefix.n; i++) {
                char c = prefix.data[i];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             c == '-' || c == '_';
                if (!plain && (c != '.' || prefix.data[i - 1] == '.'))
                        return false;
        }
        return true;
}

static int check_settings(const SubjectsSettings *settings, Report *report) {
        Slice prefix = slice_from_str(settings->prefix);
        if (!is_prefix(prefix))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the subject prefix \"%s\" must be tokens of letters, digits, '-' and '_' "
                                  "with dots between",
                                  settings->prefix ? settings->prefix : "");
        for (size_t i = 0; settings->reply_prefixes && settings->reply_prefixes[i]; i++) {
                Slice p = slice_from_str(settings->reply_prefixes[i]);
                Slice shorter = {p.data, p.n < prefix.n ? p.n : prefix.n};
                /*
                 * An "inbox" among our own subjects would let anyone write into the audit stream through
                 * us.
                 */
                if (p.n == 0 || p.data[0] == '$' || slice_starts_with(prefix, shorter))
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "the reply prefix \"%s\" can't be one: it is empty, a system "
                                          "subject, or one of the engine's",
                                          settings->reply_prefixes[i]);
        }
        return 0;
}

static void subscribe(BusOptions *o, Subjects *s, BusLink link, const char *group, Endpoint *endpoint,
                      const char *tail) {
        BusSubscription *sub = &o->subscriptions[o->n_subscriptions++];
        *sub = (BusSubscription){.link = link, .group = group, .handle = on_family, .userdata = endpoint};
        snprintf(sub->subject, sizeof(sub->subject), "%.*s.*.%s%s", SLICE_ARG(s->prefix),
                 endpoint_name(endpoint->id), tail);
}

static void list_subscriptions(BusOptions *o, Subjects *s) {
        for (EndpointId id = 0; id < N_SERVICE_ENDPOINTS; id++) {
                BusLink link = id == ENDPOINT_QUERY    ? BUS_LINK_QUERY
                               : id == ENDPOINT_RESULT ? BUS_LINK_TASK
                                                       : BUS_LINK_MAIN;
                for (int i = 0; i < (id == ENDPOINT_QUERY ? N_QUERY_SUBSCRIPTIONS : 1); i++)
                        subscribe(o, s, link, QUEUE_GROUP, &s->endpoints[id], ".>");
                subscribe(o, s, link, QUEUE_GROUP, &s->endpoints[id], "");
        }
        BusSubscription *sub = &o->subscriptions[o->n_subscriptions++];
        *sub = (BusSubscription){
                        .link = BUS_LINK_MAIN, .subject = "$SRV.>", .handle = on_service, .userdata = s};
        sub = &o->subscriptions[o->n_subscriptions++];
        *sub = (BusSubscription){.link = BUS_LINK_MAIN, .handle = ask_answered, .userdata = s};
        snprintf(sub->subject, sizeof(sub->subject), "%s.*", s->asking.inbox);
        if (s->settings->fence.n == 0)
                return;
        sub = &o->subscriptions[o->n_subscriptions++];
        *sub = (BusSubscription){.link = BUS_LINK_MAIN, .handle = on_fence, .userdata = s};
        snprintf(sub->subject, sizeof(sub->subject), "%.*s.fence.%s", SLICE_ARG(s->prefix),
                 s->settings->engine_id);
}

int subjects_init(Subjects *s, const SubjectsSettings *settings, const SubjectsHost *host) {
        s->host = *host;
        s->settings = settings;
        s->prefix = slice_from_str(settings->prefix);
        s->started_ms = host->clock.now_ms(host->clock.userdata);
        for (EndpointId id = 0; id < N_ENDPOINTS; id++) {
                s->endpoints[id] = (Endpoint){.subjects = s, .id = id};
                pthread_mutex_init(&s->endpoints[id].lock, NULL);
        }
        host->ids.random(host->ids.userdata, s->hash_seed, 2);
        ask_init(&s->asking, host->ids);
        s->ask = (AskBus){ask_publish, ask_listen, s};
        s->access = access_cache_new();
        return s->access ? 0 : -ENOMEM;
}

void subjects_deinit(Subjects *s) {
        access_cache_free(s->access);
        ask_deinit(&s->asking);
        for (EndpointId id = 0; id < N_ENDPOINTS; id++)
                pthread_mutex_destroy(&s->endpoints[id].lock);
}

int subjects_new(const SubjectsSettings *settings, const SubjectsHost *host, Report *report, Subjects **ret) {
        int r = check_settings(settings, report);
        if (r < 0)
                return r;
        Subjects *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        BusOptions options = {
                        .settings = settings, .on_queue = on_queue, .on_returned = on_returned, .on_ready = on_ready,
                        .on_fenced = on_fenced, .userdata = s};
        r = subjects_init(s, settings, host);
        if (!r) {
                list_subscriptions(&options, s);
                r = bus_new(&options, report, &s->bus);
        }
        if (r < 0) {
                subjects_free(s);
                return r;
        }
        s->audit = (AuditStream){bus_audit_publish, bus_audit_tail, bus_audit_epoch, s->bus};
        s->outlet = (Outlet){.send = bus_outlet_send,
                             .retract = bus_outlet_retract,
                             .acknowledge = bus_outlet_acknowledge,
                             .payload_max = bus_outlet_payload_max,
                             .forget = bus_outlet_forget,
                             .userdata = s->bus};
        *ret = s;
        return 0;
}

int subjects_claim(const SubjectsSettings *settings, bool adopt, Report *report) {
        return bus_claim(settings, adopt, report);
}

int subjects_start(Subjects *s) {
        int r = heavy_start(s);
        return r < 0 ? r : bus_start(s->bus);
}

void subjects_stop(Subjects *s, int64_t timeout_ms) {
        int64_t deadline_ns = monotonic_ns() + timeout_ms * 1000000;
        bus_stop(s->bus, timeout_ms);
        heavy_stop(s, deadline_ns);
}

void subjects_free(Subjects *s) {
        if (!s)
                return;
        heavy_stop(s, 0);
        bus_free(s->bus);
        subjects_deinit(s);
        free(s);
}

bool subjects_is_connected(const Subjects *s) { return bus_is_connected(s->bus); }

/* ---- metrics ----------------------------------------------------------------------- */

static MetricLabel endpoint_label(EndpointId id) {
        return (MetricLabel){"endpoint", slice_from_str(endpoint_name(id))};
}

static void put_requests(Subjects *s, MetricsWriter *w) {
        metrics_family(w, METRIC_COUNTER, "runbook_requests_total",
                       "Commands, events and queries answered, by subject family.");
        for (EndpointId id = 0; id < N_ENDPOINTS; id++)
                metrics_sample(w, (MetricLabel[]){endpoint_label(id)}, 1,
                               (double)__atomic_load_n(&s->endpoints[id].n_requests, __ATOMIC_RELAXED));
        metrics_family(w, METRIC_COUNTER, "runbook_request_seconds_total",
                       "Time from their arrival to their answers, summed up.");
        for (EndpointId id = 0; id < N_ENDPOINTS; id++)
                metrics_sample(w, (MetricLabel[]){endpoint_label(id)}, 1,
                               (double)__atomic_load_n(&s->endpoints[id].processing_ns, __ATOMIC_RELAXED) / 1e9);
        metrics_family(w, METRIC_COUNTER, "runbook_refused_total",
                       "Of them, those that were refused, by subject family and error code.");
        for (EndpointId id = 0; id < N_ENDPOINTS; id++)
                for (unsigned code = 1; code < RUNBOOK_N_CODES; code++) {
                        uint64_t n = __atomic_load_n(&s->endpoints[id].n_refused[code], __ATOMIC_RELAXED);
                        Slice name = slice_from_str(runbook_code_name((RunbookCode)code));
                        if (n > 0 || id == ENDPOINT_CMD) /* every code is there from the start */
                                metrics_sample(w, (MetricLabel[]){endpoint_label(id), {"code", name}}, 2, (double)n);
                }
}

void subjects_put_metrics(Subjects *s, MetricsWriter *w) {
        metrics_single(w, METRIC_GAUGE, "runbook_nats_connected", "1 while there is a connection to NATS.",
                       bus_is_connected(s->bus));
        metrics_single(w, METRIC_COUNTER, "runbook_nats_reconnects_total",
                       "Lost connections to NATS that were won back.", (double)bus_n_reconnects(s->bus));
        metrics_single(w, METRIC_GAUGE, "runbook_queue_held",
                       "Commands of the durable queue that were refused and come again.",
                       (double)bus_queue_n_held(s->bus));
        put_requests(s, w);
}

const AuditStream *subjects_audit_stream(Subjects *s) { return &s->audit; }

const AskBus *subjects_ask_bus(Subjects *s) { return &s->ask; }

const Outlet *subjects_outlet(Subjects *s) { return &s->outlet; }
