#pragma once
/*
 * An execution's whole state, as the core works on it in memory and as storage keeps it (pieces of it
 * marked dirty are written). Everything that decides what happens next is in here: no hidden state anywhere.
 *
 * Instances. Each scope (the root, a loop iteration) holds one StepState per step of its region; instances are
 * numbered through the whole execution in the order in which scopes were opened: root first. Storage pages hold
 * STEP_PAGE consecutive instances.
 */

#include <runbook/types.h>
#include "base/heap.h"
#include "base/uuid.h"
#include "json/digest.h"
#include "json/value.h"
#include "model/runbook.h"

#define INSTANCE_NONE UINT32_MAX
#define SCOPE_NONE UINT32_MAX
#define STEP_PAGE 16 /* step states in one stored record */

typedef enum SkipReason {
        SKIP_NONE,
        SKIP_BRANCH_NOT_TAKEN,     /* "branch_not_taken" */
        SKIP_CONDITION,            /* "condition_false" */
        SKIP_DEPENDENCIES_SKIPPED, /* "dependencies_skipped" */
        SKIP_DRY_RUN,              /* "dry_run" */
        N_SKIP_REASONS
} SkipReason;
/** Static string; NULL for SKIP_NONE. */
const char *skip_reason_name(SkipReason reason);

typedef enum VoteDecision { VOTE_APPROVED = 0, VOTE_REJECTED = 1 } VoteDecision;

typedef struct Vote {
        char *user;     /* owned */
        char *comments; /* owned; NULL: none */
        VoteDecision decision;
        int64_t at_ms;
} Vote;

/** What only some steps carry while (and after) they are active; owned by its StepState. */
typedef struct StepExtra {
        /* human-approval */
        Vote *votes;
        uint32_t n_votes;
        bool escalated;
        Digest shown;       /* hash of what is shown for approval */
        Value *prompt;      /* string or NULL */
        /* wait-for-event */
        char *event_type;   /* owned */
        char *correlation;  /* owned, "" for none */
        /* loop */
        uint32_t n_planned; /* items, or maxIterations */
        uint32_t n_opened, n_closed, n_iterations_failed;
        uint32_t first_scope; /* SCOPE_NONE before the first iteration; scopes of one loop are linked by next_scope */
        uint32_t last_scope;
        /* run-runbook */
        Uuid child;
        bool child_quiet;   /* the child is paused */
        /* custom */
        double progress;    /* 0–1 */
} StepExtra;

typedef struct StepState {
        uint32_t step;       /* index in the runbook */
        uint32_t scope;
        uint8_t status;      /* RunbookStepStatus */
        uint8_t skip_reason; /* SkipReason */
        /* storage's note: bit 0 the output, bit 1 the error, bit 2 the prompt stands alone already. The
         * core clears a bit when it replaces that value */
        uint8_t stored_values;
        bool continued;      /* failed, but onFailure is "continue" */
        bool compensated;
        bool timed_out;
        bool asking;         /* ready, and the authorization service was asked whether `attempt` may run */
        uint32_t n_open;     /* in-edges not resolved yet */
        uint32_t n_done;     /* dependency edges that completed */
        uint32_t n_taken;    /* branch edges taken */
        uint32_t n_branches_open;
        uint32_t attempt;    /* of the current or last attempt; 0: never started */
        uint32_t retries_from; /* attempt number after which the retry policy counts (a person's retry resets it) */
        uint32_t done_order; /* 1… in order of completion; 0: not completed */
        int64_t ready_ms, start_ms, end_ms; /* 0: not yet. start_ms: first attempt's start */
        int64_t attempt_ms;  /* current attempt's start */
        int64_t timer_ms[2]; /* armed timers by TimerSlot; 0: none */
        Value *output;       /* of a completed step; NULL: none */
        Value *error;        /* {"code","message","retryable"} of the last failed attempt; NULL: none */
        uint32_t n_evidence, n_logs;
        StepExtra *extra;    /* NULL: none */
} StepState;

typedef enum TimerSlot { TIMER_STEP = 0, TIMER_ESCALATE = 1, TIMER_GLOBAL = 2 } TimerSlot;

typedef struct Scope {
        uint32_t region;     /* REGION_ROOT, a loop's region, REGION_COMPENSATION */
        uint32_t owner;      /* instance of the loop step (or of the compensated step); INSTANCE_NONE for the root */
        uint32_t index;      /* iteration number, from 0 */
        uint32_t first;      /* first instance */
        uint32_t n_open;     /* instances not final yet */
        uint32_t n_active;   /* of them those that are ready, in flight or waiting */
        uint32_t n_failed;   /* failed for good, not continued */
        bool closed;         /* an iteration that has ended and was counted */
        uint32_t next_scope; /* next iteration of the same loop; SCOPE_NONE */
        Value *item;         /* `loop.item`; NULL: none. Set before the scope is first saved, never replaced */
        uint8_t stored_item; /* storage's note: the item stands alone already */
} Scope;

/** What ends the execution once nothing is in flight any more. */
typedef enum ExecutionGoal { GOAL_COMPLETE, GOAL_FAIL, GOAL_CANCEL } ExecutionGoal;

/** Pieces of the execution that storage must write; set by the core, cleared by storage. */
typedef enum ExecutionDirty {
        DIRTY_STATIC = 1 << 0, /* never written yet */
        DIRTY_STATE = 1 << 1,  /* the header's counters, status, chain */
} ExecutionDirty;

typedef struct Execution {
        Runbook *runbook;  /* reference owned */

        /* Static: written once */
        Uuid id;
        Slice tenant, initiated_by;  /* owned by `statics` */
        Slice runbook_id, runbook_version;
        Slice command_id;            /* the start's; empty: none */
        Slice traceparent;           /* empty: none */
        Slice idempotency_key;       /* the caller's; empty: none */
        Arena statics;
        Digest idempotency_digest;   /* what duplicates are told by; zeros: not checked */
        Value *context, *input;      /* input may be NULL: null */
        int64_t created_ms;
        Uuid parent;                 /* nil: none */
        uint32_t parent_instance;
        uint32_t depth;              /* 0: started by a person */
        Uuid original;               /* isReplay's original; nil: not a replay */
        bool is_dry_run;
        uint64_t order;              /* start order within the store; listing newest first */

        /* State */
        uint8_t status, stored_status; /* stored_status: what the indexes hold, storage's own note */
        uint8_t goal;                  /* ExecutionGoal */
        int64_t start_ms, end_ms;
        int64_t paused_ms;       /* since when clocks are frozen; 0: not */
        bool freeze_clocks;
        int64_t global_deadline_ms; /* 0: none or not armed */
        uint32_t n_instances, n_scopes;
        uint32_t n_completed, n_failed, n_skipped, n_cancelled; /* instances by final status */
        uint32_t n_running;      /* instances that hold a slot: attempts in flight, questions out */
        uint32_t n_active;       /* instances ready, running (loops too), retrying, awaiting_* or waiting */
        uint32_t n_quiet;        /* of n_running: run-runbook steps whose child is paused */
        uint32_t n_refused;
        uint32_t n_done_order;   /* last done_order given */
        uint32_t compensating;   /* instance being compensated; INSTANCE_NONE */
        uint64_t seq;            /* last lifecycle event's sequence */
        uint64_t n_journal;      /* inputs applied */
        uint64_t n_logs, n_evidence;
        Digest chain;            /* hash of event `seq`; zeros before the first */
        char *cancelled_by, *cancel_reason; /* owned; NULL */
        char *pause_at;          /* owned; step id before which to pause; NULL */
        Value *output, *error;   /* final */

        StepState *steps;        /* n_instances */
        Scope *scopes;           /* n_scopes */

        /* Working memory, not stored */
        Heap ready;              /* READY instances, rebuilt on load */
        uint32_t dirty;          /* ExecutionDirty */
        uint32_t *dirty_pages;   /* bitmap over step pages */
        uint32_t *dirty_scopes;  /* bitmap over scopes */
        uint32_t cap_instances, cap_scopes;
        /* steps still to compensate, last completed first; filled when compensation begins (or goes on) */
        Heap compensations;
        bool compensations_known;
        uint32_t *resolved;      /* the engine's work list: instances whose out-edges are to be followed */
        uint32_t n_resolved, cap_resolved;
        uint32_t *fresh;         /* the engine's list of instances unblocked by the current input */
        uint32_t n_fresh, cap_fresh;
        bool broken;             /* out of memory in the midst of a move: drop and load again */
} Execution;

/** An empty execution of @runbook (reference taken) without instances; NULL when out of memory. */
Execution *execution_new(Runbook *runbook);
void execution_free(Execution *x);
static inline void execution_free_p(Execution **x) { execution_free(*x); }
/**
 * Open scope @region: appends its instances in state pending with their counts of open edges. Returns the scope index,
 * SCOPE_NONE when out of memory or over LIMIT_INSTANCES (told apart by x->broken).
 */
uint32_t execution_open_scope(Execution *x, uint32_t region, uint32_t owner, uint32_t index);
/** The instance of step @step (index in the runbook) that @from (an instance, or INSTANCE_NONE for root) sees:
 * same scope, else enclosing ones. INSTANCE_NONE: none. */
uint32_t execution_find_instance(const Execution *x, uint32_t from, uint32_t step);
/** Append the path of @instance: `id`, `id[3]`, `id[3][0]`. */
void execution_put_path(const Execution *x, uint32_t instance, Buf *b);
/** Does the deadline of @instance stand still while the execution is paused (x->paused_ms)? People's and events' time
 * does, backoff and absolute times don't. */
bool execution_clock_freezes(const Execution *x, uint32_t instance);
/** Resolve "id", "id[3]" to an instance; INSTANCE_NONE if there is none (yet). */
uint32_t execution_find_path(const Execution *x, Slice path);
/** Does an attempt of this type touch the outside, and so count against maxConcurrentSteps while it runs? */
static inline bool step_type_holds_slot(StepType type) {
        return type == STEP_TYPE_CALL_SERVICE || type == STEP_TYPE_CUSTOM || type == STEP_TYPE_PUBLISH_EVENT ||
               type == STEP_TYPE_RUN_RUNBOOK || type == STEP_TYPE_TRANSFORM;
}
/** Does @instance hold a slot now: by an attempt in flight, or by a question to the authorization service? */
static inline bool execution_holds_slot(const Execution *x, uint32_t instance) {
        const StepState *s = &x->steps[instance];
        return s->asking || (s->status == RUNBOOK_STEP_RUNNING &&
                             step_type_holds_slot(x->runbook->steps[s->step].type));
}
/** Is @status one of ready … waiting? */
static inline bool step_status_is_active(uint8_t status) {
        return status >= RUNBOOK_STEP_READY && status <= RUNBOOK_STEP_WAITING;
}
/** Key of @instance in `ready`: steps that need no slot come first, then by instance number. */
static inline uint64_t execution_ready_key(const Execution *x, uint32_t instance) {
        const RunbookStep *step = &x->runbook->steps[x->steps[instance].step];
        bool needs_slot = step_type_holds_slot(step->type) || step->n_required_permissions > 0;
        return (uint64_t)needs_slot << 32 | instance;
}
/** The step's extra, made on first use; NULL when out of memory (then x->broken). */
StepExtra *execution_extra(Execution *x, uint32_t instance);
static inline void execution_touch(Execution *x, uint32_t instance) {
        uint32_t page = instance / STEP_PAGE;
        x->dirty |= DIRTY_STATE;
        x->dirty_pages[page / 32] |= 1u << (page % 32);
}
static inline void execution_touch_scope(Execution *x, uint32_t scope) {
        x->dirty |= DIRTY_STATE;
        x->dirty_scopes[scope / 32] |= 1u << (scope % 32);
}
static inline const RunbookStep *execution_step(const Execution *x, uint32_t instance) {
        return &x->runbook->steps[x->steps[instance].step];
}
/** Bytes held, roughly, for cache accounting. */
size_t execution_size(const Execution *x);
/** May @user read or control this execution: legalBasis.authorizedUsers absent or empty, or names the user? */
bool execution_user_allowed(const Execution *x, Slice user);

/*
 * Stored forms (execution_codec.c). Records begin with a version byte; integers big-endian or varint.
 * Decoders validate everything: a damaged record gives -EBADMSG, never a crash.
 */
#define EXECUTION_RECORD_VERSION 1
/* bytes of a value (output, error, prompt, item) kept inside its record; larger ones stand alone */
#define OUTPUT_INLINE_MAX 512

int execution_encode_static(const Execution *x, Buf *b);
int execution_encode_state(const Execution *x, Buf *b);
/** Page @page: up to STEP_PAGE instances. Outputs over OUTPUT_INLINE_MAX are left out and marked external. */
int execution_encode_page(const Execution *x, uint32_t page, Buf *b);
int execution_encode_scope(const Execution *x, uint32_t scope, Buf *b);
/** Runbook's (id, version) out of a static record, to find the runbook before decoding. Slices borrow. */
int execution_peek_static(Slice record, Slice *ret_tenant, Slice *ret_runbook_id, Slice *ret_version);
/** Decode static and state; allocates steps and scopes zeroed, to be filled by the two below. */
int execution_decode(Runbook *runbook, Uuid id, Slice static_record, Slice state_record, Execution **ret);
/**
 * Fetches a value that stands alone (which: ExecutionValue, execution_codec.h) of an instance or scope; 0
 * or negative.
 */
typedef int (*ExecutionFetch)(void *userdata, uint32_t instance, uint32_t which, Value **ret);
int execution_decode_page(Execution *x, uint32_t page, Slice record, ExecutionFetch fetch, void *userdata);
int execution_decode_scope(Execution *x, uint32_t scope, Slice record, ExecutionFetch fetch, void *userdata);
/**
 * After all pages and scopes: rebuild working memory (ready heap), check the invariants; -EBADMSG if they
 * don't hold.
 */
int execution_finish_load(Execution *x);
