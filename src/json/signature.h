#pragma once
/* Ed25519 (RFC 8032), by OpenSSL. Deterministic, no I/O: a key comes from its seed, or from a text that holds it. */

#include "base/slice.h"

#define SIGNATURE_SIZE     64
#define SIGNATURE_KEY_SIZE 32

typedef struct SigningKey {
        uint8_t seed[SIGNATURE_KEY_SIZE]; /* the secret half */
        uint8_t verifier[SIGNATURE_KEY_SIZE]; /* the public half */
} SigningKey;

/** The key of @seed (32 random bytes). 0 or -ENOMEM. */
int signing_key_from_seed(const uint8_t seed[SIGNATURE_KEY_SIZE], SigningKey *ret);
/** The key in @pem: PKCS#8, Ed25519, not encrypted. 0; -EINVAL: it holds no such key; -ENOMEM. */
int signing_key_from_pem(Slice pem, SigningKey *ret);
/** Sign @text. 0 or -ENOMEM. */
int signature_make(const SigningKey *key, Slice text, uint8_t ret[SIGNATURE_SIZE]);
/** Is @signature one of @text by whoever has the secret half of @verifier? 0: yes; -EBADMSG: no; -ENOMEM. */
int signature_check(const uint8_t verifier[SIGNATURE_KEY_SIZE], Slice text, const uint8_t signature[SIGNATURE_SIZE]);
