/*
 * Large definitions
 *
 * Reading a definition of many megabytes takes seconds, in which all other commands would wait: they are read
 * by one thread, in order. So those whose sender waits for the answer (and so can't count on an order) are put
 * aside, with a copy of their body, and read by another one. Tenants take turns, and none can fill the room
 * alone. One at a time: what reading takes in memory (json_tree_estimate) is taken once.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>

#include "subjects/heavy.h"

typedef struct HeavyJob {
        Turn turn;
        Answer *answer;
        Slice subject, body, command_id, default_command_id, traceparent; /* behind it, NUL-terminated */
} HeavyJob;

struct Heavy {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        TurnQueue waiting;
        size_t bytes_max;
        bool stopping, busy;
};

/* ---- jobs ---------------------------------------------------------------------------------------------- */

static Slice put(char **p, Slice s) {
        Slice copy = {*p, s.n};
        if (s.n > 0)
                memcpy(*p, s.data, s.n);
        (*p)[s.n] = 0;
        *p += s.n + 1;
        return copy;
}

static HeavyJob *job_new(const Message *m, Slice default_command_id, Answer *answer) {
        Slice id = slice_from_str(message_header(m, "Nats-Msg-Id"));
        Slice trace = slice_from_str(message_header(m, "traceparent"));
        HeavyJob *j = malloc(sizeof(*j) + m->subject.n + m->body.n + id.n + trace.n + default_command_id.n + 5);
        if (!j)
                return NULL;
        *j = (HeavyJob){.answer = answer, .turn.weight = m->body.n};
        char *p = (char *)(j + 1);
        j->subject = put(&p, m->subject);
        j->body = put(&p, m->body);
        j->command_id = put(&p, id);
        j->traceparent = put(&p, trace);
        j->default_command_id = put(&p, default_command_id);
        return j;
}

static const char *job_header(void *userdata, const char *name) {
        const HeavyJob *j = userdata;
        Slice value = !strcmp(name, "Nats-Msg-Id")   ? j->command_id
                      : !strcmp(name, "traceparent") ? j->traceparent
                                                     : SLICE_NULL;
        return value.n > 0 ? value.data : NULL;
}

static void job_run(Subjects *s, HeavyJob *j) {
        Message m = {.subject = j->subject, .body = j->body, .header = job_header, .userdata = j};
        SubjectParts parts;
        Report report = {0};
        subject_split(m.subject, s->prefix, &parts, &report); /* it went well before */
        report_deinit(&report);
        cmd_read(s, &parts, &m, j->default_command_id, j->answer);
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

static void *run(void *subjects) {
        Subjects *s = subjects;
        Heavy *h = s->heavy;
        pthread_mutex_lock(&h->lock);
        for (;;) {
                Turn *turn = turns_take(&h->waiting);
                if (!turn && h->stopping)
                        break;
                if (!turn) {
                        pthread_cond_wait(&h->changed, &h->lock);
                        continue;
                }
                HeavyJob *j = LIST_ENTRY(turn, HeavyJob, turn);
                h->busy = true;
                pthread_mutex_unlock(&h->lock);
                job_run(s, j);
                free(j);
                malloc_trim(0); /* a tree of hundreds of megabytes is gone: the system gets it back */
                pthread_mutex_lock(&h->lock);
                h->busy = false;
                pthread_cond_broadcast(&h->changed);
        }
        pthread_mutex_unlock(&h->lock);
        return NULL;
}

int heavy_start(Subjects *s) {
        Heavy *h = calloc(1, sizeof(*h));
        pthread_condattr_t attr;
        sigset_t all, before;
        if (!h)
                return -ENOMEM;
        pthread_mutex_init(&h->lock, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&h->changed, &attr);
        pthread_condattr_destroy(&attr);
        turns_init(&h->waiting, s->hash_seed[0], s->hash_seed[1]);
        h->bytes_max = bus_pending_max(s->settings);
        s->heavy = h;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        int r = -pthread_create(&h->thread, NULL, run, s);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r == 0)
                pthread_setname_np(h->thread, "definitions");
        if (r < 0) {
                s->heavy = NULL;
                turns_deinit(&h->waiting);
                pthread_cond_destroy(&h->changed);
                pthread_mutex_destroy(&h->lock);
                free(h);
        }
        return r;
}

void heavy_stop(Subjects *s, int64_t deadline_ns) {
        Heavy *h = s->heavy;
        if (!h)
                return;
        const struct timespec until = {deadline_ns / 1000000000, deadline_ns % 1000000000};
        pthread_mutex_lock(&h->lock);
        int rc = 0;
        while ((h->waiting.n > 0 || h->busy) && rc == 0)
                rc = pthread_cond_timedwait(&h->changed, &h->lock, &until);
        for (Turn *t; (t = turns_take(&h->waiting));) {
                HeavyJob *j = LIST_ENTRY(t, HeavyJob, turn);
                answer_refuse_code(j->answer, RUNBOOK_UNAVAILABLE, "the engine is stopping; try again");
                free(j);
        }
        h->stopping = true;
        pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
        pthread_join(h->thread, NULL);
        s->heavy = NULL;
        turns_deinit(&h->waiting);
        pthread_cond_destroy(&h->changed);
        pthread_mutex_destroy(&h->lock);
        free(h);
}

/* ---- the door ------------------------------------------------------------------------------------------ */

static bool has_room(Heavy *h, Slice tenant, size_t n) {
        if (h->waiting.n == 0)
                return true;
        if (h->waiting.weight + n > h->bytes_max)
                return false;
        TurnShare share = turns_share(&h->waiting, tenant);
        return share.weight <= HEAVY_TENANT_SHARE * (h->bytes_max - h->waiting.weight);
}

bool heavy_take(Subjects *s, const SubjectParts *parts, const Message *m, Slice default_command_id, Answer *answer) {
        Heavy *h = s->heavy;
        if (!h)
                return false;
        pthread_mutex_lock(&h->lock);
        bool room = has_room(h, parts->tenant, m->body.n);
        HeavyJob *j = room ? job_new(m, default_command_id, answer) : NULL;
        bool taken = j && turns_add(&h->waiting, parts->tenant, &j->turn) == 0;
        if (taken)
                pthread_cond_broadcast(&h->changed);
        pthread_mutex_unlock(&h->lock);
        if (taken)
                return true;
        free(j);
        answer_refuse_code(answer, room ? RUNBOOK_INTERNAL : RUNBOOK_OVERLOADED,
                           room ? "out of memory"
                                : "too many large definitions are waiting to be read; try again later");
        return true;
}
