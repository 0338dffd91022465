/*
 * Settings
 *
 * NATS_URL in the environment is --nats-url on the command line. An option beats the environment, the
 * environment beats the default; an empty value counts as not given. First every setting's text is settled,
 * then all texts are turned into values: so a wrong one that an option has replaced does not matter, and
 * neither does any to --help.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/settings.h"
#include "base/url.h"

#define URL_SHOWN_MAX 1024 /* bytes */
#define WORDS_TRUE    "true yes on 1"
#define WORDS_FALSE   "false no off 0"

/** One run over the command line. */
typedef struct Reading {
        const SettingTable *table;
        int argc;
        char *const *argv;
        const char *texts[SETTINGS_MAX]; /* of each setting; NULL: none */
        void *values;
        Report *report;
        bool looks_at_nothing;
} Reading;

static void *place(void *values, size_t offset) { return (char *)values + offset; }

static bool has_word(const char *words, const char *word) {
        size_t n = strlen(word);
        for (const char *p = words; n > 0 && (p = strstr(p, word)); p += n)
                if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
                        return true;
        return false;
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static int set_bool(const Setting *s, const char *text, Report *report, bool *ret) {
        *ret = has_word(WORDS_TRUE, text);
        if (*ret || has_word(WORDS_FALSE, text))
                return 0;
        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s must be true or false, is \"%s\"", s->name,
                          text);
}

static int set_number(const Setting *s, const char *text, Report *report, void *ret) {
        char *end;
        errno = 0;
        double real = strtod(text, &end);
        bool whole = s->kind == SETTING_REAL || strspn(text, "0123456789") == strlen(text);
        if (errno || *end || end == text || !isfinite(real) || !whole || real < s->min || real > s->max)
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "%s must be a %snumber from %.15g to %.15g, is \"%s\"", s->name,
                                  s->kind == SETTING_REAL ? "" : "whole ", s->min, s->max, text);
        if (s->kind == SETTING_REAL)
                *(double *)ret = real;
        else
                *(int64_t *)ret = (int64_t)real;
        return 0;
}

static int set_list(const Setting *s, const char *text, Report *report, SettingList *ret) {
        char *save = NULL;
        size_t n = 0;
        ret->text = strdup(text);
        if (!ret->text)
                return report_set(report, RUNBOOK_INTERNAL, "out of memory");
        for (char *word = strtok_r(ret->text, ", ", &save); word; word = strtok_r(NULL, ", ", &save)) {
                if (n == SETTING_LIST_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s has more than %d entries",
                                          s->name, SETTING_LIST_MAX);
                ret->items[n++] = word;
        }
        return 0;
}

static int set(const Setting *s, const char *text, Report *report, void *ret) {
        switch (s->kind) {
        case SETTING_BOOL:
                return set_bool(s, text, report, ret);
        case SETTING_NUMBER:
        case SETTING_REAL:
                return set_number(s, text, report, ret);
        case SETTING_LIST:
                return set_list(s, text, report, ret);
        case SETTING_CHOICE:
                if (!has_word(s->choices, text))
                        return report_set(report, RUNBOOK_INVALID_REQUEST, "%s must be one of: %s; is \"%s\"",
                                          s->name, s->choices, text);
                break;
        case SETTING_STRING:
        case SETTING_SECRET:
        case SETTING_URL:
                break;
        }
        *(const char **)ret = text;
        return 0;
}

/* ---- the command line ------------------------------------------------------------------------------------ */

static void option_name(const char *name, char ret[SETTING_NAME_MAX]) {
        size_t i = 0;
        for (; name[i] && i + 1 < SETTING_NAME_MAX; i++)
                ret[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
        ret[i] = 0;
}

static int unknown_option(const SettingTable *t, const char *argument, Report *report) {
        char names[SETTINGS_MAX][SETTING_NAME_MAX];
        const char *candidates[SETTINGS_MAX * 2];
        size_t n = 0;
        for (; n < t->n_settings; n++) {
                option_name(t->settings[n].name, names[n]);
                candidates[n] = names[n];
        }
        for (size_t i = 0; i < t->n_actions && n < SETTINGS_MAX * 2; i++)
                candidates[n++] = t->actions[i].name + 2;
        Slice name = {argument + 2, strcspn(argument + 2, "=")};
        const char *near = strncmp(argument, "--", 2) ? NULL : slice_nearest(name, candidates, n);
        return report_set(report, RUNBOOK_INVALID_REQUEST,
                          "there is no option \"%s\"%s%s%s (%s --help lists them)", argument,
                          near ? "; did you mean --" : "", near ? near : "", near ? "?" : "", t->program);
}

/** A word behind an action: what a setting of the same member is told by it, too. */
static void take_word(Reading *r, size_t offset, const char *word) {
        for (size_t i = 0; i < r->table->n_settings; i++)
                if (r->table->settings[i].offset == offset) {
                        r->texts[i] = word;
                        return;
                }
        *(const char **)place(r->values, offset) = word;
}

/** Take the action that argument *i names, with its words. 0: it is one; 1: it is none; -EINVAL. */
static int take_action(Reading *r, int *i) {
        const char *name = strcmp(r->argv[*i], "-h") ? r->argv[*i] : "--help";
        const SettingAction *a = r->table->actions, *end = a + r->table->n_actions;
        while (a < end && strcmp(a->name, name) != 0)
                a++;
        if (a == end)
                return 1;
        *(bool *)place(r->values, a->flag) = true;
        r->looks_at_nothing |= a->looks_at_nothing;
        for (unsigned w = 0; w < 2 && a->words[w]; w++) {
                bool given = *i + 1 < r->argc && strncmp(r->argv[*i + 1], "--", 2) != 0;
                if (!given && w < a->n_needed)
                        return report_set(r->report, RUNBOOK_INVALID_REQUEST, "%s needs %u words: %s",
                                          a->name, a->n_needed, a->help);
                if (given)
                        take_word(r, a->words[w], r->argv[++*i]);
        }
        return 0;
}

/** The place of the setting that @argument names, with *ret_value what stands behind "="; SETTINGS_MAX: none. */
static size_t find_option(const SettingTable *t, const char *argument, const char **ret_value) {
        if (strncmp(argument, "--", 2) != 0)
                return SETTINGS_MAX;
        Slice given = {argument + 2, strcspn(argument + 2, "=")};
        *ret_value = argument[2 + given.n] == '=' ? argument + 3 + given.n : NULL;
        for (size_t i = 0; i < t->n_settings; i++) {
                char name[SETTING_NAME_MAX];
                option_name(t->settings[i].name, name);
                if (slice_eq_str(given, name))
                        return i;
        }
        return SETTINGS_MAX;
}

static int take_option(Reading *r, int *i) {
        const char *argument = r->argv[*i], *value = NULL, *next = *i + 1 < r->argc ? r->argv[*i + 1] : NULL;
        size_t k = find_option(r->table, argument, &value);
        if (k == SETTINGS_MAX)
                return unknown_option(r->table, argument, r->report);
        bool is_flag = r->table->settings[k].kind == SETTING_BOOL;
        if (!value && is_flag && !(next && (has_word(WORDS_TRUE, next) || has_word(WORDS_FALSE, next)))) {
                value = "true";
        } else if (!value) {
                value = next;
                ++*i;
        }
        if (!value)
                return report_set(r->report, RUNBOOK_INVALID_REQUEST, "%s needs a value", argument);
        r->texts[k] = *value ? value : r->table->settings[k].fallback;
        return 0;
}

int settings_read(const SettingTable *t, int argc, char *const *argv, SettingLookup environment,
                  Report *report, void *ret) {
        Reading reading = {.table = t, .argc = argc, .argv = argv, .values = ret, .report = report};
        int r = t->n_settings <= SETTINGS_MAX ? 0 : report_set(report, RUNBOOK_INTERNAL, "too many settings");
        for (size_t i = 0; i < t->n_settings && !r; i++) {
                const char *text = environment(t->settings[i].name);
                reading.texts[i] = text && *text ? text : t->settings[i].fallback;
        }
        for (int i = 1; i < argc && !r; i++) {
                r = take_action(&reading, &i);
                if (r == 1)
                        r = take_option(&reading, &i);
        }
        for (size_t i = 0; i < t->n_settings && !r && !reading.looks_at_nothing; i++)
                if (reading.texts[i])
                        r = set(&t->settings[i], reading.texts[i], report, place(ret, t->settings[i].offset));
        return r;
}

void settings_deinit(const SettingTable *t, void *values) {
        for (size_t i = 0; i < t->n_settings; i++)
                if (t->settings[i].kind == SETTING_LIST) {
                        SettingList *list = place(values, t->settings[i].offset);
                        free(list->text);
                        *list = (SettingList){0};
                }
}

/* ---- showing --------------------------------------------------------------------------------------------- */

void settings_put_help(const SettingTable *t, Buf *b) {
        for (size_t i = 0; i < t->n_settings; i++) {
                const Setting *s = &t->settings[i];
                buf_printf(b, "  %-*s %s%s%s%s\n", t->name_width, s->name, s->help, s->fallback ? " (" : "",
                           s->fallback ? s->fallback : "", s->fallback ? ")" : "");
        }
}

void settings_put_actions(const SettingTable *t, Buf *b) {
        for (size_t i = 0; i < t->n_actions; i++)
                buf_printf(b, "  %-*s %s\n", t->name_width, t->actions[i].name, t->actions[i].help);
}

static void put_value(const Setting *s, const void *at, Buf *b) {
        const char *text = s->kind <= SETTING_CHOICE ? *(const char *const *)at : NULL;
        char url[URL_SHOWN_MAX];
        switch (s->kind) {
        case SETTING_BOOL:
                buf_put_str(b, *(const bool *)at ? "true" : "false");
                break;
        case SETTING_NUMBER:
                buf_printf(b, "%lld", (long long)*(const int64_t *)at);
                break;
        case SETTING_REAL:
                buf_printf(b, "%.15g", *(const double *)at);
                break;
        case SETTING_LIST:
                for (const char *const *word = ((const SettingList *)at)->items; *word; word++)
                        buf_printf(b, "%s%s", word == ((const SettingList *)at)->items ? "" : ",", *word);
                break;
        case SETTING_URL:
                url_without_secrets(text ? text : "", url, sizeof(url));
                buf_put_str(b, url);
                break;
        case SETTING_SECRET:
                buf_put_str(b, text ? "(given)" : "");
                break;
        case SETTING_STRING:
        case SETTING_CHOICE:
                buf_put_str(b, text ? text : "");
                break;
        }
}

void settings_put_values(const SettingTable *t, const void *values, Buf *b) {
        for (size_t i = 0; i < t->n_settings; i++) {
                buf_printf(b, "%s=", t->settings[i].name);
                put_value(&t->settings[i], (const char *)values + t->settings[i].offset, b);
                buf_put_char(b, '\n');
        }
}
