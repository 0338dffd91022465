/*
 * Connecting, and the one request that everything else is made of.
 *
 * Why a request may be sent several times: an answer can be lost with the connection, or come from an engine
 * that was killed after its commit. The command id makes that harmless — the engine keeps each id's result
 * and answers with it again — so the client repeats a silent request by itself. "No responders" at the first
 * attempt is final, as nobody has received anything; at a later one it may be the engine restarting, so the
 * remaining attempts are used up with a pause between.
 */

#include <stdlib.h>
#include <time.h>
#include "base/cleanup.h"
#include "base/uuid.h"
#include "client/client.h"
#include "client/random_bits.h"
#include "client/subject.h"
#include "json/json_read.h"

#define SERVERS_MAX        64
#define NO_ENGINE_PAUSE_MS 500 /* between attempts while an engine restarts */
#define SMALL_REPLY_BYTES                                                                                    \
        8192 /* an error body that came without its headers is looked for in replies up to this size */

void runbook_new_id(char ret[RUNBOOK_CLIENT_ID_SIZE]) {
        uint64_t random[2];
        struct timespec now;

        random_bits(random);
        clock_gettime(CLOCK_REALTIME, &now);
        uuid_format(uuid_v7((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, random[0], random[1]), ret);
}

void client_put_subject(const RunbookClient *c, const char *family, bool with_user, Buf *b) {
        buf_put_str(b, c->settings.prefix);
        buf_put_char(b, '.');
        subject_put_token(b, slice_from_str(c->settings.tenant));
        buf_put_char(b, '.');
        buf_put_str(b, family);
        if (with_user) {
                buf_put_char(b, '.');
                subject_put_token(b, slice_from_str(c->settings.user));
        }
}

/* ── Connecting ────────────────────────────────────────────────────────────────────────────────── */

static void on_gap(void *userdata) { client_note_gap(userdata); }

/** Cut @list (modified) at its commas. */
static size_t split_servers(char *list, const char *ret[SERVERS_MAX]) {
        size_t n = 0;
        char *rest = NULL;

        for (char *s = strtok_r(list, ", \t", &rest); s && n < SERVERS_MAX; s = strtok_r(NULL, ", \t", &rest))
                ret[n++] = s;
        return n;
}

static int check_settings(const ClientSettings *s, RunbookClientError *e) {
        if (!subject_is_valid(slice_from_str(s->prefix)))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "prefix \"%s\" is not a NATS subject",
                                        s->prefix);
        if (!subject_is_valid(slice_from_str(s->inbox_prefix)))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "inbox prefix \"%s\" is not a NATS subject", s->inbox_prefix);
        if (s->attempts > CLIENT_ATTEMPTS_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "at most %d attempts",
                                        CLIENT_ATTEMPTS_MAX);
        if (s->timeout_ms > CLIENT_TIMEOUT_MS_MAX || s->connect_timeout_ms > CLIENT_TIMEOUT_MS_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "at most %lld ms of timeout",
                                        CLIENT_TIMEOUT_MS_MAX);
        return 0;
}

static int open_link(RunbookClient *c, RunbookClientError *e) {
        const ClientSettings *s = &c->settings;
        _cleanup_free_ char *servers = strdup(s->servers);
        const char *list[SERVERS_MAX];
        LinkOptions o = {
                        .servers = list,
                        .credentials = s->credentials,
                        .nkey = s->nkey,
                        .user = s->nats_user,
                        .password = s->nats_password,
                        .token = s->nats_token,
                        .tls_ca = s->tls_ca,
                        .tls_certificate = s->tls_certificate,
                        .tls_key = s->tls_key,
                        .inbox_prefix = s->inbox_prefix,
                        .name = s->name,
                        .connect_timeout_ms = s->connect_timeout_ms,
                        .on_gap = on_gap,
                        .userdata = c,
        };

        if (!servers)
                return client_error_memory(e);
        o.n_servers = split_servers(servers, list);
        if (o.n_servers == 0)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "no NATS server was given");
        return link_open(&o, &c->link, e);
}

int runbook_client_connect(const RunbookClientOptions *options, RunbookClient **ret, RunbookClientError *e) {
        RunbookClient *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return client_error_memory(e);
        pthread_mutex_init(&c->lock, NULL);
        list_init(&c->subscriptions);
        r = client_settings_load(options, &c->settings, e);
        if (r == 0)
                r = check_settings(&c->settings, e);
        if (r == 0)
                r = open_link(c, e);
        if (r < 0) {
                runbook_client_close(c);
                return r;
        }
        *ret = c;
        return 0;
}

void runbook_client_close(RunbookClient *c) {
        if (!c)
                return;
        link_close(c->link);
        client_settings_deinit(&c->settings);
        pthread_mutex_destroy(&c->lock);
        free(c);
}

void runbook_client_shutdown(void) { link_shutdown(); }

const char *runbook_client_tenant(const RunbookClient *c) { return c->settings.tenant; }

const char *runbook_client_user(const RunbookClient *c) { return c->settings.user; }

const char *runbook_client_prefix(const RunbookClient *c) { return c->settings.prefix; }

bool runbook_client_is_connected(RunbookClient *c) { return link_is_connected(c->link); }

/* ── Replies ───────────────────────────────────────────────────────────────────────────────────── */

/** The reply and the memory that its public fields point to. */
typedef struct ReplyBox {
        RunbookReply reply;
        char *body, *message;
} ReplyBox;

void runbook_reply_free(RunbookReply *reply) {
        ReplyBox *box = (ReplyBox *)reply;

        if (!box)
                return;
        free(box->body);
        free(box->message);
        free(box);
}

/** What the error body says; false if @json is none. */
static bool take_error_body(ReplyBox *box, const json_t *json) {
        const char *name = json_string_value(json_object_get(json, "error"));
        const char *message = json_string_value(json_object_get(json, "message"));

        if (!name)
                return false;
        box->reply.code = runbook_code_from_name(name);
        box->reply.status = runbook_code_http_status(box->reply.code);
        box->message = strdup(message ? message : name);
        return true;
}

/** Is it a refusal? Told by the service headers, or by the body where somebody in between has lost them. */
static void read_refusal(ReplyBox *box, const LinkAnswer *a) {
        _cleanup_(report_deinit) Report report = {0};
        bool is_refusal = a->error_code || a->error_text;
        uint64_t status = 0;
        json_t *json;

        if (!is_refusal && (a->body_size > SMALL_REPLY_BYTES || !strstr(a->body, "\"error\"")))
                return;
        json = json_parse((Slice){a->body, a->body_size}, CLIENT_BODY_BYTES_MAX, &report);
        if (take_error_body(box, json)) {
                box->reply.is_error = true;
        } else if (is_refusal) {
                box->reply.is_error = true;
                box->reply.code = RUNBOOK_INTERNAL;
                box->reply.status = 500;
                box->message = strdup(a->error_text ? a->error_text
                                                    : "the engine refused without saying why");
        }
        json_decref(json);
        if (box->reply.is_error && a->error_code && slice_to_u64(slice_from_str(a->error_code), &status) &&
            status >= 400 && status <= 599)
                box->reply.status = (int)status;
}

/** @answer's body moves into the reply. */
static int make_reply(LinkAnswer *answer, RunbookReply **ret, RunbookClientError *e) {
        ReplyBox *box = calloc(1, sizeof *box);

        if (!box)
                return client_error_memory(e);
        box->reply.code = RUNBOOK_OK;
        box->reply.status = 200;
        read_refusal(box, answer);
        if (box->reply.is_error && !box->message) {
                free(box);
                return client_error_memory(e);
        }
        box->body = STEAL(answer->body);
        box->reply.body = box->body;
        box->reply.body_size = answer->body_size;
        box->reply.message = box->message ? box->message : "";
        *ret = &box->reply;
        return 0;
}

/* ── Requests ──────────────────────────────────────────────────────────────────────────────────── */

/** One request with all its defaults filled in. */
typedef struct Request {
        LinkMessage message;
        RunbookHeader headers[CLIENT_HEADERS_MAX + 2]; /* the caller's, command id, reply-to */
        char generated_id[RUNBOOK_CLIENT_ID_SIZE];
        const char *command_id; /* NULL: none */
        int64_t timeout_ms;
        int attempts;
        int n_sent;
} Request;

static int request_init(Request *rq, RunbookClient *c, const RunbookCall *call, bool wants_id,
                        RunbookClientError *e) {
        size_t n_headers = call ? call->n_headers : 0;

        if (n_headers > CLIENT_HEADERS_MAX)
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "at most %d headers",
                                        CLIENT_HEADERS_MAX);
        for (size_t i = 0; i < n_headers; i++)
                rq->headers[i] = call->headers[i];
        rq->command_id = call ? call->command_id : NULL;
        if (!rq->command_id && wants_id) {
                runbook_new_id(rq->generated_id);
                rq->command_id = rq->generated_id;
        }
        if (rq->command_id)
                rq->headers[n_headers++] = (RunbookHeader){"Nats-Msg-Id", rq->command_id};
        rq->message.headers = rq->headers;
        rq->message.n_headers = n_headers;
        rq->timeout_ms = call && call->timeout_ms > 0 ? call->timeout_ms : c->settings.timeout_ms;
        rq->attempts = call && call->attempts > 0 ? call->attempts : c->settings.attempts;
        if (rq->timeout_ms > CLIENT_TIMEOUT_MS_MAX)
                rq->timeout_ms = CLIENT_TIMEOUT_MS_MAX;
        if (rq->attempts > CLIENT_ATTEMPTS_MAX)
                rq->attempts = CLIENT_ATTEMPTS_MAX;
        return 0;
}

static void sleep_ms(int64_t ms) {
        nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000}, NULL);
}

/** The last word when every attempt stayed without an answer. */
static int give_up(const Request *rq, int status, RunbookClientError *e) {
        if (!rq->command_id || rq->n_sent == 0)
                return status;
        if (status == RUNBOOK_CLIENT_E_TIMEOUT)
                return client_error_set(e, status,
                                        "no answer on %s within %lld ms, asked %d time%s; it may have been "
                                        "carried out: "
                                        "repeated with command id %s it will not be done twice",
                                        rq->message.subject, (long long)rq->timeout_ms, rq->n_sent,
                                        rq->n_sent == 1 ? "" : "s", rq->command_id);
        if (status == RUNBOOK_CLIENT_E_NO_ENGINE && rq->n_sent > 1)
                return client_error_set(e, status,
                                        "the engine went away before it answered on %s; it may have been "
                                        "carried out: "
                                        "repeated with command id %s it will not be done twice",
                                        rq->message.subject, rq->command_id);
        return status;
}

/** Send until there is an answer, or attempts are used up. */
static int exchange(RunbookClient *c, Request *rq, LinkAnswer *ret, RunbookClientError *e) {
        LinkCall *call;
        int r;

        if ((int64_t)rq->message.body_size > link_max_payload(c->link))
                return client_error_set(
                                e, RUNBOOK_CLIENT_E_TOO_LARGE,
                                "%zu bytes are more than this NATS server takes in one message (%lld)",
                                rq->message.body_size, (long long)link_max_payload(c->link));
        r = link_call_new(c->link, rq->message.subject, &call, e);
        if (r < 0)
                return r;
        rq->message.reply = link_call_inbox(call);
        do {
                if (r == RUNBOOK_CLIENT_E_NO_ENGINE)
                        sleep_ms(NO_ENGINE_PAUSE_MS);
                r = link_publish(c->link, &rq->message, e);
                if (r < 0)
                        break;
                rq->n_sent++;
                r = link_call_wait(call, rq->timeout_ms, ret, e);
        } while (rq->n_sent < rq->attempts &&
                 (r == RUNBOOK_CLIENT_E_TIMEOUT || (r == RUNBOOK_CLIENT_E_NO_ENGINE && rq->n_sent > 1)));
        link_call_free(call);
        return r < 0 ? give_up(rq, r, e) : 0;
}

static int finish(const Request *rq, LinkAnswer *answer, RunbookReply **ret, RunbookClientError *e) {
        int r = make_reply(answer, ret, e);

        if (r < 0)
                return r;
        memcpy((*ret)->command_id, rq->generated_id, sizeof rq->generated_id);
        (*ret)->attempts = rq->n_sent;
        return 0;
}

int runbook_client_request(RunbookClient *c, const char *subject, const char *body, size_t body_size,
                           const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        _cleanup_(buf_deinit) Buf full = {0};
        _cleanup_(link_answer_deinit) LinkAnswer answer = {0};
        _cleanup_free_ char *family_name = NULL;
        Request rq = {0};
        Slice rest = slice_from_str(subject), family = subject_next(&rest);
        int r;

        family_name = slice_dup(family);
        if (family_name)
                client_put_subject(c, family_name, true, &full);
        buf_put_char(&full, '.');
        buf_put_slice(&full, rest);
        if (!slice_eq_str(family, "cmd") && !slice_eq_str(family, "event") && !slice_eq_str(family, "query") &&
            !slice_eq_str(family, "result"))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "\"%s\" must begin with \"cmd.\", \"event.\", \"query.\" or \"result.\"",
                                        subject ? subject : "");
        if (!subject_is_valid(buf_slice(&full)))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "\"%s\" does not make a subject: tokens must be encoded and "
                                        "not empty, %d bytes at most",
                                        subject, SUBJECT_BYTES_MAX);
        r = request_init(&rq, c, call, !slice_eq_str(family, "query") && !slice_eq_str(family, "result"), e);
        if (r < 0)
                return r;
        buf_put_char(&full, 0);
        if (full.error || !family_name)
                return client_error_memory(e);
        rq.message.subject = full.data;
        rq.message.body = body;
        rq.message.body_size = body ? body_size : 0;
        r = exchange(c, &rq, &answer, e);
        return r < 0 ? r : finish(&rq, &answer, ret, e);
}

/* ── The durable queue ─────────────────────────────────────────────────────────────────────────── */

/** JetStream's answer to a publish: {"stream","seq"} or {"error":{"description"}}. */
static int check_ack(const LinkAnswer *a, const char *subject, RunbookClientError *e) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = json_parse((Slice){a->body, a->body_size}, CLIENT_BODY_BYTES_MAX, &report);
        const char *stream = json_string_value(json_object_get(json, "stream"));
        const char *description =
                        json_string_value(json_object_get(json_object_get(json, "error"), "description"));
        int r = 0;

        if (description)
                r = client_error_set(e, RUNBOOK_CLIENT_E_NO_ENGINE, "the queue does not take %s: %s", subject,
                                     description);
        else if (!stream)
                r = client_error_set(e, RUNBOOK_CLIENT_E_PROTOCOL, "what answers on %s is not a stream",
                                     subject);
        json_decref(json);
        return r;
}

/** Wait for the engine's own answer behind the queue. */
static int await_result(LinkCall *result, int64_t timeout_ms, const Request *rq, LinkAnswer *answer,
                        RunbookClientError *e) {
        int r;

        link_answer_deinit(answer);
        r = link_call_wait(result, timeout_ms, answer, e);
        if (r == RUNBOOK_CLIENT_E_TIMEOUT)
                return client_error_set(e, r,
                                        "queued as %s, but no engine has carried it out within %lld ms; it "
                                        "will when one is up",
                                        rq->command_id, (long long)timeout_ms);
        return r;
}

static int enqueue(RunbookClient *c, Request *rq, int64_t result_timeout_ms, RunbookReply **ret,
                   RunbookClientError *e) {
        _cleanup_(link_answer_deinit) LinkAnswer answer = {0};
        LinkCall *result = NULL;
        int r;

        if (result_timeout_ms > 0) {
                r = link_call_new(c->link, "", &result, e);
                if (r < 0)
                        return r;
                rq->headers[rq->message.n_headers++] =
                                (RunbookHeader){"Runbook-Reply-To", link_call_inbox(result)};
        }
        r = exchange(c, rq, &answer, e);
        if (r == RUNBOOK_CLIENT_E_NO_ENGINE)
                r = client_error_set(e, r,
                                     "no stream takes %s: runbookd creates RUNBOOK_QUEUE when it first "
                                     "connects to a NATS server "
                                     "with JetStream",
                                     rq->message.subject);
        if (r == 0)
                r = check_ack(&answer, rq->message.subject, e);
        if (r == 0 && result)
                r = await_result(result, result_timeout_ms, rq, &answer, e);
        link_call_free(result);
        return r < 0 ? r : finish(rq, &answer, ret, e);
}

int runbook_client_enqueue(RunbookClient *c, const char *verb, const char *body, size_t body_size,
                           int64_t result_timeout_ms, const RunbookCall *call, RunbookReply **ret,
                           RunbookClientError *e) {
        _cleanup_(buf_deinit) Buf full = {0};
        Request rq = {0};
        int r;

        client_put_subject(c, "queue", true, &full);
        buf_put_char(&full, '.');
        buf_put_str(&full, verb ? verb : "");
        if (!subject_is_valid(buf_slice(&full)))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID,
                                        "\"%s\" does not make a subject: tokens must be encoded and not "
                                        "empty",
                                        verb ? verb : "");
        r = request_init(&rq, c, call, true, e);
        if (r < 0)
                return r;
        buf_put_char(&full, 0);
        if (full.error)
                return client_error_memory(e);
        rq.message.subject = full.data;
        rq.message.body = body;
        rq.message.body_size = body ? body_size : 0;
        return enqueue(c, &rq, result_timeout_ms, ret, e);
}
