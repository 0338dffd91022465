/*
 * runbookd: the wiring
 *
 * Settings → store → subjects (not started) → runtime → executors → run. Down the other way round: no new
 * messages, then the writer finishes what it has, then its answers go out, then the store is closed.
 */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/url.h"
#include "daemon/config.h"
#include "daemon/fence.h"
#include "daemon/metrics.h"
#include "daemon/notify.h"
#include "daemon/offline.h"
#include "daemon/secrets.h"
#include "daemon/signals.h"
#include "daemon/stored_key.h"
#include "executors/authz.h"
#include "executors/grpc.h"
#include "executors/http.h"
#include "executors/otlp.h"
#include "executors/plugin.h"
#include "executors/publish.h"
#include "executors/transform.h"
#include "executors/worker.h"
#include "gateway/gateway.h"
#include "runtime/clock_system.h"
#include "runtime/ids_system.h"
#include "runtime/runtime.h"
#include "subjects/bus_probe.h"
#include "subjects/subjects.h"

#define EXIT_START   1   /* could not start */
#define EXIT_CONFIG  2   /* a setting is wrong */
#define STATS_TARGETS_MAX 100 /* rows of `targets` in the query stats */
#define ALLOCATOR_MMAP_FROM (256 << 10)
#define ALLOCATOR_TRIM_FROM (4 << 20)
#define ALLOCATOR_ARENAS    4
#define STOP_AWAY_MS 300 /* what the outbox is given at a stop while NATS is away */

typedef struct Daemon {
        Config config;
        ClockSystem clock;
        IdsSystem ids;
        RunbookDefaults definitions; /* for those that are stored */
        RunbookDefaults incoming;    /* for those that come in: who runs a step has a say, too */
        char engine_id[UUID_TEXT_SIZE + 1];
        char source[UUID_TEXT_SIZE + 16];
        SubjectsSettings subjects_settings;
        char overloaded[256]; /* what a full inbox says */
        Store *store;
        StoreFence fence;
        Subjects *subjects;
        Runtime *runtime;
        Otlp *otlp; /* NULL: traces go nowhere */
        Gateway *gateway; /* NULL: no PORT */
        Executor *http, *transform, *plugins, *workers, *publish, *authz;
        WorkerDesk desk;
        bool is_running; /* the runtime's threads run */
} Daemon;

/* ---- what the subjects ask of the house -------------------------------------------- */

static int submit(void *userdata, Request *request) {
        return runtime_submit(((Daemon *)userdata)->runtime, request);
}

static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return runtime_runbook_lookup(((Daemon *)userdata)->runtime, t, tenant, id, version, ret);
}

/** What the tenant's calls make of their targets; other tenants' targets are none of its business. */
static void put_targets(Daemon *d, Slice tenant, JsonWriter *w) {
        HttpTotals totals = {0};
        HttpTargetStats *rows = d->http ? calloc(STATS_TARGETS_MAX, sizeof(*rows)) : NULL;
        size_t n = rows ? http_executor_targets(d->http, tenant, rows, STATS_TARGETS_MAX, &totals) : 0;
        json_key(w, "targets");
        json_begin_array(w);
        for (size_t i = 0; i < n; i++) {
                const HttpTargetStats *row = &rows[i];
                const struct {
                        const char *key;
                        uint64_t value;
                } numbers[] = {{"failures", row->n_failed},
                               {"open", row->n_running},
                               {"queued", row->n_queued},
                               {"refused", row->n_refused}};
                json_begin_object(w);
                json_key(w, "target");
                json_put_str(w, row->target);
                json_key(w, "circuit");
                json_put_str(w, breaker_state_name(row->state));
                for (size_t k = 0; k < N_ELEMENTS(numbers); k++) {
                        json_key(w, numbers[k].key);
                        json_put_i64(w, (int64_t)numbers[k].value);
                }
                json_key(w, "waitsForRate");
                json_put_bool(w, row->waits_for_rate);
                json_end_object(w);
        }
        json_end_array(w);
        free(rows);
}

static void put_stats(void *userdata, Slice tenant, JsonWriter *w) {
        Daemon *d = userdata;
        RuntimeStats s;
        runtime_stats(d->runtime, &s);
        const struct {
                const char *key;
                uint64_t value;
        } members[] = {
                        {"inputs", s.n_inputs},
                        {"batches", s.n_batches},
                        {"batchInputsMax", s.batch_inputs_max},
                        {"commitsFailed", s.n_commits_failed},
                        {"commitUsTotal", s.commit_us_total},
                        {"commitUsMax", s.commit_us_max},
                        {"executionsStarted", s.n_started},
                        {"executionsEnded", s.n_ended},
                        {"tasksOpen", s.n_tasks},
                        {"httpOpen", d->http ? d->http->vtable->n_open(d->http) : 0},
                        {"timersFired", s.n_timers_fired},
                        {"timersLate", s.n_timers_late},
                        {"inboxDepth", s.inbox_depth},
                        {"outboxRow", s.outbox_row},
                        {"outboxPublishedRow", s.outbox_published_row},
                        {"outboxAgeMs", (uint64_t)s.outbox_age_ms},
                        {"cacheExecutions", s.cache_executions},
                        {"cacheBytes", s.cache_bytes},
        };
        for (size_t i = 0; i < N_ELEMENTS(members); i++) {
                json_key(w, members[i].key);
                json_put_i64(w, (int64_t)members[i].value);
        }
        put_targets(d, tenant, w);
        json_key(w, "writable");
        json_put_bool(w, s.writable);
        json_key(w, "refused");
        json_begin_object(w);
        for (unsigned code = 0; code < RUNBOOK_N_CODES; code++)
                if (s.n_refused[code] > 0) {
                        json_key(w, runbook_code_name(code));
                        json_put_i64(w, (int64_t)s.n_refused[code]);
                }
        json_end_object(w);
}

static void on_ready(void *userdata) {
        Daemon *d = userdata;
        char url[1024];
        url_without_secrets(d->config.nats_url, url, sizeof(url));
        log_event(LOG_INFO, "ready", "engine", d->engine_id, "natsUrl", url, "dataDir", d->config.data_dir,
                  NULL);
        notify_send("READY=1");
}

/* ---- settings into parts ----------------------------------------------------------- */

/**
 * Shares of MEMORY_MAX_MB, in 64ths; the README has the table. A share is what its part may take at most: they
 * are never all full at the same time, and there is room left for what has no share (batches, threads, buffers).
 */
enum {
        SHARE_ANSWERS = 4,    /* of HTTP calls */
        SHARE_EXECUTIONS = 8, /* hot ones */
        SHARE_INBOX = 4,
        SHARE_PENDING = 1,    /* received and not read, of each subscription */
        SHARE_REPLIES = 4,    /* waiting to be sent */
        SHARE_RUNBOOKS = 4,   /* compiled */
        SHARE_TASKS = 8,      /* configs and inputs of open ones */
        SHARE_TREE = 8,       /* a definition while it is read */
};

static size_t memory_share(const Daemon *d, size_t share) {
        return ((size_t)d->config.memory_max_mb << 20) / 64 * share;
}

/** What is freed goes back to the system: large blocks at once, and few arenas to keep the small ones. */
static void set_allocator(void) {
        mallopt(M_MMAP_THRESHOLD, ALLOCATOR_MMAP_FROM);
        mallopt(M_TRIM_THRESHOLD, ALLOCATOR_TRIM_FROM);
        mallopt(M_ARENA_MAX, ALLOCATOR_ARENAS);
}

static int open_store(Daemon *d, Report *report) {
        const Config *c = &d->config;
        StoreOptions options = {.backend = c->storage_backend,
                                .path = c->data_dir,
                                .map_size_max = (size_t)c->store_max_mb << 20};
        uint64_t words[2];
        Clock clock = clock_system(&d->clock);
        Ids ids = ids_system(&d->ids);
        ids.random(ids.userdata, words, 2);
        int r = store_open(&options, uuid_v7(clock.now_ms(clock.userdata), words[0], words[1]), report,
                           &d->store);
        if (r < 0)
                return r;
        uuid_format(store_engine_id(d->store), d->engine_id);
        snprintf(d->source, sizeof(d->source), "runbookd/%s", d->engine_id);
        if (!strcmp(c->storage_backend, "memory"))
                return 0; /* nobody has a copy of it */
        return fence_note(d->store, ids, clock, c->adopt_restored, report, &d->fence);
}

static int make_subjects(Daemon *d, Report *report) {
        const Config *c = &d->config;
        d->subjects_settings = (SubjectsSettings){
                        .url = c->nats_url,
                        .creds = c->nats_creds,
                        .user = c->nats_user,
                        .password = c->nats_password,
                        .token = c->nats_token,
                        .nkey_seed_file = c->nats_nkey,
                        .nkey_public = c->nats_nkey_public,
                        .tls_ca = c->nats_ca,
                        .tls_cert = c->nats_cert,
                        .tls_key = c->nats_key,
                        .prefix = c->subject_prefix,
                        .engine_id = d->engine_id,
                        .version = RUNBOOK_VERSION,
                        .reply_prefixes = c->reply_prefixes.items,
                        .queue_ack_pending_max = (uint32_t)c->queue_ack_pending,
                        .fence = {d->fence.incarnation, d->fence.nonces, d->fence.n},
                        .pending_bytes_max = memory_share(d, SHARE_PENDING),
                        .replies_bytes_max = memory_share(d, SHARE_REPLIES),
        };
        snprintf(d->overloaded, sizeof(d->overloaded),
                 "the engine has %lld requests waiting, as many as it takes (INBOX_MAX), or %lu MiB of them "
                 "(a sixteenth of MEMORY_MAX_MB); try again later",
                 (long long)c->inbox_max, memory_share(d, SHARE_INBOX) >> 20);
        SubjectsHost host = {
                        .submit = submit,
                        .overloaded = d->overloaded,
                        .lookup = lookup,
                        .put_stats = put_stats,
                        .desk = &d->desk,
                        .store = d->store,
                        .definitions = &d->incoming,
                        .clock = clock_system(&d->clock),
                        .ids = ids_system(&d->ids),
                        .on_ready = on_ready,
                        .on_fenced = fence_lost,
                        .userdata = d,
        };
        int r = subjects_new(&d->subjects_settings, &host, report, &d->subjects);
        if (r || d->fence.n == 0)
                return r;
        return fence_judge_claim(subjects_claim(&d->subjects_settings, c->adopt_restored, report), report);
}

static RuntimeSettings runtime_settings(const Daemon *d) {
        const Config *c = &d->config;
        return (RuntimeSettings){
                        .engine =
                                        {
                                                        .max_concurrent_steps =
                                                                        (uint32_t)c->max_concurrent_steps,
                                                        .detailed_logging = c->detailed_logging,
                                                        .source = slice_from_str(d->source),
                                        },
                        .definitions = d->definitions,
                        .inbox_bytes_max = memory_share(d, SHARE_INBOX),
                        .runbooks_bytes_max = memory_share(d, SHARE_RUNBOOKS),
                        .tasks_bytes_max = memory_share(d, SHARE_TASKS),
                        .inbox_max = (uint32_t)c->inbox_max,
                        .inbox_tenant_max = (uint32_t)c->inbox_tenant_max,
                        .tasks_max = (uint64_t)c->tasks_max,
                        .tenant_tasks_max = (uint64_t)c->tenant_tasks_max,
                        .tenant_executions_max = (uint64_t)c->tenant_executions_max,
                        .subject_prefix = slice_from_str(c->subject_prefix),
                        .cache_bytes_max = c->cache_mb > 0 ? (size_t)c->cache_mb << 20
                                                           : memory_share(d, SHARE_EXECUTIONS),
                        .early_events_max = (uint32_t)c->early_events_max,
                        .early_event_ttl_ms = c->early_event_ttl_ms,
                        .results_ttl_ms = c->command_id_ttl_ms,
                        .outbox_ttl_ms = c->outbox_ttl_ms,
                        .store_high_percent = (unsigned)c->store_high_percent,
        };
}

/** Auditors hold checkpoints against the key that they know: here is its public half. */
static void tell_checkpoint_key(const SigningKey *key) {
        _cleanup_(buf_deinit) Buf text = {0};
        base64_put(&text, slice_from_bytes(key->verifier, sizeof(key->verifier)));
        _cleanup_free_ char *public = buf_steal_str(&text);
        if (public)
                log_event(LOG_INFO, "audit checkpoints are signed", "publicKey", public, NULL);
}

static int make_runtime(Daemon *d, Report *report) {
        RuntimeSettings settings = runtime_settings(d);
        settings.checkpoint_ms = d->config.checkpoint_interval_ms;
        if (settings.checkpoint_ms > 0) {
                int r = checkpoint_key_load(d->store, d->config.checkpoint_key_file, ids_system(&d->ids),
                                            &settings.checkpoint_key, report);
                if (r < 0)
                        return r;
                tell_checkpoint_key(&settings.checkpoint_key);
        }
        return runtime_new(&settings, d->store, clock_system(&d->clock), ids_system(&d->ids),
                           subjects_audit_stream(d->subjects), &d->runtime);
}

/** Without AUTHZ_URL nobody is asked, and steps with requiredPermissions are denied. */
static int make_authz(Daemon *d, const ExecutorHost *host, Report *report) {
        const Config *c = &d->config;
        AuthzSettings settings = {.url = c->authz_url,
                                  .timeout_ms = c->authz_timeout_ms,
                                  .token_file = c->authz_token_file,
                                  .ca_file = c->http_ca_file,
                                  .user_agent = "runbookd/" RUNBOOK_VERSION};
        if (!c->authz_url)
                return 0;
        int r = authz_executor_new(&settings, subjects_ask_bus(d->subjects), host, report, &d->authz);
        if (r == 0)
                runtime_set_authz(d->runtime, d->authz);
        return r;
}

/** Those that send messages. */
static int make_outgoing(Daemon *d, const ExecutorHost *host, Report *report) {
        const Config *c = &d->config;
        const Outlet *outlet = subjects_outlet(d->subjects);
        WorkerSettings workers = {.prefix = c->subject_prefix,
                                  .timeout_default_ms = c->worker_timeout_ms,
                                  .heartbeat_ms = c->worker_heartbeat_ms > 0 ? c->worker_heartbeat_ms : -1};
        static_assert(sizeof(workers.key) == STORED_KEY_SIZE, "both are 32 bytes");
        int r = stored_key_load(d->store, "worker.task_key", "the key of task tokens", ids_system(&d->ids), workers.key,
                                report);
        if (r == 0)
                r = worker_executor_new(&workers, host, outlet, report, &d->workers);
        if (r < 0)
                return r;
        d->desk = worker_executor_desk(d->workers);
        r = publish_executor_new(c->subject_prefix, host, outlet, &d->publish);
        if (r == 0)
                runtime_set_executor(d->runtime, STEP_TYPE_PUBLISH_EVENT, d->publish);
        return r;
}

static int make_executors(Daemon *d, Report *report) {
        const Config *c = &d->config;
        HttpSettings settings = {.allow = c->http_allow,
                                 .ca_file = c->http_ca_file,
                                 .in_flight_max = (uint32_t)c->http_in_flight_max,
                                 .open_max = (uint64_t)c->http_open_max,
                                 .response_bytes_max = (size_t)c->http_response_bytes_max,
                                 .timeout_default_ms = c->http_timeout_ms,
                                 .answers_bytes_max = memory_share(d, SHARE_ANSWERS) / 2,
                                 .per_host_max = (uint32_t)c->http_target_concurrency,
                                 .tenant_max = (uint32_t)c->http_tenant_concurrency,
                                 .target_limits = c->http_target_limits,
                                 .user_agent = "runbookd/" RUNBOOK_VERSION};
        ExecutorHost host = runtime_executor_host(d->runtime, secrets_get, (void *)c->secrets_dir);
        int r = http_executor_new(&settings, &host, report, &d->http);
        if (r < 0)
                return r;
        runtime_set_executor(d->runtime, STEP_TYPE_CALL_SERVICE, d->http);
        TransformSettings transform = {.pool = (uint32_t)c->transform_pool,
                                       .memory_mb = (uint32_t)c->transform_memory_mb,
                                       .cpu_ms = c->transform_cpu_ms,
                                       .open_max = (uint64_t)c->transform_open_max,
                                       .timeout_default_ms = c->transform_timeout_ms,
                                       .helper = c->jq_path};
        r = transform_executor_new(&transform, &host, report, &d->transform);
        if (r < 0)
                return r;
        runtime_set_executor(d->runtime, STEP_TYPE_TRANSFORM, d->transform);
        r = make_outgoing(d, &host, report);
        if (r < 0)
                return r;
        PluginSettings plugins = {.dir = c->plugin_dir,
                                  .threads = (uint32_t)c->plugin_threads,
                                  .open_max = (uint64_t)c->plugin_open_max,
                                  .timeout_default_ms = c->plugin_timeout_ms};
        r = plugin_executor_new(&plugins, &host, d->workers, report, &d->plugins);
        if (r < 0)
                return r;
        runtime_set_executor(d->runtime, STEP_TYPE_CUSTOM, d->plugins);
        return make_authz(d, &host, report);
}

static int make_exporter(Daemon *d, Report *report) {
        const Config *c = &d->config;
        if (!c->otlp_endpoint)
                return 0;
        OtlpSettings settings = {.endpoint = c->otlp_endpoint,
                                 .headers = c->otlp_headers,
                                 .service = c->otlp_service,
                                 .version = RUNBOOK_VERSION,
                                 .instance = d->engine_id,
                                 .ca_file = c->http_ca_file};
        int r = otlp_new(&settings, report, &d->otlp);
        if (r == 0)
                runtime_set_span_sink(d->runtime, otlp_sink(d->otlp));
        return r;
}

/** What a definition's steps look like to those who will run them. */
static int check_config(void *userdata, const RunbookStep *step, const JsonAt *config) {
        const Daemon *d = userdata;
        switch (step->type) {
        case STEP_TYPE_CALL_SERVICE:
                return grpc_config_check(step, config);
        case STEP_TYPE_CUSTOM:
                return plugin_config_check(d->plugins, step->type_name, config);
        default:
                return 0;
        }
}

/* ---- HTTP -------------------------------------------------------------------------- */

static bool gateway_is_writable(void *userdata) {
        RuntimeStats s;
        runtime_stats(((Daemon *)userdata)->runtime, &s);
        return s.writable;
}

static void gateway_put_metrics(void *userdata, Buf *out) {
        Daemon *d = userdata;
        MetricsSources sources = {
                        .runtime = d->runtime,
                        .subjects = d->subjects,
                        .http = d->http,
                        .otlp = d->otlp,
                        .version = RUNBOOK_VERSION,
                        .executors = {{"http", d->http},
                                      {"transform", d->transform},
                                      {"plugin", d->plugins},
                                      {"authz", d->authz},
                                      {"worker", d->workers},
                                      {"publish", d->publish}},
                        .n_executors = 6,
        };
        metrics_page_put(&sources, out);
}

static int make_gateway(Daemon *d, Report *report) {
        const Config *c = &d->config;
        GatewaySettings settings = {
                        .bind_address = c->bind_address,
                        .port = (uint16_t)c->port,
                        .connections_max = c->http_connections,
                        .auth_mode = gateway_auth_mode(c->auth_mode),
                        .token_file = c->auth_tokens_file,
                        .jwks_file = c->auth_jwks_file,
                        .issuer = c->auth_issuer,
                        .audience = c->auth_audience,
                        .user_claim = c->auth_user_claim,
                        .tenant_claim = c->auth_tenant_claim,
                        .enable_cors = c->enable_cors,
                        .cors_origins = c->cors_origins.items,
                        .nats_url = c->nats_url,
                        .nats_creds = c->nats_creds,
                        .nats_user = c->nats_user,
                        .nats_password = c->nats_password,
                        .nats_token = c->nats_token,
                        .nats_nkey = c->nats_nkey,
                        .nats_ca = c->nats_ca,
                        .nats_cert = c->nats_cert,
                        .nats_key = c->nats_key,
                        .inbox_prefix = "_INBOX.gateway",
                        .subject_prefix = c->subject_prefix,
        };
        GatewayHost host = {
                        .is_writable = gateway_is_writable, .put_metrics = gateway_put_metrics, .userdata = d};
        if (c->port == 0)
                return 0;
        int r = gateway_new(&settings, &host, report, &d->gateway);
        return r ? r : gateway_start(d->gateway, report);
}

static void set_definitions(Daemon *d) {
        const Config *c = &d->config;
        d->definitions = runbook_defaults_builtin;
        d->definitions.retry.max_attempts = (uint32_t)c->max_retries;
        d->definitions.retry.initial_delay_ms = c->initial_delay_ms;
        d->definitions.retry.max_delay_ms = c->max_delay_ms;
        d->definitions.retry.backoff_multiplier = c->backoff_multiplier;
        d->definitions.tree_bytes_max = memory_share(d, SHARE_TREE);
        d->definitions.allow_timeout_approve = c->allow_timeout_approve;
        d->incoming = d->definitions;
        d->incoming.check_config = check_config;
        d->incoming.check_userdata = d;
}

/* ---- up and down ------------------------------------------------------------------- */

static int start(Daemon *d, Report *report) {
        set_definitions(d);
        int r = open_store(d, report);
        if (!r)
                r = make_subjects(d, report);
        if (!r)
                r = make_runtime(d, report);
        if (!r)
                r = make_executors(d, report);
        if (!r)
                r = make_exporter(d, report);
        if (!r)
                r = runtime_start(d->runtime, report);
        d->is_running = r == 0;
        if (!r)
                r = subjects_start(d->subjects);
        if (!r)
                r = make_gateway(d, report);
        return r;
}

static void stop(Daemon *d, int64_t timeout_ms) {
        if (!d->is_running)
                return;
        /* Without NATS the outbox can publish nothing, however long it is given: it goes on after the next start. */
        int64_t share_ms = timeout_ms / 3, away_ms = share_ms < STOP_AWAY_MS ? share_ms : STOP_AWAY_MS;
        gateway_drain(d->gateway, share_ms); /* first: its requests need all that is behind it */
        subjects_stop(d->subjects, share_ms);
        runtime_stop(d->runtime, subjects_is_connected(d->subjects) ? share_ms : away_ms);
}

static void end(Daemon *d) {
        Executor *const executors[] = {d->authz, d->http, d->transform, d->plugins, d->workers, d->publish};
        for (size_t i = 0; i < N_ELEMENTS(executors); i++)
                if (executors[i])
                        executors[i]->vtable->stop(executors[i]);
        gateway_free(d->gateway);
        otlp_free(d->otlp);
        subjects_free(d->subjects);
        runtime_free(d->runtime);
        store_close(d->store);
}

static int run(Daemon *d) {
        _cleanup_(report_deinit) Report report = {0};
        clock_system_init(&d->clock, NULL);
        ids_system_init(&d->ids);
        int r = start(d, &report);
        if (r < 0) {
                log_event(LOG_ERROR, "runbookd could not start", "error",
                          report.message ? report.message : strerror(-r), NULL);
                stop(d, 0);
        } else {
                int number = signals_wait();
                notify_send("STOPPING=1");
                log_event(LOG_INFO, "stopping", "signal", strsignal(number), NULL);
                stop(d, d->config.drain_timeout_ms);
        }
        end(d);
        ids_system_deinit(&d->ids);
        clock_system_deinit(&d->clock);
        if (!r)
                log_event(LOG_INFO, "stopped", NULL);
        return r < 0 ? EXIT_START : 0;
}

/** The check of a store; no part of the house but this one is made. */
static int check_store(Daemon *d) {
        clock_system_init(&d->clock, NULL);
        ids_system_init(&d->ids);
        set_definitions(d);
        OfflineSettings settings = {runtime_settings(d), clock_system(&d->clock), ids_system(&d->ids)};
        int status = offline_check(&d->config, &settings);
        ids_system_deinit(&d->ids);
        clock_system_deinit(&d->clock);
        return status;
}

static int print(void (*put)(Buf *b)) {
        _cleanup_(buf_deinit) Buf text = {0};
        put(&text);
        fwrite(text.data, 1, text.n, stdout);
        return fflush(stdout) == 0 && !text.error ? 0 : EXIT_START;
}

static int print_values(const Config *c) {
        _cleanup_(buf_deinit) Buf text = {0};
        config_put_values(c, &text);
        fwrite(text.data, 1, text.n, stdout);
        return fflush(stdout) == 0 && !text.error ? 0 : EXIT_START;
}

int main(int argc, char **argv) {
        _cleanup_(report_deinit) Report report = {0};
        Daemon d = {0};
        int status;
        if (log_claim_streams() < 0) /* nowhere to complain, and nothing of ours may be in the place of stderr */
                return EXIT_START;
        if (config_load(argc, argv, &report, &d.config) < 0) {
                fprintf(stderr, "runbookd: %s\n", report.message ? report.message : "out of memory");
                status = EXIT_CONFIG;
        } else if (d.config.show_help) {
                status = print(config_put_help);
        } else if (d.config.show_version) {
                printf("runbookd %s\n", RUNBOOK_VERSION);
                status = 0;
        } else if (d.config.check_only) {
                status = print_values(&d.config);
        } else if (d.config.check_store) {
                status = check_store(&d);
        } else if (d.config.backup) {
                status = offline_backup(&d.config);
        } else {
                log_set_level_name(d.config.log_level);
                set_allocator();
                signals_block();
                if (d.config.unused[0])
                        log_event(LOG_WARN, "settings that have no effect in this program are ignored",
                                  "settings", d.config.unused, NULL);
                status = run(&d);
        }
        config_deinit(&d.config);
        return status;
}
