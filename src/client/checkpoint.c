/*
 * Checks engines' signed checkpoints, from the events alone, and remembers what they attest.
 *
 * A history's own chain shows every alteration but one: that all of it was made anew, or that its end was cut
 * off. A checkpoint is the engine's signed word on where its chains stood at a moment, and checkpoints are
 * chained themselves. Whoever keeps them where the engine's people cannot reach can hold any history against
 * them later.
 *
 * Faults are of two sorts. A checkpoint that is not whole (form, key, signature, agreement with its
 * statement, seal) says nothing: anybody may have made it, so it neither attests anything nor moves the
 * chain. One that is whole but out of place (a gap, another branch, a head that goes back) is the engine's
 * own word, and perhaps the proof against it: it counts, and the chain goes on from it. The exception is one
 * with a number that was passed long ago.
 *
 * The stream delivers at least once, so the last few checkpoints of an engine may come again; they are known
 * by their content.
 */

#include <stdlib.h>
#include "base/cleanup.h"
#include "client/checkpoint_heads.h"
#include "client/client_error.h"
#include "client/random_bits.h"

#define RECENT_MAX 512 /* checkpoints of an engine that are known again */

typedef struct RecentCheckpoint {
        int64_t sequence;
        Digest hash;
} RecentCheckpoint;

typedef struct Engine {
        RunbookCheckpointEngine told;
        char name[CHECKPOINT_ENGINE_MAX + 1], key_text[CHECKPOINT_KEY_TEXT_SIZE + 1];
        char hash_text[DIGEST_TEXT_SIZE + 1];
        uint32_t number;
        bool is_pinned; /* `key` is its key */
        uint8_t key[SIGNATURE_KEY_SIZE];
        Digest last_hash;
        RecentCheckpoint recent[RECENT_MAX]; /* by sequence modulo RECENT_MAX */
} Engine;

struct RunbookCheckpoints {
        Engine *engines[RUNBOOK_CHECKPOINT_ENGINES_MAX];
        size_t n_engines;
        uint8_t keys[RUNBOOK_CHECKPOINT_KEYS_MAX][SIGNATURE_KEY_SIZE];
        size_t n_keys;
        CheckpointHeads heads;
        uint64_t n_events, n_faults;
};

RunbookCheckpoints *runbook_checkpoints_new(RunbookCheckpointMemory memory) {
        RunbookCheckpoints *c = calloc(1, sizeof *c);
        uint64_t seeds[2];

        if (!c)
                return NULL;
        random_bits(seeds);
        checkpoint_heads_init(&c->heads, memory, seeds[0], seeds[1]);
        return c;
}

void runbook_checkpoints_free(RunbookCheckpoints *c) {
        if (!c)
                return;
        for (size_t i = 0; i < c->n_engines; i++)
                free(c->engines[i]);
        checkpoint_heads_deinit(&c->heads);
        free(c);
}

int runbook_checkpoints_trust(RunbookCheckpoints *c, const char *public_key, RunbookClientError *e) {
        uint8_t key[SIGNATURE_KEY_SIZE];

        if (!public_key || !checkpoint_key_parse(slice_from_str(public_key), key))
                return client_error_set(
                                e, RUNBOOK_CLIENT_E_INVALID,
                                "a public key is 32 bytes in base64 (44 characters), as the engine logs "
                                "it at its start");
        if (c->n_keys >= RUNBOOK_CHECKPOINT_KEYS_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_TOO_LARGE, "more than %d keys to trust",
                                        RUNBOOK_CHECKPOINT_KEYS_MAX);
        memcpy(c->keys[c->n_keys++], key, sizeof key);
        return 0;
}

int runbook_checkpoints_only(RunbookCheckpoints *c, const char *chain_id, RunbookClientError *e) {
        if (!chain_id || !uuid_parse(slice_from_str(chain_id), &c->heads.only))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "a chain is named by a UUID");
        c->heads.only_one = true;
        return 0;
}

uint64_t runbook_checkpoints_events(const RunbookCheckpoints *c) { return c->n_events; }

uint64_t runbook_checkpoints_faults(const RunbookCheckpoints *c) { return c->n_faults; }

const RunbookCheckpointEngine *runbook_checkpoints_engine(const RunbookCheckpoints *c, size_t i) {
        return i < c->n_engines ? &c->engines[i]->told : NULL;
}

/* ── Is it whole? ──────────────────────────────────────────────────────────────────────────────── */

/** The engine of this name, a new one if need be. 0, E_TOO_LARGE, E_MEMORY. */
static int engine_get(RunbookCheckpoints *c, Slice name, Engine **ret, RunbookClientError *e) {
        Engine *engine;

        for (size_t i = 0; i < c->n_engines; i++)
                if (slice_eq_str(name, c->engines[i]->name)) {
                        *ret = c->engines[i];
                        return 0;
                }
        if (c->n_engines >= RUNBOOK_CHECKPOINT_ENGINES_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_TOO_LARGE, "checkpoints of more than %d engines",
                                        RUNBOOK_CHECKPOINT_ENGINES_MAX);
        engine = calloc(1, sizeof *engine);
        if (!engine)
                return client_error_memory(e);
        memcpy(engine->name, name.data, name.n);
        engine->number = (uint32_t)c->n_engines;
        engine->told.engine = engine->name;
        engine->told.public_key = engine->key_text;
        engine->told.last_hash = engine->hash_text;
        *ret = c->engines[c->n_engines++] = engine;
        return 0;
}

static RecentCheckpoint *recent_slot(Engine *engine, int64_t sequence) {
        return &engine->recent[sequence % RECENT_MAX];
}

static bool is_trusted(const RunbookCheckpoints *c, const Engine *engine, const uint8_t *key) {
        bool found = c->n_keys == 0;

        for (size_t i = 0; i < c->n_keys; i++)
                found |= !memcmp(c->keys[i], key, SIGNATURE_KEY_SIZE);
        return found && (!engine->is_pinned || !memcmp(engine->key, key, SIGNATURE_KEY_SIZE));
}

#define NAMED       "checkpoint %lld of engine %s"
#define NAME_OF(cp) (long long)(cp)->sequence, engine->name

static int judge_content(const RunbookCheckpoints *c, Engine *engine, const CheckpointEvent *cp,
                         RunbookClientError *e) {
        const RecentCheckpoint *known = recent_slot(engine, cp->sequence);
        char key[CHECKPOINT_KEY_TEXT_SIZE + 1], digest[DIGEST_TEXT_SIZE + 1];
        int signed_by_key;

        if (known->sequence == cp->sequence && digest_eq(&known->hash, &cp->content) &&
            digest_eq(&cp->claimed, &cp->content))
                return client_error_set(e, RUNBOOK_CHECKPOINT_REPEATED, NAMED " was there already",
                                        NAME_OF(cp));
        checkpoint_key_format(cp->key, key);
        if (!is_trusted(c, engine, cp->key))
                return client_error_set(e, RUNBOOK_CHECKPOINT_KEY, NAMED " is signed by key %s, %s%s",
                                        NAME_OF(cp), key,
                                        engine->is_pinned ? "not by " : "which is not trusted",
                                        engine->is_pinned ? engine->key_text : "");
        signed_by_key = checkpoint_event_is_signed(cp);
        if (signed_by_key < 0)
                return client_error_memory(e);
        if (!signed_by_key)
                return client_error_set(e, RUNBOOK_CHECKPOINT_SIGNATURE,
                                        NAMED ": its statement was not signed by key %s", NAME_OF(cp), key);
        if (!cp->agrees)
                return client_error_set(e, RUNBOOK_CHECKPOINT_STATEMENT,
                                        NAMED
                                        ": the event says something else than the signed statement in it",
                                        NAME_OF(cp));
        digest_format(&cp->content, digest);
        if (!digest_eq(&cp->claimed, &cp->content))
                return client_error_set(e, RUNBOOK_CHECKPOINT_HASH,
                                        NAMED " was altered: its content gives hash %s, it says another",
                                        NAME_OF(cp), digest);
        return RUNBOOK_CHECKPOINT_FINE;
}

/* ── Is it in its place? ───────────────────────────────────────────────────────────────────────── */

static int judge_place(Engine *engine, const CheckpointEvent *cp, RunbookClientError *e) {
        static const Digest none;
        long long sequence = (long long)cp->sequence, last = (long long)engine->told.last_sequence;
        bool is_first = engine->told.n_checkpoints == 0;
        char prevhash[DIGEST_TEXT_SIZE + 1];

        if (is_first ? sequence == 1 && !digest_eq(&cp->prevhash, &none)
                     : sequence == last + 1 && !digest_eq(&cp->prevhash, &engine->last_hash)) {
                digest_format(&cp->prevhash, prevhash);
                return client_error_set(e, RUNBOOK_CHECKPOINT_LINK,
                                        NAMED " does not follow the one before it: prevhash is %s, not %s",
                                        NAME_OF(cp), prevhash,
                                        is_first ? "64 zeros, as that of the first" : engine->hash_text);
        }
        if (is_first || sequence == last + 1)
                return RUNBOOK_CHECKPOINT_FINE;
        if (sequence == last + 2)
                return client_error_set(e, RUNBOOK_CHECKPOINT_GAP, "checkpoint %lld of engine %s is missing",
                                        sequence - 1, engine->name);
        if (sequence > last)
                return client_error_set(e, RUNBOOK_CHECKPOINT_GAP,
                                        "checkpoints %lld to %lld of engine %s are missing", last + 1,
                                        sequence - 1, engine->name);
        if (recent_slot(engine, sequence)->sequence == sequence)
                return client_error_set(e, RUNBOOK_CHECKPOINT_FORK,
                                        NAMED
                                        " was signed twice, with different content: the engine's store was "
                                        "set back, or its key is in other hands",
                                        NAME_OF(cp));
        return client_error_set(e, RUNBOOK_CHECKPOINT_ORDER, NAMED " stands behind checkpoint %lld",
                                NAME_OF(cp), last);
}

/** Note its heads. 0, HEAD (the first fault), E_TOO_LARGE or E_MEMORY. */
static int note_heads(RunbookCheckpoints *c, Engine *engine, const CheckpointEvent *cp,
                      RunbookClientError *e) {
        AttestedHead known;
        int result = 0;

        for (size_t i = 0; i < cp->n_heads; i++) {
                const CheckpointHead *head = &cp->heads[i];
                int r = checkpoint_heads_note(&c->heads, engine->number, cp->sequence, head, &known);
                char id[UUID_TEXT_SIZE + 1];

                if (r == RUNBOOK_CLIENT_E_TOO_LARGE)
                        return client_error_set(
                                        e, r,
                                        "more than %zu attested events are too many to remember; check "
                                        "one execution at a time",
                                        c->heads.n_heads_max);
                if (r < 0)
                        return client_error_memory(e);
                if (r == 0 || result)
                        continue;
                uuid_format(head->id, id);
                result = client_error_set(e, RUNBOOK_CHECKPOINT_HEAD,
                                          known.sequence > head->sequence ? NAMED
                                                          " takes chain %s back to event %lld: checkpoint "
                                                          "%lld attests event %lld"
                                                                          : NAMED
                                                          " attests another hash of chain %s, event %lld, "
                                                          "than checkpoint %lld (event %lld)",
                                          NAME_OF(cp), id, (long long)head->sequence,
                                          (long long)known.checkpoint, (long long)known.sequence);
        }
        return result;
}

/** The chain goes on from here. False when out of memory. */
static bool move_on(Engine *engine, const CheckpointEvent *cp) {
        RunbookCheckpointEngine *told = &engine->told;

        if (!engine->is_pinned) {
                checkpoint_key_format(cp->key, engine->key_text);
                if (!*engine->key_text)
                        return false;
                memcpy(engine->key, cp->key, sizeof engine->key);
                engine->is_pinned = true;
        }
        if (told->n_checkpoints++ == 0) {
                told->first_sequence = cp->sequence;
                told->first_time_ms = cp->time_ms;
        }
        told->n_heads += cp->n_heads;
        told->last_sequence = cp->sequence;
        told->last_time_ms = cp->time_ms;
        engine->last_hash = cp->content;
        digest_format(&cp->content, engine->hash_text);
        *recent_slot(engine, cp->sequence) = (RecentCheckpoint){cp->sequence, cp->content};
        return true;
}

static int judge(RunbookCheckpoints *c, Engine *engine, const CheckpointEvent *cp, RunbookClientError *e) {
        RunbookClientError ignored;
        int r = judge_content(c, engine, cp, e), heads;

        if (r)
                return r;
        r = judge_place(engine, cp, e);
        if (r == RUNBOOK_CHECKPOINT_ORDER)
                return r;
        if (!move_on(engine, cp))
                return client_error_memory(e);
        heads = note_heads(c, engine, cp, r ? &ignored : e);
        if (heads < 0 && r && e)
                *e = ignored;
        return heads < 0 || r == 0 ? heads : r;
}

int runbook_checkpoints_add(RunbookCheckpoints *c, const char *event, size_t size, RunbookClientError *e) {
        _cleanup_(checkpoint_event_deinit) CheckpointEvent cp = {0};
        Engine *engine = NULL;
        int r = checkpoint_event_read((Slice){event, size}, &cp, e);

        c->n_events++;
        if (r == 0)
                r = engine_get(c, cp.engine, &engine, e);
        if (r == 0)
                r = judge(c, engine, &cp, e);
        if (r > RUNBOOK_CHECKPOINT_REPEATED) {
                c->n_faults++;
                if (engine)
                        engine->told.n_faults++;
        }
        return r;
}

/* ── What they attest ──────────────────────────────────────────────────────────────────────────── */

int runbook_checkpoints_check(const RunbookCheckpoints *c, const char *chain_id, int64_t sequence,
                              const char *hash, RunbookClientError *e) {
        int result = RUNBOOK_NOT_ATTESTED;
        Digest digest;
        Uuid id;

        if (!chain_id || !hash || !digest_parse(slice_from_str(hash), &digest))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "a chain's id and 64 hex digits are wanted");
        if (!uuid_parse(slice_from_str(chain_id), &id))
                return RUNBOOK_NOT_ATTESTED;
        for (size_t i = 0; i < c->n_engines; i++) {
                const AttestedHead *head = checkpoint_heads_find(&c->heads, (uint32_t)i, id, sequence);
                char attested[DIGEST_TEXT_SIZE + 1];

                if (!head)
                        continue;
                result = RUNBOOK_ATTESTED;
                if (digest_eq(&head->hash, &digest))
                        continue;
                digest_format(&head->hash, attested);
                return client_error_set(
                                e, RUNBOOK_CONTRADICTED,
                                "event %lld was altered: checkpoint %lld of engine %s attests hash %s, "
                                "it has %s",
                                (long long)sequence, (long long)head->checkpoint, c->engines[i]->name,
                                attested, hash);
        }
        return result;
}

bool runbook_checkpoints_newest(const RunbookCheckpoints *c, const char *chain_id, RunbookAttested *ret) {
        const AttestedHead *newest = NULL;
        Uuid id;

        if (!chain_id || !uuid_parse(slice_from_str(chain_id), &id))
                return false;
        for (size_t i = 0; i < c->n_engines; i++) {
                const AttestedHead *head = checkpoint_heads_newest(&c->heads, (uint32_t)i, id);

                if (!head || (newest && newest->sequence >= head->sequence))
                        continue;
                newest = head;
                *ret = (RunbookAttested){.sequence = head->sequence,
                                         .engine = c->engines[i]->name,
                                         .checkpoint = head->checkpoint};
                digest_format(&head->hash, ret->hash);
        }
        return newest != NULL;
}
