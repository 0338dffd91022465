/*
 * REQUEST_EVENT: an external event goes to the first step that waits for its type and correlation; where none
 * waits it is kept for one that will (first in, first out, for early_event_ttl_ms). Either way it is
 * consumed once.
 */
#include <errno.h>
#include <stdlib.h>

#include "json/json_write.h"
#include "runtime/runtime_private.h"

static int reply_event(Batch *b, Item *it, const char *status, const Uuid *to) {
        char text[UUID_TEXT_SIZE + 1];

        buf_reset(&b->reply);
        JsonWriter w = json_writer(&b->reply);
        json_begin_object(&w);
        if (to) {
                uuid_format(*to, text);
                json_key(&w, "executionId");
                json_put_str(&w, text);
        }
        json_key(&w, "status");
        json_put_str(&w, status);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        return batch_reply(b, it);
}

/** Deliver to the first that still waits. 0 with *ret_delivered. */
static int deliver(Batch *b, Request *q, Uuid *ret_to, bool *ret_delivered) {
        StoreWait wait;

        *ret_delivered = false;
        for (unsigned i = 0; i < RUNTIME_WAITS_SKIPPED; i++) {
                CacheEntry *e;
                int r = store_wait_first(b->txn, q->input.tenant, q->event_type, q->correlation, &wait);
                if (r)
                        return r == STORE_E_NOT_FOUND ? 0 : r;
                Input in = q->input;
                in.kind = INPUT_EVENT;
                in.execution_id = wait.execution_id;
                in.instance = wait.instance;
                in.attempt = wait.attempt;
                in.text = q->event_id;
                r = batch_execution(b, wait.execution_id, &e);
                if (r == 0)
                        r = batch_step(b, e, &in);
                if (r && r != STORE_E_NOT_FOUND)
                        return r;
                if (r == 0 && b->update.applied) {
                        *ret_to = wait.execution_id;
                        *ret_delivered = true;
                        return 0;
                }
                r = store_wait_remove(b->txn, q->input.tenant, q->event_type, q->correlation,
                                      wait.execution_id, wait.instance);
                if (r && r != STORE_E_NOT_FOUND)
                        return r;
        }
        return 0;
}

/** Keep it for a step that will wait. */
static int keep(Batch *b, Item *it) {
        const Request *q = it->request;
        StoreEarlyEvent event = {
                        .order = store_next_order(b->r->store),
                        .expires_ms = b->now_ms + b->r->settings.early_event_ttl_ms,
                        .event_id = q->event_id,
                        .user = q->input.user,
                        .payload = SLICE("null"),
        };

        if (q->input.value) {
                event.payload = value_bytes(q->input.value);
                if (!event.payload.data)
                        return -ENOMEM;
        }
        b->n_bytes += event.payload.n;
        int r = store_early_add(b->txn, q->input.tenant, q->event_type, q->correlation, &event);
        return r ? r : reply_event(b, it, "stored", NULL);
}

int handle_event(Batch *b, Item *it) {
        Request *q = it->request;
        bool seen = false, delivered;
        Uuid to;
        int r = 0;

        if (q->event_id.n)
                r = store_event_seen(b->txn, q->input.tenant, q->event_id, &seen);
        if (r)
                return r;
        if (seen)
                return reply_event(b, it, "duplicate", NULL);
        r = deliver(b, q, &to, &delivered);
        if (r)
                return r;
        if (!delivered) {
                if (refuse_new_work(b, it, &r))
                        return r;
                if (store_early_count(b->txn, q->input.tenant) >= b->r->settings.early_events_max)
                        return batch_refuse(b, it, RUNBOOK_LIMIT_EXCEEDED,
                                            "No step waits for this event, and %u events that came early are "
                                            "kept for this tenant already, as many as are allowed "
                                            "(EARLY_EVENTS_MAX). They expire after %lld ms "
                                            "(EARLY_EVENT_TTL_MS).",
                                            b->r->settings.early_events_max,
                                            (long long)b->r->settings.early_event_ttl_ms);
        }
        r = q->event_id.n ? store_event_note(b->txn, q->input.tenant, q->event_id, b->now_ms) : 0;
        if (r)
                return r;
        return delivered ? reply_event(b, it, "delivered", &to) : keep(b, it);
}
