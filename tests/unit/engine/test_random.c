/*
 * Random runbooks. First against a naive reference that computes every step's final state by definition,
 * not by counting
 * edges; then with random commands, answers and times thrown in, where the driver checks every invariant, that storing
 * and loading changes nothing, and that the journal replays to the same bytes. A failure names its seed.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "driver.h"
#include "../leaks.h"

#define STEPS_MAX     24
#define SEEDS_DEFAULT 300 /* more: RANDOM_SEEDS=30000 test_engine_random */

TestSuite(random, .fini = check_leaks, .timeout = 3000);

typedef struct Random {
        uint64_t s;
} Random;

static uint32_t draw(Random *r, uint32_t below) {
        r->s += 0x9e3779b97f4a7c15u;
        uint64_t z = r->s;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return (uint32_t)((z ^ (z >> 31)) % below);
}

static uint64_t n_seeds(void) {
        const char *n = getenv("RANDOM_SEEDS");
        return n ? strtoull(n, NULL, 10) : SEEDS_DEFAULT;
}

/* ---- a random graph, and what must become of it ------------------------------------------------------------- */

typedef enum Kind { CALL, BRANCH, GUARDED } Kind;

typedef struct Node {
        Kind kind;
        bool deps[STEPS_MAX];
        int branch_of[STEPS_MAX]; /* by conditional: 0 no target, 1 of its true branch, 2 of its false branch */
        bool holds;               /* the condition, or the guard */
        bool fails;               /* call: fails for good, and the runbook goes on */
        const char *expected;
} Node;

typedef struct Graph {
        Node nodes[STEPS_MAX];
        int n;
} Graph;

static void graph_draw(Graph *g, Random *r) {
        g->n = 2 + (int)draw(r, STEPS_MAX - 2);
        for (int i = 0; i < g->n; i++) {
                Node *node = &g->nodes[i];
                *node = (Node){.kind = (Kind)draw(r, 3), .holds = draw(r, 2), .fails = draw(r, 5) == 0};
                for (int k = 0; k < i; k++) {
                        node->deps[k] = draw(r, (uint32_t)i) < 2;
                        if (g->nodes[k].kind == BRANCH && draw(r, 6) == 0)
                                node->branch_of[k] = 1 + (int)draw(r, 2);
                }
        }
}

/* By definition: look at what every dependency became. */
static void graph_expect(Graph *g) {
        for (int i = 0; i < g->n; i++) {
                Node *node = &g->nodes[i];
                int n_edges = 0, n_done = 0, n_branches = 0, n_taken = 0;
                for (int k = 0; k < i; k++) {
                        const Node *dep = &g->nodes[k];
                        bool skipped = !strcmp(dep->expected, "skipped");
                        if (node->branch_of[k]) {
                                n_branches++;
                                n_edges++;
                                n_taken += !skipped && dep->holds == (node->branch_of[k] == 1);
                        } else if (node->deps[k]) {
                                n_edges++;
                                n_done += !skipped;
                        }
                }
                bool runs = n_branches > 0 ? n_taken > 0 : n_edges == 0 || n_done > 0;
                if (!runs || (node->kind == GUARDED && !node->holds))
                        node->expected = "skipped";
                else
                        node->expected = node->kind != BRANCH && node->fails ? "failed" : "completed";
        }
}

static void put_targets(Buf *b, const Graph *g, int conditional, int branch, const char *member) {
        bool first = true;
        for (int i = conditional + 1; i < g->n; i++) {
                if (g->nodes[i].branch_of[conditional] != branch)
                        continue;
                buf_printf(b, "%s\"s%d\"", first ? "" : ",", i);
                if (first) {
                        /* the list's head goes before its first entry */
                        char entry[16];
                        snprintf(entry, sizeof(entry), "\"s%d\"", i);
                        b->n -= strlen(entry);
                        buf_printf(b, ",\"%s\":[%s", member, entry);
                }
                first = false;
        }
        if (!first)
                buf_put_char(b, ']');
}

static char *graph_definition(const Graph *g) {
        Buf b = {0};
        buf_put_str(&b, "{\"id\":\"r\",\"name\":\"r\",\"version\":\"1\",\"steps\":[");
        for (int i = 0; i < g->n; i++) {
                const Node *node = &g->nodes[i];
                buf_printf(&b, "%s{\"id\":\"s%d\",\"onFailure\":\"continue\",\"dependsOn\":[", i ? "," : "",
                           i);
                bool first = true;
                for (int k = 0; k < i; k++)
                        if (node->deps[k]) {
                                buf_printf(&b, "%s\"s%d\"", first ? "" : ",", k);
                                first = false;
                        }
                buf_put_char(&b, ']');
                if (node->kind == BRANCH) {
                        buf_printf(&b,
                                   ",\"type\":\"conditional\",\"config\":{\"condition\":{\"field\":\"input."
                                   "yes\",\"operator\":\"%s\",\"value\":true}",
                                   node->holds ? "eq" : "ne");
                        put_targets(&b, g, i, 1, "trueBranch");
                        put_targets(&b, g, i, 2, "falseBranch");
                        buf_put_char(&b, '}');
                } else {
                        buf_put_str(&b,
                                    ",\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/\"}");
                }
                if (node->kind == GUARDED)
                        buf_printf(&b,
                                   ",\"condition\":{\"field\":\"input.yes\",\"operator\":\"%s\",\"value\":"
                                   "true}",
                                   node->holds ? "eq" : "ne");
                buf_put_char(&b, '}');
        }
        buf_put_str(&b, "]}");
        return buf_steal_str(&b);
}

static void answer_some(Driver *d, const Graph *g, Random *r) {
        size_t which = draw(r, (uint32_t)d->n_tasks);
        Buf path = {0};
        execution_put_path(d->x, d->tasks[which].instance, &path);
        char *text = buf_steal_str(&path);
        if (d->tasks[which].is_question) {
                static const char *const answers[] = {"allow", "allow", "allow", "deny", "AUTHZ_UNAVAILABLE"};
                driver_authz(d, text, answers[draw(r, N_ELEMENTS(answers))]);
        } else if (g && g->nodes[atoi(text + 1)].fails)
                driver_fail(d, text, "X", false);
        else
                driver_ok(d, text, "{\"v\":1}");
        free(text);
}

Test(random, final_states_are_those_of_the_definition) {
        for (uint64_t seed = 1; seed <= n_seeds(); seed++) {
                Random r = {seed};
                Graph g;
                graph_draw(&g, &r);
                graph_expect(&g);
                _cleanup_free_ char *definition = graph_definition(&g);
                Driver *d = driver_start(definition, "{\"yes\":true}", NULL);
                while (d->n_tasks > 0)
                        answer_some(d, &g, &r);
                cr_assert_str_eq(driver_status(d), "completed", "seed %llu: %s", (unsigned long long)seed,
                                 driver_status(d));
                for (int i = 0; i < g.n; i++) {
                        char id[16];
                        snprintf(id, sizeof(id), "s%d", i);
                        cr_assert_str_eq(driver_step(d, id), g.nodes[i].expected,
                                         "seed %llu: %s is %s and should be %s in %s",
                                         (unsigned long long)seed, id, driver_step(d, id),
                                         g.nodes[i].expected, definition);
                }
                driver_replay(d);
                driver_free(d);
        }
}

/* ---- everything at once ------------------------------------------------------------------------------------ */

static void put_wild_step(Buf *b, Random *r, int i, bool in_loop) {
        static const char *const kinds[] = {
                        "\"type\":\"call-service\",\"config\":{\"url\":\"https://x.example/"
                        "\"},\"retryPolicy\":{\"maxAttempts\":2,\"initialDelayMs\":50,\"jitter\":0.5}",
                        "\"type\":\"custom:geo\",\"onFailure\":\"continue\",\"retryPolicy\":{\"maxAttempts\":2,"
                        "\"initialDelayMs\":20}",
                        "\"type\":\"human-approval\",\"approvalConfig\":{\"approvers\":[\"bob\",\"carol\"],"
                        "\"minApprovals\":1,\"timeoutMs\":300,\"timeoutAction\":\"fail\",\"escalateTo\":["
                        "\"dave\"],\"escalateAfterMs\":100}",
                        "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"e\",\"timeoutMs\":400}",
                        "\"type\":\"wait\",\"config\":{\"durationMs\":70}",
                        "\"type\":\"run-runbook\",\"config\":{\"runbookId\":\"other\"}",
                        "\"type\":\"call-service\",\"compensateWith\":\"undo\",\"config\":{\"url\":\"https://"
                        "x.example/\"}",
        };
        buf_printf(b, "{\"id\":\"s%d\",%s,%s\"dependsOn\":[", i, kinds[draw(r, 7)],
                   draw(r, 4) ? "" : "\"requiredPermissions\":[\"p\"],");
        if (i > 0 && !in_loop)
                buf_printf(b, "\"s%u\"", draw(r, (uint32_t)i));
        buf_put_str(b, "]},");
}

static char *wild_definition(Random *r) {
        Buf b = {0};
        int n = 1 + (int)draw(r, 8);
        buf_printf(&b,
                   "{\"id\":\"r\",\"name\":\"r\",\"version\":\"1\",\"maxConcurrentSteps\":%u,%s\"steps\":[",
                   1 + draw(r, 4), draw(r, 4) == 0 ? "\"globalTimeoutMs\":900," : "");
        for (int i = 0; i < n; i++)
                put_wild_step(&b, r, i, false);
        if (draw(r, 2)) {
                buf_printf(&b,
                           "{\"id\":\"l\",\"type\":\"loop\",%s\"config\":{\"bodyStepId\":\"s%d\"},"
                           "\"loopConfig\":{\"iterateOver\":\"input.items\",\"concurrency\":%u,"
                           "\"failureTolerance\":%u}},",
                           draw(r, 3) ? "" : "\"requiredPermissions\":[\"p\"],", n, 1 + draw(r, 3), draw(r, 2));
                put_wild_step(&b, r, n, true);
        }
        buf_put_str(&b, "{\"id\":\"undo\",\"requiredPermissions\":[\"undo\"],\"type\":\"call-service\","
                        "\"config\":{\"url\":\"https://x.example/undo\"},\"retryPolicy\":{\"maxAttempts\":1}}]}");
        char *text = buf_steal_str(&b);
        if (!strstr(text, "compensateWith\":\"undo\"")) {
                char *last = strstr(text, ",{\"id\":\"undo\"");
                memcpy(last, "]}", 3); /* nobody needs it: an unreferenced step would simply run */
        }
        return text;
}

/* Any active instance's path, "" if there is none. */
static char *some_path(Driver *d, Random *r) {
        Buf b = {0};
        execution_put_path(d->x, draw(r, d->x->n_instances), &b);
        return buf_steal_str(&b);
}

static void answer_child(Driver *d, Random *r) {
        for (uint32_t i = 0; i < d->x->n_instances; i++) {
                if (d->x->steps[i].status != RUNBOOK_STEP_RUNNING ||
                    execution_step(d->x, i)->type != STEP_TYPE_RUN_RUNBOOK || draw(r, 2))
                        continue;
                char id[UUID_TEXT_SIZE + 1];
                uuid_format(d->x->steps[i].extra->child, id);
                if (draw(r, 3) == 0)
                        driver_apply(d, &(Input){.kind = INPUT_CHILD_STATE,
                                                 .instance = i,
                                                 .text = slice_from_str(id),
                                                 .flag = draw(r, 2)});
                else
                        driver_apply(d, &(Input){.kind = INPUT_CHILD_DONE,
                                                 .instance = i,
                                                 .text = slice_from_str(id),
                                                 .ok = draw(r, 2)});
                return;
        }
}

static void act(Driver *d, Random *r) {
        static const char *const people[] = {"bob", "carol", "dave", "mallory", "alice"};
        static const InputKind commands[] = {INPUT_PAUSE, INPUT_RESUME, INPUT_RESUME,
                                             INPUT_RETRY, INPUT_RETRY,  INPUT_CANCEL};
        _cleanup_free_ char *path = some_path(d, r);
        if (d->n_tasks > 0 && draw(r, 8) == 0)
                driver_apply(d, &(Input){.kind = INPUT_TASK_PROGRESS,
                                         .instance = d->tasks[0].instance,
                                         .attempt = d->tasks[0].attempt,
                                         .flag = draw(r, 4),
                                         .number = draw(r, 12) / 10.0});
        switch (draw(r, 8)) {
        case 0:
        case 1:
        case 2:
                if (d->n_tasks == 0)
                        break;
                size_t which = draw(r, (uint32_t)d->n_tasks);
                if (d->tasks[which].is_question) {
                        answer_some(d, NULL, r);
                        break;
                }
                Buf b = {0};
                execution_put_path(d->x, d->tasks[which].instance, &b);
                char *task = buf_steal_str(&b);
                if (draw(r, 3))
                        driver_ok(d, task, "{\"v\":1}");
                else
                        driver_fail(d, task, "X", draw(r, 2));
                free(task);
                break;
        case 3:
                driver_advance(d, 1 + draw(r, 200));
                break;
        case 4:
                driver_vote(d, people[draw(r, 5)], path, draw(r, 4) ? VOTE_APPROVED : VOTE_REJECTED);
                break;
        case 5:
                driver_event(d, path, "{}");
                break;
        case 6:
                answer_child(d, r);
                break;
        case 7:
                if (draw(r, 3) == 0) {
                        InputKind kind = commands[draw(r, N_ELEMENTS(commands))];
                        if (kind != INPUT_CANCEL || draw(r, 4) == 0)
                                driver_command(d, kind, path);
                }
                break;
        }
}

/* Let everything come to an end: resume, answer, let time pass. */
static void wind_down(Driver *d, Random *r) {
        for (int i = 0; i < 2000 && !runbook_execution_status_is_final((RunbookExecutionStatus)d->x->status);
             i++) {
                if (d->x->status == RUNBOOK_EXECUTION_PAUSED)
                        driver_command(d, INPUT_RESUME, "");
                while (d->n_tasks > 0)
                        answer_some(d, NULL, r);
                answer_child(d, r);
                driver_advance(d, 50);
        }
}

Test(random, anything_may_happen_and_every_execution_still_ends) {
        unsigned n_ends[RUNBOOK_N_EXECUTION_STATUSES] = {0};
        for (uint64_t seed = 1; seed <= n_seeds() * 3; seed++) {
                Random r = {seed};
                _cleanup_free_ char *definition = wild_definition(&r);
                Driver *d = driver_start(definition, "{\"items\":[1,2,3]}", NULL);
                for (unsigned i = draw(&r, 60); i > 0; i--)
                        act(d, &r);
                wind_down(d, &r);
                cr_assert(runbook_execution_status_is_final((RunbookExecutionStatus)d->x->status),
                          "seed %llu never ends: %s in %s", (unsigned long long)seed, driver_status(d),
                          definition);
                cr_assert_eq(d->n_timers, 0, "seed %llu left timers", (unsigned long long)seed);
                cr_assert_eq(d->n_tasks, 0, "seed %llu left tasks", (unsigned long long)seed);
                n_ends[d->x->status]++;
                driver_replay(d);
                driver_free(d);
        }
        cr_assert(n_ends[RUNBOOK_EXECUTION_COMPLETED] > 0 && n_ends[RUNBOOK_EXECUTION_FAILED] > 0 &&
                                  n_ends[RUNBOOK_EXECUTION_CANCELLED] > 0,
                  "the seeds don't reach all ends");
}
