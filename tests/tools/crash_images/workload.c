/*
 * workload DIR SEED N: a random life of a real runtime on a real store in DIR, N moves long.
 *
 * Everything that leaves the runtime (an answer, a task, a published event) is told to DIR/acks beforehand, with the
 * number of the last commit: what was told then may never be lost. The program's only purpose is to be watched
 * by write_logger; its last line on stdout is the number of commits.
 */
#include "../../unit/runtime/world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crash_images.h"

#define IDS_MAX 4096

typedef struct Life {
        World *w;
        uint64_t random;
        char ids[IDS_MAX][UUID_TEXT_SIZE + 1];
        size_t n_ids;
} Life;

static int acks = -1;

static uint64_t draw(Life *l, uint64_t n) {
        uint64_t z = l->random += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return (z ^ (z >> 31)) % n;
}

/** Before anybody outside hears of it. */
static void acknowledge(World *w, Uuid id, uint64_t seq) {
        KvStats stats;
        cr_assert_eq(store_stats(w->store, &stats), 0);
        CrashAck ack = {.txn = stats.last_txn, .id = id, .seq = seq};
        cr_assert_eq(write(acks, &ack, sizeof(ack)), (ssize_t)sizeof(ack));
}

static void start(Life *l) {
        static const char *const runbooks[] = {"mixed", "calls", "parent", "loop"};
        static const char *const inputs[] = {
                        "{\"host\":\"h\",\"items\":[1,2,3]}",
                        "{\"host\":\"h\",\"items\":[],\"text\":"
                        "\"0123456789012345678901234567890123456789012345678901234567\"}"};
        if (l->n_ids == IDS_MAX)
                return;
        Request *q = request_start_of(runbooks[draw(l, 4)], inputs[draw(l, 2)], "alice");
        q->input.execution_id = uuid_v7(l->w->now_ms, draw(l, UINT64_MAX), draw(l, UINT64_MAX));
        uuid_format(q->input.execution_id, l->ids[l->n_ids]);
        request_name(q, l->ids[l->n_ids], "start");
        l->n_ids++;
        world_send(l->w, q);
}

static void answer(Life *l) {
        World *w = l->w;
        if (w->executor.n == 0)
                return;
        Task *t = w->executor.tasks[draw(l, w->executor.n)];
        if (draw(l, 4) == 0)
                world_answer(w, t, false, "{\"code\":\"HTTP_503\",\"message\":\"busy\",\"retryable\":true}");
        else
                world_answer(w, t, true, "{\"status\":200,\"body\":\"fine\"}");
}

static void command(Life *l) {
        static const InputKind kinds[] = {INPUT_PAUSE, INPUT_RESUME, INPUT_RESUME, INPUT_CANCEL, INPUT_RETRY};
        if (l->n_ids == 0)
                return;
        Request *q = request_command(kinds[draw(l, 5)], l->ids[draw(l, l->n_ids)], "alice");
        q->input.path = SLICE("a");
        world_send(l->w, q);
}

static void vote(Life *l) {
        if (l->n_ids > 0)
                world_send(l->w, request_approve(l->ids[draw(l, l->n_ids)], "ok", "bob"));
}

static void event(Life *l) { world_send(l->w, request_event("h", "{\"n\":1}", "")); }

static void turn(Life *l) { world_turn(l->w); }

static void pass(Life *l) { world_pass(l->w, (int64_t)draw(l, draw(l, 8) ? 5000 : 2LL * 86400 * 1000)); }

static void reopen(Life *l) {
        if (draw(l, 8) != 0)
                return;
        world_turn(l->w);
        world_restart(l->w);
}

static void (*const moves[])(Life *l) = {start,   start, start, answer, answer, answer, answer, answer,
                                         command, vote,  event, turn,   turn,   pass,   reopen};

int main(int argc, char **argv) {
        if (argc != 4) {
                fprintf(stderr, "usage: workload DIR SEED N\n");
                return 2;
        }
        Life *l = calloc(1, sizeof(*l));
        World *w = l->w = world_new("lmdb");
        char name[512];
        rmdir(w->dir);
        cr_assert(strlen(argv[1]) < sizeof(w->dir), "the directory's name is too long");
        strcpy(w->dir, argv[1]);
        l->random = strtoull(argv[2], NULL, 10);
        w->settings.batch_max = 4;
        w->settings.cache_bytes_max = 20000;
        w->map_size = 512 << 10; /* so that it grows */
        snprintf(name, sizeof(name), "%s/" CRASH_ACKS, w->dir);
        acks = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        cr_assert(acks >= 0);
        world_open(w);
        w->on_told = acknowledge;
        for (size_t i = 0; i < CRASH_RUNBOOKS; i++)
                world_register(w, crash_runbooks[i]);
        for (long n = strtol(argv[3], NULL, 10); n > 0; n--)
                moves[draw(l, sizeof(moves) / sizeof(moves[0]))](l);
        world_run(w);
        KvStats stats;
        cr_assert_eq(store_stats(w->store, &stats), 0);
        world_close(w);
        printf("%" PRIu64 "\n", stats.last_txn);
        free(l);
        return 0;
}
