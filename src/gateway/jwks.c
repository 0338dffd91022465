/*
 * JSON Web Key Sets
 *
 * Each kind of key has exactly one algorithm here: RSA RS256, EC on P-256 ES256, Ed25519 EdDSA, symmetric HS256. A
 * token's `alg` only chooses among the keys, so it can't make a key serve for something that it was not made for.
 */

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "client/settings.h"
#include "gateway/jwks.h"
#include "json/json_read.h"

#define MATERIAL_MAX  2048 /* bytes of one number of a key */
#define P256_BYTES    32
#define ED25519_BYTES 32

typedef struct Key {
        const char *alg; /* static */
        char *kid;       /* NULL: it has none */
        EVP_PKEY *pkey;  /* NULL for HS256 */
        unsigned char *secret;
        size_t n_secret;
} Key;

struct Jwks {
        Key keys[JWKS_KEYS_MAX];
        size_t n;
};

/* ---- keys --------------------------------------------------------------------------------- */

/** A member that is base64url, decoded into @ret. */
static bool get_bytes(const JsonAt *key, const char *name, unsigned char ret[MATERIAL_MAX], size_t *ret_n) {
        Slice text;

        if (!json_get_string_required(key, name, &text))
                return false;
        if (text.n > 0 && text.n <= MATERIAL_MAX && base64url_decode(text, ret, ret_n) && *ret_n > 0)
                return true;
        JsonAt at = json_at_key(key, name);
        json_at_error(&at, "must be base64url without padding");
        return false;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *build) {
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
        OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
        EVP_PKEY *pkey = NULL;

        if (context && params && EVP_PKEY_fromdata_init(context) == 1 &&
            EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
                pkey = NULL;
        OSSL_PARAM_free(params);
        EVP_PKEY_CTX_free(context);
        return pkey;
}

static void take_rsa(const JsonAt *at, Key *key) {
        unsigned char n[MATERIAL_MAX], e[MATERIAL_MAX];
        size_t n_n, n_e;

        if (!get_bytes(at, "n", n, &n_n) || !get_bytes(at, "e", e, &n_e))
                return;
        BIGNUM *modulus = BN_bin2bn(n, (int)n_n, NULL), *exponent = BN_bin2bn(e, (int)n_e, NULL);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        if (modulus && exponent && BN_num_bits(modulus) < JWKS_RSA_BITS_MIN)
                json_at_error(at, "RSA keys must have at least %d bits, this one has %d", JWKS_RSA_BITS_MIN,
                              BN_num_bits(modulus));
        else if (modulus && exponent && build &&
                 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
                 OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
                key->pkey = make_key("RSA", build);
        OSSL_PARAM_BLD_free(build);
        BN_free(modulus);
        BN_free(exponent);
        key->alg = "RS256";
}

static void take_ec(const JsonAt *at, Key *key) {
        unsigned char x[MATERIAL_MAX], y[MATERIAL_MAX], point[1 + 2 * P256_BYTES] = {4};
        size_t n_x, n_y;

        if (!get_bytes(at, "x", x, &n_x) || !get_bytes(at, "y", y, &n_y))
                return;
        key->alg = "ES256";
        if (n_x != P256_BYTES || n_y != P256_BYTES)
                return;
        memcpy(point + 1, x, P256_BYTES);
        memcpy(point + 1 + P256_BYTES, y, P256_BYTES);
        OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
        if (build &&
            OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
                key->pkey = make_key("EC", build);
        OSSL_PARAM_BLD_free(build);
}

static void take_ed25519(const JsonAt *at, Key *key) {
        unsigned char x[MATERIAL_MAX];
        size_t n_x;

        if (!get_bytes(at, "x", x, &n_x))
                return;
        key->alg = "EdDSA";
        if (n_x == ED25519_BYTES)
                key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, n_x);
}

static void take_secret(const JsonAt *at, Key *key) {
        unsigned char k[MATERIAL_MAX];
        size_t n_k;

        if (!get_bytes(at, "k", k, &n_k))
                return;
        key->alg = "HS256";
        if (n_k < JWKS_HMAC_BYTES_MIN)
                json_at_error(at, "secrets must have at least %d bytes, this one has %zu",
                              JWKS_HMAC_BYTES_MIN, n_k);
        else
                key->secret = malloc(n_k);
        if (key->secret)
                memcpy(key->secret, k, n_k);
        key->n_secret = n_k;
        OPENSSL_cleanse(k, sizeof k);
}

static const struct {
        const char *kty, *crv; /* crv NULL: it has none */
        void (*take)(const JsonAt *at, Key *key);
} key_kinds[] = {
                {"EC", "P-256", take_ec},
                {"OKP", "Ed25519", take_ed25519},
                {"RSA", NULL, take_rsa},
                {"oct", NULL, take_secret},
};

/** Add the key at @at, unless it is for something else. */
static void take_key(Jwks *set, const JsonAt *at) {
        Slice kty = SLICE_NULL, crv = SLICE_NULL, use = SLICE_NULL, alg = SLICE_NULL, kid = SLICE_NULL;
        Key *key = &set->keys[set->n];

        json_get_string_required(at, "kty", &kty);
        json_get_string(at, "crv", &crv);
        json_get_string(at, "use", &use);
        json_get_string(at, "alg", &alg);
        json_get_string(at, "kid", &kid);
        if (report_is_error(at->report) || (use.data && !slice_eq_str(use, "sig")))
                return;
        for (size_t i = 0; i < N_ELEMENTS(key_kinds); i++)
                if (slice_eq_str(kty, key_kinds[i].kty) &&
                    (!key_kinds[i].crv || slice_eq_str(crv, key_kinds[i].crv))) {
                        key_kinds[i].take(at, key);
                        break;
                }
        if (report_is_error(at->report) || !key->alg)
                return;
        if (!key->pkey && !key->secret)
                json_at_error(at, "is no valid key of its kind");
        else if (kid.data && !(key->kid = slice_dup(kid)))
                at->report->oom = true;
        set->n++;                                     /* also where it must be freed only */
        if (alg.data && !slice_eq_str(alg, key->alg)) /* for another algorithm, which is not known here */
                key->alg = "";
}

static int parse(const char *path, const json_t *root, Jwks *set, Report *report) {
        JsonAt top = json_at_root(root, report), keys;

        if (!json_is_object(root) || !json_get_array(&top, "keys", &keys))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "%s is no JSON Web Key Set: {\"keys\":[…]}", path);
        for (size_t i = 0; i < json_array_size(keys.value); i++) {
                JsonAt at = json_at_index(&keys, i);

                if (set->n == JWKS_KEYS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s has more than %d keys", path,
                                          JWKS_KEYS_MAX);
                take_key(set, &at);
        }
        if (report->oom)
                return -ENOMEM;
        if (report_is_error(report))
                return report_set(report, RUNBOOK_INVALID_REQUEST, "%s: %s %s", path,
                                  report->n_details ? report->details[0].path : "",
                                  report->n_details ? report->details[0].message : "is not valid");
        if (set->n == 0)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "%s has no key for RS256, ES256, EdDSA or HS256", path);
        return 0;
}

int jwks_load(const char *path, Report *report, Jwks **ret) {
        char *text = settings_read_file(path);
        Jwks *set = calloc(1, sizeof *set);
        json_t *root = NULL;
        int r;

        if (!text)
                r = report_set(report, RUNBOOK_INVALID_REQUEST, "cannot read %s: %s", path, strerror(errno));
        else if (!set)
                r = -ENOMEM;
        else if (!(root = json_parse(slice_from_str(text), SETTINGS_FILE_BYTES_MAX, report)))
                r = report_set(report, RUNBOOK_INVALID_REQUEST, "%s is not JSON", path);
        else
                r = parse(path, root, set, report);
        if (text)
                OPENSSL_cleanse(text, strlen(text));
        free(text);
        json_decref(root);
        if (r < 0)
                jwks_free(set);
        else
                *ret = set;
        return r;
}

void jwks_free(Jwks *set) {
        if (!set)
                return;
        for (size_t i = 0; i < N_ELEMENTS(set->keys); i++) {
                Key *key = &set->keys[i];

                free(key->kid);
                EVP_PKEY_free(key->pkey);
                if (key->secret)
                        OPENSSL_cleanse(key->secret, key->n_secret);
                free(key->secret);
        }
        free(set);
}

/* ---- signatures --------------------------------------------------------------------------- */

/** JOSE writes an ECDSA signature as two numbers of 32 bytes, OpenSSL wants DER. */
static unsigned char *der_of(Slice signature, int *ret_n) {
        const unsigned char *bytes = (const unsigned char *)signature.data;
        unsigned char *der = NULL;
        ECDSA_SIG *sig = ECDSA_SIG_new();
        BIGNUM *r = BN_bin2bn(bytes, P256_BYTES, NULL), *s = BN_bin2bn(bytes + P256_BYTES, P256_BYTES, NULL);

        if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
                r = s = NULL; /* the signature has them */
                *ret_n = i2d_ECDSA_SIG(sig, &der);
        }
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return der;
}

static bool verify_by_pkey(const Key *key, Slice text, Slice signature) {
        bool is_ec = !strcmp(key->alg, "ES256"), is_ed = !strcmp(key->alg, "EdDSA"), is_good;
        EVP_MD_CTX *context;
        unsigned char *der = NULL;
        int n_der = 0;

        if (is_ec) {
                if (signature.n != 2 * P256_BYTES)
                        return false;
                der = der_of(signature, &n_der);
                if (!der || n_der <= 0)
                        return false;
                signature = slice_from_bytes(der, (size_t)n_der);
        }
        context = EVP_MD_CTX_new();
        is_good = context &&
                  EVP_DigestVerifyInit(context, NULL, is_ed ? NULL : EVP_sha256(), NULL, key->pkey) == 1 &&
                  EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.n,
                                   (const unsigned char *)text.data, text.n) == 1;
        EVP_MD_CTX_free(context);
        OPENSSL_free(der);
        return is_good;
}

static bool verify_by_secret(const Key *key, Slice text, Slice signature) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        return HMAC(EVP_sha256(), key->secret, (int)key->n_secret, (const unsigned char *)text.data, text.n,
                    mac, &n) &&
               n == signature.n && CRYPTO_memcmp(mac, signature.data, n) == 0;
}

bool jwks_verify(const Jwks *set, Slice alg, Slice kid, Slice text, Slice signature) {
        for (size_t i = 0; i < set->n; i++) {
                const Key *key = &set->keys[i];

                if (!slice_eq_str(alg, key->alg) || alg.n == 0)
                        continue;
                if (kid.data && key->kid && !slice_eq_str(kid, key->kid))
                        continue;
                if (key->secret ? verify_by_secret(key, text, signature)
                                : verify_by_pkey(key, text, signature))
                        return true;
        }
        return false;
}
