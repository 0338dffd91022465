/*
 * gRPC over HTTP/2, the part of it that unary calls need (gRPC's PROTOCOL-HTTP2)
 *
 * A message travels in a frame: a flag (compressed or not), its length in four bytes, itself. The outcome is in the
 * trailers: grpc-status, grpc-message, and a google.rpc.Status in grpc-status-details-bin. Of that message only the
 * little is read here that decides about the next attempt; its encoding is protobuf's: tags and lengths.
 */
#include <stdio.h>
#include <string.h>

#include "executors/grpc_wire.h"

/* ---- statuses ------------------------------------------------------------------------------------------ */

static const struct {
        const char *name;
        bool retryable, servers;
} statuses[GRPC_N_STATUSES] = {
                [GRPC_OK] = {"OK", false, false},
                [GRPC_CANCELLED] = {"CANCELLED", false, false},
                [GRPC_UNKNOWN] = {"UNKNOWN", false, true},
                [GRPC_INVALID_ARGUMENT] = {"INVALID_ARGUMENT", false, false},
                [GRPC_DEADLINE_EXCEEDED] = {"DEADLINE_EXCEEDED", true, true},
                [GRPC_NOT_FOUND] = {"NOT_FOUND", false, false},
                [GRPC_ALREADY_EXISTS] = {"ALREADY_EXISTS", false, false},
                [GRPC_PERMISSION_DENIED] = {"PERMISSION_DENIED", false, false},
                [GRPC_RESOURCE_EXHAUSTED] = {"RESOURCE_EXHAUSTED", true, false},
                [GRPC_FAILED_PRECONDITION] = {"FAILED_PRECONDITION", false, false},
                [GRPC_ABORTED] = {"ABORTED", true, false},
                [GRPC_OUT_OF_RANGE] = {"OUT_OF_RANGE", false, false},
                [GRPC_UNIMPLEMENTED] = {"UNIMPLEMENTED", false, false},
                [GRPC_INTERNAL] = {"INTERNAL", false, true},
                [GRPC_UNAVAILABLE] = {"UNAVAILABLE", true, true},
                [GRPC_DATA_LOSS] = {"DATA_LOSS", false, true},
                [GRPC_UNAUTHENTICATED] = {"UNAUTHENTICATED", false, false},
};

const char *grpc_status_name(GrpcStatus status) { return statuses[status].name; }
bool grpc_status_is_retryable(GrpcStatus status) { return statuses[status].retryable; }
bool grpc_status_is_servers(GrpcStatus status) { return statuses[status].servers; }

bool grpc_status_parse(Slice text, GrpcStatus *ret) {
        uint64_t code;
        if (!slice_to_u64(text, &code))
                return false;
        *ret = code < GRPC_N_STATUSES ? (GrpcStatus)code : GRPC_UNKNOWN;
        return true;
}

GrpcStatus grpc_status_of_http(unsigned http_status) {
        switch (http_status) {
        case 400:
                return GRPC_INTERNAL;
        case 401:
                return GRPC_UNAUTHENTICATED;
        case 403:
                return GRPC_PERMISSION_DENIED;
        case 404:
                return GRPC_UNIMPLEMENTED;
        case 429:
        case 502:
        case 503:
        case 504:
                return GRPC_UNAVAILABLE;
        default:
                return GRPC_UNKNOWN;
        }
}

/* ---- frames -------------------------------------------------------------------------------------------- */

void grpc_frame_put(Buf *b, Slice message) {
        buf_put_u8(b, 0);
        buf_put_u32(b, (uint32_t)message.n);
        buf_put_slice(b, message);
}

void grpc_frame_set_size(char *head, uint32_t n) {
        for (int i = 0; i < 4; i++)
                head[1 + i] = (char)(n >> (24 - 8 * i));
}

const char *grpc_frame_read(Slice body, Slice *ret_message) {
        Reader r = reader_from_slice(body);
        uint8_t flag = reader_u8(&r);
        uint32_t n = reader_u32(&r);
        if (r.failed)
                return "no message came";
        if (flag & 1)
                return "the message is compressed, which was not asked for";
        if (flag != 0)
                return "the message's frame is not gRPC's";
        if (n > reader_left(&r))
                return "the message is shorter than its frame says";
        if (n < reader_left(&r))
                return "more than one message came";
        *ret_message = reader_take(&r, n);
        return NULL;
}

/* ---- headers and trailers ------------------------------------------------------------------------------ */

void grpc_timeout_format(int64_t ms, char ret[GRPC_TIMEOUT_TEXT]) {
        static const struct {
                char letter;
                int64_t ms;
        } units[] = {{'m', 1}, {'S', 1000}, {'M', 60000}, {'H', 3600000}};
        size_t i = 0;
        int64_t n = ms > 0 ? ms : 1;
        for (; i + 1 < sizeof(units) / sizeof(units[0]) && n > 99999999;)
                n = ms / units[i + 1].ms + (ms % units[i + 1].ms > 0), i++;
        snprintf(ret, GRPC_TIMEOUT_TEXT, "%lld%c", (long long)(n > 99999999 ? 99999999 : n), units[i].letter);
}

int64_t grpc_pushback_ms(Slice text, int64_t max_ms) {
        uint64_t ms;
        if (!slice_to_u64(text, &ms))
                return -1;
        return ms > (uint64_t)max_ms ? max_ms : (int64_t)ms;
}

void grpc_message_put(Buf *b, Slice text) {
        for (size_t i = 0; i < text.n; i++) {
                int byte = slice_percent_byte((Slice){text.data + i, text.n - i});
                buf_put_char(b, byte >= 0 ? (char)byte : text.data[i]);
                i += byte >= 0 ? 2 : 0;
        }
}

/* ---- google.rpc.Status --------------------------------------------------------------------------------- */

enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };

/** One field of a message. */
typedef struct Field {
        uint64_t number, value;
        Slice bytes;
        unsigned wire;
} Field;

/** At most ten bytes. Not reader_varint: that one takes the shortest form only, protobuf's may be longer. */
static uint64_t varint(Reader *r) {
        uint64_t v = 0;
        for (unsigned shift = 0; shift < 70; shift += 7) {
                uint8_t byte = reader_u8(r);
                v |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80))
                        return v;
        }
        r->failed = true;
        return 0;
}

/** False: the end, or (r->failed) no field of protobuf's. */
static bool next_field(Reader *r, Field *ret) {
        if (reader_left(r) == 0)
                return false;
        *ret = (Field){0};
        uint64_t tag = varint(r);
        ret->number = tag >> 3;
        ret->wire = tag & 7;
        if (ret->wire == WIRE_VARINT || ret->wire == WIRE_BYTES)
                ret->value = varint(r);
        switch (ret->wire) {
        case WIRE_VARINT:
                break;
        case WIRE_FIXED64:
                reader_take(r, 8);
                break;
        case WIRE_BYTES:
                ret->bytes = reader_take(r, (size_t)ret->value);
                break;
        case WIRE_FIXED32:
                reader_take(r, 4);
                break;
        default:
                r->failed = true; /* groups: none of these messages has any */
        }
        return !r->failed;
}

bool grpc_details_read(Slice status, GrpcDetail ret[GRPC_DETAILS_MAX], size_t *ret_n) {
        enum { DETAILS = 3, TYPE_URL = 1, VALUE = 2 };
        Reader r = reader_from_slice(status);
        Field f, inner;
        *ret_n = 0;
        while (next_field(&r, &f)) {
                if (f.number != DETAILS || f.wire != WIRE_BYTES || *ret_n == GRPC_DETAILS_MAX)
                        continue;
                GrpcDetail *detail = &ret[(*ret_n)++];
                Reader any = reader_from_slice(f.bytes);
                *detail = (GrpcDetail){0};
                while (next_field(&any, &inner)) {
                        if (inner.number == TYPE_URL && inner.wire == WIRE_BYTES)
                                detail->type_url = inner.bytes;
                        else if (inner.number == VALUE && inner.wire == WIRE_BYTES)
                                detail->value = inner.bytes;
                }
                if (any.failed)
                        return false;
        }
        return !r.failed;
}

int64_t grpc_retry_info_ms(const GrpcDetail *detail, int64_t max_ms) {
        enum { RETRY_DELAY = 1, SECONDS = 1, NANOS = 2 };
        if (!slice_ends_with(detail->type_url, SLICE("/google.rpc.RetryInfo")))
                return 0;
        Reader r = reader_from_slice(detail->value);
        uint64_t seconds = 0, nanos = 0;
        for (Field f; next_field(&r, &f);) {
                if (f.number != RETRY_DELAY || f.wire != WIRE_BYTES)
                        continue;
                Reader duration = reader_from_slice(f.bytes);
                for (Field part; next_field(&duration, &part);) {
                        if (part.wire != WIRE_VARINT)
                                continue;
                        if (part.number == SECONDS)
                                seconds = part.value;
                        else if (part.number == NANOS)
                                nanos = part.value;
                }
                r.failed |= duration.failed;
        }
        /* Negative numbers are very large ones here. */
        if (r.failed || seconds > INT64_MAX || nanos > 999999999)
                return 0;
        uint64_t ms_max = (uint64_t)max_ms;
        uint64_t ms = seconds > ms_max / 1000 ? ms_max : seconds * 1000 + nanos / 1000000;
        return (int64_t)(ms < ms_max ? ms : ms_max);
}
