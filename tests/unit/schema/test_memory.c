/*
 * Memory that runs out: every allocation of compiling and of validating fails once, one after the other. Nothing
 * crashes or leaks, and the outcome is the usual one or says what happened.
 */
#include <errno.h>

#include "../failing.h"
#include "cases.h"

#define ALLOCATIONS_MAX 5000 /* of one call */

TestSuite(memory, .fini = check_leaks);

static const char schema_text[] =
                "{\"$id\":\"http://x/o\",\"$dynamicAnchor\":\"n\",\"$ref\":\"inner#/$defs/"
                "a\",\"properties\":{\"list\":"
                "{\"uniqueItems\":true,\"items\":{\"enum\":[1,\"two\",{\"three\":[3]}]},\"contains\":{"
                "\"const\":1}},"
                "\"text\":{\"type\":\"string\",\"pattern\":\"^(a|b)+$\"},\"deep\":{\"$dynamicRef\":\"#n\"}},"
                "\"patternProperties\":{\"^x-\":{\"$ref\":\"#/x-place/"
                "0\"}},\"required\":[\"list\"],\"dependentRequired\":"
                "{\"text\":[\"list\"]},\"anyOf\":[{\"minProperties\":1},true],\"unevaluatedProperties\":"
                "false,"
                "\"x-place\":[{\"type\":\"null\"}],\"$defs\":{\"in\":{\"$id\":\"inner\",\"$defs\":{\"a\":{\"$"
                "anchor\":\"a\","
                "\"propertyNames\":{\"maxLength\":9}}}}}}";
static const char good_text[] = "{\"list\":[1,\"two\",{\"three\":[3]}],\"text\":\"abab\",\"x-y\":null,"
                                "\"deep\":{\"list\":[1]}}";
static const char bad_text[] = "{\"list\":[2,\"two\",{\"three\":[3]},\"two\"],\"text\":\"c\",\"x-y\":1,"
                               "\"deep\":{\"list\":[1],\"z\":0}}";

Test(memory, compiling) {
        json_t *schema = parse(schema_text);
        long n = 0;
        for (bool more = true; more && n < ALLOCATIONS_MAX; n++) {
                _cleanup_(report_deinit) Report report = {0};
                JsonAt at = json_at_root(schema, &report);
                failing_begin(n, 1);
                Schema *s = schema_compile(&at);
                failing_end();
                more = failing_reached();
                cr_expect_eq(!s, more, "allocation %ld", n);
                cr_expect_eq(report.oom, more, "allocation %ld", n);
                cr_expect_eq(report.n_details, 0, "allocation %ld: %s", n,
                             report.n_details ? report.details[0].message : "");
                schema_unref(s);
        }
        cr_expect(n > 10 && n < ALLOCATIONS_MAX);
        json_decref(schema);
}

Test(memory, compiling_with_faults) {
        json_t *schema = parse(
                        "{\"type\":\"x\",\"$ref\":\"#/"
                        "no\",\"allOf\":[{\"pattern\":\"(\"},{\"$anchor\":\"a\"},"
                        "{\"$anchor\":\"a\"}],\"$defs\":{\"a\":{\"$id\":\"b\"},\"c\":{\"$id\":\"b\"}}}");
        long n = 0;
        for (bool more = true; more && n < ALLOCATIONS_MAX; n++) {
                _cleanup_(report_deinit) Report report = {0};
                JsonAt at = json_at_root(schema, &report);
                failing_begin(n, 1);
                Schema *s = schema_compile(&at);
                failing_end();
                more = failing_reached();
                cr_expect_null(s);
                cr_expect(more ? report.oom : report.n_details == 5, "allocation %ld: %zu", n,
                          report.n_details);
        }
        cr_expect(n > 5 && n < ALLOCATIONS_MAX);
        json_decref(schema);
}

static void validate_failing(const char *text, int wanted) {
        Schema *s = compile_good(schema_text);
        json_t *value = parse(text);
        long n = 0;
        for (bool more = true; more && n < ALLOCATIONS_MAX; n++) {
                _cleanup_(report_deinit) Report report = {0};
                failing_begin(n, 1);
                int r = schema_validate(s, value, &report);
                failing_end();
                more = failing_reached();
                cr_expect(r == wanted || (r == -ENOMEM && more), "allocation %ld: %d", n, r);
                cr_expect(r != -ENOMEM || report.oom, "allocation %ld", n);
                cr_expect(r != 1 || report.n_details > 0 || report.oom, "allocation %ld", n);
        }
        cr_expect(n > 3 && n < ALLOCATIONS_MAX);
        json_decref(value);
        schema_unref(s);
}

Test(memory, validating) {
        validate_failing(good_text, 0);
        validate_failing(bad_text, 1);
}
