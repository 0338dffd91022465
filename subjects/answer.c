/*
 * Answers
 *
 * Every message gets exactly one. An answer knows where it goes and what it must count; whoever ends the
 * message's road (a decoder that refuses, a query, the writer after its commit) gives it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "subjects/handler.h"

typedef struct InboxAnswer {
        Answer base;
        size_t n_reply;
        char reply[];
} InboxAnswer;

int64_t monotonic_ns(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void endpoint_count(Subjects *s, EndpointId id, int64_t since_ns, RunbookCode code, Slice body) {
        Endpoint *e = &s->endpoints[id];
        __atomic_add_fetch(&e->n_requests, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&e->processing_ns, (uint64_t)(monotonic_ns() - since_ns), __ATOMIC_RELAXED);
        if (code == RUNBOOK_OK)
                return;
        __atomic_add_fetch(&e->n_errors, 1, __ATOMIC_RELAXED);
        if ((unsigned)code < RUNBOOK_N_CODES)
                __atomic_add_fetch(&e->n_refused[code], 1, __ATOMIC_RELAXED);
        /* Only the newest error is kept: when another thread is just writing one, that one is as good. */
        if (pthread_mutex_trylock(&e->lock))
                return;
        Slice text = slice_cut_utf8(body, LAST_ERROR_MAX - 1);
        if (text.n > 0)
                memcpy(e->last_error, text.data, text.n);
        e->last_error[text.n] = 0;
        pthread_mutex_unlock(&e->lock);
}

static void inbox_give(Answer *base, RunbookCode code, Slice body, bool durable) {
        InboxAnswer *a = (InboxAnswer *)base;
        Subjects *s = base->subjects;
        if (a->n_reply > 0) {
                /* Queries are answered where they are made; the writer must not wait for a socket. */
                if (base->endpoint == ENDPOINT_QUERY)
                        bus_reply_now(s->bus, (Slice){a->reply, a->n_reply}, code, body);
                else
                        bus_reply(s->bus, (Slice){a->reply, a->n_reply}, code, body);
        }
        endpoint_count(s, base->endpoint, base->since_ns, code, body);
        free(a);
}

Answer *answer_new_inbox(Subjects *s, EndpointId endpoint, Slice reply) {
        InboxAnswer *a = malloc(sizeof(*a) + reply.n + 1);
        if (!a)
                return NULL;
        *a = (InboxAnswer){.base = {inbox_give, s, endpoint, monotonic_ns(), .is_awaited = reply.n > 0},
                             .n_reply = reply.n};
        if (reply.n > 0)
                memcpy(a->reply, reply.data, reply.n);
        a->reply[reply.n] = 0;
        return &a->base;
}

void answer_sent(Answer *base) {
        endpoint_count(base->subjects, base->endpoint, base->since_ns, RUNBOOK_OK, SLICE_NULL);
        free((InboxAnswer *)base);
}

bool code_is_durable(RunbookCode code) {
        switch (code) {
        case RUNBOOK_OVERLOADED:
        case RUNBOOK_UNAVAILABLE:
        case RUNBOOK_STORE_FULL:
        case RUNBOOK_INTERNAL:
                return false;
        default:
                return true;
        }
}

void answer_refuse(Answer *a, const Report *report) {
        _cleanup_(buf_deinit) Buf body = {0};
        RunbookCode code = report->code;
        if (code == RUNBOOK_OK) /* as report_write_json decides */
                code = report->n_details > 0 ? RUNBOOK_INVALID_REQUEST : RUNBOOK_INTERNAL;
        report_write_json(report, &body);
        if (body.error)
                answer_refuse_code(a, RUNBOOK_INTERNAL, "out of memory");
        else
                a->give(a, code, buf_slice(&body), code_is_durable(code));
}

void answer_refuse_code(Answer *a, RunbookCode code, const char *sentence) {
        char body[512];
        int n = snprintf(body, sizeof(body), "{\"version\":\"v1\",\"error\":\"%s\",\"message\":\"%s\"}",
                         runbook_code_name(code), sentence);
        a->give(a, code, (Slice){body, (size_t)n}, code_is_durable(code));
}
