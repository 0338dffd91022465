/* Settings of the connections: where, as whom, how patient. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "subjects/bus_nats.h"

#define SERVERS_MAX      64
#define PING_INTERVAL_MS 5000
#define PINGS_OUT_MAX    2
#define BULK_IO_BUFFER   (256 * 1024) /* the audit link writes in large pieces */
#define NO_RECONNECT_BUFFER                                                                                  \
        1024 /* as good as none: what the audit and task links could not send is sent again by us */

static const char *const link_names[N_BUS_LINKS] = {
                [BUS_LINK_MAIN] = "runbookd",
                [BUS_LINK_QUERY] = "runbookd-query",
                [BUS_LINK_AUDIT] = "runbookd-audit",
                [BUS_LINK_TASK] = "runbookd-task",
};

static int set_servers(natsOptions *o, const char *list, Report *report) {
        _cleanup_free_ char *copy = strdup(list ? list : "");
        const char *urls[SERVERS_MAX];
        int n = 0;
        if (!copy)
                return -ENOMEM;
        char *save = NULL;
        for (char *url = strtok_r(copy, ", \t", &save); url; url = strtok_r(NULL, ", \t", &save)) {
                if (n == SERVERS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "NATS_URL names more than %d servers", SERVERS_MAX);
                const char *scheme = strstr(url, "://");
                if (scheme && strncmp(url, "nats://", 7) != 0 && strncmp(url, "tls://", 6) != 0)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "NATS_URL: \"%.*s\" is not nats:// or tls://",
                                          (int)(scheme - url + 3), url);
                urls[n++] = url;
        }
        if (n == 0)
                return report_set(report, RUNBOOK_INVALID_REQUEST, "NATS_URL names no server");
        natsStatus s = natsOptions_SetServers(o, urls, n);
        if (s == NATS_NO_MEMORY)
                return -ENOMEM;
        return s == NATS_OK ? 0
                            : report_set(report, RUNBOOK_INVALID_REQUEST, "NATS_URL \"%s\" can't be used: %s",
                                         list, nats_error_text(s));
}

static int check_file(const char *what, const char *path, Report *report) {
        if (!path || access(path, R_OK) == 0)
                return 0;
        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s: %s can't be read: %s", what, path,
                          strerror(errno));
}

static int set_identity(natsOptions *o, const SubjectsSettings *settings, Report *report) {
        natsStatus s = NATS_OK;
        int r = check_file("NATS_CREDS", settings->creds, report);
        if (!r)
                r = check_file("NATS_NKEY", settings->nkey_seed_file, report);
        if (r)
                return r;
        if (settings->user)
                s = natsOptions_SetUserInfo(o, settings->user, settings->password ? settings->password : "");
        if (s == NATS_OK && settings->token)
                s = natsOptions_SetToken(o, settings->token);
        if (s == NATS_OK && settings->creds)
                s = natsOptions_SetUserCredentialsFromFiles(o, settings->creds, NULL);
        else if (s == NATS_OK && settings->nkey_seed_file)
                s = natsOptions_SetNKeyFromSeed(o, settings->nkey_public, settings->nkey_seed_file);
        return s == NATS_OK ? 0
                            : report_set(report, RUNBOOK_INVALID_REQUEST,
                                         "the NATS credentials can't be used: %s", nats_error_text(s));
}

static int set_tls(natsOptions *o, const SubjectsSettings *settings, Report *report) {
        const char *key = settings->tls_key ? settings->tls_key : settings->tls_cert;
        natsStatus s = NATS_OK;
        int r = check_file("NATS_CA", settings->tls_ca, report);
        if (!r)
                r = check_file("NATS_CERT", settings->tls_cert, report);
        if (!r && settings->tls_cert)
                r = check_file("NATS_KEY", key, report);
        if (r)
                return r;
        if (settings->tls_ca)
                s = natsOptions_LoadCATrustedCertificates(o, settings->tls_ca);
        if (s == NATS_OK && settings->tls_cert)
                s = natsOptions_LoadCertificatesChain(o, settings->tls_cert, key);
        if (s == NATS_OK && (settings->tls_ca || settings->tls_cert))
                s = natsOptions_SetSecure(o, true);
        return s == NATS_OK ? 0
                            : report_set(report, RUNBOOK_INVALID_REQUEST,
                                         "the NATS certificates can't be used: %s", nats_error_text(s));
}

static natsStatus set_behaviour(natsOptions *o, Link *l) {
        bool is_audit = l->id == BUS_LINK_AUDIT, sends_again = is_audit || l->id == BUS_LINK_TASK;
        natsStatus s = natsOptions_SetName(o, link_names[l->id]);
        if (s == NATS_OK)
                s = natsOptions_SetTimeout(o, BUS_CONNECT_TIMEOUT_MS);
        if (s == NATS_OK)
                s = natsOptions_SetMaxReconnect(o, -1);
        if (s == NATS_OK)
                s = natsOptions_SetCustomReconnectDelay(o, link_reconnect_delay, l);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectBufSize(o,
                                                    sends_again ? NO_RECONNECT_BUFFER : BUS_RECONNECT_BUFFER);
        if (s == NATS_OK && is_audit)
                s = natsOptions_SetIOBufSize(o, BULK_IO_BUFFER);
        /* Queries are answered one by one; the writer's answers and events go in batches, each with a flush. */
        if (s == NATS_OK)
                s = natsOptions_SetSendAsap(o, l->id == BUS_LINK_QUERY);
        if (s == NATS_OK)
                s = natsOptions_SetPingInterval(o, PING_INTERVAL_MS);
        if (s == NATS_OK)
                s = natsOptions_SetMaxPingsOut(o, PINGS_OUT_MAX);
        if (s == NATS_OK)
                s = natsOptions_SetWriteDeadline(o, BUS_WRITE_DEADLINE_MS);
        if (s == NATS_OK)
                s = natsOptions_SetFailRequestsOnDisconnect(o, true);
        if (s == NATS_OK)
                s = natsOptions_SetErrorHandler(o, bus_link_on_error, l);
        if (s == NATS_OK)
                s = natsOptions_SetDisconnectedCB(o, bus_link_on_disconnected, l);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectedCB(o, bus_link_on_reconnected, l);
        if (s == NATS_OK)
                s = natsOptions_SetClosedCB(o, bus_link_on_closed, l);
        return s;
}

int bus_options_new(Link *l, natsOptions **ret, Report *report) {
        const SubjectsSettings *settings = l->bus->settings;
        natsOptions *o = NULL;
        if (natsOptions_Create(&o) != NATS_OK)
                return -ENOMEM;
        int r = set_behaviour(o, l) == NATS_OK ? 0 : -ENOMEM;
        if (!r)
                r = set_servers(o, settings->url, report);
        if (!r)
                r = set_identity(o, settings, report);
        if (!r)
                r = set_tls(o, settings, report);
        if (r < 0) {
                natsOptions_Destroy(o);
                return r;
        }
        *ret = o;
        return 0;
}
