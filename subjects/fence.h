#pragma once
/* What claims on an engine's identity say (SubjectsFence, bus_fence.c). */

#include "subjects/subjects.h"

/** What to tell people when a claim is not ours. */
extern const char fence_sentence[];
/** The nonce in the claim @body; false: it is no claim. */
bool fence_nonce(Slice body, Uuid *ret);
/** Is the claim @body one that our store knows of? */
bool fence_is_ours(const SubjectsFence *fence, Slice body);
