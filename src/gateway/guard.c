/*
 * Browsers carry out what pages say, also pages of strangers. What follows from that:
 *
 * Where nobody proves who he is (AUTH_MODE=none, on loopback), a request must name this machine in its Host (else
 * a stranger's name was pointed at 127.0.0.1) and, where it changes something, come from the gateway's own pages or
 * from an origin that is listed. With tokens neither is needed: no browser adds an Authorization header by itself,
 * and there are no cookies.
 */

#include <stdio.h>
#include "base/cleanup.h"
#include "gateway/guard.h"
#include "gateway/routes.h"

#define HEADERS_ALLOWED                                                                                      \
        "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, traceparent, "  \
        "X-Request-Id, X-Tenant, X-User"
#define HEADERS_SHOWN     "ETag, Location, Retry-After, X-Request-Id"
#define PREFLIGHT_MAX_AGE "600" /* seconds */
#define CONTENT_POLICY                                                                                       \
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

/* ---- host and origin ---------------------------------------------------------------- */

bool guard_is_loopback(const char *host) {
        static const char *const names[] = {"127.0.0.1", "[::1]", "localhost"};
        const char *end = host[0] == '[' ? strchr(host, ']') : strchrnul(host, ':');
        Slice name;

        if (!end)
                return false;
        end += *end == ']';
        if (*end == ':' && (end[1] == 0 || end[1 + strspn(end + 1, "0123456789")] != 0))
                return false;
        if (*end != 0 && *end != ':')
                return false;
        name = (Slice){host, (size_t)(end - host)};
        for (size_t i = 0; i < N_ELEMENTS(names); i++)
                if (name.n == strlen(names[i]) && !strncasecmp(host, names[i], name.n))
                        return true;
        return false;
}

/** Is @origin one that CORS_ORIGINS lets in? */
static bool is_listed(const Gateway *g, const char *origin) {
        const char *const *o = g->settings.cors_origins;

        if (!g->settings.enable_cors)
                return false;
        for (; o && *o; o++)
                if (!strcmp(*o, "*") || !strcasecmp(*o, origin))
                        return true;
        return false;
}

/** Is @origin the page that this very server has served under @host? */
static bool is_own(const char *origin, const char *host) {
        const char *rest = !strncasecmp(origin, "http://", 7)    ? origin + 7
                           : !strncasecmp(origin, "https://", 8) ? origin + 8
                                                                 : NULL;

        return rest && host && !strcasecmp(rest, host);
}

static bool refuse(Request *r, const char *sentence) {
        reply_error(r, RUNBOOK_FORBIDDEN, 0, "%s", sentence);
        return false;
}

bool guard_check_origin(Request *r) {
        const char *host = request_header(r, "Host"), *origin = request_header(r, "Origin");
        const char *site = request_header(r, "Sec-Fetch-Site");

        if (r->gateway->settings.auth_mode != AUTH_NONE)
                return true;
        if (!host || !guard_is_loopback(host))
                return refuse(r, "without authentication only requests to localhost, 127.0.0.1 or [::1] are "
                                 "answered; the Host header names something else");
        if (r->method != METHOD_POST)
                return true;
        if (origin && !is_own(origin, host) && !is_listed(r->gateway, origin))
                return refuse(r,
                              "a page of another origin may not do this; CORS_ORIGINS lists those that may");
        if (!origin && site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
                return refuse(r, "a page of another site may not do this");
        return true;
}

/* ---- content ------------------------------------------------------------------------ */

/** Is @header, up to its parameters, @type? */
static bool is_type(const char *header, const char *type) {
        size_t n = strlen(type);

        return !strncasecmp(header, type, n) && (header[n] == 0 || strchr("; \t", header[n]));
}

/** Does an Accept header with @header leave room for @type ("application/json")? Weights are not looked at. */
static bool accepts(const char *header, const char *type) {
        size_t n_kind = (size_t)(strchr(type, '/') - type) + 1;

        while (*header) {
                size_t n = strcspn(header, ",");

                header += strspn(header, " \t");
                if (!strncmp(header, "*/*", 3) || is_type(header, type) ||
                    (!strncasecmp(header, type, n_kind) && header[n_kind] == '*') ||
                    !strncasecmp(header, type, strlen(type)))
                        return true;
                n = strcspn(header, ",");
                header += n + (header[n] == ',');
        }
        return false;
}

static bool check_accept(Request *r) {
        const char *accept = request_header(r, "Accept");
        const char *type = r->route->is_stream ? "text/event-stream" : "application/json";

        if (!accept || !*accept || r->route->is_page || accepts(accept, type))
                return true;
        reply_error(r, RUNBOOK_INVALID_REQUEST, 406, "this is answered as %s, which Accept does not allow",
                    type);
        return false;
}

static bool has_body(const Request *r) {
        const char *length = request_header(r, "Content-Length");

        return request_header(r, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

bool guard_check_content(Request *r) {
        static const char *const json[] = {"application/json"};
        static const char *const definition[] = {"application/json", "application/yaml", "application/x-yaml",
                                                 "text/yaml"};
        bool is_definition = r->route->body == ROUTE_BODY_DEFINITION;
        const char *const *types = is_definition ? definition : json;
        size_t n_types = is_definition ? N_ELEMENTS(definition) : N_ELEMENTS(json);
        const char *type = request_header(r, "Content-Type"), *coding = request_header(r, "Content-Encoding");

        if (!check_accept(r))
                return false;
        if (!has_body(r) || r->method != METHOD_POST)
                return true;
        if (coding && strcasecmp(coding, "identity") != 0) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 415,
                            "bodies are taken as they are, without Content-Encoding");
                return false;
        }
        for (size_t i = 0; type && i < n_types; i++)
                if (is_type(type, types[i]))
                        return true;
        reply_error(r, RUNBOOK_INVALID_REQUEST, 415,
                    "the body must come with Content-Type: application/json%s",
                    is_definition ? " (or application/yaml)" : "");
        return false;
}

/* ---- responses ---------------------------------------------------------------------- */

const char *guard_allow(unsigned methods) {
        switch (methods & (METHOD_GET | METHOD_POST)) {
        case METHOD_GET:
                return "GET, HEAD, OPTIONS";
        case METHOD_POST:
                return "POST, OPTIONS";
        default:
                return "GET, HEAD, POST, OPTIONS";
        }
}

void guard_options(Request *r, unsigned methods) {
        const char *origin = request_header(r, "Origin");

        reply_header(r, "Allow", guard_allow(methods));
        if (origin && request_header(r, "Access-Control-Request-Method") && is_listed(r->gateway, origin)) {
                reply_header(r, "Access-Control-Allow-Methods", guard_allow(methods));
                reply_header(r, "Access-Control-Allow-Headers", HEADERS_ALLOWED);
                reply_header(r, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
        }
        reply_empty(r, 204);
}

void guard_headers(Request *r) {
        const char *origin = request_header(r, "Origin");
        bool is_page = r->route && r->route->is_page;

        reply_header(r, "X-Request-Id", r->id);
        reply_header(r, "X-Content-Type-Options", "nosniff");
        reply_header(r, "X-Frame-Options", "DENY");
        reply_header(r, "Referrer-Policy", "no-referrer");
        reply_header(r, "Cross-Origin-Resource-Policy",
                     r->gateway->settings.enable_cors ? "cross-origin" : "same-origin");
        reply_header(r, "Content-Security-Policy",
                     is_page ? CONTENT_POLICY : "default-src 'none'; frame-ancestors 'none'");
        reply_header(r, "Cache-Control", is_page ? "no-cache" : "no-store");
        if (r->gateway->settings.enable_cors)
                reply_header(r, "Vary", "Origin");
        if (origin && is_listed(r->gateway, origin)) {
                reply_header(r, "Access-Control-Allow-Origin", origin);
                reply_header(r, "Access-Control-Expose-Headers", HEADERS_SHOWN);
        }
}
