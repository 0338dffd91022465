/* Binary min-heap: keys[0] is the smallest, children of i are 2i+1 and 2i+2. */
#include <errno.h>
#include <stdlib.h>

#include "base/heap.h"

#define HEAP_CAP_MIN 16

void heap_deinit(Heap *h) {
        free(h->keys);
        *h = (Heap){0};
}

int heap_push(Heap *h, uint64_t key) {
        if (h->n == h->cap) {
                size_t cap = h->cap ? h->cap * 2 : HEAP_CAP_MIN;
                uint64_t *keys = reallocarray(h->keys, cap, sizeof(*keys));
                if (!keys)
                        return -ENOMEM;
                h->keys = keys;
                h->cap = cap;
        }
        size_t i = h->n++;
        for (; i > 0 && h->keys[(i - 1) / 2] > key; i = (i - 1) / 2)
                h->keys[i] = h->keys[(i - 1) / 2];
        h->keys[i] = key;
        return 0;
}

bool heap_pop(Heap *h, uint64_t *ret) {
        if (h->n == 0)
                return false;
        *ret = h->keys[0];
        uint64_t last = h->keys[--h->n];
        size_t i = 0;
        for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
                if (child + 1 < h->n && h->keys[child + 1] < h->keys[child])
                        child++;
                if (h->keys[child] >= last)
                        break;
                h->keys[i] = h->keys[child];
        }
        h->keys[i] = last; /* of an emptied heap this is slot 0, which exists */
        return true;
}

bool heap_peek(const Heap *h, uint64_t *ret) {
        if (h->n == 0)
                return false;
        *ret = h->keys[0];
        return true;
}

void heap_clear(Heap *h) { h->n = 0; }
