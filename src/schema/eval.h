#pragma once
/* Validation at work: what the checks share. */

#include "schema/internal.h"

#define NO_MARKS SIZE_MAX

/** The schema resources that evaluation has passed through, innermost first: where $dynamicRef looks. */
typedef struct Scope {
        const Resource *resource;
        const struct Scope *outer;
} Scope;

/** One schema being applied to one value. */
struct Frame {
        const Node *node;
        const Scope *scope;
        size_t marks; /* of the members or items that have been evaluated: where they begin in Eval.marks */
        unsigned depth;    /* schemas applied inside each other */
        unsigned in_place; /* of them, those applied to this same value */
        unsigned level;    /* of the value within the instance */
        bool loud;         /* faults are reported; else the first one ends it */
};

struct Eval {
        const Schema *schema;
        Report *report; /* may be NULL */
        size_t steps_left;
        size_t n_faults;
        unsigned nearness; /* how far the furthest failure got: chooses which branch of anyOf to explain */
        uint64_t *marks;   /* a stack of bit sets */
        size_t n_marks, cap_marks;
        Buf key;
        PatternScratch scratch;
};

/** How a subschema is applied. */
typedef enum EvalMode {
        EVAL_QUIET = 1, /* only the verdict */
        EVAL_MARK = 2,  /* in place: what it evaluates counts for the schema around it */
} EvalMode;

/** Apply @node to the same value. 0, 1 or negative. */
int eval_in_place(Eval *e, const Frame *f, const Node *node, const JsonAt *at, unsigned mode);
/** Apply @node to a member or an item. */
int eval_child(Eval *e, const Frame *f, const Node *node, const JsonAt *child, unsigned mode);
/** Take @n steps; 0 or -EOVERFLOW. */
int eval_charge(Eval *e, const JsonAt *at, size_t n);
/** Report that the value at @at lies too deep in the instance; -EOVERFLOW. */
int eval_too_deep(Eval *e, const JsonAt *at);
/** Does @text match? 1, 0 or negative. */
int eval_match(Eval *e, const JsonAt *at, const Pattern *p, Slice text);
/** The key of @value in e->key, of at most @n_max bytes. 0, 1: it is longer; negative. */
int eval_key(Eval *e, const JsonAt *at, const json_t *value, size_t n_max);

/** Are faults of this frame being told? */
static inline bool eval_is_loud(const Eval *e, const Frame *f) {
        return f->loud && e->n_faults < SCHEMA_FAULTS_MAX;
}
/** Note a fault of keyword @keyword (NULL: of the schema itself) at @at. Returns 1. */
int eval_fault(Eval *e, const Frame *f, const char *keyword, const JsonAt *at, const char *format, ...)
                __attribute__((format(printf, 5, 6)));

static inline void eval_mark(Eval *e, const Frame *f, size_t i) {
        if (f->marks != NO_MARKS)
                e->marks[f->marks + i / 64] |= UINT64_C(1) << (i % 64);
}
static inline bool eval_is_marked(const Eval *e, const Frame *f, size_t i) {
        return e->marks[f->marks + i / 64] >> (i % 64) & 1;
}
