#pragma once
/* JSON Web Tokens (RFC 7519), signed: from the text to user and tenant. */

#include "gateway/jwks.h"
#include "gateway/request.h"

#define JWT_BYTES_MAX 8192
#define JWT_LEEWAY_S  60            /* clocks may differ by so much */
#define JWT_END_MAX_S 253402300800L /* the year 10000 */

typedef struct JwtRules {
        const char *issuer, *audience; /* NULL: not looked at */
        const char *user_claim, *tenant_claim;
        int64_t now_s; /* Unix time */
} JwtRules;

/** 0 and @ret, or -EINVAL with UNAUTHENTICATED and a sentence in @report; -ENOMEM. */
int jwt_check(Slice token, const Jwks *keys, const JwtRules *rules, Identity *ret, Report *report);
