/* No room: in the map, on the disk. Nothing half done, what runs goes on, and it ends when there is room
 * again. */

#include "../leaks.h"
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(full, .fini = check_leaks, .timeout = 120);

#define MIB ((size_t)1 << 20)

static char *big_input(size_t n) {
        char *json = malloc(n + 16);
        cr_assert_not_null(json);
        memcpy(json, "{\"x\":\"", 6);
        memset(json + 6, 'a', n);
        strcpy(json + 6 + n, "\"}");
        return json;
}

Test(full, the_map_grows_and_the_batch_runs_again_with_the_same_outcome) {
        World *w = world_new("lmdb");
        w->map_size = 1 * MIB;
        w->map_size_max = 256 * MIB;
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        char *input = big_input(100000);
        Reply *r[40];
        for (int i = 0; i < 40; i++)
                r[i] = world_send(w, request_start_of("r", input, "alice"));
        world_run(w);
        for (int i = 0; i < 40; i++) {
                cr_assert_eq(r[i]->code, RUNBOOK_OK, "%s", r[i]->body);
                cr_assert_str_eq(world_status(w, reply_text(r[i], "executionId")), "running");
                cr_assert_eq(audit_check(w, reply_text(r[i], "executionId")),
                             world_events(w, reply_text(r[i], "executionId"), NULL));
        }
        cr_assert_eq(w->executor.n, 40);
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_gt(stats.n_commits_failed, 0);
        cr_assert_eq(stats.n_started, 40);
        free(input);
        world_free(w);
}

Test(full, at_high_water_new_work_is_refused_and_what_runs_ends) {
        World *w = world_new("lmdb");
        w->map_size = w->map_size_max = 12 * MIB;
        w->settings.store_high_percent = 60;
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        world_register(w, RUNBOOK("e", "1", WAIT_EVENT("e", "", "k")));
        world_register(w, RUNBOOK("ok", "1", APPROVE("ok", "")));
        const char *event = world_start(w, "e", NULL), *approval = world_start(w, "ok", NULL),
                   *cancel = world_start(w, "r", NULL);
        char *input = big_input(100000);
        Reply *r = NULL;
        unsigned n = 0;
        do {
                r = world_ask(w, request_start_of("r", input, "alice"));
                world_pass(w, 300); /* how full it is is looked at once a second */
                n++;
        } while (r->code == RUNBOOK_OK && n < 200);
        cr_assert_eq(r->code, RUNBOOK_STORE_FULL);
        cr_assert_not(r->durable);
        cr_assert_gt(n, 30);
        cr_assert_eq(world_ask(w, request_register(RUNBOOK("x", "1", CALL("a", "")), "alice"))->code,
                     RUNBOOK_STORE_FULL);
        cr_assert_eq(world_ask(w, request_event("nobody", "1", ""))->code, RUNBOOK_STORE_FULL);
        cr_assert_eq(world_ask(w, request_replay(cancel, "rerun"))->code, RUNBOOK_STORE_FULL);
        /* All that ends something goes on. */
        cr_assert_str_eq(reply_text(world_ask(w, request_event("k", "1", "")), "status"), "delivered");
        cr_assert_str_eq(world_status(w, event), "completed");
        cr_assert_eq(world_ask(w, request_approve(approval, "ok", "bob"))->code, RUNBOOK_OK);
        cr_assert_eq(world_ask(w, request_command(INPUT_CANCEL, cancel, "alice"))->code, RUNBOOK_OK);
        while (w->executor.n > 0)
                world_answer(w, w->executor.tasks[0], true, "1");
        world_run(w);
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_eq(stats.n_ended, stats.n_started);
        free(input);
        world_free(w);
}

Test(full, a_map_at_its_end_refuses_and_holds_and_comes_back) {
        World *w = world_new("lmdb");
        w->map_size = w->map_size_max = 4 * MIB;
        w->settings.store_high_percent = 100; /* no reserve: it really runs full */
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," CALL("b", "\"a\"")));
        const char *first = world_start(w, "r", NULL);
        char *input = big_input(100000);
        Reply *r = NULL;
        unsigned n = 0;
        do {
                r = world_ask(w, request_start_of("r", input, "alice"));
                n++;
        } while (r->code == RUNBOOK_OK && n < 200);
        cr_assert_eq(r->code, RUNBOOK_STORE_FULL, "%s", r->body);
        cr_assert_not(r->durable);
        /* A start beside a result: the start is refused, the result is written. */
        world_answer(w, world_task(w, first, "a"), true, "{\"n\":1}");
        r = world_ask(w, request_start_of("r", input, "alice"));
        cr_assert_eq(r->code, RUNBOOK_STORE_FULL);
        cr_assert_str_eq(world_step(w, first, "a"), "completed");
        /* A result too big for what is left is held; it is neither lost nor does it hold others up for good.
         */
        char *output = big_input(900000);
        world_answer(w, world_task(w, first, "b"), true, output);
        world_run(w);
        cr_assert_str_eq(world_step(w, first, "b"), "running");
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        cr_assert_not(stats.writable);
        /* With room (the operator raised the maximum) it is there. What was held in memory is asked for again
         * by recovery. */
        world_close(w);
        w->map_size = w->map_size_max = 64 * MIB;
        world_open(w);
        world_run(w);
        world_answer(w, world_task(w, first, "b"), true, output);
        world_run(w);
        cr_assert_str_eq(world_status(w, first), "completed");
        free(output);
        free(input);
        world_free(w);
}

/** The disk is "full": no file of this process may grow past what it is now plus @room. */
static void limit_files(const World *w, size_t room) {
        char path[256];
        struct stat st;
        struct rlimit limit;
        snprintf(path, sizeof(path), "%s/data.mdb", w->dir);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = (rlim_t)((size_t)st.st_size + room);
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void unlimit_files(void) {
        struct rlimit limit;
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
        limit.rlim_cur = limit.rlim_max;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(full, a_full_disk_loses_nothing_and_ends_when_there_is_room) {
        signal(SIGXFSZ, SIG_IGN);
        World *w = world_new("lmdb");
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "") "," WAIT_EVENT("e", "\"a\"", "k")));
        world_register(w, RUNBOOK("t", "1", WAIT("w", 5000)));
        const char *id = world_start(w, "r", NULL), *timed = world_start(w, "t", NULL);
        Request *q;
        limit_files(w, 0);
        /* Until the free pages inside the file are used up. */
        char *input = big_input(50000);
        Reply *r = NULL;
        unsigned n = 0;
        do {
                r = world_ask(w, request_start_of("r", input, "alice"));
                n++;
        } while (r->code == RUNBOOK_OK && n < 100);
        cr_assert_eq(r->code, RUNBOOK_STORE_FULL, "%s", r->body);
        cr_assert_not(r->durable);
        char *output = big_input(400000);
        world_answer(w, world_task(w, id, "a"), true, output);
        world_run(w);
        cr_assert_str_eq(world_step(w, id, "a"), "running");
        for (int i = 0; i < 5; i++) {
                world_pass(w, 2000);
                cr_assert_str_eq(world_step(w, id, "a"), "running", "held, tried again, held");
        }
        q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start");
        r = world_ask(w, q);
        cr_assert_eq(r->code, RUNBOOK_STORE_FULL);
        /* There is room again: the same process goes on. */
        unlimit_files();
        world_pass(w, 10000);
        cr_assert_str_eq(world_step(w, id, "a"), "completed");
        cr_assert_str_eq(world_status(w, timed), "completed");
        q = request_start_of("r", NULL, "alice");
        request_name(q, "cmd-1", "start");
        cr_assert_eq(world_ask(w, q)->code, RUNBOOK_OK);
        world_ask(w, request_event("k", "{}", ""));
        world_restart(w);
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_events(w, id, NULL);
        audit_check(w, id);
        free(input);
        free(output);
        world_free(w);
}

Test(full, a_batch_bigger_than_a_transaction_may_be_is_parted) {
        World *w = world_new("memory");
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CALL("a", "")));
        char *input = big_input(1000000);
        Reply *r[80];
        RuntimeStats before, after;
        runtime_stats(w->rt, &before);
        for (int i = 0; i < 80; i++)
                r[i] = world_send(w, request_start_of("r", input, "alice"));
        world_run(w);
        runtime_stats(w->rt, &after);
        for (int i = 0; i < 80; i++)
                cr_assert_eq(r[i]->code, RUNBOOK_OK);
        cr_assert_geq(after.n_batches - before.n_batches, 3);
        free(input);
        world_free(w);
}
