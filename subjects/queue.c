/*
 * The durable queue: `<prefix>.<tenant>.queue.<user>.<verb…>`, kept by the stream RUNBOOK_QUEUE
 *
 * The stream pushes its messages to us and keeps each until we acknowledge it; we do so once its result is
 * committed (or can't become another by delivering it again). What was not recorded is asked for again,
 * after a pause; what there is no room for is held back, so that it is in the way of nothing else (bus_queue.c).
 *
 * Identity. A stream's sequence numbers are no identity: after a power loss the server may hand out the
 * same ones again. A message without a command id of its own is known by (time it was stored in
 * nanoseconds, sequence): both are kept with the message, so they are equal at every delivery, and a later
 * message that gets an old sequence again has another time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "subjects/handler.h"

#define ACK_TOKENS      9 /* "$JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<consumer seq>.<time>.<pending>" */
#define ACK_TOKENS_LONG 11 /* with domain and account hash behind "ACK"; a random token may follow */

typedef struct QueueAnswer {
        Answer base;
        char *ack, *reply; /* behind this struct; reply NULL: none */
} QueueAnswer;

static void queue_give(Answer *base, RunbookCode code, Slice body, bool durable) {
        QueueAnswer *a = (QueueAnswer *)base;
        Subjects *s = base->subjects;
        if (!durable && (code == RUNBOOK_OVERLOADED || code == RUNBOOK_STORE_FULL))
                bus_queue_hold(s->bus, slice_from_str(a->ack));
        else
                bus_queue_ack(s->bus, slice_from_str(a->ack), durable);
        if (durable && a->reply)
                bus_reply(s->bus, slice_from_str(a->reply), code, body);
        if (runbook_code_http_status(code) ==
            400) /* nobody may be there to see it: the sender only waited for the stream */
                subjects_log_held(s, LOG_GATE_QUEUE, "a message of the durable queue was refused", body);
        endpoint_count(s, base->endpoint, base->since_ns, code, body);
        free(a);
}

static QueueAnswer *queue_answer_new(Subjects *s, Slice ack, Slice reply) {
        QueueAnswer *a = malloc(sizeof(*a) + ack.n + reply.n + 2);
        if (!a)
                return NULL;
        *a = (QueueAnswer){.base = {queue_give, s, ENDPOINT_QUEUE, monotonic_ns(), .is_patient = true},
                           .ack = (char *)(a + 1)};
        memcpy(a->ack, ack.data, ack.n);
        a->ack[ack.n] = 0;
        if (reply.n > 0) {
                a->reply = a->ack + ack.n + 1;
                memcpy(a->reply, reply.data, reply.n);
                a->reply[reply.n] = 0;
        }
        return a;
}

/** The tokens of an acknowledgement subject that follow the consumer's name: deliveries, seq, … */
static bool ack_split(Slice ack, Slice ret[4]) {
        Slice tokens[ACK_TOKENS_LONG + 2];
        size_t n = 0;
        if (!slice_starts_with(ack, SLICE("$JS.ACK.")))
                return false;
        for (size_t i = 0, start = 0; i <= ack.n && n < N_ELEMENTS(tokens); i++)
                if (i == ack.n || ack.data[i] == '.') {
                        tokens[n++] = (Slice){ack.data + start, i - start};
                        start = i + 1;
                }
        if (n != ACK_TOKENS && n < ACK_TOKENS_LONG)
                return false;
        memcpy(ret, &tokens[n == ACK_TOKENS ? 4 : 6], 4 * sizeof(Slice));
        return true;
}

uint64_t queue_deliveries(Slice ack) {
        Slice tokens[4];
        uint64_t n;
        return ack_split(ack, tokens) && slice_to_u64(tokens[0], &n) ? n : 0;
}

bool queue_identity(Slice ack, char *ret, size_t n_ret) {
        Slice tokens[4];
        uint64_t seq, stored_ns;
        if (!ack_split(ack, tokens) || !slice_to_u64(tokens[1], &seq) || !slice_to_u64(tokens[3], &stored_ns))
                return false;
        snprintf(ret, n_ret, "queue/%llu/%llu", (unsigned long long)stored_ns, (unsigned long long)seq);
        return true;
}

/** The subject under which the result is wanted, if we may publish there. */
static Slice reply_to(Subjects *s, const Message *m) {
        Slice subject = slice_from_str(message_header(m, "Runbook-Reply-To"));
        if (subject.n == 0 || subject_is_inbox(subject, s->settings->reply_prefixes))
                return subject;
        subjects_log_held(s, LOG_GATE_REPLY, "no result is sent to a subject that is not an inbox", subject);
        return SLICE_NULL;
}

void queue_handle(Subjects *s, const Message *m) {
        _cleanup_(report_deinit) Report report = {0};
        SubjectParts parts;
        char identity[64];

        if (!queue_identity(m->reply, identity, sizeof(identity))) {
                /* not from the stream: somebody published to the consumer's own subject */
                subjects_log_held(s, LOG_GATE_STRAY, "a message that is not of the durable queue was ignored",
                                  m->subject);
                return;
        }
        QueueAnswer *answer = queue_answer_new(s, m->reply, reply_to(s, m));
        if (!answer) {
                bus_queue_ack(s->bus, m->reply, false);
                return;
        }
        subject_split(m->subject, s->prefix, &parts, &report);
        if (report.code == RUNBOOK_OK && !slice_eq_str(parts.family, "queue"))
                report_set(&report, RUNBOOK_INVALID_REQUEST, "the subject is not one of the durable queue");
        if (report_is_error(&report)) {
                answer_refuse(&answer->base, &report);
                return;
        }
        if (parts.n_tokens > 0 && slice_eq_str(parts.tokens[0], "event")) {
                parts.n_tokens--;
                memmove(parts.tokens, parts.tokens + 1, parts.n_tokens * sizeof(parts.tokens[0]));
                parts.rest = parts.rest.n > 6 ? (Slice){parts.rest.data + 6, parts.rest.n - 6} : SLICE_NULL;
                event_handle(s, &parts, m, slice_from_str(identity), &answer->base);
        } else {
                cmd_handle(s, &parts, m, slice_from_str(identity), &answer->base);
        }
}
