#include <criterion/criterion.h>

#include "../leaks.h"
#include "executors/plugin.h"
#include "harness.h"
#include "plugin_folder.h"

TestSuite(plugin_loader, .fini = check_leaks, .timeout = 60);

static int load(Harness *h, const char *dir, Report *report) {
        *h = (Harness){0};
        ExecutorHost host = harness_host(h);
        return plugin_executor_new(&(PluginSettings){.dir = dir}, &host, NULL, report, &h->executor);
}

/** Loading @f fails with one fault, whose sentence has @part and @other. */
static void expect_refused(PluginFolder *f, const char *part, const char *other) {
        Harness h;
        Report report = {0};
        cr_assert(load(&h, f->path, &report) < 0, "%s", part);
        cr_expect_eq(report.code, RUNBOOK_INVALID_REQUEST);
        cr_expect_eq(report.n_details, 1);
        cr_expect_str_eq(report.details[0].path, f->files[f->n_files - 1]);
        cr_expect(strstr(report.details[0].message, part), "%s", report.details[0].message);
        cr_expect(strstr(report.details[0].message, other), "%s", report.details[0].message);
        cr_expect(strstr(report.message, "PLUGIN_DIR") && strstr(report.message, f->files[f->n_files - 1]) &&
                                  strstr(report.message, part),
                  "%s", report.message);
        report_deinit(&report);
        harness_stop(&h);
        plugin_folder_remove(f);
}

static void expect_fault(int fault, const char *part, const char *other) {
        PluginFolder f;
        char module[256];
        snprintf(module, sizeof(module), PLUGINS "/plugin_bad_%d.so", fault);
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, PLUGINS "/plugin_good.so", "a.so") &&
                  plugin_folder_add(&f, module, "bad.so"));
        expect_refused(&f, part, other);
}

Test(plugin_loader, each_refusal_names_the_fault_and_the_mend) {
        expect_fault(1, "the type \"geo\" must be \"custom:\"", "rename it");
        expect_fault(2, "the type \"custom:-x\" must be", "don't begin with");
        expect_fault(3, "\"custom:two\" has no function", "set .execute");
        expect_fault(4, "it offers the type \"custom:one\" twice", "remove one");
        expect_fault(5, "the config schema of \"custom:two\" can't be used", "line 1");
        expect_fault(6, "the config schema of \"custom:two\" can't be used", "/type");
        expect_fault(7, "its type number 2 has no name", "set .type");
        expect_fault(8, "the type \"custom:echo\" is offered by a.so already", "remove one");
        expect_fault(9, "it was made for version 99 of the plugin ABI, this engine has version 1",
                     "build it again");
        expect_fault(10, "its descriptor has 16 bytes", "sizeof(RunbookPlugin)");
        expect_fault(11, "its types have 8 bytes each", "sizeof(RunbookPluginType)");
        expect_fault(12, "it offers 0 types", "set .types");
        expect_fault(13, ".name", "1 to 64 bytes");
        expect_fault(14, ".version", "1 to 64 bytes");
        expect_fault(15, "its init returned 7", "bad 1");
        expect_fault(16, "returned NULL", "descriptor");
        expect_fault(20, "it exports no function runbook_plugin_entry", "RUNBOOK_PLUGIN_EXPORT");
}

Test(plugin_loader, descriptors_of_later_headers_are_fine) {
        PluginFolder f;
        Harness h;
        Report report = {0};
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, PLUGINS "/plugin_bad_17.so", "later.so"));
        cr_assert_eq(load(&h, f.path, &report), 0, "%s", report.message);
        harness_stop(&h);
        plugin_folder_remove(&f);
}

Test(plugin_loader, all_faults_are_told_at_once) {
        PluginFolder f;
        Harness h;
        Report report = {0};
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, PLUGINS "/plugin_bad_9.so", "2.so") &&
                  plugin_folder_add(&f, PLUGINS "/plugin_bad_16.so", "1.so") &&
                  plugin_folder_add(&f, PLUGINS "/plugin_good.so", "3.so"));
        cr_assert(load(&h, f.path, &report) < 0);
        cr_assert_eq(report.n_details, 2);
        cr_expect_str_eq(report.details[0].path, "1.so", "in the order of names");
        cr_expect_str_eq(report.details[1].path, "2.so");
        cr_expect(strstr(report.message, "2 of 3 plugins can't be used. 1.so: "), "%s", report.message);
        cr_expect(strstr(report.message, "2.so: "));
        report_deinit(&report);
        harness_stop(&h);
        plugin_folder_remove(&f);
}

Test(plugin_loader, files_that_are_no_plugins) {
        PluginFolder f;
        char path[256];
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, "/nonexistent", "gone.so"));
        expect_refused(&f, "it can't be read", "No such file");
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, "/tmp", "folder.so"));
        expect_refused(&f, "it is no plain file", "remove");
        cr_assert(plugin_folder_make(&f) && plugin_folder_add(&f, "/etc/passwd", "text.so"));
        expect_refused(&f, "it can't be loaded", "build it for this machine");
        cr_assert(plugin_folder_make(&f));
        snprintf(path, sizeof(path), "%s/open.so", f.path);
        snprintf(f.files[f.n_files++], sizeof(f.files[0]), "open.so");
        FILE *file = fopen(path, "w");
        cr_assert(file && fclose(file) == 0 && chmod(path, 0666) == 0);
        expect_refused(&f, "everybody may write to it", "chmod o-w");
}

static void expect_folder_refused(const char *dir, const char *part) {
        Harness h;
        Report report = {0};
        cr_assert(load(&h, dir, &report) < 0);
        cr_expect(strstr(report.message, part), "%s", report.message);
        report_deinit(&report);
        harness_stop(&h);
}

Test(plugin_loader, folders) {
        PluginFolder f;
        Harness h;
        Report report = {0};
        expect_folder_refused("/nonexistent", "PLUGIN_DIR /nonexistent can't be read: No such file");
        expect_folder_refused("/etc/passwd", "Not a directory");
        cr_assert(plugin_folder_make(&f));
        cr_assert_eq(chmod(f.path, 0777), 0);
        expect_folder_refused(f.path, "everybody may write there");
        cr_assert_eq(chmod(f.path, 0755), 0);
        cr_assert_eq(load(&h, f.path, &report), 0, "an empty one is fine");
        harness_stop(&h);
        cr_assert_eq(load(&h, "", &report), 0, "and so is none");
        harness_stop(&h);
        plugin_folder_remove(&f);
        ExecutorHost host = harness_host(&h);
        cr_assert(plugin_executor_new(&(PluginSettings){.threads = 5000}, &host, NULL, &report, &h.executor) <
                  0);
        cr_expect(strstr(report.message, "PLUGIN_THREADS is 5000"));
        report_deinit(&report);
        h.executor = NULL;
        harness_stop(&h);
}
