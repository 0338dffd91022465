#pragma once
/* Random numbers that are the same everywhere: splitmix64, one stream per purpose. */

#include <stdbool.h>
#include <stdint.h>

typedef struct Rng {
        uint64_t s;
} Rng;

static inline uint64_t rng_next(Rng *r) {
        uint64_t z = r->s += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

/** The stream @which of @seed: what is drawn from one stream does not move any other. */
static inline Rng rng_of(uint64_t seed, uint64_t which) {
        Rng r = {seed * 0xd1342543de82ef95u ^ (which + 1) * 0x2545f4914f6cdd1du};
        r.s = rng_next(&r);
        return r;
}

/** 0…n-1; 0 for n = 0. */
static inline uint32_t rng_below(Rng *r, uint32_t n) { return n ? (uint32_t)(rng_next(r) % n) : 0; }
static inline bool rng_chance(Rng *r, uint32_t permille) { return rng_below(r, 1000) < permille; }
/** @from…@to, both included. */
static inline int64_t rng_range(Rng *r, int64_t from, int64_t to) {
        return from + (int64_t)(rng_next(r) % (uint64_t)(to - from + 1));
}
