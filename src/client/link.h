#pragma once
/*
 * The wire under the client: one NATS connection, answers that are waited for, and subscriptions.
 * Only the link_nats files include <nats.h>.
 */

#include <runbook/client.h>
#include "base/buf.h"

#define LINK_SUBSCRIPTIONS_MAX 4096 /* of one connection */
#define LINK_ASKS_MAX          8192 /* calls of one connection whose answers go to a handler */

typedef struct Link Link;
typedef struct LinkCall LinkCall;
typedef struct LinkSubscription LinkSubscription;

typedef struct LinkOptions {
        const char *const *servers;
        size_t n_servers;
        const char *user, *password, *token;
        const char *credentials; /* a .creds file */
        const char *nkey;        /* a file with a user seed */
        const char *tls_ca, *tls_certificate, *tls_key;
        const char *inbox_prefix; /* required */
        const char *name;
        int64_t connect_timeout_ms;
        /** Handlers run on one thread of the library instead of a thread for each subscription: for whoever has
         * many of them, and handlers that never block. */
        bool shares_delivery;
        /** Messages may have been lost: the connection was lost and is back, or we read too slowly. On a
         * library thread. */
        void (*on_gap)(void *userdata);
        void *userdata;
} LinkOptions;

/** Connect and subscribe to the private inbox. 0 and an owned link, or a RunbookClientStatus and @e. */
int link_open(const LinkOptions *options, Link **ret, RunbookClientError *e);
/** Flush, close, free. No call may be waiting, all subscriptions must be gone. NULL-safe. */
void link_close(Link *link);
bool link_is_connected(Link *link);
/** Largest message body that the server takes, in bytes. */
int64_t link_max_payload(Link *link);
/** Give back what the NATS library keeps for the process. */
void link_shutdown(void);

typedef struct LinkMessage {
        const char *subject;
        const char *reply; /* NULL: none */
        const char *body;
        size_t body_size;
        const RunbookHeader *headers;
        size_t n_headers;
} LinkMessage;

/** Hand to the server (or, while it is away, to the reconnect buffer). 0 or a status and @e. */
int link_publish(Link *link, const LinkMessage *message, RunbookClientError *e);

/** What came back; owned by the caller of link_call_wait. */
typedef struct LinkAnswer {
        char *body; /* NUL-terminated */
        size_t body_size;
        char *error_code; /* header Nats-Service-Error-Code, NULL: none */
        char *error_text; /* header Nats-Service-Error, NULL: none */
} LinkAnswer;
void link_answer_deinit(LinkAnswer *a);

/** An answer to be waited for. @subject (copied) is what will be published: a refusal of it by the server
 * ends the wait. */
int link_call_new(Link *link, const char *subject, LinkCall **ret, RunbookClientError *e);
void link_call_free(LinkCall *call);
/** The reply subject. Borrowed. */
const char *link_call_inbox(const LinkCall *call);
/** 0 and the first answer; E_TIMEOUT, E_NO_ENGINE, E_PERMISSION, E_CLOSED with @e. May be called again after
 * E_TIMEOUT. */
int link_call_wait(LinkCall *call, int64_t timeout_ms, LinkAnswer *ret, RunbookClientError *e);

/* ── Without waiting: for who serves many at once ── */

/**
 * How an ask ended: @status 0 and @answer (the handler may take its parts), or E_TIMEOUT, E_NO_ENGINE,
 * E_PERMISSION, E_CLOSED, E_MEMORY and @e. On a thread of the library, or of link_expire's or link_end_asks's
 * caller; it must not block.
 */
typedef void (*LinkAskHandler)(void *userdata, int status, LinkAnswer *answer, const RunbookClientError *e);

/**
 * Send @message (whose `reply` is set here) and have @handler called, exactly once. Otherwise, a status and @e:
 * the handler is not called then. At most LINK_ASKS_MAX at a time: E_TOO_LARGE past that.
 */
int link_ask(Link *link, const LinkMessage *message, int64_t timeout_ms, LinkAskHandler handler, void *userdata,
             RunbookClientError *e);
/** End what has waited longer than it should: to be called every now and then. */
void link_expire(Link *link);
/** End all asks with E_CLOSED, and refuse new ones so, before link_close. */
void link_end_asks(Link *link);

/** A message for a listener; all borrowed until it returns. */
typedef struct LinkDelivery {
        const char *subject;
        const char *reply; /* NULL: none */
        const char *body;  /* NUL-terminated */
        size_t body_size;
        const char *message_id; /* header Nats-Msg-Id, NULL: none */
        const char *status;     /* header Status of the server's own messages, NULL: none */
} LinkDelivery;
/** Must not block. */
typedef void (*LinkListener)(void *userdata, const LinkDelivery *delivery);

/**
 * Subscribe without waiting for the server: what is published after a request that is sent later than this is
 * heard. A refusal by the server shows by silence. @released is called once when @listener will never be called
 * again (not if this fails). 0, or a status and @e.
 */
int link_listen(Link *link, const char *subject, LinkListener listener, void (*released)(void *userdata),
                void *userdata, LinkSubscription **ret, RunbookClientError *e);
/** Stop listening, without waiting. NULL-safe; may be called by the listener. */
void link_unlisten(LinkSubscription *subscription);
/** An inbox subject of this connection that nobody else uses, for link_listen; owned, NULL: out of memory. */
char *link_inbox_new(Link *link);

/* ── Waiting until the server has agreed ── */

/** @subject and @body (NUL-terminated) are borrowed until the handler returns. */
typedef void (*LinkHandler)(void *userdata, const char *subject, const char *body, size_t body_size);

/** 0 when the server has accepted the subscription, else a status and @e. */
int link_subscribe(Link *link, const char *subject, LinkHandler handler, void *userdata,
                   LinkSubscription **ret, RunbookClientError *e);
/** Returns when the handler is not running any more. NULL-safe. Not from within the handler. */
void link_unsubscribe(LinkSubscription *subscription);

/** Monotonic milliseconds, for deadlines. */
int64_t link_now_ms(void);
