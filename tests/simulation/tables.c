/*
 * Between the tables: what waits in a table waits in an execution, and the other way round. Timers, approvals,
 * events, the list of open executions, the counters.
 */
#include "books.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "storage/store_check.h"
#include "storage/store_impl.h"

static bool has_timer(StoreTxn *t, const Execution *x, uint32_t instance, uint8_t slot, int64_t at_ms) {
        StoreTimer timer = {.at_ms = at_ms, .execution_id = x->id, .instance = instance, .slot = slot};
        Key k;
        Slice found;
        store_key_begin(&k);
        store_key_time(&k, timer.at_ms);
        store_key_uuid(&k, timer.execution_id);
        store_key_u32(&k, timer.instance);
        store_key_u8(&k, timer.slot);
        return kv_get(t->kv, TABLE_TIMERS, store_key_slice(&k), &found) == 0;
}

/** Do the clocks of this step stand still? */
static bool frozen(const Execution *x, uint32_t i) {
        uint8_t status = x->steps[i].status;
        return x->paused_ms > 0 &&
               (status == RUNBOOK_STEP_AWAITING_APPROVAL || status == RUNBOOK_STEP_AWAITING_EVENT ||
                (status == RUNBOOK_STEP_WAITING && !execution_step(x, i)->wait_until));
}

static uint32_t check_armed(Sim *s, StoreTxn *t, const Execution *x) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < x->n_instances; i++)
                for (uint8_t slot = 0; slot <= TIMER_ESCALATE; slot++) {
                        int64_t at = x->steps[i].timer_ms[slot];
                        if (at == 0 || frozen(x, i))
                                continue;
                        n++;
                        if (!has_timer(t, x, i, slot, at))
                                sim_fail(s, "timer lost", "a step is to wake at %lld and no timer says so",
                                         (long long)at);
                }
        if (x->global_deadline_ms && !x->paused_ms) {
                n++;
                if (!has_timer(t, x, INSTANCE_NONE, TIMER_GLOBAL, x->global_deadline_ms))
                        sim_fail(s, "timer lost", "the execution's deadline has no timer");
        }
        return n;
}

static void check_timers(Sim *s, StoreTxn *t, const Execution *x) {
        uint32_t n = check_armed(s, t, x), rows = 0;
        StoreTimer timer;
        for (int r = store_timer_next(t, NULL, &timer); r == 0; r = store_timer_next(t, &timer, &timer))
                rows += uuid_eq(timer.execution_id, x->id);
        if (rows > n)
                sim_fail(s, "timer left", "%u timers are set, %u steps wait for one", rows, n);
}

typedef struct Pending {
        const Execution *x;
        uint32_t n;
        Sim *s;
        Slice user;
} Pending;

static bool each_pending(void *userdata, Uuid id, uint32_t instance) {
        Pending *p = userdata;
        if (!uuid_eq(id, p->x->id))
                return true;
        const StepState *step = instance < p->x->n_instances ? &p->x->steps[instance] : NULL;
        if (!step || step->status != RUNBOOK_STEP_AWAITING_APPROVAL)
                sim_fail(p->s, "approval left", "%.*s is asked about a step that does not ask",
                         SLICE_ARG(p->user));
        p->n++;
        return true;
}

static uint32_t asks(const Execution *x, Slice user) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < x->n_instances; i++) {
                const ApprovalConfig *a = execution_step(x, i)->approval;
                if (x->steps[i].status != RUNBOOK_STEP_AWAITING_APPROVAL || !a)
                        continue;
                bool asked = false;
                for (size_t k = 0; k < a->n_approvers; k++)
                        asked |= slice_eq(a->approvers[k], user);
                for (size_t k = 0; x->steps[i].extra->escalated && k < a->n_escalate_to; k++)
                        asked |= slice_eq(a->escalate_to[k], user);
                n += asked;
        }
        return n;
}

static void check_approvals(Sim *s, StoreTxn *t, const Execution *x) {
        static const char *const people[] = {"alice", "bob", "carol", "dave"};
        for (size_t i = 0; i < N_ELEMENTS(people) && !s->failed; i++) {
                Pending p = {.x = x, .s = s, .user = slice_from_str(people[i])};
                store_approval_list(t, x->tenant, p.user, UUID_NIL, 0, each_pending, &p);
                if (p.n != asks(x, p.user))
                        sim_fail(s, "approval lost", "%s should be asked %u times and is %u times", people[i],
                                 asks(x, p.user), p.n);
        }
}

/** Rows (execution, ROW_WAIT, instance) stand beside every wait for an event. */
static void check_waits(Sim *s, StoreTxn *t, const Execution *x) {
        for (uint32_t i = 0; i < x->n_instances && !s->failed; i++) {
                Key k = execution_key(x->id, ROW_WAIT);
                Slice found;
                store_key_u32(&k, i);
                bool there = kv_get(t->kv, TABLE_EXECUTIONS, store_key_slice(&k), &found) == 0;
                if (there != (x->steps[i].status == RUNBOOK_STEP_AWAITING_EVENT))
                        sim_fail(s, there ? "wait left" : "wait lost", "instance %u is %s", i,
                                 runbook_step_status_name((RunbookStepStatus)x->steps[i].status));
        }
}

static void check_open(Sim *s, StoreTxn *t, const Execution *x) {
        Key k;
        Slice found;
        store_key_begin(&k);
        store_key_uuid(&k, x->id);
        bool there = kv_get(t->kv, TABLE_OPEN, store_key_slice(&k), &found) == 0;
        if (there == runbook_execution_status_is_final((RunbookExecutionStatus)x->status))
                sim_fail(s, "open list", "an execution that is %s is %s",
                         runbook_execution_status_name((RunbookExecutionStatus)x->status),
                         there ? "open" : "not open");
}

static void check_journal(Sim *s, StoreTxn *t, const Execution *x) {
        uint64_t first;
        uint32_t n;
        Slice frames;
        if (x->n_journal > 0 &&
            (store_series_segment(t, STORE_JOURNAL, x->id, x->n_journal, &first, &n, &frames) ||
             first > x->n_journal))
                sim_fail(s, "journal", "input %llu is not recorded", (unsigned long long)x->n_journal);
        if (store_series_segment(t, STORE_JOURNAL, x->id, x->n_journal + 1, &first, &n, &frames) == 0)
                sim_fail(s, "journal", "input %llu is recorded and was not applied",
                         (unsigned long long)first);
        if (x->n_logs > 0 && store_series_segment(t, STORE_LOGS, x->id, x->n_logs, &first, &n, &frames))
                sim_fail(s, "logs", "entry %llu is not recorded", (unsigned long long)x->n_logs);
        if (x->n_evidence > 0 &&
            store_series_segment(t, STORE_EVIDENCE, x->id, x->n_evidence, &first, &n, &frames))
                sim_fail(s, "evidence", "record %llu is not there", (unsigned long long)x->n_evidence);
}

/** What a failing or cancelled execution has started is being stopped, too: both happen in one transaction. */
static void check_children(Sim *s, StoreTxn *t, const Execution *x) {
        for (uint32_t i = 0; i < x->n_instances && x->goal != GOAL_COMPLETE && !s->failed; i++) {
                Execution *child = NULL;
                if (x->steps[i].status != RUNBOOK_STEP_RUNNING ||
                    execution_step(x, i)->type != STEP_TYPE_RUN_RUNBOOK || !x->steps[i].extra ||
                    store_execution_load(t, x->steps[i].extra->child, runtime_runbook_lookup, s->rt, &child))
                        continue;
                if (child->goal == GOAL_COMPLETE &&
                    !runbook_execution_status_is_final((RunbookExecutionStatus)child->status))
                        sim_fail(s, "a child lives on", "its parent is being stopped and it is not");
                execution_free(child);
        }
}

void tables_check_one(Sim *s, StoreTxn *t, const Execution *x) {
        check_children(s, t, x);
        check_timers(s, t, x);
        check_waits(s, t, x);
        check_open(s, t, x);
        check_journal(s, t, x);
        if (!s->failed)
                check_approvals(s, t, x);
}

/* ---- all of them ---------------------------------------------------------------------------------------------- */

static void check_counters(Sim *s, StoreTxn *t) {
        static const char *const tenants[] = {"acme", "umbrella"};
        for (size_t k = 0; k < N_ELEMENTS(tenants); k++) {
                uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES] = {0},
                         expected[RUNBOOK_N_EXECUTION_STATUSES] = {0};
                Uuid id;
                uint8_t status;
                Slice tenant;
                if (store_execution_counts(t, slice_from_str(tenants[k]), counts))
                        continue;
                for (uint32_t i = 0; books_execution(s->books, i, &id, &status, &tenant); i++)
                        expected[status] += slice_eq_str(tenant, tenants[k]);
                for (int i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                        if (counts[i] != expected[i])
                                sim_fail(s, "counters", "%s has %llu executions %s, counted are %llu",
                                         tenants[k], (unsigned long long)expected[i],
                                         runbook_execution_status_name((RunbookExecutionStatus)i),
                                         (unsigned long long)counts[i]);
        }
}

static void on_fault(void *userdata, const char *table, const char *key, const char *sentence) {
        sim_fail(userdata, "store check", "%s %s: %s", table, key, sentence);
}

void tables_check_all(Sim *s) {
        StoreTxn *t;
        StoreCheck check = {.lookup = runtime_runbook_lookup,
                            .lookup_userdata = s->rt,
                            .judge = engine_check,
                            .catalog_id = engine_catalog_id,
                            .fault = on_fault,
                            .userdata = s};

        s->looking++;
        if (!s->failed && s->rt && store_begin_read(s->store, &t) == 0) {
                check_counters(s, t);
                if (store_check(t, &check) < 0)
                        sim_fail(s, "store check", "the store can't be looked at");
                store_abort(t);
        }
        s->looking--;
}
