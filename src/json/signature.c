/* Ed25519 signatures. A key object is made for each use: they are few, and so there is nothing to own. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "json/signature.h"

static int key_take(EVP_PKEY *key, SigningKey *ret) {
        size_t n_seed = sizeof(ret->seed), n_verifier = sizeof(ret->verifier);
        if (EVP_PKEY_get_raw_private_key(key, ret->seed, &n_seed) != 1 || n_seed != sizeof(ret->seed) ||
            EVP_PKEY_get_raw_public_key(key, ret->verifier, &n_verifier) != 1 ||
            n_verifier != sizeof(ret->verifier))
                return -EINVAL;
        return 0;
}

int signing_key_from_seed(const uint8_t seed[SIGNATURE_KEY_SIZE], SigningKey *ret) {
        EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGNATURE_KEY_SIZE);
        int r = key && key_take(key, ret) == 0 ? 0 : -ENOMEM;
        EVP_PKEY_free(key);
        return r;
}

/** For PEM_read: an encrypted key is not asked about on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *userdata) { return -1; }

int signing_key_from_pem(Slice pem, SigningKey *ret) {
        BIO *bio = pem.n <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.n) : NULL;
        if (!bio)
                return -ENOMEM;
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
        int r = key && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 ? key_take(key, ret) : -EINVAL;
        EVP_PKEY_free(key);
        BIO_free(bio);
        return r;
}

int signature_make(const SigningKey *key, Slice text, uint8_t ret[SIGNATURE_SIZE]) {
        EVP_PKEY *secret = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, sizeof(key->seed));
        EVP_MD_CTX *context = secret ? EVP_MD_CTX_new() : NULL;
        size_t n = SIGNATURE_SIZE;
        bool ok = context && EVP_DigestSignInit(context, NULL, NULL, NULL, secret) == 1 &&
                  EVP_DigestSign(context, ret, &n, (const unsigned char *)text.data, text.n) == 1 &&
                  n == SIGNATURE_SIZE;
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(secret);
        return ok ? 0 : -ENOMEM;
}

int signature_check(const uint8_t verifier[SIGNATURE_KEY_SIZE], Slice text, const uint8_t signature[SIGNATURE_SIZE]) {
        EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, verifier, SIGNATURE_KEY_SIZE);
        EVP_MD_CTX *context = public ? EVP_MD_CTX_new() : NULL;
        int r = -ENOMEM;
        if (context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1)
                r = EVP_DigestVerify(context, signature, SIGNATURE_SIZE, (const unsigned char *)text.data, text.n) == 1
                                    ? 0
                                    : -EBADMSG;
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(public);
        return r;
}
