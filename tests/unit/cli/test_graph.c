/* Definitions as pictures. */

#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "cli/graph.h"

TestSuite(graph, .fini = check_leaks);

static const CliTerm utf8 = {.utf8 = true}, ascii = {0};

static const char incident[] =
                "{\"id\":\"incident\",\"steps\":["
                "{\"id\":\"enrich\",\"type\":\"call-service\"},"
                "{\"id\":\"severe\",\"type\":\"conditional\",\"dependsOn\":[\"enrich\"],\"config\":{"
                "\"trueBranch\":[\"approve\"],\"falseBranch\":\"close\"}},"
                "{\"id\":\"approve\",\"type\":\"human-approval\",\"dependsOn\":[\"severe\"],"
                "\"compensateWith\":\"undo\"},"
                "{\"id\":\"close\",\"type\":\"call-service\"},"
                "{\"id\":\"notify\",\"type\":\"call-service\",\"dependsOn\":[\"approve\",\"close\"]},"
                "{\"id\":\"undo\",\"type\":\"call-service\"},"
                "{\"id\":\"all\",\"type\":\"loop\",\"dependsOn\":[\"notify\"],\"config\":{\"bodyStepId\":"
                "\"one\"}},"
                "{\"id\":\"one\",\"type\":\"wait\"}]}";

typedef int (*Draw)(const json_t *definition, Buf *out);

static void expect(Buf *b, const char *want) {
        cr_expect(slice_eq_str(buf_slice(b), want), "got:\n%.*s\nwant:\n%s", SLICE_ARG(buf_slice(b)), want);
        buf_deinit(b);
}

Test(graph, tree) {
        json_t *d = json_loads(incident, 0, NULL);
        Buf b = {0};

        cr_assert_not_null(d);
        cr_assert_eq(graph_tree(d, &utf8, 80, &b), 0);
        expect(&b, "enrich  call-service\n"
                   "└─ severe  conditional\n"
                   "   ├─ true: approve  human-approval\n"
                   "   │  ├─ undone by: undo  call-service\n"
                   "   │  └─ ↳ notify\n"
                   "   └─ false: close  call-service\n"
                   "      └─ notify  call-service\n"
                   "         └─ all  loop\n"
                   "            └─ each: one  wait\n");
        cr_assert_eq(graph_tree(d, &ascii, 80, &b), 0);
        cr_expect_not_null(memmem(b.data, b.n, "   |  `- -> notify\n", 19), "%.*s", SLICE_ARG(buf_slice(&b)));
        buf_deinit(&b);
        json_decref(d);
}

Test(graph, dot_and_mermaid) {
        json_t *d = json_loads("{\"id\":\"a\\\"b\",\"steps\":[{\"id\":\"x#1\",\"type\":\"wait\"},{\"id\":"
                               "\"y\\\\\",\"type\":\"conditional\",\"dependsOn\":[\"x#1\"]}]}",
                               0, NULL);
        Buf b = {0};

        cr_assert_not_null(d);
        cr_assert_eq(graph_dot(d, &b), 0);
        expect(&b, "digraph \"a\\\"b\" {\n  node [shape=box];\n"
                   "  \"x#1\" [label=\"x#1\\nwait\", shape=ellipse];\n"
                   "  \"y\\\\\" [label=\"y\\\\\\nconditional\", shape=diamond];\n"
                   "  \"x#1\" -> \"y\\\\\";\n}\n");
        cr_assert_eq(graph_mermaid(d, &b), 0);
        expect(&b, "flowchart TD\n  s0([\"x#35;1<br/>wait\"])\n  s1{\"y\\<br/>conditional\"}\n  s0 --> s1\n");
        json_decref(d);
}

/** What `validate` would refuse must be drawn all the same, or be refused cleanly. */
Test(graph, odd_definitions) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                        {"{}", -EINVAL},
                        {"{\"steps\":[]}", -EINVAL},
                        {"{\"steps\":{}}", -EINVAL},
                        {"{\"steps\":[1,null,{}]}", 0},
                        {"{\"steps\":[{\"id\":\"a\",\"dependsOn\":[\"a\"]}]}", 0},
                        {"{\"steps\":[{\"id\":\"a\",\"dependsOn\":[\"b\"]},{\"id\":\"b\",\"dependsOn\":["
                         "\"a\"]}]}",
                         0},
                        {"{\"steps\":[{\"id\":\"a\",\"dependsOn\":\"b\"},{\"id\":\"b\",\"dependsOn\":[7,"
                         "\"nobody\"]}]}",
                         0},
        };
        static const Draw draws[] = {graph_dot, graph_mermaid};

        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                json_t *d = json_loads(cases[i].text, 0, NULL);
                Buf b = {0};

                cr_expect_eq(graph_tree(d, &utf8, 80, &b), cases[i].r, "%s", cases[i].text);
                for (size_t k = 0; k < N_ELEMENTS(draws); k++)
                        cr_expect_eq(draws[k](d, &b), cases[i].r, "%s", cases[i].text);
                buf_deinit(&b);
                json_decref(d);
        }
}

/** A chain and a fan of many steps: no recursion, every step once. */
Test(graph, many_steps) {
        enum { N = 20000 };
        json_t *steps = json_array(), *d = json_object();
        Buf b = {0};
        size_t lines = 0;

        for (int i = 0; i < N; i++) {
                char id[16], before[16];

                snprintf(id, sizeof id, "s%d", i);
                snprintf(before, sizeof before, "s%d", i - 1);
                json_array_append_new(steps, i ? json_pack("{ssss s[s]}", "id", id, "type", "wait",
                                                           "dependsOn", before)
                                               : json_pack("{ss}", "id", id));
        }
        json_object_set_new(d, "steps", steps);
        cr_assert_eq(graph_tree(d, &utf8, 80, &b), 0);
        for (size_t i = 0; i < b.n; i++)
                lines += b.data[i] == '\n';
        cr_expect_eq(lines, N);
        buf_deinit(&b);
        json_decref(d);
}
