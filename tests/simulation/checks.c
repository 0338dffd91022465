/*
 * Looking: after everything the engine did, whatever its commits have touched is read from the store again,
 * its invariants are checked, its new events move the model, and the model is compared with the state.
 */
#include "books.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runtime/verify.h"

Books *books_new(void) {
        Books *b = sim_realloc(NULL, sizeof(*b));
        *b = (Books){0};
        return b;
}

void books_free(Books *b) {
        for (size_t i = 0; i < b->n; i++) {
                Case *c = &b->cases[i];
                runbook_unref(c->runbook);
                value_unref(c->input);
                value_unref(c->context);
                free(c->tenant);
                free(c->initiator);
                free(c->command_id);
                free(c->steps);
                free(c->hashes);
        }
        free(b->cases);
        free(b->event_ids);
        free(b);
}

uint32_t books_count(const Books *b) {
        uint32_t n = 0;
        for (size_t i = 0; i < b->n; i++)
                n += b->cases[i].runbook != NULL;
        return n;
}

uint64_t books_events(const Books *b) { return b->n_events; }

static Case *nth(const Books *b, uint32_t i) {
        for (size_t k = 0; k < b->n; k++)
                if (b->cases[k].runbook && i-- == 0)
                        return &b->cases[k];
        return NULL;
}

bool books_execution(const Books *b, uint32_t i, Uuid *ret, uint8_t *ret_status, Slice *ret_tenant) {
        Case *c = nth(b, i);
        if (!c)
                return false;
        *ret = c->id;
        *ret_status = c->status;
        *ret_tenant = slice_from_str(c->tenant);
        return true;
}

const char *books_some_path(const Books *b, uint32_t i, Rng *r) {
        const Case *c = nth(b, i);
        uint32_t n = 0, draw;
        if (!c || c->n_steps == 0)
                return "";
        for (size_t k = 0; k < c->n_steps; k++) /* mostly a step for which somebody is awaited */
                n += c->steps[k].status == RUNBOOK_STEP_AWAITING_APPROVAL ||
                     c->steps[k].status == RUNBOOK_STEP_FAILED;
        if (n == 0 || rng_chance(r, 200))
                return c->steps[rng_below(r, (uint32_t)c->n_steps)].path;
        draw = rng_below(r, n);
        for (size_t k = 0;; k++)
                if ((c->steps[k].status == RUNBOOK_STEP_AWAITING_APPROVAL ||
                     c->steps[k].status == RUNBOOK_STEP_FAILED) &&
                    draw-- == 0)
                        return c->steps[k].path;
}

/* ---- cases ------------------------------------------------------------------------------------------------ */

static Case *find(Books *b, Uuid id) {
        for (size_t i = b->n; i-- > 0;)
                if (uuid_eq(b->cases[i].id, id))
                        return &b->cases[i];
        return NULL;
}

static Case *open_case(Books *b, Uuid id, const Execution *x) {
        SIM_GROW(b->cases, b->n, b->cap);
        Case *c = &b->cases[b->n++];
        *c = (Case){.id = id};
        memset(c->hash, '0', DIGEST_TEXT_SIZE);
        if (!x)
                return c;
        c->runbook = runbook_ref(x->runbook);
        c->tenant = sim_dup(x->tenant);
        c->initiator = sim_dup(x->initiated_by);
        c->command_id = sim_dup(x->command_id);
        c->input = value_ref(x->input);
        c->context = value_ref(x->context);
        c->parent = x->parent;
        c->original = x->original;
        c->idempotency = x->idempotency_digest;
        c->dry_run = x->is_dry_run;
        return c;
}

/* ---- events ----------------------------------------------------------------------------------------------- */

#define BEFORE_HASH "\"datacontenttype\":\"application/json\",\"hash\":\""

/** Its own hash over all of it but the hash, and its predecessor's. */
static void check_chain(Sim *s, Case *c, Slice json, const json_t *tree) {
        const char *at = memmem(json.data, json.n, BEFORE_HASH, sizeof(BEFORE_HASH) - 1);
        const char *prev = json_string_value(json_object_get(tree, "prevhash"));
        char hash[DIGEST_TEXT_SIZE + 1];
        Digest d;

        if (!at || !prev || strcmp(prev, c->hash) != 0) {
                sim_fail(s, "chain broken", "event %llu: prevhash is %s, not %s", (unsigned long long)c->seq,
                         prev ? prev : "missing", c->hash);
                return;
        }
        const char *member = at + sizeof(BEFORE_HASH) - 1 - strlen("\"hash\":\"");
        const char *rest = at + sizeof(BEFORE_HASH) - 1 + DIGEST_TEXT_SIZE + 2;
        const Slice parts[] = {{json.data, (size_t)(member - json.data)},
                               {rest, (size_t)(json.data + json.n - rest)}};
        digest_slices(parts, 2, &d);
        digest_format(&d, hash);
        if (memcmp(hash, member + strlen("\"hash\":\""), DIGEST_TEXT_SIZE) != 0)
                sim_fail(s, "chain broken", "event %llu says another hash than its own",
                         (unsigned long long)c->seq);
        memcpy(c->hash, hash, sizeof(hash));
        SIM_GROW(c->hashes, c->n_hashes, c->cap_hashes);
        memcpy(c->hashes[c->n_hashes++], hash, DIGEST_TEXT_SIZE);
}

static void apply(Sim *s, Case *c, Slice type, Slice json) {
        json_t *tree = json_loadb(json.data, json.n, 0, NULL);
        const char *full = json_string_value(json_object_get(tree, "type"));
        const char *subject = json_string_value(json_object_get(tree, "subject"));
        const char *time = json_string_value(json_object_get(tree, "time"));
        int64_t seq = json_integer_value(json_object_get(tree, "sequence"));
        const char *slash = subject ? strchr(subject, '/') : NULL;
        EventView e = {.path = slash ? slash + 1 : "", .data = json_object_get(tree, "data")};

        c->seq++;
        s->books->n_events++;
        sim_tell(s, "event %.36s/%llu %.*s %s", subject ? subject : "", (unsigned long long)seq,
                 SLICE_ARG(type), e.path);
        if (!full || strncmp(full, "runbook.", 8) != 0 || !slice_eq_str(type, full + 8) || !subject ||
            !time || !time_parse_ms(slice_from_str(time), &e.at_ms) || !e.data)
                sim_fail(s, "malformed event", "%.*s", SLICE_ARG(json));
        else if ((uint64_t)seq != c->seq)
                sim_fail(s, "gap in the history", "event %lld stands where %llu should", (long long)seq,
                         (unsigned long long)c->seq);
        if (!s->failed)
                check_chain(s, c, json, tree);
        if (!s->failed) {
                e.type = full + 8;
                e.attempt = (uint32_t)json_integer_value(json_object_get(e.data, "attempt"));
                e.by = event_text(&e, "by");
                e.command_id = event_text(&e, "commandId");
                model_apply(s, c, &e);
        }
        json_decref(tree);
}

static void read_events(Sim *s, StoreTxn *t, Case *c) {
        uint64_t first;
        uint32_t n;
        Slice frames, type, json;

        while (!s->failed &&
               store_series_segment(t, STORE_HISTORY, c->id, c->seq + 1, &first, &n, &frames) == 0) {
                size_t offset = 0;
                uint64_t had = c->seq;
                if (first > c->seq + 1) {
                        sim_fail(s, "gap in the history", "after %llu comes %llu", (unsigned long long)c->seq,
                                 (unsigned long long)first);
                        return;
                }
                for (uint64_t i = first; i < first + n && frame_next(frames, &offset, &type, &json); i++)
                        if (i > had && !s->failed)
                                apply(s, c, type, json);
        }
}

/* ---- state -------------------------------------------------------------------------------------------------- */

/** What the events said and what the state says, where the events say it. */
static void compare(Sim *s, Case *c, const Execution *x) {
        Buf path = {0};
        char hash[DIGEST_TEXT_SIZE + 1];

        digest_format(&x->chain, hash);
        if (c->seq != x->seq || strcmp(hash, c->hash) != 0)
                sim_fail(s, "history and state", "the history ends at %llu, the state says %llu",
                         (unsigned long long)c->seq, (unsigned long long)x->seq);
        if (c->status != x->status)
                sim_fail(s, "history and state", "the events say %s, the state says %s",
                         runbook_execution_status_name((RunbookExecutionStatus)c->status),
                         runbook_execution_status_name((RunbookExecutionStatus)x->status));
        for (uint32_t i = 0; i < x->n_instances && !s->failed; i++) {
                const StepState *state = &x->steps[i];
                buf_reset(&path);
                execution_put_path(x, i, &path);
                buf_put_char(&path, '\0');
                StepModel *m = model_step(c, path.data, false);
                uint8_t said = m ? m->status : RUNBOOK_STEP_PENDING;
                bool silent = state->status == RUNBOOK_STEP_PENDING || state->status == RUNBOOK_STEP_READY ||
                              (m && m->revivable);
                if (!silent && said != state->status)
                        sim_fail(s, "history and state", "%s: the events say %s, the state says %s",
                                 path.data, runbook_step_status_name((RunbookStepStatus)said),
                                 runbook_step_status_name((RunbookStepStatus)state->status));
                const char *why = m && x->status != RUNBOOK_EXECUTION_COMPENSATING ? votes_must_end(c, m)
                                                                                   : NULL;
                if (why)
                        sim_fail(s, why, "%s", path.data);
        }
        buf_deinit(&path);
}

static void look_at(Sim *s, Uuid id) {
        StoreTxn *t;
        Execution *x = NULL;
        Case *c = find(s->books, id);
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(id, text);
        if (store_begin_read(s->store, &t))
                return;
        if (store_execution_exists(t, id)) {
                int r = store_execution_load(t, id, runtime_runbook_lookup, s->rt, &x);
                const char *broken = r ? strerror(r < 0 ? -r : 0) : engine_check(x);
                if (broken)
                        sim_fail(s, "invariant", "%s: %s", text, broken);
        }
        if (!s->failed && !c)
                c = open_case(s->books, id, x);
        if (!s->failed)
                read_events(s, t, c);
        if (!s->failed && x) {
                if (x->n_journal < c->n_journal || x->n_logs < c->n_logs)
                        sim_fail(s, "goes back", "%s has a shorter journal than before", text);
                c->n_journal = x->n_journal;
                c->n_logs = x->n_logs;
                compare(s, c, x);
                if (!s->failed)
                        tables_check_one(s, t, x);
        }
        store_abort(t);
        execution_free(x);
}

static void check_caps(Sim *s) {
        const RuntimeSettings *p = &s->plan.runtime;
        RuntimeStats stats;
        runtime_stats(s->rt, &stats);
        if (p->inbox_max && stats.inbox_depth > p->inbox_max + workers_open(s->workers) + 64)
                sim_fail(s, "cap", "%llu requests wait, %u may", (unsigned long long)stats.inbox_depth,
                         p->inbox_max);
        if (p->cache_bytes_max && stats.cache_executions > 1 &&
            stats.cache_bytes > p->cache_bytes_max + 100000)
                sim_fail(s, "cap", "the cache holds %llu bytes, %zu may",
                         (unsigned long long)stats.cache_bytes, p->cache_bytes_max);
}

void books_look(Sim *s) {
        const Uuid *ids;
        if (!s->rt || s->dead)
                return;
        s->looking++;
        size_t n = disk_take_touched(s->disk, &ids);
        for (size_t i = 0; i < n && !s->failed; i++)
                look_at(s, ids[i]);
        if (!s->failed)
                check_caps(s);
        s->looking--;
}

void books_task(Sim *s, const Task *task) {
        s->looking++;
        look_at(s, task->execution_id);
        Case *c = find(s->books, task->execution_id);
        StepModel *m = c ? model_step(c, task->step_path.data, false) : NULL;
        if (!s->failed && (!m || m->status != RUNBOOK_STEP_RUNNING || m->attempt != task->attempt))
                sim_fail(s, "sent before its commit",
                         "attempt %u of %s leaves, and the store knows nothing of it", task->attempt,
                         task->step_path.data);
        if (!s->failed && strcmp(m->key, task->idempotency_key) != 0)
                sim_fail(s, "the idempotency key has changed", "%s: %s, was %s", m->path,
                         task->idempotency_key, m->key);
        s->looking--;
}

/* ---- replay --------------------------------------------------------------------------------------------------- */

static void verify(Sim *s, const Case *c) {
        Buf body = {0};
        bool identical = false;
        char id[UUID_TEXT_SIZE + 1];

        uuid_format(c->id, id);
        s->looking++;
        int r = verify_execution(s->rt, c->id, &body, &identical);
        s->looking--;
        if (r)
                sim_fail(s, "replay fails", "%s: %d", id, r);
        else if (!identical)
                sim_fail(s, "replay diverges", "%s: %.*s", id, (int)(body.n > 1500 ? 1500 : body.n),
                         body.data);
        buf_deinit(&body);
}

void books_verify_one(Sim *s) {
        uint32_t n = books_count(s->books);
        if (n == 0 || !process_is_up(s))
                return;
        verify(s, nth(s->books, rng_below(&s->rng, n)));
        tables_check_all(s);
}

/* ---- quiet, and the end ---------------------------------------------------------------------------------------- */

static bool waits_for_somebody(const Execution *x) {
        for (uint32_t i = 0; i < x->n_instances; i++)
                if (x->steps[i].status == RUNBOOK_STEP_AWAITING_APPROVAL ||
                    x->steps[i].status == RUNBOOK_STEP_AWAITING_EVENT)
                        return true;
        return false;
}

static bool waits_for_a_child(const Books *b, const Execution *x) {
        for (uint32_t i = 0; i < x->n_instances; i++)
                if (x->steps[i].status == RUNBOOK_STEP_RUNNING &&
                    execution_step(x, i)->type == STEP_TYPE_RUN_RUNBOOK) {
                        Case *c = find((Books *)b, x->steps[i].extra->child);
                        if (c && !runbook_execution_status_is_final((RunbookExecutionStatus)c->status))
                                return true;
                }
        return false;
}

void books_check_quiet(Sim *s) {
        Books *b = s->books;
        StoreTxn *t;
        StoreTimer timer;

        if (store_begin_read(s->store, &t))
                return;
        if (store_timer_next(t, NULL, &timer) == 0)
                sim_fail(s, "timer left", "a timer of %lld is still there at %lld", (long long)timer.at_ms,
                         (long long)s->now_ms);
        for (size_t i = 0; i < b->n && !s->failed; i++) {
                Execution *x = NULL;
                char id[UUID_TEXT_SIZE + 1];
                if (!b->cases[i].runbook ||
                    runbook_execution_status_is_final((RunbookExecutionStatus)b->cases[i].status) ||
                    store_execution_load(t, b->cases[i].id, runtime_runbook_lookup, s->rt, &x))
                        continue;
                uuid_format(x->id, id);
                bool paused = x->status == RUNBOOK_EXECUTION_PAUSED;
                if (!paused && !waits_for_somebody(x) && !waits_for_a_child(b, x))
                        sim_fail(s, "stuck", "%s is %s and waits for nothing", id,
                                 runbook_execution_status_name((RunbookExecutionStatus)x->status));
                execution_free(x);
        }
        store_abort(t);
        if (!s->failed)
                tables_check_all(s);
}

/** One start for one command, one execution for one set of inputs. */
static void check_once(Sim *s) {
        static const Digest none;
        Books *b = s->books;
        for (size_t i = 0; i < b->n && !s->failed; i++)
                for (size_t k = 0; k < i && !s->failed; k++) {
                        const Case *a = &b->cases[i], *c = &b->cases[k];
                        if (!a->runbook || !c->runbook || strcmp(a->tenant, c->tenant) != 0)
                                continue;
                        if (!s->plan.short_memory && a->command_id[0] &&
                            strcmp(a->command_id, c->command_id) == 0 &&
                            strcmp(a->initiator, c->initiator) == 0)
                                sim_fail(s, "started twice", "command %s started two executions",
                                         a->command_id);
                        bool lives = a->status == RUNBOOK_EXECUTION_COMPLETED &&
                                     c->status == RUNBOOK_EXECUTION_COMPLETED;
                        if (lives && !a->retried && !c->retried && !digest_eq(&a->idempotency, &none) &&
                            digest_eq(&a->idempotency, &c->idempotency))
                                sim_fail(s, "started twice",
                                         "two executions of the same input have completed");
                }
}

void books_check_end(Sim *s) {
        Books *b = s->books;
        for (size_t i = 0; i < b->n && !s->failed; i++)
                if (b->cases[i].runbook)
                        verify(s, &b->cases[i]);
        if (!s->failed)
                check_once(s);
        if (!s->failed)
                tables_check_all(s);
}
