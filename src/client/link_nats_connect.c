/* Opening and closing the NATS connection, and the sentences for what can go wrong there. */

#include <stdio.h>
#include "base/cleanup.h"
#include "base/slice.h"
#include "client/client_error.h"
#include "client/link_nats.h"
#include "client/settings.h"

#define RECONNECT_WAIT_MS 500
#define KEY_TRIES         4   /* see connect_patiently */
#define ERROR_TEXT_MAX    400 /* bytes of a server's or library's text that go into a sentence */

/** The servers for a sentence, without the passwords that a URL may hold. */
static void describe_servers(const LinkOptions *o, char *ret, size_t size) {
        size_t n = 0;

        ret[0] = 0;
        for (size_t i = 0; i < o->n_servers && n < size; i++) {
                const char *url = o->servers[i], *host = strrchr(url, '@'), *scheme = strstr(url, "://");
                int n_scheme = scheme ? (int)(scheme - url + 3) : 0, k;

                k = host ? snprintf(ret + n, size - n, "%s%.*s%s", i ? ", " : "", n_scheme, url, host + 1)
                         : snprintf(ret + n, size - n, "%s%s", i ? ", " : "", url);
                n += k > 0 ? (size_t)k : 0;
        }
}

static int connect_error(const LinkOptions *o, natsStatus status, RunbookClientError *e) {
        const char *detail = nats_GetLastError(NULL);
        char servers[ERROR_TEXT_MAX];

        describe_servers(o, servers, sizeof servers);
        if (detail && strcasestr(detail, "authorization"))
                status = NATS_CONNECTION_AUTH_FAILED; /* some paths report it as a plain error */
        switch (status) {
        case NATS_NO_MEMORY:
                return client_error_memory(e);
        case NATS_CONNECTION_AUTH_FAILED:
                return client_error_set(e, RUNBOOK_CLIENT_E_AUTH,
                                        "the NATS server at %s does not accept %s%s%s: check the credentials",
                                        servers,
                                        o->user || o->token || o->credentials || o->nkey
                                                        ? "these credentials"
                                                        : "a client without credentials",
                                        o->user ? " of user " : "", o->user ? o->user : "");
        case NATS_SECURE_CONNECTION_REQUIRED:
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "the NATS server at %s wants TLS: use a tls:// URL or give a CA",
                                        servers);
        case NATS_SECURE_CONNECTION_WANTED:
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "the NATS server at %s does not speak TLS, but TLS was asked for",
                                        servers);
        case NATS_SSL_ERROR:
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "TLS with the NATS server at %s fails: %.*s", servers, ERROR_TEXT_MAX,
                                        detail ? detail : natsStatus_GetText(status));
        case NATS_NO_SERVER:
        case NATS_TIMEOUT:
        case NATS_IO_ERROR:
        case NATS_STALE_CONNECTION:
        case NATS_CONNECTION_CLOSED:
                return client_error_set(e, RUNBOOK_CLIENT_E_NO_SERVER,
                                        "no NATS server can be reached at %s: is nats-server running there? "
                                        "(NATS_URL or a NATS context names another one)",
                                        servers);
        default:
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "cannot connect to NATS at %s: %s%s%.*s",
                                        servers, natsStatus_GetText(status), detail ? ": " : "",
                                        ERROR_TEXT_MAX, detail ? detail : "");
        }
}

static natsStatus set_identity(natsOptions *opts, const LinkOptions *o, const char *public_key) {
        natsStatus s = NATS_OK;

        if (o->user)
                s = natsOptions_SetUserInfo(opts, o->user, o->password ? o->password : "");
        if (s == NATS_OK && o->token)
                s = natsOptions_SetToken(opts, o->token);
        if (s == NATS_OK && o->credentials)
                s = natsOptions_SetUserCredentialsFromFiles(opts, o->credentials, NULL);
        else if (s == NATS_OK && o->nkey)
                s = natsOptions_SetNKeyFromSeed(opts, public_key, o->nkey);
        return s;
}

static natsStatus set_tls(natsOptions *opts, const LinkOptions *o) {
        natsStatus s = NATS_OK;

        if (o->tls_ca)
                s = natsOptions_LoadCATrustedCertificates(opts, o->tls_ca);
        if (s == NATS_OK && o->tls_certificate)
                s = natsOptions_LoadCertificatesChain(opts, o->tls_certificate,
                                                      o->tls_key ? o->tls_key : o->tls_certificate);
        if (s == NATS_OK && (o->tls_ca || o->tls_certificate))
                s = natsOptions_SetSecure(opts, true);
        return s;
}

static natsStatus set_behaviour(natsOptions *opts, const LinkOptions *o, Link *link) {
        natsStatus s;

        s = natsOptions_SetServers(opts, (const char **)o->servers, (int)o->n_servers);
        if (s == NATS_OK)
                s = natsOptions_SetName(opts, o->name);
        if (s == NATS_OK)
                s = natsOptions_SetTimeout(opts, o->connect_timeout_ms);
        if (s == NATS_OK)
                s = natsOptions_SetSendAsap(opts, true); /* the flusher's delay would cost a request 1 ms */
        if (s == NATS_OK && o->shares_delivery)
                s = natsOptions_UseGlobalMessageDelivery(opts, true);
        if (s == NATS_OK)
                s = natsOptions_SetMaxReconnect(opts, -1);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectWait(opts, RECONNECT_WAIT_MS);
        if (s == NATS_OK)
                s = natsOptions_SetErrorHandler(opts, link_on_error, link);
        if (s == NATS_OK)
                s = natsOptions_SetReconnectedCB(opts, link_on_reconnected, link);
        if (s == NATS_OK)
                s = natsOptions_SetClosedCB(opts, link_on_closed, link);
        return s;
}

static void link_free(Link *link) {
        natsSubscription_Destroy(link->inbox_subscription);
        natsConnection_Destroy(link->nc);
        pthread_cond_destroy(&link->changed);
        pthread_mutex_destroy(&link->lock);
        map_deinit(&link->asks);
        free(link->inbox);
        free(link);
}

static Link *link_new(const LinkOptions *o) {
        Link *link = calloc(1, sizeof *link);
        char id[RUNBOOK_CLIENT_ID_SIZE];

        if (!link)
                return NULL;
        if (cond_init_monotonic(&link->changed) < 0) {
                free(link);
                return NULL;
        }
        pthread_mutex_init(&link->lock, NULL);
        list_init(&link->calls);
        list_init(&link->subscriptions);
        list_init(&link->asks_queue);
        link->on_gap = o->on_gap;
        link->userdata = o->userdata;
        runbook_new_id(id);
        if (asprintf(&link->inbox, "%s.%s", o->inbox_prefix, id) < 0) {
                link->inbox = NULL;
                link_free(link);
                return NULL;
        }
        return link;
}

/** Subscribe to our inbox and hear whether we may. */
static int open_inbox(Link *link, RunbookClientError *e) {
        _cleanup_free_ char *subject = NULL;
        natsStatus s;

        if (asprintf(&subject, "%s.*", link->inbox) < 0) {
                subject = NULL;
                return client_error_memory(e);
        }
        s = natsConnection_Subscribe(&link->inbox_subscription, link->nc, subject, link_on_answer, link);
        if (s == NATS_OK)
                s = natsConnection_FlushTimeout(link->nc, FLUSH_TIMEOUT_MS);
        if (s != NATS_OK)
                return client_error_set(
                                e, s == NATS_NO_MEMORY ? RUNBOOK_CLIENT_E_MEMORY : RUNBOOK_CLIENT_E_NO_SERVER,
                                "the NATS server went away while we connected: %s", natsStatus_GetText(s));
        if (link_was_refused(link, subject, &link->inbox_refused))
                return client_error_set(e, RUNBOOK_CLIENT_E_PERMISSION,
                                        "NATS does not let this user receive answers on %s: set the inbox "
                                        "prefix that it may use (NATS_INBOX_PREFIX, often _INBOX.<user>)",
                                        subject);
        return 0;
}

/** Trouble with credentials is told here, before nats.c turns it into "authorization violation". The seed's
 * public key, owned. */
static int check_keys(const LinkOptions *o, char **ret_public_key, RunbookClientError *e) {
        _cleanup_free_ char *jwt = NULL;
        int r = 0;

        if (o->credentials)
                r = credentials_jwt(o->credentials, &jwt, e);
        if (r == 0 && (o->credentials || o->nkey))
                r = credentials_public_key(o->credentials ? o->credentials : o->nkey, ret_public_key, e);
        return r;
}

/**
 * nats.c (3.4.1) leaves a signature out whose first byte is zero, so one in 256 connects by key is refused
 * for no fault of ours. The next one signs another nonce. (When it reconnects by itself it tries again by
 * itself.)
 */
static natsStatus connect_patiently(Link *link, natsOptions *opts, bool by_key) {
        natsStatus s = natsConnection_Connect(&link->nc, opts);

        for (int i = 1; i < KEY_TRIES && by_key && s == NATS_CONNECTION_AUTH_FAILED; i++)
                s = natsConnection_Connect(&link->nc, opts);
        return s;
}

int link_open(const LinkOptions *o, Link **ret, RunbookClientError *e) {
        _cleanup_free_ char *public_key = NULL;
        Link *link;
        natsOptions *opts = NULL;
        natsStatus s;
        int r = check_keys(o, &public_key, e);

        if (r < 0)
                return r;
        link = link_new(o);
        if (!link)
                return client_error_memory(e);
        s = natsOptions_Create(&opts);
        if (s == NATS_OK)
                s = set_behaviour(opts, o, link);
        if (s == NATS_OK)
                s = set_identity(opts, o, public_key);
        if (s == NATS_OK)
                s = set_tls(opts, o);
        if (s == NATS_OK)
                s = connect_patiently(link, opts, public_key != NULL);
        if (s != NATS_OK) {
                r = connect_error(o, s, e);
                natsOptions_Destroy(opts);
                link_free(link);
                return r;
        }
        natsOptions_Destroy(opts);
        r = open_inbox(link, e);
        if (r < 0) {
                link_close(link);
                return r;
        }
        *ret = link;
        return 0;
}

void link_close(Link *link) {
        int64_t deadline_ms = link_now_ms() + CLOSE_TIMEOUT_MS;

        if (!link)
                return;
        if (natsConnection_Status(link->nc) == NATS_CONN_STATUS_CONNECTED)
                natsConnection_FlushTimeout(link->nc, FLUSH_TIMEOUT_MS);
        natsConnection_Close(link->nc);
        pthread_mutex_lock(&link->lock);
        while (!link->closed)
                if (!cond_wait_until(&link->changed, &link->lock, deadline_ms))
                        break;
        pthread_mutex_unlock(&link->lock);
        link_free(link);
}

bool link_is_connected(Link *link) { return natsConnection_Status(link->nc) == NATS_CONN_STATUS_CONNECTED; }

int64_t link_max_payload(Link *link) { return natsConnection_GetMaxPayload(link->nc); }

void link_shutdown(void) { nats_CloseAndWait(CLOSE_TIMEOUT_MS); }
