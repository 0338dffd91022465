#pragma once
/* What a compiled schema looks like inside. Only this folder includes this. */

#include <stdatomic.h>

#include "base/arena.h"
#include "schema/numeric.h"
#include "schema/pattern.h"
#include "schema/schema.h"

typedef struct Check Check;
typedef struct Eval Eval;
typedef struct Frame Frame;
typedef struct Node Node;
typedef struct Resource Resource;

/** Where something stands in the document: one token below @parent, or two (`properties` and a name). */
typedef struct Place {
        const struct Place *parent; /* NULL: the document itself */
        const char *keyword;
        const char *key; /* the second token: a name… */
        size_t index;    /* …or an index */
        enum { PLACE_KEYWORD, PLACE_KEY, PLACE_INDEX } form;
} Place;

/** One schema or subschema: checks, in the order in which they are made. */
struct Node {
        Place place;
        enum { NODE_CHECKS, NODE_ANYTHING, NODE_NOTHING } kind;
        bool unevaluated; /* has unevaluatedItems or unevaluatedProperties */
        uint8_t walk;     /* for the search of endless references… */
        Node *next;       /* …which goes through them in the document's order */
        uint32_t n_checks;
        Check *checks;
        Resource *resource;
        /* What the compiler finds nodes by. The value is the document's: not to be followed later. */
        struct NodeId {
                const json_t *value;
                const Resource *resource;
        } id;
};

/** A schema with its own $id: the root, and embedded ones. */
struct Resource {
        Slice uri; /* without fragment; "" is the root without $id */
        uint32_t number;
        Node *root;
        const json_t *value; /* for the compiler */
};

typedef struct Anchor {
        const Resource *resource;
        Slice name;
        Node *node;
        bool dynamic;
} Anchor;

/* Types of instances, as bits of jansson's types. */
#define TYPE_BIT(t)  (1u << (t))
#define TYPES_NUMBER (TYPE_BIT(JSON_INTEGER) | TYPE_BIT(JSON_REAL))
#define TYPES_ARRAY  TYPE_BIT(JSON_ARRAY)
#define TYPES_OBJECT TYPE_BIT(JSON_OBJECT)
#define TYPES_STRING TYPE_BIT(JSON_STRING)
#define TYPES_ANY    0xffu
#define TYPE_WHOLE   0x100u /* of numbers, only those without a fraction */

/** What a check holds, so that its subschemas can be found. */
typedef enum CheckForm {
        FORM_PLAIN, /* no subschemas */
        FORM_REFERENCE,
        FORM_NODE,
        FORM_NODES,
        FORM_CHOICE,
        FORM_DEPENDENTS,
        FORM_INSIDE, /* subschemas for members and items only */
} CheckForm;

/** Checks of a node are made in this order: the cheap first, those that need the others' marks last. */
typedef enum CheckRank {
        RANK_TYPE,
        RANK_VALUE,
        RANK_SIZE,
        RANK_PATTERN,
        RANK_INSIDE,
        RANK_IN_PLACE,
        RANK_UNEVALUATED,
} CheckRank;

/** One assertion or applicator. evaluate(): 0, 1 (invalid; eval_fault was called), or negative and final. */
typedef struct CheckKind {
        const char *keyword;
        uint16_t types; /* of instances that it says something about */
        uint8_t rank, form;
        int (*evaluate)(Eval *e, const Frame *f, const Check *c, const JsonAt *at);
} CheckKind;

typedef struct Names {
        const char **list;
        size_t n;
} Names;
typedef struct Nodes {
        Node **list;
        size_t n;
} Nodes;
typedef struct Named {
        Slice name; /* ends in NUL */
        Node *node;
} Named;
typedef struct PatternNode {
        Pattern *pattern;
        Node *node;
} PatternNode;
typedef struct Values {
        Slice *keys; /* sorted */
        size_t n, longest;
        const char *shown;
} Values;
typedef struct Types {
        unsigned mask;
        const char *shown;
} Types;
typedef struct TextPattern {
        Pattern *pattern;
        const char *shown;
} TextPattern;

/** properties, patternProperties and additionalProperties of one schema. */
typedef struct Members {
        Named *named; /* sorted by slice_cmp */
        size_t n_named;
        PatternNode *patterns;
        size_t n_patterns;
        Node *rest; /* NULL: anything */
} Members;

/** prefixItems and items. */
typedef struct Items {
        Nodes prefix;
        Node *rest;
} Items;
typedef struct Contains {
        Node *node;
        uint64_t min, max;
} Contains;
typedef struct Choice {
        Node *if_, *then, *else_;
} Choice;

/** dependentRequired (names) and dependentSchemas (node). */
typedef struct Dependent {
        const char *name;
        Names names;
        Node *node;
} Dependent;
typedef struct Dependents {
        Dependent *list;
        size_t n;
} Dependents;
/** dynamic.data is not NULL when the target is a dynamic anchor of that name. */
typedef struct Reference {
        Node *target;
        Slice dynamic;
} Reference;

struct Check {
        const CheckKind *kind;
        union {
                Choice choice;
                Contains *contains;
                Dependents dependents;
                Items *items;
                Members *members;
                Names names;
                Node *node;
                Nodes nodes;
                Number number;
                Reference reference;
                TextPattern pattern;
                Types types;
                uint64_t count;
                Values values;
        };
};

struct Schema {
        atomic_uint refs;
        Arena arena;
        Node *root;
        Anchor *anchors; /* sorted by resource, then name */
        size_t n_anchors;
        Pattern **patterns; /* to be freed */
        size_t n_patterns, cap_patterns, pattern_bytes;
};

/* What schemas say, by the file that does it. */
extern const CheckKind check_type, check_const, check_enum;
extern const CheckKind check_minimum, check_maximum, check_exclusive_minimum, check_exclusive_maximum,
                check_multiple_of;
extern const CheckKind check_min_length, check_max_length, check_pattern;
extern const CheckKind check_min_items, check_max_items, check_unique_items, check_items, check_contains,
                check_unevaluated_items;
extern const CheckKind check_min_properties, check_max_properties, check_required, check_dependent_required,
                check_members, check_property_names, check_dependent_schemas, check_dependencies,
                check_unevaluated_properties;
extern const CheckKind check_ref, check_dynamic_ref, check_all_of, check_any_of, check_one_of, check_not,
                check_if;

/** A cursor's chain for a place: @links has room for PLACE_LINKS_MAX. Returns the last link. */
#define PLACE_LINKS_MAX (2 * JSON_DEPTH_MAX + 4)
const JsonAt *place_link(const Place *place, const JsonAt *root, JsonAt links[PLACE_LINKS_MAX]);

const Anchor *anchors_find(const Anchor *anchors, size_t n, const Resource *resource, Slice name);
int anchor_cmp(const void *a, const void *b);

/** Find a name among sorted ones; NULL if it is not there. */
Node *named_find(const Named *named, size_t n, Slice name);
int named_cmp(const void *a, const void *b);
