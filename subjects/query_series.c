/*
 * The queries `history.<id>`, `logs.<id>` and `evidence.<id>`: what an execution has left behind, record by
 * record
 *
 * The records are JSON texts, stored as they were published; they go out verbatim. They are numbered, and a
 * cursor is the number to go on with.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "model/update.h"
#include "subjects/query.h"

typedef struct LogFilter {
        Slice level, step_id;
        int64_t start_ms, end_ms; /* of the entry's timestamp, both included; 0: open */
        bool looks_inside;        /* the entry must be parsed */
} LogFilter;

typedef struct Page {
        Query *q;
        const LogFilter *filter; /* NULL: none */
        uint32_t n, n_seen;
        uint64_t next; /* the record to go on with */
        bool is_full;
} Page;

static bool log_matches(const LogFilter *f, Slice level, Slice entry) {
        int64_t at_ms = 0;
        if (f->level.n > 0 && !slice_eq(f->level, level))
                return false;
        if (!f->looks_inside)
                return true;
        json_t *json = json_parse_own(entry);
        const json_t *step = json_object_get(json, "stepId"), *time = json_object_get(json, "timestamp");
        bool fits = f->step_id.n == 0 ||
                    (json_is_string(step) && slice_eq(json_string_slice(step), f->step_id));
        if (fits && (f->start_ms > 0 || f->end_ms > 0))
                fits = json_is_string(time) && time_parse_ms(json_string_slice(time), &at_ms) &&
                       at_ms >= f->start_ms && (f->end_ms == 0 || at_ms <= f->end_ms);
        json_decref(json);
        return fits;
}

/** A record too large for any message: its number and size stand in for it. */
static void put_stub(JsonWriter *w, uint64_t number, size_t n_bytes) {
        json_begin_object(w);
        json_key(w, "sequence");
        json_put_i64(w, (int64_t)number);
        json_key(w, "omittedBytes");
        json_put_i64(w, (int64_t)n_bytes);
        json_end_object(w);
}

/** One record; false when the page is full before it. */
static bool put_record(Page *p, uint64_t number, Slice type, Slice json) {
        if (p->n == p->q->limit || p->n_seen == QUERY_SCAN_MAX ||
            (p->n > 0 && !query_has_room(p->q, json.n))) {
                p->is_full = true;
                return false;
        }
        p->n_seen++;
        p->next = number + 1;
        if (p->filter && !log_matches(p->filter, type, json))
                return true;
        if (query_has_room(p->q, json.n))
                json_put_raw(&p->q->w, json);
        else
                put_stub(&p->q->w, number, json.n);
        p->n++;
        return true;
}

static int put_records(Page *p, StoreSeries series, Uuid id) {
        for (uint64_t from = p->next;;) {
                uint64_t first;
                uint32_t n;
                Slice frames, type, json;
                int r = store_series_segment(p->q->txn, series, id, from, &first, &n, &frames);
                if (r)
                        return r == STORE_E_NOT_FOUND ? 0 : r;
                size_t offset = 0;
                for (uint64_t number = first; number < first + n; number++) {
                        if (!frame_next(frames, &offset, &type, &json))
                                return -EBADMSG;
                        if (number >= from && !put_record(p, number, type, json))
                                return 0;
                }
                from = first + n;
        }
}

static int answer_series(Query *q, StoreSeries series, const char *name, char cursor_kind,
                         const LogFilter *filter) {
        _cleanup_(execution_free_p) Execution *x = NULL;
        char id[UUID_TEXT_SIZE + 1];
        Page page = {.q = q, .filter = filter, .next = query_cursor_number(q, cursor_kind)};
        int64_t after = 0;
        json_get_i64(&q->at, "after", 0, INT64_MAX - 1, &after);
        if (page.next == 0 && after > 0)
                page.next = (uint64_t)after + 1;
        if (report_is_error(&q->report))
                return -EINVAL;
        int r = query_load_execution(q, &x);
        if (r < 0)
                return r;
        uuid_format(x->id, id);
        json_key(&q->w, "executionId");
        json_put_str(&q->w, id);
        json_key(&q->w, name);
        json_begin_array(&q->w);
        r = put_records(&page, series, x->id);
        json_end_array(&q->w);
        if (page.is_full)
                query_put_cursor_number(q, cursor_kind, page.next);
        uint64_t last[N_STORE_SERIES] = {
                        [STORE_HISTORY] = x->seq, [STORE_LOGS] = x->n_logs, [STORE_EVIDENCE] = x->n_evidence};
        query_put_last_sequence(q, last[series]);
        return r;
}

int query_history(Query *q) { return answer_series(q, STORE_HISTORY, "events", 'h', NULL); }

int query_evidence(Query *q) { return answer_series(q, STORE_EVIDENCE, "evidence", 'v', NULL); }

int query_logs(Query *q) {
        LogFilter f = {.level = query_get_string(q, "level"), .step_id = query_get_string(q, "stepId")};
        query_get_time(q, "startTime", &f.start_ms);
        query_get_time(q, "endTime", &f.end_ms);
        f.looks_inside = f.step_id.n > 0 || f.start_ms > 0 || f.end_ms > 0;
        return answer_series(q, STORE_LOGS, "logs", 'l', &f);
}
