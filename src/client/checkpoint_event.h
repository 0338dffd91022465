#pragma once
/* One checkpoint as it came: is its form right, and did that key sign it? */

#include <runbook/client.h>
#include "base/uuid.h"
#include "client/event_seal.h"
#include "json/signature.h"

#define CHECKPOINT_ENGINE_MAX    64  /* bytes of an engine's id */
#define CHECKPOINT_KEY_TEXT_SIZE 44  /* base64 */
#define CHECKPOINT_HEADS_MAX     500 /* of one checkpoint */

/** A chain's last event at that moment. */
typedef struct CheckpointHead {
        Uuid id;
        int64_t sequence;
        Digest hash;
} CheckpointHead;

/** What a checkpoint says; slices and trees are borrowed from `json`. */
typedef struct CheckpointEvent {
        json_t *json; /* owned; without its member `hash` */
        Slice engine;
        int64_t sequence, time_ms;
        Digest prevhash;
        Digest claimed; /* the hash that it says */
        Digest content; /* the hash that its content gives */
        uint8_t key[SIGNATURE_KEY_SIZE], signature[SIGNATURE_SIZE];
        const json_t *statement;
        CheckpointHead *heads; /* owned */
        size_t n_heads;
        bool agrees; /* the event says what the statement says */
} CheckpointEvent;

/**
 * Read @text into zeroed *ret. 0, RUNBOOK_CHECKPOINT_MALFORMED with @e, or RUNBOOK_CLIENT_E_MEMORY. In any
 * case *ret is to be given to checkpoint_event_deinit.
 */
int checkpoint_event_read(Slice text, CheckpointEvent *ret, RunbookClientError *e);
void checkpoint_event_deinit(CheckpointEvent *c);
/** Is the signature that of `key` over the canonical statement? 1, 0, or RUNBOOK_CLIENT_E_MEMORY. */
int checkpoint_event_is_signed(const CheckpointEvent *c);
/** A public key as people hand it on: base64 of 32 bytes. */
bool checkpoint_key_parse(Slice text, uint8_t ret[SIGNATURE_KEY_SIZE]);
void checkpoint_key_format(const uint8_t key[SIGNATURE_KEY_SIZE], char ret[CHECKPOINT_KEY_TEXT_SIZE + 1]);
