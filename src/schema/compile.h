#pragma once
/* The compiler's working state, and what its files do for each other. */

#include "base/map.h"
#include "schema/internal.h"

#define CHECKS_MAX 40 /* checks of one schema: at most one for each keyword that asserts or applies */

/** A reference to be resolved when all subschemas are known. */
typedef struct Pending {
        Node *node;
        const CheckKind *kind; /* $ref or $dynamicRef */
        Slice text;            /* borrowed from the document */
} Pending;

typedef struct Compiler {
        Schema *schema;
        const JsonAt *at; /* where the schema stands */
        Report *report;
        bool failed;    /* a fault was reported */
        bool gave_up;   /* out of memory or past a limit: what is missing now says nothing about the schema */
        bool anonymous; /* within something that a reference made a schema: identifiers there are none */
        size_t n_nodes;
        Node *first, *last; /* all that have checks, in order */
        size_t n_patterns;  /* with those that are none: compiling them takes time too */
        Map nodes;          /* by NodeId. Its keys are addresses, which nobody chooses: no seed is needed */
        Pending *pending;
        size_t n_pending, cap_pending;
        Anchor *anchors;
        size_t n_anchors, cap_anchors;
        Resource **resources;
        size_t n_resources, cap_resources;
} Compiler;

/** A schema under compilation. Keywords that only make sense together are gathered here. */
typedef struct Draft {
        Node *node;
        size_t depth; /* of the schema within the document */
        Members members;
        Items items;
        Contains contains;
        Choice choice;
        bool has_members;
        Slice anchor, dynamic_anchor;
        unsigned n_checks;
        Check checks[CHECKS_MAX];
} Draft;

/** Report at @at; returns -EINVAL. */
int compiler_fault(Compiler *c, const JsonAt *at, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
/** Out of memory. Returns -ENOMEM. */
int compiler_oom(Compiler *c);
/** Zeroed memory that lives as long as the schema; NULL (reported) past SCHEMA_BYTES_MAX or without memory. */
void *compiler_alloc(Compiler *c, size_t n, size_t size);
#define COMPILER_NEW(c, T, n) ((T *)compiler_alloc((c), (n), sizeof(T)))
/** A copy that ends in NUL; data NULL on failure. */
Slice compiler_dup(Compiler *c, Slice s);
/** Room for one more in a growing array of the compiler. 0 or -ENOMEM. */
int compiler_grow(Compiler *c, void *array, size_t n, size_t *cap, size_t size);
#define COMPILER_GROW(c, array, n, cap) compiler_grow((c), &(array), (n), &(cap), sizeof(*(array)))

/** Raw children: unlike the getters' these tell null from absent. */
JsonAt at_member(const JsonAt *object, const char *key);
JsonAt at_item(const JsonAt *array, size_t index);

/**
 * The subschema @at below @d's schema, at @place; NULL when there is a fault in it or above, which is
 * reported then.
 */
Node *compile_subschema(Compiler *c, const Draft *d, const Place *place, const JsonAt *at);
/** A schema of resource @resource, @depth levels deep in the document. */
Node *compile_node(Compiler *c, Resource *resource, const Place *place, const JsonAt *at, size_t depth);
/** Take over one member of a schema object; unknown ones are passed over. */
void compile_keyword(Compiler *c, Draft *d, const JsonAt *at);
/** Make checks of what was gathered. */
void compile_gathered(Compiler *c, Draft *d);
/** Append a check of @kind. NULL never: CHECKS_MAX is enough. */
Check *draft_check(Draft *d, const CheckKind *kind);

/** The resource that begins here if @at has an $id, else @parent. */
Resource *resource_at(Compiler *c, Resource *parent, const JsonAt *at);
/** Note the anchors of a schema that has become a node. */
void resource_add_anchors(Compiler *c, Draft *d);
int compiler_pending(Compiler *c, Draft *d, const CheckKind *kind, Slice text);
/** Resolve what is pending; afterwards the schema has its anchors. */
void compile_references(Compiler *c);
/** Report schemas that apply themselves to the same value again. */
void compile_check_endless(Compiler *c);
