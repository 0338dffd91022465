#include "../leaks.h"
#include "base/cleanup.h"
#include "executors/grpc_wire.h"

TestSuite(grpc_wire, .fini = check_leaks);

Test(grpc_wire, statuses) {
        static const struct {
                const char *text;
                GrpcStatus status;
        } good[] = {{"0", GRPC_OK},
                    {"5", GRPC_NOT_FOUND},
                    {"16", GRPC_UNAUTHENTICATED},
                    {"17", GRPC_UNKNOWN},
                    {"4294967296", GRPC_UNKNOWN}};
        static const char *const bad[] = {"", "x", "-1", "1.0", "1 ", "99999999999999999999"};
        GrpcStatus status;
        for (size_t i = 0; i < N_ELEMENTS(good); i++) {
                cr_assert(grpc_status_parse(slice_from_str(good[i].text), &status), "%s", good[i].text);
                cr_assert_eq(status, good[i].status, "%s", good[i].text);
        }
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_assert_not(grpc_status_parse(slice_from_str(bad[i]), &status), "%s", bad[i]);
        for (unsigned s = 0; s < GRPC_N_STATUSES; s++)
                cr_assert(grpc_status_name(s) && *grpc_status_name(s));
        cr_assert_str_eq(grpc_status_name(GRPC_FAILED_PRECONDITION), "FAILED_PRECONDITION");
}

Test(grpc_wire, what_is_retried) {
        static const GrpcStatus retried[] = {GRPC_DEADLINE_EXCEEDED, GRPC_RESOURCE_EXHAUSTED, GRPC_ABORTED,
                                             GRPC_UNAVAILABLE};
        unsigned n = 0;
        for (unsigned s = 0; s < GRPC_N_STATUSES; s++)
                n += grpc_status_is_retryable(s);
        cr_assert_eq(n, N_ELEMENTS(retried));
        for (size_t i = 0; i < N_ELEMENTS(retried); i++)
                cr_assert(grpc_status_is_retryable(retried[i]));
        cr_assert(grpc_status_is_servers(GRPC_INTERNAL));
        cr_assert_not(grpc_status_is_servers(GRPC_NOT_FOUND));
}

Test(grpc_wire, http_statuses) {
        static const struct {
                unsigned http;
                GrpcStatus status;
        } cases[] = {{400, GRPC_INTERNAL},      {401, GRPC_UNAUTHENTICATED}, {403, GRPC_PERMISSION_DENIED},
                     {404, GRPC_UNIMPLEMENTED}, {429, GRPC_UNAVAILABLE},     {502, GRPC_UNAVAILABLE},
                     {503, GRPC_UNAVAILABLE},   {504, GRPC_UNAVAILABLE},     {200, GRPC_UNKNOWN},
                     {500, GRPC_UNKNOWN},       {418, GRPC_UNKNOWN}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                cr_assert_eq(grpc_status_of_http(cases[i].http), cases[i].status, "%u", cases[i].http);
}

Test(grpc_wire, frames) {
        _cleanup_(buf_deinit) Buf b = {0};
        Slice message;
        grpc_frame_put(&b, SLICE("abc"));
        cr_assert(slice_eq(buf_slice(&b), SLICE("\0\0\0\0\3abc")));
        cr_assert_null(grpc_frame_read(buf_slice(&b), &message));
        cr_assert(slice_eq_str(message, "abc"));
        cr_assert_null(grpc_frame_read(SLICE("\0\0\0\0\0"), &message));
        cr_assert_eq(message.n, 0);

        buf_reset(&b);
        grpc_frame_put(&b, SLICE_NULL);
        for (int i = 0; i < 0x10203; i++)
                buf_put_char(&b, 'x');
        grpc_frame_set_size(b.data, 0x10203);
        cr_assert_eq(memcmp(b.data, "\0\0\1\2\3", 5), 0);
        cr_assert_null(grpc_frame_read(buf_slice(&b), &message));
        cr_assert_eq(message.n, 0x10203);
}

Test(grpc_wire, frames_that_are_none) {
        static const struct {
                Slice body;
                const char *part;
        } cases[] = {
                        {{NULL, 0}, "no message"},
                        {{"\0\0\0\0", 4}, "no message"},
                        {{"\0\0\0\0\2a", 6}, "shorter"},
                        {{"\0\xff\xff\xff\xff", 5}, "shorter"},
                        {{"\0\0\0\0\0\0\0\0\0\0", 10}, "more than one"},
                        {{"\1\0\0\0\0", 5}, "compressed"},
                        {{"\x80\0\0\0\0", 5}, "not gRPC"},
                        {{"\2\0\0\0\0", 5}, "not gRPC"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                Slice message;
                const char *wrong = grpc_frame_read(cases[i].body, &message);
                cr_assert(wrong && strstr(wrong, cases[i].part), "%zu: %s", i, wrong);
        }
}

Test(grpc_wire, timeouts) {
        static const struct {
                int64_t ms;
                const char *text;
        } cases[] = {
                        {1, "1m"},
                        {0, "1m"},
                        {-5, "1m"},
                        {30000, "30000m"},
                        {99999999, "99999999m"},
                        {100000000, "100000S"},
                        {100000001, "100001S"},
                        {99999999LL * 1000, "99999999S"},
                        {99999999LL * 1000 + 1, "1666667M"},
                        {10LL * 366 * 86400 * 1000, "5270400M"},
                        {INT64_MAX, "99999999H"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                char text[GRPC_TIMEOUT_TEXT];
                grpc_timeout_format(cases[i].ms, text);
                cr_assert_str_eq(text, cases[i].text);
        }
}

Test(grpc_wire, pushback) {
        cr_assert_eq(grpc_pushback_ms(SLICE("0"), 1000), 0);
        cr_assert_eq(grpc_pushback_ms(SLICE("250"), 1000), 250);
        cr_assert_eq(grpc_pushback_ms(SLICE("5000"), 1000), 1000);
        cr_assert_eq(grpc_pushback_ms(SLICE("-1"), 1000), -1);
        cr_assert_eq(grpc_pushback_ms(SLICE(""), 1000), -1);
        cr_assert_eq(grpc_pushback_ms(SLICE("soon"), 1000), -1);
        cr_assert_eq(grpc_pushback_ms(SLICE("18446744073709551615"), 1000), 1000);
}

static void expect_message(const char *text, Slice wanted) {
        _cleanup_(buf_deinit) Buf b = {0};
        grpc_message_put(&b, slice_from_str(text));
        cr_assert(slice_eq(buf_slice(&b), wanted), "%s", text);
}

Test(grpc_wire, messages) {
        expect_message("plain", SLICE("plain"));
        expect_message("", SLICE(""));
        expect_message("100%25 %C3%bc", SLICE("100% \xc3\xbc"));
        expect_message("%00%0A", SLICE("\0\n"));
        expect_message("%", SLICE("%"));
        expect_message("%4", SLICE("%4"));
        expect_message("%4x%%41", SLICE("%4x%A"));
}

Test(grpc_wire, details) {
        /* google.rpc.Status {code 14, message "m", details [RetryInfo {1.5 s}, x {}]} */
        static const char status[] = "\x08\x0e\x12\x01m"
                                     "\x1a\x2b"
                                     "\x0a\x1d"
                                     "t.com/google.rpc.RetryInfo   "
                                     "\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01"
                                     "\x1a\x07\x0a\x05t.c/x";
        GrpcDetail details[GRPC_DETAILS_MAX];
        size_t n;
        Slice text = {status, sizeof(status) - 1};
        cr_assert(grpc_details_read(text, details, &n));
        cr_assert_eq(n, 2);
        details[0].type_url.n -= 3; /* the blanks that fill it up */
        cr_assert(slice_ends_with(details[0].type_url, SLICE("/google.rpc.RetryInfo")));
        cr_assert_eq(grpc_retry_info_ms(&details[0], 3600000), 1500);
        cr_assert_eq(grpc_retry_info_ms(&details[0], 1000), 1000);
        cr_assert(slice_eq_str(details[1].type_url, "t.c/x"));
        cr_assert_eq(grpc_retry_info_ms(&details[1], 3600000), 0);
        for (size_t cut = 1; cut < text.n; cut++) /* nothing is read past the end */
                grpc_details_read((Slice){text.data, cut}, details, &n);
        cr_assert(grpc_details_read(SLICE_NULL, details, &n));
        cr_assert_eq(n, 0);
}

Test(grpc_wire, details_that_are_none) {
        static const Slice cases[] = {{"\x1a", 1},
                                      {"\x1a\x05", 2},
                                      {"\x0b", 1},
                                      {"\x1a\x01\x0a", 3},
                                      {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11},
                                      {"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}};
        GrpcDetail details[GRPC_DETAILS_MAX];
        size_t n;
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                cr_assert_not(grpc_details_read(cases[i], details, &n), "%zu", i);
        _cleanup_(buf_deinit) Buf many = {0};
        for (int i = 0; i < 1000; i++)
                buf_put(&many, "\x1a\x00", 2);
        cr_assert(grpc_details_read(buf_slice(&many), details, &n));
        cr_assert_eq(n, GRPC_DETAILS_MAX);
}

Test(grpc_wire, delays_that_are_none) {
        static const Slice values[] = {
                        {"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13}, /* -1 s */
                        {"\x0a\x06\x10\x80\x94\xeb\xdc\x03", 8},                      /* 10^9 ns */
                        {"\x0a\x02\x08", 3},
                        {"", 0}};
        for (size_t i = 0; i < N_ELEMENTS(values); i++) {
                GrpcDetail detail = {SLICE("t/google.rpc.RetryInfo"), values[i]};
                cr_assert_eq(grpc_retry_info_ms(&detail, 1000), 0, "%zu", i);
        }
}
