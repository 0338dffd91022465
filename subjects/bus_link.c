/*
 * One connection: made by the manager thread, kept by nats.c, made anew when nats.c gives up
 *
 * The first connect is tried by us, again and again, with a growing pause: nats.c's own retry of it hides
 * why it fails. A lost connection is got back by nats.c, subscriptions included; but after two refusals of
 * its credentials nats.c closes it for good, and then the manager begins anew.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/url.h"
#include "subjects/bus_nats.h"
#include "subjects/bus_probe.h"
#include "subjects/handler.h"

#define FLUSH_TIMEOUT_MS 5000
#define URL_SHOWN        300
#define KEY_TRIES        4 /* see connect_patiently */

static const char *const link_texts[N_BUS_LINKS] = {
                [BUS_LINK_MAIN] = "commands",
                [BUS_LINK_QUERY] = "queries",
                [BUS_LINK_AUDIT] = "audit",
                [BUS_LINK_TASK] = "tasks",
};

const char *nats_error_text(natsStatus s) {
        const char *detail = nats_GetLastError(NULL), *end;
        if (!detail || !detail[0])
                return natsStatus_GetText(s);
        end = detail[0] == '(' ? strstr(detail, "): ") : NULL; /* "(conn.c:2088): No server…" */
        return end ? end + 3 : detail;
}

bool nats_is_connected(natsConnection *nc) {
        return nc && natsConnection_Status(nc) == NATS_CONN_STATUS_CONNECTED;
}

natsConnection *link_borrow(Link *l) {
        pthread_rwlock_rdlock(&l->lock);
        return l->nc;
}

void link_release(Link *l) { pthread_rwlock_unlock(&l->lock); }

uint64_t link_epoch(Link *l) {
        uint64_t reconnects = 0;
        natsStatistics *stats = NULL;
        natsConnection *nc = link_borrow(l);
        /* Not from the callback about it, which comes some time after: nats.c counts while it reconnects. */
        if (nc && natsStatistics_Create(&stats) == NATS_OK && natsConnection_GetStats(nc, stats) == NATS_OK)
                natsStatistics_GetCounts(stats, NULL, NULL, NULL, NULL, &reconnects);
        natsStatistics_Destroy(stats);
        uint64_t epoch = ((uint64_t)__atomic_load_n(&l->generation, __ATOMIC_RELAXED) << 32) + reconnects;
        link_release(l);
        return epoch;
}

/* ---- what nats.c tells us, on its threads ------------------------------------------ */

static void note_payload(Bus *b, natsConnection *nc) {
        int64_t max = natsConnection_GetMaxPayload(nc);
        if (max > 0)
                __atomic_store_n(&b->payload_max, (size_t)max, __ATOMIC_RELAXED);
}

static void current_url(natsConnection *nc, char *ret, size_t n) {
        char url[1024] = "";
        natsConnection_GetConnectedUrl(nc, url, sizeof(url));
        url_without_secrets(url, ret, n);
}

void bus_link_on_disconnected(natsConnection *nc, void *closure) {
        Link *l = closure;
        pthread_mutex_lock(&l->bus->lock);
        bool tell = !l->is_away && !l->bus->ending;
        l->is_away = true;
        pthread_mutex_unlock(&l->bus->lock);
        if (tell)
                log_event(LOG_WARN, "the connection to NATS is lost; trying to get it back", "link",
                          link_texts[l->id], NULL);
}

void bus_link_on_reconnected(natsConnection *nc, void *closure) {
        Link *l = closure;
        char url[URL_SHOWN];
        current_url(nc, url, sizeof(url));
        note_payload(l->bus, nc);
        pthread_mutex_lock(&l->bus->lock);
        l->is_away = false;
        __atomic_add_fetch(&l->bus->n_reconnects, 1, __ATOMIC_RELAXED);
        if (l->id == BUS_LINK_MAIN) {
                l->bus->setup_wanted =
                                true; /* the server may have lost what it had: streams, consumer positions */
                l->bus->setup_at_ns = 0;
        }
        pthread_cond_broadcast(&l->bus->changed);
        pthread_mutex_unlock(&l->bus->lock);
        log_event(LOG_INFO, "connected to NATS again", "link", link_texts[l->id], "url", url, NULL);
}

void bus_link_on_closed(natsConnection *nc, void *closure) {
        Link *l = closure;
        pthread_mutex_lock(&l->bus->lock);
        l->is_closed = true;
        pthread_cond_broadcast(&l->bus->changed);
        pthread_mutex_unlock(&l->bus->lock);
}

void bus_link_on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *closure) {
        Link *l = closure;
        const char *subject = sub ? natsSubscription_GetSubject(sub) : NULL, *detail = NULL;
        natsConnection_GetLastError(nc, &detail);
        if (s == NATS_SLOW_CONSUMER)
                log_event(LOG_ERROR, "messages were dropped: they came faster than they could be refused",
                          "subject", subject, NULL);
        else if (s != NATS_OK && s != NATS_CONNECTION_CLOSED)
                log_event(LOG_ERROR, "NATS reports an error", "link", link_texts[l->id], "error",
                          detail && detail[0] ? detail : natsStatus_GetText(s), "subject", subject, NULL);
}

int64_t link_reconnect_delay(natsConnection *nc, int attempts, void *closure) {
        Link *l = closure;
        int64_t delay_ms = BUS_BACKOFF_MIN_MS;
        for (int i = 1; i < attempts && delay_ms < BUS_BACKOFF_MAX_MS; i++)
                delay_ms *= 2;
        if (delay_ms > BUS_BACKOFF_MAX_MS)
                delay_ms = BUS_BACKOFF_MAX_MS;
        return delay_ms -
               (monotonic_ns() / 1000 + l->id * 37) % (delay_ms / 4 + 1); /* not all at the same moment */
}

/* ---- subscriptions ----------------------------------------------------------------- */

static const char *get_header(void *userdata, const char *name) {
        const char *value = NULL;
        return natsMsgHeader_Get(userdata, name, &value) == NATS_OK ? value : NULL;
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure) {
        const Delivery *d = closure;
        int n_waiting = 0, n_bytes = 0;
        Message m = {
                        .subject = slice_from_str(natsMsg_GetSubject(msg)),
                        .reply = slice_from_str(natsMsg_GetReply(msg)),
                        .body = {natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg)},
                        .header = get_header,
                        .userdata = msg,
        };
        if (d->spec) {
                natsSubscription_GetPending(sub, &n_waiting, &n_bytes);
                d->spec->handle(d->spec->userdata, &m,
                                n_waiting > BUS_SHED_MESSAGES || (size_t)n_bytes > bus_pending_max(d->bus->settings));
        } else {
                queue_came(d->bus, m.reply);
                d->bus->options.on_queue(d->bus->options.userdata, &m);
        }
        natsMsg_Destroy(msg);
}

static void on_delivery_ended(void *closure) {
        Bus *b = closure;
        pthread_mutex_lock(&b->lock);
        b->n_delivering--;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
}

int delivery_start(Bus *b, Delivery *d, natsConnection *nc, const char *subject, const char *group) {
        natsSubscription *sub = NULL;
        natsStatus s = group ? natsConnection_QueueSubscribe(&sub, nc, subject, group, on_message, d)
                             : natsConnection_Subscribe(&sub, nc, subject, on_message, d);
        if (s != NATS_OK)
                return s == NATS_NO_MEMORY ? -ENOMEM : -EIO;
        /* The library drops what passes its limit: one message, and one behind it, must always fit. */
        size_t largest = 2 * __atomic_load_n(&b->payload_max, __ATOMIC_RELAXED);
        size_t bytes_max = BUS_PENDING_FACTOR * bus_pending_max(b->settings);
        bytes_max = bytes_max > largest ? bytes_max : largest;
        natsSubscription_SetPendingLimits(sub, BUS_PENDING_MAX, bytes_max < INT_MAX ? (int)bytes_max : INT_MAX);
        pthread_mutex_lock(&b->lock);
        if (natsSubscription_SetOnCompleteCB(sub, on_delivery_ended, b) == NATS_OK)
                b->n_delivering++;
        pthread_mutex_unlock(&b->lock);
        d->sub = sub;
        return 0;
}

static void deliveries_forget(Link *l) {
        Bus *b = l->bus;
        for (size_t i = 0; i <= BUS_SUBSCRIPTIONS_MAX; i++) {
                Delivery *d = &b->deliveries[i];
                if ((d->spec ? d->spec->link : BUS_LINK_MAIN) != l->id)
                        continue;
                natsSubscription_Destroy(d->sub);
                d->sub = NULL;
        }
}

static int subscribe_all(Link *l, natsConnection *nc) {
        Bus *b = l->bus;
        for (size_t i = 0; i < b->options.n_subscriptions; i++) {
                Delivery *d = &b->deliveries[i];
                if (d->spec->link != l->id)
                        continue;
                int r = delivery_start(b, d, nc, d->spec->subject, d->spec->group);
                if (r < 0)
                        return r;
        }
        /* The answer to the flush tells that the server has the subscriptions. */
        return natsConnection_FlushTimeout(nc, FLUSH_TIMEOUT_MS) == NATS_OK ? 0 : -EIO;
}

/* ---- connecting -------------------------------------------------------------------- */

/**
 * nats.c 3.4.1 loses a signature whose first byte is zero, so one in 256 connects by key is refused for no
 * fault of ours. The next one signs another nonce.
 */
static natsStatus connect_patiently(Link *l, natsOptions *o, natsConnection **ret) {
        bool by_key = l->bus->settings->creds || l->bus->settings->nkey_seed_file;
        natsStatus s = natsConnection_Connect(ret, o);
        for (int i = 1; i < KEY_TRIES && by_key && s == NATS_CONNECTION_AUTH_FAILED; i++)
                s = natsConnection_Connect(ret, o);
        return s;
}

static void tell_failure(Link *l, const char *why) {
        char urls[URL_SHOWN];
        /* All links fail for the same reason as a rule: one of them speaks. */
        if (l->was_told || (l->id != BUS_LINK_MAIN && !nats_is_connected(l->bus->links[BUS_LINK_MAIN].nc)))
                return;
        l->was_told = true;
        url_without_secrets(l->bus->settings->url, urls, sizeof(urls));
        log_event(LOG_WARN, "NATS can't be reached; trying again until it can", "url", urls, "error", why,
                  NULL);
}

/** Where subjects are not checked, anyone is anyone. */
static void warn_if_open(natsConnection *nc) {
        char url[1024] = "", shown[URL_SHOWN];
        if (natsConnection_GetConnectedUrl(nc, url, sizeof(url)) != NATS_OK || probe_auth_required(url) != 0)
                return;
        url_without_secrets(url, shown, sizeof(shown));
        log_event(LOG_WARN,
                  "THE NATS SERVER ASKS NOBODY WHO HE IS: whoever reaches it can give commands and approvals "
                  "under any name. "
                  "Fit for trying out only; deploy/nats shows accounts and permissions",
                  "url", shown, NULL);
}

int bus_link_connect(Link *l) {
        _cleanup_(report_deinit) Report report = {0};
        natsOptions *o = NULL;
        natsConnection *nc = NULL;
        int r = bus_options_new(l, &o, &report);
        if (r < 0) {
                tell_failure(l, report.message ? report.message : "out of memory");
                return r;
        }
        natsStatus s = connect_patiently(l, o, &nc);
        natsOptions_Destroy(o);
        if (s != NATS_OK) {
                tell_failure(l, nats_error_text(s));
                return -EIO;
        }
        pthread_rwlock_wrlock(&l->lock);
        l->nc = nc;
        if (natsConnection_JetStream(&l->js, nc, NULL) != NATS_OK)
                l->js = NULL;
        __atomic_add_fetch(&l->generation, 1, __ATOMIC_RELAXED);
        pthread_rwlock_unlock(&l->lock);
        note_payload(l->bus, nc);
        return subscribe_all(l, nc);
}

static void tell_success(Link *l) {
        char url[URL_SHOWN];
        current_url(l->nc, url, sizeof(url));
        log_event(l->id == BUS_LINK_MAIN || l->was_told ? LOG_INFO : LOG_DEBUG, "connected to NATS", "link",
                  link_texts[l->id], "url", url, NULL);
        l->was_told = false;
        if (l->id == BUS_LINK_MAIN)
                warn_if_open(l->nc);
}

void bus_link_close(Link *l) {
        natsConnection *nc = l->nc;
        if (!nc)
                return;
        natsConnection_Close(nc);
        /* Out of memory nats.c may never call back: then the bus is not freed, in case it does in the end. */
        int64_t deadline_ns = monotonic_ns() + BUS_FREE_WAIT_MS * 1000000LL;
        pthread_mutex_lock(&l->bus->lock);
        while (!l->is_closed && monotonic_ns() < deadline_ns)
                cond_wait_until(&l->bus->changed, &l->bus->lock, deadline_ns);
        l->bus->is_owed |= !l->is_closed;
        pthread_mutex_unlock(&l->bus->lock);
        deliveries_forget(l);
        pthread_rwlock_wrlock(&l->lock);
        l->nc = NULL;
        jsCtx_Destroy(l->js);
        l->js = NULL;
        pthread_rwlock_unlock(&l->lock);
        natsConnection_Destroy(nc);
}

int64_t link_tend(Link *l, int64_t now_ns) {
        Bus *b = l->bus;
        pthread_mutex_lock(&b->lock);
        bool closed = l->is_closed;
        pthread_mutex_unlock(&b->lock);
        if (l->nc && !closed)
                return INT64_MAX;
        if (l->nc) { /* nats.c gave up: its credentials were refused, as a rule */
                tell_failure(l, "the connection was closed for good, credentials refused?");
                bus_link_close(l);
        }
        if (now_ns < l->retry_at_ns)
                return l->retry_at_ns;
        pthread_mutex_lock(&b->lock);
        l->is_closed = l->is_away = false;
        pthread_mutex_unlock(&b->lock);
        int r = bus_link_connect(l);
        if (!r) {
                l->backoff_ms = 0;
                tell_success(l);
                pthread_mutex_lock(&b->lock);
                b->setup_wanted |= l->id == BUS_LINK_MAIN;
                b->setup_at_ns = 0;
                pthread_mutex_unlock(&b->lock);
                return INT64_MAX;
        }
        bus_link_close(l);
        l->backoff_ms = l->backoff_ms == 0 ? BUS_BACKOFF_MIN_MS : l->backoff_ms * 2;
        if (l->backoff_ms > BUS_BACKOFF_MAX_MS)
                l->backoff_ms = BUS_BACKOFF_MAX_MS;
        l->retry_at_ns = monotonic_ns() + l->backoff_ms * 1000000;
        return l->retry_at_ns;
}
