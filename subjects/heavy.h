#pragma once
/* Large definitions: read beside the other commands, by a thread of their own. */

#include "subjects/handler.h"

#define HEAVY_FROM_BYTES (256 << 10) /* bodies larger than this are read here, if somebody waits for the answer */
#define HEAVY_TENANT_SHARE 3       /* a tenant has no more waiting than so many times what is free */

/** Start the thread; without it bodies are read where they arrive. 0, or negative. */
int heavy_start(Subjects *s);
/** Finish what waits, at most until @deadline_ns (monotonic); refuse the rest, end the thread. Fine if it never was. */
void heavy_stop(Subjects *s, int64_t deadline_ns);
/**
 * Take over a message, its answer included; false: the caller goes on with it (no thread). Refuses by itself what
 * there is no room for.
 */
bool heavy_take(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id, Answer *answer);
