/*
 * The transition tables. Statuses change here and nowhere else; counters that follow from statuses are kept
 * here too, so they can't drift.
 *
 * A step:
 *
 *     pending ──► ready ──► running ──► completed
 *        │  ▲       │  ▲      │ │  └──► failed ──► ready        (a person's retry)
 *        │  └───────┘  │      │ └─────► cancelled ─► pending    (likewise, for what the failure had stopped)
 *        │  withdrawn  │      ▼
 *        │             └── retrying ◄── ready    (nobody answered whether it may run)
 *        ├──► running, awaiting_approval, awaiting_event, waiting    (a free slot, nothing paused)
 *        └──► skipped, failed (its condition can't be evaluated), completed (conditionals at once)
 *     awaiting_* and waiting ──► completed, failed, cancelled
 *
 * An execution:
 *
 *     pending ─► running ─► pausing ─► paused ─► running
 *                  │  ▲________│         │
 *                  │                     │ (cancel)
 *                  ├──► compensating ◄───┤
 *                  ▼         ▼           ▼
 *       completed · failed · cancelled         failed ─► running  (retry)
 */

#include <assert.h>

#include "engine/internal.h"

#define TO(status) (1u << RUNBOOK_STEP_##status)
#define STARTS     (TO(RUNNING) | TO(AWAITING_APPROVAL) | TO(AWAITING_EVENT) | TO(WAITING))
#define ENDS       (TO(COMPLETED) | TO(FAILED) | TO(CANCELLED))

static const uint16_t step_moves[RUNBOOK_N_STEP_STATUSES] = {
                [RUNBOOK_STEP_PENDING] = TO(READY) | STARTS | TO(SKIPPED) | TO(FAILED),
                [RUNBOOK_STEP_READY] = TO(PENDING) | STARTS | TO(FAILED) | TO(SKIPPED) | TO(RETRYING),
                [RUNBOOK_STEP_RUNNING] = TO(RETRYING) | ENDS,
                [RUNBOOK_STEP_RETRYING] = TO(READY) | TO(RUNNING) | TO(FAILED) | TO(CANCELLED),
                [RUNBOOK_STEP_AWAITING_APPROVAL] = ENDS,
                [RUNBOOK_STEP_AWAITING_EVENT] = ENDS,
                [RUNBOOK_STEP_WAITING] = ENDS,
                [RUNBOOK_STEP_COMPLETED] = 0,
                [RUNBOOK_STEP_FAILED] = TO(PENDING) |
                                        TO(RUNNING), /* RUNNING: a loop one of whose iterations is retried */
                [RUNBOOK_STEP_SKIPPED] = 0,
                [RUNBOOK_STEP_CANCELLED] = TO(PENDING) | TO(RUNNING),
};

#undef TO
#define TO(status) (1u << RUNBOOK_EXECUTION_##status)
static const uint16_t execution_moves[RUNBOOK_N_EXECUTION_STATUSES] = {
                [RUNBOOK_EXECUTION_PENDING] = TO(RUNNING),
                [RUNBOOK_EXECUTION_RUNNING] = TO(PAUSING) | TO(PAUSED) | TO(COMPENSATING) | TO(COMPLETED) |
                                              TO(FAILED) | TO(CANCELLED),
                [RUNBOOK_EXECUTION_PAUSING] =
                                TO(RUNNING) | TO(PAUSED) | TO(COMPENSATING) | TO(FAILED) | TO(CANCELLED),
                [RUNBOOK_EXECUTION_PAUSED] = TO(RUNNING) | TO(COMPENSATING) | TO(FAILED) | TO(CANCELLED),
                [RUNBOOK_EXECUTION_COMPENSATING] = TO(FAILED) | TO(CANCELLED),
                [RUNBOOK_EXECUTION_COMPLETED] = 0,
                [RUNBOOK_EXECUTION_FAILED] = TO(RUNNING),
                [RUNBOOK_EXECUTION_CANCELLED] = 0,
};

/* The counter of final @status, NULL for others. */
static uint32_t *final_counter(Execution *x, uint8_t status) {
        switch (status) {
        case RUNBOOK_STEP_COMPLETED:
                return &x->n_completed;
        case RUNBOOK_STEP_FAILED:
                return &x->n_failed;
        case RUNBOOK_STEP_SKIPPED:
                return &x->n_skipped;
        case RUNBOOK_STEP_CANCELLED:
                return &x->n_cancelled;
        default:
                return NULL;
        }
}

static void count(Move *m, uint32_t instance, uint8_t status, int by) {
        Execution *x = m->x;
        Scope *scope = &x->scopes[x->steps[instance].scope];
        uint32_t *final = final_counter(x, status);
        uint32_t n = (uint32_t)by;

        if (final)
                *final += n;
        else
                scope->n_open += n;
        if (step_status_is_active(status)) {
                scope->n_active += n;
                x->n_active += n;
        }
        if (status == RUNBOOK_STEP_RUNNING && step_type_holds_slot(execution_step(x, instance)->type))
                x->n_running += n;
}

void step_set_asking(Move *m, uint32_t instance, bool asking) {
        StepState *s = &m->x->steps[instance];

        assert(s->status == RUNBOOK_STEP_READY && s->asking != asking);
        s->asking = asking;
        m->x->n_running += asking ? 1u : -1u;
        execution_touch(m->x, instance);
        m->out->applied = true;
}

void step_set_status(Move *m, uint32_t instance, RunbookStepStatus to) {
        Execution *x = m->x;
        StepState *s = &x->steps[instance];

        assert((step_moves[s->status] & (1u << to)) && !s->asking);
        count(m, instance, s->status, -1);
        s->status = (uint8_t)to;
        count(m, instance, s->status, +1);
        assert(x->n_running <= x->n_active && x->n_active <= x->n_instances);
        assert(x->scopes[s->scope].n_active <= x->scopes[s->scope].n_open);
        execution_touch(x, instance);
        execution_touch_scope(x, s->scope);
        m->out->applied = true;
}

void execution_set_status(Move *m, RunbookExecutionStatus to) {
        Execution *x = m->x;
        assert(execution_moves[x->status] & (1u << to));
        assert(!runbook_execution_status_is_final(to) || x->n_active == 0);
        x->status = (uint8_t)to;
        x->dirty |= DIRTY_STATE;
        m->out->applied = true;
}
