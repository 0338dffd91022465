/* What each keyword accepts and refuses. */

#include "cases.h"

TestSuite(keywords, .fini = check_leaks);

Test(keywords, booleans) {
        static const Case cases[] = {
                        {"true", "null", true},
                        {"false", "null", false},
                        {"{}", "[1]", true},
                        {"{\"properties\":{\"a\":false}}", "{}", true},
                        {"{\"properties\":{\"a\":false}}", "{\"a\":1}", false},
                        {"{\"not\":true}", "1", false},
                        {"{\"not\":false}", "1", true},
        };
        RUN_CASES(cases);
}

Test(keywords, type) {
        static const Case cases[] = {
                        {"{\"type\":\"integer\"}", "1", true},
                        {"{\"type\":\"integer\"}", "1.0", true},
                        {"{\"type\":\"integer\"}", "1.5", false},
                        {"{\"type\":\"integer\"}", "1e300", true},
                        {"{\"type\":\"integer\"}", "-0.0", true},
                        {"{\"type\":\"integer\"}", "\"1\"", false},
                        {"{\"type\":\"integer\"}", "123456789012345678901234567890", true},
                        {"{\"type\":\"number\"}", "1", true},
                        {"{\"type\":\"number\"}", "1.5", true},
                        {"{\"type\":\"number\"}", "true", false},
                        {"{\"type\":\"string\"}", "\"\"", true},
                        {"{\"type\":\"string\"}", "null", false},
                        {"{\"type\":\"object\"}", "{}", true},
                        {"{\"type\":\"object\"}", "[]", false},
                        {"{\"type\":\"array\"}", "[]", true},
                        {"{\"type\":\"array\"}", "{}", false},
                        {"{\"type\":\"boolean\"}", "false", true},
                        {"{\"type\":\"boolean\"}", "true", true},
                        {"{\"type\":\"boolean\"}", "0", false},
                        {"{\"type\":\"null\"}", "null", true},
                        {"{\"type\":\"null\"}", "false", false},
                        {"{\"type\":[\"null\",\"string\"]}", "null", true},
                        {"{\"type\":[\"null\",\"string\"]}", "1", false},
                        {"{\"type\":[\"integer\",\"string\"]}", "1.5", false},
                        {"{\"type\":[\"integer\",\"number\"]}", "1.5", true},
                        {"{\"type\":[\"number\",\"integer\"]}", "1.5", true},
                        {"{\"type\":[\"integer\"]}", "2", true},
        };
        RUN_CASES(cases);
}

Test(keywords, enum_and_const) {
        static const Case cases[] = {
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "1.0", true},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "\"a\"", true},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "null", true},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "[1.0]", true},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "{\"b\":2.0,\"a\":1}", true},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "{\"b\":2,\"a\":1,\"c\":3}",
                         false},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "true", false},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}", "[]", false},
                        {"{\"enum\":[1,\"a\",null,[1],{\"a\":1,\"b\":2}]}",
                         "\"a longer one than all of them are\"", false},
                        {"{\"enum\":[false]}", "0", false},
                        {"{\"enum\":[0]}", "false", false},
                        {"{\"enum\":[]}", "1", false},
                        {"{\"enum\":[1,1]}", "1", true},
                        {"{\"enum\":[[false]]}", "[0]", false},
                        {"{\"enum\":[\"\"]}", "\"\"", true},
                        {"{\"const\":null}", "null", true},
                        {"{\"const\":null}", "0", false},
                        {"{\"const\":{}}", "{}", true},
                        {"{\"const\":{}}", "[]", false},
                        {"{\"const\":0}", "-0.0", true},
                        {"{\"const\":1e3}", "1000", true},
                        {"{\"const\":9007199254740993}", "9007199254740993", true},
                        {"{\"const\":9007199254740993}", "9007199254740992", false},
                        {"{\"const\":9007199254740992}", "9007199254740992.0", true},
                        {"{\"const\":9007199254740993}", "9007199254740992.0", false},
                        {"{\"const\":9223372036854774784}", "9223372036854774784.0", true},
                        {"{\"const\":9223372036854775807}", "9223372036854775808", false},
                        {"{\"const\":1e30}", "1000000000000000000000000000000", true},
                        {"{\"const\":[{\"a\":[{}]}]}", "[{\"a\":[{}]}]", true},
                        {"{\"const\":[[],{}]}", "[{},[]]", false},
                        {"{\"const\":{\"a\":\"b\",\"c\":\"d\"}}", "{\"a\":\"d\",\"c\":\"b\"}", false},
        };
        RUN_CASES(cases);
}

Test(keywords, ranges) {
        static const Case cases[] = {
                        {"{\"minimum\":1.5}", "1.5", true},
                        {"{\"minimum\":1.5}", "1", false},
                        {"{\"minimum\":1.5}", "2", true},
                        {"{\"minimum\":1}", "\"0\"", true},
                        {"{\"maximum\":3}", "3.0", true},
                        {"{\"maximum\":3}", "3.5", false},
                        {"{\"exclusiveMinimum\":1}", "1", false},
                        {"{\"exclusiveMinimum\":1}", "1.0000001", true},
                        {"{\"exclusiveMaximum\":-1}", "-1.0", false},
                        {"{\"exclusiveMaximum\":-1}", "-1.5", true},
                        {"{\"maximum\":9007199254740992}", "9007199254740993", false},
                        {"{\"maximum\":9007199254740992.0}", "9007199254740993", false},
                        {"{\"minimum\":9007199254740993}", "9007199254740992.0", false},
                        {"{\"maximum\":1e300}", "9223372036854775807", true},
                        {"{\"minimum\":-1e300}", "-9223372036854775808", true},
                        {"{\"minimum\":1e300}", "9223372036854775807", false},
                        {"{\"exclusiveMaximum\":0.5}", "0", true},
                        {"{\"exclusiveMinimum\":-0.5}", "0", true},
                        {"{\"exclusiveMinimum\":-0.5}", "-1", false},
                        {"{\"maximum\":9223372036854775807}", "9223372036854775808", false},
                        {"{\"maximum\":300}", "-1e308", true},
        };
        RUN_CASES(cases);
}

Test(keywords, multiple_of) {
        static const Case cases[] = {
                        {"{\"multipleOf\":2}", "10", true},
                        {"{\"multipleOf\":2}", "7", false},
                        {"{\"multipleOf\":2}", "-8", true},
                        {"{\"multipleOf\":0.01}", "4.35", true},
                        {"{\"multipleOf\":0.01}", "4.351", false},
                        {"{\"multipleOf\":0.01}", "0.07", true},
                        {"{\"multipleOf\":0.1}", "0.3", true},
                        {"{\"multipleOf\":0.01}", "1e20", true},
                        {"{\"multipleOf\":0.0001}", "0.0075", true},
                        {"{\"multipleOf\":0.0001}", "0.00751", false},
                        {"{\"multipleOf\":1e-8}", "12391239123", true},
                        {"{\"multipleOf\":0.5}", "1e308", true},
                        {"{\"multipleOf\":0.123456789}", "1e308", false},
                        {"{\"multipleOf\":1e308}", "1e308", true},
                        {"{\"multipleOf\":1e308}", "1", false},
                        {"{\"multipleOf\":1e308}", "0", true},
                        {"{\"multipleOf\":5e-324}", "1e308", true},
                        {"{\"multipleOf\":3e-300}", "1e300", false},
                        {"{\"multipleOf\":2.5}", "9223372036854775807", false},
                        {"{\"multipleOf\":3}", "9223372036854775806", true},
                        {"{\"multipleOf\":1}", "-9223372036854775808", true},
                        {"{\"multipleOf\":1.5}", "4.5", true},
                        {"{\"multipleOf\":1.5}", "35", false},
                        {"{\"multipleOf\":2}", "[]", true},
                        {"{\"multipleOf\":7}", "700000000000000000000", true},
                        {"{\"multipleOf\":7}", "700000000000000100000", false},
        };
        RUN_CASES(cases);
}

Test(keywords, lengths) {
        static const Case cases[] = {
                        {"{\"minLength\":2}", "\"ab\"", true},
                        {"{\"minLength\":2}", "\"a\"", false},
                        {"{\"minLength\":2}", "1", true},
                        {"{\"minLength\":2}", "\"\\ud83d\\ude00\"", false},
                        {"{\"maxLength\":1}", "\"\\ud83d\\ude00\"", true},
                        {"{\"maxLength\":2}", "\"\\u00e4\\u00f6\"", true},
                        {"{\"maxLength\":2}", "\"abc\"", false},
                        {"{\"maxLength\":2.0}", "\"ab\"", true},
                        {"{\"maxLength\":0}", "\"\"", true},
                        {"{\"maxLength\":1e30}", "\"abc\"", true},
                        {"{\"minLength\":1e30}", "\"abc\"", false},
                        {"{\"minLength\":0}", "\"\"", true},
        };
        RUN_CASES(cases);
}

Test(keywords, pattern) {
        static const Case cases[] = {
                        {"{\"pattern\":\"^a+$\"}", "\"aaa\"", true},
                        {"{\"pattern\":\"^a+$\"}", "\"aab\"", false},
                        {"{\"pattern\":\"b\"}", "\"abc\"", true},
                        {"{\"pattern\":\"b\"}", "7", true},
                        {"{\"pattern\":\"^abc$\"}", "\"abc\\n\"", false},
                        {"{\"pattern\":\"\"}", "\"\"", true},
        };
        RUN_CASES(cases);
}

Test(keywords, sizes_of_arrays) {
        static const Case cases[] = {
                        {"{\"minItems\":1}", "[1]", true},
                        {"{\"minItems\":1}", "[]", false},
                        {"{\"minItems\":1}", "{}", true},
                        {"{\"maxItems\":1}", "[1]", true},
                        {"{\"maxItems\":1}", "[1,2]", false},
                        {"{\"uniqueItems\":true}", "[1,2,\"1\",[1],{\"a\":1},null,true,false]", true},
                        {"{\"uniqueItems\":true}", "[1,1.0]", false},
                        {"{\"uniqueItems\":false}", "[1,1]", true},
                        {"{\"uniqueItems\":true}", "[{\"a\":1,\"b\":[2]},3,{\"b\":[2.0],\"a\":1}]", false},
                        {"{\"uniqueItems\":true}", "[0,false]", true},
                        {"{\"uniqueItems\":true}", "[[1],[true]]", true},
                        {"{\"uniqueItems\":true}", "[[[1],\"a\"],[[true],\"a\"]]", true},
                        {"{\"uniqueItems\":true}", "[\"\",[]]", true},
                        {"{\"uniqueItems\":true}", "[9007199254740993,9007199254740992]", true},
                        {"{\"uniqueItems\":true}", "[]", true},
                        {"{\"uniqueItems\":true}", "[{\"ab\":\"c\"},{\"a\":\"bc\"}]", true},
        };
        RUN_CASES(cases);
}

Test(keywords, items) {
        static const Case cases[] = {
                        {"{\"items\":{\"type\":\"integer\"}}", "[1,2]", true},
                        {"{\"items\":{\"type\":\"integer\"}}", "[1,\"2\"]", false},
                        {"{\"items\":{\"type\":\"integer\"}}", "{\"0\":\"x\"}", true},
                        {"{\"items\":false}", "[]", true},
                        {"{\"items\":false}", "[1]", false},
                        {"{\"items\":true}", "[1]", true},
                        {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "[1,\"a\",null]",
                         true},
                        {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "[1]", true},
                        {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "[\"a\",1]",
                         false},
                        {"{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"}}",
                         "[1,null,null]", true},
                        {"{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"}}", "[1,2]",
                         false},
                        {"{\"prefixItems\":[true,{\"type\":\"null\"}],\"items\":false}", "[1,null]", true},
                        {"{\"prefixItems\":[true,{\"type\":\"null\"}],\"items\":false}", "[1,null,2]", false},
        };
        RUN_CASES(cases);
}

Test(keywords, contains) {
        static const Case cases[] = {
                        {"{\"contains\":{\"type\":\"integer\"}}", "[\"a\",1]", true},
                        {"{\"contains\":{\"type\":\"integer\"}}", "[\"a\"]", false},
                        {"{\"contains\":{\"type\":\"integer\"}}", "[]", false},
                        {"{\"contains\":true}", "\"no array\"", true},
                        {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,1.0]", true},
                        {"{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2]", false},
                        {"{\"contains\":{\"const\":1},\"minContains\":0}", "[]", true},
                        {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,2]", true},
                        {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]", false},
                        {"{\"contains\":{\"const\":1},\"maxContains\":1}", "[2]", false},
                        {"{\"contains\":{\"const\":1},\"minContains\":0,\"maxContains\":1}", "[1,1]", false},
                        {"{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":1}", "[1,1]", false},
                        {"{\"minContains\":5}", "[1]", true},
                        {"{\"maxContains\":0}", "[1]", true},
                        {"{\"contains\":false,\"minContains\":0}", "[1]", true},
        };
        RUN_CASES(cases);
}

Test(keywords, sizes_of_objects) {
        static const Case cases[] = {
                        {"{\"minProperties\":1}", "{\"a\":1}", true},
                        {"{\"minProperties\":1}", "{}", false},
                        {"{\"minProperties\":1}", "[]", true},
                        {"{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", false},
                        {"{\"maxProperties\":0}", "{}", true},
                        {"{\"required\":[\"a\",\"b\"]}", "{\"b\":null,\"a\":1}", true},
                        {"{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", false},
                        {"{\"required\":[\"a\"]}", "[]", true},
                        {"{\"required\":[]}", "{}", true},
                        {"{\"required\":[\"__proto__\",\"toString\"]}", "{}", false},
                        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{}", true},
                        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", false},
                        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1,\"b\":1}", true},
                        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"b\":1}", true},
                        {"{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"a\":1}", false},
                        {"{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"b\":1}", true},
                        {"{\"dependentSchemas\":{\"a\":false}}", "{\"a\":1}", false},
                        {"{\"dependencies\":{\"a\":[\"b\"],\"c\":{\"maxProperties\":1}}}", "{\"a\":1}",
                         false},
                        {"{\"dependencies\":{\"a\":[\"b\"],\"c\":{\"maxProperties\":1}}}", "{\"c\":1}", true},
                        {"{\"dependencies\":{\"a\":[\"b\"],\"c\":{\"maxProperties\":1}}}",
                         "{\"c\":1,\"b\":1}", false},
        };
        RUN_CASES(cases);
}

Test(keywords, properties) {
        static const Case cases[] = {
                        {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":1,\"b\":\"x\"}", true},
                        {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":\"x\"}", false},
                        {"{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{},\"c\":{}}}", "{\"a\":\"x\"}",
                         false},
                        {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "[\"a\"]", true},
                        {"{\"patternProperties\":{\"^n\":{\"type\":\"integer\"},\"s$\":{\"minimum\":5}}}",
                         "{\"ns\":5,\"n\":1,\"s\":9}", true},
                        {"{\"patternProperties\":{\"^n\":{\"type\":\"integer\"},\"s$\":{\"minimum\":5}}}",
                         "{\"ns\":4}", false},
                        {"{\"patternProperties\":{\"^n\":{\"type\":\"integer\"},\"s$\":{\"minimum\":5}}}",
                         "{\"ns\":5.5}", false},
                        {"{\"properties\":{\"a\":{}},\"patternProperties\":{\"^b\":{}},"
                         "\"additionalProperties\":false}",
                         "{\"a\":1,\"bx\":2}", true},
                        {"{\"properties\":{\"a\":{}},\"patternProperties\":{\"^b\":{}},"
                         "\"additionalProperties\":false}",
                         "{\"c\":1}", false},
                        {"{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"null\"}}",
                         "{\"a\":1,\"b\":null}", true},
                        {"{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"null\"}}",
                         "{\"b\":1}", false},
                        {"{\"additionalProperties\":{\"type\":\"null\"}}", "{\"b\":1}", false},
                        {"{\"properties\":{\"a\":{\"minimum\":1}},\"patternProperties\":{\"a\":{\"maximum\":"
                         "2}}}",
                         "{\"a\":3}", false},
                        {"{\"properties\":{\"a\":{\"minimum\":1}},\"patternProperties\":{\"a\":{\"maximum\":"
                         "2}}}",
                         "{\"a\":0}", false},
                        {"{\"allOf\":[{\"properties\":{\"a\":{}}}],\"additionalProperties\":false}",
                         "{\"a\":1}", false},
                        {"{\"propertyNames\":{\"maxLength\":2}}", "{\"ab\":1}", true},
                        {"{\"propertyNames\":{\"maxLength\":2}}", "{\"abc\":1}", false},
                        {"{\"propertyNames\":false}", "{}", true},
                        {"{\"propertyNames\":false}", "{\"a\":1}", false},
                        {"{\"propertyNames\":{\"enum\":[\"a\"]}}", "{\"a\":1}", true},
                        {"{\"properties\":{\"\":{\"type\":\"null\"}}}", "{\"\":1}", false},
        };
        RUN_CASES(cases);
}

Test(keywords, logic) {
        static const Case cases[] = {
                        {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "1.5", true},
                        {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", "3", false},
                        {"{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":2}]}", "null", true},
                        {"{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":2}]}", "1", false},
                        {"{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":2}]}", "3", true},
                        {"{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "4", true},
                        {"{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "6", false},
                        {"{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "5", false},
                        {"{\"oneOf\":[true,true]}", "1", false},
                        {"{\"not\":{\"type\":\"integer\"}}", "1", false},
                        {"{\"not\":{\"type\":\"integer\"}}", "1.5", true},
                        {"{\"not\":{\"not\":{\"type\":\"integer\"}}}", "1", true},
                        {"{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":5},\"else\":{\"type\":"
                         "\"string\"}}",
                         "6", true},
                        {"{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":5},\"else\":{\"type\":"
                         "\"string\"}}",
                         "4", false},
                        {"{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":5},\"else\":{\"type\":"
                         "\"string\"}}",
                         "\"x\"", true},
                        {"{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":5},\"else\":{\"type\":"
                         "\"string\"}}",
                         "null", false},
                        {"{\"then\":false,\"else\":false}", "1", true},
                        {"{\"if\":false}", "1", true},
                        {"{\"if\":true,\"else\":false}", "1", true},
        };
        RUN_CASES(cases);
}

Test(keywords, unevaluated_properties) {
        static const Case cases[] = {
                        {"{\"properties\":{\"a\":{}},\"unevaluatedProperties\":false}", "{\"a\":1}", true},
                        {"{\"properties\":{\"a\":{}},\"unevaluatedProperties\":false}", "{\"a\":1,\"b\":1}",
                         false},
                        {"{\"allOf\":[{\"properties\":{\"a\":{}}},{\"patternProperties\":{\"^b\":{}}}],"
                         "\"unevaluatedProperties\":false}",
                         "{\"a\":1,\"bb\":1}", true},
                        {"{\"allOf\":[{\"properties\":{\"a\":{}}}],\"unevaluatedProperties\":{\"type\":"
                         "\"null\"}}",
                         "{\"a\":1,\"b\":null}", true},
                        {"{\"allOf\":[{\"properties\":{\"a\":{}}}],\"unevaluatedProperties\":{\"type\":"
                         "\"null\"}}",
                         "{\"a\":1,\"b\":1}", false},
                        {"{\"anyOf\":[{\"required\":[\"a\"],\"properties\":{\"a\":{}}},{\"required\":[\"b\"],"
                         "\"properties\":{\"b\":{}}}],\"unevaluatedProperties\":false}",
                         "{\"a\":1,\"b\":1}", true},
                        {"{\"anyOf\":[{\"required\":[\"a\"],\"properties\":{\"a\":{}}},{\"required\":[\"b\"],"
                         "\"properties\":{\"b\":{}}}],\"unevaluatedProperties\":false}",
                         "{\"a\":1,\"c\":1}", false},
                        {"{\"anyOf\":[{\"required\":[\"x\"],\"properties\":{\"b\":{}}},{}],"
                         "\"unevaluatedProperties\":false}",
                         "{\"b\":1}", false},
                        {"{\"if\":{\"required\":[\"k\"],\"properties\":{\"k\":{}}},\"then\":{\"properties\":{"
                         "\"t\":{}}},\"else\":{\"properties\":{\"e\":{}}},\"unevaluatedProperties\":false}",
                         "{\"k\":1,\"t\":1}", true},
                        {"{\"if\":{\"required\":[\"k\"],\"properties\":{\"k\":{}}},\"then\":{\"properties\":{"
                         "\"t\":{}}},\"else\":{\"properties\":{\"e\":{}}},\"unevaluatedProperties\":false}",
                         "{\"e\":1}", true},
                        {"{\"if\":{\"required\":[\"k\"],\"properties\":{\"k\":{}}},\"then\":{\"properties\":{"
                         "\"t\":{}}},\"else\":{\"properties\":{\"e\":{}}},\"unevaluatedProperties\":false}",
                         "{\"k\":1,\"e\":1}", false},
                        {"{\"if\":{\"properties\":{\"k\":{}}},\"unevaluatedProperties\":false}", "{\"k\":1}",
                         true},
                        {"{\"not\":{\"not\":{\"properties\":{\"a\":{}}}},\"unevaluatedProperties\":false}",
                         "{\"a\":1}", false},
                        {"{\"$ref\":\"#/$defs/"
                         "x\",\"unevaluatedProperties\":false,\"$defs\":{\"x\":{\"properties\":{\"a\":{}}}}}",
                         "{\"a\":1}", true},
                        {"{\"dependentSchemas\":{\"a\":{\"properties\":{\"a\":{},\"b\":{}}}},"
                         "\"unevaluatedProperties\":false}",
                         "{\"a\":1,\"b\":2}", true},
                        {"{\"dependentSchemas\":{\"a\":{\"properties\":{\"a\":{},\"b\":{}}}},"
                         "\"unevaluatedProperties\":false}",
                         "{\"b\":2}", false},
                        {"{\"additionalProperties\":true,\"unevaluatedProperties\":false}", "{\"z\":1}",
                         true},
                        {"{\"allOf\":[{\"unevaluatedProperties\":true}],\"unevaluatedProperties\":false}",
                         "{\"z\":1}", true},
                        {"{\"allOf\":[{\"properties\":{\"a\":{}}},{\"unevaluatedProperties\":false}]}",
                         "{\"a\":1}", false},
                        {"{\"properties\":{\"o\":{\"properties\":{\"a\":{}}}},\"unevaluatedProperties\":"
                         "false}",
                         "{\"o\":{\"zz\":1}}", true},
                        {"{\"unevaluatedProperties\":false}", "[1]", true},
                        {"{\"propertyNames\":{},\"unevaluatedProperties\":false}", "{\"a\":1}", false},
                        {"{\"oneOf\":[{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},{"
                         "\"properties\":{\"b\":{}},\"required\":[\"b\"]}],\"unevaluatedProperties\":false}",
                         "{\"a\":1}", true},
        };
        RUN_CASES(cases);
}

Test(keywords, unevaluated_items) {
        static const Case cases[] = {
                        {"{\"prefixItems\":[{}],\"unevaluatedItems\":false}", "[1]", true},
                        {"{\"prefixItems\":[{}],\"unevaluatedItems\":false}", "[1,2]", false},
                        {"{\"items\":{},\"unevaluatedItems\":false}", "[1,2]", true},
                        {"{\"unevaluatedItems\":{\"type\":\"null\"}}", "[null]", true},
                        {"{\"unevaluatedItems\":{\"type\":\"null\"}}", "[1]", false},
                        {"{\"allOf\":[{\"prefixItems\":[{}]},{\"prefixItems\":[{},{}]}],\"unevaluatedItems\":"
                         "false}",
                         "[1,2]", true},
                        {"{\"allOf\":[{\"prefixItems\":[{}]},{\"prefixItems\":[{},{}]}],\"unevaluatedItems\":"
                         "false}",
                         "[1,2,3]", false},
                        {"{\"contains\":{\"type\":\"string\"},\"unevaluatedItems\":{\"type\":\"integer\"}}",
                         "[1,\"a\",2,\"b\"]", true},
                        {"{\"contains\":{\"type\":\"string\"},\"unevaluatedItems\":{\"type\":\"integer\"}}",
                         "[1,\"a\",null]", false},
                        {"{\"allOf\":[{\"contains\":{\"multipleOf\":2}},{\"contains\":{\"multipleOf\":3}}],"
                         "\"unevaluatedItems\":{\"multipleOf\":5}}",
                         "[2,3,4,5,6]", true},
                        {"{\"allOf\":[{\"contains\":{\"multipleOf\":2}},{\"contains\":{\"multipleOf\":3}}],"
                         "\"unevaluatedItems\":{\"multipleOf\":5}}",
                         "[2,3,4,7]", false},
                        {"{\"if\":{\"contains\":{\"const\":\"a\"}},\"then\":{\"prefixItems\":[{}]},"
                         "\"unevaluatedItems\":false}",
                         "[\"b\",\"a\"]", true},
                        {"{\"not\":{\"not\":{\"items\":{}}},\"unevaluatedItems\":false}", "[1]", false},
                        {"{\"unevaluatedItems\":false}", "{\"a\":1}", true},
        };
        RUN_CASES(cases);
}

Test(keywords, marks_of_many_members) {
        /* More members than fit one word of the bit set, in an order that is not the schema's. */
        Buf schema = {0}, value = {0};
        buf_put_str(&schema, "{\"allOf\":[{\"patternProperties\":{\"[02468]$\":{\"type\":\"integer\"}}}],"
                             "\"unevaluatedProperties\":{\"type\":\"null\"}}");
        buf_put_char(&value, '{');
        for (int i = 199; i >= 0; i--)
                buf_printf(&value, "\"m%d\":%s%s", i, i % 2 ? "null" : "1", i ? "," : "}");
        char *schema_text = buf_steal_str(&schema), *value_text = buf_steal_str(&value);
        run_case(&(Case){schema_text, value_text, true});
        char *odd = strstr(value_text, "\"m77\":null");
        cr_assert(odd);
        memcpy(odd, "\"m77\":1234", 10);
        run_case(&(Case){schema_text, value_text, false});
        free(schema_text);
        free(value_text);
}

Test(keywords, annotations_assert_nothing) {
        static const Case cases[] = {
                        {"{\"format\":\"email\"}", "\"not one\"", true},
                        {"{\"format\":\"no-such-format\"}", "1", true},
                        {"{\"contentEncoding\":\"base64\",\"contentMediaType\":\"application/"
                         "json\",\"contentSchema\":{\"type\":\"null\"}}",
                         "\"%\"", true},
                        {"{\"title\":\"t\",\"description\":\"d\",\"default\":1,\"deprecated\":true,"
                         "\"readOnly\":true,\"writeOnly\":false,\"examples\":[1],\"$comment\":\"c\"}",
                         "\"x\"", true},
                        {"{\"x-unknown\":{\"type\":\"null\"},\"requird\":[\"a\"]}", "{}", true},
                        {"{\"$schema\":\"https://json-schema.org/draft/2020-12/"
                         "schema\",\"$vocabulary\":{\"urn:x\":true}}",
                         "1", true},
        };
        RUN_CASES(cases);
}
