#pragma once
/*
 * Where any thread leaves attempts for the one thread of an executor, and takes them back.
 *
 * An item that is in can be cancelled. Who takes it out, under the lock, decides how it ends: the executor's thread
 * by posting a result, a cancel by leaving it to the thread to be thrown away.
 */

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "executors/attempt.h"

/** Part of what it takes in. */
typedef struct IntakeItem {
        List node;        /* in Intake.fresh, or a list of intake_take; the owner's afterwards */
        List cancel_node; /* the same for Intake.cancelled */
        bool cancelled;   /* under the lock */
        uint8_t key[ATTEMPT_KEY_SIZE];
} IntakeItem;

typedef struct Intake {
        pthread_mutex_t lock; /* of all below; the executor may put more under it */
        List fresh;           /* submitted */
        List cancelled;       /* to be aborted */
        Map items;            /* by key: those that may still be cancelled */
        uint64_t n_open, open_max;
        bool sleeping, stopping;
        int wakeup; /* eventfd: readable when the thread should look; -1: none */
} Intake;

/** What can't fail: afterwards intake_deinit may be called. */
void intake_init(Intake *i);
/** The rest. 0 or negative errno. */
int intake_open(Intake *i, uint64_t seed0, uint64_t seed1, uint64_t open_max);
void intake_deinit(Intake *i); /* items that are in stay the caller's */

/* For any thread. */
/** Take @item for @task's attempt. 0; -ENOBUFS: @open_max are in; -ENOMEM. */
int intake_put(Intake *i, IntakeItem *item, const Task *task);
void intake_cancel(Intake *i, Uuid execution_id, uint32_t instance, uint32_t attempt);
uint64_t intake_n_open(Intake *i);
/** Under the lock: the thread should look at something. */
void intake_wake(Intake *i);
/** intake_take gives false from now on. */
void intake_stop(Intake *i);

/* For the executor's thread. */
/** Move what is new into the two lists. False: stop; then they are as they were. */
bool intake_take(Intake *i, List *ret_fresh, List *ret_cancelled);
/** Under the lock: there is nothing to do but to wait for the eventfd, unless this gives false. */
bool intake_rest(Intake *i);
/** It has waited: nobody needs to wake it. Empties the eventfd if @readable. */
void intake_awake(Intake *i, bool readable);
/** The attempt is over, before its result is out: whoever has the result finds it closed. Is the result wanted? */
bool intake_end(Intake *i, IntakeItem *item);
