/*
 * Runbook cache
 *
 * Compiling a definition takes milliseconds, starting an execution microseconds. The store's row decides what
 * is current: an entry is used only if its digest is the row's, so neither a registration whose batch failed
 * nor anything else can make the cache lie, and nobody has to invalidate it.
 *
 * Consent. `timeoutAction: approve` needs the operator's consent, at registration and still when the timeout
 * fires. So what was registered with consent is compiled all the same when the consent is gone (executions
 * under way must load), but its timeouts then fail the step.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "json/json_read.h"
#include "runtime/runbook_cache.h"

typedef struct Entry {
        List lru;
        Runbook *runbook; /* owned */
        size_t size;
        size_t n_key;
        char key[];       /* tenant NUL id NUL version */
} Entry;

void runbook_cache_init(RunbookCache *c, const RunbookDefaults *defaults, size_t bytes_max, uint64_t seed0,
                        uint64_t seed1) {
        *c = (RunbookCache){.defaults = *defaults, .bytes_max = bytes_max};
        pthread_mutex_init(&c->lock, NULL);
        map_init(&c->map, seed0, seed1);
        list_init(&c->lru);
}

static void entry_drop(RunbookCache *c, Entry *e) {
        map_remove(&c->map, (Slice){e->key, e->n_key});
        list_remove(&e->lru);
        c->bytes -= e->size;
        runbook_unref(e->runbook);
        free(e);
}

void runbook_cache_deinit(RunbookCache *c) {
        LIST_FOREACH_SAFE(node, next, &c->lru)
                entry_drop(c, LIST_ENTRY(node, Entry, lru));
        map_deinit(&c->map);
        pthread_mutex_destroy(&c->lock);
}

static Entry *entry_new(Slice tenant, Slice id, Slice version) {
        size_t n_key = tenant.n + id.n + version.n + 2;
        Entry *e = calloc(1, sizeof(*e) + n_key);
        if (!e)
                return NULL;
        char *p = e->key;
        Slice parts[] = {tenant, id, version};
        for (size_t i = 0; i < 3; i++) {
                if (parts[i].n)
                        memcpy(p, parts[i].data, parts[i].n);
                p += parts[i].n + 1;
        }
        e->n_key = n_key;
        list_init(&e->lru);
        return e;
}

/** Without the operator's consent no timeout approves. @r is fresh: nobody else has seen it. */
static void withdraw_consent(Runbook *r, Slice tenant) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < r->n_steps; i++) {
                ApprovalConfig *approval = (ApprovalConfig *)r->steps[i].approval;
                if (approval && approval->timeout_action == TIMEOUT_APPROVE) {
                        approval->timeout_action = TIMEOUT_FAIL;
                        n++;
                }
        }
        if (n)
                log_printf(LOG_WARN,
                           "runbook %.*s %.*s of tenant %.*s was registered while ALLOW_TIMEOUT_APPROVE was "
                           "on; it is off now, so "
                           "approval timeouts of %u step(s) fail instead of approving",
                           SLICE_ARG(r->id), SLICE_ARG(r->version), SLICE_ARG(tenant), n);
}

static int compile(const RunbookCache *c, Slice tenant, const StoreRunbook *row, Runbook **ret) {
        RunbookDefaults defaults = c->defaults;
        Report report = {0};
        Digest digest;

        int r = digest_slice(row->definition, &digest);
        if (r < 0)
                return r;
        if (!digest_eq(&digest, &row->digest)) {
                log_printf(LOG_ERROR, "runbook %.*s %.*s of tenant %.*s is damaged: it is not what was registered",
                           SLICE_ARG(row->id), SLICE_ARG(row->version), SLICE_ARG(tenant));
                return -EBADMSG;
        }
        json_t *tree = json_parse_own(row->definition);
        if (!tree)
                return -ENOMEM;
        defaults.allow_timeout_approve = true;
        r = runbook_compile(tree, &defaults, &report, ret);
        json_decref(tree);
        if (r == -EINVAL) {
                log_printf(LOG_ERROR, "runbook %.*s %.*s of tenant %.*s can't be compiled any more: %s%s%s",
                           SLICE_ARG(row->id), SLICE_ARG(row->version), SLICE_ARG(tenant),
                           report.message ? report.message : "", report.n_details ? ": " : "",
                           report.n_details ? report.details[0].message : "");
                r = -EBADMSG;
        }
        report_deinit(&report);
        if (r < 0)
                return r;
        if (!c->defaults.allow_timeout_approve)
                withdraw_consent(*ret, tenant);
        /* Both threads of a shared value may ask for its bytes: make them before it is shared. */
        if (!value_bytes((*ret)->definition).data) {
                runbook_unref(*ret);
                return -ENOMEM;
        }
        return 0;
}

static Runbook *find(RunbookCache *c, const Entry *key, const Digest *digest) {
        Entry *e = map_get(&c->map, (Slice){key->key, key->n_key});
        if (!e)
                return NULL;
        if (!digest_eq(&e->runbook->digest, digest)) {
                entry_drop(c, e);
                return NULL;
        }
        list_remove(&e->lru);
        list_push_back(&c->lru, &e->lru);
        return runbook_ref(e->runbook);
}

/** Takes @e. Not being able to keep it is no error. */
static void keep(RunbookCache *c, Entry *e, Runbook *runbook) {
        Entry *old = map_get(&c->map, (Slice){e->key, e->n_key});
        if (old)
                entry_drop(c, old); /* another thread was as fast, or it is an outdated one */
        if (map_put(&c->map, (Slice){e->key, e->n_key}, e) < 0) {
                free(e);
                return;
        }
        e->runbook = runbook_ref(runbook);
        e->size = sizeof(*e) + e->n_key + runbook->arena.n_bytes + value_size(runbook->definition);
        c->bytes += e->size;
        list_push_back(&c->lru, &e->lru);
        while (c->bytes > c->bytes_max && c->lru.next != &e->lru)
                entry_drop(c, LIST_ENTRY(c->lru.next, Entry, lru));
}

int runbook_cache_get(RunbookCache *c, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        StoreRunbook row;
        int r = store_runbook_get(t, tenant, id, version, &row);
        if (r)
                return r;
        Entry *e = entry_new(tenant, id, row.version);
        if (!e)
                return -ENOMEM;
        pthread_mutex_lock(&c->lock);
        Runbook *found = find(c, e, &row.digest);
        pthread_mutex_unlock(&c->lock);
        if (found) {
                free(e);
                *ret = found;
                return 0;
        }
        r = compile(c, tenant, &row, &found);
        if (r < 0) {
                free(e);
                return r;
        }
        pthread_mutex_lock(&c->lock);
        keep(c, e, found);
        pthread_mutex_unlock(&c->lock);
        *ret = found;
        return 0;
}
