/*
 * Hash map
 *
 * Open addressing with linear probing. Removal shifts the entries behind the hole back instead of leaving
 * a tombstone, so a map that lives long under put and remove never slows down. The whole hash is kept in
 * the slot: growing needs no rehash and most mismatches are seen without touching the key.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/map.h"

#define MAP_CAP_MIN 16

struct MapSlot {
        const char *key;
        size_t n_key;
        uint64_t hash;
        void *value; /* NULL: the slot is free */
};

void map_init(Map *m, uint64_t seed0, uint64_t seed1) { *m = (Map){.seed = {seed0, seed1}}; }

void map_deinit(Map *m) {
        free(m->slots);
        map_init(m, m->seed[0], m->seed[1]);
}

/** The slot that holds @key, or the free one where it would go. There is one: load stays below 3/4. */
static size_t map_find(const Map *m, Slice key, uint64_t hash) {
        size_t mask = m->cap - 1, i = hash & mask;
        while (m->slots[i].value) {
                const MapSlot *slot = &m->slots[i];
                if (slot->hash == hash && slice_eq((Slice){slot->key, slot->n_key}, key))
                        break;
                i = (i + 1) & mask;
        }
        return i;
}

void *map_get(const Map *m, Slice key) {
        if (m->n == 0)
                return NULL;
        return m->slots[map_find(m, key, map_hash(m->seed, key))].value;
}

static int map_grow(Map *m) {
        size_t cap = m->cap ? m->cap * 2 : MAP_CAP_MIN;
        MapSlot *slots = cap > m->cap ? calloc(cap, sizeof(*slots)) : NULL;
        if (!slots)
                return -ENOMEM;
        for (size_t i = 0; i < m->cap; i++) {
                if (!m->slots[i].value)
                        continue;
                size_t to = m->slots[i].hash & (cap - 1);
                while (slots[to].value)
                        to = (to + 1) & (cap - 1);
                slots[to] = m->slots[i];
        }
        free(m->slots);
        m->slots = slots;
        m->cap = cap;
        return 0;
}

int map_put(Map *m, Slice key, void *value) {
        if (m->n >= m->cap / 4 * 3) {
                int r = map_grow(m);
                if (r < 0)
                        return r;
        }
        uint64_t hash = map_hash(m->seed, key);
        MapSlot *slot = &m->slots[map_find(m, key, hash)];
        int replaced = slot->value != NULL;
        /* The key is replaced too: the old one often lives inside the old value. */
        *slot = (MapSlot){key.data, key.n, hash, value};
        m->n += !replaced;
        return replaced;
}

void *map_remove(Map *m, Slice key) {
        if (m->n == 0)
                return NULL;
        size_t mask = m->cap - 1, hole = map_find(m, key, map_hash(m->seed, key));
        void *value = m->slots[hole].value;
        if (!value)
                return NULL;
        for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
                /* It may move into the hole unless that is before the slot that its search starts at. */
                size_t home = m->slots[i].hash & mask;
                if (((i - home) & mask) >= ((i - hole) & mask)) {
                        m->slots[hole] = m->slots[i];
                        hole = i;
                }
        }
        m->slots[hole] = (MapSlot){0};
        m->n--;
        return value;
}

bool map_next(const Map *m, size_t *it, Slice *ret_key, void **ret_value) {
        for (; *it < m->cap; (*it)++) {
                const MapSlot *slot = &m->slots[*it];
                if (!slot->value)
                        continue;
                *ret_key = (Slice){slot->key, slot->n_key};
                *ret_value = slot->value;
                (*it)++;
                return true;
        }
        return false;
}

static inline uint64_t rotate(uint64_t v, int n) { return v << n | v >> (64 - n); }

static inline void sip_round(uint64_t v[4]) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

static inline uint64_t little_endian(const unsigned char *p, size_t n) {
        uint64_t v = 0;
        for (size_t i = 0; i < n; i++)
                v |= (uint64_t)p[i] << (8 * i);
        return v;
}

/** Aumasson and Bernstein's SipHash with one compression and three finalisation rounds. */
uint64_t map_hash(const uint64_t seed[2], Slice data) {
        const unsigned char *p = (const unsigned char *)data.data;
        uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575ULL, seed[1] ^ 0x646f72616e646f6dULL,
                         seed[0] ^ 0x6c7967656e657261ULL, seed[1] ^ 0x7465646279746573ULL};
        size_t left = data.n;
        for (; left >= 8; left -= 8, p += 8) {
                uint64_t word = little_endian(p, 8);
                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        uint64_t last = (uint64_t)(data.n & 0xff) << 56 | little_endian(p, left);
        v[3] ^= last;
        sip_round(v);
        v[0] ^= last;
        v[2] ^= 0xff;
        for (int i = 0; i < 3; i++)
                sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}
