/*
 * URI references
 *
 * The generic syntax only: scheme, authority, path, query, fragment. URIs are names here and are compared
 * byte by byte after resolution; no normalization beyond dot segments.
 */
#include "schema/uri.h"

/** data NULL: the part is not there, which differs from being empty. */
typedef struct Uri {
        Slice scheme, authority, path, query, fragment;
} Uri;

static bool is_scheme(Slice s) {
        for (size_t i = 0; i < s.n; i++) {
                char c = s.data[i];
                bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
                if (!alpha && (i == 0 || !other))
                        return false;
        }
        return s.n > 0;
}

/** Cut @rest at the first @mark: what is after it is returned, SLICE_NULL without one. */
static Slice cut_after(Slice *rest, char mark) {
        const char *at = rest->n ? memchr(rest->data, mark, rest->n) : NULL;
        if (!at)
                return SLICE_NULL;
        size_t before = (size_t)(at - rest->data);
        Slice after = {at + 1, rest->n - before - 1};
        rest->n = before;
        return after;
}

static Uri uri_split(Slice text) {
        Uri u = {0};
        u.fragment = cut_after(&text, '#');
        u.query = cut_after(&text, '?');
        const char *colon = text.n ? memchr(text.data, ':', text.n) : NULL;
        if (colon && is_scheme((Slice){text.data, (size_t)(colon - text.data)})) {
                u.scheme = (Slice){text.data, (size_t)(colon - text.data)};
                text = (Slice){colon + 1, text.n - u.scheme.n - 1};
        }
        if (slice_starts_with(text, SLICE("//"))) {
                text = (Slice){text.data + 2, text.n - 2};
                const char *slash = text.n ? memchr(text.data, '/', text.n) : NULL;
                u.authority = (Slice){text.data, slash ? (size_t)(slash - text.data) : text.n};
                text = (Slice){text.data + u.authority.n, text.n - u.authority.n};
        }
        u.path = text;
        return u;
}

/** RFC 3986, 5.2.4, on what was appended to @b from @start on; in place, since the path only ever shrinks. */
static void remove_dot_segments(Buf *b, size_t start) {
        if (b->error || b->n == start)
                return;
        char *path = b->data + start;
        size_t n = b->n - start, out = 0;
        for (size_t i = 0; i < n;) {
                size_t from = i; /* a segment and the slash before it */
                i += path[i] == '/';
                while (i < n && path[i] != '/')
                        i++;
                bool slash = path[from] == '/';
                Slice segment = {path + from + slash, i - from - slash};
                bool up = slice_eq(segment, SLICE("..")), here = slice_eq(segment, SLICE("."));
                if (!up && !here) {
                        memmove(path + out, path + from, i - from);
                        out += i - from;
                        continue;
                }
                while (up && out > 0 && path[out - 1] != '/')
                        out--;
                out -= up && out > 0;
                if (i == n && slash) /* "a/." and "a/b/.." end in a slash */
                        path[out++] = '/';
                else if (!slash && i < n) /* a relative path that begins so loses the slash with it */
                        i++;
        }
        b->n = start + out;
}

static void put_path(Buf *b, const Uri *base, const Uri *reference) {
        size_t start = b->n;
        if (slice_starts_with(reference->path, SLICE("/"))) {
                buf_put_slice(b, reference->path);
        } else {
                Slice head = base->path;
                while (head.n > 0 && head.data[head.n - 1] != '/')
                        head.n--;
                if (base->authority.data && base->path.n == 0)
                        head = SLICE("/");
                buf_put_slice(b, head);
                buf_put_slice(b, reference->path);
        }
        remove_dot_segments(b, start);
}

void uri_resolve(Buf *b, Slice base_text, Slice reference_text, Slice *ret_fragment) {
        Uri base = uri_split(base_text), reference = uri_split(reference_text), t = reference;
        *ret_fragment = reference.fragment;
        bool own_path = reference.scheme.data || reference.authority.data;
        if (!reference.scheme.data) {
                t.scheme = base.scheme;
                if (!reference.authority.data) {
                        t.authority = base.authority;
                        if (reference.path.n == 0 && !reference.query.data)
                                t.query = base.query;
                }
        }
        if (t.scheme.data) {
                buf_put_slice(b, t.scheme);
                buf_put_char(b, ':');
        }
        if (t.authority.data) {
                buf_put_str(b, "//");
                buf_put_slice(b, t.authority);
        }
        size_t start = b->n;
        if (own_path) {
                buf_put_slice(b, reference.path);
                remove_dot_segments(b, start);
        } else if (reference.path.n == 0) {
                buf_put_slice(b, base.path);
        } else {
                put_path(b, &base, &reference);
        }
        if (t.query.data) {
                buf_put_char(b, '?');
                buf_put_slice(b, t.query);
        }
}

bool uri_decode(Buf *b, Slice s) {
        for (size_t i = 0; i < s.n; i++) {
                if (s.data[i] != '%') {
                        buf_put_char(b, s.data[i]);
                        continue;
                }
                int byte = slice_percent_byte((Slice){s.data + i, s.n - i});
                if (byte <= 0)
                        return false;
                buf_put_char(b, (char)byte);
                i += 2;
        }
        return true;
}
