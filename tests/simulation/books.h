#pragma once
/*
 * What the checkers know of each execution, from its published words alone: a model that every lifecycle event
 * moves, by rules written down a second time here. The engine's own state is only compared with it.
 */

#include <jansson.h>

#include "sim.h"

#define PATH_MAX_BYTES 72

typedef struct RawVote {
        char user[16];
        bool approved;
} RawVote;
#define RAW_VOTES_MAX 8

typedef struct StepModel {
        char path[PATH_MAX_BYTES];
        const RunbookStep *step;
        uint8_t status; /* RunbookStepStatus, as the events tell it; retrying until it starts again */
        uint32_t attempt, retries_from;
        int64_t since_ms; /* when the status began */
        int64_t until_ms; /* retrying, waiting: not before */
        int64_t delay_until_ms;
        uint32_t n_doubtful; /* attempts that may not have been made: they count for no retry */
        bool revivable; /* failed or stopped, and the execution was retried since */
        bool continued, compensated, escalated, expired;
        uint32_t done_order; /* 1… in order of completion */
        RawVote votes[RAW_VOTES_MAX];
        uint32_t n_votes;
        char key[DIGEST_TEXT_SIZE + 1]; /* idempotency key; "": none seen */
} StepModel;

typedef struct Case {
        Uuid id;
        Runbook *runbook; /* reference; NULL: a tenant's catalog of registrations */
        char *tenant, *initiator, *command_id;
        Value *input, *context;
        Uuid parent, original;
        Digest idempotency;
        bool dry_run, retried;
        uint64_t seq, n_logs, n_journal;
        char hash[DIGEST_TEXT_SIZE + 1];
        char (*hashes)[DIGEST_TEXT_SIZE]; /* of all events */
        size_t n_hashes, cap_hashes;
        uint64_t attested; /* by a checkpoint */
        uint8_t status;
        int64_t time_ms;  /* of the last event */
        int64_t begun_ms; /* the start, or the last retry */
        uint32_t n_done, last_compensated;
        StepModel *steps;
        size_t n_steps, cap_steps;
        uint32_t n_resumes;
} Case;

struct Books {
        Case *cases;
        size_t n, cap;
        uint64_t n_events;
        char (*event_ids)[64]; /* "<tenant>/<event id>" of events that were received */
        size_t n_event_ids, cap_event_ids;
};

/** One event, taken apart; borrowed from its tree. */
typedef struct EventView {
        const char *type; /* without "runbook." */
        const char *path; /* "": the execution itself */
        int64_t at_ms;
        const json_t *data;
        uint32_t attempt;
        const char *by, *command_id;
} EventView;

/** model.c: move @c by one event. */
void model_apply(Sim *s, Case *c, const EventView *e);
StepModel *model_step(Case *c, const char *path, bool make);
static inline const char *event_text(const EventView *e, const char *key) {
        const char *text = json_string_value(json_object_get(e->data, key));
        return text ? text : "";
}
/** The time in member @key; 0: none. */
int64_t event_time(const EventView *e, const char *key);

/* rules.c */
/** May this step start now, by its dependencies, branches, condition and place? NULL, or why not. */
const char *rule_may_start(const Case *c, const StepModel *m);
/** Is this skip right? NULL, or why not. */
const char *rule_may_skip(const Case *c, const StepModel *m, const char *reason);
/** Attempts that hold a slot. */
uint32_t rule_running(const Case *c);
uint32_t rule_max_running(const Sim *s, const Case *c);
/** The end of an execution: NULL, or what contradicts it. */
const char *rule_may_end(const Sim *s, const Case *c, uint8_t status, const EventView *e);
/** Everything a loop owes when it completes. */
const char *rule_loop_done(const Case *c, const StepModel *m);
const char *rule_loop_may_fail(const Case *c, const StepModel *m);
/** How long a wait lasts by its definition; -1: until a given time. */
int64_t rule_wait_ms(const Case *c, const StepModel *m);
/** The delay that a retry policy gives after @n_failed attempts, in whole: without jitter. */
int64_t rule_retry_delay(const RetryPolicy *p, uint32_t n_failed);

/* votes.c */
void votes_begin(StepModel *m);
void votes_add(Sim *s, Case *c, StepModel *m, const EventView *e);
/** May the step end like this, by the raw votes? NULL, or why not. */
const char *votes_may_complete(const Case *c, const StepModel *m);
const char *votes_may_fail(const Case *c, const StepModel *m, const char *code);
/** Has the step ended as soon as it could? NULL, or why it should have. */
const char *votes_must_end(const Case *c, const StepModel *m);

/* attest.c */
/** The checkpoint @data, event c->seq of @c, against all that is known; NULL, or what is wrong with it. */
const char *attest_apply(Sim *s, const Case *c, const json_t *data);

/* tables.c */
/** Timers, waits and approvals of one execution against its state. */
void tables_check_one(Sim *s, StoreTxn *t, const Execution *x);
/** All tables against all executions. */
void tables_check_all(Sim *s);
