/*
 * The query `approvals`: what waits for this user's decision, oldest execution first
 *
 * Exactly those that an `approve` of this user could decide now: named as an approver, named by the legal
 * basis, not the initiator unless the step allows it, and no vote given yet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "subjects/query.h"

#define APPROVALS_BATCH  64 /* index rows taken before executions are loaded */
#define APPROVAL_RESERVE (20 * 1024)

typedef struct Pending {
        Uuid execution_id;
        uint32_t instance;
} Pending;

typedef struct Batch {
        Pending rows[APPROVALS_BATCH];
        size_t n;
} Batch;

static bool collect(void *userdata, Uuid execution_id, uint32_t instance) {
        Batch *b = userdata;
        b->rows[b->n++] = (Pending){execution_id, instance};
        return b->n < APPROVALS_BATCH;
}

static bool has_voted(const StepState *step, Slice user) {
        for (uint32_t i = 0; step->extra && i < step->extra->n_votes; i++)
                if (slice_eq_str(user, step->extra->votes[i].user))
                        return true;
        return false;
}

static bool may_decide(const Query *q, const Execution *x, uint32_t instance) {
        if (instance >= x->n_instances || x->steps[instance].status != RUNBOOK_STEP_AWAITING_APPROVAL)
                return false;
        const ApprovalConfig *config = execution_step(x, instance)->approval;
        return config && execution_user_allowed(x, q->user) && !has_voted(&x->steps[instance], q->user) &&
               (config->allow_self_approval || !slice_eq(x->initiated_by, q->user));
}

static void put_text(JsonWriter *w, const char *key, Slice s) {
        json_key(w, key);
        json_put_string(w, s);
}

static void put_approval(Query *q, const Execution *x, uint32_t instance) {
        const StepState *state = &x->steps[instance];
        const RunbookStep *step = execution_step(x, instance);
        _cleanup_(buf_deinit) Buf path = {0};
        char id[UUID_TEXT_SIZE + 1], shown[DIGEST_TEXT_SIZE + 1];
        JsonWriter *w = &q->w;
        execution_put_path(x, instance, &path);
        uuid_format(x->id, id);
        json_begin_object(w);
        put_text(w, "executionId", (Slice){id, UUID_TEXT_SIZE});
        put_text(w, "stepId", step->id);
        put_text(w, "stepPath", buf_slice(&path));
        put_text(w, "stepName", step->name);
        put_text(w, "runbookId", x->runbook_id);
        put_text(w, "runbookVersion", x->runbook_version);
        put_text(w, "initiatedBy", x->initiated_by);
        json_key(w, "prompt");
        if (state->extra && state->extra->prompt)
                json_put_raw(w, value_bytes(state->extra->prompt));
        else
                json_put_null(w);
        if (state->extra) {
                digest_format(&state->extra->shown, shown);
                put_text(w, "hash", (Slice){shown, DIGEST_TEXT_SIZE});
        }
        json_key(w, "requestedAt");
        json_put_time_ms(w, state->attempt_ms);
        json_key(w, "deadline");
        if (render_deadline(x, instance) > 0)
                json_put_time_ms(w, render_deadline(x, instance));
        else
                json_put_null(w);
        json_key(w, "minApprovals");
        json_put_i64(w, step->approval->min_approvals);
        json_key(w, "approvals");
        render_votes(state, w);
        Slice input = value_bytes(x->input);
        if (input.n == 0) {
                json_key(w, "input");
                json_put_null(w);
        } else if (query_has_room(q, input.n)) {
                json_key(w, "input");
                json_put_raw(w, input);
        } else {
                json_key(w, "inputBytes");
                json_put_i64(w, (int64_t)input.n);
        }
        json_end_object(w);
}

static void put_cursor(Query *q, const Pending *p) {
        char id[UUID_TEXT_SIZE + 1], cursor[UUID_TEXT_SIZE + 16];
        uuid_format(p->execution_id, id);
        snprintf(cursor, sizeof(cursor), "%s.%" PRIu32, id, p->instance);
        json_key(&q->w, "nextCursor");
        json_put_str(&q->w, cursor);
}

static bool parse_cursor(Slice cursor, Pending *ret) {
        uint64_t instance;
        if (cursor.n <= UUID_TEXT_SIZE + 1 || cursor.data[UUID_TEXT_SIZE] != '.' ||
            !uuid_parse((Slice){cursor.data, UUID_TEXT_SIZE}, &ret->execution_id) ||
            !slice_to_u64((Slice){cursor.data + UUID_TEXT_SIZE + 1, cursor.n - UUID_TEXT_SIZE - 1},
                          &instance) ||
            instance >= INSTANCE_NONE)
                return false;
        ret->instance = (uint32_t)instance;
        return true;
}

/** Answer one batch. @last: the last row dealt with. 1: the page is full, 0: go on, negative. */
static int put_batch(Query *q, const Batch *batch, Pending *last, uint32_t *n) {
        _cleanup_(execution_free_p) Execution *x = NULL;
        for (size_t i = 0; i < batch->n; i++) {
                const Pending *row = &batch->rows[i];
                if (*n == q->limit || (*n > 0 && !query_has_room(q, APPROVAL_RESERVE)))
                        return 1;
                if (!x || !uuid_eq(x->id, row->execution_id)) {
                        execution_free(x);
                        x = NULL;
                        int r = store_execution_load(q->txn, row->execution_id, q->subjects->host.lookup,
                                                     q->subjects->host.userdata, &x);
                        if (r < 0)
                                return r;
                }
                if (x && may_decide(q, x, row->instance)) {
                        put_approval(q, x, row->instance);
                        (*n)++;
                }
                *last = *row;
        }
        return 0;
}

int query_approvals(Query *q) {
        Pending last = {.execution_id = UUID_NIL};
        uint32_t n = 0;
        int r;
        if (q->cursor.n > 0 && !parse_cursor(q->cursor, &last))
                return query_bad_cursor(q);
        json_key(&q->w, "approvals");
        json_begin_array(&q->w);
        for (uint32_t seen = 0;; seen += APPROVALS_BATCH) {
                Batch batch = {.n = 0};
                r = store_approval_list(q->txn, q->tenant, q->user, last.execution_id, last.instance, collect,
                                        &batch);
                if (r < 0)
                        return r;
                r = put_batch(q, &batch, &last, &n);
                if (!r && batch.n == APPROVALS_BATCH && seen >= QUERY_SCAN_MAX)
                        r = 1;
                if (r || batch.n < APPROVALS_BATCH)
                        break;
        }
        json_end_array(&q->w);
        if (r > 0)
                put_cursor(q, &last);
        json_key(&q->w, "count");
        json_put_i64(&q->w, n);
        return r < 0 ? r : 0;
}
