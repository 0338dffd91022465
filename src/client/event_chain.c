/*
 * Checks that an execution's history is whole and unaltered, from its events alone: no engine, no connection.
 *
 * Each event names its predecessor's hash and carries its own, so nobody can change, drop, add or reorder
 * events without breaking the chain from there on. Cutting off the *end* is not visible in the chain itself:
 * signed checkpoints (checkpoint.c) tell that.
 *
 * After a fault the checker takes the event's own `sequence` and `hash` for granted, so that one altered
 * event gives one fault and not one for every event behind it.
 */

#include <stdlib.h>
#include "base/cleanup.h"
#include "base/uuid.h"
#include "client/client_error.h"
#include "client/event_seal.h"
#include "json/json_read.h"

#define EVENT_BYTES_MAX  (16 * 1024 * 1024)
#define SUBJECT_TEXT_MAX 64 /* bytes of an execution id that are compared and shown */

struct RunbookEventChain {
        int64_t sequence;
        char hash[DIGEST_TEXT_SIZE + 1];
        char execution[SUBJECT_TEXT_MAX + 1]; /* of the first event; "" before */
        uint64_t n_events, n_faults;
};

/** What the check needs from one event; borrowed from its tree. */
typedef struct ChainLink {
        int64_t sequence;
        Slice prevhash, hash, execution;
} ChainLink;

RunbookEventChain *runbook_event_chain_new(void) {
        RunbookEventChain *c = calloc(1, sizeof *c);

        if (c)
                memset(c->hash, '0', DIGEST_TEXT_SIZE);
        return c;
}

void runbook_event_chain_free(RunbookEventChain *c) { free(c); }

uint64_t runbook_event_chain_events(const RunbookEventChain *c) { return c->n_events; }

uint64_t runbook_event_chain_faults(const RunbookEventChain *c) { return c->n_faults; }

int64_t runbook_event_chain_sequence(const RunbookEventChain *c) { return c->sequence; }

const char *runbook_event_chain_hash(const RunbookEventChain *c) { return c->hash; }

const char *runbook_event_chain_execution(const RunbookEventChain *c) { return c->execution; }

int runbook_event_chain_resume(RunbookEventChain *c, int64_t sequence, const char *hash) {
        if (sequence < 0 || sequence > EVENT_SEQUENCE_MAX || !hash || !event_is_hash(slice_from_str(hash)))
                return RUNBOOK_CLIENT_E_INVALID;
        c->sequence = sequence;
        memcpy(c->hash, hash, DIGEST_TEXT_SIZE);
        c->execution[0] = 0;
        return 0;
}

static Slice string_member(const json_t *json, const char *key) {
        const json_t *value = json_object_get(json, key);

        return json_is_string(value) ? json_string_slice(value) : SLICE_NULL;
}

static bool read_link(const json_t *json, ChainLink *ret) {
        const json_t *sequence = json_object_get(json, "sequence");
        Slice subject = string_member(json, "subject");
        const char *slash = subject.n ? memchr(subject.data, '/', subject.n) : NULL;

        *ret = (ChainLink){
                        .sequence = json_is_integer(sequence) ? json_integer_value(sequence) : 0,
                        .prevhash = string_member(json, "prevhash"),
                        .hash = string_member(json, "hash"),
                        .execution = {subject.data, slash ? (size_t)(slash - subject.data) : subject.n},
        };
        return json_is_object(json) && ret->sequence > 0 && ret->sequence <= EVENT_SEQUENCE_MAX &&
               event_is_hash(ret->prevhash) && event_is_hash(ret->hash);
}

static bool other_execution(RunbookEventChain *c, Slice execution) {
        Slice known = slice_from_str(c->execution);

        if (execution.n > SUBJECT_TEXT_MAX)
                execution.n = SUBJECT_TEXT_MAX;
        if (known.n > 0)
                return !slice_eq(known, execution);
        if (execution.n > 0)
                memcpy(c->execution, execution.data, execution.n);
        c->execution[execution.n] = 0;
        return false;
}

/** Where the chain stood when an event came, and what the event says; the first fault that applies. */
static int judge(RunbookEventChain *c, const ChainLink *link, const char *digest, RunbookClientError *e) {
        long long sequence = (long long)link->sequence, expected = (long long)c->sequence + 1;

        if (other_execution(c, link->execution))
                return client_error_set(e, RUNBOOK_CHAIN_EXECUTION,
                                        "event %lld belongs to execution %.*s, not to %s", sequence,
                                        SLICE_ARG(link->execution), c->execution);
        if (sequence == expected + 1)
                return client_error_set(e, RUNBOOK_CHAIN_GAP, "event %lld is missing", expected);
        if (sequence > expected)
                return client_error_set(e, RUNBOOK_CHAIN_GAP, "events %lld to %lld are missing", expected,
                                        sequence - 1);
        if (sequence < expected)
                return client_error_set(e, RUNBOOK_CHAIN_ORDER, "event %lld stands behind event %lld",
                                        sequence, expected - 1);
        if (!slice_eq_str(link->hash, digest))
                return client_error_set(e, RUNBOOK_CHAIN_HASH,
                                        "event %lld was altered: its content gives hash %s, it says %.*s",
                                        sequence, digest, SLICE_ARG(link->hash));
        if (!slice_eq_str(link->prevhash, c->hash))
                return client_error_set(
                                e, RUNBOOK_CHAIN_LINK,
                                "event %lld does not follow the event before it: prevhash is %.*s, not %s",
                                sequence, SLICE_ARG(link->prevhash), c->hash);
        return RUNBOOK_CHAIN_FINE;
}

int runbook_event_chain_add(RunbookEventChain *c, const char *event, size_t size, RunbookClientError *e) {
        _cleanup_(report_deinit) Report report = {0};
        char digest[DIGEST_TEXT_SIZE + 1], claimed[DIGEST_TEXT_SIZE + 1] = "";
        json_t *json = json_parse((Slice){event, size}, EVENT_BYTES_MAX, &report);
        Digest content;
        ChainLink link;
        int r;

        c->n_events++;
        if (!json || !read_link(json, &link)) {
                json_decref(json);
                c->n_faults++;
                return client_error_set(e, RUNBOOK_CHAIN_MALFORMED,
                                        "event %llu of the list is not a lifecycle event: %s",
                                        (unsigned long long)c->n_events,
                                        report.message ? report.message
                                                       : "sequence, prevhash and hash are wanted");
        }
        /* The link borrows from the tree, whose hash member is about to go. */
        memcpy(claimed, link.hash.data, DIGEST_TEXT_SIZE);
        link.hash = slice_from_str(claimed);
        r = event_digest(json, &content);
        if (r == 0) {
                digest_format(&content, digest);
                r = judge(c, &link, digest, e);
        }
        if (r > 0)
                c->n_faults++;
        if (r >= 0 && r != RUNBOOK_CHAIN_ORDER && r != RUNBOOK_CHAIN_EXECUTION) {
                c->sequence = link.sequence;
                memcpy(c->hash, claimed, DIGEST_TEXT_SIZE);
        }
        json_decref(json);
        return r < 0 ? client_error_memory(e) : r;
}
