/*
 * URLs and hosts
 *
 * curl's own parser takes a URL apart, so that what we believe about it is what curl will do. The same URLs
 * come again and again, so the parsed ones are remembered; when too many are, all are forgotten, which is
 * cheap and needs no order.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "executors/http_internal.h"

static void curlu_free(CURLU **u) { curl_url_cleanup(*u); }
static void curl_string_free(char **s) { curl_free(*s); }

void http_percent_encode(Buf *b, Slice s) {
        static const char hex[] = "0123456789ABCDEF";
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];
                if (c < 0x80 && (isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~'))
                        buf_put_char(b, (char)c);
                else
                        buf_put(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
}

/* ---- hosts --------------------------------------------------------------------------------------------- */

void http_host_unref(HttpEngine *e, HttpHost *h) {
        if (!h || --h->refs > 0)
                return;
        map_remove(&e->hosts, (Slice){h->key, h->n_key});
        free(h->name);
        free(h);
}

static HttpHost *host_new(HttpEngine *e, Slice key, const char *name, uint16_t port) {
        HttpHost *h = calloc(1, sizeof(*h) + key.n + 1);
        if (!h)
                return NULL;
        unsigned char ip[16];
        h->refs = 1;
        h->port = port;
        h->name = strdup(name);
        h->numeric = inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
        h->resolved = h->numeric;
        h->n_key = key.n;
        memcpy(h->key, key.data, key.n);
        h->limits = target_rules_find(&e->rules, h->name ? h->name : "", port);
        if (!h->name || map_put(&e->hosts, (Slice){h->key, h->n_key}, h) < 0) {
                free(h->name);
                free(h);
                return NULL;
        }
        return h;
}

static HttpHost *host_get(HttpEngine *e, const char *scheme, char *name, uint16_t port) {
        size_t n = strlen(name);
        if (name[0] == '[' && n > 2) {
                memmove(name, name + 1, n - 2);
                name[n - 2] = 0;
        }
        for (char *p = name; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        _cleanup_(buf_deinit) Buf key = {0};
        buf_printf(&key, "%s://%s:%u", scheme, name, port);
        if (key.error)
                return NULL;
        HttpHost *h = map_get(&e->hosts, buf_slice(&key));
        if (h)
                h->refs++;
        return h ? h : host_new(e, buf_slice(&key), name, port);
}

/* ---- URLs ---------------------------------------------------------------------------------------------- */

void http_url_unref(HttpEngine *e, HttpUrl *u) {
        if (!u || --u->refs > 0)
                return;
        http_host_unref(e, u->host);
        free(u->text);
        free(u->source);
        free(u->public);
        free(u);
}

void http_urls_forget(HttpEngine *e) {
        size_t it = 0;
        Slice key;
        void *u;
        while (map_next(&e->urls, &it, &key, &u))
                http_url_unref(e, u);
        uint64_t seed[2] = {e->urls.seed[0], e->urls.seed[1]};
        map_deinit(&e->urls);
        map_init(&e->urls, seed[0], seed[1]);
}

/** @u as text that we own. */
static char *url_text(CURLU *u, unsigned flags) {
        _cleanup_(curl_string_free) char *text = NULL;
        return curl_url_get(u, CURLUPART_URL, &text, flags) == CURLUE_OK ? strdup(text) : NULL;
}

/** Fill in what is known of @u, which is taken apart on the way. */
static int url_describe(HttpEngine *e, HttpUrl *ret, CURLU *u) {
        _cleanup_(curl_string_free) char *scheme = NULL;
        _cleanup_(curl_string_free) char *name = NULL;
        _cleanup_(curl_string_free) char *port = NULL;
        _cleanup_(curl_string_free) char *query = NULL;
        if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(u, CURLUPART_HOST, &name, 0) ||
            curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
                return -ENOMEM;
        ret->has_query = curl_url_get(u, CURLUPART_QUERY, &query, 0) == CURLUE_OK;
        ret->host = host_get(e, scheme, name, (uint16_t)strtoul(port, NULL, 10));
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        ret->text = url_text(u, 0);
        curl_url_set(u, CURLUPART_USER, NULL, 0);
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(u, CURLUPART_OPTIONS, NULL, 0);
        ret->public = url_text(u, CURLU_NO_DEFAULT_PORT);
        curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        ret->source = url_text(u, CURLU_NO_DEFAULT_PORT);
        return ret->host && ret->text && ret->public && ret->source ? 0 : -ENOMEM;
}

static CURLU *url_parse(Slice text, HttpFault *fault) {
        _cleanup_(curlu_free) CURLU *u = curl_url();
        CURLUcode r = u ? curl_url_set(u, CURLUPART_URL, text.data, 0) : CURLUE_OUT_OF_MEMORY;
        if (r == CURLUE_OUT_OF_MEMORY) {
                http_fault_set(fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
                return NULL;
        }
        _cleanup_(curl_string_free) char *scheme = NULL;
        if (r == CURLUE_OK && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
            strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
                r = CURLUE_UNSUPPORTED_SCHEME;
        if (r == CURLUE_OK)
                return STEAL(u);
        const char *why = r == CURLUE_UNSUPPORTED_SCHEME || r == CURLUE_BAD_SCHEME
                                          ? "it must begin with http:// or https://"
                                          : curl_url_strerror(r);
        Slice shown = slice_cut_utf8((Slice){text.data, strcspn(text.data, "?#")}, 200);
        if (memchr(shown.data, '@', shown.n)) /* only what can't hold a secret is repeated */
                http_fault_set(fault, "URL_INVALID", false, "config.url can't be called: %s", why);
        else
                http_fault_set(fault, "URL_INVALID", false, "config.url \"%.*s\" can't be called: %s",
                               SLICE_ARG(shown), why);
        return NULL;
}

int http_url_check(const char *url, Report *report) {
        HttpFault fault = {0};
        _cleanup_(curlu_free) CURLU *u = url_parse(slice_from_str(url), &fault);
        if (u)
                return 0;
        return fault.retryable ? -ENOMEM
                               : report_set(report, RUNBOOK_INVALID_REQUEST, "%s",
                                            fault.message + strlen("config."));
}

static HttpUrl *url_new(HttpEngine *e, Slice text, HttpFault *fault) {
        _cleanup_(curlu_free) CURLU *parsed = url_parse(text, fault);
        if (!parsed)
                return NULL;
        HttpUrl *u = calloc(1, sizeof(*u) + text.n + 1);
        if (u) {
                u->refs = 1;
                u->n_key = text.n;
                memcpy(u->key, text.data, text.n);
        }
        if (!u || url_describe(e, u, parsed) < 0) {
                http_url_unref(e, u);
                http_fault_set(fault, "OUT_OF_MEMORY", true,
                               "there was not enough memory to call the service");
                return NULL;
        }
        return u;
}

HttpUrl *http_url_get(HttpEngine *e, Slice text, HttpFault *fault) {
        HttpUrl *u = map_get(&e->urls, text);
        if (u) {
                u->refs++;
                return u;
        }
        if (text.n > HTTP_URL_BYTES_MAX) {
                http_fault_set(fault, "URL_INVALID", false,
                               "config.url has %zu bytes; at most %d are allowed (HTTP_URL_BYTES_MAX)",
                               text.n, HTTP_URL_BYTES_MAX);
                return NULL;
        }
        u = url_new(e, text, fault);
        if (!u || text.n > HTTP_URL_REMEMBERED_MAX)
                return u;
        if (e->urls.n >= HTTP_URLS_MAX)
                http_urls_forget(e);
        if (map_put(&e->urls, (Slice){u->key, u->n_key}, u) == 0)
                u->refs++;
        return u;
}
