#include "runbook_fixture.h"

TestSuite(runbook_paths, .fini = check_leaks);

static void expect_good_graph(const char *text) {
        _cleanup_runbook_ Runbook *r = good_graph(text);
        cr_assert_gt(r->n_steps, 0);
}

Test(runbook_paths, roots_are_always_there) {
        expect_good_graph("a = input; b = input.x[3].y; c = context.legalBasis.authority; d = execution.id");
}

Test(runbook_paths, names) {
        /* Dependencies, and whatever is no step: it may be a field. */
        expect_good_graph("a; b = a.x < a; c = anything.x");
        expect_good_graph("a; b = [\\u0022a\\u0022].x < a");
        expect_good_graph("input; b = [\\u0022input\\u0022].x ?? 1 < input");
        expect_graph_fault("a; b = a.x", "/steps/1/input/v",
                           "\"a\" may not have run before this step: add it to dependsOn (a field of the "
                           "input is written input.a)");
        expect_graph_fault("a; b < a; c = a.x < b", "/steps/2/input/v",
                           "\"a\" is not a direct dependency: write steps.a, or add it to dependsOn");
        expect_graph_fault("a = a.x", "/steps/0/input/v",
                           "\"a\" is this step itself: its output is not there yet");
}

Test(runbook_paths, steps) {
        expect_good_graph("a; b < a; c = steps.a.x < b");
        expect_graph_fault("fetch; b = steps.fecth.x < fetch", "/steps/1/input/v",
                           "there is no step \"fecth\"; did you mean \"fetch\"?");
        expect_graph_fault("a; b = steps.a", "/steps/1/input/v",
                           "\"a\" may not have run before this step: add it to dependsOn");
        expect_graph_fault("b < a; a = steps.b", "/steps/1/input/v", "\"b\" may not have run");
        expect_graph_fault("a = steps.a", "/steps/0/input/v", "is this step itself");
        expect_graph_fault("a = steps", "/steps/0/input/v", "\"steps\" needs a step id");
        expect_graph_fault("a = steps[0]", "/steps/0/input/v", "\"steps\" needs a step id");
}

Test(runbook_paths, targets_see_their_conditional_and_what_it_saw) {
        expect_good_graph("a; c ? t < a; t = steps.a.x} ${c; u = steps.c < t");
}

Test(runbook_paths, every_place_is_checked) {
        static const struct {
                const char *more, *path;
        } cases[] = {
                        {"'config': {'a': ['${steps.z}']}", "/steps/1/config/a/0"},
                        {"'input': '${steps.z}'", "/steps/1/input"},
                        {"'condition': {'field': 'steps.z', 'operator': 'exists'}",
                         "/steps/1/condition/field"},
                        {"'condition': {'not': {'field': 'x', 'operator': 'eq', 'value': '${steps.z}'}}",
                         "/steps/1/condition/not/value"},
                        {"'evidence': [{'type': '${steps.z}', 'sourceRef': 's'}]",
                         "/steps/1/evidence/0/type"},
                        {"'evidence': [{'type': 't', 'sourceRef': '${steps.z}'}]",
                         "/steps/1/evidence/0/sourceRef"},
                        {"'evidence': [{'type': 't', 'sourceRef': 's', 'confidence': '${steps.z}'}]",
                         "/steps/1/evidence/0/confidence"},
                        {"'evidence': [{'type': 't', 'sourceRef': 's', 'value': '${steps.z}'}]",
                         "/steps/1/evidence/0/value"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = NULL;
                cr_assert_gt(asprintf(&text,
                                      RUNBOOK("{'id': 'z', 'type': 'custom:x'},{'id': 's', 'type': "
                                              "'custom:x', %s}"),
                                      cases[i].more),
                             0);
                expect_fault(text, cases[i].path, "\"z\" may not have run before this step");
        }
        static const struct {
                const char *type, *more, *path;
        } typed[] = {
                        {"call-service", "'config': {'url': 'https://x/${steps.z}'}", "/steps/1/config/url"},
                        {"call-service", "'config': {'url': 'https://x', 'headers': {'A': '${steps.z}'}}",
                         "/steps/1/config/headers/A"},
                        {"call-service", "'config': {'url': 'https://x', 'query': {'q': ['${steps.z}']}}",
                         "/steps/1/config/query/q/0"},
                        {"conditional", "'config': {'condition': {'field': 'steps.z', 'operator': 'exists'}}",
                         "/steps/1/config/condition/field"},
                        {"human-approval", "'approvalConfig': {'approvers': ['a'], 'prompt': '${steps.z}'}",
                         "/steps/1/approvalConfig/prompt"},
                        {"publish-event", "'config': {'subject': 'a.${steps.z}'}", "/steps/1/config/subject"},
                        {"run-runbook", "'config': {'runbookId': 'r', 'input': ['${steps.z}']}",
                         "/steps/1/config/input/0"},
                        {"wait", "'config': {'durationMs': '${steps.z}'}", "/steps/1/config/durationMs"},
                        {"wait", "'config': {'until': '${steps.z}'}", "/steps/1/config/until"},
                        {"wait-for-event", "'config': {'eventType': 'e', 'correlationId': '${steps.z}'}",
                         "/steps/1/config/correlationId"},
                        {"loop", "'config': {'bodyStepId': 'b'}, 'loopConfig': {'iterateOver': 'steps.z'}",
                         "/steps/1/loopConfig/iterateOver"},
                        {"loop",
                         "'config': {'bodyStepId': 'b'}, 'loopConfig': {'continueWhile': {'field': "
                         "'steps.z', 'operator': 'exists'}}",
                         "/steps/1/loopConfig/continueWhile/field"},
        };
        for (size_t i = 0; i < N_ELEMENTS(typed); i++) {
                _cleanup_free_ char *text = NULL;
                cr_assert_gt(asprintf(&text,
                                      RUNBOOK("{'id': 'z', 'type': 'custom:x'},{'id': 's', 'type': '%s', "
                                              "%s},{'id': 'b', 'type': 'custom:x'}"),
                                      typed[i].type, typed[i].more),
                             0);
                expect_fault(text, typed[i].path, "\"z\" may not have run before this step");
        }
}

#define LOOPS "first; before < first; outer @ body < before; body; inner @ deep < body; "

Test(runbook_paths, inside_loops) {
        /* Own region, what the loops around saw, items and numbers. */
        expect_good_graph(LOOPS
                          "deep = loop.item.x} ${loop.index} ${steps.body.x} ${steps.first.x} ${steps.before;"
                          "deeper = deep.x} ${steps.deep} ${loop.item < deep");
        static const struct {
                const char *path, *part;
        } cases[] = {
                        {"steps.outer.items", "the loop \"outer\" has not ended while its steps run; there "
                                              "are loop.item and loop.index"},
                        {"outer", "the loop \"outer\" has not ended"},
                        {"inner.items", "the loop \"inner\" has not ended"},
                        {"body.x", "\"body\" is not a direct dependency: write steps.body"},
                        {"before.x", "\"before\" is not a direct dependency: write steps.before"},
                        {"steps.after", "\"after\" may not have run"},
                        {"loop", "\"loop\" has the fields item and index"},
                        {"loop.itme", "did you mean \"loop.item\"?"},
                        {"loop.position", "\"loop\" has the fields item and index"},
                        {"loop[0]", "\"loop\" has the fields item and index"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *text = NULL;
                cr_assert_gt(asprintf(&text, LOOPS "deep = %s; after < before", cases[i].path), 0);
                expect_graph_fault(text, "/steps/5/input/v", cases[i].part);
        }
}

Test(runbook_paths, outside_of_loops) {
        expect_good_graph("l @ b; b; z = l.items[0] < l");
        expect_graph_fault("l @ b; b; z = steps.b.x < l", "/steps/2/input/v",
                           "\"b\" runs inside the loop \"l\": outside of it there is only the loop's own "
                           "output");
        expect_graph_fault("l @ b; b; z = b < l", "/steps/2/input/v", "\"b\" runs inside the loop");
        expect_graph_fault("a = loop.item", "/steps/0/input/v",
                           "\"loop\" is there only for steps that a loop runs");
        expect_fault(RUNBOOK("{'id': 'l', 'type': 'loop', 'config': {'bodyStepId': 'b'}, 'loopConfig': "
                             "{'iterateOver': 'loop.item'}},"
                             "{'id': 'b', 'type': 'custom:x'}"),
                     "/steps/0/loopConfig/iterateOver", "\"loop\" is there only");
}

/** A loop that goes on while @field exists, its body b reading @path, and c behind that. */
static char *while_loop(const char *field, const char *path) {
        char *text;
        int n = asprintf(&text,
                         RUNBOOK("{'id': 'l', 'type': 'loop', 'config': {'bodyStepId': 'b'}, 'loopConfig': "
                                 "{'continueWhile':"
                                 " {'field': '%s', 'operator': 'exists'}}}, {'id': 'b', 'type': 'custom:x', "
                                 "'input': '${%s}'},"
                                 " {'id': 'c', 'type': 'custom:x', 'dependsOn': ['b']}, {'id': 'z', 'type': "
                                 "'custom:x'}"),
                         field, path);
        cr_assert_gt(n, 0);
        return text;
}

Test(runbook_paths, continue_while_sees_the_last_iteration) {
        static const char *const fields[] = {"steps.b.more", "b.more",  "c.more",
                                             "loop.index",   "input.x", "field"};
        for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
                _cleanup_free_ char *text = while_loop(fields[i], "loop.index");
                expect_good(text);
        }
        _cleanup_free_ char *item = while_loop("loop.item", "input"), *body = while_loop("x", "loop.item"),
                            *stranger = while_loop("steps.z", "input");
        expect_fault(item, "/steps/0/loopConfig/continueWhile/field",
                     "\"loop.item\" is there only in loops with iterateOver");
        expect_fault(body, "/steps/1/input", "\"loop.item\" is there only in loops with iterateOver");
        expect_fault(stranger, "/steps/0/loopConfig/continueWhile/field", "\"z\" may not have run");
}

Test(runbook_paths, compensations) {
        expect_good_graph("z; pre; a < pre ! u; u = a.x} ${pre.y} ${steps.z.q ?? 0} ${steps.a.x");
        expect_graph_fault("z; a ! u; u = z.q", "/steps/2/input/v",
                           "a compensation step sees \"z\" as steps.z only");
        expect_graph_fault("a ! u; u; b = steps.u < a", "/steps/2/input/v",
                           "\"u\" is a compensation step: its output can't be referred to");
        expect_graph_fault("a ! u; u = u.x", "/steps/1/input/v", "\"u\" is");
        expect_good_graph("l @ body; body ! u; u = loop.item.x");
        expect_graph_fault("a ! u; l @ body; body ! u; u = loop.item.x", "/steps/3/input/v",
                           "\"loop\" is there only");
}

Test(runbook_paths, evidence_sees_its_own_step) {
        expect_good(RUNBOOK("{'id': 'a', 'type': 'custom:x', 'evidence': [{'type': 't', 'sourceRef': "
                            "'${steps.a.ref}'}]}"));
        expect_fault(RUNBOOK("{'id': 'a', 'type': 'custom:x', 'evidence': [{'type': 't', 'sourceRef': "
                             "'${a.ref}'}]}"),
                     "/steps/0/evidence/0/sourceRef", "\"a\" is this step itself: write steps.a");
}

Test(runbook_paths, the_output_sees_all_steps) {
        static const struct {
                const char *path, *part; /* NULL: fine */
        } cases[] = {
                        {"a.x} ${steps.a.x} ${input.y} ${field", NULL},
                        {"steps.nope", "there is no step \"nope\""},
                        {"loop.item", "\"loop\" is there only"},
                        {"secrets.A", "secrets are allowed only"},
                        {"u", "\"u\" is a compensation step"},
                        {"steps.u", "\"u\" is a compensation step"},
                        {"b", "\"b\" runs inside the loop \"l\""},
                        {"steps.b.x", "\"b\" runs inside the loop \"l\""},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_free_ char *steps = graph("a ! u; u; l @ b; b"), *text = NULL;
                cr_assert_gt(asprintf(&text, "{'output': {'o': '${%s}'},%s", cases[i].path, steps + 1), 0);
                if (cases[i].part)
                        expect_fault(text, "/output/o", cases[i].part);
                else
                        expect_good(text);
        }
}

Test(runbook_paths, secrets_have_their_places) {
        expect_graph_fault("a = secrets.A", "/steps/0/input/v", "secrets are allowed only");
        expect_fault(RUNBOOK("{'id': 'a', 'type': 'custom:x', 'config': {'t': 'x ${secrets.A ?? none}'}}"),
                     "/steps/0/config/t",
                     "secrets are allowed only in values of a call-service step's headers");
        expect_fault(RUNBOOK("{'id': 'a', 'type': 'custom:x', 'condition': {'field': 'secrets.A', "
                             "'operator': 'exists'}}"),
                     "/steps/0/condition/field", "secrets are allowed only");
        expect_fault(RUNBOOK("{'id': 'a', 'type': 'call-service', 'config': {'url': "
                             "'https://x/?k=${secrets.A}'}}"),
                     "/steps/0/config/url", "secrets are allowed only");
}

Test(runbook_paths, behind_a_faulty_link_nothing_is_claimed) {
        /* The misspelt dependency is the one fault; what hangs on it is not complained about. */
        expect_graph_fault("fetch; b = fetch.x} ${steps.fetch < fecth; c = steps.fetch < b",
                           "/steps/1/dependsOn/0", "did you mean \"fetch\"");
        expect_graph_fault(
                        "a < b; b < a; c = x.y} ${steps.a < b; l @ d < c; d; e = d.x} ${c} ${loop.item < d",
                        "/steps/0/dependsOn/0", "a → b → a");
        expect_graph_faults("z; a = steps.z < b; b < a; c = steps.z", 2, "/steps/3/input/v",
                            "\"z\" may not have run");
}
