#pragma once
/*
 * The small, total expression language of runbooks: paths, conditions and templates. Compiled at
 * registration, evaluated without I/O, recursion bounded by compile-time depth.
 *
 * Path:      first segment is a root (`input context steps execution loop secrets`), else resolved by the
 *            environment (dependency id, field of a dependency's output, field of the execution input).
 *            `a.b[0]["c d"]`; a negative index is an error.
 * Template:  any JSON; strings may hold `${path}` or `${path ?? default}` (default: a JSON literal or a bare word to
 *            the closing brace); `$${` is a literal `${`. A string that is one template whole keeps the value's type;
 *            otherwise strings go in as they are, numbers/booleans as JSON, null as "null", objects and arrays as
 *            canonical JSON.
 * Condition: {field, operator, value?}, {all:[…]}, {any:[…]}, {not:…}.
 */

#include <jansson.h>
#include "base/arena.h"
#include "base/report.h"
#include "json/json_read.h"
#include "model/limits.h"

typedef struct ExprPath ExprPath;
typedef struct ExprCondition ExprCondition;
typedef struct ExprTemplate ExprTemplate;

typedef enum ExprRoot {
        EXPR_ROOT_CONTEXT,
        EXPR_ROOT_EXECUTION,
        EXPR_ROOT_INPUT,
        EXPR_ROOT_LOOP,
        EXPR_ROOT_NAME,   /* not a reserved word: the environment decides what `name` is */
        EXPR_ROOT_SECRETS,
        EXPR_ROOT_STEPS
} ExprRoot;

typedef struct ExprSegment {
        bool is_index;
        uint32_t index;   /* is_index */
        Slice key;        /* !is_index; NUL-terminated in the arena */
} ExprSegment;

struct ExprPath {
        ExprRoot root;
        Slice text;                  /* as written, for messages */
        const ExprSegment *segments; /* of EXPR_ROOT_NAME the first is the name itself; the other roots are left out */
        uint32_t n_segments;
};

/** Collects what a definition refers to, so that the model can check that it can resolve. */
typedef struct ExprSink {
        /** Called once for every path met at compile time; @at is where it stands. */
        void (*path)(void *userdata, const ExprPath *path, const JsonAt *at);
        void *userdata;
        /* `secrets.…` is always reported here: the model takes secrets out of the few places that may hold them */
} ExprSink;

/**
 * Compile at registration, into @arena; faults go to @at's report. NULL on fault or out of memory
 * (then the report says so). Results are immutable and shared between threads.
 */
const ExprPath *expr_path_compile(Slice text, const JsonAt *at, Arena *arena, const ExprSink *sink);
const ExprTemplate *expr_template_compile(const JsonAt *at, Arena *arena, const ExprSink *sink);
const ExprCondition *expr_condition_compile(const JsonAt *at, Arena *arena, const ExprSink *sink);
/** Trees that templates keep of the definition are borrowed: the definition must outlive them. Compiled
 * patterns and defaults are foreign memory: release them when the arena's owner goes. NULL-safe. */
void expr_condition_release(const ExprCondition *c);
void expr_template_release(const ExprTemplate *t);

/** Does @text hold no `${`, or only escaped ones? */
bool expr_text_is_constant(Slice text);

/** `prefix${secrets.name}suffix`; slices live in the arena. */
typedef struct ExprSecret {
        Slice prefix, name, suffix;
} ExprSecret;
/** 1: @text is of that form, *ret is filled; 0: no secret in it; -EINVAL (reported): one among other text; -ENOMEM. */
int expr_secret_split(Slice text, const JsonAt *at, Arena *arena, ExprSecret *ret);

/** Where names get their meaning while evaluating. */
typedef struct ExprEnv {
        /**
         * The value of the path's head. Sets *ret_used to the number of segments consumed (0 for the
         * whole of `input`, 1 for `steps.<id>` or a name…). Borrowed, valid until the next engine input; NULL: missing.
         */
        const json_t *(*head)(void *userdata, const ExprPath *path, uint32_t *ret_used);
        void *userdata;
} ExprEnv;

/** Why an evaluation failed: a code for retry filters and history, and a sentence. */
typedef struct ExprError {
        char code[32]; /* TEMPLATE_MISSING|TOO_LARGE|TOO_DEEP, CONDITION_TYPE, PATTERN_LIMIT, OUT_OF_MEMORY */
        char message[480];
} ExprError;

/** Borrowed value at @path, NULL if missing. */
const json_t *expr_path_eval(const ExprPath *path, const ExprEnv *env);
/**
 * 0 and an owned tree; -EINVAL or -ENOMEM with @error. Constant subtrees and values found are shared, not copied:
 * treat the result as immutable. The default of `${path ?? default}` serves missing and null values.
 */
int expr_template_eval(const ExprTemplate *t, const ExprEnv *env, json_t **ret, ExprError *error);
/** Does the template hold no path at all? Then eval gives the same every time. */
bool expr_template_is_constant(const ExprTemplate *t);
/** The constant tree of such a template (borrowed), else NULL. */
const json_t *expr_template_constant(const ExprTemplate *t);
/**
 * 0 with *ret; -EINVAL with @error; -ENOMEM.
 * Missing paths compare as absent: only ne, notIn, notExists are true for them; null exists. eq/ne compare deeply,
 * numbers by value (1 == 1.0). gt/gte/lt/lte order two numbers or two strings; other pairs are false. in/notIn: `value`
 * is an array (or a string which contains the field). contains: array member, substring, or object key. matches: PCRE2,
 * unanchored, all patterns of one evaluation within LIMIT_PATTERN_WORK. `value` may be a template, patterns are fixed.
 */
int expr_condition_eval(const ExprCondition *c, const ExprEnv *env, bool *ret, ExprError *error);
