#pragma once
/* 128-bit ids: UUIDv7 (RFC 9562) made from a time and random bits that the caller gives. */

#include "base/slice.h"

#define UUID_TEXT_SIZE 36 /* without NUL */

typedef struct Uuid { uint8_t bytes[16]; } Uuid;

#define UUID_NIL ((Uuid){{0}})
static inline bool uuid_eq(Uuid a, Uuid b) { return !memcmp(a.bytes, b.bytes, 16); }
static inline bool uuid_is_nil(Uuid a) { return uuid_eq(a, UUID_NIL); }
static inline Slice uuid_slice(const Uuid *u) { return (Slice){(const char *)u->bytes, 16}; }
/** UUIDv7 of @ms (Unix milliseconds) and 74 bits taken from the two random words. */
Uuid uuid_v7(int64_t ms, uint64_t random_a, uint64_t random_b);
/** UUIDv8 whose bits come from a digest's first 16 bytes: a name that is an id. */
Uuid uuid_v8_from_digest(const uint8_t digest[16]);
/** The Unix milliseconds inside a UUIDv7; -1 for other versions. */
int64_t uuid_v7_time_ms(Uuid u);
/** 36 lower-case characters and a NUL. */
void uuid_format(Uuid u, char ret[UUID_TEXT_SIZE + 1]);
/** Accepts upper and lower case in the 8-4-4-4-12 form only. */
bool uuid_parse(Slice s, Uuid *ret);
