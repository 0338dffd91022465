#include "../leaks.h"
#include "model/input.h"
#include "sample.h"

TestSuite(input_codec, .fini = check_leaks);

static Slice some_text(Sample *r) {
        static const char text[] = "abcdefghijklmnopqrstuvwxyz0123456789\0with a zero inside";
        return sample_one_in(r, 2) ? SLICE_NULL : (Slice){text, sample_below(r, sizeof(text))};
}

static Input random_input(Sample *r) {
        Input in = {.kind = INPUT_PAUSE + sample_below(r, N_INPUT_KINDS - INPUT_PAUSE),
                    .now_ms = sample_time(r),
                    .seed = sample_next(r)};
        Slice *texts[] = {&in.tenant, &in.user, &in.command_id, &in.traceparent,
                          &in.path,   &in.text, &in.hash};
        Value **values[] = {&in.value, &in.error, &in.logs, &in.evidence, &in.context};
        in.execution_id = sample_uuid(r);
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                *texts[i] = some_text(r);
        for (size_t i = 0; i < N_ELEMENTS(values); i++)
                *values[i] = sample_one_in(r, 2) ? sample_value(r) : NULL;
        in.instance = sample_one_in(r, 4) ? INSTANCE_NONE : sample_count(r);
        in.attempt = sample_count(r);
        in.slot = (uint8_t)sample_below(r, 3);
        in.decision = (uint8_t)sample_below(r, 2);
        in.ok = sample_one_in(r, 2);
        in.flag = sample_one_in(r, 2);
        in.at_ms = sample_time(r);
        in.retry_after_ms = sample_time(r);
        in.number = sample_one_in(r, 2) ? 0 : sample_below(r, 1000) / 7.0 * (sample_one_in(r, 2) ? -1 : 1);
        return in;
}

static void check_value(Value *a, Value *b) {
        cr_assert_eq(a == NULL, b == NULL);
        if (a)
                cr_assert(slice_eq(value_bytes(a), value_bytes(b)));
}

Test(input_codec, keeps_every_field) {
        for (uint64_t seed = 1; seed <= 2000; seed++) {
                Sample r = {seed * 0x9e3779b97f4a7c15ULL};
                Input in = random_input(&r), out;
                Buf a = {0}, b = {0};
                cr_assert_eq(input_encode(&in, &a), 0);
                cr_assert_eq(input_decode(buf_slice(&a), &out), 0);
                cr_assert(in.kind == out.kind && in.now_ms == out.now_ms && in.seed == out.seed &&
                          in.instance == out.instance);
                cr_assert(in.attempt == out.attempt && in.slot == out.slot && in.decision == out.decision &&
                          in.ok == out.ok);
                cr_assert(in.flag == out.flag && in.at_ms == out.at_ms &&
                          in.retry_after_ms == out.retry_after_ms);
                cr_assert(!memcmp(&in.number, &out.number, sizeof(in.number)) &&
                          uuid_eq(in.execution_id, out.execution_id));
                cr_assert(slice_eq(in.tenant, out.tenant) && slice_eq(in.user, out.user) &&
                          slice_eq(in.command_id, out.command_id));
                cr_assert(slice_eq(in.traceparent, out.traceparent) && slice_eq(in.path, out.path) &&
                          slice_eq(in.text, out.text));
                cr_assert(slice_eq(in.hash, out.hash));
                check_value(in.value, out.value);
                check_value(in.error, out.error);
                check_value(in.logs, out.logs);
                check_value(in.evidence, out.evidence);
                check_value(in.context, out.context);
                cr_assert_eq(input_encode(&out, &b), 0);
                cr_assert(slice_eq(buf_slice(&a), buf_slice(&b)));
                input_release(&in);
                input_release(&out);
                buf_deinit(&a);
                buf_deinit(&b);
        }
}

Test(input_codec, damage_is_refused_or_canonical) {
        unsigned n_refused = 0;
        for (uint64_t seed = 1; seed <= 5000; seed++) {
                Sample r = {seed * 0x2545f4914f6cdd1dULL};
                Input in = random_input(&r), out;
                Buf a = {0}, b = {0};
                cr_assert_eq(input_encode(&in, &a), 0);
                if (sample_one_in(&r, 3))
                        a.n = sample_below(&r, (uint32_t)a.n);
                else
                        a.data[sample_below(&r, (uint32_t)(a.n < 60 ? a.n : 60))] ^=
                                        (char)(1 << sample_below(&r, 8));
                int e = input_decode(buf_slice(&a), &out);
                if (e == 0) {
                        cr_assert_eq(input_encode(&out, &b), 0);
                        cr_assert(slice_eq(buf_slice(&a), buf_slice(&b)), "seed %llu",
                                  (unsigned long long)seed);
                        input_release(&out);
                } else {
                        cr_assert_eq(e, -EBADMSG);
                        n_refused++;
                }
                input_release(&in);
                buf_deinit(&a);
                buf_deinit(&b);
        }
        cr_assert_gt(n_refused, 1000);
}

Test(input_codec, refuses_starts_and_what_it_does_not_know) {
        Input in = {.kind = INPUT_RESUME}, out;
        Buf b = {0};
        cr_assert_eq(input_encode(&in, &b), 0);
        static const struct {
                size_t at;
                char value;
        } wrong[] = {{0, 0}, {0, 2}, {1, 0}, {1, INPUT_START}, {1, N_INPUT_KINDS}};
        for (size_t i = 0; i < N_ELEMENTS(wrong); i++) {
                char kept = b.data[wrong[i].at];
                b.data[wrong[i].at] = wrong[i].value;
                cr_assert_eq(input_decode(buf_slice(&b), &out), -EBADMSG);
                b.data[wrong[i].at] = kept;
        }
        cr_assert_eq(input_decode(SLICE_NULL, &out), -EBADMSG);
        cr_assert_eq(input_decode(buf_slice(&b), &out), 0);
        buf_put_u8(&b, 0);
        cr_assert_eq(input_decode(buf_slice(&b), &out), -EBADMSG, "bytes left over");
        buf_deinit(&b);
}
