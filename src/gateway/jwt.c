/*
 * Signed tokens: three base64url parts, header.claims.signature
 *
 * The signature is checked before anything that the claims say is looked at. `exp` must be there; a token that never
 * ends could never be taken back.
 */

#include <errno.h>
#include <math.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "gateway/auth.h"
#include "gateway/jwt.h"
#include "json/json_read.h"

static int refuse(Report *report, const char *sentence) {
        report_deinit(report);
        return report_set(report, RUNBOOK_UNAUTHENTICATED, "%s", sentence);
}

static Slice cut(Slice *rest) {
        const char *dot = rest->n ? memchr(rest->data, '.', rest->n) : NULL;
        Slice part = {rest->data, dot ? (size_t)(dot - rest->data) : rest->n};

        *rest = dot ? (Slice){dot + 1, rest->n - part.n - 1} : SLICE_NULL;
        return part;
}

/** The object in a part; NULL: it is none. */
static json_t *decode_object(Slice part) {
        unsigned char bytes[JWT_BYTES_MAX];
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = NULL;
        size_t n;

        if (part.n > 0 && part.n <= sizeof bytes && base64url_decode(part, bytes, &n))
                json = json_parse(slice_from_bytes(bytes, n), sizeof bytes, &report);
        if (json_is_object(json))
                return json;
        json_decref(json);
        return NULL;
}

static bool check_signature(Slice token, const Jwks *keys) {
        Slice rest = token, head = cut(&rest), claims = cut(&rest),
              text = {token.data, head.n + 1 + claims.n};
        unsigned char signature[JWT_BYTES_MAX];
        size_t n_signature;
        json_t *header = decode_object(head);
        const json_t *alg = json_object_get(header, "alg"), *kid = json_object_get(header, "kid");
        const char *type = json_string_value(json_object_get(header, "typ"));
        bool is_good = header && json_is_string(alg) && (!kid || json_is_string(kid)) &&
                       !json_object_get(header, "crit") && /* nothing that we would have to understand */
                       (!type || !strcasecmp(type, "JWT") || !strcasecmp(type, "at+jwt")) && rest.n > 0 &&
                       rest.n <= sizeof signature && base64url_decode(rest, signature, &n_signature) &&
                       jwks_verify(keys, json_string_slice(alg), kid ? json_string_slice(kid) : SLICE_NULL,
                                   text, slice_from_bytes(signature, n_signature));

        json_decref(header);
        return is_good;
}

/* ---- claims ------------------------------------------------------------------------------- */

/** A time in seconds; false: absent, or no time. */
static bool get_time(const json_t *claims, const char *name, double *ret) {
        const json_t *value = json_object_get(claims, name);

        if (!json_is_number(value))
                return false;
        *ret = json_number_value(value);
        return isfinite(*ret);
}

/** The first second in which the token no longer counts; a time that is far beyond everybody is no end. */
static int64_t end_of(double exp) {
        return exp < (double)JWT_END_MAX_S ? (int64_t)ceil(exp) + JWT_LEEWAY_S : 0;
}

static int check_times(const json_t *claims, int64_t now_s, Identity *ret, Report *report) {
        double now = (double)now_s, at;

        if (!get_time(claims, "exp", &at))
                return refuse(report, "the token does not say when it expires (exp)");
        if (at + JWT_LEEWAY_S <= now)
                return refuse(report, "the token has expired");
        ret->expires_s = end_of(at);
        if (json_object_get(claims, "nbf") && (!get_time(claims, "nbf", &at) || at - JWT_LEEWAY_S > now))
                return refuse(report, "the token is not valid yet (nbf)");
        if (json_object_get(claims, "iat") && (!get_time(claims, "iat", &at) || at - JWT_LEEWAY_S > now))
                return refuse(report, "the token was issued in the future (iat)");
        return 0;
}

static bool is_string(const json_t *value, const char *text) {
        return json_is_string(value) && slice_eq_str(json_string_slice(value), text);
}

static bool has_audience(const json_t *claims, const char *audience) {
        const json_t *value = json_object_get(claims, "aud");

        for (size_t i = 0; i < json_array_size(value); i++)
                if (is_string(json_array_get(value, i), audience))
                        return true;
        return is_string(value, audience);
}

static int check_claims(const json_t *claims, const JwtRules *rules, Identity *ret, Report *report) {
        const json_t *user = json_object_get(claims, rules->user_claim);
        const json_t *tenant = json_object_get(claims, rules->tenant_claim);
        int r = check_times(claims, rules->now_s, ret, report);

        if (r < 0)
                return r;
        if (rules->issuer && !is_string(json_object_get(claims, "iss"), rules->issuer))
                return refuse(report, "the token is of another issuer (iss)");
        if (rules->audience && !has_audience(claims, rules->audience))
                return refuse(report, "the token is for another audience (aud)");
        if (!json_is_string(user) || !auth_take_name(json_string_slice(user), ret->user))
                return refuse(report, "the token names no user");
        if (!json_is_string(tenant) || !auth_take_name(json_string_slice(tenant), ret->tenant))
                return refuse(report, "the token names no tenant");
        return 0;
}

int jwt_check(Slice token, const Jwks *keys, const JwtRules *rules, Identity *ret, Report *report) {
        Slice rest = token;
        json_t *claims;
        int r;

        if (token.n > JWT_BYTES_MAX || !check_signature(token, keys))
                return refuse(report,
                              "the token can't be verified: it is malformed, or not signed by a known key");
        cut(&rest);
        claims = decode_object(cut(&rest));
        r = claims ? check_claims(claims, rules, ret, report) : refuse(report, "the token has no claims");
        json_decref(claims);
        return r;
}
