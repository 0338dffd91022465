/* Runbook definitions from files. */

#include <stdlib.h>
#include <unistd.h>
#include "base/cleanup.h"
#include "cli/definition.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "json/json_read.h"
#include "json/yaml.h"

bool definition_is_file(const char *argument) {
        Slice s = slice_from_str(argument);

        return slice_eq_str(s, "-") || memchr(s.data, '/', s.n) || slice_ends_with(s, SLICE(".json")) ||
               slice_ends_with(s, SLICE(".yaml")) || slice_ends_with(s, SLICE(".yml")) ||
               access(argument, F_OK) == 0;
}

static json_t *parse(Slice text, Report *report) {
        size_t i = 0;

        while (i < text.n && memchr(" \t\r\n", text.data[i], 4))
                i++;
        return i < text.n && text.data[i] == '{' ? json_parse(text, LIMIT_DEFINITION_BYTES, report)
                                                 : yaml_parse(text, LIMIT_DEFINITION_BYTES, report);
}

/** "invalid YAML at line 3, column 7: …" as the parsers say it, taken apart; false for other sentences. */
static bool split_syntax_error(const char *message, Location *ret, const char **ret_rest) {
        char kind[8];
        int n = 0;

        if (sscanf(message, "invalid %7s at line %d, column %d: %n", kind, &ret->line, &ret->column, &n) !=
                            3 ||
            n == 0)
                return false;
        *ret_rest = message + n;
        return true;
}

static void show_error(Cli *cli, const char *path, Location l, const char *pointer, const char *message) {
        if (l.line > 0)
                output_error(cli, "%s:%d:%d: %s%s%s", path, l.line, l.column, pointer, *pointer ? ": " : "",
                             message);
        else
                output_error(cli, "%s: %s%s%s", path, pointer, *pointer ? ": " : "", message);
}

/** An error and where it is. */
typedef struct Located {
        Location at;
        const ReportDetail *detail;
} Located;

/** From top to bottom, as a compiler does; in one place as they were found. */
static int by_place(const void *a, const void *b) {
        const Located *x = a, *y = b;

        if (x->at.line != y->at.line)
                return x->at.line < y->at.line ? -1 : 1;
        if (x->at.column != y->at.column)
                return x->at.column < y->at.column ? -1 : 1;
        return x->detail < y->detail ? -1 : x->detail > y->detail;
}

static void show_errors(Cli *cli, const char *path, Slice text, const Report *report) {
        Located errors[REPORT_DETAILS_MAX];
        Location l = {0};
        const char *rest;

        if (report->n_details == 0) {
                if (report->message && split_syntax_error(report->message, &l, &rest))
                        show_error(cli, path, l, "", rest);
                else
                        show_error(cli, path, (Location){0}, "",
                                   report->message ? report->message : "out of memory");
                return;
        }
        for (size_t i = 0; i < report->n_details && i < REPORT_DETAILS_MAX; i++)
                errors[i] = (Located){locate(text, report->details[i].path), &report->details[i]};
        qsort(errors, report->n_details, sizeof *errors, by_place);
        for (size_t i = 0; i < report->n_details; i++)
                show_error(cli, path, errors[i].at, errors[i].detail->path, errors[i].detail->message);
        if (report->n_dropped > 0)
                output_error(cli, "%s: and %zu more", path, report->n_dropped);
}

/** The protocol's error document with the file, and with lines in its details. */
static void print_errors(const char *path, Slice text, const Report *report) {
        _cleanup_(buf_deinit) Buf b = {0};
        json_t *json, *detail;
        size_t i;

        report_write_json(report, &b);
        json = b.error ? NULL : json_loadb(b.data, b.n, 0, NULL);
        json_array_foreach(json_object_get(json, "details"), i, detail) {
                Location l = locate(text, json_text(detail, "path"));

                if (l.line > 0) {
                        json_object_set_new(detail, "line", json_integer(l.line));
                        json_object_set_new(detail, "column", json_integer(l.column));
                }
        }
        json_object_set_new(json, "file", json_string(path));
        cli_print_json(json);
        json_decref(json);
}

static int refuse(Cli *cli, const char *path, Slice text, const Report *report) {
        const char *shown = strcmp(path, "-") ? path : "(stdin)";

        if (cli->json)
                print_errors(shown, text, report);
        else
                show_errors(cli, shown, text, report);
        return EXIT_REFUSED;
}

int definition_load(Cli *cli, const char *path, bool check, json_t **ret) {
        _cleanup_(buf_deinit) Buf text = {0};
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(runbook_unref_p) Runbook *runbook = NULL;
        RunbookDefaults defaults = runbook_defaults_builtin;
        json_t *json;
        int r = cli_read_file(cli, path, LIMIT_DEFINITION_BYTES, &text);

        if (r)
                return r;
        json = parse(buf_slice(&text), &report);
        if (!json)
                return refuse(cli, path, buf_slice(&text), &report);
        defaults.allow_timeout_approve = true; /* the operator's to allow: the engine says no if it isn't */
        if (check && runbook_compile(json, &defaults, &report, &runbook) < 0) {
                json_decref(json);
                return refuse(cli, path, buf_slice(&text), &report);
        }
        *ret = json;
        return 0;
}

bool definition_split_name(Arena *arena, const char *argument, const char **ret_id,
                           const char **ret_version) {
        const char *at = strrchr(argument, '@');
        Slice id = at && at > argument && at[1] ? (Slice){argument, (size_t)(at - argument)}
                                                : slice_from_str(argument);

        *ret_id = arena_dup(arena, id).data;
        *ret_version = id.n < strlen(argument) ? arena_dup_str(arena, at + 1) : NULL;
        return *ret_id && (id.n == strlen(argument) || *ret_version);
}
