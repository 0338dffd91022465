#pragma once
/* The keys that tokens may be signed with: a JSON Web Key Set (RFC 7517) from a file. */

#include "base/report.h"

#define JWKS_KEYS_MAX       64
#define JWKS_RSA_BITS_MIN   2048
#define JWKS_HMAC_BYTES_MIN 32

typedef struct Jwks Jwks;

/** 0 and an owned set; -EINVAL with a sentence in @report, -ENOMEM. Keys of kinds we don't know are passed over. */
int jwks_load(const char *path, Report *report, Jwks **ret);
void jwks_free(Jwks *set);
/**
 * Is @signature one of @text by a key of the set that is for @alg, and called @kid (SLICE_NULL: any)? What a key is
 * for is the key's to say, never the token's: an RSA key is no secret for HS256.
 */
bool jwks_verify(const Jwks *set, Slice alg, Slice kid, Slice text, Slice signature);
