/*
 * Tenants, lanes and gates
 *
 * A lane is one tenant's way to one host: it has the queue of its calls, and the gate with the limits that
 * its definitions give. A host has the gate with the operator's limits, through which the calls of all
 * tenants go. So what one tenant writes, and what it makes of a host with its calls, closes no gate to
 * another, unless the operator has said so.
 *
 * A lane without calls rests for a while before it is forgotten, and longer if its gates remember something
 * that counts: failures, an open breaker, a bucket that is not full.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "executors/http_internal.h"

#define NS_PER_S 1000000000LL
#define SNAPSHOT_WAIT_S 1 /* for the executor's thread */

/* ---- tenants and lanes --------------------------------------------------------------------------------- */

static HttpTenant *tenant_get(HttpEngine *e, Slice name) {
        HttpTenant *t = map_get(&e->tenants, name);
        if (t) {
                t->refs++;
                return t;
        }
        t = malloc(sizeof(*t) + name.n);
        if (!t)
                return NULL;
        *t = (HttpTenant){.refs = 1, .n_name = name.n};
        if (name.n > 0)
                memcpy(t->name, name.data, name.n);
        list_init(&t->lanes);
        list_init(&t->node);
        if (map_put(&e->tenants, (Slice){t->name, t->n_name}, t) < 0) {
                free(t);
                return NULL;
        }
        return t;
}

void http_tenant_unref(HttpEngine *e, HttpTenant *t) {
        if (!t || --t->refs > 0)
                return;
        map_remove(&e->tenants, (Slice){t->name, t->n_name});
        free(t);
}

/** A lane's key: which host, as a number, and the tenant's name. */
static Slice lane_key(Buf *b, const HttpHost *h, Slice tenant) {
        buf_reset(b);
        buf_put(b, &h, sizeof(h));
        buf_put_slice(b, tenant);
        return buf_slice(b);
}

static HttpLane *lane_new(HttpEngine *e, HttpHost *h, Slice tenant, Slice key) {
        HttpLane *l = malloc(sizeof(*l) + key.n);
        if (!l)
                return NULL;
        *l = (HttpLane){.host = h, .tenant = tenant_get(e, tenant), .n_key = key.n};
        memcpy(l->key, key.data, key.n);
        list_init(&l->queue);
        list_init(&l->node);
        list_init(&l->rest_node);
        if (!l->tenant || map_put(&e->lanes, (Slice){l->key, l->n_key}, l) < 0) {
                http_tenant_unref(e, l->tenant);
                free(l);
                return NULL;
        }
        h->refs++;
        return l;
}

static void lane_free(HttpEngine *e, HttpLane *l) {
        list_remove(&l->rest_node);
        map_remove(&e->lanes, (Slice){l->key, l->n_key});
        if (l->host->last == l)
                l->host->last = NULL;
        http_tenant_unref(e, l->tenant);
        http_host_unref(e, l->host);
        free(l);
}

HttpLane *http_lane_get(HttpEngine *e, HttpHost *h, Slice tenant) {
        HttpLane *l = h->last;
        if (!l || !slice_eq(tenant, (Slice){l->tenant->name, l->tenant->n_name})) {
                Slice key = lane_key(&e->aside, h, tenant);
                if (e->aside.error)
                        return NULL;
                l = map_get(&e->lanes, key);
                l = l ? l : lane_new(e, h, tenant, key);
        }
        if (!l)
                return NULL;
        h->last = l;
        if (l->n_calls++ == 0 && !list_is_empty(&l->rest_node)) {
                list_remove(&l->rest_node);
                e->n_resting--;
        }
        return l;
}

static void rest(HttpEngine *e, HttpLane *l) {
        l->rest_until_ns = e->now_ns + HTTP_LANE_REST_NS;
        list_push_back(&e->resting, &l->rest_node);
        e->n_resting++;
}

static void forget_first(HttpEngine *e) {
        e->n_resting--;
        lane_free(e, LIST_ENTRY(e->resting.next, HttpLane, rest_node));
}

void http_lane_unref(HttpEngine *e, HttpLane *l) {
        if (!l || --l->n_calls > 0)
                return;
        rest(e, l);
        if (e->n_resting > HTTP_LANES_RESTING_MAX)
                forget_first(e);
}

void http_lanes_tidy(HttpEngine *e) {
        while (e->n_resting > 0) {
                HttpLane *l = LIST_ENTRY(e->resting.next, HttpLane, rest_node);
                if (l->rest_until_ns > e->now_ns)
                        return;
                /* The host's gate matters only as long as this is its last lane. */
                bool host_counts = l->host->refs == 1 && !gate_is_idle(&l->host->gate, e->now_ns);
                if (!host_counts && gate_is_idle(&l->gate, e->now_ns)) {
                        forget_first(e);
                } else {
                        list_remove(&l->rest_node);
                        e->n_resting--;
                        rest(e, l);
                }
        }
}

void http_lanes_free(HttpEngine *e) {
        while (e->n_resting > 0)
                forget_first(e);
        map_deinit(&e->lanes);
        map_deinit(&e->tenants);
}

/* ---- gates --------------------------------------------------------------------------------------------- */

/** Tell of a breaker that has changed. @l NULL: the operator's, of all tenants. */
static void note_change(const HttpHost *h, const HttpLane *l, const Breaker *b, const BreakerSettings *s,
                        BreakerState before) {
        static const char *const sentences[N_BREAKER_STATES] = {
                        [BREAKER_CLOSED] = "circuit breaker closed: the target answers again",
                        [BREAKER_OPEN] = "circuit breaker opened: the target is not called for a while",
                        [BREAKER_HALF_OPEN] = "circuit breaker half open: trial calls"};
        if (b->state == before)
                return;
        char failures[16], calls[16], open_ms[24], tenant[256];
        uint32_t n_failed = 0, n_calls = 0;
        for (size_t i = 0; i < BREAKER_SLICES; i++) {
                n_failed += b->failed[i];
                n_calls += b->failed[i] + b->ok[i];
        }
        snprintf(failures, sizeof(failures), "%u", n_failed);
        snprintf(calls, sizeof(calls), "%u", n_calls);
        snprintf(open_ms, sizeof(open_ms), "%" PRId64, s->open_ns / 1000000);
        snprintf(tenant, sizeof(tenant), "%.*s", l ? (int)l->tenant->n_name : 1, l ? l->tenant->name : "*");
        log_event(b->state == BREAKER_OPEN ? LOG_WARN : LOG_INFO, sentences[b->state], "target", h->key,
                  "tenant", tenant, "state", breaker_state_name(b->state), "failures", failures, "calls",
                  calls, "openMs", open_ms, NULL);
}

static GateAnswer ask(HttpEngine *e, HttpHost *h, HttpLane *l, Gate *g, const GateLimits *limits,
                      int64_t *ret_until_ns) {
        BreakerState before = g->breaker.state;
        GateAnswer answer = gate_ask(g, limits, e->now_ns, ret_until_ns);
        note_change(h, l, &g->breaker, &limits->breaker, before);
        return answer;
}

GateAnswer http_lane_ask(HttpEngine *e, HttpCall *c, int64_t *ret_until_ns) {
        HttpLane *l = c->lane;
        HttpHost *h = l->host;
        int64_t own_ns = e->now_ns, host_ns = e->now_ns;
        gate_name(&l->named, &c->limits, e->now_ns);
        GateAnswer own = ask(e, h, l, &l->gate, gate_named(&l->named, e->now_ns), &own_ns);
        GateAnswer host = ask(e, h, NULL, &h->gate, &h->limits, &host_ns);
        /* The stricter answer is the larger one; of two times the later one counts. */
        *ret_until_ns = own > host ? own_ns : host > own ? host_ns : own_ns > host_ns ? own_ns : host_ns;
        return own > host ? own : host;
}

void http_lane_begin(HttpEngine *e, HttpCall *c) {
        HttpLane *l = c->lane;
        c->lane_term = gate_begin(&l->gate, gate_named(&l->named, e->now_ns), e->now_ns);
        c->host_term = gate_begin(&l->host->gate, &l->host->limits, e->now_ns);
        l->tenant->n_running++;
}

void http_lane_end(HttpEngine *e, HttpCall *c) {
        HttpLane *l = c->lane;
        HttpHost *h = l->host;
        const GateLimits *limits = gate_named(&l->named, e->now_ns);
        BreakerState own = l->gate.breaker.state, host = h->gate.breaker.state;
        gate_end(&l->gate, limits, c->lane_term, c->outcome, e->now_ns);
        gate_end(&h->gate, &h->limits, c->host_term, c->outcome, e->now_ns);
        note_change(h, l, &l->gate.breaker, &limits->breaker, own);
        note_change(h, NULL, &h->gate.breaker, &h->limits.breaker, host);
        e->totals.n_opened += (l->gate.breaker.state == BREAKER_OPEN && own != BREAKER_OPEN) +
                              (h->gate.breaker.state == BREAKER_OPEN && host != BREAKER_OPEN);
        l->tenant->n_running--;
}

/* ---- what others may see ------------------------------------------------------------------------------- */

typedef struct Snapshot {
        List node; /* in HttpEngine.snapshots, until `done` */
        Slice tenant;
        HttpTargetStats *rows;
        size_t n_rows, n;
        HttpTotals totals;
        pthread_cond_t is_done;
        bool done;
} Snapshot;

static void fill_row(HttpEngine *e, HttpLane *l, HttpTargetStats *row) {
        const BreakerSettings *own = &gate_named(&l->named, e->now_ns)->breaker;
        BreakerState host_state = l->host->gate.breaker.state, own_state = l->gate.breaker.state;
        uint32_t n_calls;
        *row = (HttpTargetStats){.state = host_state == BREAKER_OPEN || own_state == BREAKER_CLOSED ? host_state
                                                                                                   : own_state,
                                 .n_running = l->gate.n_running,
                                 .n_queued = l->n_queued,
                                 .waits_for_rate = l->n_queued > 0 && l->waits_for == GATE_WAIT_RATE,
                                 .n_refused = l->n_refused};
        if (own->failure_threshold > 0)
                row->n_failed = breaker_failures(&l->gate.breaker, own, e->now_ns, &n_calls);
        else if (l->host->limits.breaker.failure_threshold > 0)
                row->n_failed = breaker_failures(&l->host->gate.breaker, &l->host->limits.breaker, e->now_ns,
                                                 &n_calls);
        snprintf(row->target, sizeof(row->target), "%s", l->host->key);
        snprintf(row->tenant, sizeof(row->tenant), "%.*s", (int)l->tenant->n_name, l->tenant->name);
}

/** Those with something to tell first, as long as there is room. */
static void fill(HttpEngine *e, Snapshot *s) {
        Slice key;
        void *value;
        for (int quiet = 0; quiet < 2; quiet++) {
                for (size_t it = 0; s->n < s->n_rows && map_next(&e->lanes, &it, &key, &value);) {
                        HttpLane *l = value;
                        bool is_quiet = l->n_queued == 0 && l->gate.breaker.state == BREAKER_CLOSED &&
                                        l->host->gate.breaker.state == BREAKER_CLOSED;
                        bool is_meant = s->tenant.n == 0 ||
                                        slice_eq(s->tenant, (Slice){l->tenant->name, l->tenant->n_name});
                        if (is_meant && is_quiet == (quiet == 1))
                                fill_row(e, l, &s->rows[s->n++]);
                }
        }
        s->totals = e->totals;
}

bool http_snapshots_give(HttpEngine *e) {
        while (!list_is_empty(&e->snapshots_next)) {
                Snapshot *s = LIST_ENTRY(e->snapshots_next.next, Snapshot, node);
                list_remove(&s->node);
                fill(e, s);
                s->done = true;
                pthread_cond_signal(&s->is_done);
        }
        list_splice_back(&e->snapshots_next, &e->snapshots);
        return !list_is_empty(&e->snapshots_next);
}

size_t http_executor_targets(Executor *executor, Slice tenant, HttpTargetStats *rows, size_t n_rows,
                             HttpTotals *ret_totals) {
        HttpEngine *e = (HttpEngine *)executor;
        Snapshot s = {.tenant = tenant, .rows = rows, .n_rows = n_rows};
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += SNAPSHOT_WAIT_S;
        if (pthread_cond_init(&s.is_done, NULL))
                return 0;
        pthread_mutex_lock(&e->intake.lock);
        list_push_back(&e->snapshots, &s.node);
        intake_wake(&e->intake);
        int rc = 0;
        while (!s.done && rc == 0)
                rc = pthread_cond_timedwait(&s.is_done, &e->intake.lock, &until);
        list_remove(&s.node);
        pthread_mutex_unlock(&e->intake.lock);
        pthread_cond_destroy(&s.is_done);
        *ret_totals = s.totals;
        return s.n;
}
