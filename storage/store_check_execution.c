/*
 * The check's half that starts from executions: each is loaded, and every row that its state implies is looked
 * for. That there are no others is then a matter of counting, which the other half does.
 */
#include "storage/store_check_impl.h"

#include <stdio.h>
#include "base/cleanup.h"
#include "model/codec.h"
#include "model/event_seal.h"
#include "model/execution_codec.h"
#include "model/update.h"

/** The execution whose rows are being walked over. */
typedef struct Walk {
        Uuid id;
        char key[UUID_TEXT_SIZE + 1];
        Execution *x;   /* NULL: none, or it can't be loaded */
        bool is_static; /* it has a static record */
        uint64_t n_waits;
} Walk;

#define EXECUTIONS check_table(TABLE_EXECUTIONS)

/* ---- series ----------------------------------------------------------------------------------- */

static int check_event(Check *c, uint64_t number, Slice text, const char *key,
                       char prev[DIGEST_TEXT_SIZE + 1]) {
        EventSeal seal;
        int r = event_seal(text, &seal);

        if (r < 0)
                return r;
        if (!seal.well_formed)
                store_check_fault(c->told, EXECUTIONS, key,
                                  "event %llu is not JSON with sequence, hash and prevhash",
                                  (unsigned long long)number);
        else if (seal.sequence != number)
                store_check_fault(c->told, EXECUTIONS, key, "event %llu says that it is number %llu",
                                  (unsigned long long)number, (unsigned long long)seal.sequence);
        else if (strcmp(seal.prev, prev) != 0)
                store_check_fault(c->told, EXECUTIONS, key,
                                  "event %llu does not hang on the hash of the one before",
                                  (unsigned long long)number);
        else if (strcmp(seal.computed, seal.hash) != 0)
                store_check_fault(c->told, EXECUTIONS, key,
                                  "event %llu was altered: its content has another hash",
                                  (unsigned long long)number);
        if (seal.well_formed)
                memcpy(prev, seal.hash, DIGEST_TEXT_SIZE + 1);
        return 0;
}

static void check_input(Check *c, uint64_t number, Slice record, const char *key) {
        Input in;

        if (number == 0)
                return; /* what the start said beyond the static record */
        if (input_decode(record, &in) < 0)
                store_check_fault(c->told, EXECUTIONS, key, "journal record %llu is damaged",
                                  (unsigned long long)number);
        else
                input_release(&in);
}

static int check_record(Check *c, StoreSeries series, uint64_t number, Slice text, const char *key,
                        char prev[DIGEST_TEXT_SIZE + 1]) {
        if (series == STORE_HISTORY)
                return check_event(c, number, text, key, prev);
        if (series == STORE_JOURNAL)
                check_input(c, number, text, key);
        else if (text.n < 2 || text.data[0] != '{' || text.data[text.n - 1] != '}')
                store_check_fault(c->told, EXECUTIONS, key,
                                  "a log or evidence record %llu is not a JSON object",
                                  (unsigned long long)number);
        return 0;
}

/** The records of one segment. */
static int check_segment(Check *c, StoreSeries series, uint64_t first, uint32_t n, Slice frames,
                         const char *key, char prev[DIGEST_TEXT_SIZE + 1]) {
        Slice type, text;
        size_t offset = 0;
        int r = 0;

        for (uint32_t i = 0; i < n && r == 0; i++) {
                if (!frame_next(frames, &offset, &type, &text)) {
                        store_check_fault(c->told, EXECUTIONS, key,
                                          "a segment from record %llu on ends early",
                                          (unsigned long long)first);
                        return 0;
                }
                r = check_record(c, series, first + i, text, key, prev);
        }
        if (r == 0 && offset != frames.n)
                store_check_fault(c->told, EXECUTIONS, key,
                                  "a segment from record %llu on has more in it than it says",
                                  (unsigned long long)first);
        return r;
}

int check_series(Check *c, StoreSeries series, Uuid id, uint64_t n_said, const char *key,
                 char ret_last_hash[DIGEST_TEXT_SIZE + 1]) {
        static const char *const names[] = {"journal", "history", "logs", "evidence"};
        char prev[DIGEST_TEXT_SIZE + 1];
        uint64_t next = series == STORE_JOURNAL ? 0 : 1, first;
        Slice frames;
        uint32_t n;
        int r;

        memset(prev, '0', DIGEST_TEXT_SIZE);
        prev[DIGEST_TEXT_SIZE] = 0;
        while ((r = store_series_segment(c->t, series, id, next, &first, &n, &frames)) == 0) {
                if (next == 0 && first == 1)
                        next = 1; /* most starts have no record 0 */
                if (first != next || n == 0) {
                        store_check_fault(c->told, EXECUTIONS, key,
                                          "the %s has a gap or an overlap at record %llu", names[series],
                                          (unsigned long long)next);
                        if (n == 0 || first < next)
                                return 0;
                }
                r = check_segment(c, series, first, n, frames, key, prev);
                if (r < 0)
                        return r;
                next = first + n;
        }
        if (r == -EBADMSG) {
                store_check_fault(c->told, EXECUTIONS, key, "the %s is damaged at record %llu", names[series],
                                  (unsigned long long)next);
                return 0;
        }
        if (r != STORE_E_NOT_FOUND)
                return r;
        if ((next ? next - 1 : 0) != n_said)
                store_check_fault(c->told, EXECUTIONS, key, "the %s has %llu records, the state says %llu",
                                  names[series], (unsigned long long)(next ? next - 1 : 0),
                                  (unsigned long long)n_said);
        if (ret_last_hash)
                memcpy(ret_last_hash, prev, sizeof(prev));
        return 0;
}

static int check_all_series(Check *c, Walk *w) {
        const Execution *x = w->x;
        const struct {
                StoreSeries series;
                uint64_t n, *tally;
        } all[] = {{STORE_JOURNAL, x->n_journal, &c->tally.journal},
                   {STORE_HISTORY, x->seq, &c->tally.events},
                   {STORE_LOGS, x->n_logs, &c->tally.logs},
                   {STORE_EVIDENCE, x->n_evidence, &c->tally.evidence}};
        char last[DIGEST_TEXT_SIZE + 1], head[DIGEST_TEXT_SIZE + 1];

        for (size_t i = 0; i < N_ELEMENTS(all); i++) {
                int r = check_series(c, all[i].series, w->id, all[i].n, w->key,
                                     all[i].series == STORE_HISTORY ? last : NULL);
                if (r < 0)
                        return r;
                *all[i].tally += all[i].n;
        }
        c->tally.announced += x->seq + x->n_logs;
        digest_format(&x->chain, head);
        if (strcmp(head, last) != 0)
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "the hash of the last event is not the one that the state ends with");
        return 0;
}

/* ---- the rows elsewhere ----------------------------------------------------------------------- */

int check_has(Check *c, StoreTable table, const Key *key) {
        Slice found;
        int r = store_get(c->t, table, key, &found);
        return r < 0 ? r : r == 0;
}

/** @sentence is a fault unless @table has @key. */
static int expect(Check *c, const Walk *w, StoreTable table, const Key *key, const char *sentence) {
        int r = check_has(c, table, key);
        if (r == 0)
                store_check_fault(c->told, check_table(table), w->key, "%s", sentence);
        return r < 0 ? r : 0;
}

static int expect_timer(Check *c, const Walk *w, int64_t at_ms, uint32_t instance, uint8_t slot) {
        Key key;

        store_key_begin(&key);
        store_key_time(&key, at_ms);
        store_key_uuid(&key, w->id);
        store_key_u32(&key, instance);
        store_key_u8(&key, slot);
        c->tally.timers++;
        return expect(c, w, TABLE_TIMERS, &key, "a deadline of this execution is not in the table");
}

/** Clocks of people's and events' time stand still while an execution is paused: those are not in the table. */
static bool is_frozen(const Execution *x, uint32_t instance) {
        uint8_t status = x->steps[instance].status;
        return x->paused_ms > 0 &&
               (status == RUNBOOK_STEP_AWAITING_APPROVAL || status == RUNBOOK_STEP_AWAITING_EVENT ||
                (status == RUNBOOK_STEP_WAITING && !execution_step(x, instance)->wait_until));
}

static int check_timers(Check *c, const Walk *w) {
        const Execution *x = w->x;
        int r = 0;

        if (x->global_deadline_ms > 0 && x->paused_ms == 0)
                r = expect_timer(c, w, x->global_deadline_ms, INSTANCE_NONE, TIMER_GLOBAL);
        for (uint32_t i = 0; i < x->n_instances && r == 0; i++)
                for (uint8_t slot = TIMER_STEP; slot <= TIMER_ESCALATE && r == 0; slot++)
                        if (x->steps[i].timer_ms[slot] != 0 && !is_frozen(x, i))
                                r = expect_timer(c, w, x->steps[i].timer_ms[slot], i, slot);
        return r;
}

/** The wait of instance @i: its row in the queue of (tenant, type, correlation), and its note beside the execution. */
static int check_wait(Check *c, const Walk *w, uint32_t i) {
        const StepExtra *extra = w->x->steps[i].extra;
        Key owner = execution_key(w->id, ROW_WAIT), key;
        Slice found;

        c->tally.waits++;
        if (!extra || !extra->event_type || !extra->correlation) {
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "instance %u waits for an event that it does not name", i);
                return 0;
        }
        store_key_u32(&owner, i);
        int r = store_get(c->t, TABLE_EXECUTIONS, &owner, &found);
        if (r) {
                if (r == KV_E_NOT_FOUND)
                        store_check_fault(
                                        c->told, EXECUTIONS, w->key,
                                        "instance %u waits for an event, but nothing says where it is queued",
                                        i);
                return r < 0 ? r : 0;
        }
        Reader reader = reader_from_slice(found);
        store_take_version(&reader);
        store_key_begin(&key);
        store_key_text(&key, w->x->tenant);
        store_key_text(&key, slice_from_str(extra->event_type));
        store_key_text(&key, slice_from_str(extra->correlation));
        store_key_u64(&key, reader_u64(&reader));
        r = store_get(c->t, TABLE_WAITS, &key, &found);
        if (r < 0)
                return r;
        reader = reader_from_slice(r == 0 ? found : SLICE_NULL);
        store_take_version(&reader);
        Uuid id = store_key_take_uuid(&reader);
        uint64_t instance = reader_varint(&reader), attempt = reader_varint(&reader);
        if (r || reader.failed || !uuid_eq(id, w->id) || instance != i || attempt != w->x->steps[i].attempt)
                store_check_fault(c->told, check_table(TABLE_WAITS), w->key,
                                  "instance %u waits for an event and is not in its queue", i);
        return 0;
}

static bool is_before(const Slice *users, size_t n, Slice user) {
        for (size_t i = 0; i < n; i++)
                if (slice_eq(users[i], user))
                        return true;
        return false;
}

static int expect_approver(Check *c, const Walk *w, uint32_t i, Slice user) {
        Key key;

        store_key_begin(&key);
        store_key_text(&key, w->x->tenant);
        store_key_text(&key, user);
        store_key_uuid(&key, w->id);
        store_key_u32(&key, i);
        c->tally.approvals++;
        return expect(c, w, TABLE_APPROVALS, &key, "somebody who may decide does not have this in his list");
}

static int check_approvers(Check *c, const Walk *w, uint32_t i) {
        const ApprovalConfig *a = execution_step(w->x, i)->approval;
        const StepExtra *extra = w->x->steps[i].extra;
        int r = 0;

        if (!a || !extra) {
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "instance %u awaits an approval that nobody can give", i);
                return 0;
        }
        for (size_t k = 0; k < a->n_approvers && r == 0; k++)
                if (!is_before(a->approvers, k, a->approvers[k]))
                        r = expect_approver(c, w, i, a->approvers[k]);
        for (size_t k = 0; extra->escalated && k < a->n_escalate_to && r == 0; k++)
                if (!is_before(a->approvers, a->n_approvers, a->escalate_to[k]) &&
                    !is_before(a->escalate_to, k, a->escalate_to[k]))
                        r = expect_approver(c, w, i, a->escalate_to[k]);
        return r;
}

static int check_steps(Check *c, const Walk *w) {
        int r = 0;

        for (uint32_t i = 0; i < w->x->n_instances && r == 0; i++) {
                uint8_t status = w->x->steps[i].status;
                if (status == RUNBOOK_STEP_AWAITING_EVENT)
                        r = check_wait(c, w, i);
                else if (status == RUNBOOK_STEP_AWAITING_APPROVAL)
                        r = check_approvers(c, w, i);
        }
        c->tally.steps += w->x->n_instances;
        return r;
}

static Key list_key(const Execution *x, unsigned kind) {
        Key k;

        store_key_begin(&k);
        store_key_u8(&k, (uint8_t)kind);
        store_key_text(&k, x->tenant);
        if (kind == LIST_RUNBOOK)
                store_key_text(&k, x->runbook_id);
        if (kind == LIST_STATUS)
                store_key_u8(&k, x->status);
        store_key_u64(&k, x->order);
        return k;
}

static int check_listings(Check *c, const Walk *w) {
        for (unsigned kind = LIST_TENANT; kind <= LIST_STATUS; kind++) {
                Key key = list_key(w->x, kind);
                Slice found;
                int r = store_get(c->t, TABLE_LISTING, &key, &found);
                if (r < 0)
                        return r;
                Reader reader = reader_from_slice(r == 0 ? found : SLICE_NULL);
                store_take_version(&reader);
                Uuid id = codec_uuid(&reader);
                int64_t created = codec_signed(&reader);
                (void)reader_varint(&reader);
                (void)reader_u16(&reader);
                if (r)
                        store_check_fault(c->told, check_table(TABLE_LISTING), w->key,
                                          "a row is missing (kind %u), so listings leave it out", kind);
                else if (reader.failed || !uuid_eq(id, w->id) || created != w->x->created_ms)
                        store_check_fault(c->told, check_table(TABLE_LISTING), w->key,
                                          "a row (kind %u) says other things than the execution", kind);
        }
        return 0;
}

static int check_open(Check *c, const Walk *w) {
        Key key;

        if (runbook_execution_status_is_final(w->x->status))
                return 0;
        store_key_begin(&key);
        store_key_uuid(&key, w->id);
        c->tally.open++;
        return expect(c, w, TABLE_OPEN, &key, "it is not final and would not be recovered after a restart");
}

static int check_claim(Check *c, const Walk *w) {
        const Execution *x = w->x;
        Key key;

        if (codec_digest_is_zero(&x->idempotency_digest) || x->status == RUNBOOK_EXECUTION_FAILED ||
            x->status == RUNBOOK_EXECUTION_CANCELLED)
                return 0;
        store_key_begin(&key);
        store_key_put(&key, x->idempotency_digest.bytes, DIGEST_SIZE);
        return expect(c, w, TABLE_IDEMPOTENCY, &key,
                      "a second start with the same input would not be its duplicate");
}

/** The row that leads from instance @i to its child. */
static int check_child(Check *c, const Walk *w, uint32_t i, Uuid child) {
        Key key = execution_key(w->id, ROW_CHILD);
        Slice found;

        store_key_u32(&key, i);
        int r = store_get(c->t, TABLE_EXECUTIONS, &key, &found);
        if (r < 0)
                return r;
        Reader reader = reader_from_slice(r == 0 ? found : SLICE_NULL);
        store_take_version(&reader);
        if (r || !uuid_eq(store_key_take_uuid(&reader), child) || reader.failed)
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "the row of instance %u's child is missing or wrong", i);
        return 0;
}

static int check_family(Check *c, const Walk *w) {
        const Execution *x = w->x;

        if (!uuid_is_nil(x->parent) && !store_execution_exists(c->t, x->parent))
                store_check_fault(c->told, EXECUTIONS, w->key, "its parent is not there");
        for (uint32_t i = 0; i < x->n_instances; i++) {
                const StepState *s = &x->steps[i];
                bool runs = s->status == RUNBOOK_STEP_RUNNING &&
                            execution_step(x, i)->type == STEP_TYPE_RUN_RUNBOOK;
                if (!s->extra || uuid_is_nil(s->extra->child)) {
                        if (runs)
                                store_check_fault(c->told, EXECUTIONS, w->key, "instance %u runs no child",
                                                  i);
                        continue;
                }
                int r = check_child(c, w, i, s->extra->child);
                if (r < 0)
                        return r;
                /* One that was refused leaves its id behind, but its step doesn't run. */
                if (runs && !store_execution_exists(c->t, s->extra->child))
                        store_check_fault(c->told, EXECUTIONS, w->key,
                                          "instance %u runs a child that is not there", i);
        }
        return 0;
}

/* ---- one execution ---------------------------------------------------------------------------- */

static int count_execution(Check *c, const Execution *x) {
        CheckTenant *tenant = check_tenant(c, x->tenant);

        if (!tenant)
                return -ENOMEM;
        tenant->executions[x->status]++;
        c->tally.executions++;
        if (x->order > c->tally.order)
                c->tally.order = x->order;
        return 0;
}

static int check_execution(Check *c, Walk *w) {
        static int (*const parts[])(Check * c, const Walk *w) = {check_timers, check_steps, check_listings,
                                                                 check_open,   check_claim, check_family};
        const char *broken = c->told->judge ? c->told->judge(w->x) : NULL;

        if (broken)
                store_check_fault(c->told, EXECUTIONS, w->key, "%s", broken);
        int r = count_execution(c, w->x);
        for (size_t i = 0; i < N_ELEMENTS(parts) && r == 0; i++)
                r = parts[i](c, w);
        if (r == 0)
                r = check_all_series(c, w);
        if (r == 0 && c->told->each)
                r = c->told->each(c->told->userdata, c->told, w->x);
        return r;
}

/* ---- the walk --------------------------------------------------------------------------------- */

/** The rows of an execution: bytes of the key, and below which number its index must lie. */
static bool row_is_sound(const Walk *w, Slice key, uint8_t row) {
        static const uint8_t sizes[] = {[ROW_STATIC] = 17,     [ROW_STATE] = 17,      [ROW_PAGE] = 21,
                                        [ROW_SCOPE] = 21,      [ROW_VALUE] = 22,      [ROW_SERIES] = 25,
                                        [ROW_SERIES + 1] = 25, [ROW_SERIES + 2] = 25, [ROW_SERIES + 3] = 25,
                                        [ROW_CHILD] = 21,      [ROW_WAIT] = 21,       [ROW_BUNDLE] = 25};
        if (row >= N_ELEMENTS(sizes) || key.n != sizes[row])
                return false;
        Reader reader = store_key_tail(key, key.n - 17);
        uint32_t index = key.n > 17 && row < ROW_SERIES ? reader_u32(&reader) : 0;
        if (!w->x)
                return true;
        switch (row) {
        case ROW_PAGE:
                return index * (uint64_t)STEP_PAGE < w->x->n_instances;
        case ROW_SCOPE:
                return index > 0 && index < w->x->n_scopes;
        case ROW_VALUE:
                return index <
                       (reader_u8(&reader) == EXECUTION_VALUE_ITEM ? w->x->n_scopes : w->x->n_instances);
        default:
                return true;
        }
}

static int begin_execution(Check *c, Walk *w, Uuid id) {
        execution_free(w->x);
        *w = (Walk){.id = id, .is_static = store_execution_exists(c->t, id)};
        uuid_format(id, w->key);
        if (!w->is_static) {
                c->tally.catalogs++;
                return 0;
        }
        int r = store_execution_load(c->t, id, c->told->lookup, c->told->lookup_userdata, &w->x);
        c->t->error = 0; /* damage of one execution must not hide what else there is */
        if (r == -EBADMSG) {
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "it can't be loaded: a record is damaged or missing, or its runbook is");
                return 0;
        }
        return r ? r : check_execution(c, w);
}

/** A wait's note must belong to an instance that waits; that it is queued was seen from there. */
static void check_wait_note(Check *c, Walk *w, Slice key) {
        Reader reader = store_key_tail(key, 4);
        uint32_t i = reader_u32(&reader);

        w->n_waits++;
        if (w->x && (i >= w->x->n_instances || w->x->steps[i].status != RUNBOOK_STEP_AWAITING_EVENT))
                store_check_fault(c->told, EXECUTIONS, w->key,
                                  "instance %u is queued for an event and does not wait", i);
}

int check_executions(Check *c) {
        _cleanup_(kv_cursor_close_p) KvCursor *cursor = NULL;
        Walk w = {0};
        Slice k, v;

        int r = store_cursor(c->t, TABLE_EXECUTIONS, &cursor);
        if (r)
                return r;
        for (r = kv_cursor_seek(cursor, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_next(cursor, &k, &v)) {
                Reader reader = reader_from_slice(k);
                Uuid id = store_key_take_uuid(&reader);
                uint8_t row = reader_u8(&reader);
                if (!reader.failed && !uuid_eq(id, w.id))
                        r = begin_execution(c, &w, id);
                if (r)
                        break;
                if (reader.failed || !row_is_sound(&w, k, row))
                        store_check_fault(c->told, EXECUTIONS, w.key, "a row of kind %u belongs to nothing",
                                          row);
                else if (row == ROW_WAIT)
                        check_wait_note(c, &w, k);
                else if (!w.is_static && row != ROW_SERIES + STORE_HISTORY && row != ROW_BUNDLE)
                        store_check_fault(c->told, EXECUTIONS, w.key, "rows without an execution (kind %u)",
                                          row);
        }
        execution_free(w.x);
        return r == KV_E_NOT_FOUND ? 0 : r;
}
