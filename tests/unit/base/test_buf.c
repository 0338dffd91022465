#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/buf.h"
#include "base/cleanup.h"

TestSuite(buf, .fini = check_leaks);

Test(buf, zero_initialised_is_empty) {
        Buf b = {0};
        cr_assert_eq(buf_slice(&b).n, 0);
        buf_put(&b, NULL, 0);
        buf_put_slice(&b, SLICE_NULL);
        buf_put_str(&b, "");
        cr_assert_eq(b.n, 0);
        cr_assert_eq(b.error, 0);
        char *s = buf_steal_str(&b);
        cr_assert_str_eq(s, "");
        free(s);
        buf_deinit(&b);
}

Test(buf, grows_over_many_puts) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (int i = 0; i < 100000; i++)
                buf_put_char(&b, (char)('a' + i % 26));
        cr_assert_eq(b.error, 0);
        cr_assert_eq(b.n, 100000);
        for (int i = 0; i < 100000; i++)
                cr_assert_eq(b.data[i], 'a' + i % 26);
}

Test(buf, limit_is_exact_and_sticky) {
        _cleanup_(buf_deinit) Buf b = {.limit = 5};
        buf_put_str(&b, "12345");
        cr_assert_eq(b.error, 0);
        buf_put(&b, "", 0);
        cr_assert_eq(b.error, 0, "nothing fits into no room");
        buf_put_char(&b, '6');
        cr_assert_eq(b.error, -EFBIG);
        buf_put_str(&b, "");
        buf_printf(&b, "%d", 7);
        cr_assert_eq(b.n, 5, "nothing is put after the error");
        cr_assert_null(buf_extend(&b, 1));
        cr_assert_eq(buf_reserve(&b, 0), -EFBIG);
        cr_assert_null(buf_steal_str(&b));
        buf_reset(&b);
        buf_put_str(&b, "abcde");
        cr_assert_eq(b.error, 0);
        cr_assert(slice_eq_str(buf_slice(&b), "abcde"));
}

Test(buf, limit_holds_although_there_is_room) {
        _cleanup_(buf_deinit) Buf b = {.limit = 40};
        buf_put_str(&b, "0123456789");
        buf_printf(&b, "%s", "0123456789012345678901234567890");
        cr_assert_eq(b.error, -EFBIG);
        cr_assert_eq(b.n, 10);
}

Test(buf, absurd_sizes_are_refused) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_char(&b, 'x');
        cr_assert_eq(buf_reserve(&b, SIZE_MAX), -EFBIG);
        buf_reset(&b);
        cr_assert_eq(buf_reserve(&b, SIZE_MAX / 2), -ENOMEM);
        cr_assert_null(buf_extend(&b, 1), "-ENOMEM is sticky");
}

Test(buf, printf_of_any_length) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_printf(&b, "%s-%d|", "a", 1);
        for (int n = 0; n < 300; n++)
                buf_printf(&b, "%*d", n, n);
        cr_assert_eq(b.error, 0);
        size_t n = 4;
        for (int i = 0; i < 300; i++)
                n += (size_t)snprintf(NULL, 0, "%*d", i, i);
        cr_assert_eq(b.n, n);
        cr_assert(slice_starts_with(buf_slice(&b), SLICE("a-1|0")));
}

Test(buf, decimals) {
        const int64_t numbers[] = {0,   1,    -1,         9,         10,        99,
                                   100, -100, 1234567890, INT64_MAX, INT64_MIN, INT64_MIN + 1};
        for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
                _cleanup_(buf_deinit) Buf b = {0};
                char text[32];
                buf_put_decimal(&b, numbers[i]);
                snprintf(text, sizeof(text), "%lld", (long long)numbers[i]);
                cr_assert(slice_eq_str(buf_slice(&b), text), "%s", text);
        }
}

Test(buf, integers_are_big_endian_and_read_back) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_u8(&b, 0xfe);
        buf_put_u16(&b, 0x0102);
        buf_put_u32(&b, 0x03040506);
        buf_put_u64(&b, 0x0708090a0b0c0d0eULL);
        cr_assert_eq(b.n, 15);
        cr_assert_arr_eq(b.data, "\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", 15);
        Reader r = reader_from_slice(buf_slice(&b));
        cr_assert_eq(reader_u8(&r), 0xfe);
        cr_assert_eq(reader_u16(&r), 0x0102);
        cr_assert_eq(reader_u32(&r), 0x03040506);
        cr_assert_eq(reader_u64(&r), 0x0708090a0b0c0d0eULL);
        cr_assert_eq(reader_left(&r), 0);
        cr_assert_not(r.failed);
}

Test(buf, varints_read_back) {
        for (int bits = 0; bits < 64; bits++) {
                for (int64_t d = -1; d <= 1; d++) {
                        _cleanup_(buf_deinit) Buf b = {0};
                        uint64_t v = (1ULL << bits) + (uint64_t)d;
                        buf_put_varint(&b, v);
                        Reader r = reader_from_slice(buf_slice(&b));
                        cr_assert_eq(reader_varint(&r), v);
                        cr_assert_not(r.failed);
                        cr_assert_eq(reader_left(&r), 0);
                }
        }
}

static bool varint_fails(Slice s) {
        Reader r = reader_from_slice(s);
        return reader_varint(&r) == 0 && r.failed;
}

Test(buf, malformed_varints_fail) {
        cr_assert(varint_fails(SLICE_NULL));
        cr_assert(varint_fails(SLICE("\x80")), "cut off");
        cr_assert(varint_fails(SLICE("\x80\x00")), "longer than needed");
        cr_assert(varint_fails(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")), "65 bits");
        cr_assert(varint_fails(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "11 bytes");
        cr_assert_not(varint_fails(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "UINT64_MAX");
}

Test(buf, reader_failure_is_sticky) {
        Reader r = reader_from_slice(SLICE("\x05xy"));
        Slice s = reader_bytes(&r);
        cr_assert(r.failed, "five bytes are promised, two are there");
        cr_assert_eq(s.n, 0);
        cr_assert_eq(reader_left(&r), 0);
        cr_assert_eq(reader_u8(&r), 0);
        cr_assert_eq(reader_take(&r, 0).n, 0);
        cr_assert(r.failed);
        r = reader_from_slice(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zz"));
        cr_assert_eq(reader_bytes(&r).n, 0);
        cr_assert(r.failed);
}

Test(buf, bytes_read_back_borrowed) {
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_bytes(&b, SLICE("hello"));
        buf_put_bytes(&b, SLICE_NULL);
        buf_put_bytes(&b, SLICE("a\0b"));
        Reader r = reader_from_slice(buf_slice(&b));
        Slice first = reader_bytes(&r);
        cr_assert(slice_eq_str(first, "hello"));
        cr_assert_eq(first.data, b.data + 1);
        cr_assert_eq(reader_bytes(&r).n, 0);
        cr_assert(slice_eq(reader_bytes(&r), SLICE("a\0b")));
        cr_assert_not(r.failed);
}

Test(buf, steal_leaves_an_empty_buffer_with_its_limit) {
        _cleanup_(buf_deinit) Buf b = {.limit = 10};
        buf_put_str(&b, "0123456789");
        char *s = buf_steal_str(&b);
        cr_assert_str_eq(s, "0123456789");
        free(s);
        cr_assert_eq(b.n, 0);
        cr_assert_null(b.data);
        buf_put_str(&b, "0123456789x");
        cr_assert_eq(b.error, -EFBIG);
}
