/* UUIDs: version 7 from given time and randomness, version 8 from a digest, text both ways (RFC 9562). */
#include "base/uuid.h"

static void set_version(Uuid *u, uint8_t version) {
        u->bytes[6] = (uint8_t)((u->bytes[6] & 0x0f) | version << 4);
        u->bytes[8] = (uint8_t)((u->bytes[8] & 0x3f) | 0x80); /* the RFC's variant */
}

Uuid uuid_v7(int64_t ms, uint64_t random_a, uint64_t random_b) {
        Uuid u;
        uint64_t time = ms < 0 ? 0 : (uint64_t)ms;
        for (int i = 0; i < 6; i++)
                u.bytes[i] = (uint8_t)(time >> (40 - 8 * i));
        u.bytes[6] = (uint8_t)(random_a >> 8);
        u.bytes[7] = (uint8_t)random_a;
        for (int i = 0; i < 8; i++)
                u.bytes[8 + i] = (uint8_t)(random_b >> (56 - 8 * i));
        set_version(&u, 7);
        return u;
}

Uuid uuid_v8_from_digest(const uint8_t digest[16]) {
        Uuid u;
        memcpy(u.bytes, digest, sizeof(u.bytes));
        set_version(&u, 8);
        return u;
}

int64_t uuid_v7_time_ms(Uuid u) {
        if (u.bytes[6] >> 4 != 7 || u.bytes[8] >> 6 != 2)
                return -1;
        int64_t ms = 0;
        for (int i = 0; i < 6; i++)
                ms = ms << 8 | u.bytes[i];
        return ms;
}

/** Does a dash stand before byte @i of the text form? */
static bool dash_before(size_t i) { return i == 4 || i == 6 || i == 8 || i == 10; }

void uuid_format(Uuid u, char ret[UUID_TEXT_SIZE + 1]) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < sizeof(u.bytes); i++) {
                if (dash_before(i))
                        *ret++ = '-';
                *ret++ = digits[u.bytes[i] >> 4];
                *ret++ = digits[u.bytes[i] & 15];
        }
        *ret = '\0';
}

bool uuid_parse(Slice s, Uuid *ret) {
        if (s.n != UUID_TEXT_SIZE)
                return false;
        Uuid u;
        const char *p = s.data;
        for (size_t i = 0; i < sizeof(u.bytes); i++) {
                if (dash_before(i) && *p++ != '-')
                        return false;
                int high = slice_hex_digit(p[0]), low = slice_hex_digit(p[1]);
                if (high < 0 || low < 0)
                        return false;
                u.bytes[i] = (uint8_t)(high << 4 | low);
                p += 2;
        }
        *ret = u;
        return true;
}
