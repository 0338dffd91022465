/* Descriptor sets in the executor: compiled once, kept while they are used, forgotten when there are too many. */
#include "../leaks.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "harness.h"

TestSuite(grpc_types, .fini = check_leaks);

#define N_SETS 600 /* more than are kept */

/** A FileDescriptorSet with `service t.S { rpc Do(M) returns (M) }`, `message M {}`; @name: of its file. */
static void put_set(Buf *b, const char *name) {
        static const char rest[] = "\x12\x01t"         /* package */
                                   "\x22\x03\x0a\x01M" /* message */
                                   "\x32\x17\x0a\x01S" /* service */
                                   "\x12\x12\x0a\x02"
                                   "Do\x12\x04.t.M\x1a\x04.t.M"
                                   "\x22\x00";
        size_t n_name = strlen(name);
        buf_put_char(b, 0x0a);
        buf_put_varint(b, n_name + 2 + sizeof(rest) - 1);
        buf_put_char(b, 0x0a);
        buf_put_varint(b, n_name);
        buf_put_str(b, name);
        buf_put(b, rest, sizeof(rest) - 1);
}

typedef struct Set {
        Buf base64;
        DescriptorSet set;
        RunbookStep step;
} Set;

static void set_make(Set *s, int number) {
        _cleanup_(buf_deinit) Buf bytes = {0};
        char name[16];
        snprintf(name, sizeof(name), "%d.proto", number);
        put_set(&bytes, name);
        base64_put(&s->base64, buf_slice(&bytes));
        s->set.base64 = buf_slice(&s->base64);
        cr_assert_eq(digest_slice(s->set.base64, &s->set.digest), 0);
        s->step = (RunbookStep){.descriptor_set = &s->set};
}

/** Nobody listens there: a call that was made fails to connect. */
static TaskResult call(Harness *h, const Set *s, const char *method) {
        json_t *config = json_pack("{s:s,s:s,s:b,s:s,s:s,s:{}}", "protocol", "grpc", "target", "127.0.0.1:1",
                                   "tls", 0, "service", "t.S", "method", method, "body");
        return harness_run(h, harness_task_of(h, &s->step, config, NULL));
}

static void expect_code(Harness *h, const Set *s, const char *method, const char *code) {
        TaskResult r = call(h, s, method);
        cr_assert_str_eq(harness_string(r.error, "code"), code, "%s", harness_string(r.error, "message"));
        harness_result_free(&r);
}

Test(grpc_types, many_sets) {
        static Set sets[N_SETS];
        Harness h = {0};
        harness_start_executor(&h, NULL);
        for (int i = 0; i < N_SETS; i++)
                set_make(&sets[i], i);
        for (int i = 0; i < N_SETS; i++)
                expect_code(&h, &sets[i], "Do", "CONNECT");
        for (int i = 0; i < N_SETS; i += 50) { /* forgotten ones and kept ones */
                expect_code(&h, &sets[i], "Do", "CONNECT");
                expect_code(&h, &sets[i], "Dont", "CONFIG_INVALID");
        }
        harness_stop(&h);
        for (int i = 0; i < N_SETS; i++)
                buf_deinit(&sets[i].base64);
}

Test(grpc_types, a_step_without_descriptors) {
        Harness h = {0};
        Set none = {0};
        harness_start_executor(&h, NULL);
        expect_code(&h, &none, "Do", "CONFIG_INVALID");
        harness_stop(&h);
}
