#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "../leaks.h"
#include "daemon/config.h"

/** The environment of the machine that runs the tests must not matter. */
static void clean_environment(void) { clearenv(); }

TestSuite(config, .init = clean_environment, .fini = check_leaks);

static int load(Config *c, Report *report, int n, const char *const *arguments) {
        char *argv[16] = {"runbookd"};
        for (int i = 0; i < n; i++)
                argv[i + 1] = (char *)arguments[i];
        return config_load(n + 1, argv, report, c);
}

Test(config, defaults) {
        Config c;
        Report report = {0};
        cr_assert_eq(load(&c, &report, 0, NULL), 0);
        cr_assert_str_eq(c.nats_url, "nats://127.0.0.1:4222");
        cr_assert_str_eq(c.subject_prefix, "runbook.v1");
        cr_assert_str_eq(c.storage_backend, "lmdb");
        cr_assert_eq(c.max_concurrent_steps, 5);
        cr_assert_eq(c.max_retries, 3);
        cr_assert_eq(c.initial_delay_ms, 1000);
        cr_assert_eq(c.max_delay_ms, 10000);
        cr_assert_float_eq(c.backoff_multiplier, 2.0, 1e-9);
        cr_assert_not(c.allow_timeout_approve);
        cr_assert_null(c.nats_creds);
        cr_assert_null(c.reply_prefixes.items[0]);
        cr_assert_str_empty(c.unused);
        config_deinit(&c);
}

Test(config, options_beat_the_environment_beats_defaults) {
        Config c;
        Report report = {0};
        setenv("NATS_URL", "nats://env:1", 1);
        setenv("MAX_CONCURRENT_STEPS", "7", 1);
        setenv("DATA_DIR", "", 1);
        const char *arguments[] = {"--nats-url",
                                   "nats://option:1",
                                   "--allow-timeout-approve",
                                   "--default-backoff-multiplier=1.5",
                                   "--reply-prefixes",
                                   "_INBOX_a, _INBOX_b"};
        cr_assert_eq(load(&c, &report, 6, arguments), 0, "%s", report.message);
        cr_assert_str_eq(c.nats_url, "nats://option:1");
        cr_assert_eq(c.max_concurrent_steps, 7);
        cr_assert_str_eq(c.data_dir, "/var/lib/runbook", "an empty value is none");
        cr_assert(c.allow_timeout_approve);
        cr_assert_float_eq(c.backoff_multiplier, 1.5, 1e-9);
        cr_assert_str_eq(c.reply_prefixes.items[0], "_INBOX_a");
        cr_assert_str_eq(c.reply_prefixes.items[1], "_INBOX_b");
        cr_assert_null(c.reply_prefixes.items[2]);
        config_deinit(&c);
}

Test(config, wrong_values_are_named) {
        static const struct {
                const char *name, *value, *word;
        } bad[] = {
                        {"MAX_CONCURRENT_STEPS", "0", "MAX_CONCURRENT_STEPS"},
                        {"MAX_CONCURRENT_STEPS", "five", "\"five\""},
                        {"MAX_CONCURRENT_STEPS", "1.5", "whole number"},
                        {"MAX_CONCURRENT_STEPS", "1e3", "whole number"},
                        {"MAX_CONCURRENT_STEPS", "99999999999999999999", "MAX_CONCURRENT_STEPS"},
                        {"DEFAULT_INITIAL_DELAY_MS", "-1", "DEFAULT_INITIAL_DELAY_MS"},
                        {"DEFAULT_BACKOFF_MULTIPLIER", "nan", "DEFAULT_BACKOFF_MULTIPLIER"},
                        {"DEFAULT_BACKOFF_MULTIPLIER", "0.5", "DEFAULT_BACKOFF_MULTIPLIER"},
                        {"DEFAULT_INITIAL_DELAY_MS", "20000", "DEFAULT_MAX_DELAY_MS"},
                        {"STORAGE_BACKEND", "postgres", "lmdb memory"},
                        {"STORAGE_BACKEND", "lm", "lmdb memory"},
                        {"ALLOW_TIMEOUT_APPROVE", "perhaps", "true or false"},
                        {"LOG_LEVEL", "loud", "LOG_LEVEL"},
                        {"AUTHZ_TOKEN_FILE", "/x", "AUTHZ_URL"},
                        {"AUTHZ_TIMEOUT_MS", "0", "AUTHZ_TIMEOUT_MS"},
                        {"NATS_PASSWORD", "x", "NATS_USER"},
                        {"NATS_NKEY", "/x", "NATS_NKEY_PUBLIC"},
                        {"NATS_CERT", "/x", "NATS_KEY"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Config c;
                Report report = {0};
                clearenv();
                setenv(bad[i].name, bad[i].value, 1);
                cr_assert_eq(load(&c, &report, 0, NULL), -EINVAL, "%s=%s", bad[i].name, bad[i].value);
                cr_assert_not_null(strstr(report.message, bad[i].word), "%s", report.message);
                report_deinit(&report);
                config_deinit(&c);
        }
}

Test(config, wrong_options_are_named) {
        static const struct {
                const char *argument, *word;
        } bad[] = {
                        {"--nats-ulr", "did you mean --nats-url?"},
                        {"--nats-url", "needs a value"},
                        {"nats", "no option \"nats\""},
                        {"-x", "no option"},
                        {"--max-concurrent-steps=x", "MAX_CONCURRENT_STEPS"},
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                Config c;
                Report report = {0};
                cr_assert_eq(load(&c, &report, 1, &bad[i].argument), -EINVAL, "%s", bad[i].argument);
                cr_assert_not_null(strstr(report.message, bad[i].word), "%s", report.message);
                report_deinit(&report);
                config_deinit(&c);
        }
}

Test(config, what_other_programs_read_is_noticed) {
        Config c;
        Report report = {0};
        setenv("PORT", "3000", 1);
        setenv("DATABASE_URL", "postgres://x", 1);
        cr_assert_eq(load(&c, &report, 0, NULL), 0);
        cr_assert_str_eq(c.unused, "DATABASE_URL");
        config_deinit(&c);
}

Test(config, secrets_are_not_shown) {
        Config c;
        Report report = {0};
        Buf text = {0};
        setenv("NATS_URL", "nats://user:hidden1@host:1,nats://other:hidden2@host:2", 1);
        setenv("NATS_TOKEN", "hidden3", 1);
        cr_assert_eq(load(&c, &report, 0, NULL), 0);
        config_put_values(&c, &text);
        buf_put_char(&text, 0);
        cr_assert_null(strstr(text.data, "hidden"), "%s", text.data);
        cr_assert_not_null(strstr(text.data, "NATS_URL=nats://host:1,nats://host:2\n"));
        cr_assert_not_null(strstr(text.data, "NATS_TOKEN=(given)\n"));
        cr_assert_not_null(strstr(text.data, "DEFAULT_BACKOFF_MULTIPLIER=2\n"));
        buf_deinit(&text);
        config_deinit(&c);
}

Test(config, help_names_every_setting) {
        Config c;
        Report report = {0};
        Buf help = {0}, values = {0};
        char *save = NULL;
        cr_assert_eq(load(&c, &report, 0, NULL), 0);
        config_put_help(&help);
        buf_put_char(&help, 0);
        config_put_values(&c, &values);
        buf_put_char(&values, 0);
        for (char *line = strtok_r(values.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                *strchr(line, '=') = 0;
                cr_assert_not_null(strstr(help.data, line), "%s", line);
        }
        buf_deinit(&help);
        buf_deinit(&values);
        config_deinit(&c);
}
