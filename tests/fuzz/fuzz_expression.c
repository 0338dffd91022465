/*
 * Any bytes as a template and, if they are a JSON object, as a condition; what compiles is evaluated over
 * a small world in which some paths exist and some do not.
 */

#include "expr/expr.h"
#include "fuzz.h"
#include "json/json_read.h"

static const char world_text[] =
                "{\"input\":{\"n\":7,\"s\":\"text\",\"list\":[1,\"two\",{\"three\":3}],\"a b\":null},"
                "\"steps\":{\"one\":{\"status\":200,\"body\":{\"ok\":true}}},\"context\":{},\"execution\":{"
                "\"id\":\"x\"}}";

static const json_t *head(void *userdata, const ExprPath *path, uint32_t *ret_used) {
        static const char *const roots[] = {
                        [EXPR_ROOT_CONTEXT] = "context", [EXPR_ROOT_EXECUTION] = "execution",
                        [EXPR_ROOT_INPUT] = "input",     [EXPR_ROOT_LOOP] = "loop",
                        [EXPR_ROOT_NAME] = "steps",      [EXPR_ROOT_SECRETS] = "secrets",
                        [EXPR_ROOT_STEPS] = "steps"};

        *ret_used = 0;
        return json_object_get(userdata, roots[path->root]);
}

static void path_met(void *userdata, const ExprPath *path, const JsonAt *at) {
        (void)userdata, (void)path, (void)at;
}

static void evaluate(const ExprTemplate *t, const ExprCondition *c, const ExprEnv *env) {
        ExprError error = {0};
        json_t *value = NULL;
        bool holds = false;

        if (t) {
                int r = expr_template_eval(t, env, &value, &error);

                PROMISE((r == 0) == (value != NULL), "0 and a value, or neither");
                PROMISE(r == 0 || error.code[0], "an error has a code");
                PROMISE(!expr_template_is_constant(t) || r == 0, "a constant template always has its value");
                json_decref(value);
        }
        if (c) {
                int r = expr_condition_eval(c, env, &holds, &error);

                PROMISE(r == 0 || error.code[0], "an error has a code");
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const ExprSink sink = {.path = path_met};
        Report report = {0}, none = {0};
        Arena arena = {0};
        json_t *world = json_parse_own((Slice){world_text, sizeof world_text - 1});
        json_t *tree = json_parse((Slice){(const char *)data, size}, 1 << 16, &report);
        json_t *text = tree ? NULL : json_stringn((const char *)data, size);

        if (tree || text) {
                JsonAt at = json_at_root(tree ? tree : text, &none);
                const ExprTemplate *t = expr_template_compile(&at, &arena, &sink);
                const ExprCondition *c =
                                json_is_object(tree) ? expr_condition_compile(&at, &arena, &sink) : NULL;
                const ExprEnv env = {.head = head, .userdata = world};

                evaluate(t, c, &env);
                expr_template_release(t);
                expr_condition_release(c);
        }
        arena_deinit(&arena);
        report_deinit(&report);
        report_deinit(&none);
        json_decref(tree);
        json_decref(text);
        json_decref(world);
        return 0;
}
