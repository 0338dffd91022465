/* Tasks for remote workers, the bus and two workers that all say the same, all at once; see stress.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "executors/worker.h"
#include "mailbox.h"
#include "stress.h"

#define N_MOUTHS 2

/** Carries letters, and speaks for the worker who got them. */
typedef struct Mouth {
        pthread_t thread;
        unsigned seed;
        bool is_bus; /* the one that says what became of letters */
} Mouth;

static Mailbox mail;
static WorkerDesk desk;
static Mouth mouths[N_MOUTHS];
static bool is_over; /* under mail.lock */
static const ExecutorVtable *real;
static size_t n_answers; /* atomic */

static Task *make(Harness *own, unsigned kind) {
        static const RunbookStep steps[] = {{.id = {"a", 1}, .type_name = {"custom:a", 8}},
                                            {.id = {"b", 1}, .type_name = {"custom:b.c", 10}}};
        return harness_task_of(own, &steps[kind], json_object(), json_pack("{s:i}", "a", 1));
}

static void on_progress(void *userdata, const TaskProgress *p) {
        value_unref(p->logs);
        value_unref(p->evidence);
        p->settled(p->settled_userdata, true);
}

static void on_answer(void *userdata, const WorkerAnswer *answer) {
        __atomic_add_fetch(&n_answers, 1, __ATOMIC_RELAXED);
}

static void say(const SentLetter *l, WorkerWord word, double progress) {
        WorkerReport r = {.tenant = SLICE("acme"),
                          .worker = SLICE("w"),
                          .token = slice_from_str(l->id),
                          .word = word,
                          .has_progress = progress > 0,
                          .progress = progress,
                          .output = word == WORKER_COMPLETED ? value_new(json_true()) : NULL,
                          .logs = word == WORKER_HEARTBEAT && progress > 0.5 ? value_new(json_array()) : NULL,
                          .answer = on_answer};
        desk.report(desk.userdata, &r);
}

static void handle(Mouth *m, size_t i, const SentLetter *l) {
        unsigned dice = (unsigned)rand_r(&m->seed) % 8;
        const WorkerOffer offer = {SLICE("acme"), SLICE("w"), slice_from_str(l->id), dice % 2};
        if (m->is_bus && dice == 0) {
                mailbox_say(&mail, i, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
                return;
        }
        if (m->is_bus)
                mailbox_confirm(&mail, i, i + 1);
        if (desk.offer(desk.userdata, &offer) && dice == 1)
                desk.decline(desk.userdata, SLICE("acme"), slice_from_str(l->id));
        if (dice < 4)
                say(l, WORKER_HEARTBEAT, dice / 4.0);
        say(l, WORKER_COMPLETED, 0);
}

static void *speak(void *mouth) {
        for (size_t i = 0;; i++) {
                pthread_mutex_lock(&mail.lock);
                while (i >= mail.n_letters && !is_over)
                        pthread_cond_wait(&mail.changed, &mail.lock);
                bool ends = i >= mail.n_letters;
                SentLetter l = ends ? (SentLetter){0} : mail.letters[i];
                pthread_mutex_unlock(&mail.lock);
                if (ends)
                        return NULL;
                handle(mouth, i, &l);
        }
}

/** Nobody may speak to an executor that has stopped. */
static void stop(Executor *executor) {
        pthread_mutex_lock(&mail.lock);
        is_over = true;
        pthread_cond_broadcast(&mail.changed);
        pthread_mutex_unlock(&mail.lock);
        for (int i = 0; i < N_MOUTHS; i++)
                pthread_join(mouths[i].thread, NULL);
        executor->vtable = real;
        real->stop(executor);
}

int main(void) {
        static ExecutorVtable vtable;
        const WorkerSettings settings = {.prefix = "p.v1"};
        Report report = {0};
        mailbox_init(&mail);
        mail.host.post_progress = on_progress;
        mail.h.timeout_ms = 30000;
        if (worker_executor_new(&settings, &mail.host, &mail.outlet, &report, &mail.h.executor) < 0)
                return 1;
        desk = worker_executor_desk(mail.h.executor);
        real = mail.h.executor->vtable;
        vtable = *real;
        vtable.stop = stop;
        mail.h.executor->vtable = &vtable;
        for (int i = 0; i < N_MOUTHS; i++) {
                mouths[i] = (Mouth){.seed = 7u + (unsigned)i, .is_bus = i == 0};
                if (pthread_create(&mouths[i].thread, NULL, speak, &mouths[i]) != 0)
                        return 1;
        }
        int status = stress_run(&mail.h, &(Stress){.n_tasks = 1000, .make = make, .n_kinds = 2});
        printf("%zu letters, %zu answers to workers\n", mail.n_letters, n_answers);
        mailbox_deinit(&mail);
        return status;
}
