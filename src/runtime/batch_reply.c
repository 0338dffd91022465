/* Answers: rendered while the batch runs, kept in its arena, given after its commit. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "json/json_write.h"
#include "runtime/runtime_private.h"

static int keep_body(Batch *b, Item *it, const Buf *body) {
        if (body->error)
                return -ENOMEM;
        it->body = arena_dup(&b->arena, buf_slice(body));
        return it->body.data ? 0 : -ENOMEM;
}

int batch_reply(Batch *b, Item *it) {
        it->code = RUNBOOK_OK;
        return keep_body(b, it, &b->reply);
}

int batch_refuse_report(Batch *b, Item *it, const Report *report) {
        it->code = report->code;
        it->durable = report->code != RUNBOOK_OVERLOADED && report->code != RUNBOOK_UNAVAILABLE &&
                      report->code != RUNBOOK_STORE_FULL;
        buf_reset(&b->reply);
        report_write_json(report, &b->reply);
        return keep_body(b, it, &b->reply);
}

int batch_refuse(Batch *b, Item *it, RunbookCode code, const char *format, ...) {
        Report report = {0};
        char sentence[2048]; /* ids and names in it are bounded by limits.h, each cut below this */
        va_list ap;

        va_start(ap, format);
        vsnprintf(sentence, sizeof(sentence), format, ap);
        va_end(ap);
        report_set(&report, code, "%s", sentence);
        int r = batch_refuse_report(b, it, &report);
        report_deinit(&report);
        return r;
}

int batch_reply_update(Batch *b, Item *it) {
        if (b->update.refusal.code != RUNBOOK_OK)
                return batch_refuse_report(b, it, &b->update.refusal);
        it->code = RUNBOOK_OK;
        return keep_body(b, it, &b->update.reply);
}

/** Executions of @tenant that have not ended: those in the store, and what this batch has changed since. */
static int count_executions(Batch *b, Slice tenant, uint64_t *ret) {
        uint64_t counts[RUNBOOK_N_EXECUTION_STATUSES];

        int r = store_execution_counts(b->txn, tenant, counts);
        if (r)
                return r;
        *ret = 0;
        for (unsigned i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                *ret += runbook_execution_status_is_final(i) ? 0 : counts[i];
        LIST_FOREACH(node, &b->touched) {
                const Touched *t = LIST_ENTRY(node, Touched, node);
                if (!slice_eq(t->entry->x->tenant, tenant))
                        continue;
                *ret += !runbook_execution_status_is_final(t->entry->x->status);
                *ret -= !t->is_new && !runbook_execution_status_is_final(t->status_before);
        }
        return 0;
}

/** What one tenant may have. As refuse_new_work. */
static bool refuse_tenant(Batch *b, Item *it, int *ret) {
        const RuntimeSettings *s = &b->r->settings;
        Slice tenant = it->request->input.tenant;
        uint64_t n = 0;

        if (s->tenant_tasks_max > 0 &&
            (n = open_tasks_count_of(&b->r->tasks, tenant)) >= s->tenant_tasks_max) {
                *ret = batch_refuse(b, it, RUNBOOK_OVERLOADED,
                                    "%llu tasks of this tenant are under way, as many as one may have "
                                    "(TENANT_TASKS_MAX=%llu). Send this again later.",
                                    (unsigned long long)n, (unsigned long long)s->tenant_tasks_max);
                return true;
        }
        if (s->tenant_executions_max == 0)
                return false;
        *ret = count_executions(b, tenant, &n);
        if (*ret == 0 && n < s->tenant_executions_max)
                return false;
        if (*ret == 0)
                *ret = batch_refuse(b, it, RUNBOOK_OVERLOADED,
                                    "%llu executions of this tenant have not ended, as many as one may have "
                                    "(TENANT_EXECUTIONS_MAX=%llu). Send this again later, or cancel some.",
                                    (unsigned long long)n, (unsigned long long)s->tenant_executions_max);
        return true;
}

/** Nor may one batch, which no look comes between, take the room that is kept for what runs. */
static bool is_full(const Batch *b) {
        const Runtime *r = b->r;
        return r->is_high || (r->high_reserve > 0 && RUNTIME_HIGH_FACTOR * b->n_bytes >
                                                             r->high_left + r->high_reserve / 2);
}

bool refuse_new_work(Batch *b, Item *it, int *ret) {
        Runtime *r = b->r;

        if (is_full(b)) {
                *ret = batch_refuse(
                                b, it, RUNBOOK_STORE_FULL,
                                "The store is over %u%% of what it may grow to (STORE_HIGH_PERCENT): nothing "
                                "new is taken, what runs goes on. Free room in DATA_DIR or raise "
                                "STORE_MAX_MB, then send this again.",
                                r->settings.store_high_percent);
                return true;
        }
        size_t n_open = open_tasks_count(&r->tasks);
        if (n_open >= r->settings.tasks_max) {
                *ret = batch_refuse(b, it, RUNBOOK_OVERLOADED,
                                    "%zu tasks are under way, as many as this engine takes (TASKS_MAX=%llu). "
                                    "Send this again later.",
                                    n_open, (unsigned long long)r->settings.tasks_max);
                return true;
        }
        size_t n_bytes = open_tasks_bytes(&r->tasks);
        if (n_bytes >= r->settings.tasks_bytes_max) {
                *ret = batch_refuse(b, it, RUNBOOK_OVERLOADED,
                                    "The tasks under way take %zu MiB of memory, as much as they may "
                                    "(MEMORY_MAX_MB). Send this again later.",
                                    n_bytes >> 20);
                return true;
        }
        return it->request && (it->request->kind == REQUEST_START || it->request->kind == REQUEST_REPLAY) &&
               refuse_tenant(b, it, ret);
}
