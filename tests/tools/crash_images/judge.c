/*
 * Judging images. The state after each commit is learned from the log with every write done, and checked from end
 * to end once. An image then must open and be, record by record, one of those states: so no part of a transaction
 * can show, and none that was acknowledged can be missing. Now and then one is checked and worked on, too: what
 * opens must also carry a further commit.
 */
#include "../../unit/runtime/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crash_images.h"
#include "runtime/check.h"

#define FRESH_ID ((Uuid){{0x01, 0x90, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}})

const char *const crash_runbooks[CRASH_RUNBOOKS] =
                {
                                RUNBOOK("calls", "1", CALL("a", "") "," CALL("b", "\"a\"")),
                                RUNBOOK("mixed", "1",
                                        CALL("a", "") "," WAIT_EVENT(
                                                        "e", "\"a\"",
                                                        "${input.host}") "," APPROVE("ok",
                                                                                     "\"a\"") "," CALL("b",
                                                                                                       "\"e\""
                                                                                                       ",\"ok"
                                                                                                       "\"")),
                                RUNBOOK("parent", "1",
                                        STEP("c", "\"type\":\"run-runbook\",\"config\":{\"runbookId\":"
                                                  "\"calls\"}") "," CALL("b", "\"c\"")),
                                RUNBOOK(
                                                "loop", "1",
                                                STEP("l", "\"type\":\"loop\",\"config\":{\"bodyStepId\":"
                                                          "\"a\"},\"loopConfig\":{\"maxIterations\":5,"
                                                          "\"iterateOver\":\"input.items\",\"concurrency\":"
                                                          "2}") "," CALL("a", "") "," CALL("b", "\"l\"")),
};

static int fault(Judge *j, const char *what, const char *why) {
        snprintf(j->fault, sizeof(j->fault), "%s: %s", what, why);
        return -1;
}

int judge_open(Judge *j, const char *dir, Store **ret, uint64_t *ret_txn) {
        StoreOptions options = {.backend = "lmdb", .path = dir};
        Report report = {0};
        KvStats stats;

        int r = store_open(&options, FRESH_ID, &report, ret);
        if (r < 0) {
                fault(j, "it does not open", report.message ? report.message : strerror(-r));
                report_deinit(&report);
                return -1;
        }
        if (store_stats(*ret, &stats) < 0) {
                store_close(*ret);
                return fault(j, "it opens", "but can't be looked at");
        }
        *ret_txn = stats.last_txn;
        return 0;
}

static int digest_of(Judge *j, const char *dir, uint64_t *ret_txn, Digest *ret) {
        Store *store;
        StoreTxn *t;

        if (judge_open(j, dir, &store, ret_txn) < 0)
                return -1;
        int r = store_begin_read(store, &t);
        if (r == 0) {
                r = store_digest(t, ret);
                store_abort(t);
        }
        store_close(store);
        return r < 0 ? fault(j, "it opens", "but can't be read to its end") : 0;
}

static bool is_known(const Judge *j, uint64_t txn, const Digest *digest) {
        for (unsigned i = 0; txn < j->cap_commits && i < j->commits[txn].n; i++)
                if (digest_eq(&j->commits[txn].digests[i], digest))
                        return true;
        return false;
}

static void note_fault(void *userdata, const char *table, const char *key, const char *sentence) {
        Judge *j = userdata;
        snprintf(j->fault, sizeof(j->fault), "%s %.100s: %.300s", table, key, sentence);
}

static int64_t late(void *userdata) { return 4102444800000; }
static void same_bits(void *userdata, uint64_t *words, size_t n) { memset(words, 1, n * sizeof(*words)); }

/** The whole check of a clean state. */
static int check_store(Judge *j, const char *dir) {
        RuntimeSettings settings = {.definitions = runbook_defaults_builtin, .batch_max = 1};
        RuntimeCheck check = {.fault = note_fault, .userdata = j};
        uint64_t txn;
        Store *store;

        if (judge_open(j, dir, &store, &txn) < 0)
                return -1;
        int r = runtime_check(&settings, store, (Clock){late, NULL}, (Ids){same_bits, NULL}, &check);
        store_close(store);
        if (r < 0)
                return fault(j, "it opens", "but can't be checked to its end");
        return check.told.n_faults > 0 ? -1 : 0;
}

/** Recovered like after any crash, checked, worked on, checked again. A fault ends the process. */
static void work_on(const char *dir) {
        World *w = world_new("lmdb");

        rmdir(w->dir);
        strcpy(w->dir, dir);
        w->now_ms = late(NULL);
        world_open(w);
        world_check(w, false);
        world_register(w, crash_runbooks[0]);
        world_start(w, "calls", "{\"after\":true}");
        world_check(w, false);
        world_leave(w);
}

int judge_learn(Judge *j, const char *dir) {
        uint64_t txn;
        Digest digest;

        if (digest_of(j, dir, &txn, &digest) < 0)
                return -1;
        if (txn >= j->cap_commits) {
                size_t cap = (txn + 1) * 2;
                j->commits = realloc(j->commits, cap * sizeof(*j->commits));
                if (!j->commits)
                        abort();
                memset(j->commits + j->cap_commits, 0, (cap - j->cap_commits) * sizeof(*j->commits));
                j->cap_commits = cap;
        }
        if (txn > j->last)
                j->last = txn;
        if (is_known(j, txn, &digest))
                return 0;
        Commit *c = &j->commits[txn];
        if (c->n == COMMIT_FORMS)
                return fault(j, "one commit", "has more forms than it can have");
        c->digests[c->n++] = digest;
        return check_store(j, dir);
}

int judge_image(Judge *j, const char *dir, uint64_t acked, bool thorough) {
        char path[512];
        uint64_t txn;
        Digest digest;

        snprintf(path, sizeof(path), "%s/data.mdb", dir);
        bool is_empty = access(path, F_OK) < 0;
        if (is_empty && acked > 0)
                return fault(j, "the store is gone", "although something was acknowledged");
        if (digest_of(j, dir, &txn, &digest) < 0)
                return -1;
        if (txn < acked) {
                snprintf(j->fault, sizeof(j->fault),
                         "lost: commit %llu was acknowledged, the store is at %llu",
                         (unsigned long long)acked, (unsigned long long)txn);
                return -1;
        }
        if (!is_empty && !is_known(j, txn, &digest))
                return fault(j, "a state that never was", "part of a transaction shows");
        if (thorough)
                work_on(dir);
        j->n_thorough += thorough;
        return 0;
}

int judge_ack(Judge *j, const char *dir, const CrashAck *ack) {
        uint64_t txn, first, last = 0;
        uint32_t n;
        Slice frames;
        Store *store;
        StoreTxn *t;

        if (judge_open(j, dir, &store, &txn) < 0)
                return -1;
        bool holds = store_begin_read(store, &t) == 0;
        if (holds) {
                if (!uuid_is_nil(ack->id) && ack->seq > 0 &&
                    store_series_segment(t, STORE_HISTORY, ack->id, ack->seq, &first, &n, &frames) == 0)
                        last = first + n - 1;
                /* Registrations are events of no execution. */
                holds = uuid_is_nil(ack->id) ||
                        (ack->seq > 0 ? last >= ack->seq : store_execution_exists(t, ack->id));
                store_abort(t);
        }
        store_close(store);
        return holds ? 0
                     : fault(j, "told before it was committed",
                             "an answer, a task or an event left too early");
}

void judge_deinit(Judge *j) { free(j->commits); }
