/*
 * The gateway as a whole: its parts, its two threads of upkeep, and its end
 *
 * libmicrohttpd's thread takes requests, nats.c's threads bring answers. Beside them a ticker sees to deadlines, and at
 * the start a connector tries NATS until it is there; from then on nats.c reconnects by itself.
 */

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/log.h"
#include "gateway/access.h"
#include "gateway/auth.h"
#include "gateway/guard.h"
#include "gateway/http.h"
#include "gateway/stream.h"

#define SERVERS_MAX 32 /* URLs in NATS_URL */

/* ---- settings ------------------------------------------------------------------------ */

AuthMode gateway_auth_mode(const char *name) {
        if (!strcmp(name, "token"))
                return AUTH_TOKEN;
        return strcmp(name, "jwt") ? AUTH_NONE : AUTH_JWT;
}

/** Nobody proves who he is: then nobody else's machine may reach it, and no other page may drive it. */
static int check_open(const GatewaySettings *s, Report *report) {
        const char *host = strchr(s->bind_address, ':') ? "::1" : s->bind_address;

        if (s->auth_mode != AUTH_NONE)
                return 0;
        if (strncmp(host, "127.", 4) != 0 && strcmp(s->bind_address, "::1") != 0)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "AUTH_MODE=none answers everybody as whoever he says he is, so "
                                  "BIND_ADDRESS must be "
                                  "a loopback address (127.0.0.1, ::1), is \"%s\"",
                                  s->bind_address);
        for (const char *const *o = s->cors_origins; s->enable_cors && o && *o; o++)
                if (!strcmp(*o, "*"))
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "CORS_ORIGINS=* with AUTH_MODE=none would let every web page that "
                                          "a person "
                                          "on this machine opens command the engine; name the origins");
        return 0;
}

static void init_locks(Gateway *g) {
        pthread_condattr_t attributes;

        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&g->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&g->lock, NULL);
        pthread_mutex_init(&g->streams_lock, NULL);
        list_init(&g->streams);
}

int gateway_new(const GatewaySettings *settings, const GatewayHost *host, Report *report, Gateway **ret) {
        Gateway *g;
        int r = check_open(settings, report);

        if (r < 0)
                return r;
        g = calloc(1, sizeof *g);
        if (!g)
                return -ENOMEM;
        g->settings = *settings;
        if (host)
                g->host = *host;
        init_locks(g);
        g->access = access_table_new();
        r = g->access ? auth_new(&g->settings, report, &g->auth) : -ENOMEM;
        if (r < 0) {
                gateway_free(g);
                return r;
        }
        *ret = g;
        return 0;
}

/* ---- upkeep -------------------------------------------------------------------------- */

/** False when the gateway is stopping. */
static bool pause_for(Gateway *g, int64_t ms) {
        int64_t end_ms = link_now_ms() + ms;
        struct timespec end = {.tv_sec = end_ms / 1000, .tv_nsec = (end_ms % 1000) * 1000000};
        int r = 0;

        pthread_mutex_lock(&g->lock);
        while (!g->is_stopping && r != ETIMEDOUT)
                r = pthread_cond_timedwait(&g->changed, &g->lock, &end);
        bool goes_on = !g->is_stopping;
        pthread_mutex_unlock(&g->lock);
        return goes_on;
}

static void *tick_main(void *userdata) {
        Gateway *g = userdata;

        while (pause_for(g, TICK_MS)) {
                Link *link = atomic_load(&g->link);

                if (link)
                        link_expire(link);
                http_tick(g->http);
                streams_tick(g, link_now_ms());
                auth_refresh(g->auth);
        }
        return NULL;
}

static void on_gap(void *userdata) { streams_gap(userdata); }

static int try_connect(Gateway *g, RunbookClientError *e) {
        const GatewaySettings *s = &g->settings;
        _cleanup_free_ char *urls = strdup(s->nats_url);
        const char *servers[SERVERS_MAX];
        char *save = NULL;
        Link *link = NULL;
        LinkOptions options = {
                        .servers = servers,
                        .user = s->nats_user,
                        .password = s->nats_password,
                        .token = s->nats_token,
                        .credentials = s->nats_creds,
                        .nkey = s->nats_nkey,
                        .tls_ca = s->nats_ca,
                        .tls_certificate = s->nats_cert,
                        .tls_key = s->nats_key,
                        .inbox_prefix = s->inbox_prefix,
                        .name = "runbook-gateway",
                        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                        .shares_delivery = true,
                        .on_gap = on_gap,
                        .userdata = g,
        };

        if (!urls)
                return RUNBOOK_CLIENT_E_MEMORY;
        for (char *url = strtok_r(urls, ", ", &save); url && options.n_servers < SERVERS_MAX;
             url = strtok_r(NULL, ", ", &save))
                servers[options.n_servers++] = url;
        int r = link_open(&options, &link, e);
        if (r == 0)
                atomic_store(&g->link, link);
        return r;
}

/** Try until it works; a reason is logged when it is new. */
static void *connect_main(void *userdata) {
        Gateway *g = userdata;
        RunbookClientError e = {0};
        int told = 0;

        do {
                int r = try_connect(g, &e);

                if (r == 0) {
                        log_event(LOG_INFO, "the gateway is connected to NATS", NULL);
                        return NULL;
                }
                if (r != told)
                        log_event(LOG_WARN, "the gateway can't reach NATS; trying on", "error", e.message,
                                  NULL);
                told = r;
        } while (pause_for(g, CONNECT_PAUSE_MS));
        return NULL;
}

/* ---- up and down --------------------------------------------------------------------- */

int gateway_start(Gateway *g, Report *report) {
        int r = http_start(g, report, &g->http);

        if (r < 0)
                return r;
        g->has_ticker = pthread_create(&g->ticker, NULL, tick_main, g) == 0;
        g->has_connector = g->has_ticker && pthread_create(&g->connector, NULL, connect_main, g) == 0;
        if (!g->has_connector) {
                report_set(report, RUNBOOK_INTERNAL, "no thread could be made");
                return -EAGAIN;
        }
        return 0;
}

uint16_t gateway_port(const Gateway *g) { return g->http ? http_port(g->http) : 0; }

void gateway_drain(Gateway *g, int64_t timeout_ms) {
        int64_t end_ms = link_now_ms() + timeout_ms;

        if (!g || !g->http || atomic_exchange(&g->is_draining, true))
                return;
        http_quiesce(g->http);
        streams_end(g, "stopping", "this gateway is stopping; come back with the last id");
        while ((atomic_load(&g->n_pending) > 0 || streams_count(g) > 0) && link_now_ms() < end_ms)
                nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
}

static void stop_threads(Gateway *g) {
        pthread_mutex_lock(&g->lock);
        g->is_stopping = true;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
        if (g->has_ticker)
                pthread_join(g->ticker, NULL);
        if (g->has_connector)
                pthread_join(g->connector, NULL);
}

void gateway_free(Gateway *g) {
        Link *link;

        if (!g)
                return;
        atomic_store(&g->is_draining, true);
        stop_threads(g);
        link = atomic_load(&g->link);
        streams_end(g, "stopping", "this gateway is stopping; come back with the last id");
        if (link)
                link_end_asks(link); /* every paused request gets its answer, else the server can't end */
        http_stop(g->http);
        link_close(link);
        auth_free(g->auth);
        access_table_free(g->access);
        pthread_cond_destroy(&g->changed);
        pthread_mutex_destroy(&g->lock);
        pthread_mutex_destroy(&g->streams_lock);
        free(g);
}
