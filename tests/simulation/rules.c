/*
 * The rules of scheduling, by definition and not by counting edges: who may start, who must be skipped, when
 * an execution may end. Conditions are evaluated here a second time, for the few forms that definition.c makes.
 */
#include "books.h"

#include <stdlib.h>

#include "base/cleanup.h"

/* ---- conditions -------------------------------------------------------------------------------------------- */

static const json_t *input_member(const Case *c, const char *field) {
        return json_object_get(value_json(c->input), field + strlen("input."));
}

static bool condition_holds(const Case *c, const json_t *condition) {
        const json_t *not = json_object_get(condition, "not");
        if (not )
                return !condition_holds(c, not );
        const char *operator= json_string_value(json_object_get(condition, "operator"));
        const json_t *member = input_member(c, json_string_value(json_object_get(condition, "field")));
        if (strcmp(operator, "exists") == 0)
                return member != NULL;
        bool equal = member && json_equal(member, json_object_get(condition, "value"));
        return equal == (strcmp(operator, "eq") == 0);
}

static const json_t *definition_of(const Case *c, const RunbookStep *step) {
        const json_t *steps = json_object_get(value_json(c->runbook->definition), "steps"), *entry;
        size_t i;
        json_array_foreach((json_t *)steps, i, entry) {
                const char *id = json_string_value(json_object_get(entry, "id"));
                if (id && slice_eq_str(step->id, id))
                        return entry;
        }
        return NULL;
}

/* ---- neighbours ---------------------------------------------------------------------------------------------- */

/** The step @index in the same scope as @m; NULL when it has not been heard of. */
static const StepModel *neighbour(const Case *c, const StepModel *m, uint32_t index) {
        char path[PATH_MAX_BYTES];
        const char *suffix = strchr(m->path, '[');
        snprintf(path, sizeof(path), "%.*s%s", SLICE_ARG(c->runbook->steps[index].id), suffix ? suffix : "");
        return model_step((Case *)c, path, false);
}

typedef struct Edges {
        uint32_t n_open, n_done, n_taken, n_branches, n_branches_open;
} Edges;

static bool resolved(const StepModel *m) {
        return m && (m->status == RUNBOOK_STEP_COMPLETED || m->status == RUNBOOK_STEP_SKIPPED ||
                     (m->status == RUNBOOK_STEP_FAILED && m->continued));
}

static bool names_target(const json_t *branch, Slice id) {
        const json_t *entry;
        size_t i;
        if (json_is_string(branch))
                return slice_eq_str(id, json_string_value(branch));
        json_array_foreach((json_t *)branch, i,
                           entry) if (slice_eq_str(id, json_string_value(entry))) return true;
        return false;
}

static Edges edges_of(const Case *c, const StepModel *m) {
        Edges e = {0};
        for (uint32_t i = 0; i < m->step->n_deps; i++) {
                const RunbookStep *dep = &c->runbook->steps[m->step->deps[i]];
                const StepModel *d = neighbour(c, m, dep->index);
                const json_t *config = json_object_get(definition_of(c, dep), "config");
                bool on_true = names_target(json_object_get(config, "trueBranch"), m->step->id);
                bool on_false = names_target(json_object_get(config, "falseBranch"), m->step->id);
                bool open = !resolved(d);
                e.n_open += open;
                if (dep->type != STEP_TYPE_CONDITIONAL || !(on_true || on_false)) {
                        e.n_done += !open && d->status != RUNBOOK_STEP_SKIPPED;
                        continue;
                }
                e.n_branches++;
                e.n_branches_open += open;
                if (!open && d->status == RUNBOOK_STEP_COMPLETED) {
                        bool holds = condition_holds(c, json_object_get(config, "condition"));
                        e.n_taken += holds ? on_true : on_false;
                }
        }
        return e;
}

const char *rule_may_start(const Case *c, const StepModel *m) {
        if (strchr(m->path, '~') || m->status == RUNBOOK_STEP_RETRYING)
                return strchr(m->path, '~') && c->status != RUNBOOK_EXECUTION_COMPENSATING
                                       ? "a compensation runs in an execution that is not being compensated"
                                       : NULL;
        Edges e = edges_of(c, m);
        bool one = e.n_done > 0 || e.n_taken > 0;
        const json_t *condition = json_object_get(definition_of(c, m->step), "condition");

        if (m->step->n_deps > 0 && !one)
                return "a step starts with no dependency done";
        if (e.n_branches > 0 && e.n_taken == 0)
                return "a step starts whose branch was not taken";
        if (e.n_open > 0 && !m->step->join_any)
                return "a step starts before its dependencies are done";
        if (condition && !condition_holds(c, condition))
                return "a step starts although its condition does not hold";
        return NULL;
}

const char *rule_may_skip(const Case *c, const StepModel *m, const char *reason) {
        Edges e = edges_of(c, m);
        const json_t *condition = json_object_get(definition_of(c, m->step), "condition");
        bool off_branch = e.n_branches > 0 && e.n_branches_open == 0 && e.n_taken == 0;

        if (strcmp(reason, "condition_false") == 0)
                return condition && !condition_holds(c, condition) ? NULL
                                                                   : "skipped although its condition holds";
        if (strcmp(reason, "branch_not_taken") == 0)
                return off_branch ? NULL : "skipped although its branch was taken";
        if (strcmp(reason, "dependencies_skipped") == 0)
                return off_branch || (e.n_open == 0 && e.n_done == 0 && e.n_taken == 0)
                                       ? NULL
                                       : "skipped although a dependency is done";
        return "skipped for a reason that there is not";
}

/* ---- how many ------------------------------------------------------------------------------------------------ */

uint32_t rule_running(const Case *c) {
        uint32_t n = 0;
        for (size_t i = 0; i < c->n_steps; i++)
                n += c->steps[i].status == RUNBOOK_STEP_RUNNING &&
                     step_type_holds_slot(c->steps[i].step->type);
        return n;
}

uint32_t rule_max_running(const Sim *s, const Case *c) {
        return c->runbook->max_concurrent_steps ? c->runbook->max_concurrent_steps
                                                : s->plan.runtime.engine.max_concurrent_steps;
}

int64_t rule_retry_delay(const RetryPolicy *p, uint32_t n_failed) {
        double delay = (double)p->initial_delay_ms;
        for (uint32_t i = 1; i < n_failed; i++)
                delay *= p->backoff_multiplier;
        return delay > (double)p->max_delay_ms ? p->max_delay_ms : (int64_t)delay;
}

const char *rule_loop_done(const Case *c, const StepModel *m) {
        const LoopConfig *l = m->step->loop;
        const json_t *items = json_object_get(value_json(c->input), "items");
        size_t n = l->iterate_over ? json_array_size(items) : 2, seen = 0;
        Slice body = c->runbook->steps[l->body].id;
        char path[PATH_MAX_BYTES];

        for (size_t i = 0; i < c->n_steps; i++)
                if (c->steps[i].step->index == l->body) {
                        if (!runbook_step_status_is_final((RunbookStepStatus)c->steps[i].status))
                                return "a loop ends before its iterations";
                        seen++;
                }
        for (size_t i = 0; i < n; i++) {
                snprintf(path, sizeof(path), "%.*s[%zu]", SLICE_ARG(body), i);
                if (!model_step((Case *)c, path, false))
                        return "a loop has left out an iteration";
        }
        return seen == n ? NULL : "a loop has run too often";
}

/** Iterations in which a step failed for good, against what the loop tolerates. */
const char *rule_loop_may_fail(const Case *c, const StepModel *m) {
        uint64_t failed = 0; /* one bit an iteration */
        for (size_t i = 0; i < c->n_steps; i++) {
                const StepModel *o = &c->steps[i];
                const char *bracket = strchr(o->path, '[');
                if (bracket && o->step->loop_step == m->step->index && o->status == RUNBOOK_STEP_FAILED &&
                    !o->continued)
                        failed |= (uint64_t)1 << (strtoul(bracket + 1, NULL, 10) % 64);
        }
        return (uint32_t)__builtin_popcountll(failed) > m->step->loop->failure_tolerance
                               ? NULL
                               : "a loop fails although its failures are tolerated";
}

int64_t rule_wait_ms(const Case *c, const StepModel *m) {
        const json_t *config = json_object_get(definition_of(c, m->step), "config");
        const json_t *duration = json_object_get(config, "durationMs");
        return duration ? json_integer_value(duration) : -1;
}

/* ---- ends ------------------------------------------------------------------------------------------------------ */

static const char *check_completed(const Case *c) {
        const Region *root = &c->runbook->regions[REGION_ROOT];
        char path[PATH_MAX_BYTES];
        for (uint32_t i = 0; i < root->n_steps; i++) {
                snprintf(path, sizeof(path), "%.*s", SLICE_ARG(c->runbook->steps[root->steps[i]].id));
                if (!resolved(model_step((Case *)c, path, false)))
                        return "an execution completes with a step that has not ended well";
        }
        return NULL;
}

static const char *check_failed(const Sim *s, const Case *c, const EventView *e) {
        const json_t *error = json_object_get(e->data, "error");
        const char *code = json_string_value(json_object_get(error, "code"));
        if (!code)
                return "an execution fails without a code";
        for (size_t i = 0; i < c->n_steps; i++)
                if (c->steps[i].status == RUNBOOK_STEP_FAILED && !c->steps[i].continued)
                        return NULL; /* perhaps with a child's code */
        if (strcmp(code, "EXECUTION_TIMEOUT") == 0)
                return c->runbook->global_timeout_ms > 0 &&
                                                       e->at_ms >= c->begun_ms + c->runbook->global_timeout_ms
                                       ? NULL
                                       : "an execution times out too early";
        return strcmp(code, "INTERNAL") == 0 || c->retried ? "an execution fails for an internal reason"
                                                           : NULL;
}

static const char *check_compensated(const Case *c) {
        for (size_t i = 0; i < c->n_steps; i++) {
                const StepModel *m = &c->steps[i], *undo = NULL;
                char path[PATH_MAX_BYTES * 2];
                if (m->status != RUNBOOK_STEP_COMPLETED || m->step->compensate_with == STEP_NONE ||
                    m->compensated || strchr(m->path, '~'))
                        continue;
                snprintf(path, sizeof(path), "%.*s~%s",
                         SLICE_ARG(c->runbook->steps[m->step->compensate_with].id), m->path);
                undo = model_step((Case *)c, path, false);
                if (!undo || undo->status == RUNBOOK_STEP_COMPLETED ||
                    !runbook_step_status_is_final((RunbookStepStatus)undo->status))
                        return "a completed step is not compensated";
        }
        return NULL;
}

const char *rule_may_end(const Sim *s, const Case *c, uint8_t status, const EventView *e) {
        for (size_t i = 0; i < c->n_steps; i++) {
                uint8_t is = c->steps[i].status;
                if (is == RUNBOOK_STEP_RETRYING && e->at_ms >= c->steps[i].until_ms)
                        continue; /* it was in line again, which is not announced, and was withdrawn */
                if (!c->steps[i].revivable && !runbook_step_status_is_final((RunbookStepStatus)is) &&
                    is != RUNBOOK_STEP_PENDING && is != RUNBOOK_STEP_READY)
                        return "an execution ends with a step under way";
        }
        if (status == RUNBOOK_EXECUTION_COMPLETED)
                return check_completed(c);
        const char *why = check_compensated(c);
        if (!why && status == RUNBOOK_EXECUTION_FAILED)
                why = check_failed(s, c, e);
        if (!why && status == RUNBOOK_EXECUTION_CANCELLED && uuid_is_nil(c->parent) &&
            !people_commanded((Sim *)s, "cancel", c->id, slice_from_str(e->by)))
                why = "cancelled by somebody who did not";
        return why;
}
