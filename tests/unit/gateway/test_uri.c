/* Request targets: what they are cut into, and what is refused. */

#include <criterion/criterion.h>
#include <errno.h>
#include "../leaks.h"
#include "gateway/uri.h"

TestSuite(uri, .fini = check_leaks);

typedef struct Case {
        const char *target;
        const char *segments; /* with "|" between; NULL: refused */
} Case;

static const Case cases[] = {
                {"/", ""},
                {"/api/v1/runbooks", "api|v1|runbooks"},
                {"/a?b=c", "a"},
                {"/a%2Fb/c%20d", "a/b|c d"},
                {"/a+b", "a+b"},
                {"/%C3%A4", "\xc3\xa4"},
                {"/%c3%a4", "\xc3\xa4"},
                {"/...", "..."},
                {"", NULL},
                {"a", NULL},
                {"*", NULL},
                {"http://x/a", NULL},
                {"//a", NULL},
                {"/a//b", NULL},
                {"/a/", NULL},
                {"/a/../b", NULL},
                {"/a/%2e%2e/b", NULL},
                {"/.", NULL},
                {"/%2E", NULL},
                {"/a#b", NULL},
                {"/%", NULL},
                {"/%4", NULL},
                {"/%4x", NULL},
                {"/%00", NULL},
                {"/%0d%0a", NULL},
                {"/%7f", NULL},
                {"/%ff", NULL},
                {"/%c0%ae", NULL},
                {"/%ed%a0%80", NULL},
                {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", "1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16"},
                {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", NULL},
};

Test(uri, paths) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Arena arena = {0};
                Report report = {0};
                Buf joined = {0};
                Uri uri;
                int r = uri_parse(slice_from_str(cases[i].target), &arena, &uri, &report);

                cr_expect_eq(r, cases[i].segments ? 0 : -EINVAL, "%s", cases[i].target);
                cr_expect_eq(r < 0, report_is_error(&report), "%s", cases[i].target);
                for (size_t k = 0; r == 0 && k < uri.n_segments; k++) {
                        if (k > 0)
                                buf_put_char(&joined, '|');
                        buf_put_slice(&joined, uri.segments[k]);
                }
                cr_expect(r < 0 || slice_eq_str(buf_slice(&joined), cases[i].segments), "%s: %.*s",
                          cases[i].target, SLICE_ARG(joined));
                buf_deinit(&joined);
                report_deinit(&report);
                arena_deinit(&arena);
        }
}

Test(uri, parameters) {
        Arena arena = {0};
        Report report = {0};
        Uri uri;

        cr_assert_eq(uri_parse(SLICE("/a?x=1&y=a+b%26&&z&w==v"), &arena, &uri, &report), 0);
        cr_assert_eq(uri.n_params, 4);
        cr_assert(slice_eq_str(uri_param(&uri, "x"), "1"));
        cr_assert(slice_eq_str(uri_param(&uri, "y"), "a b&"));
        cr_assert_eq(uri_param(&uri, "z").n, 0);
        cr_assert(slice_eq_str(uri_param(&uri, "w"), "=v"));
        cr_assert_null(uri_param(&uri, "q").data);
        arena_deinit(&arena);
}

Test(uri, parameters_that_are_refused) {
        static const char *const bad[] = {"/a?x=1&x=2", "/a?x=%", "/a?%00=1", "/a?x=%ff", "/a?x=1&%78=2"};

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Arena arena = {0};
                Report report = {0};
                Uri uri;

                cr_expect_eq(uri_parse(slice_from_str(bad[i]), &arena, &uri, &report), -EINVAL, "%s", bad[i]);
                report_deinit(&report);
                arena_deinit(&arena);
        }
}

Test(uri, limits) {
        Buf many = {0}, large = {0};
        Arena arena = {0};
        Report report = {0};
        Uri uri;

        buf_put_str(&many, "/a?");
        for (int i = 0; i <= URI_PARAMS_MAX; i++)
                buf_printf(&many, "p%d=1&", i);
        cr_assert_eq(uri_parse(buf_slice(&many), &arena, &uri, &report), -EINVAL);
        report_deinit(&report);
        buf_put_char(&large, '/');
        for (int i = 0; i < URI_BYTES_MAX; i++)
                buf_put_char(&large, 'a');
        report = (Report){0};
        cr_assert_eq(uri_parse(buf_slice(&large), &arena, &uri, &report), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_TOO_LARGE);
        report_deinit(&report);
        buf_deinit(&many);
        buf_deinit(&large);
        arena_deinit(&arena);
}
