/*
 * Keywords
 *
 * What each keyword takes, and which check comes of it, in one table. The table is all that is known of draft
 * 2020-12, and of two things of earlier drafts that its meta-schema still allows: definitions and
 * dependencies. Here are also the keywords that say nothing about values: identifiers, definitions,
 * annotations.
 */
#include <stdlib.h>

#include "schema/keyword.h"

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

/* --- helpers --- */

bool keyword_expect(Compiler *c, const JsonAt *at, unsigned types, const char *wanted) {
        if (TYPE_BIT(json_typeof(at->value)) & types)
                return true;
        compiler_fault(c, at, "must be %s, is %s", wanted, json_type_text(at->value));
        return false;
}

static int name_cmp(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool keyword_names(Compiler *c, const JsonAt *at, Names *ret) {
        if (!keyword_expect(c, at, TYPES_ARRAY, "an array of strings"))
                return false;
        size_t n = json_array_size(at->value);
        ret->list = COMPILER_NEW(c, const char *, n + 1);
        if (!ret->list)
                return false;
        for (size_t i = 0; i < n; i++) {
                JsonAt item = at_item(at, i);
                if (!keyword_expect(c, &item, TYPES_STRING, "a string"))
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

Node *keyword_schema(Compiler *c, Draft *d, const JsonAt *at) {
        Place place = {.parent = &d->node->place, .keyword = at->key, .form = PLACE_KEYWORD};
        return compile_subschema(c, d, &place, at);
}

void keyword_schema_map(Compiler *c, Draft *d, const JsonAt *at,
                        void (*put)(Compiler *c, const JsonAt *member, Slice name, Node *node, void *into),
                        void *into) {
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

/* --- keywords that say nothing about values --- */

static void take_nothing(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)c, (void)d, (void)at, (void)k;
}

static void take_text(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        keyword_expect(c, at, TYPES_STRING, "a string");
}

static void take_flag(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        keyword_expect(c, at, TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE), "true or false");
}

static void take_list(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        keyword_expect(c, at, TYPES_ARRAY, "an array");
}

static void take_vocabulary(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        if (!keyword_expect(c, at, TYPES_OBJECT, "an object"))
                return;
        json_t *object = (json_t *)at->value; /* the iterators are not const; nothing is changed */
        for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
                JsonAt member = at_member(at, json_object_iter_key(it));
                keyword_expect(c, &member, TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE), "true or false");
        }
}

static void take_definitions(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        if (keyword_expect(c, at, TYPES_OBJECT, "an object of schemas"))
                keyword_schema_map(c, d, at, NULL, NULL);
}

static void take_unused_schema(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)k;
        keyword_schema(c, d, at);
}

static void take_dialect(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        (void)d, (void)k;
        if (!keyword_expect(c, at, TYPES_STRING, "a string"))
                return;
        Slice text = json_string_slice(at->value);
        if (slice_ends_with(text, SLICE("#")))
                text.n--;
        if (!slice_eq_str(text, DIALECT))
                compiler_fault(c, at, "only the dialect " DIALECT " is understood");
}

static void take_anchor(Compiler *c, Draft *d, const JsonAt *at, const Keyword *k) {
        if (!keyword_expect(c, at, TYPES_STRING, "a string"))
                return;
        Slice text = json_string_slice(at->value);
        bool ok = text.n > 0;
        for (size_t i = 0; i < text.n; i++) {
                char ch = text.data[i];
                bool first = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
                ok = ok && (first || (i > 0 && ((ch >= '0' && ch <= '9') || ch == '-' || ch == '.')));
        }
        if (!ok)
                compiler_fault(c, at,
                               "must begin with a letter or _, and go on with letters, digits, -, _ and .");
        else
                *(k->kind ? &d->dynamic_anchor : &d->anchor) = text;
}

/* --- the table --- */

static const Keyword keywords[] = {
                /* alphabetical */
                {"$anchor", take_anchor, NULL},
                {"$comment", take_text, NULL},
                {"$defs", take_definitions, NULL},
                {"$dynamicAnchor", take_anchor, &check_dynamic_ref},
                {"$dynamicRef", keyword_reference, &check_dynamic_ref},
                {"$id", take_text, NULL}, /* read where resources are named */
                {"$ref", keyword_reference, &check_ref},
                {"$schema", take_dialect, NULL},
                {"$vocabulary", take_vocabulary, NULL},
                {"additionalProperties", keyword_gather_schema, NULL},
                {"allOf", keyword_apply_list, &check_all_of},
                {"anyOf", keyword_apply_list, &check_any_of},
                {"const", keyword_const, &check_const},
                {"contains", keyword_gather_schema, NULL},
                {"contentEncoding", take_text, NULL},
                {"contentMediaType", take_text, NULL},
                {"contentSchema", take_unused_schema, NULL},
                {"default", take_nothing, NULL},
                {"definitions", take_definitions, NULL},
                {"dependencies", keyword_dependents, &check_dependencies},
                {"dependentRequired", keyword_dependents, &check_dependent_required},
                {"dependentSchemas", keyword_dependents, &check_dependent_schemas},
                {"deprecated", take_flag, NULL},
                {"description", take_text, NULL},
                {"else", keyword_gather_schema, NULL},
                {"enum", keyword_enum, &check_enum},
                {"examples", take_list, NULL},
                {"exclusiveMaximum", keyword_limit_number, &check_exclusive_maximum},
                {"exclusiveMinimum", keyword_limit_number, &check_exclusive_minimum},
                {"format", take_text, NULL},
                {"if", keyword_gather_schema, NULL},
                {"items", keyword_gather_schema, NULL},
                {"maxContains", keyword_gather_counts, NULL},
                {"maxItems", keyword_limit_count, &check_max_items},
                {"maxLength", keyword_limit_count, &check_max_length},
                {"maxProperties", keyword_limit_count, &check_max_properties},
                {"maximum", keyword_limit_number, &check_maximum},
                {"minContains", keyword_gather_counts, NULL},
                {"minItems", keyword_limit_count, &check_min_items},
                {"minLength", keyword_limit_count, &check_min_length},
                {"minProperties", keyword_limit_count, &check_min_properties},
                {"minimum", keyword_limit_number, &check_minimum},
                {"multipleOf", keyword_limit_number, &check_multiple_of},
                {"not", keyword_apply, &check_not},
                {"oneOf", keyword_apply_list, &check_one_of},
                {"pattern", keyword_pattern_text, &check_pattern},
                {"patternProperties", keyword_gather_patterns, NULL},
                {"prefixItems", keyword_gather_prefix, NULL},
                {"properties", keyword_gather_properties, NULL},
                {"propertyNames", keyword_apply, &check_property_names},
                {"readOnly", take_flag, NULL},
                {"required", keyword_required, &check_required},
                {"then", keyword_gather_schema, NULL},
                {"title", take_text, NULL},
                {"type", keyword_type, &check_type},
                {"unevaluatedItems", keyword_apply, &check_unevaluated_items},
                {"unevaluatedProperties", keyword_apply, &check_unevaluated_properties},
                {"uniqueItems", keyword_unique, &check_unique_items},
                {"writeOnly", take_flag, NULL},
};

static int keyword_cmp(const void *name, const void *keyword) {
        return strcmp(name, ((const Keyword *)keyword)->name);
}

void compile_keyword(Compiler *c, Draft *d, const JsonAt *at) {
        const Keyword *k = bsearch(at->key, keywords, N_ELEMENTS(keywords), sizeof(*keywords), keyword_cmp);
        JsonAt known = *at;
        if (!k)
                return;
        known.key = k->name; /* places keep it, and outlive the document */
        k->compile(c, d, &known, k);
}
