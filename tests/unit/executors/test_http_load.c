/* Many at once, many in a row, and memory that stays what it was. */
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "../leaks.h"
#include "harness.h"

#define N_AT_ONCE 2000

static Harness h;

static void set_up(void) {
        struct rlimit files;
        if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 2 * N_AT_ONCE) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
        harness_start(&h, &(HttpSettings){.allow = "127.0.0.1",
                                          .in_flight_max = 2 * N_AT_ONCE + 100,
                                          .per_host_max = N_AT_ONCE + 50});
}

static void tear_down(void) {
        harness_stop(&h);
        check_leaks();
}

TestSuite(http_load, .init = set_up, .fini = tear_down, .timeout = 120);

static int64_t now_ms(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

Test(http_load, two_thousand_at_once) {
        int64_t start = now_ms();
        for (int i = 0; i < N_AT_ONCE; i++)
                harness_submit(&h, "{'url':'@/slow?ms=1500','method':'POST'}", "{'n':1}");
        cr_assert(harness_wait(&h, N_AT_ONCE));
        int64_t took = now_ms() - start;
        cr_assert_lt(took, 6000, "one after another would be 3000 s: %lld ms", (long long)took);
        for (size_t i = 0; i < N_AT_ONCE; i++)
                cr_assert(h.results[i].ok, "%.*s", SLICE_ARG(value_bytes(h.results[i].error)));
        harness_forget_results(&h);
        TaskResult r = harness_page(&h, "/stats");
        cr_assert_geq(harness_integer(r.output, "connections"), N_AT_ONCE);
        harness_result_free(&r);
        r = harness_page(&h, "/keys?key=none");
        cr_assert_eq(harness_integer(r.output, "distinct"), N_AT_ONCE);
        cr_assert_eq(harness_integer(r.output, "repeated"), 0);
        harness_result_free(&r);
}

/** @n calls, 100 at a time, of all kinds of answers. */
static void run_calls(int n) {
        static const char *const configs[] = {
                        "{'url':'@/ok','method':'POST'}",
                        "{'url':'@/json?n=3000'}",
                        "{'url':'@/status/404'}",
                        "{'url':'@/status/503?after=1'}",
                        "{'url':'@/reset'}",
                        "{'url':'@/gzip'}",
                        "{'url':'@/ok','body':{'a':[1,2,3]}}",
                        "{'url':'nonsense'}",
                        "{'url':'@/bytes?n=100000'}",
                        "{'url':'@/ok','auth':{'bearerSecret':'token'},'query':{'a':1}}"};
        for (int i = 0; i < n; i += 100) {
                for (int k = 0; k < 100; k++) {
                        char config[128];
                        const char *c = configs[k % 10];
                        if (k == 0) { /* never the same URL twice */
                                snprintf(config, sizeof(config), "{'url':'@/ok?%d'}", (int)h.next_instance);
                                c = config;
                        }
                        harness_submit(&h, c, "{'some':'input'}");
                }
                cr_assert(harness_wait(&h, 100));
                harness_forget_results(&h);
        }
}

Test(http_load, memory_stays_flat) {
        run_calls(6000);
        malloc_trim(0);
        size_t before = mallinfo2().uordblks;
        run_calls(12000);
        malloc_trim(0);
        size_t after = mallinfo2().uordblks;
        cr_assert_lt(after, before + (512 << 10), "%zu bytes became %zu", before, after);
}
