#include <criterion/criterion.h>

#include "../leaks.h"
#include "executors/due.h"

#define N 300

TestSuite(due, .fini = check_leaks);

Test(due, is_empty_at_first) {
        DueHeap h = {0};
        Due d = {0};
        cr_assert_null(due_first(&h));
        due_remove(&h, &d);
        due_deinit(&h);
}

/** Random puts, moves and removals; the first is always the earliest of all that are in. */
Test(due, first_is_the_earliest) {
        static Due all[N];
        DueHeap h = {0};
        unsigned seed = 7;
        for (int round = 0; round < 20000; round++) {
                Due *d = &all[rand_r(&seed) % N];
                if (rand_r(&seed) % 3 == 0)
                        due_remove(&h, d);
                else
                        cr_assert_eq(due_set(&h, d, rand_r(&seed) % 1000), 0);
                int64_t earliest = INT64_MAX;
                size_t n = 0;
                for (int i = 0; i < N; i++)
                        if (all[i].at) {
                                n++;
                                cr_assert_eq(h.items[all[i].at], &all[i]);
                                earliest = all[i].ns < earliest ? all[i].ns : earliest;
                        }
                cr_assert_eq(h.n, n);
                cr_assert_eq(n ? due_first(&h)->ns : INT64_MAX, earliest);
        }
        due_deinit(&h);
}
