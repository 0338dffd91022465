/* A binary min-heap of pointers, each of which knows its position. */
#include <errno.h>
#include <stdlib.h>

#include "executors/due.h"

void due_deinit(DueHeap *h) {
        free(h->items);
        *h = (DueHeap){0};
}

static void put(DueHeap *h, size_t at, Due *d) {
        h->items[at] = d;
        d->at = at;
}

/** Let @d find its place, up or down from @at. */
static void sift(DueHeap *h, size_t at, Due *d) {
        for (; at > 1 && d->ns < h->items[at / 2]->ns; at /= 2)
                put(h, at, h->items[at / 2]);
        for (size_t child; (child = at * 2) <= h->n; at = child) {
                if (child < h->n && h->items[child + 1]->ns < h->items[child]->ns)
                        child++;
                if (d->ns <= h->items[child]->ns)
                        break;
                put(h, at, h->items[child]);
        }
        put(h, at, d);
}

int due_set(DueHeap *h, Due *d, int64_t ns) {
        if (d->at == 0 && h->n + 1 >= h->cap) {
                size_t cap = h->cap ? h->cap * 2 : 64;
                Due **items = reallocarray(h->items, cap, sizeof(Due *));
                if (!items)
                        return -ENOMEM;
                h->items = items;
                h->cap = cap;
        }
        d->ns = ns;
        sift(h, d->at ? d->at : ++h->n, d);
        return 0;
}

void due_remove(DueHeap *h, Due *d) {
        size_t at = d->at;
        if (at == 0)
                return;
        Due *last = h->items[h->n--];
        d->at = 0;
        if (last != d)
                sift(h, at, last);
}
