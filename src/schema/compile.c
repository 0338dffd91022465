/*
 * The compiler
 *
 * One walk over the document makes a node of every subschema, with its checks sorted by what they cost, and
 * goes on after faults so that all of them are told at once. References are resolved after the walk, when
 * every identifier is known; what they point to may not have looked like a schema until then, and is compiled
 * at that moment. At the end nothing points into the document any more.
 *
 * Recursion follows the document's nesting, which JSON_DEPTH_MAX bounds.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/compile.h"

int compiler_fault(Compiler *c, const JsonAt *at, const char *format, ...) {
        char path[JSON_POINTER_MAX + 8];
        va_list ap;
        va_start(ap, format);
        report_vdetail(c->report, json_at_path(at, path), format, ap);
        va_end(ap);
        c->failed = true;
        return -EINVAL;
}

int compiler_oom(Compiler *c) {
        c->failed = c->gave_up = true;
        c->report->oom = true;
        return -ENOMEM;
}

void *compiler_alloc(Compiler *c, size_t n, size_t size) {
        Arena *arena = &c->schema->arena;
        void *p = arena_alloc_array(arena, n, size);
        if (p)
                return p;
        c->gave_up = true;
        if (n > arena->limit / size || arena->n_bytes + n * size + _Alignof(max_align_t) > arena->limit)
                compiler_fault(c, c->at,
                               "the schema takes more memory than the %d bytes allowed (SCHEMA_BYTES_MAX)",
                               SCHEMA_BYTES_MAX);
        else
                compiler_oom(c);
        return NULL;
}

Slice compiler_dup(Compiler *c, Slice s) {
        char *copy = COMPILER_NEW(c, char, s.n + 1);
        if (!copy)
                return SLICE_NULL;
        memcpy(copy, s.data ? s.data : "", s.n);
        return (Slice){copy, s.n};
}

int compiler_grow(Compiler *c, void *array, size_t n, size_t *cap, size_t size) {
        if (n < *cap)
                return 0;
        void **at = array;
        size_t more = *cap ? *cap * 2 : 16;
        void *grown = reallocarray(*at, more, size);
        if (!grown)
                return compiler_oom(c);
        *at = grown;
        *cap = more;
        return 0;
}

JsonAt at_member(const JsonAt *object, const char *key) {
        return (JsonAt){.value = json_object_get(object->value, key),
                        .parent = object,
                        .key = key,
                        .report = object->report};
}

JsonAt at_item(const JsonAt *array, size_t index) {
        return (JsonAt){.value = json_array_get(array->value, index),
                        .parent = array,
                        .index = index,
                        .report = array->report};
}

Check *draft_check(Draft *d, const CheckKind *kind) {
        assert(d->n_checks < CHECKS_MAX);
        Check *check = &d->checks[d->n_checks++];
        *check = (Check){.kind = kind};
        return check;
}

static int check_cmp(const void *a, const void *b) {
        const CheckKind *x = ((const Check *)a)->kind, *y = ((const Check *)b)->kind;
        return x->rank != y->rank ? (x->rank < y->rank ? -1 : 1) : strcmp(x->keyword, y->keyword);
}

static void draft_finish(Compiler *c, Draft *d) {
        Node *node = d->node;
        qsort(d->checks, d->n_checks, sizeof(*d->checks), check_cmp);
        for (unsigned i = 0; i < d->n_checks; i++)
                node->unevaluated |= d->checks[i].kind->rank == RANK_UNEVALUATED;
        if (d->n_checks == 0) {
                node->kind = NODE_ANYTHING;
                return;
        }
        node->checks = COMPILER_NEW(c, Check, d->n_checks);
        if (!node->checks)
                return;
        memcpy(node->checks, d->checks, d->n_checks * sizeof(*d->checks));
        node->n_checks = d->n_checks;
}

static __attribute__((noinline)) void compile_object(Compiler *c, Node *node, const JsonAt *at,
                                                     size_t depth) {
        Draft d = {.node = node, .depth = depth, .contains = {.min = 1, .max = UINT64_MAX}};
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
                JsonAt member = at_member(at, json_object_iter_key(it));
                compile_keyword(c, &d, &member);
        }
        compile_gathered(c, &d);
        draft_finish(c, &d);
        resource_add_anchors(c, &d);
}

static int remember(Compiler *c, Node *node) {
        *(c->last ? &c->last->next : &c->first) = node;
        c->last = node;
        Slice key = slice_from_bytes(&node->id, sizeof(node->id));
        return map_put(&c->nodes, key, node) < 0 ? compiler_oom(c) : 0;
}

Node *compile_node(Compiler *c, Resource *resource, const Place *place, const JsonAt *at, size_t depth) {
        bool object = json_is_object(at->value);
        if (!object && !json_is_boolean(at->value)) {
                compiler_fault(c, at, "must be a schema (an object, true or false), is %s",
                               json_type_text(at->value));
                return NULL;
        }
        if (depth >= JSON_DEPTH_MAX && object) {
                compiler_fault(c, at, "the schema is nested more than %d levels deep (JSON_DEPTH_MAX)",
                               JSON_DEPTH_MAX);
                return NULL;
        }
        if (++c->n_nodes > SCHEMA_NODES_MAX) {
                c->gave_up = true;
                if (c->n_nodes == SCHEMA_NODES_MAX + 1) /* once is enough */
                        compiler_fault(c, at, "the schema has more than %d subschemas (SCHEMA_NODES_MAX)",
                                       SCHEMA_NODES_MAX);
                return NULL;
        }
        Node *node = COMPILER_NEW(c, Node, 1);
        if (!node)
                return NULL;
        *node = (Node){.place = *place, .resource = resource};
        if (!object) {
                node->kind = json_is_true(at->value) ? NODE_ANYTHING : NODE_NOTHING;
                return node;
        }
        if (!c->anonymous && (node->resource = resource_at(c, resource, at)) == NULL)
                return NULL;
        if (!node->resource->root)
                node->resource->root = node;
        node->id = (struct NodeId){at->value, node->resource};
        if (remember(c, node) < 0)
                return NULL;
        compile_object(c, node, at, depth);
        return node;
}

Node *compile_subschema(Compiler *c, const Draft *d, const Place *place, const JsonAt *at) {
        return compile_node(c, d->node->resource, place, at,
                            d->depth + (place->form == PLACE_KEYWORD ? 1 : 2));
}

static void compiler_deinit(Compiler *c) {
        map_deinit(&c->nodes);
        free(c->pending);
        free(c->anchors);
        free(c->resources);
}

static Schema *schema_new(Compiler *c) {
        Schema *s = calloc(1, sizeof(*s));
        if (!s) {
                compiler_oom(c);
                return NULL;
        }
        atomic_init(&s->refs, 1);
        s->arena.limit = SCHEMA_BYTES_MAX;
        return s;
}

Schema *schema_compile(const JsonAt *at) {
        _cleanup_(compiler_deinit) Compiler c = {.at = at, .report = at->report};
        Schema *s = c.schema = schema_new(&c);
        if (!s)
                return NULL;
        /* What the root's $id is resolved against: nothing. */
        Resource *outside = COMPILER_NEW(&c, Resource, 1);
        if (outside) {
                Place place = {.form = PLACE_KEYWORD};
                s->root = compile_node(&c, outside, &place, at, 0);
        }
        if (s->root && !c.gave_up)
                compile_references(&c);
        if (!c.failed)
                compile_check_endless(&c);
        if (!c.failed && s->root)
                return s;
        schema_unref(s);
        return NULL;
}

Schema *schema_ref(const Schema *s) {
        Schema *shared = (Schema *)s; /* the count is no part of what is immutable */
        if (shared) {
                unsigned before = atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
                assert(before > 0 && before < UINT32_MAX);
        }
        return shared;
}

void schema_unref(Schema *s) {
        if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
                return;
        for (size_t i = 0; i < s->n_patterns; i++)
                pattern_free(s->patterns[i]);
        free(s->patterns);
        arena_deinit(&s->arena);
        free(s);
}

size_t schema_size(const Schema *s) {
        return sizeof(*s) + s->arena.n_bytes + s->pattern_bytes + s->cap_patterns * sizeof(*s->patterns);
}
