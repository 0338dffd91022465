/*
 * Inputs as journal records: a version, the kind, a mask of what is there, then the fields in a fixed order.
 * A start is not journaled: the execution's static record says the same.
 */

#include <assert.h>

#include "base/cleanup.h"
#include "model/codec.h"
#include "model/execution.h"
#include "model/input.h"

#define INPUT_RECORD_VERSION 1

enum {
        INPUT_OK = 1 << 0,
        INPUT_FLAG = 1 << 1,
        INPUT_COMMAND_ID = 1 << 2,
        INPUT_TRACEPARENT = 1 << 3,
        INPUT_INSTANCE = 1 << 4, /* and attempt */
        INPUT_SLOT = 1 << 5,
        INPUT_DECISION = 1 << 6,
        INPUT_AT = 1 << 7,
        INPUT_RETRY_AFTER = 1 << 8,
        INPUT_NUMBER = 1 << 9,
        INPUT_PATH = 1 << 10,
        INPUT_TEXT = 1 << 11,
        INPUT_HASH = 1 << 12,
        INPUT_VALUE = 1 << 13,
        INPUT_ERROR = 1 << 14,
        INPUT_LOGS = 1 << 15,
        INPUT_EVIDENCE = 1 << 16,
        INPUT_CONTEXT = 1 << 17,
        INPUT_ALL = (1 << 18) - 1
};

static uint64_t bits_from_double(double v) {
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        return bits;
}

static uint32_t input_mask(const Input *in) {
        return (uint32_t)((in->ok ? INPUT_OK : 0) | (in->flag ? INPUT_FLAG : 0) |
                          (in->command_id.n ? INPUT_COMMAND_ID : 0) |
                          (in->traceparent.n ? INPUT_TRACEPARENT : 0) |
                          (in->instance || in->attempt ? INPUT_INSTANCE : 0) | (in->slot ? INPUT_SLOT : 0) |
                          (in->decision ? INPUT_DECISION : 0) | (in->at_ms ? INPUT_AT : 0) |
                          (in->retry_after_ms ? INPUT_RETRY_AFTER : 0) |
                          (bits_from_double(in->number) ? INPUT_NUMBER : 0) | (in->path.n ? INPUT_PATH : 0) |
                          (in->text.n ? INPUT_TEXT : 0) | (in->hash.n ? INPUT_HASH : 0) |
                          (in->value ? INPUT_VALUE : 0) | (in->error ? INPUT_ERROR : 0) |
                          (in->logs ? INPUT_LOGS : 0) | (in->evidence ? INPUT_EVIDENCE : 0) |
                          (in->context ? INPUT_CONTEXT : 0));
}

int input_encode(const Input *in, Buf *b) {
        uint32_t mask = input_mask(in);
        const Slice texts[] = {in->path, in->text, in->hash};
        Value *const values[] = {in->value, in->error, in->logs, in->evidence, in->context};

        assert(in->kind > INPUT_START && in->kind < N_INPUT_KINDS);
        buf_put_u8(b, INPUT_RECORD_VERSION);
        buf_put_u8(b, (uint8_t)in->kind);
        buf_put_varint(b, mask);
        codec_put_signed(b, in->now_ms);
        buf_put_u64(b, in->seed);
        codec_put_uuid(b, &in->execution_id);
        buf_put_bytes(b, in->tenant);
        buf_put_bytes(b, in->user);
        if (mask & INPUT_COMMAND_ID)
                buf_put_bytes(b, in->command_id);
        if (mask & INPUT_TRACEPARENT)
                buf_put_bytes(b, in->traceparent);
        if (mask & INPUT_INSTANCE) {
                codec_put_index(b, in->instance);
                buf_put_varint(b, in->attempt);
        }
        if (mask & INPUT_SLOT)
                buf_put_u8(b, in->slot);
        if (mask & INPUT_DECISION)
                buf_put_u8(b, in->decision);
        if (mask & INPUT_AT)
                codec_put_signed(b, in->at_ms);
        if (mask & INPUT_RETRY_AFTER)
                codec_put_signed(b, in->retry_after_ms);
        if (mask & INPUT_NUMBER)
                buf_put_u64(b, bits_from_double(in->number));
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                if (mask & (uint32_t)INPUT_PATH << i)
                        buf_put_bytes(b, texts[i]);
        for (size_t i = 0; i < N_ELEMENTS(values); i++)
                if (mask & (uint32_t)INPUT_VALUE << i)
                        codec_put_value(b, values[i]);
        return b->error;
}

static int take_body(Reader *r, uint32_t mask, Input *in) {
        Slice *const texts[] = {&in->path, &in->text, &in->hash};
        Value **const values[] = {&in->value, &in->error, &in->logs, &in->evidence, &in->context};
        int e = 0;

        in->now_ms = codec_signed(r);
        in->seed = reader_u64(r);
        in->execution_id = codec_uuid(r);
        in->tenant = reader_bytes(r);
        in->user = reader_bytes(r);
        in->command_id = mask & INPUT_COMMAND_ID ? reader_bytes(r) : SLICE_NULL;
        in->traceparent = mask & INPUT_TRACEPARENT ? reader_bytes(r) : SLICE_NULL;
        in->instance = mask & INPUT_INSTANCE ? codec_index(r) : 0;
        in->attempt = mask & INPUT_INSTANCE ? codec_u32(r) : 0;
        in->slot = mask & INPUT_SLOT ? reader_u8(r) : 0;
        in->decision = mask & INPUT_DECISION ? reader_u8(r) : 0;
        in->at_ms = mask & INPUT_AT ? codec_signed(r) : 0;
        in->retry_after_ms = mask & INPUT_RETRY_AFTER ? codec_signed(r) : 0;
        uint64_t bits = mask & INPUT_NUMBER ? reader_u64(r) : 0;
        memcpy(&in->number, &bits, sizeof(bits));
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                *texts[i] = mask & (uint32_t)INPUT_PATH << i ? reader_bytes(r) : SLICE_NULL;
        for (size_t i = 0; i < N_ELEMENTS(values) && e == 0; i++)
                if (mask & (uint32_t)INPUT_VALUE << i)
                        e = codec_value(r, values[i]);
        return e;
}

int input_decode(Slice record, Input *ret) {
        Reader r = reader_from_slice(record);
        uint8_t version = reader_u8(&r), kind = reader_u8(&r);
        uint64_t mask = reader_varint(&r);

        *ret = (Input){0};
        if (r.failed || version != INPUT_RECORD_VERSION || kind <= INPUT_START || kind >= N_INPUT_KINDS ||
            (mask & ~(uint64_t)INPUT_ALL))
                return -EBADMSG;
        ret->kind = kind;
        ret->ok = mask & INPUT_OK;
        ret->flag = mask & INPUT_FLAG;
        int e = take_body(&r, (uint32_t)mask, ret);
        if (e == 0 && (r.failed || reader_left(&r) > 0 || input_mask(ret) != mask ||
                       ret->slot > TIMER_GLOBAL || ret->decision > VOTE_REJECTED))
                e = -EBADMSG;
        if (e < 0) {
                input_release(ret);
                *ret = (Input){0};
        }
        return e;
}

void input_release(Input *in) {
        Value **values[] = {&in->value, &in->error, &in->logs, &in->evidence, &in->context};

        for (size_t i = 0; i < N_ELEMENTS(values); i++) {
                value_unref(*values[i]);
                *values[i] = NULL;
        }
}
