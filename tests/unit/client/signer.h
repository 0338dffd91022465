#pragma once
/* An engine that signs checkpoints, made in the test: its own key, OpenSSL's signature, no code of the verifier's. */

#include <jansson.h>
#include <openssl/evp.h>
#include "json/digest.h"

#define SIGNER_E1 "01900000-0000-7000-8000-00000000e001"
#define SIGNER_E2 "01900000-0000-7000-8000-00000000e002"
#define SIGNER_A  "01900000-0000-7000-8000-00000000000a"
#define SIGNER_B  "01900000-0000-7000-8000-00000000000b"

typedef struct Signer {
        const char *engine;
        EVP_PKEY *key;
        char public_key[45]; /* base64 */
        long long sequence;  /* of the last one made */
        char hash[DIGEST_TEXT_SIZE + 1];
} Signer;

void signer_init(Signer *s, const char *engine);
void signer_deinit(Signer *s);
/** 64 hex digits made of one digit, as the hash of an event. Borrowed. */
const char *signer_hash(char digit);
/** {id, sequence, hash, tenant}, owned. */
json_t *signer_head(const char *id, long long sequence, char digit);
/** The next checkpoint, with these heads (up to three, NULL: none; taken). Owned. */
json_t *signer_make(Signer *s, json_t *a, json_t *b, json_t *c);
/** Sign @event's statement anew, and seal it: what the engine itself could have made. */
void signer_sign(const Signer *s, json_t *event);
/** Put @event's hash right. */
void signer_seal(json_t *event);
/** @event's statement. Borrowed. */
json_t *signer_statement(const json_t *event);
