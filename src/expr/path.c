/*
 * Paths: `steps.fetch.body["first name"][0]`
 *
 * A path is a head and segments. Names may hold letters, digits, `_ - : @` and all that is not ASCII;
 * everything else is written in brackets and quotes, double ones as in JSON or single ones, which need no
 * escape inside a JSON string. What the language may want one day (blanks, operators, calls) is left free.
 * A quoted head is never a root: `["input"]` is the step called input.
 */
#include <errno.h>
#include <stdio.h>

#include "expr/expr_internal.h"

#define INDEX_MAX 999999999u

static const char *const root_names[] = {
                [EXPR_ROOT_CONTEXT] = "context", [EXPR_ROOT_EXECUTION] = "execution",
                [EXPR_ROOT_INPUT] = "input",     [EXPR_ROOT_LOOP] = "loop",
                [EXPR_ROOT_SECRETS] = "secrets", [EXPR_ROOT_STEPS] = "steps",
};

typedef struct PathParser {
        Slice text;
        size_t i;
        const JsonAt *at;
        Arena *arena;
        ExprSegment segments[LIMIT_PATH_SEGMENTS + 1]; /* one more: a root word takes none */
        uint32_t n;
        bool quoted_head;
} PathParser;

static bool is_name_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == ':' || c == '@' || (unsigned char)c >= 0x80;
}

static bool fault(const PathParser *p, const char *what) {
        Slice shown = expr_shown(p->text);
        json_at_error(p->at, "%s at byte %zu of the path \"%.*s\"", what, p->i + 1, SLICE_ARG(shown));
        return false;
}

static bool no_memory(const JsonAt *at) {
        at->report->oom = true;
        return false;
}

static bool push(PathParser *p, ExprSegment segment) {
        if (p->n == LIMIT_PATH_SEGMENTS + 1) {
                json_at_error(p->at, "a path has at most %d segments (LIMIT_PATH_SEGMENTS)",
                              LIMIT_PATH_SEGMENTS);
                return false;
        }
        p->segments[p->n++] = segment;
        return true;
}

static bool push_key(PathParser *p, Slice key) {
        Slice copy = arena_dup(p->arena, key);
        return copy.data ? push(p, (ExprSegment){.key = copy}) : no_memory(p->at);
}

static bool parse_name(PathParser *p) {
        size_t start = p->i;
        while (p->i < p->text.n && is_name_char(p->text.data[p->i]))
                p->i++;
        if (p->i == start)
                return fault(p, p->i < p->text.n
                                                ? "a name is expected, other characters must stand in [\"…\"]"
                                                : "a name is expected");
        return push_key(p, (Slice){p->text.data + start, p->i - start});
}

/** "…" as in JSON: jansson knows the escapes. */
static bool parse_double_quoted(PathParser *p) {
        json_error_t error;
        json_t *key = json_loadb(p->text.data + p->i, p->text.n - p->i,
                                 JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
        if (!key) {
                if (json_error_code(&error) == json_error_out_of_memory)
                        return no_memory(p->at);
                return fault(p, "a JSON string is expected");
        }
        p->i += (size_t)error.position;
        bool good = push_key(p, json_string_slice(key));
        json_decref(key);
        return good;
}

/** '…' with the escapes \' and \\. */
static bool parse_single_quoted(PathParser *p) {
        size_t start = p->i + 1, end = start, n = 0;
        while (end < p->text.n && p->text.data[end] != '\'')
                end += p->text.data[end] == '\\' ? 2 : 1;
        if (end >= p->text.n)
                return fault(p, "the closing ' is missing");
        char *key = arena_alloc(p->arena, end - start + 1);
        if (!key)
                return no_memory(p->at);
        for (size_t i = start; i < end; i++) {
                i += p->text.data[i] == '\\';
                key[n++] = p->text.data[i];
        }
        p->i = end + 1;
        return push(p, (ExprSegment){.key = {key, n}});
}

static bool parse_index(PathParser *p) {
        size_t start = p->i;
        uint64_t index;
        while (p->i < p->text.n && p->text.data[p->i] >= '0' && p->text.data[p->i] <= '9')
                p->i++;
        if (p->i == start)
                return fault(p, p->i < p->text.n && p->text.data[p->i] == '-'
                                                ? "an index counts from the front, it can't be negative,"
                                                : "an index or a quoted name is expected");
        if (!slice_to_u64((Slice){p->text.data + start, p->i - start}, &index) || index > INDEX_MAX)
                return fault(p, "the index is too large");
        return push(p, (ExprSegment){.is_index = true, .index = (uint32_t)index});
}

static bool parse_brackets(PathParser *p) {
        p->i++;
        char c = p->i < p->text.n ? p->text.data[p->i] : '\0';
        if (!(c == '"' ? parse_double_quoted(p) : c == '\'' ? parse_single_quoted(p) : parse_index(p)))
                return false;
        if (p->i == p->text.n || p->text.data[p->i] != ']')
                return fault(p, "a ] is expected");
        p->i++;
        return true;
}

static bool parse_head(PathParser *p) {
        if (p->text.n == 0) {
                json_at_error(p->at, "the path is empty");
                return false;
        }
        if (p->text.data[0] == '$')
                return fault(p, "a path begins with a name; no ${…} and no $ is needed here:");
        if (p->text.data[0] != '[')
                return parse_name(p);
        p->quoted_head = true;
        return parse_brackets(p) &&
               (!p->segments[0].is_index || fault(p, "a path can't begin with an index:"));
}

static bool parse_tail(PathParser *p) {
        while (p->i < p->text.n) {
                if (p->text.data[p->i] == '.') {
                        p->i++;
                        if (!parse_name(p))
                                return false;
                } else if (p->text.data[p->i] == '[') {
                        if (!parse_brackets(p))
                                return false;
                } else {
                        break;
                }
        }
        return true;
}

static ExprRoot find_root(const PathParser *p) {
        for (size_t i = 0; !p->quoted_head && i < sizeof(root_names) / sizeof(root_names[0]); i++)
                if (root_names[i] && slice_eq_str(p->segments[0].key, root_names[i]))
                        return (ExprRoot)i;
        return EXPR_ROOT_NAME;
}

const ExprPath *expr_path_parse(Slice text, const JsonAt *at, Arena *arena, size_t *ret_n) {
        PathParser p = {.text = text, .at = at, .arena = arena};
        if (!parse_head(&p) || !parse_tail(&p))
                return NULL;
        ExprRoot root = find_root(&p);
        uint32_t skip = root != EXPR_ROOT_NAME, n = p.n - skip;
        if (n > LIMIT_PATH_SEGMENTS) {
                json_at_error(at, "a path has at most %d segments (LIMIT_PATH_SEGMENTS)",
                              LIMIT_PATH_SEGMENTS);
                return NULL;
        }
        ExprPath *path = ARENA_NEW(arena, ExprPath);
        ExprSegment *segments = ARENA_NEW_ARRAY(arena, ExprSegment, n);
        Slice copy = arena_dup(arena, (Slice){text.data, p.i});
        if (!path || !segments || !copy.data) {
                no_memory(at);
                return NULL;
        }
        memcpy(segments, p.segments + skip, n * sizeof(*segments));
        *path = (ExprPath){.root = root, .text = copy, .segments = segments, .n_segments = n};
        *ret_n = p.i;
        return path;
}

const ExprPath *expr_path_compile(Slice text, const JsonAt *at, Arena *arena, const ExprSink *sink) {
        size_t n;
        const ExprPath *path = expr_path_parse(text, at, arena, &n);
        if (!path)
                return NULL;
        if (n < text.n) {
                Slice shown = expr_shown(text);
                json_at_error(at, "unexpected character at byte %zu of the path \"%.*s\"", n + 1,
                              SLICE_ARG(shown));
                return NULL;
        }
        if (sink)
                sink->path(sink->userdata, path, at);
        return path;
}

static const json_t *walk(const json_t *value, const ExprSegment *segment) {
        return segment->is_index ? json_array_get(value, segment->index)
                                 : json_object_get(value, segment->key.data);
}

const json_t *expr_path_eval(const ExprPath *path, const ExprEnv *env) {
        uint32_t i = 0;
        const json_t *value = env->head(env->userdata, path, &i);
        for (; value && i < path->n_segments; i++)
                value = walk(value, &path->segments[i]);
        return value;
}

/** The path's first @n segments as text, cut to @size. */
static void print_prefix(const ExprPath *path, uint32_t n, char *buf, size_t size) {
        size_t used = 0;
        const char *root = path->root == EXPR_ROOT_NAME ? "" : root_names[path->root];
        used += (size_t)snprintf(buf, size, "%s", root);
        for (uint32_t i = 0; i < n && used < size; i++) {
                const ExprSegment *s = &path->segments[i];
                Slice key = slice_cut_utf8(s->key, 40);
                int w = s->is_index ? snprintf(buf + used, size - used, "[%u]", s->index)
                                    : snprintf(buf + used, size - used, "%s%.*s", used ? "." : "",
                                               SLICE_ARG(key));
                used += (size_t)w;
        }
        size_t kept = slice_utf8_prefix((Slice){buf, used < size ? used : size - 1});
        buf[kept] = '\0';
}

int expr_path_missing(const ExprPath *path, const ExprEnv *env, const char *code, ExprError *error) {
        uint32_t i = 0;
        char prefix[EXPR_SHOWN_MAX];
        Slice shown = expr_shown(path->text);
        const json_t *value = env->head(env->userdata, path, &i), *next;
        if (!value) {
                print_prefix(path, path->n_segments ? 1 : 0, prefix, sizeof(prefix));
                return expr_error_set(error, -EINVAL, code, "\"%.*s\" is missing: there is no %s",
                                      SLICE_ARG(shown), prefix);
        }
        while (i < path->n_segments && (next = walk(value, &path->segments[i]))) {
                value = next;
                i++;
        }
        print_prefix(path, i, prefix, sizeof(prefix));
        if (i == path->n_segments)
                return expr_error_set(error, -EINVAL, code, "\"%.*s\" is missing", SLICE_ARG(shown));
        const ExprSegment *s = &path->segments[i];
        if (s->is_index && json_is_array(value))
                return expr_error_set(error, -EINVAL, code,
                                      "\"%.*s\" is missing: %s has %zu elements, none is [%u]",
                                      SLICE_ARG(shown), prefix, json_array_size(value), s->index);
        if (s->is_index)
                return expr_error_set(error, -EINVAL, code,
                                      "\"%.*s\" is missing: %s is %s, it has no element [%u]",
                                      SLICE_ARG(shown), prefix, json_type_text(value), s->index);
        Slice key = slice_cut_utf8(s->key, 64);
        return expr_error_set(error, -EINVAL, code, "\"%.*s\" is missing: %s is %s without a field \"%.*s\"",
                              SLICE_ARG(shown), prefix, json_type_text(value), SLICE_ARG(key));
}

int expr_error_set(ExprError *error, int r, const char *code, const char *format, ...) {
        va_list ap;
        snprintf(error->code, sizeof(error->code), "%s", code);
        va_start(ap, format);
        int n = vsnprintf(error->message, sizeof(error->message), format, ap);
        va_end(ap);
        if (n < 0)
                n = 0;
        size_t used = (size_t)n < sizeof(error->message) ? (size_t)n : sizeof(error->message) - 1;
        error->message[slice_utf8_prefix((Slice){error->message, used})] =
                        '\0'; /* the cut may have split a character */
        return r;
}

int expr_error_oom(ExprError *error) {
        return expr_error_set(error, -ENOMEM, "OUT_OF_MEMORY",
                              "there was not enough memory to evaluate an expression");
}

bool expr_foreign_add(ExprForeign **list, Arena *arena, void (*release)(void *p), void *p) {
        ExprForeign *foreign = p ? ARENA_NEW(arena, ExprForeign) : NULL;
        if (!foreign) {
                if (p)
                        release(p);
                return false;
        }
        *foreign = (ExprForeign){.next = *list, .release = release, .p = p};
        *list = foreign;
        return true;
}

void expr_foreign_release(ExprForeign *list) {
        for (; list; list = list->next)
                list->release(list->p);
}
