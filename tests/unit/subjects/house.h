#pragma once
/*
 * The subject handlers without NATS: a fake bus that notes what is sent, over the real runtime on a memory
 * store, driven turn by turn under a clock of the test's. Or, for decoding alone, a host that keeps the
 * request instead of carrying it out.
 */

#include "runtime/runtime.h"
#include "subjects/handler.h"

#define HOUSE_SENT_MAX 64
#define PREFIX         "runbook.v1"
#define INBOX          "_INBOX.test"

typedef struct Sent {
        char *subject, *body; /* owned */
        size_t n_body;
        RunbookCode code;
} Sent;

typedef struct House {
        SubjectsSettings settings;
        Subjects subjects;
        Store *store;
        Runtime *runtime; /* NULL: requests are kept in `kept` */
        Request *kept;    /* the last request submitted */
        int n_submitted;
        int submit_result; /* what submit gives instead of taking requests */
        int64_t now_ms;
        uint64_t random;
        Sent sent[HOUSE_SENT_MAX];
        int n_sent;
        Sent acks[HOUSE_SENT_MAX]; /* code OK: done; else to be delivered again */
        int n_acks;
        size_t payload_max;
} House;

/**
 * Called by the fake bus when it is entered and left: what it allocates itself must not fail in tests of
 * failing memory. NULL: not.
 */
extern void (*house_in_bus)(bool inside);

/** One house a test. @with_runtime: carry requests out. */
House *house_new(bool with_runtime);
void house_free(House *h);
/** Let the writer do all that is queued and due. */
void house_run(House *h);
/** Forget what was sent, acknowledged and kept. */
void house_forget(House *h);

typedef struct Header {
        const char *name, *value;
} Header;
/**
 * Deliver a message behind the prefix ("acme.cmd.alice.start") and let the writer run; @headers may be
 * NULL, ends with {NULL}.
 */
void house_send(House *h, const char *tail, const char *reply, const void *body, size_t n,
                const Header *headers);
/** The same with a text body and our inbox; returns the one answer to it (asserts that it is one). */
Sent *house_ask(House *h, const char *tail, const char *body);
/** house_ask, whose answer must be a success: its JSON, owned. */
json_t *house_get(House *h, const char *tail, const char *body);
/** Deliver a message of the durable queue; @ack NULL: a proper acknowledgement subject. */
void house_queue(House *h, const char *tail, const char *body, const char *ack, const Header *headers);
/** The answer is one error in the protocol's form, with @code. */
void house_check_error(const Sent *s, RunbookCode code);
