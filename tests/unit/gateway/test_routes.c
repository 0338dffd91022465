/* The table of routes: what leads where, and that the API's description knows every row. */

#include <criterion/criterion.h>
#include <stdio.h>
#include "../leaks.h"
#include "gateway/asset.h"
#include "gateway/routes.h"
#include "json/json_read.h"

TestSuite(routes, .fini = check_leaks);

static const Route *find(const char *target, Method method, Slice captures[4], size_t *ret_n,
                         unsigned *ret_methods) {
        static Arena arena;
        Report report = {0};
        Uri uri;
        const Route *route = NULL;

        arena_reset(&arena);
        if (uri_parse(slice_from_str(target), &arena, &uri, &report) == 0)
                route = route_find(&uri, method, captures, ret_n, ret_methods);
        report_deinit(&report);
        if (!target[0])
                arena_deinit(&arena);
        return route;
}

Test(routes, paths_lead_to_their_rows) {
        static const struct {
                Method method;
                const char *target, *verb;
                size_t n_captures;
        } cases[] = {
                        {METHOD_GET, "/api/v1/runbooks", "runbooks", 0},
                        {METHOD_POST, "/api/v1/runbooks", "register", 0},
                        {METHOD_POST, "/api/v1/runbooks/validate", "validate", 0},
                        {METHOD_GET, "/api/v1/runbooks/validate", "runbook", 1},
                        {METHOD_GET, "/api/v1/executions/x", "execution", 1},
                        {METHOD_POST, "/api/v1/executions/x/cancel", "cancel", 1},
                        {METHOD_POST, "/api/v1/executions/x/steps/y/approve", "approve", 2},
        };
        Slice captures[4];
        unsigned methods;
        size_t n;

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                const Route *route = find(cases[i].target, cases[i].method, captures, &n, &methods);

                cr_assert_not_null(route, "%s", cases[i].target);
                cr_expect_str_eq(route->verb, cases[i].verb);
                cr_expect_eq(n, cases[i].n_captures);
        }
        cr_expect(slice_eq_str(captures[0], "x") && slice_eq_str(captures[1], "y"));
        find("", METHOD_GET, captures, &n, &methods);
}

Test(routes, what_is_not_there_says_what_is) {
        Slice captures[4];
        unsigned methods;
        size_t n;

        cr_expect_null(find("/api/v1/runbooks", METHOD_OTHER, captures, &n, &methods));
        cr_expect_eq(methods, METHOD_GET | METHOD_POST);
        cr_expect_null(find("/api/v1/executions/x/pause", METHOD_GET, captures, &n, &methods));
        cr_expect_eq(methods, METHOD_POST);
        cr_expect_null(find("/api/v1", METHOD_GET, captures, &n, &methods));
        cr_expect_eq(methods, 0);
        cr_expect_null(find("/console", METHOD_GET, captures, &n, &methods));
        cr_expect_eq(methods, 0);
        find("", METHOD_GET, captures, &n, &methods);
}

Test(routes, parameters_are_whole_words) {
        Slice captures[4];
        unsigned methods;
        size_t n;
        const Route *route = find("/api/v1/executions", METHOD_GET, captures, &n, &methods);

        cr_expect(route_takes_param(route, SLICE("limit")));
        cr_expect(route_takes_param(route, SLICE("until")));
        cr_expect(!route_takes_param(route, SLICE("lim")));
        cr_expect(!route_takes_param(route, SLICE("limit cursor")));
        cr_expect(!route_takes_param(route, SLICE("")));
        find("", METHOD_GET, captures, &n, &methods);
}

/** The API's description as it is in the program. */
static json_t *description(void) {
        for (size_t i = 0; i < n_assets; i++)
                if (!strcmp(assets[i].path, "openapi.json"))
                        return json_parse_own(assets[i].bytes);
        return NULL;
}

Test(routes, the_description_has_every_row_and_no_other) {
        json_t *api = description(), *paths = json_object_get(api, "paths"), *item;
        size_t n_rows, n_described = 0, n_routes = 0;
        const Route *rows = route_table(&n_rows);
        const char *path;

        cr_assert_not_null(paths);
        for (size_t i = 0; i < n_rows; i++) {
                const char *method = rows[i].method == METHOD_GET ? "get" : "post";

                if (strstr(rows[i].path, "{*}"))
                        continue; /* files */
                n_routes++;
                cr_expect_not_null(json_object_get(json_object_get(paths, rows[i].path), method), "%s %s",
                                   method, rows[i].path);
        }
        json_object_foreach(paths, path, item) n_described += json_object_size(item);
        cr_expect_eq(n_described, n_routes);
        json_decref(api);
}

Test(routes, files_are_in_the_order_that_bsearch_wants) {
        for (size_t i = 1; i < n_assets; i++)
                cr_expect(strcmp(assets[i - 1].path, assets[i].path) < 0, "%s", assets[i].path);
}
