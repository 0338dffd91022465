#include <errno.h>

#include "../leaks.h"
#include "base/base64.h"
#include "base/cleanup.h"

TestSuite(base64, .fini = check_leaks);

static const struct {
        Slice bytes;
        const char *text;
} pairs[] = {
                {{"", 0}, ""},
                {{"f", 1}, "Zg=="},
                {{"fo", 2}, "Zm8="},
                {{"foo", 3}, "Zm9v"},
                {{"foob", 4}, "Zm9vYg=="},
                {{"fooba", 5}, "Zm9vYmE="},
                {{"foobar", 6}, "Zm9vYmFy"},
                {{"\xff\xef\xbe\0", 4}, "/+++AA=="},
};

Test(base64, both_ways) {
        for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
                _cleanup_(buf_deinit) Buf text = {0}, bytes = {0};
                base64_put(&text, pairs[i].bytes);
                cr_assert(slice_eq_str(buf_slice(&text), pairs[i].text));
                cr_assert(base64_decode(buf_slice(&text), &bytes));
                cr_assert(slice_eq(buf_slice(&bytes), pairs[i].bytes));
        }
}

Test(base64, padding_may_be_missing_and_blanks_are_passed_over) {
        static const char *const texts[] = {"Zm9vYg", "Zm9v\nYg==\n", " Z m9\tvYg\r\n", "Zm9vYg= ="};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                _cleanup_(buf_deinit) Buf bytes = {0};
                cr_assert(base64_decode(slice_from_str(texts[i]), &bytes), "%s", texts[i]);
                cr_assert(slice_eq_str(buf_slice(&bytes), "foob"));
        }
}

Test(base64, what_is_none) {
        static const char *const texts[] = {"Z", "Zm9vY",    "Zg=",  "Zg===", "Zm9v=",      "====",
                                            "=", "Zg==Zg==", "Zm-_", "Zm9v!", "${input.x}", "Zm\xc3\xa4"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                _cleanup_(buf_deinit) Buf bytes = {0};
                cr_assert_not(base64_decode(slice_from_str(texts[i]), &bytes), "%s", texts[i]);
        }
        _cleanup_(buf_deinit) Buf small = {.limit = 2};
        cr_assert_not(base64_decode(SLICE("Zm9v"), &small));
        cr_assert_eq(small.error, -EFBIG);
}

Test(base64, url_has_one_spelling) {
        unsigned char out[16];
        size_t n;
        cr_expect(base64url_decode(SLICE("_-8"), out, &n) && n == 2 && out[0] == 0xff && out[1] == 0xef);
        cr_expect(base64url_decode(SLICE(""), out, &n) && n == 0);
        cr_expect(!base64url_decode(SLICE("_-9"), out, &n)); /* bits left over */
        cr_expect(!base64url_decode(SLICE("A"), out, &n));
        cr_expect(!base64url_decode(SLICE("AA=="), out, &n));
        cr_expect(!base64url_decode(SLICE("A/A"), out, &n));
        cr_expect(!base64url_decode(SLICE("A\nA"), out, &n));
}
