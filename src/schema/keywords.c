/*
 * Keywords
 *
 * What each keyword takes, and which check comes of it, in one table. Keywords whose meaning depends on their siblings
 * (properties and additionalProperties, if and then, …) are gathered in the draft first. The table is all that is known of
 * draft 2020-12, and of two things of earlier drafts that its meta-schema still allows: definitions and dependencies.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "schema/compile.h"
#include "schema/key.h"

#define SHOWN_BYTES 128  /* of a value or pattern in messages */
#define SHOWN_LIMIT 4096 /* of a value's text that is made at all */
#define DIALECT "https://json-schema.org/draft/2020-12/schema"
#define COUNT_EDGE 18446744073709551616.0 /* 2^64 */

typedef struct Keyword Keyword;
typedef void KeywordFn(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k);
struct Keyword {
        const char *name;
        KeywordFn *compile;
        const CheckKind *kind; /* NULL: none, or made of what was gathered */
};

/* --- helpers --- */

static bool expect(Compiler *c, const JsonAt *at, unsigned types, const char *wanted) {
        if (TYPE_BIT(json_typeof(at->value)) & types)
                return true;
        compiler_fault(c, at, "must be %s, is %s", wanted, json_type_text(at->value));
        return false;
}

/** "text", cut, in the schema's memory. */
static const char *shown_copy(Compiler *c, Slice text) {
        Slice cut = slice_cut_utf8(text, SHOWN_BYTES);
        _cleanup_(buf_deinit) Buf b = {0};
        buf_put_slice(&b, cut);
        if (cut.n < text.n)
                buf_put_str(&b, "…");
        if (b.error) {
                compiler_oom(c);
                return NULL;
        }
        return compiler_dup(c, buf_slice(&b)).data;
}

static const char *shown_value(Compiler *c, const json_t *value) {
        _cleanup_(buf_deinit) Buf b = {.limit = SHOWN_LIMIT};
        if (json_canonical(value, &b) == -ENOMEM) {
                compiler_oom(c);
                return NULL;
        }
        return shown_copy(c, buf_slice(&b));
}

static Node *subschema(Compiler *c, Draft *d, const JsonAt *at) {
        Place place = {.parent = &d->node->place, .keyword = at->key, .form = PLACE_KEYWORD};
        return compile_subschema(c, d, &place, at);
}

static int name_cmp(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/** An array of different strings, sorted. */
static bool take_names(Compiler *c, const JsonAt *at, Names *ret) {
        if (!expect(c, at, TYPES_ARRAY, "an array of strings"))
                return false;
        size_t n = json_array_size(at->value);
        ret->list = COMPILER_NEW(c, const char *, n + 1);
        if (!ret->list)
                return false;
        for (size_t i = 0; i < n; i++) {
                JsonAt item = at_item(at, i);
                if (!expect(c, &item, TYPES_STRING, "a string"))
                        continue;
                Slice copy = compiler_dup(c, json_string_slice(item.value));
                if (!copy.data)
                        return false;
                ret->list[ret->n++] = copy.data;
        }
        if (ret->n > 1)
                qsort(ret->list, ret->n, sizeof(*ret->list), name_cmp);
        for (size_t i = 1; i < ret->n; i++)
                if (!strcmp(ret->list[i - 1], ret->list[i])) {
                        Slice shown = slice_cut_utf8(slice_from_str(ret->list[i]), SHOWN_BYTES);
                        compiler_fault(c, at, "has the string \"%.*s\" more than once", SLICE_ARG(shown));
                        return false;
                }
        return true;
}

/** An object of schemas, each handed to @put with its name (a copy). */
static void take_map(Compiler *c, Draft *d, const JsonAt *at,
                     void (*put)(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into), void *into) {
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
                JsonAt member = at_member(at, json_object_iter_key(it));
                Slice name = compiler_dup(c, slice_from_str(member.key));
                if (!name.data)
                        return;
                Place place = {&d->node->place, at->key, name.data, 0, PLACE_KEY};
                Node *node = compile_subschema(c, d, &place, &member);
                if (node && put)
                        put(c, &member, name, node, into);
        }
}

static void take_schemas(Compiler *c, Draft *d, const JsonAt *at, Nodes *ret) {
        if (!expect(c, at, TYPES_ARRAY, "an array of schemas"))
                return;
        size_t n = json_array_size(at->value);
        if (n == 0)
                compiler_fault(c, at, "must hold at least one schema");
        ret->list = COMPILER_NEW(c, Node *, n + 1);
        for (size_t i = 0; ret->list && i < n; i++) {
                JsonAt item = at_item(at, i);
                Place place = {&d->node->place, at->key, NULL, i, PLACE_INDEX};
                Node *node = compile_subschema(c, d, &place, &item);
                if (node)
                        ret->list[ret->n++] = node;
        }
}

/* --- keywords that say nothing about values --- */

static void take_nothing(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) { (void)c, (void)d, (void)at, (void)k; }

static void take_text(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        expect(c, at, TYPES_STRING, "a string");
}

static void take_flag(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        expect(c, at, TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE), "true or false");
}

static void take_list(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        expect(c, at, TYPES_ARRAY, "an array");
}

static void take_table(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        expect(c, at, TYPES_OBJECT, "an object");
}

static void take_definitions(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (expect(c, at, TYPES_OBJECT, "an object of schemas"))
                take_map(c, d, at, NULL, NULL);
}

static void take_unused_schema(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        subschema(c, d, at);
}

static void take_dialect(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        if (!expect(c, at, TYPES_STRING, "a string"))
                return;
        Slice text = json_string_slice(at->value);
        if (slice_ends_with(text, SLICE("#")))
                text.n--;
        if (!slice_eq_str(text, DIALECT))
                compiler_fault(c, at, "only the dialect " DIALECT " is understood");
}

static void take_anchor(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!expect(c, at, TYPES_STRING, "a string"))
                return;
        Slice text = json_string_slice(at->value);
        bool ok = text.n > 0;
        for (size_t i = 0; i < text.n; i++) {
                char ch = text.data[i];
                bool first = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
                ok = ok && (first || (i > 0 && ((ch >= '0' && ch <= '9') || ch == '-' || ch == '.')));
        }
        if (!ok)
                compiler_fault(c, at, "must begin with a letter or _, and go on with letters, digits, -, _ and .");
        else
                *(k->kind ? &d->dynamic_anchor : &d->anchor) = text;
}

/* --- assertions --- */

static void take_number(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!expect(c, at, TYPES_NUMBER, "a number"))
                return;
        Number n = number_of(at->value);
        if (k->kind == &check_multiple_of && number_cmp(n, (Number){.is_i64 = true}) <= 0)
                compiler_fault(c, at, "must be greater than 0");
        else
                draft_check(d, k->kind)->number = n;
}

static bool read_count(Compiler *c, const JsonAt *at, uint64_t *ret) {
        if (!expect(c, at, TYPES_NUMBER, "a whole number"))
                return false;
        Number n = number_of(at->value);
        if (!number_is_whole(n) || number_cmp(n, (Number){.is_i64 = true}) < 0) {
                compiler_fault(c, at, "must be a whole number that is not negative");
                return false;
        }
        *ret = n.is_i64 ? (uint64_t)n.i : n.d < COUNT_EDGE ? (uint64_t)n.d : UINT64_MAX;
        return true;
}

static void take_count(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        uint64_t count;
        if (read_count(c, at, &count))
                draft_check(d, k->kind)->count = count;
}

static const struct TypeName {
        const char *name, *shown;
        unsigned mask;
} type_names[] = {
        {"array", "an array", TYPES_ARRAY},
        {"boolean", "a boolean", TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE)},
        {"integer", "an integer", TYPES_NUMBER | TYPE_WHOLE},
        {"null", "null", TYPE_BIT(JSON_NULL)},
        {"number", "a number", TYPES_NUMBER},
        {"object", "an object", TYPES_OBJECT},
        {"string", "a string", TYPES_STRING},
};

static const struct TypeName *take_type_name(Compiler *c, const JsonAt *at) {
        if (!expect(c, at, TYPES_STRING, "the name of a type"))
                return NULL;
        const char *candidates[N_ELEMENTS(type_names)];
        Slice text = json_string_slice(at->value);
        for (size_t i = 0; i < N_ELEMENTS(type_names); i++) {
                candidates[i] = type_names[i].name;
                if (slice_eq_str(text, candidates[i]))
                        return &type_names[i];
        }
        Slice shown = slice_cut_utf8(text, SHOWN_BYTES);
        const char *nearest = slice_nearest(text, candidates, N_ELEMENTS(candidates));
        if (nearest)
                compiler_fault(c, at, "there is no type \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown), nearest);
        else
                compiler_fault(c, at, "there is no type \"%.*s\"", SLICE_ARG(shown));
        return NULL;
}

static void take_type(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        unsigned mask = 0, seen = 0;
        _cleanup_(buf_deinit) Buf shown = {0};
        bool list = json_is_array(at->value), fractions = false;
        if (!expect(c, at, TYPES_ARRAY | TYPES_STRING, "the name of a type, or an array of them"))
                return;
        size_t n = list ? json_array_size(at->value) : 1;
        if (n == 0)
                compiler_fault(c, at, "must name at least one type");
        for (size_t i = 0; i < n; i++) {
                JsonAt item = list ? at_item(at, i) : *at;
                const struct TypeName *t = take_type_name(c, &item);
                if (!t)
                        return;
                unsigned bit = 1u << (t - type_names);
                if (seen & bit) {
                        compiler_fault(c, &item, "\"%s\" is there more than once", t->name);
                        return;
                }
                seen |= bit;
                buf_put_str(&shown, i == 0 ? "" : i + 1 == n ? " or " : ", ");
                buf_put_str(&shown, t->shown);
                mask |= t->mask;
                fractions |= t->mask == TYPES_NUMBER;
        }
        if (fractions) /* "integer" beside "number" says nothing more */
                mask &= ~TYPE_WHOLE;
        Slice copy = shown.error ? SLICE_NULL : compiler_dup(c, buf_slice(&shown));
        if (shown.error)
                compiler_oom(c);
        if (copy.data)
                draft_check(d, k->kind)->types = (Types){mask, copy.data};
}

static int key_cmp(const void *a, const void *b) { return slice_cmp(*(const Slice *)a, *(const Slice *)b); }

/** The keys of @n values; several may be equal. */
static void take_values(Compiler *c, Draft *d, const JsonAt *at, const CheckKind *kind, size_t n) {
        Values values = {.n = n, .keys = COMPILER_NEW(c, Slice, n + 1)};
        _cleanup_(buf_deinit) Buf b = {0};
        for (size_t i = 0; values.keys && i < n; i++) {
                size_t work = 0;
                buf_reset(&b);
                int r = key_put(&b, kind == &check_enum ? json_array_get(at->value, i) : at->value, &work, SIZE_MAX);
                if (r == -EOVERFLOW)
                        compiler_fault(c, at, "is nested more than %d levels deep (JSON_DEPTH_MAX)", JSON_DEPTH_MAX);
                else if (r < 0)
                        compiler_oom(c);
                values.keys[i] = r < 0 ? SLICE_NULL : compiler_dup(c, buf_slice(&b));
                if (!values.keys[i].data)
                        return;
                values.longest = values.keys[i].n > values.longest ? values.keys[i].n : values.longest;
        }
        if (!values.keys)
                return;
        if (n > 1)
                qsort(values.keys, n, sizeof(*values.keys), key_cmp);
        values.shown = shown_value(c, at->value);
        draft_check(d, kind)->values = values;
}

static void take_enum(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (expect(c, at, TYPES_ARRAY, "an array"))
                take_values(c, d, at, k->kind, json_array_size(at->value));
}

static void take_const(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) { take_values(c, d, at, k->kind, 1); }

static Pattern *compile_pattern(Compiler *c, const JsonAt *at, Slice text) {
        Schema *s = c->schema;
        size_t bytes = 0;
        if (s->n_patterns >= SCHEMA_PATTERNS_MAX || s->pattern_bytes > SCHEMA_BYTES_MAX) {
                compiler_fault(c, at, "the schema has more than %d patterns, or they take more than %d bytes of memory "
                               "(SCHEMA_PATTERNS_MAX, SCHEMA_BYTES_MAX)", SCHEMA_PATTERNS_MAX, SCHEMA_BYTES_MAX);
                return NULL;
        }
        if (COMPILER_GROW(c, s->patterns, s->n_patterns, s->cap_patterns) < 0)
                return NULL;
        Pattern *p = pattern_compile(at, text, &bytes);
        c->failed |= !p;
        if (p) {
                s->patterns[s->n_patterns++] = p;
                s->pattern_bytes += bytes;
        }
        return p;
}

static void take_pattern(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!expect(c, at, TYPES_STRING, "a string"))
                return;
        Pattern *p = compile_pattern(c, at, json_string_slice(at->value));
        if (p)
                draft_check(d, k->kind)->pattern = (TextPattern){p, shown_copy(c, json_string_slice(at->value))};
}

static void take_unique(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (expect(c, at, TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE), "true or false") && json_is_true(at->value))
                draft_check(d, k->kind);
}

static void take_required(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Names names = {0};
        if (take_names(c, at, &names) && names.n > 0)
                draft_check(d, k->kind)->names = names;
}

/** dependentRequired (arrays of names), dependentSchemas (schemas), dependencies (either). */
static void take_dependents(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!expect(c, at, TYPES_OBJECT, "an object"))
                return;
        Dependents all = {.list = COMPILER_NEW(c, Dependent, json_object_size(at->value) + 1)};
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(object); all.list && it; it = json_object_iter_next(object, it)) {
                JsonAt member = at_member(at, json_object_iter_key(it));
                Dependent one = {.name = compiler_dup(c, slice_from_str(member.key)).data};
                Place place = {&d->node->place, at->key, one.name, 0, PLACE_KEY};
                bool names = k->kind == &check_dependent_required ||
                             (k->kind == &check_dependencies && json_is_array(member.value));
                if (!one.name)
                        return;
                if (names ? take_names(c, &member, &one.names) : (one.node = compile_subschema(c, d, &place, &member)) != NULL)
                        all.list[all.n++] = one;
        }
        if (all.n > 0)
                draft_check(d, k->kind)->dependents = all;
}

/* --- applicators --- */

static void take_schema(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Node *node = subschema(c, d, at);
        if (node)
                draft_check(d, k->kind)->node = node;
}

static void take_schema_list(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        Nodes nodes = {0};
        take_schemas(c, d, at, &nodes);
        if (nodes.n > 0)
                draft_check(d, k->kind)->nodes = nodes;
}

static void take_reference(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (expect(c, at, TYPES_STRING, "a string"))
                compiler_pending(c, d, k->kind, json_string_slice(at->value));
}

static void put_named(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into) {
        (void)c, (void)member;
        Members *m = into;
        m->named[m->n_named++] = (Named){name, node};
}

static void put_pattern(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into) {
        Members *m = into;
        Pattern *p = compile_pattern(c, member, name);
        if (p)
                m->patterns[m->n_patterns++] = (PatternNode){p, node};
}

static void gather_properties(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (!expect(c, at, TYPES_OBJECT, "an object of schemas"))
                return;
        d->members.named = COMPILER_NEW(c, Named, json_object_size(at->value) + 1);
        if (!d->members.named)
                return;
        take_map(c, d, at, put_named, &d->members);
        if (d->members.n_named > 1)
                qsort(d->members.named, d->members.n_named, sizeof(*d->members.named), named_cmp);
        d->has_members |= d->members.n_named > 0;
}

static void gather_patterns(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (!expect(c, at, TYPES_OBJECT, "an object of schemas"))
                return;
        d->members.patterns = COMPILER_NEW(c, PatternNode, json_object_size(at->value) + 1);
        if (!d->members.patterns)
                return;
        take_map(c, d, at, put_pattern, &d->members);
        d->has_members |= d->members.n_patterns > 0;
}

static void gather_schema(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        static const struct { const char *name; size_t offset; } places[] = {
                {"additionalProperties", offsetof(Draft, members.rest)}, {"contains", offsetof(Draft, contains.node)},
                {"else", offsetof(Draft, choice.else_)}, {"if", offsetof(Draft, choice.if_)},
                {"items", offsetof(Draft, items.rest)}, {"then", offsetof(Draft, choice.then)},
        };
        if (json_is_array(at->value) && !strcmp(k->name, "items")) {
                compiler_fault(c, at, "must be a schema, is an array; prefixItems takes a schema for each item");
                return;
        }
        Node *node = subschema(c, d, at);
        for (size_t i = 0; node && i < N_ELEMENTS(places); i++)
                if (!strcmp(k->name, places[i].name))
                        *(Node **)((char *)d + places[i].offset) = node;
}

static void gather_prefix(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        take_schemas(c, d, at, &d->items.prefix);
}

static void gather_count(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        read_count(c, at, !strcmp(k->name, "minContains") ? &d->contains.min : &d->contains.max);
}

void compile_gathered(Compiler *c, Draft *d) {
        if (d->has_members || d->members.rest) {
                Members *m = COMPILER_NEW(c, Members, 1);
                if (m) {
                        *m = d->members;
                        draft_check(d, &check_members)->members = m;
                }
        }
        if (d->items.prefix.n > 0 || d->items.rest) {
                Items *items = COMPILER_NEW(c, Items, 1);
                if (items) {
                        *items = d->items;
                        draft_check(d, &check_items)->items = items;
                }
        }
        if (d->contains.node) {
                Contains *contains = COMPILER_NEW(c, Contains, 1);
                if (contains) {
                        *contains = d->contains;
                        draft_check(d, &check_contains)->contains = contains;
                }
        }
        if (d->choice.if_) /* also when there is neither then nor else: it may mark what it has evaluated */
                draft_check(d, &check_if)->choice = d->choice;
}

/* --- the table --- */

static const Keyword keywords[] = { /* alphabetical */
        {"$anchor", take_anchor, NULL},
        {"$comment", take_text, NULL},
        {"$defs", take_definitions, NULL},
        {"$dynamicAnchor", take_anchor, &check_dynamic_ref},
        {"$dynamicRef", take_reference, &check_dynamic_ref},
        {"$id", take_text, NULL}, /* read where resources are named */
        {"$ref", take_reference, &check_ref},
        {"$schema", take_dialect, NULL},
        {"$vocabulary", take_table, NULL},
        {"additionalProperties", gather_schema, NULL},
        {"allOf", take_schema_list, &check_all_of},
        {"anyOf", take_schema_list, &check_any_of},
        {"const", take_const, &check_const},
        {"contains", gather_schema, NULL},
        {"contentEncoding", take_text, NULL},
        {"contentMediaType", take_text, NULL},
        {"contentSchema", take_unused_schema, NULL},
        {"default", take_nothing, NULL},
        {"definitions", take_definitions, NULL},
        {"dependencies", take_dependents, &check_dependencies},
        {"dependentRequired", take_dependents, &check_dependent_required},
        {"dependentSchemas", take_dependents, &check_dependent_schemas},
        {"deprecated", take_flag, NULL},
        {"description", take_text, NULL},
        {"else", gather_schema, NULL},
        {"enum", take_enum, &check_enum},
        {"examples", take_list, NULL},
        {"exclusiveMaximum", take_number, &check_exclusive_maximum},
        {"exclusiveMinimum", take_number, &check_exclusive_minimum},
        {"format", take_text, NULL},
        {"if", gather_schema, NULL},
        {"items", gather_schema, NULL},
        {"maxContains", gather_count, NULL},
        {"maxItems", take_count, &check_max_items},
        {"maxLength", take_count, &check_max_length},
        {"maxProperties", take_count, &check_max_properties},
        {"maximum", take_number, &check_maximum},
        {"minContains", gather_count, NULL},
        {"minItems", take_count, &check_min_items},
        {"minLength", take_count, &check_min_length},
        {"minProperties", take_count, &check_min_properties},
        {"minimum", take_number, &check_minimum},
        {"multipleOf", take_number, &check_multiple_of},
        {"not", take_schema, &check_not},
        {"oneOf", take_schema_list, &check_one_of},
        {"pattern", take_pattern, &check_pattern},
        {"patternProperties", gather_patterns, NULL},
        {"prefixItems", gather_prefix, NULL},
        {"properties", gather_properties, NULL},
        {"propertyNames", take_schema, &check_property_names},
        {"readOnly", take_flag, NULL},
        {"required", take_required, &check_required},
        {"then", gather_schema, NULL},
        {"title", take_text, NULL},
        {"type", take_type, &check_type},
        {"unevaluatedItems", take_schema, &check_unevaluated_items},
        {"unevaluatedProperties", take_schema, &check_unevaluated_properties},
        {"uniqueItems", take_unique, &check_unique_items},
        {"writeOnly", take_flag, NULL},
};

static int keyword_cmp(const void *name, const void *keyword) { return strcmp(name, ((const Keyword *)keyword)->name); }

void compile_keyword(Compiler *c, Draft *d, const JsonAt *at) {
        const Keyword *k = bsearch(at->key, keywords, N_ELEMENTS(keywords), sizeof(*keywords), keyword_cmp);
        JsonAt known = *at;
        if (!k)
                return;
        known.key = k->name; /* places keep it, and outlive the document */
        k->compile(c, d, &known, k);
}
