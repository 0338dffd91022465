/* What names mean inside an execution: the head of a path becomes a tree, the rest is walked by expr. */

#include "engine/internal.h"
#include "json/json_read.h"

/* `execution.…`: made once a move, when somebody asks. */
static const json_t *info(Move *m) {
        const Execution *x = m->x;
        char started[TIME_TEXT_SIZE + 1];
        if (m->info)
                return m->info;
        time_format_ms(x->start_ms, started);
        m->info = json_pack("{s:s%, s:s%, s:s%, s:s%, s:s%, s:s, s:b}", "id", m->id_text,
                            (size_t)UUID_TEXT_SIZE, "runbookId", x->runbook_id.data, x->runbook_id.n,
                            "runbookVersion", x->runbook_version.data, x->runbook_version.n, "tenantId",
                            x->tenant.data, x->tenant.n, "initiatedBy", x->initiated_by.data,
                            x->initiated_by.n, "startTime", started, "isReplay", !uuid_is_nil(x->original));
        if (!m->info)
                move_oom(m);
        return m->info;
}

/* What @instance gave: its output, or its error where a failure was let pass. NULL: nothing (yet). */
static const json_t *result_of(Move *m, uint32_t instance) {
        const StepState *s = &m->x->steps[instance];
        if (s->status == RUNBOOK_STEP_COMPLETED)
                return move_json(m, s->output);
        return NULL;
}

static const json_t *step_member(Move *m, uint32_t instance, Slice key) {
        const StepState *s = &m->x->steps[instance];
        if (slice_eq(key, SLICE("output")))
                return move_json(m, s->output);
        if (slice_eq(key, SLICE("error")))
                return move_json(m, s->error);
        return NULL;
}

static const json_t *lend_number(Move *m, uint32_t number) {
        /* One evaluation asks for one iteration's number only, so one slot serves; results hold references
         * of their own. */
        if (!m->number || json_integer_value(m->number) != number) {
                json_decref(m->number);
                m->number = json_integer(number);
                if (!m->number)
                        move_oom(m);
        }
        return m->number;
}

static const json_t *head_loop(EnvCtx *ctx, const ExprPath *path, uint32_t *ret_used) {
        Execution *x = ctx->m->x;
        if (ctx->instance == INSTANCE_NONE || path->n_segments == 0 || path->segments[0].is_index)
                return NULL;
        bool is_index = slice_eq(path->segments[0].key, SLICE("index"));
        *ret_used = 1;
        if (ctx->is_continue_while)
                return is_index ? lend_number(ctx->m, ctx->iterations) : NULL;
        uint32_t scope = x->steps[ctx->instance].scope;
        if (x->scopes[scope].region == REGION_COMPENSATION)
                scope = x->steps[x->scopes[scope].owner].scope;
        if (x->scopes[scope].owner == INSTANCE_NONE)
                return NULL;
        if (is_index)
                return lend_number(ctx->m, x->scopes[scope].index);
        return slice_eq(path->segments[0].key, SLICE("item")) ? move_json(ctx->m, x->scopes[scope].item) : NULL;
}

/* continueWhile looks into the last iteration: the instance of step @step there, INSTANCE_NONE if it is no
 * step of the loop. */
static uint32_t last_iteration_instance(EnvCtx *ctx, uint32_t step) {
        Execution *x = ctx->m->x;
        const StepExtra *extra = ctx->is_continue_while ? x->steps[ctx->instance].extra : NULL;
        if (!extra || step == STEP_NONE || extra->last_scope == SCOPE_NONE)
                return INSTANCE_NONE;
        const Scope *last = &x->scopes[extra->last_scope];
        return x->runbook->steps[step].region == last->region ? last->first + x->runbook->steps[step].local
                                                              : INSTANCE_NONE;
}

static const json_t *head_steps(EnvCtx *ctx, const ExprPath *path, uint32_t *ret_used) {
        Execution *x = ctx->m->x;
        uint32_t step = path->n_segments ? runbook_find_step(x->runbook, path->segments[0].key) : STEP_NONE;
        if (step == STEP_NONE || path->segments[0].is_index)
                return NULL;
        uint32_t instance = last_iteration_instance(ctx, step);
        if (instance == INSTANCE_NONE)
                instance = execution_find_instance(x, ctx->instance, step);
        if (instance == INSTANCE_NONE)
                return NULL;
        const json_t *result = result_of(ctx->m, instance);
        *ret_used = 1;
        if (path->n_segments < 2 || path->segments[1].is_index)
                return result;
        /* `steps.a.field` is the output's field; `steps.a.output.field` and `steps.a.error.code` work too. */
        Slice key = path->segments[1].key;
        if (json_is_object(result) && json_object_getn(result, key.data, key.n))
                return result;
        const json_t *member = step_member(ctx->m, instance, key);
        if (!member)
                return result;
        *ret_used = 2;
        return member;
}

/* A bare name: a dependency, else a field of a dependency's output, else a field of the execution input. */
static const json_t *head_name(EnvCtx *ctx, const ExprPath *path, uint32_t *ret_used) {
        Execution *x = ctx->m->x;
        Slice name = path->segments[0].key;
        *ret_used = 1;
        if (ctx->instance == INSTANCE_NONE) {
                uint32_t step = runbook_find_step(x->runbook, name);
                uint32_t instance = step == STEP_NONE ? INSTANCE_NONE
                                                      : execution_find_instance(x, INSTANCE_NONE, step);
                if (instance != INSTANCE_NONE)
                        return result_of(ctx->m, instance);
                return json_object_getn(move_json(ctx->m, x->input), name.data, name.n);
        }
        uint32_t at = ctx->is_continue_while
                                      ? last_iteration_instance(ctx, runbook_find_step(x->runbook, name))
                                      : INSTANCE_NONE;
        if (at != INSTANCE_NONE)
                return result_of(ctx->m, at);
        at = ctx->instance;
        if (x->scopes[x->steps[at].scope].region == REGION_COMPENSATION)
                at = x->scopes[x->steps[at].scope]
                                     .owner; /* a compensation sees what the step it undoes gave and saw */
        const RunbookStep *step = execution_step(x, at);
        const Scope *scope = &x->scopes[x->steps[at].scope];
        if (at != ctx->instance && slice_eq(step->id, name))
                return result_of(ctx->m, at);
        for (uint32_t i = 0; i < step->n_deps; i++) {
                const RunbookStep *dep = &x->runbook->steps[step->deps[i]];
                if (slice_eq(dep->id, name))
                        return result_of(ctx->m, scope->first + dep->local);
        }
        for (uint32_t i = 0; i < step->n_deps; i++) {
                const RunbookStep *dep = &x->runbook->steps[step->deps[i]];
                const json_t *field =
                                json_object_getn(result_of(ctx->m, scope->first + dep->local), name.data, name.n);
                if (field)
                        return field;
        }
        return json_object_getn(move_json(ctx->m, x->input), name.data, name.n);
}

static const json_t *head(void *userdata, const ExprPath *path, uint32_t *ret_used) {
        EnvCtx *ctx = userdata;
        *ret_used = 0;
        switch (path->root) {
        case EXPR_ROOT_CONTEXT:
                return move_json(ctx->m, ctx->m->x->context);
        case EXPR_ROOT_EXECUTION:
                return info(ctx->m);
        case EXPR_ROOT_INPUT:
                return move_json(ctx->m, ctx->m->x->input);
        case EXPR_ROOT_LOOP:
                return head_loop(ctx, path, ret_used);
        case EXPR_ROOT_NAME:
                return head_name(ctx, path, ret_used);
        case EXPR_ROOT_STEPS:
                return head_steps(ctx, path, ret_used);
        case EXPR_ROOT_SECRETS:
                return NULL; /* secrets never enter the core */
        }
        return NULL;
}

ExprEnv env_for(EnvCtx *ctx) { return (ExprEnv){.head = head, .userdata = ctx}; }

Value *expr_error_value(Move *m, const ExprError *e) {
        return move_error(m, e->code, false, "%s", e->message);
}

Value *template_value(Move *m, uint32_t instance, const ExprTemplate *t, Value **ret_error) {
        EnvCtx ctx = {.m = m, .instance = instance};
        ExprEnv env = env_for(&ctx);
        ExprError error;
        json_t *tree = NULL;
        int r = expr_template_eval(t, &env, &tree, &error);
        if (r == -EINVAL) {
                *ret_error = expr_error_value(m, &error);
                return NULL;
        }
        Value *v = r < 0 ? NULL : value_new(tree);
        if (!v)
                move_oom(m);
        return v;
}

static int compare_ids(const void *a, const void *b, void *steps) {
        const RunbookStep *s = steps;
        return slice_cmp(s[*(const uint32_t *)a].id, s[*(const uint32_t *)b].id);
}

/*
 * {<id>: output} of those of @steps (whose instances begin at @first) that completed. Ids are ASCII, so byte order is
 * canonical order, and outputs are canonical already: nothing is parsed.
 */
Value *collect_outputs(Move *m, const uint32_t *steps, uint32_t n, uint32_t first) {
        Execution *x = m->x;
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_free_ uint32_t *sorted = malloc(n * sizeof(*sorted) + 1);
        if (!sorted)
                return NULL;
        for (uint32_t i = 0; i < n; i++)
                sorted[i] = steps[i];
        qsort_r(sorted, n, sizeof(*sorted), compare_ids, (void *)x->runbook->steps);
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        for (uint32_t i = 0; i < n; i++) {
                const RunbookStep *step = &x->runbook->steps[sorted[i]];
                const StepState *s = &x->steps[first + step->local];
                if (s->status != RUNBOOK_STEP_COMPLETED || !s->output)
                        continue;
                json_key_slice(&w, step->id);
                json_put_raw(&w, move_bytes(m, s->output));
        }
        json_end_object(&w);
        return b.error ? NULL : value_new_bytes(buf_slice(&b));
}

/* What a step that says nothing gets. */
static Value *default_input(Move *m, uint32_t instance) {
        Execution *x = m->x;
        const RunbookStep *step = execution_step(x, instance);
        const Scope *scope = &x->scopes[x->steps[instance].scope];
        if (step->n_deps == 0 && scope->item) {
                json_t *tree = json_pack("{s:O, s:i}", "item", move_json(m, scope->item), "index",
                                         (int)scope->index);
                return value_new(tree);
        }
        if (step->n_deps == 0)
                return x->input ? value_ref(x->input) : value_new_bytes(SLICE("null"));
        return collect_outputs(m, step->deps, step->n_deps, scope->first);
}

Value *step_input(Move *m, uint32_t instance, Value **ret_error) {
        const RunbookStep *step = move_step(m, instance);
        if (step->input)
                return template_value(m, instance, step->input, ret_error);
        const Scope *scope = &m->x->scopes[m->x->steps[instance].scope];
        if (scope->region == REGION_COMPENSATION) {
                const StepState *undone = &m->x->steps[scope->owner];
                return undone->output ? value_ref(undone->output) : value_new_bytes(SLICE("null"));
        }
        Value *v = default_input(m, instance);
        if (!v)
                move_oom(m);
        return v;
}
