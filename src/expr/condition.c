/*
 * Conditions: {field, operator, value?} under all, any and not
 *
 * A test is an operator from the table (operator.c) whose answer may be turned round. A missing field never
 * passes, so only the turned operators (ne, notIn, notExists) hold for it. `value` is a template, so that two
 * fields can be compared; a pattern (pattern.c) is fixed.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "expr/expr_internal.h"

typedef enum NodeKind { NODE_TEST, NODE_ALL, NODE_ANY, NODE_NOT } NodeKind;

typedef struct Node Node;
struct Node {
        NodeKind kind;
        /* NODE_TEST */
        const ExprOperator *op;
        const ExprPath *field;
        const ExprTemplate *value;
        const ExprPattern *pattern;
        /* the others */
        const Node *children;
        uint32_t n;
};

struct ExprCondition {
        Node root;
        ExprForeign *foreign;
};

typedef struct Compiler {
        Arena *arena;
        const ExprSink *sink;
        ExprForeign *foreign;
        uint32_t n_nodes;
        bool failed, over;
} Compiler;

/** Report at @at; for use as `fail(c, json_at_error(…))`. */
static void fail(Compiler *c, int r) { c->failed = c->failed || r < 0; }

static void no_memory(Compiler *c, const JsonAt *at) {
        at->report->oom = true;
        c->failed = true;
}

static void release_template(void *p) { expr_template_release(p); }

static void compile_value(Compiler *c, const JsonAt *test, Node *node) {
        ExprWant want = node->op->want;
        /* Not json_at_key: null is a value to compare with. */
        JsonAt at = {.value = json_object_get(test->value, "value"),
                     .parent = test,
                     .key = "value",
                     .report = test->report};
        if (want == WANT_NOTHING) {
                if (at.value && !json_is_null(at.value) && !json_is_true(at.value))
                        fail(c, json_at_error(&at, "%s takes no value", node->op->name));
                return;
        }
        if (!at.value) {
                fail(c, json_at_error(&at, "is required with the operator %s", node->op->name));
                return;
        }
        bool fixed = want == WANT_PATTERN || !json_is_string(at.value) ||
                     expr_text_is_constant(json_string_slice(at.value));
        if (fixed && !expr_is_wanted(want, at.value)) {
                fail(c, json_at_error(&at, "must be %s with the operator %s, is %s", expr_want_text(want),
                                      node->op->name, json_type_text(at.value)));
                return;
        }
        if (want == WANT_PATTERN) {
                node->pattern = expr_pattern_compile(&at, c->arena, &c->foreign);
                c->failed = c->failed || !node->pattern;
                return;
        }
        node->value = expr_template_compile(&at, c->arena, c->sink);
        if (!node->value)
                c->failed = true;
        else if (!expr_foreign_add(&c->foreign, c->arena, release_template, (void *)node->value))
                no_memory(c, &at);
}

static void compile_test(Compiler *c, const JsonAt *at, Node *node) {
        static const char *const known[] = {"field", "operator", "value"};
        Slice field;
        json_check_keys(at, known, N_ELEMENTS(known));
        if (json_get_string_required(at, "field", &field)) {
                JsonAt field_at = json_at_key(at, "field");
                node->field = expr_path_compile(field, &field_at, c->arena, c->sink);
        }
        node->op = expr_operator_find(at);
        if (node->op)
                compile_value(c, at, node);
        if (!node->field || !node->op)
                c->failed = true;
}

static void compile_node(Compiler *c, const JsonAt *at, unsigned depth, Node *node);

static void compile_list(Compiler *c, const JsonAt *at, const char *key, unsigned depth, Node *node) {
        JsonAt list;
        json_check_keys(at, &key, 1);
        if (!json_get_array(at, key, &list)) {
                c->failed = true;
                return;
        }
        size_t n = json_array_size(list.value);
        if (n == 0)
                fail(c, json_at_error(&list, "must hold at least one condition"));
        if (n > LIMIT_CONDITION_NODES)
                n = LIMIT_CONDITION_NODES; /* counting them says what is wrong */
        Node *children = ARENA_NEW_ARRAY(c->arena, Node, n);
        if (!children) {
                no_memory(c, at);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                JsonAt child = json_at_index(&list, i);
                compile_node(c, &child, depth + 1, &children[i]);
        }
        node->children = children;
        node->n = (uint32_t)n;
}

static void compile_not(Compiler *c, const JsonAt *at, unsigned depth, Node *node) {
        static const char *const known[] = {"not"};
        Node *child = ARENA_NEW(c->arena, Node);
        json_check_keys(at, known, 1);
        if (!child) {
                no_memory(c, at);
                return;
        }
        JsonAt child_at = json_at_key(at, "not");
        compile_node(c, &child_at, depth + 1, child);
        node->children = child;
        node->n = 1;
}

/** Count one node; false (and reported once) when they are too many or too deep. */
static bool enter(Compiler *c, const JsonAt *at, unsigned depth) {
        if (c->over)
                return false;
        if (++c->n_nodes > LIMIT_CONDITION_NODES)
                json_at_error(at, "the condition has more than %d parts (LIMIT_CONDITION_NODES)",
                              LIMIT_CONDITION_NODES);
        else if (depth >= LIMIT_CONDITION_DEPTH)
                json_at_error(at, "the condition is nested more than %d levels deep (LIMIT_CONDITION_DEPTH)",
                              LIMIT_CONDITION_DEPTH);
        else
                return true;
        c->over = c->failed = true;
        return false;
}

static void compile_node(Compiler *c, const JsonAt *at, unsigned depth, Node *node) {
        if (!enter(c, at, depth))
                return;
        bool has_all = json_object_get(at->value, "all"), has_any = json_object_get(at->value, "any"),
             has_not = json_object_get(at->value, "not");
        bool has_test = json_object_get(at->value, "field") || json_object_get(at->value, "operator");
        if (!json_is_object(at->value) || has_all + has_any + has_not + has_test != 1) {
                fail(c, json_at_error(at,
                                      "must be one of {\"field\", \"operator\", \"value\"}, {\"all\": […]}, "
                                      "{\"any\": […]} and "
                                      "{\"not\": …}%s%s",
                                      json_is_object(at->value) ? "" : ", is ",
                                      json_is_object(at->value) ? "" : json_type_text(at->value)));
                return;
        }
        node->kind = has_all ? NODE_ALL : has_any ? NODE_ANY : has_not ? NODE_NOT : NODE_TEST;
        if (node->kind == NODE_TEST)
                compile_test(c, at, node);
        else if (node->kind == NODE_NOT)
                compile_not(c, at, depth, node);
        else
                compile_list(c, at, has_all ? "all" : "any", depth, node);
}

const ExprCondition *expr_condition_compile(const JsonAt *at, Arena *arena, const ExprSink *sink) {
        Compiler c = {.arena = arena, .sink = sink};
        ExprCondition *condition = ARENA_NEW(arena, ExprCondition);
        if (!condition) {
                at->report->oom = true;
                return NULL;
        }
        compile_node(&c, at, 0, &condition->root);
        if (c.failed) {
                expr_foreign_release(c.foreign);
                return NULL;
        }
        condition->foreign = c.foreign;
        return condition;
}

void expr_condition_release(const ExprCondition *c) {
        if (c)
                expr_foreign_release(c->foreign);
}

typedef struct Evaluation {
        const ExprEnv *env;
        ExprError *error;
        size_t work_left; /* for all patterns of the condition together */
} Evaluation;

static int eval_pattern(Evaluation *e, const Node *node, const json_t *field, bool *ret) {
        if (!json_is_string(field))
                return 0;
        return expr_pattern_match(node->pattern, node->field, json_string_slice(field), &e->work_left, ret,
                                  e->error);
}

static int eval_test(Evaluation *e, const Node *node, bool *ret) {
        const ExprOperator *op = node->op;
        const json_t *field = expr_path_eval(node->field, e->env);
        bool holds = false;
        int r = 0;
        if (field && op->want == WANT_PATTERN) {
                r = eval_pattern(e, node, field, &holds);
        } else if (field && op->want == WANT_NOTHING) {
                holds = true;
        } else if (field) {
                json_t *value;
                r = expr_template_eval(node->value, e->env, &value, e->error);
                if (r < 0)
                        return r;
                Slice shown = expr_shown(node->field->text);
                if (op->want == WANT_LIST && !expr_is_wanted(WANT_LIST, value))
                        r = expr_error_set(e->error, -EINVAL, "CONDITION_TYPE",
                                           "\"%.*s\" can't be looked for: the value of the operator %s must "
                                           "be %s, is %s",
                                           SLICE_ARG(shown), op->name, expr_want_text(WANT_LIST),
                                           json_type_text(value));
                else
                        holds = op->test(field, value);
                json_decref(value);
        }
        *ret = holds != op->negated;
        return r;
}

static int eval_node(Evaluation *e, const Node *node, bool *ret) {
        if (node->kind == NODE_TEST)
                return eval_test(e, node, ret);
        /* `all` ends at the first false, `any` at the first true; `not` has one child. */
        bool stop_at = node->kind != NODE_ALL, result = !stop_at;
        for (uint32_t i = 0; i < node->n && result != stop_at; i++) {
                int r = eval_node(e, &node->children[i], &result);
                if (r < 0)
                        return r;
        }
        *ret = node->kind == NODE_NOT ? !result : result;
        return 0;
}

int expr_condition_eval(const ExprCondition *c, const ExprEnv *env, bool *ret, ExprError *error) {
        Evaluation e = {.env = env, .error = error, .work_left = LIMIT_PATTERN_WORK};
        return eval_node(&e, &c->root, ret);
}
