#pragma once
/* What is due when: a heap whose members know their place in it, so that they can be moved and taken out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Part of what it times. Zero-initialised is "in no heap". */
typedef struct Due {
        int64_t ns;
        size_t at; /* position from 1; 0: in no heap */
} Due;

/** Zero-initialised is empty and valid. */
typedef struct DueHeap {
        Due **items; /* items[0] unused */
        size_t n, cap;
} DueHeap;

void due_deinit(DueHeap *h);
/** Put @d in, or move it. 0 or -ENOMEM; never fails for one that is in. */
int due_set(DueHeap *h, Due *d, int64_t ns);
void due_remove(DueHeap *h, Due *d); /* fine if it is not in */
/** The earliest, NULL if there is none. */
static inline Due *due_first(const DueHeap *h) { return h->n > 0 ? h->items[1] : NULL; }
