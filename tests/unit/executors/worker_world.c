#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/json_read.h"
#include "worker_world.h"

World world;

static const RunbookStep step = {
                .type = STEP_TYPE_CUSTOM, .id = SLICE("geo-step"), .type_name = SLICE("custom:geo.v2")};
static const uint8_t secret[TASK_KEY_SIZE] = "a key that only the store knows";

static json_t *parse(const char *text) {
        char copy[512];
        size_t n = 0;
        for (; text[n] && n + 1 < sizeof(copy); n++)
                copy[n] = text[n] == '\'' ? '"' : text[n];
        json_t *json = json_parse_own((Slice){copy, n});
        cr_assert_not_null(json, "not JSON: %s", text);
        return json;
}

/** The clock is asked for the deadline, while a task is being written. */
static int64_t on_now(void *harness) {
        if (world.blocks) {
                sem_post(&world.writing);
                sem_wait(&world.go_on);
        }
        return world.now_ms(harness);
}

void world_open(int64_t heartbeat_ms) {
        WorkerSettings settings = {.prefix = "p.v1", .heartbeat_ms = heartbeat_ms};
        Report report = {0};
        memcpy(settings.key, secret, sizeof(secret));
        mailbox_init(&world.mail);
        sem_init(&world.writing, 0, 0);
        sem_init(&world.go_on, 0, 0);
        world.now_ms = world.mail.host.clock.now_ms;
        world.mail.host.clock.now_ms = on_now;
        world.mail.h.timeout_ms = 60000;
        cr_assert_eq(worker_executor_new(&settings, &world.mail.host, &world.mail.outlet, &report,
                                         &world.mail.h.executor),
                     0);
        world.w = (WorkerExecutor *)world.mail.h.executor;
        world.desk = worker_executor_desk(world.mail.h.executor);
}

void world_close(void) { mailbox_deinit(&world.mail); }

uint32_t world_task(const char *config) {
        size_t n = world.mail.n_letters;
        Task *t = harness_task_of(&world.mail.h, &step, parse(config), parse("{'x':1}"));
        uint32_t instance = t->instance;
        world.mail.h.executor->vtable->submit(world.mail.h.executor, t);
        cr_assert(mailbox_wait(&world.mail, n + 1));
        return instance;
}

uint32_t world_stored_task(const char *config) {
        uint32_t instance = world_task(config);
        mailbox_confirm(&world.mail, world.mail.n_letters - 1, instance + 100);
        return instance;
}

void world_cancel(uint32_t instance) {
        Uuid id = {{7}};
        world.mail.h.executor->vtable->cancel(world.mail.h.executor, id, instance, 1);
}

Slice world_token(const char *tenant, uint32_t instance, uint32_t attempt) {
        static char tokens[4][TASK_TOKEN_SIZE + 1];
        static unsigned next;
        char *token = tokens[next++ % 4];
        const TaskName name = {{{7}}, instance, attempt};
        cr_assert_eq(task_token_write(secret, slice_from_str(tenant), &name, token), 0);
        return (Slice){token, TASK_TOKEN_SIZE};
}

bool world_offer(uint32_t instance, const char *worker, bool will_beat) {
        return world.desk.offer(world.desk.userdata, &(WorkerOffer){.tenant = SLICE("acme"),
                                                                    .worker = slice_from_str(worker),
                                                                    .token = world_token("acme", instance, 1),
                                                                    .will_beat = will_beat});
}

void world_decline(uint32_t instance) {
        world.desk.decline(world.desk.userdata, SLICE("acme"), world_token("acme", instance, 1));
}

static void on_answer(void *userdata, const WorkerAnswer *answer) {
        Told *t = userdata;
        t->n++;
        t->answer = *answer;
        snprintf(t->reason, sizeof(t->reason), "%s", answer->reason ? answer->reason : "");
}

void world_say(const WorkerReport *report, const char *output, const char *error, const char *logs) {
        WorkerReport r = *report;
        r.tenant = r.tenant.n > 0 ? r.tenant : SLICE("acme");
        r.worker = r.worker.n > 0 ? r.worker : SLICE("w1");
        if (world.mail.aside)
                world.mail.aside(true);
        r.output = output ? value_new(parse(output)) : NULL;
        r.error = error ? value_new(parse(error)) : NULL;
        r.logs = logs ? value_new(parse(logs)) : NULL;
        if (world.mail.aside)
                world.mail.aside(false);
        r.answer = on_answer;
        r.userdata = &world.told;
        world.desk.report(world.desk.userdata, &r);
}

void world_complete(uint32_t instance) {
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_COMPLETED},
                  "{'done':true}", NULL, NULL);
}

void world_beat(uint32_t instance) {
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1), .word = WORKER_HEARTBEAT}, NULL,
                  NULL, NULL);
}

void world_progress(uint32_t instance, double progress) {
        world_say(&(WorkerReport){.token = world_token("acme", instance, 1),
                                  .word = WORKER_HEARTBEAT,
                                  .has_progress = true,
                                  .progress = progress},
                  NULL, NULL, NULL);
}

void world_expect(size_t n, RunbookCode code, bool ignored, bool cancelled, const char *reason) {
        const Told *t = &world.told;
        cr_assert_eq(t->n, n, "%zu answers, not %zu", t->n, n);
        cr_assert_eq(t->answer.code, code, "code %d, not %d: %s", t->answer.code, code, t->reason);
        cr_assert_eq(t->answer.is_ignored, ignored);
        cr_assert_eq(t->answer.is_cancelled, cancelled);
        if (reason)
                cr_assert_not_null(strstr(t->reason, reason), "\"%s\", not \"%s\"", t->reason, reason);
        else
                cr_assert_str_eq(t->reason, "");
}

void world_expect_error(size_t n, const char *code, const char *part) {
        cr_assert(harness_wait(&world.mail.h, n));
        cr_assert_eq(world.mail.h.n_results, n);
        const TaskResult *r = &world.mail.h.results[n - 1];
        cr_assert(!r->ok);
        cr_assert_str_eq(harness_string(r->error, "code"), code);
        cr_assert_not_null(strstr(harness_string(r->error, "message"), part), "%s",
                           harness_string(r->error, "message"));
}

WorkerErrand world_look(uint32_t instance) {
        uint8_t key[ATTEMPT_KEY_SIZE];
        Uuid id = {{7}};
        WorkerErrand copy = {0};
        attempt_key(key, id, instance, 1);
        pthread_mutex_lock(&world.w->office.lock);
        const Errand *e = errand_find(&world.w->office, key);
        if (e)
                memcpy(&copy, e, sizeof(copy));
        pthread_mutex_unlock(&world.w->office.lock);
        return copy;
}
