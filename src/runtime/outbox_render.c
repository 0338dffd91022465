/*
 * What the outbox says: rows name segments of history and logs, and their records become messages
 *
 *     <prefix>.<tenant>.lifecycle.<executionId>.<type>    Nats-Msg-Id <executionId>/<sequence>
 *     <prefix>.<tenant>.log.<executionId>.<level>         Nats-Msg-Id <executionId>/log/<number>
 *     <prefix>.checkpoint.<engineId>                      Nats-Msg-Id <engineId>/<sequence>; the row has no tenant
 *
 * The text was rendered when it was recorded and is sent as it is stored, byte for byte: it is what the hash
 * chain covers.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/quote.h"
#include "model/update.h"
#include "runtime/outbox.h"

typedef struct Filling {
        Outbox *o;
        StoreTxn *txn;
        OutboxAt at;     /* the next message's place */
        uint32_t entry;  /* of the row being read */
        size_t n_bytes;
        Buf subject;
        bool full;
        int error;
} Filling;

static bool add_message(Filling *f, const StoreOutboxEntry *e, const char *id, uint64_t number, Slice type,
                        Slice json) {
        Outbox *o = f->o;
        AuditMessage *m = &o->messages[o->n_messages];
        size_t n_head = f->subject.n;

        if (e->tenant.n > 0) {
                buf_put_char(&f->subject, '.');
                buf_put_slice(&f->subject, type);
        }
        m->subject = f->subject.error ? SLICE_NULL : arena_dup(&o->arena, buf_slice(&f->subject));
        char *text = arena_printf(&o->arena, "%s/%s%llu", id, e->series == STORE_LOGS ? "log/" : "",
                                  (unsigned long long)number);
        m->id = slice_from_str(text);
        m->payload = arena_dup(&o->arena, json);
        f->subject.n = n_head;
        if (!m->subject.data || !text || !m->payload.data)
                return false;
        f->n_bytes += json.n;
        o->n_messages++;
        f->full = o->n_messages == OUTBOX_WINDOW || f->n_bytes >= OUTBOX_WINDOW_BYTES;
        return true;
}

/** The records of one entry from f->at.record on. */
static int add_records(Filling *f, const StoreOutboxEntry *e, Slice frames) {
        char id[UUID_TEXT_SIZE + 1];
        size_t offset = 0;
        Slice type, json;

        uuid_format(e->id, id);
        buf_reset(&f->subject);
        buf_put_str(&f->subject, f->o->prefix);
        if (e->tenant.n > 0) {
                buf_put_char(&f->subject, '.');
                quote_token(&f->subject, e->tenant);
                buf_put_str(&f->subject, e->series == STORE_LOGS ? ".log." : ".lifecycle.");
        } else {
                buf_put_str(&f->subject, ".checkpoint.");
        }
        buf_put_str(&f->subject, id);
        for (uint32_t i = 0; i < e->n && !f->full; i++) {
                if (!frame_next(frames, &offset, &type, &json))
                        return -EBADMSG;
                if (i < f->at.record)
                        continue;
                if (!add_message(f, e, id, e->first + i, type, json))
                        return -ENOMEM;
                f->at.record = i + 1;
        }
        return 0;
}

static void complain(const StoreOutboxEntry *e) {
        char id[UUID_TEXT_SIZE + 1];

        uuid_format(e->id, id);
        log_event(LOG_ERROR,
                  "a record of the audit trail is missing or damaged in the store and can't be published",
                  "execution", id, "series", e->series == STORE_LOGS ? "logs" : "history", NULL);
}

static bool each_entry(void *userdata, const StoreOutboxEntry *e) {
        Filling *f = userdata;
        uint64_t first;
        uint32_t n;
        Slice frames;

        if (f->entry++ < f->at.entry)
                return true;
        int r = store_series_segment(f->txn, e->series, e->id, e->first, &first, &n, &frames);
        if (r == 0 && (first != e->first || n != e->n))
                r = -EBADMSG;
        if (r == 0)
                r = add_records(f, e, frames);
        if (r == -EBADMSG || r == STORE_E_NOT_FOUND)
                complain(e); /* the rest goes on: consumers see the gap by its sequence */
        else if (r < 0)
                f->error = r;
        if (r == 0 && f->full && f->at.record < e->n)
                return false; /* the window ends within this entry */
        f->at.entry++;
        f->at.record = 0;
        return !f->full && !f->error;
}

/**
 * The rest of one row. 0, STORE_E_NOT_FOUND when there is none left, or negative. A row that is gone was
 * published and has expired; a later one is read then, and from its beginning: only what is not published yet
 * is ever entered in its midst, and that is kept.
 */
static int fill_row(Filling *f) {
        bool first = f->o->n_messages == 0;
        uint64_t row;
        int64_t at_ms;

        f->entry = 0;
        int r = store_outbox_read(f->txn, f->at.row, &row, &at_ms, each_entry, f);
        if (r || f->error)
                return r ? r : f->error;
        if (first)
                f->o->window_ms = at_ms;
        f->at.row = row;
        if (!f->full)
                f->at = (OutboxAt){.row = row + 1};
        return 0;
}

int outbox_fill(Outbox *o) {
        Filling f = {.o = o, .at = o->at};

        o->n_messages = 0;
        arena_reset(&o->arena);
        int r = store_begin_read(o->store, &f.txn);
        if (r)
                return r;
        while (r == 0 && !f.full)
                r = fill_row(&f);
        store_abort(f.txn);
        buf_deinit(&f.subject);
        if (r < 0) {
                o->n_messages = 0;
                return r;
        }
        o->after = f.at;
        return 0;
}
