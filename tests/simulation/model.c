/*
 * The model: what a lifecycle event may say after what was said before. Tables of legal moves first, then what
 * each kind of event must fulfil.
 */
#include "books.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define IS(status) (1u << RUNBOOK_STEP_##status)
#define FRESH      (IS(PENDING) | IS(READY))
#define BUSY       (IS(RUNNING) | IS(AWAITING_APPROVAL) | IS(AWAITING_EVENT) | IS(WAITING))

int64_t event_time(const EventView *e, const char *key) {
        int64_t ms = 0;
        const char *text = event_text(e, key);
        return text[0] && time_parse_ms(slice_from_str(text), &ms) ? ms : 0;
}

static void wrong(Sim *s, const Case *c, const EventView *e, const char *why) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(c->id, id);
        sim_fail(s, why, "%s/%llu %s %s: %s", id, (unsigned long long)c->seq, e->type, e->path, why);
}

/** The id of the step that @path names: up to "[" or "~". */
static uint32_t step_of(const Case *c, const char *path) {
        return runbook_find_step(c->runbook, (Slice){path, strcspn(path, "[~")});
}

StepModel *model_step(Case *c, const char *path, bool make) {
        for (size_t i = 0; i < c->n_steps; i++)
                if (strcmp(c->steps[i].path, path) == 0)
                        return &c->steps[i];
        uint32_t index = make && c->runbook ? step_of(c, path) : STEP_NONE;
        if (index == STEP_NONE || strlen(path) >= PATH_MAX_BYTES)
                return NULL;
        SIM_GROW(c->steps, c->n_steps, c->cap_steps);
        StepModel *m = &c->steps[c->n_steps++];
        *m = (StepModel){.step = &c->runbook->steps[index]};
        snprintf(m->path, sizeof(m->path), "%s", path);
        return m;
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

static void enter(StepModel *m, const EventView *e, uint8_t status) {
        if (m->revivable) {
                m->revivable = false;
                m->retries_from = m->attempt;
                m->n_doubtful = 0;
                m->continued = false;
        }
        m->status = status;
        m->since_ms = e->at_ms;
        if (e->attempt > m->attempt)
                m->attempt = e->attempt;
}

static void check_start(Sim *s, Case *c, StepModel *m, const EventView *e, bool retry) {
        const char *why = rule_may_start(c, m);
        if (why)
                wrong(s, c, e, why);
        if (c->status != RUNBOOK_EXECUTION_RUNNING && c->status != RUNBOOK_EXECUTION_COMPENSATING)
                wrong(s, c, e, "a step starts in an execution that does not run");
        bool asked = m->step->n_required_permissions > 0 && !c->dry_run; /* which took a number already */
        if (asked && !workers_granted(s, c->id, m->path, e->attempt))
                wrong(s, c, e, "an attempt starts that was not allowed");
        if (e->attempt != m->attempt + !asked)
                wrong(s, c, e, "an attempt is left out or used again");
        if (retry && e->at_ms < m->until_ms)
                wrong(s, c, e, "a retry starts too early");
}

static void on_started(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const char *key = event_text(e, "idempotencyKey");
        check_start(s, c, m, e, m->status == RUNBOOK_STEP_RETRYING);
        if (key[0] && m->key[0] && strcmp(key, m->key) != 0)
                wrong(s, c, e, "the idempotency key has changed");
        if (key[0])
                snprintf(m->key, sizeof(m->key), "%s", key);
        enter(m, e, RUNBOOK_STEP_RUNNING);
        if (!c->dry_run && rule_running(c) > rule_max_running(s, c))
                wrong(s, c, e, "more steps run than may");
}

static void on_ready(Sim *s, Case *c, StepModel *m, const EventView *e) {
        if (m->status != RUNBOOK_STEP_PENDING && !m->revivable && m->step->n_required_permissions == 0)
                wrong(s, c, e, "a step is ready twice");
        enter(m, e, RUNBOOK_STEP_READY);
}

static void on_awaiting_approval(Sim *s, Case *c, StepModel *m, const EventView *e) {
        check_start(s, c, m, e, m->status == RUNBOOK_STEP_RETRYING);
        enter(m, e, RUNBOOK_STEP_AWAITING_APPROVAL);
        votes_begin(m);
}

static void on_awaiting_event(Sim *s, Case *c, StepModel *m, const EventView *e) {
        check_start(s, c, m, e, m->status == RUNBOOK_STEP_RETRYING);
        enter(m, e, RUNBOOK_STEP_AWAITING_EVENT);
}

static void on_waiting(Sim *s, Case *c, StepModel *m, const EventView *e) {
        check_start(s, c, m, e, m->status == RUNBOOK_STEP_RETRYING);
        enter(m, e, RUNBOOK_STEP_WAITING);
        m->until_ms = event_time(e, "until");
        if (rule_wait_ms(c, m) >= 0 && m->until_ms != e->at_ms + rule_wait_ms(c, m))
                wrong(s, c, e, "a wait is not as long as it should be");
}

static void on_retrying(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const RetryPolicy *p = &m->step->retry;
        uint32_t n_failed = m->attempt - m->retries_from;
        uint32_t n_least = n_failed > m->n_doubtful ? n_failed - m->n_doubtful : 1;
        int64_t until = event_time(e, "until"), least = rule_retry_delay(p, n_least);
        int64_t whole = rule_retry_delay(p, n_failed);
        const json_t *error = json_object_get(e->data, "error");
        const char *code = json_string_value(json_object_get(error, "code"));

        if (m->status != RUNBOOK_STEP_RUNNING && m->step->n_required_permissions == 0 && !m->revivable)
                wrong(s, c, e, "an attempt is repeated that was not made");
        if (n_failed >= p->max_attempts && m->step->n_required_permissions == 0)
                wrong(s, c, e, "more attempts than the policy allows");
        if ((double)(until - e->at_ms) + 1 < (double)least * (1 - p->jitter))
                wrong(s, c, e, "a retry's delay is too short");
        int64_t asked_ms = workers_retry_after(s, c->id, m->path, m->attempt);
        if (until - e->at_ms > (whole > asked_ms ? whole : asked_ms))
                wrong(s, c, e, "a retry's delay is too long");
        for (size_t i = 0; i < p->n_non_retryable; i++)
                if (code && strncasecmp(code, p->non_retryable[i].data, p->non_retryable[i].n) == 0)
                        wrong(s, c, e, "an error that must not be retried is");
        enter(m, e, RUNBOOK_STEP_RETRYING);
        m->until_ms = until;
}

static void on_completed(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const char *why = NULL;
        if (m->status == RUNBOOK_STEP_WAITING && e->at_ms < m->until_ms)
                why = "a wait ends too early";
        else if (m->step->type == STEP_TYPE_HUMAN_APPROVAL && !c->dry_run)
                why = votes_may_complete(c, m);
        else if (m->step->type == STEP_TYPE_LOOP)
                why = rule_loop_done(c, m);
        if (why)
                wrong(s, c, e, why);
        enter(m, e, RUNBOOK_STEP_COMPLETED);
        m->done_order = ++c->n_done;
}

static void on_failed(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const json_t *error = json_object_get(e->data, "error");
        const char *code = json_string_value(json_object_get(error, "code")), *why = NULL;

        if (!code)
                why = "a step fails without a code";
        else if (m->step->type == STEP_TYPE_HUMAN_APPROVAL && m->status == RUNBOOK_STEP_AWAITING_APPROVAL)
                why = votes_may_fail(c, m, code);
        else if (strcmp(code, "EVENT_TIMEOUT") == 0 && e->at_ms < m->since_ms + m->step->timeout_ms)
                why = "an event's deadline passes too early";
        else if (m->status == RUNBOOK_STEP_WAITING)
                why = "a wait fails";
        else if (m->step->type == STEP_TYPE_LOOP && strcmp(code, "LOOP_ITERATION_FAILED") == 0)
                why = rule_loop_may_fail(c, m);
        if (why)
                wrong(s, c, e, why);
        enter(m, e, RUNBOOK_STEP_FAILED);
        m->continued = m->step->on_failure_continue;
}

static void on_skipped(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const char *why = rule_may_skip(c, m, event_text(e, "skipReason"));
        if (why)
                wrong(s, c, e, why);
        enter(m, e, RUNBOOK_STEP_SKIPPED);
}

static void on_cancelled(Sim *s, Case *c, StepModel *m, const EventView *e) {
        enter(m, e, RUNBOOK_STEP_CANCELLED);
}

static void on_compensated(Sim *s, Case *c, StepModel *m, const EventView *e) {
        if (m->compensated)
                wrong(s, c, e, "a step is compensated twice");
        if (m->step->compensate_with == STEP_NONE)
                wrong(s, c, e, "a step without a compensation is compensated");
        if (c->last_compensated && m->done_order > c->last_compensated)
                wrong(s, c, e, "compensation goes in the wrong order");
        c->last_compensated = m->done_order;
        m->compensated = true;
}

static void on_vote(Sim *s, Case *c, StepModel *m, const EventView *e) { votes_add(s, c, m, e); }

static void on_escalated(Sim *s, Case *c, StepModel *m, const EventView *e) {
        if (m->escalated)
                wrong(s, c, e, "an approval escalates twice");
        if (e->at_ms < m->since_ms + m->step->approval->escalate_after_ms)
                wrong(s, c, e, "an approval escalates too early");
        m->escalated = true;
}

static void on_expired(Sim *s, Case *c, StepModel *m, const EventView *e) {
        int64_t timeout = m->step->approval->timeout_ms;
        if (m->expired)
                wrong(s, c, e, "an approval expires twice");
        if (e->at_ms < m->since_ms + timeout)
                wrong(s, c, e, "an approval expires too early");
        m->expired = true;
}

static void on_received(Sim *s, Case *c, StepModel *m, const EventView *e) {
        Books *b = s->books;
        const char *id = event_text(e, "eventId");
        char name[64];

        if (!id[0] || s->plan.short_memory)
                return;
        snprintf(name, sizeof(name), "%s/%s", c->tenant, id);
        for (size_t i = 0; i < b->n_event_ids; i++)
                if (strcmp(b->event_ids[i], name) == 0)
                        wrong(s, c, e, "an event is consumed twice");
        SIM_GROW(b->event_ids, b->n_event_ids, b->cap_event_ids);
        memcpy(b->event_ids[b->n_event_ids++], name, sizeof(name));
}

/* From: statuses before it; a revived step counts as pending, too. */
static const struct {
        const char *type;
        uint16_t from;
        bool revives; /* also from failed and cancelled after a retry (loops run on without a word) */
        void (*apply)(Sim *s, Case *c, StepModel *m, const EventView *e);
} step_events[] = {
                {"approval.escalated", IS(AWAITING_APPROVAL), false, on_escalated},
                {"approval.expired", IS(AWAITING_APPROVAL), false, on_expired},
                {"approval.recorded", IS(AWAITING_APPROVAL), false, on_vote},
                {"event.received", IS(AWAITING_EVENT), false, on_received},
                {"step.awaiting_approval", FRESH | IS(RETRYING), true, on_awaiting_approval},
                {"step.awaiting_event", FRESH | IS(RETRYING), true, on_awaiting_event},
                {"step.cancelled", BUSY | IS(RETRYING), true, on_cancelled},
                {"step.compensated", IS(COMPLETED), false, on_compensated},
                {"step.completed", BUSY, true, on_completed},
                {"step.failed", BUSY | FRESH | IS(RETRYING), true, on_failed},
                {"step.ready", FRESH | IS(RETRYING), true, on_ready},
                {"step.retrying", IS(RUNNING) | IS(READY), true, on_retrying},
                {"step.skipped", FRESH, true, on_skipped},
                {"step.started", FRESH | IS(RETRYING), true, on_started},
                {"step.waiting", FRESH | IS(RETRYING), true, on_waiting},
};

static void apply_step(Sim *s, Case *c, const EventView *e) {
        for (size_t i = 0; i < N_ELEMENTS(step_events); i++) {
                if (strcmp(e->type, step_events[i].type) != 0)
                        continue;
                StepModel *m = model_step(c, e->path, true);
                if (!m) {
                        wrong(s, c, e, "an event names a step that does not exist");
                        return;
                }
                if (!(step_events[i].from & (1u << m->status)) && !(step_events[i].revives && m->revivable))
                        wrong(s, c, e, "an illegal transition of a step");
                if (strncmp(e->type, "step.", 5) == 0 && runbook_execution_status_is_final(c->status))
                        wrong(s, c, e, "a step moves after the end");
                step_events[i].apply(s, c, m, e);
                return;
        }
}

/* ---- the execution ------------------------------------------------------------------------------------------ */

#undef IS
#define IS(status) (1u << RUNBOOK_EXECUTION_##status)

static const struct {
        const char *type;
        uint16_t from;
        uint8_t to;
} execution_events[] = {
                {"execution.cancelled", IS(RUNNING) | IS(PAUSING) | IS(PAUSED) | IS(COMPENSATING),
                 RUNBOOK_EXECUTION_CANCELLED},
                {"execution.compensating", IS(RUNNING) | IS(PAUSING) | IS(PAUSED),
                 RUNBOOK_EXECUTION_COMPENSATING},
                {"execution.completed", IS(RUNNING), RUNBOOK_EXECUTION_COMPLETED},
                {"execution.failed", IS(RUNNING) | IS(PAUSING) | IS(PAUSED) | IS(COMPENSATING),
                 RUNBOOK_EXECUTION_FAILED},
                {"execution.paused", IS(PAUSING), RUNBOOK_EXECUTION_PAUSED},
                {"execution.pausing", IS(RUNNING), RUNBOOK_EXECUTION_PAUSING},
                {"execution.resumed", IS(PAUSING) | IS(PAUSED) | IS(FAILED), RUNBOOK_EXECUTION_RUNNING},
                {"execution.started", IS(PENDING), RUNBOOK_EXECUTION_RUNNING},
};

static void on_resumed(Sim *s, Case *c, const EventView *e) {
        bool retry = strcmp(event_text(e, "reason"), "retry") == 0;
        if ((c->status == RUNBOOK_EXECUTION_FAILED) != retry)
                wrong(s, c, e, "resumed what was not paused");
        if (!retry)
                return;
        c->retried = true;
        c->begun_ms = e->at_ms;
        for (size_t i = 0; i < c->n_steps; i++) {
                StepModel *m = &c->steps[i];
                if ((m->status == RUNBOOK_STEP_FAILED && !m->continued) || m->status == RUNBOOK_STEP_CANCELLED)
                        m->revivable = true;
                if (m->status != RUNBOOK_STEP_RETRYING && m->status != RUNBOOK_STEP_READY)
                        continue;
                /* It stood in line, and goes on with the tries that it has left. That the pause of a retry is over
                 * no event tells; were it not, the step would have been cancelled. */
                if (m->status == RUNBOOK_STEP_RETRYING && m->until_ms > e->at_ms)
                        wrong(s, c, e, "a retry that was not due outlived the failure");
                /* A question that was out is withdrawn: its number is used up, its try is not. Whether one was out,
                 * or its answer already in, can't be seen. */
                m->n_doubtful += m->status == RUNBOOK_STEP_READY && m->step->n_required_permissions > 0;
                m->status = RUNBOOK_STEP_PENDING;
        }
}

static void apply_execution(Sim *s, Case *c, const EventView *e) {
        const char *why = NULL;
        for (size_t i = 0; i < N_ELEMENTS(execution_events); i++) {
                if (strcmp(e->type, execution_events[i].type) != 0)
                        continue;
                uint8_t to = execution_events[i].to;
                if (!(execution_events[i].from & (1u << c->status)))
                        why = "an illegal transition of an execution";
                else if (runbook_execution_status_is_final((RunbookExecutionStatus)to))
                        why = rule_may_end(s, c, to, e);
                if (why)
                        wrong(s, c, e, why);
                if (strcmp(e->type, "execution.resumed") == 0)
                        on_resumed(s, c, e);
                if (strcmp(e->type, "execution.started") == 0)
                        c->begun_ms = e->at_ms;
                if (strcmp(e->type, "execution.pausing") == 0 && e->by[0] && uuid_is_nil(c->parent) &&
                    !people_commanded(s, "pause", c->id, slice_from_str(e->by)))
                        wrong(s, c, e, "paused by somebody who did not");
                c->status = to;
                return;
        }
}

void model_apply(Sim *s, Case *c, const EventView *e) {
        if (e->at_ms < c->time_ms)
                wrong(s, c, e, "time goes back");
        c->time_ms = e->at_ms;
        if (!c->runbook) {
                const char *why = strcmp(e->type, "checkpoint") == 0 ? attest_apply(s, c, e->data) : NULL;
                if (why)
                        wrong(s, c, e, why);
                return;
        }
        if (strncmp(e->type, "execution.", 10) == 0)
                apply_execution(s, c, e);
        else
                apply_step(s, c, e);
}
