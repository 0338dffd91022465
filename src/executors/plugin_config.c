/*
 * The configs of plugins' steps against their schemas
 *
 * Twice: when a definition is registered, as far as that can be told, and for each attempt, when templates
 * have become values.
 *
 * At registration a template may become anything. A fault then counts only if no value of the templates in
 * the config could mend it: it lies where no template is; or its keyword looks only at names of members and
 * counts of items, which templates don't change; or something is of the wrong type that is an object or array
 * and stays one. With anyOf, if and their like a template in one place decides what holds in another, so with
 * such schemas (not `is_plain`) configs that hold templates wait for the attempt.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "executors/plugin_internal.h"
#include "expr/expr.h"

static const char *const deciding[] = {
                "$dynamicRef", "anyOf", "contains",         "dependentSchemas",     "else", "if", "not",
                "oneOf",       "then",  "unevaluatedItems", "unevaluatedProperties"};
static const char *const of_names_and_counts[] = {
                "additionalProperties", "dependentRequired", "maxItems", "maxProperties", "minItems",
                "minProperties",        "propertyNames",     "required"};

static bool is_one_of(const char *name, const char *const *names, size_t n_names) {
        for (size_t i = 0; i < n_names; i++)
                if (!strcmp(name, names[i]))
                        return true;
        return false;
}

/** Recursion: JSON_DEPTH_MAX, as in all below. */
static bool decides(const json_t *schema) {
        json_t *s = (json_t *)schema; /* jansson's iterators are not const; nothing is changed */
        const char *key;
        json_t *member;
        size_t i;
        json_object_foreach(s, key, member) if (is_one_of(key, deciding, N_ELEMENTS(deciding)) ||
                                                decides(member)) return true;
        json_array_foreach(s, i, member) if (decides(member)) return true;
        return false;
}

int plugin_config_compile(PluginType *t, Buf *fault) {
        _cleanup_(report_deinit) Report report = {0};
        Slice text = {t->abi.config_schema, strnlen(t->abi.config_schema, PLUGIN_SCHEMA_BYTES_MAX + 1)};
        json_t *json = json_parse(text, PLUGIN_SCHEMA_BYTES_MAX, &report);
        if (json) {
                JsonAt at = json_at_root(json, &report);
                t->config_schema = schema_compile(&at);
                t->is_plain = !decides(json);
                json_decref(json);
        }
        if (t->config_schema)
                return 0;
        if (report.oom)
                return -ENOMEM;
        buf_printf(fault, "the config schema of \"%s\" can't be used: ", t->abi.type);
        for (size_t i = 0; i < report.n_details; i++)
                buf_printf(fault, "%s%s %s", i ? "; " : "",
                           *report.details[i].path ? report.details[i].path : "it",
                           report.details[i].message);
        if (report.n_details == 0)
                buf_put_str(fault, report.message ? report.message : "it is no schema");
        return fault->error ? fault->error : -EINVAL;
}

/* ---- an attempt's -------------------------------------------------------------------------------------- */

static Value *make_error(const PluginType *t, const Report *report) {
        _cleanup_(buf_deinit) Buf message = {0}, details = {0};
        JsonWriter w = json_writer(&details);
        json_begin_array(&w);
        for (size_t i = 0; i < report->n_details; i++) {
                const ReportDetail *d = &report->details[i];
                json_begin_object(&w);
                json_key(&w, "message");
                json_put_str(&w, d->message);
                json_key(&w, "path");
                json_put_str(&w, d->path);
                json_end_object(&w);
        }
        json_end_array(&w);
        buf_printf(&message, "the config does not fit %s: ", t->abi.type);
        if (report->n_details > 0)
                buf_printf(&message, "%s %s", *report->details[0].path ? report->details[0].path : "it",
                           report->details[0].message);
        else
                buf_put_str(&message, report->message ? report->message : "it can't be checked");
        bool has_details = report->n_details > 0;
        if (message.error || details.error)
                return NULL;
        return attempt_error("CONFIG_INVALID", false, buf_slice(&message),
                             has_details ? buf_slice(&details) : SLICE_NULL);
}

bool plugin_config_fits(const PluginType *type, const Task *task, Value **ret_error) {
        _cleanup_(report_deinit) Report report = {0};
        *ret_error = NULL;
        if (!type->config_schema)
                return true;
        json_t *none = task->config ? NULL : json_object();
        const json_t *config = task->config ? value_json(task->config) : none;
        int r = config ? schema_validate(type->config_schema, config, &report) : -ENOMEM;
        json_decref(none);
        if (r != 0 && r != -ENOMEM)
                *ret_error = make_error(type, &report);
        return r == 0;
}

/* ---- a definition's ------------------------------------------------------------------------------------ */

static bool has_template(const json_t *value) {
        json_t *v = (json_t *)value, *member;
        const char *key;
        size_t i;
        if (json_is_string(v))
                return !expr_text_is_constant(json_string_slice(v));
        json_object_foreach(v, key, member) if (has_template(member)) return true;
        json_array_foreach(v, i, member) if (has_template(member)) return true;
        return false;
}

/** The value at JSON pointer @path, NULL if there is none. */
static const json_t *resolve(const json_t *at, const char *path) {
        while (at && *path == '/') {
                char name[JSON_POINTER_MAX + 8];
                size_t n = 0;
                for (path++; *path && *path != '/' && n < sizeof(name) - 1; path++) {
                        bool is_escape = *path == '~' && (path[1] == '0' || path[1] == '1');
                        name[n++] = !is_escape ? *path : *++path == '0' ? '~' : '/';
                }
                name[n] = '\0';
                at = json_is_array(at) ? json_array_get(at, (size_t)strtoul(name, NULL, 10))
                                       : json_object_get(at, name);
        }
        return *path ? NULL : at;
}

/** The last name in "… (keyword: /properties/x/type)". */
static void keyword_of(const char *message, char ret[64]) {
        const char *slash = strrchr(message, '/');
        size_t n = slash ? strcspn(slash + 1, ")") : 0;
        n = n < 63 ? n : 63;
        memcpy(ret, slash ? slash + 1 : "", n);
        ret[n] = '\0';
}

/** Could some value of the templates in the config mend it? */
static bool may_be_mended(const json_t *config, const ReportDetail *d) {
        char keyword[64];
        const json_t *at = resolve(config, d->path);
        keyword_of(d->message, keyword);
        if (at && !has_template(at))
                return false;
        if (is_one_of(keyword, of_names_and_counts, N_ELEMENTS(of_names_and_counts)))
                return false;
        bool keeps_type = json_is_object(at) || json_is_array(at);
        return !(keeps_type && !strcmp(keyword, "type"));
}

static int check(const PluginType *type, const JsonAt *config, const json_t *value) {
        _cleanup_(report_deinit) Report report = {0};
        char base[JSON_POINTER_MAX + 8];
        bool has_templates = has_template(value);
        int result = 0;
        if (has_templates && !type->is_plain)
                return 0;
        int r = schema_validate(type->config_schema, value, &report);
        if (r == -ENOMEM)
                return r;
        if (r < 0) /* a limit; with templates it may never be met */
                return has_templates ? 0
                                     : json_at_error(config, "%s",
                                                     report.message ? report.message : "can't be checked");
        json_at_path(config, base);
        for (size_t i = 0; i < report.n_details; i++) {
                const ReportDetail *d = &report.details[i];
                _cleanup_(buf_deinit) Buf path = {0};
                if (has_templates && may_be_mended(value, d))
                        continue;
                buf_printf(&path, "%s%s", base, d->path);
                buf_put_char(&path, '\0');
                if (path.error)
                        return path.error;
                result = report_detail(config->report, path.data, "%s", d->message);
        }
        return result;
}

int plugin_config_check_type(const PluginType *type, const JsonAt *config) {
        if (!type || !type->config_schema)
                return 0;
        json_t *none = config->value ? NULL : json_object();
        if (!config->value && !none)
                return -ENOMEM;
        int r = check(type, config, config->value ? config->value : none);
        json_decref(none);
        return r;
}
