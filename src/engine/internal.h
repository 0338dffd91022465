#pragma once
/* What the core's files share. A Move is one input being applied; all helpers take it first. */

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "expr/expr.h"

typedef struct Move {
        Execution *x;
        const EngineSettings *settings;
        const Input *in;
        Update *out;
        uint64_t n_drawn; /* random words taken from in->seed */
        json_t *info;     /* `execution.…`, made on first use */
        json_t *number;   /* `loop.index`, lent to expressions */
        char id_text[UUID_TEXT_SIZE + 1];
        Buf path; /* scratch for step paths */
} Move;

static inline StepState *move_state(Move *m, uint32_t instance) { return &m->x->steps[instance]; }
static inline const RunbookStep *move_step(Move *m, uint32_t instance) {
        return execution_step(m->x, instance);
}
/** Something could not be had: the whole batch will be dropped. */
static inline void move_oom(Move *m) { m->out->oom = m->x->broken = true; }
/**
 * A value's faces are made on first use. One that can't be made is not an absent value: whoever took it for
 * one would decide wrongly, so the move ends there.
 */
static inline const json_t *move_json(Move *m, Value *v) {
        const json_t *tree = value_json(v);
        if (v && !tree && !value_is_damaged(v))
                move_oom(m);
        return tree;
}
static inline Slice move_bytes(Move *m, Value *v) {
        Slice bytes = value_bytes(v);
        if (v && bytes.n == 0)
                move_oom(m);
        return bytes;
}

/* machine.c: the transition tables; the only place where a status changes */
void step_set_status(Move *m, uint32_t instance, RunbookStepStatus to);
void step_set_asking(Move *m, uint32_t instance, bool asking); /* a ready one; a question holds a slot */
void execution_set_status(Move *m, RunbookExecutionStatus to);

/* record.c: events, logs, evidence of this execution */
Slice move_path(Move *m, uint32_t instance); /* valid until the next call */
uint64_t move_random(Move *m);
Uuid move_uuid(Move *m);
void record_step(Move *m, const char *type, uint32_t instance,
                 EventData *data); /* fills stepId, stepType, status, attempt */
void record_execution(Move *m, const char *type, EventData *data); /* fills status */
void record_log(Move *m, const char *level, uint32_t instance, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
/**
 * Log entries and evidence that an executor's result brings, capped by LIMIT_LOGS_PER_RESULT and
 * LIMIT_EVIDENCE_PER_RESULT.
 */
void record_result_logs(Move *m, uint32_t instance, Value *logs);
void record_result_evidence(Move *m, uint32_t instance, Value *evidence);
/**
 * The authorization service's decision, with its evidence: who was asked, the digest of what it said.
 * @reason may be empty.
 */
void record_authorization(Move *m, uint32_t instance, bool allow, Slice reason, Value *evidence);
/** Evidence that the definition asks for at a step's completion. */
void record_spec_evidence(Move *m, uint32_t instance);
/** {"code","message","retryable"}; NULL and move_oom when out of memory. */
Value *move_error(Move *m, const char *code, bool retryable, const char *format, ...)
                __attribute__((format(printf, 4, 5)));

/* env.c: names in expressions */
typedef struct EnvCtx {
        Move *m;
        uint32_t instance; /* whose names these are; INSTANCE_NONE: the runbook's own output */
        /* continueWhile: iterations so far (`loop.index`); the last one's steps are visible by name */
        uint32_t iterations;
        bool is_continue_while;
} EnvCtx;
ExprEnv env_for(EnvCtx *ctx);
/**
 * The step's input: its template, or {<dependency>: output}, or the execution input. Owned; NULL with
 * *ret_error (owned) or OOM.
 */
Value *step_input(Move *m, uint32_t instance, Value **ret_error);
Value *collect_outputs(Move *m, const uint32_t *steps, uint32_t n, uint32_t first); /* NULL: out of memory */
Value *expr_error_value(Move *m, const ExprError *e);
/** Evaluate to an owned value; NULL with *ret_error or OOM. */
Value *template_value(Move *m, uint32_t instance, const ExprTemplate *t, Value **ret_error);

/* schedule.c: what runs next */
void schedule_unblock(Move *m, uint32_t instance);  /* all it waits for is done: run, queue or skip */
void schedule_requeue(Move *m, uint32_t instance);  /* from retrying: ready again */
void schedule_resolved(Move *m, uint32_t instance); /* it is final: follow its out-edges later in this move */
void schedule_run(Move *m);                         /* until nothing moves inside any more */
void schedule_resolve_again(Move *m, uint32_t instance); /* a retry: look at a pending step once more */
bool schedule_is_stopped(const Execution *x,
                         uint32_t instance); /* must nothing more start where this instance is? */
void schedule_stop_scope(Move *m, uint32_t scope,
                         bool abort);             /* end waits; with @abort tasks in flight too */
Value *schedule_collect(Move *m, uint32_t scope); /* what a scope's sinks give: one output, or {id: output} */

/* step.c: the life of one step */
void step_start(Move *m, uint32_t instance); /* or ask whether it may start */
void step_run(Move *m, uint32_t instance);   /* start it, whoever was to be asked */
Value *step_config(Move *m, uint32_t instance, Value **ret_error); /* resolved, owned; NULL: error or OOM */
void step_complete(Move *m, uint32_t instance, Value *output); /* takes @output */
void step_skip(Move *m, uint32_t instance, SkipReason reason);
void step_fail(Move *m, uint32_t instance, Value *error); /* takes @error; for good */
void step_fail_attempt(Move *m, uint32_t instance, Value *error,
                       int64_t retry_after_ms); /* takes; retried by policy */
void step_cancel(Move *m, uint32_t instance);
void step_task_result(Move *m);
void step_retry_due(Move *m, uint32_t instance);
void step_submit(Move *m, uint32_t instance,
                 bool announce); /* resolve the configuration and hand the attempt out */
void timer_set(Move *m, uint32_t instance, TimerSlot slot, int64_t at_ms);
void timer_clear(Move *m, uint32_t instance, TimerSlot slot);

/* authz.c: leave to run, for steps with requiredPermissions */
void authz_ask(Move *m, uint32_t instance);
void authz_submit(Move *m, uint32_t instance); /* put the question, of the attempt that was begun by authz_ask */
void authz_answer(Move *m);
void authz_withdraw(Move *m, uint32_t instance);

/* progress.c */
void step_task_progress(Move *m);
void step_progress_reset(Move *m, uint32_t instance); /* a new attempt begins at 0 */

/* schema_check.c */
/** False: *ret_error says what is wrong (owned), or out of memory. @what: "input" or "output". */
bool schema_admits(Move *m, const Schema *schema, Value *value, const char *what, Value **ret_error);
/** The same for a start: @refusal gets INVALID_INPUT with every fault at its place under /input. */
bool schema_admits_input(const Schema *schema, Value *value, Report *refusal);

/* approval.c */
void approval_start(Move *m, uint32_t instance);
void approval_vote(Move *m);
void approval_due(Move *m, uint32_t instance, TimerSlot slot);
void approval_end(Move *m, uint32_t instance); /* withdraw what is pending */

/* wait.c */
void wait_start(Move *m, uint32_t instance);
void wait_event_start(Move *m, uint32_t instance);
void wait_event(Move *m);
void wait_due(Move *m, uint32_t instance);
void wait_event_end(Move *m, uint32_t instance);

/* branch.c */
void conditional_start(Move *m, uint32_t instance);

/* loop.c */
void loop_start(Move *m, uint32_t instance);
void loop_scope_changed(Move *m, uint32_t scope); /* an instance of an iteration became final */
void loop_stop(Move *m, uint32_t instance, bool abort);
void loop_advance(Move *m, uint32_t instance);               /* open further iterations, or end */
bool loop_is_failing(const Execution *x, uint32_t instance); /* more failed iterations than tolerated */

/* child.c */
void child_start(Move *m, uint32_t instance);
void child_signal(Move *m, uint32_t instance, InputKind signal);
void child_signal_all(Move *m, InputKind signal);
void child_tell_parent(Move *m, InputKind kind, bool flag); /* nothing without a parent */
void child_done(Move *m);
void child_state(Move *m);

/* control.c */
void control_pause(Move *m);
void control_resume(Move *m);
void control_cancel(Move *m);
void control_retry(Move *m);
void control_pause_at(Move *m); /* pauseAt reached */

/* finish.c */
void finish_clear_deadline(Move *m);                       /* of the whole execution */
void finish_begin_fail(Move *m, Value *error, bool abort); /* borrows @error */
bool finish_settle(Move *m); /* when quiet: pause, compensate, end. True: something new is to be scheduled */
void finish_compensated(Move *m, uint32_t instance); /* a compensation step became final */

/* reply.c */
int refuse(Move *m, RunbookCode code, const char *format, ...)
                __attribute__((format(printf, 3, 4))); /* and audits it */
void reply_status(Move *m, const char *status);
bool may_control(Move *m); /* refuses otherwise */
