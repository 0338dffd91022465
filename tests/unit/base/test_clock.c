#include <stdio.h>
#include <time.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/clock.h"

TestSuite(clock, .fini = check_leaks);

static const char *text_of(int64_t ms, char text[TIME_TEXT_SIZE + 1]) {
        time_format_ms(ms, text);
        return text;
}

Test(clock, formats) {
        static const struct {
                int64_t ms;
                const char *text;
        } cases[] = {
                {0, "1970-01-01T00:00:00.000Z"},
                {-1, "1969-12-31T23:59:59.999Z"},
                {951782400000, "2000-02-29T00:00:00.000Z"},
                {1767323045678, "2026-01-02T03:04:05.678Z"},
                {-62167219200000, "0000-01-01T00:00:00.000Z"},
                {-62167219200001, "0000-01-01T00:00:00.000Z"},
                {253402300799999, "9999-12-31T23:59:59.999Z"},
                {253402300800000, "9999-12-31T23:59:59.999Z"},
                {INT64_MIN, "0000-01-01T00:00:00.000Z"},
                {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        };
        char text[TIME_TEXT_SIZE + 1];
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                cr_assert_str_eq(text_of(cases[i].ms, text), cases[i].text);
}

Test(clock, agrees_with_libc_and_reads_back) {
        for (int64_t ms = -62167219200000; ms <= 253402300799999; ms += 86400000LL * 97 + 12345678) {
                char text[TIME_TEXT_SIZE + 1], want[64];
                time_t t = (time_t)((ms - (((ms % 1000) + 1000) % 1000)) / 1000);
                struct tm tm;
                gmtime_r(&t, &tm);
                snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                         tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                         (int)(((ms % 1000) + 1000) % 1000));
                cr_assert_str_eq(text_of(ms, text), want);
                int64_t back = 0;
                cr_assert(time_parse_ms(slice_from_str(text), &back));
                cr_assert_eq(back, ms);
        }
}

Test(clock, parses) {
        static const struct {
                const char *text;
                int64_t ms;
        } cases[] = {
                {"1970-01-01T00:00:00Z", 0},
                {"1970-01-01t00:00:00z", 0},
                {"1970-01-01T00:00:00.5Z", 500},
                {"1970-01-01T00:00:00.123456789Z", 123},
                {"1970-01-01T00:00:00.0009Z", 0},
                {"1969-12-31T23:59:59.999Z", -1},
                {"1970-01-01T01:00:00+01:00", 0},
                {"1969-12-31T16:00:00-08:00", 0},
                {"1970-01-01T00:00:00-00:00", 0},
                {"1985-04-12T23:20:50.52Z", 482196050520},
                {"1996-12-19T16:39:57-08:00", 851042397000},
                {"1990-12-31T23:59:60Z", 662688000000},
                {"1990-12-31T15:59:60-08:00", 662688000000},
                {"1937-01-01T12:00:27.87+00:20", -1041337172130},
                {"2000-02-29T00:00:00Z", 951782400000},
                {"0000-01-01T00:00:00+23:59", -62167219200000 - 86340000},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int64_t ms = 42;
                cr_assert(time_parse_ms(slice_from_str(cases[i].text), &ms), "%s", cases[i].text);
                cr_assert_eq(ms, cases[i].ms, "%s gives %lld", cases[i].text, (long long)ms);
        }
}

Test(clock, refuses) {
        const char *const bad[] = {
                "",
                "2026",
                "2026-01-02",
                "2026-01-02T03:04Z",
                "2026-01-02T03:04:05",
                "2026-01-02 03:04:05Z",
                "2026-1-2T03:04:05Z",
                "2026-13-01T00:00:00Z",
                "2026-00-01T00:00:00Z",
                "2026-01-00T00:00:00Z",
                "2026-01-32T00:00:00Z",
                "2026-04-31T00:00:00Z",
                "2025-02-29T00:00:00Z",
                "1900-02-29T00:00:00Z",
                "2026-01-01T24:00:00Z",
                "2026-01-01T00:60:00Z",
                "2026-01-01T00:00:61Z",
                "2026-01-01T00:00:60Z",
                "2026-01-01T00:00:00.Z",
                "2026-01-01T00:00:00.1234567890Z",
                "2026-01-01T00:00:00,5Z",
                "2026-01-01T00:00:00+24:00",
                "2026-01-01T00:00:00+01:60",
                "2026-01-01T00:00:00+0100",
                "2026-01-01T00:00:00+01",
                "2026-01-01T00:00:00ZZ",
                "2026-01-01T00:00:00Z ",
                " 2026-01-01T00:00:00Z",
                "-026-01-01T00:00:00Z",
                "+2026-01-01T00:00:00Z",
                "2026-01-01T00:00:00X01:00",
                "2026-01-01T-1:00:00Z",
                "２026-01-01T00:00:00Z",
                "2026/01/01T00:00:00Z",
        };
        int64_t ms = 42;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_assert_not(time_parse_ms(slice_from_str(bad[i]), &ms), "%s", bad[i]);
        cr_assert_not(time_parse_ms(SLICE_NULL, &ms));
        cr_assert_eq(ms, 42, "untouched by failures");
}
