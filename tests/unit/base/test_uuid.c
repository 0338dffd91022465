#include "../leaks.h"
#include "base/cleanup.h"
#include "base/uuid.h"

TestSuite(uuid, .fini = check_leaks);

static const char *text_of(Uuid u, char text[UUID_TEXT_SIZE + 1]) {
        uuid_format(u, text);
        return text;
}

/* The example of RFC 9562, appendix A.6. */
Test(uuid, v7_of_the_rfc) {
        char text[UUID_TEXT_SIZE + 1];
        Uuid u = uuid_v7(0x017F22E279B0, 0xCC3, 0x18C4DC0C0C07398FULL);
        cr_assert_str_eq(text_of(u, text), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        cr_assert_eq(uuid_v7_time_ms(u), 0x017F22E279B0);
}

Test(uuid, v7_keeps_version_and_variant_whatever_is_random) {
        Uuid ones = uuid_v7(INT64_MAX, UINT64_MAX, UINT64_MAX), zeros = uuid_v7(-5, 0, 0);
        char text[UUID_TEXT_SIZE + 1];
        cr_assert_str_eq(text_of(ones, text), "ffffffff-ffff-7fff-bfff-ffffffffffff");
        cr_assert_str_eq(text_of(zeros, text), "00000000-0000-7000-8000-000000000000");
        cr_assert_eq(uuid_v7_time_ms(zeros), 0);
}

Test(uuid, v7_sorts_by_time) {
        Uuid last = uuid_v7(0, UINT64_MAX, UINT64_MAX);
        for (int64_t ms = 1; ms < 1LL << 47; ms = ms * 3 + 1) {
                Uuid u = uuid_v7(ms, 0, 0), later = uuid_v7(ms, UINT64_MAX, UINT64_MAX);
                cr_assert_lt(slice_cmp(uuid_slice(&last), uuid_slice(&u)), 0);
                cr_assert_lt(slice_cmp(uuid_slice(&u), uuid_slice(&later)), 0);
                cr_assert_eq(uuid_v7_time_ms(later), ms);
                last = later;
        }
}

/* Random words as counters: within a millisecond ids follow a, then b. */
Test(uuid, v7_sorts_by_the_low_bits_of_the_random_words) {
        Uuid a = uuid_v7(5, 1, UINT64_MAX), b = uuid_v7(5, 2, 0), c = uuid_v7(5, 2, 1);
        cr_assert_lt(slice_cmp(uuid_slice(&a), uuid_slice(&b)), 0);
        cr_assert_lt(slice_cmp(uuid_slice(&b), uuid_slice(&c)), 0);
}

Test(uuid, v8_from_a_digest) {
        uint8_t digest[16];
        memset(digest, 0xff, sizeof(digest));
        Uuid u = uuid_v8_from_digest(digest);
        char text[UUID_TEXT_SIZE + 1];
        cr_assert_str_eq(text_of(u, text), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        cr_assert_eq(uuid_v7_time_ms(u), -1);
}

Test(uuid, text_round_trip) {
        char text[UUID_TEXT_SIZE + 1];
        Uuid u = UUID_NIL;
        cr_assert(uuid_parse(SLICE("0123ABCD-ef01-7234-89ab-CDEF01234567"), &u));
        cr_assert_str_eq(text_of(u, text), "0123abcd-ef01-7234-89ab-cdef01234567");
        cr_assert_not(uuid_is_nil(u));
        cr_assert(uuid_parse(SLICE("00000000-0000-0000-0000-000000000000"), &u));
        cr_assert(uuid_is_nil(u));
        cr_assert_eq(uuid_v7_time_ms(u), -1);
}

Test(uuid, other_texts_are_refused) {
        const Slice bad[] = {SLICE_NULL,
                             SLICE("0123abcdef01723489abcdef01234567"),
                             SLICE("{0123abcd-ef01-7234-89ab-cdef0123456}"),
                             SLICE("0123abcd-ef01-7234-89ab-cdef0123456"),
                             SLICE("0123abcd-ef01-7234-89ab-cdef012345678"),
                             SLICE("0123abcd-ef01-7234-89ab-cdef0123456g"),
                             SLICE("0123abcdef-01-7234-89ab-cdef01234567"),
                             SLICE("0123abcd+ef01-7234-89ab-cdef01234567"),
                             SLICE("0123abcd-ef01-7234-89ab-cdef0123456\0")};
        Uuid u = UUID_NIL;
        for (size_t i = 0; i < N_ELEMENTS(bad); i++)
                cr_assert_not(uuid_parse(bad[i], &u), "bad %zu", i);
        cr_assert(uuid_is_nil(u), "untouched by failures");
}
