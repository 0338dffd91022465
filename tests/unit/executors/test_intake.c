#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>

#include "../leaks.h"
#include "executors/intake.h"

TestSuite(intake, .fini = check_leaks);

#define OPEN_MAX 3

static Task task_of(uint32_t attempt) {
        return (Task){.execution_id = {.bytes = {1, 2, 3}}, .instance = 7, .attempt = attempt};
}

static void open_it(Intake *i) {
        intake_init(i);
        cr_assert_eq(intake_open(i, 1, 2, OPEN_MAX), 0);
}

static void cancel_it(Intake *i, uint32_t attempt) {
        Task t = task_of(attempt);
        intake_cancel(i, t.execution_id, t.instance, attempt);
}

static int put_it(Intake *i, IntakeItem *item, uint32_t attempt) {
        Task t = task_of(attempt);
        return intake_put(i, item, &t);
}

/** May the thread rest? */
static bool rest(Intake *i) {
        pthread_mutex_lock(&i->lock);
        bool rests = intake_rest(i);
        pthread_mutex_unlock(&i->lock);
        return rests;
}

static bool has_rung(const Intake *i) {
        struct pollfd p = {.fd = i->wakeup, .events = POLLIN};
        return poll(&p, 1, 0) == 1;
}

Test(intake, what_is_put_in_comes_out_in_order_and_ends) {
        Intake i;
        IntakeItem items[2];
        List fresh, cancelled;
        open_it(&i);
        cr_assert_eq(put_it(&i, &items[0], 1), 0);
        cr_assert_eq(put_it(&i, &items[1], 2), 0);
        cr_assert_eq(intake_n_open(&i), 2);
        cr_assert_not(rest(&i), "there is something to take");
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert_eq(fresh.next, &items[0].node);
        cr_assert_eq(items[0].node.next, &items[1].node);
        cr_assert_eq(items[1].node.next, &fresh);
        cr_assert(list_is_empty(&cancelled));
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert(list_is_empty(&fresh), "once");
        cr_assert(intake_end(&i, &items[0]), "its result is wanted");
        cancel_it(&i, 1); /* too late */
        cr_assert(intake_end(&i, &items[1]));
        cr_assert_eq(intake_n_open(&i), 0);
        intake_deinit(&i);
}

Test(intake, who_is_cancelled_is_not_wanted) {
        Intake i;
        IntakeItem early, late;
        List fresh, cancelled;
        open_it(&i);
        cr_assert_eq(put_it(&i, &early, 1), 0);
        cr_assert_eq(put_it(&i, &late, 2), 0);
        cancel_it(&i, 1);
        cancel_it(&i, 1);
        cancel_it(&i, 99);
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert_eq(cancelled.next, &early.cancel_node);
        cr_assert_eq(early.cancel_node.next, &cancelled);
        cr_assert_not(intake_end(&i, &early));
        cr_assert(list_is_empty(&cancelled));
        cancel_it(&i, 2); /* the thread ends it before it has heard of that */
        cr_assert_not(intake_end(&i, &late));
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert(list_is_empty(&cancelled), "nothing is left of it");
        cr_assert_eq(intake_n_open(&i), 0);
        intake_deinit(&i);
}

Test(intake, a_full_one_takes_no_more) {
        Intake i;
        IntakeItem items[OPEN_MAX + 1];
        open_it(&i);
        for (uint32_t k = 0; k < OPEN_MAX; k++)
                cr_assert_eq(put_it(&i, &items[k], k), 0);
        cr_assert_eq(put_it(&i, &items[OPEN_MAX], OPEN_MAX), -ENOBUFS);
        cr_assert_eq(intake_n_open(&i), OPEN_MAX);
        intake_end(&i, &items[0]);
        cr_assert_eq(put_it(&i, &items[OPEN_MAX], OPEN_MAX), 0);
        intake_deinit(&i);
}

Test(intake, rings_once_and_only_for_a_thread_that_rests) {
        Intake i;
        IntakeItem items[3];
        List fresh, cancelled;
        open_it(&i);
        cr_assert_eq(put_it(&i, &items[0], 1), 0);
        cr_assert_not(has_rung(&i), "it is awake");
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert(rest(&i));
        cr_assert_not(has_rung(&i));
        cr_assert_eq(put_it(&i, &items[1], 2), 0);
        cr_assert(has_rung(&i));
        intake_awake(&i, true);
        cr_assert_not(has_rung(&i));
        cr_assert_eq(put_it(&i, &items[2], 3), 0);
        cr_assert_not(has_rung(&i));
        cr_assert(intake_take(&i, &fresh, &cancelled));
        cr_assert(rest(&i));
        cancel_it(&i, 99);
        cr_assert_not(has_rung(&i), "there is no such attempt");
        cancel_it(&i, 3);
        cr_assert(has_rung(&i));
        intake_deinit(&i);
}

Test(intake, stops) {
        Intake i;
        IntakeItem item;
        List fresh, cancelled;
        open_it(&i);
        cr_assert_eq(put_it(&i, &item, 1), 0);
        intake_stop(&i);
        cr_assert(has_rung(&i));
        cr_assert_not(rest(&i));
        cr_assert_not(intake_take(&i, &fresh, &cancelled));
        cr_assert_eq(i.fresh.next, &item.node, "it stays for the end to find");
        intake_deinit(&i);
}
