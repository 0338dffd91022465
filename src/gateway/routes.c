/* The table of everything that the gateway answers. openapi.json describes every row; a test walks it. */

#include "base/cleanup.h"
#include "gateway/routes.h"

#define API        "/api/v1"
#define EXECUTION  API "/executions/{id}"
#define PAGING     "limit cursor"
#define RELAY      .handle = relay_handle, .status = 200
#define QUERY(...) .method = METHOD_GET, RELAY, .family = "query", .verb = __VA_ARGS__
#define COMMAND(...)                                                                                         \
        .method = METHOD_POST, RELAY, .family = "cmd", .body = ROUTE_BODY_OPTIONAL,                          \
        .body_max = BODY_SMALL_MAX, .verb = __VA_ARGS__

/* clang-format off */
static const Route routes[] = {
        {METHOD_GET, "/", asset_index, .is_public = true, .is_page = true},
        {METHOD_GET, "/console/{*}", asset_file, .is_public = true, .is_page = true},
        {METHOD_GET, "/health/live", health_live, .is_public = true, .is_health = true},
        {METHOD_GET, "/health/ready", health_ready, .is_public = true, .is_health = true},
        {METHOD_GET, "/metrics", health_metrics, .is_public = true, .is_page = true, .is_health = true},
        {METHOD_GET, API "/health", health_ready, .is_public = true, .is_health = true},
        {METHOD_GET, API "/openapi.json", asset_openapi, .is_public = true},

        {METHOD_GET, API "/identity", auth_show},
        {.path = API "/approvals", QUERY("approvals"), .params = PAGING},
        {.path = API "/stats", QUERY("stats")},
        {.path = API "/runbooks", QUERY("runbooks"), .params = PAGING},
        {.path = API "/runbooks/{id}", QUERY("runbook"), .params = "version"},
        {.path = API "/executions", QUERY("executions"),
         .params = PAGING " runbookId status initiatedBy since until"},
        {.path = EXECUTION, QUERY("execution"), .params = PAGING " steps stepsAfter only"},
        {.path = EXECUTION "/audit", QUERY("audit"), .params = PAGING " events"},
        {.path = EXECUTION "/evidence", QUERY("evidence"), .params = PAGING " after"},
        {.path = EXECUTION "/history", QUERY("history"), .params = PAGING " after"},
        {.path = EXECUTION "/logs", QUERY("logs"), .params = PAGING " after stepId level startTime endTime"},
        {.path = EXECUTION "/stats", QUERY("execution"), .finish = finish_stats},

        {METHOD_GET, API "/stream", stream_tenant, .is_stream = true, .params = "from"},
        {METHOD_GET, EXECUTION "/stream", stream_execution, .is_stream = true, .family = "query", .params = "from"},

        {METHOD_POST, API "/runbooks", RELAY, .family = "cmd", .verb = "register", .finish = finish_register,
         .body = ROUTE_BODY_DEFINITION, .body_max = BODY_BYTES_MAX, .is_large = true},
        {METHOD_POST, API "/runbooks/validate", RELAY, .family = "query", .verb = "validate",
         .body = ROUTE_BODY_DEFINITION, .body_max = BODY_VALUES_MAX},
        {METHOD_POST, API "/executions", RELAY, .family = "cmd", .verb = "start", .finish = finish_start,
         .body = ROUTE_BODY_JSON, .body_max = BODY_VALUES_MAX},
        {METHOD_POST, API "/events", relay_event, .status = 202, .family = "event",
         .body = ROUTE_BODY_JSON, .body_max = BODY_VALUES_MAX},
        {.path = EXECUTION "/pause", COMMAND("pause")},
        {.path = EXECUTION "/resume", COMMAND("resume")},
        {.path = EXECUTION "/cancel", COMMAND("cancel")},
        {.path = EXECUTION "/replay", COMMAND("replay"), .finish = finish_replay},
        {.path = EXECUTION "/steps/{stepId}/retry", COMMAND("retry")},
        {.path = EXECUTION "/steps/{stepId}/approve", COMMAND("approve")},
};
/* clang-format on */

const Route *route_table(size_t *ret_n) {
        *ret_n = N_ELEMENTS(routes);
        return routes;
}

/** Cut the next segment off a pattern that begins with "/"; false at its end. */
static bool next_segment(const char **pattern, Slice *ret) {
        const char *p = *pattern, *end;

        if (p[0] != '/' || p[1] == 0)
                return false;
        end = strchrnul(p + 1, '/');
        *ret = (Slice){p + 1, (size_t)(end - p - 1)};
        *pattern = end;
        return true;
}

static bool fits(const Route *route, const Uri *uri, Slice captures[4], size_t *ret_n) {
        const char *pattern = route->path;
        Slice wanted;
        size_t i = 0;

        *ret_n = 0;
        while (next_segment(&pattern, &wanted)) {
                if (i == uri->n_segments)
                        return false;
                if (slice_eq_str(wanted, "{*}"))
                        return true;
                if (wanted.data[0] == '{')
                        captures[(*ret_n)++] = uri->segments[i];
                else if (!slice_eq(wanted, uri->segments[i]))
                        return false;
                i++;
        }
        return i == uri->n_segments;
}

const Route *route_find(const Uri *uri, Method method, Slice captures[4], size_t *ret_n_captures,
                        unsigned *ret_methods) {
        *ret_methods = 0;
        for (size_t i = 0; i < N_ELEMENTS(routes); i++) {
                if (!fits(&routes[i], uri, captures, ret_n_captures))
                        continue;
                if (routes[i].method == method)
                        return &routes[i];
                *ret_methods |= routes[i].method;
        }
        return NULL;
}

bool route_takes_param(const Route *route, Slice name) {
        const char *p = route->params;

        while (p && *p) {
                const char *end = strchrnul(p, ' ');

                if (slice_eq(name, (Slice){p, (size_t)(end - p)}))
                        return true;
                p = *end ? end + 1 : end;
        }
        return false;
}
