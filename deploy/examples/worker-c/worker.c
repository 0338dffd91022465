/*
 * A remote worker in C: runs steps of type custom:count (or WORKER_TYPE), which count a text's words.
 *
 *     cc worker.c $(pkg-config --cflags --libs runbook-client) -o worker
 *     NATS_URL=nats://127.0.0.1:4222 RUNBOOK_TENANT=acme RUNBOOK_USER=counter ./worker
 *
 * With config.sleepMs it takes its time, and stops early when nobody waits any more.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <runbook/worker.h>

/* Enough for an example: the number behind "key" in a flat JSON object; -1: none. */
static long number_of(const char *json, const char *key) {
        char quoted[64];
        snprintf(quoted, sizeof(quoted), "\"%s\":", key);
        const char *at = strstr(json, quoted);
        return at ? strtol(at + strlen(quoted), NULL, 10) : -1;
}

static int count_words(const char *json) {
        int n = 0, inside = 0;
        const char *text = strstr(json, "\"text\":\"");
        for (text = text ? text + 8 : ""; *text && *text != '"'; text++) {
                n += !isspace((unsigned char)*text) && !inside;
                inside = !isspace((unsigned char)*text);
        }
        return n;
}

static void take_time(RunbookTask *task, long ms) {
        struct timespec bit = {.tv_nsec = 20000000};
        for (long slept = 0; slept < ms && !runbook_task_is_cancelled(task); slept += 20)
                nanosleep(&bit, NULL);
}

static void count(void *userdata, RunbookTask *task) {
        char output[256];
        if (!strstr(runbook_task_input(task), "\"text\":")) {
                runbook_task_fail(task, "NO_TEXT", "the input has no text", runbook_task_attempt(task) == 1);
                return;
        }
        runbook_task_log(task, "info", "counting");
        runbook_task_progress(task, 0.5);
        take_time(task, number_of(runbook_task_config(task), "sleepMs"));
        if (runbook_task_is_cancelled(task)) {
                puts("nobody waits any more");
                fflush(stdout);
                return;
        }
        snprintf(output, sizeof(output), "{\"words\":%d,\"attempt\":%u,\"key\":\"%s\"}",
                 count_words(runbook_task_input(task)), runbook_task_attempt(task),
                 runbook_task_idempotency_key(task));
        runbook_task_complete(task, output);
}

int main(void) {
        RunbookClientOptions options = RUNBOOK_CLIENT_OPTIONS_INIT;
        RunbookWorkerOptions work = RUNBOOK_WORKER_OPTIONS_INIT;
        RunbookClientError error;
        RunbookClient *client;
        RunbookWorker *worker;
        sigset_t ends;
        int number;

        sigemptyset(&ends);
        sigaddset(&ends, SIGINT);
        sigaddset(&ends, SIGTERM);
        sigprocmask(SIG_BLOCK, &ends, NULL); /* before there are threads */
        options.use_environment = true;
        work.type = getenv("WORKER_TYPE") ? getenv("WORKER_TYPE") : "custom:count";
        work.handler = count;
        work.lanes = 4;
        work.wait_ms = 1000;
        if (runbook_client_connect(&options, &client, &error) != 0) {
                fprintf(stderr, "%s\n", error.message);
                return 1;
        }
        if (runbook_worker_start(client, &work, &worker, &error) != 0) {
                fprintf(stderr, "%s\n", error.message);
                runbook_client_close(client);
                return 1;
        }
        printf("%s serves %s\n", runbook_client_user(client), work.type);
        fflush(stdout);
        sigwait(&ends, &number);
        runbook_worker_stop(worker); /* what is at hand is finished first */
        runbook_client_close(client);
        runbook_client_shutdown();
        return 0;
}
