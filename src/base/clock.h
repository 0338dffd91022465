#pragma once
/* Times as text. Reading clocks is the runtime's business (ports.h), never here. */

#include "base/slice.h"

#define TIME_TEXT_SIZE 24 /* "2026-01-02T03:04:05.678Z" without NUL */

/** RFC 3339 UTC with milliseconds; years 0000–9999, others are clamped. */
void time_format_ms(int64_t unix_ms, char ret[TIME_TEXT_SIZE + 1]);
/** Accepts any RFC 3339 date-time (offset or Z, 0–9 fraction digits). */
bool time_parse_ms(Slice s, int64_t *ret_unix_ms);
