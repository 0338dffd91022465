/* libuuid's random bits. A file of its own: libuuid and base/uuid.h use the same names for different things. */
#include <string.h>

#include <uuid/uuid.h>

#include "client/random_bits.h"

void random_bits(uint64_t ret[2]) {
        uuid_t uuid;

        for (int i = 0; i < 2; i++) {
                uuid_generate_random(uuid);
                /* Not its bytes 6 and 8: some of their bits say what kind of UUID it is. */
                memcpy(&ret[i], uuid + 9, 7);
                memcpy((char *)&ret[i] + 7, uuid, 1);
        }
}
