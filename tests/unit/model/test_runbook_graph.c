#include <time.h>

#include "runbook_fixture.h"

TestSuite(runbook_graph, .fini = check_leaks);

Test(runbook_graph, edges) {
        _cleanup_runbook_ Runbook *r = good_graph("d < c b; b < a; c < a; a");
        const RunbookStep *a = step_of(r, "a"), *d = step_of(r, "d");
        expect_ids(r, d->deps, d->n_deps, "c b"); /* as dependsOn has them */
        cr_assert_eq(a->n_out, 2);
        expect_ids(r, (uint32_t[]){a->out[0].to, a->out[1].to}, 2, "b c");
        expect_ids(r, r->regions[0].steps, r->regions[0].n_steps, "a b c d");
        expect_ids(r, r->regions[0].sinks, r->regions[0].n_sinks, "d");
        cr_assert_eq(d->local, 3);
        cr_assert_eq(d->index, 0);
}

Test(runbook_graph, the_order_is_the_definitions_where_it_can_be) {
        _cleanup_runbook_ Runbook *r = good_graph("e; d < e; c; b < a; a");
        expect_ids(r, r->regions[0].steps, r->regions[0].n_steps, "e d c a b");
        expect_ids(r, r->regions[0].sinks, r->regions[0].n_sinks, "d c b");
}

Test(runbook_graph, branches) {
        _cleanup_runbook_ Runbook *r =
                        good_graph("pre; if ? t both : f < pre; if2 ? t; t < if pre; f; both; join < t f");
        const RunbookStep *t = step_of(r, "t"), *f = step_of(r, "f"), *cond = step_of(r, "if");
        expect_ids(r, t->deps, t->n_deps,
                   "pre if if2"); /* `if` counts as a branch although dependsOn names it */
        cr_assert_eq(t->n_dep_edges, 1);
        cr_assert_eq(t->n_branch_edges, 2);
        cr_assert_eq(cond->n_out, 3);
        for (uint32_t i = 0; i < cond->n_out; i++)
                cr_assert_eq(cond->out[i].kind, cond->out[i].to == f->index ? EDGE_FALSE : EDGE_TRUE);
        cr_assert_eq(f->n_dep_edges, 0);
        cr_assert_eq(f->n_branch_edges, 1);
        expect_ids(r, f->deps, f->n_deps, "if");
        cr_assert_eq(step_of(r, "join")->n_branch_edges, 0);
        expect_ids(r, r->regions[0].sinks, r->regions[0].n_sinks, "both join");
}

Test(runbook_graph, regions) {
        _cleanup_runbook_ Runbook *r = good_graph(
                        "first; outer @ body < first; body < outer; inside < body; inner @ deep < inside;"
                        "deep; deepif ? deept < deep; deept; end < inner body; last < outer");
        const RunbookStep *outer = step_of(r, "outer"), *inner = step_of(r, "inner");
        cr_assert_eq(r->n_regions, 3);
        expect_ids(r, r->regions[0].steps, r->regions[0].n_steps, "first outer last");
        expect_ids(r, r->regions[0].sinks, r->regions[0].n_sinks, "last");
        const Region *o = &r->regions[outer->loop->region], *i = &r->regions[inner->loop->region];
        cr_assert_eq(r->regions[0].loop_step, STEP_NONE);
        cr_assert_eq(o->loop_step, outer->index);
        cr_assert_eq(i->loop_step, inner->index);
        expect_ids(r, o->steps, o->n_steps, "body inside inner end");
        expect_ids(r, o->sinks, o->n_sinks, "end");
        expect_ids(r, i->steps, i->n_steps, "deep deepif deept");
        expect_ids(r, i->sinks, i->n_sinks, "deept");
        cr_assert_eq(step_of(r, "body")->n_deps, 0); /* its naming the loop says nothing new */
        cr_assert_eq(step_of(r, "deept")->region, inner->loop->region);
        cr_assert_eq(step_of(r, "deept")->loop_step, inner->index);
        cr_assert_eq(inner->loop_step, outer->index);
        cr_assert_eq(outer->loop_step, STEP_NONE);
        cr_assert_eq(step_of(r, "deept")->local, 2);
        cr_assert_eq(outer->n_out, 1);
        cr_assert_eq(outer->loop->body, step_of(r, "body")->index);
}

Test(runbook_graph, loops_may_stand_before_and_after_their_bodies) {
        _cleanup_runbook_ Runbook *r = good_graph("y < x; x; l @ x");
        expect_ids(r, r->regions[1].steps, r->regions[1].n_steps, "x y");
        expect_ids(r, r->regions[0].steps, r->regions[0].n_steps, "l");
}

typedef struct Fault {
        const char *graph, *path, *part;
} Fault;

Test(runbook_graph, faults_of_links) {
        static const Fault faults[] = {
                        {"fetch; b < fecth", "/steps/1/dependsOn/0",
                         "there is no step \"fecth\"; did you mean \"fetch\"?"},
                        {"a < a", "/steps/0/dependsOn/0", "can't name itself"},
                        {"a; b < a a", "/steps/1/dependsOn/1", "\"a\" is in the list already"},
                        {"a; a", "/steps/1/id", "\"a\" is the id of /steps/0 already"},
                        {"c ? stepp; step", "/steps/0/config/trueBranch", "did you mean \"step\"?"},
                        {"c : s nope; s", "/steps/0/config/falseBranch/1", "there is no step \"nope\""},
                        {"c : s s; s", "/steps/0/config/falseBranch/1", "in the list already"},
                        {"c ? s x : s; s; x", "/steps/0/config/falseBranch",
                         "can't be a target of both branches"},
                        {"c : c", "/steps/0/config/falseBranch", "can't name itself"},
                        {"l @ nope", "/steps/0/config/bodyStepId", "there is no step \"nope\""},
                        {"l @ l", "/steps/0/config/bodyStepId", "can't name itself"},
                        {"l @ b; m @ b; b", "/steps/1/config/bodyStepId",
                         "\"b\" is the body of the loop \"l\" already"},
                        {"a; l @ b; b < l a", "/steps/2/dependsOn/1", "let the loop depend on \"a\""},
                        {"c ? b; l @ b; b", "/steps/0/config/trueBranch",
                         "\"b\" is the body of the loop \"l\": it can't be a target"},
                        {"a; l @ b; b; c < a b", "/steps/3/dependsOn/1",
                         "\"b\" runs inside the loop \"l\", \"c\" does not: depend on \"l\" instead"},
                        {"a; l @ b; b ? c; c < a", "/steps/2/config/trueBranch",
                         "\"c\" also waits for steps outside of the loop \"l\""},
                        {"l @ b; b; m @ c < b; c; x < b c", "/steps/4/dependsOn/1",
                         "\"c\" runs inside the loop \"m\", \"x\" does not"},
        };
        for (size_t i = 0; i < N_ELEMENTS(faults); i++)
                expect_graph_fault(faults[i].graph, faults[i].path, faults[i].part);
        expect_graph_faults("l @ b; b; m @ c; c; x < b c", 2, "/steps/4/dependsOn/1",
                            "depend on \"m\" instead");
}

Test(runbook_graph, links_of_wrong_types) {
#define X(more) RUNBOOK("{'id': 'x', 'type': 'custom:x', " more "}")
#define CONDITIONAL(more)                                                                                    \
        RUNBOOK("{'id': 'c', 'type': 'conditional', 'config': {'condition': {'field': 'x', 'operator': "     \
                "'exists'}, " more "}}")
        expect_fault(X("'dependsOn': [3]"), "/steps/0/dependsOn/0", "must be a step id, is a number");
        expect_fault(X("'dependsOn': [null]"), "/steps/0/dependsOn/0", "is nothing");
        expect_fault(X("'dependsOn': 'b'"), "/steps/0/dependsOn", "must be an array");
        expect_fault(X("'compensateWith': ['b']"), "/steps/0/compensateWith",
                     "must be a step id, is an array");
        expect_fault(CONDITIONAL("'falseBranch': {}"), "/steps/0/config/falseBranch",
                     "must be a step id, is an object");
        expect_fault(CONDITIONAL("'falseBranch': [[]]"), "/steps/0/config/falseBranch/0",
                     "must be a step id, is an array");
        expect_fault(RUNBOOK("{'id': 'l', 'type': 'loop', 'loopConfig': {'iterateOver': 'x'}}"),
                     "/steps/0/config/bodyStepId", "is required");
}

Test(runbook_graph, faults_of_compensations) {
        static const Fault faults[] = {
                        {"a ! undoo; undo", "/steps/0/compensateWith", "did you mean \"undo\""},
                        {"a ! a", "/steps/0/compensateWith", "can't name itself"},
                        {"a ! u; u < a", "/steps/1/dependsOn/0",
                         "\"u\" is a compensation step: it can't depend on others"},
                        {"a ! u; u; b < u", "/steps/2/dependsOn/0",
                         "\"u\" is a compensation step: it runs only if"},
                        {"a ! u; u; c ? u", "/steps/2/config/trueBranch", "can't be a target"},
                        {"a ! u; u; l @ u", "/steps/2/config/bodyStepId", "can't be a loop's body"},
                        {"a ! u; u ! v; v", "/steps/1/compensateWith", "\"u\" is a compensation step itself"},
                        {"a ! u; u ? b; b", "/steps/0/compensateWith",
                         "\"u\" is of type conditional; steps that compensate are"},
        };
        for (size_t i = 0; i < N_ELEMENTS(faults); i++) {
                /* The conditional that compensates also has a target, which is a fault of its own. */
                bool both = i == N_ELEMENTS(faults) - 1;
                expect_graph_faults(faults[i].graph, both ? 2 : 1, faults[i].path, faults[i].part);
        }
        _cleanup_runbook_ Runbook *shared = good_graph("a ! u; b ! u; u");
        cr_assert_eq(shared->n_compensation_steps, 1);
        cr_assert_eq(step_of(shared, "u")->local, 0);
        cr_assert_eq(step_of(shared, "u")->region, REGION_COMPENSATION);
        cr_assert_eq(step_of(shared, "u")->loop_step, STEP_NONE);
}

Test(runbook_graph, cycles_are_named_by_their_path) {
        static const Fault faults[] = {
                        {"a < c; b < a; c < b", "/steps/0/dependsOn/0",
                         "dependency cycle: a → b → c → a (each step waits for the one before it)"},
                        /* Steps before and behind are no part of it. */
                        {"x; a < x b; b < a; y < b", "/steps/1/dependsOn/1", "dependency cycle: a → b → a"},
                        /* The shortest one through the first step. */
                        {"a < d; b < a; c < b; d < c b", "/steps/0/dependsOn/0",
                         "dependency cycle: a → b → d → a"},
                        {"a; c ? t < t; t", "/steps/1/dependsOn/0", "c → t → c"},
                        {"t; s; c ? t s < t", "/steps/2/config/trueBranch/0", "t → c → t"},
                        /* A loop's body can't run before the loop. */
                        {"b; l @ b < b", "/steps/1/config/bodyStepId", "b → l → b"},
                        {"l @ b < e; b; e < b", "/steps/0/dependsOn/0", "l → b → e → l"},
                        {"l @ m; m @ l", "/steps/1/config/bodyStepId", "l → m → l"},
        };
        for (size_t i = 0; i < N_ELEMENTS(faults); i++)
                expect_graph_fault(faults[i].graph, faults[i].path, faults[i].part);
        /* Every knot once. */
        expect_graph_faults("a < b; b < a; c < b d; d < c", 2, "/steps/2/dependsOn/1", "c → d → c");
}

static void put_step(Buf *b, uint32_t i, bool last) {
        buf_printf(b, "{\"id\":\"s%u\",\"type\":\"transform\",\"config\":{\"jq\":\".\"}", i);
        buf_put_str(b, last ? "}]}" : "},");
}

static double seconds(void) {
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/** Steps s0…s(n-1); @put_more writes ,"dependsOn":[…] and the like for step i. */
static int compile_many(uint32_t n, void (*put_more)(Buf *b, uint32_t i, uint32_t n), Report *report,
                        Runbook **ret, double *ret_s) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_str(&b, "{\"id\":\"big\",\"version\":\"1\",\"steps\":[");
        for (uint32_t i = 0; i < n; i++) {
                put_step(&b, i, i + 1 == n);
                b.n -= i + 1 == n ? 3 : 2; /* open again */
                put_more(&b, i, n);
                buf_put_str(&b, i + 1 == n ? "}]}" : "},");
        }
        json_t *json = json_loadb(b.data, b.n, 0, NULL);
        cr_assert_not_null(json);
        double start = seconds();
        int r = runbook_compile(json, &runbook_defaults_builtin, report, ret);
        *ret_s = seconds() - start;
        json_decref(json);
        return r;
}

#ifdef __SANITIZE_ADDRESS__
#define SECONDS_MAX 20.0
#else
#define SECONDS_MAX 2.0 /* some 0.3 here; quadratic would be minutes */
#endif

static void expect_quick(void (*put_more)(Buf *b, uint32_t i, uint32_t n), const char *fault, Runbook **ret) {
        _cleanup_report_ Report report = {0};
        double took;
        int r = compile_many(LIMIT_STEPS, put_more, &report, ret, &took);
        if (r < 0 && !fault)
                show_report(&report);
        cr_assert_eq(r, fault ? -EINVAL : 0);
        if (fault)
                cr_assert(strstr(report.details[0].message, fault), "%s", report.details[0].message);
        cr_assert_lt(took, SECONDS_MAX);
}

static void put_chain(Buf *b, uint32_t i, uint32_t n) {
        if (i > 0)
                buf_printf(b, ",\"dependsOn\":[\"s%u\"]", i - 1);
}
/* Every step looks far back. */
static void put_chain_with_references(Buf *b, uint32_t i, uint32_t n) {
        put_chain(b, i, n);
        if (i > 0)
                buf_printf(b, ",\"input\":\"${steps.s%u.x} ${steps.s0}\"", i / 3);
}
static void put_reversed_chain(Buf *b, uint32_t i, uint32_t n) {
        if (i + 1 < n)
                buf_printf(b, ",\"dependsOn\":[\"s%u\"]", i + 1);
}
/* One step, all others on it, one on all others that names each. */
static void put_fan(Buf *b, uint32_t i, uint32_t n) {
        if (i > 0 && i + 1 < n)
                buf_put_str(b, ",\"dependsOn\":[\"s0\"]");
        if (i + 1 < n)
                return;
        buf_put_str(b, ",\"dependsOn\":[\"s1\"");
        for (uint32_t k = 2; k + 1 < n; k++)
                buf_printf(b, ",\"s%u\"", k);
        buf_put_str(b, "],\"input\":[\"${s1}\"");
        for (uint32_t k = 2; k < 10000; k++)
                buf_printf(b, ",\"${s%u.x} ${steps.s0}\"", k);
        buf_put_str(b, "]");
}
static void put_ring(Buf *b, uint32_t i, uint32_t n) {
        buf_printf(b, ",\"dependsOn\":[\"s%u\"]", (i + n - 1) % n);
}
static void put_pairs(Buf *b, uint32_t i, uint32_t n) { buf_printf(b, ",\"dependsOn\":[\"s%u\"]", i ^ 1); }
static void put_typos(Buf *b, uint32_t i, uint32_t n) {
        buf_printf(b, ",\"dependsOn\":[\"t%u\",\"u%u\"]", i, i);
}
/* Layers of 100, each step on ten of the layer before, each naming one of ten layers before. */
static void put_layers(Buf *b, uint32_t i, uint32_t n) {
        uint32_t layer = i / 100, k = i % 100;
        if (layer < 1)
                return;
        buf_put_str(b, ",\"dependsOn\":[");
        for (uint32_t j = 0; j < 10; j++)
                buf_printf(b, "%s\"s%u\"", j ? "," : "", (layer - 1) * 100 + (k * 7 + j * 11) % 100);
        buf_put_str(b, "]");
        if (layer >= 10)
                buf_printf(b, ",\"input\":\"${steps.s%u}\"", (layer - 10) * 100 + (k * 13) % 100);
}

Test(runbook_graph, a_hundred_thousand_steps_in_a_chain) {
        _cleanup_runbook_ Runbook *r = NULL, *back = NULL, *references = NULL;
        expect_quick(put_chain, NULL, &r);
        cr_assert_eq(r->regions[0].n_steps, LIMIT_STEPS);
        cr_assert_eq(r->regions[0].n_sinks, 1);
        cr_assert_eq(runbook_find_step(r, SLICE("s99999")), 99999);
        expect_quick(put_reversed_chain, NULL, &back);
        cr_assert_eq(back->regions[0].steps[0], LIMIT_STEPS - 1);
        expect_quick(put_chain_with_references, NULL, &references);
}

Test(runbook_graph, a_hundred_thousand_steps_fanned_out_and_in) {
        _cleanup_runbook_ Runbook *r = NULL, *layers = NULL;
        expect_quick(put_fan, NULL, &r);
        cr_assert_eq(r->steps[0].n_out, LIMIT_STEPS - 2);
        cr_assert_eq(r->steps[LIMIT_STEPS - 1].n_deps, LIMIT_STEPS - 2);
        expect_quick(put_layers, NULL, &layers);
}

Test(runbook_graph, a_hundred_thousand_faults) {
        Runbook *r = NULL;
        expect_quick(put_ring, "s0 → s1 → s2 → s3 → s4 → s5 → s6 → s7 → s8 → s9 → … (99985 more) … → s99995",
                     &r);
        expect_quick(put_pairs, "dependency cycle: s0 → s1 → s0", &r);
        expect_quick(put_typos, "there is no step \"t0\"", &r);
}

static void put_nothing(Buf *b, uint32_t i, uint32_t n) {}

Test(runbook_graph, steps_have_a_cap) {
        _cleanup_report_ Report report = {0};
        Runbook *r = NULL;
        double took;
        cr_assert_eq(compile_many(LIMIT_STEPS + 1, put_nothing, &report, &r, &took), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_LIMIT_EXCEEDED);
        cr_assert(has_fault(&report, "/steps",
                            "has 100001 steps, more than the 100000 allowed (LIMIT_STEPS)"));
}

/* Everybody waits for all steps of the first thousand. */
static void put_too_many(Buf *b, uint32_t i, uint32_t n) {
        if (i < 1000)
                return;
        for (uint32_t k = 0; k < 1000; k++)
                buf_printf(b, "%s\"s%u\"", k ? "," : ",\"dependsOn\":[", k);
        buf_put_str(b, "]");
}

Test(runbook_graph, edges_have_a_cap) {
        _cleanup_report_ Report report = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        double took;
        cr_assert_eq(compile_many(2000, put_too_many, &report, &r, &took), 0);
        cr_assert_eq(compile_many(2001, put_too_many, &report, &r, &took), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_LIMIT_EXCEEDED);
        cr_assert_eq(report.n_details, 1);
        cr_assert(has_fault(&report, "/steps/2000/dependsOn/0", "LIMIT_EDGES"));
}

/* Even steps wait for nine before them; all see s1, but only through s4 and by none of the forest's edges. */
static void put_long_searches(Buf *b, uint32_t i, uint32_t n) {
        if (i % 2 == 1 || i < 4)
                return;
        if (i == 4) {
                buf_put_str(b, ",\"dependsOn\":[\"s2\",\"s1\"]");
                return;
        }
        for (uint32_t k = 1; k <= 9 && 2 * k + 2 <= i; k++)
                buf_printf(b, "%s\"s%u\"", k > 1 ? "," : ",\"dependsOn\":[", i - 2 * k);
        buf_printf(b, "],\"input\":\"${steps.s1}\"");
}

Test(runbook_graph, searching_for_ancestors_has_a_cap) {
        _cleanup_report_ Report report = {0}, none = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        double took;
        cr_assert_eq(compile_many(5000, put_long_searches, &none, &r, &took), 0);
        Runbook *over = NULL;
        cr_assert_eq(compile_many(LIMIT_STEPS, put_long_searches, &report, &over, &took), -EINVAL);
        cr_assert_eq(report.code, RUNBOOK_LIMIT_EXCEEDED);
        cr_assert_eq(report.n_details, 1);
        cr_assert(strstr(report.details[0].message, "LIMIT_ANCESTRY_VISITS"));
        cr_assert_lt(took, SECONDS_MAX);
}

Test(runbook_graph, loops_nest_so_deep) {
        for (int n = LIMIT_LOOP_NESTING; n <= LIMIT_LOOP_NESTING + 1; n++) {
                _cleanup_(buf_deinit) Buf b = {0};
                _cleanup_report_ Report report = {0};
                _cleanup_runbook_ Runbook *r = NULL;
                buf_put_str(&b, "{'id': 'r', 'version': '1', 'steps': [");
                for (int i = 0; i < n; i++)
                        buf_printf(&b,
                                   "{'id': 'l%d', 'type': 'loop', 'config': {'bodyStepId': 'l%d'}, "
                                   "'loopConfig': {'iterateOver': 'x'}},",
                                   i, i + 1);
                buf_printf(&b, "{'id': 'l%d', 'type': 'transform', 'config': {'jq': '.'}}]}", n);
                buf_put_char(&b, '\0');
                int result = compile_text(b.data, &runbook_defaults_builtin, &report, &r);
                cr_assert_eq(result, n == LIMIT_LOOP_NESTING ? 0 : -EINVAL);
                if (result < 0) {
                        cr_assert_eq(report.code, RUNBOOK_LIMIT_EXCEEDED);
                        cr_assert_eq(report.n_details, 1);
                        cr_assert(has_fault(&report, "/steps/8", "nested more than 8 deep"));
                }
        }
}

static uint64_t random_state;
static uint32_t draw(uint32_t n) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(random_state >> 33) % n;
}

/** Random graphs in random order: every step is listed once, after all that it waits for, with its edges on
 * both sides. */
static void check_random(uint32_t n_steps) {
        uint32_t place[60]; /* rank → position in the definition */
        bool edge[60][60] = {{false}};
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint32_t i = 0; i < n_steps; i++) {
                uint32_t j = draw(i + 1);
                place[i] = place[j];
                place[j] = i;
        }
        for (uint32_t i = 0; i < n_steps; i++)
                for (uint32_t j = 0; j < i; j++)
                        edge[place[j]][place[i]] = draw(6) == 0; /* lower rank first */
        buf_put_str(&b, "{\"id\":\"r\",\"version\":\"1\",\"steps\":[");
        for (uint32_t i = 0; i < n_steps; i++) {
                buf_printf(&b, "%s{\"id\":\"s%u\",\"type\":\"custom:x\",\"dependsOn\":[", i ? "," : "", i);
                for (uint32_t j = 0, first = 1; j < n_steps; j++)
                        if (edge[j][i]) {
                                buf_printf(&b, "%s\"s%u\"", first ? "" : ",", j);
                                first = 0;
                        }
                buf_put_str(&b, "]}");
        }
        buf_put(&b, "]}", 3);
        _cleanup_runbook_ Runbook *r = good(b.data);
        const Region *root = &r->regions[0];
        cr_assert_eq(root->n_steps, n_steps);
        bool seen[60] = {false};
        for (uint32_t k = 0; k < n_steps; k++) {
                const RunbookStep *s = &r->steps[root->steps[k]];
                cr_assert_eq(s->local, k);
                for (uint32_t j = 0; j < n_steps; j++)
                        cr_assert(!edge[j][s->index] || seen[j]);
                /* The smallest that could be next: all smaller ones still wait for something. */
                for (uint32_t j = 0; j < s->index; j++) {
                        bool waits = seen[j];
                        for (uint32_t i = 0; i < n_steps; i++)
                                waits |= edge[i][j] && !seen[i];
                        cr_assert(waits);
                }
                seen[s->index] = true;
                uint32_t n_in = 0, n_out = 0;
                for (uint32_t j = 0; j < n_steps; j++) {
                        n_in += edge[j][s->index];
                        n_out += edge[s->index][j];
                }
                cr_assert_eq(s->n_deps, n_in);
                cr_assert_eq(s->n_out, n_out);
                for (uint32_t j = 0; j < n_in; j++)
                        cr_assert(edge[s->deps[j]][s->index]);
                for (uint32_t j = 0; j < n_out; j++)
                        cr_assert(edge[s->index][s->out[j].to]);
        }
        for (uint32_t k = 0; k < root->n_sinks; k++)
                cr_assert_eq(r->steps[root->sinks[k]].n_out, 0);
}

Test(runbook_graph, random_graphs) {
        for (uint64_t seed = 1; seed <= 300; seed++) {
                random_state = seed;
                check_random(1 + draw(59));
        }
}

/** Random references in random graphs are accepted exactly if there is a path. */
static void check_random_reference(uint32_t n, uint32_t density) {
        bool reach[30][30] = {{false}}, edge[30][30] = {{false}};
        uint32_t from = draw(n), to = draw(n);
        for (uint32_t i = 0; i < n; i++)
                for (uint32_t j = 0; j < i; j++)
                        edge[j][i] = reach[j][i] = draw(density) == 0;
        for (uint32_t k = 0; k < n; k++)
                for (uint32_t i = 0; i < n; i++)
                        for (uint32_t j = 0; j < n; j++)
                                reach[i][j] |= reach[i][k] && reach[k][j];
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_str(&b, "{\"id\":\"r\",\"version\":\"1\",\"steps\":[");
        for (uint32_t i = 0; i < n; i++) {
                buf_printf(&b, "%s{\"id\":\"s%u\",\"type\":\"custom:x\",\"dependsOn\":[", i ? "," : "", i);
                for (uint32_t j = 0, first = 1; j < i; j++)
                        if (edge[j][i]) {
                                buf_printf(&b, "%s\"s%u\"", first ? "" : ",", j);
                                first = 0;
                        }
                buf_put_str(&b, "]");
                if (i == to)
                        buf_printf(&b, ",\"input\":\"${steps.s%u}\"", from);
                buf_put_str(&b, "}");
        }
        buf_put(&b, "]}", 3);
        _cleanup_report_ Report report = {0};
        _cleanup_runbook_ Runbook *r = NULL;
        int result = compile_text(b.data, &runbook_defaults_builtin, &report, &r);
        cr_assert_eq(result == 0, reach[from][to], "%s: s%u → s%u", b.data, from, to);
}

Test(runbook_graph, random_references) {
        for (uint64_t seed = 1; seed <= 3000; seed++) {
                random_state = seed;
                check_random_reference(2 + draw(28), 2 + draw(9));
        }
}
