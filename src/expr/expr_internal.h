#pragma once
/* What the files of the expression language share, and nobody else. */

#include "expr/expr.h"

#define EXPR_SHOWN_MAX 120 /* bytes of a path or text repeated in a message */

/** What an expression owns outside of its arena; the nodes of the list live in the arena. */
typedef struct ExprForeign {
        struct ExprForeign *next;
        void (*release)(void *p);
        void *p;
} ExprForeign;

/** Takes @p: on failure it is released at once. False when out of memory. */
bool expr_foreign_add(ExprForeign **list, Arena *arena, void (*release)(void *p), void *p);
void expr_foreign_release(ExprForeign *list);

static inline Slice expr_shown(Slice text) { return slice_cut_utf8(text, EXPR_SHOWN_MAX); }

/** Parse the path that @text begins with; *ret_n: bytes consumed. Reports at @at and gives NULL if there is
 * none. */
const ExprPath *expr_path_parse(Slice text, const JsonAt *at, Arena *arena, size_t *ret_n);

/** Fill @error with why @path has no value; -EINVAL. */
int expr_path_missing(const ExprPath *path, const ExprEnv *env, const char *code, ExprError *error);

/** Set code and sentence; returns @r. */
int expr_error_set(ExprError *error, int r, const char *code, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
int expr_error_oom(ExprError *error); /* -ENOMEM */

/* operator.c */

/** What an operator's constant `value` must be. */
typedef enum ExprWant { WANT_NOTHING, WANT_ANY, WANT_LIST, WANT_ORDERED, WANT_PATTERN, WANT_STRING } ExprWant;

typedef struct ExprOperator {
        const char *name;
        ExprWant want;
        bool negated; /* the test's answer is turned round; holds for missing fields */
        bool (*test)(const json_t *field, const json_t *value); /* NULL: matches */
} ExprOperator;

/** The operator that the condition at @test names; NULL if it names none (reported). */
const ExprOperator *expr_operator_find(const JsonAt *test);
bool expr_is_wanted(ExprWant want, const json_t *value);
const char *expr_want_text(ExprWant want); /* "a string"… */

/* pattern.c */

typedef struct ExprPattern ExprPattern;
/** The pattern in the string at @at; NULL when it is not valid (reported). */
const ExprPattern *expr_pattern_compile(const JsonAt *at, Arena *arena, ExprForeign **foreign);
/** Does @p match somewhere in @text? @field is named in errors. 0, -EINVAL (PATTERN_LIMIT), -ENOMEM. */
int expr_pattern_match(const ExprPattern *p, const ExprPath *field, Slice text, size_t *work_left, bool *ret,
                       ExprError *error);

/* text.c */

typedef struct ExprPart {
        Slice literal; /* path NULL; borrowed from the definition */
        const ExprPath *path;
        const json_t *fallback; /* the default; NULL: none */
} ExprPart;

typedef struct ExprTextCompiler {
        Arena *arena;
        ExprForeign *foreign;
        size_t n_nodes;    /* counted against LIMIT_TEMPLATE_NODES */
        bool failed, over; /* something was reported; the limit was */
} ExprTextCompiler;

/** Where `${` begins next in @text; NULL: nowhere. */
const char *expr_text_marker(Slice text);
/** Count @n nodes; false when they are too many (reported once). */
bool expr_text_count(ExprTextCompiler *c, const JsonAt *at, size_t n);
/** Split @text into literals and paths; NULL if it can't be (c->failed, reported). */
const ExprPart *expr_text_parse(ExprTextCompiler *c, const JsonAt *at, Slice text, uint32_t *ret_n);
/** The literals as one string, owned; NULL when out of memory. */
json_t *expr_text_join(const ExprPart *parts, uint32_t n);
void expr_text_oom(ExprTextCompiler *c, const JsonAt *at);
void expr_json_release(void *json);
