#include <criterion/criterion.h>
#include <time.h>

#include "../leaks.h"
#include "executors/plugin.h"
#include "harness.h"
#include "plugin_folder.h"

TestSuite(plugin, .fini = check_leaks, .timeout = 60);
TestSuite(plugin_left, .timeout = 60); /* leaves its engine behind, as it must */

typedef struct Fixture {
        Harness h;
        PluginFolder folder;
} Fixture;

static void start(Fixture *f, PluginSettings settings) {
        *f = (Fixture){0};
        cr_assert(plugin_folder_make(&f->folder));
        cr_assert(plugin_folder_add(&f->folder, PLUGINS "/plugin_good.so", "good.so"));
        cr_assert(plugin_folder_add(&f->folder, "/nonexistent", "notes.txt"));
        ExecutorHost host = harness_host(&f->h);
        Report report = {0};
        settings.dir = f->folder.path;
        cr_assert_eq(plugin_executor_new(&settings, &host, NULL, &report, &f->h.executor), 0, "%s",
                     report.message);
        report_deinit(&report);
}

static void end(Fixture *f) {
        harness_stop(&f->h);
        plugin_folder_remove(&f->folder);
}

static const RunbookStep *step_of(const char *type) {
        static RunbookStep steps[64];
        static size_t n_steps;
        for (size_t i = 0; i < n_steps; i++)
                if (slice_eq_str(steps[i].type_name, type))
                        return &steps[i];
        cr_assert(n_steps < 64);
        steps[n_steps] = (RunbookStep){.type = STEP_TYPE_CUSTOM, .type_name = slice_from_str(type)};
        return &steps[n_steps++];
}

static Task *task(Fixture *f, const char *type, const char *config) {
        return harness_task_of(&f->h, step_of(type), config ? json_parse_own(slice_from_str(config)) : NULL,
                               json_pack("{s:i}", "n", 1));
}

static TaskResult run(Fixture *f, const char *type, const char *config) {
        return harness_run(&f->h, task(f, type, config));
}

static uint32_t submit(Fixture *f, const char *type, const char *config) {
        Task *t = task(f, type, config);
        uint32_t instance = t->instance;
        f->h.executor->vtable->submit(f->h.executor, t);
        return instance;
}

static void cancel(Fixture *f, uint32_t instance) {
        Uuid id = {{7}};
        f->h.executor->vtable->cancel(f->h.executor, id, instance, 1);
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static void expect_error(TaskResult r, const char *code, bool retryable, const char *part) {
        cr_assert(!r.ok);
        cr_expect_str_eq(harness_string(r.error, "code"), code);
        cr_expect_eq(json_is_true(harness_at(r.error, "retryable")), retryable);
        cr_expect(strstr(harness_string(r.error, "message"), part), "%s", harness_string(r.error, "message"));
        harness_result_free(&r);
}

/* ---- what goes in and comes out ------------------------------------------------------------------------ */

Test(plugin, a_task_is_told_whole) {
        Fixture f;
        start(&f, (PluginSettings){0});
        f.h.timeout_ms = 5000;
        TaskResult r = run(&f, "custom:echo", "{\"b\":1,\"a\":[true]}");
        cr_assert(r.ok, "%s", harness_string(r.error, "message"));
        cr_expect_str_eq(harness_string(r.output, "type"), "custom:echo");
        cr_expect_str_eq(harness_string(r.output, "tenant"), "acme");
        cr_expect_str_eq(harness_string(r.output, "executionId"), "07000000-0000-0000-0000-000000000000");
        cr_expect_str_eq(harness_string(r.output, "stepPath"), "call");
        cr_expect_str_eq(harness_string(r.output, "traceparent"),
                         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        cr_expect_str_eq(harness_string(r.output, "key"), "key-0");
        cr_expect_eq(harness_integer(r.output, "attempt"), 1);
        cr_expect_str_eq(harness_string(r.output, "config"), "{\"a\":[true],\"b\":1}");
        cr_expect_str_eq(harness_string(r.output, "input"), "{\"n\":1}");
        cr_expect_str_eq(harness_string(r.output, "context"), "null");
        cr_expect_str_eq(harness_string(r.output, "userdata"), "its own");
        cr_expect(json_is_true(harness_at(r.output, "sizesFit")));
        long long left = harness_integer(r.output, "deadlineMs") - harness_integer(r.output, "nowMs");
        cr_expect(left > 4000 && left <= 5000, "%lld", left);
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "custom:echo completed");
        cr_expect_str_eq(harness_string(r.logs, "0.metadata.plugin"), "good");
        cr_expect_str_eq(harness_string(r.logs, "0.metadata.pluginVersion"), "1.2.3");
        cr_expect_null(r.evidence);
        harness_result_free(&r);
        r = run(&f, "custom:echo", NULL);
        cr_expect_str_eq(harness_string(r.output, "config"), "{}");
        harness_result_free(&r);
        end(&f);
}

Test(plugin, failures) {
        Fixture f;
        start(&f, (PluginSettings){0});
        TaskResult r = run(&f, "custom:fail",
                           "{\"code\":\"GEO_AWAY\",\"message\":\"the map is away\",\"retryable\":true,"
                           "\"details\":\"{\\\"z\\\":1, \\\"a\\\":2}\",\"retryAfterMs\":1500}");
        cr_expect_eq(r.retry_after_ms, 1500);
        cr_expect_eq(harness_integer(r.error, "details.a"), 2);
        cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
        cr_expect_str_eq(harness_string(r.logs, "0.metadata.code"), "GEO_AWAY");
        expect_error(r, "GEO_AWAY", true, "the map is away");
        r = run(&f, "custom:fail",
                "{\"code\":\"GEO_UNKNOWN\",\"message\":\"no such place\",\"retryAfterMs\":1500}");
        cr_expect_eq(r.retry_after_ms, 0, "it is not retryable");
        expect_error(r, "GEO_UNKNOWN", false, "no such place");
        expect_error(run(&f, "custom:fail", "{}"), "PLUGIN_ERROR", false,
                     "the plugin good returned 3 for custom:fail without saying why");
        expect_error(run(&f, "custom:fail", "{\"code\":\"not a code\",\"message\":\"x\"}"), "PLUGIN_ERROR",
                     false, "returned -1");
        end(&f);
}

Test(plugin, outputs_are_checked) {
        Fixture f;
        start(&f, (PluginSettings){0});
        TaskResult r = run(&f, "custom:output", "{\"text\":\" {\\\"b\\\":1.50,\\\"a\\\":2} \",\"times\":1}");
        cr_assert(r.ok);
        cr_expect(slice_eq_str(value_bytes(r.output), "{\"a\":2,\"b\":1.5}"));
        harness_result_free(&r);
        expect_error(run(&f, "custom:output", "{\"text\":\"{\\\"a\\\":}\",\"times\":1}"), "OUTPUT_INVALID",
                     false, "line 1");
        expect_error(run(&f, "custom:output", "{\"text\":\"\\\"\\\\u0000\\\"\",\"times\":1}"),
                     "OUTPUT_INVALID", false, "the output of custom:output is not JSON");
        expect_error(run(&f, "custom:output", "{\"text\":\"\",\"times\":1}"), "OUTPUT_INVALID", false,
                     "not JSON");
        expect_error(run(&f, "custom:output", "{\"text\":\"[1]\",\"times\":1000000}"), "OUTPUT_TOO_LARGE",
                     false, "LIMIT_VALUE_BYTES");
        expect_error(run(&f, "custom:output", "{\"text\":\"1\",\"times\":1,\"then\":\"oh\"}"),
                     "OUTPUT_INVALID", false, "not JSON");
        r = run(&f, "custom:output", "{\"text\":\"oh\",\"times\":1,\"then\":\"[2]\"}");
        cr_expect(r.ok, "the last one counts");
        harness_result_free(&r);
        r = run(&f, "custom:deaf", "1");
        cr_assert(r.ok);
        cr_expect(slice_eq_str(value_bytes(r.output), "null"), "none is null");
        harness_result_free(&r);
        end(&f);
}

Test(plugin, the_host_takes_what_is_good_and_refuses_what_is_not) {
        static const int wanted[] = {0, 0, 0, -1, -1, -2, -1, -1, 0, 0, -1, -1, -1,
                                     0, 0, 0, -1, -1, -1, -1, 0,  1, 1, 1,  1};
        Fixture f;
        start(&f, (PluginSettings){0});
        TaskResult r = run(&f, "custom:talk", NULL);
        cr_assert(r.ok);
        const json_t *o = value_json(r.output);
        cr_assert_eq(json_array_size(o), sizeof(wanted) / sizeof(*wanted));
        for (size_t i = 0; i < json_array_size(o); i++)
                cr_expect_eq(json_integer_value(json_array_get(o, i)), wanted[i], "number %zu", i);
        cr_expect_eq(json_array_size(value_json(r.logs)), 6);
        cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "careful");
        cr_expect_eq(harness_integer(r.logs, "0.metadata.a"), 1);
        cr_expect_eq(strlen(harness_string(r.logs, "1.message")), 4096);
        cr_expect_str_eq(harness_string(r.logs, "2.message"), "not \xef\xbf\xbd UTF-8");
        cr_expect_str_eq(harness_string(r.logs, "3.message"), "half way");
        cr_expect_eq(harness_integer(r.logs, "3.metadata.percent"), 50);
        cr_expect_eq(harness_integer(r.logs, "4.metadata.percent"), 100);
        cr_expect_eq(json_array_size(value_json(r.evidence)), 2);
        cr_expect_str_eq(harness_string(r.evidence, "0.type"), "reading");
        cr_expect_str_eq(harness_string(r.evidence, "0.sourceRef"), "sensor:7");
        cr_expect_eq(harness_integer(r.evidence, "0.value.t"), 21);
        cr_expect_str_eq(harness_string(r.evidence, "0.sha256"), /* of {"t":21} */
                         "cd191afaf443bb97fb5985d17e182e04130d2bc2c081b1a9cd9f2ed8871b8db9");
        cr_expect_str_eq(harness_string(r.evidence, "1.sha256"),
                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        cr_expect_str_eq(harness_string(r.evidence, "1.sourceRef"), "a \"b\"");
        harness_result_free(&r);
        end(&f);
}

Test(plugin, what_it_says_has_limits) {
        Fixture f;
        start(&f, (PluginSettings){0});
        TaskResult r = run(&f, "custom:flood", "{}");
        cr_assert(r.ok);
        cr_expect_eq(harness_integer(r.output, "0"), 999);
        cr_expect_eq(harness_integer(r.output, "1"), 100);
        cr_expect_eq(harness_integer(r.output, "2"), 64);
        cr_expect_eq(json_array_size(value_json(r.logs)), 1000);
        cr_expect_eq(json_array_size(value_json(r.evidence)), 100);
        harness_result_free(&r);
        r = run(&f, "custom:flood", "{\"long\":true}");
        cr_assert(r.ok);
        cr_expect(harness_integer(r.output, "0") > 200 && harness_integer(r.output, "0") < 300,
                  "a MiB in all");
        cr_expect(value_json(r.logs));
        harness_result_free(&r);
        r = run(&f, "custom:threads", "{}");
        cr_assert(r.ok);
        cr_expect(json_array_size(value_json(r.logs)) > 150);
        harness_result_free(&r);
        end(&f);
}

/* ---- time ---------------------------------------------------------------------------------------------- */

Test(plugin, timeouts) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 2});
        f.h.timeout_ms = 100;
        TaskResult r = run(&f, "custom:poll", NULL);
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "begun");
        cr_expect_eq(json_array_size(value_json(r.logs)), 2, "what came too late is not told");
        expect_error(r, "TIMEOUT", true, "custom:poll did not come back within the step's 100 ms");
        expect_error(run(&f, "custom:wait", NULL), "TIMEOUT", true, "100 ms");
        f.h.timeout_ms = 0;
        r = run(&f, "custom:echo", NULL);
        cr_expect(r.ok, "the threads are free again");
        harness_result_free(&r);
        end(&f);
}

Test(plugin, waiting_for_a_turn_counts) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 1, .timeout_default_ms = 5000});
        submit(&f, "custom:deaf", "400");
        f.h.timeout_ms = 100;
        submit(&f, "custom:echo", NULL);
        cr_assert(harness_wait(&f.h, 1));
        cr_expect(strstr(harness_string(f.h.results[0].error, "message"), "PLUGIN_THREADS"), "%s",
                  harness_string(f.h.results[0].error, "message"));
        cr_assert(harness_wait(&f.h, 2));
        cr_expect(f.h.results[1].ok);
        end(&f);
}

Test(plugin, one_that_does_not_listen_holds_its_thread_only) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 2});
        f.h.timeout_ms = 50;
        submit(&f, "custom:deaf", "600");
        cr_assert(harness_wait(&f.h, 1));
        cr_expect_str_eq(harness_string(f.h.results[0].error, "code"), "TIMEOUT");
        cr_expect_eq(f.h.executor->vtable->n_open(f.h.executor), 0);
        f.h.timeout_ms = 0;
        for (int i = 0; i < 5; i++) {
                TaskResult r = run(&f, "custom:echo", NULL);
                cr_expect(r.ok);
                harness_result_free(&r);
        }
        end(&f); /* waits for it */
}

Test(plugin, cancelled_calls_have_no_result) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 2});
        uint32_t polls = submit(&f, "custom:poll", NULL), waits = submit(&f, "custom:wait", NULL),
                 queued = submit(&f, "custom:echo", NULL);
        sleep_ms(30);
        cr_expect_eq(f.h.executor->vtable->n_open(f.h.executor), 3);
        cancel(&f, queued);
        cancel(&f, polls);
        cancel(&f, waits);
        cancel(&f, waits);
        cancel(&f, 1000);
        cr_expect_eq(f.h.executor->vtable->n_open(f.h.executor), 0);
        TaskResult r = run(&f, "custom:echo", NULL);
        cr_expect(r.ok);
        cr_expect_eq(f.h.n_results, 0);
        harness_result_free(&r);
        end(&f);
}

Test(plugin, tenants_take_turns) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 1});
        for (int i = 0; i < 10; i++)
                submit(&f, "custom:deaf", "20");
        Task *other = task(&f, "custom:deaf", "1");
        other->tenant = SLICE("other");
        uint32_t instance = other->instance;
        f.h.executor->vtable->submit(f.h.executor, other);
        cr_assert(harness_wait(&f.h, 11));
        size_t place = 0;
        while (f.h.results[place].instance != instance)
                place++;
        cr_expect(place <= 2, "came as number %zu", place);
        end(&f);
}

Test(plugin, too_many_are_refused) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 1, .open_max = 2});
        uint32_t first = submit(&f, "custom:poll", NULL), second = submit(&f, "custom:poll", NULL);
        submit(&f, "custom:poll", NULL);
        cr_assert(harness_wait(&f.h, 1));
        cr_expect_str_eq(harness_string(f.h.results[0].error, "code"), "OVERLOADED");
        cancel(&f, first);
        cancel(&f, second);
        end(&f);
}

Test(plugin, stop_tells_those_that_run) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 3});
        submit(&f, "custom:poll", NULL);
        submit(&f, "custom:wait", NULL);
        submit(&f, "custom:deaf", "50");
        submit(&f, "custom:echo", NULL);
        sleep_ms(20);
        harness_stop_executor(&f.h);
        cr_expect_eq(f.h.n_results, 0);
        end(&f);
}

Test(plugin_left, stop_does_not_wait_for_ever) {
        Fixture f;
        start(&f, (PluginSettings){.threads = 2, .stop_ms = 100});
        submit(&f, "custom:deaf", "600");
        sleep_ms(20);
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        harness_stop_executor(&f.h);
        clock_gettime(CLOCK_MONOTONIC, &after);
        cr_expect(after.tv_sec - before.tv_sec < 1 ||
                  (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 500);
        sleep_ms(800); /* it comes back, asks for a secret, and nothing happens */
        cr_expect_eq(f.h.n_results, 0);
        end(&f);
}

/* ---- configs ------------------------------------------------------------------------------------------- */

Test(plugin, configs_must_fit_their_schema) {
        Fixture f;
        start(&f, (PluginSettings){0});
        TaskResult r = run(&f, "custom:strict", "{\"city\":\"Bern\",\"days\":3}");
        cr_expect(r.ok);
        harness_result_free(&r);
        r = run(&f, "custom:strict", "{\"days\":15,\"town\":1}");
        cr_expect(json_array_size(harness_at(r.error, "details")) >= 3);
        expect_error(r, "CONFIG_INVALID", false, "the config does not fit custom:strict");
        expect_error(run(&f, "custom:strict", NULL), "CONFIG_INVALID", false, "city");
        end(&f);
}

/** Faults found in the definition's config, as "path path …". */
static const char *faults(Fixture *f, const char *type, const char *config) {
        static char text[512];
        Report report = {0};
        json_t *root = json_parse_own(slice_from_str("{\"steps\":[{}]}"));
        json_t *step = json_array_get(json_object_get(root, "steps"), 0);
        if (config)
                json_object_set_new(step, "config", json_parse_own(slice_from_str(config)));
        JsonAt top = json_at_root(root, &report), steps = json_at_key(&top, "steps"),
               first = json_at_index(&steps, 0), at = json_at_key(&first, "config");
        int r = plugin_config_check(f->h.executor, slice_from_str(type), &at);
        cr_expect_eq(r<0, report.n_details> 0);
        text[0] = '\0';
        for (size_t i = 0; i < report.n_details; i++) {
                strcat(strcat(text, i ? " " : ""), report.details[i].path);
                cr_expect(strstr(report.details[i].message, "keyword"));
        }
        json_decref(root);
        report_deinit(&report);
        return text;
}

Test(plugin, definitions_are_checked_as_far_as_templates_let_see) {
        Fixture f;
        start(&f, (PluginSettings){0});
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":\"Bern\"}"), "");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":\"B\"}"), "/steps/0/config/city");
        cr_expect_str_eq(faults(&f, "custom:strict", NULL), "/steps/0/config");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":\"${x}\",\"days\":\"${input.days}\"}"), "",
                         "a template may become a number");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":\"${x}\",\"days\":99}"),
                         "/steps/0/config/days");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"days\":\"${x}\"}"), "/steps/0/config", "no city");
        cr_expect_neq(*faults(&f, "custom:strict", "{\"city\":\"Bern\",\"town\":\"${x}\"}"), '\0',
                      "no value makes the name right");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":\"Bern\",\"tags\":[\"${x}\",\"b\",\"c\"]}"),
                         "/steps/0/config/tags", "too many stay too many");
        cr_expect_str_eq(faults(&f, "custom:strict", "{\"city\":[\"${x}\"]}"), "/steps/0/config/city",
                         "an array stays one");
        cr_expect_neq(*faults(&f, "custom:choosy", "{\"b\":2}"), '\0');
        cr_expect_str_eq(faults(&f, "custom:choosy", "{\"b\":\"${x}\"}"), "");
        cr_expect_str_eq(faults(&f, "custom:echo", "{\"anything\":1}"), "");
        cr_expect_str_eq(faults(&f, "custom:unknown", "{\"anything\":1}"), "");
        end(&f);
}

/* ---- types that no plugin offers ----------------------------------------------------------------------- */

typedef struct Fallback {
        Executor executor;
        unsigned n_submitted, n_cancelled;
} Fallback;

static void fallback_submit(Executor *e, Task *t) {
        ((Fallback *)e)->n_submitted++;
        task_free(t);
}
static void fallback_cancel(Executor *e, Uuid id, uint32_t instance, uint32_t attempt) {
        ((Fallback *)e)->n_cancelled++;
}
static uint64_t fallback_n_open(Executor *e) { return 40; }

Test(plugin, the_rest_goes_to_the_fallback) {
        static const ExecutorVtable vtable = {.name = "fallback",
                                              .submit = fallback_submit,
                                              .cancel = fallback_cancel,
                                              .n_open = fallback_n_open};
        Fallback fallback = {.executor = {&vtable}};
        Fixture f = {0};
        ExecutorHost host = harness_host(&f.h);
        Report report = {0};
        cr_assert_eq(plugin_executor_new(&(PluginSettings){0}, &host, &fallback.executor, &report,
                                         &f.h.executor),
                     0);
        submit(&f, "custom:echo", NULL);
        cancel(&f, 0);
        cr_expect_eq(fallback.n_submitted, 1);
        cr_expect_eq(fallback.n_cancelled, 1);
        cr_expect_eq(f.h.executor->vtable->n_open(f.h.executor), 40);
        harness_stop(&f.h);
}

Test(plugin, without_a_fallback_the_mend_is_named) {
        Fixture f;
        start(&f, (PluginSettings){0});
        expect_error(run(&f, "custom:geo", NULL), "EXECUTOR_MISSING", false, "\"custom:geo\"");
        expect_error(run(&f, "custom:geo", NULL), "EXECUTOR_MISSING", false, "PLUGIN_DIR");
        end(&f);
}
