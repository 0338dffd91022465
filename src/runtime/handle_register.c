/*
 * REQUEST_REGISTER: a definition becomes a version that never changes. Each registration is an event in the
 * tenant's own series, the catalog, chained by hash like an execution's history and published the same way.
 */
#include <errno.h>
#include <stdlib.h>

#include "json/json_write.h"
#include "runtime/runtime_private.h"

static int reply_registered(Batch *b, Item *it, const char *status) {
        const Runbook *runbook = it->request->runbook;

        buf_reset(&b->reply);
        JsonWriter w = json_writer(&b->reply);
        json_begin_object(&w);
        json_key(&w, "runbook");
        json_begin_object(&w);
        json_key(&w, "description");
        json_put_string(&w, runbook->description);
        json_key(&w, "id");
        json_put_string(&w, runbook->id);
        json_key(&w, "name");
        json_put_string(&w, runbook->name);
        json_key(&w, "stepCount");
        json_put_i64(&w, runbook->n_steps);
        json_key(&w, "version");
        json_put_string(&w, runbook->version);
        json_end_object(&w);
        json_key(&w, "status");
        json_put_str(&w, status);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        return batch_reply(b, it);
}

/* ---- the catalog ------------------------------------------------------------------------------------------
 */

static char *catalog_name(Batch *b, Slice tenant) {
        return arena_printf(&b->arena, STORE_META_CATALOG "%.*s", SLICE_ARG(tenant));
}

static int catalog_get(Batch *b, const char *name, EventChain *chain) {
        Slice stored;

        int r = store_meta_get(b->txn, name, &stored);
        if (r == STORE_E_NOT_FOUND)
                return 0;
        if (r)
                return r;
        Reader reader = reader_from_slice(stored);
        chain->seq = reader_u64(&reader);
        Slice hash = reader_take(&reader, DIGEST_SIZE);
        if (reader.failed)
                return -EBADMSG;
        memcpy(chain->hash.bytes, hash.data, DIGEST_SIZE);
        return 0;
}

static int catalog_put(Batch *b, const char *name, const EventChain *chain) {
        buf_reset(&b->scratch);
        buf_put_u64(&b->scratch, chain->seq);
        buf_put(&b->scratch, chain->hash.bytes, DIGEST_SIZE);
        return b->scratch.error ? b->scratch.error : store_meta_put(b->txn, name, buf_slice(&b->scratch));
}

static int record(Batch *b, const Request *q) {
        EventChain chain = {0};
        Update *u = &b->update;
        Slice tenant = q->input.tenant;
        char *name = catalog_name(b, tenant);

        if (!name)
                return -ENOMEM;
        int r = engine_catalog_id(tenant, &chain.id);
        if (r == 0)
                r = catalog_get(b, name, &chain);
        if (r)
                return r;
        update_reset(u);
        r = engine_catalog_event(&chain, &b->r->settings.engine, &q->input, q->runbook, u);
        if (r)
                return r;
        const StorePart parts[N_STORE_SERIES] = {
                [STORE_HISTORY] = {.first = u->first_seq, .n = u->n_events, .frames = buf_slice(&u->events)}};
        r = store_bundle_append(b->txn, chain.id, chain.seq, parts);
        if (r == 0)
                r = batch_announce(b, STORE_HISTORY, tenant, chain.id, u->first_seq, u->n_events);
        return r ? r : catalog_put(b, name, &chain);
}

/* ---- the registration ------------------------------------------------------------------------------- */

static int put_runbook(Batch *b, const Request *q) {
        Runbook *runbook = q->runbook;
        StoreRunbook row = {
                .id = runbook->id,
                .version = runbook->version,
                .name = runbook->name,
                .description = runbook->description,
                .n_steps = runbook->n_steps,
                .registered_ms = b->now_ms,
                .registered_by = q->input.user,
                .order = store_next_order(b->r->store),
                .digest = runbook->digest,
                .definition = value_bytes(runbook->definition),
        };

        if (!row.definition.data)
                return -ENOMEM;
        b->n_bytes += row.definition.n;
        return store_runbook_put(b->txn, q->input.tenant, &row);
}

int handle_register(Batch *b, Item *it) {
        const Request *q = it->request;
        const Runbook *runbook = q->runbook;
        StoreRunbook existing;

        int r = store_runbook_get(b->txn, q->input.tenant, runbook->id, runbook->version, &existing);
        if (r == 0 && digest_eq(&existing.digest, &runbook->digest))
                return reply_registered(b, it, "unchanged");
        if (r == 0)
                return batch_refuse(b, it, RUNBOOK_VERSION_CONFLICT,
                                    "Version \"%.*s\" of runbook \"%.*s\" is registered with other content. "
                                    "A version never changes: "
                                    "give the new content a new version.",
                                    SLICE_ARG(runbook->version), SLICE_ARG(runbook->id));
        if (r != STORE_E_NOT_FOUND || refuse_new_work(b, it, &r))
                return r;
        r = put_runbook(b, q);
        if (r == 0)
                r = record(b, q);
        return r ? r : reply_registered(b, it, "registered");
}
