#pragma once
/* An executor of remote workers with a bus of memory, and workers that a test lets speak. One world in a process. */

#include <semaphore.h>

#include "executors/worker_internal.h"
#include "mailbox.h"

/** What a worker was told last; `n` times in all. */
typedef struct Told {
        size_t n;
        WorkerAnswer answer;
        char reason[160]; /* "": none */
} Told;

typedef struct World {
        Mailbox mail;
        WorkerExecutor *w;
        WorkerDesk desk;
        Told told;
        int64_t (*now_ms)(void *harness); /* the host's clock */
        bool blocks;                      /* whoever writes a task tells `writing`, and waits for `go_on` */
        sem_t writing, go_on;
} World;

extern World world;

/** Its tasks have a minute; @heartbeat_ms as in the settings. */
void world_open(int64_t heartbeat_ms);
void world_close(void);
/** Submit a task, wait until it is sent; its instance. @config as for harness_task. */
uint32_t world_task(const char *config);
/** The same, and the stream has it, as number instance + 100. */
uint32_t world_stored_task(const char *config);
void world_cancel(uint32_t instance);
/** The token of an attempt, which need not be there; valid until the next call but three. */
Slice world_token(const char *tenant, uint32_t instance, uint32_t attempt);
/** Would the task be given to this worker? */
bool world_offer(uint32_t instance, const char *worker, bool will_beat);
void world_decline(uint32_t instance);
/** A worker says this, with values (taken; JSON with single quotes; NULL: none) in its place. */
void world_say(const WorkerReport *report, const char *output, const char *error, const char *logs);
/** The most usual ones, by worker "w1". */
void world_complete(uint32_t instance);
void world_beat(uint32_t instance);
void world_progress(uint32_t instance, double progress);
/** What was said last was answered so; @reason is a part of its sentence, NULL: there is none. */
void world_expect(size_t n, RunbookCode code, bool ignored, bool cancelled, const char *reason);
/** The next result that has come, @n in all, failed so. */
void world_expect_error(size_t n, const char *code, const char *part);
/** What the executor knows of an open attempt; zeros: it is not open. */
WorkerErrand world_look(uint32_t instance);
