#include "world.h"

TestSuite(path, .fini = check_leaks);

static const ExprPath *compile(Slice text, Arena *arena, Report *report) {
        json_t *json = json_stringn(text.data, text.n);
        JsonAt at = json_at_root(json, report);
        const ExprPath *path = expr_path_compile(text, &at, arena, NULL);
        json_decref(json);
        return path;
}

/** Segments as text: keys as they are, indexes as #n, between bars. */
static void expect_path(const char *text, ExprRoot root, const char *segments) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(arena_deinit) Arena arena = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        const ExprPath *path = compile(slice_from_str(text), &arena, &report);
        cr_assert_not_null(path, "%s: %s", text, report.n_details ? report.details[0].message : "");
        cr_assert_eq(path->root, root, "%s", text);
        cr_assert(slice_eq_str(path->text, text), "%.*s", SLICE_ARG(path->text));
        for (uint32_t i = 0; i < path->n_segments; i++) {
                const ExprSegment *s = &path->segments[i];
                buf_put_str(&b, i ? "|" : "");
                if (s->is_index) {
                        buf_printf(&b, "#%u", s->index);
                } else {
                        buf_put_slice(&b, s->key);
                        cr_assert_eq(s->key.data[s->key.n], '\0');
                }
        }
        cr_assert(slice_eq_str(buf_slice(&b), segments), "%s: %.*s, not %s", text, (int)b.n, b.data,
                  segments);
}

Test(path, forms) {
        expect_path("a", EXPR_ROOT_NAME, "a");
        expect_path("call-api.body.id", EXPR_ROOT_NAME, "call-api|body|id");
        expect_path("a.b[0][\"c d\"]", EXPR_ROOT_NAME, "a|b|#0|c d");
        expect_path("a['c d'].e", EXPR_ROOT_NAME, "a|c d|e");
        expect_path("a['it\\'s \\\\']", EXPR_ROOT_NAME, "a|it's \\");
        expect_path("a[\"q\\\"\\u00e9\"]", EXPR_ROOT_NAME, "a|q\"é");
        expect_path("straße.日本[12]", EXPR_ROOT_NAME, "straße|日本|#12");
        expect_path("a.@type.x:y._z.0", EXPR_ROOT_NAME, "a|@type|x:y|_z|0");
        expect_path("a[999999999]", EXPR_ROOT_NAME, "a|#999999999");
        expect_path("a[007]", EXPR_ROOT_NAME, "a|#7");
        expect_path("a[\"\"]", EXPR_ROOT_NAME, "a|");
}

Test(path, roots_are_left_out_and_can_be_quoted) {
        expect_path("input", EXPR_ROOT_INPUT, "");
        expect_path("input.user[0]", EXPR_ROOT_INPUT, "user|#0");
        expect_path("input[3]", EXPR_ROOT_INPUT, "#3");
        expect_path("context.tenantId", EXPR_ROOT_CONTEXT, "tenantId");
        expect_path("steps.fetch.output", EXPR_ROOT_STEPS, "fetch|output");
        expect_path("execution.id", EXPR_ROOT_EXECUTION, "id");
        expect_path("loop.item", EXPR_ROOT_LOOP, "item");
        expect_path("secrets.TOKEN", EXPR_ROOT_SECRETS, "TOKEN");
        expect_path("inputs.x", EXPR_ROOT_NAME, "inputs|x");
        expect_path("[\"input\"].x", EXPR_ROOT_NAME, "input|x");
        expect_path("['steps']", EXPR_ROOT_NAME, "steps");
}

Test(path, faults_name_the_place) {
        static const struct {
                const char *text, *part;
        } cases[] = {
                        {"", "empty"},
                        {".a", "a name is expected"},
                        {"a.", "a name is expected at byte 3"},
                        {"a..b", "a name is expected"},
                        {"a b", "unexpected character at byte 2"},
                        {" a", "a name is expected"},
                        {"a[", "an index or a quoted name"},
                        {"a[]", "an index or a quoted name"},
                        {"a[-1]", "can't be negative"},
                        {"a[1", "a ] is expected"},
                        {"a[1x]", "a ] is expected"},
                        {"a[1000000000]", "too large"},
                        {"a[99999999999999999999999]", "too large"},
                        {"a[\"x]", "a JSON string is expected"},
                        {"a['x]", "the closing ' is missing"},
                        {"a['x\\']", "the closing ' is missing"},
                        {"a['x'", "a ] is expected"},
                        {"[0].a", "can't begin with an index"},
                        {"${a.b}", "no ${…}"},
                        {"$.a", "no $"},
                        {"a|b", "unexpected character"},
                        {"a(b)", "unexpected character"},
                        {"a?.b", "unexpected character"},
        };
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
                _cleanup_(report_deinit) Report report = {0};
                _cleanup_(arena_deinit) Arena arena = {0};
                cr_assert_null(compile(slice_from_str(cases[i].text), &arena, &report), "%s", cases[i].text);
                expect_fault(&report, "", cases[i].part);
        }
}

Test(path, segments_have_a_cap) {
        for (int extra = 0; extra < 3; extra++) {
                _cleanup_(report_deinit) Report report = {0};
                _cleanup_(arena_deinit) Arena arena = {0};
                _cleanup_(buf_deinit) Buf b = {0};
                /* The root takes no segment: 64 behind it are fine, 65 are not. */
                buf_put_str(&b, "input");
                for (int i = 0; i < LIMIT_PATH_SEGMENTS + extra; i++)
                        buf_put_str(&b, i % 2 ? ".a" : "[0]");
                const ExprPath *path = compile(buf_slice(&b), &arena, &report);
                cr_assert_eq(path != NULL, extra == 0);
                if (path)
                        cr_assert_eq(path->n_segments, LIMIT_PATH_SEGMENTS);
                else
                        expect_fault(&report, "", "at most 64 segments");
        }
}

Test(path, long_quoted_names_take_no_more_memory_than_they_have) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(arena_deinit) Arena arena = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_str(&b, "a");
        for (int i = 0; i < 60; i++)
                buf_put_str(&b, i % 2 ? "['b']" : "[\"b\"]");
        buf_put_str(&b, " ");
        for (int i = 0; i < 100000; i++)
                buf_put_char(&b, 'x');
        cr_assert_null(compile(buf_slice(&b), &arena, &report));
        cr_assert_lt(arena.n_bytes, 50000);
}

static void expect_value(const json_t *world, const char *text, const char *canonical) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(arena_deinit) Arena arena = {0};
        const ExprPath *path = compile(slice_from_str(text), &arena, &report);
        cr_assert_not_null(path);
        ExprEnv env = world_env(world);
        const json_t *value = expr_path_eval(path, &env);
        if (canonical)
                expect_json(value, canonical);
        else
                cr_assert_null(value, "%s", text);
}

Test(path, walking) {
        _cleanup_json_ json_t *world =
                        json_of("{'input': {'a': [1, {'b c': null}], 's': 'x'}, 'one': {'two': 2}}");
        expect_value(world, "input.a[0]", "1");
        expect_value(world, "input.a[1]['b c']", "null");
        expect_value(world, "one.two", "2");
        expect_value(world, "one", "{\"two\":2}");
        expect_value(world, "input.a[2]", NULL);
        expect_value(world, "input.a.b", NULL);
        expect_value(world, "input.a.0", NULL);
        expect_value(world, "input[0]", NULL);
        expect_value(world, "input.s.length", NULL);
        expect_value(world, "input.a[1]['b c'].d", NULL);
        expect_value(world, "three", NULL);
        expect_value(world, "context", NULL);
}

static void note_path(void *userdata, const ExprPath *path, const JsonAt *at) {
        Buf *b = userdata;
        buf_printf(b, "%.*s;", SLICE_ARG(path->text));
}

Test(path, a_sink_hears_of_every_path) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(arena_deinit) Arena arena = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        ExprSink sink = {note_path, &b};
        _cleanup_json_ json_t *template =
                        json_of("{'a': '${b.c} ${d ?? 1}', 'e': ['${secrets.f}', '$${no}']}");
        _cleanup_json_ json_t *condition =
                        json_of("{'any': [{'field': 'g.h', 'operator': 'eq', 'value': '${i}'}]}");
        JsonAt at = json_at_root(template, &report), condition_at = json_at_root(condition, &report);
        const ExprTemplate *t = expr_template_compile(&at, &arena, &sink);
        const ExprCondition *c = expr_condition_compile(&condition_at, &arena, &sink);
        cr_assert(t && c);
        cr_assert(slice_eq_str(buf_slice(&b), "b.c;d;secrets.f;g.h;i;"), "%.*s", (int)b.n, b.data);
        expr_template_release(t);
        expr_condition_release(c);
}
