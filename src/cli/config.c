/*
 * Defaults that a person keeps.
 *
 *     # ~/.config/runbook/config.yaml
 *     tenant: acme
 *     user: alice
 *     context:
 *       legalBasis: {authority: INVESTIGATION, classification: SENSITIVE, authorizedUsers: [alice, bob]}
 */

#include <errno.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/config.h"
#include "cli/session.h"
#include "json/json_read.h"
#include "json/yaml.h"

#define CONFIG_BYTES_MAX (256 * 1024)

static const char *const known_keys[] = {"context", "credentials", "natsContext", "prefix",
                                         "server",  "tenant",      "user"};

/** Variables that stand for members of context.legalBasis. */
static const struct {
        const char *variable, *key;
        bool is_list;
} legal_basis[] = {
                {"RUNBOOK_AUTHORITY", "authority", false},
                {"RUNBOOK_AUTHORIZED_USERS", "authorizedUsers", true},
                {"RUNBOOK_CASE_ID", "caseId", false},
                {"RUNBOOK_CLASSIFICATION", "classification", false},
};

static char *config_path(void) {
        const char *given = getenv("RUNBOOK_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME"),
                   *home = getenv("HOME");
        char *path;
        int n;

        if (given && *given)
                return strdup(given);
        if (xdg && *xdg)
                n = asprintf(&path, "%s/runbook/config.yaml", xdg);
        else if (home && *home)
                n = asprintf(&path, "%s/.config/runbook/config.yaml", home);
        else
                return NULL;
        return n < 0 ? NULL : path;
}

static bool check(const json_t *json, Report *report) {
        JsonAt root = json_at_root(json, report);

        if (!json_is_object(json)) {
                json_at_error(&root, "must be a mapping, is %s", json_type_text(json));
                return false;
        }
        json_check_keys(&root, known_keys, N_ELEMENTS(known_keys));
        for (size_t i = 0; i < N_ELEMENTS(known_keys); i++) {
                JsonAt object;
                Slice text;

                if (!strcmp(known_keys[i], "context"))
                        json_get_object(&root, known_keys[i], &object);
                else
                        json_get_string(&root, known_keys[i], &text);
        }
        return report->n_details == 0;
}

int config_load(Cli *cli) {
        _cleanup_free_ char *path = config_path();
        _cleanup_(buf_deinit) Buf text = {0};
        _cleanup_(report_deinit) Report report = {0};
        FILE *f = path ? fopen(path, "re") : NULL;
        int r;

        if (!f) {
                if (!path || errno == ENOENT || errno == ENOTDIR)
                        return 0;
                return cli_fail(cli, EXIT_USAGE, "BAD_CONFIGURATION", "cannot read %s: %s", path,
                                strerror(errno));
        }
        fclose(f);
        r = cli_read_file(cli, path, CONFIG_BYTES_MAX, &text);
        if (r)
                return r;
        cli->config.file = yaml_parse(buf_slice(&text), CONFIG_BYTES_MAX, &report);
        if (cli->config.file && check(cli->config.file, &report))
                return 0;
        if (!report.message)
                report_set(&report, RUNBOOK_INVALID_REQUEST, "the configuration has errors");
        cli_fail_report(cli, &report, path);
        return EXIT_USAGE;
}

void config_deinit(CliConfig *config) { json_decref(config->file); }

const char *config_text(const CliConfig *config, const char *key) {
        const char *value = json_string_value(json_object_get(config->file, key));

        return value && *value ? value : NULL;
}

json_t *config_split(const char *list) {
        json_t *array = json_array();

        while (array && *list) {
                size_t n = strcspn(list, ",");

                if (n > 0 && json_array_append_new(array, json_stringn(list, n)) != 0) {
                        json_decref(array);
                        return NULL;
                }
                list += n;
                list += *list == ',';
        }
        return array;
}

json_t *config_context(const CliConfig *config) {
        json_t *given = json_object_get(config->file, "context");
        json_t *context = given ? json_deep_copy(given) : json_object();
        json_t *basis = json_object_get(context, "legalBasis");

        if (context && !json_is_object(basis)) {
                basis = json_object();
                if (json_object_set_new(context, "legalBasis", basis) != 0)
                        goto fail;
        }
        for (size_t i = 0; context && i < N_ELEMENTS(legal_basis); i++) {
                const char *value = getenv(legal_basis[i].variable);

                if (!value || !*value)
                        continue;
                if (json_object_set_new(basis, legal_basis[i].key,
                                        legal_basis[i].is_list ? config_split(value) : json_string(value)) !=
                    0)
                        goto fail;
        }
        return context;
fail:
        json_decref(context);
        return NULL;
}
