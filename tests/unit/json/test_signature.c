#include <errno.h>
#include <string.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/signature.h"

TestSuite(signature, .fini = check_leaks);

static void unhex(const char *hex, uint8_t *ret) {
        for (; *hex; hex += 2)
                *ret++ = (uint8_t)(slice_hex_digit(hex[0]) << 4 | slice_hex_digit(hex[1]));
}

/* RFC 8032, section 7.1, tests 1 and 2. */
static const struct {
        const char *seed, *verifier;
        Slice text;
        const char *signature;
} known[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         {"", 0},
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
         {"\x72", 1},
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
};

Test(signature, known_answers) {
        for (size_t i = 0; i < N_ELEMENTS(known); i++) {
                uint8_t seed[SIGNATURE_KEY_SIZE], verifier[SIGNATURE_KEY_SIZE], wanted[SIGNATURE_SIZE];
                uint8_t made[SIGNATURE_SIZE];
                SigningKey key;
                unhex(known[i].seed, seed);
                unhex(known[i].verifier, verifier);
                unhex(known[i].signature, wanted);
                cr_assert_eq(signing_key_from_seed(seed, &key), 0);
                cr_assert_arr_eq(key.seed, seed, sizeof(seed));
                cr_assert_arr_eq(key.verifier, verifier, sizeof(verifier));
                cr_assert_eq(signature_make(&key, known[i].text, made), 0);
                cr_assert_arr_eq(made, wanted, sizeof(wanted));
                cr_assert_eq(signature_check(verifier, known[i].text, made), 0);
        }
}

Test(signature, another_text_key_or_signature_is_none) {
        uint8_t seed[SIGNATURE_KEY_SIZE] = {7}, made[SIGNATURE_SIZE];
        SigningKey key, other;
        cr_assert_eq(signing_key_from_seed(seed, &key), 0);
        seed[0] = 8;
        cr_assert_eq(signing_key_from_seed(seed, &other), 0);
        cr_assert_eq(signature_make(&key, SLICE("the text"), made), 0);
        cr_assert_eq(signature_check(key.verifier, SLICE("the text"), made), 0);
        cr_assert_eq(signature_check(key.verifier, SLICE("the texT"), made), -EBADMSG);
        cr_assert_eq(signature_check(other.verifier, SLICE("the text"), made), -EBADMSG);
        made[40] ^= 1;
        cr_assert_eq(signature_check(key.verifier, SLICE("the text"), made), -EBADMSG);
}

/* What `openssl genpkey -algorithm ed25519` writes, for the seed of test 1. */
#define PEM                                                                                                  \
        "-----BEGIN PRIVATE KEY-----\n"                                                                      \
        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                                 \
        "-----END PRIVATE KEY-----\n"

Test(signature, a_key_comes_from_pem) {
        uint8_t seed[SIGNATURE_KEY_SIZE];
        SigningKey key;
        unhex(known[0].seed, seed);
        cr_assert_eq(signing_key_from_pem(SLICE(PEM), &key), 0);
        cr_assert_arr_eq(key.seed, seed, sizeof(seed));
        cr_assert_eq(signing_key_from_pem(SLICE(""), &key), -EINVAL);
        cr_assert_eq(signing_key_from_pem(SLICE("-----BEGIN PRIVATE KEY-----\nnonsense\n"), &key), -EINVAL);
}
