/*
 * JSON string literals
 *
 * Nearly all text is plain, so the loop looks for the next byte that needs an escape and copies the
 * run before it in one go. RFC 8785 (3.2.2.2) fixes the escapes: the short forms where there are any,
 * \u00xx in lower case for the other controls, and nothing else, so that DEL and all that is not ASCII
 * stand for themselves.
 */
#include "base/quote.h"

/* 0: stands for itself; 'u': \u00xx; else the letter of the short form. */
static const char escapes[256] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\',
        [0x00] = 'u', [0x01] = 'u', [0x02] = 'u', [0x03] = 'u', [0x04] = 'u', [0x05] = 'u', [0x06] = 'u',
        [0x07] = 'u', [0x0b] = 'u', [0x0e] = 'u', [0x0f] = 'u', [0x10] = 'u', [0x11] = 'u', [0x12] = 'u',
        [0x13] = 'u', [0x14] = 'u', [0x15] = 'u', [0x16] = 'u', [0x17] = 'u', [0x18] = 'u', [0x19] = 'u',
        [0x1a] = 'u', [0x1b] = 'u', [0x1c] = 'u', [0x1d] = 'u', [0x1e] = 'u', [0x1f] = 'u',
};

#define ONES 0x0101010101010101ULL
#define HIGHS 0x8080808080808080ULL

/** Is one of the eight bytes in @w below 0x20, or '"', or '\\'? Says yes too often at times, never no. */
static inline bool word_needs_escape(uint64_t w) {
        uint64_t quote = w ^ (ONES * '"'), backslash = w ^ (ONES * '\\');
        return (((w - ONES * 0x20) & ~w) | ((quote - ONES) & ~quote) | ((backslash - ONES) & ~backslash)) &
               HIGHS;
}

/** How many bytes at the start of @p stand for themselves. */
static size_t plain_run(const unsigned char *p, size_t n) {
        size_t i = 0;
        for (; n - i >= 8; i += 8) {
                uint64_t w;
                memcpy(&w, p + i, 8);
                if (word_needs_escape(w))
                        break;
        }
        while (i < n && !escapes[p[i]])
                i++;
        return i;
}

static void put_escape(Buf *b, unsigned char c) {
        char e = escapes[c];
        if (e != 'u') {
                buf_put(b, (char[]){'\\', e}, 2);
                return;
        }
        buf_put(b, (char[]){'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]}, 6);
}

static void put_escaped(Buf *b, Slice s) {
        const unsigned char *p = (const unsigned char *)s.data;
        size_t left = s.n;
        while (left > 0) {
                size_t run = plain_run(p, left);
                buf_put(b, p, run);
                p += run;
                left -= run;
                if (left > 0) {
                        put_escape(b, *p++);
                        left--;
                }
        }
}

void quote_json(Buf *b, Slice s) {
        /* Short plain text, the usual case: one reservation, one copy. */
        size_t run = s.n > 0 ? plain_run((const unsigned char *)s.data, s.n) : 0;
        if (run == s.n) {
                char *p = buf_extend(b, s.n + 2);
                if (!p)
                        return;
                p[0] = '"';
                if (s.n > 0)
                        memcpy(p + 1, s.data, s.n);
                p[s.n + 1] = '"';
                return;
        }
        buf_put_char(b, '"');
        buf_put(b, s.data, run);
        put_escaped(b, (Slice){s.data + run, s.n - run});
        buf_put_char(b, '"');
}

void quote_json_lossy(Buf *b, Slice s) {
        if (slice_is_utf8(s)) {
                quote_json(b, s);
                return;
        }
        buf_put_char(b, '"');
        while (s.n > 0) {
                size_t good = slice_utf8_prefix(s);
                put_escaped(b, (Slice){s.data, good});
                s.data += good;
                s.n -= good;
                if (s.n > 0) {
                        buf_put(b, "\xef\xbf\xbd", 3);
                        s.data++;
                        s.n--;
                }
        }
        buf_put_char(b, '"');
}

static void put_token(Buf *b, Slice name, char also) {
        static const char hex[] = "0123456789ABCDEF";
        for (size_t i = 0; i < name.n; i++) {
                unsigned char c = (unsigned char)name.data[i];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                             c == '_' || c == '-' || c == also;
                if (plain)
                        buf_put_char(b, (char)c);
                else
                        buf_put(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
}

void quote_token(Buf *b, Slice name) { put_token(b, name, '-'); }

void quote_tokens(Buf *b, Slice names) { put_token(b, names, '.'); }

void quote_type_token(Buf *b, Slice type_name) { put_token(b, type_name, ':'); }
