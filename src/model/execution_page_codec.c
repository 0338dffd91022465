/*
 * Pages of step states, and putting a loaded execution together.
 *
 * A pending step takes two bytes. Which step of the runbook an instance is, and in which scope, is not stored
 * at all: scopes are opened in order and number their instances in the order of their region, so
 * execution_finish_load works it out, and by the same count finds records that do not fit the runbook.
 */

#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/execution_codec_internal.h"

/* ---- what only some steps have ---------------------------------------------------------------- */

enum {
        EXTRA_VOTES = 1 << 0,
        EXTRA_ESCALATED = 1 << 1,
        EXTRA_SHOWN = 1 << 2,
        EXTRA_PROMPT = 1 << 3,
        EXTRA_EVENT_TYPE = 1 << 4,
        EXTRA_CORRELATION = 1 << 5,
        EXTRA_LOOP = 1 << 6,
        EXTRA_CHILD = 1 << 7,
        EXTRA_CHILD_QUIET = 1 << 8,
        EXTRA_PROGRESS = 1 << 9,
        EXTRA_ALL = (1 << 10) - 1
};

#define VOTE_COMMENTS (1 << 1) /* beside the decision in bit 0 */

static uint64_t bits_from_double(double v) {
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        return bits;
}

static bool extra_has_loop(const StepExtra *e) {
        return e->n_planned || e->n_opened || e->n_closed || e->n_iterations_failed ||
               e->first_scope != SCOPE_NONE || e->last_scope != SCOPE_NONE;
}

static unsigned extra_mask(const StepExtra *e) {
        return (e->n_votes ? EXTRA_VOTES : 0) | (e->escalated ? EXTRA_ESCALATED : 0) |
               (codec_digest_is_zero(&e->shown) ? 0 : EXTRA_SHOWN) | (e->prompt ? EXTRA_PROMPT : 0) |
               (e->event_type ? EXTRA_EVENT_TYPE : 0) | (e->correlation ? EXTRA_CORRELATION : 0) |
               (extra_has_loop(e) ? EXTRA_LOOP : 0) | (uuid_is_nil(e->child) ? 0 : EXTRA_CHILD) |
               (e->child_quiet ? EXTRA_CHILD_QUIET : 0) |
               (bits_from_double(e->progress) ? EXTRA_PROGRESS : 0);
}

static void put_votes(Buf *b, const StepExtra *e) {
        buf_put_varint(b, e->n_votes);
        for (uint32_t i = 0; i < e->n_votes; i++) {
                const Vote *v = &e->votes[i];
                buf_put_u8(b, (uint8_t)(v->decision | (v->comments ? VOTE_COMMENTS : 0)));
                codec_put_signed(b, v->at_ms);
                buf_put_bytes(b, slice_from_str(v->user));
                if (v->comments)
                        buf_put_bytes(b, slice_from_str(v->comments));
        }
}

static void put_extra(Buf *b, const StepExtra *e) {
        unsigned mask = extra_mask(e);

        buf_put_varint(b, mask);
        if (mask & EXTRA_VOTES)
                put_votes(b, e);
        if (mask & EXTRA_SHOWN)
                buf_put(b, e->shown.bytes, DIGEST_SIZE);
        if (mask & EXTRA_PROMPT)
                codec_put_page_value(b, e->prompt);
        if (mask & EXTRA_EVENT_TYPE)
                buf_put_bytes(b, slice_from_str(e->event_type));
        if (mask & EXTRA_CORRELATION)
                buf_put_bytes(b, slice_from_str(e->correlation));
        if (mask & EXTRA_LOOP) {
                buf_put_varint(b, e->n_planned);
                buf_put_varint(b, e->n_opened);
                buf_put_varint(b, e->n_closed);
                buf_put_varint(b, e->n_iterations_failed);
                codec_put_index(b, e->first_scope);
                codec_put_index(b, e->last_scope);
        }
        if (mask & EXTRA_CHILD)
                codec_put_uuid(b, &e->child);
        if (mask & EXTRA_PROGRESS)
                buf_put_u64(b, bits_from_double(e->progress));
}

static int take_votes(Reader *r, StepExtra *e) {
        uint64_t n = reader_varint(r);

        /* A vote takes three bytes at least, so a count that lies can't make us allocate more than the
         * record's size allows. */
        if (r->failed || n == 0 || n > reader_left(r) / 3)
                return -EBADMSG;
        e->votes = calloc(n, sizeof(*e->votes));
        if (!e->votes)
                return -ENOMEM;
        for (e->n_votes = 0; e->n_votes < n;) {
                Vote *v = &e->votes[e->n_votes];
                uint8_t head = reader_u8(r);
                if (head & ~(VOTE_COMMENTS | 1))
                        return -EBADMSG;
                v->decision = head & 1 ? VOTE_REJECTED : VOTE_APPROVED;
                v->at_ms = codec_signed(r);
                int error = codec_string(r, &v->user);
                if (error == 0)
                        e->n_votes++; /* from here on execution_free sees it */
                if (error == 0 && head & VOTE_COMMENTS)
                        error = codec_string(r, &v->comments);
                if (error < 0)
                        return error;
        }
        return 0;
}

static int take_loop(Execution *x, Reader *r, StepExtra *e) {
        e->n_planned = codec_u32(r);
        e->n_opened = codec_u32(r);
        e->n_closed = codec_u32(r);
        e->n_iterations_failed = codec_u32(r);
        e->first_scope = codec_index(r);
        e->last_scope = codec_index(r);
        if (r->failed || !extra_has_loop(e) ||
            (e->first_scope != SCOPE_NONE && e->first_scope >= x->n_scopes) ||
            (e->last_scope != SCOPE_NONE && e->last_scope >= x->n_scopes))
                return -EBADMSG;
        return 0;
}

static int take_extra(Execution *x, Reader *r, const Fetcher *f, uint32_t instance) {
        StepExtra *e = execution_extra(x, instance);
        uint64_t mask = reader_varint(r);
        int error = 0;

        if (!e)
                return -ENOMEM;
        if (r->failed || (mask & ~(uint64_t)EXTRA_ALL))
                return -EBADMSG;
        e->escalated = mask & EXTRA_ESCALATED;
        e->child_quiet = mask & EXTRA_CHILD_QUIET;
        if (mask & EXTRA_VOTES)
                error = take_votes(r, e);
        if (mask & EXTRA_SHOWN)
                e->shown = codec_digest(r);
        if (error == 0 && mask & EXTRA_PROMPT)
                error = codec_page_value(x, r, f, instance, EXECUTION_VALUE_PROMPT);
        if (error == 0 && mask & EXTRA_EVENT_TYPE)
                error = codec_string(r, &e->event_type);
        if (error == 0 && mask & EXTRA_CORRELATION)
                error = codec_string(r, &e->correlation);
        if (error == 0 && mask & EXTRA_LOOP)
                error = take_loop(x, r, e);
        if (mask & EXTRA_CHILD)
                e->child = codec_uuid(r);
        if (mask & EXTRA_PROGRESS) {
                uint64_t bits = reader_u64(r);
                memcpy(&e->progress, &bits, sizeof(bits));
        }
        if (error < 0)
                return error;
        return r->failed || extra_mask(e) != mask ? -EBADMSG : 0;
}

/* ---- step states ------------------------------------------------------------------------------ */

/* Bits of a step's mask, the common ones first: a varint of one byte holds seven. */
enum {
        STEP_STATUS = 1 << 0,
        STEP_N_OPEN = 1 << 1,
        STEP_READY_MS = 1 << 2,
        STEP_START_MS = 1 << 3,
        STEP_END_MS = 1 << 4,
        STEP_ATTEMPT_MS = 1 << 5,
        STEP_ATTEMPT = 1 << 6,
        STEP_OUTPUT = 1 << 7,
        STEP_N_DONE = 1 << 8,
        STEP_DONE_ORDER = 1 << 9,
        STEP_N_EVIDENCE = 1 << 10,
        STEP_N_LOGS = 1 << 11,
        STEP_SKIP_REASON = 1 << 12,
        STEP_N_TAKEN = 1 << 13,
        STEP_N_BRANCHES = 1 << 14,
        STEP_ERROR = 1 << 15,
        STEP_EXTRA = 1 << 16,
        STEP_CONTINUED = 1 << 17,
        STEP_TIMED_OUT = 1 << 18,
        STEP_RETRIES_FROM = 1 << 19,
        STEP_COMPENSATED = 1 << 20,
        STEP_TIMER_0 = 1 << 21,
        STEP_TIMER_1 = 1 << 22,
        STEP_ASKING = 1 << 23,
        STEP_ALL = (1 << 24) - 1
};

#define AT(field) offsetof(StepState, field)
static const struct {
        uint32_t bit, at;
} step_counts[] = {
                {STEP_N_OPEN, AT(n_open)},
                {STEP_ATTEMPT, AT(attempt)},
                {STEP_N_DONE, AT(n_done)},
                {STEP_DONE_ORDER, AT(done_order)},
                {STEP_N_EVIDENCE, AT(n_evidence)},
                {STEP_N_LOGS, AT(n_logs)},
                {STEP_N_TAKEN, AT(n_taken)},
                {STEP_N_BRANCHES, AT(n_branches_open)},
                {STEP_RETRIES_FROM, AT(retries_from)},
};
static const struct {
        uint32_t bit, at;
} step_times[] = {
                {STEP_READY_MS, AT(ready_ms)},     {STEP_START_MS, AT(start_ms)},
                {STEP_ATTEMPT_MS, AT(attempt_ms)}, {STEP_END_MS, AT(end_ms)},
                {STEP_TIMER_0, AT(timer_ms[0])},   {STEP_TIMER_1, AT(timer_ms[1])},
};
#undef AT

static uint32_t step_mask(const StepState *s) {
        unsigned mask = (s->status ? STEP_STATUS : 0) | (s->skip_reason ? STEP_SKIP_REASON : 0) |
                        (s->continued ? STEP_CONTINUED : 0) | (s->compensated ? STEP_COMPENSATED : 0) |
                        (s->timed_out ? STEP_TIMED_OUT : 0) | (s->output ? STEP_OUTPUT : 0) |
                        (s->error ? STEP_ERROR : 0) | (s->extra ? STEP_EXTRA : 0) |
                        (s->asking ? STEP_ASKING : 0);

        for (size_t i = 0; i < N_ELEMENTS(step_counts); i++)
                mask |= *MEMBER(uint32_t, s, step_counts[i].at) ? step_counts[i].bit : 0;
        for (size_t i = 0; i < N_ELEMENTS(step_times); i++)
                mask |= *MEMBER(int64_t, s, step_times[i].at) ? step_times[i].bit : 0;
        return mask;
}

static void put_step(Buf *b, const StepState *s, int64_t *last) {
        uint32_t mask = step_mask(s);

        buf_put_varint(b, mask);
        if (mask & STEP_STATUS)
                buf_put_u8(b, s->status);
        for (size_t i = 0; i < N_ELEMENTS(step_counts); i++)
                if (mask & step_counts[i].bit)
                        buf_put_varint(b, *MEMBER(uint32_t, s, step_counts[i].at));
        for (size_t i = 0; i < N_ELEMENTS(step_times); i++)
                if (mask & step_times[i].bit)
                        codec_put_time(b, *MEMBER(int64_t, s, step_times[i].at), last);
        if (mask & STEP_SKIP_REASON)
                buf_put_u8(b, s->skip_reason);
        if (mask & STEP_OUTPUT)
                codec_put_page_value(b, s->output);
        if (mask & STEP_ERROR)
                codec_put_page_value(b, s->error);
        if (mask & STEP_EXTRA)
                put_extra(b, s->extra);
}

static uint32_t page_end(const Execution *x, uint32_t page) {
        uint32_t end = (page + 1) * STEP_PAGE;
        return end < x->n_instances ? end : x->n_instances;
}

int execution_encode_page(const Execution *x, uint32_t page, Buf *b) {
        int64_t last = x->created_ms;

        buf_put_u8(b, EXECUTION_RECORD_VERSION);
        for (uint32_t i = page * STEP_PAGE; i < page_end(x, page); i++)
                put_step(b, &x->steps[i], &last);
        return b->error;
}

static int take_step(Execution *x, Reader *r, const Fetcher *f, uint32_t instance, int64_t *last) {
        StepState *s = &x->steps[instance];
        uint64_t mask = reader_varint(r);
        int error = 0;

        if (r->failed || (mask & ~(uint64_t)STEP_ALL))
                return -EBADMSG;
        s->status = mask & STEP_STATUS ? reader_u8(r) : 0;
        for (size_t i = 0; i < N_ELEMENTS(step_counts); i++)
                if (mask & step_counts[i].bit)
                        *MEMBER(uint32_t, s, step_counts[i].at) = codec_u32(r);
        for (size_t i = 0; i < N_ELEMENTS(step_times); i++)
                if (mask & step_times[i].bit)
                        *MEMBER(int64_t, s, step_times[i].at) = codec_time(r, last);
        s->skip_reason = mask & STEP_SKIP_REASON ? reader_u8(r) : 0;
        s->continued = mask & STEP_CONTINUED;
        s->compensated = mask & STEP_COMPENSATED;
        s->timed_out = mask & STEP_TIMED_OUT;
        s->asking = mask & STEP_ASKING;
        if (mask & STEP_OUTPUT)
                error = codec_page_value(x, r, f, instance, EXECUTION_VALUE_OUTPUT);
        if (error == 0 && mask & STEP_ERROR)
                error = codec_page_value(x, r, f, instance, EXECUTION_VALUE_ERROR);
        if (error == 0 && mask & STEP_EXTRA)
                error = take_extra(x, r, f, instance);
        if (error < 0)
                return error;
        /* step_mask: whatever was said to be there must differ from its default. */
        return r->failed || s->status >= RUNBOOK_N_STEP_STATUSES || s->skip_reason >= N_SKIP_REASONS ||
                                               (s->asking && s->status != RUNBOOK_STEP_READY) ||
                                               step_mask(s) != mask
                               ? -EBADMSG
                               : 0;
}

int execution_decode_page(Execution *x, uint32_t page, Slice record, ExecutionFetch fetch, void *userdata) {
        Reader r = reader_from_slice(record);
        Fetcher f = {fetch, userdata};
        int64_t last = x->created_ms;
        int e = page <= LIMIT_INSTANCES / STEP_PAGE && page * STEP_PAGE < x->n_instances ? codec_version(&r)
                                                                                         : -EBADMSG;

        for (uint32_t i = page * STEP_PAGE; e == 0 && i < page_end(x, page); i++)
                e = take_step(x, &r, &f, i, &last);
        return e < 0 ? e : reader_left(&r) > 0 ? -EBADMSG : 0;
}

/* ---- putting it together
 * ----------------------------------------------------------------------------------- */

/**
 * The steps that scope @scope runs: its region's, or the one compensation. NULL when the scope does not fit
 * the runbook or what its owner is. The owner's own scope is an earlier one, so its step is known.
 */
static const uint32_t *scope_steps(const Execution *x, uint32_t scope, uint32_t *ret_n) {
        const Scope *s = &x->scopes[scope];
        const Runbook *runbook = x->runbook;
        const RunbookStep *owner = s->owner == INSTANCE_NONE ? NULL : execution_step(x, s->owner);

        *ret_n = 1;
        if (s->region == REGION_COMPENSATION)
                return owner && owner->compensate_with < runbook->n_steps ? &owner->compensate_with : NULL;
        if (s->region >= runbook->n_regions || (scope == 0) != (s->region == REGION_ROOT) ||
            (scope == 0) != !owner || (owner && (!owner->loop || owner->loop->region != s->region)))
                return NULL;
        *ret_n = runbook->regions[s->region].n_steps;
        return runbook->regions[s->region].steps;
}

/** Number the instances anew and count what each scope counts. */
static int check_scopes(Execution *x) {
        uint32_t next = 0;

        for (uint32_t scope = 0; scope < x->n_scopes; scope++) {
                const Scope *s = &x->scopes[scope];
                uint32_t n, n_open = 0, n_active = 0;
                const uint32_t *steps = scope_steps(x, scope, &n);
                if (!steps || s->first != next || n > x->n_instances - next)
                        return -EBADMSG;
                for (uint32_t i = 0; i < n; i++, next++) {
                        x->steps[next].step = steps[i];
                        x->steps[next].scope = scope;
                        n_open += !runbook_step_status_is_final(x->steps[next].status);
                        n_active += step_status_is_active(x->steps[next].status);
                }
                if (n_open != s->n_open || n_active != s->n_active)
                        return -EBADMSG;
                if (s->next_scope != SCOPE_NONE &&
                    (s->next_scope <= scope || x->scopes[s->next_scope].owner != s->owner))
                        return -EBADMSG;
        }
        return next == x->n_instances ? 0 : -EBADMSG;
}

int execution_finish_load(Execution *x) {
        uint32_t n[RUNBOOK_N_STEP_STATUSES] = {0}, n_active = 0, n_running = 0;

        if (check_scopes(x) < 0)
                return -EBADMSG;
        heap_clear(&x->ready);
        for (uint32_t i = 0; i < x->n_instances; i++) {
                uint8_t status = x->steps[i].status;
                n[status]++;
                n_active += step_status_is_active(status);
                n_running += execution_holds_slot(x, i);
                if (status == RUNBOOK_STEP_READY && !x->steps[i].asking &&
                    heap_push(&x->ready, execution_ready_key(x, i)) < 0)
                        return -ENOMEM;
        }
        if (n[RUNBOOK_STEP_COMPLETED] != x->n_completed || n[RUNBOOK_STEP_FAILED] != x->n_failed ||
            n[RUNBOOK_STEP_SKIPPED] != x->n_skipped || n[RUNBOOK_STEP_CANCELLED] != x->n_cancelled ||
            n_active != x->n_active || n_running != x->n_running || x->n_quiet > x->n_running)
                return -EBADMSG;
        x->dirty = 0;
        return 0;
}
