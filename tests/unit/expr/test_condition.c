#include <time.h>

#include "world.h"

TestSuite(condition, .fini = check_leaks);

static const char world_text[] =
                "{'input': {'n': 5, 'one': 1, 'onef': 1.0, 'f': 2.5, 's': 'hello world', 'e': '', 'z': null, "
                "'t': true,"
                " 'list': [1, 'two', {'a': [1.0, null]}], 'o': {'k': 1, 'l': {'m': 'x'}}, 'o2': {'l': {'m': "
                "'x'}, 'k': 1.0},"
                " 'big': 9007199254740993, 'huge': 9223372036854775807, 'tiny': -9223372036854775808}}";

typedef struct Compiled {
        Arena arena;
        Report report;
        json_t *json;
        const ExprCondition *condition;
} Compiled;

static void compiled_deinit(Compiled *c) {
        expr_condition_release(c->condition);
        arena_deinit(&c->arena);
        report_deinit(&c->report);
        json_decref(c->json);
}
#define _cleanup_compiled_ _cleanup_(compiled_deinit)

/** Takes @json. */
static void compile(Compiled *c, json_t *json) {
        *c = (Compiled){.json = json};
        JsonAt at = json_at_root(json, &c->report);
        c->condition = expr_condition_compile(&at, &c->arena, NULL);
        cr_assert_not_null(c->condition || report_is_error(&c->report) ? c : NULL);
}

static void expect(const char *condition, bool holds) {
        _cleanup_json_ json_t *world = json_of(world_text);
        _cleanup_compiled_ Compiled c;
        ExprEnv env = world_env(world);
        ExprError error = {0};
        bool result = !holds;
        compile(&c, json_of(condition));
        cr_assert(c.condition, "%s: %s", condition, c.report.n_details ? c.report.details[0].message : "");
        cr_assert_eq(c.report.n_details, 0);
        cr_assert_eq(expr_condition_eval(c.condition, &env, &result, &error), 0, "%s: %s", condition,
                     error.message);
        cr_assert_eq(result, holds, "%s", condition);
}

static void expect_test(const char *field, const char *operator, const char * value, bool holds) {
        _cleanup_free_ char *text = NULL;
        cr_assert_gt(asprintf(&text, "{'field': 'input.%s', 'operator': '%s'%s%s}", field, operator,
                              value ? ", 'value': " : "", value ? value : ""),
                     0);
        expect(text, holds);
}

Test(condition, eq_and_ne_compare_deeply_and_numbers_by_value) {
        static const struct {
                const char *field, *value;
                bool equal;
        } cases[] = {
                        {"n", "5", true},
                        {"n", "5.0", true},
                        {"n", "'5'", false},
                        {"one", "1.0", true},
                        {"onef", "1", true},
                        {"f", "2.5", true},
                        {"f", "2", false},
                        {"s", "'hello world'", true},
                        {"s", "'Hello world'", false},
                        {"e", "''", true},
                        {"z", "null", true},
                        {"z", "false", false},
                        {"t", "true", true},
                        {"t", "1", false},
                        {"list", "[1.0, 'two', {'a': [1, null]}]", true},
                        {"list", "[1, 'two']", false},
                        {"list", "[1, 'two', {'a': [1, false]}]", false},
                        {"o", "{'l': {'m': 'x'}, 'k': 1}", true},
                        {"o", "{'l': {'m': 'x'}, 'j': 1}", false},
                        {"o", "{'l': {'m': 'x'}}", false},
                        {"o", "'${input.o2}'", true},
                        {"one", "'${input.onef}'", true},
                        {"n", "'${input.one}'", false},
                        {"s", "'${input.s}'", true},
                        {"s", "'hello ${input.nope ?? world}'", true},
                        {"s", "'$${x}'", false},
                        /* 2^53 + 1 is no double; 2^63 is one past the largest integer. */
                        {"big", "9007199254740992.0", false},
                        {"big", "9007199254740993", true},
                        {"huge", "9223372036854775808.0", false},
                        {"tiny", "-9223372036854775808.0", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                expect_test(cases[i].field, "eq", cases[i].value, cases[i].equal);
                expect_test(cases[i].field, "ne", cases[i].value, !cases[i].equal);
        }
}

Test(condition, order) {
        static const struct {
                const char *field, *value;
                int order; /* 2: none */
        } cases[] = {
                        {"n", "4", 1},
                        {"n", "5", 0},
                        {"n", "5.5", -1},
                        {"f", "2", 1},
                        {"f", "3", -1},
                        {"big", "9007199254740992.0", 1},
                        {"huge", "9.3e18", -1},
                        {"huge", "-9.3e18", 1},
                        {"tiny", "-9.3e18", 1},
                        {"s", "'hello'", 1},
                        {"s", "'hello world'", 0},
                        {"s", "'i'", -1},
                        {"e", "'a'", -1},
                        {"n", "'5'", 2},
                        {"s", "5", 2},
                        {"z", "5", 2},
                        {"t", "0", 2},
                        {"list", "0", 2},
                        {"n", "'${input.one}'", 1},
                        {"n", "'${input.o}'", 2},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                int o = cases[i].order;
                expect_test(cases[i].field, "gt", cases[i].value, o == 1);
                expect_test(cases[i].field, "gte", cases[i].value, o == 1 || o == 0);
                expect_test(cases[i].field, "lt", cases[i].value, o == -1);
                expect_test(cases[i].field, "lte", cases[i].value, o == -1 || o == 0);
        }
}

Test(condition, in) {
        static const struct {
                const char *field, *value;
                bool in;
        } cases[] = {
                        {"n", "[1, 5.0]", true}, {"n", "[]", false},
                        {"n", "['5']", false},   {"o", "[{'k': 1, 'l': {'m': 'x'}}]", true},
                        {"z", "[null]", true},   {"s", "'say hello world twice'", true},
                        {"s", "'hello'", false}, {"e", "'anything'", true},
                        {"n", "'5'", false},     {"one", "'${input.list}'", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                expect_test(cases[i].field, "in", cases[i].value, cases[i].in);
                expect_test(cases[i].field, "notIn", cases[i].value, !cases[i].in);
        }
}

Test(condition, contains_and_ends) {
        expect_test("list", "contains", "'two'", true);
        expect_test("list", "contains", "1.0", true);
        expect_test("list", "contains", "{'a': [1, null]}", true);
        expect_test("list", "contains", "'three'", false);
        expect_test("s", "contains", "'lo wo'", true);
        expect_test("s", "contains", "''", true);
        expect_test("e", "contains", "''", true);
        expect_test("e", "contains", "'x'", false);
        expect_test("s", "contains", "'LO'", false);
        expect_test("s", "contains", "5", false);
        expect_test("o", "contains", "'k'", true);
        expect_test("o", "contains", "'m'", false);
        expect_test("o", "contains", "1", false);
        expect_test("n", "contains", "5", false);
        expect_test("s", "startsWith", "'hello'", true);
        expect_test("s", "startsWith", "'world'", false);
        expect_test("s", "startsWith", "''", true);
        expect_test("n", "startsWith", "'5'", false);
        expect_test("s", "endsWith", "'world'", true);
        expect_test("s", "endsWith", "'hello'", false);
        expect_test("list", "endsWith", "'two'", false);
        expect_test("s", "endsWith", "'${input.s}'", true);
        expect_test("s", "endsWith", "'${input.n}'", false);
}

Test(condition, exists) {
        expect_test("n", "exists", NULL, true);
        expect_test("z", "exists", NULL, true); /* null is there */
        expect_test("nope", "exists", NULL, false);
        expect_test("n.deeper", "exists", NULL, false);
        expect_test("n", "notExists", NULL, false);
        expect_test("nope", "notExists", NULL, true);
        expect_test("n", "exists", "null", true);
        expect_test("n", "exists", "true", true);
}

Test(condition, matches) {
        expect_test("s", "matches", "'wor'", true);
        expect_test("s", "matches", "'^wor'", false);
        expect_test("s", "matches", "'^hello\\\\s+w.*d$'", true);
        expect_test("s", "matches", "'(?i)HELLO'", true);
        expect_test("e", "matches", "'^$'", true);
        expect_test("e", "matches", "'.'", false);
        expect_test("n", "matches", "'5'", false);
        expect_test("nope", "matches", "'.*'", false);
        expect_test("s", "matches", "'(l)\\\\1'", true);
        expect_test("s", "matches", "'l{2,}'", true);
        expect_test("s", "matches", "'(?<w>o).*\\\\k<w>'", true);
}

Test(condition, only_turned_operators_hold_for_what_is_missing) {
        static const struct {
                const char *op, *value;
                bool holds;
        } cases[] = {
                        {"contains", "'x'", false},
                        {"endsWith", "''", false},
                        {"eq", "null", false},
                        {"exists", NULL, false},
                        {"gt", "0", false},
                        {"gte", "0", false},
                        {"in", "[null]", false},
                        {"lt", "0", false},
                        {"lte", "0", false},
                        {"matches", "''", false},
                        {"ne", "null", true},
                        {"notExists", NULL, true},
                        {"notIn", "[null]", true},
                        {"startsWith", "''", false},
                        {"ne", "'${input.nope}'", true},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_test("nope", cases[i].op, cases[i].value, cases[i].holds);
}

#define YES "{'field': 'input.n', 'operator': 'eq', 'value': 5}"
#define NO  "{'field': 'input.n', 'operator': 'eq', 'value': 6}"

Test(condition, all_any_not) {
        expect("{'all': [" YES "]}", true);
        expect("{'all': [" YES "," NO "]}", false);
        expect("{'all': [" YES "," YES "]}", true);
        expect("{'any': [" NO "," NO "]}", false);
        expect("{'any': [" NO "," YES "]}", true);
        expect("{'not': " YES "}", false);
        expect("{'not': {'not': " YES "}}", true);
        expect("{'not': {'all': [" YES ",{'any': [" NO "," NO "]}]}}", true);
        expect("{'any': [{'all': [" YES "," NO "]}, {'not': " NO "}]}", true);
}

static void expect_fault_in(const char *condition, const char *path, const char *part) {
        _cleanup_compiled_ Compiled c;
        compile(&c, json_of(condition));
        expect_fault(&c.report, path, part);
}

Test(condition, faults) {
        static const struct {
                const char *condition, *path, *part;
        } cases[] = {
                        {"3", "", "must be one of {\"field\", \"operator\", \"value\"}, {\"all\": […]}"},
                        {"3", "", "is a number"},
                        {"{}", "", "must be one of"},
                        {"{'value': 1}", "", "must be one of"},
                        {"{'all': [" YES "], 'any': [" YES "]}", "", "must be one of"},
                        {"{'not': " YES ", 'field': 'a'}", "", "must be one of"},
                        {"{'all': []}", "/all", "at least one"},
                        {"{'any': []}", "/any", "at least one"},
                        {"{'all': {}}", "/all", "must be an array, is an object"},
                        {"{'all': [null]}", "/all/0", "is nothing"},
                        {"{'not': []}", "/not", "is an array"},
                        {"{'not': null}", "/not", "is nothing"},
                        {"{'all': [" YES "], 'oll': 1}", "/oll", "did you mean \"all\""},
                        {"{'operator': 'exists'}", "/field", "is required"},
                        {"{'field': 'a'}", "/operator", "is required"},
                        {"{'field': 3, 'operator': 'exists'}", "/field", "must be a string"},
                        {"{'field': 'a..b', 'operator': 'exists'}", "/field", "a name is expected"},
                        {"{'field': '${a}', 'operator': 'exists'}", "/field", "no ${…}"},
                        {"{'field': 'a', 'operator': 7}", "/operator", "must be a string"},
                        {"{'field': 'a', 'operator': 'equals', 'value': 1}", "/operator",
                         "unknown operator \"equals\""},
                        {"{'field': 'a', 'operator': 'startswith', 'value': 'x'}", "/operator",
                         "did you mean \"startsWith\""},
                        {"{'field': 'a', 'operator': 'eq'}", "/value", "is required with the operator eq"},
                        {"{'field': 'a', 'operator': 'exists', 'value': false}", "/value",
                         "exists takes no value"},
                        {"{'field': 'a', 'operator': 'gt', 'value': true}", "/value",
                         "must be a number or a string"},
                        {"{'field': 'a', 'operator': 'in', 'value': 5}", "/value",
                         "must be an array or a string"},
                        {"{'field': 'a', 'operator': 'startsWith', 'value': 5}", "/value",
                         "must be a string"},
                        {"{'field': 'a', 'operator': 'eq', 'value': '${'}", "/value", "the closing }"},
                        {"{'field': 'a', 'operator': 'eq', 'value': {'x': ['${b c}']}}", "/value/x/0",
                         "} or ?? is expected"},
                        {"{'field': 'a', 'operator': 'eq', 'value': 1, 'valeu': 2}", "/valeu",
                         "did you mean \"value\""},
                        {"{'field': 'a', 'operator': 'matches', 'value': 5}", "/value", "must be a string"},
                        {"{'field': 'a', 'operator': 'matches', 'value': '('}", "/value",
                         "is not a valid pattern: missing closing"},
                        {"{'field': 'a', 'operator': 'matches', 'value': '[z-a]'}", "/value", "at byte 4"},
                        {"{'field': 'a', 'operator': 'matches', 'value': '\\\\C'}", "/value",
                         "is not a valid pattern"},
                        {"{'field': 'a', 'operator': 'matches', 'value': '${p}'}", "/value",
                         "a pattern is fixed text"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++)
                expect_fault_in(cases[i].condition, cases[i].path, cases[i].part);
}

Test(condition, all_faults_at_once) {
        _cleanup_compiled_ Compiled c;
        compile(&c, json_of("{'all': [{'field': '', 'operator': 'qe', 'value': 1}, {'not': {'field': 'a', "
                            "'operator': 'matches', "
                            "'value': '('}}, " YES
                            ", {'field': 'a', 'operator': 'matches', 'value': 'fine'}, 5]}"));
        cr_assert_null(c.condition);
        cr_assert_eq(c.report.n_details, 4);
        cr_assert_str_eq(c.report.details[2].path, "/all/1/not/value");
        cr_assert_str_eq(c.report.details[3].path, "/all/4");
}

static json_t *nest_not(int n) {
        json_t *inner = json_of(YES);
        for (; n > 0; n--)
                inner = json_pack("{s:o}", "not", inner);
        return inner;
}

Test(condition, depth_has_a_cap) {
        _cleanup_compiled_ Compiled fits, deep, absurd;
        compile(&fits, nest_not(LIMIT_CONDITION_DEPTH - 1));
        cr_assert(fits.condition);
        compile(&deep, nest_not(LIMIT_CONDITION_DEPTH));
        cr_assert_null(deep.condition);
        expect_fault(&deep.report, deep.report.details[0].path, "LIMIT_CONDITION_DEPTH");
        compile(&absurd, nest_not(10000));
        cr_assert_null(absurd.condition);
        cr_assert_eq(absurd.report.n_details, 1);
}

static json_t *many(int n) {
        json_t *list = json_array();
        for (; n > 0; n--)
                json_array_append_new(list, json_of(YES));
        return json_pack("{s:o}", "all", list);
}

Test(condition, nodes_have_a_cap) {
        _cleanup_compiled_ Compiled fits, over;
        compile(&fits, many(LIMIT_CONDITION_NODES - 1));
        cr_assert(fits.condition);
        compile(&over, many(100 * LIMIT_CONDITION_NODES));
        cr_assert_null(over.condition);
        expect_fault(&over.report, "/all/999", "LIMIT_CONDITION_NODES");
}

Test(condition, patterns_have_a_length) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (int i = 0; i <= LIMIT_PATTERN_BYTES; i++)
                buf_put_char(&b, 'a');
        _cleanup_compiled_ Compiled fits, over;
        compile(&fits,
                json_pack("{s:s, s:s, s:s%}", "field", "a", "operator", "matches", "value", b.data, b.n - 1));
        cr_assert(fits.condition);
        compile(&over,
                json_pack("{s:s, s:s, s:s%}", "field", "a", "operator", "matches", "value", b.data, b.n));
        expect_fault(&over.report, "/value", "LIMIT_PATTERN_BYTES");
}

Test(condition, patterns_have_a_nesting) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (int i = 0; i < 200; i++)
                buf_put_char(&b, '(');
        buf_put_char(&b, 'a');
        for (int i = 0; i < 200; i++)
                buf_put_char(&b, ')');
        _cleanup_compiled_ Compiled c;
        compile(&c, json_pack("{s:s, s:s, s:s%}", "field", "a", "operator", "matches", "value", b.data, b.n));
        expect_fault(&c.report, "/value", "too deeply nested");
}

static double seconds(void) {
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/** Evaluate `input matches @pattern` over @text, @copies times in one condition. */
static int match(const char *pattern, Slice text, int copies, bool *ret, ExprError *error) {
        _cleanup_json_ json_t *world = json_pack("{s:s%}", "input", text.data, text.n);
        json_t *list = json_array();
        for (int i = 0; i < copies; i++)
                json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "field", "input", "operator",
                                                      "matches", "value", pattern));
        _cleanup_compiled_ Compiled c;
        compile(&c, json_pack("{s:o}", "any", list));
        cr_assert(c.condition, "%s: %s", pattern, c.report.n_details ? c.report.details[0].message : "");
        ExprEnv env = world_env(world);
        return expr_condition_eval(c.condition, &env, ret, error);
}

Test(condition, hostile_patterns_end_soon) {
        static const char *const patterns[] = {
                        "(a+)+$",
                        "(a|aa)+$",
                        "(a?){25}a{25}b",
                        "(.*)*b",
                        "((a*)*)*b",
                        "[a-z]*b",
                        "[a-z]*1",
                        "(?:a?){15}b",
                        "(a*)\\1b",
                        "(a*)(?:b|\\1c)*d",
                        "a{65000}b",
                        "(?:[a-z]{65535}-)|1",
                        "(?=(a+))a*b\\1",
                        "^(?:a|a|a|a)*$b",
                        "(?R)?a*b|(?R)a",
                        "(?:(?:a{1,100}){1,100}){1,6}b",
                        ".*.*.*.*.*b",
                        "\\X*b",
                        "(?<=a{100})b|(a*)*c",
                        "(*LIMIT_MATCH=4000000000)(a+)+$",
                        "(?C1)(a+)+$",
                        "(?:a*+)*+b|(?:a+)*c",
        };
        _cleanup_(buf_deinit) Buf text = {0};
        for (int i = 0; i < (1 << 20) - 2; i++)
                buf_put_char(&text, i % 65534 == 65533 ? '!' : 'a');
        buf_put_str(&text, "1");
        for (size_t i = 0; i < N_ELEMENTS(patterns); i++) {
                static const size_t lengths[] = {30, 2000, 60000, (1 << 20) - 1};
                for (size_t k = 0; k < N_ELEMENTS(lengths); k++) {
                        ExprError error = {0};
                        bool result;
                        double start = seconds();
                        int r = match(patterns[i], (Slice){text.data, lengths[k]}, 1, &result, &error);
                        double took = seconds() - start;
                        cr_assert(r == 0 || !strcmp(error.code, "PATTERN_LIMIT"), "%s: %s", patterns[i],
                                  error.code);
                        cr_assert_lt(took, 1.0, "%s over %zu bytes took %.2f s", patterns[i], lengths[k],
                                     took);
                }
        }
}

Test(condition, the_limit_is_said) {
        ExprError error = {0};
        bool result;
        cr_assert_eq(match("(a+)+$", SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), 1, &result,
                           &error),
                     -EINVAL);
        cr_assert_str_eq(error.code, "PATTERN_LIMIT");
        cr_assert(strstr(error.message, "\"input\" takes too many steps"), "%s", error.message);
}

Test(condition, all_patterns_share_one_budget) {
        _cleanup_(buf_deinit) Buf text = {0};
        for (int i = 0; i < 300000; i++)
                buf_put_char(&text, 'a');
        ExprError error = {0};
        bool result = true;
        cr_assert_eq(match("^a*b?c", buf_slice(&text), 1, &result, &error), 0, "%s", error.message);
        cr_assert_not(result);
        double start = seconds();
        cr_assert_eq(match("^a*b?c", buf_slice(&text), 900, &result, &error), -EINVAL);
        cr_assert_lt(seconds() - start, 1.0);
}

Test(condition, ordinary_patterns_work_on_long_texts) {
        _cleanup_(buf_deinit) Buf text = {0};
        for (int i = 0; i < 3000; i++)
                buf_printf(&text, "line %d: an ordinary line of a log, nothing to see here\n", i);
        buf_put_str(&text, "ERROR 4711: disk full");
        static const char *const found[] = {"ERROR \\d+: .*full", "(?m)^ERROR", "disk full$", "(?i)error",
                                            "\\bdisk\\b"};
        for (size_t i = 0; i < N_ELEMENTS(found); i++) {
                ExprError error = {0};
                bool result = false;
                cr_assert_eq(match(found[i], buf_slice(&text), 1, &result, &error), 0, "%s: %s", found[i],
                             error.message);
                cr_assert(result, "%s", found[i]);
        }
}

Test(condition, evaluation_errors) {
        static const struct {
                const char *condition, *code, *part;
        } cases[] = {
                        {"{'field': 'input.n', 'operator': 'in', 'value': '${input.o}'}", "CONDITION_TYPE",
                         "must be an array or a string, is an object"},
                        {"{'field': 'input.n', 'operator': 'notIn', 'value': '${input.n}'}", "CONDITION_TYPE",
                         "notIn"},
                        {"{'field': 'input.n', 'operator': 'eq', 'value': '${input.nope}'}",
                         "TEMPLATE_MISSING", "input.nope"},
                        {"{'all': [" YES
                         ", {'not': {'field': 'input.n', 'operator': 'lt', 'value': '${x}'}}]}",
                         "TEMPLATE_MISSING", "there is no x"},
        };
        _cleanup_json_ json_t *world = json_of(world_text);
        ExprEnv env = world_env(world);
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_compiled_ Compiled c;
                ExprError error = {0};
                bool result;
                compile(&c, json_of(cases[i].condition));
                cr_assert(c.condition);
                cr_assert_eq(expr_condition_eval(c.condition, &env, &result, &error), -EINVAL);
                cr_assert_str_eq(error.code, cases[i].code);
                cr_assert(strstr(error.message, cases[i].part), "%s", error.message);
        }
}

Test(condition, evaluation_stops_when_the_answer_is_clear) {
        /* The second child would be an error. */
        expect("{'any': [" YES ", {'field': 'input.n', 'operator': 'eq', 'value': '${nope}'}]}", true);
        expect("{'all': [" NO ", {'field': 'input.n', 'operator': 'eq', 'value': '${nope}'}]}", false);
}
