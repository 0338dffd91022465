/* Text for terminals. */

#include <stdio.h>
#include <time.h>
#include <wchar.h>
#include "base/clock.h"
#include "cli/text.h"

#define DURATION_MS_MAX (10LL * 366 * 86400 * 1000)

/* ── Characters ────────────────────────────────────────────────────────────────────────────────── */

/** Decode one character of well-formed or malformed UTF-8; bytes used (≥ 1), and U+FFFD in *ret for what is
 * none. */
static size_t decode(Slice s, uint32_t *ret) {
        unsigned char c = (unsigned char)s.data[0];
        size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

        if (c < 0x80) {
                *ret = c;
                return 1;
        }
        if (n > s.n || !slice_is_utf8((Slice){s.data, n})) {
                *ret = 0xfffd;
                return 1;
        }
        *ret = c & (0xffu >> (n + 1));
        for (size_t i = 1; i < n; i++)
                *ret = *ret << 6 | ((unsigned char)s.data[i] & 0x3f);
        return n;
}

/** Characters that steer a terminal or turn the direction of writing. */
static bool is_steering(uint32_t c) {
        return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200e || c == 0x200f ||
               (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029 ||
               c == 0xfeff;
}

/** One character as it will be shown: its bytes and its columns. */
typedef struct Glyph {
        const char *bytes;
        size_t n_bytes;
        int width;
} Glyph;

static size_t next_glyph(const CliTerm *term, Slice s, Glyph *ret) {
        uint32_t c;
        size_t n = decode(s, &c);

        if (c == '\n' || c == '\t' || c == '\r') {
                *ret = (Glyph){" ", 1, 1};
        } else if (is_steering(c) || (c >= 0x80 && !term->utf8)) {
                *ret = (Glyph){"?", 1, 1};
        } else if (c == 0xfffd) {
                *ret = (Glyph){"\xef\xbf\xbd", 3, 1};
        } else {
                int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);

                *ret = width < 0 ? (Glyph){"?", 1, 1} : (Glyph){s.data, n, width};
        }
        return n;
}

int text_width(const CliTerm *term, Slice s) {
        int width = 0;

        for (size_t i = 0; i < s.n;) {
                Glyph g;

                i += next_glyph(term, (Slice){s.data + i, s.n - i}, &g);
                width += g.width;
        }
        return width;
}

int text_put(Buf *b, const CliTerm *term, Slice s, int width) {
        const char *dots = term->utf8 ? "…" : "...";
        int n_dots = term->utf8 ? 1 : 3, used = 0;
        bool cut = width != TEXT_ANY_WIDTH && text_width(term, s) > width;
        int room;

        if (n_dots > width)
                n_dots = 0;
        room = cut ? width - n_dots : INT32_MAX;

        for (size_t i = 0; i < s.n;) {
                Glyph g;

                i += next_glyph(term, (Slice){s.data + i, s.n - i}, &g);
                if (used + g.width > room)
                        break;
                buf_put(b, g.bytes, g.n_bytes);
                used += g.width;
        }
        if (cut && n_dots > 0) {
                buf_put_str(b, dots);
                used += n_dots;
        }
        return used;
}

void text_put_lines(Buf *b, const CliTerm *term, Slice s, int indent) {
        while (s.n > 0) {
                const char *end = memchr(s.data, '\n', s.n);
                size_t n = end ? (size_t)(end - s.data) : s.n;

                text_pad(b, indent);
                text_put(b, term, (Slice){s.data, n}, TEXT_ANY_WIDTH);
                buf_put_char(b, '\n');
                n += end != NULL;
                s = (Slice){s.data + n, s.n - n};
        }
}

void text_pad(Buf *b, int n) {
        for (; n > 0; n--)
                buf_put_char(b, ' ');
}

static const char *const color_codes[N_COLORS] = {
                [COLOR_BOLD] = "\033[1m",     [COLOR_DIM] = "\033[2m",     [COLOR_RED] = "\033[31m",
                [COLOR_GREEN] = "\033[32m",   [COLOR_YELLOW] = "\033[33m", [COLOR_BLUE] = "\033[34m",
                [COLOR_MAGENTA] = "\033[35m", [COLOR_CYAN] = "\033[36m",
};

void text_color(Buf *b, const CliTerm *term, TextColor color) {
        if (term->color && color_codes[color])
                buf_put_str(b, color_codes[color]);
}

void text_plain(Buf *b, const CliTerm *term) {
        if (term->color)
                buf_put_str(b, "\033[0m");
}

/* ── Times and durations ───────────────────────────────────────────────────────────────────────── */

void text_put_duration(Buf *b, int64_t ms) {
        long long s;

        if (ms < 0)
                ms = 0;
        s = (long long)ms / 1000;
        if (s < 60)
                buf_printf(b, "%lld.%llds", s, (long long)ms % 1000 / 100);
        else if (s < 3600)
                buf_printf(b, "%lld:%02lld", s / 60, s % 60);
        else if (s < 86400)
                buf_printf(b, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
        else
                buf_printf(b, "%lldd %02lld:%02lld", s / 86400, s / 3600 % 24, s / 60 % 60);
}

void text_put_time(Buf *b, int64_t unix_ms, int64_t now_ms) {
        time_t t = (time_t)(unix_ms / 1000), now = (time_t)(now_ms / 1000);
        struct tm there, here;
        char text[32];

        if (!localtime_r(&t, &there) || !localtime_r(&now, &here)) {
                buf_put_str(b, "?");
                return;
        }
        strftime(text, sizeof text,
                 there.tm_year == here.tm_year && there.tm_yday == here.tm_yday ? "%H:%M:%S"
                                                                                : "%Y-%m-%d %H:%M:%S",
                 &there);
        buf_put_str(b, text);
}

void text_put_property(Buf *b, const CliTerm *term, int name_width, const char *name, const char *value) {
        if (!*value)
                return;
        text_color(b, term, COLOR_DIM);
        buf_printf(b, "%-*s", name_width, name);
        text_plain(b, term);
        text_put_str(b, term, value, TEXT_ANY_WIDTH);
        buf_put_char(b, '\n');
}

static const struct {
        const char *unit;
        int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"ms", 1}, {"s", 1000}};

bool text_parse_duration(Slice s, int64_t *ret_ms) {
        int64_t total = 0;

        if (s.n == 0)
                return false;
        while (s.n > 0) {
                size_t n_digits = 0, n_unit = 0;
                int64_t factor = 0;
                uint64_t value;

                while (n_digits < s.n && s.data[n_digits] >= '0' && s.data[n_digits] <= '9')
                        n_digits++;
                while (n_digits + n_unit < s.n && s.data[n_digits + n_unit] >= 'a' &&
                       s.data[n_digits + n_unit] <= 'z')
                        n_unit++;
                if (!slice_to_u64((Slice){s.data, n_digits}, &value) || value > DURATION_MS_MAX)
                        return false;
                for (size_t i = 0; i < sizeof units / sizeof *units; i++)
                        if (slice_eq_str((Slice){s.data + n_digits, n_unit}, units[i].unit))
                                factor = units[i].ms;
                if (n_unit == 0 && n_digits == s.n && total == 0)
                        factor = 1000;
                if (factor == 0 || (int64_t)value > (DURATION_MS_MAX - total) / factor)
                        return false;
                total += (int64_t)value * factor;
                s = (Slice){s.data + n_digits + n_unit, s.n - n_digits - n_unit};
        }
        *ret_ms = total;
        return true;
}

bool text_parse_time(Slice s, int64_t now_ms, int64_t *ret_unix_ms) {
        struct tm day = {.tm_isdst = -1};
        char text[16];
        int64_t ago;
        int n = 0;

        if (time_parse_ms(s, ret_unix_ms))
                return true;
        if (text_parse_duration(s, &ago)) {
                *ret_unix_ms = now_ms - ago;
                return true;
        }
        if (s.n != 10)
                return false;
        memcpy(text, s.data, 10);
        text[10] = 0;
        if (sscanf(text, "%4d-%2d-%2d%n", &day.tm_year, &day.tm_mon, &day.tm_mday, &n) != 3 || n != 10)
                return false;
        day.tm_year -= 1900;
        day.tm_mon -= 1;
        if (day.tm_mon < 0 || day.tm_mon > 11 || day.tm_mday < 1 || day.tm_mday > 31)
                return false;
        *ret_unix_ms = (int64_t)mktime(&day) * 1000;
        return true;
}

void text_put_shell(Buf *b, Slice s) {
        static const char plain[] =
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+=,";
        bool quote = s.n == 0;

        for (size_t i = 0; i < s.n; i++)
                quote |= memchr(plain, s.data[i], sizeof plain - 1) == NULL;
        if (!quote) {
                buf_put_slice(b, s);
                return;
        }
        buf_put_char(b, '\'');
        for (size_t i = 0; i < s.n; i++) {
                if (s.data[i] == '\'')
                        buf_put_str(b, "'\\''");
                else
                        buf_put_char(b, s.data[i]);
        }
        buf_put_char(b, '\'');
}
