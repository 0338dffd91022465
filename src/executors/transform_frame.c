/*
 * What helper processes say
 *
 * They run programs of strangers, so nothing they say is believed: frames have limits and an order, and what
 * they call JSON is read as a stranger's.
 */
#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "executors/transform_internal.h"
#include "json/json_read.h"

static_assert(JQ_DEPTH_MAX == JSON_DEPTH_MAX, "what a helper lets through must be readable");

static bool take_ready(TransformEngine *e, TransformChild *c, Slice payload) {
        JqReady ready;
        if (c->state != CHILD_STARTING || payload.n != sizeof(ready))
                return false;
        memcpy(&ready, payload.data, sizeof(ready));
        if (ready.version != JQ_PROTOCOL_VERSION)
                return false;
        if (!ready.has_seccomp && !e->has_warned) {
                e->has_warned = true;
                log_event(LOG_WARN,
                          "the kernel filters no system calls of the helper processes of transform steps; "
                          "their other limits hold",
                          NULL);
        }
        transform_child_started(e, c);
        return true;
}

static bool take_message(TransformChild *c, const char *level, const char *prefix, Slice text) {
        if (c->n_logs++ > JQ_MESSAGES_MAX ||
            /* the last one says that there were more */ text.n > JQ_TEXT_MAX + 8)
                return false;
        Buf message = {0};
        buf_put_str(&message, prefix);
        buf_put_slice(&message, text);
        JsonWriter w = {&c->logs, c->n_logs > 1};
        attempt_put_log(&w, level, buf_slice(&message), SLICE_NULL);
        buf_deinit(&message);
        return true;
}

/** 0, -EBADMSG: this can't come from an honest helper, -ENOMEM. */
static int take_output(TransformEngine *e, Slice text, TransformOutcome *o) {
        int r = http_json_canonical(&e->json, text);
        o->output = buf_slice(&e->json.text);
        if (r == 0 && o->output.n > LIMIT_VALUE_BYTES)
                o->code = "OUTPUT_TOO_LARGE";
        return r;
}

static int take_error(TransformEngine *e, Slice payload, TransformOutcome *o) {
        JqErrorHead head;
        if (payload.n < sizeof(head))
                return -EBADMSG;
        memcpy(&head, payload.data, sizeof(head));
        payload = (Slice){payload.data + sizeof(head), payload.n - sizeof(head)};
        if (head.n_message > payload.n)
                return -EBADMSG;
        o->code = "TRANSFORM_ERROR";
        o->message = (Slice){payload.data, head.n_message};
        Slice value = {payload.data + head.n_message, payload.n - head.n_message};
        if (value.n == 0)
                return 0;
        int r = http_json_canonical(&e->json, value);
        if (r < 0)
                return r;
        buf_reset(&e->aside);
        buf_put_str(&e->aside, "{\"value\":");
        buf_put_slice(&e->aside, buf_slice(&e->json.text));
        buf_put_char(&e->aside, '}');
        o->details = buf_slice(&e->aside);
        return e->aside.error;
}

static void set_message(TransformEngine *e, TransformOutcome *o, const char *prefix, Slice text) {
        buf_reset(&e->message);
        buf_put_str(&e->message, prefix);
        buf_put_slice(&e->message, slice_cut_utf8(text, JQ_TEXT_MAX));
        o->message = buf_slice(&e->message);
}

static bool take_answer(TransformEngine *e, TransformChild *c, JqFrameKind kind, Slice payload) {
        TransformOutcome o = {0};
        int r = 0;
        if (kind == JQ_FRAME_OUTPUT)
                r = take_output(e, payload, &o);
        else if (kind == JQ_FRAME_ERROR)
                r = take_error(e, payload, &o);
        else if (kind == JQ_FRAME_TOO_LARGE)
                o.code = "OUTPUT_TOO_LARGE";
        else if (kind == JQ_FRAME_COMPILE)
                o.code = "TRANSFORM_COMPILE";
        else if (kind == JQ_FRAME_INPUT)
                o.code = "INPUT_INVALID";
        else
                o.code = "OUTPUT_INVALID";
        if (r == -EBADMSG)
                return false;
        if (r < 0) {
                o = (TransformOutcome){.code = "OUT_OF_MEMORY", .retryable = true};
                set_message(e, &o, "there was not enough memory for the result", SLICE_NULL);
        } else if (kind == JQ_FRAME_COMPILE) {
                set_message(e, &o, "the jq program does not compile: ", payload);
        } else if (kind == JQ_FRAME_INPUT) {
                set_message(e, &o, "jq can't read the input: ", payload);
        } else if (kind == JQ_FRAME_UNFIT) {
                set_message(e, &o, "the result ", payload);
        } else if (o.code && kind != JQ_FRAME_ERROR) {
                buf_reset(&e->message);
                buf_printf(&e->message, "the result has more than the %d bytes allowed (LIMIT_VALUE_BYTES)",
                           LIMIT_VALUE_BYTES);
                o.message = buf_slice(&e->message);
        }
        transform_job_finish(e, c->job, &o);
        transform_child_answered(e, c);
        return true;
}

static bool take(TransformEngine *e, TransformChild *c, uint32_t kind, Slice payload) {
        bool is_asked = c->state == CHILD_BUSY &&
                        c->n_sent == sizeof(c->request) + c->request.n_program + c->request.n_input;
        if (kind == JQ_FRAME_READY)
                return take_ready(e, c, payload);
        if (!is_asked)
                return false;
        if (kind == JQ_FRAME_DEBUG)
                return take_message(c, "debug", "jq debug: ", payload);
        if (kind == JQ_FRAME_WARNING)
                return take_message(c, "warn", "", payload);
        if (kind >= JQ_FRAME_OUTPUT && kind <= JQ_FRAME_UNFIT)
                return take_answer(e, c, kind, payload);
        return false;
}

bool transform_frames_take(TransformEngine *e, TransformChild *c) {
        size_t at = 0;
        bool ok = true;
        JqFrameHead head;
        while (ok && c->fd >= 0 && c->in.n - at >= sizeof(head)) {
                memcpy(&head, c->in.data + at, sizeof(head));
                if (head.n > TRANSFORM_FRAME_MAX)
                        return false;
                if (c->in.n - at - sizeof(head) < head.n)
                        break;
                ok = take(e, c, head.kind, (Slice){c->in.data + at + sizeof(head), head.n});
                at += sizeof(head) + head.n;
        }
        if (at > 0 && at < c->in.n)
                memmove(c->in.data, c->in.data + at, c->in.n - at);
        c->in.n -= at;
        return ok;
}
