/* Any bytes as a bearer token: only one that the key has signed is taken. */

#include <stdio.h>
#include <unistd.h>
#include "base/base64.h"
#include "fuzz.h"
#include "gateway/jwt.h"

/* HS256 by 32 zero bytes; nothing that a mutation finds by itself. */
static const char keys[] =
                "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},"
                "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static Jwks *load(void) {
        char path[] = "/tmp/fuzz-token-XXXXXX";
        int fd = mkstemp(path);
        Report report = {0};
        Jwks *set = NULL;

        if (fd >= 0 && write(fd, keys, sizeof keys - 1) == (ssize_t)sizeof keys - 1)
                jwks_load(path, &report, &set);
        close(fd);
        unlink(path);
        PROMISE(set != NULL, "the key set is good");
        return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Jwks *set;
        JwtRules rules = {.user_claim = "sub", .tenant_claim = "tenant", .now_s = 1000000000};
        Slice token = {(const char *)data, size};
        unsigned char out[JWT_BYTES_MAX];
        Report report = {0};
        Identity who = {0};
        size_t n;

        if (!set)
                set = load();
        if (token.n <= sizeof out && base64url_decode(token, out, &n))
                PROMISE(n <= token.n / 4 * 3 + 2, "decoding shrinks");
        if (jwt_check(token, set, &rules, &who, &report) == 0)
                PROMISE(who.user[0] && who.tenant[0], "whoever is let in has a name");
        else
                PROMISE(report.code == RUNBOOK_UNAUTHENTICATED, "a refusal says so");
        report_deinit(&report);
        return 0;
}
