/*
 * SHA-256
 *
 * Making an EVP context costs more than hashing a short text, so every thread keeps one, ready for the
 * next message. It is freed when its thread ends. The algorithm is looked up once for the process.
 * These are caches: nothing that a caller can see depends on them.
 */
#include <errno.h>
#include <stdatomic.h>
#include <threads.h>

#include <openssl/evp.h>

#include "json/digest.h"

static EVP_MD *sha256;
static tss_t context_key; /* its destructor frees a thread's context when the thread ends */
static atomic_bool ready;
static once_flag once = ONCE_FLAG_INIT;
static thread_local EVP_MD_CTX *thread_context;

static void context_free(void *context) {
        EVP_MD_CTX_free(context);
        thread_context = NULL;
}

static void init(void) {
        /* Asked for first: where its own beginning lacked memory, OpenSSL 3.0 would go on into what is not there. */
        sha256 = OSSL_LIB_CTX_get0_global_default() ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
        bool ok = sha256 && tss_create(&context_key, context_free) == thrd_success;
        atomic_store_explicit(&ready, ok, memory_order_release);
}

/** This thread's context, NULL when there is no memory. Stays the library's. */
static EVP_MD_CTX *context_get(void) {
        if (thread_context)
                return thread_context;
        call_once(&once, init);
        EVP_MD_CTX *context = atomic_load_explicit(&ready, memory_order_acquire) ? EVP_MD_CTX_new() : NULL;
        if (!context)
                return NULL;
        if (tss_set(context_key, context) != thrd_success) {
                EVP_MD_CTX_free(context);
                return NULL;
        }
        return thread_context = context;
}

int digest_slices(const Slice *slices, size_t n_slices, Digest *ret) {
        EVP_MD_CTX *context = context_get();
        if (!context || EVP_DigestInit_ex2(context, sha256, NULL) != 1)
                return -ENOMEM;
        for (size_t i = 0; i < n_slices; i++)
                if (slices[i].n > 0 && EVP_DigestUpdate(context, slices[i].data, slices[i].n) != 1)
                        return -ENOMEM;
        return EVP_DigestFinal_ex(context, ret->bytes, NULL) == 1 ? 0 : -ENOMEM;
}

void digest_format(const Digest *d, char ret[DIGEST_TEXT_SIZE + 1]) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < DIGEST_SIZE; i++) {
                ret[2 * i] = digits[d->bytes[i] >> 4];
                ret[2 * i + 1] = digits[d->bytes[i] & 15];
        }
        ret[DIGEST_TEXT_SIZE] = '\0';
}

bool digest_parse(Slice hex, Digest *ret) {
        if (hex.n != DIGEST_TEXT_SIZE)
                return false;
        Digest d;
        for (size_t i = 0; i < DIGEST_SIZE; i++) {
                int high = slice_hex_digit(hex.data[2 * i]), low = slice_hex_digit(hex.data[2 * i + 1]);
                if (high < 0 || low < 0)
                        return false;
                d.bytes[i] = (uint8_t)(high << 4 | low);
        }
        *ret = d;
        return true;
}
