/*
 * Schemas without end
 *
 * A schema that applies itself to the very value it is applied to can never be done: {"$ref": "#"}, or two
 * that name each other. Such circles are found here, in the graph of what is applied in place ($ref, allOf,
 * if, …; not properties or items, which go deeper into the value), by a depth-first search that keeps its own
 * stack: references may chain every node of the document. Where $dynamicRef leads is known only during
 * validation, where SCHEMA_IN_PLACE_MAX ends what this can't see.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/compile.h"

enum { WALK_NEW, WALK_OPEN, WALK_DONE };

typedef struct Step {
        Node *node;
        uint32_t check;
        size_t sub; /* next subschema of that check */
} Step;

/** The @i-th subschema that @check applies in place; false past the last. *ret may be NULL. */
static bool in_place(const Check *check, size_t i, Node **ret) {
        switch ((CheckForm)check->kind->form) {
        case FORM_REFERENCE:
                *ret = check->kind == &check_ref ? check->reference.target : NULL;
                return i == 0;
        case FORM_NODE:
                *ret = check->node;
                return i == 0;
        case FORM_NODES:
                if (i < check->nodes.n)
                        *ret = check->nodes.list[i];
                return i < check->nodes.n;
        case FORM_DEPENDENTS:
                if (i < check->dependents.n)
                        *ret = check->dependents.list[i].node;
                return i < check->dependents.n;
        case FORM_CHOICE:
                *ret = i == 0 ? check->choice.if_ : i == 1 ? check->choice.then : check->choice.else_;
                return i < 3;
        case FORM_PLAIN:
        case FORM_INSIDE:
                break;
        }
        return false;
}

static void report_circle(Compiler *c, const Node *node, const CheckKind *kind) {
        JsonAt links[PLACE_LINKS_MAX], at = {.key = kind->keyword};
        at.parent = place_link(&node->place, c->at, links);
        compiler_fault(c, &at, "leads back to a schema that is being applied to the same value, without end");
}

/** Open steps are on the stack, so it never holds more than all nodes. */
static void search_from(Compiler *c, Step *stack, Node *start) {
        size_t n = 0;
        stack[n++] = (Step){.node = start};
        start->walk = WALK_OPEN;
        while (n > 0) {
                Step *top = &stack[n - 1];
                Node *next = NULL;
                if (top->check == top->node->n_checks) {
                        top->node->walk = WALK_DONE;
                        n--;
                        continue;
                }
                const Check *check = &top->node->checks[top->check];
                if (!in_place(check, top->sub++, &next)) {
                        top->check++;
                        top->sub = 0;
                } else if (next && next->walk == WALK_OPEN) {
                        report_circle(c, top->node, check->kind);
                } else if (next && next->walk == WALK_NEW) {
                        next->walk = WALK_OPEN;
                        stack[n++] = (Step){.node = next};
                }
        }
}

void compile_check_endless(Compiler *c) {
        if (!c->first)
                return;
        _cleanup_free_ Step *stack = calloc(c->n_nodes, sizeof(*stack));
        if (!stack) {
                compiler_oom(c);
                return;
        }
        for (Node *node = c->first; node; node = node->next)
                if (node->walk == WALK_NEW)
                        search_from(c, stack, node);
}
