#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/map.h"

TestSuite(map, .fini = check_leaks);

#define N_KEYS 100000

static Slice key_of(char (*keys)[12], size_t i) { return slice_from_str(keys[i]); }

static char (*make_keys(void))[12] {
        char(*keys)[12] = malloc(N_KEYS * sizeof(*keys));
        cr_assert_not_null(keys);
        for (size_t i = 0; i < N_KEYS; i++)
                snprintf(keys[i], sizeof(keys[i]), "key-%zu", i);
        return keys;
}

Test(map, a_hundred_thousand_keys) {
        _cleanup_(map_deinit) Map m = {0};
        char(*keys)[12] = make_keys();
        map_init(&m, 1, 2);
        for (size_t i = 0; i < N_KEYS; i++)
                cr_assert_eq(map_put(&m, key_of(keys, i), keys[i]), 0);
        cr_assert_eq(m.n, N_KEYS);
        for (size_t i = 0; i < N_KEYS; i++)
                cr_assert_eq(map_get(&m, key_of(keys, i)), keys[i]);
        cr_assert_null(map_get(&m, SLICE("key-100000")));
        for (size_t i = 0; i < N_KEYS; i += 2)
                cr_assert_eq(map_remove(&m, key_of(keys, i)), keys[i]);
        cr_assert_eq(m.n, N_KEYS / 2);
        for (size_t i = 0; i < N_KEYS; i++)
                cr_assert_eq(map_get(&m, key_of(keys, i)), i % 2 ? keys[i] : NULL);
        size_t it = 0, n = 0;
        Slice key;
        void *value;
        while (map_next(&m, &it, &key, &value)) {
                cr_assert_eq(key.data, value);
                n++;
        }
        cr_assert_eq(n, N_KEYS / 2);
        free(keys);
}

Test(map, put_replaces_value_and_key) {
        _cleanup_(map_deinit) Map m = {0};
        char old_key[] = "k", new_key[] = "k";
        int one = 1, two = 2;
        cr_assert_eq(map_put(&m, slice_from_str(old_key), &one), 0);
        cr_assert_eq(map_put(&m, slice_from_str(new_key), &two), 1);
        old_key[0] = 'x'; /* must not matter any more */
        cr_assert_eq(map_get(&m, SLICE("k")), &two);
        cr_assert_eq(m.n, 1);
        cr_assert_eq(map_remove(&m, SLICE("k")), &two);
        cr_assert_null(map_remove(&m, SLICE("k")));
}

Test(map, empty_and_binary_keys) {
        _cleanup_(map_deinit) Map m = {0};
        int a = 1, b = 2, c = 3;
        cr_assert_null(map_get(&m, SLICE_NULL));
        cr_assert_null(map_remove(&m, SLICE("x")));
        map_put(&m, SLICE_NULL, &a);
        map_put(&m, SLICE("\0"), &b);
        map_put(&m, SLICE("\0\0"), &c);
        cr_assert_eq(map_get(&m, SLICE("")), &a);
        cr_assert_eq(map_get(&m, SLICE("\0")), &b);
        cr_assert_eq(map_get(&m, SLICE("\0\0")), &c);
}

/* Random puts and removes on few keys, held against a plain array: exercises the shifting back. */
Test(map, agrees_with_a_plain_array) {
        _cleanup_(map_deinit) Map m = {0};
        char names[64][4];
        void *model[64] = {0};
        uint64_t x = 2463534242ULL;
        for (int i = 0; i < 64; i++)
                snprintf(names[i], sizeof(names[i]), "%d", i);
        for (int round = 0; round < 50000; round++) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                size_t i = x % 64;
                Slice key = slice_from_str(names[i]);
                if (x >> 20 & 1) {
                        cr_assert_eq(map_put(&m, key, names[i]), model[i] != NULL);
                        model[i] = names[i];
                } else {
                        cr_assert_eq(map_remove(&m, key), model[i]);
                        model[i] = NULL;
                }
                size_t probe = x >> 32 & 63;
                cr_assert_eq(map_get(&m, slice_from_str(names[probe])), model[probe]);
        }
        cr_assert_leq(m.cap, 128, "64 keys don't make it grow for ever");
}

/* SipHash-1-3 of 00 01 02 … under the key 00 … 0f, computed with an independent implementation. */
Test(map, hash_vectors) {
        const uint64_t seed[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
        static const struct {
                size_t n;
                uint64_t hash;
        } vectors[] = {{0, 0xabac0158050fc4dcULL}, {1, 0xc9f49bf37d57ca93ULL}, {7, 0xd3927d989bb11140ULL},
                       {8, 0x369095118d299a8eULL}, {9, 0x25a48eb36c063de4ULL}, {15, 0xd320d86d2a519956ULL},
                       {63, 0x9d199062b7bbb3a8ULL}};
        char data[64];
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (char)i;
        for (size_t i = 0; i < N_ELEMENTS(vectors); i++)
                cr_assert_eq(map_hash(seed, (Slice){data, vectors[i].n}), vectors[i].hash, "%zu bytes",
                             vectors[i].n);
}
