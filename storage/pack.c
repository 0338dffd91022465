/*
 * Texts are packed as sequences of "so many bytes as they stand, then so many bytes again from so far back":
 *
 *     token      high nibble: literal length, low nibble: match length - 4; 15 goes on in further bytes of up
 * to 255 literals distance   2 bytes, little-endian, 1 … 65535; left out after the last literals, where the
 * text ends
 *
 * Matches are found through a table of the last place of each hashed four bytes: one probe, no chains. That
 * finds most of what there is to find in event texts (the field names, the execution's id, the hash of the
 * event before) at some 10 ns a match. The table holds places in the text, so it needs clearing for each; it
 * is sized by the text for that reason.
 */
#include "storage/pack.h"

#include <stdint.h>

#define MATCH_MIN      4
#define DISTANCE_MAX   65535
#define NIBBLE_MAX     15
#define TABLE_BITS_MIN 8
#define TABLE_BITS_MAX 13 /* 8192 places: 32 KiB of stack */
#define SKIP_SHIFT                                                                                           \
        5 /* after 32 probes in vain the stride grows: what does not repeat is passed over quickly */

static uint32_t load32(const uint8_t *p) {
        uint32_t v;
        memcpy(&v, p, sizeof(v));
        return v;
}

static uint64_t load64(const uint8_t *p) {
        uint64_t v;
        memcpy(&v, p, sizeof(v));
        return v;
}

/** How many bytes at @a and @b agree, @b before @end. */
static size_t match_length(const uint8_t *a, const uint8_t *b, const uint8_t *end) {
        const uint8_t *begin = b;

        while (end - b >= 8 && load64(a) == load64(b))
                a += 8, b += 8;
        while (b < end && *a == *b)
                a++, b++;
        return (size_t)(b - begin);
}

static uint8_t *put_length(uint8_t *out, size_t n) {
        for (; n >= 255; n -= 255)
                *out++ = 255;
        *out++ = (uint8_t)n;
        return out;
}

/** Literals and, unless @n_match is 0, a match. @out has room. */
static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals, size_t n_literals, size_t distance,
                             size_t n_match) {
        size_t more = n_match ? n_match - MATCH_MIN : 0;
        uint8_t *token = out++;

        *token = (uint8_t)((n_literals < NIBBLE_MAX ? n_literals : NIBBLE_MAX) << 4 |
                           (more < NIBBLE_MAX ? more : NIBBLE_MAX));
        if (n_literals >= NIBBLE_MAX)
                out = put_length(out, n_literals - NIBBLE_MAX);
        memcpy(out, literals, n_literals);
        out += n_literals;
        if (n_match) {
                *out++ = (uint8_t)distance;
                *out++ = (uint8_t)(distance >> 8);
                if (more >= NIBBLE_MAX)
                        out = put_length(out, more - NIBBLE_MAX);
        }
        return out;
}

/** What a sequence can take at most, without its literals: token, two lengths, distance. */
static size_t sequence_bound(size_t n_literals, size_t n_match) {
        return 1 + n_literals / 255 + 1 + 2 + n_match / 255 + 1;
}

/** Pack into at most @room bytes at @out; returns the size, 0 if it does not fit. */
static size_t pack_into(const uint8_t *text, size_t n, uint8_t *out, size_t room) {
        uint32_t table[1 << TABLE_BITS_MAX];
        unsigned bits = TABLE_BITS_MIN;
        const uint8_t *end = text + n, *anchor = text, *p = text;
        uint8_t *o = out;

        while (bits < TABLE_BITS_MAX && (size_t)4 << bits < n)
                bits++;
        memset(table, 0, sizeof(*table) << bits);
        while (end - p >= 2 * MATCH_MIN) {
                uint32_t *place = &table[(load32(p) * 2654435761u) >> (32 - bits)];
                const uint8_t *before = text + *place;
                *place = (uint32_t)(p - text);
                if (before >= p || p - before > DISTANCE_MAX || load32(before) != load32(p)) {
                        p += 1 + ((size_t)(p - anchor) >> SKIP_SHIFT);
                        continue;
                }
                while (p > anchor && before > text && p[-1] == before[-1])
                        p--, before--;
                size_t n_literals = (size_t)(p - anchor), n_match = match_length(before, p, end);
                if ((size_t)(o - out) + sequence_bound(n_literals, n_match) + n_literals > room)
                        return 0;
                o = put_sequence(o, anchor, n_literals, (size_t)(p - before), n_match);
                p += n_match;
                anchor = p;
        }
        size_t n_literals = (size_t)(end - anchor);
        if ((size_t)(o - out) + sequence_bound(n_literals, 0) + n_literals > room)
                return 0;
        return (size_t)(put_sequence(o, anchor, n_literals, 0, 0) - out);
}

bool pack_text(Slice text, Buf *b) {
        size_t before = b->n, room = text.n - text.n / 8;

        if (text.n < PACK_MIN || text.n > PACK_MAX)
                return false;
        char *out = buf_extend(b, room);
        if (!out)
                return false;
        size_t n = pack_into((const uint8_t *)text.data, text.n, (uint8_t *)out, room);
        b->n = before + n;
        return n > 0;
}

/** A length whose nibble said 15; false past the end, or when it is beyond all sense. */
static bool take_length(const uint8_t **in, const uint8_t *end, size_t *n) {
        uint8_t more;

        do {
                if (*in == end || *n > PACK_MAX)
                        return false;
                more = *(*in)++;
                *n += more;
        } while (more == 255);
        return true;
}

bool unpack_text(Slice packed, char *ret, size_t n) {
        const uint8_t *in = (const uint8_t *)packed.data, *end = in + packed.n;
        uint8_t *begin = (uint8_t *)ret, *out = begin, *out_end = out + n;

        while (in < end) {
                uint8_t token = *in++;
                size_t n_literals = token >> 4, n_match = token & NIBBLE_MAX;
                if (n_literals == NIBBLE_MAX && !take_length(&in, end, &n_literals))
                        return false;
                if (n_literals > (size_t)(end - in) || n_literals > (size_t)(out_end - out))
                        return false;
                memcpy(out, in, n_literals);
                in += n_literals;
                out += n_literals;
                if (in == end)
                        return out == out_end && n_match == 0;
                if (end - in < 2)
                        return false;
                size_t distance = (size_t)in[0] | (size_t)in[1] << 8;
                in += 2;
                if (n_match == NIBBLE_MAX && !take_length(&in, end, &n_match))
                        return false;
                n_match += MATCH_MIN;
                if (distance == 0 || distance > (size_t)(out - begin) || n_match > (size_t)(out_end - out))
                        return false;
                const uint8_t *from = out - distance;
                if (distance >= n_match)
                        memcpy(out, from, n_match);
                else
                        for (size_t i = 0; i < n_match; i++) /* it feeds on itself */
                                out[i] = from[i];
                out += n_match;
        }
        return false;
}
