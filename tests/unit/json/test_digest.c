#include <pthread.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "json/digest.h"

TestSuite(digest, .fini = check_leaks);

static const char *text_of(const Slice *slices, size_t n, char text[DIGEST_TEXT_SIZE + 1]) {
        Digest d;
        cr_assert_eq(digest_slices(slices, n, &d), 0);
        digest_format(&d, text);
        return text;
}

/* FIPS 180-2's examples. */
Test(digest, known_answers) {
        static const struct {
                const char *text, *hex;
        } cases[] = {
                {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        };
        char text[DIGEST_TEXT_SIZE + 1];
        for (int round = 0; round < 3; round++) /* the context is used again */
                for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                        Slice s = slice_from_str(cases[i].text);
                        cr_assert_str_eq(text_of(&s, 1, text), cases[i].hex);
                }
}

Test(digest, slices_are_concatenated) {
        char a[DIGEST_TEXT_SIZE + 1], b[DIGEST_TEXT_SIZE + 1];
        cr_assert_str_eq(text_of((Slice[]){SLICE("a"), SLICE_NULL, SLICE("bc")}, 3, a),
                         text_of((Slice[]){SLICE("abc")}, 1, b));
        cr_assert_str_eq(text_of(NULL, 0, a), text_of((Slice[]){SLICE("")}, 1, b));
}

Test(digest, text_round_trip) {
        Digest d, back;
        char text[DIGEST_TEXT_SIZE + 1];
        cr_assert_eq(digest_slice(SLICE("x"), &d), 0);
        digest_format(&d, text);
        cr_assert(digest_parse(slice_from_str(text), &back));
        cr_assert(digest_eq(&d, &back));
        for (char *p = text; *p; p++)
                if (*p >= 'a')
                        *p = (char)(*p - 32);
        cr_assert(digest_parse(slice_from_str(text), &back), "upper case too");
        cr_assert(digest_eq(&d, &back));
        cr_assert_not(digest_parse((Slice){text, DIGEST_TEXT_SIZE - 1}, &back));
        text[10] = 'g';
        cr_assert_not(digest_parse(slice_from_str(text), &back));
        cr_assert_not(digest_parse(SLICE_NULL, &back));
}

static void *hash_in_thread(void *ret) {
        for (int i = 0; i < 100; i++)
                if (digest_slice(SLICE("abc"), ret) < 0)
                        return NULL;
        return ret;
}

Test(digest, every_thread_has_its_context) {
        pthread_t threads[8];
        Digest digests[8], want;
        digest_slice(SLICE("abc"), &want);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, hash_in_thread, &digests[i]), 0);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++) {
                void *ok;
                pthread_join(threads[i], &ok);
                cr_assert_not_null(ok);
                cr_assert(digest_eq(&digests[i], &want));
        }
}
