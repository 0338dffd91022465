#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus_world.h"

/* ---- an engine that says yes to everything ----------------------------------------- */

Engine e;

int64_t now_ms(void *userdata) { return 1767225600000; }

void random_words(void *userdata, uint64_t *words, size_t n) {
        for (size_t i = 0; i < n; i++)
                words[i] = 0x9e3779b97f4a7c15u * (i + 1);
}

static int submit(void *userdata, Request *r) {
        snprintf(e.last_command_id, sizeof(e.last_command_id), "%.*s", SLICE_ARG(r->input.command_id));
        bool durable = __atomic_fetch_sub(&e.n_not_durable, 1, __ATOMIC_SEQ_CST) <= 0;
        __atomic_add_fetch(&e.n_requests, 1, __ATOMIC_SEQ_CST);
        if (e.is_loud_refused && slice_eq_str(r->input.tenant, "loud"))
                r->done(r, e.refusal, SLICE("{\"version\":\"v1\",\"error\":\"X\",\"message\":\"no\"}"), false);
        else if (durable)
                r->done(r, RUNBOOK_OK, SLICE("{\"version\":\"v1\",\"status\":\"done\"}"), true);
        else
                r->done(r, RUNBOOK_STORE_FULL,
                        SLICE("{\"version\":\"v1\",\"error\":\"STORE_FULL\",\"message\":\"full\"}"), false);
        request_free(r);
        return 0;
}

static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return STORE_E_NOT_FOUND;
}

static void on_ready(void *userdata) { __atomic_add_fetch(&e.n_ready, 1, __ATOMIC_SEQ_CST); }

void engine_start(void) {
        Report report = {0};
        StoreOptions options = {.backend = "memory"};
        e.settings.url = e.server.url;
        e.settings.prefix = "runbook.v1";
        e.settings.engine_id = "0190a0b0-0000-7000-8000-000000000001";
        e.settings.version = "0.1.0";
        cr_assert_eq(store_open(&options, uuid_v7(1, 2, 3), &report, &e.store), 0);
        SubjectsHost host = {.submit = submit,
                             .lookup = lookup,
                             .store = e.store,
                             .definitions = &runbook_defaults_builtin,
                             .clock = {now_ms, NULL},
                             .ids = {random_words, NULL},
                             .on_ready = on_ready};
        cr_assert_eq(subjects_new(&e.settings, &host, &report, &e.subjects), 0, "%s", report.message);
        cr_assert_eq(subjects_start(e.subjects), 0);
}

void client_start(void) {
        natsOptions *o;
        natsOptions_Create(&o);
        natsOptions_SetURL(o, e.server.url);
        natsOptions_SetMaxReconnect(o, -1);
        natsOptions_SetReconnectWait(o, 20);
        cr_assert_eq(natsConnection_Connect(&e.client, o), NATS_OK);
        natsOptions_Destroy(o);
        cr_assert_eq(natsConnection_JetStream(&e.js, e.client, NULL), NATS_OK);
}

void engine_stop(void) {
        subjects_stop(e.subjects, 2000);
        subjects_free(e.subjects);
        e.subjects = NULL;
        store_close(e.store);
        e.store = NULL;
}

bool stream_exists(const char *name) {
        jsStreamInfo *info = NULL;
        bool ok = js_GetStreamInfo(&info, e.js, name, NULL, NULL) == NATS_OK;
        jsStreamInfo_Destroy(info);
        return ok;
}

bool queue_is_served(void) {
        jsConsumerInfo *info = NULL;
        bool ok = js_GetConsumerInfo(&info, e.js, STREAM_QUEUE, QUEUE_CONSUMER, NULL, NULL) == NATS_OK &&
                  info->PushBound;
        jsConsumerInfo_Destroy(info);
        return ok;
}

void all_up(void) {
        test_server_start(&e.server, NULL);
        client_start();
        engine_start();
        UNTIL(queue_is_served());
}

void all_down(void) {
        if (e.subjects)
                engine_stop();
        jsCtx_Destroy(e.js);
        natsConnection_Destroy(e.client);
        test_server_stop(&e.server);
        nats_CloseAndWait(WAIT_MS);
}

natsMsg *request(const char *subject, const char *body, const char *command_id) {
        natsMsg *msg = NULL, *reply = NULL;
        natsStatus s = NATS_NO_RESPONDERS;
        natsMsg_Create(&msg, subject, NULL, body, (int)strlen(body));
        if (command_id)
                natsMsgHeader_Set(msg, "Nats-Msg-Id", command_id);
        for (int left = WAIT_MS / 20; s == NATS_NO_RESPONDERS && left > 0; left--) {
                s = natsConnection_RequestMsg(&reply, e.client, msg, 5000);
                if (s == NATS_NO_RESPONDERS)
                        test_sleep_ms(20);
        }
        cr_assert_eq(s, NATS_OK, "%s: %s", subject, nats_GetLastError(NULL));
        natsMsg_Destroy(msg);
        return reply;
}

const char *header(natsMsg *m, const char *name) {
        const char *value = NULL;
        return natsMsgHeader_Get(m, name, &value) == NATS_OK ? value : "";
}
