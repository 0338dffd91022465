/* Keys and signed tokens, by the examples of RFC 7515 (A.1, A.3) and RFC 8037 (A.4). */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "../leaks.h"
#include "base/base64.h"
#include "gateway/jwt.h"

TestSuite(jwks, .fini = check_leaks);

#define HMAC_KEY                                                                                             \
        "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"                             \
        "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}"
#define EC_KEY                                                                                               \
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","           \
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define ED_KEY "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define CLAIMS                                                                                               \
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define HMAC_TOKEN                                                                                           \
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define EC_TOKEN                                                                                             \
        "eyJhbGciOiJFUzI1NiJ9." CLAIMS                                                                       \
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define ED_TEXT      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define ED_SIGNATURE "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
#define EXPIRES      1300819380

/** Load a set with these keys. */
static int load(const char *keys, Report *report, Jwks **ret) {
        char path[] = "/tmp/test-jwks-XXXXXX";
        int fd = mkstemp(path), r;

        cr_assert_geq(fd, 0);
        dprintf(fd, "{\"keys\":[%s]}", keys);
        close(fd);
        r = jwks_load(path, report, ret);
        unlink(path);
        return r;
}

/** Check @token against @keys at @now_s; 0, or -EINVAL. */
static int check(const char *token, const char *keys, int64_t now_s) {
        JwtRules rules = {.user_claim = "iss", .tenant_claim = "iss", .now_s = now_s};
        Report report = {0};
        Identity who;
        Jwks *set = NULL;
        int r;

        cr_assert_eq(load(keys, &report, &set), 0, "%s", report.message);
        r = jwt_check(slice_from_str(token), set, &rules, &who, &report);
        cr_expect_eq(r == 0, report.code == RUNBOOK_OK);
        cr_expect(r < 0 || (!strcmp(who.user, "joe") && !strcmp(who.tenant, "joe")));
        jwks_free(set);
        report_deinit(&report);
        return r;
}

Test(jwks, the_examples_of_the_standards) {
        cr_expect_eq(check(HMAC_TOKEN, HMAC_KEY, EXPIRES), 0);
        cr_expect_eq(check(EC_TOKEN, EC_KEY, EXPIRES), 0);
        cr_expect_eq(check(EC_TOKEN, HMAC_KEY "," ED_KEY "," EC_KEY, EXPIRES), 0);
}

Test(jwks, only_the_right_key_in_its_time) {
        cr_expect_eq(check(HMAC_TOKEN, EC_KEY, EXPIRES), -EINVAL);
        cr_expect_eq(check(EC_TOKEN, HMAC_KEY, EXPIRES), -EINVAL);
        cr_expect_eq(check(EC_TOKEN, ED_KEY, EXPIRES), -EINVAL);
        cr_expect_eq(check(EC_TOKEN, EC_KEY, EXPIRES + JWT_LEEWAY_S - 1), 0);
        cr_expect_eq(check(EC_TOKEN, EC_KEY, EXPIRES + JWT_LEEWAY_S), -EINVAL);
}

Test(jwks, ed25519) {
        unsigned char signature[128];
        Report report = {0};
        Jwks *set = NULL;
        size_t n;

        cr_assert_eq(load(ED_KEY, &report, &set), 0);
        cr_assert(base64url_decode(SLICE(ED_SIGNATURE), signature, &n));
        cr_expect(jwks_verify(set, SLICE("EdDSA"), SLICE_NULL, SLICE(ED_TEXT),
                              slice_from_bytes(signature, n)));
        cr_expect(!jwks_verify(set, SLICE("ES256"), SLICE_NULL, SLICE(ED_TEXT),
                               slice_from_bytes(signature, n)));
        cr_expect(!jwks_verify(set, SLICE(""), SLICE_NULL, SLICE(ED_TEXT), slice_from_bytes(signature, n)));
        cr_expect(!jwks_verify(set, SLICE("EdDSA"), SLICE_NULL, SLICE(ED_TEXT),
                               slice_from_bytes(signature, n - 1)));
        signature[0] ^= 1;
        cr_expect(!jwks_verify(set, SLICE("EdDSA"), SLICE_NULL, SLICE(ED_TEXT),
                               slice_from_bytes(signature, n)));
        jwks_free(set);
}

Test(jwks, every_changed_byte_of_a_token_is_noticed) {
        for (size_t i = 0; i < strlen(EC_TOKEN); i++) {
                char token[] = EC_TOKEN;

                token[i] = token[i] == 'A' ? 'B' : 'A';
                cr_expect_eq(check(token, EC_KEY, EXPIRES), -EINVAL, "byte %zu", i);
        }
}

Test(jwks, sets_that_are_refused) {
        static const char *const bad[] = {
                        "",
                        "{}",
                        "7",
                        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
                        "{\"kty\":\"oct\"}",
                        "{\"kty\":\"oct\",\"k\":\"a b\"}",
                        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
                        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                        "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                        "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}", /* no point of the curve */
                        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
                        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
                        "{\"kty\":\"what\"}",
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Report report = {0};
                Jwks *set = NULL;

                cr_expect_eq(load(bad[i], &report, &set), -EINVAL, "%s", bad[i]);
                cr_expect_not_null(report.message, "%s", bad[i]);
                report_deinit(&report);
        }
}
