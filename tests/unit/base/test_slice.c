#include "../leaks.h"
#include "base/cleanup.h"
#include "base/slice.h"

TestSuite(slice, .fini = check_leaks);

Test(slice, order) {
        cr_assert_eq(slice_cmp(SLICE_NULL, SLICE("")), 0);
        cr_assert_lt(slice_cmp(SLICE("a"), SLICE("b")), 0);
        cr_assert_lt(slice_cmp(SLICE("a"), SLICE("ab")), 0);
        cr_assert_gt(slice_cmp(SLICE("\xff"), SLICE("a")), 0);
        cr_assert_gt(slice_cmp(SLICE("a\0"), SLICE("a")), 0);
        cr_assert(slice_starts_with(SLICE("abc"), SLICE("ab")));
        cr_assert_not(slice_starts_with(SLICE("a"), SLICE("ab")));
        cr_assert(slice_ends_with(SLICE("abc"), SLICE("bc")));
        cr_assert(slice_ends_with(SLICE_NULL, SLICE_NULL));
}

Test(slice, dup_ends_in_nul) {
        _cleanup_free_ char *a = slice_dup(SLICE("xyz")), *b = slice_dup(SLICE_NULL);
        cr_assert_str_eq(a, "xyz");
        cr_assert_str_eq(b, "");
        cr_assert_null(slice_dup((Slice){"x", SIZE_MAX}));
}

Test(slice, well_formed_utf8) {
        const Slice good[] = {SLICE_NULL,
                              SLICE("plain ascii, more than eight bytes"),
                              SLICE("\0"),
                              SLICE("\x7f"),
                              SLICE("\xc2\x80"),
                              SLICE("\xdf\xbf"),
                              SLICE("\xe0\xa0\x80"),
                              SLICE("\xed\x9f\xbf"),
                              SLICE("\xee\x80\x80"),
                              SLICE("\xef\xbf\xbf"),
                              SLICE("\xf0\x90\x80\x80"),
                              SLICE("\xf4\x8f\xbf\xbf"),
                              SLICE("grüße, 世界 🎈 and on")};
        for (size_t i = 0; i < N_ELEMENTS(good); i++)
                cr_assert(slice_is_utf8(good[i]), "good %zu", i);
}

Test(slice, malformed_utf8) {
        const Slice bad[] = {SLICE("\x80"),
                             SLICE("\xbf"),
                             SLICE("\xc0\x80"),
                             SLICE("\xc1\xbf"),
                             SLICE("\xc2"),
                             SLICE("\xc2\x7f"),
                             SLICE("\xc2\xc0"),
                             SLICE("\xe0\x9f\xbf"),
                             SLICE("\xe0\xa0"),
                             SLICE("\xed\xa0\x80"),
                             SLICE("\xed\xbf\xbf"),
                             SLICE("\xef\xbf\x7f"),
                             SLICE("\xf0\x8f\xbf\xbf"),
                             SLICE("\xf0\x90\x80"),
                             SLICE("\xf4\x90\x80\x80"),
                             SLICE("\xf5\x80\x80\x80"),
                             SLICE("\xfe"),
                             SLICE("\xff"),
                             SLICE("12345678\x80"),
                             SLICE("1234567\xe2\x82")};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_assert_not(slice_is_utf8(bad[i]), "bad %zu", i);
        cr_assert_eq(slice_utf8_prefix(SLICE("1234567\xe2\x82")), 7);
}

Test(slice, cut_keeps_characters_whole) {
        Slice s = SLICE("aé世🎈");
        const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
        for (size_t n = 0; n < N_ELEMENTS(want); n++)
                cr_assert_eq(slice_cut_utf8(s, n).n, want[n], "cut at %zu", n);
}

Test(slice, numbers) {
        uint64_t v = 7;
        cr_assert(slice_to_u64(SLICE("0"), &v) && v == 0);
        cr_assert(slice_to_u64(SLICE("18446744073709551615"), &v) && v == UINT64_MAX);
        cr_assert(slice_to_u64(SLICE("007"), &v) && v == 7);
        const Slice bad[] = {SLICE_NULL,
                             SLICE("18446744073709551616"),
                             SLICE("99999999999999999999"),
                             SLICE("-1"),
                             SLICE("+1"),
                             SLICE(" 1"),
                             SLICE("1 "),
                             SLICE("1.0"),
                             SLICE("0x1"),
                             SLICE("1\0")};
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_assert_not(slice_to_u64(bad[i], &v), "bad %zu", i);
        cr_assert_eq(v, 7, "untouched by failures");
}

Test(slice, nearest_name) {
        const char *const names[] = {"condition", "dependsOn", "id", "retryPolicy", "timeoutMs", "type"};
        size_t n = N_ELEMENTS(names);
        cr_assert_str_eq(slice_nearest(SLICE("dependson"), names, n), "dependsOn");
        cr_assert_str_eq(slice_nearest(SLICE("timoutMs"), names, n), "timeoutMs");
        cr_assert_str_eq(slice_nearest(SLICE("tpye"), names, n), "type", "a swap is one edit");
        cr_assert_str_eq(slice_nearest(SLICE("retrypolcy"), names, n), "retryPolicy");
        cr_assert_null(slice_nearest(SLICE("colour"), names, n));
        cr_assert_null(slice_nearest(SLICE_NULL, names, n));
        cr_assert_null(slice_nearest(SLICE("id"), NULL, 0));
        cr_assert_null(slice_nearest(SLICE("tpeyx"), names, n), "one edit in five letters, not three");
        char longest[65];
        memset(longest, 'a', sizeof(longest));
        const char *const sixty_four = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
        cr_assert_eq(slice_nearest((Slice){longest, 64}, &sixty_four, 1), sixty_four);
        cr_assert_null(slice_nearest((Slice){longest, 65}, &sixty_four, 1));
}

Test(slice, hexadecimal_digits_and_escapes) {
        for (int c = 0; c < 256; c++) {
                const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, c) : NULL;
                int want = !at ? -1 : (int)(at - digits) - (at - digits > 15 ? 6 : 0);
                cr_assert_eq(slice_hex_digit((char)c), want, "%d", c);
        }
        cr_assert_eq(slice_percent_byte(SLICE("%2f")), '/');
        cr_assert_eq(slice_percent_byte(SLICE("%E2 and on")), 0xe2);
        cr_assert_eq(slice_percent_byte(SLICE("%00")), 0);
        static const char *const none[] = {"", "%", "%2", "2f%", "%2g", "%g2", "%%2", "%-1"};
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
                cr_assert_eq(slice_percent_byte(slice_from_str(none[i])), -1, "%s", none[i]);
        cr_assert_eq(slice_percent_byte((Slice){"%2f", 2}), -1, "what is behind the end is not looked at");
}
