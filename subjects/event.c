/*
 * External events: `<prefix>.<tenant>.event.<user>.<eventType…>`
 *
 * The type may hold dots, each of its tokens may hold escapes. Whether an event is awaited, comes early, or
 * was seen before is decided by the writer.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/call.h"

/** The event type: the tokens behind the user, decoded, with dots between. */
static void take_type(Call *c) {
        _cleanup_(buf_deinit) Buf type = {0};
        for (size_t i = 0; i < c->parts->n_tokens; i++) {
                Slice token = SLICE_NULL;
                call_get_token(c, i, "event type", &token);
                if (i > 0)
                        buf_put_char(&type, '.');
                buf_put_slice(&type, token);
        }
        if (type.error)
                c->error = -ENOMEM;
        if (call_failed(c))
                return;
        if (type.n == 0 || type.n > LIMIT_EVENT_TYPE_BYTES) {
                report_set(&c->report, RUNBOOK_INVALID_REQUEST,
                           "the event type in the subject must be 1 to %d bytes long",
                           LIMIT_EVENT_TYPE_BYTES);
                return;
        }
        c->request->event_type = arena_dup(&c->request->arena, buf_slice(&type));
        if (!c->request->event_type.data)
                c->error = -ENOMEM;
}

void event_handle(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                  Answer *answer) {
        Call c;
        call_begin(&c, s, parts, m, default_command_id, REQUEST_EVENT);
        if (!call_failed(&c))
                take_type(&c);
        call_parse_body(&c, BODY_BYTES_MAX);
        if (json_is_object(c.body) && !c.error) {
                Request *r = c.request;
                call_get_string(&c, &c.at, "correlationId", LIMIT_NAMED(LIMIT_CORRELATION_BYTES),
                                &r->correlation);
                if (call_get_string(&c, &c.at, "eventId", LIMIT_NAMED(LIMIT_COMMAND_ID_BYTES),
                                    &r->event_id) &&
                    r->event_id.n == 0) {
                        JsonAt at = json_at_key(&c.at, "eventId");
                        json_at_error(&at, "must not be empty");
                }
                call_get_value(&c, &c.at, "payload", LIMIT_NAMED(LIMIT_VALUE_BYTES), &r->input.value);
        }
        call_digest(&c, "event");
        call_finish(&c, answer);
}
