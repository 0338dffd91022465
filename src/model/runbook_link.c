/*
 * Links: who waits for whom
 *
 * All that ties one step to another is read here into one list of edges: dependsOn, the targets of
 * conditionals (which wait for the conditional whether they say so or not), the bodies of loops; and
 * compensateWith. Edges that can't be part of the graph are reported and dropped, so that the passes behind
 * need not ask again.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "model/runbook_draft.h"

#define SHOWN_MAX 80

static const char *const branch_keys[] = {"trueBranch", "falseBranch"};

int draft_edge_error(Draft *d, const DraftEdge *edge, const char *format, ...) {
        JsonAt to = draft_step_at(d, edge->to), from = draft_step_at(d, edge->from);
        JsonAt config = json_at_key(&from, "config"), at;
        switch ((DraftEdgeKind)edge->kind) {
        case DRAFT_DEPENDENCY:
                at = json_at_key(&to, "dependsOn");
                break;
        case DRAFT_BODY:
                at = json_at_key(&config, "bodyStepId");
                break;
        default:
                at = json_at_key(&config, branch_keys[edge->kind == DRAFT_FALSE]);
        }
        JsonAt entry = json_at_index(&at, edge->index);
        char path[JSON_POINTER_MAX + 8];
        va_list ap;
        va_start(ap, format);
        report_vdetail(d->report, json_at_path(edge->index == DRAFT_NO_INDEX ? &at : &entry, path), format,
                       ap);
        va_end(ap);
        return -EINVAL;
}

static void add_edge(Draft *d, DraftEdge edge, const JsonAt *at) {
        if (d->n_edges == LIMIT_EDGES && edge.kind != DRAFT_BODY) { /* bodies are bounded by the steps */
                if (!d->too_many_edges)
                        draft_limit(d, json_at_error(at,
                                                     "the runbook has more than %d dependencies in all "
                                                     "(LIMIT_EDGES)",
                                                     LIMIT_EDGES));
                d->too_many_edges = true;
                return;
        }
        if (d->n_edges == d->cap_edges) {
                size_t cap = d->cap_edges ? d->cap_edges * 2 : 64;
                DraftEdge *edges = realloc(d->edges, cap * sizeof(*edges));
                if (!edges) {
                        draft_oom(d);
                        return;
                }
                d->edges = edges;
                d->cap_edges = cap;
        }
        d->edges[d->n_edges++] = edge;
}

/** The step that the string at @at names, for step @self; STEP_NONE if there is none (reported). */
static uint32_t resolve(Draft *d, const JsonAt *at, uint32_t self) {
        if (!json_is_string(at->value)) {
                json_at_error(at, "must be a step id, is %s", json_type_text(at->value));
                return STEP_NONE;
        }
        Slice id = json_string_slice(at->value), shown = slice_cut_utf8(id, SHOWN_MAX);
        uint32_t step = draft_find_step(d, id);
        if (step == self) {
                json_at_error(at, "a step can't name itself here");
                return STEP_NONE;
        }
        if (step != STEP_NONE)
                return step;
        const char *nearest = draft_nearest_step(d, id);
        if (nearest)
                json_at_error(at, "there is no step \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown),
                              nearest);
        else
                json_at_error(at, "there is no step \"%.*s\"", SLICE_ARG(shown));
        return STEP_NONE;
}

static void link_dependencies(Draft *d, uint32_t i, const JsonAt *step_at) {
        JsonAt list;
        if (!json_get_array(step_at, "dependsOn", &list))
                return;
        size_t n = json_array_size(list.value);
        for (size_t k = 0; k < n && !d->oom && !d->too_many_edges; k++) {
                JsonAt at = json_at_index(&list, k);
                uint32_t from = resolve(d, &at, i);
                if (from == STEP_NONE) {
                        d->more[i].uncertain = true;
                        continue;
                }
                if (d->more[from].mark == i + 1) {
                        json_at_error(&at, "\"%s\" is in the list already", d->steps[from].id.data);
                        continue;
                }
                d->more[from].mark = i + 1;
                add_edge(d,
                         (DraftEdge){.from = from, .to = i, .index = (uint32_t)k, .kind = DRAFT_DEPENDENCY},
                         &at);
        }
}

static void link_target(Draft *d, uint32_t i, unsigned side, uint32_t index, const JsonAt *at) {
        uint32_t to = resolve(d, at, i);
        if (to == STEP_NONE)
                return;
        /* Marks of the first pass end at n_steps; each side of each conditional has one of its own after
         * that. */
        uint32_t marks[2] = {d->n_steps + 2 * i + 1, d->n_steps + 2 * i + 2};
        if (d->more[to].mark == marks[side]) {
                json_at_error(at, "\"%s\" is in the list already", d->steps[to].id.data);
                return;
        }
        if (d->more[to].mark == marks[!side]) {
                json_at_error(at,
                              "\"%s\" can't be a target of both branches; a step that runs either way "
                              "depends on "
                              "the targets",
                              d->steps[to].id.data);
                return;
        }
        d->more[to].mark = marks[side];
        add_edge(d, (DraftEdge){.from = i, .to = to, .index = index, .kind = side ? DRAFT_FALSE : DRAFT_TRUE},
                 at);
}

static void link_branches(Draft *d, uint32_t i, const JsonAt *step_at) {
        JsonAt config = json_at_key(step_at, "config");
        for (unsigned side = 0; side < 2; side++) {
                JsonAt at = json_at_key(&config, branch_keys[side]);
                if (!at.value)
                        continue;
                if (!json_is_array(at.value)) {
                        link_target(d, i, side, DRAFT_NO_INDEX, &at);
                        continue;
                }
                size_t n = json_array_size(at.value);
                for (size_t k = 0; k < n && !d->oom && !d->too_many_edges; k++) {
                        JsonAt entry = json_at_index(&at, k);
                        link_target(d, i, side, (uint32_t)k, &entry);
                }
        }
}

static void link_body(Draft *d, uint32_t i, const JsonAt *step_at) {
        JsonAt config = json_at_key(step_at, "config"), at = json_at_key(&config, "bodyStepId");
        if (!at.value) {
                json_at_error(&at, "is required: the id of the step that the loop runs");
                return;
        }
        uint32_t body = resolve(d, &at, i);
        if (body == STEP_NONE)
                return;
        if (d->more[body].body_of != STEP_NONE) {
                json_at_error(&at, "\"%s\" is the body of the loop \"%s\" already", d->steps[body].id.data,
                              d->steps[d->more[body].body_of].id.data);
                return;
        }
        d->more[body].body_of = i;
        d->more[i].body = body;
}

static void link_compensation(Draft *d, uint32_t i, const JsonAt *step_at) {
        JsonAt at = json_at_key(step_at, "compensateWith");
        if (!at.value)
                return;
        uint32_t with = resolve(d, &at, i);
        if (with == STEP_NONE)
                return;
        StepType type = d->steps[with].type;
        if (type != N_STEP_TYPES && !step_type_compensates(type))
                json_at_error(&at,
                              "\"%s\" is of type %s; steps that compensate are call-service, custom, "
                              "publish-event, "
                              "run-runbook, transform or wait",
                              d->steps[with].id.data, step_type_name(type));
        d->steps[i].compensate_with = with;
        d->steps[with].is_compensation = true;
}

/** Drop edges that touch steps outside of the flow, or lead into a loop's body from anywhere but its loop. */
static void check_edge(Draft *d, DraftEdge *e) {
        const RunbookStep *from = &d->steps[e->from], *to = &d->steps[e->to];
        uint32_t loop = d->more[e->to].body_of;
        bool dependency = e->kind == DRAFT_DEPENDENCY;
        if (from->is_compensation)
                draft_edge_error(d, e,
                                 "\"%s\" is a compensation step: it runs only if the execution fails or is "
                                 "cancelled, "
                                 "no step can wait for it",
                                 from->id.data);
        else if (to->is_compensation && dependency)
                draft_edge_error(d, e, "\"%s\" is a compensation step: it can't depend on others",
                                 to->id.data);
        else if (to->is_compensation)
                draft_edge_error(d, e, "\"%s\" is a compensation step: it can't be a target", to->id.data);
        else if (loop != STEP_NONE && dependency && e->from != loop)
                draft_edge_error(d, e,
                                 "\"%s\" is the body of the loop \"%s\": it starts with the loop and can't "
                                 "wait for "
                                 "other steps; let the loop depend on \"%s\"",
                                 to->id.data, d->steps[loop].id.data, from->id.data);
        else if (loop != STEP_NONE && !dependency)
                draft_edge_error(d, e, "\"%s\" is the body of the loop \"%s\": it can't be a target",
                                 to->id.data, d->steps[loop].id.data);
        else if (loop == STEP_NONE)
                return;
        else {
                e->dropped = true; /* the body names its loop: true, and said already */
                return;
        }
        e->dropped = true;
        d->more[e->to].uncertain = true;
}

static void check_compensation(Draft *d, uint32_t i) {
        JsonAt step_at = draft_step_at(d, i);
        uint32_t loop = d->more[i].body_of;
        d->runbook->n_compensation_steps++;
        if (d->steps[i].compensate_with != STEP_NONE) {
                JsonAt at = json_at_key(&step_at, "compensateWith");
                json_at_error(&at, "\"%s\" is a compensation step itself", d->steps[i].id.data);
        }
        if (loop != STEP_NONE) {
                DraftEdge body = {.from = loop, .to = i, .index = DRAFT_NO_INDEX, .kind = DRAFT_BODY};
                draft_edge_error(d, &body, "\"%s\" is a compensation step: it can't be a loop's body",
                                 d->steps[i].id.data);
                d->more[i].body_of = STEP_NONE;
                d->more[loop].body = STEP_NONE;
        }
}

void draft_link(Draft *d) {
        for (uint32_t i = 0; i < d->n_steps && !d->oom; i++) {
                JsonAt at = draft_step_at(d, i);
                link_dependencies(d, i, &at);
                link_compensation(d, i, &at);
                if (d->steps[i].type == STEP_TYPE_LOOP)
                        link_body(d, i, &at);
        }
        for (uint32_t i = 0; i < d->n_steps && !d->oom; i++) {
                JsonAt at = draft_step_at(d, i);
                if (d->steps[i].type == STEP_TYPE_CONDITIONAL)
                        link_branches(d, i, &at);
        }
        for (uint32_t i = 0; i < d->n_steps; i++)
                if (d->steps[i].is_compensation)
                        check_compensation(d, i);
        for (size_t i = 0; i < d->n_edges; i++)
                check_edge(d, &d->edges[i]);
        for (uint32_t i = 0; i < d->n_steps && !d->oom; i++) {
                JsonAt at = draft_step_at(d, i);
                if (d->more[i].body != STEP_NONE)
                        add_edge(d,
                                 (DraftEdge){.from = i,
                                             .to = d->more[i].body,
                                             .index = DRAFT_NO_INDEX,
                                             .kind = DRAFT_BODY},
                                 &at);
        }
}
