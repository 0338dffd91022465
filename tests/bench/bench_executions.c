/*
 * How many executions a second, and how long one takes. Speaks plain NATS, as any client would: a request
 * per start, every one with its own input and command id; an execution counts when its
 * `execution.completed` event has been heard, which is after the engine's commit and through the audit
 * stream's subject.
 *
 *     bench_executions --url URL --case internal|http [--http URL] --mode saturated|alone|queries
 *                      [--seconds S] [--outstanding N] [--samples N]
 *
 * saturated: a window of N executions is kept under way for S seconds; prints how many completed in a
 * second. alone:     one execution after the other; prints the times from request to reply and to the
 * completed event. queries:   as saturated, while a second connection asks for the status of executions,
 * one question at a time.
 *
 * Prints one JSON object. Exit status 1 if any start was refused, or if executions were lost.
 */

#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX             "runbook.v1"
#define TENANT             "bench"
#define USER               "meter"
#define N_STEPS            5
#define DRAIN_SECONDS      60 /* how long we wait for the executions under way at the end */
#define REQUEST_TIMEOUT_MS 10000
#define IDS_KEPT           4096 /* execution ids that status queries are asked about */
#define SAMPLES_MAX        1000000
#define UUID_TEXT          36

typedef struct Options {
        const char *url, *http, *mode, *what;
        double seconds;
        uint64_t outstanding, samples;
} Options;

typedef struct Meter {
        const Options *options;
        natsConnection *nc;
        char runbook_id[64], start_subject[128], inbox[128];
        uint64_t run; /* tells the inputs of this run from those of others */

        pthread_mutex_t lock;
        pthread_cond_t changed;
        uint64_t n_sent, n_replied, n_completed, n_refused;
        bool is_waiting;
        int64_t replied_ns, completed_ns; /* of the last one */
        char refusal[512];
        char ids[IDS_KEPT][UUID_TEXT + 1];
        uint64_t n_ids;
} Meter;

static int64_t now_ns(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what, natsStatus s) {
        const char *detail = nats_GetLastError(NULL);

        fprintf(stderr, "%s: %s %s\n", what, natsStatus_GetText(s), detail ? detail : "");
        exit(1);
}

static void must(natsStatus s, const char *what) {
        if (s != NATS_OK)
                die(what, s);
}

/* ---- what comes back ---------------------------------------------------------------------------------- */

static void keep_id(Meter *m, const char *body, int n) {
        const char *key = "\"executionId\":\"", *at = memmem(body, (size_t)n, key, strlen(key));

        if (!at || (at - body) + (ptrdiff_t)strlen(key) + UUID_TEXT > n)
                return;
        memcpy(m->ids[m->n_ids % IDS_KEPT], at + strlen(key), UUID_TEXT);
        m->n_ids++;
}

static void on_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *userdata) {
        Meter *m = userdata;
        const char *body = natsMsg_GetData(msg);
        int n = natsMsg_GetDataLength(msg);
        bool refused = n == 0 || memmem(body, (size_t)n, "\"error\":", 8) != NULL;

        pthread_mutex_lock(&m->lock);
        m->n_replied++;
        m->replied_ns = now_ns();
        if (refused) {
                if (m->n_refused++ == 0)
                        snprintf(m->refusal, sizeof m->refusal, "%.*s", n, n ? body : "");
        } else {
                keep_id(m, body, n);
        }
        if (m->is_waiting && refused)
                pthread_cond_signal(&m->changed);
        pthread_mutex_unlock(&m->lock);
        natsMsg_Destroy(msg);
}

static void on_completed(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *userdata) {
        Meter *m = userdata;

        pthread_mutex_lock(&m->lock);
        m->n_completed++;
        m->completed_ns = now_ns();
        /* Wake the sender only when there is room for a good few: it then writes them in one go. */
        if (m->is_waiting && m->n_sent - m->n_completed <= m->options->outstanding * 3 / 4)
                pthread_cond_signal(&m->changed);
        pthread_mutex_unlock(&m->lock);
        natsMsg_Destroy(msg);
}

/* ---- what goes out ------------------------------------------------------------------------------------ */

static const char start_body[] =
                "{\"runbookId\":\"%s\",\"context\":{\"legalBasis\":{\"authority\":\"BENCHMARK\",\"caseId\":"
                "\"B-1\",\"classification\":\"INTERNAL\"},"
                "\"tenantId\":\"" TENANT "\",\"initiatedBy\":\"" USER "\",\"assumptions\":[\"none\"]},"
                "\"input\":{\"n\":%" PRIu64 ",\"run\":%" PRIu64
                ",\"note\":\"a distinct input for every execution\"}}";

static void send_start(Meter *m, uint64_t n) {
        char body[1024], id[64], reply[192];
        natsMsg *msg = NULL;
        int n_body = snprintf(body, sizeof body, start_body, m->runbook_id, n, m->run);

        snprintf(id, sizeof id, "bench-%" PRIx64 "-%" PRIu64, m->run, n);
        snprintf(reply, sizeof reply, "%s.%" PRIu64, m->inbox, n);
        must(natsMsg_Create(&msg, m->start_subject, reply, body, n_body), "message");
        must(natsMsgHeader_Set(msg, "Nats-Msg-Id", id), "header");
        must(natsConnection_PublishMsg(m->nc, msg), "publish");
        natsMsg_Destroy(msg);
}

/** Append the steps of @what to @text. */
static void put_steps(const Options *o, char *text, size_t size) {
        size_t n = strlen(text);

        for (int i = 0; i < N_STEPS && n < size; i++) {
                char after[32] = "";

                if (i > 0)
                        snprintf(after, sizeof after, "\"s%d\"", i - 1);
                if (strcmp(o->what, "http") == 0)
                        n += (size_t)snprintf(text + n, size - n,
                                              "%s{\"id\":\"s%d\",\"name\":\"s%d\",\"type\":\"call-service\","
                                              "\"dependsOn\":[%s],"
                                              "\"config\":{\"url\":\"%s\",\"method\":\"POST\",\"body\":{"
                                              "\"n\":\"${input.n}\"}}}",
                                              i ? "," : "", i, i, after, o->http);
                else
                        n += (size_t)snprintf(text + n, size - n,
                                              "%s{\"id\":\"s%d\",\"name\":\"s%d\",\"type\":\"conditional\","
                                              "\"dependsOn\":[%s],"
                                              "\"config\":{\"condition\":{\"field\":\"input.n\",\"operator\":"
                                              "\"gte\",\"value\":0}}}",
                                              i ? "," : "", i, i, after);
        }
}

static void register_runbook(Meter *m) {
        char body[8192];
        natsMsg *reply = NULL;
        size_t n;

        snprintf(m->runbook_id, sizeof m->runbook_id, "bench-%s", m->options->what);
        n = (size_t)snprintf(body, sizeof body,
                             "{\"id\":\"%s\",\"name\":\"%s\",\"version\":\"%" PRIu64 "\",\"steps\":[",
                             m->runbook_id, m->runbook_id, m->run);
        put_steps(m->options, body, sizeof body);
        n = strlen(body);
        snprintf(body + n, sizeof body - n, "]}");
        must(natsConnection_RequestString(&reply, m->nc, PREFIX "." TENANT ".cmd." USER ".register", body,
                                          REQUEST_TIMEOUT_MS),
             "register");
        if (memmem(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), "\"error\":", 8)) {
                fprintf(stderr, "register: %.*s\n", natsMsg_GetDataLength(reply), natsMsg_GetData(reply));
                exit(1);
        }
        natsMsg_Destroy(reply);
}

/** Wait until at most @most are under way, or @deadline_ns has passed; false then. Call with the lock held.
 */
static bool wait_for_room(Meter *m, uint64_t most, int64_t deadline_ns) {
        while (m->n_sent - m->n_completed > most && m->n_refused == 0) {
                struct timespec t = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};

                m->is_waiting = true;
                if (pthread_cond_timedwait(&m->changed, &m->lock, &t) != 0 && now_ns() >= deadline_ns) {
                        m->is_waiting = false;
                        return false;
                }
                m->is_waiting = false;
        }
        return true;
}

/** All that was sent has completed? Called without the lock. */
static bool drain(Meter *m) {
        int64_t deadline_ns = now_ns() + (int64_t)DRAIN_SECONDS * 1000000000;
        bool done = false;

        while (!done && now_ns() < deadline_ns) {
                struct timespec pause = {.tv_nsec = 1000000};

                pthread_mutex_lock(&m->lock);
                done = m->n_completed + m->n_refused >= m->n_sent && m->n_replied >= m->n_sent;
                pthread_mutex_unlock(&m->lock);
                if (!done)
                        nanosleep(&pause, NULL);
        }
        return done;
}

/* ---- status queries beside the load ------------------------------------------------------------------- */

typedef struct Asker {
        Meter *meter;
        natsConnection *nc;
        bool stop; /* atomic */
        uint64_t n_samples, n_failed;
        int64_t *samples;
} Asker;

static void *ask(void *userdata) {
        Asker *a = userdata;
        uint64_t n = 0;

        while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED) && a->n_samples < SAMPLES_MAX) {
                char subject[192], id[UUID_TEXT + 1] = "";
                struct timespec pause = {.tv_nsec = 1000000};
                natsMsg *reply = NULL;
                int64_t begun;

                pthread_mutex_lock(&a->meter->lock);
                if (a->meter->n_ids > 0)
                        memcpy(id,
                               a->meter->ids[n++ % (a->meter->n_ids < IDS_KEPT ? a->meter->n_ids : IDS_KEPT)],
                               sizeof id);
                pthread_mutex_unlock(&a->meter->lock);
                if (id[0]) {
                        snprintf(subject, sizeof subject, PREFIX "." TENANT ".query." USER ".execution.%s",
                                 id);
                        begun = now_ns();
                        if (natsConnection_RequestString(&reply, a->nc, subject, "", REQUEST_TIMEOUT_MS) ==
                                            NATS_OK &&
                            memmem(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply),
                                   "\"execution\":", 12))
                                a->samples[a->n_samples++] = now_ns() - begun;
                        else
                                a->n_failed++;
                        natsMsg_Destroy(reply);
                }
                nanosleep(&pause, NULL);
        }
        return NULL;
}

/* ---- the modes ---------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

static double quantile_ms(int64_t *samples, uint64_t n, double q) {
        if (n == 0)
                return 0;
        qsort(samples, n, sizeof *samples, compare);
        return (double)samples[(uint64_t)(q * (double)(n - 1))] / 1e6;
}

static int run_saturated(Meter *m, Asker *asker) {
        int64_t begun = now_ns(), end = begun + (int64_t)(m->options->seconds * 1e9);
        uint64_t next = 0;
        pthread_t thread;
        bool whole;

        if (asker && pthread_create(&thread, NULL, ask, asker) != 0)
                return 1;
        while (now_ns() < end) {
                uint64_t room;

                pthread_mutex_lock(&m->lock);
                if (!wait_for_room(m, m->options->outstanding * 3 / 4, end) || m->n_refused > 0) {
                        pthread_mutex_unlock(&m->lock);
                        break;
                }
                room = m->options->outstanding - (m->n_sent - m->n_completed);
                m->n_sent += room;
                pthread_mutex_unlock(&m->lock);
                for (uint64_t i = 0; i < room; i++)
                        send_start(m, next++);
        }
        whole = drain(m);
        if (asker) {
                __atomic_store_n(&asker->stop, true, __ATOMIC_RELAXED);
                pthread_join(thread, NULL);
        }
        if (m->n_refused > 0 || !whole) {
                fprintf(stderr,
                        "%" PRIu64 " sent, %" PRIu64 " replied, %" PRIu64 " completed, %" PRIu64
                        " refused: %s\n",
                        m->n_sent, m->n_replied, m->n_completed, m->n_refused, m->refusal);
                return 1;
        }
        printf("{\"executions\":%" PRIu64 ",\"seconds\":%.3f,\"per_second\":%.1f", m->n_completed,
               (double)(m->completed_ns - begun) / 1e9,
               (double)m->n_completed / ((double)(m->completed_ns - begun) / 1e9));
        if (asker)
                printf(",\"queries\":%" PRIu64 ",\"queries_failed\":%" PRIu64
                       ",\"query_p50_ms\":%.3f,\"query_p99_ms\":%.3f",
                       asker->n_samples, asker->n_failed, quantile_ms(asker->samples, asker->n_samples, 0.5),
                       quantile_ms(asker->samples, asker->n_samples, 0.99));
        printf("}\n");
        return asker && asker->n_failed > 0 ? 1 : 0;
}

static int run_alone(Meter *m) {
        uint64_t n = m->options->samples < SAMPLES_MAX ? m->options->samples : SAMPLES_MAX;
        int64_t *replied = calloc(n + 1, sizeof *replied), *completed = calloc(n + 1, sizeof *completed);

        if (!replied || !completed)
                return 1;
        for (uint64_t i = 0; i < n; i++) {
                int64_t begun = now_ns();

                pthread_mutex_lock(&m->lock);
                m->n_sent++;
                pthread_mutex_unlock(&m->lock);
                send_start(m, i);
                pthread_mutex_lock(&m->lock);
                if (!wait_for_room(m, 0, begun + (int64_t)DRAIN_SECONDS * 1000000000) || m->n_refused > 0) {
                        fprintf(stderr, "execution %" PRIu64 " was refused or lost: %s\n", i, m->refusal);
                        exit(1);
                }
                pthread_mutex_unlock(&m->lock);
                if (!drain(m))
                        return 1;
                replied[i] = m->replied_ns - begun;
                completed[i] = m->completed_ns - begun;
        }
        printf("{\"executions\":%" PRIu64 ",\"reply_p50_ms\":%.3f,\"reply_p99_ms\":%.3f,\"completed_p50_ms\":"
                                          "%.3f,\"completed_p99_ms\":%.3f}\n",
               n, quantile_ms(replied, n, 0.5), quantile_ms(replied, n, 0.99), quantile_ms(completed, n, 0.5),
               quantile_ms(completed, n, 0.99));
        free(replied);
        free(completed);
        return 0;
}

static natsConnection *connect_to(const char *url, bool asap) {
        natsOptions *o = NULL;
        natsConnection *nc = NULL;

        must(natsOptions_Create(&o), "options");
        must(natsOptions_SetURL(o, url), "url");
        must(natsOptions_SetSendAsap(o, asap), "options");
        must(natsConnection_Connect(&nc, o), url);
        natsOptions_Destroy(o);
        return nc;
}

static natsSubscription *subscribe(Meter *m, const char *subject, natsMsgHandler handler) {
        natsSubscription *sub = NULL;

        must(natsConnection_Subscribe(&sub, m->nc, subject, handler, m), subject);
        must(natsSubscription_SetPendingLimits(sub, -1, -1), subject);
        return sub;
}

static bool parse_options(int argc, char **argv, Options *ret) {
        *ret = (Options){.what = "internal",
                         .mode = "alone",
                         .seconds = 3,
                         .outstanding = 512,
                         .samples = 500};
        for (int i = 1; i + 1 < argc; i += 2) {
                const char *name = argv[i], *value = argv[i + 1];

                if (strcmp(name, "--url") == 0)
                        ret->url = value;
                else if (strcmp(name, "--http") == 0)
                        ret->http = value;
                else if (strcmp(name, "--case") == 0)
                        ret->what = value;
                else if (strcmp(name, "--mode") == 0)
                        ret->mode = value;
                else if (strcmp(name, "--seconds") == 0)
                        ret->seconds = strtod(value, NULL);
                else if (strcmp(name, "--outstanding") == 0)
                        ret->outstanding = strtoull(value, NULL, 10);
                else if (strcmp(name, "--samples") == 0)
                        ret->samples = strtoull(value, NULL, 10);
                else
                        return false;
        }
        return argc % 2 == 1 && ret->url && ret->outstanding > 0 && ret->seconds > 0 &&
               (ret->http || strcmp(ret->what, "http") != 0);
}

int main(int argc, char **argv) {
        static Meter meter;
        static Asker asker;
        pthread_condattr_t monotonic;
        natsSubscription *replies, *completions;
        char subject[192];
        Options options;
        bool alone;
        int r;

        if (!parse_options(argc, argv, &options)) {
                fprintf(stderr, "usage: see the head of bench_executions.c\n");
                return 2;
        }
        alone = strcmp(options.mode, "alone") == 0;
        meter.options = &options;
        meter.run = (uint64_t)time(NULL) * 1000000 + (uint64_t)now_ns() / 1000 % 1000000;
        pthread_mutex_init(&meter.lock, NULL);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&meter.changed, &monotonic);
        meter.nc = connect_to(options.url, alone);
        snprintf(meter.inbox, sizeof meter.inbox, "_INBOX.bench%" PRIu64, meter.run);
        snprintf(meter.start_subject, sizeof meter.start_subject, PREFIX "." TENANT ".cmd." USER ".start");
        register_runbook(&meter);
        snprintf(subject, sizeof subject, "%s.*", meter.inbox);
        replies = subscribe(&meter, subject, on_reply);
        completions = subscribe(&meter, PREFIX "." TENANT ".lifecycle.*.execution.completed", on_completed);
        must(natsConnection_FlushTimeout(meter.nc, REQUEST_TIMEOUT_MS), "flush");
        if (strcmp(options.mode, "queries") == 0) {
                asker = (Asker){.meter = &meter,
                                .nc = connect_to(options.url, true),
                                .samples = calloc(SAMPLES_MAX, sizeof(int64_t))};
                r = asker.samples ? run_saturated(&meter, &asker) : 1;
                natsConnection_Destroy(asker.nc);
                free(asker.samples);
        } else {
                r = alone ? run_alone(&meter) : run_saturated(&meter, NULL);
        }
        natsSubscription_Destroy(replies);
        natsSubscription_Destroy(completions);
        natsConnection_Destroy(meter.nc);
        nats_Close();
        return r;
}
