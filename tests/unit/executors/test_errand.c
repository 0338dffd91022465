/* Errands: the office that writes, sends, sends again, and gives up; with a kind of its own that can be looked into. */

#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "mailbox.h"

TestSuite(errand, .fini = check_leaks, .timeout = 60);

/* ---- a kind of errand -------------------------------------------------------------------------------------- */

typedef struct TestOffice {
        ErrandOffice office;
        bool ends_when_confirmed, blocks, write_fails, tends;
        sem_t writing, go_on; /* blocks: a letter is being written; let it be */
        size_t n_gone, n_cancelled, n_freed, n_tended;
        int64_t own_ns; /* tends: when */
} TestOffice;

static TestOffice office;
static Mailbox mail;

static Value *write_letter(ErrandOffice *o, Errand *e, Letter *l) {
        TestOffice *t = (TestOffice *)o;
        buf_printf(&l->subject, "%s.subject", o->prefix);
        buf_printf(&l->id, "id-%u", e->task->instance);
        buf_printf(&l->payload, "{\"n\":%u}", e->task->instance);
        if (t->blocks) {
                sem_post(&t->writing);
                sem_wait(&t->go_on);
        }
        return t->write_fails ? attempt_error("CONFIG_INVALID", false, SLICE("no"), SLICE_NULL) : NULL;
}

static bool confirmed(ErrandOffice *o, Errand *e, const OutReceipt *receipt, TaskResult *ret) {
        const TestOffice *t = (const TestOffice *)o;
        ret->ok = t->ends_when_confirmed;
        ret->output = ret->ok ? value_new(json_pack("{s:I}", "seq", (json_int_t)receipt->stream_seq)) : NULL;
        return ret->ok;
}

static Value *time_out(ErrandOffice *o, Errand *e) {
        char text[ERRAND_REASON_MAX + 64];
        static const char *const states[] = {"to send", "sent", "confirmed"};
        snprintf(text, sizeof(text), "%s|%s", states[e->state], e->reason);
        return attempt_error("TIMEOUT", true, slice_from_str(text), SLICE_NULL);
}

static int64_t next_ns(const ErrandOffice *o, const Errand *e) {
        const TestOffice *t = (const TestOffice *)o;
        return t->tends && e->state == ERRAND_CONFIRMED ? t->own_ns : INT64_MAX;
}

static bool tend(ErrandOffice *o, Errand *e, int64_t now_ns, TaskResult *ret) {
        TestOffice *t = (TestOffice *)o;
        if (now_ns < t->own_ns || !t->tends) {
                errand_schedule(o, e);
                return false;
        }
        if (++t->n_tended < 3) {
                t->own_ns = now_ns + 1000000;
                errand_schedule(o, e);
                return false;
        }
        ret->error = attempt_error("TENDED", false, SLICE("enough"), SLICE_NULL);
        return true;
}

static void gone(ErrandOffice *o, Errand *e, bool cancelled) {
        TestOffice *t = (TestOffice *)o;
        t->n_gone++;
        t->n_cancelled += cancelled;
}

static void deinit(Errand *e) { office.n_freed++; }

static const ErrandKind kind = {.name = "test",
                                .size = sizeof(Errand),
                                .needs_stream = true,
                                .write = write_letter,
                                .confirmed = confirmed,
                                .time_out = time_out,
                                .next_ns = next_ns,
                                .tend = tend,
                                .gone = gone,
                                .deinit = deinit};

static void stop(Executor *executor) { errand_office_deinit((ErrandOffice *)executor); }

static const ExecutorVtable vtable = {.name = "test",
                                      .submit = errand_submit,
                                      .cancel = errand_cancel,
                                      .n_open = errand_n_open,
                                      .stop = stop};

static void open_office(void) {
        mailbox_init(&mail);
        mail.h.timeout_ms = 60000;
        sem_init(&office.writing, 0, 0);
        sem_init(&office.go_on, 0, 0);
        office.office.executor.vtable = &vtable;
        mail.h.executor = &office.office.executor;
        cr_assert_eq(errand_office_init(&office.office, &kind, &mail.host, &mail.outlet, "p.v1", 70000), 0);
}

/** Everything that was begun must have been freed: @n errands. */
static void close_office(size_t n) {
        mailbox_deinit(&mail);
        cr_assert_eq(office.n_freed, n, "%zu freed, not %zu", office.n_freed, n);
}

static uint32_t submit(void) { return harness_submit(&mail.h, "{}", NULL); }

static void cancel(uint32_t instance) {
        Uuid id = {{7}};
        errand_cancel(mail.h.executor, id, instance, 1);
}

static uint64_t n_open(void) { return errand_n_open(mail.h.executor); }

/** What the office knows of it, under the lock; the pause runs out at once if @hurry. */
static Errand look(uint32_t instance, bool hurry) {
        uint8_t key[ATTEMPT_KEY_SIZE];
        Uuid id = {{7}};
        Errand copy = {0};
        attempt_key(key, id, instance, 1);
        pthread_mutex_lock(&office.office.lock);
        Errand *e = errand_find(&office.office, key);
        if (e) {
                copy = *e;
                if (hurry) {
                        e->send_ns = attempt_now_ns();
                        errand_schedule(&office.office, e);
                }
        }
        pthread_mutex_unlock(&office.office.lock);
        return copy;
}

/** One letter, where the office blocks. */
static void let_write(void) {
        sem_wait(&office.writing);
        sem_post(&office.go_on);
}

static void expect_code(size_t i, const char *code) {
        cr_assert(harness_wait(&mail.h, i + 1));
        cr_assert_str_eq(harness_string(mail.h.results[i].error, "code"), code);
}

static void expect_nothing_more(size_t n_results) {
        usleep(30000);
        cr_assert_eq(mail.h.n_results, n_results);
}

/* ---- sending ------------------------------------------------------------------------------------------------ */

Test(errand, is_sent_once_and_ends_when_it_is_confirmed) {
        office.ends_when_confirmed = true;
        open_office();
        uint32_t instance = submit();
        cr_assert(mailbox_wait(&mail, 1));
        const SentLetter *l = &mail.letters[0];
        cr_assert_str_eq(l->subject, "p.v1.subject");
        cr_assert_str_eq(l->id, "id-0");
        cr_assert_str_eq(l->payload, "{\"n\":0}");
        cr_assert(l->needs_stream);
        cr_assert_eq(n_open(), 1);
        cr_assert_eq(look(instance, false).state, ERRAND_SENT);
        expect_nothing_more(0);
        mailbox_confirm(&mail, 0, 42);
        cr_assert(harness_wait(&mail.h, 1));
        cr_assert(mail.h.results[0].ok);
        cr_assert_eq(harness_integer(mail.h.results[0].output, "seq"), 42);
        cr_assert_eq(mail.h.results[0].instance, instance);
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(mail.n_letters, 1);
        cr_assert_eq(office.n_gone, 0, "it has ended by itself");
        close_office(1);
}

Test(errand, letters_share_nothing_with_the_one_before) {
        office.ends_when_confirmed = true;
        open_office();
        for (uint32_t i = 0; i < 3; i++)
                submit();
        cr_assert(mailbox_wait(&mail, 3));
        cr_assert_str_eq(mail.letters[2].id, "id-2");
        cr_assert_str_eq(mail.letters[2].subject, "p.v1.subject");
        cr_assert_str_eq(mail.letters[2].payload, "{\"n\":2}");
        for (size_t i = 3; i-- > 0;)
                mailbox_confirm(&mail, i, i + 1);
        cr_assert(harness_wait(&mail.h, 3));
        cr_assert_eq(mail.h.results[0].instance, 2, "in the order of the receipts");
        close_office(3);
}

Test(errand, is_sent_again_after_a_pause_that_doubles_up_to_its_limit) {
        static const int64_t pauses_ms[] = {50, 100, 200, 400, 800, 1600, 2000, 2000, 2000};
        const OutReceipt away = {.error = -EAGAIN, .reason = SLICE("NATS is away")};
        office.blocks = true; /* so it is not sent before it was looked at, on a slow machine either */
        open_office();
        uint32_t instance = submit();
        for (size_t i = 0; i < N_ELEMENTS(pauses_ms); i++) {
                let_write();
                cr_assert(mailbox_wait(&mail, i + 1));
                int64_t before_ns = attempt_now_ns();
                mailbox_say(&mail, i, &away);
                Errand e = look(instance, i > 0);
                cr_assert_eq(e.state, ERRAND_TO_SEND);
                cr_assert_eq(e.pause_ms, pauses_ms[i], "pause %zu is %lld ms", i, (long long)e.pause_ms);
                cr_assert_geq(e.send_ns, before_ns + pauses_ms[i] * NS_PER_MS);
                cr_assert_str_eq(e.reason, "NATS is away");
        }
        let_write();
        cr_assert(mailbox_wait(&mail, N_ELEMENTS(pauses_ms) + 1));
        int64_t pause_ns = mail.letters[1].at_ns - mail.letters[0].at_ns;
        cr_assert_geq(pause_ns, 50 * NS_PER_MS, "the first pause was let run: %lld ns", (long long)pause_ns);
        for (size_t i = 1; i < mail.n_letters; i++)
                cr_assert_str_eq(mail.letters[i].id, mail.letters[0].id, "the stream must know it again");
        cr_assert_eq(mail.h.n_results, 0);
        close_office(1);
}

Test(errand, a_bus_that_takes_nothing_is_asked_again) {
        office.ends_when_confirmed = true;
        office.blocks = true;
        open_office();
        mail.refusal = -EAGAIN;
        uint32_t instance = submit();
        let_write();
        cr_assert(mailbox_wait_refused(&mail, 1));
        Errand e = look(instance, false);
        cr_assert_eq(e.state, ERRAND_TO_SEND);
        cr_assert_str_eq(e.reason, "too many messages wait to be sent");
        mail.refusal = -ENOMEM;
        let_write();
        cr_assert(mailbox_wait_refused(&mail, 2));
        e = look(instance, false);
        cr_assert_str_eq(e.reason, "out of memory");
        cr_assert_eq(e.pause_ms, 100);
        mail.refusal = 0;
        let_write();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_confirm(&mail, 0, 1);
        cr_assert(harness_wait(&mail.h, 1));
        cr_assert(mail.h.results[0].ok);
        close_office(1);
}

Test(errand, what_no_stream_takes_is_sent_again_too) {
        static const int errors[] = {-ENOENT, -ENOSPC, -EAGAIN};
        office.blocks = true;
        open_office();
        uint32_t instance = submit();
        for (size_t i = 0; i < N_ELEMENTS(errors); i++) {
                let_write();
                cr_assert(mailbox_wait(&mail, i + 1));
                mailbox_say(&mail, i, &(OutReceipt){.error = errors[i], .reason = SLICE("no")});
                cr_assert_eq(look(instance, true).state, ERRAND_TO_SEND);
        }
        let_write();
        cr_assert(mailbox_wait(&mail, 4));
        cr_assert_eq(mail.h.n_results, 0);
        close_office(1);
}

Test(errand, one_that_is_too_large_fails_at_once) {
        open_office();
        submit();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EMSGSIZE, .reason = SLICE("x")});
        expect_code(0, "MESSAGE_TOO_LARGE");
        cr_assert(json_is_false(harness_at(mail.h.results[0].error, "retryable")));
        cr_assert_not_null(strstr(harness_string(mail.h.results[0].error, "message"), "1048576"));
        cr_assert_eq(n_open(), 0);
        close_office(1);
}

Test(errand, one_that_cant_be_written_fails_at_once) {
        office.write_fails = true;
        open_office();
        submit();
        expect_code(0, "CONFIG_INVALID");
        cr_assert_eq(mail.n_letters, 0);
        close_office(1);
}

Test(errand, reasons_are_cut_between_characters) {
        char long_reason[400];
        open_office();
        uint32_t instance = submit();
        for (size_t i = 0; i + 1 < sizeof(long_reason); i += 2)
                memcpy(long_reason + i + 1, "\xc3\xa4", i + 3 < sizeof(long_reason) ? 2 : 1);
        long_reason[0] = 'x';
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = {long_reason, 399}});
        Errand e = look(instance, false);
        cr_assert_eq(strlen(e.reason), ERRAND_REASON_MAX - 1, "%zu bytes", strlen(e.reason));
        cr_assert_eq(memcmp(e.reason, long_reason, ERRAND_REASON_MAX - 1), 0);
        close_office(1);
}

/* ---- receipts that nobody waits for ------------------------------------------------------------------------ */

Test(errand, a_second_receipt_changes_nothing) {
        open_office();
        uint32_t instance = submit();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_confirm(&mail, 0, 5);
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("late")});
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EMSGSIZE, .reason = SLICE("late")});
        mailbox_confirm(&mail, 0, 6);
        Errand e = look(instance, false);
        cr_assert_eq(e.state, ERRAND_CONFIRMED);
        cr_assert_eq(e.stream_seq, 5);
        cr_assert_eq(e.epoch, 3);
        cr_assert_str_eq(e.reason, "");
        expect_nothing_more(0);
        close_office(1);
}

Test(errand, a_receipt_of_a_message_that_is_sent_again_already_is_not_taken_for_the_new_one) {
        open_office();
        office.blocks = true;
        uint32_t instance = submit();
        let_write();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        mailbox_confirm(&mail, 0, 9); /* while it pauses */
        cr_assert_eq(look(instance, false).state, ERRAND_TO_SEND);
        let_write();
        cr_assert(mailbox_wait(&mail, 2));
        close_office(1);
}

/* ---- cancels ----------------------------------------------------------------------------------------------- */

Test(errand, can_be_cancelled_while_it_pauses) {
        open_office();
        uint32_t instance = submit();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        cancel(instance);
        size_t n_letters = mail.n_letters;
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(office.n_freed, 1);
        cr_assert_eq(office.n_cancelled, 1);
        usleep(80000); /* longer than the pause */
        cr_assert_eq(mail.n_letters, n_letters);
        expect_nothing_more(0);
        close_office(1);
}

Test(errand, can_be_cancelled_while_it_is_written) {
        office.blocks = true;
        open_office();
        uint32_t instance = submit();
        sem_wait(&office.writing);
        cancel(instance);
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(office.n_freed, 0, "the thread still reads it");
        sem_post(&office.go_on);
        expect_nothing_more(0);
        cr_assert_eq(mail.n_letters, 0, "it is not sent any more");
        cr_assert_eq(office.n_freed, 1);
        close_office(1);
}

Test(errand, can_be_cancelled_while_what_is_wrong_with_it_is_found_out) {
        office.blocks = office.write_fails = true;
        open_office();
        uint32_t instance = submit();
        sem_wait(&office.writing);
        cancel(instance);
        sem_post(&office.go_on);
        expect_nothing_more(0);
        close_office(1);
}

Test(errand, can_be_cancelled_when_it_is_sent_or_confirmed) {
        open_office();
        uint32_t sent = submit(), stored = submit();
        cr_assert(mailbox_wait(&mail, 2));
        mailbox_confirm(&mail, 1, 7);
        cancel(sent);
        cancel(stored);
        cancel(stored); /* absent is fine */
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(office.n_cancelled, 2);
        mailbox_confirm(&mail, 0, 8); /* of one that is gone */
        expect_nothing_more(0);
        close_office(2);
}

Test(errand, only_the_attempt_that_is_named_is_cancelled) {
        open_office();
        uint32_t instance = submit();
        Uuid id = {{7}}, other = {{8}};
        errand_cancel(mail.h.executor, id, instance, 2);
        errand_cancel(mail.h.executor, id, instance + 1, 1);
        errand_cancel(mail.h.executor, other, instance, 1);
        cr_assert_eq(n_open(), 1);
        close_office(1);
}

/* ---- time -------------------------------------------------------------------------------------------------- */

Test(errand, its_time_runs_out_in_every_state) {
        static const char *const texts[] = {"to send|too many messages wait to be sent", "sent|",
                                            "confirmed|"};
        open_office();
        mail.h.timeout_ms = 500;
        int64_t before_ns = attempt_now_ns();
        for (int i = 0; i < 3; i++)
                submit();
        cr_assert(mailbox_wait(&mail, 3));
        mailbox_confirm(&mail, 2, 7);
        mail.refusal = -EAGAIN;
        mailbox_say(&mail, 0, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        cr_assert(harness_wait(&mail.h, 3));
        cr_assert_geq(attempt_now_ns() - before_ns, 500 * NS_PER_MS);
        for (size_t i = 0; i < 3; i++) {
                const TaskResult *r = &mail.h.results[i];
                cr_assert_str_eq(harness_string(r->error, "code"), "TIMEOUT");
                cr_assert_str_eq(harness_string(r->error, "message"), texts[r->instance]);
        }
        cr_assert_eq(n_open(), 0);
        cr_assert_eq(office.n_gone, 3);
        cr_assert_eq(office.n_cancelled, 0);
        expect_nothing_more(3);
        close_office(3);
}

Test(errand, one_without_a_time_has_the_executors) {
        open_office();
        mail.h.timeout_ms = 0;
        uint32_t instance = submit();
        Errand e = look(instance, false);
        cr_assert_eq(e.timeout_ms, 70000);
        cr_assert_leq(e.deadline_ns - attempt_now_ns(), 70000 * NS_PER_MS);
        cr_assert_geq(e.deadline_ns - attempt_now_ns(), 69000 * NS_PER_MS);
        close_office(1);
}

Test(errand, a_shorter_time_that_comes_later_is_kept) {
        open_office();
        submit(); /* the thread sleeps a minute for this one */
        cr_assert(mailbox_wait(&mail, 1));
        mail.h.timeout_ms = 50;
        uint32_t instance = submit();
        cr_assert(harness_wait(&mail.h, 1));
        cr_assert_eq(mail.h.results[0].instance, instance);
        close_office(2);
}

Test(errand, a_kind_has_a_clock_of_its_own) {
        office.tends = true;
        office.own_ns = attempt_now_ns() + 100 * NS_PER_MS;
        open_office();
        submit();
        cr_assert(mailbox_wait(&mail, 1));
        mailbox_confirm(&mail, 0, 1);
        expect_code(0, "TENDED");
        cr_assert_geq(attempt_now_ns(), office.own_ns);
        cr_assert_eq(office.n_tended, 3);
        cr_assert_eq(office.n_gone, 0);
        close_office(1);
}

/* ---- limits ------------------------------------------------------------------------------------------------ */

static uint32_t submit_of(const char *tenant, Value *config) {
        static const RunbookStep step = {0};
        Task *t = harness_task_of(&mail.h, &step, NULL, NULL);
        uint32_t instance = t->instance;
        t->config = value_ref(config);
        t->tenant = slice_from_str(tenant);
        errand_submit(mail.h.executor, t);
        return instance;
}

Test(errand, no_more_than_so_many_are_open) {
        Value *config = value_new(json_object());
        char tenant[32];
        size_t n = 0;
        mail.is_counting_only = true;
        open_office();
        /* Each takes three quarters of what is free, until there is nothing. */
        for (int i = 0; n < ERRAND_OPEN_MAX; i++) {
                size_t n_share = 0, n_may = (ERRAND_OPEN_MAX - n) * 3 / 4;
                snprintf(tenant, sizeof(tenant), "tenant-%d", i);
                for (; n < ERRAND_OPEN_MAX && mail.h.n_results == 0; n_share++) {
                        submit_of(tenant, config);
                        n += mail.h.n_results == 0;
                }
                n_share -= mail.h.n_results;
                cr_assert_geq(n_share, n_may, "%s has %zu", tenant, n_share);
                cr_assert_leq(n_share, n_may + 1, "%s has %zu", tenant, n_share);
                if (n == ERRAND_OPEN_MAX)
                        break;
                expect_code(0, "OVERLOADED");
                cr_assert(json_is_true(harness_at(mail.h.results[0].error, "retryable")));
                cr_assert_not_null(strstr(harness_string(mail.h.results[0].error, "message"), "this tenant"));
                harness_forget_results(&mail.h);
        }
        cr_assert_eq(n_open(), ERRAND_OPEN_MAX);
        submit_of("newcomer", config);
        expect_code(0, "OVERLOADED");
        cr_assert_str_eq(harness_string(mail.h.results[0].error, "message"),
                         "too many steps of this kind are open already");
        cancel(17);
        submit_of("newcomer", config);
        cr_assert_eq(mail.h.n_results, 1, "there is room again");
        cr_assert_eq(n_open(), ERRAND_OPEN_MAX);
        value_unref(config);
        mailbox_deinit(&mail);
}

Test(errand, tenants_take_turns) {
        Value *config = value_new(json_object());
        office.blocks = true;
        open_office();
        submit_of("loud", config); /* is being written when all the others come */
        sem_wait(&office.writing);
        for (int i = 0; i < 500; i++)
                submit_of("loud", config);
        uint32_t quiet = submit_of("quiet", config);
        office.blocks = false;
        sem_post(&office.go_on);
        cr_assert(mailbox_wait(&mail, 502));
        char id[16];
        size_t at = 0;
        snprintf(id, sizeof(id), "id-%u", quiet);
        while (at < 502 && strcmp(mail.letters[at].id, id) != 0)
                at++;
        cr_assert_leq(at, 2, "it went out as number %zu", at);
        value_unref(config);
        close_office(502);
}

Test(errand, one_that_waits_for_its_turn_can_be_cancelled_and_runs_out_of_time) {
        office.blocks = true;
        open_office();
        submit();
        sem_wait(&office.writing);
        uint32_t cancelled = submit();
        mail.h.timeout_ms = 100;
        submit();
        cancel(cancelled);
        cr_assert_eq(n_open(), 2);
        usleep(150000);
        sem_post(&office.go_on);
        expect_code(0, "TIMEOUT");
        cr_assert_eq(mail.n_letters, 1, "its time was up before it went out");
        close_office(3);
}

/* ---- the end ----------------------------------------------------------------------------------------------- */

static void *let_go_on(void *unused) {
        usleep(30000);
        for (int i = 0; i < 2; i++)
                sem_post(&office.go_on);
        return NULL;
}

Test(errand, stop_ends_without_results_in_every_state) {
        pthread_t thread;
        open_office();
        for (int i = 0; i < 3; i++)
                submit();
        cr_assert(mailbox_wait(&mail, 3));
        mailbox_confirm(&mail, 1, 1);
        mailbox_say(&mail, 2, &(OutReceipt){.error = -EAGAIN, .reason = SLICE("away")});
        office.blocks = true;
        submit(); /* is being written */
        sem_wait(&office.writing);
        submit(); /* waits to be */
        cr_assert_eq(n_open(), 5);
        pthread_create(&thread, NULL, let_go_on, NULL);
        errand_office_deinit(&office.office);
        mail.h.executor = NULL;
        pthread_join(thread, NULL);
        cr_assert_eq(mail.n_forgotten, 1);
        cr_assert_null(mail.letters[0].done);
        cr_assert_eq(mail.h.n_results, 0);
        cr_assert_leq(mail.n_letters, 4);
        close_office(5);
}
