/* Health and metrics: is the process up, can it serve, how is it doing. */

#include "base/cleanup.h"
#include "base/metrics.h"
#include "gateway/http.h"
#include "gateway/relay.h"
#include "json/json_read.h"
#include "json/json_write.h"

#define PROBE_TIMEOUT_MS 2000
#define PROBE_TENANT                                                                                         \
        "default" /* whoever asks for stats may: these are the engine's, the tenant's are not shown */
#define PROBE_USER "gateway"

void health_live(Request *r) {
        reply_fixed(r, 200, "application/json", SLICE("{\"version\":\"v1\",\"status\":\"live\"}"));
}

static void put_check(JsonWriter *w, const char *name, bool is_fine, const char *trouble) {
        json_key(w, name);
        json_put_str(w, is_fine ? "ok" : trouble);
}

static void reply_ready(Request *r, bool is_connected, bool is_answering, bool is_writable) {
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        static const char *const auth_modes[] = {
                        [AUTH_NONE] = "none", [AUTH_TOKEN] = "token", [AUTH_JWT] = "jwt"};
        bool is_draining = atomic_load(&r->gateway->is_draining);
        bool is_ready = is_connected && is_answering && is_writable && !is_draining;

        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "status");
        json_put_str(&w, is_ready ? "ready" : "not_ready");
        json_key(&w, "auth"); /* what the console asks people for */
        json_put_str(&w, auth_modes[r->gateway->settings.auth_mode]);
        json_key(&w, "checks");
        json_begin_object(&w);
        put_check(&w, "nats", is_connected, "disconnected");
        put_check(&w, "engine", is_answering, "silent");
        put_check(&w, "store", is_writable, is_answering ? "not writable" : "unknown");
        put_check(&w, "process", !is_draining, "draining");
        json_end_object(&w);
        json_end_object(&w);
        reply_json(r, is_ready ? 200 : 503, &body);
}

static void on_stats(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e) {
        Request *r = userdata;
        json_t *json = status == 0 ? json_parse_own((Slice){answer->body, answer->body_size}) : NULL;
        const json_t *engine = json_object_get(json, "engine");

        reply_ready(r, true, engine != NULL, json_is_true(json_object_get(engine, "writable")));
        json_decref(json);
        request_resume(r);
}

/** In front of engines: one of them must answer, and say that it can write. */
static void ask_engine(Request *r, Link *link) {
        _cleanup_(buf_deinit) Buf subject = {0};
        LinkMessage message = {0};
        RunbookClientError e;

        buf_printf(&subject, "%s.%s.query.%s.stats", r->gateway->settings.subject_prefix, PROBE_TENANT,
                   PROBE_USER);
        buf_put_char(&subject, 0);
        if (subject.error) {
                reply_memory(r);
                return;
        }
        message.subject = subject.data;
        request_pause(r);
        if (link_ask(link, &message, PROBE_TIMEOUT_MS, on_stats, r, &e) < 0) {
                reply_ready(r, true, false, false);
                request_resume(r);
        }
}

void health_ready(Request *r) {
        const GatewayHost *host = &r->gateway->host;
        Link *link = gateway_link(r->gateway);

        if (host->is_writable)
                reply_ready(r, link != NULL, true, host->is_writable(host->userdata));
        else if (!link)
                reply_ready(r, false, false, false);
        else
                ask_engine(r, link);
}

void health_metrics(Request *r) {
        const GatewayHost *host = &r->gateway->host;
        _cleanup_(buf_deinit) Buf text = {0};

        if (host->put_metrics)
                host->put_metrics(host->userdata, &text);
        http_put_metrics(r->gateway->http, &text);
        reply_json(r, 200, &text);
        if (r->response.status == 200)
                r->response.content_type = METRICS_CONTENT_TYPE;
}
