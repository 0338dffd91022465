/* Word from attempts under way, and who is told when a result is committed. */

#include "../leaks.h"
#include "base/cleanup.h"
#include "world.h"

TestSuite(progress, .fini = check_leaks, .timeout = 60);

#define CUSTOM(id, deps) STEP(id, "\"type\":\"custom:geo\",\"dependsOn\":[" deps "]")

typedef struct Told {
        unsigned n, n_committed;
} Told;

static void on_settled(void *userdata, bool committed) {
        Told *told = userdata;
        told->n++;
        told->n_committed += committed;
}

static World *fresh(const char *backend) {
        World *w = world_new(backend);
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CUSTOM("a", "")));
        return w;
}

static void post_progress(World *w, const Task *t, double number, const char *logs, Told *told) {
        ExecutorHost host = runtime_executor_host(w->rt, NULL, NULL);
        TaskProgress p = {.execution_id = t->execution_id,
                          .instance = t->instance,
                          .attempt = t->attempt,
                          .has_number = true,
                          .number = number,
                          .logs = logs ? value_of(logs) : NULL,
                          .settled = on_settled,
                          .settled_userdata = told};
        host.post_progress(host.userdata, &p);
}

static void post_result(World *w, const Task *t, Told *told) {
        ExecutorHost host = runtime_executor_host(w->rt, NULL, NULL);
        TaskResult r = {.execution_id = t->execution_id,
                        .instance = t->instance,
                        .attempt = t->attempt,
                        .ok = true,
                        .output = value_of("1"),
                        .settled = on_settled,
                        .settled_userdata = told};
        host.post_result(host.userdata, &r);
}

static double stored_progress(World *w, const char *id) {
        _cleanup_(execution_free_p) Execution *x = world_load(w, id);
        return x->steps[0].extra ? x->steps[0].extra->progress : 0;
}

Test(progress, is_stored_and_survives_a_restart) {
        World *w = fresh("lmdb");
        Told told = {0};
        const char *id = world_start(w, "r", NULL);
        post_progress(w, world_task(w, id, "a"), 0.5, "[{\"level\":\"info\",\"message\":\"half\"}]", &told);
        cr_assert_eq(told.n, 0, "not before the commit");
        world_run(w);
        cr_assert_eq(told.n_committed, 1);
        cr_assert_float_eq(stored_progress(w, id), 0.5, 0);
        world_restart(w);
        cr_assert_float_eq(stored_progress(w, id), 0.5, 0);
        const Task *t = world_task(w, id, "a");
        cr_assert_not_null(t, "the attempt is sent out again");
        cr_assert_eq(t->attempt, 1);
        post_result(w, t, &told);
        world_run(w);
        cr_assert_eq(told.n_committed, 2);
        cr_assert_str_eq(world_status(w, id), "completed");
        Reply *verified = world_ask(w, request_replay(id, "verify"));
        cr_assert_not_null(strstr(verified->body, "\"identical\":true"), "%s", verified->body);
        world_free(w);
}

Test(progress, comes_before_the_result_that_was_posted_after_it) {
        World *w = fresh("memory");
        Told told = {0};
        const char *id = world_start(w, "r", NULL);
        const Task *t = world_task(w, id, "a");
        post_progress(w, t, 0.9, "[{\"level\":\"info\",\"message\":\"nearly\"}]", &told);
        post_result(w, t, &told);
        world_run(w);
        cr_assert_eq(told.n_committed, 2);
        _cleanup_(execution_free_p) Execution *x = world_load(w, id);
        cr_assert_eq(x->steps[0].n_logs, 1);
        cr_assert_str_eq(world_status(w, id), "completed");
        world_free(w);
}

Test(progress, whoever_posts_twice_or_after_a_cancel_is_told) {
        World *w = fresh("memory");
        Told told = {0};
        const char *id = world_start(w, "r", NULL);
        const Task *t = world_task(w, id, "a");
        post_result(w, t, &told);
        post_result(w, t, &told);
        cr_assert_eq(told.n, 1, "the second one finds no attempt");
        world_run(w);
        cr_assert_eq(told.n, 2);
        cr_assert_eq(told.n_committed, 1);
        world_free(w);
}

Test(progress, what_the_end_cuts_off_is_told_that_it_was) {
        World *w = fresh("memory");
        Told told = {0};
        const char *id = world_start(w, "r", NULL);
        const Task *t = world_task(w, id, "a");
        post_progress(w, t, 0.1, NULL, &told);
        post_result(w, t, &told);
        world_free(w);
        cr_assert_eq(told.n, 2);
        cr_assert_eq(told.n_committed, 0);
}
