#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/settings.h"

TestSuite(settings, .fini = check_leaks);

typedef struct Told {
        bool first; /* no word of an action may go here */
        const char *text, *secret, *url, *choice, *target;
        bool flag, help, copy;
        int64_t number;
        double real;
        SettingList list;
} Told;

#define AT(member) offsetof(Told, member)

static const Setting rows[] = {
                {"A_TEXT", SETTING_STRING, AT(text), "plain", "words"},
                {"A_SECRET", SETTING_SECRET, AT(secret), NULL, "hush"},
                {"A_URL", SETTING_URL, AT(url), "nats://127.0.0.1:1", "where"},
                {"A_CHOICE", SETTING_CHOICE, AT(choice), "red", "a colour", 0, 0, "red green"},
                {"A_FLAG", SETTING_BOOL, AT(flag), "false", "or not"},
                {"A_NUMBER", SETTING_NUMBER, AT(number), "5", "how many", 1, 10},
                {"A_REAL", SETTING_REAL, AT(real), "1.5", "how much", 1, 2},
                {"A_LIST", SETTING_LIST, AT(list), NULL, "some"},
};
static const SettingAction actions[] = {
                {"--copy", AT(copy), {AT(text), AT(target)}, 2, false, "--copy TEXT TARGET"},
                {"--help", AT(help), {0}, 0, true, "this text"},
};
static const SettingTable table = {.program = "it",
                                   .settings = rows,
                                   .n_settings = N_ELEMENTS(rows),
                                   .actions = actions,
                                   .n_actions = N_ELEMENTS(actions),
                                   .name_width = 10};

static char *nothing(const char *name) { return NULL; }

static char *something(const char *name) {
        return !strcmp(name, "A_TEXT")     ? (char *)"of the environment"
               : !strcmp(name, "A_NUMBER") ? (char *)"7"
               : !strcmp(name, "A_CHOICE") ? (char *)""
               : !strcmp(name, "A_LIST")   ? (char *)"x, y,,z"
                                           : NULL;
}

static char *nonsense(const char *name) { return !strcmp(name, "A_NUMBER") ? (char *)"seven" : NULL; }

/** Read @line, words with blanks between, as the command line. */
static int read_line(const char *line, SettingLookup environment, Report *report, Told *ret) {
        static char room[256];
        char *argv[16] = {(char *)"it"}, *save = NULL;
        int argc = 1;
        snprintf(room, sizeof(room), "%s", line);
        for (char *w = strtok_r(room, " ", &save); w; w = strtok_r(NULL, " ", &save))
                argv[argc++] = w;
        *ret = (Told){0};
        return settings_read(&table, argc, argv, environment, report, ret);
}

Test(settings, defaults) {
        Report report = {0};
        Told told;
        cr_assert_eq(read_line("", nothing, &report, &told), 0);
        cr_assert_str_eq(told.text, "plain");
        cr_assert_null(told.secret);
        cr_assert_str_eq(told.choice, "red");
        cr_assert_not(told.flag);
        cr_assert_eq(told.number, 5);
        cr_assert_float_eq(told.real, 1.5, 1e-9);
        cr_assert_null(told.list.items[0]);
        settings_deinit(&table, &told);
}

Test(settings, the_environment_beats_defaults_and_options_beat_both) {
        Report report = {0};
        Told told;
        cr_assert_eq(read_line("--a-number 9 --a-list=u --a-flag", something, &report, &told), 0, "%s",
                     report.message);
        cr_assert_str_eq(told.text, "of the environment");
        cr_assert_str_eq(told.choice, "red", "an empty value is none");
        cr_assert_eq(told.number, 9);
        cr_assert(told.flag);
        cr_assert_str_eq(told.list.items[0], "u");
        cr_assert_null(told.list.items[1]);
        settings_deinit(&table, &told);
        cr_assert_eq(read_line("--a-text= --a-number=", something, &report, &told), 0, "%s", report.message);
        cr_assert_str_eq(told.text, "plain", "an empty option gives the default back");
        cr_assert_eq(told.number, 5);
        cr_assert_str_eq(told.list.items[2], "z");
        cr_assert_null(told.list.items[3]);
        settings_deinit(&table, &told);
}

Test(settings, flags_may_say_what_they_are) {
        static const struct {
                const char *line;
                bool flag;
        } lines[] = {{"--a-flag", true},
                     {"--a-flag=no", false},
                     {"--a-flag false", false},
                     {"--a-flag yes", true},
                     {"--a-flag --a-number 2", true}};
        for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
                Report report = {0};
                Told told;
                cr_assert_eq(read_line(lines[i].line, nothing, &report, &told), 0, "%s", lines[i].line);
                cr_assert_eq(told.flag, lines[i].flag, "%s", lines[i].line);
                settings_deinit(&table, &told);
        }
}

Test(settings, wrong_lines_are_named) {
        static const struct {
                const char *line, *words;
        } bad[] = {
                        {"--a-number 11", "A_NUMBER must be a whole number from 1 to 10, is \"11\""},
                        {"--a-number 1.5", "whole number"},
                        {"--a-number 99999999999999999999999", "A_NUMBER"},
                        {"--a-real nan", "A_REAL must be a number from 1 to 2"},
                        {"--a-real 1x", "\"1x\""},
                        {"--a-choice re", "A_CHOICE must be one of: red green; is \"re\""},
                        {"--a-flag=perhaps", "true or false"},
                        {"--a-txet x", "did you mean --a-text? (it --help lists them)"},
                        {"--hepl", "did you mean --help?"},
                        {"word", "there is no option \"word\" (it"},
                        {"--a-text", "--a-text needs a value"},
                        {"--copy one", "--copy needs 2 words"},
                        {"--copy one --a-flag", "--copy needs 2 words"},
        };
        for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
                Report report = {0};
                Told told;
                cr_assert_eq(read_line(bad[i].line, nothing, &report, &told), -EINVAL, "%s", bad[i].line);
                cr_expect_not_null(strstr(report.message, bad[i].words), "%s: %s", bad[i].line,
                                   report.message);
                settings_deinit(&table, &told);
                report_deinit(&report);
        }
}

Test(settings, what_was_replaced_may_be_wrong) {
        Report report = {0};
        Told told;
        cr_assert_eq(read_line("", nonsense, &report, &told), -EINVAL);
        settings_deinit(&table, &told);
        report_deinit(&report);
        report = (Report){0};
        cr_assert_eq(read_line("--a-number 2", nonsense, &report, &told), 0);
        cr_assert_eq(told.number, 2);
        settings_deinit(&table, &told);
        cr_assert_eq(read_line("-h", nonsense, &report, &told), 0, "help comes whatever is wrong");
        cr_assert(told.help);
        settings_deinit(&table, &told);
}

Test(settings, words_behind_an_action) {
        Report report = {0};
        Told told;
        cr_assert_eq(read_line("--copy here there", something, &report, &told), 0);
        cr_assert(told.copy);
        cr_assert_str_eq(told.text, "here");
        cr_assert_str_eq(told.target, "there");
        settings_deinit(&table, &told);
}

Test(settings, lists_have_an_end) {
        Report report = {0};
        Told told = {0};
        char line[512] = "--a-list=";
        for (int i = 0; i < SETTING_LIST_MAX + 1; i++)
                strcat(line, "x,");
        char *argv[] = {(char *)"it", line};
        cr_assert_eq(settings_read(&table, 2, argv, nothing, &report, &told), -EINVAL);
        cr_assert_str_eq(report.message, "A_LIST has more than 64 entries");
        settings_deinit(&table, &told);
        report_deinit(&report);
}

Test(settings, they_are_shown_without_secrets) {
        Report report = {0};
        Told told;
        Buf b = {0};
        cr_assert_eq(read_line("--a-secret psst --a-url nats://u:hidden@h:1 --a-list a,b", nothing, &report,
                               &told),
                     0);
        settings_put_values(&table, &told, &b);
        buf_put_char(&b, 0);
        cr_assert_str_eq(b.data,
                         "A_TEXT=plain\nA_SECRET=(given)\nA_URL=nats://h:1\nA_CHOICE=red\nA_FLAG=false\n"
                         "A_NUMBER=5\nA_REAL=1.5\nA_LIST=a,b\n");
        buf_reset(&b);
        settings_put_help(&table, &b);
        settings_put_actions(&table, &b);
        buf_put_char(&b, 0);
        cr_assert_not_null(strstr(b.data, "  A_SECRET   hush\n"), "%s", b.data);
        cr_assert_not_null(strstr(b.data, "  A_NUMBER   how many (5)\n"), "%s", b.data);
        cr_assert_not_null(strstr(b.data, "  --copy     --copy TEXT TARGET\n"), "%s", b.data);
        buf_deinit(&b);
        settings_deinit(&table, &told);
}
