/*
 * All threads of the subjects at once, for ThreadSanitizer (which Criterion does not bear) and for
 * counting: floods of requests, events, queries and queued commands while the server is killed, audit
 * windows published, and at last a stop in the midst of it. Every answer that comes is counted; with the
 * server up all the time, every request has exactly one.
 */
#include <assert.h>
#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../client/test_server.h"
#include "subjects/bus.h"
#include "subjects/subjects.h"

#define ID      "0190a0b0-1234-7abc-8def-0123456789ab"
#define FLOOD   30000
#define MUST(x) must((x), #x, __LINE__)

static void must(bool holds, const char *what, int line) {
        if (holds)
                return;
        fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
        exit(1);
}

static TestServer server;
static Subjects *subjects;
static int n_answers, n_refused, n_ready, n_requests, delay_us;
static pthread_mutex_t inbox_lock = PTHREAD_MUTEX_INITIALIZER;
static List inbox = LIST_INIT(inbox);
static int n_inbox, ending;

static int64_t now_ms(void *userdata) { return 1767225600000; }
static void random_words(void *userdata, uint64_t *words, size_t n) { memset(words, 7, n * sizeof(*words)); }
static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return STORE_E_NOT_FOUND;
}
static void on_ready(void *userdata) { __atomic_add_fetch(&n_ready, 1, __ATOMIC_SEQ_CST); }

/** The inbox of a writer with room for few. */
static int submit(void *userdata, Request *r) {
        int result = -EAGAIN;
        pthread_mutex_lock(&inbox_lock);
        if (n_inbox < 500) {
                list_push_back(&inbox, &r->node);
                n_inbox++;
                result = 0;
        }
        pthread_mutex_unlock(&inbox_lock);
        return result;
}

static void *writer_main(void *userdata) {
        while (!__atomic_load_n(&ending, __ATOMIC_SEQ_CST)) {
                pthread_mutex_lock(&inbox_lock);
                List *node = list_is_empty(&inbox) ? NULL : inbox.next;
                if (node) {
                        list_remove(node);
                        n_inbox--;
                }
                pthread_mutex_unlock(&inbox_lock);
                if (!node) {
                        usleep(50);
                        continue;
                }
                Request *r = LIST_ENTRY(node, Request, node);
                __atomic_add_fetch(&n_requests, 1, __ATOMIC_SEQ_CST);
                usleep((useconds_t)__atomic_load_n(&delay_us, __ATOMIC_SEQ_CST));
                r->done(r, RUNBOOK_OK, SLICE("{\" version\":\" v1\"}"), true);
                request_free(r);
        }
        return NULL;
}

static void *outbox_main(void *userdata) {
        const AuditStream *audit = subjects_audit_stream(subjects);
        AuditMessage m[50];
        char ids[50][32];
        for (int window = 0; !__atomic_load_n(&ending, __ATOMIC_SEQ_CST);) {
                uint64_t seq = 0, before = seq;
                for (int i = 0; i < 50; i++) {
                        snprintf(ids[i], sizeof(ids[i]), "x/%d", window * 50 + i);
                        m[i] = (AuditMessage){SLICE("runbook.v1.acme.lifecycle.x.step.completed"),
                                              slice_from_str(ids[i]), SLICE("{}")};
                }
                int r = audit->publish(audit->userdata, m, 50, &seq);
                MUST(r == 0 || r == -EAGAIN);
                MUST(r != 0 || seq > before);
                window += r == 0;
                usleep(r == 0 ? 500 : 20000);
        }
        return NULL;
}

static void on_answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure) {
        const char *code = NULL;
        natsMsgHeader_Get(msg, "Nats-Service-Error-Code", &code);
        __atomic_add_fetch(code && !strcmp(code, "429") ? &n_refused : &n_answers, 1, __ATOMIC_SEQ_CST);
        natsMsg_Destroy(msg);
}

static natsConnection *connect_client(void) {
        natsConnection *nc = NULL;
        natsOptions *o = NULL;
        natsOptions_Create(&o);
        natsOptions_SetURL(o, server.url);
        natsOptions_SetMaxReconnect(o, -1);
        natsOptions_SetReconnectWait(o, 20);
        natsOptions_SetMaxPendingMsgs(o, 10 * FLOOD);
        MUST(natsConnection_Connect(&nc, o) == NATS_OK);
        natsOptions_Destroy(o);
        return nc;
}

static void send_one(natsConnection *nc, int i) {
        static const char *const subjects_[] = {
                        ("runbook.v1.acme.cmd.alice.resume." ID), ("runbook.v1.acme.cmd.alice.resume." ID),
                        "runbook.v1.acme.event.alice.a.b", "runbook.v1.acme.query.alice.stats",
                        "runbook.v1.acme.cmd.alice.nothing"};
        natsConnection_PublishRequestString(nc, subjects_[i % 5], "_INBOX.stress", i % 7 ? "{}" : "{");
}

static int count(int *n) { return __atomic_load_n(n, __ATOMIC_SEQ_CST); }

/** All at once, more than can be taken: one answer each, done or refused. */
static void flood(natsConnection *nc) {
        __atomic_store_n(&delay_us, 200, __ATOMIC_SEQ_CST);
        for (int i = 0; i < FLOOD; i++)
                send_one(nc, i);
        for (int i = 0; i < 3000 && count(&n_answers) + count(&n_refused) < FLOOD; i++)
                test_sleep_ms(20);
        test_sleep_ms(200);
        int answered = count(&n_answers), refused = count(&n_refused);
        printf("flood: %d answered, %d refused as too many, of %d\n", answered, refused, FLOOD);
        MUST(answered + refused == FLOOD);
        MUST(refused > 0);
        __atomic_store_n(&delay_us, 0, __ATOMIC_SEQ_CST);
}

/** The server dies again and again: nothing crashes, and afterwards all is well. */
static void outages(natsConnection *nc) {
        for (int round = 0; round < 4; round++) {
                for (int i = 0; i < 2000; i++)
                        send_one(nc, i);
                test_server_restart(&server, 30);
        }
        for (int i = 0; i < 1000 && !(subjects_is_connected(subjects) &&
                                      natsConnection_Status(nc) == NATS_CONN_STATUS_CONNECTED);
             i++)
                test_sleep_ms(20);
        MUST(subjects_is_connected(subjects));
        natsMsg *m = NULL;
        natsStatus s = NATS_ERR;
        for (int i = 0; i < 100 && s != NATS_OK; i++) {
                s = natsConnection_RequestString(&m, nc, "runbook.v1.acme.cmd.alice.resume." ID, "", 5000);
                natsMsg_Destroy(m);
                m = NULL;
        }
        MUST(s == NATS_OK);
}

int main(void) {
        Report report = {0};
        Store *store = NULL;
        StoreOptions options = {.backend = "memory"};
        natsSubscription *sub = NULL;
        pthread_t writer, outbox;
        test_server_start(&server, NULL);
        SubjectsSettings settings = {
                        .url = server.url, .prefix = "runbook.v1", .engine_id = "1", .version = "0.1.0"};
        MUST(store_open(&options, uuid_v7(1, 2, 3), &report, &store) == 0);
        SubjectsHost host = {.submit = submit,
                             .lookup = lookup,
                             .store = store,
                             .definitions = &runbook_defaults_builtin,
                             .clock = {now_ms, NULL},
                             .ids = {random_words, NULL},
                             .on_ready = on_ready};
        MUST(subjects_new(&settings, &host, &report, &subjects) == 0);
        MUST(subjects_start(subjects) == 0);
        MUST(pthread_create(&writer, NULL, writer_main, NULL) == 0);
        MUST(pthread_create(&outbox, NULL, outbox_main, NULL) == 0);
        for (int i = 0; i < 500 && !count(&n_ready); i++)
                test_sleep_ms(20);
        MUST(count(&n_ready) == 1);
        natsConnection *nc = connect_client();
        MUST(natsConnection_Subscribe(&sub, nc, "_INBOX.stress", on_answer, NULL) == NATS_OK);
        natsSubscription_SetPendingLimits(sub, -1, -1);
        flood(nc);
        outages(nc);
        for (int i = 0; i < 3000; i++)
                send_one(nc, i);
        subjects_stop(subjects, 5000);
        __atomic_store_n(&ending, 1, __ATOMIC_SEQ_CST);
        pthread_join(writer, NULL);
        pthread_join(outbox, NULL);
        while (!list_is_empty(
                        &inbox)) { /* what the writer did not come to: refused, as a stopping engine does */
                Request *r = LIST_ENTRY(inbox.next, Request, node);
                list_remove(&r->node);
                r->done(r, RUNBOOK_UNAVAILABLE,
                        SLICE("{\" version\":\" v1\",\" error \":\" UNAVAILABLE\",\" message\":"
                              "\" stopping\"}"),
                        false);
                request_free(r);
        }
        subjects_free(subjects);
        natsSubscription_Destroy(sub);
        natsConnection_Destroy(nc);
        store_close(store);
        test_server_stop(&server);
        nats_CloseAndWait(5000);
        printf("%d requests carried out\n", n_requests);
        return 0;
}
