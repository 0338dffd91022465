/* Every invariant of an execution, recomputed from scratch: what tests and the simulator ask after each move. */

#include "engine/engine.h"

typedef struct Totals {
        uint32_t completed, failed, skipped, cancelled, running, tasks, active, quiet;
} Totals;

static const char *check_instance(const Execution *x, uint32_t i, Totals *t) {
        const StepState *s = &x->steps[i];
        const RunbookStep *step;
        if (s->step >= x->runbook->n_steps || s->scope >= x->n_scopes)
                return "a step instance names a step or scope that does not exist";
        step = &x->runbook->steps[s->step];
        t->completed += s->status == RUNBOOK_STEP_COMPLETED;
        t->failed += s->status == RUNBOOK_STEP_FAILED;
        t->skipped += s->status == RUNBOOK_STEP_SKIPPED;
        t->cancelled += s->status == RUNBOOK_STEP_CANCELLED;
        t->active += step_status_is_active(s->status);
        if (execution_holds_slot(x, i)) {
                t->running++;
                t->tasks += step->type != STEP_TYPE_RUN_RUNBOOK || s->asking;
                t->quiet += s->extra && s->extra->child_quiet;
        }
        if (s->n_open > step->n_deps || s->n_branches_open > s->n_open ||
            s->n_done + s->n_taken > step->n_deps)
                return "a step has counted its in-edges wrongly";
        if (step_status_is_active(s->status) && s->n_open > 0 && !step->join_any)
                return "a step runs before its dependencies are done";
        if ((s->status == RUNBOOK_STEP_COMPLETED) != (s->done_order > 0))
                return "completion order and status disagree";
        if (s->status == RUNBOOK_STEP_COMPLETED && !s->output)
                return "a completed step has no output";
        if (s->status == RUNBOOK_STEP_FAILED && !s->error)
                return "a failed step has no error";
        if (s->status == RUNBOOK_STEP_RETRYING && s->timer_ms[TIMER_STEP] == 0)
                return "a retrying step has no timer";
        if (s->status == RUNBOOK_STEP_WAITING && s->timer_ms[TIMER_STEP] == 0)
                return "a waiting step has no timer";
        if (runbook_step_status_is_final((RunbookStepStatus)s->status) && (s->timer_ms[0] || s->timer_ms[1]))
                return "a final step has a timer";
        if (s->asking && (s->status != RUNBOOK_STEP_READY || step->n_required_permissions == 0 || x->is_dry_run))
                return "a step asks for leave that needs none";
        if (step_status_is_active(s->status) && (s->status != RUNBOOK_STEP_READY || s->asking) &&
            s->attempt == 0)
                return "a started step has no attempt";
        if (s->extra && s->extra->progress != 0 &&
            (step->type != STEP_TYPE_CUSTOM || !(s->extra->progress > 0 && s->extra->progress <= 1)))
                return "a step has a progress that it can't have";
        return NULL;
}

static const char *check_scope(const Execution *x, uint32_t i) {
        const Scope *scope = &x->scopes[i];
        uint32_t n = scope->region == REGION_COMPENSATION    ? 1
                     : scope->region < x->runbook->n_regions ? x->runbook->regions[scope->region].n_steps
                                                             : 0;
        uint32_t open = 0, active = 0, failed = 0;
        if (n == 0 || scope->first + (uint64_t)n > x->n_instances)
                return "a scope lies outside the instances";
        if ((i == 0) != (scope->owner == INSTANCE_NONE) || (i > 0 && scope->owner >= scope->first))
                return "a scope's owner does not come before it";
        for (uint32_t k = scope->first; k < scope->first + n; k++) {
                const StepState *s = &x->steps[k];
                open += !runbook_step_status_is_final((RunbookStepStatus)s->status);
                active += step_status_is_active(s->status);
                failed += s->status == RUNBOOK_STEP_FAILED && !s->continued;
                if (s->scope != i)
                        return "an instance is in another scope than its number says";
        }
        if (open != scope->n_open || active != scope->n_active)
                return "a scope's counters are wrong";
        if (scope->region != REGION_COMPENSATION && failed != scope->n_failed)
                return "a scope has counted its failures wrongly";
        if (scope->closed && active > 0)
                return "a closed iteration has active steps";
        return NULL;
}

const char *engine_check(const Execution *x) {
        Totals t = {0};
        bool final = runbook_execution_status_is_final((RunbookExecutionStatus)x->status);
        for (uint32_t i = 0; i < x->n_scopes; i++) {
                const char *broken = check_scope(x, i);
                if (broken)
                        return broken;
        }
        for (uint32_t i = 0; i < x->n_instances; i++) {
                const char *broken = check_instance(x, i, &t);
                if (broken)
                        return broken;
        }
        if (t.completed != x->n_completed || t.failed != x->n_failed || t.skipped != x->n_skipped ||
            t.cancelled != x->n_cancelled)
                return "the counters of ended steps are wrong";
        if (t.running != x->n_running || t.active != x->n_active || t.quiet != x->n_quiet)
                return "the counters of active steps are wrong";
        if (final && (t.active > 0 || x->global_deadline_ms != 0 || x->end_ms == 0))
                return "an ended execution still has something active";
        if (x->status == RUNBOOK_EXECUTION_COMPLETED &&
            (x->goal != GOAL_COMPLETE || x->scopes[0].n_open > 0 || !x->output))
                return "an execution completed with steps left";
        if (x->status == RUNBOOK_EXECUTION_FAILED && (x->goal != GOAL_FAIL || !x->error))
                return "an execution failed without a reason";
        if (x->status == RUNBOOK_EXECUTION_CANCELLED && !x->cancelled_by)
                return "an execution was cancelled by nobody";
        if (x->status == RUNBOOK_EXECUTION_PAUSED && t.tasks > 0)
                return "a paused execution has attempts in flight";
        if (x->status == RUNBOOK_EXECUTION_RUNNING && x->goal == GOAL_COMPLETE && t.active == 0)
                return "a running execution has nothing to wait for";
        return NULL;
}
