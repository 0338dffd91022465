/*
 * Ancestry: who has ended before whom
 *
 * `steps.<id>` may name what has surely ended. Most such references are answered by a spanning forest: every
 * step hangs on one of its dependencies, and the steps below one are numbered in one run, so "is it above me
 * in the forest" is two comparisons. What the forest doesn't know is searched backwards along the
 * dependencies, never past the wanted step's place in the order; the edges walked by all searches together
 * have a cap.
 */
#include "model/runbook_draft.h"

void draft_ancestry(Draft *d) {
        d->stack = ARENA_NEW_ARRAY(&d->scratch, uint32_t, d->n_steps);
        if (!d->stack) {
                draft_oom(d);
                return;
        }
        for (uint32_t k = 0; k < d->n_ordered; k++) {
                const RunbookStep *step = &d->steps[d->order[k]];
                DraftStep *more = &d->more[step->index];
                more->tree_size = 1;
                more->tree_parent = STEP_NONE;
                /* The dependency that comes last in the order: of two on one path, the nearer. */
                for (uint32_t i = 0; i < step->n_deps; i++) {
                        uint32_t dep = step->deps[i], parent = more->tree_parent;
                        if (parent == STEP_NONE || d->more[dep].position > d->more[parent].position)
                                more->tree_parent = dep;
                }
        }
        for (uint32_t k = d->n_ordered; k-- > 0;) {
                const DraftStep *more = &d->more[d->order[k]];
                if (more->tree_parent != STEP_NONE)
                        d->more[more->tree_parent].tree_size += more->tree_size;
        }
        /* Each step hands its run of numbers on to its children, one after the other; tree_next is what is
         * left. */
        uint32_t next = 0;
        for (uint32_t k = 0; k < d->n_ordered; k++) {
                DraftStep *more = &d->more[d->order[k]];
                uint32_t *from = more->tree_parent == STEP_NONE ? &next
                                                                : &d->more[more->tree_parent].tree_next;
                more->tree_first = *from;
                *from += more->tree_size;
                more->tree_next = more->tree_first + 1;
        }
}

static bool is_above(const DraftStep *upper, const DraftStep *lower) {
        return lower->tree_first - upper->tree_first <
               upper->tree_size; /* unsigned: also false when it is before */
}

bool draft_visit(Draft *d, const JsonAt *at) {
        if (d->n_visits++ == LIMIT_ANCESTRY_VISITS)
                draft_limit(d,
                            json_at_error(at,
                                          "checking all references to other steps takes more than %d lookups "
                                          "(LIMIT_ANCESTRY_VISITS); depend on the steps that are referred to",
                                          LIMIT_ANCESTRY_VISITS));
        return d->n_visits > LIMIT_ANCESTRY_VISITS;
}

/** Search backwards from @step. */
static bool search(Draft *d, uint32_t step, uint32_t ancestor, const JsonAt *at) {
        const DraftStep *wanted = &d->more[ancestor];
        uint32_t n = 0, number = ++d->n_searches;
        d->stack[n++] = step;
        d->more[step].visited = number;
        while (n > 0) {
                const RunbookStep *s = &d->steps[d->stack[--n]];
                for (uint32_t i = 0; i < s->n_deps; i++) {
                        DraftStep *dep = &d->more[s->deps[i]];
                        if (draft_visit(d, at) || is_above(wanted, dep))
                                return true;
                        if (dep->visited == number || dep->position < wanted->position)
                                continue;
                        dep->visited = number;
                        d->stack[n++] = s->deps[i];
                }
        }
        return false;
}

bool draft_sees(Draft *d, uint32_t step, uint32_t ancestor, const JsonAt *at) {
        const RunbookStep *target = &d->steps[ancestor];
        while (step != STEP_NONE) {
                const DraftStep *more = &d->more[step];
                if (more->uncertain || more->position == STEP_NONE || d->more[ancestor].position == STEP_NONE)
                        return true;
                if (d->steps[step].region == target->region)
                        return step != ancestor &&
                               (is_above(&d->more[ancestor], more) || search(d, step, ancestor, at));
                step = d->steps[step].loop_step;
        }
        return false;
}
