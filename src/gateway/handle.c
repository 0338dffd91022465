/*
 * The way of a request: its id, where it leads, whether it may, who asks, then the route's handler
 *
 * Everything that can be said from the headers is said before the body is taken, so that nobody who will be refused
 * anyway sends it.
 */

#include <errno.h>
#include <stdio.h>
#include "base/cleanup.h"
#include "gateway/auth.h"
#include "gateway/guard.h"
#include "gateway/http.h"
#include "gateway/routes.h"

static Method method_of(const char *name, bool *ret_is_head) {
        *ret_is_head = !strcmp(name, "HEAD");
        if (*ret_is_head || !strcmp(name, "GET"))
                return METHOD_GET;
        if (!strcmp(name, "POST"))
                return METHOD_POST;
        return !strcmp(name, "OPTIONS") ? METHOD_OPTIONS : METHOD_OTHER;
}

/** The caller's id where it can stand in a log, else a new one. */
static void set_id(Request *r) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+=";
        const char *given = request_header(r, "X-Request-Id");
        size_t n = given ? strlen(given) : 0;

        if (n > 0 && n <= REQUEST_ID_MAX && strspn(given, plain) == n)
                memcpy(r->id, given, n + 1);
        else
                runbook_new_id(r->id);
}

static void find_route(Request *r) {
        _cleanup_(report_deinit) Report report = {0};
        unsigned methods = 0;
        int result = uri_parse(slice_from_str(r->target), &r->arena, &r->uri, &report);

        if (result == -ENOMEM) {
                reply_memory(r);
        } else if (result < 0) {
                reply_report(r, &report, report.code == RUNBOOK_TOO_LARGE ? 414 : 0);
        } else {
                r->route = route_find(&r->uri, r->method, r->captures, &r->n_captures, &methods);
                if (r->route)
                        return;
                if (methods == 0) {
                        reply_error(r, RUNBOOK_INVALID_REQUEST, 404,
                                    "there is nothing at this path; /api/v1/openapi.json describes what "
                                    "there is");
                } else if (r->method == METHOD_OPTIONS) {
                        guard_options(r, methods);
                } else {
                        reply_header(r, "Allow", guard_allow(methods));
                        reply_error(r, RUNBOOK_INVALID_REQUEST, 405, "this path takes %s",
                                    guard_allow(methods));
                }
        }
}

/** Parameters that the route does not know are mistakes, and say nothing when they are ignored. */
static void check_params(Request *r) {
        for (size_t i = 0; i < r->uri.n_params; i++) {
                const UriParam *p = &r->uri.params[i];

                if (route_takes_param(r->route, p->name))
                        continue;
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "there is no parameter \"%.*s\" here%s%s",
                            SLICE_ARG(slice_cut_utf8(p->name, 64)),
                            r->route->params ? "; it takes: " : "; it takes none",
                            r->route->params ? r->route->params : "");
                return;
        }
}

static void check_draining(Request *r) {
        if (!atomic_load(&r->gateway->is_draining) || (r->route && r->route->is_health))
                return;
        r->response.closes = true;
        reply_error(r, RUNBOOK_UNAVAILABLE, 0, "this gateway is stopping; ask again, another one may answer");
}

static void check_length(Request *r) {
        const char *text = request_header(r, "Content-Length");
        uint64_t length = 0;

        Link *link = gateway_link(r->gateway);
        size_t most = link ? (size_t)link_max_payload(link) - MESSAGE_MARGIN : BODY_BYTES_MAX;

        r->body_max = r->route->body_max < most ? r->route->body_max : most;
        if (text && slice_to_u64(slice_from_str(text), &length) && length > r->body_max)
                reply_error(r, RUNBOOK_TOO_LARGE, 0, "the body has %llu bytes; here the most is %zu",
                            (unsigned long long)length, r->body_max);
}

/** Ask @from who it is; whoever it can't tell is refused. */
static void authenticate(Request *r, int (*from)(Request *r, Report *report)) {
        _cleanup_(report_deinit) Report report = {0};
        int result = from(r, &report);

        if (result == -ENOMEM || report.oom)
                reply_memory(r);
        else if (result < 0)
                reply_report(r, &report, 0);
}

static int by_headers(Request *r, Report *report) {
        return auth_from_headers(r->gateway->auth, r, &r->identity, report);
}

static int by_body(Request *r, Report *report) { return auth_from_body(r, &r->identity, report); }

void handle_headers(Request *r, const char *method) {
        r->method = method_of(method, &r->is_head);
        set_id(r);
        find_route(r);
        if (!r->response.status)
                check_draining(r);
        if (!r->response.status)
                guard_check_origin(r);
        if (!r->response.status)
                guard_check_content(r);
        if (!r->response.status)
                check_length(r);
        if (!r->response.status && !r->route->is_public)
                authenticate(r, by_headers);
        if (!r->response.status && !r->route->is_page)
                check_params(r);
}

void handle_request(Request *r) {
        bool is_open = !r->route->is_public && (!r->identity.user[0] || !r->identity.tenant[0]);

        if (r->body.n == 0 &&
            (r->route->body == ROUTE_BODY_JSON || r->route->body == ROUTE_BODY_DEFINITION)) {
                reply_error(r, RUNBOOK_INVALID_JSON, 0, "the body is missing");
                return;
        }
        if (r->body.n > 0 && r->route->body == ROUTE_BODY_NONE) {
                reply_error(r, RUNBOOK_INVALID_REQUEST, 0, "this takes no body");
                return;
        }
        if (!slice_is_utf8(buf_slice(&r->body))) {
                reply_error(r, RUNBOOK_INVALID_JSON, 0, "the body is not UTF-8");
                return;
        }
        if (is_open)
                authenticate(r, by_body);
        if (!r->response.status)
                r->route->handle(r);
}
