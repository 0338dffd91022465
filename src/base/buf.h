#pragma once
/* A growing byte buffer with a sticky error, and the reader for what it wrote. */

#include <stdarg.h>
#include "base/slice.h"

/**
 * Zero-initialised is empty and valid. The first failure (out of memory, or `limit` bytes passed
 * when limit is not 0) sets `error` to -ENOMEM or -EFBIG, and every later put is a no-op: check
 * once, at the end.
 */
typedef struct Buf {
        char *data;
        size_t n;
        size_t cap;
        size_t limit; /* bytes; 0: SIZE_MAX */
        int error;    /* 0, -ENOMEM, -EFBIG */
} Buf;

void buf_deinit(Buf *b);
/** Forget contents and error, keep the memory. */
void buf_reset(Buf *b);
static inline Slice buf_slice(const Buf *b) { return (Slice){b->data, b->n}; }
/** The slow half of buf_reserve: the limit, then the memory, with a byte to spare for buf_steal_str's NUL. */
int buf_grow(Buf *b, size_t n);
/** Room for @n more bytes, without changing n; 0 or the sticky error. */
static inline int buf_reserve(Buf *b, size_t n) {
        /* `limit - 1` makes "0: no limit" the largest number: one comparison serves both. */
        if (!b->error && n < b->cap - b->n && b->n + n - 1 <= b->limit - 1)
                return 0;
        return buf_grow(b, n);
}
/** @n bytes of fresh room appended, to be filled by the caller; NULL on (sticky) error. */
static inline char *buf_extend(Buf *b, size_t n) {
        if (buf_reserve(b, n) < 0)
                return NULL;
        b->n += n;
        return b->data + b->n - n;
}
static inline void buf_put(Buf *b, const void *data, size_t n) {
        char *p = n ? buf_extend(b, n) : NULL;
        if (p)
                memcpy(p, data, n);
}
static inline void buf_put_slice(Buf *b, Slice s) { buf_put(b, s.data, s.n); }
static inline void buf_put_str(Buf *b, const char *s) { buf_put(b, s, strlen(s)); }
static inline void buf_put_char(Buf *b, char c) {
        char *p = buf_extend(b, 1);
        if (p)
                *p = c;
}
void buf_printf(Buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/** Integers big-endian, so that byte order is number order. */
void buf_put_u8(Buf *b, uint8_t v);
void buf_put_u16(Buf *b, uint16_t v);
void buf_put_u32(Buf *b, uint32_t v);
void buf_put_u64(Buf *b, uint64_t v);
/** LEB128, 1–10 bytes; the shortest form only (the reader refuses others). */
void buf_put_varint(Buf *b, uint64_t v);
/** varint length, then the bytes. */
void buf_put_bytes(Buf *b, Slice s);
/** Append decimal digits; faster than printf on the hot path. */
void buf_put_decimal(Buf *b, int64_t v);
/** The contents as an owned NUL-terminated string (b is left empty); NULL on (sticky) error. */
char *buf_steal_str(Buf *b);

/**
 * Reads what the puts above wrote. Sticky: past the end or malformed sets `failed`, and every
 * later read gives zero or an empty slice. Slices borrow the reader's bytes.
 */
typedef struct Reader {
        const uint8_t *p, *end;
        bool failed;
} Reader;

static inline Reader reader_from_slice(Slice s) {
        const uint8_t *p = (const uint8_t *)(s.data ? s.data : ""); /* NULL + 0 is undefined in C */
        return (Reader){p, p + s.n, false};
}
static inline size_t reader_left(const Reader *r) { return r->failed ? 0 : (size_t)(r->end - r->p); }
uint8_t reader_u8(Reader *r);
uint16_t reader_u16(Reader *r);
uint32_t reader_u32(Reader *r);
uint64_t reader_u64(Reader *r);
uint64_t reader_varint(Reader *r);
Slice reader_bytes(Reader *r);        /* varint length + bytes */
Slice reader_take(Reader *r, size_t n); /* @n raw bytes */
