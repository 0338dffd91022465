/*
 * Random lives: starts, results, failures, votes, events, pauses, cancels, time, crashes, and an audit stream
 * that loses its tail. At the end everything is brought to rest, and then: every request was answered once,
 * every history is gapless, published and identical under verify, and a step's idempotency key never changed.
 * SEED=n repeats one.
 */

#include "../leaks.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define N_ACTIONS 300
#define N_IDS     256

TestSuite(random_lives, .fini = check_leaks, .timeout = 300);

/* A call that asks first. */
#define MAY(id, deps)                                                                                        \
        STEP(id, "\"type\":\"call-service\",\"requiredPermissions\":[\"p\"],\"dependsOn\":[" deps            \
                 "],\"config\":{\"url\":\"https://x.example/\"}")

typedef struct Life {
        World *w;
        uint64_t random;
        char ids[N_IDS][UUID_TEXT_SIZE + 1];
        size_t n_ids;
        unsigned n_events;
        struct {
                char id[UUID_TEXT_SIZE + 1];
                char path[64];
                char key[DIGEST_TEXT_SIZE + 1];
        } keys[2048];
        size_t n_keys;
} Life;

static uint64_t draw(Life *l, uint64_t n) {
        uint64_t z = l->random += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return (z ^ (z >> 31)) % n;
}

static const char *any_id(Life *l) { return l->ids[draw(l, l->n_ids)]; }

static void check_key(Life *l, const Task *t) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(t->execution_id, id);
        for (size_t i = 0; i < l->n_keys; i++)
                if (!strcmp(l->keys[i].id, id) && !strcmp(l->keys[i].path, t->step_path.data)) {
                        cr_assert_str_eq(l->keys[i].key, t->idempotency_key);
                        return;
                }
        cr_assert(l->n_keys < 2048);
        strcpy(l->keys[l->n_keys].id, id);
        snprintf(l->keys[l->n_keys].path, sizeof(l->keys[0].path), "%s", t->step_path.data);
        strcpy(l->keys[l->n_keys++].key, t->idempotency_key);
}

static void act_start(Life *l) {
        static const char *const runbooks[] = {"mixed", "calls", "parent", "loop"};
        if (l->n_ids == N_IDS)
                return;
        Request *q = request_start_of(runbooks[draw(l, 4)], "{\"host\":\"h\",\"items\":[1,2,3]}", "alice");
        q->input.execution_id = uuid_v7(l->w->now_ms, draw(l, UINT64_MAX), draw(l, UINT64_MAX));
        uuid_format(q->input.execution_id, l->ids[l->n_ids]);
        if (draw(l, 8) == 0)
                q->input.pause_at = SLICE("b");
        if (draw(l, 2) == 0)
                request_name(q, l->ids[l->n_ids], "start");
        l->n_ids++;
        world_send(l->w, q);
}

static void act_answer(Life *l) {
        World *w = l->w;
        if (w->executor.n == 0)
                return;
        Task *t = w->executor.tasks[draw(l, w->executor.n)];
        check_key(l, t);
        switch (draw(l, 6)) {
        case 0:
                world_answer(w, t, false, "{\"code\":\"HTTP_503\",\"message\":\"busy\",\"retryable\":true}");
                break;
        case 1:
                world_answer(w, t, false, "{\"code\":\"HTTP_404\",\"message\":\"gone\",\"retryable\":false}");
                break;
        default:
                world_answer(w, t, true,
                             t->is_question ? draw(l, 8) ? "{\"allow\":true}" : "{\"allow\":false}"
                                            : "{\"status\":200,\"body\":\"fine\"}");
                break;
        }
}

static void act_command(Life *l) {
        static const InputKind kinds[] = {INPUT_PAUSE,  INPUT_RESUME, INPUT_RESUME,
                                          INPUT_CANCEL, INPUT_RETRY,  INPUT_RETRY};
        if (l->n_ids == 0)
                return;
        Request *q = request_command(kinds[draw(l, 6)], any_id(l), draw(l, 10) ? "alice" : "bob");
        q->input.path = draw(l, 2) ? SLICE("a") : SLICE("b");
        world_send(l->w, q);
}

static void act_vote(Life *l) {
        if (l->n_ids > 0)
                world_send(l->w, request_approve(any_id(l), "ok", draw(l, 3) ? "bob" : "mallory"));
}

static void act_event(Life *l) {
        static const char *const ids[] = {"e1", "e2", ""};
        world_send(l->w, request_event("h", "{\"n\":1}", ids[draw(l, 3)]));
        l->n_events++;
}

static void act_time(Life *l) { world_pass(l->w, (int64_t)draw(l, 20000)); }
static void act_turn(Life *l) { world_turn(l->w); }
static void act_run(Life *l) { world_run(l->w); }

static void act_outbox(Life *l) {
        if (draw(l, 3) == 0) {
                l->w->audit.fail_publish = (int)draw(l, 3);
                l->w->audit.fail_code = -EAGAIN;
                l->w->audit.keep_of_failed = draw(l, 4);
        }
        for (uint64_t i = draw(l, 4); i > 0; i--)
                (void)runtime_outbox_turn(l->w->rt);
}

static void act_lose(Life *l) {
        size_t n = l->w->audit.n;
        audit_lose(l->w, n - draw(l, n / 4 + 1));
}

static void act_crash(Life *l) {
        world_turn(l->w); /* requests in the inbox die with the process; here each must have its answer */
        l->w->now_ms += (int64_t)draw(l, 30000);
        if (draw(l, 3) == 0)
                l->w->now_ms -= 20000; /* the clock was set back meanwhile */
        world_restart(l->w);
        world_check(l->w, false);
        for (size_t i = 0; i < l->w->executor.n; i++)
                check_key(l, l->w->executor.tasks[i]);
}

static void (*const actions[])(Life *l) = {
        act_start,   act_start, act_answer, act_answer, act_answer, act_answer,
        act_command, act_vote,  act_vote,   act_event,  act_event,  act_time,
        act_turn,    act_run,   act_outbox, act_lose,   act_crash,
};

static void bring_to_rest(Life *l) {
        World *w = l->w;
        w->audit.fail_publish = 0;
        for (int i = 0; i < 400; i++) {
                for (size_t x = 0; x < l->n_ids; x++) {
                        const char *status = world_status(w, l->ids[x]);
                        if (!strcmp(status, "paused") || !strcmp(status, "pausing"))
                                world_send(w, request_command(INPUT_RESUME, l->ids[x], "alice"));
                }
                while (w->executor.n > 0)
                        world_answer(w, w->executor.tasks[0], true, "{\"status\":200}");
                world_send(w, request_event("h", "{}", ""));
                world_pass(w, 61000);
                RuntimeStats stats;
                runtime_stats(w->rt, &stats);
                if (i > 5 && stats.cache_executions == 0 && w->executor.n == 0)
                        return;
        }
}

static void one_life(const char *backend, uint64_t seed) {
        Life *l = calloc(1, sizeof(*l));
        World *w = l->w = world_new(backend);
        l->random = seed;
        w->settings.cache_bytes_max = draw(l, 2) ? 20000 : 0;
        w->settings.batch_max = (uint32_t)draw(l, 2) ? 3 : 0;
        world_open(w);
        world_register(w, RUNBOOK("calls", "1", CALL("a", "") "," MAY("b", "\"a\"")));
        world_register(
                w,
                RUNBOOK("mixed", "1",
                        CALL("a", "") "," WAIT_EVENT("e", "\"a\"", "${input.host}") "," APPROVE(
                                "ok",
                                "\"a\"") "," CALL("b",
                                                  "\"e\",\"ok\"") "," STEP("t",
                                                                           "\"type\":\"wait\",\"dependsOn\":["
                                                                           "\"b\"],\"config\":{"
                                                                           "\"durationMs\":3000}")));
        world_register(
                w,
                RUNBOOK("parent", "1",
                        STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"calls\"}") "," CALL(
                                "b", "\"c\"")));
        world_register(w,
                       RUNBOOK("loop", "1",
                               STEP("l", "\"type\":\"loop\",\"config\":{\"bodyStepId\":\"a\"},\"loopConfig\":"
                                         "{\"maxIterations\":5,\"iterateOver\":\"input.items\","
                                         "\"concurrency\":2}") "," MAY("a", "") "," CALL("b", "\"l\"")));
        for (int i = 0; i < N_ACTIONS; i++) {
                size_t n = sizeof(actions) / sizeof(actions[0]);
                void (*action)(Life *) = actions[draw(l, strcmp(backend, "lmdb") ? n - 1 : n)];
                action(l);
        }
        world_run(w);
        world_check(w, true);
        bring_to_rest(l);
        world_check(w, true);
        for (size_t i = 0; i < l->n_ids; i++) {
                const char *status = world_status(w, l->ids[i]);
                cr_assert(!strcmp(status, "completed") || !strcmp(status, "failed") ||
                                  !strcmp(status, "cancelled"),
                          "seed %llu: %s is %s", (unsigned long long)seed, l->ids[i], status);
                unsigned n = world_events(w, l->ids[i], NULL);
                cr_assert_geq(audit_check(w, l->ids[i]), n, "seed %llu", (unsigned long long)seed);
                Reply *r = world_ask(w, request_replay(l->ids[i], "verify"));
                cr_assert_str_eq(r->body, "{\"divergences\":[],\"identical\":true,\"version\":\"v1\"}",
                                 "seed %llu: %s", (unsigned long long)seed, r->body);
        }
        world_free(w); /* checks that every request had exactly one answer */
        free(l);
}

static void many_lives(const char *backend, uint64_t n) {
        const char *seed = getenv("SEED");
        if (seed) {
                one_life(backend, strtoull(seed, NULL, 10));
                return;
        }
        for (uint64_t i = 1; i <= n; i++)
                one_life(backend, i);
}

Test(random_lives, in_memory) { many_lives("memory", 40); }
Test(random_lives, on_disk_with_crashes) { many_lives("lmdb", 10); }
