/*
 * Trace context
 *
 * Ids of spans are hashes of what they stand for (execution and step instance), so a restart, a replay and a
 * second exporter all name the same span the same way, and nothing about tracing has to be stored but the
 * traceparent that an execution was started with.
 */
#include "base/map.h"
#include "model/trace.h"

/** Lower case only: the specification has no other. */
static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, size_t n, uint8_t *ret) {
        for (size_t i = 0; i < n; i++) {
                int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
                if (high < 0 || low < 0)
                        return false;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

static bool is_zero(const uint8_t *bytes, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (bytes[i])
                        return false;
        return true;
}

bool trace_parse(Slice s, TraceContext *ret) {
        TraceContext t;
        uint8_t version;

        if (s.n != TRACEPARENT_SIZE || s.data[2] != '-' || s.data[35] != '-' || s.data[52] != '-')
                return false;
        if (!parse_hex(s.data, 1, &version) || !parse_hex(s.data + 3, 16, t.trace_id) ||
            !parse_hex(s.data + 36, 8, t.parent_id) || !parse_hex(s.data + 53, 1, &t.flags))
                return false;
        if (version != 0 || is_zero(t.trace_id, 16) || is_zero(t.parent_id, 8))
                return false;
        *ret = t;
        return true;
}

TraceContext trace_of_execution(Uuid id, Slice traceparent) {
        TraceContext t;

        if (!trace_parse(traceparent, &t)) {
                t = (TraceContext){.flags = 1};
                memcpy(t.trace_id, id.bytes, sizeof(t.trace_id));
        }
        return t;
}

void trace_span_id(Uuid id, uint32_t instance, uint8_t ret[8]) {
        static const uint64_t key[2] = {0x74726163652d6964u, 0x7370616e2d6f6621u};
        uint8_t bytes[20];

        memcpy(bytes, id.bytes, 16);
        for (int i = 0; i < 4; i++)
                bytes[16 + i] = (uint8_t)(instance >> (24 - 8 * i));
        uint64_t h = map_hash(key, slice_from_bytes(bytes, sizeof(bytes)));
        if (h == 0)
                h = 1; /* a span id of zeros is none */
        for (int i = 0; i < 8; i++)
                ret[i] = (uint8_t)(h >> (56 - 8 * i));
}

void trace_put_hex(const uint8_t *bytes, size_t n, char *ret) {
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < n; i++) {
                ret[2 * i] = digits[bytes[i] >> 4];
                ret[2 * i + 1] = digits[bytes[i] & 15];
        }
        ret[2 * n] = '\0';
}

void trace_put_step(Uuid id, Slice traceparent, uint32_t instance, char ret[TRACEPARENT_SIZE + 1]) {
        TraceContext t = trace_of_execution(id, traceparent);

        trace_span_id(id, instance, t.parent_id);
        memcpy(ret, "00-", 3);
        trace_put_hex(t.trace_id, 16, ret + 3);
        ret[35] = '-';
        trace_put_hex(t.parent_id, 8, ret + 36);
        ret[52] = '-';
        trace_put_hex(&t.flags, 1, ret + 53);
}
