/* The queries `executions`, `execution.<id>` and `stats`. */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/access.h"
#include "subjects/query.h"

#define SUMMARY_BYTES_MAX 2048 /* one row of the list, at most about */

/* ---- executions: newest first ------------------------------------------------------ */

typedef struct Listing {
        Query *q;
        uint32_t n, n_seen;
        uint64_t last_order; /* of the last row looked at */
        bool is_full;
        int error;
} Listing;

static void put_uuid(JsonWriter *w, const char *key, Uuid id) {
        char text[UUID_TEXT_SIZE + 1];
        if (uuid_is_nil(id))
                return;
        uuid_format(id, text);
        json_key(w, key);
        json_put_str(w, text);
}

static void put_summary(JsonWriter *w, const StoreSummary *x) {
        json_begin_object(w);
        render_head(&(RenderHead){.id = x->id,
                                  .runbook_id = x->runbook_id,
                                  .runbook_version = x->runbook_version,
                                  .initiated_by = x->initiated_by,
                                  .status = x->status,
                                  .start_ms = x->start_ms,
                                  .end_ms = x->end_ms,
                                  .n_total = x->n_total,
                                  .n_completed = x->n_completed,
                                  .n_failed = x->n_failed,
                                  .n_skipped = x->n_skipped,
                                  .n_cancelled = x->n_cancelled},
                    w);
        render_time(w, "createdAt", x->created_ms);
        put_uuid(w, "parentExecutionId", x->parent);
        put_uuid(w, "originalExecutionId", x->original);
        json_end_object(w);
}

static bool on_summary(void *userdata, const StoreSummary *x) {
        Listing *l = userdata;
        if (l->n == l->q->limit || l->n_seen == QUERY_SCAN_MAX || !query_has_room(l->q, SUMMARY_BYTES_MAX)) {
                l->is_full = true;
                return false;
        }
        l->n_seen++;
        l->last_order = x->order;
        int r = access_to_summary(l->q->subjects, l->q->txn, x, l->q->user);
        if (r < 0) {
                l->error = r;
                return false;
        }
        if (r > 0) {
                put_summary(&l->q->w, x);
                l->n++;
        }
        return true;
}

static void read_filter(Query *q, StoreListFilter *f) {
        *f = (StoreListFilter){.tenant = q->tenant, .status = -1};
        f->runbook_id = query_get_string(q, "runbookId");
        f->initiated_by = query_get_string(q, "initiatedBy");
        query_get_time(q, "since", &f->since_ms);
        query_get_time(q, "until", &f->until_ms);
        f->before_order = query_cursor_number(q, 'x');
        Slice status = query_get_string(q, "status");
        if (status.n == 0)
                return;
        f->status = runbook_execution_status_from_name(status.data); /* jansson's strings end with NUL */
        if (f->status < 0) {
                JsonAt at = json_at_key(&q->at, "status");
                json_at_error(&at, "is no execution status: pending, running, pausing, paused, compensating, "
                                   "completed, failed "
                                   "or cancelled");
        }
}

int query_executions(Query *q) {
        Listing l = {.q = q};
        StoreListFilter filter;
        uint64_t more = 0;
        read_filter(q, &filter);
        if (report_is_error(&q->report))
                return -EINVAL;
        json_key(&q->w, "executions");
        json_begin_array(&q->w);
        int r = store_execution_list(q->txn, &filter, on_summary, &l, &more);
        json_end_array(&q->w);
        if (r < 0 || l.error)
                return r < 0 ? r : l.error;
        json_key(&q->w, "count");
        json_put_i64(&q->w, l.n);
        if (l.is_full)
                query_put_cursor_number(q, 'x', l.last_order);
        else if (more > 0)
                query_put_cursor_number(q, 'x', more);
        return 0;
}

/* ---- execution.<id> ---------------------------------------------------------------- */

int query_execution(Query *q) {
        _cleanup_(execution_free_p) Execution *x = NULL;
        RenderOptions options = {.with_steps = true};
        uint32_t next = 0;
        int64_t limit = 0;
        json_get_bool(&q->at, "steps", &options.with_steps);
        if (json_get_i64(&q->at, "limit", 1, QUERY_LIMIT_MAX, &limit))
                options.limit = (uint32_t)limit;
        options.first = (uint32_t)query_cursor_number(q, 's');
        if (report_is_error(&q->report))
                return -EINVAL;
        int r = query_load_execution(q, &x);
        if (r < 0)
                return r;
        Slice only = query_get_string(q, "only"), after = query_get_string(q, "stepsAfter");
        if (only.n > 0) {
                JsonAt at = json_at_key(&q->at, "only");
                json_key(&q->w, "execution");
                return render_member(x, only, &q->w)
                                       ? 0
                                       : json_at_error(&at, "must be \"context\", \"input\" or \"output\"");
        }
        if (after.n > 0) {
                uint32_t instance = execution_find_path(x, after);
                JsonAt at = json_at_key(&q->at, "stepsAfter");
                if (instance == INSTANCE_NONE)
                        return json_at_error(&at, "is no step path of this execution");
                options.first = instance + 1;
        }
        if (options.first > x->n_instances)
                return query_bad_cursor(q);
        json_key(&q->w, "execution");
        render_execution(x, &options, q->budget, &q->w, &next);
        if (next > 0)
                query_put_cursor_number(q, 's', next);
        query_put_last_sequence(q, x->seq);
        return 0;
}

/* ---- stats ------------------------------------------------------------------------- */

int query_stats(Query *q) {
        uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES];
        KvStats kv;
        int64_t total = 0;
        int r = store_execution_counts(q->txn, q->tenant, counts);
        if (r < 0)
                return r;
        r = store_stats(q->subjects->host.store, &kv);
        if (r < 0)
                return r;
        json_key(&q->w, "executions");
        json_begin_object(&q->w);
        for (unsigned i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++) {
                json_key(&q->w, runbook_execution_status_name(i));
                json_put_i64(&q->w, (int64_t)counts[i]);
                total += (int64_t)counts[i];
        }
        json_key(&q->w, "total");
        json_put_i64(&q->w, total);
        json_end_object(&q->w);
        json_key(&q->w, "store");
        json_begin_object(&q->w);
        json_key(&q->w, "usedBytes");
        json_put_i64(&q->w, (int64_t)kv.used_bytes);
        json_key(&q->w, "mapBytes");
        json_put_i64(&q->w, (int64_t)kv.map_bytes);
        json_key(&q->w, "mapMaxBytes");
        json_put_i64(&q->w, (int64_t)kv.map_max_bytes);
        json_end_object(&q->w);
        json_key(&q->w, "engine");
        json_begin_object(&q->w);
        json_key(&q->w, "id");
        json_put_str(&q->w, q->subjects->settings->engine_id);
        json_key(&q->w, "version");
        json_put_str(&q->w, q->subjects->settings->version);
        json_key(&q->w, "startedAt");
        json_put_time_ms(&q->w, q->subjects->started_ms);
        if (q->subjects->host.put_stats)
                q->subjects->host.put_stats(q->subjects->host.userdata, q->tenant, &q->w);
        json_end_object(&q->w);
        return 0;
}
