/*
 * Asking others: request-reply with whoever listens on a subject
 *
 * One inbox for all questions, made anew with each start so that answers to an earlier life go nowhere. Its last
 * token is the asker's own number for the question; that nobody listens is told by the server at once (503).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "subjects/handler.h"

#define TOKEN_DIGITS 16

void ask_init(Asking *a, Ids ids) {
        uint64_t words[2];
        ids.random(ids.userdata, words, 2);
        snprintf(a->inbox, sizeof(a->inbox), "_INBOX.runbookd.ask.%016llx%016llx",
                 (unsigned long long)words[0], (unsigned long long)words[1]);
        pthread_rwlock_init(&a->lock, NULL);
}

void ask_deinit(Asking *a) { pthread_rwlock_destroy(&a->lock); }

int ask_publish(void *userdata, const char *subject, uint64_t token, Slice body) {
        Subjects *s = userdata;
        char reply[ASK_INBOX_MAX + TOKEN_DIGITS + 2];
        snprintf(reply, sizeof(reply), "%s.%016llx", s->asking.inbox, (unsigned long long)token);
        return bus_request(s->bus, subject, reply, body);
}

void ask_listen(void *userdata, void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody),
                void *asker) {
        Asking *a = &((Subjects *)userdata)->asking;
        pthread_rwlock_wrlock(&a->lock); /* waits for calls under way */
        a->on_answer = on_answer;
        a->asker = asker;
        pthread_rwlock_unlock(&a->lock);
}

static bool read_token(Slice subject, uint64_t *ret) {
        if (subject.n < TOKEN_DIGITS)
                return false;
        *ret = 0;
        for (size_t i = subject.n - TOKEN_DIGITS; i < subject.n; i++) {
                static const char digits[] = "0123456789abcdef";
                const char *at = subject.data[i] ? strchr(digits, subject.data[i]) : NULL;
                if (!at)
                        return false;
                *ret = *ret << 4 | (uint64_t)(at - digits);
        }
        return true;
}

void ask_answered(void *userdata, const Message *m, bool shed) {
        Asking *a = &((Subjects *)userdata)->asking;
        const char *status = m->body.n == 0 ? message_header(m, "Status") : NULL;
        uint64_t token;
        if (!read_token(m->subject, &token))
                return;
        pthread_rwlock_rdlock(&a->lock);
        if (a->on_answer)
                a->on_answer(a->asker, token, m->body, status && !strcmp(status, "503"));
        pthread_rwlock_unlock(&a->lock);
}
