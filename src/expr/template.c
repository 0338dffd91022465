/*
 * Templates: JSON with `${path}` and `${path ?? default}` in its strings
 *
 * Compiling turns the tree into nodes as far as it holds paths; everything below that is kept as it stands
 * and shared, so that a constant template costs a reference and a template which is one path hands on what it
 * found. The default serves what is missing and what is null.
 *
 * What is found may be put into many places: a result that would pass LIMIT_VALUE_BYTES or JSON_DEPTH_MAX is
 * an error. The weight is taken while looking, before anything is copied, so no template can cost more than
 * that.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "expr/expr_internal.h"
#include "json/json_write.h"

typedef enum NodeKind { NODE_CONSTANT, NODE_PATH, NODE_TEXT, NODE_ARRAY, NODE_OBJECT } NodeKind;

typedef struct Node Node;
struct Node {
        NodeKind kind;
        bool rewritten; /* a constant that is not the definition's tree: `$${` was in it */
        uint32_t n;     /* parts or children */
        const json_t *constant;
        const ExprPart *parts; /* NODE_PATH: one */
        const Node *children;
        const char *const *keys; /* NODE_OBJECT; borrowed from the definition */
};

struct ExprTemplate {
        Node root;
        uint32_t n_paths;
        ExprForeign *foreign;
};

typedef struct Compiler {
        ExprTextCompiler text;
        const ExprSink *sink;
        uint32_t n_paths;
} Compiler;

/**
 * Does @value hold a marker, or is it deeper than @depth_left? Counts nodes of what holds none.
 * Below the marker the nodes are counted as they are compiled.
 */
static bool has_marker(const json_t *value, unsigned depth_left, size_t *n_nodes) {
        size_t i;
        const char *key;
        json_t *child;
        if (++*n_nodes > LIMIT_TEMPLATE_NODES)
                return false; /* too many in any case: the caller counts */
        if (json_is_string(value))
                return expr_text_marker(json_string_slice(value)) != NULL;
        if (depth_left == 0)
                return json_is_object(value) || json_is_array(value);
        json_array_foreach(value, i, child) {
                if (has_marker(child, depth_left - 1, n_nodes))
                        return true;
        }
        json_object_foreach((json_t *)value, key, child) {
                if (has_marker(child, depth_left - 1, n_nodes))
                        return true;
        }
        return false;
}

/** @node becomes the constant @json, which it takes. */
static void become_constant(Compiler *c, const JsonAt *at, Node *node, json_t *json) {
        if (!expr_foreign_add(&c->text.foreign, c->text.arena, expr_json_release, json))
                expr_text_oom(&c->text, at);
        else
                *node = (Node){.kind = NODE_CONSTANT, .rewritten = true, .constant = json};
}

static void compile_text(Compiler *c, const JsonAt *at, Node *node) {
        uint32_t n_paths = 0;
        node->parts = expr_text_parse(&c->text, at, json_string_slice(at->value), &node->n);
        if (!node->parts)
                return;
        for (uint32_t i = 0; i < node->n; i++) {
                n_paths += node->parts[i].path != NULL;
                if (node->parts[i].path && c->sink)
                        c->sink->path(c->sink->userdata, node->parts[i].path, at);
        }
        c->n_paths += n_paths;
        node->kind = n_paths == 1 && node->n == 1 ? NODE_PATH : NODE_TEXT;
        if (n_paths == 0)
                become_constant(c, at, node, expr_text_join(node->parts, node->n));
}

static void compile_node(Compiler *c, const JsonAt *at, unsigned depth, Node *node);

static json_t *rebuild(const Node *node) {
        json_t *json = node->kind == NODE_ARRAY ? json_array() : json_object();
        for (uint32_t i = 0; json && i < node->n; i++) {
                json_t *child = json_incref((json_t *)node->children[i].constant);
                if (node->kind == NODE_ARRAY ? json_array_append_new(json, child)
                                             : json_object_set_new_nocheck(json, node->keys[i], child)) {
                        json_decref(json);
                        json = NULL;
                }
        }
        return json;
}

static void compile_children(Compiler *c, const JsonAt *at, unsigned depth, Node *node) {
        bool is_array = json_is_array(at->value), constant = true, rewritten = false;
        size_t n = is_array ? json_array_size(at->value) : json_object_size(at->value), i = 0;
        Node *children = ARENA_NEW_ARRAY(c->text.arena, Node, n);
        const char **keys = is_array ? NULL : ARENA_NEW_ARRAY(c->text.arena, const char *, n);
        if (!children || (!is_array && !keys)) {
                expr_text_oom(&c->text, at);
                return;
        }
        void *it = is_array ? NULL : json_object_iter((json_t *)at->value);
        for (; i < n; i++) {
                JsonAt child = {.parent = at, .index = i, .report = at->report};
                if (is_array) {
                        child.value = json_array_get(at->value, i);
                } else {
                        child.key = keys[i] = json_object_iter_key(it);
                        child.value = json_object_iter_value(it);
                        it = json_object_iter_next((json_t *)at->value, it);
                }
                compile_node(c, &child, depth + 1, &children[i]);
                constant = constant && children[i].kind == NODE_CONSTANT;
                rewritten = rewritten || children[i].rewritten;
        }
        *node = (Node){.kind = is_array ? NODE_ARRAY : NODE_OBJECT,
                       .n = (uint32_t)n,
                       .children = children,
                       .keys = keys};
        if (constant && rewritten && !c->text.failed)
                become_constant(c, at, node, rebuild(node));
}

static void compile_node(Compiler *c, const JsonAt *at, unsigned depth, Node *node) {
        size_t n_nodes = 0;
        if (c->text.over)
                return;
        if (depth > JSON_DEPTH_MAX) {
                json_at_error(at, "the template is nested more than %d levels deep (JSON_DEPTH_MAX)",
                              JSON_DEPTH_MAX);
                c->text.failed = true;
        } else if (!has_marker(at->value, JSON_DEPTH_MAX - depth, &n_nodes)) {
                if (expr_text_count(&c->text, at, n_nodes))
                        *node = (Node){.kind = NODE_CONSTANT, .constant = at->value};
        } else if (json_is_string(at->value)) {
                compile_text(c, at, node);
        } else if (expr_text_count(&c->text, at, 1)) {
                compile_children(c, at, depth, node);
        }
}

const ExprTemplate *expr_template_compile(const JsonAt *at, Arena *arena, const ExprSink *sink) {
        Compiler c = {.text.arena = arena, .sink = sink};
        ExprTemplate *template = ARENA_NEW(arena, ExprTemplate);
        if (!template) {
                at->report->oom = true;
                return NULL;
        }
        compile_node(&c, at, 0, &template->root);
        if (c.text.failed) {
                expr_foreign_release(c.text.foreign);
                return NULL;
        }
        template->n_paths = c.n_paths;
        template->foreign = c.text.foreign;
        return template;
}

void expr_template_release(const ExprTemplate *t) {
        if (t)
                expr_foreign_release(t->foreign);
}

bool expr_template_is_constant(const ExprTemplate *t) { return t->n_paths == 0; }

const json_t *expr_template_constant(const ExprTemplate *t) {
        return t->root.kind == NODE_CONSTANT ? t->root.constant : NULL;
}

typedef struct Evaluation {
        const ExprEnv *env;
        ExprError *error;
        size_t weight; /* bytes of what was found so far, never more than its canonical JSON has */
} Evaluation;

/** Add the weight of @value; false, and no further look, when it is over the cap or deeper than @depth_left.
 */
static bool weigh(Evaluation *e, const json_t *value, unsigned depth_left) {
        size_t i;
        const char *key;
        json_t *child;
        e->weight += json_is_string(value) ? json_string_length(value) + 2 : 1;
        if (e->weight > LIMIT_VALUE_BYTES)
                return false;
        if (depth_left == 0)
                return !json_is_object(value) && !json_is_array(value);
        json_array_foreach(value, i, child) {
                if (!weigh(e, child, depth_left - 1))
                        return false;
        }
        json_object_foreach((json_t *)value, key, child) {
                e->weight += strlen(key);
                if (!weigh(e, child, depth_left - 1))
                        return false;
        }
        return true;
}

static int find(Evaluation *e, const ExprPart *part, const json_t **ret) {
        const json_t *value = expr_path_eval(part->path, e->env);
        if (part->fallback && (!value || json_is_null(value)))
                value = part->fallback;
        if (!value)
                return expr_path_missing(part->path, e->env, "TEMPLATE_MISSING", e->error);
        *ret = value;
        return 0;
}

/** Like find, for a value that goes below @depth levels of the template. */
static int find_weighed(Evaluation *e, const ExprPart *part, unsigned depth, const json_t **ret) {
        int r = find(e, part, ret);
        if (r < 0 || weigh(e, *ret, depth < JSON_DEPTH_MAX ? JSON_DEPTH_MAX - depth : 0))
                return r;
        Slice shown = expr_shown(part->path->text);
        if (e->weight > LIMIT_VALUE_BYTES)
                return expr_error_set(
                                e->error, -EINVAL, "TEMPLATE_TOO_LARGE",
                                "with \"%.*s\" the template's result passes %d bytes (LIMIT_VALUE_BYTES)",
                                SLICE_ARG(shown), LIMIT_VALUE_BYTES);
        return expr_error_set(e->error, -EINVAL, "TEMPLATE_TOO_DEEP",
                              "with \"%.*s\" the template's result is nested more than %d levels deep "
                              "(JSON_DEPTH_MAX)",
                              SLICE_ARG(shown), JSON_DEPTH_MAX);
}

static int eval_text(Evaluation *e, const Node *node, unsigned depth, json_t **ret) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint32_t i = 0; i < node->n; i++) {
                const ExprPart *part = &node->parts[i];
                const json_t *value = NULL;
                if (!part->path) {
                        buf_put_slice(&b, part->literal);
                        continue;
                }
                int r = find_weighed(e, part, 0, &value);
                if (r < 0)
                        return r;
                if (json_is_string(value))
                        buf_put_slice(&b, json_string_slice(value));
                else
                        json_canonical(value, &b); /* its error is the buffer's */
        }
        *ret = b.error ? NULL : json_stringn_nocheck(b.n ? b.data : "", b.n);
        return *ret ? 0 : expr_error_oom(e->error);
}

static int eval_node(Evaluation *e, const Node *node, unsigned depth, json_t **ret);

static int eval_children(Evaluation *e, const Node *node, unsigned depth, json_t **ret) {
        json_t *json = node->kind == NODE_ARRAY ? json_array() : json_object();
        int r = json ? 0 : expr_error_oom(e->error);
        for (uint32_t i = 0; r == 0 && i < node->n; i++) {
                json_t *child;
                r = eval_node(e, &node->children[i], depth + 1, &child);
                if (r == 0 &&
                    (node->kind == NODE_ARRAY ? json_array_append_new(json, child)
                                              : json_object_set_new_nocheck(json, node->keys[i], child)))
                        r = expr_error_oom(e->error);
        }
        if (r < 0) {
                json_decref(json);
                return r;
        }
        *ret = json;
        return 0;
}

static int eval_node(Evaluation *e, const Node *node, unsigned depth, json_t **ret) {
        const json_t *value = NULL;
        int r;
        switch (node->kind) {
        case NODE_CONSTANT:
                *ret = json_incref((json_t *)node->constant);
                return 0;
        case NODE_PATH:
                /* A template that is one path makes nothing larger or deeper: no need to look. */
                r = depth == 0 ? find(e, node->parts, &value) : find_weighed(e, node->parts, depth, &value);
                if (r == 0)
                        *ret = json_incref((json_t *)value);
                return r;
        case NODE_TEXT:
                return eval_text(e, node, depth, ret);
        case NODE_ARRAY:
        case NODE_OBJECT:
                return eval_children(e, node, depth, ret);
        }
        __builtin_unreachable();
}

int expr_template_eval(const ExprTemplate *t, const ExprEnv *env, json_t **ret, ExprError *error) {
        Evaluation e = {.env = env, .error = error};
        return eval_node(&e, &t->root, 0, ret);
}
