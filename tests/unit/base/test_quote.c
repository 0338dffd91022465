#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/quote.h"

TestSuite(quote, .fini = check_leaks);

static void expect(Slice s, const char *want, void (*quote)(Buf *, Slice)) {
        _cleanup_(buf_deinit) Buf b = {0};
        quote(&b, s);
        cr_assert(slice_eq_str(buf_slice(&b), want), "%.*s is not %s", SLICE_ARG(buf_slice(&b)), want);
}

Test(quote, plain_text) {
        expect(SLICE_NULL, "\"\"", quote_json);
        expect(SLICE("hello, long and plain world"), "\"hello, long and plain world\"", quote_json);
        expect(SLICE("grüße 🎈 \x7f/"), "\"grüße 🎈 \x7f/\"", quote_json);
}

Test(quote, escapes_of_rfc_8785) {
        expect(SLICE("\b\t\n\f\r\"\\"), "\"\\b\\t\\n\\f\\r\\\"\\\\\"", quote_json);
        expect(SLICE("\0\x01\x0b\x1f"), "\"\\u0000\\u0001\\u000b\\u001f\"", quote_json);
}

/* The escape anywhere in and around the eight-byte words that the scan takes at once. */
Test(quote, every_byte_at_every_place) {
        for (int c = 0; c < 0x80; c++) {
                char escaped[8];
                static const char shorts[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
                const char *at = c ? strchr(shorts, c) : NULL;
                if (at)
                        snprintf(escaped, sizeof(escaped), "\\%c", letters[at - shorts]);
                else
                        snprintf(escaped, sizeof(escaped), c < 0x20 ? "\\u%04x" : "%c", c);
                for (size_t place = 0; place < 20; place++) {
                        char text[20], want[64];
                        memset(text, place % 2 ? 'x' : '!', sizeof(text));
                        text[place] = (char)c;
                        int fill = place % 2 ? 'x' : '!', n = 0;
                        want[n++] = '"';
                        for (size_t i = 0; i < sizeof(text); i++)
                                if (i == place)
                                        n += sprintf(want + n, "%s", escaped);
                                else
                                        want[n++] = (char)fill;
                        want[n++] = '"';
                        want[n] = '\0';
                        expect((Slice){text, sizeof(text)}, want, quote_json);
                }
        }
}

Test(quote, what_is_not_utf8_is_replaced) {
        expect(SLICE("ok"), "\"ok\"", quote_json_lossy);
        expect(SLICE("a\xff\"b"), "\"a\xef\xbf\xbd\\\"b\"", quote_json_lossy);
        expect(SLICE("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"", quote_json_lossy);
        expect(SLICE("\xed\xa0\x80."), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd.\"", quote_json_lossy);
}

Test(quote, stops_at_the_limit) {
        _cleanup_(buf_deinit) Buf b = {.limit = 6};
        quote_json(&b, SLICE("12345"));
        cr_assert_neq(b.error, 0);
        buf_reset(&b);
        quote_json(&b, SLICE("1234"));
        cr_assert_eq(b.error, 0);
        buf_reset(&b);
        quote_json(&b, SLICE("1\n\n"));
        cr_assert_neq(b.error, 0);
}

Test(quote, tokens) {
        static const struct {
                const char *name, *token, *tokens, *type;
        } rows[] = {
                        {"alice", "alice", "alice", "alice"},
                        {"al.ice@x", "al%2Eice%40x", "al.ice%40x", "al%2Eice%40x"},
                        {"custom:geo", "custom%3Ageo", "custom%3Ageo", "custom:geo"},
                        {"\xc3\xa4", "%C3%A4", "%C3%A4", "%C3%A4"},
                        {"", "", "", ""},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                Buf token = {0}, tokens = {0}, type = {0};
                quote_token(&token, slice_from_str(rows[i].name));
                quote_tokens(&tokens, slice_from_str(rows[i].name));
                quote_type_token(&type, slice_from_str(rows[i].name));
                cr_expect(slice_eq_str(buf_slice(&token), rows[i].token), "%s", rows[i].name);
                cr_expect(slice_eq_str(buf_slice(&tokens), rows[i].tokens), "%s", rows[i].name);
                cr_expect(slice_eq_str(buf_slice(&type), rows[i].type), "%s", rows[i].name);
                buf_deinit(&token);
                buf_deinit(&tokens);
                buf_deinit(&type);
        }
}
