#pragma once
/* Keywords of schemas: what the files that compile them share. */

#include "base/cleanup.h"
#include "schema/compile.h"

#define SHOWN_BYTES 128 /* of a value, pattern or name in messages */

typedef struct Keyword Keyword;
/** Take over the keyword @at, whose name is @k's, into @d. Faults are reported. */
typedef void KeywordFn(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k);
struct Keyword {
        const char *name;
        KeywordFn *compile;
        const CheckKind *kind; /* NULL: none, or made of what was gathered */
};

/** Report a value whose type is none of @types: "must be @wanted, is …". */
bool keyword_expect(Compiler *c, const JsonAt *at, unsigned types, const char *wanted);
/** A whole number that is not negative; reported if it is something else. */
bool keyword_count(Compiler *c, const JsonAt *at, uint64_t *ret);
/** An array of different strings; *ret has them sorted. */
bool keyword_names(Compiler *c, const JsonAt *at, Names *ret);
/** The schema at @at, below @d's; NULL with a fault. */
Node *keyword_schema(Compiler *c, Draft *d, const JsonAt *at);
/** An object of schemas, each handed to @put (NULL: none) with its name, a copy. */
void keyword_schema_map(Compiler *c, Draft *d, const JsonAt *at,
                        void (*put)(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into),
                        void *into);
/** NULL with a fault; the schema owns it. */
Pattern *keyword_pattern(Compiler *c, const JsonAt *at, Slice text);

/* keywords_assert.c */
KeywordFn keyword_const, keyword_enum, keyword_limit_count, keyword_limit_number, keyword_pattern_text,
                keyword_required, keyword_type, keyword_unique;
/* keywords_apply.c */
KeywordFn keyword_apply, keyword_apply_list, keyword_dependents, keyword_gather_counts,
                keyword_gather_patterns, keyword_gather_prefix, keyword_gather_properties,
                keyword_gather_schema, keyword_reference;
