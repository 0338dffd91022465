/*
 * Questions over the bus
 *
 * The question's JSON goes to a subject, the answer comes to an inbox whose last token names the question.
 * One thread puts questions (a publish may block, and the writer's thread must not) and keeps time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "executors/authz_internal.h"
#include "executors/thread.h"
#include "json/json_read.h"

#define NS_PER_MS 1000000LL

static Slice token_slice(const Question *q) { return slice_from_bytes(&q->token, sizeof(q->token)); }

int authz_bus_submit(AuthzEngine *e, Question *q) {
        q->token = ++e->last_token;
        if (map_put(&e->tokens, token_slice(q), q) < 0)
                return -ENOMEM;
        if (due_set(&e->due, &q->due, attempt_now_ns() + e->settings.timeout_ms * NS_PER_MS) < 0) {
                map_remove(&e->tokens, token_slice(q));
                return -ENOMEM;
        }
        list_push_back(&e->outgoing, &q->node);
        pthread_cond_signal(&e->changed);
        return 0;
}

void authz_bus_forget(AuthzEngine *e, Question *q) {
        map_remove(&e->tokens, token_slice(q));
        due_remove(&e->due, &q->due);
        list_remove(&q->node);
}

/** Take the question @token; NULL: nobody waits for it any more. */
static Question *take(AuthzEngine *e, uint64_t token) {
        pthread_mutex_lock(&e->lock);
        Question *q = map_get(&e->tokens, slice_from_bytes(&token, sizeof(token)));
        if (q)
                q = authz_take(e, q->key);
        pthread_mutex_unlock(&e->lock);
        return q;
}

static void fail(AuthzEngine *e, uint64_t token, const char *cause, const char *why) {
        Question *q = take(e, token);
        if (!q)
                return;
        TaskResult result = authz_unavailable(e, q, cause, slice_from_str(why), 0);
        authz_post(e, q, &result);
}

/* ---- answers ------------------------------------------------------------------------------------------- */

/** On a thread of the bus. */
static void on_answer(void *userdata, uint64_t token, Slice body, bool nobody) {
        AuthzEngine *e = userdata;
        char why[AUTHZ_SUBJECT_BYTES_MAX + 128], text[DIGEST_TEXT_SIZE + 1];
        Digest digest;

        if (nobody) {
                snprintf(why, sizeof(why), "nobody listens on the NATS subject %s", e->subject);
                fail(e, token, "NO_RESPONDERS", why);
                return;
        }
        Question *q = take(e, token);
        if (!q)
                return;
        _cleanup_(report_deinit) Report report = {0};
        json_t *answer = json_parse(body, AUTHZ_ANSWER_BYTES_MAX, &report);
        TaskResult result;
        if (!answer) {
                result = authz_unavailable(e, q, "ANSWER_INVALID",
                                           slice_from_str(report.message ? report.message : "out of memory"),
                                           0);
        } else if (digest_slice(body, &digest) < 0) {
                result = authz_unavailable(e, q, "OUT_OF_MEMORY", SLICE("there was not enough memory"), 0);
        } else {
                digest_format(&digest, text);
                result = authz_decide(e, q, answer, (Slice){text, DIGEST_TEXT_SIZE},
                                      slice_from_str(e->settings.url));
        }
        json_decref(answer);
        authz_post(e, q, &result);
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

/** Under the lock, which is let go meanwhile. */
static void put_one(AuthzEngine *e, Question *q) {
        uint64_t token = q->token;
        _cleanup_(value_unref_p) Value *body = value_ref(q->task->input); /* @q may go while it is sent */
        list_remove(&q->node);
        pthread_mutex_unlock(&e->lock);
        int r = e->bus.ask(e->bus.userdata, e->subject, token, value_bytes(body));
        if (r == -EMSGSIZE)
                fail(e, token, "TOO_LARGE",
                     "the question is larger than the NATS server takes in one message");
        else if (r < 0)
                fail(e, token, "CONNECT", "there is no connection to NATS to ask it over");
        pthread_mutex_lock(&e->lock);
}

static void time_out(AuthzEngine *e, uint64_t token) {
        char why[AUTHZ_SUBJECT_BYTES_MAX + 128];
        pthread_mutex_unlock(&e->lock);
        snprintf(why, sizeof(why), "no answer came on the NATS subject %s within %lld ms (AUTHZ_TIMEOUT_MS)",
                 e->subject, (long long)e->settings.timeout_ms);
        fail(e, token, "TIMEOUT", why);
        pthread_mutex_lock(&e->lock);
}

static void *run(void *engine) {
        AuthzEngine *e = engine;
        pthread_mutex_lock(&e->lock);
        while (!e->stopping) {
                const Due *first = due_first(&e->due);
                if (!list_is_empty(&e->outgoing)) {
                        put_one(e, LIST_ENTRY(e->outgoing.next, Question, node));
                } else if (!first) {
                        pthread_cond_wait(&e->changed, &e->lock);
                } else if (first->ns <= attempt_now_ns()) {
                        time_out(e, LIST_ENTRY(first, Question, due)->token);
                } else {
                        struct timespec until = {.tv_sec = first->ns / 1000000000,
                                                 .tv_nsec = first->ns % 1000000000};
                        pthread_cond_timedwait(&e->changed, &e->lock, &until);
                }
        }
        pthread_mutex_unlock(&e->lock);
        return NULL;
}

void authz_bus_stop(AuthzEngine *e) {
        e->bus.listen(e->bus.userdata, NULL, NULL);
        pthread_mutex_lock(&e->lock);
        e->stopping = true;
        pthread_cond_signal(&e->changed);
        pthread_mutex_unlock(&e->lock);
        if (e->has_thread)
                pthread_join(e->thread, NULL);
}

static bool is_subject(const char *s) {
        size_t n = strlen(s);
        if (n == 0 || n > AUTHZ_SUBJECT_BYTES_MAX || s[0] == '.' || s[n - 1] == '.' || strstr(s, ".."))
                return false;
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || s[i] == '*' || s[i] == '>')
                        return false;
        return true;
}

int authz_bus_start(AuthzEngine *e, Report *report) {
        if (!is_subject(e->subject))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "AUTHZ_URL: \"%.300s\" is not a NATS subject that can be asked (tokens "
                                  "with dots "
                                  "between, no wildcards, at most %d bytes)",
                                  e->subject, AUTHZ_SUBJECT_BYTES_MAX);
        int r = executor_thread_start(&e->thread, "authz", run, e);
        e->has_thread = r == 0;
        if (r == 0)
                e->bus.listen(e->bus.userdata, on_answer, e);
        return r;
}
