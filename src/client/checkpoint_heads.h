#pragma once
/* What checkpoints have attested so far: the heads of each engine's chains. */

#include "base/list.h"
#include "base/map.h"
#include "client/checkpoint_event.h"

/** A head, and which checkpoint attests it. */
typedef struct AttestedHead {
        int64_t sequence;
        int64_t checkpoint;
        Digest hash;
} AttestedHead;

/** Engines are told apart by a number; the same chain may be attested by several (a tenant's catalog is). */
typedef struct CheckpointHeads {
        RunbookCheckpointMemory memory;
        bool only_one; /* remember heads of `only` and no other */
        Uuid only;
        Map chains;  /* engine and chain to AttestedChain */
        List by_age; /* AttestedChain.node, the one attested longest ago first */
        size_t n_chains, n_heads;
        size_t n_chains_max, n_heads_max; /* the public limits; tests set lower ones */
} CheckpointHeads;

void checkpoint_heads_init(CheckpointHeads *h, RunbookCheckpointMemory memory, uint64_t seed0,
                           uint64_t seed1);
void checkpoint_heads_deinit(CheckpointHeads *h);

/**
 * Note what checkpoint @number of @engine attests. 0; RUNBOOK_CHECKPOINT_HEAD and the head that stands in
 * *ret_known when that one is later, or has the same number and another hash (then it stays);
 * RUNBOOK_CLIENT_E_TOO_LARGE or E_MEMORY.
 */
int checkpoint_heads_note(CheckpointHeads *h, uint32_t engine, int64_t number, const CheckpointHead *head,
                          AttestedHead *ret_known);
/** The head of chain @id with this sequence; NULL: none. */
const AttestedHead *checkpoint_heads_find(const CheckpointHeads *h, uint32_t engine, Uuid id,
                                          int64_t sequence);
/** The newest head of chain @id; NULL: none. */
const AttestedHead *checkpoint_heads_newest(const CheckpointHeads *h, uint32_t engine, Uuid id);
