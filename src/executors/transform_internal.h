#pragma once
/*
 * The inside of the transform executor. A TransformJob is one task from submit to result; a TransformChild is
 * a place for a helper process. All of it belongs to the executor's thread, except the intake and
 * what stands under its lock.
 */

#include <pthread.h>
#include <sys/types.h>

#include "base/turns.h"
#include "executors/attempt.h"
#include "executors/due.h"
#include "executors/http_json.h"
#include "executors/intake.h"
#include "executors/jq_child/protocol.h"
#include "executors/transform.h"

/* Limits */
#define TRANSFORM_START_MS       10000 /* a helper must say that it is ready within */
#define TRANSFORM_GRACE_MS       100 /* a cancelled run may end by itself within: a new process costs more */
#define TRANSFORM_RUNS_MAX       20000 /* runs of one process; then a new one, should libjq leak */
#define TRANSFORM_BACKOFF_MIN_MS 20    /* after the second death in a row */
#define TRANSFORM_BACKOFF_MAX_MS 2000
#define TRANSFORM_TEXT_MAX                                                                                   \
        (LIMIT_VALUE_BYTES / 4 * 5) /* bytes of results as jq writes them, which may be longer */
#define TRANSFORM_FRAME_MAX   (TRANSFORM_TEXT_MAX + 65536)
#define TRANSFORM_MESSAGE_MAX 640 /* an error's sentence, but for what jq says */
#define TRANSFORM_PATH_MAX    4096

#define NS_PER_MS 1000000LL
#define NEVER     INT64_MAX

typedef struct TransformEngine TransformEngine;
typedef struct TransformChild TransformChild;

typedef struct TransformJob {
        IntakeItem item;
        bool is_dropped;       /* running, but nobody waits for it any more */
        bool had_no_memory;    /* once, in a process that other runs had used before */
        Turn turn;             /* waiting */
        TransformChild *child; /* running */
        Task *task;
        Slice program, input; /* borrowed from the task's values */
        int64_t submit_ns, start_ns, timeout_ms;
        Due due;
} TransformJob;

/**
 *   NONE ──spawn──▶ STARTING ──ready──▶ IDLE ◀──answer── BUSY
 *    ▲                  │                 │    ──job──▶    │
 *    └───────reaped── DYING ◀──────death, kill, stop───────┘
 */
typedef enum TransformChildState {
        CHILD_NONE,
        CHILD_STARTING,
        CHILD_IDLE,
        CHILD_BUSY,
        CHILD_DYING
} TransformChildState;

typedef struct TransformChild {
        TransformChildState state;
        pid_t pid;
        int fd;            /* -1: none */
        TransformJob *job; /* BUSY; DYING: judged by how the process ends; STARTING: waits for this process */
        bool is_forgiven;  /* DYING: we ended it for no fault of its own */
        bool was_starting; /* DYING: it never was ready */
        JqRequest request; /* what is being sent */
        size_t n_sent;
        bool wants_write;
        Buf in;   /* frames that are not complete */
        Buf logs; /* entries made of messages, separated by commas */
        uint32_t n_logs;
        uint32_t n_deaths; /* in a row, without an answer in between */
        uint32_t n_runs;
        int64_t act_ns;  /* NONE: not before; STARTING: not after; DYING: next look; else NEVER */
        int64_t look_ns; /* DYING: time between looks */
} TransformChild;

/** What came of a run. */
typedef struct TransformOutcome {
        const char *code; /* NULL: output */
        bool retryable;
        Slice message;
        Slice details; /* canonical JSON */
        Slice output;  /* canonical JSON */
} TransformOutcome;

typedef enum TransformStart { START_PENDING, START_WORKS, START_FAILED } TransformStart;

struct TransformEngine {
        Executor executor;
        ExecutorHost host;
        TransformSettings settings; /* no zeros left */
        char helper[TRANSFORM_PATH_MAX];
        Value *out_of_memory, *overloaded; /* errors there may be no memory or time to make */
        pthread_t thread;

        Intake intake;
        pthread_cond_t started; /* of the intake's lock, as is: */
        TransformStart start;   /* of the first helper */

        int epoll;
        int64_t now_ns; /* of this turn */
        TurnQueue queue;
        DueHeap due;
        TransformChild *children;                /* settings.pool */
        char start_fault[TRANSFORM_MESSAGE_MAX]; /* why the last helper did not start; "": it did */
        bool has_warned;                         /* that system calls are not filtered */
        HttpJson json;
        Buf output, aside, message; /* results in the making */
};

/* transform_child.c: processes */
/** Start a process in @c, which is NONE. On failure it stays so until its time has come. */
void transform_child_spawn(TransformEngine *e, TransformChild *c);
/** Give @job to @c, which is IDLE. */
void transform_child_give(TransformEngine *e, TransformChild *c, TransformJob *job);
/** epoll says so. */
void transform_child_ready(TransformEngine *e, TransformChild *c, uint32_t events);
/** End the process. Its job, if it still has one, is judged by how it ended. @forgiven: no backoff for it. */
void transform_child_kill(TransformEngine *e, TransformChild *c, bool forgiven);
/** It is ready: it may have a job waiting. */
void transform_child_started(TransformEngine *e, TransformChild *c);
/** It has answered: its job is gone, it may have another. */
void transform_child_answered(TransformEngine *e, TransformChild *c);
/** Its time has come. */
void transform_child_act(TransformEngine *e, TransformChild *c);
/** At the end: kill, wait, free. */
void transform_child_deinit(TransformEngine *e, TransformChild *c);

/* transform_frame.c: what they say */
/** Take the complete frames in c->in. False: they make no sense. */
bool transform_frames_take(TransformEngine *e, TransformChild *c);

/* transform_helper.c: where runbook-jq is */
/** Its path into e->helper. 0, or -EINVAL with a sentence in @report. */
int transform_helper_find(TransformEngine *e, const char *wanted, Report *report);

/* transform_result.c */
void transform_result_post(TransformEngine *e, TransformJob *job, const TransformOutcome *o);

/* transform.c */
/** The first helper works, or it does not, and why is in e->start_fault. */
void transform_report_start(TransformEngine *e, bool works);
/** The job is over. Frees it; its child, if it has one, is left as it is. */
void transform_job_finish(TransformEngine *e, TransformJob *job, const TransformOutcome *o);
void transform_job_fail(TransformEngine *e, TransformJob *job, const char *code, bool retryable,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
