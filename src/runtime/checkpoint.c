/*
 * Checkpoints
 *
 * A chain shows that nothing in its midst was altered. It does not show that its end was cut off, or all of it
 * written anew. So the engine says now and then, signed and in a chain of its own, how far the other chains have
 * come: {id, sequence, hash} of each that has grown. Who keeps these statements elsewhere can hold any history against
 * them later.
 *
 *     outbox rows ──at──► entries ──► heads ──► statement, signed ──► event of the engine's series ──► outbox
 *
 * What has grown is known from the outbox: its rows name every segment of history that was written, and stay until
 * they are attested. A checkpoint is due when a change has waited for checkpoint_ms, or when there is enough for a
 * full one; it is written in the transaction of whatever batch comes along, and attests what was committed
 * before that.
 */
#include "runtime/checkpoint.h"

#include <errno.h>

#include "base/base64.h"
#include "base/log.h"
#include "json/json_scan.h"
#include "json/json_write.h"
#include "model/update.h"
#include "runtime/runtime_private.h"

typedef struct Head {
        Uuid id;
        Slice tenant;
        uint64_t sequence;
} Head;

/** The heads that a row after the other gives. */
typedef struct Heads {
        Batch *b;
        Head *all; /* CHECKPOINT_HEADS_MAX, in the batch's arena */
        size_t n;
        Map by_id;
        CheckpointAt at; /* the next entry */
        uint32_t entry;  /* of the row being read */
        bool full;
        int error;
} Heads;

/* ---- what is due -------------------------------------------------------------------- */

int64_t checkpoint_due_ms(const Runtime *r) {
        const Checkpointer *c = &r->checkpointer;
        if (r->settings.checkpoint_ms == 0 || c->n_pending == 0 || r->is_high)
                return INT64_MAX; /* a store that is nearly full keeps its room for ending what runs */
        return c->n_pending >= CHECKPOINT_HEADS_MAX ? INT64_MIN : c->since_ms + r->settings.checkpoint_ms;
}

uint64_t checkpoint_row_kept(const Runtime *r, uint64_t row) {
        uint64_t next = r->checkpointer.at.row;
        if (r->settings.checkpoint_ms == 0)
                return row;
        return next == 0 ? 0 : next - 1 < row ? next - 1 : row;
}

static int put_state(Batch *b, const Checkpoint *made) {
        Buf *scratch = &b->scratch;
        buf_reset(scratch);
        buf_put_u64(scratch, made->chain.seq);
        buf_put(scratch, made->chain.hash.bytes, DIGEST_SIZE);
        buf_put_u64(scratch, made->at.row);
        buf_put_u32(scratch, made->at.entry);
        return scratch->error ? scratch->error : store_meta_put(b->txn, STORE_META_CHECKPOINT, buf_slice(scratch));
}

int checkpoint_recover(Runtime *r, StoreTxn *t) {
        Checkpointer *c = &r->checkpointer;
        Slice stored;

        *c = (Checkpointer){.chain.id = store_engine_id(r->store), .since_ms = r->last_now_ms};
        c->n_pending = 1; /* there may be something: looking tells */
        int rc = store_meta_get(t, STORE_META_CHECKPOINT, &stored);
        if (rc)
                return rc == STORE_E_NOT_FOUND ? 0 : rc;
        Reader reader = reader_from_slice(stored);
        c->chain.seq = reader_u64(&reader);
        Slice hash = reader_take(&reader, DIGEST_SIZE);
        c->at.row = reader_u64(&reader);
        c->at.entry = reader_u32(&reader);
        if (reader.failed)
                return -EBADMSG;
        memcpy(c->chain.hash.bytes, hash.data, DIGEST_SIZE);
        return 0;
}

void checkpoint_committed(Batch *b) {
        Checkpointer *c = &b->r->checkpointer;
        const Checkpoint *done = &b->upkeep.checkpoint;
        uint64_t n = 0;

        if (b->r->settings.checkpoint_ms == 0)
                return;
        if (done->looked) {
                c->at = done->at;
                c->n_pending = done->more ? CHECKPOINT_HEADS_MAX : 0;
                if (done->made)
                        c->chain = done->chain;
        }
        for (size_t i = 0; i < b->n_entries; i++)
                n += b->entries[i].series == STORE_HISTORY && b->entries[i].tenant.n > 0;
        if (n > 0 && c->n_pending == 0)
                c->since_ms = b->now_ms;
        c->n_pending += n;
}

/* ---- what has grown ----------------------------------------------------------------- */

static bool add_head(Heads *h, const StoreOutboxEntry *e) {
        Slice key = slice_from_bytes(e->id.bytes, sizeof(e->id.bytes));
        Head *head = map_get(&h->by_id, key);

        if (!head && h->n == CHECKPOINT_HEADS_MAX) {
                h->full = true;
                return false;
        }
        if (!head) {
                head = &h->all[h->n];
                *head = (Head){.id = e->id, .tenant = arena_dup(&h->b->arena, e->tenant)};
                key = slice_from_bytes(head->id.bytes, sizeof(head->id.bytes));
                if (!head->tenant.data || map_put(&h->by_id, key, head) < 0) {
                        h->error = -ENOMEM;
                        return false;
                }
                h->n++;
        }
        head->sequence = e->first + e->n - 1;
        return true;
}

static bool each_entry(void *userdata, const StoreOutboxEntry *e) {
        Heads *h = userdata;
        if (h->entry++ < h->at.entry)
                return true;
        if (e->series == STORE_HISTORY && e->tenant.n > 0 && !add_head(h, e))
                return false;
        h->at.entry = h->entry;
        return true;
}

/** From h->at on, up to the last row that was committed before this batch. */
static int gather(Heads *h) {
        uint64_t row, last = h->b->r->outbox_row;
        int64_t at_ms;

        h->all = ARENA_NEW_ARRAY(&h->b->arena, Head, CHECKPOINT_HEADS_MAX);
        if (!h->all)
                return -ENOMEM;
        for (int i = 0; !h->full && h->at.row <= last; i++) {
                if (i == CHECKPOINT_ROWS_MAX) {
                        h->full = true;
                        break;
                }
                CheckpointAt before = h->at;
                h->entry = 0;
                int r = store_outbox_read(h->b->txn, h->at.row, &row, &at_ms, each_entry, h);
                if (r || h->error)
                        return r == STORE_E_NOT_FOUND ? 0 : r ? r : h->error;
                if (row != before.row && before.entry > 0)
                        /* The row has expired while checkpoints were switched off: the next, from its beginning. */
                        h->at = (CheckpointAt){.row = row};
                else
                        h->at = h->full ? (CheckpointAt){row, h->at.entry} : (CheckpointAt){.row = row + 1};
        }
        return 0;
}

/** The hash of event @head->sequence, as hexadecimal digits. STORE_E_NOT_FOUND, -EBADMSG: it is not there. */
static int head_hash(StoreTxn *t, const Head *head, Slice *ret) {
        Slice frames, type, json, raw;
        size_t offset = 0;
        uint64_t first;
        uint32_t n;

        int r = store_series_segment(t, STORE_HISTORY, head->id, head->sequence, &first, &n, &frames);
        if (r)
                return r;
        for (uint64_t at = first; at <= head->sequence; at++)
                if (!frame_next(frames, &offset, &type, &json))
                        return -EBADMSG;
        bool found = first <= head->sequence && json_scan_member(json, "hash", &raw) &&
                     json_scan_plain_string(raw, ret) && ret->n == DIGEST_TEXT_SIZE;
        return found ? 0 : -EBADMSG;
}

static void complain(const Head *head) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(head->id, id);
        log_event(LOG_ERROR, "an event is missing or damaged in the store and can't be attested", "execution", id,
                  NULL);
}

static int put_heads(JsonWriter *w, const Heads *h) {
        char id[UUID_TEXT_SIZE + 1];
        Slice hash;

        json_begin_array(w);
        for (size_t i = 0; i < h->n; i++) {
                const Head *head = &h->all[i];
                int r = head_hash(h->b->txn, head, &hash);
                if (r == STORE_E_NOT_FOUND || r == -EBADMSG) {
                        complain(head);
                        continue;
                }
                if (r)
                        return r;
                uuid_format(head->id, id);
                json_begin_object(w);
                json_key(w, "hash");
                json_put_string(w, hash);
                json_key(w, "id");
                json_put_string(w, (Slice){id, UUID_TEXT_SIZE});
                json_key(w, "sequence");
                json_put_i64(w, (int64_t)head->sequence);
                json_key(w, "tenant");
                json_put_string(w, head->tenant);
                json_end_object(w);
        }
        json_end_array(w);
        return 0;
}

/* ---- the statement ------------------------------------------------------------------ */

/** In canonical order, for event chain->seq + 1. */
static int put_statement(const Heads *h, const EventChain *chain, Buf *b) {
        char id[UUID_TEXT_SIZE + 1], hash[DIGEST_TEXT_SIZE + 1];
        JsonWriter w = json_writer(b);

        uuid_format(chain->id, id);
        digest_format(&chain->hash, hash);
        json_begin_object(&w);
        json_key(&w, "engine");
        json_put_string(&w, (Slice){id, UUID_TEXT_SIZE});
        json_key(&w, "heads");
        int r = put_heads(&w, h);
        if (r)
                return r;
        json_key(&w, "prevhash");
        json_put_string(&w, (Slice){hash, DIGEST_TEXT_SIZE});
        json_key(&w, "sequence");
        json_put_i64(&w, (int64_t)chain->seq + 1);
        json_key(&w, "time");
        json_put_time_ms(&w, h->b->now_ms);
        json_end_object(&w);
        return b->error;
}

static void put_bytes(JsonWriter *w, const char *key, Slice bytes) {
        json_key(w, key);
        buf_put_char(w->buf, '"');
        base64_put(w->buf, bytes);
        buf_put_char(w->buf, '"');
        w->need_comma = true;
}

/** The event's data: the statement and its signature. */
static int put_data(const SigningKey *key, Slice statement, Buf *b) {
        uint8_t signature[SIGNATURE_SIZE];
        JsonWriter w = json_writer(b);

        int r = signature_make(key, statement, signature);
        if (r)
                return r;
        json_begin_object(&w);
        json_key(&w, "algorithm");
        json_put_string(&w, SLICE("Ed25519"));
        put_bytes(&w, "publicKey", slice_from_bytes(key->verifier, sizeof(key->verifier)));
        put_bytes(&w, "signature", slice_from_bytes(signature, sizeof(signature)));
        json_key(&w, "statement");
        json_put_raw(&w, statement);
        json_end_object(&w);
        return b->error;
}

/** The event into the engine's series and into the outbox. */
static int record(Batch *b, Checkpoint *made, Slice data) {
        const Runtime *r = b->r;
        Update *u = &b->update;

        update_reset(u);
        int rc = engine_checkpoint_event(&made->chain, &r->settings.engine, b->now_ms, data, u);
        if (rc)
                return rc;
        const StorePart parts[N_STORE_SERIES] = {
                [STORE_HISTORY] = {.first = u->first_seq, .n = u->n_events, .frames = buf_slice(&u->events)}};
        rc = store_bundle_append(b->txn, made->chain.id, made->chain.seq, parts);
        if (rc == 0)
                rc = batch_announce(b, STORE_HISTORY, SLICE_NULL, made->chain.id, u->first_seq, u->n_events);
        return rc ? rc : put_state(b, made);
}

int checkpoint_run(Batch *b) {
        Runtime *r = b->r;
        Checkpoint *done = &b->upkeep.checkpoint;
        _cleanup_(buf_deinit) Buf statement = {0}, data = {0};

        if (checkpoint_due_ms(r) > b->now_ms)
                return 0;
        Heads h = {.b = b, .at = r->checkpointer.at};
        map_init(&h.by_id, b->random, r->checkpointer.chain.seq);
        int rc = gather(&h);
        map_deinit(&h.by_id);
        *done = (Checkpoint){.looked = true, .more = h.full, .at = h.at, .chain = r->checkpointer.chain};
        if (rc || h.n == 0)
                return rc;
        rc = put_statement(&h, &done->chain, &statement);
        if (rc == 0)
                rc = put_data(&r->settings.checkpoint_key, buf_slice(&statement), &data);
        if (rc == 0)
                rc = record(b, done, buf_slice(&data));
        done->made = true;
        return rc;
}
