/*
 * The query `audit.<id>`: the history, and whether it is whole
 *
 * Every event is taken as it lies in the store, its hash is computed anew, and the chain is followed from
 * event to event up to the hash that the execution's state holds. So a damaged or altered record shows
 * here, not only at whoever checks a copy later. A page checks what it walks over; the pages of an
 * execution check all of it.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "model/event_seal.h"
#include "model/update.h"
#include "subjects/query.h"

#define AUDIT_FAULTS_MAX 100 /* listed; all are counted */

typedef struct AuditWalk {
        Query *q;
        const Execution *execution;
        bool with_events;
        uint32_t n;                      /* events checked on this page */
        uint64_t first, next;            /* sequence of the first one checked; of the one to go on with */
        char prev[DIGEST_TEXT_SIZE + 1]; /* hash of the event before `next`; "": not known */
        char first_prev[DIGEST_TEXT_SIZE + 1]; /* what the chain stood at before `first` */
        Buf faults;
        JsonWriter faults_writer;
        uint32_t n_faults;
        bool is_full;
} AuditWalk;

static void fault(AuditWalk *a, uint64_t sequence, const char *name, const char *message) {
        if (a->n_faults++ >= AUDIT_FAULTS_MAX)
                return;
        JsonWriter *w = &a->faults_writer;
        json_begin_object(w);
        json_key(w, "sequence");
        json_put_i64(w, (int64_t)sequence);
        json_key(w, "fault");
        json_put_str(w, name);
        json_key(w, "message");
        json_put_str(w, message);
        json_end_object(w);
}

static int check_event(AuditWalk *a, uint64_t sequence, Slice text) {
        EventSeal seal;
        int r = event_seal(text, &seal);
        if (r < 0)
                return r;
        if (!seal.well_formed) {
                fault(a, sequence, "malformed", "the event is not JSON with hash and prevhash");
        } else {
                if (seal.sequence != sequence)
                        fault(a, sequence, "order", "the event's sequence is not its place in the history");
                if (a->prev[0] && strcmp(a->prev, seal.prev) != 0)
                        fault(a, sequence, "link", "prevhash is not the hash of the event before");
                if (strcmp(seal.computed, seal.hash) != 0)
                        fault(a, sequence, "hash",
                              "the event's content does not give its hash: it was altered");
        }
        memcpy(a->prev, seal.hash, sizeof(seal.hash));
        return 0;
}

/** Take the hash of the event before the page on trust: it was checked by the page before. */
static int seed(AuditWalk *a) {
        Slice frames, type, text;
        uint64_t first;
        uint32_t n;
        size_t offset = 0;
        memset(a->prev, '0', DIGEST_TEXT_SIZE);
        a->prev[DIGEST_TEXT_SIZE] = 0;
        if (a->next <= 1)
                return 0;
        a->prev[0] = 0;
        int r = store_series_segment(a->q->txn, STORE_HISTORY, a->execution->id, a->next - 1, &first, &n,
                                     &frames);
        if (r)
                return r == STORE_E_NOT_FOUND ? query_bad_cursor(a->q) : r;
        for (uint64_t number = first; number < first + n && frame_next(frames, &offset, &type, &text);
             number++) {
                if (number != a->next - 1)
                        continue;
                json_t *event = json_parse_own(text);
                const char *hash = json_string_value(json_object_get(event, "hash"));
                if (hash && strlen(hash) == DIGEST_TEXT_SIZE)
                        memcpy(a->prev, hash, DIGEST_TEXT_SIZE + 1);
                json_decref(event);
        }
        return 0;
}

/** The next event; false when the page is full before it. */
static bool has_room(AuditWalk *a, Slice text) {
        uint32_t most = a->with_events ? a->q->limit : QUERY_SCAN_MAX;
        a->is_full = a->n == most || (a->with_events && a->n > 0 && !query_has_room(a->q, text.n));
        return !a->is_full;
}

static int walk(AuditWalk *a) {
        for (;;) {
                uint64_t first;
                uint32_t n;
                Slice frames, type, text;
                size_t offset = 0;
                int r = store_series_segment(a->q->txn, STORE_HISTORY, a->execution->id, a->next, &first, &n,
                                             &frames);
                if (r)
                        return r == STORE_E_NOT_FOUND ? 0 : r;
                if (first > a->next)
                        fault(a, a->next, "gap", "events are missing here");
                for (uint64_t number = first; number < first + n; number++) {
                        if (!frame_next(frames, &offset, &type, &text))
                                return -EBADMSG;
                        if (number < a->next)
                                continue;
                        if (!has_room(a, text))
                                return 0;
                        r = check_event(a, number, text);
                        if (r < 0)
                                return r;
                        if (a->with_events)
                                json_put_raw(&a->q->w, text);
                        a->n++;
                        a->next = number + 1;
                }
        }
}

static void check_head(AuditWalk *a) {
        char head[DIGEST_TEXT_SIZE + 1];
        digest_format(&a->execution->chain, head);
        if (a->next != a->execution->seq + 1)
                fault(a, a->next, "gap", "the history does not end where the execution's state says");
        else if (a->execution->seq > 0 && strcmp(a->prev, head) != 0)
                fault(a, a->execution->seq, "head",
                      "the last event is not the one that the execution's state ends with");
}

static void put_verification(AuditWalk *a) {
        JsonWriter *w = &a->q->w;
        char head[DIGEST_TEXT_SIZE + 1];
        digest_format(&a->execution->chain, head);
        json_key(w, "verification");
        json_begin_object(w);
        json_key(w, "verified");
        json_put_bool(w, a->n_faults == 0);
        json_key(w, "complete");
        json_put_bool(w, a->first == 1 && !a->is_full);
        json_key(w, "events");
        json_put_i64(w, a->n);
        json_key(w, "firstSequence");
        json_put_i64(w, (int64_t)a->first);
        json_key(w, "lastSequence");
        json_put_i64(w, (int64_t)a->next - 1);
        json_key(w, "firstPrevhash");
        json_put_str(w, a->first_prev);
        json_key(w, "lastHash");
        json_put_str(w, a->prev);
        json_key(w, "head");
        json_begin_object(w);
        json_key(w, "sequence");
        json_put_i64(w, (int64_t)a->execution->seq);
        json_key(w, "hash");
        json_put_str(w, head);
        json_end_object(w);
        json_key(w, "faultCount");
        json_put_i64(w, a->n_faults);
        json_key(w, "faults");
        json_begin_array(w);
        if (a->faults.n > 0)
                json_put_raw(w, buf_slice(&a->faults));
        json_end_array(w);
        json_end_object(w);
}

static int answer(AuditWalk *a) {
        Query *q = a->q;
        char id[UUID_TEXT_SIZE + 1];
        int r = seed(a);
        if (r < 0)
                return r;
        memcpy(a->first_prev, a->prev, sizeof(a->prev));
        uuid_format(a->execution->id, id);
        json_key(&q->w, "executionId");
        json_put_str(&q->w, id);
        if (a->with_events) {
                json_key(&q->w, "events");
                json_begin_array(&q->w);
        }
        r = walk(a);
        if (a->with_events)
                json_end_array(&q->w);
        if (r < 0)
                return r;
        if (!a->is_full)
                check_head(a);
        put_verification(a);
        if (a->is_full)
                query_put_cursor_number(q, 'a', a->next);
        return a->faults.error;
}

int query_audit(Query *q) {
        _cleanup_(execution_free_p) Execution *x = NULL;
        AuditWalk a = {.q = q, .with_events = true, .first = query_cursor_number(q, 'a')};
        json_get_bool(&q->at, "events", &a.with_events);
        if (report_is_error(&q->report))
                return -EINVAL;
        int r = query_load_execution(q, &x);
        if (r < 0)
                return r;
        if (a.first == 0)
                a.first = 1;
        a.next = a.first;
        a.execution = x;
        a.faults_writer = json_writer(&a.faults);
        r = answer(&a);
        buf_deinit(&a.faults);
        return r;
}
