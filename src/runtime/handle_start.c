/*
 * REQUEST_START: which runbook, may this user, is it a duplicate; then the core.
 *
 * Duplicates. What makes two starts the same is one digest over tenant, runbook, version and either the
 * caller's idempotency key or, where the runbook's mode is "input" and no key is given, the canonical input.
 * A key given for a runbook of mode "input" wins: the caller knows better than the shape of the data. Dry
 * runs, replays and children are never duplicates.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "runtime/runtime_private.h"

#define IDEMPOTENCY_TAG "runbook.idempotency.v1"

static const Digest no_digest; /* duplicates are not looked for */

uint64_t start_seed(Uuid id) {
        /* From the id alone: an execution's static record then says all there is to know about its start. */
        static const uint64_t key[2] = {0x72756e626f6f6b73u, 0x7374617274736565u};
        return map_hash(key, uuid_slice(&id));
}

#define OPTIONS_VERSION 1

int start_options_put(Touched *t, const Input *in) {
        if (in->pause_at.n == 0)
                return 0;
        size_t frame = frame_begin(&t->journal, SLICE_NULL);
        buf_put_u8(&t->journal, OPTIONS_VERSION);
        buf_put_bytes(&t->journal, in->pause_at);
        frame_end(&t->journal, frame);
        t->n_journal++;
        return t->journal.error;
}

int start_options_get(Slice record, Slice *ret_pause_at) {
        Reader reader = reader_from_slice(record);

        if (reader_u8(&reader) != OPTIONS_VERSION)
                return -EBADMSG;
        *ret_pause_at = reader_bytes(&reader);
        return reader.failed || reader_left(&reader) ? -EBADMSG : 0;
}

int start_execution(Batch *b, Runbook *runbook, Input *in, CacheEntry **ret) {
        Execution *x = NULL;

        in->kind = INPUT_START;
        in->now_ms = b->now_ms;
        if (uuid_is_nil(in->parent))
                in->parent_instance = INSTANCE_NONE;
        in->seed = start_seed(in->execution_id);
        update_reset(&b->update);
        int r = engine_start(runbook, &b->r->settings.engine, in, &b->update, &x);
        if (r < 0)
                return r;
        x->order = store_next_order(b->r->store);
        CacheEntry *e = cache_put(&b->r->cache, x);
        if (!e)
                return -ENOMEM;
        if (!batch_touch(b, e)) {
                cache_drop(&b->r->cache, e);
                return -ENOMEM;
        }
        e->touched->is_new = true;
        b->n_inputs++;
        b->n_started++;
        b->n_ended += runbook_execution_status_is_final(x->status);
        b->n_bytes += value_bytes(x->input).n + value_bytes(x->context).n;
        *ret = e;
        r = start_options_put(e->touched, in);
        return r ? r : batch_absorb(b, e, in, false);
}

/* ---- which runbook --------------------------------------------------------------------------------------
 */

typedef struct Names {
        const char **names;
        size_t n;
        Arena arena;
} Names;

static bool collect_name(void *userdata, const StoreRunbook *row) {
        Names *names = userdata;
        char *copy = (char *)arena_dup(&names->arena, row->id).data;

        if (copy)
                names->names[names->n++] = copy;
        return copy && names->n < RUNTIME_NEAREST_SCAN;
}

static int refuse_unknown(Batch *b, Item *it) {
        const Request *q = it->request;
        StoreRunbook newest;

        int r = store_runbook_get(b->txn, q->input.tenant, q->runbook_id, SLICE_NULL, &newest);
        if (r == 0)
                return batch_refuse(b, it, RUNBOOK_RUNBOOK_NOT_FOUND,
                                    "Runbook \"%.*s\" has no version \"%.*s\"; the newest is \"%.*s\".",
                                    SLICE_ARG(q->runbook_id), SLICE_ARG(q->version),
                                    SLICE_ARG(newest.version));
        if (r != STORE_E_NOT_FOUND)
                return r;
        const char *candidates[RUNTIME_NEAREST_SCAN];
        Names names = {.names = candidates};
        r = store_runbook_list(b->txn, q->input.tenant, SLICE_NULL, collect_name, &names);
        if (r == 0) {
                const char *near = slice_nearest(q->runbook_id, names.names, names.n);
                r = batch_refuse(b, it, RUNBOOK_RUNBOOK_NOT_FOUND, "There is no runbook \"%.*s\"%s%s%s",
                                 SLICE_ARG(q->runbook_id), near ? "; did you mean \"" : ". ",
                                 near ? near : "Register it first.", near ? "\"?" : "");
        }
        arena_deinit(&names.arena);
        return r;
}

/* ---- may it ----------------------------------------------------------------------------------------- */

static bool user_is_listed(const Request *q) {
        const json_t *basis = json_object_get(value_json(q->input.context), "legalBasis");
        const json_t *users = json_object_get(basis, "authorizedUsers");
        size_t n = json_array_size(users);

        for (size_t i = 0; i < n; i++)
                if (slice_eq(json_string_slice(json_array_get(users, i)), q->input.user))
                        return true;
        return n == 0;
}

/** The id that this start asks for, or a fresh one. False: refused. */
static bool choose_id(Batch *b, Item *it, int *ret) {
        Input *in = &it->request->input;
        char text[UUID_TEXT_SIZE + 1];

        if (it->fresh_id || uuid_is_nil(in->execution_id)) {
                it->fresh_id =
                        true; /* noted, so that a second run of the batch doesn't take it for the caller's */
                in->execution_id = uuid_v7(b->now_ms, it->random[1], it->random[2]);
                return true;
        }
        uuid_format(in->execution_id, text);
        if (uuid_v7_time_ms(in->execution_id) < 0)
                *ret = batch_refuse(b, it, RUNBOOK_INVALID_REQUEST,
                                    "executionId must be a UUIDv7, %s is not one.", text);
        else if (cache_get(&b->r->cache, in->execution_id) ||
                 store_execution_exists(b->txn, in->execution_id))
                *ret = batch_refuse(b, it, RUNBOOK_WRONG_STATE, "There is an execution %s already.", text);
        else
                return true;
        return false;
}

/* ---- is it a duplicate ------------------------------------------------------------------------------ */

static int digest_of(Batch *b, const Request *q, const Runbook *runbook, Digest *ret) {
        bool by_key = q->input.idempotency_key.n > 0;
        Slice content = by_key ? q->input.idempotency_key : SLICE("null");

        *ret = (Digest){0};
        if (q->skip_idempotency_check || q->input.dry_run || runbook->idempotency == IDEMPOTENCY_NONE ||
            (runbook->idempotency == IDEMPOTENCY_KEY && !by_key))
                return 0;
        if (!by_key && q->input.value) {
                content = value_bytes(q->input.value);
                if (!content.data)
                        return -ENOMEM;
        }
        /* Lengths before the parts: no two different starts give the same bytes. */
        buf_reset(&b->scratch);
        buf_put_bytes(&b->scratch, SLICE(IDEMPOTENCY_TAG));
        buf_put_bytes(&b->scratch, q->input.tenant);
        buf_put_bytes(&b->scratch, runbook->id);
        buf_put_bytes(&b->scratch, runbook->version);
        buf_put_u8(&b->scratch, by_key ? 'k' : 'i');
        if (b->scratch.error)
                return b->scratch.error;
        const Slice parts[] = {buf_slice(&b->scratch), content};
        return digest_slices(parts, 2, ret);
}

static int reply_duplicate(Batch *b, Item *it, Uuid existing) {
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(existing, text);
        buf_reset(&b->reply);
        JsonWriter w = json_writer(&b->reply);
        json_begin_object(&w);
        json_key(&w, "duplicate");
        json_put_bool(&w, true);
        json_key(&w, "executionId");
        json_put_str(&w, text);
        json_key(&w, "status");
        json_put_str(&w, "started");
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        return batch_reply(b, it);
}

static int start_new(Batch *b, Item *it, Runbook *runbook, const Digest *digest) {
        Input *in = &it->request->input;
        CacheEntry *e;

        in->idempotency_digest = *digest;
        int r = start_execution(b, runbook, in, &e);
        if (r == -EINVAL)
                return batch_refuse_report(b, it, &b->update.refusal);
        if (r)
                return r;
        /* An execution that failed at once has given its claim back already. */
        bool claims = !runbook_execution_status_is_final(e->x->status) ||
                      e->x->status == RUNBOOK_EXECUTION_COMPLETED;
        if (claims && !digest_eq(digest, &no_digest))
                r = store_idempotency_put(b->txn, digest, e->x->id);
        return r ? r : batch_reply_update(b, it);
}

int handle_start(Batch *b, Item *it) {
        _cleanup_(runbook_unref_p) Runbook *runbook = NULL;
        const Request *q = it->request;
        Digest digest;
        Uuid existing;
        int r = 0;

        if (refuse_new_work(b, it, &r))
                return r;
        r = runtime_runbook_lookup(b->r, b->txn, q->input.tenant, q->runbook_id, q->version, &runbook);
        if (r)
                return r == STORE_E_NOT_FOUND ? refuse_unknown(b, it) : r;
        if (!user_is_listed(q))
                return batch_refuse(b, it, RUNBOOK_FORBIDDEN,
                                    "\"%.*s\" is not among context.legalBasis.authorizedUsers and so may not "
                                    "start this execution.",
                                    SLICE_ARG(q->input.user));
        if (!choose_id(b, it, &r))
                return r;
        r = digest_of(b, q, runbook, &digest);
        if (r)
                return r;
        r = digest_eq(&digest, &no_digest) ? STORE_E_NOT_FOUND
                                           : store_idempotency_get(b->txn, &digest, &existing);
        if (r == 0)
                return reply_duplicate(b, it, existing);
        if (r != STORE_E_NOT_FOUND)
                return r;
        return start_new(b, it, runbook, &digest);
}
