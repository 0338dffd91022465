/*
 * A second process for the tests of the store on disk; an environment must never be open across a fork.
 *   hold DIR    open the store, say "open", keep it until standard input ends
 *   write DIR   commit batches for ever and name each on standard output; to be killed
 * A batch n puts BATCH_ROWS records (n, i) → n and the record "last" → n.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "kv_helper.h"
#include "storage/kv.h"

static int write_batch(Kv *kv, uint64_t n) {
        _cleanup_(buf_deinit) Buf key = {0}, value = {0};
        KvTxn *t;

        int r = kv_begin_write(kv, &t);
        if (r)
                return r;
        /* of different sizes, some in pages of their own */
        buf_put_u64(&value, n);
        for (uint64_t i = 0; i < n % 97; i++)
                buf_put_u64(&value, n * i);
        if (n % 5 == 0)
                memset(buf_extend(&value, 10000), 'x', 10000);
        for (uint64_t i = 0; i < BATCH_ROWS && r == 0; i++) {
                batch_key(&key, n, i);
                r = kv_put(t, i % 2, buf_slice(&key), buf_slice(&value));
        }
        if (r == 0)
                r = kv_put(t, 0, SLICE("last"), (Slice){value.data, 8});
        /* old ones go, so that pages are used again */
        for (uint64_t i = 0; n > BATCHES_KEPT && i < BATCH_ROWS && r == 0; i++) {
                batch_key(&key, n - BATCHES_KEPT, i);
                r = kv_delete(t, i % 2, buf_slice(&key));
        }
        int committed = kv_commit(t);
        return r ? r : committed;
}

int main(int argc, char **argv) {
        static const char *const tables[] = {"one", "two"};
        Report report = {0};
        uint64_t n = 0;
        char text[32];
        KvTxn *t;
        Slice v;
        Kv *kv;

        if (argc != 3)
                return 2;
        KvOptions options = {.path = argv[2], .map_size = 1 << 20};
        if (kv_open_lmdb(&options, tables, 2, &report, &kv) != 0) {
                printf("%s\n", report.message);
                report_deinit(&report);
                return 3;
        }
        puts("open");
        fflush(stdout);
        if (!strcmp(argv[1], "hold")) {
                (void)!read(0, text, 1);
                kv_close(kv);
                return 0;
        }
        if (kv_begin_read(kv, &t) != 0)
                return 4;
        if (kv_get(t, 0, SLICE("last"), &v) == 0) {
                Reader r = reader_from_slice(v);
                n = reader_u64(&r);
        }
        kv_abort(t);
        for (;;) {
                int r = write_batch(kv, n + 1);
                if (r == KV_E_MAP_FULL)
                        r = kv_grow(kv);
                else
                        n++;
                if (r)
                        return 5;
                int len = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)n);
                if (write(1, text, (size_t)len) != len) /* told only after the commit */
                        return 6;
        }
}
