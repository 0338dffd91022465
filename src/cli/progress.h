#pragma once
/* What a person wants to know of an execution, kept up to date from its events. Pure data: no I/O, no clock.
 */

#include <jansson.h>
#include <runbook/types.h>
#include "base/arena.h"
#include "base/map.h"

typedef struct ProgressStep {
        const char *path; /* "id", "body[3]" */
        const char *type; /* "" when unknown */
        RunbookStepStatus status;
        bool is_compensation, compensated;
        bool is_body; /* runs as "id[0]", "id[1]"… and not by itself */
        int attempt;
        int n_approved;
        int64_t start_ms; /* 0: not yet */
        int64_t end_ms;   /* 0: not yet */
        int64_t changed;  /* sequence of the event that changed it last; 0: none */
        const char *note; /* why it failed, was skipped…; "" */
        const char *prompt, *approvers, *event_type, *correlation; /* what it waits for; "" */
        int n_needed;                                              /* approvals */
        int64_t deadline_ms, until_ms;                             /* 0: none */
} ProgressStep;

/** Zero-initialised is empty. Strings live in the arena. */
typedef struct Progress {
        Arena arena;
        const char *id, *runbook_id, *version; /* "" when unknown */
        RunbookExecutionStatus status;
        int64_t start_ms, end_ms;
        const char *note; /* who cancelled and why, what failed; "" */
        ProgressStep *steps;
        size_t n_steps, cap_steps;
        Map by_path; /* path → index + 1 */
        bool oom;    /* sticky */
} Progress;

void progress_init(Progress *p, const char *execution_id);
void progress_deinit(Progress *p);
/** All steps of the definition as pending, in its order; what compensates others is marked. */
void progress_seed(Progress *p, const json_t *definition);
/** One lifecycle event. Events that are not about progress change nothing. */
void progress_apply(Progress *p, const json_t *event);
/** From the execution query's answer instead of events; call after progress_seed. */
void progress_load(Progress *p, const json_t *execution);
/** Has the execution ended? */
bool progress_is_final(const Progress *p);
/** Does the step run by itself? Not: compensations that have not begun, bodies of loops. */
bool progress_step_counts(const ProgressStep *s);
/** Of those that count: steps that have ended, and all. */
void progress_count(const Progress *p, size_t *ret_done, size_t *ret_total);
