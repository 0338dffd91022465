/*
 * Keywords that apply schemas
 *
 * Those whose meaning depends on their siblings (properties and additionalProperties, if and then, …) are
 * gathered in the draft, and become checks when the whole schema has been seen.
 */
#include <stdlib.h>

#include "schema/keyword.h"

static void take_schemas(Compiler *c, Draft *d, const JsonAt *at, Nodes *ret) {
        if (!keyword_expect(c, at, TYPES_ARRAY, "an array of schemas"))
                return;
        size_t n = json_array_size(at->value);
        if (n == 0)
                compiler_fault(c, at, "must hold at least one schema");
        ret->list = COMPILER_NEW(c, Node *, n + 1);
        for (size_t i = 0; ret->list && i < n; i++) {
                JsonAt item = at_item(at, i);
                Place place = {&d->node->place, at->key, NULL, i, PLACE_INDEX};
                Node *node = compile_subschema(c, d, &place, &item);
                if (node)
                        ret->list[ret->n++] = node;
        }
}

/** dependentRequired (arrays of names), dependentSchemas (schemas), dependencies (either). */
void keyword_dependents(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!keyword_expect(c, at, TYPES_OBJECT, "an object"))
                return;
        Dependents all = {.list = COMPILER_NEW(c, Dependent, json_object_size(at->value) + 1)};
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(object); all.list && it; it = json_object_iter_next(object, it)) {
                JsonAt member = at_member(at, json_object_iter_key(it));
                Dependent one = {.name = compiler_dup(c, slice_from_str(member.key)).data};
                Place place = {&d->node->place, at->key, one.name, 0, PLACE_KEY};
                bool names = k->kind == &check_dependent_required ||
                             (k->kind == &check_dependencies && json_is_array(member.value));
                if (!one.name)
                        return;
                if (names ? keyword_names(c, &member, &one.names)
                          : (one.node = compile_subschema(c, d, &place, &member)) != NULL)
                        all.list[all.n++] = one;
        }
        if (all.n > 0)
                draft_check(d, k->kind)->dependents = all;
}

void keyword_apply(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Node *node = keyword_schema(c, d, at);
        if (node)
                draft_check(d, k->kind)->node = node;
}

void keyword_apply_list(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Nodes nodes = {0};
        take_schemas(c, d, at, &nodes);
        if (nodes.n > 0)
                draft_check(d, k->kind)->nodes = nodes;
}

void keyword_reference(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (keyword_expect(c, at, TYPES_STRING, "a string"))
                compiler_pending(c, d, k->kind, json_string_slice(at->value));
}

static void put_named(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into) {
        (void)c, (void)member;
        Members *m = into;
        m->named[m->n_named++] = (Named){name, node};
}

static void put_pattern(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into) {
        Members *m = into;
        Pattern *p = keyword_pattern(c, member, name);
        if (p)
                m->patterns[m->n_patterns++] = (PatternNode){p, node};
}

void keyword_gather_properties(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (!keyword_expect(c, at, TYPES_OBJECT, "an object of schemas"))
                return;
        d->members.named = COMPILER_NEW(c, Named, json_object_size(at->value) + 1);
        if (!d->members.named)
                return;
        keyword_schema_map(c, d, at, put_named, &d->members);
        if (d->members.n_named > 1)
                qsort(d->members.named, d->members.n_named, sizeof(*d->members.named), named_cmp);
        d->has_members |= d->members.n_named > 0;
}

void keyword_gather_patterns(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (!keyword_expect(c, at, TYPES_OBJECT, "an object of schemas"))
                return;
        d->members.patterns = COMPILER_NEW(c, PatternNode, json_object_size(at->value) + 1);
        if (!d->members.patterns)
                return;
        keyword_schema_map(c, d, at, put_pattern, &d->members);
        d->has_members |= d->members.n_patterns > 0;
}

void keyword_gather_schema(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        static const struct {
                const char *name;
                size_t offset;
        } places[] = {
                        {"additionalProperties", offsetof(Draft, members.rest)},
                        {"contains", offsetof(Draft, contains.node)},
                        {"else", offsetof(Draft, choice.else_)},
                        {"if", offsetof(Draft, choice.if_)},
                        {"items", offsetof(Draft, items.rest)},
                        {"then", offsetof(Draft, choice.then)},
        };
        if (json_is_array(at->value) && !strcmp(k->name, "items")) {
                compiler_fault(c, at,
                               "must be a schema, is an array; prefixItems takes a schema for each item");
                return;
        }
        Node *node = keyword_schema(c, d, at);
        for (size_t i = 0; node && i < N_ELEMENTS(places); i++)
                if (!strcmp(k->name, places[i].name))
                        *(Node **)((char *)d + places[i].offset) = node;
}

void keyword_gather_prefix(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        take_schemas(c, d, at, &d->items.prefix);
}

void keyword_gather_counts(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        keyword_count(c, at, !strcmp(k->name, "minContains") ? &d->contains.min : &d->contains.max);
}

void compile_gathered(Compiler *c, Draft *d) {
        if (d->has_members || d->members.rest) {
                Members *m = COMPILER_NEW(c, Members, 1);
                if (m) {
                        *m = d->members;
                        draft_check(d, &check_members)->members = m;
                }
        }
        if (d->items.prefix.n > 0 || d->items.rest) {
                Items *items = COMPILER_NEW(c, Items, 1);
                if (items) {
                        *items = d->items;
                        draft_check(d, &check_items)->items = items;
                }
        }
        if (d->contains.node) {
                Contains *contains = COMPILER_NEW(c, Contains, 1);
                if (contains) {
                        *contains = d->contains;
                        draft_check(d, &check_contains)->contains = contains;
                }
        }
        if (d->choice.if_) /* also when there is neither then nor else: it may mark what it has evaluated */
                draft_check(d, &check_if)->choice = d->choice;
}
