/*
 * The audit stream. What it takes is held against what is committed at that moment (an event that is not in
 * the store yet was published before its commit), against its order (no gap before it in what the stream
 * holds), and at the end against everything there is.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

#define DEDUPE_MS 120000

typedef struct Entry {
        Uuid id;
        uint64_t number;
        bool is_log;
        int64_t at_ms;
} Entry;

struct AuditLog {
        Entry *entries; /* what the stream holds */
        size_t n, cap;
        uint64_t base; /* sequence before entries[0] */
        int64_t created_ms;
        uint64_t epoch;
        int64_t full_until_ms;
};

AuditLog *audit_new(void) {
        AuditLog *a = sim_realloc(NULL, sizeof(*a));
        *a = (AuditLog){.created_ms = SIM_EPOCH_MS - 1000, .epoch = 1};
        return a;
}

void audit_free(AuditLog *a) {
        free(a->entries);
        free(a);
}

uint64_t audit_epoch(const Sim *s) { return s->audit->epoch; }
void audit_reconnect(Sim *s) { s->audit->epoch++; }

void audit_lose(Sim *s) {
        AuditLog *a = s->audit;
        size_t n = a->n ? 1 + rng_below(&s->rng, (uint32_t)(a->n < 60 ? a->n : 60)) : 0;
        a->n -= n;
        a->epoch++;
        sim_tell(s, "audit: the stream loses its last %zu", n);
}

void audit_replace(Sim *s) {
        AuditLog *a = s->audit;
        /* It may hold as much of others as the one before held of ours: only its birth tells it apart. */
        a->base = rng_chance(&s->rng, 500) ? a->base + a->n + rng_below(&s->rng, 100) : 0;
        a->n = 0;
        a->created_ms = s->now_ms > a->created_ms ? s->now_ms : a->created_ms + 1;
        a->epoch++;
        sim_tell(s, "audit: another stream");
}

/* ---- what a message is ------------------------------------------------------------------------------- */

static bool parse_id(Slice id, Entry *ret) {
        Slice rest;
        if (id.n < UUID_TEXT_SIZE + 2 || !uuid_parse((Slice){id.data, UUID_TEXT_SIZE}, &ret->id) ||
            id.data[UUID_TEXT_SIZE] != '/')
                return false;
        rest = (Slice){id.data + UUID_TEXT_SIZE + 1, id.n - UUID_TEXT_SIZE - 1};
        ret->is_log = slice_starts_with(rest, SLICE("log/"));
        if (ret->is_log)
                rest = (Slice){rest.data + 4, rest.n - 4};
        return slice_to_u64(rest, &ret->number);
}

/** The record as committed; false when there is none. *ret is valid until @t ends or looks further. */
static bool committed(StoreTxn *t, const Entry *e, Slice *ret_type, Slice *ret) {
        uint64_t first;
        uint32_t n;
        Slice frames;
        size_t offset = 0;

        if (store_series_segment(t, e->is_log ? STORE_LOGS : STORE_HISTORY, e->id, e->number, &first, &n,
                                 &frames) ||
            e->number < first || e->number - first >= n)
                return false;
        for (uint64_t i = first; i <= e->number; i++)
                if (!frame_next(frames, &offset, ret_type, ret))
                        return false;
        return true;
}

static bool same_subject(const AuditMessage *m, const Entry *e, Slice type) {
        char id[UUID_TEXT_SIZE + 1], tail[256];
        uuid_format(e->id, id);
        if (slice_eq_str(type, "checkpoint")) {
                snprintf(tail, sizeof(tail), SIM_PREFIX ".checkpoint.%s", id);
                return slice_eq_str(m->subject, tail);
        }
        snprintf(tail, sizeof(tail), ".%s.%s.%.*s", e->is_log ? "log" : "lifecycle", id, SLICE_ARG(type));
        return slice_ends_with(m->subject, slice_from_str(tail)) &&
               slice_starts_with(m->subject, SLICE(SIM_PREFIX "."));
}

static bool check_committed(Sim *s, const AuditMessage *m, Entry *e) {
        Slice type, json;
        StoreTxn *t;

        if (!parse_id(m->id, e)) {
                sim_fail(s, "audit id", "%.*s is no message id", SLICE_ARG(m->id));
                return false;
        }
        s->looking++;
        bool ok = store_begin_read(s->store, &t) == 0;
        if (ok) {
                if (!committed(t, e, &type, &json))
                        sim_fail(s, "published before its commit",
                                 "%.*s is in the stream and not in the store", SLICE_ARG(m->id));
                else if (!slice_eq(json, m->payload) || !same_subject(m, e, type))
                        sim_fail(s, "published otherwise",
                                 "%.*s is published as %.*s %.*s, committed as %.*s", SLICE_ARG(m->id),
                                 SLICE_ARG(m->subject), SLICE_ARG(m->payload), SLICE_ARG(json));
                store_abort(t);
        }
        s->looking--;
        return ok && !s->failed;
}

/* ---- the stream --------------------------------------------------------------------------------------- */

/** The latest number that the stream holds of this series; *ret_is_there: has it just this one, not so long ago? */
static uint64_t latest(const Sim *s, const Entry *e, bool *ret_is_there) {
        const AuditLog *a = s->audit;
        uint64_t max = 0;
        *ret_is_there = false;
        for (size_t i = a->n; i-- > 0;) {
                const Entry *other = &a->entries[i];
                if (other->is_log != e->is_log || !uuid_eq(other->id, e->id))
                        continue;
                if (other->number > max)
                        max = other->number;
                if (other->number == e->number && s->now_ms - other->at_ms < DEDUPE_MS)
                        *ret_is_there = true;
                if (max >= e->number)
                        break; /* in order so far: what lies before is smaller */
        }
        return max;
}

static void take(Sim *s, const AuditMessage *m) {
        AuditLog *a = s->audit;
        bool is_there;
        Entry e = {.at_ms = s->now_ms};

        if (!check_committed(s, m, &e))
                return;
        uint64_t max = latest(s, &e, &is_there);
        if (is_there && !sim_fault(s, FAULT_AUDIT_FORGETS))
                return;
        if (e.number > max + 1 && !s->plan.short_outbox) {
                sim_fail(s, "audit gap", "%.*s comes after %llu", SLICE_ARG(m->id), (unsigned long long)max);
                return;
        }
        SIM_GROW(a->entries, a->n, a->cap);
        a->entries[a->n++] = e;
}

int audit_publish(Sim *s, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq) {
        AuditLog *a = s->audit;

        if (s->dead || bus_is_away(s))
                return -EAGAIN;
        if (s->now_ms < a->full_until_ms || sim_fault(s, FAULT_AUDIT_FULL)) {
                if (s->now_ms >= a->full_until_ms)
                        a->full_until_ms = s->now_ms + rng_below(&s->rng, 5000);
                sim_tell(s, "audit: the stream is full");
                return -ENOSPC;
        }
        size_t n_taken = n;
        bool unsure = sim_fault(s, FAULT_AUDIT_UNSURE);
        if (unsure)
                n_taken = rng_below(&s->rng, (uint32_t)n + 1);
        sim_tell(s, "audit: %zu of %zu from %.*s", n_taken, n, SLICE_ARG(messages[0].id));
        for (size_t i = 0; i < n_taken && !s->dead && !s->failed; i++) {
                take(s, &messages[i]);
                if (sim_fault(s, FAULT_CRASH) && rng_chance(&s->rng, 20))
                        (void)sim_may_die(s, "while publishing");
        }
        if (unsure) {
                if (rng_chance(&s->rng, 300))
                        a->epoch++;
                return -EAGAIN;
        }
        (void)sim_may_die(s, "after publishing");
        *ret_stream_seq = a->base + a->n;
        return s->dead ? -EAGAIN : 0;
}

int audit_tail(Sim *s, AuditTail *ret) {
        const AuditLog *a = s->audit;
        if (s->dead || bus_is_away(s))
                return -EAGAIN;
        *ret = (AuditTail){.last_seq = a->base + a->n, .created_ms = a->created_ms, .epoch = a->epoch};
        return 0;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static uint64_t count_of(const AuditLog *a, Uuid id, bool is_log) {
        uint64_t next = 1;
        for (size_t i = 0; i < a->n; i++)
                if (a->entries[i].is_log == is_log && a->entries[i].number == next &&
                    uuid_eq(a->entries[i].id, id))
                        next++;
        return next - 1;
}

void audit_check_complete(Sim *s) {
        Uuid id;
        uint8_t status;
        Slice tenant;
        StoreTxn *t;

        if (s->plan.short_outbox || s->failed || store_begin_read(s->store, &t))
                return;
        for (uint32_t i = 0; books_execution(s->books, i, &id, &status, &tenant); i++) {
                for (int is_log = 0; is_log <= 1 && !s->failed; is_log++) {
                        Entry e = {.id = id, .is_log = is_log, .number = count_of(s->audit, id, is_log) + 1};
                        Slice type, json;
                        char text[UUID_TEXT_SIZE + 1];
                        uuid_format(id, text);
                        if (committed(t, &e, &type, &json))
                                sim_fail(s, "audit incomplete", "%s/%s%llu never reached the audit stream",
                                         text, is_log ? "log/" : "", (unsigned long long)e.number);
                }
        }
        store_abort(t);
}
