/*
 * Text with paths in it: `name: ${user.name ?? nobody}`
 *
 * A text is split into literals and paths. A default is a JSON literal if one stands there and the closing
 * brace follows, else all that is before the brace; so `${n ?? 1}` is a number and `${n ?? 1 or so}` a
 * string.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "expr/expr_internal.h"

const char *expr_text_marker(Slice text) {
        return text.data && text.n > 0 ? memmem(text.data, text.n, "${", 2) : NULL;
}

bool expr_text_is_constant(Slice text) {
        for (const char *p; (p = expr_text_marker(text));) {
                if (p == text.data || p[-1] != '$')
                        return false;
                text = (Slice){p + 2, text.n - (size_t)(p + 2 - text.data)};
        }
        return true;
}

void expr_text_oom(ExprTextCompiler *c, const JsonAt *at) {
        at->report->oom = true;
        c->failed = true;
}

/** Count @n nodes; false when they are too many. */
bool expr_text_count(ExprTextCompiler *c, const JsonAt *at, size_t n) {
        c->n_nodes += n;
        if (c->n_nodes <= LIMIT_TEMPLATE_NODES)
                return true;
        if (!c->over)
                json_at_error(at, "the template has more than %d parts in all (LIMIT_TEMPLATE_NODES)",
                              LIMIT_TEMPLATE_NODES);
        c->over = c->failed = true;
        return false;
}

static bool fits_depth(const json_t *value, unsigned depth_left) {
        size_t i;
        const char *key;
        json_t *child;
        if (!json_is_object(value) && !json_is_array(value))
                return true;
        if (depth_left == 0)
                return false;
        json_array_foreach(value, i, child) {
                if (!fits_depth(child, depth_left - 1))
                        return false;
        }
        json_object_foreach((json_t *)value, key, child) {
                if (!fits_depth(child, depth_left - 1))
                        return false;
        }
        return true;
}

void expr_json_release(void *p) { json_decref(p); }

/** A text being read: what is left of it, and the string that it is of. */
typedef struct TextParser {
        ExprTextCompiler *c;
        const JsonAt *at;
        Slice text;
        size_t i;
} TextParser;

static bool text_fault(TextParser *t, const char *what) {
        Slice shown = expr_shown(t->text);
        json_at_error(t->at, "%s at byte %zu of \"%.*s\"", what, t->i + 1, SLICE_ARG(shown));
        t->c->failed = true;
        return false;
}

static Slice text_rest(const TextParser *t) { return (Slice){t->text.data + t->i, t->text.n - t->i}; }

static void skip_blanks(TextParser *t) {
        while (t->i < t->text.n && memchr(" \t\r\n", t->text.data[t->i], 4))
                t->i++;
}

static Slice trim_end(Slice s) {
        while (s.n > 0 && memchr(" \t\r\n", s.data[s.n - 1], 4))
                s.n--;
        return s;
}

/** A JSON literal that ends before the closing brace; NULL (and not moved on) if there is none. */
static json_t *parse_literal(TextParser *t) {
        json_error_t error;
        Slice rest = text_rest(t);
        json_t *json = json_loadb(rest.data, rest.n,
                                  JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &error);
        size_t start = t->i;
        t->i += json ? (size_t)error.position : 0;
        skip_blanks(t);
        if (json && t->i < t->text.n && t->text.data[t->i] == '}')
                return json;
        json_decref(json);
        t->i = start;
        return NULL;
}

/** Everything up to the closing brace, as a string. */
static json_t *parse_bare_word(TextParser *t) {
        Slice rest = text_rest(t);
        const char *brace = memchr(rest.data, '}', rest.n); /* there is one: parse_path looked */
        size_t n = brace ? (size_t)(brace - rest.data) : rest.n;
        Slice word = trim_end((Slice){rest.data, n});
        if (word.n == 0) {
                text_fault(t, "a default is missing after ?? (\"\" is the empty string)");
                return NULL;
        }
        if (expr_text_marker(word)) {
                text_fault(t, "a default can't hold another ${…}");
                return NULL;
        }
        t->i += n;
        json_t *json = json_stringn(word.data, word.n);
        if (!json)
                expr_text_oom(t->c, t->at);
        return json;
}

/** The default after `??`; stops at the closing brace. */
static bool parse_default(TextParser *t, const json_t **ret) {
        skip_blanks(t);
        char c = t->i < t->text.n ? t->text.data[t->i] : '}';
        json_t *json = parse_literal(t);
        if (!json && (c == '"' || c == '{' || c == '['))
                return text_fault(t, "a JSON value and } are expected");
        if (!json)
                json = parse_bare_word(t);
        if (!json)
                return false;
        bool fits = fits_depth(json, JSON_DEPTH_MAX);
        if (!expr_foreign_add(&t->c->foreign, t->c->arena, expr_json_release, json)) {
                expr_text_oom(t->c, t->at);
                return false;
        }
        *ret = json;
        return fits || text_fault(t, "the default is nested too deeply");
}

/** What stands between `${` and `}`, both included. */
static bool parse_path(TextParser *t, ExprPart *ret) {
        size_t start = t->i, used;
        t->i += 2;
        skip_blanks(t);
        Slice rest = text_rest(t);
        if (rest.n == 0 || !memchr(rest.data, '}', rest.n)) {
                t->i = start;
                return text_fault(t, "the closing } of ${ is missing (a literal ${ is written $${)");
        }
        ret->path = expr_path_parse(rest, t->at, t->c->arena, &used);
        if (!ret->path) {
                t->c->failed = true;
                return false;
        }
        t->i += used;
        skip_blanks(t);
        if (slice_starts_with(text_rest(t), SLICE("??"))) {
                t->i += 2;
                if (!parse_default(t, &ret->fallback))
                        return false;
        }
        if (t->i == t->text.n || t->text.data[t->i] != '}')
                return text_fault(t, "} or ?? is expected after the path");
        t->i++;
        return true;
}

/** Split @text into parts; NULL if it can't be (reported). */
const ExprPart *expr_text_parse(ExprTextCompiler *c, const JsonAt *at, Slice text, uint32_t *ret_n) {
        size_t cap = 1, n = 0;
        const char *end = text.data + text.n;
        for (const char *p = expr_text_marker(text); p;
             p = expr_text_marker((Slice){p + 2, (size_t)(end - p) - 2}))
                cap += 2;
        if (!expr_text_count(c, at, cap))
                return NULL;
        ExprPart *parts = ARENA_NEW_ARRAY(c->arena, ExprPart, cap);
        if (!parts) {
                expr_text_oom(c, at);
                return NULL;
        }
        TextParser t = {.c = c, .at = at, .text = text};
        while (t.i < text.n) {
                Slice rest = text_rest(&t);
                const char *p = expr_text_marker(rest);
                size_t plain = p ? (size_t)(p - rest.data) : rest.n;
                bool escaped = p && plain > 0 && p[-1] == '$';
                if (plain - escaped > 0)
                        parts[n++] = (ExprPart){.literal = {rest.data, plain - escaped}};
                t.i += plain;
                if (!p)
                        break;
                if (escaped) {
                        parts[n++] = (ExprPart){.literal = {p, 2}};
                        t.i += 2;
                        continue;
                }
                if (!parse_path(&t, &parts[n]))
                        return NULL;
                n++;
        }
        *ret_n = (uint32_t)n;
        return parts;
}

json_t *expr_text_join(const ExprPart *parts, uint32_t n) {
        _cleanup_(buf_deinit) Buf b = {0};
        for (uint32_t i = 0; i < n; i++)
                buf_put_slice(&b, parts[i].literal);
        return b.error ? NULL : json_stringn_nocheck(b.n ? b.data : "", b.n);
}

static bool is_secret_name(Slice name) {
        for (size_t i = 0; i < name.n; i++)
                if (!((name.data[i] >= '0' && name.data[i] <= '9') ||
                      (name.data[i] >= 'a' && name.data[i] <= 'z') ||
                      (name.data[i] >= 'A' && name.data[i] <= 'Z') || memchr("_-.", name.data[i], 3)))
                        return false;
        return name.n > 0;
}

int expr_secret_split(Slice text, const JsonAt *at, Arena *arena, ExprSecret *ret) {
        ExprTextCompiler c = {.arena = arena};
        uint32_t n = 0, secret = 0, n_paths = 0, n_secrets = 0;
        if (!memmem(text.data ? text.data : "", text.n, "secrets", 7))
                return 0;
        const ExprPart *parts = expr_text_parse(&c, at, text, &n);
        for (uint32_t i = 0; parts && i < n; i++) {
                n_paths += parts[i].path != NULL;
                if (parts[i].path && parts[i].path->root == EXPR_ROOT_SECRETS) {
                        n_secrets++;
                        secret = i;
                }
        }
        const ExprPart *part = n_secrets ? &parts[secret] : NULL;
        bool good = part && n_paths == 1 && !part->fallback && part->path->n_segments == 1 &&
                    !part->path->segments[0].is_index && is_secret_name(part->path->segments[0].key);
        expr_foreign_release(c.foreign);
        if (!parts)
                return at->report->oom ? -ENOMEM : -EINVAL;
        if (!part)
                return 0;
        if (!good)
                return json_at_error(at, "a secret stands alone as ${secrets.NAME} between fixed text: "
                                         "one secret, no default, no other ${…} beside it");
        json_t *prefix = expr_text_join(parts, secret), *suffix = expr_text_join(part + 1, n - secret - 1);
        *ret = (ExprSecret){.prefix = arena_dup(arena, prefix ? json_string_slice(prefix) : SLICE_NULL),
                            .name = part->path->segments[0].key,
                            .suffix = arena_dup(arena, suffix ? json_string_slice(suffix) : SLICE_NULL)};
        good = prefix && suffix && ret->prefix.data && ret->suffix.data;
        json_decref(prefix);
        json_decref(suffix);
        if (good)
                return 1;
        at->report->oom = true;
        return -ENOMEM;
}
