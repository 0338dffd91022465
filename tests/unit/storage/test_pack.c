#include "fixture.h"
#include "storage/pack.h"

TestSuite(pack, .fini = check_leaks);

static uint64_t random_next(uint64_t *s) {
        *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
        return *s;
}

/** Texts between wholly random and wholly repeating. */
static void make_text(Buf *b, uint64_t seed) {
        uint64_t s = seed * 0x9e3779b97f4a7c15ULL;
        size_t n = random_next(&s) % (seed % 10 ? 20000 : 200000), n_letters = 1 + random_next(&s) % 256;
        size_t back = 1 + random_next(&s) % (seed % 10 ? 2000 : 70000); /* past the farthest distance, too */
        unsigned repeat = random_next(&s) % 10;
        buf_reset(b);
        while (b->n < n) {
                if (b->n > back && random_next(&s) % 10 < repeat) {
                        size_t length = random_next(&s) % 600, at = b->n - back;
                        for (size_t i = 0; i < length; i++)
                                buf_put_char(b, b->data[at + i]);
                } else {
                        buf_put_char(b, (char)(random_next(&s) % n_letters));
                }
        }
}

static void check_round(Slice text, const Buf *packed, uint64_t seed) {
        char *out = malloc(text.n + 1);
        out[text.n] = 'x';
        cr_assert(unpack_text(buf_slice(packed), out, text.n), "seed %llu", (unsigned long long)seed);
        cr_assert(slice_eq(text, (Slice){out, text.n}), "seed %llu", (unsigned long long)seed);
        cr_assert_eq(out[text.n], 'x');
        cr_assert_not(unpack_text(buf_slice(packed), out, text.n - 1), "a shorter text");
        free(out);
        out = malloc(text.n + 1);
        cr_assert_not(unpack_text(buf_slice(packed), out, text.n + 1), "a longer text");
        free(out);
}

Test(pack, what_was_packed_comes_back) {
        _cleanup_(buf_deinit) Buf text = {0}, packed = {0};
        unsigned n_packed = 0;
        for (uint64_t seed = 1; seed <= 1500; seed++) {
                make_text(&text, seed);
                buf_reset(&packed);
                buf_put_str(&packed, "head");
                if (!pack_text(buf_slice(&text), &packed)) {
                        cr_assert_eq(packed.n, 4, "left as it was");
                        continue;
                }
                n_packed++;
                cr_assert_leq(packed.n - 4, text.n - text.n / 8);
                memmove(packed.data, packed.data + 4, packed.n - 4);
                packed.n -= 4;
                check_round(buf_slice(&text), &packed, seed);
        }
        cr_assert_gt(n_packed, 300);
        cr_assert_lt(n_packed, 1490, "and random bytes are not");
}

Test(pack, texts_like_ours_shrink_to_a_third) {
        _cleanup_(buf_deinit) Buf text = {0}, packed = {0};
        for (int i = 0; i < 12; i++)
                buf_printf(&text,
                           "{\"data\":{\"attempt\":1,\"durationMs\":%d,\"status\":\"completed\",\"stepId\":"
                           "\"s%d\",\"stepType\":"
                           "\"conditional\",\"tenantId\":\"acme\"},\"datacontenttype\":\"application/"
                           "json\",\"id\":"
                           "\"0190f5fe-7c00-7a00-8abc-0123456789ab/"
                           "%d\",\"specversion\":\"1.0\",\"time\":\"2026-01-02T03:04:05.67%dZ\"}",
                           i * 7, i, i, i % 10);
        cr_assert(pack_text(buf_slice(&text), &packed));
        cr_assert_lt(packed.n, text.n / 3, "%zu of %zu", packed.n, text.n);
        check_round(buf_slice(&text), &packed, 0);
}

Test(pack, one_letter_a_million_times) {
        size_t n = 1 << 20;
        char *text = malloc(n);
        _cleanup_(buf_deinit) Buf packed = {0};
        memset(text, 'a', n);
        cr_assert(pack_text((Slice){text, n}, &packed));
        cr_assert_lt(packed.n, 5000);
        check_round((Slice){text, n}, &packed, 0);
        free(text);
}

Test(pack, short_texts_are_left_alone) {
        char text[PACK_MIN] = {0};
        _cleanup_(buf_deinit) Buf packed = {0};
        cr_assert_not(pack_text((Slice){text, PACK_MIN - 1}, &packed));
        cr_assert(pack_text((Slice){text, PACK_MIN}, &packed));
        check_round((Slice){text, PACK_MIN}, &packed, 0);
}

Test(pack, no_memory_is_no_packing) {
        char text[1000] = {0};
        Buf packed = {.limit = 10};
        cr_assert_not(pack_text((Slice){text, sizeof(text)}, &packed));
        cr_assert_neq(packed.error, 0, "and the buffer says so");
        buf_deinit(&packed);
}

/** Under AddressSanitizer this also shows that nothing is read or written outside. */
Test(pack, damage_is_refused_or_harmless) {
        _cleanup_(buf_deinit) Buf text = {0}, packed = {0};
        uint64_t s = 42;
        unsigned n_refused = 0, n_tried = 0;
        for (uint64_t seed = 1; seed <= 600; seed++) {
                make_text(&text, seed);
                buf_reset(&packed);
                if (!pack_text(buf_slice(&text), &packed))
                        continue;
                for (unsigned round = 0; round < 8; round++, n_tried++) {
                        size_t n = random_next(&s) % 4 ? packed.n : random_next(&s) % packed.n;
                        char *copy = malloc(n ? n : 1), *out = malloc(text.n);
                        memcpy(copy, packed.data, n);
                        for (unsigned flips = random_next(&s) % 4; flips > 0 && n > 0; flips--)
                                copy[random_next(&s) % n] ^= (char)(1 << random_next(&s) % 8);
                        n_refused += !unpack_text((Slice){copy, n}, out, text.n);
                        free(copy);
                        free(out);
                }
        }
        cr_assert_gt(n_refused, n_tried / 4);
}
