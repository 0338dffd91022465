/* A small engine for testing clients: commands, events, running. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <runbook/client.h>
#include "base/clock.h"
#include "fake_engine_internal.h"
#include "json/digest.h"
#include "json/json_write.h"

#define TICK_MS 20

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

json_t *fake_time(void) {
        char text[TIME_TEXT_SIZE + 1];

        time_format_ms(now_ms(), text);
        return json_string(text);
}

const char *fake_text(const json_t *object, const char *key) {
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}

void fake_refuse(Call *c, const char *code, int status, const char *message) {
        c->status = status;
        c->reply = json_pack("{ssssss}", "version", "v1", "error", code, "message", message);
}

/* ── Events and logs ───────────────────────────────────────────────────────────────────────────── */

static void publish(FakeEngine *f, const json_t *x, const char *family, const char *type,
                    const json_t *json) {
        char subject[256], *text = json_dumps(json, JSON_COMPACT);

        snprintf(subject, sizeof subject, "runbook.v1.%s.%s.%s.%s", fake_text(x, "tenant"), family,
                 fake_text(x, "id"), type);
        natsConnection_PublishString(f->nc, subject, text);
        free(text);
}

/** Append an event to @x's history and publish it. Takes @data. */
static void emit(FakeEngine *f, json_t *x, const char *type, const char *path, json_t *data) {
        json_t *history = json_object_get(x, "history");
        size_t seq = json_array_size(history) + 1;
        const json_t *last = json_array_get(history, seq - 2);
        char id[128], subject[256], full[64], zeros[65], hash[DIGEST_TEXT_SIZE + 1];
        Buf canonical = {0};
        Digest digest;
        json_t *event;

        memset(zeros, '0', 64), zeros[64] = 0;
        snprintf(id, sizeof id, "%s/%zu", fake_text(x, "id"), seq);
        snprintf(subject, sizeof subject, "%s%s%s", fake_text(x, "id"), path ? "/" : "", path ? path : "");
        snprintf(full, sizeof full, "runbook.%s", type);
        event = json_pack("{ssssssssssso sI ss so ss}", "specversion", "1.0", "id", id, "source",
                          "/runbook/fake", "type", full, "subject", subject, "time", fake_time(), "sequence",
                          (json_int_t)seq, "datacontenttype", "application/json", "data", data, "prevhash",
                          last ? fake_text(last, "hash") : zeros);
        json_canonical(event, &canonical);
        digest_slice(buf_slice(&canonical), &digest);
        digest_format(&digest, hash);
        buf_deinit(&canonical);
        json_object_set_new(event, "hash", json_string(hash));
        json_array_append_new(history, event);
        publish(f, x, "lifecycle", type, event);
}

static void write_log(FakeEngine *f, json_t *x, const char *level, const char *step, const char *message) {
        json_t *logs = json_object_get(x, "logs");
        char id[64];
        json_t *entry;

        snprintf(id, sizeof id, "log-%zu", json_array_size(logs) + 1);
        entry = json_pack("{ssso ss ss ss ss}", "id", id, "timestamp", fake_time(), "level", level, "stepId",
                          step, "executionId", fake_text(x, "id"), "message", message);
        json_array_append_new(logs, entry);
        publish(f, x, "log", level, entry);
}

static void set_status(json_t *x, const char *status) {
        json_object_set_new(x, "status", json_string(status));
}

static void set_step(json_t *x, const char *id, const char *status) {
        json_t *results = json_object_get(x, "stepResults");

        json_object_set_new(results, id, json_pack("{sssi}", "status", status, "attemptNumber", 1));
}

/* ── Running ───────────────────────────────────────────────────────────────────────────────────── */

json_t *fake_current_step(FakeEngine *f, json_t *x) {
        json_t *runbook = json_object_get(f->runbooks, fake_text(x, "runbookId"));

        return json_array_get(json_object_get(runbook, "steps"),
                              (size_t)json_integer_value(json_object_get(x, "at")));
}

static void finish(FakeEngine *f, json_t *x, const char *status, json_t *data) {
        char type[64];

        set_status(x, status);
        snprintf(type, sizeof type, "execution.%s", status);
        emit(f, x, type, NULL, data);
}

static void complete_step(FakeEngine *f, json_t *x) {
        const char *id = fake_text(fake_current_step(f, x), "id");

        set_step(x, id, "completed");
        emit(f, x, "step.completed", id,
             json_pack("{sssisi}", "status", "completed", "attempt", 1, "durationMs", 5));
        json_object_set_new(x, "at", json_integer(json_integer_value(json_object_get(x, "at")) + 1));
        json_object_set_new(x, "waiting", json_string(""));
}

static void fail_step(FakeEngine *f, json_t *x, const char *code, const char *message) {
        const char *id = fake_text(fake_current_step(f, x), "id");
        json_t *error = json_pack("{ssss}", "code", code, "message", message);

        set_step(x, id, "failed");
        json_object_set(json_object_get(json_object_get(x, "stepResults"), id), "error", error);
        emit(f, x, "step.failed", id,
             json_pack("{sssisO}", "status", "failed", "attempt", 1, "error", error));
        json_object_set_new(x, "waiting", json_string(""));
        finish(f, x, "failed", json_pack("{ssso}", "status", "failed", "error", error));
}

/** Begin the current step; true when it is over at once. */
static bool begin_step(FakeEngine *f, json_t *x, json_t *step) {
        const char *id = fake_text(step, "id"), *type = fake_text(step, "type");
        json_t *config = json_object_get(step, "config"), *approval = json_object_get(step, "approvalConfig");

        json_object_set_new(x, "waiting", json_string(type));
        json_object_set_new(x, "since", json_integer(now_ms()));
        if (!strcmp(type, "human-approval")) {
                set_step(x, id, "awaiting_approval");
                emit(f, x, "step.awaiting_approval", id,
                     json_pack("{sssOsOsO}", "status", "awaiting_approval", "approvers",
                               json_object_get(approval, "approvers"), "minApprovals",
                               json_object_get(approval, "minApprovals"), "prompt",
                               json_object_get(approval, "prompt")));
                return false;
        }
        if (!strcmp(type, "wait-for-event")) {
                set_step(x, id, "awaiting_event");
                emit(f, x, "step.awaiting_event", id,
                     json_pack("{sssOsO}", "status", "awaiting_event", "eventType",
                               json_object_get(config, "eventType"), "correlationId",
                               json_object_get(config, "correlationId")));
                return false;
        }
        set_step(x, id, "running");
        emit(f, x, !strcmp(type, "wait") ? "step.waiting" : "step.started", id,
             json_pack("{sssi}", "status", "running", "attempt", 1));
        if (!strcmp(type, "wait"))
                return false;
        write_log(f, x, "info", id, "called the service");
        if (json_is_true(json_object_get(config, "fail"))) {
                fail_step(f, x, "HTTP_500", "the service answered 500");
                return false;
        }
        return true;
}

/** Run until something waits or the end is there. */
static void run(FakeEngine *f, json_t *x) {
        while (!strcmp(fake_text(x, "status"), "running") && !*fake_text(x, "waiting")) {
                json_t *step = fake_current_step(f, x);

                if (!step)
                        finish(f, x, "completed",
                               json_pack("{sss{ss}}", "status", "completed", "output", "result", "done"));
                else if (begin_step(f, x, step))
                        complete_step(f, x);
        }
}

static void *tick(void *userdata) {
        FakeEngine *f = userdata;

        pthread_mutex_lock(&f->lock);
        while (!f->stopping) {
                size_t i;
                json_t *x;

                json_array_foreach(f->executions, i, x) {
                        json_t *config = json_object_get(fake_current_step(f, x), "config");
                        int64_t end = json_integer_value(json_object_get(x, "since")) +
                                      json_integer_value(json_object_get(config, "durationMs"));

                        if (strcmp(fake_text(x, "status"), "running") != 0 ||
                            strcmp(fake_text(x, "waiting"), "wait") != 0 || now_ms() < end)
                                continue;
                        complete_step(f, x);
                        run(f, x);
                }
                pthread_mutex_unlock(&f->lock);
                nanosleep(&(struct timespec){0, TICK_MS * 1000000L}, NULL);
                pthread_mutex_lock(&f->lock);
        }
        pthread_mutex_unlock(&f->lock);
        return NULL;
}

/* ── Commands ──────────────────────────────────────────────────────────────────────────────────── */

json_t *fake_find(Call *c, const char *id) {
        size_t i;
        json_t *x;

        json_array_foreach(c->f->executions, i, x) {
                if (!strcmp(fake_text(x, "id"), id) && !strcmp(fake_text(x, "tenant"), c->tenant))
                        return x;
        }
        fake_refuse(c, "EXECUTION_NOT_FOUND", 404, "there is no such execution");
        return NULL;
}

static void do_register(Call *c) {
        const char *id = fake_text(c->body, "id");

        if (!*id) {
                c->status = 400;
                c->reply = json_pack("{sssssss[{ssss}{ssss}]}", "version", "v1", "error", "INVALID_RUNBOOK",
                                     "message", "the definition has 2 errors", "details", "path", "/id",
                                     "message", "is missing", "path", "/steps/0/type", "message",
                                     "unknown type");
                return;
        }
        json_object_set(c->f->runbooks, id, c->body);
        c->reply = json_pack("{sss{ss ss si}}", "version", "v1", "runbook", "id", id, "version",
                             fake_text(c->body, "version"), "stepCount",
                             (int)json_array_size(json_object_get(c->body, "steps")));
}

static void do_start(Call *c) {
        const char *runbook = fake_text(c->body, "runbookId"), *given = fake_text(c->body, "executionId");
        char id[RUNBOOK_CLIENT_ID_SIZE];
        json_t *x;

        if (!json_object_get(c->f->runbooks, runbook)) {
                fake_refuse(c, "RUNBOOK_NOT_FOUND", 404,
                            "there is no runbook of this id; did you mean \"incident\"?");
                return;
        }
        runbook_new_id(id);
        x = json_pack("{ss ss ss sO ss so s[] s[] s{} ss si}", "id", *given ? given : id, "tenant", c->tenant,
                      "runbookId", runbook, "context", json_object_get(c->body, "context"), "status",
                      "running", "startTime", fake_time(), "history", "logs", "stepResults", "waiting", "",
                      "at", 0);
        json_object_set(x, "input", json_object_get(c->body, "input"));
        json_array_append_new(c->f->executions, x);
        emit(c->f, x, "execution.started", NULL, json_pack("{ssss}", "status", "running", "by", c->user));
        run(c->f, x);
        c->reply = json_pack("{ssssss}", "version", "v1", "executionId", fake_text(x, "id"), "status",
                             "started");
}

static void do_control(Call *c, const char *verb, json_t *x) {
        static const struct {
                const char *verb, *status, *answer, *event;
        } moves[] = {{"pause", "paused", "paused", "execution.paused"},
                     {"resume", "running", "resumed", "execution.resumed"},
                     {"cancel", "cancelled", "cancelled", "execution.cancelled"}};

        for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
                if (strcmp(verb, moves[i].verb) != 0)
                        continue;
                if (!strcmp(fake_text(x, "status"), moves[i].status)) {
                        fake_refuse(c, "WRONG_STATE", 409, "the execution is in this state already");
                        return;
                }
                set_status(x, moves[i].status);
                emit(c->f, x, moves[i].event, NULL,
                     json_pack("{ssssss*}", "status", moves[i].status, "by", c->user, "reason",
                               json_string_value(json_object_get(c->body, "reason"))));
                run(c->f, x);
                c->reply = json_pack("{ssssss}", "version", "v1", "executionId", fake_text(x, "id"), "status",
                                     moves[i].answer);
        }
}

static void do_approve(Call *c, json_t *x, const char *step_id) {
        json_t *step = fake_current_step(c->f, x), *approval = json_object_get(step, "approvalConfig"), *name;
        json_int_t votes = json_integer_value(json_object_get(x, "votes")) + 1;
        bool listed = false, rejected = !strcmp(fake_text(c->body, "decision"), "rejected");
        size_t i;

        json_array_foreach(json_object_get(approval, "approvers"), i, name) listed |=
                        !strcmp(json_string_value(name), c->user);
        if (strcmp(fake_text(step, "id"), step_id) != 0 ||
            strcmp(fake_text(x, "waiting"), "human-approval") != 0) {
                fake_refuse(c, "WRONG_STATE", 409, "the step does not wait for an approval");
        } else if (!listed) {
                fake_refuse(c, "NOT_AN_APPROVER", 403, "you are not among the approvers of this step");
        } else {
                json_object_set_new(x, "votes", json_integer(votes));
                emit(c->f, x, "approval.recorded", step_id,
                     json_pack("{ssss}", "by", c->user, "decision", rejected ? "rejected" : "approved"));
                if (rejected) {
                        fail_step(c->f, x, "REJECTED", "the approval was rejected");
                } else if (votes >= json_integer_value(json_object_get(approval, "minApprovals"))) {
                        complete_step(c->f, x);
                        run(c->f, x);
                }
                c->reply = json_pack("{ssssss}", "version", "v1", "executionId", fake_text(x, "id"), "status",
                                     rejected ? "rejected" : "approved");
        }
}

static void do_retry(Call *c, json_t *x, const char *step_id) {
        json_t *step = fake_current_step(c->f, x);

        if (strcmp(fake_text(x, "status"), "failed") != 0) {
                fake_refuse(c, "WRONG_STATE", 409, "only a failed execution can be retried");
                return;
        }
        json_object_set_new(json_object_get(step, "config"), "fail", json_false());
        set_status(x, "running");
        emit(c->f, x, "execution.resumed", NULL, json_pack("{ssss}", "status", "running", "by", c->user));
        run(c->f, x);
        c->reply = json_pack("{ssssssss}", "version", "v1", "executionId", fake_text(x, "id"), "stepId",
                             step_id, "status", "retried");
}

static void do_command(Call *c) {
        const char *verb = c->tokens[5];
        json_t *x;

        if (!strcmp(verb, "register")) {
                do_register(c);
        } else if (!strcmp(verb, "start")) {
                do_start(c);
        } else if (c->n_tokens > 6 && (x = fake_find(c, c->tokens[6]))) {
                if (!strcmp(verb, "approve") && c->n_tokens > 7)
                        do_approve(c, x, c->tokens[7]);
                else if (!strcmp(verb, "retry") && c->n_tokens > 7)
                        do_retry(c, x, c->tokens[7]);
                else if (!strcmp(verb, "replay"))
                        c->reply = strcmp(fake_text(c->body, "mode"), "verify") != 0
                                                   ? json_pack("{ssssss}", "version", "v1", "executionId",
                                                               "0190aaaa-0000-7000-8000-000000000001",
                                                               "status", "replaying")
                                                   : json_pack("{sssbs[]}", "version", "v1", "identical", 1,
                                                               "divergences");
                else
                        do_control(c, verb, x);
        }
}

/** An event goes to the first execution that waits for it. */
static void do_event(Call *c) {
        char type[256] = "";
        size_t i;
        json_t *x;

        for (int k = 5; k < c->n_tokens; k++) {
                strncat(type, k > 5 ? "." : "", sizeof type - strlen(type) - 1);
                strncat(type, c->tokens[k], sizeof type - strlen(type) - 1);
        }
        c->reply = json_pack("{ssss}", "version", "v1", "status", "accepted");
        json_array_foreach(c->f->executions, i, x) {
                const json_t *config = json_object_get(fake_current_step(c->f, x), "config");

                if (strcmp(fake_text(x, "waiting"), "wait-for-event") != 0 ||
                    strcmp(fake_text(config, "eventType"), type) != 0 ||
                    strcmp(fake_text(config, "correlationId"), fake_text(c->body, "correlationId")) != 0)
                        continue;
                emit(c->f, x, "event.received", fake_text(fake_current_step(c->f, x), "id"),
                     json_pack("{ssss}", "eventType", type, "by", c->user));
                complete_step(c->f, x);
                run(c->f, x);
                return;
        }
}

/* ── The wire ──────────────────────────────────────────────────────────────────────────────────── */

static void send_reply(FakeEngine *f, const char *to, const char *text, int status) {
        natsMsg *msg = NULL;
        char code[16];

        snprintf(code, sizeof code, "%d", status);
        natsMsg_Create(&msg, to, NULL, text, (int)strlen(text));
        if (status >= 400) {
                natsMsgHeader_Set(msg, "Nats-Service-Error-Code", code);
                natsMsgHeader_Set(msg, "Nats-Service-Error", "refused");
        }
        natsConnection_PublishMsg(f->nc, msg);
        natsMsg_Destroy(msg);
}

/** Carry out (or recall) one request; the reply's text is owned by the caller. */
static char *serve(FakeEngine *f, char *subject, const char *body, const char *command_id, int *ret_status) {
        Call c = {.f = f, .status = 200, .body = json_loads(body, 0, NULL)};
        json_t *known = command_id ? json_object_get(f->results, command_id) : NULL;
        char *rest = NULL, *text;

        if (known) {
                *ret_status = (int)json_integer_value(json_object_get(known, "status"));
                json_decref(c.body);
                return strdup(fake_text(known, "body"));
        }
        for (char *t = strtok_r(subject, ".", &rest); t && c.n_tokens < TOKENS_MAX;
             t = strtok_r(NULL, ".", &rest))
                c.tokens[c.n_tokens++] = t;
        if (c.n_tokens > 5) {
                c.tenant = c.tokens[2];
                c.user = c.tokens[4];
                if (!strcmp(c.tokens[3], "cmd") || !strcmp(c.tokens[3], "queue"))
                        do_command(&c);
                else if (!strcmp(c.tokens[3], "event"))
                        do_event(&c);
                else
                        fake_query(&c);
        }
        if (!c.reply)
                fake_refuse(&c, "INVALID_REQUEST", 400, "not understood");
        text = json_dumps(c.reply, JSON_COMPACT);
        if (command_id) {
                json_object_set_new(f->results, command_id,
                                    json_pack("{sssi}", "body", text, "status", c.status));
                f->n_applied++;
        }
        *ret_status = c.status;
        json_decref(c.reply);
        json_decref(c.body);
        return text;
}

static void on_request(natsConnection *nc, natsSubscription *subscription, natsMsg *msg, void *closure) {
        FakeEngine *f = closure;
        const char *command_id = NULL, *reply_to = natsMsg_GetReply(msg);
        char *subject = strdup(natsMsg_GetSubject(msg)), *text;
        int status;

        (void)nc, (void)subscription;
        natsMsgHeader_Get(msg, "Nats-Msg-Id", &command_id);
        pthread_mutex_lock(&f->lock);
        snprintf(f->last_subject, sizeof f->last_subject, "%s", subject);
        snprintf(f->last_body, sizeof f->last_body, "%s",
                 natsMsg_GetDataLength(msg) > 0 ? natsMsg_GetData(msg) : "");
        f->n_received++;
        if (strstr(subject, ".queue.")) {
                reply_to = NULL;
                natsMsgHeader_Get(msg, "Runbook-Reply-To", &reply_to);
        }
        text = serve(f, subject, f->last_body, command_id, &status);
        if (f->n_swallow > 0)
                f->n_swallow--;
        else if (f->answer_next && reply_to)
                send_reply(f, reply_to, f->answer_next, 200);
        else if (reply_to)
                send_reply(f, reply_to, text, status);
        free(f->answer_next);
        f->answer_next = NULL;
        pthread_mutex_unlock(&f->lock);
        free(text);
        free(subject);
        natsMsg_Destroy(msg);
}

FakeEngine *fake_engine_start(const char *url) {
        static const char *const subjects[] = {"runbook.v1.*.cmd.>", "runbook.v1.*.event.>",
                                               "runbook.v1.*.query.>", "runbook.v1.*.queue.>"};
        FakeEngine *f = calloc(1, sizeof *f);
        natsOptions *options = NULL;

        pthread_mutex_init(&f->lock, NULL);
        f->runbooks = json_object();
        f->executions = json_array();
        f->results = json_object();
        if (natsOptions_Create(&options) != NATS_OK || natsOptions_SetURL(options, url) != NATS_OK ||
            natsOptions_SetReconnectWait(options, 100) != NATS_OK ||
            natsOptions_SetMaxReconnect(options, -1) != NATS_OK ||
            natsConnection_Connect(&f->nc, options) != NATS_OK)
                abort();
        natsOptions_Destroy(options);
        for (size_t i = 0; i < 4; i++)
                if (natsConnection_Subscribe(&f->subscriptions[i], f->nc, subjects[i], on_request, f) !=
                    NATS_OK)
                        abort();
        natsConnection_Flush(f->nc);
        pthread_create(&f->ticker, NULL, tick, f);
        return f;
}

void fake_engine_stop(FakeEngine *f) {
        if (!f)
                return;
        pthread_mutex_lock(&f->lock);
        f->stopping = true;
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->ticker, NULL);
        natsConnection_Close(f->nc);
        nanosleep(&(struct timespec){0, 50 * 1000000L}, NULL); /* a callback may just be running */
        for (size_t i = 0; i < 4; i++)
                natsSubscription_Destroy(f->subscriptions[i]);
        natsConnection_Destroy(f->nc);
        json_decref(f->runbooks);
        json_decref(f->executions);
        json_decref(f->results);
        free(f->answer_next);
        pthread_mutex_destroy(&f->lock);
        free(f);
}

void fake_engine_swallow(FakeEngine *f, int n) {
        pthread_mutex_lock(&f->lock);
        f->n_swallow = n;
        pthread_mutex_unlock(&f->lock);
}

void fake_engine_answer_next(FakeEngine *f, const char *body) {
        pthread_mutex_lock(&f->lock);
        free(f->answer_next);
        f->answer_next = strdup(body);
        pthread_mutex_unlock(&f->lock);
}

int fake_engine_applied(FakeEngine *f) {
        int n;

        pthread_mutex_lock(&f->lock);
        n = f->n_applied;
        pthread_mutex_unlock(&f->lock);
        return n;
}

int fake_engine_received(FakeEngine *f) {
        int n;

        pthread_mutex_lock(&f->lock);
        n = f->n_received;
        pthread_mutex_unlock(&f->lock);
        return n;
}

void fake_engine_last(FakeEngine *f, char *ret_subject, size_t subject_size, char *ret_body,
                      size_t body_size) {
        pthread_mutex_lock(&f->lock);
        snprintf(ret_subject, subject_size, "%s", f->last_subject);
        snprintf(ret_body, body_size, "%s", f->last_body);
        pthread_mutex_unlock(&f->lock);
}
