#pragma once
/*
 * The simulator: one real engine (core, runtime, tables, subject codecs) in a world that one seed makes:
 * store, bus, executors, clock, ids and people. Nothing in here reads a real clock, starts a thread or looks
 * at an address, so a seed is a story that is told the same way every time, by every build.
 *
 *     plan.c       what a seed draws once: faults and their rates, limits, how busy everybody is
 *     world.c      the process: started, dies, starts again; the scheduler; healing at the end
 *     disk.c       the store under it              bus.c, queue.c, audit.c   the bus around it
 *     worker.c     executors                       people.c, definition.c    who sends what
 *     memory.c     allocations that fail
 *     history.c, model*.c, tables.c, checks.c      what must be true
 *     simulate.c, shrink.c                         the program
 */

#include <stdio.h>

#include "rng.h"
#include "runtime/runtime.h"
#include "subjects/handler.h"

#define SIM_PREFIX    "runbook.v1"
#define SIM_STEPS     300
#define SIM_TEXT_MAX  2048          /* bytes of a failure's sentence */
#define SIM_DRAIN_MAX 200000        /* turns without an end: a loop that never comes to rest */
#define SIM_EPOCH_MS  1767225600000 /* 2026-01-01 */

/* ---- faults ----------------------------------------------------------------------------------------- */

typedef enum Fault {
        FAULT_AUDIT_FORGETS, /* the stream's dedupe window has passed: what is sent again is stored again */
        FAULT_AUDIT_FULL,    /* the stream refuses */
        FAULT_AUDIT_LOSES,   /* the stream loses its tail, which it had acknowledged */
        FAULT_AUDIT_NEW,     /* another, empty stream of the same name */
        FAULT_AUDIT_UNSURE,  /* a part arrives, and nobody knows how much */
        FAULT_BUS_AWAY,      /* no connection for a while */
        FAULT_CLOCK_BACK,    /* set back while the process is down */
        FAULT_CLOCK_JUMP,
        FAULT_COMMIT_KEPT,   /* the process dies in a commit that is on disk */
        FAULT_COMMIT_LOST,   /* …that is not */
        FAULT_COMMIT_UNSURE, /* EIO: on disk or not */
        FAULT_CRASH,         /* the process dies between any two things that it tells or does */
        FAULT_DISK_FULL,
        FAULT_DISK_READ, /* EIO while reading */
        FAULT_MAP_FULL,
        FAULT_MESSAGE_LOST,
        FAULT_MESSAGE_TWICE,
        FAULT_MESSAGE_LATE, /* and so in another order */
        FAULT_NO_MEMORY,
        FAULT_PAUSE,       /* the process stands still for long */
        FAULT_QUEUE_AGAIN, /* delivered again although it is being worked on */
        FAULT_QUEUE_LOSES, /* the durable queue loses its tail, independently of its consumer */
        FAULT_RESULT_ERROR,
        FAULT_RESULT_LATE, /* of an attempt that was given up, or of a process that died */
        FAULT_RESULT_NONE, /* the effect happened, and nobody says so */
        FAULT_RESULT_TWICE,
        N_FAULTS
} Fault;
extern const char *const fault_names[N_FAULTS]; /* plan.c; alphabetical */

/* ---- the plan ------------------------------------------------------------------------------------------ */

typedef enum Op {
        OP_ASK, /* somebody sends something new */
        OP_ASK_AGAIN,
        OP_CLOCK,
        OP_DELIVER,
        OP_FAULT, /* something happens to the world */
        OP_OUTBOX,
        OP_QUEUE,
        OP_RESULT,
        OP_RUN, /* turns until there is nothing to do */
        OP_TURN,
        OP_VERIFY,
        N_OPS
} Op;
extern const char *const op_names[N_OPS];

typedef struct Plan {
        uint16_t rate[N_FAULTS]; /* permille of its occasions; 0: this seed is without it */
        uint16_t weight[N_OPS];
        uint32_t n_steps;
        RuntimeSettings runtime;
        size_t map_max;      /* bytes of the store's map; 0: without end */
        uint32_t clock_ms;   /* a small step of the clock is up to so long */
        uint32_t n_runbooks; /* per tenant */
        bool short_memory;   /* command ids are forgotten soon: repeats are not checked */
        bool short_outbox;   /* published rows are forgotten soon, and the stream loses some for good */
} Plan;

/* ---- the parts ------------------------------------------------------------------------------------------- */

typedef struct Disk Disk;
typedef struct Net Net;
typedef struct Queue Queue;
typedef struct AuditLog AuditLog;
typedef struct Workers Workers;
typedef struct People People;
typedef struct Books Books; /* what the checkers know */

typedef struct Sim {
        uint64_t seed;
        Plan plan;
        Rng rng;      /* the present step's */
        uint64_t ids; /* where the engine's random bits come from */
        uint32_t step;
        int64_t now_ms; /* the world's wall clock as the engine sees it */
        bool healing;   /* the end: no faults any more */
        int looking;    /* a checker reads: nothing fails, nobody dies */

        Disk *disk;
        Net *net;
        Queue *queue;
        AuditLog *audit;
        Workers *workers;
        People *people;
        Books *books;

        /* The process; NULL while it is down. */
        Store *store;
        Runtime *rt;
        Subjects *subjects;
        SubjectsSettings subjects_settings;
        bool dead;     /* died in the midst of what it is doing: nobody hears it any more */
        uint64_t life; /* 1…: counts starts */
        uint64_t n_crashes, n_turns;
        int64_t next_timer_ms;
        int64_t bus_away_until_ms;

        /* The story. */
        FILE *trace;   /* NULL: not told */
        uint64_t hash; /* of all that was told */
        uint64_t n_events;
        bool failed;
        char failure[SIM_TEXT_MAX];
        char checker[64];
} Sim;

/* What seams at link time must know: bus_*, kv_open_mem, malloc. */
extern Sim *the_sim;

typedef struct Options {
        uint64_t seed;
        uint32_t n_steps; /* 0: as planned */
        const bool *skip; /* steps left out, n_steps of them; NULL: none */
        uint32_t n_skip;
        bool without[N_FAULTS];
        FILE *trace;
} Options;

typedef struct Outcome {
        bool failed;
        char checker[64];
        char failure[SIM_TEXT_MAX];
        uint64_t hash, n_events;
        uint32_t n_steps, n_executions, n_crashes;
        uint64_t n_lifecycle;
        bool fault_used[N_FAULTS];
} Outcome;
/** world.c: one whole life. */
void sim_run(const Options *options, Outcome *ret);

/* ---- the story ----------------------------------------------------------------------------------------- */

/** One line of the story; part of its hash. */
void sim_tell(Sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Something is wrong: the first one counts. @checker: a short name that stays the same while it is shrunk. */
void sim_fail(Sim *s, const char *checker, const char *format, ...) __attribute__((format(printf, 3, 4)));
/** Does @fault happen here? Draws from the step's stream. */
bool sim_fault(Sim *s, Fault fault);
/** A place where the process may die. True: it is dead, and nothing it does from now on is seen. */
bool sim_may_die(Sim *s, const char *where);

/* plan.c */
void plan_draw(Plan *p, uint64_t seed);

/* world.c */
bool process_is_up(const Sim *s);

/* memory.c: failures are for the product's own allocations, between enter and leave */
void memory_enter(Sim *s);
void memory_leave(void);
/** Code of the simulator that the product calls: its allocations don't fail. */
int memory_suspend(void);
void memory_resume(int was);
/** realloc that doesn't fail, for the simulator itself. */
void *sim_realloc(void *p, size_t n);
char *sim_dup(Slice s);
/** Make room for one more in a list. */
#define SIM_GROW(list, n, cap)                                                                               \
        do {                                                                                                 \
                if ((n) == (cap)) {                                                                          \
                        (cap) = (cap) ? (cap)*2 : 32;                                                        \
                        (list) = sim_realloc((list), (cap) * sizeof(*(list)));                               \
                }                                                                                            \
        } while (0)

/* disk.c */
Disk *disk_new(void);
void disk_free(Disk *d);
/** Executions that commits have written since the last call; *ret is borrowed until the next commit. */
size_t disk_take_touched(Disk *d, const Uuid **ret);
void disk_heal(Disk *d);
/** The disk is full (or has room again). */
void disk_set_full(Disk *d, bool full);
bool disk_is_full(const Disk *d);

/* bus.c: core messages, both ways */
Net *net_new(void);
void net_free(Net *n);
/** The process is gone: what it had in its hands is lost. */
void net_process_ended(Sim *s);
/** Send to the engine; @reply may be "". The texts are copied. */
void net_send(Sim *s, const char *subject, Slice body, const char *command_id, int command);
/** Hand one message to the engine. False: there is none. */
bool net_deliver(Sim *s);
size_t net_waiting(const Net *n);
/** Every message handed to a process that still lives must have its answer by now. */
void net_check_answered(Sim *s);
bool bus_is_away(const Sim *s);
/** Hand @m to the engine's codecs, with allocations that may fail. */
void bus_hand_over(Sim *s, const Message *m, bool queue);

/* queue.c: the durable queue */
Queue *queue_new(void);
void queue_free(Queue *q);
void queue_put(Sim *s, const char *subject, Slice body, const char *command_id, int command);
bool queue_deliver(Sim *s);
void queue_acked(Sim *s, Slice ack, bool done);
void queue_lose(Sim *s);
size_t queue_waiting(const Queue *q);
/** When the next message is to be delivered (again); INT64_MAX: none. */
int64_t queue_next_ms(const Queue *q);

/* audit.c: the audit stream */
AuditLog *audit_new(void);
void audit_free(AuditLog *a);
void audit_lose(Sim *s);
void audit_replace(Sim *s);
void audit_reconnect(Sim *s);
/** Everything that is committed is in the stream, in order. */
void audit_check_complete(Sim *s);
int audit_publish(Sim *s, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq);
int audit_tail(Sim *s, AuditTail *ret);
uint64_t audit_epoch(const Sim *s);

/* worker.c */
Workers *workers_new(Sim *s);
void workers_free(Workers *w);
/** Executors for the process that starts. */
void workers_attach(Sim *s);
void workers_process_ended(Sim *s);
/** One task gets an answer. False: there is none. */
bool workers_answer(Sim *s);
size_t workers_open(const Workers *w);
/** For how long its receiver asked to be left alone. */
int64_t workers_retry_after(const Sim *s, Uuid id, const char *path, uint32_t attempt);
/** Has the authorization service allowed this attempt? */
bool workers_granted(const Sim *s, Uuid id, const char *path, uint32_t attempt);

/* people.c */
People *people_new(Sim *s);
void people_free(People *p);
void people_ask(Sim *s);
bool people_ask_again(Sim *s);
/** The durable queue may forget @command, which is known as @identity: it must be recorded. */
void people_acked(Sim *s, int command, const char *identity);
void people_answered(Sim *s, int command, RunbookCode code, Slice body, bool durable);
/** At the end: decide, resume, send events, so that everything can end. True: something was sent. */
bool people_help(Sim *s);
/** Send @command again if it never got an answer that counts. */
bool people_insist(Sim *s);
void people_check_end(Sim *s);
/** Is there a vote like this among what was sent, one for each that is recorded? */
bool people_voted(Sim *s, Uuid execution, Slice step, Slice user, Slice decision, Slice command_id);
/** Has this been sent by @user (pause, resume, cancel, retry) to this execution? */
bool people_commanded(Sim *s, const char *verb, Uuid execution, Slice user);

/* definition.c */
/** A random definition, owned; @others: ids of runbooks that it may run. */
char *definition_draw(Rng *r, const char *id, const char *version, const char *const *others,
                      size_t n_others);

/* attest.c */
/** With a living engine, after the last checkpoint. */
void attest_check_end(Sim *s);

/* checks.c */
Books *books_new(void);
void books_free(Books *b);
/** After every event: whatever commits have touched is read again and held against everything known. */
void books_look(Sim *s);
/** With a living, quiet engine: nothing due is left. */
void books_check_quiet(Sim *s);
void books_check_end(Sim *s);
/** Replay one execution from the beginning. */
void books_verify_one(Sim *s);
/** A task leaves the engine. */
void books_task(Sim *s, const Task *t);
uint32_t books_count(const Books *b);
uint64_t books_events(const Books *b);
/** The @i-th execution known; false past the last. */
bool books_execution(const Books *b, uint32_t i, Uuid *ret, uint8_t *ret_status, Slice *ret_tenant);
/** Any step path of it, for somebody who wants to name one; "" if none is known. */
const char *books_some_path(const Books *b, uint32_t i, Rng *r);
