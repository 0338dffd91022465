#pragma once
/*
 * The C client of the runbook engine: commands, queries, live events, and the check of an audit trail and of
 * signed checkpoints.
 *
 * A client is one NATS connection that speaks for one tenant and one user. Requests block the calling
 * thread; any number of threads may use one client at once. Every command carries a command id
 * (a UUIDv7 unless the caller gives one) and is sent again under the same id when its answer stays away, so a
 * command is carried out once however often it had to be sent.
 *
 * C99, stands alone. Link with -lrunbook-client.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <runbook/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RUNBOOK_API __attribute__((visibility("default")))
#else
#define RUNBOOK_API
#endif

#define RUNBOOK_CLIENT_ID_SIZE        37 /* a UUID as text, with NUL */
#define RUNBOOK_CLIENT_PREFIX_DEFAULT "runbook.v1"

typedef struct RunbookClient RunbookClient;
typedef struct RunbookSubscription RunbookSubscription;
typedef struct RunbookEventChain RunbookEventChain;
typedef struct RunbookCheckpoints RunbookCheckpoints;

/** What every function returns: 0, or why the engine's answer could not be had. */
typedef enum RunbookClientStatus {
        RUNBOOK_CLIENT_OK = 0,
        RUNBOOK_CLIENT_E_INVALID = -1,    /* an argument is missing or malformed */
        RUNBOOK_CLIENT_E_MEMORY = -2,     /* out of memory */
        RUNBOOK_CLIENT_E_CONFIG = -3,     /* a NATS context, credentials or certificate file cannot be used */
        RUNBOOK_CLIENT_E_NO_SERVER = -4,  /* NATS cannot be reached */
        RUNBOOK_CLIENT_E_AUTH = -5,       /* NATS does not accept these credentials */
        RUNBOOK_CLIENT_E_PERMISSION = -6, /* NATS does not let this user use this subject */
        RUNBOOK_CLIENT_E_NO_ENGINE = -7,  /* NATS is there, but no engine answers */
        RUNBOOK_CLIENT_E_TIMEOUT = -8,    /* no answer in time; a command may have been carried out */
        RUNBOOK_CLIENT_E_CLOSED = -9,     /* the connection is closed for good */
        RUNBOOK_CLIENT_E_TOO_LARGE = -10, /* more bytes than the NATS server takes in one message */
        RUNBOOK_CLIENT_E_PROTOCOL = -11   /* an answer that is not of this protocol */
} RunbookClientStatus;

/** Filled on failure where the caller passes one; NULL is allowed everywhere. */
typedef struct RunbookClientError {
        RunbookClientStatus status;
        char message[1024]; /* one sentence a person can act on */
} RunbookClientError;

/**
 * How to connect. Start from RUNBOOK_CLIENT_OPTIONS_INIT; NULL and 0 mean "not given". Strings are copied.
 *
 * What is not given comes, with `use_environment`, from NATS_URL, NATS_CREDS, NATS_USER, NATS_PASSWORD,
 * NATS_TOKEN, NATS_NKEY, NATS_CA, NATS_CERT, NATS_KEY, RUNBOOK_TENANT, RUNBOOK_USER, RUNBOOK_PREFIX; then
 * from the NATS context; then it has its default.
 */
typedef struct RunbookClientOptions {
        size_t size;              /* sizeof(RunbookClientOptions): lets the struct grow */
        const char *servers;      /* URLs, comma separated; default nats://127.0.0.1:4222 */
        const char *nats_context; /* name of a NATS context, or the path of its file. Not given but
                                   * use_environment: NATS_CONTEXT, else the selected one (context.txt) */
        const char *credentials;  /* a .creds file */
        const char *nats_user;
        const char *nats_password;
        const char *nats_token;
        const char *nkey;   /* a file holding a user seed */
        const char *tls_ca; /* PEM files */
        const char *tls_certificate;
        const char *tls_key;
        const char *inbox_prefix; /* default _INBOX */
        const char *tenant;       /* default "default" */
        const char *user; /* default: who NATS knows us as (user name, name in the credentials), else $USER */
        const char *prefix;         /* default runbook.v1 */
        const char *name;           /* connection name shown by NATS monitoring; default "runbook-client" */
        int64_t connect_timeout_ms; /* default 2000 */
        int64_t timeout_ms;         /* of one attempt of a request; default 5000 */
        int attempts;               /* times a request is sent when answers stay away, 1–10; default 3 */
        bool use_environment;       /* see above */
} RunbookClientOptions;

#define RUNBOOK_CLIENT_OPTIONS_INIT                                                                          \
        { sizeof(RunbookClientOptions) }

/** Connect. 0 and an owned client, or a status and @ret_error. */
RUNBOOK_API int runbook_client_connect(const RunbookClientOptions *options, RunbookClient **ret,
                                       RunbookClientError *ret_error);
/** Flush, close, free. NULL-safe. Subscriptions must have been freed, and no request be under way. */
RUNBOOK_API void runbook_client_close(RunbookClient *client);
/** Give back what the NATS library keeps for the whole process. Optional, after the last close. */
RUNBOOK_API void runbook_client_shutdown(void);

/** Borrowed, valid as long as the client. */
RUNBOOK_API const char *runbook_client_tenant(const RunbookClient *client);
RUNBOOK_API const char *runbook_client_user(const RunbookClient *client);
RUNBOOK_API const char *runbook_client_prefix(const RunbookClient *client);
/** Are we connected at this moment? (A lost connection is retried without end in the background.) */
RUNBOOK_API bool runbook_client_is_connected(RunbookClient *client);

/** The engine's answer. `body` is the reply's JSON text, verbatim and NUL-terminated. */
typedef struct RunbookReply {
        bool is_error;       /* refused: `code`, `status` and `message` say why, `body` has the details */
        RunbookCode code;    /* RUNBOOK_OK unless is_error */
        int status;          /* HTTP status that goes with it; 200 unless is_error */
        const char *message; /* one sentence; "" unless is_error */
        const char *body;
        size_t body_size;
        char command_id[RUNBOOK_CLIENT_ID_SIZE]; /* the generated one; "" if the caller gave it, or for
                                                    queries */
        int attempts;                            /* times the request was sent */
} RunbookReply;

/** NULL-safe. */
RUNBOOK_API void runbook_reply_free(RunbookReply *reply);

typedef struct RunbookHeader {
        const char *name;
        const char *value;
} RunbookHeader;

/** What may be said about one request; NULL wherever a RunbookCall is taken means all defaults. */
typedef struct RunbookCall {
        const char *command_id; /* header Nats-Msg-Id; default: a fresh UUIDv7 (commands and events), none
                                   (queries) */
        int64_t timeout_ms;     /* of one attempt; default the client's */
        int attempts;           /* default the client's */
        const RunbookHeader *headers;
        size_t n_headers;
} RunbookCall;

/**
 * Send @body to `<prefix>.<tenant>.<family>.<user>.<rest>` and wait for the answer; @subject is
 * "<family>.<rest>", e.g. "cmd.start" or "query.execution.<id>", in encoded tokens. @body NULL: an empty
 * body. On 0 *ret is owned; that the engine refused is said in there. An answer that stays away makes the
 * request be sent again, same command id.
 */
RUNBOOK_API int runbook_client_request(RunbookClient *client, const char *subject, const char *body,
                                       size_t body_size, const RunbookCall *call, RunbookReply **ret,
                                       RunbookClientError *ret_error);

/**
 * The same command or event through the durable queue: the stream RUNBOOK_QUEUE keeps it until an engine has
 * committed it.
 * @verb is "start", "pause.<executionId>", "event.<eventType>"… in encoded tokens. With @result_timeout_ms 0
 * the reply is the stream's acknowledgement. Else the engine's own answer is waited for that long; E_TIMEOUT
 * then means: safely queued, not yet done.
 */
RUNBOOK_API int runbook_client_enqueue(RunbookClient *client, const char *verb, const char *body,
                                       size_t body_size, int64_t result_timeout_ms, const RunbookCall *call,
                                       RunbookReply **ret, RunbookClientError *ret_error);

/* ── Commands. JSON arguments are texts; NULL leaves the field out. ─────────────────────────── */

typedef struct RunbookStart {
        const char *runbook_id; /* required */
        const char *version;    /* default: the newest */
        const char *context; /* JSON object: legalBasis, assumptions…; tenantId and initiatedBy are filled in
                              */
        const char *input;   /* JSON */
        const char *execution_id; /* a UUID; default: the engine picks one */
        const char *idempotency_key;
        const char *pause_at; /* a step id */
        bool skip_idempotency_check;
        bool dry_run;
} RunbookStart;

typedef struct RunbookExternalEvent {
        const char *type; /* required; may hold dots */
        const char *correlation_id;
        const char *payload; /* JSON */
        const char *event_id;
} RunbookExternalEvent;

/** @definition: JSON text (the engine also takes YAML where it says so). */
RUNBOOK_API int runbook_client_register(RunbookClient *client, const char *definition, size_t size,
                                        const RunbookCall *call, RunbookReply **ret,
                                        RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_start(RunbookClient *client, const RunbookStart *start,
                                     const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);
/** @keep_clocks: deadlines of waits run on while paused. */
RUNBOOK_API int runbook_client_pause(RunbookClient *client, const char *execution_id, bool keep_clocks,
                                     const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_resume(RunbookClient *client, const char *execution_id,
                                      const RunbookCall *call, RunbookReply **ret,
                                      RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_cancel(RunbookClient *client, const char *execution_id, const char *reason,
                                      const RunbookCall *call, RunbookReply **ret,
                                      RunbookClientError *ret_error);
/** @mode "rerun" or "verify"; NULL: the engine's default, a rerun. */
RUNBOOK_API int runbook_client_replay(RunbookClient *client, const char *execution_id, const char *mode,
                                      const RunbookCall *call, RunbookReply **ret,
                                      RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_retry(RunbookClient *client, const char *execution_id, const char *step_id,
                                     const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);
/** @shown_hash: `hash` of the approval as the approvals query showed it, so that the vote counts only for
 * what was seen; NULL: not said. */
RUNBOOK_API int runbook_client_approve(RunbookClient *client, const char *execution_id, const char *step_id,
                                       const char *comments, const char *shown_hash, const RunbookCall *call,
                                       RunbookReply **ret, RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_reject(RunbookClient *client, const char *execution_id, const char *step_id,
                                      const char *comments, const char *shown_hash, const RunbookCall *call,
                                      RunbookReply **ret, RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_event(RunbookClient *client, const RunbookExternalEvent *event,
                                     const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);

/* ── Queries. A NULL query means no filter and the first page. ────────────────────────────────── */

/** Filters and paging; fields that a query does not know are ignored by the engine. Times are RFC 3339. */
typedef struct RunbookQuery {
        int limit;          /* 1–1000; 0: the engine's default */
        const char *cursor; /* `nextCursor` of the page before */
        const char *step_id;
        const char *level;
        const char *start_time;
        const char *end_time;
        const char *runbook_id;
        const char *version;
        const char *status;
        const char *since;
        const char *until;
        const char *initiated_by;
} RunbookQuery;

RUNBOOK_API int runbook_client_runbooks(RunbookClient *client, const RunbookQuery *query,
                                        const RunbookCall *call, RunbookReply **ret,
                                        RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_runbook(RunbookClient *client, const char *runbook_id,
                                       const RunbookQuery *query, const RunbookCall *call, RunbookReply **ret,
                                       RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_executions(RunbookClient *client, const RunbookQuery *query,
                                          const RunbookCall *call, RunbookReply **ret,
                                          RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_execution(RunbookClient *client, const char *execution_id,
                                         const RunbookQuery *query, const RunbookCall *call,
                                         RunbookReply **ret, RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_history(RunbookClient *client, const char *execution_id,
                                       const RunbookQuery *query, const RunbookCall *call, RunbookReply **ret,
                                       RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_logs(RunbookClient *client, const char *execution_id,
                                    const RunbookQuery *query, const RunbookCall *call, RunbookReply **ret,
                                    RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_evidence(RunbookClient *client, const char *execution_id,
                                        const RunbookQuery *query, const RunbookCall *call,
                                        RunbookReply **ret, RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_audit(RunbookClient *client, const char *execution_id,
                                     const RunbookQuery *query, const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);
/** The approvals that wait for this client's user. */
RUNBOOK_API int runbook_client_approvals(RunbookClient *client, const RunbookQuery *query,
                                         const RunbookCall *call, RunbookReply **ret,
                                         RunbookClientError *ret_error);
RUNBOOK_API int runbook_client_stats(RunbookClient *client, const RunbookCall *call, RunbookReply **ret,
                                     RunbookClientError *ret_error);

/* ── Live events ───────────────────────────────────────────────────────────────────────────────── */

/** Bits: what a subscription takes, and what an event is. */
typedef enum RunbookEventKind {
        RUNBOOK_EVENT_LIFECYCLE = 1, /* a CloudEvent */
        RUNBOOK_EVENT_LOG = 2,       /* a log entry */
        RUNBOOK_EVENT_GAP = 4, /* events may be missing here (connection lost and back, or read too slowly):
                                * read them from history or logs. Always delivered, has no body */
        RUNBOOK_EVENT_CHECKPOINT = 8 /* a signed checkpoint, of any engine */
} RunbookEventKind;

typedef struct RunbookEvent {
        RunbookEventKind kind;
        const char *execution_id; /* decoded; "" for a gap; of a checkpoint the engine's id */
        const char *type;         /* "step.completed", or a log's level; "" for a gap and a checkpoint */
        const char *body;         /* JSON text, NUL-terminated */
        size_t body_size;
} RunbookEvent;

/** NULL-safe. For events got from runbook_subscription_next. */
RUNBOOK_API void runbook_event_free(RunbookEvent *event);

/** Called on a thread of the library, one call at a time per subscription; the event is valid until it
 * returns. It may send requests, but must not subscribe, free a subscription or close the client. */
typedef void (*RunbookEventHandler)(void *userdata, const RunbookEvent *event);

/**
 * Live lifecycle events and/or logs (@kinds: bits) of one execution, or of the whole tenant (@execution_id
 * NULL); and/or the checkpoints of all engines, which belong to no tenant. At most once: what was published
 * while we were away is not repeated, but a gap is told. With @handler NULL events are queued (at most 8192
 * events or 64 MiB, then a gap) and taken with runbook_subscription_next. 0 means that the server has
 * accepted it.
 */
RUNBOOK_API int runbook_client_subscribe(RunbookClient *client, unsigned kinds, const char *execution_id,
                                         RunbookEventHandler handler, void *userdata,
                                         RunbookSubscription **ret, RunbookClientError *ret_error);
/** Wait at most @timeout_ms (0: only look) for the next event. 0 and an owned event, or
 * RUNBOOK_CLIENT_E_TIMEOUT. */
RUNBOOK_API int runbook_subscription_next(RunbookSubscription *subscription, int64_t timeout_ms,
                                          RunbookEvent **ret);
/** Unsubscribe; returns when no handler is running any more. NULL-safe. */
RUNBOOK_API void runbook_subscription_free(RunbookSubscription *subscription);

/* ── The audit trail ───────────────────────────────────────────────────────────────────────────── */

/**
 * Checks one execution's lifecycle events, offline: sequence numbers without gaps, `prevhash` = the event
 * before's `hash` (64 zeros for the first), `hash` = SHA-256 of the event's canonical JSON (RFC 8785) without
 * its `hash` member. Independent of engine and connection. Not for several threads at once.
 */
RUNBOOK_API RunbookEventChain *runbook_event_chain_new(void);
RUNBOOK_API void runbook_event_chain_free(RunbookEventChain *chain);

typedef enum RunbookChainFault {
        RUNBOOK_CHAIN_FINE = 0,
        RUNBOOK_CHAIN_MALFORMED =
                        1,          /* not a JSON object with sequence, prevhash and hash of the right kind */
        RUNBOOK_CHAIN_GAP = 2,      /* sequence numbers are missing before this event */
        RUNBOOK_CHAIN_ORDER = 3,    /* this sequence number, or a later one, was there already */
        RUNBOOK_CHAIN_LINK = 4,     /* prevhash is not the hash of the event before */
        RUNBOOK_CHAIN_HASH = 5,     /* the event's content does not give its hash: it was altered */
        RUNBOOK_CHAIN_EXECUTION = 6 /* the event belongs to another execution */
} RunbookChainFault;

/**
 * Check the next event. Returns a RunbookChainFault (the first that applies; @ret_error then has the
 * sentence), or RUNBOOK_CLIENT_E_MEMORY. After a fault the chain goes on from this event, so that every fault
 * is found.
 */
RUNBOOK_API int runbook_event_chain_add(RunbookEventChain *chain, const char *event, size_t size,
                                        RunbookClientError *ret_error);
/** Go on from a known point: the next event must have sequence @sequence + 1 and prevhash @hash (64 hex
 * digits). */
RUNBOOK_API int runbook_event_chain_resume(RunbookEventChain *chain, int64_t sequence, const char *hash);
/** Events seen, faulty ones included. */
RUNBOOK_API uint64_t runbook_event_chain_events(const RunbookEventChain *chain);
RUNBOOK_API uint64_t runbook_event_chain_faults(const RunbookEventChain *chain);
/** Where the chain stands: to be compared with what was kept elsewhere. Sequence 0 and 64 zeros at the start. */
RUNBOOK_API int64_t runbook_event_chain_sequence(const RunbookEventChain *chain);
RUNBOOK_API const char *runbook_event_chain_hash(const RunbookEventChain *chain);
/** The execution that the first event belongs to (at most 64 bytes of its id), "" before. Borrowed, valid as
 * long as the chain. */
RUNBOOK_API const char *runbook_event_chain_execution(const RunbookEventChain *chain);

/* ── Signed checkpoints ────────────────────────────────────────────────────────────────────────── */

#define RUNBOOK_CHECKPOINT_BYTES_MAX   (4 * 1024 * 1024) /* JSON text of one checkpoint */
#define RUNBOOK_CHECKPOINT_ENGINES_MAX 256               /* whose checkpoints one verifier takes */
#define RUNBOOK_CHECKPOINT_KEYS_MAX    64                /* that one verifier trusts */
#define RUNBOOK_CHECKPOINT_HEADS_MAX   2000000           /* remembered with RUNBOOK_CHECKPOINTS_ALL */
#define RUNBOOK_CHECKPOINT_CHAINS_MAX  250000            /* remembered with RUNBOOK_CHECKPOINTS_NEWEST */

/** What is remembered of the heads (a chain's last event: sequence and hash) that checkpoints attest. */
typedef enum RunbookCheckpointMemory {
        RUNBOOK_CHECKPOINTS_ALL = 0,   /* every head, to check histories against; past
                                          RUNBOOK_CHECKPOINT_HEADS_MAX E_TOO_LARGE, see
                                          runbook_checkpoints_only */
        RUNBOOK_CHECKPOINTS_NEWEST = 1 /* the newest head of each of the chains attested last: enough to check
                                          checkpoints themselves, without end */
} RunbookCheckpointMemory;

/**
 * Checks the checkpoints that engines publish on `<prefix>.checkpoint.<engine>`, fed in order (of each
 * engine; those of several engines may be mixed), and remembers what they attest. Independent of engine and
 * connection. Not for several threads at once. NULL when out of memory.
 */
RUNBOOK_API RunbookCheckpoints *runbook_checkpoints_new(RunbookCheckpointMemory memory);
/** NULL-safe. */
RUNBOOK_API void runbook_checkpoints_free(RunbookCheckpoints *checkpoints);
/**
 * Take only what is signed by this key (Ed25519, 32 bytes in base64), or another one trusted in this way.
 * Without any, each engine is held to the key of its first whole checkpoint: then compare that key with what
 * the engine logs at its start. 0, E_INVALID, E_MEMORY, or E_TOO_LARGE past RUNBOOK_CHECKPOINT_KEYS_MAX.
 */
RUNBOOK_API int runbook_checkpoints_trust(RunbookCheckpoints *checkpoints, const char *public_key,
                                          RunbookClientError *ret_error);
/** Remember heads of this chain (an execution's id) only, so that any number of checkpoints can be read.
 * Before the first one. 0, or E_INVALID for what is no UUID. */
RUNBOOK_API int runbook_checkpoints_only(RunbookCheckpoints *checkpoints, const char *chain_id,
                                         RunbookClientError *ret_error);

typedef enum RunbookCheckpointFault {
        RUNBOOK_CHECKPOINT_FINE = 0,
        RUNBOOK_CHECKPOINT_REPEATED = 1, /* no fault: one of the engine's last ones once more, nothing new */
        RUNBOOK_CHECKPOINT_MALFORMED = 2, /* not a checkpoint: a member is missing or wrong */
        RUNBOOK_CHECKPOINT_KEY = 3,       /* signed by a key that is not trusted, or not the engine's so far */
        RUNBOOK_CHECKPOINT_SIGNATURE = 4, /* the signature is not of this key over this statement */
        RUNBOOK_CHECKPOINT_STATEMENT = 5, /* the event says something else than the signed statement in it */
        RUNBOOK_CHECKPOINT_HASH = 6,      /* the event's content does not give its hash: it was altered */
        RUNBOOK_CHECKPOINT_GAP = 7,       /* checkpoints are missing before this one */
        RUNBOOK_CHECKPOINT_ORDER = 8,     /* this number was passed already */
        RUNBOOK_CHECKPOINT_LINK = 9,      /* prevhash is not the hash of the checkpoint before */
        RUNBOOK_CHECKPOINT_FORK = 10,     /* this number was signed before, with other content */
        RUNBOOK_CHECKPOINT_HEAD = 11      /* it takes back, or contradicts, what an earlier one attests */
} RunbookCheckpointFault;

/**
 * Check the next checkpoint (a CloudEvent as published; how it is spaced does not matter). Returns a
 * RunbookCheckpointFault (the first that applies; @ret_error then has the sentence), E_MEMORY, or E_TOO_LARGE
 * when a limit above is passed. What fails before GAP was not said by the engine: it attests nothing, and the
 * next one is compared with the one before it. What GAP and later ones are told of is signed by the engine,
 * attests what it says and is where the chain goes on, but for ORDER.
 */
RUNBOOK_API int runbook_checkpoints_add(RunbookCheckpoints *checkpoints, const char *event, size_t size,
                                        RunbookClientError *ret_error);
/** Events seen, repeated and faulty ones included; how many had a fault, malformed ones included. */
RUNBOOK_API uint64_t runbook_checkpoints_events(const RunbookCheckpoints *checkpoints);
RUNBOOK_API uint64_t runbook_checkpoints_faults(const RunbookCheckpoints *checkpoints);

/** One engine's checkpoints so far. */
typedef struct RunbookCheckpointEngine {
        const char *engine;                    /* its id */
        const char *public_key;                /* base64; "" while none of its checkpoints was whole */
        uint64_t n_checkpoints;                /* that this key signed, each once */
        uint64_t n_faults;                     /* of events in its name */
        uint64_t n_heads;                      /* attested */
        int64_t first_sequence, last_sequence; /* 0: none */
        int64_t first_time_ms, last_time_ms;   /* Unix; as the engine says */
        const char *last_hash;                 /* where its chain stands: 64 hex digits, "" before */
} RunbookCheckpointEngine;

/** The @i-th engine, in the order of their first events; NULL: there are no more. Borrowed, valid until the
 * next add. */
RUNBOOK_API const RunbookCheckpointEngine *runbook_checkpoints_engine(const RunbookCheckpoints *checkpoints,
                                                                      size_t i);

typedef enum RunbookAttestation {
        RUNBOOK_NOT_ATTESTED = 0, /* no checkpoint speaks of this event itself */
        RUNBOOK_ATTESTED = 1,     /* one does, and has the same hash */
        RUNBOOK_CONTRADICTED = 2  /* one does, and has another hash */
} RunbookAttestation;

/** Hold event @sequence of chain @chain_id, whose `hash` is @hash (64 hex digits), against what is
 * remembered. A RunbookAttestation (@ret_error has the sentence of a contradiction), or E_INVALID. */
RUNBOOK_API int runbook_checkpoints_check(const RunbookCheckpoints *checkpoints, const char *chain_id,
                                          int64_t sequence, const char *hash, RunbookClientError *ret_error);

/** A head as a checkpoint attests it. */
typedef struct RunbookAttested {
        int64_t sequence;
        char hash[65];
        const char *engine; /* who attests it; borrowed, valid as long as the verifier */
        int64_t checkpoint; /* the number of its checkpoint */
} RunbookAttested;

/** The newest attested event of a chain. A history that ends before it was cut off; what comes after it no
 * checkpoint speaks of. False: nothing of this chain is remembered. */
RUNBOOK_API bool runbook_checkpoints_newest(const RunbookCheckpoints *checkpoints, const char *chain_id,
                                            RunbookAttested *ret);

/* ── Names ─────────────────────────────────────────────────────────────────────────────────────── */

/** @text as one subject token: every byte outside [A-Za-z0-9_-] as %XX. Malloc'ed; NULL when out of memory.
 */
RUNBOOK_API char *runbook_token_encode(const char *text);
/** The reverse. NULL when out of memory or when @token is not well-formed. */
RUNBOOK_API char *runbook_token_decode(const char *token);
/** A fresh UUIDv7, e.g. for a command id kept across restarts of the caller. */
RUNBOOK_API void runbook_new_id(char ret[RUNBOOK_CLIENT_ID_SIZE]);

#ifdef __cplusplus
}
#endif
