/* Publishing into the audit stream of a real nats-server: whole windows, duplicates, strangers, outages, no room. */
#include <criterion/criterion.h>
#include <errno.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>

#include "../leaks.h"
#include "bus_world.h"

static void clean_up(void) {
        all_down();
        check_leaks();
}

TestSuite(audit, .fini = clean_up, .timeout = 60);

static char ids[3000][32], bodies[3000][64];
static AuditMessage messages[3000];

/** Messages @from…@from+n-1 of a series. */
static const AuditMessage *window(int from, int n) {
        for (int i = from; i < from + n; i++) {
                int n_id = snprintf(ids[i], sizeof(ids[i]), "x/%d", i),
                    n_body = snprintf(bodies[i], sizeof(bodies[i]), "{\"sequence\":%d}", i);
                messages[i] = (AuditMessage){SLICE("runbook.v1.acme.lifecycle.x.step.completed"),
                                             {ids[i], (size_t)n_id},
                                             {bodies[i], (size_t)n_body}};
        }
        return messages + from;
}

static int publish(int from, int n, uint64_t *ret) {
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        return audit->publish(audit->userdata, window(from, n), (size_t)n, ret);
}

/** The stream holds messages 0…n-1, in order, each once. */
static void check_stream(int n) {
        jsStreamInfo *info = NULL;
        cr_assert_eq(js_GetStreamInfo(&info, e.js, STREAM_AUDIT, NULL, NULL), NATS_OK);
        uint64_t seq = info->State.FirstSeq;
        int seen = 0;
        for (; seq <= info->State.LastSeq; seq++) {
                natsMsg *m = NULL;
                cr_assert_eq(js_GetMsg(&m, e.js, STREAM_AUDIT, seq, NULL, NULL), NATS_OK);
                if (!strcmp(natsMsg_GetSubject(m), "runbook.v1.acme.lifecycle.x.step.completed")) {
                        char id[32];
                        snprintf(id, sizeof(id), "x/%d", seen++);
                        cr_assert_str_eq(header(m, "Nats-Msg-Id"), id);
                }
                natsMsg_Destroy(m);
        }
        jsStreamInfo_Destroy(info);
        cr_assert_eq(seen, n);
}

Test(audit, audit_windows_are_stored_whole) {
        uint64_t seq = 0;
        all_up();
        cr_assert_eq(publish(0, 1, &seq), 0);
        cr_assert_eq(seq, 1);
        cr_assert_eq(publish(1, 999, &seq), 0);
        cr_assert_eq(seq, 1000);
        cr_assert_eq(publish(1000, 500, &seq), 0);
        cr_assert_eq(seq, 1500);
        check_stream(1500);
}

Test(audit, audit_duplicates_are_not_taken_for_lost) {
        uint64_t seq = 0;
        all_up();
        cr_assert_eq(publish(0, 100, &seq), 0);
        cr_assert_eq(publish(0, 100, &seq), 0, "all of them again");
        cr_assert_eq(seq, 100);
        cr_assert_eq(publish(50, 100, &seq), 0, "half of them again");
        cr_assert_eq(seq, 150);
        cr_assert_eq(publish(150, 2500, &seq), 0);
        cr_assert_eq(seq, 2650);
        check_stream(2650);
}

Test(audit, audit_with_a_foreign_publisher) {
        uint64_t seq = 0;
        all_up();
        for (int i = 0; i < 10; i++) {
                cr_assert_eq(js_Publish(NULL, e.js, "runbook.v1.acme.log.y.info", "{}", 2, NULL, NULL),
                             NATS_OK);
                cr_assert_eq(publish(i * 100, 100, &seq), 0);
                cr_assert_eq(seq, (uint64_t)(i + 1) * 101);
        }
        check_stream(1000);
}

Test(audit, audit_survives_a_restart_of_the_server) {
        uint64_t seq = 0;
        all_up();
        cr_assert_eq(publish(0, 100, &seq), 0);
        test_server_restart(&e.server, 50);
        int r = -EAGAIN;
        UNTIL((r = publish(100, 100, &seq)) != -EAGAIN);
        cr_assert_eq(r, 0);
        UNTIL(natsConnection_Status(e.client) == NATS_CONN_STATUS_CONNECTED);
        check_stream(200);
}

Test(audit, a_full_audit_stream_says_so) {
        test_server_start(&e.server, NULL);
        client_start();
        const char *subjects[] = {"runbook.v1.*.lifecycle.>", "runbook.v1.*.log.>",
                                  "runbook.v1.checkpoint.*"};
        uint64_t seq = 0;
        jsStreamConfig c;
        jsStreamConfig_Init(&c);
        c.Name = STREAM_AUDIT;
        c.Subjects = subjects;
        c.SubjectsLen = 3;
        c.Discard = js_DiscardNew;
        c.MaxMsgs = 50;
        cr_assert_eq(js_AddStream(NULL, e.js, &c, NULL, NULL), NATS_OK);
        engine_start();
        UNTIL(queue_is_served());
        cr_assert_eq(publish(0, 40, &seq), 0);
        cr_assert_eq(publish(40, 40, &seq), -ENOSPC);
        c.MaxMsgs = 1000;
        cr_assert_eq(js_UpdateStream(NULL, e.js, &c, NULL, NULL), NATS_OK);
        cr_assert_eq(publish(40, 40, &seq), 0, "the same window again, when there is room");
        check_stream(80);
}

Test(audit, an_event_too_large_for_nats_stops_nothing) {
        uint64_t seq = 0;
        all_up();
        window(0, 3);
        size_t n = 2 * 1024 * 1024;
        char *large = malloc(n);
        memset(large, 'x', n);
        messages[1].payload = (Slice){large, n};
        const AuditStream *audit = subjects_audit_stream(e.subjects);
        cr_assert_eq(audit->publish(audit->userdata, messages, 3, &seq), 0);
        cr_assert_eq(seq, 2);
        free(large);
}
