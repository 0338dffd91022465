#pragma once
/* Bump allocation freed all at once: a compiled runbook's memory, a batch's working memory. */

#include "base/slice.h"

typedef struct ArenaBlock ArenaBlock;
/** Zero-initialised is empty and valid. Allocations are 16-byte aligned and zeroed. */
typedef struct Arena {
        ArenaBlock *blocks;
        size_t n_bytes; /* handed out, for accounting */
        size_t limit;   /* bytes; 0: none. Past it arena_alloc gives NULL */
} Arena;

void arena_deinit(Arena *a);
/** Forget all allocations; keeps the largest block for reuse. */
void arena_reset(Arena *a);
/** Zeroed memory valid until reset or deinit; NULL when out of memory or over the limit. */
void *arena_alloc(Arena *a, size_t n);
/** n*size with overflow check. */
void *arena_alloc_array(Arena *a, size_t n, size_t size);
/** A NUL-terminated copy; NULL data on failure (n stays 0). */
Slice arena_dup(Arena *a, Slice s);
char *arena_dup_str(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_NEW_ARRAY(a, T, n) ((T *)arena_alloc_array((a), (n), sizeof(T)))
