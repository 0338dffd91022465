#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../leaks.h"
#include "base/turns.h"

TestSuite(turns, .fini = check_leaks);

typedef struct Job {
        Turn turn;
        int tenant, number;
} Job;

Test(turns, tenants_take_turns_and_keep_their_own_order) {
        TurnQueue q;
        Job jobs[9] = {0};
        static const char *const names[] = {"a", "b", "c"};
        turns_init(&q, 1, 2);
        cr_assert_null(turns_take(&q));
        for (int i = 0; i < 9; i++) {
                jobs[i].tenant = i < 6 ? 0 : i < 8 ? 1 : 2;
                jobs[i].number = i;
                jobs[i].turn.weight = (size_t)i;
                cr_assert_eq(turns_add(&q, slice_from_str(names[jobs[i].tenant]), &jobs[i].turn), 0);
        }
        cr_assert_eq(turns_share(&q, SLICE("a")).n, 6);
        cr_assert_eq(turns_share(&q, SLICE("b")).weight, 6 + 7);
        cr_assert_eq(turns_share(&q, SLICE("d")).n, 0);
        cr_assert_eq(q.weight, 36);
        turns_remove(&q, &jobs[1].turn);
        turns_remove(&q, &jobs[1].turn);
        static const int order[] = {0, 6, 8, 2, 7, 3, 4, 5};
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
                cr_assert_eq(LIST_ENTRY(turns_take(&q), Job, turn)->number, order[i]);
        cr_assert_null(turns_take(&q));
        cr_assert_eq(q.weight, 0);
        turns_deinit(&q);
}

/** Random adds, removals and takes: numbers agree with counting, and nobody is passed over by one that had its turn
 * since. */
Test(turns, random_walk) {
        enum { N = 60, TENANTS = 7 };
        static Job jobs[N];
        TurnQueue q;
        unsigned seed = 3;
        int waits[TENANTS] = {0}; /* takes of others while it waited */
        turns_init(&q, 5, 6);
        for (int round = 0; round < 30000; round++) {
                Job *j = &jobs[rand_r(&seed) % N];
                int what = rand_r(&seed) % 4;
                if (what < 2 && !j->turn.tenant) {
                        char name[16];
                        j->tenant = rand_r(&seed) % TENANTS;
                        j->turn.weight = (size_t)(rand_r(&seed) % 10);
                        snprintf(name, sizeof(name), "tenant-%d", j->tenant);
                        if (turns_share(&q, slice_from_str(name)).n == 0)
                                waits[j->tenant] = 0;
                        cr_assert_eq(turns_add(&q, slice_from_str(name), &j->turn), 0);
                } else if (what == 2) {
                        turns_remove(&q, &j->turn);
                } else if (q.n > 0) {
                        Job *taken = LIST_ENTRY(turns_take(&q), Job, turn);
                        waits[taken->tenant] = 0;
                        for (int t = 0; t < TENANTS; t++) {
                                char name[16];
                                snprintf(name, sizeof(name), "tenant-%d", t);
                                bool is_waiting = turns_share(&q, slice_from_str(name)).n > 0;
                                waits[t] = is_waiting && t != taken->tenant ? waits[t] + 1 : 0;
                                cr_assert_lt(waits[t], TENANTS);
                        }
                }
                size_t n = 0, weight = 0, of[TENANTS] = {0};
                for (int i = 0; i < N; i++)
                        if (jobs[i].turn.tenant) {
                                n++;
                                weight += jobs[i].turn.weight;
                                of[jobs[i].tenant]++;
                        }
                cr_assert_eq(q.n, n);
                cr_assert_eq(q.weight, weight);
                for (int t = 0; t < TENANTS; t++) {
                        char name[16];
                        snprintf(name, sizeof(name), "tenant-%d", t);
                        cr_assert_eq(turns_share(&q, slice_from_str(name)).n, of[t]);
                }
        }
        for (int i = 0; i < N; i++)
                turns_remove(&q, &jobs[i].turn);
        turns_deinit(&q);
}
