/*
 * Questions over HTTP
 *
 * A HTTP executor of our own makes the calls: what is known there about deadlines, bodies and servers that
 * misbehave holds here too. It is not the one of the steps: those may not reach the addresses where policy
 * services live, and however many of them hang, questions have places of their own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "executors/authz_internal.h"
#include "executors/http.h"
#include "json/json_read.h"

#define TOKEN_NAME "AUTHZ_TOKEN_FILE" /* as a secret of the inner call */

/* ---- the token ----------------------------------------------------------------------------------------- */

/** The file's text without the line break at its end, owned; NULL with errno. Read anew each time: tokens change. */
static char *token_read(const char *path) {
        FILE *f = fopen(path, "re");
        char *text = f ? calloc(1, AUTHZ_TOKEN_BYTES_MAX + 2) : NULL;
        if (!text) {
                if (f)
                        fclose(f);
                return NULL;
        }
        size_t n = fread(text, 1, AUTHZ_TOKEN_BYTES_MAX + 1, f);
        bool bad = ferror(f) || n == 0 || n > AUTHZ_TOKEN_BYTES_MAX;
        fclose(f);
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
                text[--n] = 0;
        if (!bad && n > 0)
                return text;
        explicit_bzero(text, AUTHZ_TOKEN_BYTES_MAX + 2);
        free(text);
        errno = EINVAL;
        return NULL;
}

static char *find_secret(void *userdata, Slice tenant, Slice name) {
        const AuthzEngine *e = userdata;
        return token_read(e->settings.token_file);
}

/* ---- the call ------------------------------------------------------------------------------------------ */

static void put_string(char **p, Slice s, Slice *ret) {
        *ret = (Slice){*p, s.n};
        if (s.n > 0)
                memcpy(*p, s.data, s.n);
        (*p)[s.n] = 0;
        *p += s.n + 1;
}

/** What the policy service may tell repetitions by: another question, another key. */
static void put_key(Buf *b, const Task *t) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(t->execution_id, id);
        buf_printf(b, "%s/%.*s/%u", id, SLICE_ARG(t->step_path), t->attempt);
}

static Value *make_config(const AuthzEngine *e, const Task *question) {
        Buf b = {0}, key = {0};
        JsonWriter w = json_writer(&b);
        put_key(&key, question);
        json_begin_object(&w);
        if (e->settings.token_file) {
                json_key(&w, "auth");
                json_begin_object(&w);
                json_key(&w, "bearerSecret");
                json_put_str(&w, TOKEN_NAME);
                json_end_object(&w);
        }
        json_key(&w, "idempotencyKey");
        json_put_string(&w, buf_slice(&key));
        json_key(&w, "method");
        json_put_str(&w, "POST");
        json_key(&w, "url");
        json_put_str(&w, e->settings.url);
        json_end_object(&w);
        Value *v = key.error ? NULL : attempt_take_value(&b);
        buf_deinit(&key);
        buf_deinit(&b);
        return v;
}

/** The call that puts @question: a task of its own, since the question may be cancelled and freed meanwhile. */
static Task *make_call(const AuthzEngine *e, const Task *question) {
        const Task *q = question;
        Task *t = calloc(1, sizeof(*t) + q->tenant.n + q->initiated_by.n + q->step_path.n + q->traceparent.n +
                                            4);
        if (!t)
                return NULL;
        char *p = (char *)(t + 1);
        list_init(&t->node);
        t->execution_id = q->execution_id;
        t->instance = q->instance;
        t->attempt = q->attempt;
        put_string(&p, q->tenant, &t->tenant);
        put_string(&p, q->initiated_by, &t->initiated_by);
        put_string(&p, q->step_path, &t->step_path);
        put_string(&p, q->traceparent, &t->traceparent);
        t->timeout_ms = e->settings.timeout_ms;
        t->input = value_ref(q->input);
        t->config = make_config(e, q);
        if (!t->config) {
                task_free(t);
                return NULL;
        }
        return t;
}

void authz_http_submit(AuthzEngine *e, Question *q) {
        Task *call = make_call(e, q->task);
        if (call) {
                e->http->vtable->submit(e->http, call); /* from here on the question may be gone */
                return;
        }
        pthread_mutex_lock(&e->lock);
        q = authz_take(e, q->key); /* nobody else can have: only the writer cancels, and it is here */
        pthread_mutex_unlock(&e->lock);
        TaskResult result = authz_unavailable(e, q, "OUT_OF_MEMORY",
                                              SLICE("there was not enough memory to ask it"), 0);
        authz_post(e, q, &result);
}

/* ---- what came of it ----------------------------------------------------------------------------------- */

static Slice text_at(const json_t *object, const char *key) {
        return json_string_slice(json_object_get(object, key));
}

/** On the HTTP executor's thread. Takes the values inside @inner. */
static void on_result(void *userdata, const TaskResult *inner) {
        AuthzEngine *e = userdata;
        uint8_t key[ATTEMPT_KEY_SIZE];
        attempt_key(key, inner->execution_id, inner->instance, inner->attempt);
        pthread_mutex_lock(&e->lock);
        Question *q = authz_take(e, key);
        pthread_mutex_unlock(&e->lock);
        if (q) {
                const json_t *exchange =
                                inner->evidence ? json_array_get(value_json(inner->evidence), 0) : NULL;
                const json_t *error = inner->error ? value_json(inner->error) : NULL;
                Slice source = text_at(exchange, "sourceRef");
                TaskResult result =
                                inner->ok ? authz_decide(e, q,
                                                         json_object_get(value_json(inner->output), "body"),
                                                         text_at(exchange, "sha256"),
                                                         source.n > 0 ? source : SLICE("AUTHZ_URL"))
                                          : authz_unavailable(
                                                            e, q,
                                                            json_string_value(json_object_get(error, "code")),
                                                            text_at(error, "message"), inner->retry_after_ms);
                authz_post(e, q, &result);
        }
        value_unref(inner->output);
        value_unref(inner->error);
        value_unref(inner->logs);
        value_unref(inner->evidence);
}

int authz_http_start(AuthzEngine *e, Report *report) {
        const AuthzSettings *s = &e->settings;
        int r = http_url_check(s->url, report);
        if (r < 0) {
                _cleanup_free_ char *why = report->message ? strdup(report->message) : NULL;
                if (r == -EINVAL && why)
                        report_set(report, RUNBOOK_INVALID_REQUEST,
                                   "AUTHZ_URL: %s; or nats:<subject> for a service on the bus", why);
                return r;
        }
        char *token = s->token_file ? token_read(s->token_file) : NULL;
        if (s->token_file && !token)
                return report_set(report, RUNBOOK_INVALID_REQUEST, "AUTHZ_TOKEN_FILE: %s can't be read: %s",
                                  s->token_file,
                                  errno == EINVAL ? "it must hold a token of 1 to 8192 bytes"
                                                  : strerror(errno));
        if (token) {
                explicit_bzero(token, strlen(token));
                free(token);
        }
        HttpSettings settings = {.in_flight_max = AUTHZ_IN_FLIGHT_MAX,
                                 .timeout_default_ms = s->timeout_ms,
                                 .response_bytes_max = AUTHZ_ANSWER_BYTES_MAX,
                                 .any_address = true,
                                 .ca_file = s->ca_file,
                                 .user_agent = s->user_agent};
        ExecutorHost host = {.post_result = on_result,
                             .secret = find_secret,
                             .clock = e->host.clock,
                             .ids = e->host.ids,
                             .userdata = e};
        return http_executor_new(&settings, &host, report, &e->http);
}
