/*
 * Runs the official JSON-Schema-Test-Suite for draft 2020-12: run_suite SUITE_FOLDER [--embed FOLDER]…
 *
 * Prints TAP, one case a file. A test counts when validation gives the verdict that the suite wants; schemas
 * that don't compile fail all their tests. Cases whose schema refers to other documents are counted apart:
 * they have to be refused at compilation (nothing is fetched), and are then run once more with those
 * documents, from the suite's `remotes` and from what --embed names, put into the schema as embedded
 * resources. What is known to differ, all of it optional in the suite, is in a table with its reason.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "schema/schema.h"

#define FILES_MAX   200
#define FOLDERS_MAX 8
#define PATH_BYTES  1024
#define DRAFT       "draft2020-12"
#define REMOTE_URI  "http://localhost:1234/"

typedef struct Known {
        const char *file, *group, *reason; /* group NULL: all of the file's */
} Known;

static const Known known[] = {
                {"cross-draft.json", NULL, "other drafts are not understood"},
                {"format-assertion.json", NULL, "format is an annotation"},
};

typedef struct Tally {
        size_t n, n_passed;
} Tally;

typedef struct Totals {
        Tally required, optional, different, remote_refused, remote_embedded;
        size_t n_cases, n_failed_files;
} Totals;

/** The suite has NUL in strings, and integers of any size: its documents are read with less care than ours. */
static json_t *load(const char *path) {
        json_error_t error;
        json_t *json = json_load_file(path, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        if (!json && json_error_code(&error) == json_error_numeric_overflow) {
                FILE *f = fopen(path, "rb");
                static char text[1 << 20];
                size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
                if (f)
                        fclose(f);
                json = json_parse_own((Slice){text, n});
        }
        return json;
}

/* --- documents to embed --- */

/** A document under the URI it would be fetched from, and under its own $id if that is another. */
static void embed_file(json_t *into, const char *path, const char *uri) {
        char name[16];
        json_t *document = load(path);
        const char *id = json_string_value(json_object_get(document, "$id"));
        if (!json_is_object(document) || (!id && !uri)) {
                json_decref(document);
                return;
        }
        if (uri && id && strcmp(uri, id) != 0)
                document = json_pack("{s:s, s:s, s:{s:o}}", "$id", uri, "$ref", id, "$defs", "it", document);
        else if (uri)
                json_object_set_new(document, "$id", json_string(uri));
        snprintf(name, sizeof(name), "e%zu", json_object_size(into));
        json_object_set_new(into, name, document);
}

/** @uri: of the folder, ending in a slash; NULL: documents without their own $id are left out. */
static void embed_folder(json_t *into, const char *folder, const char *uri, unsigned depth) {
        DIR *d = depth < FOLDERS_MAX ? opendir(folder) : NULL;
        for (struct dirent *entry; d && (entry = readdir(d));) {
                char path[PATH_BYTES], below[PATH_BYTES];
                struct stat st;
                int n = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
                int m = snprintf(below, sizeof(below), "%s%s", uri ? uri : "", entry->d_name);
                if (n >= (int)sizeof(path) || m >= (int)sizeof(below))
                        continue;
                if (entry->d_name[0] == '.' || stat(path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode) && slice_starts_with(slice_from_str(entry->d_name), SLICE("draft")) &&
                    strcmp(entry->d_name, DRAFT) != 0)
                        continue;
                if (S_ISDIR(st.st_mode)) {
                        strncat(below, "/", sizeof(below) - strlen(below) - 1);
                        embed_folder(into, path, uri ? below : NULL, depth + 1);
                } else if (slice_ends_with(slice_from_str(path), SLICE(".json"))) {
                        embed_file(into, path, uri ? below : NULL);
                }
        }
        if (d)
                closedir(d);
}

static json_t *with_embedded(const json_t *schema, const json_t *documents) {
        json_t *whole = json_deep_copy(schema), *defs = json_object_get(whole, "$defs"), *document;
        const char *name;
        if (!json_is_object(whole))
                return whole;
        if (!defs) {
                defs = json_object();
                json_object_set_new(whole, "$defs", defs);
        }
        json_object_foreach((json_t *)documents, name, document) json_object_set(defs, name, document);
        return whole;
}

/* --- running --- */

static Schema *compile(const json_t *schema, Report *report) {
        JsonAt at = json_at_root(schema, report);
        return schema_compile(&at);
}

/** Was the only fault that other documents are needed? */
static bool needs_others(const Report *report) {
        for (size_t i = 0; i < report->n_details; i++)
                if (!strstr(report->details[i].message, "nothing is fetched") &&
                    !strstr(report->details[i].message, "only the dialect"))
                        return false;
        return report->n_details > 0;
}

static void run_tests(const Schema *schema, const json_t *group, const char *file, bool tell, Tally *tally) {
        size_t i;
        json_t *test;
        json_array_foreach(json_object_get(group, "tests"), i, test) {
                _cleanup_(report_deinit) Report report = {0};
                tally->n++;
                if (!schema)
                        continue;
                int r = schema_validate(schema, json_object_get(test, "data"), &report);
                bool wanted = json_is_true(json_object_get(test, "valid"));
                bool passed = r == (wanted ? 0 : 1) && (r == 1) == (report.n_details > 0);
                /* without a report the verdict has to be the same */
                passed = passed && schema_validate(schema, json_object_get(test, "data"), NULL) == r;
                tally->n_passed += passed;
                if (!passed && tell)
                        printf("# %s: %s: %s: should be %s, gave %d%s%s\n", file,
                               json_string_value(json_object_get(group, "description")),
                               json_string_value(json_object_get(test, "description")),
                               wanted ? "valid" : "invalid", r, report.n_details ? ": " : "",
                               report.n_details ? report.details[0].message : "");
        }
}

/** Drop the embedded documents that have faults; false if none has. */
static bool drop_faulty(json_t *whole, const Report *report) {
        json_t *defs = json_object_get(whole, "$defs");
        bool dropped = false;
        for (size_t i = 0; i < report->n_details; i++) {
                const char *path = report->details[i].path;
                char name[16];
                if (sscanf(path, "/$defs/%15[e0-9]", name) == 1)
                        dropped |= json_object_del(defs, name) == 0;
        }
        return dropped;
}

static void run_remote(const json_t *group, const char *file, const json_t *documents, Totals *totals) {
        json_t *whole = with_embedded(json_object_get(group, "schema"), documents);
        Schema *schema = NULL;
        bool again = true;
        while (again) {
                _cleanup_(report_deinit) Report report = {0};
                schema = compile(whole, &report);
                again = !schema && drop_faulty(whole, &report);
                if (!schema && !again)
                        printf("# %s: %s: not even with the documents at hand embedded: %s: %s\n", file,
                               json_string_value(json_object_get(group, "description")),
                               report.details[0].path, report.details[0].message);
        }
        run_tests(schema, group, file, schema != NULL, &totals->remote_embedded);
        schema_unref(schema);
        json_decref(whole);
}

static bool is_known(const char *file, const json_t *group) {
        for (size_t i = 0; i < N_ELEMENTS(known); i++)
                if (!strcmp(file, known[i].file) &&
                    (!known[i].group ||
                     !strcmp(known[i].group, json_string_value(json_object_get(group, "description")))))
                        return true;
        return false;
}

static void run_file(const char *path, const char *file, bool optional, const json_t *documents,
                     Totals *totals) {
        json_t *groups = load(path), *group;
        size_t i, n_remote = 0;
        Tally here = {0};
        json_array_foreach(groups, i, group) {
                _cleanup_(report_deinit) Report report = {0};
                _cleanup_(schema_unref_p) Schema *schema = compile(json_object_get(group, "schema"), &report);
                size_t n_tests = json_array_size(json_object_get(group, "tests"));
                if (is_known(file, group)) {
                        run_tests(schema, group, file, false, &totals->different);
                        continue;
                }
                if (!schema && needs_others(&report)) {
                        n_remote += n_tests;
                        totals->remote_refused.n += n_tests;
                        totals->remote_refused.n_passed += n_tests;
                        run_remote(group, file, documents, totals);
                        continue;
                }
                if (!schema)
                        printf("# %s: %s: does not compile: %s: %s\n", file,
                               json_string_value(json_object_get(group, "description")),
                               report.n_details ? report.details[0].path : "",
                               report.n_details ? report.details[0].message : "");
                run_tests(schema, group, file, true, &here);
        }
        Tally *all = optional ? &totals->optional : &totals->required;
        bool good = json_is_array(groups) && here.n_passed == here.n;
        all->n += here.n;
        all->n_passed += here.n_passed;
        totals->n_failed_files += !good;
        printf("%s %zu - %s%s %zu/%zu", good ? "ok" : "not ok", ++totals->n_cases,
               optional ? "optional/" : "", file, here.n_passed, here.n);
        printf(n_remote ? ", %zu with remote references\n" : "\n", n_remote);
        json_decref(groups);
}

static int is_json(const struct dirent *e) {
        return slice_ends_with(slice_from_str(e->d_name), SLICE(".json"));
}

static size_t run_folder(const char *folder, bool optional, const json_t *documents, Totals *totals) {
        struct dirent **entries;
        int n = scandir(folder, &entries, is_json, alphasort);
        for (int i = 0; i < n; i++) {
                char path[PATH_BYTES];
                snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
                if (i < FILES_MAX)
                        run_file(path, entries[i]->d_name, optional, documents, totals);
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return n > 0 ? (size_t)n : 0;
}

int main(int argc, char **argv) {
        char folder[PATH_BYTES];
        Totals totals = {0};
        if (argc < 2) {
                fprintf(stderr, "usage: run_suite SUITE_FOLDER [--embed FOLDER]...\n");
                return 2;
        }
        json_t *documents = json_object();
        snprintf(folder, sizeof(folder), "%s/remotes", argv[1]);
        embed_folder(documents, folder, REMOTE_URI, 0);
        for (int i = 2; i + 1 < argc && !strcmp(argv[i], "--embed"); i += 2)
                embed_folder(documents, argv[i + 1], NULL, 0);
        snprintf(folder, sizeof(folder), "%s/tests/" DRAFT, argv[1]);
        run_folder(folder, false, documents, &totals);
        snprintf(folder, sizeof(folder), "%s/tests/" DRAFT "/optional", argv[1]);
        run_folder(folder, true, documents, &totals);
        printf("1..%zu\n", totals.n_cases);
        printf("# required: %zu/%zu\n# optional: %zu/%zu\n", totals.required.n_passed, totals.required.n,
               totals.optional.n_passed, totals.optional.n);
        printf("# known to differ: %zu of %zu\n", totals.different.n - totals.different.n_passed,
               totals.different.n);
        printf("# with remote references: %zu, all refused; with the documents embedded %zu/%zu\n",
               totals.remote_refused.n, totals.remote_embedded.n_passed, totals.remote_embedded.n);
        json_decref(documents);
        return totals.n_failed_files == 0 && totals.required.n > 0 ? 0 : 1;
}
