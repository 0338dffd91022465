#pragma once
/* The seal of an event: `hash`, over all else in it. Lifecycle events and checkpoints carry the same. */

#include <jansson.h>
#include "json/digest.h"

#define EVENT_SEQUENCE_MAX                                                                                   \
        (INT64_C(1) << 53) /* what every reader of JSON counts exactly, and room to count on */

/** Is @s the text of a digest, 64 hex digits? */
bool event_is_hash(Slice s);
/** The digest of @event (an object) in canonical form without its member `hash`, which is taken out. 0, or a
 * negative number when out of memory. */
int event_digest(json_t *event, Digest *ret);
