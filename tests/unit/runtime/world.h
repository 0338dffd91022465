#pragma once
/*
 * A whole runtime without threads: a store, a clock that stands still until it is moved, an executor that
 * only collects tasks, and an audit stream that can lose what it took. Everything in it is deterministic.
 */

#ifdef WORLD_PLAIN
#include "plain_assert.h"
#else
#include <criterion/criterion.h>
#endif

#include "runtime/runtime.h"

#define WORLD_REPLIES_MAX 8192
#define WORLD_TASKS_MAX 4096

#define STEP(id, rest) "{\"id\":\"" id "\"," rest "}"
#define CALL(id, deps)                                                                                       \
        STEP(id, "\"type\":\"call-service\",\"dependsOn\":[" deps                                            \
                 "],\"config\":{\"url\":\"https://x.example/" id "\",\"method\":\"POST\"}")
#define WAIT_EVENT(id, deps, correlation)                                                                    \
        STEP(id, "\"type\":\"wait-for-event\",\"dependsOn\":[" deps                                          \
                 "],\"config\":{\"eventType\":\"alarm\",\"correlationId\":\"" correlation "\"}")
#define WAIT(id, ms) STEP(id, "\"type\":\"wait\",\"config\":{\"durationMs\":" #ms "}")
#define APPROVE(id, deps)                                                                                    \
        STEP(id, "\"type\":\"human-approval\",\"dependsOn\":[" deps                                          \
                 "],\"approvalConfig\":{\"approvers\":[\"bob\",\"carol\"],\"minApprovals\":1,\"timeoutMs\":" \
                 "60000,\"timeoutAction\":\"fail\"}")
#define CONDITION(id, deps)                                                                                  \
        STEP(id, "\"type\":\"conditional\",\"dependsOn\":[" deps                                             \
                 "],\"config\":{\"condition\":{\"field\":\"input.go\",\"operator\":\"exists\"}}")
#define RUNBOOK(id, version, steps)                                                                          \
        "{\"id\":\"" id "\",\"name\":\"R\",\"version\":\"" version                                           \
        "\",\"idempotency\":\"none\",\"steps\":[" steps "]}"
#define RUNBOOK_WITH(id, members, steps)                                                                     \
        "{\"id\":\"" id "\",\"name\":\"R\",\"version\":\"1\"," members ",\"steps\":[" steps "]}"

typedef struct Reply {
        int n_done;
        RunbookCode code;
        bool durable;
        unsigned order; /* 1…: when it came, among all */
        unsigned *counter;
        struct World *world;
        char body[4096];
        char id[UUID_TEXT_SIZE + 1]; /* of what world_start started */
} Reply;

typedef struct FakeExecutor {
        Executor base;
        struct World *world;
        Task *tasks[WORLD_TASKS_MAX];
        size_t n;
        unsigned n_submitted, n_cancelled;
} FakeExecutor;

typedef struct Published { char *subject, *id, *payload; } Published;

typedef struct FakeAudit {
        AuditStream stream;
        Published *messages; /* what the stream holds */
        size_t n, cap;
        uint64_t base;       /* sequence before messages[0] */
        int64_t created_ms;
        uint64_t epoch;
        int fail_publish;    /* this many publishes fail with fail_code… */
        int fail_code;
        size_t keep_of_failed; /* …after the stream took so many of their messages */
        int fail_tail;
        unsigned n_publishes;
} FakeAudit;

typedef struct World {
        char dir[128];
        const char *backend;
        size_t map_size, map_size_max;
        Store *store;
        Runtime *rt;
        RuntimeSettings settings;
        int64_t now_ms;
        uint64_t random;
        FakeExecutor executor; /* of calls, and of questions whether a step may run */
        FakeAudit audit;
        bool with_audit;
        Reply replies[WORLD_REPLIES_MAX];
        size_t n_replies;
        unsigned n_answered;
        /* Something leaves: an answer, a task, a published event. It tells that @id is there (nil: of none), and of
         * its events up to @seq. */
        void (*on_told)(struct World *w, Uuid id, uint64_t seq);
} World;

/** @backend "memory" or "lmdb". Settings may be changed before world_open. */
World *world_new(const char *backend);
void world_open(World *w);
/** Close the runtime and the store, as if the process had ended, and open them again (lmdb). */
void world_restart(World *w);
void world_close(World *w);
void world_free(World *w);
/** The same, but its directory stays. */
void world_leave(World *w);

/** Until nothing is to be done at this time. */
void world_run(World *w);
/** The same without the outbox. */
void world_turn(World *w);
/** Let @ms pass, then run. */
void world_pass(World *w, int64_t ms);

/* Requests; slices point to string literals or live in the request. */
Request *request_register(const char *json, const char *user);
Request *request_start_of(const char *runbook, const char *input, const char *user);
Request *request_command(InputKind kind, const char *execution, const char *user);
Request *request_approve(const char *execution, const char *step, const char *user);
Request *request_event(const char *correlation, const char *payload, const char *event_id);
Request *request_replay(const char *execution, const char *mode);
void request_name(Request *q, const char *command_id, const char *digest_of);
Value *value_of(const char *json);

/** Put it into the inbox. */
Reply *world_send(World *w, Request *q);
/** …and run. */
Reply *world_ask(World *w, Request *q);
/** Register, must succeed. */
void world_register(World *w, const char *json);
/** Start, must succeed; the execution id as text, valid for the world's life. */
const char *world_start(World *w, const char *runbook, const char *input);
/** A member of the reply's JSON; "" when absent. */
const char *reply_text(const Reply *r, const char *key);

/** The collected task of @step (of @execution, or of any when NULL); NULL: none. */
Task *world_task(World *w, const char *execution, const char *step);
/** Answer it: @json is the output, or with @ok false the error. The task is gone. */
void world_answer(World *w, Task *task, bool ok, const char *json);
/** Status of an execution and of its step as the store has them. */
const char *world_status(World *w, const char *execution);
const char *world_step(World *w, const char *execution, const char *step);
/** Load, check all invariants, count the events of @type (NULL: all) in the stored history and that they are
 * gapless. */
unsigned world_events(World *w, const char *execution, const char *type);
Execution *world_load(World *w, const char *execution);

/** The consistency check of the whole store finds nothing; @deep replays all journals. */
void world_check(World *w, bool deep);

/** A life with everything in it: failures, a retry, an event, a pause, votes; all but its last wait is over.
 */
const char *world_eventful(World *w);

/** Messages in the stream whose id begins with @execution; checks that the first copies come in order without
 * a gap from 1. */
unsigned audit_check(World *w, const char *execution);
/** The stream loses all after its first @n messages and the bus reconnects. */
void audit_lose(World *w, size_t n);
