/*
 * From message to Request
 *
 * Decoding runs on the bus's threads, so that the writer gets checked data in the form in which it needs
 * it: strings in the request's arena, JSON as values whose both faces are made already. Every fault of a
 * body is noted with its JSON pointer before the request is refused, not just the first.
 */
#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "model/limits.h"
#include "subjects/call.h"

#define PATIENCE_PAUSE_US 5000
#define PATIENCE_MAX      1000 /* five seconds: within QUEUE_ACK_WAIT_MS */

/*
 * Members by which a body may say who speaks. They prove nothing, but what they say must be true (protocol:
 * who is asking).
 */
static const struct {
        const char *object, *key;
        bool is_tenant;
} identities[] = {
                {NULL, "approverId", false}, {NULL, "initiatedBy", false},      {NULL, "tenantId", true},
                {NULL, "userId", false},     {"context", "initiatedBy", false}, {"context", "tenantId", true},
};

static int note(Call *c, int r) {
        if (r == -ENOMEM && !c->error)
                c->error = r;
        return r;
}

static Slice keep(Call *c, Slice s) {
        Slice copy = arena_dup(&c->request->arena, s);
        if (!copy.data)
                note(c, -ENOMEM);
        return copy;
}

static void take_command_id(Call *c, Slice id, const char *where) {
        if (name_is_valid(id, LIMIT_COMMAND_ID_BYTES))
                c->request->input.command_id = keep(c, id);
        else
                report_set(&c->report, RUNBOOK_INVALID_REQUEST,
                           "the command id in %s must be 1 to %d bytes (LIMIT_COMMAND_ID_BYTES) of UTF-8 "
                           "without control "
                           "characters",
                           where, LIMIT_COMMAND_ID_BYTES);
}

void call_begin(Call *c, Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id,
                RequestKind kind) {
        *c = (Call){.subjects = s, .message = m, .parts = parts};
        c->request = request_new(kind);
        if (!c->request) {
                note(c, -ENOMEM);
                return;
        }
        Input *in = &c->request->input;
        if (note(c,
                 name_get_identity(parts->tenant, "tenant", &c->request->arena, &in->tenant, &c->report)) ||
            note(c, name_get_identity(parts->user, "user", &c->request->arena, &in->user, &c->report)))
                return;
        Slice id = slice_from_str(message_header(m, "Nats-Msg-Id"));
        if (id.n > 0)
                take_command_id(c, id, "header Nats-Msg-Id");
        else if (default_command_id.n > 0)
                in->command_id = keep(c, default_command_id);
        Slice trace = slice_from_str(message_header(m, "traceparent"));
        TraceContext ignored;
        if (trace_parse(trace, &ignored)) /* anything else is as if absent */
                in->traceparent = keep(c, trace);
}

static void check_identities(Call *c) {
        const Input *in = &c->request->input;
        for (size_t i = 0; i < N_ELEMENTS(identities); i++) {
                JsonAt object = identities[i].object ? json_at_key(&c->at, identities[i].object) : c->at;
                Slice said = SLICE_NULL, is = identities[i].is_tenant ? in->tenant : in->user;
                if (!json_is_object(object.value) || !json_get_string(&object, identities[i].key, &said) ||
                    slice_eq(said, is))
                        continue;
                JsonAt member = json_at_key(&object, identities[i].key);
                json_at_error(&member, "is \"%.*s\", but the subject says \"%.*s\"",
                              SLICE_ARG(slice_cut_utf8(said, LIMIT_ID_BYTES)), SLICE_ARG(is));
                report_set(&c->report, RUNBOOK_IDENTITY_MISMATCH,
                           "%s names another %s than the subject; leave it out, or speak under that name",
                           identities[i].key, identities[i].is_tenant ? "tenant" : "user");
        }
}

/**
 * Whoever publishes into a stream chooses the subject that the server's acknowledgement goes to. It could
 * be somebody else's command, and {"stream":…,"seq":…} would do as the body of most of them.
 */
static void check_not_ack(Call *c) {
        if (json_is_string(json_object_get(c->body, "stream")) &&
            json_is_integer(json_object_get(c->body, "seq")))
                report_set(&c->report, RUNBOOK_INVALID_REQUEST,
                           "the body looks like a stream's acknowledgement (members \"stream\" and \"seq\"): "
                           "it is not taken for a command");
}

json_t *body_parse(Slice body, size_t size_max, Report *report) {
        if (body.n <= size_max)
                return json_parse(body, size_max, report);
        report_set(report, RUNBOOK_TOO_LARGE, "the body has %zu bytes, more than the %zu allowed (%s)",
                   body.n, size_max, size_max == BODY_SMALL_MAX ? "BODY_SMALL_MAX" : "BODY_BYTES_MAX");
        return NULL;
}

void call_parse_body(Call *c, size_t size_max) {
        if (c->error || report_is_error(&c->report))
                return;
        if (c->message->body.n == 0)
                c->body = json_object();
        else
                c->body = body_parse(c->message->body, size_max, &c->report);
        if (!c->body) {
                if (!report_is_error(&c->report))
                        note(c, -ENOMEM);
                return;
        }
        c->at = json_at_root(c->body, &c->report);
        if (!json_is_object(c->body)) {
                json_at_error(&c->at, "must be an object, is %s", json_type_text(c->body));
                return;
        }
        check_not_ack(c);
        check_identities(c);
        Slice id = SLICE_NULL;
        if (json_get_string(&c->at, "commandId", &id) &&
            !slice_from_str(message_header(c->message, "Nats-Msg-Id")).n)
                take_command_id(c, id, "commandId");
}

void call_get_token(Call *c, size_t token, const char *what, Slice *ret) {
        if (!c->error && c->report.code == RUNBOOK_OK)
                note(c, name_get_token(c->parts->tokens[token], what, SUBJECT_BYTES_MAX, &c->request->arena,
                                       ret, &c->report));
}

void call_get_execution(Call *c, size_t token) {
        Slice id = SLICE_NULL;
        call_get_token(c, token, "execution id", &id);
        if (!call_failed(c) && !uuid_parse(id, &c->request->input.execution_id))
                report_set(&c->report, RUNBOOK_EXECUTION_NOT_FOUND,
                           "there is no execution \"%.*s\": an execution id is a UUID",
                           SLICE_ARG(slice_cut_utf8(id, LIMIT_ID_BYTES)));
}

bool call_get_string(Call *c, const JsonAt *object, const char *key, size_t n_max, const char *limit,
                     Slice *ret) {
        Slice s;
        if (!json_get_string(object, key, &s))
                return false;
        if (s.n > n_max) {
                JsonAt member = json_at_key(object, key);
                json_at_error(&member, "is %zu bytes long, the most is %zu (%s)", s.n, n_max, limit);
                return false;
        }
        *ret = keep(c, s);
        return ret->data != NULL;
}

void call_get_value(Call *c, const JsonAt *object, const char *key, size_t n_max, const char *limit,
                    Value **ret) {
        JsonAt member = json_at_key(object, key);
        if (!member.value || c->error)
                return;
        *ret = value_new(json_incref((json_t *)member.value));
        size_t n = value_bytes(*ret).n; /* made here, so that the writer finds both faces ready */
        if (n == 0) {
                note(c, -ENOMEM);
        } else if (n > n_max) {
                json_at_error(&member, "is %zu bytes of JSON, the most is %zu (%s)", n, n_max, limit);
                report_set(&c->report, RUNBOOK_TOO_LARGE,
                           "%s is too large: %zu bytes of JSON, the most is %zu (%s)", key, n, n_max, limit);
        }
}

void call_digest(Call *c, const char *family) {
        Request *r = c->request;
        if (call_failed(c) || r->input.command_id.n == 0)
                return;
        _cleanup_(buf_deinit) Buf canonical = {0};
        Slice body;
        if (r->runbook) {
                body = (Slice){(const char *)r->runbook->digest.bytes, DIGEST_SIZE};
        } else {
                /* commandId says which command this is, not what it does */
                if (json_object_get(c->body, "commandId"))
                        json_object_del(c->body, "commandId");
                note(c, json_canonical(c->body, &canonical));
                body = buf_slice(&canonical);
        }
        Slice pieces[] = {slice_from_str(family), SLICE("\n"), c->parts->rest, SLICE("\n"), body};
        if (!c->error)
                note(c, digest_slices(pieces, N_ELEMENTS(pieces), &r->digest));
}

void report_conclude(Report *report, const char *what) {
        if (report->code != RUNBOOK_OK || report->n_details == 0)
                return;
        const ReportDetail *first = &report->details[0];
        size_t more = report->n_details - 1 + report->n_dropped;
        const char *path = first->path[0] ? first->path : "the body";
        if (more > 0)
                report_set(report, RUNBOOK_INVALID_REQUEST, "%s: %s %s (and %zu more, see details)", what,
                           path, first->message, more);
        else
                report_set(report, RUNBOOK_INVALID_REQUEST, "%s: %s %s", what, path, first->message);
}

/** Request.done: the writer's word goes to whoever waits. */
static void on_done(Request *r, RunbookCode code, Slice body, bool durable) {
        Answer *answer = r->userdata;
        r->userdata = NULL;
        answer->give(answer, code, body, durable);
}

static void submit(Call *c, Answer *answer) {
        Request *r = c->request;
        r->done = on_done;
        r->userdata = answer;
        const char *overloaded = c->subjects->host.overloaded;
        bool is_patient = answer->is_patient; /* read now: after submit the answer may be gone */
        int e = c->subjects->host.submit(c->subjects->host.userdata, r);
        for (int i = 0; (e == -EAGAIN || e == -EDQUOT) && is_patient && i < PATIENCE_MAX; i++) {
                usleep(PATIENCE_PAUSE_US);
                e = c->subjects->host.submit(c->subjects->host.userdata, r);
        }
        if (e == 0)
                return; /* r and answer belong to others now */
        request_free(r);
        if (e == -EAGAIN)
                answer_refuse_code(answer, RUNBOOK_OVERLOADED,
                                   overloaded ? overloaded
                                              : "the engine has too much to do; try again later");
        else if (e == -EDQUOT)
                answer_refuse_code(answer, RUNBOOK_OVERLOADED,
                                   "too many commands of this tenant are waiting already (INBOX_TENANT_MAX); "
                                   "send fewer at a time, "
                                   "or try again later");
        else if (e == -ESHUTDOWN)
                answer_refuse_code(answer, RUNBOOK_UNAVAILABLE, "the engine is stopping; try again");
        else
                answer_refuse_code(answer, RUNBOOK_INTERNAL, "the engine could not take the command");
}

void call_finish(Call *c, Answer *answer) {
        /*
         * Before the request leaves this thread: afterwards the writer owns the values that are part of
         * this tree.
         */
        json_decref(c->body);
        c->body = NULL;
        if (c->error || c->report.oom) {
                request_free(c->request);
                answer_refuse_code(answer, RUNBOOK_INTERNAL, "out of memory");
        } else if (report_is_error(&c->report)) {
                request_free(c->request);
                report_conclude(&c->report, "the request has an error");
                answer_refuse(answer, &c->report);
        } else {
                submit(c, answer);
        }
        report_deinit(&c->report);
}
