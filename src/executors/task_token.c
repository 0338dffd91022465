/*
 * Task tokens
 *
 * base64url of 40 bytes: execution id, instance, attempt, and the first 16 bytes of an HMAC-SHA256 (RFC 2104)
 * over them and the tenant. So a result names its attempt, needs no table to be checked against, and can't be
 * made up; a tenant's token is worth nothing under another tenant's subject. The key is the store's: tokens
 * stay good over a restart.
 */
#include <errno.h>

#include "base/base64.h"
#include "executors/task_token.h"

#define NAME_SIZE   24
#define MAC_SIZE    16
#define BLOCK_SIZE  64 /* of SHA-256 */
#define BYTES_SIZE  (NAME_SIZE + MAC_SIZE)
#define DOMAIN_TEXT "runbook task token 1" /* the key may come to serve other purposes */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_u32(uint8_t *p, uint32_t v) {
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *p) {
        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int mac(const uint8_t key[TASK_KEY_SIZE], const uint8_t name[NAME_SIZE], Slice tenant, Digest *ret) {
        uint8_t inner_pad[BLOCK_SIZE], outer_pad[BLOCK_SIZE];
        for (size_t i = 0; i < BLOCK_SIZE; i++) {
                uint8_t k = i < TASK_KEY_SIZE ? key[i] : 0;
                inner_pad[i] = k ^ 0x36;
                outer_pad[i] = k ^ 0x5c;
        }
        Digest inner;
        const Slice message[] = {slice_from_bytes(inner_pad, BLOCK_SIZE), SLICE(DOMAIN_TEXT),
                                 slice_from_bytes(name, NAME_SIZE), tenant};
        int r = digest_slices(message, 4, &inner);
        const Slice outer[] = {slice_from_bytes(outer_pad, BLOCK_SIZE),
                               slice_from_bytes(inner.bytes, DIGEST_SIZE)};
        return r < 0 ? r : digest_slices(outer, 2, ret);
}

int task_token_write(const uint8_t key[TASK_KEY_SIZE], Slice tenant, const TaskName *name,
                     char ret[TASK_TOKEN_SIZE + 1]) {
        uint8_t bytes[BYTES_SIZE + 2] = {0};
        Digest d;
        memcpy(bytes, name->execution_id.bytes, 16);
        put_u32(bytes + 16, name->instance);
        put_u32(bytes + 20, name->attempt);
        int r = mac(key, bytes, tenant, &d);
        if (r < 0)
                return r;
        memcpy(bytes + NAME_SIZE, d.bytes, MAC_SIZE);
        for (size_t i = 0; i < TASK_TOKEN_SIZE; i++) {
                size_t bit = i * 6, at = bit / 8;
                unsigned pair = (unsigned)bytes[at] << 8 | bytes[at + 1];
                ret[i] = digits[pair >> (10 - bit % 8) & 63];
        }
        ret[TASK_TOKEN_SIZE] = 0;
        return 0;
}

int task_token_read(const uint8_t key[TASK_KEY_SIZE], Slice tenant, Slice token, TaskName *ret) {
        uint8_t bytes[TASK_TOKEN_SIZE], different = 0;
        size_t n;
        Digest d;
        if (token.n != TASK_TOKEN_SIZE || !base64url_decode(token, bytes, &n) || n != BYTES_SIZE)
                return -EINVAL;
        int r = mac(key, bytes, tenant, &d);
        if (r < 0)
                return r;
        for (size_t i = 0; i < MAC_SIZE; i++) /* all of them: time must not tell how many fit */
                different |= bytes[NAME_SIZE + i] ^ d.bytes[i];
        if (different)
                return -EINVAL;
        memcpy(ret->execution_id.bytes, bytes, 16);
        ret->instance = get_u32(bytes + 16);
        ret->attempt = get_u32(bytes + 20);
        return 0;
}
