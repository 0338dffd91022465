/*
 * The turn: what is queued and due becomes one batch; when a batch fails, what becomes of it
 *
 *     committed      answers in order, then tasks
 *     map full       batch_run grew the map and ran it again; at its maximum it counts as no space
 *     no space       what is new (starts, registrations, events, replays) is answered STORE_FULL and the rest
 *                    runs again without it; if that fails too, commands are answered STORE_FULL, results are
 *                    held and timers stay due, all tried again after a pause
 *     no memory,     halves are run by themselves, down to the one item that can't be done: it is answered,
 *     too much for   all others go on
 *     a transaction,
 *     a damaged record
 *     I/O error      what is on disk is unknown: the writer stops for good, and a restart recovers from disk
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runtime/runtime_private.h"

#define STORE_FULL_SENTENCE                                                                                  \
        "There is no room left to store this. Free room on the disk of DATA_DIR or raise STORE_MAX_MB, "     \
        "then send "                                                                                         \
        "it again."
#define VERIFY_FULL_SENTENCE                                                                                 \
        "64 executions wait to be verified, as many as may (VERIFY_QUEUE_MAX). Send this again later."
#define TXN_FULL_SENTENCE                                                                                    \
        "This would change more than the 512 MiB that one transaction can hold (KV_TXN_BYTES_MAX)."
static_assert(VERIFY_QUEUE_MAX == 64 && KV_TXN_BYTES_MAX >> 20 == 512, "the sentences say so");
#define RANGES_MAX 64 /* parts of a batch still to be run: a part is halved at most 32 times */

typedef struct Range { size_t at, n; } Range;

/* ---- answers ---------------------------------------------------------------------------------------- */

void runtime_note_refusal(Runtime *r, RunbookCode code) {
        if (code == RUNBOOK_OK || (unsigned)code >= RUNBOOK_N_CODES)
                return;
        pthread_mutex_lock(&r->stats_lock);
        r->stats.n_refused[code]++;
        pthread_mutex_unlock(&r->stats_lock);
}

void runtime_finish_request(Runtime *r, Request *q, RunbookCode code, Slice body, bool durable) {
        runtime_note_refusal(r, code);
        if (q->done)
                q->done(q, code, body, durable);
        request_free(q);
}

void runtime_fail_request(Runtime *r, Request *q, RunbookCode code, const char *sentence, bool durable) {
        static const char no_memory[] =
                "{\"version\":\"v1\",\"error\":\"UNAVAILABLE\",\"message\":\"The engine is out of memory.\"}";
        Report report = {0};
        Buf body = {0};

        report_set(&report, code, "%s", sentence);
        report_write_json(&report, &body);
        if (body.error)
                runtime_finish_request(r, q, RUNBOOK_UNAVAILABLE, SLICE(no_memory), false);
        else
                runtime_finish_request(r, q, code, buf_slice(&body), durable);
        report_deinit(&report);
        buf_deinit(&body);
}

static void finish_items(Runtime *r, Item *items, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Item *it = &items[i];
                Request *q = STEAL(it->request);
                if (!q)
                        continue;
                if (q->kind == REQUEST_TASK_RESULT && q->done)
                        runtime_finish_request(r, q, RUNBOOK_OK, SLICE_NULL, true);
                else if (q->kind == REQUEST_TASK_RESULT)
                        request_free(q);
                else if (!it->later)
                        runtime_finish_request(r, q, it->code, it->body, it->durable);
                else if (!verifier_put(&r->verifier, q))
                        runtime_fail_request(r, q, RUNBOOK_OVERLOADED, VERIFY_FULL_SENTENCE, false);
        }
        batch_dispatch(&r->batch);
}

/* ---- failures --------------------------------------------------------------------------------------- */

static void pause_work(Runtime *r, int64_t now_ms) {
        r->backoff_ms = r->backoff_ms ? r->backoff_ms * 2 : RUNTIME_BACKOFF_MIN_MS;
        if (r->backoff_ms > RUNTIME_BACKOFF_MAX_MS)
                r->backoff_ms = RUNTIME_BACKOFF_MAX_MS;
        r->blocked_until_ms = now_ms + r->backoff_ms;
}

static void hold(Runtime *r, Request *q) {
        list_push_back(&r->held, &q->node);
        r->n_held++;
}

static bool is_new_work(const Item *it) {
        if (!it->request)
                return false;
        RequestKind kind = it->request->kind;
        return kind == REQUEST_START || kind == REQUEST_REGISTER || kind == REQUEST_EVENT ||
               kind == REQUEST_REPLAY;
}

/** No space: answer what is new. Returns how many items are left at the front. */
static size_t refuse_new(Runtime *r, Item *items, size_t n) {
        size_t n_left = 0;

        for (size_t i = 0; i < n; i++) {
                if (!is_new_work(&items[i])) {
                        items[n_left++] = items[i];
                        continue;
                }
                runtime_fail_request(r, items[i].request, RUNBOOK_STORE_FULL, STORE_FULL_SENTENCE, false);
        }
        return n_left;
}

/** No space even for what is essential: answer, hold, leave due. */
static void give_up_for_now(Runtime *r, Item *items, size_t n, int64_t now_ms) {
        for (size_t i = 0; i < n; i++) {
                Request *q = STEAL(items[i].request);
                if (!q)
                        continue;
                if (q->kind == REQUEST_TASK_RESULT)
                        hold(r, q);
                else
                        runtime_fail_request(r, q, RUNBOOK_STORE_FULL, STORE_FULL_SENTENCE, false);
        }
        if (r->backoff_ms == 0)
                log_printf(LOG_ERROR,
                           "the store has no room left: nothing can be recorded until there is some");
        pause_work(r, now_ms);
}

static void log_item(const Item *it, int error) {
        Uuid id = it->request ? it->request->input.execution_id : it->timer.execution_id;
        char text[UUID_TEXT_SIZE + 1];

        uuid_format(id, text);
        log_event(LOG_ERROR,
                  it->request ? "a request could not be carried out"
                              : "a timer could not be carried out and was dropped",
                  "execution", text, "reason",
                  error == -EBADMSG ? "a record in the store is damaged" : strerror(-error), NULL);
}

/** Its execution can't be loaded: left where it is, the timer would come up again and again. */
static void drop_timer(Runtime *r, const StoreTimer *timer) {
        StoreTxn *t;

        if (store_begin_write(r->store, &t))
                return;
        if (store_timer_clear(t, timer))
                store_abort(t);
        else
                (void)store_commit(t); /* if that fails, it is dropped the next time */
}

/** The one item that can't be done. */
static void fail_item(Runtime *r, Item *it, int error, int64_t now_ms) {
        Request *q = STEAL(it->request);

        if (error == -ENOMEM) {
                if (!q || q->kind == REQUEST_TASK_RESULT) {
                        if (q)
                                hold(r, q);
                        pause_work(r, now_ms);
                        return;
                }
                runtime_fail_request(r, q, RUNBOOK_UNAVAILABLE,
                                     "There is not enough memory for this right now. Send it again later.",
                                     false);
                return;
        }
        it->request = q;
        log_item(it, error);
        it->request = NULL;
        if (!q)
                drop_timer(r, &it->timer);
        else if (q->kind == REQUEST_TASK_RESULT)
                request_free(q);
        else if (error == -EFBIG)
                runtime_fail_request(r, q, RUNBOOK_LIMIT_EXCEEDED, TXN_FULL_SENTENCE, true);
        else
                runtime_fail_request(r, q, RUNBOOK_INTERNAL,
                                     "This could not be carried out; the engine's log says why.", true);
}

static void fail_all(Runtime *r, Item *items, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Request *q = STEAL(items[i].request);
                if (!q)
                        continue;
                if (q->kind == REQUEST_TASK_RESULT)
                        request_free(q);
                else
                        runtime_fail_request(r, q, RUNBOOK_UNAVAILABLE,
                                             "The engine's disk failed and it has to restart. Whether this "
                                             "was recorded is unknown: "
                                             "send it again with the same command id.",
                                             false);
        }
}

/* ---- the batch -------------------------------------------------------------------------------------- */

/** Run @items in as few transactions as it takes. 0 or -EIO: the writer is done for. */
static int run_items(Runtime *r, Item *items, size_t n, int64_t now_ms) {
        Range ranges[RANGES_MAX] = {{0, n}};
        size_t n_ranges = 1;

        while (n_ranges > 0) {
                Range range = ranges[--n_ranges];
                Item *part = items + range.at;
                size_t n_run = 0;

                int rc = batch_run(&r->batch, part, range.n, now_ms, &n_run);
                if (rc == 0) {
                        r->high_spent += RUNTIME_HIGH_BATCH + RUNTIME_HIGH_FACTOR * r->batch.n_bytes;
                        if (r->batch.n_inputs > 0)
                                r->backoff_ms = 0; /* something was written: there is room again */
                        finish_items(r, part, n_run);
                        if (n_run < range.n)
                                ranges[n_ranges++] = (Range){range.at + n_run, range.n - n_run};
                } else if (rc == -EIO) {
                        fail_all(r, items, n);
                        return rc;
                } else if (rc == -ENOSPC) {
                        size_t n_left = refuse_new(r, part, range.n);
                        r->is_high = true;
                        r->high_check_ms = now_ms;
                        if (n_left == range.n)
                                give_up_for_now(r, part, n_left, now_ms);
                        else if (n_left > 0)
                                ranges[n_ranges++] = (Range){range.at, n_left};
                        memset(part + n_left, 0, (range.n - n_left) * sizeof(*part));
                } else if (range.n > 1) {
                        ranges[n_ranges++] = (Range){range.at + range.n / 2, range.n - range.n / 2};
                        ranges[n_ranges++] = (Range){range.at, range.n / 2};
                } else {
                        fail_item(r, part, rc, now_ms);
                }
        }
        return 0;
}

static int run_upkeep(Runtime *r, int64_t now_ms) {
        size_t n_run;

        int rc = batch_run(&r->batch, NULL, 0, now_ms, &n_run);
        if (rc == 0)
                batch_dispatch(&r->batch);
        if (rc == 0 || rc == -EIO)
                return rc;
        r->upkeep_ms = now_ms;
        pause_work(r, now_ms);
        return 0;
}

/* ---- what there is to do ---------------------------------------------------------------------------- */

int64_t runtime_now(Runtime *r) {
        int64_t now = r->clock.now_ms(r->clock.userdata);

        if (now > r->last_now_ms)
                r->last_now_ms = now;
        return r->last_now_ms;
}

static Item *add_item(Runtime *r, size_t *n) {
        Item *it = &r->items[(*n)++];

        *it = (Item){0};
        r->ids.random(r->ids.userdata, it->random, N_ELEMENTS(it->random));
        return it;
}

static void add_requests(Runtime *r, List *from, bool results, size_t *n) {
        LIST_FOREACH_SAFE(node, next, from) {
                Request *q = LIST_ENTRY(node, Request, node);
                if ((q->kind == REQUEST_TASK_RESULT) != results)
                        continue;
                list_remove(node);
                add_item(r, n)->request = q;
        }
}

static int add_timers(Runtime *r, int64_t now_ms, size_t *n) {
        StoreTimer timer;
        StoreTxn *t;

        if (r->next_timer_ms > now_ms)
                return 0;
        int rc = store_begin_read(r->store, &t);
        if (rc)
                return rc;
        rc = store_timer_next(t, NULL, &timer);
        for (size_t i = 0; rc == 0 && timer.at_ms <= now_ms && i < r->settings.batch_max; i++) {
                add_item(r, n)->timer = timer;
                rc = store_timer_next(t, &timer, &timer);
        }
        r->next_timer_ms = rc == 0 ? timer.at_ms : INT64_MAX;
        store_abort(t);
        return rc == STORE_E_NOT_FOUND ? 0 : rc;
}

/** Results, then timers, then requests: a result that is here beats its own timeout, and a timeout that was
 * due beats a late vote. */
static int gather(Runtime *r, int64_t now_ms, size_t *ret_n) {
        bool blocked = now_ms < r->blocked_until_ms;
        List taken = LIST_INIT(taken);
        size_t n = 0, room = r->settings.batch_max;
        int rc = 0;

        for (; !blocked && r->n_held > 0 && room > 0; room--, r->n_held--) {
                List *node = r->held.next;
                list_remove(node);
                list_push_back(&taken, node);
        }
        inbox_take(&r->inbox, room, &taken);
        if (blocked) {
                LIST_FOREACH_SAFE(node, next, &taken) {
                        Request *q = LIST_ENTRY(node, Request, node);
                        if (q->kind != REQUEST_TASK_RESULT)
                                continue;
                        list_remove(node);
                        hold(r, q);
                }
        }
        add_requests(r, &taken, true, &n);
        if (!blocked)
                rc = add_timers(r, now_ms, &n);
        add_requests(r, &taken, false, &n);
        *ret_n = n;
        return rc;
}

/**
 * Is the store beyond its high-water mark? Looked at once a second, and the oftener the nearer the mark is: what was
 * written since the last look is guessed, generously, and never allowed to pass the mark unseen.
 */
static void check_high_water(Runtime *r, int64_t now_ms) {
        KvStats stats;

        if (now_ms - r->high_check_ms < RUNTIME_HIGH_CHECK_MS && r->high_spent < r->high_left)
                return;
        r->high_check_ms = now_ms;
        r->high_spent = 0;
        if (store_stats(r->store, &stats) || stats.map_max_bytes == 0)
                return;
        size_t mark = stats.map_max_bytes / 100 * r->settings.store_high_percent;
        bool high = stats.used_bytes >= mark;
        r->high_left = high ? 0 : mark - stats.used_bytes;
        r->high_reserve = stats.map_max_bytes - mark;
        if (high != r->is_high)
                log_printf(high ? LOG_WARN : LOG_INFO,
                           high ? "the store is %zu MiB of %zu MiB: nothing new is taken until there is room"
                                : "the store is %zu MiB of %zu MiB: new work is taken again",
                           stats.used_bytes >> 20, stats.map_max_bytes >> 20);
        r->is_high = high;
}

/** When there will be something to do that nobody sends. */
static int64_t next_due(const Runtime *r) {
        return r->n_held > 0 || r->next_timer_ms < r->blocked_until_ms ? r->blocked_until_ms
                                                                       : r->next_timer_ms;
}

int runtime_turn(Runtime *r, int64_t *ret_next_ms) {
        size_t n = 0;
        int rc = 1;

        *ret_next_ms = INT64_MAX;
        if (r->failed)
                return r->failed;
        int64_t now_ms = runtime_now(r);
        int gathered = gather(r, now_ms, &n);
        if (n > 0) {
                check_high_water(r, now_ms);
                rc = run_items(r, r->items, n, now_ms);
        } else if (gathered == 0 && now_ms >= r->blocked_until_ms && upkeep_is_due(r, now_ms)) {
                rc = run_upkeep(r, now_ms);
        }
        if (gathered < 0 && rc >= 0) {
                log_event(LOG_ERROR, "due timers can't be read", "reason", strerror(-gathered), NULL);
                if (gathered == -EIO)
                        rc = -EIO;
                else
                        pause_work(r, now_ms);
        }
        if (rc < 0) {
                r->failed = rc;
                return rc;
        }
        if (!r->running)
                while (verifier_turn(r))
                        rc = 0;
        if (rc == 1 && inbox_depth(&r->inbox) > 0)
                rc = 0; /* all that was taken is held back, and there is more */
        *ret_next_ms = next_due(r);
        return rc;
}
