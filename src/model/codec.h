#pragma once
/*
 * What the record encoders share. Encodings are canonical: one state has one spelling, and a decoder refuses
 * every other one (a field marked present that holds its default, bytes left over), so that equal bytes mean
 * equal state.
 */

#include <errno.h>
#include "base/buf.h"
#include "base/uuid.h"
#include "json/digest.h"
#include "json/value.h"

/** Signed numbers whose small magnitudes are short. */
static inline void codec_put_signed(Buf *b, int64_t v) {
        buf_put_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}
static inline int64_t codec_signed(Reader *r) {
        uint64_t v = reader_varint(r);
        return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
/** A time as its distance from the last one written; wraps, so any value survives. */
static inline void codec_put_time(Buf *b, int64_t t, int64_t *last) {
        codec_put_signed(b, (int64_t)((uint64_t)t - (uint64_t)*last));
        *last = t;
}
static inline int64_t codec_time(Reader *r, int64_t *last) {
        return *last = (int64_t)((uint64_t)*last + (uint64_t)codec_signed(r));
}
static inline uint32_t codec_u32(Reader *r) {
        uint64_t v = reader_varint(r);
        if (v > UINT32_MAX)
                r->failed = true;
        return (uint32_t)v;
}
/** A field that is written only when it is not 0. */
static inline uint32_t codec_u32_nonzero(Reader *r) {
        uint32_t v = codec_u32(r);
        if (v == 0)
                r->failed = true;
        return v;
}
/** An index or "none" (UINT32_MAX), none being the shortest. */
static inline void codec_put_index(Buf *b, uint32_t v) { buf_put_varint(b, (uint32_t)(v + 1)); }
static inline uint32_t codec_index(Reader *r) { return codec_u32(r) - 1; }

static inline void codec_put_uuid(Buf *b, const Uuid *u) { buf_put(b, u->bytes, sizeof(u->bytes)); }
static inline Uuid codec_uuid(Reader *r) {
        Uuid u = UUID_NIL;
        Slice s = reader_take(r, sizeof(u.bytes));
        if (s.n)
                memcpy(u.bytes, s.data, s.n);
        return u;
}
static inline Digest codec_digest(Reader *r) {
        Digest d = {{0}};
        Slice s = reader_take(r, sizeof(d.bytes));
        if (s.n)
                memcpy(d.bytes, s.data, s.n);
        return d;
}
static inline bool codec_digest_is_zero(const Digest *d) {
        static const Digest zero;
        return digest_eq(d, &zero);
}
/** The canonical bytes of @v, which is not NULL. Canonical JSON is never empty: no bytes means no memory. */
static inline Slice codec_value_bytes(Buf *b, Value *v) {
        Slice s = value_bytes(v);
        if (s.n == 0 && !b->error)
                b->error = -ENOMEM;
        return s;
}
static inline void codec_put_value(Buf *b, Value *v) { buf_put_bytes(b, codec_value_bytes(b, v)); }
/** 0 with a new reference; -EBADMSG; -ENOMEM. */
static inline int codec_value(Reader *r, Value **ret) {
        Slice s = reader_bytes(r);
        if (r->failed || s.n == 0)
                return -EBADMSG;
        *ret = value_new_bytes(s);
        return *ret ? 0 : -ENOMEM;
}
/** An owned NUL-terminated string. */
static inline int codec_string(Reader *r, char **ret) {
        Slice s = reader_bytes(r);
        if (r->failed || (s.n && memchr(s.data, 0, s.n)))
                return -EBADMSG;
        *ret = slice_dup(s);
        return *ret ? 0 : -ENOMEM;
}
