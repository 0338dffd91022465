/*
 * Workers: `<prefix>.<tenant>.result.<worker>.<taskToken>` and `….next.<type>`
 *
 * A report is decoded here and handed to the executor of remote workers, whose answer goes back once it stands. Who
 * asks for the next task waits for it on the bus. The subject vouches for tenant and worker; the token, which only
 * the engine can make, for the attempt.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/quote.h"
#include "json/json_write.h"
#include "model/limits.h"
#include "subjects/call.h"
#include "subjects/result.h"

#define NEXT_EXPIRES_MIN_MS     100
#define NEXT_EXPIRES_MAX_MS     60000
#define NEXT_EXPIRES_DEFAULT_MS 20000
#define NEXT_BODY_MAX           1024

/** Who speaks, decoded out of the subject. */
typedef struct Speaker {
        Arena arena;
        Slice tenant, worker;
} Speaker;

static int read_speaker(const SubjectParts *parts, Speaker *ret, Report *report) {
        int r = name_get_identity(parts->tenant, "tenant", &ret->arena, &ret->tenant, report);
        return r < 0 ? r : name_get_identity(parts->user, "worker", &ret->arena, &ret->worker, report);
}

/** Give the error that decoding ended in. */
static void refuse(Answer *answer, Report *report, int error) {
        if (error == -ENOMEM) {
                answer_refuse_code(answer, RUNBOOK_UNAVAILABLE, "out of memory; send it again");
                return;
        }
        report_conclude(report, "the report");
        answer_refuse(answer, report);
}

/* ---- reports ----------------------------------------------------------------------- */

static void on_answer(void *userdata, const WorkerAnswer *a) {
        Answer *answer = userdata;
        _cleanup_(buf_deinit) Buf body = {0};
        if (a->code != RUNBOOK_OK) {
                answer_refuse_code(answer, a->code, a->reason);
                return;
        }
        JsonWriter w = json_writer(&body);
        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "status");
        json_put_str(&w, a->is_ignored ? "ignored" : "accepted");
        json_key(&w, "ignored");
        json_put_bool(&w, a->is_ignored);
        json_key(&w, "cancelled");
        json_put_bool(&w, a->is_cancelled);
        if (a->reason) {
                json_key(&w, "reason");
                json_put_str(&w, a->reason);
        }
        json_end_object(&w);
        if (body.error)
                answer_refuse_code(answer, RUNBOOK_UNAVAILABLE, "out of memory; send it again");
        else
                answer->give(answer, RUNBOOK_OK, buf_slice(&body), true);
}

static void take_report(Subjects *s, const Speaker *speaker, Slice token, const Message *m, Report *report,
                        Answer *answer) {
        ResultBody body;
        int r = result_decode(m->body, speaker->worker, &body, report);
        if (r < 0) {
                refuse(answer, report, r);
                return;
        }
        s->host.desk->report(s->host.desk->userdata, &(WorkerReport){.tenant = speaker->tenant,
                                                                     .worker = speaker->worker,
                                                                     .token = token,
                                                                     .word = body.word,
                                                                     .has_progress = body.has_progress,
                                                                     .progress = body.progress,
                                                                     .output = body.output,
                                                                     .error = body.error,
                                                                     .logs = body.logs,
                                                                     .evidence = body.evidence,
                                                                     .answer = on_answer,
                                                                     .userdata = answer});
}

/* ---- the next task ----------------------------------------------------------------- */

/** Who waits for a task. */
typedef struct Waiter {
        Subjects *subjects;
        Answer *answer;
        bool will_beat;
        Slice tenant, worker; /* in `names` */
        char names[];
} Waiter;

static Waiter *waiter_new(Subjects *s, const Speaker *speaker, bool will_beat, Answer *answer) {
        Waiter *w = malloc(sizeof(*w) + speaker->tenant.n + speaker->worker.n);
        if (!w)
                return NULL;
        *w = (Waiter){.subjects = s, .answer = answer, .will_beat = will_beat};
        memcpy(w->names, speaker->tenant.data, speaker->tenant.n);
        memcpy(w->names + speaker->tenant.n, speaker->worker.data, speaker->worker.n);
        w->tenant = (Slice){w->names, speaker->tenant.n};
        w->worker = (Slice){w->names + speaker->tenant.n, speaker->worker.n};
        return w;
}

static bool on_task(void *userdata, const Message *task) {
        Waiter *w = userdata;
        const WorkerDesk *desk = w->subjects->host.desk;
        const WorkerOffer offer = {.tenant = w->tenant,
                                   .worker = w->worker,
                                   .token = slice_from_str(message_header(task, "Nats-Msg-Id")),
                                   .will_beat = w->will_beat};
        return desk->offer(desk->userdata, &offer);
}

void result_returned(Subjects *s, Slice tenant, Slice token) {
        s->host.desk->decline(s->host.desk->userdata, tenant, token);
}

static void on_task_end(void *userdata, bool has_task, RunbookCode code, const char *sentence) {
        Waiter *w = userdata;
        _cleanup_(report_deinit) Report report = {0};
        if (sentence) {
                report_set(&report, code, "%s", sentence);
                answer_refuse(w->answer, &report);
        } else if (has_task) {
                answer_sent(w->answer); /* by the bus, which hears whether it arrives */
        } else {
                w->answer->give(w->answer, RUNBOOK_OK, SLICE("{\"version\":\"v1\",\"task\":null}"), true);
        }
        free(w);
}

static bool type_is_good(Slice type) {
        for (size_t i = 0; i < type.n; i++) {
                char c = type.data[i];
                bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
                if (!plain && !memchr("_-.:", c, 4))
                        return false;
        }
        return type.n > 7 && slice_starts_with(type, SLICE("custom:"));
}

static int read_next(const Message *m, Report *report, int64_t *ret_expires_ms, bool *ret_will_beat) {
        *ret_expires_ms = NEXT_EXPIRES_DEFAULT_MS;
        *ret_will_beat = false;
        if (m->body.n == 0)
                return 0;
        json_t *json = json_parse(m->body, NEXT_BODY_MAX, report);
        JsonAt at = json_at_root(json, report);
        if (json && !json_is_object(json)) {
                json_at_error(&at, "must be an object, is %s", json_type_text(json));
        } else if (json) {
                json_get_i64(&at, "expiresMs", NEXT_EXPIRES_MIN_MS, NEXT_EXPIRES_MAX_MS, ret_expires_ms);
                json_get_bool(&at, "heartbeats", ret_will_beat);
        }
        bool is_oom = !json && !report_is_error(report);
        json_decref(json);
        return is_oom ? -ENOMEM : report_is_error(report) ? -EINVAL : 0;
}

static int put_pull_names(const Subjects *s, const Speaker *speaker, Slice type, Buf *subject,
                          Buf *consumer) {
        buf_printf(subject, "%.*s.", SLICE_ARG(s->prefix));
        name_put_token(subject, speaker->tenant);
        buf_put_str(subject, ".task.");
        quote_type_token(subject, type);
        name_put_token(consumer, speaker->tenant);
        buf_put_char(consumer, '=');
        quote_type_token(consumer, type);
        /* nats-server 2.9 takes a consumer's name for a format string when it writes acknowledgement subjects. */
        for (size_t i = 0; i < consumer->n; i++)
                if (consumer->data[i] == '%')
                        consumer->data[i] = '=';
        return subject->error || consumer->error ? -ENOMEM : 0;
}

static void take_next(Subjects *s, Speaker *speaker, Slice type_token, const Message *m, Report *report,
                      Answer *answer) {
        _cleanup_(buf_deinit) Buf subject = {0}, consumer = {0};
        int64_t expires_ms;
        bool will_beat;
        Slice type;
        int r = name_get_token(type_token, "type", LIMIT_ID_BYTES + 7, &speaker->arena, &type, report);
        if (r == 0 && !type_is_good(type))
                r = report_set(report, RUNBOOK_INVALID_REQUEST,
                               "the last token must be a type of tasks, custom:<name>");
        if (r == 0)
                r = read_next(m, report, &expires_ms, &will_beat);
        if (r == 0)
                r = put_pull_names(s, speaker, type, &subject, &consumer);
        Waiter *w = r == 0 ? waiter_new(s, speaker, will_beat, answer) : NULL;
        if (!w) {
                refuse(answer, report, r == 0 ? -ENOMEM : r);
                return;
        }
        r = bus_pull(s->bus, &(BusPull){.subject = buf_slice(&subject),
                                        .consumer = buf_slice(&consumer),
                                        .expires_ms = expires_ms,
                                        .reply = m->reply,
                                        .tenant = speaker->tenant,
                                        .take = on_task,
                                        .end = on_task_end,
                                        .userdata = w});
        if (r == 0)
                return;
        free(w);
        answer_refuse_code(answer, r == -EAGAIN ? RUNBOOK_OVERLOADED : RUNBOOK_UNAVAILABLE,
                           r == -EAGAIN ? "too many workers wait for tasks; ask again later"
                                        : "out of memory; ask again");
}

void result_handle(Subjects *s, const SubjectParts *parts, const Message *m, Answer *answer) {
        _cleanup_(report_deinit) Report report = {0};
        Speaker speaker = {0};
        bool is_next = parts->n_tokens == 2 && slice_eq(parts->tokens[0], SLICE("next"));
        int r = read_speaker(parts, &speaker, &report);
        if (r < 0)
                refuse(answer, &report, r);
        else if (!s->host.desk || !s->host.desk->report)
                answer_refuse_code(answer, RUNBOOK_UNAVAILABLE, "this engine serves no workers");
        else if (is_next && subject_is_inbox(m->reply, s->settings->reply_prefixes))
                take_next(s, &speaker, parts->tokens[1], m, &report, answer);
        else if (is_next)
                answer_refuse_code(answer, RUNBOOK_INVALID_REQUEST,
                                   "who asks for a task must name an inbox for it as reply subject");
        else if (parts->n_tokens == 1)
                take_report(s, &speaker, parts->tokens[0], m, &report, answer);
        else
                answer_refuse_code(answer, RUNBOOK_INVALID_REQUEST,
                                   "behind the worker the subject must have the taskToken, or next.<type>");
        arena_deinit(&speaker.arena);
}
