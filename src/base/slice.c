/* Slices: order, copies, UTF-8, numbers, "did you mean". */
#include <stdlib.h>

#include "base/slice.h"

#define NEAREST_NAME_MAX 64
#define NEAREST_EDITS_MAX 3

int slice_cmp(Slice a, Slice b) {
        size_t n = a.n < b.n ? a.n : b.n;
        int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
        return order ? order : (a.n > b.n) - (a.n < b.n);
}

char *slice_dup(Slice s) {
        char *p = s.n < SIZE_MAX ? malloc(s.n + 1) : NULL;
        if (!p)
                return NULL;
        if (s.n > 0)
                memcpy(p, s.data, s.n);
        p[s.n] = '\0';
        return p;
}

/**
 * Length of the UTF-8 character at @p, 0 if there is none in the @n bytes left. The second byte's range
 * holds the whole rule (Unicode, table 3-7): it rules out overlongs, surrogates and what is past U+10FFFF.
 */
static size_t utf8_char(const unsigned char *p, size_t n) {
        unsigned char lead = p[0], low = 0x80, high = 0xbf;
        if (lead < 0x80)
                return 1;
        size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
        if (length == 0 || n < length)
                return 0;
        switch (lead) {
        case 0xe0: low = 0xa0; break;
        case 0xed: high = 0x9f; break;
        case 0xf0: low = 0x90; break;
        case 0xf4: high = 0x8f; break;
        default: break;
        }
        if (p[1] < low || p[1] > high)
                return 0;
        for (size_t i = 2; i < length; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        return length;
}

size_t slice_utf8_prefix(Slice s) {
        const unsigned char *p = (const unsigned char *)s.data;
        size_t i = 0;
        while (i < s.n) {
                uint64_t word;
                if (s.n - i >= sizeof(word)) {
                        memcpy(&word, p + i, sizeof(word));
                        if (!(word & 0x8080808080808080ULL)) { /* eight of ASCII */
                                i += sizeof(word);
                                continue;
                        }
                }
                size_t length = utf8_char(p + i, s.n - i);
                if (length == 0)
                        break;
                i += length;
        }
        return i;
}

bool slice_is_utf8(Slice s) { return slice_utf8_prefix(s) == s.n; }

Slice slice_cut_utf8(Slice s, size_t n_max) {
        if (s.n <= n_max)
                return s;
        size_t n = n_max;
        while (n > 0 && n_max - n < 4 && ((unsigned char)s.data[n] & 0xc0) == 0x80)
                n--;
        return (Slice){s.data, n};
}

int slice_hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int slice_percent_byte(Slice s) {
        if (s.n < 3 || s.data[0] != '%')
                return -1;
        int high = slice_hex_digit(s.data[1]), low = slice_hex_digit(s.data[2]);
        return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool slice_to_u64(Slice s, uint64_t *ret) {
        uint64_t v = 0;
        if (s.n == 0)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                if (s.data[i] < '0' || s.data[i] > '9')
                        return false;
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(s.data[i] - '0'), &v))
                        return false;
        }
        *ret = v;
        return true;
}

static unsigned min3(unsigned a, unsigned b, unsigned c) {
        unsigned m = a < b ? a : b;
        return m < c ? m : c;
}

/** Edits (insert, delete, replace, swap of neighbours) from @a to @b, both at most NEAREST_NAME_MAX bytes. */
static unsigned edit_distance(Slice a, Slice b) {
        unsigned char rows[3][NEAREST_NAME_MAX + 1];
        unsigned char *before = rows[0], *above = rows[1], *row = rows[2];
        for (size_t j = 0; j <= b.n; j++)
                above[j] = before[j] = (unsigned char)j;
        for (size_t i = 1; i <= a.n; i++) {
                row[0] = (unsigned char)i;
                for (size_t j = 1; j <= b.n; j++) {
                        bool differs = a.data[i - 1] != b.data[j - 1];
                        unsigned d = min3(above[j] + 1u, row[j - 1] + 1u, above[j - 1] + differs);
                        bool swapped = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                                       a.data[i - 2] == b.data[j - 1];
                        if (swapped && before[j - 2] + 1u < d)
                                d = before[j - 2] + 1u;
                        row[j] = (unsigned char)d;
                }
                unsigned char *oldest = before;
                before = above;
                above = row;
                row = oldest;
        }
        return above[b.n];
}

const char *slice_nearest(Slice name, const char *const *candidates, size_t n_candidates) {
        if (name.n == 0 || name.n > NEAREST_NAME_MAX)
                return NULL;
        size_t edits_max = name.n / 3;
        if (edits_max < 1)
                edits_max = 1;
        if (edits_max > NEAREST_EDITS_MAX)
                edits_max = NEAREST_EDITS_MAX;
        const char *nearest = NULL;
        size_t fewest = edits_max + 1;
        for (size_t i = 0; i < n_candidates; i++) {
                Slice candidate = slice_from_str(candidates[i]);
                size_t longer = candidate.n > name.n ? candidate.n - name.n : name.n - candidate.n;
                if (candidate.n > NEAREST_NAME_MAX || longer >= fewest)
                        continue;
                unsigned distance = edit_distance(name, candidate);
                if (distance < fewest) {
                        fewest = distance;
                        nearest = candidates[i];
                }
        }
        return nearest;
}
