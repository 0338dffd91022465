/*
 * Keys. Numbers are big-endian, so that byte order is number order. Texts end in 00 00, with 00 FF for a zero
 * byte inside: texts keep their order, and a key's parts can't run into each other, whatever bytes a tenant
 * or an event type has. A text too long for a key is cut and ends in 00 01 and the SHA-256 of the whole:
 * still one key for one text, still nearly in order; its full form is in the value where anybody needs it.
 */
#include "storage/store_impl.h"

#include <assert.h>

#define TEXT_CUT 64 /* bytes of a long text that come before its digest */

void store_key_put(Key *k, const void *data, size_t n) {
        assert(n <= KV_KEY_MAX - k->n);
        memcpy(k->bytes + k->n, data, n);
        k->n += n;
}

void store_key_u8(Key *k, uint8_t v) { store_key_put(k, &v, 1); }

void store_key_u32(Key *k, uint32_t v) {
        uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        store_key_put(k, b, sizeof(b));
}

void store_key_u64(Key *k, uint64_t v) {
        store_key_u32(k, (uint32_t)(v >> 32));
        store_key_u32(k, (uint32_t)v);
}

void store_key_time(Key *k, int64_t ms) { store_key_u64(k, (uint64_t)ms ^ (uint64_t)1 << 63); }

void store_key_uuid(Key *k, Uuid id) { store_key_put(k, id.bytes, sizeof(id.bytes)); }

/** Put @text with its zeros escaped, as much of it as fits @room bytes. Returns how much of it that was. */
static size_t put_escaped(Key *k, Slice text, size_t room) {
        size_t i = 0, n = 0;

        for (; i < text.n; i++) {
                size_t need = text.data[i] ? 1 : 2;
                if (n + need > room)
                        break;
                n += need;
                store_key_u8(k, (uint8_t)text.data[i]);
                if (!text.data[i])
                        store_key_u8(k, 0xff);
        }
        return i;
}

void store_key_text(Key *k, Slice text) {
        size_t begin = k->n;
        Digest digest;

        if (text.n <= KEY_TEXT_MAX && (text.n == 0 || !memchr(text.data, 0, text.n))) {
                if (text.n > 0)
                        store_key_put(k, text.data, text.n);
                store_key_put(k, "\0\0", 2);
                return;
        }
        if (put_escaped(k, text, KEY_TEXT_MAX) == text.n) {
                store_key_put(k, "\0\0", 2);
                return;
        }
        k->n = begin;
        put_escaped(k, text, TEXT_CUT);
        if (digest_slice(text, &digest) < 0) {
                k->failed = true;
                return;
        }
        store_key_put(k, "\0\1", 2);
        store_key_put(k, digest.bytes, DIGEST_SIZE);
}

Reader store_key_tail(Slice key, size_t n) {
        Reader r = reader_from_slice(key);

        if (key.n < n)
                r.failed = true;
        else
                r.p = r.end - n;
        return r;
}

int64_t store_key_take_time(Reader *r) { return (int64_t)(reader_u64(r) ^ (uint64_t)1 << 63); }

Uuid store_key_take_uuid(Reader *r) {
        Uuid id = UUID_NIL;
        Slice s = reader_take(r, sizeof(id.bytes));
        if (s.n)
                memcpy(id.bytes, s.data, s.n);
        return id;
}
