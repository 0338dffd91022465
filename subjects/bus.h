#pragma once
/*
 * The bus under the handlers, free of the NATS library's types: connections that come back by themselves,
 * subscriptions, answers, streams. Implemented by the bus_*.c files, the only ones that include
 * <nats/nats.h>.
 */

#include <runbook/error.h>
#include "base/slice.h"
#include "runtime/ports.h"
#include "subjects/subjects.h"

/* Caps of the bus */
#define BUS_REPLIES_MAX       65536 /* answers waiting to be sent; more are dropped and counted */
#define BUS_REPLIES_BYTES_MAX ((size_t)256 << 20) /* the same in bytes */
#define BUS_RECONNECT_BUFFER  (8 * 1024 * 1024)    /* bytes of answers the library keeps while reconnecting */
#define BUS_PENDING_MAX       262144 /* messages received and not yet handled, per subscription */
/* As bytes: so many times what is refused. Past either the library drops, and we log it. */
#define BUS_PENDING_FACTOR     4
#define BUS_SHED_MESSAGES      16384 /* from here on messages are refused unread (OVERLOADED) */
#define BUS_SHED_BYTES         (64 * 1024 * 1024)
#define BUS_WRITE_DEADLINE_MS  10000 /* a server that takes nothing for so long is left */
#define BUS_CONNECT_TIMEOUT_MS 2000
#define BUS_BACKOFF_MIN_MS     100
#define BUS_BACKOFF_MAX_MS     5000
#define BUS_SETUP_RETRY_MAX_MS 30000 /* between attempts to make streams and consumer */
#define BUS_API_TIMEOUT_MS     5000  /* one JetStream request */
#define BUS_LOG_INTERVAL_MS    60000 /* one line an interval for what clients may cause again and again */

typedef struct Bus Bus;

/** Bytes received and not read, per subscription, from which on messages are refused unread. */
static inline size_t bus_pending_max(const SubjectsSettings *s) {
        return s->pending_bytes_max > 0 ? s->pending_bytes_max : BUS_SHED_BYTES;
}

/** What arrived; all of it is borrowed for the call. */
typedef struct Message {
        Slice subject, body;
        Slice reply; /* empty: nobody waits. From the durable stream: where the acknowledgement goes */
        /** The first value of header @name (exact case), NUL-terminated; NULL when absent. */
        const char *(*header)(void *userdata, const char *name);
        void *userdata;
} Message;

static inline const char *message_header(const Message *m, const char *name) {
        return m->header ? m->header(m->userdata, name) : NULL;
}

/* ---- streams ----------------------------------------------------------------------- */

typedef enum StreamRetention { STREAM_LIMITS, STREAM_WORK_QUEUE } StreamRetention;

/** A stream as this protocol needs it; what is not here is the operator's choice. */
typedef struct StreamSpec {
        const char *name, *description;
        const char *subjects[4]; /* behind the prefix; NULL-terminated */
        StreamRetention retention;
        int64_t duplicates_ms; /* window in which a repeated Nats-Msg-Id is dropped */
        bool deny_delete, deny_purge;
} StreamSpec;

#define STREAM_AUDIT "RUNBOOK_AUDIT"
#define STREAM_QUEUE "RUNBOOK_QUEUE"
#define STREAM_TASKS "RUNBOOK_TASKS"
#define STREAM_FENCE "RUNBOOK_FENCE"
#define N_STREAMS    4
extern const StreamSpec stream_specs[N_STREAMS]; /* streams.c */

#define QUEUE_CONSUMER "runbookd"
#define QUEUE_DELIVER  "_INBOX.runbookd." STREAM_QUEUE /* where the consumer pushes to */
/* then it is delivered again; every message has an identity, so that does no harm */
#define QUEUE_ACK_WAIT_MS         10000
#define QUEUE_ACK_PENDING_DEFAULT 4096
#define QUEUE_NAK_DELAY_MS        2000
#define QUEUE_HELD_MAX            100000 /* held back beside QUEUE_ACK_PENDING; more: the stream keeps the rest */
#define QUEUE_HELD_PER_S          2000   /* of them come again each second: the more, the longer their pause */

/* ---- life -------------------------------------------------------------------------- */

typedef enum BusLink { BUS_LINK_MAIN, BUS_LINK_QUERY, BUS_LINK_AUDIT, BUS_LINK_TASK, N_BUS_LINKS } BusLink;

typedef struct BusSubscription {
        BusLink link;
        char subject[512];
        const char *group; /* queue group; NULL: none */
        /**
         * On a thread of the bus, one call at a time per subscription. @shed: too many wait behind this
         * one.
         */
        void (*handle)(void *userdata, const Message *m, bool shed);
        void *userdata;
} BusSubscription;

#define BUS_SUBSCRIPTIONS_MAX 16

typedef struct BusOptions {
        const SubjectsSettings *settings; /* borrowed for the bus's life */
        BusSubscription subscriptions[BUS_SUBSCRIPTIONS_MAX];
        size_t n_subscriptions;
        /** A message of the durable stream. */
        void (*on_queue)(void *userdata, const Message *m);
        /** A task that was sent to somebody who waited has not reached him. */
        void (*on_returned)(void *userdata, Slice tenant, Slice token);
        /** Called once, when all core subscriptions stand at the server for the first time. */
        void (*on_ready)(void *userdata);
        /** See SubjectsHost. */
        void (*on_fenced)(void *userdata, const char *sentence);
        void *userdata;
} BusOptions;

/**
 * Check what can be checked without a server (URL, files), make threads' state. 0, -EINVAL with @report,
 * -ENOMEM.
 */
int bus_new(const BusOptions *options, Report *report, Bus **ret);
int bus_start(Bus *b);
/** Take no more messages: unsubscribe, handle what was delivered already, at most @timeout_ms. */
void bus_stop(Bus *b, int64_t timeout_ms);
/** Send what waits, close, free. NULL-safe. */
void bus_free(Bus *b);
bool bus_is_connected(const Bus *b);
/** How often a lost connection was won back. Any thread. */
uint64_t bus_n_reconnects(const Bus *b);
/** Messages of the durable queue that are held back. Any thread. */
uint64_t bus_queue_n_held(const Bus *b);
/** Bytes that the server takes in one message. */
size_t bus_payload_max(const Bus *b);

/* ---- sending ----------------------------------------------------------------------- */

/**
 * Send an answer to @subject (already found to be allowed). Any thread, never blocks: what can't be sent is
 * dropped and counted. @code other than RUNBOOK_OK: @body is the error's JSON, the error headers are taken
 * from it.
 */
void bus_reply(Bus *b, Slice subject, RunbookCode code, Slice body);
/** The same on the query link and at once, by the calling thread; may block for BUS_WRITE_DEADLINE_MS. */
void bus_reply_now(Bus *b, Slice subject, RunbookCode code, Slice body);
/**
 * Tell the durable stream what became of a message; @ack is its acknowledgement subject. Any thread, never
 * blocks.
 */
void bus_queue_ack(Bus *b, Slice ack, bool done);
/** Not done, and for longer than a moment: deliver it again later, and others' meanwhile. As bus_queue_ack. */
void bus_queue_hold(Bus *b, Slice ack);

/** AskBus's functions; @userdata is the Subjects, whose subscription to ask_inbox() brings the answers. */
int ask_publish(void *userdata, const char *subject, uint64_t token, Slice body);
void ask_listen(void *userdata, void (*on_answer)(void *asker, uint64_t token, Slice body, bool nobody),
                void *asker);
/** Publish with a reply subject on the main link. 0, -EAGAIN, -EMSGSIZE, -EIO; may block for BUS_WRITE_DEADLINE_MS. */
int bus_request(Bus *b, const char *subject, const char *reply, Slice body);

/** See subjects_claim. */
int bus_claim(const SubjectsSettings *settings, bool adopt, Report *report);

/** AuditStream's functions; @userdata is the Bus. */
int bus_audit_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq);
int bus_audit_tail(void *userdata, AuditTail *ret);
uint64_t bus_audit_epoch(void *userdata);

/* ---- what executors send, and tasks for workers -------------------------------------- */

#define BUS_OUTLET_MESSAGES   4096 /* messages of executors that are on their way; more: -EAGAIN */
#define BUS_OUTLET_BYTES      (64 * 1024 * 1024) /* the same in bytes */
#define BUS_PULLS_MAX         16384 /* workers that wait for a task */
#define BUS_PULL_GRACE_MS     2000  /* after its time a worker that the server has forgotten is answered */
#define TASK_CONSUMERS_MAX    1000  /* of the stream of tasks: kinds of tasks that workers have asked for */
#define TASK_CONSUMER_TTL_MS  60000 /* so often a consumer is looked at */
#define TASK_SENT_MS          500   /* by then the server has told if nobody listens where a task was sent to */
#define TASK_ACK_WAIT_MS      10000 /* from the stream's hand into ours; then it is delivered again */
#define TASK_ACK_PENDING      10000
#define TASK_CONSUMER_NAME_MAX 128  /* bytes; longer ones are hashed */

/** Outlet's functions; @userdata is the Bus. */
int bus_outlet_send(void *userdata, const OutMessage *m);
void bus_outlet_retract(void *userdata, uint64_t stream_seq, uint64_t epoch);
void bus_outlet_acknowledge(void *userdata, Slice ack);
size_t bus_outlet_payload_max(void *userdata);
void bus_outlet_forget(void *userdata, void *owner);

/** Somebody who waits for a task. */
typedef struct BusPull {
        Slice subject;      /* of the tasks */
        Slice consumer;     /* of the stream of tasks, made if it is missing */
        int64_t expires_ms; /* how long it waits */
        Slice reply;        /* where the task is sent to */
        Slice tenant;
        /** A task is there, and will be sent. False: nobody needs it, fetch another. */
        bool (*take)(void *userdata, const Message *task);
        /**
         * The last call, exactly one, on any thread. @has_task: one was sent. Else @sentence says why not; NULL: none
         * came in its time.
         */
        void (*end)(void *userdata, bool has_task, RunbookCode code, const char *sentence);
        void *userdata;
} BusPull;

/** Fetch a task. 0: `end` will be called; -EAGAIN: BUS_PULLS_MAX wait already; -ENOMEM. */
int bus_pull(Bus *b, const BusPull *pull);

/** Lets one log line through per BUS_LOG_INTERVAL_MS. Zero-initialised is ready. */
typedef struct LogGate {
        int64_t next_ns;
        uint64_t n_held;
} LogGate; /* atomic */
/** May a line be written now? *ret_held: how many were held back since the last one. */
bool log_gate_pass(LogGate *g, uint64_t *ret_held);
