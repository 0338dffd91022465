/*
 * The memory of attested heads, bounded in two ways.
 *
 * To hold histories against it every head is kept, in rising order for each chain, and too many are an error:
 * forgetting one in silence would let an altered history pass. To check checkpoints alone, which may go on
 * for years, only the newest head of a chain matters, and the chains that were attested longest ago are
 * forgotten; that such a chain is taken back later then goes unnoticed, but the file of checkpoints still
 * shows it to whoever looks for that chain.
 */

#include <stdlib.h>
#include "client/checkpoint_heads.h"

#define CHAIN_KEY_SIZE 20

typedef struct AttestedChain {
        uint8_t key[CHAIN_KEY_SIZE]; /* engine, id */
        List node;
        AttestedHead *heads;
        size_t n, cap;
} AttestedChain;

void checkpoint_heads_init(CheckpointHeads *h, RunbookCheckpointMemory memory, uint64_t seed0,
                           uint64_t seed1) {
        *h = (CheckpointHeads){.memory = memory,
                               .n_chains_max = RUNBOOK_CHECKPOINT_CHAINS_MAX,
                               .n_heads_max = RUNBOOK_CHECKPOINT_HEADS_MAX};
        map_init(&h->chains, seed0, seed1);
        list_init(&h->by_age);
}

static void chain_free(AttestedChain *chain) {
        if (!chain)
                return;
        free(chain->heads);
        free(chain);
}

void checkpoint_heads_deinit(CheckpointHeads *h) {
        LIST_FOREACH_SAFE(node, tmp, &h->by_age)
        chain_free(LIST_ENTRY(node, AttestedChain, node));
        map_deinit(&h->chains);
}

static Slice key_of(uint32_t engine, Uuid id, uint8_t room[CHAIN_KEY_SIZE]) {
        memcpy(room, &engine, sizeof engine);
        memcpy(room + sizeof engine, id.bytes, sizeof id.bytes);
        return slice_from_bytes(room, CHAIN_KEY_SIZE);
}

static AttestedChain *find(const CheckpointHeads *h, uint32_t engine, Uuid id) {
        uint8_t room[CHAIN_KEY_SIZE];

        return map_get(&h->chains, key_of(engine, id, room));
}

static void forget_oldest(CheckpointHeads *h) {
        AttestedChain *chain = LIST_ENTRY(h->by_age.next, AttestedChain, node);

        map_remove(&h->chains, slice_from_bytes(chain->key, CHAIN_KEY_SIZE));
        list_remove(&chain->node);
        h->n_chains--;
        h->n_heads -= chain->n;
        chain_free(chain);
}

/** NULL when out of memory. */
static AttestedChain *chain_new(CheckpointHeads *h, uint32_t engine, Uuid id) {
        AttestedChain *chain = calloc(1, sizeof *chain);

        if (!chain)
                return NULL;
        list_init(&chain->node);
        if (map_put(&h->chains, key_of(engine, id, chain->key), chain) < 0) {
                free(chain);
                return NULL;
        }
        list_push_back(&h->by_age, &chain->node);
        h->n_chains++;
        return chain;
}

/** Room for one head more. */
static bool chain_grow(AttestedChain *chain) {
        size_t cap = chain->cap ? chain->cap * 2 : 1;
        AttestedHead *heads;

        if (chain->n < chain->cap)
                return true;
        heads = realloc(chain->heads, cap * sizeof *heads);
        if (!heads)
                return false;
        chain->heads = heads;
        chain->cap = cap;
        return true;
}

int checkpoint_heads_note(CheckpointHeads *h, uint32_t engine, int64_t number, const CheckpointHead *head,
                          AttestedHead *ret_known) {
        bool keeps_all = h->memory == RUNBOOK_CHECKPOINTS_ALL;
        AttestedHead new = {head->sequence, number, head->hash};
        AttestedChain *chain;

        if (h->only_one && !uuid_eq(h->only, head->id))
                return 0;
        chain = find(h, engine, head->id);
        if (chain && chain->n > 0) {
                const AttestedHead *last = &chain->heads[chain->n - 1];

                if (last->sequence == head->sequence && digest_eq(&last->hash, &head->hash))
                        return 0;
                if (last->sequence >= head->sequence) {
                        *ret_known = *last;
                        return RUNBOOK_CHECKPOINT_HEAD;
                }
        }
        if (keeps_all && h->n_heads >= h->n_heads_max)
                return RUNBOOK_CLIENT_E_TOO_LARGE;
        if (!keeps_all && !chain && h->n_chains >= h->n_chains_max)
                forget_oldest(h);
        if (!chain)
                chain = chain_new(h, engine, head->id);
        if (!chain)
                return RUNBOOK_CLIENT_E_MEMORY;
        list_remove(&chain->node);
        list_push_back(&h->by_age, &chain->node);
        if (!keeps_all && chain->n > 0) {
                chain->heads[0] = new;
                return 0;
        }
        if (!chain_grow(chain))
                return RUNBOOK_CLIENT_E_MEMORY;
        chain->heads[chain->n++] = new;
        h->n_heads++;
        return 0;
}

const AttestedHead *checkpoint_heads_find(const CheckpointHeads *h, uint32_t engine, Uuid id,
                                          int64_t sequence) {
        const AttestedChain *chain = find(h, engine, id);
        size_t low = 0, high = chain ? chain->n : 0;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (chain->heads[middle].sequence == sequence)
                        return &chain->heads[middle];
                if (chain->heads[middle].sequence < sequence)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

const AttestedHead *checkpoint_heads_newest(const CheckpointHeads *h, uint32_t engine, Uuid id) {
        const AttestedChain *chain = find(h, engine, id);

        return chain && chain->n > 0 ? &chain->heads[chain->n - 1] : NULL;
}
