/* Checks that apply schemas to the same value: references, and schemas joined by logic. */

#include "schema/eval.h"

static int evaluate_ref(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        return eval_in_place(e, f, c->reference.target, at, EVAL_MARK);
}

/**
 * A dynamic reference that first leads to a dynamic anchor goes to the anchor of that name in the outermost
 * resource that evaluation has passed through and that has one; any other is a plain reference. [core
 * 8.2.3.2]
 */
static int evaluate_dynamic_ref(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        const Node *target = c->reference.target;
        const Schema *s = e->schema;
        size_t n_scopes = 0;
        for (const Scope *scope = f->scope; scope && c->reference.dynamic.data;
             scope = scope->outer, n_scopes++) {
                const Anchor *anchor =
                                anchors_find(s->anchors, s->n_anchors, scope->resource, c->reference.dynamic);
                if (anchor && anchor->dynamic)
                        target = anchor->node;
        }
        int r = eval_charge(e, at, n_scopes);
        return r < 0 ? r : eval_in_place(e, f, target, at, EVAL_MARK);
}

static int evaluate_all_of(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int verdict = 0;
        for (size_t i = 0; i < c->nodes.n; i++) {
                int r = eval_in_place(e, f, c->nodes.list[i], at, EVAL_MARK);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
        }
        return verdict;
}

/** What trying all branches has shown. */
typedef struct Branches {
        size_t n_valid, first, second; /* indices of valid ones */
        const Node *nearest;           /* the one that failed furthest in; NULL: several did */
        unsigned nearness;
} Branches;

/** Try branches, up to and with the @n_enough-th valid one. 0 or negative. */
static int try_branches(Eval *e, const Frame *f, const Nodes *nodes, const JsonAt *at, size_t n_enough,
                        Branches *ret) {
        unsigned outside = e->nearness;
        *ret = (Branches){0};
        for (size_t i = 0; i < nodes->n && ret->n_valid < n_enough; i++) {
                e->nearness = 0;
                int r = eval_in_place(e, f, nodes->list[i], at, EVAL_QUIET | EVAL_MARK);
                if (r < 0)
                        return r;
                if (r == 0) {
                        *(ret->n_valid == 0 ? &ret->first : &ret->second) = i;
                        ret->n_valid++;
                } else if (e->nearness > ret->nearness || i == 0) {
                        ret->nearness = e->nearness;
                        ret->nearest = nodes->list[i];
                } else if (e->nearness == ret->nearness) {
                        ret->nearest = NULL;
                }
        }
        e->nearness = outside > ret->nearness ? outside : ret->nearness;
        return 0;
}

/** No branch fits. If one came nearer than the others, its faults say more than this one does. */
static int no_branch(Eval *e, const Frame *f, const Check *c, const JsonAt *at, const Branches *b) {
        bool explain = b->nearest && eval_is_loud(e, f);
        const char *which =
                        c->nodes.n == 1 ? "must match the schema here" : "must match one of the schemas here";
        eval_fault(e, f, c->kind->keyword, at,
                   explain ? "%s; the nearest one fails as told next" : "%s, matches none", which);
        int r = explain ? eval_in_place(e, f, b->nearest, at, 0) : 1;
        return r < 0 ? r : 1;
}

static int evaluate_any_of(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        Branches b;
        int r = try_branches(e, f, &c->nodes, at, f->marks == NO_MARKS ? 1 : SIZE_MAX, &b);
        if (r < 0 || b.n_valid > 0)
                return r;
        return no_branch(e, f, c, at, &b);
}

static int evaluate_one_of(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        Branches b;
        int r = try_branches(e, f, &c->nodes, at, 2, &b);
        if (r < 0 || b.n_valid == 1)
                return r;
        if (b.n_valid == 0)
                return no_branch(e, f, c, at, &b);
        return eval_fault(e, f, "oneOf", at,
                          "must match exactly one of the schemas here, matches those at %zu and %zu", b.first,
                          b.second);
}

/** 1: it fits, 0: it doesn't; what goes on inside says nothing about how near the whole is to fitting. */
static int fits(Eval *e, const Frame *f, const Node *node, const JsonAt *at, unsigned mode) {
        unsigned outside = e->nearness;
        int r = eval_in_place(e, f, node, at, mode | EVAL_QUIET);
        e->nearness = outside;
        return r < 0 ? r : !r;
}

static int evaluate_not(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int r = fits(e, f, c->node, at, 0);
        return r > 0 ? eval_fault(e, f, "not", at, "must not match the schema here") : r;
}

static int evaluate_if(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        int r = fits(e, f, c->choice.if_, at, EVAL_MARK);
        if (r < 0)
                return r;
        const Node *branch = r ? c->choice.then : c->choice.else_;
        return branch ? eval_in_place(e, f, branch, at, EVAL_MARK) : 0;
}

const CheckKind check_ref = {"$ref", TYPES_ANY, RANK_IN_PLACE, FORM_REFERENCE, evaluate_ref};
const CheckKind check_dynamic_ref = {"$dynamicRef", TYPES_ANY, RANK_IN_PLACE, FORM_REFERENCE,
                                     evaluate_dynamic_ref};
const CheckKind check_all_of = {"allOf", TYPES_ANY, RANK_IN_PLACE, FORM_NODES, evaluate_all_of};
const CheckKind check_any_of = {"anyOf", TYPES_ANY, RANK_IN_PLACE, FORM_NODES, evaluate_any_of};
const CheckKind check_one_of = {"oneOf", TYPES_ANY, RANK_IN_PLACE, FORM_NODES, evaluate_one_of};
const CheckKind check_not = {"not", TYPES_ANY, RANK_IN_PLACE, FORM_NODE, evaluate_not};
const CheckKind check_if = {"if", TYPES_ANY, RANK_IN_PLACE, FORM_CHOICE, evaluate_if};
