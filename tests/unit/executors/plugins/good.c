/* A plugin whose types do whatever the tests of the plugin executor need. */
#include <jansson.h>
#include <pthread.h>
#include <runbook/executor.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static int give(const RunbookPluginHost *host, RunbookPluginCall *call, json_t *output) {
        char *text = json_dumps(output, JSON_ENCODE_ANY);
        int r = text ? host->set_output(call, text, strlen(text)) : RUNBOOK_PLUGIN_E_MEMORY;
        free(text);
        json_decref(output);
        return r;
}

/** All that a task says, with the sizes of its texts. */
static int echo(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                const RunbookPluginTask *t) {
        return give(host, call,
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:b, s:s, s:I}",
                              "type", t->type, "tenant", t->tenant, "executionId", t->execution_id,
                              "stepPath", t->step_path, "initiatedBy", "-", "traceparent", t->traceparent,
                              "key", t->idempotency_key, "attempt", (int)t->attempt, "deadlineMs",
                              (json_int_t)t->deadline_ms, "config", t->config, "input", t->input, "context",
                              t->context, "sizesFit",
                              strlen(t->config) == t->config_size && strlen(t->input) == t->input_size &&
                                              strlen(t->context) == t->context_size &&
                                              t->struct_size == sizeof(*t),
                              "userdata", (const char *)userdata, "nowMs", (json_int_t)host->now_ms(call)));
}

/**
 * Fails as config says: {code, message, retryable, details (text), retryAfterMs}. Gives no reason without a
 * code.
 */
static int fail(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                const RunbookPluginTask *t) {
        json_t *c = json_loads(t->config, 0, NULL);
        const char *code = json_string_value(json_object_get(c, "code"));
        int r = 0;
        if (code)
                r = host->set_error(call, code, json_string_value(json_object_get(c, "message")),
                                    json_is_true(json_object_get(c, "retryable")),
                                    json_string_value(json_object_get(c, "details")));
        if (json_object_get(c, "retryAfterMs"))
                host->set_retry_after(call, json_integer_value(json_object_get(c, "retryAfterMs")));
        host->set_output(call, "\"not this\"", 10);
        json_decref(c);
        return r < 0 ? r : 3;
}

/** Sets the output to config.text, `times` times over, then to config.then if there is one. */
static int output(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                  const RunbookPluginTask *t) {
        json_t *c = json_loads(t->config, 0, NULL);
        const char *text = json_string_value(json_object_get(c, "text"));
        const char *then = json_string_value(json_object_get(c, "then"));
        size_t n = strlen(text), times = (size_t)json_integer_value(json_object_get(c, "times"));
        char *all = malloc(n * times + 1);
        for (size_t i = 0; all && i < times; i++)
                memcpy(all + i * n, text, n);
        host->set_output(call, all, n * times);
        if (then)
                host->set_output(call, then, strlen(then));
        free(all);
        json_decref(c);
        return 0;
}

/** Tries every function of the host with good and bad arguments; the output lists what they returned. */
static int talk(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                const RunbookPluginTask *t) {
        static char large[70000], long_text[5000];
        json_t *o = json_array();
        memset(large, ' ', sizeof(large) - 1);
        memset(long_text, 'x', sizeof(long_text) - 1);
#define NOTE(what) json_array_append_new(o, json_integer(what))
        NOTE(host->log(call, RUNBOOK_PLUGIN_WARN, "careful", "{\"b\": 2, \"a\": 1.0}"));
        NOTE(host->log(call, RUNBOOK_PLUGIN_DEBUG, long_text, NULL));
        NOTE(host->log(call, RUNBOOK_PLUGIN_INFO, "not \xff UTF-8", NULL));
        NOTE(host->log(call, RUNBOOK_PLUGIN_INFO, "no object", "[1]"));
        NOTE(host->log(call, RUNBOOK_PLUGIN_INFO, "no JSON", "{"));
        NOTE(host->log(call, RUNBOOK_PLUGIN_INFO, "too much", large));
        NOTE(host->log(call, 4, "no such level", NULL));
        NOTE(host->log(call, RUNBOOK_PLUGIN_INFO, NULL, NULL));
        NOTE(host->evidence(call, "reading", "sensor:7", 0.5, NULL, "{\"t\": 21}"));
        NOTE(host->evidence(call, "file", "a \"b\"", 1,
                            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", NULL));
        NOTE(host->evidence(call, "file", "x", 1.5, NULL, NULL));
        NOTE(host->evidence(call, "file", "x", 1, "abc", NULL));
        NOTE(host->evidence(call, "", "x", 1, NULL, NULL));
        NOTE(host->progress(call, 0.5, "half way"));
        NOTE(host->progress(call, 0.501, "told already"));
        NOTE(host->progress(call, 1, NULL));
        NOTE(host->progress(call, -1, NULL));
        NOTE(host->set_error(call, "lower_case", "x", 1, NULL));
        NOTE(host->set_retry_after(call, -1));
        NOTE(host->set_output(call, NULL, 3));
        NOTE(host->is_cancelled(call));
        const char *secret = host->secret(call, "token");
        NOTE(secret && !strcmp(secret, "s3cr3t"));
        NOTE(host->secret(call, "unknown") == NULL);
        NOTE(host->secret(call, NULL) == NULL);
        NOTE(host->abi == RUNBOOK_PLUGIN_ABI && host->struct_size == sizeof(*host));
        return give(host, call, o);
}

/** Says more than it may; the output counts what was taken. */
static int flood(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                 const RunbookPluginTask *t) {
        static char text[4000];
        int n_logs = 0, n_evidence = 0, n_secrets = 0;
        memset(text, 'x', sizeof(text) - 1);
        for (int i = 0; i < 2000; i++) {
                n_logs += host->log(call, RUNBOOK_PLUGIN_INFO, t->config_size > 2 ? text : "x", NULL) == 0;
                n_evidence += host->evidence(call, "a", "b", 1, NULL, NULL) == 0;
                n_secrets += host->secret(call, "token") != NULL;
        }
        return give(host, call, json_pack("[i, i, i]", n_logs, n_evidence, n_secrets));
}

typedef struct Talker {
        const RunbookPluginHost *host;
        RunbookPluginCall *call;
        pthread_t thread;
} Talker;

static void *talk_from_thread(void *talker) {
        Talker *t = talker;
        for (int i = 0; i < 50; i++) {
                t->host->log(t->call, RUNBOOK_PLUGIN_INFO, "from a thread", "{}");
                t->host->progress(t->call, i / 50.0, NULL);
                t->host->set_output(t->call, "[1]", 3);
                t->host->set_error(t->call, "NEVER", "used", 0, NULL);
                (void)t->host->secret(t->call, "token");
                (void)t->host->now_ms(t->call);
        }
        return NULL;
}

static int threads(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                   const RunbookPluginTask *t) {
        Talker all[3];
        for (int i = 0; i < 3; i++) {
                all[i] = (Talker){.host = host, .call = call};
                if (pthread_create(&all[i].thread, NULL, talk_from_thread, &all[i]) != 0)
                        return 1;
        }
        for (int i = 0; i < 3; i++)
                pthread_join(all[i].thread, NULL);
        return 0;
}

/** Works until nobody waits any more. */
static int poll_cancelled(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                          const RunbookPluginTask *t) {
        host->log(call, RUNBOOK_PLUGIN_INFO, "begun", NULL);
        while (!host->is_cancelled(call))
                sleep_ms(1);
        host->log(call, RUNBOOK_PLUGIN_INFO, "too late", NULL);
        return host->set_output(call, "\"too late\"", 10);
}

/** Waits until its cancel wakes it; there may be several at once, told apart by their calls. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static RunbookPluginCall *to_wake[64];

static void wake(void *userdata, RunbookPluginCall *call) {
        pthread_mutex_lock(&lock);
        for (size_t i = 0; i < sizeof(to_wake) / sizeof(*to_wake); i++)
                if (!to_wake[i]) {
                        to_wake[i] = call;
                        break;
                }
        pthread_cond_broadcast(&woken);
        pthread_mutex_unlock(&lock);
}

static int wait_for_wake(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                         const RunbookPluginTask *t) {
        bool is_woken = false;
        pthread_mutex_lock(&lock);
        while (!is_woken) {
                for (size_t i = 0; i < sizeof(to_wake) / sizeof(*to_wake); i++)
                        if (to_wake[i] == call) {
                                to_wake[i] = NULL;
                                is_woken = true;
                        }
                if (!is_woken)
                        pthread_cond_wait(&woken, &lock);
        }
        pthread_mutex_unlock(&lock);
        return host->is_cancelled(call) ? 0 : 1;
}

/** Sleeps config (a number of milliseconds) whatever happens. */
static int deaf(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                const RunbookPluginTask *t) {
        sleep_ms(atol(t->config));
        (void)host->now_ms(call);
        (void)host->secret(call, "token");
        return 0;
}

static const char schema[] = "{\"type\":\"object\",\"required\":[\"city\"],\"additionalProperties\":false,"
                             "\"properties\":{\"city\":{\"type\":\"string\",\"minLength\":2},"
                             "\"days\":{\"type\":\"integer\",\"maximum\":14},"
                             "\"tags\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"type\":\"string\"}}}}";
static const char choosy_schema[] =
                "{\"anyOf\":[{\"required\":[\"a\"]},{\"properties\":{\"b\":{\"const\":1}}}]}";

static const RunbookPluginType types[] = {
                {.type = "custom:echo", .execute = echo, .userdata = "its own"},
                {.type = "custom:fail", .execute = fail},
                {.type = "custom:output", .execute = output},
                {.type = "custom:talk", .execute = talk},
                {.type = "custom:flood", .execute = flood},
                {.type = "custom:threads", .execute = threads},
                {.type = "custom:poll", .execute = poll_cancelled},
                {.type = "custom:wait", .execute = wait_for_wake, .cancel = wake},
                {.type = "custom:deaf", .execute = deaf},
                {.type = "custom:strict", .execute = echo, .config_schema = schema, .userdata = "strict"},
                {.type = "custom:choosy",
                 .execute = echo,
                 .config_schema = choosy_schema,
                 .userdata = "choosy"},
};

static const RunbookPlugin plugin = RUNBOOK_PLUGIN_INIT("good", "1.2.3", types);

const RunbookPlugin *runbook_plugin_entry(void) { return &plugin; }
