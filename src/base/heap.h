#pragma once
/* Binary min-heap of 64-bit keys, e.g. ready step instances in index order. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Zero-initialised is empty and valid. */
typedef struct Heap { uint64_t *keys; size_t n, cap; } Heap;

void heap_deinit(Heap *h);
/** 0 or -ENOMEM. */
int heap_push(Heap *h, uint64_t key);
/** Take the smallest key; false when empty. */
bool heap_pop(Heap *h, uint64_t *ret);
bool heap_peek(const Heap *h, uint64_t *ret);
void heap_clear(Heap *h);
