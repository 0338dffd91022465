#pragma once
/*
 * What the runtime needs from the world, as small tables of functions: a clock, random bits, executors, the
 * audit stream. The daemon gives real ones, tests and the simulator give theirs. And what the world gives the
 * runtime: requests and task results.
 */

#include "base/arena.h"
#include "base/list.h"
#include "base/report.h"
#include "base/turns.h"
#include "base/uuid.h"
#include "model/execution.h"
#include "model/input.h"
#include "model/trace.h"

/* ---- time and randomness --------------------------------------------------------------------------- */

typedef struct Clock {
        /** Unix milliseconds that never go back within a process; may be called by any thread. */
        int64_t (*now_ms)(void *userdata);
        void *userdata;
} Clock;

typedef struct Ids {
        /** Fill @n words with unpredictable bits; any thread. */
        void (*random)(void *userdata, uint64_t *words, size_t n);
        void *userdata;
} Ids;

/* ---- tasks and executors ------------------------------------------------------------------------------ */

/** One attempt of a step that touches the outside: one allocation, freed by its holder with task_free. */
typedef struct Task {
        List node;                /* for its holder's queue */
        Uuid execution_id;
        uint32_t instance, attempt;
        Runbook *runbook;         /* reference owned: `step` points into it */
        const RunbookStep *step;  /* type, secret_headers, evidence… */
        /* Not the attempt itself: may it start? For the authorization executor; its result is a decision */
        bool is_question;
        Slice tenant, initiated_by, step_path, traceparent; /* NUL-terminated */
        char idempotency_key[DIGEST_TEXT_SIZE + 1];
        int64_t timeout_ms;       /* for this attempt; 0: the executor's own default */
        /* References owned; config is the resolved one. Of a question only the input is there: {"input": {…}} */
        Value *config, *input, *context;
} Task;
void task_free(Task *task); /* NULL-safe; runtime/task.c */

/** How an attempt ended; the values are references that the receiver takes. */
typedef struct TaskResult {
        Uuid execution_id;
        uint32_t instance, attempt;
        bool ok;
        Value *output;   /* ok; of a question: {"allow": bool, "reason"?} */
        Value *error;    /* !ok: {"code":"HTTP_503","message":…,"retryable":bool, "details"?} */
        Value *logs;     /* array of {"level","message","metadata"?}; NULL: none */
        Value *evidence; /* array of {"type","sourceRef","confidence","sha256","value"?}; NULL: none */
        int64_t retry_after_ms; /* what the receiver asked for; 0: nothing */
        /**
         * NULL, or called exactly once, by any thread: it is committed, or it never will be (the attempt was
         * not open any more, or the engine ends). Not after runtime_stop. Must not block.
         */
        void (*settled)(void *userdata, bool committed);
        void *settled_userdata;
} TaskResult;

/** Word from an attempt under way. Values and `settled` as in TaskResult. */
typedef struct TaskProgress {
        Uuid execution_id;
        uint32_t instance, attempt;
        bool has_number;
        double number; /* 0–1: how far it is */
        Value *logs, *evidence;
        void (*settled)(void *userdata, bool committed);
        void *settled_userdata;
} TaskProgress;

/** What executors may call; all of it from any thread. */
typedef struct ExecutorHost {
        /** Takes the values inside @result. Never blocks: results have room kept for them. */
        void (*post_result)(void *userdata, const TaskResult *result);
        /**
         * Takes the values inside. Applied before a result that the same thread posts later. Nothing bounds
         * the queue: no executor may have more than a few of an attempt unsettled.
         */
        void (*post_progress)(void *userdata, const TaskProgress *progress);
        /** The secret @name of @tenant as an owned string (wipe and free), NULL if there is none. */
        char *(*secret)(void *userdata, Slice tenant, Slice name);
        Clock clock;
        Ids ids;
        void *userdata;
} ExecutorHost;

typedef struct Executor Executor;
typedef struct ExecutorVtable {
        const char *name;
        /** Takes @task. Never blocks, never fails: what can't be done becomes a result. Exactly one result
         * per task, none after cancel returned for an attempt whose result was not posted yet (a result under
         * way may still arrive: it is ignored). */
        void (*submit)(Executor *e, Task *task);
        /** Abort the attempt if it is here; absent is fine. Never blocks. */
        void (*cancel)(Executor *e, Uuid execution_id, uint32_t instance, uint32_t attempt);
        /** Tasks taken and not finished. Any thread. */
        uint64_t (*n_open)(Executor *e);
        /** Stop: abort what is open without results (recovery dispatches it again), join threads, free. */
        void (*stop)(Executor *e);
} ExecutorVtable;
struct Executor { const ExecutorVtable *vtable; };

/* ---- messages that executors send ---------------------------------------------------------------------- */

typedef struct OutHeader {
        Slice name, value; /* NUL-terminated; no line breaks */
} OutHeader;

#define OUT_COOKIE_SIZE 24

/** What became of a message. Slices are valid for the call. */
typedef struct OutReceipt {
        int error;       /* 0: the server has it (and a stream, if there is one for its subject); -EAGAIN: no
                            connection, or in doubt: send it again; -EMSGSIZE; -ENOENT: no stream took it;
                            -ENOSPC: a stream refuses it */
        Slice reason;    /* one sentence, when there is an error */
        Slice stream;    /* empty: none took it */
        uint64_t stream_seq;
        bool is_duplicate; /* the stream had its id already */
        uint64_t epoch;  /* of the connection: for retract */
} OutReceipt;

/** One message; everything is copied. */
typedef struct OutMessage {
        Slice subject, id, payload; /* subject and id (Nats-Msg-Id) NUL-terminated */
        const OutHeader *headers;
        size_t n_headers;
        bool needs_stream; /* one must take it; else one may */
        /** Exactly once, on a thread of the bus, unless `forget` comes before it. Must not block. */
        void (*done)(void *owner, const uint8_t cookie[OUT_COOKIE_SIZE], const OutReceipt *receipt);
        void *owner;
        uint8_t cookie[OUT_COOKIE_SIZE];
} OutMessage;

/** The way out to NATS. Any thread; only `forget` may block. */
typedef struct Outlet {
        /** 0: `done` will be called; -EAGAIN: too much waits already; -ENOMEM. */
        int (*send)(void *userdata, const OutMessage *m);
        /** Take a message back that a work queue may still hold; does nothing after a reconnect. */
        void (*retract)(void *userdata, uint64_t stream_seq, uint64_t epoch);
        /** Acknowledge what a work queue delivered; @ack is its acknowledgement subject. */
        void (*acknowledge)(void *userdata, Slice ack);
        /** Bytes that the server takes in one message. */
        size_t (*payload_max)(void *userdata);
        /** No `done` of @owner's messages is called any more once this has returned. */
        void (*forget)(void *userdata, void *owner);
        void *userdata;
} Outlet;

/* ---- remote workers ----------------------------------------------------------------------------------- */

typedef enum WorkerWord { WORKER_COMPLETED, WORKER_FAILED, WORKER_HEARTBEAT } WorkerWord;

/** What a worker is told about its report. */
typedef struct WorkerAnswer {
        RunbookCode code;   /* other than RUNBOOK_OK: a refusal, and `reason` is its sentence */
        const char *reason; /* why it was ignored; NULL where it was not */
        bool is_ignored;    /* late or repeated: nobody waits for this attempt any more */
        bool is_cancelled;  /* …because it was cancelled */
} WorkerAnswer;

/** A worker's word about a task. Slices are valid for the call; the values' references are the receiver's. */
typedef struct WorkerReport {
        Slice tenant, worker; /* the subject vouches for them */
        Slice token;
        WorkerWord word;
        bool has_progress;
        double progress; /* 0–1 */
        Value *output, *error, *logs, *evidence;
        /** Exactly once, on any thread; must not block. */
        void (*answer)(void *userdata, const WorkerAnswer *answer);
        void *userdata;
} WorkerReport;

typedef struct WorkerOffer {
        Slice tenant, worker, token;
        bool will_beat; /* it promises heartbeats from now on */
} WorkerOffer;

/** Where workers' words go: the executor of remote workers. */
typedef struct WorkerDesk {
        void (*report)(void *userdata, const WorkerReport *report);
        /** May the task be given to this worker? False: nobody waits for it, or somebody has it already. */
        bool (*offer)(void *userdata, const WorkerOffer *offer);
        /** It has not reached the worker: it may be offered again. */
        void (*decline)(void *userdata, Slice tenant, Slice token);
        void *userdata;
} WorkerDesk;

/* ---- traces ---------------------------------------------------------------------------------------- */

/** A piece of work that has ended. Everything is borrowed for the call. */
typedef struct TraceSpan {
        TraceContext context; /* the trace; parent_id: the span around this one, zeros: none */
        uint8_t span_id[8];
        const Execution *execution;
        const RunbookStep *step; /* NULL: the span of the execution itself */
        Slice path;              /* of the step */
        const char *outcome;     /* "completed", "failed", "cancelled" */
        uint32_t attempt;
        int64_t start_ms, end_ms;
} TraceSpan;

typedef struct SpanSink {
        /** Called by the writer after the commit; must not block. */
        void (*span)(void *userdata, const TraceSpan *span);
        void *userdata;
} SpanSink;

/* ---- questions over the bus --------------------------------------------------------------------------- */

/** Request-reply with who listens on a subject of the bus; one asker only. */
typedef struct AskBus {
        /**
         * Publish @body to @subject, with an inbox as its reply. 0; -EAGAIN: no connection; -EMSGSIZE: more
         * than the server takes; -EIO. May block for a bounded time: not for the writer.
         */
        int (*ask)(void *userdata, const char *subject, uint64_t token, Slice body);
        /**
         * Who hears the answers: @on_answer is called by a thread of the bus, @nobody: no one listens on that
         * subject. NULL: nobody any more; none is called once this has returned.
         */
        void (*listen)(void *userdata, void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody),
                       void *asker);
        void *userdata;
} AskBus;

/* ---- requests ---------------------------------------------------------------------------------- */

typedef enum RequestKind {
        REQUEST_COMMAND,     /* input.kind: PAUSE RESUME CANCEL APPROVE RETRY, to input.execution_id */
        REQUEST_EVENT,       /* external event: event_type, correlation, event_id, input.value */
        REQUEST_REGISTER,    /* runbook: compiled */
        REQUEST_REPLAY,      /* of input.execution_id; text "rerun" or "verify" */
        REQUEST_START,       /* runbook_id, version, input.{value,context,idempotency_key,pause_at,dry_run},
                                input.execution_id or nil */
        REQUEST_TASK_RESULT, /* made by runtime itself from post_result and post_progress */
        N_REQUEST_KINDS
} RequestKind;

/**
 * A decoded, checked command on its way to the writer. All slices live in `arena`; values and runbook are
 * owned references. The maker fills everything but input.now_ms and input.seed, which the writer sets.
 */
typedef struct Request {
        List node;              /* of whoever holds it */
        Turn turn;              /* the inbox's; weighs n_bytes */
        Arena arena;
        RequestKind kind;
        Input input;            /* tenant, user, command_id, traceparent always */
        Digest digest; /* of subject tail and body: tells one command id on two commands; zeros without
                          command id */
        Slice runbook_id, version;
        bool skip_idempotency_check;
        Slice event_type, correlation, event_id;
        Runbook *runbook;
        size_t n_bytes;         /* of memory held, roughly; set by runtime_submit */
        /**
         * Called exactly once, by the writer after the commit (or by whoever refuses it), then the request is
         * freed by request_free. @code RUNBOOK_OK: @body is the reply's JSON; else @body is the error JSON.
         * @durable false: nothing was recorded (a durable queue must deliver it again: OVERLOADED,
         * UNAVAILABLE, STORE_FULL). Must not block.
         */
        void (*done)(struct Request *r, RunbookCode code, Slice body, bool durable);
        /** Releases `userdata`; called by request_free. May be NULL. */
        void (*release)(void *userdata);
        void *userdata;
} Request;
Request *request_new(RequestKind kind); /* NULL when out of memory; runtime/request.c */
void request_free(Request *r);          /* NULL-safe */

/* ---- the audit stream --------------------------------------------------------------------------------- */

typedef struct AuditMessage {
        Slice subject;  /* NUL-terminated */
        Slice id;       /* Nats-Msg-Id, NUL-terminated */
        Slice payload;
} AuditMessage;

typedef struct AuditTail {
        uint64_t last_seq;
        int64_t created_ms; /* the stream's own creation time: another one is another stream */
        uint64_t epoch;     /* grows with every (re)connect of the bus */
} AuditTail;

/** How the outbox reaches the stream. Called by the outbox thread only; may block for a bounded time. */
typedef struct AuditStream {
        /**
         * Publish in order and return once the stream holds all of them. 0 with the stream's sequence after
         * the last; -EAGAIN: unknown how many arrived (disconnect, timeout, reconnect in between): send them
         * all again; -ENOSPC: the stream is full or refuses.
         */
        int (*publish)(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq);
        /** The stream's end; -EAGAIN while there is no connection. */
        int (*tail)(void *userdata, AuditTail *ret);
        /** Counts connects without asking the server. */
        uint64_t (*epoch)(void *userdata);
        void *userdata;
} AuditStream;
