/* JSON and protobuf, with descriptors made by hand, good ones and such as only a foe makes. */
#include <errno.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "executors/grpc_codec.h"

TestSuite(grpc_codec, .fini = check_leaks);

/* ---- descriptors by hand ------------------------------------------------------------------------------- */

/* Numbers of fields in google/protobuf/descriptor.proto. */
enum { SET_FILE = 1 };
enum {
        FILE_NAME = 1,
        FILE_PACKAGE = 2,
        FILE_IMPORT = 3,
        FILE_MESSAGE = 4,
        FILE_SERVICE = 6,
        FILE_SYNTAX = 12
};
enum { MESSAGE_NAME = 1, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_EXTENSION_RANGE = 5 };
enum { FIELD_NAME = 1, FIELD_NUMBER = 3, FIELD_LABEL = 4, FIELD_TYPE = 5, FIELD_TYPE_NAME = 6 };
enum { SERVICE_NAME = 1, SERVICE_METHOD = 2 };
enum { METHOD_NAME = 1, METHOD_INPUT = 2, METHOD_OUTPUT = 3, METHOD_SERVER_STREAMING = 6 };
enum { OPTIONAL = 1, REPEATED = 3 };
enum { TYPE_INT64 = 3, TYPE_INT32 = 5, TYPE_BOOL = 8, TYPE_STRING = 9, TYPE_GROUP = 10, TYPE_MESSAGE = 11 };

static void put_number(Buf *b, uint32_t field, uint64_t n) {
        buf_put_varint(b, field << 3);
        buf_put_varint(b, n);
}

static void put_bytes(Buf *b, uint32_t field, Slice bytes) {
        buf_put_varint(b, field << 3 | 2);
        buf_put_bytes(b, bytes);
}

static void put_text(Buf *b, uint32_t field, const char *text) { put_bytes(b, field, slice_from_str(text)); }

static void put_inner(Buf *b, uint32_t field, Buf *inner) {
        put_bytes(b, field, buf_slice(inner));
        buf_reset(inner);
}

static void put_field(Buf *message, const char *name, uint32_t number, int label, int type,
                      const char *type_name) {
        _cleanup_(buf_deinit) Buf f = {0};
        put_text(&f, FIELD_NAME, name);
        put_number(&f, FIELD_NUMBER, number);
        put_number(&f, FIELD_LABEL, (uint64_t)label);
        put_number(&f, FIELD_TYPE, (uint64_t)type);
        if (type_name)
                put_text(&f, FIELD_TYPE_NAME, type_name);
        put_inner(message, MESSAGE_FIELD, &f);
}

static void put_method(Buf *service, const char *name, bool streams) {
        _cleanup_(buf_deinit) Buf m = {0};
        put_text(&m, METHOD_NAME, name);
        put_text(&m, METHOD_INPUT, ".t.Thing");
        put_text(&m, METHOD_OUTPUT, ".t.Thing");
        if (streams)
                put_number(&m, METHOD_SERVER_STREAMING, 1);
        put_inner(service, SERVICE_METHOD, &m);
}

/** Name, package t, proto3. */
static void begin_file(Buf *file, const char *name) {
        put_text(file, FILE_NAME, name);
        put_text(file, FILE_PACKAGE, "t");
        put_text(file, FILE_SYNTAX, "proto3");
}

/** message Thing { string name = 1; int64 n = 2; repeated Thing things = 3; repeated bool flags = 4; Any any = 5; } */
static void make_good(Buf *set) {
        _cleanup_(buf_deinit) Buf file = {0}, message = {0}, service = {0};
        begin_file(&file, "t.proto");
        put_text(&file, FILE_IMPORT, "google/protobuf/any.proto");
        put_text(&message, MESSAGE_NAME, "Thing");
        put_field(&message, "name", 1, OPTIONAL, TYPE_STRING, NULL);
        put_field(&message, "n", 2, OPTIONAL, TYPE_INT64, NULL);
        put_field(&message, "things", 3, REPEATED, TYPE_MESSAGE, ".t.Thing");
        put_field(&message, "flags", 4, REPEATED, TYPE_BOOL, NULL);
        put_field(&message, "any", 5, OPTIONAL, TYPE_MESSAGE, ".google.protobuf.Any");
        put_inner(&file, FILE_MESSAGE, &message);
        put_text(&service, SERVICE_NAME, "S");
        put_method(&service, "Do", false);
        put_method(&service, "Watch", true);
        put_inner(&file, FILE_SERVICE, &service);
        put_inner(set, SET_FILE, &file);
}

static GrpcCodec *compile(const Buf *set) {
        char fault[GRPC_FAULT_MAX];
        GrpcCodec *codec = NULL;
        int r = grpc_codec_new(set->data, set->n, fault, &codec);
        cr_assert_eq(r, 0, "%s", fault);
        return codec;
}

static void codec_free(GrpcCodec **codec) { grpc_codec_free(*codec); }
#define _cleanup_codec_ _cleanup_(codec_free)

static GrpcCodec *good_codec(const GrpcMethod **ret_method) {
        _cleanup_(buf_deinit) Buf set = {0};
        char fault[GRPC_FAULT_MAX];
        GrpcMissing missing;
        make_good(&set);
        GrpcCodec *codec = compile(&set);
        cr_assert_eq(grpc_codec_find(codec, "t.S", "Do", fault, &missing, ret_method), 0, "%s", fault);
        return codec;
}

static void expect_no_set(const Buf *set, const char *part) {
        char fault[GRPC_FAULT_MAX];
        GrpcCodec *codec = NULL;
        cr_assert_eq(grpc_codec_new(set->data ? set->data : "", set->n, fault, &codec), -EINVAL);
        cr_assert(strstr(fault, part), "%s", fault);
        cr_assert_null(codec);
}

static void put_out(void *buf, const char *data, size_t n) { buf_put(buf, data, n); }

/* ---- finding ------------------------------------------------------------------------------------------- */

Test(grpc_codec, finds_methods) {
        const GrpcMethod *method;
        _cleanup_codec_ GrpcCodec *codec = good_codec(&method);
        char fault[GRPC_FAULT_MAX];
        GrpcMissing missing;
        cr_assert_not_null(method);
        static const struct {
                const char *service, *method;
                GrpcMissing missing;
                const char *part;
        } cases[] = {{"S", "Do", GRPC_MISSING_SERVICE, "it has t.S"},
                     {"t.S", "do", GRPC_MISSING_METHOD, "it has Do, Watch"},
                     {"t.S", "", GRPC_MISSING_METHOD, "no such method"},
                     {"t.Thing", "Do", GRPC_MISSING_SERVICE, "no such service"},
                     {"t.S", "Watch", GRPC_NOT_UNARY, "is a stream"}};
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                cr_assert_eq(grpc_codec_find(codec, cases[i].service, cases[i].method, fault, &missing,
                                             &method),
                             -EINVAL);
                cr_assert_eq(missing, cases[i].missing);
                cr_assert(strstr(fault, cases[i].part), "%s", fault);
        }
        cr_assert_eq(grpc_codec_find(codec, "t.S", NULL, fault, &missing, &method), 0);
        cr_assert_null(method);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void expect_encoded(const char *json, Slice wanted) {
        const GrpcMethod *method;
        _cleanup_codec_ GrpcCodec *codec = good_codec(&method);
        _cleanup_(buf_deinit) Buf b = {0};
        char fault[GRPC_FAULT_MAX];
        int r = grpc_codec_encode(codec, method, json, strlen(json), put_out, &b, fault);
        cr_assert_eq(r, 0, "%s: %s", json, fault);
        cr_assert(slice_eq(buf_slice(&b), wanted), "%s", json);
}

static void expect_not_encoded(Slice json, const char *part) {
        const GrpcMethod *method;
        _cleanup_codec_ GrpcCodec *codec = good_codec(&method);
        _cleanup_(buf_deinit) Buf b = {0};
        char fault[GRPC_FAULT_MAX];
        cr_assert_eq(grpc_codec_encode(codec, method, json.data, json.n, put_out, &b, fault), -EINVAL);
        cr_assert(strstr(fault, part), "%s", fault);
        cr_assert_eq(b.n, 0);
}

Test(grpc_codec, encodes) {
        expect_encoded("{}", SLICE_NULL);
        expect_encoded("{\"name\":\"x\",\"n\":\"5\"}", SLICE("\x0a\x01x\x10\x05"));
        expect_encoded("{\"things\":[{},{\"n\":1}]}", SLICE("\x1a\x00\x1a\x02\x10\x01"));
        expect_encoded("{\"name\":null}", SLICE_NULL);
}

Test(grpc_codec, what_is_no_request) {
        expect_not_encoded(SLICE("{\"nam\":1}"), "is not a t.Thing");
        expect_not_encoded(SLICE("{\"n\":\"x\"}"), "is not a t.Thing");
        expect_not_encoded(SLICE("{\"n\":99999999999999999999}"), "is not a t.Thing");
        expect_not_encoded(SLICE("[]"), "is not a t.Thing");
        expect_not_encoded(SLICE("{"), "is not a t.Thing");
        expect_not_encoded(SLICE("{\"any\":{\"@type\":\"x/t.None\"}}"), "is not a t.Thing");
        /* Depth: libprotobuf's own limit, met long before the stack's. */
        _cleanup_(buf_deinit) Buf deep = {0};
        for (int i = 0; i < 100000; i++)
                buf_put_str(&deep, "{\"things\":[");
        expect_not_encoded(buf_slice(&deep), "is not a t.Thing");
}

/* ---- answers ------------------------------------------------------------------------------------------- */

static int decode(Slice message, size_t max, Buf *ret, char fault[GRPC_FAULT_MAX]) {
        const GrpcMethod *method;
        _cleanup_codec_ GrpcCodec *codec = good_codec(&method);
        return grpc_codec_decode(codec, method, message.data ? message.data : "", message.n, max, put_out,
                                 ret, fault);
}

static void expect_decoded(Slice message, const char *json) {
        _cleanup_(buf_deinit) Buf b = {0};
        char fault[GRPC_FAULT_MAX];
        cr_assert_eq(decode(message, 1 << 20, &b, fault), 0, "%s", fault);
        cr_assert(slice_eq_str(buf_slice(&b), json), "%.*s", (int)b.n, b.data);
}

static void expect_not_decoded(Slice message, int error) {
        _cleanup_(buf_deinit) Buf b = {0};
        char fault[GRPC_FAULT_MAX];
        int r = decode(message, 1 << 20, &b, fault);
        cr_assert_eq(r, error, "%d %s %.*s", r, fault, (int)b.n, b.data);
        cr_assert(error == -EFBIG || *fault);
        cr_assert_eq(b.n, 0);
}

Test(grpc_codec, decodes_with_defaults) {
        expect_decoded(SLICE_NULL, "{\"name\":\"\",\"n\":\"0\",\"things\":[],\"flags\":[]}");
        expect_decoded(SLICE("\x0a\x02\xc3\xbc\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
                       "{\"name\":\"ü\",\"n\":\"-1\",\"things\":[],\"flags\":[]}");
        expect_decoded(SLICE("\x22\x02\x01\x00\x20\x01"),
                       "{\"name\":\"\",\"n\":\"0\",\"things\":[],\"flags\":[true,false,true]}");
        /* Fields that nobody knows are passed over. */
        expect_decoded(SLICE("\xfa\x01\x03xyz"), "{\"name\":\"\",\"n\":\"0\",\"things\":[],\"flags\":[]}");
}

Test(grpc_codec, answers_that_are_none) {
        expect_not_decoded(SLICE("\x0a"), -EINVAL);
        expect_not_decoded(SLICE("\x0a\x7f"), -EINVAL);
        expect_not_decoded(SLICE("\x0a\xff\xff\xff\xff\x0f"), -EINVAL);
        expect_not_decoded(SLICE("\x0a\x01\xff"), -EINVAL); /* not UTF-8 */
        expect_not_decoded(SLICE("\x1a\x02\x0a\x7f"), -EINVAL);
        expect_not_decoded(SLICE("\x0c"), -EINVAL);
        expect_not_decoded(SLICE("\x07"), -EINVAL);
        expect_not_decoded(SLICE("\x2a\x09\x0a\x03x/y\x12\x02\x08\x01"),
                           -EINVAL); /* an Any of nobody's type */
}

/** @n levels of things within things. */
static void put_nested(Buf *b, int n) {
        _cleanup_(buf_deinit) Buf inner = {0}, outer = {0};
        for (int i = 0; i < n; i++) {
                buf_reset(&outer);
                put_bytes(&outer, 3, buf_slice(&inner));
                buf_reset(&inner);
                buf_put_slice(&inner, buf_slice(&outer));
        }
        buf_put_slice(b, buf_slice(&inner));
}

Test(grpc_codec, deep_answers) {
        _cleanup_(buf_deinit) Buf fine = {0}, deep = {0}, out = {0};
        char fault[GRPC_FAULT_MAX];
        put_nested(&fine, 20);
        cr_assert_eq(decode(buf_slice(&fine), 1 << 20, &out, fault), 0, "%s", fault);
        put_nested(&deep, 5000);
        expect_not_decoded(buf_slice(&deep), -EINVAL);
}

Test(grpc_codec, answers_that_swell) {
        _cleanup_(buf_deinit) Buf b = {0}, out = {0};
        char fault[GRPC_FAULT_MAX];
        for (int i = 0; i < 300000; i++) /* each shows all its fields */
                buf_put(&b, "\x1a\x00", 2);
        expect_not_decoded(buf_slice(&b), -EFBIG);
        /* The text's own limit. */
        b.n = 2000;
        cr_assert_eq(decode(buf_slice(&b), 1000, &out, fault), -EFBIG);
        cr_assert_eq(out.n, 0);
        cr_assert_eq(decode(buf_slice(&b), 1 << 20, &out, fault), 0);
        buf_reset(&b);
        _cleanup_(buf_deinit) Buf flags = {0};
        for (int i = 0; i < 700000; i++) /* packed: a byte each, five as text */
                buf_put_char(&flags, 1);
        put_bytes(&b, 4, buf_slice(&flags));
        expect_not_decoded(buf_slice(&b), -EFBIG);
}

Test(grpc_codec, an_any_is_measured_too) {
        _cleanup_(buf_deinit) Buf things = {0}, any = {0}, b = {0};
        for (int i = 0; i < 300000; i++)
                buf_put(&things, "\x1a\x00", 2);
        put_text(&any, 1, "x/t.Thing");
        put_bytes(&any, 2, buf_slice(&things));
        put_bytes(&b, 5, buf_slice(&any));
        expect_not_decoded(buf_slice(&b), -EFBIG);
}

/* ---- descriptors of a foe ------------------------------------------------------------------------------ */

Test(grpc_codec, sets_that_are_none) {
        _cleanup_(buf_deinit) Buf b = {0}, file = {0}, message = {0};
        expect_no_set(&b, "no FileDescriptorSet");
        buf_put_str(&b, "no protobuf at all");
        expect_no_set(&b, "no FileDescriptorSet");

        buf_reset(&b);
        begin_file(&file, "a");
        put_text(&file, FILE_IMPORT, "b");
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "a imports b, which is not in the set");
        begin_file(&file, "b");
        put_text(&file, FILE_IMPORT, "a");
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "import each other");

        buf_reset(&b);
        for (int i = 0; i < 2; i++) {
                begin_file(&file, "a");
                put_inner(&b, SET_FILE, &file);
        }
        expect_no_set(&b, "two files called a");

        buf_reset(&b);
        begin_file(&file, "a");
        put_text(&message, MESSAGE_NAME, "M");
        put_field(&message, "f", 1, OPTIONAL, TYPE_MESSAGE, ".t.Nowhere");
        put_inner(&file, FILE_MESSAGE, &message);
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "Nowhere");
}

Test(grpc_codec, a_long_chain_of_imports) {
        _cleanup_(buf_deinit) Buf b = {0}, file = {0};
        for (int i = 0; i < 4000; i++) {
                char name[16], import[16];
                snprintf(name, sizeof(name), "f%05d", i);
                snprintf(import, sizeof(import), "f%05d", i + 1);
                put_text(&file, FILE_NAME, name);
                if (i < 3999)
                        put_text(&file, FILE_IMPORT, import);
                put_inner(&b, SET_FILE, &file);
        }
        _cleanup_codec_ GrpcCodec *codec = compile(&b);
        cr_assert_not_null(codec);
}

Test(grpc_codec, types_within_types) {
        _cleanup_(buf_deinit) Buf b = {0}, file = {0}, inner = {0}, outer = {0};
        for (int i = 0; i < 10000; i++) {
                buf_reset(&outer);
                put_text(&outer, MESSAGE_NAME, "M");
                if (i > 0)
                        put_bytes(&outer, MESSAGE_NESTED, buf_slice(&inner));
                buf_reset(&inner);
                buf_put_slice(&inner, buf_slice(&outer));
        }
        begin_file(&file, "a");
        put_inner(&file, FILE_MESSAGE, &inner);
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "no FileDescriptorSet");
}

Test(grpc_codec, ranges_that_are_all_compared) {
        _cleanup_(buf_deinit) Buf b = {0}, file = {0}, message = {0}, range = {0};
        put_text(&message, MESSAGE_NAME, "M");
        for (uint32_t i = 0; i < 50000; i++) {
                put_number(&range, 1, 2 * i + 1);
                put_number(&range, 2, 2 * i + 2);
                put_inner(&message, MESSAGE_EXTENSION_RANGE, &range);
        }
        put_text(&file, FILE_NAME, "a");
        put_inner(&file, FILE_MESSAGE, &message);
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "GRPC_RANGES_MAX");
}

Test(grpc_codec, names_without_end) {
        _cleanup_(buf_deinit) Buf b = {0}, file = {0}, message = {0};
        begin_file(&file, "a");
        for (int i = 0; i < 40000; i++) {
                char name[16];
                snprintf(name, sizeof(name), "M%d", i);
                put_text(&message, MESSAGE_NAME, name);
                put_inner(&file, FILE_MESSAGE, &message);
        }
        put_inner(&b, SET_FILE, &file);
        expect_no_set(&b, "GRPC_NAMES_MAX");
        buf_reset(&b);
        for (int i = 0; i < 200000; i++) /* empty files */
                buf_put(&b, "\x0a\x00", 2);
        expect_no_set(&b, "GRPC_NAMES_MAX");
}

Test(grpc_codec, no_byte_of_a_set_matters_too_much) {
        _cleanup_(buf_deinit) Buf good = {0};
        make_good(&good);
        for (size_t i = 0; i < good.n; i++) {
                for (int change = 1; change < 256; change += 37) {
                        char fault[GRPC_FAULT_MAX];
                        GrpcCodec *codec = NULL;
                        char before = good.data[i];
                        good.data[i] = (char)(before ^ change);
                        int r = grpc_codec_new(good.data, good.n, fault, &codec);
                        cr_assert(r == 0 ? codec != NULL : r == -EINVAL && *fault);
                        grpc_codec_free(codec);
                        good.data[i] = before;
                }
        }
}
