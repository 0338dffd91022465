#pragma once
/* JSON Schema, draft 2020-12: a schema is compiled once, then values are checked against it. */

#include "json/json_read.h"

#define SCHEMA_NODES_MAX     100000     /* subschemas of one schema */
#define SCHEMA_PATTERNS_MAX  1000       /* `pattern` and keys of `patternProperties` of one schema */
#define SCHEMA_BYTES_MAX     (64 << 20) /* memory of one compiled schema */
#define SCHEMA_URI_BYTES_MAX 2048       /* a $id or $ref, as written and resolved */
#define SCHEMA_STEPS_MAX     5000000    /* work of one validation: schemas, items, members, parts of patterns */
#define SCHEMA_IN_PLACE_MAX  256        /* schemas applied inside each other to one and the same value */
#define SCHEMA_FRAMES_MAX    1024       /* schemas applied inside each other in all */
#define SCHEMA_FAULTS_MAX    REPORT_DETAILS_MAX /* faults of one value that are looked for */

/** A compiled schema. Immutable: threads may share it. Holds no reference to the document it came from. */
typedef struct Schema Schema;

/**
 * Compile the schema at @at, whose nesting may be JSON_DEPTH_MAX. All its faults go to @at's report, each
 * with the JSON pointer of the place in the document that @at stands in: keywords of the wrong type, patterns
 * that are none, references that lead nowhere within the schema (nothing is fetched), identifiers used twice,
 * another draft's `$schema`, schemas that apply themselves to the same value without end, limits passed.
 * Keywords that are not known are annotations and pass. NULL on any fault (out of memory: report->oom), else
 * an owned reference.
 */
Schema *schema_compile(const JsonAt *at);
Schema *schema_ref(const Schema *s); /* NULL in, NULL out; the count is atomic */
void schema_unref(Schema *s);        /* NULL-safe */
static inline void schema_unref_p(Schema **s) { schema_unref(*s); }
/** Bytes of memory held, for cache accounting. */
size_t schema_size(const Schema *s);

/**
 * Check @instance, which is not NULL. Deterministic; does no I/O; several threads may use @s at once.
 *
 *   0             it is valid
 *   1             it is not; @report has a detail for each fault, at the JSON pointer into the instance. The
 *                 sentence ends in the pointer of the keyword within the schema: `must be a string, is a
 *                 number (keyword: /properties/x/type)`. Code and message are left to the caller.
 *   -ENOMEM       out of memory
 *   -ELOOP        SCHEMA_IN_PLACE_MAX or SCHEMA_FRAMES_MAX: the schema refers to itself without end
 *   -EOVERFLOW    SCHEMA_STEPS_MAX, or JSON_DEPTH_MAX by the instance
 *
 * After -ELOOP and -EOVERFLOW @report has a code (LIMIT_EXCEEDED or TOO_DEEP) and a sentence with the limit's
 * name and value; details of faults that were found before may be there too.
 * @report may be NULL: then only the verdict is found, which is faster for invalid values.
 */
int schema_validate(const Schema *s, const json_t *instance, Report *report);
