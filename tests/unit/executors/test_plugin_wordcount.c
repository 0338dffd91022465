/* The example of a plugin, deploy/examples/plugin-wordcount. */
#include <criterion/criterion.h>

#include "../leaks.h"
#include "executors/plugin.h"
#include "harness.h"
#include "plugin_folder.h"

TestSuite(plugin_wordcount, .fini = check_leaks, .timeout = 60);

static PluginFolder folder;

static void start(Harness *h) {
        *h = (Harness){0};
        ExecutorHost host = harness_host(h);
        Report report = {0};
        cr_assert(plugin_folder_make(&folder) && plugin_folder_add(&folder, WORDCOUNT, "wordcount.so"));
        cr_assert_eq(plugin_executor_new(&(PluginSettings){.dir = folder.path}, &host, NULL, &report,
                                         &h->executor),
                     0, "%s", report.message);
}

static void end(Harness *h) {
        harness_stop(h);
        plugin_folder_remove(&folder);
}

static TaskResult run(Harness *h, const char *config, json_t *input) {
        static const RunbookStep step = {.type = STEP_TYPE_CUSTOM, .type_name = {"custom:wordcount", 16}};
        return harness_run(h, harness_task_of(h, &step,
                                              config ? json_parse_own(slice_from_str(config)) : NULL, input));
}

Test(plugin_wordcount, counts_words) {
        Harness h;
        start(&h);
        TaskResult r = run(&h, "{\"top\":3}",
                           json_pack("{s:s}", "text", "To be, or not to be: Übung — Übung, Übung!"));
        cr_assert(r.ok, "%s", harness_string(r.error, "message"));
        cr_expect_eq(harness_integer(r.output, "words"), 10);
        cr_expect_eq(harness_integer(r.output, "different"), 6);
        cr_expect_eq(json_array_size(harness_at(r.output, "top")), 3);
        cr_expect_str_eq(harness_string(r.output, "top.0.word"), "Übung");
        cr_expect_eq(harness_integer(r.output, "top.0.count"), 3);
        cr_expect_str_eq(harness_string(r.output, "top.1.word"), "be");
        cr_expect_str_eq(harness_string(r.output, "top.2.word"), "to");
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "the text is read");
        harness_result_free(&r);
        r = run(&h, NULL, json_string(""));
        cr_assert(r.ok);
        cr_expect(slice_eq_str(value_bytes(r.output), "{\"different\":0,\"top\":[],\"words\":0}"));
        harness_result_free(&r);
        r = run(&h, "{\"minLength\":3}", json_string("a bc def"));
        cr_expect_eq(harness_integer(r.output, "words"), 1);
        harness_result_free(&r);
        end(&h);
}

Test(plugin_wordcount, tells_how_far_it_is) {
        Harness h;
        start(&h);
        char *text = malloc(500001);
        for (int i = 0; i < 500000; i++)
                text[i] = i % 5 == 4 ? ' ' : "abc"[i % 3];
        text[500000] = '\0';
        TaskResult r = run(&h, NULL, json_pack("{s:s}", "text", text));
        cr_assert(r.ok);
        cr_expect_eq(harness_integer(r.output, "words"), 100000);
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "reading");
        cr_expect_eq(harness_integer(r.logs, "0.metadata.percent"), 13);
        harness_result_free(&r);
        free(text);
        end(&h);
}

Test(plugin_wordcount, refuses_what_it_cannot_count) {
        Harness h;
        start(&h);
        TaskResult r = run(&h, NULL, json_pack("{s:i}", "text", 3));
        cr_expect_str_eq(harness_string(r.error, "code"), "WORDCOUNT_NO_TEXT");
        cr_expect(json_is_false(harness_at(r.error, "retryable")));
        harness_result_free(&r);
        r = run(&h, "{\"top\":-1,\"colour\":\"red\"}", json_string("x"));
        cr_expect_str_eq(harness_string(r.error, "code"), "CONFIG_INVALID");
        cr_expect_eq(json_array_size(harness_at(r.error, "details")), 2);
        harness_result_free(&r);
        end(&h);
}
