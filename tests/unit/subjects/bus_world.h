#pragma once
/* An engine that says yes to everything, its nats-server, and a foreign client; for the tests of the bus. */

#include <nats/nats.h>
#include "../client/test_server.h"
#include "json/json_read.h"
#include "subjects/bus.h"
#include "subjects/subjects.h"

#define ID      "0190a0b0-1234-7abc-8def-0123456789ab"
#define WAIT_MS 10000

typedef struct Engine {
        TestServer server;
        SubjectsSettings settings;
        Subjects *subjects;
        Store *store;
        natsConnection *client;
        jsCtx *js;
        int n_ready;       /* atomic */
        int n_requests;    /* atomic */
        int n_not_durable; /* atomic: so many requests are not recorded at first */
        bool is_loud_refused; /* requests of tenant "loud" are not recorded */
        RunbookCode refusal;  /* how */
        char last_command_id[128];
} Engine;
extern Engine e; /* one test, one process, one engine */

/* Asked no more once it is true: the server says for a moment now and then that nobody is there. */
#define UNTIL(condition)                                                                                     \
        do {                                                                                                 \
                bool met_ = (condition);                                                                     \
                for (int left_ = WAIT_MS / 10; !met_ && left_ > 0; left_--) {                                \
                        test_sleep_ms(10);                                                                   \
                        met_ = (condition);                                                                  \
                }                                                                                            \
                cr_assert(met_, "did not come: " #condition);                                                \
        } while (0)

/** Start what e.server and e.settings say; e.server must be running, or have been. */
void engine_start(void);
void client_start(void);
void engine_stop(void);
bool stream_exists(const char *name);
bool queue_is_served(void);
/** Server, engine and client, all up. */
void all_up(void);
void all_down(void);
/** One request, sent again while nobody is there to take it; the reply is owned by the caller. */
natsMsg *request(const char *subject, const char *body, const char *command_id);
/** A clock and random bits of the test's, for SubjectsHost. */
int64_t now_ms(void *userdata);
void random_words(void *userdata, uint64_t *words, size_t n);
const char *header(natsMsg *m, const char *name);
