/*
 * Arena
 *
 * A list of blocks, newest first; allocation bumps a mark in the newest one. Nothing is freed alone.
 * Blocks double up to a cap, so that a batch of any size needs a handful of mallocs, and after a reset
 * the largest block is kept, so that the next batch usually needs none.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

#define ARENA_ALIGN 16
#define ARENA_BLOCK_MIN (4 << 10)
#define ARENA_BLOCK_MAX (1 << 20) /* where doubling ends; larger allocations get a block of their own size */

struct ArenaBlock {
        ArenaBlock *next;
        size_t size, used; /* of bytes[] */
        _Alignas(ARENA_ALIGN) char bytes[];
};

void arena_deinit(Arena *a) {
        for (ArenaBlock *block = a->blocks, *next; block; block = next) {
                next = block->next;
                free(block);
        }
        *a = (Arena){.limit = a->limit};
}

void arena_reset(Arena *a) {
        ArenaBlock *largest = a->blocks;
        for (ArenaBlock *block = a->blocks; block; block = block->next)
                if (block->size > largest->size)
                        largest = block;
        for (ArenaBlock *block = a->blocks, *next; block; block = next) {
                next = block->next;
                if (block != largest)
                        free(block);
        }
        if (largest) {
                largest->next = NULL;
                largest->used = 0;
        }
        a->blocks = largest;
        a->n_bytes = 0;
}

static ArenaBlock *arena_block_new(Arena *a, size_t n) {
        size_t size = a->blocks ? a->blocks->size * 2 : ARENA_BLOCK_MIN;
        if (size > ARENA_BLOCK_MAX)
                size = ARENA_BLOCK_MAX;
        if (size < n)
                size = n;
        ArenaBlock *block = malloc(sizeof(*block) + size);
        if (!block)
                return NULL;
        *block = (ArenaBlock){.size = size, .next = a->blocks};
        a->blocks = block;
        return block;
}

void *arena_alloc(Arena *a, size_t n) {
        if (n > SIZE_MAX / 2)
                return NULL;
        n = (n + (n == 0) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
        if (a->limit && (a->n_bytes > a->limit || n > a->limit - a->n_bytes))
                return NULL;
        ArenaBlock *block = a->blocks;
        if (!block || n > block->size - block->used) {
                block = arena_block_new(a, n);
                if (!block)
                        return NULL;
        }
        char *p = block->bytes + block->used;
        block->used += n;
        a->n_bytes += n;
        return memset(p, 0, n);
}

void *arena_alloc_array(Arena *a, size_t n, size_t size) {
        size_t total;
        if (__builtin_mul_overflow(n, size, &total))
                return NULL;
        return arena_alloc(a, total);
}

Slice arena_dup(Arena *a, Slice s) {
        char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
        if (!p)
                return SLICE_NULL;
        if (s.n > 0)
                memcpy(p, s.data, s.n);
        return (Slice){p, s.n};
}

char *arena_dup_str(Arena *a, const char *s) { return (char *)arena_dup(a, slice_from_str(s)).data; }

char *arena_printf(Arena *a, const char *format, ...) {
        va_list ap, again;
        va_start(ap, format);
        va_copy(again, ap);
        int n = vsnprintf(NULL, 0, format, ap);
        char *p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
        if (p)
                vsnprintf(p, (size_t)n + 1, format, again);
        va_end(again);
        va_end(ap);
        return p;
}
