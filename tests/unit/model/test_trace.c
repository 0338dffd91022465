#include "../leaks.h"
#include "model/execution.h"
#include "model/trace.h"

TestSuite(trace, .fini = check_leaks);

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const Uuid id = {.bytes = {1, 2, 3, 4, 5, 6, 0x70, 8, 0x90, 10, 11, 12, 13, 14, 15, 16}};

Test(trace, parses_what_the_standard_allows) {
        static const char *const bad[] = {
                "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                GOOD "-", GOOD "0"};
        TraceContext t;
        cr_assert(trace_parse(SLICE(GOOD), &t));
        cr_assert_eq(t.trace_id[0], 0x0a);
        cr_assert_eq(t.parent_id[7], 0x31);
        cr_assert_eq(t.flags, 1);
        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                cr_assert(!trace_parse(slice_from_str(bad[i]), &t), "%s", bad[i]);
}

Test(trace, a_step_stays_in_the_trace_and_has_a_span_of_its_own) {
        char a[TRACEPARENT_SIZE + 1], b[TRACEPARENT_SIZE + 1], again[TRACEPARENT_SIZE + 1];
        TraceContext t;
        uint8_t span[8];
        trace_put_step(id, SLICE(GOOD), 7, a);
        trace_put_step(id, SLICE(GOOD), 8, b);
        trace_put_step(id, SLICE(GOOD), 7, again);
        cr_assert_eq(strlen(a), TRACEPARENT_SIZE);
        cr_assert_str_eq(a, again);
        cr_assert_str_neq(a, b);
        cr_assert_eq(strncmp(a, GOOD, 36), 0);
        cr_assert(trace_parse(slice_from_str(a), &t));
        trace_span_id(id, 7, span);
        cr_assert_eq(memcmp(span, t.parent_id, 8), 0);
}

Test(trace, without_a_caller_the_execution_is_the_trace) {
        char text[TRACEPARENT_SIZE + 1];
        trace_put_step(id, SLICE_NULL, INSTANCE_NONE, text);
        cr_assert_eq(strncmp(text, "00-01020304050670089" "00a0b0c0d0e0f10-", 36), 0, "%s", text);
        cr_assert_str_eq(text + 53, "01");
}
