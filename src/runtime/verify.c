/*
 * Verifying
 *
 *     static record ─► engine_start ─┐
 *     journal ───────► engine_step ──┴─► events ──compare──► history
 *                                   └─► state  ──compare──► state records
 *
 * Nothing outside is touched and nothing is written. It runs beside the writer, in a thread of its own,
 * because a long execution takes long; every record is read in a short transaction and copied, and all of
 * them are append-only up to the counts that the execution's own state names, so the picture is one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "json/json_write.h"
#include "runtime/runtime_private.h"

/** The segment of a series that is being gone through. */
typedef struct Reading {
        Buf segment;
        uint64_t first;
        uint32_t n;
        uint64_t at; /* number of the record at `offset` */
        size_t offset;
} Reading;

typedef struct Verify {
        Runtime *r;
        Execution *recorded;  /* as loaded */
        Execution *replayed;
        Update update;
        Reading reading[N_STORE_SERIES];
        /* The answer's list. */
        Buf divergences;
        JsonWriter w;
        uint32_t n_divergences;
} Verify;

/* ---- reading ---------------------------------------------------------------------------------------- */

static int read_segment(Verify *v, StoreSeries series, uint64_t from, Buf *to, uint64_t *ret_first,
                        uint32_t *ret_n) {
        StoreTxn *t;
        Slice frames;

        buf_reset(to);
        int r = store_begin_read(v->r->store, &t);
        if (r)
                return r;
        r = store_series_segment(t, series, v->recorded->id, from, ret_first, ret_n, &frames);
        if (r == 0)
                buf_put_slice(to, frames);
        store_abort(t);
        return r ? r : to->error;
}

/** Record @number of @series, which is read in order. STORE_E_NOT_FOUND when there is none. */
static int recorded(Verify *v, StoreSeries series, uint64_t number, Slice *ret_type, Slice *ret_record) {
        Reading *g = &v->reading[series];

        if (number < g->first || number - g->first >= g->n || number < g->at) {
                int r = read_segment(v, series, number, &g->segment, &g->first, &g->n);
                if (r)
                        return r;
                g->at = g->first;
                g->offset = 0;
                if (number < g->first)
                        return STORE_E_NOT_FOUND;
        }
        do {
                if (!frame_next(buf_slice(&g->segment), &g->offset, ret_type, ret_record))
                        return -EBADMSG;
        } while (g->at++ < number);
        return 0;
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static void diverge(Verify *v, uint64_t seq, const char *part, Slice expected, Slice actual) {
        if (++v->n_divergences > VERIFY_DIVERGENCES_MAX)
                return;
        json_begin_object(&v->w);
        json_key(&v->w, "actual");
        json_put_raw(&v->w, actual.n ? actual : SLICE("null"));
        json_key(&v->w, "expected");
        json_put_raw(&v->w, expected.n ? expected : SLICE("null"));
        json_key(&v->w, "part");
        json_put_str(&v->w, part);
        json_key(&v->w, "sequence");
        json_put_i64(&v->w, (int64_t)seq);
        json_end_object(&v->w);
}

static int compare_events(Verify *v) {
        Slice frames = buf_slice(&v->update.events), type, json, was_type, was_json;
        size_t offset = 0;
        uint64_t seq = v->update.first_seq;

        for (; frame_next(frames, &offset, &type, &json); seq++) {
                int r = seq <= v->recorded->seq ? recorded(v, STORE_HISTORY, seq, &was_type, &was_json)
                                                : STORE_E_NOT_FOUND;
                if (r == STORE_E_NOT_FOUND)
                        diverge(v, seq, "event", SLICE_NULL, json);
                else if (r)
                        return r;
                else if (!slice_eq(type, was_type) || !slice_eq(json, was_json))
                        diverge(v, seq, "event", was_json, json);
        }
        return 0;
}

/** Recorded events that the replay did not bring forth. */
static int compare_rest(Verify *v) {
        Slice type, json;

        for (uint64_t seq = v->replayed->seq + 1;
             seq <= v->recorded->seq && v->n_divergences < VERIFY_DIVERGENCES_MAX; seq++) {
                int r = recorded(v, STORE_HISTORY, seq, &type, &json);
                if (r)
                        return r;
                diverge(v, seq, "event", json, SLICE_NULL);
        }
        return 0;
}

static int encode_whole(Execution *x, Buf *b) {
        int r = execution_encode_static(x, b);
        if (r == 0)
                r = execution_encode_state(x, b);
        for (uint32_t i = 0; r == 0 && i * STEP_PAGE < x->n_instances; i++)
                r = execution_encode_page(x, i, b);
        for (uint32_t i = 0; r == 0 && i < x->n_scopes; i++)
                r = execution_encode_scope(x, i, b);
        return r;
}

static int state_digest(Execution *x, char ret[DIGEST_TEXT_SIZE + 3]) {
        _cleanup_(buf_deinit) Buf b = {0};
        Digest d;

        int r = encode_whole(x, &b);
        if (r == 0)
                r = digest_slice(buf_slice(&b), &d);
        if (r)
                return r;
        digest_format(&d, ret + 1);
        ret[0] = ret[DIGEST_TEXT_SIZE + 1] = '"';
        ret[DIGEST_TEXT_SIZE + 2] = '\0';
        return 0;
}

static int compare_state(Verify *v) {
        char was[DIGEST_TEXT_SIZE + 3], is[DIGEST_TEXT_SIZE + 3];

        v->replayed->order = v->recorded->order; /* given by the store, not by the engine */
        int r = state_digest(v->recorded, was);
        if (r == 0)
                r = state_digest(v->replayed, is);
        if (r == 0 && strcmp(was, is) != 0)
                diverge(v, v->recorded->seq, "state", slice_from_str(was), slice_from_str(is));
        return r;
}

/* ---- replaying -------------------------------------------------------------------------------------- */

/** What a start said beyond its static record; see start_options_put. */
static int read_options(Verify *v, Slice *ret_pause_at) {
        Slice none, record;
        int r = recorded(v, STORE_JOURNAL, 0, &none, &record);
        if (r)
                return r == STORE_E_NOT_FOUND ? 0 : r;
        return start_options_get(record, ret_pause_at);
}

static int replay_start(Verify *v) {
        const Execution *x = v->recorded;
        Input in = {
                .kind = INPUT_START,
                .now_ms = x->created_ms,
                .seed = start_seed(x->id),
                .execution_id = x->id,
                .tenant = x->tenant,
                .user = x->initiated_by,
                .command_id = x->command_id,
                .traceparent = x->traceparent,
                .value = x->input,
                .context = x->context,
                .idempotency_key = x->idempotency_key,
                .parent = x->parent,
                .original = x->original,
                .parent_instance = x->parent_instance,
                .depth = x->depth,
                .dry_run = x->is_dry_run,
                .idempotency_digest = x->idempotency_digest,
        };

        int r = read_options(v, &in.pause_at);
        if (r)
                return r;
        update_reset(&v->update);
        r = engine_start(x->runbook, &v->r->settings.engine, &in, &v->update, &v->replayed);
        return r ? r : compare_events(v);
}

static int replay_input(Verify *v, uint64_t number) {
        Slice none, record;
        Input in;

        int r = recorded(v, STORE_JOURNAL, number, &none, &record);
        if (r)
                return r == STORE_E_NOT_FOUND ? -EBADMSG : r;
        r = input_decode(record, &in);
        if (r)
                return r;
        update_reset(&v->update);
        r = engine_step(v->replayed, &v->r->settings.engine, &in, &v->update);
        input_release(&in);
        return r ? r : compare_events(v);
}

static int replay(Verify *v) {
        int r = replay_start(v);
        if (r == -EINVAL) {
                diverge(v, 1, "start", SLICE_NULL, SLICE("\"the engine refuses this start today\""));
                return 0;
        }
        for (uint64_t i = 1;
             r == 0 && i <= v->recorded->n_journal && v->n_divergences < VERIFY_DIVERGENCES_MAX; i++)
                r = replay_input(v, i);
        if (r == 0)
                r = compare_rest(v);
        if (r == 0 && v->n_divergences < VERIFY_DIVERGENCES_MAX)
                r = compare_state(v);
        return r;
}

static void put_answer(Verify *v, Buf *body) {
        JsonWriter w = json_writer(body);

        json_begin_object(&w);
        json_key(&w, "divergences");
        json_begin_array(&w);
        json_put_raw(&w, buf_slice(&v->divergences));
        json_end_array(&w);
        json_key(&w, "identical");
        json_put_bool(&w, v->n_divergences == 0);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
}

int verify_execution(Runtime *r, Uuid id, Buf *body, bool *ret_identical) {
        Verify v = {.r = r};
        StoreTxn *t;

        v.w = json_writer(&v.divergences);
        int rc = store_begin_read(r->store, &t);
        if (rc)
                return rc;
        rc = store_execution_load(t, id, runtime_runbook_lookup, r, &v.recorded);
        store_abort(t);
        if (rc == 0)
                rc = replay(&v);
        *ret_identical = rc == 0 && v.n_divergences == 0;
        if (rc == 0)
                put_answer(&v, body);
        if (rc == 0)
                rc = v.divergences.error ? v.divergences.error : body->error;
        execution_free(v.recorded);
        execution_free(v.replayed);
        update_deinit(&v.update);
        for (unsigned s = 0; s < N_STORE_SERIES; s++)
                buf_deinit(&v.reading[s].segment);
        buf_deinit(&v.divergences);
        return rc;
}

/* ---- the queue -------------------------------------------------------------------------------------- */

void verifier_init(Verifier *v) {
        *v = (Verifier){0};
        pthread_mutex_init(&v->lock, NULL);
        pthread_cond_init(&v->wake, NULL);
        list_init(&v->queue);
}

void verifier_deinit(Verifier *v) {
        pthread_cond_destroy(&v->wake);
        pthread_mutex_destroy(&v->lock);
}

bool verifier_put(Verifier *v, Request *q) {
        pthread_mutex_lock(&v->lock);
        bool taken = v->n < VERIFY_QUEUE_MAX;
        if (taken) {
                list_push_back(&v->queue, &q->node);
                v->n++;
        }
        pthread_mutex_unlock(&v->lock);
        pthread_cond_signal(&v->wake);
        return taken;
}

static Request *take(Verifier *v, bool wait) {
        Request *q = NULL;

        pthread_mutex_lock(&v->lock);
        while (wait && !v->stopping && v->n == 0)
                pthread_cond_wait(&v->wake, &v->lock);
        if (v->n > 0 && (!v->stopping || !wait)) {
                q = LIST_ENTRY(v->queue.next, Request, node);
                list_remove(&q->node);
                v->n--;
        }
        pthread_mutex_unlock(&v->lock);
        return q;
}

static void log_failure(Uuid id, int error) {
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(id, text);
        log_event(LOG_ERROR, "an execution could not be verified", "execution", text, "reason",
                  error == STORE_E_NOT_FOUND ? "a record is missing"
                  : error == -EBADMSG        ? "a record is damaged"
                                             : strerror(-error),
                  NULL);
}

static void answer(Runtime *r, Request *q) {
        _cleanup_(buf_deinit) Buf body = {0};

        bool identical;
        int rc = verify_execution(r, q->input.execution_id, &body, &identical);
        if (rc)
                log_failure(q->input.execution_id, rc);
        if (rc == 0)
                runtime_finish_request(r, q, RUNBOOK_OK, buf_slice(&body), true);
        else if (rc == -ENOMEM)
                runtime_fail_request(r, q, RUNBOOK_UNAVAILABLE,
                                     "There was not enough memory to verify this execution.", false);
        else if (rc == -EIO)
                runtime_fail_request(r, q, RUNBOOK_UNAVAILABLE,
                                     "The disk gave an error while the execution's records were read; try again.",
                                     false);
        else
                runtime_fail_request(r, q, RUNBOOK_INTERNAL,
                                     "The execution's records can't be read; the engine's log says why.",
                                     true);
}

bool verifier_turn(Runtime *r) {
        Request *q = take(&r->verifier, false);
        if (q)
                answer(r, q);
        return q != NULL;
}

void verifier_run(Runtime *r) {
        Request *q;
        while ((q = take(&r->verifier, true)))
                answer(r, q);
}

void verifier_stop(Verifier *v) {
        pthread_mutex_lock(&v->lock);
        v->stopping = true;
        pthread_mutex_unlock(&v->lock);
        pthread_cond_broadcast(&v->wake);
}
