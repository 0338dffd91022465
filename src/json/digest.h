#pragma once
/* SHA-256, by OpenSSL (the only file that includes <openssl/evp.h> is digest.c). Deterministic, no I/O. */

#include "base/buf.h"

#define DIGEST_SIZE 32
#define DIGEST_TEXT_SIZE 64 /* lower-case hex, without NUL */

typedef struct Digest { uint8_t bytes[DIGEST_SIZE]; } Digest;

/** SHA-256 of the concatenated slices; 0 or -ENOMEM. One context is kept per thread. */
int digest_slices(const Slice *slices, size_t n_slices, Digest *ret);
static inline int digest_slice(Slice s, Digest *ret) { return digest_slices(&s, 1, ret); }
void digest_format(const Digest *d, char ret[DIGEST_TEXT_SIZE + 1]);
bool digest_parse(Slice hex, Digest *ret);
static inline bool digest_eq(const Digest *a, const Digest *b) {
        return !memcmp(a->bytes, b->bytes, DIGEST_SIZE);
}
