/* Checks of objects. */

#include <errno.h>

#include "schema/eval.h"

#define NAME_SHOWN_BYTES  64  /* of a member's name in messages */
#define NEAREST_AMONG_MAX 200 /* names that a wrong one is compared with */
#define NAMES_A_STEP      8   /* names looked up */

Node *named_find(const Named *named, size_t n, Slice name) {
        size_t low = 0;
        while (low < n) {
                size_t middle = low + (n - low) / 2;
                int order = slice_cmp(named[middle].name, name);
                if (order == 0)
                        return named[middle].node;
                if (order < 0)
                        low = middle + 1;
                else
                        n = middle;
        }
        return NULL;
}

int named_cmp(const void *a, const void *b) {
        return slice_cmp(((const Named *)a)->name, ((const Named *)b)->name);
}

static JsonAt member_at(const JsonAt *at, const char *key, const json_t *value) {
        return (JsonAt){.value = value, .parent = at, .key = key, .report = at->report};
}

static Slice name_shown(const char *name) { return slice_cut_utf8(slice_from_str(name), NAME_SHOWN_BYTES); }

static int evaluate_min_properties(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_object_size(at->value);
        if (n >= c->count)
                return 0;
        return eval_fault(e, f, "minProperties", at, "must have at least %llu properties, has %zu",
                          (unsigned long long)c->count, n);
}

static int evaluate_max_properties(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_object_size(at->value);
        if (n <= c->count)
                return 0;
        return eval_fault(e, f, "maxProperties", at, "must have at most %llu properties, has %zu",
                          (unsigned long long)c->count, n);
}

/** @because: the property that makes the others necessary, or NULL. */
static int check_names(Eval *e, const Frame *f, const Check *c, const JsonAt *at, const Names *names,
                       const char *because) {
        int verdict = 0;
        if (eval_charge(e, at, names->n / NAMES_A_STEP) < 0)
                return -EOVERFLOW;
        for (size_t i = 0; i < names->n; i++) {
                if (json_object_get(at->value, names->list[i]))
                        continue;
                Slice name = name_shown(names->list[i]);
                if (because)
                        eval_fault(e, f, c->kind->keyword, at,
                                   "the property \"%.*s\" is missing, which \"%.*s\" asks for",
                                   SLICE_ARG(name), SLICE_ARG(name_shown(because)));
                else
                        eval_fault(e, f, c->kind->keyword, at, "the property \"%.*s\" is missing",
                                   SLICE_ARG(name));
                verdict = 1;
                if (!eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

static int evaluate_required(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return check_names(e, f, c, at, &c->names, NULL);
}

static int evaluate_dependents(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int verdict = 0;
        if (eval_charge(e, at, c->dependents.n / NAMES_A_STEP) < 0)
                return -EOVERFLOW;
        for (size_t i = 0; i < c->dependents.n; i++) {
                const Dependent *d = &c->dependents.list[i];
                if (!json_object_get(at->value, d->name))
                        continue;
                int r = d->node ? eval_in_place(e, f, d->node, at, EVAL_MARK)
                                : check_names(e, f, c, at, &d->names, d->name);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

/* --- properties, patternProperties, additionalProperties --- */

/** additionalProperties: false is the most common fault of all: it is worth a sentence of its own. */
static __attribute__((noinline)) int unknown_member(Eval *e, const Frame *f, const Members *m,
                                                    const JsonAt *member) {
        const char *candidates[NEAREST_AMONG_MAX], *nearest = NULL;
        Slice name = slice_from_str(member->key), shown = slice_cut_utf8(name, NAME_SHOWN_BYTES);
        const char *mark = shown.n < name.n ? "…" : "";
        if (eval_is_loud(e, f) && m->n_named <= NEAREST_AMONG_MAX) {
                for (size_t i = 0; i < m->n_named; i++)
                        candidates[i] = m->named[i].name.data;
                nearest = slice_nearest(name, candidates, m->n_named);
        }
        if (nearest)
                return eval_fault(e, f, "additionalProperties", member,
                                  "unknown property \"%.*s%s\"; did you mean \"%s\"?", SLICE_ARG(shown), mark,
                                  nearest);
        return eval_fault(e, f, "additionalProperties", member, "unknown property \"%.*s%s\"",
                          SLICE_ARG(shown), mark);
}

/** All that is said about one member. *ret_met: something was. */
static int check_member(Eval *e, const Frame *f, const Members *m, const JsonAt *member, bool *ret_met) {
        Slice name = slice_from_str(member->key);
        const Node *node = named_find(m->named, m->n_named, name);
        int verdict = 0;
        *ret_met = node != NULL;
        if (node && node->kind != NODE_ANYTHING)
                verdict = eval_child(e, f, node, member, 0);
        for (size_t i = 0; i < m->n_patterns && verdict >= 0; i++) {
                int r = eval_match(e, member, m->patterns[i].pattern, name);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                *ret_met = true;
                if (verdict && !eval_is_loud(e, f))
                        return verdict;
                r = eval_child(e, f, m->patterns[i].node, member, 0);
                verdict = r < 0 ? r : verdict | r;
        }
        if (*ret_met || verdict < 0 || !m->rest)
                return verdict;
        *ret_met = true;
        if (m->rest->kind == NODE_NOTHING)
                return unknown_member(e, f, m, member);
        return m->rest->kind == NODE_ANYTHING ? 0 : eval_child(e, f, m->rest, member, 0);
}

/** Member by member. */
static int walk_instance(Eval *e, const Frame *f, const Members *m, const JsonAt *at) {
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        size_t i = 0;
        int verdict = 0;
        if (eval_charge(e, at, json_object_size(at->value) / 2) < 0)
                return -EOVERFLOW;
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), i++) {
                JsonAt member = member_at(at, json_object_iter_key(it), json_object_iter_value(it));
                bool met;
                int r = check_member(e, f, m, &member, &met);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
                if (met)
                        eval_mark(e, f, i);
        }
        return verdict;
}

/** Property by property: for a few known ones of many, when nobody asks about the others. */
static int walk_schema(Eval *e, const Frame *f, const Members *m, const JsonAt *at) {
        int verdict = 0;
        if (eval_charge(e, at, m->n_named / NAMES_A_STEP) < 0)
                return -EOVERFLOW;
        for (size_t i = 0; i < m->n_named; i++) {
                const json_t *value = json_object_get(at->value, m->named[i].name.data);
                if (!value || m->named[i].node->kind == NODE_ANYTHING)
                        continue;
                JsonAt member = member_at(at, m->named[i].name.data, value);
                int r = eval_child(e, f, m->named[i].node, &member, 0);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

static int evaluate_members(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        const Members *m = c->members;
        bool all = f->marks != NO_MARKS || m->n_patterns > 0 || (m->rest && m->rest->kind != NODE_ANYTHING);
        if (all || json_object_size(at->value) < m->n_named)
                return walk_instance(e, f, m, at);
        return walk_schema(e, f, m, at);
}

static int evaluate_property_names(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        int verdict = 0;
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
                const char *key = json_object_iter_key(it);
                json_t *name = json_string_nocheck(key);
                if (!name)
                        return -ENOMEM;
                JsonAt member = member_at(at, key, name);
                int r = eval_child(e, f, c->node, &member, 0);
                json_decref(name);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

static int evaluate_unevaluated_properties(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        size_t i = 0;
        int verdict = 0;
        if (eval_charge(e, at, json_object_size(at->value) / NAMES_A_STEP) < 0)
                return -EOVERFLOW;
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), i++) {
                if (eval_is_marked(e, f, i))
                        continue;
                JsonAt member = member_at(at, json_object_iter_key(it), json_object_iter_value(it));
                int r = c->node->kind == NODE_NOTHING ? eval_fault(e, f, "unevaluatedProperties", &member,
                                                                   "unknown property \"%.*s\"",
                                                                   SLICE_ARG(name_shown(member.key)))
                                                      : eval_child(e, f, c->node, &member, 0);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
                eval_mark(e, f, i);
        }
        return verdict;
}

const CheckKind check_min_properties = {"minProperties", TYPES_OBJECT, RANK_SIZE, FORM_PLAIN,
                                        evaluate_min_properties};
const CheckKind check_max_properties = {"maxProperties", TYPES_OBJECT, RANK_SIZE, FORM_PLAIN,
                                        evaluate_max_properties};
const CheckKind check_required = {"required", TYPES_OBJECT, RANK_SIZE, FORM_PLAIN, evaluate_required};
const CheckKind check_dependent_required = {"dependentRequired", TYPES_OBJECT, RANK_SIZE, FORM_PLAIN,
                                            evaluate_dependents};
const CheckKind check_members = {"properties", TYPES_OBJECT, RANK_INSIDE, FORM_INSIDE, evaluate_members};
const CheckKind check_property_names = {"propertyNames", TYPES_OBJECT, RANK_INSIDE, FORM_INSIDE,
                                        evaluate_property_names};
const CheckKind check_dependent_schemas = {"dependentSchemas", TYPES_OBJECT, RANK_IN_PLACE, FORM_DEPENDENTS,
                                           evaluate_dependents};
const CheckKind check_dependencies = {"dependencies", TYPES_OBJECT, RANK_IN_PLACE, FORM_DEPENDENTS,
                                      evaluate_dependents};
const CheckKind check_unevaluated_properties = {"unevaluatedProperties", TYPES_OBJECT, RANK_UNEVALUATED,
                                                FORM_INSIDE, evaluate_unevaluated_properties};
