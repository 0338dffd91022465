/*
 * Subjects of the protocol: tokens, percent-encoding, and how a subject is put together and taken apart.
 *
 * A NATS permission names users by their token, so the encoding must give every text exactly one token:
 * upper-case hex, and nothing encoded that need not be. Decoding is lenient: it takes lower-case hex too.
 */

#include <runbook/client.h>
#include "base/cleanup.h"
#include "base/quote.h"
#include "client/subject.h"

void subject_put_token(Buf *b, Slice text) { quote_token(b, text); }

void subject_put_tokens(Buf *b, Slice text) { quote_tokens(b, text); }

bool subject_get_token(Buf *b, Slice token) {
        for (size_t i = 0; i < token.n; i++) {
                if (token.data[i] != '%') {
                        buf_put_char(b, token.data[i]);
                        continue;
                }
                int byte = slice_percent_byte((Slice){token.data + i, token.n - i});
                if (byte <= 0)
                        return false;
                buf_put_char(b, (char)byte);
                i += 2;
        }
        return true;
}

bool subject_is_valid(Slice s) {
        bool at_start = true;

        if (s.n == 0 || s.n > SUBJECT_BYTES_MAX)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.data[i];

                if (c <= ' ' || c == 0x7f || c == '*' || c == '>')
                        return false;
                if (c == '.' && at_start)
                        return false;
                at_start = c == '.';
        }
        return !at_start;
}

Slice subject_next(Slice *rest) {
        const char *dot = rest->n ? memchr(rest->data, '.', rest->n) : NULL;
        Slice token = {rest->data, dot ? (size_t)(dot - rest->data) : rest->n};

        if (dot)
                *rest = (Slice){dot + 1, rest->n - token.n - 1};
        else
                *rest = SLICE_NULL;
        return token;
}

char *runbook_token_encode(const char *text) {
        _cleanup_(buf_deinit) Buf b = {0};

        subject_put_token(&b, slice_from_str(text));
        return buf_steal_str(&b);
}

char *runbook_token_decode(const char *token) {
        _cleanup_(buf_deinit) Buf b = {0};

        if (!subject_get_token(&b, slice_from_str(token)))
                return NULL;
        return buf_steal_str(&b);
}
