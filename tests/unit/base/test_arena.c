#include "../leaks.h"
#include "base/arena.h"
#include "base/cleanup.h"

TestSuite(arena, .fini = check_leaks);

Test(arena, memory_is_zeroed_aligned_and_apart) {
        _cleanup_(arena_deinit) Arena a = {0};
        for (int round = 0; round < 3; round++) {
                char *before = NULL;
                for (size_t n = 0; n < 2000; n++) {
                        char *p = arena_alloc(&a, n);
                        cr_assert_not_null(p);
                        cr_assert_eq((uintptr_t)p % 16, 0);
                        for (size_t i = 0; i < n; i++)
                                cr_assert_eq(p[i], 0);
                        if (n > 0)
                                memset(p, 0xee, n);
                        cr_assert_neq(p, before);
                        before = p;
                }
                arena_reset(&a);
                cr_assert_eq(a.n_bytes, 0);
        }
}

Test(arena, limit_counts_what_is_handed_out) {
        _cleanup_(arena_deinit) Arena a = {.limit = 64};
        cr_assert_not_null(arena_alloc(&a, 33));
        cr_assert_eq(a.n_bytes, 48);
        cr_assert_null(arena_alloc(&a, 17));
        cr_assert_not_null(arena_alloc(&a, 16));
        cr_assert_null(arena_alloc(&a, 0));
        arena_reset(&a);
        cr_assert_not_null(arena_alloc(&a, 64));
}

Test(arena, absurd_sizes_give_null) {
        _cleanup_(arena_deinit) Arena a = {0};
        cr_assert_null(arena_alloc(&a, SIZE_MAX));
        cr_assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1));
        cr_assert_null(arena_alloc_array(&a, SIZE_MAX / 8, 16));
        cr_assert_null(arena_dup(&a, (Slice){"x", SIZE_MAX}).data);
        cr_assert_eq(a.n_bytes, 0);
}

Test(arena, reset_keeps_the_largest_block) {
        _cleanup_(arena_deinit) Arena a = {0};
        arena_alloc(&a, 100);
        char *large = arena_alloc(&a, 5 << 20);
        arena_alloc(&a, 100);
        arena_reset(&a);
        char *again = arena_alloc(&a, 5 << 20);
        cr_assert_eq(again, large);
}

Test(arena, copies) {
        _cleanup_(arena_deinit) Arena a = {0};
        Slice s = arena_dup(&a, SLICE("ab\0c"));
        cr_assert(slice_eq(s, SLICE("ab\0c")));
        cr_assert_eq(s.data[4], '\0');
        cr_assert_eq(arena_dup(&a, SLICE_NULL).data[0], '\0');
        cr_assert_str_eq(arena_dup_str(&a, "hello"), "hello");
        cr_assert_str_eq(arena_printf(&a, "%s/%d", "steps", 7), "steps/7");
        int *numbers = ARENA_NEW_ARRAY(&a, int, 3);
        cr_assert(numbers[0] == 0 && numbers[2] == 0);
}
