/*
 * Readers on their own threads while one thread writes and, on disk, outgrows its map: every snapshot is
 * whole, none goes back in time, and growing waits for readers instead of pulling the map from under them. A
 * plain program, so that it runs under ThreadSanitizer.
 */
#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "storage/kv.h"

#define N_READERS 3
#define N_KEYS    50
#define RUN_MS    1000

typedef struct Stress {
        Kv *kv;
        atomic_bool stop;
        atomic_uint n_reads;
} Stress;

#define CHECK(condition)                                                                                     \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
                        abort();                                                                             \
                }                                                                                            \
        } while (0)

static Slice key_of(uint8_t *i) { return slice_from_bytes(i, 1); }

/** The one number that all keys hold in this snapshot. */
static uint64_t read_all(KvTxn *t) {
        uint64_t common = 0;
        for (uint8_t i = 0; i < N_KEYS; i++) {
                Slice v;
                int r = kv_get(t, 0, key_of(&i), &v);
                if (r == KV_E_NOT_FOUND && i == 0)
                        return 0;
                CHECK(r == 0);
                Reader reader = reader_from_slice(v);
                uint64_t n = reader_u64(&reader);
                CHECK(i == 0 || n == common);
                common = n;
        }
        KvCursor *c;
        Slice k, v;
        unsigned n_keys = 0;
        CHECK(kv_cursor_open(t, 0, &c) == 0);
        for (int r = kv_cursor_seek(c, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_next(c, &k, &v), n_keys++) {
                Reader reader = reader_from_slice(v);
                CHECK(reader_u64(&reader) == common);
        }
        kv_cursor_close(c);
        CHECK(n_keys == N_KEYS);
        return common;
}

static void *reader_main(void *userdata) {
        Stress *s = userdata;
        uint64_t last = 0;
        while (!atomic_load(&s->stop)) {
                KvStats stats;
                KvTxn *t;
                CHECK(kv_begin_read(s->kv, &t) == 0);
                uint64_t n = read_all(t);
                kv_abort(t);
                CHECK(n >= last);
                last = n;
                CHECK(kv_stats(s->kv, &stats) == 0);
                atomic_fetch_add(&s->n_reads, 1);
        }
        return NULL;
}

static int64_t now_ms(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int write_all(Kv *kv, uint64_t n, Buf *value) {
        KvTxn *t;
        int r = kv_begin_write(kv, &t);
        buf_reset(value);
        buf_put_u64(value, n);
        memset(buf_extend(value, 100), 'v', 100);
        for (uint8_t i = 0; i < N_KEYS && r == 0; i++)
                r = kv_put(t, 0, key_of(&i), buf_slice(value));
        uint8_t key[8];
        memcpy(key, &n, sizeof(key));
        if (r == 0) /* and something that stays, so that the map fills up */
                r = kv_put(t, 1, slice_from_bytes(key, 8), buf_slice(value));
        memset(buf_extend(value, 20000), 'v', 20000);
        if (r == 0 && n < 2000)
                r = kv_put(t, 1, slice_from_bytes(key, 7), buf_slice(value));
        int committed = kv_commit(t);
        return r ? r : committed;
}

static void run(Kv *kv, bool has_map) {
        Stress s = {.kv = kv};
        pthread_t readers[N_READERS];
        _cleanup_(buf_deinit) Buf value = {0};
        unsigned n_grown = 0;
        uint64_t n = 0;

        for (unsigned i = 0; i < N_READERS; i++)
                CHECK(pthread_create(&readers[i], NULL, reader_main, &s) == 0);
        for (int64_t end = now_ms() + RUN_MS; now_ms() < end;) {
                int r = write_all(kv, n + 1, &value);
                if (r == KV_E_MAP_FULL) {
                        CHECK(kv_grow(kv) == 0);
                        n_grown++;
                } else {
                        CHECK(r == 0);
                        n++;
                }
        }
        atomic_store(&s.stop, true);
        for (unsigned i = 0; i < N_READERS; i++)
                pthread_join(readers[i], NULL);
        printf("%s: %u commits, %u snapshots, map grown %u times\n", has_map ? "lmdb" : "memory", (unsigned)n,
               atomic_load(&s.n_reads), n_grown);
        CHECK(n > 10 && atomic_load(&s.n_reads) > 10 && (n_grown > 0) == has_map);
        kv_close(kv);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

int main(void) {
        static const char *const tables[] = {"one", "two"};
        char dir[] = "/tmp/runbook-test-XXXXXX";
        Report report = {0};
        Kv *kv;

        CHECK(kv_open_mem(tables, 2, &report, &kv) == 0);
        run(kv, false);
        CHECK(mkdtemp(dir));
        KvOptions options = {.path = dir, .map_size = 1 << 20};
        CHECK(kv_open_lmdb(&options, tables, 2, &report, &kv) == 0);
        run(kv, true);
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        return 0;
}
