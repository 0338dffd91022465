/*
 * loop: opens a scope for each iteration, at most `concurrency` at once. What it iterates over is not copied:
 * the path is evaluated again for each iteration, and its value can't have changed, because the steps it leads to are
 * final. continueWhile is evaluated before each iteration on what the last one gave; before the first one,
 * fields of the
 * body are missing.
 */

#include "engine/internal.h"
#include "json/json_read.h"

bool loop_is_failing(const Execution *x, uint32_t instance) {
        const LoopConfig *config = execution_step(x, instance)->loop;
        const StepExtra *extra = x->steps[instance].extra;
        return extra && extra->n_iterations_failed > config->failure_tolerance;
}

static const json_t *items_of(Move *m, uint32_t instance) {
        EnvCtx ctx = {.m = m, .instance = instance};
        ExprEnv env = env_for(&ctx);
        return expr_path_eval(move_step(m, instance)->loop->iterate_over, &env);
}

void loop_start(Move *m, uint32_t instance) {
        const LoopConfig *config = move_step(m, instance)->loop;
        StepExtra *extra = execution_extra(m->x, instance);
        if (!extra)
                return;
        extra->n_planned = config->max_iterations;
        if (config->iterate_over) {
                const json_t *items = items_of(m, instance);
                size_t n = json_array_size(items);
                if (!json_is_array(items)) {
                        step_fail(m, instance,
                                  move_error(m, "LOOP_NOT_ARRAY", false,
                                             "`iterateOver` must lead to an array; \"%.*s\" is %s",
                                             SLICE_ARG(config->iterate_over->text), json_type_text(items)));
                        return;
                }
                if (n > config->max_iterations) {
                        step_fail(m, instance,
                                  move_error(m, "LOOP_LIMIT", false,
                                             "%zu items are more than maxIterations, which is %u (raise it "
                                             "in loopConfig, at most to %d, LIMIT_LOOP_ITERATIONS)",
                                             n, config->max_iterations, LIMIT_LOOP_ITERATIONS));
                        return;
                }
                extra->n_planned = (uint32_t)n;
        }
        loop_advance(m, instance);
}

/* Is there a further iteration? 1 yes, 0 no, negative: the loop failed (or is out of memory). */
static int wants_more(Move *m, uint32_t instance) {
        const LoopConfig *config = move_step(m, instance)->loop;
        StepExtra *extra = move_state(m, instance)->extra;
        if (config->iterate_over)
                return extra->n_opened < extra->n_planned;
        EnvCtx ctx = {.m = m, .instance = instance, .iterations = extra->n_opened, .is_continue_while = true};
        ExprEnv env = env_for(&ctx);
        ExprError error;
        bool holds = false;
        int r = expr_condition_eval(config->continue_while, &env, &holds, &error);
        if (r == -ENOMEM) {
                move_oom(m);
                return r;
        }
        if (r < 0) {
                step_fail(m, instance, expr_error_value(m, &error));
                return r;
        }
        if (holds && extra->n_opened >= config->max_iterations) {
                step_fail(m, instance,
                          move_error(m, "LOOP_LIMIT", false,
                                     "continueWhile still holds after maxIterations, which is %u (raise it "
                                     "in loopConfig, "
                                     "at most to %d, LIMIT_LOOP_ITERATIONS)",
                                     config->max_iterations, LIMIT_LOOP_ITERATIONS));
                return -ELOOP;
        }
        return holds;
}

static int open_iteration(Move *m, uint32_t instance) {
        Execution *x = m->x;
        StepExtra *extra = move_state(m, instance)->extra;
        const LoopConfig *config = move_step(m, instance)->loop;
        json_t *item = config->iterate_over ? json_array_get(items_of(m, instance), extra->n_opened) : NULL;

        uint32_t scope = execution_open_scope(x, config->region, instance, extra->n_opened);
        if (scope == SCOPE_NONE) {
                if (!x->broken)
                        step_fail(m, instance,
                                  move_error(m, "LIMIT_EXCEEDED", false,
                                             "an execution can have at most %d step instances "
                                             "(LIMIT_INSTANCES)",
                                             LIMIT_INSTANCES));
                return -ENOMEM;
        }
        if (item && !(x->scopes[scope].item = value_new(json_incref(item)))) {
                move_oom(m);
                return -ENOMEM;
        }
        extra = x->steps[instance].extra;
        if (extra->last_scope == SCOPE_NONE) {
                extra->first_scope = scope;
        } else {
                x->scopes[extra->last_scope].next_scope = scope;
                execution_touch_scope(x, extra->last_scope);
        }
        extra->last_scope = scope;
        extra->n_opened++;
        execution_touch(x, instance);
        const Region *region = &x->runbook->regions[config->region];
        for (uint32_t i = 0; i < region->n_steps && !x->broken; i++)
                if (x->runbook->steps[region->steps[i]].n_deps == 0)
                        schedule_unblock(m, x->scopes[scope].first + i);
        return 0;
}

/* {"items":[…],"iterations":n}; a failed iteration that was tolerated gives null. */
static Value *collect(Move *m, uint32_t instance) {
        Execution *x = m->x;
        const StepExtra *extra = move_state(m, instance)->extra;
        _cleanup_(buf_deinit) Buf b = {.limit = LIMIT_VALUE_BYTES + 1024};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "items");
        json_begin_array(&w);
        for (uint32_t scope = extra->first_scope; scope != SCOPE_NONE; scope = x->scopes[scope].next_scope) {
                _cleanup_(value_unref_p) Value *v =
                                x->scopes[scope].n_failed > 0 ? NULL : schedule_collect(m, scope);
                json_put_raw(&w, v ? move_bytes(m, v) : SLICE("null"));
        }
        json_end_array(&w);
        json_key(&w, "iterations");
        json_put_i64(&w, extra->n_closed);
        json_end_object(&w);
        if (b.error == -EFBIG)
                return move_error(m, "OUTPUT_TOO_LARGE", false,
                                  "the iterations' outputs are together over the %d bytes that a step may "
                                  "give (LIMIT_VALUE_BYTES)",
                                  LIMIT_VALUE_BYTES);
        return b.error ? NULL : value_new_bytes(buf_slice(&b));
}

static void end_loop(Move *m, uint32_t instance) {
        const StepExtra *extra = move_state(m, instance)->extra;
        if (loop_is_failing(m->x, instance)) {
                step_fail(m, instance,
                          move_error(m, "LOOP_ITERATION_FAILED", false,
                                     "%u of %u iterations failed, %u are tolerated",
                                     extra->n_iterations_failed, extra->n_closed,
                                     move_step(m, instance)->loop->failure_tolerance));
                return;
        }
        if (schedule_is_stopped(m->x, instance)) {
                step_cancel(m, instance);
                return;
        }
        Value *output = collect(m, instance);
        if (output && move_bytes(m, output).n > 0 &&
            slice_starts_with(value_bytes(output), SLICE("{\"code\":")))
                step_fail(m, instance, output);
        else
                step_complete(m, instance, output);
}

void loop_advance(Move *m, uint32_t instance) {
        const LoopConfig *config = move_step(m, instance)->loop;
        StepExtra *extra = move_state(m, instance)->extra;
        bool ending = schedule_is_stopped(m->x, instance) || loop_is_failing(m->x, instance);

        while (!ending && !m->x->broken && extra->n_opened - extra->n_closed < config->concurrency) {
                int more = wants_more(m, instance);
                if (more < 0 || (more > 0 && open_iteration(m, instance) < 0))
                        return;
                if (more == 0)
                        break;
                extra = move_state(m, instance)->extra;
        }
        if (extra->n_opened == extra->n_closed)
                end_loop(m, instance);
}

void loop_scope_changed(Move *m, uint32_t scope) {
        Execution *x = m->x;
        Scope *s = &x->scopes[scope];
        uint32_t owner = s->owner;
        if (s->closed || x->steps[owner].status != RUNBOOK_STEP_RUNNING)
                return;
        bool ended = s->n_open == 0 ||
                     (s->n_active == 0 && (s->n_failed > 0 || schedule_is_stopped(x, s->first)));
        if (!ended)
                return;
        s->closed = true;
        execution_touch_scope(x, scope);
        StepExtra *extra = x->steps[owner].extra;
        bool was_failing = loop_is_failing(x, owner);
        extra->n_closed++;
        extra->n_iterations_failed += s->n_failed > 0;
        execution_touch(x, owner);
        if (loop_is_failing(x, owner) && !was_failing)
                loop_stop(m, owner,
                          false); /* comes back here for the others, which then find it failing already */
        if (x->steps[owner].status == RUNBOOK_STEP_RUNNING)
                loop_advance(m, owner);
}

void loop_stop(Move *m, uint32_t instance, bool abort) {
        Execution *x = m->x;
        const StepExtra *extra = move_state(m, instance)->extra;
        /* Iterations that still have something in flight close as that ends; idle ones must be closed here. */
        for (uint32_t i = extra->first_scope; i != SCOPE_NONE; i = x->scopes[i].next_scope)
                if (!x->scopes[i].closed)
                        schedule_stop_scope(m, i, abort);
        for (uint32_t i = extra->first_scope; i != SCOPE_NONE; i = x->scopes[i].next_scope)
                loop_scope_changed(m, i);
}
