#pragma once
/*
 * The engine's face on NATS: one file per subject family, each decoding what arrives into requests or
 * queries, and the bus that carries them. Knows the runtime only through these functions.
 */

#include "base/metrics.h"
#include "json/json_write.h"
#include "model/runbook.h"
#include "runtime/ports.h"
#include "storage/store.h"

/** What the handlers need from the house; filled by the daemon. */
typedef struct SubjectsHost {
        int (*submit)(void *userdata, Request *request);  /* runtime_submit */
        const char *overloaded; /* what a full inbox says, with its limits; NULL: a general sentence */
        StoreRunbookLookup lookup;
        /** Append the members of the engine part of `query…stats` (counts, depths) to an open JSON object. */
        void (*put_stats)(void *userdata, Slice tenant, JsonWriter *w);
        const WorkerDesk *desk;      /* filled before subjects_start; NULL, or without functions: no workers */
        Store *store;                /* for reading */
        const RunbookDefaults *definitions;
        Clock clock;
        Ids ids;
        /** Called once, on a thread of the bus, when commands are taken for the first time. May be NULL. */
        void (*on_ready)(void *userdata);
        /** Another engine has claimed this one's identity (see SubjectsFence): nothing more may be done. Called on a
         * thread of the bus; may be called again. NULL only without a fence. */
        void (*on_fenced)(void *userdata, const char *sentence);
        void *userdata;
} SubjectsHost;

/** Which claims on the engine's identity are ours; n 0: nothing is claimed. */
typedef struct SubjectsFence {
        uint64_t incarnation;
        const Uuid *nonces; /* the newest first: the one that is claimed with */
        size_t n;
} SubjectsFence;

/** Borrowed, strings too, until subjects_free. */
typedef struct SubjectsSettings {
        const char *url;            /* NATS_URL, comma-separated list */
        const char *creds;          /* file; NULL: none */
        const char *user, *password, *token, *nkey_seed_file; /* NULL: none */
        const char *nkey_public;    /* the seed's public key ("U…"); with nkey_seed_file */
        const char *tls_ca, *tls_cert, *tls_key;
        const char *prefix;         /* "runbook.v1" */
        const char *engine_id;      /* text UUID */
        const char *version;        /* of the program */
        const char *const *reply_prefixes; /* answered besides _INBOX. and _R_.; NULL-terminated, may be NULL */
        uint32_t queue_ack_pending_max; /* default 4096 */
        SubjectsFence fence;
        size_t pending_bytes_max;   /* received and not read, per subscription: beyond, refused unread; default
                                       BUS_SHED_BYTES. Four times that is dropped by the library */
        size_t replies_bytes_max;   /* answers waiting to be sent; default BUS_REPLIES_BYTES_MAX */
} SubjectsSettings;

typedef struct Subjects Subjects;

/**
 * Before anything is done in this engine's name: claim it on the bus, on a connection made for that. 0; -EAGAIN: NATS
 * can't be asked now (it is asked again on connecting); -EKEYREJECTED with a sentence: the bus knows of a start that
 * this store does not, so it is an old copy, or the engine's twin runs. @adopt: claim it all the same.
 */
int subjects_claim(const SubjectsSettings *settings, bool adopt, Report *report);

/**
 * Check settings, make handlers; connects in the background (NATS may be away: retried with backoff and
 * logged).
 */
int subjects_new(const SubjectsSettings *settings, const SubjectsHost *host, Report *report, Subjects **ret);
/** Start connecting and, once connected, ensure streams and subscribe. Returns at once. */
int subjects_start(Subjects *s);
/**
 * Stop taking requests (unsubscribe, drain bounded by @timeout_ms); replies still go out until
 * subjects_free.
 */
void subjects_stop(Subjects *s, int64_t timeout_ms);
void subjects_free(Subjects *s); /* NULL-safe */
bool subjects_is_connected(const Subjects *s);
/** Write the metrics of the connection to NATS and of what was asked. Any thread. */
void subjects_put_metrics(Subjects *s, MetricsWriter *w);
/** The audit stream for the outbox; valid until subjects_free. */
const AuditStream *subjects_audit_stream(Subjects *s);
/** Request-reply for executors; valid until subjects_free. */
const AskBus *subjects_ask_bus(Subjects *s);
/** The way out for executors; valid until subjects_free. */
const Outlet *subjects_outlet(Subjects *s);
