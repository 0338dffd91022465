/* The outbox against a stream that refuses, forgets, is another one, or is not there at all. */

#include "../leaks.h"
#include "base/quote.h"
#include "world.h"

#include <errno.h>
#include <stdio.h>

#include "json/json_read.h"
#include "runtime/outbox.h"
#include "storage/store.h"

TestSuite(outbox, .fini = check_leaks, .timeout = 60);

static World *fresh(const char *backend) {
        World *w = world_new(backend);
        world_open(w);
        world_register(w, RUNBOOK("r", "1", CONDITION("a", "") "," CONDITION("b", "\"a\"")));
        return w;
}

static OutboxMark stored_mark(World *w) {
        OutboxMark mark = {0};
        StoreTxn *t;
        cr_assert_eq(store_begin_read(w->store, &t), 0);
        cr_assert_eq(store_outbox_last_mark(t, &mark.row, &mark.stream_seq), 0);
        store_abort(t);
        return mark;
}

static RuntimeStats stats_of(World *w) {
        RuntimeStats stats;
        runtime_stats(w->rt, &stats);
        return stats;
}

/** The last event of @execution is in the stream. */
static bool audit_has_end(World *w, const char *execution) {
        for (size_t i = 0; i < w->audit.n; i++)
                if (strstr(w->audit.messages[i].subject, execution) &&
                    strstr(w->audit.messages[i].subject, ".execution.completed"))
                        return true;
        return false;
}

Test(outbox, tokens_are_percent_encoded) {
        Buf b = {0};
        quote_token(&b, SLICE("alice@example.Com_-9"));
        cr_assert(slice_eq(buf_slice(&b), SLICE("alice%40example%2ECom_-9")), "%.*s",
                  SLICE_ARG(buf_slice(&b)));
        buf_reset(&b);
        quote_token(&b, SLICE("a b*>.\xc3\xbc%"));
        cr_assert(slice_eq(buf_slice(&b), SLICE("a%20b%2A%3E%2E%C3%BC%25")));
        buf_deinit(&b);
}

Test(outbox, messages_carry_subject_id_and_the_stored_bytes) {
        World *w = fresh("memory");
        Request *q = request_register(
                RUNBOOK("r", "1",
                        STEP("a", "\"type\":\"wait-for-event\",\"config\":{\"eventType\":\"alarm\"}")),
                "alice");
        q->input.tenant = SLICE("big co.");
        world_ask(w, q);
        q = request_start_of("r", "{\"go\":1}", "alice");
        q->input.tenant = SLICE("big co.");
        const char *id = reply_text(world_ask(w, q), "executionId");
        q = request_event("", "{}", "e1");
        q->input.tenant = SLICE("big co.");
        world_ask(w, q);
        char subject[256], msg_id[64];
        bool seen = false, seen_log = false;
        for (size_t i = 0; i < w->audit.n; i++) {
                const Published *p = &w->audit.messages[i];
                snprintf(subject, sizeof(subject), "runbook.v1.big%%20co%%2E.lifecycle.%s.execution.started",
                         id);
                if (!strcmp(p->subject, subject)) {
                        snprintf(msg_id, sizeof(msg_id), "%s/1", id);
                        cr_assert_str_eq(p->id, msg_id);
                        json_t *event = json_loads(p->payload, 0, NULL);
                        cr_assert_str_eq(json_string_value(json_object_get(event, "id")), msg_id);
                        json_decref(event);
                        seen = true;
                }
                snprintf(subject, sizeof(subject), "runbook.v1.big%%20co%%2E.log.%s.info", id);
                if (!strcmp(p->subject, subject)) {
                        snprintf(msg_id, sizeof(msg_id), "%s/log/1", id);
                        cr_assert_str_eq(p->id, msg_id);
                        seen_log = true;
                }
        }
        cr_assert(seen && seen_log);
        cr_assert_gt(audit_check(w, id), 4);
        world_free(w);
}

Test(outbox, marks_wait_for_company_or_a_second) {
        World *w = fresh("memory");
        world_start(w, "r", "{\"go\":1}");
        RuntimeStats s = stats_of(w);
        cr_assert_eq(s.outbox_published_row, s.outbox_row);
        cr_assert_eq(s.outbox_age_ms, 0);
        uint64_t batches = s.n_batches;
        world_pass(w, 10);
        cr_assert_eq(stats_of(w).n_batches, batches, "no commit of its own right after");
        world_pass(w, 1000);
        cr_assert_eq(stats_of(w).n_batches, batches + 1, "one a second later");
        OutboxMark mark = stored_mark(w);
        cr_assert_eq(mark.row, s.outbox_row);
        cr_assert_eq(mark.stream_seq, w->audit.n);
        world_pass(w, 5000);
        cr_assert_eq(stats_of(w).n_batches, batches + 1, "and none when nothing was published");
        /* With work going on, they ride along. */
        batches = stats_of(w).n_batches;
        for (int i = 0; i < 5; i++) {
                world_pass(w, 300);
                world_start(w, "r", "{\"go\":1}");
        }
        cr_assert_eq(stats_of(w).n_batches, batches + 5);
        cr_assert_geq(stored_mark(w).row, s.outbox_row + 3);
        world_free(w);
}

Test(outbox, a_window_of_unknown_fate_is_sent_again) {
        World *w = fresh("memory");
        w->audit.fail_publish = 3;
        w->audit.fail_code = -EAGAIN;
        w->audit.keep_of_failed = 2; /* some of it arrived each time */
        Reply *r = world_send(w, request_start_of("r", "{\"go\":1}", "alice"));
        world_turn(w);
        for (int i = 0; i < 3; i++) {
                cr_assert_eq(runtime_outbox_turn(w->rt), -EAGAIN);
                w->audit.epoch++;
        }
        world_run(w);
        const char *id = reply_text(r, "executionId");
        cr_assert_eq(audit_check(w, id), 3 * 2 + world_events(w, id, NULL));
        cr_assert(audit_has_end(w, id));
        world_free(w);
}

Test(outbox, a_full_stream_keeps_everything_in_the_store) {
        World *w = fresh("memory");
        w->audit.fail_publish = 5;
        w->audit.fail_code = -ENOSPC;
        Reply *r = world_send(w, request_start_of("r", "{\"go\":1}", "alice"));
        world_turn(w);
        cr_assert_eq(r->code, RUNBOOK_OK, "executions go on");
        for (int i = 0; i < 5; i++) {
                cr_assert_eq(runtime_outbox_turn(w->rt), -ENOSPC);
                w->now_ms += 1000;
        }
        cr_assert_eq(stats_of(w).outbox_age_ms, 5000);
        world_run(w);
        cr_assert(audit_has_end(w, reply_text(r, "executionId")));
        world_free(w);
}

Test(outbox, no_connection_means_later) {
        World *w = world_new("memory");
        w->audit.fail_tail = 2;
        world_open(w);
        world_send(w, request_register(RUNBOOK("r", "1", CONDITION("a", "")), "alice"));
        world_turn(w);
        cr_assert_eq(runtime_outbox_turn(w->rt), -EAGAIN);
        cr_assert_eq(runtime_outbox_turn(w->rt), -EAGAIN);
        cr_assert_eq(w->audit.n_publishes, 0);
        world_run(w);
        cr_assert_eq(w->audit.n, 1);
        world_free(w);
}

Test(outbox, a_stream_that_lost_its_tail_gets_it_again) {
        World *w = fresh("memory");
        const char *id[20];
        for (int i = 0; i < 20; i++) {
                id[i] = world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500); /* a mark each */
        }
        size_t n = w->audit.n;
        audit_lose(w, n / 2);
        world_run(w);
        for (int i = 0; i < 20; i++) {
                audit_check(w, id[i]);
                cr_assert(audit_has_end(w, id[i]), "execution %d", i);
        }
        cr_assert_lt(w->audit.n, n + n / 2, "it begins near the loss, not from the start: %zu", w->audit.n);
        /* The step back is written down before anything is sent again. */
        world_pass(w, 2000);
        cr_assert_eq(stored_mark(w).stream_seq, w->audit.n);
        world_free(w);
}

Test(outbox, nothing_is_sent_again_before_the_step_back_is_durable) {
        World *w = fresh("memory");
        for (int i = 0; i < 4; i++) {
                world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500);
        }
        audit_lose(w, 3);
        unsigned publishes = w->audit.n_publishes;
        cr_assert_eq(runtime_outbox_turn(w->rt), 1);
        cr_assert_eq(runtime_outbox_turn(w->rt), 1);
        cr_assert_eq(w->audit.n_publishes, publishes);
        cr_assert_geq(stored_mark(w).stream_seq, 4);
        world_turn(w);
        cr_assert_leq(stored_mark(w).stream_seq, 3);
        world_run(w);
        cr_assert_gt(w->audit.n_publishes, publishes);
        world_free(w);
}

Test(outbox, another_stream_gets_everything_that_is_kept) {
        World *w = fresh("memory");
        const char *id[5];
        for (int i = 0; i < 5; i++) {
                id[i] = world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500);
        }
        size_t n = w->audit.n;
        audit_lose(w, 0);
        w->audit.created_ms += 1000;
        w->audit.base = 1000000; /* its sequences need not be smaller */
        world_run(w);
        cr_assert_eq(w->audit.n, n);
        for (int i = 0; i < 5; i++)
                cr_assert_eq(audit_check(w, id[i]), world_events(w, id[i], NULL));
        world_free(w);
}

Test(outbox, goes_on_from_its_mark_after_a_restart) {
        World *w = fresh("lmdb");
        const char *id[6];
        for (int i = 0; i < 3; i++) {
                id[i] = world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500);
        }
        size_t n = w->audit.n;
        world_restart(w);
        world_run(w);
        cr_assert_eq(w->audit.n, n, "all was marked: nothing is sent again");
        id[3] = world_start(w, "r",
                            "{\"go\":1}"); /* published, and marked a second later: too late for this crash */
        n = w->audit.n;
        world_restart(w);
        world_run(w);
        cr_assert_eq(audit_check(w, id[3]), 2 * world_events(w, id[3], NULL));
        cr_assert_eq(w->audit.n, n + world_events(w, id[3], NULL));
        world_free(w);
}

Test(outbox, a_loss_while_the_engine_was_down_is_found) {
        World *w = fresh("lmdb");
        const char *id[8];
        for (int i = 0; i < 8; i++) {
                id[i] = world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500);
        }
        world_close(w);
        audit_lose(w, w->audit.n / 2);
        world_open(w);
        world_run(w);
        for (int i = 0; i < 8; i++) {
                audit_check(w, id[i]);
                cr_assert(audit_has_end(w, id[i]));
        }
        world_free(w);
}

/*
 * A stream loses its tail, part of it is sent again while the stream also takes messages of others, and the
 * engine dies: by its sequence alone the stream now looks as if it held what the marks of before the loss
 * said.
 */
Test(outbox, marks_of_what_was_lost_are_not_believed_later) {
        World *w = fresh("lmdb");
        const char *id[10];
        for (int i = 0; i < 10; i++) {
                id[i] = world_start(w, "r", "{\"go\":1}");
                world_pass(w, 1500);
        }
        size_t n = w->audit.n;
        audit_lose(w, 10);
        cr_assert_eq(runtime_outbox_turn(w->rt), 1);
        world_turn(w); /* the step back is durable, nothing is sent yet */
        world_close(w);
        w->audit.base += 2 * n; /* others published: sequences are far beyond every old mark */
        w->audit.epoch++;
        world_open(w);
        world_run(w);
        for (int i = 0; i < 10; i++) {
                audit_check(w, id[i]);
                cr_assert(audit_has_end(w, id[i]), "execution %d", i);
        }
        world_free(w);
}

Test(outbox, a_row_bigger_than_a_window_is_sent_in_parts) {
        World *w = fresh("memory");
        char *ids[200];
        Reply *r[200];
        for (int i = 0; i < 200; i++)
                r[i] = world_send(w, request_start_of("r", "{\"go\":1}", "alice"));
        world_turn(w);
        uint64_t row = stats_of(w).outbox_row;
        /* One row, several windows; in the midst of it a failure. */
        cr_assert_eq(runtime_outbox_turn(w->rt), 0);
        cr_assert_eq(runtime_outbox_turn(w->rt), 0);
        cr_assert_lt(stats_of(w).outbox_published_row, row);
        w->audit.fail_publish = 1;
        w->audit.fail_code = -EAGAIN;
        w->audit.keep_of_failed = 100;
        cr_assert_eq(runtime_outbox_turn(w->rt), -EAGAIN);
        world_run(w);
        cr_assert_eq(stats_of(w).outbox_published_row, row);
        for (int i = 0; i < 200; i++) {
                ids[i] = slice_dup(slice_from_str(reply_text(r[i], "executionId")));
                audit_check(w, ids[i]);
                cr_assert(audit_has_end(w, ids[i]));
                free(ids[i]);
        }
        cr_assert_geq(w->audit.n_publishes, 4);
        world_free(w);
}

Test(outbox, published_rows_are_forgotten_after_their_time_and_the_time_is_not) {
        World *w = fresh("lmdb");
        for (int i = 0; i < 5; i++)
                world_start(w, "r", "{\"go\":1}");
        world_pass(w, 2000);
        world_pass(w, RUNTIME_OUTBOX_TTL_MS + 60000);
        world_pass(w, 120000);
        uint64_t row;
        StoreTxn *t;
        cr_assert_eq(store_begin_read(w->store, &t), 0);
        cr_assert_eq(store_outbox_last(t, &row), 0);
        store_abort(t);
        cr_assert_eq(row, 0);
        /* Numbers and time go on where they were, although the clock is set back while the engine is down. */
        int64_t last_ms = w->now_ms - 120000;
        uint64_t last_row = stats_of(w).outbox_row;
        w->now_ms -= 10LL * RUNTIME_OUTBOX_TTL_MS;
        world_restart(w);
        Reply *r = world_ask(w, request_start_of("r", "{\"go\":1}", "alice"));
        cr_assert_gt(stats_of(w).outbox_row, last_row);
        Execution *x = world_load(w, reply_text(r, "executionId"));
        cr_assert_geq(x->created_ms, last_ms);
        execution_free(x);
        world_free(w);
}

Test(outbox, unpublished_rows_are_never_forgotten) {
        World *w = world_new("memory");
        w->audit.fail_tail = 1000000;
        world_open(w);
        world_send(w, request_register(RUNBOOK("r", "1", CONDITION("a", "")), "alice"));
        world_turn(w);
        for (int i = 0; i < 3; i++) {
                w->now_ms += RUNTIME_OUTBOX_TTL_MS;
                world_turn(w);
        }
        w->audit.fail_tail = 0;
        world_run(w);
        cr_assert_eq(w->audit.n, 1);
        world_free(w);
}
