#pragma once
/* Hash map from byte strings to pointers, SipHash-keyed so that chosen keys can't degrade it. */

#include "base/slice.h"

typedef struct MapSlot MapSlot;
/** Zero-initialised is empty and valid. Keys are borrowed: they must outlive their entry. */
typedef struct Map {
        MapSlot *slots;
        size_t n, cap;   /* cap is 0 or a power of two */
        uint64_t seed[2];/* hash key; {0,0} is allowed where keys are not chosen by others */
} Map;

void map_init(Map *m, uint64_t seed0, uint64_t seed1);
void map_deinit(Map *m);
/** NULL when absent. */
void *map_get(const Map *m, Slice key);
/** Insert or replace; @value must not be NULL. 0, -ENOMEM, or 1 when a value was there (then replaced). */
int map_put(Map *m, Slice key, void *value);
/** Remove and return; NULL when absent. */
void *map_remove(Map *m, Slice key);
/** Iterate in no order: start with *it = 0; false at the end. No put or remove meanwhile. */
bool map_next(const Map *m, size_t *it, Slice *ret_key, void **ret_value);
/** SipHash-1-3 of @data. */
uint64_t map_hash(const uint64_t seed[2], Slice data);
