#pragma once
/* A stored lifecycle event's place in its chain: what it says of itself, and what its content really hashes to. */

#include "base/slice.h"
#include "json/digest.h"

typedef struct EventSeal {
        bool well_formed; /* JSON with sequence, hash and prevhash; else nothing below is set */
        uint64_t sequence;
        char hash[DIGEST_TEXT_SIZE + 1], prev[DIGEST_TEXT_SIZE + 1]; /* as the event says */
        char computed[DIGEST_TEXT_SIZE + 1]; /* SHA-256 of its canonical form without `hash` */
} EventSeal;

/** Read @event's seal. 0 (also where it is malformed) or -ENOMEM. */
int event_seal(Slice event, EventSeal *ret);
