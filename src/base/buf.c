/*
 * Growing byte buffer and its reader
 *
 * Writers of records and messages put dozens of small fields; checking each one would bury the code
 * under error handling. So the error is sticky: whoever fills a Buf checks once at the end, and what
 * came after the first failure was thrown away. The reader is its mirror: reads past the end give
 * zeros, and `failed` says so at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

#define BUF_CAP_MIN 64  /* first allocation */
#define VARINT_MAX 10   /* bytes of a 64-bit LEB128 */
#define DECIMAL_MAX 20  /* "-9223372036854775808" */

void buf_deinit(Buf *b) {
        free(b->data);
        *b = (Buf){0};
}

void buf_reset(Buf *b) {
        b->n = 0;
        b->error = 0;
}

int buf_grow(Buf *b, size_t n) {
        if (b->error)
                return b->error;
        size_t max = b->limit ? b->limit : SIZE_MAX - 1;
        if (b->n > max || n > max - b->n)
                return b->error = -EFBIG;
        size_t need = b->n + n + 1; /* one to spare for a NUL */
        if (need <= b->cap)
                return 0;
        size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
        while (cap < need)
                cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        char *data = realloc(b->data, cap);
        if (!data)
                return b->error = -ENOMEM;
        b->data = data;
        b->cap = cap;
        return 0;
}

void buf_vprintf(Buf *b, const char *format, va_list ap) {
        va_list again;
        va_copy(again, ap);
        size_t room = b->error ? 0 : b->cap - b->n;
        int n = vsnprintf(room ? b->data + b->n : NULL, room, format, ap);
        if (n < 0) {
                if (!b->error) /* lack of memory; the compiler has checked the format */
                        b->error = -ENOMEM;
        } else if (buf_reserve(b, (size_t)n) == 0) {
                if ((size_t)n >= room)
                        vsnprintf(b->data + b->n, (size_t)n + 1, format, again);
                b->n += (size_t)n;
        }
        va_end(again);
}

void buf_printf(Buf *b, const char *format, ...) {
        va_list ap;
        va_start(ap, format);
        buf_vprintf(b, format, ap);
        va_end(ap);
}

void buf_put_u8(Buf *b, uint8_t v) { buf_put_char(b, (char)v); }

void buf_put_u16(Buf *b, uint16_t v) { buf_put(b, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2); }

void buf_put_u32(Buf *b, uint32_t v) {
        buf_put(b, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

void buf_put_u64(Buf *b, uint64_t v) {
        uint8_t bytes[8];
        for (int i = 0; i < 8; i++)
                bytes[i] = (uint8_t)(v >> (56 - 8 * i));
        buf_put(b, bytes, sizeof(bytes));
}

void buf_put_varint(Buf *b, uint64_t v) {
        uint8_t bytes[VARINT_MAX];
        size_t n = 0;
        for (; v >= 0x80; v >>= 7)
                bytes[n++] = (uint8_t)(v | 0x80);
        bytes[n++] = (uint8_t)v;
        buf_put(b, bytes, n);
}

void buf_put_bytes(Buf *b, Slice s) {
        buf_put_varint(b, s.n);
        buf_put(b, s.data, s.n);
}

void buf_put_decimal(Buf *b, int64_t v) {
        char text[DECIMAL_MAX];
        size_t at = sizeof(text);
        uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
        do {
                text[--at] = (char)('0' + u % 10);
                u /= 10;
        } while (u > 0);
        if (v < 0)
                text[--at] = '-';
        buf_put(b, text + at, sizeof(text) - at);
}

char *buf_steal_str(Buf *b) {
        if (buf_reserve(b, 0) < 0)
                return NULL;
        char *s = b->data;
        s[b->n] = '\0';
        *b = (Buf){.limit = b->limit};
        return s;
}

/** @n bytes, or NULL and `failed`. */
static const uint8_t *reader_pull(Reader *r, size_t n) {
        if (r->failed || n > (size_t)(r->end - r->p)) {
                r->failed = true;
                return NULL;
        }
        r->p += n;
        return r->p - n;
}

static uint64_t reader_big_endian(Reader *r, size_t n) {
        const uint8_t *p = reader_pull(r, n);
        uint64_t v = 0;
        for (size_t i = 0; p && i < n; i++)
                v = v << 8 | p[i];
        return v;
}

uint8_t reader_u8(Reader *r) { return (uint8_t)reader_big_endian(r, 1); }
uint16_t reader_u16(Reader *r) { return (uint16_t)reader_big_endian(r, 2); }
uint32_t reader_u32(Reader *r) { return (uint32_t)reader_big_endian(r, 4); }
uint64_t reader_u64(Reader *r) { return reader_big_endian(r, 8); }

uint64_t reader_varint(Reader *r) {
        uint64_t v = 0;
        for (int i = 0; i < VARINT_MAX; i++) {
                const uint8_t *p = reader_pull(r, 1);
                if (!p)
                        return 0;
                /* The tenth byte has room for one bit; a last byte of 0 makes it longer than needed. */
                if ((i == VARINT_MAX - 1 && *p > 1) || (i > 0 && *p == 0))
                        break;
                v |= (uint64_t)(*p & 0x7f) << (7 * i);
                if (*p < 0x80)
                        return v;
        }
        r->failed = true;
        return 0;
}

Slice reader_take(Reader *r, size_t n) {
        const uint8_t *p = reader_pull(r, n);
        return p ? slice_from_bytes(p, n) : SLICE_NULL;
}

Slice reader_bytes(Reader *r) {
        uint64_t n = reader_varint(r);
        if (n > SIZE_MAX) {
                r->failed = true;
                return SLICE_NULL;
        }
        return reader_take(r, (size_t)n);
}
