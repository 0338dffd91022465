#pragma once
/* Signed statements of how far the chains of events have come. */

#include "engine/engine.h"
#include "json/signature.h"
#include "storage/store.h"

#define CHECKPOINT_HEADS_MAX 500  /* chains that one checkpoint attests: some 90 KB */
#define CHECKPOINT_ROWS_MAX  4096 /* rows of the outbox that are read for one */

typedef struct Runtime Runtime;
typedef struct Batch Batch;

/** The next entry of the outbox to be attested. */
typedef struct CheckpointAt {
        uint64_t row;
        uint32_t entry;
} CheckpointAt;

/** What one transaction did: becomes true with the commit. */
typedef struct Checkpoint {
        bool looked, made, more;
        EventChain chain;
        CheckpointAt at;
} Checkpoint;

/** The writer's own. */
typedef struct Checkpointer {
        EventChain chain;  /* the engine's own series */
        CheckpointAt at;
        uint64_t n_pending; /* entries committed and not attested, at least */
        int64_t since_ms;   /* when the first of them was */
} Checkpointer;

/** Go on where the store says. 0 or negative. */
int checkpoint_recover(Runtime *r, StoreTxn *t);
/** When a checkpoint is due; INT64_MAX: there is nothing to attest. */
int64_t checkpoint_due_ms(const Runtime *r);
/** If one is due: write it into the batch. Before the batch's own row of the outbox, which the next one attests. */
int checkpoint_run(Batch *b);
/** The batch is committed. */
void checkpoint_committed(Batch *b);
/** Of the rows up to @row of the outbox: those up to this one are not needed for checkpoints. */
uint64_t checkpoint_row_kept(const Runtime *r, uint64_t row);
