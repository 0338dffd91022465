/*
 * Any bytes as a JSON array: a schema, and values to check against it. Faults come with a report, verdicts do
 * not depend on there being one, `not` turns them round, a value is its own `const`, and never unique beside
 * itself.
 */

#include <errno.h>
#include "fuzz.h"
#include "schema/schema.h"

#define VALUES_MAX 8

static Schema *compile(json_t *schema, Report *report) {
        JsonAt at = json_at_root(schema, report);

        return schema_compile(&at);
}

static int check(const Schema *s, const json_t *value) {
        Report report = {0};
        int r = schema_validate(s, value, &report);

        PROMISE(r == 0 || r == 1 || r == -ELOOP || r == -EOVERFLOW, "valid, invalid, or a limit");
        PROMISE((r == 1) == (report.n_details > 0) || r < 0,
                "an invalid value has a fault, a valid one none");
        PROMISE((r < 0) == (report.code != RUNBOOK_OK), "a limit that was hit is named");
        if (r >= 0) /* faults that are told take more steps than a bare verdict */
                PROMISE(schema_validate(s, value, NULL) == r, "the verdict does not depend on the report");
        report_deinit(&report);
        return r;
}

/** The verdict on @value of a schema made here; takes @schema. */
static int check_by(json_t *schema, const json_t *value) {
        Report report = {0};
        Schema *s = compile(schema, &report);
        int r = s ? check(s, value) : -EINVAL;

        json_decref(schema);
        schema_unref(s);
        report_deinit(&report);
        return r;
}

static void check_value(const Schema *s, const Schema *opposite, json_t *value) {
        int r = check(s, value), turned = opposite ? check(opposite, value) : -EINVAL;

        PROMISE(r < 0 || turned < 0 || r != turned, "`not` turns the verdict round");
        r = check_by(json_pack("{s:O}", "const", value), value);
        PROMISE(r == 0 || r == -EINVAL || r == -EOVERFLOW, "a value is its own const");
        value = json_pack("[O,O]", value, value);
        r = check_by(json_pack("{s:b}", "uniqueItems", 1), value);
        PROMISE(r == 1 || r == -EOVERFLOW, "a value is not unique beside itself");
        json_decref(value);
}

/** A schema that says the opposite. @schema is a resource of its own in it: references still count from there. */
static Schema *compile_opposite(json_t *schema) {
        Report report = {0};
        json_t *inner = json_copy(schema), *whole;
        Schema *s;

        if (json_is_object(inner) && !json_object_get(inner, "$id"))
                json_object_set_new(inner, "$id", json_string("x:inner"));
        whole = json_pack("{s:o}", "not", inner);
        s = compile(whole, &report);
        json_decref(whole);
        report_deinit(&report);
        return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Report report = {0};
        json_t *all = json_parse((Slice){(const char *)data, size}, 1 << 16, &report);
        Schema *s = NULL, *opposite = NULL;

        if (json_array_size(all) > 0) {
                s = compile(json_array_get(all, 0), &report);
                PROMISE((s == NULL) == report_is_error(&report),
                        "a schema or a report, never both or neither");
                opposite = s ? compile_opposite(json_array_get(all, 0)) : NULL;
        }
        for (size_t i = 1; s && i < json_array_size(all) && i < VALUES_MAX; i++)
                check_value(s, opposite, json_array_get(all, i));
        json_decref(all);
        schema_unref(s);
        schema_unref(opposite);
        report_deinit(&report);
        return 0;
}
