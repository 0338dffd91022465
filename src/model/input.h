#pragma once
/*
 * Everything that can move an execution, as one serialisable record with its time and randomness inside. The
 * journal of applied inputs, driven through the engine again, gives byte-identical state.
 */

#include "base/uuid.h"
#include "json/digest.h"
#include "json/value.h"

/* Stored in the journal: values never change, new ones are added. */
typedef enum InputKind {
        INPUT_START = 1,   /* value: input · context · options below. Journaled as the execution's static record */
        INPUT_PAUSE = 2,   /* flag: freeze clocks (default true) */
        INPUT_RESUME = 3,
        INPUT_CANCEL = 4,  /* text: reason */
        INPUT_APPROVE = 5, /* path; decision; text: comments; hash: what the voter saw (optional) */
        INPUT_RETRY = 6,   /* path */
        INPUT_EVENT = 7,   /* instance, attempt; text: event id; value: payload. Matched by the runtime */
        INPUT_TASK_RESULT = 8, /* instance, attempt; ok; value: output; error; logs; evidence; retry_after_ms */
        INPUT_TIMER = 9,   /* instance, slot, at_ms */
        INPUT_TASK_PROGRESS = 10, /* instance, attempt; flag: number (0–1) is given; logs; evidence */
        INPUT_CHILD_DONE = 11, /* instance; text: the child's id; ok; value: output; error */
        INPUT_CHILD_STATE = 12, /* instance; text: the child's id; flag: paused */
        /* instance, attempt; ok: there was an answer; value: {"allow", "reason"?}; evidence; else error,
         * retry_after_ms */
        INPUT_AUTHZ = 13,
        N_INPUT_KINDS
} InputKind;

typedef struct Input {
        InputKind kind;
        int64_t now_ms;       /* Unix milliseconds; never decreasing within an execution */
        uint64_t seed;        /* random: ids of logs, evidence and children, jitter */
        Uuid execution_id;
        Slice tenant, user;   /* the principal that the subject names; empty user: the engine itself */
        Slice command_id;     /* empty: none */
        Slice traceparent;    /* empty: none */
        uint32_t instance, attempt;
        uint8_t slot;         /* TimerSlot */
        uint8_t decision;     /* VoteDecision */
        bool ok, flag;
        int64_t at_ms;        /* the timer's time */
        int64_t retry_after_ms; /* TASK_RESULT: what the receiver asked for; 0: nothing */
        double number;
        Slice path;           /* step path or id, as the sender wrote it */
        Slice text, hash;
        Value *value, *error, *logs, *evidence, *context; /* borrowed for the call; NULL: none */

        /* INPUT_START (not journaled here: they are in the static record) */
        Slice idempotency_key, pause_at;
        Uuid parent, original;
        uint32_t parent_instance, depth;
        bool dry_run;
        Digest idempotency_digest;
} Input;

/** Append the journal record of @in (not for INPUT_START). 0 or the sticky error. */
int input_encode(const Input *in, Buf *b);
/**
 * Decode a journal record. Slices borrow @record; values are new references that the caller releases with
 * input_release.
 * 0, -EBADMSG, -ENOMEM.
 */
int input_decode(Slice record, Input *ret);
void input_release(Input *in);
