#pragma once
/* Which tenants send more than their share: who is refused when there is too much of all. */

#include <stdbool.h>
#include "base/slice.h"

#define CROWD_CELLS 256

/** Zero-initialised is valid. Any thread; numbers may be off by a few. */
typedef struct Crowd {
        uint32_t counts[CROWD_CELLS]; /* messages lately, and their KiB, by a hash of the tenant */
        uint32_t total;
} Crowd;

/** Note a message of @tenant, of @n_bytes; gives where it is counted. */
size_t crowd_note(Crowd *c, const uint64_t seed[2], Slice tenant, size_t n_bytes);
/** Does the one counted there send as much as the average of those who send, or more? */
bool crowd_is_loud(const Crowd *c, size_t cell);
