#include "world.h"

TestSuite(template, .fini = check_leaks);

static const char world_text[] = "{'input': {'n': 7, 'f': 1.5, 's': 'text', 'u': 'é\\u0001', 't': true, 'z': "
                                 "null, 'list': [1, 'two'],"
                                 " 'o': {'b': 2, 'a': 1}, 'a b': 'blank'}, 'fetch': {'body': {'id': 'x1', "
                                 "'rows': [{'k': 'v'}]}}}";

typedef struct Compiled {
        Arena arena;
        Report report;
        json_t *json;
        const ExprTemplate *template;
} Compiled;

static void compiled_deinit(Compiled *c) {
        expr_template_release(c->template);
        arena_deinit(&c->arena);
        report_deinit(&c->report);
        json_decref(c->json);
}
#define _cleanup_compiled_ _cleanup_(compiled_deinit)

/** Takes @json. */
static void compile(Compiled *c, json_t *json) {
        *c = (Compiled){.json = json};
        JsonAt at = json_at_root(json, &c->report);
        c->template = expr_template_compile(&at, &c->arena, NULL);
        cr_assert_eq(c->template != NULL, !report_is_error(&c->report));
}

static void expect(const char *template, const char *canonical) {
        _cleanup_json_ json_t *world = json_of(world_text);
        _cleanup_json_ json_t *result = NULL;
        _cleanup_compiled_ Compiled c;
        ExprEnv env = world_env(world);
        ExprError error = {0};
        compile(&c, json_of(template));
        cr_assert_not_null(c.template, "%s: %s", template,
                           c.report.n_details ? c.report.details[0].message : "");
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), 0, "%s: %s", template,
                     error.message);
        expect_json(result, canonical);
}

Test(template, a_whole_string_keeps_the_type) {
        expect("'${input.n}'", "7");
        expect("'${input.f}'", "1.5");
        expect("'${input.t}'", "true");
        expect("'${input.z}'", "null");
        expect("'${input.list}'", "[1,\"two\"]");
        expect("'${ input.o }'", "{\"a\":1,\"b\":2}");
        expect("'${fetch.body.rows[0].k}'", "\"v\"");
        expect("'${input[\\u0022a b\\u0022]}'", "\"blank\"");
}

Test(template, text_takes_values_in) {
        expect("'n=${input.n}'", "\"n=7\"");
        expect("'${input.n}${input.n}'", "\"77\"");
        expect("' ${input.s}'", "\" text\"");
        expect("'${input.f},${input.t},${input.z}'", "\"1.5,true,null\"");
        expect("'<${input.o}|${input.list}>'", "\"<{\\\"a\\\":1,\\\"b\\\":2}|[1,\\\"two\\\"]>\"");
        expect("'é${input.u}é'", "\"éé\\u0001é\"");
}

Test(template, escapes) {
        expect("'$${input.n}'", "\"${input.n}\"");
        expect("'a $${b} ${input.n} $${'", "\"a ${b} 7 ${\"");
        expect("'$$${input.n}'", "\"$${input.n}\"");
        expect("'$${${input.n}}'", "\"${7}\"");
        expect("'$'", "\"$\"");
        expect("'$5 {x} $ {'", "\"$5 {x} $ {\"");
        expect("''", "\"\"");
        expect("{'a': ['$${x}', 1], 'b': {'c': '$${'}}", "{\"a\":[\"${x}\",1],\"b\":{\"c\":\"${\"}}");
        expect("{'${input.n}': '${input.n}'}", "{\"${input.n}\":7}"); /* keys are no templates */
}

Test(template, defaults) {
        expect("'${input.n ?? 1}'", "7");
        expect("'${input.nope ?? 1}'", "1");
        expect("'${input.nope?\?-1.5e2}'", "-150");
        expect("'${input.z ?? 1}'", "1"); /* null is served too */
        expect("'${nope.a.b[3] ?? null}'", "null");
        expect("'${nope ?? true}'", "true");
        expect("'${nope ?? trueish}'", "\"trueish\"");
        expect("'${nope ?? n/a }'", "\"n/a\"");
        expect("'${nope ?? two words}!'", "\"two words!\"");
        expect("'${nope ?? 12 apples}'", "\"12 apples\"");
        expect("'${nope ?? [1, {\\u0022a\\u0022: \\u0022}\\u0022}] }'", "[1,{\"a\":\"}\"}]");
        expect("'${nope ?? \\u0022\\u0022}'", "\"\"");
        expect("'x${nope ?? {\\u0022b\\u0022:1,\\u0022a\\u0022:2}}y'", "\"x{\\\"a\\\":2,\\\"b\\\":1}y\"");
        expect("'${nope ?? ??}'", "\"??\"");
}

Test(template, trees) {
        expect("{'a': {'b': ['${input.n}', 'c', {'d': 'x${input.s}'}]}, 'e': 1, 'f': null, 'g': []}",
               "{\"a\":{\"b\":[7,\"c\",{\"d\":\"xtext\"}]},\"e\":1,\"f\":null,\"g\":[]}");
        expect("[['${input.list}']]", "[[[1,\"two\"]]]");
}

Test(template, constants_are_shared) {
        static const char *const constants[] = {"{'a': [1, 2, {'b': 'c'}]}",
                                                "'text'",
                                                "3",
                                                "null",
                                                "[]",
                                                "'$${x}'",
                                                "{'a': '$${x}'}"};
        for (size_t i = 0; i < N_ELEMENTS(constants); i++) {
                _cleanup_compiled_ Compiled c;
                _cleanup_json_ json_t *one = NULL, *two = NULL;
                ExprError error;
                compile(&c, json_of(constants[i]));
                cr_assert(expr_template_is_constant(c.template));
                cr_assert_eq(expr_template_eval(c.template, NULL, &one, &error),
                             0); /* needs no environment */
                cr_assert_eq(expr_template_eval(c.template, NULL, &two, &error), 0);
                cr_assert_eq(one, two);
                cr_assert_eq(one, expr_template_constant(c.template));
        }
        _cleanup_compiled_ Compiled c;
        compile(&c, json_of("[1, '${input}']"));
        cr_assert_not(expr_template_is_constant(c.template));
        cr_assert_null(expr_template_constant(c.template));
}

Test(template, found_values_are_shared) {
        _cleanup_json_ json_t *world = json_of(world_text);
        _cleanup_json_ json_t *result = NULL;
        _cleanup_compiled_ Compiled c;
        ExprEnv env = world_env(world);
        ExprError error;
        compile(&c, json_of("'${fetch.body}'"));
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), 0);
        cr_assert_eq(result, json_object_get(json_object_get(world, "fetch"), "body"));
}

static void expect_missing(const char *template, const char *message) {
        _cleanup_json_ json_t *world = json_of(world_text);
        _cleanup_compiled_ Compiled c;
        json_t *result;
        ExprEnv env = world_env(world);
        ExprError error = {0};
        compile(&c, json_of(template));
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), -EINVAL, "%s", template);
        cr_assert_str_eq(error.code, "TEMPLATE_MISSING");
        cr_assert_str_eq(error.message, message);
}

Test(template, what_is_missing_is_said) {
        expect_missing("'${nope.a}'", "\"nope.a\" is missing: there is no nope");
        expect_missing("'${context.a}'", "\"context.a\" is missing: there is no context.a");
        expect_missing("{'x': ['a ${fetch.body.nope.a}']}",
                       "\"fetch.body.nope.a\" is missing: fetch.body is an object without a field \"nope\"");
        expect_missing("'${fetch.body.rows[4].k}'",
                       "\"fetch.body.rows[4].k\" is missing: fetch.body.rows has 1 elements, none is [4]");
        expect_missing("'${input.s[0]}'",
                       "\"input.s[0]\" is missing: input.s is a string, it has no element [0]");
        expect_missing("'${input.z.a}'", "\"input.z.a\" is missing: input.z is null without a field \"a\"");
        expect_missing("'${input.list.k}'",
                       "\"input.list.k\" is missing: input.list is an array without a field \"k\"");
}

Test(template, long_messages_stay_utf8) {
        _cleanup_json_ json_t *world = json_of("{'input': {}}");
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_compiled_ Compiled c;
        json_t *result;
        ExprEnv env = world_env(world);
        ExprError error = {0};
        buf_put_str(&b, "'${input");
        for (int i = 0; i < 60; i++)
                buf_put_str(&b, ".é日本語のなまえ");
        buf_put(&b, "}'", 3);
        compile(&c, json_of(b.data));
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), -EINVAL);
        cr_assert(slice_is_utf8(slice_from_str(error.message)));
}

static void expect_compile_fault(const char *template, const char *path, const char *part) {
        _cleanup_compiled_ Compiled c;
        compile(&c, json_of(template));
        cr_assert_null(c.template, "%s", template);
        expect_fault(&c.report, path, part);
}

Test(template, faults) {
        expect_compile_fault("'${a'", "",
                             "the closing } of ${ is missing (a literal ${ is written $${) at byte 1");
        expect_compile_fault("['x ${']", "/0", "the closing } of ${ is missing");
        expect_compile_fault("{'a': {'b': '${}'}}", "/a/b", "a name is expected");
        expect_compile_fault("'${ }'", "", "a name is expected");
        expect_compile_fault("'${a b}'", "", "} or ?? is expected after the path at byte 5");
        expect_compile_fault("'${a ? b}'", "", "} or ?? is expected");
        expect_compile_fault("'${a ??}'", "", "a default is missing");
        expect_compile_fault("'${a ??  }'", "", "a default is missing");
        expect_compile_fault("'${a ?? \\u0022x}'", "", "a JSON value and } are expected");
        expect_compile_fault("'${a ?? {x}}'", "", "a JSON value and } are expected");
        expect_compile_fault("'${a ?? [1] x}'", "", "a JSON value and } are expected");
        expect_compile_fault("'${a ?? ${b}}'", "", "a default can't hold another ${…}");
        expect_compile_fault("'${${a}}'", "", "no ${…} and no $ is needed here");
        expect_compile_fault("'${a[-1]}'", "", "can't be negative");
}

Test(template, all_faults_at_once) {
        _cleanup_compiled_ Compiled c;
        compile(&c, json_of("{'a': '${', 'b': ['${x y}', '${good}', '${z ??}']}"));
        cr_assert_null(c.template);
        cr_assert_eq(c.report.n_details, 3);
}

/** @n arrays around @inner, which is taken. */
static json_t *nest(json_t *inner, int n) {
        for (; n > 0; n--) {
                json_t *outer = json_array();
                json_array_append_new(outer, inner);
                inner = outer;
        }
        return inner;
}

Test(template, depth_has_a_cap) {
        for (int n = JSON_DEPTH_MAX - 1; n <= JSON_DEPTH_MAX + 2; n++) {
                _cleanup_compiled_ Compiled c;
                compile(&c, nest(json_string("${input}"), n));
                cr_assert_eq(c.template != NULL, n <= JSON_DEPTH_MAX, "%d", n);
        }
        _cleanup_compiled_ Compiled c;
        compile(&c, nest(json_integer(1), 5000)); /* far deeper than any parser lets through */
        cr_assert_null(c.template);
        cr_assert(strstr(c.report.details[0].message, "nested more than 64 levels"));
}

static json_t *repeat(const char *text, size_t n) {
        json_t *array = json_array();
        while (n-- > 0)
                json_array_append_new(array, json_string(text));
        return array;
}

Test(template, nodes_have_a_cap) {
        static const char *const texts[] = {"plain", "${input}", "$${x}"};
        for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
                _cleanup_compiled_ Compiled few, many;
                compile(&few, repeat(texts[i], 30000));
                cr_assert_not_null(few.template);
                compile(&many, repeat(texts[i], LIMIT_TEMPLATE_NODES + 1));
                cr_assert_null(many.template);
                expect_fault(&many.report, many.report.details[0].path, "LIMIT_TEMPLATE_NODES");
        }
}

Test(template, one_string_full_of_paths_has_a_cap) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (int i = 0; i < LIMIT_TEMPLATE_NODES; i++)
                buf_put_str(&b, "${a}");
        _cleanup_compiled_ Compiled c;
        compile(&c, json_stringn(b.data, b.n));
        cr_assert_null(c.template);
        expect_fault(&c.report, "", "LIMIT_TEMPLATE_NODES");
}

static void expect_eval_error(json_t *template, const json_t *world, const char *code) {
        _cleanup_compiled_ Compiled c;
        json_t *result;
        ExprEnv env = world_env(world);
        ExprError error = {0};
        compile(&c, template);
        cr_assert_not_null(c.template);
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), -EINVAL);
        cr_assert_str_eq(error.code, code);
}

Test(template, a_result_can_not_grow_without_bound) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (int i = 0; i < 1000; i++)
                buf_put_char(&b, 'x');
        _cleanup_json_ json_t *world = json_pack("{s:s#}", "input", b.data, b.n);
        /* As one big text, and as many shared references: both would be a gigabyte when written out. */
        _cleanup_(buf_deinit) Buf text = {0};
        for (int i = 0; i < 2000; i++)
                buf_put_str(&text, "${input}");
        expect_eval_error(json_stringn(text.data, text.n), world, "TEMPLATE_TOO_LARGE");
        expect_eval_error(repeat("${input}", 2000), world, "TEMPLATE_TOO_LARGE");

        _cleanup_json_ json_t *result = NULL;
        _cleanup_compiled_ Compiled c;
        ExprEnv env = world_env(world);
        ExprError error;
        compile(&c, repeat("${input}", 1000));
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), 0);
}

Test(template, keys_weigh_too) {
        _cleanup_json_ json_t *object = json_object(), *world = json_object();
        _cleanup_(buf_deinit) Buf key = {0};
        for (int i = 0; i < 100000; i++)
                buf_put_char(&key, 'k');
        buf_put_char(&key, '\0');
        json_object_set_new(object, key.data, json_null());
        json_object_set(world, "input", object);
        expect_eval_error(repeat("${input}", 20), world, "TEMPLATE_TOO_LARGE");
}

Test(template, a_result_can_not_become_too_deep) {
        _cleanup_json_ json_t *world = json_object(), *result = NULL;
        json_object_set_new(world, "input", nest(json_integer(1), JSON_DEPTH_MAX - 2));
        expect_eval_error(nest(json_string("${input}"), 3), world, "TEMPLATE_TOO_DEEP");
        _cleanup_compiled_ Compiled c;
        ExprEnv env = world_env(world);
        ExprError error;
        compile(&c, nest(json_string("${input}"), 2));
        cr_assert_eq(expr_template_eval(c.template, &env, &result, &error), 0);
}

Test(template, a_failing_part_leaves_nothing_behind) {
        _cleanup_json_ json_t *world = json_of(world_text);
        expect_eval_error(json_of("{'a': ['${input.o}', 'x ${input.s}', {'b': '${nope}'}]}"), world,
                          "TEMPLATE_MISSING");
}

static void expect_secret(const char *text, int r, const char *prefix, const char *name, const char *suffix) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(arena_deinit) Arena arena = {0};
        ExprSecret secret = {0};
        JsonAt at = json_at_root(NULL, &report);
        cr_assert_eq(expr_secret_split(slice_from_str(text), &at, &arena, &secret), r, "%s", text);
        cr_assert_eq(report.n_details, r < 0, "%s", text);
        if (r != 1)
                return;
        cr_assert(slice_eq_str(secret.prefix, prefix), "%.*s", SLICE_ARG(secret.prefix));
        cr_assert(slice_eq_str(secret.name, name), "%.*s", SLICE_ARG(secret.name));
        cr_assert(slice_eq_str(secret.suffix, suffix), "%.*s", SLICE_ARG(secret.suffix));
}

Test(template, secrets) {
        expect_secret("Bearer ${secrets.TOKEN}", 1, "Bearer ", "TOKEN", "");
        expect_secret("${secrets['a.b-c']}", 1, "", "a.b-c", "");
        expect_secret("$${x} ${ secrets.A } $${y}", 1, "${x} ", "A", " ${y}");
        expect_secret("plain", 0, NULL, NULL, NULL);
        expect_secret("${input.a}", 0, NULL, NULL, NULL);
        expect_secret("my secrets", 0, NULL, NULL, NULL);
        expect_secret("$${secrets.A}", 0, NULL, NULL, NULL);
        expect_secret("${['secrets'].A}", 0, NULL, NULL, NULL); /* a step of that name */
        expect_secret("${secrets}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets.A.B}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets[0]}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets['a b']}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets.A ?? x}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets.A}${secrets.B}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets.A} ${input.b}", -EINVAL, NULL, NULL, NULL);
        expect_secret("${secrets.A", -EINVAL, NULL, NULL, NULL);
}

Test(template, constant_texts) {
        cr_assert(expr_text_is_constant(SLICE("")));
        cr_assert(expr_text_is_constant(SLICE("a $ {b} $")));
        cr_assert(expr_text_is_constant(SLICE("$${a} $${")));
        cr_assert_not(expr_text_is_constant(SLICE("${")));
        cr_assert_not(expr_text_is_constant(SLICE("$${${a}")));
        cr_assert_not(expr_text_is_constant(SLICE("$${a}${b}")));
}
