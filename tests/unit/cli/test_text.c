/* Text for terminals. */

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <time.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "cli/table.h"
#include "cli/text.h"

static const CliTerm utf8 = {.utf8 = true}, ascii = {0}, colored = {.utf8 = true, .color = true};

static void setup(void) {
        setlocale(LC_CTYPE, "C.UTF-8");
        setenv("TZ", "UTC", 1);
        tzset();
}

TestSuite(text, .init = setup, .fini = check_leaks);

/** What text_put makes of @s. */
static const char *put(const CliTerm *term, const char *s, int width) {
        static char room[256];
        Buf b = {0};

        text_put_str(&b, term, s, width);
        snprintf(room, sizeof room, "%.*s", (int)b.n, b.data ? b.data : "");
        buf_deinit(&b);
        return room;
}

Test(text, nothing_steers_the_terminal) {
        cr_expect_str_eq(put(&utf8, "a\033[2Jb", 0), "a?[2Jb");
        cr_expect_str_eq(put(&utf8, "a\r\nb\tc", 0), "a  b c");
        cr_expect_str_eq(put(&utf8,
                             "a\x7f\xc2\x9b"
                             "b",
                             0),
                         "a??b", "DEL, and CSI as one character");
        cr_expect_str_eq(put(&utf8,
                             "user\xe2\x80\xae"
                             "txt",
                             0),
                         "user?txt", "right-to-left override");
        cr_expect_str_eq(put(&utf8, "x\xff\xc3", 0), "x\xef\xbf\xbd\xef\xbf\xbd", "not UTF-8");
        cr_expect_str_eq(put(&utf8, "Grüße ✓", 0), "Grüße ✓");
        cr_expect_str_eq(put(&ascii, "Grüße", 0), "Gr??e");
}

Test(text, widths) {
        cr_expect_eq(text_width(&utf8, SLICE("abc")), 3);
        cr_expect_eq(text_width(&utf8, SLICE("Grüße")), 5);
        cr_expect_eq(text_width(&utf8, SLICE("日本")), 4);
        cr_expect_eq(text_width(&utf8, SLICE("e\xcc\x81")), 1, "a combining accent takes no column");
        cr_expect_str_eq(put(&utf8, "abcdef", 6), "abcdef");
        cr_expect_str_eq(put(&utf8, "abcdefg", 6), "abcde…");
        cr_expect_str_eq(put(&ascii, "abcdefg", 6), "abc...");
        cr_expect_str_eq(put(&utf8, "日本語", 4), "日…", "half a character is not shown");
        cr_expect_str_eq(put(&ascii, "abcd", 2), "ab");
}

static const char *duration(int64_t ms) {
        static char room[64];
        Buf b = {0};

        text_put_duration(&b, ms);
        snprintf(room, sizeof room, "%.*s", (int)b.n, b.data);
        buf_deinit(&b);
        return room;
}

Test(text, durations) {
        cr_expect_str_eq(duration(0), "0.0s");
        cr_expect_str_eq(duration(-5), "0.0s");
        cr_expect_str_eq(duration(1234), "1.2s");
        cr_expect_str_eq(duration(59999), "59.9s");
        cr_expect_str_eq(duration(60000), "1:00");
        cr_expect_str_eq(duration(3599999), "59:59");
        cr_expect_str_eq(duration(3723000), "1:02:03");
        cr_expect_str_eq(duration(5 * 86400000LL + 7380000), "5d 02:03");
}

Test(text, parsing_durations) {
        static const struct {
                const char *text;
                int64_t ms; /* -1: no duration */
        } cases[] = {{"30", 30000},  {"30s", 30000},    {"5m", 300000}, {"1h30m", 5400000},
                     {"250ms", 250}, {"2d", 172800000}, {"", -1},       {"s", -1},
                     {"5x", -1},     {"-5s", -1},       {"1h30", -1},   {"99999999999999999999s", -1},
                     {"4000d", -1},  {"1.5s", -1},      {" 5s", -1},    {"0s", 0}};

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int64_t ms = -1;
                bool ok = text_parse_duration(slice_from_str(cases[i].text), &ms);

                cr_expect_eq(ok ? ms : -1, cases[i].ms, "%s: %lld", cases[i].text, (long long)ms);
        }
}

Test(text, parsing_times) {
        int64_t ms = 0, now = 1767323045000; /* 2026-01-02T03:04:05Z */

        cr_expect(text_parse_time(SLICE("2026-01-02T03:04:05Z"), 0, &ms));
        cr_expect_eq(ms, now);
        cr_expect(text_parse_time(SLICE("2h"), now, &ms));
        cr_expect_eq(ms, now - 7200000);
        cr_expect(text_parse_time(SLICE("2026-01-02"), now, &ms));
        cr_expect_eq(ms, 1767312000000);
        cr_expect_not(text_parse_time(SLICE("2026-13-02"), now, &ms));
        cr_expect_not(text_parse_time(SLICE("yesterday"), now, &ms));
        cr_expect_not(text_parse_time(SLICE("2026-01-0"), now, &ms));
}

Test(text, times) {
        Buf b = {0};
        int64_t now = 1767323045000;

        text_put_time(&b, now - 3600000, now);
        buf_put_char(&b, '|');
        text_put_time(&b, now - 86400000, now);
        cr_expect(slice_eq_str(buf_slice(&b), "02:04:05|2026-01-01 03:04:05"), "%.*s",
                  SLICE_ARG(buf_slice(&b)));
        buf_deinit(&b);
}

Test(text, shell_words) {
        static const struct {
                const char *text, *word;
        } cases[] = {{"plain-1.2_x/y", "plain-1.2_x/y"},
                     {"", "''"},
                     {"a b", "'a b'"},
                     {"it's", "'it'\\''s'"},
                     {"$(rm)", "'$(rm)'"},
                     {"a;b", "'a;b'"}};

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                Buf b = {0};

                text_put_shell(&b, slice_from_str(cases[i].text));
                cr_expect(slice_eq_str(buf_slice(&b), cases[i].word), "%.*s", SLICE_ARG(buf_slice(&b)));
                buf_deinit(&b);
        }
}

Test(text, table_fits_the_terminal) {
        static const char *const headers[] = {"ID", "NAME", "N"};
        Table t = {.headers = headers, .n_columns = 3, .flexible = 1 << 1};
        Buf b = {0};

        table_put(&t, COLOR_NONE, "a");
        table_put(&t, COLOR_NONE, "a rather long name");
        table_printf(&t, COLOR_NONE, "%d", 7);
        table_put(&t, COLOR_NONE, "bbbb");
        table_put(&t, COLOR_NONE, "");
        table_put(&t, COLOR_NONE, "12");
        cr_assert(table_render(&t, &utf8, 20, &b));
        cr_expect(slice_eq_str(buf_slice(&b), "ID    NAME        N\n"
                                              "a     a rather …  7\n"
                                              "bbbb              12\n"),
                  "%.*s", SLICE_ARG(buf_slice(&b)));
        buf_reset(&b);
        cr_assert(table_render(&t, &utf8, 1000, &b));
        cr_expect_not_null(memmem(b.data, b.n, "a rather long name", 18),
                           "nothing is cut where there is room");
        buf_reset(&b);
        t.droppable = 1 << 2;
        cr_assert(table_render(&t, &utf8, 15, &b));
        cr_expect_not_null(memmem(b.data, b.n, "a     a rather…\nbbbb\n", 23), "%.*s",
                           SLICE_ARG(buf_slice(&b)));
        buf_reset(&b);
        cr_assert(table_render(&t, &colored, 5, &b), "too narrow for anything: still no crash");
        buf_deinit(&b);
        table_deinit(&t);
}
