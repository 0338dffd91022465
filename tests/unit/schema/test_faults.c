/* What is said about values that don't fit, and about schemas that are wrong. */

#include <errno.h>
#include <pthread.h>

#include "cases.h"

TestSuite(faults, .fini = check_leaks);

static void check(const char *schema, const char *value, Report *report) {
        _cleanup_(schema_unref_p) Schema *s = compile_good(schema);
        json_t *json = parse(value);
        cr_assert_eq(schema_validate(s, json, report), 1);
        cr_expect_eq(report->code, RUNBOOK_OK, "code and message are the caller's");
        json_decref(json);
}

Test(faults, all_of_them_with_places) {
        _cleanup_(report_deinit) Report report = {0};
        check("{\"type\":\"object\",\"required\":[\"id\",\"name\"],\"properties\":{\"name\":{\"type\":"
              "\"string\",\"minLength\":3},"
              "\"age\":{\"type\":\"integer\",\"minimum\":0},\"tags\":{\"items\":{\"$ref\":\"#/$defs/"
              "tag\"},\"uniqueItems\":true},\"kind\":{\"enum\":[\"x\",1]},\"a/b\":{\"const\":null}},"
              "\"additionalProperties\":false,\"$defs\":{\"tag\":{\"pattern\":\"^[a-z]+$\"}}}",
              "{\"name\":\"ab\",\"age\":-1.5,\"tags\":[\"ok\",\"NO\",\"ok\"],\"nmae\":1,\"kind\":2,\"a/"
              "b\":0}",
              &report);
        expect_fault(&report, "", "the property \"id\" is missing (keyword: /required)");
        expect_fault(&report, "/name",
                     "must have at least 3 characters, has 2 (keyword: /properties/name/minLength)");
        expect_fault(&report, "/age",
                     "must be an integer, is a number with a fraction (keyword: /properties/age/type)");
        expect_fault(&report, "/age", "must be at least 0, is -1.5 (keyword: /properties/age/minimum)");
        expect_fault(&report, "/tags/1", "must match the pattern ^[a-z]+$ (keyword: /$defs/tag/pattern)");
        expect_fault(&report, "/tags", "items 0 and 2 are equal (keyword: /properties/tags/uniqueItems)");
        expect_fault(&report, "/nmae",
                     "unknown property \"nmae\"; did you mean \"name\"? (keyword: /additionalProperties)");
        expect_fault(&report, "/kind", "must be one of [\"x\",1] (keyword: /properties/kind/enum)");
        expect_fault(&report, "/a~1b", "must be null (keyword: /properties/a~1b/const)");
        cr_expect_eq(report.n_details, 9);
}

Test(faults, sentences) {
        static const struct {
                const char *schema, *value, *path, *part;
        } cases[] = {
                        {"{\"type\":[\"string\",\"null\",\"array\"]}", "1", "",
                         "must be a string, null or an array, is a number (keyword: /type)"},
                        {"{\"multipleOf\":0.1}", "0.25", "", "must be a multiple of 0.1, is 0.25"},
                        {"{\"exclusiveMaximum\":9007199254740993}", "9007199254740993", "",
                         "must be less than 9007199254740993, is 9007199254740993"},
                        {"{\"maxLength\":1}", "\"\\u00e4\\u00f6\"", "",
                         "must have at most 1 characters, has 2"},
                        {"{\"minItems\":2}", "[1]", "", "must have at least 2 items, has 1"},
                        {"{\"maxProperties\":0}", "{\"a\":1}", "", "must have at most 0 properties, has 1"},
                        {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1]", "",
                         "must hold at least 2 items that match `contains`, holds 1 (keyword: /minContains)"},
                        {"{\"contains\":{\"const\":1}}", "[]", "", "(keyword: /contains)"},
                        {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]", "",
                         "(keyword: /maxContains)"},
                        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", "",
                         "the property \"b\" is missing, which \"a\" asks for (keyword: /dependentRequired)"},
                        {"{\"propertyNames\":{\"pattern\":\"^x\"}}", "{\"y\":1}", "/y",
                         "must match the pattern ^x (keyword: /propertyNames/pattern)"},
                        {"{\"properties\":{\"a\":false}}", "{\"a\":1}", "/a",
                         "is not allowed (keyword: /properties/a)"},
                        {"{\"prefixItems\":[{}],\"items\":false}", "[1,2]", "/1",
                         "is not allowed (keyword: /items)"},
                        {"{\"allOf\":[{\"not\":{\"type\":\"null\"}}]}", "null", "",
                         "must not match the schema here (keyword: /allOf/0/not)"},
                        {"{\"oneOf\":[true,false,true]}", "1", "",
                         "matches those at 0 and 2 (keyword: /oneOf)"},
                        {"{\"if\":true,\"then\":{\"minimum\":2}}", "1", "", "(keyword: /then/minimum)"},
                        {"{\"unevaluatedProperties\":false}", "{\"q\":1}", "/q",
                         "unknown property \"q\" (keyword: /unevaluatedProperties)"},
                        {"{\"unevaluatedItems\":{\"type\":\"null\"}}", "[1]", "/0",
                         "must be null, is a number (keyword: /unevaluatedItems/type)"},
                        {"{\"$ref\":\"#/x/t\",\"x\":{\"t\":{\"type\":\"null\"}}}", "1", "",
                         "(keyword: /x/t/type)"},
                        {"{\"patternProperties\":{\"^a\":{\"type\":\"null\"}}}", "{\"ab\":1}", "/ab",
                         "(keyword: /patternProperties/^a/type)"},
                        {"{\"dependentSchemas\":{\"a\":{\"maxProperties\":1}}}", "{\"a\":1,\"b\":1}", "",
                         "(keyword: /dependentSchemas/a/maxProperties)"},
                        {"{\"const\":\"a very long text that nobody wants to read in full because it goes on "
                         "and on and on, well beyond what a message may hold, and still further\"}",
                         "1", "", "…"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(report_deinit) Report report = {0};
                check(cases[i].schema, cases[i].value, &report);
                expect_fault(&report, cases[i].path, cases[i].part);
                cr_expect_eq(report.n_details, 1, "%s: %zu faults", cases[i].schema, report.n_details);
        }
}

Test(faults, of_the_branch_that_came_nearest) {
        _cleanup_(report_deinit) Report report = {0};
        check("{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"properties\":{\"port\":{\"maximum\":"
              "65535}}}]}",
              "{\"port\":70000}", &report);
        expect_fault(&report, "",
                     "must match one of the schemas here; the nearest one fails as told next (keyword: "
                     "/anyOf)");
        expect_fault(&report, "/port",
                     "must be at most 65535, is 70000 (keyword: /anyOf/1/properties/port/maximum)");
        cr_expect_eq(report.n_details, 2);
        report_deinit(&report);
        check("{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"string\"}]}", "1", &report);
        expect_fault(&report, "", "must match one of the schemas here, matches none (keyword: /oneOf)");
        cr_expect_eq(report.n_details, 1);
}

Test(faults, no_more_than_the_report_holds) {
        _cleanup_(report_deinit) Report report = {0};
        Buf b = {0};
        buf_put_str(&b, "[0");
        for (int i = 0; i < 5000; i++)
                buf_put_str(&b, ",0");
        buf_put_str(&b, "]");
        char *text = buf_steal_str(&b);
        check("{\"items\":{\"type\":\"null\"}}", text, &report);
        cr_expect_eq(report.n_details, SCHEMA_FAULTS_MAX);
        free(text);
}

Test(faults, of_schemas) {
        static const struct {
                const char *schema, *path, *part;
        } cases[] = {
                        {"1", "", "must be a schema (an object, true or false), is a number"},
                        {"null", "", "must be a schema"},
                        {"{\"type\":\"strng\"}", "/type",
                         "there is no type \"strng\"; did you mean \"string\"?"},
                        {"{\"type\":[\"string\",5]}", "/type/1", "must be the name of a type, is a number"},
                        {"{\"type\":[]}", "/type", "at least one type"},
                        {"{\"type\":[\"null\",\"null\"]}", "/type/1", "more than once"},
                        {"{\"type\":{}}", "/type",
                         "must be the name of a type, or an array of them, is an object"},
                        {"{\"minLength\":-1}", "/minLength", "must be a whole number that is not negative"},
                        {"{\"maxItems\":1.5}", "/maxItems", "must be a whole number"},
                        {"{\"minContains\":\"1\"}", "/minContains", "must be a whole number, is a string"},
                        {"{\"multipleOf\":0}", "/multipleOf", "greater than 0"},
                        {"{\"multipleOf\":-2.5}", "/multipleOf", "greater than 0"},
                        {"{\"minimum\":\"1\"}", "/minimum", "must be a number, is a string"},
                        {"{\"exclusiveMinimum\":true}", "/exclusiveMinimum",
                         "must be a number, is a boolean"},
                        {"{\"enum\":{}}", "/enum", "must be an array, is an object"},
                        {"{\"required\":\"a\"}", "/required", "must be an array of strings"},
                        {"{\"required\":[\"a\",1]}", "/required/1", "must be a string"},
                        {"{\"required\":[\"a\",\"b\",\"a\"]}", "/required",
                         "has the string \"a\" more than once"},
                        {"{\"properties\":[]}", "/properties", "must be an object of schemas, is an array"},
                        {"{\"properties\":{\"a\":1}}", "/properties/a", "must be a schema"},
                        {"{\"allOf\":[]}", "/allOf", "at least one schema"},
                        {"{\"anyOf\":{}}", "/anyOf", "must be an array of schemas"},
                        {"{\"oneOf\":[1]}", "/oneOf/0", "must be a schema"},
                        {"{\"items\":[{}]}", "/items", "prefixItems takes a schema for each item"},
                        {"{\"not\":null}", "/not", "must be a schema (an object, true or false), is null"},
                        {"{\"pattern\":\"(\"}", "/pattern",
                         "is not a valid pattern: a parenthesis is not closed (byte 2)"},
                        {"{\"pattern\":7}", "/pattern", "must be a string"},
                        {"{\"patternProperties\":{\"[\":{}}}", "/patternProperties/[",
                         "is not a valid pattern"},
                        {"{\"pattern\":\"(?<=a+)b\"}", "/pattern", "is not a pattern that can be used here"},
                        {"{\"dependentRequired\":{\"a\":\"b\"}}", "/dependentRequired/a",
                         "must be an array of strings"},
                        {"{\"dependentSchemas\":{\"a\":[]}}", "/dependentSchemas/a", "must be a schema"},
                        {"{\"uniqueItems\":1}", "/uniqueItems", "must be true or false"},
                        {"{\"title\":1}", "/title", "must be a string"},
                        {"{\"deprecated\":\"yes\"}", "/deprecated", "must be true or false"},
                        {"{\"examples\":1}", "/examples", "must be an array"},
                        {"{\"format\":1}", "/format", "must be a string"},
                        {"{\"$defs\":{\"a\":3}}", "/$defs/a", "must be a schema"},
                        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "/$schema",
                         "only the dialect https://json-schema.org/draft/2020-12/schema is understood"},
                        {"{\"$vocabulary\":[]}", "/$vocabulary", "must be an object"},
                        {"{\"$vocabulary\":{\"x\":1}}", "/$vocabulary/x", "must be true or false"},
                        {"{\"$id\":1}", "/$id", "must be a string"},
                        {"{\"$id\":\"x#y\"}", "/$id", "must not have a fragment; $anchor names a place"},
                        {"{\"$anchor\":\"1a\"}", "/$anchor", "must begin with a letter"},
                        {"{\"$dynamicAnchor\":\"\"}", "/$dynamicAnchor", "must begin with a letter"},
                        {"{\"$ref\":\"#/$defs/x\"}", "/$ref", "\"#/$defs/x\" leads nowhere in this document"},
                        {"{\"$ref\":\"#x\"}", "/$ref", "leads nowhere"},
                        {"{\"$ref\":\"#/a~2\"}", "/$ref", "leads nowhere"},
                        {"{\"$ref\":\"#%\"}", "/$ref", "leads nowhere"},
                        {"{\"prefixItems\":[{}],\"$ref\":\"#/prefixItems/00\"}", "/$ref", "leads nowhere"},
                        {"{\"prefixItems\":[{}],\"$ref\":\"#/prefixItems/-\"}", "/$ref", "leads nowhere"},
                        {"{\"$ref\":\"http://example.com/s\"}", "/$ref",
                         "\"http://example.com/s\" is in no schema of this document, and nothing is fetched"},
                        {"{\"items\":{\"$dynamicRef\":\"other#x\"}}", "/items/$dynamicRef",
                         "nothing is fetched"},
                        {"{\"$ref\":1}", "/$ref", "must be a string"},
                        {"{\"$ref\":\"#/title\",\"title\":\"x\"}", "/title", "must be a schema"},
                        {"{\"$ref\":\"#/x\",\"x\":{\"y\":1,\"properties\":{\"z\":7}}}", "/x/properties/z",
                         "must be a schema"},
                        {"{\"$defs\":{\"a\":{\"$id\":\"x\"},\"b\":{\"$id\":\"x\"}}}", "/$defs/b/$id",
                         "names another schema of this document too"},
                        {"{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$dynamicAnchor\":\"x\"}}}",
                         "/$defs/b", "is an anchor that another schema has too"},
                        {"{\"$ref\":\"#\"}", "/$ref",
                         "leads back to a schema that is being applied to the same value, without end"},
                        {"{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"if\":{\"$ref\":\"#\"}}}}",
                         "/$defs/a/if/$ref", "without end"},
                        {"{\"dependentSchemas\":{\"x\":{\"not\":{\"anyOf\":[true,{\"$ref\":\"#\"}]}}}}",
                         "/dependentSchemas/x/not/anyOf/1/$ref", "without end"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(report_deinit) Report report = {0};
                Schema *s = compile(cases[i].schema, &report);
                cr_expect_null(s, "%s", cases[i].schema);
                expect_fault(&report, cases[i].path, cases[i].part);
                schema_unref(s);
        }
}

Test(faults, all_of_a_schema_at_its_place_in_the_document) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *document = parse(
                        "{\"steps\":[{\"inputSchema\":{\"type\":\"x\",\"properties\":{\"a\":{\"minimum\":"
                        "\"1\",\"$ref\":\"#/$defs/q\"}},\"$defs\":{\"b\":{\"pattern\":\"+\"}}}}]}");
        JsonAt root = json_at_root(document, &report), steps, schema;
        cr_assert(json_get_array(&root, "steps", &steps));
        JsonAt step = json_at_index(&steps, 0);
        cr_assert(json_get_object(&step, "inputSchema", &schema));
        cr_expect_null(schema_compile(&schema));
        expect_fault(&report, "/steps/0/inputSchema/type", "there is no type");
        expect_fault(&report, "/steps/0/inputSchema/properties/a/minimum", "must be a number");
        expect_fault(&report, "/steps/0/inputSchema/properties/a/$ref", "leads nowhere");
        expect_fault(&report, "/steps/0/inputSchema/$defs/b/pattern", "there is nothing to repeat");
        cr_expect_eq(report.n_details, 4);
        json_decref(document);
}

Test(faults, endless_only_where_it_is) {
        static const Case cases[] = {
                        {"{\"items\":{\"$ref\":\"#\"},\"additionalProperties\":{\"allOf\":[{\"$ref\":\"#\"}]}"
                         "}",
                         "[[{\"a\":[]}]]", true},
                        {"{\"allOf\":[{\"$ref\":\"#/$defs/a\"},{\"$ref\":\"#/$defs/"
                         "a\"}],\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"type\":\"null\"}}}",
                         "null", true},
                        {"{\"$defs\":{\"a\":{\"properties\":{\"x\":{\"$ref\":\"#/$defs/"
                         "a\"}},\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\"}]}},\"$ref\":\"#/$defs/"
                         "a\"}",
                         "{\"x\":{\"x\":null}}", true},
        };
        RUN_CASES(cases);
}

static void *validate_many(void *schema) {
        json_t *good = json_pack("{s:[i,s]}", "list", 1, "two"), *bad = json_pack("{s:[b]}", "list", 1);
        size_t n_wrong = 0;
        for (int i = 0; i < 2000; i++) {
                Report report = {0};
                Schema *s = schema_ref(schema);
                n_wrong += schema_validate(s, good, &report) != 0;
                n_wrong += schema_validate(s, bad, &report) != 1;
                schema_unref(s);
                report_deinit(&report);
        }
        json_decref(good);
        json_decref(bad);
        return (void *)n_wrong;
}

Test(faults, none_between_threads) {
        Schema *s = compile_good("{\"properties\":{\"list\":{\"uniqueItems\":true,\"items\":{\"anyOf\":[{"
                                 "\"type\":\"integer\"},{\"pattern\":\"^t(w|x)o$\",\"type\":\"string\"}]}}},"
                                 "\"unevaluatedProperties\":false}");
        cr_expect_gt(schema_size(s), 500);
        pthread_t threads[4];
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, validate_many, s), 0);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++) {
                void *n_wrong = NULL;
                pthread_join(threads[i], &n_wrong);
                cr_expect_null(n_wrong);
        }
        schema_unref(s);
        cr_expect_null(schema_ref(NULL));
        schema_unref(NULL);
}
