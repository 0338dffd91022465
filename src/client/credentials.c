/*
 * What credentials files say about who we are: the name in a user JWT, the public half of a user seed (which
 * nats.c wants to be told, though it can be computed).
 *
 * A seed is base32 (RFC 4648, no padding) of two prefix bytes, 32 bytes of Ed25519 seed and a CRC-16/XMODEM,
 * little-endian; a public key of one prefix byte, 32 bytes of key and the same checksum.
 */

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include "base/base64.h"
#include "base/cleanup.h"
#include "client/client_error.h"
#include "client/settings.h"
#include "json/json_read.h"

#define SEED_BYTES   36 /* prefix 2, seed 32, checksum 2 */
#define SEED_TEXT    58 /* its base32 digits */
#define PUBLIC_BYTES 35 /* prefix 1, key 32, checksum 2 */
#define PREFIX_SEED  (18 << 3)
#define PREFIX_USER  (20 << 3)

int credentials_jwt(const char *path, char **ret, RunbookClientError *e) {
        _cleanup_free_ char *text = settings_read_file(path);
        const char *p;
        char *jwt = NULL;

        if (!text)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "the credentials cannot be read: %s: %s",
                                        path, strerror(errno));
        p = strstr(text, "BEGIN NATS USER JWT");
        p = p ? strchr(p, '\n') : NULL;
        if (p) {
                p += strspn(p, " \t\r\n");
                jwt = strndup(p, strcspn(p, " \t\r\n"));
        }
        OPENSSL_cleanse(text, strlen(text)); /* the file holds the secret seed too */
        if (!p)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "%s holds no user JWT", path);
        *ret = jwt;
        return jwt ? 0 : client_error_memory(e);
}

char *credentials_user_name(const char *path) {
        _cleanup_free_ char *jwt = NULL;
        _cleanup_free_ unsigned char *claims = NULL;
        _cleanup_(report_deinit) Report report = {0};
        const char *payload, *end, *name;
        char *copy;
        json_t *json;
        size_t n;

        if (credentials_jwt(path, &jwt, NULL) < 0)
                return NULL;
        payload = strchr(jwt, '.');
        end = payload ? strchr(payload + 1, '.') : NULL;
        claims = end ? malloc((size_t)(end - payload)) : NULL;
        if (!claims || !base64url_decode((Slice){payload + 1, (size_t)(end - payload - 1)}, claims, &n))
                return NULL;
        json = json_parse(slice_from_bytes(claims, n), SETTINGS_FILE_BYTES_MAX, &report);
        name = json_string_value(json_object_get(json, "name"));
        copy = name && *name ? strdup(name) : NULL;
        json_decref(json);
        return copy;
}

static int base32_digit(char c) {
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

static bool base32_decode(const char *s, size_t n, uint8_t *ret, size_t n_ret) {
        uint32_t bits = 0;
        int n_bits = 0;
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                int digit = base32_digit(s[i]);

                if (digit < 0)
                        return false;
                bits = (bits << 5 | (uint32_t)digit) & 0xffff;
                n_bits += 5;
                if (n_bits >= 8 && k < n_ret) {
                        n_bits -= 8;
                        ret[k++] = (uint8_t)(bits >> n_bits);
                }
        }
        return k == n_ret;
}

static char *base32_encode(const uint8_t *data, size_t n) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        _cleanup_(buf_deinit) Buf b = {0};
        uint32_t bits = 0;
        int n_bits = 0;

        for (size_t i = 0; i < n; i++) {
                bits = (bits << 8 | data[i]) & 0xffff;
                n_bits += 8;
                for (; n_bits >= 5; n_bits -= 5)
                        buf_put_char(&b, digits[bits >> (n_bits - 5) & 31]);
        }
        if (n_bits > 0)
                buf_put_char(&b, digits[bits << (5 - n_bits) & 31]);
        return buf_steal_str(&b);
}

static uint16_t crc16(const uint8_t *data, size_t n) {
        uint16_t crc = 0;

        for (size_t i = 0; i < n; i++) {
                crc ^= (uint16_t)(data[i] << 8);
                for (int bit = 0; bit < 8; bit++)
                        crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
        }
        return crc;
}

/** The line of @text that is a user seed; NULL: none. */
static const char *find_seed(const char *text) {
        for (const char *p = text; p; p = strchr(p, '\n')) {
                p += strspn(p, "\r\n \t");
                if (!strncmp(p, "SU", 2) && strspn(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == SEED_TEXT)
                        return p;
        }
        return NULL;
}

static bool seed_decode(const char *line, uint8_t ret[SEED_BYTES]) {
        uint16_t crc;

        if (!base32_decode(line, SEED_TEXT, ret, SEED_BYTES))
                return false;
        crc = (uint16_t)(ret[SEED_BYTES - 2] | ret[SEED_BYTES - 1] << 8);
        return crc == crc16(ret, SEED_BYTES - 2) && (ret[0] & 0xf8) == PREFIX_SEED &&
               (((ret[0] & 7) << 5) | (ret[1] >> 3)) == PREFIX_USER;
}

/** The key pair of the seed in @path. */
static int load_pair(const char *path, EVP_PKEY **ret, RunbookClientError *e) {
        _cleanup_free_ char *text = settings_read_file(path);
        uint8_t seed[SEED_BYTES] = {0};
        const char *line;
        bool ok;

        if (!text)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG, "the NKEY seed cannot be read: %s: %s",
                                        path, strerror(errno));
        line = find_seed(text);
        ok = line && seed_decode(line, seed);
        OPENSSL_cleanse(text, strlen(text));
        if (!ok)
                return client_error_set(e, RUNBOOK_CLIENT_E_CONFIG,
                                        "%s holds no NKEY user seed (a line \"SU…\")", path);
        *ret = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed + 2, 32);
        OPENSSL_cleanse(seed, sizeof seed);
        return *ret ? 0 : client_error_memory(e);
}

int credentials_public_key(const char *path, char **ret, RunbookClientError *e) {
        uint8_t key[PUBLIC_BYTES] = {PREFIX_USER};
        EVP_PKEY *pair = NULL;
        size_t n = 32;
        uint16_t crc;
        int r = load_pair(path, &pair, e);

        if (r < 0)
                return r;
        if (EVP_PKEY_get_raw_public_key(pair, key + 1, &n) != 1) {
                EVP_PKEY_free(pair);
                return client_error_memory(e);
        }
        EVP_PKEY_free(pair);
        crc = crc16(key, PUBLIC_BYTES - 2);
        key[PUBLIC_BYTES - 2] = (uint8_t)crc;
        key[PUBLIC_BYTES - 1] = (uint8_t)(crc >> 8);
        *ret = base32_encode(key, sizeof key);
        return *ret ? 0 : client_error_memory(e);
}
