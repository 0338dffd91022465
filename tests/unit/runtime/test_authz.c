/* Questions whether a step may run, on their way out and back. */

#include "../leaks.h"
#include "world.h"

#define MAY(id, deps)                                                                                        \
        STEP(id, "\"type\":\"call-service\",\"requiredPermissions\":[\"p\"],\"dependsOn\":[" deps            \
                 "],\"config\":{\"url\":\"https://x.example/\"},\"retryPolicy\":{\"maxAttempts\":2,"           \
                 "\"initialDelayMs\":100}")

TestSuite(authz, .fini = check_leaks, .timeout = 60);

static World *fresh(void) {
        World *w = world_new("lmdb");
        world_open(w);
        world_register(w, RUNBOOK("r", "1", MAY("a", "")));
        return w;
}

static Task *question(World *w, const char *id) {
        Task *t = world_task(w, id, "a");
        cr_assert(t && t->is_question, "a question is out");
        return t;
}

Test(authz, a_question_goes_out_and_its_answer_starts_the_step) {
        World *w = fresh();
        const char *id = world_start(w, "r", NULL);
        Task *t = question(w, id);
        cr_assert(!t->config && !t->context);
        cr_assert(slice_starts_with(value_bytes(t->input), SLICE("{\"input\":{\"attempt\":1,")));
        world_answer(w, t, true, "{\"allow\":true}");
        world_run(w);
        t = world_task(w, id, "a");
        cr_assert(t && !t->is_question && t->attempt == 1);
        world_answer(w, t, true, "{}");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "completed");
        Reply *r = world_ask(w, request_replay(id, "verify"));
        cr_assert_eq(r->code, RUNBOOK_OK, "%s", r->body);
        world_events(w, id, NULL);
        world_free(w);
}

Test(authz, it_is_asked_again_after_a_restart) {
        World *w = fresh();
        const char *id = world_start(w, "r", NULL);
        question(w, id);
        world_restart(w);
        world_run(w);
        world_answer(w, question(w, id), true, "{\"allow\":false}");
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "failed");
        cr_assert_eq(world_events(w, id, "evidence.recorded"), 0, "the answer brought none");
        world_free(w);
}

Test(authz, a_cancel_takes_the_question_back) {
        World *w = fresh();
        const char *id = world_start(w, "r", NULL);
        question(w, id);
        world_ask(w, request_command(INPUT_CANCEL, id, "alice"));
        cr_assert_str_eq(world_status(w, id), "cancelled");
        cr_assert_eq(w->executor.n, 0);
        cr_assert_eq(w->executor.n_cancelled, 1);
        world_free(w);
}

Test(authz, nobody_to_ask_means_denied) {
        World *w = fresh();
        runtime_set_authz(w->rt, NULL);
        const char *id = world_start(w, "r", NULL);
        world_run(w);
        cr_assert_str_eq(world_status(w, id), "failed");
        Execution *x = world_load(w, id);
        cr_assert(strstr(value_bytes(x->error).data, "\"AUTHZ_UNAVAILABLE\"") &&
                  strstr(value_bytes(x->error).data, "AUTHZ_URL"));
        execution_free(x);
        world_free(w);
}
