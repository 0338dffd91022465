/*
 * A definition's steps as a picture.
 *
 * The tree is a walk over the edges from the steps that wait for nothing. A step that several others lead to
 * is drawn in full under the last of them that the walk meets, and as "↳ id" under the others, so that
 * everything above a step is drawn before what hangs on it. Nothing recurses: the walk keeps its own stack,
 * and every edge is drawn once.
 */

#include <errno.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "base/map.h"
#include "cli/graph.h"
#include "cli/session.h"

#define EDGES_MAX    2000000
#define INDENT       3  /* columns a level */
#define NAME_COLUMNS 30 /* kept for ids and types */
#define DEPTH_MIN    4
#define DEPTH_MAX    60 /* deeper levels are not indented further */

typedef enum EdgeType {
        EDGE_AFTER,
        EDGE_TRUE,
        EDGE_FALSE,
        EDGE_BODY,
        EDGE_COMPENSATION,
        N_EDGE_TYPES
} EdgeType;

/** How edges are called and drawn. */
static const struct {
        const char *label, *dot, *mermaid;
} edge_looks[N_EDGE_TYPES] = {
                [EDGE_AFTER] = {"", "", "-->"},
                [EDGE_TRUE] = {"true", " [label=\"true\"]", "-->|true|"},
                [EDGE_FALSE] = {"false", " [label=\"false\"]", "-->|false|"},
                [EDGE_BODY] = {"each", " [label=\"each\", style=dashed]", "-.->|each|"},
                [EDGE_COMPENSATION] = {"undone by", " [label=\"undone by\", style=dotted]",
                                       "-.->|undone by|"},
};

typedef struct Edge {
        uint32_t from, to;
        EdgeType type;
} Edge;

typedef struct Graph {
        const json_t *steps;
        uint32_t n_steps;
        Map ids;     /* id → index + 1 */
        Edge *edges; /* sorted by from, in the order met */
        size_t n_edges, cap_edges;
        uint32_t *first; /* first[i]…first[i+1]: edges out of step i */
        uint32_t *n_in;
        bool oom;
} Graph;

static const char *id_of(const Graph *g, uint32_t i) { return json_text(json_array_get(g->steps, i), "id"); }

static const char *type_of(const Graph *g, uint32_t i) {
        return json_text(json_array_get(g->steps, i), "type");
}

static void graph_deinit(Graph *g) {
        map_deinit(&g->ids);
        free(g->edges);
        free(g->first);
        free(g->n_in);
}

/* ── Reading ───────────────────────────────────────────────────────────────────────────────────── */

static void add_edge(Graph *g, uint32_t from, uint32_t to, EdgeType type) {
        if (g->n_edges == g->cap_edges) {
                size_t cap = g->cap_edges ? g->cap_edges * 2 : 128;
                Edge *edges = cap <= EDGES_MAX ? reallocarray(g->edges, cap, sizeof *edges) : NULL;

                if (!edges) {
                        g->oom = true;
                        return;
                }
                g->edges = edges;
                g->cap_edges = cap;
        }
        g->edges[g->n_edges++] = (Edge){from, to, type};
}

/** An edge to or from the step that @name (a string) names; names that are no step's are left out. */
static void link_name(Graph *g, uint32_t step, const json_t *name, EdgeType type) {
        const char *text = json_string_value(name);
        uint32_t other = text ? (uint32_t)(uintptr_t)map_get(&g->ids, slice_from_str(text)) : 0;

        if (other == 0)
                return;
        if (type == EDGE_AFTER)
                add_edge(g, other - 1, step, type);
        else
                add_edge(g, step, other - 1, type);
}

/** The same for a name or a list of names. */
static void link_names(Graph *g, uint32_t step, const json_t *names, EdgeType type) {
        const json_t *name;
        size_t i;

        if (json_is_string(names))
                link_name(g, step, names, type);
        json_array_foreach(names, i, name) link_name(g, step, name, type);
}

/** Does conditional @from already lead to @to as a branch? Then a plain dependency says nothing more. */
static bool is_branch(const Graph *g, uint32_t from, uint32_t to) {
        const json_t *config = json_object_get(json_array_get(g->steps, from), "config");
        static const char *const keys[] = {"trueBranch", "falseBranch", "bodyStepId"};
        const json_t *name;
        size_t i;

        for (size_t k = 0; k < N_ELEMENTS(keys); k++) {
                const json_t *target = json_object_get(config, keys[k]);

                if (json_is_string(target) && !strcmp(json_string_value(target), id_of(g, to)))
                        return true;
                json_array_foreach(target, i,
                                   name) if (json_is_string(name) &&
                                             !strcmp(json_string_value(name), id_of(g, to))) return true;
        }
        return false;
}

static void read_edges(Graph *g) {
        const json_t *step, *name;
        size_t i, k;

        json_array_foreach(g->steps, i, step) {
                const json_t *config = json_object_get(step, "config");

                json_array_foreach(json_object_get(step, "dependsOn"), k, name) {
                        const char *text = json_string_value(name);
                        uint32_t from = text ? (uint32_t)(uintptr_t)map_get(&g->ids, slice_from_str(text))
                                             : 0;

                        if (from > 0 && !is_branch(g, from - 1, (uint32_t)i))
                                link_name(g, (uint32_t)i, name, EDGE_AFTER);
                }
                link_names(g, (uint32_t)i, json_object_get(config, "trueBranch"), EDGE_TRUE);
                link_names(g, (uint32_t)i, json_object_get(config, "falseBranch"), EDGE_FALSE);
                link_names(g, (uint32_t)i, json_object_get(config, "bodyStepId"), EDGE_BODY);
                link_names(g, (uint32_t)i, json_object_get(step, "compensateWith"), EDGE_COMPENSATION);
        }
}

/** Sort the edges by where they come from, stably: counting sort. */
static void sort_edges(Graph *g) {
        Edge *sorted = calloc(g->n_edges + 1, sizeof *sorted);
        uint32_t *at = calloc((size_t)g->n_steps + 1, sizeof *at);

        g->first = calloc((size_t)g->n_steps + 1, sizeof *g->first);
        g->n_in = calloc((size_t)g->n_steps + 1, sizeof *g->n_in);
        if (!sorted || !at || !g->first || !g->n_in) {
                free(sorted);
                free(at);
                g->oom = true;
                return;
        }
        for (size_t i = 0; i < g->n_edges; i++) {
                g->first[g->edges[i].from + 1]++;
                g->n_in[g->edges[i].to]++;
        }
        for (uint32_t i = 0; i < g->n_steps; i++)
                g->first[i + 1] += g->first[i];
        memcpy(at, g->first, g->n_steps * sizeof *at);
        for (size_t i = 0; i < g->n_edges; i++)
                sorted[at[g->edges[i].from]++] = g->edges[i];
        free(at);
        free(g->edges);
        g->edges = sorted;
}

static int graph_read(Graph *g, const json_t *definition) {
        g->steps = json_object_get(definition, "steps");
        g->n_steps = (uint32_t)json_array_size(g->steps);
        if (g->n_steps == 0)
                return -EINVAL;
        for (uint32_t i = 0; i < g->n_steps; i++)
                if (*id_of(g, i) &&
                    map_put(&g->ids, slice_from_str(id_of(g, i)), (void *)(uintptr_t)(i + 1)) < 0)
                        return -ENOMEM;
        read_edges(g);
        if (!g->oom)
                sort_edges(g);
        return g->oom ? -ENOMEM : 0;
}

/* ── The tree ──────────────────────────────────────────────────────────────────────────────────── */

/** A step whose out-edges are being drawn. */
typedef struct Frame {
        uint32_t step, next; /* next edge */
} Frame;

typedef struct Tree {
        const Graph *g;
        const CliTerm *term;
        Buf *out;
        uint32_t *left; /* in-edges not drawn yet */
        bool *drawn;
        Frame *stack;
        uint32_t depth, depth_max; /* depth_max: levels that are indented */
} Tree;

static void put_node(Tree *t, uint32_t step, const char *label) {
        text_color(t->out, t->term, COLOR_DIM);
        if (*label)
                buf_printf(t->out, "%s: ", label);
        text_plain(t->out, t->term);
        text_color(t->out, t->term, COLOR_BOLD);
        text_put_str(t->out, t->term, id_of(t->g, step), TEXT_ANY_WIDTH);
        text_plain(t->out, t->term);
        buf_put_str(t->out, "  ");
        text_color(t->out, t->term, COLOR_DIM);
        text_put_str(t->out, t->term, type_of(t->g, step), TEXT_ANY_WIDTH);
        text_plain(t->out, t->term);
        buf_put_char(t->out, '\n');
}

static void put_reference(Tree *t, uint32_t step, const char *label) {
        text_color(t->out, t->term, COLOR_DIM);
        if (*label)
                buf_printf(t->out, "%s: ", label);
        buf_put_str(t->out, t->term->utf8 ? "↳ " : "-> ");
        text_put_str(t->out, t->term, id_of(t->g, step), TEXT_ANY_WIDTH);
        text_plain(t->out, t->term);
        buf_put_char(t->out, '\n');
}

/** Lines from the left edge to the node: who above still has edges to draw. */
static void put_branches(Tree *t, bool is_last) {
        uint32_t from = t->depth > t->depth_max ? t->depth - t->depth_max : 0;

        if (from > 0)
                buf_put_str(t->out, t->term->utf8 ? "… " : "... ");
        for (uint32_t i = from; i + 1 < t->depth; i++) {
                const Frame *f = &t->stack[i];
                bool more = f->next < t->g->first[f->step + 1];

                buf_put_str(t->out, !more ? "   " : t->term->utf8 ? "│  " : "|  ");
        }
        buf_put_str(t->out, t->term->utf8 ? (is_last ? "└─ " : "├─ ") : (is_last ? "`- " : "|- "));
}

/** Draw @root and all that hangs on it and on nothing else that is still to come. */
static void draw_from(Tree *t, uint32_t root) {
        const Graph *g = t->g;

        put_node(t, root, "");
        t->drawn[root] = true;
        t->stack[0] = (Frame){root, g->first[root]};
        t->depth = 1;
        while (t->depth > 0 && !t->out->error) {
                Frame *f = &t->stack[t->depth - 1];
                const Edge *e;

                if (f->next == g->first[f->step + 1]) {
                        t->depth--;
                        continue;
                }
                e = &g->edges[f->next++];
                t->left[e->to]--;
                put_branches(t, f->next == g->first[f->step + 1]);
                if (t->drawn[e->to] || t->left[e->to] > 0) {
                        put_reference(t, e->to, edge_looks[e->type].label);
                        continue;
                }
                put_node(t, e->to, edge_looks[e->type].label);
                t->drawn[e->to] = true;
                t->stack[t->depth++] = (Frame){e->to, g->first[e->to]};
        }
}

static int draw_tree(const Graph *g, const CliTerm *term, int width, Buf *out) {
        int depth_max = (width - NAME_COLUMNS) / INDENT;
        Tree t = {
                        .g = g,
                        .term = term,
                        .out = out,
                        .depth_max = (uint32_t)(depth_max < DEPTH_MIN   ? DEPTH_MIN
                                                : depth_max > DEPTH_MAX ? DEPTH_MAX
                                                                        : depth_max),
                        .left = calloc(g->n_steps, sizeof *t.left),
                        .drawn = calloc(g->n_steps, sizeof *t.drawn),
                        .stack = calloc((size_t)g->n_steps + 1, sizeof *t.stack),
        };
        bool ok = t.left && t.drawn && t.stack;

        if (ok) {
                memcpy(t.left, g->n_in, g->n_steps * sizeof *t.left);
                for (uint32_t i = 0; i < g->n_steps; i++)
                        if (g->n_in[i] == 0)
                                draw_from(&t, i);
                for (uint32_t i = 0; i < g->n_steps; i++)
                        if (!t.drawn[i]) /* only in definitions with a cycle */
                                draw_from(&t, i);
        }
        free(t.left);
        free(t.drawn);
        free(t.stack);
        return ok && !out->error ? 0 : -ENOMEM;
}

int graph_tree(const json_t *definition, const CliTerm *term, int width, Buf *out) {
        _cleanup_(graph_deinit) Graph g = {0};
        int r = graph_read(&g, definition);

        return r < 0 ? r : draw_tree(&g, term, width, out);
}

/* ── DOT and Mermaid ───────────────────────────────────────────────────────────────────────────── */

/** Node shapes by step type: DOT's name, Mermaid's brackets. */
static const struct {
        const char *type, *dot, *open, *close;
} shapes[] = {
                {"conditional", "diamond", "{\"", "\"}"}, {"human-approval", "house", "[/\"", "\"/]"},
                {"loop", "box3d", "[[\"", "\"]]"},        {"run-runbook", "component", "[[\"", "\"]]"},
                {"wait", "ellipse", "([\"", "\"])"},      {"wait-for-event", "ellipse", "([\"", "\"])"},
};

static const char *shape(const char *type, int which) {
        static const char *const plain[] = {"box", "[\"", "\"]"};

        for (size_t i = 0; i < N_ELEMENTS(shapes); i++)
                if (!strcmp(shapes[i].type, type))
                        return which == 0 ? shapes[i].dot : which == 1 ? shapes[i].open : shapes[i].close;
        return plain[which];
}

/** Inside a quoted string of either language: quotes and backslashes as entities, control characters as
 * blanks. */
static void put_quoted(Buf *b, const char *s, bool is_dot) {
        for (; *s; s++) {
                if ((unsigned char)*s < 0x20)
                        buf_put_char(b, ' ');
                else if (*s == '"')
                        buf_put_str(b, is_dot ? "\\\"" : "#quot;");
                else if (*s == '\\' && is_dot)
                        buf_put_str(b, "\\\\");
                else if (*s == '#' && !is_dot)
                        buf_put_str(b, "#35;");
                else
                        buf_put_char(b, *s);
        }
}

int graph_dot(const json_t *definition, Buf *out) {
        _cleanup_(graph_deinit) Graph g = {0};
        int r = graph_read(&g, definition);

        if (r < 0)
                return r;
        buf_put_str(out, "digraph \"");
        put_quoted(out, json_text(definition, "id"), true);
        buf_put_str(out, "\" {\n  node [shape=box];\n");
        for (uint32_t i = 0; i < g.n_steps; i++) {
                buf_put_str(out, "  \"");
                put_quoted(out, id_of(&g, i), true);
                buf_put_str(out, "\" [label=\"");
                put_quoted(out, id_of(&g, i), true);
                buf_put_str(out, "\\n");
                put_quoted(out, type_of(&g, i), true);
                buf_printf(out, "\", shape=%s];\n", shape(type_of(&g, i), 0));
        }
        for (size_t i = 0; i < g.n_edges; i++) {
                buf_put_str(out, "  \"");
                put_quoted(out, id_of(&g, g.edges[i].from), true);
                buf_put_str(out, "\" -> \"");
                put_quoted(out, id_of(&g, g.edges[i].to), true);
                buf_printf(out, "\"%s;\n", edge_looks[g.edges[i].type].dot);
        }
        buf_put_str(out, "}\n");
        return out->error ? -ENOMEM : 0;
}

int graph_mermaid(const json_t *definition, Buf *out) {
        _cleanup_(graph_deinit) Graph g = {0};
        int r = graph_read(&g, definition);

        if (r < 0)
                return r;
        /* Mermaid's own names must be plain words: steps are numbered, their ids are labels. */
        buf_put_str(out, "flowchart TD\n");
        for (uint32_t i = 0; i < g.n_steps; i++) {
                buf_printf(out, "  s%u%s", i, shape(type_of(&g, i), 1));
                put_quoted(out, id_of(&g, i), false);
                buf_put_str(out, "<br/>");
                put_quoted(out, type_of(&g, i), false);
                buf_printf(out, "%s\n", shape(type_of(&g, i), 2));
        }
        for (size_t i = 0; i < g.n_edges; i++)
                buf_printf(out, "  s%u %s s%u\n", g.edges[i].from, edge_looks[g.edges[i].type].mermaid,
                           g.edges[i].to);
        return out->error ? -ENOMEM : 0;
}
