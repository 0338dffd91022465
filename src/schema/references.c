/*
 * Identifiers and references
 *
 * A schema with $id begins a resource: its $id, resolved against the one around it, names it, and JSON
 * pointers and anchors count from there. Identifiers come from the document's writer, so they are kept in
 * sorted arrays: a hash table that must not draw random numbers could be made slow by chosen names.
 *
 * A pointer is followed through the document, not through the nodes, because it may lead anywhere. If it ends
 * at a schema the walk has met, that node is the target; otherwise the place becomes a schema now, with
 * identifiers in it disregarded, as they were not identifiers when resources were named.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/compile.h"
#include "schema/uri.h"

#define SHOWN_BYTES        128                  /* of a reference in a message */
#define POINTER_TOKENS_MAX (2 * JSON_DEPTH_MAX) /* of a pointer; no document that passes is deeper */

static_assert(SCHEMA_URI_BYTES_MAX == 2048, "a sentence says so");

static int resource_cmp(const void *a, const void *b) {
        const Resource *x = *(Resource *const *)a, *y = *(Resource *const *)b;
        int order = slice_cmp(x->uri, y->uri);
        return order ? order : (x->number > y->number) - (x->number < y->number);
}

int anchor_cmp(const void *a, const void *b) {
        const Anchor *x = a, *y = b;
        if (x->resource != y->resource)
                return x->resource->number < y->resource->number ? -1 : 1;
        return slice_cmp(x->name, y->name);
}

const Anchor *anchors_find(const Anchor *anchors, size_t n, const Resource *resource, Slice name) {
        Anchor wanted = {.resource = resource, .name = name};
        return n ? bsearch(&wanted, anchors, n, sizeof(*anchors), anchor_cmp) : NULL;
}

const JsonAt *place_link(const Place *place, const JsonAt *root, JsonAt links[PLACE_LINKS_MAX]) {
        size_t n = 0;
        for (; place->parent && n + 3 < PLACE_LINKS_MAX; place = place->parent) {
                JsonAt *next = &links[n];
                if (place->form != PLACE_KEYWORD) {
                        *next = (JsonAt){.key = place->form == PLACE_KEY ? place->key : NULL,
                                         .index = place->index,
                                         .parent = next + 1};
                        next = &links[++n];
                }
                *next = (JsonAt){.key = place->keyword, .parent = next + 1};
                n++;
        }
        links[n] = *root;
        return links;
}

static int fault_at_node(Compiler *c, const Node *node, const char *keyword, const char *sentence,
                         Slice quoted) {
        JsonAt links[PLACE_LINKS_MAX], at = {.key = keyword};
        at.parent = place_link(&node->place, c->at, links);
        Slice shown = slice_cut_utf8(quoted, SHOWN_BYTES);
        return compiler_fault(c, keyword ? &at : at.parent, "\"%.*s%s\" %s", SLICE_ARG(shown),
                              shown.n < quoted.n ? "…" : "", sentence);
}

/* --- resources --- */

/** The absolute form of @text seen from @base, a copy; data NULL on a fault. */
static Slice resolve_id(Compiler *c, Slice base, const JsonAt *at) {
        Slice text = json_string_slice(at->value), fragment;
        _cleanup_(buf_deinit) Buf b = {.limit = SCHEMA_URI_BYTES_MAX};
        uri_resolve(&b, base, text, &fragment);
        if (fragment.n > 0)
                compiler_fault(c, at, "must not have a fragment; $anchor names a place within the schema");
        else if (b.error == -EFBIG || text.n > SCHEMA_URI_BYTES_MAX)
                compiler_fault(c, at, "has more than %d bytes (SCHEMA_URI_BYTES_MAX)", SCHEMA_URI_BYTES_MAX);
        else if (b.error)
                compiler_oom(c);
        else
                return compiler_dup(c, buf_slice(&b));
        return SLICE_NULL;
}

Resource *resource_at(Compiler *c, Resource *parent, const JsonAt *at) {
        JsonAt id = at_member(at, "$id");
        bool root = c->n_resources == 0;
        Slice uri = SLICE_NULL;
        if (json_is_string(id.value)) /* else it is reported as a keyword */
                uri = resolve_id(c, parent->uri, &id);
        if (!uri.data && !root)
                return parent;
        if (!uri.data)
                uri = SLICE("");
        Resource *r = COMPILER_NEW(c, Resource, 1);
        if (!r || COMPILER_GROW(c, c->resources, c->n_resources, c->cap_resources) < 0)
                return NULL;
        *r = (Resource){.uri = uri, .number = (uint32_t)c->n_resources, .value = at->value};
        c->resources[c->n_resources++] = r;
        return r;
}

static Resource *find_resource(const Compiler *c, Slice uri) {
        size_t low = 0, high = c->n_resources;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (slice_cmp(c->resources[middle]->uri, uri) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < c->n_resources && slice_eq(c->resources[low]->uri, uri) ? c->resources[low] : NULL;
}

static void sort_resources(Compiler *c) {
        if (c->n_resources == 0)
                return;
        qsort(c->resources, c->n_resources, sizeof(*c->resources), resource_cmp);
        for (size_t i = 1; i < c->n_resources; i++)
                if (slice_eq(c->resources[i - 1]->uri, c->resources[i]->uri))
                        fault_at_node(c, c->resources[i]->root, "$id",
                                      "names another schema of this document too", c->resources[i]->uri);
}

/* --- anchors --- */

static void add_anchor(Compiler *c, Node *node, Slice name, bool dynamic) {
        if (!name.data || c->anonymous || COMPILER_GROW(c, c->anchors, c->n_anchors, c->cap_anchors) < 0)
                return;
        Slice copy = compiler_dup(c, name);
        if (copy.data)
                c->anchors[c->n_anchors++] = (Anchor){node->resource, copy, node, dynamic};
}

void resource_add_anchors(Compiler *c, Draft *d) {
        add_anchor(c, d->node, d->dynamic_anchor, true);
        if (!d->dynamic_anchor.data ||
            !slice_eq(d->anchor, d->dynamic_anchor)) /* one name twice on one schema is one */
                add_anchor(c, d->node, d->anchor, false);
}

static void sort_anchors(Compiler *c) {
        if (c->n_anchors == 0)
                return;
        qsort(c->anchors, c->n_anchors, sizeof(*c->anchors), anchor_cmp);
        for (size_t i = 1; i < c->n_anchors; i++)
                if (anchor_cmp(&c->anchors[i - 1], &c->anchors[i]) == 0)
                        fault_at_node(c, c->anchors[i].node, NULL, "is an anchor that another schema has too",
                                      c->anchors[i].name);
        c->schema->anchors = COMPILER_NEW(c, Anchor, c->n_anchors);
        if (!c->schema->anchors)
                return;
        memcpy(c->schema->anchors, c->anchors, c->n_anchors * sizeof(*c->anchors));
        c->schema->n_anchors = c->n_anchors;
}

/* --- pointers --- */

/** Replace ~1 and ~0; false for any other escape. In place. */
static bool unescape_token(char *token) {
        char *out = token;
        for (const char *p = token; *p; p++) {
                char c = *p;
                if (c == '~') {
                        p++;
                        if (*p != '0' && *p != '1')
                                return false;
                        c = *p == '0' ? '~' : '/';
                }
                *out++ = c;
        }
        *out = '\0';
        return true;
}

static const json_t *step_down(const json_t *value, const char *token) {
        uint64_t index;
        if (json_is_object(value))
                return json_object_get(value, token);
        bool zero_led = token[0] == '0' && token[1];
        if (json_is_array(value) && !zero_led && slice_to_u64(slice_from_str(token), &index))
                return json_array_get(value, index);
        return NULL;
}

static Node *find_node(const Compiler *c, const json_t *value, const Resource *resource) {
        struct NodeId id = {value, resource};
        return map_get(&c->nodes, slice_from_bytes(&id, sizeof(id)));
}

/** The resource that begins at @value, which lies in @resource; NULL: none does. */
static Resource *embedded_resource(const Compiler *c, const json_t *value, const Resource *resource) {
        const json_t *id = json_object_get(value, "$id");
        Slice fragment;
        if (!json_is_string(id) || find_node(c, value, resource))
                return NULL;
        _cleanup_(buf_deinit) Buf b = {.limit = SCHEMA_URI_BYTES_MAX};
        uri_resolve(&b, resource->uri, json_string_slice(id), &fragment);
        Resource *r = b.error ? NULL : find_resource(c, buf_slice(&b));
        return r && r->value == value ? r : NULL;
}

/** Levels of the document between it and @place. */
static size_t place_depth(const Place *place) {
        size_t depth = 0;
        for (; place->parent; place = place->parent)
                depth += place->form == PLACE_KEYWORD ? 1 : 2;
        return depth;
}

/** A pointer being followed. Tokens count from the innermost resource that was entered on the way. */
typedef struct Walk {
        Resource *resource;
        const json_t *value;
        const char *tokens[POINTER_TOKENS_MAX];
        size_t n_tokens;
} Walk;

static int walk_token(Compiler *c, Walk *w, char *token) {
        if (!unescape_token(token) || w->n_tokens == POINTER_TOKENS_MAX)
                return -ENOENT;
        w->value = step_down(w->value, token);
        if (!w->value)
                return -ENOENT;
        w->tokens[w->n_tokens++] = token;
        Resource *embedded = embedded_resource(c, w->value, w->resource);
        if (embedded) {
                w->resource = embedded;
                w->n_tokens = 0;
        }
        return 0;
}

/** Places down to where @w has arrived; NULL (reported) out of memory. */
static const Place *walk_place(Compiler *c, const Walk *w) {
        const Place *place = &w->resource->root->place;
        for (size_t i = 0; i < w->n_tokens; i++) {
                Place *below = COMPILER_NEW(c, Place, 1);
                Slice token = compiler_dup(c, slice_from_str(w->tokens[i]));
                if (!below || !token.data)
                        return NULL;
                *below = (Place){.parent = place, .keyword = token.data, .form = PLACE_KEYWORD};
                place = below;
        }
        return place;
}

static Node *compile_found(Compiler *c, const Walk *w) {
        const Place *place = walk_place(c, w);
        if (!place)
                return NULL;
        JsonAt links[PLACE_LINKS_MAX], at = *place_link(place, c->at, links);
        at.value = w->value;
        at.report = c->report;
        bool before = c->anonymous;
        c->anonymous = true;
        Node *node = compile_node(c, w->resource, place, &at, place_depth(place));
        c->anonymous = before;
        return node;
}

/** What @pointer (decoded, not empty) leads to within @resource. 0, -ENOENT, or a reported fault. */
static int find_by_pointer(Compiler *c, Resource *resource, char *pointer, Node **ret) {
        Walk w = {.resource = resource, .value = resource->value};
        for (char *token = pointer; token;) {
                char *end = strchr(++token, '/');
                if (end)
                        *end = '\0';
                int r = walk_token(c, &w, token);
                if (r < 0)
                        return r;
                token = end;
        }
        *ret = w.n_tokens == 0 ? w.resource->root : find_node(c, w.value, w.resource);
        if (!*ret)
                *ret = compile_found(c, &w);
        return *ret ? 0 : -EINVAL;
}

/* --- references --- */

int compiler_pending(Compiler *c, Draft *d, const CheckKind *kind, Slice text) {
        if (COMPILER_GROW(c, c->pending, c->n_pending, c->cap_pending) < 0)
                return -ENOMEM;
        c->pending[c->n_pending++] = (Pending){d->node, kind, text};
        draft_check(d, kind);
        return 0;
}

static int resolve_fragment(Compiler *c, Resource *resource, Slice fragment, Reference *ret) {
        _cleanup_(buf_deinit) Buf decoded = {0};
        if (!uri_decode(&decoded, fragment))
                return -ENOENT;
        buf_put_char(&decoded, '\0');
        if (decoded.error)
                return compiler_oom(c);
        if (decoded.n == 1) {
                ret->target = resource->root;
                return 0;
        }
        if (decoded.data[0] == '/')
                return find_by_pointer(c, resource, decoded.data, &ret->target);
        const Anchor *anchor = anchors_find(c->anchors, c->n_anchors, resource,
                                            (Slice){decoded.data, decoded.n - 1});
        if (!anchor)
                return -ENOENT;
        ret->target = anchor->node;
        ret->dynamic = anchor->dynamic ? anchor->name : SLICE_NULL;
        return 0;
}

static int resolve(Compiler *c, const Pending *p, Reference *ret) {
        _cleanup_(buf_deinit) Buf uri = {.limit = SCHEMA_URI_BYTES_MAX};
        Slice fragment;
        if (p->text.n > SCHEMA_URI_BYTES_MAX)
                return -EFBIG;
        uri_resolve(&uri, p->node->resource->uri, p->text, &fragment);
        if (uri.error)
                return uri.error == -EFBIG ? -EFBIG : compiler_oom(c);
        Resource *resource = find_resource(c, buf_slice(&uri));
        return resource ? resolve_fragment(c, resource, fragment, ret) : -ENXIO;
}

static void resolve_pending(Compiler *c, const Pending *p) {
        Reference reference = {0};
        const char *sentence = NULL;
        switch (resolve(c, p, &reference)) {
        case 0:
                break;
        case -ENXIO:
                sentence = "is in no schema of this document, and nothing is fetched";
                break;
        case -ENOENT:
                sentence = "leads nowhere in this document";
                break;
        case -EFBIG:
                sentence = "has more than 2048 bytes (SCHEMA_URI_BYTES_MAX)";
                break;
        default:
                return;
        }
        if (sentence) {
                fault_at_node(c, p->node, p->kind->keyword, sentence, p->text);
                return;
        }
        for (uint32_t i = 0; i < p->node->n_checks; i++)
                if (p->node->checks[i].kind == p->kind)
                        p->node->checks[i].reference = reference;
}

void compile_references(Compiler *c) {
        sort_resources(c);
        sort_anchors(c);
        for (size_t i = 0; i < c->n_pending && !c->gave_up; i++) { /* more may come meanwhile */
                Pending p = c->pending[i];
                resolve_pending(c, &p);
        }
}
