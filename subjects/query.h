#pragma once
/* A query while it is answered: one short read transaction, and a reply that must fit one NATS message. */

#include "subjects/handler.h"

#define QUERY_LIMIT_DEFAULT 100
#define QUERY_LIMIT_MAX     1000
#define QUERY_SCAN_MAX      20000 /* records looked at for one reply; then the page ends, with a cursor */
#define QUERY_REPLY_BYTES                                                                                    \
        (700 * 1024) /* a page ends here, or at two thirds of what the server takes in one message */
#define QUERY_CURSOR_MAX 512

typedef struct Query {
        Subjects *subjects;
        Arena arena;
        Slice tenant, user;
        Slice arg;        /* the token behind the query's name, decoded; empty where it takes none */
        Slice text;       /* the body as it came, where the query takes it so */
        Runbook *runbook; /* `validate`: what the text says; owned, NULL else */
        json_t *body;     /* owned object; NULL where the text is taken */
        JsonAt at;
        Report report;
        StoreTxn *txn;
        uint32_t limit; /* 1…QUERY_LIMIT_MAX */
        Slice cursor;   /* empty: first page */
        size_t budget;  /* bytes at which a page ends */
        Buf out;
        JsonWriter w;
} Query;

/**
 * Every handler appends the members of the reply behind "version" to q->w, or fills q->report; negative:
 * store or memory failed.
 */
typedef int (*QueryHandler)(Query *q);
int query_approvals(Query *q);
int query_audit(Query *q);
int query_evidence(Query *q);
int query_execution(Query *q);
int query_executions(Query *q);
int query_history(Query *q);
int query_logs(Query *q);
int query_runbook(Query *q);
int query_runbooks(Query *q);
int query_stats(Query *q);
int query_validate(Query *q);
int query_validate_prepare(Query *q);

/**
 * Load the execution that q->arg names, if this user may read it; owned. -EINVAL with the report set, or
 * negative.
 */
int query_load_execution(Query *q, Execution **ret);
/** A string member of the body; empty when absent. */
Slice query_get_string(Query *q, const char *key);
/** A time member; @ret stays as it is when absent. */
void query_get_time(Query *q, const char *key, int64_t *ret);
/** The cursor as a number behind @kind ('e', 'h'…), 0 when there is none; a foreign one is reported. */
uint64_t query_cursor_number(Query *q, char kind);
void query_put_cursor_number(Query *q, char kind, uint64_t number);
/** How new the answer is: the number of the last record there is, 0 for none. Whoever listens to live messages too
 * knows by it which of them the answer holds already. */
void query_put_last_sequence(Query *q, uint64_t number);
/** Room left on this page? */
static inline bool query_has_room(const Query *q, size_t n) { return q->out.n + n <= q->budget; }
/** Report -EINVAL: the cursor is not one of ours. */
int query_bad_cursor(Query *q);

/* render_execution.c */
/** What an execution shows wherever it is shown. */
typedef struct RenderHead {
        Uuid id;
        Slice runbook_id, runbook_version, initiated_by;
        RunbookExecutionStatus status;
        int64_t start_ms, end_ms; /* 0: none */
        uint32_t n_total, n_completed, n_failed, n_skipped, n_cancelled;
} RenderHead;
/** Its members, `progress` the last of them. */
void render_head(const RenderHead *h, JsonWriter *w);
/** A time, null for 0. */
void render_time(JsonWriter *w, const char *key, int64_t ms);
/** The `execution` object of README.md, and `nextCursor` if the steps don't fit. */
typedef struct RenderOptions {
        bool with_steps;
        uint32_t first; /* instance to begin with; above 0 context, input and output are left out */
        uint32_t limit; /* steps on this page; 0: as many as fit */
} RenderOptions;
/** *ret_next: the instance to go on with, 0: all are there. */
void render_execution(const Execution *x, const RenderOptions *options, size_t budget, JsonWriter *w,
                      uint32_t *ret_next);
/** One of the head's large members alone ("context", "input", "output"); false: it is none of them. */
bool render_member(const Execution *x, Slice name, JsonWriter *w);
/** When @instance stops waiting; 0: never, or not while the execution is paused and its clocks stand still. */
int64_t render_deadline(const Execution *x, uint32_t instance);
/** The votes so far, as an array. */
void render_votes(const StepState *step, JsonWriter *w);
