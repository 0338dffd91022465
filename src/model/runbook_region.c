/*
 * Regions: which loop runs what
 *
 * In topological order, so that loops come before their bodies and steps after all that they wait for: a body
 * belongs to its loop's region, a step without dependencies to the top level, any other step to the innermost
 * region that encloses all its dependencies. Such a step may only wait for steps of that same region: what
 * runs deeper inside runs many times, and is waited for through its loop.
 */
#include "model/runbook_draft.h"

/** The region of @loop's iterations; makes it. Too deep: reported, and the region around it again. */
static uint32_t enter_region(Draft *d, uint32_t loop) {
        uint32_t around = d->steps[loop].region, region = d->runbook->n_regions;
        if (d->region_depth[around] == LIMIT_LOOP_NESTING) {
                JsonAt at = draft_step_at(d, loop);
                draft_limit(d, json_at_error(&at, "loops are nested more than %d deep (LIMIT_LOOP_NESTING)",
                                             LIMIT_LOOP_NESTING));
                d->more[loop].uncertain = true;
                return around;
        }
        d->region_parent[region] = around;
        d->region_depth[region] = d->region_depth[around] + 1;
        d->region_loop[region] = loop;
        d->runbook->n_regions++;
        return region;
}

/** The innermost region around both; at most LIMIT_LOOP_NESTING steps up on each side. */
static uint32_t enclosing(const Draft *d, uint32_t a, uint32_t b) {
        while (a != b) {
                if (d->region_depth[a] >= d->region_depth[b])
                        a = d->region_parent[a];
                else
                        b = d->region_parent[b];
        }
        return a;
}

/** The loop right inside @outer through which @inner is run. */
static uint32_t loop_towards(const Draft *d, uint32_t outer, uint32_t inner) {
        while (d->region_parent[inner] != outer)
                inner = d->region_parent[inner];
        return d->region_loop[inner];
}

static uint32_t find_region(Draft *d, uint32_t i) {
        const DraftStep *step = &d->more[i];
        uint32_t region = STEP_NONE;
        for (uint32_t k = 0; k < step->n_in; k++) {
                uint32_t from = d->edges[d->in[step->first_in + k]].from;
                region = region == STEP_NONE ? d->steps[from].region
                                             : enclosing(d, region, d->steps[from].region);
        }
        if (region == STEP_NONE)
                return REGION_ROOT;
        for (uint32_t k = 0; k < step->n_in; k++) {
                const DraftEdge *e = &d->edges[d->in[step->first_in + k]];
                if (d->steps[e->from].region == region)
                        continue;
                const char *loop = d->steps[loop_towards(d, region, d->steps[e->from].region)].id.data;
                if (e->kind == DRAFT_DEPENDENCY)
                        draft_edge_error(d, e,
                                         "\"%s\" runs inside the loop \"%s\", \"%s\" does not: depend on "
                                         "\"%s\" instead",
                                         d->steps[e->from].id.data, loop, d->steps[i].id.data, loop);
                else
                        draft_edge_error(d, e,
                                         "\"%s\" also waits for steps outside of the loop \"%s\", so it "
                                         "can't be a target "
                                         "inside it",
                                         d->steps[i].id.data, loop);
                d->more[i].uncertain = true;
        }
        return region;
}

static void assign_regions(Draft *d) {
        d->runbook->n_regions = 1;
        d->region_loop[REGION_ROOT] = STEP_NONE;
        for (uint32_t k = 0; k < d->n_ordered; k++) {
                uint32_t i = d->order[k], loop = d->more[i].body_of;
                RunbookStep *step = &d->steps[i];
                if (step->is_compensation)
                        step->region = REGION_COMPENSATION;
                else if (loop != STEP_NONE)
                        step->region = d->more[loop].region;
                else
                        step->region = find_region(d, i);
                if (d->more[i].body != STEP_NONE)
                        d->more[i].region = enter_region(d, i);
        }
}

/** What an enclosing loop can't tell, its steps can't either; and who compensates what. */
static void note_surroundings(Draft *d) {
        for (uint32_t k = 0; k < d->n_ordered; k++) {
                RunbookStep *step = &d->steps[d->order[k]];
                step->loop_step = step->is_compensation ? STEP_NONE : d->region_loop[step->region];
                if (step->loop_step != STEP_NONE)
                        d->more[step->index].uncertain |= d->more[step->loop_step].uncertain;
                for (uint32_t o = 0; o < step->n_out; o++)
                        d->more[step->out[o].to].uncertain |= d->more[step->index].uncertain;
                if (step->compensate_with != STEP_NONE && step->loop_step == STEP_NONE)
                        d->more[step->compensate_with].compensates_outside = true;
        }
}

/** Lists of steps and sinks of every region, each in one array cut into pieces. */
static void put_regions(Draft *d) {
        uint32_t n_regions = d->runbook->n_regions;
        Region *regions = ARENA_NEW_ARRAY(d->arena, Region, n_regions);
        uint32_t *steps = ARENA_NEW_ARRAY(d->arena, uint32_t, d->n_steps);
        uint32_t *sinks = ARENA_NEW_ARRAY(d->arena, uint32_t, d->n_steps);
        if (!regions || !steps || !sinks) {
                draft_oom(d);
                return;
        }
        for (uint32_t k = 0; k < d->n_ordered; k++)
                if (!d->steps[d->order[k]].is_compensation)
                        regions[d->steps[d->order[k]].region].n_steps++;
        for (uint32_t r = 0, next = 0; r < n_regions; r++) {
                regions[r].loop_step = d->region_loop[r];
                regions[r].steps = steps + next;
                regions[r].sinks = sinks + next;
                next += regions[r].n_steps;
                regions[r].n_steps = 0;
        }
        for (uint32_t k = 0; k < d->n_ordered; k++) {
                RunbookStep *step = &d->steps[d->order[k]];
                if (step->is_compensation)
                        continue;
                Region *r = &regions[step->region];
                step->local = r->n_steps;
                ((uint32_t *)r->steps)[r->n_steps++] = step->index;
                if (step->n_out == 0)
                        ((uint32_t *)r->sinks)[r->n_sinks++] = step->index;
        }
        d->runbook->regions = regions;
}

void draft_regions(Draft *d) {
        uint32_t n_max = 1;
        for (uint32_t i = 0; i < d->n_steps; i++)
                n_max += d->more[i].body != STEP_NONE;
        d->region_parent = ARENA_NEW_ARRAY(&d->scratch, uint32_t, n_max);
        d->region_depth = ARENA_NEW_ARRAY(&d->scratch, uint32_t, n_max);
        d->region_loop = ARENA_NEW_ARRAY(&d->scratch, uint32_t, n_max);
        if (!d->region_parent || !d->region_depth || !d->region_loop) {
                draft_oom(d);
                return;
        }
        assign_regions(d);
        note_surroundings(d);
        put_regions(d);
}
