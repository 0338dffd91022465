/*
 * Scopes, instances and their paths. Scopes are only ever appended, so an instance number, once
 * given, names the same step for good: in timers, tasks, pages and history.
 */

#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_read.h"
#include "model/execution.h"

static const char *const skip_reason_names[N_SKIP_REASONS] = {
                [SKIP_BRANCH_NOT_TAKEN] = "branch_not_taken",
                [SKIP_CONDITION] = "condition_false",
                [SKIP_DEPENDENCIES_SKIPPED] = "dependencies_skipped",
                [SKIP_DRY_RUN] = "dry_run",
};

const char *skip_reason_name(SkipReason reason) {
        return (unsigned)reason < N_SKIP_REASONS ? skip_reason_names[reason] : NULL;
}

Execution *execution_new(Runbook *runbook) {
        Execution *x = calloc(1, sizeof(*x));
        if (!x)
                return NULL;
        x->runbook = runbook_ref(runbook);
        x->compensating = INSTANCE_NONE;
        x->parent_instance = INSTANCE_NONE;
        x->dirty = DIRTY_STATIC | DIRTY_STATE;
        x->freeze_clocks = true;
        return x;
}

static void extra_free(StepExtra *extra) {
        if (!extra)
                return;
        for (uint32_t i = 0; i < extra->n_votes; i++) {
                free(extra->votes[i].user);
                free(extra->votes[i].comments);
        }
        free(extra->votes);
        value_unref(extra->prompt);
        free(extra->event_type);
        free(extra->correlation);
        free(extra);
}

void execution_free(Execution *x) {
        if (!x)
                return;
        for (uint32_t i = 0; i < x->n_instances; i++) {
                value_unref(x->steps[i].output);
                value_unref(x->steps[i].error);
                extra_free(x->steps[i].extra);
        }
        for (uint32_t i = 0; i < x->n_scopes; i++)
                value_unref(x->scopes[i].item);
        free(x->steps);
        free(x->scopes);
        free(x->dirty_pages);
        free(x->dirty_scopes);
        free(x->resolved);
        free(x->fresh);
        heap_deinit(&x->ready);
        heap_deinit(&x->compensations);
        value_unref(x->context);
        value_unref(x->input);
        value_unref(x->output);
        value_unref(x->error);
        free(x->cancelled_by);
        free(x->cancel_reason);
        free(x->pause_at);
        arena_deinit(&x->statics);
        runbook_unref(x->runbook);
        free(x);
}

/* Grow @array of @size-byte elements to hold @want; doubles, so appending n is linear. */
static bool grow(void *array, uint32_t *cap, uint32_t want, size_t size) {
        void **p = array;
        if (want <= *cap)
                return true;
        uint32_t cap_new = *cap ? *cap : 8;
        while (cap_new < want)
                cap_new *= 2;
        void *bigger = realloc(*p, (size_t)cap_new * size);
        if (!bigger)
                return false;
        memset((char *)bigger + (size_t)*cap * size, 0, (size_t)(cap_new - *cap) * size);
        *p = bigger;
        *cap = cap_new;
        return true;
}

static uint32_t bitmap_words(uint32_t bits) { return bits / 32 + 1; }

/* Room for @n_instances and @n_scopes, dirty bitmaps included. */
static bool reserve(Execution *x, uint32_t n_instances, uint32_t n_scopes) {
        uint32_t words_pages = bitmap_words(x->cap_instances / STEP_PAGE);
        uint32_t words_scopes = bitmap_words(x->cap_scopes);
        if (!x->dirty_pages)
                words_pages = words_scopes = 0;
        if (!grow(&x->steps, &x->cap_instances, n_instances, sizeof(StepState)) ||
            !grow(&x->scopes, &x->cap_scopes, n_scopes, sizeof(Scope)))
                return false;
        uint32_t cap_pages = words_pages, cap_scopes = words_scopes;
        return grow(&x->dirty_pages, &cap_pages, bitmap_words(x->cap_instances / STEP_PAGE),
                    sizeof(uint32_t)) &&
               grow(&x->dirty_scopes, &cap_scopes, bitmap_words(x->cap_scopes), sizeof(uint32_t));
}

static void open_instance(Execution *x, uint32_t instance, uint32_t scope, const RunbookStep *step) {
        StepState *s = &x->steps[instance];
        *s = (StepState){
                        .step = step->index,
                        .scope = scope,
                        .n_open = step->n_deps,
                        .n_branches_open = step->n_branch_edges,
        };
        execution_touch(x, instance);
}

uint32_t execution_open_scope(Execution *x, uint32_t region, uint32_t owner, uint32_t index) {
        const Region *r = region == REGION_COMPENSATION ? NULL : &x->runbook->regions[region];
        uint32_t n = r ? r->n_steps : 1;
        if (x->n_instances + (uint64_t)n > LIMIT_INSTANCES)
                return SCOPE_NONE;
        if (!reserve(x, x->n_instances + n, x->n_scopes + 1)) {
                x->broken = true;
                return SCOPE_NONE;
        }
        uint32_t scope = x->n_scopes++, first = x->n_instances;
        x->n_instances += n;
        x->scopes[scope] = (Scope){.region = region,
                                   .owner = owner,
                                   .index = index,
                                   .first = first,
                                   .n_open = n,
                                   .next_scope = SCOPE_NONE};
        execution_touch_scope(x, scope);
        for (uint32_t i = 0; i < n; i++) {
                uint32_t step = r ? r->steps[i] : execution_step(x, owner)->compensate_with;
                open_instance(x, first + i, scope, &x->runbook->steps[step]);
        }
        return scope;
}

uint32_t execution_find_instance(const Execution *x, uint32_t from, uint32_t step) {
        const RunbookStep *wanted = &x->runbook->steps[step];
        uint32_t scope = from == INSTANCE_NONE ? 0 : x->steps[from].scope;
        if (x->n_scopes == 0 || wanted->region == REGION_COMPENSATION)
                return INSTANCE_NONE;
        /* Enclosing scopes have smaller numbers, so this ends. */
        for (;;) {
                const Scope *s = &x->scopes[scope];
                if (s->region == wanted->region)
                        return s->first + wanted->local;
                if (s->owner == INSTANCE_NONE)
                        return INSTANCE_NONE;
                scope = x->steps[s->owner].scope;
        }
}

/* Iteration numbers that enclose @scope, innermost first; at most LIMIT_LOOP_NESTING. */
static uint32_t scope_indexes(const Execution *x, uint32_t scope, uint32_t ret[LIMIT_LOOP_NESTING]) {
        uint32_t n = 0;
        while (x->scopes[scope].owner != INSTANCE_NONE && n < LIMIT_LOOP_NESTING) {
                if (x->scopes[scope].region != REGION_COMPENSATION)
                        ret[n++] = x->scopes[scope].index;
                scope = x->steps[x->scopes[scope].owner].scope;
        }
        return n;
}

void execution_put_path(const Execution *x, uint32_t instance, Buf *b) {
        const Scope *scope = &x->scopes[x->steps[instance].scope];
        buf_put_slice(b, execution_step(x, instance)->id);
        if (scope->region == REGION_COMPENSATION) {
                /* One step may compensate several: the path says which, as the idempotency key hangs on it. */
                buf_put_char(b, '~');
                instance = scope->owner;
                buf_put_slice(b, execution_step(x, instance)->id);
        }
        uint32_t indexes[LIMIT_LOOP_NESTING];
        uint32_t n = scope_indexes(x, x->steps[instance].scope, indexes);
        while (n > 0) {
                buf_put_char(b, '[');
                buf_put_decimal(b, indexes[--n]);
                buf_put_char(b, ']');
        }
}

/* Split "id[1][2]" into the id and its indexes; false if it is not of that form. */
static bool split_path(Slice path, Slice *ret_id, uint32_t indexes[LIMIT_LOOP_NESTING], uint32_t *ret_n) {
        uint32_t n = 0;
        size_t cut = path.n;
        const char *bracket = path.n ? memchr(path.data, '[', path.n) : NULL;
        if (bracket)
                cut = (size_t)(bracket - path.data);
        *ret_id = (Slice){path.data, cut};
        while (cut < path.n) {
                const char *close = memchr(path.data + cut, ']', path.n - cut);
                uint64_t v;
                if (path.data[cut] != '[' || !close || n == LIMIT_LOOP_NESTING)
                        return false;
                Slice digits = {path.data + cut + 1, (size_t)(close - path.data) - cut - 1};
                if (!slice_to_u64(digits, &v) || v >= LIMIT_LOOP_ITERATIONS)
                        return false;
                indexes[n++] = (uint32_t)v;
                cut = (size_t)(close - path.data) + 1;
        }
        *ret_n = n;
        return true;
}

static uint32_t find_iteration(const Execution *x, uint32_t loop_instance, uint32_t index) {
        const StepExtra *extra = x->steps[loop_instance].extra;
        uint32_t scope = extra ? extra->first_scope : SCOPE_NONE;
        while (scope != SCOPE_NONE && x->scopes[scope].index != index)
                scope = x->scopes[scope].next_scope;
        return scope;
}

static uint32_t find_flow_path(const Execution *x, Slice path) {
        Slice id;
        uint32_t indexes[LIMIT_LOOP_NESTING], n = 0;
        if (!split_path(path, &id, indexes, &n))
                return INSTANCE_NONE;
        uint32_t step = runbook_find_step(x->runbook, id);
        if (step == STEP_NONE || x->n_scopes == 0)
                return INSTANCE_NONE;
        const RunbookStep *wanted = &x->runbook->steps[step];
        if (wanted->region == REGION_COMPENSATION)
                return INSTANCE_NONE;

        /* The loops around the wanted step, innermost first; then down from the root, one iteration a loop. */
        uint32_t loops[LIMIT_LOOP_NESTING], n_loops = 0;
        for (uint32_t l = wanted->loop_step; l != STEP_NONE && n_loops < LIMIT_LOOP_NESTING;
             l = x->runbook->steps[l].loop_step)
                loops[n_loops++] = l;
        if (n_loops != n)
                return INSTANCE_NONE;
        uint32_t scope = 0;
        for (uint32_t i = 0; i < n; i++) {
                const RunbookStep *loop = &x->runbook->steps[loops[n_loops - 1 - i]];
                scope = find_iteration(x, x->scopes[scope].first + loop->local, indexes[i]);
                if (scope == SCOPE_NONE)
                        return INSTANCE_NONE;
        }
        return x->scopes[scope].first + wanted->local;
}

bool execution_clock_freezes(const Execution *x, uint32_t instance) {
        switch (x->steps[instance].status) {
        case RUNBOOK_STEP_AWAITING_APPROVAL:
        case RUNBOOK_STEP_AWAITING_EVENT:
                return true;
        case RUNBOOK_STEP_WAITING:
                return !execution_step(x, instance)->wait_until;
        default:
                return false;
        }
}

uint32_t execution_find_path(const Execution *x, Slice path) {
        const char *tilde = path.n ? memchr(path.data, '~', path.n) : NULL;
        if (!tilde)
                return find_flow_path(x, path);
        /* "undo~step[1]": the compensation of step[1] */
        size_t cut = (size_t)(tilde - path.data);
        uint32_t owner = find_flow_path(x, (Slice){tilde + 1, path.n - cut - 1});
        if (owner == INSTANCE_NONE)
                return INSTANCE_NONE;
        for (uint32_t i = 0; i < x->n_scopes; i++)
                if (x->scopes[i].region == REGION_COMPENSATION && x->scopes[i].owner == owner &&
                    slice_eq(execution_step(x, x->scopes[i].first)->id, (Slice){path.data, cut}))
                        return x->scopes[i].first;
        return INSTANCE_NONE;
}

StepExtra *execution_extra(Execution *x, uint32_t instance) {
        StepState *s = &x->steps[instance];
        if (!s->extra) {
                s->extra = calloc(1, sizeof(*s->extra));
                if (!s->extra) {
                        x->broken = true;
                        return NULL;
                }
                s->extra->first_scope = s->extra->last_scope = SCOPE_NONE;
        }
        return s->extra;
}

size_t execution_size(const Execution *x) {
        size_t n = sizeof(*x) + x->statics.n_bytes + (size_t)x->cap_instances * sizeof(StepState) +
                   (size_t)x->cap_scopes * sizeof(Scope) + value_size(x->context) + value_size(x->input) +
                   value_size(x->output) + value_size(x->error);
        for (uint32_t i = 0; i < x->n_instances; i++) {
                n += value_size(x->steps[i].output) + value_size(x->steps[i].error);
                if (x->steps[i].extra)
                        n += sizeof(StepExtra) + x->steps[i].extra->n_votes * sizeof(Vote);
        }
        return n;
}

bool execution_user_allowed(const Execution *x, Slice user) {
        const json_t *context = value_json(x->context);
        if (x->context && !context)
                return false; /* no memory to look: then nobody may */
        const json_t *basis = json_object_get(context, "legalBasis");
        const json_t *users = json_object_get(basis, "authorizedUsers");
        size_t n = json_array_size(users);
        if (n == 0)
                return true;
        for (size_t i = 0; i < n; i++)
                if (slice_eq(json_string_slice(json_array_get(users, i)), user))
                        return true;
        return false;
}
