/*
 * Memory that runs out: every allocation on the road of a message, of a worker's word, and of the executors
 * themselves fails once, one after the other. Nothing crashes or leaks, every attempt ends once, every word is answered
 * once.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../failing.h"
#include "../leaks.h"
#include "executors/publish.h"
#include "worker_world.h"

#define ALLOCATIONS_MAX 500 /* of one road */

TestSuite(errand_memory, .fini = check_leaks, .timeout = 120);

static bool is_out_of_memory(const TaskResult *r) {
        return !r->ok && !strcmp(harness_string(r->error, "code"), "OUT_OF_MEMORY");
}

/** False: it did not come to so many allocations. */
static bool publish_failing(long n) {
        static const RunbookStep step = {.type = STEP_TYPE_PUBLISH_EVENT};
        Mailbox m = {.aside = failing_aside};
        mailbox_init(&m);
        cr_assert_eq(publish_executor_new("p.v1", &m.host, &m.outlet, &m.h.executor), 0);
        Task *t = harness_task_of(&m.h, &step,
                                  json_pack("{s:s,s:{s:s}}", "subject", "a", "headers", "X-A", "1"), NULL);
        failing_begin(n, 1);
        m.h.executor->vtable->submit(m.h.executor, t);
        if (m.h.n_results == 0) {
                cr_assert(mailbox_wait(&m, 1));
                cr_assert_str_eq(m.letters[0].subject, "p.v1.acme.out.a");
                cr_assert_str_eq(m.letters[0].id, "key-0");
                cr_assert_str_eq(m.letters[0].payload, "null");
                cr_assert_not_null(strstr(m.letters[0].headers, "Runbook-Execution-Id: 07"));
                mailbox_confirm(&m, 0, 1);
        }
        failing_end();
        cr_assert(harness_wait(&m.h, 1));
        cr_assert_eq(m.h.n_results, 1);
        cr_assert(m.h.results[0].ok || is_out_of_memory(&m.h.results[0]), "allocation %ld", n);
        cr_assert_eq(errand_n_open(m.h.executor), 0);
        mailbox_deinit(&m);
        return failing_reached();
}

Test(errand_memory, publish) {
        long n = 0;
        while (n < ALLOCATIONS_MAX && publish_failing(n))
                n++;
        cr_assert(n > 5 && n < ALLOCATIONS_MAX, "%ld", n);
}

/** A worker takes a task, sends a heartbeat with a log, and its result, until it was heard. */
static bool work_failing(long n) {
        world = (World){.mail.aside = failing_aside};
        world_open(0);
        Task *t = harness_task(&world.mail.h, "{}", NULL);
        uint32_t instance = t->instance;
        failing_begin(n, 1);
        world.mail.h.executor->vtable->submit(world.mail.h.executor, t);
        if (world.mail.h.n_results == 0) {
                cr_assert(mailbox_wait(&world.mail, 1));
                mailbox_confirm(&world.mail, 0, 1);
                bool given = world_offer(instance, "w1", true) || world_offer(instance, "w1", true);
                cr_assert(given, "only one allocation fails");
                size_t n_said = 0;
                for (RunbookCode code = RUNBOOK_UNAVAILABLE; code != RUNBOOK_OK;
                     code = world.told.answer.code) {
                        world_say(&(WorkerReport){.token = world_token("acme", instance, 1),
                                                  .word = WORKER_HEARTBEAT,
                                                  .has_progress = true,
                                                  .progress = 0.5},
                                  NULL, NULL, "[{'message':'m'}]");
                        cr_assert_eq(world.told.n, ++n_said, "allocation %ld", n);
                        cr_assert_leq(n_said, 2);
                }
                size_t n_logs = 0; /* the number alone may have been recorded before */
                for (size_t i = 0; i < world.mail.n_progress; i++)
                        n_logs += world.mail.progress[i].logs != NULL;
                cr_assert_eq(n_logs, 1);
                for (RunbookCode code = RUNBOOK_UNAVAILABLE; code != RUNBOOK_OK;
                     code = world.told.answer.code) {
                        world_complete(instance);
                        cr_assert_eq(world.told.n, ++n_said, "allocation %ld", n);
                        cr_assert_leq(n_said, 3);
                }
        }
        failing_end();
        cr_assert_eq(world.mail.h.n_results, 1, "allocation %ld", n);
        cr_assert(world.mail.h.results[0].ok || is_out_of_memory(&world.mail.h.results[0]));
        cr_assert_eq(errand_n_open(world.mail.h.executor), 0);
        world_close();
        return failing_reached();
}

Test(errand_memory, a_worker_at_work) {
        long n = 0;
        while (n < ALLOCATIONS_MAX && work_failing(n))
                n++;
        cr_assert(n > 10 && n < ALLOCATIONS_MAX, "%ld", n);
}

/** The step's time is up while every allocation fails: it ends all the same. */
Test(errand_memory, time_out) {
        for (long n = 0; n < 12; n++) {
                world = (World){.mail.aside = failing_aside};
                world_open(0);
                world.mail.h.timeout_ms = 250;
                world_stored_task("{}");
                failing_begin(n, 1);
                cr_assert(harness_wait(&world.mail.h, 1));
                failing_end();
                const TaskResult *r = &world.mail.h.results[0];
                cr_assert(is_out_of_memory(r) || !strcmp(harness_string(r->error, "code"), "TIMEOUT"));
                world_close();
        }
}

Test(errand_memory, executors) {
        const WorkerSettings settings = {.prefix = "p.v1"};
        Mailbox m = {0};
        Report report = {0};
        Executor *executor = NULL;
        mailbox_init(&m);
        long n = 0;
        for (int r = -ENOMEM; r < 0; n++) {
                failing_begin(n, 1);
                r = publish_executor_new("p.v1", &m.host, &m.outlet, &executor);
                failing_end();
                cr_assert_eq(r, failing_reached() ? -ENOMEM : 0, "allocation %ld", n);
        }
        executor->vtable->stop(executor);
        cr_assert_gt(n, 3);
        n = 0;
        for (int r = -ENOMEM; r < 0; n++) {
                failing_begin(n, 1);
                r = worker_executor_new(&settings, &m.host, &m.outlet, &report, &executor);
                failing_end();
                cr_assert_eq(r, failing_reached() ? -ENOMEM : 0, "allocation %ld", n);
        }
        executor->vtable->stop(executor);
        cr_assert_gt(n, 4);
        mailbox_deinit(&m);
}
