/*
 * Order and cycles
 *
 * Edges become two adjacency arrays (counting sort, no lists of lists). Kahn's algorithm with a heap gives
 * the one topological order that keeps the definition's wherever it can. What it leaves over lies on or
 * behind cycles: Tarjan's algorithm, with a stack of its own, finds the strongly connected parts there, and a
 * breadth-first search a short cycle through the first step of each. All of it is linear (but for the heap's
 * logarithm) and iterative.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/heap.h"
#include "model/runbook_draft.h"

#define CYCLE_SHOWN_HEAD 10 /* steps of a cycle that are named before the gap */
#define CYCLE_SHOWN_TAIL 5  /* and behind it */

static uint32_t *scratch_u32(Draft *d, size_t n) {
        uint32_t *p = ARENA_NEW_ARRAY(&d->scratch, uint32_t, n);
        if (!p)
                draft_oom(d);
        return p;
}

/** Edge numbers by target, in the order in which they were written. */
static void build_in(Draft *d) {
        d->in = scratch_u32(d, d->n_edges);
        if (!d->in)
                return;
        for (size_t e = 0; e < d->n_edges; e++)
                d->more[d->edges[e].to].n_in += !d->edges[e].dropped;
        uint32_t next = 0;
        for (uint32_t i = 0; i < d->n_steps; i++) {
                d->more[i].first_in = next;
                next += d->more[i].n_in;
                d->more[i].n_in = 0;
        }
        for (size_t e = 0; e < d->n_edges; e++) {
                DraftStep *to = &d->more[d->edges[e].to];
                if (!d->edges[e].dropped)
                        d->in[to->first_in + to->n_in++] = (uint32_t)e;
        }
}

/** A target that also lists its conditional in dependsOn waits for it once, as a branch. */
static void fold_branches(Draft *d) {
        uint32_t base = 3 * d->n_steps + 3; /* past the marks of linking */
        for (uint32_t i = 0; i < d->n_steps; i++) {
                const uint32_t *in = d->in + d->more[i].first_in;
                uint32_t n = d->more[i].n_in, kept = 0, mark = base + i;
                for (uint32_t k = 0; k < n; k++) {
                        const DraftEdge *e = &d->edges[in[k]];
                        if (e->kind == DRAFT_TRUE || e->kind == DRAFT_FALSE)
                                d->more[e->from].mark = mark;
                }
                for (uint32_t k = 0; k < n; k++) {
                        DraftEdge *e = &d->edges[in[k]];
                        e->dropped = e->kind == DRAFT_DEPENDENCY && d->more[e->from].mark == mark;
                        if (!e->dropped)
                                d->in[d->more[i].first_in + kept++] = in[k];
                }
                d->more[i].n_in = kept;
        }
}

/** Edge numbers by source, by target within. */
static void build_out(Draft *d) {
        d->out = scratch_u32(d, d->n_edges);
        if (!d->out)
                return;
        for (size_t e = 0; e < d->n_edges; e++)
                d->more[d->edges[e].from].n_out += !d->edges[e].dropped;
        uint32_t next = 0;
        for (uint32_t i = 0; i < d->n_steps; i++) {
                d->more[i].first_out = next;
                next += d->more[i].n_out;
                d->more[i].n_out = 0;
        }
        for (uint32_t i = 0; i < d->n_steps; i++) {
                for (uint32_t k = 0; k < d->more[i].n_in; k++) {
                        uint32_t e = d->in[d->more[i].first_in + k];
                        DraftStep *from = &d->more[d->edges[e].from];
                        d->out[from->first_out + from->n_out++] = e;
                }
        }
}

static void put_dependencies(Draft *d, uint32_t i, uint32_t *deps) {
        RunbookStep *step = &d->steps[i];
        step->deps = deps;
        for (uint32_t k = 0; k < d->more[i].n_in; k++) {
                const DraftEdge *e = &d->edges[d->in[d->more[i].first_in + k]];
                if (e->kind == DRAFT_BODY)
                        continue;
                deps[step->n_deps++] = e->from;
                step->n_dep_edges += e->kind == DRAFT_DEPENDENCY;
                step->n_branch_edges += e->kind != DRAFT_DEPENDENCY;
        }
}

static void put_out_edges(Draft *d, uint32_t i, Edge *out) {
        static const EdgeKind kinds[] = {[DRAFT_DEPENDENCY] = EDGE_DEPENDENCY,
                                         [DRAFT_TRUE] = EDGE_TRUE,
                                         [DRAFT_FALSE] = EDGE_FALSE};
        RunbookStep *step = &d->steps[i];
        step->out = out;
        for (uint32_t k = 0; k < d->more[i].n_out; k++) {
                const DraftEdge *e = &d->edges[d->out[d->more[i].first_out + k]];
                if (e->kind != DRAFT_BODY)
                        out[step->n_out++] = (Edge){.to = e->to, .kind = kinds[e->kind]};
        }
}

/** What the runbook keeps of the edges. */
static void put_edges(Draft *d) {
        uint32_t *deps = ARENA_NEW_ARRAY(d->arena, uint32_t, d->n_edges);
        Edge *out = ARENA_NEW_ARRAY(d->arena, Edge, d->n_edges);
        if (!deps || !out) {
                draft_oom(d);
                return;
        }
        for (uint32_t i = 0; i < d->n_steps; i++) {
                put_dependencies(d, i, deps + d->more[i].first_in);
                put_out_edges(d, i, out + d->more[i].first_out);
        }
}

/** Kahn: the smallest step number first among those that wait for nothing. */
static void sort_steps(Draft *d) {
        _cleanup_(heap_deinit) Heap ready = {0};
        uint32_t *open = scratch_u32(d, d->n_steps);
        d->order = scratch_u32(d, d->n_steps);
        if (!open || !d->order)
                return;
        int r = 0;
        for (uint32_t i = 0; i < d->n_steps && r == 0; i++) {
                open[i] = d->more[i].n_in;
                if (open[i] == 0)
                        r = heap_push(&ready, i);
        }
        uint64_t key;
        while (r == 0 && heap_pop(&ready, &key)) {
                DraftStep *step = &d->more[key];
                step->position = d->n_ordered;
                d->order[d->n_ordered++] = (uint32_t)key;
                for (uint32_t k = 0; k < step->n_out && r == 0; k++) {
                        uint32_t to = d->edges[d->out[step->first_out + k]].to;
                        d->more[to].uncertain |= step->uncertain;
                        if (--open[to] == 0)
                                r = heap_push(&ready, to);
                }
        }
        if (r < 0)
                draft_oom(d);
}

/** Tarjan's bookkeeping over the steps that have no place in the order. */
typedef struct Components {
        Draft *d;
        uint32_t *number, *low; /* 0: not met yet */
        uint32_t *component;    /* 0: none yet; else the component's number */
        uint32_t *next_out;     /* the out-edge to look at next */
        uint32_t *stack, *path; /* members of open components; the search's own stack */
        uint32_t n_numbers, n_components, n_stack, n_path;
} Components;

static void enter_step(Components *c, uint32_t i) {
        c->number[i] = c->low[i] = ++c->n_numbers;
        c->stack[c->n_stack++] = i;
        c->path[c->n_path++] = i;
}

static void leave_step(Components *c) {
        uint32_t i = c->path[--c->n_path], member;
        if (c->n_path > 0) {
                uint32_t parent = c->path[c->n_path - 1];
                c->low[parent] = c->low[i] < c->low[parent] ? c->low[i] : c->low[parent];
        }
        if (c->low[i] != c->number[i])
                return;
        c->n_components++;
        do {
                member = c->stack[--c->n_stack];
                c->component[member] = c->n_components;
        } while (member != i);
}

static void find_components_from(Components *c, uint32_t start) {
        Draft *d = c->d;
        enter_step(c, start);
        while (c->n_path > 0) {
                uint32_t i = c->path[c->n_path - 1];
                if (c->next_out[i] == d->more[i].n_out) {
                        leave_step(c);
                        continue;
                }
                uint32_t to = d->edges[d->out[d->more[i].first_out + c->next_out[i]++]].to;
                if (d->more[to].position != STEP_NONE)
                        continue;
                if (c->number[to] == 0)
                        enter_step(c, to);
                else if (c->component[to] == 0 && c->number[to] < c->low[i])
                        c->low[i] = c->number[to];
        }
}

/** Report the cycle that @closing ends; @via: the edge by which the search came to each step. */
static void report_cycle(Draft *d, const DraftEdge *closing, const uint32_t *via, uint32_t *nodes) {
        uint32_t start = closing->to, n = 0;
        for (uint32_t i = closing->from; i != start; i = d->edges[via[i]].from)
                nodes[n++] = i;
        nodes[n++] = start; /* backwards: nodes[n - 1] is the start */
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint32_t k = 0; k < n; k++) {
                if (n > CYCLE_SHOWN_HEAD + CYCLE_SHOWN_TAIL && k == CYCLE_SHOWN_HEAD) {
                        buf_printf(&b, "… (%u more) … → ", n - CYCLE_SHOWN_HEAD - CYCLE_SHOWN_TAIL);
                        k = n - CYCLE_SHOWN_TAIL;
                }
                buf_put_slice(&b, d->steps[nodes[n - 1 - k]].id);
                buf_put_str(&b, " → ");
        }
        buf_put_slice(&b, d->steps[start].id);
        if (b.error)
                draft_oom(d);
        else
                draft_edge_error(d, closing, "dependency cycle: %.*s (each step waits for the one before it)",
                                 (int)b.n, b.data);
}

/** Breadth first within one component, from @start until an edge leads back to it. */
static void find_cycle(Components *c, uint32_t start) {
        /* The arrays of the first search have done their work for this component. */
        Draft *d = c->d;
        uint32_t *queue = c->path, *via = c->low, n = 0;
        queue[n++] = start;
        c->number[start] = 0; /* 0: seen by this search */
        for (uint32_t head = 0; head < n; head++) {
                const DraftStep *step = &d->more[queue[head]];
                for (uint32_t k = 0; k < step->n_out; k++) {
                        uint32_t e = d->out[step->first_out + k], to = d->edges[e].to;
                        if (to == start) {
                                report_cycle(d, &d->edges[e], via, c->stack);
                                return;
                        }
                        if (d->more[to].position != STEP_NONE || c->component[to] != c->component[start] ||
                            c->number[to] == 0)
                                continue;
                        c->number[to] = 0;
                        via[to] = e;
                        queue[n++] = to;
                }
        }
}

static void report_cycles(Draft *d) {
        size_t n = d->n_steps;
        Components c = {.d = d,
                        .number = scratch_u32(d, n),
                        .low = scratch_u32(d, n),
                        .component = scratch_u32(d, n),
                        .next_out = scratch_u32(d, n),
                        .stack = scratch_u32(d, n),
                        .path = scratch_u32(d, n)};
        if (d->oom)
                return;
        for (uint32_t i = 0; i < n; i++)
                if (d->more[i].position == STEP_NONE && c.number[i] == 0)
                        find_components_from(&c, i);
        uint32_t *n_members = c.next_out;
        memset(n_members, 0, n * sizeof(*n_members));
        for (uint32_t i = 0; i < n; i++)
                if (c.component[i] > 0)
                        n_members[c.component[i] - 1]++;
        for (uint32_t i = 0; i < n && !d->oom; i++) {
                uint32_t component = c.component[i];
                if (component == 0 || n_members[component - 1] < 2)
                        continue;
                n_members[component - 1] = 0; /* said */
                find_cycle(&c, i);
        }
}

void draft_order(Draft *d) {
        build_in(d);
        if (!d->oom)
                fold_branches(d);
        if (!d->oom)
                build_out(d);
        if (!d->oom)
                put_edges(d);
        if (!d->oom)
                sort_steps(d);
        if (!d->oom && d->n_ordered < d->n_steps)
                report_cycles(d);
}
