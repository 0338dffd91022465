/*
 * Words from workers
 *
 * A report names its attempt by the task's token. A result goes to the store first and is answered after: a worker
 * that heard "accepted" may forget the task, one that heard nothing sends its result again. What is late or
 * repeated is answered and ignored. Heartbeats that say nothing new never leave this file.
 *
 * Records on their way to the store hold the attempt's key, not the attempt: it may end meanwhile.
 */
#include <errno.h>
#include <stdlib.h>

#include "executors/worker_internal.h"

/** Who is told what became of a record. */
typedef struct Pending {
        WorkerExecutor *w;
        uint8_t key[ATTEMPT_KEY_SIZE];
        void (*answer)(void *userdata, const WorkerAnswer *answer); /* NULL: nobody */
        void *userdata;
} Pending;

static WorkerAnswer late_answer(const WorkerExecutor *w, const uint8_t key[ATTEMPT_KEY_SIZE]) {
        static const char *const reasons[] = {
                        [WORKER_END_RESULT] = "this attempt has its result already",
                        [WORKER_END_TIME] = "this attempt's time was up",
                        [WORKER_END_LOST] =
                                        "this attempt was given up: its worker was not heard of for too long",
                        [WORKER_END_CANCELLED] = "this attempt was cancelled",
        };
        const WorkerEnded *ended = map_get(&w->ended_by_key, slice_from_bytes(key, ATTEMPT_KEY_SIZE));
        return (WorkerAnswer){.is_ignored = true,
                              .is_cancelled = ended && ended->end == WORKER_END_CANCELLED,
                              .reason = ended ? reasons[ended->end]
                                              : "nobody waits for this attempt any more"};
}

static void refuse(const WorkerReport *r, RunbookCode code, const char *reason) {
        r->answer(r->userdata, &(WorkerAnswer){.code = code, .reason = reason});
}

static void values_drop(const WorkerReport *r) {
        value_unref(r->output);
        value_unref(r->error);
        value_unref(r->logs);
        value_unref(r->evidence);
}

static Pending *pending_new(WorkerExecutor *w, const Errand *e, const WorkerReport *r) {
        Pending *p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->w = w;
        memcpy(p->key, e->key, sizeof(p->key));
        p->answer = r ? r->answer : NULL;
        p->userdata = r ? r->userdata : NULL;
        return p;
}

static void pending_answer(Pending *p, const WorkerAnswer *answer) {
        if (p->answer)
                p->answer(p->userdata, answer);
        free(p);
}

/** Under the lock: a sign of life. @counts: from now on silence counts, too. */
static void hear(WorkerErrand *e, Slice worker, bool counts) {
        Slice cut = slice_cut_utf8(worker, WORKER_NAME_MAX);
        if (cut.n > 0)
                memcpy(e->worker, cut.data, cut.n);
        e->worker[cut.n] = 0;
        if (counts || e->is_explicit || e->heard_ns > 0)
                e->heard_ns = attempt_now_ns();
}

/* ---- results ---------------------------------------------------------------------------------------------- */

static void on_result_settled(void *userdata, bool committed) {
        Pending *p = userdata;
        WorkerExecutor *w = p->w;
        WorkerAnswer answer = {.code = RUNBOOK_OK};
        pthread_mutex_lock(&w->office.lock);
        Errand *e = errand_find(&w->office, p->key);
        if (e) {
                errand_take(&w->office, e);
                worker_note_end(w, e, committed ? WORKER_END_RESULT : WORKER_END_CANCELLED);
                errand_release(&w->office, e);
        }
        if (!e) /* it was cancelled while the result was on its way */
                answer = late_answer(w, p->key);
        else if (!committed)
                answer = (WorkerAnswer){.code = RUNBOOK_UNAVAILABLE,
                                        .reason = "the result could not be recorded; send it again"};
        pthread_mutex_unlock(&w->office.lock);
        pending_answer(p, &answer);
}

/** Under the lock, which is left for good. */
static void take_result(WorkerExecutor *w, WorkerErrand *e, const WorkerReport *r) {
        Pending *p = e->base.is_ending ? NULL : pending_new(w, &e->base, r);
        if (!p) {
                bool again = e->base.is_ending;
                pthread_mutex_unlock(&w->office.lock);
                refuse(r, again ? RUNBOOK_OVERLOADED : RUNBOOK_UNAVAILABLE,
                       again ? "a result of this attempt is being recorded; ask again"
                             : "out of memory; send it again");
                values_drop(r);
                return;
        }
        TaskResult result = attempt_result(e->base.task);
        result.ok = r->word == WORKER_COMPLETED;
        result.output = r->output;
        result.error = r->error;
        result.logs = r->logs;
        result.evidence = r->evidence;
        result.settled = on_result_settled;
        result.settled_userdata = p;
        hear(e, r->worker, false);
        if (e->base.state == ERRAND_CONFIRMED && !e->was_offered) /* sent out again after a restart */
                w->office.outlet->retract(w->office.outlet->userdata, e->base.stream_seq, e->base.epoch);
        errand_begin_end(&w->office, &e->base);
        pthread_mutex_unlock(&w->office.lock);
        w->office.host.post_result(w->office.host.userdata, &result);
}

/* ---- heartbeats ------------------------------------------------------------------------------------------- */

static void on_progress_settled(void *userdata, bool committed) {
        Pending *p = userdata;
        WorkerExecutor *w = p->w;
        WorkerAnswer answer = {.code = RUNBOOK_OK};
        pthread_mutex_lock(&w->office.lock);
        WorkerErrand *e = (WorkerErrand *)errand_find(&w->office, p->key);
        if (e) {
                e->n_unsettled--;
                errand_schedule(&w->office, &e->base);
        } else {
                answer = late_answer(w, p->key);
        }
        if (!committed && e)
                answer = (WorkerAnswer){.code = RUNBOOK_UNAVAILABLE,
                                        .reason = "this could not be recorded; send it again"};
        pthread_mutex_unlock(&w->office.lock);
        pending_answer(p, &answer);
}

/** Under the lock, which is left for a moment. @r may be NULL: only the progress that waits. */
static void record(WorkerExecutor *w, WorkerErrand *e, const WorkerReport *r, Pending *p) {
        TaskProgress progress = {.execution_id = e->base.task->execution_id,
                                 .instance = e->base.task->instance,
                                 .attempt = e->base.task->attempt,
                                 .has_number = e->wanted != e->progress,
                                 .number = e->wanted,
                                 .logs = r ? r->logs : NULL,
                                 .evidence = r ? r->evidence : NULL,
                                 .settled = on_progress_settled,
                                 .settled_userdata = p};
        e->progress = e->wanted;
        e->recorded_ns = attempt_now_ns();
        e->n_unsettled++;
        errand_schedule(&w->office, &e->base);
        pthread_mutex_unlock(&w->office.lock);
        w->office.host.post_progress(w->office.host.userdata, &progress);
        pthread_mutex_lock(&w->office.lock);
}

void worker_record_progress(WorkerExecutor *w, WorkerErrand *e) {
        Pending *p = pending_new(w, &e->base, NULL);
        if (p) {
                record(w, e, NULL, p);
                return;
        }
        e->recorded_ns = attempt_now_ns(); /* later */
        errand_schedule(&w->office, &e->base);
}

/** Under the lock, which is left for good. */
static void take_heartbeat(WorkerExecutor *w, WorkerErrand *e, const WorkerReport *r) {
        const WorkerAnswer accepted = {.code = RUNBOOK_OK};
        bool brings = r->logs || r->evidence, is_full = e->n_unsettled >= WORKER_UNSETTLED_MAX;
        hear(e, r->worker, true);
        if (r->has_progress)
                e->wanted = r->progress;
        bool due = e->wanted != e->progress &&
                   (e->recorded_ns == 0 ||
                    attempt_now_ns() >= e->recorded_ns + WORKER_PROGRESS_MS * NS_PER_MS);
        Pending *p = brings || due ? (is_full || e->base.is_ending ? NULL : pending_new(w, &e->base, r))
                                   : NULL;
        errand_schedule(&w->office, &e->base);
        if (p)
                record(w, e, r, p);
        pthread_mutex_unlock(&w->office.lock);
        if (p)
                return; /* answered when it is recorded */
        if (brings) {
                refuse(r, RUNBOOK_OVERLOADED,
                       "too much of this attempt waits to be recorded; send it again later");
                values_drop(r);
        } else {
                r->answer(r->userdata, &accepted);
        }
}

/* ---- the doors -------------------------------------------------------------------------------------------- */

/** The token's key. False: it was answered. */
static bool read_token(const WorkerExecutor *w, const WorkerReport *r, uint8_t ret[ATTEMPT_KEY_SIZE]) {
        TaskName name;
        int e = task_token_read(w->key, r->tenant, r->token, &name);
        if (e == 0)
                attempt_key(ret, name.execution_id, name.instance, name.attempt);
        else
                refuse(r, e == -EINVAL ? RUNBOOK_FORBIDDEN : RUNBOOK_UNAVAILABLE,
                       e == -EINVAL ? "this is no task token that this engine has given to this tenant"
                                    : "out of memory");
        return e == 0;
}

void worker_report(void *userdata, const WorkerReport *r) {
        WorkerExecutor *w = userdata;
        uint8_t key[ATTEMPT_KEY_SIZE];
        if (!read_token(w, r, key)) {
                values_drop(r);
                return;
        }
        pthread_mutex_lock(&w->office.lock);
        WorkerErrand *e = (WorkerErrand *)errand_find(&w->office, key);
        if (!e) {
                WorkerAnswer answer = late_answer(w, key);
                pthread_mutex_unlock(&w->office.lock);
                r->answer(r->userdata, &answer);
                values_drop(r);
        } else {
                e->has_spoken = true;
                if (r->word == WORKER_HEARTBEAT)
                        take_heartbeat(w, e, r);
                else
                        take_result(w, e, r);
        }
}

/** Under the lock: the attempt that @token names, if it is open. */
static WorkerErrand *find_named(WorkerExecutor *w, Slice tenant, Slice token) {
        uint8_t key[ATTEMPT_KEY_SIZE];
        TaskName name;
        if (task_token_read(w->key, tenant, token, &name) < 0)
                return NULL;
        attempt_key(key, name.execution_id, name.instance, name.attempt);
        return (WorkerErrand *)errand_find(&w->office, key);
}

bool worker_offer(void *userdata, const WorkerOffer *offer) {
        WorkerExecutor *w = userdata;
        pthread_mutex_lock(&w->office.lock);
        WorkerErrand *e = find_named(w, offer->tenant, offer->token);
        bool give = e && !e->worker[0]; /* who brings a result has it */
        if (give) {
                hear(e, offer->worker, offer->will_beat);
                e->was_offered = true;
                errand_schedule(&w->office, &e->base);
        }
        pthread_mutex_unlock(&w->office.lock);
        return give;
}

void worker_decline(void *userdata, Slice tenant, Slice token) {
        WorkerExecutor *w = userdata;
        pthread_mutex_lock(&w->office.lock);
        WorkerErrand *e = find_named(w, tenant, token);
        if (e && !e->has_spoken) {
                e->worker[0] = 0;
                e->was_offered = false;
                e->heard_ns = 0;
                errand_schedule(&w->office, &e->base);
        }
        pthread_mutex_unlock(&w->office.lock);
}
