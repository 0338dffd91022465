/*
 * From a JSON pointer to a line of the file that a person edits.
 *
 * JSON is walked token by token. YAML is walked by its block structure alone: keys of one mapping stand at
 * one indentation, items of one sequence begin with "- " at one indentation, whatever is deeper belongs to
 * the one above. That is cheap and right for what people write by hand; flow collections, quoted keys that
 * span lines and the like end the walk at the place reached so far, which is an ancestor, never a wrong
 * place.
 */

#include <stdlib.h>
#include "base/buf.h"
#include "base/cleanup.h"
#include "cli/locate.h"
#include "json/json_scan.h"

#define SEGMENT_BYTES_MAX 1024

/** The next pointer segment, unescaped, into @ret; false at the end (or if it is too long). */
static bool next_segment(const char **pointer, char ret[SEGMENT_BYTES_MAX]) {
        const char *p = *pointer;
        size_t n = 0;

        if (*p++ != '/')
                return false;
        for (; *p && *p != '/'; p++) {
                if (n + 1 >= SEGMENT_BYTES_MAX)
                        return false;
                if (*p == '~' && (p[1] == '0' || p[1] == '1'))
                        ret[n++] = *++p == '0' ? '~' : '/';
                else
                        ret[n++] = *p;
        }
        ret[n] = 0;
        *pointer = p;
        return true;
}

static Location location_of(Slice text, size_t at) {
        Location l = {1, 1};

        for (size_t i = 0; i < at && i < text.n; i++) {
                if (text.data[i] == '\n') {
                        l.line++;
                        l.column = 1;
                } else if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
                        l.column++;
                }
        }
        return l;
}

/* ── JSON ──────────────────────────────────────────────────────────────────────────────────────── */

static size_t skip_blanks(Slice s, size_t i) {
        while (i < s.n && (s.data[i] == ' ' || s.data[i] == '\n' || s.data[i] == '\t' || s.data[i] == '\r'))
                i++;
        return i;
}

/** A key with escapes is compared as if it had none that matter: such keys are not ours. */
static bool key_equals(Slice s, size_t from, size_t to, const char *key) {
        return to >= from + 2 && slice_eq_str((Slice){s.data + from + 1, to - from - 2}, key);
}

/**
 * In the container at @i find member @segment. Sets *ret_mark to its key (or item), *ret_value to its value.
 */
static bool json_enter(Slice s, size_t i, const char *segment, size_t *ret_mark, size_t *ret_value) {
        bool is_object = i < s.n && s.data[i] == '{';
        uint64_t wanted = 0, index = 0;

        if (i >= s.n || (!is_object && s.data[i] != '[') ||
            (!is_object && !slice_to_u64(slice_from_str(segment), &wanted)))
                return false;
        i = skip_blanks(s, i + 1);
        while (i < s.n && s.data[i] != '}' && s.data[i] != ']') {
                size_t mark = i, value = i;
                bool found = !is_object && index++ == wanted;

                if (is_object) {
                        size_t end = json_scan_skip_string(s, i);

                        found = key_equals(s, i, end, segment);
                        value = skip_blanks(s, end);
                        value = skip_blanks(s, value + (value < s.n && s.data[value] == ':'));
                }
                if (found) {
                        *ret_mark = mark;
                        *ret_value = value;
                        return true;
                }
                i = skip_blanks(s, json_scan_skip_value(s, value));
                if (i < s.n && s.data[i] != ',')
                        return false;
                i = skip_blanks(s, i + 1);
        }
        return false;
}

static Location locate_json(Slice text, const char *pointer) {
        char segment[SEGMENT_BYTES_MAX];
        size_t value = skip_blanks(text, 0), mark = value;

        while (next_segment(&pointer, segment) && json_enter(text, value, segment, &mark, &value))
                continue;
        return location_of(text, mark);
}

/* ── YAML ──────────────────────────────────────────────────────────────────────────────────────── */

/** One line that says something: where it begins, its indentation, its text. */
typedef struct Line {
        size_t at; /* byte offset of the text */
        int indent;
        Slice text;
} Line;

typedef struct Lines {
        Line *items;
        size_t n, cap;
        bool oom;
} Lines;

static void add_line(Lines *lines, Line line) {
        if (lines->n == lines->cap) {
                size_t cap = lines->cap ? lines->cap * 2 : 256;
                Line *items = reallocarray(lines->items, cap, sizeof *items);

                if (!items) {
                        lines->oom = true;
                        return;
                }
                lines->items = items;
                lines->cap = cap;
        }
        lines->items[lines->n++] = line;
}

/** Lines without blank ones, comments and document marks; "- a: 1" becomes an item mark "-" and a deeper line
 * "a: 1". */
static void split_lines(Slice text, Lines *ret) {
        for (size_t i = 0; i < text.n;) {
                const char *newline = memchr(text.data + i, '\n', text.n - i);
                size_t end = newline ? (size_t)(newline - text.data) : text.n, p = i;
                int indent = 0;

                while (p < end && text.data[p] == ' ')
                        p++, indent++;
                while (p < end && text.data[p] == '-' && (p + 1 == end || text.data[p + 1] == ' ')) {
                        add_line(ret, (Line){p, indent, {text.data + p, 1}});
                        for (p++, indent++; p < end && text.data[p] == ' '; indent++)
                                p++;
                }
                if (p < end && text.data[p] != '#' && text.data[p] != '\r' &&
                    !(indent == 0 && slice_starts_with((Slice){text.data + p, end - p}, SLICE("---"))))
                        add_line(ret, (Line){p, indent, {text.data + p, end - p}});
                i = end + 1;
        }
}

/** Does @line hold `key:`, plain or quoted? */
static bool line_has_key(const Line *line, const char *key) {
        Slice t = line->text;
        size_t n = strlen(key);
        char quote = t.n ? t.data[0] : 0;

        if (quote == '"' || quote == '\'') {
                if (t.n < n + 3 || memcmp(t.data + 1, key, n) != 0 || t.data[n + 1] != quote)
                        return false;
                n += 2;
        } else if (t.n < n + 1 || memcmp(t.data, key, n) != 0) {
                return false;
        }
        return t.n > n && t.data[n] == ':' && (t.n == n + 1 || t.data[n + 1] == ' ' || t.data[n + 1] == '\r');
}

static bool is_item(const Line *line) { return line->text.n == 1 && line->text.data[0] == '-'; }

/** Behind the block that hangs on line @i: what is deeper, and for a key the items at its own indentation
 * too. */
static size_t block_end(const Lines *lines, size_t i, size_t end) {
        int indent = lines->items[i].indent;
        bool key = !is_item(&lines->items[i]);

        for (i++; i < end; i++)
                if (lines->items[i].indent < indent ||
                    (lines->items[i].indent == indent && !(key && is_item(&lines->items[i]))))
                        break;
        return i;
}

/** Find @segment among the lines [*from, *to) of one block; narrow them to what hangs on it. */
static bool yaml_enter(const Lines *lines, size_t *from, size_t *to, const char *segment, size_t *ret_mark) {
        uint64_t wanted = 0, index = 0;
        int indent;

        if (*from >= *to)
                return false;
        indent = lines->items[*from].indent;
        if (is_item(&lines->items[*from]) && !slice_to_u64(slice_from_str(segment), &wanted))
                return false;
        for (size_t i = *from; i < *to;) {
                const Line *line = &lines->items[i];
                size_t end = block_end(lines, i, *to);

                if (line->indent != indent)
                        return false;
                if (is_item(line) ? index++ == wanted : line_has_key(line, segment)) {
                        *ret_mark = is_item(line) && i + 1 < end ? i + 1 : i;
                        *from = i + 1;
                        *to = end;
                        return true;
                }
                i = end;
        }
        return false;
}

static Location locate_yaml(Slice text, const char *pointer) {
        char segment[SEGMENT_BYTES_MAX];
        Lines lines = {0};
        size_t from = 0, to, mark = 0;
        Location l = {0};

        split_lines(text, &lines);
        to = lines.n;
        if (!lines.oom && lines.n > 0) {
                while (next_segment(&pointer, segment) && yaml_enter(&lines, &from, &to, segment, &mark))
                        continue;
                l = location_of(text, lines.items[mark].at);
        }
        free(lines.items);
        return l;
}

Location locate(Slice text, const char *pointer) {
        size_t i = skip_blanks(text, 0);

        return i < text.n && text.data[i] == '{' ? locate_json(text, pointer) : locate_yaml(text, pointer);
}
