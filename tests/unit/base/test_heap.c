#include "../leaks.h"
#include "base/cleanup.h"
#include "base/heap.h"

TestSuite(heap, .fini = check_leaks);

Test(heap, gives_keys_in_order) {
        _cleanup_(heap_deinit) Heap h = {0};
        uint64_t x = 88172645463325252ULL, sum = 0;
        for (int i = 0; i < 10000; i++) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                cr_assert_eq(heap_push(&h, x % 5000), 0); /* duplicates among them */
                sum += x % 5000;
        }
        uint64_t last = 0, key, peeked;
        for (int i = 0; i < 10000; i++) {
                cr_assert(heap_peek(&h, &peeked));
                cr_assert(heap_pop(&h, &key));
                cr_assert_eq(peeked, key);
                cr_assert_geq(key, last);
                last = key;
                sum -= key;
        }
        cr_assert_eq(sum, 0);
        cr_assert_not(heap_pop(&h, &key));
}

Test(heap, mixed_pushes_and_pops) {
        _cleanup_(heap_deinit) Heap h = {0};
        uint64_t key;
        cr_assert_not(heap_peek(&h, &key));
        const uint64_t keys[] = {5, UINT64_MAX, 0, 3};
        for (size_t i = 0; i < N_ELEMENTS(keys); i++)
                heap_push(&h, keys[i]);
        cr_assert(heap_pop(&h, &key) && key == 0);
        heap_push(&h, 4);
        cr_assert(heap_pop(&h, &key) && key == 3);
        cr_assert(heap_pop(&h, &key) && key == 4);
        cr_assert(heap_pop(&h, &key) && key == 5);
        cr_assert(heap_pop(&h, &key) && key == UINT64_MAX);
        heap_push(&h, 1);
        heap_clear(&h);
        cr_assert_not(heap_pop(&h, &key));
}
