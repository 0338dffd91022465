/* Base64: three bytes as four letters. */
#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(Buf *b, Slice bytes) {
        for (size_t i = 0; i < bytes.n; i += 3) {
                size_t left = bytes.n - i;
                uint32_t v = (uint32_t)(uint8_t)bytes.data[i] << 16 |
                             (left > 1 ? (uint32_t)(uint8_t)bytes.data[i + 1] << 8 : 0) |
                             (left > 2 ? (uint8_t)bytes.data[i + 2] : 0);
                char out[4] = {letters[v >> 18], letters[v >> 12 & 63], left > 1 ? letters[v >> 6 & 63] : '=',
                               left > 2 ? letters[v & 63] : '='};
                buf_put(b, out, 4);
        }
}

/** @last_two are the letters for 62 and 63. */
static int digit_of(char c, const char last_two[2]) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == last_two[0] ? 62 : c == last_two[1] ? 63 : -1;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool base64_decode(Slice text, Buf *b) {
        uint32_t bits = 0;
        unsigned n_bits = 0, n_letters = 0, n_padding = 0;
        for (size_t i = 0; i < text.n; i++) {
                char c = text.data[i];
                int digit = digit_of(c, "+/");
                if (is_blank(c))
                        continue;
                n_padding += c == '=';
                if (c == '=')
                        continue;
                if (digit < 0 || n_padding > 0)
                        return false;
                n_letters = (n_letters + 1) & 3;
                bits = (bits << 6 | (uint32_t)digit) & 0xffff;
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        buf_put_char(b, (char)(bits >> n_bits));
                }
        }
        /* One letter alone is less than a byte; with padding, letters and padding make fours. */
        return !b->error && n_letters != 1 &&
               (n_padding == 0 || (n_letters > 0 && n_padding == 4 - n_letters));
}

bool base64url_decode(Slice text, unsigned char *out, size_t *ret_n) {
        unsigned bits = 0;
        int n_bits = 0;
        size_t n = 0;
        if (text.n % 4 == 1)
                return false;
        for (size_t i = 0; i < text.n; i++) {
                int d = digit_of(text.data[i], "-_");
                if (d < 0)
                        return false;
                bits = (bits << 6 | (unsigned)d) & 0xffffff;
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        out[n++] = (unsigned char)(bits >> n_bits);
                }
        }
        *ret_n = n;
        return (bits & ((1u << n_bits) - 1)) == 0; /* one spelling for each value */
}
