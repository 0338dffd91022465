#pragma once
/*
 * One write transaction and what happens in it: items (requests, results, due timers) move executions, the
 * consequences are collected, everything is written once at the end. Only the files of the writer's road
 * include this.
 */

#include "engine/engine.h"
#include "runtime/cache.h"
#include "runtime/checkpoint.h"
#include "runtime/outbox.h"
#include "runtime/task.h"
#include "storage/store.h"

typedef struct Runtime Runtime;

/** Something that moves the world: a request (a task's result is one, too) or a timer that is due. */
typedef struct Item {
        Request *request;  /* owned until it is answered; NULL: a timer */
        StoreTimer timer;
        uint64_t random[3]; /* drawn once, so that running the batch again does the same again */
        /* The answer, in the batch's arena. */
        RunbookCode code;
        Slice body;
        bool durable;
        bool fresh_id; /* a start whose id is ours */
        bool later; /* answered after the commit by someone else (replay: verify) */
} Item;

/** What a batch has in store for one execution; pooled. */
typedef struct Touched {
        List node;
        CacheEntry *entry;
        Buf journal, events, logs, evidence;
        bool is_new;
        RunbookExecutionStatus status_before; /* unless it is new */
        uint32_t n_journal, n_events, n_logs, n_evidence;
} Touched;

typedef struct EarlyEvent {
        Slice type, correlation;
        StoreEarlyEvent event;
} EarlyEvent;

/** An input that another one caused: for a child, a parent, or of an event that had come early. In the
 * batch's arena. */
typedef struct Chained {
        List node;
        Input input;           /* its values are owned */
        Slice runbook_id, version; /* INPUT_START: what the child runs */
        EarlyEvent *early;     /* put it back if nobody takes it */
} Chained;

typedef struct TaskCancel {
        StepType type;
        bool is_question;
        Uuid execution_id;
        uint32_t instance, attempt;
} TaskCancel;

/** What upkeep wrote in this transaction: becomes true with the commit. */
typedef struct Upkeep {
        bool time, mark, looked, more;
        OutboxMark wanted;
        Checkpoint checkpoint;
} Upkeep;

/** What the engine told about @entry's execution. */
typedef struct BatchFact {
        CacheEntry *entry;
        UpdateFact fact;
} BatchFact;

typedef struct Batch {
        Runtime *r;
        StoreTxn *txn;
        int64_t now_ms;
        Arena arena;      /* answers, chained inputs: until the batch's end */
        List touched, spare; /* of Touched */
        size_t n_spare;
        List chain;       /* of Chained */
        uint32_t n_chained;
        size_t n_bytes;   /* of values put so far, roughly */
        uint64_t random;  /* where seeds of timers and chained inputs come from */
        List tasks;       /* OpenTask, to be dispatched */
        TaskCancel *cancels;
        size_t n_cancels, cap_cancels;
        StoreOutboxEntry *entries; /* of the outbox row */
        size_t n_entries, cap_entries;
        BatchFact *facts;
        size_t n_facts, cap_facts;
        Update update;
        Buf scratch, reply;
        uint64_t outbox_row; /* the row that this batch wrote; 0: none */
        Upkeep upkeep;
        uint64_t n_inputs, n_started, n_ended, n_timers, n_late;
} Batch;

void batch_init(Batch *b, Runtime *r);
void batch_deinit(Batch *b);
/**
 * Run @items in one transaction and commit. 0: the first *ret_n of them are done (at least one, if there are
 * any) and their answers set, valid until the next batch. Else nothing happened: KV_E_MAP_FULL, -ENOSPC,
 * -EIO, -ENOMEM, -EFBIG, -EBADMSG…. With no items: only upkeep, without a commit if there is none to do.
 */
int batch_run(Batch *b, Item *items, size_t n, int64_t now_ms, size_t *ret_n);
/** After a batch_run that gave 0 and after its answers were given: hand its tasks and cancels to the
 * executors. */
void batch_dispatch(Batch *b);

/* ---- helpers for the handlers ------------------------------------------------------------------------- */

/** Random bits of their own for every input of this batch. */
uint64_t batch_seed(Batch *b);
/** The execution @id, from the cache or the store. 0, STORE_E_NOT_FOUND, or negative. */
int batch_execution(Batch *b, Uuid id, CacheEntry **ret);
/** Like batch_execution, but another tenant's are not found, and that is answered: then *ret is NULL. */
int batch_execution_of(Batch *b, Item *it, CacheEntry **ret);
/** Mark @e as this batch's; its Touched, or NULL when out of memory. */
Touched *batch_touch(Batch *b, CacheEntry *e);
/** Move @e by @in and take note of all consequences; the update (reply, applied…) stays in b->update. 0 or
 * what fails the batch. */
int batch_step(Batch *b, CacheEntry *e, Input *in);
/** Take note of what an update did: @e was moved by @in. @journal false: the input is kept elsewhere
 * (INPUT_START). */
int batch_absorb(Batch *b, CacheEntry *e, const Input *in, bool journal);
/** Run chained inputs until there are none. */
int batch_run_chain(Batch *b);
/** A fresh chained input for @id, or NULL when out of memory; batch_chain puts it at the chain's end. */
Chained *chained_new(Batch *b, InputKind kind, Uuid id);
void batch_chain(Batch *b, Chained *c);
/** The child's id as a parent's input names it; NULL data when out of memory. */
Slice chained_child(Batch *b, Uuid child);
/** Run @c, which stays the caller's. */
int chain_run_one(Batch *b, Chained *c);
/** A note in the outbox row of this batch. 0 or -ENOMEM. */
int batch_announce(Batch *b, StoreSeries series, Slice tenant, Uuid id, uint64_t first, uint32_t n);

/** Answer with what b->reply holds. 0 or -ENOMEM. */
int batch_reply(Batch *b, Item *it);
/** Answer with an error; @durable as in Request.done. 0 or -ENOMEM. */
int batch_refuse(Batch *b, Item *it, RunbookCode code, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
int batch_refuse_report(Batch *b, Item *it, const Report *report);
/** Answer with what the engine said in b->update. */
int batch_reply_update(Batch *b, Item *it);

/* ---- handlers: 0 with the item answered, else what fails the batch ------------------------------------ */

int handle_command(Batch *b, Item *it);
int handle_event(Batch *b, Item *it);
int handle_register(Batch *b, Item *it);
int handle_replay(Batch *b, Item *it);
int handle_result(Batch *b, Item *it);
int handle_start(Batch *b, Item *it);
/** The item is a timer: nobody is answered. */
int handle_timer(Batch *b, Item *it);

/** Begin an execution in this batch; b->update has the engine's answer. 0 with the entry, -EINVAL: refused,
 * else what fails the batch. */
int start_execution(Batch *b, Runbook *runbook, Input *in, CacheEntry **ret);
/** The answer that refuses new work right now (OVERLOADED, STORE_FULL); true if there is one and it was
 * given. */
bool refuse_new_work(Batch *b, Item *it, int *ret);
/** The seed of an execution's start: from its id, so that a replay finds it again. */
uint64_t start_seed(Uuid id);

/** What a start said that its execution's static record doesn't keep: journal record 0, if anything. */
int start_options_put(Touched *t, const Input *in);
/** The reverse; slices borrow @record. 0 or -EBADMSG. */
int start_options_get(Slice record, Slice *ret_pause_at);

/** Apply the update's effects, all kinds. */
int effects_apply(Batch *b, CacheEntry *e);
/** Write everything that was collected. */
int batch_flush(Batch *b);
