#pragma once
/*
 * What one input did, as data. The state itself was changed in place (its dirty pieces say where); this holds
 * what must be written beside it in the same transaction, and what may be done only after the commit.
 */

#include "base/report.h"
#include "model/execution.h"

typedef enum EffectKind {
        /* written in the transaction */
        EFFECT_TIMER_SET,       /* instance, slot, at_ms */
        EFFECT_TIMER_CLEAR,     /* instance, slot, at_ms */
        EFFECT_WAIT_ADD,        /* instance, attempt; the step's extra has type and correlation */
        EFFECT_WAIT_REMOVE,     /* instance; extra as above */
        EFFECT_APPROVAL_ADD,    /* instance: pending for its approvers (users below) */
        EFFECT_APPROVAL_REMOVE, /* instance; users as given at ADD */
        EFFECT_IDEMPOTENCY_RELEASE, /* the execution failed or was cancelled: its digest no longer makes duplicates */
        EFFECT_IDEMPOTENCY_CLAIM,   /* a failed execution runs again */
        EFFECT_START_CHILD,     /* instance: value = {runbookId, version?, input}; child id in its extra */
        EFFECT_SIGNAL_CHILD,    /* instance; slot: InputKind (pause, resume, cancel) for the child */
        /* slot: INPUT_CHILD_DONE (it ended) or INPUT_CHILD_STATE (attempt 1: paused, 0: runs), to its
         * parent */
        EFFECT_SIGNAL_PARENT,
        /* done after the commit */
        EFFECT_TASK,            /* instance, attempt; value = resolved config; input */
        EFFECT_TASK_CANCEL,     /* instance, attempt */
        EFFECT_AUTHZ,           /* instance, attempt; value = the question: {"input": {…}} */
        EFFECT_AUTHZ_CANCEL     /* instance, attempt */
} EffectKind;

typedef struct Effect {
        EffectKind kind;
        uint8_t slot;
        uint32_t instance, attempt;
        int64_t at_ms;
        Value *value, *input;   /* owned by the update */
        const Slice *users;     /* borrowed from the runbook; approvals */
        size_t n_users;
} Effect;

/** Something that happened, for those who measure and trace; the events say the same for people. */
typedef struct UpdateFact {
        const char *type;  /* of the event, "step.completed"; a literal */
        uint32_t instance; /* INSTANCE_NONE: the execution itself */
        uint32_t attempt;
        uint8_t step_type; /* StepType */
        int64_t start_ms, end_ms; /* where it ended something that had started; else zeros */
} UpdateFact;

/** Zero-initialised is empty and valid. Reused from input to input: update_reset keeps the memory. */
typedef struct Update {
        Effect *effects;
        size_t n_effects, cap_effects;
        UpdateFact *facts;
        size_t n_facts, cap_facts;
        Effect scratch; /* what update_effect gives when out of memory */
        /*
         * Lifecycle events rendered as CloudEvents JSON, each as: u32 length, u8 type length, type
         * ("step.completed"), JSON. `n_events` of them, sequences first_seq….
         */
        Buf events;
        uint32_t n_events;
        uint64_t first_seq;
        /* Log entries, the same framing with the level ("info") in place of the type. */
        Buf logs;
        uint32_t n_logs;
        /* Evidence records (JSON), the same framing with an empty type. */
        Buf evidence;
        uint32_t n_evidence;
        /* The answer to a command: `reply` (JSON body) when code is RUNBOOK_OK, else `refusal`. */
        Buf reply;
        Report refusal;
        bool applied;  /* the state was changed: journal the input */
        bool oom;      /* sticky */
} Update;

void update_reset(Update *u);
void update_deinit(Update *u);
/** A zeroed effect appended; a scratch one when out of memory (u->oom is set). */
Effect *update_effect(Update *u, EffectKind kind, uint32_t instance);

/** Append @fact; u->oom when there is no memory. */
void update_fact(Update *u, const UpdateFact *fact);

/** Iterate the framed buffers above: start with offset 0; false at the end or on damage. Slices borrow. */
bool frame_next(Slice frames, size_t *offset, Slice *ret_type, Slice *ret_json);
/** Frame a record: reserve the head at @b's end, returns its offset for frame_end. */
size_t frame_begin(Buf *b, Slice type);
void frame_end(Buf *b, size_t offset);
