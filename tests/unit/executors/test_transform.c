#include <criterion/criterion.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../leaks.h"
#include "executors/transform.h"
#include "harness.h"
#include "json/json_read.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define IS_SANITIZED 1 /* then helpers have no limit of memory and no filter of system calls */
#else
#define IS_SANITIZED 0
#endif

static const RunbookStep step = {.type = STEP_TYPE_TRANSFORM, .type_name = {"transform", 9}};

TestSuite(transform, .fini = check_leaks, .timeout = 60);

static void start(Harness *h, TransformSettings settings) {
        *h = (Harness){0};
        ExecutorHost host = harness_host(h);
        Report report = {0};
        if (!settings.helper)
                settings.helper = RUNBOOK_JQ;
        cr_assert_eq(transform_executor_new(&settings, &host, &report, &h->executor), 0, "%s",
                     report.message);
        report_deinit(&report);
}

static Task *task(Harness *h, const char *program, const char *input) {
        json_t *config = json_pack("{s:s}", "jq", program);
        return harness_task_of(h, &step, config, input ? json_parse_own(slice_from_str(input)) : NULL);
}

static TaskResult run(Harness *h, const char *program, const char *input) {
        return harness_run(h, task(h, program, input));
}

/** The output's text, in a buffer of its own. */
static const char *output_of(Harness *h, const char *program, const char *input) {
        static char text[4096];
        TaskResult r = run(h, program, input);
        Slice s = value_bytes(r.ok ? r.output : r.error);
        snprintf(text, sizeof(text), "%s%.*s", r.ok ? "" : "error ", SLICE_ARG(s));
        harness_result_free(&r);
        return text;
}

#define EXPECT(program, input, wanted) cr_expect_str_eq(output_of(&h, program, input), wanted)

static void expect_error(Harness *h, const char *program, const char *input, const char *code, bool retryable,
                         const char *part) {
        TaskResult r = run(h, program, input);
        cr_assert(!r.ok, "%s gave a result", program);
        cr_expect_str_eq(harness_string(r.error, "code"), code);
        cr_expect_eq(json_is_true(harness_at(r.error, "retryable")), retryable, "%s", program);
        cr_expect(strstr(harness_string(r.error, "message"), part), "%s: %s", program,
                  harness_string(r.error, "message"));
        harness_result_free(&r);
}

/** Pids of the helpers, at most @max. */
static size_t helpers(pid_t *pids, size_t max) {
        char path[64];
        size_t n = 0;
        DIR *threads = opendir("/proc/self/task");
        cr_assert(threads);
        for (struct dirent *t; (t = readdir(threads));) {
                snprintf(path, sizeof(path), "/proc/self/task/%.16s/children", t->d_name);
                FILE *f = isdigit((unsigned char)t->d_name[0]) ? fopen(path, "r") : NULL;
                int pid;
                while (f && n < max && fscanf(f, "%d", &pid) == 1)
                        pids[n++] = pid;
                if (f)
                        fclose(f);
        }
        closedir(threads);
        return n;
}

static pid_t only_helper(void) {
        pid_t pids[4];
        cr_assert_eq(helpers(pids, 4), 1);
        return pids[0];
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

static bool wait_until_closed(Harness *h) {
        for (int i = 0; i < 500 && h->executor->vtable->n_open(h->executor) > 0; i++)
                sleep_ms(10);
        return h->executor->vtable->n_open(h->executor) == 0;
}

/* ---- results ------------------------------------------------------------------------------------------- */

Test(transform, one_result_is_the_output_several_a_list_none_null) {
        Harness h;
        start(&h, (TransformSettings){0});
        EXPECT(".", "{\"b\":[1,2.5,\"x\"],\"a\":null}", "{\"a\":null,\"b\":[1,2.5,\"x\"]}");
        EXPECT(".items | map(.n) | add", "{\"items\":[{\"n\":1},{\"n\":41}]}", "42");
        EXPECT(".[]", "[1,{\"z\":1,\"a\":2},\"é\"]", "[1,{\"a\":2,\"z\":1},\"é\"]");
        EXPECT(".[]", "[7]", "7");
        EXPECT("empty", "1", "null");
        EXPECT("[empty]", "1", "[]");
        EXPECT("false", "1", "false");
        EXPECT(".", NULL, "null");
        EXPECT("", "[true]", "[true]");
        EXPECT("# only a remark", "\"\\u20ac\\n\"", "\"€\\n\"");
        EXPECT("\"a\\\"b\\\\c\\u0001\"", "1", "\"a\\\"b\\\\c\\u0001\"");
        EXPECT("halt", "1", "null");
        EXPECT("1, halt, 2", "1", "1");
        EXPECT("label $out | 1, break $out, 2", "1", "1");
        EXPECT(".a as [$x] | {$x, y: ($x|tostring|test(\"^[0-9]+$\"))}", "{\"a\":[12]}",
               "{\"x\":12,\"y\":true}");
        harness_stop(&h);
}

Test(transform, numbers_are_canonical) {
        Harness h;
        start(&h, (TransformSettings){0});
        EXPECT("[1e17, 1e-7, -0, 0.1+0.2, 3.0, 1e100]", "1",
               "[100000000000000000,1e-7,0,0.30000000000000004,3,1e+100]");
        EXPECT("[nan, infinite, -infinite]", "1", "[null,1.7976931348623157e+308,-1.7976931348623157e+308]");
        EXPECT("[9007199254740992, -9007199254740992]", "1", "[9007199254740992,-9007199254740992]");
        harness_stop(&h);
}

Test(transform, there_is_no_world_but_the_input) {
        Harness h;
        setenv("RUNBOOK_TEST_SECRET", "s3cr3t", 1);
        start(&h, (TransformSettings){0});
        EXPECT("[env, $ENV]", "1", "[{},{}]");
        EXPECT("[inputs]", "1", "[]");
        EXPECT("input_filename", "1", "null");
        EXPECT("try input catch .", "1", "\"break\"");
        EXPECT("0 | localtime | mktime", "1", "0");
        EXPECT("0 | strflocaltime(\"%H:%M %Z\")", "1", "\"00:00 UTC\"");
        expect_error(&h, "import \"passwd\" as $x {search: \"/etc\"}; $x", "1", "TRANSFORM_COMPILE", false,
                     "passwd");
        char path[] = "/tmp/runbook-jq-XXXXXX.json";
        int fd = mkstemps(path, 5);
        cr_assert(fd >= 0 && write(fd, "[1]", 3) == 3);
        close(fd);
        char program[256];
        snprintf(program, sizeof(program), "import \"%.*s\" as $x {search: \"/tmp\"}; $x",
                 (int)strlen(path) - 10, path + 5);
        expect_error(&h, program, "1", "TRANSFORM_COMPILE", false,
                     IS_SANITIZED ? "Could not open" : "not found");
        unlink(path);
        harness_stop(&h);
}

Test(transform, a_result_is_logged_with_its_figures) {
        Harness h;
        start(&h, (TransformSettings){0});
        TaskResult r = run(&h, ".a | debug | .+1", "{\"a\":1}");
        cr_assert(r.ok);
        cr_expect_str_eq(harness_string(r.logs, "0.level"), "debug");
        cr_expect_str_eq(harness_string(r.logs, "0.message"), "jq debug: 1");
        cr_expect_str_eq(harness_string(r.logs, "1.level"), "info");
        cr_expect(strstr(harness_string(r.logs, "1.message"), "transform in "));
        cr_expect_eq(harness_integer(r.logs, "1.metadata.inputBytes"), 7);
        cr_expect_eq(harness_integer(r.logs, "1.metadata.outputBytes"), 1);
        cr_expect_eq(harness_integer(r.logs, "1.metadata.attempt"), 1);
        cr_expect_null(r.evidence);
        harness_result_free(&r);
        r = run(&h, "range(500) | debug | empty", "1");
        cr_assert(r.ok);
        cr_expect_eq(json_array_size(value_json(r.logs)), 102,
                     "the first hundred, that there were more, and what became of it");
        harness_result_free(&r);
        r = run(&h, "[range(100000)] | debug | length", "1");
        cr_assert(r.ok);
        cr_expect(strlen(harness_string(r.logs, "0.message")) < 4200);
        harness_result_free(&r);
        harness_stop(&h);
}

Test(transform, lost_digits_are_told) {
        Harness h;
        start(&h, (TransformSettings){0});
        TaskResult r = run(&h, ".", "{\"big\":9007199254740993}");
        cr_assert(r.ok);
        bool kept = json_integer_value(harness_at(r.output, "big")) == 9007199254740993;
        cr_expect(kept ||
                  strstr(harness_string(r.logs, "0.message"), "9007199254740993 in the input was rounded"));
        harness_result_free(&r);
        r = run(&h, ".",
                "[9007199254740992, 1.00000000000000000001, \"9007199254740993\", 12345678901234567e3]");
        cr_assert(r.ok);
        cr_expect_eq(json_array_size(value_json(r.logs)), 1);
        harness_result_free(&r);
        harness_stop(&h);
}

/* ---- errors -------------------------------------------------------------------------------------------- */

Test(transform, wrong_programs) {
        Harness h;
        start(&h, (TransformSettings){0});
        expect_error(&h, ".a | foo(", "1", "TRANSFORM_COMPILE", false,
                     "the jq program does not compile: syntax error");
        expect_error(&h, ".a | nothing_like_it", "1", "TRANSFORM_COMPILE", false,
                     "nothing_like_it/0 is not defined");
        expect_error(&h, "$x + $y", "1", "TRANSFORM_COMPILE", false, "$y is not defined");
        TaskResult r = run(&h, "$x", "1");
        cr_expect(!strstr(harness_string(r.error, "message"), "compile error"), "no count of errors");
        harness_result_free(&r);
        r = harness_run(&h, harness_task_of(&h, &step, json_pack("{s:i}", "jq", 3), NULL));
        cr_expect_str_eq(harness_string(r.error, "code"), "CONFIG_INVALID");
        harness_result_free(&r);
        harness_stop(&h);
}

Test(transform, programs_that_fail) {
        Harness h;
        start(&h, (TransformSettings){0});
        expect_error(&h, ".a + 1", "{\"a\":\"x\"}", "TRANSFORM_ERROR", false, "cannot be added");
        expect_error(&h, "1, error(\"so it is\")", "1", "TRANSFORM_ERROR", false, "so it is");
        expect_error(&h, "\"bye\" | halt_error", "1", "TRANSFORM_ERROR", false, "bye");
        TaskResult r = run(&h, "error({b: 1, a: [2]})", "1");
        cr_expect_str_eq(harness_string(r.error, "code"), "TRANSFORM_ERROR");
        cr_expect_eq(harness_integer(r.error, "details.value.a.0"), 2);
        cr_expect_str_eq(harness_string(r.error, "message"), "error {\"b\":1,\"a\":[2]}");
        cr_expect_str_eq(harness_string(r.logs, "0.level"), "warn");
        cr_expect_str_eq(harness_string(r.logs, "0.metadata.code"), "TRANSFORM_ERROR");
        harness_result_free(&r);
        expect_error(&h, "error([range(100000)])", "1", "TRANSFORM_ERROR", false, "too large or too deep");
        expect_error(&h, "error(\"x\" * 100000)", "1", "TRANSFORM_ERROR", false, "xxx");
        EXPECT("try error(\"x\") catch .", "1", "\"x\"");
        EXPECT(".[0]", "[3]", "3");
        harness_stop(&h);
}

Test(transform, results_that_values_cannot_hold) {
        Harness h;
        start(&h, (TransformSettings){0});
        expect_error(&h, "[range(1000000)]", "1", "OUTPUT_TOO_LARGE", false, "LIMIT_VALUE_BYTES");
        expect_error(&h, "repeat(1)", "1", "OUTPUT_TOO_LARGE", false, "LIMIT_VALUE_BYTES");
        expect_error(&h, "\"x\" * 1048575", "1", "OUTPUT_TOO_LARGE", false, "1048576");
        TaskResult r = run(&h, "\"x\" * 1048574", "1");
        cr_expect(r.ok);
        cr_expect_eq(value_bytes(r.output).n, 1048576);
        harness_result_free(&r);
        /* 120000 numbers of 9 bytes each that are 22 bytes long in canonical form */
        expect_error(&h, "[range(120000) | 1e20]", "1", "OUTPUT_TOO_LARGE", false, "LIMIT_VALUE_BYTES");
        expect_error(&h, "reduce range(65) as $i (0; [.])", "1", "OUTPUT_INVALID", false, "64 levels");
        r = run(&h, "reduce range(64) as $i (0; [.])", "1");
        cr_expect(r.ok && value_json(r.output));
        harness_result_free(&r);
        expect_error(&h, "[0] | implode", "1", "OUTPUT_INVALID", false, "U+0000");
        expect_error(&h, "{([0] | implode): 1}", "1", "OUTPUT_INVALID", false, "U+0000");
        Buf deep = {0};
        for (int i = 0; i < 300; i++)
                buf_put_char(&deep, '[');
        for (int i = 0; i < 300; i++)
                buf_put_char(&deep, ']');
        char *text = buf_steal_str(&deep);
        expect_error(&h, ".", text, "INPUT_INVALID", false, "depth limit");
        free(text);
        harness_stop(&h);
}

/* ---- programs that don't end, or end badly ------------------------------------------------------------- */

Test(transform, endless_programs_time_out_and_others_go_on) {
        Harness h;
        start(&h, (TransformSettings){.pool = 2});
        h.timeout_ms = 1500; /* the other must be done before, on a busy machine, too */
        Task *endless = task(&h, "def f: f; f", "1");
        h.timeout_ms = 0;
        h.executor->vtable->submit(h.executor, endless);
        EXPECT(".+1", "1", "2");
        cr_assert(harness_wait(&h, 1));
        cr_expect_str_eq(harness_string(h.results[0].error, "code"), "TRANSFORM_TIMEOUT");
        cr_expect(json_is_true(harness_at(h.results[0].error, "retryable")));
        cr_expect(strstr(harness_string(h.results[0].error, "message"), "1500 ms"));
        harness_forget_results(&h);
        EXPECT(".+1", "2", "3");
        harness_stop(&h);
}

Test(transform, waiting_for_a_turn_counts) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        h.timeout_ms = 400;
        h.executor->vtable->submit(h.executor, task(&h, "def f: f; f", "1"));
        h.timeout_ms = 100;
        h.executor->vtable->submit(h.executor, task(&h, ".", "1"));
        cr_assert(harness_wait(&h, 1));
        cr_expect_str_eq(harness_string(h.results[0].error, "code"), "TRANSFORM_TIMEOUT");
        cr_expect(strstr(harness_string(h.results[0].error, "message"), "TRANSFORM_POOL"));
        cr_assert(harness_wait(&h, 2));
        harness_stop(&h);
}

Test(transform, cpu_time_has_a_limit_of_its_own) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1, .cpu_ms = 150});
        expect_error(&h, "def f: f; f", "1", "TRANSFORM_TIMEOUT", false, "TRANSFORM_CPU_MS");
        for (int i = 0; i < 300; i++) /* together they take more than one may */
                EXPECT("reduce range(3000) as $i (0; .+1)", "1", "3000");
        harness_stop(&h);
}

Test(transform, memory_has_a_limit, .disabled = IS_SANITIZED) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1, .memory_mb = 64});
        const char *greedy[] = {"[range(1000000) | \"a longer string than that\" + tostring] | length",
                                "reduce range(40) as $i (\"xy\"; . + .) | length", "def f: [f, f]; f"};
        for (size_t i = 0; i < 3; i++) {
                expect_error(&h, greedy[i], "1", "TRANSFORM_MEMORY", false, "TRANSFORM_MEMORY_MB");
                EXPECT(".+1", "1", "2"); /* so that the next one meets a used process and gets a second try */
        }
        /* Much, but not too much, again and again: what one run leaves behind must not fail the next. */
        for (int i = 0; i < 30; i++)
                EXPECT("[range(3) | reduce range(22) as $i (\"x\"; . + .)] | length", "1", "3");
        harness_stop(&h);
}

Test(transform, a_crash_fails_only_its_own) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        for (int i = 0; i < 4; i++) {
                EXPECT(".", "1", "1");
                pid_t pid = only_helper();
                h.executor->vtable->submit(h.executor, task(&h, "def f: f; f", "1"));
                h.executor->vtable->submit(h.executor, task(&h, ".+1", "1"));
                sleep_ms(30);
                kill(pid, i % 2 ? SIGSEGV : SIGKILL);
                cr_assert(harness_wait(&h, 2));
                cr_expect_str_eq(harness_string(h.results[0].error, "code"), "TRANSFORM_CRASHED");
                cr_expect(json_is_true(harness_at(h.results[0].error, "retryable")));
                cr_expect(h.results[1].ok, "%s", harness_string(h.results[1].error, "message"));
                cr_expect_neq(only_helper(), pid);
                harness_forget_results(&h);
        }
        kill(only_helper(), SIGKILL); /* an idle one */
        sleep_ms(50);
        EXPECT(".", "1", "1");
        harness_stop(&h);
}

Test(transform, recursion_in_jq_itself_is_survived) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        TaskResult r = run(&h, "reduce range(1000000) as $i (0; [.]) | length", "1");
        if (!r.ok) /* depends on how libjq frees values: that it may crash of it is the point */
                cr_expect_str_eq(harness_string(r.error, "code"), "TRANSFORM_CRASHED");
        harness_result_free(&r);
        EXPECT(".", "1", "1");
        harness_stop(&h);
}

/* ---- cancel, turns, ends ------------------------------------------------------------------------------- */

Test(transform, cancelled_jobs_have_no_result) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        Task *tasks[3];
        for (int i = 0; i < 3; i++)
                tasks[i] = task(&h, "def f: f; f", "1");
        Uuid id = tasks[0]->execution_id;
        uint32_t first = tasks[0]->instance;
        for (int i = 0; i < 3; i++)
                h.executor->vtable->submit(h.executor, tasks[i]);
        cr_expect_eq(h.executor->vtable->n_open(h.executor), 3);
        sleep_ms(20);
        for (uint32_t i = 0; i < 3; i++)
                h.executor->vtable->cancel(h.executor, id, first + 2 - i, 1);
        h.executor->vtable->cancel(h.executor, id, first, 1);
        h.executor->vtable->cancel(h.executor, id, 12345, 1);
        cr_expect(wait_until_closed(&h));
        cr_expect_eq(h.n_results, 0);
        EXPECT(".", "1", "1");
        harness_stop(&h);
}

Test(transform, a_short_run_that_is_cancelled_keeps_its_process) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        EXPECT(".", "1", "1");
        pid_t pid = only_helper();
        for (int i = 0; i < 50; i++) {
                Task *t = task(&h, "reduce range(1000) as $i (0; .+1)", "1");
                Uuid id = t->execution_id;
                uint32_t instance = t->instance;
                h.executor->vtable->submit(h.executor, t);
                h.executor->vtable->cancel(h.executor, id, instance, 1);
        }
        cr_expect(wait_until_closed(&h));
        cr_expect_eq(only_helper(), pid);
        harness_stop(&h);
}

Test(transform, a_process_is_replaced_after_many_runs) {
        enum { N = 20500 }; /* more than TRANSFORM_RUNS_MAX */
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        EXPECT(".", "1", "1");
        pid_t pid = only_helper();
        for (size_t n = 0; n < N; n += 500) {
                for (int i = 0; i < 500; i++)
                        h.executor->vtable->submit(h.executor, task(&h, ".+1", "1"));
                cr_assert(harness_wait(&h, 500));
                for (int i = 0; i < 500; i++)
                        cr_assert(h.results[i].ok);
                harness_forget_results(&h);
        }
        cr_expect_neq(only_helper(), pid);
        harness_stop(&h);
}

Test(transform, tenants_take_turns) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1});
        const char *program = "reduce range(100000) as $i (0; .+1)";
        for (int i = 0; i < 10; i++)
                h.executor->vtable->submit(h.executor, task(&h, program, "1"));
        Task *other = task(&h, program, "1");
        other->tenant = SLICE("other");
        uint32_t instance = other->instance;
        h.executor->vtable->submit(h.executor, other);
        cr_assert(harness_wait(&h, 11));
        size_t place = 0;
        while (h.results[place].instance != instance)
                place++;
        cr_expect(place <= 2, "came as number %zu", place);
        harness_stop(&h);
}

Test(transform, stop_leaves_nothing) {
        Harness h;
        start(&h, (TransformSettings){.pool = 3});
        for (int i = 0; i < 20; i++)
                h.executor->vtable->submit(h.executor, task(&h, "def f: f; f", "1"));
        sleep_ms(30);
        harness_stop_executor(&h);
        cr_expect_eq(h.n_results, 0);
        cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1);
        cr_expect_eq(errno, ECHILD, "no process is left");
        harness_stop(&h);
}

Test(transform, too_many_are_refused) {
        Harness h;
        start(&h, (TransformSettings){.pool = 1, .open_max = 2});
        for (int i = 0; i < 3; i++)
                h.executor->vtable->submit(h.executor, task(&h, "def f: f; f", "1"));
        cr_assert(harness_wait(&h, 1));
        cr_expect_str_eq(harness_string(h.results[0].error, "code"), "OVERLOADED");
        cr_expect(json_is_true(harness_at(h.results[0].error, "retryable")));
        harness_stop(&h);
}

/* ---- the helper ---------------------------------------------------------------------------------------- */

static void expect_refused(TransformSettings settings, const char *part) {
        Harness h = {0};
        ExecutorHost host = harness_host(&h);
        Report report = {0};
        cr_assert(transform_executor_new(&settings, &host, &report, &h.executor) < 0);
        cr_expect(report.message && strstr(report.message, part), "%s", report.message);
        report_deinit(&report);
        harness_stop(&h);
}

static void write_script(char *path, const char *text) {
        int fd = mkstemp(path);
        cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        cr_assert_eq(fchmod(fd, 0755), 0);
        close(fd);
}

Test(transform, a_helper_that_does_not_work_is_told_at_the_start) {
        expect_refused((TransformSettings){.helper = "/nonexistent/runbook-jq"}, "RUNBOOK_JQ_PATH");
        expect_refused((TransformSettings){.helper = "/tmp"}, "not a plain file");
        expect_refused((TransformSettings){.helper = "/etc/passwd"}, "Permission denied");
        expect_refused((TransformSettings){.helper = "/bin/true"},
                       "ended before it was ready (exit status 0)");
        char path[] = "/tmp/runbook-test-XXXXXX", other[] = "/tmp/runbook-test-XXXXXX";
        write_script(path, "no program at all\n");
        expect_refused((TransformSettings){.helper = path}, "can't be started");
        unlink(path);
        write_script(other, "#!/bin/sh\nprintf 'what is this, a shell?' >&0\nsleep 5\n");
        expect_refused((TransformSettings){.helper = other}, "ended before it was ready (Killed)");
        unlink(other);
        expect_refused((TransformSettings){.helper = RUNBOOK_JQ, .pool = 65}, "TRANSFORM_POOL is 65");
        expect_refused((TransformSettings){.helper = RUNBOOK_JQ, .memory_mb = 8}, "TRANSFORM_MEMORY_MB is 8");
        expect_refused((TransformSettings){.helper = RUNBOOK_JQ, .cpu_ms = -1}, "TRANSFORM_CPU_MS is -1");
}

Test(transform, the_helper_is_looked_for_beside_the_program) {
        char link[4096];
        ssize_t n = readlink("/proc/self/exe", link, sizeof(link) - 32);
        cr_assert(n > 0);
        link[n] = '\0';
        strcpy(strrchr(link, '/'), "/runbook-jq");
        unlink(link);
        cr_assert_eq(symlink(RUNBOOK_JQ, link), 0);
        Harness h = {0};
        ExecutorHost host = harness_host(&h);
        Report report = {0};
        int r = transform_executor_new(&(TransformSettings){0}, &host, &report, &h.executor);
        unlink(link);
        cr_assert_eq(r, 0, "%s", report.message);
        EXPECT(".", "1", "1");
        harness_stop(&h);
}

static void read_proc(pid_t pid, const char *what, char *text, size_t size) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
        FILE *f = fopen(path, "r");
        cr_assert(f);
        text[fread(text, 1, size - 1, f)] = '\0';
        fclose(f);
}

Test(transform, the_helper_has_given_up_what_it_does_not_need) {
        char text[8192];
        Harness h;
        start(&h, (TransformSettings){.pool = 1, .memory_mb = 128});
        pid_t pid = only_helper();
        read_proc(pid, "environ", text, sizeof(text));
        cr_expect_str_eq(text, "");
        read_proc(pid, "limits", text, sizeof(text));
        cr_expect(strstr(text, "Max open files            0                    0"));
        cr_expect(strstr(text, "Max processes             0                    0"));
        cr_expect(strstr(text, "Max core file size        0                    0"));
        cr_expect(IS_SANITIZED || strstr(text, "Max address space         134217728            134217728"),
                  "%s", text);
        read_proc(pid, "status", text, sizeof(text));
        cr_expect(strstr(text, "NoNewPrivs:\t1"));
        cr_expect(IS_SANITIZED || strstr(text, "Seccomp:\t2"));
        char path[64], target[64] = {0};
        snprintf(path, sizeof(path), "/proc/%d/fd", pid);
        DIR *fds = opendir(path);
        int n = 0;
        for (struct dirent *d; (d = readdir(fds));)
                n += d->d_name[0] != '.';
        closedir(fds);
        cr_expect_eq(n, 3, "the socket and twice nothing");
        snprintf(path, sizeof(path), "/proc/%d/fd/1", pid);
        cr_assert(readlink(path, target, sizeof(target) - 1) > 0);
        cr_expect_str_eq(target, "/dev/null");
        harness_stop(&h);
}
