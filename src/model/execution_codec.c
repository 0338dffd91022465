/*
 * The execution as stored records: one static, one state, one for each page of STEP_PAGE instances, one for
 * each scope but the root (which lives in the state record, as every move changes it).
 *
 * A short execution is saved whole at each commit, so records are small: a mask says which fields differ from
 * their defaults, numbers are varints, times are distances from the time before. Pages are in
 * execution_page_codec.c.
 *
 * Values longer than OUTPUT_INLINE_MAX are left out and only their length is kept; storage keeps the bytes in
 * a row of its own, written once instead of with every change of a neighbour on the page.
 */

#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/execution_codec_internal.h"

#define VALUE_STORED(which) (1u << (which)) /* bits of StepState.stored_values, Scope.stored_item */

/* ---- values ----------------------------------------------------------------------------------- */

static Value **value_slot(const Execution *x, uint32_t index, ExecutionValue which) {
        StepState *s = which == EXECUTION_VALUE_ITEM ? NULL : &x->steps[index];
        switch (which) {
        case EXECUTION_VALUE_OUTPUT:
                return &s->output;
        case EXECUTION_VALUE_ERROR:
                return &s->error;
        case EXECUTION_VALUE_PROMPT:
                return s->extra ? &s->extra->prompt : NULL;
        case EXECUTION_VALUE_ITEM:
                return &x->scopes[index].item;
        default:
                return NULL;
        }
}

static uint8_t *value_notes(const Execution *x, uint32_t index, ExecutionValue which) {
        return which == EXECUTION_VALUE_ITEM ? &x->scopes[index].stored_item : &x->steps[index].stored_values;
}

Value *execution_value_to_store(const Execution *x, uint32_t index, ExecutionValue which, int *ret_error) {
        Value **slot = value_slot(x, index, which);

        if (!slot || !*slot || (*value_notes(x, index, which) & VALUE_STORED(which)))
                return NULL;
        Slice bytes = value_bytes(*slot);
        if (bytes.n == 0)
                *ret_error = -ENOMEM;
        return bytes.n > OUTPUT_INLINE_MAX ? *slot : NULL;
}

void execution_value_stored(Execution *x, uint32_t index, ExecutionValue which) {
        *value_notes(x, index, which) |= (uint8_t)VALUE_STORED(which);
}

/** Length with the mark "stands alone" in its lowest bit, then the bytes unless it does. */
void codec_put_page_value(Buf *b, Value *v) {
        Slice s = codec_value_bytes(b, v);
        bool alone = s.n > OUTPUT_INLINE_MAX;
        buf_put_varint(b, (uint64_t)s.n << 1 | alone);
        if (!alone)
                buf_put_slice(b, s);
}

int codec_page_value(Execution *x, Reader *r, const Fetcher *f, uint32_t index, ExecutionValue which) {
        Value **slot = value_slot(x, index, which);
        uint64_t head = reader_varint(r), n = head >> 1;
        bool alone = head & 1;

        if (r->failed || n == 0 || alone != (n > OUTPUT_INLINE_MAX))
                return -EBADMSG;
        if (!alone) {
                Slice s = reader_take(r, n);
                if (r->failed)
                        return -EBADMSG;
                *slot = value_new_bytes(s);
                return *slot ? 0 : -ENOMEM;
        }
        if (!f->fetch)
                return -EBADMSG;
        int e = f->fetch(f->userdata, index, which, slot);
        if (e < 0)
                return e;
        execution_value_stored(x, index, which);
        return value_bytes(*slot).n == n ? 0 : -EBADMSG;
}

/* ---- static ----------------------------------------------------------------------------------- */

enum {
        STATIC_PARENT = 1 << 0,
        STATIC_ORIGINAL = 1 << 1,
        STATIC_DRY_RUN = 1 << 2,
        STATIC_DIGEST = 1 << 3,
        STATIC_CONTEXT = 1 << 4,
        STATIC_INPUT = 1 << 5,
        STATIC_ALL = (1 << 6) - 1
};

int execution_encode_static(const Execution *x, Buf *b) {
        uint8_t mask = (uint8_t)((uuid_is_nil(x->parent) ? 0 : STATIC_PARENT) |
                                 (uuid_is_nil(x->original) ? 0 : STATIC_ORIGINAL) |
                                 (x->is_dry_run ? STATIC_DRY_RUN : 0) |
                                 (codec_digest_is_zero(&x->idempotency_digest) ? 0 : STATIC_DIGEST) |
                                 (x->context ? STATIC_CONTEXT : 0) | (x->input ? STATIC_INPUT : 0));

        buf_put_u8(b, EXECUTION_RECORD_VERSION);
        buf_put_bytes(b, x->tenant);
        buf_put_bytes(b, x->runbook_id);
        buf_put_bytes(b, x->runbook_version);
        buf_put_bytes(b, x->initiated_by);
        codec_put_signed(b, x->created_ms);
        buf_put_varint(b, x->order);
        buf_put_u8(b, mask);
        if (mask & STATIC_PARENT)
                codec_put_uuid(b, &x->parent);
        if (mask & STATIC_ORIGINAL)
                codec_put_uuid(b, &x->original);
        codec_put_index(b, x->parent_instance);
        buf_put_varint(b, x->depth);
        buf_put_bytes(b, x->command_id);
        buf_put_bytes(b, x->traceparent);
        buf_put_bytes(b, x->idempotency_key);
        if (mask & STATIC_DIGEST)
                buf_put(b, x->idempotency_digest.bytes, DIGEST_SIZE);
        if (mask & STATIC_CONTEXT)
                codec_put_value(b, x->context);
        if (mask & STATIC_INPUT)
                codec_put_value(b, x->input);
        return b->error;
}

int execution_peek_static(Slice record, Slice *ret_tenant, Slice *ret_runbook_id, Slice *ret_version) {
        Reader r = reader_from_slice(record);

        if (codec_version(&r) < 0)
                return -EBADMSG;
        *ret_tenant = reader_bytes(&r);
        *ret_runbook_id = reader_bytes(&r);
        *ret_version = reader_bytes(&r);
        return r.failed ? -EBADMSG : 0;
}

/** The part that listings need; leaves @r behind `original`. */
static int take_static_head(Reader *r, ExecutionSummary *ret, uint8_t *ret_mask) {
        if (codec_version(r) < 0)
                return -EBADMSG;
        ret->tenant = reader_bytes(r);
        ret->runbook_id = reader_bytes(r);
        ret->runbook_version = reader_bytes(r);
        ret->initiated_by = reader_bytes(r);
        ret->created_ms = codec_signed(r);
        ret->order = reader_varint(r);
        *ret_mask = reader_u8(r);
        ret->parent = *ret_mask & STATIC_PARENT ? codec_uuid(r) : UUID_NIL;
        ret->original = *ret_mask & STATIC_ORIGINAL ? codec_uuid(r) : UUID_NIL;
        if (r->failed || (*ret_mask & ~STATIC_ALL) ||
            (*ret_mask & STATIC_PARENT && uuid_is_nil(ret->parent)) ||
            (*ret_mask & STATIC_ORIGINAL && uuid_is_nil(ret->original)))
                return -EBADMSG;
        return 0;
}

/** Move @s from the bytes at @from to their copy at @to. */
static void rebase(Slice *s, const char *from, const char *to) {
        if (s->n > 0)
                s->data = to + (s->data - from);
}

static int decode_static(Execution *x, Slice record) {
        Reader r = reader_from_slice(record);
        ExecutionSummary head;
        uint8_t mask;

        int e = take_static_head(&r, &head, &mask);
        if (e < 0)
                return e;
        x->tenant = head.tenant;
        x->initiated_by = head.initiated_by;
        x->runbook_id = head.runbook_id;
        x->runbook_version = head.runbook_version;
        x->created_ms = head.created_ms;
        x->order = head.order;
        x->parent = head.parent;
        x->original = head.original;
        x->is_dry_run = mask & STATIC_DRY_RUN;
        x->parent_instance = codec_index(&r);
        x->depth = codec_u32(&r);
        x->command_id = reader_bytes(&r);
        x->traceparent = reader_bytes(&r);
        x->idempotency_key = reader_bytes(&r);
        if (r.failed)
                return -EBADMSG;

        /* One copy of all that is strings; the values behind them get their own. */
        Slice copy = arena_dup(&x->statics, (Slice){record.data, record.n - reader_left(&r)});
        if (!copy.data)
                return -ENOMEM;
        Slice *strings[] = {&x->tenant,     &x->initiated_by, &x->runbook_id,     &x->runbook_version,
                            &x->command_id, &x->traceparent,  &x->idempotency_key};
        for (size_t i = 0; i < N_ELEMENTS(strings); i++)
                rebase(strings[i], record.data, copy.data);

        if (mask & STATIC_DIGEST) {
                x->idempotency_digest = codec_digest(&r);
                r.failed |= codec_digest_is_zero(&x->idempotency_digest);
        }
        if (mask & STATIC_CONTEXT)
                e = codec_value(&r, &x->context);
        if (e == 0 && mask & STATIC_INPUT)
                e = codec_value(&r, &x->input);
        return e < 0 ? e : r.failed || reader_left(&r) > 0 ? -EBADMSG : 0;
}

/* ---- scopes ----------------------------------------------------------------------------------- */

enum {
        SCOPE_OWNER = 1 << 0,
        SCOPE_INDEX = 1 << 1,
        SCOPE_ACTIVE = 1 << 2,
        SCOPE_FAILED = 1 << 3,
        SCOPE_NEXT = 1 << 4,
        SCOPE_ITEM = 1 << 5,
        SCOPE_CLOSED = 1 << 6,
        SCOPE_ALL = (1 << 7) - 1
};

static void put_scope(Buf *b, const Scope *s) {
        uint8_t mask = (uint8_t)((s->owner != INSTANCE_NONE ? SCOPE_OWNER : 0) |
                                 (s->index ? SCOPE_INDEX : 0) | (s->n_active ? SCOPE_ACTIVE : 0) |
                                 (s->n_failed ? SCOPE_FAILED : 0) |
                                 (s->next_scope != SCOPE_NONE ? SCOPE_NEXT : 0) | (s->item ? SCOPE_ITEM : 0) |
                                 (s->closed ? SCOPE_CLOSED : 0));

        buf_put_u8(b, mask);
        codec_put_index(b, s->region);
        buf_put_varint(b, s->first);
        buf_put_varint(b, s->n_open);
        if (mask & SCOPE_OWNER)
                buf_put_varint(b, s->owner);
        if (mask & SCOPE_INDEX)
                buf_put_varint(b, s->index);
        if (mask & SCOPE_ACTIVE)
                buf_put_varint(b, s->n_active);
        if (mask & SCOPE_FAILED)
                buf_put_varint(b, s->n_failed);
        if (mask & SCOPE_NEXT)
                buf_put_varint(b, s->next_scope);
        if (mask & SCOPE_ITEM)
                codec_put_page_value(b, s->item);
}

int execution_encode_scope(const Execution *x, uint32_t scope, Buf *b) {
        buf_put_u8(b, EXECUTION_RECORD_VERSION);
        put_scope(b, &x->scopes[scope]);
        return b->error;
}

/** Indices are checked against the execution here, against the runbook in execution_finish_load. */
static int take_scope(Execution *x, Reader *r, uint32_t scope, const Fetcher *f) {
        Scope *s = &x->scopes[scope];
        uint8_t mask = reader_u8(r);

        s->closed = mask & SCOPE_CLOSED;
        s->region = codec_index(r);
        s->first = codec_u32(r);
        s->n_open = codec_u32(r);
        s->owner = mask & SCOPE_OWNER ? codec_u32(r) : INSTANCE_NONE;
        s->index = mask & SCOPE_INDEX ? codec_u32_nonzero(r) : 0;
        s->n_active = mask & SCOPE_ACTIVE ? codec_u32_nonzero(r) : 0;
        s->n_failed = mask & SCOPE_FAILED ? codec_u32_nonzero(r) : 0;
        s->next_scope = mask & SCOPE_NEXT ? codec_u32(r) : SCOPE_NONE;
        if (r->failed || (mask & ~SCOPE_ALL) || s->first >= x->n_instances ||
            (mask & SCOPE_OWNER && s->owner >= s->first) ||
            (mask & SCOPE_NEXT && s->next_scope >= x->n_scopes))
                return -EBADMSG;
        return mask & SCOPE_ITEM ? codec_page_value(x, r, f, scope, EXECUTION_VALUE_ITEM) : 0;
}

int execution_decode_scope(Execution *x, uint32_t scope, Slice record, ExecutionFetch fetch, void *userdata) {
        Reader r = reader_from_slice(record);
        Fetcher f = {fetch, userdata};

        if (scope >= x->n_scopes || codec_version(&r) < 0)
                return -EBADMSG;
        int e = take_scope(x, &r, scope, &f);
        return e < 0 ? e : r.failed || reader_left(&r) > 0 ? -EBADMSG : 0;
}

/* ---- state ------------------------------------------------------------------------------------ */

enum {
        STATE_FREEZE = 1 << 0,
        STATE_START = 1 << 1,
        STATE_END = 1 << 2,
        STATE_PAUSED = 1 << 3,
        STATE_DEADLINE = 1 << 4,
        STATE_CHAIN = 1 << 5,
        STATE_CANCELLED_BY = 1 << 6,
        STATE_CANCEL_REASON = 1 << 7,
        STATE_PAUSE_AT = 1 << 8,
        STATE_OUTPUT = 1 << 9,
        STATE_ERROR = 1 << 10,
        STATE_ALL = (1 << 11) - 1
};

#define AT(field) offsetof(Execution, field)
/** Plain numbers of the state in the order in which they stand; the first six hold what a listing reads. */
static const uint16_t state_u32[] = {AT(n_instances), AT(n_completed), AT(n_failed),    AT(n_skipped),
                                     AT(n_scopes),    AT(n_cancelled), AT(n_running),   AT(n_active),
                                     AT(n_quiet),     AT(n_refused),   AT(n_done_order)};
#define SUMMARY_U32 6
static const uint16_t state_u64[] = {AT(seq), AT(n_journal), AT(n_logs), AT(n_evidence)};
/** Times with the bit that says they are not 0. */
static const struct {
        uint16_t bit, at;
} state_times[] = {
                {STATE_START, AT(start_ms)},
                {STATE_END, AT(end_ms)},
                {STATE_PAUSED, AT(paused_ms)},
                {STATE_DEADLINE, AT(global_deadline_ms)},
};
static const struct {
        uint16_t bit, at;
} state_strings[] = {
                {STATE_CANCELLED_BY, AT(cancelled_by)},
                {STATE_CANCEL_REASON, AT(cancel_reason)},
                {STATE_PAUSE_AT, AT(pause_at)},
};
static const struct {
        uint16_t bit, at;
} state_values[] = {{STATE_OUTPUT, AT(output)}, {STATE_ERROR, AT(error)}};
#undef AT

static uint16_t state_mask(const Execution *x) {
        unsigned mask = (x->freeze_clocks ? STATE_FREEZE : 0) |
                        (codec_digest_is_zero(&x->chain) ? 0 : STATE_CHAIN);

        for (size_t i = 0; i < N_ELEMENTS(state_times); i++)
                mask |= *MEMBER(int64_t, x, state_times[i].at) ? state_times[i].bit : 0;
        for (size_t i = 0; i < N_ELEMENTS(state_strings); i++)
                mask |= *MEMBER(char *, x, state_strings[i].at) ? state_strings[i].bit : 0;
        for (size_t i = 0; i < N_ELEMENTS(state_values); i++)
                mask |= *MEMBER(Value *, x, state_values[i].at) ? state_values[i].bit : 0;
        return (uint16_t)mask;
}

int execution_encode_state(const Execution *x, Buf *b) {
        uint16_t mask = state_mask(x);
        int64_t last = x->created_ms;

        buf_put_u8(b, EXECUTION_RECORD_VERSION);
        buf_put_u8(b, x->status);
        buf_put_u8(b, x->goal);
        buf_put_u16(b, mask);
        for (size_t i = 0; i < N_ELEMENTS(state_times); i++)
                if (mask & state_times[i].bit)
                        codec_put_time(b, *MEMBER(int64_t, x, state_times[i].at), &last);
        for (size_t i = 0; i < N_ELEMENTS(state_u32); i++)
                buf_put_varint(b, *MEMBER(uint32_t, x, state_u32[i]));
        for (size_t i = 0; i < N_ELEMENTS(state_u64); i++)
                buf_put_varint(b, *MEMBER(uint64_t, x, state_u64[i]));
        codec_put_index(b, x->compensating);
        if (mask & STATE_CHAIN)
                buf_put(b, x->chain.bytes, DIGEST_SIZE);
        if (x->n_scopes > 0)
                put_scope(b, &x->scopes[0]);
        for (size_t i = 0; i < N_ELEMENTS(state_strings); i++)
                if (mask & state_strings[i].bit)
                        buf_put_bytes(b, slice_from_str(*MEMBER(char *, x, state_strings[i].at)));
        for (size_t i = 0; i < N_ELEMENTS(state_values); i++)
                if (mask & state_values[i].bit)
                        codec_put_value(b, *MEMBER(Value *, x, state_values[i].at));
        return b->error;
}

/** Up to and with the first @n_u32 of state_u32. @x needs created_ms only. */
static int take_state_head(Reader *r, Execution *x, uint16_t *ret_mask, size_t n_u32) {
        int64_t last = x->created_ms;

        if (codec_version(r) < 0)
                return -EBADMSG;
        x->status = reader_u8(r);
        x->goal = reader_u8(r);
        *ret_mask = reader_u16(r);
        for (size_t i = 0; i < N_ELEMENTS(state_times); i++) {
                int64_t *t = MEMBER(int64_t, x, state_times[i].at);
                if (!(*ret_mask & state_times[i].bit))
                        continue;
                *t = codec_time(r, &last);
                r->failed |= *t == 0;
        }
        for (size_t i = 0; i < n_u32; i++)
                *MEMBER(uint32_t, x, state_u32[i]) = codec_u32(r);
        return r->failed || x->status >= RUNBOOK_N_EXECUTION_STATUSES || x->goal > GOAL_CANCEL ||
                                               (*ret_mask & ~STATE_ALL)
                               ? -EBADMSG
                               : 0;
}

int execution_peek_summary(Slice static_record, Slice state_record, ExecutionSummary *ret) {
        Reader r = reader_from_slice(static_record);
        Execution head = {0};
        uint16_t state;
        uint8_t mask;

        if (take_static_head(&r, ret, &mask) < 0)
                return -EBADMSG;
        head.created_ms = ret->created_ms;
        r = reader_from_slice(state_record);
        if (take_state_head(&r, &head, &state, SUMMARY_U32) < 0)
                return -EBADMSG;
        ret->status = head.status;
        ret->start_ms = head.start_ms;
        ret->end_ms = head.end_ms;
        ret->n_instances = head.n_instances;
        ret->n_completed = head.n_completed;
        ret->n_failed = head.n_failed;
        ret->n_skipped = head.n_skipped;
        ret->n_cancelled = head.n_cancelled;
        return 0;
}

/** Room for what the head counts, and as much as execution_open_scope takes for granted: bitmaps of cap/32 +
 * 1 words. */
static int make_room(Execution *x) {
        if (x->n_instances > LIMIT_INSTANCES || x->n_scopes > x->n_instances ||
            (x->n_instances > 0) != (x->n_scopes > 0))
                return -EBADMSG;
        if (x->n_instances == 0)
                return 0;
        x->steps = calloc(x->n_instances, sizeof(*x->steps));
        x->scopes = calloc(x->n_scopes, sizeof(*x->scopes));
        x->dirty_pages = calloc(x->n_instances / STEP_PAGE / 32 + 1, sizeof(uint32_t));
        x->dirty_scopes = calloc(x->n_scopes / 32 + 1, sizeof(uint32_t));
        if (!x->steps || !x->scopes || !x->dirty_pages || !x->dirty_scopes) {
                x->n_instances = x->n_scopes = 0;
                return -ENOMEM;
        }
        x->cap_instances = x->n_instances;
        x->cap_scopes = x->n_scopes;
        return 0;
}

static int decode_state(Execution *x, Slice record) {
        Reader r = reader_from_slice(record);
        Fetcher none = {0};
        uint16_t mask;

        int e = take_state_head(&r, x, &mask, N_ELEMENTS(state_u32));
        if (e == 0)
                e = make_room(x);
        if (e < 0) {
                x->n_instances = x->n_scopes = 0;
                return e;
        }
        x->freeze_clocks = mask & STATE_FREEZE;
        for (size_t i = 0; i < N_ELEMENTS(state_u64); i++)
                *MEMBER(uint64_t, x, state_u64[i]) = reader_varint(&r);
        x->compensating = codec_index(&r);
        if (x->compensating != INSTANCE_NONE && x->compensating >= x->n_instances)
                return -EBADMSG;
        if (mask & STATE_CHAIN) {
                x->chain = codec_digest(&r);
                r.failed |= codec_digest_is_zero(&x->chain);
        }
        if (x->n_scopes > 0)
                e = take_scope(x, &r, 0, &none);
        for (size_t i = 0; i < N_ELEMENTS(state_strings) && e == 0; i++)
                if (mask & state_strings[i].bit)
                        e = codec_string(&r, MEMBER(char *, x, state_strings[i].at));
        for (size_t i = 0; i < N_ELEMENTS(state_values) && e == 0; i++)
                if (mask & state_values[i].bit)
                        e = codec_value(&r, MEMBER(Value *, x, state_values[i].at));
        return e < 0 ? e : r.failed || reader_left(&r) > 0 ? -EBADMSG : 0;
}

int execution_decode(Runbook *runbook, Uuid id, Slice static_record, Slice state_record, Execution **ret) {
        _cleanup_(execution_free_p) Execution *x = execution_new(runbook);

        if (!x)
                return -ENOMEM;
        x->id = id;
        x->dirty = 0;
        int e = decode_static(x, static_record);
        if (e == 0 &&
            !(slice_eq(x->runbook_id, runbook->id) && slice_eq(x->runbook_version, runbook->version)))
                e = -EBADMSG;
        if (e == 0)
                e = decode_state(x, state_record);
        if (e < 0)
                return e;
        x->stored_status = x->status;
        *ret = STEAL(x);
        return 0;
}
