/* libuuid's random bits. A file of its own: libuuid and base/uuid.h use the same names for different things. */
#include <string.h>

#include <uuid/uuid.h>

#include "client/random_bits.h"

void random_bits(uint64_t ret[2]) {
        uuid_t uuid;

        uuid_generate_random(uuid);
        /* Four bits of byte 6 and two of byte 8 say what kind of UUID it is: neither word has them. */
        memcpy(&ret[0], uuid, 6);
        memcpy((char *)&ret[0] + 6, uuid + 14, 2);
        uuid_generate_random(uuid);
        memcpy(&ret[1], uuid + 9, 7);
        memcpy((char *)&ret[1] + 7, uuid, 1);
}
