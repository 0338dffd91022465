/*
 * Request targets: "/api/v1/executions/<id>/logs?level=info"
 *
 * The path is cut at its slashes first and each segment decoded by itself, so an escaped slash is part of a
 * name and never a border. There are no files behind these paths, but what looks like a way out of a directory
 * ("..", an empty segment) means somebody is mistaken or trying, so it is refused instead of resolved.
 */
#include <errno.h>

#include "gateway/uri.h"

static bool is_text(Slice s) {
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
                        return false;
        return slice_is_utf8(s);
}

/** Decode @raw's escapes (and "+" as a blank, where @is_form). */
static int decode(Slice raw, bool is_form, Arena *arena, Slice *ret, Report *report) {
        char *out = arena_alloc(arena, raw.n + 1);
        size_t n = 0;

        if (!out)
                return -ENOMEM;
        for (size_t i = 0; i < raw.n; i++) {
                char c = raw.data[i];

                if (c == '%') {
                        int byte = slice_percent_byte((Slice){raw.data + i, raw.n - i});

                        if (byte < 0)
                                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                                  "the URL has a malformed escape: write %%XX with two hex "
                                                  "digits");
                        c = (char)byte;
                        i += 2;
                } else if (is_form && c == '+') {
                        c = ' ';
                }
                out[n++] = c;
        }
        *ret = (Slice){out, n};
        if (!is_text(*ret))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the URL is not UTF-8, or holds control characters");
        return 0;
}

static Slice cut(Slice *rest, char border) {
        const char *at = rest->n ? memchr(rest->data, border, rest->n) : NULL;
        Slice head = {rest->data, at ? (size_t)(at - rest->data) : rest->n};

        *rest = at ? (Slice){at + 1, rest->n - head.n - 1} : SLICE_NULL;
        return head;
}

static int parse_path(Slice path, Arena *arena, Uri *u, Report *report) {
        Slice rest = {path.data + 1, path.n - 1};
        int r = 0;

        while (!r && rest.n > 0) {
                bool more = memchr(rest.data, '/', rest.n) != NULL;
                Slice raw = cut(&rest, '/'), *segment = &u->segments[u->n_segments];

                if (u->n_segments == URI_SEGMENTS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "the URL's path has more than %d segments", URI_SEGMENTS_MAX);
                r = decode(raw, false, arena, segment, report);
                if (!r && (segment->n == 0 || (more && rest.n == 0) || slice_eq_str(*segment, ".") ||
                           slice_eq_str(*segment, "..")))
                        r = report_set(report, RUNBOOK_INVALID_REQUEST,
                                       "the URL's path has an empty segment, or one that is \".\" or \"..\"");
                u->n_segments++;
        }
        return r;
}

static int parse_query(Slice query, Arena *arena, Uri *u, Report *report) {
        int r = 0;

        while (!r && query.n > 0) {
                Slice pair = cut(&query, '&'), name;
                UriParam *p = &u->params[u->n_params];

                if (pair.n == 0)
                        continue;
                if (u->n_params == URI_PARAMS_MAX)
                        return report_set(report, RUNBOOK_INVALID_REQUEST,
                                          "the URL has more than %d parameters", URI_PARAMS_MAX);
                name = cut(&pair, '=');
                r = decode(name, true, arena, &p->name, report);
                if (!r)
                        r = decode(pair, true, arena, &p->value, report);
                if (!r && uri_param(u, p->name.data).data)
                        r = report_set(report, RUNBOOK_INVALID_REQUEST,
                                       "the URL has the parameter \"%.*s\" twice", SLICE_ARG(p->name));
                u->n_params++;
        }
        return r;
}

int uri_parse(Slice target, Arena *arena, Uri *ret, Report *report) {
        Slice query = target, path;
        int r;

        *ret = (Uri){0};
        if (target.n > URI_BYTES_MAX)
                return report_set(report, RUNBOOK_TOO_LARGE, "the URL has more than %d bytes", URI_BYTES_MAX);
        if (target.n == 0 || target.data[0] != '/' || memchr(target.data, '#', target.n))
                return report_set(report, RUNBOOK_INVALID_REQUEST,
                                  "the request's target must be a path: \"/\" and what follows");
        path = cut(&query, '?');
        r = parse_path(path, arena, ret, report);
        return r ? r : parse_query(query, arena, ret, report);
}

Slice uri_param(const Uri *uri, const char *name) {
        for (size_t i = 0; i < uri->n_params; i++)
                if (slice_eq_str(uri->params[i].name, name))
                        return uri->params[i].value;
        return SLICE_NULL;
}
