#pragma once
/* The inside of the executor of remote workers. */

#include "executors/errand.h"
#include "executors/worker.h"

/** How an attempt ended, for workers that come late. */
typedef enum WorkerEnd {
        WORKER_END_RESULT,
        WORKER_END_TIME,
        WORKER_END_LOST,
        WORKER_END_CANCELLED
} WorkerEnd;

typedef struct WorkerEnded {
        uint8_t key[ATTEMPT_KEY_SIZE];
        WorkerEnd end;
        bool is_used;
} WorkerEnded;

typedef struct WorkerErrand {
        Errand base;
        int64_t heartbeat_ms; /* longest silence of a worker that sends heartbeats; 0: any */
        bool is_explicit; /* config.heartbeatTimeoutMs says so: silence counts from when a worker has the task */
        bool is_malformed;                /* …and is no duration */
        char worker[WORKER_NAME_MAX + 1]; /* who has it; "": nobody that we know of */
        int64_t heard_ns;                 /* last sign of life that counts; 0: none */
        bool was_offered;      /* we have taken it off the queue; else the queue may still hold it */
        bool has_spoken;                  /* there was a word from it, not just the offer */
        uint32_t n_unsettled;             /* progress records on their way */
        double progress, wanted;          /* as recorded last, and what is still to be recorded */
        int64_t recorded_ns;              /* when the last one was */
} WorkerErrand;

typedef struct WorkerExecutor {
        ErrandOffice office;
        uint8_t key[TASK_KEY_SIZE];
        int64_t heartbeat_ms;
        /* under the office's lock */
        WorkerEnded *ended; /* a ring */
        size_t next_ended;
        Map ended_by_key;
} WorkerExecutor;

/** Under the lock: remember how it ended. */
void worker_note_end(WorkerExecutor *w, const Errand *e, WorkerEnd end);

/* worker_report.c */
void worker_report(void *userdata, const WorkerReport *report);
bool worker_offer(void *userdata, const WorkerOffer *offer);
void worker_decline(void *userdata, Slice tenant, Slice token);
/** Under the lock, left meanwhile: record the progress that waits. */
void worker_record_progress(WorkerExecutor *w, WorkerErrand *e);
