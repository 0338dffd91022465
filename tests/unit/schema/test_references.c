/* $ref, $id, $anchor, $dynamicRef: what they lead to. */

#include "cases.h"

TestSuite(references, .fini = check_leaks);

Test(references, pointers) {
        static const Case cases[] = {
                        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"null\"}}}", "null", true},
                        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"null\"}}}", "1", false},
                        {"{\"$ref\":\"#/$defs/a\",\"minimum\":3,\"$defs\":{\"a\":{\"type\":\"integer\"}}}",
                         "2", false},
                        {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
                         "{\"v\":1,\"next\":{\"v\":2}}", true},
                        {"{\"properties\":{\"next\":{\"$ref\":\"#\"}},\"required\":[\"v\"]}",
                         "{\"v\":1,\"next\":{}}", false},
                        {"{\"$ref\":\"#/$defs/a~1b~0c%25d%22\",\"$defs\":{\"a/"
                         "b~c%d\\\"\":{\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$ref\":\"#/$defs/a~1b~0c%25d%22\",\"$defs\":{\"a/"
                         "b~c%d\\\"\":{\"type\":\"null\"}}}",
                         "null", true},
                        {"{\"$ref\":\"#/$defs//$defs/"
                         "\",\"$defs\":{\"\":{\"$defs\":{\"\":{\"type\":\"null\"}}}}}",
                         "1", false},
                        {"{\"prefixItems\":[{\"type\":\"null\"},{\"$ref\":\"#/prefixItems/0\"}]}", "[null,1]",
                         false},
                        {"{\"$ref\":\"#/$defs/no\",\"$defs\":{\"no\":false}}", "1", false},
                        {"{\"$ref\":\"#/$defs/yes\",\"$defs\":{\"yes\":true}}", "1", true},
                        {"{\"$ref\":\"#/properties/a\",\"properties\":{\"a\":{\"type\":\"object\"}}}",
                         "{\"a\":1}", false},
                        {"{\"$ref\":\"#/definitions/a\",\"definitions\":{\"a\":{\"type\":\"null\"}}}", "1",
                         false},
        };
        RUN_CASES(cases);
}

Test(references, to_places_that_are_no_schemas) {
        static const Case cases[] = {
                        {"{\"$ref\":\"#/x-types/0\",\"x-types\":[{\"type\":\"null\"}]}", "1", false},
                        {"{\"$ref\":\"#/x-types/0\",\"x-types\":[{\"type\":\"null\"}]}", "null", true},
                        {"{\"allOf\":[{\"$ref\":\"#/x/a\"},{\"$ref\":\"#/x/a\"},{\"$ref\":\"#/x/a/properties/"
                         "b\"}],\"x\":{\"a\":{\"properties\":{\"b\":{\"type\":\"object\"}}}}}",
                         "{\"b\":{}}", true},
                        {"{\"$ref\":\"#/examples/0\",\"examples\":[{\"$ref\":\"#/$defs/"
                         "n\"}],\"$defs\":{\"n\":{\"type\":\"null\"}}}",
                         "1", false},
                        /* an identifier there is none */
                        {"{\"$ref\":\"#/x/a\",\"x\":{\"a\":{\"$id\":\"http://elsewhere/\",\"$ref\":\"#/$defs/"
                         "n\"}},\"$defs\":{\"n\":{\"type\":\"null\"}}}",
                         "1", false},
        };
        RUN_CASES(cases);
}

Test(references, identifiers) {
        static const Case cases[] = {
                        {"{\"$id\":\"http://a/b/"
                         "c\",\"$ref\":\"d\",\"$defs\":{\"x\":{\"$id\":\"d\",\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$id\":\"http://a/b/c\",\"$ref\":\"/b/"
                         "d\",\"$defs\":{\"x\":{\"$id\":\"d\",\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$id\":\"http://a/b/c\",\"$ref\":\"http://a/b/d#/$defs/"
                         "y\",\"$defs\":{\"x\":{\"$id\":\"d\",\"$defs\":{\"y\":{\"type\":\"null\"}}}}}",
                         "1", false},
                        {"{\"$ref\":\"#here\",\"$defs\":{\"x\":{\"$anchor\":\"here\",\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$id\":\"urn:uuid:deadbeef-4321-ffff-ffff-1234feebdaed\",\"$ref\":\"urn:uuid:"
                         "deadbeef-4321-ffff-ffff-1234feebdaed#here\",\"$defs\":{\"x\":{\"$anchor\":\"here\","
                         "\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$ref\":\"inner#here\",\"$defs\":{\"a\":{\"$anchor\":\"here\"},\"x\":{\"$id\":"
                         "\"inner\",\"$defs\":{\"y\":{\"$anchor\":\"here\",\"type\":\"null\"}}}}}",
                         "1", false},
                        /* a pointer that goes through an embedded resource: # counts from there on */
                        {"{\"$id\":\"http://a/\",\"$ref\":\"#/$defs/x/$defs/"
                         "y\",\"$defs\":{\"n\":false,\"x\":{\"$id\":\"x\",\"$defs\":{\"n\":{\"type\":"
                         "\"null\"},\"y\":{\"$ref\":\"#/$defs/n\"}}}}}",
                         "null", true},
                        {"{\"$id\":\"http://a/\",\"$ref\":\"#/$defs/x/$defs/"
                         "y\",\"$defs\":{\"n\":true,\"x\":{\"$id\":\"x\",\"$defs\":{\"n\":{\"type\":\"null\"}"
                         ",\"y\":{\"$ref\":\"#/$defs/n\"}}}}}",
                         "1", false},
                        /* identifiers within values are none */
                        {"{\"anyOf\":[{\"const\":{\"$id\":\"i\",\"$anchor\":\"n\"}},{\"$ref\":\"#n\"},{\"$"
                         "ref\":\"i\"}],\"$defs\":{\"a\":{\"$anchor\":\"n\",\"type\":\"null\"},\"b\":{\"$"
                         "id\":\"i\",\"type\":\"string\"}}}",
                         "\"s\"", true},
                        {"{\"anyOf\":[{\"const\":{\"$id\":\"i\",\"$anchor\":\"n\"}},{\"$ref\":\"#n\"},{\"$"
                         "ref\":\"i\"}],\"$defs\":{\"a\":{\"$anchor\":\"n\",\"type\":\"null\"},\"b\":{\"$"
                         "id\":\"i\",\"type\":\"string\"}}}",
                         "1", false},
                        {"{\"$ref\":\"http://x/if\",\"if\":{\"$id\":\"http://x/if\",\"type\":\"null\"}}", "1",
                         false},
                        {"{\"$ref\":\"http://x/then\",\"then\":{\"$id\":\"http://x/"
                         "then\",\"type\":\"null\"}}",
                         "1", false},
                        {"{\"properties\":{\"$ref\":{\"type\":\"null\"}}}", "{\"$ref\":1}", false},
        };
        RUN_CASES(cases);
}

#define TREE                                                                                                 \
        "\"tree\":{\"$id\":\"tree\",\"$dynamicAnchor\":\"node\",\"type\":\"object\",\"properties\":{"        \
        "\"data\":true,"                                                                                     \
        "\"children\":{\"items\":{\"$dynamicRef\":\"#node\"}}}}"

Test(references, dynamic) {
        static const Case cases[] = {
                        /* extended from outside: children have to be what the outermost says a node is */
                        {"{\"$id\":\"http://x/"
                         "strict\",\"$dynamicAnchor\":\"node\",\"$ref\":\"tree\",\"unevaluatedProperties\":"
                         "false,\"$defs\":{" TREE "}}",
                         "{\"children\":[{\"data\":1}]}", true},
                        {"{\"$id\":\"http://x/"
                         "strict\",\"$dynamicAnchor\":\"node\",\"$ref\":\"tree\",\"unevaluatedProperties\":"
                         "false,\"$defs\":{" TREE "}}",
                         "{\"children\":[{\"daat\":1}]}", false},
                        {"{\"$id\":\"http://x/loose\",\"$ref\":\"tree\",\"$defs\":{" TREE "}}",
                         "{\"children\":[{\"daat\":1}]}", true},
                        {"{\"$id\":\"http://x/loose\",\"$ref\":\"tree\",\"$defs\":{" TREE "}}",
                         "{\"children\":[1]}", false},
                        /* a plain anchor of the same name is not dynamic */
                        {"{\"$dynamicRef\":\"#n\",\"$defs\":{\"a\":{\"$anchor\":\"n\",\"type\":\"null\"}}}",
                         "1", false},
                        {"{\"$id\":\"http://x/"
                         "o\",\"$ref\":\"in\",\"$defs\":{\"o\":{\"$dynamicAnchor\":\"n\",\"type\":\"string\"}"
                         ",\"in\":{\"$id\":\"in\",\"$dynamicRef\":\"#n\",\"$defs\":{\"p\":{\"$anchor\":\"n\","
                         "\"type\":\"null\"}}}}}",
                         "null", true},
                        {"{\"$id\":\"http://x/"
                         "o\",\"$ref\":\"in\",\"$defs\":{\"o\":{\"$dynamicAnchor\":\"n\",\"type\":\"string\"}"
                         ",\"in\":{\"$id\":\"in\",\"$dynamicRef\":\"#n\",\"$defs\":{\"p\":{\"$"
                         "dynamicAnchor\":\"n\",\"type\":\"null\"}}}}}",
                         "null", false},
                        {"{\"$id\":\"http://x/"
                         "o\",\"$ref\":\"in\",\"$defs\":{\"o\":{\"$dynamicAnchor\":\"n\",\"type\":\"string\"}"
                         ",\"in\":{\"$id\":\"in\",\"$dynamicRef\":\"#n\",\"$defs\":{\"p\":{\"$"
                         "dynamicAnchor\":\"n\",\"type\":\"null\"}}}}}",
                         "\"s\"", true},
                        /* neither is a $ref to it */
                        {"{\"$id\":\"http://x/"
                         "o\",\"$ref\":\"in\",\"$defs\":{\"o\":{\"$dynamicAnchor\":\"n\",\"type\":\"string\"}"
                         ",\"in\":{\"$id\":\"in\",\"$ref\":\"#n\",\"$defs\":{\"p\":{\"$dynamicAnchor\":\"n\","
                         "\"type\":\"null\"}}}}}",
                         "null", true},
                        {"{\"$dynamicRef\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"null\"}}}", "1", false},
                        {"{\"$dynamicRef\":\"#/$defs/no\",\"$defs\":{\"no\":false}}", "1", false},
                        /* a scope that was left is not looked at: `if` has its own thing */
                        {"{\"$id\":\"http://x/"
                         "main\",\"if\":{\"$id\":\"one\",\"$defs\":{\"t\":{\"$dynamicAnchor\":\"t\",\"type\":"
                         "\"number\"}}},\"then\":{\"$id\":\"two\",\"$ref\":\"start\",\"$defs\":{\"t\":{\"$"
                         "dynamicAnchor\":\"t\",\"type\":\"null\"}}},"
                         "\"$defs\":{\"start\":{\"$id\":\"start\",\"$dynamicRef\":\"inner#t\"},\"t\":{\"$"
                         "id\":\"inner\",\"$dynamicAnchor\":\"t\",\"type\":\"string\"}}}",
                         "null", true},
                        {"{\"$id\":\"http://x/"
                         "main\",\"if\":{\"$id\":\"one\",\"$defs\":{\"t\":{\"$dynamicAnchor\":\"t\",\"type\":"
                         "\"number\"}}},\"then\":{\"$id\":\"two\",\"$ref\":\"start\",\"$defs\":{\"t\":{\"$"
                         "dynamicAnchor\":\"t\",\"type\":\"null\"}}},"
                         "\"$defs\":{\"start\":{\"$id\":\"start\",\"$dynamicRef\":\"inner#t\"},\"t\":{\"$"
                         "id\":\"inner\",\"$dynamicAnchor\":\"t\",\"type\":\"string\"}}}",
                         "1", false},
                        /* a pointer into an embedded resource does not pass through those in between */
                        {"{\"$id\":\"http://x/foo\",\"$ref\":\"bar#/$defs/"
                         "item\",\"$defs\":{\"bar\":{\"$id\":\"bar\",\"$defs\":{\"item\":{\"$id\":\"item\","
                         "\"$dynamicRef\":\"#c\",\"$defs\":{\"d\":{\"$dynamicAnchor\":\"c\",\"type\":"
                         "\"integer\"}}},\"c\":{\"$dynamicAnchor\":\"c\",\"type\":\"string\"}}}}}",
                         "42", true},
                        {"{\"$id\":\"http://x/foo\",\"$ref\":\"bar#/$defs/"
                         "item\",\"$defs\":{\"bar\":{\"$id\":\"bar\",\"$defs\":{\"item\":{\"$id\":\"item\","
                         "\"$dynamicRef\":\"#c\",\"$defs\":{\"d\":{\"$dynamicAnchor\":\"c\",\"type\":"
                         "\"integer\"}}},\"c\":{\"$dynamicAnchor\":\"c\",\"type\":\"string\"}}}}}",
                         "\"s\"", false},
        };
        RUN_CASES(cases);
}

Test(references, shared_by_yaml_aliases) {
        /* One tree in two places, as YAML aliases make it. */
        json_t *shared = parse("{\"properties\":{\"x\":{\"$ref\":\"#/$defs/n\"}}}"),
               *schema = parse("{\"$defs\":{\"n\":{\"type\":\"null\"}},\"properties\":{}}");
        json_object_set(json_object_get(schema, "properties"), "a", shared);
        json_object_set(json_object_get(schema, "properties"), "b", shared);
        json_object_set_new(json_object_get(schema, "$defs"), "c",
                            json_pack("{s:s}", "$ref", "#/properties/b"));
        json_object_set_new(schema, "additionalProperties", json_pack("{s:s}", "$ref", "#/$defs/c"));
        _cleanup_(report_deinit) Report report = {0};
        JsonAt at = json_at_root(schema, &report);
        _cleanup_(schema_unref_p) Schema *s = schema_compile(&at);
        json_decref(schema);
        json_decref(shared);
        cr_assert(s);
        json_t *good = parse("{\"a\":{\"x\":null},\"b\":{\"x\":null},\"z\":{\"x\":null}}"),
               *bad = parse("{\"z\":{\"x\":1}}");
        cr_expect_eq(schema_validate(s, good, NULL), 0);
        cr_expect_eq(schema_validate(s, bad, NULL), 1);
        json_decref(good);
        json_decref(bad);
}
