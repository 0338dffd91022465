/*
 * What the store does for one short execution (five internal steps, started and completed in one batch):
 * look for an earlier result and a duplicate, save the execution and its listing rows, twelve history
 * events, the command's result and digest; and once a batch the outbox row. Every commit is synced. One
 * JSON line a case.
 *   bench_storage [--dir DIR] [--seconds N] [--preload N]
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "model/update.h"
#include "storage/store.h"

#define ROUNDS   3
#define N_EVENTS 12

typedef struct Bench {
        Store *store;
        Execution *x;
        Buf events;
        uint64_t n, row, random;
        int64_t now_ms;
} Bench;

static void die(const char *what, int r) {
        fprintf(stderr, "bench_storage: %s: %s\n", what ? what : "?", r < 0 ? strerror(-r) : "failed");
        exit(1);
}

static double seconds(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static uint64_t next_random(Bench *b) {
        b->random ^= b->random << 13, b->random ^= b->random >> 7, b->random ^= b->random << 17;
        return b->random;
}

static Runbook *make_runbook(void) {
        _cleanup_(buf_deinit) Buf text = {0};
        Report report = {0};
        Runbook *runbook = NULL;
        buf_put_str(&text, "{\"id\":\"five\",\"name\":\"Five\",\"version\":\"1.0.0\",\"steps\":[");
        for (int i = 0; i < 5; i++)
                buf_printf(&text,
                           "%s{\"id\":\"s%d\",\"name\":\"S\",\"type\":\"conditional\",\"dependsOn\":[%s%.*d%"
                           "s],\"config\":{\"condition\":"
                           "{\"field\":\"input.a\",\"operator\":\"eq\",\"value\":1}}}",
                           i ? "," : "", i, i ? "\"s" : "", i ? 1 : 0, i ? i - 1 : 0, i ? "\"" : "");
        buf_put_str(&text, "]}");
        if (runbook_def_parse(buf_slice(&text), &runbook_defaults_builtin, &report, &runbook) < 0)
                die(report.n_details ? report.details[0].message : report.message, 0);
        return runbook;
}

/** A completed execution; its id and times change from use to use. */
static Execution *make_execution(Runbook *runbook, int64_t now_ms) {
        static const char context[] = "{\"initiatedBy\":\"alice\",\"legalBasis\":{\"authority\":\"ops\","
                                      "\"classification\":\"internal\"},"
                                      "\"tenantId\":\"acme\"}";
        Execution *x = execution_new(runbook);
        x->tenant = SLICE("acme");
        x->initiated_by = SLICE("alice");
        x->runbook_id = runbook->id;
        x->runbook_version = runbook->version;
        x->command_id = SLICE("0190f5fe-7c00-7a00-8abc-0123456789ab");
        x->context = value_new_bytes(SLICE(context));
        x->input = value_new_bytes(SLICE("{\"a\":1}"));
        x->output = value_new_bytes(SLICE("{\"result\":true}"));
        x->status = RUNBOOK_EXECUTION_COMPLETED;
        execution_open_scope(x, REGION_ROOT, INSTANCE_NONE, 0);
        x->scopes[0].n_open = 0;
        x->n_completed = x->n_instances;
        x->seq = N_EVENTS;
        memset(x->chain.bytes, 7, DIGEST_SIZE);
        for (uint32_t i = 0; i < x->n_instances; i++) {
                StepState *s = &x->steps[i];
                s->status = RUNBOOK_STEP_COMPLETED;
                s->n_open = 0;
                s->n_done = i > 0;
                s->attempt = 1;
                s->done_order = i + 1;
                s->output = value_new_bytes(SLICE("{\"result\":true}"));
        }
        return x;
}

static void put_hash(Bench *b, char hash[DIGEST_TEXT_SIZE + 1]) {
        Digest digest;
        for (size_t i = 0; i < DIGEST_SIZE; i += 8) {
                uint64_t word = next_random(b);
                memcpy(digest.bytes + i, &word, 8);
        }
        digest_format(&digest, hash);
}

/** Twelve lifecycle events as long, and as much alike, as real ones. */
static void make_events(Bench *b, Uuid id) {
        static const char types[][12] = {"ready", "started", "completed"};
        char text[UUID_TEXT_SIZE + 1], hash[DIGEST_TEXT_SIZE + 1], prevhash[DIGEST_TEXT_SIZE + 1] = "0";

        uuid_format(id, text);
        buf_reset(&b->events);
        for (int i = 0; i < N_EVENTS; i++) {
                put_hash(b, hash);
                size_t frame = frame_begin(&b->events, slice_from_str(types[i % 3]));
                buf_printf(&b->events,
                           "{\"data\":{\"attempt\":1,\"durationMs\":%d,\"status\":\"%s\",\"stepId\":\"s%d\","
                           "\"stepType\":\"conditional\","
                           "\"tenantId\":\"acme\"},\"datacontenttype\":\"application/"
                           "json\",\"hash\":\"%s\",\"id\":\"%s/%d\",\"prevhash\":\"%s\","
                           "\"sequence\":%d,\"source\":\"runbookd/"
                           "0190f5fe-7c00-7a00-8abc-0123456789ab\",\"specversion\":\"1.0\","
                           "\"subject\":\"%s/"
                           "s%d\",\"time\":\"2026-01-02T03:04:05.678Z\",\"type\":\"runbook.step.%s\"}",
                           i % 4, types[i % 3], i / 3, hash, text, i + 1, prevhash, i + 1, text, i / 3,
                           types[i % 3]);
                frame_end(&b->events, frame);
                memcpy(prevhash, hash, sizeof(hash));
        }
}

static int write_one(Bench *b, StoreTxn *t, StoreOutboxEntry *entry) {
        Execution *x = b->x;
        Digest digest;
        StoreResult result;
        char command_id[UUID_TEXT_SIZE + 1];
        Uuid holder, command = uuid_v7(b->now_ms, next_random(b), next_random(b));

        b->n++;
        uuid_format(command, command_id);
        for (size_t i = 0; i < DIGEST_SIZE; i += 8) {
                uint64_t word = next_random(b);
                memcpy(digest.bytes + i, &word, 8);
        }
        int r = store_result_get(t, x->tenant, x->initiated_by, slice_from_str(command_id), &result);
        if (r == STORE_E_NOT_FOUND)
                r = store_idempotency_get(t, &digest, &holder);
        if (r != STORE_E_NOT_FOUND)
                return r ? r : -EEXIST;

        x->id = uuid_v7(b->now_ms, next_random(b), next_random(b));
        make_events(b, x->id);
        x->order = store_next_order(b->store);
        x->idempotency_digest = digest;
        x->created_ms = x->start_ms = x->end_ms = b->now_ms;
        for (uint32_t i = 0; i < x->n_instances; i++)
                x->steps[i].ready_ms = x->steps[i].start_ms = x->steps[i].attempt_ms = x->steps[i].end_ms =
                                b->now_ms;
        x->dirty = DIRTY_STATIC | DIRTY_STATE;
        execution_touch(x, 0);
        r = store_execution_save(t, x);
        if (r == 0)
                r = store_bundle_append(
                                t, x->id, 0,
                                (StorePart[N_STORE_SERIES]){[STORE_HISTORY] = {1, N_EVENTS, buf_slice(&b->events)}});
        if (r == 0)
                r = store_idempotency_put(t, &digest, x->id);
        result = (StoreResult){.at_ms = b->now_ms,
                               .body = SLICE("{\"version\":\"v1\",\"executionId\":\"0190f5fe-7c00-7a00-8abc-"
                                             "0123456789ab\","
                                             "\"status\":\"started\"}"),
                               .request = digest};
        if (r == 0)
                r = store_result_put(t, x->tenant, x->initiated_by, slice_from_str(command_id), &result);
        *entry = (StoreOutboxEntry){STORE_HISTORY, x->tenant, x->id, 1, N_EVENTS};
        return r;
}

static void write_batch(Bench *b, unsigned n) {
        static StoreOutboxEntry entries[1000];
        int r;

        do {
                StoreTxn *t;
                r = store_begin_write(b->store, &t);
                if (r)
                        die("begin", r);
                for (unsigned i = 0; i < n && r == 0; i++)
                        r = write_one(b, t, &entries[i]);
                if (r == 0)
                        r = store_outbox_append(t, ++b->row, b->now_ms, entries, n);
                if (r < 0)
                        die("write", r);
                r = store_commit(t);
                if (r == STORE_E_MAP_FULL && store_grow(b->store) < 0)
                        die("grow", -ENOSPC);
        } while (r == STORE_E_MAP_FULL);
        if (r)
                die("commit", r);
        b->now_ms++;
}

static double cpu_seconds(void) {
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int compare_doubles(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void run_case(Bench *b, unsigned per_commit, double length) {
        double rates[ROUNDS], p50s[ROUNDS], cpu = cpu_seconds();
        static double took[200000];
        uint64_t n_before = b->n;

        for (unsigned round = 0; round < ROUNDS; round++) {
                size_t n = 0;
                double begin = seconds(), now = begin;
                while (now < begin + length && n < N_ELEMENTS(took)) {
                        write_batch(b, per_commit);
                        double after = seconds();
                        took[n++] = after - now;
                        now = after;
                }
                rates[round] = (double)(n * per_commit) / (now - begin);
                qsort(took, n, sizeof(*took), compare_doubles);
                p50s[round] = took[n / 2] * 1000;
        }
        qsort(rates, ROUNDS, sizeof(*rates), compare_doubles);
        qsort(p50s, ROUNDS, sizeof(*p50s), compare_doubles);
        printf("{\"bench\":\"storage\",\"case\":\"short_execution\",\"perCommit\":%u,\"executionsPerSecond\":"
               "%.0f,\"low\":%.0f,\"high\":%.0f,"
               "\"commitMsP50\":%.3f,\"cpuUsPerExecution\":%.1f}\n",
               per_commit, rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1], p50s[ROUNDS / 2],
               (cpu_seconds() - cpu) * 1e6 / (double)(b->n - n_before));
        fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

int main(int argc, char **argv) {
        static const unsigned per_commit[] = {1, 10, 100, 1000};
        const char *base = ".";
        double length = 1;
        unsigned long preload = 0;
        Bench b = {.random = 0x9e3779b97f4a7c15ULL, .now_ms = 1790000000000};
        Report report = {0};
        char dir[512];

        for (int i = 1; i + 1 < argc; i += 2) {
                if (!strcmp(argv[i], "--dir"))
                        base = argv[i + 1];
                else if (!strcmp(argv[i], "--seconds"))
                        length = atof(argv[i + 1]);
                else if (!strcmp(argv[i], "--preload"))
                        preload = strtoul(argv[i + 1], NULL, 10);
        }
        snprintf(dir, sizeof(dir), "%s/bench-storage-XXXXXX", base);
        if (!mkdtemp(dir))
                die("directory", -errno);
        StoreOptions options = {.backend = "lmdb", .path = dir};
        if (store_open(&options, uuid_v7(b.now_ms, 1, 1), &report, &b.store) != 0)
                die(report.message, 0);
        Runbook *runbook = make_runbook();
        b.x = make_execution(runbook, b.now_ms);

        for (unsigned long n = 0; n < preload; n += 1000)
                write_batch(&b, 1000);
        for (size_t i = 0; i < N_ELEMENTS(per_commit); i++)
                run_case(&b, per_commit[i], length);

        KvStats stats;
        if (store_stats(b.store, &stats) == 0 && b.n > 0)
                printf("{\"bench\":\"storage\",\"case\":\"size\",\"executions\":%llu,\"bytesPerExecution\":%."
                       "0f}\n",
                       (unsigned long long)b.n, (double)stats.used_bytes / (double)b.n);
        execution_free(b.x);
        runbook_unref(runbook);
        buf_deinit(&b.events);
        store_close(b.store);
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        return 0;
}
