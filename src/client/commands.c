/* The commands of the protocol, one function each: what goes into the subject, what into the body. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "client/client.h"
#include "client/subject.h"
#include "json/json_read.h"
#include "json/json_write.h"

/** What the caller wants done with an answer; saves every command four arguments. */
typedef struct Ask {
        RunbookClient *client;
        const RunbookCall *call;
        RunbookReply **ret;
        RunbookClientError *e;
} Ask;

/** Send @body to "<family>.<verb>[.<a>[.<b>]]"; @a and @b are encoded here. */
static int send(const Ask *ask, const char *verb, const char *a, const char *b, const Buf *body) {
        _cleanup_(buf_deinit) Buf subject = {0};

        buf_put_str(&subject, verb);
        if (a) {
                buf_put_char(&subject, '.');
                subject_put_token(&subject, slice_from_str(a));
        }
        if (b) {
                buf_put_char(&subject, '.');
                subject_put_token(&subject, slice_from_str(b));
        }
        buf_put_char(&subject, 0);
        if (subject.error || body->error)
                return client_error_memory(ask->e);
        return runbook_client_request(ask->client, subject.data, body->data, body->n, ask->call, ask->ret,
                                      ask->e);
}

static int require(const Ask *ask, const char *what, const char *value) {
        if (value && *value)
                return 0;
        return client_error_set(ask->e, RUNBOOK_CLIENT_E_INVALID, "the %s is missing", what);
}

static void put_field(JsonWriter *w, const char *key, const char *value) {
        if (!value)
                return;
        json_key(w, key);
        json_put_str(w, value);
}

static int check_utf8(const Ask *ask, const char *what, const char *value) {
        if (!value || slice_is_utf8(slice_from_str(value)))
                return 0;
        return client_error_set(ask->e, RUNBOOK_CLIENT_E_INVALID, "the %s is not UTF-8", what);
}

/** Parse a caller's JSON text; NULL gives NULL. */
static int parse_argument(const Ask *ask, const char *what, const char *text, json_t **ret) {
        _cleanup_(report_deinit) Report report = {0};

        if (!text)
                return 0;
        *ret = json_parse(slice_from_str(text), CLIENT_BODY_BYTES_MAX, &report);
        if (*ret)
                return 0;
        return client_error_set(ask->e, RUNBOOK_CLIENT_E_INVALID, "the %s is not JSON: %s", what,
                                report.message ? report.message : "out of memory");
}

/* ── Definitions and starts ────────────────────────────────────────────────────────────────────── */

int runbook_client_register(RunbookClient *c, const char *definition, size_t size, const RunbookCall *call,
                            RunbookReply **ret, RunbookClientError *e) {
        if (!definition || size == 0)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "the definition is missing");
        return runbook_client_request(c, "cmd.register", definition, size, call, ret, e);
}

/** The context with who and where filled in. */
static int make_context(const Ask *ask, const char *text, json_t **ret) {
        json_t *context = NULL;
        int r = parse_argument(ask, "context", text, &context);

        if (r < 0)
                return r;
        if (!context)
                context = json_object();
        if (context && !json_is_object(context)) {
                json_decref(context);
                return client_error_set(ask->e, RUNBOOK_CLIENT_E_INVALID,
                                        "the context must be a JSON object");
        }
        r = 0;
        if (!json_object_get(context, "tenantId"))
                r |= json_object_set_new(context, "tenantId",
                                         json_string(runbook_client_tenant(ask->client)));
        if (!json_object_get(context, "initiatedBy"))
                r |= json_object_set_new(context, "initiatedBy",
                                         json_string(runbook_client_user(ask->client)));
        if (r != 0) {
                json_decref(context);
                return client_error_memory(ask->e);
        }
        *ret = context;
        return 0;
}

static void put_start(JsonWriter *w, const RunbookStart *s, const json_t *context, const json_t *input) {
        bool has_options = s->idempotency_key || s->pause_at || s->skip_idempotency_check || s->dry_run;

        json_begin_object(w);
        put_field(w, "runbookId", s->runbook_id);
        put_field(w, "version", s->version);
        put_field(w, "executionId", s->execution_id);
        json_key(w, "context");
        json_put_tree(w, context);
        if (input) {
                json_key(w, "input");
                json_put_tree(w, input);
        }
        if (has_options) {
                json_key(w, "options");
                json_begin_object(w);
                put_field(w, "idempotencyKey", s->idempotency_key);
                put_field(w, "pauseAt", s->pause_at);
                if (s->skip_idempotency_check) {
                        json_key(w, "skipIdempotencyCheck");
                        json_put_bool(w, true);
                }
                if (s->dry_run) {
                        json_key(w, "dryRun");
                        json_put_bool(w, true);
                }
                json_end_object(w);
        }
        json_end_object(w);
}

int runbook_client_start(RunbookClient *c, const RunbookStart *start, const RunbookCall *call,
                         RunbookReply **ret, RunbookClientError *e) {
        Ask ask = {c, call, ret, e};
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        const char *texts[] = {start->runbook_id, start->version, start->execution_id, start->idempotency_key,
                               start->pause_at};
        json_t *context = NULL, *input = NULL;
        int r = require(&ask, "runbook id", start->runbook_id);

        for (size_t i = 0; r == 0 && i < N_ELEMENTS(texts); i++)
                r = check_utf8(&ask, "start request", texts[i]);
        if (r == 0)
                r = make_context(&ask, start->context, &context);
        if (r == 0)
                r = parse_argument(&ask, "input", start->input, &input);
        if (r == 0) {
                put_start(&w, start, context, input);
                r = send(&ask, "cmd.start", NULL, NULL, &body);
        }
        json_decref(context);
        json_decref(input);
        return r;
}

/* ── Control of one execution ──────────────────────────────────────────────────────────────────── */

/** A command whose body has at most one text field. */
static int control(const Ask *ask, const char *verb, const char *execution_id, const char *step_id,
                   const char *key, const char *value) {
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        int r = require(ask, "execution id", execution_id);

        if (r == 0 && value)
                r = check_utf8(ask, key, value);
        if (r < 0)
                return r;
        json_begin_object(&w);
        put_field(&w, key, value);
        json_end_object(&w);
        return send(ask, verb, execution_id, step_id, &body);
}

int runbook_client_pause(RunbookClient *c, const char *execution_id, bool keep_clocks,
                         const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        Ask ask = {c, call, ret, e};
        _cleanup_(buf_deinit) Buf body = {0};
        int r = require(&ask, "execution id", execution_id);

        buf_put_str(&body, keep_clocks ? "{\"freezeClocks\":false}" : "{}");
        return r < 0 ? r : send(&ask, "cmd.pause", execution_id, NULL, &body);
}

int runbook_client_resume(RunbookClient *c, const char *execution_id, const RunbookCall *call,
                          RunbookReply **ret, RunbookClientError *e) {
        return control(&(Ask){c, call, ret, e}, "cmd.resume", execution_id, NULL, "", NULL);
}

int runbook_client_cancel(RunbookClient *c, const char *execution_id, const char *reason,
                          const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return control(&(Ask){c, call, ret, e}, "cmd.cancel", execution_id, NULL, "reason", reason);
}

int runbook_client_replay(RunbookClient *c, const char *execution_id, const char *mode,
                          const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return control(&(Ask){c, call, ret, e}, "cmd.replay", execution_id, NULL, "mode", mode);
}

int runbook_client_retry(RunbookClient *c, const char *execution_id, const char *step_id,
                         const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        Ask ask = {c, call, ret, e};
        int r = require(&ask, "step id", step_id);

        return r < 0 ? r : control(&ask, "cmd.retry", execution_id, step_id, "", NULL);
}

static int decide(const Ask *ask, const char *execution_id, const char *step_id, const char *decision,
                  const char *comments, const char *shown_hash) {
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);
        int r = require(ask, "execution id", execution_id);

        if (r == 0)
                r = require(ask, "step id", step_id);
        if (r == 0)
                r = check_utf8(ask, "comment", comments);
        if (r == 0)
                r = check_utf8(ask, "hash", shown_hash);
        if (r < 0)
                return r;
        json_begin_object(&w);
        put_field(&w, "decision", decision);
        put_field(&w, "comments", comments);
        put_field(&w, "hash", shown_hash);
        json_end_object(&w);
        return send(ask, "cmd.approve", execution_id, step_id, &body);
}

int runbook_client_approve(RunbookClient *c, const char *execution_id, const char *step_id,
                           const char *comments, const char *shown_hash, const RunbookCall *call,
                           RunbookReply **ret, RunbookClientError *e) {
        return decide(&(Ask){c, call, ret, e}, execution_id, step_id, "approved", comments, shown_hash);
}

int runbook_client_reject(RunbookClient *c, const char *execution_id, const char *step_id,
                          const char *comments, const char *shown_hash, const RunbookCall *call,
                          RunbookReply **ret, RunbookClientError *e) {
        return decide(&(Ask){c, call, ret, e}, execution_id, step_id, "rejected", comments, shown_hash);
}

/* ── External events ───────────────────────────────────────────────────────────────────────────── */

int runbook_client_event(RunbookClient *c, const RunbookExternalEvent *event, const RunbookCall *call,
                         RunbookReply **ret, RunbookClientError *e) {
        Ask ask = {c, call, ret, e};
        _cleanup_(buf_deinit) Buf body = {0}, subject = {0};
        JsonWriter w = json_writer(&body);
        json_t *payload = NULL;
        int r = require(&ask, "event type", event->type);

        if (r == 0)
                r = check_utf8(&ask, "correlation id", event->correlation_id);
        if (r == 0)
                r = check_utf8(&ask, "event id", event->event_id);
        if (r == 0)
                r = parse_argument(&ask, "payload", event->payload, &payload);
        if (r < 0)
                return r;
        json_begin_object(&w);
        put_field(&w, "correlationId", event->correlation_id);
        put_field(&w, "eventId", event->event_id);
        if (payload) {
                json_key(&w, "payload");
                json_put_tree(&w, payload);
        }
        json_end_object(&w);
        json_decref(payload);
        buf_put_str(&subject, "event.");
        subject_put_tokens(&subject, slice_from_str(event->type));
        buf_put_char(&subject, 0);
        return subject.error ? client_error_memory(e) : send(&ask, subject.data, NULL, NULL, &body);
}
