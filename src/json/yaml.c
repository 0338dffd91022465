/*
 * YAML to JSON
 *
 * libyaml's events, with a stack of our own instead of recursion: a frame for each open mapping or sequence.
 * An alias puts the anchored subtree into the tree once more by reference. Nothing is copied, but whoever
 * writes the tree out writes it in full, so what counts against the limits is the size after expansion;
 * each anchor remembers its own.
 *
 * Of YAML's many spellings only JSON's survive: yes and on are strings, and so is 0123, which is 83 in
 * YAML 1.1 and 123 in 1.2. Merge keys and tags other than JSON's types are refused rather than ignored.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include <yaml.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "json/json_read.h"
#include "json/yaml.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

/** What a subtree amounts to when written out in full. */
typedef struct Weight {
        size_t nodes, bytes;
        unsigned height; /* 0 for a scalar */
} Weight;

typedef struct Anchor {
        json_t *json; /* owned; NULL while the node is still open */
        Weight weight;
} Anchor;

typedef struct Frame {
        json_t *json;   /* owned */
        char *key;      /* owned; in a mapping: waits for its value */
        Anchor *anchor; /* to be completed with this node; NULL if it has none */
        Weight weight;
} Frame;

typedef struct Yaml {
        yaml_parser_t parser;
        Report *report;
        Arena arena; /* anchors and their names */
        Map anchors;
        Frame stack[JSON_DEPTH_MAX];
        size_t depth;
        Weight total;
        size_t n_anchors, n_aliases;
        locale_t c_locale;
        json_t *root; /* owned */
} Yaml;

static __attribute__((format(printf, 4, 5))) int fail(Yaml *y, RunbookCode code, yaml_mark_t at,
                                                      const char *format, ...) {
        _cleanup_(buf_deinit) Buf b = {0};
        va_list ap;
        va_start(ap, format);
        buf_vprintf(&b, format, ap);
        va_end(ap);
        _cleanup_free_ char *sentence = buf_steal_str(&b);
        y->report->oom |= !sentence;
        return report_set(y->report, code, "invalid YAML at line %zu, column %zu: %s", at.line + 1,
                          at.column + 1, sentence ? sentence : "out of memory");
}

/** The usual refusal, at the event @e. */
#define REFUSE(y, e, ...) fail((y), RUNBOOK_INVALID_REQUEST, (e)->start_mark, __VA_ARGS__)

static int fail_memory(Yaml *y) {
        y->report->oom = true;
        return report_set(y->report, RUNBOOK_INTERNAL, "out of memory while reading YAML");
}

static int fail_parser(Yaml *y) {
        const yaml_parser_t *p = &y->parser;
        const char *problem = p->problem ? p->problem : "the text can't be read";
        if (p->error == YAML_MEMORY_ERROR)
                return fail_memory(y);
        if (p->error == YAML_READER_ERROR) /* the bytes themselves; the reader knows no lines */
                return report_set(y->report, RUNBOOK_INVALID_REQUEST,
                                  "invalid YAML at byte %zu (line %zu, column %zu): %s", p->problem_offset,
                                  p->mark.line + 1, p->mark.column + 1, problem);
        if (p->context && p->context_mark.line != p->problem_mark.line)
                return fail(y, RUNBOOK_INVALID_REQUEST, p->problem_mark, "%s %s that begins at line %zu",
                            problem, p->context, p->context_mark.line + 1);
        return fail(y, RUNBOOK_INVALID_REQUEST, p->problem_mark, "%s%s%s", problem, p->context ? " " : "",
                    p->context ? p->context : "");
}

static int weigh(Yaml *y, const yaml_event_t *e, Weight w) {
        y->total.nodes += w.nodes;
        y->total.bytes += w.bytes;
        if (y->total.nodes > YAML_NODES_MAX)
                return fail(y, RUNBOOK_LIMIT_EXCEEDED, e->start_mark,
                            "with its aliases written out the document has more than %d nodes "
                            "(YAML_NODES_MAX)",
                            YAML_NODES_MAX);
        if (y->total.bytes > YAML_BYTES_MAX)
                return fail(y, RUNBOOK_LIMIT_EXCEEDED, e->start_mark,
                            "with its aliases written out the document has more than %d bytes "
                            "(YAML_BYTES_MAX)",
                            YAML_BYTES_MAX);
        if (y->depth + w.height > JSON_DEPTH_MAX)
                return fail(y, RUNBOOK_TOO_DEEP, e->start_mark,
                            "the document is nested more than %d levels deep (JSON_DEPTH_MAX)",
                            JSON_DEPTH_MAX);
        return 0;
}

/* --- keys and values --- */

static bool expects_key(const Yaml *y) {
        return y->depth > 0 && json_is_object(y->stack[y->depth - 1].json) && !y->stack[y->depth - 1].key;
}

static int take_key(Yaml *y, const yaml_event_t *e, const json_t *node) {
        Frame *frame = &y->stack[y->depth - 1];
        if (!json_is_string(node))
                return REFUSE(y, e, "a key must be a string, is %s: put it in quotes",
                            json_type_text(node));
        const char *key = json_string_value(node);
        if (json_object_get(frame->json, key)) {
                Slice shown = slice_cut_utf8(slice_from_str(key), 64);
                return REFUSE(y, e, "the key \"%.*s\" is there twice", SLICE_ARG(shown));
        }
        frame->key = strdup(key);
        return frame->key ? 0 : fail_memory(y);
}

/** Put @node (taken) where the document is now. Its weight is in the total already. */
static int place(Yaml *y, const yaml_event_t *e, json_t *node, Weight w) {
        if (y->depth == 0) {
                y->root = node;
                return 0;
        }
        Frame *frame = &y->stack[y->depth - 1];
        frame->weight.nodes += w.nodes;
        frame->weight.bytes += w.bytes;
        if (frame->weight.height < w.height + 1)
                frame->weight.height = w.height + 1;
        int r;
        if (json_is_array(frame->json)) {
                r = json_array_append_new(frame->json, node) ? fail_memory(y) : 0;
        } else if (!frame->key) {
                r = take_key(y, e, node);
                json_decref(node);
        } else {
                r = json_object_set_new_nocheck(frame->json, frame->key, node) ? fail_memory(y) : 0;
                free(frame->key);
                frame->key = NULL;
        }
        return r;
}

/* --- anchors --- */

/** The anchor @name, new or defined anew; *ret is NULL when @name is. */
static int anchor_open(Yaml *y, const yaml_event_t *e, const yaml_char_t *name, Anchor **ret) {
        *ret = NULL;
        if (!name)
                return 0;
        if (++y->n_anchors > YAML_ANCHORS_MAX)
                return fail(y, RUNBOOK_LIMIT_EXCEEDED, e->start_mark,
                            "more than %d anchors (YAML_ANCHORS_MAX)", YAML_ANCHORS_MAX);
        Slice key = slice_from_str((const char *)name);
        Anchor *anchor = map_get(&y->anchors, key);
        if (anchor) {
                /* If its node is still open, it loses the name: aliases mean the new one from here on. */
                for (size_t i = 0; i < y->depth; i++)
                        if (y->stack[i].anchor == anchor)
                                y->stack[i].anchor = NULL;
                json_decref(anchor->json);
                *anchor = (Anchor){0};
                *ret = anchor;
                return 0;
        }
        anchor = ARENA_NEW(&y->arena, Anchor);
        key = arena_dup(&y->arena, key);
        if (!anchor || !key.data || map_put(&y->anchors, key, anchor) < 0)
                return fail_memory(y);
        *ret = anchor;
        return 0;
}

static void anchor_close(Anchor *anchor, json_t *json, Weight w) {
        if (!anchor)
                return;
        anchor->json = json_incref(json);
        anchor->weight = w;
}

static int on_alias(Yaml *y, const yaml_event_t *e) {
        const char *name = (const char *)e->data.alias.anchor;
        Slice shown = slice_cut_utf8(slice_from_str(name), 64);
        const Anchor *anchor = map_get(&y->anchors, slice_from_str(name));
        if (!anchor)
                return REFUSE(y, e, "there is no anchor &%.*s before this alias", SLICE_ARG(shown));
        if (!anchor->json)
                return REFUSE(y, e, "the anchor &%.*s contains itself", SLICE_ARG(shown));
        if (++y->n_aliases > YAML_ALIASES_MAX)
                return fail(y, RUNBOOK_LIMIT_EXCEEDED, e->start_mark,
                            "more than %d aliases (YAML_ALIASES_MAX)", YAML_ALIASES_MAX);
        int r = weigh(y, e, anchor->weight);
        return r < 0 ? r : place(y, e, json_incref(anchor->json), anchor->weight);
}

/* --- scalars --- */

typedef struct Word {
        const char *text;
        json_type type;
} Word;

static const Word words[] = {
        {"", JSON_NULL},     {"FALSE", JSON_FALSE}, {"False", JSON_FALSE}, {"NULL", JSON_NULL},
        {"Null", JSON_NULL}, {"TRUE", JSON_TRUE},   {"True", JSON_TRUE},   {"false", JSON_FALSE},
        {"null", JSON_NULL}, {"true", JSON_TRUE},   {"~", JSON_NULL},
};

/** The type of a plain scalar in YAML 1.2's core schema, less what JSON has no value for. */
static json_type plain_type(Slice s) {
        for (size_t i = 0; i < N_ELEMENTS(words); i++)
                if (slice_eq_str(s, words[i].text))
                        return words[i].type;
        const char *p = s.data, *end = s.data + s.n;
        p += *p == '-' || *p == '+';
        const char *whole = p;
        while (p < end && *p >= '0' && *p <= '9')
                p++;
        size_t n_whole = (size_t)(p - whole), n_fraction = 0;
        if (n_whole > 1 && *whole == '0')
                return JSON_STRING;
        if (p == end)
                return n_whole > 0 ? JSON_INTEGER : JSON_STRING;
        if (*p == '.')
                for (p++; p < end && *p >= '0' && *p <= '9'; p++)
                        n_fraction++;
        if (n_whole + n_fraction == 0)
                return JSON_STRING;
        if (p < end && (*p == 'e' || *p == 'E')) {
                p++;
                p += p < end && (*p == '-' || *p == '+');
                if (p == end)
                        return JSON_STRING;
                while (p < end && *p >= '0' && *p <= '9')
                        p++;
        }
        return p == end ? JSON_REAL : JSON_STRING;
}

/** The scalar's type by its tag, or without one by its looks; -1 for a tag that is unknown or doesn't fit. */
static int scalar_type(const yaml_event_t *e) {
        const char *tag = (const char *)e->data.scalar.tag;
        Slice text = slice_from_bytes(e->data.scalar.value, e->data.scalar.length);
        if (!tag)
                return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? (int)plain_type(text) : JSON_STRING;
        if (!strcmp(tag, "!") || !strcmp(tag, TAG_PREFIX "str"))
                return JSON_STRING;
        json_type type = plain_type(text);
        switch (type) {
        case JSON_NULL: return strcmp(tag, TAG_PREFIX "null") ? -1 : (int)type;
        case JSON_TRUE:
        case JSON_FALSE: return strcmp(tag, TAG_PREFIX "bool") ? -1 : (int)type;
        case JSON_INTEGER:
                if (!strcmp(tag, TAG_PREFIX "int"))
                        return type;
                return strcmp(tag, TAG_PREFIX "float") ? -1 : JSON_REAL;
        case JSON_REAL: return strcmp(tag, TAG_PREFIX "float") ? -1 : (int)type;
        default: return -1;
        }
}

static int make_number(Yaml *y, const yaml_event_t *e, int type, json_t **ret) {
        const char *text = (const char *)e->data.scalar.value;
        if (type == JSON_INTEGER) {
                errno = 0;
                long long v = strtoll(text, NULL, 10);
                if (errno != ERANGE) {
                        *ret = json_integer(v);
                        return 0;
                }
        }
        if (!y->c_locale)
                y->c_locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
        if (!y->c_locale)
                return fail_memory(y);
        double d = strtod_l(text, NULL, y->c_locale);
        if (!isfinite(d))
                return REFUSE(y, e, "the number is too large");
        *ret = json_real(d);
        return 0;
}

static int make_scalar(Yaml *y, const yaml_event_t *e, json_t **ret) {
        Slice text = slice_from_bytes(e->data.scalar.value, e->data.scalar.length);
        int type = scalar_type(e), r = 0;
        *ret = NULL;
        if (type < 0)
                return REFUSE(y, e, "the tag %.64s is not supported here", e->data.scalar.tag);
        switch (type) {
        case JSON_NULL: *ret = json_null(); break;
        case JSON_TRUE: *ret = json_true(); break;
        case JSON_FALSE: *ret = json_false(); break;
        case JSON_INTEGER:
        case JSON_REAL: r = make_number(y, e, type, ret); break;
        default:
                if (memchr(text.data, '\0', text.n))
                        return REFUSE(y, e, "strings must not hold the character U+0000");
                if (!slice_is_utf8(text))
                        return REFUSE(y, e, "the text is not UTF-8");
                *ret = json_stringn_nocheck(text.data, text.n);
                break;
        }
        if (r == 0 && !*ret)
                return fail_memory(y);
        return r;
}

static int on_scalar(Yaml *y, const yaml_event_t *e) {
        bool untagged_plain = !e->data.scalar.tag && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (expects_key(y) && untagged_plain && !strcmp((const char *)e->data.scalar.value, "<<"))
                return REFUSE(y, e, "merge keys (<<) are not supported, write the fields out");
        Weight w = {.nodes = 1, .bytes = e->data.scalar.length};
        Anchor *anchor;
        json_t *node;
        int r = weigh(y, e, w);
        if (r == 0)
                r = anchor_open(y, e, e->data.scalar.anchor, &anchor);
        if (r == 0)
                r = make_scalar(y, e, &node);
        if (r < 0)
                return r;
        anchor_close(anchor, node, w);
        return place(y, e, node, w);
}

/* --- mappings and sequences --- */

static int on_start(Yaml *y, const yaml_event_t *e, bool mapping) {
        const char *tag = (const char *)(mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag);
        if (tag && strcmp(tag, "!") && strcmp(tag, mapping ? TAG_PREFIX "map" : TAG_PREFIX "seq"))
                return REFUSE(y, e, "the tag %.64s is not supported here", tag);
        if (expects_key(y))
                return REFUSE(y, e, "a key must be a string, is %s", mapping ? "an object" : "an array");
        Weight w = {.nodes = 1, .height = 1};
        Anchor *anchor;
        int r = weigh(y, e, w);
        if (r == 0)
                r = anchor_open(y, e, mapping ? e->data.mapping_start.anchor : e->data.sequence_start.anchor,
                                &anchor);
        if (r < 0)
                return r;
        json_t *json = mapping ? json_object() : json_array();
        if (!json)
                return fail_memory(y);
        y->stack[y->depth++] = (Frame){.json = json, .anchor = anchor, .weight = w};
        return 0;
}

static int on_end(Yaml *y, const yaml_event_t *e) {
        Frame *frame = &y->stack[--y->depth];
        anchor_close(frame->anchor, frame->json, frame->weight);
        return place(y, e, frame->json, frame->weight);
}

static int on_document(Yaml *y, const yaml_event_t *e) {
        if (y->root)
                return REFUSE(y, e, "a second document begins here, only one is expected");
        return 0;
}

static int on_event(Yaml *y, const yaml_event_t *e) {
        switch (e->type) {
        case YAML_DOCUMENT_START_EVENT: return on_document(y, e);
        case YAML_ALIAS_EVENT: return on_alias(y, e);
        case YAML_SCALAR_EVENT: return on_scalar(y, e);
        case YAML_SEQUENCE_START_EVENT: return on_start(y, e, false);
        case YAML_MAPPING_START_EVENT: return on_start(y, e, true);
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: return on_end(y, e);
        default: return 0;
        }
}

static int parse(Yaml *y) {
        for (bool done = false; !done;) {
                yaml_event_t e;
                if (!yaml_parser_parse(&y->parser, &e))
                        return fail_parser(y);
                done = e.type == YAML_STREAM_END_EVENT;
                int r = on_event(y, &e);
                yaml_event_delete(&e);
                if (r < 0)
                        return r;
        }
        if (!y->root)
                return report_set(y->report, RUNBOOK_INVALID_REQUEST,
                                  "invalid YAML at line 1, column 1: the document is empty");
        return 0;
}

static void yaml_deinit(Yaml *y) {
        yaml_parser_delete(&y->parser);
        while (y->depth > 0) {
                Frame *frame = &y->stack[--y->depth];
                json_decref(frame->json);
                free(frame->key);
        }
        Slice name;
        void *anchor;
        for (size_t it = 0; map_next(&y->anchors, &it, &name, &anchor);)
                json_decref(((Anchor *)anchor)->json);
        map_deinit(&y->anchors);
        arena_deinit(&y->arena);
        if (y->c_locale)
                freelocale(y->c_locale);
        json_decref(y->root);
}

json_t *yaml_parse(Slice text, size_t size_max, Report *report) {
        if (text.n > size_max) {
                report_set(report, RUNBOOK_TOO_LARGE, "the YAML has %zu bytes, more than the %zu allowed",
                           text.n, size_max);
                return NULL;
        }
        Yaml y = {.report = report};
        if (!yaml_parser_initialize(&y.parser)) {
                fail_memory(&y);
                return NULL;
        }
        yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&y.parser, (const unsigned char *)(text.data ? text.data : ""), text.n);
        json_t *json = parse(&y) == 0 ? STEAL(y.root) : NULL;
        yaml_deinit(&y);
        return json;
}
