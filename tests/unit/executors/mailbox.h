#pragma once
/*
 * A bus made of memory, for executors that send messages: it keeps every letter, and says what became of it when the
 * test says so. On top of the harness's host it can keep the word back whether results and progress are stored.
 */

#include "executors/errand.h"
#include "harness.h"

#define MAILBOX_PAYLOAD_MAX 1048576

typedef struct SentLetter {
        char *subject, *id, *payload, *headers; /* headers: "name: value" and a line break, each */
        size_t n_payload;
        bool needs_stream;
        void (*done)(void *owner, const uint8_t cookie[OUT_COOKIE_SIZE], const OutReceipt *receipt);
        void *owner;
        uint8_t cookie[OUT_COOKIE_SIZE];
        int64_t at_ns;
} SentLetter;

/** A result or a progress whose `settled` waits for the test. */
typedef struct Unsettled {
        void (*settled)(void *userdata, bool committed);
        void *userdata;
} Unsettled;

typedef struct Mailbox {
        Harness h; /* the first member: it is the host's userdata */
        Outlet outlet;
        ExecutorHost host;
        void (*on_result)(void *harness, const TaskResult *result);
        void (*aside)(bool inside); /* may be NULL: told when the test's own code begins and ends */
        pthread_mutex_t lock;
        pthread_cond_t changed;
        SentLetter *letters; /* in order; owned */
        size_t n_letters, n_refused, n_forgotten, n_retracted;
        size_t n_saying;       /* receipts on their way: forget waits for them, as it must */
        bool is_counting_only; /* letters are counted and not kept: n_counted */
        size_t n_counted;
        int refusal;                             /* what send says to the next ones; 0: takes them */
        uint64_t retracted_seq, retracted_epoch; /* the last one */
        bool holds;                              /* results and progress wait for mailbox_settle */
        Unsettled unsettled[16];
        size_t n_unsettled;
        TaskProgress progress[64]; /* those that came; values owned */
        size_t n_progress;
} Mailbox;

/** @m zeroed; its `host` and `outlet` are for the executor, which goes into m->h.executor. */
void mailbox_init(Mailbox *m);
/** Stop the executor if there is one, free everything. */
void mailbox_deinit(Mailbox *m);
/** Wait until @n letters have been sent in all; false after HARNESS_WAIT_MS. */
bool mailbox_wait(Mailbox *m, size_t n);
/** Wait until the bus has refused @n in all. */
bool mailbox_wait_refused(Mailbox *m, size_t n);
/** Say what became of letter @i. False: its sender has had it forgotten. */
bool mailbox_say(Mailbox *m, size_t i, const OutReceipt *receipt);
/** The stream has it, as @seq. */
void mailbox_confirm(Mailbox *m, size_t i, uint64_t seq);
/** The oldest unsettled result or progress is stored, or never will be. */
void mailbox_settle(Mailbox *m, bool committed);
