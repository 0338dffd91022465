#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "mailbox.h"

#define CHECK(what) check((what), __LINE__, #what)

static void check(bool ok, int line, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "mailbox.c:%d: %s\n", line, what);
        abort();
}

static void enter(Mailbox *m) {
        if (m->aside)
                m->aside(true);
        pthread_mutex_lock(&m->lock);
}

static void leave(Mailbox *m) {
        pthread_cond_broadcast(&m->changed);
        pthread_mutex_unlock(&m->lock);
        if (m->aside)
                m->aside(false);
}

/* ---- the bus ------------------------------------------------------------------------------------------- */

static char *copy(Slice s) {
        CHECK(!memchr(s.n ? s.data : "", 0, s.n));
        CHECK(s.data[s.n] == 0); /* as ports.h promises */
        return strdup(s.data);
}

static char *copy_headers(const OutMessage *msg) {
        Buf b = {0};
        for (size_t i = 0; i < msg->n_headers; i++) {
                const OutHeader *h = &msg->headers[i];
                CHECK(strlen(h->name.data) == h->name.n && strlen(h->value.data) == h->value.n);
                buf_printf(&b, "%s: %s\n", h->name.data, h->value.data);
        }
        buf_put_char(&b, 0);
        CHECK(!b.error);
        return b.data;
}

static void keep(Mailbox *m, const OutMessage *msg) {
        m->letters = reallocarray(m->letters, m->n_letters + 1, sizeof(*m->letters));
        CHECK(m->letters);
        SentLetter *l = &m->letters[m->n_letters++];
        *l = (SentLetter){.subject = copy(msg->subject),
                          .id = copy(msg->id),
                          .payload = malloc(msg->payload.n + 1),
                          .headers = copy_headers(msg),
                          .n_payload = msg->payload.n,
                          .needs_stream = msg->needs_stream,
                          .done = msg->done,
                          .owner = msg->owner,
                          .at_ns = attempt_now_ns()};
        CHECK(l->payload);
        memcpy(l->payload, msg->payload.data, msg->payload.n);
        l->payload[msg->payload.n] = 0;
        memcpy(l->cookie, msg->cookie, sizeof(l->cookie));
}

static int on_send(void *userdata, const OutMessage *msg) {
        Mailbox *m = userdata;
        enter(m);
        int r = m->refusal;
        if (r < 0)
                m->n_refused++;
        else if (m->is_counting_only)
                m->n_counted++;
        else
                keep(m, msg);
        leave(m);
        return r;
}

static void on_retract(void *userdata, uint64_t stream_seq, uint64_t epoch) {
        Mailbox *m = userdata;
        enter(m);
        m->n_retracted++;
        m->retracted_seq = stream_seq;
        m->retracted_epoch = epoch;
        leave(m);
}

static void on_acknowledge(void *userdata, Slice ack) {}

static size_t on_payload_max(void *userdata) { return MAILBOX_PAYLOAD_MAX; }

static void on_forget(void *userdata, void *owner) {
        Mailbox *m = userdata;
        enter(m);
        m->n_forgotten++;
        while (m->n_saying > 0)
                pthread_cond_wait(&m->changed, &m->lock);
        for (size_t i = 0; i < m->n_letters; i++)
                if (m->letters[i].owner == owner)
                        m->letters[i].done = NULL;
        leave(m);
}

bool mailbox_say(Mailbox *m, size_t i, const OutReceipt *receipt) {
        pthread_mutex_lock(&m->lock);
        CHECK(i < m->n_letters);
        SentLetter l = m->letters[i];
        m->n_saying += l.done != NULL;
        pthread_mutex_unlock(&m->lock);
        if (!l.done)
                return false;
        l.done(l.owner, l.cookie, receipt);
        pthread_mutex_lock(&m->lock);
        m->n_saying--;
        pthread_cond_broadcast(&m->changed);
        pthread_mutex_unlock(&m->lock);
        return true;
}

void mailbox_confirm(Mailbox *m, size_t i, uint64_t seq) {
        mailbox_say(m, i, &(OutReceipt){.stream = SLICE("TASKS"), .stream_seq = seq, .epoch = 3});
}

/* ---- the host ------------------------------------------------------------------------------------------ */

/** Under the lock. */
static void hold(Mailbox *m, void (*settled)(void *userdata, bool committed), void *userdata) {
        CHECK(m->n_unsettled < N_ELEMENTS(m->unsettled));
        m->unsettled[m->n_unsettled++] = (Unsettled){settled, userdata};
}

static void on_result(void *userdata, const TaskResult *result) {
        Mailbox *m = userdata;
        TaskResult r = *result;
        enter(m);
        if (m->holds && r.settled) {
                hold(m, r.settled, r.settled_userdata);
                r.settled = NULL;
        }
        pthread_mutex_unlock(&m->lock);
        m->on_result(&m->h, &r);
        pthread_mutex_lock(&m->lock);
        leave(m);
}

static void on_progress(void *userdata, const TaskProgress *progress) {
        Mailbox *m = userdata;
        enter(m);
        CHECK(m->n_progress < N_ELEMENTS(m->progress) && progress->settled);
        m->progress[m->n_progress++] = *progress;
        bool holds = m->holds;
        if (holds)
                hold(m, progress->settled, progress->settled_userdata);
        leave(m);
        if (!holds)
                progress->settled(progress->settled_userdata, true);
}

void mailbox_settle(Mailbox *m, bool committed) {
        pthread_mutex_lock(&m->lock);
        CHECK(m->n_unsettled > 0);
        Unsettled u = m->unsettled[0];
        memmove(m->unsettled, m->unsettled + 1, --m->n_unsettled * sizeof(u));
        pthread_mutex_unlock(&m->lock);
        u.settled(u.userdata, committed);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool wait_for(Mailbox *m, const size_t *what, size_t n) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += HARNESS_WAIT_MS / 1000;
        pthread_mutex_lock(&m->lock);
        int r = 0;
        while (*what < n && r == 0)
                r = pthread_cond_timedwait(&m->changed, &m->lock, &until);
        bool ok = *what >= n;
        pthread_mutex_unlock(&m->lock);
        return ok;
}

bool mailbox_wait(Mailbox *m, size_t n) {
        return wait_for(m, m->is_counting_only ? &m->n_counted : &m->n_letters, n);
}

bool mailbox_wait_refused(Mailbox *m, size_t n) { return wait_for(m, &m->n_refused, n); }

void mailbox_init(Mailbox *m) {
        pthread_mutex_init(&m->lock, NULL);
        pthread_cond_init(&m->changed, NULL);
        m->host = harness_host(&m->h);
        m->on_result = m->host.post_result;
        m->host.post_result = on_result;
        m->host.post_progress = on_progress;
        m->outlet = (Outlet){.send = on_send,
                             .retract = on_retract,
                             .acknowledge = on_acknowledge,
                             .payload_max = on_payload_max,
                             .forget = on_forget,
                             .userdata = m};
}

void mailbox_deinit(Mailbox *m) {
        harness_stop(&m->h);
        CHECK(m->n_unsettled == 0);
        for (size_t i = 0; i < m->n_letters; i++) {
                free(m->letters[i].subject);
                free(m->letters[i].id);
                free(m->letters[i].payload);
                free(m->letters[i].headers);
        }
        free(m->letters);
        for (size_t i = 0; i < m->n_progress; i++) {
                value_unref(m->progress[i].logs);
                value_unref(m->progress[i].evidence);
        }
        pthread_mutex_destroy(&m->lock);
        pthread_cond_destroy(&m->changed);
        *m = (Mailbox){0};
}
