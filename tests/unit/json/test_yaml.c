#include "../leaks.h"
#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "json/yaml.h"

TestSuite(yaml, .fini = check_leaks);

static void expect(const char *text, const char *want) {
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = yaml_parse(slice_from_str(text), 1 << 20, &report);
        cr_assert_not_null(json, "%s: %s", text, report.message);
        cr_assert_not(report_is_error(&report));
        _cleanup_(buf_deinit) Buf b = {0};
        cr_assert_eq(json_canonical(json, &b), 0);
        json_decref(json);
        cr_assert(slice_eq_str(buf_slice(&b), want), "%s gives %.*s", text, SLICE_ARG(buf_slice(&b)));
}

static void expect_error(Slice text, RunbookCode code, const char *message_part) {
        _cleanup_(report_deinit) Report report = {0};
        cr_assert_null(yaml_parse(text, 1 << 24, &report), "%.*s", SLICE_ARG(text));
        cr_assert_eq(report.code, code, "%s", report.message);
        cr_assert_not_null(strstr(report.message, message_part), "%s", report.message);
}

static void expect_invalid(const char *text, const char *message_part) {
        expect_error(slice_from_str(text), RUNBOOK_INVALID_REQUEST, message_part);
}

Test(yaml, a_runbook) {
        expect("id: incident\n"
               "# a comment\n"
               "version: \"1.0\"\n"
               "steps:\n"
               "  - id: check\n"
               "    timeoutMs: 5000\n"
               "    config: {url: \"http://x/\", body: null}\n"
               "  - id: ask\n"
               "    dependsOn: [check]\n"
               "    description: |\n"
               "      two\n"
               "      lines\n",
               "{\"id\":\"incident\",\"steps\":[{\"config\":{\"body\":null,\"url\":\"http://x/"
               "\"},\"id\":\"check\",\"timeoutMs\":5000},"
               "{\"dependsOn\":[\"check\"],\"description\":\"two\\nlines\\n\",\"id\":\"ask\"}],\"version\":"
               "\"1.0\"}");
        expect("{\"json\": [1, true, null, \"x\", {\"a\": -1.5e3}]}",
               "{\"json\":[1,true,null,\"x\",{\"a\":-1500}]}");
}

Test(yaml, scalars) {
        static const struct {
                const char *text, *json;
        } cases[] = {
                {"null", "null"},
                {"~", "null"},
                {"Null", "null"},
                {"NULL", "null"},
                {"---\n", "null"},
                {"a:", "{\"a\":null}"},
                {"true", "true"},
                {"True", "true"},
                {"FALSE", "false"},
                {"false", "false"},
                {"yes", "\"yes\""},
                {"no", "\"no\""},
                {"on", "\"on\""},
                {"off", "\"off\""},
                {"y", "\"y\""},
                {"tRUE", "\"tRUE\""},
                {"nul", "\"nul\""},
                {"0", "0"},
                {"-0", "0"},
                {"42", "42"},
                {"-7", "-7"},
                {"+7", "7"},
                {"9223372036854775807", "9223372036854775807"},
                {"-9223372036854775808", "-9223372036854775808"},
                {"9223372036854775808", "9223372036854776000"},
                {"1.5", "1.5"},
                {"1e3", "1000"},
                {"1E-2", "0.01"},
                {".5", "0.5"},
                {"-.5", "-0.5"},
                {"1.", "1"},
                {"+1.5e+3", "1500"},
                {"0.0", "0"},
                {"0.5", "0.5"},
                {"0123", "\"0123\""},
                {"00", "\"00\""},
                {"0x1f", "\"0x1f\""},
                {"0o17", "\"0o17\""},
                {"1_000", "\"1_000\""},
                {"12:30:45", "\"12:30:45\""},
                {"2026-01-02", "\"2026-01-02\""},
                {"1.0.0", "\"1.0.0\""},
                {".", "\".\""},
                {"-", "[null]"},
                {"+", "\"+\""},
                {"1e", "\"1e\""},
                {"1e+", "\"1e+\""},
                {".e1", "\".e1\""},
                {".inf", "\".inf\""},
                {".nan", "\".nan\""},
                {"1 2", "\"1 2\""},
                {"'42'", "\"42\""},
                {"\"true\"", "\"true\""},
                {"''", "\"\""},
                {"'null'", "\"null\""},
                {"|\n  42\n", "\"42\\n\""},
                {"\"\\u00e9\\n\\x41\"", "\"é\\nA\""},
                {"!!str 42", "\"42\""},
                {"! 42", "\"42\""},
                {"!!int 42", "42"},
                {"!!float 42", "42"},
                {"!!float 1.5", "1.5"},
                {"!!bool true", "true"},
                {"!!null ''", "null"},
                {"!!seq [1]", "[1]"},
                {"!!map {a: 1}", "{\"a\":1}"},
                {"[]", "[]"},
                {"{}", "{}"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect(cases[i].text, cases[i].json);
}

Test(yaml, anchors_and_aliases) {
        expect("a: &x {p: [1, 2]}\nb: *x\nc: [*x, *x]\n",
               "{\"a\":{\"p\":[1,2]},\"b\":{\"p\":[1,2]},\"c\":[{\"p\":[1,2]},{\"p\":[1,2]}]}");
        expect("- &x 1\n- *x\n- &x two\n- *x\n", "[1,1,\"two\",\"two\"]");
        expect("&k key: 1\nother: *k\n", "{\"key\":1,\"other\":\"key\"}");
        expect("a: &k name\n*k : 2\n", "{\"a\":\"name\",\"name\":2}");
        expect("&x [&x 1, *x]", "[1,1]");
}

Test(yaml, what_json_has_no_word_for) {
        expect_invalid("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key \"a\" is there twice");
        expect_invalid("1: a", "line 1, column 1: a key must be a string, is a number: put it in quotes");
        expect_invalid("true: a", "must be a string, is a boolean");
        expect_invalid("~: a", "must be a string, is null");
        expect_invalid("? [a]\n: b", "a key must be a string, is an array");
        expect_invalid("{? {a: 1} : b}", "a key must be a string, is an object");
        expect_invalid("a: &x [1]\n? *x\n: b", "must be a string, is an array");
        expect_invalid("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3, column 3: merge keys (<<) are not supported");
        expect_invalid("a: !secret x", "the tag !secret is not supported");
        expect_invalid("a: !!int x", "is not supported here");
        expect_invalid("a: !!binary aGVsbG8=", "is not supported here");
        expect_invalid("a: !!set {x, y}", "is not supported here");
        expect_invalid("a: *nobody", "line 1, column 4: there is no anchor &nobody");
        expect_invalid("a: &x [1, *x]", "the anchor &x contains itself");
        expect_invalid("&x {a: {b: *x}}", "the anchor &x contains itself");
        expect_invalid("a: 1\n---\nb: 2\n", "line 2, column 1: a second document");
        expect_invalid("a: 1e999", "the number is too large");
        expect_invalid("a: \"x\\0y\"", "U+0000");
        expect_invalid("\"x\\0y\": 1", "U+0000");
        expect_invalid("", "the document is empty");
        expect_invalid("# nothing\n", "the document is empty");
}

Test(yaml, malformed) {
        const char *const texts[] = {
                "a: [1, 2", "a: {b: 1",          "a: 'x",      "a: \"x",   "\ta: 1", "a: 1\n b: 2", "- a\nb",
                "a: b: c",  "%YAML 9.9\n---\na", "a: \"\\q\"", "a: *",     "a: &",   "]",           "@a",
                "`a",       "a: \"\\ud800\"",    "!<tag:x a",  "[a]: b: c"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++)
                expect_invalid(texts[i], "invalid YAML at line ");
        expect_invalid("a: 1\nb: [\nc: 2\n", "line 4, column 1: did not find expected ',' or ']' while "
                                             "parsing a flow sequence that begins at line 2");
}

Test(yaml, what_is_not_utf8) {
        expect_error(SLICE("a: \xff"), RUNBOOK_INVALID_REQUEST, "invalid YAML at byte 3");
        expect_error(SLICE("a: \xed\xa0\x80"), RUNBOOK_INVALID_REQUEST, "invalid YAML at byte");
        expect_error(SLICE("\xff\xfe" "a\0"), RUNBOOK_INVALID_REQUEST, "invalid YAML at byte 0");
        expect_error(SLICE("a: \0"), RUNBOOK_INVALID_REQUEST, "invalid YAML at byte");
        expect_error(SLICE("a: \x01"), RUNBOOK_INVALID_REQUEST, "invalid YAML at byte");
}

Test(yaml, size) {
        _cleanup_(report_deinit) Report report = {0};
        cr_assert_null(yaml_parse(SLICE("[1, 2]"), 5, &report));
        cr_assert_eq(report.code, RUNBOOK_TOO_LARGE);
        cr_assert_null(yaml_parse(SLICE_NULL, 5, &report));
        cr_assert_eq(report.code, RUNBOOK_INVALID_REQUEST);
}

static char *nested(int n, const char *open, const char *middle, const char *close) {
        Buf b = {0};
        for (int i = 0; i < n; i++)
                buf_put_str(&b, open);
        buf_put_str(&b, middle);
        for (int i = 0; i < n; i++)
                buf_put_str(&b, close);
        return buf_steal_str(&b);
}

Test(yaml, depth) {
        _cleanup_free_ char *flow = nested(JSON_DEPTH_MAX, "[", "1", "]"),
                            *mappings = nested(JSON_DEPTH_MAX, "{a: ", "1", "}");
        expect(flow, flow);
        _cleanup_(report_deinit) Report report = {0};
        json_t *json = yaml_parse(slice_from_str(mappings), SIZE_MAX, &report);
        cr_assert_not_null(json);
        json_decref(json);
        const int depths[] = {JSON_DEPTH_MAX + 1, 100000};
        for (size_t i = 0; i < N_ELEMENTS(depths); i++) {
                _cleanup_free_ char *a = nested(depths[i], "[", "1", "]"),
                                    *b = nested(depths[i], "{a: ", "1", "}"),
                                    *c = nested(depths[i], "- ", "1", "");
                expect_error(slice_from_str(a), RUNBOOK_TOO_DEEP, "more than 64 levels");
                expect_error(slice_from_str(b), RUNBOOK_TOO_DEEP, "more than 64 levels");
                expect_error(slice_from_str(c), RUNBOOK_TOO_DEEP, "more than 64 levels");
        }
}

Test(yaml, depth_through_aliases) {
        _cleanup_free_ char *half = nested(40, "[", "1", "]");
        _cleanup_(buf_deinit) Buf b = {0};
        buf_printf(&b, "- &x %s\n- ", half);
        for (int i = 0; i < 30; i++)
                buf_put_char(&b, '[');
        buf_put_str(&b, "*x");
        for (int i = 0; i < 30; i++)
                buf_put_char(&b, ']');
        expect_error(buf_slice(&b), RUNBOOK_TOO_DEEP, "more than 64 levels");
}

/** Nine levels, each ten times the one below. */
static char *billion_laughs(const char *laugh) {
        Buf b = {0};
        buf_printf(&b, "a0: &a0 %s\n", laugh);
        for (int i = 1; i < 10; i++) {
                buf_printf(&b, "a%d: &a%d [", i, i);
                for (int j = 0; j < 10; j++)
                        buf_printf(&b, "%s*a%d", j ? "," : "", i - 1);
                buf_put_str(&b, "]\n");
        }
        return buf_steal_str(&b);
}

Test(yaml, billion_laughs) {
        _cleanup_free_ char *nodes = billion_laughs("lol");
        expect_error(slice_from_str(nodes), RUNBOOK_LIMIT_EXCEEDED, "nodes");
        _cleanup_(buf_deinit) Buf long_laugh = {0};
        for (int i = 0; i < 10000; i++)
                buf_put_char(&long_laugh, 'h');
        buf_put_char(&long_laugh, '\0');
        _cleanup_free_ char *bytes = billion_laughs(long_laugh.data);
        expect_error(slice_from_str(bytes), RUNBOOK_LIMIT_EXCEEDED, "bytes");
}

Test(yaml, floods_of_aliases_and_anchors) {
        _cleanup_(buf_deinit) Buf aliases = {0}, anchors = {0};
        buf_put_str(&aliases, "- &x 1\n");
        for (int i = 0; i <= YAML_ALIASES_MAX; i++)
                buf_put_str(&aliases, "- *x\n");
        expect_error(buf_slice(&aliases), RUNBOOK_LIMIT_EXCEEDED, "more than 1000 aliases");
        for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
                buf_printf(&anchors, "- &x%d 1\n", i);
        expect_error(buf_slice(&anchors), RUNBOOK_LIMIT_EXCEEDED, "more than 10000 anchors");
}
