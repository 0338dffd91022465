/* Hostile schemas and values: each meets a limit, which is named, and soon. */

#include <errno.h>
#include <time.h>

#include "cases.h"
#include "model/limits.h"

#define SECONDS_MAX                                                                                          \
        20 /* far more than any takes, also under sanitizers; without the limits it would be hours */

static struct timespec begun;

static void begin(void) { clock_gettime(CLOCK_MONOTONIC, &begun); }

static void finish(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        cr_expect_lt(now.tv_sec - begun.tv_sec, SECONDS_MAX);
        check_leaks();
}

TestSuite(limits, .init = begin, .fini = finish);

/** @part stands for a limit that has to be hit with @error. */
static void hit(const char *schema, json_t *value, int error, RunbookCode code, const char *part) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(schema_unref_p) Schema *s = compile_good(schema);
        int r = schema_validate(s, value, &report);
        cr_expect_eq(r, error, "%.100s: %d: %s", schema, r,
                     report.n_details ? report.details[0].message : "");
        cr_expect_eq(report.code, code);
        cr_expect(report.message && strstr(report.message, part), "%s", report.message);
        cr_expect_eq(schema_validate(s, value, NULL), error);
        json_decref(value);
}

static json_t *text_of(char c, size_t n) {
        char *text = malloc(n + 1);
        memset(text, c, n);
        text[n] = '\0';
        json_t *json = json_stringn(text, n);
        free(text);
        return json;
}

static json_t *nested(size_t depth) {
        json_t *value = json_array();
        for (size_t i = 1; i < depth; i++) {
                json_t *outer = json_array();
                json_array_append_new(outer, value);
                value = outer;
        }
        return value;
}

Test(limits, exponential_patterns) {
        hit("{\"pattern\":\"^(a+)+$\"}",
            json_pack("s+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b"), -EOVERFLOW,
            RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_STEPS_MAX");
        hit("{\"pattern\":\"(a|aa|aaa)*[bc]\"}", text_of('a', 5000), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED,
            "SCHEMA_STEPS_MAX");
        hit("{\"pattern\":\"a*a*a*a*a*[bc]\"}", text_of('a', 2000), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED,
            "SCHEMA_STEPS_MAX");
        hit("{\"pattern\":\"[ab]{9000}[cd]\"}", text_of('a', 1000000), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED,
            "SCHEMA_STEPS_MAX");
        hit("{\"pattern\":\"(.*)\\\\1[xy]\"}", text_of('a', 100000), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED,
            "SCHEMA_STEPS_MAX");
}

Test(limits, patterns_share_one_budget) {
        Buf b = {0};
        buf_put_str(&b, "{\"allOf\":[");
        for (int i = 0; i < SCHEMA_PATTERNS_MAX; i++)
                buf_printf(&b, "%s{\"pattern\":\"^[a-z]*$\"}", i ? "," : "");
        buf_put_str(&b, "]}");
        char *schema = buf_steal_str(&b);
        hit(schema, text_of('a', 100000), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_STEPS_MAX");
        free(schema);
}

Test(limits, long_texts_are_fine_with_plain_patterns) {
        _cleanup_(schema_unref_p) Schema *s = compile_good(
                        "{\"pattern\":\"^[a-z]*$\",\"maxLength\":1000000,\"not\":{\"pattern\":\"x\"}}");
        json_t *value = text_of('a', 1000000);
        cr_expect_eq(schema_validate(s, value, NULL), 0);
        json_decref(value);
}

Test(limits, exponential_schemas) {
        /* Each level applies the next one twice: 2^40 applications without consuming anything. */
        Buf b = {0};
        buf_put_str(&b, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
        for (int i = 0; i < 40; i++)
                buf_printf(&b, "\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},",
                           i, i + 1, i + 1);
        buf_put_str(&b, "\"d40\":true}}");
        char *schema = buf_steal_str(&b);
        hit(schema, json_null(), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_STEPS_MAX");
        free(schema);
}

Test(limits, endless_dynamic_references) {
        hit("{\"$id\":\"http://x/"
            "o\",\"$dynamicAnchor\":\"n\",\"$ref\":\"in\",\"$defs\":{\"in\":{\"$id\":\"in\",\"$dynamicRef\":"
            "\"#n\",\"$defs\":{\"n\":{\"$dynamicAnchor\":\"n\"}}}}}",
            json_null(), -ELOOP, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_IN_PLACE_MAX");
}

Test(limits, long_chains_of_references) {
        Buf b = {0};
        buf_put_str(&b, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
        for (int i = 0; i < 20000; i++)
                buf_printf(&b, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
        buf_put_str(&b, "\"d20000\":true}}");
        char *schema = buf_steal_str(&b);
        hit(schema, json_null(), -ELOOP, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_IN_PLACE_MAX");
        free(schema);
}

Test(limits, frames) {
        Buf b = {0};
        buf_put_str(&b, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
        for (int i = 0; i < 100; i++)
                buf_printf(&b, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
        buf_put_str(&b, "\"d100\":{\"items\":{\"$ref\":\"#\"}}}}");
        char *schema = buf_steal_str(&b);
        hit(schema, nested(JSON_DEPTH_MAX), -ELOOP, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_FRAMES_MAX");
        free(schema);
}

Test(limits, deep_values) {
        _cleanup_(schema_unref_p) Schema *s = compile_good("{\"items\":{\"$ref\":\"#\"}}");
        json_t *deepest = nested(JSON_DEPTH_MAX);
        cr_expect_eq(schema_validate(s, deepest, NULL), 0, "what json_parse takes is not too deep");
        json_decref(deepest);
        hit("{\"items\":{\"$ref\":\"#\"}}", nested(JSON_DEPTH_MAX + 2), -EOVERFLOW, RUNBOOK_TOO_DEEP,
            "JSON_DEPTH_MAX");
        hit("{\"enum\":[[\"a text that is long enough for the limit of depth to come before that of length, "
            "which ends the comparison: "
            "every level takes two bytes, and this has more than a hundred and fifty bytes in all\"]]}",
            nested(JSON_DEPTH_MAX + 2), -EOVERFLOW, RUNBOOK_TOO_DEEP, "JSON_DEPTH_MAX");
        json_t *pair = json_array();
        json_array_append_new(pair, nested(JSON_DEPTH_MAX + 2));
        json_array_append_new(pair, json_null());
        hit("{\"uniqueItems\":true}", pair, -EOVERFLOW, RUNBOOK_TOO_DEEP, "JSON_DEPTH_MAX");
}

Test(limits, unique_items_in_good_time) {
        _cleanup_(schema_unref_p) Schema *s = compile_good(
                        "{\"uniqueItems\":true,\"items\":{\"enum\":[[1,2],{\"k\":1}],\"type\":\"object\"}}");
        _cleanup_(schema_unref_p) Schema *unique = compile_good("{\"uniqueItems\":true}");
        json_t *value = json_array();
        for (int i = 0; i < 200000; i++)
                json_array_append_new(value, json_pack("{s:i,s:s}", "k", i, "common", "prefix"));
        cr_expect_eq(schema_validate(unique, value, NULL), 0);
        cr_expect_eq(schema_validate(s, value, NULL), 1);
        json_array_append_new(value, json_pack("{s:s,s:i}", "common", "prefix", "k", 77));
        cr_expect_eq(schema_validate(unique, value, NULL), 1);
        json_decref(value);
}

/** A schema that makes the same check a thousand times. */
static char *thousandfold(const char *check) {
        Buf b = {0};
        buf_put_str(&b, "{\"allOf\":[true");
        for (int i = 0; i < 1000; i++)
                buf_printf(&b, ",%s", check);
        buf_put_str(&b, "]}");
        return buf_steal_str(&b);
}

Test(limits, costly_keywords_take_steps) {
        static const char *const checks[] = {
                        "{\"uniqueItems\":true}",
                        "{\"unevaluatedItems\":true}",
                        "{\"contains\":false,\"minContains\":0,\"maxContains\":1}",
                        "{\"items\":{\"minimum\":0}}",
                        "{\"unevaluatedProperties\":true}",
                        "{\"propertyNames\":{\"minLength\":1}}",
                        "{\"patternProperties\":{\"^x\":false}}",
                        "{\"additionalProperties\":{\"minimum\":0}}",
                        "{\"not\":{\"maxLength\":899999}}",
                        "{\"not\":{\"const\":[1,2,3]}}",
        };
        json_t *value = json_object(), *array = json_array(), *text = text_of('x', 900000);
        for (int i = 0; i < 50000; i++) {
                char key[16];
                snprintf(key, sizeof(key), "k%d", i);
                json_object_set_new(value, key, json_integer(i));
                json_array_append_new(array, json_integer(i));
        }
        for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
                char *schema = thousandfold(checks[i]);
                if (i < N_ELEMENTS(checks) - 1) {
                        json_t *one = i < 4 ? array : i < 8 ? value : text;
                        hit(schema, json_incref(one), -EOVERFLOW, RUNBOOK_LIMIT_EXCEEDED, "SCHEMA_STEPS_MAX");
                } else { /* a comparison that ends early costs little, however large the value is */
                        _cleanup_(schema_unref_p) Schema *s = compile_good(schema);
                        cr_expect_eq(schema_validate(s, array, NULL), 0);
                }
                free(schema);
        }
        json_decref(value);
        json_decref(array);
        json_decref(text);
}

/* --- of schemas --- */

static void refused(const char *schema, const char *part) {
        _cleanup_(report_deinit) Report report = {0};
        Schema *s = compile(schema, &report);
        cr_expect_null(s);
        bool found = false;
        for (size_t i = 0; i < report.n_details; i++)
                found |= strstr(report.details[i].message, part) != NULL;
        cr_expect(found, "%s: %s", part, report.n_details ? report.details[0].message : "nothing said");
        schema_unref(s);
}

Test(limits, subschemas) {
        Buf b = {0};
        buf_put_str(&b, "{\"anyOf\":[{}");
        for (int i = 0; i < SCHEMA_NODES_MAX; i++)
                buf_put_str(&b, ",{}");
        buf_put_str(&b, "]}");
        char *schema = buf_steal_str(&b);
        refused(schema, "SCHEMA_NODES_MAX");
        free(schema);
}

Test(limits, patterns) {
        Buf b = {0};
        buf_put_str(&b, "{\"pattern\":\"");
        for (int i = 0; i < LIMIT_PATTERN_BYTES; i++)
                buf_put_char(&b, 'a');
        buf_put_str(&b, "a\"}");
        char *schema = buf_steal_str(&b);
        refused(schema, "LIMIT_PATTERN_BYTES");
        free(schema);
        refused("{\"pattern\":\"((((a{500}){500}){500}){500})\"}", "is not a pattern that can be used here");
        for (int i = 0; i <= SCHEMA_PATTERNS_MAX; i++)
                buf_printf(&b, "%s{\"pattern\":\"a\"}", i ? "," : "{\"allOf\":[");
        buf_put_str(&b, "]}");
        schema = buf_steal_str(&b);
        refused(schema, "SCHEMA_PATTERNS_MAX");
        free(schema);
}

Test(limits, deep_schemas) {
        Buf b = {0};
        for (int i = 0; i < JSON_DEPTH_MAX; i++)
                buf_put_str(&b, "{\"not\":");
        buf_put_str(&b, "true");
        for (int i = 0; i < JSON_DEPTH_MAX; i++)
                buf_put_char(&b, '}');
        char *good = buf_steal_str(&b);
        schema_unref(compile_good(good));
        buf_printf(&b, "{\"not\":%s}", good);
        char *bad = buf_steal_str(&b);
        refused(bad, "JSON_DEPTH_MAX");
        free(good);
        free(bad);
        refused("{\"const\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]"
                "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
                "JSON_DEPTH_MAX");
}

Test(limits, identifiers) {
        Buf b = {0};
        for (int depth = 0; depth < 3; depth++) { /* each one relative to the last: together too long */
                buf_put_str(&b, "{\"$id\":\"");
                for (int i = 0; i < SCHEMA_URI_BYTES_MAX / 2 - 10; i++)
                        buf_put_char(&b, 'i');
                buf_put_str(&b, "/\",\"not\":");
        }
        buf_put_str(&b, "true}}}");
        char *schema = buf_steal_str(&b);
        refused(schema, "SCHEMA_URI_BYTES_MAX");
        free(schema);
        buf_put_str(&b, "{\"$ref\":\"#/");
        for (int i = 0; i < SCHEMA_URI_BYTES_MAX; i++)
                buf_put_char(&b, 'r');
        buf_put_str(&b, "\"}");
        schema = buf_steal_str(&b);
        refused(schema, "SCHEMA_URI_BYTES_MAX");
        free(schema);
}

Test(limits, large_schemas_in_good_time) {
        Buf b = {0};
        buf_put_str(&b, "{\"additionalProperties\":false,\"properties\":{");
        for (int i = 0; i < 30000; i++)
                buf_printf(&b, "\"p%d\":{\"$ref\":\"#/$defs/t%d\"},", i, i);
        buf_put_str(&b, "\"last\":{\"$ref\":\"#t7\"}},\"$defs\":{");
        for (int i = 0; i < 30000; i++)
                buf_printf(&b, "%s\"t%d\":{\"$anchor\":\"t%d\",\"enum\":[%d]}", i ? "," : "", i, i, i);
        buf_put_str(&b, "}}");
        char *text = buf_steal_str(&b);
        _cleanup_(schema_unref_p) Schema *s = compile_good(text);
        json_t *value = json_object();
        for (int i = 0; i < 30000; i++) {
                char key[16];
                snprintf(key, sizeof(key), "p%d", i);
                json_object_set_new(value, key, json_integer(i));
        }
        cr_expect_eq(schema_validate(s, value, NULL), 0);
        json_object_set_new(value, "last", json_integer(8));
        cr_expect_eq(schema_validate(s, value, NULL), 1);
        json_decref(value);
        free(text);
}
