#pragma once
/* What a program is told: environment variables, and options of the same names; one table, one struct. */

#include "base/report.h"

#define SETTINGS_MAX     128 /* rows of a table */
#define SETTING_LIST_MAX 64  /* entries of a setting that is a list */
#define SETTING_NAME_MAX 64  /* bytes of a name, the NUL included */

/** What a value is, and the type of the member that it goes to. */
typedef enum SettingKind {
        SETTING_STRING, /* const char *, borrowed from the environment or the command line; NULL: not given */
        SETTING_SECRET, /* the same, never shown */
        SETTING_URL,    /* the same, shown without user and password */
        SETTING_CHOICE, /* the same: one of Setting.choices */
        SETTING_BOOL,   /* bool */
        SETTING_NUMBER, /* int64_t, from min to max */
        SETTING_REAL,   /* double, likewise */
        SETTING_LIST    /* SettingList */
} SettingKind;

/** Words with commas or blanks between. */
typedef struct SettingList {
        const char *items[SETTING_LIST_MAX + 1]; /* NULL-terminated */
        char *text;                              /* owned: where they live */
} SettingList;

typedef struct Setting {
        const char *name; /* in the environment; the option is the same in lower case with dashes */
        SettingKind kind;
        size_t offset;        /* of its member */
        const char *fallback; /* the default as text; NULL: none */
        const char *help;
        double min, max;
        const char *choices; /* words with blanks between */
} Setting;

/** What a program may be asked to do instead of running, or how to run. Up to two words stand behind it. */
typedef struct SettingAction {
        const char *name; /* with its dashes */
        size_t flag;      /* offset of the bool that it sets */
        size_t words[2];  /* offsets of where they go; 0: none (no word goes to the very first member) */
        unsigned n_needed;
        bool looks_at_nothing; /* help, version: wrong values don't matter to it */
        const char *help;
} SettingAction;

typedef struct SettingTable {
        const char *program; /* its name, for sentences */
        const Setting *settings;
        size_t n_settings;
        const SettingAction *actions;
        size_t n_actions;
        int name_width; /* columns of names in the help */
} SettingTable;

/** getenv, or what a test has in its place. */
typedef char *(*SettingLookup)(const char *name);

/**
 * Fill the zeroed struct @ret: defaults, then @environment, then the command line. 0, or -EINVAL with a
 * sentence in @report that names the wrong value. settings_deinit must follow either way.
 */
int settings_read(const SettingTable *t, int argc, char *const *argv, SettingLookup environment,
                  Report *report, void *ret);
/** Free what @values holds; zeroed or filled. */
void settings_deinit(const SettingTable *t, void *values);
/** A line for each setting with its default; a line for each action. */
void settings_put_help(const SettingTable *t, Buf *b);
void settings_put_actions(const SettingTable *t, Buf *b);
/** One "NAME=value" a line, secrets masked. */
void settings_put_values(const SettingTable *t, const void *values, Buf *b);
